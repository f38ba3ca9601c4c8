// SPDX-License-Identifier: Apache-2.0
// What a layer should compute, in float64 from the original weights and masks,
// and how far a correct fp32 computation may be away from it. Shares nothing
// with the packer, the schedule or the generated code: weights come straight
// from the importer, rounding to 16 bits is written again here, arithmetic is
// the textbook's. The bound is derived in docs/numerics.md.
#ifndef TOOLS_TESSERA_REFERENCE_H_
#define TOOLS_TESSERA_REFERENCE_H_

#include "compiler/import.h"
#include "frontend/plan.h"

// Random inputs of one layer, already rounded to the types that it takes.
typedef struct tsr_probe {
  uint32_t token_count;
  uint32_t columns;         // K
  uint32_t output_columns;  // M, or M / 2 for gated activations
  double *input;            // [columns, token_count]: transposed
  double *residual;         // [token_count, output_columns], or NULL
} tsr_probe;

// One output column for every token of the probe.
typedef struct tsr_expected {
  double *original;        // from the weights as the checkpoint has them
  double *original_bound;  // the largest |Y - original| that is correct
  double *rounded;         // from the weights rounded to the packed type
  double *rounded_bound;   // likewise; far smaller, as rounding is known
} tsr_expected;

// Who adds, which decides how far a result may be off.
typedef enum tsr_adder {
  TSR_ADDER_HOST,          // the host's kernels
  TSR_ADDER_TENSOR_CORE,   // a GPU's tensor cores
  TSR_ADDER_TENSOR_EXACT,  // emulated ones that round each sum once
} tsr_adder;

typedef struct tsr_reference tsr_reference;

// |matrix|, |layer| and |probe| are borrowed. |segment_count| is the largest
// number of partial sums that a panel is split into (or more).
TSR_MUST_USE tsr_status tsr_reference_create(
    const tsr_matrix *matrix, const tsr_plan_layer *layer,
    const tsr_probe *probe, tsr_adder adder, uint32_t segment_count,
    tsr_reference **out_reference, tsr_error *error);
void tsr_reference_destroy(tsr_reference *reference);  // NULL is legal

// Computes output column |column|; |*out_expected| is valid until the next
// call on this reference.
TSR_MUST_USE tsr_status tsr_reference_column(tsr_reference *reference,
                                             uint32_t column,
                                             tsr_expected *out_expected,
                                             tsr_error *error);

// |value| rounded to the nearest of |type|, ties to even; infinite beyond its
// range.
double tsr_reference_round(double value, tsr_dtype type);

// |value| exactly, from element |index| of an array of |type|.
double tsr_reference_load(const void *array, size_t index, tsr_dtype type);
// The inverse, for a value that |type| represents.
void tsr_reference_store(void *array, size_t index, tsr_dtype type,
                         double value);

#endif  // TOOLS_TESSERA_REFERENCE_H_
