// SPDX-License-Identifier: Apache-2.0
// Tiles of a matrix (support/tile.h) as the NVIDIA family packs them.
#ifndef TESTS_FRAGMENT_TILE_H_
#define TESTS_FRAGMENT_TILE_H_

#include "compiler/fragment_pack.h"
#include "support/tile.h"

static inline void matrix_pack(const matrix *m, uint32_t first, uint32_t rows,
                               uint32_t columns, tsr_kind kind, tsr_dtype type,
                               void *out) {
  tsr_fragment_pack_tile(&m->values[0][first], WIDTH, &m->keep[0][0],
                         sizeof(m->keep[0]), first, rows, columns, kind, type,
                         out);
}

#endif  // TESTS_FRAGMENT_TILE_H_
