// SPDX-License-Identifier: Apache-2.0
// What the runtime chooses for a CUDA device, from structures made by hand: a
// cut by token count, a class of cuts by multiprocessors, an image by compute
// capability. Each rule of docs/runtime.md has a case that only it decides.
#include <stdio.h>

#include "cuda/program.h"
#include "test.h"

enum {
  BLOCK_TOKENS = 128,
  TILE_ROWS = 64,
  CLASS = 132,
  LARGE = 1 << 30,
  SMALL = 1 << 20,
};

// Packed weights: so many that 100 slots of partial sums are 0.3 % of the work,
// or so few that they are three times the work.
static uint64_t stream_size = LARGE;

// ---- Cuts -------------------------------------------------------------------

static const tsr_cuda_device gpu = {.multiprocessors = CLASS};

// The prefill cut of |cuts| that |tiles| token tiles get; -1: none.
static int chosen(const tsr_nvidia_cut *cuts, uint32_t count, uint32_t tiles,
                  size_t *out_largest) {
  static const uint32_t list[] = {0};
  tsr_bundle_cuda_kernel kernel = {.name = "k",
                                   .mode = TSR_NVIDIA_PREFILL,
                                   .token_first = 1,
                                   .token_last = UINT32_MAX,
                                   .block_tokens = BLOCK_TOKENS};
  tessera_bundle bundle = {.cuda_kernels = &kernel, .cuda_kernel_count = 1};
  tessera_layer layer = {
      .bundle = &bundle,
      .info = {.tile_rows = TILE_ROWS},
      .has_cuda = true,
      .cuda = {.kernels = list, .kernel_count = 1, .stream_size = stream_size}};
  tsr_cuda_tables tables = {
      .cuts = cuts, .cut_count = count, .kernels = list, .kernel_count = 1};
  tsr_cuda_choice choice;
  tessera_error error = {0};
  uint32_t tokens = tiles * BLOCK_TOKENS;
  tessera_status status =
      tsr_cuda_choose(&gpu, &layer, &tables, tokens, &choice, &error);
  uint64_t largest = 0;
  CHECK(tsr_cuda_largest_workspace(&gpu, &layer, &tables, tokens, &largest));
  if (out_largest != NULL) *out_largest = (size_t)largest;
  if (status != TESSERA_OK) {
    CHECK_EQ(status, TESSERA_INVALID_ARGUMENT);
    CHECK(strstr(error.message,
                 " tokens need more thread blocks than a launch may have") !=
          NULL);
    return -1;
  }
  CHECK_EQ(choice.token_tiles, tiles);
  return (int)(choice.cut - cuts);
}

static tsr_nvidia_cut cut(uint32_t workers, uint32_t partials,
                          uint32_t reductions) {
  return (tsr_nvidia_cut){.multiprocessors = CLASS,
                          .mode = TSR_NVIDIA_PREFILL,
                          .worker_count = workers,
                          .partial_count = partials,
                          .reduction_count = reductions};
}

// A block of 124 does 1.061 times what one of 132 does, of 123 1.070; 16/15 are
// 1.067.
static void test_near_equal(void) {
  tsr_nvidia_cut cuts[] = {cut(132, 100, 10), cut(124, 0, 0)};
  CHECK_EQ(chosen(cuts, 2, 1, NULL), 1);
  cuts[1] = cut(123, 0, 0);
  CHECK_EQ(chosen(cuts, 2, 1, NULL), 0);
}

// Blocks that are all in one wave cost less than two waves nearly full.
static void test_waves(void) {
  tsr_nvidia_cut cuts[] = {cut(66, 100, 10), cut(33, 0, 0), cut(32, 0, 0)};
  CHECK_EQ(chosen(cuts, 3, 4, NULL), 1);
  CHECK_EQ(chosen(cuts, 3, 2, NULL), 0);
  CHECK_EQ(chosen(cuts, 3, 5, NULL), 0);
}

