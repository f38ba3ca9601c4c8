// SPDX-License-Identifier: Apache-2.0
// A CUDA driver that nobody can tell from a GPU's: it offers the CUDA API of
// the emulated driver and none of the emulator's own functions. So what the
// tools do on a GPU is tested, times included, which are the emulator's virtual
// ones. PLAIN_DRIVER_OF names the emulated driver.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int (*get_proc_address)(const char *symbol, void **out_function,
                                int version, uint64_t flags, int *out_status);

enum { ERROR_NOT_FOUND = 500 };  // CUDA_ERROR_NOT_FOUND

__attribute__((visibility("default"))) int cuGetProcAddress_v2(
    const char *symbol, void **out_function, int version, uint64_t flags,
    int *out_status);

int cuGetProcAddress_v2(const char *symbol, void **out_function, int version,
                        uint64_t flags, int *out_status) {
  const char *path = getenv("PLAIN_DRIVER_OF");
  if (path == NULL) return ERROR_NOT_FOUND;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return ERROR_NOT_FOUND;
  // ISO C has no conversion from dlsym's result to a function's address.
  void *address = dlsym(library, "cuGetProcAddress_v2");
  get_proc_address get = NULL;
  memcpy(&get, &address, sizeof(get));
  if (get == NULL) return ERROR_NOT_FOUND;
  return get(symbol, out_function, version, flags, out_status);
}
