// SPDX-License-Identifier: Apache-2.0
// The main loop: a warp's steps one after the other, through a straight-line
// body for each (kind of this step, kind of the next; body.c), and one body for
// each kind that multiplies whatever an edge step has (edge.c).
// docs/cuda-kernels.md.
#include "walk.h"

enum { NV_NO_GROUP = 1 << 16 };  // more than a panel has

static LLVMValueRef is_equal(nv_walk *w, LLVMValueRef a, uint32_t b) {
  cg_emit *e = &w->k->e;
  return LLVMBuildICmp(e->builder, LLVMIntEQ, a, cg_i32(e, b), "");
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
    nv_body_load(w, kind, distance);
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
    nv_body_emit(w, kind, n);
    cg_else(e, &branch[n]);
  }
  nv_body_emit(w, kind, TSR_KIND_ZERO);
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
    cg_if(e, is_equal(w, step, kind), nv_kind_name(kind), &branch);
    emit_main(w, kind, next);
    cg_endif(e, &branch);
    if (!has_edges(w)) continue;
    cg_if(e, is_equal(w, step, kind + NV_STEP_EDGE), "edge", &branch);
    nv_edge_emit(w, kind, blocks_at(w, 0));
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
