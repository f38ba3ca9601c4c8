// SPDX-License-Identifier: Apache-2.0
// See device.h: one layer's memory, launches and comparison. Every array has
// exactly the bytes that the contract says, so that a kernel which reads or
// writes one more is found; gaps between rows of X and of the residual are
// never written, those of Y must stay as they were.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_internal.h"
#include "reference.h"
#include "support/number.h"
#include "support/random.h"

enum { MESSAGES = 5, POISON = 0xff };

// A [tokens, columns] array on the device.
typedef struct array {
  CUdeviceptr memory;  // of the allocation
  uint32_t shift, columns, stride;
  size_t element, size;
} array;

typedef struct run {
  device *dev;
  const layer *l;
  const run_options *options;
  const tsr_cuda_kernel *kernel;
  const tsr_nvidia_cut *cut;
  CUfunction function;
  uint32_t token_tiles;
  array input, residual, output;
  CUdeviceptr stream, steps, workers, segments, bias, workspace;
  size_t workspace_size;
  uint8_t *initial;  // Y before each launch
  uint8_t *first;    // Y after the first launch
  uint8_t *now;      // Y after the last launch
  double *residual_values;
  expectation expected;
  run_result *result;
  bool is_faulted;
} run;

static bool passed(run *r, CUresult result, const char *what) {
  if (result == CUDA_SUCCESS) return true;
  fprintf(stderr, "%s: %s: %s: %s\n", r->options->label,
          r->kernel != NULL ? r->kernel->name : "?", what,
          driver_error(&r->dev->d, result));
  r->is_faulted = true;
  return false;
}

// ---- Memory ----------------------------------------------------------------

static bool upload(run *r, const void *data, size_t size, CUdeviceptr *out) {
  const driver *d = &r->dev->d;
  if (!passed(r, d->cuMemAlloc(out, size == 0 ? 1 : size), "cuMemAlloc")) {
    return false;
  }
  if (size == 0 || data == NULL) return true;
  return passed(r, d->cuMemcpyHtoD(*out, data, size), "cuMemcpyHtoD");
}

static bool make_array(run *r, array *a, uint32_t columns, size_t element,
                       uint32_t shift, uint32_t gap) {
  a->columns = columns;
  a->stride = columns + gap;
  a->shift = shift;
  a->element = element;
  a->size = (shift + (size_t)(r->options->tokens - 1) * a->stride + columns) *
            element;
  return upload(r, NULL, a->size, &a->memory);
}

static CUdeviceptr array_row(const array *a, uint32_t row) {
  return a->memory + (a->shift + (size_t)row * a->stride) * a->element;
}

// Fills |a| row by row; the values go to out[token * by_token + column *
// by_column].
static bool fill_array(run *r, const array *a, tsr_dtype type, uint64_t seed,
                       double *out, size_t by_token, size_t by_column) {
  uint8_t *row = malloc(a->columns * a->element);
  bool ok = row != NULL;
  for (uint32_t n = 0; ok && n < r->options->tokens; ++n) {
    for (uint32_t c = 0; c < a->columns; ++c) {
      number_store(row, c, type, random_uniform(&seed));
      out[n * by_token + c * by_column] = (double)number_load(row, c, type);
    }
    ok = passed(
        r,
        r->dev->d.cuMemcpyHtoD(array_row(a, n), row, a->columns * a->element),
        "cuMemcpyHtoD");
  }
  free(row);
  return ok;
}

// The steps, |stream_ahead| units further on than they are.
static bool make_steps(run *r) {
  const tsr_nvidia_tables *t = &r->l->tables;
  size_t size = t->step_count * sizeof(*t->steps);
  tsr_nvidia_step *steps = malloc(size + 1);
  if (steps == NULL) return false;
  for (uint32_t i = 0; i < t->step_count; ++i) {
    steps[i] = t->steps[i];
    steps[i].offset += r->options->stream_ahead;
  }
  bool ok = upload(r, steps, size, &r->steps);
  free(steps);
  return ok;
}

