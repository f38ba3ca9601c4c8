// SPDX-License-Identifier: Apache-2.0
// Device memory, pinned and managed host memory, pools, and what a pointer
// points to. Device addresses are host addresses (memory/heap.h); pinned and
// managed memory comes from the host and is made known to every device.
#include "base/memory.h"

#include <unistd.h>

#include "driver/driver.h"

// --- Records ----------------------------------------------------------------

// The number of records that start at or below |address|.
static uint32_t upper_bound(uint64_t address) {
  uint32_t low = 0, high = tsr_the.memory_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (tsr_the.memories[middle].address <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

tsr_memory *tsr_memory_find(uint64_t address) {
  uint32_t index = upper_bound(address);
  if (index == 0) return NULL;
  tsr_memory *memory = &tsr_the.memories[index - 1];
  return address - memory->address < memory->size ? memory : NULL;
}

static bool reserve_record(void) {
  if (tsr_the.memory_count < tsr_the.memory_capacity) return true;
  uint32_t capacity = tsr_the.memory_capacity * 2 + 64;
  tsr_memory *grown =
      tsr_realloc(tsr_the.memories, capacity * sizeof(*tsr_the.memories));
  if (grown == NULL) return false;
  tsr_the.memories = grown;
  tsr_the.memory_capacity = capacity;
  return true;
}

// reserve_record came before.
static void add_record(tsr_memory record) {
  uint32_t index = upper_bound(record.address);
  memmove(tsr_the.memories + index + 1, tsr_the.memories + index,
          (tsr_the.memory_count - index) * sizeof(record));
  record.id = ++tsr_the.next_id;
  tsr_the.memories[index] = record;
  ++tsr_the.memory_count;
}

static void remove_record(tsr_memory *memory) {
  uint32_t index = (uint32_t)(memory - tsr_the.memories);
  memmove(memory, memory + 1,
          (tsr_the.memory_count - index - 1) * sizeof(*memory));
  --tsr_the.memory_count;
}

static bool is_on_host(tsr_memory_kind kind) {
  return kind == TSR_MEMORY_HOST || kind == TSR_MEMORY_REGISTERED ||
         kind == TSR_MEMORY_MANAGED;
}

CUresult tsr_memory_free(uint64_t address) {
  tsr_memory *memory = tsr_memory_find(address);
  if (memory == NULL || memory->address != address) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (is_on_host(memory->kind)) {
    for (uint32_t i = 0; i < tsr_the.device_count; ++i) {
      tsr_heap *heap = tsr_the.devices[i].heap;
      if (heap != NULL) (void)tsr_heap_free(heap, address);
    }
    if (memory->kind != TSR_MEMORY_REGISTERED) {
      tsr_free((void *)(uintptr_t)address);
    }
  } else {
    (void)tsr_heap_free(memory->context->device->heap, address);
    if (memory->pool != NULL) memory->pool->used -= memory->size;
  }
  remove_record(memory);
  return CUDA_SUCCESS;
}

void tsr_memory_free_all(CUcontext context) {
  for (uint32_t i = tsr_the.memory_count; i-- > 0;) {
    tsr_memory *memory = &tsr_the.memories[i];
    if (context == NULL || memory->context == context) {
      (void)tsr_memory_free(memory->address);
    }
  }
}

bool tsr_memory_register_all(tsr_heap *heap) {
  tsr_error error = {0};
  for (uint32_t i = 0; i < tsr_the.memory_count; ++i) {
    const tsr_memory *memory = &tsr_the.memories[i];
    if (!is_on_host(memory->kind)) continue;
    if (tsr_heap_register(heap, (void *)(uintptr_t)memory->address,
                          memory->size, &error) != TSR_OK) {
      return false;
    }
  }
  return true;
}

// Whether a heap knows |address|: an allocation or a module's variable.
static bool find_in_heaps(uint64_t address, tsr_allocation *out) {
  for (uint32_t i = 0; i < tsr_the.device_count; ++i) {
    tsr_heap *heap = tsr_the.devices[i].heap;
    if (heap != NULL && tsr_heap_find(heap, address, out)) return true;
  }
  return false;
}

bool tsr_memory_place(uint64_t address, uint64_t size,
                      tsr_place_kind *out_kind) {
  tsr_allocation in;
  if (find_in_heaps(address, &in)) {
    const tsr_memory *memory = tsr_memory_find(address);
    *out_kind = memory != NULL && is_on_host(memory->kind) ? TSR_PLACE_HOST
                                                           : TSR_PLACE_DEVICE;
    return size <= in.size - (address - in.address);
  }
  *out_kind = TSR_PLACE_PAGEABLE;
  return address != 0 && address + size >= address;
}

void tsr_memory_wrote(uint64_t address, uint64_t size) {
  for (uint32_t i = 0; i < tsr_the.device_count; ++i) {
    tsr_heap *heap = tsr_the.devices[i].heap;
    if (heap != NULL) tsr_heap_mark_written(heap, address, size);
  }
}

// --- Device memory ----------------------------------------------------------

CUresult tsr_memory_allocate(CUcontext context, size_t size, CUmemoryPool pool,
                             CUdeviceptr *out_address) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (!reserve_record()) return CUDA_ERROR_OUT_OF_MEMORY;
  tsr_error error = {0};
  uint64_t address = 0;
  tsr_status status = tsr_heap_allocate(context->device->heap, size,
                                        TSR_HEAP_DATA, &address, &error);
  if (status != TSR_OK) return tsr_result_of(status);
  add_record(
      (tsr_memory){.address = address,
                   .size = size,
                   .kind = pool == NULL ? TSR_MEMORY_DEVICE : TSR_MEMORY_POOL,
                   .context = context,
                   .pool = pool});
  *out_address = address;
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemGetInfo_v2(size_t *out_free, size_t *out_total) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  tsr_heap *heap = context->device->heap;
  size_t size = tsr_heap_size(heap), used = tsr_heap_used(heap);
  if (out_free != NULL) *out_free = used > size ? 0 : size - used;
  if (out_total != NULL) *out_total = size;
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemAlloc_v2(CUdeviceptr *out_address, size_t size) {
  if (out_address == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid();
  if (result != CUDA_SUCCESS) return result;
  return tsr_memory_allocate(context, size, NULL, out_address);
}

CUresult tsr_cuMemAllocPitch_v2(CUdeviceptr *out_address, size_t *out_pitch,
                                size_t width, size_t height,
                                unsigned element_size) {
  if (out_address == NULL || out_pitch == NULL || width == 0 || height == 0 ||
      width > (size_t)INT32_MAX ||
      (element_size != 4 && element_size != 8 && element_size != 16)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  size_t pitch = (width + 511) / 512 * 512;
  if (height > SIZE_MAX / pitch) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_cuMemAlloc_v2(out_address, pitch * height);
  if (result == CUDA_SUCCESS) *out_pitch = pitch;
  return result;
}

// Waits for work in progress, as the driver does; not for pools' memory.
CUresult tsr_cuMemFree_v2(CUdeviceptr address) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS || address == 0) return result;
  tsr_memory *memory = tsr_memory_find(address);
  if (memory == NULL || memory->address != address || memory->freeing ||
      memory->kind == TSR_MEMORY_HOST ||
      memory->kind == TSR_MEMORY_REGISTERED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (memory->kind != TSR_MEMORY_POOL) {
    result = tsr_capture_forbid();
    if (result == CUDA_SUCCESS) result = tsr_run_context(memory->context);
    if (result != CUDA_SUCCESS) return result;
  }
  return tsr_memory_free(address);
}

CUresult tsr_cuMemGetAddressRange_v2(CUdeviceptr *out_base, size_t *out_size,
                                     CUdeviceptr address) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  tsr_allocation in;
  if (!find_in_heaps(address, &in)) return CUDA_ERROR_NOT_FOUND;
  if (out_base != NULL) *out_base = in.address;
  if (out_size != NULL) *out_size = in.size;
  return CUDA_SUCCESS;
}

// --- Host memory ------------------------------------------------------------

static CUresult register_range(tsr_memory record) {
  tsr_error error = {0};
  for (uint32_t i = 0; i < tsr_the.device_count; ++i) {
    tsr_heap *heap = tsr_the.devices[i].heap;
    if (heap == NULL) continue;
    tsr_status status = tsr_heap_register(
        heap, (void *)(uintptr_t)record.address, record.size, &error);
    if (status == TSR_OK) continue;
    while (i-- > 0) {
      heap = tsr_the.devices[i].heap;
      if (heap != NULL) (void)tsr_heap_free(heap, record.address);
    }
    return tsr_result_of(status);
  }
  add_record(record);
  return CUDA_SUCCESS;
}

// What the machine has: more would be given, and fail when it is touched.
static bool exceeds_machine(size_t size) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 && size / (size_t)page >= (size_t)pages;
}

static CUresult allocate_host(size_t size, tsr_memory_kind kind, uint32_t flags,
                              uint64_t *out_address) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid();
  if (result != CUDA_SUCCESS) return result;
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (exceeds_machine(size) || !reserve_record()) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  void *host = tsr_aligned_alloc(4096, size);
  if (host == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  memset(host, 0, size);
  result = register_range((tsr_memory){.address = (uint64_t)(uintptr_t)host,
                                       .size = size,
                                       .kind = kind,
                                       .flags = flags,
                                       .context = context});
  if (result != CUDA_SUCCESS) {
    tsr_free(host);
    return result;
  }
  *out_address = (uint64_t)(uintptr_t)host;
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemHostAlloc(void **out_host, size_t size, unsigned flags) {
  if (out_host == NULL || flags > 7) return CUDA_ERROR_INVALID_VALUE;
  uint64_t address = 0;
  CUresult result = allocate_host(size, TSR_MEMORY_HOST, flags, &address);
  if (result == CUDA_SUCCESS) *out_host = (void *)(uintptr_t)address;
  return result;
}

CUresult tsr_cuMemAllocHost_v2(void **out_host, size_t size) {
  return tsr_cuMemHostAlloc(out_host, size, 0);
}

CUresult tsr_cuMemAllocManaged(CUdeviceptr *out_address, size_t size,
                               unsigned flags) {
  if (out_address == NULL ||
      (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  uint64_t address = 0;
  CUresult result = allocate_host(size, TSR_MEMORY_MANAGED, flags, &address);
  if (result == CUDA_SUCCESS) *out_address = address;
  return result;
}

CUresult tsr_cuMemFreeHost(void *host) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS || host == NULL) return result;
  tsr_memory *memory = tsr_memory_find((uint64_t)(uintptr_t)host);
  if (memory == NULL || memory->kind != TSR_MEMORY_HOST ||
      memory->address != (uint64_t)(uintptr_t)host) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  result = tsr_capture_forbid();
  if (result == CUDA_SUCCESS) result = tsr_run_context(memory->context);
  if (result != CUDA_SUCCESS) return result;
  return tsr_memory_free((uint64_t)(uintptr_t)host);
}

CUresult tsr_cuMemHostRegister_v2(void *host, size_t size, unsigned flags) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  uint64_t address = (uint64_t)(uintptr_t)host;
  if (host == NULL || size == 0 || address + size < address || flags > 15) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if ((flags & CU_MEMHOSTREGISTER_IOMEMORY) != 0) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  uint32_t index = upper_bound(address + size - 1);
  if (index > 0) {
    const tsr_memory *below = &tsr_the.memories[index - 1];
    if (below->address + below->size > address) {
      return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    }
  }
  if (!reserve_record()) return CUDA_ERROR_OUT_OF_MEMORY;
  return register_range((tsr_memory){.address = address,
                                     .size = size,
                                     .kind = TSR_MEMORY_REGISTERED,
                                     .flags = flags,
                                     .context = context});
}

CUresult tsr_cuMemHostUnregister(void *host) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  tsr_memory *memory = tsr_memory_find((uint64_t)(uintptr_t)host);
  if (memory == NULL || memory->kind != TSR_MEMORY_REGISTERED ||
      memory->address != (uint64_t)(uintptr_t)host) {
    return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  }
  result = tsr_run_context(memory->context);
  if (result != CUDA_SUCCESS) return result;
  return tsr_memory_free((uint64_t)(uintptr_t)host);
}

