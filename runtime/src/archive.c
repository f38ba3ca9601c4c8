// SPDX-License-Identifier: Apache-2.0
// Folders through openat, one component at a time; single files through their
// table of members, which is checked whole before any of it is used.
#include "archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "fail.h"

enum {
  HEADER_SIZE = 16,  // magic, version, member count
  ENTRY_SIZE = 24,   // path size, reserved, offset, size
  PATH_LIMIT = 1024,
  MEMBER_ALIGNMENT = 4096,
};

static uint64_t read_number(const uint8_t *from, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i != 0; --i) value = value << 8 | from[i - 1];
  return value;
}

static tessera_status map_file(int descriptor, const char *what,
                               const uint8_t **out_data, uint64_t *out_size,
                               tessera_error *error) {
  struct stat info;
  *out_data = NULL;
  *out_size = 0;
  if (fstat(descriptor, &info) != 0) {
    return tsr_fail_errno(error, TESSERA_IO, errno, "%s", what);
  }
  if (!S_ISREG(info.st_mode)) {
    return tsr_fail(error, TESSERA_CORRUPT, "%s: not a regular file", what);
  }
  if ((uint64_t)info.st_size > SIZE_MAX) {
    return tsr_fail(error, TESSERA_UNSUPPORTED, "%s: too large to map", what);
  }
  if (info.st_size == 0) return TESSERA_OK;
  size_t size = (size_t)info.st_size;
  void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) {
    return tsr_fail_errno(error, TESSERA_IO, errno, "%s: cannot map", what);
  }
  *out_data = data;
  *out_size = size;
  return TESSERA_OK;
}

// ---- Single file ------------------------------------------------------------

typedef struct table {
  const uint8_t *data;
  uint64_t size;
  uint64_t at;        // next entry
  uint64_t data_end;  // of the members so far
  uint32_t count;
} table;

static tessera_status read_header(table *t, tessera_error *error) {
  if (t->size < HEADER_SIZE || memcmp(t->data, "TSRBUNDL", 8) != 0) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "not a bundle: it does not start with TSRBUNDL");
  }
  uint64_t version = read_number(t->data + 8, 4);
  if (version != 1) {
    return tsr_fail(error, TESSERA_UNSUPPORTED,
                    "container version %u: this library reads version 1",
                    (unsigned)version);
  }
  t->count = (uint32_t)read_number(t->data + 12, 4);
  t->at = HEADER_SIZE;
  if (t->count > (t->size - HEADER_SIZE) / ENTRY_SIZE) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "container: %u members do not fit in the file", t->count);
  }
  return TESSERA_OK;
}

static tessera_status read_path(tsr_archive *archive, table *t, uint32_t index,
                                uint64_t path_size, const char **out_path,
                                tessera_error *error) {
  uint64_t padded = (path_size + 7) / 8 * 8;
  if (path_size == 0 || path_size > PATH_LIMIT || padded > t->size - t->at) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "container: member %u: path of %llu bytes", index,
                    (unsigned long long)path_size);
  }
  const uint8_t *text = t->data + t->at;
  char *path =
      tsr_arena_strndup(&archive->arena, (const char *)text, (size_t)path_size);
  if (path == NULL) return tsr_fail_out_of_memory(error);
  if (strlen(path) != path_size || !tsr_path_is_contained(path)) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "container: member %u: path '%.200s' leaves the bundle",
                    index, path);
  }
  for (uint64_t i = path_size; i < padded; ++i) {
    if (text[i] == 0) continue;
    return tsr_fail(error, TESSERA_CORRUPT,
                    "container: member '%s': padding is not zero", path);
  }
  t->at += padded;
  *out_path = path;
  return TESSERA_OK;
}

static tessera_status check_place(const table *t, const char *path,
                                  uint64_t offset, uint64_t size,
                                  tessera_error *error) {
  const char *what = NULL;
  if (offset % MEMBER_ALIGNMENT != 0) {
    what = "does not start at a multiple of 4096";
  } else if (offset > t->size || size > t->size - offset) {
    what = "ends after the file";
  } else if (offset < t->data_end) {
    what = "overlaps the member before it";
  }
  return what == NULL ? TESSERA_OK
                      : tsr_fail(error, TESSERA_CORRUPT,
                                 "container: member '%s' %s", path, what);
}

