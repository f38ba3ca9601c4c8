// SPDX-License-Identifier: Apache-2.0
// manifest.json -> tessera_bundle: every field that docs/bundle.md names, its
// type, its range, and what it must agree with.
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bundle.h"
#include "fail.h"

enum {
  SECTIONS_PER_LAYER = 7,  // grid; stream, schedule, bias of each family
  IMAGE_LIMIT = 256,
  LAYER_LIMIT = 1 << 18,
};

// Larger needs are a mistake of the manifest, not a plan for this machine.
#define SCRATCH_LIMIT ((uint64_t)1 << 32)

void tsr_manifest_scope(tsr_reader *r, const tsr_json *scope, const char *kind,
                        const char *name) {
  r->scope = scope;
  (void)snprintf(r->label, sizeof(r->label), "%s '%.160s'", kind, name);
}

void tsr_manifest_no_scope(tsr_reader *r) {
  r->scope = NULL;
  r->label[0] = '\0';
}

void *tsr_manifest_allocate(tsr_reader *r, size_t count, size_t size) {
  void *memory = tsr_arena_alloc_array(r->arena, count, size);
  if (memory == NULL) r->status = tsr_fail_out_of_memory(r->error);
  return memory;
}

const tsr_json *tsr_manifest_list(tsr_reader *r, const tsr_json *root,
                                  const char *key, uint32_t limit) {
  const tsr_json *list = tsr_read_array(r, root, key);
  if (list == NULL || list->count <= limit) return list;
  tsr_reader_fail(r, list, "%u elements, the limit is %u", list->count, limit);
  return NULL;
}

// ---- Members ----------------------------------------------------------------

// Finds the member that |object|.|key| names, compares size and checksum.
static const tsr_member *read_member(tsr_reader *r, tessera_bundle *bundle,
                                     const tsr_json *object, const char *key) {
  const char *path = tsr_read_string(r, object, key);
  uint64_t size = tsr_read_uint(r, object, "size", 0, UINT64_MAX);
  tsr_hash hash = tsr_read_hash(r, object, "hash");
  tsr_member *member = NULL;
  if (r->status != TESSERA_OK) return NULL;
  r->status = tsr_archive_member(&bundle->archive, path, &member, r->error);
  if (r->status != TESSERA_OK) {
    tsr_reader_prefix_key(r, object, key);
    return NULL;
  }
  if (member->is_claimed) {
    tsr_reader_fail_key(r, object, key, "'%.200s' is listed twice", path);
  } else if (member->size != size) {
    tsr_reader_fail_key(r, object, "size", "'%.200s' has %llu bytes, not %llu",
                        path, (unsigned long long)member->size,
                        (unsigned long long)size);
  }
  member->is_claimed = true;
  bool is_weights = strcmp(path, "weights.bin") == 0;
  if (is_weights) bundle->weights_hash = hash;  // checked with its sections
  if (r->status == TESSERA_OK && bundle->verify_checksums && !is_weights &&
      !tsr_hash_equal(tsr_hash_bytes(member->data, (size_t)member->size),
                      hash)) {
    tsr_reader_fail_key(r, object, "hash", "'%.200s' is damaged", path);
  }
  return member;
}

static void read_files(tsr_reader *r, tessera_bundle *bundle,
                       const tsr_json *root) {
  const tsr_json *files = tsr_read_array(r, root, "files");
  const tsr_member *plan = NULL;
  for (const tsr_json *file = files == NULL ? NULL : files->first;
       file != NULL && r->status == TESSERA_OK; file = file->next) {
    const tsr_member *member = read_member(r, bundle, file, "path");
    if (member == NULL) return;
    if (strcmp(member->path, "weights.bin") == 0) bundle->weights = member;
    if (strcmp(member->path, "plan.tess") == 0) plan = member;
  }
  if (bundle->weights == NULL) {
    tsr_reader_fail(r, files, "weights.bin is not listed");
  } else if (plan == NULL) {
    tsr_reader_fail(r, files, "plan.tess is not listed");
  }
  if (r->status != TESSERA_OK || plan == NULL) return;
  bundle->plan =
      tsr_arena_strndup(r->arena, (const char *)plan->data, (size_t)plan->size);
  if (bundle->plan == NULL) r->status = tsr_fail_out_of_memory(r->error);
}

