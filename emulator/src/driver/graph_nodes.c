// SPDX-License-Identifier: Apache-2.0
// Nodes of each kind: making them, reading and replacing what they do.
#include "base/memory.h"
#include "driver/driver.h"

CUgraphNodeType tsr_graph_node_type(tsr_work_kind kind) {
  switch (kind) {
    case TSR_WORK_KERNEL:
      return CU_GRAPH_NODE_TYPE_KERNEL;
    case TSR_WORK_COPY:
      return CU_GRAPH_NODE_TYPE_MEMCPY;
    case TSR_WORK_FILL:
      return CU_GRAPH_NODE_TYPE_MEMSET;
    case TSR_WORK_HOST:
      return CU_GRAPH_NODE_TYPE_HOST;
    case TSR_WORK_GRAPH:
      return CU_GRAPH_NODE_TYPE_GRAPH;
    case TSR_WORK_RECORD:
      return CU_GRAPH_NODE_TYPE_EVENT_RECORD;
    case TSR_WORK_WAIT:
      return CU_GRAPH_NODE_TYPE_WAIT_EVENT;
    default:
      return CU_GRAPH_NODE_TYPE_EMPTY;
  }
}

// --- Work from parameters ---------------------------------------------------

static CUresult current_or(CUcontext handle, CUcontext *out_context) {
  if (handle == NULL) return tsr_ctx_current(out_context);
  *out_context = tsr_object_get(handle, TSR_OBJECT_CONTEXT);
  return *out_context == NULL ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

// |full|: the struct goes on behind |extra|.
CUresult tsr_graph_kernel(const CUDA_KERNEL_NODE_PARAMS *params, bool full,
                          tsr_work **out_work) {
  if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = current_or(full ? params->ctx : NULL, &context);
  if (result != CUDA_SUCCESS) return result;
  CUfunction function = params->func;
  if (function == NULL && full) function = (CUfunction)(void *)params->kern;
  CUlaunchConfig config = {
      .gridDimX = params->gridDimX,
      .gridDimY = params->gridDimY,
      .gridDimZ = params->gridDimZ,
      .blockDimX = params->blockDimX,
      .blockDimY = params->blockDimY,
      .blockDimZ = params->blockDimZ,
      .sharedMemBytes = params->sharedMemBytes,
  };
  return tsr_launch_make(context, function, &config, params->kernelParams,
                         params->extra, out_work);
}

CUresult tsr_graph_copy(const CUDA_MEMCPY3D *params, CUcontext handle,
                        tsr_work **out_work) {
  if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = current_or(handle, &context);
  if (result != CUDA_SUCCESS) return result;
  bool wait;
  return tsr_copy_make(context, params, false, out_work, &wait);
}

CUresult tsr_graph_fill(const CUDA_MEMSET_NODE_PARAMS *params, CUcontext handle,
                        tsr_work **out_work) {
  if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = current_or(handle, &context);
  if (result != CUDA_SUCCESS) return result;
  return tsr_fill_make(context, params->dst, params->pitch, params->value,
                       params->elementSize, params->width, params->height,
                       out_work);
}

CUresult tsr_graph_host(const CUDA_HOST_NODE_PARAMS *params,
                        tsr_work **out_work) {
  if (params == NULL || params->fn == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  *out_work = tsr_work_create(TSR_WORK_HOST, context);
  if (*out_work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  (*out_work)->as.host.function = params->fn;
  (*out_work)->as.host.data = params->userData;
  return CUDA_SUCCESS;
}

CUresult tsr_graph_event(CUevent handle, tsr_work_kind kind,
                         tsr_work **out_work) {
  CUevent event = tsr_object_get(handle, TSR_OBJECT_EVENT);
  if (event == NULL) return CUDA_ERROR_INVALID_HANDLE;
  *out_work = tsr_work_create(kind, event->context);
  if (*out_work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  (*out_work)->as.event = event;
  ++event->references;
  return CUDA_SUCCESS;
}

// --- Adding -----------------------------------------------------------------

// |made|: how making |work| ended.
static CUresult add(CUgraphNode *out_node, CUgraph handle,
                    const CUgraphNode *before, size_t count,
                    CUgraphNodeType type, CUresult made, tsr_work *work) {
  CUgraph graph = tsr_object_get(handle, TSR_OBJECT_GRAPH);
  if (made != CUDA_SUCCESS) return made;
  if (graph == NULL || out_node == NULL) {
    tsr_work_release(work);
    return CUDA_ERROR_INVALID_VALUE;
  }
  return tsr_graph_add(graph, before, count, type, work, out_node);
}

CUresult tsr_cuGraphAddKernelNode_v2(CUgraphNode *out_node, CUgraph graph,
                                     const CUgraphNode *before, size_t count,
                                     const CUDA_KERNEL_NODE_PARAMS *params) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_kernel(params, true, &work);
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_KERNEL, made,
             work);
}

CUresult tsr_cuGraphAddKernelNode(CUgraphNode *out_node, CUgraph graph,
                                  const CUgraphNode *before, size_t count,
                                  const CUDA_KERNEL_NODE_PARAMS *params) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_kernel(params, false, &work);
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_KERNEL, made,
             work);
}

