// SPDX-License-Identifier: Apache-2.0
// out = 2 * in, floats, tile by tile: one producer warp loads boxes of 32x16
// through a ring of mbarriers, four consumer warps double them in shared
// memory, and one of their threads stores the box back by a tensor copy.
#include "hopper.cuh"

enum { WIDTH = 32, HEIGHT = 16, STAGES = 3, CONSUMERS = 128 };
enum { BOX = WIDTH * HEIGHT, BOX_BYTES = BOX * 4 };
enum {
  GOOD = 0,
  NO_FULL_WAIT = 1,
  WRONG_PHASE = 2,     // the consumers' parity does not turn
  NO_RELEASE = 3,      // consumers never say that a stage is empty
  NO_PROXY_FENCE = 4,  // before the store
  TOO_FEW_BYTES = 5,   // expects half of a box
  NO_STORE_WAIT = 6,   // releases the stage while the store still reads it
  NO_EMPTY_WAIT = 7,
  OUT_OF_BOUNDS = 8,   // the box would lie beyond the ring
};

template <int D>
__device__ void produce(const TensorMap *in, uint32 ring, uint32 full,
                        uint32 empty, uint32 tiles, uint32 columns) {
  for (uint32 t = blockIdx.x, i = 0; t < tiles; t += gridDim.x, ++i) {
    uint32 stage = i % STAGES, turn = i / STAGES;
    if (turn > 0 && D != NO_EMPTY_WAIT) {
      barrier_wait(empty + stage * 8, (turn - 1) & 1);
    }
    barrier_expect(full + stage * 8,
                   D == TOO_FEW_BYTES ? BOX_BYTES / 2 : BOX_BYTES);
    uint32 slot = D == OUT_OF_BOUNDS && stage == STAGES - 1 ? 64 : stage;
    load_box(ring + slot * BOX_BYTES, in, t % columns * WIDTH,
             t / columns * HEIGHT, full + stage * 8);
  }
}

template <int D>
__device__ void consume(const TensorMap *out, float *data, uint32 ring,
                        uint32 full, uint32 empty, uint32 tiles,
                        uint32 columns) {
  uint32 thread = threadIdx.x - 32;
  for (uint32 t = blockIdx.x, i = 0; t < tiles; t += gridDim.x, ++i) {
    uint32 stage = i % STAGES, turn = i / STAGES;
    if (D != NO_FULL_WAIT) {
      barrier_wait(full + stage * 8, D == WRONG_PHASE ? 0 : turn & 1);
    }
    for (uint32 e = thread; e < BOX; e += CONSUMERS) {
      data[stage * BOX + e] *= 2;
    }
    if (D != NO_PROXY_FENCE) proxy_fence();
    asm volatile("bar.sync 1, 128;" ::: "memory");
    if (thread == 0) {
      store_box(out, t % columns * WIDTH, t / columns * HEIGHT,
                ring + stage * BOX_BYTES);
      asm volatile("cp.async.bulk.commit_group;" ::: "memory");
      if (D != NO_STORE_WAIT) {
        asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
      }
      if (D != NO_RELEASE) barrier_arrive(empty + stage * 8);
    }
  }
  if (thread == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

template <int D>
__device__ void tma(const TensorMap *in, const TensorMap *out, uint32 tiles,
                    uint32 columns) {
  extern __shared__ __align__(128) float data[];
  __shared__ __align__(8) uint64 barriers[2 * STAGES];
  uint32 full = shared_address(barriers), empty = full + STAGES * 8;
  if (threadIdx.x == 0) {
    for (uint32 s = 0; s < STAGES; ++s) {
      barrier_init(full + s * 8, 1);
      barrier_init(empty + s * 8, 1);
    }
    barrier_init_fence();
    proxy_fence();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    produce<D>(in, shared_address(data), full, empty, tiles, columns);
  } else if (threadIdx.x >= 32) {
    consume<D>(out, data, shared_address(data), full, empty, tiles, columns);
  }
}

#define TMA(variant)                                                      \
  KERNEL(tma, variant,                                                    \
         (const __grid_constant__ TensorMap in,                           \
          const __grid_constant__ TensorMap out, uint32 tiles,            \
          uint32 columns),                                                \
         (&in, &out, tiles, columns))
TMA(0)
TMA(1)
TMA(2)
TMA(3)
TMA(4)
TMA(5)
TMA(6)
TMA(7)
TMA(8)
