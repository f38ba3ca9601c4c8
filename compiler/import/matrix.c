// SPDX-License-Identifier: Apache-2.0
// One layer's matrix: its tensors combined, its mask as bits in memory (one
// bit per weight), its values read from the maps row by row.
#include <string.h>

#include "base/memory.h"
#include "convert.h"
#include "inputs.h"
#include "synthetic.h"

struct tsr_matrix {
  const tsr_plan_layer *layer;
  tsr_part *parts;  // owned; layer->tensor_count
  uint32_t part_count;
  uint32_t rows;
  uint32_t columns;
  tsr_dtype type;
  size_t stride;       // bytes of a row of |keep|
  uint8_t *keep;       // owned
  tsr_tile_grid grid;  // kinds owned
};

// Where a row of the matrix comes from.
typedef struct place {
  const tsr_part *part;
  uint32_t row;
} place;

static place locate(const tsr_matrix *matrix, uint32_t row) {
  const tsr_part *part = matrix->parts;
  if (matrix->layer->combine == TSR_COMBINE_INTERLEAVE) {
    return (place){part + row % 2, row / 2};
  }
  while (row >= part->rows) row -= part++->rows;
  return (place){part, row};
}

tsr_row_owner tsr_matrix_row_owner(const tsr_matrix *matrix, uint32_t row) {
  place at = locate(matrix, row);
  return (tsr_row_owner){at.part->tensor->name, at.row};
}

// ---- opening ---------------------------------------------------------------

static tsr_status bind_parts(const tsr_inputs *inputs, tsr_matrix *matrix,
                             tsr_diags *diags, bool *valid, tsr_error *error) {
  const tsr_plan_layer *layer = matrix->layer;
  matrix->parts = tsr_calloc(layer->tensor_count, sizeof(*matrix->parts));
  if (matrix->parts == NULL) return tsr_error_out_of_memory(error);
  matrix->part_count = layer->tensor_count;
  for (uint32_t i = 0; i < layer->tensor_count; ++i) {
    bool part_valid = true;
    tsr_status status = tsr_part_bind(inputs, layer, &layer->tensors[i], diags,
                                      &matrix->parts[i], &part_valid, error);
    if (status == TSR_OK && part_valid) {
      status = tsr_part_check(&matrix->parts[i], diags, &part_valid, error);
    }
    if (status != TSR_OK) return status;
    *valid = *valid && part_valid;
  }
  return TSR_OK;
}

static bool check_concat(const tsr_plan_layer *layer, const tsr_part *parts,
                         tsr_diags *diags) {
  bool valid = true;
  const tsr_part *first = &parts[0];
  for (uint32_t i = 1; i < layer->tensor_count; ++i) {
    const tsr_part *part = &parts[i];
    if (part->columns == first->columns) continue;
    valid = false;
    tsr_diag_report(diags, TSR_DIAG_CONCAT_COLUMNS, part->tensor->span,
                    "layer '%s': '%s' has %u in_features, '%s' has %u",
                    layer->name, part->tensor->name, part->columns,
                    first->tensor->name, first->columns);
  }
  return valid;
}

static bool check_interleave(const tsr_plan_layer *layer, const tsr_part *parts,
                             tsr_diags *diags) {
  const tsr_part *a = &parts[0];
  const tsr_part *b = &parts[1];
  if (a->rows == b->rows && a->columns == b->columns) return true;
  tsr_diag_report(diags, TSR_DIAG_INTERLEAVE_SHAPE, b->tensor->span,
                  "layer '%s': '%s' is [%u, %u], '%s' is [%u, %u]", layer->name,
                  b->tensor->name, b->rows, b->columns, a->tensor->name,
                  a->rows, a->columns);
  return false;
}

bool tsr_parts_fit(const tsr_plan_layer *layer, const tsr_part *parts,
                   tsr_diags *diags) {
  return layer->combine == TSR_COMBINE_INTERLEAVE
             ? check_interleave(layer, parts, diags)
             : check_concat(layer, parts, diags);
}

