// SPDX-License-Identifier: Apache-2.0
// Epilogues of generated code over all exponents: what goes in, and what came
// out against libm in float64. Each family brings a way to make v of a bias,
// exactly, and the bounds that docs/numerics.md states of it.
#ifndef TESTS_SUPPORT_SWEEP_H_
#define TESTS_SUPPORT_SWEEP_H_

#include "base/types.h"

typedef struct sweep {
  const char *label;  // for messages: what was run
  const float *inputs;
  uint32_t count;
} sweep;

// Every exponent and sign, random mantissas; first the special ones.
void sweep_fill(float *inputs, uint32_t count);

// How far from |y| = f(v) a result may be.
typedef double (*sweep_bound)(tsr_activation activation, double v, double y);

// How many of |outputs| are out of |bound|; the first few go to stderr. Prints
// the largest relative error of inputs above |least|.
uint32_t sweep_activation(const sweep *s, tsr_activation activation,
                          sweep_bound bound, double least,
                          const float *outputs);
// How many of the patterns |outputs| are not their inputs + 0, rounded to
// |type|. Any NaN is as good as another.
uint32_t sweep_conversion(const sweep *s, tsr_dtype type,
                          const uint16_t *outputs);

#endif  // TESTS_SUPPORT_SWEEP_H_
