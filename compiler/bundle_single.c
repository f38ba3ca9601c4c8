// SPDX-License-Identifier: Apache-2.0
// A bundle in one file: a table of members, then the members, each at a page.
#include <string.h>

#include "base/memory.h"
#include "compiler/bundle.h"

enum { PAGE = 4096, HEADER = 16, ENTRY = 24, CONTAINER_VERSION = 1 };

typedef struct member {
  const char *path;  // inside the bundle
  tsr_map map;
  uint64_t offset;
} member;

static uint64_t round_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

static tsr_status open_member(const char *directory, member *m,
                              tsr_error *error) {
  char *path = tsr_path_join(directory, m->path);
  if (path == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = tsr_map_open(path, &m->map, error);
  tsr_free(path);
  return status;
}

static void place_members(member *members, uint32_t count) {
  uint64_t offset = HEADER;
  for (uint32_t i = 0; i < count; ++i) {
    offset += ENTRY + round_up(strlen(members[i].path), 8);
  }
  for (uint32_t i = 0; i < count; ++i) {
    offset = round_up(offset, PAGE);
    members[i].offset = offset;
    offset += members[i].map.size;
  }
}

static tsr_status write_entry(tsr_output *output, const member *m,
                              tsr_error *error) {
  uint32_t sizes[2] = {(uint32_t)strlen(m->path), 0};
  uint64_t place[2] = {m->offset, m->map.size};
  tsr_status status = tsr_output_write(output, sizes, sizeof(sizes), error);
  if (status == TSR_OK) {
    status = tsr_output_write(output, place, sizeof(place), error);
  }
  if (status == TSR_OK) {
    status = tsr_output_write(output, m->path, sizes[0], error);
  }
  return status == TSR_OK ? tsr_output_align(output, 8, error) : status;
}

static tsr_status write_table(tsr_output *output, const member *members,
                              uint32_t count, tsr_error *error) {
  uint32_t numbers[2] = {CONTAINER_VERSION, count};
  tsr_status status = tsr_output_write(output, "TSRBUNDL", 8, error);
  if (status == TSR_OK) {
    status = tsr_output_write(output, numbers, sizeof(numbers), error);
  }
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    status = write_entry(output, &members[i], error);
  }
  return status;
}

// In pieces, so that a large member does not stay in memory.
static tsr_status write_member(tsr_output *output, const member *m,
                               tsr_error *error) {
  const size_t piece = (size_t)16 << 20;
  tsr_status status = tsr_output_align(output, PAGE, error);
  for (size_t done = 0; status == TSR_OK && done < m->map.size;) {
    size_t left = m->map.size - done;
    size_t size = left < piece ? left : piece;
    status = tsr_output_write(output, m->map.data + done, size, error);
    tsr_map_drop(&m->map, done, size);
    done += size;
  }
  return status;
}

static tsr_status write_container(const char *path, const member *members,
                                  uint32_t count, tsr_error *error) {
  tsr_output *output;
  tsr_status status = tsr_output_create(path, &output, error);
  if (status != TSR_OK) return status;
  status = write_table(output, members, count, error);
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    status = write_member(output, &members[i], error);
  }
  if (status == TSR_OK) return tsr_output_commit(output, error);
  tsr_output_close(output);
  return status;
}

tsr_status tsr_bundle_write_single(const char *directory,
                                   const char *const *paths,
                                   uint32_t path_count, const char *path,
                                   tsr_error *error) {
  uint32_t count = path_count + 1;
  member *members = tsr_calloc(count, sizeof(*members));
  if (members == NULL) return tsr_error_out_of_memory(error);
  members[0].path = "manifest.json";
  for (uint32_t i = 0; i < path_count; ++i) members[i + 1].path = paths[i];
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    status = open_member(directory, &members[i], error);
  }
  if (status == TSR_OK) {
    place_members(members, count);
    status = write_container(path, members, count, error);
  }
  for (uint32_t i = 0; i < count; ++i) tsr_map_close(&members[i].map);
  tsr_free(members);
  return status;
}
