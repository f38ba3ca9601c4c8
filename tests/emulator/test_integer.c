// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic against formulas in 128 bits or loops over bits, as the
// PTX ISA's pseudo-code has them (9.7.1, 9.7.2).
#include "cases.h"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

#define REFERENCE(NAME, EXPRESSION)                                      \
  static uint64_t NAME(uint64_t a, uint64_t b, uint64_t c, uint64_t d) { \
    (void)a, (void)b, (void)c, (void)d;                                  \
    return (uint64_t)(EXPRESSION);                                       \
  }

static int64_t clamp(int64_t value) {
  if (value > 2147483647) return 2147483647;
  return value < -2147483648LL ? -2147483648LL : value;
}
static int64_t s16(uint64_t v) {
  return (int64_t)(v & 0x7fff) - (int64_t)(v & 0x8000);
}
static int64_t s32(uint64_t v) {
  return (int64_t)(v & 0x7fffffff) - (int64_t)(v & 0x80000000);
}
static int128 s64(uint64_t v) {
  return (int128)(v & INT64_MAX) - (int128)(v & (UINT64_C(1) << 63));
}

// --- Sums and products ------------------------------------------------------

REFERENCE(add, a + b)
REFERENCE(sub, a - b)
REFERENCE(add_sat, clamp(s32(a) + s32(b)))
REFERENCE(sub_sat, clamp(s32(a) - s32(b)))
REFERENCE(add_x2, ((a + b) & 0xffff) | ((a >> 16) + (b >> 16)) << 16)
REFERENCE(mul_lo, a *b)
REFERENCE(mul_hi_u16, a *b >> 16)
REFERENCE(mul_hi_s16, s16(a) * s16(b) >> 16)
REFERENCE(mul_hi_u32, a *b >> 32)
REFERENCE(mul_hi_s32, s32(a) * s32(b) >> 32)
REFERENCE(mul_hi_u64, (uint128)a *b >> 64)
REFERENCE(mul_hi_s64, s64(a) * s64(b) >> 64)
REFERENCE(mul_wide_s16, s16(a) * s16(b))
REFERENCE(mul_wide_s32, s32(a) * s32(b))
REFERENCE(mad_lo, a *b + c)
REFERENCE(mad_hi_u16, (a * b >> 16) + c)
REFERENCE(mad_hi_s32, (s32(a) * s32(b) >> 32) + s32(c))
REFERENCE(mad_hi_u64, (uint64_t)((uint128)a *b >> 64) + c)
REFERENCE(mad_hi_s64, (int64_t)(s64(a) * s64(b) >> 64) + (int128)s64(c))
REFERENCE(mad_hi_sat, clamp((s32(a) * s32(b) >> 32) + s32(c)))
REFERENCE(mad_wide_s16, s16(a) * s16(b) + s32(c))
REFERENCE(mad_wide_s32, s32(a) * s32(b) + s64(c))

static int64_t s24(uint64_t v) {
  return (int64_t)(v & 0x7fffff) - (int64_t)(v & 0x800000);
}
REFERENCE(mul24_lo_u, (a & 0xffffff) * (b & 0xffffff))
REFERENCE(mul24_hi_u, (a & 0xffffff) * (b & 0xffffff) >> 16)
REFERENCE(mul24_lo_s, s24(a) * s24(b))
REFERENCE(mul24_hi_s, s24(a) * s24(b) >> 16)
REFERENCE(mad24_lo_s, s24(a) * s24(b) + s32(c))
REFERENCE(mad24_hi_u, ((a & 0xffffff) * (b & 0xffffff) >> 16) + c)
REFERENCE(mad24_hi_sat, clamp((s24(a) * s24(b) >> 16) + s32(c)))

