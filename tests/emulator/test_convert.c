// SPDX-License-Identifier: Apache-2.0
// cvt among all scalars and packed types. A value of any type is exact in long
// double; references round it to integers with the C library, to 16 bits and
// fewer by looking for the neighbours, to f32 and f64 with the processor's own
// rounding (fesetround, on volatile objects).
#include <fenv.h>

#include "formats.h"
#include "many.h"

enum { U8, U16, U32, U64, S8, S16, S32, S64, F16, BF16, F32, F64, TYPES };
typedef struct type {
  const char *name;
  char letter;  // of its register
  int bits;
  bool is_float, is_signed;
} type;
static const type types[] = {
    {"u8", 'h', 8, false, false},   {"u16", 'h', 16, false, false},
    {"u32", 'r', 32, false, false}, {"u64", 'd', 64, false, false},
    {"s8", 'h', 8, false, true},    {"s16", 'h', 16, false, true},
    {"s32", 'r', 32, false, true},  {"s64", 'd', 64, false, true},
    {"f16", 'h', 16, true, true},   {"bf16", 'h', 16, true, true},
    {"f32", 'r', 32, true, true},   {"f64", 'd', 64, true, true}};

typedef struct conversion {
  int to, from;
  int round;  // -1 none, 0..3 rn rz rm rp, 4 rna
  bool integral, ftz, sat, relu, satfinite;
} conversion;

static uint64_t keep(uint64_t bits, int width) {
  return width == 64 ? bits : bits & ((UINT64_C(1) << width) - 1);
}
static long double f32_value(uint64_t bits) {
  uint32_t word = (uint32_t)bits;
  float value;
  memcpy(&value, &word, sizeof(value));
  return (long double)value;
}
static long double value_of(uint64_t bits, int from) {
  bits = keep(bits, types[from].bits);
  double wide;
  switch (from) {
    case F16:
      return narrow_value(&narrow_f16, (uint32_t)bits);
    case BF16:
      return narrow_value(&narrow_bf16, (uint32_t)bits);
    case F32:
      return f32_value(bits);
    case F64:
      memcpy(&wide, &bits, sizeof(wide));
      return (long double)wide;
    default:
      break;
  }
  if (!types[from].is_signed) return (long double)bits;
  int shift = 64 - types[from].bits;
  int64_t value;
  bits <<= shift;
  memcpy(&value, &bits, sizeof(value));
  return (long double)(value / ((int64_t)1 << (shift == 0 ? 0 : shift - 1)) /
                       (shift == 0 ? 1 : 2));
}

static long double integral(long double value, int round) {
  switch (round) {
    case 1:
      return truncl(value);
    case 2:
      return floorl(value);
    case 3:
      return ceill(value);
    default:
      return rintl(value);  // in the default mode: to nearest even
  }
}
static uint64_t to_integer(long double value, const conversion *c) {
  const type *to = &types[c->to];
  if (isnan(value)) {
    bool zero = c->from != F64 && to->bits < 64;
    return zero ? 0 : UINT64_C(1) << (to->bits - 1);
  }
  if (c->round >= 0) value = integral(value, c->round);
  long double most = ldexpl(1, to->bits - (to->is_signed ? 1 : 0)) - 1;
  long double least = to->is_signed ? -most - 1 : 0;
  if (value < least) value = least;
  if (value > most) value = most;
  return value < 0 ? keep((uint64_t)(int64_t)value, to->bits) : (uint64_t)value;
}
static const int fenv_modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD,
                                 FE_UPWARD};
