// SPDX-License-Identifier: Apache-2.0
// tesserac compile: the members of a bundle and its manifest; then the finished
// folder (or file) takes its place in one step.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
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

static bool describe_cuda_kernels(tsr_arena *arena, const tsr_compile *c,
                                  tsr_bundle *bundle) {
  tsr_bundle_cuda_kernel *kernels =
      tsr_arena_alloc_array(arena, c->cuda_kernel_count, sizeof(*kernels));
  if (kernels == NULL) return false;
  for (uint32_t i = 0; i < c->cuda_kernel_count; ++i) {
    const tsr_cuda_kernel *from = &c->cuda_kernels[i];
    kernels[i] = (tsr_bundle_cuda_kernel){.name = from->name,
                                          .strategy = from->strategy,
                                          .mode = from->mode,
                                          .token_first = from->spec.token_first,
                                          .token_last = from->spec.token_last,
                                          .threads = from->threads,
                                          .shared_size = from->shared_size,
                                          .block_tokens = from->block_tokens};
  }
  bundle->cuda_kernels = kernels;
  bundle->cuda_kernel_count = c->cuda_kernel_count;
  return true;
}

// Both generators where both have worked.
static void write_fingerprint(const tsr_compile *c, tsr_buffer *out) {
  if (c->variant_count != 0) tsr_codegen_fingerprint(out);
  if (c->cuda_target_count == 0) return;
  if (out->size != 0) tsr_buffer_append_string(out, ", ");
  tsr_cuda_fingerprint(out);
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
  write_fingerprint(c, &fingerprint);
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
      !describe_kernels(arena, c, out_bundle) ||
      !describe_cuda_kernels(arena, c, out_bundle)) {
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

// ---- The bundle ------------------------------------------------------------

static tsr_status place_single(const writer *w, tsr_error *error) {
  tsr_compile *c = w->c;
  const char *paths[4 + 3 * TSR_VARIANT_LIMIT];  // PTX and cubin for CUDA
  uint32_t count = 0;
  for (uint32_t i = 0; i < w->bundle.file_count; ++i) {
    paths[count++] = w->files[i].path;
  }
  for (uint32_t i = 0; i < w->bundle.image_count; ++i) {
    paths[count++] = w->bundle.images[i].file.path;
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
  if (status == TSR_OK) {
    status = tsr_compile_images(c, w.root, &w.bundle, error);
  }
  if (status == TSR_OK) status = write_texts(&w, error);
  if (status == TSR_OK) status = write_manifest(&w, error);
  if (status != TSR_OK) return status;
  if (c->single_file) return place_single(&w, error);
  return tsr_staging_commit(&c->staging, error);
}
