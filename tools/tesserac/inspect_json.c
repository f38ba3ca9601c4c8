// SPDX-License-Identifier: Apache-2.0
// tesserac inspect --json: exact numbers for scripts. Written in the order of
// this file, so that equal bundles give equal bytes.
#include <stdlib.h>
#include <string.h>

#include "tesserac/inspection.h"

static void key(tsr_buffer *out, const char *name) {
  tsr_buffer_printf(out, "\"%s\": ", name);
}

static void text(tsr_buffer *out, const char *name, const char *value) {
  key(out, name);
  tsr_buffer_append_json(out, value, strlen(value));
  tsr_buffer_append_string(out, ", ");
}

static void number(tsr_buffer *out, const char *name, uint64_t value) {
  tsr_buffer_printf(out, "\"%s\": %llu, ", name, (unsigned long long)value);
}

static void flag(tsr_buffer *out, const char *name, int value) {
  tsr_buffer_printf(out, "\"%s\": %s, ", name, value ? "true" : "false");
}

// A part of the manifest as it is.
static void copy(tsr_buffer *out, const char *name, const json_t *value) {
  char *dumped = json_dumps(value, JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
  key(out, name);
  tsr_buffer_append_string(out, dumped == NULL ? "null" : dumped);
  free(dumped);
}

// One string per panel: "Dss.s".
static void tile_rows(const tsr_inspection *inspection, uint32_t index,
                      tsr_buffer *out) {
  static const char symbols[TSR_KIND_COUNT] = {'.', 's', 'D'};
  tsr_tile_map map = tsr_inspection_map(inspection, index);
  tsr_buffer_append_string(out, ",\n     \"map\": [");
  for (uint32_t panel = 0; map.kinds != NULL && panel < map.panels; ++panel) {
    const uint8_t *row = map.kinds + (size_t)panel * map.tiles_per_panel;
    tsr_buffer_append_string(out, panel == 0 ? "\"" : ", \"");
    for (uint32_t i = 0; i < map.tiles_per_panel; ++i) {
      tsr_buffer_append_char(out,
                             row[i] < TSR_KIND_COUNT ? symbols[row[i]] : '?');
    }
    tsr_buffer_append_char(out, '"');
  }
  tsr_buffer_append_char(out, ']');
}

static void cuts(const tsr_nvidia_tables *tables, tsr_buffer *out) {
  static const char *const modes[] = {"decode", "prefill"};
  tsr_buffer_append_string(out, ",\n      \"cuts\": [");
  for (uint32_t i = 0; i < tables->cut_count; ++i) {
    const tsr_nvidia_cut *cut = &tables->cuts[i];
    tsr_buffer_append_string(out, i == 0 ? "\n       {" : ",\n       {");
    number(out, "multiprocessors", cut->multiprocessors);
    text(out, "mode", modes[cut->mode]);
    number(out, "workers", cut->worker_count);
    number(out, "partials", cut->partial_count);
    number(out, "reductions", cut->reduction_count);
    tsr_nvidia_shares bytes =
        tsr_nvidia_shares_of(tables, i, TSR_BALANCE_BYTES);
    number(out, "least_bytes", bytes.least);
    number(out, "most_bytes", bytes.most);
    tsr_buffer_printf(out,
                      "\"byte_imbalance\": %.6f, \"time_imbalance\": %.6f}",
                      tsr_nvidia_imbalance(tables, i, TSR_BALANCE_BYTES),
                      tsr_nvidia_imbalance(tables, i, TSR_BALANCE_TIME));
  }
  tsr_buffer_append_char(out, ']');
}

static void cuda_part(const tsr_inspection *inspection, uint32_t index,
                      bool is_after, tsr_buffer *out) {
  const json_t *cuda = tsr_inspection_cuda(inspection, index);
  if (cuda == NULL) return;
  tessera_layer_info info = tsr_inspection_layer(inspection, index);
  uint64_t bytes = tsr_json_uint(json_object_get(cuda, "stream"), "size");
  double weights = (double)info.rows * info.columns;
  tsr_buffer_append_string(out, is_after ? ",\n     " : "\n     ");
  tsr_buffer_append_string(out, "\"cuda\": {");
  number(out, "packed_bytes", bytes);
  tsr_buffer_printf(out, "\"bytes_per_weight\": %.6f, ",
                    weights == 0 ? 0 : (double)bytes / weights);
  number(out, "padding", tsr_json_uint(cuda, "padding"));
  number(out, "steps", tsr_json_uint(cuda, "steps"));
  copy(out, "kernels", json_object_get(cuda, "kernels"));
  tsr_tile_grid grid;
  tsr_nvidia_tables tables;
  tsr_arena arena = {0};
  if (tsr_inspection_schedule(inspection, index, &arena, &grid, &tables)) {
    cuts(&tables, out);
  }
  tsr_arena_fini(&arena);
  tsr_buffer_append_char(out, '}');
}

static void layer(const tsr_inspection *inspection, uint32_t index, bool tiles,
                  tsr_buffer *out) {
  tessera_layer_info info = tsr_inspection_layer(inspection, index);
  tsr_buffer_append_string(out, "    {");
  text(out, "name", info.name);
  text(out, "symbol", info.symbol);
  number(out, "rows", info.rows);
  number(out, "columns", info.columns);
  number(out, "output_columns", info.output_columns);
  tsr_buffer_printf(out, "\"tile\": [%u, %u],\n     ", info.tile_rows,
                    info.tile_columns);
  text(out, "weight_type", tsr_dtype_name((tsr_dtype)info.weight_type));
  text(out, "input_type", tsr_dtype_name((tsr_dtype)info.input_type));
  text(out, "output_type", tsr_dtype_name((tsr_dtype)info.output_type));
  text(out, "activation", info.activation);
  flag(out, "has_bias", info.has_bias);
  flag(out, "has_residual", info.has_residual);
  tsr_buffer_printf(out,
                    "\n     \"tiles\": {\"zero\": %llu, \"sparse24\": %llu, "
                    "\"dense\": %llu}, ",
                    (unsigned long long)info.zero_tiles,
                    (unsigned long long)info.sparse24_tiles,
                    (unsigned long long)info.dense_tiles);
  number(out, "kept_weights", info.kept_weights);
  tsr_buffer_printf(out, "\"sparsity\": %.6f, ", tsr_layer_sparsity(&info));
  number(out, "dense_bytes", info.dense_bytes);
  number(out, "packed_bytes", info.packed_bytes);
  number(out, "token_first", info.token_first);
  number(out, "token_last", info.token_last);
  const json_t *host =
      json_object_get(tsr_inspection_json(inspection, index), "host");
  if (host != NULL) {
    tsr_buffer_append_string(out, "\n     ");
    number(out, "workers", info.worker_count);
    number(out, "partials", tsr_json_uint(host, "partials"));
    copy(out, "kernels", json_object_get(host, "kernels"));
  }
  cuda_part(inspection, index, host != NULL, out);
  if (tiles) tile_rows(inspection, index, out);
  tsr_buffer_append_char(out, '}');
}

static void total(const tsr_inspection *inspection, tsr_buffer *out) {
  uint64_t kept = 0;
  uint64_t weights = 0;
  uint64_t dense = 0;
  uint64_t packed = 0;
  for (uint32_t i = 0; i < inspection->count; ++i) {
    tessera_layer_info info =
        tsr_inspection_layer(inspection, inspection->first + i);
    kept += info.kept_weights;
    weights += (uint64_t)info.rows * info.columns;
    dense += info.dense_bytes;
    packed += info.packed_bytes;
  }
  tsr_buffer_append_string(out, "  \"total\": {");
  number(out, "layers", inspection->count);
  number(out, "weights", weights);
  number(out, "kept_weights", kept);
  tsr_buffer_printf(out, "\"sparsity\": %.6f, ",
                    weights == 0 ? 0 : 1 - (double)kept / (double)weights);
  number(out, "dense_bytes", dense);
  tsr_buffer_printf(out, "\"packed_bytes\": %llu}\n}\n",
                    (unsigned long long)packed);
}

void tsr_inspection_write_json(const tsr_inspection *inspection, bool tiles,
                               tsr_buffer *out) {
  const json_t *manifest = inspection->manifest;
  tsr_buffer_append_string(out, "{\n  ");
  text(out, "name", tessera_bundle_name(inspection->bundle));
  copy(out, "compiler", json_object_get(manifest, "compiler"));
  tsr_buffer_append_string(out, ",\n  \"layers\": [\n");
  for (uint32_t i = 0; i < inspection->count; ++i) {
    if (i != 0) tsr_buffer_append_string(out, ",\n");
    layer(inspection, inspection->first + i, tiles, out);
  }
  tsr_buffer_append_string(out, "\n  ],\n  ");
  copy(out, "kernels", json_object_get(manifest, "kernels"));
  tsr_buffer_append_string(out, ",\n  ");
  if (json_object_get(manifest, "cuda_kernels") != NULL) {
    copy(out, "cuda_kernels", json_object_get(manifest, "cuda_kernels"));
    tsr_buffer_append_string(out, ",\n  ");
  }
  copy(out, "images", json_object_get(manifest, "images"));
  tsr_buffer_append_string(out, ",\n");
  total(inspection, out);
}
