// SPDX-License-Identifier: Apache-2.0
// Packed tiles of the NVIDIA family: pack -> unpack is the identity, sizes are
// as promised, every weight lies in one place, damage is found.
#include <stdlib.h>

#include "base/memory.h"
#include "test.h"
#include "tile.h"

static matrix m;
static uint16_t unpacked[ROWS * COLUMNS];
static uint8_t unpacked_keep[ROWS * COLUMNS];
static uint8_t *packed;

static const tsr_kind kinds[2] = {TSR_KIND_SPARSE24, TSR_KIND_DENSE};

static void check_tile(uint32_t first, uint32_t rows, uint32_t columns,
                       tsr_kind kind, tsr_dtype type) {
  uint64_t size = tsr_fragment_tile_size(rows, columns, kind);
  CHECK(size <= PACKED_SIZE);
  memset(packed, 0xa5, size + 64);
  matrix_pack(&m, first, rows, columns, kind, type, packed);
  for (int i = 0; i < 64; ++i) CHECK_EQ(packed[size + (uint64_t)i], 0xa5);
  tsr_error error = {0};
  CHECK_EQ(tsr_fragment_unpack_tile(packed, rows, columns, kind, unpacked,
                                    unpacked_keep, &error),
           TSR_OK);
  CHECK_STR(error.message, "");
  matrix_check(&m, first, rows, columns, kind, type, unpacked, unpacked_keep);
}

static void test_ragged_edges(uint64_t *random) {
  for (int k = 0; k < 2; ++k) {
    matrix_fill(&m, random, kinds[k], matrix_integer);
    for (uint32_t rows = 1; rows <= 130; rows += 7) {
      for (uint32_t columns = 1; columns <= 131; columns += 3) {
        check_tile(32, rows, columns, kinds[k], TSR_DTYPE_BF16);
      }
    }
  }
}

static void test_shapes(uint64_t *random) {
  static const uint32_t rows[] = {16, 32, 48, 64, 80, 128, 176, 256};
  static const uint32_t columns[] = {32, 64, 96, 128, 352, 512};
  for (int k = 0; k < 4; ++k) {
    tsr_dtype type = k < 2 ? TSR_DTYPE_BF16 : TSR_DTYPE_F16;
    matrix_fill(&m, random, kinds[k % 2], matrix_integer);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
      for (size_t j = 0; j < sizeof(columns) / sizeof(*columns); ++j) {
        uint32_t first = 4 * random_below(random, MARGIN / 4);
        check_tile(first, rows[i], columns[j], kinds[k % 2], type);
      }
    }
  }
}

// One quad of each pattern, in each place of a row block: its code and its two
// values where the PTX ISA has them.
static void test_every_pattern(void) {
  static const uint8_t codes[11] = {0x4, 0x8, 0x9, 0xc, 0xd, 0xe,
                                    0x4, 0x4, 0x8, 0xc, 0x4};
  for (uint32_t i = 0; i < 11 * 256; ++i) {
    uint32_t pattern = matrix_patterns[i / 256], row = i % 16;
    uint32_t quad = i / 16 % 16, k32 = quad / 8, next = 0;
    memset(&m, 0, sizeof(m));
    matrix_set_quad(&m, row, 4 * quad, pattern);
    for (uint32_t j = 0; j < 4; ++j) {
      if (pattern >> j & 1) m.values[row][4 * quad + j] = (float)(j + 1);
    }
    matrix_pack(&m, 0, 16, 64, TSR_KIND_SPARSE24, TSR_DTYPE_BF16, packed);
    // Metadata: selector k32 is lanes 2 k32 and 2 k32 + 1 of the row's four.
    uint32_t lane = row % 8 * 4 + 2 * k32 + quad % 8 / 4, word;
    memcpy(&word, packed + 4 * lane, 4);
    uint32_t shift = quad % 4 * 4 + row / 8 * 16;
    CHECK_EQ(word >> shift & 0xf, codes[i / 256]);
    CHECK_EQ(word & ~(0xfu << shift), 0x44444444u & ~(0xfu << shift));
    // Values: register 0 or 1 by row for quads 0 to 3, then 2 or 3.
    uint16_t values[2];
    lane = row % 8 * 4 + quad % 4;
    uint32_t reg = quad % 8 / 4 * 2 + row / 8;
    memcpy(values, packed + 128 + 512 * k32 + 16 * lane + 4 * reg, 4);
    unsigned code = codes[i / 256];
    for (uint32_t j = 0; j < 2; ++j, code >>= 2) {
      float value = m.values[row][4 * quad + (code & 3)];
      CHECK_EQ(values[j], tsr_bf16_from_float(value));
      next += values[j] != 0;
    }
    CHECK_EQ(next, (uint32_t)__builtin_popcount(pattern));
  }
}

