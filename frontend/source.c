// SPDX-License-Identifier: Apache-2.0
#include "frontend/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "frontend/frontend.h"
#include "frontend/source_list.h"

static tsr_status read_all(int file, const char *path, tsr_buffer *buffer,
                           tsr_error *error) {
  char block[16384];
  for (;;) {
    ssize_t got = read(file, block, sizeof(block));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tsr_error_set_errno(error, errno, "%s", path);
    if (got == 0) return tsr_buffer_status(buffer, error);
    tsr_buffer_append(buffer, block, (size_t)got);
    if (buffer->size > TSR_SOURCE_SIZE_MAX) {
      return tsr_error_set(error, TSR_UNSUPPORTED, "%s: a plan may have 64 MiB",
                           path);
    }
  }
}

static tsr_status read_open(tsr_arena *arena, int file, const char *path,
                            tsr_source_data *out_data, tsr_error *error) {
  struct stat info;
  if (fstat(file, &info) != 0) {
    return tsr_error_set_errno(error, errno, "%s", path);
  }
  if (S_ISDIR(info.st_mode)) {
    return tsr_error_set_errno(error, EISDIR, "%s", path);
  }
  if (S_ISREG(info.st_mode) && info.st_size > TSR_SOURCE_SIZE_MAX) {
    return tsr_error_set(error, TSR_UNSUPPORTED, "%s: a plan may have 64 MiB",
                         path);
  }
  tsr_buffer buffer;
  tsr_buffer_init(&buffer);
  tsr_status status = read_all(file, path, &buffer, error);
  if (status == TSR_OK) {
    out_data->text =
        tsr_arena_strndup(arena, tsr_buffer_text(&buffer), buffer.size);
    if (out_data->text == NULL) status = tsr_error_out_of_memory(error);
  }
  if (status == TSR_OK) {
    out_data->size = buffer.size;
    out_data->device = (uint64_t)info.st_dev;
    out_data->inode = S_ISREG(info.st_mode) ? (uint64_t)info.st_ino : 0;
  }
  tsr_buffer_fini(&buffer);
  return status;
}

static tsr_status read_path(tsr_arena *arena, const char *path, int flags,
                            tsr_source_data *out_data, tsr_error *error) {
  memset(out_data, 0, sizeof(*out_data));
  int file = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (file < 0) {
    int native = errno;
    tsr_status status = tsr_error_set_errno(error, native, "%s", path);
    if (error != NULL && native == ENOENT) error->status = TSR_NOT_FOUND;
    return native == ENOENT ? TSR_NOT_FOUND : status;
  }
  struct stat info;
  tsr_status status = TSR_OK;
  if ((flags & O_NONBLOCK) != 0 && fstat(file, &info) == 0 &&
      !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    status = tsr_error_set(error, TSR_IO, "%s: not a regular file", path);
  }
  if (status == TSR_OK) {
    status = read_open(arena, file, path, out_data, error);
  }
  (void)close(file);
  return status;
}

tsr_status tsr_source_read(tsr_arena *arena, const char *path,
                           tsr_source_data *out_data, tsr_error *error) {
  if (strcmp(path, "-") != 0) {
    return read_path(arena, path, 0, out_data, error);
  }
  memset(out_data, 0, sizeof(*out_data));
  return read_open(arena, STDIN_FILENO, "standard input", out_data, error);
}

tsr_status tsr_source_read_file(tsr_arena *arena, const char *path,
                                tsr_source_data *out_data, tsr_error *error) {
  // O_NONBLOCK: opening a pipe returns at once.
  return read_path(arena, path, O_NONBLOCK, out_data, error);
}

static bool map_lines(tsr_arena *arena, tsr_source *source) {
  uint32_t count = 1;
  for (uint32_t i = 0; i < source->size; ++i) count += source->text[i] == '\n';
  uint32_t *starts = tsr_arena_alloc_array(arena, count, sizeof(*starts));
  if (starts == NULL) return false;
  uint32_t line = 1;
  for (uint32_t i = 0; i < source->size; ++i) {
    if (source->text[i] == '\n') starts[line++] = i + 1;
  }
  source->line_starts = starts;
  source->line_count = count;
  return true;
}

tsr_source *tsr_sources_add(tsr_sources *sources, const char *path,
                            const tsr_source_data *data, uint32_t *out_index) {
  if (sources->count == TSR_SOURCE_COUNT_MAX) return NULL;
  tsr_source *source = tsr_arena_alloc(sources->arena, sizeof(*source));
  if (source == NULL) return NULL;
  source->path = path;
  source->directory = ".";
  source->prefix = "";
  source->text = data->text;
  source->size = (uint32_t)data->size;
  source->parent = UINT32_MAX;
  source->included = TSR_SPAN_NONE;
  source->device = data->device;
  source->inode = data->inode;
  if (source->size >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0) {
    source->bom_size = 3;
  }
  if (!map_lines(sources->arena, source)) return NULL;
  *out_index = sources->count;
  sources->items[sources->count++] = source;
  return source;
}

const tsr_source *tsr_sources_get(const tsr_sources *sources, uint32_t source) {
  return source < sources->count ? sources->items[source] : NULL;
}

// Index of the line that holds |offset|.
static uint32_t find_line(const tsr_source *source, uint32_t offset) {
  uint32_t low = 0;
  uint32_t high = source->line_count;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (source->line_starts[middle] <= offset) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

static uint32_t line_begin(const tsr_source *source, uint32_t line) {
  return line == 0 ? source->bom_size : source->line_starts[line];
}

void tsr_source_line(const tsr_source *source, uint32_t offset,
                     uint32_t *out_begin, uint32_t *out_end) {
  uint32_t line = find_line(source, offset);
  *out_begin = line_begin(source, line);
  uint32_t end = line + 1 < source->line_count
                     ? source->line_starts[line + 1] - 1
                     : source->size;
  if (end > *out_begin && source->text[end - 1] == '\r') --end;
  *out_end = end;
}

tsr_location tsr_source_locate(const tsr_sources *sources, uint32_t source,
                               uint32_t offset) {
  const tsr_source *item = tsr_sources_get(sources, source);
  if (item == NULL) return (tsr_location){"", 0, 0};
  if (offset > item->size) offset = item->size;
  uint32_t line = find_line(item, offset);
  uint32_t begin = line_begin(item, line);
  uint32_t column = 0;
  if (offset > begin) {
    column = tsr_utf8_advance(item->text + begin, offset - begin, 0);
  }
  return (tsr_location){item->path, line + 1, column + 1};
}

uint32_t tsr_sources_count(const tsr_sources *sources) {
  return sources->count;
}

const char *tsr_sources_path(const tsr_sources *sources, uint32_t source) {
  const tsr_source *item = tsr_sources_get(sources, source);
  return item == NULL ? "" : item->path;
}
