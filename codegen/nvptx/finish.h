// SPDX-License-Identifier: Apache-2.0
// What finish.c (sums), slots.c (those of several blocks) and epilogue.c (their
// way to Y) share.
#ifndef CODEGEN_NVPTX_FINISH_H_
#define CODEGEN_NVPTX_FINISH_H_

#include "nv.h"

enum {
  NV_SUM_BYTES = 4,     // fp32
  NV_ITEM_ROWS = 4,     // at most
  NV_ITEM_OUTPUTS = 2,  // columns of Y
  NV_ITEM_BATCH = 4,    // items whose reads are under way at once, at most
};

// The rows that a lane writes, in one panel: adjacent ones, of any token.
typedef struct nv_outlet {
  uint32_t rows;          // of W: 2; 4 of gated activations
  LLVMValueRef is_row;    // i1: the first output is in Y
  LLVMValueRef is_other;  // i1: the second too; NULL where that follows
  LLVMValueRef bias[NV_ITEM_ROWS];  // NULL without
  LLVMValueRef column;              // i64: of Y, the first
  // i1, uniform: both elements at once are aligned.
  LLVMValueRef output_pairs, residual_pairs;
} nv_outlet;

// |row|, i32, in panel |panel|, a multiple of |rows|; |is_row|: below M.
void nv_outlet_init(nv_kernel *k, LLVMValueRef panel, LLVMValueRef row,
                    LLVMValueRef is_row, nv_outlet *out);

// One item: a lane's rows of one token, fp32.
typedef struct nv_item {
  LLVMValueRef token;      // i32
  LLVMValueRef is_inside;  // i1: token and first row are in Y
  LLVMValueRef sums[NV_ITEM_ROWS];
} nv_item;

// y = activation(sum + bias) + residual of |count| items, and its store.
void nv_emit_epilogue(nv_kernel *k, const nv_outlet *o, const nv_item *items,
                      uint32_t count);

// Rows of an item (of a lane, at a time).
static inline uint32_t nv_item_rows(const nv_kernel *k) {
  return tsr_activation_is_gated(k->spec->activation) ? 4 : 2;
}

// How a team of warps (those of one row group and token slice) divides items:
// a warp has |tokens| tokens side by side, |per_token| lanes for each.
typedef struct nv_finish {
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
} nv_finish;

// All warps of the block.
void nv_sync_block(nv_kernel *k);

static inline LLVMValueRef nv_less(nv_kernel *k, LLVMValueRef a,
                                   LLVMValueRef b) {
  return LLVMBuildICmp(k->e.builder, LLVMIntULT, a, b, "");
}

static inline LLVMValueRef nv_both(nv_kernel *k, LLVMValueRef a,
                                   LLVMValueRef b) {
  return LLVMBuildAnd(k->e.builder, a, b, "");
}

// ceil(|value| / |by|) of a value that is small enough.
static inline LLVMValueRef nv_divide_up(nv_kernel *k, LLVMValueRef value,
                                        uint32_t by) {
  cg_emit *e = &k->e;
  value = cg_add(e, value, cg_i32(e, by - 1));
  return LLVMBuildUDiv(e->builder, value, cg_i32(e, by), "");
}

static inline uint32_t nv_item_batch(uint32_t passes) {
  return passes < NV_ITEM_BATCH ? passes : NV_ITEM_BATCH;
}

// ---- slots.c ----

// Row f->row of the first token of |slot|.
LLVMValueRef nv_slot_at(nv_finish *f, LLVMValueRef slot);
// Writes an item's sums to the slot at |slot|.
void nv_slot_store(nv_finish *f, LLVMValueRef slot, const nv_item *item);
// i1, the same in the block: all slots of the panel are written and visible.
LLVMValueRef nv_slots_arrive(nv_finish *f);
// The slots' sums -> Y, by all warps.
void nv_slots_reduce(nv_finish *f);

#endif  // CODEGEN_NVPTX_FINISH_H_
