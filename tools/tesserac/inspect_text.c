// SPDX-License-Identifier: Apache-2.0
// tesserac inspect for people: tables of all layers, or one layer in detail.
#include <string.h>

#include "common/table.h"
#include "common/terminal.h"
#include "tesserac/inspection.h"

static const char *dtype_name(tessera_dtype type) {
  return tsr_dtype_name((tsr_dtype)type);
}

void tsr_inspection_title(const tsr_inspection *inspection, const char *text,
                          tsr_buffer *out) {
  bool color = inspection->cli->out_color;
  tsr_buffer_printf(out, "\n%s%s%s\n", tsr_style_code(color, TSR_STYLE_BOLD),
                    text, tsr_style_code(color, TSR_STYLE_NONE));
}

void tsr_inspection_render(const tsr_inspection *inspection, tsr_table *table,
                           tsr_buffer *out) {
  const tsr_cli *cli = inspection->cli;
  tsr_error error = {0};
  if (tsr_table_render(table, cli->utf8, cli->out_color, out, &error) !=
      TSR_OK) {
    out->failed = true;
  }
  tsr_table_destroy(table);
}

void tsr_format_range(uint64_t first, uint64_t last,
                      char text[TSR_RANGE_LIMIT]) {
  if (last == UINT32_MAX) {
    (void)snprintf(text, TSR_RANGE_LIMIT, "%llu..", (unsigned long long)first);
  } else if (first == last) {
    (void)snprintf(text, TSR_RANGE_LIMIT, "%llu", (unsigned long long)first);
  } else {
    (void)snprintf(text, TSR_RANGE_LIMIT, "%llu..%llu",
                   (unsigned long long)first, (unsigned long long)last);
  }
}

static void token_range(const json_t *kernel, char text[TSR_RANGE_LIMIT]) {
  tsr_format_range(tsr_json_uint_at(kernel, "tokens", 0),
                   tsr_json_uint_at(kernel, "tokens", 1), text);
}

// "none", "4.10 kB", "4.10 kB + 768 B/token".
static void need(const json_t *kernel, const char *key, char text[96]) {
  uint64_t base = tsr_json_uint_at(kernel, key, 0);
  uint64_t each = tsr_json_uint_at(kernel, key, 1);
  if (base == 0 && each == 0) {
    (void)snprintf(text, 96, "none");
  } else if (each == 0) {
    (void)snprintf(text, 96, "%s", tsr_format_bytes(base).text);
  } else if (base == 0) {
    (void)snprintf(text, 96, "%s/token", tsr_format_bytes(each).text);
  } else {
    (void)snprintf(text, 96, "%s + %s/token", tsr_format_bytes(base).text,
                   tsr_format_bytes(each).text);
  }
}

// ---- All layers -------------------------------------------------------------

typedef struct totals {
  uint64_t tiles[3];
  uint64_t kept, weights, packed, dense;
} totals;

static void numbers(tsr_table *table, const totals *sum) {
  for (int kind = 2; kind >= 0; --kind) {
    tsr_table_cell(table, "%s", tsr_format_count(sum->tiles[kind]).text);
  }
  double weights = sum->weights == 0 ? 1 : (double)sum->weights;
  double dense = sum->dense == 0 ? 1 : (double)sum->dense;
  tsr_table_cell(table, "%.1f %%", 100 * (1 - (double)sum->kept / weights));
  tsr_table_cell(table, "%s", tsr_format_bytes(sum->packed).text);
  tsr_table_cell(table, "%.1f %%", 100 * (double)sum->packed / dense);
}

static void layer_row(const tsr_inspection *inspection, uint32_t index,
                      tsr_table *table, totals *sum) {
  tessera_layer_info info = tsr_inspection_layer(inspection, index);
  totals one = {
      .tiles = {info.zero_tiles, info.sparse24_tiles, info.dense_tiles},
      .kept = info.kept_weights,
      .weights = (uint64_t)info.rows * info.columns,
      .packed = info.packed_bytes,
      .dense = info.dense_bytes,
  };
  tsr_table_cell(table, "%s", info.name);
  tsr_table_cell(table, "%u x %u", info.rows, info.columns);
  numbers(table, &one);
  const json_t *json = tsr_inspection_json(inspection, index);
  if (json_object_get(json, "host") != NULL) {
    tsr_table_cell(table, "%u", info.worker_count);
  } else {
    tsr_table_cell(table, "-");
  }
  for (int kind = 0; kind < 3; ++kind) sum->tiles[kind] += one.tiles[kind];
  sum->kept += one.kept;
  sum->weights += one.weights;
  sum->packed += one.packed;
  sum->dense += one.dense;
}