static const lane_case sums[] = {
    {"add.u16 %o0, %i0, %i1;", "hh", "h", add, NULL},
    {"add.s32 %o0, %i0, %i1;", "rr", "r", add, NULL},
    {"add.u64 %o0, %i0, %i1;", "dd", "d", add, NULL},
    {"add.sat.s32 %o0, %i0, %i1;", "rr", "r", add_sat, NULL},
    {"add.u16x2 %o0, %i0, %i1;", "rr", "r", add_x2, NULL},
    {"add.s16x2 %o0, %i0, %i1;", "rr", "r", add_x2, NULL},
    {"sub.s16 %o0, %i0, %i1;", "hh", "h", sub, NULL},
    {"sub.u32 %o0, %i0, %i1;", "rr", "r", sub, NULL},
    {"sub.s64 %o0, %i0, %i1;", "dd", "d", sub, NULL},
    {"sub.sat.s32 %o0, %i0, %i1;", "rr", "r", sub_sat, NULL},
    {"mul.lo.u16 %o0, %i0, %i1;", "hh", "h", mul_lo, NULL},
    {"mul.lo.s32 %o0, %i0, %i1;", "rr", "r", mul_lo, NULL},
    {"mul.lo.s64 %o0, %i0, %i1;", "dd", "d", mul_lo, NULL},
    {"mul.hi.u16 %o0, %i0, %i1;", "hh", "h", mul_hi_u16, NULL},
    {"mul.hi.s16 %o0, %i0, %i1;", "hh", "h", mul_hi_s16, NULL},
    {"mul.hi.u32 %o0, %i0, %i1;", "rr", "r", mul_hi_u32, NULL},
    {"mul.hi.s32 %o0, %i0, %i1;", "rr", "r", mul_hi_s32, NULL},
    {"mul.hi.u64 %o0, %i0, %i1;", "dd", "d", mul_hi_u64, NULL},
    {"mul.hi.s64 %o0, %i0, %i1;", "dd", "d", mul_hi_s64, NULL},
    {"mul.wide.u16 %o0, %i0, %i1;", "hh", "r", mul_lo, NULL},
    {"mul.wide.s16 %o0, %i0, %i1;", "hh", "r", mul_wide_s16, NULL},
    {"mul.wide.u32 %o0, %i0, %i1;", "rr", "d", mul_lo, NULL},
    {"mul.wide.s32 %o0, %i0, %i1;", "rr", "d", mul_wide_s32, NULL},
    {"mad.lo.s16 %o0, %i0, %i1, %i2;", "hhh", "h", mad_lo, NULL},
    {"mad.lo.u32 %o0, %i0, %i1, %i2;", "rrr", "r", mad_lo, NULL},
    {"mad.lo.s64 %o0, %i0, %i1, %i2;", "ddd", "d", mad_lo, NULL},
    {"mad.hi.u16 %o0, %i0, %i1, %i2;", "hhh", "h", mad_hi_u16, NULL},
    {"mad.hi.s32 %o0, %i0, %i1, %i2;", "rrr", "r", mad_hi_s32, NULL},
    {"mad.hi.u64 %o0, %i0, %i1, %i2;", "ddd", "d", mad_hi_u64, NULL},
    {"mad.hi.s64 %o0, %i0, %i1, %i2;", "ddd", "d", mad_hi_s64, NULL},
    {"mad.hi.sat.s32 %o0, %i0, %i1, %i2;", "rrr", "r", mad_hi_sat, NULL},
    {"mad.wide.u16 %o0, %i0, %i1, %i2;", "hhr", "r", mad_lo, NULL},
    {"mad.wide.s16 %o0, %i0, %i1, %i2;", "hhr", "r", mad_wide_s16, NULL},
    {"mad.wide.u32 %o0, %i0, %i1, %i2;", "rrd", "d", mad_lo, NULL},
    {"mad.wide.s32 %o0, %i0, %i1, %i2;", "rrd", "d", mad_wide_s32, NULL},
    {"mul24.lo.u32 %o0, %i0, %i1;", "rr", "r", mul24_lo_u, NULL},
    {"mul24.hi.u32 %o0, %i0, %i1;", "rr", "r", mul24_hi_u, NULL},
    {"mul24.lo.s32 %o0, %i0, %i1;", "rr", "r", mul24_lo_s, NULL},
    {"mul24.hi.s32 %o0, %i0, %i1;", "rr", "r", mul24_hi_s, NULL},
    {"mad24.lo.s32 %o0, %i0, %i1, %i2;", "rrr", "r", mad24_lo_s, NULL},
    {"mad24.hi.u32 %o0, %i0, %i1, %i2;", "rrr", "r", mad24_hi_u, NULL},
    {"mad24.hi.sat.s32 %o0, %i0, %i1, %i2;", "rrr", "r", mad24_hi_sat, NULL},
};

// --- Extended precision -----------------------------------------------------

REFERENCE(carry_64_low, a + b)
// The second 64 bits of (c:a) + (d:b).
REFERENCE(carry_64_high,
          (((uint128)c << 64 | a) + ((uint128)d << 64 | b)) >> 64)
