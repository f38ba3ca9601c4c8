// SPDX-License-Identifier: Apache-2.0
// See launch.h.
#include "launch.h"

#include <string.h>

#include "base/memory.h"
#include "emulator.h"
#include "reference.h"

tsr_status tsr_device_buffer_init(const tsr_session *session, void *data,
                                  size_t size, tsr_device_buffer *out_buffer,
                                  tsr_error *error) {
  tsr_device_buffer b = {.size = size, .host = data};
  memset(out_buffer, 0, sizeof(*out_buffer));
  if (size == 0) return TSR_OK;
  if (data == NULL) {
    b.host = tsr_aligned_alloc(64, size);
    if (b.host == NULL) return tsr_error_out_of_memory(error);
    b.owns_host = true;
  }
  b.memory = b.host;
  tsr_status status = TSR_OK;
  if (session->is_cuda) {
    tessera_error failure = {0};
    b.device = session->device;
    status = tsr_session_status(
        tessera_device_allocate(b.device, size, &b.memory, &failure), &failure,
        error);
    if (status != TSR_OK) b.memory = NULL;
  }
  if (status == TSR_OK) {
    *out_buffer = b;
  } else {
    tsr_device_buffer_fini(&b);
  }
  return status;
}

void tsr_device_buffer_fini(tsr_device_buffer *b) {
  if (b->device != NULL) tessera_device_free(b->device, b->memory);
  if (b->owns_host) tsr_free(b->host);
  memset(b, 0, sizeof(*b));
}

tsr_status tsr_device_buffer_upload(const tsr_device_buffer *b,
                                    tsr_error *error) {
  tessera_error failure = {0};
  if (b->device == NULL) return TSR_OK;
  return tsr_session_status(tessera_device_write(b->device, b->memory, b->host,
                                                 b->size, NULL, &failure),
                            &failure, error);
}

tsr_status tsr_device_buffer_download(const tsr_device_buffer *b,
                                      tsr_error *error) {
  tessera_error failure = {0};
  if (b->device == NULL) return TSR_OK;
  return tsr_session_status(tessera_device_read(b->device, b->host, b->memory,
                                                b->size, NULL, &failure),
                            &failure, error);
}

// ---- A layer's run ---------------------------------------------------------

// The matrix |data| of the tool's memory, which devices that are not the host
// get a copy of.
static tsr_status init_matrix(const tsr_session *session, const void *data,
                              size_t size, tsr_device_buffer *out,
                              tsr_error *error) {
  union {  // inputs are constant for layers, and are not written here either
    const void *in;
    void *out;
  } pointer = {.in = data};
  tsr_status status = tsr_device_buffer_init(
      session, pointer.out, data == NULL ? 0 : size, out, error);
  if (status == TSR_OK && out->size != 0) {
    status = tsr_device_buffer_upload(out, error);
  }
  return status;
}

static size_t matrix_size(uint32_t tokens, int64_t stride, uint32_t columns,
                          tessera_dtype type) {
  size_t elements = stride == 0 ? columns : (size_t)stride;
  return tokens * elements * tsr_dtype_size((tsr_dtype)type);
}

static tsr_status init_matrices(tsr_launch *l, const tessera_run_args *args,
                                const tessera_layer_info *info,
                                size_t output_size, tsr_error *error) {
  uint32_t tokens = args->token_count;
  size_t input_size =
      matrix_size(tokens, args->input_stride, info->columns, info->input_type);
  size_t residual_size = matrix_size(tokens, args->residual_stride,
                                     info->output_columns, info->output_type);
  if (output_size == 0) {
    output_size = matrix_size(tokens, args->output_stride, info->output_columns,
                              info->output_type);
  }
  tsr_status status =
      init_matrix(l->session, args->input, input_size, &l->input, error);
  if (status == TSR_OK) {
    status = init_matrix(l->session, args->residual, residual_size,
                         &l->residual, error);
  }
  if (status == TSR_OK) {
    status =
        init_matrix(l->session, args->output, output_size, &l->output, error);
  }
  l->args.input = l->input.memory;
  l->args.residual = l->residual.memory;
  l->args.output = l->output.memory;
  return status;
}

