// SPDX-License-Identifier: Apache-2.0
// Masks by hand, their properties, and every way in which making one fails.
#include "compiler/mask.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "compiler/npz.h"
#include "test.h"

typedef struct matrix {
  uint32_t columns;
  const float *weights;
} matrix;

static tsr_status read_rows(void *context, uint32_t row, uint32_t count,
                            float *values, tsr_error *error) {
  const matrix *m = context;
  (void)error;
  memcpy(values, m->weights + (size_t)row * m->columns,
         (size_t)count * m->columns * sizeof(float));
  return TSR_OK;
}

static tsr_status read_fails(void *context, uint32_t row, uint32_t count,
                             float *values, tsr_error *error) {
  (void)context;
  (void)count;
  (void)values;
  return tsr_error_set(error, TSR_IO, "row %u is gone", row);
}

static tsr_mask_tensor make_tensor(matrix *m, uint32_t rows) {
  return (tsr_mask_tensor){.name = "w",
                           .rows = rows,
                           .columns = m->columns,
                           .tile = {16, 32},
                           .partner = TSR_MASK_NO_PARTNER,
                           .read = read_rows,
                           .context = m};
}

static void fill(float *values, size_t count, uint32_t seed) {
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = (float)((int)(seed >> 8 & 0xffff) - 0x8000) / 4096.0f;
  }
}

static bool kept(const uint8_t *bits, uint64_t index) {
  return bits[index / 8] >> (7 - index % 8) & 1;
}

// |w| decides; of equals the first stay.
static void test_by_hand(void) {
  float weights[12] = {1, -4, 3, 2, 5, 5, 5, 5, 0, 0, -1, 0};
  matrix m = {.columns = 12, .weights = weights};
  tsr_mask_tensor tensor = make_tensor(&m, 1);
  tsr_mask_options options = {.sparsity = 0.5, .threads = 1};
  tsr_mask *mask = NULL;
  uint8_t bits[2];
  CHECK_EQ(tsr_mask_create(&tensor, 1, &options, &mask, NULL), TSR_OK);
  CHECK_EQ(tsr_mask_bits_size(mask, 0), 2);
  CHECK_EQ(tsr_mask_emit(mask, 0, bits, NULL), TSR_OK);
  CHECK_EQ(bits[0], 0x6c);  // 0110 1100
  CHECK_EQ(bits[1], 0xa0);  // 1010 and padding
  tsr_mask_report report = tsr_mask_report_total(mask);
  CHECK_EQ(report.kept_weights, 6);
  CHECK(report.energy == 131.0);
  CHECK(report.lost_energy == 55.0);
  CHECK(tsr_mask_report_sparsity(&report) == 0.5);
  CHECK(tsr_mask_report_error(&report) == sqrt(55.0 / 131.0));
  tsr_mask_destroy(mask);
}

// A large norm makes a small weight worth keeping.
static void test_wanda_by_hand(void) {
  float weights[4] = {4, 3, 2, 1};
  float norms[4] = {1, 0, 1, 10};
  matrix m = {.columns = 4, .weights = weights};
  tsr_mask_tensor tensor = make_tensor(&m, 1);
  tensor.norms = norms;
  tsr_mask_options options = {.sparsity = 0.5};
  tsr_mask *mask = NULL;
  uint8_t bits[1];
  CHECK_EQ(tsr_mask_create(&tensor, 1, &options, &mask, NULL), TSR_OK);
  CHECK_EQ(tsr_mask_emit(mask, 0, bits, NULL), TSR_OK);
  CHECK_EQ(bits[0], 0x90);
  tsr_mask_destroy(mask);
}

