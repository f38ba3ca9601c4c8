// SPDX-License-Identifier: Apache-2.0
// C[M,N] = A[M,K] B[N,K]^T in f16 with f32 sums, for sm_80, where A is 2:4
// sparse: values[M,K/2] and, per row and 16 columns of K, a 16-bit word of four
// 4-bit codes (metadata[M,K/16]). One warp per 16x8 tile of C, four warps per
// block; B goes through shared memory by cp.async. K is a multiple of 64.
//
// mma.sp.m16n8k32 takes the metadata of a row group from two of its four lanes
// (PTX ISA 9.7.14.5.8.2); selector 0: lanes 0 and 1 of each quad.
#include "variants.cuh"

enum { STEP = 64, THREADS = 128, PITCH = STEP + 8 };
enum {
  GOOD = 0,
  ZERO_METADATA = 1,   // a word that names no pattern
  OTHER_SELECTOR = 2,  // metadata is in the other two lanes
  NO_WAIT = 3,
  NO_BARRIER = 4,
  METADATA_OVERRUN = 5,
};

template <int D>
__device__ uint32 metadata_of(const uint16 *metadata, uint32 row, uint32 k,
                              uint32 step, uint32 lane) {
  // Lanes 0, 2 hold columns 0..15 of 32, lanes 1, 3 columns 16..31; rows g in
  // the low half, g + 8 in the high half. Lanes 2, 3 carry nothing here.
  uint32 words = k / 16;
  uint32 word = step / 16 + lane % 2 + (D == METADATA_OVERRUN ? words : 0);
  uint32 low = metadata[(uint64)row * words + word];
  uint32 high = metadata[(uint64)(row + 8) * words + word];
  if (D == ZERO_METADATA && step == 32) low = 0;
  bool carrier = D == OTHER_SELECTOR ? lane % 4 >= 2 : lane % 4 < 2;
  return carrier ? high << 16 | low : 0;
}

__device__ inline void mma_sparse(float (&c)[4], const uint32 (&a)[4],
                                  const uint32 (&b)[4], uint32 metadata) {
  asm volatile(
      "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9, %10, %11}, "
      "{%0, %1, %2, %3}, %12, 0x0;"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]),
        "r"(b[2]), "r"(b[3]), "r"(metadata));
}

template <int D>
__device__ void gemm_sparse(const uint16 *values, const uint16 *metadata,
                            const uint16 *b, float *out, uint32 m, uint32 n,
                            uint32 k) {
  __shared__ __align__(16) uint16 tile[8 * PITCH];
  uint32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  uint32 group = lane / 4, quad = lane % 4;
  uint32 row = (blockIdx.y * 4 + warp) * 16 + group;
  uint32 column0 = blockIdx.x * 8;
  float c[4] = {};
  for (uint32 k0 = 0; k0 < k; k0 += STEP) {
    if (threadIdx.x < 64) {
      uint32 r = threadIdx.x / 8, chunk = threadIdx.x % 8 * 8;
      asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(
                       shared_address(&tile[r * PITCH + chunk])),
                   "l"(b + (uint64)(column0 + r) * k + k0 + chunk));
    }
    asm volatile("cp.async.commit_group;");
    if (D != NO_WAIT) asm volatile("cp.async.wait_all;" ::: "memory");
    if (D != NO_BARRIER) __syncthreads();
    for (uint32 half = 0; half < STEP; half += 32) {
      // Each register holds the two kept values of one group of four.
      const uint16 *from = values + (uint64)row * (k / 2) + (k0 + half) / 2;
      const uint16 *below = from + 8 * (uint64)(k / 2);
      uint32 a[4] = {*(const uint32 *)(from + quad * 2),
                     *(const uint32 *)(below + quad * 2),
                     *(const uint32 *)(from + 8 + quad * 2),
                     *(const uint32 *)(below + 8 + quad * 2)};
      uint32 x[4];
      for (uint32 i = 0; i < 4; ++i) {
        x[i] = *(const uint32 *)&tile[group * PITCH + half + i * 8 + quad * 2];
      }
      mma_sparse(c, a, x,
                 metadata_of<D>(metadata, row, k, k0 + half, lane));
    }
    __syncthreads();
  }
  for (uint32 i = 0; i < 4; ++i) {
    out[(uint64)(row + i / 2 * 8) * n + column0 + quad * 2 + i % 2] = c[i];
  }
}

#define GEMM_SPARSE(variant)                                                  \
  KERNEL(gemm_sparse, variant,                                                \
         (const uint16 *values, const uint16 *metadata, const uint16 *b,      \
          float *out, uint32 m, uint32 n, uint32 k),                          \
         (values, metadata, b, out, m, n, k))
GEMM_SPARSE(0)
GEMM_SPARSE(1)
GEMM_SPARSE(2)
GEMM_SPARSE(3)
GEMM_SPARSE(4)
GEMM_SPARSE(5)
