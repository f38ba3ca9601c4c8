// SPDX-License-Identifier: Apache-2.0
// setp, set, selp and slct of every type and operator against C's own
// comparisons: integers as integers, floats as the compiler's floats (halves
// widened exactly by a formula).
#include <math.h>

#include "cases.h"

typedef enum type_kind { UNSIGNED, SIGNED, BITS, FLOAT } type_kind;

typedef struct compared {
  const char *name;
  char reg;
  type_kind kind;
  uint32_t bits;
} compared;

static const compared types[] = {
    {"u16", 'h', UNSIGNED, 16}, {"u32", 'r', UNSIGNED, 32},
    {"u64", 'd', UNSIGNED, 64}, {"s16", 'h', SIGNED, 16},
    {"s32", 'r', SIGNED, 32},   {"s64", 'd', SIGNED, 64},
    {"b16", 'h', BITS, 16},     {"b32", 'r', BITS, 32},
    {"b64", 'd', BITS, 64},     {"f16", 'h', FLOAT, 16},
    {"bf16", 'h', FLOAT, 17},   {"f32", 'r', FLOAT, 32},
    {"f64", 'd', FLOAT, 64},
};
enum { TYPE_COUNT = sizeof(types) / sizeof(types[0]) };

static const char *const operators[] = {
    "eq", "ne",  "lt",  "le",  "gt",  "ge",  "lo",  "ls",  "hi",
    "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
enum { OPERATOR_COUNT = sizeof(operators) / sizeof(operators[0]) };

static bool has_operator(const compared *type, uint32_t index) {
  switch (type->kind) {
    case UNSIGNED:
      return index < 10;
    case SIGNED:
      return index < 6;
    case BITS:
      return index < 2;
    default:
      return index < 6 || index > 9;
  }
}

// A binary16 (or bfloat16) as a double, from sign, exponent and fraction.
static double half_value(uint32_t bits, uint32_t fraction_bits, bool ftz) {
  uint32_t fraction = bits & ((1u << fraction_bits) - 1);
  uint32_t exponent = (bits & 0x7fff) >> fraction_bits;
  uint32_t top = (1u << (15 - fraction_bits)) - 1;
  int bias = (int)(top / 2);
  double value;
  if (exponent == top) {
    value = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = ftz ? 0 : ldexp(fraction, 1 - bias - (int)fraction_bits);
  } else {
    value = ldexp(fraction + (1u << fraction_bits),
                  (int)exponent - bias - (int)fraction_bits);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

static double float_value(const compared *type, uint64_t bits, bool ftz) {
  if (type->bits == 16) return half_value((uint32_t)bits, 10, ftz);
  if (type->bits == 17) return half_value((uint32_t)bits, 7, false);
  if (type->bits == 64) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
  }
  float value;
  uint32_t narrow = (uint32_t)bits;
  memcpy(&value, &narrow, sizeof(value));
  return ftz && fpclassify(value) == FP_SUBNORMAL ? 0.0 : (double)value;
}

static bool float_result(double a, double b, uint32_t index) {
  bool unordered = isnan(a) || isnan(b);
  switch (index) {
    case 0:
      return !unordered && !(a < b) && !(a > b);
    case 1:
      return a < b || a > b;
    case 2:
      return a < b;
    case 3:
      return a <= b;
    case 4:
      return a > b;
    case 5:
      return a >= b;
    case 16:
      return !unordered;
    case 17:
      return unordered;
    default:  // equ .. geu
      return unordered || float_result(a, b, index - 10);
  }
}

static int64_t as_signed(uint64_t value, uint32_t bits) {
  uint64_t top = UINT64_C(1) << (bits - 1);
  return (int64_t)((value ^ top) - top);
}

static bool result_of(const compared *type, uint32_t index, uint64_t a,
                      uint64_t b, bool ftz) {
  if (type->kind == FLOAT) {
    return float_result(float_value(type, a, ftz), float_value(type, b, ftz),
                        index);
  }
  int64_t x = as_signed(a, type->bits), y = as_signed(b, type->bits);
  bool is_signed = type->kind == SIGNED;
  bool less = is_signed ? x < y : a < b;
  switch (index) {
    case 0:
      return a == b;
    case 1:
      return a != b;
    case 2:
    case 6:
      return less;
    case 3:
    case 7:
      return less || a == b;
    case 4:
    case 8:
      return !less && a != b;
    default:
      return !less;
  }
}

// Edges of floats, by width: zeros, subnormals, one, infinities, NaNs.
static uint64_t float_edge(uint32_t bits, uint32_t index) {
  static const uint16_t half[] = {0,      0x8000, 1,      0x8001, 0x03ff,
                                  0x83ff, 0x0400, 0x3c00, 0xbc00, 0x7bff,
                                  0x7c00, 0xfc00, 0x7c01, 0xfe00, 0x7e00};
  static const uint16_t brain[] = {0,      0x8000, 1,      0x8001, 0x007f,
                                   0x807f, 0x0080, 0x3f80, 0xbf80, 0x7f7f,
                                   0x7f80, 0xff80, 0x7f81, 0xffc0, 0x7fc0};
  static const uint32_t single[] = {
      0,          0x80000000, 1,          0x80000001, 0x007fffff,
      0x807fffff, 0x00800000, 0x3f800000, 0xbf800000, 0x7f7fffff,
      0x7f800000, 0xff800000, 0x7f800001, 0xffc00000, 0x7fc00000};
  index %= 15;
  if (bits == 16) return half[index];
  if (bits == 17) return brain[index];
  if (bits == 32) return single[index];
  uint64_t high = single[index];
  // The same classes in binary64.
  uint64_t sign = high >> 31 << 63, exponent = high >> 23 & 255;
  uint64_t fraction = high & 0x7fffff;
  if (exponent == 255) exponent = 2047;
  if (exponent == 127) exponent = 1023;
  if (exponent == 254) exponent = 2046;
  return sign | exponent << 52 | fraction << 29 | (fraction != 0 ? 1 : 0);
}

static uint64_t input(const compared *type, uint64_t *state, uint32_t n,
                      uint32_t k) {
  uint32_t edges = type->kind == FLOAT ? 15 : 16;
  uint32_t bits = type->bits == 17 ? 16 : type->bits;
  uint32_t index = k == 0 ? n / edges : n % edges;
  uint64_t random = random_next(state);
  bool edge = n < edges * edges || random % 4 == 0;
  if (!edge) return case_cut(random_next(state), bits);
  if (n >= edges * edges) index = (uint32_t)(random >> 8);
  return type->kind == FLOAT ? float_edge(type->bits, index)
                             : case_cut(case_edge(index, bits), bits);
}

enum { ROUNDS = 9 };

static void fill(const compared *type, uint64_t in[3][32], uint32_t round,
                 uint64_t *state) {
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t k = 0; k < 2; ++k) {
      in[k][lane] = input(type, state, round * 32 + lane, k);
    }
    in[2][lane] = random_next(state) & 1;
  }
}

