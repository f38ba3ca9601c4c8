// SPDX-License-Identifier: Apache-2.0
// The approximate functions: their special inputs by the PTX ISA's tables, and
// their error against MPFR (without it: f64 functions of the C library, which
// are precise enough) within the bounds that the ISA states.
#include "bits.h"
#include "formats.h"
#include "many.h"
#ifdef TSR_HAVE_MPFR
#include <mpfr.h>
#endif

typedef enum function { EX2, LG2, SIN, COS, TANH, RCP, RSQRT, SQRT } function;

#ifdef TSR_HAVE_MPFR
static double exact(function what, double x) {
  mpfr_t y;
  mpfr_init2(y, 80);
  mpfr_set_d(y, x, MPFR_RNDN);
  switch (what) {
    case EX2:
      mpfr_exp2(y, y, MPFR_RNDN);
      break;
    case LG2:
      mpfr_log2(y, y, MPFR_RNDN);
      break;
    case SIN:
      mpfr_sin(y, y, MPFR_RNDN);
      break;
    case COS:
      mpfr_cos(y, y, MPFR_RNDN);
      break;
    case TANH:
      mpfr_tanh(y, y, MPFR_RNDN);
      break;
    case RCP:
      mpfr_ui_div(y, 1, y, MPFR_RNDN);
      break;
    case RSQRT:
      mpfr_rec_sqrt(y, y, MPFR_RNDN);
      break;
    case SQRT:
      mpfr_sqrt(y, y, MPFR_RNDN);
      break;
  }
  double value = mpfr_get_d(y, MPFR_RNDN);
  mpfr_clear(y);
  return value;
}
#else
static double exact(function what, double x) {
  switch (what) {
    case EX2:
      return exp2(x);
    case LG2:
      return log2(x);
    case SIN:
      return sin(x);
    case COS:
      return cos(x);
    case TANH:
      return tanh(x);
    case RCP:
      return 1 / x;
    case RSQRT:
      return 1 / sqrt(x);
    case SQRT:
      break;
  }
  return sqrt(x);
}
#endif

// The ISA's bounds (9.7.3.13 to 9.7.3.22), of relative or absolute error.
typedef struct bound {
  const char *name;
  function what;
  double from, to;  // inputs
  double relative, absolute;
} bound;

// |least|: results smaller than that have at least its absolute precision.
static void check_bound(const many *m, uint32_t output, const bound *b,
                        double least) {
  double worst = 0;
  uint32_t tried = 0;
  for (uint32_t i = 0; i < m->count; ++i) {
    double x = (double)as_float(m->in[0][i]);
    if (!(x >= b->from && x <= b->to)) continue;
    double want = exact(b->what, x);
    if (fabs(want) > 0x1.fffffep127 || fabs(want) < least) continue;
    double got = (double)as_float(m->out[output][i]);
    double error = fabs(got - want);
    if (b->relative > 0) error = error / fabs(want) / b->relative;
    if (b->absolute > 0) error /= b->absolute;
    if (!(error <= worst)) worst = error;
    ++tried;
  }
  if (!(worst <= 1) || tried < 1000) {
    fprintf(stderr, "%s: error %g of the bound (%u inputs)\n", b->name, worst,
            tried);
  }
  CHECK(worst <= 1);
  CHECK(tried >= 1000);
}

static void fill_spread(many *m, uint64_t seed) {
  m->count = 65536;
  for (uint32_t i = 0; i < m->count; ++i) {
    uint64_t bits = random_next(&seed);
    uint32_t exponent = i % 4 == 0 ? (uint32_t)(bits >> 40) % 255
                                   : 112 + (uint32_t)(bits >> 40) % 24;
    m->in[0][i] = (bits & 0x807fffffu) | exponent << 23;
    if (i % 16 == 1) {  // near 1, where lg2 is small
      m->in[0][i] = 0x3f800000u + (bits & 0xffff) - 0x8000u;
    }
    if (i < sizeof(many_edges32) / sizeof(many_edges32[0])) {
      m->in[0][i] = many_edges32[i];
    }
  }
}

