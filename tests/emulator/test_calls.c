// SPDX-License-Identifier: Apache-2.0
// Calls and branches as lanes take them: recursion to different depths,
// functions through registers, all ways to pass arguments, tables of targets,
// the ends of threads. Everything runs with compacted registers and without.
#include <stdlib.h>

#include "decode/compaction.h"
#include "harness.h"

static emu e;

// |in| is %i0, |expected| what %o0 must be.
static void lanes_are(const char *headers, const char *body,
                      const uint64_t in[32], const uint64_t expected[32]) {
  uint64_t rows[1][32], out[1][32];
  memcpy(rows[0], in, sizeof(rows[0]));
  bool clean =
      emu_lanes(&e, headers, body, "r", (const uint64_t(*)[32])rows, "r", out);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(&e));
  for (int i = 0; i < 32; ++i) CHECK_EQ(out[0][i], expected[i]);
}

// The launch must end with |kind|.
static void finds(const char *headers, const char *body,
                  tessera_emu_finding_kind kind, const char *part) {
  uint64_t out[1][32];
  CHECK(!emu_lanes(&e, headers, body, "", NULL, "r", out));
  CHECK(emu_found(&e, kind));
  bool said = strstr(emu_findings(&e), part) != NULL;
  CHECK(said);
  if (!said) fprintf(stderr, "%s", emu_findings(&e));
}

// --- Recursion

