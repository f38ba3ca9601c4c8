// SPDX-License-Identifier: Apache-2.0
// Weights and masks as one thing: a matrix whose rows can be read, whatever
// files and combinations stand behind it. Nothing is loaded whole: files are
// mapped, archives are inflated tensor by tensor.
#ifndef COMPILER_IMPORT_H_
#define COMPILER_IMPORT_H_

#include "base/hash.h"
#include "compiler/kind.h"
#include "frontend/frontend.h"

// All weight and mask files of one plan, opened and indexed. Thread-safe for
// reading once created.
typedef struct tsr_inputs tsr_inputs;

// Opens what |plan| names, paths relative to |directory| (NULL: the plan's
// own). Problems with a file's content or with a missing tensor are reported to
// |diags| at the span that names them, all of them, and |*out_inputs| is NULL
// if there was one; TSR_OK is returned all the same. Other statuses are
// failures of the machine.
TSR_MUST_USE tsr_status tsr_inputs_open(const tsr_plan *plan,
                                        const char *directory, tsr_diags *diags,
                                        tsr_inputs **out_inputs,
                                        tsr_error *error);
void tsr_inputs_close(tsr_inputs *inputs);  // NULL is legal

// Path of data file |index| of weights declaration |weights| (shards one by
// one), for dependency lists; NULL when there is none. Borrowed.
const char *tsr_inputs_file(const tsr_inputs *inputs, uint32_t weights,
                            uint32_t index);

// One layer's matrix W [rows, columns] as the plan combines it.
typedef struct tsr_matrix tsr_matrix;

// Binds |layer|: finds its tensors, checks shapes, derives the tile grid from
// the mask, applies and checks the layer's rules. Reports to |diags| as above.
// Distinct layers may be bound from distinct threads.
TSR_MUST_USE tsr_status tsr_matrix_open(const tsr_inputs *inputs,
                                        const tsr_plan_layer *layer,
                                        tsr_diags *diags,
                                        tsr_matrix **out_matrix,
                                        tsr_error *error);
void tsr_matrix_close(tsr_matrix *matrix);  // NULL is legal

uint32_t tsr_matrix_rows(const tsr_matrix *matrix);     // M, after combining
uint32_t tsr_matrix_columns(const tsr_matrix *matrix);  // K
// The type in the checkpoint: what tsr_matrix_read's floats were made from.
tsr_dtype tsr_matrix_source_type(const tsr_matrix *matrix);
// Borrowed; lives as long as the matrix.
const tsr_tile_grid *tsr_matrix_grid(const tsr_matrix *matrix);

// Reads rows [row, row + count) of W with the mask applied.
//  |values|: float [count, columns], exactly the checkpoint's values, 0 where
//     the mask prunes (or where a rule or a kind made the weight zero).
//  |keep|: count * ((columns + 7) / 8) bytes, row by row; bit c % 8 (LSB first)
//     of byte c / 8 is set where the mask keeps column c. May be NULL.
// A kept weight may be 0. Calls on one matrix from several threads are safe.
TSR_MUST_USE tsr_status tsr_matrix_read(const tsr_matrix *matrix, uint32_t row,
                                        uint32_t count, float *values,
                                        uint8_t *keep, tsr_error *error);

// As above without the mask (for tesserac mask and for tests).
TSR_MUST_USE tsr_status tsr_matrix_read_unmasked(const tsr_matrix *matrix,
                                                 uint32_t row, uint32_t count,
                                                 float *values,
                                                 tsr_error *error);

// The layer's bias, float [rows], zeros where a tensor has none.
TSR_MUST_USE tsr_status tsr_matrix_read_bias(const tsr_matrix *matrix,
                                             float *values, tsr_error *error);

// Content hashes for the incremental key: of all weight (and bias) bytes, and
// of all mask bits. Reads everything once.
TSR_MUST_USE tsr_status tsr_matrix_hash(const tsr_matrix *matrix,
                                        tsr_hash *out_weights,
                                        tsr_hash *out_mask, tsr_error *error);

// Statistics for reports.
typedef struct tsr_matrix_stats {
  uint64_t tiles[TSR_KIND_COUNT];
  uint64_t weights;       // rows * columns
  uint64_t kept_weights;  // set bits of the mask
  uint64_t dense_bytes;   // 2 * weights
  uint64_t packed_bytes;  // of tile payloads, by kind (no padding)
} tsr_matrix_stats;

TSR_MUST_USE tsr_status tsr_matrix_statistics(const tsr_matrix *matrix,
                                              tsr_matrix_stats *out_stats,
                                              tsr_error *error);

#endif  // COMPILER_IMPORT_H_
