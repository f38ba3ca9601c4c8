// SPDX-License-Identifier: Apache-2.0
// X on its way through shared memory: a ring of stages for each k-slice, filled
// by cp.async |stages| - 1 steps ahead by the warps of that slice alone, so
// that slices never wait for each other. Layout: nv_layout in nv.h.
#include <stdio.h>

#include "walk.h"

static const char guard[] = "{ .reg .pred p; setp.gt.u32 p, ";

static uint32_t slice_warps(const nv_kernel *k) {
  return k->geometry.groups * k->geometry.token_slices;
}

// All warps of this k-slice; barrier 0 is the whole block's.
static void slice_barrier(nv_kernel *k) {
  char text[64];
  if (slice_warps(k) == 1) {
    (void)nv_assembly(k, NULL, "bar.warp.sync 0xffffffff;", "~{memory}", NULL,
                      0);
    return;
  }
  LLVMValueRef id = cg_add(&k->e, k->k_slice, cg_i32(&k->e, 1));
  (void)snprintf(text, sizeof(text), "bar.sync $0, %u;",
                 slice_warps(k) * NV_LANES);
  (void)nv_assembly(k, NULL, text, "r,~{memory}", &id, 1);
}

static LLVMValueRef multiple_of_16(nv_kernel *k, LLVMValueRef bytes) {
  cg_emit *e = &k->e;
  LLVMValueRef low = LLVMBuildAnd(e->builder, bytes, cg_i64(e, 15), "");
  return LLVMBuildICmp(e->builder, LLVMIntEQ, low, cg_i64(e, 0), "");
}

// ---- Where a thread's pieces are ----

// ceil((limit - row) / pass), or 0 when |row| is not below |limit|.
static LLVMValueRef passes_of(nv_kernel *k, LLVMValueRef row,
                              LLVMValueRef limit, uint32_t pass) {
  cg_emit *e = &k->e;
  LLVMValueRef left = cg_add(e, cg_sub(e, limit, row), cg_i32(e, pass - 1));
  LLVMValueRef count = LLVMBuildUDiv(e->builder, left, cg_i32(e, pass), "");
  LLVMValueRef any = LLVMBuildICmp(e->builder, LLVMIntULT, row, limit, "");
  return LLVMBuildSelect(e->builder, any, count, cg_i32(e, 0), "x.rows");
}

static LLVMValueRef slice_base(nv_kernel *k) {
  cg_emit *e = &k->e;
  LLVMValueRef base = LLVMBuildPtrToInt(e->builder, k->shared, e->i32, "");
  return cg_add(e, base,
                cg_mul_constant(e, k->k_slice,
                                k->geometry.stages * k->layout.stage_size));
}

// |row| * 128 + (|piece| ^ (|row| & 7)) * 16.
static LLVMValueRef swizzled(nv_kernel *k, LLVMValueRef row,
                             LLVMValueRef piece) {
  cg_emit *e = &k->e;
  LLVMValueRef low = LLVMBuildAnd(e->builder, row, cg_i32(e, 7), "");
  LLVMValueRef place = LLVMBuildXor(e->builder, piece, low, "");
  return cg_add(e, cg_mul_constant(e, row, NV_CHUNK_BYTES),
                cg_mul_constant(e, place, 16));
}

// 8 lanes copy a row of 8 pieces. Where steps have 32 columns at most, 4 do,
// and the rows of 8 adjacent lanes, which write at one time, are r and r + 4:
// the swizzle takes their pieces to different banks.
static void place_pieces(nv_walk *w, LLVMValueRef *out_piece) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  nv_ring *ring = &w->ring;
  uint32_t pieces = k->shape.main_columns > 2 ? 8 : 4;
  ring->pieces = pieces;
  LLVMValueRef warp = cg_add(
      e, cg_mul_constant(e, k->token_slice, k->geometry.groups), k->group);
  LLVMValueRef row = LLVMBuildLShr(e->builder, k->lane, cg_i32(e, 3), "");
  if (pieces == 4) {
    LLVMValueRef high = LLVMBuildAnd(e->builder, k->lane, cg_i32(e, 4), "");
    row = cg_add(e, row, high);
  }
  ring->pass = slice_warps(k) * NV_LANES / pieces;
  ring->row = cg_add(e, row, cg_mul_constant(e, warp, NV_LANES / pieces));
  *out_piece =
      LLVMBuildAnd(e->builder, k->lane, cg_i32(e, pieces - 1), "x.piece");
}