REFERENCE(borrow_64_high,
          (((uint128)c << 64 | a) - ((uint128)d << 64 | b)) >> 64)
REFERENCE(sub_64, a - b)
// a * b + (c:d), by halves: 32 x 32 + 64.
REFERENCE(mad_carry_low, a *b + d)
REFERENCE(mad_carry_high, (uint32_t)((a * b + (c << 32 | d)) >> 32))
REFERENCE(mad_carry_high_s,
          (uint32_t)((s32(a) * (int128)s32(b) + (int128)(c << 32 | d)) >> 32))
REFERENCE(carry_out, (a + b) >> 32)
REFERENCE(no_borrow, a >= b)
REFERENCE(sub_after_add, (uint32_t)(a - b - 1 + ((a + b) >> 32)))

static const lane_case carries[] = {
    {"add.cc.u64 %o0, %i0, %i1; addc.u64 %o1, %i2, %i3;", "dddd", "dd",
     carry_64_low, carry_64_high},
    {"add.cc.s64 %o0, %i0, %i1; addc.cc.s64 %o1, %i2, %i3;", "dddd", "dd",
     carry_64_low, carry_64_high},
    {"sub.cc.u64 %o0, %i0, %i1; subc.u64 %o1, %i2, %i3;", "dddd", "dd", sub_64,
     borrow_64_high},
    {".reg .b32 %t; add.cc.u32 %t, %i0, %i1; addc.u32 %o0, 0, 0;", "rr", "r",
     carry_out, NULL},
    // The flag goes on through a second subtraction; it is set where there was
    // no borrow (ptxas' code for sm_90; nvcc's 128-bit division needs it).
    {".reg .b32 %t; sub.cc.u32 %t, %i0, %i1; subc.cc.u32 %t, 0, 0;"
     "addc.u32 %o0, 0, 0;",
     "rr", "r", no_borrow, NULL},
    {".reg .b32 %t; add.cc.u32 %t, %i0, %i1; subc.u32 %o0, %i0, %i1;", "rr",
     "r", sub_after_add, NULL},
    {"mad.lo.cc.u32 %o0, %i0, %i1, %i3; madc.hi.u32 %o1, %i0, %i1, %i2;",
     "rrrr", "rr", mad_carry_low, mad_carry_high},
    {"mad.lo.cc.s32 %o0, %i0, %i1, %i3; madc.hi.cc.s32 %o1, %i0, %i1, %i2;",
     "rrrr", "rr", mad_carry_low, mad_carry_high_s},
};

// --- Quotients, differences, extremes ---------------------------------------

REFERENCE(div_u, b == 0 ? UINT64_MAX : a / b)
REFERENCE(rem_u, b == 0 ? UINT64_MAX : a % b)
REFERENCE(div_s16, b == 0 ? -1 : s16(a) / s16(b))
REFERENCE(rem_s16, b == 0 ? -1 : s16(a) % s16(b))
REFERENCE(div_s32, b == 0 ? -1 : s32(a) / s32(b))
REFERENCE(rem_s32, b == 0 ? -1 : s32(a) % s32(b))
REFERENCE(div_s64, b == 0 ? -1 : s64(a) / s64(b))
REFERENCE(rem_s64, b == 0 ? -1 : s64(a) % s64(b))
REFERENCE(sad_u, c + (a < b ? b - a : a - b))
REFERENCE(sad_s16,
          c + (uint64_t)(s16(a) < s16(b) ? s16(b) - s16(a) : s16(a) - s16(b)))
REFERENCE(sad_s32,
          c + (uint64_t)(s32(a) < s32(b) ? s32(b) - s32(a) : s32(a) - s32(b)))
REFERENCE(sad_s64,
          c + (uint64_t)(s64(a) < s64(b) ? s64(b) - s64(a) : s64(a) - s64(b)))
REFERENCE(abs_s16, s16(a) < 0 ? -s16(a) : s16(a))
REFERENCE(abs_s32, s32(a) < 0 ? -s32(a) : s32(a))
REFERENCE(abs_s64, s64(a) < 0 ? -s64(a) : s64(a))
REFERENCE(neg, 0 - a)
REFERENCE(min_u, a < b ? a : b)
REFERENCE(max_u, a > b ? a : b)
REFERENCE(min_s16, s16(a) < s16(b) ? a : b)
REFERENCE(max_s32, s32(a) > s32(b) ? a : b)
REFERENCE(min_s64, s64(a) < s64(b) ? a : b)
REFERENCE(max_s64, s64(a) > s64(b) ? a : b)
REFERENCE(min_relu, s32(a) < 0 || s32(b) < 0 ? 0 : s32(a) < s32(b) ? a : b)
REFERENCE(max_relu, s32(a) < 0 && s32(b) < 0 ? 0 : s32(a) > s32(b) ? a : b)

