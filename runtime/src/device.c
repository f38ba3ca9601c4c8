// SPDX-License-Identifier: Apache-2.0
// Devices and programs as the caller sees them: checks, then the device's own
// table of functions.
#include "device.h"

#include <stdio.h>
#include <string.h>

#include "fail.h"

enum { THREAD_LIMIT = 1024, INDEX_LIMIT = 1 << 16 };

static const tsr_device_ops *const kinds[] = {&tsr_host_device_ops,
                                              &tsr_cuda_device_ops};

// ---- Devices ----------------------------------------------------------------

// "cuda:3" is index 3 of kind "cuda"; "host" is index 0.
static bool matches(const char *name, const char *kind, uint32_t *out_index) {
  size_t size = strlen(kind);
  *out_index = 0;
  if (strncmp(name, kind, size) != 0) return false;
  name += size;
  if (*name == '\0') return true;
  if (*name++ != ':' || *name == '\0') return false;
  for (; *name >= '0' && *name <= '9' && *out_index < INDEX_LIMIT; ++name) {
    *out_index = *out_index * 10 + (uint32_t)(*name - '0');
  }
  return *name == '\0';
}

static tessera_status check_options(const tessera_device_options *options,
                                    tessera_device_options *out_options,
                                    tessera_error *error) {
  *out_options = (tessera_device_options){.size = sizeof(*out_options)};
  if (options == NULL) return TESSERA_OK;
  if (options->size < sizeof(*options)) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "tessera_device_options.size is %zu, expected %zu",
                    options->size, sizeof(*options));
  }
  if (options->weights > TESSERA_WEIGHTS_COPIED) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "weights is %d",
                    (int)options->weights);
  }
  if (options->thread_count > THREAD_LIMIT) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "thread_count is %u, the limit is %d",
                    options->thread_count, THREAD_LIMIT);
  }
  *out_options = *options;
  return TESSERA_OK;
}

tessera_status tessera_device_open(const char *name,
                                   const tessera_device_options *options,
                                   tessera_device **out_device,
                                   tessera_error *error) {
  tsr_fail_clear(error);
  if (out_device == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_device is NULL");
  }
  *out_device = NULL;
  if (name == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "name is NULL");
  }
  tessera_device_options complete;
  tessera_status status = check_options(options, &complete, error);
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
    uint32_t index = 0;
    if (status != TESSERA_OK) return status;
    if (!matches(name, kinds[i]->kind, &index)) continue;
    return kinds[i]->open(index, &complete, out_device, error);
  }
  return tsr_fail(error, TESSERA_NOT_FOUND,
                  "device '%.100s': unknown; there are 'host' and 'cuda:N'",
                  name);
}

void tessera_device_close(tessera_device *device) {
  if (device != NULL) device->ops->close(device);
}

const char *tessera_device_description(const tessera_device *device) {
  return device == NULL ? NULL : device->description;
}

uint32_t tessera_device_thread_count(const tessera_device *device) {
  return device == NULL ? 0 : device->thread_count;
}

// ---- Programs ---------------------------------------------------------------

tessera_status tessera_program_prepare(const tessera_bundle *bundle,
                                       tessera_device *device,
                                       tessera_program **out_program,
                                       tessera_error *error) {
  tsr_fail_clear(error);
  if (out_program == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_program is NULL");
  }
  *out_program = NULL;
  if (bundle == NULL || device == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL",
                    bundle == NULL ? "bundle" : "device");
  }
  tessera_status status =
      device->ops->prepare(bundle, device, out_program, error);
  if (status != TESSERA_OK) {
    tsr_fail_prefix(error, "bundle '%.200s'", bundle->path);
  }
  return status;
}

void tessera_program_destroy(tessera_program *program) {
  if (program != NULL) program->device->ops->destroy(program);
}

const char *tessera_program_variant(const tessera_program *program) {
  return program == NULL ? NULL : program->variant;
}

// ---- Running ----------------------------------------------------------------

static tessera_status check_layer(const tessera_program *program,
                                  const tessera_layer *layer,
                                  tessera_error *error) {
  if (program == NULL || layer == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL",
                    program == NULL ? "program" : "layer");
  }
  if (layer->bundle == program->bundle) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "the layer is of another bundle than the program");
}

