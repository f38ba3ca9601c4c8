// SPDX-License-Identifier: Apache-2.0
// Which of a layer's cuts a launch takes (docs/runtime.md, "Choosing a cut"):
// here, because the runtime follows the rule and the tools tell what comes of
// it.
#ifndef BASE_NVIDIA_CUT_H_
#define BASE_NVIDIA_CUT_H_

#include "base/nvidia_abi.h"

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
