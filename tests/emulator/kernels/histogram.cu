// SPDX-License-Identifier: Apache-2.0
// 256 bins: atomics in shared memory, merged into global memory.
#include "variants.cuh"

enum { THREADS = 128, BINS = 256 };
enum {
  GOOD = 0,
  NO_CLEAR_BARRIER = 1,  // counting begins before all bins are cleared
  NO_MERGE_BARRIER = 2,  // merging begins before all have counted
  NOT_ATOMIC = 3,
  UNCLEARED = 4,  // half of the bins are never written
};

template <int D>
__device__ void histogram(const uint8 *in, uint32 *out, uint32 n) {
  __shared__ uint32 bins[BINS];
  for (uint32 b = threadIdx.x; b < (D == UNCLEARED ? BINS / 2 : BINS);
       b += THREADS) {
    bins[b] = 0;
  }
  if (D != NO_CLEAR_BARRIER) __syncthreads();
  for (uint32 i = blockIdx.x * THREADS + threadIdx.x; i < n;
       i += gridDim.x * THREADS) {
    if (D == NOT_ATOMIC) {
      ++bins[in[i]];
    } else {
      atomicAdd(&bins[in[i]], 1u);
    }
  }
  if (D != NO_MERGE_BARRIER) __syncthreads();
  for (uint32 b = threadIdx.x; b < BINS; b += THREADS) {
    if (bins[b] != 0) atomicAdd(&out[b], bins[b]);
  }
}

#define HISTOGRAM(variant)                                              \
  KERNEL(histogram, variant, (const uint8 *in, uint32 *out, uint32 n), \
         (in, out, n))
HISTOGRAM(0)
HISTOGRAM(1)
HISTOGRAM(2)
HISTOGRAM(3)
HISTOGRAM(4)