static void check_tile(const uint8_t *bits, uint32_t rows, uint32_t columns,
                       uint32_t tile, tsr_kind kind) {
  uint32_t per_panel = (columns + 31) / 32;
  uint32_t row_end = (tile / per_panel + 1) * 16;
  uint32_t column_end = (tile % per_panel + 1) * 32;
  for (uint32_t r = row_end - 16; r < row_end && r < rows; ++r) {
    for (uint32_t c = column_end - 32; c < column_end && c < columns; c += 4) {
      uint32_t width = columns - c < 4 ? columns - c : 4;
      uint32_t count = 0;
      for (uint32_t i = 0; i < width; ++i) {
        count += kept(bits, (uint64_t)r * columns + c + i);
      }
      uint32_t two = width < 2 ? width : 2;
      CHECK_EQ(count, kind == TSR_KIND_DENSE ? width : two);
    }
  }
}

// Every tile is what its kind says, and the target is met to half a tile.
static void test_properties(uint32_t rows, uint32_t columns, double target) {
  float *weights = malloc(sizeof(float) * rows * columns);
  uint8_t *bits = malloc((size_t)rows * columns / 8 + 1);
  fill(weights, (size_t)rows * columns, rows * 31 + columns);
  matrix m = {.columns = columns, .weights = weights};
  tsr_mask_tensor tensor = make_tensor(&m, rows);
  tsr_mask_options options = {.sparsity = target, .threads = 3};
  tsr_mask *mask = NULL;
  CHECK_EQ(tsr_mask_create(&tensor, 1, &options, &mask, NULL), TSR_OK);
  CHECK_EQ(tsr_mask_emit(mask, 0, bits, NULL), TSR_OK);
  tsr_mask_report report = tsr_mask_report_tensor(mask, 0);
  uint64_t count = 0;
  for (uint64_t i = 0; i < (uint64_t)rows * columns; ++i) {
    count += kept(bits, i);
  }
  CHECK_EQ(count, report.kept_weights);
  uint32_t tiles = (rows + 15) / 16 * ((columns + 31) / 32);
  CHECK_EQ(report.tiles[1] + report.tiles[2], tiles);
  for (uint32_t i = 0; i < tiles; ++i) {
    check_tile(bits, rows, columns, i, tsr_mask_tile_kind(mask, 0, i));
  }
  double half_tile = 0.5 * 16 * 16 / ((double)rows * columns);
  CHECK(fabs(tsr_mask_report_sparsity(&report) - target) <= half_tile);
  tsr_mask_destroy(mask);
  free(weights);
  free(bits);
}

// The dense tile is the one whose pruning would hurt most.
static void test_choice(void) {
  static float weights[16 * 64];
  for (size_t i = 0; i < 16 * 64; ++i) weights[i] = i % 64 < 32 ? 1.0f : 1.5f;
  matrix m = {.columns = 64, .weights = weights};
  tsr_mask_tensor tensor = make_tensor(&m, 16);
  tsr_mask_options options = {.sparsity = 0.25};
  tsr_mask *mask = NULL;
  CHECK_EQ(tsr_mask_create(&tensor, 1, &options, &mask, NULL), TSR_OK);
  CHECK_EQ(tsr_mask_tile_kind(mask, 0, 0), TSR_KIND_SPARSE24);
  CHECK_EQ(tsr_mask_tile_kind(mask, 0, 1), TSR_KIND_DENSE);
  tsr_mask_destroy(mask);
}

// Relative: a tensor of small weights counts as much as one of large ones.
static void test_criterion(void) {
  static float large[16 * 32], small[16 * 32];
  for (size_t i = 0; i < 16 * 32; ++i) {
    large[i] = i % 4 < 2 ? 100.0f : 1.0f;  // 2:4 costs it almost nothing
    small[i] = 0.001f;
  }
  matrix m[2] = {{32, large}, {32, small}};
  tsr_mask_tensor tensors[2] = {make_tensor(&m[0], 16), make_tensor(&m[1], 16)};
  for (int i = 0; i < 2; ++i) {
    tsr_mask_options options = {.sparsity = 0.25,
                                .criterion = (tsr_mask_criterion)i};
    tsr_mask *mask = NULL;
    CHECK_EQ(tsr_mask_create(tensors, 2, &options, &mask, NULL), TSR_OK);
    uint32_t dense = i == TSR_MASK_RELATIVE ? 1 : 0;
    CHECK_EQ(tsr_mask_tile_kind(mask, dense, 0), TSR_KIND_DENSE);
    CHECK_EQ(tsr_mask_tile_kind(mask, 1 - dense, 0), TSR_KIND_SPARSE24);
    tsr_mask_destroy(mask);
  }
}

