// SPDX-License-Identifier: Apache-2.0
// The matrices that `tesserac mask` works on: every tensor of every layer of a
// plan, or the matrices of a checkpoint that match a pattern; and the norms of
// their input channels, for Wanda's score.
#ifndef COMPILER_MASK_INPUTS_H_
#define COMPILER_MASK_INPUTS_H_

#include "compiler/mask.h"
#include "frontend/frontend.h"

typedef struct tsr_mask_inputs tsr_mask_inputs;

// Every tensor of |plan| once, in the order of the plan, without its mask: the
// plan's `masks` and rules are not looked at. Interleaved tensors become
// partners. |tile| {0, 0}: each layer's own. Problems with files are reported
// to |diags| and |*out_inputs| is then NULL with TSR_OK, as in import.h.
TSR_MUST_USE tsr_status tsr_mask_inputs_open_plan(const tsr_plan *plan,
                                                  tsr_tile_shape tile,
                                                  tsr_diags *diags,
                                                  tsr_mask_inputs **out_inputs,
                                                  tsr_error *error);

// The matrices (two dimensions, F32, F16 or BF16) of the checkpoint at |path|
// whose names match one of |patterns| (fnmatch), in the order of the file.
// Without patterns PATCH's own choice: names that end in ".weight" and contain
// ".layers." or ".layer.". TSR_NOT_FOUND when there is none.
TSR_MUST_USE tsr_status tsr_mask_inputs_open_checkpoint(
    const char *path, const char *const *patterns, uint32_t pattern_count,
    tsr_tile_shape tile, tsr_mask_inputs **out_inputs, tsr_error *error);
void tsr_mask_inputs_close(tsr_mask_inputs *inputs);  // NULL is legal

// Gives every tensor the norms that the checkpoint at |path| holds for it: for
// "X.weight" the vector "X.input_norm" or "X.weight", one value per column.
TSR_MUST_USE tsr_status tsr_mask_inputs_read_norms(tsr_mask_inputs *inputs,
                                                   const char *path,
                                                   tsr_error *error);

// For tsr_mask_create; valid until close.
const tsr_mask_tensor *tsr_mask_inputs_tensors(const tsr_mask_inputs *inputs);
uint32_t tsr_mask_inputs_count(const tsr_mask_inputs *inputs);
// Sum of rows * columns.
uint64_t tsr_mask_inputs_weights(const tsr_mask_inputs *inputs);
// How many concatenated layers have a tensor, not the last, whose rows are not
// a multiple of the tile's: there tiles of the layer span two tensors and are
// 2:4 only where both are. |*out_first| names the first of them, or is NULL.
uint32_t tsr_mask_inputs_straddling(const tsr_mask_inputs *inputs,
                                    const char **out_first);

#endif  // COMPILER_MASK_INPUTS_H_
