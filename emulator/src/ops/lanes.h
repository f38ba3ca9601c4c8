// SPDX-License-Identifier: Apache-2.0
// What the float families share: values of one lane as bits, flushing, NaNs
// and saturation without branches (so that lane loops become vector code), the
// 16-bit formats, and the frames of handlers.
//
// "ftz" and "sat" are arguments that are constants after inlining in the hot
// handlers and variables in the others.
#ifndef OPS_LANES_H_
#define OPS_LANES_H_

#include <math.h>

#include "exec/machine.h"
#include "ops/number.h"

// Inlined into every clone of a handler, or its loop is not vectorised.
#define TSR_LANE static inline __attribute__((always_inline))

enum {  // tsr_op.aux[0] of float families
  TSR_FLOAT_FTZ = 1 << 0,
  TSR_FLOAT_SAT = 1 << 1,
  TSR_FLOAT_RELU = 1 << 2,
  TSR_FLOAT_OOB = 1 << 3,
  TSR_FLOAT_NAN = 1 << 4,      // .NaN of min and max
  TSR_FLOAT_XORSIGN = 1 << 5,  // with .abs
  TSR_FLOAT_ABS = 1 << 6,      // of three-input min and max
  TSR_FLOAT_SATFINITE = 1 << 7,
};  // tsr_op.aux[1]: tsr_round