static LLVMValueRef piece_source(nv_walk *w, LLVMValueRef row,
                                 LLVMValueRef piece) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef token = cg_widen(e, cg_add(e, w->ring.token_first, row));
  LLVMValueRef stride = cg_mul_constant(e, k->input_stride, 2);
  LLVMValueRef offset = cg_add(e, cg_mul(e, token, stride),
                               cg_widen(e, cg_mul_constant(e, piece, 16)));
  return cg_at_value(e, k->input, offset);
}

// Where the thread's first piece comes from, column 0; if not kept, then worked
// out from where it goes, with a shuffle as in nv_special.
static LLVMValueRef first_source(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  if (w->ring.from != NULL) return w->ring.from;
  LLVMValueRef base = LLVMBuildPtrToInt(e->builder, k->shared, e->i32, "");
  LLVMValueRef to =
      nv_assembly(k, e->i32, "shfl.sync.bfly.b32 $0, $1, 0, 31, 0xffffffff;",
                  "=r,r", &w->ring.to, 1);
  to = cg_sub(e, to, base);
  uint32_t slice_rows =
      k->geometry.stages * k->layout.stage_size / NV_CHUNK_BYTES;
  LLVMValueRef row = LLVMBuildLShr(e->builder, to, cg_i32(e, 7), "");
  row = LLVMBuildURem(e->builder, row, cg_i32(e, slice_rows), "x.row");
  LLVMValueRef piece = LLVMBuildLShr(e->builder, to, cg_i32(e, 4), "");
  piece = LLVMBuildXor(e->builder, piece, row, "");
  piece = LLVMBuildAnd(e->builder, piece, cg_i32(e, 7), "x.piece");
  return piece_source(w, row, piece);
}

static void place_copies(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  nv_ring *ring = &w->ring;
  const tsr_kernel_spec *spec = k->spec;
  uint32_t rows = k->geometry.token_slices * k->geometry.warp_tokens;
  LLVMValueRef piece = NULL;
  place_pieces(w, &piece);
  ring->passes = (rows + ring->pass - 1) / ring->pass;
  ring->swaps = ring->pass % 8u != 0;
  ring->is_ragged = spec->columns % TSR_FRAGMENT_CHUNK != 0 ||
                    spec->tile.columns % TSR_FRAGMENT_CHUNK != 0;
  ring->has_short =
      k->shape.main_columns > 2 && spec->tile.columns % TSR_FRAGMENT_CHUNK != 0;
  LLVMValueRef limit =
      cg_minimum(e, cg_sub(e, k->tokens, k->token_first), cg_i32(e, rows));
  ring->rows = passes_of(k, ring->row, limit, ring->pass);
  ring->to =
      nv_opaque(k, cg_add(e, slice_base(k), swizzled(k, ring->row, piece)));
  LLVMValueRef stride = cg_mul_constant(e, k->input_stride, 2);
  ring->token_first = k->token_first;
  // 64 tokens of a shape with edges leave no registers for a pointer.
  if (!ring->is_ragged || k->geometry.warp_tokens <= 32) {
    ring->from = nv_opaque(k, piece_source(w, ring->row, piece));
  }
  ring->pass_bytes = cg_mul_constant(e, stride, ring->pass);
  LLVMValueRef address = LLVMBuildPtrToInt(e->builder, k->input, e->i64, "");
  ring->is_aligned =
      multiple_of_16(k, LLVMBuildOr(e->builder, address, stride, ""));
}

