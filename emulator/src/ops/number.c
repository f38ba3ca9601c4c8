// SPDX-License-Identifier: Apache-2.0
#include "ops/number.h"

typedef struct format_shape {
  uint8_t exponent_bits, mantissa_bits;
  uint8_t shift;  // of the encoding within its word
  bool no_infinity;
  uint64_t nan;
} format_shape;

static const format_shape shapes[] = {
    [TSR_FORMAT_F16] = {5, 10, 0, false, TSR_NAN_F16},
    [TSR_FORMAT_BF16] = {8, 7, 0, false, TSR_NAN_F16},
    [TSR_FORMAT_TF32] = {8, 10, 13, false, TSR_NAN_F32},
    [TSR_FORMAT_F32] = {8, 23, 0, false, TSR_NAN_F32},
    [TSR_FORMAT_F64] = {11, 52, 0, false, TSR_NAN_F64},
    [TSR_FORMAT_E4M3] = {4, 3, 0, true, 0x7f},
    [TSR_FORMAT_E5M2] = {5, 2, 0, false, 0x7f},
};

static tsr_number special(tsr_number_kind kind, bool negative) {
  tsr_number number = {kind, negative, 0, 0};
  return number;
}

static int top_bit(tsr_uint128 value) {  // of a value that is not 0
  uint64_t high = (uint64_t)(value >> 64);
  if (high != 0) return 127 - __builtin_clzll(high);
  return 63 - __builtin_clzll((uint64_t)value);
}

tsr_number tsr_number_unpack(uint64_t bits, tsr_format format) {
  const format_shape *shape = &shapes[format];
  bits >>= shape->shift;
  uint64_t fraction = bits & ((UINT64_C(1) << shape->mantissa_bits) - 1);
  uint32_t most = (1u << shape->exponent_bits) - 1;
  uint32_t exponent = (uint32_t)(bits >> shape->mantissa_bits) & most;
  bool negative =
      (bits >> (shape->mantissa_bits + shape->exponent_bits) & 1) != 0;
  if (shape->no_infinity) {
    if (exponent == most && fraction == 7) {
      return special(TSR_NUMBER_NAN, negative);
    }
  } else if (exponent == most) {
    return special(fraction != 0 ? TSR_NUMBER_NAN : TSR_NUMBER_INFINITE,
                   negative);
  }
  if (exponent == 0 && fraction == 0) return special(TSR_NUMBER_ZERO, negative);
  tsr_number number = {TSR_NUMBER_FINITE, negative, 0, fraction};
  if (exponent != 0) {
    number.mantissa |= UINT64_C(1) << shape->mantissa_bits;
  } else {
    exponent = 1;
  }
  number.exponent =
      (int32_t)exponent - (int32_t)(most >> 1) - shape->mantissa_bits;
  return number;
}

tsr_number tsr_number_from_integer(uint64_t magnitude, bool negative) {
  if (magnitude == 0) return special(TSR_NUMBER_ZERO, false);
  tsr_number number = {TSR_NUMBER_FINITE, negative, 0, magnitude};
  return number;
}

// |mantissa| / 2^|shift|, rounded to an integer.
static tsr_uint128 round_shift(tsr_uint128 mantissa, int shift, bool negative,
                               tsr_round round) {
  if (shift <= 0) return mantissa << -shift;
  tsr_uint128 kept = shift > 127 ? 0 : mantissa >> shift;
  tsr_uint128 rest = shift > 127 ? mantissa : mantissa - (kept << shift);
  if (rest == 0) return kept;
  bool up = false;
  switch (round) {
    case TSR_ROUND_ZERO:
      break;
    case TSR_ROUND_DOWN:
      up = negative;
      break;
    case TSR_ROUND_UP:
      up = !negative;
      break;
    case TSR_ROUND_EVEN:
    case TSR_ROUND_AWAY: {
      if (shift > 128) break;  // less than half
      tsr_uint128 half = (tsr_uint128)1 << (shift - 1);
      up = rest > half ||
           (rest == half && (round == TSR_ROUND_AWAY || (kept & 1) != 0));
      break;
    }
  }
  return kept + (up ? 1 : 0);
}

// What overflow becomes: infinity or the largest finite value (IEEE 754, 7.4).
static uint64_t overflow(const format_shape *shape, bool negative,
                         tsr_round round, bool satfinite) {
  uint64_t infinity = (uint64_t)((1u << shape->exponent_bits) - 1)
                      << shape->mantissa_bits;
  uint64_t largest = shape->no_infinity ? shape->nan - 1 : infinity - 1;
  if (satfinite || round == TSR_ROUND_ZERO ||
      round == (negative ? TSR_ROUND_UP : TSR_ROUND_DOWN)) {
    return largest;
  }
  return shape->no_infinity ? shape->nan : infinity;
}

