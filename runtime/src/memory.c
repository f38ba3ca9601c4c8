// SPDX-License-Identifier: Apache-2.0
// Memory and time of devices as the caller sees them: checks, then the device's
// own functions, or on the host, which has none, the C library's.
#include "base/memory.h"

#include <string.h>
#include <time.h>

#include "device.h"
#include "fail.h"

enum { ALIGNMENT = 256 };

static tessera_status check_device(const tessera_device *device,
                                   tessera_error *error) {
  tsr_fail_clear(error);
  if (device != NULL) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "device is NULL");
}

static tessera_status check_stream(const tessera_device *device,
                                   const void *stream, tessera_error *error) {
  if (stream == NULL || device->ops->memory != NULL) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "stream is not NULL, but the host has no streams");
}

// ---- Memory ----------------------------------------------------------------

tessera_status tessera_device_allocate(tessera_device *device, size_t size,
                                       void **out_memory,
                                       tessera_error *error) {
  tessera_status status = check_device(device, error);
  if (out_memory == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_memory is NULL");
  }
  *out_memory = NULL;
  if (status != TESSERA_OK || size == 0) return status;
  if (device->ops->memory != NULL) {
    return device->ops->memory->allocate(device, size, out_memory, error);
  }
  *out_memory = tsr_aligned_alloc(ALIGNMENT, size);
  return *out_memory == NULL ? tsr_fail_out_of_memory(error) : TESSERA_OK;
}

void tessera_device_free(tessera_device *device, void *memory) {
  if (device == NULL || memory == NULL) return;
  if (device->ops->memory != NULL) {
    device->ops->memory->release(device, memory);
  } else {
    tsr_free(memory);
  }
}

static tessera_status transfer(tessera_device *device, tsr_direction direction,
                               void *destination, const void *source,
                               size_t size, void *stream,
                               tessera_error *error) {
  tessera_status status = check_device(device, error);
  if (status == TESSERA_OK) status = check_stream(device, stream, error);
  if (status != TESSERA_OK || size == 0) return status;
  if (destination == NULL || source == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL",
                    destination == NULL ? "destination" : "source");
  }
  if (device->ops->memory != NULL) {
    return device->ops->memory->transfer(device, direction, destination, source,
                                         size, stream, error);
  }
  memcpy(destination, source, size);
  return TESSERA_OK;
}

tessera_status tessera_device_write(tessera_device *device, void *destination,
                                    const void *source, size_t size,
                                    void *stream, tessera_error *error) {
  return transfer(device, TSR_TO_DEVICE, destination, source, size, stream,
                  error);
}

tessera_status tessera_device_read(tessera_device *device, void *destination,
                                   const void *source, size_t size,
                                   void *stream, tessera_error *error) {
  return transfer(device, TSR_FROM_DEVICE, destination, source, size, stream,
                  error);
}

tessera_status tessera_device_copy(tessera_device *device, void *destination,
                                   const void *source, size_t size,
                                   void *stream, tessera_error *error) {
  return transfer(device, TSR_WITHIN_DEVICE, destination, source, size, stream,
                  error);
}

tessera_status tessera_device_synchronize(tessera_device *device, void *stream,
                                          tessera_error *error) {
  tessera_status status = check_device(device, error);
  if (status == TESSERA_OK) status = check_stream(device, stream, error);
  if (status != TESSERA_OK || device->ops->memory == NULL) return status;
  return device->ops->memory->synchronize(device, stream, error);
}

// ---- Time ------------------------------------------------------------------

typedef struct host_timer {
  tessera_timer base;
  double start, stop;
} host_timer;

static double host_seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

tessera_status tessera_timer_create(tessera_device *device,
                                    tessera_timer **out_timer,
                                    tessera_error *error) {
  tessera_status status = check_device(device, error);
  if (out_timer == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_timer is NULL");
  }
  *out_timer = NULL;
  if (status != TESSERA_OK) return status;
  if (device->ops->memory != NULL) {
    return device->ops->memory->timer_create(device, out_timer, error);
  }
  host_timer *timer = tsr_calloc(1, sizeof(*timer));
  if (timer == NULL) return tsr_fail_out_of_memory(error);
  timer->base.device = device;
  *out_timer = &timer->base;
  return TESSERA_OK;
}

