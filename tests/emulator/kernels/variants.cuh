// SPDX-License-Identifier: Apache-2.0
// Every kernel here is a template over the defect planted in it: variant 0 is
// correct. Nothing of CUDA's headers is used beyond the built-in variables, so
// that the PTX is ours alone.
#pragma once

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;

// KERNEL(name, variant, (parameters), (arguments)): the entry "name_variant".
#define KERNEL(name, variant, parameters, arguments)      \
  extern "C" __global__ void name##_##variant parameters { \
    name<variant> arguments;                              \
  }

__device__ inline uint32 shared_address(const void *pointer) {
  return (uint32)__cvta_generic_to_shared(pointer);
}
