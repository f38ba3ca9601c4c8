// SPDX-License-Identifier: Apache-2.0
// The dimensions in which layers and launches differ, and a case: one value of
// each. Which cases are run: matrix_test.c.
#ifndef TESTS_CUDA_MATRIX_H_
#define TESTS_CUDA_MATRIX_H_

#include "device.h"
#include "pairs.h"

// The first six are those of which the long test makes the full product.
typedef enum dimension {
  DIM_MIX,      // layer_mix
  DIM_TILE,     // 16x32 to 256x512
  DIM_TOKENS,   // N
  DIM_TYPE,     // of weights and X
  DIM_WORKERS,  // 1, 7, 108, 132
  DIM_SPLIT,    // of panels
  DIM_MAIN_COUNT,
  DIM_PANELS = DIM_MAIN_COUNT,
  DIM_M_EDGE,  // rows of the last panel
  DIM_TILES,   // of a panel
  DIM_K_EDGE,  // columns of the last tile
  DIM_OUTPUT,  // type
  DIM_ACTIVATION,
  DIM_BIAS,
  DIM_RESIDUAL,    // none, an array of its own, Y
  DIM_LAYOUT,      // where arrays and their rows begin
  DIM_CUT,         // which of the cuts
  DIM_RASTER,      // token tiles of a raster group
  DIM_ACCUMULATE,  // exact, or as hardware does
  DIM_TARGET,
  DIM_BALANCE,  // of decode's shares
  DIM_COUNT,
} dimension;

extern const uint32_t matrix_sizes[DIM_COUNT];

typedef struct matrix_case {
  char label[320];  // all of it, to find it again
  layer_options layer;
  run_options run;
  uint64_t cost;  // instructions of tensor cores of one launch, about
} matrix_case;

// |seed| is that of weights and data. |row|'s values beyond the bounds of the
// case (an odd number of rows with gated activations) are moved to the nearest.
void matrix_make(const pairs_row *row, uint64_t seed, matrix_case *out);

#endif  // TESTS_CUDA_MATRIX_H_
