// SPDX-License-Identifier: Apache-2.0
// Operands as the decoder sees them: sizes and types that agree and that do
// not (PTX ISA 9.4; what is refused here, ptxas refuses too), immediates
// converted to the instruction's type, names and scopes, addresses of symbols,
// vectors, and text of the size that unrolled kernels have.
#include <stdlib.h>
#include <time.h>

#include "decode/compaction.h"
#include "decode/program.h"
#include "harness.h"

static emu e;

// All declared types; instructions stand at line 9.
#define HEAD                                                         \
  ".version 8.7\n.target sm_80\n.address_size 64\n"                  \
  ".global .u32 gv; .shared .u32 sv; .const .u32 cv;\n"              \
  ".func f(.param .b32 x) { ret; }\n"                                \
  ".visible .entry k(.param .u64 p) { .reg .b16 %h<4>; .reg .u16 "   \
  "%uh<4>; .reg .f16 %fh; .reg .b32 %r<4>; .reg .u32 %u<4>;\n"       \
  ".reg .s32 %s<4>; .reg .f32 %f<4>; .reg .f64 %fd<4>; .reg .b64 "   \
  "%rd<4>; .reg .pred %p<4>;\n.local .u32 lv; .param .b32 pa; .reg " \
  ".v4 .f32 %v;\n"

static void accepted(const char *instruction) {
  char text[2048];
  (void)snprintf(text, sizeof(text), "%s%s\nret;\n}\n", HEAD, instruction);
  bool good = emu_load(&e, text);
  CHECK(good);
  if (!good) {
    fprintf(stderr, "%s\n%s", instruction, tsr_buffer_text(&e.log.errors));
  }
}

static void refused(const char *instruction, const char *message) {
  char text[2048], expected[512];
  (void)snprintf(text, sizeof(text), "%s%s\nret;\n}\n", HEAD, instruction);
  (void)snprintf(expected, sizeof(expected), "ptx(9,%s\n", message);
  bool good = emu_load(&e, text);
  CHECK(!good);
  if (good) fprintf(stderr, "accepted: %s\n", instruction);
  if (!good) CHECK_STR(tsr_buffer_text(&e.log.errors), expected);
}

static void agreement(void) {
  accepted("add.f32 %f1, %r1, %f2;");
  accepted("add.s32 %u1, %s1, %r2;");
  accepted("mov.b32 %f1, %u1;");
  accepted("add.f16 %h1, %fh, %h2;");
  refused("add.u32 %r1, %f1, 1;",
          "14): error: '%f1' is .f32 where .u32 is expected");
  refused("add.f32 %f1, %u1, %f2;",
          "14): error: '%u1' is .u32 where .f32 is expected");
  refused("mov.u32 %u1, %f1;",
          "14): error: '%f1' is .f32 where .u32 is expected");
  refused("mov.f32 %f1, %u1;",
          "14): error: '%u1' is .u32 where .f32 is expected");
  refused("add.f16 %h1, %uh2, %h2;",
          "14): error: '%uh2' is .u16 where .f16 is expected");
  refused("add.u16 %h1, %h2, %r1;",
          "19): error: '%r1' is .b32 where .u16 is expected");
  refused("add.u64 %rd1, %rd2, %r1;",
          "21): error: '%r1' is .b32 where .u64 is expected");
  refused("add.u32 %p1, %r1, %r2;",
          "9): error: '%p1' is .pred where .u32 is expected");
  refused("add.u32 _, %r1, %r2;", "9): error: '_' is not allowed here");
  refused("add.u32 %tid.x, %r1, 1;", "9): error: '%tid' is not a register");
  refused("add.u32 5, %r1, 1;", "9): error: register expected");
  refused("add.u32 %r1, {%r1, %r2}, 1;",
          "14): error: register or constant expected");
  refused("add.u32 %r1, !%r1, 1;", "15): error: '!' needs a predicate");
  refused("add.u32 %r1, %nosuch, 1;", "14): error: unknown symbol '%nosuch'");
  refused("add.u32 %r1, %r4, 1;", "14): error: unknown symbol '%r4'");
  refused("add.u32 %r1, %r01, 1;", "14): error: unknown symbol '%r01'");
  refused("add.u32 %r1, %r2;", "1): error: 'add' takes 3 operands, not 2");
}

