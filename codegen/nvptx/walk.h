// SPDX-License-Identifier: Apache-2.0
// What the files of the main loop share: the state that a warp carries from
// step to step. Everything that changes is a variable (cg_variable), which the
// passes promote to registers, so that control flow between the straight-line
// bodies is free.
#ifndef CODEGEN_NVPTX_WALK_H_
#define CODEGEN_NVPTX_WALK_H_

#include "nv.h"

// What a step is to one warp. A main step has as many row blocks and columns as
// the straight-line code.
enum {
  NV_STEP_NONE = 0,                    // no such step, or nothing to multiply
  NV_STEP_SPARSE = TSR_KIND_SPARSE24,  // main
  NV_STEP_DENSE = TSR_KIND_DENSE,      // main
  NV_STEP_EDGE = 2,  // added to a kind: fewer row blocks or columns
};

// The ring of X in shared memory, as one thread sees it.
typedef struct nv_ring {
  uint32_t pieces;   // of a row that are copied
  uint32_t passes;   // pieces of 16 bytes that a thread copies per stage
  uint32_t pass;     // rows from one to the next
  bool swaps;        // |pass| is 4 modulo 8: the swizzle's bit 2 alternates
  bool is_ragged;    // a k-chunk may reach beyond the last column
  bool has_short;    // steps of 32 columns occur beside those of 64
  LLVMValueRef row;  // i32: token of the first piece, of the block's
  LLVMValueRef token_first;  // i32: of the block's
  LLVMValueRef from;         // ptr: the first piece, column 0; NULL: not kept
  LLVMValueRef pass_bytes;   // i64, of X, from one piece to the next
  LLVMValueRef to;           // i32: the first piece in the first stage
  LLVMValueRef rows;         // i32: how many of the pieces are tokens of X
  LLVMValueRef is_aligned;   // i1: X allows copies of 16 bytes
  LLVMValueRef matrix;       // i32: this lane's row for ldmatrix, first stage
  LLVMValueRef read;         // variable: offset of the stage to multiply
  LLVMValueRef write;        // variable: offset of the stage to fill
  LLVMValueRef code;         // variable: the step that fills it
} nv_ring;

typedef struct nv_walk {
  nv_kernel *k;
  bool has_row_edges, has_column_edges, has_idle;
  bool has_kind[TSR_KIND_COUNT];
  LLVMValueRef position;    // variable: this warp's step
  LLVMValueRef share_end;   // i32
  LLVMValueRef last_first;  // first step of the last panel, or NULL when all
                            // panels have equally many rows
  LLVMValueRef stream;  // ptr: this lane's part of a fragment at its beginning
  LLVMValueRef group;   // i32: row group; beyond all where the tokens are
  LLVMValueRef metadata_lane;  // i64: from |stream| to the lane's part of
                               // metadata at its beginning, or NULL for 0
  // Variables. Records: this step's, the next, the one after it.
  LLVMValueRef offset[3], code[3];
  LLVMValueRef step;  // NV_STEP_* of this step
  LLVMValueRef weights[NV_SLOTS][NV_GROUP_BLOCKS][4];
  LLVMValueRef metadata[NV_GROUP_BLOCKS];
  LLVMValueRef zero;  // i32 0, which ptxas does not know
  nv_accumulators acc;
  nv_ring ring;
} nv_walk;

// B operands of 32 columns: one ldmatrix.x4 for each 8 tokens, which are
// |count| of the warp's n tiles from |first| on.
typedef struct nv_tokens {
  uint32_t first, count;
  LLVMValueRef at[NV_N_TILES][4];
} nv_tokens;

// ---- kernel.c ----

LLVMBasicBlockRef nv_block(nv_kernel *k, const char *name);
void nv_branch(nv_kernel *k, LLVMBasicBlockRef to);  // and goes on there
LLVMValueRef nv_get(nv_kernel *k, LLVMTypeRef type, LLVMValueRef variable);
void nv_set(nv_kernel *k, LLVMValueRef variable, LLVMValueRef value);
// Inline assembly that stays in its order. NULL |result|: void.
LLVMValueRef nv_assembly(nv_kernel *k, LLVMTypeRef result, const char *text,
                         const char *constraints, LLVMValueRef *arguments,
                         uint32_t count);

// Special register |name| ("tid.x"). A shuffle of each lane with itself hides
// from LLVM and ptxas that the value is the same every time: they would keep
// what follows from it in registers all through the steps.
LLVMValueRef nv_special(nv_kernel *k, const char *name);
// |value|, of which LLVM does not know how it came about: it takes no parts of
// it for other uses.
LLVMValueRef nv_opaque(nv_kernel *k, LLVMValueRef value);

// ---- walk.c ----

// Once in a kernel: variables, first records and X. |last_first|: the first
// step of the last panel.
void nv_walk_start(nv_walk *w, LLVMValueRef step_first, LLVMValueRef step_end,
                   LLVMValueRef last_first);
// The steps before |step_end|.
void nv_walk_segment(nv_walk *w, LLVMValueRef step_end);
void nv_walk_clear(nv_walk *w);  // zeroes the accumulators
// Of the step |distance| of this warp's steps ahead, 0 when there is none.
LLVMValueRef nv_walk_code(nv_walk *w, LLVMValueRef distance);

// ---- body.c ----

const char *nv_kind_name(tsr_kind kind);  // for comments
// Loads the main unit of the step |distance| ahead as far as a body expects it:
// the first of all, or one behind an edge.
void nv_body_load(nv_walk *w, tsr_kind kind, uint32_t distance);
// Multiplies this step's main unit and loads the next step's, if that is a main
// one of |next_kind|; ZERO: it is not.
void nv_body_emit(nv_walk *w, tsr_kind kind, tsr_kind next_kind);

// ---- edge.c ----

// Multiplies this step's unit, of which this warp has |blocks| row blocks.
void nv_edge_emit(nv_walk *w, tsr_kind kind, LLVMValueRef blocks);

// ---- stage.c ----

void nv_ring_start(nv_walk *w);
// Waits for this step's X, then starts the copies that are due.
void nv_ring_wait(nv_walk *w);
void nv_ring_advance(nv_walk *w);

// ---- operands.c ----

uint32_t nv_steps(const nv_walk *w, tsr_kind kind);  // of a main unit
// How many of them are loaded ahead.
uint32_t nv_steps_ahead(const nv_walk *w, tsr_kind kind);
LLVMValueRef nv_unit(nv_walk *w, tsr_kind kind, LLVMValueRef offset);
// Loads main unit |unit|'s |step| into |slot|'s registers of |block|.
void nv_load_weights(nv_walk *w, tsr_kind kind, LLVMValueRef unit,
                     uint32_t step, uint32_t slot, uint32_t block);
void nv_load_metadata(nv_walk *w, LLVMValueRef unit,
                      LLVMValueRef out[NV_GROUP_BLOCKS]);
// 16 bytes at |address| + |offset| where |limit| is above |index|, else zeros.
void nv_load_guarded(nv_walk *w, LLVMValueRef address, uint32_t offset,
                     LLVMValueRef limit, uint32_t index, LLVMValueRef out[4]);
void nv_load_tokens(nv_walk *w, uint32_t half, uint32_t first, uint32_t count,
                    nv_tokens *out);
// One row block times all tokens. |step|: k16 step of a dense unit, k32 step of
// a 2:4 one.
void nv_multiply(nv_walk *w, tsr_kind kind, uint32_t block, uint32_t step,
                 LLVMValueRef a[4], LLVMValueRef metadata,
                 const nv_tokens *tokens);

#endif  // CODEGEN_NVPTX_WALK_H_
