// SPDX-License-Identifier: Apache-2.0
// Activations on vectors of floats, by range reduction and polynomials: an
// image has no library to call. Errors (measured by tests/codegen over all
// ranges): silu, gelu_tanh and gelu_erf are within the bounds that
// docs/numerics.md states. A NaN stays a NaN.
#include "host.h"

static LLVMValueRef splat_like(host_kernel *k, LLVMValueRef v, double value) {
  return cg_splat_constant(cg_f32(&k->e, value),
                           LLVMGetVectorSize(LLVMTypeOf(v)));
}

static LLVMValueRef multiply(host_kernel *k, LLVMValueRef a, double b) {
  return LLVMBuildFMul(k->e.builder, a, splat_like(k, a, b), "");
}

static LLVMValueRef add(host_kernel *k, LLVMValueRef a, double b) {
  return LLVMBuildFAdd(k->e.builder, a, splat_like(k, a, b), "");
}

// a * b + c with constant b, or c, or both: the caller splats.
static LLVMValueRef horner(host_kernel *k, LLVMValueRef x, const double *c,
                           uint32_t count) {
  LLVMValueRef sum = splat_like(k, x, c[0]);
  for (uint32_t i = 1; i < count; ++i) {
    sum = cg_multiply_add(&k->e, sum, x, splat_like(k, x, c[i]));
  }
  return sum;
}

// |v| limited; a NaN passes.
static LLVMValueRef limit(host_kernel *k, LLVMValueRef v, LLVMRealPredicate is,
                          double bound) {
  LLVMValueRef limit_value = splat_like(k, v, bound);
  LLVMValueRef over = LLVMBuildFCmp(k->e.builder, is, v, limit_value, "");
  return LLVMBuildSelect(k->e.builder, over, limit_value, v, "");
}

