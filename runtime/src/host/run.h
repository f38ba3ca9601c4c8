// SPDX-License-Identifier: Apache-2.0
// How a layer is done by a team of threads on the host.
#ifndef RUNTIME_HOST_RUN_H_
#define RUNTIME_HOST_RUN_H_

#include "device.h"
#include "host/pool.h"

typedef struct tsr_host_functions {
  tsr_host_function run;
  tsr_host_function reduce;  // NULL: no layer that uses it needs one
  tsr_host_function pack;    // NULL: reads the input as it is
} tsr_host_functions;

// Everything a thread needs, prepared once per run.
typedef struct tsr_host_launch {
  const tsr_host_layer *layer;
  const uint8_t *stream;  // the layer's, or a copy of it
  const tsr_host_functions *functions;
  tsr_host_args args;  // what all workers have in common
  uint8_t *scratch;    // of thread 0; the others' follow
  uint64_t scratch_size;
} tsr_host_launch;

// The kernel of |layer| for |token_count| tokens, or NULL.
const tsr_bundle_kernel *tsr_host_pick_kernel(const tessera_layer *layer,
                                              uint32_t token_count,
                                              uint32_t *out_index);

// Bytes of the parts of the workspace; false when they overflow.
typedef struct tsr_host_workspace {
  uint64_t partials;
  uint64_t packed;
  uint64_t scratch;  // per thread
  uint64_t total;
} tsr_host_workspace;

TESSERA_MUST_USE bool tsr_host_workspace_measure(
    const tessera_layer *layer, const tsr_bundle_kernel *kernel,
    uint32_t token_count, uint32_t thread_count,
    tsr_host_workspace *out_workspace);

// |run|'s workspace was found large enough for |thread_count| threads.
void tsr_host_launch_init(const tsr_run *run, const tsr_bundle_kernel *kernel,
                          const tsr_host_functions *functions,
                          uint32_t thread_count, tsr_host_launch *out_launch);

// A tsr_job: |opaque| is the tsr_host_launch.
void tsr_host_launch_thread(const void *opaque, const tsr_team_place *place);

#endif  // RUNTIME_HOST_RUN_H_
