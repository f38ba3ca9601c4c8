// SPDX-License-Identifier: Apache-2.0
// A driver library opened at run time, real or emulated, and a device in it.
#ifndef TESTS_EMULATOR_KERNELS_DRIVER_H_
#define TESTS_EMULATOR_KERNELS_DRIVER_H_

#include <stdbool.h>

#include "driver/cuda_abi.h"
#include "tessera/cuda_emu.h"

// X(name, symbol, parameters)
#define DRIVER_FUNCTIONS(X)                                                    \
  X(cuInit, "cuInit", (unsigned))                                              \
  X(cuDriverGetVersion, "cuDriverGetVersion", (int *))                         \
  X(cuDeviceGet, "cuDeviceGet", (CUdevice *, int))                             \
  X(cuDeviceGetName, "cuDeviceGetName", (char *, int, CUdevice))               \
  X(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int *, int, CUdevice))      \
  X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain",                      \
    (CUcontext *, CUdevice))                                                   \
  X(cuCtxSetCurrent, "cuCtxSetCurrent", (CUcontext))                           \
  X(cuCtxSynchronize, "cuCtxSynchronize", (void))                              \
  X(cuModuleLoadDataEx, "cuModuleLoadDataEx",                                  \
    (CUmodule *, const void *, unsigned, int *, void **))                      \
  X(cuModuleUnload, "cuModuleUnload", (CUmodule))                              \
  X(cuModuleGetFunction, "cuModuleGetFunction",                                \
    (CUfunction *, CUmodule, const char *))                                    \
  X(cuFuncSetAttribute, "cuFuncSetAttribute", (CUfunction, int, int))          \
  X(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *, size_t))                      \
  X(cuMemFree, "cuMemFree_v2", (CUdeviceptr))                                  \
  X(cuMemcpyHtoD, "cuMemcpyHtoD_v2", (CUdeviceptr, const void *, size_t))      \
  X(cuMemcpyDtoH, "cuMemcpyDtoH_v2", (void *, CUdeviceptr, size_t))            \
  X(cuMemsetD8, "cuMemsetD8_v2", (CUdeviceptr, unsigned char, size_t))         \
  X(cuLaunchKernel, "cuLaunchKernel",                                          \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,   \
     unsigned, CUstream, void **, void **))                                    \
  X(cuLaunchCooperativeKernel, "cuLaunchCooperativeKernel",                    \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,   \
     unsigned, CUstream, void **))                                             \
  X(cuTensorMapEncodeTiled, "cuTensorMapEncodeTiled",                          \
    (CUtensorMap *, unsigned, uint32_t, void *, const uint64_t *,              \
     const uint64_t *, const uint32_t *, const uint32_t *, unsigned, unsigned, \
     unsigned, unsigned))                                                      \
  X(cuGetErrorName, "cuGetErrorName", (CUresult, const char **))

// The emulated driver's own; NULL in a real one.
#define EMULATOR_FUNCTIONS(X)                                      \
  X(tessera_emu_get_config, void, (tessera_emu_config *))          \
  X(tessera_emu_set_config, int, (const tessera_emu_config *))     \
  X(tessera_emu_set_devices, int, (const char *))                  \
  X(tessera_emu_reset, void, (void))                               \
  X(tessera_emu_finding_count, size_t, (void))                     \
  X(tessera_emu_get_finding, int, (size_t, tessera_emu_finding *)) \
  X(tessera_emu_clear_findings, void, (void))                      \
  X(tessera_emu_profile_count, size_t, (void))                     \
  X(tessera_emu_get_profile, int, (size_t, tessera_emu_profile *)) \
  X(tessera_emu_clear_profiles, void, (void))

typedef struct driver {
  void *library;
#define MEMBER(name, symbol, parameters) CUresult(*name) parameters;
  DRIVER_FUNCTIONS(MEMBER)
#undef MEMBER
#define MEMBER(name, result, parameters) result(*name) parameters;
  EMULATOR_FUNCTIONS(MEMBER)
#undef MEMBER
} driver;

// False, with a message on stderr, when |path| is no driver.
bool driver_open(driver *d, const char *path);
// Initialises it and makes the first device's primary context current.
bool driver_start(driver *d);
bool driver_is_emulated(const driver *d);
const char *driver_error(const driver *d, CUresult result);

#endif  // TESTS_EMULATOR_KERNELS_DRIVER_H_
