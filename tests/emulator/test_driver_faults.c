// SPDX-License-Identifier: Apache-2.0
// How a kernel's end becomes the driver's result: each fault has its code, and
// it stays with the context; findings fail a launch only if they are asked to.
#include <stdbool.h>
#include <string.h>

#include "driver_harness.h"

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"

static const char text[] = HEAD
    ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c,\n"
    "                           .param .b64 d, .param .b64 e);\n"
    ".global .align 1 .b8 what[4] = {120, 62, 48, 0};\n"
    ".global .align 1 .b8 file[4] = {97, 46, 99, 0};\n"
    ".func deeper() { call deeper, (); ret; }\n"
    ".visible .entry out_of_bounds(.param .u64 p) { .reg .b64 %a;\n"
    "ld.param.u64 %a, [p]; st.global.u32 [%a+64], 1; ret; }\n"
    ".visible .entry misaligned(.param .u64 p) { .reg .b64 %a;\n"
    "ld.param.u64 %a, [p]; st.global.u32 [%a+2], 1; ret; }\n"
    ".visible .entry trapped(.param .u64 p) { trap; }\n"
    ".visible .entry asserted(.param .u64 p) { .reg .b64 %w, %f;\n"
    "mov.u64 %w, what; mov.u64 %f, file; cvta.global.u64 %w, %w;\n"
    "cvta.global.u64 %f, %f;\n"
    "{ .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d;\n"
    ".param .b64 e; st.param.b64 [a], %w; st.param.b64 [b], %f;\n"
    "st.param.b32 [c], 7; st.param.b64 [d], %f; st.param.b64 [e], 1;\n"
    "call __assertfail, (a, b, c, d, e); } ret; }\n"
    ".visible .entry endless(.param .u64 p) { L: bra L; }\n"
    ".visible .entry overflow(.param .u64 p) { call deeper, (); ret; }\n"
    ".visible .entry wild_call(.param .u64 p) { .reg .b64 %a;\n"
    "ld.param.u64 %a, [p]; P: .callprototype _ (); call %a, (), P; ret; }\n"
    ".visible .entry unwritten(.param .u64 p) { .reg .b64 %a; .reg .b32 %v;\n"
    "ld.param.u64 %a, [p]; ld.global.u32 %v, [%a]; st.global.u32 [%a], %v;\n"
    "ret; }\n";

// Gives the result of the launch; the context is spoilt with it, or clean.
static CUresult run_on(const char *kernel, bool filled) {
  CUcontext context = NULL;
  CUmodule module = NULL;
  CUfunction function = NULL;
  CUdeviceptr memory = 0;
  CHECK_CU(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
  CHECK_CU(cuModuleLoadData(&module, text), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&function, module, kernel), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&memory, 64), CUDA_SUCCESS);
  if (filled) CHECK_CU(cuMemsetD8_v2(memory, 0, 64), CUDA_SUCCESS);
  void *pinned = NULL;
  CHECK_CU(cuMemAllocHost_v2(&pinned, 4), CUDA_SUCCESS);
  memset(pinned, 77, 4);
  void *params[] = {&memory};
  CHECK_CU(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
           CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoHAsync_v2(pinned, memory, 4, NULL), CUDA_SUCCESS);
  CUresult result = cuCtxSynchronize();
  if (result != CUDA_SUCCESS) CHECK_EQ(*(char *)pinned, 77);  // not executed
  CHECK_EQ(cuMemAlloc_v2(&memory, 64), result);
  CHECK_EQ(cuStreamSynchronize(NULL), result);
  CHECK_CU(cuDeviceGetCount(&(int){0}), CUDA_SUCCESS);  // needs no context
  CHECK_CU(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  return result;
}

static CUresult run(const char *kernel) {
  return run_on(kernel, false);
}

int main(void) {
  driver_quiet();
  tessera_emu_config config = {.struct_size = sizeof(config)};
  tessera_emu_get_config(&config);
  config.checks = TESSERA_EMU_CHECK_INIT;
  config.watchdog = 10000;
  CHECK_EQ(tessera_emu_set_config(&config), 0);
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_CU(run("out_of_bounds"), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_CU(run("misaligned"), CUDA_ERROR_MISALIGNED_ADDRESS);
  CHECK_CU(run("trapped"), CUDA_ERROR_LAUNCH_FAILED);
  CHECK_CU(run("asserted"), CUDA_ERROR_ASSERT);
  CHECK_CU(run("endless"), CUDA_ERROR_LAUNCH_TIMEOUT);
  CHECK_CU(run("overflow"), CUDA_ERROR_HARDWARE_STACK_ERROR);
  CHECK_CU(run("wild_call"), CUDA_ERROR_INVALID_PC);
  CHECK_EQ(tessera_emu_finding_count(), 7);
  CHECK_CU(run("unwritten"), CUDA_ERROR_LAUNCH_FAILED);
  CHECK_EQ(tessera_emu_finding_count(), 8);
  config.findings_fail = 0;
  CHECK_EQ(tessera_emu_set_config(&config), 0);
  CHECK_CU(run("unwritten"), CUDA_SUCCESS);
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  CHECK_EQ(tessera_emu_get_finding(8, &finding), 0);
  CHECK_EQ(finding.kind, TESSERA_EMU_UNINITIALISED);
  CHECK_STR(finding.kernel, "unwritten");
  CHECK_EQ(finding.launch, 9);
  CHECK_EQ(tessera_emu_get_finding(9, &finding), -1);
  tessera_emu_profile profile = {.struct_size = sizeof(profile)};
  CHECK_EQ(tessera_emu_profile_count(), 9);
  CHECK_EQ(tessera_emu_get_profile(8, &profile), 0);
  CHECK_STR(profile.kernel, "unwritten");
  CHECK_EQ(profile.global_load.bytes, 4);
  CHECK_EQ(tessera_emu_get_profile(9, &profile), -1);
  tessera_emu_clear_profiles();
  CHECK_EQ(tessera_emu_profile_count(), 0);
  tessera_emu_reset();
  config.checks = TESSERA_EMU_CHECK_INIT;
  config.findings_fail = 1;
  CHECK_EQ(tessera_emu_set_config(&config), 0);
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_EQ(run_on("unwritten", true), CUDA_SUCCESS);  // a fill is a write
  return test_finish();
}
