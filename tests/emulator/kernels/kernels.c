// SPDX-License-Identifier: Apache-2.0
// Runs kernels compiled by nvcc, correct ones and ones with planted defects:
//
//   kernels DRIVER PTX_FOLDER [SEEDS [KERNEL]]
//
// DRIVER is a libcuda.so.1, real or emulated. Results are compared with a plain
// computation (inputs are small integers: sums are exact in any order). On the
// emulated driver every variant runs under SEEDS seeds: a correct one must
// give no finding, a defect one of the findings that it is expected to give. A
// real driver runs the correct variants only.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float16.h"
#include "driver.h"

enum { BUFFERS = 8, ARGS = 8 };

static driver cuda;
static uint64_t random_state;

static uint32_t draw(uint32_t below) {
  random_state =
      random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(random_state >> 33) % below;
}

// A run: buffers on the device, arguments, what the output must be.
typedef struct run {
  CUmodule module;
  CUfunction function;
  CUdeviceptr buffers[BUFFERS];
  uint32_t buffer_count;
  unsigned grid[3], block, shared;
  uint64_t values[ARGS];  // arguments that are numbers or addresses
  CUtensorMap maps[2];
  void *args[ARGS];
  uint32_t arg_count;
  void *expected;
  size_t expected_size;
  CUdeviceptr output;
} run;

static void must(CUresult result, const char *what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "kernels: %s: %s\n", what, driver_error(&cuda, result));
  exit(1);
}

static CUdeviceptr buffer(run *r, const void *data, size_t size) {
  CUdeviceptr pointer = 0;
  must(cuda.cuMemAlloc(&pointer, size), "cuMemAlloc");
  if (data != NULL)
    must(cuda.cuMemcpyHtoD(pointer, data, size), "cuMemcpyHtoD");
  r->buffers[r->buffer_count++] = pointer;
  return pointer;
}

static CUdeviceptr zeros(run *r, size_t size) {
  CUdeviceptr pointer = buffer(r, NULL, size);
  must(cuda.cuMemsetD8(pointer, 0, size), "cuMemsetD8");
  return pointer;
}

static void arg(run *r, uint64_t value) {
  r->values[r->arg_count] = value;
  r->args[r->arg_count] = &r->values[r->arg_count];
  ++r->arg_count;
}

static void *allocate(size_t count, size_t size) {
  void *data = calloc(count, size);
  if (data == NULL) exit(1);
  return data;
}

static void expect(run *r, CUdeviceptr output, void *data, size_t size) {
  r->output = output;
  r->expected = data;
  r->expected_size = size;
}

// --- The kernels
// --------------------------------------------------------------

static void prepare_reduce(run *r) {
  enum { COUNT = 5000 };
  float *in = allocate(COUNT, sizeof(*in));
  float *sum = allocate(1, sizeof(*sum));
  for (int i = 0; i < COUNT; ++i) *sum += in[i] = (float)draw(100) - 50;
  CUdeviceptr out = zeros(r, sizeof(*sum));
  arg(r, buffer(r, in, COUNT * sizeof(*in)));
  arg(r, out);
  arg(r, COUNT);
  r->grid[0] = 3;
  r->block = 256;
  expect(r, out, sum, sizeof(*sum));
  free(in);
}

static void prepare_scan(run *r) {
  enum { COUNT = 1000, BLOCKS = (COUNT + 127) / 128 };
  uint32_t *in = allocate(COUNT, sizeof(*in));
  uint32_t *sums = allocate(COUNT, sizeof(*sums));
  uint32_t sum = 0;
  for (int i = 0; i < COUNT; ++i) sums[i] = sum += in[i] = draw(1000);
  CUdeviceptr out = buffer(r, NULL, COUNT * sizeof(*sums));
  arg(r, buffer(r, in, COUNT * sizeof(*in)));
  arg(r, out);
  arg(r, zeros(r, BLOCKS * 4));
  arg(r, zeros(r, BLOCKS * 4));
  arg(r, COUNT);
  r->grid[0] = BLOCKS;
  r->block = 128;
  expect(r, out, sums, COUNT * sizeof(*sums));
  free(in);
}