static uint64_t halves(uint64_t low, uint64_t high) {
  return (low & 0xffff) | (high & 0xffff) << 16;
}
static uint64_t relu16(int64_t v) {
  return v < 0 ? 0 : (uint64_t)v;
}
static int64_t less16(uint64_t a, uint64_t b) {
  return s16(a) < s16(b) ? s16(a) : s16(b);
}
static int64_t more16(uint64_t a, uint64_t b) {
  return s16(a) > s16(b) ? s16(a) : s16(b);
}
REFERENCE(min_u16x2, halves((a & 0xffff) < (b & 0xffff) ? a : b,
                            a >> 16 < b >> 16 ? a >> 16 : b >> 16))
REFERENCE(max_u16x2, halves((a & 0xffff) > (b & 0xffff) ? a : b,
                            a >> 16 > b >> 16 ? a >> 16 : b >> 16))
REFERENCE(min_s16x2,
          halves((uint64_t)less16(a, b), (uint64_t)less16(a >> 16, b >> 16)))
REFERENCE(max_s16x2,
          halves((uint64_t)more16(a, b), (uint64_t)more16(a >> 16, b >> 16)))
REFERENCE(min_relu_x2,
          halves(relu16(less16(a, b)), relu16(less16(a >> 16, b >> 16))))
REFERENCE(max_relu_x2,
          halves(relu16(more16(a, b)), relu16(more16(a >> 16, b >> 16))))

static const lane_case quotients[] = {
    {"div.u16 %o0, %i0, %i1;", "hh", "h", div_u, NULL},
    {"div.s16 %o0, %i0, %i1;", "hh", "h", div_s16, NULL},
    {"div.u32 %o0, %i0, %i1;", "rr", "r", div_u, NULL},
    {"div.s32 %o0, %i0, %i1;", "rr", "r", div_s32, NULL},
    {"div.u64 %o0, %i0, %i1;", "dd", "d", div_u, NULL},
    {"div.s64 %o0, %i0, %i1;", "dd", "d", div_s64, NULL},
    {"rem.u16 %o0, %i0, %i1;", "hh", "h", rem_u, NULL},
    {"rem.s16 %o0, %i0, %i1;", "hh", "h", rem_s16, NULL},
    {"rem.u32 %o0, %i0, %i1;", "rr", "r", rem_u, NULL},
    {"rem.s32 %o0, %i0, %i1;", "rr", "r", rem_s32, NULL},
    {"rem.u64 %o0, %i0, %i1;", "dd", "d", rem_u, NULL},
    {"rem.s64 %o0, %i0, %i1;", "dd", "d", rem_s64, NULL},
    {"sad.u16 %o0, %i0, %i1, %i2;", "hhh", "h", sad_u, NULL},
    {"sad.s16 %o0, %i0, %i1, %i2;", "hhh", "h", sad_s16, NULL},
    {"sad.u32 %o0, %i0, %i1, %i2;", "rrr", "r", sad_u, NULL},
    {"sad.s32 %o0, %i0, %i1, %i2;", "rrr", "r", sad_s32, NULL},
    {"sad.u64 %o0, %i0, %i1, %i2;", "ddd", "d", sad_u, NULL},
    {"sad.s64 %o0, %i0, %i1, %i2;", "ddd", "d", sad_s64, NULL},
    {"abs.s16 %o0, %i0;", "h", "h", abs_s16, NULL},
    {"abs.s32 %o0, %i0;", "r", "r", abs_s32, NULL},
    {"abs.s64 %o0, %i0;", "d", "d", abs_s64, NULL},
    {"neg.s16 %o0, %i0;", "h", "h", neg, NULL},
    {"neg.s32 %o0, %i0;", "r", "r", neg, NULL},
    {"neg.s64 %o0, %i0;", "d", "d", neg, NULL},
    {"min.u16 %o0, %i0, %i1;", "hh", "h", min_u, NULL},
    {"min.s16 %o0, %i0, %i1;", "hh", "h", min_s16, NULL},
    {"max.u32 %o0, %i0, %i1;", "rr", "r", max_u, NULL},
    {"max.s32 %o0, %i0, %i1;", "rr", "r", max_s32, NULL},
    {"min.u64 %o0, %i0, %i1;", "dd", "d", min_u, NULL},
    {"min.s64 %o0, %i0, %i1;", "dd", "d", min_s64, NULL},
    {"max.u64 %o0, %i0, %i1;", "dd", "d", max_u, NULL},
    {"max.s64 %o0, %i0, %i1;", "dd", "d", max_s64, NULL},
    {"min.relu.s32 %o0, %i0, %i1;", "rr", "r", min_relu, NULL},
    {"max.relu.s32 %o0, %i0, %i1;", "rr", "r", max_relu, NULL},
    {"min.u16x2 %o0, %i0, %i1;", "rr", "r", min_u16x2, NULL},
    {"max.u16x2 %o0, %i0, %i1;", "rr", "r", max_u16x2, NULL},
    {"min.s16x2 %o0, %i0, %i1;", "rr", "r", min_s16x2, NULL},
    {"max.s16x2 %o0, %i0, %i1;", "rr", "r", max_s16x2, NULL},
    {"min.relu.s16x2 %o0, %i0, %i1;", "rr", "r", min_relu_x2, NULL},
    {"max.relu.s16x2 %o0, %i0, %i1;", "rr", "r", max_relu_x2, NULL},
};

