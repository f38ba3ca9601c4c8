// SPDX-License-Identifier: Apache-2.0
// See synthetic.h.
#include "synthetic.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "container.h"
#include "manifest_text.h"
#include "support/number.h"

#define PLAN "model \"synthetic\";\n"

static const synthetic_layer specs[SYNTHETIC_LAYERS] = {
#define LAYER(symbol, r, c, tile_r, tile_c, weight, output, act, b, res) \
  {.name = #symbol,                                                      \
   .rows = r,                                                            \
   .columns = c,                                                         \
   .tile = {tile_r, tile_c},                                             \
   .weight_type = TSR_DTYPE_##weight,                                    \
   .output_type = TSR_DTYPE_##output,                                    \
   .activation = TSR_ACTIVATION_##act,                                   \
   .has_bias = b,                                                        \
   .has_residual = res},
#include "layers.def"
#undef LAYER
};

static void *must(void *memory) {
  if (memory == NULL) abort();
  return memory;
}

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

float synthetic_number(uint64_t seed, uint64_t index) {
  uint64_t bits = mix(seed * 0x9e3779b97f4a7c15u + index);
  return (float)((int)(bits & 0xff) - 128) / 128.0f;
}

static uint32_t extent(uint32_t index, uint32_t tile, uint32_t total) {
  uint32_t left = total - index * tile;
  return left < tile ? left : tile;
}

// ---- Weights ----------------------------------------------------------------

static void make_weights(synthetic_layer *l, uint64_t seed) {
  l->panels = (l->rows + l->tile.rows - 1) / l->tile.rows;
  l->tile_columns = (l->columns + l->tile.columns - 1) / l->tile.columns;
  l->output_columns =
      tsr_activation_is_gated(l->activation) ? l->rows / 2 : l->rows;
  l->grid = must(calloc((size_t)l->panels * l->tile_columns, 1));
  l->weights = must(calloc((size_t)l->rows * l->columns, sizeof(float)));
  bool is_empty = strcmp(l->name, "nothing") == 0;
  for (uint32_t i = 0; i < l->panels * l->tile_columns; ++i) {
    // Panel 1 keeps nothing: its output is the epilogue of zero.
    bool is_zero = is_empty || i / l->tile_columns == 1;
    l->grid[i] = is_zero ? TSR_KIND_ZERO : (uint8_t)(mix(seed + i) % 3);
    ++l->kinds[l->grid[i]];
  }
  for (uint32_t r = 0; r < l->rows; ++r) {
    for (uint32_t c = 0; c < l->columns; ++c) {
      uint32_t kind =
          l->grid[r / l->tile.rows * l->tile_columns + c / l->tile.columns];
      uint64_t pair = mix(seed ^ (r * 977u + c / 4)) % 4;
      bool is_kept = kind == TSR_KIND_DENSE ||
                     (kind == TSR_KIND_SPARSE24 &&
                      (c % 4 == pair || c % 4 == (pair + 1) % 4));
      uint64_t index = (uint64_t)r * l->columns + c;
      if (is_kept) l->weights[index] = synthetic_number(seed, index);
    }
  }
}

static float weight_or_zero(const synthetic_layer *l, uint32_t panel,
                            uint32_t column, uint32_t r, uint32_t c) {
  if (r >= extent(panel, l->tile.rows, l->rows)) return 0;
  if (c >= extent(column, l->tile.columns, l->columns)) return 0;
  return l->weights[(size_t)(panel * l->tile.rows + r) * l->columns +
                    column * l->tile.columns + c];
}

static void put_dense_unit(const synthetic_layer *l, uint32_t panel,
                           uint32_t column, uint32_t r, uint32_t c,
                           tsr_buffer *out) {
  for (uint32_t i = 0; i < 32; ++i) {
    uint16_t bits = number_bits(
        weight_or_zero(l, panel, column, r + i / 4, c + i % 4), l->weight_type);
    tsr_buffer_append(out, &bits, 2);
  }
}