static void test_partners_agree(void) {
  static float gate[32 * 64], up[32 * 64];
  fill(gate, 32 * 64, 1);
  fill(up, 32 * 64, 2);
  matrix m[2] = {{64, gate}, {64, up}};
  tsr_mask_tensor tensors[2] = {make_tensor(&m[0], 32), make_tensor(&m[1], 32)};
  tensors[1].partner = 0;
  tsr_mask_options options = {.sparsity = 0.25};
  tsr_mask *mask = NULL;
  CHECK_EQ(tsr_mask_create(tensors, 2, &options, &mask, NULL), TSR_OK);
  for (uint64_t i = 0; i < 4; ++i) {
    CHECK_EQ(tsr_mask_tile_kind(mask, 0, i), tsr_mask_tile_kind(mask, 1, i));
  }
  tsr_mask_report report = tsr_mask_report_total(mask);
  CHECK_EQ(report.tiles[TSR_KIND_DENSE], 4);
  tsr_mask_destroy(mask);
}

// ---------------------------------------------------------------------------
// Failures

static float some_weights[64 * 64];
static matrix some_matrix = {.columns = 64, .weights = some_weights};

static void expect_failure(const tsr_mask_tensor *tensors, uint32_t count,
                           tsr_mask_options options, tsr_status status,
                           const char *message) {
  tsr_mask *mask = (tsr_mask *)&options;  // must become NULL
  tsr_error error = {0};
  CHECK_EQ(tsr_mask_create(tensors, count, &options, &mask, &error), status);
  CHECK(mask == NULL);
  CHECK_STR(error.message, message);
}

static void test_bad_options(void) {
  tsr_mask_tensor t = make_tensor(&some_matrix, 64);
  static const double bad[] = {-0.01, 0.51, 2.0};
  static const char *const messages[] = {
      "sparsity -0.01 is not between 0 and 0.5",
      "sparsity 0.51 is not between 0 and 0.5",
      "sparsity 2 is not between 0 and 0.5"};
  for (int i = 0; i < 3; ++i) {
    expect_failure(&t, 1, (tsr_mask_options){.sparsity = bad[i]},
                   TSR_INVALID_ARGUMENT, messages[i]);
  }
  tsr_mask *mask;
  tsr_mask_options options = {.sparsity = (double)NAN};
  CHECK_EQ(tsr_mask_create(&t, 1, &options, &mask, NULL), TSR_INVALID_ARGUMENT);
}

static void test_bad_tensors(void) {
  tsr_mask_options options = {.sparsity = 0.25, .threads = 2};
  tsr_mask_tensor t[3] = {make_tensor(&some_matrix, 64),
                          make_tensor(&some_matrix, 64),
                          make_tensor(&some_matrix, 64)};
  t[0].tile.rows = 12;
  expect_failure(t, 1, options, TSR_INVALID_ARGUMENT,
                 "tensor 'w': tiles of 12x32 are not possible");
  t[0].tile.rows = 16;
  t[0].rows = 0;
  expect_failure(t, 1, options, TSR_INVALID_ARGUMENT, "tensor 'w' is empty");
  t[0].rows = 64;
  t[1].partner = 1;
  expect_failure(t, 2, options, TSR_INVALID_ARGUMENT,
                 "tensor 'w' cannot be interleaved with tensor 1");
  t[1].partner = t[2].partner = 0;
  expect_failure(t, 3, options, TSR_INVALID_ARGUMENT,
                 "tensor 'w' cannot be interleaved with tensor 0");
  t[1].rows = 48;
  expect_failure(t, 2, options, TSR_INVALID_ARGUMENT,
                 "tensor 'w' cannot be interleaved with tensor 0");
  t[0].read = read_fails;
  expect_failure(t, 1, options, TSR_IO, "row 0 is gone");
}

