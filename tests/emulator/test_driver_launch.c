// SPDX-License-Identifier: Apache-2.0
// Launch attributes, libraries, the linker, tensor maps, peers, host memory.
#include "driver_harness.h"

#define HEAD ".version 8.0\n.target sm_90\n.address_size 64\n"

static const char text[] = HEAD
    ".visible .global .align 4 .b32 counter = 3;\n"
    ".visible .entry first(.param .u64 p) { .reg .b64 %a;\n"
    "ld.param.u64 %a, [p]; griddepcontrol.launch_dependents;\n"
    "st.global.u32 [%a], 1; ret; }\n"
    ".visible .entry second(.param .u64 p) { .reg .b64 %a; .reg .b32 %v;\n"
    "ld.param.u64 %a, [p]; griddepcontrol.wait; ld.global.u32 %v, [%a];\n"
    "add.u32 %v, %v, 1; st.global.u32 [%a+4], %v; ret; }\n"
    ".visible .entry hasty(.param .u64 p) { .reg .b64 %a; .reg .b32 %v;\n"
    "ld.param.u64 %a, [p]; ld.global.u32 %v, [%a]; griddepcontrol.wait;\n"
    "add.u32 %v, %v, 1; st.global.u32 [%a+4], %v; ret; }\n"
    // How cooperative groups synchronise a grid; without them it traps.
    ".visible .entry meet(.param .u64 p) { .reg .b64 %a, %w; .reg .b32 %v, "
    "%n;\n"
    ".reg .pred %q;\n"
    "mov.u32 %v, %envreg2; mov.u32 %n, %envreg1; mov.b64 %w, {%v, %n};\n"
    "setp.eq.u64 %q, %w, 0; @%q trap;\n"
    "ld.param.u64 %a, [p]; red.global.add.u32 [%a], 1;\n"
    "mov.u32 %n, %nctaid.x; red.release.gpu.global.add.u32 [%w+4], 1;\n"
    "wait: ld.acquire.gpu.u32 %v, [%w+4]; setp.lt.u32 %q, %v, %n;\n"
    "@%q bra wait; ld.u32 %v, [%a]; setp.ne.u32 %q, %v, %n; @%q trap;\n"
    "ld.u32 %v, [%w]; st.u32 [%a+4], %v; ret; }\n"
    ".visible .entry exact(.param .u64 p) .reqntid 32 { ret; }\n";

static CUmodule module;
static CUdeviceptr memory;

static CUfunction function(const char *name) {
  CUfunction found = NULL;
  CHECK_CU(cuModuleGetFunction(&found, module, name), CUDA_SUCCESS);
  return found;
}

static CUresult launch(const char *name, unsigned blocks, unsigned threads,
                       CUlaunchAttribute *attributes, unsigned count) {
  void *params[] = {&memory};
  CUlaunchConfig config = {.gridDimX = blocks,
                           .gridDimY = 1,
                           .gridDimZ = 1,
                           .blockDimX = threads,
                           .blockDimY = 1,
                           .blockDimZ = 1,
                           .attrs = attributes,
                           .numAttrs = count};
  return cuLaunchKernelEx(&config, function(name), params, NULL);
}