static bool set_shape(tsr_matrix *matrix, tsr_diags *diags) {
  uint64_t rows = 0;
  matrix->type = matrix->parts[0].type;
  for (uint32_t i = 0; i < matrix->part_count; ++i) {
    rows += matrix->parts[i].rows;
    // Floats hold both 16-bit types; neither holds the other.
    if (matrix->parts[i].type != matrix->type) matrix->type = TSR_DTYPE_F32;
  }
  matrix->columns = matrix->parts[0].columns;
  matrix->stride = tsr_bits_size(matrix->columns);
  matrix->rows = (uint32_t)rows;
  if (rows <= INT32_MAX) return true;
  tsr_diag_report(diags, TSR_DIAG_TENSOR_NOT_MATRIX, matrix->layer->span,
                  "layer '%s' has %llu rows; at most 2147483647 are possible",
                  matrix->layer->name, (unsigned long long)rows);
  return false;
}

static tsr_status allocate(tsr_matrix *matrix, tsr_error *error) {
  tsr_tile_shape tile = matrix->layer->tile;
  tsr_tile_grid *grid = &matrix->grid;
  *grid = (tsr_tile_grid){
      .tile = tile,
      .rows = matrix->rows,
      .columns = matrix->columns,
      .panel_count = matrix->rows / tile.rows + (matrix->rows % tile.rows != 0),
      .column_count = matrix->columns / tile.columns +
                      (matrix->columns % tile.columns != 0)};
  grid->kinds = tsr_malloc((size_t)grid->panel_count * grid->column_count);
  matrix->keep = tsr_malloc(matrix->rows * matrix->stride);
  if (grid->kinds == NULL || matrix->keep == NULL) {
    return tsr_error_out_of_memory(error);
  }
  return TSR_OK;
}

// One synthetic mask over the whole matrix gives exact fractions of its own
// tiles; masks of single tensors would mix in tiles that straddle them.
static bool is_synthetic_whole(const tsr_matrix *matrix) {
  const tsr_mask_input *masks = matrix->parts[0].masks;
  for (uint32_t i = 0; i < matrix->part_count; ++i) {
    if (matrix->parts[i].masks != masks) return false;
  }
  return masks->plan->format == TSR_MASK_SYNTHETIC;
}

static tsr_status fill_synthetic(tsr_matrix *matrix, tsr_error *error) {
  const tsr_plan_masks *plan = matrix->parts[0].masks->plan;
  uint64_t key = plan->seed;
  for (uint32_t i = 0; i < matrix->part_count; ++i) {
    key = tsr_synthetic_key(key, matrix->parts[i].tensor->name);
  }
  return tsr_synthetic_mask(key, matrix->grid.tile, plan->sparse24_fraction,
                            plan->zero_fraction, matrix->rows, matrix->columns,
                            matrix->stride, matrix->keep, error);
}

static tsr_status fill_keep(tsr_matrix *matrix, tsr_diags *diags, bool *valid,
                            tsr_error *error) {
  if (is_synthetic_whole(matrix)) return fill_synthetic(matrix, error);
  bool alternate = matrix->layer->combine == TSR_COMBINE_INTERLEAVE;
  size_t pitch = alternate ? 2 * matrix->stride : matrix->stride;
  size_t first = 0;
  for (uint32_t i = 0; i < matrix->part_count; ++i) {
    const tsr_part *part = &matrix->parts[i];
    bool part_valid = true;
    tsr_status status = tsr_part_fill_keep(
        part, matrix->grid.tile, pitch, matrix->keep + first * matrix->stride,
        diags, &part_valid, error);
    if (status != TSR_OK) return status;
    *valid = *valid && part_valid;
    first += alternate ? 1 : part->rows;
  }
  return TSR_OK;
}