// Two of the unit's rows' four: those that are not zero, then the lowest free.
static uint32_t unit_mask(const synthetic_layer *l, uint32_t panel,
                          uint32_t column, uint32_t r, uint32_t c) {
  uint32_t mask = 0;
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t kept = 0;
    uint32_t count = 0;
    for (uint32_t k = 0; k < 4; ++k) {
      if (weight_or_zero(l, panel, column, r + i, c + k) == 0) continue;
      kept |= 1u << k;
      ++count;
    }
    for (uint32_t k = 0; k < 4 && count < 2; ++k) {
      if ((kept >> k & 1u) != 0) continue;
      kept |= 1u << k;
      ++count;
    }
    mask |= kept << 4 * i;
  }
  return mask;
}

static void put_kept(const synthetic_layer *l, uint32_t panel, uint32_t column,
                     uint32_t r, uint32_t c, tsr_buffer *out) {
  uint32_t mask = unit_mask(l, panel, column, r, c);
  for (uint32_t i = 0; i < 32; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    uint16_t bits = number_bits(
        weight_or_zero(l, panel, column, r + i / 4, c + i % 4), l->weight_type);
    tsr_buffer_append(out, &bits, 2);
  }
}

static void put_micro_panel(const synthetic_layer *l, uint32_t panel,
                            uint32_t column, uint32_t kind, uint32_t first_row,
                            uint32_t rows, uint32_t columns, tsr_buffer *out) {
  if (kind == TSR_KIND_DENSE) {
    for (uint32_t c = 0; c < columns; c += 4) {
      for (uint32_t r = 0; r < rows; r += 8) {
        put_dense_unit(l, panel, column, first_row + r, c, out);
      }
    }
    return;
  }
  uint32_t high = (rows + 7) / 8;
  uint32_t units = high * ((columns + 3) / 4);
  for (uint32_t first = 0; first < units; first += 16) {
    uint32_t last = units - first < 16 ? units : first + 16;
    for (uint32_t u = first; u < last; ++u) {
      uint32_t mask =
          unit_mask(l, panel, column, first_row + u % high * 8, u / high * 4);
      tsr_buffer_append(out, &mask, 4);
    }
    container_align(out, 64);
    for (uint32_t u = first; u < last; ++u) {
      put_kept(l, panel, column, first_row + u % high * 8, u / high * 4, out);
    }
    container_align(out, 64);
  }
}

static void put_tile(const synthetic_layer *l, uint32_t panel, uint32_t column,
                     tsr_buffer *out) {
  uint32_t kind = l->grid[panel * l->tile_columns + column];
  uint32_t rows = extent(panel, l->tile.rows, l->rows);
  uint32_t columns = extent(column, l->tile.columns, l->columns);
  for (uint32_t r = 0; r < rows; r += 32) {
    put_micro_panel(l, panel, column, kind, r, rows - r < 32 ? rows - r : 32,
                    columns, out);
  }
}

// ---- Schedule ---------------------------------------------------------------

enum { LIMIT = 256 };

typedef struct plan {
  tsr_host_worker workers[LIMIT];
  tsr_host_segment segments[LIMIT];
  tsr_host_reduction reductions[LIMIT];
  tsr_host_tile tiles[LIMIT];
  uint32_t owner[LIMIT];  // of each tile
} plan;

static void start_segment(synthetic_layer *l, plan *p, uint32_t panel) {
  p->segments[l->segments++] =
      (tsr_host_segment){panel, l->tiles, 0, TSR_HOST_NO_PARTIAL};
}

static void put_panel(synthetic_layer *l, plan *p, uint32_t panel,
                      uint32_t *worker, uint32_t total) {
  uint32_t first_partial = l->partials;
  uint32_t first_segment = l->segments;
  start_segment(l, p, panel);
  ++p->workers[*worker].segment_count;
  for (uint32_t c = 0; c < l->tile_columns; ++c) {
    uint32_t kind = l->grid[panel * l->tile_columns + c];
    if (kind == TSR_KIND_ZERO) continue;
    uint32_t owner = l->tiles * l->workers / total;
    if (owner != *worker) {
      bool is_new = p->segments[l->segments - 1].tile_count != 0;
      if (!is_new) --p->workers[*worker].segment_count;
      *worker = owner;
      if (is_new) start_segment(l, p, panel);
      ++p->workers[*worker].segment_count;
    }
    p->tiles[l->tiles++] = kind << 24 | c;
    ++p->segments[l->segments - 1].tile_count;
    p->workers[*worker].stream_size += tsr_host_tile_size(
        extent(panel, l->tile.rows, l->rows),
        extent(c, l->tile.columns, l->columns), (tsr_kind)kind);
  }
  uint32_t pieces = l->segments - first_segment;
  if (pieces == 1) return;
  for (uint32_t i = first_segment; i < l->segments; ++i) {
    p->segments[i].partial = l->partials++;
  }
  p->reductions[l->reductions++] =
      (tsr_host_reduction){panel, first_partial, pieces, 0};
}

