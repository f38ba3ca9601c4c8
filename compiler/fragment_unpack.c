// SPDX-License-Identifier: Apache-2.0
// Reads packed tiles of the NVIDIA family by index formula, element by element:
// slow, obvious, and sharing neither code nor size functions with
// fragment_pack.c, so that a mistake in one does not hide the same mistake in
// the other.
#include <string.h>

#include "compiler/fragment_pack.h"
#include "tile.h"

typedef struct packed_tile {
  const uint8_t *bytes;
  uint32_t rows, columns;                // as stored in the matrix
  uint32_t padded_rows, padded_columns;  // to whole fragments
  bool sparse;
} packed_tile;

static uint32_t smaller(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

// The unit that (|row|, |column|) lies in, and the rows of its row group.
static const uint8_t *find_unit(const packed_tile *tile, uint32_t row,
                                uint32_t column, uint32_t *out_rows) {
  uint32_t above = row / 64 * 64, left = column / 64 * 64;
  uint32_t width = smaller(tile->padded_columns - left, 64);
  *out_rows = smaller(tile->padded_rows - above, 64);
  if (!tile->sparse) {
    // Whole k-chunks to the left, then whole row groups above: 2 bytes each.
    return tile->bytes + 2 * ((size_t)left * tile->padded_rows) +
           2 * ((size_t)above * width);
  }
  // One byte per weight; 8 bytes of metadata per row and k-chunk, for 64 rows
  // where a row group has 48.
  uint32_t rest = tile->padded_rows % 64 == 48 ? 16 : 0;
  size_t metadata = (size_t)left / 64 * (tile->padded_rows + rest) + above;
  return tile->bytes + (size_t)left * tile->padded_rows +
         (size_t)above * width + 8 * metadata;
}

// Element (|row|, |column|) of a fragment.
static uint16_t fragment_element(const uint8_t *fragment, uint32_t row,
                                 uint32_t column) {
  uint32_t lane = row % 8 * 4 + column % 8 / 2;
  uint32_t element = column / 8 * 4 + row / 8 * 2 + column % 2;
  const uint8_t *at = fragment + 16 * lane + 2 * element;
  return (uint16_t)(at[0] | at[1] << 8);
}

static uint16_t dense_element(const packed_tile *tile, uint32_t row,
                              uint32_t column) {
  uint32_t rows;
  const uint8_t *unit = find_unit(tile, row, column, &rows);
  uint32_t index = column % 64 / 16 * (rows / 16) + row % 64 / 16;
  return fragment_element(unit + 512 * index, row % 16, column % 16);
}

// The 4 metadata bits of the quad of (|row|, |column|); |column| may lie in the
// part of the last k-chunk that the tile lacks, |row| in a missing 4th block.
static unsigned quad_code(const packed_tile *tile, uint32_t row,
                          uint32_t column) {
  uint32_t rows;
  const uint8_t *unit = find_unit(tile, row, column, &rows);
  uint32_t words = rows == 48 ? 4 : rows / 16;
  uint32_t lane = row % 8 * 4 + column % 64 / 16;
  uint32_t bit = row % 16 / 8 * 16 + column % 16 / 4 * 4;
  const uint8_t *word = unit + 4 * (lane * words + row % 64 / 16);
  return word[bit / 8] >> bit % 8 & 0xfu;
}

static uint16_t sparse_element(const packed_tile *tile, uint32_t row,
                               uint32_t column, uint8_t *out_keep) {
  unsigned code = quad_code(tile, row, column);
  unsigned second = code >> 2 == column % 4;
  *out_keep = second != 0 || (code & 3u) == column % 4;
  if (*out_keep == 0) return 0;
  uint32_t rows;
  const uint8_t *unit = find_unit(tile, row, column, &rows);
  unit += rows == 48 ? 512 : 8 * rows;
  uint32_t index = column % 64 / 32 * (rows / 16) + row % 64 / 16;
  uint32_t kept = column % 32 / 4 * 2 + second;
  return fragment_element(unit + 512 * index, row % 16, kept);
}

static tsr_status check_codes(const packed_tile *tile, tsr_error *error) {
  uint32_t rows = tile->padded_rows, columns = tile->padded_columns;
  if (rows % 64 == 48) rows += 16;
  columns = (columns + 63) / 64 * 64;
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t column = 0; column < columns; column += 4) {
      unsigned code = quad_code(tile, row, column);
      bool padding = row >= tile->rows || column >= tile->columns;
      if (padding ? code != 0x4 : (code & 3u) >= code >> 2) {
        return tsr_error_set(error, TSR_CORRUPT,
                             "row %u, column %u: metadata 0x%x %s", row, column,
                             code, padding ? "in padding" : "is not ordered");
      }
    }
  }
  return TSR_OK;
}

static tsr_status unpack_element(const packed_tile *tile, uint32_t row,
                                 uint32_t column, uint16_t *values,
                                 uint8_t *keep, tsr_error *error) {
  uint8_t kept = 1;
  uint16_t value = tile->sparse ? sparse_element(tile, row, column, &kept)
                                : dense_element(tile, row, column);
  return tile_put(tile->rows, tile->columns, row, column, value, kept, values,
                  keep, error);
}

tsr_status tsr_fragment_unpack_tile(const void *packed, uint32_t rows,
                                    uint32_t columns, tsr_kind kind,
                                    uint16_t *values, uint8_t *keep,
                                    tsr_error *error) {
  uint32_t step = kind == TSR_KIND_SPARSE24 ? 32 : 16;
  packed_tile tile = {packed,
                      rows,
                      columns,
                      (rows + 15) / 16 * 16,
                      (columns + step - 1) / step * step,
                      kind == TSR_KIND_SPARSE24};
  memset(values, 0, (size_t)rows * columns * sizeof(*values));
  memset(keep, 0, (size_t)rows * columns);
  if (kind == TSR_KIND_ZERO) return TSR_OK;
  tsr_status status = tile.sparse ? check_codes(&tile, error) : TSR_OK;
  for (uint32_t row = 0; row < tile.padded_rows; ++row) {
    for (uint32_t column = 0; column < tile.padded_columns; ++column) {
      if (status != TSR_OK) return status;
      status = unpack_element(&tile, row, column, values, keep, error);
    }
  }
  return status;
}
