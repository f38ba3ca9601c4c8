// SPDX-License-Identifier: Apache-2.0
// Masks one case made by oracle.py and writes what came out, raw.
//   mask_case INPUT OUTPUT
// INPUT (little-endian): case_header, then per tensor case_tensor, its norms
// (when it has them) and its weights, all float32. OUTPUT: per tensor
// case_result, one byte of kind per tile, and the packed bits.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/mask.h"

typedef struct case_header {
  double sparsity;
  uint32_t tensor_count;
  uint32_t per_tensor;
  uint32_t criterion;
  uint32_t threads;
} case_header;

typedef struct case_tensor {
  uint32_t rows;
  uint32_t columns;
  uint32_t tile_rows;
  uint32_t tile_columns;
  uint32_t partner;
  uint32_t has_norms;
} case_tensor;

typedef struct case_result {
  uint64_t tile_count;
  uint64_t dense_count;
  uint64_t weights;
  uint64_t kept_weights;
  double energy;
  double lost_energy;
} case_result;

enum { TENSORS_MAX = 16 };

typedef struct matrix {
  uint32_t columns;
  float *weights;
} matrix;

static tsr_status read_rows(void *context, uint32_t row, uint32_t count,
                            float *values, tsr_error *error) {
  const matrix *m = context;
  (void)error;
  memcpy(values, m->weights + (size_t)row * m->columns,
         (size_t)count * m->columns * sizeof(float));
  return TSR_OK;
}

static bool read_floats(FILE *in, size_t count, float **out) {
  *out = malloc(count * sizeof(float));
  return *out != NULL && fread(*out, sizeof(float), count, in) == count;
}

static bool read_tensor(FILE *in, tsr_mask_tensor *out, matrix *out_matrix) {
  case_tensor t;
  float *norms = NULL;
  if (fread(&t, sizeof(t), 1, in) != 1) return false;
  if (t.has_norms && !read_floats(in, t.columns, &norms)) return false;
  out_matrix->columns = t.columns;
  *out = (tsr_mask_tensor){.name = "w",
                           .rows = t.rows,
                           .columns = t.columns,
                           .tile = {t.tile_rows, t.tile_columns},
                           .norms = norms,
                           .partner = t.partner,
                           .read = read_rows,
                           .context = out_matrix};
  return read_floats(in, (size_t)t.rows * t.columns, &out_matrix->weights);
}

static bool write_tensor(FILE *out, const tsr_mask *mask, uint32_t index) {
  tsr_mask_report report = tsr_mask_report_tensor(mask, index);
  case_result result = {
      .tile_count =
          report.tiles[TSR_KIND_DENSE] + report.tiles[TSR_KIND_SPARSE24],
      .dense_count = report.tiles[TSR_KIND_DENSE],
      .weights = report.weights,
      .kept_weights = report.kept_weights,
      .energy = report.energy,
      .lost_energy = report.lost_energy,
  };
  size_t size = (size_t)tsr_mask_bits_size(mask, index);
  uint8_t *bits = malloc(size);
  tsr_error error = {0};
  bool ok = bits != NULL && fwrite(&result, sizeof(result), 1, out) == 1;
  for (uint64_t i = 0; ok && i < result.tile_count; ++i) {
    ok = fputc((int)tsr_mask_tile_kind(mask, index, i), out) != EOF;
  }
  ok = ok && tsr_mask_emit(mask, index, bits, &error) == TSR_OK &&
       fwrite(bits, 1, size, out) == size;
  free(bits);
  return ok;
}

int main(int argc, char **argv) {
  static tsr_mask_tensor tensors[TENSORS_MAX];
  static matrix matrices[TENSORS_MAX];
  case_header header;
  tsr_mask *mask = NULL;
  tsr_error error = {0};
  FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL;
  FILE *out = argc == 3 ? fopen(argv[2], "wb") : NULL;
  bool ok = in != NULL && out != NULL &&
            fread(&header, sizeof(header), 1, in) == 1 &&
            header.tensor_count <= TENSORS_MAX;
  for (uint32_t i = 0; ok && i < header.tensor_count; ++i) {
    ok = read_tensor(in, &tensors[i], &matrices[i]);
  }
  if (ok) {
    tsr_mask_options options = {
        .sparsity = header.sparsity,
        .per_tensor = header.per_tensor != 0,
        .criterion = (tsr_mask_criterion)header.criterion,
        .threads = header.threads};
    ok = tsr_mask_create(tensors, header.tensor_count, &options, &mask,
                         &error) == TSR_OK;
  }
  for (uint32_t i = 0; ok && i < header.tensor_count; ++i) {
    ok = write_tensor(out, mask, i);
  }
  if (!ok) fprintf(stderr, "mask_case: failed: %s\n", error.message);
  tsr_mask_destroy(mask);
  for (int i = 0; i < TENSORS_MAX; ++i) {
    union {
      const float *read;
      float *owned;
    } norms = {.read = tensors[i].norms};
    free(norms.owned);
    free(matrices[i].weights);
  }
  if (in != NULL) fclose(in);
  if (out != NULL && fclose(out) != 0) ok = false;
  return ok ? 0 : 1;
}
