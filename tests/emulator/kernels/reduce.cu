// SPDX-License-Identifier: Apache-2.0
// Sum of n floats: grid-stride loop, a tree in shared memory, a last warp by
// shuffles, one atomic addition per block.
#include "variants.cuh"

enum { THREADS = 256 };
enum {
  GOOD = 0,
  NO_BARRIER = 1,   // between two steps of the tree
  OVERRUN = 2,      // reads element n
  NO_FIRST_BARRIER = 3,
};

template <int D>
__device__ void reduce(const float *in, float *out, uint32 n) {
  __shared__ float part[THREADS];
  float sum = 0;
  uint32 step = gridDim.x * THREADS;
  for (uint32 i = blockIdx.x * THREADS + threadIdx.x;
       D == OVERRUN ? i <= n : i < n; i += step) {
    sum += in[i];
  }
  part[threadIdx.x] = sum;
  if (D != NO_FIRST_BARRIER) __syncthreads();
  for (uint32 half = THREADS / 2; half >= 32; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    if (D != NO_BARRIER || half != 64) __syncthreads();
  }
  if (threadIdx.x < 32) {
    sum = part[threadIdx.x];
    for (int delta = 16; delta > 0; delta /= 2) {
      sum += __shfl_down_sync(0xffffffffu, sum, delta);
    }
    if (threadIdx.x == 0) atomicAdd(out, sum);
  }
}

#define REDUCE(variant) \
  KERNEL(reduce, variant, (const float *in, float *out, uint32 n), (in, out, n))
REDUCE(0)
REDUCE(1)
REDUCE(2)
REDUCE(3)
