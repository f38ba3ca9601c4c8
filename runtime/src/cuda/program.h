// SPDX-License-Identifier: Apache-2.0
// A program on a CUDA device: a module, the layers' weights and tables in one
// piece of device memory, and what a launch takes from them.
#ifndef RUNTIME_CUDA_PROGRAM_H_
#define RUNTIME_CUDA_PROGRAM_H_

#include "cuda/cuda_device.h"

// A layer on the device. The bundle's cuts are those of one class of device:
// their workers and segments lie side by side, here as in the bundle.
typedef struct tsr_cuda_tables {
  CUdeviceptr stream, steps, workers, segments, bias;
  const tsr_nvidia_cut *cuts;  // the first of the class
  uint32_t cut_count;
  uint32_t kernel_count;
  const uint32_t *kernels;  // of the image; ascending, disjoint token ranges
} tsr_cuda_tables;

typedef struct tsr_cuda_program {
  tessera_program base;
  CUmodule module;
  CUfunction *functions;    // per kernel of the bundle; NULL: no layer needs it
  uint32_t *kernels;        // of all layers; owned
  tsr_cuda_tables *layers;  // per layer; owned
  CUdeviceptr memory;
  bool owns_memory;
  bool is_copy;  // borrows module, functions and kernels
  char variant[64];
} tsr_cuda_program;

static inline const tsr_cuda_program *tsr_cuda_program_of(
    const tessera_program *program) {
  return (const tsr_cuda_program *)(const void *)program;
}

// ---- cuda/layout.c ----------------------------------------------------------

// Chooses the cuts of each layer for a device of |multiprocessors| and places
// everything, from |memory| on: |tables| has one entry per layer of |bundle|.
// Leaves their kernels as they are. Returns the bytes that it takes, 0 if no
// layer is for CUDA.
uint64_t tsr_cuda_place(const tessera_bundle *bundle, uint32_t multiprocessors,
                        CUdeviceptr memory, tsr_cuda_tables *tables);
// Copies everything to |memory|, placed as above, and waits for it. |stream|
// may be NULL: one of its own. The device's context is current.
TESSERA_MUST_USE tessera_status tsr_cuda_upload(const tsr_cuda_device *device,
                                                const tessera_bundle *bundle,
                                                const tsr_cuda_tables *tables,
                                                CUdeviceptr memory,
                                                uint64_t size, CUstream stream,
                                                tessera_error *error);

// Bytes of each of the two buffers. A test hook, process-wide: small ones make
// small bundles take many.
extern size_t tsr_cuda_upload_buffer;

// ---- cuda/image.c -----------------------------------------------------------

// Loads the image that suits |device| best and that the driver takes; writes
// its "sm_80 cubin".
TESSERA_MUST_USE tessera_status tsr_cuda_image_load(
    const tsr_cuda_device *device, const tessera_bundle *bundle,
    CUmodule *out_module, const tsr_image **out_image, char *out_variant,
    size_t variant_size, tessera_error *error);

// ---- cuda/choice.c ----------------------------------------------------------

// What runs a layer for some number of tokens.
typedef struct tsr_cuda_choice {
  const tsr_bundle_cuda_kernel *kernel;
  uint32_t kernel_index;
  const tsr_nvidia_cut *cut;
  uint32_t token_tiles;
} tsr_cuda_choice;

// Arithmetic only.
TESSERA_MUST_USE tessera_status tsr_cuda_choose(const tsr_cuda_device *device,
                                                const tessera_layer *layer,
                                                const tsr_cuda_tables *tables,
                                                uint32_t token_count,
                                                tsr_cuda_choice *out_choice,
                                                tessera_error *error);
// Bytes of workspace that |choice| needs; false when they overflow.
TESSERA_MUST_USE bool tsr_cuda_choice_workspace(const tessera_layer *layer,
                                                const tsr_cuda_choice *choice,
                                                uint64_t *out_size);
// The most of any token count up to |token_count|, likewise.
TESSERA_MUST_USE bool tsr_cuda_largest_workspace(const tsr_cuda_device *device,
                                                 const tessera_layer *layer,
                                                 const tsr_cuda_tables *tables,
                                                 uint32_t token_count,
                                                 uint64_t *out_size);

#endif  // RUNTIME_CUDA_PROGRAM_H_
