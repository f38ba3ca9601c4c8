// SPDX-License-Identifier: Apache-2.0
// Tiles to bytes for the host family, and the schedule section. The layout is
// base/host_abi.h's. Packing goes unit by unit: 8 rows are rounded to 16 bits
// into a small buffer (a loop that compilers vectorise), then dealt out in
// groups of 4 columns, 8 bytes at a time.
#include "compiler/host_pack.h"

#include <assert.h>
#include <string.h>

#include "round16.h"
#include "tile.h"

enum { COLUMN_LIMIT = 512 };  // of a tile

// 8 rows of a tile as 16-bit patterns, padded with zeros to whole quads.
typedef struct unit_rows {
  uint16_t row[TSR_HOST_UNIT_ROWS][COLUMN_LIMIT];
} unit_rows;

uint64_t tsr_host_tile_cost(const tsr_tile_grid *grid, uint32_t panel,
                            uint32_t column, tsr_kind kind) {
  return tsr_host_tile_size(tsr_grid_panel_rows(grid, panel),
                            tsr_grid_tile_columns(grid, column), kind);
}

static void load_unit(const tile_source *source, uint32_t row,
                      unit_rows *rows) {
  uint32_t padded = (source->columns + 3u) / 4u * 4u;
  for (uint32_t i = 0; i < TSR_HOST_UNIT_ROWS; ++i) {
    uint32_t filled = row + i < source->rows ? source->columns : 0;
    if (filled != 0) {
      const float *from = source->values + (row + i) * source->value_stride;
      tsr_round_row(from, rows->row[i], filled, source->type);
    }
    memset(rows->row[i] + filled, 0, (padded - filled) * sizeof(uint16_t));
  }
}

// |stride|: bytes from one quad's unit to the next quad's.
static void pack_dense_unit(const unit_rows *rows, uint32_t quads,
                            size_t stride, uint8_t *out) {
  for (uint32_t quad = 0; quad < quads; ++quad) {
    uint8_t *unit = out + quad * stride;
    for (uint32_t i = 0; i < TSR_HOST_UNIT_ROWS; ++i) {
      memcpy(unit + 8 * i, &rows->row[i][4 * quad], 8);
    }
  }
}

// For each set of kept positions of a group (4 bits): the set filled up to two
// with the lowest free positions, and where its two elements come from. A
// position that was filled in gives zero.
typedef struct group_rule {
  uint8_t mask;
  uint8_t shift[2];
  uint16_t keep[2];
} group_rule;

#define GROUP(mask, a, b, keep_a, keep_b) \
  {                                       \
    (mask), {16 * (a), 16 * (b)}, {       \
      (keep_a), (keep_b)                  \
    }                                     \
  }
static const group_rule group_rules[16] = {
    [0x0] = GROUP(0x3, 0, 1, 0, 0),
    [0x1] = GROUP(0x3, 0, 1, 0xffff, 0),
    [0x2] = GROUP(0x3, 0, 1, 0, 0xffff),
    [0x3] = GROUP(0x3, 0, 1, 0xffff, 0xffff),
    [0x4] = GROUP(0x5, 0, 2, 0, 0xffff),
    [0x5] = GROUP(0x5, 0, 2, 0xffff, 0xffff),
    [0x6] = GROUP(0x6, 1, 2, 0xffff, 0xffff),
    [0x8] = GROUP(0x9, 0, 3, 0, 0xffff),
    [0x9] = GROUP(0x9, 0, 3, 0xffff, 0xffff),
    [0xa] = GROUP(0xa, 1, 3, 0xffff, 0xffff),
    [0xc] = GROUP(0xc, 2, 3, 0xffff, 0xffff),
};

// Kept positions of 4 columns from tile column 4 * |quad| on.
static unsigned group_keep(const tile_source *source, uint32_t row,
                           uint32_t quad) {
  if (row >= source->rows) return 0;
  uint32_t bit = source->column + 4 * quad;
  unsigned bits = source->keep[row * source->keep_stride + bit / 8] >> bit % 8;
  uint32_t left = source->columns - 4 * quad;
  return bits & (left < 4 ? (1u << left) - 1u : 0xfu);
}

// Unit |unit| of each quad; |panel|: the micro-panel's first byte.
static void pack_sparse_unit(const tile_source *source, uint32_t row,
                             const unit_rows *rows, uint32_t quads,
                             uint32_t units, uint32_t unit, uint8_t *panel) {
  for (uint32_t quad = 0; quad < quads; ++quad) {
    uint32_t mask = 0;
    uint16_t kept[2 * TSR_HOST_UNIT_ROWS];
    for (uint32_t i = 0; i < TSR_HOST_UNIT_ROWS; ++i) {
      const group_rule *rule = &group_rules[group_keep(source, row + i, quad)];
      assert(rule->mask != 0);
      uint64_t group;
      memcpy(&group, &rows->row[i][4 * quad], sizeof(group));
      mask |= (uint32_t)rule->mask << 4 * i;
      kept[2 * i] = (uint16_t)(group >> rule->shift[0]) & rule->keep[0];
      kept[2 * i + 1] = (uint16_t)(group >> rule->shift[1]) & rule->keep[1];
    }
    size_t index = (size_t)quad * units + unit;
    uint8_t *block = panel + index / TSR_HOST_BLOCK_UNITS * TSR_HOST_BLOCK_SIZE;
    size_t place = index % TSR_HOST_BLOCK_UNITS;
    memcpy(block + place * sizeof(mask), &mask, sizeof(mask));
    memcpy(block + TSR_HOST_ALIGNMENT + place * sizeof(kept), kept,
           sizeof(kept));
  }
}