static void prepare_histogram(run *r) {
  enum { COUNT = 4000 };
  uint8_t *in = allocate(COUNT, 1);
  uint32_t *bins = allocate(256, sizeof(*bins));
  for (int i = 0; i < COUNT; ++i) ++bins[in[i] = (uint8_t)draw(256)];
  CUdeviceptr out = zeros(r, 256 * sizeof(*bins));
  arg(r, buffer(r, in, COUNT));
  arg(r, out);
  arg(r, COUNT);
  r->grid[0] = 3;
  r->block = 128;
  expect(r, out, bins, 256 * sizeof(*bins));
  free(in);
}

// |count| integers of -4..4, as floats and in the type that |from| makes.
static uint16_t *small_numbers(size_t count, float *floats,
                               uint16_t (*from)(float)) {
  uint16_t *numbers = allocate(count, sizeof(*numbers));
  for (size_t i = 0; i < count; ++i) {
    floats[i] = (float)draw(9) - 4;
    numbers[i] = from(floats[i]);
  }
  return numbers;
}

// C[M,N] = A[M,K] B[N,K]^T.
static float *product(const float *a, const float *b, size_t m, size_t n,
                      size_t k) {
  float *c = allocate(m * n, sizeof(*c));
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t l = 0; l < k; ++l)
        c[i * n + j] += a[i * k + l] * b[j * k + l];
    }
  }
  return c;
}

static void prepare_gemm_async(run *r) {
  enum { M = 100, N = 128, K = 160 };
  float *a = allocate(M * K, sizeof(*a)), *b = allocate(N * K, sizeof(*b));
  uint16_t *ha = small_numbers(M * K, a, tsr_fp16_from_float);
  uint16_t *hb = small_numbers(N * K, b, tsr_fp16_from_float);
  CUdeviceptr out = buffer(r, NULL, M * N * 4);
  arg(r, buffer(r, ha, M * K * 2));
  arg(r, buffer(r, hb, N * K * 2));
  arg(r, out);
  arg(r, M);
  arg(r, N);
  arg(r, K);
  r->grid[0] = N / 64;
  r->grid[1] = (M + 63) / 64;
  r->block = 128;
  r->shared = 3 * 2 * 64 * 40 * 2;
  expect(r, out, product(a, b, M, N, K), M * N * 4);
  free(a), free(b), free(ha), free(hb);
}

// 2:4 values, codes and what they stand for: of each four columns two are
// kept, the code has the first one's index in its low two bits.
static void make_sparse(size_t m, size_t k, float *full, uint16_t *values,
                        uint16_t *metadata) {
  static const uint8_t codes[6] = {0x4, 0x8, 0x9, 0xc, 0xd, 0xe};
  for (size_t row = 0; row < m; ++row) {
    for (size_t group = 0; group < k / 4; ++group) {
      uint8_t code = codes[draw(6)];
      metadata[row * (k / 16) + group / 4] |=
          (uint16_t)(code << (group % 4 * 4));
      for (size_t half = 0; half < 2; ++half) {
        float value = (float)draw(9) - 4;
        values[row * (k / 2) + group * 2 + half] = tsr_fp16_from_float(value);
        full[row * k + group * 4 + (code >> (half * 2) & 3u)] = value;
      }
    }
  }
}

static void prepare_gemm_sparse(run *r) {
  enum { M = 128, N = 16, K = 128 };
  float *a = allocate(M * K, sizeof(*a)), *b = allocate(N * K, sizeof(*b));
  uint16_t *values = allocate(M * K / 2, 2), *codes = allocate(M * K / 16, 2);
  make_sparse(M, K, a, values, codes);
  uint16_t *hb = small_numbers(N * K, b, tsr_fp16_from_float);
  CUdeviceptr out = buffer(r, NULL, M * N * 4);
  arg(r, buffer(r, values, M * K));
  arg(r, buffer(r, codes, M * K / 8));
  arg(r, buffer(r, hb, N * K * 2));
  arg(r, out);
  arg(r, M);
  arg(r, N);
  arg(r, K);
  r->grid[0] = N / 8;
  r->grid[1] = M / 64;
  r->block = 128;
  expect(r, out, product(a, b, M, N, K), M * N * 4);
  free(a), free(b), free(values), free(codes), free(hb);
}