TSR_LANE float tsr_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
TSR_LANE uint32_t tsr_float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}
TSR_LANE double tsr_double(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
TSR_LANE uint64_t tsr_double_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// --- f32 ---------------------------------------------------------------------

#define TSR_SIGN32 0x80000000u
#define TSR_SIGN64 UINT64_C(0x8000000000000000)

TSR_LANE bool tsr_f32_is_nan(uint32_t bits) {
  return (bits & ~TSR_SIGN32) > 0x7f800000u;
}
// Subnormals become zeros of their sign (PTX ISA 9.7.3, .ftz).
TSR_LANE uint32_t tsr_f32_flush(uint32_t bits, bool ftz) {
  uint32_t keep = ftz ? TSR_SIGN32 : 0xffffffffu;  // the same for all lanes
  return (bits & 0x7f800000u) == 0 ? bits & keep : bits;
}
// To [+0, 1]; NaN becomes +0 (PTX ISA 9.7.3, .sat).
TSR_LANE uint32_t tsr_f32_saturate(uint32_t bits) {
  uint32_t positive = bits > 0x7f800000u ? 0 : bits;  // signs and NaNs
  return positive > 0x3f800000u ? 0x3f800000u : positive;
}
TSR_LANE uint32_t tsr_f32_finish(uint32_t bits, bool ftz, bool sat) {
  bits = tsr_f32_flush(bits, ftz);
  bits = tsr_f32_is_nan(bits) ? TSR_NAN_F32 : bits;
  return sat ? tsr_f32_saturate(bits) : bits;
}

// a + b rounded to odd: what is rounded again, to half as many bits and in any
// mode, is as if it had been rounded once (Boldo and Melquiond, 2008). The
// error is exact (Knuth's TwoSum) as nothing overflows for f32 operands.
TSR_LANE double tsr_odd_sum(double a, double b) {
  double sum = a + b;
  double b_part = sum - a;
  double error = (a - (sum - b_part)) + (b - b_part);
  uint64_t bits = tsr_double_bits(sum);
  // Away from zero where the signs agree. Conditions of their own, not of
  // other truth values: those would not be vectorised.
  uint64_t apart = (bits ^ tsr_double_bits(error)) >> 63;
  uint64_t step = apart != 0 ? UINT64_MAX : 1;
  step = (bits & 1) == 0 ? step : 0;
  return tsr_double(bits + (fabs(error) > 0 ? step : 0));  // not for NaN
}

// |value| in the mode |round|; it must be exact, rounded to odd, or at least on
// the right side of every f32 number that is not the exact result itself.
TSR_LANE uint32_t tsr_f32_from_double(double value, tsr_round round) {
  float nearest = (float)value;
  uint32_t bits = tsr_float_bits(nearest);
  double back = (double)nearest;
  bool negative = (bits & TSR_SIGN32) != 0;
  bool too_high = back > value, too_low = back < value;
  // No short-circuits: they would be branches.
  bool zero = round == TSR_ROUND_ZERO;
  bool down = too_high & ((round == TSR_ROUND_DOWN) | (zero & !negative));
  bool up = too_low & ((round == TSR_ROUND_UP) | (zero & negative));
  uint32_t step = down == negative ? 1u : 0xffffffffu;  // outward, inward
  bits += (down | up) ? step : 0;
  return bits;
}

// x + y, both exact, in the mode |round|, which also decides the sign of a sum
// that is exactly zero (IEEE 754, 6.3).
TSR_LANE uint32_t tsr_f32_directed_sum(double x, double y, tsr_round round) {
  double sum = tsr_odd_sum(x, y);
  uint32_t bits = tsr_f32_from_double(sum, round);
  uint64_t signs = tsr_double_bits(x) ^ tsr_double_bits(y);
  bool negative_zero =
      (sum == 0) & (round == TSR_ROUND_DOWN) & ((signs & TSR_SIGN64) != 0);
  return negative_zero ? TSR_SIGN32 : bits;
}
// |value|, exact or rounded to odd, rounded to odd.
TSR_LANE uint32_t tsr_f32_odd_from_double(double value) {
  uint32_t bits = tsr_f32_from_double(value, TSR_ROUND_ZERO);
  double back = (double)tsr_float(bits);
  return bits | (back < value || back > value ? 1u : 0u);
}

// --- f64 ---------------------------------------------------------------------

TSR_LANE bool tsr_f64_is_nan(uint64_t bits) {
  return (bits & ~TSR_SIGN64) > UINT64_C(0x7ff0000000000000);
}
// |bits|, a result of x, y and z; NaN is the first operand that is one, made
// quiet.
TSR_LANE uint64_t tsr_f64_finish(uint64_t bits, uint64_t x, uint64_t y,
                                 uint64_t z) {
  const uint64_t quiet = UINT64_C(1) << 51;
  uint64_t nan = tsr_f64_is_nan(z) ? z | quiet : TSR_NAN_F64;
  nan = tsr_f64_is_nan(y) ? y | quiet : nan;
  nan = tsr_f64_is_nan(x) ? x | quiet : nan;
  return tsr_f64_is_nan(bits) ? nan : bits;
}
// --- f16, bf16 ---------------------------------------------------------------

TSR_LANE uint32_t tsr_f16_to_f32(uint32_t half) {
  uint32_t sign = (half & 0x8000u) << 16;
  uint32_t exponent = half & 0x7c00u;
  uint32_t normal = ((half & 0x7fffu) << 13) + ((127u - 15) << 23);
  uint32_t top = normal + ((127u - 15) << 23);
  // Units of 2^-24 are those of f32 at 0.5. (Not by scaling a subnormal, which
  // processors are slow at, nor by an integer's conversion, which gcc would
  // narrow to 16 bits and then not vectorise.)
  float fraction = tsr_float(0x3f000000u | (half & 0x3ffu)) - 0.5f;
  uint32_t bits = exponent == 0 ? tsr_float_bits(fraction) : normal;
  return sign | (exponent == 0x7c00u ? top : bits);
}
// To nearest even. NaN becomes the canonical one.
TSR_LANE uint32_t tsr_f32_to_f16(uint32_t bits) {
  uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t size = bits & 0x7fffffffu;
  uint32_t normal = (size + 0xfffu + (size >> 13 & 1)) >> 13;
  normal -= (127 - 15) << 10;
  // Adding 0.5 rounds to multiples of 2^-24, f16's smallest.
  uint32_t small = tsr_float_bits(tsr_float(size) + 0.5f) - 0x3f000000u;
  uint32_t half = size < 0x38800000u ? small : normal;
  half = size >= 0x477ff000u ? 0x7c00u : half;
  return size > 0x7f800000u ? TSR_NAN_F16 : half | sign;
}
TSR_LANE uint32_t tsr_bf16_to_f32(uint32_t half) {
  return half << 16;
}
TSR_LANE uint32_t tsr_f32_to_bf16(uint32_t bits) {
  uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
  return tsr_f32_is_nan(bits) ? TSR_NAN_F16 : rounded;
}
TSR_LANE uint32_t tsr_half_to_f32(uint32_t half, bool brain) {
  return brain ? tsr_bf16_to_f32(half) : tsr_f16_to_f32(half);
}
TSR_LANE uint32_t tsr_f32_to_half(uint32_t bits, bool brain) {
  return brain ? tsr_f32_to_bf16(bits) : tsr_f32_to_f16(bits);
}

TSR_LANE bool tsr_half_is_nan(uint32_t half, bool brain) {
  return (half & 0x7fffu) > (brain ? 0x7f80u : 0x7c00u);
}
TSR_LANE uint32_t tsr_half_flush(uint32_t half, bool brain, bool ftz) {
  uint32_t exponent = half & (brain ? 0x7f80u : 0x7c00u);
  uint32_t keep = ftz ? 0x8000u : 0xffffu;
  return exponent == 0 ? half & keep : half & 0xffffu;
}
// NaN, .sat and .relu of a 16-bit result.
TSR_LANE uint32_t tsr_half_finish(uint32_t half, bool brain, uint32_t flags) {
  uint32_t one = brain ? 0x3f80u : 0x3c00u;
  bool nan = tsr_half_is_nan(half, brain);
  bool negative = (half & 0x8000u) != 0;
  uint32_t clamped = (nan | negative) ? 0 : (half > one ? one : half);
  uint32_t keep = (flags & TSR_FLOAT_RELU) != 0 ? 0 : 0xffffu;
  uint32_t result = negative ? half & keep : half;
  result = nan ? TSR_NAN_F16 : result;
  return (flags & TSR_FLOAT_SAT) != 0 ? clamped : result;
}

// --- Handlers ---------------------------------------------------------------

// A handler NAME of 32-bit lanes; |value| is an expression in a (b, c) at |i|.
#define TSR_HANDLER_HEAD_32(NAME, COUNT)                               \
  TSR_CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op,    \
                                  uint32_t mask) {                     \
    const uint32_t *a = tsr_src32(warp, op->src[0]);                   \
    const uint32_t *b = tsr_src32(warp, op->src[(COUNT) > 1 ? 1 : 0]); \
    const uint32_t *c = tsr_src32(warp, op->src[(COUNT) > 2 ? 2 : 0]); \
    uint32_t out[TSR_LANES];
#define TSR_HANDLER_TAIL_32               \
  (void)a, (void)b, (void)c;              \
  tsr_put32(warp, op->dst[0], mask, out); \
  return TSR_FLOW_NEXT;                   \
  }
