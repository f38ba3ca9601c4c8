// SPDX-License-Identifier: Apache-2.0
// Every mask format as rows of keep bits.
#include <string.h>

#include "base/memory.h"
#include "convert.h"
#include "inputs.h"
#include "synthetic.h"

// Where the bits of one part go.
typedef struct target {
  uint8_t *keep;
  size_t pitch;  // bytes from a row of the part to its next
} target;

static uint8_t *row_of(const target *to, uint32_t row) {
  return to->keep + row * to->pitch;
}

static void fill_all(const tsr_part *part, const target *to) {
  for (uint32_t row = 0; row < part->rows; ++row) {
    tsr_bits_fill(row_of(to, row), part->columns);
  }
}

enum { DROP_ROWS = 256 };

// Calls for every row with its values; drops what was read as it goes.
typedef void (*row_body)(const float *values, size_t count, uint8_t *bits);

static tsr_status fill_from_values(const tsr_part *part, const target *to,
                                   row_body body, tsr_error *error) {
  float *values = tsr_calloc(part->columns, sizeof(*values));
  if (values == NULL) return tsr_error_out_of_memory(error);
  uint32_t kept_from = 0;
  for (uint32_t row = 0; row < part->rows; ++row) {
    tsr_part_read_row(part, row, values);
    body(values, part->columns, row_of(to, row));
    if (row + 1 - kept_from == DROP_ROWS || row + 1 == part->rows) {
      tsr_part_drop(part, kept_from, row + 1 - kept_from);
      kept_from = row + 1;
    }
  }
  tsr_free(values);
  return TSR_OK;
}

static void fill_from_bitmask(const tsr_part *part, const target *to) {
  size_t size = tsr_bits_size(part->columns);
  for (uint32_t row = 0; row < part->rows; ++row) {
    memcpy(row_of(to, row), part->bitmask->data + row * size, size);
  }
}

// ---- PATCH and MaskLLM: one flat run of bits -------------------------------

static bool check_padding(const tsr_part *part, const tsr_npy *array,
                          tsr_diags *diags) {
  unsigned used = (unsigned)((uint64_t)part->rows * part->columns % 8);
  const uint8_t *bits = array->data;
  if (used == 0 || (bits[array->count - 1] & (0xffu >> used)) == 0) return true;
  tsr_diag_report(diags, TSR_DIAG_MASK_CONTENT, part->tensor->span,
                  "the mask of '%s' has padding bits set behind its last "
                  "weight: its bits are not in the order of numpy.packbits",
                  part->tensor->name);
  return false;
}

static tsr_status fill_from_archive(const tsr_part *part, const target *to,
                                    tsr_diags *diags, bool *valid,
                                    tsr_error *error) {
  tsr_error problem = {.status = TSR_OK};
  tsr_npy array;
  void *memory = NULL;
  tsr_status status = tsr_npz_read(part->masks->npz, part->mask_member, &array,
                                   &memory, &problem);
  if (status != TSR_OK) {
    *valid = false;
    return tsr_import_report(diags, part->tensor->span, status, &problem,
                             error);
  }
  *valid = check_padding(part, &array, diags);
  for (uint32_t row = 0; row < part->rows && *valid; ++row) {
    tsr_bits_from_msb(array.data, (size_t)array.count,
                      (uint64_t)row * part->columns, part->columns,
                      row_of(to, row));
  }
  tsr_free(memory);
  return TSR_OK;
}

// ---- tile grids ------------------------------------------------------------

// The .npy of |part|: the file itself, or "<tensor>.npy" in a folder. NULL
// when out of memory.
static char *grid_path(const tsr_part *part, bool *out_is_contained) {
  const char *path = part->masks->path;
  const char *name = part->tensor->name;
  *out_is_contained = true;
  if (!tsr_path_is_directory(path)) return tsr_strdup(path);
  *out_is_contained = tsr_path_is_contained(name);
  size_t size = strlen(name);
  char *file = tsr_malloc(size + 5);
  if (file == NULL) return NULL;
  memcpy(file, name, size);
  memcpy(file + size, ".npy", 5);
  char *joined = tsr_path_join(path, file);
  tsr_free(file);
  return joined;
}

static uint64_t ceil_div(uint64_t a, uint64_t b) {
  return a / b + (a % b != 0);
}

static bool check_grid(const tsr_part *part, tsr_tile_shape tile,
                       const tsr_npy *array, tsr_diags *diags) {
  uint64_t panels = ceil_div(part->rows, tile.rows);
  uint64_t across = ceil_div(part->columns, tile.columns);
  if (array->type == TSR_NPY_UINT8 && array->rank == 2 &&
      array->shape[0] == panels && array->shape[1] == across) {
    return true;
  }
  tsr_buffer shape;
  tsr_buffer_init(&shape);
  tsr_npy_format_shape(array, &shape);
  tsr_diag_report(diags, TSR_DIAG_MASK_SHAPE, part->tensor->span,
                  "the tile grid of '%s' is %s %s; tiles of %ux%u over [%u, "
                  "%u] need uint8 (%llu, %llu)",
                  part->tensor->name, tsr_npy_type_name(array->type),
                  tsr_buffer_text(&shape), tile.rows, tile.columns, part->rows,
                  part->columns, (unsigned long long)panels,
                  (unsigned long long)across);
  tsr_buffer_fini(&shape);
  return false;
}