static uint64_t fibonacci(uint64_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static const char fib[] =
    ".func (.param .b32 out) fib(.param .b32 n) {\n"
    ".reg .b32 %r<8>;\n.reg .pred %p;\n"
    "ld.param.u32 %r1, [n];\n"
    "setp.lt.u32 %p, %r1, 2;\n"
    "@%p bra SMALL;\n"
    "add.s32 %r2, %r1, -1;\n"
    "{ .param .b32 a; .param .b32 b;\n"
    "st.param.b32 [a], %r2;\n"
    "call (b), fib, (a);\n"
    "ld.param.b32 %r3, [b]; }\n"
    "add.s32 %r4, %r1, -2;\n"
    "{ .param .b32 a; .param .b32 b;\n"
    "st.param.b32 [a], %r4;\n"
    "call (b), fib, (a);\n"
    "ld.param.b32 %r5, [b]; }\n"
    "add.s32 %r6, %r3, %r5;\n"
    "st.param.b32 [out], %r6;\n"
    "ret;\n"
    "SMALL: st.param.b32 [out], %r1;\n"
    "ret;\n}\n";

static void recursion(void) {
  uint64_t in[32], expected[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i * 7 % 13;
    expected[i] = fibonacci(in[i]);
  }
  lanes_are(fib, "call (%o0), fib, (%i0);", in, expected);
}

static void too_deep(void) {
  finds(".func self(.param .b32 n) { call self, (1); ret; }\n",
        "call self, (2); mov.u32 %o0, 0;", TESSERA_EMU_ILLEGAL, "calls");
}

// --- Arguments

static void arguments(void) {
  uint64_t in[32], expected[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i * 1000003;
    expected[i] = (uint32_t)(in[i] * 3 + 11);
  }
  // In registers on the callee's side.
  const char *by_register =
      ".func (.reg .b32 r) f(.reg .b32 x, .reg .b32 y) {\n"
      "mad.lo.u32 r, x, 3, y;\nret;\n}\n";
  lanes_are(by_register, "call (%o0), f, (%i0, 11);", in, expected);
  lanes_are(by_register,
            ".param .b32 a, b; st.param.b32 [a], %i0;\n"
            "call (b), f, (a, 11); ld.param.b32 %o0, [b];",
            in, expected);
  // As a structure, by value: what the callee writes to it stays its own.
  lanes_are(
      ".func (.param .align 8 .b8 r[24]) f(.param .align 8 .b8 s[24]) {\n"
      ".reg .b64 %d<4>; .reg .b32 %a;\n"
      "ld.param.u32 %a, [s+4]; ld.param.u64 %d1, [s+8];\n"
      "ld.param.u64 %d2, [s+16]; cvt.u32.u64 %a, %d1;\n"
      "mad.lo.u32 %a, %a, 3, 11;\n"
      "st.param.b64 [r+16], %d2; st.param.b32 [r+4], %a; ret; }\n",
      ".param .align 8 .b8 s[24]; .param .align 8 .b8 r[24];\n"
      ".reg .b64 %d; cvt.u64.u32 %d, %i0; st.param.b64 [s+8], %d;\n"
      "st.param.b64 [s+16], %d; st.param.b32 [s+4], 7;\n"
      "call (r), f, (s);\nld.param.b32 %o0, [r+4];",
      in, expected);
  // 16 bits and a predicate's worth of guard: lanes that do not call keep %o0.
  for (uint64_t i = 0; i < 32; ++i) {
    expected[i] = i % 3 == 0 ? (uint16_t)(in[i] + 1) : 77;
  }
  lanes_are(
      ".func (.param .b16 r) f(.param .b16 x) {\n"
      ".reg .b16 %h; ld.param.b16 %h, [x]; add.u16 %h, %h, 1;\n"
      "st.param.b16 [r], %h; ret; }\n",
      ".reg .pred %p; .reg .b16 %h, %g; .reg .b32 %t;\n"
      "mov.u32 %t, %laneid; rem.u32 %t, %t, 3;\n"
      "setp.eq.u32 %p, %t, 0; mov.u32 %o0, 77; cvt.u16.u32 %h, %i0;\n"
      "@%p call (%g), f, (%h);\n@%p cvt.u32.u16 %o0, %g;",
      in, expected);
}

// Locals of different frames of one lane, and of lanes at different depths, do
// not meet.
static void frames(void) {
  uint64_t in[32], expected[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i % 5;
    expected[i] = 0;
    for (uint64_t k = 0; k <= in[i]; ++k) expected[i] += k * 10 + k;
  }
  lanes_are(
      ".func (.param .b32 out) f(.param .b32 n) {\n"
      ".local .align 8 .b8 mine[16]; .reg .b32 %r<8>; .reg .pred %p;\n"
      ".reg .b64 %d<3>; mov.u64 %d1, mine; cvta.local.u64 %d2, %d1;\n"
      "ld.param.u32 %r1, [n]; mul.lo.u32 %r2, %r1, 10;\n"
      "st.u32 [%d2+4], %r2; st.local.u32 [mine+8], %r1; mov.u32 %r3, 0;\n"
      "setp.eq.u32 %p, %r1, 0; @%p bra DONE;\n"
      "sub.u32 %r4, %r1, 1; call (%r3), f, (%r4);\n"
      "DONE: ld.local.u32 %r5, [mine+4]; ld.u32 %r6, [%d2+8];\n"
      "add.u32 %r5, %r5, %r6; add.u32 %r5, %r5, %r3;\n"
      "st.param.b32 [out], %r5; ret; }\n",
      "call (%o0), f, (%i0);", in, expected);
}

// --- Through registers

static const char table[] =
    ".func (.param .b32 r) f0(.param .b32 x) { .reg .b32 %a;\n"
    "ld.param.b32 %a, [x]; add.u32 %a, %a, 1; st.param.b32 [r], %a; ret; }\n"
    ".func (.param .b32 r) f1(.param .b32 x) { .reg .b32 %a, %b; .reg .b64 %d;"
    "ld.param.b32 %a, [x]; mul.wide.u32 %d, %a, 5; cvt.u32.u64 %b, %d;\n"
    "st.param.b32 [r], %b; ret; }\n"
    ".func (.param .b32 r) f2(.param .b32 x) { .reg .b32 %a;\n"
    "ld.param.b32 %a, [x]; xor.b32 %a, %a, 255; st.param.b32 [r], %a; ret; }\n"
    ".func other(.param .b64 x) { ret; }\n"
    ".global .u64 fs[4] = {f0, f1, f2, other};\n";

static void indirect(void) {
  uint64_t in[32], expected[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i * 3 + 1;
    uint64_t x = in[i], which = x % 3;
    expected[i] = which == 0 ? x + 1 : which == 1 ? x * 5 : x ^ 255;
  }
  const char *pick =
      ".reg .b64 %t, %u; .reg .b32 %w; rem.u32 %w, %i0, 3;\n"
      "mov.u64 %t, fs; mul.wide.u32 %u, %w, 8; add.u64 %t, %t, %u;\n"
      "ld.global.u64 %t, [%t];\n";
  char body[1024];
  (void)snprintf(body, sizeof(body),
                 "%sproto: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
                 "call (%%o0), %%t, (%%i0), proto;",
                 pick);
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i;
    expected[i] = i % 3 == 0 ? i + 1 : i % 3 == 1 ? i * 5 : i ^ 255;
  }
  lanes_are(table, body, in, expected);
  (void)snprintf(body, sizeof(body),
                 "%slist: .calltargets f0, f1, f2;\n.reg .pred %%p;\n"
                 "setp.lt.u32 %%p, %%i0, 16; mov.u32 %%o0, 5;\n"
                 "@!%%p call (%%o0), %%t, (%%i0), list;",
                 pick);
  for (uint64_t i = 0; i < 16; ++i) expected[i] = 5;
  lanes_are(table, body, in, expected);
}

