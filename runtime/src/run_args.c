// SPDX-License-Identifier: Apache-2.0
// The arguments of a run: present, aligned, large enough, and not on top of
// each other. A kernel trusts them.
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "fail.h"

enum { WORKSPACE_ALIGNMENT = 64 };

// A [tokens, columns] matrix in the caller's memory.
typedef struct matrix {
  const char *name;
  uintptr_t start;
  uint64_t row_size;  // bytes of one token
  uint64_t stride;    // bytes from token to token
  uint64_t size;      // from the first byte to the last
} matrix;

static tessera_status check_matrix(const char *name, const void *data,
                                   int64_t *stride, uint32_t columns,
                                   tessera_dtype type, uint32_t token_count,
                                   matrix *out_matrix, tessera_error *error) {
  uint64_t element = tsr_dtype_size((tsr_dtype)type);
  if (data == NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s is NULL", name);
  }
  if ((uintptr_t)data % element != 0) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "%s is not aligned to its elements of %u bytes", name,
                    (unsigned)element);
  }
  if (*stride == 0) *stride = columns;
  if (*stride < (int64_t)columns) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "%s_stride is %lld, a token has %u elements", name,
                    (long long)*stride, columns);
  }
  *out_matrix = (matrix){
      .name = name, .start = (uintptr_t)data, .row_size = columns * element};
  uint64_t all_but_last = 0;
  bool overflows =
      __builtin_mul_overflow((uint64_t)*stride, element, &out_matrix->stride) ||
      __builtin_mul_overflow(out_matrix->stride, token_count - 1,
                             &all_but_last) ||
      __builtin_add_overflow(all_but_last, out_matrix->row_size,
                             &out_matrix->size) ||
      out_matrix->size > (uint64_t)PTRDIFF_MAX ||
      out_matrix->size > UINTPTR_MAX - out_matrix->start;
  if (!overflows) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "%s of %u tokens with %s_stride %lld exceeds memory", name,
                  token_count, name, (long long)*stride);
}

static bool overlap(const matrix *a, const matrix *b) {
  if (a->start >= b->start + b->size || b->start >= a->start + a->size) {
    return false;
  }
  if (a->stride != b->stride) return true;
  // Both may be columns of one wider matrix: compare within its rows.
  uint64_t stride = a->stride;
  uint64_t shift = a->start <= b->start
                       ? (b->start - a->start) % stride
                       : (stride - (a->start - b->start) % stride) % stride;
  return shift < a->row_size || shift + b->row_size > stride;
}

static tessera_status check_overlap(const matrix *a, const matrix *b,
                                    tessera_error *error) {
  if (!overlap(a, b)) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT, "%s overlaps %s", a->name,
                  b->name);
}

static tessera_status check_workspace(const tessera_program *program,
                                      uint32_t thread_count,
                                      const tessera_run_args *args,
                                      tsr_run *run, matrix *out_matrix,
                                      tessera_error *error) {
  size_t needed = 0;
  tessera_status status =
      program->device->ops->workspace(program, run->layer, run->token_count,
                                      false, thread_count, &needed, error);
  if (status != TESSERA_OK) return status;
  *out_matrix =
      (matrix){.name = "workspace", .start = (uintptr_t)args->workspace};
  if (needed == 0) return TESSERA_OK;
  if (args->workspace == NULL || args->workspace_size < needed) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "workspace has %zu bytes, %u tokens need %zu",
                    args->workspace == NULL ? 0 : args->workspace_size,
                    run->token_count, needed);
  }
  if ((uintptr_t)args->workspace % WORKSPACE_ALIGNMENT != 0) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "workspace is not aligned to %d bytes",
                    WORKSPACE_ALIGNMENT);
  }
  run->workspace = args->workspace;
  run->workspace_size = needed;
  out_matrix->row_size = out_matrix->stride = out_matrix->size = needed;
  return TESSERA_OK;
}

