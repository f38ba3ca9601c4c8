// SPDX-License-Identifier: Apache-2.0
// Operands of the tensor core: weights and metadata from memory straight into
// the registers that mma takes (base/fragment_abi.h), tokens from shared
// memory by ldmatrix, and the mma and mma.sp that consume them.
#include <stdio.h>

#include "walk.h"

uint32_t nv_steps(const nv_walk *w, tsr_kind kind) {
  return tsr_fragment_steps(w->k->shape.main_columns * 16u, kind);
}

uint32_t nv_steps_ahead(const nv_walk *w, tsr_kind kind) {
  uint32_t steps = nv_steps(w, kind), depth = w->k->geometry.depth;
  return steps < depth ? steps : depth;
}

LLVMValueRef nv_unit(nv_walk *w, tsr_kind kind, LLVMValueRef offset) {
  cg_emit *e = &w->k->e;
  uint32_t size = tsr_fragment_unit_size(4, nv_steps(w, kind), kind);
  LLVMValueRef group =
      cg_mul_constant(e, w->group, size / TSR_FRAGMENT_ALIGNMENT);
  LLVMValueRef unit = cg_widen(e, cg_add(e, offset, group));
  return cg_at_index(e, w->stream, unit, TSR_FRAGMENT_ALIGNMENT);
}

// Warps that share weights (other token slices) meet in L1; else a byte is
// read once, and L1 is left to the records.
static const char *load_of(const nv_walk *w) {
  return w->k->geometry.token_slices > 1 ? "ld.global.nc"
                                         : "ld.global.nc.L1::no_allocate";
}

static LLVMTypeRef words(nv_kernel *k, uint32_t count) {
  LLVMTypeRef types[4] = {k->e.i32, k->e.i32, k->e.i32, k->e.i32};
  return LLVMStructTypeInContext(k->e.context, types, count, 0);
}

static void take(nv_kernel *k, LLVMValueRef values, uint32_t count,
                 LLVMValueRef *out) {
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = LLVMBuildExtractValue(k->e.builder, values, i, "");
  }
}

static void load_words(nv_walk *w, LLVMValueRef address, uint32_t offset,
                       uint32_t count, LLVMValueRef *out) {
  nv_kernel *k = w->k;
  char text[128];
  if (count == 4) {
    (void)snprintf(text, sizeof(text), "%s.v4.u32 {$0, $1, $2, $3}, [$4+%u];",
                   load_of(w), offset);
    take(k, nv_assembly(k, words(k, 4), text, "=r,=r,=r,=r,l", &address, 1), 4,
         out);
  } else if (count == 2) {
    (void)snprintf(text, sizeof(text), "%s.v2.u32 {$0, $1}, [$2+%u];",
                   load_of(w), offset);
    take(k, nv_assembly(k, words(k, 2), text, "=r,=r,l", &address, 1), 2, out);
  } else {
    (void)snprintf(text, sizeof(text), "%s.u32 $0, [$1+%u];", load_of(w),
                   offset);
    out[0] = nv_assembly(k, k->e.i32, text, "=r,l", &address, 1);
  }
}

void nv_load_weights(nv_walk *w, tsr_kind kind, LLVMValueRef unit,
                     uint32_t step, uint32_t slot, uint32_t block) {
  uint32_t offset =
      tsr_fragment_offset(w->k->shape.main_blocks, kind, step, block);
  LLVMValueRef values[4];
  load_words(w, unit, offset, 4, values);
  for (uint32_t i = 0; i < 4; ++i) {
    nv_set(w->k, w->weights[slot][block][i], values[i]);
  }
}

void nv_load_metadata(nv_walk *w, LLVMValueRef unit,
                      LLVMValueRef out[NV_GROUP_BLOCKS]) {
  uint32_t count = tsr_fragment_metadata_words(w->k->shape.main_blocks);
  if (w->metadata_lane != NULL) {
    unit = cg_at_value(&w->k->e, unit, w->metadata_lane);
  }
  load_words(w, unit, 0, count, out);
}