static void expect(const char *body, const uint64_t in[3][32], uint32_t lane,
                   uint64_t actual, uint64_t expected) {
  ++test_checks;
  if (actual == expected) return;
  if (++test_failures > 40) return;
  fprintf(stderr,
          "%s\n  of %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ": %#" PRIx64
          ", expected %#" PRIx64 "\n",
          body, in[0][lane], in[1][lane], in[2][lane], actual, expected);
}

// p|q of one type, operator and combination.
static void check_setp(emu *e, const compared *type, uint32_t index,
                       const char *combine, bool ftz, uint64_t *state) {
  char body[128], ins[4] = {type->reg, type->reg, 'p', '\0'};
  bool half = type->bits < 32 && type->kind == FLOAT;
  (void)snprintf(body, sizeof(body), "setp.%s%s%s%s.%s %%o0%s, %%i0, %%i1%s;",
                 operators[index], *combine == '\0' ? "" : ".", combine,
                 ftz ? ".ftz" : "", type->name, half ? "" : "|%o1",
                 *combine == '\0' ? "" : ", %i2");
  for (uint32_t round = 0; round < ROUNDS; ++round) {
    uint64_t in[3][32], out[2][32];
    fill(type, in, round, state);
    CHECK(emu_lanes(e, NULL, body, ins, (const uint64_t(*)[32])in,
                    half ? "p" : "pp", out));
    for (uint32_t i = 0; i < 32; ++i) {
      bool t = result_of(type, index, in[0][i], in[1][i], ftz), u = !t;
      bool c = in[2][i] != 0;
      if (strcmp(combine, "and") == 0) t = t && c, u = u && c;
      if (strcmp(combine, "or") == 0) t = t || c, u = u || c;
      if (strcmp(combine, "xor") == 0) t = t != c, u = u != c;
      expect(body, (const uint64_t(*)[32])in, i, out[0][i], t);
      if (!half) expect(body, (const uint64_t(*)[32])in, i, out[1][i], u);
    }
  }
}