static tessera_status check_residual(const tsr_run *run, const matrix *residual,
                                     const matrix *output,
                                     tessera_error *error) {
  if (run->residual == NULL) return TESSERA_OK;
  bool in_place =
      run->residual == run->output && residual->stride == output->stride;
  return in_place ? TESSERA_OK : check_overlap(output, residual, error);
}

static tessera_status check_memory(const tessera_program *program,
                                   uint32_t thread_count,
                                   const tessera_run_args *args, tsr_run *run,
                                   tessera_error *error) {
  const tessera_layer_info *info = &run->layer->info;
  matrix input = {0};
  matrix residual = {0};
  matrix output = {0};
  matrix workspace = {0};
  tessera_status status =
      check_workspace(program, thread_count, args, run, &workspace, error);
  if (status == TESSERA_OK) {
    status =
        check_matrix("input", run->input, &run->input_stride, info->columns,
                     info->input_type, run->token_count, &input, error);
  }
  if (status == TESSERA_OK) {
    status = check_matrix("output", run->output, &run->output_stride,
                          info->output_columns, info->output_type,
                          run->token_count, &output, error);
  }
  if (status == TESSERA_OK && info->has_residual) {
    status = check_matrix("residual", run->residual, &run->residual_stride,
                          info->output_columns, info->output_type,
                          run->token_count, &residual, error);
  }
  if (status == TESSERA_OK) status = check_overlap(&output, &input, error);
  if (status == TESSERA_OK) {
    status = check_residual(run, &residual, &output, error);
  }
  if (status != TESSERA_OK || workspace.size == 0) return status;
  status = check_overlap(&workspace, &input, error);
  if (status == TESSERA_OK) status = check_overlap(&workspace, &output, error);
  if (status == TESSERA_OK && info->has_residual) {
    status = check_overlap(&workspace, &residual, error);
  }
  return status;
}

tessera_status tsr_run_check(const tessera_program *program,
                             const tessera_layer *layer,
                             const tessera_run_args *args,
                             uint32_t thread_count, tsr_run *out_run,
                             tessera_error *error) {
  if (args->size < sizeof(*args)) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "tessera_run_args.size is %zu, expected %zu", args->size,
                    sizeof(*args));
  }
  if (!layer->info.has_residual && args->residual != NULL) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "residual given, but the layer has none");
  }
  *out_run = (tsr_run){.layer = layer,
                       .token_count = args->token_count,
                       .input = args->input,
                       .input_stride = args->input_stride,
                       .residual = args->residual,
                       .residual_stride = args->residual_stride,
                       .output = args->output,
                       .output_stride = args->output_stride,
                       .stream = args->stream};
  return check_memory(program, thread_count, args, out_run, error);
}

// ---- Token counts -----------------------------------------------------------

// "1..4", "16..", "1" as a plan writes them.
static size_t describe_range(const tsr_token_range *range, char *out,
                             size_t size) {
  int used;
  if (range->last == UINT32_MAX) {
    used = snprintf(out, size, "%u..", range->first);
  } else if (range->last == range->first) {
    used = snprintf(out, size, "%u", range->first);
  } else {
    used = snprintf(out, size, "%u..%u", range->first, range->last);
  }
  return (size_t)used;
}

tessera_status tsr_fail_tokens(uint32_t token_count,
                               const tsr_token_range *ranges, uint32_t count,
                               tessera_error *error) {
  char tokens[160] = "";
  size_t used = 0;
  for (uint32_t i = 0; i < count;) {
    tsr_token_range joined = ranges[i];
    char range[32];
    while (++i < count && joined.last != UINT32_MAX &&
           ranges[i].first == joined.last + 1) {
      joined.last = ranges[i].last;
    }
    size_t size = describe_range(&joined, range, sizeof(range));
    bool fits = used + size + sizeof(", , ...") <= sizeof(tokens);
    used += (size_t)snprintf(tokens + used, sizeof(tokens) - used, "%s%s",
                             used == 0 ? "" : ", ", fits ? range : "...");
    if (!fits) break;
  }
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "no kernel for %u tokens; it takes %s", token_count, tokens);
}
