// SPDX-License-Identifier: Apache-2.0
// The checked plan: what the front end hands to the compiler. Names are
// resolved, loops and patterns are expanded, ranges are validated. Whether the
// tensors exist and what shapes they have is not known yet: that is
// compiler/import's to find, which reports with the spans kept here.
//
// Everything lives in the arena of the compilation that made it; strings are
// NUL-terminated and never NULL unless stated.
#ifndef FRONTEND_PLAN_H_
#define FRONTEND_PLAN_H_

#include "base/types.h"
#include "frontend/source.h"

// Where weight values come from.
typedef enum tsr_weights_format {
  TSR_WEIGHTS_SAFETENSORS,  // one file, or *.safetensors.index.json and shards
  TSR_WEIGHTS_BITMASK,      // compressed-tensors "sparse-bitmask"
  TSR_WEIGHTS_BITMASK24,    // compressed-tensors "sparse-24-bitmask"
  TSR_WEIGHTS_SYNTHETIC,    // made from a seed; shapes are in the layers
} tsr_weights_format;

// Where masks come from.
typedef enum tsr_mask_format {
  TSR_MASK_NONE,       // everything is kept
  TSR_MASK_NONZERO,    // keep = weight is not zero (pruned checkpoints)
  TSR_MASK_PATCH,      // PATCH mask.npz: "<name>", "<name>.__shape__"
  TSR_MASK_MASKLLM,    // MaskLLM mask_compressed.npz: "<name>.mask"
  TSR_MASK_BITMASK,    // the mask inside the compressed-tensors weights
  TSR_MASK_GRID,       // folder or file of .npy tile grids: uint8 [M/tr, K/tc]
                       // of tsr_kind; 2:4 tiles keep the 2 largest of 4
  TSR_MASK_SYNTHETIC,  // made from a seed and a density
} tsr_mask_format;

typedef struct tsr_plan_weights {
  tsr_weights_format format;
  const char *path;  // relative to the root plan's folder; "" for synthetic
  uint64_t seed;     // synthetic only
  tsr_span span;
} tsr_plan_weights;

typedef struct tsr_plan_masks {
  tsr_mask_format format;
  const char *path;  // "" where the format has no file
  // Synthetic only. The fraction of tiles of each kind, summing to <= 1; the
  // rest are dense. |seed| chooses which, exactly round(fraction * tiles).
  double sparse24_fraction;
  double zero_fraction;
  uint64_t seed;
  tsr_span span;
} tsr_plan_masks;

// One weight matrix in the checkpoint, [rows, columns] = [out, in].
typedef struct tsr_plan_tensor {
  const char *name;        // as in the checkpoint, with ".weight"
  const char *bias_name;   // "" when there is none
  uint32_t weights_index;  // into tsr_plan.weights
  uint32_t masks_index;    // into tsr_plan.masks
  // Synthetic weights: the shape; 0 otherwise (the checkpoint knows).
  uint32_t rows;
  uint32_t columns;
  tsr_span span;
} tsr_plan_tensor;

typedef enum tsr_combine {
  TSR_COMBINE_SINGLE,       // one tensor
  TSR_COMBINE_CONCATENATE,  // rows one below the other (q, k, v)
  TSR_COMBINE_INTERLEAVE,   // two tensors, rows alternating (gate, up)
} tsr_combine;

// "These rows (of this tensor) are dense whatever the mask says", or "must be
// 2:4", or "are zero". Applied in order; the last that matches a tile wins. A
// range that does not cover whole tiles widens to the tiles it touches.
typedef struct tsr_plan_rule {
  tsr_kind kind;
  // Rows and columns of the layer's matrix, half open; UINT32_MAX = the end.
  uint32_t row_begin, row_end;
  uint32_t column_begin, column_end;
  bool is_assertion;  // `require`: do not change the tile, fail unless it is so
  tsr_span span;
} tsr_plan_rule;

typedef enum tsr_balance {
  TSR_BALANCE_BYTES,  // equal bytes per worker (decode)
  TSR_BALANCE_TIME,   // equal multiply time per worker (prefill)
  TSR_BALANCE_TILES,  // equal tiles per worker (to compare with)
} tsr_balance;

typedef struct tsr_plan_schedule {
  uint32_t workers;  // 0: the target's default
  tsr_balance balance;
  bool split_panels;  // may a panel be cut between two workers?
} tsr_plan_schedule;

// Inclusive range of token counts (N) to specialise for.
typedef struct tsr_plan_tokens {
  uint32_t first;
  uint32_t last;  // UINT32_MAX: open ("17..")
  tsr_span span;
} tsr_plan_tokens;

typedef struct tsr_plan_layer {
  const char *name;    // unique in the plan
  const char *symbol;  // [A-Za-z_][A-Za-z0-9_]*, unique; for kernels and C
  tsr_combine combine;
  const tsr_plan_tensor *tensors;
  uint32_t tensor_count;
  tsr_tile_shape tile;
  tsr_dtype weight_type;  // as packed: TSR_DTYPE_F16 or TSR_DTYPE_BF16
  tsr_dtype input_type;   // equals weight_type
  tsr_dtype output_type;  // any
  bool has_bias;          // any tensor names one; absent ones count as zeros
  bool has_residual;      // [N, output rows] of output_type, added last
  tsr_activation activation;
  const tsr_plan_rule *rules;
  uint32_t rule_count;
  tsr_plan_schedule schedule;
  const tsr_plan_tokens *tokens;  // sorted, disjoint; never empty
  uint32_t token_count;           // ranges, not tokens
  tsr_span span;
} tsr_plan_layer;

// A target of the plan. Host variants are instruction-set levels.
typedef enum tsr_target_family {
  TSR_TARGET_HOST,
  TSR_TARGET_CUDA,
} tsr_target_family;

typedef struct tsr_plan_target {
  tsr_target_family family;
  // Host: "generic", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16"
  // (v4 with AVX512-VBMI2 and AVX512-BF16: Zen 4, Sapphire Rapids), "native",
  // "aarch64". CUDA: "sm_80", ... One entry per variant; `target host`
  // without a list means the four x86-64 ones.
  const char *variant;
  tsr_span span;
} tsr_plan_target;

typedef struct tsr_plan {
  const char *name;       // of the model; [A-Za-z0-9._-]+
  const char *directory;  // of the root plan file, for relative paths
  const tsr_plan_weights *weights;
  uint32_t weights_count;
  const tsr_plan_masks *masks;
  uint32_t masks_count;
  const tsr_plan_target *targets;
  uint32_t target_count;
  const tsr_plan_layer *layers;  // in the order of the plan
  uint32_t layer_count;
} tsr_plan;

#endif  // FRONTEND_PLAN_H_