static uint64_t pack_finite(const tsr_number *number, const format_shape *shape,
                            tsr_round round, bool satfinite) {
  int bias = (1 << (shape->exponent_bits - 1)) - 1;
  int exponent = number->exponent + top_bit(number->mantissa);
  if (exponent > bias + 1) {
    return overflow(shape, number->negative, round, satfinite);
  }
  if (exponent < 1 - bias) exponent = 1 - bias;
  int shift = exponent - shape->mantissa_bits - number->exponent;
  uint64_t kept =
      (uint64_t)round_shift(number->mantissa, shift, number->negative, round);
  // The hidden bit adds one to the exponent; a carry does so again.
  uint64_t bits =
      kept + ((uint64_t)(exponent + bias - 1) << shape->mantissa_bits);
  uint64_t first_bad = shape->no_infinity
                           ? shape->nan
                           : (uint64_t)((1u << shape->exponent_bits) - 1)
                                 << shape->mantissa_bits;
  if (bits >= first_bad) {
    return overflow(shape, number->negative, round, satfinite);
  }
  return bits;
}

uint64_t tsr_number_pack(tsr_number number, tsr_format format, tsr_round round,
                         bool satfinite) {
  const format_shape *shape = &shapes[format];
  uint64_t bits = 0;
  switch (number.kind) {
    case TSR_NUMBER_NAN:
      return shape->nan;
    case TSR_NUMBER_ZERO:
      break;
    case TSR_NUMBER_INFINITE:
      // Not an overflow: directed rounding keeps it.
      bits = overflow(shape, false, TSR_ROUND_EVEN, satfinite);
      break;
    case TSR_NUMBER_FINITE:
      bits = pack_finite(&number, shape, round, satfinite);
      break;
  }
  uint64_t sign = (uint64_t)number.negative
                  << (shape->exponent_bits + shape->mantissa_bits);
  return (bits | sign) << shape->shift;
}

tsr_number tsr_number_integral(tsr_number number, tsr_round round) {
  if (number.kind != TSR_NUMBER_FINITE || number.exponent >= 0) return number;
  number.mantissa =
      round_shift(number.mantissa, -number.exponent, number.negative, round);
  number.exponent = 0;
  if (number.mantissa == 0) number.kind = TSR_NUMBER_ZERO;
  return number;
}

uint64_t tsr_number_to_integer(tsr_number number, uint32_t bits, bool is_signed,
                               tsr_round round) {
  uint64_t most =
      is_signed ? UINT64_MAX >> (65 - bits) : UINT64_MAX >> (64 - bits);
  uint64_t least = is_signed ? most + 1 : 0;  // magnitude of the smallest
  uint64_t limit = number.negative ? least : most;
  uint64_t magnitude = limit;  // of infinities
  number = tsr_number_integral(number, round);
  switch (number.kind) {
    case TSR_NUMBER_NAN:
    case TSR_NUMBER_ZERO:
      return 0;
    case TSR_NUMBER_INFINITE:
      break;
    case TSR_NUMBER_FINITE:
      if (number.exponent + top_bit(number.mantissa) < 64) {
        uint64_t value = (uint64_t)(number.mantissa << number.exponent);
        if (value < limit) magnitude = value;
      }
      break;
  }
  return number.negative ? 0 - magnitude : magnitude;
}

// --- Arithmetic -------------------------------------------------------------

// Moves the mantissa's top bit to |place|; nothing is lost.
static void normalise(tsr_number *number, int place) {
  int shift = place - top_bit(number->mantissa);
  if (shift >= 0) {
    number->mantissa <<= shift;
  } else {
    number->mantissa >>= -shift;
  }
  number->exponent -= shift;
}

static tsr_number add_finite(tsr_number a, tsr_number b, tsr_round round) {
  enum { PLACE = 125 };
  normalise(&a, PLACE);
  normalise(&b, PLACE);
  if (a.exponent < b.exponent) {
    tsr_number swap = a;
    a = b;
    b = swap;
  }
  int64_t distance = (int64_t)a.exponent - b.exponent;
  if (distance > PLACE) {
    b.mantissa = 1;
  } else {
    tsr_uint128 kept = b.mantissa >> distance;
    b.mantissa = kept | ((kept << distance) != b.mantissa ? 1u : 0u);
  }
  if (a.negative == b.negative) {
    a.mantissa += b.mantissa;
    return a;
  }
  if (a.mantissa == b.mantissa) {
    return special(TSR_NUMBER_ZERO, round == TSR_ROUND_DOWN);
  }
  if (a.mantissa > b.mantissa) {
    a.mantissa -= b.mantissa;
  } else {  // only with equal exponents
    a.mantissa = b.mantissa - a.mantissa;
    a.negative = b.negative;
  }
  return a;
}

