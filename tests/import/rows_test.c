// SPDX-License-Identifier: Apache-2.0
// The inner loops against their definitions, reading from several threads, and
// that a large file does not stay in memory.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/float16.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "compiler/checkpoint.h"
#include "compiler/import.h"
#include "compiler/import/convert.h"
#include "compiler/import/names.h"
#include "compiler/import/synthetic.h"
#include "test.h"

static uint32_t random_state = 1;

static uint32_t next_random(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return random_state >> 8;
}

// Every 16-bit pattern, at every alignment of the data.
static void test_conversions(void) {
  uint8_t *data = malloc(65536 * 2 + 3);
  float *values = malloc(65536 * sizeof(float));
  for (unsigned shift = 0; shift < 2; ++shift) {
    for (unsigned i = 0; i < 65536; ++i) {
      uint16_t bits = (uint16_t)i;
      memcpy(data + shift + 2 * i, &bits, 2);
    }
    unsigned wrong = 0;
    tsr_convert_to_float(TSR_DTYPE_F16, data + shift, 65535, values);
    for (unsigned i = 0; i < 65535; ++i) {
      float expected = tsr_fp16_to_float((uint16_t)i);
      wrong += tsr_float_bits(values[i]) != tsr_float_bits(expected);
    }
    tsr_convert_to_float(TSR_DTYPE_BF16, data + shift, 65535, values);
    for (unsigned i = 0; i < 65535; ++i) {
      wrong += tsr_float_bits(values[i]) != i << 16;
    }
    CHECK_EQ(wrong, 0);
  }
  free(data);
  free(values);
}

enum { MAX_BITS = 300 };

static size_t slow_find(const uint8_t *bits, size_t begin, size_t end,
                        unsigned most) {
  for (size_t group = begin / 4; 4 * group < end; ++group) {
    unsigned kept = 0;
    for (size_t i = 4 * group; i < 4 * group + 4 && i < end; ++i) {
      kept += tsr_bits_get(bits, i);
    }
    if (kept > most) return group;
  }
  return (end + 3) / 4;
}

// Bits of random density, so that searches end early and late.
static void fill_random(uint8_t *bits, size_t count) {
  uint32_t density = next_random() % 100;
  memset(bits, 0, MAX_BITS / 8 + 1);
  for (size_t i = 0; i < count; ++i) {
    unsigned bit = next_random() % 100 < density;
    bits[i / 8] |= (uint8_t)(bit << (i % 8));
  }
}

static void test_groups(void) {
  uint8_t bits[MAX_BITS / 8 + 1];
  for (unsigned round = 0; round < 5000; ++round) {
    size_t count = 1 + next_random() % MAX_BITS;
    size_t begin = next_random() % count / 32 * 32;
    fill_random(bits, count);
    if (round % 2 != 0) {  // mostly 2:4, one group spoilt
      memset(bits, 0x5a, count / 8);
      if (count >= 8) bits[next_random() % (count / 8)] = 0x5b;
    }
    for (unsigned most = 0; most <= 4; ++most) {
      CHECK_EQ(tsr_bits_find_group(bits, begin, count, most),
               slow_find(bits, begin, count, most));
    }
    uint64_t expected = 0;
    for (size_t i = 0; i < count; ++i) expected += tsr_bits_get(bits, i);
    CHECK_EQ(tsr_bits_count(bits, tsr_bits_size(count)), expected);
  }
}

static void test_clear(void) {
  uint8_t bits[MAX_BITS / 8 + 1];
  for (unsigned round = 0; round < 2000; ++round) {
    size_t count = 1 + next_random() % MAX_BITS;
    size_t begin = next_random() % count;
    size_t end = begin + next_random() % (count - begin + 1);
    unsigned wrong = 0;
    tsr_bits_fill(bits, count);
    CHECK_EQ(tsr_bits_count(bits, tsr_bits_size(count)), count);
    tsr_bits_clear(bits, begin, end);
    for (size_t i = 0; i < count; ++i) {
      wrong += tsr_bits_get(bits, i) != (i < begin || i >= end);
    }
    CHECK_EQ(wrong, 0);
  }
}

static void test_flat_bits(void) {
  uint8_t flat[512];
  uint8_t row[MAX_BITS / 8 + 1];
  for (size_t i = 0; i < sizeof(flat); ++i) flat[i] = (uint8_t)next_random();
  for (unsigned round = 0; round < 2000; ++round) {
    size_t count = 1 + next_random() % MAX_BITS;
    size_t first = next_random() % (8 * sizeof(flat) - count + 1);
    unsigned wrong = 0;
    tsr_bits_from_msb(flat, sizeof(flat), first, count, row);
    for (size_t i = 0; i < count; ++i) {
      size_t at = first + i;
      bool expected = (flat[at / 8] >> (7 - at % 8) & 1) != 0;
      wrong += tsr_bits_get(row, i) != expected;
    }
    if (count % 8 != 0) wrong += row[count / 8] >> (count % 8) != 0;
    CHECK_EQ(wrong, 0);
  }
}