static void test_errors(many *m) {
  static const bound bounds[] = {
      {"ex2.approx.f32", EX2, -126, 128, 0x1p-22, 0},
      {"lg2.approx.f32", LG2, 0x1p-149, 0x1p128, 0x1p-22, 0},
      {"sin.approx.f32", SIN, -6.2832, 6.2832, 0, 0x1p-20},
      {"cos.approx.f32", COS, -6.2832, 6.2832, 0, 0x1p-20},
      {"tanh.approx.f32", TANH, -100, 100, 0x1p-11, 0},
      {"rcp.approx.f32", RCP, 0x1p-126, 0x1p126, 0x1p-23, 0},
      {"rsqrt.approx.f32", RSQRT, 0x1p-149, 0x1p128, 0x1p-22, 0},
      {"sqrt.approx.f32", SQRT, 0x1p-149, 0x1p128, 0x1p-23, 0}};
  many_run(m,
           "ex2.approx.f32 %o0, %i0;\nlg2.approx.f32 %o1, %i0;\n"
           "sin.approx.f32 %o2, %i0;\ncos.approx.f32 %o3, %i0;\n"
           "tanh.approx.f32 %o4, %i0;\nrcp.approx.f32 %o5, %i0;\n"
           "rsqrt.approx.f32 %o6, %i0;\nsqrt.approx.f32 %o7, %i0;",
           "r", "rrrrrrrr");
  for (uint32_t k = 0; k < 8; ++k) {
    check_bound(m, k, &bounds[k], 0x1p-126);
  }
  // What docs/emulator.md promises beyond: half an ulp, or little more.
  for (uint32_t k = 0; k < 8; ++k) {
    bound own = bounds[k];
    own.absolute = 0;
    own.relative = 0x1.05p-24;
    if (k == SIN || k == COS) own.from = -0x1p20, own.to = 0x1p20;
    check_bound(m, k, &own, 0x1p-126);
  }
  // Up to 100 pi, and (by the library's own functions) anywhere.
  static const bound far_sin = {"sin far", SIN, -314, 314, 0, 0x1p-14};
  static const bound far_cos = {"cos far", COS, -314, 314, 0, 0x1p-14};
  static const bound huge = {"sin huge", SIN, 0x1p15, 0x1p127, 0, 0x1p-14};
  check_bound(m, 2, &far_sin, 0);
  check_bound(m, 3, &far_cos, 0);
  check_bound(m, 2, &huge, 0);
}

// --- Special inputs ---------------------------------------------------------

typedef struct special {
  uint32_t in, out[8];  // of ex2, lg2, sin, cos, tanh, rcp, rsqrt, sqrt
} special;
#define QNAN 0x7fffffffu
#define PINF 0x7f800000u
#define NINF 0xff800000u
#define ONE 0x3f800000u
#define NZERO 0x80000000u
// -Inf, -1, -0, +0, 1, +Inf, NaN: the same with .ftz.
static const special common[] = {
    {NINF, {0, QNAN, QNAN, QNAN, 0xbf800000u, NZERO, QNAN, QNAN}},
    {NZERO, {ONE, NINF, NZERO, ONE, NZERO, NINF, NINF, NZERO}},
    {0, {ONE, NINF, 0, ONE, 0, PINF, PINF, 0}},
    {PINF, {PINF, PINF, QNAN, QNAN, ONE, 0, 0, PINF}},
    {0x7fc00001u, {QNAN, QNAN, QNAN, QNAN, QNAN, QNAN, QNAN, QNAN}},
    {0xff800001u, {QNAN, QNAN, QNAN, QNAN, QNAN, QNAN, QNAN, QNAN}}};