// ---- Images -----------------------------------------------------------------

// The first 20 bytes of an ELF file: 64 bits, little-endian, a shared object,
// for the machine that the manifest says (System V ABI, chapter 4).
static const char *check_elf(const tsr_image *image) {
  static const struct {
    const char *architecture;
    unsigned machine;
  } machines[] = {{"x86_64", 62}, {"aarch64", 183}, {"riscv64", 243}};
  const uint8_t *data = image->member->data;
  if (image->member->size < 64 || memcmp(data, "\177ELF\2\1\1", 7) != 0) {
    return "is no 64-bit little-endian ELF file";
  }
  if (data[16] != 3 || data[17] != 0) return "is no shared object";
  unsigned machine = (unsigned)data[18] | (unsigned)data[19] << 8;
  for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); ++i) {
    if (strcmp(machines[i].architecture, image->architecture) != 0) continue;
    return machines[i].machine == machine ? NULL
                                          : "is for another architecture";
  }
  return NULL;  // a machine that we do not know is never chosen
}

static void read_image(tsr_reader *r, tessera_bundle *bundle,
                       const tsr_json *node, tsr_image *image) {
  image->family = tsr_read_string(r, node, "family");
  image->variant = tsr_read_string(r, node, "variant");
  if (r->status != TESSERA_OK) return;
  tsr_manifest_scope(r, node, "image", image->variant);
  image->architecture = tsr_read_string(r, node, "architecture");
  image->required = tsr_read_string(r, node, "required");
  image->rank = tsr_read_u32(r, node, "rank", 0, 1000000);
  image->abi = tsr_read_u32(r, node, "abi", 1, UINT32_MAX);
  bool is_cuda = strcmp(image->family, "cuda") == 0;
  if (is_cuda) tsr_manifest_cuda_image(r, node, image);
  image->member = read_member(r, bundle, node, "file");
  if (image->member == NULL) return;
  const char *mistake = NULL;
  if (is_cuda) mistake = tsr_manifest_cuda_mistake(image);
  if (strcmp(image->family, "host") == 0) mistake = check_elf(image);
  if (mistake != NULL) {
    tsr_reader_fail_key(r, node, "file", "'%.200s' %s", image->member->path,
                        mistake);
  }
}

static void read_images(tsr_reader *r, tessera_bundle *bundle,
                        const tsr_json *root) {
  const tsr_json *images = tsr_manifest_list(r, root, "images", IMAGE_LIMIT);
  if (images == NULL) return;
  bundle->images =
      tsr_manifest_allocate(r, images->count, sizeof(*bundle->images));
  for (const tsr_json *node = images->first;
       node != NULL && r->status == TESSERA_OK; node = node->next) {
    tsr_image *image = &bundle->images[bundle->image_count++];
    read_image(r, bundle, node, image);
    for (const tsr_image *other = bundle->images; other != image; ++other) {
      if (r->status != TESSERA_OK) return;
      if (strcmp(other->variant, image->variant) != 0 ||
          strcmp(other->family, image->family) != 0 ||
          other->format != image->format) {
        continue;
      }
      tsr_reader_fail_key(r, node, "variant", "occurs twice");
    }
    tsr_manifest_no_scope(r);
  }
}

// ---- Kernels ----------------------------------------------------------------

