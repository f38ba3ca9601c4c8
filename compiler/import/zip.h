// SPDX-License-Identifier: Apache-2.0
// ZIP archives over a map (PKWARE APPNOTE 6.3.10, ISO/IEC 21320-1), as far as
// numpy writes them: one disk, no encryption, stored or deflated, zip64 where
// needed. Everything is checked before use: an archive is untrusted input.
#ifndef COMPILER_IMPORT_ZIP_H_
#define COMPILER_IMPORT_ZIP_H_

#include <stddef.h>

#include "names.h"

typedef struct tsr_zip_entry {
  const char *name;     // NUL-terminated; owned by the archive
  const uint8_t *data;  // compressed bytes, in the map
  uint64_t compressed_size;
  uint64_t size;
  uint64_t begin;  // of the local header
  uint64_t end;    // of the compressed bytes
  uint32_t crc;
  uint16_t method;  // 0 stored, 8 deflate
} tsr_zip_entry;

typedef struct tsr_zip {
  tsr_zip_entry *entries;  // owned; in the order of the central directory
  uint32_t count;
  char *texts;      // owned; the names
  tsr_names names;  // sorted
} tsr_zip;

// Indexes the archive and checks all of it but the compressed bytes: bounds,
// local against central headers, overlaps, duplicate names.
TSR_MUST_USE tsr_status tsr_zip_open(const uint8_t *data, size_t size,
                                     tsr_zip *out_zip, tsr_error *error);
void tsr_zip_close(tsr_zip *zip);

// Reading: messages do not name the entry. Inflates the first |size| bytes; the
// CRC is not checked.
TSR_MUST_USE tsr_status tsr_zip_read_prefix(const tsr_zip_entry *entry,
                                            void *out, size_t size,
                                            tsr_error *error);
// Inflates all entry->size bytes; the stream must end there and the CRC hold.
TSR_MUST_USE tsr_status tsr_zip_read(const tsr_zip_entry *entry, void *out,
                                     tsr_error *error);

#endif  // COMPILER_IMPORT_ZIP_H_