// Wider registers than the type: ld, st and cvt.
static void wider(void) {
  accepted("ld.global.f32 %r1, [%rd1];");
  accepted("ld.global.f32 %rd1, [%rd1];");
  accepted("ld.global.u32 %rd2, [%rd1];");
  accepted("ld.global.b32 %fd1, [%rd1];");
  accepted("cvt.u16.u32 %r1, %r2;");
  accepted("cvt.u32.u16 %r1, %r2;");
  refused("ld.global.u32 %f1, [%rd1];",
          "15): error: '%f1' is .f32 where .u32 is expected");
  refused("ld.global.f32 %u1, [%rd1];",
          "15): error: '%u1' is .u32 where .f32 is expected");
  refused("ld.global.u8 %fd2, [%rd1];",
          "14): error: '%fd2' is .f64 where .u8 is expected");
  refused("st.global.u8 [%rd1], %f1;",
          "22): error: '%f1' is .f32 where .u8 is expected");
  refused("ld.global.u64 %r1, [%rd1];",
          "15): error: '%r1' is .b32 where .u64 is expected");
}

static void immediates_refused(void) {
  accepted("mov.b32 %r1, 0f3F800000;");
  accepted("mov.b64 %rd1, 1.0;");
  accepted("mov.pred %p1, -1;");
  accepted("or.pred %p1, 1, %p2;");
  accepted("shl.b32 %r1, %r2, WARP_SZ;");
  refused("mov.f32 %f1, 1;",
          "14): error: integer literal where .f32 is expected");
  refused("mov.b32 %r1, 1.0;",
          "14): error: float literal where .b32 is expected");
  refused("mov.u32 %r1, 1.0;",
          "14): error: float literal where .u32 is expected");
  refused("add.f16 %h1, %h2, 0x3c00;",
          "19): error: integer literal where .f16 is expected");
  refused("add.f16 %h1, %h2, 1.0;",
          "19): error: float literal where .f16 is expected");
}

static void symbols(void) {
  accepted("mov.u64 %rd1, gv;");
  accepted("mov.u64 %rd1, gv+4;");
  accepted("mov.u32 %r1, sv;");
  accepted("mov.u64 %rd1, sv;");
  accepted("mov.b64 %rd1, lv;");
  accepted("mov.u64 %rd1, f;");
  accepted("mov.u64 %rd1, p;");
  accepted("ld.u32 %r1, [gv];");
  accepted("ld.u32 %r1, [sv];");
  accepted("mov.b32 %f1, %tid.x;");
  accepted("mov.u16 %h1, %tid.x;");
  accepted("mov.u64 %rd1, %clock64;");
  accepted("cvt.u64.u32 %rd1, %tid.x;");
  refused("mov.u32 %r1, gv;",
          "14): error: the address of 'gv' needs a 64-bit type");
  refused("mov.f64 %fd1, gv;",
          "15): error: the address of 'gv' is not allowed here");
  refused("add.u64 %rd1, gv, 4;",
          "15): error: the address of 'gv' is not allowed here");
  refused("mov.u64 %rd1, pa;", "15): error: no address of parameter 'pa'");
  refused("mov.u64 %rd1, k;",
          "15): error: the address of a kernel is not supported");
  refused("ld.shared.u32 %r1, [gv];",
          "20): error: 'gv' is in .global, not in .shared");
  refused("ld.global.u32 %r1, [sv];",
          "20): error: 'sv' is in .shared, not in .global");
  refused("ld.global.u32 %r1, %rd1;", "20): error: address expected");
  refused("ld.global.u32 %r1, [%f1];",
          "20): error: '%f1' is .f32, not an address");
  refused("add.u32 %r1, %tid.x, 4;",
          "14): error: special register '%tid' is not allowed with 'add'");
  refused("mov.u64 %rd1, %tid.x;",
          "15): error: '%tid' is .u32 where .u64 is expected");
  refused("mov.u32 %r1, %tid;", "14): error: unknown symbol '%tid'");
  refused("mov.u32 %r1, %r2+4;",
          "14): error: an offset is for addresses, '%r2' is a register");
  refused("mov.u32 %r1, %tid.x+4;",
          "14): error: an offset is for addresses, '%tid' is a register");
}

static void modifiers(void) {
  refused("add.u32.banana %r1, %r2, %r3;",
          "8): error: modifier '.banana' is not allowed for 'add'");
  refused("bra.uni.uni END; END:",
          "8): error: modifier '.uni' is not allowed for 'bra'");
  refused("brx %r1, t;", "1): error: .idx expected");
  refused("brx.idx %r1, t;", "14): error: list of branch targets expected");
  refused("{ t: .branchtargets A; brx.idx %r1, t; }",
          "3): error: undefined label 'A'");
  refused("call %rd1, (5), nosuch;",
          "1): error: a call through a register needs a prototype or a list "
          "of targets");
}

