// SPDX-License-Identifier: Apache-2.0
// The main loop: a warp's steps one after the other, through a straight-line
// body for each (kind of this step, kind of the next), in which the registers
// that an mma has just freed take the next unit's weights; and one body for
// each kind that multiplies whatever an edge step has. docs/cuda-kernels.md.
#include "walk.h"

enum {
  NV_NO_GROUP = 1 << 16,  // more than a panel has
  EDGE_TILES = 2,         // n tiles whose B operands an edge body holds
};

static const char *kind_name(tsr_kind kind) {
  return kind == TSR_KIND_SPARSE24 ? "2:4" : "dense";
}

static const char *step_name(tsr_kind kind) {
  return kind == TSR_KIND_SPARSE24 ? "k32" : "k16";
}

static LLVMValueRef is_equal(nv_walk *w, LLVMValueRef a, uint32_t b) {
  cg_emit *e = &w->k->e;
  return LLVMBuildICmp(e->builder, LLVMIntEQ, a, cg_i32(e, b), "");
}

static LLVMValueRef is_above(nv_walk *w, LLVMValueRef a, uint32_t b) {
  cg_emit *e = &w->k->e;
  return LLVMBuildICmp(e->builder, LLVMIntUGT, a, cg_i32(e, b), "");
}

// ---- Records ----

// Loads 8 bytes (|count| 2) or the code alone of a step; zeros where there is
// none.
static void fetch(nv_walk *w, LLVMValueRef distance, uint32_t count,
                  LLVMValueRef *out) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef index =
      cg_add(e, nv_get(k, e->i32, w->position),
             cg_mul_constant(e, distance, k->geometry.k_slices));
  LLVMValueRef address =
      cg_at_index(e, k->steps, cg_widen(e, index), sizeof(tsr_nvidia_step));
  LLVMValueRef arguments[] = {address, index, w->share_end};
  if (count == 1) {
    *out = nv_assembly(k, e->i32,
                       "{ .reg .pred p; setp.lt.u32 p, $2, $3;\n\t"
                       "mov.b32 $0, 0;\n\t"
                       "@p ld.global.nc.u32 $0, [$1+4]; }",
                       "=&r,l,r,r", arguments, 3);
    return;
  }
  LLVMTypeRef types[] = {e->i32, e->i32};
  LLVMValueRef record =
      nv_assembly(k, LLVMStructTypeInContext(e->context, types, 2, 0),
                  "{ .reg .pred p; setp.lt.u32 p, $3, $4;\n\t"
                  "mov.b32 $0, 0; mov.b32 $1, 0;\n\t"
                  "@p ld.global.nc.v2.u32 {$0, $1}, [$2]; }",
                  "=&r,=&r,l,r,r", arguments, 3);
  out[0] = LLVMBuildExtractValue(e->builder, record, 0, "step.offset");
  out[1] = LLVMBuildExtractValue(e->builder, record, 1, "step.code");
}

LLVMValueRef nv_walk_code(nv_walk *w, LLVMValueRef distance) {
  LLVMValueRef code = NULL;
  fetch(w, distance, 1, &code);
  return code;
}

static void fetch_record(nv_walk *w, uint32_t distance) {
  LLVMValueRef record[2];
  fetch(w, cg_i32(&w->k->e, distance), 2, record);
  nv_set(w->k, w->offset[distance], record[0]);
  nv_set(w->k, w->code[distance], record[1]);
}

// Row blocks of the step |distance| ahead in its panel.
static LLVMValueRef panel_blocks(nv_walk *w, uint32_t distance) {
  cg_emit *e = &w->k->e;
  const nv_shape *shape = &w->k->shape;
  LLVMValueRef last = cg_i32(e, shape->last_blocks);
  if (w->last_first == NULL) return last;
  LLVMValueRef index = cg_add(e, nv_get(w->k, e->i32, w->position),
                              cg_i32(e, distance * w->k->geometry.k_slices));
  LLVMValueRef is_full =
      LLVMBuildICmp(e->builder, LLVMIntULT, index, w->last_first, "");
  return LLVMBuildSelect(e->builder, is_full, cg_i32(e, shape->blocks), last,
                         "");
}

