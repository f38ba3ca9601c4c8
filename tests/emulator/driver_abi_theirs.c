// SPDX-License-Identifier: Apache-2.0
// driver_abi.def as a real cuda.h (13.0 or newer) has it.
#include <stddef.h>

#ifdef TSR_HAVE_CUDA_H
#include <cuda.h>

#include "driver_abi_facts.h"
// The structs behind the versions of functions that we have.
#undef CUDA_KERNEL_NODE_PARAMS
#define CUDA_KERNEL_NODE_PARAMS CUDA_KERNEL_NODE_PARAMS_v2

const abi_fact abi_theirs[] = {
#include "driver_abi.def"
};
const unsigned abi_theirs_count = sizeof(abi_theirs) / sizeof(abi_theirs[0]);
#else
#include "driver_abi_facts.h"

const abi_fact abi_theirs[] = {{"", 0}};
const unsigned abi_theirs_count = 0;
#endif