// Each slot costs 2 x 64 rows x 8 tokens x 4 bytes / 64 = 64 instructions; 1
// MiB of weights are 2048.
static void test_sums(void) {
  tsr_nvidia_cut cuts[] = {cut(132, 100, 10), cut(40, 0, 0), cut(12, 0, 0)};
  CHECK_EQ(chosen(cuts, 3, 1, NULL), 0);
  stream_size = SMALL;
  CHECK_EQ(chosen(cuts, 3, 1, NULL), 1);
  // (2048 + 40 x 64) / 132 is 34.9; 2048 / 56 is 36.6, 2048 / 54 is 37.9.
  cuts[0].partial_count = 40;
  cuts[1].worker_count = 56;
  CHECK_EQ(chosen(cuts, 3, 1, NULL), 1);
  cuts[1].worker_count = 54;
  CHECK_EQ(chosen(cuts, 3, 1, NULL), 0);
  stream_size = LARGE;
}

static void test_larger_share(void) {
  tsr_nvidia_cut cuts[] = {cut(126, 0, 0), cut(131, 0, 0), cut(128, 0, 0)};
  CHECK_EQ(chosen(cuts, 3, 1, NULL), 1);
}

// 510 counters for each of 2 token tiles are there, 511 are not.
static void test_counters(void) {
  tsr_nvidia_cut cuts[] = {cut(66, 1020, 510), cut(1, 0, 0)};
  size_t slots = (size_t)1020 * BLOCK_TOKENS * TILE_ROWS * sizeof(float);
  size_t largest;
  CHECK_EQ(chosen(cuts, 2, 2, &largest), 0);
  CHECK_EQ(largest, TSR_NVIDIA_WORKSPACE_HEADER + 2 * slots);
  cuts[0].reduction_count = 511;
  // One token tile may have this cut still, and needs its workspace.
  CHECK_EQ(chosen(cuts, 2, 2, &largest), 1);
  CHECK_EQ(largest, TSR_NVIDIA_WORKSPACE_HEADER + slots);
}

// The grid has at most 2^31 - 1 blocks in x.
static void test_grid(void) {
  tsr_nvidia_cut cuts[] = {cut(1 << 20, 0, 0)};
  CHECK_EQ(chosen(cuts, 1, 2047, NULL), 0);
  CHECK_EQ(chosen(cuts, 1, 2048, NULL), -1);
}

// Partial sums of more bytes than there are addresses.
static void test_no_memory(void) {
  tsr_bundle_cuda_kernel kernel = {.block_tokens = 1 << 12};
  tessera_layer layer = {.info = {.tile_rows = 1 << 20}};
  tsr_nvidia_cut split = cut(1, 1 << 8, 1);
  tsr_cuda_choice choice = {
      .kernel = &kernel, .cut = &split, .token_tiles = 1 << 20};
  static const uint32_t impossible[] = {1 << 9, 1 << 10, UINT32_MAX};
  uint64_t size = 0;
  CHECK(tsr_cuda_choice_workspace(&layer, &choice, &size));
  for (int i = 0; i < 3; ++i) {
    split.partial_count = impossible[i];
    CHECK(!tsr_cuda_choice_workspace(&layer, &choice, &size));
  }
}