static uint64_t f32_bits(long double value, int round, bool ftz) {
  volatile long double from = value;
  volatile float to;
  fesetround(fenv_modes[round < 0 ? 0 : round]);
  to = (float)from;
  fesetround(FE_TONEAREST);
  float result = to;
  if (isnan(result)) return 0x7fffffffu;
  if (ftz && fpclassify(result) == FP_SUBNORMAL) result = copysignf(0, result);
  uint32_t bits;
  memcpy(&bits, &result, sizeof(bits));
  return bits;
}
static uint64_t f64_bits(long double value, int round) {
  volatile long double from = value;
  volatile double to;
  fesetround(fenv_modes[round < 0 ? 0 : round]);
  to = (double)from;
  fesetround(FE_TONEAREST);
  double result = to;
  uint64_t bits;
  memcpy(&bits, &result, sizeof(bits));
  return bits;
}
static uint64_t reference(const many *m, uint32_t i, const void *context) {
  const conversion *c = context;
  uint64_t in = m->in[0][i];
  long double value = value_of(in, c->from);
  if (!types[c->to].is_float && !types[c->from].is_float && !c->sat) {
    uint64_t wide = value < 0 ? (uint64_t)(int64_t)value : (uint64_t)value;
    return keep(wide, types[c->to].bits);
  }
  if (c->ftz && c->from == F32 && fabsl(value) < 0x1p-126L) {
    value = copysignl(0, value);
  }
  if (!types[c->to].is_float) return to_integer(value, c);
  if (c->integral) value = copysignl(integral(value, c->round), value);
  if (c->sat) {
    if (isnan(value) || value <= 0) value = 0;
    if (value > 1) value = 1;
  }
  if (c->relu && !isnan(value) && signbit(value)) value = 0;
  int round = c->round < 0 || c->integral ? 0 : c->round;
  switch (c->to) {
    case F16:
      return narrow_round(&narrow_f16, value, round, c->satfinite);
    case BF16:
      return narrow_round(&narrow_bf16, value, round, c->satfinite);
    case F32:
      return f32_bits(value, round, c->ftz);
    default:
      break;
  }
  return f64_bits(value, round);
}

static void print(char *text, size_t size, const conversion *c,
                  uint32_t output) {
  static const char *const rounds[] = {".rn", ".rz", ".rm", ".rp"};
  snprintf(text, size, "cvt%s%s%s%s%s%s.%s.%s %%o%u, %%i0;\n",
           c->round < 0 ? "" : rounds[c->round], c->integral ? "i" : "",
           c->ftz ? ".ftz" : "", c->sat ? ".sat" : "", c->relu ? ".relu" : "",
           c->satfinite ? ".satfinite" : "", types[c->to].name,
           types[c->from].name, output);
}

// Bit patterns that are interesting to every type.
static void fill(many *m, int from) {
  uint64_t state = 77 + (uint64_t)from;
  m->count = types[from].bits <= 16 ? 1u << types[from].bits : 8192;
  for (uint32_t i = 0; i < m->count; ++i) {
    uint64_t bits = random_next(&state), pick = random_next(&state);
    if (types[from].bits <= 16) {
      bits = i;
    } else if (i < 512 || !types[from].is_float) {
      bool wide = types[from].bits == 64;
      if (i % 2 == 0) {
        bits = wide ? many_edges64[i / 2 % (sizeof(many_edges64) / 8)]
                    : many_edges32[i / 2 % (sizeof(many_edges32) / 4)];
      }
      if (!types[from].is_float && i % 2 != 0) bits >>= pick % 64;
      if (!types[from].is_float && i % 4 == 1) bits = 0 - bits;
    } else if (from == F32) {
      // Halves of integers, values about 16-bit formats' limits, any.
      uint64_t exponent = i % 3 == 0 ? 126 + pick % 40 : 100 + pick % 60;
      if (i % 3 == 0) bits &= ~(UINT64_C(0xffffffff) >> (9 + pick % 16));
      if (i % 3 != 2) bits = (bits & 0x807fffff) | exponent << 23;
    } else {
      uint64_t exponent = i % 3 == 0 ? 1022 + pick % 70 : 880 + pick % 300;
      if (i % 3 == 0) bits &= ~(UINT64_MAX >> (12 + pick % 40));
      if (i % 3 != 2) bits = (bits & ~(UINT64_C(0x7ff) << 52)) | exponent << 52;
    }
    m->in[0][i] = keep(bits, types[from].bits);
  }
}

