// SPDX-License-Identifier: Apache-2.0
// Sums without error, for the exact accumulation model, and the one rounding
// that ends them. Most sums never come here: tile.c adds in double where it can
// prove that nothing is lost.
#include <math.h>

#include "base/float16.h"
#include "tensor/tile.h"

static uint64_t double_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

double tsr_value_f32(uint32_t bits) {
  return tsr_float_from_bits(bits);
}

double tsr_value_f16(uint32_t bits) {
  uint64_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  double value;
  if (exponent == 31) {
    value = fraction != 0 ? (double)NAN : (double)INFINITY;
  } else if (exponent == 0) {
    value = (double)fraction * 0x1p-24;
  } else {
    uint64_t wide = (exponent + 1023 - 15) << 52 | fraction << 42;
    memcpy(&value, &wide, sizeof(value));
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

uint32_t tsr_round_f32(double value) {
  if (value != value) return 0x7fffffff;
  float rounded = (float)value;
  uint32_t bits;
  memcpy(&bits, &rounded, sizeof(bits));
  return bits;
}

uint32_t tsr_round_f16(double value) {
  if (value != value) return 0x7fff;
  uint32_t sign = signbit(value) ? 0x8000 : 0;
  double size = fabs(value);
  if (size >= 65520.0) return sign | 0x7c00;
  // Below 2^-14 the step is 2^-24; rint rounds to nearest even.
  if (size < 0x1p-14) return sign | (uint32_t)rint(size * 0x1p24);
  uint64_t bits = double_bits(size) - ((uint64_t)(1023 - 15) << 52);
  bits += (UINT64_C(1) << 41) - 1 + (bits >> 42 & 1);
  return sign | (uint32_t)(bits >> 42);
}

double tsr_element_value(tsr_element type, uint32_t bits) {
  double value;
  switch (type) {
    case TSR_ELEMENT_F16:
      return tsr_value_f16(bits);
    case TSR_ELEMENT_BF16:
      return tsr_value_f32(bits << 16);
    case TSR_ELEMENT_TF32:  // the low 13 bits are not looked at
      return tsr_value_f32(bits & 0xffffe000u);
    case TSR_ELEMENT_E5M2:  // f16 with fewer bits
      return tsr_value_f16(bits << 8);
    case TSR_ELEMENT_E4M3:  // no infinities; one NaN per sign
      if ((bits & 0x7f) == 0x7f) return (double)NAN;
      value = (double)tsr_float_from_bits((bits & 0x7f) << 20) * 0x1p120;
      return (bits & 0x80) != 0 ? -value : value;
    case TSR_ELEMENT_S8:
      return (int8_t)bits;
    case TSR_ELEMENT_U8:
      return bits;
  }
  return 0;
}

// --- Sums -------------------------------------------------------------------

// A two's complement number in limbs of 32 bits, each in an int64_t so that
// carries can wait. Bit 0 has the weight 2^-LOWEST.
enum { LIMBS = 20, LOWEST = 352 };

static void limbs_add(int64_t limbs[LIMBS], double term) {
  uint64_t bits = double_bits(term);
  uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
  int exponent = (int)(bits >> 52 & 2047);
  if (exponent == 0) return;  // zero: products are never subnormal
  fraction |= UINT64_C(1) << 52;
  uint32_t place = (uint32_t)(exponent - 1023 - 52 + LOWEST);
  uint32_t limb = place / 32, shift = place % 32;
  uint64_t low = (fraction & 0xffffffffu) << shift;
  uint64_t high = (fraction >> 32) << shift;
  int64_t part[3] = {(int64_t)(low & 0xffffffffu),
                     (int64_t)((low >> 32) + (high & 0xffffffffu)),
                     (int64_t)(high >> 32)};
  for (uint32_t i = 0; i < 3; ++i) {
    limbs[limb + i] += (bits >> 63) != 0 ? -part[i] : part[i];
  }
}

// Makes every limb 0..2^32-1 but for the last, which keeps the sign.
static void limbs_carry(int64_t limbs[LIMBS]) {
  for (uint32_t i = 0; i + 1 < LIMBS; ++i) {
    int64_t low = limbs[i] & 0xffffffff;
    limbs[i + 1] += (limbs[i] - low) / (INT64_C(1) << 32);
    limbs[i] = low;
  }
}

// The value, cut to 53 bits; the last bit is set when anything was cut.
static double limbs_to_odd(int64_t limbs[LIMBS]) {
  limbs_carry(limbs);
  bool negative = limbs[LIMBS - 1] < 0;
  if (negative) {
    for (uint32_t i = 0; i < LIMBS; ++i) limbs[i] = -limbs[i];
    limbs_carry(limbs);
  }
  uint32_t top = LIMBS - 1;
  while (top > 0 && limbs[top] == 0) --top;
  uint64_t word = (uint64_t)limbs[top] << 32;
  if (top > 0) word |= (uint64_t)limbs[top - 1];
  if (word == 0) return 0.0;  // x - x is +0
  uint32_t shift = (uint32_t)__builtin_clzll(word);
  word <<= shift;
  bool cut = false;
  if (top > 1) {
    uint64_t next = (uint64_t)limbs[top - 2];  // shift < 32: top is not zero
    word |= next << shift >> 32;
    cut = (next << shift & 0xffffffffu) != 0;
    for (uint32_t i = 0; i + 2 < top; ++i) cut = cut || limbs[i] != 0;
  }
  cut = cut || (word & 0x7ff) != 0;
  uint64_t odd = word >> 11 | (cut ? 1 : 0);
  int weight = (int)(32 * top) - 32 - LOWEST - (int)shift + 11;
  double value = ldexp((double)odd, weight);
  return negative ? -value : value;
}

// NaN, an infinity, or 0 when all terms are finite.
static double sum_special(const double *terms, uint32_t count) {
  bool plus = false, minus = false;
  for (uint32_t i = 0; i < count; ++i) {
    if (terms[i] != terms[i]) return terms[i];
    plus = plus || terms[i] == (double)INFINITY;
    minus = minus || terms[i] == -(double)INFINITY;
  }
  if (plus && minus) return (double)NAN;
  if (!plus && !minus) return 0;
  return plus ? (double)INFINITY : -(double)INFINITY;
}

double tsr_sum_exact(const double *terms, uint32_t count) {
  // Knuth's two-sum: |lost| stays 0 as long as double addition is exact.
  double sum = terms[0], lost = 0;
  for (uint32_t i = 1; i < count; ++i) {
    double next = sum + terms[i];
    double part = next - sum;
    lost += fabs((sum - (next - part)) + (terms[i] - part));
    sum = next;
  }
  if (lost == 0 && isfinite(sum)) return sum;
  double special = sum_special(terms, count);
  if (special != 0) return special;
  int64_t limbs[LIMBS] = {0};
  for (uint32_t i = 0; i < count; ++i) limbs_add(limbs, terms[i]);
  return limbs_to_odd(limbs);
}