static bool make_tables(run *r) {
  const tsr_nvidia_tables *t = &r->l->tables;
  const tsr_nvidia_cut *cut = r->cut;
  size_t slot = (size_t)r->kernel->block_tokens * r->l->spec.tile.rows * 4;
  r->workspace_size = TSR_NVIDIA_WORKSPACE_HEADER +
                      (size_t)r->token_tiles * cut->partial_count * slot;
  uint32_t header[TSR_NVIDIA_WORKSPACE_HEADER / 4] = {
      TSR_NVIDIA_WORKSPACE_MAGIC};
  return upload(r, r->l->stream, t->stream_size, &r->stream) && make_steps(r) &&
         upload(r, t->workers + cut->worker_first,
                cut->worker_count * sizeof(*t->workers), &r->workers) &&
         upload(r, t->segments + cut->segment_first,
                cut->segment_count * sizeof(*t->segments), &r->segments) &&
         upload(r, NULL, r->workspace_size, &r->workspace) &&
         passed(r, r->dev->d.cuMemcpyHtoD(r->workspace, header, sizeof(header)),
                "cuMemcpyHtoD");
}

static bool make_residual(run *r, probe *p) {
  const tsr_kernel_spec *spec = &r->l->spec;
  const run_options *o = r->options;
  uint32_t outputs = layer_outputs(r->l);
  bool ok = true;
  if (o->residual_is_output) {
    r->residual = r->output;
  } else {
    ok = make_array(r, &r->residual, outputs, tsr_dtype_size(spec->output_type),
                    o->residual_shift, o->residual_gap);
  }
  p->residual = r->residual_values;
  return ok && fill_array(r, &r->residual, spec->output_type, o->data_seed + 2,
                          r->residual_values, outputs, 1);
}

static bool make_arrays(run *r, probe *p) {
  const tsr_kernel_spec *spec = &r->l->spec;
  const run_options *o = r->options;
  bool ok =
      make_array(r, &r->input, spec->columns, 2, o->input_shift,
                 o->input_gap) &&
      fill_array(r, &r->input, spec->weight_type, o->data_seed + 1, p->input, 1,
                 o->tokens) &&
      make_array(r, &r->output, layer_outputs(r->l),
                 tsr_dtype_size(spec->output_type), o->output_shift,
                 o->output_gap) &&
      passed(r, r->dev->d.cuMemsetD8(r->output.memory, POISON, r->output.size),
             "cuMemsetD8");
  if (ok && spec->has_residual) ok = make_residual(r, p);
  if (ok && spec->has_bias) {
    ok = upload(r, r->l->bias, spec->rows * sizeof(float), &r->bias);
  }
  return ok && passed(r,
                      r->dev->d.cuMemcpyDtoH(r->initial, r->output.memory,
                                             r->output.size),
                      "cuMemcpyDtoH");
}

static void release(run *r) {
  const driver *d = &r->dev->d;
  CUdeviceptr all[] = {r->stream,       r->steps,        r->workers,
                       r->segments,     r->bias,         r->workspace,
                       r->input.memory, r->output.memory};
  if (r->is_faulted) {
    (void)device_restart(r->dev);
  } else {
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
      if (all[i] != 0) (void)d->cuMemFree(all[i]);
    }
    if (r->residual.memory != 0 && !r->options->residual_is_output) {
      (void)d->cuMemFree(r->residual.memory);
    }
  }
  free(r->initial);
  free(r->first);
  free(r->now);
  free(r->residual_values);
  expectation_fini(&r->expected);
}

// ---- Launches --------------------------------------------------------------

static void configure(run *r, uint32_t number) {
  const driver *d = &r->dev->d;
  if (!driver_is_emulated(d)) return;
  tessera_emu_config config = {.struct_size = sizeof(config)};
  d->tessera_emu_get_config(&config);
  config.seed = r->options->data_seed * 1000 + number;
  config.time = number == 0   ? TESSERA_EMU_TIME_LATE
                : number == 1 ? TESSERA_EMU_TIME_EARLY
                              : TESSERA_EMU_TIME_RANDOM;
  config.accumulate = r->options->is_hardware ? TESSERA_EMU_ACCUMULATE_HARDWARE
                                              : TESSERA_EMU_ACCUMULATE_EXACT;
  // Every other launch interleaves the blocks, which AUTO may not.
  config.parallel =
      number % 2 == 0 ? TESSERA_EMU_PARALLEL_AUTO : TESSERA_EMU_PARALLEL_NEVER;
  config.watch_address = r->stream;
  config.watch_size = r->l->tables.stream_size;
  config.watch_reads = r->options->watch_reads;
  config.watch_width = r->options->watch_width;
  (void)d->tessera_emu_set_config(&config);
  d->tessera_emu_clear_findings();
  d->tessera_emu_clear_profiles();
}

