// SPDX-License-Identifier: Apache-2.0
// A CUDA device as this library holds it: which one, its limits, and the
// context that everything happens in. A program's own context is never
// disturbed: each call of ours pushes this one and pops it again.
#ifndef RUNTIME_CUDA_CUDA_DEVICE_H_
#define RUNTIME_CUDA_CUDA_DEVICE_H_

#include "cuda/driver.h"
#include "device.h"

typedef struct tsr_cuda_device {
  tessera_device base;
  const tsr_cuda_driver *driver;
  CUdevice ordinal;
  CUcontext context;
  bool is_primary;      // the context is the device's own, retained
  uint32_t capability;  // 90: compute capability 9.0
  uint32_t multiprocessors;
  uint32_t thread_limit;  // of a block
  uint32_t shared_limit;  // bytes of shared memory of a block, asked for
} tsr_cuda_device;

// |device| is one: its first member is the tessera_device.
static inline tsr_cuda_device *tsr_cuda_device_of(tessera_device *device) {
  return (tsr_cuda_device *)(void *)device;
}

// Every successful enter is followed by a leave, in the same thread.
TESSERA_MUST_USE tessera_status tsr_cuda_enter(const tsr_cuda_device *device,
                                               tessera_error *error);
void tsr_cuda_leave(const tsr_cuda_device *device);

static inline CUdeviceptr tsr_cuda_address(const void *memory) {
  return (CUdeviceptr)(uintptr_t)memory;
}

static inline CUstream tsr_cuda_stream(void *stream) {
  return (CUstream)stream;
}

// cuda/cuda_device.c
tessera_status tsr_cuda_open(uint32_t index,
                             const tessera_device_options *options,
                             tessera_device **out_device, tessera_error *error);
void tsr_cuda_close(tessera_device *device);

// cuda/memory.c; but for what programs do in it.
tessera_status tsr_cuda_allocate(tessera_device *device, size_t size,
                                 void **out_memory, tessera_error *error);
void tsr_cuda_release(tessera_device *device, void *memory);
tessera_status tsr_cuda_transfer(tessera_device *device,
                                 tsr_direction direction, void *destination,
                                 const void *source, size_t size, void *stream,
                                 tessera_error *error);
tessera_status tsr_cuda_synchronize(tessera_device *device, void *stream,
                                    tessera_error *error);
tessera_status tsr_cuda_timer_create(tessera_device *device,
                                     tessera_timer **out_timer,
                                     tessera_error *error);
void tsr_cuda_timer_destroy(tessera_timer *timer);
tessera_status tsr_cuda_timer_mark(tessera_timer *timer, bool is_stop,
                                   void *stream, tessera_error *error);
tessera_status tsr_cuda_timer_read(tessera_timer *timer, double *out_seconds,
                                   tessera_error *error);

#endif  // RUNTIME_CUDA_CUDA_DEVICE_H_
