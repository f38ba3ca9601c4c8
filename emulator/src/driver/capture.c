// SPDX-License-Identifier: Apache-2.0
// Stream capture: while it lasts, operations become nodes of a graph. A stream
// in capture knows the nodes that its next operation comes behind; an event
// recorded by it carries them to other streams, which thereby join.
#include "base/memory.h"
#include "driver/driver.h"

// --- The streams of one capture ---------------------------------------------

static CUstream next_stream(CUstream after) {
  if (after != NULL && after->next != NULL) return after->next;
  CUcontext context = after == NULL ? tsr_the.contexts : after->context->next;
  while (context != NULL && context->streams == NULL) context = context->next;
  return context == NULL ? NULL : context->streams;
}

static CUstream find_origin(uint64_t id) {
  for (CUstream at = next_stream(NULL); at != NULL; at = next_stream(at)) {
    if (at->capture != NULL && at->origin && at->capture_id == id) return at;
  }
  return NULL;
}

static void spoil(uint64_t id) {
  for (CUstream at = next_stream(NULL); at != NULL; at = next_stream(at)) {
    if (at->capture != NULL && at->capture_id == id) at->invalid = true;
  }
}

static void leave(CUstream stream) {
  stream->capture = NULL;
  stream->origin = stream->invalid = stream->foreign = false;
  stream->capturer = NULL;
  tsr_free(stream->nodes);
  stream->nodes = NULL;
  stream->node_count = 0;
}

// Every stream leaves; the graph stays.
static void end_all(uint64_t id) {
  for (CUstream at = next_stream(NULL); at != NULL; at = next_stream(at)) {
    if (at->capture != NULL && at->capture_id == id) leave(at);
  }
}

void tsr_capture_drop(CUstream stream) {
  if (stream->capture == NULL) return;
  if (!stream->origin) {
    spoil(stream->capture_id);
    leave(stream);
    return;
  }
  CUgraph graph = stream->foreign ? NULL : stream->capture;
  end_all(stream->capture_id);
  if (graph != NULL) tsr_graph_destroy(graph);
}

// --- What is not allowed meanwhile ------------------------------------------