// --- Bits -------------------------------------------------------------------

static uint64_t count(uint64_t v) {
  uint64_t n = 0;
  for (; v != 0; v >>= 1) n += v & 1;
  return n;
}
static uint64_t zeros_above(uint64_t v, uint32_t bits) {
  uint64_t n = 0;
  while (n < bits && (v >> (bits - 1 - n) & 1) == 0) ++n;
  return n;
}
static uint64_t reversed(uint64_t v, uint32_t bits) {
  uint64_t r = 0;
  for (uint32_t i = 0; i < bits; ++i) r |= (v >> i & 1) << (bits - 1 - i);
  return r;
}
static uint64_t find_high(uint64_t v, uint32_t bits, bool is_signed,
                          bool shift) {
  if (is_signed && (v >> (bits - 1) & 1) != 0) v = ~v;
  for (uint32_t i = bits; i-- > 0;) {
    if ((v >> i & 1) != 0) return shift ? bits - 1 - i : i;
  }
  return UINT64_MAX;
}
static uint64_t nth_set(uint32_t mask, uint32_t base, int32_t offset) {
  if (base > 31) return UINT64_MAX;
  if (offset == 0) return (mask >> base & 1) != 0 ? base : UINT64_MAX;
  int64_t position = base;
  int64_t left = (offset > 0 ? (int64_t)offset : -(int64_t)offset) - 1;
  while (position >= 0 && position < 32) {
    if ((mask >> position & 1) != 0 && left-- == 0) return (uint64_t)position;
    position += offset > 0 ? 1 : -1;
  }
  return UINT64_MAX;
}
// 9.7.1.19's pseudo-code.
static uint64_t field(uint64_t a, uint64_t b, uint64_t c, uint32_t bits,
                      bool is_signed) {
  uint64_t result = 0, position = b & 0xff, length = c & 0xff;
  uint64_t last = position + length - 1;
  if (last > bits - 1 || length == 0) last = bits - 1;
  uint64_t sign = is_signed && length > 0 ? a >> last & 1 : 0;
  for (uint64_t i = 0; i < bits; ++i) {
    bool inside = i < length && position + i < bits;
    result |= (inside ? a >> (position + i) & 1 : sign) << i;
  }
  return result;
}
static uint64_t insert(uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                       uint32_t bits) {
  uint64_t position = c & 0xff, length = d & 0xff;
  for (uint64_t i = 0; i < length && position + i < bits; ++i) {
    b &= ~(UINT64_C(1) << (position + i));
    b |= (a >> i & 1) << (position + i);
  }
  return b;
}
// Bits from |a| on, |b| of them.
static uint64_t mask_bits(uint64_t a, uint64_t b, bool clamp_counts) {
  uint64_t result = 0;
  if (!clamp_counts) a &= 31, b &= 31;
  for (uint64_t i = a; i < 32 && i - a < b; ++i) result |= UINT64_C(1) << i;
  return result;
}
static uint64_t extended(uint64_t a, uint64_t b, bool is_signed,
                         bool clamp_counts) {
  if (!clamp_counts) b &= 31;
  if (b > 31) return a;
  if (b == 0) return 0;
  uint64_t low = a & ((UINT64_C(1) << b) - 1);
  return is_signed && (a >> (b - 1) & 1) != 0 ? low - (UINT64_C(1) << b) : low;
}
static int64_t part(uint64_t v, uint32_t index, uint32_t bits, bool is_signed) {
  uint64_t low = v >> (index * bits) & ((UINT64_C(1) << bits) - 1);
  bool negative = is_signed && (low >> (bits - 1)) != 0;
  return (int64_t)low - (negative ? (int64_t)1 << bits : 0);
}
static uint64_t dot(uint64_t a, uint64_t b, uint64_t c, uint32_t parts,
                    uint32_t first, bool signed_a, bool signed_b) {
  int64_t sum = (int64_t)c;
  for (uint32_t i = 0; i < parts; ++i) {
    sum += part(a, i, 32 / parts, signed_a) * part(b, first + i, 8, signed_b);
  }
  return (uint64_t)sum;
}

