// SPDX-License-Identifier: Apache-2.0
// What an incremental compile reads of the bundle that it is about to replace:
// each layer's key and its packed stream. Whatever does not look right is as
// good as absent; nothing in there is trusted beyond its hash.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // memmem
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "compiler/bundle.h"

typedef struct old_layer {
  const char *name;  // borrowed from the JSON tree
  tsr_layer_key key;
  tsr_section streams[TSR_FAMILY_COUNT];  // a family that is not there: zero
  uint64_t kept_weights;
} old_layer;

struct tsr_previous {
  tsr_map maps[2];         // manifest (or single file), weights.bin
  const uint8_t *weights;  // weights.bin, in one of the maps
  uint64_t weights_size;
  json_t *manifest;
  old_layer *layers;  // sorted by name
  size_t layer_count;
};

// ---- Finding the members ---------------------------------------------------

typedef struct bytes {
  const uint8_t *data;
  uint64_t size;
} bytes;

static uint64_t read_number(const uint8_t *from, size_t size) {
  uint64_t number = 0;
  memcpy(&number, from, size);  // little-endian, as everything host
  return number;
}

// The member |name| of a single-file bundle; empty when there is none.
static bytes container_find(const tsr_map *map, const char *name) {
  bytes none = {0};
  if (map->size < 16 || memcmp(map->data, "TSRBUNDL", 8) != 0) return none;
  uint64_t count = read_number(map->data + 12, 4);
  uint64_t at = 16;
  for (uint64_t i = 0; i < count && map->size - at >= 24; ++i) {
    uint64_t path_size = read_number(map->data + at, 4);
    uint64_t offset = read_number(map->data + at + 8, 8);
    uint64_t size = read_number(map->data + at + 16, 8);
    const uint8_t *path = map->data + at + 24;
    uint64_t padded = (path_size + 7) / 8 * 8;
    if (padded > map->size - at - 24) return none;
    if (path_size == strlen(name) && memcmp(path, name, path_size) == 0) {
      if (offset > map->size || size > map->size - offset) return none;
      return (bytes){map->data + offset, size};
    }
    at += 24 + padded;
  }
  return none;
}

// False when out of memory; a file that cannot be opened is an empty member.
static bool open_member(const char *path, const char *name, tsr_map *map,
                        bytes *out_member) {
  tsr_error ignored = {0};
  char *file = tsr_path_join(path, name);
  if (file == NULL) return false;
  if (tsr_map_open(file, map, &ignored) == TSR_OK) {
    *out_member = (bytes){map->data, map->size};
  }
  tsr_free(file);
  return true;
}

static tsr_status find_members(tsr_previous *previous, const char *path,
                               bytes *out_manifest, tsr_error *error) {
  tsr_error ignored = {0};
  bytes manifest = {0}, weights = {0};
  *out_manifest = manifest;
  if (tsr_path_is_directory(path)) {
    if (!open_member(path, "manifest.json", &previous->maps[0], &manifest) ||
        !open_member(path, "weights.bin", &previous->maps[1], &weights)) {
      return tsr_error_out_of_memory(error);
    }
  } else if (tsr_map_open(path, &previous->maps[0], &ignored) == TSR_OK) {
    manifest = container_find(&previous->maps[0], "manifest.json");
    weights = container_find(&previous->maps[0], "weights.bin");
  }
  previous->weights = weights.data;
  previous->weights_size = weights.size;
  *out_manifest = manifest;
  return TSR_OK;
}

// ---- Reading the manifest --------------------------------------------------

static bool get_number(const json_t *object, const char *key,
                       uint64_t *out_number) {
  const json_t *value = json_object_get(object, key);
  json_int_t number = json_integer_value(value);
  *out_number = (uint64_t)number;
  return json_is_integer(value) && number >= 0;
}

static bool get_hash(const json_t *object, const char *key,
                     tsr_hash *out_hash) {
  const char *text = json_string_value(json_object_get(object, key));
  return text != NULL && tsr_hash_parse(text, out_hash);
}

static bool get_section(const json_t *object, const char *key,
                        tsr_section *out_section) {
  const json_t *section = json_object_get(object, key);
  return get_number(section, "offset", &out_section->offset) &&
         get_number(section, "size", &out_section->size) &&
         get_hash(section, "hash", &out_section->hash);
}

static bool get_layer(const json_t *layer, old_layer *out_layer) {
  const json_t *key = json_object_get(layer, "key");
  for (int part = 0; part < TSR_KEY_PART_COUNT; ++part) {
    if (!get_hash(key, tsr_key_part_name((tsr_key_part)part),
                  &out_layer->key.parts[part])) {
      return false;
    }
  }
  for (int family = 0; family < TSR_FAMILY_COUNT; ++family) {
    const char *part = tsr_family_name((tsr_target_family)family);
    tsr_section *stream = &out_layer->streams[family];
    if (!get_section(json_object_get(layer, part), "stream", stream)) {
      *stream = (tsr_section){0};  // whose hash no stream has
    }
  }
  out_layer->name = json_string_value(json_object_get(layer, "name"));
  return out_layer->name != NULL &&
         get_number(layer, "kept_weights", &out_layer->kept_weights);
}

static int compare_names(const void *a, const void *b) {
  const old_layer *left = a, *right = b;
  return strcmp(left->name, right->name);
}