// What a layer takes, ranges that follow each other as one; of more than the
// message has room for, the first.
static void test_tokens(void) {
  static const struct {
    uint32_t tokens[16][2];
    const char *takes;
  } cases[] = {
      {{{1, 1}, {3, 3}, {4, 8}, {9, 9}, {11, UINT32_MAX}}, "1, 3..9, 11.."},
      {{{3, 3}}, "3"},
      {{{1000000000, 1000000001},
        {1000000003, 1000000004},
        {1000000006, 1000000007},
        {1000000009, 1000000010},
        {1000000012, 1000000013},
        {1000000015, 1000000016},
        {1000000018, 1000000019},
        {1000000021, 1000000022}},
       "1000000000..1000000001, 1000000003..1000000004, "
       "1000000006..1000000007, 1000000009..1000000010, "
       "1000000012..1000000013, 1000000015..1000000016, ..."},
  };
  for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); ++c) {
    tsr_bundle_cuda_kernel kernels[16] = {{0}};
    uint32_t list[16], count = 0;
    for (; count < 16 && cases[c].tokens[count][0] != 0; ++count) {
      list[count] = count;
      kernels[count].token_first = cases[c].tokens[count][0];
      kernels[count].token_last = cases[c].tokens[count][1];
    }
    tessera_bundle bundle = {.cuda_kernels = kernels};
    tessera_layer layer = {.bundle = &bundle, .has_cuda = true};
    tsr_cuda_tables tables = {.kernels = list, .kernel_count = count};
    tsr_cuda_choice choice;
    tessera_error error = {0};
    char expected[300];
    (void)snprintf(expected, sizeof(expected),
                   "no kernel for 2 tokens; it takes %s", cases[c].takes);
    CHECK_EQ(tsr_cuda_choose(&gpu, &layer, &tables, 2, &choice, &error),
             TESSERA_INVALID_ARGUMENT);
    CHECK_STR(error.message, expected);
  }
}

// ---- Classes ----------------------------------------------------------------

static void test_classes(void) {
  static const uint32_t cases[][2] = {
      {1, 84},    {84, 84},   {85, 84},   {107, 84},  {108, 108},
      {127, 108}, {128, 128}, {131, 128}, {132, 132}, {188, 132}};
  static const uint32_t orders[][4] = {{108, 84, 128, 132},
                                       {132, 128, 84, 108}};
  for (size_t o = 0; o < 2; ++o) {
    tsr_nvidia_cut cuts[4];
    for (size_t i = 0; i < 4; ++i) {
      cuts[i] = cut(1, 0, 0);
      cuts[i].multiprocessors = orders[o][i];
    }
    static const tsr_nvidia_worker worker;
    static const tsr_nvidia_segment segment;
    tessera_layer layer = {.has_cuda = true,
                           .cuda = {.cuts = cuts,
                                    .cut_count = 4,
                                    .workers = &worker,
                                    .segments = &segment}};
    tessera_bundle bundle = {.layers = &layer, .layer_count = 1};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
      tsr_cuda_tables tables = {0};
      (void)tsr_cuda_place(&bundle, cases[i][0], 0, &tables);
      CHECK_EQ(tables.cuts->multiprocessors, cases[i][1]);
      CHECK_EQ(tables.cut_count, 1);
    }
  }
}

// ---- Images -----------------------------------------------------------------

// A driver that knows one function: it gives |results| in turn and notes what
// it was given.
static struct {
  CUresult results[4];
  const void *data[4];
  char ends[4];  // what follows the image's bytes
  int calls;
  const char *log;
} fake;