static void test_bad_numbers(void) {
  static float weights[64 * 64], norms[64];
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  matrix m = {.columns = 64, .weights = weights};
  tsr_mask_tensor t = make_tensor(&m, 64);
  tsr_mask_options options = {.sparsity = 0.25, .threads = 2};
  for (int i = 0; i < 3; ++i) {
    fill(weights, 64 * 64, 3);
    weights[17 * 64 + 40] = bad[i];
    expect_failure(&t, 1, options, TSR_CORRUPT,
                   "tensor 'w': weight [17, 40] is not a finite number");
    fill(weights, 64 * 64, 3);
    t.norms = norms;
    norms[9] = bad[i];
    expect_failure(&t, 1, options, TSR_CORRUPT,
                   "tensor 'w': norm 9 is not a finite number >= 0");
    t.norms = NULL;
  }
}

static bool stop_after(void *context, uint64_t weights) {
  uint64_t *left = context;
  if (*left < weights) return false;
  *left -= weights;
  return true;
}

static void test_progress_and_cancel(void) {
  tsr_mask_tensor t = make_tensor(&some_matrix, 64);
  uint64_t left = 64 * 64 * 2;
  tsr_mask_options options = {.sparsity = 0.25,
                              .threads = 1,
                              .progress = stop_after,
                              .progress_context = &left};
  uint8_t bits[64 * 8];
  tsr_mask *mask = NULL;
  CHECK_EQ(tsr_mask_create(&t, 1, &options, &mask, NULL), TSR_OK);
  CHECK_EQ(left, 64 * 64);
  CHECK_EQ(tsr_mask_emit(mask, 0, bits, NULL), TSR_OK);
  CHECK_EQ(left, 0);
  CHECK_EQ(tsr_mask_emit(mask, 0, bits, NULL), TSR_CANCELLED);
  tsr_mask_destroy(mask);
  left = 1000;
  expect_failure(&t, 1, options, TSR_CANCELLED, "interrupted");
}

static void test_out_of_memory(void) {
  tsr_mask_tensor t = make_tensor(&some_matrix, 64);
  tsr_mask_options options = {.sparsity = 0.25, .threads = 2};
  uint8_t bits[64 * 8];
  uint64_t nth = 1;
  for (;; ++nth) {
    tsr_mask *mask = NULL;
    tsr_error error = {0};
    (void)tsr_memory_fail_at(nth);
    tsr_status status = tsr_mask_create(&t, 1, &options, &mask, &error);
    if (status == TSR_OK) status = tsr_mask_emit(mask, 0, bits, &error);
    uint64_t used = tsr_memory_fail_at(0);
    tsr_mask_destroy(mask);
    if (used < nth) break;
    CHECK_EQ(status, TSR_OUT_OF_MEMORY);
    CHECK_STR(error.message, "out of memory");
  }
  CHECK_EQ(nth, 7);  // mask, entries, tiles, scratch, units, scratch
}

// ---------------------------------------------------------------------------
// Files

static const char save_path[] = "mask_test.npz";

static tsr_mask *make_mask(const tsr_mask_tensor *tensors, uint32_t count) {
  tsr_mask_options options = {.sparsity = 0.25, .threads = 2};
  tsr_mask *mask = NULL;
  CHECK_EQ(tsr_mask_create(tensors, count, &options, &mask, NULL), TSR_OK);
  return mask;
}

static void check_member(const tsr_npz *npz, const char *name,
                         const void *expected, size_t size) {
  tsr_npy array;
  void *memory = NULL;
  uint32_t index = 0;
  CHECK(tsr_npz_find(npz, name, &index));
  CHECK_EQ(tsr_npz_read(npz, index, &array, &memory, NULL), TSR_OK);
  CHECK_EQ(array.data_size, size);
  CHECK(memcmp(array.data, expected, size) == 0);
  tsr_free(memory);
}

