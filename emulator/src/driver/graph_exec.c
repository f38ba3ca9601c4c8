// SPDX-License-Identifier: Apache-2.0
// Graphs that can be launched: the nodes flattened into a list, with children
// in place. Each launch takes an order that the edges allow, drawn from the
// seed, so that a missing edge shows.
#include "base/memory.h"
#include "driver/driver.h"

enum { CHILD_DEPTH = 64 };

typedef struct exec_entry {
  CUgraphNode node;  // it came from; may be gone
  CUgraphNodeType type;
  tsr_work *work;  // NULL: nothing
  uint32_t *before;
  uint32_t before_count;
} exec_entry;

struct CUgraphExec_st {
  tsr_object object;
  exec_entry *entries;
  uint32_t count, capacity;
  uint64_t flags;
};

static void free_entries(CUgraphExec exec) {
  for (uint32_t i = 0; i < exec->count; ++i) {
    tsr_work_release(exec->entries[i].work);
    tsr_free(exec->entries[i].before);
  }
  tsr_free(exec->entries);
}

void tsr_exec_destroy(CUgraphExec exec) {
  tsr_object_remove(&exec->object);
  free_entries(exec);
  tsr_free(exec);
}

// --- Flattening -------------------------------------------------------------

static exec_entry *new_entry(CUgraphExec exec, size_t before_count) {
  if (exec->count == exec->capacity) {
    uint32_t capacity = exec->capacity * 2 + 16;
    exec_entry *grown = tsr_realloc(exec->entries, capacity * sizeof(*grown));
    if (grown == NULL) return NULL;
    exec->entries = grown;
    exec->capacity = capacity;
  }
  exec_entry *entry = &exec->entries[exec->count];
  memset(entry, 0, sizeof(*entry));
  entry->before = tsr_calloc(before_count + 1, sizeof(uint32_t));
  if (entry->before == NULL) return NULL;
  ++exec->count;
  return entry;
}

// A graph's nodes in an order that its edges allow, marked with their places
// (from 1 on). Fewer than all: there is a cycle.
static uint32_t sort_nodes(CUgraph graph, CUgraphNode *out_nodes) {
  for (CUgraphNode at = graph->first; at != NULL; at = at->next) at->mark = 0;
  uint32_t count = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (CUgraphNode at = graph->first; at != NULL; at = at->next) {
      bool ready = at->mark == 0;
      for (uint32_t i = 0; ready && i < at->before_count; ++i) {
        ready = at->before[i]->mark != 0;
      }
      if (!ready) continue;
      out_nodes[count++] = at;
      at->mark = count;
      changed = true;
    }
  }
  return count;
}

static CUresult flatten(CUgraphExec exec, CUgraph graph, const uint32_t *outer,
                        uint32_t outer_count, uint32_t depth);

