// SPDX-License-Identifier: Apache-2.0
// Where a program's kernels read the packed weights: in the bundle's own
// mapping, or in memory of large pages. On a virtual machine (nested page
// tables) 4 KiB pages were read at 10 GB/s, 2 MiB pages at 15; a mapped file
// came close to the latter, but only because its file system, ext4 of a recent
// Linux, caches files in large folios.
#ifndef RUNTIME_HOST_STREAMS_H_
#define RUNTIME_HOST_STREAMS_H_

#include "bundle.h"

// A zeroed one is valid and empty.
typedef struct tsr_streams {
  const uint8_t **of_layer;  // owned; per layer of the bundle
  uint8_t *memory;           // owned; NULL when all are mapped
} tsr_streams;

TESSERA_MUST_USE tessera_status tsr_streams_init(const tessera_bundle *bundle,
                                                 tessera_weights weights,
                                                 tsr_streams *out_streams,
                                                 tessera_error *error);
// As |original|, which must outlive it, but with a new copy for |layer|.
TESSERA_MUST_USE tessera_status
tsr_streams_init_copy(const tsr_streams *original, const tessera_layer *layer,
                      tsr_streams *out_streams, tessera_error *error);
void tsr_streams_fini(tsr_streams *streams);

#endif  // RUNTIME_HOST_STREAMS_H_
