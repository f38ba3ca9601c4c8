// SPDX-License-Identifier: Apache-2.0
// A random layer, packed by the product's own packer and scheduler, and images
// of its kernels, loaded as the runtime loads them. Shared by the tests and the
// benchmark of the kernels.
#ifndef TESTS_CODEGEN_LAYER_H_
#define TESTS_CODEGEN_LAYER_H_

#include "base/arena.h"
#include "base/host_abi.h"
#include "codegen/codegen.h"

typedef struct layer_options {
  tsr_kernel_spec spec;  // kinds are filled in
  double zero_share;     // of tiles
  double sparse_share;   // of tiles
  uint32_t workers;
  bool split;
  uint64_t seed;
} layer_options;

typedef struct layer {
  tsr_kernel_spec spec;
  tsr_arena arena;
  float *weights;  // [M, K], rounded to the weight type, masked
  float *bias;     // [M]
  uint8_t *stream;
  uint64_t stream_size;
  tsr_buffer schedule_bytes;
  const tsr_host_schedule *schedule;
  const tsr_host_worker *workers;
  const tsr_host_segment *segments;
  const tsr_host_reduction *reductions;
  const tsr_host_tile *tiles;
} layer;

// False (with a message on stderr) when something fails.
bool layer_create(const layer_options *options, layer *out_layer);
void layer_destroy(layer *l);

typedef struct image {
  void *handle;
  uint32_t kernel_count;
  tsr_kernel kernels[TSR_KERNEL_LIMIT];
  tsr_host_function run[TSR_KERNEL_LIMIT];
  tsr_host_function reduce[TSR_KERNEL_LIMIT];
  tsr_host_function pack[TSR_KERNEL_LIMIT];  // or NULL
  double compile_seconds;
} image;

bool image_create(const tsr_kernel_spec *spec, const char *variant,
                  image *out_image);
void image_destroy(image *im);
// The kernel for |tokens|; kernel_count when there is none.
uint32_t image_kernel(const image *im, uint64_t tokens);

// Whether this machine can run |variant| (the flags of /proc/cpuinfo).
bool machine_can(const char *variant);

#endif  // TESTS_CODEGEN_LAYER_H_
