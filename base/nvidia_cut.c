// SPDX-License-Identifier: Apache-2.0
// See nvidia_cut.h.
#include "base/nvidia_cut.h"

#include <stdbool.h>
#include <stddef.h>

// Costs within a sixteenth of the least are taken for equal: what is predicted
// is not more exact than that.
static const double near_equal = 16.0 / 15.0;

// Bytes of partial sums that take as long as one instruction of the tensor
// cores, on one multiprocessor. codegen/nvptx/target.c has the rates: an A100
// multiplies for 1.42 ns, in which memory moves 27 bytes and the second cache
// 94; an H100 for 0.87 ns, 22 and 71. Few sums stay in the cache, many do not.
static const double bytes_per_instruction = 64.0;

// Enough counters in a workspace's header, and blocks that a grid may have.
static bool fits(const tsr_nvidia_cut *cut, uint32_t tiles) {
  return (uint64_t)tiles * cut->reduction_count <= TSR_NVIDIA_COUNTERS &&
         (uint64_t)tiles * cut->worker_count <= INT32_MAX;
}

// What a multiprocessor does one after the other, in instructions per 8 tokens:
// as many blocks as there are waves, each with its part of the multiplications
// (512 bytes of weights each; 576 if 2:4) and of the partial sums, which are
// written once and read once.
static double cost_of(const tsr_nvidia_cut *cut, const tsr_nvidia_launch *l) {
  uint64_t blocks = (uint64_t)l->token_tiles * cut->worker_count;
  uint64_t waves = (blocks - 1) / l->multiprocessors + 1;
  double multiplied = (double)l->stream_bytes / TSR_FRAGMENT_SIZE;
  double slot = 8.0 * l->tile_rows * sizeof(float);
  double sums = 2.0 * slot * cut->partial_count / bytes_per_instruction;
  return (double)waves * (multiplied + sums) / cut->worker_count;
}

static const tsr_nvidia_cut *pick_prefill(const tsr_nvidia_cut *cuts,
                                          uint32_t count,
                                          const tsr_nvidia_launch *launch) {
  double best = -1;
  for (uint32_t i = 0; i < count; ++i) {
    if (cuts[i].mode != TSR_NVIDIA_PREFILL) continue;
    if (!fits(&cuts[i], launch->token_tiles)) continue;
    double here = cost_of(&cuts[i], launch);
    if (best < 0 || here < best) best = here;
  }
  const tsr_nvidia_cut *chosen = NULL;
  double chosen_at = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_nvidia_cut *cut = &cuts[i];
    if (cut->mode != TSR_NVIDIA_PREFILL) continue;
    if (!fits(cut, launch->token_tiles)) continue;
    double here = cost_of(cut, launch);
    if (here > best * near_equal) continue;
    if (chosen == NULL || cut->partial_count < chosen->partial_count ||
        (cut->partial_count == chosen->partial_count && here < chosen_at)) {
      chosen = cut;
      chosen_at = here;
    }
  }
  return chosen;
}

static const tsr_nvidia_cut *pick_decode(const tsr_nvidia_cut *cuts,
                                         uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (cuts[i].mode == TSR_NVIDIA_DECODE) {
      return fits(&cuts[i], 1) ? &cuts[i] : NULL;
    }
  }
  return NULL;
}

const tsr_nvidia_cut *tsr_nvidia_cut_pick(const tsr_nvidia_cut *cuts,
                                          uint32_t count,
                                          const tsr_nvidia_launch *launch) {
  return launch->mode == TSR_NVIDIA_DECODE ? pick_decode(cuts, count)
                                           : pick_prefill(cuts, count, launch);
}