static void check_all_setp(emu *e) {
  static const char *const combines[] = {"and", "or", "xor"};
  uint64_t state = 1;
  for (uint32_t t = 0; t < TYPE_COUNT; ++t) {
    bool can_flush =
        strcmp(types[t].name, "f32") == 0 || strcmp(types[t].name, "f16") == 0;
    for (uint32_t k = 0; k < OPERATOR_COUNT; ++k) {
      if (!has_operator(&types[t], k)) continue;
      check_setp(e, &types[t], k, "", false, &state);
      if (can_flush) check_setp(e, &types[t], k, "", true, &state);
      check_setp(e, &types[t], k, combines[k % 3], false, &state);
    }
  }
}

// Packed halves: p of the low ones, q of the high ones.
static void check_packed(emu *e, const char *name, uint32_t bits, bool ftz) {
  const compared type = {name, 'r', FLOAT, bits};
  uint64_t state = 7;
  for (uint32_t k = 0; k < OPERATOR_COUNT; ++k) {
    char body[128];
    if (!has_operator(&type, k)) continue;
    (void)snprintf(body, sizeof(body),
                   "setp.%s.xor%s.%s %%o0|%%o1, %%i0, %%i1,"
                   " %%i2;",
                   operators[k], ftz ? ".ftz" : "", name);
    for (uint32_t round = 0; round < ROUNDS; ++round) {
      uint64_t low[3][32], in[3][32], out[2][32];
      fill(&type, low, round, &state);
      fill(&type, in, round + 3, &state);
      for (uint32_t i = 0; i < 32; ++i) {
        for (uint32_t j = 0; j < 2; ++j) in[j][i] = in[j][i] << 16 | low[j][i];
      }
      CHECK(emu_lanes(e, NULL, body, "rrp", (const uint64_t(*)[32])in, "pp",
                      out));
      for (uint32_t i = 0; i < 32; ++i) {
        bool c = in[2][i] != 0;
        bool p = result_of(&type, k, in[0][i] & 0xffff, in[1][i] & 0xffff, ftz);
        bool q = result_of(&type, k, in[0][i] >> 16, in[1][i] >> 16, ftz);
        expect(body, (const uint64_t(*)[32])in, i, out[0][i], p != c);
        expect(body, (const uint64_t(*)[32])in, i, out[1][i], q != c);
      }
    }
  }
}

// --- set, selp, slct --------------------------------------------------------

#define REFERENCE(NAME, EXPRESSION)                                      \
  static uint64_t NAME(uint64_t a, uint64_t b, uint64_t c, uint64_t d) { \
    (void)a, (void)b, (void)c, (void)d;                                  \
    return (uint64_t)(EXPRESSION);                                       \
  }