void nv_load_guarded(nv_walk *w, LLVMValueRef address, uint32_t offset,
                     LLVMValueRef limit, uint32_t index, LLVMValueRef out[4]) {
  nv_kernel *k = w->k;
  char text[320];
  LLVMValueRef arguments[] = {address, limit};
  (void)snprintf(text, sizeof(text),
                 "{ .reg .pred p; setp.gt.u32 p, $5, %u;\n\t"
                 "mov.b32 $0, 0; mov.b32 $1, 0; mov.b32 $2, 0; "
                 "mov.b32 $3, 0;\n\t"
                 "@p %s.v4.u32 {$0, $1, $2, $3}, [$4+%u]; }",
                 index, load_of(w), offset);
  take(k,
       nv_assembly(k, words(k, 4), text, "=&r,=&r,=&r,=&r,l,r", arguments, 2),
       4, out);
}

void nv_load_tokens(nv_walk *w, uint32_t half, uint32_t first, uint32_t count,
                    nv_tokens *out) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  out->first = first;
  out->count = count;
  LLVMValueRef row = cg_add(e, w->ring.matrix, nv_get(k, e->i32, w->ring.read));
  // Pieces 4 to 7 lie 64 bytes from 0 to 3, to and fro as the swizzle has it.
  if (half == 1) row = LLVMBuildXor(e->builder, row, cg_i32(e, 64), "");
  for (uint32_t n = first; n < first + count; ++n) {
    char text[128];
    (void)snprintf(text, sizeof(text),
                   "ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
                   "{$0, $1, $2, $3}, [$4+%u];",
                   n * 8u * NV_CHUNK_BYTES);
    LLVMValueRef values =
        nv_assembly(k, words(k, 4), text, "=r,=r,=r,=r,r", &row, 1);
    take(k, values, 4, out->at[n]);
  }
}

static LLVMValueRef pair(nv_kernel *k, LLVMValueRef word) {
  if (k->spec->weight_type == TSR_DTYPE_BF16) return word;
  return cg_bitcast(&k->e, word, cg_vector(k->e.f16, 2));
}

static const char *instruction(nv_kernel *k, tsr_kind kind) {
  bool is_bf16 = k->spec->weight_type == TSR_DTYPE_BF16;
  if (kind == TSR_KIND_SPARSE24) {
    return is_bf16
               ? "llvm.nvvm.mma.sp.ordered.metadata.m16n8k32.row.col.bf16"
               : "llvm.nvvm.mma.sp.ordered.metadata.m16n8k32.row.col.f32.f32";
  }
  return is_bf16 ? "llvm.nvvm.mma.m16n8k16.row.col.bf16"
                 : "llvm.nvvm.mma.m16n8k16.row.col.f32.f32";
}

void nv_multiply(nv_walk *w, tsr_kind kind, uint32_t block, uint32_t step,
                 LLVMValueRef a[4], LLVMValueRef metadata,
                 const nv_tokens *tokens) {
  nv_kernel *k = w->k;
  cg_emit *e = &k->e;
  bool is_sparse = kind == TSR_KIND_SPARSE24;
  // B of a k16 step is half of what ldmatrix brings for 32 columns.
  uint32_t b_first = is_sparse ? 0 : step % 2u * 2u,
           b_count = is_sparse ? 4 : 2;
  for (uint32_t n = tokens->first; n < tokens->first + tokens->count; ++n) {
    LLVMValueRef arguments[14];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 4; ++i) arguments[count++] = pair(k, a[i]);
    for (uint32_t i = 0; i < b_count; ++i) {
      arguments[count++] = pair(k, tokens->at[n][b_first + i]);
    }
    LLVMValueRef *sums = w->acc.at[block][n];
    for (uint32_t i = 0; i < 4; ++i) {
      arguments[count++] = nv_get(k, e->f32, sums[i]);
    }
    if (is_sparse) {
      arguments[count++] = metadata;
      arguments[count++] = cg_i32(e, step);  // which lanes' words are meant
    }
    LLVMValueRef result =
        cg_intrinsic(e, instruction(k, kind), NULL, arguments, count);
    if (e->failed) return;
    for (uint32_t i = 0; i < 4; ++i) {
      nv_set(k, sums[i], LLVMBuildExtractValue(e->builder, result, i, "sum"));
    }
  }
}
