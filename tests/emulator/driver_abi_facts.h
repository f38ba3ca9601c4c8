// SPDX-License-Identifier: Apache-2.0
// The facts of driver_abi.def as a list, made once of our declarations and once
// of a real cuda.h.
#ifndef TESTS_EMULATOR_DRIVER_ABI_FACTS_H_
#define TESTS_EMULATOR_DRIVER_ABI_FACTS_H_

typedef struct abi_fact {
  const char *name;
  long long value;
} abi_fact;

// What cuda.h says; count 0 where there is none.
extern const abi_fact abi_theirs[];
extern const unsigned abi_theirs_count;

#define V(name) {#name, (long long)(name)},
#define S(type) {"sizeof " #type, (long long)sizeof(type)},
#define F(type, field) {#type "." #field, (long long)offsetof(type, field)},

#endif  // TESTS_EMULATOR_DRIVER_ABI_FACTS_H_