static void layers(const tsr_inspection *inspection, tsr_buffer *out) {
  static const char *const headers[] = {
      "<layer",    ">out x in", ">dense",    ">2:4",     ">zero",
      ">sparsity", ">bytes",    ">of dense", ">workers", NULL};
  tsr_table *table = tsr_table_create(headers);
  totals sum = {0};
  for (uint32_t i = 0; i < inspection->count; ++i) {
    layer_row(inspection, inspection->first + i, table, &sum);
  }
  tsr_table_rule(table);
  tsr_table_cell(table, "%s",
                 tsr_format_plural(inspection->count, "layer").text);
  tsr_table_cell(table, "%s", "");
  numbers(table, &sum);
  tsr_table_cell(table, "%s", "");
  tsr_inspection_render(inspection, table, out);
}

uint32_t tsr_inspection_users(const tsr_inspection *inspection,
                              const char *family, size_t kernel) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < inspection->count; ++i) {
    const json_t *part =
        json_object_get(tsr_inspection_json(inspection, i), family);
    const json_t *list = json_object_get(part, "kernels");
    for (size_t k = 0; k < json_array_size(list); ++k) {
      json_int_t index = json_integer_value(json_array_get(list, k));
      if (index >= 0 && (size_t)index == kernel) ++count;
    }
  }
  return count;
}

static void host_kernels(const tsr_inspection *inspection, tsr_buffer *out) {
  static const char *const headers[] = {
      "<kernel",       "<strategy", ">tokens", ">layers", "<scratch per thread",
      "<packed input", NULL};
  const json_t *list = json_object_get(inspection->manifest, "kernels");
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < json_array_size(list); ++i) {
    const json_t *kernel = json_array_get(list, i);
    char range[TSR_RANGE_LIMIT];
    char bytes[96];
    token_range(kernel, range);
    tsr_table_cell(table, "%s", tsr_json_string(kernel, "name"));
    tsr_table_cell(table, "%s", tsr_json_string(kernel, "strategy"));
    tsr_table_cell(table, "%s", range);
    tsr_table_cell(table, "%u", tsr_inspection_users(inspection, "host", i));
    need(kernel, "scratch", bytes);
    tsr_table_cell(table, "%s", bytes);
    need(kernel, "packed", bytes);
    tsr_table_cell(table, "%s", bytes);
  }
  tsr_inspection_render(inspection, table, out);
}

static bool has_host(const tsr_inspection *inspection) {
  const json_t *list = json_object_get(inspection->manifest, "kernels");
  return json_array_size(list) != 0;
}

void tsr_inspection_kernels(const tsr_inspection *inspection, tsr_buffer *out) {
  if (has_host(inspection)) host_kernels(inspection, out);
  tsr_inspection_cuda_kernels(inspection, out);
}

static void add_kernel(tsr_strategy_use *use, const json_t *kernel,
                       const uint64_t measured[2]) {
  uint64_t first = tsr_json_uint_at(kernel, "tokens", 0);
  uint64_t last = tsr_json_uint_at(kernel, "tokens", 1);
  if (use->kernels == 0 || first < use->first) use->first = first;
  if (last > use->last) use->last = last;
  for (int i = 0; i < 2; ++i) {
    if (measured[i] > use->most[i]) use->most[i] = measured[i];
  }
  ++use->kernels;
}

uint32_t tsr_inspection_strategies(
    const tsr_inspection *inspection, const char *key,
    void (*measure)(const json_t *kernel, uint64_t out[2]),
    tsr_strategy_use out_uses[TSR_STRATEGY_LIMIT]) {
  const json_t *list = json_object_get(inspection->manifest, key);
  uint32_t count = 0;
  memset(out_uses, 0, TSR_STRATEGY_LIMIT * sizeof(*out_uses));
  for (size_t i = 0; i < json_array_size(list); ++i) {
    const json_t *kernel = json_array_get(list, i);
    const char *name = tsr_json_string(kernel, "strategy");
    uint64_t measured[2] = {0, 0};
    uint32_t at = 0;
    while (at < count && strcmp(out_uses[at].name, name) != 0) ++at;
    if (at == TSR_STRATEGY_LIMIT) continue;  // more than there ever were
    if (at == count) out_uses[count++].name = name;
    measure(kernel, measured);
    add_kernel(&out_uses[at], kernel, measured);
  }
  return count;
}

