// SPDX-License-Identifier: Apache-2.0
// tesserac compile: which kernels the layers need (each once, however many
// layers share it) and their objects, from the cache or from LLVM.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "common/interrupt.h"
#include "tesserac/compile.h"

// ---- Choosing --------------------------------------------------------------

static tsr_status grow(tsr_compile *c, tsr_error *error) {
  if (c->kernel_count < c->kernel_capacity) return TSR_OK;
  uint32_t capacity = c->kernel_capacity == 0 ? 32 : 2 * c->kernel_capacity;
  tsr_kernel *kernels = tsr_realloc(c->kernels, capacity * sizeof(*c->kernels));
  if (kernels == NULL) return tsr_error_out_of_memory(error);
  c->kernels = kernels;
  tsr_hash *keys =
      tsr_realloc(c->kernel_keys, capacity * sizeof(*c->kernel_keys));
  if (keys == NULL) return tsr_error_out_of_memory(error);
  c->kernel_keys = keys;
  c->kernel_capacity = capacity;
  return TSR_OK;
}

static tsr_status object_key(const tsr_kernel *kernel,
                             const tsr_variant *variant, tsr_hash *out_key,
                             tsr_error *error) {
  *out_key = tsr_codegen_key(kernel, variant);
  bool is_key = !tsr_hash_equal(*out_key, (tsr_hash){0});
  return is_key ? TSR_OK : tsr_error_out_of_memory(error);
}

// The index of |kernel| in the table, where it is put if it is new.
static tsr_status intern(tsr_compile *c, const tsr_kernel *kernel,
                         uint32_t *out_index, tsr_error *error) {
  tsr_hash key;
  tsr_status status = object_key(kernel, c->variants[0], &key, error);
  if (status != TSR_OK) return status;
  for (*out_index = 0; *out_index < c->kernel_count; ++*out_index) {
    if (tsr_hash_equal(c->kernel_keys[*out_index], key)) return TSR_OK;
    if (strcmp(c->kernels[*out_index].run_symbol, kernel->run_symbol) == 0) {
      return tsr_error_set(error, TSR_INTERNAL, "two kernels are called %s",
                           kernel->name);
    }
  }
  status = grow(c, error);
  if (status != TSR_OK) return status;
  c->kernels[c->kernel_count] = *kernel;
  c->kernel_keys[c->kernel_count++] = key;
  return TSR_OK;
}

static tsr_kernel_spec layer_spec(const tsr_bundle_layer *layer) {
  const tsr_plan_layer *plan = layer->plan;
  tsr_kernel_spec spec = {.rows = layer->packed.rows,
                          .columns = layer->packed.columns,
                          .tile = plan->tile,
                          .weight_type = plan->weight_type,
                          .output_type = plan->output_type,
                          .activation = plan->activation,
                          .has_bias = plan->has_bias,
                          .has_residual = plan->has_residual};
  for (uint32_t kind = 0; kind < TSR_KIND_COUNT; ++kind) {
    if (layer->packed.tiles[kind] != 0) spec.kinds |= 1u << kind;
  }
  return spec;
}

static tsr_status choose_for_layer(tsr_compile *c, tsr_bundle_layer *layer,
                                   tsr_error *error) {
  const tsr_plan_layer *plan = layer->plan;
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  size_t limit = (size_t)plan->token_count * TSR_KERNEL_LIMIT;
  uint32_t *indices = tsr_arena_alloc_array(arena, limit, sizeof(*indices));
  if (indices == NULL) return tsr_error_out_of_memory(error);
  layer->kernels = indices;
  tsr_kernel_spec spec = layer_spec(layer);
  for (uint32_t range = 0; range < plan->token_count; ++range) {
    tsr_kernel kernels[TSR_KERNEL_LIMIT];
    spec.token_first = plan->tokens[range].first;
    spec.token_last = plan->tokens[range].last;
    uint32_t count = tsr_codegen_plan(&spec, kernels);
    for (uint32_t i = 0; i < count; ++i) {
      tsr_status status =
          intern(c, &kernels[i], &indices[layer->kernel_count], error);
      if (status != TSR_OK) return status;
      ++layer->kernel_count;
    }
  }
  return TSR_OK;
}

