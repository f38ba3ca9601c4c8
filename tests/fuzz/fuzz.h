// SPDX-License-Identifier: Apache-2.0
// What every harness fuzz_<name>.c of this folder defines. Under TESSERA_FUZZ
// libFuzzer drives it, otherwise standalone_main.c.
#ifndef TESTS_FUZZ_FUZZ_H_
#define TESTS_FUZZ_FUZZ_H_

#include <stddef.h>
#include <stdint.h>

// Returns 0; aborts when a property is violated.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif  // TESTS_FUZZ_FUZZ_H_
