// SPDX-License-Identifier: Apache-2.0
// Arithmetic on f32 and f64 in every rounding mode against the processor's own
// (fesetround, with operands and results that are volatile, so that nothing
// moves across it), on edge values crossed and on random ones.
#include <fenv.h>
#include <math.h>

#include "bits.h"
#include "many.h"

static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD,
                            FE_UPWARD};
static const char *const mode_names[] = {"rn", "rz", "rm", "rp"};

typedef struct form {
  const char *name;
  int mode;
  bool ftz, sat;
} form;

static float flush(float value, bool ftz) {
  return ftz && fpclassify(value) == FP_SUBNORMAL ? copysignf(0, value) : value;
}
static uint32_t f32_result(float value, const form *f) {
  value = flush(value, f->ftz);
  if (f->sat) {
    if (isnan(value) || value <= 0) return 0;
    return tsr_float_bits(value > 1 ? 1 : value);
  }
  return isnan(value) ? 0x7fffffffu : tsr_float_bits(value);
}

static uint64_t f32_reference(const many *m, uint32_t i, const void *context) {
  const form *f = context;
  volatile float a = flush(as_float(m->in[0][i]), f->ftz);
  volatile float b = flush(as_float(m->in[1][i]), f->ftz);
  volatile float c = flush(as_float(m->in[2][i]), f->ftz);
  volatile float r = 0;
  fesetround(modes[f->mode]);
  if (strcmp(f->name, "add") == 0) r = a + b;
  if (strcmp(f->name, "sub") == 0) r = a - b;
  if (strcmp(f->name, "mul") == 0) r = a * b;
  if (strcmp(f->name, "div") == 0) r = a / b;
  if (strcmp(f->name, "fma") == 0) r = fmaf(a, b, c);
  if (strcmp(f->name, "mad") == 0) r = fmaf(a, b, c);
  if (strcmp(f->name, "rcp") == 0) r = 1.0f / a;
  if (strcmp(f->name, "sqrt") == 0) r = sqrtf(a);
  fesetround(FE_TONEAREST);
  return f32_result(r, f);
}
static uint64_t quieted(uint64_t bits) {
  return bits | UINT64_C(0x0008000000000000);
}
static uint64_t f64_reference(const many *m, uint32_t i, const void *context) {
  const form *f = context;
  volatile double a = as_double(m->in[0][i]), b = as_double(m->in[1][i]);
  volatile double c = as_double(m->in[2][i]), r = 0;
  int count = 2;
  fesetround(modes[f->mode]);
  if (strcmp(f->name, "add") == 0) r = a + b;
  if (strcmp(f->name, "sub") == 0) r = a - b;
  if (strcmp(f->name, "mul") == 0) r = a * b;
  if (strcmp(f->name, "div") == 0) r = a / b;
  if (strcmp(f->name, "fma") == 0 || strcmp(f->name, "mad") == 0) {
    r = fma(a, b, c);
    count = 3;
  }
  if (strcmp(f->name, "rcp") == 0) r = 1.0 / a, count = 1;
  if (strcmp(f->name, "sqrt") == 0) r = sqrt(a), count = 1;
  fesetround(FE_TONEAREST);
  double value = r;
  if (!isnan(value)) return double_bits(value);
  for (int k = 0; k < count; ++k) {
    if (isnan(as_double(m->in[k][i]))) return quieted(m->in[k][i]);
  }
  return UINT64_C(0xfff8000000000000);
}