enum { INTEGRAL = 1, FTZ = 2, SAT = 4, RELU = 8, SATFINITE = 16 };
static conversion form(int to, int from, int round, int flags) {
  conversion c = {.to = to,
                  .from = from,
                  .round = round,
                  .integral = (flags & INTEGRAL) != 0,
                  .ftz = (flags & FTZ) != 0,
                  .sat = (flags & SAT) != 0,
                  .relu = (flags & RELU) != 0,
                  .satfinite = (flags & SATFINITE) != 0};
  return c;
}
static uint32_t add_rounded(conversion *out, uint32_t count, int to, int from,
                            int flags) {
  for (int r = 0; r < 4; ++r) out[count++] = form(to, from, r, flags);
  return count;
}
// Same rules as the ISA's table of roundings, written as a list of cases.
static uint32_t forms_of(int to, int from, conversion *out) {
  uint32_t n = 0;
  bool brain = to == BF16 || from == BF16;
  bool into = !types[to].is_float && types[from].is_float;
  bool outof = types[to].is_float && !types[from].is_float;
  bool floats = types[to].is_float && types[from].is_float;
  int ftz = to == F32 || from == F32 ? FTZ : 0;
  if (into || (floats && to == from)) {
    n = add_rounded(out, n, to, from, INTEGRAL);
    if (ftz != 0 && !brain) {
      n = add_rounded(out, n, to, from, INTEGRAL | FTZ);
      n = add_rounded(out, n, to, from, INTEGRAL | FTZ | SAT);
    }
  }
  if (outof || (floats && types[to].bits < types[from].bits) ||
      (brain && floats && to != from)) {
    n = add_rounded(out, n, to, from, 0);
    if (!brain) n = add_rounded(out, n, to, from, ftz | SAT);
    if (ftz != 0) n = add_rounded(out, n, to, from, FTZ);
  }
  if (floats && types[to].bits >= types[from].bits) {
    out[n++] = form(to, from, -1, 0);
    if (!brain) out[n++] = form(to, from, -1, SAT);
    if (ftz != 0) out[n++] = form(to, from, -1, FTZ);
  }
  if (floats && from == F32 && (to == F16 || to == BF16)) {
    for (int r = 0; r < 2; ++r) {
      out[n++] = form(to, from, r, RELU);
      out[n++] = form(to, from, r, SATFINITE);
      out[n++] = form(to, from, r, RELU | SATFINITE);
    }
  }
  if (!into && !outof && !floats) {
    out[n++] = form(to, from, -1, 0);
    bool same = types[to].is_signed == types[from].is_signed;
    bool narrower = types[to].bits < types[from].bits;
    bool can =
        same ? narrower
             : types[from].is_signed || types[to].bits <= types[from].bits;
    if (can) out[n++] = form(to, from, -1, SAT);
  }
  return n;
}
static void test_pair(many *m, int to, int from) {
  conversion forms[MANY_OUTPUTS];
  char body[4096] = "", outs[MANY_OUTPUTS + 1] = "", line[128];
  bool byte = types[to].bits == 8 || types[from].bits == 8;
  if (byte && (to == BF16 || from == BF16)) return;  // needs .b8 registers
  uint32_t count = forms_of(to, from, forms);
  CHECK(count > 0);
  for (uint32_t k = 0; k < count; ++k) {
    print(line, sizeof(line), &forms[k], k);
    strcat(body, line);
    outs[k] = types[to].letter;
  }
  char ins[2] = {types[from].letter, '\0'};
  many_run(m, body, ins, outs);
  for (uint32_t k = 0; k < count; ++k) {
    print(line, sizeof(line), &forms[k], k);
    if (types[to].bits == 8 && types[to].is_signed) {
      // A 16-bit register takes the sign.
      uint32_t wrong = 0;
      for (uint32_t i = 0; i < m->count; ++i) {
        uint64_t low = m->out[k][i] & 0xff;
        wrong += m->out[k][i] != (low | ((low & 0x80) != 0 ? 0xff00 : 0));
        m->out[k][i] = low;
      }
      CHECK_EQ(wrong, 0);
    }
    if (to == F64) {  // payloads of NaNs are the document's to say
      for (uint32_t i = 0; i < m->count; ++i) {
        bool nan = isnan(value_of(m->out[k][i], F64));
        bool same = nan && isnan(value_of(m->in[0][i], from));
        if (same) m->out[k][i] = reference(m, i, &forms[k]);
      }
    }
    many_expect(line, m, k, reference, &forms[k], 1);
  }
}

// --- Packed types -----------------------------------------------------------