static bool half_less(uint64_t a, uint64_t b, uint32_t fraction) {
  return half_value((uint32_t)a & 0xffff, fraction, false) <
         half_value((uint32_t)b & 0xffff, fraction, false);
}
static float single(uint64_t bits) {
  uint32_t narrow = (uint32_t)bits;
  float value;
  memcpy(&value, &narrow, sizeof(value));
  return value;
}
REFERENCE(set_u32, a < b ? 0xffffffff : 0)
REFERENCE(set_f32, (int32_t)(uint32_t)a < (int32_t)(uint32_t)b ? 0x3f800000 : 0)
REFERENCE(set_and, a < b && c != 0 ? 0xffffffff : 0)
REFERENCE(set_from_f32, single(a) < single(b) ? 0xffffffff : 0)
REFERENCE(set_f16, half_less(a, b, 10) ? 0x3c00 : 0)
REFERENCE(set_bf16, half_less(a, b, 7) ? 0x3f80 : 0)
REFERENCE(set_u16_f16, half_less(a, b, 10) ? 0xffff : 0)
REFERENCE(set_u32_f16, half_less(a, b, 10) ? 0xffffffff : 0)
REFERENCE(set_f16x2, (half_less(a, b, 10) ? 0x3c00 : 0) |
                         (half_less(a >> 16, b >> 16, 10) ? 0x3c000000 : 0))
REFERENCE(set_u32_bf16x2,
          (half_less(a, b, 7) ? 0xffffu : 0) |
              (half_less(a >> 16, b >> 16, 7) ? 0xffff0000u : 0))
REFERENCE(selp, c != 0 ? a : b)
REFERENCE(selp_not, c == 0 ? a : b)
REFERENCE(slct_s32, (int32_t)(uint32_t)c >= 0 ? a : b)
REFERENCE(slct_f32, single(c) >= 0 ? a : b)
REFERENCE(slct_ftz,
          single(c) >= 0 || fpclassify(single(c)) == FP_SUBNORMAL ? a : b)

static const lane_case choices[] = {
    {"set.lt.u32.u32 %o0, %i0, %i1;", "rr", "r", set_u32, NULL},
    {"set.lo.s32.u64 %o0, %i0, %i1;", "dd", "r", set_u32, NULL},
    {"set.lt.f32.s32 %o0, %i0, %i1;", "rr", "r", set_f32, NULL},
    {"set.lt.and.u32.u16 %o0, %i0, %i1, %i2;", "hhp", "r", set_and, NULL},
    {"set.lt.u32.f32 %o0, %i0, %i1;", "rr", "r", set_from_f32, NULL},
    {"set.lt.f16.f16 %o0, %i0, %i1;", "hh", "h", set_f16, NULL},
    {"set.lt.bf16.bf16 %o0, %i0, %i1;", "hh", "h", set_bf16, NULL},
    {"set.lt.u16.f16 %o0, %i0, %i1;", "hh", "h", set_u16_f16, NULL},
    {"set.lt.u32.f16 %o0, %i0, %i1;", "hh", "r", set_u32_f16, NULL},
    {"set.lt.f16x2.f16x2 %o0, %i0, %i1;", "rr", "r", set_f16x2, NULL},
    {"set.lt.u32.bf16x2 %o0, %i0, %i1;", "rr", "r", set_u32_bf16x2, NULL},
    {"selp.b16 %o0, %i0, %i1, %i2;", "hhp", "h", selp, NULL},
    {"selp.s32 %o0, %i0, %i1, %i2;", "rrp", "r", selp, NULL},
    {"selp.b64 %o0, %i0, %i1, %i2;", "ddp", "d", selp, NULL},
    {"selp.b32 %o0, %i0, %i1, !%i2;", "rrp", "r", selp_not, NULL},
    {"slct.u16.s32 %o0, %i0, %i1, %i2;", "hhr", "h", slct_s32, NULL},
    {"slct.b32.s32 %o0, %i0, %i1, %i2;", "rrr", "r", slct_s32, NULL},
    {"slct.s64.s32 %o0, %i0, %i1, %i2;", "ddr", "d", slct_s32, NULL},
    {".reg .f32 %c; mov.b32 %c, %i2; slct.u32.f32 %o0, %i0, %i1, %c;", "rrr",
     "r", slct_f32, NULL},
    {".reg .f32 %c; mov.b32 %c, %i2; slct.ftz.u64.f32 %o0, %i0, %i1, %c;",
     "ddr", "d", slct_ftz, NULL},
};

