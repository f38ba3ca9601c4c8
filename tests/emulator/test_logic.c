// SPDX-License-Identifier: Apache-2.0
// Logic, shifts and permutations (PTX ISA 9.7.8, prmt) against loops over bits
// and bytes.
#include "cases.h"

#define REFERENCE(NAME, EXPRESSION)                                      \
  static uint64_t NAME(uint64_t a, uint64_t b, uint64_t c, uint64_t d) { \
    (void)a, (void)b, (void)c, (void)d;                                  \
    return (uint64_t)(EXPRESSION);                                       \
  }

// --- Logic ------------------------------------------------------------------

REFERENCE(and, a &b)
REFERENCE(or, a | b)
REFERENCE(xor, a ^ b)
REFERENCE(not, ~a)
REFERENCE(and_not, a & ~b)
REFERENCE(is_zero, a == 0)
REFERENCE(zero, 0)
REFERENCE(one, 1)
REFERENCE(copy, a)

static uint64_t lookup(uint64_t a, uint64_t b, uint64_t c, uint32_t table) {
  uint64_t result = 0;
  for (uint32_t i = 0; i < 32; ++i) {
    uint32_t index = (uint32_t)(a >> i & 1) << 2 | (uint32_t)(b >> i & 1) << 1 |
                     (uint32_t)(c >> i & 1);
    result |= (uint64_t)(table >> index & 1) << i;
  }
  return result;
}
REFERENCE(lop3_80, lookup(a, b, c, 0x80))
REFERENCE(lop3_e8, lookup(a, b, c, 0xe8))
REFERENCE(lop3_1b, lookup(a, b, c, 0x1b))
REFERENCE(lop3_ff, lookup(a, b, c, 0xff))
REFERENCE(lop3_or, lookup(a, b, c, 0x96) != 0 || (d & 1) != 0)
REFERENCE(lop3_and, lookup(a, b, c, 0x80) != 0 && (d & 1) == 0)

static const lane_case logic[] = {
    {"and.b16 %o0, %i0, %i1;", "hh", "h", and, NULL},
    {"and.b32 %o0, %i0, %i1;", "rr", "r", and, NULL},
    {"and.b64 %o0, %i0, %i1;", "dd", "d", and, NULL},
    {"or.b16 %o0, %i0, %i1;", "hh", "h", or, NULL},
    {"or.b32 %o0, %i0, %i1;", "rr", "r", or, NULL},
    {"or.b64 %o0, %i0, %i1;", "dd", "d", or, NULL},
    {"xor.b16 %o0, %i0, %i1;", "hh", "h", xor, NULL},
    {"xor.b32 %o0, %i0, %i1;", "rr", "r", xor, NULL},
    {"xor.b64 %o0, %i0, %i1;", "dd", "d", xor, NULL},
    {"not.b16 %o0, %i0;", "h", "h", not, NULL},
    {"not.b32 %o0, %i0;", "r", "r", not, NULL},
    {"not.b64 %o0, %i0;", "d", "d", not, NULL},
    {"cnot.b16 %o0, %i0;", "h", "h", is_zero, NULL},
    {"cnot.b32 %o0, %i0;", "r", "r", is_zero, NULL},
    {"cnot.b64 %o0, %i0;", "d", "d", is_zero, NULL},
    {"and.pred %o0, %i0, %i1;", "pp", "p", and, NULL},
    {"or.pred %o0, %i0, %i1;", "pp", "p", or, NULL},
    {"xor.pred %o0, %i0, %i1;", "pp", "p", xor, NULL},
    {"not.pred %o0, %i0;", "p", "p", not, NULL},
    {"and.pred %o0, %i0, !%i1;", "pp", "p", and_not, NULL},
    {"and.pred %o0, %i0, 1;", "p", "p", copy, NULL},
    {"mov.pred %o0, 0;", "p", "p", zero, NULL},
    {"mov.pred %o0, 1;", "p", "p", one, NULL},
    {"mov.pred %o0, !%i0;", "p", "p", not, NULL},
    {"lop3.b32 %o0, %i0, %i1, %i2, 0x80;", "rrr", "r", lop3_80, NULL},
    {"lop3.b32 %o0, %i0, %i1, %i2, 0xE8;", "rrr", "r", lop3_e8, NULL},
    {"lop3.b32 %o0, %i0, %i1, %i2, 0x1B;", "rrr", "r", lop3_1b, NULL},
    {"lop3.b32 %o0, %i0, %i1, %i2, 255;", "rrr", "r", lop3_ff, NULL},
    {"lop3.or.b32 _|%o0, %i0, %i1, %i2, 0x96, %i3;", "rrrp", "p", lop3_or,
     NULL},
    {".reg .b32 %t; lop3.and.b32 %t|%o0, %i0, %i1, %i2, 0x80, !%i3;"
     "mov.b32 %o1, %t;",
     "rrrp", "pr", lop3_and, lop3_80},
};

