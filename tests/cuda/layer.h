// SPDX-License-Identifier: Apache-2.0
// A random layer for the NVIDIA family, packed and cut by the product's own
// packer and scheduler, kept beside the plain matrix that it stands for: what a
// kernel computes from the packed bytes is compared with what the plain numbers
// say (reference.h).
#ifndef TESTS_CUDA_LAYER_H_
#define TESTS_CUDA_LAYER_H_

#include "base/arena.h"
#include "codegen/cuda.h"
#include "compiler/nvidia_schedule.h"

// Where tiles of which kind are.
typedef enum layer_mix {
  LAYER_DENSE,
  LAYER_SPARSE,
  LAYER_ZERO,
  LAYER_RANDOM_10,  // 10 % of the tiles dense, of the others 1 in 8 zero
  LAYER_RANDOM_30,
  LAYER_RANDOM_50,
  LAYER_RANDOM_70,
  LAYER_RANDOM_90,
  LAYER_LONE_DENSE,    // one dense tile in each panel, the others 2:4
  LAYER_LONE_SPARSE,   // the reverse
  LAYER_EMPTY_PANELS,  // every other panel has no tiles
  LAYER_SPARSITY_45,   // 1 tile in 10 dense, spread evenly; the others 2:4
  LAYER_MIX_COUNT,
} layer_mix;

const char *layer_mix_name(layer_mix mix);

typedef struct layer_options {
  tsr_kernel_spec spec;  // kinds and the token range are filled in
  layer_mix mix;
  uint32_t workers;  // 0: all device classes
  bool split;
  tsr_balance balance;
  uint64_t seed;
  const char *target;  // that the kernels are chosen for; NULL: sm_80
} layer_options;

typedef struct layer {
  tsr_kernel_spec spec;  // for any number of tokens
  tsr_tile_grid grid;
  tsr_nvidia_tables tables;
  float *weights;   // [M, K], as the weight type has them; 0 where pruned
  float *bias;      // [M]
  uint8_t *stream;  // tables.stream_size bytes
  tsr_arena arena;  // owns the above
  uint32_t kernel_count;
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
} layer;

// False (with a message on stderr) when something fails.
bool layer_create(const layer_options *options, layer *out_layer);
void layer_destroy(layer *l);

// The kernel for |tokens|; NULL (with a message) when the plan has none.
const tsr_cuda_kernel *layer_kernel(const layer *l, uint32_t tokens);
// Cut number |pick| (modulo how many there are) of those for |mode|.
uint32_t layer_cut(const layer *l, tsr_nvidia_mode mode, uint32_t pick);
// Columns of Y.
uint32_t layer_outputs(const layer *l);

#endif  // TESTS_CUDA_LAYER_H_
