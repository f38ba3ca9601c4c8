// SPDX-License-Identifier: Apache-2.0
// A libcuda.so to link programs with, as the one in a CUDA toolkit's folder
// "stubs": it has the driver's symbols and names libcuda.so.1 as what is needed
// to run. Its functions say that it is not the driver.
#include "driver/call.h"

#define EXPORT __attribute__((visibility("default")))
#define STUB(symbol)                \
  EXPORT CUresult symbol(void);     \
  CUresult symbol(void) {           \
    return CUDA_ERROR_STUB_LIBRARY; \
  }
#define STUB_NONE(base)
#define STUB_PTSZ(base) STUB(base##_ptsz)
#define STUB_PTDS(base) STUB(base##_ptds)
#define TSR_CU(name, suffix, since, stream, check, ...) \
  STUB(name##suffix) STUB_##stream(name##suffix)
#define TSR_CU0(name, suffix, since, stream, check) STUB(name##suffix)
#define TSR_CUN(name, suffix, since, stream, check) STUB(name##suffix)
#include "driver/functions.def"
