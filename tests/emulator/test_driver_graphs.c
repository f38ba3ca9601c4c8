// SPDX-License-Identifier: Apache-2.0
// Capture and graphs: what is recorded runs at each launch, in any order that
// the edges allow; what capture forbids is refused and spoils the capture.
#include "driver_harness.h"

static const char text[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry add(.param .u64 p, .param .u32 v) {\n"
    ".reg .b64 %a; .reg .b32 %v, %w; ld.param.u64 %a, [p];\n"
    "ld.param.u32 %v, [v]; ld.global.u32 %w, [%a];\n"
    "add.u32 %w, %w, %v; st.global.u32 [%a], %w; ret; }\n"
    ".visible .entry twice(.param .u64 p) {\n"
    ".reg .b64 %a; .reg .b32 %w; ld.param.u64 %a, [p];\n"
    "ld.global.u32 %w, [%a]; shl.b32 %w, %w, 1; st.global.u32 [%a], %w;\n"
    "ret; }\n";

static CUfunction add_function, twice_function;
static unsigned *host;
static CUdeviceptr device;

static void add(unsigned value, CUstream stream) {
  void *params[] = {&device, &value};
  CHECK_CU(
      cuLaunchKernel(add_function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
      CUDA_SUCCESS);
}

static void twice(CUstream stream) {
  void *params[] = {&device};
  CHECK_CU(
      cuLaunchKernel(twice_function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
      CUDA_SUCCESS);
}

static unsigned launch(CUgraphExec exec, CUstream stream, unsigned start) {
  *host = start;
  CHECK_CU(cuGraphLaunch(exec, stream), CUDA_SUCCESS);
  CHECK_EQ(*host, start);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_SUCCESS);
  return *host;
}

static void capture(CUstream stream, CUstream side) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  CUevent fork = NULL, join = NULL;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  CHECK_CU(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  CHECK_CU(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  CHECK_CU(cuStreamIsCapturing(stream, &status), CUDA_SUCCESS);
  CHECK_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
  CHECK_CU(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
  CHECK_CU(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
           CUDA_SUCCESS);
  CHECK_CU(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
           CUDA_ERROR_ILLEGAL_STATE);
  *host = 1;
  add(2, stream);
  CHECK_CU(cuEventRecord(fork, stream), CUDA_SUCCESS);
  CHECK_CU(cuStreamWaitEvent(side, fork, 0), CUDA_SUCCESS);
  CHECK_CU(cuStreamIsCapturing(side, &status), CUDA_SUCCESS);
  CHECK_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
  twice(side);
  CHECK_CU(cuEventRecord(join, side), CUDA_SUCCESS);
  CHECK_CU(cuEventQuery(join), CUDA_ERROR_CAPTURED_EVENT);
  CHECK_CU(cuStreamWaitEvent(stream, join, 0), CUDA_SUCCESS);
  add(3, stream);
  CHECK_CU(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  CHECK_CU(cuStreamIsCapturing(side, &status), CUDA_SUCCESS);
  CHECK_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
  CHECK_EQ(*host, 1);  // nothing has run
  CHECK_CU(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  CUgraphNode nodes[4];
  size_t count = 4;
  CHECK_CU(cuGraphGetNodes(graph, nodes, &count), CUDA_SUCCESS);
  CHECK_EQ(count, 3);
  CHECK(nodes[3] == NULL);
  CHECK_CU(cuGraphGetEdges(graph, NULL, NULL, &count), CUDA_SUCCESS);
  CHECK_EQ(count, 3 - 1 + 1);  // 0-1, 1-2, 0-2
  CHECK_EQ(launch(exec, stream, 1), 9);
  CHECK_EQ(launch(exec, stream, 10), 27);
  // New parameters for the last node; a launch made before keeps the old.
  CUDA_KERNEL_NODE_PARAMS params;
  CHECK_CU(cuGraphKernelNodeGetParams_v2(nodes[2], &params), CUDA_SUCCESS);
  CHECK(params.func == add_function);
  CHECK_EQ(*(unsigned *)params.kernelParams[1], 3);
  unsigned value = 100;
  void *values[] = {&device, &value};
  params.kernelParams = values;
  *host = 1;
  CHECK_CU(cuGraphLaunch(exec, stream), CUDA_SUCCESS);
  CHECK_CU(cuGraphExecKernelNodeSetParams_v2(exec, nodes[2], &params),
           CUDA_SUCCESS);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_SUCCESS);
  CHECK_EQ(*host, 9);
  CHECK_EQ(launch(exec, stream, 1), 106);
  CHECK_CU(cuGraphDestroy(graph), CUDA_SUCCESS);
  CHECK_CU(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(launch(exec, stream, 2), 108);  // outlives the graph
  CHECK_CU(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  CHECK_CU(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuEventDestroy_v2(fork), CUDA_SUCCESS);
  CHECK_CU(cuEventDestroy_v2(join), CUDA_SUCCESS);
}

static void forbidden(CUstream stream, CUstream side) {
  CUgraph graph = NULL;
  CUdeviceptr memory = 0;
  CUstream blocking = NULL;
  CHECK_CU(cuStreamBeginCapture_v2(NULL, 0),
           CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  const CUstreamCaptureMode global = CU_STREAM_CAPTURE_MODE_GLOBAL;
  CHECK_CU(cuStreamBeginCapture_v2(stream, global), CUDA_SUCCESS);
  CHECK_CU(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  void *params[] = {&device};
  CHECK_CU(
      cuLaunchKernel(twice_function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
      CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK_CU(cuStreamEndCapture(stream, &graph),
           CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(graph == NULL);
  CHECK_CU(cuStreamBeginCapture_v2(stream, global), CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&memory, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CHECK_CU(cuStreamEndCapture(stream, &graph),
           CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  // A relaxed capture, or a relaxed thread, allows it.
  CHECK_CU(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED),
           CUDA_SUCCESS);
  CHECK_CU(cuMemAlloc_v2(&memory, 4), CUDA_SUCCESS);
  CHECK_CU(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  CHECK_CU(cuGraphDestroy(graph), CUDA_SUCCESS);
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  CHECK_CU(cuStreamBeginCapture_v2(stream, global), CUDA_SUCCESS);
  CHECK_CU(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
  CHECK_EQ(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
  CHECK_CU(cuMemFree_v2(memory), CUDA_SUCCESS);
  CHECK_CU(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
  CHECK_CU(cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  CHECK_CU(cuGraphDestroy(graph), CUDA_SUCCESS);
  // Work of others cannot come in, and others must come back.
  CUevent event = NULL;
  CHECK_CU(cuEventCreate(&event, 0), CUDA_SUCCESS);
  add(1, side);
  CHECK_CU(cuEventRecord(event, side), CUDA_SUCCESS);
  CHECK_CU(cuStreamBeginCapture_v2(stream, global), CUDA_SUCCESS);
  CHECK_CU(cuStreamWaitEvent(stream, event, 0),
           CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  CHECK_CU(cuStreamEndCapture(stream, &graph),
           CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK_CU(cuStreamBeginCapture_v2(stream, global), CUDA_SUCCESS);
  add(1, stream);
  CHECK_CU(cuEventRecord(event, stream), CUDA_SUCCESS);
  CHECK_CU(cuStreamWaitEvent(side, event, 0), CUDA_SUCCESS);
  add(1, side);
  CHECK_CU(cuStreamEndCapture(stream, &graph),
           CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  CHECK_CU(cuStreamBeginCapture_v2(stream, global), CUDA_SUCCESS);
  add(1, stream);
  CHECK_CU(cuEventRecord(event, stream), CUDA_SUCCESS);
  CHECK_CU(cuStreamWaitEvent(side, event, 0), CUDA_SUCCESS);
  CHECK_CU(cuStreamEndCapture(side, &graph),
           CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
  CHECK_CU(cuStreamEndCapture(stream, &graph),
           CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  // The legacy stream would have to wait for a blocking stream's capture.
  CHECK_CU(cuStreamCreate(&blocking, 0), CUDA_SUCCESS);
  CHECK_CU(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED),
           CUDA_SUCCESS);
  CHECK_CU(
      cuLaunchKernel(twice_function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
      CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  CHECK_CU(cuStreamDestroy_v2(blocking), CUDA_SUCCESS);
  CHECK_CU(cuEventDestroy_v2(event), CUDA_SUCCESS);
}

static void count_call(void *data) {
  ++*(unsigned *)data;
}

static void built(CUstream stream) {
  CUgraph graph = NULL, child = NULL, clone = NULL;
  CUgraphExec exec = NULL;
  CUgraphNode fill = NULL, called = NULL, inner = NULL, outer = NULL,
              last = NULL, found = NULL, empty = NULL;
  unsigned calls = 0;
  CHECK_CU(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
  CHECK_CU(cuGraphCreate(&child, 0), CUDA_SUCCESS);
  CUDA_MEMSET_NODE_PARAMS set = {
      .dst = device, .value = 21, .elementSize = 4, .width = 1, .height = 1};
  CHECK_CU(cuGraphAddMemsetNode(&fill, graph, NULL, 0, &set, NULL),
           CUDA_SUCCESS);
  void *params[] = {&device};
  CUDA_KERNEL_NODE_PARAMS kernel = {.func = twice_function,
                                    .gridDimX = 1,
                                    .gridDimY = 1,
                                    .gridDimZ = 1,
                                    .blockDimX = 1,
                                    .blockDimY = 1,
                                    .blockDimZ = 1,
                                    .kernelParams = params};
  CHECK_CU(cuGraphAddKernelNode_v2(&inner, child, NULL, 0, &kernel),
           CUDA_SUCCESS);
  CHECK_CU(cuGraphAddChildGraphNode(&outer, graph, &fill, 1, child),
           CUDA_SUCCESS);
  CHECK_CU(cuGraphDestroy(child), CUDA_SUCCESS);  // it was copied
  CUDA_HOST_NODE_PARAMS call = {count_call, &calls};
  CHECK_CU(cuGraphAddHostNode(&called, graph, &outer, 1, &call), CUDA_SUCCESS);
  CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                        .srcDevice = device,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstDevice = device + 4,
                        .WidthInBytes = 4,
                        .Height = 1,
                        .Depth = 1};
  CHECK_CU(cuGraphAddMemcpyNode(&last, graph, &called, 1, &copy, NULL),
           CUDA_SUCCESS);
  CHECK_CU(cuGraphAddEmptyNode(&empty, graph, &last, 1), CUDA_SUCCESS);
  CHECK_CU(cuGraphAddEmptyNode(&found, graph, &inner, 1),
           CUDA_ERROR_INVALID_VALUE);  // of another graph, and gone
  CUgraphNodeType type;
  CHECK_CU(cuGraphNodeGetType(outer, &type), CUDA_SUCCESS);
  CHECK_EQ(type, CU_GRAPH_NODE_TYPE_GRAPH);
  CHECK_CU(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  for (unsigned i = 1; i <= 8; ++i) {  // whatever order is drawn
    host[1] = 0;
    CHECK_EQ(launch(exec, stream, 1), 42);
    CHECK_EQ(host[1], 42);
    CHECK_EQ(calls, i);
  }
  set.value = 5;
  CHECK_CU(cuGraphExecMemsetNodeSetParams(exec, fill, &set, NULL),
           CUDA_SUCCESS);
  CHECK_EQ(launch(exec, stream, 1), 10);
  CHECK_CU(cuGraphExecMemsetNodeSetParams(exec, called, &set, NULL),
           CUDA_ERROR_INVALID_VALUE);
  // A clone is its own graph.
  CHECK_CU(cuGraphClone(&clone, graph), CUDA_SUCCESS);
  CHECK_CU(cuGraphNodeFindInClone(&found, fill, clone), CUDA_SUCCESS);
  set.value = 8;
  CHECK_CU(cuGraphMemsetNodeSetParams(found, &set), CUDA_SUCCESS);
  CUgraphExecUpdateResultInfo info;
  CHECK_CU(cuGraphExecUpdate_v2(exec, clone, &info), CUDA_SUCCESS);
  CHECK_EQ(launch(exec, stream, 1), 16);
  CHECK_CU(cuGraphDestroyNode(found), CUDA_SUCCESS);
  CHECK_CU(cuGraphExecUpdate_v2(exec, clone, &info),
           CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  CHECK_CU(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  // Without the edge the copy may come first: it does for some seed.
  CHECK_CU(cuGraphRemoveDependencies(graph, &called, &last, 1), CUDA_SUCCESS);
  CHECK_CU(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  unsigned early = 0;
  for (unsigned i = 0; i < 20; ++i) {
    CHECK_EQ(launch(exec, stream, 1), 42);
    early += host[1] != 42;
  }
  CHECK(early > 0 && early < 20);
  CHECK_CU(cuGraphExecDestroy(exec), CUDA_SUCCESS);
  // A cycle cannot run.
  CHECK_CU(cuGraphAddDependencies(graph, &called, &fill, 1), CUDA_SUCCESS);
  CHECK_CU(cuGraphInstantiateWithFlags(&exec, graph, 0),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_CU(cuGraphDestroy(graph), CUDA_SUCCESS);
  CHECK_CU(cuGraphDestroy(clone), CUDA_SUCCESS);
}

int main(void) {
  driver_quiet();
  CUcontext context = NULL;
  CUmodule module = NULL;
  CUstream stream = NULL, side = NULL;
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_CU(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
  CHECK_CU(cuModuleLoadData(&module, text), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&add_function, module, "add"), CUDA_SUCCESS);
  CHECK_CU(cuModuleGetFunction(&twice_function, module, "twice"), CUDA_SUCCESS);
  CHECK_CU(cuMemHostAlloc((void **)&host, 64, 0), CUDA_SUCCESS);
  device = (CUdeviceptr)(uintptr_t)host;
  CHECK_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  CHECK_CU(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  capture(stream, side);
  forbidden(stream, side);
  built(stream);
  CHECK_CU(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  tessera_emu_reset();
  return test_finish();
}
