// SPDX-License-Identifier: Apache-2.0
// See layer.h.
#include "layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compiler/host_pack.h"
#include "support/dynamic.h"
#include "support/grid.h"
#include "support/pruned.h"
#include "support/random.h"

static void choose_kinds(const layer_options *options, tsr_tile_grid *grid,
                         uint64_t *state, uint32_t *out_kinds) {
  uint32_t count = grid->panel_count * grid->column_count;
  for (uint32_t i = 0; i < count; ++i) {
    double pick = ((double)random_uniform(state) + 1) / 2;
    tsr_kind kind = TSR_KIND_DENSE;
    if (pick < options->zero_share + options->sparse_share) {
      kind = TSR_KIND_SPARSE24;
    }
    if (pick < options->zero_share) kind = TSR_KIND_ZERO;
    grid->kinds[i] = (uint8_t)kind;
    *out_kinds |= 1u << kind;
  }
}

static void view_schedule(layer *out) {
  const char *at = out->schedule_bytes.data;
  out->schedule = (const void *)at;
  at += sizeof(tsr_host_schedule);
  out->workers = (const void *)at;
  at += out->schedule->worker_count * sizeof(tsr_host_worker);
  out->segments = (const void *)at;
  at += out->schedule->segment_count * sizeof(tsr_host_segment);
  out->reductions = (const void *)at;
  at += out->schedule->reduction_count * sizeof(tsr_host_reduction);
  out->tiles = (const void *)at;
}

static void pack_worker(layer *out, const tsr_tile_grid *grid,
                        const tsr_host_worker *worker, const pruned *p) {
  uint8_t *at = out->stream + worker->stream_offset;
  for (uint32_t s = 0; s < worker->segment_count; ++s) {
    const tsr_host_segment *segment = &out->segments[worker->segment_first + s];
    for (uint32_t t = 0; t < segment->tile_count; ++t) {
      tsr_host_tile tile = out->tiles[segment->tile_first + t];
      uint32_t column = (tile & 0xffffffu) * grid->tile.columns;
      size_t row = (size_t)segment->panel * grid->tile.rows;
      uint32_t rows = tsr_grid_panel_rows(grid, segment->panel);
      uint32_t columns = tsr_grid_tile_columns(grid, tile & 0xffffffu);
      tsr_host_pack_tile(p->weights + row * grid->columns + column,
                         grid->columns, p->keep + row * p->keep_stride,
                         p->keep_stride, column, rows, columns,
                         (tsr_kind)(tile >> 24), out->spec.weight_type, at);
      at += tsr_host_tile_size(rows, columns, (tsr_kind)(tile >> 24));
    }
  }
}

static bool make_schedule(const layer_options *options, layer *out,
                          const tsr_tile_grid *grid) {
  tsr_plan_schedule knobs = {.workers = options->workers,
                             .split_panels = options->split};
  tsr_schedule schedule;
  tsr_error error = {0};
  if (tsr_schedule_build(&out->arena, grid, &knobs, tsr_host_tile_cost,
                         &schedule, &error) != TSR_OK) {
    fprintf(stderr, "schedule: %s\n", error.message);
    return false;
  }
  tsr_host_write_schedule(&schedule, &out->schedule_bytes, &out->stream_size);
  view_schedule(out);
  return true;
}

static bool make_stream(layer *out, const tsr_tile_grid *grid,
                        const pruned *p) {
  size_t size = out->stream_size + TSR_HOST_STREAM_SLACK;
  out->stream = aligned_alloc(64, (size + 63) / 64 * 64);
  if (out->stream == NULL) return false;
  memset(out->stream, 0, size);
  for (uint32_t w = 0; w < out->schedule->worker_count; ++w) {
    pack_worker(out, grid, &out->workers[w], p);
  }
  return true;
}

static bool build(const layer_options *options, layer *out) {
  const tsr_kernel_spec *spec = &out->spec;
  uint64_t state = options->seed;
  pruned p;
  tsr_tile_grid grid = grid_of(spec->rows, spec->columns, spec->tile, NULL);
  grid.kinds =
      tsr_arena_alloc_array(&out->arena, grid.panel_count, grid.column_count);
  if (grid.kinds == NULL) return false;
  out->spec.kinds = 0;
  choose_kinds(options, &grid, &state, &out->spec.kinds);
  if (!pruned_create(&out->arena, &grid, spec->weight_type, &state, &p)) {
    return false;
  }
  out->weights = p.weights;
  out->bias = p.bias;
  return make_schedule(options, out, &grid) && make_stream(out, &grid, &p);
}

