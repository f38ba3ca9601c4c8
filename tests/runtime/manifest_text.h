// SPDX-License-Identifier: Apache-2.0
// What manifests of both families write alike, by docs/bundle.md: files and
// places in weights.bin with the checksums of what they hold now.
#ifndef TESTS_RUNTIME_MANIFEST_TEXT_H_
#define TESTS_RUNTIME_MANIFEST_TEXT_H_

#include <stdint.h>

#include "base/buffer.h"

// The rest of an object that is open: |key|: |path|, size and hash.
void manifest_put_file(tsr_buffer *out, const char *key, const char *path,
                       const void *data, size_t size);
// "|key|": the |size| bytes at |offset| of |weights|.
void manifest_put_section(tsr_buffer *out, const char *key,
                          const tsr_buffer *weights, uint64_t offset,
                          uint64_t size);

#endif  // TESTS_RUNTIME_MANIFEST_TEXT_H_
