// SPDX-License-Identifier: Apache-2.0
// Formats of up to 16 bits by their definition, for references: what each code
// is worth by formula, and rounding by looking for the neighbours of a value.
// Long double (64 bits of precision) holds every value of every type exactly.
#ifndef TESTS_EMULATOR_FORMATS_H_
#define TESTS_EMULATOR_FORMATS_H_

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct narrow {
  int index;  // of its table
  int exponent_bits, mantissa_bits;
  uint32_t largest;  // the code of the largest finite value
  uint32_t
      infinity;  // what overflow gives: infinity, or NaN where there is none
  uint32_t nan;  // the canonical one
} narrow;

static const narrow narrow_f16 = {0, 5, 10, 0x7bff, 0x7c00, 0x7fff};
static const narrow narrow_bf16 = {1, 8, 7, 0x7f7f, 0x7f80, 0x7fff};
static const narrow narrow_e4m3 = {2, 4, 3, 0x7e, 0x7f, 0x7f};
static const narrow narrow_e5m2 = {3, 5, 2, 0x7b, 0x7c, 0x7f};

static inline bool narrow_is_nan(const narrow *n, uint32_t code) {
  uint32_t size = code & ((1u << (n->exponent_bits + n->mantissa_bits)) - 1);
  bool none = n->infinity == n->nan;  // no infinity
  return none ? size > n->largest : size > n->infinity;
}
static inline long double narrow_value(const narrow *n, uint32_t code) {
  uint32_t sign = code >> (n->exponent_bits + n->mantissa_bits) & 1;
  uint32_t size = code & ((1u << (n->exponent_bits + n->mantissa_bits)) - 1);
  if (narrow_is_nan(n, code)) return (long double)NAN;
  int bias = (1 << (n->exponent_bits - 1)) - 1;
  int exponent = (int)(size >> n->mantissa_bits);
  long double fraction = (long double)(size & ((1u << n->mantissa_bits) - 1));
  long double value;
  if (size > n->largest) {
    value = (long double)INFINITY;
  } else if (exponent == 0) {
    value = ldexpl(fraction, 1 - bias - n->mantissa_bits);
  } else {
    value = ldexpl(fraction + ldexpl(1, n->mantissa_bits),
                   exponent - bias - n->mantissa_bits);
  }
  return sign != 0 ? -value : value;
}

// What codes are worth, without sign, computed once.
static inline const long double *narrow_values(const narrow *n) {
  static long double values[4][1 << 15];
  static bool known[4];
  long double *table = values[n->index];
  for (uint32_t i = 0; !known[n->index] && i <= n->infinity; ++i) {
    table[i] = narrow_value(n, i);
  }
  known[n->index] = true;
  return table;
}

// Modes: 0 to nearest even, 1 to zero, 2 down, 3 up, 4 to nearest away.
static inline uint32_t narrow_round(const narrow *n, long double value,
                                    int mode, bool satfinite) {
  uint32_t sign =
      signbit(value) != 0 ? 1u << (n->exponent_bits + n->mantissa_bits) : 0;
  if (isnan(value)) return n->nan;
  long double size = fabsl(value);
  if (isinf(value)) return sign | (satfinite ? n->largest : n->infinity);
  const long double *values = narrow_values(n);
  uint32_t low = 0, high = n->largest + 1;  // low <= size < high
  while (high - low > 1) {
    uint32_t middle = (low + high) / 2;
    if (values[middle] <= size) {
      low = middle;
    } else {
      high = middle;
    }
  }
  long double below = values[low];
  // The code after the largest counts as the number that would follow.
  long double above =
      high > n->largest ? 2 * below - values[low - 1] : values[high];
  bool up = false;
  if (size != below) {
    long double middle = (below + above) / 2;
    switch (mode) {
      case 0:
        up = size > middle || (size == middle && (low & 1) != 0);
        break;
      case 4:
        up = size >= middle;
        break;
      case 2:
        up = sign != 0;
        break;
      case 3:
        up = sign == 0;
        break;
      default:
        break;
    }
  }
  uint32_t code = up ? high : low;
  if (code > n->largest) code = satfinite ? n->largest : n->infinity;
  return sign | code;
}

#endif  // TESTS_EMULATOR_FORMATS_H_