static bool check_kinds(const tsr_part *part, const tsr_npy *array,
                        tsr_diags *diags) {
  const uint8_t *kinds = array->data;
  for (uint64_t i = 0; i < array->count; ++i) {
    if (kinds[i] < TSR_KIND_COUNT) continue;
    tsr_diag_report(diags, TSR_DIAG_MASK_CONTENT, part->tensor->span,
                    "the tile grid of '%s' holds %u at (%llu, %llu); kinds are "
                    "0 zero, 1 sparse24, 2 dense",
                    part->tensor->name, kinds[i],
                    (unsigned long long)(i / array->shape[1]),
                    (unsigned long long)(i % array->shape[1]));
    return false;
  }
  return true;
}

tsr_status tsr_part_open_grid(const tsr_part *part, tsr_tile_shape tile,
                              tsr_diags *diags, tsr_map *out_map,
                              tsr_npy *out_array, tsr_error *error) {
  *out_map = (tsr_map){.data = NULL};
  *out_array = (tsr_npy){.data = NULL};
  bool is_contained = true;
  char *path = grid_path(part, &is_contained);
  if (path == NULL) return tsr_error_out_of_memory(error);
  tsr_error problem = {.status = TSR_OK};
  tsr_status status = TSR_OK;
  if (!is_contained) {
    status = tsr_error_set(&problem, TSR_INVALID_ARGUMENT,
                           "'%s.npy' is not a name inside the grid's folder",
                           part->tensor->name);
  } else {
    status = tsr_npy_open(path, out_map, out_array, &problem);
  }
  tsr_free(path);
  if (status == TSR_NOT_FOUND) {
    tsr_diag_report(diags, TSR_DIAG_MASK_NOT_FOUND, part->tensor->span, "%s",
                    problem.message);
    return TSR_OK;
  }
  if (status != TSR_OK) {
    return tsr_import_report(diags, part->tensor->span, status, &problem,
                             error);
  }
  if (!check_grid(part, tile, out_array, diags) ||
      !check_kinds(part, out_array, diags)) {
    *out_array = (tsr_npy){.data = NULL};
    tsr_map_close(out_map);
  }
  return TSR_OK;
}

static void clear_tiles(const tsr_part *part, tsr_tile_shape tile,
                        const uint8_t *kinds, tsr_kind kind, uint8_t *bits) {
  uint32_t across = (uint32_t)ceil_div(part->columns, tile.columns);
  for (uint32_t i = 0; i < across; ++i) {
    uint64_t begin = (uint64_t)i * tile.columns;
    uint64_t end = begin + tile.columns;
    if (end > part->columns) end = part->columns;
    if (kinds[i] == kind) tsr_bits_clear(bits, (size_t)begin, (size_t)end);
  }
}

static void fill_dense_tiles(const tsr_part *part, tsr_tile_shape tile,
                             const uint8_t *kinds, uint8_t *bits) {
  uint32_t across = (uint32_t)ceil_div(part->columns, tile.columns);
  size_t size = tsr_bits_size(part->columns);
  size_t tile_size = tile.columns / 8;  // multiples of 32 columns
  for (uint32_t i = 0; i < across; ++i) {
    size_t begin = i * tile_size;
    size_t end = begin + tile_size < size ? begin + tile_size : size;
    if (kinds[i] == TSR_KIND_DENSE) memset(bits + begin, 0xff, end - begin);
  }
  unsigned used = part->columns % 8;
  if (used != 0) bits[size - 1] &= (uint8_t)((1u << used) - 1);
}

static tsr_status fill_from_grid(const tsr_part *part, tsr_tile_shape tile,
                                 const target *to, tsr_diags *diags,
                                 bool *valid, tsr_error *error) {
  tsr_map map;
  tsr_npy array;
  tsr_status status =
      tsr_part_open_grid(part, tile, diags, &map, &array, error);
  if (status != TSR_OK || array.data == NULL) {
    *valid = false;
    return status;
  }
  status = fill_from_values(part, to, tsr_bits_from_largest, error);
  for (uint32_t row = 0; row < part->rows && status == TSR_OK; ++row) {
    const uint8_t *kinds =
        (const uint8_t *)array.data + row / tile.rows * array.shape[1];
    clear_tiles(part, tile, kinds, TSR_KIND_ZERO, row_of(to, row));
    fill_dense_tiles(part, tile, kinds, row_of(to, row));
  }
  tsr_map_close(&map);
  return status;
}

static tsr_status fill_synthetic(const tsr_part *part, tsr_tile_shape tile,
                                 const target *to, tsr_error *error) {
  const tsr_plan_masks *plan = part->masks->plan;
  return tsr_synthetic_mask(tsr_synthetic_key(plan->seed, part->tensor->name),
                            tile, plan->sparse24_fraction, plan->zero_fraction,
                            part->rows, part->columns, to->pitch, to->keep,
                            error);
}

tsr_status tsr_part_fill_keep(const tsr_part *part, tsr_tile_shape tile,
                              size_t pitch, uint8_t *keep, tsr_diags *diags,
                              bool *out_is_valid, tsr_error *error) {
  const target to = {keep, pitch};
  *out_is_valid = true;
  switch (part->masks->plan->format) {
    case TSR_MASK_NONZERO:
      return fill_from_values(part, &to, tsr_bits_from_nonzero, error);
    case TSR_MASK_PATCH:
    case TSR_MASK_MASKLLM:
      return fill_from_archive(part, &to, diags, out_is_valid, error);
    case TSR_MASK_GRID:
      return fill_from_grid(part, tile, &to, diags, out_is_valid, error);
    case TSR_MASK_SYNTHETIC:
      return fill_synthetic(part, tile, &to, error);
    case TSR_MASK_BITMASK:
      // A layer on the ignore list is plain and keeps everything.
      if (part->bitmask != NULL) {
        fill_from_bitmask(part, &to);
        return TSR_OK;
      }
      break;
    case TSR_MASK_NONE:
      break;
  }
  fill_all(part, &to);
  return TSR_OK;
}