static void attributes(void) {
  CUlaunchAttribute cluster = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                               .value.clusterDim = {1, 1, 1}};
  CHECK_CU(launch("first", 2, 32, &cluster, 1), CUDA_SUCCESS);
  cluster.value.clusterDim.x = 2;
  CHECK_CU(launch("first", 2, 32, &cluster, 1), CUDA_ERROR_NOT_SUPPORTED);
  cluster.value.clusterDim.x = 0;
  CHECK_CU(launch("first", 2, 32, &cluster, 1), CUDA_ERROR_INVALID_VALUE);
  CUlaunchAttribute cooperative = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE,
                                   .value.cooperative = 1};
  CHECK_CU(launch("first", 132 * 2, 1024, &cooperative, 1), CUDA_SUCCESS);
  CHECK_CU(launch("first", 132 * 2 + 1, 1024, &cooperative, 1),
           CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  void *params[] = {&memory};
  CHECK_CU(cuLaunchCooperativeKernel(function("first"), 265, 1, 1, 1024, 1, 1,
                                     0, NULL, params),
           CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  CUlaunchAttribute unknown = {.id = (CUlaunchAttributeID)99};
  CHECK_CU(launch("first", 1, 1, &unknown, 1), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(launch("first", 1, 1, NULL, 1), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(launch("exact", 1, 33, NULL, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(launch("exact", 1, 32, NULL, 0), CUDA_SUCCESS);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
}

// Blocks of a cooperative launch meet in the driver's memory.
static void workspace(void) {
  void *params[] = {&memory};
  unsigned out[2] = {0};
  for (int i = 0; i < 3; ++i) {
    CHECK_CU(cuMemsetD32_v2(memory, 0, 2), CUDA_SUCCESS);
    CHECK_CU(cuLaunchCooperativeKernel(function("meet"), 8, 1, 1, 1, 1, 1, 0,
                                       NULL, params),
             CUDA_SUCCESS);
    CHECK_CU(cuMemcpyDtoH_v2(out, memory, sizeof(out)), CUDA_SUCCESS);
    CHECK_EQ(out[0], 8);
    CHECK_EQ(out[1], 8);
  }
}

// A dependent kernel runs up to its wait before the one it depends on.
static void dependent(void) {
  CUlaunchAttribute early = {
      .id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
      .value.programmaticStreamSerializationAllowed = 1};
  unsigned out[2] = {0};
  CHECK_CU(cuMemsetD32_v2(memory, 0, 2), CUDA_SUCCESS);
  CHECK_CU(launch("first", 1, 1, NULL, 0), CUDA_SUCCESS);
  CHECK_CU(launch("second", 1, 1, &early, 1), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoH_v2(out, memory, 8), CUDA_SUCCESS);
  CHECK_EQ(out[1], 2);
  CHECK_CU(cuMemsetD32_v2(memory, 0, 2), CUDA_SUCCESS);
  CHECK_CU(launch("first", 1, 1, NULL, 0), CUDA_SUCCESS);
  CHECK_CU(launch("hasty", 1, 1, &early, 1), CUDA_SUCCESS);  // the defect
  CHECK_CU(cuMemcpyDtoH_v2(out, memory, 8), CUDA_SUCCESS);
  CHECK_EQ(out[1], 1);
  // Without the attribute there is no overlap.
  CHECK_CU(cuMemsetD32_v2(memory, 0, 2), CUDA_SUCCESS);
  CHECK_CU(launch("first", 1, 1, NULL, 0), CUDA_SUCCESS);
  CHECK_CU(launch("hasty", 1, 1, NULL, 0), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoH_v2(out, memory, 8), CUDA_SUCCESS);
  CHECK_EQ(out[1], 2);
}

static void libraries(void) {
  CUlibrary library = NULL;
  CUkernel kernel = NULL;
  CUfunction in_context = NULL;
  CUmodule in = NULL;
  const char *name = NULL;
  unsigned count = 0, value = 0;
  CHECK_CU(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0),
           CUDA_SUCCESS);
  CHECK_CU(cuLibraryGetKernel(&kernel, library, "none"), CUDA_ERROR_NOT_FOUND);
  CHECK_CU(cuLibraryGetKernel(&kernel, library, "first"), CUDA_SUCCESS);
  CHECK_CU(cuLibraryGetKernelCount(&count, library), CUDA_SUCCESS);
  CHECK_EQ(count, 5);
  CHECK_CU(cuKernelGetName(&name, kernel), CUDA_SUCCESS);
  CHECK_STR(name, "first");
  CHECK_CU(cuKernelGetFunction(&in_context, kernel), CUDA_SUCCESS);
  CHECK_CU(cuLibraryGetModule(&in, library), CUDA_SUCCESS);
  CHECK_CU(cuModuleUnload(in), CUDA_ERROR_INVALID_HANDLE);  // the library's
  void *params[] = {&memory};
  CHECK_CU(cuMemsetD32_v2(memory, 0, 1), CUDA_SUCCESS);
  CHECK_CU(cuLaunchKernel((CUfunction)(void *)kernel, 1, 1, 1, 1, 1, 1, 0, NULL,
                          params, NULL),
           CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoH_v2(&value, memory, 4), CUDA_SUCCESS);
  CHECK_EQ(value, 1);
  CUdeviceptr global = 0;
  size_t size = 0;
  CHECK_CU(cuLibraryGetGlobal(&global, &size, library, "counter"),
           CUDA_SUCCESS);
  CHECK_EQ(size, 4);
  CHECK_CU(cuLibraryUnload(library), CUDA_SUCCESS);
  CHECK_CU(cuLibraryUnload(library), CUDA_ERROR_INVALID_HANDLE);
  CHECK_CU(cuKernelGetFunction(&in_context, kernel), CUDA_ERROR_INVALID_HANDLE);
}

static void linking(void) {
  CUlinkState link = NULL;
  CUmodule linked = NULL;
  void *image = NULL;
  size_t size = 0;
  static char copy[sizeof(text)];
  memcpy(copy, text, sizeof(text));
  CHECK_CU(cuLinkCreate_v2(0, NULL, NULL, &link), CUDA_SUCCESS);
  CHECK_CU(cuLinkAddData_v2(link, CU_JIT_INPUT_CUBIN, copy, sizeof(copy), "a",
                            0, NULL, NULL),
           CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK_CU(cuLinkComplete(link, &image, &size), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, copy, sizeof(copy), "a", 0,
                            NULL, NULL),
           CUDA_SUCCESS);
  CHECK_CU(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, copy, sizeof(copy), "b", 0,
                            NULL, NULL),
           CUDA_ERROR_NOT_SUPPORTED);
  CHECK_CU(cuLinkComplete(link, &image, &size), CUDA_SUCCESS);
  CHECK_CU(cuModuleLoadData(&linked, image), CUDA_SUCCESS);
  CHECK_CU(cuLinkDestroy(link), CUDA_SUCCESS);
  CHECK_CU(cuModuleUnload(linked), CUDA_SUCCESS);
}

static void tensor_maps(void) {
  CUtensorMap map;
  const uint64_t dims[2] = {64, 64}, strides[1] = {128};
  const uint32_t box[2] = {64, 8}, steps[2] = {1, 1};
  void *address = (void *)(uintptr_t)memory;
  CHECK_CU(cuTensorMapEncodeTiled(&map, 9, 2, address, dims, strides, box,
                                  steps, 0, 3, 0, 0),
           CUDA_SUCCESS);
  CHECK_CU(cuTensorMapReplaceAddress(&map, address), CUDA_SUCCESS);
  CHECK_CU(cuTensorMapEncodeTiled(&map, 9, 6, address, dims, strides, box,
                                  steps, 0, 3, 0, 0),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuTensorMapEncodeTiled(&map, 9, 2, address, dims, strides, box,
                                  steps, 0, 4, 0, 0),
           CUDA_ERROR_NOT_SUPPORTED);
  CHECK_CU(cuTensorMapEncodeIm2col(), CUDA_ERROR_NOT_SUPPORTED);
}

// Two devices: memory of each, copies between them, pinned memory for both.
static void devices(void) {
  CUcontext other = NULL, here = NULL;
  CUdeviceptr there = 0;
  unsigned *host = NULL, value = 0;
  int can = 1;
  CHECK_CU(cuCtxGetCurrent(&here), CUDA_SUCCESS);
  CHECK_CU(cuMemAllocHost_v2((void **)&host, (size_t)1 << 60),
           CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_CU(cuMemAllocHost_v2((void **)&host, 64), CUDA_SUCCESS);
  CHECK_CU(cuDeviceCanAccessPeer(&can, 0, 1), CUDA_SUCCESS);
  CHECK_EQ(can, 0);
  CHECK_CU(cuCtxCreate_v2(&other, 0, 1), CUDA_SUCCESS);
  CHECK_CU(cuCtxEnablePeerAccess(here, 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
  CHECK_CU(cuMemAlloc_v2(&there, 64), CUDA_SUCCESS);
  CHECK_CU(cuMemsetD32_v2(there, 77, 16), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyPeer(memory, here, there, other, 64), CUDA_SUCCESS);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoH_v2(&value, memory, 4), CUDA_SUCCESS);
  CHECK_EQ(value, 77);
  void *params[] = {&memory};
  CHECK_CU(cuLaunchKernel(function("first"), 1, 1, 1, 1, 1, 1, 0, NULL, params,
                          NULL),
           CUDA_ERROR_INVALID_HANDLE);  // of another context
  CHECK_CU(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(there), CUDA_ERROR_INVALID_VALUE);  // went with it
  CHECK_CU(cuMemFreeHost(host), CUDA_SUCCESS);
}

int main(void) {
  driver_quiet();
  CUcontext context = NULL;
  CHECK_EQ(tessera_emu_set_devices("h100,h200"), 0);
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_CU(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
  CHECK_CU(cuModuleLoadData(&module, text), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&memory, 64 * 128), CUDA_SUCCESS);
  attributes();
  workspace();
  dependent();
  libraries();
  linking();
  tensor_maps();
  devices();
  CHECK_CU(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  tessera_emu_reset();
  return test_finish();
}