static void scopes(void) {
  accepted("{ .reg .b32 %r2; mov.u32 %r2, 1; }");
  accepted("{ bra L1; L1: } { bra L1; L1: }");
  accepted("L1: { bra L1; L1: }");
  accepted("mov.f32 %v.x, 1.0; mov.f32 %f1, %v.r;");
  accepted("ld.global.v4.f32 %v, [%rd1];");
  refused("mov.u32 %q, 1; .reg .b32 %q;", "9): error: '%q' is not a register");
  refused("{ .reg .b32 %q; } mov.u32 %q, 1;",
          "27): error: '%q' is not a register");
  refused("add.f32 %v, %f1, 1.0;", "9): error: register expected");
  refused("mov.f32 %r1.x, 1.0;", "9): error: '%r1' is not a register");
}

// --- Values

static void value_is(const char *body, char type, uint64_t expected) {
  char types[2] = {type, '\0'};
  uint64_t out[1][32];
  CHECK(emu_lanes(&e, ".global .u32 gv[8];\n.shared .align 16 .u32 sv[8];\n",
                  body, "", NULL, types, out));
  if (out[0][0] != expected) fprintf(stderr, "%s\n", body);
  CHECK_EQ(out[0][0], expected);
  CHECK_EQ(out[0][31], expected);
}

static void values(void) {
  value_is("mov.u16 %o0, 70000;", 'h', 70000 - 65536);
  value_is("mov.u32 %o0, 0x1ffffffff;", 'r', 0xffffffff);
  value_is("mov.u32 %o0, -5000000000;", 'r', (uint32_t)-5000000000);
  value_is("mov.u64 %o0, -1;", 'd', UINT64_MAX);
  value_is("mov.b32 %o0, 0f3F800001;", 'r', 0x3f800001);
  value_is(".reg .f32 %f; mov.f32 %f, 0d3FF0000000000000; mov.b32 %o0, %f;",
           'r', 0x3f800000);
  value_is(".reg .f32 %f; mov.f32 %f, 0.1; mov.b32 %o0, %f;", 'r', 0x3dcccccd);
  value_is(".reg .f64 %f; mov.f64 %f, 0f3F800000; mov.b64 %o0, %f;", 'd',
           0x3ff0000000000000);
  value_is("mov.b64 %o0, 1.5;", 'd', 0x3ff8000000000000);
  value_is("mov.u32 %o0, WARP_SZ;", 'r', 32);
  value_is("mov.pred %o0, -1;", 'p', 1);
  value_is("mov.pred %o0, 0;", 'p', 0);
  value_is(".reg .pred %p; mov.pred %p, 0; and.pred %o0, !%p, 1;", 'p', 1);
  value_is("mov.u32 %o0, sv+4;", 'r', TSR_SHARED_BASE + 4);
  value_is(".reg .b16 %h; mov.u16 %h, %ntid.x; cvt.u32.u16 %o0, %h;", 'r', 32);
  // Registers wider than the type: extended by its sign, cut.
  value_is(
      "st.global.u32 [gv], 0xfffffff0; bar.warp.sync -1; ld.global.s8 %o0, "
      "[gv];",
      'r', 0xfffffff0);
  value_is(
      "st.global.u32 [gv], 0xfffffff0; bar.warp.sync -1; ld.global.u8 %o0, "
      "[gv];",
      'r', 0xf0);
  value_is(
      "st.global.u32 [gv], 0xfffffff0; bar.warp.sync -1; ld.global.s32 %o0, "
      "[gv];",
      'd', 0xfffffffffffffff0);
  value_is(
      "st.global.u32 [gv], 0xfffffff0; bar.warp.sync -1; ld.global.u32 %o0, "
      "[gv];",
      'd', 0xfffffff0);
  value_is(
      "st.global.u32 [gv], 0xfffffff0; bar.warp.sync -1; ld.global.s8 %o0, "
      "[gv];",
      'h', 0xfff0);
  value_is(
      ".reg .b64 %d; mov.u64 %d, 0x123456789abcdef0;\n"
      "st.global.u32 [gv], 0; bar.warp.sync -1; st.global.u16 [gv], %d;\n"
      "bar.warp.sync -1;\n"
      "ld.global.u32 %o0, [gv];",
      'r', 0xdef0);
  value_is(
      ".reg .v2 .u32 %v; st.global.u32 [gv], 3; st.global.u32 [gv+4], 4;\n"
      "bar.warp.sync -1; ld.global.v2.u32 %v, [gv]; mad.lo.u32 %o0, %v.x, 10, "
      "%v.y;",
      'r', 34);
  // Ranges: %a1 of %a<2>, %a12 of %a1<3>.
  value_is(
      ".reg .b32 %a<2>, %a1<3>; mov.u32 %a1, 5; mov.u32 %a12, 6;\n"
      "mad.lo.u32 %o0, %a1, 10, %a12;",
      'r', 56);
  // An inner register hides an outer one.
  value_is(
      ".reg .b32 %a<2>; mov.u32 %a1, 5; { .reg .b32 %a1; mov.u32 %a1, 6;\n"
      "} mov.u32 %o0, %a1;",
      'r', 5);
}

