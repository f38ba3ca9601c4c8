// SPDX-License-Identifier: Apache-2.0
// Finds the driver library and its functions. All but one come from
// cuGetProcAddress, which is told the version of each: a name alone would give
// the oldest variant of it.
#include "cuda/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// cuGetProcAddress_v2, since CUDA 12.0.
typedef CUresult (*get_proc_address)(const char *symbol, void **out_function,
                                     int version, uint64_t flags,
                                     int *out_status);

static const char standard_library[] = "libcuda.so.1";

// ---- Errors -----------------------------------------------------------------

const char *tsr_cuda_result_name(const tsr_cuda_driver *driver,
                                 CUresult result) {
  const char *name = NULL;
  if (driver->cuGetErrorName(result, &name) != CUDA_SUCCESS || name == NULL) {
    return "unknown error";
  }
  return name;
}

tessera_status tsr_cuda_check(const tsr_cuda_driver *driver, CUresult result,
                              tessera_error *error, const char *format, ...) {
  if (result == CUDA_SUCCESS) return TESSERA_OK;
  tessera_status status = result == CUDA_ERROR_OUT_OF_MEMORY
                              ? TESSERA_OUT_OF_MEMORY
                              : TESSERA_DEVICE;
  bool is_first = error != NULL && error->status == TESSERA_OK;
  char what[256];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(what, sizeof(what), format, args);
  va_end(args);
  const char *text = NULL;
  if (driver->cuGetErrorString(result, &text) != CUDA_SUCCESS) text = NULL;
  tsr_fail_record(error, status, "%s: %s (%s)", what,
                  tsr_cuda_result_name(driver, result),
                  text == NULL ? "no description" : text);
  if (is_first) error->native = result;
  return status;
}

// ---- Loading ----------------------------------------------------------------

// ISO C has no conversion from dlsym's result to a function's address.
static void find(void *library, const char *symbol, void *out_function) {
  void *address = dlsym(library, symbol);
  memcpy(out_function, &address, sizeof(address));
}

static tessera_status find_one(get_proc_address get, const char *path,
                               const char *name, int version,
                               void *out_function, tessera_error *error) {
  void *address = NULL;
  int status = 0;
  CUresult result = get(name, &address, version, 0, &status);
  if (result != CUDA_SUCCESS || address == NULL) {
    return tsr_fail(error, TESSERA_UNAVAILABLE,
                    "CUDA driver '%.160s' has no %s of CUDA %d.%d", path, name,
                    version / 1000, version % 1000 / 10);
  }
  memcpy(out_function, &address, sizeof(address));
  return TESSERA_OK;
}

static tessera_status fail_old(void *library, const char *path,
                               tessera_error *error) {
  CUresult (*get_version)(int *) = NULL;
  int version = 0;
  find(library, "cuDriverGetVersion", &get_version);
  if (get_version == NULL) {
    return tsr_fail(error, TESSERA_UNAVAILABLE, "'%.160s' is no CUDA driver",
                    path);
  }
  if (get_version(&version) != CUDA_SUCCESS) version = 0;
  return tsr_fail(error, TESSERA_UNAVAILABLE,
                  "CUDA driver '%.160s' is too old: it is of CUDA %d.%d, 12.0 "
                  "or newer is needed",
                  path, version / 1000, version % 1000 / 10);
}

static tessera_status find_all(void *library, const char *path,
                               tsr_cuda_driver *out_driver,
                               tessera_error *error) {
  get_proc_address get = NULL;
  find(library, "cuGetProcAddress_v2", &get);
  if (get == NULL) return fail_old(library, path, error);
  tessera_status status = TESSERA_OK;
#define TSR_CU(name, version, parameters)                                   \
  if (status == TESSERA_OK) {                                               \
    status = find_one(get, path, #name, version, &out_driver->name, error); \
  }
#include "cuda/symbols.def"
#undef TSR_CU
  return status;
}

// No device, a driver that does not match its kernel module, and the like.
static tessera_status start(tsr_cuda_driver *driver, tessera_error *error) {
  CUresult result = driver->cuInit(0);
  if (result == CUDA_SUCCESS) {
    result = driver->cuDriverGetVersion(&driver->version);
  }
  if (result == CUDA_SUCCESS) return TESSERA_OK;
  const char *text = NULL;
  if (driver->cuGetErrorString(result, &text) != CUDA_SUCCESS) text = NULL;
  tsr_fail_record(error, TESSERA_UNAVAILABLE,
                  "the CUDA driver does not start: %s (%s)",
                  tsr_cuda_result_name(driver, result),
                  text == NULL ? "no description" : text);
  if (error != NULL) error->native = result;
  return TESSERA_UNAVAILABLE;
}

static tessera_status load(tsr_cuda_driver *out_driver, tessera_error *error) {
  const char *path = getenv("TESSERA_CUDA_DRIVER");
  if (path == NULL || path[0] == '\0') path = standard_library;
  *out_driver = (tsr_cuda_driver){0};
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    const char *why = dlerror();
    return tsr_fail(error, TESSERA_UNAVAILABLE, "there is no CUDA driver: %s",
                    why == NULL ? path : why);
  }
  tessera_status status = find_all(library, path, out_driver, error);
  if (status != TESSERA_OK) {
    (void)dlclose(library);
    return status;
  }
  return start(out_driver, error);  // it may have threads: it stays
}

tessera_status tsr_cuda_driver_get(const tsr_cuda_driver **out_driver,
                                   tessera_error *error) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static tsr_cuda_driver driver;
  static bool is_loaded;
  (void)pthread_mutex_lock(&lock);
  tessera_status status = is_loaded ? TESSERA_OK : load(&driver, error);
  is_loaded = status == TESSERA_OK;
  (void)pthread_mutex_unlock(&lock);
  *out_driver = status == TESSERA_OK ? &driver : NULL;
  return status;
}
