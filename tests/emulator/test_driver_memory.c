// SPDX-License-Identifier: Apache-2.0
// Every allocation of a session with the driver fails once: each failure comes
// back as an error of the call, and the library can be used on.
#include "base/memory.h"
#include "driver_harness.h"

static const char text[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry add(.param .u64 p, .param .u32 v) {\n"
    ".reg .b64 %a; .reg .b32 %v, %w; ld.param.u64 %a, [p];\n"
    "ld.param.u32 %v, [v]; ld.global.u32 %w, [%a];\n"
    "add.u32 %w, %w, %v; st.global.u32 [%a], %w; ret; }\n";

#define TRY(call)                                      \
  do {                                                 \
    CUresult try_result = (call);                      \
    if (try_result != CUDA_SUCCESS) return try_result; \
  } while (0)

static CUresult session(unsigned *out) {
  CUcontext context;
  CUmodule module;
  CUlibrary library;
  CUkernel kernel;
  CUfunction function;
  CUstream stream;
  CUevent event;
  CUdeviceptr memory, pooled;
  CUgraph graph;
  CUgraphExec exec;
  unsigned *host, value = 5;
  TRY(cuInit(0));
  TRY(cuDevicePrimaryCtxRetain(&context, 0));
  TRY(cuCtxSetCurrent(context));
  TRY(cuModuleLoadData(&module, text));
  TRY(cuModuleGetFunction(&function, module, "add"));
  TRY(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
  TRY(cuLibraryGetKernel(&kernel, library, "add"));
  TRY(cuStreamCreate(&stream, 1));
  TRY(cuEventCreate(&event, 0));
  TRY(cuMemAlloc_v2(&memory, 64));
  TRY(cuMemAllocHost_v2((void **)&host, 64));
  TRY(cuMemAllocAsync(&pooled, 64, stream));
  TRY(cuMemsetD32Async(memory, 1, 16, stream));
  void *params[] = {&memory, &value};
  TRY(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  TRY(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
  TRY(cuLaunchKernel((CUfunction)(void *)kernel, 1, 1, 1, 1, 1, 1, 0, stream,
                     params, NULL));
  TRY(cuStreamEndCapture(stream, &graph));
  TRY(cuGraphInstantiateWithFlags(&exec, graph, 0));
  TRY(cuGraphLaunch(exec, stream));
  TRY(cuEventRecord(event, stream));
  TRY(cuStreamWaitEvent(NULL, event, 0));
  TRY(cuMemcpyDtoHAsync_v2(host, memory, 4, NULL));
  TRY(cuMemFreeAsync(pooled, stream));
  TRY(cuCtxSynchronize());
  *out = host[0];
  return CUDA_SUCCESS;
}

int main(void) {
  unsigned value = 0;
  driver_quiet();
  CHECK_CU(session(&value), CUDA_SUCCESS);
  CHECK_EQ(value, 11);
  tessera_emu_reset();
  uint64_t failures = 0;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  for (uint64_t nth = 1; nth < 5000; ++nth) {
    (void)tsr_memory_fail_at(nth);
    value = 0;
    result = session(&value);
    uint64_t seen = tsr_memory_fail_at(0);
    tessera_emu_reset();
    if (seen < nth) break;  // there is no nth allocation
    // Some are for speed only, and are done without.
    if (result == CUDA_SUCCESS) continue;
    CHECK_CU(result, CUDA_ERROR_OUT_OF_MEMORY);
    ++failures;
  }
  CHECK_CU(result, CUDA_SUCCESS);
  CHECK_EQ(value, 11);
  CHECK(failures > 40);
  CHECK_CU(session(&value), CUDA_SUCCESS);
  CHECK_EQ(value, 11);
  tessera_emu_reset();
  return test_finish();
}
