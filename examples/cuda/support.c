// SPDX-License-Identifier: Apache-2.0
// Opens the CUDA driver with dlopen, so that the programs build and start on
// machines that have no CUDA at all, and say what is missing.
#include "support.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cuda_driver cuda;

static void *find_symbol(void *library, const char *name) {
  void *symbol = dlsym(library, name);
  if (symbol == NULL) {
    fprintf(stderr, "the CUDA driver has no %s\n", name);
    exit(1);
  }
  return symbol;
}

void open_driver(void) {
  const char *name = getenv("TESSERA_CUDA_DRIVER");
  if (name == NULL || name[0] == '\0') name = "libcuda.so.1";
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "no CUDA driver: %s\n", dlerror());
    exit(1);
  }
  void *symbol;  // memcpy: ISO C converts no pointer to data to one to code
#define LOAD(member, name, parameters)  \
  symbol = find_symbol(library, #name); \
  memcpy(&cuda.member, &symbol, sizeof(symbol));
  DRIVER_FUNCTIONS(LOAD)
#undef LOAD
}

void check_cuda(CUresult result, const char *call) {
  if (result == 0) return;
  const char *name = "unknown error";
  (void)cuda.get_error_name(result, &name);
  fprintf(stderr, "%s: %s\n", call, name);
  exit(1);
}

void check_tessera(tessera_status status, const tessera_error *error,
                   const char *call) {
  if (status == TESSERA_OK) return;
  fprintf(stderr, "%s: %s (%s)\n", call, error->message,
          tessera_status_name(status));
  exit(1);
}

float from_bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof(value));
  return value;
}

void fill_bf16(uint16_t *out, size_t count, uint32_t seed) {
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    float value = (float)((int)(seed >> 24) - 128) / 128.0f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    out[i] = (uint16_t)(bits >> 16);
  }
}

void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) {
    fprintf(stderr, "out of memory\n");
    exit(1);
  }
  return memory;
}
