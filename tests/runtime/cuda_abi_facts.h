// SPDX-License-Identifier: Apache-2.0
// What runtime/src/cuda/abi.h declares, as numbers: each of two files that
// cannot be one, because their names are the same, makes the list.
#ifndef TESTS_RUNTIME_CUDA_ABI_FACTS_H_
#define TESTS_RUNTIME_CUDA_ABI_FACTS_H_

#define CUDA_ABI_VALUES(X)                                 \
  X(CUDA_SUCCESS)                                          \
  X(CUDA_ERROR_OUT_OF_MEMORY)                              \
  X(CUDA_ERROR_INVALID_IMAGE)                              \
  X(CUDA_ERROR_NO_BINARY_FOR_GPU)                          \
  X(CUDA_ERROR_INVALID_PTX)                                \
  X(CUDA_ERROR_JIT_COMPILER_NOT_FOUND)                     \
  X(CUDA_ERROR_UNSUPPORTED_PTX_VERSION)                    \
  X(CUDA_ERROR_JIT_COMPILATION_DISABLED)                   \
  X(CUDA_ERROR_INVALID_SOURCE)                             \
  X(CUDA_ERROR_NOT_FOUND)                                  \
  X(CUDA_ERROR_NOT_SUPPORTED)                              \
  X(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)             \
  X(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)              \
  X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)          \
  X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)          \
  X(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN) \
  X(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)               \
  X(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)       \
  X(CU_JIT_ERROR_LOG_BUFFER)                               \
  X(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)                    \
  X(CU_STREAM_NON_BLOCKING)                                \
  X(CU_EVENT_DISABLE_TIMING)

#define CUDA_ABI_TYPES(X) \
  X(CUresult)             \
  X(CUdevice)             \
  X(CUdeviceptr)          \
  X(CUcontext)            \
  X(CUmodule)             \
  X(CUfunction)           \
  X(CUstream)             \
  X(CUevent)

typedef struct cuda_abi_fact {
  const char *name;
  long long value;
} cuda_abi_fact;

#define CUDA_ABI_VALUE(name) {#name, (long long)name},
#define CUDA_ABI_SIZE(name) {"sizeof " #name, (long long)sizeof(name)},
#define CUDA_ABI_FACTS                                              \
  {                                                                 \
    CUDA_ABI_VALUES(CUDA_ABI_VALUE) CUDA_ABI_TYPES(CUDA_ABI_SIZE) { \
      0, 0                                                          \
    }                                                               \
  }

extern const cuda_abi_fact cuda_abi_theirs[];

#endif  // TESTS_RUNTIME_CUDA_ABI_FACTS_H_
