// SPDX-License-Identifier: Apache-2.0
// tesserac compile: the NVIDIA family's kernels, and what is remembered of each
// layer for it once its tables are gone.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tesserac/compile_kernels.h"

static uint32_t target_count(const tsr_compile *c) {
  return c->cuda_target_count;
}

// ---- Choosing --------------------------------------------------------------

static tsr_status grow(tsr_compile *c, tsr_error *error) {
  if (c->cuda_kernel_count < c->cuda_kernel_capacity) return TSR_OK;
  uint32_t capacity =
      c->cuda_kernel_capacity == 0 ? 32 : 2 * c->cuda_kernel_capacity;
  tsr_cuda_kernel *kernels =
      tsr_realloc(c->cuda_kernels, capacity * sizeof(*c->cuda_kernels));
  if (kernels == NULL) return tsr_error_out_of_memory(error);
  c->cuda_kernels = kernels;
  tsr_hash *keys = tsr_realloc(c->cuda_keys, capacity * sizeof(*c->cuda_keys));
  if (keys == NULL) return tsr_error_out_of_memory(error);
  c->cuda_keys = keys;
  uint32_t *chosen =
      tsr_realloc(c->cuda_chosen, capacity * sizeof(*c->cuda_chosen));
  if (chosen == NULL) return tsr_error_out_of_memory(error);
  c->cuda_chosen = chosen;
  c->cuda_kernel_capacity = capacity;
  return TSR_OK;
}

static tsr_status object_key(const tsr_cuda_kernel *kernel,
                             const tsr_cuda_target *target, tsr_hash *out_key,
                             tsr_error *error) {
  *out_key = tsr_cuda_key(kernel, target);
  bool is_key = !tsr_hash_equal(*out_key, (tsr_hash){0});
  return is_key ? TSR_OK : tsr_error_out_of_memory(error);
}

// The index of |kernel| in the table, where it is put if it is new.
static tsr_status intern(tsr_compile *c, const tsr_cuda_kernel *kernel,
                         uint32_t *out_index, tsr_error *error) {
  tsr_hash key;
  tsr_status status = object_key(kernel, c->cuda_targets[0], &key, error);
  if (status != TSR_OK) return status;
  for (*out_index = 0; *out_index < c->cuda_kernel_count; ++*out_index) {
    if (tsr_hash_equal(c->cuda_keys[*out_index], key)) return TSR_OK;
    if (strcmp(c->cuda_kernels[*out_index].name, kernel->name) == 0) {
      return tsr_error_set(error, TSR_INTERNAL, "two kernels are called %s",
                           kernel->name);
    }
  }
  status = grow(c, error);
  if (status != TSR_OK) return status;
  c->cuda_kernels[c->cuda_kernel_count] = *kernel;
  c->cuda_chosen[c->cuda_kernel_count] = 0;
  c->cuda_keys[c->cuda_kernel_count++] = key;
  return TSR_OK;
}

// Ascending by token range, which those of several targets may share, then by
// index.
static bool comes_before(const tsr_compile *c, uint32_t a, uint32_t b) {
  const tsr_kernel_spec *x = &c->cuda_kernels[a].spec;
  const tsr_kernel_spec *y = &c->cuda_kernels[b].spec;
  if (x->token_first != y->token_first) return x->token_first < y->token_first;
  if (x->token_last != y->token_last) return x->token_last < y->token_last;
  return a < b;
}

// Puts |index| in its place unless it is there.
static void insert(const tsr_compile *c, uint32_t index, uint32_t *indices,
                   uint32_t *io_count) {
  uint32_t at = *io_count;
  for (uint32_t i = 0; i < *io_count; ++i) {
    if (indices[i] == index) return;
  }
  for (; at != 0 && comes_before(c, index, indices[at - 1]); --at) {
    indices[at] = indices[at - 1];
  }
  indices[at] = index;
  ++*io_count;
}

static tsr_status choose(tsr_compile *c, const tsr_kernel_spec *spec,
                         uint32_t *out_indices, uint32_t *out_count,
                         tsr_error *error) {
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  tsr_status status = TSR_OK;
  *out_count = 0;
  for (uint32_t t = 0; t < c->cuda_target_count; ++t) {
    uint32_t count = tsr_cuda_plan(spec, c->cuda_targets[t], kernels);
    for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
      uint32_t index = 0;
      status = intern(c, &kernels[i], &index, error);
      if (status != TSR_OK) break;
      c->cuda_chosen[index] |= 1u << t;
      insert(c, index, out_indices, out_count);
    }
  }
  return status;
}

uint32_t tsr_compile_cuda_held(const tsr_compile *c, uint32_t target,
                               uint32_t *out_kernels) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < c->cuda_kernel_count; ++i) {
    if (tsr_compile_cuda_has(c, i, target)) out_kernels[count++] = i;
  }
  return count;
}

// ---- Compiling -------------------------------------------------------------

// Jobs are the chosen ones of all objects.
static tsr_status begin(tsr_compile *c, uint64_t *out_objects,
                        tsr_error *error) {
  size_t limit = (size_t)c->cuda_kernel_count * c->cuda_target_count;
  c->cuda_objects = tsr_calloc(limit, sizeof(*c->cuda_objects));
  c->cuda_jobs = tsr_calloc(limit, sizeof(*c->cuda_jobs));
  if (c->cuda_objects == NULL || c->cuda_jobs == NULL) {
    return tsr_error_out_of_memory(error);
  }
  c->cuda_job_count = 0;
  for (uint32_t i = 0; i < limit; ++i) {
    if (tsr_compile_cuda_has(c, i / c->cuda_target_count,
                             i % c->cuda_target_count)) {
      c->cuda_jobs[c->cuda_job_count++] = i;
    }
  }
  *out_objects = c->cuda_job_count;
  return TSR_OK;
}

