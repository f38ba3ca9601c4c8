// SPDX-License-Identifier: Apache-2.0
// The end of a segment: the k-slices' accumulators meet in shared memory, 8
// tokens at a time, and are added in the order of the slices; then they become
// Y, or a slot of partial sums of a panel that several blocks share. The last
// of these blocks adds the slots, in their order, too. No block waits for
// another: which one is last changes neither the order of additions nor a bit.
#include "finish.h"

#include <stdio.h>

#include "walk.h"

enum {
  TOKEN_BYTES = NV_FINISH_STRIDE * 4,
  ROW_BYTES = 4,   // of fp32 sums
  SLOT_BATCH = 8,  // slots read at once: a layer of 4096 rows in tiles of 128
                   // has 5 or 6 of a panel on 108 to 132 multiprocessors
};

// How a team of warps (those of one row group and token slice) divides items:
// a warp has |tokens| tokens side by side, |per_token| lanes for each.
typedef struct finish {
  nv_kernel *k;
  const nv_segment *segment;
  const nv_accumulators *acc;
  nv_outlet outlet;
  uint32_t per_token;       // lanes, a power of two
  uint32_t tokens;          // of a warp at a time
  LLVMValueRef lane_token;  // of these, the lane's
  LLVMValueRef row;         // i32, in the panel
  LLVMValueRef group_row;   // i32, in the row group
  LLVMValueRef is_split;    // i1: sums go to a slot
  LLVMValueRef left;        // i32: tokens of the block's tile, N - token_first
} finish;

// ---- Words ----

static void sync_block(nv_kernel *k) {
  LLVMValueRef barrier = cg_i32(&k->e, 0);
  (void)cg_intrinsic(&k->e, "llvm.nvvm.barrier.cta.sync.aligned.all", NULL,
                     &barrier, 1);
}

// All who share a region of shared memory: a warp alone, or the block.
static void sync_team(nv_kernel *k) {
  if (k->geometry.k_slices != 1) {
    sync_block(k);
    return;
  }
  LLVMValueRef lanes = cg_i32(&k->e, UINT32_MAX);
  (void)cg_intrinsic(&k->e, "llvm.nvvm.bar.warp.sync", NULL, &lanes, 1);
}

static LLVMValueRef less(nv_kernel *k, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildICmp(k->e.builder, LLVMIntULT, a, b, "");
}

static LLVMValueRef both(nv_kernel *k, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildAnd(k->e.builder, a, b, "");
}

// ceil(|value| / |by|) of a value that is small enough.
static LLVMValueRef divide_up(nv_kernel *k, LLVMValueRef value, uint32_t by) {
  cg_emit *e = &k->e;
  value = cg_add(e, value, cg_i32(e, by - 1));
  return LLVMBuildUDiv(e->builder, value, cg_i32(e, by), "");
}

// ---- Where a lane's rows are ----

// Rows of the segment's panel.
static LLVMValueRef panel_rows(finish *f) {
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

static void place_lane(finish *f) {
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
  LLVMValueRef is_row = less(k, f->row, panel_rows(f));
  nv_outlet_init(k, f->segment->panel, f->row, is_row, &f->outlet);
}

// ---- Slots of partial sums ----

static uint64_t slot_size(const nv_kernel *k) {
  return (uint64_t)k->kernel->block_tokens * k->shape.tile_rows * ROW_BYTES;
}

// Row f->row of the first token of |slot|.
static LLVMValueRef slot_at(finish *f, LLVMValueRef slot) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef first = cg_mul(e, k->token_tile, k->partial_count);
  LLVMValueRef index = cg_widen(e, cg_add(e, first, slot));
  LLVMValueRef offset = cg_mul_constant(e, index, slot_size(k));
  offset =
      cg_add(e, offset, cg_mul_constant(e, cg_widen(e, f->row), ROW_BYTES));
  // In assembly, or the passes would keep a pointer to the first slot in
  // registers all through the steps.
  char text[48];
  (void)snprintf(text, sizeof(text), "add.u64 $0, $1, %u;",
                 (unsigned)TSR_NVIDIA_WORKSPACE_HEADER);
  offset = nv_assembly(k, e->i64, text, "=l,l", &offset, 1);
  return cg_at_value(e, k->workspace, offset);
}

