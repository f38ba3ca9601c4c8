// SPDX-License-Identifier: Apache-2.0
// One layer's run with the memory that it needs, on any device: what the tool
// fills and reads lies in its own memory, and is copied to the device's and
// back where that is another. On the host they are the same and nothing is
// copied.
#ifndef TOOLS_TESSERA_LAUNCH_H_
#define TOOLS_TESSERA_LAUNCH_H_

#include "session.h"

typedef struct tsr_device_buffer {
  tessera_device *device;  // NULL: the host
  void *host;
  void *memory;  // what a layer is given
  size_t size;
  bool owns_host;
} tsr_device_buffer;

// |size| bytes at |data|, which the caller keeps; a |data| of NULL is allocated
// here, undefined, aligned to 64 bytes. A size of 0 gives NULL.
TSR_MUST_USE tsr_status tsr_device_buffer_init(const tsr_session *session,
                                               void *data, size_t size,
                                               tsr_device_buffer *out_buffer,
                                               tsr_error *error);
void tsr_device_buffer_fini(tsr_device_buffer *buffer);  // zeroed is legal
TSR_MUST_USE tsr_status
tsr_device_buffer_upload(const tsr_device_buffer *buffer, tsr_error *error);
TSR_MUST_USE tsr_status
tsr_device_buffer_download(const tsr_device_buffer *buffer, tsr_error *error);

typedef struct tsr_launch {
  const tsr_session *session;
  const tessera_layer *layer;
  tsr_device_buffer input, residual, output, workspace;
  tessera_run_args args;  // in the device's memory
} tsr_launch;

// |args|: as for tessera_linear_run, without a workspace, in the tool's memory,
// which must outlive the launch. The output has |output_size| bytes, 0: as many
// as its rows; it is uploaded too, so that what a run leaves as it was is seen.
// On failure |*out_launch| is zeroed.
TSR_MUST_USE tsr_status tsr_launch_init(
    const tsr_session *session, uint32_t layer, const tessera_run_args *args,
    size_t output_size, tsr_launch *out_launch, tsr_error *error);
void tsr_launch_fini(tsr_launch *launch);
// Fills the workspace with |byte| before it is made fit for runs.
TSR_MUST_USE tsr_status tsr_launch_poison(tsr_launch *launch, int byte,
                                          tsr_error *error);
// Runs, waits, and copies the output to the tool's memory.
TSR_MUST_USE tsr_status tsr_launch_run(tsr_launch *launch, tsr_error *error);

// Elements in [-1, 1) rounded to |type|; |state| is any seed. NULL when out of
// memory; for tsr_free.
void *tsr_random_array(size_t count, tsr_dtype type, uint64_t *state);

#endif  // TOOLS_TESSERA_LAUNCH_H_
