// SPDX-License-Identifier: Apache-2.0
// Read-only maps, paths, and outputs that are whole or absent: everything is
// written under a temporary name beside its place, synced and renamed. What a
// killed process leaves behind is recognised by its name and by the lock that
// nobody holds any more, and is removed by the next one.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // madvise, renameat2, flock
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { BUFFER_SIZE = 256 * 1024, NAME_KEPT = 200, NAME_TRIES = 64 };

// Stands between the name and the number in every temporary name.
static const char TEMPORARY_MARK[] = ".tessera-tmp-";

// ---- Maps ------------------------------------------------------------------

static tsr_status map_descriptor(int descriptor, const char *path,
                                 tsr_map *out_map, tsr_error *error) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) {
    return tsr_error_set_errno(error, errno, "%s", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT, "%s: not a regular file",
                         path);
  }
  if (info.st_size == 0) return TSR_OK;
  if ((uint64_t)info.st_size > SIZE_MAX) {
    return tsr_error_set(error, TSR_UNSUPPORTED, "%s: too large", path);
  }
  size_t size = (size_t)info.st_size;
  void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) {
    return tsr_error_set_errno(error, errno, "%s", path);
  }
  *out_map = (tsr_map){.data = data, .size = size};
  return TSR_OK;
}

tsr_status tsr_map_open(const char *path, tsr_map *out_map, tsr_error *error) {
  *out_map = (tsr_map){0};
  // Without O_NONBLOCK a FIFO would block here for ever.
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    int native = errno;
    tsr_status status = tsr_error_set_errno(error, native, "%s", path);
    if (native != ENOENT && native != ENOTDIR) return status;
    if (error != NULL && error->status == TSR_IO) error->status = TSR_NOT_FOUND;
    return TSR_NOT_FOUND;
  }
  tsr_status status = map_descriptor(descriptor, path, out_map, error);
  (void)close(descriptor);
  return status;
}

void tsr_map_close(tsr_map *map) {
  if (map == NULL) return;
  if (map->data != NULL) {
    (void)munmap((void *)(uintptr_t)map->data, map->size);
  }
  *map = (tsr_map){0};
}

void tsr_map_drop(const tsr_map *map, size_t offset, size_t size) {
  if (map->data == NULL || offset >= map->size) return;
  if (size > map->size - offset) size = map->size - offset;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  // Only whole pages inside the range: neighbours may still be in use.
  size_t begin = (offset + page - 1) / page * page;
  size_t end = offset + size;
  if (end != map->size) end = end / page * page;
  if (begin >= end) return;
  (void)madvise((void *)(uintptr_t)(map->data + begin), end - begin,
                MADV_DONTNEED);
}

// ---- Paths -----------------------------------------------------------------

char *tsr_path_join(const char *directory, const char *name) {
  if (name[0] == '/' || directory[0] == '\0') return tsr_strdup(name);
  size_t length = strlen(directory);
  bool slash = directory[length - 1] != '/';
  size_t size = length + strlen(name) + 2;
  char *path = tsr_malloc(size);
  if (path != NULL) {
    (void)snprintf(path, size, "%s%s%s", directory, slash ? "/" : "", name);
  }
  return path;
}

const char *tsr_path_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

char *tsr_path_directory(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) return tsr_strdup(".");
  size_t length = slash == path ? 1 : (size_t)(slash - path);
  char *directory = tsr_malloc(length + 1);
  if (directory == NULL) return NULL;
  memcpy(directory, path, length);
  directory[length] = '\0';
  return directory;
}

bool tsr_path_exists(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0;
}

bool tsr_path_is_directory(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool tsr_path_is_empty(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return false;
  if (!S_ISDIR(info.st_mode)) return S_ISREG(info.st_mode) && !info.st_size;
  DIR *directory = opendir(path);
  if (directory == NULL) return false;
  int entries = 0;
  while (entries < 3 && readdir(directory) != NULL) ++entries;
  (void)closedir(directory);
  return entries < 3;  // "." and ".."
}

bool tsr_path_is_contained(const char *name) {
  if (name[0] == '\0') return false;
  for (const char *part = name;; ++part) {
    const char *slash = strchr(part, '/');
    size_t length = slash == NULL ? strlen(part) : (size_t)(slash - part);
    if (length == 0) return false;
    if (length == 1 && part[0] == '.') return false;
    if (length == 2 && part[0] == '.' && part[1] == '.') return false;
    if (slash == NULL) return true;
    part = slash;
  }
}

static tsr_status remove_directory(int parent, const char *name,
                                   tsr_error *error);

static tsr_status remove_at(int parent, const char *name, tsr_error *error) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return TSR_OK;
  if (errno != EISDIR && errno != EPERM) {
    return tsr_error_set_errno(error, errno, "cannot remove %s", name);
  }
  return remove_directory(parent, name, error);
}

