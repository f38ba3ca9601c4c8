// SPDX-License-Identifier: Apache-2.0
// What the importers read, laid open for numpy to judge: for every layer i of
// a plan DIR/i.{values,unmasked,keep,grid,bias}.npy, and on standard output
// its name, type, statistics and hashes. Diagnostics go to standard error.
//   import_tool PLAN DIR
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "compiler/import.h"
#include "compiler/npy.h"

static tsr_status write_array(const char *directory, uint32_t layer,
                              const char *what, tsr_npy_type type,
                              uint64_t rows, uint64_t columns, const void *data,
                              tsr_error *error) {
  char path[4096];
  const uint64_t shape[2] = {rows, columns};
  snprintf(path, sizeof(path), "%s/%u.%s.npy", directory, layer, what);
  return tsr_npy_write(path, type, 2, shape, data, error);
}

// Everything that can be read from |matrix|; the values in pieces of different
// sizes, as threads would.
typedef struct content {
  float *values;
  float *unmasked;
  float *bias;
  uint8_t *keep;
} content;

static tsr_status read_content(const tsr_matrix *matrix, content *c,
                               tsr_error *error) {
  uint32_t rows = tsr_matrix_rows(matrix);
  uint32_t columns = tsr_matrix_columns(matrix);
  size_t stride = (columns + 7) / 8;
  c->values = tsr_calloc((size_t)rows * columns, sizeof(float));
  c->unmasked = tsr_calloc((size_t)rows * columns, sizeof(float));
  c->bias = tsr_calloc(rows, sizeof(float));
  c->keep = tsr_calloc(rows, stride);
  if (c->values == NULL || c->unmasked == NULL || c->bias == NULL ||
      c->keep == NULL) {
    return tsr_error_out_of_memory(error);
  }
  uint32_t step = 1;
  tsr_status status = tsr_matrix_read_bias(matrix, c->bias, error);
  for (uint32_t row = 0; row < rows && status == TSR_OK; row += step) {
    step = row % 3 + 1;
    uint32_t count = rows - row < step ? rows - row : step;
    size_t at = (size_t)row * columns;
    status = tsr_matrix_read(matrix, row, count, c->values + at,
                             c->keep + row * stride, error);
    if (status == TSR_OK) {
      status =
          tsr_matrix_read_unmasked(matrix, row, count, c->unmasked + at, error);
    }
  }
  return status;
}

static tsr_status write_content(const tsr_matrix *matrix, const content *c,
                                uint32_t layer, const char *directory,
                                tsr_error *error) {
  uint32_t rows = tsr_matrix_rows(matrix);
  uint32_t columns = tsr_matrix_columns(matrix);
  const tsr_tile_grid *grid = tsr_matrix_grid(matrix);
  tsr_status status = write_array(directory, layer, "values", TSR_NPY_FLOAT32,
                                  rows, columns, c->values, error);
  if (status == TSR_OK) {
    status = write_array(directory, layer, "unmasked", TSR_NPY_FLOAT32, rows,
                         columns, c->unmasked, error);
  }
  if (status == TSR_OK) {
    status = write_array(directory, layer, "bias", TSR_NPY_FLOAT32, 1, rows,
                         c->bias, error);
  }
  if (status == TSR_OK) {
    status = write_array(directory, layer, "keep", TSR_NPY_UINT8, rows,
                         (columns + 7) / 8, c->keep, error);
  }
  if (status == TSR_OK) {
    status =
        write_array(directory, layer, "grid", TSR_NPY_UINT8, grid->panel_count,
                    grid->column_count, grid->kinds, error);
  }
  return status;
}