static void read_kernel(tsr_reader *r, const tsr_json *node,
                        tsr_bundle_kernel *kernel) {
  uint64_t tokens[2];
  kernel->name = tsr_read_string(r, node, "name");
  if (r->status != TESSERA_OK) return;
  tsr_manifest_scope(r, node, "kernel", kernel->name);
  (void)tsr_read_string(r, node, "strategy");
  tsr_read_pair(r, node, "tokens", 1, UINT32_MAX, tokens);
  kernel->token_first = (uint32_t)tokens[0];
  kernel->token_last = (uint32_t)tokens[1];
  kernel->run = tsr_read_identifier(r, node, "run", false);
  kernel->reduce = tsr_read_identifier(r, node, "reduce", true);
  kernel->pack = tsr_read_identifier(r, node, "pack", true);
  tsr_read_pair(r, node, "scratch", 0, SCRATCH_LIMIT, kernel->scratch);
  tsr_read_pair(r, node, "packed", 0, SCRATCH_LIMIT, kernel->packed);
  if (tokens[0] > tokens[1]) {
    tsr_reader_fail_key(r, node, "tokens", "%u to %u is empty",
                        kernel->token_first, kernel->token_last);
  }
  bool has_packed = (kernel->packed[0] | kernel->packed[1]) != 0;
  if (has_packed && kernel->pack[0] == '\0') {
    tsr_reader_fail_key(r, node, "packed", "not zero, but pack is empty");
  }
}

static void read_kernels(tsr_reader *r, tessera_bundle *bundle,
                         const tsr_json *root) {
  const tsr_json *kernels =
      tsr_manifest_list(r, root, "kernels", TSR_KERNEL_COUNT_LIMIT);
  if (kernels == NULL) return;
  bundle->kernels =
      tsr_manifest_allocate(r, kernels->count, sizeof(*bundle->kernels));
  for (const tsr_json *node = kernels->first;
       node != NULL && r->status == TESSERA_OK; node = node->next) {
    read_kernel(r, node, &bundle->kernels[bundle->kernel_count++]);
    tsr_manifest_no_scope(r);
  }
}

// ---- Layers -----------------------------------------------------------------

static const char *dtype_word(uint32_t index) {
  return tsr_dtype_name((tsr_dtype)index);
}

static const char *activation_word(uint32_t index) {
  return tsr_activation_name((tsr_activation)index);
}

static tessera_dtype read_dtype(tsr_reader *r, const tsr_json *node,
                                const char *key) {
  return (tessera_dtype)tsr_read_word(r, node, key, dtype_word,
                                      TSR_DTYPE_COUNT);
}

static void read_types(tsr_reader *r, const tsr_json *node,
                       tessera_layer *layer) {
  tessera_layer_info *info = &layer->info;
  info->weight_type = read_dtype(r, node, "weight_type");
  info->input_type = read_dtype(r, node, "input_type");
  info->output_type = read_dtype(r, node, "output_type");
  layer->activation = (tsr_activation)tsr_read_word(
      r, node, "activation", activation_word, TSR_ACTIVATION_COUNT);
  info->activation = tsr_activation_name(layer->activation);
  info->has_bias = tsr_read_bool(r, node, "has_bias");
  info->has_residual = tsr_read_bool(r, node, "has_residual");
  if (r->status == TESSERA_OK && info->weight_type == TESSERA_F32) {
    tsr_reader_fail_key(r, node, "weight_type", "f32 weights do not exist");
  } else if (r->status == TESSERA_OK && info->input_type != info->weight_type) {
    tsr_reader_fail_key(r, node, "input_type", "differs from weight_type");
  }
}

static void read_tile(tsr_reader *r, const tsr_json *node,
                      tessera_layer *layer) {
  uint64_t tile[2];
  tsr_read_pair(r, node, "tile", 16, 512, tile);
  if (r->status == TESSERA_OK &&
      (tile[0] % 16 != 0 || tile[0] > 256 || tile[1] % 32 != 0)) {
    tsr_reader_fail_key(r, node, "tile",
                        "%llux%llu: rows are 16 to 256 by 16, columns 32 to "
                        "512 by 32",
                        (unsigned long long)tile[0],
                        (unsigned long long)tile[1]);
  }
  layer->info.tile_rows = (uint32_t)tile[0];
  layer->info.tile_columns = (uint32_t)tile[1];
}