// Weights with distinct bit patterns: each is found once among all 16-bit
// values of the tile, and nothing else is.
static void test_one_place(tsr_kind kind, uint32_t rows, uint32_t columns) {
  static uint32_t seen[0x8000];
  memset(seen, 0, sizeof(seen));
  memset(&m, 0, sizeof(m));
  uint32_t count = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t quad = 0; quad < columns / 4; ++quad) {
      unsigned bits =
          kind == TSR_KIND_DENSE ? 15 : matrix_patterns[(row + quad) % 6];
      matrix_set_quad(&m, row, 4 * quad, bits);
      for (uint32_t i = 0; i < 4; ++i) {
        if ((bits >> i & 1) == 0) continue;
        m.values[row][4 * quad + i] = tsr_bf16_to_float((uint16_t)(++count));
      }
    }
  }
  CHECK(count < 0x7f80);
  matrix_pack(&m, 0, rows, columns, kind, TSR_DTYPE_BF16, packed);
  for (uint32_t chunk = 0; chunk < tsr_fragment_chunks(columns); ++chunk) {
    for (uint32_t group = 0; group < tsr_fragment_groups(rows); ++group) {
      uint32_t blocks = tsr_fragment_group_blocks(rows, group);
      uint32_t steps = tsr_fragment_chunk_steps(columns, kind, chunk);
      uint64_t at =
          tsr_fragment_unit_offset(rows, columns, kind, chunk, group) +
          tsr_fragment_metadata_size(blocks, kind);
      for (uint32_t i = 0; i < blocks * steps * 256; ++i) {
        uint16_t value;
        memcpy(&value, packed + at + 2 * (size_t)i, 2);
        ++seen[value];
      }
    }
  }
  for (uint32_t i = 1; i < 0x8000; ++i) CHECK_EQ(seen[i], i <= count);
}

static void check_size(uint32_t rows, uint32_t columns, tsr_kind kind,
                       uint64_t size, uint64_t padding) {
  CHECK_EQ(tsr_fragment_tile_size(rows, columns, kind), size);
  tsr_fragment_bytes bytes = tsr_fragment_tile_bytes(rows, columns, kind);
  CHECK_EQ(bytes.payload + bytes.padding, size);
  CHECK_EQ(bytes.padding, padding);
}

// Units of a tile follow each other without gaps.
static void check_units(uint32_t rows, uint32_t columns, tsr_kind kind) {
  uint64_t end = 0;
  uint32_t time = 0;
  for (uint32_t chunk = 0; chunk < tsr_fragment_chunks(columns); ++chunk) {
    uint64_t begin = end;
    uint32_t steps = tsr_fragment_chunk_steps(columns, kind, chunk);
    for (uint32_t group = 0; group < tsr_fragment_groups(rows); ++group) {
      uint32_t blocks = tsr_fragment_group_blocks(rows, group);
      CHECK_EQ(tsr_fragment_unit_offset(rows, columns, kind, chunk, group),
               end);
      end += tsr_fragment_unit_size(blocks, steps, kind);
      CHECK_EQ(end % TSR_FRAGMENT_ALIGNMENT, 0);
    }
    CHECK_EQ(tsr_fragment_chunk_size(rows, columns, kind, chunk), end - begin);
    time += tsr_fragment_chunk_time(rows, columns, kind, chunk);
  }
  CHECK_EQ(tsr_fragment_tile_size(rows, columns, kind), end);
  CHECK_EQ(tsr_fragment_tile_time(rows, columns, kind), time);
}

