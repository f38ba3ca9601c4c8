// SPDX-License-Identifier: Apache-2.0
// tesserac compile: images, the other members, the manifest; then the finished
// folder (or file) takes its place in one step.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "tessera/tessera.h"
#include "tesserac/compile.h"

// ---- Describing ------------------------------------------------------------

static uint64_t file_size(const char *directory, const char *name) {
  struct stat info;
  char *path = tsr_path_join(directory, name);
  bool regular =
      path != NULL && stat(path, &info) == 0 && S_ISREG(info.st_mode);
  tsr_free(path);
  return regular ? (uint64_t)info.st_size : 0;
}

static void add_input(const tsr_plan *plan, const char *role, const char *path,
                      tsr_bundle_input *inputs, uint32_t *count) {
  if (path[0] == '\0') return;  // synthetic
  inputs[(*count)++] =
      (tsr_bundle_input){role, path, file_size(plan->directory, path)};
}

static bool describe_inputs(tsr_arena *arena, const tsr_plan *plan,
                            tsr_bundle *bundle) {
  size_t limit = (size_t)plan->weights_count + plan->masks_count;
  tsr_bundle_input *inputs =
      tsr_arena_alloc_array(arena, limit, sizeof(*inputs));
  if (inputs == NULL) return false;
  for (uint32_t i = 0; i < plan->weights_count; ++i) {
    add_input(plan, "weights", plan->weights[i].path, inputs,
              &bundle->input_count);
  }
  for (uint32_t i = 0; i < plan->masks_count; ++i) {
    add_input(plan, "masks", plan->masks[i].path, inputs, &bundle->input_count);
  }
  bundle->inputs = inputs;
  return true;
}

static bool describe_kernels(tsr_arena *arena, const tsr_compile *c,
                             tsr_bundle *bundle) {
  tsr_bundle_kernel *kernels =
      tsr_arena_alloc_array(arena, c->kernel_count, sizeof(*kernels));
  if (kernels == NULL) return false;
  for (uint32_t i = 0; i < c->kernel_count; ++i) {
    const tsr_kernel *from = &c->kernels[i];
    kernels[i] =
        (tsr_bundle_kernel){.name = from->name,
                            .strategy = from->strategy,
                            .token_first = from->spec.token_first,
                            .token_last = from->spec.token_last,
                            .run = from->run_symbol,
                            .reduce = from->reduce_symbol,
                            .pack = from->pack_symbol,
                            .scratch_base = from->scratch_base,
                            .scratch_per_token = from->scratch_per_token,
                            .packed_base = from->packed_base,
                            .packed_per_token = from->packed_per_token};
  }
  bundle->kernels = kernels;
  bundle->kernel_count = c->kernel_count;
  return true;
}

tsr_status tsr_compile_describe(const tsr_compile *c, tsr_bundle *out_bundle,
                                tsr_error *error) {
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  tsr_buffer fingerprint = {0};
  tsr_codegen_fingerprint(&fingerprint);
  *out_bundle = (tsr_bundle){.name = c->plan->name,
                             .symbol = tsr_bundle_symbol(arena, c->plan->name),
                             .version = tessera_version(),
                             .fingerprint = tsr_arena_strndup(
                                 arena, fingerprint.data, fingerprint.size),
                             .layers = c->layers,
                             .layer_count = c->plan->layer_count};
  tsr_status status = tsr_buffer_status(&fingerprint, error);
  tsr_buffer_fini(&fingerprint);
  if (status != TSR_OK) return status;
  if (out_bundle->symbol == NULL || out_bundle->fingerprint == NULL ||
      !describe_inputs(arena, c->plan, out_bundle) ||
      !describe_kernels(arena, c, out_bundle)) {
    return tsr_error_out_of_memory(error);
  }
  return TSR_OK;
}

// ---- Members ---------------------------------------------------------------

// What tsr_compile_bundle works on.
typedef struct writer {
  tsr_compile *c;
  tsr_bundle bundle;
  const char *root;  // the staging folder
  tsr_bundle_file files[4];
  tsr_bundle_image *images;
} writer;

static tsr_status write_member(const writer *w, tsr_bundle_file *file,
                               const tsr_buffer *text, tsr_error *error) {
  tsr_status status = tsr_buffer_status(text, error);
  if (status != TSR_OK) return status;
  char *path = tsr_path_join(w->root, file->path);
  char *folder = path == NULL ? NULL : tsr_path_directory(path);
  if (folder == NULL) {
    status = tsr_error_out_of_memory(error);
  } else {
    status = tsr_path_make_directories(folder, error);
  }
  if (status == TSR_OK) {
    status = tsr_file_write(path, tsr_buffer_text(text), text->size, error);
  }
  tsr_free(folder);
  tsr_free(path);
  file->size = text->size;
  file->hash = tsr_hash_bytes(tsr_buffer_text(text), text->size);
  return status;
}

static tsr_status write_texts(writer *w, tsr_error *error) {
  tsr_arena *arena = tsr_compilation_arena(w->c->compilation);
  const char *symbol = w->bundle.symbol;
  tsr_bundle_file *files = w->files;
  files[0].path = "plan.tess";
  files[1] = w->c->weights;
  files[2].path = tsr_arena_printf(arena, "include/%s.h", symbol);
  files[3].path = tsr_arena_printf(arena, "src/%s.c", symbol);
  if (files[2].path == NULL || files[3].path == NULL) {
    return tsr_error_out_of_memory(error);
  }
  tsr_buffer text = {0};
  tsr_ast_flatten(w->c->ast, &text);
  tsr_status status = write_member(w, &files[0], &text, error);
  tsr_buffer_clear(&text);
  tsr_bundle_write_header(&w->bundle, &text);
  if (status == TSR_OK) status = write_member(w, &files[2], &text, error);
  tsr_buffer_clear(&text);
  tsr_bundle_write_source(&w->bundle, &text);
  if (status == TSR_OK) status = write_member(w, &files[3], &text, error);
  tsr_buffer_fini(&text);
  w->bundle.files = files;
  w->bundle.file_count = 4;
  return status;
}

