// SPDX-License-Identifier: Apache-2.0
#include "driver.h"

#include "support/dynamic.h"

bool driver_open(driver *d, const char *path) {
  memset(d, 0, sizeof(*d));
  d->library = dynamic_open(path);
  if (d->library == NULL) return false;
  bool complete = true;
#define FIND(name, symbol, parameters)                        \
  if (!dynamic_find(d->library, symbol, &d->name)) {          \
    fprintf(stderr, "%s has no function %s\n", path, symbol); \
    complete = false;                                         \
  }
  DRIVER_FUNCTIONS(FIND)
#undef FIND
#define FIND(name, result, parameters) \
  (void)dynamic_find(d->library, #name, &d->name);
  EMULATOR_FUNCTIONS(FIND)
#undef FIND
  return complete;
}

bool driver_is_emulated(const driver *d) {
  return d->tessera_emu_reset != NULL;
}

const char *driver_error(const driver *d, CUresult result) {
  const char *name = NULL;
  if (d->cuGetErrorName(result, &name) != CUDA_SUCCESS || name == NULL) {
    return "unknown error";
  }
  return name;
}

bool driver_start(driver *d) {
  CUdevice device = 0;
  CUcontext context = NULL;
  CUresult result = d->cuInit(0);
  if (result == CUDA_SUCCESS) result = d->cuDeviceGet(&device, 0);
  if (result == CUDA_SUCCESS) {
    result = d->cuDevicePrimaryCtxRetain(&context, device);
  }
  if (result == CUDA_SUCCESS) result = d->cuCtxSetCurrent(context);
  if (result == CUDA_SUCCESS) return true;
  fprintf(stderr, "driver: %s\n", driver_error(d, result));
  return false;
}
