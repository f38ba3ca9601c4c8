// SPDX-License-Identifier: Apache-2.0
// tesserac compile: what was made, what was reused, and why not more.
#include <stdio.h>
#include <string.h>

#include "common/terminal.h"
#include "tesserac/compile.h"

static void why_layer(const tsr_compile *c, uint32_t index) {
  const tsr_layer_report *report = &c->reports[index];
  const char *name = c->plan->layers[index].name;
  switch (report->reuse) {
    case TSR_REUSE_HIT:
      tsr_cli_note(c->cli, "layer %s: %s", name,
                   tsr_packed_is_reused(&c->layers[index].packed)
                       ? "reused, nothing changed"
                       : "packed, the previous bundle's copy is damaged");
      return;
    case TSR_REUSE_NO_BUNDLE:
      tsr_cli_note(c->cli, "layer %s: packed, no previous bundle", name);
      return;
    case TSR_REUSE_NEW_LAYER:
      tsr_cli_note(c->cli, "layer %s: packed, not in the previous bundle",
                   name);
      return;
    case TSR_REUSE_CHANGED:
      break;
  }
  tsr_buffer parts = {0};
  for (int part = 0; part < TSR_KEY_PART_COUNT; ++part) {
    if ((report->changed >> part & 1u) == 0) continue;
    tsr_buffer_printf(&parts, "%s%s", parts.size == 0 ? "" : ", ",
                      tsr_key_part_name((tsr_key_part)part));
  }
  tsr_cli_note(c->cli, "layer %s: packed, changed: %s", name,
               tsr_buffer_text(&parts));
  tsr_buffer_fini(&parts);
}

static const char *cache_reason(tsr_cache_result result) {
  static const char *const reasons[] = {
      [TSR_CACHE_HIT] = "from the cache",
      [TSR_CACHE_ABSENT] = "compiled, not in the cache",
      [TSR_CACHE_DAMAGED] = "compiled, the cache's entry is damaged",
      [TSR_CACHE_OFF] = "compiled, the cache is not used"};
  return reasons[result];
}

static void why_host(const tsr_compile *c) {
  for (uint32_t kernel = 0; kernel < c->kernel_count; ++kernel) {
    for (uint32_t i = 0; i < c->variant_count; ++i) {
      tsr_cli_note(c->cli, "kernel %s for %s: %s", c->kernels[kernel].name,
                   c->variants[i]->name,
                   cache_reason(tsr_compile_object(c, kernel, i)->cache));
    }
  }
}

static void why_cuda(const tsr_compile *c) {
  for (uint32_t i = 0; i < c->cuda_job_count; ++i) {
    uint32_t object = c->cuda_jobs[i];
    tsr_cli_note(c->cli, "kernel %s for %s: %s",
                 c->cuda_kernels[object / c->cuda_target_count].name,
                 c->cuda_targets[object % c->cuda_target_count]->name,
                 cache_reason(c->cuda_objects[object].cache));
  }
  for (uint32_t i = 0; c->cuda_modules != NULL && i < c->cuda_target_count;
       ++i) {
    if (c->cuda_modules[i].cubin.size == 0) continue;
    tsr_cli_note(c->cli, "cubin for %s: %s", c->cuda_targets[i]->name,
                 cache_reason(c->cuda_modules[i].cache));
  }
}

static void say_why(const tsr_compile *c) {
  for (uint32_t i = 0; i < c->plan->layer_count; ++i) why_layer(c, i);
  if (c->objects != NULL) why_host(c);
  if (c->cuda_objects != NULL) why_cuda(c);
}

static void summarize_layers(const tsr_compile *c) {
  uint64_t dense = 0, packed = 0;
  uint32_t reused = 0;
  for (uint32_t i = 0; i < c->plan->layer_count; ++i) {
    const tsr_packed_layer *layer = &c->layers[i].packed;
    dense += (uint64_t)layer->rows * layer->columns * 2;
    packed += tsr_packed_bytes(layer);
    reused += tsr_packed_is_reused(layer);
  }
  tsr_cli_note(c->cli, "%s (%u packed, %u reused): %s dense, %s packed",
               tsr_format_plural(c->plan->layer_count, "layer").text,
               c->plan->layer_count - reused, reused,
               tsr_format_bytes(dense).text, tsr_format_bytes(packed).text);
}

// Said where tiles do not fill fragments, or there are two copies.
static void summarize_cuda_layers(const tsr_compile *c) {
  uint64_t packed = 0, padding = 0;
  for (uint32_t i = 0; i < c->plan->layer_count; ++i) {
    const tsr_packed_part *part = &c->layers[i].packed.parts[TSR_TARGET_CUDA];
    packed += part->stream.size;
    padding += part->padding;
  }
  if (c->cuda_target_count == 0 || (c->variant_count == 0 && padding == 0)) {
    return;
  }
  tsr_cli_note(c->cli, "for CUDA: %s packed, %s of them padding",
               tsr_format_bytes(packed).text, tsr_format_bytes(padding).text);
}

static void summarize_kernels(const tsr_compile *c, uint32_t kernels,
                              uint32_t targets, const char *noun,
                              uint32_t objects, uint32_t cached) {
  tsr_cli_note(c->cli, "%s for %s (%u compiled, %u cached)",
               tsr_format_plural(kernels, "kernel").text,
               tsr_format_plural(targets, noun).text, objects - cached, cached);
}

static void summarize_objects(const tsr_compile *c) {
  uint32_t cached = 0, count = c->kernel_count * c->variant_count;
  for (uint32_t i = 0; c->objects != NULL && i < count; ++i) {
    cached += c->objects[i].cache == TSR_CACHE_HIT;
  }
  if (c->objects != NULL) {
    summarize_kernels(c, c->kernel_count, c->variant_count, "variant", count,
                      cached);
  }
  cached = 0;
  for (uint32_t i = 0; i < c->cuda_job_count; ++i) {
    cached += c->cuda_objects[c->cuda_jobs[i]].cache == TSR_CACHE_HIT;
  }
  if (c->cuda_objects != NULL) {
    summarize_kernels(c, c->cuda_kernel_count, c->cuda_target_count,
                      "CUDA target", c->cuda_job_count, cached);
  }
}

void tsr_compile_summary(const tsr_compile *c) {
  if (c->emit != 0 || c->last < TSR_STAGE_PACK) return;
  if (c->why) say_why(c);
  summarize_layers(c);
  summarize_cuda_layers(c);
  summarize_objects(c);
  if (c->last == TSR_STAGE_BUNDLE) tsr_cli_note(c->cli, "wrote %s", c->output);
}
