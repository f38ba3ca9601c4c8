// SPDX-License-Identifier: Apache-2.0
// Copies and fills. All copies are boxes of three dimensions; a plain one has
// one row. Pageable memory behaves as the driver's rules say: its contents are
// taken when an asynchronous copy is enqueued, and a copy into it is waited
// for. Pinned memory is read and written when the stream comes to it.
#include "base/memory.h"
#include "driver/driver.h"

// One side of a copy.
typedef struct side {
  size_t x, y, z, pitch, height;
  CUmemorytype type;
  uint64_t address;  // of the whole; then of the first byte
  tsr_place_kind place;
} side;

// Where the box starts and that it lies inside of what is there.
static CUresult place_side(side *at, const CUDA_MEMCPY3D *copy) {
  if (at->type != CU_MEMORYTYPE_HOST && at->type != CU_MEMORYTYPE_DEVICE &&
      at->type != CU_MEMORYTYPE_UNIFIED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  size_t row;
  if (__builtin_add_overflow(at->x, copy->WidthInBytes, &row)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (at->pitch == 0) at->pitch = row;
  if (at->height == 0) at->height = at->y + copy->Height;
  if ((at->pitch < row && (copy->Height > 1 || copy->Depth > 1)) ||
      (at->height < at->y + copy->Height && copy->Depth > 1)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  size_t slice, offset, part, extent;
  if (__builtin_mul_overflow(at->pitch, at->height, &slice) ||
      __builtin_mul_overflow(slice, at->z, &offset) ||
      __builtin_mul_overflow(at->pitch, at->y, &part) ||
      __builtin_add_overflow(offset, part, &offset) ||
      __builtin_add_overflow(offset, at->x, &offset) ||
      __builtin_mul_overflow(slice, copy->Depth - 1, &extent) ||
      __builtin_mul_overflow(at->pitch, copy->Height - 1, &part) ||
      __builtin_add_overflow(extent, part, &extent) ||
      __builtin_add_overflow(extent, copy->WidthInBytes, &extent) ||
      at->address == 0 ||
      __builtin_add_overflow(at->address, offset, &at->address)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!tsr_memory_place(at->address, extent, &at->place)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (at->type == CU_MEMORYTYPE_DEVICE && at->place == TSR_PLACE_PAGEABLE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

static uint64_t row_address(uint64_t start, uint64_t pitch, uint64_t slice,
                            uint64_t y, uint64_t z) {
  return start + z * slice + y * pitch;
}

// The source as it is now, packed.
static CUresult take_snapshot(tsr_copy *copy) {
  size_t rows, size;
  if (__builtin_mul_overflow(copy->height, copy->depth, &rows) ||
      __builtin_mul_overflow(rows, copy->width, &size)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  copy->snapshot = tsr_malloc(size);
  if (copy->snapshot == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  unsigned char *out = copy->snapshot;
  for (uint64_t z = 0; z < copy->depth; ++z) {
    for (uint64_t y = 0; y < copy->height; ++y, out += copy->width) {
      uint64_t row = row_address(copy->source, copy->source_pitch,
                                 copy->source_slice, y, z);
      memcpy(out, (const void *)(uintptr_t)row, copy->width);
    }
  }
  copy->source = (uint64_t)(uintptr_t)copy->snapshot;
  copy->source_pitch = copy->width;
  copy->source_slice = copy->width * copy->height;
  return CUDA_SUCCESS;
}

CUresult tsr_copy_make(CUcontext context, const CUDA_MEMCPY3D *copy,
                       bool snapshot, tsr_work **out_work, bool *out_wait) {
  *out_work = NULL;
  *out_wait = false;
  if (copy->srcLOD != 0 || copy->dstLOD != 0) return CUDA_ERROR_INVALID_VALUE;
  bool from_host = copy->srcMemoryType == CU_MEMORYTYPE_HOST;
  bool to_host = copy->dstMemoryType == CU_MEMORYTYPE_HOST;
  side from = {copy->srcXInBytes,
               copy->srcY,
               copy->srcZ,
               copy->srcPitch,
               copy->srcHeight,
               copy->srcMemoryType,
               from_host ? (uint64_t)(uintptr_t)copy->srcHost : copy->srcDevice,
               TSR_PLACE_PAGEABLE};
  side to = {copy->dstXInBytes,
             copy->dstY,
             copy->dstZ,
             copy->dstPitch,
             copy->dstHeight,
             copy->dstMemoryType,
             to_host ? (uint64_t)(uintptr_t)copy->dstHost : copy->dstDevice,
             TSR_PLACE_PAGEABLE};
  if (copy->WidthInBytes == 0 || copy->Height == 0 || copy->Depth == 0) {
    *out_work = tsr_work_create(TSR_WORK_NOTHING, context);
    return *out_work == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
  }
  CUresult result = place_side(&from, copy);
  if (result == CUDA_SUCCESS) result = place_side(&to, copy);
  if (result != CUDA_SUCCESS) return result;
  tsr_work *work = tsr_work_create(TSR_WORK_COPY, context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  work->as.copy = (tsr_copy){
      .source = from.address,
      .target = to.address,
      .source_pitch = from.pitch,
      .source_slice = from.pitch * from.height,
      .target_pitch = to.pitch,
      .target_slice = to.pitch * to.height,
      .width = copy->WidthInBytes,
      .height = copy->Height,
      .depth = copy->Depth,
      .source_checked = from.place != TSR_PLACE_PAGEABLE,
      .target_checked = to.place != TSR_PLACE_PAGEABLE,
  };
  if (from.place == TSR_PLACE_PAGEABLE && snapshot) {
    result = take_snapshot(&work->as.copy);
  }
  if (result != CUDA_SUCCESS) {
    tsr_work_release(work);
    return result;
  }
  // A plain copy is waited for when the host has a part in it; an asynchronous
  // one only when it writes to pageable memory.
  *out_wait =
      snapshot ? to.place == TSR_PLACE_PAGEABLE
               : from.place != TSR_PLACE_DEVICE || to.place != TSR_PLACE_DEVICE;
  *out_work = work;
  return CUDA_SUCCESS;
}

// --- Entry points of copies -------------------------------------------------

static CUresult enqueue_and_wait(CUstream stream, tsr_work *work, bool wait) {
  tsr_operation *operation = NULL;
  CUresult result = tsr_stream_enqueue(stream, work, wait ? &operation : NULL);
  if (result != CUDA_SUCCESS || operation == NULL) return result;
  result = tsr_run_operation(stream->context, operation);
  tsr_operation_release(operation);
  return result;
}

static CUresult copy_now(const CUDA_MEMCPY3D *copy) {
  CUstream stream;
  CUresult result = tsr_stream_get(NULL, &stream);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid();
  if (result != CUDA_SUCCESS) return result;
  tsr_work *work = NULL;
  bool wait = false;
  result = tsr_copy_make(stream->context, copy, false, &work, &wait);
  if (result != CUDA_SUCCESS) return result;
  return enqueue_and_wait(stream, work, wait);
}

static CUresult copy_async(const CUDA_MEMCPY3D *copy, CUstream handle) {
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  tsr_work *work = NULL;
  bool wait = false;
  // A graph reads its source when it is launched: no snapshot while capturing.
  result = tsr_copy_make(stream->context, copy, stream->capture == NULL, &work,
                         &wait);
  if (result != CUDA_SUCCESS) return result;
  return enqueue_and_wait(stream, work, wait && stream->capture == NULL);
}

static CUDA_MEMCPY3D plain(CUmemorytype to, CUdeviceptr target,
                           CUmemorytype from, CUdeviceptr source, size_t size) {
  return (CUDA_MEMCPY3D){.srcMemoryType = from,
                         .srcHost = (const void *)(uintptr_t)source,
                         .srcDevice = source,
                         .dstMemoryType = to,
                         .dstHost = (void *)(uintptr_t)target,
                         .dstDevice = target,
                         .WidthInBytes = size,
                         .Height = 1,
                         .Depth = 1};
}

CUresult tsr_cuMemcpy(CUdeviceptr target, CUdeviceptr source, size_t size) {
  CUDA_MEMCPY3D copy =
      plain(CU_MEMORYTYPE_UNIFIED, target, CU_MEMORYTYPE_UNIFIED, source, size);
  return copy_now(&copy);
}

CUresult tsr_cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, size_t size,
                           CUstream stream) {
  CUDA_MEMCPY3D copy =
      plain(CU_MEMORYTYPE_UNIFIED, target, CU_MEMORYTYPE_UNIFIED, source, size);
  return copy_async(&copy, stream);
}

CUresult tsr_cuMemcpyHtoD_v2(CUdeviceptr target, const void *source,
                             size_t size) {
  CUDA_MEMCPY3D copy = plain(CU_MEMORYTYPE_DEVICE, target, CU_MEMORYTYPE_HOST,
                             (CUdeviceptr)(uintptr_t)source, size);
  return copy_now(&copy);
}

CUresult tsr_cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void *source,
                                  size_t size, CUstream stream) {
  CUDA_MEMCPY3D copy = plain(CU_MEMORYTYPE_DEVICE, target, CU_MEMORYTYPE_HOST,
                             (CUdeviceptr)(uintptr_t)source, size);
  return copy_async(&copy, stream);
}

CUresult tsr_cuMemcpyDtoH_v2(void *target, CUdeviceptr source, size_t size) {
  CUDA_MEMCPY3D copy = plain(CU_MEMORYTYPE_HOST, (CUdeviceptr)(uintptr_t)target,
                             CU_MEMORYTYPE_DEVICE, source, size);
  return copy_now(&copy);
}

CUresult tsr_cuMemcpyDtoHAsync_v2(void *target, CUdeviceptr source, size_t size,
                                  CUstream stream) {
  CUDA_MEMCPY3D copy = plain(CU_MEMORYTYPE_HOST, (CUdeviceptr)(uintptr_t)target,
                             CU_MEMORYTYPE_DEVICE, source, size);
  return copy_async(&copy, stream);
}

CUresult tsr_cuMemcpyDtoD_v2(CUdeviceptr target, CUdeviceptr source,
                             size_t size) {
  CUDA_MEMCPY3D copy =
      plain(CU_MEMORYTYPE_DEVICE, target, CU_MEMORYTYPE_DEVICE, source, size);
  return copy_now(&copy);
}

CUresult tsr_cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source,
                                  size_t size, CUstream stream) {
  CUDA_MEMCPY3D copy =
      plain(CU_MEMORYTYPE_DEVICE, target, CU_MEMORYTYPE_DEVICE, source, size);
  return copy_async(&copy, stream);
}

static bool are_contexts(CUcontext a, CUcontext b) {
  return tsr_object_get(a, TSR_OBJECT_CONTEXT) != NULL &&
         tsr_object_get(b, TSR_OBJECT_CONTEXT) != NULL;
}

CUresult tsr_cuMemcpyPeer(CUdeviceptr target, CUcontext to, CUdeviceptr source,
                          CUcontext from, size_t size) {
  if (!are_contexts(to, from)) return CUDA_ERROR_INVALID_CONTEXT;
  return tsr_cuMemcpyDtoD_v2(target, source, size);
}

CUresult tsr_cuMemcpyPeerAsync(CUdeviceptr target, CUcontext to,
                               CUdeviceptr source, CUcontext from, size_t size,
                               CUstream stream) {
  if (!are_contexts(to, from)) return CUDA_ERROR_INVALID_CONTEXT;
  return tsr_cuMemcpyDtoDAsync_v2(target, source, size, stream);
}

static CUDA_MEMCPY3D from_2d(const CUDA_MEMCPY2D *copy) {
  return (CUDA_MEMCPY3D){.srcXInBytes = copy->srcXInBytes,
                         .srcY = copy->srcY,
                         .srcMemoryType = copy->srcMemoryType,
                         .srcHost = copy->srcHost,
                         .srcDevice = copy->srcDevice,
                         .srcPitch = copy->srcPitch,
                         .dstXInBytes = copy->dstXInBytes,
                         .dstY = copy->dstY,
                         .dstMemoryType = copy->dstMemoryType,
                         .dstHost = copy->dstHost,
                         .dstDevice = copy->dstDevice,
                         .dstPitch = copy->dstPitch,
                         .WidthInBytes = copy->WidthInBytes,
                         .Height = copy->Height,
                         .Depth = 1};
}

CUresult tsr_cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy) {
  if (copy == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D box = from_2d(copy);
  return copy_now(&box);
}

CUresult tsr_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy) {
  return tsr_cuMemcpy2D_v2(copy);
}

CUresult tsr_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream) {
  if (copy == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D box = from_2d(copy);
  return copy_async(&box, stream);
}

CUresult tsr_cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy) {
  return copy == NULL ? CUDA_ERROR_INVALID_VALUE : copy_now(copy);
}

CUresult tsr_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream) {
  return copy == NULL ? CUDA_ERROR_INVALID_VALUE : copy_async(copy, stream);
}

// The two structs differ in where the contexts stand instead of |reserved|.
static CUDA_MEMCPY3D from_peer(const CUDA_MEMCPY3D_PEER *copy) {
  CUDA_MEMCPY3D box;
  _Static_assert(sizeof(box) == sizeof(*copy), "the same layout");
  memcpy(&box, copy, sizeof(box));
  return box;
}

CUresult tsr_cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *copy) {
  if (copy == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D box = from_peer(copy);
  return copy_now(&box);
}

CUresult tsr_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *copy,
                                 CUstream stream) {
  if (copy == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D box = from_peer(copy);
  return copy_async(&box, stream);
}

// --- Fills ------------------------------------------------------------------

CUresult tsr_fill_make(CUcontext context, uint64_t target, uint64_t pitch,
                       uint32_t value, uint32_t element_size, uint64_t width,
                       uint64_t height, tsr_work **out_work) {
  uint64_t row, extent;
  if ((element_size != 1 && element_size != 2 && element_size != 4) ||
      __builtin_mul_overflow(width, element_size, &row)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  bool empty = width == 0 || height == 0;
  tsr_place_kind place = TSR_PLACE_DEVICE;
  if (!empty) {
    if (height > 1 && (pitch < row || pitch % element_size != 0)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (__builtin_mul_overflow(pitch, height - 1, &extent) ||
        __builtin_add_overflow(extent, row, &extent) ||
        target % element_size != 0 ||
        !tsr_memory_place(target, extent, &place) ||
        place == TSR_PLACE_PAGEABLE) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  tsr_work *work =
      tsr_work_create(empty ? TSR_WORK_NOTHING : TSR_WORK_FILL, context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  if (!empty) {
    work->as.fill.target = target;
    work->as.fill.pitch = pitch;
    work->as.fill.width = width;
    work->as.fill.height = height;
    work->as.fill.value = value;
    work->as.fill.element_size = element_size;
  }
  *out_work = work;
  return CUDA_SUCCESS;
}

// Asynchronous to the host in either form, but for pinned memory, which the
// plain form has filled when it returns.
static CUresult fill(uint64_t target, uint64_t pitch, uint32_t value,
                     uint32_t element_size, uint64_t width, uint64_t height,
                     CUstream handle, bool async) {
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS && !async) result = tsr_capture_forbid();
  if (result != CUDA_SUCCESS) return result;
  tsr_work *work = NULL;
  result = tsr_fill_make(stream->context, target, pitch, value, element_size,
                         width, height, &work);
  if (result != CUDA_SUCCESS) return result;
  tsr_place_kind place = TSR_PLACE_DEVICE;
  (void)tsr_memory_place(target, 1, &place);
  return enqueue_and_wait(stream, work, !async && place == TSR_PLACE_HOST);
}

#define FILL(name, two, type, size)                                          \
  CUresult tsr_cuMemset##name##_v2(CUdeviceptr target, type value,           \
                                   size_t count) {                           \
    return fill(target, 0, value, size, count, 1, NULL, false);              \
  }                                                                          \
  CUresult tsr_cuMemset##name##Async(CUdeviceptr target, type value,         \
                                     size_t count, CUstream stream) {        \
    return fill(target, 0, value, size, count, 1, stream, true);             \
  }                                                                          \
  CUresult tsr_cuMemset##two##_v2(CUdeviceptr target, size_t pitch,          \
                                  type value, size_t width, size_t height) { \
    return fill(target, pitch, value, size, width, height, NULL, false);     \
  }                                                                          \
  CUresult tsr_cuMemset##two##Async(CUdeviceptr target, size_t pitch,        \
                                    type value, size_t width, size_t height, \
                                    CUstream stream) {                       \
    return fill(target, pitch, value, size, width, height, stream, true);    \
  }
FILL(D8, D2D8, unsigned char, 1)
FILL(D16, D2D16, unsigned short, 2)
FILL(D32, D2D32, unsigned, 4)