// Lane l hands ldmatrix the row of token l % 8 of the matrix of columns
// 8 (l / 8): PTX ISA, ldmatrix, "threads 0-7 ... 24-31".
static void place_matrix(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef row = LLVMBuildAnd(e->builder, k->lane, cg_i32(e, 7), "");
  LLVMValueRef piece = LLVMBuildLShr(e->builder, k->lane, cg_i32(e, 3), "");
  LLVMValueRef slice = cg_mul_constant(
      e, k->token_slice, k->geometry.warp_tokens * NV_CHUNK_BYTES);
  w->ring.matrix =
      cg_add(e, cg_add(e, slice_base(k), slice), swizzled(k, row, piece));
}

// ---- Copies ----

// Where pass |pass|'s piece goes in a stage, less |pass| rows.
static LLVMValueRef target_of(nv_walk *w, LLVMValueRef to, uint32_t pass) {
  cg_emit *e = &w->k->e;
  if (!w->ring.swaps || pass % 2u == 0) return to;
  return LLVMBuildXor(e->builder, to, cg_i32(e, 64), "");
}

// The thread's piece's first column in its k-chunk. Afresh, so that it takes no
// register for all the rest of a step; most shapes never ask.
static LLVMValueRef piece_column(nv_walk *w) {
  cg_emit *e = &w->k->e;
  LLVMValueRef piece = LLVMBuildAnd(e->builder, nv_special(w->k, "laneid"),
                                    cg_i32(e, w->ring.pieces - 1), "x.piece");
  return cg_mul_constant(e, piece, 8);
}

// Bytes of the pieces from column |first| on that X has: 16, or less at its
// end.
static LLVMValueRef piece_size(nv_walk *w, LLVMValueRef first) {
  cg_emit *e = &w->k->e;
  LLVMValueRef end = cg_i32(e, w->k->spec->columns);
  LLVMValueRef left = cg_sub(e, end, cg_minimum(e, first, end));
  return cg_mul_constant(e, cg_minimum(e, left, cg_i32(e, 8)), 2);
}

// How many of the thread's pieces the step |code| has: none of the second 32
// columns where it has only the first.
static LLVMValueRef rows_of(nv_walk *w, LLVMValueRef code) {
  cg_emit *e = &w->k->e;
  if (!w->ring.has_short) return w->ring.rows;
  LLVMValueRef columns = LLVMBuildLShr(e->builder, code, cg_i32(e, 26), "");
  LLVMValueRef is_long =
      LLVMBuildICmp(e->builder, LLVMIntUGT, columns, cg_i32(e, 2), "");
  LLVMValueRef is_first =
      LLVMBuildICmp(e->builder, LLVMIntULT, piece_column(w), cg_i32(e, 32), "");
  return LLVMBuildSelect(e->builder,
                         LLVMBuildOr(e->builder, is_long, is_first, ""),
                         w->ring.rows, cg_i32(e, 0), "");
}

static void copy_pieces(nv_walk *w, LLVMValueRef column, LLVMValueRef rows,
                        LLVMValueRef to) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  nv_ring *ring = &w->ring;
  LLVMValueRef size = cg_i32(e, 16);
  LLVMValueRef from = cg_at_value(e, first_source(w),
                                  cg_widen(e, cg_mul_constant(e, column, 2)));
  if (ring->is_ragged) {  // no address beyond X, even if nothing is read there
    size = piece_size(w, cg_add(e, column, piece_column(w)));
    LLVMValueRef any =
        LLVMBuildICmp(e->builder, LLVMIntNE, size, cg_i32(e, 0), "");
    from = LLVMBuildSelect(e->builder, any, from, k->input, "");
  }
  for (uint32_t i = 0; i < ring->passes; ++i) {
    char text[192];
    LLVMValueRef arguments[] = {target_of(w, to, i), from, rows, size};
    (void)snprintf(text, sizeof(text),
                   "%s$2, %u;\n\t@p cp.async.cg.shared.global [$0+%u], [$1], "
                   "16%s; }",
                   guard, i, i * ring->pass * NV_CHUNK_BYTES,
                   ring->is_ragged ? ", $3" : "");
    (void)nv_assembly(k, NULL, text,
                      ring->is_ragged ? "r,l,r,r,~{memory}" : "r,l,r,~{memory}",
                      arguments, ring->is_ragged ? 4 : 3);
    from = cg_at_value(e, from, ring->pass_bytes);
  }
}