// --- Shifts -----------------------------------------------------------------

static uint64_t left(uint64_t value, uint64_t amount, uint32_t bits) {
  for (uint64_t i = 0; i < amount && i < bits; ++i) value *= 2;
  return value;
}
static uint64_t right(uint64_t value, uint64_t amount, uint32_t bits,
                      bool is_signed) {
  uint64_t top = UINT64_C(1) << (bits - 1);
  uint64_t sign = is_signed ? value & top : 0;
  for (uint64_t i = 0; i < amount && i < bits; ++i) value = value >> 1 | sign;
  return value;
}
REFERENCE(shl_16, left(a, b, 16))
REFERENCE(shl_32, left(a, b, 32))
REFERENCE(shl_64, left(a, b, 64))
REFERENCE(shr_u16, right(a, b, 16, false))
REFERENCE(shr_s16, right(a, b, 16, true))
REFERENCE(shr_u32, right(a, b, 32, false))
REFERENCE(shr_s32, right(a, b, 32, true))
REFERENCE(shr_u64, right(a, b, 64, false))
REFERENCE(shr_s64, right(a, b, 64, true))
REFERENCE(shl_5, a << 5)
REFERENCE(shl_all, 0)

// The bits of b:a, one at a time.
static uint64_t window(uint64_t a, uint64_t b, uint64_t first) {
  uint64_t result = 0;
  for (uint64_t i = 0; i < 32; ++i) {
    uint64_t at = first + i;
    uint64_t bit = at >= 64 ? 0 : at >= 32 ? b >> (at - 32) : a >> at;
    result |= (bit & 1) << i;
  }
  return result;
}
static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}
REFERENCE(shf_l_wrap, window(a, b, 32 - (c & 31)))
REFERENCE(shf_r_wrap, window(a, b, c & 31))
REFERENCE(shf_l_clamp, window(a, b, 32 - least(c, 32)))
REFERENCE(shf_r_clamp, window(a, b, least(c, 32)))

static const lane_case shifts[] = {
    {"shl.b16 %o0, %i0, %i1;", "hr", "h", shl_16, NULL},
    {"shl.b32 %o0, %i0, %i1;", "rr", "r", shl_32, NULL},
    {"shl.b64 %o0, %i0, %i1;", "dr", "d", shl_64, NULL},
    {"shl.b32 %o0, %i0, 5;", "r", "r", shl_5, NULL},
    {"shl.b32 %o0, %i0, 32;", "r", "r", shl_all, NULL},
    {"shr.b16 %o0, %i0, %i1;", "hr", "h", shr_u16, NULL},
    {"shr.u16 %o0, %i0, %i1;", "hr", "h", shr_u16, NULL},
    {"shr.s16 %o0, %i0, %i1;", "hr", "h", shr_s16, NULL},
    {"shr.b32 %o0, %i0, %i1;", "rr", "r", shr_u32, NULL},
    {"shr.u32 %o0, %i0, %i1;", "rr", "r", shr_u32, NULL},
    {"shr.s32 %o0, %i0, %i1;", "rr", "r", shr_s32, NULL},
    {"shr.b64 %o0, %i0, %i1;", "dr", "d", shr_u64, NULL},
    {"shr.u64 %o0, %i0, %i1;", "dr", "d", shr_u64, NULL},
    {"shr.s64 %o0, %i0, %i1;", "dr", "d", shr_s64, NULL},
    {"shf.l.wrap.b32 %o0, %i0, %i1, %i2;", "rrr", "r", shf_l_wrap, NULL},
    {"shf.r.wrap.b32 %o0, %i0, %i1, %i2;", "rrr", "r", shf_r_wrap, NULL},
    {"shf.l.clamp.b32 %o0, %i0, %i1, %i2;", "rrr", "r", shf_l_clamp, NULL},
    {"shf.r.clamp.b32 %o0, %i0, %i1, %i2;", "rrr", "r", shf_r_clamp, NULL},
};

// --- prmt -------------------------------------------------------------------

// Byte |index| of b:a; 8 and more: its sign.
static uint64_t pick(uint64_t a, uint64_t b, uint32_t index) {
  uint32_t from = index & 7;
  uint64_t byte = (from < 4 ? a >> (8 * from) : b >> (8 * (from - 4))) & 255;
  if (index < 8) return byte;
  return byte > 127 ? 255 : 0;
}
static uint64_t gather(uint64_t a, uint64_t b, uint32_t b3, uint32_t b2,
                       uint32_t b1, uint32_t b0) {
  return pick(a, b, b3) << 24 | pick(a, b, b2) << 16 | pick(a, b, b1) << 8 |
         pick(a, b, b0);
}
REFERENCE(prmt, gather(a, b, c >> 12 & 15, c >> 8 & 15, c >> 4 & 15, c & 15))
REFERENCE(prmt_3210, a)
REFERENCE(prmt_f4e, gather(a, b, (c & 3) + 3, (c & 3) + 2, (c & 3) + 1, c & 3))
static uint64_t prmt_b4e(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  uint32_t k = c & 3;
  (void)d;
  return gather(a, b, (k + 5) & 7, (k + 6) & 7, (k + 7) & 7, k);
}
REFERENCE(prmt_rc8, gather(a, b, c & 3, c & 3, c & 3, c & 3))
static uint32_t most(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}
// ecl clamps from the left (small numbers rise), ecr from the right.
REFERENCE(prmt_ecl, gather(a, b, 3, most(2, c & 3), most(1, c & 3), c & 3))
REFERENCE(prmt_ecr, gather(a, b, c & 3, (uint32_t)least(c & 3, 2),
                           (uint32_t)least(c & 3, 1), 0))