// What the decoder puts in front of a mov counts as one with it, and a guard
// guards it.
static void moves(void) {
  emu_must_load(&e, HEAD
                "mov.u32 %r1, %tid.x;\n@%p1 mov.b64 %rd1, lv;\n"
                "mov.u16 %h1, %ntid.x;\nret;\n}\n");
  const tsr_function *k = &tsr_program_kernel(e.program, "k")->function;
  CHECK_EQ(k->op_count, 1 + 1 + 2 + 2);  // with two exits
  CHECK(k->code[1].guard != TSR_REF_NONE);
  uint64_t out[1][32];
  CHECK(emu_lanes(&e, "",
                  ".reg .pred %p; .reg .b32 %t; mov.u32 %t, %laneid;\n"
                  "setp.lt.u32 %p, %t, 5; mov.u32 %o0, 99;\n"
                  "@%p mov.u32 %o0, %laneid; @!%p mov.u32 %o0, %ntid.x;",
                  "", NULL, "r", out));
  for (uint64_t i = 0; i < 32; ++i) CHECK_EQ(out[0][i], i < 5 ? i : 32);
}

// --- Text of real size

// A loop over a body of |count| operations that mixes 16 live values.
static void write_long(tsr_buffer *text, uint32_t count) {
  tsr_buffer_printf(text,
                    ".reg .b32 %%t<%u>; .reg .pred %%q; .reg .b32 %%n;\n"
                    "mov.u32 %%n, 0;\n",
                    count + 32);
  for (uint32_t i = 0; i < 16; ++i) {
    tsr_buffer_printf(text, "mad.lo.u32 %%t%u, %%i0, %u, %u;\n", i, i + 3, i);
  }
  tsr_buffer_append_string(text, "LOOP:\n");
  for (uint32_t i = 16; i < count; ++i) {
    if (i % 100 == 0) {
      tsr_buffer_printf(text, "setp.lt.u32 %%q, %%t%u, %%t%u;\n", i - 1, i - 2);
      tsr_buffer_printf(text, "@%%q bra S%u;\n", i);
      tsr_buffer_printf(text, "add.u32 %%t%u, %%t%u, 77;\nS%u:\n", i - 3, i - 4,
                        i);
    }
    tsr_buffer_printf(text, "mad.lo.u32 %%t%u, %%t%u, %u, %%t%u;\n", i, i - 1,
                      i * 2 + 1, i - 16);
  }
  for (uint32_t i = 0; i < 16; ++i) {
    tsr_buffer_printf(text, "mov.u32 %%t%u, %%t%u;\n", i, count - 16 + i);
  }
  tsr_buffer_append_string(text,
                           "add.u32 %n, %n, 1;\nsetp.lt.u32 %q, %n, 3;\n"
                           "@%q bra LOOP;\n");
  tsr_buffer_printf(text, "mov.u32 %%o0, %%t%u;\n", count - 1);
}

static double seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void long_text(void) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  write_long(&text, 30000);
  uint64_t in[1][32], with[1][32], without[1][32], seed = 3;
  for (int i = 0; i < 32; ++i) in[0][i] = random_next(&seed) & UINT32_MAX;
  double begin = seconds();
  CHECK(emu_lanes(&e, "", tsr_buffer_text(&text), "r",
                  (const uint64_t(*)[32])in, "r", with));
  CHECK(seconds() - begin < 5.0);  // far above what near-linear takes
  CHECK(tsr_program_kernel(e.program, "lanes")->function.register_units < 100);
  tsr_compaction_enabled = false;
  CHECK(emu_lanes(&e, "", tsr_buffer_text(&text), "r",
                  (const uint64_t(*)[32])in, "r", without));
  CHECK(tsr_program_kernel(e.program, "lanes")->function.register_units >
        29000);
  tsr_compaction_enabled = true;
  CHECK(memcmp(with, without, sizeof(with)) == 0);
  CHECK(with[0][0] != with[0][1]);
  tsr_buffer_fini(&text);
}

int main(void) {
  emu_init(&e, "h100");
  agreement();
  wider();
  immediates_refused();
  symbols();
  modifiers();
  scopes();
  values();
  moves();
  long_text();
  emu_fini(&e);
  return test_finish();
}
