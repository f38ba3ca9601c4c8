// SPDX-License-Identifier: Apache-2.0
// One-shot masks for weights that have none: every tile becomes 2:4 or stays
// dense, so that a target sparsity between 0 and 0.5 is met with the least
// error (docs/masks.md). Two passes over the weights, a few rows at a time:
//
//   scoring   score = |w|, or |w| * norm of the input channel (Wanda). The
//             error of making a tile 2:4 is the sum of the squares of the
//             scores that it would lose.
//   choosing  tiles stay dense in the order of error saved per byte, until the
//             target is met.
//   emitting  the bits, PATCH's way: 1 = keep, row-major, MSB first.
//
// The result depends on the weights and options only, never on the number of
// threads.
#ifndef COMPILER_MASK_H_
#define COMPILER_MASK_H_

#include "base/buffer.h"
#include "base/types.h"

#define TSR_MASK_NO_PARTNER UINT32_MAX

// Reads rows [row, row + count) as float [count, columns]. Called from several
// threads at once.
typedef tsr_status (*tsr_mask_reader)(void *context, uint32_t row,
                                      uint32_t count, float *values,
                                      tsr_error *error);

// One weight matrix [rows, columns] of a checkpoint. Everything is borrowed
// and must outlive the mask.
typedef struct tsr_mask_tensor {
  const char *name;     // as in the checkpoint; unique
  uint32_t rows;        // out_features, >= 1
  uint32_t columns;     // in_features, >= 1
  tsr_tile_shape tile;  // rows a multiple of 8, columns of 4
  const float *norms;   // [columns], finite, >= 0; NULL: magnitude
  // An earlier tensor of the same shape and tile that this one is interleaved
  // with (gate, up): tile t of both is one choice, because a tile of the
  // combined layer is 2:4 only where both are. Or TSR_MASK_NO_PARTNER. A
  // tensor has at most one partner.
  uint32_t partner;
  tsr_mask_reader read;
  void *context;  // of |read|
} tsr_mask_tensor;

// What makes errors of different tensors comparable.
typedef enum tsr_mask_criterion {
  TSR_MASK_RELATIVE,  // error / sum of the tensor's squared scores
  TSR_MASK_ABSOLUTE,  // error as it is
} tsr_mask_criterion;

typedef struct tsr_mask_options {
  double sparsity;  // target: pruned / all weights, 0..0.5
  bool per_tensor;  // each tensor (or pair) meets the target, not only the sum
  tsr_mask_criterion criterion;
  uint32_t threads;
  // Called from any thread after a few rows, with weights done by the latest
  // step; false stops the work with TSR_CANCELLED. May be NULL. Every weight
  // is counted twice: once when scored, once when emitted.
  bool (*progress)(void *context, uint64_t weights);
  void *progress_context;
} tsr_mask_options;

// What one tensor (or all) got.
typedef struct tsr_mask_report {
  uint64_t tiles[TSR_KIND_COUNT];
  uint64_t weights;
  uint64_t kept_weights;
  double energy;       // sum of all squared scores
  double lost_energy;  // of the pruned ones
} tsr_mask_report;

typedef struct tsr_mask tsr_mask;

// Scores and chooses. TSR_INVALID_ARGUMENT for options or tensors that break
// the rules above, TSR_CORRUPT for a weight or norm that is not finite. The
// tensors are copied (not what they point to). |*out_mask| is NULL on failure.
TSR_MUST_USE tsr_status tsr_mask_create(const tsr_mask_tensor *tensors,
                                        uint32_t tensor_count,
                                        const tsr_mask_options *options,
                                        tsr_mask **out_mask, tsr_error *error);
void tsr_mask_destroy(tsr_mask *mask);  // NULL is legal

double tsr_mask_target(const tsr_mask *mask);  // options.sparsity
uint32_t tsr_mask_tensor_count(const tsr_mask *mask);
// Borrowed.
const tsr_mask_tensor *tsr_mask_get_tensor(const tsr_mask *mask,
                                           uint32_t tensor);
tsr_mask_report tsr_mask_report_tensor(const tsr_mask *mask, uint32_t tensor);
tsr_mask_report tsr_mask_report_total(const tsr_mask *mask);
// pruned / weights, and sqrt(lost_energy / energy); 0 where undefined.
double tsr_mask_report_sparsity(const tsr_mask_report *report);
double tsr_mask_report_error(const tsr_mask_report *report);
// Kind that a reader of the mask will find in tile |tile| (row-major).
tsr_kind tsr_mask_tile_kind(const tsr_mask *mask, uint32_t tensor,
                            uint64_t tile);

// Bytes of a tensor's packed bits: (rows * columns + 7) / 8.
uint64_t tsr_mask_bits_size(const tsr_mask *mask, uint32_t tensor);
// Reads the tensor again and writes its bits, padding zero.
TSR_MUST_USE tsr_status tsr_mask_emit(const tsr_mask *mask, uint32_t tensor,
                                      uint8_t *out_bits, tsr_error *error);

// The JSON text of "__meta__".
void tsr_mask_describe(const tsr_mask *mask, const char *model,
                       tsr_buffer *out);
// Emits every tensor into an archive at |path| as PATCH publishes it:
// "<name>" uint8, "<name>.__shape__" int64[2], "__meta__". |model| names what
// was masked. The file is whole or absent.
TSR_MUST_USE tsr_status tsr_mask_save(const tsr_mask *mask, const char *path,
                                      const char *model, tsr_error *error);

#endif  // COMPILER_MASK_H_
