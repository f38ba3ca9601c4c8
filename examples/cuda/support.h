// SPDX-License-Identifier: Apache-2.0
// What both programs share: the few functions of the CUDA driver that they
// call, found when a program starts; checks that end it; numbers to compute
// with. An application that has a CUDA toolkit includes <cuda.h> and links
// libcuda instead of the first part.
#ifndef SUPPORT_H_
#define SUPPORT_H_

#include <stddef.h>
#include <stdint.h>
#include <tessera/tessera.h>

// ---- The part of cuda.h that is used ---------------------------------------

typedef int CUresult, CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUgraphNode_st *CUgraphNode;

enum {
  CU_STREAM_NON_BLOCKING = 1,
  CU_STREAM_CAPTURE_MODE_GLOBAL = 0,
};

// X(member, symbol in the library, parameters). Symbols carry the version of
// the function; a driver keeps the old ones.
#define DRIVER_FUNCTIONS(X)                                                  \
  X(get_error_name, cuGetErrorName, (CUresult, const char **))               \
  X(init, cuInit, (unsigned))                                                \
  X(device_get, cuDeviceGet, (CUdevice *, int))                              \
  X(context_retain, cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))       \
  X(context_release, cuDevicePrimaryCtxRelease_v2, (CUdevice))               \
  X(context_set, cuCtxSetCurrent, (CUcontext))                               \
  X(context_create, cuCtxCreate_v2, (CUcontext *, unsigned, CUdevice))       \
  X(context_destroy, cuCtxDestroy_v2, (CUcontext))                           \
  X(memory_allocate, cuMemAlloc_v2, (CUdeviceptr *, size_t))                 \
  X(memory_free, cuMemFree_v2, (CUdeviceptr))                                \
  X(upload, cuMemcpyHtoDAsync_v2,                                            \
    (CUdeviceptr, const void *, size_t, CUstream))                           \
  X(download, cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t, CUstream)) \
  X(fill, cuMemsetD8Async, (CUdeviceptr, unsigned char, size_t, CUstream))   \
  X(stream_create, cuStreamCreate, (CUstream *, unsigned))                   \
  X(stream_synchronize, cuStreamSynchronize, (CUstream))                     \
  X(stream_destroy, cuStreamDestroy_v2, (CUstream))                          \
  X(begin_capture, cuStreamBeginCapture_v2, (CUstream, int))                 \
  X(end_capture, cuStreamEndCapture, (CUstream, CUgraph *))                  \
  X(graph_nodes, cuGraphGetNodes, (CUgraph, CUgraphNode *, size_t *))        \
  X(graph_instantiate, cuGraphInstantiateWithFlags,                          \
    (CUgraphExec *, CUgraph, unsigned long long))                            \
  X(graph_launch, cuGraphLaunch, (CUgraphExec, CUstream))                    \
  X(graph_executable_destroy, cuGraphExecDestroy, (CUgraphExec))             \
  X(graph_destroy, cuGraphDestroy, (CUgraph))

typedef struct cuda_driver {
#define MEMBER(member, symbol, parameters) CUresult(*member) parameters;
  DRIVER_FUNCTIONS(MEMBER)
#undef MEMBER
} cuda_driver;

extern cuda_driver cuda;

// Opens TESSERA_CUDA_DRIVER, or libcuda.so.1, as libtessera does, and fills
// |cuda|. Ends the program where there is none.
void open_driver(void);

// ---- Checks: print to stderr and end the program ----------------------------

#define CUDA(call) check_cuda((call), #call)
#define TESSERA(call) check_tessera((call), &error, #call)
void check_cuda(CUresult result, const char *call);
void check_tessera(tessera_status status, const tessera_error *error,
                   const char *call);

// ---- Numbers ----------------------------------------------------------------

// bfloat16 is the upper half of a float.
float from_bf16(uint16_t bits);
// |count| numbers in [-1, 1) that bfloat16 holds exactly, from a seed.
void fill_bf16(uint16_t *out, size_t count, uint32_t seed);
// calloc that ends the program where there is no memory.
void *allocate(size_t count, size_t size);

#endif  // SUPPORT_H_
