// SPDX-License-Identifier: Apache-2.0
// Graphs as structures: nodes, edges, copies. What nodes do is graph_nodes.c's,
// running them graph_exec.c's.
#include "base/memory.h"
#include "driver/driver.h"

static CUgraph find_graph(CUgraph handle) {
  return tsr_object_get(handle, TSR_OBJECT_GRAPH);
}

static CUgraphNode find_node(CUgraphNode handle) {
  return tsr_object_get(handle, TSR_OBJECT_NODE);
}

CUgraph tsr_graph_create(void) {
  CUgraph graph = tsr_calloc(1, sizeof(*graph));
  if (graph == NULL) return NULL;
  graph->last = &graph->first;
  tsr_object_add(&graph->object, TSR_OBJECT_GRAPH, NULL);
  return graph;
}

static void free_node(CUgraphNode node) {
  tsr_object_remove(&node->object);
  tsr_work_release(node->work);
  if (node->child != NULL) tsr_graph_destroy(node->child);
  tsr_free(node->before);
  tsr_free(node->values);
  tsr_free(node);
}

void tsr_graph_destroy(CUgraph graph) {
  while (graph->first != NULL) {
    CUgraphNode node = graph->first;
    graph->first = node->next;
    free_node(node);
  }
  tsr_object_remove(&graph->object);
  tsr_free(graph);
}