#define TSR_HANDLER_32(NAME, COUNT, VALUE)   \
  TSR_HANDLER_HEAD_32(NAME, COUNT)           \
  for (uint32_t i = 0; i < TSR_LANES; ++i) { \
    out[i] = (VALUE);                        \
  }                                          \
  TSR_HANDLER_TAIL_32
// The same of |value| in |flags|, too: a loop for the case without any, which
// is the usual one and becomes vector code when they are known to be absent.
#define TSR_HANDLER_FLAGS_32(NAME, COUNT, VALUE) \
  TSR_HANDLER_HEAD_32(NAME, COUNT)               \
  if (op->aux[0] == 0) {                         \
    enum { flags = 0 };                          \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {   \
      out[i] = (VALUE);                          \
    }                                            \
  } else {                                       \
    const uint32_t flags = op->aux[0];           \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {   \
      out[i] = (VALUE);                          \
    }                                            \
  }                                              \
  TSR_HANDLER_TAIL_32
#define TSR_HANDLER_64(NAME, COUNT, VALUE)                             \
  TSR_CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op,    \
                                  uint32_t mask) {                     \
    const uint64_t *a = tsr_src64(warp, op->src[0]);                   \
    const uint64_t *b = tsr_src64(warp, op->src[(COUNT) > 1 ? 1 : 0]); \
    const uint64_t *c = tsr_src64(warp, op->src[(COUNT) > 2 ? 2 : 0]); \
    uint64_t out[TSR_LANES];                                           \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                         \
      out[i] = (VALUE);                                                \
    }                                                                  \
    (void)a, (void)b, (void)c;                                         \
    tsr_put64(warp, op->dst[0], mask, out);                            \
    return TSR_FLOW_NEXT;                                              \
  }

#endif  // OPS_LANES_H_
