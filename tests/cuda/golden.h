// SPDX-License-Identifier: Apache-2.0
// The kernels whose text and resources are looked at: one of each shape of code
// that the generator emits.
#ifndef TESTS_CUDA_GOLDEN_H_
#define TESTS_CUDA_GOLDEN_H_

#include "codegen/cuda.h"

typedef struct golden {
  const char *name;  // of its file in golden/, if it has one, and in tables
  uint32_t rows, columns;
  tsr_tile_shape tile;
  tsr_dtype type, output;
  tsr_activation activation;
  bool bias, residual;
  uint32_t kinds;
  uint32_t tokens;
} golden;

extern const golden goldens[];
extern const uint32_t golden_count;

const golden *golden_find(const char *name);  // NULL when unknown
// False (with a message on stderr) when the plan has none.
bool golden_kernel(const golden *g, tsr_cuda_kernel *out);
// |out| is a whole module.
bool golden_compile(const tsr_cuda_kernel *kernel, const char *target,
                    tsr_buffer *out);

#endif  // TESTS_CUDA_GOLDEN_H_