static tsr_status remove_entries(DIR *directory, tsr_error *error) {
  tsr_status status = TSR_OK;
  const struct dirent *entry;
  while (status == TSR_OK && (entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    status = remove_at(dirfd(directory), entry->d_name, error);
  }
  return status;
}

static tsr_status remove_directory(int parent, const char *name,
                                   tsr_error *error) {
  // O_NOFOLLOW: a link is removed, never what it points at.
  int descriptor =
      openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) {
    return tsr_error_set_errno(error, errno, "cannot remove %s", name);
  }
  DIR *directory = fdopendir(descriptor);
  if (directory == NULL) {
    int native = errno;
    (void)close(descriptor);
    return tsr_error_set_errno(error, native, "cannot remove %s", name);
  }
  tsr_status status = remove_entries(directory, error);
  (void)closedir(directory);
  if (status == TSR_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0 &&
      errno != ENOENT) {
    status = tsr_error_set_errno(error, errno, "cannot remove %s", name);
  }
  return status;
}

tsr_status tsr_path_remove(const char *path, tsr_error *error) {
  return remove_at(AT_FDCWD, path, error);
}

// Where nothing better can be done about a failure.
static void remove_quietly(int parent, const char *name) {
  tsr_error ignored = {0};
  if (remove_at(parent, name, &ignored) != TSR_OK) return;
}

static tsr_status make_directory(const char *path, tsr_error *error) {
  if (mkdir(path, 0777) == 0) return TSR_OK;
  int native = errno;
  if (native == EEXIST && tsr_path_is_directory(path)) return TSR_OK;
  return tsr_error_set_errno(error, native, "%s", path);
}

