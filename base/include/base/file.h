// SPDX-License-Identifier: Apache-2.0
// Files: read-only maps, and outputs that are whole or absent.
#ifndef BASE_FILE_H_
#define BASE_FILE_H_

#include <stddef.h>

#include "base/status.h"

// A file mapped read-only. A zeroed map is valid and empty.
typedef struct tsr_map {
  const uint8_t *data;  // NULL for an empty file
  size_t size;
} tsr_map;

// Maps |path|. The file must be regular. On failure |*out_map| is empty and the
// message names the path.
TSR_MUST_USE tsr_status tsr_map_open(const char *path, tsr_map *out_map,
                                     tsr_error *error);
void tsr_map_close(tsr_map *map);
// Tells the system that [offset, offset + size) will not be read again soon, so
// that streaming through a large file keeps resident memory small.
void tsr_map_drop(const tsr_map *map, size_t offset, size_t size);

// A file written under a temporary name beside |path| and renamed by commit; a
// link is followed, a device or a pipe is written in place. Thread-compatible.
// close without commit removes the temporary file; so does
// tsr_file_remove_temporaries, which a signal handler's owner calls on exit.
typedef struct tsr_output tsr_output;

TSR_MUST_USE tsr_status tsr_output_create(const char *path,
                                          tsr_output **out_output,
                                          tsr_error *error);
TSR_MUST_USE tsr_status tsr_output_write(tsr_output *output, const void *data,
                                         size_t size, tsr_error *error);
// Writes zeros until the offset is a multiple of |alignment|.
TSR_MUST_USE tsr_status tsr_output_align(tsr_output *output, size_t alignment,
                                         tsr_error *error);
uint64_t tsr_output_offset(const tsr_output *output);
// Flushes, syncs and renames. The output is closed whatever happens.
TSR_MUST_USE tsr_status tsr_output_commit(tsr_output *output, tsr_error *error);
// As above without waiting for the disk: for files that carry their own check
// and can be made again.
TSR_MUST_USE tsr_status tsr_output_commit_unsynced(tsr_output *output,
                                                   tsr_error *error);
// Discards what was not committed. NULL is ignored.
void tsr_output_close(tsr_output *output);

// Removes what this process has under temporary names now: for a command that
// is about to end because it was interrupted. Not async-signal-safe.
void tsr_file_remove_temporaries(void);
// Removes temporary files and folders that killed processes left beside
// |path| while they wrote it. Those of living processes stay.
void tsr_file_remove_stale(const char *path);

// create + write + commit.
TSR_MUST_USE tsr_status tsr_file_write(const char *path, const void *data,
                                       size_t size, tsr_error *error);

// A folder built under a temporary name beside |path|. commit replaces |path|
// in one step (renameat2 RENAME_EXCHANGE where the system has it) and removes
// what stood there, whatever it was; a link is followed. begin removes what
// killed processes left. Both commit (also when it fails) and discard leave the
// staging empty.
typedef struct tsr_staging {
  char *final_path;      // owned
  char *temporary_path;  // owned; write into this folder
} tsr_staging;

TSR_MUST_USE tsr_status tsr_staging_begin(const char *path,
                                          tsr_staging *out_staging,
                                          tsr_error *error);
TSR_MUST_USE tsr_status tsr_staging_commit(tsr_staging *staging,
                                           tsr_error *error);
void tsr_staging_discard(tsr_staging *staging);

// Joins |directory| and |name| ('/' between; an absolute |name| wins). Owned by
// the caller; NULL when out of memory.
char *tsr_path_join(const char *directory, const char *name);
// The part before the last '/', "." when there is none. Owned by the caller.
char *tsr_path_directory(const char *path);
// The part after the last '/'. Borrowed from |path|.
const char *tsr_path_name(const char *path);
bool tsr_path_exists(const char *path);
bool tsr_path_is_directory(const char *path);
// A folder without entries, or a file without bytes.
bool tsr_path_is_empty(const char *path);
// True when |name| is a relative path that stays below its root: no leading
// '/', no ".", no "..", no empty component. Use it on names from files.
bool tsr_path_is_contained(const char *name);
// Removes a file or a folder with all it holds. A missing one is no error.
TSR_MUST_USE tsr_status tsr_path_remove(const char *path, tsr_error *error);
// Creates |path| and the folders above it.
TSR_MUST_USE tsr_status tsr_path_make_directories(const char *path,
                                                  tsr_error *error);

#endif  // BASE_FILE_H_
