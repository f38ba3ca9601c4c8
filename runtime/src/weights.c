// SPDX-License-Identifier: Apache-2.0
// weights.bin as a whole: header, tail, sections that do not overlap, and the
// checksums. Each byte is read once: while a block is in the cache it goes into
// the checksum of the file and into that of its section.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bundle.h"
#include "fail.h"

enum { BLOCK = 128 * 1024 };

static int compare_sections(const void *a, const void *b) {
  const tsr_section *first = a;
  const tsr_section *second = b;
  if (first->offset != second->offset) {
    return first->offset < second->offset ? -1 : 1;
  }
  return (first->size > second->size) - (first->size < second->size);
}

static tessera_status check_disjoint(const tessera_bundle *bundle,
                                     tessera_error *error) {
  for (uint32_t i = 1; i < bundle->section_count; ++i) {
    const tsr_section *before = &bundle->sections[i - 1];
    const tsr_section *here = &bundle->sections[i];
    if (here->offset - before->offset >= before->size) continue;
    return tsr_fail(error, TESSERA_CORRUPT,
                    "layer '%.100s': %s: overlaps %s of layer '%.100s'",
                    here->layer->info.name, here->name, before->name,
                    before->layer->info.name);
  }
  return TESSERA_OK;
}

static bool is_zero(const uint8_t *data, uint64_t size) {
  uint8_t any = 0;
  for (uint64_t i = 0; i < size; ++i) any |= data[i];
  return any == 0;
}

static tessera_status check_ends(const tsr_member *weights,
                                 tessera_error *error) {
  const uint8_t *data = weights->data;
  if (memcmp(data, "TSRWGT01", 8) != 0) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "weights.bin: does not start with TSRWGT01");
  }
  if (!is_zero(data + 8, TSR_WEIGHTS_HEADER - 8)) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "weights.bin: bytes 8 to 63 are not zero");
  }
  if (!is_zero(data + weights->size - TSR_WEIGHTS_TAIL, TSR_WEIGHTS_TAIL)) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "weights.bin: the last 4096 bytes are not zero");
  }
  return TESSERA_OK;
}

static void hash_range(const uint8_t *data, uint64_t size, tsr_hasher *file,
                       tsr_hasher *section) {
  for (uint64_t at = 0; at < size; at += BLOCK) {
    size_t here = (size_t)(size - at < BLOCK ? size - at : BLOCK);
    tsr_hasher_update(file, data + at, here);
    if (section != NULL) tsr_hasher_update(section, data + at, here);
  }
}

static tessera_status check_hashes(const tessera_bundle *bundle,
                                   tsr_hasher *file, tsr_hasher *section,
                                   tessera_error *error) {
  const tsr_member *weights = bundle->weights;
  uint64_t at = 0;
  for (uint32_t i = 0; i < bundle->section_count; ++i) {
    const tsr_section *here = &bundle->sections[i];
    hash_range(weights->data + at, here->offset - at, file, NULL);
    tsr_hasher_reset(section);
    hash_range(weights->data + here->offset, here->size, file, section);
    at = here->offset + here->size;
    if (tsr_hash_equal(tsr_hasher_digest(section), here->hash)) continue;
    return tsr_fail(error, TESSERA_CORRUPT,
                    "layer '%.160s': %s.hash: the section is damaged",
                    here->layer->info.name, here->name);
  }
  hash_range(weights->data + at, weights->size - at, file, NULL);
  if (tsr_hash_equal(tsr_hasher_digest(file), bundle->weights_hash)) {
    return TESSERA_OK;
  }
  return tsr_fail(error, TESSERA_CORRUPT, "files: 'weights.bin' is damaged");
}

tessera_status tsr_weights_check(tessera_bundle *bundle, tessera_error *error) {
  if (bundle->section_count != 0) {
    qsort(bundle->sections, bundle->section_count, sizeof(*bundle->sections),
          compare_sections);
  }
  tessera_status status = check_disjoint(bundle, error);
  if (status == TESSERA_OK) status = check_ends(bundle->weights, error);
  if (status != TESSERA_OK || !bundle->verify_checksums) return status;
  tsr_hasher *file = tsr_hasher_create();
  tsr_hasher *section = tsr_hasher_create();
  status = file == NULL || section == NULL
               ? tsr_fail_out_of_memory(error)
               : check_hashes(bundle, file, section, error);
  tsr_hasher_destroy(section);
  tsr_hasher_destroy(file);
  return status;
}