// All modes (and flags, of f32) of one instruction in one kernel.
static void test_instruction(many *m, const char *name, uint32_t sources,
                             bool wide, bool sat) {
  static const char *const operands[] = {"%i0", "%i0, %i1", "%i0, %i1, %i2"};
  char body[4096] = "", outs[MANY_OUTPUTS + 1] = "";
  form forms[16];
  uint32_t count = 0;
  for (int mode = 0; mode < 4; ++mode) {
    for (int flags = 0; flags < (wide ? 1 : sat ? 4 : 2); ++flags) {
      forms[count] = (form){name, mode, (flags & 1) != 0, (flags & 2) != 0};
      char line[128];
      snprintf(line, sizeof(line), "%s.%s%s%s.%s %%o%u, %s;\n", name,
               mode_names[mode], forms[count].ftz ? ".ftz" : "",
               forms[count].sat ? ".sat" : "", wide ? "f64" : "f32", count,
               operands[sources - 1]);
      strcat(body, line);
      outs[count++] = wide ? 'd' : 'r';
    }
  }
  many_run(m, body, wide ? "ddd" : "rrr", outs);
  for (uint32_t k = 0; k < count; ++k) {
    char what[64];
    snprintf(what, sizeof(what), "%s.%s%s%s.%s", name,
             mode_names[forms[k].mode], forms[k].ftz ? ".ftz" : "",
             forms[k].sat ? ".sat" : "", wide ? "f64" : "f32");
    many_expect(what, m, k, wide ? f64_reference : f32_reference, &forms[k],
                sources);
  }
}

// Without a rounding mode .rn is meant.
static void test_default_mode(many *m) {
  static const form add = {"add", 0, false, false},
                    mul = {"mul", 0, true, true};
  many_run(m, "add.f32 %o0, %i0, %i1;\nmul.ftz.sat.f32 %o1, %i0, %i1;", "rr",
           "rr");
  many_expect("add.f32", m, 0, f32_reference, &add, 2);
  many_expect("mul.ftz.sat.f32", m, 1, f32_reference, &mul, 2);
}

// The program's own rounding mode does not matter, and stays.
static void test_callers_mode(many *m) {
  static const form add = {"add", 0, false, false};
  static const form div = {"div", 0, false, false};
  fesetround(FE_UPWARD);
  many_run(m, "add.f32 %o0, %i0, %i1;\ndiv.rn.f32 %o1, %i0, %i1;", "rr", "rr");
  CHECK(fegetround() == FE_UPWARD);
  fesetround(FE_TONEAREST);
  many_expect("add.f32 while rounding up", m, 0, f32_reference, &add, 2);
  many_expect("div.rn.f32 while rounding up", m, 1, f32_reference, &div, 2);
}

// --- min, max ---------------------------------------------------------------

typedef struct least_form {
  bool greatest, ftz, nan, xorsign, three, abs;
} least_form;

static float f32_pick(float a, float b, const least_form *f) {
  if (isnan(a) && isnan(b)) return NAN;
  if (f->nan && (isnan(a) || isnan(b))) return NAN;
  if (isnan(a)) return b;
  if (isnan(b)) return a;
  if (a == 0 && b == 0) {
    bool negative =
        f->greatest ? signbit(a) && signbit(b) : signbit(a) || signbit(b);
    return negative ? -0.0f : 0.0f;
  }
  return (f->greatest ? a > b : a < b) ? a : b;
}
static uint64_t least_reference(const many *m, uint32_t i,
                                const void *context) {
  const least_form *f = context;
  float a = flush(as_float(m->in[0][i]), f->ftz);
  float b = flush(as_float(m->in[1][i]), f->ftz);
  float c = flush(as_float(m->in[2][i]), f->ftz);
  bool sign = (signbit(a) != 0) != (signbit(b) != 0);
  if (f->xorsign || f->abs) a = fabsf(a), b = fabsf(b), c = fabsf(c);
  float r = f32_pick(a, b, f);
  if (f->three) r = f32_pick(r, c, f);
  if (isnan(r)) return 0x7fffffffu;
  return tsr_float_bits(f->xorsign && sign ? -r : r);
}
static void test_least(many *m) {
  char body[4096] = "", outs[17] = "";
  least_form forms[16];
  for (uint32_t k = 0; k < 16; ++k) {
    forms[k] = (least_form){(k & 1) != 0, (k & 2) != 0, (k & 4) != 0,
                            (k & 8) != 0, false,        false};
    char line[128];
    snprintf(line, sizeof(line), "%s%s%s%s.f32 %%o%u, %%i0, %%i1;\n",
             forms[k].greatest ? "max" : "min", forms[k].ftz ? ".ftz" : "",
             forms[k].nan ? ".NaN" : "", forms[k].xorsign ? ".xorsign.abs" : "",
             k);
    strcat(body, line);
    outs[k] = 'r';
  }
  many_run(m, body, "rr", outs);
  for (uint32_t k = 0; k < 16; ++k) {
    many_expect(forms[k].greatest ? "max.f32" : "min.f32", m, k,
                least_reference, &forms[k], 2);
  }
}
static uint64_t least64_reference(const many *m, uint32_t i,
                                  const void *context) {
  const least_form *f = context;
  uint64_t x = m->in[0][i], y = m->in[1][i];
  double a = as_double(x), b = as_double(y);
  if (isnan(a) && isnan(b)) return quieted(x);
  if (isnan(a)) return y;
  if (isnan(b)) return x;
  if (a == 0 && b == 0) return f->greatest ? x & y : x | y;
  return (f->greatest ? a > b : a < b) ? x : y;
}
static void test_least64(many *m) {
  static const least_form least = {.greatest = false},
                          most = {.greatest = true};
  many_run(m, "min.f64 %o0, %i0, %i1;\nmax.f64 %o1, %i0, %i1;", "dd", "dd");
  many_expect("min.f64", m, 0, least64_reference, &least, 2);
  many_expect("max.f64", m, 1, least64_reference, &most, 2);
}

