// SPDX-License-Identifier: Apache-2.0
// Runs the kernels of foreign.cu and compares with the same in C:
//
//   foreign DRIVER PTX [SEEDS]
//
// Nothing may be found in any of them, with all checks, for any seed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

enum { COUNT = 256, BLOCK = 128 };

static driver cuda;
static int32_t input[COUNT];

__extension__ typedef unsigned __int128 uint128;

static uint32_t wide(uint32_t i) {
  uint64_t low = (uint64_t)input[i] * UINT64_C(0x123456789abcdef);
  uint128 a = (uint128)low << 40 | (uint32_t)input[i];
  uint128 b = (uint128)(uint32_t)input[255 - i] * 0x10000000f + 1;
  uint64_t q = (uint64_t)(a / b + a % b);
  return (uint32_t)(q ^ q >> 32);
}

static uint32_t jumps(uint32_t i) {
  int32_t x = input[i];
  int32_t results[8] = {x * 3, x - 7, x ^ 0x55, x / 3, x % 5, ~x, x * x, 1};
  return (uint32_t)results[x & 7];
}

static uint32_t calls(uint32_t i) {
  static const uint32_t fibonacci[8] = {0, 1, 1, 2, 3, 5, 8, 13};
  uint32_t x = (uint32_t)input[i];
  return x % 3 == 0 ? fibonacci[x & 7] : x % 3 == 1 ? x * 2 : x * x;
}

static uint32_t structures(uint32_t i) {
  int32_t x = input[i], a[5] = {1, 2, 3, 4, 5};
  a[x & 3] += x;
  return (uint32_t)(a[0] + a[3] * 7 + 3 + (int32_t)(2.5 + x) + (int8_t)x);
}

static uint32_t local(uint32_t i) {
  uint32_t a[40], sum = 0;
  for (uint32_t k = 0; k < 40; ++k) a[k] = (uint32_t)input[(i + k) % COUNT];
  for (uint32_t k = 0; k < 40; ++k) {
    uint32_t j = a[k] % 40, t = a[k];
    a[k] = a[j];
    a[j] = t;
  }
  for (uint32_t k = 0; k < 40; ++k) sum = sum * 31 + a[k];
  return sum;
}

static uint32_t loops(uint32_t i) {
  uint32_t count = 0;
  for (uint32_t x = (uint32_t)input[i] + 1; x != 1 && count < 300;) {
    x = (x & 1) != 0 ? 3 * x + 1 : x >> 1;
    if (++count % 50 == 49) continue;
    if (x == 160) break;
  }
  return count;
}

static uint32_t groups(uint32_t i) {
  uint32_t warp = i & ~31u, tile = i & ~7u;
  uint32_t sum = 0, most = 0, scan = 0, rank = 0, size = 0, first = 0;
  for (uint32_t k = 0; k < 8; ++k) sum += (uint32_t)input[tile + k];
  for (uint32_t k = warp; k < warp + 32; ++k) {
    uint32_t v = (uint32_t)input[k];
    if (v > most) most = v;
    if (k <= i) scan += v;
    if ((v & 1) == 0) continue;
    if (size++ == 0) first = v;
    if (k < i) ++rank;
  }
  bool is_odd = (input[i] & 1) != 0;
  uint32_t odd = is_odd ? rank + 100 * size + first : 0;
  return sum + most * 3 + scan * 5 + odd * 7;
}

static uint32_t grid(uint32_t i) {
  (void)i;
  uint32_t sum = 0;
  for (uint32_t k = 0; k < COUNT; ++k) sum += (uint32_t)input[k];
  return sum;
}

static uint32_t barriers(uint32_t i) {
  return (uint32_t)input[i / BLOCK * BLOCK + (i + 1) % BLOCK];
}

static uint32_t pipelines(uint32_t i) {
  uint32_t k = BLOCK - 1 - i % BLOCK;
  return (uint32_t)(input[k] * (1 + 3) + input[BLOCK + k] * (2 + 4));
}

static uint32_t flag(uint32_t i) {
  uint32_t start = i / BLOCK * BLOCK;
  for (uint32_t k = start; k < start + BLOCK; ++k) {
    if (input[k] > 900) return 1;
  }
  return 0;
}