static tsr_status init_workspace(tsr_launch *launch, tsr_error *error) {
  size_t size = 0;
  tessera_error failure = {0};
  tessera_status status =
      tessera_layer_workspace(launch->session->program, launch->layer,
                              launch->args.token_count, &size, &failure);
  if (status != TESSERA_OK) return tsr_session_status(status, &failure, error);
  return tsr_device_buffer_init(launch->session, NULL, size, &launch->workspace,
                                error);
}

static tsr_status prepare_workspace(const tsr_launch *launch,
                                    tsr_error *error) {
  tessera_error failure = {0};
  if (launch->workspace.size == 0) return TSR_OK;
  return tsr_session_status(
      tessera_workspace_init(launch->session->program, launch->args.workspace,
                             launch->args.workspace_size, NULL, &failure),
      &failure, error);
}

tsr_status tsr_launch_init(const tsr_session *session, uint32_t layer,
                           const tessera_run_args *args, size_t output_size,
                           tsr_launch *out_launch, tsr_error *error) {
  tsr_launch l = {.session = session,
                  .layer = tessera_bundle_layer(session->bundle, layer),
                  .args = *args};
  tessera_layer_info info;
  memset(out_launch, 0, sizeof(*out_launch));
  tsr_status status = tsr_session_query(session, layer, &info, error);
  if (status == TSR_OK) {
    status = init_matrices(&l, args, &info, output_size, error);
  }
  if (status == TSR_OK) status = init_workspace(&l, error);
  l.args.workspace = l.workspace.memory;
  l.args.workspace_size = l.workspace.size;
  if (status == TSR_OK) status = prepare_workspace(&l, error);
  if (status == TSR_OK) {
    *out_launch = l;
  } else {
    tsr_launch_fini(&l);
  }
  return status;
}

void tsr_launch_fini(tsr_launch *launch) {
  tsr_device_buffer_fini(&launch->input);
  tsr_device_buffer_fini(&launch->residual);
  tsr_device_buffer_fini(&launch->output);
  tsr_device_buffer_fini(&launch->workspace);
  memset(launch, 0, sizeof(*launch));
}

tsr_status tsr_launch_poison(tsr_launch *launch, int byte, tsr_error *error) {
  if (launch->workspace.size == 0) return TSR_OK;
  memset(launch->workspace.host, byte, launch->workspace.size);
  tsr_status status = tsr_device_buffer_upload(&launch->workspace, error);
  return status == TSR_OK ? prepare_workspace(launch, error) : status;
}

// Which run failed, and what the emulated driver found in it: the driver's own
// code says neither.
static tsr_status describe_failure(const tsr_launch *launch,
                                   tessera_status status,
                                   const tessera_error *failure,
                                   tsr_error *error) {
  tessera_layer_info info = {.size = sizeof(info)};
  char finding[256];
  tsr_status result = tsr_session_status(status, failure, error);
  if (tessera_layer_query(launch->layer, &info, NULL) == TESSERA_OK) {
    tsr_error_prefix(error, "%s, %u tokens", info.name,
                     launch->args.token_count);
  }
  if (status == TESSERA_DEVICE && launch->session->emulated &&
      tsr_emulator_first_finding(finding, sizeof(finding))) {
    tsr_error_prefix(error, "%s", finding);
  }
  return result;
}

tsr_status tsr_launch_run(tsr_launch *launch, tsr_error *error) {
  const tsr_session *session = launch->session;
  tessera_error failure = {0};
  tessera_status status = tessera_linear_run(session->program, launch->layer,
                                             &launch->args, &failure);
  if (status == TESSERA_OK && session->is_cuda) {
    status = tessera_device_synchronize(session->device, NULL, &failure);
  }
  if (status != TESSERA_OK) {
    return describe_failure(launch, status, &failure, error);
  }
  return tsr_device_buffer_download(&launch->output, error);
}

void *tsr_random_array(size_t count, tsr_dtype type, uint64_t *state) {
  void *array = tsr_aligned_alloc(64, count * tsr_dtype_size(type));
  for (size_t i = 0; array != NULL && i < count; ++i) {
    tsr_reference_store(array, i, type,
                        tsr_reference_round(tsr_random_signed(state), type));
  }
  return array;
}