// |token| of the block's tile in a slot.
static LLVMValueRef slot_token(finish *f, LLVMValueRef slot,
                               LLVMValueRef token) {
  uint64_t size = (uint64_t)f->k->shape.tile_rows * ROW_BYTES;
  return cg_at_index(&f->k->e, slot, cg_widen(&f->k->e, token), size);
}

static void store_partial(finish *f, LLVMValueRef slot, const nv_item *item) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef token = cg_sub(e, item->token, k->token_first);
  LLVMValueRef values = LLVMGetPoison(cg_vector(e->f32, f->outlet.rows));
  for (uint32_t i = 0; i < f->outlet.rows; ++i) {
    values = LLVMBuildInsertElement(e->builder, values, item->sums[i],
                                    cg_i32(e, i), "");
  }
  cg_branch branch;
  cg_if(e, item->is_inside, "partial", &branch);
  cg_store(e, values, slot_token(f, slot, token), f->outlet.rows * ROW_BYTES);
  cg_endif(e, &branch);
}

// ---- Through shared memory ----

static LLVMValueRef region(finish *f, LLVMValueRef warp) {
  nv_kernel *k = f->k;
  LLVMValueRef offset = cg_mul_constant(&k->e, warp, k->layout.finish_warp);
  LLVMValueRef base = cg_at(&k->e, k->shared, k->layout.finish_offset);
  return cg_at_value(&k->e, base, offset);
}

// A warp's accumulators of one n-tile -> its region. Lanes of equal t, then of
// equal g: banks 2 t * 68 + g = 8 t + g modulo 32, all different.
static void put_tile(finish *f, uint32_t tile) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef at = region(f, k->warp);
  LLVMValueRef token = cg_mul_constant(e, k->lane_pair, 2 * TOKEN_BYTES);
  at = cg_at_value(e, at, token);
  at = cg_at_index(e, at, k->lane_row, ROW_BYTES);
  for (uint32_t block = 0; block < k->shape.main_blocks; ++block) {
    for (uint32_t i = 0; i < 4; ++i) {
      uint32_t row = block * TSR_FRAGMENT_ROWS + i / 2 * 8;
      uint32_t offset = i % 2 * TOKEN_BYTES + row * ROW_BYTES;
      LLVMValueRef c = cg_load(e, e->f32, f->acc->at[block][tile][i], 4, "sum");
      cg_store(e, c, cg_at(e, at, offset), 4);
    }
  }
}

static void put(finish *f, LLVMValueRef tile) {
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
static void take(finish *f, LLVMValueRef at, nv_item *item) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t rows = f->outlet.rows;
  LLVMTypeRef type = cg_vector(e->f32, rows);
  LLVMValueRef sum = NULL;
  for (uint32_t s = 0; s < k->geometry.k_slices; ++s) {
    uint32_t offset = s * k->geometry.groups * k->layout.finish_warp;
    LLVMValueRef part =
        cg_load(e, type, cg_at(e, at, offset), rows * ROW_BYTES, "slice");
    sum = s == 0 ? part : LLVMBuildFAdd(e->builder, sum, part, "");
  }
  for (uint32_t i = 0; i < rows; ++i) {
    item->sums[i] = LLVMBuildExtractElement(e->builder, sum, cg_i32(e, i), "");
  }
}

// The item |token| (i32, of the n-tile; beyond it only if |is_loose|) of
// n-tile |tile|.
static nv_item make_item(finish *f, LLVMValueRef tile, LLVMValueRef token,
                         bool is_loose) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef last = cg_i32(e, NV_FINISH_TOKENS - 1);
  LLVMValueRef place = is_loose ? cg_minimum(e, token, last) : token;
  LLVMValueRef warp = cg_mul_constant(
      e, k->token_slice, k->geometry.k_slices * k->geometry.groups);
  LLVMValueRef at = region(f, cg_add(e, warp, k->group));
  at = cg_at_index(e, at, place, TOKEN_BYTES);
  at = cg_at_index(e, at, f->group_row, ROW_BYTES);
  LLVMValueRef of_tile =
      cg_add(e, cg_mul_constant(e, k->token_slice, k->geometry.warp_tokens),
             cg_add(e, cg_mul_constant(e, tile, NV_FINISH_TOKENS), token));
  nv_item item = {.token = cg_add(e, k->token_first, of_tile)};
  item.is_inside = both(k, f->outlet.is_row, less(k, of_tile, f->left));
  if (is_loose) {
    LLVMValueRef is_token = less(k, token, cg_i32(e, NV_FINISH_TOKENS));
    item.is_inside = both(k, item.is_inside, is_token);
  }
  take(f, at, &item);
  return item;
}