typedef struct packed {
  const narrow *to, *from;  // from NULL: f32
  int round;
  bool relu, satfinite;
} packed;
static uint32_t packed_one(const packed *p, uint32_t bits) {
  int from_bits = p->from == NULL
                      ? 32
                      : 1 + p->from->exponent_bits + p->from->mantissa_bits;
  bits &= from_bits == 32 ? 0xffffffffu : (1u << from_bits) - 1;
  long double value =
      p->from == NULL ? f32_value(bits) : narrow_value(p->from, bits);
  if (p->relu && !isnan(value) && signbit(value)) value = 0;
  return narrow_round(p->to, value, p->round, p->satfinite);
}
static uint64_t packed_reference(const many *m, uint32_t i,
                                 const void *context) {
  const packed *p = context;
  uint32_t high = (uint32_t)m->in[0][i], low = (uint32_t)m->in[1][i];
  if (p->from != NULL) {
    low = high;
    high >>= 1 + p->from->exponent_bits + p->from->mantissa_bits;
  }
  int bits = 1 + p->to->exponent_bits + p->to->mantissa_bits;
  return packed_one(p, low) | (uint64_t)packed_one(p, high) << bits;
}

static void test_f32_pairs(many *m) {
  fill(m, F32);
  for (uint32_t i = 0; i < m->count; ++i) {
    m->in[1][i] = m->in[0][(i * 37 + 5) % m->count];
  }
  many_run(m,
           "cvt.rn.f16x2.f32 %o0, %i0, %i1;\n"
           "cvt.rz.f16x2.f32 %o1, %i0, %i1;\n"
           "cvt.rn.relu.f16x2.f32 %o2, %i0, %i1;\n"
           "cvt.rn.relu.satfinite.f16x2.f32 %o3, %i0, %i1;\n"
           "cvt.rn.bf16x2.f32 %o4, %i0, %i1;\n"
           "cvt.rz.relu.bf16x2.f32 %o5, %i0, %i1;\n"
           "cvt.rn.satfinite.bf16x2.f32 %o6, %i0, %i1;\n"
           "cvt.rn.relu.bf16x2.f32 %o7, %i0, %i1;\n"
           "cvt.rn.satfinite.e4m3x2.f32 %o8, %i0, %i1;\n"
           "cvt.rn.satfinite.relu.e4m3x2.f32 %o9, %i0, %i1;\n"
           "cvt.rn.satfinite.e5m2x2.f32 %o10, %i0, %i1;\n"
           "cvt.rn.satfinite.relu.e5m2x2.f32 %o11, %i0, %i1;\n",
           "rr", "rrrrrrrrhhhh");
  static const packed forms[] = {{&narrow_f16, NULL, 0, false, false},
                                 {&narrow_f16, NULL, 1, false, false},
                                 {&narrow_f16, NULL, 0, true, false},
                                 {&narrow_f16, NULL, 0, true, true},
                                 {&narrow_bf16, NULL, 0, false, false},
                                 {&narrow_bf16, NULL, 1, true, false},
                                 {&narrow_bf16, NULL, 0, false, true},
                                 {&narrow_bf16, NULL, 0, true, false},
                                 {&narrow_e4m3, NULL, 0, false, true},
                                 {&narrow_e4m3, NULL, 0, true, true},
                                 {&narrow_e5m2, NULL, 0, false, true},
                                 {&narrow_e5m2, NULL, 0, true, true}};
  for (uint32_t k = 0; k < 12; ++k) {
    many_expect("pair of f32", m, k, packed_reference, &forms[k], 2);
  }
}
static void test_byte_pairs(many *m) {
  m->count = 65536;
  for (uint32_t i = 0; i < m->count; ++i) m->in[0][i] = i;
  many_run(m,
           "cvt.rn.f16x2.e4m3x2 %o0, %i0;\ncvt.rn.relu.f16x2.e4m3x2 %o1, "
           "%i0;\ncvt.rn.f16x2.e5m2x2 %o2, %i0;\n"
           "cvt.rn.relu.f16x2.e5m2x2 %o3, %i0;\n",
           "h", "rrrr");
  static const packed from[] = {{&narrow_f16, &narrow_e4m3, 0, false, false},
                                {&narrow_f16, &narrow_e4m3, 0, true, false},
                                {&narrow_f16, &narrow_e5m2, 0, false, false},
                                {&narrow_f16, &narrow_e5m2, 0, true, false}};
  for (uint32_t k = 0; k < 4; ++k) {
    many_expect("f16x2 from bytes", m, k, packed_reference, &from[k], 1);
  }
  for (uint32_t i = 0; i < m->count; ++i) {
    m->in[0][i] = i | (i * 40503u & 0xffffu) << 16;
  }
  many_run(m,
           "cvt.rn.satfinite.e4m3x2.f16x2 %o0, %i0;\n"
           "cvt.rn.satfinite.relu.e4m3x2.f16x2 %o1, %i0;\n"
           "cvt.rn.satfinite.e5m2x2.f16x2 %o2, %i0;\n"
           "cvt.rn.satfinite.relu.e5m2x2.f16x2 %o3, %i0;\n",
           "r", "hhhh");
  static const packed to[] = {{&narrow_e4m3, &narrow_f16, 0, false, true},
                              {&narrow_e4m3, &narrow_f16, 0, true, true},
                              {&narrow_e5m2, &narrow_f16, 0, false, true},
                              {&narrow_e5m2, &narrow_f16, 0, true, true}};
  for (uint32_t k = 0; k < 4; ++k) {
    many_expect("bytes from f16x2", m, k, packed_reference, &to[k], 1);
  }
}

