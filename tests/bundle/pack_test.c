// SPDX-License-Identifier: Apache-2.0
// pack -> unpack is the identity: every 2:4 pattern, every kind, every ragged
// edge, random shapes; and what is not a packed tile is found out.
#include <stdlib.h>

#include "base/memory.h"
#include "compiler/host_pack.h"
#include "support/tile.h"
#include "test.h"

static matrix m;
static uint16_t unpacked[ROWS * COLUMNS];
static uint8_t unpacked_keep[ROWS * COLUMNS];
static uint8_t *packed;

// In [-1, 1), a multiple of 2^-23, so that rounding meets ties; some of what is
// kept is zero.
static float fraction(uint64_t *random) {
  float value = (float)(random_next(random) >> 40) * 0x1p-23f - 1.0f;
  return random_below(random, 16) == 0 ? 0.0f : value;
}

static void fill(uint64_t *random, bool sparse) {
  matrix_fill(&m, random, sparse ? TSR_KIND_SPARSE24 : TSR_KIND_DENSE,
              fraction);
}

static void pack(uint32_t first, uint32_t rows, uint32_t columns, tsr_kind kind,
                 tsr_dtype type) {
  tsr_host_pack_tile(&m.values[0][first], WIDTH, &m.keep[0][0],
                     sizeof(m.keep[0]), first, rows, columns, kind, type,
                     packed);
}

static void check_tile(uint32_t rows, uint32_t columns, uint32_t first,
                       tsr_kind kind, tsr_dtype type) {
  uint64_t size = tsr_host_tile_size(rows, columns, kind);
  CHECK(size <= PACKED_SIZE);
  memset(packed, 0xa5, size + 64);
  pack(first, rows, columns, kind, type);
  for (int i = 0; i < 64; ++i) CHECK_EQ(packed[size + (uint64_t)i], 0xa5);
  tsr_error error = {0};
  CHECK_EQ(tsr_host_unpack_tile(packed, rows, columns, kind, unpacked,
                                unpacked_keep, &error),
           TSR_OK);
  CHECK_STR(error.message, "");
  matrix_check(&m, first, rows, columns, kind, type, unpacked, unpacked_keep);
}

static void test_ragged_edges(uint64_t *random) {
  for (int sparse = 0; sparse < 2; ++sparse) {
    fill(random, sparse);
    tsr_kind kind = sparse ? TSR_KIND_SPARSE24 : TSR_KIND_DENSE;
    for (uint32_t rows = 1; rows <= 70; rows += 3) {
      for (uint32_t columns = 1; columns <= 36; ++columns) {
        check_tile(rows, columns, 32, kind, TSR_DTYPE_BF16);
      }
    }
  }
}

static void test_random_shapes(uint64_t *random) {
  for (int i = 0; i < 60; ++i) {
    bool sparse = i % 2 == 0;
    fill(random, sparse);
    uint32_t rows = 1 + random_below(random, ROWS);
    uint32_t columns = 1 + random_below(random, COLUMNS);
    uint32_t first = 4 * random_below(random, MARGIN / 4);
    check_tile(rows, columns, first,
               sparse ? TSR_KIND_SPARSE24 : TSR_KIND_DENSE,
               i % 4 < 2 ? TSR_DTYPE_BF16 : TSR_DTYPE_F16);
  }
  check_tile(ROWS, COLUMNS, 0, TSR_KIND_DENSE, TSR_DTYPE_F16);
}

// One group of each pattern, in each of the 8 rows of a unit.
static void test_every_pattern(uint64_t *random) {
  static const unsigned filled[16] = {
      [0] = 3, [1] = 3, [2] = 3, [3] = 3,   [4] = 5,  [5] = 5,
      [6] = 6, [8] = 9, [9] = 9, [10] = 10, [12] = 12};
  for (unsigned bits = 0; bits < 16; ++bits) {
    if (filled[bits] == 0) continue;
    fill(random, false);
    for (uint32_t row = 0; row < 8; ++row) {
      matrix_set_quad(&m, row, 0, bits);
      for (uint32_t i = 0; i < 4; ++i)
        m.values[row][i] = (float)(row * 4 + i + 1);
    }
    memset(packed, 0xff, 128);
    pack(0, 8, 4, TSR_KIND_SPARSE24, TSR_DTYPE_BF16);
    uint32_t mask;
    memcpy(&mask, packed, 4);
    CHECK_EQ(mask, filled[bits] * 0x11111111u);
    uint32_t next = 64;
    for (uint32_t row = 0; row < 8; ++row) {
      for (uint32_t i = 0; i < 4; ++i) {
        if ((filled[bits] >> i & 1) == 0) continue;
        uint16_t value;
        memcpy(&value, packed + next, 2);
        next += 2;
        // The filled-in position is zero although the source was not.
        float expected = bits >> i & 1 ? m.values[row][i] : 0.0f;
        CHECK_EQ(value, tsr_bf16_from_float(expected));
      }
    }
    CHECK_EQ(next, 96);
  }
}

