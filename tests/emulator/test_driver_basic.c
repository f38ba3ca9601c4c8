// SPDX-License-Identifier: Apache-2.0
// The driver as a program uses it: devices, contexts, memory, modules, a
// launch, and how each of them refuses what it cannot do.
#include "driver_harness.h"

static const char vector_add[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .global .align 4 .b32 calls = 7;\n"
    ".visible .entry add(.param .u64 pa, .param .u64 pb, .param .u64 pc,\n"
    "                    .param .u32 pn) {\n"
    ".reg .b64 %a, %b, %c, %o; .reg .b32 %n, %i, %t, %s; .reg .f32 %x, %y;\n"
    ".reg .pred %p;\n"
    "ld.param.u64 %a, [pa]; ld.param.u64 %b, [pb]; ld.param.u64 %c, [pc];\n"
    "ld.param.u32 %n, [pn];\n"
    "mov.u32 %i, %ctaid.x; mov.u32 %t, %ntid.x; mov.u32 %s, %tid.x;\n"
    "mad.lo.u32 %i, %i, %t, %s;\n"
    "setp.ge.u32 %p, %i, %n; @%p bra DONE;\n"
    "mul.wide.u32 %o, %i, 4;\n"
    "add.u64 %a, %a, %o; add.u64 %b, %b, %o; add.u64 %c, %c, %o;\n"
    "ld.global.f32 %x, [%a]; ld.global.f32 %y, [%b];\n"
    "add.f32 %x, %x, %y; st.global.f32 [%c], %x;\n"
    "DONE: ret;\n}\n"
    ".visible .entry wild(.param .u64 p) {\n"
    ".reg .b64 %a; ld.param.u64 %a, [p]; st.global.u32 [%a+1], 1; ret; }\n"
    ".visible .entry trapped() { trap; }\n"
    ".visible .entry shared(.param .u64 p) { .shared .align 4 .b8 s[1024];\n"
    ".reg .b32 %v; mov.u32 %v, s; ret; }\n"
    ".visible .entry bounded() .maxntid 64 { ret; }\n";

static void start(void) {
  CHECK_CU(cuDeviceGetCount(&(int){0}), CUDA_ERROR_NOT_INITIALIZED);
  CHECK_CU(cuInit(1), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  int version = 0, count = 0;
  CHECK_CU(cuDriverGetVersion(&version), CUDA_SUCCESS);
  CHECK_EQ(version, 13000);
  CHECK_CU(cuDeviceGetCount(&count), CUDA_SUCCESS);
  CHECK_EQ(count, 2);
  CHECK_EQ(tessera_emu_set_devices("h100"), -1);  // too late
}

static void devices(void) {
  CUdevice device = -1;
  CHECK_CU(cuDeviceGet(&device, 1), CUDA_SUCCESS);
  CHECK_CU(cuDeviceGet(&device, 2), CUDA_ERROR_INVALID_DEVICE);
  CHECK_CU(cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
  char name[64];
  CHECK_CU(cuDeviceGetName(name, sizeof(name), 1), CUDA_SUCCESS);
  CHECK_STR(name, "NVIDIA GeForce RTX 4090");
  CHECK_CU(cuDeviceGetName(name, 7, 1), CUDA_SUCCESS);
  CHECK_STR(name, "NVIDIA");
  int value = 0;
  const struct {
    CUdevice_attribute name;
    int value;
  } expected[] = {
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 9},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 128},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 101376},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 75497472},
      {(CUdevice_attribute)21, 0},  // textures: none
  };
  for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); ++i) {
    CHECK_CU(cuDeviceGetAttribute(&value, expected[i].name, 1), CUDA_SUCCESS);
    CHECK_EQ(value, expected[i].value);
  }
  CHECK_CU(cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 1),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuDeviceGetAttribute(&value, (CUdevice_attribute)148, 1),
           CUDA_ERROR_INVALID_VALUE);
  size_t size = 0;
  CHECK_CU(cuDeviceTotalMem_v2(&size, 0), CUDA_SUCCESS);
  CHECK_EQ(size, (size_t)80 << 30);
  CUuuid a, b;
  CHECK_CU(cuDeviceGetUuid_v2(&a, 0), CUDA_SUCCESS);
  CHECK_CU(cuDeviceGetUuid_v2(&b, 1), CUDA_SUCCESS);
  CHECK(memcmp(&a, &b, sizeof(a)) != 0);
  CHECK_CU(cuDeviceGetPCIBusId(name, sizeof(name), 1), CUDA_SUCCESS);
  CHECK_CU(cuDeviceGetByPCIBusId(&device, name), CUDA_SUCCESS);
  CHECK_EQ(device, 1);
}

