// SPDX-License-Identifier: Apache-2.0
// The CUDA driver, opened at run time: libtessera links nothing of CUDA, and a
// machine without a driver learns so when it asks for a device, not before.
#ifndef RUNTIME_CUDA_DRIVER_H_
#define RUNTIME_CUDA_DRIVER_H_

#include "cuda/abi.h"
#include "fail.h"

typedef struct tsr_cuda_driver {
#define TSR_CU(name, version, parameters) CUresult(*name) parameters;
#include "cuda/symbols.def"
#undef TSR_CU
  int version;  // 13000: 13.0
} tsr_cuda_driver;

// Opens and initialises the driver, once; a failure is not kept, the next call
// tries again. Thread-safe. What it gives is valid for ever: a driver's threads
// may outlive any device of ours, so it is never closed.
TESSERA_MUST_USE tessera_status
tsr_cuda_driver_get(const tsr_cuda_driver **out_driver, tessera_error *error);

// "CUDA_ERROR_INVALID_VALUE"; never NULL.
const char *tsr_cuda_result_name(const tsr_cuda_driver *driver,
                                 CUresult result);

// TESSERA_OK for CUDA_SUCCESS; else fails with "|format ...|: |name| (|text|)",
// native = |result|.
TESSERA_MUST_USE tessera_status tsr_cuda_check(const tsr_cuda_driver *driver,
                                               CUresult result,
                                               tessera_error *error,
                                               const char *format, ...)
    TSR_PRINTF(4, 5);

#endif  // RUNTIME_CUDA_DRIVER_H_
