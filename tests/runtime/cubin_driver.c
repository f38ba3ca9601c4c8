// SPDX-License-Identifier: Apache-2.0
// A CUDA driver that takes cubins as a GPU's does: by what their header says of
// them and the device's compute capability. In the place of their code it gives
// the emulated driver the PTX that was planted in them (cubin.h); one without
// any is refused, like one that is damaged. All else is the emulated driver's.
//   CUBIN_DRIVER_LOG: a file that gets a line per image: what it is, what
//   became
//     of it, such as "cubin sm_90: loaded" or "ptx sm_80: error 218".
//   CUBIN_DRIVER_CAPABILITY: devices say that they have this one (103: 10.3).
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cubin.h"
#include "runtime/src/cuda/abi.h"

typedef CUresult (*get_proc_address)(const char *symbol, void **out_function,
                                     int version, uint64_t flags,
                                     int *out_status);
typedef CUresult (*load_function)(CUmodule *out_module, const void *image,
                                  unsigned count, int *names, void **values);
typedef CUresult (*attribute_function)(int *out_value, int attribute,
                                       CUdevice device);

// ISO C has no conversion from dlsym's result to a function's address.
static void find(const char *name, void *out_function) {
  void *library = dlopen(EMULATED_DRIVER, RTLD_NOW | RTLD_LOCAL);
  void *address = library == NULL ? NULL : dlsym(library, name);
  if (address == NULL) {
    fprintf(stderr, "the emulated driver has no %s\n", name);
    abort();
  }
  memcpy(out_function, &address, sizeof(address));
}

// ---- Devices ----------------------------------------------------------------

static CUresult get_attribute(int *out_value, int attribute, CUdevice device) {
  attribute_function next = NULL;
  find("cuDeviceGetAttribute", &next);
  const char *pretended = getenv("CUBIN_DRIVER_CAPABILITY");
  CUresult result = next(out_value, attribute, device);
  if (result != CUDA_SUCCESS || pretended == NULL) return result;
  int capability = atoi(pretended);
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) {
    *out_value = capability / 10;
  } else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) {
    *out_value = capability % 10;
  }
  return CUDA_SUCCESS;
}

static unsigned current_capability(void) {
  CUresult (*get_device)(CUdevice *) = NULL;
  CUdevice device = -1;
  int major = 0, minor = 0;
  find("cuCtxGetDevice", &get_device);
  if (get_device(&device) != CUDA_SUCCESS ||
      get_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                    device) != CUDA_SUCCESS ||
      get_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                    device) != CUDA_SUCCESS) {
    return 0;
  }
  return (unsigned)(10 * major + minor);
}

// ---- Images -----------------------------------------------------------------

static void note(const char *kind, const char *architecture, CUresult result) {
  const char *path = getenv("CUBIN_DRIVER_LOG");
  FILE *file = path == NULL ? NULL : fopen(path, "a");
  if (file == NULL) return;
  if (result == CUDA_SUCCESS) {
    (void)fprintf(file, "%s %s: loaded\n", kind, architecture);
  } else {
    (void)fprintf(file, "%s %s: error %d\n", kind, architecture, result);
  }
  (void)fclose(file);
}

// Of PTX: what follows ".target".
static void text_architecture(const char *text, char out[16]) {
  const char *target = strstr(text, ".target ");
  if (target == NULL || sscanf(target + 8, "%15[a-z_0-9]", out) != 1) {
    (void)snprintf(out, 16, "?");
  }
}

static CUresult load(CUmodule *out_module, const void *image, unsigned count,
                     int *names, void **values) {
  load_function next = NULL;
  char architecture[16];
  const char *kind = "ptx";
  CUresult result = CUDA_SUCCESS;
  find("cuModuleLoadDataEx", &next);
  if (memcmp(image, "\177ELF", 4) == 0) {
    kind = "cubin";
    cubin_architecture(image, architecture);
    image = cubin_text(image);
    if (!cubin_fits(architecture, current_capability())) {
      result = CUDA_ERROR_NO_BINARY_FOR_GPU;
    } else if (image == NULL) {
      result = CUDA_ERROR_INVALID_IMAGE;
    }
  } else {
    text_architecture(image, architecture);
  }
  if (result == CUDA_SUCCESS) {
    result = next(out_module, image, count, names, values);
  }
  note(kind, architecture, result);
  return result;
}

// ---- Entry points -----------------------------------------------------------

__attribute__((visibility("default"))) CUresult cuGetProcAddress_v2(
    const char *symbol, void **out_function, int version, uint64_t flags,
    int *out_status);

CUresult cuGetProcAddress_v2(const char *symbol, void **out_function,
                             int version, uint64_t flags, int *out_status) {
  load_function own_load = load;
  attribute_function own_attribute = get_attribute;
  get_proc_address next = NULL;
  find("cuGetProcAddress_v2", &next);
  CUresult result = next(symbol, out_function, version, flags, out_status);
  if (result != CUDA_SUCCESS) return result;
  if (strcmp(symbol, "cuModuleLoadDataEx") == 0) {
    memcpy(out_function, &own_load, sizeof(own_load));
  } else if (strcmp(symbol, "cuDeviceGetAttribute") == 0) {
    memcpy(out_function, &own_attribute, sizeof(own_attribute));
  }
  return CUDA_SUCCESS;
}