static void make_plan(synthetic_layer *l, plan *p) {
  uint32_t total = l->kinds[TSR_KIND_SPARSE24] + l->kinds[TSR_KIND_DENSE];
  uint32_t worker = 0;
  for (uint32_t panel = 0; panel < l->panels; ++panel) {
    put_panel(l, p, panel, &worker, total);
  }
  uint64_t offset = 0;
  uint32_t segment = 0;
  for (uint32_t i = 0; i < l->workers; ++i) {
    p->workers[i].stream_offset = offset;
    p->workers[i].segment_first = segment;
    offset += p->workers[i].stream_size;
    segment += p->workers[i].segment_count;
  }
}

static void put_schedule(synthetic_layer *l, const plan *p, tsr_buffer *out) {
  tsr_host_schedule header = {l->workers, l->segments, l->reductions,
                              l->tiles,   l->partials, {0}};
  tsr_buffer_append(out, &header, sizeof(header));
  tsr_buffer_append(out, p->workers, l->workers * sizeof(p->workers[0]));
  tsr_buffer_append(out, p->segments, l->segments * sizeof(p->segments[0]));
  tsr_buffer_append(out, p->reductions,
                    l->reductions * sizeof(p->reductions[0]));
  tsr_buffer_append(out, p->tiles, l->tiles * sizeof(p->tiles[0]));
}

// ---- weights.bin ------------------------------------------------------------

static void put_layer(synthetic_layer *l, uint64_t seed, uint32_t workers,
                      tsr_buffer *out) {
  plan *p = must(calloc(1, sizeof(*p)));
  l->workers = workers;
  make_weights(l, seed);
  make_plan(l, p);
  container_align(out, 64);
  l->grid_offset = out->size;
  l->grid_size = (uint64_t)l->panels * l->tile_columns;
  tsr_buffer_append(out, l->grid, l->grid_size);
  container_align(out, 4096);
  l->stream_offset = out->size;
  for (uint32_t i = 0; i < l->segments; ++i) {
    const tsr_host_segment *s = &p->segments[i];
    for (uint32_t t = 0; t < s->tile_count; ++t) {
      put_tile(l, s->panel, p->tiles[s->tile_first + t] & 0xffffff, out);
    }
  }
  l->stream_size = out->size - l->stream_offset;
  l->schedule_offset = out->size;
  put_schedule(l, p, out);
  l->schedule_size = out->size - l->schedule_offset;
  container_align(out, 64);
  if (l->has_bias) {
    l->bias_offset = out->size;
    l->bias_size = l->rows * sizeof(float);
    l->bias = must(calloc(l->rows, sizeof(float)));
    for (uint32_t i = 0; i < l->rows; ++i) {
      l->bias[i] = synthetic_number(seed + 99, i);
    }
    tsr_buffer_append(out, l->bias, l->bias_size);
  }
  free(p);
}

static void read_image(tsr_buffer *out, const char *path) {
  FILE *file = must(fopen(path, "rb"));
  char block[4096];
  size_t size;
  while ((size = fread(block, 1, sizeof(block), file)) != 0) {
    tsr_buffer_append(out, block, size);
  }
  (void)fclose(file);
}

void synthetic_init(synthetic *bundle, const char *image_path,
                    uint32_t workers) {
  memset(bundle, 0, sizeof(*bundle));
  memcpy(bundle->layers, specs, sizeof(specs));
  read_image(&bundle->image, image_path);
  tsr_buffer_append(&bundle->weights, "TSRWGT01", 8);
  container_align(&bundle->weights, 64);
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    put_layer(&bundle->layers[i], i + 1, workers, &bundle->weights);
  }
  static const char zeros[4096];
  tsr_buffer_append(&bundle->weights, zeros, sizeof(zeros));
  synthetic_manifest(bundle);
}