CUresult tsr_cuGraphAddMemcpyNode(CUgraphNode *out_node, CUgraph graph,
                                  const CUgraphNode *before, size_t count,
                                  const CUDA_MEMCPY3D *params,
                                  CUcontext context) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_copy(params, context, &work);
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_MEMCPY, made,
             work);
}

CUresult tsr_cuGraphAddMemsetNode(CUgraphNode *out_node, CUgraph graph,
                                  const CUgraphNode *before, size_t count,
                                  const CUDA_MEMSET_NODE_PARAMS *params,
                                  CUcontext context) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_fill(params, context, &work);
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_MEMSET, made,
             work);
}

CUresult tsr_cuGraphAddHostNode(CUgraphNode *out_node, CUgraph graph,
                                const CUgraphNode *before, size_t count,
                                const CUDA_HOST_NODE_PARAMS *params) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_host(params, &work);
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_HOST, made,
             work);
}

CUresult tsr_cuGraphAddEmptyNode(CUgraphNode *out_node, CUgraph graph,
                                 const CUgraphNode *before, size_t count) {
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_EMPTY,
             CUDA_SUCCESS, NULL);
}

CUresult tsr_cuGraphAddChildGraphNode(CUgraphNode *out_node, CUgraph graph,
                                      const CUgraphNode *before, size_t count,
                                      CUgraph child) {
  if (child == graph) return CUDA_ERROR_INVALID_VALUE;
  CUgraph copy = NULL;
  CUresult result = tsr_cuGraphClone(&copy, child);
  if (result != CUDA_SUCCESS) return result;
  result = add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_GRAPH,
               CUDA_SUCCESS, NULL);
  if (result != CUDA_SUCCESS) {
    tsr_graph_destroy(copy);
    return result;
  }
  (*out_node)->child = copy;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphAddEventRecordNode(CUgraphNode *out_node, CUgraph graph,
                                       const CUgraphNode *before, size_t count,
                                       CUevent event) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_event(event, TSR_WORK_RECORD, &work);
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_EVENT_RECORD,
             made, work);
}

CUresult tsr_cuGraphAddEventWaitNode(CUgraphNode *out_node, CUgraph graph,
                                     const CUgraphNode *before, size_t count,
                                     CUevent event) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_event(event, TSR_WORK_WAIT, &work);
  return add(out_node, graph, before, count, CU_GRAPH_NODE_TYPE_WAIT_EVENT,
             made, work);
}

