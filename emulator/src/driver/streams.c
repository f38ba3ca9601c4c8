// SPDX-License-Identifier: Apache-2.0
// Streams and events. The legacy default stream waits for all work of blocking
// streams that was enqueued before, and they wait for its; a per-thread default
// stream is a blocking stream that each thread has its own of (CUDA Driver API,
// "Stream synchronization behavior").
#include "base/memory.h"
#include "driver/driver.h"

// A device's queue is finite: with so much in it, a stream begins to run.
enum { PENDING_MAX = 1024, QUERIES = 3 };

// --- Making and finding -----------------------------------------------------

CUresult tsr_stream_create(CUcontext context, uint32_t flags, int priority,
                           CUstream *out_stream) {
  CUstream stream = tsr_calloc(1, sizeof(*stream));
  if (stream == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  stream->context = context;
  stream->flags = flags;
  stream->priority = priority;
  stream->id = ++tsr_the.next_id;
  stream->next = context->streams;
  context->streams = stream;
  tsr_object_add(&stream->object, TSR_OBJECT_STREAM, context);
  *out_stream = stream;
  return CUDA_SUCCESS;
}

void tsr_stream_free(CUstream stream) {
  tsr_capture_drop(stream);
  tsr_object_remove(&stream->object);
  CUstream *link = &stream->context->streams;
  while (*link != stream) link = &(*link)->next;
  *link = stream->next;
  while (stream->head != NULL) {  // of a context that goes away
    tsr_operation *head = stream->head;
    stream->head = head->next;
    tsr_operation_finish(head);
  }
  tsr_free(stream->nodes);
  tsr_free(stream);
}

void tsr_stream_disown(const tsr_thread *thread) {
  for (CUcontext at = tsr_the.contexts; at != NULL; at = at->next) {
    for (CUstream in = at->streams; in != NULL; in = in->next) {
      if (in->owner == thread) in->owner = NULL;
      if (in->capturer == thread) in->capturer = NULL;
    }
  }
}

static CUresult per_thread_stream(CUcontext context, CUstream *out_stream) {
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  for (CUstream at = context->streams; at != NULL; at = at->next) {
    if (at->owner != thread) continue;
    *out_stream = at;
    return CUDA_SUCCESS;
  }
  CUresult result = tsr_stream_create(context, 0, 0, out_stream);
  if (result != CUDA_SUCCESS) return result;
  tsr_object_remove(&(*out_stream)->object);  // has no handle of its own
  (*out_stream)->owner = thread;
  return CUDA_SUCCESS;
}

CUresult tsr_stream_get(CUstream handle, CUstream *out_stream) {
  if (handle == NULL || handle == CU_STREAM_LEGACY ||
      handle == CU_STREAM_PER_THREAD) {
    CUcontext context;
    CUresult result = tsr_ctx_current(&context);
    if (result != CUDA_SUCCESS) return result;
    const tsr_thread *thread = tsr_thread_get();
    if (handle == CU_STREAM_PER_THREAD ||
        (handle == NULL && thread != NULL && thread->per_thread)) {
      return per_thread_stream(context, out_stream);
    }
    *out_stream = context->legacy;
    return CUDA_SUCCESS;
  }
  *out_stream = tsr_object_get(handle, TSR_OBJECT_STREAM);
  if (*out_stream == NULL) return CUDA_ERROR_INVALID_HANDLE;
  return (*out_stream)->context->fault;
}

CUresult tsr_cuStreamCreateWithPriority(CUstream *out_stream, unsigned flags,
                                        int priority) {
  if (out_stream == NULL || flags > CU_STREAM_NON_BLOCKING) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  if (priority > TSR_PRIORITY_LEAST) priority = TSR_PRIORITY_LEAST;
  if (priority < TSR_PRIORITY_GREATEST) priority = TSR_PRIORITY_GREATEST;
  return tsr_stream_create(context, flags, priority, out_stream);
}

CUresult tsr_cuStreamCreate(CUstream *out_stream, unsigned flags) {
  return tsr_cuStreamCreateWithPriority(out_stream, flags, 0);
}

// Work that is left is done all the same.
CUresult tsr_cuStreamDestroy_v2(CUstream handle) {
  CUstream stream = tsr_object_get(handle, TSR_OBJECT_STREAM);
  if (stream == NULL) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->head == NULL) {
    tsr_stream_free(stream);
    return CUDA_SUCCESS;
  }
  tsr_capture_drop(stream);
  tsr_object_remove(&stream->object);
  stream->zombie = true;
  return CUDA_SUCCESS;
}

CUresult tsr_cuStreamDestroy(CUstream handle) {
  return tsr_cuStreamDestroy_v2(handle);
}

// --- Enqueueing -------------------------------------------------------------

static bool is_blocking(CUstream stream) {
  return (stream->flags & CU_STREAM_NON_BLOCKING) == 0;
}

static void depend(tsr_operation *operation, tsr_operation *before) {
  ++before->references;
  operation->after[operation->after_count++] = before;
}