// tf32 is f32 with its last 13 bits zero: multiples of 2^13 as integers.
typedef struct tf32_form {
  int round;
  bool relu, satfinite;
} tf32_form;
static uint64_t tf32_reference(const many *m, uint32_t i, const void *context) {
  const tf32_form *f = context;
  uint32_t bits = (uint32_t)m->in[0][i];
  uint32_t sign = bits & 0x80000000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return 0x7fffffffu;
  if (f->relu && sign != 0) return 0;
  uint32_t rest = size & 0x1fff;
  uint32_t kept = size - rest;
  bool up = f->round == 4 ? rest >= 0x1000
            : f->round == 1
                ? false
                : rest > 0x1000 || (rest == 0x1000 && (kept & 0x2000) != 0);
  if (up) kept += 0x2000;
  if (f->satfinite && kept >= 0x7f800000u) kept = 0x7f7fe000u;
  return sign | kept;
}
static void test_tf32(many *m) {
  fill(m, F32);
  for (uint32_t i = 0; i < m->count; i += 3) {  // halfway
    m->in[0][i] = (m->in[0][i] & ~UINT64_C(0x1fff)) | 0x1000;
  }
  many_run(m,
           "cvt.rna.tf32.f32 %o0, %i0;\ncvt.rna.satfinite.tf32.f32 %o1, %i0;\n"
           "cvt.rn.tf32.f32 %o2, %i0;\ncvt.rz.tf32.f32 %o3, %i0;\n"
           "cvt.rn.relu.tf32.f32 %o4, %i0;\ncvt.rz.relu.tf32.f32 %o5, %i0;\n",
           "r", "rrrrrr");
  static const tf32_form forms[] = {{4, false, false}, {4, false, true},
                                    {0, false, false}, {1, false, false},
                                    {0, true, false},  {1, true, false}};
  for (uint32_t k = 0; k < 6; ++k) {
    many_expect("tf32", m, k, tf32_reference, &forms[k], 1);
  }
}

