// SPDX-License-Identifier: Apache-2.0
// The strategy for any number of tokens, meant for more than 64: blocks divide
// the tokens too, and warps that the rows of a panel leave over stand side by
// side in tokens, so that the weights in L2 are read once for up to 256 tokens.
#include "cost.h"
#include "nv.h"

enum { PREFILL_WARPS = 8, PREFILL_SLICES = 4, PREFILL_SMALL = 128 };

static const char *refuse(const tsr_kernel_spec *spec,
                          const tsr_cuda_target *target) {
  (void)target;
  return nv_refuse_shape(spec);
}

// Up to 128 tokens a tile of 128: one of 256 would multiply as many zeros.
static uint32_t buckets(uint32_t out_last[TSR_KERNEL_LIMIT]) {
  out_last[0] = PREFILL_SMALL;
  out_last[1] = UINT32_MAX;
  return 2;
}

static tsr_cuda_geometry geometry(const tsr_kernel_spec *spec,
                                  uint32_t bucket_last) {
  tsr_cuda_geometry g = {.k_slices = 1, .warp_tokens = 64, .depth = 2};
  uint32_t most = bucket_last <= PREFILL_SMALL ? 2 : PREFILL_SLICES;
  g.groups = nv_groups(spec);
  g.token_slices = g.groups < PREFILL_WARPS ? PREFILL_WARPS / g.groups : 1;
  if (g.token_slices > most) g.token_slices = most;
  g.stages = 3;
  if (nv_layout_of(&g).size > NV_SHARED_LIMIT) g.stages = 2;
  return g;
}

// The share of the device's time in which its multiprocessors have a block.
static double efficiency(uint32_t multiprocessors, uint32_t workers,
                         uint32_t token_tiles) {
  uint64_t blocks = (uint64_t)workers * token_tiles;
  uint64_t waves = (blocks - 1) / multiprocessors + 1;
  return (double)blocks / ((double)waves * multiprocessors);
}

// The cut that the runtime takes (docs/runtime.md): of those within a sixteenth
// of the best efficiency the one with the fewest split panels, which here is
// the one with the fewest workers. A bundle has floor(multiprocessors / i).
static uint32_t workers_for(uint32_t multiprocessors, uint32_t token_tiles) {
  double best = 0;
  for (uint32_t i = 1; i <= multiprocessors; ++i) {
    double here = efficiency(multiprocessors, multiprocessors / i, token_tiles);
    if (here > best) best = here;
  }
  uint32_t workers = 1;
  while (efficiency(multiprocessors, workers, token_tiles) < best * 15 / 16 ||
         multiprocessors / (multiprocessors / workers) != workers) {
    ++workers;
  }
  return workers;
}

static void cost(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
                 const tsr_cuda_target *target, uint32_t tokens,
                 tsr_cuda_candidate *out) {
  uint32_t tile = out->kernel.block_tokens;
  nv_work work = {.token_tiles = (tokens - 1) / tile + 1};
  work.workers = workers_for(target->gpu.multiprocessors, work.token_tiles);
  work.weight_reads = (work.token_tiles - 1) / TSR_NVIDIA_RASTER + 1;
  work.byte_imbalance = facts->time_imbalance;  // its shares are cut by time
  work.time_imbalance = facts->time_imbalance;
  // Split panels go with the number of workers.
  work.partials = facts->partials * work.workers / target->gpu.multiprocessors;
  nv_cost(spec, facts, target, tokens, &work, out);
}

const nv_strategy nv_prefill = {
    .name = "prefill",
    .mode = TSR_NVIDIA_PREFILL,
    .refuse = refuse,
    .buckets = buckets,
    .geometry = geometry,
    .cost = cost,
    .emit = nv_emit_kernel,
};