// 8 elements one by one, those beyond the last column zero.
static void copy_elements(nv_walk *w, LLVMValueRef from, LLVMValueRef size,
                          LLVMValueRef to) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef store[5] = {to};
  for (uint32_t i = 0; i < 8; ++i) {
    char text[160];
    LLVMValueRef arguments[] = {from, size};
    (void)snprintf(text, sizeof(text),
                   "%s$2, %u;\n\tmov.b16 $0, 0;\n\t"
                   "@p ld.global.nc.b16 $0, [$1+%u]; }",
                   guard, 2 * i, 2 * i);
    LLVMValueRef element = LLVMBuildZExt(
        e->builder, nv_assembly(k, e->i16, text, "=&h,l,r", arguments, 2),
        e->i32, "");
    if (i % 2u == 0) {
      store[1 + i / 2] = element;
    } else {
      element = LLVMBuildShl(e->builder, element, cg_i32(e, 16), "");
      store[1 + i / 2] = LLVMBuildOr(e->builder, store[1 + i / 2], element, "");
    }
  }
  (void)nv_assembly(k, NULL, "st.shared.v4.b32 [$0], {$1, $2, $3, $4};",
                    "r,r,r,r,r,~{memory}", store, 5);
}

static void copy_slowly(nv_walk *w, LLVMValueRef column, LLVMValueRef rows,
                        LLVMValueRef to) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  nv_ring *ring = &w->ring;
  LLVMValueRef size = piece_size(w, cg_add(e, column, piece_column(w)));
  LLVMValueRef from = cg_at_value(e, first_source(w),
                                  cg_widen(e, cg_mul_constant(e, column, 2)));
  cg_loop loop;
  cg_loop_begin(e, "x.element", rows, &loop);
  LLVMValueRef pass = loop.index;
  LLVMValueRef place = to;
  if (ring->swaps) {
    LLVMValueRef odd = LLVMBuildAnd(e->builder, pass, cg_i32(e, 1), "");
    place = LLVMBuildXor(e->builder, to, cg_mul_constant(e, odd, 64), "");
  }
  place =
      cg_add(e, place, cg_mul_constant(e, pass, ring->pass * NV_CHUNK_BYTES));
  LLVMValueRef row = cg_mul(e, cg_widen(e, pass), ring->pass_bytes);
  copy_elements(w, cg_at_value(e, from, row), size, place);
  cg_loop_end(e, &loop);
}

// The columns of X of the step |code| (0: none) into the stage at |stage|.
static void copy_stage(nv_walk *w, LLVMValueRef code, LLVMValueRef stage) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  cg_branch any, aligned;
  cg_if(e, LLVMBuildICmp(e->builder, LLVMIntNE, code, cg_i32(e, 0), ""),
        "x.copy", &any);
  LLVMValueRef column =
      LLVMBuildAnd(e->builder, code, cg_i32(e, 0xffffff), "x.column");
  LLVMValueRef to = cg_add(e, w->ring.to, stage);
  LLVMValueRef rows = rows_of(w, code);
  cg_if(e, w->ring.is_aligned, "x.pieces", &aligned);
  copy_pieces(w, column, rows, to);
  cg_else(e, &aligned);
  copy_slowly(w, column, rows, to);
  cg_endif(e, &aligned);
  cg_endif(e, &any);
  (void)nv_assembly(k, NULL, "cp.async.commit_group;", "~{memory}", NULL, 0);
}

// ---- The ring ----