CUresult tsr_cuGraphAddNode(CUgraphNode *out_node, CUgraph graph,
                            const CUgraphNode *before, size_t count,
                            CUgraphNodeParams *params) {
  if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return tsr_cuGraphAddKernelNode_v2(out_node, graph, before, count,
                                         &params->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return tsr_cuGraphAddMemcpyNode(out_node, graph, before, count,
                                      &params->memcpy.copyParams,
                                      params->memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET:
      return tsr_cuGraphAddMemsetNode(out_node, graph, before, count,
                                      &params->memset.params,
                                      params->memset.ctx);
    case CU_GRAPH_NODE_TYPE_HOST:
      return tsr_cuGraphAddHostNode(out_node, graph, before, count,
                                    &params->host);
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return tsr_cuGraphAddChildGraphNode(out_node, graph, before, count,
                                          params->graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return tsr_cuGraphAddEmptyNode(out_node, graph, before, count);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return tsr_cuGraphAddEventWaitNode(out_node, graph, before, count,
                                         params->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return tsr_cuGraphAddEventRecordNode(out_node, graph, before, count,
                                           params->eventRecord.event);
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CUresult tsr_cuGraphAddNode_v2(CUgraphNode *out_node, CUgraph graph,
                               const CUgraphNode *before,
                               const CUgraphEdgeData *edges, size_t count,
                               CUgraphNodeParams *params) {
  if (!tsr_graph_plain_edges(edges, count)) return CUDA_ERROR_NOT_SUPPORTED;
  return tsr_cuGraphAddNode(out_node, graph, before, count, params);
}

// --- Reading and replacing --------------------------------------------------

static CUgraphNode find(CUgraphNode handle, CUgraphNodeType type) {
  CUgraphNode node = tsr_object_get(handle, TSR_OBJECT_NODE);
  return node != NULL && node->type == type ? node : NULL;
}

static CUresult replace(CUgraphNode node, CUresult made, tsr_work *work) {
  if (made != CUDA_SUCCESS) return made;
  tsr_work_release(node->work);
  node->work = work;
  tsr_free(node->values);
  node->values = NULL;
  return CUDA_SUCCESS;
}

// Pointers to each parameter, as kernelParams has them.
static CUresult need_values(CUgraphNode node) {
  const tsr_kernel *kernel = node->work->as.kernel.function->kernel;
  if (node->values != NULL) return CUDA_SUCCESS;
  node->values = tsr_calloc((size_t)kernel->param_count + 1, sizeof(void *));
  if (node->values == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  for (uint32_t i = 0; i < kernel->param_count; ++i) {
    node->values[i] = node->work->as.kernel.params + kernel->params[i].offset;
  }
  return CUDA_SUCCESS;
}

static CUresult get_kernel(CUgraphNode handle, CUDA_KERNEL_NODE_PARAMS *out,
                           bool full) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_KERNEL);
  if (node == NULL || out == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = need_values(node);
  if (result != CUDA_SUCCESS) return result;
  const tsr_work *work = node->work;
  out->func = work->as.kernel.function;
  out->gridDimX = work->as.kernel.grid[0];
  out->gridDimY = work->as.kernel.grid[1];
  out->gridDimZ = work->as.kernel.grid[2];
  out->blockDimX = work->as.kernel.block[0];
  out->blockDimY = work->as.kernel.block[1];
  out->blockDimZ = work->as.kernel.block[2];
  out->sharedMemBytes = work->as.kernel.dynamic_shared;
  out->kernelParams = node->values;
  out->extra = NULL;
  if (full) {
    out->kern = NULL;
    out->ctx = work->context;
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphKernelNodeGetParams(CUgraphNode node,
                                        CUDA_KERNEL_NODE_PARAMS *out) {
  return get_kernel(node, out, false);
}

CUresult tsr_cuGraphKernelNodeGetParams_v2(CUgraphNode node,
                                           CUDA_KERNEL_NODE_PARAMS *out) {
  return get_kernel(node, out, true);
}

static CUresult set_kernel(CUgraphNode handle,
                           const CUDA_KERNEL_NODE_PARAMS *params, bool full) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_KERNEL);
  if (node == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_work *work = NULL;
  CUresult made = tsr_graph_kernel(params, full, &work);
  return replace(node, made, work);
}

CUresult tsr_cuGraphKernelNodeSetParams(CUgraphNode node,
                                        const CUDA_KERNEL_NODE_PARAMS *params) {
  return set_kernel(node, params, false);
}

CUresult tsr_cuGraphKernelNodeSetParams_v2(
    CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params) {
  return set_kernel(node, params, true);
}

// Addresses of the first bytes; offsets are part of them.
CUresult tsr_cuGraphMemcpyNodeGetParams(CUgraphNode handle,
                                        CUDA_MEMCPY3D *out) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_MEMCPY);
  if (node == NULL || out == NULL) return CUDA_ERROR_INVALID_VALUE;
  memset(out, 0, sizeof(*out));
  if (node->work->kind != TSR_WORK_COPY) return CUDA_SUCCESS;  // of nothing
  const tsr_copy *copy = &node->work->as.copy;
  out->srcMemoryType =
      copy->source_checked ? CU_MEMORYTYPE_UNIFIED : CU_MEMORYTYPE_HOST;
  out->srcDevice = copy->source;
  out->srcHost = (const void *)(uintptr_t)copy->source;
  out->srcPitch = copy->source_pitch;
  out->srcHeight =
      copy->source_pitch == 0 ? 0 : copy->source_slice / copy->source_pitch;
  out->dstMemoryType =
      copy->target_checked ? CU_MEMORYTYPE_UNIFIED : CU_MEMORYTYPE_HOST;
  out->dstDevice = copy->target;
  out->dstHost = (void *)(uintptr_t)copy->target;
  out->dstPitch = copy->target_pitch;
  out->dstHeight =
      copy->target_pitch == 0 ? 0 : copy->target_slice / copy->target_pitch;
  out->WidthInBytes = copy->width;
  out->Height = copy->height;
  out->Depth = copy->depth;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphMemcpyNodeSetParams(CUgraphNode handle,
                                        const CUDA_MEMCPY3D *params) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_MEMCPY);
  if (node == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_work *work = NULL;
  CUresult made = tsr_graph_copy(params, node->work->context, &work);
  return replace(node, made, work);
}

CUresult tsr_cuGraphMemsetNodeGetParams(CUgraphNode handle,
                                        CUDA_MEMSET_NODE_PARAMS *out) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_MEMSET);
  if (node == NULL || out == NULL) return CUDA_ERROR_INVALID_VALUE;
  memset(out, 0, sizeof(*out));
  if (node->work->kind != TSR_WORK_FILL) return CUDA_SUCCESS;
  *out =
      (CUDA_MEMSET_NODE_PARAMS){.dst = node->work->as.fill.target,
                                .pitch = node->work->as.fill.pitch,
                                .value = node->work->as.fill.value,
                                .elementSize = node->work->as.fill.element_size,
                                .width = node->work->as.fill.width,
                                .height = node->work->as.fill.height};
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphMemsetNodeSetParams(CUgraphNode handle,
                                        const CUDA_MEMSET_NODE_PARAMS *params) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_MEMSET);
  if (node == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_work *work = NULL;
  CUresult made = tsr_graph_fill(params, node->work->context, &work);
  return replace(node, made, work);
}

CUresult tsr_cuGraphHostNodeGetParams(CUgraphNode handle,
                                      CUDA_HOST_NODE_PARAMS *out) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_HOST);
  if (node == NULL || out == NULL) return CUDA_ERROR_INVALID_VALUE;
  out->fn = node->work->as.host.function;
  out->userData = node->work->as.host.data;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphHostNodeSetParams(CUgraphNode handle,
                                      const CUDA_HOST_NODE_PARAMS *params) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_HOST);
  if (node == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_work *work = NULL;
  CUresult made = tsr_graph_host(params, &work);
  return replace(node, made, work);
}