// e^x for x within [-87.3, 88.3], to which it is limited: never subnormal,
// never infinite. n = round(x / ln 2) by adding 1.5 * 2^23 (no conversion,
// which a NaN would make undefined); the polynomial is that of Cephes' expf.
static LLVMValueRef exponential(host_kernel *k, LLVMValueRef x) {
  static const double c[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                             4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  uint32_t lanes = LLVMGetVectorSize(LLVMTypeOf(x));
  x = limit(k, x, LLVMRealOGT, 88.3);
  x = limit(k, x, LLVMRealOLT, -87.3);
  const double magic = 12582912.0;
  LLVMValueRef shifted = cg_multiply_add(
      e, x, splat_like(k, x, 1.44269504088896341), splat_like(k, x, magic));
  LLVMValueRef n = add(k, shifted, -magic);
  LLVMValueRef r = cg_multiply_add(e, n, splat_like(k, x, -0.693359375), x);
  r = cg_multiply_add(e, n, splat_like(k, x, 2.12194440e-4), r);
  LLVMValueRef p = horner(k, r, c, 6);
  p = cg_multiply_add(e, p, LLVMBuildFMul(b, r, r, ""), r);
  p = add(k, p, 1.0);
  LLVMTypeRef ints = cg_vector(e->i32, lanes);
  LLVMValueRef scale = cg_bitcast(e, shifted, ints);
  scale = LLVMBuildShl(b, scale, cg_splat_constant(cg_i32(e, 23), lanes), "");
  scale = LLVMBuildAdd(b, scale,
                       cg_splat_constant(cg_i32(e, 0x3f800000u), lanes), "");
  return LLVMBuildFMul(b, p, cg_bitcast(e, scale, LLVMTypeOf(x)), "exp");
}

// v / (1 + e^u)
static LLVMValueRef over_one_plus_exp(host_kernel *k, LLVMValueRef v,
                                      LLVMValueRef u) {
  LLVMValueRef below = add(k, exponential(k, u), 1.0);
  return LLVMBuildFDiv(k->e.builder, v, below, "");
}

// The lower limit on v in each function is where its value is below 2^-118:
// with e^ limited, v itself would bring a huge negative v back.
static LLVMValueRef silu(host_kernel *k, LLVMValueRef v) {
  v = limit(k, v, LLVMRealOLT, -88.0);
  return over_one_plus_exp(k, v, LLVMBuildFNeg(k->e.builder, v, ""));
}

// v/2 (1 + tanh w) = v / (1 + e^(-2w)).
static LLVMValueRef gelu_tanh(host_kernel *k, LLVMValueRef v) {
  const double a = -1.5957691216057308;  // -2 sqrt(2 / pi)
  v = limit(k, v, LLVMRealOLT, -10.05);
  LLVMValueRef square = LLVMBuildFMul(k->e.builder, v, v, "");
  LLVMValueRef u = cg_multiply_add(
      &k->e, square, splat_like(k, v, a * 0.044715), splat_like(k, v, a));
  return over_one_plus_exp(k, v, LLVMBuildFMul(k->e.builder, u, v, ""));
}

// v Phi(v). For a = |v|, q(a) = e^(a^2/2) erfc(a / sqrt 2) / 2 is a polynomial
// in s = 1 / (1 + 0.4 a) (minimax fit over [0, 13.4], relative error 1e-8);
// then Phi(-a) = q(a) e^(-a^2/2). The rounding error of a^2, which e^ would
// magnify, is put back by the last factor.
static LLVMValueRef gelu_erf(host_kernel *k, LLVMValueRef v) {
  static const double c[] = {0.02819295786, -0.1541361213,   0.3265441954,
                             -0.2955328524, 0.04964312166,   0.0140640717,
                             0.07542057335, 0.1371881813,    0.1589847952,
                             0.1596332788,  -2.186538268e-06};
  cg_emit *e = &k->e;
  LLVMBuilderRef b = e->builder;
  v = limit(k, v, LLVMRealOLT, -13.2);
  LLVMValueRef arguments[] = {v};
  LLVMValueRef a = cg_intrinsic(e, "llvm.fabs", LLVMTypeOf(v), arguments, 1);
  LLVMValueRef one = splat_like(k, v, 1.0);
  LLVMValueRef s = LLVMBuildFDiv(
      b, one, cg_multiply_add(e, a, splat_like(k, v, 0.4), one), "");
  LLVMValueRef q = horner(k, s, c, sizeof(c) / sizeof(c[0]));
  a = limit(k, a, LLVMRealOGT, 13.2);
  LLVMValueRef square = LLVMBuildFMul(b, a, a, "");
  LLVMValueRef rest = cg_multiply_add(e, a, a, LLVMBuildFNeg(b, square, ""));
  LLVMValueRef tail = exponential(k, multiply(k, square, -0.5));
  LLVMValueRef mend = cg_multiply_add(e, rest, splat_like(k, v, -0.5), one);
  tail = LLVMBuildFMul(b, LLVMBuildFMul(b, tail, mend, ""), q, "");
  LLVMValueRef positive =
      LLVMBuildFCmp(b, LLVMRealOGT, v, cg_zero(LLVMTypeOf(v)), "");
  LLVMValueRef phi =
      LLVMBuildSelect(b, positive, LLVMBuildFSub(b, one, tail, ""), tail, "");
  return LLVMBuildFMul(b, v, phi, "");
}

static LLVMValueRef relu(host_kernel *k, LLVMValueRef v) {
  LLVMValueRef zero = cg_zero(LLVMTypeOf(v));
  LLVMValueRef negative = LLVMBuildFCmp(k->e.builder, LLVMRealOLT, v, zero, "");
  return LLVMBuildSelect(k->e.builder, negative, zero, v, "");
}

LLVMValueRef host_activation(host_kernel *k, tsr_activation activation,
                             LLVMValueRef v) {
  switch (activation) {
    case TSR_ACTIVATION_NONE:
      return v;
    case TSR_ACTIVATION_RELU:
      return relu(k, v);
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