static CUresult launch(run *r) {
  const driver *d = &r->dev->d;
  CUdeviceptr stream = r->stream - (CUdeviceptr)r->options->stream_ahead *
                                       TSR_FRAGMENT_ALIGNMENT;
  CUdeviceptr input = array_row(&r->input, 0);
  CUdeviceptr output = array_row(&r->output, 0);
  bool has_residual = r->l->spec.has_residual;
  CUdeviceptr residual = has_residual ? array_row(&r->residual, 0) : 0;
  int64_t strides[] = {r->input.stride, r->residual.stride, r->output.stride};
  uint32_t raster =
      r->options->raster == 0 ? TSR_NVIDIA_RASTER : r->options->raster;
  uint32_t tokens = r->options->tokens, worker_count = r->cut->worker_count,
           partial_count = r->cut->partial_count,
           reduction_count = r->cut->reduction_count;
  void *parameters[TSR_NVIDIA_PARAMETERS] = {
      &stream,        &r->steps,       &r->workers, &r->segments,
      &input,         &residual,       &r->bias,    &output,
      &r->workspace,  &strides[0],     &strides[1], &strides[2],
      &tokens,        &r->token_tiles, &raster,     &worker_count,
      &partial_count, &reduction_count};
  uint32_t blocks = r->options->blocks != 0 ? r->options->blocks
                                            : worker_count * r->token_tiles;
  CUresult result =
      d->cuLaunchKernel(r->function, blocks, 1, 1, r->kernel->threads, 1, 1,
                        r->kernel->shared_size, NULL, parameters, NULL);
  return result == CUDA_SUCCESS ? d->cuCtxSynchronize() : result;
}

static void report_findings(run *r, uint32_t number) {
  const driver *d = &r->dev->d;
  if (!driver_is_emulated(d)) return;
  size_t count = d->tessera_emu_finding_count();
  for (size_t i = 0; i < count; ++i) {
    tessera_emu_finding finding = {.struct_size = sizeof(finding)};
    if (d->tessera_emu_get_finding(i, &finding) != 0) continue;
    if (r->result->findings++ >= MESSAGES) continue;
    fprintf(stderr, "%s, launch %u: %s\n", r->options->label, number,
            finding.message);
  }
  r->result->profile.struct_size = sizeof(r->result->profile);
  size_t profiles = d->tessera_emu_profile_count();
  if (profiles != 0) {
    (void)d->tessera_emu_get_profile(profiles - 1, &r->result->profile);
  }
}

// ---- Comparison ------------------------------------------------------------

static void compare_value(run *r, uint32_t token, uint32_t column) {
  const array *a = &r->output;
  size_t at = (size_t)token * a->columns + column;
  size_t index = a->shift + (size_t)token * a->stride + column;
  double got = (double)number_load(r->now, index, r->l->spec.output_type);
  double error = fabs(got - r->expected.value[at]);
  double bound = r->expected.bound[at];
  if (error <= bound) {
    if (error > r->result->worst * bound) r->result->worst = error / bound;
    return;
  }
  if (r->result->wrong++ >= MESSAGES) return;
  fprintf(stderr,
          "%s: %s: token %u, output %u is %.9g, expected %.9g within %.3g\n",
          r->options->label, r->kernel->name, token, column, got,
          r->expected.value[at], bound);
}

// Bytes in front of the first row and between rows.
static void compare_gaps(run *r) {
  const array *a = &r->output;
  size_t row_size = a->columns * a->element, stride = a->stride * a->element;
  size_t lead = a->shift * a->element;
  for (size_t i = 0; i < a->size; ++i) {
    if (i >= lead && (i - lead) % stride < row_size) continue;
    if (r->now[i] == POISON) continue;
    if (r->result->wrong++ >= MESSAGES) continue;
    fprintf(stderr, "%s: %s: byte %zu of Y, between rows, was written\n",
            r->options->label, r->kernel->name, i);
  }
}

static void compare_workspace(run *r) {
  uint32_t header[TSR_NVIDIA_WORKSPACE_HEADER / 4];
  if (!passed(r, r->dev->d.cuMemcpyDtoH(header, r->workspace, sizeof(header)),
              "cuMemcpyDtoH")) {
    return;
  }
  for (uint32_t i = 0; i < TSR_NVIDIA_WORKSPACE_HEADER / 4; ++i) {
    if (header[i] == (i == 0 ? TSR_NVIDIA_WORKSPACE_MAGIC : 0u)) continue;
    if (r->result->wrong++ >= MESSAGES) continue;
    fprintf(stderr, "%s: %s: word %u of the workspace is 0x%x after a run\n",
            r->options->label, r->kernel->name, i, header[i]);
  }
}