// CUDA Driver API, cuThreadExchangeStreamCaptureMode.
CUresult tsr_capture_forbid(void) {
  const tsr_thread *thread = tsr_thread_get();
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  if (thread->capture_mode == CU_STREAM_CAPTURE_MODE_RELAXED) {
    return CUDA_SUCCESS;
  }
  CUresult result = CUDA_SUCCESS;
  for (CUstream at = next_stream(NULL); at != NULL; at = next_stream(at)) {
    if (at->capture == NULL || !at->origin) continue;
    bool own =
        at->capturer == thread && at->mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    bool global = thread->capture_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
                  at->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (!own && !global) continue;
    spoil(at->capture_id);
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

CUresult tsr_capture_forbid_stream(CUstream stream) {
  if (stream->capture == NULL) {
    return stream == stream->context->legacy
               ? tsr_capture_forbid_legacy(stream->context)
               : CUDA_SUCCESS;
  }
  spoil(stream->capture_id);
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult tsr_capture_forbid_legacy(CUcontext context) {
  for (CUstream at = context->streams; at != NULL; at = at->next) {
    if (at->capture == NULL || (at->flags & CU_STREAM_NON_BLOCKING) != 0) {
      continue;
    }
    spoil(at->capture_id);
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  return CUDA_SUCCESS;
}

// --- Building the graph -----------------------------------------------------

static CUresult set_nodes(CUgraphNode **list, uint32_t *list_count,
                          const CUgraphNode *nodes, size_t count) {
  CUgraphNode *copy = tsr_calloc(count + 1, sizeof(CUgraphNode));
  if (copy == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  if (count > 0) memcpy(copy, nodes, count * sizeof(CUgraphNode));
  tsr_free(*list);
  *list = copy;
  *list_count = (uint32_t)count;
  return CUDA_SUCCESS;
}

CUresult tsr_capture_add(CUstream stream, tsr_work *work) {
  if (stream->invalid) {
    tsr_work_release(work);
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  }
  CUgraphNode node = NULL;
  CUresult result =
      tsr_graph_add(stream->capture, stream->nodes, stream->node_count,
                    tsr_graph_node_type(work->kind), work, &node);
  if (result == CUDA_SUCCESS) {
    stream->nodes[0] = node;  // there is always room for one
    stream->node_count = 1;
  } else {
    spoil(stream->capture_id);
  }
  return result;
}

CUresult tsr_capture_record(CUstream stream, CUevent event) {
  if (stream->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  CUresult result = set_nodes(&event->nodes, &event->node_count, stream->nodes,
                              stream->node_count);
  if (result != CUDA_SUCCESS) return result;
  event->capture = stream->capture;
  event->capture_id = stream->capture_id;
  return CUDA_SUCCESS;
}

static bool contains(const CUgraphNode *nodes, uint32_t count,
                     CUgraphNode node) {
  for (uint32_t i = 0; i < count; ++i) {
    if (nodes[i] == node) return true;
  }
  return false;
}

static CUresult add_nodes(CUstream stream, const CUgraphNode *nodes,
                          uint32_t count) {
  CUgraphNode *sum =
      tsr_calloc((size_t)stream->node_count + count + 1, sizeof(CUgraphNode));
  if (sum == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  uint32_t used = stream->node_count;
  if (used > 0) memcpy(sum, stream->nodes, used * sizeof(CUgraphNode));
  for (uint32_t i = 0; i < count; ++i) {
    if (!contains(sum, used, nodes[i])) sum[used++] = nodes[i];
  }
  tsr_free(stream->nodes);
  stream->nodes = sum;
  stream->node_count = used;
  return CUDA_SUCCESS;
}

CUresult tsr_capture_join(CUstream stream, CUevent event) {
  CUstream origin = find_origin(event->capture_id);
  if (origin == NULL) return CUDA_ERROR_CAPTURED_EVENT;  // it is over
  if (origin->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (stream->capture != NULL) {
    if (stream->capture_id == event->capture_id) {
      return add_nodes(stream, event->nodes, event->node_count);
    }
    spoil(stream->capture_id);
    spoil(event->capture_id);
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (stream == stream->context->legacy) {
    spoil(event->capture_id);
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  CUresult result = set_nodes(&stream->nodes, &stream->node_count, event->nodes,
                              event->node_count);
  if (result != CUDA_SUCCESS) return result;
  stream->capture = origin->capture;
  stream->capture_id = origin->capture_id;
  stream->capturer = origin->capturer;
  stream->mode = origin->mode;
  stream->origin = stream->invalid = false;
  return CUDA_SUCCESS;
}

// --- Begin and end ----------------------------------------------------------

static CUresult begin(CUstream handle, CUgraph graph, const CUgraphNode *nodes,
                      size_t count, CUstreamCaptureMode mode) {
  if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  if (stream == stream->context->legacy) {
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  if (stream->capture != NULL) return CUDA_ERROR_ILLEGAL_STATE;
  result = set_nodes(&stream->nodes, &stream->node_count, nodes, count);
  if (result != CUDA_SUCCESS) return result;
  stream->capture = graph == NULL ? tsr_graph_create() : graph;
  if (stream->capture == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  stream->foreign = graph != NULL;
  stream->origin = true;
  stream->invalid = false;
  stream->mode = mode;
  stream->capturer = tsr_thread_get();
  stream->capture_id = ++tsr_the.next_id;
  return CUDA_SUCCESS;
}

CUresult tsr_cuStreamBeginCapture_v2(CUstream stream,
                                     CUstreamCaptureMode mode) {
  return begin(stream, NULL, NULL, 0, mode);
}

CUresult tsr_cuStreamBeginCapture(CUstream stream) {
  return begin(stream, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult tsr_cuStreamBeginCaptureToGraph(CUstream stream, CUgraph handle,
                                         const CUgraphNode *nodes,
                                         const CUgraphEdgeData *edges,
                                         size_t count,
                                         CUstreamCaptureMode mode) {
  CUgraph graph = tsr_object_get(handle, TSR_OBJECT_GRAPH);
  if (graph == NULL || (count > 0 && nodes == NULL)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (edges != NULL) return CUDA_ERROR_NOT_SUPPORTED;
  for (size_t i = 0; i < count; ++i) {
    CUgraphNode node = tsr_object_get(nodes[i], TSR_OBJECT_NODE);
    if (node == NULL || node->graph != graph) return CUDA_ERROR_INVALID_VALUE;
  }
  return begin(stream, graph, nodes, count, mode);
}

// Whether every stream's last nodes lie before |origin|'s: a walk backwards
// marks what does.
static bool is_joined(CUstream origin) {
  CUgraph graph = origin->capture;
  for (CUgraphNode at = graph->first; at != NULL; at = at->next) at->mark = 0;
  for (uint32_t i = 0; i < origin->node_count; ++i) origin->nodes[i]->mark = 1;
  for (bool changed = true; changed;) {
    changed = false;
    for (CUgraphNode at = graph->first; at != NULL; at = at->next) {
      for (uint32_t i = 0; at->mark != 0 && i < at->before_count; ++i) {
        changed = changed || at->before[i]->mark == 0;
        at->before[i]->mark = 1;
      }
    }
  }
  for (CUstream at = next_stream(NULL); at != NULL; at = next_stream(at)) {
    if (at->capture != graph || at->capture_id != origin->capture_id) continue;
    for (uint32_t i = 0; i < at->node_count; ++i) {
      if (at->nodes[i]->mark == 0) return false;
    }
  }
  return true;
}

CUresult tsr_cuStreamEndCapture(CUstream handle, CUgraph *out_graph) {
  if (out_graph == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  if (stream->capture == NULL) return CUDA_ERROR_ILLEGAL_STATE;
  if (!stream->origin) {
    spoil(stream->capture_id);
    return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  }
  if (stream->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
      stream->capturer != tsr_thread_get()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  CUgraph graph = stream->capture;
  bool foreign = stream->foreign;
  if (stream->invalid) {
    result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  } else if (!is_joined(stream)) {
    result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  }
  end_all(stream->capture_id);
  *out_graph = result == CUDA_SUCCESS ? graph : NULL;
  if (result != CUDA_SUCCESS && !foreign) tsr_graph_destroy(graph);
  return result;
}

// --- Asking -----------------------------------------------------------------

static CUstreamCaptureStatus status_of(const CUstream stream) {
  if (stream->capture == NULL) return CU_STREAM_CAPTURE_STATUS_NONE;
  return stream->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                         : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

// The legacy stream cannot be asked about while it must not be used.
static CUresult get_askable(CUstream handle, CUstream *out_stream) {
  CUresult result = tsr_stream_get(handle, out_stream);
  if (result != CUDA_SUCCESS) return result;
  CUcontext context = (*out_stream)->context;
  if (*out_stream != context->legacy) return CUDA_SUCCESS;
  for (CUstream at = context->streams; at != NULL; at = at->next) {
    if (at->capture != NULL && (at->flags & CU_STREAM_NON_BLOCKING) == 0) {
      return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuStreamIsCapturing(CUstream handle,
                                 CUstreamCaptureStatus *out_status) {
  if (out_status == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  CUresult result = get_askable(handle, &stream);
  if (result == CUDA_SUCCESS) *out_status = status_of(stream);
  return result;
}

CUresult tsr_cuStreamGetCaptureInfo_v2(CUstream handle,
                                       CUstreamCaptureStatus *out_status,
                                       uint64_t *out_id, CUgraph *out_graph,
                                       const CUgraphNode **out_nodes,
                                       size_t *out_count) {
  if (out_status == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  CUresult result = get_askable(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  *out_status = status_of(stream);
  if (stream->capture == NULL) return CUDA_SUCCESS;
  if (out_id != NULL) *out_id = stream->capture_id;
  if (out_graph != NULL) *out_graph = stream->capture;
  if (out_nodes != NULL) *out_nodes = stream->nodes;
  if (out_count != NULL) *out_count = stream->node_count;
  return CUDA_SUCCESS;
}

CUresult tsr_cuStreamGetCaptureInfo(CUstream stream,
                                    CUstreamCaptureStatus *out_status,
                                    uint64_t *out_id) {
  return tsr_cuStreamGetCaptureInfo_v2(stream, out_status, out_id, NULL, NULL,
                                       NULL);
}

CUresult tsr_cuStreamGetCaptureInfo_v3(CUstream stream,
                                       CUstreamCaptureStatus *out_status,
                                       uint64_t *out_id, CUgraph *out_graph,
                                       const CUgraphNode **out_nodes,
                                       const CUgraphEdgeData **out_edges,
                                       size_t *out_count) {
  if (out_edges != NULL) *out_edges = NULL;  // all are plain
  return tsr_cuStreamGetCaptureInfo_v2(stream, out_status, out_id, out_graph,
                                       out_nodes, out_count);
}

CUresult tsr_cuStreamUpdateCaptureDependencies(CUstream handle,
                                               CUgraphNode *nodes, size_t count,
                                               unsigned flags) {
  if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES ||
      (count > 0 && nodes == NULL) || count > UINT32_MAX) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUstream stream;
  CUresult result = tsr_stream_get(handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  if (stream->capture == NULL) return CUDA_ERROR_ILLEGAL_STATE;
  if (stream->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  for (size_t i = 0; i < count; ++i) {
    CUgraphNode node = tsr_object_get(nodes[i], TSR_OBJECT_NODE);
    if (node == NULL || node->graph != stream->capture) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  if (flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES) {
    return add_nodes(stream, nodes, (uint32_t)count);
  }
  return set_nodes(&stream->nodes, &stream->node_count, nodes, count);
}

CUresult tsr_cuStreamUpdateCaptureDependencies_v2(CUstream stream,
                                                  CUgraphNode *nodes,
                                                  const CUgraphEdgeData *edges,
                                                  size_t count,
                                                  unsigned flags) {
  if (edges != NULL) return CUDA_ERROR_NOT_SUPPORTED;
  return tsr_cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
}

CUresult tsr_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
  tsr_thread *thread = tsr_thread_get();
  if (mode == NULL || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  CUstreamCaptureMode before = thread->capture_mode;
  thread->capture_mode = *mode;
  *mode = before;
  return CUDA_SUCCESS;
}