static void read_shape(tsr_reader *r, const tsr_json *node,
                       tessera_layer *layer) {
  tessera_layer_info *info = &layer->info;
  info->rows = tsr_read_u32(r, node, "rows", 1, TSR_EXTENT_LIMIT);
  info->columns = tsr_read_u32(r, node, "columns", 1, TSR_EXTENT_LIMIT);
  info->output_columns =
      tsr_read_u32(r, node, "output_columns", 1, TSR_EXTENT_LIMIT);
  read_tile(r, node, layer);
  if (r->status != TESSERA_OK) return;
  uint32_t share = tsr_activation_is_gated(layer->activation) ? 2 : 1;
  if (info->rows % share != 0) {
    tsr_reader_fail_key(r, node, "rows", "%u is odd, but %s is gated",
                        info->rows, info->activation);
  } else if (info->output_columns != info->rows / share) {
    tsr_reader_fail_key(r, node, "output_columns", "%u, expected %u",
                        info->output_columns, info->rows / share);
  }
  layer->panels = (info->rows - 1) / info->tile_rows + 1;
  layer->tile_columns = (info->columns - 1) / info->tile_columns + 1;
}

static void read_counts(tsr_reader *r, const tsr_json *node,
                        tessera_layer *layer) {
  tessera_layer_info *info = &layer->info;
  const tsr_json *tiles = tsr_read_object(r, node, "tiles");
  uint64_t weights = (uint64_t)info->rows * info->columns;
  uint64_t cells = (uint64_t)layer->panels * layer->tile_columns;
  info->zero_tiles = tsr_read_uint(r, tiles, "zero", 0, cells);
  info->sparse24_tiles = tsr_read_uint(r, tiles, "sparse24", 0, cells);
  info->dense_tiles = tsr_read_uint(r, tiles, "dense", 0, cells);
  info->kept_weights = tsr_read_uint(r, node, "kept_weights", 0, weights);
  info->dense_bytes =
      tsr_read_uint(r, node, "dense_bytes", weights * 2, weights * 2);
  info->packed_bytes = tsr_read_uint(r, node, "packed_bytes", 0, UINT64_MAX);
  uint64_t sum = info->zero_tiles + info->sparse24_tiles + info->dense_tiles;
  if (r->status == TESSERA_OK && sum != cells) {
    tsr_reader_fail_key(r, node, "tiles", "%llu in all, expected %llu",
                        (unsigned long long)sum, (unsigned long long)cells);
  }
}

static void read_key(tsr_reader *r, const tsr_json *node) {
  static const char *const parts[] = {"weights", "mask", "options", "compiler"};
  const tsr_json *key = tsr_read_object(r, node, "key");
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); ++i) {
    (void)tsr_read_hash(r, key, parts[i]);
  }
}

const uint8_t *tsr_manifest_section(tsr_reader *r, const tsr_json *object,
                                    const char *key, const char *name,
                                    uint64_t alignment, tessera_layer *layer,
                                    uint64_t *out_size) {
  tessera_bundle *bundle = r->bundle;
  const tsr_json *node = tsr_read_object(r, object, key);
  uint64_t limit = bundle->weights->size - TSR_WEIGHTS_TAIL;
  tsr_section section = {.name = name, .layer = layer};
  section.offset = tsr_read_uint(r, node, "offset", TSR_WEIGHTS_HEADER, limit);
  section.size = tsr_read_uint(r, node, "size", 0, UINT64_MAX);
  section.hash = tsr_read_hash(r, node, "hash");
  if (r->status != TESSERA_OK) return NULL;
  if (section.offset % alignment != 0) {
    tsr_reader_fail_key(r, node, "offset", "%llu is not a multiple of %llu",
                        (unsigned long long)section.offset,
                        (unsigned long long)alignment);
  } else if (section.size > limit - section.offset) {
    tsr_reader_fail_key(
        r, node, "size", "%llu bytes at %llu end after weights.bin's last %llu",
        (unsigned long long)section.size, (unsigned long long)section.offset,
        (unsigned long long)limit);
  }
  if (r->status != TESSERA_OK) return NULL;
  bundle->sections[bundle->section_count++] = section;
  *out_size = section.size;
  return bundle->weights->data + section.offset;
}

void tsr_manifest_expect_size(tsr_reader *r, const tsr_json *object,
                              const char *key, uint64_t size,
                              uint64_t expected) {
  if (r->status != TESSERA_OK || size == expected) return;
  tsr_reader_fail_key(r, tsr_json_find(object, key), "size",
                      "%llu bytes, expected %llu", (unsigned long long)size,
                      (unsigned long long)expected);
}