static size_t round_up(size_t size) {
  return (size + TSR_HOST_ALIGNMENT - 1) / TSR_HOST_ALIGNMENT *
         TSR_HOST_ALIGNMENT;
}

// One micro-panel: rows from |row| on, |units| units high. Returns its end.
static uint8_t *pack_micro_panel(const tile_source *source, tsr_kind kind,
                                 uint32_t row, uint32_t units, uint8_t *out) {
  unit_rows rows;
  uint32_t quads = (source->columns + 3u) / 4u;
  size_t size = (size_t)tsr_host_tile_size(units * TSR_HOST_UNIT_ROWS,
                                           quads * TSR_HOST_QUAD, kind);
  if (kind == TSR_KIND_SPARSE24) {  // the last block may have gaps
    size_t whole =
        (size_t)units * quads / TSR_HOST_BLOCK_UNITS * TSR_HOST_BLOCK_SIZE;
    memset(out + whole, 0, size - whole);
  }
  for (uint32_t unit = 0; unit < units; ++unit) {
    uint32_t first = row + unit * TSR_HOST_UNIT_ROWS;
    load_unit(source, first, &rows);
    if (kind == TSR_KIND_DENSE) {
      pack_dense_unit(&rows, quads, (size_t)units * 64, out + 64 * unit);
    } else {
      pack_sparse_unit(source, first, &rows, quads, units, unit, out);
    }
  }
  return out + size;
}

void tsr_host_pack_tile(const float *values, size_t value_stride,
                        const uint8_t *keep, size_t keep_stride,
                        uint32_t column, uint32_t rows, uint32_t columns,
                        tsr_kind kind, tsr_dtype type, void *out) {
  assert(columns <= COLUMN_LIMIT && column % TSR_HOST_QUAD == 0);
  tile_source source = {values, value_stride, keep,    keep_stride,
                        column, rows,         columns, type};
  if (kind == TSR_KIND_ZERO) return;
  uint8_t *next = out;
  uint32_t units = (rows + 7u) / 8u;
  for (uint32_t unit = 0; unit < units; unit += 4) {
    uint32_t here = units - unit < 4 ? units - unit : 4;
    next =
        pack_micro_panel(&source, kind, unit * TSR_HOST_UNIT_ROWS, here, next);
  }
}

// ---- Schedule section ------------------------------------------------------

static void write_workers(const tsr_schedule *schedule, tsr_buffer *out,
                          uint64_t *out_stream_size) {
  uint64_t offset = 0;
  for (uint32_t i = 0; i < schedule->worker_count; ++i) {
    const tsr_worker *worker = &schedule->workers[i];
    tsr_host_worker record = {.stream_offset = offset,
                              .stream_size = worker->cost_bytes,
                              .segment_first = worker->segment_first,
                              .segment_count = worker->segment_count};
    tsr_buffer_append(out, &record, sizeof(record));
    offset += round_up((size_t)worker->cost_bytes);
  }
  *out_stream_size = offset;
}

void tsr_host_write_schedule(const tsr_schedule *schedule, tsr_buffer *out,
                             uint64_t *out_stream_size) {
  tsr_host_schedule header = {.worker_count = schedule->worker_count,
                              .segment_count = schedule->segment_count,
                              .reduction_count = schedule->reduction_count,
                              .tile_count = schedule->tile_count,
                              .partial_count = schedule->partial_count};
  tsr_buffer_append(out, &header, sizeof(header));
  write_workers(schedule, out, out_stream_size);
  for (uint32_t i = 0; i < schedule->segment_count; ++i) {
    const tsr_segment *from = &schedule->segments[i];
    tsr_host_segment record = {from->panel, from->tile_first, from->tile_count,
                               from->partial};
    tsr_buffer_append(out, &record, sizeof(record));
  }
  for (uint32_t i = 0; i < schedule->reduction_count; ++i) {
    const tsr_reduction *from = &schedule->reductions[i];
    tsr_host_reduction record = {from->panel, from->partial_first,
                                 from->partial_count, 0};
    tsr_buffer_append(out, &record, sizeof(record));
  }
  for (uint32_t i = 0; i < schedule->tile_count; ++i) {
    const tsr_scheduled_tile *from = &schedule->tiles[i];
    tsr_host_tile record = (tsr_host_tile)from->kind << 24 | from->column;
    tsr_buffer_append(out, &record, sizeof(record));
  }
}