static tsr_status write_manifest(const writer *w, tsr_error *error) {
  tsr_buffer text = {0};
  tsr_bundle_file file = {.path = "manifest.json"};
  tsr_bundle_write_manifest(&w->bundle, &text);
  tsr_status status = write_member(w, &file, &text, error);
  tsr_buffer_fini(&text);
  return status;
}

// ---- Images ----------------------------------------------------------------

static tsr_status hash_image(const char *path, tsr_bundle_file *file,
                             tsr_error *error) {
  tsr_map map;
  tsr_status status = tsr_map_open(path, &map, error);
  if (status != TSR_OK) return status;
  file->size = map.size;
  file->hash = tsr_hash_bytes(map.data, map.size);
  tsr_map_close(&map);
  return TSR_OK;
}

static tsr_status link_objects(const writer *w, uint32_t variant,
                               const char *path, tsr_error *error) {
  const tsr_compile *c = w->c;
  tsr_object *objects = tsr_calloc(c->kernel_count, sizeof(*objects));
  if (objects == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < c->kernel_count; ++i) {
    const tsr_buffer *object =
        &tsr_compile_object(c, i, variant)->emitted.object;
    objects[i] = (tsr_object){c->kernels[i].name, object->data, object->size};
  }
  tsr_status status =
      tsr_codegen_link(c->variants[variant], objects, c->kernel_count,
                       tsr_cli_string(c->cli, "linker"), path, error);
  tsr_free(objects);
  return status;
}

// Task |index|: the image of one variant.
static tsr_status write_image(void *context, uint32_t worker, uint64_t index,
                              tsr_error *error) {
  (void)worker;
  const writer *w = context;
  uint32_t variant = (uint32_t)index;
  tsr_bundle_image *image = &w->images[index];
  char *path = tsr_path_join(w->root, image->file.path);
  if (path == NULL) return tsr_error_out_of_memory(error);
  uint64_t start = tsr_trace_now(w->c->trace);
  tsr_status status = link_objects(w, variant, path, error);
  tsr_trace_add(w->c->trace, "link", image->variant, start);
  if (status == TSR_OK) status = hash_image(path, &image->file, error);
  tsr_free(path);
  return status;
}

static tsr_status describe_images(writer *w, tsr_error *error) {
  tsr_compile *c = w->c;
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  w->images =
      tsr_arena_alloc_array(arena, c->variant_count, sizeof(*w->images));
  if (w->images == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < c->variant_count; ++i) {
    const tsr_variant *variant = c->variants[i];
    const char *path =
        tsr_arena_printf(arena, "kernels/host-%s.so", variant->name);
    if (path == NULL) return tsr_error_out_of_memory(error);
    w->images[i] = (tsr_bundle_image){.family = "host",
                                      .variant = variant->name,
                                      .architecture = variant->architecture,
                                      .required = variant->required,
                                      .rank = variant->rank,
                                      .abi = TSR_HOST_ABI_VERSION,
                                      .file = {.path = path}};
  }
  return TSR_OK;
}

static tsr_status write_images(writer *w, tsr_error *error) {
  tsr_status status = describe_images(w, error);
  if (status != TSR_OK) return status;
  char *folder = tsr_path_join(w->root, "kernels");
  if (folder == NULL) return tsr_error_out_of_memory(error);
  status = tsr_path_make_directories(folder, error);
  tsr_free(folder);
  if (status == TSR_OK) {
    status = tsr_parallel_for(w->c->threads, w->c->variant_count, write_image,
                              w, error);
  }
  w->bundle.images = w->images;
  w->bundle.image_count = w->c->variant_count;
  return status;
}

// ---- The bundle ------------------------------------------------------------

static tsr_status place_single(const writer *w, tsr_error *error) {
  tsr_compile *c = w->c;
  const char *paths[4 + TSR_VARIANT_LIMIT];
  uint32_t count = 0;
  for (uint32_t i = 0; i < w->bundle.file_count; ++i) {
    paths[count++] = w->files[i].path;
  }
  for (uint32_t i = 0; i < w->bundle.image_count; ++i) {
    paths[count++] = w->images[i].file.path;
  }
  if (tsr_path_is_directory(c->staging.final_path)) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "%s is a folder; a single-file bundle cannot take "
                         "its place",
                         c->staging.final_path);
  }
  return tsr_bundle_write_single(w->root, paths, count, c->staging.final_path,
                                 error);
}

tsr_status tsr_compile_bundle(tsr_compile *c, tsr_error *error) {
  writer w = {.c = c, .root = c->staging.temporary_path};
  tsr_status status = tsr_compile_describe(c, &w.bundle, error);
  if (status == TSR_OK) status = write_images(&w, error);
  if (status == TSR_OK) status = write_texts(&w, error);
  if (status == TSR_OK) status = write_manifest(&w, error);
  if (status != TSR_OK) return status;
  if (c->single_file) return place_single(&w, error);
  return tsr_staging_commit(&c->staging, error);
}
