// SPDX-License-Identifier: Apache-2.0
// weights.bin: written front to back with plain writes (a mapping would count
// as our memory), hashed section by section and as a whole on the way.
#include <string.h>

#include "base/memory.h"
#include "compiler/bundle.h"

enum { HEADER_SIZE = 64, TAIL_SIZE = 4096 };

struct tsr_packing {
  tsr_output *output;
  tsr_hasher *whole;
  tsr_hasher *section;
  uint64_t section_offset;
};

static const uint8_t zeros[TAIL_SIZE];

static tsr_status write_bytes(tsr_packing *archive, const void *data,
                              size_t size, tsr_error *error) {
  tsr_hasher_update(archive->whole, data, size);
  return tsr_output_write(archive->output, data, size, error);
}

static tsr_status open_archive(tsr_packing *archive, const char *path,
                               tsr_error *error) {
  uint8_t header[HEADER_SIZE] = "TSRWGT01";
  archive->whole = tsr_hasher_create();
  archive->section = tsr_hasher_create();
  if (archive->whole == NULL || archive->section == NULL) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status = tsr_output_create(path, &archive->output, error);
  if (status != TSR_OK) return status;
  return write_bytes(archive, header, sizeof(header), error);
}

tsr_status tsr_packing_create(const char *path, tsr_packing **out_archive,
                              tsr_error *error) {
  *out_archive = NULL;
  tsr_packing *archive = tsr_calloc(1, sizeof(*archive));
  if (archive == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = open_archive(archive, path, error);
  if (status != TSR_OK) {
    tsr_packing_close(archive);
    return status;
  }
  *out_archive = archive;
  return TSR_OK;
}

tsr_status tsr_packing_begin(tsr_packing *archive, size_t alignment,
                             tsr_error *error) {
  uint64_t offset = tsr_output_offset(archive->output);
  size_t gap = (size_t)((alignment - offset % alignment) % alignment);
  archive->section_offset = offset + gap;
  tsr_hasher_reset(archive->section);
  return write_bytes(archive, zeros, gap, error);
}

tsr_status tsr_packing_append(tsr_packing *archive, const void *data,
                              size_t size, tsr_error *error) {
  tsr_hasher_update(archive->section, data, size);
  return write_bytes(archive, data, size, error);
}

void tsr_packing_end(tsr_packing *archive, tsr_section *out_section) {
  uint64_t end = tsr_output_offset(archive->output);
  *out_section = (tsr_section){.offset = archive->section_offset,
                               .size = end - archive->section_offset,
                               .hash = tsr_hasher_digest(archive->section)};
}

tsr_status tsr_packing_section(tsr_packing *archive, size_t alignment,
                               const void *data, size_t size,
                               tsr_section *out_section, tsr_error *error) {
  *out_section = (tsr_section){0};
  tsr_status status = tsr_packing_begin(archive, alignment, error);
  if (status == TSR_OK) {
    status = tsr_packing_append(archive, data, size, error);
  }
  if (status == TSR_OK) tsr_packing_end(archive, out_section);
  return status;
}

tsr_status tsr_packing_finish(tsr_packing *archive, uint64_t *out_size,
                              tsr_hash *out_hash, tsr_error *error) {
  *out_size = 0;
  *out_hash = (tsr_hash){0};
  tsr_status status = tsr_packing_begin(archive, TSR_SECTION_ALIGNMENT, error);
  if (status == TSR_OK) {
    status = write_bytes(archive, zeros, sizeof(zeros), error);
  }
  if (status == TSR_OK) {
    *out_size = tsr_output_offset(archive->output);
    *out_hash = tsr_hasher_digest(archive->whole);
    status = tsr_output_commit(archive->output, error);
    archive->output = NULL;
  }
  tsr_packing_close(archive);
  return status;
}

void tsr_packing_close(tsr_packing *archive) {
  if (archive == NULL) return;
  tsr_output_close(archive->output);
  tsr_hasher_destroy(archive->whole);
  tsr_hasher_destroy(archive->section);
  tsr_free(archive);
}