// What the default stream's rules make |operation| wait for, and its event.
static bool add_dependencies(CUstream stream, tsr_operation *operation) {
  CUcontext context = stream->context;
  bool legacy = stream == context->legacy;
  uint32_t count = 2;
  for (CUstream at = context->streams; legacy && at != NULL; at = at->next) {
    ++count;
  }
  if (operation->work->kind == TSR_WORK_GRAPH) {
    count += operation->work->as.graph.count;
  }
  operation->after = tsr_calloc(count, sizeof(tsr_operation *));
  if (operation->after == NULL) return false;
  if (legacy) {
    for (CUstream at = context->streams; at != NULL; at = at->next) {
      if (at != stream && is_blocking(at) && at->tail != NULL) {
        depend(operation, at->tail);
      }
    }
  } else if (is_blocking(stream) && context->legacy->tail != NULL) {
    depend(operation, context->legacy->tail);
  }
  const tsr_work *work = operation->work;
  if (work->kind == TSR_WORK_WAIT && work->as.event->operation != NULL) {
    depend(operation, work->as.event->operation);
  }
  for (uint32_t i = 0; work->kind == TSR_WORK_GRAPH && i < work->as.graph.count;
       ++i) {
    const tsr_work *part = work->as.graph.works[i];
    if (part->kind == TSR_WORK_WAIT && part->as.event->operation != NULL) {
      depend(operation, part->as.event->operation);
    }
  }
  return true;
}

static void record(CUevent event, tsr_operation *operation) {
  ++operation->references;
  tsr_operation_release(event->operation);
  event->operation = operation;
  event->queries = 0;
  event->capture = NULL;
}

// Events that |operation| records now stand for it.
static void note_records(tsr_operation *operation) {
  const tsr_work *work = operation->work;
  if (work->kind == TSR_WORK_RECORD) record(work->as.event, operation);
  for (uint32_t i = 0; work->kind == TSR_WORK_GRAPH && i < work->as.graph.count;
       ++i) {
    const tsr_work *part = work->as.graph.works[i];
    if (part->kind == TSR_WORK_RECORD) record(part->as.event, operation);
  }
}

static CUresult append(CUstream stream, tsr_operation *operation) {
  operation->stream = stream;
  operation->submitted = tsr_the.host_time;
  tsr_the.host_time += 1e-6;  // what a call costs
  if (!add_dependencies(stream, operation)) return CUDA_ERROR_OUT_OF_MEMORY;
  ++operation->references;
  if (stream->tail != NULL) {
    stream->tail->next = operation;
  } else {
    stream->head = operation;
  }
  stream->tail = operation;
  ++stream->pending;
  stream->queries = 0;
  note_records(operation);
  return CUDA_SUCCESS;
}

CUresult tsr_stream_enqueue(CUstream stream, tsr_work *work,
                            tsr_operation **out_operation) {
  if (out_operation != NULL) *out_operation = NULL;
  if (stream->capture != NULL) return tsr_capture_add(stream, work);
  CUresult result = stream == stream->context->legacy
                        ? tsr_capture_forbid_legacy(stream->context)
                        : CUDA_SUCCESS;
  tsr_operation *operation =
      result == CUDA_SUCCESS ? tsr_calloc(1, sizeof(*operation)) : NULL;
  if (operation == NULL) {
    tsr_work_release(work);
    return result == CUDA_SUCCESS ? CUDA_ERROR_OUT_OF_MEMORY : result;
  }
  operation->references = 1;
  operation->work = work;
  result = append(stream, operation);
  if (result == CUDA_SUCCESS && out_operation != NULL) {
    *out_operation = operation;
    ++operation->references;
  }
  tsr_operation_release(operation);
  if (result != CUDA_SUCCESS) return result;
  if (tsr_the.config.lazy_streams == 0) {
    tsr_run_ready(stream, 0);
  } else if (stream->pending > PENDING_MAX) {
    tsr_run_ready(stream, PENDING_MAX / 2);
  }
  return CUDA_SUCCESS;
}

