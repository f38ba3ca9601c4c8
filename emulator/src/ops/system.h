// SPDX-License-Identifier: Apache-2.0
// Functions that CUDA's device runtime provides and text declares .extern.
#ifndef OPS_SYSTEM_H_
#define OPS_SYSTEM_H_

#include "decode/internal.h"

// What executes a call of the system's |name|; NULL when there is no such
// function. Its op->data is a tsr_system_call.
tsr_handler tsr_system_handler(tsr_ptx_str name);

typedef struct tsr_system_call {
  const tsr_function *caller;  // the arguments lie behind its frame
  const char *name;
  const tsr_signature *signature;
} tsr_system_call;

#endif  // OPS_SYSTEM_H_
