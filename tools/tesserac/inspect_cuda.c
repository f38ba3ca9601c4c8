// SPDX-License-Identifier: Apache-2.0
// tesserac inspect for people: what a bundle has for CUDA. Bytes against what
// the format promises, and what ptxas said of each kernel. The cuts:
// inspect_cuts.c.
#include <string.h>

#include "common/terminal.h"
#include "tesserac/inspection.h"

static bool has_cuda(const tsr_inspection *inspection) {
  return json_object_get(inspection->manifest, "cuda_kernels") != NULL;
}

static void kernel_range(const json_t *kernel, char text[TSR_RANGE_LIMIT]) {
  tsr_format_range(tsr_json_uint_at(kernel, "tokens", 0),
                   tsr_json_uint_at(kernel, "tokens", 1), text);
}

// ---- Layers ----------------------------------------------------------------

typedef struct stored {
  uint64_t steps, bytes, padding, schedule;
} stored;

// Bytes against those of the tiles: |weights| are all.
static void put_stored(tsr_table *table, const stored *s, uint64_t weights) {
  double all = weights == 0 ? 1 : (double)weights;
  double bytes = s->bytes == 0 ? 1 : (double)s->bytes;
  tsr_table_cell(table, "%s", tsr_format_count(s->steps).text);
  tsr_table_cell(table, "%s", tsr_format_bytes(s->bytes).text);
  tsr_table_cell(table, "%.3f", (double)s->bytes / all);
  tsr_table_cell(table, "%s", tsr_format_bytes(s->padding).text);
  tsr_table_cell(table, "%.2f %%", 100 * (double)s->padding / bytes);
  tsr_table_cell(table, "%s", tsr_format_bytes(s->schedule).text);
}

static stored stored_of(const json_t *cuda) {
  return (stored){
      .steps = tsr_json_uint(cuda, "steps"),
      .padding = tsr_json_uint(cuda, "padding"),
      .bytes = tsr_json_uint(json_object_get(cuda, "stream"), "size"),
      .schedule = tsr_json_uint(json_object_get(cuda, "schedule"), "size")};
}

void tsr_inspection_cuda_layers(const tsr_inspection *inspection,
                                tsr_buffer *out) {
  static const char *const headers[] = {"<layer",    ">steps",   ">bytes",
                                        ">/weight",  ">padding", ">of bytes",
                                        ">schedule", NULL};
  if (!has_cuda(inspection)) return;
  tsr_inspection_title(inspection, "Layers for CUDA", out);
  tsr_table *table = tsr_table_create(headers);
  stored sum = {0};
  uint64_t weights = 0;
  for (uint32_t i = 0; i < inspection->count; ++i) {
    uint32_t index = inspection->first + i;
    tessera_layer_info info = tsr_inspection_layer(inspection, index);
    stored one = stored_of(tsr_inspection_cuda(inspection, index));
    tsr_table_cell(table, "%s", info.name);
    put_stored(table, &one, (uint64_t)info.rows * info.columns);
    weights += (uint64_t)info.rows * info.columns;
    sum.steps += one.steps;
    sum.bytes += one.bytes;
    sum.padding += one.padding;
    sum.schedule += one.schedule;
  }
  tsr_table_rule(table);
  tsr_table_cell(table, "%s",
                 tsr_format_plural(inspection->count, "layer").text);
  put_stored(table, &sum, weights);
  tsr_inspection_render(inspection, table, out);
}

// ---- Kernels ---------------------------------------------------------------

static void measure(const json_t *kernel, uint64_t out[2]) {
  out[0] = tsr_json_uint(kernel, "threads");
  out[1] = tsr_json_uint(kernel, "shared_size");
}

void tsr_inspection_cuda_strategies(const tsr_inspection *inspection,
                                    tsr_buffer *out) {
  static const char *const headers[] = {
      "<strategy", ">kernels", ">tokens", ">threads", ">shared memory", NULL};
  if (!has_cuda(inspection)) return;
  tsr_strategy_use uses[TSR_STRATEGY_LIMIT];
  uint32_t count =
      tsr_inspection_strategies(inspection, "cuda_kernels", measure, uses);
  tsr_inspection_title(inspection, "CUDA kernels", out);
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < count; ++i) {
    tsr_inspection_strategy_cells(&uses[i], table);
    tsr_table_cell(table, "<= %llu", (unsigned long long)uses[i].most[0]);
    tsr_table_cell(table, "<= %s", tsr_format_bytes(uses[i].most[1]).text);
  }
  tsr_inspection_render(inspection, table, out);
}

static void kernel_cells(const json_t *kernel, tsr_table *table) {
  char range[TSR_RANGE_LIMIT];
  kernel_range(kernel, range);
  tsr_table_cell(table, "%s", tsr_json_string(kernel, "name"));
  tsr_table_cell(table, "%s", tsr_json_string(kernel, "strategy"));
  tsr_table_cell(table, "%s", range);
  tsr_table_cell(table, "%llu",
                 (unsigned long long)tsr_json_uint(kernel, "threads"));
  tsr_table_cell(table, "%s",
                 tsr_format_bytes(tsr_json_uint(kernel, "shared_size")).text);
}

