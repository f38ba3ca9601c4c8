// SPDX-License-Identifier: Apache-2.0
// Straight-line bodies: a main unit, multiplied while the next one is loaded.
// The registers that an mma has just freed take that unit's weights.
// docs/cuda-kernels.md.
#include "walk.h"

const char *nv_kind_name(tsr_kind kind) {
  return kind == TSR_KIND_SPARSE24 ? "2:4" : "dense";
}

static const char *step_name(tsr_kind kind) {
  return kind == TSR_KIND_SPARSE24 ? "k32" : "k16";
}

// What a body loads while it multiplies: the unit after this one.
typedef struct ahead {
  tsr_kind kind;      // ZERO: nothing
  LLVMValueRef unit;  // this lane's pointer
  uint32_t steps;     // of it that are loaded ahead
} ahead;

static void load_step(nv_walk *w, tsr_kind kind, LLVMValueRef unit,
                      uint32_t step, uint32_t slot, uint32_t block) {
  if (block == 0) {
    nv_comment(w->k, "  load %s step %u of a %s unit", step_name(kind),
               step + 1, nv_kind_name(kind));
  }
  nv_load_weights(w, kind, unit, step, slot, block);
}

static void load_metadata(nv_walk *w, LLVMValueRef unit) {
  LLVMValueRef words[NV_GROUP_BLOCKS];
  nv_load_metadata(w, unit, words);
  for (uint32_t b = 0; b < w->k->shape.main_blocks; ++b) {
    nv_set(w->k, w->metadata[b], words[b]);
  }
}

// Where all else of the next unit is on its way, its metadata can wait until
// this unit's is used up: 64 tokens leave no registers for both.
static bool is_late(const nv_walk *w, tsr_kind kind) {
  return kind == TSR_KIND_SPARSE24 && w->k->geometry.depth < NV_SLOTS;
}

// This unit's metadata, moved out of the way of the next unit's, which is
// loaded at once. A plain move would be undone by ptxas, which would then move
// the new words at the end of the body, and wait for them there.
static void take_metadata(nv_walk *w, tsr_kind kind,
                          LLVMValueRef out[NV_GROUP_BLOCKS]) {
  nv_kernel *k = w->k;
  if (kind != TSR_KIND_SPARSE24) return;
  for (uint32_t b = 0; b < k->shape.main_blocks; ++b) {
    out[b] = nv_get(k, k->e.i32, w->metadata[b]);
    if (is_late(w, kind)) continue;
    out[b] = LLVMBuildOr(k->e.builder, out[b], w->zero, "metadata");
  }
}

void nv_body_load(nv_walk *w, tsr_kind kind, uint32_t distance) {
  nv_kernel *k = w->k;
  LLVMValueRef unit =
      nv_unit(w, kind, nv_get(k, k->e.i32, w->offset[distance]));
  nv_comment(k, "%s unit: nothing is loaded yet", nv_kind_name(kind));
  if (kind == TSR_KIND_SPARSE24) load_metadata(w, unit);
  for (uint32_t s = 0; s < nv_steps_ahead(w, kind); ++s) {
    for (uint32_t b = 0; b < k->shape.main_blocks; ++b) {
      load_step(w, kind, unit, s, s, b);
    }
  }
}

// The registers of |slot| and |block| are free: this unit's step |step| + depth
// takes them, or the next unit's.
static void refill(nv_walk *w, tsr_kind kind, uint32_t step, uint32_t block,
                   LLVMValueRef unit, const ahead *next) {
  uint32_t depth = w->k->geometry.depth, slot = step % depth;
  if (step + depth < nv_steps(w, kind)) {
    load_step(w, kind, unit, step + depth, slot, block);
  } else if (slot < next->steps) {
    load_step(w, next->kind, next->unit, slot, slot, block);
  }
}

static void multiply_step(nv_walk *w, tsr_kind kind, uint32_t step,
                          LLVMValueRef metadata[NV_GROUP_BLOCKS],
                          const nv_tokens *tokens, LLVMValueRef unit,
                          const ahead *next) {
  nv_kernel *k = w->k;
  uint32_t slot = step % k->geometry.depth;
  nv_comment(k, "%s unit: %s step %u of %u", nv_kind_name(kind),
             step_name(kind), step + 1, nv_steps(w, kind));
  for (uint32_t b = 0; b < k->shape.main_blocks; ++b) {
    LLVMValueRef a[4];
    for (uint32_t i = 0; i < 4; ++i) {
      a[i] = nv_get(k, k->e.i32, w->weights[slot][b][i]);
    }
    nv_multiply(w, kind, b, step, a, metadata[b], tokens);
    refill(w, kind, step, b, unit, next);
  }
}

// Registers that this unit does not use can be filled at once.
static ahead begin_ahead(nv_walk *w, tsr_kind kind, tsr_kind next_kind) {
  nv_kernel *k = w->k;
  ahead next = {.kind = next_kind};
  if (next_kind == TSR_KIND_ZERO) return next;
  next.unit = nv_unit(w, next_kind, nv_get(k, k->e.i32, w->offset[1]));
  next.steps = nv_steps_ahead(w, next_kind);
  if (next_kind == TSR_KIND_SPARSE24 && !is_late(w, kind)) {
    load_metadata(w, next.unit);
  }
  for (uint32_t s = nv_steps_ahead(w, kind); s < next.steps; ++s) {
    for (uint32_t b = 0; b < k->shape.main_blocks; ++b) {
      load_step(w, next_kind, next.unit, s, s, b);
    }
  }
  return next;
}

void nv_body_emit(nv_walk *w, tsr_kind kind, tsr_kind next_kind) {
  nv_kernel *k = w->k;
  LLVMValueRef metadata[NV_GROUP_BLOCKS] = {NULL};
  LLVMValueRef unit = NULL;
  nv_comment(
      k, "%s unit; next is %s", nv_kind_name(kind),
      next_kind == TSR_KIND_ZERO ? "no main unit" : nv_kind_name(next_kind));
  if (nv_steps(w, kind) > k->geometry.depth) {
    unit = nv_unit(w, kind, nv_get(k, k->e.i32, w->offset[0]));
  }
  take_metadata(w, kind, metadata);
  ahead next = begin_ahead(w, kind, next_kind);
  uint32_t steps = nv_steps(w, kind);
  uint32_t half_steps = kind == TSR_KIND_SPARSE24 ? 1 : 2;
  for (uint32_t s = 0; s < steps;) {
    nv_tokens tokens;
    nv_load_tokens(w, s / half_steps, 0, k->geometry.warp_tokens / 8u, &tokens);
    do {
      multiply_step(w, kind, s, metadata, &tokens, unit, &next);
      ++s;
    } while (s < steps && s % half_steps != 0);
  }
  if (next_kind == TSR_KIND_SPARSE24 && is_late(w, kind)) {
    load_metadata(w, next.unit);
  }
}