REFERENCE(prmt_rc16,
          (c & 1) != 0 ? (a >> 16) * 0x10001 : (a & 0xffff) * 0x10001)

static const lane_case permutations[] = {
    {"prmt.b32 %o0, %i0, %i1, %i2;", "rrr", "r", prmt, NULL},
    {"prmt.b32 %o0, %i0, %i1, 0x3210;", "rr", "r", prmt_3210, NULL},
    {"prmt.b32.f4e %o0, %i0, %i1, %i2;", "rrr", "r", prmt_f4e, NULL},
    {"prmt.b32.b4e %o0, %i0, %i1, %i2;", "rrr", "r", prmt_b4e, NULL},
    {"prmt.b32.rc8 %o0, %i0, %i1, %i2;", "rrr", "r", prmt_rc8, NULL},
    {"prmt.b32.ecl %o0, %i0, %i1, %i2;", "rrr", "r", prmt_ecl, NULL},
    {"prmt.b32.ecr %o0, %i0, %i1, %i2;", "rrr", "r", prmt_ecr, NULL},
    {"prmt.b32.rc16 %o0, %i0, %i1, %i2;", "rrr", "r", prmt_rc16, NULL},
};

static const refused_case refused[] = {
    {"and.b8 %b1, %b2, %b3;",
     "ptx(7,1): error: no form of 'and' for type '.b8'\n"},
    {"and.u32 %r1, %r2, %r3;",
     "ptx(7,1): error: no form of 'and' for type '.u32'\n"},
    {"and.b32 %r1, %r2, 0f3F800000;", NULL},
    {"and.pred %p1, %p2, %r3;",
     "ptx(7,20): error: '%r3' is .b32 where .pred is expected\n"},
    {"cnot.pred %p1, %p2;",
     "ptx(7,1): error: no form of 'cnot' for type '.pred'\n"},
    {"lop3.b32 %r1, %r2, %r3, %r4, 256;",
     "ptx(7,30): error: a look-up table must be from 0 to 255\n"},
    {"lop3.b32 %r1, %r2, %r3, %r4, %r5;",
     "ptx(7,30): error: integer constant expected\n"},
    {"lop3.or.b32 %r1, %r2, %r3, %r4, 1, %p1;",
     "ptx(7,13): error: expected 'd|p'\n"},
    {"lop3.xor.b32 %r1, %r2, %r3, %r4, 1;",
     "ptx(7,5): error: modifier '.xor' is not allowed for 'lop3'\n"},
    {"lop3.b64 %d1, %d2, %d3, %d4, 1;",
     "ptx(7,1): error: no form of 'lop3' for type '.b64'\n"},
    {"shl.u32 %r1, %r2, 1;",
     "ptx(7,1): error: no form of 'shl' for type '.u32'\n"},
    {"shl.b64 %d1, %d2, %d3;",
     "ptx(7,19): error: '%d3' is .b64 where .u32 is expected\n"},
    {"shr.f32 %f1, %f2, 1;",
     "ptx(7,1): error: no form of 'shr' for type '.f32'\n"},
    {"shf.l.b32 %r1, %r2, %r3, 1;",
     "ptx(7,1): error: '.wrap' or '.clamp' expected\n"},
    {"shf.wrap.b32 %r1, %r2, %r3, 1;",
     "ptx(7,1): error: '.l' or '.r' expected\n"},
    {"prmt.b64 %d1, %d2, %d3, 1;",
     "ptx(7,1): error: no form of 'prmt' for type '.b64'\n"},
    {"prmt.b32.f4e.rc8 %r1, %r2, %r3, 1;",
     "ptx(7,13): error: modifier '.rc8' is not allowed for 'prmt'\n"},
};

#define RUN(e, cases) case_run_all(e, cases, sizeof(cases) / sizeof(cases[0]))

int main(void) {
  emu e;
  emu_init(&e, "h100");
  RUN(&e, logic);
  RUN(&e, shifts);
  RUN(&e, permutations);
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
    case_refused(&e, &refused[i]);
  }
  emu_fini(&e);
  return test_finish();
}
