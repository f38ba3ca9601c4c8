// SPDX-License-Identifier: Apache-2.0
// Eight threads at once: each with a stream, a context of its own, or its own
// default stream of a shared context.
#include <pthread.h>
#include <stdbool.h>

#include "driver_harness.h"

enum { THREADS = 8, ROUNDS = 12, N = 64 };

static const char text[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry add(.param .u64 p, .param .u32 v) {\n"
    ".reg .b64 %a, %o; .reg .b32 %v, %w, %t; ld.param.u64 %a, [p];\n"
    "mov.u32 %t, %tid.x; mul.wide.u32 %o, %t, 4; add.u64 %a, %a, %o;\n"
    "ld.param.u32 %v, [v]; ld.global.u32 %w, [%a];\n"
    "add.u32 %w, %w, %v; st.global.u32 [%a], %w; ret; }\n";

static CUcontext shared_context;

typedef struct worker {
  pthread_t thread;
  unsigned index;
  bool own_context;
  unsigned wrong;  // calls and values
  unsigned called;
} worker;

static void note(worker *self, CUresult result) {
  self->wrong += result != CUDA_SUCCESS;
}

static void count_call(void *data) {
  ++*(unsigned *)data;
}

static void use(worker *self) {
  CUmodule module = NULL;
  CUfunction function = NULL;
  CUstream stream = NULL;
  CUdeviceptr memory = 0;
  unsigned values[N], total = 0;
  note(self, cuModuleLoadData(&module, text));
  note(self, cuModuleGetFunction(&function, module, "add"));
  note(self, cuStreamCreate(&stream, self->index % 2));
  note(self, cuMemAlloc_v2(&memory, sizeof(values)));
  note(self, cuMemsetD32Async(memory, 0, N, stream));
  for (unsigned i = 0; i < ROUNDS; ++i) {
    unsigned value = self->index * 100 + i;
    total += value;
    void *params[] = {&memory, &value};
    note(self,
         cuLaunchKernel(function, 1, 1, 1, N, 1, 1, 0, stream, params, NULL));
    if (i % 3 == 0) {
      note(self, cuLaunchHostFunc(stream, count_call, &self->called));
    }
    if (i % 4 == 0) note(self, cuStreamSynchronize(stream));
  }
  note(self, cuMemcpyDtoHAsync_v2(values, memory, sizeof(values), stream));
  note(self, cuStreamSynchronize(stream));
  for (unsigned i = 0; i < N; ++i) self->wrong += values[i] != total;
  // This thread's own default stream.
  note(self, cuMemsetD32Async_ptsz(memory, self->index, N, NULL));
  note(self, cuMemcpyDtoH_v2_ptds(values, memory, sizeof(values)));
  for (unsigned i = 0; i < N; ++i) self->wrong += values[i] != self->index;
  note(self, cuMemFree_v2(memory));
  note(self, cuStreamDestroy_v2(stream));
  note(self, cuModuleUnload(module));
}

static void *work(void *data) {
  worker *self = data;
  CUcontext context = NULL;
  if (self->own_context) {
    note(self, cuCtxCreate_v2(&context, 0, 0));
    use(self);
    note(self, cuCtxDestroy_v2(context));
  } else {
    note(self, cuCtxSetCurrent(shared_context));
    use(self);
  }
  return NULL;
}

int main(void) {
  static worker workers[THREADS];
  tessera_emu_config config = {.struct_size = sizeof(config)};
  tessera_emu_get_config(&config);
  config.threads = 2;
  CHECK_EQ(tessera_emu_set_config(&config), 0);
  CHECK_CU(cuInit(0), CUDA_SUCCESS);
  CHECK_CU(cuDevicePrimaryCtxRetain(&shared_context, 0), CUDA_SUCCESS);
  for (unsigned i = 0; i < THREADS; ++i) {
    workers[i].index = i + 1;
    workers[i].own_context = i % 4 == 3;
    CHECK_EQ(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; ++i) {
    CHECK_EQ(pthread_join(workers[i].thread, NULL), 0);
    CHECK_EQ(workers[i].wrong, 0);
    CHECK_EQ(workers[i].called, (ROUNDS + 2) / 3);
  }
  CHECK_EQ(tessera_emu_finding_count(), 0);
  CHECK_EQ(tessera_emu_call_count("cuLaunchKernel"), THREADS * ROUNDS);
  CHECK_CU(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
  tessera_emu_reset();
  return test_finish();
}
