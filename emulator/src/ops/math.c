// SPDX-License-Identifier: Apache-2.0
// Reciprocals, roots and the approximate functions: rcp, sqrt, rsqrt, ex2, lg2,
// sin, cos, tanh (PTX ISA 9.7.3.13 to 9.7.3.22 and 9.7.4.9, 9.7.4.10).
//
// Approximations are computed in f64 by series of our own, without contraction
// to fma, and rounded once: within half an ulp or little more, so within the
// ISA's bounds, and the same on every machine. Hardware's own errors are not
// imitated. Where the ISA has a table of special inputs, its order is flush
// (.ftz), then the function's limit.
#include "ops/float.h"

// --- Reciprocal and square roots --------------------------------------------

#define FTZ ((op->aux[0] & TSR_FLOAT_FTZ) != 0)
#define ROUND ((tsr_round)op->aux[1])

TSR_LANE uint32_t f32_rcp(uint32_t x, bool ftz) {
  float value = tsr_float(tsr_f32_flush(x, ftz));
  return tsr_f32_finish(tsr_float_bits(1.0f / value), ftz, false);
}
TSR_LANE uint32_t f32_sqrt(uint32_t x, bool ftz) {
  float value = tsr_float(tsr_f32_flush(x, ftz));
  return tsr_f32_finish(tsr_float_bits(sqrtf(value)), ftz, false);
}
TSR_LANE uint32_t f32_rsqrt(uint32_t x, bool ftz) {
  double value = (double)tsr_float(tsr_f32_flush(x, ftz));
  return tsr_f32_finish(tsr_float_bits((float)(1.0 / sqrt(value))), ftz, false);
}
// As with quotients, an f64 root is on the right side of every f32 number that
// is not the exact one.
TSR_LANE uint32_t f32_directed(uint32_t x, bool ftz, bool root,
                               tsr_round round) {
  double value = (double)tsr_float(tsr_f32_flush(x, ftz));
  double result = root ? sqrt(value) : 1.0 / value;
  return tsr_f32_finish(tsr_f32_from_double(result, round), ftz, false);
}
TSR_HANDLER_32(rcp_f32, 1, f32_rcp(a[i], FTZ))
TSR_HANDLER_32(rcp_f32_directed, 1, f32_directed(a[i], FTZ, false, ROUND))
TSR_HANDLER_32(sqrt_f32, 1, f32_sqrt(a[i], FTZ))
TSR_HANDLER_32(sqrt_f32_directed, 1, f32_directed(a[i], FTZ, true, ROUND))
TSR_HANDLER_32(rsqrt_f32, 1, f32_rsqrt(a[i], FTZ))

TSR_LANE uint64_t f64_result(double value, uint64_t x) {
  return tsr_f64_finish(tsr_double_bits(value), x, x, x);
}
TSR_HANDLER_64(rcp_f64, 1, f64_result(1.0 / tsr_double(a[i]), a[i]))
TSR_HANDLER_64(sqrt_f64, 1, f64_result(sqrt(tsr_double(a[i])), a[i]))
TSR_HANDLER_64(rsqrt_f64, 1, f64_result(1.0 / sqrt(tsr_double(a[i])), a[i]))

static uint64_t f64_directed(uint64_t x, bool root, tsr_round round) {
  tsr_number number = tsr_number_unpack(x, TSR_FORMAT_F64);
  tsr_number result =
      root ? tsr_number_sqrt(number)
           : tsr_number_divide(tsr_number_from_integer(1, false), number);
  uint64_t bits = tsr_number_pack(result, TSR_FORMAT_F64, round, false);
  return tsr_f64_finish(bits, x, x, x);
}
TSR_HANDLER_64(rcp_f64_directed, 1, f64_directed(a[i], false, ROUND))
TSR_HANDLER_64(sqrt_f64_directed, 1, f64_directed(a[i], true, ROUND))