// Families may name one and the same section.
static void merge_section(tessera_bundle *bundle) {
  const tsr_section *last = &bundle->sections[bundle->section_count - 1];
  for (const tsr_section *s = bundle->sections; s != last; ++s) {
    if (s->layer != last->layer || s->offset != last->offset) continue;
    if (s->size != last->size || !tsr_hash_equal(s->hash, last->hash)) return;
    --bundle->section_count;
    return;
  }
}

const float *tsr_manifest_bias(tsr_reader *r, const tsr_json *object,
                               const char *name, tessera_layer *layer) {
  uint64_t size = 0;
  if (!layer->info.has_bias) {
    if (r->status == TESSERA_OK && tsr_json_find(object, "bias") != NULL) {
      tsr_reader_fail_key(r, object, "bias", "present, but has_bias is false");
    }
    return NULL;
  }
  const void *bias = tsr_manifest_section(r, object, "bias", name,
                                          TSR_HOST_ALIGNMENT, layer, &size);
  if (bias != NULL) merge_section(r->bundle);
  tsr_manifest_expect_size(r, object, "bias", size,
                           (uint64_t)layer->info.rows * 4);
  return bias;
}

uint32_t tsr_manifest_kernels(tsr_reader *r, const tsr_json *object,
                              uint32_t limit, uint32_t kernel_count,
                              const uint32_t **out_kernels) {
  const tsr_json *list = tsr_read_array(r, object, "kernels");
  if (list == NULL) return 0;
  if (list->count == 0 || list->count > limit) {
    tsr_reader_fail(r, list, "%u kernels, expected 1 to %u", list->count,
                    limit);
    return 0;
  }
  uint32_t *kernels = tsr_manifest_allocate(r, list->count, sizeof(*kernels));
  for (const tsr_json *node = list->first;
       node != NULL && r->status == TESSERA_OK; node = node->next) {
    if (node->type != TSR_JSON_INTEGER || node->negative ||
        node->magnitude >= kernel_count) {
      tsr_reader_fail(r, node, "expected an index below %u", kernel_count);
      return 0;
    }
    kernels[node->index] = (uint32_t)node->magnitude;
  }
  *out_kernels = kernels;
  return r->status == TESSERA_OK ? list->count : 0;
}

void tsr_manifest_ascend(tsr_reader *r, const tsr_json *object, uint32_t index,
                         uint32_t before_last, uint32_t first) {
  if (first > before_last) return;
  const tsr_json *node = tsr_json_find(object, "kernels")->first;
  for (; index != 0; --index) node = node->next;
  tsr_reader_fail(r, node, "token ranges overlap or descend");
}

static void read_host_kernels(tsr_reader *r, const tsr_json *object,
                              tessera_layer *layer) {
  const tsr_bundle_kernel *all = r->bundle->kernels;
  const uint32_t *list = NULL;
  uint32_t count = tsr_manifest_kernels(r, object, TSR_KERNELS_PER_LAYER,
                                        r->bundle->kernel_count, &list);
  if (count == 0 || list == NULL) return;
  for (uint32_t i = 1; i < count; ++i) {
    tsr_manifest_ascend(r, object, i, all[list[i - 1]].token_last,
                        all[list[i]].token_first);
  }
  layer->host.kernels = list;
  layer->host.kernel_count = count;
  layer->info.token_first = all[list[0]].token_first;
  layer->info.token_last = all[list[count - 1]].token_last;
}

static void read_host(tsr_reader *r, const tsr_json *node,
                      tessera_layer *layer) {
  tsr_host_layer *host = &layer->host;
  const tsr_json *object = tsr_read_object(r, node, "host");
  host->worker_count = tsr_read_u32(r, object, "workers", 1, UINT32_MAX);
  host->partial_count = tsr_read_u32(r, object, "partials", 0, UINT32_MAX);
  host->stream = tsr_manifest_section(r, object, "stream", "host.stream", 4096,
                                      layer, &host->stream_size);
  tsr_manifest_expect_size(r, object, "stream", host->stream_size,
                           layer->info.packed_bytes);
  host->section =
      tsr_manifest_section(r, object, "schedule", "host.schedule",
                           TSR_HOST_ALIGNMENT, layer, &host->section_size);
  host->bias = tsr_manifest_bias(r, object, "host.bias", layer);
  read_host_kernels(r, object, layer);
  layer->info.worker_count = host->worker_count;
  layer->has_host = true;
}

