// SPDX-License-Identifier: Apache-2.0
// A bundle as a single file, from its members, by docs/bundle.md; not by the
// compiler's own writer, so that tests of the runtime need no compiler.
#ifndef TESTS_RUNTIME_CONTAINER_H_
#define TESTS_RUNTIME_CONTAINER_H_

#include <stdint.h>

#include "base/buffer.h"

enum { CONTAINER_PATH = 512 };

typedef struct container_member {
  const char *path;
  const void *data;
  uint64_t size;
} container_member;

// Zeros up to the next multiple of |alignment|.
void container_align(tsr_buffer *buffer, size_t alignment);
// The table has to fit into 4096 bytes. Aborts when out of memory.
void container_write(const container_member *members, uint32_t count,
                     tsr_buffer *out);
// Bytes as a file that has no name; |out_path| opens it until close(result).
// Aborts when the system has none.
int container_file(const void *data, size_t size,
                   char out_path[CONTAINER_PATH]);

#endif  // TESTS_RUNTIME_CONTAINER_H_
