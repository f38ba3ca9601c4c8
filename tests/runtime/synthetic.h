// SPDX-License-Identifier: Apache-2.0
// Writes small bundles from docs/bundle.md and base/host_abi.h, without the
// compiler: the layers of layers.def, run by the kernels of kernels.c. Tests
// damage them in one place and see what the runtime says.
#ifndef TESTS_RUNTIME_SYNTHETIC_H_
#define TESTS_RUNTIME_SYNTHETIC_H_

#include <stdbool.h>

#include "base/buffer.h"
#include "base/host_abi.h"
#include "container.h"

enum { SYNTHETIC_LAYERS = 4 };

typedef struct synthetic_layer {
  const char *name;
  uint32_t rows, columns;
  tsr_tile_shape tile;
  tsr_dtype weight_type, output_type;
  tsr_activation activation;
  bool has_bias, has_residual;
  uint32_t panels, tile_columns, output_columns;
  // What the packed weights stand for, rounded and masked: [rows, columns].
  float *weights;
  float *bias;
  uint8_t *grid;
  uint32_t workers, partials, segments, reductions, tiles;
  uint32_t kinds[TSR_KIND_COUNT];
  // Places in weights.bin.
  uint64_t grid_offset, grid_size;
  uint64_t stream_offset, stream_size;
  uint64_t schedule_offset, schedule_size;
  uint64_t bias_offset, bias_size;
} synthetic_layer;

typedef struct synthetic {
  synthetic_layer layers[SYNTHETIC_LAYERS];
  tsr_buffer weights;   // weights.bin
  tsr_buffer image;     // the kernels
  tsr_buffer manifest;  // made from the above
} synthetic;

// A bundle whose kernels are the file |image_path|; |workers| per layer.
void synthetic_init(synthetic *bundle, const char *image_path,
                    uint32_t workers);
void synthetic_fini(synthetic *bundle);
// Writes the manifest anew, with fresh checksums of what the others hold now.
void synthetic_manifest(synthetic *bundle);
// Replaces the |nth| (0-based) occurrence of |from|, which must be there.
void synthetic_replace(tsr_buffer *buffer, const char *from, unsigned nth,
                       const char *to);

// The single file's bytes.
void synthetic_container(const synthetic *bundle, tsr_buffer *out);
// Writes the folder |path|, which must not exist.
void synthetic_folder(const synthetic *bundle, const char *path);

// Numbers for inputs: reproducible, in [-1, 1), exact in every type of ours.
float synthetic_number(uint64_t seed, uint64_t index);

#endif  // TESTS_RUNTIME_SYNTHETIC_H_