static tessera_status read_entry(tsr_archive *archive, table *t, uint32_t index,
                                 tsr_member **out_member,
                                 tessera_error *error) {
  if (t->size - t->at < ENTRY_SIZE) {
    return tsr_fail(error, TESSERA_CORRUPT, "container: member %u: truncated",
                    index);
  }
  const uint8_t *entry = t->data + t->at;
  uint64_t path_size = read_number(entry, 4);
  uint64_t offset = read_number(entry + 8, 8);
  uint64_t size = read_number(entry + 16, 8);
  const char *path = NULL;
  t->at += ENTRY_SIZE;
  tessera_status status = read_path(archive, t, index, path_size, &path, error);
  if (status == TESSERA_OK && read_number(entry + 4, 4) != 0) {
    status = tsr_fail(error, TESSERA_CORRUPT,
                      "container: member '%s': reserved is not zero", path);
  }
  if (status == TESSERA_OK) status = check_place(t, path, offset, size, error);
  if (status != TESSERA_OK) return status;
  t->data_end = offset + size;
  tsr_member *member = tsr_arena_alloc(&archive->arena, sizeof(*member));
  if (member == NULL) return tsr_fail_out_of_memory(error);
  *member = (tsr_member){.path = path,
                         .data = size == 0 ? NULL : t->data + offset,
                         .size = size,
                         .descriptor = -1};
  *out_member = member;
  return TESSERA_OK;
}

static int compare_paths(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tessera_status check_unique(const tsr_archive *archive, uint32_t count,
                                   tessera_error *error) {
  const char **paths = tsr_calloc(count, sizeof(*paths));
  if (paths == NULL) return tsr_fail_out_of_memory(error);
  uint32_t used = 0;
  for (const tsr_member *m = archive->members; m != NULL; m = m->next) {
    paths[used++] = m->path;
  }
  qsort(paths, used, sizeof(*paths), compare_paths);
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 1; i < used && status == TESSERA_OK; ++i) {
    if (strcmp(paths[i - 1], paths[i]) != 0) continue;
    status = tsr_fail(error, TESSERA_CORRUPT,
                      "container: member '%s' occurs twice", paths[i]);
  }
  tsr_free(paths);
  return status;
}

static tessera_status open_single(tsr_archive *archive, int descriptor,
                                  tessera_error *error) {
  table t = {0};
  tessera_status status =
      map_file(descriptor, "container", &t.data, &t.size, error);
  archive->file = (tsr_map){.data = t.data, .size = (size_t)t.size};
  if (status == TESSERA_OK) status = read_header(&t, error);
  // The members start after the table, whose end is known only at its end:
  // each is compared with its predecessor now, the first with the end below.
  tsr_member **link = &archive->members;
  for (uint32_t i = 0; i < t.count && status == TESSERA_OK; ++i) {
    status = read_entry(archive, &t, i, link, error);
    if (status == TESSERA_OK) link = &(*link)->next;
  }
  const tsr_member *first = archive->members;
  if (status == TESSERA_OK &&
      (first == NULL || strcmp(first->path, "manifest.json") != 0)) {
    status = tsr_fail(error, TESSERA_CORRUPT,
                      "container: manifest.json is not the first member");
  }
  if (status == TESSERA_OK && first->data != NULL &&
      (uint64_t)(first->data - t.data) < t.at) {
    status = tsr_fail(error, TESSERA_CORRUPT,
                      "container: member 'manifest.json' overlaps the table");
  }
  if (status == TESSERA_OK) status = check_unique(archive, t.count, error);
  return status;
}

// ---- Folder -----------------------------------------------------------------