// A dense tile byte by byte, against the layout's words.
static void test_dense_layout(void) {
  for (uint32_t row = 0; row < 40; ++row) {
    for (uint32_t column = 0; column < 8; ++column) {
      m.values[row][column] = (float)(row * 8 + column);  // exact in fp16
    }
  }
  tsr_host_pack_tile(&m.values[0][0], WIDTH, NULL, 0, 0, 40, 8, TSR_KIND_DENSE,
                     TSR_DTYPE_F16, packed);
  const uint16_t *next = (const uint16_t *)(const void *)packed;
  for (uint32_t micro = 0; micro < 40; micro += 32) {
    for (uint32_t quad = 0; quad < 8; quad += 4) {
      for (uint32_t row = micro; row < 40 && row < micro + 32; ++row) {
        for (uint32_t i = 0; i < 4; ++i) {
          CHECK_EQ(*next++, tsr_fp16_from_float((float)(row * 8 + quad + i)));
        }
      }
    }
  }
}

// The packer rounds in loops of its own: they agree with base/float16.h on
// every kind of value.
static void test_rounding(uint64_t *random) {
  static const uint32_t specials[] = {
      0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001,
      0x7f800001, 0xffbfffff, 0x00000001, 0x807fffff, 0x33000000, 0x33000001,
      0x387fe000, 0x38800000, 0x387fffff, 0x477fefff, 0x477ff000, 0xc77ff000,
      0x7f7fffff, 0xff7f8000, 0x3f808000, 0x3f818000, 0x3f801000, 0x3f803000};
  enum { SPECIALS = sizeof(specials) / sizeof(specials[0]) };
  for (uint32_t row = 0; row < ROWS; ++row) {
    for (uint32_t column = 0; column < COLUMNS; ++column) {
      uint32_t bits = (uint32_t)random_next(random);
      if (row == 0) bits = specials[column % SPECIALS];
      // Near the exponents where halves round, overflow and vanish.
      if (row % 2 == 1) bits = (bits & 0x8fffffffu) | 0x30000000u;
      if (row % 4 == 2) bits = (bits & 0x87ffffffu) | 0x40000000u;
      m.values[row][column] = tsr_float_from_bits(bits);
    }
  }
  check_tile(ROWS, COLUMNS, 0, TSR_KIND_DENSE, TSR_DTYPE_F16);
  check_tile(ROWS, COLUMNS, 0, TSR_KIND_DENSE, TSR_DTYPE_BF16);
}

static void test_damage(uint64_t *random) {
  fill(random, true);
  pack(0, 30, 34, TSR_KIND_SPARSE24, TSR_DTYPE_BF16);
  uint64_t size = tsr_host_tile_size(30, 34, TSR_KIND_SPARSE24);
  tsr_error error = {0};
  uint8_t saved = packed[0];
  packed[0] = 0x37;
  CHECK_EQ(tsr_host_unpack_tile(packed, 30, 34, TSR_KIND_SPARSE24, unpacked,
                                unpacked_keep, &error),
           TSR_CORRUPT);
  CHECK_STR(error.message, "row 0, column 0: a 2:4 group does not keep 2");
  packed[0] = saved;
  // 4 units * 9 quads: two blocks of 16 units, and 4 masks of 16 places.
  packed[2 * TSR_HOST_BLOCK_SIZE + 20] = 1;
  error = (tsr_error){0};
  CHECK_EQ(tsr_host_unpack_tile(packed, 30, 34, TSR_KIND_SPARSE24, unpacked,
                                unpacked_keep, &error),
           TSR_CORRUPT);
  CHECK_STR(error.message, "a gap is not zero");
  packed[2 * TSR_HOST_BLOCK_SIZE + 20] = 0;
  packed[size - 1] = 0x40;  // an element of a row that does not exist
  error = (tsr_error){0};
  CHECK_EQ(tsr_host_unpack_tile(packed, 30, 34, TSR_KIND_SPARSE24, unpacked,
                                unpacked_keep, &error),
           TSR_CORRUPT);
  CHECK_STR(error.message, "row 31, column 33: padding is not zero");
}

int main(void) {
  uint64_t random = 20;
  packed = tsr_aligned_alloc(64, PACKED_SIZE + 64);
  if (packed == NULL) return 1;
  test_ragged_edges(&random);
  test_random_shapes(&random);
  test_every_pattern(&random);
  test_dense_layout();
  test_rounding(&random);
  test_damage(&random);
  tsr_free(packed);
  return test_finish();
}