// What ptxas said of the kernels of one cubin.
static void resources(const tsr_inspection *inspection, const json_t *image,
                      tsr_buffer *out) {
  static const char *const headers[] = {"<kernel", ">registers", ">spilled",
                                        ">stack",  ">blocks",    "<limited by",
                                        NULL};
  const json_t *all = json_object_get(inspection->manifest, "cuda_kernels");
  const json_t *rows = json_object_get(image, "resources");
  tsr_buffer_printf(out, "\non %s, by ptxas %s\n",
                    tsr_json_string(image, "variant"),
                    tsr_json_string(image, "ptxas"));
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < json_array_size(rows); ++i) {
    const json_t *row = json_array_get(rows, i);
    const json_t *kernel =
        json_array_get(all, (size_t)tsr_json_uint(row, "kernel"));
    uint64_t spilled =
        tsr_json_uint(row, "spill_stores") + tsr_json_uint(row, "spill_loads");
    tsr_table_cell(table, "%s", tsr_json_string(kernel, "name"));
    tsr_table_cell(table, "%llu",
                   (unsigned long long)tsr_json_uint(row, "registers"));
    tsr_table_cell(table, "%s", tsr_format_bytes(spilled).text);
    tsr_table_cell(table, "%s",
                   tsr_format_bytes(tsr_json_uint(row, "stack")).text);
    tsr_table_cell(table, "%llu",
                   (unsigned long long)tsr_json_uint(row, "blocks"));
    tsr_table_cell(table, "%s", tsr_json_string(row, "limiter"));
  }
  tsr_inspection_render(inspection, table, out);
}

static bool holds(const json_t *image, size_t kernel) {
  const json_t *list = json_object_get(image, "kernels");
  for (size_t i = 0; i < json_array_size(list); ++i) {
    if (json_integer_value(json_array_get(list, i)) == (json_int_t)kernel) {
      return true;
    }
  }
  return false;
}

// "all", or the targets whose PTX, which each has, holds it: "sm_80, sm_90".
static void put_targets(const tsr_inspection *inspection, size_t kernel,
                        tsr_table *table) {
  const json_t *images = json_object_get(inspection->manifest, "images");
  tsr_buffer names = {0};
  bool all = true;
  for (size_t i = 0; i < json_array_size(images); ++i) {
    const json_t *image = json_array_get(images, i);
    const char *format = json_string_value(json_object_get(image, "format"));
    if (format == NULL || strcmp(format, "ptx") != 0) continue;
    if (!holds(image, kernel)) {
      all = false;
      continue;
    }
    if (names.size != 0) tsr_buffer_append_string(&names, ", ");
    tsr_buffer_append_string(&names, tsr_json_string(image, "variant"));
  }
  tsr_table_cell(table, "%s", all ? "all" : tsr_buffer_text(&names));
  tsr_buffer_fini(&names);
}

void tsr_inspection_cuda_kernels(const tsr_inspection *inspection,
                                 tsr_buffer *out) {
  static const char *const headers[] = {
      "<CUDA kernel",   "<strategy", ">tokens",  ">threads",
      ">shared memory", ">layers",   "<targets", NULL};
  if (!has_cuda(inspection)) return;
  const json_t *list = json_object_get(inspection->manifest, "cuda_kernels");
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < json_array_size(list); ++i) {
    kernel_cells(json_array_get(list, i), table);
    tsr_table_cell(table, "%u", tsr_inspection_users(inspection, "cuda", i));
    put_targets(inspection, i, table);
  }
  if (out->size != 0) tsr_buffer_append_char(out, '\n');
  tsr_inspection_render(inspection, table, out);
  const json_t *images = json_object_get(inspection->manifest, "images");
  for (size_t i = 0; i < json_array_size(images); ++i) {
    const json_t *image = json_array_get(images, i);
    if (json_object_get(image, "resources") != NULL) {
      resources(inspection, image, out);
    }
  }
}

// ---- One layer -------------------------------------------------------------

static void launches(const tsr_inspection *inspection, const json_t *cuda,
                     tsr_buffer *out) {
  static const char *const headers[] = {
      "<CUDA kernel",   "<strategy", ">tokens", ">threads",
      ">shared memory", "<targets",  NULL};
  const json_t *all = json_object_get(inspection->manifest, "cuda_kernels");
  const json_t *list = json_object_get(cuda, "kernels");
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < json_array_size(list); ++i) {
    json_int_t index = json_integer_value(json_array_get(list, i));
    kernel_cells(index < 0 ? NULL : json_array_get(all, (size_t)index), table);
    put_targets(inspection, (size_t)index, table);
  }
  tsr_inspection_render(inspection, table, out);
}

void tsr_inspection_cuda_details(const tsr_inspection *inspection,
                                 tsr_buffer *out) {
  uint32_t index = inspection->first;
  const json_t *cuda = tsr_inspection_cuda(inspection, index);
  if (cuda == NULL) return;
  tessera_layer_info info = tsr_inspection_layer(inspection, index);
  stored bytes = stored_of(cuda);
  double weights = (double)info.rows * info.columns;
  tsr_inspection_title(inspection, "CUDA", out);
  tsr_buffer_printf(out, "  %-14s%s, %.4f per weight; %s of them padding\n",
                    "bytes", tsr_format_count(bytes.bytes).text,
                    weights == 0 ? 0 : (double)bytes.bytes / weights,
                    tsr_format_count(bytes.padding).text);
  tsr_buffer_printf(out, "  %-14s%s of 64 columns; schedule %s\n", "steps",
                    tsr_format_count(bytes.steps).text,
                    tsr_format_bytes(bytes.schedule).text);
  tsr_inspection_title(inspection, "CUDA launches", out);
  launches(inspection, cuda, out);
  tsr_inspection_cut_summary(inspection, index, out);
}