void synthetic_fini(synthetic *bundle) {
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    free(bundle->layers[i].weights);
    free(bundle->layers[i].bias);
    free(bundle->layers[i].grid);
  }
  tsr_buffer_fini(&bundle->weights);
  tsr_buffer_fini(&bundle->image);
  tsr_buffer_fini(&bundle->manifest);
}

// ---- manifest.json ----------------------------------------------------------

static void put_kernels(const synthetic *bundle, tsr_buffer *out) {
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    const synthetic_layer *l = &bundle->layers[i];
    tsr_buffer_printf(
        out,
        "%s{\"name\": \"%s_few\", \"strategy\": \"gemv\", "
        "\"tokens\": [1, 4], \"run\": \"%s_run\", \"reduce\": \"%s_reduce\", "
        "\"pack\": \"\", \"scratch\": [64, %u], \"packed\": [0, 0]},\n",
        i == 0 ? "" : ",\n", l->name, l->name, l->name, l->tile.rows * 4);
    tsr_buffer_printf(out,
                      "{\"name\": \"%s_many\", \"strategy\": \"gemm\", "
                      "\"tokens\": [6, 4294967295], \"run\": \"%s_run\", "
                      "\"reduce\": \"%s_reduce\", \"pack\": \"%s_pack\", "
                      "\"scratch\": [0, %u], \"packed\": [64, %u]}",
                      l->name, l->name, l->name, l->name, l->tile.rows * 4,
                      l->columns * 4);
  }
}

static void put_layer_json(const synthetic *bundle, uint32_t index,
                           tsr_buffer *out) {
  const synthetic_layer *l = &bundle->layers[index];
  uint64_t weights = (uint64_t)l->rows * l->columns;
  tsr_buffer_printf(
      out,
      "{\"name\": \"layer.%s\", \"symbol\": \"%s\", \"rows\": %u, "
      "\"columns\": %u, \"output_columns\": %u, \"tile\": [%u, %u], "
      "\"weight_type\": \"%s\", \"input_type\": \"%s\", "
      "\"output_type\": \"%s\", \"activation\": \"%s\", \"has_bias\": %s, "
      "\"has_residual\": %s, ",
      l->name, l->name, l->rows, l->columns, l->output_columns, l->tile.rows,
      l->tile.columns, tsr_dtype_name(l->weight_type),
      tsr_dtype_name(l->weight_type), tsr_dtype_name(l->output_type),
      tsr_activation_name(l->activation), l->has_bias ? "true" : "false",
      l->has_residual ? "true" : "false");
  tsr_buffer_printf(
      out,
      "\"tiles\": {\"zero\": %u, \"sparse24\": %u, \"dense\": %u}, "
      "\"kept_weights\": %llu, \"dense_bytes\": %llu, \"packed_bytes\": %llu, ",
      l->kinds[0], l->kinds[1], l->kinds[2], (unsigned long long)weights / 2,
      (unsigned long long)weights * 2, (unsigned long long)l->stream_size);
  static const char *const keys[] = {"weights", "mask", "options", "compiler"};
  for (int i = 0; i < 4; ++i) {
    tsr_buffer_printf(out, "%s\"%s\": \"%032x\"", i == 0 ? "\"key\": {" : ", ",
                      keys[i], i);
  }
  tsr_buffer_append_string(out, "}, ");
  manifest_put_section(out, "grid", &bundle->weights, l->grid_offset,
                       l->grid_size);
  tsr_buffer_printf(out, ", \"host\": {\"workers\": %u, \"partials\": %u, ",
                    l->workers, l->partials);
  manifest_put_section(out, "stream", &bundle->weights, l->stream_offset,
                       l->stream_size);
  tsr_buffer_append_string(out, ", ");
  manifest_put_section(out, "schedule", &bundle->weights, l->schedule_offset,
                       l->schedule_size);
  tsr_buffer_append_string(out, ", ");
  if (l->has_bias) {
    manifest_put_section(out, "bias", &bundle->weights, l->bias_offset,
                         l->bias_size);
    tsr_buffer_append_string(out, ", ");
  }
  tsr_buffer_printf(out, "\"kernels\": [%u, %u]}}", 2 * index, 2 * index + 1);
}