static void contexts(void) {
  CUcontext primary = NULL, own = NULL, current = NULL;
  unsigned flags;
  int active = -1;
  CHECK_CU(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_CU(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
  CHECK_EQ(active, 0);
  CHECK_CU(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_CU(cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
  CHECK_CU(cuDevicePrimaryCtxRetain(&current, 0), CUDA_SUCCESS);
  CHECK(primary == current);
  CHECK_CU(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
  CHECK_CU(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
  CHECK_EQ(active, 1);
  CHECK_CU(cuCtxGetCurrent(&current), CUDA_SUCCESS);
  CHECK(current == NULL);
  CHECK_CU(cuCtxSetCurrent(primary), CUDA_SUCCESS);
  CHECK_CU(cuCtxDestroy_v2(primary), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_CU(cuCtxCreate_v2(&own, 0, 1), CUDA_SUCCESS);
  CUdevice device = -1;
  CHECK_CU(cuCtxGetDevice(&device), CUDA_SUCCESS);
  CHECK_EQ(device, 1);
  CHECK_CU(cuCtxPopCurrent_v2(&current), CUDA_SUCCESS);
  CHECK(current == own);
  CHECK_CU(cuCtxGetDevice(&device), CUDA_SUCCESS);
  CHECK_EQ(device, 0);
  CHECK_CU(cuCtxPushCurrent_v2(own), CUDA_SUCCESS);
  CHECK_CU(cuCtxPushCurrent_v2(own), CUDA_SUCCESS);
  size_t value = 0;
  CHECK_CU(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096), CUDA_SUCCESS);
  CHECK_CU(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE), CUDA_SUCCESS);
  CHECK_EQ(value, 4096);
  CHECK_CU(cuCtxGetLimit(&value, (CUlimit)99), CUDA_ERROR_UNSUPPORTED_LIMIT);
  CHECK_CU(cuCtxDestroy_v2(own), CUDA_SUCCESS);
  // The second entry of the stack names what is gone.
  CHECK_CU(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CHECK_CU(cuCtxPushCurrent_v2(own), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_CU(cuCtxPopCurrent_v2(&current), CUDA_SUCCESS);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
}

static void memory(void) {
  CUdeviceptr a = 0, base = 0;
  size_t size = 0, before = 0, after = 0, total = 0;
  CHECK_CU(cuMemGetInfo_v2(&before, &total), CUDA_SUCCESS);
  CHECK_EQ(total, (size_t)80 << 30);
  CHECK_CU(cuMemAlloc_v2(&a, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemAlloc_v2(&a, (size_t)81 << 30), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_CU(cuMemAlloc_v2(&a, 1000), CUDA_SUCCESS);
  CHECK_EQ(a % 256, 0);
  CHECK_CU(cuMemGetInfo_v2(&after, NULL), CUDA_SUCCESS);
  CHECK(before - after >= 1000);
  CHECK_CU(cuMemGetAddressRange_v2(&base, &size, a + 999), CUDA_SUCCESS);
  CHECK(base == a && size == 1000);
  CHECK_CU(cuMemGetAddressRange_v2(&base, &size, a + 1000),
           CUDA_ERROR_NOT_FOUND);
  unsigned char out[16] = {0};
  CHECK_CU(cuMemsetD8_v2(a, 0x5a, 1000), CUDA_SUCCESS);
  CHECK_CU(cuMemsetD8_v2(a, 0x5a, 1001), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemsetD32_v2(a + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemsetD16_v2(a + 2, 0x1234, 2), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoH_v2(out, a, 8), CUDA_SUCCESS);
  const unsigned char expected[8] = {0x5a, 0x5a, 0x34, 0x12,
                                     0x34, 0x12, 0x5a, 0x5a};
  CHECK(memcmp(out, expected, 8) == 0);
  CHECK_CU(cuMemcpyDtoH_v2(out, a + 990, 16), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemcpyHtoD_v2((CUdeviceptr)(uintptr_t)out, out, 4),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemFree_v2(a + 1), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemFree_v2(a), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(a), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemFree_v2(0), CUDA_SUCCESS);
}

static void boxes(void) {
  // A 3x2 box out of the middle of a 5x4 array, to the device and back.
  unsigned char from[20], to[20];
  for (unsigned char i = 0; i < 20; ++i) from[i] = i;
  memset(to, 0xee, sizeof(to));
  CUdeviceptr device = 0;
  size_t pitch = 0;
  CHECK_CU(cuMemAllocPitch_v2(&device, &pitch, 3, 2, 4), CUDA_SUCCESS);
  CHECK_EQ(pitch, 512);
  CHECK_CU(cuMemAllocPitch_v2(&device, &pitch, 3, 2, 3),
           CUDA_ERROR_INVALID_VALUE);
  CUDA_MEMCPY2D copy = {.srcXInBytes = 1,
                        .srcY = 1,
                        .srcMemoryType = CU_MEMORYTYPE_HOST,
                        .srcHost = from,
                        .srcPitch = 5,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstDevice = device,
                        .dstPitch = pitch,
                        .WidthInBytes = 3,
                        .Height = 2};
  CHECK_CU(cuMemcpy2D_v2(&copy), CUDA_SUCCESS);
  CUDA_MEMCPY2D back = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                        .srcDevice = device,
                        .srcPitch = pitch,
                        .dstXInBytes = 2,
                        .dstY = 2,
                        .dstMemoryType = CU_MEMORYTYPE_HOST,
                        .dstHost = to,
                        .dstPitch = 5,
                        .WidthInBytes = 3,
                        .Height = 2};
  CHECK_CU(cuMemcpy2D_v2(&back), CUDA_SUCCESS);
  const unsigned char expected[20] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
                                      0xee, 0xee, 0xee, 0xee, 0xee, 6,    7,
                                      8,    0xee, 0xee, 11,   12,   13};
  CHECK(memcmp(to, expected, sizeof(to)) == 0);
  back.Height = 3;  // behind the device's end
  CHECK_CU(cuMemcpy2D_v2(&back), CUDA_ERROR_INVALID_VALUE);
  back.Height = 2;
  back.srcPitch = 2;  // narrower than a row
  CHECK_CU(cuMemcpy2D_v2(&back), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemFree_v2(device), CUDA_SUCCESS);
}

static void modules(void) {
  CUmodule module = NULL;
  CUfunction function = NULL;
  char errors[512] = "", infos[64] = "x";
  CUjit_option options[] = {
      CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
      CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {errors, (void *)sizeof(errors), infos,
                    (void *)sizeof(infos)};
  CHECK_CU(cuModuleLoadDataEx(&module,
                              ".version 8.0\n.target sm_80\n"
                              ".address_size 64\n"
                              ".entry f() { frobnicate.u32 %r; ret; }\n",
                              4, options, values),
           CUDA_ERROR_INVALID_PTX);
  CHECK(strstr(errors, "ptx(4,") != NULL);
  CHECK((size_t)(uintptr_t)values[1] == strlen(errors) + 1);
  CHECK_CU(cuModuleLoadData(&module,
                            "\x7f"
                            "ELF"),
           CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK_CU(cuModuleLoadData(&module,
                            ".version 8.0\n.target sm_100a\n"
                            ".address_size 64\n"),
           CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK_CU(cuModuleLoadData(&module,
                            ".version 9.9\n.target sm_80\n"
                            ".address_size 64\n"),
           CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  CHECK_CU(cuModuleLoad(&module, "/does/not/exist"), CUDA_ERROR_FILE_NOT_FOUND);
  CHECK_CU(cuModuleLoadData(&module, vector_add), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&function, module, "nothing"),
           CUDA_ERROR_NOT_FOUND);
  CUdeviceptr global = 0;
  size_t size = 0;
  int value = 0;
  CHECK_CU(cuModuleGetGlobal_v2(&global, &size, module, "calls"), CUDA_SUCCESS);
  CHECK_EQ(size, 4);
  CHECK_CU(cuMemcpyDtoH_v2(&value, global, 4), CUDA_SUCCESS);
  CHECK_EQ(value, 7);
  unsigned count = 0;
  CHECK_CU(cuModuleGetFunctionCount(&count, module), CUDA_SUCCESS);
  CHECK_EQ(count, 5);
  CHECK_CU(cuModuleUnload(module), CUDA_SUCCESS);
  CHECK_CU(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
}

static void launches(void) {
  enum { N = 1000 };
  CUmodule module = NULL;
  CUfunction add = NULL, shared = NULL, bounded = NULL;
  CHECK_CU(cuModuleLoadData(&module, vector_add), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&add, module, "add"), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&shared, module, "shared"), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&bounded, module, "bounded"), CUDA_SUCCESS);
  static float a[N], b[N], c[N];
  for (int i = 0; i < N; ++i) a[i] = (float)i, b[i] = 0.5f;
  CUdeviceptr da, db, dc;
  CHECK_CU(cuMemAlloc_v2(&da, sizeof(a)), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&db, sizeof(b)), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&dc, sizeof(c)), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyHtoD_v2(da, a, sizeof(a)), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyHtoD_v2(db, b, sizeof(b)), CUDA_SUCCESS);
  unsigned n = N;
  void *params[] = {&da, &db, &dc, &n};
  CHECK_CU(cuLaunchKernel(add, 8, 1, 1, 128, 1, 1, 0, NULL, params, NULL),
           CUDA_SUCCESS);
  n = 0;  // parameters were copied
  CHECK_CU(cuMemcpyDtoH_v2(c, dc, sizeof(c)), CUDA_SUCCESS);
  for (int i = 0; i < N; ++i) CHECK(c[i] == (float)i + 0.5f);
  // The same parameters in one buffer.
  struct {
    CUdeviceptr a, b, c;
    unsigned n;
  } buffer = {da, da, dc, N};
  size_t size = 28;
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer,
                   CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_END};
  CHECK_CU(cuLaunchKernel(add, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra),
           CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoH_v2(c, dc, sizeof(c)), CUDA_SUCCESS);
  for (int i = 0; i < N; ++i) CHECK(c[i] == 2 * (float)i);
  size = 27;
  CHECK_CU(cuLaunchKernel(add, 8, 1, 1, 128, 1, 1, 0, NULL, NULL, extra),
           CUDA_ERROR_INVALID_VALUE);
  const unsigned bad[][6] = {{0, 1, 1, 1, 1, 1},    {1, 65536, 1, 1, 1, 1},
                             {1, 1, 1, 1025, 1, 1}, {1, 1, 1, 1, 1, 65},
                             {1, 1, 1, 32, 33, 1},  {1, 1, 1, 0, 1, 1}};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    CHECK_CU(cuLaunchKernel(add, bad[i][0], bad[i][1], bad[i][2], bad[i][3],
                            bad[i][4], bad[i][5], 0, NULL, params, NULL),
             CUDA_ERROR_INVALID_VALUE);
  }
  CHECK_CU(cuLaunchKernel(bounded, 1, 1, 1, 65, 1, 1, 0, NULL, NULL, NULL),
           CUDA_ERROR_INVALID_VALUE);
  int value = 0;
  CHECK_CU(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
                              bounded),
           CUDA_SUCCESS);
  CHECK_EQ(value, 64);
  CHECK_CU(
      cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, shared),
      CUDA_SUCCESS);
  CHECK_EQ(value, 1024);
  // Dynamic shared memory: 48 KiB less the static, until more is asked for.
  void *one[] = {&da};
  CHECK_CU(cuLaunchKernel(shared, 1, 1, 1, 1, 1, 1, 47 * 1024, NULL, one, NULL),
           CUDA_SUCCESS);
  CHECK_CU(
      cuLaunchKernel(shared, 1, 1, 1, 1, 1, 1, 47 * 1024 + 1, NULL, one, NULL),
      CUDA_ERROR_INVALID_VALUE);
  CUfunction_attribute most = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
  CHECK_CU(cuFuncSetAttribute(shared, most, 226 * 1024), CUDA_SUCCESS);
  CHECK_CU(cuFuncSetAttribute(shared, most, 226 * 1024 + 1),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(
      cuLaunchKernel(shared, 1, 1, 1, 1, 1, 1, 226 * 1024, NULL, one, NULL),
      CUDA_SUCCESS);
  CHECK_CU(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, shared, 32,
                                                       112 * 1024),
           CUDA_SUCCESS);
  CHECK_EQ(value, 2);  // 228 KiB / (112 + 1 static + 1 of the system)
  CHECK_CU(cuOccupancyAvailableDynamicSMemPerBlock(&size, shared, 2, 32),
           CUDA_SUCCESS);
  CHECK_EQ(size, 112 * 1024);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(da), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(db), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(dc), CUDA_SUCCESS);
}

// A fault stays with its context until the context goes.
static void fault(const char *kernel, uint64_t offset, CUresult expected) {
  CUcontext context = NULL;
  CUmodule module = NULL;
  CUfunction function = NULL;
  CUdeviceptr memory = 0;
  CHECK_CU(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
  CHECK_CU(cuModuleLoadData(&module, vector_add), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&function, module, kernel), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&memory, 64), CUDA_SUCCESS);
  memory += offset;
  void *params[] = {&memory};
  CHECK_CU(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
           CUDA_SUCCESS);
  CHECK_CU(cuCtxSynchronize(), expected);
  CHECK_CU(cuMemAlloc_v2(&memory, 64), expected);
  CHECK_CU(cuMemFree_v2(memory), expected);
  CHECK(tessera_emu_finding_count() > 0);
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  CHECK_EQ(tessera_emu_get_finding(0, &finding), 0);
  CHECK_STR(finding.kernel, kernel);
  tessera_emu_clear_findings();
  CHECK_CU(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);  // the one below
}

int main(void) {
  driver_quiet();
  CHECK_EQ(tessera_emu_set_devices("h100,nosuch"), -1);
  CHECK_EQ(tessera_emu_set_devices("h100,rtx4090"), 0);
  start();
  devices();
  contexts();
  memory();
  boxes();
  modules();
  launches();
  fault("wild", 0, CUDA_ERROR_MISALIGNED_ADDRESS);
  fault("wild", 63, CUDA_ERROR_ILLEGAL_ADDRESS);
  fault("trapped", 0, CUDA_ERROR_LAUNCH_FAILED);
  CHECK_EQ(tessera_emu_call_count("cuLaunchKernel"), 16);
  CHECK(tessera_emu_profile_count() >= 4);
  tessera_emu_reset();
  CHECK_CU(cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
  CHECK_EQ(tessera_emu_call_count("cuLaunchKernel"), 0);
  return test_finish();
}
