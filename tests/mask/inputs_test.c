// SPDX-License-Identifier: Apache-2.0
// Which matrices are masked: those of a plan, those of a checkpoint; their
// norms; and what happens when memory runs out on the way.
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "compiler/import.h"
#include "compiler/mask_inputs.h"
#include "test.h"

static const char weights_path[] = "inputs_test.safetensors";
static const char norms_path[] = "inputs_norms.safetensors";

// A safetensors file of zeros but for the first value of each tensor, which is
// its number, as F32. |shapes| ends with a NULL name; columns 0: a vector.
typedef struct shape {
  const char *name;
  uint32_t rows, columns;
} shape;

static void save(const char *path, const shape *shapes) {
  tsr_buffer header, file;
  size_t size = 0;
  tsr_buffer_init(&header);
  tsr_buffer_init(&file);
  for (const shape *s = shapes; s->name != NULL; ++s) {
    size_t bytes = sizeof(float) * s->rows * (s->columns ? s->columns : 1);
    tsr_buffer_printf(&header, "%s\"%s\": {\"dtype\": \"F32\", \"shape\": [%u",
                      size == 0 ? "{" : ", ", s->name, s->rows);
    if (s->columns != 0) tsr_buffer_printf(&header, ", %u", s->columns);
    tsr_buffer_printf(&header, "], \"data_offsets\": [%zu, %zu]}", size,
                      size + bytes);
    size += bytes;
  }
  tsr_buffer_append_char(&header, '}');
  uint64_t header_size = header.size;
  tsr_buffer_append(&file, &header_size, sizeof(header_size));
  tsr_buffer_append(&file, header.data, header.size);
  float *values = calloc(size / sizeof(float) + 1, sizeof(*values));
  float number = 1;
  size_t at = 0;
  for (const shape *s = shapes; s->name != NULL; ++s) {
    values[at] = number++;
    at += (size_t)s->rows * (s->columns ? s->columns : 1);
  }
  tsr_buffer_append(&file, values, size);
  CHECK_EQ(tsr_file_write(path, file.data, file.size, NULL), TSR_OK);
  free(values);
  tsr_buffer_fini(&header);
  tsr_buffer_fini(&file);
}

static const shape weights[] = {
    {"m.layers.0.q.weight", 48, 32},    {"m.layers.0.k.weight", 24, 32},
    {"m.layers.0.gate.weight", 40, 32}, {"m.layers.0.up.weight", 40, 32},
    {"m.layers.0.norm.weight", 32, 0},  {"m.embed.weight", 8, 32},
    {"m.layers.0.bias", 8, 32},         {NULL, 0, 0}};

static const shape norms[] = {{"m.layers.0.q.input_norm", 32, 0},
                              {"m.layers.0.k.weight", 32, 0},
                              {"m.layers.0.gate.input_norm", 31, 0},
                              {"m.embed.input_norm", 32, 1},
                              {NULL, 0, 0}};

// ---------------------------------------------------------------------------
// Checkpoints

static tsr_mask_inputs *open_checkpoint(const char *pattern) {
  tsr_mask_inputs *inputs = NULL;
  tsr_error error = {0};
  tsr_tile_shape tile = {16, 32};
  CHECK_EQ(tsr_mask_inputs_open_checkpoint(
               weights_path, &pattern, pattern != NULL, tile, &inputs, &error),
           TSR_OK);
  CHECK_STR(error.message, "");
  return inputs;
}

static void test_default_choice(void) {
  tsr_mask_inputs *inputs = open_checkpoint(NULL);
  CHECK_EQ(tsr_mask_inputs_count(inputs), 4);
  CHECK_EQ(tsr_mask_inputs_weights(inputs), (48 + 24 + 40 + 40) * 32);
  const tsr_mask_tensor *tensors = tsr_mask_inputs_tensors(inputs);
  for (uint32_t i = 0; i < 4; ++i) {
    CHECK_STR(tensors[i].name, weights[i].name);
    CHECK_EQ(tensors[i].rows, weights[i].rows);
    CHECK_EQ(tensors[i].columns, 32);
    CHECK_EQ(tensors[i].tile.rows, 16);
    CHECK_EQ(tensors[i].partner, TSR_MASK_NO_PARTNER);
    float row[32];
    CHECK_EQ(tensors[i].read(tensors[i].context, 0, 1, row, NULL), TSR_OK);
    CHECK_EQ(row[0], i + 1);
    CHECK_EQ(tensors[i].read(tensors[i].context, 1, 1, row, NULL), TSR_OK);
    CHECK_EQ(row[0], 0);
  }
  tsr_mask_inputs_close(inputs);
}

