// SPDX-License-Identifier: Apache-2.0
// Events: a name for an operation of a stream. Times are virtual
// (docs/emulator.md, "Time"), so elapsed times are the same in every run.
#include "base/memory.h"
#include "driver/driver.h"

enum { QUERIES = 3 };

static CUevent find_event(CUevent handle) {
  return tsr_object_get(handle, TSR_OBJECT_EVENT);
}

CUresult tsr_cuEventCreate(CUevent *out_event, unsigned flags) {
  if (out_event == NULL || flags > 7 ||
      ((flags & CU_EVENT_INTERPROCESS) != 0 &&
       (flags & CU_EVENT_DISABLE_TIMING) == 0)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if ((flags & CU_EVENT_INTERPROCESS) != 0) return CUDA_ERROR_NOT_SUPPORTED;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  CUevent event = tsr_calloc(1, sizeof(*event));
  if (event == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  event->context = context;
  event->flags = flags;
  event->references = 1;
  tsr_object_add(&event->object, TSR_OBJECT_EVENT, context);
  *out_event = event;
  return CUDA_SUCCESS;
}

CUresult tsr_cuEventDestroy_v2(CUevent handle) {
  CUevent event = find_event(handle);
  if (event == NULL) return CUDA_ERROR_INVALID_HANDLE;
  tsr_object_remove(&event->object);
  tsr_event_release(event);
  return CUDA_SUCCESS;
}

CUresult tsr_cuEventDestroy(CUevent handle) {
  return tsr_cuEventDestroy_v2(handle);
}

static CUresult enqueue(CUstream stream, CUevent event, tsr_work_kind kind) {
  tsr_work *work = tsr_work_create(kind, stream->context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  work->as.event = event;
  ++event->references;
  return tsr_stream_enqueue(stream, work, NULL);
}

CUresult tsr_cuEventRecordWithFlags(CUevent handle, CUstream stream_handle,
                                    unsigned flags) {
  if (flags > CU_EVENT_RECORD_EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
  CUevent event = find_event(handle);
  if (event == NULL) return CUDA_ERROR_INVALID_HANDLE;
  CUstream stream;
  CUresult result = tsr_stream_get(stream_handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  if (event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->capture != NULL && flags == 0) {
    return tsr_capture_record(stream, event);
  }
  // External: a node of the graph that records it at each launch.
  if (stream->capture == NULL && flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return enqueue(stream, event, TSR_WORK_RECORD);
}

CUresult tsr_cuEventRecord(CUevent event, CUstream stream) {
  return tsr_cuEventRecordWithFlags(event, stream, 0);
}

CUresult tsr_cuStreamWaitEvent(CUstream stream_handle, CUevent handle,
                               unsigned flags) {
  if (flags > CU_EVENT_WAIT_EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
  CUevent event = find_event(handle);
  if (event == NULL) return CUDA_ERROR_INVALID_HANDLE;
  CUstream stream;
  CUresult result = tsr_stream_get(stream_handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  if (event->capture != NULL && flags == 0) {
    return tsr_capture_join(stream, event);
  }
  if (stream->capture != NULL && flags == 0) {
    // Work outside of the capture cannot be part of it.
    stream->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  if (event->operation == NULL && stream->capture == NULL) return CUDA_SUCCESS;
  return enqueue(stream, event, TSR_WORK_WAIT);
}

CUresult tsr_cuEventQuery(CUevent handle) {
  CUevent event = find_event(handle);
  if (event == NULL) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture != NULL) return CUDA_ERROR_CAPTURED_EVENT;
  CUresult result = tsr_capture_forbid();
  if (result != CUDA_SUCCESS) return result;
  if (event->operation == NULL || event->operation->done) {
    return event->context->fault;
  }
  if (++event->queries < QUERIES) return CUDA_ERROR_NOT_READY;
  event->queries = 0;
  CUstream stream = event->operation->stream;
  uint32_t behind = 0;
  for (const tsr_operation *at = event->operation->next; at != NULL;
       at = at->next) {
    ++behind;
  }
  tsr_run_ready(stream, behind);
  if (event->context->fault != CUDA_SUCCESS) return event->context->fault;
  return event->operation->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult tsr_cuEventSynchronize(CUevent handle) {
  CUevent event = find_event(handle);
  if (event == NULL) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture != NULL) return CUDA_ERROR_CAPTURED_EVENT;
  CUresult result = tsr_capture_forbid();
  if (result != CUDA_SUCCESS) return result;
  if (event->operation == NULL) return event->context->fault;
  return tsr_run_operation(event->context, event->operation);
}

// Waits for nothing: both must have happened.
CUresult tsr_cuEventElapsedTime_v2(float *out_milliseconds, CUevent first,
                                   CUevent second) {
  if (out_milliseconds == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUevent start = find_event(first), end = find_event(second);
  if (start == NULL || end == NULL || start->context != end->context ||
      start->operation == NULL || end->operation == NULL ||
      ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) != 0) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (start->capture != NULL || end->capture != NULL) {
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  if (!start->operation->done || !end->operation->done) {
    return CUDA_ERROR_NOT_READY;
  }
  *out_milliseconds =
      (float)((end->operation->end - start->operation->end) * 1e3);
  return CUDA_SUCCESS;
}

CUresult tsr_cuEventElapsedTime(float *out_milliseconds, CUevent first,
                                CUevent second) {
  return tsr_cuEventElapsedTime_v2(out_milliseconds, first, second);
}
