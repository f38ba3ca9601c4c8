// SPDX-License-Identifier: Apache-2.0
// What a layer should compute, in float64 from the plain matrix, and how far a
// correct kernel may be away from it (docs/numerics.md; the derivation of what
// tensor cores add is beside the code). Knows nothing of packed bytes, tables
// or kernels.
#ifndef TESTS_CUDA_REFERENCE_H_
#define TESTS_CUDA_REFERENCE_H_

#include "layer.h"

// Numbers that a launch reads, exactly as it reads them.
typedef struct probe {
  uint32_t tokens;
  double *input;     // [K, tokens]: transposed
  double *residual;  // [tokens, outputs], or NULL
} probe;

typedef struct expectation {
  double *value;  // [tokens, outputs]
  double *bound;  // the largest |y - value| that is correct
} expectation;

// How often a kernel rounds a sum on its longest way from a product to Y.
typedef struct rounding {
  uint32_t k_slices;  // sums of slices of k that are added
  uint32_t segments;  // partial sums of a panel that are added, at most
  bool is_hardware;   // products are cut off as tensor cores do
} rounding;

// Memory of |out| is the caller's, to be freed with expectation_fini. False
// when out of memory.
bool expect_layer(const layer *l, const probe *p, const rounding *how,
                  expectation *out);
void expectation_fini(expectation *e);

#endif  // TESTS_CUDA_REFERENCE_H_
