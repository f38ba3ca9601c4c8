// SPDX-License-Identifier: Apache-2.0
// tesserac compile: --emit and --save-temps of CUDA targets. IR goes kernel by
// kernel, cubins target by target; PTX layer by layer, because that is how it
// is read: where the layer stands in the plan, which worker does which tiles,
// then the code.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tesserac/compile_emit.h"

// ---- Kernels ---------------------------------------------------------------

static tsr_status write_kernel(const tsr_compile *c, const char *folder,
                               uint32_t kernel, uint32_t target,
                               const tsr_buffer *text, const char *suffix,
                               tsr_error *error) {
  tsr_buffer name = {0};
  tsr_buffer_printf(&name, "%s/%s.%s", c->cuda_targets[target]->name,
                    c->cuda_kernels[kernel].name, suffix);
  tsr_status status = tsr_buffer_status(&name, error);
  if (status == TSR_OK) {
    status = tsr_emit_file(folder, name.data, tsr_buffer_text(text), text->size,
                           error);
  }
  tsr_buffer_fini(&name);
  return status;
}

static tsr_status emit_ll(const tsr_compile *c, uint32_t kernel,
                          uint32_t target, tsr_error *error) {
  const tsr_buffer *ll =
      &tsr_compile_cuda_object(c, kernel, target)->emitted.ll;
  if (c->output != NULL) {
    return write_kernel(c, c->output, kernel, target, ll, "ll", error);
  }
  (void)fprintf(c->cli->out, "; ---- %s for %s\n", c->cuda_kernels[kernel].name,
                c->cuda_targets[target]->name);
  return tsr_emit_text(c, NULL, ll, error);
}

static tsr_status save_temps(const tsr_compile *c, uint32_t kernel,
                             uint32_t target, tsr_error *error) {
  const tsr_cuda_emitted *emitted =
      &tsr_compile_cuda_object(c, kernel, target)->emitted;
  tsr_status status =
      write_kernel(c, c->temps, kernel, target, &emitted->ll, "ll", error);
  if (status != TSR_OK) return status;
  return write_kernel(c, c->temps, kernel, target, &emitted->ptx, "ptx", error);
}

static tsr_status emit_kernels(const tsr_compile *c, tsr_error *error) {
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < c->cuda_job_count; ++i) {
    uint32_t kernel = c->cuda_jobs[i] / c->cuda_target_count;
    uint32_t target = c->cuda_jobs[i] % c->cuda_target_count;
    if ((c->emit & TSR_EMISSION_LL) != 0) {
      status = emit_ll(c, kernel, target, error);
    }
    if (status == TSR_OK && c->temps != NULL) {
      status = save_temps(c, kernel, target, error);
    }
  }
  return status;
}

static tsr_status emit_cubins(const tsr_compile *c, tsr_error *error) {
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < c->cuda_target_count; ++i) {
    const tsr_buffer *cubin = &c->cuda_modules[i].cubin;
    char name[64];
    (void)snprintf(name, sizeof(name), "%s/kernels.cubin",
                   c->cuda_targets[i]->name);
    status = tsr_emit_file(c->output, name, cubin->data, cubin->size, error);
  }
  return status;
}

// ---- Layers ----------------------------------------------------------------

static void put_tokens(tsr_buffer *out, const tsr_kernel_spec *spec) {
  tsr_buffer_printf(out, "tokens %u..", spec->token_first);
  if (spec->token_last != UINT32_MAX) {
    tsr_buffer_printf(out, "%u", spec->token_last);
  }
}

static void put_kernel(tsr_buffer *out, const tsr_cuda_kernel *kernel) {
  const tsr_cuda_geometry *g = &kernel->geometry;
  tsr_buffer_printf(out, "  %s\n    %s, ", kernel->name, kernel->strategy);
  put_tokens(out, &kernel->spec);
  tsr_buffer_printf(out,
                    "; %u threads: %u row groups x %u k-slices x %u token "
                    "slices of %u tokens\n",
                    kernel->threads, g->groups, g->k_slices, g->token_slices,
                    g->warp_tokens);
  tsr_buffer_printf(out,
                    "    X in %u stages, weights %u k16 steps ahead in "
                    "registers, %u bytes of shared memory\n",
                    g->stages, g->depth, kernel->shared_size);
}

static void put_shape(tsr_buffer *out, const tsr_bundle_layer *layer) {
  const tsr_plan_layer *plan = layer->plan;
  const tsr_packed_layer *packed = &layer->packed;
  bool is_active = plan->activation != TSR_ACTIVATION_NONE;
  tsr_buffer_printf(
      out, "Y [N, %u] %s = %s%sX [N, %u] W^T%s%s%s\n",
      tsr_bundle_output_columns(layer), tsr_dtype_name(plan->output_type),
      is_active ? tsr_activation_name(plan->activation) : "",
      is_active ? "(" : "", packed->columns, plan->has_bias ? " + bias" : "",
      is_active ? ")" : "", plan->has_residual ? " + residual" : "");
  tsr_buffer_printf(out,
                    "W [%u, %u] %s, tiles %ux%u: %llu dense, %llu 2:4, %llu "
                    "zero\n",
                    packed->rows, packed->columns,
                    tsr_dtype_name(plan->weight_type), plan->tile.rows,
                    plan->tile.columns,
                    (unsigned long long)packed->tiles[TSR_KIND_DENSE],
                    (unsigned long long)packed->tiles[TSR_KIND_SPARSE24],
                    (unsigned long long)packed->tiles[TSR_KIND_ZERO]);
}

