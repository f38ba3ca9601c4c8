// SPDX-License-Identifier: Apache-2.0
// What stands behind tsr_inputs: every file of the plan, open; and a part, one
// tensor of a layer bound to its bytes and its mask.
#ifndef COMPILER_IMPORT_INPUTS_H_
#define COMPILER_IMPORT_INPUTS_H_

#include "compiler/checkpoint.h"
#include "compiler/import.h"
#include "compiler/npz.h"

typedef struct tsr_weights_input {
  const tsr_plan_weights *plan;
  tsr_checkpoint *checkpoint;  // owned; NULL for synthetic
} tsr_weights_input;

typedef struct tsr_mask_input {
  const tsr_plan_masks *plan;
  char *path;    // owned; joined to the directory
  tsr_npz *npz;  // owned; PATCH and MaskLLM
} tsr_mask_input;

struct tsr_inputs {
  const tsr_plan *plan;
  tsr_weights_input *weights;  // owned
  tsr_mask_input *masks;       // owned
};

typedef enum tsr_part_storage {
  TSR_PART_PLAIN,      // |values| is [rows, columns]
  TSR_PART_BITMASK,    // |values|: the kept ones; |offsets|: where rows begin
  TSR_PART_BITMASK24,  // |values| is [rows, columns / 2]
  TSR_PART_SYNTHETIC,
} tsr_part_storage;

typedef struct tsr_part {
  const tsr_plan_tensor *tensor;
  const tsr_mask_input *masks;
  tsr_part_storage storage;
  tsr_dtype type;
  uint32_t rows;
  uint32_t columns;
  const tsr_tensor *values;   // NULL: synthetic
  const tsr_tensor *bitmask;  // compressed only: U8 [rows, columns / 8 up]
  const tsr_tensor *offsets;  // TSR_PART_BITMASK only: I64 [rows]
  const tsr_tensor *bias;     // NULL: none, or synthetic
  uint64_t key;               // synthetic weights
  uint64_t bias_key;
  uint32_t mask_member;  // PATCH and MaskLLM: index in the archive
} tsr_part;

// Turns a reader's failure into a diagnostic at |span|: TSR_OK is returned
// unless the machine failed (memory, cancelled), which is passed on in
// |error|.
TSR_MUST_USE tsr_status tsr_import_report(tsr_diags *diags, tsr_span span,
                                          tsr_status status,
                                          const tsr_error *problem,
                                          tsr_error *error);

// Finds |tensor|'s weights, bias and mask and checks types and shapes, without
// reading data. |*out_is_valid| is false when something was reported.
TSR_MUST_USE tsr_status tsr_part_bind(const tsr_inputs *inputs,
                                      const tsr_plan_layer *layer,
                                      const tsr_plan_tensor *tensor,
                                      tsr_diags *diags, tsr_part *out_part,
                                      bool *out_is_valid, tsr_error *error);

// Do the shapes of all of the layer's parts fit each other? Reports what does
// not.
bool tsr_parts_fit(const tsr_plan_layer *layer, const tsr_part *parts,
                   tsr_diags *diags);

// Opens the tile grid of |part| (TSR_MASK_GRID); the caller closes the map.
// |out_array->data| is NULL when something was reported.
TSR_MUST_USE tsr_status tsr_part_open_grid(const tsr_part *part,
                                           tsr_tile_shape tile,
                                           tsr_diags *diags, tsr_map *out_map,
                                           tsr_npy *out_array,
                                           tsr_error *error);

// Checks what only the data can tell: that a bitmask has as many bits as there
// are values.
TSR_MUST_USE tsr_status tsr_part_check(const tsr_part *part, tsr_diags *diags,
                                       bool *out_is_valid, tsr_error *error);

// Row |row| of the tensor, unmasked: |values| takes part->columns floats.
void tsr_part_read_row(const tsr_part *part, uint32_t row, float *values);
// Rows [row, row + count) will not be read again soon.
void tsr_part_drop(const tsr_part *part, uint32_t row, uint32_t count);
// The bias of row i to values[i * step]; zeros where there is none.
void tsr_part_read_bias(const tsr_part *part, uint32_t step, float *values);
// All that determines what the three functions above return.
void tsr_part_hash(const tsr_part *part, tsr_hasher *hasher);

// Fills in the keep bits of every row: row i at |keep| + i * |pitch|. Mistakes
// in the mask's content are reported; |*out_is_valid| is then false.
TSR_MUST_USE tsr_status tsr_part_fill_keep(const tsr_part *part,
                                           tsr_tile_shape tile, size_t pitch,
                                           uint8_t *keep, tsr_diags *diags,
                                           bool *out_is_valid,
                                           tsr_error *error);

// Derives the kind of every tile from |keep| into |grid->kinds|.
void tsr_grid_derive(tsr_tile_grid *grid, const uint8_t *keep, size_t stride);

// Who owns a row of the layer's matrix: for messages.
typedef struct tsr_row_owner {
  const char *tensor;
  uint32_t row;
} tsr_row_owner;

tsr_row_owner tsr_matrix_row_owner(const tsr_matrix *matrix, uint32_t row);

// Applies the overrides of |layer| to |grid| and |keep| and checks its
// assertions; |matrix| is asked only for the owners of rows.
TSR_MUST_USE tsr_status tsr_rules_apply(const tsr_plan_layer *layer,
                                        const tsr_matrix *matrix,
                                        tsr_tile_grid *grid, uint8_t *keep,
                                        size_t stride, tsr_diags *diags,
                                        bool *out_is_valid, tsr_error *error);

#endif  // COMPILER_IMPORT_INPUTS_H_
