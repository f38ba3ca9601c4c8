// SPDX-License-Identifier: Apache-2.0
// Operands in registers: quads of X, units of W, and conversions between the
// 16-bit types and fp32 that never call a library (an image has none).
#include "host.h"

enum { UNIT = TSR_HOST_UNIT_ROWS * TSR_HOST_QUAD };

LLVMTypeRef host_acc_type(host_kernel *k) {
  return cg_vector(k->e.f32, k->isa.lanes);
}

uint32_t host_acc_size(const host_kernel *k) {
  return k->isa.lanes * 4;
}

LLVMValueRef host_quad_load(host_kernel *k, LLVMValueRef address,
                            uint32_t valid) {
  cg_emit *e = &k->e;
  if (valid == TSR_HOST_QUAD) return cg_load(e, e->i64, address, 2, "x");
  LLVMValueRef bits = cg_i64(e, 0);
  for (uint32_t i = 0; i < valid; ++i) {
    LLVMValueRef one = cg_load(e, e->i16, cg_at(e, address, i * 2u), 2, "");
    one = LLVMBuildShl(e->builder, cg_widen(e, one), cg_i64(e, i * 16u), "");
    bits = LLVMBuildOr(e->builder, bits, one, "x");
  }
  return bits;
}

LLVMValueRef host_quad_convert(host_kernel *k, LLVMValueRef bits) {
  cg_emit *e = &k->e;
  return host_weight_to_f32(k, cg_bitcast(e, bits, cg_vector(e->i16, 4)));
}

LLVMValueRef host_quad_broadcast(host_kernel *k, LLVMValueRef quad) {
  cg_emit *e = &k->e;
  if (k->dot) {
    return cg_bitcast(e, cg_splat(e, quad, 8), cg_vector(e->bf16, UNIT));
  }
  uint32_t lanes[16];
  for (uint32_t i = 0; i < k->isa.lanes; ++i) lanes[i] = i % 4;
  return cg_shuffle(e, quad, NULL, lanes, k->isa.lanes);
}

static LLVMValueRef splat_i32(host_kernel *k, uint32_t value, uint32_t count) {
  return cg_splat_constant(cg_i32(&k->e, value), count);
}

// Integer form of base/float16.h's tsr_fp16_to_float: exact, subnormals
// included, as long as fp32 subnormals are not flushed.
static LLVMValueRef f16_to_f32(host_kernel *k, LLVMValueRef wide, uint32_t n) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  LLVMTypeRef floats = cg_vector(e->f32, n);
  LLVMTypeRef ints = cg_vector(e->i32, n);
  LLVMValueRef rest = LLVMBuildAnd(b, wide, splat_i32(k, 0x7fff, n), "");
  LLVMValueRef sign = LLVMBuildXor(b, wide, rest, "");
  sign = LLVMBuildShl(b, sign, splat_i32(k, 16, n), "");
  LLVMValueRef moved = LLVMBuildShl(b, rest, splat_i32(k, 13, n), "");
  LLVMValueRef scale = cg_splat_constant(cg_f32_bits(e, 0x77800000u), n);
  LLVMValueRef value =
      LLVMBuildFMul(b, cg_bitcast(e, moved, floats), scale, "");
  LLVMValueRef bits = cg_bitcast(e, value, ints);
  LLVMValueRef special =
      LLVMBuildICmp(b, LLVMIntUGE, rest, splat_i32(k, 0x7c00, n), "");
  LLVMValueRef infinite =
      LLVMBuildOr(b, moved, splat_i32(k, 0x7f800000u, n), "");
  bits = LLVMBuildSelect(b, special, infinite, bits, "");
  return cg_bitcast(e, LLVMBuildOr(b, bits, sign, ""), floats);
}

LLVMValueRef host_to_f32(host_kernel *k, LLVMValueRef bits, tsr_dtype type) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  uint32_t n = LLVMGetVectorSize(LLVMTypeOf(bits));
  LLVMTypeRef floats = cg_vector(e->f32, n);
  if (type == TSR_DTYPE_F16 && k->isa.f16_convert) {
    LLVMValueRef half = cg_bitcast(e, bits, cg_vector(e->f16, n));
    return LLVMBuildFPExt(b, half, floats, "");
  }
  LLVMValueRef wide = LLVMBuildZExt(b, bits, cg_vector(e->i32, n), "");
  if (type == TSR_DTYPE_F16) return f16_to_f32(k, wide, n);
  wide = LLVMBuildShl(b, wide, splat_i32(k, 16, n), "");
  return cg_bitcast(e, wide, floats);
}

LLVMValueRef host_weight_to_f32(host_kernel *k, LLVMValueRef bits) {
  return host_to_f32(k, bits, k->spec->weight_type);
}

