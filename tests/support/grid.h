// SPDX-License-Identifier: Apache-2.0
// The tile grid of a matrix of any size, whose kinds are the test's own.
#ifndef TESTS_SUPPORT_GRID_H_
#define TESTS_SUPPORT_GRID_H_

#include "compiler/kind.h"

// |kinds| (may be NULL, to be set when the counts are known): one for each
// tile.
static inline tsr_tile_grid grid_of(uint32_t rows, uint32_t columns,
                                    tsr_tile_shape tile, uint8_t *kinds) {
  return (tsr_tile_grid){.tile = tile,
                         .rows = rows,
                         .columns = columns,
                         .panel_count = (rows - 1) / tile.rows + 1,
                         .column_count = (columns - 1) / tile.columns + 1,
                         .kinds = kinds};
}

#endif  // TESTS_SUPPORT_GRID_H_
