// SPDX-License-Identifier: Apache-2.0
// Inclusive prefix sum in one pass: warps by shuffles, a block through shared
// memory, blocks in a chain through flags in global memory, each spinning on
// the one before it.
#include "variants.cuh"

enum { THREADS = 128, WARPS = THREADS / 32 };
enum {
  GOOD = 0,
  NO_TOTALS_BARRIER = 1,  // between writing and adding up the warps' totals
  NO_PREFIX_BARRIER = 2,  // between receiving and using the prefix
};

template <int D>
__device__ void scan(const uint32 *in, uint32 *out, uint32 *sums,
                     uint32 *flags, uint32 n) {
  __shared__ uint32 totals[WARPS];
  __shared__ uint32 prefix;
  uint32 i = blockIdx.x * THREADS + threadIdx.x;
  uint32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint32 value = i < n ? in[i] : 0;
  for (int delta = 1; delta < 32; delta *= 2) {
    uint32 left = __shfl_up_sync(0xffffffffu, value, delta);
    if (lane >= (uint32)delta) value += left;
  }
  if (lane == 31) totals[warp] = value;
  if (D != NO_TOTALS_BARRIER) __syncthreads();
  for (uint32 w = 0; w < warp; ++w) value += totals[w];
  if (threadIdx.x == THREADS - 1) {
    uint32 before = 0;
    if (blockIdx.x > 0) {
      volatile uint32 *flag = &flags[blockIdx.x - 1];
      while (*flag == 0) {
      }
      __threadfence();
      before = *(volatile uint32 *)&sums[blockIdx.x - 1];
    }
    *(volatile uint32 *)&sums[blockIdx.x] = before + value;
    __threadfence();
    *(volatile uint32 *)&flags[blockIdx.x] = 1;
    prefix = before;
  }
  if (D != NO_PREFIX_BARRIER) __syncthreads();
  if (i < n) out[i] = value + prefix;
}

#define SCAN(variant)                                                         \
  KERNEL(scan, variant,                                                       \
         (const uint32 *in, uint32 *out, uint32 *sums, uint32 *flags, uint32 n), \
         (in, out, sums, flags, n))
SCAN(0)
SCAN(1)
SCAN(2)
