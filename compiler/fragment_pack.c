// SPDX-License-Identifier: Apache-2.0
// Tiles to bytes for the NVIDIA family (layout: base/fragment_abi.h). A row
// block of a k-chunk, 16 x 64 weights, is rounded to 16 bits into a small
// buffer, for 2:4 tiles squeezed to 16 x 32 kept elements and a 64-bit row of
// metadata, then dealt out to lanes.
#include "compiler/fragment_pack.h"

#include <assert.h>
#include <string.h>

#include "round16.h"
#include "tile.h"

// One row block of one k-chunk, padded with zeros.
typedef struct block_rows {
  uint16_t value[TSR_FRAGMENT_ROWS][TSR_FRAGMENT_CHUNK];
  uint16_t kept[TSR_FRAGMENT_ROWS][TSR_FRAGMENT_CHUNK / 2];
  uint64_t code[TSR_FRAGMENT_ROWS];  // 4 bits for each quad
} block_rows;

uint64_t tsr_fragment_byte_cost(const tsr_tile_grid *grid, uint32_t panel,
                                uint32_t column, tsr_kind kind) {
  return tsr_fragment_tile_size(tsr_grid_panel_rows(grid, panel),
                                tsr_grid_tile_columns(grid, column), kind);
}

uint64_t tsr_fragment_time_cost(const tsr_tile_grid *grid, uint32_t panel,
                                uint32_t column, tsr_kind kind) {
  return tsr_fragment_tile_time(tsr_grid_panel_rows(grid, panel),
                                tsr_grid_tile_columns(grid, column), kind);
}

// Columns that the tile has from tile column |first| on, of a k-chunk.
static uint32_t chunk_columns(const tile_source *source, uint32_t first) {
  uint32_t left = source->columns - first;
  return left < TSR_FRAGMENT_CHUNK ? left : TSR_FRAGMENT_CHUNK;
}

static void load_block(const tile_source *source, uint32_t row, uint32_t first,
                       block_rows *block) {
  uint32_t columns = chunk_columns(source, first);
  for (uint32_t i = 0; i < TSR_FRAGMENT_ROWS; ++i) {
    uint32_t filled = row + i < source->rows ? columns : 0;
    if (filled != 0) {
      tsr_round_row(source->values + (row + i) * source->value_stride + first,
                    block->value[i], filled, source->type);
    }
    memset(block->value[i] + filled, 0,
           (TSR_FRAGMENT_CHUNK - filled) * sizeof(uint16_t));
  }
}

// For each set of kept positions of a quad: the metadata code of the set filled
// up to two with the lowest free positions, where its two elements come from,
// and which of them are kept. Sets of more than two have no row.
typedef struct quad_rule {
  uint8_t code;
  uint8_t from[2];
  uint16_t keep[2];
} quad_rule;

#define QUAD(a, b, keep_a, keep_b) \
  {                                \
    (a) | (b) << 2, {(a), (b)}, {  \
      (keep_a), (keep_b)           \
    }                              \
  }
static const quad_rule quad_rules[16] = {
    [0x0] = QUAD(0, 1, 0, 0),           [0x1] = QUAD(0, 1, 0xffff, 0),
    [0x2] = QUAD(0, 1, 0, 0xffff),      [0x3] = QUAD(0, 1, 0xffff, 0xffff),
    [0x4] = QUAD(0, 2, 0, 0xffff),      [0x5] = QUAD(0, 2, 0xffff, 0xffff),
    [0x6] = QUAD(1, 2, 0xffff, 0xffff), [0x8] = QUAD(0, 3, 0, 0xffff),
    [0x9] = QUAD(0, 3, 0xffff, 0xffff), [0xa] = QUAD(1, 3, 0xffff, 0xffff),
    [0xc] = QUAD(2, 3, 0xffff, 0xffff),
};

// The row's keep bits of the k-chunk from tile column |first| on.
static uint64_t chunk_keep(const tile_source *source, uint32_t row,
                           uint32_t first) {
  if (row >= source->rows) return 0;
  const uint8_t *keep = source->keep + row * source->keep_stride;
  uint32_t columns = chunk_columns(source, first);
  uint32_t bit = source->column + first, shift = bit % 8;
  uint64_t bits = 0;
  for (uint32_t i = 0; i < (shift + columns + 7) / 8 && i < 8; ++i) {
    bits |= (uint64_t)keep[bit / 8 + i] << 8 * i;
  }
  bits >>= shift;
  if (shift + columns > 64) bits |= (uint64_t)keep[bit / 8 + 8] << (64 - shift);
  return columns < 64 ? bits & (((uint64_t)1 << columns) - 1) : bits;
}