// To nearest even; a NaN stays one. Not vcvtneps2bf16, which flushes
// subnormals: all variants round alike.
static LLVMValueRef f32_to_bf16(host_kernel *k, LLVMValueRef bits, uint32_t n) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  LLVMValueRef high = LLVMBuildLShr(b, bits, splat_i32(k, 16, n), "");
  LLVMValueRef odd = LLVMBuildAnd(b, high, splat_i32(k, 1, n), "");
  LLVMValueRef sum = LLVMBuildAdd(b, bits, splat_i32(k, 0x7fff, n), "");
  sum = LLVMBuildAdd(b, sum, odd, "");
  sum = LLVMBuildLShr(b, sum, splat_i32(k, 16, n), "");
  LLVMValueRef size = LLVMBuildAnd(b, bits, splat_i32(k, 0x7fffffffu, n), "");
  LLVMValueRef nan =
      LLVMBuildICmp(b, LLVMIntUGT, size, splat_i32(k, 0x7f800000u, n), "");
  LLVMValueRef quiet = LLVMBuildOr(b, high, splat_i32(k, 0x40, n), "");
  return LLVMBuildSelect(b, nan, quiet, sum, "");
}

// Integer form of base/float16.h's tsr_fp16_from_float.
static LLVMValueRef f32_to_f16(host_kernel *k, LLVMValueRef bits, uint32_t n) {
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  LLVMTypeRef ints = cg_vector(e->i32, n);
  LLVMValueRef rest = LLVMBuildAnd(b, bits, splat_i32(k, 0x7fffffffu, n), "");
  LLVMValueRef sign = LLVMBuildXor(b, bits, rest, "");
  sign = LLVMBuildLShr(b, sign, splat_i32(k, 16, n), "");
  LLVMValueRef odd = LLVMBuildLShr(b, rest, splat_i32(k, 13, n), "");
  odd = LLVMBuildAnd(b, odd, splat_i32(k, 1, n), "");
  LLVMValueRef normal = LLVMBuildAdd(b, rest, splat_i32(k, 0xfff, n), "");
  normal = LLVMBuildAdd(b, normal, odd, "");
  normal = LLVMBuildSub(b, normal, splat_i32(k, 0x38000000u, n), "");
  normal = LLVMBuildLShr(b, normal, splat_i32(k, 13, n), "");
  LLVMValueRef half = cg_splat_constant(cg_f32(e, 0.5), n);
  LLVMValueRef small = cg_bitcast(e, rest, LLVMTypeOf(half));
  small = cg_bitcast(e, LLVMBuildFAdd(b, small, half, ""), ints);
  small = LLVMBuildSub(b, small, splat_i32(k, 0x3f000000u, n), "");
  LLVMValueRef is_small =
      LLVMBuildICmp(b, LLVMIntULT, rest, splat_i32(k, 0x38800000u, n), "");
  LLVMValueRef out = LLVMBuildSelect(b, is_small, small, normal, "");
  LLVMValueRef is_large =
      LLVMBuildICmp(b, LLVMIntUGE, rest, splat_i32(k, 0x477ff000u, n), "");
  out = LLVMBuildSelect(b, is_large, splat_i32(k, 0x7c00, n), out, "");
  LLVMValueRef nan =
      LLVMBuildICmp(b, LLVMIntUGT, rest, splat_i32(k, 0x7f800000u, n), "");
  out = LLVMBuildSelect(b, nan, splat_i32(k, 0x7e00, n), out, "");
  return LLVMBuildOr(b, out, sign, "");
}

LLVMValueRef host_from_f32(host_kernel *k, LLVMValueRef values,
                           tsr_dtype type) {
  cg_emit *e = &k->e;
  uint32_t n = LLVMGetVectorSize(LLVMTypeOf(values));
  if (type == TSR_DTYPE_F32) return values;
  if (type == TSR_DTYPE_F16 && k->isa.f16_convert) {
    return LLVMBuildFPTrunc(e->builder, values, cg_vector(e->f16, n), "");
  }
  LLVMValueRef bits = cg_bitcast(e, values, cg_vector(e->i32, n));
  bits =
      type == TSR_DTYPE_BF16 ? f32_to_bf16(k, bits, n) : f32_to_f16(k, bits, n);
  return LLVMBuildTrunc(e->builder, bits, cg_vector(e->i16, n), "");
}

LLVMValueRef host_multiply_unit(host_kernel *k, LLVMValueRef unit, uint32_t v,
                                LLVMValueRef x, LLVMValueRef acc) {
  cg_emit *e = &k->e;
  if (k->dot) {
    LLVMValueRef w = cg_bitcast(e, unit, cg_vector(e->bf16, UNIT));
    LLVMValueRef arguments[] = {acc, w, x};
    return cg_intrinsic(e, "llvm.x86.avx512bf16.dpbf16ps.512", NULL, arguments,
                        3);
  }
  LLVMValueRef w = cg_slice(e, unit, v * k->isa.lanes, k->isa.lanes);
  return cg_multiply_add(e, host_weight_to_f32(k, w), x, acc);
}