// .approx.ftz.f64: the upper 32 bits of the input give the upper 32 bits of the
// result; the lower ones are zero (PTX ISA 9.7.3.14, 9.7.3.17).
TSR_LANE uint64_t f64_gross(uint64_t x, bool root) {
  const uint64_t upper = UINT64_C(0xffffffff00000000);
  const uint64_t exponent = UINT64_C(0x7ff0000000000000);
  bool nan = tsr_f64_is_nan(x);
  x &= (x & exponent) == 0 ? TSR_SIGN64 : upper;
  double value = tsr_double(x);
  uint64_t bits = tsr_double_bits(1.0 / (root ? sqrt(value) : value));
  nan = nan || tsr_f64_is_nan(bits);
  bits = (bits + UINT64_C(0x80000000)) & upper;
  bits &= (bits & exponent) == 0 ? TSR_SIGN64 : upper;
  return nan ? UINT64_C(0x7fffffff00000000) : bits;
}
TSR_HANDLER_64(rcp_f64_gross, 1, f64_gross(a[i], false))
TSR_HANDLER_64(rsqrt_f64_gross, 1, f64_gross(a[i], true))

// --- Series -----------------------------------------------------------------

// Adding and subtracting it rounds to an integer, which its low bits then hold.
#define TO_INTEGER 0x1.8p52

// 2^x, relative error below 2^-40; x is clamped to what f32 can tell apart.
TSR_LANE double exp2_series(double x) {
  // ln(2)^k / k!
  static const double c[] = {
      1.0,
      0x1.62e42fefa39efp-1,
      0x1.ebfbdff82c58fp-3,
      0x1.c6b08d704a0cp-5,
      0x1.3b2ab6fba4e77p-7,
      0x1.5d87fe78a6731p-10,
      0x1.430912f86c787p-13,
      0x1.ffcbfc588b0c7p-17,
      0x1.62c0223a5c824p-20,
      0x1.b5253d395e7c4p-24,
      0x1.e4cf5158b8ecap-28,
  };
  x = x < -200 ? -200 : x;
  x = x > 200 ? 200 : x;
  double shifted = x + TO_INTEGER;
  uint64_t whole = tsr_double_bits(shifted) - tsr_double_bits(TO_INTEGER);
  double f = x - (shifted - TO_INTEGER);
  // Written out: an inner loop would keep the outer one from being vector code.
  double sum = c[10];
  sum = sum * f + c[9];
  sum = sum * f + c[8];
  sum = sum * f + c[7];
  sum = sum * f + c[6];
  sum = sum * f + c[5];
  sum = sum * f + c[4];
  sum = sum * f + c[3];
  sum = sum * f + c[2];
  sum = sum * f + c[1];
  sum = sum * f + c[0];
  return sum * tsr_double((whole + 1023) << 52);
}

// log2(x) of a positive finite x, relative error below 2^-40 (near 1 too).
TSR_LANE double log2_series(double x) {
  const uint64_t root_half = UINT64_C(0x3fe6a09e667f3bcd);  // sqrt(1/2)
  uint64_t bits = tsr_double_bits(x);
  // Biased so that the shift's operand is positive.
  uint64_t exponent = (bits - root_half + (UINT64_C(2048) << 52)) >> 52;
  double m = tsr_double(bits - ((exponent - 2048) << 52));
  double whole = tsr_double((UINT64_C(0x433) << 52) + exponent) - 0x1p52 - 2048;
  double t = (m - 1) / (m + 1), z = t * t;
  double sum = 1.0 / 15;
  sum = sum * z + 1.0 / 13;
  sum = sum * z + 1.0 / 11;
  sum = sum * z + 1.0 / 9;
  sum = sum * z + 1.0 / 7;
  sum = sum * z + 1.0 / 5;
  sum = sum * z + 1.0 / 3;
  sum = sum * z + 1;
  return whole + t * (sum * 0x1.71547652b82fep+1);  // 2 / ln 2
}