static void emit_batch(finish *f, LLVMValueRef slot, const nv_item *items,
                       uint32_t count) {
  cg_emit *e = &f->k->e;
  cg_branch branch;
  cg_if(e, f->is_split, "partials", &branch);
  for (uint32_t i = 0; i < count; ++i) store_partial(f, slot, &items[i]);
  cg_else(e, &branch);
  nv_emit_epilogue(f->k, &f->outlet, items, count);
  cg_endif(e, &branch);
}

static uint32_t batch_of(uint32_t passes) {
  return passes < NV_ITEM_BATCH ? passes : NV_ITEM_BATCH;
}

// All items of an n-tile that lies in shared memory.
static void emit_items(finish *f, LLVMValueRef slot, LLVMValueRef tile) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t step = f->tokens * k->geometry.k_slices;
  uint32_t passes = (NV_FINISH_TOKENS + step - 1) / step;
  uint32_t batch = batch_of(passes);
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
static LLVMValueRef count_tiles(finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t tokens = k->geometry.warp_tokens;
  LLVMValueRef left = f->left;
  if (k->geometry.k_slices == 1 && k->geometry.token_slices != 1) {
    LLVMValueRef first = cg_mul_constant(e, k->token_slice, tokens);
    LLVMValueRef rest = cg_sub(e, left, first);
    left = LLVMBuildSelect(e->builder, less(k, first, left), rest, cg_i32(e, 0),
                           "");
  }
  left = cg_minimum(e, left, cg_i32(e, tokens));
  return divide_up(k, left, NV_FINISH_TOKENS);
}

static void emit_tiles(finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef slot = slot_at(f, f->segment->partial);
  cg_loop loop;
  cg_loop_begin(e, "finish.tiles", count_tiles(f), &loop);
  put(f, loop.index);
  sync_team(k);
  emit_items(f, slot, loop.index);
  sync_team(k);
  cg_loop_end(e, &loop);
}

// ---- Split panels ----

// A workspace that nobody initialised must not be believed. |magic| is loaded
// before the counter is touched and looked at after: both are under way at
// once, and what was counted in such a workspace means nothing.
static void check_magic(nv_kernel *k, LLVMValueRef magic) {
  cg_emit *e = &k->e;
  LLVMValueRef is_wrong =
      LLVMBuildICmp(e->builder, LLVMIntNE, magic,
                    cg_i32(e, TSR_NVIDIA_WORKSPACE_MAGIC), "is_wrong");
  cg_branch branch;
  cg_if(e, is_wrong, "no_workspace", &branch);
  (void)cg_intrinsic(e, "llvm.trap", NULL, NULL, 0);
  cg_endif(e, &branch);
}

// Thread 0: counts this block in, and tells the others whether it is the last.
static void count_block(finish *f, LLVMValueRef flag) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  LLVMValueRef magic =
      nv_assembly(k, e->i32, "ld.relaxed.gpu.global.u32 $0, [$1];",
                  "=r,l,~{memory}", &k->workspace, 1);
  LLVMValueRef index = cg_add(e, cg_mul(e, k->token_tile, k->reduction_count),
                              f->segment->reduction);
  LLVMValueRef at = cg_at(e, k->workspace, TSR_NVIDIA_WORKSPACE_COUNTERS);
  at = cg_at_index(e, at, cg_widen(e, index), 4);
  // atomicrmw would be relaxed.
  LLVMValueRef before =
      nv_assembly(k, e->i32, "atom.acq_rel.gpu.global.add.u32 $0, [$1], 1;",
                  "=r,l,~{memory}", &at, 1);
  check_magic(k, magic);
  LLVMValueRef last = cg_sub(e, f->segment->partial_count, cg_i32(e, 1));
  LLVMValueRef is_last = LLVMBuildICmp(b, LLVMIntEQ, before, last, "is_last");
  cg_store(e, LLVMBuildZExt(b, is_last, e->i32, ""), flag, 4);
  cg_branch branch;
  cg_if(e, is_last, "last_block", &branch);
  cg_store(e, cg_i32(e, 0), at, 4);
  cg_endif(e, &branch);
}

