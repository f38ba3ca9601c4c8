// SPDX-License-Identifier: Apache-2.0
// Arithmetic on f16, f16x2, bf16 and bf16x2. f16's references are exact
// integers (a value is a multiple of 2^-24, a product of 2^-48) rounded by
// looking for the neighbours; bf16's come from MPFR.
#include "formats.h"
#include "many.h"
#ifdef TSR_HAVE_MPFR
#include <mpfr.h>
#endif

__extension__ typedef __int128 exact;

typedef struct half_form {
  const char *name;
  bool brain;
  bool ftz, sat, relu, oob, nan, xorsign;
} half_form;

static uint32_t half_flush(uint32_t x, const half_form *f) {
  bool small = (x & 0x7c00u) == 0;
  return f->ftz && small ? x & 0x8000u : x;
}

// A sum's sign when it is zero: + but for equal signs.
static long double signed_zero(bool negative) {
  return negative ? -0.0L : 0.0L;
}

static long double f16_exact(const char *name, uint32_t x, uint32_t y,
                             uint32_t z) {
  long double a = narrow_value(&narrow_f16, x);
  long double b = narrow_value(&narrow_f16, y);
  long double c = narrow_value(&narrow_f16, z);
  bool fused = strcmp(name, "fma") == 0;
  if (!isfinite(a) || !isfinite(b) || (fused && !isfinite(c))) {
    if (fused) return a * b + c;
    return strcmp(name, "add") == 0   ? a + b
           : strcmp(name, "sub") == 0 ? a - b
                                      : a * b;
  }
  if (!fused) {  // 41 and 22 bits: exact
    return strcmp(name, "add") == 0   ? a + b
           : strcmp(name, "sub") == 0 ? a - b
                                      : a * b;
  }
  exact product = (exact)(int64_t)ldexpl(a, 24) * (exact)(int64_t)ldexpl(b, 24);
  exact sum = product + (exact)(int64_t)ldexpl(c, 24) * ((exact)1 << 24);
  if (sum == 0) {
    bool negative = signbit(a * b) != 0 && signbit(c) != 0;
    return signed_zero(negative);
  }
  // Round to odd in 64 bits: the one rounding to 11 bits stays right.
  bool negative = sum < 0;
  exact size = negative ? -sum : sum;
  int shift = 0;
  bool sticky = false;
  while (size >> 63 != 0) {
    sticky = sticky || (size & 1) != 0;
    size >>= 1;
    ++shift;
  }
  long double value = ldexpl((long double)(int64_t)(size | sticky), shift - 48);
  return negative ? -value : value;
}

#ifdef TSR_HAVE_MPFR
// Rounded to bf16 once: 8 bits, exponents as f32.
static long double bf16_rounded(const char *name, uint32_t x, uint32_t y,
                                uint32_t z) {
  mpfr_t a, b, c, r;
  mpfr_inits2(8, a, b, c, r, (mpfr_ptr)0);
  mpfr_set_ld(a, narrow_value(&narrow_bf16, x), MPFR_RNDN);
  mpfr_set_ld(b, narrow_value(&narrow_bf16, y), MPFR_RNDN);
  mpfr_set_ld(c, narrow_value(&narrow_bf16, z), MPFR_RNDN);
  mpfr_set_emin(-126 - 8 + 2);
  mpfr_set_emax(128);
  int t;
  if (strcmp(name, "add") == 0) {
    t = mpfr_add(r, a, b, MPFR_RNDN);
  } else if (strcmp(name, "sub") == 0) {
    t = mpfr_sub(r, a, b, MPFR_RNDN);
  } else if (strcmp(name, "mul") == 0) {
    t = mpfr_mul(r, a, b, MPFR_RNDN);
  } else {
    t = mpfr_fma(r, a, b, c, MPFR_RNDN);
  }
  (void)mpfr_subnormalize(r, t, MPFR_RNDN);
  long double value = mpfr_get_ld(r, MPFR_RNDN);
  mpfr_set_emin(mpfr_get_emin_min());
  mpfr_set_emax(mpfr_get_emax_max());
  mpfr_clears(a, b, c, r, (mpfr_ptr)0);
  return value;
}
#endif