REFERENCE(popc, count(a))
REFERENCE(clz_32, zeros_above(a, 32))
REFERENCE(clz_64, zeros_above(a, 64))
REFERENCE(brev_32, reversed(a, 32))
REFERENCE(brev_64, reversed(a, 64))
REFERENCE(bfind_u32, find_high(a, 32, false, false))
REFERENCE(bfind_s32, find_high(a, 32, true, false))
REFERENCE(bfind_u64, find_high(a, 64, false, false))
REFERENCE(bfind_s64, find_high(a, 64, true, false))
REFERENCE(bfind_shift_u32, find_high(a, 32, false, true))
REFERENCE(bfind_shift_s64, find_high(a, 64, true, true))
REFERENCE(fns, nth_set((uint32_t)a, (uint32_t)b, (int32_t)(uint32_t)c))
REFERENCE(fns_up, nth_set((uint32_t)a, (uint32_t)b, 3))
REFERENCE(fns_down, nth_set((uint32_t)a, (uint32_t)b, -2))
REFERENCE(bfe_u32, field(a, b, c, 32, false))
REFERENCE(bfe_s32, field(a, b, c, 32, true))
REFERENCE(bfe_u64, field(a, b, c, 64, false))
REFERENCE(bfe_s64, field(a, b, c, 64, true))
REFERENCE(bfi_32, insert(a, b, c, d, 32))
REFERENCE(bfi_64, insert(a, b, c, d, 64))
REFERENCE(bmsk_wrap, mask_bits(a, b, false))
REFERENCE(bmsk_clamp, mask_bits(a, b, true))
REFERENCE(szext_wrap_u, extended(a, b, false, false))
REFERENCE(szext_wrap_s, extended(a, b, true, false))
REFERENCE(szext_clamp_u, extended(a, b, false, true))
REFERENCE(szext_clamp_s, extended(a, b, true, true))
static uint64_t byte_differences(uint64_t a, uint64_t b, uint64_t c, bool add) {
  uint64_t out = add ? c : 0;
  for (int i = 0; i < 4; ++i) {
    int x = (int)(a >> 8 * i & 255), y = (int)(b >> 8 * i & 255);
    uint64_t one = (uint64_t)(x > y ? x - y : y - x);
    out += add ? one : one << 8 * i;
  }
  return out;
}
REFERENCE(vabsdiff4, byte_differences(a, b, c, false))
REFERENCE(vabsdiff4_add, byte_differences(a, b, c, true))
REFERENCE(dp4a_uu, dot(a, b, c, 4, 0, false, false))
REFERENCE(dp4a_us, dot(a, b, c, 4, 0, false, true))
REFERENCE(dp4a_su, dot(a, b, c, 4, 0, true, false))
REFERENCE(dp4a_ss, dot(a, b, c, 4, 0, true, true))
REFERENCE(dp2a_lo_uu, dot(a, b, c, 2, 0, false, false))
REFERENCE(dp2a_lo_ss, dot(a, b, c, 2, 0, true, true))
REFERENCE(dp2a_hi_su, dot(a, b, c, 2, 2, true, false))
REFERENCE(dp2a_hi_us, dot(a, b, c, 2, 2, false, true))

