// SPDX-License-Identifier: Apache-2.0
// The end of a segment: the k-slices' accumulators meet in shared memory, 8
// tokens at a time, and are added in the order of the slices; then they become
// Y, or a slot of partial sums of a panel that several blocks share (slots.c).
#include "finish.h"

#include "walk.h"

enum { TOKEN_BYTES = NV_FINISH_STRIDE * NV_SUM_BYTES };

// ---- Where warps meet ----

void nv_sync_block(nv_kernel *k) {
  LLVMValueRef barrier = cg_i32(&k->e, 0);
  (void)cg_intrinsic(&k->e, "llvm.nvvm.barrier.cta.sync.aligned.all", NULL,
                     &barrier, 1);
}

// All who share a region of shared memory: a warp alone, or the block.
static void sync_team(nv_kernel *k) {
  if (k->geometry.k_slices != 1) {
    nv_sync_block(k);
    return;
  }
  LLVMValueRef lanes = cg_i32(&k->e, UINT32_MAX);
  (void)cg_intrinsic(&k->e, "llvm.nvvm.bar.warp.sync", NULL, &lanes, 1);
}

// ---- Where a lane's rows are ----

// Rows of the segment's panel.
static LLVMValueRef panel_rows(nv_finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  const nv_shape *s = &k->shape;
  if (s->panels == 1 || s->last_rows == s->tile_rows) {
    return cg_i32(e, s->last_rows);
  }
  LLVMValueRef is_last = LLVMBuildICmp(e->builder, LLVMIntEQ, f->segment->panel,
                                       cg_i32(e, s->panels - 1), "is_last");
  return LLVMBuildSelect(e->builder, is_last, cg_i32(e, s->last_rows),
                         cg_i32(e, s->tile_rows), "panel_rows");
}

static void place_lane(nv_finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t item_rows = nv_item_rows(k);
  uint32_t rows = k->shape.main_blocks * TSR_FRAGMENT_ROWS;
  f->per_token = TSR_FRAGMENT_ROWS / item_rows;
  while (f->per_token * item_rows < rows) f->per_token *= 2;
  f->tokens = NV_LANES / f->per_token;
  LLVMValueRef per_token = cg_i32(e, f->per_token);
  f->lane_token = LLVMBuildUDiv(e->builder, k->lane, per_token, "lane_token");
  LLVMValueRef item = LLVMBuildURem(e->builder, k->lane, per_token, "");
  LLVMValueRef first = cg_mul_constant(e, k->group, TSR_FRAGMENT_GROUP_ROWS);
  f->row = cg_add(e, first, cg_mul_constant(e, item, item_rows));
  // Of 3 row blocks nobody writes the sums of a fourth; lanes beyond them read
  // the last ones.
  LLVMValueRef last = cg_i32(e, rows / item_rows - 1);
  if (f->per_token * item_rows != rows) item = cg_minimum(e, item, last);
  f->group_row = cg_mul_constant(e, item, item_rows);
  LLVMValueRef is_row = nv_less(k, f->row, panel_rows(f));
  nv_outlet_init(k, f->segment->panel, f->row, is_row, &f->outlet);
}

// ---- Through shared memory ----

static LLVMValueRef region(nv_finish *f, LLVMValueRef warp) {
  nv_kernel *k = f->k;
  LLVMValueRef offset = cg_mul_constant(&k->e, warp, k->layout.finish_warp);
  LLVMValueRef base = cg_at(&k->e, k->shared, k->layout.finish_offset);
  return cg_at_value(&k->e, base, offset);
}

// A warp's accumulators of one n-tile -> its region. Lanes of equal t, then of
// equal g: banks 2 t * 68 + g = 8 t + g modulo 32, all different.
static void put_tile(nv_finish *f, uint32_t tile) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef at = region(f, k->warp);
  LLVMValueRef token = cg_mul_constant(e, k->lane_pair, 2 * TOKEN_BYTES);
  at = cg_at_value(e, at, token);
  at = cg_at_index(e, at, k->lane_row, NV_SUM_BYTES);
  for (uint32_t block = 0; block < k->shape.main_blocks; ++block) {
    for (uint32_t i = 0; i < 4; ++i) {
      uint32_t row = block * TSR_FRAGMENT_ROWS + i / 2 * 8;
      uint32_t offset = i % 2 * TOKEN_BYTES + row * NV_SUM_BYTES;
      LLVMValueRef c = cg_load(e, e->f32, f->acc->at[block][tile][i], 4, "sum");
      cg_store(e, c, cg_at(e, at, offset), 4);
    }
  }
}

static void put(nv_finish *f, LLVMValueRef tile) {
  cg_emit *e = &f->k->e;
  uint32_t tiles = f->k->geometry.warp_tokens / NV_FINISH_TOKENS;
  for (uint32_t i = 0; i < tiles; ++i) {
    LLVMValueRef is_it =
        LLVMBuildICmp(e->builder, LLVMIntEQ, tile, cg_i32(e, i), "");
    cg_branch branch;
    cg_if(e, is_it, "put", &branch);
    put_tile(f, i);
    cg_endif(e, &branch);
  }
}

// An item's sums over the k-slices; |at| is that of slice 0.
static void take(nv_finish *f, LLVMValueRef at, nv_item *item) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t rows = f->outlet.rows;
  LLVMTypeRef type = cg_vector(e->f32, rows);
  LLVMValueRef sum = NULL;
  for (uint32_t s = 0; s < k->geometry.k_slices; ++s) {
    uint32_t offset = s * k->geometry.groups * k->layout.finish_warp;
    LLVMValueRef part =
        cg_load(e, type, cg_at(e, at, offset), rows * NV_SUM_BYTES, "slice");
    sum = s == 0 ? part : LLVMBuildFAdd(e->builder, sum, part, "");
  }
  for (uint32_t i = 0; i < rows; ++i) {
    item->sums[i] = LLVMBuildExtractElement(e->builder, sum, cg_i32(e, i), "");
  }
}

