// SPDX-License-Identifier: Apache-2.0
// See activation.h; the functions as docs/numerics.md defines them.
#include "activation.h"

#include <math.h>

// 1 + tanh(t) = 2 / (1 + exp(-2 t)), without cancellation below zero.
static double gelu_tanh(double v) {
  double inner = 0.79788456080286535588 * (v + 0.044715 * v * v * v);
  return v / (1.0 + exp(-2.0 * inner));
}

double activation_exact(tsr_activation activation, double v) {
  switch (activation) {
    case TSR_ACTIVATION_NONE:
      return v;
    case TSR_ACTIVATION_RELU:
      return v > 0.0 ? v : 0.0;
    case TSR_ACTIVATION_GELU_ERF:
    case TSR_ACTIVATION_GEGLU_ERF:
      return v * 0.5 * erfc(-v * 0.70710678118654752440);
    case TSR_ACTIVATION_GELU_TANH:
    case TSR_ACTIVATION_GEGLU_TANH:
      return gelu_tanh(v);
    case TSR_ACTIVATION_SILU:
    case TSR_ACTIVATION_SWIGLU:
      return v / (1.0 + exp(-v));
  }
  return v;
}
