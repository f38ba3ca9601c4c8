// SPDX-License-Identifier: Apache-2.0
// Tile kinds as a table, so that a new kind is one more row. This file knows
// no layout: bytes are those of the element values plus mask bits.
#ifndef COMPILER_KIND_H_
#define COMPILER_KIND_H_

#include "base/types.h"

typedef struct tsr_kind_info {
  const char *name;         // "zero", "sparse24", "dense": plans and manifests
  char symbol;              // '.', 's', 'D': the tile map
  double bytes_per_weight;  // of 16-bit weights: 0, 1.125, 2
  double time_per_weight;   // multiply time relative to dense: 0, 0.5, 1
} tsr_kind_info;

// The row of |kind|; static storage.
const tsr_kind_info *tsr_kind_describe(tsr_kind kind);

// Kinds of every tile of one matrix, row-major [panel_count, column_count].
typedef struct tsr_tile_grid {
  tsr_tile_shape tile;
  uint32_t rows;          // of the matrix
  uint32_t columns;       // of the matrix
  uint32_t panel_count;   // ceil(rows / tile.rows)
  uint32_t column_count;  // ceil(columns / tile.columns): tiles per panel
  uint8_t *kinds;         // tsr_kind; borrowed from an arena
} tsr_tile_grid;

// Rows of panel |panel|: tile.rows, or fewer at the ragged lower edge.
static inline uint32_t tsr_grid_panel_rows(const tsr_tile_grid *grid,
                                           uint32_t panel) {
  uint32_t begin = panel * grid->tile.rows;
  uint32_t left = grid->rows - begin;
  return left < grid->tile.rows ? left : grid->tile.rows;
}

// Columns of tile column |column|, likewise.
static inline uint32_t tsr_grid_tile_columns(const tsr_tile_grid *grid,
                                             uint32_t column) {
  uint32_t begin = column * grid->tile.columns;
  uint32_t left = grid->columns - begin;
  return left < grid->tile.columns ? left : grid->tile.columns;
}

static inline tsr_kind tsr_grid_kind(const tsr_tile_grid *grid, uint32_t panel,
                                     uint32_t column) {
  return (tsr_kind)grid->kinds[(size_t)panel * grid->column_count + column];
}

#endif  // COMPILER_KIND_H_
