// SPDX-License-Identifier: Apache-2.0
// Activations of one fp32 value. NVPTX has no libm; what the machine has is
// ex2.approx (relative error 2^-22), rcp.approx (1 ulp) and div.full (2 ulp;
// PTX ISA, "Floating Point Instructions"), all without flushing results that
// occur here. The error of an exponent, which e^ would magnify, is carried
// beside it. Total errors: docs/numerics.md. A NaN stays a NaN: minimum and
// maximum are the .NaN forms.
#include "nv.h"

#define LOG2_E 1.4426950408889634
#define LN_2 0.6931471805599453

static LLVMValueRef call2(nv_kernel *k, const char *name, LLVMTypeRef overload,
                          LLVMValueRef a, LLVMValueRef b) {
  LLVMValueRef arguments[] = {a, b};
  return cg_intrinsic(&k->e, name, overload, arguments, 2);
}

static LLVMValueRef at_least(nv_kernel *k, LLVMValueRef v, double bound) {
  return call2(k, "llvm.maximum", k->e.f32, v, cg_f32(&k->e, bound));
}

static LLVMValueRef fused(nv_kernel *k, LLVMValueRef a, LLVMValueRef b,
                          LLVMValueRef c) {
  LLVMValueRef arguments[] = {a, b, c};
  return cg_intrinsic(&k->e, "llvm.fma", k->e.f32, arguments, 3);
}

static LLVMValueRef constant(nv_kernel *k, double value) {
  return cg_f32(&k->e, value);
}

// What |value| rounded to fp32 lacks.
static LLVMValueRef constant_rest(nv_kernel *k, double value) {
  return cg_f32(&k->e, value - (double)(float)value);
}

// a * v + b, not fused: an instruction holds one constant, and ptxas would keep
// the other in a register from the kernel's beginning on.
static LLVMValueRef scale_add(nv_kernel *k, double a, LLVMValueRef v,
                              double b) {
  LLVMBuilderRef builder = k->e.builder;
  LLVMValueRef product = LLVMBuildFMul(builder, v, constant(k, a), "");
  return LLVMBuildFAdd(builder, product, constant(k, b), "");
}

static LLVMValueRef negate(nv_kernel *k, LLVMValueRef v) {
  return LLVMBuildFNeg(k->e.builder, v, "");
}

static LLVMValueRef multiply(nv_kernel *k, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildFMul(k->e.builder, a, b, "");
}

// 2^(t + rest) for t in [-126, 128), |rest| < 2^-16. No result or argument of
// ex2 is subnormal but t near 0, where 2^t is 1 either way.
static LLVMValueRef power_of_two(nv_kernel *k, LLVMValueRef t,
                                 LLVMValueRef rest) {
  LLVMValueRef p =
      cg_intrinsic(&k->e, "llvm.nvvm.ex2.approx.ftz", k->e.f32, &t, 1);
  return fused(k, p, multiply(k, rest, constant(k, LN_2)), p);
}

// v / (1 + p)
static LLVMValueRef over_one_plus(nv_kernel *k, LLVMValueRef v,
                                  LLVMValueRef p) {
  LLVMValueRef below = LLVMBuildFAdd(k->e.builder, p, constant(k, 1.0), "");
  return call2(k, "llvm.nvvm.div.full", NULL, v, below);
}

// v / (1 + e^-v). Below -87 the value is under 2^-118, whatever v; above 87 it
// is v.
static LLVMValueRef silu(nv_kernel *k, LLVMValueRef v) {
  v = at_least(k, v, -87.0);
  LLVMValueRef x = at_least(k, negate(k, v), -87.0);
  LLVMValueRef t = multiply(k, x, constant(k, LOG2_E));
  LLVMValueRef rest = fused(k, x, constant(k, LOG2_E), negate(k, t));
  rest = fused(k, x, constant_rest(k, LOG2_E), rest);
  return over_one_plus(k, v, power_of_two(k, t, rest));
}

