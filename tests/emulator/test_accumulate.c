// SPDX-License-Identifier: Apache-2.0
// One tile of a tensor core, D = A * B + C, against sums made with many digits
// (exact model) and against the published rules written a second time with
// floating-point operations (hardware model).
#include <math.h>
#include <stdlib.h>

#include "exec/devices.h"
#include "harness.h"
#include "tensor/tile.h"
#ifdef TSR_HAVE_MPFR
#include <mpfr.h>
#endif

static uint64_t state = 1;

static uint32_t below(uint32_t n) {
  return (uint32_t)(random_next(&state) % n);
}

static float bits_float(uint32_t bits) {
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// --- Values, by their definitions -------------------------------------------

typedef struct format {
  int exponent_bits, fraction_bits, shift;
  bool infinities;  // the top exponent is for infinities and NaN
} format;

static const format formats[] = {
    [TSR_ELEMENT_F16] = {5, 10, 0, true},
    [TSR_ELEMENT_BF16] = {8, 7, 0, true},
    [TSR_ELEMENT_TF32] = {8, 10, 13, true},
    [TSR_ELEMENT_E4M3] = {4, 3, 0, false},
    [TSR_ELEMENT_E5M2] = {5, 2, 0, true},
};

static double format_value(const format *f, uint32_t bits) {
  bits >>= f->shift;
  uint32_t fraction = bits & ((1u << f->fraction_bits) - 1);
  int top = (1 << f->exponent_bits) - 1, bias = top / 2;
  int exponent = (int)(bits >> f->fraction_bits) & top;
  bool negative = (bits >> (f->fraction_bits + f->exponent_bits) & 1) != 0;
  double value;
  if (exponent == top && f->infinities) {
    value = fraction != 0 ? (double)NAN : (double)INFINITY;
  } else if (exponent == top && fraction == (1u << f->fraction_bits) - 1) {
    value = (double)NAN;
  } else if (exponent == 0) {
    value = ldexp(fraction, 1 - bias - f->fraction_bits);
  } else {
    value = ldexp((double)fraction + ldexp(1, f->fraction_bits),
                  exponent - bias - f->fraction_bits);
  }
  return negative ? -value : value;
}

static void test_values(void) {
  for (uint32_t type = TSR_ELEMENT_F16; type <= TSR_ELEMENT_E5M2; ++type) {
    uint32_t bits_of = type <= TSR_ELEMENT_BF16   ? 0x10000
                       : type == TSR_ELEMENT_TF32 ? 0x40000
                                                  : 0x100;
    for (uint32_t i = 0; i < bits_of; ++i) {
      uint32_t bits =
          type == TSR_ELEMENT_TF32 ? (uint32_t)random_next(&state) : i;
      double want = format_value(&formats[type], bits);
      double got = tsr_element_value((tsr_element)type, bits);
      bool same = memcmp(&want, &got, 8) == 0 || (want != want && got != got);
      CHECK(same);
      if (!(same)) {
        fprintf(stderr, "type %u bits 0x%x: %a, not %a\n", type, bits, got,
                want);
        return;
      }
    }
  }
  for (uint32_t i = 0; i < 0x10000; ++i) {  // f16 comes back as it was
    double value = tsr_value_f16(i);
    CHECK_EQ(tsr_round_f16(value), value != value ? 0x7fff : i);
  }
}

// --- Tiles ------------------------------------------------------------------

typedef enum fill { FILL_NEAR, FILL_WIDE, FILL_ANY } fill;

// Near: exponents within 6 of the middle; wide: all finite; any: all bits.
static uint32_t random_element(tsr_element type, fill how) {
  uint32_t bits = (uint32_t)random_next(&state);
  if (type == TSR_ELEMENT_S8 || type == TSR_ELEMENT_U8) return bits & 0xff;
  const format *f = &formats[type];
  uint32_t width = (uint32_t)(f->exponent_bits + f->fraction_bits + 1);
  if (f->shift == 0) bits &= (1u << width) - 1;
  if (how == FILL_ANY) return bits;
  uint32_t place = (uint32_t)(f->fraction_bits + f->shift);
  uint32_t top = (1u << f->exponent_bits) - 1;
  if (how == FILL_NEAR && top > 20) {
    bits &= ~(top << place);
    bits |= (top / 2 - 6 + below(8)) << place;
  } else if (!isfinite(format_value(f, bits))) {
    bits &= ~(1u << place);
  }
  if (below(16) == 0) bits &= 1u << (place + (uint32_t)f->exponent_bits);
  return bits;
}

static void put_element(tsr_element type, unsigned char *raw, uint32_t index,
                        uint32_t bits) {
  uint32_t size = tsr_element_bytes(type);
  memcpy(raw + (size_t)index * size, &bits, size);
}

// |kept| of |k| elements in each row of A.
static void fill_tiles(tsr_tile_a *a, tsr_tile_b *b, tsr_element a_type,
                       tsr_element b_type, uint32_t kept, uint32_t k,
                       fill how) {
  memset(a, 0, sizeof(*a));
  memset(b, 0, sizeof(*b));
  a->type = a_type;
  b->type = b_type;
  a->kept = kept;
  a->k = b->k = k;
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    for (uint32_t i = 0; i < kept; ++i) {
      put_element(a_type, a->raw[m], i, random_element(a_type, how));
    }
    for (uint32_t i = 0; i < kept && kept != k; i += 2) {
      uint32_t first = below(3), second = first + 1 + below(3 - first);
      a->index[m][i] = (uint8_t)(2 * i + first);
      a->index[m][i + 1] = (uint8_t)(2 * i + second);
    }
  }
  for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
    for (uint32_t i = 0; i < k; ++i) {
      put_element(b_type, b->raw[n], i, random_element(b_type, how));
    }
  }
}

