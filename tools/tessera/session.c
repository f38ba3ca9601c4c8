// SPDX-License-Identifier: Apache-2.0
// See session.h. The manifest was checked by the runtime when it opened the
// bundle; what is read here is read with the same distrust all the same.
#include "session.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "emulator.h"

tsr_status tsr_session_status(tessera_status status, const tessera_error *from,
                              tsr_error *error) {
  static const tsr_status statuses[] = {
      [TESSERA_OK] = TSR_OK,
      [TESSERA_INVALID_ARGUMENT] = TSR_INVALID_ARGUMENT,
      [TESSERA_OUT_OF_MEMORY] = TSR_OUT_OF_MEMORY,
      [TESSERA_IO] = TSR_IO,
      [TESSERA_NOT_FOUND] = TSR_NOT_FOUND,
      [TESSERA_CORRUPT] = TSR_CORRUPT,
      [TESSERA_UNSUPPORTED] = TSR_UNSUPPORTED,
      [TESSERA_UNAVAILABLE] = TSR_UNSUPPORTED,
      [TESSERA_DEVICE] = TSR_INTERNAL,
      [TESSERA_INTERNAL] = TSR_INTERNAL,
  };
  if (status == TESSERA_OK) return TSR_OK;
  tsr_status mapped = (unsigned)status < sizeof(statuses) / sizeof(statuses[0])
                          ? statuses[status]
                          : TSR_INTERNAL;
  (void)tsr_error_set(error, mapped, "%s", from->message);
  if (error != NULL) error->native = from->native;
  return mapped;
}

int tsr_session_read_options(const tsr_cli *cli, tsr_session_options *out) {
  static const char *const host_only[] = {"threads", "variant"};
  *out = (tsr_session_options){
      .path = cli->positionals[0],
      .device = tsr_cli_string(cli, "device"),
      .thread_count = (uint32_t)tsr_cli_uint(cli, "threads"),
      .variant = tsr_cli_string(cli, "variant")};
  if (strcmp(out->device, "host") == 0) return TSR_EXIT_OK;
  for (size_t i = 0; i < sizeof(host_only) / sizeof(host_only[0]); ++i) {
    if (!tsr_cli_given(cli, host_only[i])) continue;
    return tsr_cli_usage_error(
        cli, "--%s is for the host: with --device %s it means nothing",
        host_only[i], out->device);
  }
  return TSR_EXIT_OK;
}

tsr_status tsr_session_open_bundle(const char *path, tsr_session *out_session,
                                   tsr_error *error) {
  tessera_error failure = {0};
  memset(out_session, 0, sizeof(*out_session));
  return tsr_session_status(
      tessera_bundle_open(path, NULL, &out_session->bundle, &failure), &failure,
      error);
}

tsr_status tsr_device_resolve(const char *name, char *out, size_t size,
                              tsr_error *error) {
  static const char emulated[] = "emulated";
  size_t length = sizeof(emulated) - 1;
  bool matches = strncmp(name, emulated, length) == 0 &&
                 (name[length] == '\0' || name[length] == ':');
  const char *index = matches ? name + length : "";
  int used =
      !matches ? snprintf(out, size, "%s", name)
               : snprintf(out, size, "cuda%s", index[0] == '\0' ? ":0" : index);
  if (used < 0 || (size_t)used >= size) {
    return tsr_error_set(error, TSR_NOT_FOUND, "no device '%.40s...'", name);
  }
  tsr_emulator ignored;
  return matches ? tsr_emulator_choose(&ignored, error) : TSR_OK;
}

static tsr_status allocate_program(tsr_session *session, tsr_error *error) {
  tessera_error failure = {0};
  tessera_status status = tessera_program_memory(
      session->bundle, session->device, &session->memory_size, &failure);
  if (status == TESSERA_OK) {
    status = tessera_device_allocate(session->device, session->memory_size,
                                     &session->memory, &failure);
  }
  return tsr_session_status(status, &failure, error);
}

