// SPDX-License-Identifier: Apache-2.0
// fp32 sums -> Y: bias, activation (gated forms on neighbouring rows), residual
// of the output's type, conversion to nearest even, store. An item is two
// adjacent columns of Y of one token; adjacent lanes have adjacent items, so a
// warp writes whole lines. Nothing outside Y is written, and of the residual,
// which may be Y's own memory, a lane reads only what it writes.
#include "finish.h"

static LLVMValueRef both(nv_kernel *k, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildAnd(k->e.builder, a, b, "");
}

static uint32_t output_size(const nv_kernel *k) {
  return (uint32_t)tsr_dtype_size(k->spec->output_type);
}

// i1: |pointer| and |stride| (elements) keep pairs of elements aligned, and
// both are in Y.
static LLVMValueRef pairs_aligned(nv_kernel *k, const nv_outlet *o,
                                  LLVMValueRef pointer, LLVMValueRef stride,
                                  const char *name) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  LLVMValueRef bits = LLVMBuildPtrToInt(b, pointer, e->i64, "");
  bits = LLVMBuildOr(b, bits, cg_mul_constant(e, stride, output_size(k)), "");
  bits = LLVMBuildAnd(b, bits, cg_i64(e, 2 * output_size(k) - 1), "");
  bits = LLVMBuildICmp(b, LLVMIntEQ, bits, cg_i64(e, 0), name);
  return o->is_other == NULL ? bits : both(k, bits, o->is_other);
}

// A row of W that may be read instead of one that is not there.
static LLVMValueRef safe_row(nv_kernel *k, LLVMValueRef row, LLVMValueRef first,
                             uint32_t offset) {
  cg_emit *e = &k->e;
  LLVMValueRef wanted = cg_add(e, row, cg_i32(e, offset));
  LLVMValueRef is_there = LLVMBuildICmp(e->builder, LLVMIntULT, wanted,
                                        cg_i32(e, k->spec->rows), "");
  return LLVMBuildSelect(e->builder, is_there, wanted, first, "");
}

static void load_bias(nv_kernel *k, LLVMValueRef row, LLVMValueRef first,
                      nv_outlet *o) {
  cg_emit *e = &k->e;
  for (uint32_t i = 0; i < o->rows; ++i) {
    LLVMValueRef at = cg_widen(e, safe_row(k, row, first, i));
    o->bias[i] = cg_load(e, e->f32, cg_at_index(e, k->bias, at, 4), 4, "bias");
  }
}

void nv_outlet_init(nv_kernel *k, LLVMValueRef panel, LLVMValueRef row,
                    LLVMValueRef is_row, nv_outlet *out) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  const tsr_kernel_spec *spec = k->spec;
  *out = (nv_outlet){.rows = nv_item_rows(k), .is_row = is_row};
  uint32_t step = out->rows / NV_ITEM_OUTPUTS;  // rows of an output
  LLVMValueRef first = cg_mul_constant(e, panel, k->shape.tile_rows);
  row = cg_add(e, first, row);
  if (spec->rows % out->rows != 0) {
    out->is_other =
        LLVMBuildICmp(b, LLVMIntULT, cg_add(e, row, cg_i32(e, step)),
                      cg_i32(e, spec->rows), "is_other");
  }
  if (spec->has_bias) load_bias(k, row, first, out);
  out->column = cg_widen(e, LLVMBuildUDiv(b, row, cg_i32(e, step), ""));
  out->output_pairs =
      pairs_aligned(k, out, k->output, k->output_stride, "output_pairs");
  if (!spec->has_residual) return;
  out->residual_pairs =
      pairs_aligned(k, out, k->residual, k->residual_stride, "residual_pairs");
}

// ---- Residual ----

// Bits of an element of the output's type -> fp32.
static LLVMValueRef to_f32(nv_kernel *k, LLVMValueRef bits) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  if (k->spec->output_type == TSR_DTYPE_F16) {
    return LLVMBuildFPExt(b, cg_bitcast(e, bits, e->f16), e->f32, "");
  }
  if (k->spec->output_type == TSR_DTYPE_F32) return cg_bitcast(e, bits, e->f32);
  bits = LLVMBuildZExt(b, bits, e->i32, "");
  return cg_bitcast(e, LLVMBuildShl(b, bits, cg_i32(e, 16), ""), e->f32);
}

static LLVMValueRef address(nv_kernel *k, LLVMValueRef base,
                            LLVMValueRef stride, LLVMValueRef token,
                            LLVMValueRef column) {
  cg_emit *e = &k->e;
  LLVMValueRef index = cg_add(e, cg_mul(e, cg_widen(e, token), stride), column);
  return cg_at_index(e, base, index, output_size(k));
}

static LLVMTypeRef element_bits(nv_kernel *k) {
  return output_size(k) == 4 ? k->e.i32 : k->e.i16;
}

// The second element of |pair| (in a variable), where there is one.
static void load_second(nv_kernel *k, const nv_outlet *o, LLVMValueRef at,
                        LLVMValueRef first, LLVMValueRef pair) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  uint32_t size = output_size(k);
  LLVMValueRef value = LLVMConstNull(cg_vector(element_bits(k), 2));
  value = LLVMBuildInsertElement(b, value, first, cg_i32(e, 0), "");
  cg_store(e, value, pair, 4);
  cg_branch branch;
  if (o->is_other != NULL) cg_if(e, o->is_other, "residual.other", &branch);
  LLVMValueRef second =
      cg_load(e, element_bits(k), cg_at(e, at, size), size, "residual");
  value = LLVMBuildInsertElement(b, value, second, cg_i32(e, 1), "");
  cg_store(e, value, pair, 4);
  if (o->is_other != NULL) cg_endif(e, &branch);
}