// This warp's row blocks in the step |distance| ahead.
static LLVMValueRef blocks_at(nv_walk *w, uint32_t distance) {
  cg_emit *e = &w->k->e;
  if (!w->has_row_edges && !w->has_idle) {
    return cg_i32(e, w->k->shape.main_blocks);
  }
  LLVMValueRef all = panel_blocks(w, distance);
  LLVMValueRef before =
      cg_minimum(e, cg_mul_constant(e, w->group, NV_GROUP_BLOCKS), all);
  return cg_minimum(e, cg_sub(e, all, before), cg_i32(e, NV_GROUP_BLOCKS));
}

// NV_STEP_* of the step |distance| ahead.
static LLVMValueRef classify(nv_walk *w, uint32_t distance) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef code = nv_get(k, e->i32, w->code[distance]);
  LLVMValueRef kind = LLVMBuildLShr(e->builder, code, cg_i32(e, 24), "");
  kind = LLVMBuildAnd(e->builder, kind, cg_i32(e, 3), "kind");
  LLVMValueRef is_main = LLVMConstInt(e->i1, 1, 0);
  LLVMValueRef blocks = blocks_at(w, distance);
  if (w->has_column_edges) {
    LLVMValueRef columns = LLVMBuildLShr(e->builder, code, cg_i32(e, 26), "");
    is_main = is_equal(w, columns, k->shape.main_columns);
  }
  if (w->has_row_edges) {
    is_main = LLVMBuildAnd(e->builder, is_main,
                           is_equal(w, blocks, k->shape.main_blocks), "");
  }
  LLVMValueRef edge = cg_add(e, kind, cg_i32(e, NV_STEP_EDGE));
  LLVMValueRef step = LLVMBuildSelect(e->builder, is_main, kind, edge, "");
  if (w->has_column_edges || w->has_row_edges || w->has_idle) {
    LLVMValueRef none = LLVMBuildOr(e->builder, is_equal(w, kind, 0),
                                    is_equal(w, blocks, 0), "");
    step = LLVMBuildSelect(e->builder, none, cg_i32(e, NV_STEP_NONE), step, "");
  }
  return step;
}

// ---- Straight-line bodies ----

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
               step + 1, kind_name(kind));
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