// Row-major [height, width], boxes of box_height x box_width.
static void tensor_map(run *r, uint32_t index, CUdeviceptr pointer,
                       unsigned type, uint64_t element, uint64_t width,
                       uint64_t height, uint32_t box_width, uint32_t box_height,
                       unsigned swizzle) {
  uint64_t dims[2] = {width, height}, strides[1] = {width * element};
  uint32_t box[2] = {box_width, box_height}, steps[2] = {1, 1};
  must(cuda.cuTensorMapEncodeTiled(&r->maps[index], type, 2,
                                   (void *)(uintptr_t)pointer, dims, strides,
                                   box, steps, 0, swizzle, 0, 0),
       "cuTensorMapEncodeTiled");
  r->args[r->arg_count++] = &r->maps[index];
}

enum {
  TYPE_FLOAT32 = 7,
  TYPE_BFLOAT16 = 9,
  SWIZZLE_NONE = 0,
  SWIZZLE_128B = 3
};

static void prepare_tma(run *r) {
  enum { WIDTH = 60, HEIGHT = 90, COLUMNS = 2, ROWS = 6 };
  float *in = allocate(WIDTH * HEIGHT, sizeof(*in));
  float *twice = allocate(WIDTH * HEIGHT, sizeof(*twice));
  for (int i = 0; i < WIDTH * HEIGHT; ++i) {
    twice[i] = 2 * (in[i] = (float)draw(1000));
  }
  CUdeviceptr from = buffer(r, in, WIDTH * HEIGHT * 4);
  CUdeviceptr to = buffer(r, NULL, WIDTH * HEIGHT * 4);
  tensor_map(r, 0, from, TYPE_FLOAT32, 4, WIDTH, HEIGHT, 32, 16, SWIZZLE_NONE);
  tensor_map(r, 1, to, TYPE_FLOAT32, 4, WIDTH, HEIGHT, 32, 16, SWIZZLE_NONE);
  arg(r, COLUMNS * ROWS);
  arg(r, COLUMNS);
  r->grid[0] = 2;
  r->block = 160;
  r->shared = 3 * 32 * 16 * 4;
  expect(r, to, twice, WIDTH * HEIGHT * 4);
  free(in);
}

static void prepare_wgmma(run *r) {
  enum { M = 128, N = 64, K = 320 };
  float *a = allocate(M * K, sizeof(*a)), *b = allocate(N * K, sizeof(*b));
  uint16_t *ha = small_numbers(M * K, a, tsr_bf16_from_float);
  uint16_t *hb = small_numbers(N * K, b, tsr_bf16_from_float);
  tensor_map(r, 0, buffer(r, ha, M * K * 2), TYPE_BFLOAT16, 2, K, M, 64, 64,
             SWIZZLE_128B);
  tensor_map(r, 1, buffer(r, hb, N * K * 2), TYPE_BFLOAT16, 2, K, N, 64, 64,
             SWIZZLE_128B);
  CUdeviceptr out = buffer(r, NULL, M * N * 4);
  arg(r, out);
  arg(r, N);
  arg(r, K);
  r->grid[0] = N / 64;
  r->grid[1] = M / 64;
  r->block = 160;
  r->shared = 3 * 2 * 64 * 64 * 2 + 1024;
  expect(r, out, product(a, b, M, N, K), M * N * 4);
  free(a), free(b), free(ha), free(hb);
}

// --- What is expected of them
// -------------------------------------------------

#define BIT(kind) (1u << TESSERA_EMU_##kind)
#define STALE (BIT(IN_FLIGHT) | BIT(RACE) | BIT(UNINITIALISED))

typedef struct defect {
  const char *what;
  uint32_t findings;  // one of these kinds is found, whatever the seed
} defect;

typedef struct kernel {
  const char *name;
  void (*prepare)(run *r);
  defect defects[9];  // variant 1, 2, ...
} kernel;

