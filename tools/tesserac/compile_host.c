// SPDX-License-Identifier: Apache-2.0
// tesserac compile: the host family's kernels.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tesserac/compile_kernels.h"

static uint32_t target_count(const tsr_compile *c) {
  return c->variant_count;
}

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

static tsr_status choose(tsr_compile *c, const tsr_kernel_spec *spec,
                         uint32_t *out_indices, uint32_t *out_count,
                         tsr_error *error) {
  tsr_kernel kernels[TSR_KERNEL_LIMIT];
  tsr_status status = TSR_OK;
  uint32_t count = tsr_codegen_plan(spec, kernels);
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    status = intern(c, &kernels[i], &out_indices[i], error);
  }
  *out_count = count;
  return status;
}

// ---- Compiling -------------------------------------------------------------

static tsr_status begin(tsr_compile *c, uint64_t *out_objects,
                        tsr_error *error) {
  *out_objects = (uint64_t)c->kernel_count * c->variant_count;
  c->objects = tsr_calloc((size_t)*out_objects, sizeof(*c->objects));
  return c->objects == NULL ? tsr_error_out_of_memory(error) : TSR_OK;
}

static void label(const tsr_compile *c, uint64_t object,
                  char out[TSR_KERNEL_LABEL_LIMIT]) {
  (void)snprintf(out, TSR_KERNEL_LABEL_LIMIT, "%s for %s",
                 c->kernels[object / c->variant_count].name,
                 c->variants[object % c->variant_count]->name);
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

static tsr_status make(const tsr_compile *c, uint64_t object,
                       tsr_error *error) {
  const tsr_kernel *kernel = &c->kernels[object / c->variant_count];
  const tsr_variant *variant = c->variants[object % c->variant_count];
  tsr_object_report *out = &c->objects[object];
  unsigned forms = wanted_forms(c);
  tsr_hash key;
  tsr_status status = object_key(kernel, variant, &key, error);
  if (status != TSR_OK) return status;
  out->cache = TSR_CACHE_OFF;
  if (forms == TSR_EMIT_OBJECT) {
    out->cache = tsr_cache_load(&c->cache, key, &out->emitted.object);
    if (out->cache == TSR_CACHE_HIT) return TSR_OK;
  }
  status = tsr_codegen_compile(kernel, variant, forms, &out->emitted, error);
  if (status == TSR_OK) {
    (void)tsr_cache_store(&c->cache, key, out->emitted.object.data,
                          out->emitted.object.size);
  }
  return status;
}

const tsr_kernel_family tsr_host_family = {.family = TSR_TARGET_HOST,
                                           .target_count = target_count,
                                           .choose = choose,
                                           .begin = begin,
                                           .label = label,
                                           .make = make};