// The step |distance| ahead: the first of all, or one behind an edge.
static void load_all(nv_walk *w, tsr_kind kind, uint32_t distance) {
  nv_kernel *k = w->k;
  LLVMValueRef unit =
      nv_unit(w, kind, nv_get(k, k->e.i32, w->offset[distance]));
  nv_comment(k, "%s unit: nothing is loaded yet", kind_name(kind));
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
  nv_comment(k, "%s unit: %s step %u of %u", kind_name(kind), step_name(kind),
             step + 1, nv_steps(w, kind));
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

static void emit_body(nv_walk *w, tsr_kind kind, tsr_kind next_kind) {
  nv_kernel *k = w->k;
  LLVMValueRef metadata[NV_GROUP_BLOCKS] = {NULL};
  LLVMValueRef unit = NULL;
  nv_comment(
      k, "%s unit; next is %s", kind_name(kind),
      next_kind == TSR_KIND_ZERO ? "no main unit" : kind_name(next_kind));
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

// ---- Edge bodies ----

typedef struct edge_work {
  tsr_kind kind;
  LLVMValueRef blocks, steps;  // i32
  LLVMValueRef fragments;      // ptr, of this lane
  LLVMValueRef metadata[NV_GROUP_BLOCKS];
} edge_work;

// This lane's part of the unit's beginning. Units before this warp's in the
// k-chunk are of whole row groups.
static LLVMValueRef edge_unit(nv_walk *w, const edge_work *edge) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  uint32_t head = tsr_fragment_metadata_size(4, edge->kind);
  LLVMValueRef size =
      cg_add(e,
             cg_mul_constant(e, edge->steps,
                             4u * TSR_FRAGMENT_SIZE / TSR_FRAGMENT_ALIGNMENT),
             cg_i32(e, head / TSR_FRAGMENT_ALIGNMENT));
  LLVMValueRef unit =
      cg_add(e, nv_get(k, e->i32, w->offset[0]), cg_mul(e, w->group, size));
  return cg_at_index(e, w->stream, cg_widen(e, unit), TSR_FRAGMENT_ALIGNMENT);
}

// 1, 2, 4 or 4 words for 1 to 4 row blocks; each case is one load. Fragments
// come after them.
static void edge_metadata(nv_walk *w, edge_work *edge) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef more = is_above(w, edge->blocks, 2);
  LLVMValueRef words =
      LLVMBuildSelect(e->builder, more, cg_i32(e, 4), edge->blocks, "");
  // |fragments| is 16 bytes a lane from the unit's beginning.
  LLVMValueRef less = cg_mul(
      e, k->lane,
      cg_sub(e, cg_i32(e, TSR_FRAGMENT_LANE), cg_mul_constant(e, words, 4)));
  LLVMValueRef address = cg_at_value(
      e, edge->fragments, LLVMBuildNeg(e->builder, cg_widen(e, less), ""));
  LLVMTypeRef types[] = {e->i32, e->i32, e->i32, e->i32};
  LLVMValueRef arguments[] = {address, words};
  LLVMValueRef values = nv_assembly(
      k, LLVMStructTypeInContext(e->context, types, 4, 0),
      "{ .reg .pred p, q, r; setp.eq.u32 p, $5, 1; setp.eq.u32 q, $5, 2; "
      "setp.eq.u32 r, $5, 4;\n\t"
      "mov.b32 $0, 0; mov.b32 $1, 0; mov.b32 $2, 0; mov.b32 $3, 0;\n\t"
      "@p ld.global.nc.u32 $0, [$4];\n\t"
      "@q ld.global.nc.v2.u32 {$0, $1}, [$4];\n\t"
      "@r ld.global.nc.v4.u32 {$0, $1, $2, $3}, [$4]; }",
      "=&r,=&r,=&r,=&r,l,r", arguments, 2);
  for (uint32_t b = 0; b < NV_GROUP_BLOCKS; ++b) {
    edge->metadata[b] = LLVMBuildExtractValue(e->builder, values, b, "");
  }
  edge->fragments =
      cg_at_value(e, edge->fragments,
                  cg_widen(e, cg_mul_constant(e, words, NV_LANES * 4u)));
}

// Row blocks to multiply in |step|: none when there is no such step.
static LLVMValueRef edge_limit(nv_walk *w, const edge_work *edge,
                               uint32_t step) {
  cg_emit *e = &w->k->e;
  return LLVMBuildSelect(e->builder, is_above(w, edge->steps, step),
                         edge->blocks, cg_i32(e, 0), "");
}

// Loads step |step|'s weights; none where there is no such row block.
static void edge_load(nv_walk *w, const edge_work *edge, uint32_t step,
                      LLVMValueRef a[NV_GROUP_BLOCKS][4]) {
  cg_emit *e = &w->k->e;
  LLVMValueRef bytes =
      cg_mul_constant(e, edge->blocks, step * TSR_FRAGMENT_SIZE);
  LLVMValueRef address = cg_at_value(e, edge->fragments, cg_widen(e, bytes));
  LLVMValueRef limit = edge_limit(w, edge, step);
  for (uint32_t b = 0; b < w->k->shape.main_blocks; ++b) {
    nv_load_guarded(w, address, b * TSR_FRAGMENT_SIZE, limit, b, a[b]);
  }
}