static void bad_indirect(void) {
  const char *text =
      ".reg .b64 %t; ld.global.u64 %t, [fs+24];\n"
      "proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
      "call (%o0), %t, (5), proto;";
  finds(table, text, TESSERA_EMU_ILLEGAL, "another prototype");
  finds(table,
        ".reg .b64 %t; mov.u64 %t, 4096;\n"
        "proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
        "call (%o0), %t, (5), proto;",
        TESSERA_EMU_ILLEGAL, "call of what is no function");
}

// --- Branches

static void branch_table(void) {
  uint64_t in[32], expected[32];
  static const char text[] =
      "list: .branchtargets A, B, C, A;\nmov.u32 %o0, 0;\n"
      "brx.idx %i0, list;\n"
      "A: add.u32 %o0, %o0, 1; bra END;\n"
      "B: add.u32 %o0, %o0, 10;\n"
      "C: add.u32 %o0, %o0, 100;\nEND:";
  static const uint64_t results[4] = {1, 110, 100, 1};
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i * 5 % 4;
    expected[i] = results[in[i]];
  }
  lanes_are("", text, in, expected);
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = 1;
    expected[i] = 110;
  }
  lanes_are("", text, in, expected);
  uint64_t rows[1][32], out[1][32];
  memcpy(rows[0], in, sizeof(in));
  rows[0][9] = 4;
  CHECK(!emu_lanes(&e, "", text, "r", (const uint64_t(*)[32])rows, "r", out));
  CHECK(emu_found(&e, TESSERA_EMU_ILLEGAL));
  CHECK(strstr(emu_findings(&e), "brx.idx with index 4 of 4 targets") != NULL);
}

// A loop whose lanes leave at different turns, with an inner branch.
static void loops(void) {
  uint64_t in[32], expected[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i * 37 + 1;
    uint64_t n = in[i], turns = 0;
    for (; n != 1; ++turns) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    expected[i] = turns;
  }
  lanes_are("",
            ".reg .pred %p, %q; .reg .b32 %n, %m; mov.u32 %n, %i0;\n"
            "mov.u32 %o0, 0;\n"
            "LOOP: setp.eq.u32 %p, %n, 1; @%p bra DONE;\n"
            "and.b32 %m, %n, 1; setp.eq.u32 %q, %m, 0; @%q bra EVEN;\n"
            "mad.lo.u32 %n, %n, 3, 1; bra NEXT;\n"
            "EVEN: shr.u32 %n, %n, 1;\n"
            "NEXT: add.u32 %o0, %o0, 1; bra LOOP;\nDONE:",
            in, expected);
}

static void ends(void) {
  finds("", "trap; mov.u32 %o0, 0;", TESSERA_EMU_TRAP, "trap");
  finds("", "brkpt; mov.u32 %o0, 0;", TESSERA_EMU_TRAP, "brkpt");
  finds("",
        ".reg .pred %p; .reg .b32 %t; mov.u32 %t, %laneid;\n"
        "setp.lt.u32 %p, %t, 7; mov.u32 %o0, 1;\n@%p bra.uni L;\n"
        "mov.u32 %o0, 2;\nL:",
        TESSERA_EMU_DIVERGENCE, ".uni");
  // exit inside a function ends the thread: nothing is stored behind it.
  uint64_t expected[32], in[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i;
    expected[i] = i < 20 ? i + 1 : 0;
  }
  lanes_are(
      ".func f(.param .b32 x) { .reg .b32 %a; .reg .pred %p;\n"
      "ld.param.b32 %a, [x]; setp.ge.u32 %p, %a, 20; @%p exit; ret; }\n",
      "call f, (%i0); add.u32 %o0, %i0, 1;", in, expected);
}