// sin(x + quarter * pi / 2) for |x| below 2^20, absolute error below 2^-36.
TSR_LANE double sin_series(double x, uint64_t quarter) {
  // pi / 2 in two parts; the first has 33 bits, so that its multiples are exact
  const double first = 0x1.921fb544p+0, second = 0x1.0b4611a626331p-34;
  double shifted = x * 0x1.45f306dc9c883p-1 + TO_INTEGER;  // 2 / pi
  double k = shifted - TO_INTEGER;
  double r = (x - k * first) - k * second, z = r * r;
  double s = 1.0 / 6227020800;
  s = s * z - 1.0 / 39916800;
  s = s * z + 1.0 / 362880;
  s = s * z - 1.0 / 5040;
  s = s * z + 1.0 / 120;
  s = s * z - 1.0 / 6;
  s = r + r * (z * s);
  double c = -1.0 / 87178291200;
  c = c * z + 1.0 / 479001600;
  c = c * z - 1.0 / 3628800;
  c = c * z + 1.0 / 40320;
  c = c * z - 1.0 / 720;
  c = c * z + 1.0 / 24;
  c = c * z - 0.5;
  c = 1 + z * c;
  quarter += tsr_double_bits(shifted);
  double value = (quarter & 1) != 0 ? c : s;
  return (quarter & 2) != 0 ? -value : value;
}

TSR_LANE double tanh_series(double x) {
  double size = fabs(x), z = x * x;
  double small = x * (1 + z * (-1.0 / 3 + z * (2.0 / 15 + z * (-17.0 / 315))));
  double power = exp2_series(size * 0x1.71547652b82fep+1);  // e^(2|x|)
  double large = copysign(1 - 2 / (power + 1), x);
  return size < 0.0625 ? small : large;
}

// --- f32 --------------------------------------------------------------------

TSR_LANE uint32_t f32_ex2(uint32_t x, bool ftz) {
  double value = exp2_series((double)tsr_float(tsr_f32_flush(x, ftz)));
  return tsr_f32_finish(tsr_float_bits((float)value), ftz, false);
}
TSR_LANE uint32_t f32_lg2(uint32_t x, bool ftz) {
  x = tsr_f32_flush(x, ftz);
  uint32_t bits = tsr_float_bits((float)log2_series((double)tsr_float(x)));
  bits = x == 0x7f800000u ? x : bits;
  bits = x > 0x7f800000u ? TSR_NAN_F32 : bits;  // NaN, negative
  bits = (x & ~TSR_SIGN32) == 0 ? 0xff800000u : bits;
  return tsr_f32_finish(bits, ftz, false);
}
TSR_LANE uint32_t f32_tanh(uint32_t x) {
  double value = tanh_series((double)tsr_float(x));
  return tsr_f32_finish(tsr_float_bits((float)value), false, false);
}
TSR_HANDLER_32(ex2_f32, 1, f32_ex2(a[i], FTZ))
TSR_HANDLER_32(lg2_f32, 1, f32_lg2(a[i], FTZ))
TSR_HANDLER_32(tanh_f32, 1, f32_tanh(a[i]))

