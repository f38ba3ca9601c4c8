// SPDX-License-Identifier: Apache-2.0
// tesserac compile: the images of a bundle. Host: one shared object linked for
// each variant. CUDA: for each target a module of PTX, and a cubin where there
// is an assembler.
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "tesserac/compile.h"

// What all tasks share; image |i| of the first |variant_count| is a variant's.
typedef struct image_writer {
  const tsr_compile *c;
  const char *root;  // the staging folder
  tsr_bundle_image *images;
  const tsr_buffer **contents;  // of CUDA images; NULL: to be linked
} image_writer;

// ---- Host ------------------------------------------------------------------

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

static tsr_status link_objects(const image_writer *w, uint32_t variant,
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

static tsr_status describe_host(image_writer *w, uint32_t *io_count,
                                tsr_error *error) {
  const tsr_compile *c = w->c;
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  for (uint32_t i = 0; i < c->variant_count; ++i) {
    const tsr_variant *variant = c->variants[i];
    const char *path =
        tsr_arena_printf(arena, "kernels/host-%s.so", variant->name);
    if (path == NULL) return tsr_error_out_of_memory(error);
    w->images[(*io_count)++] =
        (tsr_bundle_image){.family = TSR_TARGET_HOST,
                           .variant = variant->name,
                           .architecture = variant->architecture,
                           .required = variant->required,
                           .rank = variant->rank,
                           .abi = TSR_HOST_ABI_VERSION,
                           .file = {.path = path}};
  }
  return TSR_OK;
}

// ---- CUDA ------------------------------------------------------------------

// Of the kernels that |image| holds. NULL when out of memory.
static const tsr_bundle_resources *describe_resources(
    const tsr_compile *c, uint32_t target, const tsr_bundle_image *image) {
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  tsr_bundle_resources *rows =
      tsr_arena_alloc_array(arena, image->kernel_count, sizeof(*rows));
  for (uint32_t i = 0; rows != NULL && i < image->kernel_count; ++i) {
    const tsr_cuda_resources *from =
        &tsr_compile_cuda_object(c, image->kernels[i], target)->resources;
    rows[i] = (tsr_bundle_resources){.kernel = image->kernels[i],
                                     .registers = from->registers,
                                     .spill_stores = from->spill_stores,
                                     .spill_loads = from->spill_loads,
                                     .stack = from->stack,
                                     .shared_static = from->shared_static,
                                     .blocks = from->blocks,
                                     .limiter = from->limiter};
  }
  return rows;
}

static bool describe_held(const tsr_compile *c, uint32_t target,
                          tsr_bundle_image *image) {
  uint32_t *kernels =
      tsr_arena_alloc_array(tsr_compilation_arena(c->compilation),
                            c->cuda_kernel_count, sizeof(*kernels));
  if (kernels == NULL) return false;
  image->kernel_count = tsr_compile_cuda_held(c, target, kernels);
  image->kernels = kernels;
  return true;
}

static tsr_status describe_module(image_writer *w, uint32_t index,
                                  bool is_cubin, uint32_t *io_count,
                                  tsr_error *error) {
  const tsr_compile *c = w->c;
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  const tsr_cuda_target *target = c->cuda_targets[index];
  const char *format = is_cubin ? "cubin" : "ptx";
  tsr_bundle_image *image = &w->images[*io_count];
  *image = (tsr_bundle_image){
      .family = TSR_TARGET_CUDA,
      .variant = target->name,
      .architecture = target->name,
      .required = "",
      // One more than the plain one's, which its GPU takes as well.
      .rank = (int)target->sm + target->is_exact,
      .abi = TSR_NVIDIA_ABI_VERSION,
      .format = format,
      .ptxas = is_cubin ? tsr_buffer_text(&c->ptxas_version) : "",
      .file.path =
          tsr_arena_printf(arena, "kernels/cuda-%s.%s", target->name, format)};
  if (image->file.path == NULL || !describe_held(c, index, image)) {
    return tsr_error_out_of_memory(error);
  }
  if (is_cubin) {
    image->resources = describe_resources(c, index, image);
    if (image->resources == NULL) return tsr_error_out_of_memory(error);
    image->resource_count = image->kernel_count;
  }
  w->contents[(*io_count)++] =
      is_cubin ? &c->cuda_modules[index].cubin : &c->cuda_modules[index].ptx;
  return TSR_OK;
}

static tsr_status describe_cuda(image_writer *w, uint32_t *io_count,
                                tsr_error *error) {
  const tsr_compile *c = w->c;
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < c->cuda_target_count; ++i) {
    status = describe_module(w, i, false, io_count, error);
    if (status == TSR_OK && c->cuda_modules[i].cubin.size != 0) {
      status = describe_module(w, i, true, io_count, error);
    }
  }
  return status;
}

// ---- All -------------------------------------------------------------------

// Task |index|: one image.
static tsr_status write_image(void *context, uint32_t worker, uint64_t index,
                              tsr_error *error) {
  (void)worker;
  const image_writer *w = context;
  tsr_bundle_image *image = &w->images[index];
  const tsr_buffer *content = w->contents[index];
  char *path = tsr_path_join(w->root, image->file.path);
  if (path == NULL) return tsr_error_out_of_memory(error);
  uint64_t start = tsr_trace_now(w->c->trace);
  tsr_status status =
      content == NULL
          ? link_objects(w, (uint32_t)index, path, error)
          : tsr_file_write(path, content->data, content->size, error);
  tsr_trace_add(w->c->trace, content == NULL ? "link" : "write",
                image->file.path, start);
  if (status == TSR_OK) status = hash_image(path, &image->file, error);
  tsr_free(path);
  return status;
}

static tsr_status make_folder(const char *root, tsr_error *error) {
  char *folder = tsr_path_join(root, "kernels");
  if (folder == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = tsr_path_make_directories(folder, error);
  tsr_free(folder);
  return status;
}

tsr_status tsr_compile_images(const tsr_compile *c, const char *root,
                              tsr_bundle *bundle, tsr_error *error) {
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  size_t limit = c->variant_count + 2 * (size_t)c->cuda_target_count;
  image_writer w = {
      .c = c,
      .root = root,
      .images = tsr_arena_alloc_array(arena, limit, sizeof(*w.images)),
      .contents = tsr_arena_alloc_array(arena, limit, sizeof(*w.contents))};
  if (w.images == NULL || w.contents == NULL) {
    return tsr_error_out_of_memory(error);
  }
  uint32_t count = 0;
  tsr_status status = describe_host(&w, &count, error);
  if (status == TSR_OK) status = describe_cuda(&w, &count, error);
  if (status == TSR_OK) status = make_folder(root, error);
  if (status == TSR_OK) {
    status = tsr_parallel_for(c->threads, count, write_image, &w, error);
  }
  bundle->images = w.images;
  bundle->image_count = count;
  return status;
}