// --- Signs and properties ---------------------------------------------------

static uint64_t sign_reference(const many *m, uint32_t i, const void *context) {
  int which = *(const int *)context;
  float a = flush(as_float(m->in[0][i]), which >= 2);
  if (isnan(a)) return 0x7fffffffu;
  return tsr_float_bits(which % 2 == 0 ? fabsf(a) : -a);
}
static uint64_t copysign_reference(const many *m, uint32_t i,
                                   const void *context) {
  (void)context;
  return (m->in[0][i] & 0x80000000u) | (m->in[1][i] & 0x7fffffffu);
}
static uint64_t testp_reference(const many *m, uint32_t i,
                                const void *context) {
  int which = *(const int *)context % 6;
  bool wide = *(const int *)context >= 6;
  double value = wide ? as_double(m->in[0][i]) : (double)0;
  int kind = wide ? fpclassify(value) : fpclassify(as_float(m->in[0][i]));
  switch (which) {
    case 0:
      return kind != FP_NAN && kind != FP_INFINITE;
    case 1:
      return kind == FP_INFINITE;
    case 2:
      return kind != FP_NAN;
    case 3:
      return kind == FP_NAN;
    case 4:
      return kind == FP_NORMAL || kind == FP_ZERO;
    default:
      return kind == FP_SUBNORMAL;
  }
}
static const char testp_body[] =
    "testp.finite.%s %%o0, %%i0;\ntestp.infinite.%s %%o1, %%i0;\n"
    "testp.number.%s %%o2, %%i0;\ntestp.notanumber.%s %%o3, %%i0;\n"
    "testp.normal.%s %%o4, %%i0;\ntestp.subnormal.%s %%o5, %%i0;\n";
static void test_signs(many *m) {
  many_run(m,
           "abs.f32 %o0, %i0;\nneg.f32 %o1, %i0;\nabs.ftz.f32 %o2, %i0;\n"
           "neg.ftz.f32 %o3, %i0;\ncopysign.f32 %o4, %i0, %i1;",
           "rr", "rrrrr");
  for (int k = 0; k < 4; ++k) {
    many_expect("abs/neg.f32", m, (uint32_t)k, sign_reference, &k, 1);
  }
  many_expect("copysign.f32", m, 4, copysign_reference, NULL, 2);
  char body[1024];
  const char *t = "f32";
  snprintf(body, sizeof(body), testp_body, t, t, t, t, t, t);
  many_run(m, body, "r", "pppppp");
  for (int k = 0; k < 6; ++k) {
    many_expect("testp.f32", m, (uint32_t)k, testp_reference, &k, 1);
  }
}
static void test_signs64(many *m) {
  many_run(m,
           "abs.f64 %o0, %i0;\nneg.f64 %o1, %i0;\n"
           "copysign.f64 %o2, %i0, %i1;",
           "dd", "ddd");
  uint64_t top = UINT64_C(1) << 63;
  for (uint32_t i = 0; i < m->count; ++i) {
    CHECK(m->out[0][i] == (m->in[0][i] & ~top));
    CHECK(m->out[1][i] == (m->in[0][i] ^ top));
    CHECK(m->out[2][i] == ((m->in[0][i] & top) | (m->in[1][i] & ~top)));
  }
  char body[1024];
  const char *t = "f64";
  snprintf(body, sizeof(body), testp_body, t, t, t, t, t, t);
  many_run(m, body, "d", "pppppp");
  for (int k = 0; k < 6; ++k) {
    int which = k + 6;
    many_expect("testp.f64", m, (uint32_t)k, testp_reference, &which, 1);
  }
}

