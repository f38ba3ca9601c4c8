// SPDX-License-Identifier: Apache-2.0
// Memory in the order of streams: cuMemAllocAsync, cuMemFreeAsync, pools. An
// address is given at once; freeing is work of its stream, so that what still
// uses the memory in another stream without an order between them fails.
#include "base/memory.h"
#include "driver/driver.h"

static CUresult create(CUdevice ordinal, uint64_t limit,
                       CUmemoryPool *out_pool) {
  CUmemoryPool pool = tsr_calloc(1, sizeof(*pool));
  if (pool == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  pool->ordinal = ordinal;
  pool->limit = limit;
  for (uint32_t i = 0; i < 3; ++i) pool->reuse[i] = 1;
  tsr_object_add(&pool->object, TSR_OBJECT_POOL, NULL);
  *out_pool = pool;
  return CUDA_SUCCESS;
}

static CUmemoryPool find_pool(CUmemoryPool handle) {
  return tsr_object_get(handle, TSR_OBJECT_POOL);
}

static CUresult default_pool(tsr_device *device, CUmemoryPool *out_pool) {
  CUresult result = CUDA_SUCCESS;
  if (device->default_pool == NULL) {
    CUdevice ordinal = (CUdevice)(device - tsr_the.devices);
    result = create(ordinal, 0, &device->default_pool);
    if (result != CUDA_SUCCESS) return result;
    device->default_pool->is_default = true;
  }
  *out_pool = device->default_pool;
  return result;
}

static CUresult current_pool(tsr_device *device, CUmemoryPool *out_pool) {
  if (device->pool == NULL) return default_pool(device, out_pool);
  *out_pool = device->pool;
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetDefaultMemPool(CUmemoryPool *out_pool,
                                       CUdevice ordinal) {
  if (out_pool == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  return default_pool(device, out_pool);
}

CUresult tsr_cuDeviceGetMemPool(CUmemoryPool *out_pool, CUdevice ordinal) {
  if (out_pool == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  return current_pool(device, out_pool);
}

CUresult tsr_cuDeviceSetMemPool(CUdevice ordinal, CUmemoryPool handle) {
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  CUmemoryPool pool = find_pool(handle);
  if (pool == NULL || pool->ordinal != ordinal) return CUDA_ERROR_INVALID_VALUE;
  device->pool = pool;
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemPoolCreate(CUmemoryPool *out_pool,
                             const CUmemPoolProps *props) {
  if (out_pool == NULL || props == NULL ||
      props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
      props->handleTypes != 0) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  if (tsr_device_get(props->location.id) == NULL) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  return create(props->location.id, props->maxSize, out_pool);
}

CUresult tsr_cuMemPoolDestroy(CUmemoryPool handle) {
  CUmemoryPool pool = find_pool(handle);
  if (pool == NULL || pool->is_default) return CUDA_ERROR_INVALID_VALUE;
  tsr_device *device = tsr_device_get(pool->ordinal);
  if (device != NULL && device->pool == pool) device->pool = NULL;
  // Memory that is still in use outlives its pool.
  for (uint32_t i = 0; i < tsr_the.memory_count; ++i) {
    if (tsr_the.memories[i].pool == pool) tsr_the.memories[i].pool = NULL;
  }
  tsr_object_remove(&pool->object);
  tsr_free(pool);
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemPoolTrimTo(CUmemoryPool handle, size_t keep) {
  (void)keep;  // nothing is kept beyond what is in use
  return find_pool(handle) == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult tsr_cuMemPoolSetAttribute(CUmemoryPool handle,
                                   CUmemPool_attribute name, void *value) {
  CUmemoryPool pool = find_pool(handle);
  if (pool == NULL || value == NULL) return CUDA_ERROR_INVALID_VALUE;
  switch (name) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      pool->reuse[name - 1] = *(const int *)value;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      pool->threshold = *(const uint64_t *)value;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      if (*(const uint64_t *)value != 0) return CUDA_ERROR_INVALID_VALUE;
      pool->high = pool->used;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult tsr_cuMemPoolGetAttribute(CUmemoryPool handle,
                                   CUmemPool_attribute name, void *out) {
  CUmemoryPool pool = find_pool(handle);
  if (pool == NULL || out == NULL) return CUDA_ERROR_INVALID_VALUE;
  switch (name) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      *(int *)out = pool->reuse[name - 1];
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      *(uint64_t *)out = pool->threshold;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      *(uint64_t *)out = pool->used;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      *(uint64_t *)out = pool->high;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult tsr_cuMemPoolSetAccess(CUmemoryPool handle,
                                const CUmemAccessDesc *accesses, size_t count) {
  CUmemoryPool pool = find_pool(handle);
  if (pool == NULL || (count > 0 && accesses == NULL)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < count; ++i) {
    if (accesses[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    bool own = accesses[i].location.id == pool->ordinal;
    bool all = accesses[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    if (own != all) return CUDA_ERROR_INVALID_DEVICE;  // no peers
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemPoolGetAccess(CUmemAccess_flags *out_flags,
                                CUmemoryPool handle, CUmemLocation *location) {
  CUmemoryPool pool = find_pool(handle);
  if (pool == NULL || out_flags == NULL || location == NULL ||
      location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out_flags = location->id == pool->ordinal
                   ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
                   : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  return CUDA_SUCCESS;
}

// --- In the order of a stream -----------------------------------------------

static CUresult allocate(CUdeviceptr *out_address, size_t size,
                         CUmemoryPool pool, CUstream stream) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (stream->capture != NULL) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (pool->limit != 0 &&
      (size > pool->limit || pool->used > pool->limit - size)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUcontext context = stream->context;
  if (pool->ordinal != context->ordinal) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_memory_allocate(context, size, pool, out_address);
  // What is to be freed may make room.
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    result = tsr_run_context(context);
    if (result != CUDA_SUCCESS) return result;
    result = tsr_memory_allocate(context, size, pool, out_address);
  }
  if (result != CUDA_SUCCESS) return result;
  pool->used += size;
  if (pool->used > pool->high) pool->high = pool->used;
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemAllocAsync(CUdeviceptr *out_address, size_t size,
                             CUstream handle) {
  if (out_address == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  CUmemoryPool pool = NULL;
  result = current_pool(stream->context->device, &pool);
  if (result != CUDA_SUCCESS) return result;
  return allocate(out_address, size, pool, stream);
}

CUresult tsr_cuMemAllocFromPoolAsync(CUdeviceptr *out_address, size_t size,
                                     CUmemoryPool handle, CUstream stream) {
  CUmemoryPool pool = find_pool(handle);
  if (out_address == NULL || pool == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream in;
  CUresult result = tsr_stream_get(stream, &in);
  if (result != CUDA_SUCCESS) return result;
  return allocate(out_address, size, pool, in);
}

CUresult tsr_cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  tsr_memory *memory = tsr_memory_find(address);
  if (memory == NULL || memory->address != address || memory->freeing ||
      (memory->kind != TSR_MEMORY_POOL && memory->kind != TSR_MEMORY_DEVICE)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (stream->capture != NULL) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  tsr_work *work = tsr_work_create(TSR_WORK_FREE, stream->context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  work->as.address = address;
  result = tsr_stream_enqueue(stream, work, NULL);
  memory = tsr_memory_find(address);  // an eager stream has freed it already
  if (result == CUDA_SUCCESS && memory != NULL && memory->address == address) {
    memory->freeing = true;
  }
  return result;
}