static void squeeze_block(const tile_source *source, uint32_t row,
                          uint32_t first, block_rows *block) {
  for (uint32_t i = 0; i < TSR_FRAGMENT_ROWS; ++i) {
    uint64_t keep = chunk_keep(source, row + i, first);
    uint64_t code = 0;
    for (uint32_t quad = 0; quad < TSR_FRAGMENT_CHUNK / 4; ++quad) {
      const quad_rule *rule = &quad_rules[keep >> 4 * quad & 0xf];
      const uint16_t *value = &block->value[i][4 * quad];
      assert(rule->code != 0);
      code |= (uint64_t)rule->code << 4 * quad;
      block->kept[i][2 * quad] = value[rule->from[0]] & rule->keep[0];
      block->kept[i][2 * quad + 1] = value[rule->from[1]] & rule->keep[1];
    }
    block->code[i] = code;
  }
}

// Deals 16 rows of 16 elements, |stride| elements apart, out to 32 lanes.
static void deal_fragment(const uint16_t *rows, size_t stride, uint8_t *out) {
  for (uint32_t g = 0; g < 8; ++g) {
    const uint16_t *upper = rows + g * stride, *lower = upper + 8 * stride;
    for (uint32_t t = 0; t < 4; ++t) {
      uint8_t *lane = out + (size_t)(4 * g + t) * TSR_FRAGMENT_LANE;
      memcpy(lane, upper + 2 * t, 4);
      memcpy(lane + 4, lower + 2 * t, 4);
      memcpy(lane + 8, upper + 2 * t + 8, 4);
      memcpy(lane + 12, lower + 2 * t + 8, 4);
    }
  }
}

// Word |index| of the |words| words of every lane.
static void deal_metadata(const uint64_t code[TSR_FRAGMENT_ROWS],
                          uint32_t words, uint32_t index, uint8_t *out) {
  for (uint32_t g = 0; g < 8; ++g) {
    for (uint32_t t = 0; t < 4; ++t) {
      uint32_t low = (uint32_t)(code[g] >> 16 * t & 0xffff);
      uint32_t high = (uint32_t)(code[g + 8] >> 16 * t & 0xffff);
      uint32_t word = low | high << 16;
      memcpy(out + 4 * ((4 * g + t) * words + index), &word, sizeof(word));
    }
  }
}

// One row block of a unit, |index| of |blocks|, its first weight at |row|,
// |first| of the tile.
static void pack_block(const tile_source *source, tsr_kind kind, uint32_t row,
                       uint32_t first, uint32_t index, uint32_t blocks,
                       uint8_t *unit) {
  block_rows block;
  load_block(source, row, first, &block);
  const uint16_t *rows = block.value[0];
  size_t stride = TSR_FRAGMENT_CHUNK;
  if (kind == TSR_KIND_SPARSE24) {
    squeeze_block(source, row, first, &block);
    deal_metadata(block.code, tsr_fragment_metadata_words(blocks), index, unit);
    rows = block.kept[0];
    stride = TSR_FRAGMENT_CHUNK / 2;
  }
  uint32_t steps = tsr_fragment_steps(chunk_columns(source, first), kind);
  for (uint32_t step = 0; step < steps; ++step) {
    deal_fragment(rows + (size_t)step * 16, stride,
                  unit + tsr_fragment_offset(blocks, kind, step, index));
  }
}

static void pack_unit(const tile_source *source, tsr_kind kind, uint32_t chunk,
                      uint32_t group, uint8_t *unit) {
  uint32_t blocks = tsr_fragment_group_blocks(source->rows, group);
  for (uint32_t i = 0; i < blocks; ++i) {
    pack_block(source, kind, (4 * group + i) * TSR_FRAGMENT_ROWS,
               chunk * TSR_FRAGMENT_CHUNK, i, blocks, unit);
  }
  uint32_t words = tsr_fragment_metadata_words(blocks);
  if (kind != TSR_KIND_SPARSE24 || words == blocks) return;
  uint64_t padding[TSR_FRAGMENT_ROWS];
  for (int i = 0; i < TSR_FRAGMENT_ROWS; ++i) padding[i] = 0x4444444444444444;
  deal_metadata(padding, words, blocks, unit);
}

void tsr_fragment_pack_tile(const float *values, size_t value_stride,
                            const uint8_t *keep, size_t keep_stride,
                            uint32_t column, uint32_t rows, uint32_t columns,
                            tsr_kind kind, tsr_dtype type, void *out) {
  tile_source source = {values, value_stride, keep,    keep_stride,
                        column, rows,         columns, type};
  if (kind == TSR_KIND_ZERO) return;
  for (uint32_t chunk = 0; chunk < tsr_fragment_chunks(columns); ++chunk) {
    for (uint32_t group = 0; group < tsr_fragment_groups(rows); ++group) {
      pack_unit(&source, kind, chunk, group,
                (uint8_t *)out + tsr_fragment_unit_offset(rows, columns, kind,
                                                          chunk, group));
    }
  }
}