// --- div.approx, div.full ---------------------------------------------------

static void test_div_approx(many *m) {
  many_run(m,
           "div.approx.f32 %o0, %i0, %i1;\ndiv.full.f32 %o1, %i0, %i1;\n"
           "div.approx.ftz.f32 %o2, %i0, %i1;",
           "rr", "rrr");
  for (uint32_t i = 0; i < m->count; ++i) {
    float a = as_float(m->in[0][i]), b = as_float(m->in[1][i]);
    uint32_t size = (uint32_t)m->in[1][i] & 0x7fffffffu;
    if (size > 0x7e800000u && size < 0x7f800000u) {  // above 2^126
      float r = as_float(m->out[0][i]);
      CHECK(isinf(a) || isnan(a) ? isnan(r) : r == 0);
    }
    volatile float quotient = a / b;
    if (isnan(quotient)) {
      CHECK_EQ(m->out[1][i], 0x7fffffff);
      CHECK_EQ(m->out[0][i], 0x7fffffff);
      continue;
    }
    int64_t distance = (int64_t)m->out[1][i] - tsr_float_bits(quotient);
    CHECK(distance >= -2 && distance <= 2);
    if (size <= 0x7e800000u && size >= 0x00800000u) {
      distance = (int64_t)m->out[0][i] - tsr_float_bits(quotient);
      CHECK(distance >= -2 && distance <= 2);
    }
    CHECK(fpclassify(as_float(m->out[2][i])) != FP_SUBNORMAL);
  }
}

// --- Forms ------------------------------------------------------------------

static void test_bad_forms(many *m) {
  static const char *const bad[] = {
      "fma.f32 %r0, %r1, %r2, %r3;",
      "mad.f32 %r0, %r1, %r2, %r3;",
      "mad.f64 %d0, %d1, %d2, %d3;",
      "div.f32 %r0, %r1, %r2;",
      "div.rn.approx.f32 %r0, %r1, %r2;",
      "div.full.sat.f32 %r0, %r1, %r2;",
      "div.f64 %d0, %d1, %d2;",
      "add.sat.f64 %d0, %d1, %d2;",
      "mul.ftz.f64 %d0, %d1, %d2;",
      "add.rn.rz.f32 %r0, %r1, %r2;",
      "add.relu.f32 %r0, %r1, %r2;",
      "add.rna.f32 %r0, %r1, %r2;",
      "add.f32 %r0, %r1;",
      "add.f32 %r0, %r1, %r2, %r3;",
      "add.f32 %d0, %r1, %r2;",
      "add.f32 %r0, %d1, %r2;",
      "add.tf32 %r0, %r1, %r2;",
      "min.NaN.f64 %d0, %d1, %d2;",
      "min.xorsign.f32 %r0, %r1, %r2;",
      "max.abs.f32 %r0, %r1, %r2;",
      "max.f32 %r0, %r1, %r2, %r3;",  // sm_100
      "add.f32.f16 %r0, %h1, %r2;",   // sm_100
      "testp.normal.f16 %p0, %h1;",
      "testp.f32 %p0, %r1;",
      "copysign.f16 %h0, %h1, %h2;",
      "neg.sat.f32 %r0, %r1;",
      "abs.ftz.f64 %d0, %d1;",
      "add.rn.f32 5, %r1, %r2;",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    CHECK(many_refused(m, "8.8", "sm_90a", bad[i]));
  }
  CHECK(many_refused(m, "8.0", "sm_80", "min.xorsign.abs.f32 %r0, %r1, %r2;"));
  CHECK(many_accepted(m, "8.8", "sm_90a", "add.f32 %r0, %r1, 0f3f800000;"));
  CHECK(many_accepted(m, "8.8", "sm_90a", "add.f64 %d0, %d1, 1.5;"));
}