static void edge_multiply(nv_walk *w, const edge_work *edge, uint32_t step,
                          LLVMValueRef a[NV_GROUP_BLOCKS][4],
                          const nv_tokens *tokens) {
  cg_emit *e = &w->k->e;
  LLVMValueRef limit = edge_limit(w, edge, step);
  for (uint32_t b = 0; b < w->k->shape.main_blocks; ++b) {
    cg_branch branch;
    cg_if(e, is_above(w, limit, b), "edge.block", &branch);
    nv_multiply(w, edge->kind, b, step, a[b], edge->metadata[b], tokens);
    cg_endif(e, &branch);
  }
}

// Half a k-chunk: its weights, then a few tokens at a time, so that the
// registers of the straight-line bodies do.
static void edge_half(nv_walk *w, const edge_work *edge, uint32_t half) {
  uint32_t count = edge->kind == TSR_KIND_SPARSE24 ? 1 : 2;
  uint32_t first = half * count, tiles = w->k->geometry.warp_tokens / 8u;
  uint32_t at_once = tiles < EDGE_TILES ? tiles : (uint32_t)EDGE_TILES;
  LLVMValueRef a[2][NV_GROUP_BLOCKS][4];
  cg_branch branch;
  cg_if(&w->k->e, is_above(w, edge->steps, first), "edge.half", &branch);
  for (uint32_t i = 0; i < count; ++i) edge_load(w, edge, first + i, a[i]);
  for (uint32_t n = 0; n < tiles; n += at_once) {
    nv_tokens tokens;
    nv_load_tokens(w, half, n, at_once, &tokens);
    for (uint32_t i = 0; i < count; ++i) {
      edge_multiply(w, edge, first + i, a[i], &tokens);
    }
  }
  cg_endif(&w->k->e, &branch);
}

static void emit_edge(nv_walk *w, tsr_kind kind) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  edge_work edge = {.kind = kind, .blocks = blocks_at(w, 0)};
  nv_comment(k, "%s unit with fewer rows or columns", kind_name(kind));
  edge.steps = LLVMBuildLShr(e->builder, nv_get(k, e->i32, w->code[0]),
                             cg_i32(e, 26), "");
  if (kind == TSR_KIND_SPARSE24) {
    edge.steps = LLVMBuildLShr(e->builder, cg_add(e, edge.steps, cg_i32(e, 1)),
                               cg_i32(e, 1), "");
  }
  edge.fragments = edge_unit(w, &edge);
  if (kind == TSR_KIND_SPARSE24) edge_metadata(w, &edge);
  for (uint32_t half = 0; half < 2; ++half) edge_half(w, &edge, half);
}

// ---- One step ----

static bool has_edges(const nv_walk *w) {
  return w->has_row_edges || w->has_column_edges;
}

// Loads the unit of the step |distance| ahead if it is main; |step| says what
// it is.
static void load_first(nv_walk *w, LLVMValueRef step, uint32_t distance) {
  cg_emit *e = &w->k->e;
  for (tsr_kind kind = TSR_KIND_SPARSE24; kind <= TSR_KIND_DENSE; ++kind) {
    if (!w->has_kind[kind]) continue;
    cg_branch branch;
    cg_if(e, is_equal(w, step, kind), "load.first", &branch);
    load_all(w, kind, distance);
    cg_endif(e, &branch);
  }
}

// Says that what the registers have is of no use: they are free in the body
// before this.
static void clear_weights(nv_walk *w) {
  cg_emit *e = &w->k->e;
  for (uint32_t b = 0; b < NV_GROUP_BLOCKS; ++b) {
    nv_set(w->k, w->metadata[b], cg_i32(e, 0));
    for (uint32_t i = 0; i < 4 * NV_SLOTS; ++i) {
      nv_set(w->k, w->weights[i / 4u][b][i % 4u], cg_i32(e, 0));
    }
  }
}

