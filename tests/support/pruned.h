// SPDX-License-Identifier: Apache-2.0
// A random matrix, pruned as the kinds of its tiles say, with a bias: what
// layers of tests are packed from, and what their results are compared with.
#ifndef TESTS_SUPPORT_PRUNED_H_
#define TESTS_SUPPORT_PRUNED_H_

#include "base/arena.h"
#include "compiler/kind.h"

typedef struct pruned {
  float *weights;  // [rows, columns], as the type has them; 0 where pruned
  float *bias;     // [rows]
  uint8_t *keep;   // a bit for each weight, rows |keep_stride| bytes apart
  size_t keep_stride;
} pruned;

// Draws from |random|; memory comes from |arena|. False when there is none.
bool pruned_create(tsr_arena *arena, const tsr_tile_grid *grid, tsr_dtype type,
                   uint64_t *random, pruned *out);

#endif  // TESTS_SUPPORT_PRUNED_H_
