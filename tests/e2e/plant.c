// SPDX-License-Identifier: Apache-2.0
// plant BUNDLE: gives each cubin of a bundle the PTX for the same target as one
// more section, for the driver of tests/runtime/cubin_driver.c to run, and
// makes size and checksum right again. A target without a cubin gets one that
// has nothing else. Prints a line per cubin: its target, and what its header
// says that it is for. plant -r FILE...: prints the latter for each file.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "cubin.h"

static void check(tsr_status status, const tsr_error *error) {
  if (status == TSR_OK) return;
  fprintf(stderr, "plant: %s\n", error->message);
  exit(2);
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static void read_file(const char *path, tsr_buffer *out) {
  tsr_error error = {0};
  tsr_map map;
  check(tsr_map_open(path, &map, &error), &error);
  tsr_buffer_append(out, map.data, map.size);
  tsr_map_close(&map);
  check(tsr_buffer_status(out, &error), &error);
}

// The image of |variant| and |format|, or NULL.
static json_t *find_image(json_t *images, const char *variant,
                          const char *format) {
  size_t index;
  json_t *image;
  json_array_foreach(images, index, image) {
    if (strcmp(text_of(image, "variant"), variant) == 0 &&
        strcmp(text_of(image, "format"), format) == 0) {
      return image;
    }
  }
  return NULL;
}

static json_t *add_image(json_t *images, const json_t *ptx) {
  const char *variant = text_of(ptx, "variant");
  json_t *image = json_deep_copy(ptx);
  (void)json_object_set_new(image, "format", json_string("cubin"));
  (void)json_object_set_new(image, "file",
                            json_sprintf("kernels/cuda-%s.cubin", variant));
  (void)json_array_append_new(images, image);
  return image;
}

static void plant(const char *bundle, json_t *images, const json_t *ptx) {
  const char *variant = text_of(ptx, "variant");
  json_t *image = find_image(images, variant, "cubin");
  bool is_new = image == NULL;
  if (is_new) image = add_image(images, ptx);
  char *text_path = tsr_path_join(bundle, text_of(ptx, "file"));
  char *path = tsr_path_join(bundle, text_of(image, "file"));
  tsr_buffer text, cubin;
  tsr_buffer_init(&text);
  tsr_buffer_init(&cubin);
  read_file(text_path, &text);
  if (is_new) {
    cubin_write(&cubin, variant, CUBIN_V3);
  } else {
    read_file(path, &cubin);
  }
  char architecture[16], hash[33];
  tsr_error error = {0};
  cubin_architecture(cubin.data, architecture);
  printf("%s %s\n", variant, architecture);
  cubin_plant(&cubin, tsr_buffer_text(&text));
  check(tsr_file_write(path, cubin.data, cubin.size, &error), &error);
  tsr_hash_format(tsr_hash_bytes(cubin.data, cubin.size), hash);
  (void)json_object_set_new(image, "hash", json_string(hash));
  (void)json_object_set_new(image, "size",
                            json_integer((json_int_t)cubin.size));
  tsr_buffer_fini(&text);
  tsr_buffer_fini(&cubin);
  tsr_free(text_path);
  tsr_free(path);
}

static void print_architecture(const char *path) {
  char architecture[16];
  tsr_buffer cubin;
  tsr_buffer_init(&cubin);
  read_file(path, &cubin);
  cubin_architecture(cubin.data, architecture);
  printf("%s\n", architecture);
  tsr_buffer_fini(&cubin);
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "-r") == 0) {
    for (int i = 2; i < argc; ++i) print_architecture(argv[i]);
    return 0;
  }
  if (argc != 2) return 2;
  char *path = tsr_path_join(argv[1], "manifest.json");
  json_t *root = json_load_file(path, 0, NULL);
  json_t *images = json_object_get(root, "images");
  size_t count = json_array_size(images);
  tsr_error error = {0};
  for (size_t i = 0; i < count; ++i) {
    const json_t *image = json_array_get(images, i);
    if (strcmp(text_of(image, "format"), "ptx") != 0) continue;
    plant(argv[1], images, image);
  }
  char *text = json_dumps(root, JSON_INDENT(2));
  if (text == NULL) return 2;
  check(tsr_file_write(path, text, strlen(text), &error), &error);
  free(text);
  json_decref(root);
  tsr_free(path);
  return 0;
}