static void emit_main(nv_walk *w, tsr_kind kind, LLVMValueRef next) {
  cg_emit *e = &w->k->e;
  cg_branch branch[TSR_KIND_COUNT];
  for (tsr_kind n = TSR_KIND_SPARSE24; n <= TSR_KIND_DENSE; ++n) {
    if (!w->has_kind[n]) continue;
    cg_if(e, is_equal(w, next, n), "body", &branch[n]);
    emit_body(w, kind, n);
    cg_else(e, &branch[n]);
  }
  emit_body(w, kind, TSR_KIND_ZERO);
  for (tsr_kind n = TSR_KIND_DENSE; n >= TSR_KIND_SPARSE24; --n) {
    if (w->has_kind[n]) cg_endif(e, &branch[n]);
  }
}

static void rotate(nv_walk *w, LLVMValueRef next_step) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  for (uint32_t i = 0; i < 2; ++i) {
    nv_set(k, w->offset[i], nv_get(k, e->i32, w->offset[i + 1]));
    nv_set(k, w->code[i], nv_get(k, e->i32, w->code[i + 1]));
  }
  nv_set(k, w->step, next_step);
  nv_set(k, w->position,
         cg_add(e, nv_get(k, e->i32, w->position),
                cg_i32(e, k->geometry.k_slices)));
  nv_ring_advance(w);
}

static void emit_step(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  nv_ring_wait(w);
  fetch_record(w, 2);
  LLVMValueRef step = nv_get(k, e->i32, w->step);
  LLVMValueRef next = classify(w, 1);
  for (tsr_kind kind = TSR_KIND_SPARSE24; kind <= TSR_KIND_DENSE; ++kind) {
    if (!w->has_kind[kind]) continue;
    cg_branch branch;
    cg_if(e, is_equal(w, step, kind), kind_name(kind), &branch);
    emit_main(w, kind, next);
    cg_endif(e, &branch);
    if (!has_edges(w)) continue;
    cg_if(e, is_equal(w, step, kind + NV_STEP_EDGE), "edge", &branch);
    emit_edge(w, kind);
    clear_weights(w);
    load_first(w, next, 1);
    cg_endif(e, &branch);
  }
  rotate(w, next);
}

void nv_walk_segment(nv_walk *w, LLVMValueRef step_end) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMBasicBlockRef head = nv_block(k, "step.head");
  LLVMBasicBlockRef body = nv_block(k, "step");
  LLVMBasicBlockRef after = nv_block(k, "segment.end");
  nv_branch(k, head);
  LLVMValueRef more = LLVMBuildICmp(
      e->builder, LLVMIntULT, nv_get(k, e->i32, w->position), step_end, "");
  (void)LLVMBuildCondBr(e->builder, more, body, after);
  LLVMPositionBuilderAtEnd(e->builder, body);
  emit_step(w);
  (void)LLVMBuildBr(e->builder, head);
  LLVMMoveBasicBlockAfter(after, LLVMGetInsertBlock(e->builder));
  LLVMPositionBuilderAtEnd(e->builder, after);
}

// ---- Start ----

static void variables(nv_walk *w) {
  cg_emit *e = &w->k->e;
  w->position = cg_variable(e, e->i32, "position");
  w->step = cg_variable(e, e->i32, "step");
  for (uint32_t i = 0; i < 3; ++i) {
    w->offset[i] = cg_variable(e, e->i32, "offset");
    w->code[i] = cg_variable(e, e->i32, "code");
  }
  for (uint32_t b = 0; b < NV_GROUP_BLOCKS; ++b) {
    w->metadata[b] = cg_variable(e, e->i32, "metadata");
    for (uint32_t i = 0; i < 4 * NV_SLOTS; ++i) {
      LLVMValueRef *slot = w->weights[i / 4u][b];
      slot[i % 4u] = cg_variable(e, e->i32, "weights");
    }
    for (uint32_t i = 0; i < 4 * NV_N_TILES; ++i) {
      w->acc.at[b][i / 4u][i % 4u] = cg_variable(e, e->f32, "sum");
    }
  }
}