static void test_patterns(void) {
  tsr_mask_inputs *inputs = open_checkpoint("*.embed.*");
  CHECK_EQ(tsr_mask_inputs_count(inputs), 1);
  tsr_mask_inputs_close(inputs);
  inputs = open_checkpoint("*");  // all matrices, the vector not
  CHECK_EQ(tsr_mask_inputs_count(inputs), 6);
  tsr_mask_inputs_close(inputs);
  const char *pattern = "x*";
  tsr_error error = {0};
  CHECK_EQ(
      tsr_mask_inputs_open_checkpoint(
          weights_path, &pattern, 1, (tsr_tile_shape){16, 32}, &inputs, &error),
      TSR_NOT_FOUND);
  CHECK(inputs == NULL);
  CHECK_STR(error.message, "inputs_test.safetensors: no matrix matches 'x*'");
}

static void test_norms(void) {
  static const struct {
    const char *pattern;
    tsr_status status;
    const char *message;
  } cases[] = {
      {"*.q.weight", TSR_OK, ""},
      {"*.k.weight", TSR_OK, ""},
      {"*.up.weight", TSR_NOT_FOUND,
       "inputs_norms.safetensors: no norms 'm.layers.0.up.input_norm' for "
       "tensor 'm.layers.0.up.weight'"},
      {"*.gate.weight", TSR_MISMATCH,
       "inputs_norms.safetensors: 'm.layers.0.gate.input_norm' is not a "
       "vector of 32 floats, one for each column of "
       "'m.layers.0.gate.weight'"},
      {"*embed*", TSR_MISMATCH,
       "inputs_norms.safetensors: 'm.embed.input_norm' is not a vector of 32 "
       "floats, one for each column of 'm.embed.weight'"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    tsr_mask_inputs *inputs = open_checkpoint(cases[i].pattern);
    tsr_error error = {0};
    CHECK_EQ(tsr_mask_inputs_read_norms(inputs, norms_path, &error),
             cases[i].status);
    CHECK_STR(error.message, cases[i].message);
    if (cases[i].status == TSR_OK) {
      const float *read = tsr_mask_inputs_tensors(inputs)[0].norms;
      CHECK_EQ(read[0], i + 1);
      CHECK_EQ(read[1], 0);
    }
    tsr_mask_inputs_close(inputs);
  }
}

// ---------------------------------------------------------------------------
// Plans

#define HEAD                                           \
  "model \"m\"; weights \"inputs_test.safetensors\"; " \
  "masks patch \"not-there-yet.npz\"; target host generic; tile 16x32;\n"
#define QK                                          \
  "layer \"qk\" { concat \"m.layers.0.q.weight\", " \
  "\"m.layers.0.k.weight\"; }\n"
#define KQ                                          \
  "layer \"kq\" { concat \"m.layers.0.k.weight\", " \
  "\"m.layers.0.q.weight\"; dense rows 0..15; }\n"
#define GATE_UP                                                 \
  "layer \"gate_up\" { interleave \"m.layers.0.gate.weight\", " \
  "\"m.layers.0.up.weight\"; activation swiglu; }\n"

typedef struct opened {
  tsr_compilation *compilation;
  tsr_mask_inputs *inputs;
  tsr_status status;
  tsr_error error;
} opened;

static opened open_plan(const char *text, tsr_tile_shape tile) {
  opened o = {.compilation = tsr_compilation_create()};
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  if (o.compilation == NULL) {
    o.status = tsr_error_out_of_memory(&o.error);
    return o;
  }
  o.status = tsr_parse_text(o.compilation, "test.tess", ".", text, strlen(text),
                            &ast, &o.error);
  if (o.status == TSR_OK) {
    o.status = tsr_check(o.compilation, ast, &plan, &o.error);
  }
  if (o.status == TSR_OK && plan != NULL) {
    o.status = tsr_mask_inputs_open_plan(
        plan, tile, tsr_compilation_diags(o.compilation), &o.inputs, &o.error);
  }
  return o;
}

static void close_plan(opened *o) {
  tsr_mask_inputs_close(o->inputs);
  tsr_compilation_destroy(o->compilation);
}

static void expect_tensors(const opened *o, const char *const *names) {
  CHECK_EQ(o->status, TSR_OK);
  CHECK_STR(o->error.message, "");
  CHECK(o->inputs != NULL);
  if (o->inputs == NULL) return;
  const tsr_mask_tensor *tensors = tsr_mask_inputs_tensors(o->inputs);
  for (uint32_t i = 0; i < tsr_mask_inputs_count(o->inputs); ++i) {
    CHECK(names[i] != NULL);
    if (names[i] == NULL) return;
    CHECK_STR(tensors[i].name, names[i]);
  }
  CHECK(names[tsr_mask_inputs_count(o->inputs)] == NULL);
}

static void test_plan(void) {
  opened o = open_plan(HEAD QK GATE_UP KQ, (tsr_tile_shape){0, 0});
  expect_tensors(
      &o,
      (const char *[]){"m.layers.0.q.weight", "m.layers.0.k.weight",
                       "m.layers.0.gate.weight", "m.layers.0.up.weight", NULL});
  const tsr_mask_tensor *tensors = tsr_mask_inputs_tensors(o.inputs);
  CHECK_EQ(tensors[1].partner, TSR_MASK_NO_PARTNER);
  CHECK_EQ(tensors[2].partner, TSR_MASK_NO_PARTNER);
  CHECK_EQ(tensors[3].partner, 2);
  CHECK_EQ(tensors[0].tile.rows, 16);
  float row[32];
  CHECK_EQ(tensors[2].read(tensors[2].context, 0, 1, row, NULL), TSR_OK);
  CHECK_EQ(row[0], 3);
  const char *first = NULL;  // k's 24 rows end within a tile of kq
  CHECK_EQ(tsr_mask_inputs_straddling(o.inputs, &first), 1);
  CHECK_STR(first, "kq");
  close_plan(&o);
  o = open_plan(HEAD QK, (tsr_tile_shape){0, 0});
  CHECK_EQ(tsr_mask_inputs_straddling(o.inputs, &first), 0);
  CHECK(first == NULL);
  close_plan(&o);
}

// gate alone first: then gate and up are no longer one choice.
static void test_tensor_used_twice(void) {
  opened o = open_plan(HEAD
                       "layer \"g\" { weight \"m.layers.0.gate.weight\"; "
                       "}\n" GATE_UP,
                       (tsr_tile_shape){0, 0});
  expect_tensors(&o, (const char *[]){"m.layers.0.gate.weight",
                                      "m.layers.0.up.weight", NULL});
  CHECK_EQ(tsr_mask_inputs_tensors(o.inputs)[1].partner, TSR_MASK_NO_PARTNER);
  close_plan(&o);
}

static void test_different_tiles(void) {
  static const char text[] =
      HEAD QK "layer \"q\" { weight \"m.layers.0.q.weight\"; tile 32x32; }\n";
  opened o = open_plan(text, (tsr_tile_shape){0, 0});
  CHECK_EQ(o.status, TSR_UNSUPPORTED);
  CHECK(o.inputs == NULL);
  CHECK_STR(o.error.message,
            "tensor 'm.layers.0.q.weight' has different tiles in layers 'qk' "
            "and 'q'; give --tile");
  close_plan(&o);
  o = open_plan(text, (tsr_tile_shape){48, 64});
  expect_tensors(
      &o, (const char *[]){"m.layers.0.q.weight", "m.layers.0.k.weight", NULL});
  CHECK_EQ(tsr_mask_inputs_tensors(o.inputs)[0].tile.rows, 48);
  close_plan(&o);
}

static void test_two_weights(void) {
  opened o = open_plan(
      HEAD "weights \"inputs_test.safetensors\" as \"w\";\n" QK
           "layer \"q\" { weight \"m.layers.0.q.weight\" from \"w\"; }\n",
      (tsr_tile_shape){0, 0});
  CHECK_EQ(o.status, TSR_UNSUPPORTED);
  CHECK_STR(o.error.message,
            "two weights of the plan have a tensor 'm.layers.0.q.weight', but "
            "an archive of masks can hold only one by that name");
  close_plan(&o);
}

static void test_missing_tensors(void) {
  opened o =
      open_plan(HEAD QK
                "layer \"a\" { weight \"m.layers.9.q.weight\"; }\n"
                "layer \"b\" { weight \"m.layers.9.k.weight\"; }\n" GATE_UP,
                (tsr_tile_shape){0, 0});
  CHECK_EQ(o.status, TSR_OK);
  CHECK(o.inputs == NULL);
  CHECK_EQ(tsr_diag_error_count(tsr_compilation_diags(o.compilation)), 2);
  close_plan(&o);
}

// ---------------------------------------------------------------------------
// The importer finds the kinds that were chosen.

static void compare_kinds(const tsr_plan *plan, tsr_compilation *compilation,
                          const tsr_mask *mask) {
  tsr_diags *diags = tsr_compilation_diags(compilation);
  tsr_inputs *inputs = NULL;
  tsr_matrix *q = NULL, *pair = NULL;
  CHECK_EQ(tsr_inputs_open(plan, NULL, diags, &inputs, NULL), TSR_OK);
  CHECK_EQ(tsr_matrix_open(inputs, &plan->layers[0], diags, &q, NULL), TSR_OK);
  CHECK_EQ(tsr_matrix_open(inputs, &plan->layers[1], diags, &pair, NULL),
           TSR_OK);
  CHECK_EQ(tsr_diag_error_count(diags), 0);
  if (q == NULL || pair == NULL) return;
  // 48 x 32 and 2 * (40 x 32) in tiles of 16 x 32: 3 and 5 panels of one tile.
  const tsr_tile_grid *grid = tsr_matrix_grid(q);
  for (uint32_t i = 0; i < 3; ++i) {
    CHECK_EQ(tsr_grid_kind(grid, i, 0), tsr_mask_tile_kind(mask, 0, i));
  }
  grid = tsr_matrix_grid(pair);
  CHECK_EQ(grid->panel_count, 5);
  for (uint32_t i = 0; i < 5; ++i) {  // rows 16 i.. hold gate's 8 i..
    CHECK_EQ(tsr_grid_kind(grid, i, 0), tsr_mask_tile_kind(mask, 1, i / 2));
    CHECK_EQ(tsr_grid_kind(grid, i, 0), tsr_mask_tile_kind(mask, 2, i / 2));
  }
  tsr_matrix_close(q);
  tsr_matrix_close(pair);
  tsr_inputs_close(inputs);
}

static void test_importer_agrees(double sparsity) {
  static const char path[] = "inputs_test_mask.npz";
  static const char text[] =
      "model \"m\"; weights \"inputs_test.safetensors\"; "
      "masks patch \"inputs_test_mask.npz\"; target host generic; "
      "tile 16x32;\n"
      "layer \"q\" { weight \"m.layers.0.q.weight\"; }\n" GATE_UP;
  opened o = open_plan(text, (tsr_tile_shape){0, 0});
  tsr_mask_options options = {.sparsity = sparsity, .threads = 1};
  tsr_mask *mask = NULL;
  CHECK_EQ(tsr_mask_create(tsr_mask_inputs_tensors(o.inputs), 3, &options,
                           &mask, NULL),
           TSR_OK);
  CHECK_EQ(tsr_mask_save(mask, path, "m", NULL), TSR_OK);
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  tsr_compilation *again = tsr_compilation_create();
  CHECK_EQ(
      tsr_parse_text(again, "test.tess", ".", text, strlen(text), &ast, NULL),
      TSR_OK);
  CHECK_EQ(tsr_check(again, ast, &plan, NULL), TSR_OK);
  if (plan != NULL) compare_kinds(plan, again, mask);
  tsr_compilation_destroy(again);
  tsr_mask_destroy(mask);
  close_plan(&o);
  (void)remove(path);
}

// ---------------------------------------------------------------------------
// Memory

static tsr_status open_everything(tsr_error *error) {
  opened o = open_plan(HEAD QK GATE_UP, (tsr_tile_shape){0, 0});
  if (o.status == TSR_OK && o.inputs != NULL) {
    tsr_error ignored = {0};  // q's and k's norms are there, gate's do not fit
    o.status = tsr_mask_inputs_read_norms(o.inputs, norms_path, &ignored);
    o.error = ignored;
  }
  *error = o.error;
  close_plan(&o);
  return o.status;
}

static void test_out_of_memory(void) {
  uint64_t nth = 0;
  uint64_t used;
  do {
    tsr_error error = {0};
    (void)tsr_memory_fail_at(++nth);
    tsr_status status = open_everything(&error);
    used = tsr_memory_fail_at(0);
    if (used < nth) {
      CHECK_EQ(status, TSR_MISMATCH);
    } else if (status != TSR_MISMATCH) {  // some memory is only nice to have
      CHECK_EQ(status, TSR_OUT_OF_MEMORY);
    }
  } while (used >= nth);
  CHECK(nth > 20);
}

int main(void) {
  save(weights_path, weights);
  save(norms_path, norms);
  test_default_choice();
  test_patterns();
  test_norms();
  test_plan();
  test_tensor_used_twice();
  test_different_tiles();
  test_two_weights();
  test_missing_tensors();
  for (int i = 0; i <= 5; ++i) test_importer_agrees(0.1 * i);
  test_out_of_memory();
  (void)remove(weights_path);
  (void)remove(norms_path);
  return test_finish();
}