static uint32_t half_arithmetic(const half_form *f, uint32_t x, uint32_t y,
                                uint32_t z) {
  if (f->oob && ((x & 0x7fffu) == 0x7ff7u || (y & 0x7fffu) == 0x7ff7u)) {
    return 0;
  }
  const narrow *n = f->brain ? &narrow_bf16 : &narrow_f16;
  x = half_flush(x, f), y = half_flush(y, f), z = half_flush(z, f);
  long double value = 0;
  if (!f->brain) value = f16_exact(f->name, x, y, z);
#ifdef TSR_HAVE_MPFR
  if (f->brain) value = bf16_rounded(f->name, x, y, z);
#endif
  uint32_t result = half_flush(narrow_round(n, value, 0, false), f);
  if (f->sat) {
    long double v = narrow_value(n, result);
    if (isnan(v) || v <= 0) return 0;
    return v > 1 ? narrow_round(n, 1, 0, false) : result;
  }
  if (narrow_is_nan(n, result)) return 0x7fff;
  if (f->relu && (result & 0x8000u) != 0) return 0;
  return result;
}
static uint32_t half_least(const half_form *f, uint32_t x, uint32_t y) {
  const narrow *n = f->brain ? &narrow_bf16 : &narrow_f16;
  bool greatest = strcmp(f->name, "max") == 0;
  uint32_t sign = (x ^ y) & 0x8000u;
  x = half_flush(x, f), y = half_flush(y, f);
  if (f->xorsign) x &= 0x7fffu, y &= 0x7fffu;
  long double a = narrow_value(n, x), b = narrow_value(n, y);
  uint32_t result;
  if (isnan(a) || isnan(b)) {
    if ((isnan(a) && isnan(b)) || f->nan) return 0x7fff;
    result = isnan(a) ? y : x;
  } else if (a == 0 && b == 0) {
    result = greatest ? x & y : x | y;
  } else {
    result = (greatest ? a > b : a < b) ? x : y;
  }
  return f->xorsign ? result | sign : result;
}
static uint32_t half_one(const half_form *f, uint32_t x, uint32_t y,
                         uint32_t z) {
  const narrow *n = f->brain ? &narrow_bf16 : &narrow_f16;
  if (strcmp(f->name, "min") == 0 || strcmp(f->name, "max") == 0) {
    return half_least(f, x, y);
  }
  if (strcmp(f->name, "abs") == 0 || strcmp(f->name, "neg") == 0) {
    x = half_flush(x, f);
    if (narrow_is_nan(n, x)) return 0x7fff;
    return strcmp(f->name, "abs") == 0 ? x & 0x7fffu : x ^ 0x8000u;
  }
  return half_arithmetic(f, x, y, z);
}
static uint64_t half_reference(const many *m, uint32_t i, const void *context) {
  return half_one(context, (uint32_t)m->in[0][i], (uint32_t)m->in[1][i],
                  (uint32_t)m->in[2][i]);
}
static uint64_t pair_reference(const many *m, uint32_t i, const void *context) {
  uint32_t x = (uint32_t)m->in[0][i], y = (uint32_t)m->in[1][i];
  uint32_t z = (uint32_t)m->in[2][i];
  return half_one(context, x & 0xffffu, y & 0xffffu, z & 0xffffu) |
         half_one(context, x >> 16, y >> 16, z >> 16) << 16;
}

static void print_form(char *text, size_t size, const half_form *f,
                       uint32_t sources, bool packed, uint32_t output) {
  static const char *const operands[] = {"%i0", "%i0, %i1", "%i0, %i1, %i2"};
  bool fused = sources == 3;
  snprintf(text, size, "%s%s%s%s%s%s%s%s.%s%s %%o%u, %s;\n", f->name,
           fused ? ".rn" : "", f->ftz ? ".ftz" : "", f->sat ? ".sat" : "",
           f->oob ? ".oob" : "", f->relu ? ".relu" : "", f->nan ? ".NaN" : "",
           f->xorsign ? ".xorsign.abs" : "", f->brain ? "bf16" : "f16",
           packed ? "x2" : "", output, operands[sources - 1]);
}
// |forms|, packed and not, in one kernel each.
static void test_forms(many *m, const half_form *forms, uint32_t count,
                       uint32_t sources, bool packed) {
  char body[4096] = "", outs[MANY_OUTPUTS + 1] = "";
  for (uint32_t k = 0; k < count; ++k) {
    char line[128];
    print_form(line, sizeof(line), &forms[k], sources, packed, k);
    strcat(body, line);
    outs[k] = packed ? 'r' : 'h';
  }
  many_run(m, body, packed ? "rrr" : "hhh", outs);
  for (uint32_t k = 0; k < count; ++k) {
    char line[128];
    print_form(line, sizeof(line), &forms[k], sources, packed, k);
    many_expect(line, m, k, packed ? pair_reference : half_reference, &forms[k],
                sources);
  }
}

