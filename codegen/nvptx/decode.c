// SPDX-License-Identifier: Apache-2.0
// The strategy for up to 64 tokens: a block does its share of the layer's steps
// for all tokens, so that every weight is read from memory once. Warps that the
// rows of a panel leave over take turns at the steps (k-slices).
#include "cost.h"
#include "nv.h"

enum { DECODE_LAST = 64, DECODE_WARPS = 8 };

static const char *refuse(const tsr_kernel_spec *spec,
                          const tsr_cuda_target *target) {
  (void)target;
  if (spec->token_last > DECODE_LAST) return "more than 64 tokens";
  return nv_refuse_shape(spec);
}

static uint32_t buckets(uint32_t out_last[TSR_KERNEL_LIMIT]) {
  static const uint32_t ends[] = {8, 16, 32, DECODE_LAST};
  for (uint32_t i = 0; i < 4; ++i) out_last[i] = ends[i];
  return 4;
}

// Three stages of X hide its latency behind two steps; two where shared memory
// would exceed what every target has, then fewer k-slices.
static tsr_cuda_geometry geometry(const tsr_kernel_spec *spec,
                                  uint32_t bucket_last) {
  tsr_cuda_geometry g = {0};
  g.groups = nv_groups(spec);
  g.k_slices = g.groups < DECODE_WARPS ? DECODE_WARPS / g.groups : 1;
  g.token_slices = 1;
  g.warp_tokens = bucket_last;
  g.depth = bucket_last <= 32 ? 4 : 2;
  for (;; g.k_slices /= 2) {
    for (g.stages = 3; g.stages >= 2; --g.stages) {
      if (nv_layout_of(&g).size <= NV_SHARED_LIMIT) return g;
    }
    if (g.k_slices == 1) break;
  }
  g.stages = 2;
  return g;
}

static void cost(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
                 const tsr_cuda_target *target, uint32_t tokens,
                 tsr_cuda_candidate *out) {
  nv_work work = {
      .token_tiles = 1,
      .workers = target->gpu.multiprocessors,
      .weight_reads = 1,
      .byte_imbalance = facts->byte_imbalance,
      .time_imbalance = facts->time_imbalance,
      .partials = facts->partials,
  };
  nv_cost(spec, facts, target, tokens, &work, out);
}

const nv_strategy nv_decode = {
    .name = "decode",
    .mode = TSR_NVIDIA_DECODE,
    .refuse = refuse,
    .buckets = buckets,
    .geometry = geometry,
    .cost = cost,
    .emit = nv_emit_kernel,
};