CUresult tsr_cuGraphCreate(CUgraph *out_graph, unsigned flags) {
  if (out_graph == NULL || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  CUgraph graph = tsr_graph_create();
  if (graph == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  *out_graph = graph;
  return CUDA_SUCCESS;
}

// A graph that a stream captures into is not the caller's to destroy.
static bool is_captured_into(CUgraph graph) {
  for (CUcontext at = tsr_the.contexts; at != NULL; at = at->next) {
    for (CUstream in = at->streams; in != NULL; in = in->next) {
      if (in->capture == graph) return true;
    }
  }
  return false;
}

CUresult tsr_cuGraphDestroy(CUgraph handle) {
  CUgraph graph = find_graph(handle);
  if (graph == NULL || is_captured_into(graph)) return CUDA_ERROR_INVALID_VALUE;
  tsr_graph_destroy(graph);
  return CUDA_SUCCESS;
}

// --- Nodes ------------------------------------------------------------------

static bool is_before(CUgraphNode node, CUgraphNode before) {
  for (uint32_t i = 0; i < node->before_count; ++i) {
    if (node->before[i] == before) return true;
  }
  return false;
}

static CUresult check_before(CUgraph graph, const CUgraphNode *before,
                             size_t count) {
  if ((count > 0 && before == NULL) || count > UINT32_MAX) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < count; ++i) {
    CUgraphNode node = find_node(before[i]);
    if (node == NULL || node->graph != graph) return CUDA_ERROR_INVALID_VALUE;
    for (size_t k = 0; k < i; ++k) {
      if (before[k] == before[i]) return CUDA_ERROR_INVALID_VALUE;
    }
  }
  return CUDA_SUCCESS;
}

CUresult tsr_graph_add(CUgraph graph, const CUgraphNode *before, size_t count,
                       CUgraphNodeType type, tsr_work *work,
                       CUgraphNode *out_node) {
  CUresult result = check_before(graph, before, count);
  CUgraphNode node = NULL;
  if (result == CUDA_SUCCESS) {
    node = tsr_calloc(1, sizeof(*node));
    result = node == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
  }
  if (result == CUDA_SUCCESS) {
    node->before = tsr_calloc(count + 1, sizeof(CUgraphNode));
    if (node->before == NULL) {
      tsr_free(node);
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  if (result != CUDA_SUCCESS) {
    tsr_work_release(work);
    return result;
  }
  if (count > 0) memcpy(node->before, before, count * sizeof(CUgraphNode));
  node->before_count = (uint32_t)count;
  node->graph = graph;
  node->type = type;
  node->work = work;
  *graph->last = node;
  graph->last = &node->next;
  ++graph->count;
  tsr_object_add(&node->object, TSR_OBJECT_NODE, NULL);
  *out_node = node;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphDestroyNode(CUgraphNode handle) {
  CUgraphNode node = find_node(handle);
  if (node == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUgraph graph = node->graph;
  graph->last = &graph->first;
  for (CUgraphNode at = graph->first; at != NULL; at = at->next) {
    for (uint32_t i = 0; i < at->before_count; ++i) {
      if (at->before[i] != node) continue;
      at->before[i] = at->before[--at->before_count];
      break;
    }
    if (at == node) {
      *graph->last = at->next;
    } else {
      graph->last = &at->next;
    }
  }
  --graph->count;
  free_node(node);
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType *out_type) {
  CUgraphNode node = find_node(handle);
  if (node == NULL || out_type == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_type = node->type;
  return CUDA_SUCCESS;
}

// --- Listing: with no array, only the count ---------------------------------

static CUresult list_nodes(CUgraph handle, CUgraphNode *out_nodes,
                           size_t *count, bool roots) {
  CUgraph graph = find_graph(handle);
  if (graph == NULL || count == NULL) return CUDA_ERROR_INVALID_VALUE;
  size_t found = 0;
  for (CUgraphNode at = graph->first; at != NULL; at = at->next) {
    if (roots && at->before_count > 0) continue;
    if (out_nodes != NULL && found < *count) out_nodes[found] = at;
    ++found;
  }
  // What is left of the array is cleared.
  for (size_t i = found; out_nodes != NULL && i < *count; ++i) {
    out_nodes[i] = NULL;
  }
  if (out_nodes == NULL || found < *count) *count = found;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphGetNodes(CUgraph graph, CUgraphNode *out_nodes,
                             size_t *count) {
  return list_nodes(graph, out_nodes, count, false);
}

CUresult tsr_cuGraphGetRootNodes(CUgraph graph, CUgraphNode *out_nodes,
                                 size_t *count) {
  return list_nodes(graph, out_nodes, count, true);
}

CUresult tsr_cuGraphGetEdges_v2(CUgraph handle, CUgraphNode *out_from,
                                CUgraphNode *out_to, CUgraphEdgeData *out_edges,
                                size_t *count) {
  CUgraph graph = find_graph(handle);
  if (graph == NULL || count == NULL ||
      (out_from == NULL) != (out_to == NULL)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  size_t found = 0;
  for (CUgraphNode at = graph->first; at != NULL; at = at->next) {
    for (uint32_t i = 0; i < at->before_count; ++i, ++found) {
      if (out_from == NULL || found >= *count) continue;
      out_from[found] = at->before[i];
      out_to[found] = at;
      if (out_edges != NULL) out_edges[found] = (CUgraphEdgeData){0};
    }
  }
  for (size_t i = found; out_from != NULL && i < *count; ++i) {
    out_from[i] = out_to[i] = NULL;
  }
  if (out_from == NULL || found < *count) *count = found;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphGetEdges(CUgraph graph, CUgraphNode *out_from,
                             CUgraphNode *out_to, size_t *count) {
  return tsr_cuGraphGetEdges_v2(graph, out_from, out_to, NULL, count);
}

static void clear_edges(CUgraphEdgeData *edges, const size_t *count) {
  if (edges != NULL && count != NULL) {
    memset(edges, 0, *count * sizeof(*edges));
  }
}

CUresult tsr_cuGraphNodeGetDependencies(CUgraphNode handle,
                                        CUgraphNode *out_nodes, size_t *count) {
  CUgraphNode node = find_node(handle);
  if (node == NULL || count == NULL) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; out_nodes != NULL && i < *count; ++i) {
    out_nodes[i] = i < node->before_count ? node->before[i] : NULL;
  }
  if (out_nodes == NULL || node->before_count < *count) {
    *count = node->before_count;
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphNodeGetDependencies_v2(CUgraphNode node,
                                           CUgraphNode *out_nodes,
                                           CUgraphEdgeData *out_edges,
                                           size_t *count) {
  clear_edges(out_nodes == NULL ? NULL : out_edges, count);
  return tsr_cuGraphNodeGetDependencies(node, out_nodes, count);
}

CUresult tsr_cuGraphNodeGetDependentNodes(CUgraphNode handle,
                                          CUgraphNode *out_nodes,
                                          size_t *count) {
  CUgraphNode node = find_node(handle);
  if (node == NULL || count == NULL) return CUDA_ERROR_INVALID_VALUE;
  size_t found = 0;
  for (CUgraphNode at = node->graph->first; at != NULL; at = at->next) {
    if (!is_before(at, node)) continue;
    if (out_nodes != NULL && found < *count) out_nodes[found] = at;
    ++found;
  }
  for (size_t i = found; out_nodes != NULL && i < *count; ++i) {
    out_nodes[i] = NULL;
  }
  if (out_nodes == NULL || found < *count) *count = found;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphNodeGetDependentNodes_v2(CUgraphNode node,
                                             CUgraphNode *out_nodes,
                                             CUgraphEdgeData *out_edges,
                                             size_t *count) {
  clear_edges(out_nodes == NULL ? NULL : out_edges, count);
  return tsr_cuGraphNodeGetDependentNodes(node, out_nodes, count);
}

// --- Edges ------------------------------------------------------------------

static CUresult check_edges(CUgraph graph, const CUgraphNode *from,
                            const CUgraphNode *to, size_t count) {
  if (graph == NULL || (count > 0 && (from == NULL || to == NULL))) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < count; ++i) {
    CUgraphNode a = find_node(from[i]), b = find_node(to[i]);
    if (a == NULL || b == NULL || a == b || a->graph != graph ||
        b->graph != graph) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphAddDependencies(CUgraph handle, const CUgraphNode *from,
                                    const CUgraphNode *to, size_t count) {
  CUresult result = check_edges(find_graph(handle), from, to, count);
  for (size_t i = 0; result == CUDA_SUCCESS && i < count; ++i) {
    if (is_before(to[i], from[i])) return CUDA_ERROR_INVALID_VALUE;
    uint32_t before_count = to[i]->before_count + 1;
    CUgraphNode *grown = tsr_realloc(
        to[i]->before, (before_count + (size_t)1) * sizeof(CUgraphNode));
    if (grown == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    grown[before_count - 1] = from[i];
    to[i]->before = grown;
    to[i]->before_count = before_count;
  }
  return result;
}

CUresult tsr_cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode *from,
                                       const CUgraphNode *to,
                                       const CUgraphEdgeData *edges,
                                       size_t count) {
  if (!tsr_graph_plain_edges(edges, count)) return CUDA_ERROR_NOT_SUPPORTED;
  return tsr_cuGraphAddDependencies(graph, from, to, count);
}

CUresult tsr_cuGraphRemoveDependencies(CUgraph handle, const CUgraphNode *from,
                                       const CUgraphNode *to, size_t count) {
  CUresult result = check_edges(find_graph(handle), from, to, count);
  for (size_t i = 0; result == CUDA_SUCCESS && i < count; ++i) {
    if (!is_before(to[i], from[i])) return CUDA_ERROR_INVALID_VALUE;
    for (uint32_t k = 0; k < to[i]->before_count; ++k) {
      if (to[i]->before[k] != from[i]) continue;
      to[i]->before[k] = to[i]->before[--to[i]->before_count];
      break;
    }
  }
  return result;
}

CUresult tsr_cuGraphRemoveDependencies_v2(CUgraph graph,
                                          const CUgraphNode *from,
                                          const CUgraphNode *to,
                                          const CUgraphEdgeData *edges,
                                          size_t count) {
  if (!tsr_graph_plain_edges(edges, count)) return CUDA_ERROR_NOT_SUPPORTED;
  return tsr_cuGraphRemoveDependencies(graph, from, to, count);
}

bool tsr_graph_plain_edges(const CUgraphEdgeData *edges, size_t count) {
  for (size_t i = 0; edges != NULL && i < count; ++i) {
    if (edges[i].from_port != 0 || edges[i].to_port != 0 ||
        edges[i].type != 0) {
      return false;
    }
  }
  return true;
}

// --- Copies -----------------------------------------------------------------

static CUgraphNode find_copy(CUgraph copy, CUgraphNode original) {
  for (CUgraphNode at = copy->first; at != NULL; at = at->next) {
    if (at->origin == original) return at;
  }
  return NULL;
}

// Edges may lead from later nodes to earlier ones, so they come second.
static CUresult copy_edges(CUgraph graph, CUgraph copy) {
  for (CUgraphNode at = graph->first; at != NULL; at = at->next) {
    CUgraphNode to = find_copy(copy, at);
    for (uint32_t i = 0; i < at->before_count; ++i) {
      CUgraphNode from = find_copy(copy, at->before[i]);
      CUresult result = tsr_cuGraphAddDependencies(copy, &from, &to, 1);
      if (result != CUDA_SUCCESS) return result;
    }
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphClone(CUgraph *out_graph, CUgraph handle) {
  CUgraph graph = find_graph(handle);
  if (graph == NULL || out_graph == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUgraph copy = tsr_graph_create();
  if (copy == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult result = CUDA_SUCCESS;
  for (CUgraphNode at = graph->first; result == CUDA_SUCCESS && at != NULL;
       at = at->next) {
    CUgraphNode node = NULL;
    if (at->work != NULL) tsr_work_retain(at->work);
    result = tsr_graph_add(copy, NULL, 0, at->type, at->work, &node);
    if (result != CUDA_SUCCESS) break;
    node->origin = at;
    if (at->child != NULL) result = tsr_cuGraphClone(&node->child, at->child);
  }
  if (result == CUDA_SUCCESS) result = copy_edges(graph, copy);
  if (result != CUDA_SUCCESS) {
    tsr_graph_destroy(copy);
    return result;
  }
  *out_graph = copy;
  return CUDA_SUCCESS;
}

CUresult tsr_cuGraphNodeFindInClone(CUgraphNode *out_node, CUgraphNode original,
                                    CUgraph handle) {
  CUgraph graph = find_graph(handle);
  if (graph == NULL || out_node == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_node = find_copy(graph, original);
  return *out_node == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
