// SPDX-License-Identifier: Apache-2.0
// See container.h.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // memfd_create
#include "container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void container_align(tsr_buffer *buffer, size_t alignment) {
  while (buffer->size % alignment != 0) tsr_buffer_append_char(buffer, 0);
}

void container_write(const container_member *members, uint32_t count,
                     tsr_buffer *out) {
  tsr_buffer_init(out);
  uint32_t head[2] = {1, count};
  tsr_buffer_append(out, "TSRBUNDL", 8);
  tsr_buffer_append(out, head, sizeof(head));
  uint64_t offset = 4096;  // the table fits
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t path[2] = {(uint32_t)strlen(members[i].path), 0};
    uint64_t place[2] = {offset, members[i].size};
    tsr_buffer_append(out, path, sizeof(path));
    tsr_buffer_append(out, place, sizeof(place));
    tsr_buffer_append_string(out, members[i].path);
    container_align(out, 8);
    offset = (offset + members[i].size + 4095) / 4096 * 4096;
  }
  for (uint32_t i = 0; i < count; ++i) {
    container_align(out, 4096);
    tsr_buffer_append(out, members[i].data, (size_t)members[i].size);
  }
  if (out->failed) abort();
}

int container_file(const void *data, size_t size,
                   char out_path[CONTAINER_PATH]) {
  int descriptor = memfd_create("bundle", MFD_CLOEXEC);
  if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size) abort();
  (void)snprintf(out_path, CONTAINER_PATH, "/proc/self/fd/%d", descriptor);
  return descriptor;
}