static tessera_status with_layer(tessera_status status,
                                 const tessera_layer *layer,
                                 tessera_error *error) {
  if (status != TESSERA_OK && layer != NULL) {
    tsr_fail_prefix(error, "layer '%.160s'", layer->info.name);
  }
  return status;
}

tessera_status tessera_program_copy(const tessera_program *program,
                                    const tessera_layer *layer,
                                    tessera_program **out_program,
                                    tessera_error *error) {
  tsr_fail_clear(error);
  if (out_program == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_program is NULL");
  }
  *out_program = NULL;
  tessera_status status = check_layer(program, layer, error);
  if (status == TESSERA_OK) {
    status = program->device->ops->copy(program, layer, out_program, error);
  }
  return with_layer(status, layer, error);
}

tessera_status tessera_layer_team_workspace(const tessera_program *program,
                                            const tessera_layer *layer,
                                            uint32_t token_count,
                                            uint32_t thread_count,
                                            size_t *out_size,
                                            tessera_error *error) {
  tsr_fail_clear(error);
  if (out_size == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_size is NULL");
  }
  *out_size = 0;
  tessera_status status = check_layer(program, layer, error);
  if (status == TESSERA_OK &&
      (thread_count == 0 || thread_count > THREAD_LIMIT)) {
    status = tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                      "thread_count is %u, expected 1 to %d", thread_count,
                      THREAD_LIMIT);
  }
  if (status == TESSERA_OK) {
    status = program->device->ops->workspace(program, layer, token_count, true,
                                             thread_count, out_size, error);
  }
  return with_layer(status, layer, error);
}

tessera_status tessera_layer_workspace(const tessera_program *program,
                                       const tessera_layer *layer,
                                       uint32_t token_count, size_t *out_size,
                                       tessera_error *error) {
  uint32_t threads = program == NULL ? 1 : program->device->thread_count;
  return tessera_layer_team_workspace(program, layer, token_count, threads,
                                      out_size, error);
}

tessera_status tessera_linear_run(const tessera_program *program,
                                  const tessera_layer *layer,
                                  const tessera_run_args *args,
                                  tessera_error *error) {
  tsr_fail_clear(error);
  tsr_run run;
  tessera_status status = check_layer(program, layer, error);
  if (status == TESSERA_OK && args == NULL) {
    status = tsr_fail(error, TESSERA_INVALID_ARGUMENT, "args is NULL");
  }
  if (status == TESSERA_OK) {
    status = tsr_run_check(program, layer, args, program->device->thread_count,
                           &run, error);
  }
  if (status == TESSERA_OK) {
    status = program->device->ops->run(program, &run, error);
  }
  return with_layer(status, layer, error);
}

static tessera_status check_team(const tessera_program *program,
                                 const tessera_run_args *args,
                                 const tessera_team *sync,
                                 uint32_t thread_index, uint32_t thread_count,
                                 tessera_error *error) {
  if (args == NULL || sync == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL",
                    args == NULL ? "args" : "sync");
  }
  if (thread_count == 0 || thread_count > THREAD_LIMIT ||
      thread_index >= thread_count) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "thread %u of %u, expected at most %d", thread_index,
                    thread_count, THREAD_LIMIT);
  }
  if (program->device->ops->run_thread == NULL) {
    return tsr_fail(error, TESSERA_UNSUPPORTED,
                    "this device does not use the caller's threads");
  }
  return TESSERA_OK;
}

tessera_status tessera_linear_run_thread(
    const tessera_program *program, const tessera_layer *layer,
    const tessera_run_args *args, tessera_team *sync, uint32_t thread_index,
    uint32_t thread_count, tessera_error *error) {
  tsr_fail_clear(error);
  tsr_run run;
  tessera_status status = check_layer(program, layer, error);
  if (status == TESSERA_OK) {
    status = check_team(program, args, sync, thread_index, thread_count, error);
  }
  if (status == TESSERA_OK) {
    status = tsr_run_check(program, layer, args, thread_count, &run, error);
  }
  if (status == TESSERA_OK) {
    status = program->device->ops->run_thread(program, &run, sync, thread_index,
                                              thread_count, error);
  }
  return with_layer(status, layer, error);
}