// What needs sm_100, on a device of our own making.
static void test_newer(void) {
  many m;
  many_init(&m, "h100");
  tsr_device_model model = *m.e.device;
  model.sm_major = 10;
  m.e.device = &model;
  many_fill(&m, false, 4096, 5);
  many_run(&m,
           "max.f32 %o0, %i0, %i1, %i2;\nmin.ftz.NaN.abs.f32 %o1, %i0, %i1, "
           "%i2;\nmax.NaN.f32 %o2, %i0, %i1, %i2;",
           "rrr", "rrr");
  static const least_form forms[] = {{.greatest = true, .three = true},
                                     {false, true, true, false, true, true},
                                     {true, false, true, false, true, false}};
  for (uint32_t k = 0; k < 3; ++k) {
    many_expect("three operands", &m, k, least_reference, &forms[k], 3);
  }
  for (uint32_t i = 0; i < m.count; ++i) m.in[1][i] &= 0xffff;  // bf16
  many_run(&m,
           "{ .reg .b16 %h1, %hu; mov.b32 {%h1, %hu}, %i1;\n"
           "add.rz.f32.bf16 %o0, %h1, %i2;\nsub.sat.f32.bf16 %o1, %h1, %i2;\n"
           "fma.rp.f32.bf16 %o2, %h1, %h1, %i2; }",
           "rrr", "rrr");
  for (uint32_t i = 0; i < m.count; ++i) {
    m.in[0][i] = m.in[1][i] << 16;
    m.in[1][i] = m.in[2][i];
  }
  static const form add = {"add", 1, false, false},
                    sub = {"sub", 0, false, true};
  many_expect("add.f32.bf16", &m, 0, f32_reference, &add, 2);
  many_expect("sub.f32.bf16", &m, 1, f32_reference, &sub, 2);
  for (uint32_t i = 0; i < m.count; ++i) m.in[1][i] = m.in[0][i];
  static const form fused = {"fma", 3, false, false};
  many_expect("fma.f32.bf16", &m, 2, f32_reference, &fused, 3);
  many_fini(&m);
}

int main(void) {
  many m;
  many_init(&m, "h100");
  many_fill(&m, false, 16384, 1);
  test_instruction(&m, "add", 2, false, true);
  test_instruction(&m, "sub", 2, false, true);
  test_instruction(&m, "mul", 2, false, true);
  test_instruction(&m, "fma", 3, false, true);
  test_instruction(&m, "mad", 3, false, true);
  test_instruction(&m, "div", 2, false, false);
  test_instruction(&m, "rcp", 1, false, false);
  test_instruction(&m, "sqrt", 1, false, false);
  test_default_mode(&m);
  test_callers_mode(&m);
  test_least(&m);
  test_signs(&m);
  test_div_approx(&m);
  many_fill(&m, true, 16384, 2);
  test_instruction(&m, "add", 2, true, false);
  test_instruction(&m, "sub", 2, true, false);
  test_instruction(&m, "mul", 2, true, false);
  test_instruction(&m, "fma", 3, true, false);
  test_instruction(&m, "mad", 3, true, false);
  test_instruction(&m, "div", 2, true, false);
  test_instruction(&m, "rcp", 1, true, false);
  test_instruction(&m, "sqrt", 1, true, false);
  test_least64(&m);
  test_signs64(&m);
  test_bad_forms(&m);
  many_fini(&m);
  test_newer();
  return test_finish();
}
