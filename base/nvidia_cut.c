// SPDX-License-Identifier: Apache-2.0
#include "base/nvidia_cut.h"

#include <stdbool.h>
#include <stddef.h>

// Efficiencies within a sixteenth of the best are taken for equal: what is
// predicted is not more exact than that.
static const double near_equal = 15.0 / 16.0;

// Enough counters in a workspace's header, and blocks that a grid may have.
static bool fits(const tsr_nvidia_cut *cut, uint32_t tiles) {
  return (uint64_t)tiles * cut->reduction_count <= TSR_NVIDIA_COUNTERS &&
         (uint64_t)tiles * cut->worker_count <= INT32_MAX;
}

// The share of the device's time in which its multiprocessors have a block: all
// waves but the last are full. 1 for any number of full waves.
static double efficiency(const tsr_nvidia_cut *cut, uint32_t tiles,
                         uint32_t multiprocessors) {
  uint64_t blocks = (uint64_t)tiles * cut->worker_count;
  uint64_t waves = (blocks - 1) / multiprocessors + 1;
  return (double)blocks / ((double)waves * multiprocessors);
}

static const tsr_nvidia_cut *pick_prefill(const tsr_nvidia_cut *cuts,
                                          uint32_t count, uint32_t tiles,
                                          uint32_t multiprocessors) {
  double best = 0;
  const tsr_nvidia_cut *chosen = NULL;
  double chosen_at = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_nvidia_cut *cut = &cuts[i];
    if (cut->mode != TSR_NVIDIA_PREFILL || !fits(cut, tiles)) continue;
    double here = efficiency(cut, tiles, multiprocessors);
    if (here > best) best = here;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_nvidia_cut *cut = &cuts[i];
    if (cut->mode != TSR_NVIDIA_PREFILL || !fits(cut, tiles)) continue;
    double here = efficiency(cut, tiles, multiprocessors);
    if (here < best * near_equal) continue;
    if (chosen == NULL || cut->partial_count < chosen->partial_count ||
        (cut->partial_count == chosen->partial_count && here > chosen_at)) {
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
                                          uint32_t count, tsr_nvidia_mode mode,
                                          uint32_t tiles,
                                          uint32_t multiprocessors) {
  return mode == TSR_NVIDIA_DECODE
             ? pick_decode(cuts, count)
             : pick_prefill(cuts, count, tiles, multiprocessors);
}