// Opens |path| below |folder| without following a symbolic link anywhere.
static int open_below(int folder, const char *path) {
  char part[PATH_LIMIT + 1];
  int at = folder;
  for (;;) {
    const char *slash = strchr(path, '/');
    bool is_last = slash == NULL;
    size_t size = is_last ? strlen(path) : (size_t)(slash - path);
    memcpy(part, path, size);
    part[size] = '\0';
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int next = openat(at, part, flags | (is_last ? 0 : O_DIRECTORY));
    int native = errno;
    if (at != folder) (void)close(at);
    errno = native;
    if (next < 0 || is_last) return next;
    at = next;
    path = slash + 1;
  }
}

static tessera_status describe_open_failure(const char *path, int native,
                                            tessera_error *error) {
  if (native == ENOENT || native == ENOTDIR) {
    return tsr_fail(error, TESSERA_CORRUPT, "member '%s' is missing", path);
  }
  if (native == ELOOP) {
    return tsr_fail(error, TESSERA_CORRUPT, "member '%s' is a symbolic link",
                    path);
  }
  return tsr_fail_errno(error, TESSERA_IO, native, "member '%s'", path);
}

static tessera_status open_member(tsr_archive *archive, const char *path,
                                  tsr_member **out_member,
                                  tessera_error *error) {
  tsr_member *member = tsr_arena_alloc(&archive->arena, sizeof(*member));
  char *copy = tsr_arena_strndup(&archive->arena, path, strlen(path));
  if (member == NULL || copy == NULL) return tsr_fail_out_of_memory(error);
  member->path = copy;
  member->descriptor = open_below(archive->folder, path);
  if (member->descriptor < 0) {
    return describe_open_failure(path, errno, error);
  }
  member->next = archive->members;
  archive->members = member;
  char what[PATH_LIMIT + 16];
  (void)snprintf(what, sizeof(what), "member '%s'", path);
  *out_member = member;
  return map_file(member->descriptor, what, &member->data, &member->size,
                  error);
}

// ---- Both -------------------------------------------------------------------

tessera_status tsr_archive_member(tsr_archive *archive, const char *path,
                                  tsr_member **out_member,
                                  tessera_error *error) {
  *out_member = NULL;
  if (strlen(path) > PATH_LIMIT || !tsr_path_is_contained(path)) {
    return tsr_fail(error, TESSERA_CORRUPT, "path '%.200s' leaves the bundle",
                    path);
  }
  for (tsr_member *m = archive->members; m != NULL; m = m->next) {
    if (strcmp(m->path, path) != 0) continue;
    *out_member = m;
    return TESSERA_OK;
  }
  if (archive->folder >= 0) {
    return open_member(archive, path, out_member, error);
  }
  return tsr_fail(error, TESSERA_CORRUPT, "member '%s' is missing", path);
}

tessera_status tsr_archive_open(const char *path, tsr_archive *out_archive,
                                tessera_error *error) {
  *out_archive = (tsr_archive){.folder = -1};
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    int native = errno;
    bool is_absent = native == ENOENT || native == ENOTDIR;
    return tsr_fail_errno(error, is_absent ? TESSERA_NOT_FOUND : TESSERA_IO,
                          native, "cannot open it");
  }
  struct stat info;
  if (fstat(descriptor, &info) == 0 && S_ISDIR(info.st_mode)) {
    out_archive->folder = descriptor;
    return TESSERA_OK;
  }
  tessera_status status = open_single(out_archive, descriptor, error);
  (void)close(descriptor);
  if (status != TESSERA_OK) tsr_archive_close(out_archive);
  return status;
}

void tsr_archive_close(tsr_archive *archive) {
  for (tsr_member *m = archive->members; m != NULL; m = m->next) {
    if (m->descriptor < 0) continue;  // a part of the single file
    tsr_map map = {.data = m->data, .size = (size_t)m->size};
    tsr_map_close(&map);
    (void)close(m->descriptor);
  }
  tsr_map_close(&archive->file);
  if (archive->folder >= 0) (void)close(archive->folder);
  tsr_arena_fini(&archive->arena);
  *archive = (tsr_archive){.folder = -1};
}
