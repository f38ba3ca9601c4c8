// SPDX-License-Identifier: Apache-2.0
// What finish.c (sums) and epilogue.c (their way to Y) share.
#ifndef CODEGEN_NVPTX_FINISH_H_
#define CODEGEN_NVPTX_FINISH_H_

#include "nv.h"

enum {
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

#endif  // CODEGEN_NVPTX_FINISH_H_