static tsr_status open_matrix(const tsr_inputs *inputs, tsr_matrix *matrix,
                              tsr_diags *diags, bool *valid, tsr_error *error) {
  tsr_status status = bind_parts(inputs, matrix, diags, valid, error);
  if (status != TSR_OK || !*valid) return status;
  *valid = tsr_parts_fit(matrix->layer, matrix->parts, diags) &&
           set_shape(matrix, diags);
  if (!*valid) return TSR_OK;
  status = allocate(matrix, error);
  if (status == TSR_OK) status = fill_keep(matrix, diags, valid, error);
  if (status != TSR_OK || !*valid) return status;
  tsr_grid_derive(&matrix->grid, matrix->keep, matrix->stride);
  return tsr_rules_apply(matrix->layer, matrix, &matrix->grid, matrix->keep,
                         matrix->stride, diags, valid, error);
}

tsr_status tsr_matrix_open(const tsr_inputs *inputs,
                           const tsr_plan_layer *layer, tsr_diags *diags,
                           tsr_matrix **out_matrix, tsr_error *error) {
  *out_matrix = NULL;
  tsr_matrix *matrix = tsr_calloc(1, sizeof(*matrix));
  if (matrix == NULL) return tsr_error_out_of_memory(error);
  matrix->layer = layer;
  bool valid = true;
  tsr_status status = open_matrix(inputs, matrix, diags, &valid, error);
  if (status == TSR_OK && valid) {
    *out_matrix = matrix;
  } else {
    tsr_matrix_close(matrix);
  }
  return status;
}

void tsr_matrix_close(tsr_matrix *matrix) {
  if (matrix == NULL) return;
  tsr_free(matrix->parts);
  tsr_free(matrix->keep);
  tsr_free(matrix->grid.kinds);
  tsr_free(matrix);
}

// ---- reading ---------------------------------------------------------------

uint32_t tsr_matrix_rows(const tsr_matrix *matrix) {
  return matrix->rows;
}

uint32_t tsr_matrix_columns(const tsr_matrix *matrix) {
  return matrix->columns;
}

tsr_dtype tsr_matrix_source_type(const tsr_matrix *matrix) {
  return matrix->type;
}

const tsr_tile_grid *tsr_matrix_grid(const tsr_matrix *matrix) {
  return &matrix->grid;
}

static tsr_status check_rows(const tsr_matrix *matrix, uint32_t row,
                             uint32_t count, tsr_error *error) {
  if (row <= matrix->rows && count <= matrix->rows - row) return TSR_OK;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "layer '%s': rows %u + %u of %u", matrix->layer->name,
                       row, count, matrix->rows);
}

// Tells the system that these rows were read; tensor by tensor.
static void drop_rows(const tsr_matrix *matrix, uint32_t row, uint32_t count) {
  if (matrix->layer->combine == TSR_COMBINE_INTERLEAVE) {
    uint32_t end = (row + count + 1) / 2;
    tsr_part_drop(&matrix->parts[0], row / 2, end - row / 2);
    tsr_part_drop(&matrix->parts[1], row / 2, end - row / 2);
    return;
  }
  while (count != 0) {
    place at = locate(matrix, row);
    uint32_t left = at.part->rows - at.row;
    uint32_t here = left < count ? left : count;
    tsr_part_drop(at.part, at.row, here);
    row += here;
    count -= here;
  }
}

static tsr_status read_rows(const tsr_matrix *matrix, uint32_t row,
                            uint32_t count, bool is_masked, float *values,
                            tsr_error *error) {
  tsr_status status = check_rows(matrix, row, count, error);
  if (status != TSR_OK) return status;
  for (uint32_t i = 0; i < count; ++i) {
    place at = locate(matrix, row + i);
    float *out = values + (size_t)i * matrix->columns;
    tsr_part_read_row(at.part, at.row, out);
    if (is_masked) {
      tsr_mask_floats(matrix->keep + (row + i) * matrix->stride,
                      matrix->columns, out);
    }
  }
  drop_rows(matrix, row, count);
  return TSR_OK;
}

tsr_status tsr_matrix_read(const tsr_matrix *matrix, uint32_t row,
                           uint32_t count, float *values, uint8_t *keep,
                           tsr_error *error) {
  tsr_status status = read_rows(matrix, row, count, true, values, error);
  if (status == TSR_OK && keep != NULL) {
    memcpy(keep, matrix->keep + row * matrix->stride, count * matrix->stride);
  }
  return status;
}

