// SPDX-License-Identifier: Apache-2.0
#include "driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

// ISO C has no conversion from dlsym's result to a function's address.
static void find(void *library, const char *symbol, void *out_function) {
  void *address = dlsym(library, symbol);
  memcpy(out_function, &address, sizeof(address));
}

bool driver_open(driver *d, const char *path) {
  memset(d, 0, sizeof(*d));
  d->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (d->library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return false;
  }
  bool complete = true;
#define FIND(name, symbol, parameters)                        \
  find(d->library, symbol, &d->name);                         \
  if (d->name == NULL) {                                      \
    fprintf(stderr, "%s has no function %s\n", path, symbol); \
    complete = false;                                         \
  }
  DRIVER_FUNCTIONS(FIND)
#undef FIND
#define FIND(name, result, parameters) find(d->library, #name, &d->name);
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