typedef struct pack_form {
  uint32_t bits;
  bool is_signed;
} pack_form;
static uint64_t pack_reference(const many *m, uint32_t i, const void *context) {
  const pack_form *f = context;
  int64_t most = ((int64_t)1 << (f->bits - (f->is_signed ? 1 : 0))) - 1;
  int64_t least = f->is_signed ? -most - 1 : 0;
  uint64_t parts[2];
  for (int k = 0; k < 2; ++k) {
    int64_t value = (int64_t)value_of(m->in[k][i], S32);
    value = value < least ? least : value > most ? most : value;
    parts[k] = keep((uint64_t)value, (int)f->bits);
  }
  uint64_t low = parts[0] << f->bits | parts[1];
  if (f->bits == 16) return low;
  return keep(low | m->in[2][i] << (2 * f->bits), 32);
}
static void test_pack(many *m) {
  uint64_t state = 9;
  m->count = 4096;
  for (uint32_t i = 0; i < m->count; ++i) {
    for (int k = 0; k < 3; ++k) {
      uint64_t bits = random_next(&state);
      int32_t value = (int32_t)(uint32_t)bits;
      m->in[k][i] = (uint32_t)(value >> (bits >> 40) % 32);
    }
  }
  many_run(m,
           "cvt.pack.sat.u16.s32 %o0, %i0, %i1;\n"
           "cvt.pack.sat.s16.s32 %o1, %i0, %i1;\n"
           "cvt.pack.sat.u8.s32.b32 %o2, %i0, %i1, %i2;\n"
           "cvt.pack.sat.s8.s32.b32 %o3, %i0, %i1, %i2;\n"
           "cvt.pack.sat.u4.s32.b32 %o4, %i0, %i1, %i2;\n"
           "cvt.pack.sat.s4.s32.b32 %o5, %i0, %i1, %i2;\n"
           "cvt.pack.sat.u2.s32.b32 %o6, %i0, %i1, %i2;\n"
           "cvt.pack.sat.s2.s32.b32 %o7, %i0, %i1, %i2;\n",
           "rrr", "rrrrrrrr");
  static const pack_form forms[] = {{16, false}, {16, true}, {8, false},
                                    {8, true},   {4, false}, {4, true},
                                    {2, false},  {2, true}};
  for (uint32_t k = 0; k < 8; ++k) {
    many_expect("cvt.pack", m, k, pack_reference, &forms[k], 3);
  }
}

// --- Registers wider than the type ------------------------------------------

static void test_wider(many *m) {
  fill(m, S32);
  many_run(m,
           "cvt.s8.s32 %o0, %i0;\ncvt.u8.s32 %o1, %i0;\n"
           "cvt.s16.s32 %o2, %i0;\ncvt.rn.f16.s32 %o3, %i0;\n"
           "cvt.s32.s8 %o4, %i0;\ncvt.u64.s16 %o5, %i0;\n"
           "cvt.sat.s8.s32 %o6, %i0;\n",
           "r", "rdrrrdd");
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < m->count; ++i) {
    uint32_t x = (uint32_t)m->in[0][i];
    int32_t number = (int32_t)x;
    int32_t s8 = (int32_t)(x << 24) / (1 << 24);
    int32_t s16 = (int32_t)(x << 16) / (1 << 16);
    int32_t clamped = number < -128 ? -128 : number > 127 ? 127 : number;
    wrong += m->out[0][i] != (uint32_t)s8;
    wrong += m->out[1][i] != (x & 0xff);
    wrong += m->out[2][i] != (uint32_t)s16;
    wrong += m->out[3][i] != narrow_round(&narrow_f16, number, 0, false);
    wrong += m->out[4][i] != (uint32_t)s8;
    wrong += m->out[5][i] != (uint64_t)(int64_t)s16;
    wrong += m->out[6][i] != (uint64_t)(int64_t)clamped;
  }
  CHECK_EQ(wrong, 0);
}