static CUresult fake_load(CUmodule *out_module, const void *data,
                          unsigned count, int *names, void **values) {
  (void)out_module;
  CHECK_EQ(count, 2);
  CHECK_EQ(names[0], CU_JIT_ERROR_LOG_BUFFER);
  CHECK_EQ(names[1], CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  if (fake.log != NULL) {
    (void)snprintf(values[0], (size_t)(uintptr_t)values[1], "%s", fake.log);
  }
  fake.data[fake.calls] = data;
  fake.ends[fake.calls] = ((const char *)data)[5];
  return fake.results[fake.calls++];
}

static CUresult fake_text(CUresult result, const char **out_text) {
  (void)result;
  *out_text = "REFUSED";
  return CUDA_SUCCESS;
}

// Each variant is "cubin NAME", "ptx NAME" or, of the host, "host NAME"; "ptx!
// NAME" has another ABI.
static const char *loaded(uint32_t capability, const char *const *variants,
                          tessera_status expected) {
  static char variant[64];
  static tessera_error error;
  static const tsr_member member = {
      .path = "image", .data = (const uint8_t *)"12345x", .size = 5};
  const tsr_cuda_driver driver = {.cuModuleLoadDataEx = fake_load,
                                  .cuGetErrorName = fake_text,
                                  .cuGetErrorString = fake_text};
  const tsr_cuda_device device = {.driver = &driver, .capability = capability};
  tsr_image images[12];
  tessera_bundle bundle = {.images = images};
  for (; variants[bundle.image_count] != NULL; ++bundle.image_count) {
    const char *text = variants[bundle.image_count];
    const char *name = strchr(text, ' ') + 1;
    images[bundle.image_count] =
        (tsr_image){.family = text[0] == 'h' ? "host" : "cuda",
                    .variant = name,
                    .architecture = name,
                    .format = text[0] == 'c'   ? TSR_IMAGE_CUBIN
                              : text[0] == 'p' ? TSR_IMAGE_PTX
                                               : TSR_IMAGE_NATIVE,
                    .abi = TSR_NVIDIA_ABI_VERSION + (uint32_t)(name[-2] == '!'),
                    .member = &member};
  }
  CUmodule module = NULL;
  const tsr_image *image = NULL;
  memset(&error, 0, sizeof(error));
  fake.calls = 0;
  CHECK_EQ(tsr_cuda_image_load(&device, &bundle, &module, &image, variant,
                               sizeof(variant), &error),
           expected);
  return expected == TESSERA_OK ? variant : error.message;
}

#define LOADED(capability, ...)    \
  (memset(&fake, 0, sizeof(fake)), \
   loaded(capability, (const char *const[]){__VA_ARGS__, NULL}, TESSERA_OK))

static void test_images(void) {
  CHECK_STR(LOADED(89, "ptx sm_80", "cubin sm_80", "cubin sm_86"),
            "sm_86 cubin");
  CHECK_STR(LOADED(86, "cubin sm_89", "cubin sm_80", "ptx sm_86"),
            "sm_80 cubin");
  // A cubin of another major number is none.
  CHECK_STR(LOADED(90, "cubin sm_80", "cubin sm_89", "ptx sm_80", "ptx sm_89"),
            "sm_89 ptx");
  CHECK_STR(LOADED(120, "cubin sm_100", "ptx sm_100"), "sm_100 ptx");
  // 'a': that capability alone; 'f': its family.
  CHECK_STR(LOADED(90, "cubin sm_90", "cubin sm_90a"), "sm_90a cubin");
  CHECK_STR(LOADED(100, "ptx sm_90a", "ptx sm_90"), "sm_90 ptx");
  CHECK_STR(LOADED(103, "cubin sm_100a", "ptx sm_90", "ptx sm_100f"),
            "sm_100f ptx");
  CHECK_STR(LOADED(120, "ptx sm_100f", "ptx sm_90"), "sm_90 ptx");
  // Compiled against another layout of parameters and tables.
  CHECK_STR(LOADED(90, "ptx! sm_90", "ptx sm_80"), "sm_80 ptx");
  CHECK_EQ(fake.calls, 1);
  CHECK_EQ(fake.ends[0], '\0');  // a string, though the file has no end
}

// What is no name of an architecture, or one that is not known yet, is passed
// by; so are the images of the host.
static void test_strangers(void) {
  CHECK_STR(LOADED(90, "ptx gfx90", "ptx sm_80"), "sm_80 ptx");
  CHECK_STR(LOADED(90, "ptx sm_90x", "ptx sm_80"), "sm_80 ptx");
  CHECK_STR(LOADED(90, "ptx sm_90aa", "ptx sm_80"), "sm_80 ptx");
  CHECK_STR(LOADED(90, "ptx sm_", "ptx sm_80"), "sm_80 ptx");
  CHECK_STR(LOADED(90, "ptx sm_4294967376", "ptx sm_80"), "sm_80 ptx");
  CHECK_STR(LOADED(90, "host sm_90", "ptx sm_80"), "sm_80 ptx");
  CHECK_EQ(fake.calls, 1);
}

static void test_none(void) {
  static const char *const some[] = {"host x86-64-v3", "ptx sm_80",
                                     "cubin sm_90a", "ptx! sm_70", NULL};
  static const char *const none[] = {NULL};
  static const char *const many[] = {"ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     "ptx sm_80000000000000000000",
                                     NULL};
  memset(&fake, 0, sizeof(fake));
  CHECK_STR(loaded(75, some, TESSERA_UNSUPPORTED),
            "no image is for compute capability 7.5; it has host x86-64-v3, "
            "cuda sm_80 ptx, cuda sm_90a cubin, cuda sm_70 ptx");
  CHECK_STR(loaded(90, none, TESSERA_UNSUPPORTED),
            "no image is for compute capability 9.0; it has none");
  // More than the message has room for.
  const char *message = loaded(90, many, TESSERA_UNSUPPORTED);
  CHECK(strlen(message) > 300 && strlen(message) < 400);
  CHECK_EQ(fake.calls, 0);
}

// A compiler that says much: the first 72 characters of its first line.
static void test_log(void) {
  static const char *const one[] = {"ptx sm_80", NULL};
  memset(&fake, 0, sizeof(fake));
  fake.results[0] = CUDA_ERROR_INVALID_PTX;
  fake.log =
      "ptxas fatal: 789012345678901234567890123456789012345678901234567"
      "890123456789 and more";
  CHECK_STR(
      loaded(90, one, TESSERA_UNSUPPORTED),
      "the driver takes none of its images: sm_80 ptx: REFUSED: ptxas "
      "fatal: 78901234567890123456789012345678901234567890123456789012345");
  static const char *const logs[] = {"first\r\nsecond", "first\nsecond"};
  for (int i = 0; i < 2; ++i) {
    memset(&fake, 0, sizeof(fake));
    fake.results[0] = CUDA_ERROR_INVALID_PTX;
    fake.log = logs[i];
    CHECK_STR(loaded(90, one, TESSERA_UNSUPPORTED),
              "the driver takes none of its images: sm_80 ptx: REFUSED: first");
  }
}

static void test_refusals(void) {
  static const CUresult refusals[] = {CUDA_ERROR_INVALID_IMAGE,
                                      CUDA_ERROR_NO_BINARY_FOR_GPU,
                                      CUDA_ERROR_INVALID_PTX,
                                      CUDA_ERROR_JIT_COMPILER_NOT_FOUND,
                                      CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                                      CUDA_ERROR_JIT_COMPILATION_DISABLED,
                                      CUDA_ERROR_INVALID_SOURCE,
                                      CUDA_ERROR_NOT_SUPPORTED};
  static const char *const two[] = {"ptx sm_80", "ptx sm_90", NULL};
  for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); ++i) {
    memset(&fake, 0, sizeof(fake));
    fake.results[0] = refusals[i];
    CHECK_STR(loaded(90, two, TESSERA_OK), "sm_80 ptx");
    CHECK_EQ(fake.calls, 2);
  }
  fake.results[0] = CUDA_ERROR_OUT_OF_MEMORY;  // says nothing of the image
  CHECK_STR(loaded(90, two, TESSERA_OUT_OF_MEMORY),
            "cuModuleLoadDataEx of 'image': REFUSED (REFUSED)");
  CHECK_EQ(fake.calls, 1);
}

int main(void) {
  test_near_equal();
  test_waves();
  test_sums();
  test_larger_share();
  test_counters();
  test_grid();
  test_no_memory();
  test_tokens();
  test_classes();
  test_images();
  test_strangers();
  test_none();
  test_log();
  test_refusals();
  return test_finish();
}
