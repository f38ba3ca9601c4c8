// SPDX-License-Identifier: Apache-2.0
// Edge bodies: one for each kind, which multiplies a step of any number of row
// blocks and columns. Rare, so nothing is loaded ahead, and the registers of
// the straight-line bodies have to do. docs/cuda-kernels.md.
#include "walk.h"

enum { EDGE_TILES = 2 };  // n tiles whose B operands are held at once

static LLVMValueRef is_above(nv_walk *w, LLVMValueRef a, uint32_t b) {
  cg_emit *e = &w->k->e;
  return LLVMBuildICmp(e->builder, LLVMIntUGT, a, cg_i32(e, b), "");
}

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

void nv_edge_emit(nv_walk *w, tsr_kind kind, LLVMValueRef blocks) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  edge_work edge = {.kind = kind, .blocks = blocks};
  nv_comment(k, "%s unit with fewer rows or columns", nv_kind_name(kind));
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