// What stands on top of layer |index|'s module.
static void write_comment(const tsr_compile *c, uint32_t index, uint32_t target,
                          tsr_buffer *out) {
  const tsr_bundle_layer *layer = &c->layers[index];
  const tsr_cuda_layer *cuda = &c->cuda_layers[index];
  const tsr_bundle_choice *chosen = &layer->chosen[TSR_TARGET_CUDA];
  tsr_location place =
      tsr_source_locate(tsr_compilation_sources(c->compilation),
                        layer->plan->span.source, layer->plan->span.begin);
  tsr_buffer_printf(out, "layer %s\n", layer->plan->name);
  tsr_buffer_printf(out, "plan %s:%u\n", place.path, place.line);
  put_shape(out, layer);
  tsr_buffer_printf(
      out,
      "stream %llu bytes, %llu of them padding; %llu steps of 64 columns\n",
      (unsigned long long)cuda->stream_bytes,
      (unsigned long long)layer->packed.parts[TSR_TARGET_CUDA].padding,
      (unsigned long long)cuda->steps);
  tsr_buffer_append_string(out, "\nkernels\n");
  for (uint32_t i = 0; i < chosen->count; ++i) {
    if (!tsr_compile_cuda_has(c, chosen->kernels[i], target)) continue;
    put_kernel(out, &c->cuda_kernels[chosen->kernels[i]]);
  }
  const tsr_cuda_share *share =
      tsr_compile_cuda_share(cuda, c->cuda_targets[target]);
  tsr_buffer_printf(out,
                    "\ntile runs on %u multiprocessors (--emit=schedule has "
                    "those on others)\n",
                    share->multiprocessors);
  tsr_buffer_append_string(out, tsr_buffer_text(&share->cuts));
}

static tsr_status make_module(const tsr_compile *c, uint32_t index,
                              uint32_t target, tsr_buffer *out,
                              tsr_error *error) {
  const tsr_bundle_choice *chosen = &c->layers[index].chosen[TSR_TARGET_CUDA];
  tsr_buffer comment = {0};
  write_comment(c, index, target, &comment);
  tsr_object *texts = tsr_calloc(chosen->count, sizeof(*texts));
  tsr_status status = texts == NULL ? tsr_error_out_of_memory(error)
                                    : tsr_buffer_status(&comment, error);
  uint32_t count = 0;
  for (uint32_t i = 0; status == TSR_OK && i < chosen->count; ++i) {
    uint32_t kernel = chosen->kernels[i];
    if (!tsr_compile_cuda_has(c, kernel, target)) continue;
    const tsr_buffer *ptx =
        &tsr_compile_cuda_object(c, kernel, target)->emitted.ptx;
    texts[count++] =
        (tsr_object){c->cuda_kernels[kernel].name, ptx->data, ptx->size};
  }
  if (status == TSR_OK) {
    status = tsr_cuda_join(c->cuda_targets[target], comment.data, texts, count,
                           out, error);
  }
  tsr_free(texts);
  tsr_buffer_fini(&comment);
  return status;
}

static tsr_status emit_layer(const tsr_compile *c, uint32_t index,
                             uint32_t target, tsr_error *error) {
  tsr_buffer module = {0}, name = {0};
  tsr_buffer_printf(&name, "%s/%s.ptx", c->cuda_targets[target]->name,
                    c->layers[index].plan->symbol);
  tsr_status status = tsr_buffer_status(&name, error);
  if (status == TSR_OK) status = make_module(c, index, target, &module, error);
  if (status == TSR_OK) status = tsr_emit_text(c, name.data, &module, error);
  tsr_buffer_fini(&module);
  tsr_buffer_fini(&name);
  return status;
}

static tsr_status emit_layers(const tsr_compile *c, tsr_error *error) {
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < c->plan->layer_count; ++i) {
    for (uint32_t t = 0; status == TSR_OK && t < c->cuda_target_count; ++t) {
      status = emit_layer(c, i, t, error);
    }
  }
  return status;
}

tsr_status tsr_emit_cuda(const tsr_compile *c, tsr_error *error) {
  tsr_status status = emit_kernels(c, error);
  if (status == TSR_OK && (c->emit & TSR_EMISSION_PTX) != 0) {
    status = emit_layers(c, error);
  }
  if (status == TSR_OK && (c->emit & TSR_EMISSION_CUBIN) != 0) {
    status = emit_cubins(c, error);
  }
  return status;
}
