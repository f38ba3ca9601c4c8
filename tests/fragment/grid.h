// SPDX-License-Identifier: Apache-2.0
// Tile grids with kinds at random, for tests of cuts and tables.
#ifndef TESTS_FRAGMENT_GRID_H_
#define TESTS_FRAGMENT_GRID_H_

#include "compiler/schedule.h"
#include "support/grid.h"
#include "support/random.h"
#include "test.h"

enum { GRID_CELLS = 4096 };

static uint8_t grid_kinds[GRID_CELLS];

static inline tsr_tile_grid make_grid(uint32_t rows, uint32_t columns,
                                      tsr_tile_shape tile) {
  return grid_of(rows, columns, tile, grid_kinds);
}

// |mix| 0: zero, 1: 2:4, 2: dense, 3: any, 4: mostly zero with empty panels.
static inline void fill_kinds(uint64_t *random, const tsr_tile_grid *grid,
                              int mix) {
  CHECK(grid->panel_count * grid->column_count <= GRID_CELLS);
  for (uint32_t i = 0; i < grid->panel_count * grid->column_count; ++i) {
    uint32_t any = random_below(random, 3);
    if (mix == 4 && (i / grid->column_count % 3 != 1 || any == 1)) any = 0;
    grid_kinds[i] = (uint8_t)(mix < 3 ? (uint32_t)mix : any);
  }
}

#endif  // TESTS_FRAGMENT_GRID_H_
