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

int tsr_cli_no_layer(const tsr_cli *cli, const tessera_bundle *bundle,
                     const char *name) {
  uint32_t count = tessera_bundle_layer_count(bundle);
  const char **names = tsr_calloc((size_t)count + 1, sizeof(*names));
  const char *meant = NULL;
  for (uint32_t i = 0; names != NULL && i < count; ++i) {
    names[i] = layer_name(bundle, i);
  }
  if (names != NULL) meant = tsr_suggest_word(name, names);
  const char *first = count == 0 ? NULL : layer_name(bundle, 0);
  if (meant != NULL) {
    tsr_cli_error(cli, "no layer '%s' in bundle '%s'; did you mean '%s'?", name,
                  tessera_bundle_name(bundle), meant);
  } else if (first != NULL) {
    tsr_cli_error(cli, "no layer '%s' in bundle '%s'; it has %s, '%s'%s", name,
                  tessera_bundle_name(bundle),
                  tsr_format_plural(count, "layer").text, first,
                  count == 1 ? "" : " first");
  } else {
    tsr_cli_error(cli, "bundle '%s' has no layers",
                  tessera_bundle_name(bundle));
  }
  tsr_free((void *)names);
  return TSR_EXIT_DIAGNOSED;
}