static const lane_case bits[] = {
    {"popc.b32 %o0, %i0;", "r", "r", popc, NULL},
    {"popc.b64 %o0, %i0;", "d", "r", popc, NULL},
    {"clz.b32 %o0, %i0;", "r", "r", clz_32, NULL},
    {"clz.b64 %o0, %i0;", "d", "r", clz_64, NULL},
    {"brev.b32 %o0, %i0;", "r", "r", brev_32, NULL},
    {"brev.b64 %o0, %i0;", "d", "d", brev_64, NULL},
    {"bfind.u32 %o0, %i0;", "r", "r", bfind_u32, NULL},
    {"bfind.s32 %o0, %i0;", "r", "r", bfind_s32, NULL},
    {"bfind.u64 %o0, %i0;", "d", "r", bfind_u64, NULL},
    {"bfind.s64 %o0, %i0;", "d", "r", bfind_s64, NULL},
    {"bfind.shiftamt.u32 %o0, %i0;", "r", "r", bfind_shift_u32, NULL},
    {"bfind.shiftamt.s64 %o0, %i0;", "d", "r", bfind_shift_s64, NULL},
    {"fns.b32 %o0, %i0, %i1, %i2;", "rrr", "r", fns, NULL},
    {"fns.b32 %o0, %i0, %i1, 3;", "rr", "r", fns_up, NULL},
    {"fns.b32 %o0, %i0, %i1, -2;", "rr", "r", fns_down, NULL},
    {"bfe.u32 %o0, %i0, %i1, %i2;", "rrr", "r", bfe_u32, NULL},
    {"bfe.s32 %o0, %i0, %i1, %i2;", "rrr", "r", bfe_s32, NULL},
    {"bfe.u64 %o0, %i0, %i1, %i2;", "drr", "d", bfe_u64, NULL},
    {"bfe.s64 %o0, %i0, %i1, %i2;", "drr", "d", bfe_s64, NULL},
    {"bfi.b32 %o0, %i0, %i1, %i2, %i3;", "rrrr", "r", bfi_32, NULL},
    {"bfi.b64 %o0, %i0, %i1, %i2, %i3;", "ddrr", "d", bfi_64, NULL},
    {"bmsk.wrap.b32 %o0, %i0, %i1;", "rr", "r", bmsk_wrap, NULL},
    {"bmsk.clamp.b32 %o0, %i0, %i1;", "rr", "r", bmsk_clamp, NULL},
    {"szext.wrap.u32 %o0, %i0, %i1;", "rr", "r", szext_wrap_u, NULL},
    {"szext.wrap.s32 %o0, %i0, %i1;", "rr", "r", szext_wrap_s, NULL},
    {"szext.clamp.u32 %o0, %i0, %i1;", "rr", "r", szext_clamp_u, NULL},
    {"szext.clamp.s32 %o0, %i0, %i1;", "rr", "r", szext_clamp_s, NULL},
    {"vabsdiff4.u32.u32.u32 %o0, %i0, %i1, %i2;", "rrr", "r", vabsdiff4, NULL},
    {"vabsdiff4.u32.u32.u32.add %o0, %i0, %i1, %i2;", "rrr", "r", vabsdiff4_add,
     NULL},
    {"dp4a.u32.u32 %o0, %i0, %i1, %i2;", "rrr", "r", dp4a_uu, NULL},
    {"dp4a.u32.s32 %o0, %i0, %i1, %i2;", "rrr", "r", dp4a_us, NULL},
    {"dp4a.s32.u32 %o0, %i0, %i1, %i2;", "rrr", "r", dp4a_su, NULL},
    {"dp4a.s32.s32 %o0, %i0, %i1, %i2;", "rrr", "r", dp4a_ss, NULL},
    {"dp2a.lo.u32.u32 %o0, %i0, %i1, %i2;", "rrr", "r", dp2a_lo_uu, NULL},
    {"dp2a.lo.s32.s32 %o0, %i0, %i1, %i2;", "rrr", "r", dp2a_lo_ss, NULL},
    {"dp2a.hi.s32.u32 %o0, %i0, %i1, %i2;", "rrr", "r", dp2a_hi_su, NULL},
    {"dp2a.hi.u32.s32 %o0, %i0, %i1, %i2;", "rrr", "r", dp2a_hi_us, NULL},
};

// --- Guards and mistakes ----------------------------------------------------

// Lanes that the guard leaves out keep what they have, in every width.
REFERENCE(guarded, (a & 1) != 0 ? a + b : b)
REFERENCE(guarded_not, (a & 1) == 0 ? a + b : b)