// Subnormals with .ftz are zeros (tanh has none and returns them).
static const special flushed[] = {
    {0x00000001u, {ONE, NINF, 0, ONE, 1, PINF, PINF, 0}},
    {0x807fffffu, {ONE, NINF, NZERO, ONE, 0x807fffffu, NINF, NINF, NZERO}},
    {0x7f000001u, {PINF, 0x42fe0000u, 0, 0, ONE, 0, 0, 0}},  // 1/x subnormal
};
static void test_special(many *m) {
  memset(m->in[0], 0, 256 * sizeof(uint64_t));
  m->count = 256;
  for (uint32_t i = 0; i < 6; ++i) m->in[0][i] = common[i].in;
  for (uint32_t i = 0; i < 3; ++i) m->in[0][i + 6] = flushed[i].in;
  m->in[0][9] = ONE;
  m->in[0][10] = 0xbf800000u;
  m->in[0][11] = 0xc3150000u;  // -149
  m->in[0][12] = 0xc3160000u;  // -150
  m->in[0][13] = 0x43000000u;  // 128
  for (int ftz = 0; ftz < 2; ++ftz) {
    char body[1024];
    const char *f = ftz != 0 ? ".ftz" : "";
    snprintf(body, sizeof(body),
             "ex2.approx%s.f32 %%o0, %%i0;\nlg2.approx%s.f32 %%o1, %%i0;\n"
             "sin.approx%s.f32 %%o2, %%i0;\ncos.approx%s.f32 %%o3, %%i0;\n"
             "tanh.approx.f32 %%o4, %%i0;\nrcp.approx%s.f32 %%o5, %%i0;\n"
             "rsqrt.approx%s.f32 %%o6, %%i0;\nsqrt.approx%s.f32 %%o7, %%i0;\n",
             f, f, f, f, f, f, f);
    many_run(m, body, "r", "rrrrrrrr");
    for (uint32_t k = 0; k < 8; ++k) {
      for (uint32_t i = 0; i < 6; ++i) {
        CHECK_EQ(m->out[k][i], common[i].out[k]);
      }
      for (uint32_t i = 0; i < 3 && ftz != 0; ++i) {
        bool finite = i == 2 && k != EX2 && k != RCP;
        if (!finite) CHECK_EQ(m->out[k][i + 6], flushed[i].out[k]);
      }
    }
    CHECK_EQ(m->out[LG2][9], 0);
    CHECK_EQ(m->out[LG2][10], QNAN);
    CHECK_EQ(m->out[RSQRT][10], QNAN);
    CHECK_EQ(m->out[SQRT][10], QNAN);
    CHECK_EQ(m->out[EX2][11], ftz != 0 ? 0 : 1);
    CHECK_EQ(m->out[EX2][12], 0);  // 2^-150: halfway, to even
    CHECK_EQ(m->out[EX2][13], PINF);
    if (ftz == 0) {                           // subnormals count
      CHECK_EQ(m->out[LG2][6], 0xc3150000u);  // log2 2^-149
      CHECK_EQ(m->out[RSQRT][7], QNAN);
      CHECK_EQ(m->out[RCP][6], PINF);
      CHECK_EQ(m->out[RCP][8], 0x00400000u);
    }
  }
}

// --- 16-bit types: every input ----------------------------------------------

static void check_half(const many *m, uint32_t output, const narrow *n,
                       function what, bool ftz, double relative,
                       double absolute) {
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < m->count; ++i) {
    uint32_t x = (uint32_t)m->in[0][i], got = (uint32_t)m->out[output][i];
    if (ftz && (x & 0x7f80u) == 0) x &= 0x8000u;
    double in = (double)narrow_value(n, x);
    double result = (double)narrow_value(n, got);
    bool good;
    if (isnan(in)) {
      good = got == 0x7fff;
    } else if (isinf(in)) {
      double limit = what == EX2 ? (in > 0 ? INFINITY : 0) : copysign(1, in);
      good = result == limit;
    } else {
      double want = exact(what, in);
      // Rounding to the format's subnormals counts as half of their step.
      double step = (double)narrow_value(n, 1) / 2;
      double most = (double)narrow_value(n, n->largest);
      double error = fabs(result - want);
      good = want > most ? result >= most || isinf(result)
                         : error <= relative * fabs(want) + absolute + step;
      if (ftz && result == 0 && fabs(want) < 0x1p-126) good = true;
      if (in == 0)
        good = what == EX2 ? got == (n == &narrow_f16 ? 0x3c00u : 0x3f80u)
                           : got == x;
    }
    if (!good && ++wrong < 4) {
      fprintf(stderr, "input %#x gives %#x\n", x, got);
    }
  }
  CHECK(wrong == 0);
}
static void test_half(many *m) {
  m->count = 65536;
  for (uint32_t i = 0; i < m->count; ++i) m->in[0][i] = i;
  many_run(m,
           "ex2.approx.f16 %o0, %i0;\nex2.approx.ftz.bf16 %o1, %i0;\n"
           "tanh.approx.f16 %o2, %i0;\ntanh.approx.bf16 %o3, %i0;",
           "h", "hhhh");
  check_half(m, 0, &narrow_f16, EX2, false, 0x1p-9, 0);  // 2^-9.9
  check_half(m, 1, &narrow_bf16, EX2, true, 0x1p-7, 0);
  check_half(m, 2, &narrow_f16, TANH, false, 0, 0x1p-10);  // 2^-10.987
  check_half(m, 3, &narrow_bf16, TANH, false, 0, 0x1p-8);
  static uint64_t single[4][65536];
  for (int k = 0; k < 4; ++k) memcpy(single[k], m->out[k], sizeof(single[k]));
  for (uint32_t i = 0; i < m->count; ++i) m->in[0][i] = i | (i ^ 0x1234u) << 16;
  many_run(m,
           "ex2.approx.f16x2 %o0, %i0;\nex2.approx.ftz.bf16x2 %o1, %i0;\n"
           "tanh.approx.f16x2 %o2, %i0;\ntanh.approx.bf16x2 %o3, %i0;",
           "r", "rrrr");
  for (int k = 0; k < 4; ++k) {
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < m->count; ++i) {
      wrong += m->out[k][i] != (single[k][i] | single[k][i ^ 0x1234u] << 16);
    }
    CHECK_EQ(wrong, 0);
  }
}