tsr_status tsr_matrix_read_unmasked(const tsr_matrix *matrix, uint32_t row,
                                    uint32_t count, float *values,
                                    tsr_error *error) {
  return read_rows(matrix, row, count, false, values, error);
}

tsr_status tsr_matrix_read_bias(const tsr_matrix *matrix, float *values,
                                tsr_error *error) {
  (void)error;
  if (matrix->layer->combine == TSR_COMBINE_INTERLEAVE) {
    tsr_part_read_bias(&matrix->parts[0], 2, values);
    tsr_part_read_bias(&matrix->parts[1], 2, values + 1);
    return TSR_OK;
  }
  for (uint32_t i = 0; i < matrix->part_count; ++i) {
    tsr_part_read_bias(&matrix->parts[i], 1, values);
    values += matrix->parts[i].rows;
  }
  return TSR_OK;
}

// ---- hashes and statistics -------------------------------------------------

static tsr_hash hash_weights(const tsr_matrix *matrix, tsr_hasher *hasher) {
  const uint32_t head[3] = {(uint32_t)matrix->layer->combine,
                            matrix->part_count, matrix->columns};
  tsr_hasher_reset(hasher);
  tsr_hasher_update(hasher, head, sizeof(head));
  for (uint32_t i = 0; i < matrix->part_count; ++i) {
    tsr_part_hash(&matrix->parts[i], hasher);
  }
  return tsr_hasher_digest(hasher);
}

// The kinds count as well: a rule may change them and leave the bits alone.
static tsr_hash hash_mask(const tsr_matrix *matrix, tsr_hasher *hasher) {
  const tsr_tile_grid *grid = &matrix->grid;
  const uint32_t head[4] = {matrix->rows, matrix->columns, grid->tile.rows,
                            grid->tile.columns};
  tsr_hasher_reset(hasher);
  tsr_hasher_update(hasher, head, sizeof(head));
  tsr_hasher_update(hasher, grid->kinds,
                    (size_t)grid->panel_count * grid->column_count);
  tsr_hasher_update(hasher, matrix->keep, matrix->rows * matrix->stride);
  return tsr_hasher_digest(hasher);
}

tsr_status tsr_matrix_hash(const tsr_matrix *matrix, tsr_hash *out_weights,
                           tsr_hash *out_mask, tsr_error *error) {
  *out_weights = *out_mask = (tsr_hash){0, 0};
  tsr_hasher *hasher = tsr_hasher_create();
  if (hasher == NULL) return tsr_error_out_of_memory(error);
  *out_weights = hash_weights(matrix, hasher);
  *out_mask = hash_mask(matrix, hasher);
  tsr_hasher_destroy(hasher);
  return TSR_OK;
}

// Bytes of |weights| weights in a tile of |kind|: 0, 9/8 or 2 each.
static uint64_t packed_size(tsr_kind kind, uint64_t weights) {
  double size = tsr_kind_describe(kind)->bytes_per_weight * (double)weights;
  return (uint64_t)(size + 0.5);
}

tsr_status tsr_matrix_statistics(const tsr_matrix *matrix,
                                 tsr_matrix_stats *out_stats,
                                 tsr_error *error) {
  (void)error;
  const tsr_tile_grid *grid = &matrix->grid;
  tsr_matrix_stats stats = {.weights =
                                (uint64_t)matrix->rows * matrix->columns};
  for (uint32_t p = 0; p < grid->panel_count; ++p) {
    for (uint32_t c = 0; c < grid->column_count; ++c) {
      tsr_kind kind = tsr_grid_kind(grid, p, c);
      ++stats.tiles[kind];
      stats.packed_bytes +=
          packed_size(kind, (uint64_t)tsr_grid_panel_rows(grid, p) *
                                tsr_grid_tile_columns(grid, c));
    }
  }
  stats.kept_weights =
      tsr_bits_count(matrix->keep, matrix->rows * matrix->stride);
  stats.dense_bytes = 2 * stats.weights;
  *out_stats = stats;
  return TSR_OK;
}
