// SPDX-License-Identifier: Apache-2.0
// See pruned.h.
#include "pruned.h"

#include "number.h"
#include "random.h"

enum { TILE_COLUMNS_MAX = 512 };  // docs/language.md

// A row's keep bytes in one tile: dense keeps most, 2:4 keeps 0, 1 or (mostly)
// 2 of 4.
static void keep_row(tsr_kind kind, uint32_t columns, uint64_t *random,
                     uint8_t *keep) {
  for (uint32_t c = 0; c < columns; ++c) {
    keep[c] = kind == TSR_KIND_DENSE && random_next(random) % 16 != 0;
  }
  if (kind != TSR_KIND_SPARSE24) return;
  for (uint32_t c = 0; c < columns; c += 4) {
    uint32_t left = columns - c < 4 ? columns - c : 4;
    uint64_t dice = random_next(random);
    uint32_t first = (uint32_t)(dice % left);
    if ((dice >> 8) % 32 != 0) keep[c + first] = 1;
    if (left < 2 || (dice >> 16) % 16 == 0) continue;
    keep[c + (first + 1 + (dice >> 24) % (left - 1)) % left] = 1;
  }
}

static void fill_row(const pruned *p, const tsr_tile_grid *grid, uint32_t row,
                     tsr_dtype type, uint64_t *random) {
  uint8_t keep[TILE_COLUMNS_MAX];
  float *weights = p->weights + (size_t)row * grid->columns;
  uint8_t *bits = p->keep + row * p->keep_stride;
  for (uint32_t t = 0; t < grid->column_count; ++t) {
    tsr_kind kind = tsr_grid_kind(grid, row / grid->tile.rows, t);
    uint32_t columns = tsr_grid_tile_columns(grid, t);
    keep_row(kind, columns, random, keep);
    for (uint32_t c = 0; c < columns; ++c) {
      if (keep[c] == 0) continue;
      uint32_t column = t * grid->tile.columns + c;
      weights[column] =
          number_value(number_bits(random_uniform(random), type), type);
      bits[column / 8] |= (uint8_t)(1u << column % 8);
    }
  }
  p->bias[row] = random_uniform(random);
}

bool pruned_create(tsr_arena *arena, const tsr_tile_grid *grid, tsr_dtype type,
                   uint64_t *random, pruned *out) {
  uint32_t rows = grid->rows;
  out->keep_stride = (grid->columns + 7) / 8;
  out->weights =
      tsr_arena_alloc_array(arena, rows, grid->columns * sizeof(float));
  out->bias = tsr_arena_alloc_array(arena, rows, sizeof(float));
  out->keep = tsr_arena_alloc_array(arena, rows, out->keep_stride);
  if (!out->weights || !out->bias || !out->keep) return false;
  for (uint32_t row = 0; row < rows; ++row) {
    fill_row(out, grid, row, type, random);
  }
  return true;
}