// --- f64 --------------------------------------------------------------------

static void test_double(many *m) {
  uint64_t state = 3;
  m->count = 16384;
  for (uint32_t i = 0; i < m->count; ++i) {
    m->in[0][i] = many_value(&state, true, i < 256 ? 0 : (int)(i % 2) + 1);
  }
  many_run(m,
           "rcp.approx.ftz.f64 %o0, %i0;\nrsqrt.approx.ftz.f64 %o1, %i0;\n"
           "rsqrt.approx.f64 %o2, %i0;",
           "d", "ddd");
  uint32_t tried = 0;
  for (uint32_t i = 0; i < m->count; ++i) {
    double x = as_double(m->in[0][i]);
    for (int k = 0; k < 2; ++k) {
      double got = as_double(m->out[k][i]);
      CHECK_EQ(m->out[k][i] & 0xffffffffu, 0);
      // The lower half of the input does not count.
      double in = isnan(x) ? x : as_double(m->in[0][i] & ~UINT64_C(0xffffffff));
      if (fpclassify(x) == FP_SUBNORMAL) in = copysign(0, x);
      double want = k == 0 ? 1 / in : 1 / sqrt(in);
      if (isnan(want)) {
        CHECK(m->out[k][i] == UINT64_C(0x7fffffff00000000));
      } else if (isinf(want) || want == 0) {
        CHECK(got == want && signbit(got) == signbit(want));
      } else if (fpclassify(want) == FP_SUBNORMAL) {
        CHECK(got == 0);
      } else {
        CHECK(fabs(got / want - 1) < 0x1p-19);
        ++tried;
      }
    }
    double full = as_double(m->out[2][i]), want = 1 / sqrt(x);
    CHECK(isnan(want) ? isnan(full)
                      : full == want || fabs(full / want - 1) < 0x1p-50);
  }
  CHECK(tried > 10000);
}

static void test_bad_forms(many *m) {
  static const char *const bad[] = {
      "rcp.f32 %r0, %r1;",
      "rcp.approx.f64 %d0, %d1;",
      "rcp.rn.ftz.f64 %d0, %d1;",
      "rcp.rn.approx.f32 %r0, %r1;",
      "sqrt.f32 %r0, %r1;",
      "sqrt.approx.f64 %d0, %d1;",
      "rsqrt.f32 %r0, %r1;",
      "rsqrt.rn.f32 %r0, %r1;",
      "ex2.f32 %r0, %r1;",
      "ex2.approx.f64 %d0, %d1;",
      "lg2.approx.f16 %h0, %h1;",
      "sin.approx.f64 %d0, %d1;",
      "cos.f32 %r0, %r1;",
      "tanh.approx.ftz.f32 %r0, %r1;",
      "tanh.approx.f64 %d0, %d1;",
      "ex2.approx.sat.f32 %r0, %r1;",
      "sin.approx.f32 %r0, %r1, %r2;",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    CHECK(many_refused(m, "8.8", "sm_90a", bad[i]));
  }
}

int main(void) {
  many m;
  many_init(&m, "h100");
#ifndef TSR_HAVE_MPFR
  fprintf(stderr,
          "SKIPPED: MPFR as reference (built without it); the C "
          "library's functions instead\n");
#endif
  fill_spread(&m, 11);
  test_errors(&m);
  test_special(&m);
  test_half(&m);
  test_double(&m);
  test_bad_forms(&m);
  many_fini(&m);
  return test_finish();
}