static void test_names(void) {
  static const char *const texts[] = {"model.layers.0.q_proj.weight",
                                      "model.layers.1.q_proj.weight",
                                      "model.layers.0.k_proj.weight"};
  tsr_names names;
  uint32_t index = 9;
  CHECK_EQ(tsr_names_init(&names, 4, NULL), TSR_OK);
  for (uint32_t i = 0; i < 3; ++i) tsr_names_add(&names, texts[i], i);
  CHECK(tsr_names_sort(&names) == NULL);
  CHECK(tsr_names_find(&names, texts[1], &index));
  CHECK_EQ(index, 1);
  CHECK(!tsr_names_find(&names, "model", &index));
  CHECK_STR(tsr_names_nearest(&names, "model.layer.1.q_proj.weight"), texts[1]);
  CHECK(tsr_names_nearest(&names, "lm_head") == NULL);
  tsr_names_add(&names, texts[2], 3);
  CHECK_STR(tsr_names_sort(&names), texts[2]);
  tsr_names_fini(&names);
}

// Pins the numbers: whoever changes them changes TSR_SYNTHETIC_VERSION.
static void test_synthetic(void) {
  float values[100];
  uint8_t keep[40 * 13];
  char text[33];
  uint64_t key = tsr_synthetic_key(7, "layer");
  CHECK_EQ(TSR_SYNTHETIC_VERSION, 1);
  tsr_synthetic_row(key, 3, 100, values);
  tsr_hash_format(tsr_hash_bytes(values, sizeof(values)), text);
  CHECK_STR(text, "7c7e4c254b523fbfc194d2ba4cd7ccb3");
  CHECK_EQ(tsr_synthetic_mask(key, (tsr_tile_shape){16, 32}, 0.5, 0.25, 40, 100,
                              13, keep, NULL),
           TSR_OK);
  tsr_hash_format(tsr_hash_bytes(keep, sizeof(keep)), text);
  CHECK_STR(text, "3744cf54421479ff62e6041c7cd42b57");
}

// Giving back pages of the caller's memory would clear it.
static void test_memory_stays(void) {
  enum { SIZE = 1 << 18 };
  uint8_t *data = aligned_alloc(65536, SIZE);
  memset(data, 0x11, SIZE);
  char header[256];
  int length = snprintf(header, sizeof(header),
                        "{\"a\":{\"dtype\":\"U8\",\"shape\":[%d],"
                        "\"data_offsets\":[0,%d]}}%*s",
                        SIZE - 128, SIZE - 128, 120, "");
  CHECK(length >= 120);
  const uint64_t header_size = 120;
  memcpy(data, &header_size, 8);
  memcpy(data + 8, header, 120);
  tsr_checkpoint *checkpoint = NULL;
  CHECK_EQ(tsr_checkpoint_open_memory("m", data, SIZE, &checkpoint, NULL),
           TSR_OK);
  if (checkpoint != NULL) {
    tsr_tensor_drop(tsr_checkpoint_tensor(checkpoint, 0), 0, SIZE - 128);
  }
  size_t wrong = 0;
  for (size_t i = 128; i < SIZE; ++i) wrong += data[i] != 0x11;
  CHECK_EQ(wrong, 0);
  tsr_checkpoint_close(checkpoint);
  free(data);
}

// ---- reading through a plan ------------------------------------------------

static const char weights_path[] = "rows_test.safetensors";

