// SPDX-License-Identifier: Apache-2.0
// What the strategies' predictions share; the model is told in
// docs/cuda-kernels.md, "Strategies". Private to codegen/nvptx.
#ifndef CODEGEN_NVPTX_COST_H_
#define CODEGEN_NVPTX_COST_H_

#include "codegen/cuda.h"

// How a strategy spreads a layer over a device.
typedef struct nv_work {
  uint32_t token_tiles;
  uint32_t workers;       // blocks of one token tile
  uint32_t weight_reads;  // times that the weights come from memory
  double byte_imbalance;
  double time_imbalance;
  uint64_t partials;  // slots of one token tile
} nv_work;

// Fills bytes, flops, mma, seconds and bound of |out|, whose kernel is set.
void nv_cost(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
             const tsr_cuda_target *target, uint32_t tokens,
             const nv_work *work, tsr_cuda_candidate *out);

// plan.c: what strategies have in common.
// Row groups of a panel, never more than the matrix has.
uint32_t nv_groups(const tsr_kernel_spec *spec);
// Why no strategy can serve the spec's shape, or NULL.
const char *nv_refuse_shape(const tsr_kernel_spec *spec);

#endif  // CODEGEN_NVPTX_COST_H_
