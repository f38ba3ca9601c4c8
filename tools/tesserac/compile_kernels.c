// SPDX-License-Identifier: Apache-2.0
// tesserac compile: which kernels the layers need (each once, however many
// layers share it) and their objects, from the cache or from LLVM.
#include "tesserac/compile_kernels.h"

#include "base/parallel.h"
#include "common/interrupt.h"

static const tsr_kernel_family *const families[TSR_FAMILY_COUNT] = {
    &tsr_host_family, &tsr_cuda_family};

// ---- Choosing --------------------------------------------------------------

tsr_kernel_spec tsr_compile_spec(const tsr_bundle_layer *layer) {
  const tsr_plan_layer *plan = layer->plan;
  tsr_kernel_spec spec = {.rows = layer->packed.rows,
                          .columns = layer->packed.columns,
                          .tile = plan->tile,
                          .weight_type = plan->weight_type,
                          .output_type = plan->output_type,
                          .activation = plan->activation,
                          .has_bias = plan->has_bias,
                          .has_residual = plan->has_residual,
                          .token_first = 1,
                          .token_last = UINT32_MAX};
  for (uint32_t kind = 0; kind < TSR_KIND_COUNT; ++kind) {
    if (layer->packed.tiles[kind] != 0) spec.kinds |= 1u << kind;
  }
  return spec;
}

static tsr_status choose_for_layer(tsr_compile *c, tsr_bundle_layer *layer,
                                   const tsr_kernel_family *family,
                                   tsr_error *error) {
  if (family->target_count(c) == 0) return TSR_OK;
  const tsr_plan_layer *plan = layer->plan;
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  size_t limit =
      (size_t)plan->token_count * TSR_KERNEL_LIMIT * family->target_count(c);
  uint32_t *indices = tsr_arena_alloc_array(arena, limit, sizeof(*indices));
  if (indices == NULL) return tsr_error_out_of_memory(error);
  tsr_bundle_choice *chosen = &layer->chosen[family->family];
  *chosen = (tsr_bundle_choice){indices, 0};
  tsr_kernel_spec spec = tsr_compile_spec(layer);
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < plan->token_count; ++i) {
    uint32_t count = 0;
    spec.token_first = plan->tokens[i].first;
    spec.token_last = plan->tokens[i].last;
    status = family->choose(c, &spec, indices + chosen->count, &count, error);
    chosen->count += count;
  }
  return status;
}

static tsr_status choose(tsr_compile *c, tsr_error *error) {
  for (uint32_t i = 0; i < c->plan->layer_count; ++i) {
    for (int f = 0; f < TSR_FAMILY_COUNT; ++f) {
      tsr_status status =
          choose_for_layer(c, &c->layers[i], families[f], error);
      if (status == TSR_OK) continue;
      tsr_error_prefix(error, "%s", c->plan->layers[i].name);
      return status;
    }
  }
  return TSR_OK;
}

// ---- Compiling -------------------------------------------------------------

typedef struct kernel_job {
  tsr_compile *c;
  tsr_progress *progress;
  uint64_t objects[TSR_FAMILY_COUNT];
} kernel_job;

// Task |index|: family after family, kernel by kernel, all targets of each.
static tsr_status run_kernel_job(void *context, uint32_t worker, uint64_t index,
                                 tsr_error *error) {
  (void)worker;
  const kernel_job *job = context;
  const tsr_compile *c = job->c;
  int f = 0;
  while (index >= job->objects[f]) index -= job->objects[f++];
  if (tsr_interrupted())
    return tsr_error_set(error, TSR_CANCELLED, "interrupted");
  char label[TSR_KERNEL_LABEL_LIMIT];
  families[f]->label(c, index, label);
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status = families[f]->make(c, index, error);
  tsr_trace_add(c->trace, "kernel", label, start);
  if (status != TSR_OK) tsr_error_prefix(error, "%s", label);
  tsr_progress_step(job->progress, 0, label);
  return status;
}

tsr_status tsr_compile_kernels(tsr_compile *c, tsr_error *error) {
  kernel_job job = {.c = c};
  uint64_t count = 0;
  tsr_status status = choose(c, error);
  for (int f = 0; status == TSR_OK && f < TSR_FAMILY_COUNT; ++f) {
    if (families[f]->target_count(c) == 0) continue;
    status = families[f]->begin(c, &job.objects[f], error);
    count += job.objects[f];
  }
  if (status != TSR_OK) return status;
  job.progress = tsr_progress_begin(c->cli, "compiling", "kernels", count, 0);
  status = tsr_parallel_for(c->threads, count, run_kernel_job, &job, error);
  tsr_progress_end(job.progress);
  return status;
}
