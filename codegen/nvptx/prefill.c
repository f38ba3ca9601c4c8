// SPDX-License-Identifier: Apache-2.0
// The strategy for any number of tokens, meant for more than 64: blocks divide
// the tokens too, and warps that the rows of a panel leave over stand side by
// side in tokens, so that the weights in L2 are read once for up to 256 tokens.
#include "base/nvidia_cut.h"
#include "cost.h"
#include "nv.h"

enum {
  PREFILL_WARPS = 8,
  PREFILL_SLICES = 4,
  PREFILL_SMALL = 128,
  // floor(n / i) has fewer than 2 sqrt(n) values: room for 1024
  // multiprocessors.
  CLASS_CUTS = 64,
};

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

// The cut that the runtime takes (docs/runtime.md), of those that a bundle has;
// split panels go with the number of workers.
static tsr_nvidia_cut pick_cut(const tsr_kernel_spec *spec,
                               const tsr_cuda_facts *facts,
                               uint32_t multiprocessors, uint32_t token_tiles) {
  tsr_nvidia_cut cuts[CLASS_CUTS];
  uint32_t count = 0;
  tsr_nvidia_launch launch = {.mode = TSR_NVIDIA_PREFILL,
                              .token_tiles = token_tiles,
                              .multiprocessors = multiprocessors,
                              .tile_rows = spec->tile.rows,
                              .stream_bytes = facts->stream_bytes};
  for (uint32_t workers = multiprocessors; workers > 0;
       workers = tsr_nvidia_fewer_workers(multiprocessors, workers)) {
    cuts[count++] = (tsr_nvidia_cut){
        .mode = TSR_NVIDIA_PREFILL,
        .worker_count = workers,
        .partial_count =
            (uint32_t)(facts->partials * workers / multiprocessors)};
  }
  return *tsr_nvidia_cut_pick(cuts, count, &launch);
}

static void cost(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
                 const tsr_cuda_target *target, uint32_t tokens,
                 tsr_cuda_candidate *out) {
  uint32_t tile = out->kernel.block_tokens;
  nv_work work = {.token_tiles = (tokens - 1) / tile + 1};
  tsr_nvidia_cut cut =
      pick_cut(spec, facts, target->gpu.multiprocessors, work.token_tiles);
  work.workers = cut.worker_count;
  work.partials = cut.partial_count;
  work.weight_reads = (work.token_tiles - 1) / TSR_NVIDIA_RASTER + 1;
  work.byte_imbalance = facts->time_imbalance;  // its shares are cut by time
  work.time_imbalance = facts->time_imbalance;
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