static const half_form binary[] = {
    {.name = "add"},
    {.name = "add", .ftz = true},
    {.name = "add", .sat = true},
    {.name = "add", .ftz = true, .sat = true},
    {.name = "sub"},
    {.name = "sub", .ftz = true},
    {.name = "sub", .sat = true},
    {.name = "mul"},
    {.name = "mul", .ftz = true},
    {.name = "mul", .sat = true},
    {.name = "mul", .ftz = true, .sat = true},
    {.name = "min"},
    {.name = "min", .ftz = true},
    {.name = "min", .nan = true},
    {.name = "min", .xorsign = true},
    {.name = "max"},
    {.name = "max", .ftz = true, .nan = true},
    {.name = "max", .ftz = true, .nan = true, .xorsign = true}};
static const half_form ternary[] = {{.name = "fma"},
                                    {.name = "fma", .ftz = true},
                                    {.name = "fma", .sat = true},
                                    {.name = "fma", .ftz = true, .sat = true},
                                    {.name = "fma", .relu = true},
                                    {.name = "fma", .ftz = true, .relu = true},
                                    {.name = "fma", .oob = true},
                                    {.name = "fma", .oob = true, .relu = true}};
static const half_form unary[] = {{.name = "abs"},
                                  {.name = "abs", .ftz = true},
                                  {.name = "neg"},
                                  {.name = "neg", .ftz = true}};
static const half_form brain_binary[] = {
    {"add", true, false, false, false, false, false, false},
    {"sub", true, false, false, false, false, false, false},
    {"mul", true, false, false, false, false, false, false}};
static const half_form brain_ternary[] = {
    {.name = "fma", .brain = true},
    {.name = "fma", .brain = true, .relu = true},
    {.name = "fma", .brain = true, .oob = true},
    {.name = "fma", .brain = true, .oob = true, .relu = true}};
static const half_form brain_least[] = {
    {.name = "min", .brain = true},
    {.name = "min", .brain = true, .nan = true},
    {.name = "max", .brain = true},
    {.name = "max", .brain = true, .xorsign = true},
    {.name = "max", .brain = true, .nan = true, .xorsign = true}};
static const half_form brain_unary[] = {{.name = "abs", .brain = true},
                                        {.name = "neg", .brain = true}};
#define COUNT(ARRAY) ((uint32_t)(sizeof(ARRAY) / sizeof((ARRAY)[0])))

static const uint16_t edges[] = {
    0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x8400, 0x0401,
    0x3c00, 0xbc00, 0x3c01, 0x3bff, 0x1000, 0x1001, 0x1400, 0x7bff,
    0xfbff, 0x7c00, 0xfc00, 0x7c01, 0x7e00, 0x7fff, 0xffff, 0x7ff7,
    0xfff7, 0x0080, 0x007f, 0x3f80, 0xbf80, 0x3f81, 0x3b80, 0x3b81,
    0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7f81, 0x5c00, 0x4c00, 0x2000};