static const kernel kernels[] = {
    {"reduce",
     prepare_reduce,
     {{"a missing barrier in the tree", BIT(RACE)},
      {"a read behind the array", BIT(OUT_OF_BOUNDS)},
      {"a missing barrier before the tree", BIT(RACE)}}},
    {"scan",
     prepare_scan,
     {{"a missing barrier after the totals", BIT(RACE) | BIT(UNINITIALISED)},
      {"a missing barrier after the prefix", BIT(RACE) | BIT(UNINITIALISED)}}},
    {"histogram",
     prepare_histogram,
     {{"a missing barrier after clearing", BIT(RACE) | BIT(UNINITIALISED)},
      {"a missing barrier before merging", BIT(RACE)},
      {"plain additions", BIT(RACE)},
      {"bins never cleared", BIT(UNINITIALISED)}}},
    {"gemm_async",
     prepare_gemm_async,
     {{"one group waited for too few", STALE},
      {"a missing barrier after the wait", STALE},
      {"a read of the stage being filled", STALE},
      {"rows beyond the matrix", BIT(OUT_OF_BOUNDS)},
      {"a stage beyond shared memory", BIT(OUT_OF_BOUNDS)}}},
    {"gemm_sparse",
     prepare_gemm_sparse,
     {{"a metadata word without a pattern", BIT(METADATA)},
      {"metadata in the wrong lanes", BIT(METADATA)},
      {"a missing wait", STALE},
      {"a missing barrier", STALE},
      {"metadata behind its array", BIT(OUT_OF_BOUNDS)}}},
    {"tma",
     prepare_tma,
     {{"no wait for a full stage", STALE},
      {"a phase that does not turn", STALE | BIT(DEADLOCK)},
      {"stages never released", BIT(DEADLOCK)},
      {"no proxy fence before a store", BIT(PROXY)},
      {"too few bytes expected", BIT(BARRIER) | BIT(DEADLOCK)},
      {"a stage released while it is stored", BIT(IN_FLIGHT)},
      {"no wait for an empty stage", STALE | BIT(BARRIER)},
      {"a box beyond shared memory", BIT(OUT_OF_BOUNDS)}}},
    {"wgmma",
     prepare_wgmma,
     {{"no wait for a full stage", STALE},
      {"a stage released while wgmma reads it", BIT(IN_FLIGHT) | BIT(RACE)},
      {"sums read before they are complete", BIT(IN_FLIGHT)},
      {"the wrong phase", STALE | BIT(DEADLOCK)},
      {"no fence before the first wgmma", BIT(IN_FLIGHT)},
      {"stages never released", BIT(DEADLOCK)},
      {"too many bytes expected", BIT(DEADLOCK)}}},
};

// --- Running
// ------------------------------------------------------------------

