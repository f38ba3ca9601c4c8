// SPDX-License-Identifier: Apache-2.0
// The facts as the emulated driver has them; its own tests compare those with
// a cuda.h where there is one.
#include "cuda_abi_facts.h"
#include "driver/cuda_abi.h"

const cuda_abi_fact cuda_abi_theirs[] = CUDA_ABI_FACTS;