// The products of one output, and how many.
static uint32_t products(const tsr_tile_a *a, const tsr_tile_b *b, uint32_t m,
                         uint32_t n, double *out) {
  for (uint32_t i = 0; i < a->kept; ++i) {
    uint32_t j = a->kept == a->k ? i : a->index[m][i];
    uint32_t x = tsr_element_bits(a->type, a->raw[m], i);
    uint32_t y = tsr_element_bits(b->type, b->raw[n], j);
    out[i] =
        format_value(&formats[a->type], x) * format_value(&formats[b->type], y);
  }
  return a->kept;
}

#ifdef TSR_HAVE_MPFR
// |count| terms and c, rounded once to an f32 or f16.
static double sum_many_digits(const double *terms, uint32_t count, double c,
                              bool half) {
  mpfr_t sum;
  mpfr_init2(sum, 1200);
  mpfr_set_d(sum, c, MPFR_RNDN);
  for (uint32_t i = 0; i < count; ++i) {
    (void)mpfr_add_d(sum, sum, terms[i], MPFR_RNDN);
  }
  double result = mpfr_get_d(sum, MPFR_RNDN);
  if (mpfr_regular_p(sum) != 0) {
    long place = mpfr_get_exp(sum) - (half ? 11 : 24);
    if (place < (half ? -24 : -149)) place = half ? -24 : -149;
    (void)mpfr_mul_2si(sum, sum, -place, MPFR_RNDN);
    (void)mpfr_roundeven(sum, sum);
    result = ldexp(mpfr_get_d(sum, MPFR_RNDN), (int)place);
    if (fabs(result) >= (half ? 65536.0 : 0x1p128)) result *= (double)INFINITY;
  }
  mpfr_clear(sum);
  return result;
}