void tsr_inspection_strategy_cells(const tsr_strategy_use *use,
                                   tsr_table *table) {
  char range[TSR_RANGE_LIMIT];
  tsr_format_range(use->first, use->last, range);
  tsr_table_cell(table, "%s", use->name);
  tsr_table_cell(table, "%u", use->kernels);
  tsr_table_cell(table, "%s", range);
}

// Scratch of a thread at the kernel's first token count.
static void measure_scratch(const json_t *kernel, uint64_t out[2]) {
  out[0] = tsr_json_uint_at(kernel, "scratch", 0) +
           tsr_json_uint_at(kernel, "scratch", 1) *
               tsr_json_uint_at(kernel, "tokens", 0);
}

static void strategies(const tsr_inspection *inspection, tsr_buffer *out) {
  static const char *const headers[] = {"<strategy", ">kernels", ">tokens",
                                        ">scratch per thread", NULL};
  tsr_strategy_use uses[TSR_STRATEGY_LIMIT];
  uint32_t count =
      tsr_inspection_strategies(inspection, "kernels", measure_scratch, uses);
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < count; ++i) {
    tsr_inspection_strategy_cells(&uses[i], table);
    tsr_table_cell(table, "%s%s", uses[i].most[0] == 0 ? "" : "<= ",
                   tsr_format_bytes(uses[i].most[0]).text);
  }
  tsr_inspection_render(inspection, table, out);
}

// Of a host variant its list; of "sm_86" compute capability 8.6 or what follows
// it: PTX any later one ("sm_90a" none), a cubin later ones of its generation.
static void image_needs(const json_t *image, char text[256]) {
  const char *required = tsr_json_string(image, "required");
  unsigned number = 0;
  char exact = 0;
  if (strcmp(tsr_json_string(image, "family"), "cuda") != 0) {
    (void)snprintf(text, 256, "%s", required[0] == '\0' ? "nothing" : required);
    return;
  }
  int read = sscanf(tsr_json_string(image, "architecture"), "sm_%u%c", &number,
                    &exact);
  bool is_cubin = strcmp(tsr_json_string(image, "format"), "cubin") == 0;
  char upper[32] = " or later";
  if (is_cubin) {
    (void)snprintf(upper, sizeof(upper), " to %u.x", number / 10);
  }
  (void)snprintf(text, 256, "compute capability %u.%u%s", number / 10,
                 number % 10, read == 2 ? "" : upper);
}

static void images(const tsr_inspection *inspection, tsr_buffer *out) {
  static const char *const headers[] = {"<image", "<architecture", ">rank",
                                        ">bytes", "=needs",        NULL};
  const json_t *list = json_object_get(inspection->manifest, "images");
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < json_array_size(list); ++i) {
    const json_t *image = json_array_get(list, i);
    const char *format = tsr_json_string(image, "format");
    char needs[256];
    image_needs(image, needs);
    tsr_table_cell(table, "%s %s%s%s", tsr_json_string(image, "family"),
                   tsr_json_string(image, "variant"),
                   format[0] == '\0' ? "" : " ", format);
    tsr_table_cell(table, "%s", tsr_json_string(image, "architecture"));
    tsr_table_cell(
        table, "%lld",
        (long long)json_integer_value(json_object_get(image, "rank")));
    tsr_table_cell(table, "%s",
                   tsr_format_bytes(tsr_json_uint(image, "size")).text);
    tsr_table_cell(table, "%s", needs);
  }
  tsr_inspection_render(inspection, table, out);
}

void tsr_inspection_tables(const tsr_inspection *inspection, tsr_buffer *out) {
  const json_t *compiler = json_object_get(inspection->manifest, "compiler");
  tsr_buffer_printf(out, "%s, made by tesserac %s (%s)\n",
                    tessera_bundle_name(inspection->bundle),
                    tsr_json_string(compiler, "version"),
                    tsr_json_string(compiler, "fingerprint"));
  tsr_inspection_title(inspection, "Layers", out);
  layers(inspection, out);
  tsr_inspection_cuda_layers(inspection, out);
  if (has_host(inspection)) {
    tsr_inspection_title(inspection, "Kernels", out);
    strategies(inspection, out);
  }
  tsr_inspection_cuda_strategies(inspection, out);
  tsr_inspection_title(inspection, "Images", out);
  images(inspection, out);
}

// ---- One layer --------------------------------------------------------------

