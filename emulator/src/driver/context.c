// SPDX-License-Identifier: Apache-2.0
// Contexts: a device's primary one and those that programs make, and each
// thread's stack of current ones. A destroyed context stays as long as a
// thread's stack names it, so that a use of it is told from a wild pointer.
#include "base/memory.h"
#include "driver/driver.h"

// --- Making and ending ------------------------------------------------------

static void set_limits(CUcontext context) {
  context->limits[CU_LIMIT_STACK_SIZE] = 1024;
  context->limits[CU_LIMIT_PRINTF_FIFO_SIZE] = (size_t)1 << 20;
  context->limits[CU_LIMIT_MALLOC_HEAP_SIZE] = (size_t)8 << 20;
  context->limits[CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2;
  context->limits[CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048;
  context->limits[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 128;
}

// Whether uninitialised reads can be found is decided here: the heap has to
// keep a bit per byte from the start.
static CUresult need_heap(tsr_device *device) {
  if (device->heap != NULL) return CUDA_SUCCESS;
  tsr_error error = {0};
  bool track = (tsr_the.config.checks & TESSERA_EMU_CHECK_INIT) != 0;
  tsr_heap *heap = NULL;
  tsr_status status =
      tsr_heap_create(device->model->memory_bytes, track, &heap, &error);
  if (status != TSR_OK) return tsr_result_of(status);
  // Pinned memory is every device's.
  if (!tsr_memory_register_all(heap)) {
    tsr_heap_destroy(heap);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  device->heap = heap;
  return CUDA_SUCCESS;
}

CUresult tsr_ctx_create(tsr_device *device, uint32_t flags, bool primary,
                        CUcontext *out_context) {
  CUresult result = need_heap(device);
  if (result != CUDA_SUCCESS) return result;
  CUcontext context = tsr_calloc(1, sizeof(*context));
  if (context == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  context->device = device;
  context->ordinal = (CUdevice)(device - tsr_the.devices);
  context->flags = flags;
  context->primary = primary;
  context->references = 1;
  context->id = ++tsr_the.next_id;
  set_limits(context);
  result = tsr_stream_create(context, 0, 0, &context->legacy);
  if (result != CUDA_SUCCESS) {
    tsr_free(context);
    return result;
  }
  tsr_object_remove(&context->legacy->object);  // named by 0 and by 1 only
  tsr_object_add(&context->object, TSR_OBJECT_CONTEXT, context);
  context->next = tsr_the.contexts;
  tsr_the.contexts = context;
  *out_context = context;
  return CUDA_SUCCESS;
}

void tsr_ctx_release(CUcontext context) {
  if (--context->references == 0) tsr_free(context);
}

void tsr_ctx_destroy(CUcontext context) {
  CUcontext *link = &tsr_the.contexts;
  while (*link != context) link = &(*link)->next;
  *link = context->next;
  tsr_object_remove(&context->object);
  context->destroyed = true;
  if (context->device->primary == context) {
    context->device->primary = NULL;
    context->device->primary_references = 0;
  }
  while (context->streams != NULL) tsr_stream_free(context->streams);
  context->legacy = NULL;
  void *object;
  while ((object = tsr_object_any(TSR_OBJECT_MODULE, context)) != NULL) {
    tsr_module_unload(object);
  }
  while ((object = tsr_object_any(TSR_OBJECT_EVENT, context)) != NULL) {
    tsr_object_remove(object);
    tsr_event_release(object);
  }
  tsr_memory_free_all(context);
  tsr_ctx_release(context);
}

static CUcontext find_context(CUcontext handle) {
  return tsr_object_get(handle, TSR_OBJECT_CONTEXT);
}

CUresult tsr_ctx_current(CUcontext *out_context) {
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  CUcontext context =
      thread->depth == 0 ? NULL : thread->stack[thread->depth - 1];
  if (context == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  if (context->destroyed) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  *out_context = context;
  return CUDA_SUCCESS;
}

// --- Primary contexts -------------------------------------------------------

CUresult tsr_cuDevicePrimaryCtxRetain(CUcontext *out_context,
                                      CUdevice ordinal) {
  if (out_context == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  if (device->primary == NULL) {
    CUresult result =
        tsr_ctx_create(device, device->primary_flags, true, &device->primary);
    if (result != CUDA_SUCCESS) return result;
  }
  ++device->primary_references;
  *out_context = device->primary;
  return CUDA_SUCCESS;
}

// Work in progress comes to its end first.
static void end_context(CUcontext context) {
  (void)tsr_run_context(context);
  tsr_run_all();
  tsr_ctx_destroy(context);
}

CUresult tsr_cuDevicePrimaryCtxRelease_v2(CUdevice ordinal) {
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  if (device->primary_references == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (--device->primary_references == 0) end_context(device->primary);
  return CUDA_SUCCESS;
}

CUresult tsr_cuDevicePrimaryCtxRelease(CUdevice ordinal) {
  return tsr_cuDevicePrimaryCtxRelease_v2(ordinal);
}

CUresult tsr_cuDevicePrimaryCtxReset_v2(CUdevice ordinal) {
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  if (device->primary != NULL) end_context(device->primary);
  return CUDA_SUCCESS;
}

CUresult tsr_cuDevicePrimaryCtxReset(CUdevice ordinal) {
  return tsr_cuDevicePrimaryCtxReset_v2(ordinal);
}

CUresult tsr_cuDevicePrimaryCtxSetFlags_v2(CUdevice ordinal, unsigned flags) {
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  if ((flags & ~(unsigned)CU_CTX_FLAGS_MASK) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  device->primary_flags = flags;
  if (device->primary != NULL) device->primary->flags = flags;
  return CUDA_SUCCESS;
}

CUresult tsr_cuDevicePrimaryCtxSetFlags(CUdevice ordinal, unsigned flags) {
  tsr_device *device = tsr_device_get(ordinal);
  if (device != NULL && device->primary != NULL) {
    return CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE;  // the old function's rule
  }
  return tsr_cuDevicePrimaryCtxSetFlags_v2(ordinal, flags);
}

CUresult tsr_cuDevicePrimaryCtxGetState(CUdevice ordinal, unsigned *out_flags,
                                        int *out_active) {
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  if (out_flags == NULL || out_active == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_flags = device->primary_flags;
  *out_active = device->primary != NULL;
  return CUDA_SUCCESS;
}

// --- Own contexts -----------------------------------------------------------

static CUresult push(CUcontext context) {
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL || thread->depth == TSR_CONTEXT_DEPTH) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  thread->stack[thread->depth++] = context;
  if (context != NULL) ++context->references;
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxCreate_v2(CUcontext *out_context, unsigned flags,
                            CUdevice ordinal) {
  if (out_context == NULL || (flags & ~(unsigned)CU_CTX_FLAGS_MASK) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  CUcontext context = NULL;
  CUresult result = tsr_ctx_create(device, flags, false, &context);
  if (result != CUDA_SUCCESS) return result;
  context->attached = 1;
  result = push(context);
  if (result != CUDA_SUCCESS) {
    tsr_ctx_destroy(context);
    return result;
  }
  *out_context = context;
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxCreate(CUcontext *out_context, unsigned flags,
                         CUdevice ordinal) {
  return tsr_cuCtxCreate_v2(out_context, flags, ordinal);
}

CUresult tsr_cuCtxCreate_v3(CUcontext *out_context,
                            CUexecAffinityParam *affinity, int count,
                            unsigned flags, CUdevice ordinal) {
  (void)affinity;
  if (count != 0) return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
  return tsr_cuCtxCreate_v2(out_context, flags, ordinal);
}

CUresult tsr_cuCtxCreate_v4(CUcontext *out_context, CUctxCreateParams *params,
                            unsigned flags, CUdevice ordinal) {
  if (params != NULL && params->cigParams != NULL) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  int count = params == NULL ? 0 : params->numExecAffinityParams;
  return tsr_cuCtxCreate_v3(out_context, NULL, count, flags, ordinal);
}

// The top of this thread's stack goes; 0 stays below.
static void drop_top(tsr_thread *thread) {
  CUcontext context = thread->stack[--thread->depth];
  if (context != NULL) tsr_ctx_release(context);
}

CUresult tsr_cuCtxDestroy_v2(CUcontext handle) {
  CUcontext context = find_context(handle);
  if (context == NULL) {
    return handle == NULL ? CUDA_ERROR_INVALID_VALUE
                          : CUDA_ERROR_INVALID_CONTEXT;
  }
  if (context->primary) return CUDA_ERROR_INVALID_CONTEXT;
  tsr_thread *thread = tsr_thread_get();
  ++context->references;
  end_context(context);
  if (thread != NULL && thread->depth > 0 &&
      thread->stack[thread->depth - 1] == context) {
    drop_top(thread);
  }
  tsr_ctx_release(context);
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxDestroy(CUcontext handle) {
  return tsr_cuCtxDestroy_v2(handle);
}

CUresult tsr_cuCtxPushCurrent_v2(CUcontext handle) {
  CUcontext context = find_context(handle);
  if (context == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  return push(context);
}

CUresult tsr_cuCtxPushCurrent(CUcontext handle) {
  return tsr_cuCtxPushCurrent_v2(handle);
}

CUresult tsr_cuCtxPopCurrent_v2(CUcontext *out_context) {
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL || thread->depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (out_context != NULL) *out_context = thread->stack[thread->depth - 1];
  drop_top(thread);
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxPopCurrent(CUcontext *out_context) {
  return tsr_cuCtxPopCurrent_v2(out_context);
}

CUresult tsr_cuCtxSetCurrent(CUcontext handle) {
  CUcontext context = find_context(handle);
  if (handle != NULL && context == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  if (thread->depth > 0) drop_top(thread);
  return context == NULL ? CUDA_SUCCESS : push(context);
}

CUresult tsr_cuCtxGetCurrent(CUcontext *out_context) {
  if (out_context == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  *out_context = thread->depth == 0 ? NULL : thread->stack[thread->depth - 1];
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxAttach(CUcontext *out_context, unsigned flags) {
  if (out_context == NULL || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  ++context->attached;
  *out_context = context;
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxDetach(CUcontext handle) {
  CUcontext context = find_context(handle);
  if (context == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  if (context->attached > 1) {
    --context->attached;
    return CUDA_SUCCESS;
  }
  return tsr_cuCtxDestroy_v2(handle);
}

// --- Properties -------------------------------------------------------------

CUresult tsr_cuCtxGetDevice(CUdevice *out_device) {
  if (out_device == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) *out_device = context->ordinal;
  return result;
}

// |handle|, or the current context for 0.
static CUresult get_context(CUcontext handle, CUcontext *out_context) {
  if (handle == NULL) return tsr_ctx_current(out_context);
  *out_context = find_context(handle);
  return *out_context == NULL ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

CUresult tsr_cuCtxGetDevice_v2(CUdevice *out_device, CUcontext handle) {
  if (out_device == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = get_context(handle, &context);
  if (result == CUDA_SUCCESS) *out_device = context->ordinal;
  return result;
}

CUresult tsr_cuCtxGetFlags(unsigned *out_flags) {
  if (out_flags == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) *out_flags = context->flags;
  return result;
}

CUresult tsr_cuCtxSetFlags(unsigned flags) {
  if ((flags & ~(unsigned)CU_CTX_FLAGS_MASK) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) context->flags = flags;
  return result;
}

CUresult tsr_cuCtxGetId(CUcontext handle, unsigned long long *out_id) {
  if (out_id == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = get_context(handle, &context);
  if (result == CUDA_SUCCESS) *out_id = context->id;
  return result;
}

CUresult tsr_cuCtxSynchronize(void) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid();
  return result == CUDA_SUCCESS ? tsr_run_context(context) : result;
}

CUresult tsr_cuCtxSynchronize_v2(CUcontext handle) {
  CUcontext context;
  CUresult result = get_context(handle, &context);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid();
  return result == CUDA_SUCCESS ? tsr_run_context(context) : result;
}

CUresult tsr_cuCtxSetLimit(CUlimit limit, size_t value) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  if ((unsigned)limit >= TSR_LIMIT_COUNT) return CUDA_ERROR_UNSUPPORTED_LIMIT;
  context->limits[limit] = value;
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxGetLimit(size_t *out_value, CUlimit limit) {
  if (out_value == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  if ((unsigned)limit >= TSR_LIMIT_COUNT) return CUDA_ERROR_UNSUPPORTED_LIMIT;
  *out_value = context->limits[limit];
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxGetCacheConfig(CUfunc_cache *out_cache) {
  if (out_cache == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) *out_cache = context->cache;
  return result;
}

CUresult tsr_cuCtxSetCacheConfig(CUfunc_cache cache) {
  if (cache > CU_FUNC_CACHE_PREFER_EQUAL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) context->cache = cache;
  return result;
}

CUresult tsr_cuCtxGetSharedMemConfig(CUsharedconfig *out_banks) {
  if (out_banks == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  // Banks are four bytes wide since compute capability 5.0, whatever was set.
  if (result == CUDA_SUCCESS) {
    *out_banks = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
  }
  return result;
}

CUresult tsr_cuCtxSetSharedMemConfig(CUsharedconfig banks) {
  if (banks > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUcontext context;
  return tsr_ctx_current(&context);
}

CUresult tsr_cuCtxGetApiVersion(CUcontext handle, unsigned *out_version) {
  if (out_version == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = get_context(handle, &context);
  if (result == CUDA_SUCCESS) *out_version = 3020;
  return result;
}

CUresult tsr_cuCtxGetStreamPriorityRange(int *out_least, int *out_greatest) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  if (out_least != NULL) *out_least = TSR_PRIORITY_LEAST;
  if (out_greatest != NULL) *out_greatest = TSR_PRIORITY_GREATEST;
  return CUDA_SUCCESS;
}

CUresult tsr_cuCtxResetPersistingL2Cache(void) {
  CUcontext context;
  return tsr_ctx_current(&context);
}

CUresult tsr_cuProfilerStart(void) {
  CUcontext context;
  return tsr_ctx_current(&context);
}

CUresult tsr_cuProfilerStop(void) {
  CUcontext context;
  return tsr_ctx_current(&context);
}
