// SPDX-License-Identifier: Apache-2.0
// The registry of sources, as the front end itself sees it. Texts live in the
// compilation's arena and neither move nor change, so slices of them stay
// valid.
#ifndef FRONTEND_SOURCE_LIST_H_
#define FRONTEND_SOURCE_LIST_H_

#include <stddef.h>

#include "frontend/source.h"

enum {
  // Flex counts in int, spans in uint32_t; nobody writes 64 MiB by hand.
  TSR_SOURCE_SIZE_MAX = 64 * 1024 * 1024,
  TSR_SOURCE_COUNT_MAX = 1000,
};

typedef struct tsr_source {
  const char *path;       // as printed
  const char *directory;  // where relative paths of this source start
  const char *prefix;     // |directory| as seen from the root's; "" for it
  char *text;
  uint32_t size;
  uint32_t bom_size;  // bytes of a leading byte order mark
  uint32_t parent;    // who includes it; UINT32_MAX for the root
  tsr_span included;  // the path in the include; TSR_SPAN_NONE for the root
  uint64_t device;    // identity of the file, to find cycles; 0, 0: none
  uint64_t inode;
  uint32_t *line_starts;  // offset of each line's first byte
  uint32_t line_count;
} tsr_source;

struct tsr_sources {
  tsr_arena *arena;
  tsr_source *items[TSR_SOURCE_COUNT_MAX];
  uint32_t count;
};

// What became of reading a file.
typedef struct tsr_source_data {
  char *text;  // in the arena
  size_t size;
  uint64_t device;
  uint64_t inode;
} tsr_source_data;

// Reads the root plan at |path| ("-": standard input; pipes are welcome).
// TSR_UNSUPPORTED: over the size limit.
TSR_MUST_USE tsr_status tsr_source_read(tsr_arena *arena, const char *path,
                                        tsr_source_data *out_data,
                                        tsr_error *error);
// As above for a regular file only: what a plan names must not make us wait.
TSR_MUST_USE tsr_status tsr_source_read_file(tsr_arena *arena, const char *path,
                                             tsr_source_data *out_data,
                                             tsr_error *error);

// Adds a source; fills the line map. NULL when out of memory or at the limit.
tsr_source *tsr_sources_add(tsr_sources *sources, const char *path,
                            const tsr_source_data *data, uint32_t *out_index);

const tsr_source *tsr_sources_get(const tsr_sources *sources, uint32_t source);

// The bytes [*out_begin, *out_end) of the line that holds |offset|, without
// its end.
void tsr_source_line(const tsr_source *source, uint32_t offset,
                     uint32_t *out_begin, uint32_t *out_end);

#endif  // FRONTEND_SOURCE_LIST_H_