// A sparse file of zeros: |rows| x |columns| of BF16.
static bool make_zeros(uint32_t rows, uint32_t columns) {
  char header[256];
  unsigned long long size = 2ull * rows * columns;
  int length = snprintf(header + 8, sizeof(header) - 8,
                        "{\"a\":{\"dtype\":\"BF16\",\"shape\":[%u,%u],"
                        "\"data_offsets\":[0,%llu]}}",
                        rows, columns, size);
  const uint64_t header_size = (uint64_t)length;
  memcpy(header, &header_size, 8);
  int file = open(weights_path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (file < 0) return false;
  bool good = write(file, header, (size_t)length + 8) == length + 8 &&
              ftruncate(file, (off_t)(length + 8) + (off_t)size) == 0;
  return close(file) == 0 && good;
}

static tsr_compilation *compilation;

static tsr_matrix *open_plan(const char *text, tsr_inputs **out_inputs) {
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  tsr_matrix *matrix = NULL;
  tsr_error error = {.status = TSR_OK};
  compilation = tsr_compilation_create();
  tsr_diags *diags = tsr_compilation_diags(compilation);
  CHECK_EQ(tsr_parse_text(compilation, "t.tess", ".", text, strlen(text), &ast,
                          &error),
           TSR_OK);
  CHECK_EQ(tsr_check(compilation, ast, &plan, &error), TSR_OK);
  if (plan == NULL) return NULL;
  CHECK_EQ(tsr_inputs_open(plan, NULL, diags, out_inputs, &error), TSR_OK);
  if (*out_inputs == NULL) return NULL;
  CHECK_EQ(
      tsr_matrix_open(*out_inputs, &plan->layers[0], diags, &matrix, &error),
      TSR_OK);
  return matrix;
}

static void close_plan(tsr_matrix *matrix, tsr_inputs *inputs) {
  tsr_matrix_close(matrix);
  tsr_inputs_close(inputs);
  tsr_compilation_destroy(compilation);
}

// Kilobytes of files mapped into this process; 0 where the system has no such
// count.
static long file_memory(void) {
  char line[256];
  long size = 0;
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) return 0;
  while (fgets(line, sizeof(line), status) != NULL) {
    if (strncmp(line, "RssFile:", 8) == 0) size = strtol(line + 8, NULL, 10);
  }
  fclose(status);
  return size;
}

// 128 MiB of weights, one row (1500 bytes: no whole page) at a time.
static void test_memory(void) {
  enum { ROWS = 89478, COLUMNS = 750 };
  float values[COLUMNS];
  tsr_inputs *inputs = NULL;
  CHECK(make_zeros(ROWS, COLUMNS));
  tsr_matrix *matrix = open_plan(
      "model \"m\"; target host;\nweights \"rows_test.safetensors\";\n"
      "masks nonzero;\ntile 64x64;\nlayer \"a\" { weight \"a\"; }\n",
      &inputs);
  CHECK(matrix != NULL);
  if (matrix == NULL) return;
  long before = file_memory();
  long most = before;
  for (uint32_t row = 0; row < ROWS; ++row) {
    if (tsr_matrix_read(matrix, row, 1, values, NULL, NULL) != TSR_OK) {
      CHECK(false);
      break;
    }
    if (row % 1000 == 0 && file_memory() > most) most = file_memory();
  }
  CHECK(before < 16 * 1024);
  CHECK(most - before < 8 * 1024);
  CHECK_EQ(tsr_matrix_read(matrix, ROWS, 0, values, NULL, NULL), TSR_OK);
  CHECK_EQ(tsr_matrix_read(matrix, ROWS, 1, values, NULL, NULL),
           TSR_INVALID_ARGUMENT);
  CHECK_EQ(tsr_matrix_read(matrix, 1, UINT32_MAX, values, NULL, NULL),
           TSR_INVALID_ARGUMENT);
  close_plan(matrix, inputs);
  (void)remove(weights_path);
}

enum { THREAD_ROWS = 600, THREAD_COLUMNS = 500 };

typedef struct threads_context {
  const tsr_matrix *matrix;
  float *values;
} threads_context;

static tsr_status read_some(void *context, uint32_t worker, uint64_t index,
                            tsr_error *error) {
  (void)worker;
  threads_context *c = context;
  uint32_t row = (uint32_t)index * 3;
  return tsr_matrix_read(c->matrix, row, 3,
                         c->values + (size_t)row * THREAD_COLUMNS, NULL, error);
}

static void test_threads(void) {
  size_t size = THREAD_ROWS * THREAD_COLUMNS * sizeof(float);
  threads_context one = {NULL, malloc(size)};
  threads_context four = {NULL, malloc(size)};
  tsr_inputs *inputs = NULL;
  tsr_matrix *matrix = open_plan(
      "model \"m\"; target host;\nweights synthetic seed 1;\n"
      "masks synthetic sparse24 50% zero 10% seed 2;\ntile 64x64;\n"
      "layer \"a\" { concat synthetic 300x500, synthetic 300x500; }\n",
      &inputs);
  CHECK(matrix != NULL);
  if (matrix != NULL) {
    one.matrix = four.matrix = matrix;
    CHECK_EQ(tsr_parallel_for(1, THREAD_ROWS / 3, read_some, &one, NULL),
             TSR_OK);
    CHECK_EQ(tsr_parallel_for(4, THREAD_ROWS / 3, read_some, &four, NULL),
             TSR_OK);
    CHECK(memcmp(one.values, four.values, size) == 0);
  }
  close_plan(matrix, inputs);
  free(one.values);
  free(four.values);
}

int main(void) {
  test_conversions();
  test_groups();
  test_clear();
  test_flat_bits();
  test_names();
  test_synthetic();
  test_memory_stays();
  test_memory();
  test_threads();
  return test_finish();
}
