// SPDX-License-Identifier: Apache-2.0
// Opening a bundle, and asking an open one what it holds.
#include "bundle.h"

#include <string.h>

#include "base/memory.h"
#include "fail.h"

static tessera_status check_grid(const tessera_layer *layer,
                                 tessera_error *error) {
  uint64_t counts[TSR_KIND_COUNT] = {0};
  uint64_t cells = (uint64_t)layer->panels * layer->tile_columns;
  for (uint64_t i = 0; i < cells; ++i) {
    if (layer->grid[i] >= TSR_KIND_COUNT) {
      return tsr_fail(error, TESSERA_CORRUPT, "grid: tile %llu has kind %u",
                      (unsigned long long)i, layer->grid[i]);
    }
    ++counts[layer->grid[i]];
  }
  const tessera_layer_info *info = &layer->info;
  if (counts[TSR_KIND_ZERO] == info->zero_tiles &&
      counts[TSR_KIND_SPARSE24] == info->sparse24_tiles &&
      counts[TSR_KIND_DENSE] == info->dense_tiles) {
    return TESSERA_OK;
  }
  return tsr_fail(error, TESSERA_CORRUPT,
                  "grid: %llu zero, %llu sparse24, %llu dense; tiles says "
                  "%llu, %llu, %llu",
                  (unsigned long long)counts[TSR_KIND_ZERO],
                  (unsigned long long)counts[TSR_KIND_SPARSE24],
                  (unsigned long long)counts[TSR_KIND_DENSE],
                  (unsigned long long)info->zero_tiles,
                  (unsigned long long)info->sparse24_tiles,
                  (unsigned long long)info->dense_tiles);
}

static tessera_status check_layers(tessera_bundle *bundle,
                                   tessera_error *error) {
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < bundle->layer_count && status == TESSERA_OK; ++i) {
    tessera_layer *layer = &bundle->layers[i];
    status = check_grid(layer, error);
    if (status == TESSERA_OK && layer->has_host) {
      status = tsr_host_section_check(layer, error);
      if (status != TESSERA_OK) tsr_fail_prefix(error, "host.schedule");
    }
    if (status == TESSERA_OK && layer->has_cuda) {
      status = tsr_cuda_section_check(layer, error);
      if (status != TESSERA_OK) tsr_fail_prefix(error, "cuda.schedule");
    }
    if (status != TESSERA_OK) {
      tsr_fail_prefix(error, "layer '%.160s'", layer->info.name);
    }
  }
  return status;
}

static tessera_status read_options(const tessera_bundle_options *options,
                                   bool *out_verify, tessera_error *error) {
  *out_verify = true;
  if (options == NULL) return TESSERA_OK;
  if (options->size < sizeof(*options)) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "tessera_bundle_options.size is %zu, expected %zu",
                    options->size, sizeof(*options));
  }
  *out_verify = options->verify_checksums != 0;
  return TESSERA_OK;
}

static tessera_status open_bundle(tessera_bundle *bundle, const char *path,
                                  tessera_error *error) {
  bundle->path = tsr_arena_strndup(&bundle->arena, path, strlen(path));
  if (bundle->path == NULL) return tsr_fail_out_of_memory(error);
  tessera_status status = tsr_archive_open(path, &bundle->archive, error);
  if (status == TESSERA_OK) status = tsr_manifest_read(bundle, error);
  if (status == TESSERA_OK) status = tsr_weights_check(bundle, error);
  if (status == TESSERA_OK) status = check_layers(bundle, error);
  return status;
}

tessera_status tessera_bundle_open(const char *path,
                                   const tessera_bundle_options *options,
                                   tessera_bundle **out_bundle,
                                   tessera_error *error) {
  tsr_fail_clear(error);
  if (out_bundle == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_bundle is NULL");
  }
  *out_bundle = NULL;
  if (path == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "path is NULL");
  }
  bool verify = true;
  tessera_status status = read_options(options, &verify, error);
  if (status != TESSERA_OK) return status;
  tessera_bundle *bundle = tsr_calloc(1, sizeof(*bundle));
  if (bundle == NULL) return tsr_fail_out_of_memory(error);
  bundle->archive.folder = -1;
  bundle->verify_checksums = verify;
  status = open_bundle(bundle, path, error);
  if (status == TESSERA_OK) {
    *out_bundle = bundle;
  } else {
    tsr_fail_prefix(error, "bundle '%.200s'", path);
    tessera_bundle_close(bundle);
  }
  return status;
}

void tessera_bundle_close(tessera_bundle *bundle) {
  if (bundle == NULL) return;
  tsr_archive_close(&bundle->archive);
  tsr_arena_fini(&bundle->arena);
  tsr_free(bundle);
}

// ---- Questions --------------------------------------------------------------

const char *tessera_bundle_name(const tessera_bundle *bundle) {
  return bundle == NULL ? NULL : bundle->name;
}

const char *tessera_bundle_manifest(const tessera_bundle *bundle) {
  return bundle == NULL ? NULL : bundle->manifest;
}

const char *tessera_bundle_plan(const tessera_bundle *bundle) {
  return bundle == NULL ? NULL : bundle->plan;
}

uint32_t tessera_bundle_layer_count(const tessera_bundle *bundle) {
  return bundle == NULL ? 0 : bundle->layer_count;
}

const tessera_layer *tessera_bundle_layer(const tessera_bundle *bundle,
                                          uint32_t index) {
  if (bundle == NULL || index >= bundle->layer_count) return NULL;
  return &bundle->layers[index];
}

const tessera_layer *tessera_bundle_find_layer(const tessera_bundle *bundle,
                                               const char *name) {
  if (bundle == NULL || name == NULL) return NULL;
  uint32_t low = 0;
  uint32_t high = bundle->layer_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = strcmp(bundle->by_name[middle]->info.name, name);
    if (order == 0) return bundle->by_name[middle];
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

tessera_status tessera_layer_query(const tessera_layer *layer,
                                   tessera_layer_info *out_info,
                                   tessera_error *error) {
  tsr_fail_clear(error);
  if (layer == NULL || out_info == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL",
                    layer == NULL ? "layer" : "out_info");
  }
  if (out_info->size < sizeof(*out_info)) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "tessera_layer_info.size is %zu, expected %zu",
                    out_info->size, sizeof(*out_info));
  }
  size_t size = out_info->size;
  *out_info = layer->info;
  out_info->size = size;
  return TESSERA_OK;
}

const uint8_t *tessera_layer_tiles(const tessera_layer *layer,
                                   uint32_t *out_panels,
                                   uint32_t *out_tile_columns) {
  if (out_panels != NULL) *out_panels = layer == NULL ? 0 : layer->panels;
  if (out_tile_columns != NULL) {
    *out_tile_columns = layer == NULL ? 0 : layer->tile_columns;
  }
  return layer == NULL ? NULL : layer->grid;
}