// v/2 (1 + tanh w) = v / (1 + e^(-2w)); -2w log2 e = (a v^2 + b) v. The sum has
// a rest (exact while a v^2 <= b, that is |v| < 4.7), the product another.
static LLVMValueRef gelu_tanh(nv_kernel *k, LLVMValueRef v) {
  const double b = -1.5957691216057308 * LOG2_E;  // -2 sqrt(2 / pi) log2 e
  LLVMBuilderRef builder = k->e.builder;
  LLVMValueRef square_factor = constant(k, b * 0.044715);
  v = at_least(k, v, -10.0);
  LLVMValueRef x = call2(k, "llvm.minimum", k->e.f32, v, constant(k, 10.0));
  LLVMValueRef square = multiply(k, x, x);
  LLVMValueRef sum = scale_add(k, b * 0.044715, square, b);
  LLVMValueRef above = LLVMBuildFSub(builder, constant(k, b), sum, "");
  LLVMValueRef rest = fused(k, square, square_factor, above);
  rest = LLVMBuildFAdd(builder, rest, constant_rest(k, b), "");
  LLVMValueRef t = multiply(k, sum, x);
  LLVMValueRef product_rest = fused(k, sum, x, negate(k, t));
  rest = fused(k, rest, x, product_rest);
  return over_one_plus(k, v, power_of_two(k, t, rest));
}

// q(a) = e^(a^2/2) erfc(a / sqrt 2) / 2 as a polynomial in 1 / (1 + 0.4 a):
// minimax over [0, 13.4], relative error 1e-8; as in codegen/host/math.c.
static LLVMValueRef scaled_tail(nv_kernel *k, LLVMValueRef a) {
  static const double c[] = {0.02819295786, -0.1541361213,   0.3265441954,
                             -0.2955328524, 0.04964312166,   0.0140640717,
                             0.07542057335, 0.1371881813,    0.1589847952,
                             0.1596332788,  -2.186538268e-06};
  LLVMValueRef s = scale_add(k, 0.4, a, 1.0);
  s = cg_intrinsic(&k->e, "llvm.nvvm.rcp.approx.ftz.f", NULL, &s, 1);
  LLVMValueRef q = scale_add(k, c[0], s, c[1]);
  for (uint32_t i = 2; i < sizeof(c) / sizeof(c[0]); ++i) {
    q = fused(k, q, s, constant(k, c[i]));
  }
  return q;
}

// v Phi(v), with Phi(-a) = q(a) e^(-a^2/2) for a = |v|. Below -13 the value is
// under 2^-118.
static LLVMValueRef gelu_erf(nv_kernel *k, LLVMValueRef v) {
  LLVMBuilderRef builder = k->e.builder;
  LLVMValueRef scale = constant(k, -0.5 * LOG2_E);
  v = at_least(k, v, -13.0);
  LLVMValueRef a = cg_intrinsic(&k->e, "llvm.fabs", k->e.f32, &v, 1);
  a = call2(k, "llvm.minimum", k->e.f32, a, constant(k, 13.0));
  LLVMValueRef square = multiply(k, a, a);
  LLVMValueRef square_rest = fused(k, a, a, negate(k, square));
  LLVMValueRef t = multiply(k, square, scale);
  LLVMValueRef rest = fused(k, square, scale, negate(k, t));
  rest = fused(k, square, constant_rest(k, -0.5 * LOG2_E), rest);
  rest = fused(k, square_rest, scale, rest);
  LLVMValueRef tail = multiply(k, power_of_two(k, t, rest), scaled_tail(k, a));
  LLVMValueRef other = LLVMBuildFSub(builder, constant(k, 1.0), tail, "");
  LLVMValueRef positive =
      LLVMBuildFCmp(builder, LLVMRealOGT, v, constant(k, 0.0), "");
  return multiply(k, v, LLVMBuildSelect(builder, positive, other, tail, ""));
}

LLVMValueRef nv_activation(nv_kernel *k, tsr_activation activation,
                           LLVMValueRef v) {
  switch (activation) {
    case TSR_ACTIVATION_NONE:
      return v;
    case TSR_ACTIVATION_RELU:
      return at_least(k, v, 0.0);
    case TSR_ACTIVATION_GELU_ERF:
    case TSR_ACTIVATION_GEGLU_ERF:
      return gelu_erf(k, v);
    case TSR_ACTIVATION_GELU_TANH:
    case TSR_ACTIVATION_GEGLU_TANH:
      return gelu_tanh(k, v);
    case TSR_ACTIVATION_SILU:
    case TSR_ACTIVATION_SWIGLU:
      return silu(k, v);
  }
  return v;
}
