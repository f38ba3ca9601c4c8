// SPDX-License-Identifier: Apache-2.0
// 16-bit floats against their definition: all 65536 patterns to float, and
// back from every place where rounding decides, by arithmetic in double.
#include "base/float16.h"

#include <math.h>

#include "test.h"

typedef struct format {
  const char *name;
  int exponent_bits;
  int mantissa_bits;
  float (*to_float)(uint16_t bits);
  uint16_t (*from_float)(float value);
} format;

static const format formats[] = {
    {"bf16", 8, 7, tsr_bf16_to_float, tsr_bf16_from_float},
    {"fp16", 5, 10, tsr_fp16_to_float, tsr_fp16_from_float},
};

static unsigned mistakes;

static void expect(int condition, const format *f, unsigned bits) {
  if (condition) return;
  if (mistakes++ < 10) fprintf(stderr, "%s %04x is wrong\n", f->name, bits);
}

// The value of |bits| by the formula of IEEE 754, 3.4.
static double value_of(const format *f, unsigned bits) {
  unsigned mantissa = bits & ((1u << f->mantissa_bits) - 1u);
  int exponent =
      (int)(bits >> f->mantissa_bits & ((1u << f->exponent_bits) - 1u));
  int largest = (1 << f->exponent_bits) - 1;
  int bias = largest / 2;
  double sign = bits >> 15 != 0 ? -1.0 : 1.0;
  if (exponent == largest) return mantissa == 0 ? sign * INFINITY : NAN;
  double fraction = ldexp(mantissa, -f->mantissa_bits);
  if (exponent == 0) return sign * ldexp(fraction, 1 - bias);
  return sign * ldexp(1.0 + fraction, exponent - bias);
}

static void test_every_pattern(const format *f) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    double expected = value_of(f, bits);
    float actual = f->to_float((uint16_t)bits);
    if (isnan(expected)) {
      expect(isnan(actual), f, bits);
      // Stays NaN, quiet, on the way back.
      uint16_t back = f->from_float(actual);
      expect(isnan(value_of(f, back)) && (back >> (f->mantissa_bits - 1) & 1),
             f, bits);
      continue;
    }
    expect((double)actual == expected && !signbit(actual) == !signbit(expected),
           f, bits);
    expect(f->from_float(actual) == bits, f, bits);
  }
}

// Between each pattern and the next: the midpoint goes to the even one, what
// lies beside it to the nearer one.
static void test_rounding(const format *f) {
  unsigned infinity = 0x7fffu >> f->mantissa_bits << f->mantissa_bits;
  for (unsigned bits = 0; bits < infinity; ++bits) {
    double low = value_of(f, bits);
    double high = bits + 1 == infinity
                      ? 2 * low - value_of(f, bits - 1)  // as if it went on
                      : value_of(f, bits + 1);
    float middle = (float)((low + high) / 2);
    if (!isfinite(middle) || (double)middle != (low + high) / 2) continue;
    unsigned even = bits % 2 == 0 ? bits : bits + 1;
    expect(f->from_float(middle) == even, f, bits);
    expect(f->from_float(nextafterf(middle, 0.0f)) == bits, f, bits);
    expect(f->from_float(nextafterf(middle, INFINITY)) == bits + 1, f, bits);
    expect(f->from_float(-middle) == (even | 0x8000u), f, bits);
  }
  expect(f->from_float(INFINITY) == infinity, f, infinity);
  expect(f->from_float(-INFINITY) == (infinity | 0x8000u), f, infinity);
  expect(f->from_float(3.4028235e38f) == infinity, f, infinity);
  expect(f->from_float(1e-45f) == 0, f, 0);
  expect(f->from_float(-1e-45f) == 0x8000u, f, 0);
}

int main(void) {
  for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); ++i) {
    test_every_pattern(&formats[i]);
    test_rounding(&formats[i]);
    CHECK_EQ(mistakes, 0);
  }
  return test_finish();
}
