// SPDX-License-Identifier: Apache-2.0
// See manifest_text.h.
#include "manifest_text.h"

#include "base/hash.h"

static void put_hash(tsr_buffer *out, const void *data, size_t size) {
  char hash[33];
  tsr_hash_format(tsr_hash_bytes(data, size), hash);
  tsr_buffer_printf(out, "\"hash\": \"%s\"}", hash);
}

void manifest_put_file(tsr_buffer *out, const char *key, const char *path,
                       const void *data, size_t size) {
  tsr_buffer_printf(out, "\"%s\": \"%s\", \"size\": %zu, ", key, path, size);
  put_hash(out, data, size);
}

void manifest_put_section(tsr_buffer *out, const char *key,
                          const tsr_buffer *weights, uint64_t offset,
                          uint64_t size) {
  tsr_buffer_printf(out, "\"%s\": {\"offset\": %llu, \"size\": %llu, ", key,
                    (unsigned long long)offset, (unsigned long long)size);
  put_hash(out, weights->data + offset, (size_t)size);
}
