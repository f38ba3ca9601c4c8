// SPDX-License-Identifier: Apache-2.0
// For tests of the driver's interface: its declarations (as those of programs,
// but under the names of the symbols) and checks of results by name.
#ifndef TESTS_EMULATOR_DRIVER_HARNESS_H_
#define TESTS_EMULATOR_DRIVER_HARNESS_H_

#include "driver/call.h"
#include "tessera/cuda_emu.h"
#include "test.h"

#define TSR_CU_NONE(base, ...)
#define TSR_CU_PTSZ(base, ...) CUresult base##_ptsz(TSR_PARAMS(__VA_ARGS__));
#define TSR_CU_PTDS(base, ...) CUresult base##_ptds(TSR_PARAMS(__VA_ARGS__));
#define TSR_CU(name, suffix, since, stream, check, ...) \
  CUresult name##suffix(TSR_PARAMS(__VA_ARGS__));       \
  TSR_CU_##stream(name##suffix, __VA_ARGS__)
#define TSR_CU0(name, suffix, since, stream, check) CUresult name##suffix(void);
#define TSR_CUN(name, suffix, since, stream, check) CUresult name##suffix(void);
#include "driver/functions.def"
#undef TSR_CU
#undef TSR_CU0
#undef TSR_CUN

static inline const char *driver_name(CUresult result) {
  const char *name = NULL;
  return cuGetErrorName(result, &name) == CUDA_SUCCESS ? name : "?";
}

#define CHECK_CU(call, expected)                                               \
  do {                                                                         \
    CUresult test_result = (call);                                             \
    ++test_checks;                                                             \
    if (test_result != (expected)) {                                           \
      ++test_failures;                                                         \
      fprintf(stderr, "%s:%d: %s gives %s, expected %s\n", __FILE__, __LINE__, \
              #call, driver_name(test_result), #expected);                     \
    }                                                                          \
  } while (0)

// One thread and no surprises from the environment of the tests.
static inline void driver_quiet(void) {
  tessera_emu_config config = {.struct_size = sizeof(config)};
  tessera_emu_get_config(&config);
  config.threads = 1;
  config.lazy_streams = 1;
  config.seed = 0;
  (void)tessera_emu_set_config(&config);
}

#endif  // TESTS_EMULATOR_DRIVER_HARNESS_H_
