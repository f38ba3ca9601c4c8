// SPDX-License-Identifier: Apache-2.0
// C[M,N] = A[M,K] B[N,K]^T in f16 with f32 sums, for sm_80: tiles of 64x64x32
// through a ring of three stages of cp.async, ldmatrix, mma.m16n8k16. Four
// warps, 32x32 each. K is a multiple of 32, N of 64; M is ragged: rows beyond
// it are filled with zeros by the copy.
#include "variants.cuh"

enum { TILE = 64, STEP = 32, STAGES = 3, THREADS = 128 };
// Rows of 32 halves (64 bytes) are padded to 80 bytes: eight rows then lie in
// eight different groups of four banks, as ldmatrix likes it.
enum { PITCH = STEP + 8 };
enum {
  GOOD = 0,
  NO_WAIT = 1,        // one group too few is waited for
  NO_BARRIER = 2,     // after the wait
  WRONG_STAGE = 3,    // reads the stage being filled
  ROWS_UNCHECKED = 4,  // copies rows beyond M
  SHARED_OVERRUN = 5,  // one stage too far
};

__device__ inline void copy16(uint32 to, const void *from, uint32 bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
               "l"(from), "r"(bytes));
}

template <int D>
__device__ void load_stage(uint32 stage, const uint16 *a, const uint16 *b,
                           uint32 m, uint32 k, uint32 step) {
  uint32 row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE;
  for (uint32 i = threadIdx.x; i < TILE * 4; i += THREADS) {
    uint32 row = i / 4, chunk = i % 4 * 8;
    bool inside = row0 + row < m || D == ROWS_UNCHECKED;
    const uint16 *from =
        inside ? a + (uint64)(row0 + row) * k + step * STEP + chunk : a;
    copy16(stage + (row * PITCH + chunk) * 2, from, inside ? 16 : 0);
    copy16(stage + ((TILE + row) * PITCH + chunk) * 2,
           b + (uint64)(column0 + row) * k + step * STEP + chunk, 16);
  }
}

__device__ inline void ldmatrix4(uint32 (&r)[4], uint32 address) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
      : "r"(address));
}

__device__ inline void mma(float (&c)[4], const uint32 (&a)[4], uint32 b0,
                           uint32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline void multiply_stage(float (&c)[2][4][4], uint32 stage,
                                      uint32 warp_row, uint32 warp_column) {
  uint32 lane = threadIdx.x % 32;
  for (uint32 k = 0; k < STEP; k += 16) {
    uint32 a[2][4], b[2][4];
    for (uint32 i = 0; i < 2; ++i) {
      uint32 row = warp_row + i * 16 + lane % 16;
      ldmatrix4(a[i], stage + (row * PITCH + k + lane / 16 * 8) * 2);
      // Matrices 0, 1: k and k + 8 of eight columns; 2, 3: of the next eight.
      uint32 column = warp_column + i * 16 + lane / 16 * 8 + lane % 8;
      ldmatrix4(b[i],
                stage + ((TILE + column) * PITCH + k + lane / 8 % 2 * 8) * 2);
    }
    for (uint32 i = 0; i < 2; ++i) {
      for (uint32 j = 0; j < 4; ++j) {
        mma(c[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
  }
}

template <int D>
__device__ void gemm_async(const uint16 *a, const uint16 *b, float *out,
                           uint32 m, uint32 n, uint32 k) {
  extern __shared__ __align__(16) uint16 ring[];
  const uint32 stage_bytes = 2 * TILE * PITCH * 2;
  uint32 base = shared_address(ring);
  uint32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  uint32 warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
  uint32 steps = k / STEP;
  float c[2][4][4] = {};
  for (uint32 s = 0; s < STAGES - 1; ++s) {
    if (s < steps) load_stage<D>(base + s * stage_bytes, a, b, m, k, s);
    asm volatile("cp.async.commit_group;");
  }
  for (uint32 s = 0; s < steps; ++s) {
    asm volatile("cp.async.wait_group %0;" ::"n"(D == NO_WAIT ? STAGES - 1
                                                              : STAGES - 2));
    if (D != NO_BARRIER) __syncthreads();
    uint32 next = s + STAGES - 1;
    uint32 into = next % STAGES + (D == SHARED_OVERRUN ? 1 : 0);
    if (next < steps) load_stage<D>(base + into * stage_bytes, a, b, m, k, next);
    asm volatile("cp.async.commit_group;");
    uint32 read = (D == WRONG_STAGE ? s + 1 : s) % STAGES;
    multiply_stage(c, base + read * stage_bytes, warp_row, warp_column);
  }
  for (uint32 i = 0; i < 2; ++i) {
    for (uint32 j = 0; j < 4; ++j) {
      for (uint32 half = 0; half < 2; ++half) {
        uint32 row =
            blockIdx.y * TILE + warp_row + i * 16 + half * 8 + lane / 4;
        uint32 column =
            blockIdx.x * TILE + warp_column + j * 8 + lane % 4 * 2;
        if (row >= m) continue;
        float *to = out + (uint64)row * n + column;
        to[0] = c[i][j][half * 2];
        to[1] = c[i][j][half * 2 + 1];
      }
    }
  }
}

#define GEMM_ASYNC(variant)                                               \
  KERNEL(gemm_async, variant,                                             \
         (const uint16 *a, const uint16 *b, float *out, uint32 m, uint32 n, \
          uint32 k),                                                      \
         (a, b, out, m, n, k))
GEMM_ASYNC(0)
GEMM_ASYNC(1)
GEMM_ASYNC(2)
GEMM_ASYNC(3)
GEMM_ASYNC(4)
GEMM_ASYNC(5)
