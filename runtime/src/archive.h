// SPDX-License-Identifier: Apache-2.0
// The members of a bundle, whether it is a folder or a single file
// (docs/bundle.md): each mapped read-only, none outside the bundle. In a folder
// no symbolic link is followed, and every member is reached from the folder
// that was opened, so a bundle replaced meanwhile is not mixed with its
// successor. Thread-compatible.
#ifndef RUNTIME_ARCHIVE_H_
#define RUNTIME_ARCHIVE_H_

#include <stdint.h>

#include "base/arena.h"
#include "base/file.h"
#include "tessera/tessera.h"

typedef struct tsr_member {
  const char *path;
  const uint8_t *data;  // NULL when empty
  uint64_t size;
  int descriptor;   // of a folder's member, owned; -1 in a single file
  bool is_claimed;  // the manifest mentions it
  struct tsr_member *next;
} tsr_member;

typedef struct tsr_archive {
  tsr_arena arena;
  tsr_map file;         // single file
  int folder;           // descriptor, or -1
  tsr_member *members;  // folder: those opened so far; else all
} tsr_archive;

// A failed or closed archive may be closed again.
TESSERA_MUST_USE tessera_status tsr_archive_open(const char *path,
                                                 tsr_archive *out_archive,
                                                 tessera_error *error);
void tsr_archive_close(tsr_archive *archive);

// The member |path|, which is checked to stay inside. Owned by the archive.
TESSERA_MUST_USE tessera_status tsr_archive_member(tsr_archive *archive,
                                                   const char *path,
                                                   tsr_member **out_member,
                                                   tessera_error *error);

#endif  // RUNTIME_ARCHIVE_H_
