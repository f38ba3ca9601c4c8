// SPDX-License-Identifier: Apache-2.0
// See reference.h. Sums run over tokens in the inner loop, so that they
// vectorise without changing their order.
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/activation.h"

// ---- Activations (docs/numerics.md) ----------------------------------------

// The largest slope of a function, and how far a kernel may be from it,
// relative to the result. What the code promises: tools/tessera/reference.c
// says it once more, apart, since neither the product's verifier nor this
// oracle may lend the other its mistakes.
typedef struct activation {
  double slope;
  double evaluation;
} activation;

static const activation activations[TSR_ACTIVATION_COUNT] = {
    [TSR_ACTIVATION_NONE] = {1.0, 0.0},
    [TSR_ACTIVATION_RELU] = {1.0, 0.0},
    [TSR_ACTIVATION_GELU_ERF] = {1.13, 0x1p-20},
    [TSR_ACTIVATION_GELU_TANH] = {1.13, 0x1p-20},
    [TSR_ACTIVATION_SILU] = {1.1, 0x1p-20},
    [TSR_ACTIVATION_SWIGLU] = {1.1, 0x1p-20},
    [TSR_ACTIVATION_GEGLU_ERF] = {1.13, 0x1p-20},
    [TSR_ACTIVATION_GEGLU_TANH] = {1.13, 0x1p-20},
};

// ---- Bounds ----------------------------------------------------------------

typedef struct estimate {
  double value;
  double error;
} estimate;

// gamma(n) = n u / (1 - n u): a chain of n roundings of fp32. A tensor-core
// instruction adds 16 products (those of 32 columns, if 2:4) and what was there
// before. Exactly added and rounded once: 1. As hardware does
// (docs/emulator.md, "Tensor cores"): sm_80 adds 8 at a time, each cut off at
// 2^-24 of the power of two of the largest, the sum at 2^-23: 8 + 2 units of
// roundoff, twice; sm_90 16 at 2^-25: 8 + 2. So 20 at most; 22 leaves room for
// sums that the errors have made larger.
static double gamma_of(const layer *l, const rounding *how) {
  double chain = (l->spec.columns + 15u) / 16u;
  if (how->is_hardware) chain *= 22.0;
  double n = chain + how->k_slices + how->segments + 3.0;
  return n * 0x1p-24 / (1.0 - n * 0x1p-24);
}

static estimate activate(tsr_activation function, estimate v) {
  const activation *a = &activations[function];
  double value = activation_exact(function, v.value);
  double error = v.error;
  if (a->evaluation != 0.0) {
    error = a->slope * error + a->evaluation * fabs(value) + 0x1p-30;
  }
  return (estimate){value, error};
}

// Half of a unit in the last place, with room for a y that crosses a power of
// two; and half of the least subnormal.
static double store_error(double y, tsr_dtype type) {
  if (type == TSR_DTYPE_F32) return 0x1p-24 * y + 0x1p-150;
  if (type == TSR_DTYPE_BF16) return 0x1p-8 * y + 0x1p-133;
  return y > 65504.0 ? INFINITY : 0x1p-11 * y + 0x1p-24;
}

static estimate multiply(estimate gate, estimate up) {
  estimate y = {gate.value * up.value, 0.0};
  y.error =
      (fabs(gate.value) + gate.error) * up.error + fabs(up.value) * gate.error;
  y.error += 0x1p-24 * (fabs(y.value) + y.error);
  return y;
}

// ---- Rows ------------------------------------------------------------------

typedef struct row_sums {
  double *sum;        // of w x
  double *magnitude;  // of |w x|
} row_sums;

static void sum_row(const layer *l, const probe *p, uint32_t row,
                    const row_sums *out) {
  const float *weights = l->weights + (size_t)row * l->spec.columns;
  uint32_t tokens = p->tokens;
  memset(out->sum, 0, tokens * sizeof(double));
  memset(out->magnitude, 0, tokens * sizeof(double));
  for (uint32_t k = 0; k < l->spec.columns; ++k) {
    double weight = (double)weights[k];
    if (weight == 0.0) continue;
    const double *input = p->input + (size_t)k * tokens;
    for (uint32_t n = 0; n < tokens; ++n) {
      out->sum[n] += weight * input[n];
      out->magnitude[n] += fabs(weight * input[n]);
    }
  }
}

static estimate linear(const layer *l, const row_sums *sums, uint32_t row,
                       uint32_t token, double gamma) {
  double bias = l->spec.has_bias ? (double)l->bias[row] : 0.0;
  double magnitude = sums->magnitude[token] + fabs(bias);
  return (estimate){sums->sum[token] + bias, gamma * magnitude + 0x1p-140};
}

// One column of Y.
static void finish_column(const layer *l, const probe *p, double gamma,
                          const row_sums sums[2], uint32_t column,
                          expectation *out) {
  uint32_t outputs = layer_outputs(l);
  bool gated = tsr_activation_is_gated(l->spec.activation);
  uint32_t row = gated ? 2 * column : column;
  for (uint32_t n = 0; n < p->tokens; ++n) {
    size_t at = (size_t)n * outputs + column;
    estimate y =
        activate(l->spec.activation, linear(l, &sums[0], row, n, gamma));
    if (gated) y = multiply(y, linear(l, &sums[1], row + 1, n, gamma));
    if (p->residual != NULL) {
      y.value += p->residual[at];
      y.error += 0x1p-24 * (fabs(y.value) + y.error);
    }
    y.error += store_error(fabs(y.value) + y.error, l->spec.output_type);
    out->value[at] = y.value;
    out->bound[at] = y.error;
  }
}

bool expect_layer(const layer *l, const probe *p, const rounding *how,
                  expectation *out) {
  uint32_t outputs = layer_outputs(l);
  bool gated = tsr_activation_is_gated(l->spec.activation);
  size_t count = (size_t)p->tokens * outputs;
  out->value = malloc(count * sizeof(double));
  out->bound = malloc(count * sizeof(double));
  double *memory = malloc(4 * (size_t)p->tokens * sizeof(double));
  bool ok = out->value != NULL && out->bound != NULL && memory != NULL;
  double gamma = gamma_of(l, how);
  for (uint32_t column = 0; ok && column < outputs; ++column) {
    row_sums sums[2] = {
        {memory, memory + p->tokens},
        {memory + 2 * (size_t)p->tokens, memory + 3 * (size_t)p->tokens}};
    sum_row(l, p, gated ? 2 * column : column, &sums[0]);
    if (gated) sum_row(l, p, 2 * column + 1, &sums[1]);
    finish_column(l, p, gamma, sums, column, out);
  }
  free(memory);
  if (!ok) expectation_fini(out);
  return ok;
}

void expectation_fini(expectation *e) {
  free(e->value);
  free(e->bound);
  e->value = e->bound = NULL;
}
