// SPDX-License-Identifier: Apache-2.0
#include "synthetic.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "clones.h"
#include "convert.h"

enum { LANES = 8 };

typedef uint32_t word_vector __attribute__((vector_size(32)));
typedef int32_t int_vector __attribute__((vector_size(32)));
typedef float float_vector __attribute__((vector_size(32)));

// SplitMix64 (Steele, Lea, Flood 2014): mixes 64 bits.
static uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// Wellons' "lowbias32": a 32-bit mix with good avalanche, cheap in vectors.
// |salt| keeps rows apart whose counters overlap.
#define MIX32(x, salt)            \
  do {                            \
    (x) ^= (x) >> 16;             \
    (x) *= (uint32_t)0x7feb352du; \
    (x) ^= (salt);                \
    (x) ^= (x) >> 15;             \
    (x) *= (uint32_t)0x846ca68bu; \
    (x) ^= (x) >> 16;             \
  } while (0)

uint64_t tsr_synthetic_key(uint64_t seed, const char *name) {
  tsr_hash hash = tsr_hash_bytes(name, strlen(name));
  return mix64(seed ^ mix64(hash.low));
}

// 2^round(log2(1 / (37 sqrt(columns)))) without the C library's log2, whose
// last bit differs between machines: the largest power whose square is at most
// twice that of the target.
static float scale_of(uint32_t columns) {
  double target = 1.0 / (37.0 * 37.0 * (double)(columns == 0 ? 1 : columns));
  double scale = 1.0;
  while (scale * scale > 2.0 * target) scale /= 2.0;
  return (float)scale;
}

TSR_CLONES
void tsr_synthetic_row(uint64_t key, uint32_t row, uint32_t columns,
                       float *values) {
  uint64_t mixed = mix64(key + row);
  uint32_t start = (uint32_t)mixed;
  uint32_t salt = (uint32_t)(mixed >> 32);
  float scale = scale_of(columns);
  word_vector counter = {start,     start + 1, start + 2, start + 3,
                         start + 4, start + 5, start + 6, start + 7};
  for (uint32_t i = 0; i < columns; i += LANES, counter += LANES) {
    word_vector x = counter;
    MIX32(x, salt);
    x = (x & 0x00ff00ff) + (x >> 8 & 0x00ff00ff);
    int_vector sum = (int_vector)((x & 0xffff) + (x >> 16));
    int_vector odd = ((sum - 510) >> 2) | 1;
    float_vector value = __builtin_convertvector(odd, float_vector) * scale;
    uint32_t left = columns - i;
    memcpy(values + i, &value, left < LANES ? 4 * left : sizeof(value));
  }
}

// Which tiles are 2:4 and which zero: a shuffle of all tiles, cut by counts.
static tsr_status choose_kinds(uint64_t key, uint32_t tiles,
                               double sparse24_fraction, double zero_fraction,
                               uint8_t *kinds, tsr_error *error) {
  uint32_t *order = tsr_calloc(tiles, sizeof(*order));
  if (order == NULL) return tsr_error_out_of_memory(error);
  double sparse = floor(sparse24_fraction * tiles + 0.5);
  double zero = floor(zero_fraction * tiles + 0.5);
  if (sparse > tiles) sparse = tiles;
  if (zero > tiles - sparse) zero = tiles - sparse;
  for (uint32_t i = 0; i < tiles; ++i) order[i] = i;
  for (uint32_t i = 0; i < tiles; ++i) {
    uint32_t j = i + (uint32_t)(mix64(key + i) % (tiles - i));
    uint32_t chosen = order[j];
    order[j] = order[i];
    kinds[chosen] = i < sparse          ? TSR_KIND_SPARSE24
                    : i < sparse + zero ? TSR_KIND_ZERO
                                        : TSR_KIND_DENSE;
  }
  tsr_free(order);
  return TSR_OK;
}

// Two of four, by the top bits of a byte: 256 / 6 values each, to within one.
static unsigned pattern(uint32_t byte) {
  static const uint8_t patterns[6] = {3, 5, 9, 6, 10, 12};
  return patterns[byte * 6 >> 8];
}

// Bytes [begin, end) of a row: four groups from one 32-bit number.
static void fill_pairs(uint64_t mixed, size_t begin, size_t end, uint8_t *row) {
  for (size_t i = begin; i < end; ++i) {
    uint32_t x = (uint32_t)mixed + (uint32_t)(i / 2);
    MIX32(x, (uint32_t)(mixed >> 32));
    if (i % 2 != 0) x >>= 16;
    row[i] = (uint8_t)(pattern(x & 0xff) | pattern(x >> 8 & 0xff) << 4);
  }
}

static void fill_row(uint64_t key, uint32_t row, const uint8_t *kinds,
                     tsr_tile_shape tile, uint32_t columns, uint8_t *keep) {
  uint64_t mixed = mix64(~key + row);
  size_t size = tsr_bits_size(columns);
  size_t tile_size = tile.columns / 8;  // multiples of 32 columns
  for (size_t begin = 0; begin < size; begin += tile_size, ++kinds) {
    size_t end = begin + tile_size < size ? begin + tile_size : size;
    if (*kinds == TSR_KIND_SPARSE24) {
      fill_pairs(mixed, begin, end, keep);
    } else {
      memset(keep + begin, *kinds == TSR_KIND_DENSE ? 0xff : 0, end - begin);
    }
  }
  if (columns % 8 != 0) {
    keep[size - 1] &= (uint8_t)((1u << (columns % 8)) - 1);
  }
}

tsr_status tsr_synthetic_mask(uint64_t key, tsr_tile_shape tile,
                              double sparse24_fraction, double zero_fraction,
                              uint32_t rows, uint32_t columns, size_t stride,
                              uint8_t *keep, tsr_error *error) {
  uint64_t panels = ((uint64_t)rows + tile.rows - 1) / tile.rows;
  uint64_t across = ((uint64_t)columns + tile.columns - 1) / tile.columns;
  uint64_t tiles = panels * across;
  if (tiles > UINT32_MAX) {
    return tsr_error_set(error, TSR_UNSUPPORTED, "more than 2^32 tiles");
  }
  uint8_t *kinds = tsr_malloc((size_t)tiles);
  if (kinds == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = choose_kinds(key, (uint32_t)tiles, sparse24_fraction,
                                   zero_fraction, kinds, error);
  for (uint32_t row = 0; row < rows && status == TSR_OK; ++row) {
    fill_row(key, row, kinds + row / tile.rows * across, tile, columns,
             keep + row * stride);
  }
  tsr_free(kinds);
  return status;
}
