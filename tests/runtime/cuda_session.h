// SPDX-License-Identifier: Apache-2.0
// The emulated driver as the runtime's tests use it: the same library that the
// runtime opens (TESSERA_CUDA_DRIVER), with the functions that they call beside
// it, and a program prepared on it.
#ifndef TESTS_RUNTIME_CUDA_SESSION_H_
#define TESTS_RUNTIME_CUDA_SESSION_H_

#include "cuda_bundle.h"
#include "driver/cuda_abi.h"
#include "tessera/cuda_emu.h"
#include "tessera/tessera.h"

// X(name, symbol, parameters)
#define EMU_FUNCTIONS(X)                                                       \
  X(call_count, "tessera_emu_call_count", uint64_t, (const char *))            \
  X(clear_calls, "tessera_emu_clear_calls", void, (void))                      \
  X(fail, "tessera_emu_fail", int, (const char *, uint64_t, int))              \
  X(set_devices, "tessera_emu_set_devices", int, (const char *))               \
  X(finding_count, "tessera_emu_finding_count", size_t, (void))                \
  X(init, "cuInit", CUresult, (unsigned))                                      \
  X(ctx_create, "cuCtxCreate_v2", CUresult, (CUcontext *, unsigned, CUdevice)) \
  X(ctx_destroy, "cuCtxDestroy_v2", CUresult, (CUcontext))                     \
  X(ctx_set, "cuCtxSetCurrent", CUresult, (CUcontext))                         \
  X(ctx_get, "cuCtxGetCurrent", CUresult, (CUcontext *))                       \
  X(stream_create, "cuStreamCreate", CUresult, (CUstream *, unsigned))         \
  X(stream_destroy, "cuStreamDestroy_v2", CUresult, (CUstream))                \
  X(begin_capture, "cuStreamBeginCapture_v2", CUresult, (CUstream, unsigned))  \
  X(end_capture, "cuStreamEndCapture", CUresult, (CUstream, CUgraph *))        \
  X(instantiate, "cuGraphInstantiateWithFlags", CUresult,                      \
    (CUgraphExec *, CUgraph, unsigned long long))                              \
  X(graph_launch, "cuGraphLaunch", CUresult, (CUgraphExec, CUstream))          \
  X(exec_destroy, "cuGraphExecDestroy", CUresult, (CUgraphExec))               \
  X(graph_destroy, "cuGraphDestroy", CUresult, (CUgraph))                      \
  X(primary_state, "cuDevicePrimaryCtxGetState", CUresult,                     \
    (CUdevice, unsigned *, int *))

typedef struct emu {
#define MEMBER(name, symbol, result, parameters) result(*name) parameters;
  EMU_FUNCTIONS(MEMBER)
#undef MEMBER
} emu;

// Opens |path| with |devices| ("h100,a100") and names it to the runtime; ends
// the test when that is not possible.
emu emu_open(const char *path, const char *devices);

// The bundle in |bytes|, opened; NULL with |error| when it is refused.
tessera_bundle *cuda_open_bytes(const tsr_buffer *bytes, bool verify,
                                tessera_error *error);
tessera_bundle *cuda_open_bundle(const cuda_bundle *bundle, bool verify,
                                 tessera_error *error);

#endif  // TESTS_RUNTIME_CUDA_SESSION_H_
