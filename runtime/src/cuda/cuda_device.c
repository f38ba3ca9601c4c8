// SPDX-License-Identifier: Apache-2.0
// Opening a CUDA device: the driver, the device's limits, a context.
#include "cuda/cuda_device.h"

#include <stdio.h>

#include "base/memory.h"

tessera_status tsr_cuda_enter(const tsr_cuda_device *device,
                              tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  return tsr_cuda_check(driver, driver->cuCtxPushCurrent(device->context),
                        error, "cuCtxPushCurrent");
}

void tsr_cuda_leave(const tsr_cuda_device *device) {
  CUcontext popped = NULL;  // ours; there is nobody to tell of a failure
  (void)device->driver->cuCtxPopCurrent(&popped);
}

// ---- Facts ------------------------------------------------------------------

static tessera_status find_device(tsr_cuda_device *device, uint32_t index,
                                  tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  int count = 0;
  tessera_status status = tsr_cuda_check(
      driver, driver->cuDeviceGetCount(&count), error, "cuDeviceGetCount");
  if (status != TESSERA_OK) return status;
  if (index >= (uint32_t)count) {
    return tsr_fail(error, TESSERA_NOT_FOUND,
                    "there %s %d CUDA device%s, counted from 0",
                    count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
  }
  return tsr_cuda_check(driver,
                        driver->cuDeviceGet(&device->ordinal, (int)index),
                        error, "cuDeviceGet");
}

static tessera_status read_facts(tsr_cuda_device *device,
                                 tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  uint32_t major = 0, minor = 0;
  const struct {
    int attribute;
    uint32_t *to;
  } facts[] = {
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &device->multiprocessors},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &device->thread_limit},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
       &device->shared_limit},
  };
  tessera_status status = TESSERA_OK;
  for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); ++i) {
    int value = 0;
    if (status != TESSERA_OK) return status;
    status = tsr_cuda_check(driver,
                            driver->cuDeviceGetAttribute(
                                &value, facts[i].attribute, device->ordinal),
                            error, "cuDeviceGetAttribute");
    *facts[i].to = value < 0 ? 0 : (uint32_t)value;
  }
  device->capability = 10 * major + minor;
  return status;
}

static tessera_status describe(tsr_cuda_device *device, uint32_t index,
                               tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  char name[96] = "";
  tessera_status status = tsr_cuda_check(
      driver,
      driver->cuDeviceGetName(name, (int)sizeof(name) - 1, device->ordinal),
      error, "cuDeviceGetName");
  (void)snprintf(device->base.description, sizeof(device->base.description),
                 "cuda:%u (%s, compute capability %u.%u, %u multiprocessors, "
                 "driver %d.%d)",
                 index, name, device->capability / 10, device->capability % 10,
                 device->multiprocessors, driver->version / 1000,
                 driver->version % 1000 / 10);
  return status;
}

// ---- Context ----------------------------------------------------------------

static tessera_status take_primary(tsr_cuda_device *device,
                                   tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  tessera_status status = tsr_cuda_check(
      driver,
      driver->cuDevicePrimaryCtxRetain(&device->context, device->ordinal),
      error, "cuDevicePrimaryCtxRetain");
  device->is_primary = status == TESSERA_OK;
  return status;
}

static tessera_status take_callers(tsr_cuda_device *device, CUcontext context,
                                   tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  CUdevice of = -1;
  device->context = context;
  tessera_status status = tsr_cuda_enter(device, error);
  if (status != TESSERA_OK) return status;
  status = tsr_cuda_check(driver, driver->cuCtxGetDevice(&of), error,
                          "cuCtxGetDevice");
  tsr_cuda_leave(device);
  if (status != TESSERA_OK || of == device->ordinal) return status;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "context is one of another device");
}

// ---- Open, close ------------------------------------------------------------

void tsr_cuda_close(tessera_device *device) {
  tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  if (cuda->is_primary) {
    (void)cuda->driver->cuDevicePrimaryCtxRelease(cuda->ordinal);
  }
  tsr_free(cuda);
}

tessera_status tsr_cuda_open(uint32_t index,
                             const tessera_device_options *options,
                             tessera_device **out_device,
                             tessera_error *error) {
  tsr_cuda_device *device = tsr_calloc(1, sizeof(*device));
  if (device == NULL) return tsr_fail_out_of_memory(error);
  device->base.ops = &tsr_cuda_device_ops;
  device->base.thread_count = 1;  // of the host's: the caller's
  tessera_status status = tsr_cuda_driver_get(&device->driver, error);
  if (status == TESSERA_OK) status = find_device(device, index, error);
  if (status == TESSERA_OK) status = read_facts(device, error);
  if (status == TESSERA_OK) status = describe(device, index, error);
  if (status == TESSERA_OK) {
    status = options->context == NULL
                 ? take_primary(device, error)
                 : take_callers(device, (CUcontext)options->context, error);
  }
  if (status == TESSERA_OK) {
    *out_device = &device->base;
  } else {
    tsr_fail_prefix(error, "device 'cuda:%u'", index);
    tsr_cuda_close(&device->base);
  }
  return status;
}