tsr_number tsr_number_add(tsr_number a, tsr_number b, tsr_round round) {
  if (a.kind == TSR_NUMBER_NAN || b.kind == TSR_NUMBER_NAN) {
    return special(TSR_NUMBER_NAN, false);
  }
  if (a.kind == TSR_NUMBER_INFINITE) {
    if (b.kind == TSR_NUMBER_INFINITE && a.negative != b.negative) {
      return special(TSR_NUMBER_NAN, false);
    }
    return a;
  }
  if (b.kind == TSR_NUMBER_INFINITE) return b;
  if (a.kind == TSR_NUMBER_ZERO && b.kind == TSR_NUMBER_ZERO) {
    if (a.negative != b.negative) a.negative = round == TSR_ROUND_DOWN;
    return a;
  }
  if (a.kind == TSR_NUMBER_ZERO) return b;
  if (b.kind == TSR_NUMBER_ZERO) return a;
  return add_finite(a, b, round);
}

tsr_number tsr_number_multiply(tsr_number a, tsr_number b) {
  bool negative = a.negative != b.negative;
  if (a.kind == TSR_NUMBER_NAN || b.kind == TSR_NUMBER_NAN) {
    return special(TSR_NUMBER_NAN, false);
  }
  bool zero = a.kind == TSR_NUMBER_ZERO || b.kind == TSR_NUMBER_ZERO;
  if (a.kind == TSR_NUMBER_INFINITE || b.kind == TSR_NUMBER_INFINITE) {
    return special(zero ? TSR_NUMBER_NAN : TSR_NUMBER_INFINITE, negative);
  }
  if (zero) return special(TSR_NUMBER_ZERO, negative);
  a.negative = negative;
  a.exponent += b.exponent;
  a.mantissa *= b.mantissa;  // at most 53 bits each
  return a;
}

tsr_number tsr_number_fma(tsr_number a, tsr_number b, tsr_number c,
                          tsr_round round) {
  return tsr_number_add(tsr_number_multiply(a, b), c, round);
}

tsr_number tsr_number_divide(tsr_number a, tsr_number b) {
  bool negative = a.negative != b.negative;
  if (a.kind == TSR_NUMBER_NAN || b.kind == TSR_NUMBER_NAN ||
      (a.kind == b.kind &&
       (a.kind == TSR_NUMBER_ZERO || a.kind == TSR_NUMBER_INFINITE))) {
    return special(TSR_NUMBER_NAN, false);
  }
  if (a.kind == TSR_NUMBER_INFINITE || b.kind == TSR_NUMBER_ZERO) {
    return special(TSR_NUMBER_INFINITE, negative);
  }
  if (a.kind == TSR_NUMBER_ZERO || b.kind == TSR_NUMBER_INFINITE) {
    return special(TSR_NUMBER_ZERO, negative);
  }
  normalise(&a, 124);
  normalise(&b, 53);
  tsr_uint128 quotient = a.mantissa / b.mantissa;  // 71 or 72 bits
  if (quotient * b.mantissa != a.mantissa) quotient |= 1;
  tsr_number result = {TSR_NUMBER_FINITE, negative, a.exponent - b.exponent,
                       quotient};
  return result;
}

tsr_number tsr_number_sqrt(tsr_number a) {
  if (a.kind == TSR_NUMBER_NAN || a.kind == TSR_NUMBER_ZERO) return a;
  if (a.negative) return special(TSR_NUMBER_NAN, false);
  if (a.kind == TSR_NUMBER_INFINITE) return a;
  normalise(&a, 124);
  if ((a.exponent & 1) != 0) {
    a.mantissa <<= 1;
    a.exponent -= 1;
  }
  // Digit by digit: the largest root with root^2 <= mantissa; 63 bits.
  tsr_uint128 rest = a.mantissa, root = 0;
  for (tsr_uint128 bit = (tsr_uint128)1 << 124; bit != 0; bit >>= 2) {
    if (rest >= root + bit) {
      rest -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  if (rest != 0) root |= 1;
  a.mantissa = root;
  a.exponent /= 2;
  return a;
}
