// SPDX-License-Identifier: Apache-2.0
// Any bytes as a compressed-tensors checkpoint, all the way to the rows: the
// bitmask and its offsets are data that later reads rely on.
#include <stdlib.h>

#include "compiler/import/inputs.h"
#include "fuzz.h"

enum { MAX_WEIGHTS = 1 << 20 };

static void read_part(const tsr_part *part, tsr_diags *diags) {
  bool is_valid = false;
  uint64_t weights = (uint64_t)part->rows * part->columns;
  if (weights > MAX_WEIGHTS ||
      tsr_part_check(part, diags, &is_valid, NULL) != TSR_OK || !is_valid) {
    return;
  }
  size_t stride = (part->columns + 7) / 8;
  uint8_t *keep = malloc(part->rows * stride);
  float *values = malloc(part->columns * sizeof(*values));
  const tsr_tile_shape tile = {16, 32};
  if (keep != NULL && values != NULL) {
    for (uint32_t row = 0; row < part->rows; ++row) {
      tsr_part_read_row(part, row, values);
    }
    tsr_part_drop(part, 0, part->rows);
    if (tsr_part_fill_keep(part, tile, stride, keep, diags, &is_valid, NULL) !=
        TSR_OK) {
      __builtin_trap();
    }
  }
  free(keep);
  free(values);
}

static void bind(tsr_checkpoint *checkpoint, tsr_weights_format format,
                 tsr_diags *diags) {
  const tsr_plan_weights weights = {.format = format, .path = "fuzz"};
  const tsr_plan_masks masks = {.format = TSR_MASK_BITMASK, .path = ""};
  const tsr_plan_tensor tensor = {.name = "a.weight", .bias_name = "a.bias"};
  const tsr_plan_layer layer = {
      .name = "a", .tensors = &tensor, .tensor_count = 1, .tile = {16, 32}};
  tsr_weights_input weights_input = {&weights, checkpoint};
  tsr_mask_input mask_input = {.plan = &masks};
  const tsr_inputs inputs = {.weights = &weights_input, .masks = &mask_input};
  tsr_part part;
  bool is_valid = false;
  tsr_status status =
      tsr_part_bind(&inputs, &layer, &tensor, diags, &part, &is_valid, NULL);
  if (status == TSR_OK && is_valid) read_part(&part, diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tsr_checkpoint *checkpoint = NULL;
  tsr_compilation *compilation = tsr_compilation_create();
  if (compilation == NULL) return 0;
  if (tsr_checkpoint_open_memory("fuzz", data, size, &checkpoint, NULL) ==
      TSR_OK) {
    tsr_diags *diags = tsr_compilation_diags(compilation);
    bind(checkpoint, TSR_WEIGHTS_BITMASK, diags);
    bind(checkpoint, TSR_WEIGHTS_BITMASK24, diags);
  }
  tsr_checkpoint_close(checkpoint);
  tsr_compilation_destroy(compilation);
  return 0;
}