static tsr_status print_facts(const tsr_matrix *matrix, const char *name,
                              tsr_error *error) {
  tsr_matrix_stats stats;
  tsr_hash weights;
  tsr_hash mask;
  char texts[2][33];
  tsr_status status = tsr_matrix_statistics(matrix, &stats, error);
  if (status == TSR_OK)
    status = tsr_matrix_hash(matrix, &weights, &mask, error);
  if (status != TSR_OK) return status;
  tsr_hash_format(weights, texts[0]);
  tsr_hash_format(mask, texts[1]);
  printf("%s %s %llu %llu %llu %llu %llu %llu %llu %s %s\n", name,
         tsr_dtype_name(tsr_matrix_source_type(matrix)),
         (unsigned long long)stats.tiles[0], (unsigned long long)stats.tiles[1],
         (unsigned long long)stats.tiles[2], (unsigned long long)stats.weights,
         (unsigned long long)stats.kept_weights,
         (unsigned long long)stats.dense_bytes,
         (unsigned long long)stats.packed_bytes, texts[0], texts[1]);
  return TSR_OK;
}

static tsr_status show_layer(const tsr_inputs *inputs, const tsr_plan *plan,
                             uint32_t layer, tsr_diags *diags,
                             const char *directory, tsr_error *error) {
  tsr_matrix *matrix = NULL;
  content c = {NULL, NULL, NULL, NULL};
  tsr_status status =
      tsr_matrix_open(inputs, &plan->layers[layer], diags, &matrix, error);
  if (status == TSR_OK && matrix != NULL) {
    status = read_content(matrix, &c, error);
    if (status == TSR_OK) {
      status = write_content(matrix, &c, layer, directory, error);
    }
    if (status == TSR_OK) {
      status = print_facts(matrix, plan->layers[layer].name, error);
    }
  }
  tsr_free(c.values);
  tsr_free(c.unmasked);
  tsr_free(c.bias);
  tsr_free(c.keep);
  tsr_matrix_close(matrix);
  return status;
}

static tsr_status run(tsr_compilation *compilation, const char *path,
                      const char *directory, tsr_error *error) {
  tsr_diags *diags = tsr_compilation_diags(compilation);
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  tsr_inputs *inputs = NULL;
  tsr_status status = tsr_parse_file(compilation, path, &ast, error);
  if (status == TSR_OK) status = tsr_check(compilation, ast, &plan, error);
  if (status == TSR_OK && plan != NULL) {
    status = tsr_inputs_open(plan, NULL, diags, &inputs, error);
  }
  for (uint32_t i = 0; inputs != NULL && i < plan->layer_count; ++i) {
    if (status != TSR_OK) break;
    status = show_layer(inputs, plan, i, diags, directory, error);
  }
  tsr_inputs_close(inputs);
  return status;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  // OOM_AT=n lets the nth allocation fail.
  const char *nth = getenv("OOM_AT");
  if (nth != NULL) (void)tsr_memory_fail_at(strtoull(nth, NULL, 10));
  tsr_error error = {.status = TSR_OK};
  tsr_compilation *compilation = tsr_compilation_create();
  tsr_status status = compilation == NULL
                          ? tsr_error_out_of_memory(&error)
                          : run(compilation, argv[1], argv[2], &error);
  uint64_t allocations = tsr_memory_fail_at(0);
  if (nth != NULL)
    printf("allocations %llu\n", (unsigned long long)allocations);
  uint32_t errors = 0;
  if (status != TSR_OK) {
    fprintf(stderr, "%s\n", error.message);
  }
  if (compilation != NULL) {
    tsr_buffer text;
    tsr_buffer_init(&text);
    const tsr_diag_print_options options = {.color = false};
    const tsr_diags *diags = tsr_compilation_diags(compilation);
    errors = tsr_diag_error_count(diags);
    tsr_diag_print(diags, tsr_compilation_sources(compilation), &options,
                   &text);
    fputs(tsr_buffer_text(&text), stderr);
    tsr_buffer_fini(&text);
  }
  tsr_compilation_destroy(compilation);
  return status != TSR_OK ? 3 : errors != 0 ? 1 : 0;
}