// A child's nodes, then an entry for the child as a whole, behind all of them.
static CUresult flatten_child(CUgraphExec exec, CUgraphNode node,
                              const uint32_t *before, uint32_t count,
                              uint32_t depth) {
  uint32_t first = exec->count;
  CUresult result = flatten(exec, node->child, before, count, depth + 1);
  if (result != CUDA_SUCCESS) return result;
  uint32_t inner = exec->count - first;
  exec_entry *entry = new_entry(exec, (size_t)inner + count);
  if (entry == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  entry->node = node;
  entry->type = node->type;
  for (uint32_t i = 0; i < inner; ++i) {
    entry->before[entry->before_count++] = first + i;
  }
  for (uint32_t i = 0; i < count; ++i) {
    entry->before[entry->before_count++] = before[i];
  }
  return CUDA_SUCCESS;
}

static CUresult flatten_node(CUgraphExec exec, CUgraphNode node,
                             const uint32_t *before, uint32_t count,
                             uint32_t depth) {
  if (node->child != NULL) {
    return flatten_child(exec, node, before, count, depth);
  }
  exec_entry *entry = new_entry(exec, count);
  if (entry == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  entry->node = node;
  entry->type = node->type;
  entry->work = node->work;
  if (node->work != NULL) tsr_work_retain(node->work);
  memcpy(entry->before, before, count * sizeof(*before));
  entry->before_count = count;
  return CUDA_SUCCESS;
}

// |places[i]|: the entry of the i-th sorted node.
static CUresult flatten_sorted(CUgraphExec exec, CUgraphNode *nodes,
                               uint32_t count, uint32_t *places,
                               uint32_t *before, const uint32_t *outer,
                               uint32_t outer_count, uint32_t depth) {
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t before_count = 0;
    for (uint32_t k = 0; k < nodes[i]->before_count; ++k) {
      before[before_count++] = places[nodes[i]->before[k]->mark - 1];
    }
    for (uint32_t k = 0; before_count == 0 && k < outer_count; ++k) {
      before[k] = outer[k];
    }
    if (before_count == 0) before_count = outer_count;
    CUresult result = flatten_node(exec, nodes[i], before, before_count, depth);
    if (result != CUDA_SUCCESS) return result;
    places[i] = exec->count - 1;
  }
  return CUDA_SUCCESS;
}

static CUresult flatten(CUgraphExec exec, CUgraph graph, const uint32_t *outer,
                        uint32_t outer_count, uint32_t depth) {
  if (depth > CHILD_DEPTH) return CUDA_ERROR_INVALID_VALUE;
  size_t count = graph->count;
  CUgraphNode *nodes = tsr_calloc(count + 1, sizeof(CUgraphNode));
  uint32_t *places = tsr_calloc(count + 1, sizeof(uint32_t));
  uint32_t *before = tsr_calloc(count + outer_count + 1, sizeof(uint32_t));
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (nodes != NULL && places != NULL && before != NULL) {
    result = sort_nodes(graph, nodes) < graph->count
                 ? CUDA_ERROR_INVALID_VALUE
                 : flatten_sorted(exec, nodes, graph->count, places, before,
                                  outer, outer_count, depth);
  }
  tsr_free(nodes);
  tsr_free(places);
  tsr_free(before);
  return result;
}

static CUresult instantiate(CUgraphExec *out_exec, CUgraph handle,
                            uint64_t flags) {
  CUgraph graph = tsr_object_get(handle, TSR_OBJECT_GRAPH);
  if (out_exec == NULL || graph == NULL || flags > 15) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if ((flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) != 0) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  CUgraphExec exec = tsr_calloc(1, sizeof(*exec));
  if (exec == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  exec->flags = flags;
  CUresult result = flatten(exec, graph, NULL, 0, 0);
  if (result != CUDA_SUCCESS) {
    free_entries(exec);
    tsr_free(exec);
    return result;
  }
  tsr_object_add(&exec->object, TSR_OBJECT_EXEC, NULL);
  *out_exec = exec;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphInstantiateWithFlags(CUgraphExec *out_exec, CUgraph graph,
                                         unsigned long long flags) {
  return instantiate(out_exec, graph, flags);
}

CUresult tsr_cuGraphInstantiate_v2(CUgraphExec *out_exec, CUgraph graph,
                                   CUgraphNode *out_node, char *log,
                                   size_t log_size) {
  if (out_node != NULL) *out_node = NULL;
  if (log != NULL && log_size > 0) log[0] = '\0';
  return instantiate(out_exec, graph, 0);
}

CUresult tsr_cuGraphInstantiate(CUgraphExec *out_exec, CUgraph graph,
                                CUgraphNode *out_node, char *log,
                                size_t log_size) {
  return tsr_cuGraphInstantiate_v2(out_exec, graph, out_node, log, log_size);
}

CUresult tsr_cuGraphInstantiateWithParams(
    CUgraphExec *out_exec, CUgraph graph,
    CUDA_GRAPH_INSTANTIATE_PARAMS *params) {
  if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = instantiate(out_exec, graph, params->flags);
  params->hErrNode_out = NULL;
  params->result_out = result == CUDA_SUCCESS
                           ? CUDA_GRAPH_INSTANTIATE_SUCCESS
                           : CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE;
  return result;
}

static CUgraphExec find_exec(CUgraphExec handle) {
  return tsr_object_get(handle, TSR_OBJECT_EXEC);
}

CUresult tsr_cuGraphExecGetFlags(CUgraphExec handle, uint64_t *out_flags) {
  CUgraphExec exec = find_exec(handle);
  if (exec == NULL || out_flags == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_flags = exec->flags;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphExecDestroy(CUgraphExec handle) {
  CUgraphExec exec = find_exec(handle);
  if (exec == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_exec_destroy(exec);
  return CUDA_SUCCESS;
}

// --- Launching --------------------------------------------------------------

// Fills |order| with entries, each behind those it depends on. |left|: room
// for a count per entry.
static void draw_order(CUgraphExec exec, uint32_t *order, uint32_t *left) {
  uint32_t ready = 0, done = 0;
  for (uint32_t i = 0; i < exec->count; ++i) {
    left[i] = exec->entries[i].before_count;
    if (left[i] == 0) order[ready++] = i;
  }
  // order[done, ready) could run now.
  for (; done < ready; ++done) {
    uint32_t pick = done + (uint32_t)(tsr_driver_choice() % (ready - done));
    uint32_t entry = order[pick];
    order[pick] = order[done];
    order[done] = entry;
    for (uint32_t i = 0; i < exec->count; ++i) {
      for (uint32_t k = 0; k < exec->entries[i].before_count; ++k) {
        if (exec->entries[i].before[k] != entry) continue;
        if (--left[i] == 0) order[ready++] = i;
      }
    }
  }
}

static CUresult fill_graph(CUgraphExec exec, tsr_work *work) {
  uint32_t *order = tsr_calloc((size_t)exec->count + 1, sizeof(*order));
  uint32_t *left = tsr_calloc((size_t)exec->count + 1, sizeof(*left));
  tsr_work **works = tsr_calloc((size_t)exec->count + 1, sizeof(tsr_work *));
  work->as.graph.works = works;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (order != NULL && left != NULL && works != NULL) {
    draw_order(exec, order, left);
    for (uint32_t i = 0; i < exec->count; ++i) {
      tsr_work *part = exec->entries[order[i]].work;
      if (part == NULL) continue;
      tsr_work_retain(part);
      works[work->as.graph.count++] = part;
    }
    result = CUDA_SUCCESS;
  }
  tsr_free(order);
  tsr_free(left);
  return result;
}

CUresult tsr_cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  CUgraphExec exec = find_exec(handle);
  if (exec == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  CUresult result = tsr_stream_get(stream_handle, &stream);
  if (result != CUDA_SUCCESS) return result;
  tsr_work *work = tsr_work_create(TSR_WORK_GRAPH, stream->context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  result = fill_graph(exec, work);
  if (result != CUDA_SUCCESS) {
    tsr_work_release(work);
    return result;
  }
  return tsr_stream_enqueue(stream, work, NULL);
}

CUresult tsr_cuGraphUpload(CUgraphExec handle, CUstream stream_handle) {
  if (find_exec(handle) == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  return tsr_stream_get(stream_handle, &stream);
}

// --- Changing: launches made before keep what they have ---------------------

static CUresult replace(CUgraphExec handle, CUgraphNode node,
                        CUgraphNodeType type, CUresult made, tsr_work *work) {
  CUgraphExec exec = find_exec(handle);
  if (made != CUDA_SUCCESS) return made;
  for (uint32_t i = 0; exec != NULL && i < exec->count; ++i) {
    exec_entry *entry = &exec->entries[i];
    if (entry->node != node || entry->type != type) continue;
    tsr_work_release(entry->work);
    entry->work = work;
    return CUDA_SUCCESS;
  }
  tsr_work_release(work);
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult tsr_cuGraphExecKernelNodeSetParams(
    CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_kernel(params, false, &work);
  return replace(exec, node, CU_GRAPH_NODE_TYPE_KERNEL, made, work);
}

CUresult tsr_cuGraphExecKernelNodeSetParams_v2(
    CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_kernel(params, true, &work);
  return replace(exec, node, CU_GRAPH_NODE_TYPE_KERNEL, made, work);
}

CUresult tsr_cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_MEMCPY3D *params,
                                            CUcontext context) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_copy(params, context, &work);
  return replace(exec, node, CU_GRAPH_NODE_TYPE_MEMCPY, made, work);
}

CUresult tsr_cuGraphExecMemsetNodeSetParams(
    CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params,
    CUcontext context) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_fill(params, context, &work);
  return replace(exec, node, CU_GRAPH_NODE_TYPE_MEMSET, made, work);
}

CUresult tsr_cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                          const CUDA_HOST_NODE_PARAMS *params) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_host(params, &work);
  return replace(exec, node, CU_GRAPH_NODE_TYPE_HOST, made, work);
}

CUresult tsr_cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec,
                                                CUgraphNode node,
                                                CUevent event) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_event(event, TSR_WORK_RECORD, &work);
  return replace(exec, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, made, work);
}

CUresult tsr_cuGraphExecEventWaitNodeSetEvent(CUgraphExec exec,
                                              CUgraphNode node, CUevent event) {
  tsr_work *work = NULL;
  CUresult made = tsr_graph_event(event, TSR_WORK_WAIT, &work);
  return replace(exec, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, made, work);
}

static CUgraphExecUpdateResult compare(CUgraphExec exec, CUgraphExec other,
                                       CUgraphNode *out_node) {
  *out_node = NULL;
  if (exec->count != other->count) {
    return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
  }
  for (uint32_t i = 0; i < exec->count; ++i) {
    const exec_entry *a = &exec->entries[i], *b = &other->entries[i];
    *out_node = b->node;
    if (a->type != b->type) {
      return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
    }
    if (a->before_count != b->before_count ||
        memcmp(a->before, b->before, a->before_count * sizeof(*a->before)) !=
            0) {
      return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    }
  }
  *out_node = NULL;
  return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

CUresult tsr_cuGraphExecUpdate_v2(CUgraphExec handle, CUgraph graph,
                                  CUgraphExecUpdateResultInfo *out_info) {
  CUgraphExec exec = find_exec(handle), other = NULL;
  if (exec == NULL || out_info == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_info =
      (CUgraphExecUpdateResultInfo){CU_GRAPH_EXEC_UPDATE_ERROR, NULL, NULL};
  CUresult result = instantiate(&other, graph, exec->flags);
  if (result != CUDA_SUCCESS) return result;
  out_info->result = compare(exec, other, &out_info->errorNode);
  if (out_info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS) {
    exec_entry *entries = exec->entries;
    exec->entries = other->entries;
    other->entries = entries;
    // Handles of the graph it was made from go on naming its nodes.
    for (uint32_t i = 0; i < exec->count; ++i) {
      exec->entries[i].node = entries[i].node;
    }
  }
  tsr_exec_destroy(other);
  return out_info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS
             ? CUDA_SUCCESS
             : CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
}
