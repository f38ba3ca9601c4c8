// SPDX-License-Identifier: Apache-2.0
// A matrix larger than any tile, with keep bits, for tests of packing: tiles
// are packed from inside it, unpacked, and compared with it.
#ifndef TESTS_SUPPORT_TILE_H_
#define TESTS_SUPPORT_TILE_H_

#include "compiler/kind.h"
#include "support/number.h"
#include "support/random.h"
#include "test.h"

enum { ROWS = 256, COLUMNS = 512, MARGIN = 64, WIDTH = COLUMNS + MARGIN };
enum { PACKED_SIZE = ROWS * COLUMNS * 2 };

typedef struct matrix {
  float values[ROWS][WIDTH];
  uint8_t keep[ROWS][WIDTH / 8];
} matrix;

static inline int matrix_kept(const matrix *m, uint32_t row, uint32_t column) {
  return m->keep[row][column / 8] >> column % 8 & 1;
}

// The keep bits of the quad that |column| begins.
static inline void matrix_set_quad(matrix *m, uint32_t row, uint32_t column,
                                   unsigned bits) {
  for (uint32_t i = 0; i < 4; ++i) {
    uint8_t bit = (uint8_t)(1u << (column + i) % 8);
    uint8_t *byte = &m->keep[row][(column + i) / 8];
    *byte = (uint8_t)(bits >> i & 1 ? *byte | bit : *byte & ~bit);
  }
}

// Sets of at most two, those of exactly two first.
static const uint8_t matrix_patterns[11] = {3, 5, 6, 9, 10, 12, 1, 2, 4, 8, 0};

// Integers from -8 to 8, so that sums of products are exact in fp32.
static inline float matrix_integer(uint64_t *random) {
  return (float)random_below(random, 17) - 8.0f;
}

static inline void matrix_fill(matrix *m, uint64_t *random, tsr_kind kind,
                               float (*draw)(uint64_t *random)) {
  for (uint32_t row = 0; row < ROWS; ++row) {
    for (uint32_t column = 0; column < WIDTH; column += 4) {
      unsigned bits = kind == TSR_KIND_SPARSE24
                          ? matrix_patterns[random_below(random, 11)]
                          : random_below(random, 16);
      matrix_set_quad(m, row, column, bits);
      for (uint32_t i = 0; i < 4; ++i) {
        float value = draw(random);
        m->values[row][column + i] =
            matrix_kept(m, row, column + i) ? value : 0.0f;
      }
    }
  }
}

// Values and keep bytes that were unpacked from a tile packed as |kind|, whose
// first column is |first|.
static inline void matrix_check(const matrix *m, uint32_t first, uint32_t rows,
                                uint32_t columns, tsr_kind kind, tsr_dtype type,
                                const uint16_t *values, const uint8_t *keep) {
  uint32_t wrong_values = 0, wrong_keep = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t column = 0; column < columns; ++column) {
      size_t at = (size_t)row * columns + column;
      wrong_values +=
          values[at] != number_bits(m->values[row][first + column], type);
      // What is kept stays kept; what was filled in is zero.
      wrong_keep += kind == TSR_KIND_DENSE
                        ? keep[at] != 1
                        : matrix_kept(m, row, first + column) && keep[at] != 1;
    }
  }
  CHECK_EQ(wrong_values, 0);
  CHECK_EQ(wrong_keep, 0);
}

#endif  // TESTS_SUPPORT_TILE_H_
