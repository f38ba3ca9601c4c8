// SPDX-License-Identifier: Apache-2.0
// See golden.h.
#include "golden.h"

#include <stdio.h>
#include <string.h>

#define BF16 TSR_DTYPE_BF16
#define F16 TSR_DTYPE_F16
#define F32 TSR_DTYPE_F32
#define ACT(name) TSR_ACTIVATION_##name
enum {
  Z = 1 << TSR_KIND_ZERO,
  S = 1 << TSR_KIND_SPARSE24,
  D = 1 << TSR_KIND_DENSE,
};

// Shapes of LLaMA-2 7B, then what is unlike them.
const golden goldens[] = {
    {"decode_n8",
     4096,
     4096,
     {128, 128},
     BF16,
     BF16,
     ACT(NONE),
     false,
     false,
     S | D,
     1},
    {"decode_n16",
     4096,
     4096,
     {128, 128},
     F16,
     F16,
     ACT(NONE),
     true,
     false,
     S | D,
     16},
    {"decode_n32",
     4096,
     11008,
     {128, 128},
     BF16,
     BF16,
     ACT(NONE),
     false,
     true,
     S | D | Z,
     32},
    {"decode_n64",
     4096,
     4096,
     {128, 128},
     BF16,
     BF16,
     ACT(NONE),
     false,
     false,
     S | D,
     64},
    {"decode_n64_dense",
     4096,
     4096,
     {128, 128},
     F16,
     F16,
     ACT(NONE),
     false,
     false,
     D,
     64},
    {"decode_n16_sparse",
     4096,
     4096,
     {128, 128},
     BF16,
     BF16,
     ACT(NONE),
     false,
     false,
     S,
     16},
    {"decode_swiglu",
     22016,
     4096,
     {128, 128},
     BF16,
     BF16,
     ACT(SWIGLU),
     false,
     false,
     S | D,
     8},
    {"prefill_n128",
     4096,
     4096,
     {128, 128},
     BF16,
     BF16,
     ACT(NONE),
     false,
     true,
     S | D,
     128},
    {"prefill",
     4096,
     11008,
     {128, 128},
     BF16,
     BF16,
     ACT(NONE),
     false,
     true,
     S | D,
     2048},
    {"prefill_dense",
     4096,
     4096,
     {128, 128},
     F16,
     F16,
     ACT(NONE),
     false,
     false,
     D,
     2048},
    {"prefill_sparse",
     4096,
     4096,
     {128, 128},
     F16,
     F16,
     ACT(NONE),
     false,
     false,
     S,
     2048},
    {"prefill_swiglu",
     22016,
     4096,
     {128, 128},
     BF16,
     BF16,
     ACT(SWIGLU),
     false,
     false,
     S | D,
     2048},
    {"tile_64x64",
     4096,
     4096,
     {64, 64},
     BF16,
     F32,
     ACT(GELU_ERF),
     true,
     true,
     S | D,
     64},
    {"tile_256x512",
     4096,
     4096,
     {256, 512},
     F16,
     BF16,
     ACT(GELU_TANH),
     true,
     true,
     S | D,
     64},
    {"tile_256x512_prefill",
     4096,
     4096,
     {256, 512},
     F16,
     BF16,
     ACT(SILU),
     true,
     true,
     S | D,
     512},
    {"tile_16x32",
     4096,
     4096,
     {16, 32},
     F16,
     F16,
     ACT(RELU),
     true,
     false,
     S | D,
     16},
    {"ragged",
     1000,
     1003,
     {96, 96},
     BF16,
     F32,
     ACT(GEGLU_TANH),
     true,
     true,
     S | D | Z,
     64},
    {"ragged_prefill",
     1000,
     1003,
     {96, 96},
     F16,
     F16,
     ACT(GEGLU_ERF),
     true,
     true,
     S | D | Z,
     200},
    {"zero", 4096, 4096, {128, 128}, BF16, BF16, ACT(NONE), true, false, Z, 8},
};

const uint32_t golden_count = sizeof(goldens) / sizeof(goldens[0]);

const golden *golden_find(const char *name) {
  for (uint32_t i = 0; i < golden_count; ++i) {
    if (strcmp(goldens[i].name, name) == 0) return &goldens[i];
  }
  fprintf(stderr, "no golden kernel '%s'\n", name);
  return NULL;
}

bool golden_kernel(const golden *g, tsr_cuda_kernel *out) {
  tsr_kernel_spec spec = {.rows = g->rows,
                          .columns = g->columns,
                          .tile = g->tile,
                          .weight_type = g->type,
                          .output_type = g->output,
                          .activation = g->activation,
                          .has_bias = g->bias,
                          .has_residual = g->residual,
                          .kinds = g->kinds,
                          .token_first = 1,
                          .token_last = UINT32_MAX};
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  uint32_t count = tsr_cuda_plan(&spec, tsr_cuda_target_find("sm_80"), kernels);
  for (uint32_t i = 0; i < count; ++i) {
    if (g->tokens < kernels[i].spec.token_first) continue;
    if (g->tokens > kernels[i].spec.token_last) continue;
    *out = kernels[i];
    return true;
  }
  fprintf(stderr, "%s: no kernel for %u tokens\n", g->name, g->tokens);
  return false;
}

bool golden_compile(const tsr_cuda_kernel *kernel, const char *target_name,
                    tsr_buffer *out) {
  tsr_buffer_init(out);
  tsr_error error = {0};
  const tsr_cuda_target *target = tsr_cuda_target_find(target_name);
  tsr_cuda_emitted emitted = {0};
  if (target == NULL) {
    fprintf(stderr, "no target '%s'\n", target_name);
    return false;
  }
  if (tsr_cuda_compile(kernel, target, false, &emitted, &error) != TSR_OK) {
    fprintf(stderr, "%s: %s\n", kernel->name, error.message);
    return false;
  }
  tsr_buffer_append(out, emitted.ptx.data, emitted.ptx.size);
  tsr_cuda_emitted_fini(&emitted);
  return !out->failed;
}