static void read_layer(tsr_reader *r, const tsr_json *node,
                       tessera_layer *layer) {
  uint64_t size = 0;
  layer->info.size = sizeof(layer->info);
  layer->info.name = tsr_read_string(r, node, "name");
  if (r->status != TESSERA_OK) return;
  tsr_manifest_scope(r, node, "layer", layer->info.name);
  layer->info.symbol = tsr_read_identifier(r, node, "symbol", false);
  read_types(r, node, layer);
  read_shape(r, node, layer);
  if (r->status != TESSERA_OK) return;
  read_counts(r, node, layer);
  read_key(r, node);
  layer->grid = tsr_manifest_section(r, node, "grid", "grid",
                                     TSR_HOST_ALIGNMENT, layer, &size);
  tsr_manifest_expect_size(r, node, "grid", size,
                           (uint64_t)layer->panels * layer->tile_columns);
  // Either part, both, or that of a family which we do not know: such a layer
  // can be listed but not run.
  if (tsr_json_find(node, "cuda") != NULL) {
    tsr_manifest_cuda_layer(r, node, layer);
  }
  if (tsr_json_find(node, "host") != NULL) read_host(r, node, layer);
}

static int compare_names(const void *a, const void *b) {
  const tessera_layer *const *first = a;
  const tessera_layer *const *second = b;
  return strcmp((*first)->info.name, (*second)->info.name);
}

static int compare_symbols(const void *a, const void *b) {
  const tessera_layer *const *first = a;
  const tessera_layer *const *second = b;
  return strcmp((*first)->info.symbol, (*second)->info.symbol);
}

static void check_layers_unique(tsr_reader *r, tessera_bundle *bundle) {
  const tessera_layer **sorted = bundle->by_name;
  uint32_t count = bundle->layer_count;
  for (uint32_t i = 0; i < count; ++i) sorted[i] = &bundle->layers[i];
  qsort(sorted, count, sizeof(*sorted), compare_symbols);
  for (uint32_t i = 1; i < count && r->status == TESSERA_OK; ++i) {
    if (compare_symbols(&sorted[i - 1], &sorted[i]) != 0) continue;
    tsr_reader_fail(r, NULL, "symbol '%.100s' is used by two layers",
                    sorted[i]->info.symbol);
  }
  qsort(sorted, count, sizeof(*sorted), compare_names);
  for (uint32_t i = 1; i < count && r->status == TESSERA_OK; ++i) {
    if (compare_names(&sorted[i - 1], &sorted[i]) != 0) continue;
    tsr_reader_fail(r, NULL, "two layers are named '%.100s'",
                    sorted[i]->info.name);
  }
}

static void read_layers(tsr_reader *r, tessera_bundle *bundle,
                        const tsr_json *root) {
  const tsr_json *layers = tsr_manifest_list(r, root, "layers", LAYER_LIMIT);
  if (layers == NULL) return;
  size_t count = layers->count;
  bundle->layers = tsr_manifest_allocate(r, count, sizeof(*bundle->layers));
  bundle->by_name = tsr_manifest_allocate(r, count, sizeof(*bundle->by_name));
  bundle->sections = tsr_manifest_allocate(r, count * SECTIONS_PER_LAYER,
                                           sizeof(*bundle->sections));
  for (const tsr_json *node = layers->first;
       node != NULL && r->status == TESSERA_OK; node = node->next) {
    tessera_layer *layer = &bundle->layers[node->index];
    layer->bundle = bundle;
    layer->index = node->index;
    read_layer(r, node, layer);
    tsr_manifest_no_scope(r);
  }
  bundle->layer_count = layers->count;
  if (r->status == TESSERA_OK) check_layers_unique(r, bundle);
}