// The item |token| (i32, of the n-tile; beyond it only if |is_loose|) of
// n-tile |tile|.
static nv_item make_item(nv_finish *f, LLVMValueRef tile, LLVMValueRef token,
                         bool is_loose) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef last = cg_i32(e, NV_FINISH_TOKENS - 1);
  LLVMValueRef place = is_loose ? cg_minimum(e, token, last) : token;
  LLVMValueRef warp = cg_mul_constant(
      e, k->token_slice, k->geometry.k_slices * k->geometry.groups);
  LLVMValueRef at = region(f, cg_add(e, warp, k->group));
  at = cg_at_index(e, at, place, TOKEN_BYTES);
  at = cg_at_index(e, at, f->group_row, NV_SUM_BYTES);
  LLVMValueRef of_tile =
      cg_add(e, cg_mul_constant(e, k->token_slice, k->geometry.warp_tokens),
             cg_add(e, cg_mul_constant(e, tile, NV_FINISH_TOKENS), token));
  nv_item item = {.token = cg_add(e, k->token_first, of_tile)};
  item.is_inside = nv_both(k, f->outlet.is_row, nv_less(k, of_tile, f->left));
  if (is_loose) {
    LLVMValueRef is_token = nv_less(k, token, cg_i32(e, NV_FINISH_TOKENS));
    item.is_inside = nv_both(k, item.is_inside, is_token);
  }
  take(f, at, &item);
  return item;
}

static void emit_batch(nv_finish *f, LLVMValueRef slot, const nv_item *items,
                       uint32_t count) {
  cg_emit *e = &f->k->e;
  cg_branch branch;
  cg_if(e, f->is_split, "partials", &branch);
  for (uint32_t i = 0; i < count; ++i) nv_slot_store(f, slot, &items[i]);
  cg_else(e, &branch);
  nv_emit_epilogue(f->k, &f->outlet, items, count);
  cg_endif(e, &branch);
}

// All items of an n-tile that lies in shared memory.
static void emit_items(nv_finish *f, LLVMValueRef slot, LLVMValueRef tile) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t step = f->tokens * k->geometry.k_slices;
  uint32_t passes = (NV_FINISH_TOKENS + step - 1) / step;
  uint32_t batch = nv_item_batch(passes);
  // Fewer where the accumulators leave few registers.
  uint32_t most = NV_ITEM_ROWS / f->outlet.rows;
  if (k->geometry.warp_tokens > 32 && batch > most) batch = most;
  uint32_t rounds = (passes + batch - 1) / batch;
  bool is_loose = rounds * batch * step > NV_FINISH_TOKENS;
  LLVMValueRef first =
      cg_add(e, cg_mul_constant(e, k->k_slice, f->tokens), f->lane_token);
  cg_loop loop;
  cg_loop_begin(e, "finish.items", cg_i32(e, rounds), &loop);
  first = cg_add(e, first, cg_mul_constant(e, loop.index, batch * step));
  nv_item items[NV_ITEM_BATCH];
  for (uint32_t i = 0; i < batch; ++i) {
    LLVMValueRef token = cg_add(e, first, cg_i32(e, i * step));
    items[i] = make_item(f, tile, token, is_loose);
  }
  emit_batch(f, slot, items, batch);
  cg_loop_end(e, &loop);
}

// n-tiles that have tokens: of this warp, or, where the block's warps wait for
// each other, of the first token slice, which has most.
static LLVMValueRef count_tiles(nv_finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t tokens = k->geometry.warp_tokens;
  LLVMValueRef left = f->left;
  if (k->geometry.k_slices == 1 && k->geometry.token_slices != 1) {
    LLVMValueRef first = cg_mul_constant(e, k->token_slice, tokens);
    LLVMValueRef rest = cg_sub(e, left, first);
    left = LLVMBuildSelect(e->builder, nv_less(k, first, left), rest,
                           cg_i32(e, 0), "");
  }
  left = cg_minimum(e, left, cg_i32(e, tokens));
  return nv_divide_up(k, left, NV_FINISH_TOKENS);
}

static void emit_tiles(nv_finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef slot = nv_slot_at(f, f->segment->partial);
  cg_loop loop;
  cg_loop_begin(e, "finish.tiles", count_tiles(f), &loop);
  put(f, loop.index);
  sync_team(k);
  emit_items(f, slot, loop.index);
  sync_team(k);
  cg_loop_end(e, &loop);
}

void nv_emit_finish(nv_kernel *k, const nv_segment *segment,
                    const nv_accumulators *acc) {
  cg_emit *e = &k->e;
  nv_finish f = {.k = k, .segment = segment, .acc = acc};
  LLVMValueRef tokens[] = {k->tokens, k->token_first};
  // In assembly, or what follows from it would be computed once, before the
  // steps, and kept.
  f.left = nv_assembly(k, e->i32, "sub.u32 $0, $1, $2;", "=r,r,r", tokens, 2);
  f.is_split = LLVMBuildICmp(e->builder, LLVMIntNE, segment->partial,
                             cg_i32(e, TSR_NVIDIA_NO_PARTIAL), "is_split");
  place_lane(&f);
  emit_tiles(&f);
  cg_branch split;
  cg_if(e, f.is_split, "split", &split);
  cg_branch last;
  cg_if(e, nv_slots_arrive(&f), "last", &last);
  nv_slots_reduce(&f);
  cg_endif(e, &last);
  cg_endif(e, &split);
}