tsr_status tsr_path_make_directories(const char *path, tsr_error *error) {
  char *copy = tsr_strdup(path);
  if (copy == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = TSR_OK;
  for (char *slash = copy; status == TSR_OK && slash != NULL;) {
    slash = strchr(slash + (slash[0] != '\0'), '/');
    if (slash != NULL) *slash = '\0';
    if (copy[0] != '\0') status = make_directory(copy, error);
    if (slash != NULL) *slash = '/';
  }
  tsr_free(copy);
  return status;
}

// ---- Temporary names -------------------------------------------------------

// What exists under a temporary name now, so that an interrupted command can
// remove it. The descriptor carries the lock that tells others "in use".
struct temporary {
  struct temporary *next;
  int descriptor;
  char path[];
};

static pthread_mutex_t temporaries_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct temporary *temporaries;

static struct temporary *temporary_find(const char *path) {
  struct temporary *entry = temporaries;
  while (entry != NULL && strcmp(entry->path, path) != 0) entry = entry->next;
  return entry;
}

// Takes |path| off the list and closes its descriptor.
static void temporary_forget(const char *path) {
  (void)pthread_mutex_lock(&temporaries_mutex);
  struct temporary *entry = temporary_find(path);
  struct temporary **link = &temporaries;
  while (*link != NULL && *link != entry) link = &(*link)->next;
  if (entry != NULL) *link = entry->next;
  (void)pthread_mutex_unlock(&temporaries_mutex);
  if (entry != NULL) (void)close(entry->descriptor);
  tsr_free(entry);
}

void tsr_file_remove_temporaries(void) {
  (void)pthread_mutex_lock(&temporaries_mutex);
  for (struct temporary *entry = temporaries; entry != NULL;
       entry = entry->next) {
    remove_quietly(AT_FDCWD, entry->path);
  }
  (void)pthread_mutex_unlock(&temporaries_mutex);
}

// Opens (and makes) the file or folder at |path| under an exclusive lock.
// -1 with errno set; EAGAIN when another process removed it meanwhile.
static int make_locked(const char *path, bool is_directory) {
  if (is_directory && mkdir(path, 0777) != 0) return -1;
  int flags = is_directory ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT | O_EXCL;
  int descriptor = open(path, flags | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    if (is_directory && errno == ENOENT) errno = EAGAIN;
    return -1;
  }
  // A file system without locks gets none: nothing is ever taken for stale
  // there, because taking the lock to check fails as well.
  struct stat info;
  if ((flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
      fstat(descriptor, &info) != 0 || info.st_nlink == 0) {
    (void)close(descriptor);
    errno = EAGAIN;
    return -1;
  }
  return descriptor;
}

static struct temporary *temporary_create(const char *final_path,
                                          bool is_directory, tsr_error *error) {
  static atomic_uint counter;
  const char *name = tsr_path_name(final_path);
  int directory = (int)(name - final_path);
  size_t size = strlen(final_path) + sizeof(TEMPORARY_MARK) + 64;
  struct temporary *entry = tsr_malloc(sizeof(*entry) + size);
  if (entry == NULL) {
    (void)tsr_error_out_of_memory(error);
    return NULL;
  }
  entry->descriptor = -1;
  for (int i = 0; i < NAME_TRIES && entry->descriptor < 0; ++i) {
    (void)snprintf(entry->path, size, "%.*s.%.*s%s%ld-%u", directory,
                   final_path, NAME_KEPT, name, TEMPORARY_MARK, (long)getpid(),
                   atomic_fetch_add(&counter, 1));
    entry->descriptor = make_locked(entry->path, is_directory);
    if (entry->descriptor < 0 && errno != EEXIST && errno != EAGAIN) break;
  }
  if (entry->descriptor < 0) {
    (void)tsr_error_set_errno(error, errno, "cannot write %s", final_path);
    tsr_free(entry);
    return NULL;
  }
  (void)pthread_mutex_lock(&temporaries_mutex);
  entry->next = temporaries;
  temporaries = entry;
  (void)pthread_mutex_unlock(&temporaries_mutex);
  return entry;
}

// Removes |name| when no living process holds its lock.
static void remove_if_stale(int parent, const char *name) {
  int descriptor =
      openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
    remove_quietly(parent, name);
  }
  (void)close(descriptor);
}

void tsr_file_remove_stale(const char *path) {
  char *folder = tsr_path_directory(path);
  DIR *directory = folder == NULL ? NULL : opendir(folder);
  tsr_free(folder);
  if (directory == NULL) return;
  char prefix[NAME_KEPT + sizeof(TEMPORARY_MARK) + 2];
  int length = snprintf(prefix, sizeof(prefix), ".%.*s%s", NAME_KEPT,
                        tsr_path_name(path), TEMPORARY_MARK);
  const struct dirent *entry;
  while (length > 0 && (entry = readdir(directory)) != NULL) {
    if (strncmp(entry->d_name, prefix, (size_t)length) == 0) {
      remove_if_stale(dirfd(directory), entry->d_name);
    }
  }
  (void)closedir(directory);
}

// Best effort: some file systems refuse to sync folders, and by now the new
// name is there.
static void sync_directory_of(const char *path) {
  char *folder = tsr_path_directory(path);
  if (folder == NULL) return;
  int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  tsr_free(folder);
  if (descriptor < 0) return;
  (void)fsync(descriptor);
  (void)close(descriptor);
}

// ---- Output files ----------------------------------------------------------

struct tsr_output {
  char *path;  // owned
  // Owned by the list of temporaries; NULL when |path| is a device or a pipe,
  // which is written in place.
  struct temporary *temporary;
  int descriptor;
  uint64_t offset;   // of the next byte, those in |buffer| included
  uint64_t written;  // given to the system
  uint64_t pushed;   // which the system was asked to begin writing to disk
  size_t used;
  uint8_t buffer[BUFFER_SIZE];
};

static bool is_special(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && !S_ISREG(info.st_mode) &&
         !S_ISDIR(info.st_mode);
}

static tsr_status output_open(tsr_output *output, tsr_error *error) {
  if (output->path == NULL) return tsr_error_out_of_memory(error);
  if (is_special(output->path)) {
    output->descriptor = open(output->path, O_WRONLY | O_CLOEXEC);
    if (output->descriptor >= 0) return TSR_OK;
    return tsr_error_set_errno(error, errno, "cannot write %s", output->path);
  }
  if (tsr_path_is_directory(output->path)) {
    return tsr_error_set_errno(error, EISDIR, "cannot write %s", output->path);
  }
  tsr_error local = {0};
  output->temporary = temporary_create(output->path, false, &local);
  if (output->temporary != NULL) {
    output->descriptor = output->temporary->descriptor;
    return TSR_OK;
  }
  if (error != NULL && error->status == TSR_OK) *error = local;
  return local.status;
}

tsr_status tsr_output_create(const char *path, tsr_output **out_output,
                             tsr_error *error) {
  *out_output = NULL;
  tsr_output *output = tsr_calloc(1, sizeof(*output));
  if (output == NULL) return tsr_error_out_of_memory(error);
  output->descriptor = -1;
  // Through a link, so that the link stays.
  char *target = realpath(path, NULL);
  output->path = tsr_strdup(target == NULL || is_special(path) ? path : target);
  free(target);
  tsr_status status = output_open(output, error);
  if (status != TSR_OK) {
    tsr_output_close(output);
    return status;
  }
  *out_output = output;
  return TSR_OK;
}

// Lets the disk begin while there is still work to do, so that the sync at the
// end of a large file does not have all of it before it. A hint: failure is
// fine.
static void push(tsr_output *output) {
  const uint64_t step = (uint64_t)64 << 20;
  uint64_t waiting = output->written - output->pushed;
  if (waiting < step || output->temporary == NULL) return;
  (void)sync_file_range(output->descriptor, (off_t)output->pushed,
                        (off_t)waiting, SYNC_FILE_RANGE_WRITE);
  output->pushed = output->written;
}

static tsr_status write_all(tsr_output *output, const uint8_t *data,
                            size_t size, tsr_error *error) {
  while (size != 0) {
    ssize_t written = write(output->descriptor, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return tsr_error_set_errno(error, errno, "cannot write %s", output->path);
    }
    data += written;
    size -= (size_t)written;
    output->written += (uint64_t)written;
  }
  push(output);
  return TSR_OK;
}

static tsr_status output_flush(tsr_output *output, tsr_error *error) {
  size_t used = output->used;
  output->used = 0;
  return write_all(output, output->buffer, used, error);
}

tsr_status tsr_output_write(tsr_output *output, const void *data, size_t size,
                            tsr_error *error) {
  if (size == 0) return TSR_OK;
  output->offset += size;
  if (size > BUFFER_SIZE - output->used) {
    tsr_status status = output_flush(output, error);
    if (status != TSR_OK) return status;
    if (size >= BUFFER_SIZE) return write_all(output, data, size, error);
  }
  memcpy(output->buffer + output->used, data, size);
  output->used += size;
  return TSR_OK;
}

tsr_status tsr_output_align(tsr_output *output, size_t alignment,
                            tsr_error *error) {
  static const uint8_t zeros[4096];
  size_t left = (size_t)((alignment - output->offset % alignment) % alignment);
  while (left != 0) {
    size_t size = left < sizeof(zeros) ? left : sizeof(zeros);
    tsr_status status = tsr_output_write(output, zeros, size, error);
    if (status != TSR_OK) return status;
    left -= size;
  }
  return TSR_OK;
}

uint64_t tsr_output_offset(const tsr_output *output) {
  return output->offset;
}

// Who may read a file does not change when it is written anew.
static void keep_mode(const tsr_output *output) {
  struct stat info;
  if (output->temporary != NULL && stat(output->path, &info) == 0) {
    (void)fchmod(output->descriptor, info.st_mode & 0777);
  }
}

static tsr_status commit(tsr_output *output, bool sync, tsr_error *error) {
  tsr_status status = output_flush(output, error);
  keep_mode(output);
  if (status == TSR_OK && output->temporary != NULL) {
    // The name must not appear before the bytes are safe.
    if ((sync && fsync(output->descriptor) != 0) ||
        rename(output->temporary->path, output->path) != 0) {
      status =
          tsr_error_set_errno(error, errno, "cannot write %s", output->path);
    } else {
      temporary_forget(output->temporary->path);
      output->temporary = NULL;
      output->descriptor = -1;
      if (sync) sync_directory_of(output->path);
    }
  }
  tsr_output_close(output);
  return status;
}

tsr_status tsr_output_commit(tsr_output *output, tsr_error *error) {
  return commit(output, true, error);
}

tsr_status tsr_output_commit_unsynced(tsr_output *output, tsr_error *error) {
  return commit(output, false, error);
}

void tsr_output_close(tsr_output *output) {
  if (output == NULL) return;
  if (output->temporary != NULL) {
    (void)unlink(output->temporary->path);
    temporary_forget(output->temporary->path);
  } else if (output->descriptor >= 0) {
    (void)close(output->descriptor);
  }
  tsr_free(output->path);
  tsr_free(output);
}

tsr_status tsr_file_write(const char *path, const void *data, size_t size,
                          tsr_error *error) {
  tsr_output *output;
  tsr_status status = tsr_output_create(path, &output, error);
  if (status != TSR_OK) return status;
  status = tsr_output_write(output, data, size, error);
  if (status == TSR_OK) return tsr_output_commit(output, error);
  tsr_output_close(output);
  return status;
}

// ---- Staging folders -------------------------------------------------------

// Through a link, so that the link stays; without slashes at the end.
static char *staging_target(const char *path) {
  char *target = realpath(path, NULL);
  char *copy = tsr_strdup(target == NULL ? path : target);
  free(target);
  size_t length = copy == NULL ? 0 : strlen(copy);
  while (length > 1 && copy[length - 1] == '/') copy[--length] = '\0';
  return copy;
}

tsr_status tsr_staging_begin(const char *path, tsr_staging *out_staging,
                             tsr_error *error) {
  *out_staging = (tsr_staging){0};
  char *final_path = staging_target(path);
  if (final_path == NULL) return tsr_error_out_of_memory(error);
  tsr_file_remove_stale(final_path);
  tsr_error local = {0};
  struct temporary *entry = temporary_create(final_path, true, &local);
  char *temporary_path = entry == NULL ? NULL : tsr_strdup(entry->path);
  if (temporary_path != NULL) {
    *out_staging = (tsr_staging){final_path, temporary_path};
    return TSR_OK;
  }
  if (entry != NULL) {
    (void)rmdir(entry->path);
    temporary_forget(entry->path);
    (void)tsr_error_out_of_memory(&local);
  }
  tsr_free(final_path);
  if (error != NULL && error->status == TSR_OK) *error = local;
  return local.status;
}

static void staging_fini(tsr_staging *staging) {
  if (staging->temporary_path != NULL) {
    temporary_forget(staging->temporary_path);
  }
  tsr_free(staging->temporary_path);
  tsr_free(staging->final_path);
  *staging = (tsr_staging){0};
}

// Where two names cannot be exchanged in one step: the old one steps aside.
static int replace_in_two_steps(const char *temporary, const char *final_path) {
  char aside[PATH_MAX];
  int length = snprintf(aside, sizeof(aside), "%s-old", temporary);
  if (length < 0 || (size_t)length >= sizeof(aside)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if (rename(final_path, aside) != 0) return -1;
  if (rename(temporary, final_path) != 0) {
    int native = errno;
    (void)rename(aside, final_path);
    errno = native;
    return -1;
  }
  remove_quietly(AT_FDCWD, aside);
  return 0;
}

static int replace(const char *temporary, const char *final_path) {
  if (!tsr_path_exists(final_path)) return rename(temporary, final_path);
  if (renameat2(AT_FDCWD, temporary, AT_FDCWD, final_path, RENAME_EXCHANGE) ==
      0) {
    // What stood there has the temporary name now.
    remove_quietly(AT_FDCWD, temporary);
    return 0;
  }
  if (errno != ENOSYS && errno != EINVAL) return -1;
  return replace_in_two_steps(temporary, final_path);
}

tsr_status tsr_staging_commit(tsr_staging *staging, tsr_error *error) {
  struct temporary *entry = NULL;
  (void)pthread_mutex_lock(&temporaries_mutex);
  entry = temporary_find(staging->temporary_path);
  (void)pthread_mutex_unlock(&temporaries_mutex);
  if (entry != NULL) (void)fsync(entry->descriptor);
  if (replace(staging->temporary_path, staging->final_path) != 0) {
    tsr_status status = tsr_error_set_errno(error, errno, "cannot write %s",
                                            staging->final_path);
    tsr_staging_discard(staging);
    return status;
  }
  sync_directory_of(staging->final_path);
  staging_fini(staging);
  return TSR_OK;
}

void tsr_staging_discard(tsr_staging *staging) {
  if (staging == NULL) return;
  if (staging->temporary_path != NULL) {
    remove_quietly(AT_FDCWD, staging->temporary_path);
  }
  staging_fini(staging);
}
