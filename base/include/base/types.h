// SPDX-License-Identifier: Apache-2.0
// The vocabulary that every stage shares (docs/design.md, "Words").
#ifndef BASE_TYPES_H_
#define BASE_TYPES_H_

#include <stddef.h>
#include <stdint.h>

// Element types. The values are stored in bundles: never renumber.
typedef enum tsr_dtype {
  TSR_DTYPE_F32 = 0,
  TSR_DTYPE_F16 = 1,   // IEEE 754 binary16
  TSR_DTYPE_BF16 = 2,  // bfloat16
} tsr_dtype;

enum { TSR_DTYPE_COUNT = 3 };

// 4, 2, 2.
static inline size_t tsr_dtype_size(tsr_dtype dtype) {
  return dtype == TSR_DTYPE_F32 ? 4 : 2;
}

// "f32", "f16", "bf16": the words of the plan language and of manifests.
static inline const char *tsr_dtype_name(tsr_dtype dtype) {
  static const char *const names[TSR_DTYPE_COUNT] = {"f32", "f16", "bf16"};
  return names[dtype];
}

// What a tile keeps. The values are stored in bundles: never renumber. The
// table of their properties is compiler/kind.h.
typedef enum tsr_kind {
  TSR_KIND_ZERO = 0,      // keeps nothing: neither stored nor executed
  TSR_KIND_SPARSE24 = 1,  // no aligned group of 4 in_features keeps > 2
  TSR_KIND_DENSE = 2,     // anything else
} tsr_kind;

enum { TSR_KIND_COUNT = 3 };

// Applied to v = W x + bias, in fp32, before the residual is added:
// y = activation(v) + residual.
typedef enum tsr_activation {
  TSR_ACTIVATION_NONE = 0,
  TSR_ACTIVATION_RELU = 1,       // max(v, 0)
  TSR_ACTIVATION_GELU_ERF = 2,   // v/2 (1 + erf(v / sqrt 2))
  TSR_ACTIVATION_GELU_TANH = 3,  // v/2 (1 + tanh(sqrt(2/pi)(v + .044715 v^3)))
  TSR_ACTIVATION_SILU = 4,       // v / (1 + exp(-v))
  // Gated: the layer's rows are interleaved (row 2i is gate i, row 2i + 1 is
  // up i) and Y has M / 2 columns: y_i = f(gate_i) * up_i.
  TSR_ACTIVATION_SWIGLU = 5,      // f = silu
  TSR_ACTIVATION_GEGLU_ERF = 6,   // f = gelu, erf form
  TSR_ACTIVATION_GEGLU_TANH = 7,  // f = gelu, tanh form
} tsr_activation;

enum { TSR_ACTIVATION_COUNT = 8 };

static inline int tsr_activation_is_gated(tsr_activation activation) {
  return activation >= TSR_ACTIVATION_SWIGLU;
}

// "none", "relu", "gelu_erf", "gelu_tanh", "silu", "swiglu", "geglu_erf",
// "geglu_tanh": the words of the plan language and of manifests.
static inline const char *tsr_activation_name(tsr_activation activation) {
  static const char *const names[TSR_ACTIVATION_COUNT] = {
      "none", "relu",   "gelu_erf",  "gelu_tanh",
      "silu", "swiglu", "geglu_erf", "geglu_tanh"};
  return names[activation];
}

// rows: 16..256 by 16 (out_features); columns: 32..512 by 32 (in_features).
typedef struct tsr_tile_shape {
  uint32_t rows;
  uint32_t columns;
} tsr_tile_shape;

#endif  // BASE_TYPES_H_