// ---- Compiling -------------------------------------------------------------

typedef struct kernel_job {
  tsr_compile *c;
  tsr_progress *progress;
  unsigned forms;  // set of tsr_emit
} kernel_job;

static tsr_status compile_object(const kernel_job *job, uint32_t kernel,
                                 uint32_t variant, tsr_object_report *out,
                                 tsr_error *error) {
  const tsr_compile *c = job->c;
  tsr_hash key;
  tsr_status status =
      object_key(&c->kernels[kernel], c->variants[variant], &key, error);
  if (status != TSR_OK) return status;
  out->cache = TSR_CACHE_OFF;
  if (job->forms == TSR_EMIT_OBJECT) {
    out->cache = tsr_cache_load(&c->cache, key, &out->emitted.object);
    if (out->cache == TSR_CACHE_HIT) return TSR_OK;
  }
  status = tsr_codegen_compile(&c->kernels[kernel], c->variants[variant],
                               job->forms, &out->emitted, error);
  if (status == TSR_OK) {
    (void)tsr_cache_store(&c->cache, key, out->emitted.object.data,
                          out->emitted.object.size);
  }
  return status;
}

// Task |index|: kernel by kernel, all variants of each.
static tsr_status run_kernel_job(void *context, uint32_t worker, uint64_t index,
                                 tsr_error *error) {
  (void)worker;
  const kernel_job *job = context;
  const tsr_compile *c = job->c;
  uint32_t kernel = (uint32_t)(index / c->variant_count);
  uint32_t variant = (uint32_t)(index % c->variant_count);
  if (tsr_interrupted())
    return tsr_error_set(error, TSR_CANCELLED, "interrupted");
  char label[160];
  (void)snprintf(label, sizeof(label), "%s for %s", c->kernels[kernel].name,
                 c->variants[variant]->name);
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status =
      compile_object(job, kernel, variant, &c->objects[index], error);
  tsr_trace_add(c->trace, "kernel", label, start);
  if (status != TSR_OK) tsr_error_prefix(error, "%s", label);
  tsr_progress_step(job->progress, 0, label);
  return status;
}

static unsigned wanted_forms(const tsr_compile *c) {
  if (c->temps != NULL) {
    return TSR_EMIT_OBJECT | TSR_EMIT_LL | TSR_EMIT_ASSEMBLY;
  }
  unsigned forms = TSR_EMIT_OBJECT;
  if ((c->emit & TSR_EMISSION_LL) != 0) forms |= TSR_EMIT_LL;
  if ((c->emit & TSR_EMISSION_ASM) != 0) forms |= TSR_EMIT_ASSEMBLY;
  return forms;
}

tsr_status tsr_compile_kernels(tsr_compile *c, tsr_error *error) {
  for (uint32_t i = 0; i < c->plan->layer_count; ++i) {
    tsr_status status = choose_for_layer(c, &c->layers[i], error);
    if (status != TSR_OK) {
      tsr_error_prefix(error, "%s", c->plan->layers[i].name);
      return status;
    }
  }
  uint64_t count = (uint64_t)c->kernel_count * c->variant_count;
  c->objects = tsr_calloc((size_t)count, sizeof(*c->objects));
  if (c->objects == NULL) return tsr_error_out_of_memory(error);
  kernel_job job = {.c = c, .forms = wanted_forms(c)};
  job.progress = tsr_progress_begin(c->cli, "compiling", "kernels", count, 0);
  tsr_status status =
      tsr_parallel_for(c->threads, count, run_kernel_job, &job, error);
  tsr_progress_end(job.progress);
  return status;
}
