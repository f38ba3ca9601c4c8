// SPDX-License-Identifier: Apache-2.0
// Which kernel runs a number of tokens, and which of the bundle's cuts divides
// the layer between thread blocks. docs/runtime.md states the rule.
#include "base/nvidia_cut.h"
#include "cuda/program.h"

static const tsr_bundle_cuda_kernel *pick_kernel(const tessera_layer *layer,
                                                 const tsr_cuda_tables *tables,
                                                 uint32_t token_count,
                                                 uint32_t *out_index) {
  for (uint32_t i = 0; i < tables->kernel_count; ++i) {
    uint32_t index = tables->kernels[i];
    const tsr_bundle_cuda_kernel *kernel = &layer->bundle->cuda_kernels[index];
    if (token_count < kernel->token_first) return NULL;
    if (token_count > kernel->token_last) continue;
    *out_index = index;
    return kernel;
  }
  return NULL;
}

static uint32_t count_tiles(const tsr_bundle_cuda_kernel *kernel,
                            uint32_t token_count) {
  return (token_count - 1) / kernel->block_tokens + 1;
}

static const tsr_nvidia_cut *pick_cut(const tsr_cuda_device *device,
                                      const tessera_layer *layer,
                                      const tsr_cuda_tables *tables,
                                      const tsr_bundle_cuda_kernel *kernel,
                                      uint32_t tiles) {
  tsr_nvidia_launch launch = {.mode = (tsr_nvidia_mode)kernel->mode,
                              .token_tiles = tiles,
                              .multiprocessors = device->multiprocessors,
                              .tile_rows = layer->info.tile_rows,
                              .stream_bytes = layer->cuda.stream_size};
  return tsr_nvidia_cut_pick(tables->cuts, tables->cut_count, &launch);
}

static tessera_status fail_tokens(const tessera_layer *layer,
                                  const tsr_cuda_tables *tables,
                                  uint32_t token_count, tessera_error *error) {
  tsr_token_range ranges[TSR_KERNELS_PER_LAYER];
  if (!layer->has_cuda) {
    return tsr_fail(error, TESSERA_UNSUPPORTED,
                    "it was not compiled for a CUDA target");
  }
  for (uint32_t i = 0; i < tables->kernel_count; ++i) {
    const tsr_bundle_cuda_kernel *kernel =
        &layer->bundle->cuda_kernels[tables->kernels[i]];
    ranges[i] = (tsr_token_range){kernel->token_first, kernel->token_last};
  }
  return tsr_fail_tokens(token_count, ranges, tables->kernel_count, error);
}

tessera_status tsr_cuda_choose(const tsr_cuda_device *device,
                               const tessera_layer *layer,
                               const tsr_cuda_tables *tables,
                               uint32_t token_count,
                               tsr_cuda_choice *out_choice,
                               tessera_error *error) {
  *out_choice = (tsr_cuda_choice){0};
  const tsr_bundle_cuda_kernel *kernel =
      pick_kernel(layer, tables, token_count, &out_choice->kernel_index);
  if (kernel == NULL) return fail_tokens(layer, tables, token_count, error);
  uint32_t tiles = count_tiles(kernel, token_count);
  out_choice->kernel = kernel;
  out_choice->token_tiles = tiles;
  out_choice->cut = pick_cut(device, layer, tables, kernel, tiles);
  if (out_choice->cut != NULL) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "%u tokens need more thread blocks than a launch may have",
                  token_count);
}

bool tsr_cuda_choice_workspace(const tessera_layer *layer,
                               const tsr_cuda_choice *choice,
                               uint64_t *out_size) {
  uint64_t slot = (uint64_t)choice->kernel->block_tokens *
                  layer->info.tile_rows * sizeof(float);
  uint64_t slots = (uint64_t)choice->token_tiles * choice->cut->partial_count;
  *out_size = 0;
  if (slots == 0) return true;
  return !__builtin_mul_overflow(slots, slot, out_size) &&
         !__builtin_add_overflow(*out_size, TSR_NVIDIA_WORKSPACE_HEADER,
                                 out_size) &&
         *out_size <= (uint64_t)PTRDIFF_MAX;
}

// More token tiles than there are counters leave only cuts without partials.
bool tsr_cuda_largest_workspace(const tsr_cuda_device *device,
                                const tessera_layer *layer,
                                const tsr_cuda_tables *tables,
                                uint32_t token_count, uint64_t *out_size) {
  *out_size = 0;
  for (uint32_t i = 0; i < tables->kernel_count; ++i) {
    const tsr_bundle_cuda_kernel *kernel =
        &layer->bundle->cuda_kernels[tables->kernels[i]];
    if (kernel->token_first > token_count) continue;
    uint32_t last =
        kernel->token_last < token_count ? kernel->token_last : token_count;
    uint32_t tiles = count_tiles(kernel, kernel->token_first);
    uint32_t tiles_last = count_tiles(kernel, last);
    if (tiles_last > TSR_NVIDIA_COUNTERS) tiles_last = TSR_NVIDIA_COUNTERS;
    for (; tiles <= tiles_last; ++tiles) {
      uint64_t size = 0;
      tsr_cuda_choice choice = {
          .kernel = kernel,
          .cut = pick_cut(device, layer, tables, kernel, tiles),
          .token_tiles = tiles};
      if (choice.cut == NULL) continue;
      if (!tsr_cuda_choice_workspace(layer, &choice, &size)) return false;
      if (size > *out_size) *out_size = size;
    }
  }
  return true;
}