// ---- The whole --------------------------------------------------------------

static void read_heading(tsr_reader *r, tessera_bundle *bundle,
                         const tsr_json *root) {
  const char *format = tsr_read_string(r, root, "format");
  if (r->status == TESSERA_OK && strcmp(format, "tessera-bundle") != 0) {
    tsr_reader_fail_key(r, root, "format", "expected 'tessera-bundle'");
  }
  uint32_t version = tsr_read_u32(r, root, "version", 1, UINT32_MAX);
  if (r->status == TESSERA_OK && version != TSR_BUNDLE_VERSION) {
    r->status = tsr_fail(r->error, TESSERA_UNSUPPORTED,
                         "version: %u: this library reads version 1", version);
  }
  bundle->name = tsr_read_string(r, root, "name");
  (void)tsr_read_identifier(r, root, "symbol", false);
  const tsr_json *compiler = tsr_read_object(r, root, "compiler");
  (void)tsr_read_string(r, compiler, "version");
  (void)tsr_read_string(r, compiler, "fingerprint");
}

static void read_inputs(tsr_reader *r, const tsr_json *root) {
  const tsr_json *inputs = tsr_read_array(r, root, "inputs");
  for (const tsr_json *input = inputs == NULL ? NULL : inputs->first;
       input != NULL && r->status == TESSERA_OK; input = input->next) {
    (void)tsr_read_string(r, input, "role");
    (void)tsr_read_string(r, input, "path");
    (void)tsr_read_uint(r, input, "size", 0, UINT64_MAX);
  }
}

static void check_unclaimed(tsr_reader *r, const tessera_bundle *bundle) {
  for (const tsr_member *m = bundle->archive.members; m != NULL; m = m->next) {
    if (m->is_claimed || strcmp(m->path, "manifest.json") == 0) continue;
    if (r->status != TESSERA_OK) return;
    tsr_reader_fail(r, NULL, "member '%s' is not in the manifest", m->path);
  }
}

static tessera_status parse(tessera_bundle *bundle, tsr_arena *arena,
                            const tsr_json **out_root, tessera_error *error) {
  tsr_member *member = NULL;
  tessera_status status =
      tsr_archive_member(&bundle->archive, "manifest.json", &member, error);
  if (status != TESSERA_OK) return status;
  if (member->size > TSR_MANIFEST_LIMIT) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "manifest.json: %llu bytes, the limit is %d",
                    (unsigned long long)member->size, TSR_MANIFEST_LIMIT);
  }
  bundle->manifest_size = (size_t)member->size;
  bundle->manifest = tsr_arena_strndup(
      &bundle->arena, (const char *)member->data, bundle->manifest_size);
  if (bundle->manifest == NULL) return tsr_fail_out_of_memory(error);
  status = tsr_json_parse(arena, bundle->manifest, bundle->manifest_size,
                          out_root, error);
  if (status != TESSERA_OK) tsr_fail_prefix(error, "manifest.json");
  return status;
}

tessera_status tsr_manifest_read(tessera_bundle *bundle, tessera_error *error) {
  tsr_arena document = {0};
  const tsr_json *root = NULL;
  tsr_reader r = {.arena = &bundle->arena, .error = error, .bundle = bundle};
  r.status = parse(bundle, &document, &root, error);
  read_heading(&r, bundle, root);
  read_inputs(&r, root);
  read_files(&r, bundle, root);
  if (r.status == TESSERA_OK &&
      bundle->weights->size < TSR_WEIGHTS_HEADER + TSR_WEIGHTS_TAIL) {
    tsr_reader_fail(&r, NULL, "weights.bin: too short");
  }
  if (r.status == TESSERA_OK) read_kernels(&r, bundle, root);
  if (r.status == TESSERA_OK) tsr_manifest_cuda_kernels(&r, bundle, root);
  if (r.status == TESSERA_OK) read_images(&r, bundle, root);
  if (r.status == TESSERA_OK) read_layers(&r, bundle, root);
  check_unclaimed(&r, bundle);
  tsr_arena_fini(&document);
  return r.status;
}