static void label(const tsr_compile *c, uint64_t job,
                  char out[TSR_KERNEL_LABEL_LIMIT]) {
  uint32_t object = c->cuda_jobs[job];
  (void)snprintf(out, TSR_KERNEL_LABEL_LIMIT, "%s for %s",
                 c->cuda_kernels[object / c->cuda_target_count].name,
                 c->cuda_targets[object % c->cuda_target_count]->name);
}

// The cache holds the text of the module, which ends with a NUL in memory only.
static tsr_status make(const tsr_compile *c, uint64_t job, tsr_error *error) {
  uint32_t object = c->cuda_jobs[job];
  const tsr_cuda_kernel *kernel =
      &c->cuda_kernels[object / c->cuda_target_count];
  const tsr_cuda_target *target =
      c->cuda_targets[object % c->cuda_target_count];
  tsr_cuda_report *out = &c->cuda_objects[object];
  bool want_ll = c->temps != NULL || (c->emit & TSR_EMISSION_LL) != 0;
  tsr_hash key;
  tsr_status status = object_key(kernel, target, &key, error);
  if (status != TSR_OK) return status;
  out->cache = TSR_CACHE_OFF;
  if (!want_ll) {
    out->cache = tsr_cache_load(&c->cache, key, &out->emitted.ptx);
    if (out->cache == TSR_CACHE_HIT) return TSR_OK;
  }
  status = tsr_cuda_compile(kernel, target, want_ll, &out->emitted, error);
  if (status == TSR_OK) {
    (void)tsr_cache_store(&c->cache, key, out->emitted.ptx.data,
                          out->emitted.ptx.size);
  }
  return status;
}

const tsr_kernel_family tsr_cuda_family = {.family = TSR_TARGET_CUDA,
                                           .target_count = target_count,
                                           .choose = choose,
                                           .begin = begin,
                                           .label = label,
                                           .make = make};

// ---- Facts of a layer ------------------------------------------------------

static uint64_t total_time(const tsr_tile_grid *grid) {
  uint64_t time = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      time += tsr_fragment_time_cost(grid, panel, column,
                                     tsr_grid_kind(grid, panel, column));
    }
  }
  return time;
}

static uint32_t distance(uint32_t a, uint32_t b) {
  return a < b ? b - a : a - b;
}

// Its index.
static uint32_t share_of(const tsr_cuda_layer *layer,
                         const tsr_cuda_target *target) {
  uint32_t best = 0, wanted = target->gpu.multiprocessors;
  for (uint32_t i = 1; i < layer->share_count; ++i) {
    if (distance(layer->shares[i].multiprocessors, wanted) <
        distance(layer->shares[best].multiprocessors, wanted)) {
      best = i;
    }
  }
  return best;
}

const tsr_cuda_share *tsr_compile_cuda_share(const tsr_cuda_layer *layer,
                                             const tsr_cuda_target *target) {
  return &layer->shares[share_of(layer, target)];
}

// Of the classes that targets stand for: of all it would be a megabyte a layer.
static void keep_cuts(const tsr_compile *c, const tsr_nvidia_tables *tables,
                      tsr_cuda_layer *out) {
  for (uint32_t i = 0; i < c->cuda_target_count; ++i) {
    tsr_cuda_share *share = &out->shares[share_of(out, c->cuda_targets[i])];
    if (share->cuts.size != 0) continue;
    tsr_nvidia_class_dump(tables, share->multiprocessors, &share->cuts);
  }
}

void tsr_compile_cuda_layer(const tsr_compile *c,
                            const tsr_nvidia_tables *tables,
                            tsr_cuda_layer *out) {
  out->stream_bytes = tables->stream_size;
  out->steps = tables->step_count;
  out->time = total_time(tables->grid);
  for (uint32_t i = 0; i < tables->cut_count; ++i) {
    const tsr_nvidia_cut *cut = &tables->cuts[i];
    if (cut->mode != TSR_NVIDIA_DECODE) continue;
    if (out->share_count == TSR_CUDA_SHARE_LIMIT) break;
    // The cut after a class's decode cut is for prefill with as many workers.
    out->shares[out->share_count++] = (tsr_cuda_share){
        .multiprocessors = cut->multiprocessors,
        .workers = cut->worker_count,
        .partials = cut->partial_count,
        .byte_imbalance = tsr_nvidia_imbalance(tables, i, TSR_BALANCE_BYTES),
        .time_imbalance =
            tsr_nvidia_imbalance(tables, i + 1, TSR_BALANCE_TIME)};
  }
  if ((c->emit & TSR_EMISSION_PTX) != 0) keep_cuts(c, tables, out);
}

tsr_cuda_facts tsr_compile_cuda_facts(const tsr_compile *c, uint32_t layer,
                                      const tsr_cuda_target *target) {
  const tsr_cuda_layer *from = &c->cuda_layers[layer];
  const tsr_cuda_share *share = tsr_compile_cuda_share(from, target);
  return (tsr_cuda_facts){.stream_bytes = from->stream_bytes,
                          .time = from->time,
                          .steps = from->steps,
                          .byte_imbalance = share->byte_imbalance,
                          .time_imbalance = share->time_imbalance,
                          .partials = share->partials};
}