static void test_sizes(void) {
  check_size(128, 128, TSR_KIND_DENSE, 32768, 0);
  check_size(128, 128, TSR_KIND_SPARSE24, 18432, 0);
  check_size(128, 128, TSR_KIND_ZERO, 0, 0);
  check_size(256, 512, TSR_KIND_SPARSE24, 147456, 0);
  check_size(16, 32, TSR_KIND_DENSE, 1024, 0);
  check_size(16, 32, TSR_KIND_SPARSE24, 640, 64);    // half of the metadata
  check_size(48, 64, TSR_KIND_SPARSE24, 3584, 128);  // a fourth word
  check_size(1, 1, TSR_KIND_DENSE, 512, 510);
  check_size(1, 1, TSR_KIND_SPARSE24, 640, 635);
  CHECK_EQ(tsr_fragment_unit_size(4, 4, TSR_KIND_DENSE), 8192);
  CHECK_EQ(tsr_fragment_unit_size(4, 2, TSR_KIND_SPARSE24), 4608);
  CHECK_EQ(tsr_fragment_tile_time(128, 128, TSR_KIND_DENSE), 64);
  CHECK_EQ(tsr_fragment_tile_time(128, 128, TSR_KIND_SPARSE24), 32);
  CHECK_EQ(tsr_fragment_tile_time(128, 128, TSR_KIND_ZERO), 0);
  for (uint32_t rows = 1; rows <= 256; rows += 5) {
    for (uint32_t columns = 1; columns <= 512; columns += 13) {
      for (int k = 0; k < 2; ++k) check_units(rows, columns, kinds[k]);
    }
  }
}

static void expect_corrupt(uint32_t rows, uint32_t columns, tsr_kind kind,
                           uint64_t byte, uint8_t flip, const char *message) {
  packed[byte] ^= flip;
  tsr_error error = {0};
  CHECK_EQ(tsr_fragment_unpack_tile(packed, rows, columns, kind, unpacked,
                                    unpacked_keep, &error),
           TSR_CORRUPT);
  CHECK_STR(error.message, message);
  packed[byte] ^= flip;
}

static void test_damage(uint64_t *random) {
  matrix_fill(&m, random, TSR_KIND_SPARSE24, matrix_integer);
  for (uint32_t row = 0; row < 48; ++row) matrix_set_quad(&m, row, 0, 3);
  matrix_pack(&m, 0, 40, 32, TSR_KIND_SPARSE24, TSR_DTYPE_F16, packed);
  expect_corrupt(40, 32, TSR_KIND_SPARSE24, 0, 0x4,
                 "row 0, column 0: metadata 0x0 is not ordered");
  expect_corrupt(40, 32, TSR_KIND_SPARSE24, 0, 0x5,
                 "row 0, column 0: metadata 0x1 is not ordered");
  expect_corrupt(40, 32, TSR_KIND_SPARSE24, 2 * 16, 0x80,
                 "row 0, column 36: metadata 0xc in padding");
  expect_corrupt(40, 32, TSR_KIND_SPARSE24, 12, 0xd,
                 "row 48, column 0: metadata 0x9 in padding");
  // Row 40 is row 8 of row block 2: register 1 of lane 0.
  expect_corrupt(40, 32, TSR_KIND_SPARSE24, 512 + 2 * 512 + 4, 1,
                 "row 40, column 0: padding is not zero");
  matrix_pack(&m, 0, 40, 30, TSR_KIND_DENSE, TSR_DTYPE_F16, packed);
  expect_corrupt(40, 30, TSR_KIND_DENSE, 3 * 512 + 3 * 16 + 10, 1,
                 "row 0, column 31: padding is not zero");
}

int main(void) {
  uint64_t random = 7;
  packed = tsr_malloc(PACKED_SIZE + 64);
  if (packed == NULL) return 1;
  test_sizes();
  test_ragged_edges(&random);
  test_shapes(&random);
  test_every_pattern();
  test_one_place(TSR_KIND_DENSE, 128, 128);
  test_one_place(TSR_KIND_DENSE, 80, 96);
  test_one_place(TSR_KIND_SPARSE24, 128, 128);
  test_one_place(TSR_KIND_SPARSE24, 112, 160);
  test_damage(&random);
  tsr_free(packed);
  return test_finish();
}