typedef struct test {
  const char *name;
  uint32_t (*reference)(uint32_t i);
  bool cooperative;
} test;
static const test tests[] = {
    {"wide", wide, false},         {"jumps", jumps, false},
    {"calls", calls, false},       {"structures", structures, false},
    {"local", local, false},       {"loops", loops, false},
    {"groups", groups, false},     {"grid", grid, true},
    {"barriers", barriers, false}, {"pipelines", pipelines, false},
    {"flag", flag, false},
};

static void must(CUresult result, const char *what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: %s\n", what, driver_error(&cuda, result));
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  if (driver_is_emulated(&cuda) &&
      cuda.tessera_emu_get_finding(0, &finding) == 0) {
    fprintf(stderr, "%s\n", finding.message);
  }
  exit(1);
}

static char *read_text(const char *path) {
  FILE *file = fopen(path, "rb");
  char *text = NULL;
  size_t size = 0;
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
    long end = ftell(file);
    if (end > 0) text = calloc(1, (size_t)end + 1);
    rewind(file);
    if (text != NULL) size = fread(text, 1, (size_t)end, file);
  }
  if (file != NULL) (void)fclose(file);
  if (text == NULL || size == 0) {
    fprintf(stderr, "%s cannot be read\n", path);
    exit(1);
  }
  return text;
}

static bool run(CUmodule module, const test *t, uint64_t seed) {
  CUfunction function = NULL;
  CUdeviceptr in = 0, out = 0;
  uint32_t result[COUNT + 1] = {0};
  for (uint64_t i = 0; i < COUNT; ++i) {
    uint64_t x = (i + 1 + seed * 1000) * UINT64_C(0x9e3779b97f4a7c15);
    input[i] = (int32_t)((x ^ x >> 29) % 1000);
  }
  must(cuda.cuModuleGetFunction(&function, module, t->name), t->name);
  must(cuda.cuMemAlloc(&in, sizeof(input)), "cuMemAlloc");
  must(cuda.cuMemAlloc(&out, sizeof(result)), "cuMemAlloc");
  must(cuda.cuMemcpyHtoD(in, input, sizeof(input)), "cuMemcpyHtoD");
  must(cuda.cuMemcpyHtoD(out, result, sizeof(result)), "cuMemcpyHtoD");
  void *args[] = {&in, &out};
  CUresult launched =
      t->cooperative
          ? cuda.cuLaunchCooperativeKernel(function, COUNT / BLOCK, 1, 1, BLOCK,
                                           1, 1, 0, NULL, args)
          : cuda.cuLaunchKernel(function, COUNT / BLOCK, 1, 1, BLOCK, 1, 1, 0,
                                NULL, args, NULL);
  must(launched, t->name);
  must(cuda.cuCtxSynchronize(), t->name);
  must(cuda.cuMemcpyDtoH(result, out, sizeof(result)), "cuMemcpyDtoH");
  must(cuda.cuMemFree(in), "cuMemFree");
  must(cuda.cuMemFree(out), "cuMemFree");
  for (uint32_t i = 0; i < COUNT; ++i) {
    if (result[i] == t->reference(i)) continue;
    fprintf(stderr, "%s, seed %u: thread %u has %u, expected %u\n", t->name,
            (unsigned)seed, i, result[i], t->reference(i));
    return false;
  }
  return true;
}

static void configure(uint64_t seed) {
  if (!driver_is_emulated(&cuda)) return;
  tessera_emu_config config = {.struct_size = sizeof(config)};
  cuda.tessera_emu_get_config(&config);
  config.seed = seed;
  config.checks = TESSERA_EMU_CHECK_ALL;
  config.time = (tessera_emu_time)(seed % 3);
  config.findings_fail = 1;
  if (cuda.tessera_emu_set_config(&config) != 0) exit(1);
}

int main(int argc, char **argv) {
  if (argc < 3 || !driver_open(&cuda, argv[1])) return 2;
  uint64_t seeds = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
  configure(0);
  if (!driver_start(&cuda)) return 2;
  char *text = read_text(argv[2]);
  CUmodule module = NULL;
  must(cuda.cuModuleLoadDataEx(&module, text, 0, NULL, NULL), argv[2]);
  free(text);
  bool good = true;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    configure(seed);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); ++i) {
      good = run(module, &tests[i], seed) && good;
    }
  }
  return good ? 0 : 1;
}
