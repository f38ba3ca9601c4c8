// SPDX-License-Identifier: Apache-2.0
// Slots of partial sums of a panel that several blocks share: each block writes
// its own, and the last of them adds all, in their order. No block waits for
// another: which one is last changes neither the order of additions nor a bit.
#include <stdio.h>

#include "finish.h"
#include "walk.h"

// Slots read at once: a layer of 4096 rows in tiles of 128 has 5 or 6 of a
// panel on 108 to 132 multiprocessors.
enum { SLOT_BATCH = 8 };

static uint64_t slot_size(const nv_kernel *k) {
  return (uint64_t)k->kernel->block_tokens * k->shape.tile_rows * NV_SUM_BYTES;
}

// Row f->row of the first token of |slot|.
LLVMValueRef nv_slot_at(nv_finish *f, LLVMValueRef slot) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMValueRef first = cg_mul(e, k->token_tile, k->partial_count);
  LLVMValueRef index = cg_widen(e, cg_add(e, first, slot));
  LLVMValueRef offset = cg_mul_constant(e, index, slot_size(k));
  offset =
      cg_add(e, offset, cg_mul_constant(e, cg_widen(e, f->row), NV_SUM_BYTES));
  // In assembly, or the passes would keep a pointer to the first slot in
  // registers all through the steps.
  char text[48];
  (void)snprintf(text, sizeof(text), "add.u64 $0, $1, %u;",
                 (unsigned)TSR_NVIDIA_WORKSPACE_HEADER);
  offset = nv_assembly(k, e->i64, text, "=l,l", &offset, 1);
  return cg_at_value(e, k->workspace, offset);
}

// |token| of the block's tile in a slot.
static LLVMValueRef slot_token(nv_finish *f, LLVMValueRef slot,
                               LLVMValueRef token) {
  uint64_t size = (uint64_t)f->k->shape.tile_rows * NV_SUM_BYTES;
  return cg_at_index(&f->k->e, slot, cg_widen(&f->k->e, token), size);
}

void nv_slot_store(nv_finish *f, LLVMValueRef slot, const nv_item *item) {
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
  cg_store(e, values, slot_token(f, slot, token),
           f->outlet.rows * NV_SUM_BYTES);
  cg_endif(e, &branch);
}

// ---- The last of the blocks ----

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
static void count_block(nv_finish *f, LLVMValueRef flag) {
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
LLVMValueRef nv_slots_arrive(nv_finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  unsigned scope = LLVMGetSyncScopeID(e->context, "device", 6);
  (void)LLVMBuildFenceSyncScope(b, LLVMAtomicOrderingAcquireRelease, scope, "");
  nv_sync_block(k);
  LLVMValueRef flag = cg_at(e, k->shared, k->layout.flag_offset);
  LLVMValueRef is_first =
      LLVMBuildICmp(b, LLVMIntEQ, k->thread, cg_i32(e, 0), "");
  cg_branch branch;
  cg_if(e, is_first, "count_block", &branch);
  count_block(f, flag);
  cg_endif(e, &branch);
  nv_sync_block(k);
  LLVMValueRef value = cg_load(e, e->i32, flag, 4, "flag");
  return LLVMBuildICmp(b, LLVMIntNE, value, cg_i32(e, 0), "is_last_block");
}

// Slot |slot| of those from |at| on, if below |left|, else -0, which changes no
// sum. Other blocks wrote it: past this multiprocessor's L1, which may be
// stale.
static void load_partial(nv_finish *f, LLVMValueRef at, LLVMValueRef left,
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
static void add_slots(nv_finish *f, const LLVMValueRef *at, uint32_t count,
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

static void sum_slots(nv_finish *f, const LLVMValueRef *at, nv_item *items,
                      uint32_t count) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t rows = f->outlet.rows;
  LLVMValueRef sums[NV_ITEM_BATCH * NV_ITEM_ROWS];
  for (uint32_t i = 0; i < count * rows; ++i) {
    sums[i] = cg_variable(e, e->f32, "slots");
    cg_store(e, cg_f32(e, -0.0), sums[i], 4);
  }
  LLVMValueRef rounds = nv_divide_up(k, f->segment->partial_count, SLOT_BATCH);
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
static void reduce_batch(nv_finish *f, LLVMValueRef slot, LLVMValueRef tokens,
                         LLVMValueRef first, uint32_t step, uint32_t count) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  nv_item items[NV_ITEM_BATCH];
  LLVMValueRef at[NV_ITEM_BATCH];
  LLVMValueRef last = cg_sub(e, tokens, cg_i32(e, 1));
  for (uint32_t i = 0; i < count; ++i) {
    LLVMValueRef token = cg_add(e, first, cg_i32(e, i * step));
    items[i].token = cg_add(e, k->token_first, token);
    items[i].is_inside =
        nv_both(k, f->outlet.is_row, nv_less(k, token, tokens));
    at[i] = slot_token(f, slot, cg_minimum(e, token, last));
  }
  sum_slots(f, at, items, count);
  nv_emit_epilogue(k, &f->outlet, items, count);
}

// The slots' sums -> Y, by all warps: those of a row group take its rows, turns
// at its tokens.
void nv_slots_reduce(nv_finish *f) {
  nv_kernel *k = f->k;
  cg_emit *e = &k->e;
  uint32_t slices = k->geometry.k_slices * k->geometry.token_slices;
  uint32_t step = f->tokens * slices;
  uint32_t block_tokens = k->kernel->block_tokens;
  uint32_t batch = nv_item_batch((block_tokens + step - 1) / step);
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
  LLVMValueRef slot = nv_slot_at(f, f->segment->partial_first);
  cg_loop loop;
  LLVMValueRef rounds = nv_divide_up(k, tokens, step * batch);
  cg_loop_begin(e, "finish.reduce", rounds, &loop);
  LLVMValueRef first =
      cg_add(e, lane, cg_mul_constant(e, loop.index, batch * step));
  reduce_batch(f, slot, tokens, first, step, batch);
  cg_loop_end(e, &loop);
}
