// SPDX-License-Identifier: Apache-2.0
// Streams are lazy: what is not waited for has not happened. Their order, the
// default streams' rules, events, callbacks, values in memory, pools.
#include "driver_harness.h"

static const char text[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry put(.param .u64 p, .param .u32 v) {\n"
    ".reg .b64 %a; .reg .b32 %v; ld.param.u64 %a, [p]; ld.param.u32 %v, [v];\n"
    "st.global.u32 [%a], %v; ret; }\n"
    ".visible .entry copy(.param .u64 p, .param .u64 q) {\n"
    ".reg .b64 %a, %b; .reg .b32 %v; ld.param.u64 %a, [p];\n"
    "ld.param.u64 %b, [q]; ld.global.u32 %v, [%b];\n"
    "st.global.u32 [%a], %v; ret; }\n";

static CUfunction put_function, copy_function;

static void put(CUdeviceptr target, unsigned value, CUstream stream) {
  void *params[] = {&target, &value};
  CHECK_CU(
      cuLaunchKernel(put_function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
      CUDA_SUCCESS);
}

static void copy(CUdeviceptr target, CUdeviceptr source, CUstream stream) {
  void *params[] = {&target, &source};
  CHECK_CU(
      cuLaunchKernel(copy_function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
      CUDA_SUCCESS);
}

static void set_seed(uint64_t seed, uint32_t lazy) {
  tessera_emu_config config = {.struct_size = sizeof(config)};
  tessera_emu_get_config(&config);
  config.seed = seed;
  config.lazy_streams = lazy;
  CHECK_EQ(tessera_emu_set_config(&config), 0);
}

// Pinned memory shows when work is done.
static void lazy(volatile unsigned *host, CUdeviceptr device) {
  CUstream stream = NULL;
  CHECK_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  *host = 0;
  put(device, 1, stream);
  CHECK_EQ(*host, 0);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_SUCCESS);
  CHECK_EQ(*host, 1);
  put(device, 2, stream);
  CHECK_CU(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  CHECK_CU(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
  CHECK_EQ(*host, 1);
  CHECK_CU(cuStreamQuery(stream), CUDA_SUCCESS);
  CHECK_EQ(*host, 2);
  // Of a destroyed stream the work is done all the same.
  put(device, 3, stream);
  CHECK_CU(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(*host, 2);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
  CHECK_EQ(*host, 3);
  set_seed(0, 0);
  CHECK_CU(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
  put(device, 4, stream);
  CHECK_EQ(*host, 4);  // eager
  set_seed(0, 1);
  // A queue is finite.
  for (unsigned i = 0; i < 1100; ++i) put(device, 100 + i, stream);
  CHECK(*host != 4);
  CHECK_CU(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
}

// Without an order between streams either may come first; both do for some
// seed. With an event it is always right.
static void order(volatile unsigned *host, CUdeviceptr device) {
  CUstream a = NULL, b = NULL;
  CUevent event = NULL;
  CUdeviceptr middle = 0;
  CHECK_CU(cuMemAlloc_v2(&middle, 4), CUDA_SUCCESS);
  CHECK_CU(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  CHECK_CU(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  CHECK_CU(cuEventCreate(&event, 0), CUDA_SUCCESS);
  unsigned stale = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    set_seed(seed, 1);
    CHECK_CU(cuMemsetD32_v2(middle, 5, 1), CUDA_SUCCESS);
    CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
    put(middle, 6, a);
    copy(device, middle, b);  // the defect: no order
    CHECK_CU(cuStreamSynchronize(b), CUDA_SUCCESS);
    CHECK(*host == 5 || *host == 6);
    stale += *host == 5;
    CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK_CU(cuMemsetD32_v2(middle, 7, 1), CUDA_SUCCESS);
    CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
    put(middle, 8, a);
    CHECK_CU(cuEventRecord(event, a), CUDA_SUCCESS);
    put(middle, 9, a);
    CHECK_CU(cuStreamWaitEvent(b, event, 0), CUDA_SUCCESS);
    copy(device, middle, b);
    CHECK_CU(cuStreamSynchronize(b), CUDA_SUCCESS);
    CHECK(*host == 8 || *host == 9);
    CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
  }
  CHECK(stale > 5 && stale < 20);
  set_seed(0, 1);
  CHECK_CU(cuEventDestroy_v2(event), CUDA_SUCCESS);
  CHECK_CU(cuStreamDestroy_v2(a), CUDA_SUCCESS);
  CHECK_CU(cuStreamDestroy_v2(b), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(middle), CUDA_SUCCESS);
}

// The legacy stream and blocking ones wait for each other; non-blocking ones
// take no part.
static void legacy(volatile unsigned *host, CUdeviceptr device) {
  CUstream blocking = NULL, free_stream = NULL;
  CHECK_CU(cuStreamCreate(&blocking, 0), CUDA_SUCCESS);
  CHECK_CU(cuStreamCreate(&free_stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    set_seed(seed, 1);
    *host = 0;
    put(device, 1, blocking);
    put(device + 4, 1, free_stream);
    copy(device + 8, device, NULL);           // behind |blocking|
    copy(device + 12, device + 8, blocking);  // behind the legacy stream
    CHECK_CU(cuStreamSynchronize(blocking), CUDA_SUCCESS);
    CHECK_EQ(host[3], 1);
    host[3] = 0;
    // A thread's own default stream is a blocking one.
    put(device, 2, CU_STREAM_PER_THREAD);
    copy(device + 12, device, CU_STREAM_LEGACY);
    CHECK_CU(cuStreamSynchronize(NULL), CUDA_SUCCESS);
    CHECK_EQ(host[3], 2);
    put(device, 3, blocking);
    CHECK_CU(cuStreamSynchronize(NULL), CUDA_SUCCESS);
    CHECK_EQ(host[0], 3);
  }
  // By name the variant for per-thread streams: 0 is another stream there.
  unsigned long long id = 0, own = 0, other = 0;
  CHECK_CU(cuStreamGetId(NULL, &id), CUDA_SUCCESS);
  CHECK_CU(cuStreamGetId_ptsz(NULL, &own), CUDA_SUCCESS);
  CHECK_CU(cuStreamGetId(CU_STREAM_PER_THREAD, &other), CUDA_SUCCESS);
  CHECK(id != own && own == other);
  set_seed(0, 1);
  CHECK_CU(cuStreamDestroy_v2(blocking), CUDA_SUCCESS);
  CHECK_CU(cuStreamDestroy_v2(free_stream), CUDA_SUCCESS);
}

static void events(CUdeviceptr device) {
  CUevent start = NULL, end = NULL, untimed = NULL;
  CUstream stream = NULL;
  float ms = -1;
  CHECK_CU(cuStreamCreate(&stream, 1), CUDA_SUCCESS);
  CHECK_CU(cuEventCreate(&start, 0), CUDA_SUCCESS);
  CHECK_CU(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC), CUDA_SUCCESS);
  CHECK_CU(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  CHECK_CU(cuEventQuery(start), CUDA_SUCCESS);  // never recorded
  CHECK_CU(cuEventElapsedTime(&ms, start, end), CUDA_ERROR_INVALID_HANDLE);
  CHECK_CU(cuEventRecord(start, stream), CUDA_SUCCESS);
  put(device, 1, stream);
  CHECK_CU(cuEventRecord(end, stream), CUDA_SUCCESS);
  CHECK_CU(cuEventRecord(untimed, stream), CUDA_SUCCESS);
  CHECK_CU(cuEventQuery(end), CUDA_ERROR_NOT_READY);
  CHECK_CU(cuEventElapsedTime(&ms, start, end), CUDA_ERROR_NOT_READY);
  CHECK_CU(cuEventSynchronize(end), CUDA_SUCCESS);
  CHECK_CU(cuEventQuery(end), CUDA_SUCCESS);
  CHECK_CU(cuEventElapsedTime(&ms, start, end), CUDA_SUCCESS);
  CHECK(ms > 0 && ms < 1);
  CHECK_CU(cuEventElapsedTime(&ms, start, untimed), CUDA_ERROR_INVALID_HANDLE);
  CHECK_CU(cuEventQuery(untimed), CUDA_ERROR_NOT_READY);
  CHECK_CU(cuEventQuery(untimed), CUDA_ERROR_NOT_READY);
  CHECK_CU(cuEventQuery(untimed), CUDA_SUCCESS);
  CHECK_CU(cuEventDestroy_v2(start), CUDA_SUCCESS);
  CHECK_CU(cuEventDestroy_v2(start), CUDA_ERROR_INVALID_HANDLE);
  CHECK_CU(cuEventDestroy_v2(end), CUDA_SUCCESS);
  CHECK_CU(cuEventDestroy_v2(untimed), CUDA_SUCCESS);
  CHECK_CU(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
}

static unsigned steps;
static void host_step(void *data) {
  *(unsigned *)data = ++steps;
  CUdeviceptr memory = 0;
  CHECK_CU(cuMemAlloc_v2(&memory, 4), CUDA_ERROR_NOT_PERMITTED);
}
static void callback_step(CUstream stream, CUresult status, void *data) {
  (void)stream;
  *(CUresult *)data = status;
}

static void callbacks(volatile unsigned *host, CUdeviceptr device) {
  CUstream stream = NULL;
  unsigned first = 0, second = 0;
  CUresult status = CUDA_ERROR_UNKNOWN;
  CHECK_CU(cuStreamCreate(&stream, 1), CUDA_SUCCESS);
  CHECK_CU(cuLaunchHostFunc(stream, host_step, &first), CUDA_SUCCESS);
  put(device, 77, stream);
  CHECK_CU(cuLaunchHostFunc(stream, host_step, &second), CUDA_SUCCESS);
  CHECK_CU(cuStreamAddCallback(stream, callback_step, &status, 0),
           CUDA_SUCCESS);
  CHECK_EQ(steps, 0);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_SUCCESS);
  CHECK(first == 1 && second == 2 && *host == 77);
  CHECK_CU(status, CUDA_SUCCESS);
  CHECK_CU(cuLaunchHostFunc(stream, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
}

// One stream waits for a value that another writes.
static void values(volatile unsigned *host, CUdeviceptr device) {
  CUstream a = NULL, b = NULL;
  CHECK_CU(cuStreamCreate(&a, 1), CUDA_SUCCESS);
  CHECK_CU(cuStreamCreate(&b, 1), CUDA_SUCCESS);
  host[0] = 0, host[1] = 0;
  CHECK_CU(cuStreamWaitValue32_v2(a, device, 5, CU_STREAM_WAIT_VALUE_GEQ),
           CUDA_SUCCESS);
  put(device + 4, 1, a);
  CHECK_CU(cuStreamQuery(a), CUDA_ERROR_NOT_READY);
  CHECK_CU(cuStreamQuery(a), CUDA_ERROR_NOT_READY);
  CHECK_CU(cuStreamQuery(a), CUDA_ERROR_NOT_READY);  // it cannot go on
  CHECK_CU(cuStreamWriteValue32_v2(b, device, 6, 0), CUDA_SUCCESS);
  CHECK_CU(cuStreamSynchronize(a), CUDA_SUCCESS);
  CHECK(host[0] == 6 && host[1] == 1);
  CHECK_CU(cuStreamWaitValue64_v2(a, device + 4, 1, 0),
           CUDA_ERROR_INVALID_VALUE);  // not aligned
  CHECK_CU(cuStreamDestroy_v2(a), CUDA_SUCCESS);
  CHECK_CU(cuStreamDestroy_v2(b), CUDA_SUCCESS);
}

// Pageable memory is taken at the call; pinned memory when its turn comes.
static void copies(unsigned *host, CUdeviceptr device) {
  CUstream stream = NULL;
  CUdeviceptr memory = 0;
  unsigned pageable = 1, out = 0;
  CHECK_CU(cuStreamCreate(&stream, 1), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&memory, 8), CUDA_SUCCESS);
  host[0] = 10;
  CHECK_CU(cuMemcpyHtoDAsync_v2(memory, &pageable, 4, stream), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyHtoDAsync_v2(memory + 4, host, 4, stream), CUDA_SUCCESS);
  pageable = 2;
  host[0] = 20;  // the defect: still being read
  CHECK_CU(cuMemcpyDtoHAsync_v2(&out, memory, 4, stream), CUDA_SUCCESS);
  CHECK_EQ(out, 1);  // into pageable memory: has happened
  CHECK_CU(cuMemcpyDtoHAsync_v2(host + 1, memory + 4, 4, stream), CUDA_SUCCESS);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_SUCCESS);
  CHECK_EQ(host[1], 20);
  // Registered memory is pinned memory.
  CHECK_CU(cuMemHostRegister_v2(&pageable, 4, 0), CUDA_SUCCESS);
  CHECK_CU(cuMemHostRegister_v2(&pageable, 4, 0),
           CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  CHECK_CU(cuMemcpyHtoDAsync_v2(memory, &pageable, 4, stream), CUDA_SUCCESS);
  pageable = 3;
  CHECK_CU(cuMemcpyDtoH_v2(&out, memory, 4), CUDA_SUCCESS);
  CHECK_EQ(out, 1);  // another stream without order
  CHECK_CU(cuStreamSynchronize(stream), CUDA_SUCCESS);
  CHECK_CU(cuMemcpyDtoH_v2(&out, memory, 4), CUDA_SUCCESS);
  CHECK_EQ(out, 3);
  CHECK_CU(cuMemHostUnregister(&pageable), CUDA_SUCCESS);
  CHECK_CU(cuMemHostUnregister(&pageable),
           CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  CHECK_CU(cuMemFree_v2(memory), CUDA_SUCCESS);
  CHECK_CU(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
  (void)device;
}

static void pools(void) {
  CUstream stream = NULL;
  CUmemoryPool pool = NULL;
  CUdeviceptr memory = 0;
  uint64_t used = 1;
  unsigned out = 0;
  CHECK_CU(cuStreamCreate(&stream, 1), CUDA_SUCCESS);
  CHECK_CU(cuDeviceGetDefaultMemPool(&pool, 0), CUDA_SUCCESS);
  CHECK_CU(cuMemAllocAsync(&memory, 256, stream), CUDA_SUCCESS);
  put(memory, 9, stream);
  CHECK_CU(cuMemcpyDtoHAsync_v2(&out, memory, 4, stream), CUDA_SUCCESS);
  CHECK_EQ(out, 9);
  CHECK_CU(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used),
           CUDA_SUCCESS);
  CHECK_EQ(used, 256);
  CHECK_CU(cuMemFreeAsync(memory, stream), CUDA_SUCCESS);
  CHECK_CU(cuMemFreeAsync(memory, stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_SUCCESS);
  CHECK_CU(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used),
           CUDA_SUCCESS);
  CHECK_EQ(used, 0);
  CHECK_CU(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &used),
           CUDA_SUCCESS);
  CHECK_EQ(used, 256);
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                          .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0},
                          .maxSize = 1000};
  CHECK_CU(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
  CHECK_CU(cuMemAllocFromPoolAsync(&memory, 1001, pool, stream),
           CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_CU(cuMemAllocFromPoolAsync(&memory, 1000, pool, stream), CUDA_SUCCESS);
  CHECK_CU(cuMemPoolDestroy(pool), CUDA_SUCCESS);
  CHECK_CU(cuMemFree_v2(memory), CUDA_SUCCESS);
  CHECK_CU(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
}

static void pointers(unsigned *host, CUdeviceptr device) {
  CUmemorytype type = CU_MEMORYTYPE_UNIFIED;
  CUdeviceptr address = 0;
  void *pointer = NULL;
  CHECK_CU(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                 device + 4),
           CUDA_SUCCESS);
  CHECK_EQ(type, CU_MEMORYTYPE_HOST);
  CHECK_CU(cuMemHostGetDevicePointer_v2(&address, host, 0), CUDA_SUCCESS);
  CHECK(address == device);
  CHECK_CU(cuMemAllocManaged(&address, 64, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
  int managed = 0;
  CHECK_CU(
      cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address),
      CUDA_SUCCESS);
  CHECK_EQ(managed, 1);
  put(address, 5, NULL);
  CHECK_CU(cuCtxSynchronize(), CUDA_SUCCESS);
  CHECK_EQ(*(unsigned *)(uintptr_t)address, 5);
  CHECK_CU(cuMemFree_v2(address), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&address, 64), CUDA_SUCCESS);
  CHECK_CU(
      cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address),
      CUDA_SUCCESS);
  CHECK_EQ(type, CU_MEMORYTYPE_DEVICE);
  CHECK_CU(cuPointerGetAttribute(&pointer, CU_POINTER_ATTRIBUTE_HOST_POINTER,
                                 address),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                 (CUdeviceptr)(uintptr_t)&type),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuMemFree_v2(address), CUDA_SUCCESS);
}

int main(void) {
  driver_quiet();
  CUcontext context = NULL;
  CUmodule module = NULL;
  unsigned *host = NULL;
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_CU(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
  CHECK_CU(cuModuleLoadData(&module, text), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&put_function, module, "put"), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&copy_function, module, "copy"), CUDA_SUCCESS);
  CHECK_CU(cuMemHostAlloc((void **)&host, 64, 0), CUDA_SUCCESS);
  CUdeviceptr device = (CUdeviceptr)(uintptr_t)host;
  lazy(host, device);
  order(host, device);
  legacy(host, device);
  events(device);
  callbacks(host, device);
  values(host, device);
  copies(host, device);
  pools();
  pointers(host, device);
  CHECK_EQ(tessera_emu_finding_count(), 0);
  CHECK_CU(cuMemFreeHost(host), CUDA_SUCCESS);
  CHECK_CU(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  tessera_emu_reset();
  return test_finish();
}