#if defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#elif defined(__riscv)
#define ARCHITECTURE "riscv64"
#else
#define ARCHITECTURE "x86_64"
#endif

void synthetic_manifest(synthetic *bundle) {
  tsr_buffer *out = &bundle->manifest;
  tsr_buffer_clear(out);
  tsr_buffer_append_string(
      out,
      "{\"format\": \"tessera-bundle\", \"version\": 1, \"name\": "
      "\"synthetic\", \"symbol\": \"synthetic\",\n\"compiler\": {\"version\": "
      "\"test\", \"fingerprint\": \"none\"},\n\"inputs\": [{\"role\": "
      "\"weights\", \"path\": \"w.safetensors\", \"size\": 1}],\n\"files\": "
      "[{");
  manifest_put_file(out, "path", "plan.tess", PLAN, sizeof(PLAN) - 1);
  tsr_buffer_append_string(out, ",\n{");
  manifest_put_file(out, "path", "weights.bin", bundle->weights.data,
                    bundle->weights.size);
  tsr_buffer_append_string(
      out,
      "],\n\"images\": [{\"family\": \"host\", \"variant\": \"generic\", "
      "\"architecture\": \"" ARCHITECTURE
      "\", \"required\": \"\", \"rank\": 1, \"abi\": 1, ");
  manifest_put_file(out, "file", "kernels/host-generic.so", bundle->image.data,
                    bundle->image.size);
  tsr_buffer_append_string(out, "],\n\"kernels\": [");
  put_kernels(bundle, out);
  tsr_buffer_append_string(out, "],\n\"layers\": [");
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    if (i != 0) tsr_buffer_append_string(out, ",\n");
    put_layer_json(bundle, i, out);
  }
  tsr_buffer_append_string(out, "]}\n");
  if (out->failed || bundle->weights.failed || bundle->image.failed) abort();
}

void synthetic_replace(tsr_buffer *buffer, const char *from, unsigned nth,
                       const char *to) {
  const char *text = tsr_buffer_text(buffer);
  const char *found = strstr(text, from);
  for (; nth != 0 && found != NULL; --nth) found = strstr(found + 1, from);
  if (found == NULL) {
    fprintf(stderr, "synthetic_replace: no '%s'\n", from);
    abort();
  }
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_buffer_append(&out, text, (size_t)(found - text));
  tsr_buffer_append_string(&out, to);
  const char *rest = found + strlen(from);
  tsr_buffer_append(&out, rest, buffer->size - (size_t)(rest - text));
  tsr_buffer_fini(buffer);
  *buffer = out;
}

// ---- Files ------------------------------------------------------------------

enum { MEMBERS = 4 };

static void list_members(const synthetic *bundle,
                         container_member out[MEMBERS]) {
  out[0] = (container_member){"manifest.json", bundle->manifest.data,
                              bundle->manifest.size};
  out[1] = (container_member){"plan.tess", PLAN, sizeof(PLAN) - 1};
  out[2] = (container_member){"weights.bin", bundle->weights.data,
                              bundle->weights.size};
  out[3] = (container_member){"kernels/host-generic.so", bundle->image.data,
                              bundle->image.size};
}

void synthetic_container(const synthetic *bundle, tsr_buffer *out) {
  container_member members[MEMBERS];
  list_members(bundle, members);
  container_write(members, MEMBERS, out);
}

void synthetic_folder(const synthetic *bundle, const char *path) {
  container_member members[MEMBERS];
  char name[2 * CONTAINER_PATH];
  list_members(bundle, members);
  (void)snprintf(name, sizeof(name), "%s/kernels", path);
  if (mkdir(path, 0777) != 0 || mkdir(name, 0777) != 0) abort();
  for (int i = 0; i < MEMBERS; ++i) {
    (void)snprintf(name, sizeof(name), "%s/%s", path, members[i].path);
    FILE *file = must(fopen(name, "wb"));
    size_t size = (size_t)members[i].size;
    if (fwrite(members[i].data, 1, size, file) != size) abort();
    if (fclose(file) != 0) abort();
  }
}
