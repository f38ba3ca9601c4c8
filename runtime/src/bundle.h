// SPDX-License-Identifier: Apache-2.0
// An open bundle. Everything here was checked when it was read: whoever holds
// a tessera_bundle may index with what it says.
#ifndef RUNTIME_BUNDLE_H_
#define RUNTIME_BUNDLE_H_

#include <stdbool.h>

#include "archive.h"
#include "base/hash.h"
#include "base/host_abi.h"
#include "base/nvidia_abi.h"
#include "tessera/tessera.h"

enum {
  TSR_BUNDLE_VERSION = 1,
  TSR_MANIFEST_LIMIT = 64 << 20,  // bytes
  TSR_EXTENT_LIMIT = 1 << 24,     // rows or columns of a layer
  TSR_KERNELS_PER_LAYER = 16,     // of one image
  TSR_KERNELS_ALL_IMAGES = 256,   // of a layer
  TSR_WEIGHTS_HEADER = 64,
  TSR_WEIGHTS_TAIL = 4096,  // zeros after the last stream
};

typedef enum tsr_image_format {
  TSR_IMAGE_NATIVE = 0,  // of the host: a shared object
  TSR_IMAGE_PTX = 1,
  TSR_IMAGE_CUBIN = 2,
} tsr_image_format;

// One per file of native code.
typedef struct tsr_image {
  const char *family;
  const char *variant;
  tsr_image_format format;
  const char *architecture;
  const char *required;
  uint32_t rank;
  uint32_t abi;
  const tsr_member *member;
  const uint32_t *kernels;  // CUDA: those that it holds, ascending
  uint32_t kernel_count;
} tsr_image;

typedef struct tsr_bundle_kernel {
  const char *name;
  const char *run;
  const char *reduce;
  const char *pack;  // "" when it reads the input as it is
  uint32_t token_first;
  uint32_t token_last;
  uint64_t scratch[2];  // base, per token: bytes of each thread
  uint64_t packed[2];   // base, per token: bytes that all share
} tsr_bundle_kernel;

typedef struct tsr_bundle_cuda_kernel {
  const char *name;  // its entry
  tsr_nvidia_mode mode;
  uint32_t token_first;
  uint32_t token_last;
  uint32_t threads;       // of a block
  uint32_t shared_size;   // dynamic shared memory, bytes
  uint32_t block_tokens;  // of a token tile
} tsr_bundle_cuda_kernel;

// A range of weights.bin.
typedef struct tsr_section {
  const char *name;  // "host.stream"
  const tessera_layer *layer;
  uint64_t offset;
  uint64_t size;
  tsr_hash hash;
} tsr_section;

// A layer's part for the host family; all pointers into weights.bin.
typedef struct tsr_host_layer {
  const uint8_t *stream;
  uint64_t stream_size;
  const uint8_t *section;  // the schedule, still to be interpreted
  uint64_t section_size;
  const tsr_host_worker *workers;
  const tsr_host_segment *segments;
  const tsr_host_reduction *reductions;
  const tsr_host_tile *tiles;
  const float *bias;  // NULL without one
  uint32_t worker_count;
  uint32_t segment_count;
  uint32_t reduction_count;
  uint32_t tile_count;
  uint32_t partial_count;
  uint32_t kernel_count;
  const uint32_t *kernels;  // ascending token ranges
} tsr_host_layer;

// A layer's part for CUDA; all pointers into weights.bin.
typedef struct tsr_cuda_layer {
  const uint8_t *stream;
  uint64_t stream_size;
  const uint8_t *section;  // the schedule, still to be interpreted
  uint64_t section_size;
  const tsr_nvidia_step *steps;
  const tsr_nvidia_cut *cuts;
  const tsr_nvidia_worker *workers;
  const tsr_nvidia_segment *segments;
  const float *bias;  // NULL without one
  uint32_t step_count;
  uint32_t cut_count;
  uint32_t worker_count;
  uint32_t segment_count;
  uint32_t kernel_count;
  // Those of all images, ascending by token range, then by index. What one
  // image holds of them has disjoint ranges.
  const uint32_t *kernels;
} tsr_cuda_layer;

struct tessera_layer {
  const tessera_bundle *bundle;
  uint32_t index;
  uint32_t panels;
  uint32_t tile_columns;  // of the grid
  tessera_layer_info info;
  tsr_activation activation;
  const uint8_t *grid;
  bool has_host;
  tsr_host_layer host;
  bool has_cuda;
  tsr_cuda_layer cuda;
};

struct tessera_bundle {
  tsr_arena arena;  // everything below
  tsr_archive archive;
  const char *path;
  const char *name;
  char *manifest;
  size_t manifest_size;
  const char *plan;
  const tsr_member *weights;
  tsr_hash weights_hash;
  tsr_image *images;
  uint32_t image_count;
  tsr_bundle_kernel *kernels;
  uint32_t kernel_count;
  tsr_bundle_cuda_kernel *cuda_kernels;
  uint32_t cuda_kernel_count;
  tessera_layer *layers;
  const tessera_layer **by_name;  // sorted
  uint32_t layer_count;
  tsr_section *sections;
  uint32_t section_count;
  bool verify_checksums;
};

// manifest.c: fills |bundle| from its manifest; checks every field but not yet
// what weights.bin holds.
TESSERA_MUST_USE tessera_status tsr_manifest_read(tessera_bundle *bundle,
                                                  tessera_error *error);

// weights.c: sections disjoint, header and tail as they must be, checksums.
TESSERA_MUST_USE tessera_status tsr_weights_check(tessera_bundle *bundle,
                                                  tessera_error *error);

// host/section.c: interprets and checks a layer's schedule for the host.
TESSERA_MUST_USE tessera_status tsr_host_section_check(tessera_layer *layer,
                                                       tessera_error *error);

// cuda/section.c: likewise for CUDA devices.
TESSERA_MUST_USE tessera_status tsr_cuda_section_check(tessera_layer *layer,
                                                       tessera_error *error);

// cuda/manifest.c: whether a CUDA image holds kernel |index|.
bool tsr_image_holds(const tsr_image *image, uint32_t index);

#endif  // RUNTIME_BUNDLE_H_
