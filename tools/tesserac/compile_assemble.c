// SPDX-License-Identifier: Apache-2.0
// tesserac compile: each CUDA target's kernels into one module, and where there
// is ptxas that into a cubin. All in memory: what may stop the compile (gates)
// comes between this and the first byte that is written.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "common/interrupt.h"
#include "tesserac/compile.h"

static bool wants_cubins(const tsr_compile *c) {
  return c->ptxas.size != 0 &&
         (c->emit == 0 || (c->emit & TSR_EMISSION_CUBIN) != 0 ||
          tsr_compile_wants_resources(c));
}

tsr_status tsr_compile_tools(tsr_compile *c, tsr_error *error) {
  if (c->cuda_target_count == 0) return tsr_compile_check_gates(c, error);
  bool is_asked = (c->emit & TSR_EMISSION_CUBIN) != 0;
  bool is_needed = is_asked || tsr_compile_wants_resources(c);
  if (c->emit != 0 && !is_needed) return TSR_OK;
  tsr_status status =
      tsr_ptxas_find(tsr_cli_string(c->cli, "ptxas"), &c->ptxas, error);
  if (status == TSR_OK && c->ptxas.size == 0 && is_asked) {
    return tsr_error_set(error, TSR_NOT_FOUND,
                         "--emit=cubin needs ptxas: name it with --ptxas or "
                         "TESSERA_PTXAS");
  }
  if (status == TSR_OK) status = tsr_compile_check_gates(c, error);
  if (status != TSR_OK || c->ptxas.size == 0) return status;
  status = tsr_ptxas_version(c->ptxas.data, &c->ptxas_version, error);
  if (status == TSR_OK && c->verbose) {
    tsr_cli_note(c->cli, "ptxas %s: %s", tsr_buffer_text(&c->ptxas_version),
                 c->ptxas.data);
  }
  return status;
}

// The kernels of one target: |resources[i]| are those of |kernels[i]|, whose
// index is |indices[i]|.
typedef struct held {
  uint32_t count;
  uint32_t *indices;
  tsr_cuda_kernel *kernels;
  tsr_cuda_resources *resources;
} held;

static void held_fini(held *h) {
  tsr_free(h->indices);
  tsr_free(h->kernels);
  tsr_free(h->resources);
  *h = (held){0};
}

static tsr_status held_init(const tsr_compile *c, uint32_t target, held *h,
                            tsr_error *error) {
  uint32_t limit = c->cuda_kernel_count;
  *h = (held){.indices = tsr_calloc(limit, sizeof(*h->indices)),
              .kernels = tsr_calloc(limit, sizeof(*h->kernels)),
              .resources = tsr_calloc(limit, sizeof(*h->resources))};
  if (h->indices == NULL || h->kernels == NULL || h->resources == NULL) {
    held_fini(h);
    return tsr_error_out_of_memory(error);
  }
  h->count = tsr_compile_cuda_held(c, target, h->indices);
  for (uint32_t i = 0; i < h->count; ++i) {
    h->kernels[i] = c->cuda_kernels[h->indices[i]];
  }
  return TSR_OK;
}

static tsr_status join(const tsr_compile *c, uint32_t target, const held *h,
                       tsr_buffer *out, tsr_error *error) {
  tsr_object *texts = tsr_calloc(c->cuda_kernel_count, sizeof(*texts));
  if (texts == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < h->count; ++i) {
    const tsr_buffer *ptx =
        &tsr_compile_cuda_object(c, h->indices[i], target)->emitted.ptx;
    texts[i] = (tsr_object){h->kernels[i].name, ptx->data, ptx->size};
  }
  tsr_status status =
      tsr_cuda_join(c->cuda_targets[target], NULL, texts, h->count, out, error);
  tsr_free(texts);
  return status;
}

// ---- Cubins ----------------------------------------------------------------

// In the cache a cubin comes after what ptxas reported of its kernels.
enum { CUBIN_ENTRY_VERSION = 1, NUMBERS = 5 };

static tsr_hash cubin_key(const tsr_compile *c, uint32_t target) {
  const tsr_cuda_module *module = &c->cuda_modules[target];
  char ptx[33];
  tsr_hash_format(tsr_hash_bytes(module->ptx.data, module->ptx.size), ptx);
  char text[256];
  int size = snprintf(text, sizeof(text), "cubin %d|%s|%.64s|%s",
                      CUBIN_ENTRY_VERSION, c->cuda_targets[target]->name,
                      tsr_buffer_text(&c->ptxas_version), ptx);
  return tsr_hash_bytes(text, (size_t)size);
}

static void store_cubin(const tsr_compile *c, uint32_t target, const held *h) {
  const tsr_buffer *cubin = &c->cuda_modules[target].cubin;
  tsr_buffer entry = {0};
  for (uint32_t i = 0; i < h->count; ++i) {
    const tsr_cuda_resources *from = &h->resources[i];
    uint32_t numbers[NUMBERS] = {from->registers, from->spill_stores,
                                 from->spill_loads, from->stack,
                                 from->shared_static};
    tsr_buffer_append(&entry, numbers, sizeof(numbers));
  }
  tsr_buffer_append(&entry, cubin->data, cubin->size);
  if (!entry.failed) {
    (void)tsr_cache_store(&c->cache, cubin_key(c, target), entry.data,
                          entry.size);
  }
  tsr_buffer_fini(&entry);
}