static uint64_t half_value(uint64_t *state, int shape) {
  uint64_t bits = random_next(state);
  if (shape == 0 || (bits >> 60) == 0) return edges[bits % COUNT(edges)];
  if (shape == 1) return bits & 0xffff;
  // Exponents near each other: sums that round.
  uint64_t exponent = shape == 2 ? 10 + (bits >> 32) % 16 : 0;
  return shape == 2 ? (bits & 0x83ff) | exponent << 10
                    : (bits & 0x807f) | (112 + (bits >> 32) % 20) << 7;
}
static void fill(many *m, uint32_t count, bool packed, uint64_t seed) {
  m->count = count;
  for (uint32_t i = 0; i < count; ++i) {
    int shape = (int)(i * 4 / count);
    for (int k = 0; k < 3; ++k) {
      m->in[k][i] = half_value(&seed, shape);
      if (packed) m->in[k][i] |= half_value(&seed, shape) << 16;
    }
  }
}

static void test_bad_forms(many *m) {
  static const char *const bad[] = {
      "add.rz.f16 %h0, %h1, %h2;",
      "add.sat.bf16 %h0, %h1, %h2;",
      "add.rn.sat.bf16x2 %r0, %r1, %r2;",
      "mul.ftz.bf16 %h0, %h1, %h2;",
      "fma.f16 %h0, %h1, %h2, %h3;",
      "fma.rn.ftz.oob.f16x2 %r0, %r1, %r2, %r3;",
      "fma.rn.sat.oob.f16 %h0, %h1, %h2, %h3;",
      "fma.rn.sat.relu.f16 %h0, %h1, %h2, %h3;",
      "fma.rn.ftz.bf16 %h0, %h1, %h2, %h3;",
      "add.relu.f16 %h0, %h1, %h2;",
      "add.f16 %h0, %h1, 0x3c00;",
      "add.f16 %r0, %r1, %r2;",
      "add.f16x2 %h0, %h1, %h2;",
      "neg.ftz.bf16 %h0, %h1;",
      "min.ftz.bf16 %h0, %h1, %h2;",
      "min.relu.f16 %h0, %h1, %h2;",
      "div.rn.f16 %h0, %h1, %h2;",
      "mad.rn.f16 %h0, %h1, %h2, %h3;",
      "sqrt.rn.f16 %h0, %h1;",
      "ex2.approx.ftz.f16 %h0, %h1;",
      "ex2.approx.bf16 %h0, %h1;",
      "tanh.approx.ftz.bf16 %h0, %h1;",
  };
  for (size_t i = 0; i < COUNT(bad); ++i) {
    CHECK(many_refused(m, "8.8", "sm_90a", bad[i]));
  }
  CHECK(many_refused(m, "8.8", "sm_80", "add.bf16 %h0, %h1, %h2;"));
  CHECK(many_refused(m, "8.0", "sm_90", "fma.rn.oob.f16 %h0, %h1, %h2, %h3;"));
  CHECK(many_accepted(m, "8.0", "sm_80", "fma.rn.bf16 %h0, %h1, %h2, %h3;"));
}

int main(void) {
  many m;
  many_init(&m, "h100");
  for (int packed = 0; packed < 2; ++packed) {
    fill(&m, 32768, packed != 0, 7 + (uint64_t)packed);
    test_forms(&m, binary, COUNT(binary), 2, packed != 0);
    test_forms(&m, ternary, COUNT(ternary), 3, packed != 0);
    test_forms(&m, brain_least, COUNT(brain_least), 2, packed != 0);
#ifdef TSR_HAVE_MPFR
    test_forms(&m, brain_binary, COUNT(brain_binary), 2, packed != 0);
    test_forms(&m, brain_ternary, COUNT(brain_ternary), 3, packed != 0);
#else
    (void)brain_binary, (void)brain_ternary;
    if (packed == 0) {
      fprintf(stderr,
              "SKIPPED: add, sub, mul, fma of bf16 (built without "
              "MPFR)\n");
    }
#endif
  }
  m.count = 65536;
  for (uint32_t i = 0; i < m.count; ++i) m.in[0][i] = i;
  test_forms(&m, unary, COUNT(unary), 1, false);
  test_forms(&m, brain_unary, COUNT(brain_unary), 1, false);
  for (uint32_t i = 0; i < m.count; ++i) m.in[0][i] = i | (i ^ 0x5a5au) << 16;
  test_forms(&m, unary, COUNT(unary), 1, true);
  test_forms(&m, brain_unary, COUNT(brain_unary), 1, true);
  test_bad_forms(&m);
  many_fini(&m);
  return test_finish();
}