CUresult tsr_cuGraphChildGraphNodeGetGraph(CUgraphNode handle,
                                           CUgraph *out_graph) {
  CUgraphNode node = find(handle, CU_GRAPH_NODE_TYPE_GRAPH);
  if (node == NULL || out_graph == NULL || node->child == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out_graph = node->child;
  return CUDA_SUCCESS;
}

#define EVENT_NODE(name, type, kind)                                        \
  CUresult tsr_cuGraph##name##NodeGetEvent(CUgraphNode handle,              \
                                           CUevent *out_event) {            \
    CUgraphNode node = find(handle, type);                                  \
    if (node == NULL || out_event == NULL) return CUDA_ERROR_INVALID_VALUE; \
    *out_event = node->work->as.event;                                      \
    return CUDA_SUCCESS;                                                    \
  }                                                                         \
  CUresult tsr_cuGraph##name##NodeSetEvent(CUgraphNode handle,              \
                                           CUevent event) {                 \
    CUgraphNode node = find(handle, type);                                  \
    if (node == NULL) return CUDA_ERROR_INVALID_VALUE;                      \
    tsr_work *work = NULL;                                                  \
    CUresult made = tsr_graph_event(event, kind, &work);                    \
    return replace(node, made, work);                                       \
  }
EVENT_NODE(EventRecord, CU_GRAPH_NODE_TYPE_EVENT_RECORD, TSR_WORK_RECORD)
EVENT_NODE(EventWait, CU_GRAPH_NODE_TYPE_WAIT_EVENT, TSR_WORK_WAIT)