static const lane_case guards[] = {
    {".reg .pred %p; .reg .b32 %t; and.b32 %t, %i0, 1; setp.ne.u32 %p, %t, 0;"
     "mov.b32 %o0, %i1; @%p add.u32 %o0, %i0, %i1;",
     "rr", "r", guarded, NULL},
    {".reg .pred %p; .reg .b64 %t; and.b64 %t, %i0, 1; setp.ne.u64 %p, %t, 0;"
     "mov.b64 %o0, %i1; @!%p add.u64 %o0, %i0, %i1;",
     "dd", "d", guarded_not, NULL},
};

static const refused_case refused[] = {
    {"add.s32 %r1, %r2, 5;", NULL},
    {"add.sat.u32 %r1, %r2, %r3;",
     "ptx(7,1): error: '.sat' needs type '.s32'\n"},
    {"add.u8 %b1, %b2, %b3;",
     "ptx(7,1): error: no form of 'add' for type '.u8'\n"},
    {"add.cc.u16 %h1, %h2, %h3;",
     "ptx(7,1): error: no form of 'add' for type '.u16'\n"},
    {"add.s32 %r1, %r2;", "ptx(7,1): error: 'add' takes 3 operands, not 2\n"},
    {"add.s32 %r1, %d2, %r3;",
     "ptx(7,14): error: '%d2' is .b64 where .s32 is expected\n"},
    {"add.s32.s32 %r1, %r2, %r3;",
     "ptx(7,8): error: modifier '.s32' is not allowed for 'add'\n"},
    {"add.lo.s32 %r1, %r2, %r3;",
     "ptx(7,4): error: modifier '.lo' is not allowed for 'add'\n"},
    {"mul.u32 %r1, %r2, %r3;",
     "ptx(7,1): error: '.lo', '.hi' or '.wide' expected\n"},
    {"mul.wide.u64 %d1, %d2, %d3;",
     "ptx(7,1): error: no form of 'mul' for type '.u64'\n"},
    {"mul.wide.u32 %r1, %r2, %r3;",
     "ptx(7,14): error: '%r1' is .b32 where .u64 is expected\n"},
    {"mad.lo.sat.s32 %r1, %r2, %r3, %r4;",
     "ptx(7,7): error: modifier '.sat' is not allowed for 'mad'\n"},
    {"neg.u32 %r1, %r2;",
     "ptx(7,1): error: no form of 'neg' for type '.u32'\n"},
    {"abs.u64 %d1, %d2;",
     "ptx(7,1): error: no form of 'abs' for type '.u64'\n"},
    {"min.relu.u32 %r1, %r2, %r3;",
     "ptx(7,1): error: no '.relu' for type '.u32'\n"},
    {"sub.u16x2 %r1, %r2, %r3;",
     "ptx(7,1): error: no form of 'sub' for type '.u16x2'\n"},
    {"popc.u32 %r1, %r2;",
     "ptx(7,1): error: no form of 'popc' for type '.u32'\n"},
    {"popc.b32 %d1, %r2;",
     "ptx(7,10): error: '%d1' is .b64 where .u32 is expected\n"},
    {"bfe.b32 %r1, %r2, 1, 2;",
     "ptx(7,1): error: no form of 'bfe' for type '.b32'\n"},
    {"bmsk.b32 %r1, %r2, %r3;",
     "ptx(7,1): error: '.wrap' or '.clamp' expected\n"},
    {"vabsdiff4.u32.s32.s32 %r1, %r2, %r3, %r4;",
     "ptx(7,1): error: no form of 'vabsdiff4' for type '.s32'\n"},
    {"dp4a.u32 %r1, %r2, %r3, %r4;", "ptx(7,1): error: type expected\n"},
    {"add.u33 %r1, %r2, %r3;",
     "ptx(7,1): error: type expected, found '.u33'\n"},
    {"dp2a.u32.u32 %r1, %r2, %r3, %r4;",
     "ptx(7,1): error: '.lo' or '.hi' expected\n"},
    {"add.s32 _, %r2, %r3;", "ptx(7,9): error: '_' is not allowed here\n"},
    {"add.s32 %r1, %r2, %nope;", "ptx(7,19): error: unknown symbol '%nope'\n"},
};

#define RUN(e, cases) case_run_all(e, cases, sizeof(cases) / sizeof(cases[0]))

int main(void) {
  emu e;
  emu_init(&e, "h100");
  RUN(&e, sums);
  RUN(&e, carries);
  RUN(&e, quotients);
  RUN(&e, bits);
  RUN(&e, guards);
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
    case_refused(&e, &refused[i]);
  }
  emu_fini(&e);
  return test_finish();
}