// Two halves of a warp in different functions at once: each turn waits for the
// other half, so neither may touch the other's registers, which are of other
// widths.
static void two_functions(void) {
  uint64_t in[32], expected[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i * 77777;
    uint64_t wide = in[i];
    for (uint64_t k = 1; k <= 9; ++k) {
      wide = i < 16 ? wide * wide + k : (uint32_t)(wide * 5 + k);
    }
    expected[i] = i < 16 ? wide >> 32 : wide;
  }
  static const char wait[] =
      "st.volatile.shared.u32 [%s], %%k;\n"
      "W: ld.volatile.shared.u32 %%v, [%s]; setp.lt.u32 %%p, %%v, %%k;\n"
      "@%%p bra W; add.u32 %%k, %%k, 1; setp.le.u32 %%p, %%k, 9;\n"
      "@%%p bra L;\n";
  char first[512], second[512], headers[4096];
  (void)snprintf(first, sizeof(first), wait, "one", "two");
  (void)snprintf(second, sizeof(second), wait, "two", "one");
  (void)snprintf(
      headers, sizeof(headers),
      ".shared .u32 one, two;\n"
      ".func (.param .b32 r) f(.param .b32 x) {\n"
      ".reg .b64 %%a, %%b; .reg .b32 %%k, %%v; .reg .pred %%p;\n"
      "ld.param.u32 %%a, [x]; mov.u32 %%k, 1;\n"
      "L: cvt.u64.u32 %%b, %%k; mad.lo.u64 %%a, %%a, %%a, %%b;\n%s"
      "shr.u64 %%a, %%a, 32; cvt.u32.u64 %%v, %%a; st.param.b32 [r], %%v;\n"
      "ret; }\n"
      ".func (.param .b32 r) g(.param .b32 x) {\n"
      ".reg .b32 %%a, %%c, %%d, %%k, %%v; .reg .pred %%p, %%q;\n"
      "ld.param.u32 %%a, [x]; mov.u32 %%k, 1; mov.u32 %%c, 5;\n"
      "L: mad.lo.u32 %%a, %%a, %%c, %%k;\n%s"
      "st.param.b32 [r], %%a; ret; }\n",
      first, second);
  lanes_are(headers,
            ".reg .pred %p; .reg .b32 %l; mov.u32 %l, %laneid;\n"
            "setp.lt.u32 %p, %l, 16;\nst.shared.u32 [one], 0;\n"
            "st.shared.u32 [two], 0; bar.warp.sync -1;\n"
            "@%p bra A; call (%o0), g, (%i0); bra B;\n"
            "A: call (%o0), f, (%i0);\nB:",
            in, expected);
}

// bar.warp.sync at two places: who comes first must wait, also where its split
// could run on.
static void warp_sync_apart(void) {
  uint64_t in[32], expected[32];
  for (uint64_t i = 0; i < 32; ++i) {
    in[i] = i * 3 + 1;
    expected[i] = (i ^ 31) * 3 + 1;
  }
  for (e.config.seed = 0; e.config.seed < 20; ++e.config.seed) {
    lanes_are(".shared .u32 s[32];\n",
              ".reg .pred %p; .reg .b32 %l, %a, %b; mov.u32 %l, %laneid;\n"
              "shl.b32 %a, %l, 2; xor.b32 %b, %a, 124; mov.u32 %l, s;\n"
              "add.u32 %a, %a, %l; add.u32 %b, %b, %l;\n"
              "setp.lt.u32 %p, %i0, 49; @%p bra A;\n"
              "st.shared.u32 [%a], %i0; bar.warp.sync -1;\n"
              "ld.shared.u32 %o0, [%b]; bra B;\n"
              "A: st.shared.u32 [%a], %i0; bar.warp.sync -1;\n"
              "ld.shared.u32 %o0, [%b];\nB:",
              in, expected);
  }
  e.config.seed = 0;
}

static void system_functions(void) {
  const char *assert_text =
      ".global .b8 m[4] = {120, 62, 48, 0};\n"
      ".global .b8 f[5] = {97, 46, 99, 117, 0};\n"
      ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c,"
      " .param .b64 d, .param .b64 e) .noreturn;\n";
  finds(assert_text,
        ".reg .b64 %a, %b; mov.u64 %a, m; mov.u64 %b, f;\n"
        "call __assertfail, (%a, %b, 42, %b, 1); mov.u32 %o0, 0;",
        TESSERA_EMU_TRAP, "assertion failed: x>0 at a.cu:42");
  finds(".extern .func free(.param .b64 a);\n",
        "call free, (0); mov.u32 %o0, 0;", TESSERA_EMU_ILLEGAL,
        "the system function 'free' is not supported");
}

static void all(void) {
  recursion();
  too_deep();
  arguments();
  frames();
  indirect();
  bad_indirect();
  branch_table();
  loops();
  ends();
  two_functions();
  warp_sync_apart();
  system_functions();
}

int main(void) {
  emu_init(&e, "h100");
  all();
  tsr_compaction_enabled = false;
  all();
  emu_fini(&e);
  return test_finish();
}
