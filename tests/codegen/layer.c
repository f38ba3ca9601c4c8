// SPDX-License-Identifier: Apache-2.0
// See layer.h.
#include "layer.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/float16.h"
#include "compiler/host_pack.h"

uint64_t random_next(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

float random_uniform(uint64_t *state) {
  return (float)((double)(random_next(state) >> 11) * 0x1p-52 - 1.0);
}

static float round_weight(float value, tsr_dtype type) {
  if (type == TSR_DTYPE_BF16)
    return tsr_bf16_to_float(tsr_bf16_from_float(value));
  return tsr_fp16_to_float(tsr_fp16_from_float(value));
}

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

// A tile's keep bits: dense keeps most, 2:4 keeps 0, 1 or (mostly) 2 of 4.
static void keep_row(tsr_kind kind, uint32_t columns, uint64_t *state,
                     uint8_t *keep) {
  for (uint32_t c = 0; c < columns; ++c) {
    keep[c] = kind == TSR_KIND_DENSE && random_next(state) % 16 != 0;
  }
  if (kind != TSR_KIND_SPARSE24) return;
  for (uint32_t c = 0; c < columns; c += 4) {
    uint32_t left = columns - c < 4 ? columns - c : 4;
    uint32_t keeps = random_next(state) % 16 == 0 ? 1 : 2;
    for (uint32_t i = 0; i < keeps; ++i) {
      keep[c + random_next(state) % left] = 1;
    }
  }
}

static void fill(layer *out, const tsr_tile_grid *grid, uint64_t *state,
                 uint8_t *keep_bits, size_t keep_stride) {
  uint8_t keep[512];
  for (uint32_t row = 0; row < grid->rows; ++row) {
    for (uint32_t t = 0; t < grid->column_count; ++t) {
      tsr_kind kind = tsr_grid_kind(grid, row / grid->tile.rows, t);
      uint32_t columns = tsr_grid_tile_columns(grid, t);
      keep_row(kind, columns, state, keep);
      for (uint32_t c = 0; c < columns; ++c) {
        if (keep[c] == 0) continue;
        size_t column = (size_t)t * grid->tile.columns + c;
        out->weights[row * (size_t)grid->columns + column] =
            round_weight(random_uniform(state), out->spec.weight_type);
        keep_bits[row * keep_stride + column / 8] |=
            (uint8_t)(1u << column % 8);
      }
    }
    out->bias[row] = random_uniform(state);
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
                        const tsr_host_worker *worker, const uint8_t *keep,
                        size_t keep_stride) {
  uint8_t *at = out->stream + worker->stream_offset;
  for (uint32_t s = 0; s < worker->segment_count; ++s) {
    const tsr_host_segment *segment = &out->segments[worker->segment_first + s];
    for (uint32_t t = 0; t < segment->tile_count; ++t) {
      tsr_host_tile tile = out->tiles[segment->tile_first + t];
      uint32_t column = (tile & 0xffffffu) * grid->tile.columns;
      size_t row = (size_t)segment->panel * grid->tile.rows;
      uint32_t rows = tsr_grid_panel_rows(grid, segment->panel);
      uint32_t columns = tsr_grid_tile_columns(grid, tile & 0xffffffu);
      tsr_host_pack_tile(out->weights + row * grid->columns + column,
                         grid->columns, keep + row * keep_stride, keep_stride,
                         column, rows, columns, (tsr_kind)(tile >> 24),
                         out->spec.weight_type, at);
      at += tsr_host_tile_size(rows, columns, (tsr_kind)(tile >> 24));
    }
  }
}

static bool build(const layer_options *options, layer *out) {
  const tsr_kernel_spec *spec = &out->spec;
  tsr_tile_grid grid = {
      .tile = spec->tile, .rows = spec->rows, .columns = spec->columns};
  grid.panel_count = (spec->rows - 1) / spec->tile.rows + 1;
  grid.column_count = (spec->columns - 1) / spec->tile.columns + 1;
  size_t weights = (size_t)spec->rows * spec->columns;
  size_t keep_stride = (spec->columns + 7) / 8;
  grid.kinds =
      tsr_arena_alloc_array(&out->arena, grid.panel_count, grid.column_count);
  out->weights = tsr_arena_alloc_array(&out->arena, weights, sizeof(float));
  out->bias = tsr_arena_alloc_array(&out->arena, spec->rows, sizeof(float));
  uint8_t *keep = tsr_arena_alloc_array(&out->arena, spec->rows, keep_stride);
  if (!grid.kinds || !out->weights || !out->bias || !keep) return false;
  uint64_t state = options->seed;
  out->spec.kinds = 0;
  choose_kinds(options, &grid, &state, &out->spec.kinds);
  fill(out, &grid, &state, keep, keep_stride);
  tsr_plan_schedule knobs = {.workers = options->workers,
                             .split_panels = options->split};
  tsr_schedule schedule;
  tsr_error error = {0};
  if (tsr_schedule_build(&out->arena, &grid, &knobs, tsr_host_tile_cost,
                         &schedule, &error) != TSR_OK) {
    fprintf(stderr, "schedule: %s\n", error.message);
    return false;
  }
  tsr_host_write_schedule(&schedule, &out->schedule_bytes, &out->stream_size);
  view_schedule(out);
  out->stream = aligned_alloc(
      64, (out->stream_size + TSR_HOST_STREAM_SLACK + 63) / 64 * 64);
  if (out->stream == NULL) return false;
  memset(out->stream, 0, out->stream_size + TSR_HOST_STREAM_SLACK);
  for (uint32_t w = 0; w < out->schedule->worker_count; ++w) {
    pack_worker(out, &grid, &out->workers[w], keep, keep_stride);
  }
  return true;
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

static tsr_host_function find(void *handle, const char *symbol) {
  void *address = symbol[0] == '\0' ? NULL : dlsym(handle, symbol);
  tsr_host_function function;
  memcpy(&function, &address, sizeof(function));
  return function;
}

static bool load(image *out, const char *path) {
  out->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (out->handle == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return false;
  }
  for (uint32_t i = 0; i < out->kernel_count; ++i) {
    out->run[i] = find(out->handle, out->kernels[i].run_symbol);
    out->reduce[i] = find(out->handle, out->kernels[i].reduce_symbol);
    out->pack[i] = find(out->handle, out->kernels[i].pack_symbol);
    if (out->run[i] == NULL || out->reduce[i] == NULL) return false;
  }
  return true;
}

bool image_create(const tsr_kernel_spec *spec, const char *variant_name,
                  image *out_image) {
  memset(out_image, 0, sizeof(*out_image));
  const tsr_variant *variant = tsr_variant_find(variant_name);
  if (variant == NULL) return false;
  image *out = out_image;
  out->kernel_count = tsr_codegen_plan(spec, out->kernels);
  tsr_emitted emitted[TSR_KERNEL_LIMIT];
  tsr_object objects[TSR_KERNEL_LIMIT];
  tsr_error error = {0};
  tsr_status status = TSR_OK;
  double start = now();
  uint32_t done = 0;
  for (; done < out->kernel_count && status == TSR_OK; ++done) {
    status = tsr_codegen_compile(&out->kernels[done], variant, TSR_EMIT_OBJECT,
                                 &emitted[done], &error);
    objects[done] =
        (tsr_object){out->kernels[done].name, emitted[done].object.data,
                     emitted[done].object.size};
  }
  out->compile_seconds = now() - start;
  // A new name each time: dlopen takes the same name for the same image.
  static unsigned serial;
  char path[64];
  (void)snprintf(path, sizeof(path), "/tmp/tessera-test-%ld-%u.so",
                 (long)getpid(), serial++);
  if (status == TSR_OK) {
    status = tsr_codegen_link(variant, objects, out->kernel_count, NULL, path,
                              &error);
  }
  for (uint32_t i = 0; i < done; ++i) tsr_emitted_fini(&emitted[i]);
  bool ok = status == TSR_OK && load(out, path);
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
