// SPDX-License-Identifier: Apache-2.0
// Reads packed tiles of the host family by index formula, element by element:
// slow, obvious, and sharing nothing with host_pack.c, so that a mistake in one
// does not hide the same mistake in the other.
#include <string.h>

#include "compiler/host_pack.h"
#include "tile.h"

typedef struct packed_tile {
  const uint8_t *bytes;
  uint32_t rows, columns;                // as stored in the matrix
  uint32_t padded_rows, padded_columns;  // to multiples of 8 and 4
} packed_tile;

static uint32_t read_u32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
         (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint16_t read_u16(const uint8_t *bytes) {
  return (uint16_t)(bytes[0] | bytes[1] << 8);
}

// Rows of the micro-panel that |row| lies in: 32, or what is left.
static uint64_t micro_rows(const packed_tile *tile, uint32_t row) {
  uint32_t left = tile->padded_rows - row / 32 * 32;
  return left < 32 ? left : 32;
}

static uint16_t dense_element(const packed_tile *tile, uint32_t row,
                              uint32_t column) {
  uint64_t before = (uint64_t)(row / 32) * 32 * tile->padded_columns;
  uint64_t index = before + micro_rows(tile, row) * 4 * (column / 4) +
                   row % 32 / 8 * 32 + row % 8 * 4 + column % 4;
  return read_u16(tile->bytes + 2 * index);
}

// A micro-panel of h rows has h/8 * C/4 units: for every 16 of them 64 bytes of
// masks and 512 of elements; for the rest 64 and 32 each, rounded up to 64.
static uint64_t sparse_panel_size(uint64_t rows, uint32_t columns) {
  uint64_t units = rows / 8 * (columns / 4);
  uint64_t rest = units % 16 == 0 ? 0 : 64 + (units % 16 + 1) / 2 * 64;
  return units / 16 * 576 + rest;
}

static uint32_t sparse_mask(const packed_tile *tile, uint32_t row,
                            uint32_t column, const uint8_t **out_elements) {
  uint32_t columns = tile->padded_columns;
  uint64_t rows = micro_rows(tile, row);
  const uint8_t *panel = tile->bytes;
  panel += row / 32 * sparse_panel_size(32, columns);
  uint64_t unit = column / 4 * (rows / 8) + row % 32 / 8;
  panel += unit / 16 * 576;
  *out_elements = panel + 64 + unit % 16 * 32;
  return read_u32(panel + unit % 16 * 4);
}

static uint16_t sparse_element(const packed_tile *tile, uint32_t row,
                               uint32_t column, uint8_t *out_keep) {
  const uint8_t *elements;
  uint32_t mask = sparse_mask(tile, row, column, &elements);
  unsigned bit = row % 8 * 4 + column % 4;
  *out_keep = mask >> bit & 1u;
  if (*out_keep == 0) return 0;
  int index = __builtin_popcount(mask & ((1u << bit) - 1u));
  return read_u16(elements + 2 * index);
}

static tsr_status check_masks(const packed_tile *tile, tsr_error *error) {
  for (uint32_t row = 0; row < tile->padded_rows; ++row) {
    for (uint32_t column = 0; column < tile->padded_columns; column += 4) {
      const uint8_t *elements;
      uint32_t mask = sparse_mask(tile, row, column, &elements);
      if (__builtin_popcount(mask >> row % 8 * 4 & 0xfu) != 2) {
        return tsr_error_set(error, TSR_CORRUPT,
                             "row %u, column %u: a 2:4 group does not keep 2",
                             row, column);
      }
    }
  }
  return TSR_OK;
}

static bool is_zero(const uint8_t *bytes, uint64_t size) {
  for (uint64_t i = 0; i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

// The gaps behind the masks and the elements of each micro-panel's last block.
static tsr_status check_gaps(const packed_tile *tile, tsr_error *error) {
  const uint8_t *part = tile->bytes;
  for (uint32_t row = 0; row < tile->padded_rows; row += 32) {
    uint64_t rows = micro_rows(tile, row);
    uint64_t units = rows / 8 * (tile->padded_columns / 4);
    const uint8_t *end = part + sparse_panel_size(rows, tile->padded_columns);
    const uint8_t *last = part + units / 16 * 576;
    part = end;
    if (last == end) continue;
    uint64_t masks = units % 16 * 4;
    const uint8_t *elements = last + 64 + units % 16 * 32;
    if (!is_zero(last + masks, 64 - masks) ||
        !is_zero(elements, (uint64_t)(end - elements))) {
      return tsr_error_set(error, TSR_CORRUPT, "a gap is not zero");
    }
  }
  return TSR_OK;
}

static tsr_status unpack_element(const packed_tile *tile, tsr_kind kind,
                                 uint32_t row, uint32_t column,
                                 uint16_t *values, uint8_t *keep,
                                 tsr_error *error) {
  uint8_t kept = 1;
  uint16_t value = kind == TSR_KIND_DENSE
                       ? dense_element(tile, row, column)
                       : sparse_element(tile, row, column, &kept);
  return tile_put(tile->rows, tile->columns, row, column, value, kept, values,
                  keep, error);
}

tsr_status tsr_host_unpack_tile(const void *packed, uint32_t rows,
                                uint32_t columns, tsr_kind kind,
                                uint16_t *values, uint8_t *keep,
                                tsr_error *error) {
  packed_tile tile = {packed, rows, columns, (rows + 7) / 8 * 8,
                      (columns + 3) / 4 * 4};
  memset(values, 0, (size_t)rows * columns * sizeof(*values));
  memset(keep, 0, (size_t)rows * columns);
  if (kind == TSR_KIND_ZERO) return TSR_OK;
  tsr_status status = TSR_OK;
  if (kind == TSR_KIND_SPARSE24) {
    status = check_masks(&tile, error);
    if (status == TSR_OK) status = check_gaps(&tile, error);
  }
  for (uint32_t row = 0; row < tile.padded_rows; ++row) {
    for (uint32_t column = 0; column < tile.padded_columns; ++column) {
      if (status != TSR_OK) return status;
      status = unpack_element(&tile, kind, row, column, values, keep, error);
    }
  }
  return status;
}