static tsr_memory *find_host(const void *host) {
  tsr_memory *memory = tsr_memory_find((uint64_t)(uintptr_t)host);
  return memory != NULL && is_on_host(memory->kind) ? memory : NULL;
}

CUresult tsr_cuMemHostGetDevicePointer_v2(CUdeviceptr *out_address, void *host,
                                          unsigned flags) {
  if (out_address == NULL || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  if (find_host(host) == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_address = (CUdeviceptr)(uintptr_t)host;
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemHostGetFlags(unsigned *out_flags, void *host) {
  if (out_flags == NULL) return CUDA_ERROR_INVALID_VALUE;
  const tsr_memory *memory = find_host(host);
  if (memory == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_flags = memory->flags;
  return CUDA_SUCCESS;
}

// Managed memory is where both sides see it anyway.
static CUresult check_managed(CUdeviceptr address, size_t size) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  const tsr_memory *memory = tsr_memory_find(address);
  if (memory == NULL || memory->kind != TSR_MEMORY_MANAGED ||
      size > memory->size - (address - memory->address)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuMemPrefetchAsync(CUdeviceptr address, size_t size,
                                CUdevice device, CUstream handle) {
  (void)device;
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  return result != CUDA_SUCCESS ? result : check_managed(address, size);
}

CUresult tsr_cuMemPrefetchAsync_v2(CUdeviceptr address, size_t size,
                                   CUmemLocation location, unsigned flags,
                                   CUstream handle) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return tsr_cuMemPrefetchAsync(address, size, location.id, handle);
}

CUresult tsr_cuMemAdvise(CUdeviceptr address, size_t size, CUmem_advise advice,
                         CUdevice device) {
  (void)device;
  if (advice == 0 || advice > 6) return CUDA_ERROR_INVALID_VALUE;
  return check_managed(address, size);
}

CUresult tsr_cuMemAdvise_v2(CUdeviceptr address, size_t size,
                            CUmem_advise advice, CUmemLocation location) {
  return tsr_cuMemAdvise(address, size, advice, location.id);
}

CUresult tsr_cuStreamAttachMemAsync(CUstream handle, CUdeviceptr address,
                                    size_t size, unsigned flags) {
  if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
      flags != CU_MEM_ATTACH_SINGLE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  return result != CUDA_SUCCESS ? result : check_managed(address, size);
}

// --- What a pointer is ------------------------------------------------------

// Pointers to what the attribute's type is written through |out|.
static CUresult put_attribute(void *out, CUpointer_attribute name,
                              uint64_t address, const tsr_allocation *in,
                              const tsr_memory *memory) {
  bool host = memory != NULL && is_on_host(memory->kind);
  bool managed = memory != NULL && memory->kind == TSR_MEMORY_MANAGED;
  CUcontext context = memory == NULL ? NULL : memory->context;
  switch (name) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      *(CUcontext *)out = context;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *(CUmemorytype *)out =
          host && !managed ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      *(CUdeviceptr *)out = address;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (!host) return CUDA_ERROR_INVALID_VALUE;
      *(void **)out = (void *)(uintptr_t)address;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
      *(int *)out = 0;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      *(int *)out = managed;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
      *(unsigned long long *)out = memory == NULL ? in->serial : memory->id;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *(int *)out = context == NULL ? 0 : context->ordinal;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
      *(CUdeviceptr *)out = in->address;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
      *(size_t *)out = in->size;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPED:
      *(int *)out = 1;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
      *(unsigned long long *)out = 0;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      *(CUmemAccess_flags *)out = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      *(CUmemoryPool *)out = memory == NULL ? NULL : memory->pool;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CUresult tsr_cuPointerGetAttribute(void *out, CUpointer_attribute name,
                                   CUdeviceptr address) {
  if (out == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_allocation in;
  if (!find_in_heaps(address, &in)) return CUDA_ERROR_INVALID_VALUE;
  return put_attribute(out, name, address, &in, tsr_memory_find(address));
}

// A pointer that is nobody's gives zeros, not an error.
CUresult tsr_cuPointerGetAttributes(unsigned count, CUpointer_attribute *names,
                                    void **outs, CUdeviceptr address) {
  if (count == 0 || names == NULL || outs == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  tsr_allocation in = {0};
  bool found = find_in_heaps(address, &in);
  const tsr_memory *memory = found ? tsr_memory_find(address) : NULL;
  for (unsigned i = 0; i < count; ++i) {
    if (outs[i] == NULL) return CUDA_ERROR_INVALID_VALUE;
    CUresult result =
        put_attribute(outs[i], names[i], found ? address : 0, &in, memory);
    if (result == CUDA_ERROR_INVALID_VALUE) {
      *(void **)outs[i] = NULL;  // HOST_POINTER of device memory
    } else if (result != CUDA_SUCCESS) {
      return result;
    }
    if (found) continue;
    if (names[i] == CU_POINTER_ATTRIBUTE_MEMORY_TYPE) *(int *)outs[i] = 0;
    if (names[i] == CU_POINTER_ATTRIBUTE_MAPPED) *(int *)outs[i] = 0;
    if (names[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) *(int *)outs[i] = -2;
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuPointerSetAttribute(const void *value, CUpointer_attribute name,
                                   CUdeviceptr address) {
  tsr_allocation in;
  if (value == NULL || name != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS ||
      !find_in_heaps(address, &in)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