// i1, the same in the block: all slots of the panel are written and visible.
static LLVMValueRef arrive(finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  unsigned scope = LLVMGetSyncScopeID(e->context, "device", 6);
  (void)LLVMBuildFenceSyncScope(b, LLVMAtomicOrderingAcquireRelease, scope, "");
  sync_block(k);
  LLVMValueRef flag = cg_at(e, k->shared, k->layout.flag_offset);
  LLVMValueRef is_first =
      LLVMBuildICmp(b, LLVMIntEQ, k->thread, cg_i32(e, 0), "");
  cg_branch branch;
  cg_if(e, is_first, "count_block", &branch);
  count_block(f, flag);
  cg_endif(e, &branch);
  sync_block(k);
  LLVMValueRef value = cg_load(e, e->i32, flag, 4, "flag");
  return LLVMBuildICmp(b, LLVMIntNE, value, cg_i32(e, 0), "is_last_block");
}

// Slot |slot| of those from |at| on, if below |left|, else -0, which changes no
// sum. Other blocks wrote it: past this multiprocessor's L1, which may be
// stale.
static void load_partial(finish *f, LLVMValueRef at, LLVMValueRef left,
                         uint32_t slot, LLVMValueRef *out) {
  nv_kernel *k = f->k;
  LLVMTypeRef types[NV_ITEM_ROWS] = {k->e.f32, k->e.f32, k->e.f32, k->e.f32};
  uint32_t rows = f->outlet.rows;
  LLVMTypeRef type = LLVMStructTypeInContext(k->e.context, types, rows, 0);
  LLVMValueRef arguments[] = {at, left};
  unsigned long long offset = slot * slot_size(k);
  char text[320];
  (void)snprintf(text, sizeof(text),
                 rows == 4
                     ? "{ .reg .pred p; setp.gt.u32 p, $5, %u;\n\t"
                       "mov.f32 $0, 0f80000000; mov.f32 $1, 0f80000000; "
                       "mov.f32 $2, 0f80000000; mov.f32 $3, 0f80000000;\n\t"
                       "@p ld.relaxed.gpu.global.v4.f32 {$0, $1, $2, $3}, "
                       "[$4+%llu]; }"
                     : "{ .reg .pred p; setp.gt.u32 p, $3, %u;\n\t"
                       "mov.f32 $0, 0f80000000; mov.f32 $1, 0f80000000;\n\t"
                       "@p ld.relaxed.gpu.global.v2.f32 {$0, $1}, [$2+%llu]; }",
                 slot, offset);
  LLVMValueRef values = nv_assembly(
      k, type, text,
      rows == 4 ? "=&f,=&f,=&f,=&f,l,r,~{memory}" : "=&f,=&f,l,r,~{memory}",
      arguments, 2);
  for (uint32_t i = 0; i < rows; ++i) {
    out[i] = LLVMBuildExtractValue(k->e.builder, values, i, "partial");
  }
}

// Adds SLOT_BATCH slots from |first| on to the items' |sums| (variables, one
// after the other), in their order; all reads are under way at once.
static void add_slots(finish *f, const LLVMValueRef *at, uint32_t count,
                      LLVMValueRef first, LLVMValueRef *sums) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t rows = f->outlet.rows;
  LLVMValueRef parts[SLOT_BATCH][NV_ITEM_BATCH * NV_ITEM_ROWS];
  LLVMValueRef left = cg_sub(e, f->segment->partial_count, first);
  for (uint32_t s = 0; s < SLOT_BATCH; ++s) {
    for (uint32_t i = 0; i < count; ++i) {
      LLVMValueRef from =
          cg_at_index(e, at[i], cg_widen(e, first), slot_size(k));
      load_partial(f, from, left, s, &parts[s][i * rows]);
    }
  }
  for (uint32_t i = 0; i < count * rows; ++i) {
    LLVMValueRef sum = cg_load(e, e->f32, sums[i], 4, "");
    for (uint32_t s = 0; s < SLOT_BATCH; ++s) {
      sum = LLVMBuildFAdd(e->builder, sum, parts[s][i], "");
    }
    cg_store(e, sum, sums[i], 4);
  }
}