static void test_save(void) {
  tsr_mask_tensor tensors[2] = {make_tensor(&some_matrix, 64),
                                make_tensor(&some_matrix, 48)};
  tensors[0].name = "a.weight";
  tensors[1].name = "b.weight";
  tsr_mask *mask = make_mask(tensors, 2);
  CHECK_EQ(tsr_mask_save(mask, save_path, "a \"model\"", NULL), TSR_OK);
  tsr_npz *npz = NULL;
  CHECK_EQ(tsr_npz_open(save_path, &npz, NULL), TSR_OK);
  CHECK_EQ(tsr_npz_count(npz), 5);
  uint8_t bits[64 * 8];
  for (uint32_t i = 0; i < 2; ++i) {
    CHECK_EQ(tsr_mask_emit(mask, i, bits, NULL), TSR_OK);
    check_member(npz, tensors[i].name, bits, tensors[i].rows * 8);
  }
  check_member(npz, "b.weight.__shape__", (int64_t[2]){48, 64}, 16);
  uint32_t index = 0;
  char *text = NULL;
  CHECK(tsr_npz_find(npz, "__meta__", &index));
  CHECK_EQ(tsr_npz_read_text(npz, index, &text, NULL), TSR_OK);
  CHECK_STR(text,
            "{\"repo\": \"\", \"base_model\": \"a \\\"model\\\"\", "
            "\"method\": \"magnitude\", \"variant\": \"one-shot\", "
            "\"sparsity\": 0.250000, \"pattern\": \"Dense/2:4 tiles\", "
            "\"format\": \"uint8 numpy.packbits of the row-major [out, in] "
            "mask, 1 = keep\", \"measured_sparsity\": 0.250000}");
  tsr_free(text);
  tsr_npz_close(npz);
  tsr_mask_destroy(mask);
  CHECK_EQ(unlink(save_path), 0);
}

// A save that fails, wherever it does, leaves no file.
static void test_save_out_of_memory(void) {
  tsr_mask_tensor tensor = make_tensor(&some_matrix, 64);
  tsr_mask *mask = make_mask(&tensor, 1);
  uint64_t failures = 0;
  uint64_t nth = 0;
  uint64_t used;
  do {
    (void)tsr_memory_fail_at(++nth);
    tsr_error error = {0};
    tsr_status status = tsr_mask_save(mask, save_path, "m", &error);
    used = tsr_memory_fail_at(0);
    if (status == TSR_OK) {  // some memory is only nice to have
      CHECK_EQ(unlink(save_path), 0);
    } else {
      ++failures;
      CHECK_EQ(status, TSR_OUT_OF_MEMORY);
      CHECK(access(save_path, F_OK) != 0);
    }
  } while (used >= nth);
  CHECK(failures >= 5);
  tsr_mask_destroy(mask);
}

static void test_save_cancelled(void) {
  tsr_mask_tensor tensor = make_tensor(&some_matrix, 64);
  uint64_t left = 64 * 64 + 1000;
  tsr_mask_options options = {
      .sparsity = 0.25, .progress = stop_after, .progress_context = &left};
  tsr_mask *mask = NULL;
  tsr_error error = {0};
  CHECK_EQ(tsr_mask_create(&tensor, 1, &options, &mask, NULL), TSR_OK);
  CHECK_EQ(tsr_mask_save(mask, save_path, "m", &error), TSR_CANCELLED);
  CHECK(access(save_path, F_OK) != 0);
  error = (tsr_error){0};
  left = 1000000;
  CHECK_EQ(tsr_mask_save(mask, "no/such/folder/m.npz", "m", &error), TSR_IO);
  tsr_mask_destroy(mask);
}

int main(void) {
  fill(some_weights, 64 * 64, 7);
  test_by_hand();
  test_wanda_by_hand();
  test_choice();
  test_criterion();
  test_partners_agree();
  for (int i = 0; i <= 10; ++i) {
    test_properties(64, 128, i * 0.05);
    test_properties(100, 135, i * 0.049);
    test_properties(7, 260, i * 0.05);
  }
  test_bad_options();
  test_bad_tensors();
  test_bad_numbers();
  test_progress_and_cancel();
  test_out_of_memory();
  test_save();
  test_save_out_of_memory();
  test_save_cancelled();
  return test_finish();
}
