// SPDX-License-Identifier: Apache-2.0
// What packers, and what unpackers, of all families have in common. A packer
// and the unpacker that checks it share nothing.
#ifndef COMPILER_TILE_H_
#define COMPILER_TILE_H_

#include "base/status.h"
#include "base/types.h"

// A tile to be packed; as the parameters of tsr_host_pack_tile.
typedef struct tile_source {
  const float *values;
  size_t value_stride;
  const uint8_t *keep;
  size_t keep_stride;
  uint32_t column;
  uint32_t rows;
  uint32_t columns;
  tsr_dtype type;
} tile_source;

// Puts an unpacked element of a tile of |rows| x |columns| where it belongs;
// beyond them it is padding, which has to be zero.
static inline tsr_status tile_put(uint32_t rows, uint32_t columns, uint32_t row,
                                  uint32_t column, uint16_t value, uint8_t kept,
                                  uint16_t *values, uint8_t *keep,
                                  tsr_error *error) {
  if (row < rows && column < columns) {
    values[(size_t)row * columns + column] = value;
    keep[(size_t)row * columns + column] = kept;
  } else if (value != 0) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "row %u, column %u: padding is not zero", row, column);
  }
  return TSR_OK;
}

#endif  // COMPILER_TILE_H_