// Rows that are no tokens are zero from the start; no copy touches them.
static void clear_absent(nv_walk *w) {
  nv_kernel *k = w->k;
  nv_ring *ring = &w->ring;
  uint32_t rows = k->geometry.token_slices * k->geometry.warp_tokens;
  cg_emit *e = &k->e;
  cg_loop loop;
  nv_comment(k, "zeros for the tokens that are not there");
  cg_loop_begin(e, "x.clear", cg_i64(e, k->geometry.stages), &loop);
  LLVMValueRef stage =
      cg_mul_constant(e, LLVMBuildTrunc(e->builder, loop.index, e->i32, ""),
                      k->layout.stage_size);
  LLVMValueRef to = cg_add(e, ring->to, stage);
  // Where the last pass has more lanes than rows, some have none to clear.
  LLVMValueRef mine = passes_of(k, ring->row, cg_i32(e, rows), ring->pass);
  for (uint32_t i = 0; i < ring->passes; ++i) {
    char text[256];
    LLVMValueRef arguments[] = {target_of(w, to, i), ring->rows, mine,
                                cg_i32(e, 0)};
    (void)snprintf(text, sizeof(text),
                   "{ .reg .pred p; setp.le.u32 p, $1, %u; "
                   "setp.gt.and.u32 p, $2, %u, p;\n\t"
                   "@p st.shared.v4.b32 [$0+%u], {$3, $3, $3, $3}; }",
                   i, i, i * ring->pass * NV_CHUNK_BYTES);
    (void)nv_assembly(k, NULL, text, "r,r,r,r,~{memory}", arguments, 4);
  }
  cg_loop_end(e, &loop);
}

void nv_ring_start(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  nv_ring *ring = &w->ring;
  uint32_t ahead = k->geometry.stages - 1u;
  place_copies(w);
  place_matrix(w);
  ring->read = cg_variable(e, e->i32, "x.read");
  ring->write = cg_variable(e, e->i32, "x.write");
  ring->code = w->code[1];
  if (ahead != 1) ring->code = cg_variable(e, e->i32, "x.code");
  clear_absent(w);
  nv_comment(k, "X of the first %u step%s", ahead, ahead == 1 ? "" : "s");
  cg_loop loop;
  cg_loop_begin(e, "x.first", cg_i64(e, ahead), &loop);
  LLVMValueRef index = LLVMBuildTrunc(e->builder, loop.index, e->i32, "");
  copy_stage(w, nv_walk_code(w, index),
             cg_mul_constant(e, index, k->layout.stage_size));
  cg_loop_end(e, &loop);
  nv_set(k, ring->read, cg_i32(e, 0));
  nv_set(k, ring->write, cg_i32(e, ahead * k->layout.stage_size));
  if (ahead != 1) nv_set(k, ring->code, nv_walk_code(w, cg_i32(e, ahead)));
}

// The one of the step before; of two stages the one that is not read.
static LLVMValueRef stage_to_fill(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  if (k->geometry.stages != 2) return nv_get(k, e->i32, w->ring.write);
  return cg_sub(e, cg_i32(e, k->layout.stage_size),
                nv_get(k, e->i32, w->ring.read));
}

void nv_ring_wait(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  nv_ring *ring = &w->ring;
  char text[48];
  nv_comment(k, "X of this step is there; copy that of %u ahead",
             k->geometry.stages - 1u);
  (void)snprintf(text, sizeof(text), "cp.async.wait_group %u;",
                 k->geometry.stages - 2u);
  (void)nv_assembly(k, NULL, text, "~{memory}", NULL, 0);
  // After this, all have read the stage that is now filled.
  slice_barrier(k);
  copy_stage(w, nv_get(k, e->i32, ring->code), stage_to_fill(w));
  // One step ahead, the record that the walk has does.
  if (k->geometry.stages == 2) return;
  nv_set(k, ring->code, nv_walk_code(w, cg_i32(e, k->geometry.stages)));
}

void nv_ring_advance(nv_walk *w) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  LLVMValueRef read = nv_get(k, e->i32, w->ring.read);
  LLVMValueRef next = cg_add(e, read, cg_i32(e, k->layout.stage_size));
  LLVMValueRef end = cg_i32(e, k->geometry.stages * k->layout.stage_size);
  LLVMValueRef wraps = LLVMBuildICmp(e->builder, LLVMIntEQ, next, end, "");
  nv_set(k, w->ring.write, read);
  nv_set(k, w->ring.read,
         LLVMBuildSelect(e->builder, wraps, cg_i32(e, 0), next, ""));
}
