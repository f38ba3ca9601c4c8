// SPDX-License-Identifier: Apache-2.0
#include "common/runtime.h"

#include "base/memory.h"
#include "common/terminal.h"

int tsr_cli_fail_runtime(const tsr_cli *cli, const tessera_error *error) {
  tsr_cli_error(cli, "%s",
                error->message[0] != '\0' ? error->message
                                          : tessera_status_name(error->status));
  switch (error->status) {
    case TESSERA_INVALID_ARGUMENT:
    case TESSERA_NOT_FOUND:
    case TESSERA_CORRUPT:
      return TSR_EXIT_DIAGNOSED;
    case TESSERA_OK:
    case TESSERA_OUT_OF_MEMORY:
    case TESSERA_IO:
    case TESSERA_UNSUPPORTED:
    case TESSERA_UNAVAILABLE:
    case TESSERA_DEVICE:
    case TESSERA_INTERNAL:
      break;
  }
  return TSR_EXIT_FAILURE;
}

static const char *layer_name(const tessera_bundle *bundle, uint32_t index) {
  tessera_layer_info info = {.size = sizeof(info)};
  const tessera_layer *layer = tessera_bundle_layer(bundle, index);
  tessera_error error = {0};
  if (tessera_layer_query(layer, &info, &error) != TESSERA_OK) return "";
  return info.name;
}

static tsr_status no_layer(const tessera_bundle *bundle, const char *name,
                           tsr_error *error) {
  const char *title = tessera_bundle_name(bundle);
  uint32_t count = tessera_bundle_layer_count(bundle);
  if (count == 0) {
    return tsr_error_set(error, TSR_NOT_FOUND, "bundle '%s' has no layers",
                         title);
  }
  const char **names = tsr_calloc((size_t)count + 1, sizeof(*names));
  const char *meant = NULL;
  for (uint32_t i = 0; names != NULL && i < count; ++i) {
    names[i] = layer_name(bundle, i);
  }
  if (names != NULL) meant = tsr_suggest_word(name, names);
  tsr_free((void *)names);
  if (meant != NULL) {
    return tsr_error_set(error, TSR_NOT_FOUND,
                         "no layer '%s' in bundle '%s'; did you mean '%s'?",
                         name, title, meant);
  }
  return tsr_error_set(error, TSR_NOT_FOUND,
                       "no layer '%s' in bundle '%s'; it has %s, '%s'%s", name,
                       title, tsr_format_plural(count, "layer").text,
                       layer_name(bundle, 0), count == 1 ? "" : " first");
}

tsr_status tsr_layers_select(const tessera_bundle *bundle, const char *name,
                             uint32_t *out_first, uint32_t *out_count,
                             tsr_error *error) {
  uint32_t count = tessera_bundle_layer_count(bundle);
  *out_first = 0;
  *out_count = count;
  if (name == NULL) return TSR_OK;
  const tessera_layer *wanted = tessera_bundle_find_layer(bundle, name);
  for (uint32_t i = 0; wanted != NULL && i < count; ++i) {
    if (tessera_bundle_layer(bundle, i) != wanted) continue;
    *out_first = i;
    *out_count = 1;
    return TSR_OK;
  }
  return no_layer(bundle, name, error);
}
