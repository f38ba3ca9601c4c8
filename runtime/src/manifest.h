// SPDX-License-Identifier: Apache-2.0
// What the readers of the manifest's families share: manifest.c reads what all
// have and the host's part, cuda/manifest.c that of CUDA.
#ifndef RUNTIME_MANIFEST_H_
#define RUNTIME_MANIFEST_H_

#include "bundle.h"
#include "reader.h"

enum { TSR_KERNEL_COUNT_LIMIT = 1 << 16 };

// Mistakes are reported relative to |scope|, after "|kind| '|name|'".
void tsr_manifest_scope(tsr_reader *r, const tsr_json *scope, const char *kind,
                        const char *name);
void tsr_manifest_no_scope(tsr_reader *r);
// From the bundle's arena; NULL: the reader has failed.
void *tsr_manifest_allocate(tsr_reader *r, size_t count, size_t size);
// As tsr_read_array, with at most |limit| elements.
const tsr_json *tsr_manifest_list(tsr_reader *r, const tsr_json *root,
                                  const char *key, uint32_t limit);
// Registers a section and returns where it lies, or NULL.
const uint8_t *tsr_manifest_section(tsr_reader *r, const tsr_json *object,
                                    const char *key, const char *name,
                                    uint64_t alignment, tessera_layer *layer,
                                    uint64_t *out_size);
// |size| is that of the section |key|.
void tsr_manifest_expect_size(tsr_reader *r, const tsr_json *object,
                              const char *key, uint64_t size,
                              uint64_t expected);
// The bias of a layer that has one, which its families share.
const float *tsr_manifest_bias(tsr_reader *r, const tsr_json *object,
                               const char *name, tessera_layer *layer);
// The list |object|.kernels of at most |limit| indices below |kernel_count|; 0:
// failed.
uint32_t tsr_manifest_kernels(tsr_reader *r, const tsr_json *object,
                              uint32_t limit, uint32_t kernel_count,
                              const uint32_t **out_kernels);
// Fails at kernel |index| of the list unless |first| > |before_last|.
void tsr_manifest_ascend(tsr_reader *r, const tsr_json *object, uint32_t index,
                         uint32_t before_last, uint32_t first);

// ---- cuda/manifest.c --------------------------------------------------------

// |image|'s format, and which of the kernels, read before, it holds.
void tsr_manifest_cuda_image(tsr_reader *r, const tsr_json *node,
                             tsr_image *image);
// What is wrong with |image|'s bytes, or NULL.
const char *tsr_manifest_cuda_mistake(const tsr_image *image);
// The list cuda_kernels of |root|, which may be absent.
void tsr_manifest_cuda_kernels(tsr_reader *r, tessera_bundle *bundle,
                               const tsr_json *root);
// The part "cuda" of the layer |node|.
void tsr_manifest_cuda_layer(tsr_reader *r, const tsr_json *node,
                             tessera_layer *layer);

#endif  // RUNTIME_MANIFEST_H_