// An item's two elements as a vector of integers; zeros outside Y.
static LLVMValueRef load_residual(nv_kernel *k, const nv_outlet *o,
                                  const nv_item *item) {
  cg_emit *e = &k->e;
  uint32_t size = output_size(k);
  LLVMTypeRef type = cg_vector(element_bits(k), 2);
  LLVMValueRef pair = cg_variable(e, type, "residual");
  cg_store(e, LLVMConstNull(type), pair, 4);
  cg_branch inside;
  cg_branch branch;
  cg_if(e, item->is_inside, "residual.inside", &inside);
  LLVMValueRef at =
      address(k, k->residual, k->residual_stride, item->token, o->column);
  cg_if(e, o->residual_pairs, "residual.pair", &branch);
  cg_store(e, cg_load(e, type, at, 2 * size, "residual"), pair, 4);
  cg_else(e, &branch);
  LLVMValueRef first = cg_load(e, element_bits(k), at, size, "residual");
  load_second(k, o, at, first, pair);
  cg_endif(e, &branch);
  cg_endif(e, &inside);
  return cg_load(e, type, pair, 4, "residuals");
}

static void add_residual(nv_kernel *k, LLVMValueRef pair, LLVMValueRef *y) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  for (uint32_t i = 0; i < NV_ITEM_OUTPUTS; ++i) {
    LLVMValueRef bits = LLVMBuildExtractElement(b, pair, cg_i32(e, i), "");
    y[i] = LLVMBuildFAdd(b, y[i], to_f32(k, bits), "");
  }
}

// ---- Store ----

// Both values as one vector of elements.
static LLVMValueRef convert(nv_kernel *k, const LLVMValueRef *y) {
  cg_emit *e = &k->e;
  if (k->spec->output_type == TSR_DTYPE_F32) {
    LLVMValueRef pair = LLVMGetPoison(cg_vector(e->f32, 2));
    for (uint32_t i = 0; i < NV_ITEM_OUTPUTS; ++i) {
      pair = LLVMBuildInsertElement(e->builder, pair, y[i], cg_i32(e, i), "");
    }
    return pair;
  }
  // cvt.rn.bf16x2.f32 and its like: the first operand is the upper half.
  LLVMValueRef arguments[] = {y[1], y[0]};
  bool is_half = k->spec->output_type == TSR_DTYPE_F16;
  return cg_intrinsic(
      e, is_half ? "llvm.nvvm.ff2f16x2.rn" : "llvm.nvvm.ff2bf16x2.rn", NULL,
      arguments, 2);
}

static void store_elements(nv_kernel *k, const nv_outlet *o, LLVMValueRef pair,
                           LLVMValueRef at) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  uint32_t size = output_size(k);
  cg_store(e, LLVMBuildExtractElement(b, pair, cg_i32(e, 0), ""), at, size);
  LLVMValueRef second = LLVMBuildExtractElement(b, pair, cg_i32(e, 1), "");
  cg_branch branch;
  if (o->is_other != NULL) cg_if(e, o->is_other, "store.other", &branch);
  cg_store(e, second, cg_at(e, at, size), size);
  if (o->is_other != NULL) cg_endif(e, &branch);
}

static void store(nv_kernel *k, const nv_outlet *o, const nv_item *item,
                  LLVMValueRef pair) {
  cg_emit *e = &k->e;
  uint32_t size = output_size(k);
  cg_branch inside;
  cg_branch branch;
  cg_if(e, item->is_inside, "store", &inside);
  LLVMValueRef at =
      address(k, k->output, k->output_stride, item->token, o->column);
  cg_if(e, o->output_pairs, "store.pair", &branch);
  LLVMTypeRef whole = size == 4 ? cg_vector(e->f32, 2) : e->i32;
  cg_store(e, cg_bitcast(e, pair, whole), at, 2 * size);
  cg_else(e, &branch);
  store_elements(k, o, pair, at);
  cg_endif(e, &branch);
  cg_endif(e, &inside);
}

// activation(sum + bias)
static void activate(nv_kernel *k, const nv_outlet *o, const nv_item *item,
                     LLVMValueRef *y) {
  LLVMBuilderRef b = k->e.builder;
  tsr_activation activation = k->spec->activation;
  bool is_gated = tsr_activation_is_gated(activation);
  LLVMValueRef v[NV_ITEM_ROWS];
  for (uint32_t i = 0; i < o->rows; ++i) {
    v[i] = item->sums[i];
    if (o->bias[i] != NULL) v[i] = LLVMBuildFAdd(b, v[i], o->bias[i], "");
  }
  for (uint32_t i = 0; i < NV_ITEM_OUTPUTS; ++i) {
    y[i] = nv_activation(k, activation, v[is_gated ? 2 * i : i]);
    if (is_gated) y[i] = LLVMBuildFMul(b, y[i], v[2 * i + 1], "gated");
  }
}

void nv_emit_epilogue(nv_kernel *k, const nv_outlet *o, const nv_item *items,
                      uint32_t count) {
  LLVMValueRef residuals[NV_ITEM_BATCH] = {NULL};
  for (uint32_t i = 0; i < count && k->spec->has_residual; ++i) {
    residuals[i] = load_residual(k, o, &items[i]);
  }
  for (uint32_t i = 0; i < count; ++i) {
    LLVMValueRef y[NV_ITEM_OUTPUTS];
    activate(k, o, &items[i], y);
    if (residuals[i] != NULL) add_residual(k, residuals[i], y);
    store(k, o, &items[i], convert(k, y));
  }
}
