// SPDX-License-Identifier: Apache-2.0
// See golden.h.
#include "golden.h"

#include <stdio.h>
#include <string.h>

#define BF16 TSR_DTYPE_BF16
#define F16 TSR_DTYPE_F16
#define F32 TSR_DTYPE_F32
enum {
  Z = 1 << TSR_KIND_ZERO,
  S = 1 << TSR_KIND_SPARSE24,
  D = 1 << TSR_KIND_DENSE,
};

// What is added to W x.
enum { PLAIN = 0, BIAS = 1, RESIDUAL = 2 };

#define ROW(name, rows, columns, tile_rows, tile_columns, type, output, \
            function, added, kinds, tokens)                             \
  {                                                                     \
    name, rows, columns, {tile_rows, tile_columns}, type, output,       \
        TSR_ACTIVATION_##function, ((added)&BIAS) != 0,                 \
        ((added)&RESIDUAL) != 0, kinds, tokens                          \
  }

// Shapes of LLaMA-2 7B, then what is unlike them.
const golden goldens[] = {
    ROW("decode_n8", 4096, 4096, 128, 128, BF16, BF16, NONE, PLAIN, S | D, 1),
    ROW("decode_n16", 4096, 4096, 128, 128, F16, F16, NONE, BIAS, S | D, 16),
    ROW("decode_n32", 4096, 11008, 128, 128, BF16, BF16, NONE, RESIDUAL,
        S | D | Z, 32),
    ROW("decode_n64", 4096, 4096, 128, 128, BF16, BF16, NONE, PLAIN, S | D, 64),
    ROW("decode_n64_dense", 4096, 4096, 128, 128, F16, F16, NONE, PLAIN, D, 64),
    ROW("decode_n16_sparse", 4096, 4096, 128, 128, BF16, BF16, NONE, PLAIN, S,
        16),
    ROW("decode_swiglu", 22016, 4096, 128, 128, BF16, BF16, SWIGLU, PLAIN,
        S | D, 8),
    ROW("prefill_n128", 4096, 4096, 128, 128, BF16, BF16, NONE, RESIDUAL, S | D,
        128),
    ROW("prefill", 4096, 11008, 128, 128, BF16, BF16, NONE, RESIDUAL, S | D,
        2048),
    ROW("prefill_dense", 4096, 4096, 128, 128, F16, F16, NONE, PLAIN, D, 2048),
    ROW("prefill_sparse", 4096, 4096, 128, 128, F16, F16, NONE, PLAIN, S, 2048),
    ROW("prefill_swiglu", 22016, 4096, 128, 128, BF16, BF16, SWIGLU, PLAIN,
        S | D, 2048),
    ROW("tile_64x64", 4096, 4096, 64, 64, BF16, F32, GELU_ERF, BIAS | RESIDUAL,
        S | D, 64),
    ROW("tile_256x512", 4096, 4096, 256, 512, F16, BF16, GELU_TANH,
        BIAS | RESIDUAL, S | D, 64),
    ROW("tile_256x512_prefill", 4096, 4096, 256, 512, F16, BF16, SILU,
        BIAS | RESIDUAL, S | D, 512),
    ROW("tile_16x32", 4096, 4096, 16, 32, F16, F16, RELU, BIAS, S | D, 16),
    ROW("ragged", 1000, 1003, 96, 96, BF16, F32, GEGLU_TANH, BIAS | RESIDUAL,
        S | D | Z, 64),
    ROW("ragged_prefill", 1000, 1003, 96, 96, F16, F16, GEGLU_ERF,
        BIAS | RESIDUAL, S | D | Z, 200),
    ROW("zero", 4096, 4096, 128, 128, BF16, BF16, NONE, BIAS, Z, 8),
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
