// SPDX-License-Identifier: Apache-2.0
// How many blocks of a kernel a multiprocessor holds at a time, and what stops
// the next one. Limits: the target's table. Units of allocation: registers by
// 256 for a warp, warps by 4 for registers' sake, shared memory by 128 bytes
// with 1 KiB that the system takes of each block (CUDA C++ Best Practices
// Guide, "Calculating Occupancy"; CUDA C++ Programming Guide, compute
// capabilities 8.x to 12.0, "Shared Memory").
#include "nv.h"

enum {
  REGISTER_UNIT = 256,
  WARP_UNIT = 4,
  SHARED_UNIT = 128,
  SHARED_RESERVED = 1024,
};

static uint32_t round_up(uint32_t value, uint32_t unit) {
  return (value + unit - 1) / unit * unit;
}

static void limit(uint32_t blocks, const char *by, tsr_cuda_resources *io) {
  if (blocks >= io->blocks) return;
  io->blocks = blocks;
  io->limiter = by;
}

void tsr_cuda_occupancy(const tsr_cuda_kernel *kernel,
                        const tsr_cuda_target *target, tsr_cuda_resources *io) {
  uint32_t warps = (kernel->threads + NV_LANES - 1) / NV_LANES;
  uint32_t shared = round_up(
      kernel->shared_size + io->shared_static + SHARED_RESERVED, SHARED_UNIT);
  io->blocks = 0;
  io->limiter = NULL;
  if (!io->is_known) return;  // registers decide nearly always
  io->blocks = UINT32_MAX;
  uint32_t of_warp = round_up(io->registers * NV_LANES, REGISTER_UNIT);
  if (of_warp != 0) {
    uint32_t fitting = target->registers_total / of_warp;
    limit(fitting / WARP_UNIT * WARP_UNIT / warps, "registers", io);
  }
  limit(target->shared_total / shared, "shared memory", io);
  limit(target->threads_total / (warps * NV_LANES), "threads", io);
  limit(target->blocks_total, "blocks", io);
}
