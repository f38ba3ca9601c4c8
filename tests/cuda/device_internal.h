// SPDX-License-Identifier: Apache-2.0
// What device.c (driver, kernels) offers run.c (memory, launches, comparison).
#ifndef TESTS_CUDA_DEVICE_INTERNAL_H_
#define TESTS_CUDA_DEVICE_INTERNAL_H_

#include "device.h"

// Compiles and loads |kernel| unless it is; NULL (with a message) on failure.
CUfunction device_kernel(device *dev, const tsr_cuda_kernel *kernel,
                         const char *target_name);
// After a fault, which a context does not survive: forgets all that is on the
// emulated device, addresses too. False on a real one.
bool device_restart(device *dev);

#endif  // TESTS_CUDA_DEVICE_INTERNAL_H_