void nv_walk_clear(nv_walk *w) {
  for (uint32_t b = 0; b < NV_GROUP_BLOCKS; ++b) {
    for (uint32_t i = 0; i < 4 * NV_N_TILES; ++i) {
      nv_set(w->k, w->acc.at[b][i / 4u][i % 4u], cg_f32(&w->k->e, 0));
    }
  }
}

// Do all groups of all panels have main_blocks?
static bool rows_vary(const nv_kernel *k) {
  const nv_shape *shape = &k->shape;
  uint32_t whole = k->geometry.groups * shape->main_blocks;
  if (shape->last_blocks != whole) return true;
  return shape->panels > 1 && shape->blocks != whole;
}

static bool columns_vary(const nv_kernel *k) {
  uint32_t main = k->shape.main_columns * 16u;
  uint32_t tile = k->spec->tile.columns, columns = k->spec->columns;
  uint32_t last = columns % tile;
  if (last != 0 && (last + 15u) / 16u * 16u % main != 0) return true;
  return columns >= tile && tile % main != 0;
}

// A warp whose tokens are all beyond the last counts as one that has no rows.
static void place_group(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  w->group = k->geometry.groups == 1 ? cg_i32(e, 0) : k->group;
  if (!w->has_idle) return;
  LLVMValueRef token =
      cg_add(e, k->token_first,
             cg_mul_constant(e, k->token_slice, k->geometry.warp_tokens));
  LLVMValueRef any =
      LLVMBuildICmp(e->builder, LLVMIntULT, token, k->tokens, "");
  w->group = LLVMBuildSelect(e->builder, any, w->group, cg_i32(e, NV_NO_GROUP),
                             "group");
}

static void place_units(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef lane = cg_mul_constant(e, k->lane, TSR_FRAGMENT_LANE);
  w->stream = cg_at_value(e, k->stream, cg_widen(e, lane));
  place_group(w);
  uint32_t words = tsr_fragment_metadata_words(k->shape.main_blocks);
  if (words == 4) return;
  LLVMValueRef less = cg_mul_constant(e, k->lane, 16u - 4u * words);
  w->metadata_lane = LLVMBuildNeg(e->builder, cg_widen(e, less), "");
}

void nv_walk_start(nv_walk *w, LLVMValueRef step_first, LLVMValueRef step_end,
                   LLVMValueRef last_first) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  const nv_shape *shape = &k->shape;
  for (tsr_kind kind = TSR_KIND_SPARSE24; kind <= TSR_KIND_DENSE; ++kind) {
    w->has_kind[kind] = (k->spec->kinds >> kind & 1u) != 0;
  }
  w->share_end = step_end;
  w->has_idle = k->geometry.token_slices > 1;
  w->has_row_edges = rows_vary(k);
  w->has_column_edges = columns_vary(k);
  if (shape->panels > 1 && shape->last_blocks != shape->blocks) {
    w->last_first = last_first;
  }
  variables(w);
  // No block has 2^13 threads; that a shuffle brought the number hides it.
  w->zero = LLVMBuildLShr(e->builder, k->warp, cg_i32(e, 8), "zero");
  place_units(w);
  nv_set(k, w->position, cg_add(e, step_first, k->k_slice));
  for (uint32_t i = 0; i < 2; ++i) fetch_record(w, i);
  nv_set(k, w->offset[2], cg_i32(e, 0));
  nv_set(k, w->code[2], cg_i32(e, 0));
  nv_set(k, w->step, classify(w, 0));
  clear_weights(w);
  load_first(w, nv_get(k, e->i32, w->step), 0);
  nv_ring_start(w);
  nv_walk_clear(w);
}
