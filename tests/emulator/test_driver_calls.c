// SPDX-License-Identifier: Apache-2.0
// Every function of the list: failing on demand, counted, found by
// cuGetProcAddress in the variant that a version asks for.
#include <stdlib.h>

#include "driver_harness.h"

typedef CUresult (*fn0)(void);

typedef struct fact {
  const char *name, *symbol;
  int since;
  CUresult (*call)(void);
} fact;

// Called with no arguments: a failing function must not look at them.
static const fact facts[] = {
#define TSR_CU(name, suffix, since, stream, check, ...) \
  {#name, #name #suffix, since, (fn0)(void (*)(void))name##suffix},
#define TSR_CU0(name, suffix, since, stream, check) \
  {#name, #name #suffix, since, name##suffix},
#define TSR_CUN(name, suffix, since, stream, check) \
  {#name, #name #suffix, since, name##suffix},
#include "driver/functions.def"
#undef TSR_CU
#undef TSR_CU0
#undef TSR_CUN
};
enum { COUNT = sizeof(facts) / sizeof(facts[0]) };

static void inject_all(void) {
  for (int i = 0; i < COUNT; ++i) {
    uint64_t before = tessera_emu_call_count(facts[i].name);
    CHECK_EQ(tessera_emu_fail(facts[i].name, 1, 914), 0);
    CHECK_EQ(facts[i].call(), 914);
    CHECK_EQ(tessera_emu_call_count(facts[i].name), before + 1);
  }
}

static void inject_nth(void) {
  CHECK_EQ(tessera_emu_fail("cuNothing", 1, 2), -1);
  CHECK_EQ(tessera_emu_fail("cuMemAlloc_v2", 1, 2), -1);  // the plain name
  CHECK_EQ(tessera_emu_fail("cuMemAlloc", 2, 2), 0);
  CUdeviceptr a = 0, b = 0;
  CHECK_CU(cuMemAlloc_v2(&a, 16), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&b, 16), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(b == 0);
  CHECK_CU(cuMemAlloc_v2(&b, 16), CUDA_SUCCESS);
  CHECK_EQ(tessera_emu_fail("cuMemFree", 1, 700), 0);
  CHECK_EQ(tessera_emu_fail("cuMemFree", 0, 0), 0);  // not after all
  CHECK_CU(cuMemFree_v2(a), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(b), CUDA_SUCCESS);
  // An injected fault is not sticky: only the call was refused.
  CHECK_EQ(tessera_emu_fail("cuLaunchKernel", 1, 719), 0);
  CHECK_CU(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
           CUDA_ERROR_LAUNCH_FAILED);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
}

static void *get(const char *name, int version, uint64_t flags) {
  void *pfn = &pfn;
  CUdriverProcAddressQueryResult status = (CUdriverProcAddressQueryResult)9;
  CHECK_CU(cuGetProcAddress_v2(name, &pfn, version, flags, &status),
           CUDA_SUCCESS);
  CHECK_EQ(status, pfn != NULL ? 0 : strcmp(name, "cuNothing") == 0 ? 1 : 2);
  return pfn;
}

#define SAME(pfn, function)                                   \
  do {                                                        \
    void *test_pfn = (pfn);                                   \
    void (*test_function)(void) = (void (*)(void))(function); \
    CHECK(memcmp(&test_pfn, &test_function, 8) == 0);         \
  } while (0)

static void addresses(void) {
  SAME(get("cuInit", 13000, 0), cuInit);
  SAME(get("cuCtxCreate", 2000, 0), cuCtxCreate);
  SAME(get("cuCtxCreate", 3020, 0), cuCtxCreate_v2);
  SAME(get("cuCtxCreate", 11039, 0), cuCtxCreate_v2);
  SAME(get("cuCtxCreate", 11040, 0), cuCtxCreate_v3);
  SAME(get("cuCtxCreate", 12050, 0), cuCtxCreate_v4);
  SAME(get("cuCtxCreate", 99000, 0), cuCtxCreate_v4);
  SAME(get("cuGetProcAddress", 11030, 0), cuGetProcAddress);
  SAME(get("cuGetProcAddress", 12000, 0), cuGetProcAddress_v2);
  SAME(get("cuMemcpyHtoD", 12000, 0), cuMemcpyHtoD_v2);
  SAME(get("cuMemcpyHtoD", 12000, 1), cuMemcpyHtoD_v2);
  SAME(get("cuMemcpyHtoD", 12000, 2), cuMemcpyHtoD_v2_ptds);
  SAME(get("cuLaunchKernel", 12000, 2), cuLaunchKernel_ptsz);
  SAME(get("cuEventElapsedTime", 12070, 0), cuEventElapsedTime);
  SAME(get("cuEventElapsedTime", 12080, 0), cuEventElapsedTime_v2);
  CHECK(get("cuNothing", 13000, 0) == NULL);
  CHECK(get("cuMemAllocAsync", 11010, 0) == NULL);
  void *pfn = &pfn;
  CHECK_CU(cuGetProcAddress_v2("cuNothing", &pfn, 13000, 0, NULL),
           CUDA_ERROR_NOT_FOUND);
  CHECK(pfn == NULL);
  CHECK_CU(cuGetProcAddress("cuNothing", &pfn, 13000, 0), CUDA_ERROR_NOT_FOUND);
  CHECK_CU(cuGetProcAddress("cuInit", &pfn, 13000, 0), CUDA_SUCCESS);
  SAME(pfn, cuInit);
  CHECK_CU(cuGetProcAddress("cuInit", &pfn, 13000, 4),
           CUDA_ERROR_INVALID_VALUE);
  for (int i = 0; i < COUNT; ++i) {
    SAME(get(facts[i].name, facts[i].since, 0), facts[i].call);
  }
}

static void errors(void) {
  const char *text = NULL;
  CHECK_CU(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text), CUDA_SUCCESS);
  CHECK_STR(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
  CHECK_CU(cuGetErrorString(CUDA_ERROR_ILLEGAL_ADDRESS, &text), CUDA_SUCCESS);
  CHECK_STR(text, "an illegal memory access was encountered");
  CHECK_CU(cuGetErrorString((CUresult)12345, &text), CUDA_ERROR_INVALID_VALUE);
  CHECK(text == NULL);
  CHECK_CU(cuIpcGetMemHandle(), CUDA_ERROR_NOT_SUPPORTED);
}

// What the environment asks for; bad values are found by cuInit.
static void environment(void) {
  tessera_emu_config config = {.struct_size = sizeof(config)};
  tessera_emu_get_config(&config);
  CHECK_EQ(config.seed, 42);
  int count = 0;
  CHECK_CU(cuInit(0), CUDA_ERROR_OUT_OF_MEMORY);  // TESSERA_EMU_FAIL
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_CU(cuDeviceGetCount(&count), CUDA_SUCCESS);
  CHECK_EQ(count, 3);
  config.checks = ~0u;
  CHECK_EQ(tessera_emu_set_config(&config), -1);
  // A caller that knows less of the struct changes only what it knows.
  config.struct_size = offsetof(tessera_emu_config, checks);
  config.seed = 7;
  CHECK_EQ(tessera_emu_set_config(&config), 0);
  config.struct_size = sizeof(config);
  tessera_emu_get_config(&config);
  CHECK_EQ(config.seed, 7);
  CHECK(config.checks != ~0u);
}

int main(void) {
  (void)setenv("TESSERA_EMU_SEED", "42", 1);
  (void)setenv("TESSERA_EMU_DEVICE", "a100,a6000,h200", 1);
  (void)setenv("TESSERA_EMU_FAIL", "cuInit:1:2", 1);
  environment();
  CUcontext context = NULL;
  CHECK_CU(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
  errors();
  inject_all();
  inject_nth();
  addresses();
  tessera_emu_reset();
  return test_finish();
}