static void field(tsr_buffer *out, const char *name, const char *format, ...)
    TSR_PRINTF(3, 4);

static void field(tsr_buffer *out, const char *name, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  tsr_buffer_printf(out, "  %-14s%s\n", name, text);
}

static void epilogue(const tessera_layer_info *info, tsr_buffer *out) {
  bool activation = strcmp(info->activation, "none") != 0;
  bool any = activation || info->has_bias || info->has_residual;
  field(out, "epilogue", "%s%s%s%s%s%s", any ? "" : "none",
        info->has_bias ? "bias" : "", info->has_bias && activation ? ", " : "",
        activation ? info->activation : "",
        info->has_residual && (info->has_bias || activation) ? ", " : "",
        info->has_residual ? "residual" : "");
}

static void bytes(const tessera_layer_info *info, tsr_buffer *out) {
  double dense = info->dense_bytes == 0 ? 1 : (double)info->dense_bytes;
  uint64_t weights = (uint64_t)info->rows * info->columns;
  field(out, "tiles", "%s dense, %s 2:4, %s zero, each %u x %u",
        tsr_format_count(info->dense_tiles).text,
        tsr_format_count(info->sparse24_tiles).text,
        tsr_format_count(info->zero_tiles).text, info->tile_rows,
        info->tile_columns);
  field(out, "kept", "%s of %s weights: sparsity %.2f %%",
        tsr_format_count(info->kept_weights).text,
        tsr_format_count(weights).text, 100 * tsr_layer_sparsity(info));
  field(out, "bytes", "%s of %s dense: %.2f %%",
        tsr_format_count(info->packed_bytes).text,
        tsr_format_count(info->dense_bytes).text,
        100 * (double)info->packed_bytes / dense);
}

static void launches(const tsr_inspection *inspection, const json_t *host,
                     tsr_buffer *out) {
  static const char *const headers[] = {">tokens",       "<kernel",
                                        "<strategy",     "<scratch per thread",
                                        "<packed input", NULL};
  const json_t *all = json_object_get(inspection->manifest, "kernels");
  const json_t *list = json_object_get(host, "kernels");
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < json_array_size(list); ++i) {
    json_int_t index = json_integer_value(json_array_get(list, i));
    const json_t *kernel =
        index < 0 ? NULL : json_array_get(all, (size_t)index);
    char range[TSR_RANGE_LIMIT];
    char text[96];
    token_range(kernel, range);
    tsr_table_cell(table, "%s", range);
    tsr_table_cell(table, "%s", tsr_json_string(kernel, "name"));
    tsr_table_cell(table, "%s", tsr_json_string(kernel, "strategy"));
    need(kernel, "scratch", text);
    tsr_table_cell(table, "%s", text);
    need(kernel, "packed", text);
    tsr_table_cell(table, "%s", text);
  }
  tsr_inspection_render(inspection, table, out);
}

static void host_details(const tsr_inspection *inspection,
                         const tessera_layer_info *info, const json_t *host,
                         tsr_buffer *out) {
  field(out, "workers", "%u", info->worker_count);
  uint64_t partials = tsr_json_uint(host, "partials");
  if (partials == 0) {
    field(out, "partial sums", "none");
  } else {
    field(out, "partial sums", "%llu of %u x N floats",
          (unsigned long long)partials, info->tile_rows);
  }
  tsr_inspection_title(inspection, "Launches", out);
  launches(inspection, host, out);
}

void tsr_inspection_details(const tsr_inspection *inspection, tsr_buffer *out) {
  uint32_t index = inspection->first;
  tessera_layer_info info = tsr_inspection_layer(inspection, index);
  const json_t *host =
      json_object_get(tsr_inspection_json(inspection, index), "host");
  bool color = inspection->cli->out_color;
  tsr_buffer_printf(out, "%s%s%s\n", tsr_style_code(color, TSR_STYLE_BOLD),
                    info.name, tsr_style_code(color, TSR_STYLE_NONE));
  field(out, "symbol", "%s", info.symbol);
  field(out, "W", "[%u, %u] %s", info.rows, info.columns,
        dtype_name(info.weight_type));
  field(out, "X", "[N, %u] %s", info.columns, dtype_name(info.input_type));
  field(out, "Y", "[N, %u] %s", info.output_columns,
        dtype_name(info.output_type));
  epilogue(&info, out);
  bytes(&info, out);
  if (host != NULL) host_details(inspection, &info, host, out);
  tsr_inspection_cuda_details(inspection, out);
}