static void check_exact(const tsr_tile_a *a, const tsr_tile_b *b, bool half,
                        fill how) {
  tsr_accumulation model = {.half = half};
  tsr_tile_c acc, before;
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
      before[m][n] =
          random_element(half ? TSR_ELEMENT_F16 : TSR_ELEMENT_TF32, how);
    }
  }
  memcpy(acc, before, sizeof(acc));
  tsr_tile_multiply(a, b, &model, acc);
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
      double terms[TSR_SUM_TERMS];
      uint32_t count = products(a, b, m, n, terms);
      double c = half ? format_value(&formats[TSR_ELEMENT_F16], before[m][n])
                      : (double)bits_float(before[m][n]);
      double want = sum_many_digits(terms, count, c, half);
      uint32_t bits = acc[m][n];
      double got = half ? format_value(&formats[TSR_ELEMENT_F16], bits)
                        : (double)bits_float(bits);
      bool same = want != want ? bits == (half ? 0x7fff : 0x7fffffff)
                               : memcmp(&want, &got, 8) == 0;
      CHECK(same);
      if (!(same)) {
        fprintf(stderr, "type %d half %d [%u][%u]: %a, not %a\n", (int)a->type,
                half, m, n, got, want);
        return;
      }
    }
  }
}
#endif

static const struct {
  tsr_element type;
  uint32_t k;
  bool half;
} cases[] = {
    {TSR_ELEMENT_F16, 8, true},   {TSR_ELEMENT_F16, 16, true},
    {TSR_ELEMENT_BF16, 8, false}, {TSR_ELEMENT_BF16, 16, false},
    {TSR_ELEMENT_TF32, 4, false}, {TSR_ELEMENT_TF32, 8, false},
    {TSR_ELEMENT_E4M3, 16, true}, {TSR_ELEMENT_E4M3, 32, true},
    {TSR_ELEMENT_E5M2, 32, true},
};

static void test_exact(void) {
#ifdef TSR_HAVE_MPFR
  static tsr_tile_a a;
  static tsr_tile_b b;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    for (int round = 0; round < 60; ++round) {
      fill how = (fill)(round % 3);
      bool sparse = round % 2 == 1 && cases[i].type != TSR_ELEMENT_TF32;
      bool half = cases[i].half && round % 4 < 2;
      fill_tiles(&a, &b, cases[i].type, cases[i].type, cases[i].k,
                 cases[i].k * (sparse ? 2 : 1), how);
      tsr_tile_prepare_a(&a);
      tsr_tile_prepare_b(&b);
      check_exact(&a, &b, half, how);
    }
  }
#else
  fprintf(stderr, "no MPFR: sums are not compared with it\n");
#endif
}

// Sums that one double cannot hold, and signs of zero.
static void test_hard_sums(void) {
  double big[] = {0x1p127, 1.0, -0x1p127, 0x1p-200, 0x1p-30};
  CHECK(tsr_sum_exact(big, 5) == 1.0 + 0x1p-30 + 0x1p-52);  // odd
  double half_way[] = {0x1p60, 0x1p36, 0x1p-100};  // f32 has steps of 2^37
  CHECK_EQ(tsr_round_f32(tsr_sum_exact(half_way, 2)), 0x5d800000);
  CHECK_EQ(tsr_round_f32(tsr_sum_exact(half_way, 3)), 0x5d800001);
  half_way[2] = -0x1p-100;
  CHECK_EQ(tsr_round_f32(tsr_sum_exact(half_way, 3)), 0x5d800000);
  double tiny[] = {0x1p-266, 0x1p250, -0x1p250};
  CHECK(tsr_sum_exact(tiny, 3) == 0x1p-266);
  double zero[] = {-0.0, -0.0, -0.0};
  CHECK(signbit(tsr_sum_exact(zero, 3)) != 0);
  zero[1] = 0.0;
  CHECK(signbit(tsr_sum_exact(zero, 3)) == 0);
  double cancel[] = {0x1p200, 1, -1, -0x1p200};
  CHECK(tsr_sum_exact(cancel, 4) == 0 && !signbit(tsr_sum_exact(cancel, 4)));
  double both[] = {(double)INFINITY, 1, -(double)INFINITY};
  CHECK(isnan(tsr_sum_exact(both, 3)));
  CHECK(tsr_sum_exact(both, 2) == (double)INFINITY);
  CHECK_EQ(tsr_round_f32(0x1.ffffffp127), 0x7f800000);
  CHECK_EQ(tsr_round_f32(-(double)NAN), 0x7fffffff);
  CHECK_EQ(tsr_round_f16(65519.999), 0x7bff);
  CHECK_EQ(tsr_round_f16(-65520.0), 0xfc00);
  CHECK_EQ(tsr_round_f16(0x1.ffcp-15 + 0x1p-26), 0x0400);
  CHECK_EQ(tsr_round_f16(0x1p-25), 0);
  CHECK_EQ(tsr_round_f16(0x1.8p-24), 2);
}

