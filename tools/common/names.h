// SPDX-License-Identifier: Apache-2.0
// Many names in little room. The layers of a model are named by a few patterns:
// "layers.{0..31}.{q,k,v,o}_proj" says as much as 128 names, as a shell's
// braces would.
#ifndef COMMON_NAMES_H_
#define COMMON_NAMES_H_

#include "base/buffer.h"

// Appends patterns that stand for exactly |names|, separated by ", ". Where
// there are too many to read, "..." stands for the rest. What stands in braces
// keeps the order of |names|. Without memory |out| fails.
void tsr_names_fold(const char *const *names, uint32_t count, tsr_buffer *out);

#endif  // COMMON_NAMES_H_