// False when out of memory.
static bool read_layers(tsr_previous *previous) {
  const json_t *layers = json_object_get(previous->manifest, "layers");
  size_t count = json_array_size(layers);
  previous->layers = tsr_calloc(count, sizeof(*previous->layers));
  if (previous->layers == NULL) return false;
  for (size_t i = 0; i < count; ++i) {
    old_layer *to = &previous->layers[previous->layer_count];
    if (get_layer(json_array_get(layers, i), to)) ++previous->layer_count;
  }
  qsort(previous->layers, previous->layer_count, sizeof(*previous->layers),
        compare_names);
  return true;
}

static bool is_manifest(const json_t *manifest) {
  const char *format = json_string_value(json_object_get(manifest, "format"));
  return format != NULL && strcmp(format, "tessera-bundle") == 0 &&
         json_integer_value(json_object_get(manifest, "version")) ==
             TSR_BUNDLE_VERSION;
}

static json_t *parse_manifest(bytes text) {
  if (text.data == NULL) return NULL;
  json_t *manifest = json_loadb((const char *)text.data, (size_t)text.size,
                                JSON_REJECT_DUPLICATES, NULL);
  if (is_manifest(manifest)) return manifest;
  json_decref(manifest);
  return NULL;
}

tsr_status tsr_previous_open(const char *path, tsr_previous **out_previous,
                             tsr_error *error) {
  *out_previous = NULL;
  tsr_previous *previous = tsr_calloc(1, sizeof(*previous));
  if (previous == NULL) return tsr_error_out_of_memory(error);
  bytes text;
  tsr_status status = find_members(previous, path, &text, error);
  if (status == TSR_OK) previous->manifest = parse_manifest(text);
  if (previous->manifest == NULL) {
    tsr_previous_close(previous);
    return status;
  }
  if (!read_layers(previous)) {
    tsr_previous_close(previous);
    return tsr_error_out_of_memory(error);
  }
  *out_previous = previous;
  return TSR_OK;
}

void tsr_previous_close(tsr_previous *previous) {
  if (previous == NULL) return;
  tsr_free(previous->layers);
  json_decref(previous->manifest);
  tsr_map_close(&previous->maps[0]);
  tsr_map_close(&previous->maps[1]);
  tsr_free(previous);
}

// ---- Asking ----------------------------------------------------------------

static const old_layer *find_layer(const tsr_previous *previous,
                                   const char *name) {
  old_layer wanted = {.name = name};
  return bsearch(&wanted, previous->layers, previous->layer_count,
                 sizeof(wanted), compare_names);
}

tsr_reuse tsr_previous_compare(const tsr_previous *previous, const char *name,
                               const tsr_layer_key *key,
                               unsigned *out_changed) {
  *out_changed = 0;
  if (previous == NULL) return TSR_REUSE_NO_BUNDLE;
  const old_layer *layer = find_layer(previous, name);
  if (layer == NULL) return TSR_REUSE_NEW_LAYER;
  for (int part = 0; part < TSR_KEY_PART_COUNT; ++part) {
    if (!tsr_hash_equal(layer->key.parts[part], key->parts[part])) {
      *out_changed |= 1u << part;
    }
  }
  return *out_changed == 0 ? TSR_REUSE_HIT : TSR_REUSE_CHANGED;
}

const uint8_t *tsr_previous_bytes(const tsr_previous *previous, uint64_t offset,
                                  uint64_t size) {
  if (previous->weights == NULL || offset > previous->weights_size ||
      size > previous->weights_size - offset) {
    return NULL;
  }
  return previous->weights + offset;
}

const uint8_t *tsr_previous_stream(const tsr_previous *previous,
                                   const char *name, tsr_target_family family,
                                   uint64_t size, uint64_t *out_kept_weights) {
  *out_kept_weights = 0;
  const old_layer *layer = find_layer(previous, name);
  if (layer == NULL) return NULL;
  const tsr_section *stream = &layer->streams[family];
  if (stream->size != size) return NULL;
  const uint8_t *data = tsr_previous_bytes(previous, stream->offset, size);
  if (data == NULL ||
      !tsr_hash_equal(tsr_hash_bytes(data, (size_t)size), stream->hash)) {
    return NULL;
  }
  *out_kept_weights = layer->kept_weights;
  return data;
}

void tsr_previous_drop(const tsr_previous *previous, const uint8_t *data,
                       uint64_t size) {
  for (int i = 0; i < 2; ++i) {
    const tsr_map *map = &previous->maps[i];
    bool inside =
        map->data != NULL && data >= map->data && data < map->data + map->size;
    if (inside) tsr_map_drop(map, (size_t)(data - map->data), (size_t)size);
  }
}

static bool is_bundle(bytes text) {
  json_t *manifest = parse_manifest(text);
  // Also one of another version.
  const char *format = "\"tessera-bundle\"";
  bool ours = manifest != NULL ||
              (text.data != NULL && text.size > 64 &&
               memmem(text.data, 64, format, strlen(format)) != NULL);
  json_decref(manifest);
  return ours;
}

tsr_status tsr_bundle_may_replace(const char *path, bool *out_may,
                                  tsr_error *error) {
  *out_may = !tsr_path_exists(path) || tsr_path_is_empty(path);
  if (*out_may) return TSR_OK;
  tsr_previous members = {0};
  bytes text;
  tsr_status status = find_members(&members, path, &text, error);
  if (status == TSR_OK) *out_may = is_bundle(text);
  tsr_map_close(&members.maps[0]);
  tsr_map_close(&members.maps[1]);
  return status;
}