static void sum_slots(finish *f, const LLVMValueRef *at, nv_item *items,
                      uint32_t count) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t rows = f->outlet.rows;
  LLVMValueRef sums[NV_ITEM_BATCH * NV_ITEM_ROWS];
  for (uint32_t i = 0; i < count * rows; ++i) {
    sums[i] = cg_variable(e, e->f32, "slots");
    cg_store(e, cg_f32(e, -0.0), sums[i], 4);
  }
  LLVMValueRef rounds = divide_up(k, f->segment->partial_count, SLOT_BATCH);
  cg_loop loop;
  cg_loop_begin(e, "finish.slots", rounds, &loop);
  LLVMValueRef first = cg_mul_constant(e, loop.index, SLOT_BATCH);
  add_slots(f, at, count, first, sums);
  cg_loop_end(e, &loop);
  for (uint32_t i = 0; i < count * rows; ++i) {
    items[i / rows].sums[i % rows] = cg_load(e, e->f32, sums[i], 4, "");
  }
}

// |count| items of tokens |first|, |first| + |step| ... of the block's tile.
static void reduce_batch(finish *f, LLVMValueRef slot, LLVMValueRef tokens,
                         LLVMValueRef first, uint32_t step, uint32_t count) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  nv_item items[NV_ITEM_BATCH];
  LLVMValueRef at[NV_ITEM_BATCH];
  LLVMValueRef last = cg_sub(e, tokens, cg_i32(e, 1));
  for (uint32_t i = 0; i < count; ++i) {
    LLVMValueRef token = cg_add(e, first, cg_i32(e, i * step));
    items[i].token = cg_add(e, k->token_first, token);
    items[i].is_inside = both(k, f->outlet.is_row, less(k, token, tokens));
    at[i] = slot_token(f, slot, cg_minimum(e, token, last));
  }
  sum_slots(f, at, items, count);
  nv_emit_epilogue(k, &f->outlet, items, count);
}

// The slots' sums -> Y, by all warps: those of a row group take its rows, turns
// at its tokens.
static void reduce(finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t slices = k->geometry.k_slices * k->geometry.token_slices;
  uint32_t step = f->tokens * slices;
  uint32_t block_tokens = k->kernel->block_tokens;
  uint32_t batch = batch_of((block_tokens + step - 1) / step);
  // As many registers for gated activations, whose items have 4 rows.
  if (batch * f->outlet.rows > 2 * NV_ITEM_BATCH) batch /= 2;
  LLVMValueRef tokens = cg_minimum(e, f->left, cg_i32(e, block_tokens));
  LLVMValueRef slice = cg_add(
      e, cg_mul_constant(e, k->token_slice, k->geometry.k_slices), k->k_slice);
  LLVMValueRef lane =
      cg_add(e, cg_mul_constant(e, slice, f->tokens), f->lane_token);
  // Rows beyond M have no sums; any row has.
  LLVMValueRef row =
      LLVMBuildSelect(e->builder, f->outlet.is_row, f->row, cg_i32(e, 0), "");
  f->row = row;
  LLVMValueRef slot = slot_at(f, f->segment->partial_first);
  cg_loop loop;
  LLVMValueRef rounds = divide_up(k, tokens, step * batch);
  cg_loop_begin(e, "finish.reduce", rounds, &loop);
  LLVMValueRef first =
      cg_add(e, lane, cg_mul_constant(e, loop.index, batch * step));
  reduce_batch(f, slot, tokens, first, step, batch);
  cg_loop_end(e, &loop);
}

void nv_emit_finish(nv_kernel *k, const nv_segment *segment,
                    const nv_accumulators *acc) {
  cg_emit *e = &k->e;
  finish f = {.k = k, .segment = segment, .acc = acc};
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
  cg_if(e, arrive(&f), "last", &last);
  reduce(&f);
  cg_endif(e, &last);
  cg_endif(e, &split);
}
