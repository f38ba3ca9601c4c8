// SPDX-License-Identifier: Apache-2.0
// Writes a small bundle for CUDA devices from docs/bundle.md and
// base/nvidia_abi.h, without the compiler. Its kernels multiply nothing: each
// stores what it was launched with into Y, so that tests see what the runtime
// passes, and find in device memory what it has put there.
#ifndef TESTS_RUNTIME_CUDA_BUNDLE_H_
#define TESTS_RUNTIME_CUDA_BUNDLE_H_

#include <stdbool.h>

#include "base/buffer.h"
#include "base/nvidia_abi.h"

enum {
  CUDA_LAYERS = 2,
  CUDA_ROWS = 200,
  CUDA_COLUMNS = 320,
  CUDA_TILE = 64,
  CUDA_PANELS = 4,
  CUDA_TILE_COLUMNS = 5,
  CUDA_DECODE_TOKENS = 64,   // 1 to this: decode
  CUDA_PREFILL_TOKENS = 64,  // of a token tile
  CUDA_PREFILL_LAST = 131072,
};

// What a kernel stores at the start of Y, as 8-byte values.
enum {
  DUMP_GRID = TSR_NVIDIA_PARAMETERS,
  DUMP_THREADS,
  DUMP_SHARED,
  DUMP_MARK,  // the image's (cuda_bundle_ptx)
  DUMP_COUNT,
};

typedef struct cuda_layer {
  uint64_t offsets[4], sizes[4];  // grid, stream, schedule, bias
  uint32_t steps;
  uint32_t kinds[TSR_KIND_COUNT];
} cuda_layer;

typedef struct cuda_image {
  const char *format;     // "ptx", "cubin"
  char architecture[16];  // "sm_90"; also the variant
  const char *kernels;    // the list of those it holds; NULL: all
  tsr_buffer data;
} cuda_image;

// Those of cuda_bundle_init. The emulated driver refuses the cubin.
enum { CUDA_PTX_80, CUDA_CUBIN_90, CUDA_PTX_90, CUDA_IMAGE_LIMIT = 8 };

typedef struct cuda_bundle {
  cuda_layer layers[CUDA_LAYERS];  // "wide", "nothing"
  tsr_buffer weights;
  cuda_image images[CUDA_IMAGE_LIMIT];
  uint32_t image_count;
  const char *kernels;        // the list cuda_kernels; NULL: the usual two
  const char *layer_kernels;  // each layer's list; NULL: all
  tsr_buffer manifest;        // made from the above
} cuda_bundle;

void cuda_bundle_init(cuda_bundle *bundle);
void cuda_bundle_fini(cuda_bundle *bundle);
// One more image, empty; |format| is borrowed.
tsr_buffer *cuda_bundle_add_image(cuda_bundle *bundle, const char *format,
                                  const char *architecture);
void cuda_bundle_remove_images(cuda_bundle *bundle);
// The kernels as PTX for |target|; they store |mark| too.
void cuda_bundle_ptx(tsr_buffer *out, const char *target, unsigned mark);
// Writes the manifest anew, with fresh checksums.
void cuda_bundle_manifest(cuda_bundle *bundle);
// The single file's bytes.
void cuda_bundle_container(const cuda_bundle *bundle, tsr_buffer *out);
// The schedule section of layer |index|: header, and its first |cuts|.
void *cuda_bundle_schedule(cuda_bundle *bundle, uint32_t index);

#endif  // TESTS_RUNTIME_CUDA_BUNDLE_H_
