// SPDX-License-Identifier: Apache-2.0
// Which cuts a layer has for prefill, and which of its cuts a launch takes
// (docs/runtime.md, "Choosing a cut"): here, because compiler, runtime and
// tools follow the same rules.
#ifndef BASE_NVIDIA_CUT_H_
#define BASE_NVIDIA_CUT_H_

#include "base/nvidia_abi.h"

// A class has a prefill cut for each floor(multiprocessors / i), from i = 1 on:
// the next smaller one after |workers|, or 0.
static inline uint32_t tsr_nvidia_fewer_workers(uint32_t multiprocessors,
                                                uint32_t workers) {
  return multiprocessors / (multiprocessors / workers + 1u);
}

// What a cut is picked for.
typedef struct tsr_nvidia_launch {
  tsr_nvidia_mode mode;
  uint32_t token_tiles;      // of a kernel in decode mode 1
  uint32_t multiprocessors;  // of the device
  uint32_t tile_rows;
  uint64_t stream_bytes;  // packed weights of the layer
} tsr_nvidia_launch;

// Of the |count| cuts of one class of device. NULL: each needs more blocks or
// counters than there can be.
const tsr_nvidia_cut *tsr_nvidia_cut_pick(const tsr_nvidia_cut *cuts,
                                          uint32_t count,
                                          const tsr_nvidia_launch *launch);

#endif  // BASE_NVIDIA_CUT_H_
