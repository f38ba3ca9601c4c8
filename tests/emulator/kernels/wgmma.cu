// SPDX-License-Identifier: Apache-2.0
// C[M,N] = A[M,K] B[N,K]^T in bf16 with f32 sums, for sm_90a: one producer warp
// loads boxes of 64x64 (128-byte rows, 128-byte swizzle) of A and B through a
// ring of mbarriers, one warpgroup multiplies them by wgmma.m64n64k16 from
// shared memory. M, N, K are multiples of 64.
#include "hopper.cuh"

enum { TILE = 64, STAGES = 3, BOX_BYTES = TILE * TILE * 2 };
enum {
  GOOD = 0,
  NO_FULL_WAIT = 1,
  EARLY_RELEASE = 2,   // the stage is given back while wgmma may read it
  NO_FINAL_WAIT = 3,   // sums are stored while wgmma may write them
  WRONG_PHASE = 4,
  NO_ARRIVE_FENCE = 5,  // no wgmma.fence before the first wgmma
  NO_RELEASE = 6,
  WRONG_BYTES = 7,     // expects one box too much
};

// PTX ISA 9.7.15.5.1.2: start address, stride between groups of eight rows,
// 128-byte swizzle. The leading offset is not used by swizzled K-major tiles.
__device__ inline uint64 descriptor(uint32 address) {
  return (uint64)(address >> 4 & 0x3fff) | (uint64)1 << 16 |
         (uint64)(1024 >> 4) << 32 | (uint64)1 << 62;
}

__device__ inline void multiply(float (&c)[32], uint64 a, uint64 b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, "
      "%30, %31}, %32, %33, 1, 1, 1, 0, 0;"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]),
        "+f"(c[6]), "+f"(c[7]), "+f"(c[8]), "+f"(c[9]), "+f"(c[10]),
        "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]),
        "+f"(c[16]), "+f"(c[17]), "+f"(c[18]), "+f"(c[19]), "+f"(c[20]),
        "+f"(c[21]), "+f"(c[22]), "+f"(c[23]), "+f"(c[24]), "+f"(c[25]),
        "+f"(c[26]), "+f"(c[27]), "+f"(c[28]), "+f"(c[29]), "+f"(c[30]),
        "+f"(c[31])
      : "l"(a), "l"(b));
}

template <int D>
__device__ void produce(const TensorMap *a, const TensorMap *b, uint32 ring,
                        uint32 full, uint32 empty, uint32 steps) {
  for (uint32 i = 0; i < steps; ++i) {
    uint32 stage = i % STAGES, turn = i / STAGES;
    if (turn > 0) barrier_wait(empty + stage * 8, (turn - 1) & 1);
    barrier_expect(full + stage * 8, (D == WRONG_BYTES ? 3 : 2) * BOX_BYTES);
    uint32 to = ring + stage * 2 * BOX_BYTES;
    load_box(to, a, i * TILE, blockIdx.y * TILE, full + stage * 8);
    load_box(to + BOX_BYTES, b, i * TILE, blockIdx.x * TILE, full + stage * 8);
  }
}

template <int D>
__device__ void consume(float *out, uint32 ring, uint32 full, uint32 empty,
                        uint32 n, uint32 steps) {
  float c[32] = {};
  uint32 thread = threadIdx.x;
  for (uint32 i = 0; i < steps; ++i) {
    uint32 stage = i % STAGES, turn = i / STAGES;
    if (D != NO_FULL_WAIT) {
      barrier_wait(full + stage * 8, D == WRONG_PHASE ? turn + 1 & 1 : turn & 1);
    }
    if (D != NO_ARRIVE_FENCE) {
      asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    }
    uint32 at = ring + stage * 2 * BOX_BYTES;
    for (uint32 k = 0; k < TILE; k += 16) {
      multiply(c, descriptor(at + k * 2), descriptor(at + BOX_BYTES + k * 2));
    }
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    if (D != EARLY_RELEASE && D != NO_FINAL_WAIT) {
      asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    } else if (D == NO_FINAL_WAIT && i + 1 < steps) {
      asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    }
    if (D != NO_RELEASE) barrier_arrive(empty + stage * 8);
  }
  if (D == EARLY_RELEASE) {
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
  uint32 row = blockIdx.y * TILE + thread / 32 * 16 + thread % 32 / 4;
  for (uint32 i = 0; i < 32; ++i) {
    uint32 column = blockIdx.x * TILE + i / 4 * 8 + thread % 4 * 2 + i % 2;
    out[(uint64)(row + i % 4 / 2 * 8) * n + column] = c[i];
  }
}

template <int D>
__device__ void wgmma(const TensorMap *a, const TensorMap *b, float *out,
                      uint32 n, uint32 k) {
  extern __shared__ __align__(1024) uint8 ring[];
  __shared__ __align__(8) uint64 barriers[2 * STAGES];
  uint32 full = shared_address(barriers), empty = full + STAGES * 8;
  // The swizzle repeats every 1,024 bytes: the ring begins at a multiple.
  uint32 base = (shared_address(ring) + 1023) & ~1023u;
  if (threadIdx.x == 0) {
    for (uint32 s = 0; s < STAGES; ++s) {
      barrier_init(full + s * 8, 1);
      barrier_init(empty + s * 8, 128);
    }
    barrier_init_fence();
    proxy_fence();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    consume<D>(out, base, full, empty, n, k / TILE);
  } else if (threadIdx.x == 128) {
    produce<D>(a, b, base, full, empty, k / TILE);
  }
}

#define WGMMA(variant)                                                    \
  KERNEL(wgmma, variant,                                                  \
         (const __grid_constant__ TensorMap a,                            \
          const __grid_constant__ TensorMap b, float *out, uint32 n,      \
          uint32 k),                                                      \
         (&a, &b, out, n, k))
WGMMA(0)
WGMMA(1)
WGMMA(2)
WGMMA(3)
WGMMA(4)
WGMMA(5)
WGMMA(6)
WGMMA(7)