static tsr_status prepare(tsr_session *session, bool own_memory,
                          tsr_error *error) {
  tessera_error failure = {0};
  if (own_memory) {
    tsr_status status = allocate_program(session, error);
    if (status != TSR_OK) return status;
  }
  const tessera_prepare_options options = {
      .size = sizeof(options),
      .device_memory = session->memory,
      .device_memory_size = session->memory_size};
  return tsr_session_status(
      tessera_program_prepare_with(session->bundle, session->device, &options,
                                   &session->program, &failure),
      &failure, error);
}

static tsr_status open_device(const tsr_session_options *options,
                              tsr_session *session, tsr_error *error) {
  const tessera_device_options device = {.size = sizeof(device),
                                         .thread_count = options->thread_count,
                                         .variant = options->variant};
  tessera_error failure = {0};
  char name[64];
  tsr_status status =
      tsr_device_resolve(options->device == NULL ? "host" : options->device,
                         name, sizeof(name), error);
  if (status != TSR_OK) return status;
  tessera_status opened =
      tessera_device_open(name, &device, &session->device, &failure);
  if (opened == TESSERA_UNAVAILABLE) {
    return tsr_error_set(
        error, TSR_UNSUPPORTED, "%s; %s", failure.message,
        tsr_emulator_in_use()  // it has taken its variables for mistakes
            ? "docs/emulator.md tells what TESSERA_EMU_DEVICE and its like "
              "may be"
            : "TESSERA_CUDA_DRIVER names another driver, --device emulated "
              "needs none");
  }
  session->is_cuda = strcmp(name, "host") != 0;
  session->emulated = session->is_cuda && tsr_emulator_in_use();
  if (opened == TESSERA_OK) {
    (void)snprintf(session->description, sizeof(session->description), "%s%s",
                   session->emulated ? "emulated " : "",
                   tessera_device_description(session->device));
  }
  return tsr_session_status(opened, &failure, error);
}

tsr_status tsr_session_open_device(const tsr_session_options *options,
                                   tsr_session *session, tsr_error *error) {
  tsr_status status = open_device(options, session, error);
  if (status == TSR_OK) {
    status = prepare(session, options->own_memory && session->is_cuda, error);
  }
  if (status != TSR_OK) tsr_session_close(session);
  return status;
}

tsr_status tsr_session_open(const tsr_session_options *options,
                            tsr_session *out_session, tsr_error *error) {
  tsr_status status =
      tsr_session_open_bundle(options->path, out_session, error);
  return status == TSR_OK ? tsr_session_open_device(options, out_session, error)
                          : status;
}

void tsr_session_close(tsr_session *session) {
  tessera_program_destroy(session->program);
  if (session->device != NULL) {
    tessera_device_free(session->device, session->memory);
  }
  tessera_device_close(session->device);
  tessera_bundle_close(session->bundle);
  memset(session, 0, sizeof(*session));
}

tsr_status tsr_session_query(const tsr_session *session, uint32_t layer,
                             tessera_layer_info *out_info, tsr_error *error) {
  tessera_error failure = {0};
  memset(out_info, 0, sizeof(*out_info));
  out_info->size = sizeof(*out_info);
  tessera_status status = tessera_layer_query(
      tessera_bundle_layer(session->bundle, layer), out_info, &failure);
  return tsr_session_status(status, &failure, error);
}

// ---- The manifest ----------------------------------------------------------

static bool read_hash(const json_t *key, const char *name, tsr_hash *out) {
  const char *text = json_string_value(json_object_get(key, name));
  return text != NULL && tsr_hash_parse(text, out);
}