bool layer_create(const layer_options *options, layer *out_layer) {
  memset(out_layer, 0, sizeof(*out_layer));
  out_layer->spec = options->spec;
  if (build(options, out_layer)) return true;
  fprintf(stderr, "cannot build the layer\n");
  layer_destroy(out_layer);
  return false;
}

void layer_destroy(layer *l) {
  free(l->stream);
  tsr_buffer_fini(&l->schedule_bytes);
  tsr_arena_fini(&l->arena);
  l->stream = NULL;
}

static double now(void) {
  struct timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool load(image *out, const char *path) {
  out->handle = dynamic_open(path);
  if (out->handle == NULL) return false;
  for (uint32_t i = 0; i < out->kernel_count; ++i) {
    const tsr_kernel *kernel = &out->kernels[i];
    (void)dynamic_find(out->handle, kernel->pack_symbol, &out->pack[i]);
    if (!dynamic_find(out->handle, kernel->run_symbol, &out->run[i]) ||
        !dynamic_find(out->handle, kernel->reduce_symbol, &out->reduce[i])) {
      return false;
    }
  }
  return true;
}

// Compiles all kernels and links them into |path|.
static tsr_status make_image(image *out, const tsr_variant *variant,
                             const char *path, tsr_error *error) {
  tsr_emitted emitted[TSR_KERNEL_LIMIT];
  tsr_object objects[TSR_KERNEL_LIMIT];
  tsr_status status = TSR_OK;
  double start = now();
  uint32_t done = 0;
  for (; done < out->kernel_count && status == TSR_OK; ++done) {
    status = tsr_codegen_compile(&out->kernels[done], variant, TSR_EMIT_OBJECT,
                                 &emitted[done], error);
    objects[done] =
        (tsr_object){out->kernels[done].name, emitted[done].object.data,
                     emitted[done].object.size};
  }
  out->compile_seconds = now() - start;
  if (status == TSR_OK) {
    status = tsr_codegen_link(variant, objects, out->kernel_count, NULL, path,
                              error);
  }
  for (uint32_t i = 0; i < done; ++i) tsr_emitted_fini(&emitted[i]);
  return status;
}

bool image_create(const tsr_kernel_spec *spec, const char *variant_name,
                  image *out_image) {
  memset(out_image, 0, sizeof(*out_image));
  const tsr_variant *variant = tsr_variant_find(variant_name);
  if (variant == NULL) return false;
  out_image->kernel_count = tsr_codegen_plan(spec, out_image->kernels);
  // A new name each time: dlopen takes the same name for the same image.
  static unsigned serial;
  char path[64];
  (void)snprintf(path, sizeof(path), "/tmp/tessera-test-%ld-%u.so",
                 (long)getpid(), serial++);
  tsr_error error = {0};
  tsr_status status = make_image(out_image, variant, path, &error);
  bool ok = status == TSR_OK && load(out_image, path);
  (void)unlink(path);
  if (status != TSR_OK) fprintf(stderr, "image: %s\n", error.message);
  return ok;
}

void image_destroy(image *im) {
  if (im->handle != NULL) (void)dlclose(im->handle);
  im->handle = NULL;
}

uint32_t image_kernel(const image *im, uint64_t tokens) {
  uint32_t i = 0;
  for (; i < im->kernel_count; ++i) {
    const tsr_kernel_spec *spec = &im->kernels[i].spec;
    if (tokens >= spec->token_first && tokens <= spec->token_last) break;
  }
  return i;
}

static bool line_has(const char *line, const char *word, size_t size) {
  for (const char *at = strstr(line, word); at != NULL;
       at = strstr(at + 1, word)) {
    bool ends = at[size] == ' ' || at[size] == '\n' || at[size] == '\0';
    if (at[-1] == ' ' && ends && strncmp(at, word, size) == 0) return true;
  }
  return false;
}

bool machine_can(const char *variant_name) {
  const tsr_variant *variant = tsr_variant_find(variant_name);
  static char line[16384];
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (file == NULL || variant == NULL) return false;
  bool found = false;
  while (!found && fgets(line, sizeof(line), file) != NULL) {
    found = strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0;
  }
  (void)fclose(file);
#if defined(__x86_64__)
  if (strcmp(variant->architecture, "x86_64") != 0) return false;
#else
  if (strcmp(variant->architecture, "aarch64") != 0) return false;
#endif
  for (const char *at = variant->required; found && *at != '\0';) {
    size_t size = strcspn(at, " ");
    char word[32];
    (void)snprintf(word, sizeof(word), "%.*s", (int)size, at);
    if (!line_has(line, word, size)) return false;
    at += size + (at[size] == ' ' ? 1 : 0);
  }
  return found;
}
