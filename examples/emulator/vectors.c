// SPDX-License-Identifier: Apache-2.0
// A plain program for the CUDA Driver API; it knows nothing of Tessera. Loads
// PTX from a file, computes y = 2x + y and the sum of y, and checks both.
//
// Linked with libcuda.so.1, or compiled with -DUSE_DLOPEN: then it finds the
// functions when it runs, with dlopen and cuGetProcAddress.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef USE_DLOPEN
#include <dlfcn.h>
#endif

// The part of cuda.h that is used; #include <cuda.h> where there is one.
typedef int CUresult, CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;

#define FUNCTIONS(X)                                                         \
  X(cuInit, , (unsigned flags))                                              \
  X(cuDeviceGet, , (CUdevice * device, int ordinal))                         \
  X(cuDeviceGetName, , (char *name, int size, CUdevice device))              \
  X(cuDevicePrimaryCtxRetain, , (CUcontext * context, CUdevice device))      \
  X(cuDevicePrimaryCtxRelease, _v2, (CUdevice device))                       \
  X(cuCtxSetCurrent, , (CUcontext context))                                  \
  X(cuModuleLoad, , (CUmodule * module, const char *path))                   \
  X(cuModuleGetFunction, ,                                                   \
    (CUfunction * function, CUmodule module, const char *name))              \
  X(cuMemAlloc, _v2, (CUdeviceptr * address, size_t size))                   \
  X(cuMemFree, _v2, (CUdeviceptr address))                                   \
  X(cuMemcpyHtoD, _v2, (CUdeviceptr to, const void *from, size_t size))      \
  X(cuMemcpyDtoH, _v2, (void *to, CUdeviceptr from, size_t size))            \
  X(cuMemsetD32, _v2, (CUdeviceptr to, unsigned value, size_t count))        \
  X(cuLaunchKernel, ,                                                        \
    (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, \
     unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,  \
     CUstream stream, void **params, void **extra))                          \
  X(cuGetErrorString, , (CUresult result, const char **text))

#ifdef USE_DLOPEN
#define DECLARE(name, suffix, params) static CUresult(*name) params;
FUNCTIONS(DECLARE)

typedef CUresult (*lookup_function)(const char *name, void **out, int version,
                                    unsigned long long flags, int *status);

// The driver's functions as CUDA 12.0 has them.
static int load_driver(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 0;
  }
  lookup_function lookup;
  void *symbol = dlsym(library, "cuGetProcAddress_v2");
  if (symbol == NULL) return 0;
  memcpy(&lookup, &symbol, sizeof(lookup));
  int found = 1;
#define LOAD(name, suffix, params)                                \
  found = found && lookup(#name, &symbol, 12000, 0, NULL) == 0 && \
          memcpy(&name, &symbol, sizeof(name)) != NULL;
  FUNCTIONS(LOAD)
  return found;
}
#else
// Symbols carry the version of the function.
#define DECLARE(name, suffix, params) CUresult name##suffix params;
FUNCTIONS(DECLARE)
#define cuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease_v2
#define cuMemAlloc cuMemAlloc_v2
#define cuMemFree cuMemFree_v2
#define cuMemcpyHtoD cuMemcpyHtoD_v2
#define cuMemcpyDtoH cuMemcpyDtoH_v2
#define cuMemsetD32 cuMemsetD32_v2

static int load_driver(void) {
  return 1;
}
#endif

static void check(CUresult result, const char *what) {
  if (result == 0) return;
  const char *text = "unknown error";
  (void)cuGetErrorString(result, &text);
  fprintf(stderr, "%s: %s\n", what, text);
  exit(1);
}

enum { N = 1000, BLOCK = 128, GRID = (N + BLOCK - 1) / BLOCK };

static CUdeviceptr upload(const float *values, size_t size) {
  CUdeviceptr address = 0;
  check(cuMemAlloc(&address, size), "cuMemAlloc");
  check(cuMemcpyHtoD(address, values, size), "cuMemcpyHtoD");
  return address;
}

static void run(CUmodule module) {
  static float x[N], y[N], out[N];
  double expected = 0;
  for (int i = 0; i < N; ++i) {
    x[i] = (float)(i % 10);
    y[i] = 0.5f;
    expected += 2 * x[i] + y[i];
  }
  CUdeviceptr device_x = upload(x, sizeof(x)), device_y = upload(y, sizeof(y));
  CUdeviceptr total = 0;
  check(cuMemAlloc(&total, sizeof(float)), "cuMemAlloc");
  check(cuMemsetD32(total, 0, 1), "cuMemsetD32");

  CUfunction axpy, sum;
  check(cuModuleGetFunction(&axpy, module, "axpy"), "axpy");
  check(cuModuleGetFunction(&sum, module, "sum"), "sum");
  float a = 2, result = 0;
  unsigned n = N;
  void *axpy_params[] = {&a, &device_x, &device_y, &n};
  check(
      cuLaunchKernel(axpy, GRID, 1, 1, BLOCK, 1, 1, 0, NULL, axpy_params, NULL),
      "axpy");
  void *sum_params[] = {&device_y, &total, &n};
  check(cuLaunchKernel(sum, GRID, 1, 1, BLOCK, 1, 1, 0, NULL, sum_params, NULL),
        "sum");
  check(cuMemcpyDtoH(out, device_y, sizeof(out)), "cuMemcpyDtoH");
  check(cuMemcpyDtoH(&result, total, sizeof(result)), "cuMemcpyDtoH");
  int wrong = 0;
  for (int i = 0; i < N; ++i) wrong += out[i] != 2 * x[i] + y[i];
  printf("axpy: %d of %d values wrong\n", wrong, N);
  printf("sum: %.1f, expected %.1f\n", (double)result, expected);
  check(cuMemFree(device_x), "cuMemFree");
  check(cuMemFree(device_y), "cuMemFree");
  check(cuMemFree(total), "cuMemFree");
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s FILE.ptx\n", argv[0]);
    return 2;
  }
  if (!load_driver()) {
    fprintf(stderr, "no CUDA driver\n");
    return 1;
  }
  CUdevice device;
  CUcontext context;
  CUmodule module;
  char name[128];
  check(cuInit(0), "cuInit");
  check(cuDeviceGet(&device, 0), "cuDeviceGet");
  check(cuDeviceGetName(name, sizeof(name), device), "cuDeviceGetName");
  printf("device: %s\n", name);
  check(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
  check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  check(cuModuleLoad(&module, argv[1]), argv[1]);
  run(module);
  check(cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");
  return 0;
}