// |index|: of the array of all kernels, |kernels|.
static bool read_kernel(const json_t *kernels, const json_t *index,
                        tsr_layer_manifest *out) {
  json_int_t number = json_integer_value(index);
  if (number < 0) return false;
  const json_t *kernel = json_array_get(kernels, (size_t)number);
  const json_t *tokens = json_object_get(kernel, "tokens");
  const char *strategy = json_string_value(json_object_get(kernel, "strategy"));
  json_int_t first = json_integer_value(json_array_get(tokens, 0));
  json_int_t last = json_integer_value(json_array_get(tokens, 1));
  if (strategy == NULL || first < 1 || last < first || last > UINT32_MAX) {
    return false;
  }
  uint32_t i = out->kernel_count++;
  size_t size = sizeof(out->kernels[i].strategy) - 1;
  strncpy(out->kernels[i].strategy, strategy, size);
  out->kernels[i].first = (uint32_t)first;
  out->kernels[i].last = (uint32_t)last;
  return true;
}

// The kernels that the CUDA image |variant| ("sm_80 ptx") holds.
static const json_t *image_kernels(const json_t *root, const char *variant) {
  const json_t *images = json_object_get(root, "images");
  for (size_t i = 0; i < json_array_size(images); ++i) {
    const json_t *image = json_array_get(images, i);
    const char *name = json_string_value(json_object_get(image, "variant"));
    const char *format = json_string_value(json_object_get(image, "format"));
    if (name == NULL || format == NULL) continue;
    size_t size = strlen(name);
    if (strncmp(variant, name, size) == 0 && variant[size] == ' ' &&
        strcmp(variant + size + 1, format) == 0) {
      return json_object_get(image, "kernels");
    }
  }
  return NULL;
}

static bool has_index(const json_t *list, const json_t *index) {
  for (size_t i = 0; i < json_array_size(list); ++i) {
    if (json_equal(json_array_get(list, i), index)) return true;
  }
  return false;
}

// |variant|: of a program on a CUDA device; NULL: on the host.
static bool read_layer(const json_t *root, uint32_t layer, const char *variant,
                       tsr_layer_manifest *out) {
  bool is_cuda = variant != NULL;
  const json_t *held = is_cuda ? image_kernels(root, variant) : NULL;
  const json_t *entry = json_array_get(json_object_get(root, "layers"), layer);
  const json_t *key = json_object_get(entry, "key");
  const json_t *all =
      json_object_get(root, is_cuda ? "cuda_kernels" : "kernels");
  const json_t *kernels = json_object_get(
      json_object_get(entry, is_cuda ? "cuda" : "host"), "kernels");
  size_t limit = sizeof(out->kernels) / sizeof(out->kernels[0]);
  bool ok = read_hash(key, "weights", &out->weights) &&
            read_hash(key, "mask", &out->mask);
  for (size_t i = 0; ok && i < json_array_size(kernels); ++i) {
    const json_t *index = json_array_get(kernels, i);
    if (is_cuda && !has_index(held, index)) continue;
    ok = out->kernel_count < limit && read_kernel(all, index, out);
  }
  return ok;
}

tsr_status tsr_session_manifest(const tsr_session *session, uint32_t layer,
                                tsr_layer_manifest *out_manifest,
                                tsr_error *error) {
  memset(out_manifest, 0, sizeof(*out_manifest));
  const char *text = tessera_bundle_manifest(session->bundle);
  json_t *root = json_loads(text, 0, NULL);
  const char *variant =
      session->is_cuda ? tessera_program_variant(session->program) : NULL;
  bool ok = root != NULL && read_layer(root, layer, variant, out_manifest);
  json_decref(root);
  if (ok) return TSR_OK;
  return tsr_error_set(error, TSR_CORRUPT,
                       "bundle '%s': manifest.json lacks the keys or the "
                       "kernels of layer %u",
                       tessera_bundle_name(session->bundle), layer);
}

const char *tsr_layer_manifest_strategy(const tsr_layer_manifest *manifest,
                                        uint64_t tokens) {
  for (uint32_t i = 0; i < manifest->kernel_count; ++i) {
    if (tokens >= manifest->kernels[i].first &&
        tokens <= manifest->kernels[i].last) {
      return manifest->kernels[i].strategy;
    }
  }
  return NULL;
}