static char *read_file(const char *folder, const char *name) {
  char path[4096];
  (void)snprintf(path, sizeof(path), "%s/%s.ptx", folder, name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  size_t capacity = 1 << 22;
  char *text = allocate(capacity, 1);
  size_t size = fread(text, 1, capacity - 1, file);
  text[size] = '\0';
  fclose(file);
  return text;
}

static CUmodule load(const char *name, const char *text) {
  static char log[8192];
  log[0] = '\0';
  int options[2] = {5, 6};  // CU_JIT_ERROR_LOG_BUFFER, ..._SIZE_BYTES
  void *values[2] = {log, (void *)(uintptr_t)sizeof(log)};
  CUmodule module = NULL;
  CUresult result = cuda.cuModuleLoadDataEx(&module, text, 2, options, values);
  if (result == CUDA_SUCCESS) return module;
  fprintf(stderr, "%s.ptx: %s\n%s\n", name, driver_error(&cuda, result), log);
  exit(1);
}

// Kinds found, as bits; |show|: print them.
static uint32_t findings(bool show) {
  uint32_t kinds = 0;
  if (!driver_is_emulated(&cuda)) return 0;
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  for (size_t i = 0; cuda.tessera_emu_get_finding(i, &finding) == 0; ++i) {
    kinds |= 1u << finding.kind;
    if (show) printf("    %s\n", finding.message);
  }
  return kinds;
}

// Whether the result is what it should be. A fault makes it wrong.
static bool execute(const kernel *k, CUmodule module, uint32_t variant,
                    CUresult *out_result) {
  run r = {.module = module, .grid = {1, 1, 1}};
  char name[64];
  (void)snprintf(name, sizeof(name), "%s_%u", k->name, variant);
  must(cuda.cuModuleGetFunction(&r.function, module, name), name);
  random_state = 1;
  k->prepare(&r);
  if (r.shared > 48 * 1024) {  // 8: MAX_DYNAMIC_SHARED_SIZE_BYTES
    must(cuda.cuFuncSetAttribute(r.function, 8, (int)r.shared), "attribute");
  }
  CUresult result =
      cuda.cuLaunchKernel(r.function, r.grid[0], r.grid[1], r.grid[2], r.block,
                          1, 1, r.shared, NULL, r.args, NULL);
  if (result == CUDA_SUCCESS) result = cuda.cuCtxSynchronize();
  bool right = false;
  if (result == CUDA_SUCCESS) {
    void *got = allocate(r.expected_size, 1);
    must(cuda.cuMemcpyDtoH(got, r.output, r.expected_size), "cuMemcpyDtoH");
    right = memcmp(got, r.expected, r.expected_size) == 0;
    free(got);
    for (uint32_t i = 0; i < r.buffer_count; ++i) {
      must(cuda.cuMemFree(r.buffers[i]), "cuMemFree");
    }
  }
  free(r.expected);
  *out_result = result;
  return right;
}

static void set_seed(uint64_t seed, bool correct) {
  if (!driver_is_emulated(&cuda)) return;
  tessera_emu_config config = {.struct_size = sizeof(config)};
  cuda.tessera_emu_get_config(&config);
  config.seed = seed;
  config.checks = TESSERA_EMU_CHECK_ALL;
  config.findings_fail = 0;
  // Work lands late, anywhere or, which hides some defects, early: what is
  // correct does not care.
  static const tessera_emu_time times[] = {
      TESSERA_EMU_TIME_LATE, TESSERA_EMU_TIME_RANDOM, TESSERA_EMU_TIME_EARLY};
  config.time = times[seed % (correct ? 3 : 2)];
  if (cuda.tessera_emu_set_config(&config) != 0) exit(1);
  cuda.tessera_emu_clear_findings();
}

// The variant under every seed; how many of them went as they should.
static uint32_t run_variant(const kernel *k, const char *text, uint32_t variant,
                            uint32_t seeds) {
  uint32_t wanted = variant == 0 ? 0 : k->defects[variant - 1].findings;
  uint32_t good = 0;
  bool shown = false;
  CUmodule module = load(k->name, text);
  for (uint32_t seed = 0; seed < seeds; ++seed) {
    set_seed(seed, variant == 0);
    CUresult result;
    bool right = execute(k, module, variant, &result);
    uint32_t kinds = findings(false);
    bool as_expected =
        wanted == 0 ? right && kinds == 0 : (kinds & wanted) != 0;
    good += as_expected ? 1 : 0;
    if (!as_expected && !shown) {
      printf("  seed %u: result %s, %s\n", seed, right ? "right" : "wrong",
             driver_error(&cuda, result));
      (void)findings(true);
      shown = true;
    }
    if (result != CUDA_SUCCESS) {
      if (!driver_is_emulated(&cuda)) exit(1);
      cuda.tessera_emu_reset();
      if (!driver_start(&cuda)) exit(1);
      module = load(k->name, text);
    }
  }
  must(cuda.cuModuleUnload(module), "cuModuleUnload");
  return good;
}

static int run_kernel(const kernel *k, const char *folder, uint32_t seeds) {
  char *text = read_file(folder, k->name);
  int failed = 0;
  for (uint32_t v = 0; v == 0 || k->defects[v - 1].what != NULL; ++v) {
    if (v > 0 && !driver_is_emulated(&cuda)) break;
    uint32_t good = run_variant(k, text, v, seeds);
    printf("%s %s: %s: %u of %u\n", good == seeds ? "ok  " : "FAIL", k->name,
           v == 0 ? "correct" : k->defects[v - 1].what, good, seeds);
    fflush(stdout);
    failed += good == seeds ? 0 : 1;
  }
  free(text);
  return failed;
}

int main(int argc, char **argv) {
  if (argc < 3 || argc > 5) {
    fprintf(stderr, "usage: kernels DRIVER PTX_FOLDER [SEEDS [KERNEL]]\n");
    return 2;
  }
  uint32_t seeds = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 3;
  if (!driver_open(&cuda, argv[1]) || !driver_start(&cuda)) return 1;
  int failed = 0;
  uint32_t ran = 0;
  for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); ++i) {
    if (argc > 4 && strcmp(argv[4], kernels[i].name) != 0) continue;
    failed += run_kernel(&kernels[i], argv[2], seeds);
    ++ran;
  }
  printf("%u kernels, %d variants failed\n", ran, failed);
  return failed == 0 && ran > 0 && seeds > 0 ? 0 : 1;
}
