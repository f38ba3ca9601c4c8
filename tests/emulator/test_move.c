// SPDX-License-Identifier: Apache-2.0
// mov between registers, from and to the parts of a register, of addresses and
// special registers; guards, sinks, and registers that are source and
// destination at once.
#include "cases.h"

#define REFERENCE(NAME, EXPRESSION)                                      \
  static uint64_t NAME(uint64_t a, uint64_t b, uint64_t c, uint64_t d) { \
    (void)a, (void)b, (void)c, (void)d;                                  \
    return (uint64_t)(EXPRESSION);                                       \
  }

REFERENCE(copy, a)
REFERENCE(second, b)
REFERENCE(pack_16, a | b << 16)
REFERENCE(pack_32, a | b << 32)
REFERENCE(pack_4x16, a | b << 16 | c << 32 | d << 48)
REFERENCE(low_16, a & 0xffff)
REFERENCE(high_16, a >> 16)
REFERENCE(low_32, a & 0xffffffff)
REFERENCE(high_32, a >> 32)
REFERENCE(third_16, a >> 32 & 0xffff)
REFERENCE(fourth_16, a >> 48)
REFERENCE(second_byte, a >> 8 & 0xff)
REFERENCE(bytes_reversed,
          (a & 0xff) << 24 | (a & 0xff00) << 8 | (a >> 8 & 0xff00) | a >> 24)
REFERENCE(low_of_mixed, 7 | a << 16)
REFERENCE(swapped, a >> 16 | (a & 0xffff) << 16)
REFERENCE(minus_five, -5)
REFERENCE(one_float, 0x3f800000)
REFERENCE(two_double, UINT64_C(0x4000000000000000))
REFERENCE(guarded, (a & 1) != 0 ? a : b)
REFERENCE(guarded_low, (a & 1) != 0 ? a & 0xffff : 0x1111)
REFERENCE(guarded_high, (a & 1) != 0 ? a >> 16 : 0x2222)

static const lane_case moves[] = {
    {"mov.b16 %o0, %i0;", "h", "h", copy, NULL},
    {"mov.u16 %o0, %i0;", "h", "h", copy, NULL},
    {"mov.s32 %o0, %i0;", "r", "r", copy, NULL},
    {"mov.b64 %o0, %i0;", "d", "d", copy, NULL},
    {"mov.pred %o0, %i0;", "p", "p", copy, NULL},
    {"mov.s32 %o0, -5;", "r", "r", minus_five, NULL},
    {"mov.s16 %o0, -5;", "r", "h", minus_five, NULL},
    {"mov.s64 %o0, -5;", "r", "d", minus_five, NULL},
    {".reg .f32 %f; mov.f32 %f, 1.0; mov.b32 %o0, %f;", "r", "r", one_float,
     NULL},
    {".reg .f64 %f; mov.f64 %f, 2.0; mov.b64 %o0, %f;", "r", "d", two_double,
     NULL},
    // Parts to a whole.
    {"mov.b32 %o0, {%i0, %i1};", "hh", "r", pack_16, NULL},
    {"mov.b64 %o0, {%i0, %i1};", "rr", "d", pack_32, NULL},
    {"mov.b64 %o0, {%i0, %i1, %i2, %i3};", "hhhh", "d", pack_4x16, NULL},
    {"mov.b32 %o0, {7, %i0};", "h", "r", low_of_mixed, NULL},
    // And back.
    {"mov.b32 {%o0, %o1}, %i0;", "r", "hh", low_16, high_16},
    {"mov.b64 {%o0, %o1}, %i0;", "d", "rr", low_32, high_32},
    {"mov.b32 {_, %o0}, %i0;", "r", "h", high_16, NULL},
    {"mov.b64 {%o0, _}, %i0;", "d", "r", low_32, NULL},
    {"mov.b64 {_, _, %o0, %o1}, %i0;", "d", "hh", third_16, fourth_16},
    // Bytes.
    {".reg .b8 %b<4>; mov.b32 {%b0, %b1, %b2, %b3}, %i0;"
     "mov.b32 %o0, {%b3, %b2, %b1, %b0};",
     "r", "r", bytes_reversed, NULL},
    {".reg .b8 %b<2>; mov.b16 {%b0, %b1}, %i0; mov.b16 %o0, {%b1, 0};", "h",
     "h", second_byte, NULL},
    // 128 bits.
    {".reg .b128 %q, %t; mov.b128 %q, {%i0, %i1}; mov.b128 %t, %q;"
     "mov.b128 {%o0, %o1}, %t;",
     "dd", "dd", copy, second},
    {".reg .b128 %q; .reg .b32 %r<4>; mov.b128 %q, {%i0, %i0};"
     "mov.b128 {%r0, %r1, %r2, %r3}, %q; mov.b64 %o0, {%r2, %r3};",
     "d", "d", copy, NULL},
    // Vectors, element by element.
    {"mov.b32 %o0, %i0; mov.b32 %o1, %i1; mov.v2.b32 {%o0, %o1}, {%o1, %o0};",
     "rr", "rr", second, copy},
    {".reg .v2 .b64 %v; mov.v2.b64 %v, {%i0, %i1}; mov.v2.b64 %v, {%v.y, %v.x};"
     "mov.v2.b64 {%o0, %o1}, %v;",
     "dd", "dd", second, copy},
    {".reg .v4 .b16 %v; mov.v4.b16 %v, {1, 2, %i0, 4};"
     "mov.v4.b16 {_, _, %o0, _}, %v;",
     "h", "h", copy, NULL},
    // The same register on both sides.
    {".reg .b16 %h<2>; .reg .b32 %t; mov.b32 %t, %i0;"
     "mov.b32 {%h0, %h1}, %t; mov.b32 %t, {%h1, %h0}; mov.b32 %o0, %t;",
     "r", "r", swapped, NULL},
    // Lanes that the guard leaves out.
    {".reg .pred %p; .reg .b32 %t; and.b32 %t, %i0, 1;"
     "setp.ne.s32 %p, %t, 0; mov.b32 %o0, %i1; @%p mov.b32 %o0, %i0;",
     "rr", "r", guarded, NULL},
    {".reg .pred %p; .reg .b32 %t; and.b32 %t, %i0, 1;"
     "setp.ne.s32 %p, %t, 0; mov.b16 %o0, 0x1111; mov.b16 %o1, 0x2222;"
     "@%p mov.b32 {%o0, %o1}, %i0;",
     "r", "hh", guarded_low, guarded_high},
    {".reg .pred %p; .reg .b64 %t; .reg .b128 %q; and.b64 %t, %i0, 1;"
     "setp.ne.s64 %p, %t, 0; mov.b128 %q, {%i1, %i1};"
     "@%p mov.b128 %q, {%i0, %i0}; mov.b128 {_, %o0}, %q;",
     "dd", "d", guarded, NULL},
};