static const refused_case refused[] = {
    {"setp.lt.u32 %p1|_, %r1, 5;", NULL},
    {"setp.u32 %p1, %r1, %r2;",
     "ptx(7,1): error: a comparison such as '.lt' expected\n"},
    {"setp.lt.b32 %p1, %r1, %r2;",
     "ptx(7,1): error: no comparison '.lt' of type '.b32'\n"},
    {"setp.lo.s32 %p1, %r1, %r2;",
     "ptx(7,1): error: no comparison '.lo' of type '.s32'\n"},
    {"setp.ltu.s32 %p1, %r1, %r2;",
     "ptx(7,1): error: no comparison '.ltu' of type '.s32'\n"},
    {"setp.hs.f32 %p1, %f1, %f2;",
     "ptx(7,1): error: no comparison '.hs' of type '.f32'\n"},
    {"setp.lt.ftz.f64 %p1, %d1, %d2;",
     "ptx(7,1): error: no '.ftz' for type '.f64'\n"},
    {"setp.lt.ftz.s32 %p1, %r1, %r2;",
     "ptx(7,1): error: no '.ftz' for type '.s32'\n"},
    {"setp.lt.ftz.bf16 %p1, %h1, %h2;",
     "ptx(7,1): error: no '.ftz' for type '.bf16'\n"},
    {"setp.lt.s32 %p1, %r1, %r2, %p2;",
     "ptx(7,1): error: 'setp' takes 3 operands, not 4\n"},
    {"setp.lt.and.s32 %p1, %r1, %r2;",
     "ptx(7,1): error: 'setp' takes 4 operands, not 3\n"},
    {"setp.lt.and.s32 %p1, %r1, %r2, %r3;",
     "ptx(7,32): error: '%r3' is .b32 where .pred is expected\n"},
    {"setp.lt.f16 %p1|%p2, %h1, %h2;",
     "ptx(7,13): error: expected one predicate\n"},
    {"setp.lt.s32 %r1, %r2, %r3;",
     "ptx(7,13): error: '%r1' is .b32 where .pred is expected\n"},
    {"setp.lt.s8 %p1, %b1, %b2;",
     "ptx(7,1): error: no form of 'setp' for type '.s8'\n"},
    {"setp.lt.s32 _, %r1, %r2;", "ptx(7,13): error: '_' is not allowed here\n"},
    {"set.lt.u16.s32 %h1, %r1, %r2;",
     "ptx(7,1): error: no form of 'set' from '.s32' to '.u16'\n"},
    {"set.lt.f32.f16 %f1, %h1, %h2;",
     "ptx(7,1): error: no form of 'set' from '.f16' to '.f32'\n"},
    {"set.lt.u32 %r1, %r2, %r3;", "ptx(7,1): error: type expected\n"},
    {"selp.pred %p1, %p2, %p3, %p4;",
     "ptx(7,1): error: no form of 'selp' for type '.pred'\n"},
    {"selp.f16 %h1, %h2, %h3, %p1;",
     "ptx(7,1): error: no form of 'selp' for type '.f16'\n"},
    {"selp.b32 %r1, %r2, %r3, %r4;",
     "ptx(7,25): error: '%r4' is .b32 where .pred is expected\n"},
    {"slct.u32.u32 %r1, %r2, %r3, %r4;",
     "ptx(7,1): error: no form of 'slct' by type '.u32'\n"},
    {"slct.ftz.u32.s32 %r1, %r2, %r3, %r4;",
     "ptx(7,1): error: no form of 'slct.ftz' by type '.s32'\n"},
};

int main(void) {
  emu e;
  emu_init(&e, "h100");
  check_all_setp(&e);
  check_packed(&e, "f16x2", 16, false);
  check_packed(&e, "f16x2", 16, true);
  check_packed(&e, "bf16x2", 17, false);
  case_run_all(&e, choices, sizeof(choices) / sizeof(choices[0]));
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
    case_refused(&e, &refused[i]);
  }
  emu_fini(&e);
  return test_finish();
}
