// SPDX-License-Identifier: Apache-2.0
// Memory, copies and timers of a CUDA device, for callers without CUDA code of
// their own.
#include "base/memory.h"

#include "cuda/cuda_device.h"

typedef struct cuda_timer {
  tessera_timer base;
  CUevent events[2];  // start, stop
} cuda_timer;

// ---- Memory -----------------------------------------------------------------

tessera_status tsr_cuda_allocate(tessera_device *device, size_t size,
                                 void **out_memory, tessera_error *error) {
  const tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  CUdeviceptr memory = 0;  // aligned to 256 (CUDA C++ Programming Guide,
                           // "Device Memory Accesses")
  tessera_status status = tsr_cuda_enter(cuda, error);
  if (status != TESSERA_OK) return status;
  status = tsr_cuda_check(cuda->driver, cuda->driver->cuMemAlloc(&memory, size),
                          error, "cuMemAlloc of %zu bytes", size);
  tsr_cuda_leave(cuda);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the device.
  if (status == TESSERA_OK) *out_memory = (void *)(uintptr_t)memory;
  return status;
}

void tsr_cuda_release(tessera_device *device, void *memory) {
  const tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  if (tsr_cuda_enter(cuda, NULL) != TESSERA_OK) return;
  (void)cuda->driver->cuMemFree(tsr_cuda_address(memory));
  tsr_cuda_leave(cuda);
}

static tessera_status enqueue(const tsr_cuda_device *device,
                              tsr_direction direction, void *destination,
                              const void *source, size_t size, CUstream stream,
                              tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  CUdeviceptr to = tsr_cuda_address(destination);
  CUdeviceptr from = tsr_cuda_address(source);
  switch (direction) {
    case TSR_TO_DEVICE:
      return tsr_cuda_check(driver,
                            driver->cuMemcpyHtoDAsync(to, source, size, stream),
                            error, "cuMemcpyHtoDAsync of %zu bytes", size);
    case TSR_FROM_DEVICE:
      return tsr_cuda_check(
          driver, driver->cuMemcpyDtoHAsync(destination, from, size, stream),
          error, "cuMemcpyDtoHAsync of %zu bytes", size);
    case TSR_WITHIN_DEVICE:
      break;
  }
  return tsr_cuda_check(driver,
                        driver->cuMemcpyDtoDAsync(to, from, size, stream),
                        error, "cuMemcpyDtoDAsync of %zu bytes", size);
}

tessera_status tsr_cuda_transfer(tessera_device *device,
                                 tsr_direction direction, void *destination,
                                 const void *source, size_t size, void *stream,
                                 tessera_error *error) {
  const tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  tessera_status status = tsr_cuda_enter(cuda, error);
  if (status != TESSERA_OK) return status;
  status = enqueue(cuda, direction, destination, source, size,
                   tsr_cuda_stream(stream), error);
  if (status == TESSERA_OK && direction != TSR_WITHIN_DEVICE) {
    status = tsr_cuda_check(
        cuda->driver,
        cuda->driver->cuStreamSynchronize(tsr_cuda_stream(stream)), error,
        "cuStreamSynchronize");
  }
  tsr_cuda_leave(cuda);
  return status;
}

tessera_status tsr_cuda_synchronize(tessera_device *device, void *stream,
                                    tessera_error *error) {
  const tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  tessera_status status = tsr_cuda_enter(cuda, error);
  if (status != TESSERA_OK) return status;
  status = tsr_cuda_check(
      cuda->driver, cuda->driver->cuStreamSynchronize(tsr_cuda_stream(stream)),
      error, "cuStreamSynchronize");
  tsr_cuda_leave(cuda);
  return status;
}

// ---- Time -------------------------------------------------------------------

void tsr_cuda_timer_destroy(tessera_timer *timer) {
  cuda_timer *cuda = (cuda_timer *)(void *)timer;
  const tsr_cuda_device *device = tsr_cuda_device_of(timer->device);
  if (tsr_cuda_enter(device, NULL) == TESSERA_OK) {
    for (int i = 0; i < 2; ++i) {
      if (cuda->events[i] != NULL) {
        (void)device->driver->cuEventDestroy(cuda->events[i]);
      }
    }
    tsr_cuda_leave(device);
  }
  tsr_free(cuda);
}

tessera_status tsr_cuda_timer_create(tessera_device *device,
                                     tessera_timer **out_timer,
                                     tessera_error *error) {
  const tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  cuda_timer *timer = tsr_calloc(1, sizeof(*timer));
  if (timer == NULL) return tsr_fail_out_of_memory(error);
  timer->base.device = device;
  tessera_status status = tsr_cuda_enter(cuda, error);
  if (status == TESSERA_OK) {
    for (int i = 0; i < 2 && status == TESSERA_OK; ++i) {
      status = tsr_cuda_check(cuda->driver,
                              cuda->driver->cuEventCreate(&timer->events[i], 0),
                              error, "cuEventCreate");
    }
    tsr_cuda_leave(cuda);
  }
  if (status == TESSERA_OK) {
    *out_timer = &timer->base;
  } else {
    tsr_cuda_timer_destroy(&timer->base);
  }
  return status;
}

tessera_status tsr_cuda_timer_mark(tessera_timer *timer, bool is_stop,
                                   void *stream, tessera_error *error) {
  const cuda_timer *cuda = (const cuda_timer *)(const void *)timer;
  const tsr_cuda_device *device = tsr_cuda_device_of(timer->device);
  tessera_status status = tsr_cuda_enter(device, error);
  if (status != TESSERA_OK) return status;
  status = tsr_cuda_check(
      device->driver,
      device->driver->cuEventRecord(cuda->events[is_stop ? 1 : 0],
                                    tsr_cuda_stream(stream)),
      error, "cuEventRecord");
  tsr_cuda_leave(device);
  return status;
}

tessera_status tsr_cuda_timer_read(tessera_timer *timer, double *out_seconds,
                                   tessera_error *error) {
  const cuda_timer *cuda = (const cuda_timer *)(const void *)timer;
  const tsr_cuda_device *device = tsr_cuda_device_of(timer->device);
  const tsr_cuda_driver *driver = device->driver;
  float milliseconds = 0;
  tessera_status status = tsr_cuda_enter(device, error);
  if (status != TESSERA_OK) return status;
  status = tsr_cuda_check(driver, driver->cuEventSynchronize(cuda->events[1]),
                          error, "cuEventSynchronize");
  if (status == TESSERA_OK) {
    status =
        tsr_cuda_check(driver,
                       driver->cuEventElapsedTime(
                           &milliseconds, cuda->events[0], cuda->events[1]),
                       error, "cuEventElapsedTime");
  }
  tsr_cuda_leave(device);
  if (status == TESSERA_OK) *out_seconds = (double)milliseconds / 1e3;
  return status;
}
