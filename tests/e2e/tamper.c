// SPDX-License-Identifier: Apache-2.0
// tamper BUNDLE LAYER SEED BIT: flips one bit (0..15, the lowest first) of a
// dense weight in a bundle and makes every checksum right again, so that only
// the numbers can tell. Prints where.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"

static void set_hash(json_t *object, const void *data, size_t size) {
  char text[33];
  tsr_hash_format(tsr_hash_bytes(data, size), text);
  (void)json_object_set_new(object, "hash", json_string(text));
}

static json_t *find(json_t *array, const char *key, const char *value) {
  size_t index;
  json_t *entry;
  json_array_foreach(array, index, entry) {
    const char *text = json_string_value(json_object_get(entry, key));
    if (text != NULL && strcmp(text, value) == 0) return entry;
  }
  fprintf(stderr, "tamper: no %s '%s'\n", key, value);
  exit(2);
}

static void check(tsr_status status, const tsr_error *error) {
  if (status == TSR_OK) return;
  fprintf(stderr, "tamper: %s\n", error->message);
  exit(2);
}

static void flip(uint8_t *weights, json_t *root, const char *layer,
                 uint64_t seed, unsigned bit) {
  json_t *host = json_object_get(
      find(json_object_get(root, "layers"), "name", layer), "host");
  json_t *stream = json_object_get(host, "stream");
  uint64_t offset =
      (uint64_t)json_integer_value(json_object_get(stream, "offset"));
  uint64_t size = (uint64_t)json_integer_value(json_object_get(stream, "size"));
  uint64_t word = seed * 2654435761u % (size / 2);
  weights[offset + 2 * word + bit / 8] ^= (uint8_t)(1u << bit % 8);
  printf("word %" PRIu64 " of %" PRIu64 "\n", word, size / 2);
  set_hash(stream, weights + offset, (size_t)size);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  char *manifest_path = tsr_path_join(argv[1], "manifest.json");
  char *weights_path = tsr_path_join(argv[1], "weights.bin");
  tsr_error error = {0};
  tsr_map map;
  check(tsr_map_open(weights_path, &map, &error), &error);
  uint8_t *weights = malloc(map.size);
  if (weights == NULL) return 2;
  memcpy(weights, map.data, map.size);
  json_t *root = json_load_file(manifest_path, 0, NULL);
  flip(weights, root, argv[2], strtoull(argv[3], NULL, 10),
       (unsigned)strtoul(argv[4], NULL, 10) & 15u);
  set_hash(find(json_object_get(root, "files"), "path", "weights.bin"), weights,
           map.size);
  char *text = json_dumps(root, JSON_INDENT(2));
  check(tsr_file_write(weights_path, weights, map.size, &error), &error);
  check(tsr_file_write(manifest_path, text, strlen(text), &error), &error);
  json_decref(root);
  free(text);
  free(weights);
  tsr_map_close(&map);
  tsr_free(manifest_path);
  tsr_free(weights_path);
  return 0;
}