static void compare(run *r, uint32_t number) {
  const array *a = &r->output;
  if (!passed(r, r->dev->d.cuMemcpyDtoH(r->now, a->memory, a->size),
              "cuMemcpyDtoH")) {
    return;
  }
  compare_workspace(r);
  if (number != 0 && memcmp(r->now, r->first, a->size) != 0) {
    ++r->result->wrong;
    fprintf(stderr, "%s: %s: launch %u gives other bits than the first\n",
            r->options->label, r->kernel->name, number);
  }
  if (number != 0) return;
  memcpy(r->first, r->now, a->size);
  if (r->options->output != NULL) memcpy(r->options->output, r->now, a->size);
  compare_gaps(r);
  if (r->options->without_compare || r->options->blocks != 0) return;
  for (uint32_t token = 0; token < r->options->tokens; ++token) {
    for (uint32_t column = 0; column < a->columns; ++column) {
      compare_value(r, token, column);
    }
  }
}

// ---- All of it -------------------------------------------------------------

static bool choose(run *r) {
  r->kernel = layer_kernel(r->l, r->options->tokens);
  if (r->kernel == NULL) return false;
  uint32_t cut = layer_cut(r->l, r->kernel->mode, r->options->cut_pick);
  if (cut == UINT32_MAX) {
    fprintf(stderr, "%s: no cut for %s\n", r->options->label, r->kernel->name);
    return false;
  }
  r->cut = &r->l->tables.cuts[cut];
  r->result->kernel = r->kernel;
  r->result->cut = r->cut;
  r->token_tiles = (r->options->tokens - 1) / r->kernel->block_tokens + 1;
  r->function = device_kernel(r->dev, r->kernel, r->options->target);
  return r->function != NULL;
}

static uint32_t most_segments(const run *r) {
  uint32_t most = 1;
  for (uint32_t i = 0; i < r->cut->segment_count; ++i) {
    uint32_t count =
        r->l->tables.segments[r->cut->segment_first + i].partial_count;
    if (count > most) most = count;
  }
  return most;
}

static bool prepare(run *r) {
  const tsr_kernel_spec *spec = &r->l->spec;
  const run_options *o = r->options;
  uint32_t outputs = layer_outputs(r->l);
  size_t size =
      (o->output_shift + (size_t)o->tokens * (outputs + o->output_gap)) *
      sizeof(float);
  probe p = {.tokens = o->tokens};
  p.input = malloc((size_t)spec->columns * o->tokens * sizeof(double));
  r->residual_values = malloc((size_t)outputs * o->tokens * sizeof(double));
  r->initial = malloc(size);
  r->first = malloc(size);
  r->now = malloc(size);
  bool ok = p.input && r->residual_values && r->initial && r->first && r->now;
  ok = ok && make_tables(r) && make_arrays(r, &p);
  rounding how = {
      .k_slices = r->kernel->geometry.k_slices,
      .segments = most_segments(r),
      .is_hardware = o->is_hardware || !driver_is_emulated(&r->dev->d)};
  if (ok && !o->without_compare) {
    ok = expect_layer(r->l, &p, &how, &r->expected);
  }
  free(p.input);
  return ok;
}

static bool run_once(run *r, uint32_t number) {
  configure(r, number);
  if (!passed(
          r,
          r->dev->d.cuMemcpyHtoD(r->output.memory, r->initial, r->output.size),
          "cuMemcpyHtoD")) {
    return false;
  }
  CUresult result = launch(r);
  report_findings(r, number);
  if (!passed(r, result, "launch")) return false;
  compare(r, number);
  return !r->is_faulted;
}

bool run_layer(device *dev, const layer *l, const run_options *options,
               run_result *out) {
  memset(out, 0, sizeof(*out));
  run r = {.dev = dev, .l = l, .options = options, .result = out};
  bool ok = choose(&r) && prepare(&r);
  uint32_t launches = options->launches == 0 ? 1 : options->launches;
  for (uint32_t i = 0; ok && i < launches; ++i) ok = run_once(&r, i);
  release(&r);
  return ok && out->findings == 0 && out->wrong == 0;
}