void tessera_timer_destroy(tessera_timer *timer) {
  if (timer == NULL) return;
  if (timer->device->ops->memory != NULL) {
    timer->device->ops->memory->timer_destroy(timer);
  } else {
    tsr_free(timer);
  }
}

static tessera_status mark(tessera_timer *timer, bool is_stop, void *stream,
                           tessera_error *error) {
  tsr_fail_clear(error);
  if (timer == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "timer is NULL");
  }
  tessera_device *device = timer->device;
  tessera_status status = check_stream(device, stream, error);
  if (status != TESSERA_OK) return status;
  if (device->ops->memory != NULL) {
    return device->ops->memory->timer_mark(timer, is_stop, stream, error);
  }
  host_timer *host = (host_timer *)(void *)timer;
  *(is_stop ? &host->stop : &host->start) = host_seconds();
  return TESSERA_OK;
}

tessera_status tessera_timer_start(tessera_timer *timer, void *stream,
                                   tessera_error *error) {
  return mark(timer, false, stream, error);
}

tessera_status tessera_timer_stop(tessera_timer *timer, void *stream,
                                  tessera_error *error) {
  return mark(timer, true, stream, error);
}

tessera_status tessera_timer_read(tessera_timer *timer, double *out_seconds,
                                  tessera_error *error) {
  tsr_fail_clear(error);
  if (timer == NULL || out_seconds == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL",
                    timer == NULL ? "timer" : "out_seconds");
  }
  *out_seconds = 0.0;
  if (timer->device->ops->memory != NULL) {
    return timer->device->ops->memory->timer_read(timer, out_seconds, error);
  }
  const host_timer *host = (const host_timer *)(const void *)timer;
  *out_seconds = host->stop - host->start;
  return TESSERA_OK;
}

// ---- Programs ---------------------------------------------------------------

tessera_status tessera_program_memory(const tessera_bundle *bundle,
                                      tessera_device *device, size_t *out_size,
                                      tessera_error *error) {
  tessera_status status = check_device(device, error);
  if (status != TESSERA_OK) return status;
  if (bundle == NULL || out_size == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL",
                    bundle == NULL ? "bundle" : "out_size");
  }
  *out_size = 0;
  if (device->ops->memory == NULL) return TESSERA_OK;
  status = device->ops->memory->program_size(bundle, device, out_size, error);
  if (status != TESSERA_OK) {
    tsr_fail_prefix(error, "bundle '%.200s'", bundle->path);
  }
  return status;
}

tessera_status tessera_program_prepare_with(
    const tessera_bundle *bundle, tessera_device *device,
    const tessera_prepare_options *options, tessera_program **out_program,
    tessera_error *error) {
  tsr_fail_clear(error);
  if (options == NULL || device == NULL || device->ops->memory == NULL) {
    return tessera_program_prepare(bundle, device, out_program, error);
  }
  if (out_program == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "out_program is NULL");
  }
  *out_program = NULL;
  if (bundle == NULL || options->size < sizeof(*options)) {
    return bundle == NULL
               ? tsr_fail(error, TESSERA_INVALID_ARGUMENT, "bundle is NULL")
               : tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                          "tessera_prepare_options.size is %zu, expected %zu",
                          options->size, sizeof(*options));
  }
  tessera_status status =
      device->ops->memory->prepare(bundle, device, options, out_program, error);
  if (status != TESSERA_OK) {
    tsr_fail_prefix(error, "bundle '%.200s'", bundle->path);
  }
  return status;
}

tessera_status tessera_workspace_init(const tessera_program *program,
                                      void *workspace, size_t workspace_size,
                                      void *stream, tessera_error *error) {
  tsr_fail_clear(error);
  if (program == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "program is NULL");
  }
  tessera_status status = check_stream(program->device, stream, error);
  const tsr_device_memory_ops *memory = program->device->ops->memory;
  if (status != TESSERA_OK || workspace_size == 0 || memory == NULL) {
    return status;
  }
  if (workspace == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "workspace is NULL");
  }
  return memory->workspace_init(program, workspace, workspace_size, stream,
                                error);
}
