// SPDX-License-Identifier: Apache-2.0
// Which of a layer's cuts a launch takes (docs/runtime.md, "Choosing a cut"):
// here, because the runtime follows the rule and the tools tell what comes of
// it.
#ifndef BASE_NVIDIA_CUT_H_
#define BASE_NVIDIA_CUT_H_

#include "base/nvidia_abi.h"

// Of the |count| cuts of one class of device that for |tiles| token tiles (of a
// kernel in decode mode 1) on a device of |multiprocessors|. NULL: each needs
// more blocks or counters than there can be.
const tsr_nvidia_cut *tsr_nvidia_cut_pick(const tsr_nvidia_cut *cuts,
                                          uint32_t count, tsr_nvidia_mode mode,
                                          uint32_t tiles,
                                          uint32_t multiprocessors);

#endif  // BASE_NVIDIA_CUT_H_