static void test_integers(void) {
  static tsr_tile_a a;
  static tsr_tile_b b;
  for (int round = 0; round < 64; ++round) {
    tsr_element x = (round & 1) != 0 ? TSR_ELEMENT_S8 : TSR_ELEMENT_U8;
    tsr_element y = (round & 2) != 0 ? TSR_ELEMENT_S8 : TSR_ELEMENT_U8;
    uint32_t kept = (round & 4) != 0 ? 16 : 32;
    uint32_t k = (round & 8) != 0 ? kept : 2 * kept;
    bool saturate = (round & 16) != 0;
    fill_tiles(&a, &b, x, y, kept, k, FILL_ANY);
    tsr_tile_prepare_a(&a);
    tsr_tile_prepare_b(&b);
    tsr_tile_c acc, before;
    for (uint32_t i = 0; i < 128; ++i) {
      static const uint32_t edges[] = {0, 0x7fffffff, 0x80000000, 0x7fffff00};
      before[i / 8][i % 8] =
          i % 2 == 0 ? edges[below(4)] : (uint32_t)random_next(&state);
    }
    memcpy(acc, before, sizeof(acc));
    tsr_tile_multiply(&a, &b, &(tsr_accumulation){.saturate = saturate}, acc);
    for (uint32_t m = 0; m < 16; ++m) {
      for (uint32_t n = 0; n < 8; ++n) {
        int64_t sum = (int32_t)before[m][n];
        for (uint32_t i = 0; i < kept; ++i) {
          int32_t p = a.raw[m][i], q = b.raw[n][kept == k ? i : a.index[m][i]];
          if (x == TSR_ELEMENT_S8 && p > 127) p -= 256;
          if (y == TSR_ELEMENT_S8 && q > 127) q -= 256;
          sum += p * q;
        }
        if (saturate && sum > INT32_MAX) sum = INT32_MAX;
        if (saturate && sum < INT32_MIN) sum = INT32_MIN;
        CHECK_EQ(acc[m][n], (uint32_t)sum);
      }
    }
  }
}

// --- The hardware model -----------------------------------------------------

// Exponent as the hardware aligns by: of the format's leading bit, -126 for 0.
static int align_exponent(double value, int lowest) {
  if (value == 0) return -126;
  int exponent = ilogb(value);
  return exponent < lowest ? lowest : exponent;
}

// Eq. of fused summation in MMA-Sim, in floating point.
static double reference_block(const double *a, const double *b, uint32_t count,
                              double c, int lowest_a, int lowest_c,
                              int fraction) {
  int top = align_exponent(c, lowest_c);
  for (uint32_t i = 0; i < count; ++i) {
    int e = align_exponent(a[i], lowest_a) + align_exponent(b[i], lowest_a);
    top = e > top ? e : top;
  }
  double unit = ldexp(1, top - fraction), sum = trunc(c / unit);
  for (uint32_t i = 0; i < count; ++i) sum += trunc(a[i] * b[i] / unit);
  return sum * unit;
}