// Special registers and addresses: one warp of a kernel.
static void check_special(emu *e) {
  uint64_t out[2][32];
  CHECK(emu_lanes(e, NULL, "mov.u32 %o0, %laneid; mov.u32 %o1, %ntid.x;", "",
                  NULL, "rr", out));
  for (uint32_t i = 0; i < 32; ++i) {
    CHECK_EQ(out[0][i], i);
    CHECK_EQ(out[1][i], 32);
  }
  // Older texts read %gridid as 32 bits.
  CHECK(emu_lanes(e, NULL, "mov.u32 %o0, %gridid; mov.u64 %o1, %gridid;", "",
                  NULL, "rd", out));
  CHECK_EQ(out[0][3], out[1][3]);
  CHECK_EQ(out[1][3], e->launch.number);
  CHECK(emu_lanes(e, ".global .align 8 .u32 table[4] = {1, 2, 3, 4};",
                  ".reg .b64 %a<2>; mov.u64 %a0, table; mov.u64 %a1, table+8;"
                  "sub.u64 %o0, %a1, %a0; ld.global.u32 %o1, [%a1];",
                  "", NULL, "dr", out));
  CHECK_EQ(out[0][5], 8);
  CHECK_EQ(out[1][5], 3);
  CHECK(emu_lanes(e, ".shared .align 8 .b8 first[24]; .shared .b8 other[8];",
                  ".reg .b32 %a<2>; mov.u32 %a0, first; mov.u32 %a1, other;"
                  "sub.u32 %o0, %a1, %a0; and.b32 %o1, %a0, 7;",
                  "", NULL, "rr", out));
  CHECK((out[0][0] & 0xffffffff) != 0);
  CHECK_EQ(out[1][0], 0);
}

static const refused_case refused[] = {
    {"mov.f16 %h1, %h2;",
     "ptx(7,1): error: no form of 'mov' for type '.f16'\n"},
    {"mov.b32 %r1;", "ptx(7,1): error: 'mov' takes 2 operands, not 1\n"},
    {"mov.b32 %d1, %r1;",
     "ptx(7,9): error: '%d1' is .b64 where .b32 is expected\n"},
    {"mov.b32 %r1, %p1;",
     "ptx(7,14): error: '%p1' is .pred where .b32 is expected\n"},
    {"mov.u32 %r1, {%h1, %h2};",
     "ptx(7,14): error: no 2 parts form a '.u32'\n"},
    {"mov.b32 %r1, {%h1, %h2, %h3};",
     "ptx(7,14): error: no 3 parts form a '.b32'\n"},
    {"mov.b64 {%h1, %h2}, %d1;",
     "ptx(7,10): error: '%h1' is .b16 where .b32 is expected\n"},
    {"mov.b32 {%h1, %h2}, {%h3, %h4};",
     "ptx(7,1): error: parts on both sides of 'mov'\n"},
    {"mov.v2.b32 {%r1, %r2}, %d1;",
     "ptx(7,24): error: a vector of 2 elements expected\n"},
    {"mov.v4.b64 {%d1, %d2, %d3, %d4}, {%d1, %d2, %d3, %d4};",
     "ptx(7,1): error: no vector of 4 '.b64'\n"},
    {"mov.v2.pred {%p1, %p2}, {%p2, %p1};",
     "ptx(7,1): error: no vector of 2 '.pred'\n"},
    {"mov.b32 %r1, _;", "ptx(7,14): error: register or constant expected\n"},
    {"mov.b32 %r1, %nosuch;", "ptx(7,14): error: unknown symbol '%nosuch'\n"},
    {"mov.b32 %tid.x, %r1;", "ptx(7,9): error: '%tid' is not a register\n"},
    {"mov.b32 %r1, [%d1];",
     "ptx(7,14): error: register or constant expected\n"},
};

int main(void) {
  emu e;
  emu_init(&e, "h100");
  case_run_all(&e, moves, sizeof(moves) / sizeof(moves[0]));
  check_special(&e);
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
    case_refused(&e, &refused[i]);
  }
  emu_fini(&e);
  return test_finish();
}