// Angles too large for the series; rare.
static uint32_t large_angle(uint32_t x, uint64_t quarter) {
  double value = (double)tsr_float(x);
  double result = quarter != 0 ? cos(value) : sin(value);
  return tsr_float_bits((float)result);
}
TSR_LANE uint32_t f32_sin(uint32_t x, bool ftz, uint64_t quarter) {
  x = tsr_f32_flush(x, ftz);
  uint32_t bits =
      tsr_float_bits((float)sin_series((double)tsr_float(x), quarter));
  return quarter == 0 && (x & ~TSR_SIGN32) == 0 ? x : bits;
}
TSR_CLONES static tsr_flow sine(tsr_warp *warp, const tsr_op *op,
                                uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  uint32_t out[TSR_LANES];
  uint32_t largest = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t size = a[i] & ~TSR_SIGN32;
    largest = size > largest ? size : largest;
    out[i] = f32_sin(a[i], FTZ, op->aux[2]);
  }
  for (uint32_t i = 0; largest >= 0x49800000u && i < TSR_LANES; ++i) {  // 2^20
    uint32_t size = a[i] & ~TSR_SIGN32;
    if (size >= 0x49800000u) out[i] = large_angle(a[i], op->aux[2]);
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    out[i] = tsr_f32_finish(out[i], FTZ, false);
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

// --- 16-bit types -----------------------------------------------------------

// The f32 in between adds at most 2^-24 to the one rounding.
TSR_LANE uint32_t half_ex2(uint32_t x, bool brain, bool ftz) {
  double value = exp2_series(
      (double)tsr_float(tsr_half_to_f32(tsr_half_flush(x, brain, ftz), brain)));
  uint32_t half = tsr_f32_to_half(tsr_float_bits((float)value), brain);
  return tsr_half_flush(half, brain, ftz);
}
TSR_LANE uint32_t half_tanh(uint32_t x, bool brain, bool ftz) {
  (void)ftz;
  double value = tanh_series((double)tsr_float(tsr_half_to_f32(x, brain)));
  return tsr_f32_to_half(tsr_float_bits((float)value), brain);
}
#define HALF_HANDLERS(NAME)                                                    \
  TSR_HANDLER_32(NAME##_f16, 1, NAME(a[i], false, FTZ))                        \
  TSR_HANDLER_32(NAME##_bf16, 1, NAME(a[i], true, FTZ))                        \
  TSR_HANDLER_32(                                                              \
      NAME##_f16x2, 1,                                                         \
      NAME(a[i] & 0xffffu, false, FTZ) | NAME(a[i] >> 16, false, FTZ) << 16)   \
  TSR_HANDLER_32(NAME##_bf16x2, 1,                                             \
                 NAME(a[i] & 0xffffu, true, FTZ) | NAME(a[i] >> 16, true, FTZ) \
                                                       << 16)
HALF_HANDLERS(half_ex2)
HALF_HANDLERS(half_tanh)

// --- Decoding ---------------------------------------------------------------

static bool decode_rcp(tsr_decoder *d) {
  bool approx = tsr_mod(d, "approx");
  tsr_float_form form;
  if (!tsr_float_modifiers(d, TSR_FLOAT_FTZ, &form)) return false;
  if (approx == form.rounded) {
    return tsr_decode_error(d, "one of .approx, .rn, .rz, .rm, .rp expected");
  }
  bool nearest = form.round == TSR_ROUND_EVEN, ftz = form.flags != 0;
  if (form.type == TSR_PTX_F32) {
    return tsr_float_emit(d, nearest ? rcp_f32 : rcp_f32_directed, &form, 1);
  }
  if (form.type != TSR_PTX_F64) return tsr_float_no_form(d, form.type);
  if (approx != ftz) {
    return tsr_decode_error(d, ".approx and .ftz go together with .f64");
  }
  if (approx) return tsr_float_emit(d, rcp_f64_gross, &form, 1);
  return tsr_float_emit(d, nearest ? rcp_f64 : rcp_f64_directed, &form, 1);
}

static bool decode_sqrt(tsr_decoder *d) {
  bool approx = tsr_mod(d, "approx");
  tsr_float_form form;
  if (!tsr_float_modifiers(d, TSR_FLOAT_FTZ, &form)) return false;
  if (approx == form.rounded) {
    return tsr_decode_error(d, "one of .approx, .rn, .rz, .rm, .rp expected");
  }
  bool nearest = form.round == TSR_ROUND_EVEN;
  if (form.type == TSR_PTX_F32) {
    return tsr_float_emit(d, nearest ? sqrt_f32 : sqrt_f32_directed, &form, 1);
  }
  if (form.type != TSR_PTX_F64) return tsr_float_no_form(d, form.type);
  if (approx || form.flags != 0) {
    return tsr_decode_error(d, ".approx and .ftz do not apply to .f64");
  }
  return tsr_float_emit(d, nearest ? sqrt_f64 : sqrt_f64_directed, &form, 1);
}

// .approx{.ftz} and a type; the rest of the functions have no other modifiers.
static bool take_approx(tsr_decoder *d, tsr_float_form *out_form) {
  memset(out_form, 0, sizeof(*out_form));
  if (!tsr_mod(d, "approx")) return tsr_decode_error(d, ".approx expected");
  if (tsr_mod(d, "ftz")) out_form->flags = TSR_FLOAT_FTZ;
  return tsr_mod_need_type(d, &out_form->type);
}

static bool decode_rsqrt(tsr_decoder *d) {
  tsr_float_form form;
  if (!take_approx(d, &form)) return false;
  if (form.type == TSR_PTX_F32) return tsr_float_emit(d, rsqrt_f32, &form, 1);
  if (form.type != TSR_PTX_F64) return tsr_float_no_form(d, form.type);
  return tsr_float_emit(d, form.flags != 0 ? rsqrt_f64_gross : rsqrt_f64, &form,
                        1);
}

// f16, f16x2, bf16, bf16x2 -> 0..3; -1 for others.
static int half_index(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_F16:
      return 0;
    case TSR_PTX_F16X2:
      return 1;
    case TSR_PTX_BF16:
      return 2;
    case TSR_PTX_BF16X2:
      return 3;
    default:
      return -1;
  }
}
static bool decode_ex2(tsr_decoder *d) {
  static const tsr_handler halves[] = {half_ex2_f16, half_ex2_f16x2,
                                       half_ex2_bf16, half_ex2_bf16x2};
  tsr_float_form form;
  if (!take_approx(d, &form)) return false;
  if (form.type == TSR_PTX_F32) return tsr_float_emit(d, ex2_f32, &form, 1);
  int half = half_index(form.type);
  if (half < 0) return tsr_float_no_form(d, form.type);
  if ((form.flags != 0) != (half >= 2)) {
    return tsr_decode_error(d, half >= 2 ? ".ftz expected with bf16"
                                         : ".ftz does not apply to f16");
  }
  return tsr_decode_require(d, half >= 2 ? 78 : 70, half >= 2 ? 90 : 75, 0) &&
         tsr_float_emit(d, halves[half], &form, 1);
}
static bool decode_tanh(tsr_decoder *d) {
  static const tsr_handler halves[] = {half_tanh_f16, half_tanh_f16x2,
                                       half_tanh_bf16, half_tanh_bf16x2};
  tsr_float_form form;
  if (!take_approx(d, &form)) return false;
  if (form.flags != 0) return tsr_decode_error(d, ".ftz does not apply");
  if (form.type == TSR_PTX_F32) {
    return tsr_decode_require(d, 70, 75, 0) &&
           tsr_float_emit(d, tanh_f32, &form, 1);
  }
  int half = half_index(form.type);
  if (half < 0) return tsr_float_no_form(d, form.type);
  return tsr_decode_require(d, half >= 2 ? 78 : 70, half >= 2 ? 90 : 75, 0) &&
         tsr_float_emit(d, halves[half], &form, 1);
}

static bool decode_lg2(tsr_decoder *d) {
  tsr_float_form form;
  if (!take_approx(d, &form)) return false;
  if (form.type != TSR_PTX_F32) return tsr_float_no_form(d, form.type);
  return tsr_float_emit(d, lg2_f32, &form, 1);
}

static bool decode_angle(tsr_decoder *d, uint32_t quarter) {
  tsr_float_form form;
  tsr_ref dst, src;
  if (!take_approx(d, &form)) return false;
  if (form.type != TSR_PTX_F32) return tsr_float_no_form(d, form.type);
  if (!tsr_need_operands(d, 2, 2) ||
      !tsr_destination(d, tsr_operand(d, 0), form.type, false, &dst) ||
      !tsr_source(d, tsr_operand(d, 1), form.type, &src)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, sine, TESSERA_EMU_CLASS_FLOAT, 1, 1);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->src[0] = src;
  op->aux[0] = form.flags;
  op->aux[2] = quarter;
  return true;
}
static bool decode_sin(tsr_decoder *d) {
  return decode_angle(d, 0);
}
static bool decode_cos(tsr_decoder *d) {
  return decode_angle(d, 1);
}

extern const tsr_opcode tsr_opcodes_math[];
const tsr_opcode tsr_opcodes_math[] = {
    {"rcp", decode_rcp}, {"sqrt", decode_sqrt}, {"rsqrt", decode_rsqrt},
    {"ex2", decode_ex2}, {"lg2", decode_lg2},   {"sin", decode_sin},
    {"cos", decode_cos}, {"tanh", decode_tanh}, {0}};