static void check_hardware(const char *device, tsr_element type, bool group,
                           uint32_t k, uint32_t want_block,
                           uint32_t want_fraction, uint32_t want_mantissa) {
  tsr_accumulation model = {.hardware = true};
  tsr_accumulation_hardware(tsr_device_find(device), type, group, &model);
  CHECK_EQ(model.block < k ? model.block : k, want_block);
  CHECK_EQ(model.fraction, want_fraction);
  CHECK_EQ(model.mantissa, want_mantissa);
  static const int lowest[] = {-14, -126, -126, -6, -14};
  for (int round = 0; round < 400; ++round) {
    uint32_t x[64], y[64];
    double a[64], b[64];
    for (uint32_t i = 0; i < k; ++i) {
      x[i] = random_element(type, round % 2 == 0 ? FILL_NEAR : FILL_WIDE);
      y[i] = random_element(type, FILL_NEAR);
      a[i] = format_value(&formats[type], x[i]);
      b[i] = format_value(&formats[type], y[i]);
    }
    uint32_t c = random_element(TSR_ELEMENT_TF32, FILL_NEAR);
    double sum = bits_float(c);
    for (uint32_t i = 0; i < k; i += want_block) {
      sum = reference_block(a + i, b + i, want_block, sum, lowest[type], -126,
                            (int)want_fraction);
      if (fabs(sum) < 0x1p128 && sum != 0) {
        int e = ilogb(sum) < -126 ? -126 : ilogb(sum);
        double unit = ldexp(1, e - (int)want_mantissa);
        sum = trunc(sum / unit) * unit;
      }
    }
    uint32_t got = tsr_sum_hardware(&model, type, x, type, y, k, c);
    if (fabs(sum) >= 0x1p128) sum *= (double)INFINITY;
    CHECK((double)bits_float(got) == sum);
    if (!((double)bits_float(got) == sum)) {
      fprintf(stderr, "%s type %d: %a, not %a\n", device, (int)type,
              (double)bits_float(got), sum);
      return;
    }
  }
}

static void test_hardware(void) {
  check_hardware("a100", TSR_ELEMENT_F16, false, 16, 8, 24, 23);
  check_hardware("a100", TSR_ELEMENT_BF16, false, 16, 8, 24, 23);
  check_hardware("a100", TSR_ELEMENT_TF32, false, 8, 4, 24, 23);
  check_hardware("rtx4090", TSR_ELEMENT_F16, false, 8, 8, 24, 23);
  check_hardware("rtx4090", TSR_ELEMENT_E4M3, false, 32, 16, 13, 13);
  check_hardware("h100", TSR_ELEMENT_BF16, false, 16, 16, 25, 23);
  check_hardware("h100", TSR_ELEMENT_F16, true, 16, 16, 25, 23);
  check_hardware("h100", TSR_ELEMENT_E5M2, true, 32, 32, 13, 13);
  check_hardware("h100", TSR_ELEMENT_E4M3, false, 32, 32, 25, 23);
}

// What tells the models apart: a small product next to a large accumulator.
static void test_models_differ(void) {
  uint32_t x[16] = {0}, y[16] = {0};
  x[0] = x[1] = y[0] = y[1] = 0x3f80;  // 1 * 1, twice, as bf16
  tsr_accumulation model = {.hardware = true};
  tsr_accumulation_hardware(tsr_device_find("h100"), TSR_ELEMENT_BF16, false,
                            &model);
  uint32_t c = 0x4c800000;  // 2^26: 25 bits below are kept
  CHECK_EQ(
      tsr_sum_hardware(&model, TSR_ELEMENT_BF16, x, TSR_ELEMENT_BF16, y, 16, c),
      c);
  c = 0x4b800000;  // 2^24: 2 more is one step, also when cut
  CHECK_EQ(
      tsr_sum_hardware(&model, TSR_ELEMENT_BF16, x, TSR_ELEMENT_BF16, y, 16, c),
      c + 1);
  x[1] = 0x7f80;
  y[1] = 0;  // infinity times zero
  CHECK_EQ(
      tsr_sum_hardware(&model, TSR_ELEMENT_BF16, x, TSR_ELEMENT_BF16, y, 16, c),
      0x7fffffff);
}

int main(void) {
  test_values();
  test_hard_sums();
  test_exact();
  test_integers();
  test_hardware();
  test_models_differ();
  return test_finish();
}
