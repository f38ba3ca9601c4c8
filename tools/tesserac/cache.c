// SPDX-License-Identifier: Apache-2.0
// One file per object: a header that says what it should be, then the object.
// Written whole or not at all; a header or a hash that does not fit makes the
// entry absent, and the next store replaces it.
#include "tesserac/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

typedef struct entry_header {
  char magic[8];
  tsr_hash key;
  tsr_hash content;
  uint64_t size;
} entry_header;

static const char entry_magic[8] = "TSROBJ01";

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool choose_directory(const char *directory, char **out_path) {
  const char *base = directory;
  if (base == NULL) base = environment("TESSERA_CACHE");
  if (base != NULL) {
    *out_path = tsr_strdup(base);
    return *out_path != NULL;
  }
  const char *below = "tessera";
  base = environment("XDG_CACHE_HOME");
  if (base == NULL) {
    base = environment("HOME");
    below = ".cache/tessera";
  }
  // Relative paths there are to be ignored (XDG base directories, 0.8).
  if (base == NULL || base[0] != '/') return true;
  *out_path = tsr_path_join(base, below);
  return *out_path != NULL;
}

tsr_status tsr_cache_open(const char *directory, tsr_cache *out_cache,
                          tsr_error *error) {
  *out_cache = (tsr_cache){0};
  if (choose_directory(directory, &out_cache->directory)) return TSR_OK;
  return tsr_error_out_of_memory(error);
}

void tsr_cache_close(tsr_cache *cache) {
  tsr_free(cache->directory);
  *cache = (tsr_cache){0};
}

// "<directory>/objects/ab/ab...": |out_folder| without the last part.
static bool entry_path(const tsr_cache *cache, tsr_hash key,
                       tsr_buffer *out_folder, tsr_buffer *out_path) {
  char text[33];
  tsr_hash_format(key, text);
  tsr_buffer_printf(out_folder, "%s/objects/%.2s", cache->directory, text);
  tsr_buffer_printf(out_path, "%s/%s.o", tsr_buffer_text(out_folder), text);
  return !out_folder->failed && !out_path->failed;
}

static bool is_sound(const tsr_map *map, tsr_hash key) {
  entry_header header;
  if (map->size < sizeof(header)) return false;
  memcpy(&header, map->data, sizeof(header));
  const uint8_t *content = map->data + sizeof(header);
  return memcmp(header.magic, entry_magic, sizeof(entry_magic)) == 0 &&
         tsr_hash_equal(header.key, key) &&
         header.size == map->size - sizeof(header) &&
         tsr_hash_equal(tsr_hash_bytes(content, (size_t)header.size),
                        header.content);
}

tsr_cache_result tsr_cache_load(const tsr_cache *cache, tsr_hash key,
                                tsr_buffer *out) {
  if (cache->directory == NULL) return TSR_CACHE_OFF;
  tsr_buffer folder = {0}, path = {0};
  tsr_map map = {0};
  tsr_error ignored = {0};
  tsr_cache_result result = TSR_CACHE_ABSENT;
  if (entry_path(cache, key, &folder, &path) &&
      tsr_map_open(path.data, &map, &ignored) == TSR_OK) {
    result = TSR_CACHE_DAMAGED;
    if (is_sound(&map, key)) {
      tsr_buffer_append(out, map.data + sizeof(entry_header),
                        map.size - sizeof(entry_header));
      result = out->failed ? TSR_CACHE_ABSENT : TSR_CACHE_HIT;
    }
  }
  tsr_map_close(&map);
  tsr_buffer_fini(&folder);
  tsr_buffer_fini(&path);
  return result;
}

static tsr_status write_entry(const char *folder, const char *path,
                              const entry_header *header, const void *data) {
  tsr_output *output;
  tsr_status status = tsr_path_make_directories(folder, NULL);
  if (status == TSR_OK) status = tsr_output_create(path, &output, NULL);
  if (status != TSR_OK) return status;
  status = tsr_output_write(output, header, sizeof(*header), NULL);
  if (status == TSR_OK) {
    status = tsr_output_write(output, data, (size_t)header->size, NULL);
  }
  // The hash finds what a crash of the machine loses: no need to wait for the
  // disk, once for each of hundreds of objects.
  if (status == TSR_OK) return tsr_output_commit_unsynced(output, NULL);
  tsr_output_close(output);
  return status;
}

bool tsr_cache_store(const tsr_cache *cache, tsr_hash key, const void *data,
                     size_t size) {
  if (cache->directory == NULL) return false;
  entry_header header = {
      .key = key, .content = tsr_hash_bytes(data, size), .size = size};
  memcpy(header.magic, entry_magic, sizeof(entry_magic));
  tsr_buffer folder = {0}, path = {0};
  bool kept = entry_path(cache, key, &folder, &path) &&
              write_entry(folder.data, path.data, &header, data) == TSR_OK;
  tsr_buffer_fini(&folder);
  tsr_buffer_fini(&path);
  return kept;
}