static CUresult enqueue_host(CUstream handle, tsr_work_kind kind,
                             CUhostFn function, CUstreamCallback callback,
                             void *data) {
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  tsr_work *work = tsr_work_create(kind, stream->context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  work->as.host.function = function;
  work->as.host.callback = callback;
  work->as.host.data = data;
  return tsr_stream_enqueue(stream, work, NULL);
}

CUresult tsr_cuLaunchHostFunc(CUstream handle, CUhostFn function, void *data) {
  if (function == NULL) return CUDA_ERROR_INVALID_VALUE;
  return enqueue_host(handle, TSR_WORK_HOST, function, NULL, data);
}

CUresult tsr_cuStreamAddCallback(CUstream handle, CUstreamCallback callback,
                                 void *data, unsigned flags) {
  if (callback == NULL || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid_stream(stream);
  if (result != CUDA_SUCCESS) return result;
  return enqueue_host(handle, TSR_WORK_CALLBACK, NULL, callback, data);
}

static CUresult enqueue_value(CUstream handle, tsr_work_kind kind,
                              CUdeviceptr address, uint64_t value,
                              uint32_t size, unsigned flags) {
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  tsr_place_kind place;
  if (address % size != 0 || !tsr_memory_place(address, size, &place) ||
      place == TSR_PLACE_PAGEABLE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (stream->capture != NULL) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  tsr_work *work = tsr_work_create(kind, stream->context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  work->as.value.address = address;
  work->as.value.value = value;
  work->as.value.size = size;
  work->as.value.flags = flags;
  return tsr_stream_enqueue(stream, work, NULL);
}

#define VALUE(name, type, size)                                               \
  CUresult tsr_cuStreamWriteValue##name(CUstream stream, CUdeviceptr address, \
                                        type value, unsigned flags) {         \
    if (flags > CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER) {                    \
      return CUDA_ERROR_INVALID_VALUE;                                        \
    }                                                                         \
    return enqueue_value(stream, TSR_WORK_WRITE_VALUE, address, value, size,  \
                         flags);                                              \
  }                                                                           \
  CUresult tsr_cuStreamWaitValue##name(CUstream stream, CUdeviceptr address,  \
                                       type value, unsigned flags) {          \
    if ((flags & ~(unsigned)CU_STREAM_WAIT_VALUE_FLUSH) > 3) {                \
      return CUDA_ERROR_INVALID_VALUE;                                        \
    }                                                                         \
    return enqueue_value(stream, TSR_WORK_WAIT_VALUE, address, value, size,   \
                         flags);                                              \
  }
VALUE(32, uint32_t, 4)
VALUE(32_v2, uint32_t, 4)
VALUE(64, uint64_t, 8)
VALUE(64_v2, uint64_t, 8)

// --- Waiting ----------------------------------------------------------------

CUresult tsr_cuStreamSynchronize(CUstream handle) {
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid_stream(stream);
  if (result != CUDA_SUCCESS) return result;
  if (stream != stream->context->legacy) return tsr_run_stream(stream);
  // The legacy stream stands for all blocking ones.
  tsr_work *work = tsr_work_create(TSR_WORK_NOTHING, stream->context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  result = tsr_stream_enqueue(stream, work, NULL);
  return result == CUDA_SUCCESS ? tsr_run_stream(stream) : result;
}

// A query that is made again and again is a way to wait.
CUresult tsr_cuStreamQuery(CUstream handle) {
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid_stream(stream);
  if (result != CUDA_SUCCESS) return result;
  if (stream->tail == NULL) return stream->context->fault;
  if (++stream->queries < QUERIES) return CUDA_ERROR_NOT_READY;
  stream->queries = 0;
  tsr_run_ready(stream, 0);
  if (stream->context->fault != CUDA_SUCCESS) return stream->context->fault;
  return stream->tail == NULL ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

// --- Properties -------------------------------------------------------------

CUresult tsr_cuStreamGetPriority(CUstream handle, int *out_priority) {
  CUstream stream;
  if (out_priority == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) *out_priority = stream->priority;
  return result;
}

CUresult tsr_cuStreamGetFlags(CUstream handle, unsigned *out_flags) {
  CUstream stream;
  if (out_flags == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) *out_flags = stream->flags;
  return result;
}

CUresult tsr_cuStreamGetId(CUstream handle, unsigned long long *out_id) {
  CUstream stream;
  if (out_id == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) *out_id = stream->id;
  return result;
}

CUresult tsr_cuStreamGetDevice(CUstream handle, CUdevice *out_device) {
  CUstream stream;
  if (out_device == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) *out_device = stream->context->ordinal;
  return result;
}

CUresult tsr_cuStreamGetCtx(CUstream handle, CUcontext *out_context) {
  CUstream stream;
  if (out_context == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result == CUDA_SUCCESS) *out_context = stream->context;
  return result;
}

// Of the attributes only the priority has a meaning; the rest is of speed.
static bool is_stream_attribute(CUstreamAttrID name) {
  return name == CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW ||
         name == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY ||
         name == CU_LAUNCH_ATTRIBUTE_PRIORITY ||
         name == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP ||
         name == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN;
}

CUresult tsr_cuStreamGetAttribute(CUstream handle, CUstreamAttrID name,
                                  CUstreamAttrValue *out_value) {
  CUstream stream;
  if (out_value == NULL || !is_stream_attribute(name)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  memset(out_value, 0, sizeof(*out_value));
  if (name == CU_LAUNCH_ATTRIBUTE_PRIORITY) {
    out_value->priority = stream->priority;
  } else if (name == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY) {
    out_value->syncPolicy = 1;
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuStreamSetAttribute(CUstream handle, CUstreamAttrID name,
                                  const CUstreamAttrValue *value) {
  CUstream stream;
  if (value == NULL || !is_stream_attribute(name)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  if (name == CU_LAUNCH_ATTRIBUTE_PRIORITY) stream->priority = value->priority;
  return CUDA_SUCCESS;
}

CUresult tsr_cuStreamCopyAttributes(CUstream to, CUstream from) {
  CUstream target, source;
  CUresult result = tsr_stream_get(to, &target);
  if (result == CUDA_SUCCESS) result = tsr_stream_get(from, &source);
  if (result == CUDA_SUCCESS) target->priority = source->priority;
  return result;
}