static void test_bad_forms(many *m) {
  static const char *const bad[] = {
      "cvt.f16.f32 %h0, %r1;",
      "cvt.rni.f16.f32 %h0, %r1;",
      "cvt.rn.f32.f32 %r0, %r1;",
      "cvt.rn.f64.f32 %d0, %r1;",
      "cvt.rn.f32.f16 %r0, %h1;",
      "cvt.s32.f32 %r0, %r1;",
      "cvt.rn.s32.f32 %r0, %r1;",
      "cvt.f32.s32 %r0, %r1;",
      "cvt.rni.f32.s32 %r0, %r1;",
      "cvt.rn.s32.s32 %r0, %r1;",
      "cvt.rna.f16.f32 %h0, %r1;",
      "cvt.rn.f64.f64 %d0, %d1;",
      "cvt.sat.u32.u32 %r0, %r1;",
      "cvt.sat.s16.s8 %h0, %h1;",
      "cvt.sat.f32.bf16 %r0, %h1;",
      "cvt.rn.sat.bf16.f32 %h0, %r1;",
      "cvt.ftz.u32.u32 %r0, %r1;",
      "cvt.rzi.ftz.s32.f16 %r0, %h1;",
      "cvt.rni.ftz.s32.f64 %r0, %d1;",
      "cvt.rm.relu.f16.f32 %h0, %r1;",
      "cvt.rn.relu.sat.f16.f32 %h0, %r1;",
      "cvt.rn.ftz.relu.f16.f32 %h0, %r1;",
      "cvt.rn.relu.f32.f64 %r0, %d1;",
      "cvt.rn.satfinite.f16.f64 %h0, %d1;",
      "cvt.rm.satfinite.f16.f32 %h0, %r1;",
      "cvt.rm.f16x2.f32 %r0, %r1, %r2;",
      "cvt.rn.f16x2.f32 %r0, %r1;",
      "cvt.rn.ftz.bf16x2.f32 %r0, %r1, %r2;",
      "cvt.rn.bf16x2.f32 %d0, %r1, %r2;",
      "cvt.rn.e4m3x2.f32 %h0, %r1, %r2;",
      "cvt.rz.satfinite.e4m3x2.f32 %h0, %r1, %r2;",
      "cvt.rn.satfinite.e4m3x2.f32 %r0, %r1, %r2;",
      "cvt.rn.satfinite.f16x2.e4m3x2 %r0, %h1;",
      "cvt.rn.f16x2.e4m3x2 %r0, %r1;",
      "cvt.rn.bf16x2.e4m3x2 %r0, %h1;",
      "cvt.rn.ftz.tf32.f32 %r0, %r1;",
      "cvt.rna.relu.tf32.f32 %r0, %r1;",
      "cvt.rm.tf32.f32 %r0, %r1;",
      "cvt.rn.satfinite.tf32.f32 %r0, %r1;",  // sm_100
      "cvt.rs.f16x2.f32 %r0, %r1, %r2, %r3;",
      "cvt.rn.satfinite.e2m1x2.f32 %c0, %r1, %r2;",
      "cvt.b32.b32 %r0, %r1;",
      "cvt.rn.f32.s32 %h0, %r1;",
      "cvt.rzi.s16.bf16 %r0, %h1;",
      "cvt.rn.bf16.u8 %h0, %h1;",
      "cvt.pack.u16.s32 %r0, %r1, %r2;",
      "cvt.pack.sat.u8.s32 %r0, %r1, %r2;",
      "cvt.pack.sat.u16.s32.b32 %r0, %r1, %r2, %r3;",
      "cvt.pack.sat.u32.s32 %r0, %r1, %r2;",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    CHECK(many_refused(m, "8.8", "sm_90a", bad[i]));
  }
  CHECK(many_refused(m, "8.0", "sm_80", "cvt.rn.satfinite.f16.f32 %h0, %r1;"));
  CHECK(many_refused(m, "8.1", "sm_80",
                     "cvt.rn.satfinite.e4m3x2.f32 %h0, %r1, %r2;"));
  CHECK(many_refused(m, "8.1", "sm_80", "cvt.rn.bf16.s32 %h0, %r1;"));
  CHECK(many_refused(m, "8.1", "sm_89", "cvt.rn.tf32.f32 %r0, %r1;"));
  CHECK(many_accepted(m, "8.1", "sm_89", "cvt.rn.f16x2.e5m2x2 %r0, %h1;"));
  CHECK(many_accepted(m, "8.0", "sm_80", "cvt.f32.bf16 %r0, %h1;"));
  CHECK(many_accepted(m, "8.8", "sm_90a", "cvt.bf16.f16 %h0, %h1;"));
  CHECK(many_accepted(m, "8.8", "sm_90a", "cvt.rp.f64.bf16 %d0, %h1;"));
  CHECK(many_accepted(m, "8.8", "sm_90a", "cvt.rpi.s8.bf16 %c0, %h1;"));
  CHECK(many_accepted(m, "8.8", "sm_90a", "cvt.rn.f32.s32 %r0, 5;"));
}

int main(void) {
  many m;
  many_init(&m, "h100");
  for (int from = 0; from < TYPES; ++from) {
    fill(&m, from);
    for (int to = 0; to < TYPES; ++to) test_pair(&m, to, from);
  }
  test_f32_pairs(&m);
  test_byte_pairs(&m);
  test_tf32(&m);
  test_pack(&m);
  test_wider(&m);
  test_bad_forms(&m);
  many_fini(&m);
  return test_finish();
}