static tsr_cache_result load_cubin(const tsr_compile *c, uint32_t target,
                                   const held *h) {
  tsr_buffer *cubin = &c->cuda_modules[target].cubin;
  tsr_buffer entry = {0};
  uint32_t numbers[NUMBERS];
  size_t head = h->count * sizeof(numbers);
  tsr_cache_result result =
      tsr_cache_load(&c->cache, cubin_key(c, target), &entry);
  if (result == TSR_CACHE_HIT && entry.size <= head) {
    result = TSR_CACHE_DAMAGED;
  }
  for (uint32_t i = 0; result == TSR_CACHE_HIT && i < h->count; ++i) {
    memcpy(numbers, entry.data + i * sizeof(numbers), sizeof(numbers));
    h->resources[i] = (tsr_cuda_resources){.is_known = true,
                                           .registers = numbers[0],
                                           .spill_stores = numbers[1],
                                           .spill_loads = numbers[2],
                                           .stack = numbers[3],
                                           .shared_static = numbers[4]};
  }
  if (result == TSR_CACHE_HIT) {
    tsr_buffer_append(cubin, entry.data + head, entry.size - head);
    if (cubin->failed) result = TSR_CACHE_ABSENT;
  }
  tsr_buffer_fini(&entry);
  return result;
}

static tsr_status make_cubin(const tsr_compile *c, uint32_t target,
                             const held *h, tsr_error *error) {
  tsr_cuda_module *module = &c->cuda_modules[target];
  const char *name = c->cuda_targets[target]->name;
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status =
      tsr_ptxas_assemble(c->ptxas.data, name, &module->ptx, h->kernels,
                         h->count, &module->cubin, h->resources, error);
  tsr_trace_add(c->trace, "ptxas", name, start);
  if (status != TSR_OK) {
    tsr_error_prefix(error, "%s", name);
    return status;
  }
  store_cubin(c, target, h);
  return TSR_OK;
}

// ---- Targets ---------------------------------------------------------------

// Two loops over targets: the second runs ptxas, which takes longer than all
// else, for those that the cache does not have; so progress counts these alone.
typedef struct assembly {
  const tsr_compile *c;
  held *held;         // [target]
  uint32_t *missing;  // targets, ascending
  uint32_t missing_count;
  uint64_t missing_size;  // of their PTX
  tsr_progress *progress;
} assembly;

static tsr_status interrupted(tsr_error *error) {
  return tsr_error_set(error, TSR_CANCELLED, "interrupted");
}

// Task |index|: one target's module, and what the cache has of it.
static tsr_status prepare(void *context, uint32_t worker, uint64_t index,
                          tsr_error *error) {
  (void)worker;
  const assembly *a = context;
  const tsr_compile *c = a->c;
  uint32_t target = (uint32_t)index;
  held *h = &a->held[target];
  tsr_cuda_module *module = &c->cuda_modules[target];
  if (tsr_interrupted()) return interrupted(error);
  tsr_status status = held_init(c, target, h, error);
  if (status == TSR_OK) status = join(c, target, h, &module->ptx, error);
  if (status != TSR_OK || !wants_cubins(c)) return status;
  module->cache = load_cubin(c, target, h);
  if (module->cache != TSR_CACHE_HIT) tsr_buffer_fini(&module->cubin);
  return TSR_OK;
}

// Task |index|: the cubin of one that is missing.
static tsr_status assemble(void *context, uint32_t worker, uint64_t index,
                           tsr_error *error) {
  (void)worker;
  const assembly *a = context;
  uint32_t target = a->missing[index];
  const char *name = a->c->cuda_targets[target]->name;
  if (tsr_interrupted()) return interrupted(error);
  tsr_progress_label(a->progress, name);
  tsr_status status = make_cubin(a->c, target, &a->held[target], error);
  if (status == TSR_OK) {
    tsr_progress_step(a->progress, a->c->cuda_modules[target].ptx.size, name);
  }
  return status;
}

static tsr_status assemble_missing(assembly *a, tsr_error *error) {
  const tsr_compile *c = a->c;
  for (uint32_t i = 0; i < c->cuda_target_count; ++i) {
    if (c->cuda_modules[i].cache == TSR_CACHE_HIT) continue;
    a->missing[a->missing_count++] = i;
    a->missing_size += c->cuda_modules[i].ptx.size;
  }
  a->progress = tsr_progress_begin(c->cli, "assembling", "CUDA targets",
                                   a->missing_count, a->missing_size);
  tsr_status status =
      tsr_parallel_for(c->threads, a->missing_count, assemble, a, error);
  tsr_progress_end(a->progress);
  return status;
}

static void keep_resources(const assembly *a) {
  const tsr_compile *c = a->c;
  for (uint32_t t = 0; t < c->cuda_target_count; ++t) {
    const held *h = &a->held[t];
    for (uint32_t i = 0; i < h->count; ++i) {
      tsr_cuda_occupancy(&h->kernels[i], c->cuda_targets[t], &h->resources[i]);
      tsr_compile_cuda_object(c, h->indices[i], t)->resources = h->resources[i];
    }
  }
}

tsr_status tsr_compile_assemble(tsr_compile *c, tsr_error *error) {
  uint32_t count = c->cuda_target_count;
  if (count == 0) return TSR_OK;
  c->cuda_modules = tsr_calloc(count, sizeof(*c->cuda_modules));
  assembly a = {.c = c,
                .held = tsr_calloc(count, sizeof(*a.held)),
                .missing = tsr_calloc(count, sizeof(*a.missing))};
  tsr_status status = TSR_OK;
  if (c->cuda_modules == NULL || a.held == NULL || a.missing == NULL) {
    status = tsr_error_out_of_memory(error);
  }
  if (status == TSR_OK) {
    status = tsr_parallel_for(c->threads, count, prepare, &a, error);
  }
  if (status == TSR_OK && wants_cubins(c)) status = assemble_missing(&a, error);
  if (status == TSR_OK) keep_resources(&a);
  for (uint32_t i = 0; a.held != NULL && i < count; ++i) held_fini(&a.held[i]);
  tsr_free(a.held);
  tsr_free(a.missing);
  return status;
}
