// SPDX-License-Identifier: Apache-2.0
// mbarriers: counts, phases and states as the PTX ISA says, a ring of producers
// and consumers under many schedules, and every misuse found.
#include <stdlib.h>

#include "harness.h"

#define HEADER ".version 8.7\n.target sm_90a\n.address_size 64\n"

enum { SEEDS = 20 };

// --- One thread -------------------------------------------------------------

// |body| leaves results in %r0 to %r7, predicates in %p0 to %p7 (bits of
// word 8). %m is the mbarrier, not initialised.
static bool run_single(emu *e, const char *body, uint32_t out[9]) {
  char text[8192];
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry single(.param .u64 pout) {\n"
      ".reg .b64 %%out, %%s<4>, %%g;\n.reg .b32 %%m, %%r<8>, %%c, %%i;\n"
      ".reg .b32 %%bits, %%one;\n.reg .pred %%p<8>, %%q;\n"
      ".shared .align 8 .b64 bar[4];\n"
      "ld.param.u64 %%out, [pout];\nmov.u32 %%m, bar;\n"
      "mov.u32 %%r0, 0;\nmov.u32 %%r1, 0;\nmov.u32 %%r2, 0;\n"
      "mov.u32 %%r3, 0;\nmov.u32 %%r4, 0;\nmov.u32 %%r5, 0;\n"
      "mov.u32 %%r6, 0;\nmov.u32 %%r7, 0;\nmov.u32 %%bits, 0;\n"
      "setp.ne.u32 %%p0, %%r0, 0;\nsetp.ne.u32 %%p1, %%r0, 0;\n"
      "setp.ne.u32 %%p2, %%r0, 0;\nsetp.ne.u32 %%p3, %%r0, 0;\n"
      "setp.ne.u32 %%p4, %%r0, 0;\nsetp.ne.u32 %%p5, %%r0, 0;\n"
      "setp.ne.u32 %%p6, %%r0, 0;\nsetp.ne.u32 %%p7, %%r0, 0;\n"
      "%s\n"
      "@%%p0 or.b32 %%bits, %%bits, 1;\n@%%p1 or.b32 %%bits, %%bits, 2;\n"
      "@%%p2 or.b32 %%bits, %%bits, 4;\n@%%p3 or.b32 %%bits, %%bits, 8;\n"
      "@%%p4 or.b32 %%bits, %%bits, 16;\n@%%p5 or.b32 %%bits, %%bits, 32;\n"
      "@%%p6 or.b32 %%bits, %%bits, 64;\n@%%p7 or.b32 %%bits, %%bits, 128;\n"
      "st.global.b32 [%%out], %%r0;\nst.global.b32 [%%out+4], %%r1;\n"
      "st.global.b32 [%%out+8], %%r2;\nst.global.b32 [%%out+12], %%r3;\n"
      "st.global.b32 [%%out+16], %%r4;\nst.global.b32 [%%out+20], %%r5;\n"
      "st.global.b32 [%%out+24], %%r6;\nst.global.b32 [%%out+28], %%r7;\n"
      "st.global.b32 [%%out+32], %%bits;\nret;\n}\n",
      body);
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t arg = emu_upload(e, NULL, 64);
  bool clean = emu_launch(e, "single", (emu_dims){{0}, {0}, 0}, &arg, 1);
  emu_download(e, out, arg, 36);
  (void)tsr_heap_free(e->heap, arg);
  return clean;
}

static void test_counts(emu *e) {
  uint32_t r[9];
  // Three arrivals: states carry the count before the arrival, and wait for
  // the phase they were taken in.
  CHECK(run_single(
      e,
      "mbarrier.init.shared.b64 [%m], 3;\n"
      "mbarrier.arrive.shared.b64 %s0, [%m];\n"
      "mbarrier.pending_count.b64 %r0, %s0;\n"
      "mbarrier.test_wait.shared.b64 %p0, [%m], %s0;\n"
      "mbarrier.arrive.release.cta.shared::cta.b64 %s1, [%m], 1;\n"
      "mbarrier.pending_count.b64 %r1, %s1;\n"
      "mbarrier.test_wait.parity.shared.b64 %p1, [%m], 0;\n"
      "mbarrier.test_wait.parity.shared.b64 %p2, [%m], 1;\n"
      "mbarrier.arrive.shared.b64 %s2, [%m];\n"
      "mbarrier.pending_count.b64 %r2, %s2;\n"
      "mbarrier.try_wait.shared.b64 %p3, [%m], %s0;\n"
      "mbarrier.try_wait.acquire.cta.shared::cta.b64 %p4, [%m], %s2, 1000;\n"
      "mbarrier.try_wait.parity.relaxed.cluster.shared::cta.b64 %p5, [%m], 0;\n"
      "mbarrier.test_wait.parity.shared.b64 %p6, [%m], 1;\n"
      "mbarrier.arrive.shared.b64 %s3, [%m];\n"
      "mbarrier.pending_count.b64 %r3, %s3;\n",
      r));
  CHECK_EQ(r[0], 3);
  CHECK_EQ(r[1], 2);
  CHECK_EQ(r[2], 1);
  CHECK_EQ(r[3], 3);
  CHECK_EQ(r[8], 4 | 8 | 16 | 32);
  CHECK_EQ(e->launch.profile.mbarrier_waits, 3);
}

static void test_forms(emu *e) {
  uint32_t r[9];
  // Counts, drops and transactions; generic and shared::cluster addresses.
  CHECK(run_single(
      e,
      "cvta.shared.u64 %g, bar;\n"
      "mbarrier.init.b64 [%g], 10;\n"
      "mbarrier.arrive.b64 %s0, [%g], 4;\n"                    // 6 left
      "mbarrier.arrive.noComplete.shared.b64 %s0, [%m], 3;\n"  // 3 left
      "mbarrier.pending_count.b64 %r0, %s0;\n"
      "mbarrier.arrive_drop.shared.b64 %s0, [%m];\n"  // 2 left, 9 expected
      "mbarrier.arrive_drop.noComplete.shared.b64 %s1, [%m], 1;\n"  // 1, 8
      "mbarrier.pending_count.b64 %r1, %s1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%m];\n"
      "mbarrier.test_wait.b64 %p0, [%g], %s0;\n"
      "mbarrier.arrive.shared.b64 %s2, [%m], 7;\n"
      "mbarrier.pending_count.b64 %r2, %s2;\n"  // 8
      "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%m], 48;\n"
      "mbarrier.arrive.expect_tx.shared.b64 %s3, [%m], 16;\n"
      "mbarrier.pending_count.b64 %r3, %s3;\n"  // 1
      "mbarrier.test_wait.shared.b64 %p1, [%m], %s3;\n"
      "mbarrier.complete_tx.shared::cta.b64 [%m], 32;\n"
      "mbarrier.test_wait.shared.b64 %p2, [%m], %s3;\n"
      "mbarrier.complete_tx.shared::cluster.relaxed.cluster.b64 [%m], 32;\n"
      "mbarrier.test_wait.shared.b64 %p3, [%m], %s3;\n"
      // Completion may come before it is expected.
      "mbarrier.complete_tx.shared.b64 [%m], 64;\n"
      "mbarrier.arrive.shared.b64 _, [%m], 7;\n"
      "mbarrier.arrive_drop.expect_tx.shared.b64 %s2, [%m], 64;\n"
      "mbarrier.test_wait.shared.b64 %p4, [%m], %s2;\n"
      "mbarrier.arrive.shared.b64 %s2, [%m], 7;\n"
      "mbarrier.test_wait.shared.b64 %p5, [%m], %s2;\n"
      // Seven are expected now; two of them leave at once.
      "mbarrier.arrive_drop.shared.b64 _, [%m], 2;\n"
      "mbarrier.arrive.shared.b64 %s2, [%m], 5;\n"
      "mbarrier.arrive.shared.b64 %s3, [%m], 5;\n"
      "mbarrier.test_wait.shared.b64 %p6, [%m], %s3;\n"
      "@!%p6 trap;\n"
      // Another life of the same place.
      "mbarrier.inval.shared.b64 [%m];\n"
      "mbarrier.init.shared.b64 [%m], 1;\n"
      "mbarrier.arrive.shared.b64 _, [%m];\n"
      "mbarrier.inval.shared.b64 [%m];\n"
      "st.shared.b64 [%m], %g;\n",
      r));
  if (e->launch.fault != 0) fprintf(stderr, "%s", emu_findings(e));
  CHECK_EQ(r[0], 6);
  CHECK_EQ(r[1], 2);
  CHECK_EQ(r[2], 8);
  CHECK_EQ(r[3], 1);
  CHECK_EQ(r[8], 1 | 8 | 16 | 32 | 64);
}

static void test_late_expectation(emu *e) {
  uint32_t r[9];
  // All arrived, more bytes came than were expected: expecting them completes.
  CHECK(run_single(e,
                   "mbarrier.init.shared.b64 [%m], 1;\n"
                   "mbarrier.complete_tx.shared.b64 [%m], 64;\n"
                   "mbarrier.arrive.shared.b64 %s0, [%m];\n"
                   "mbarrier.test_wait.shared.b64 %p0, [%m], %s0;\n"
                   "mbarrier.expect_tx.shared.b64 [%m], 48;\n"
                   "mbarrier.test_wait.shared.b64 %p1, [%m], %s0;\n"
                   "mbarrier.expect_tx.shared.b64 [%m], 16;\n"
                   "mbarrier.test_wait.shared.b64 %p2, [%m], %s0;\n",
                   r));
  CHECK_EQ(r[8], 4);
}

static void test_phases(emu *e) {
  uint32_t r[9];
  // 37 phases: each parity and each state is seen as what it is. %r0 counts
  // what is right: three tests a round.
  CHECK(
      run_single(e,
                 "mbarrier.init.shared.b64 [%m], 1;\nmov.u32 %i, 0;\n"
                 "next:\nand.b32 %c, %i, 1;\n"
                 "mbarrier.test_wait.parity.shared.b64 %q, [%m], %c;\n"
                 "@!%q add.u32 %r0, %r0, 1;\n"
                 "mbarrier.arrive.shared.b64 %s0, [%m];\n"
                 "mbarrier.test_wait.parity.shared.b64 %q, [%m], %c;\n"
                 "@%q add.u32 %r0, %r0, 1;\n"
                 "mbarrier.test_wait.shared.b64 %q, [%m], %s0;\n"
                 "@%q add.u32 %r0, %r0, 1;\n"
                 "add.u32 %i, %i, 1;\nsetp.lt.u32 %q, %i, 37;\n@%q bra next;\n",
                 r));
  CHECK_EQ(r[0], 3 * 37);
}

static void check_misuse(emu *e, const char *body) {
  uint32_t r[9];
  CHECK(!run_single(e, body, r));
  bool found = emu_found(e, TESSERA_EMU_BARRIER) && e->launch.fault != 0;
  CHECK(found);
  if (!found) fprintf(stderr, "%s\nfound: %s\n", body, emu_findings(e));
}

#define INIT(count) "mbarrier.init.shared.b64 [%m], " #count ";\n"
#define ARRIVE "mbarrier.arrive.shared.b64 %s0, [%m];\n"

static void test_misuse(emu *e) {
  check_misuse(e, ARRIVE);
  check_misuse(e, "mbarrier.test_wait.parity.shared.b64 %p0, [%m], 0;");
  check_misuse(e, "mbarrier.inval.shared.b64 [%m];");
  check_misuse(e, INIT(0));
  check_misuse(e, INIT(1048576));
  check_misuse(e, INIT(1) INIT(1));
  check_misuse(e, INIT(2) "mbarrier.arrive.shared.b64 _, [%m], 3;");
  check_misuse(e, INIT(2) "mbarrier.arrive.shared.b64 _, [%m], 0;");
  check_misuse(e,
               INIT(2) "mbarrier.arrive.noComplete.shared.b64 %s0, [%m], 2;");
  check_misuse(e, INIT(1) "mbarrier.inval.shared.b64 [%m];\n" ARRIVE);
  check_misuse(e, INIT(1) "mbarrier.expect_tx.shared.b64 [%m], 1048576;");
  check_misuse(e, INIT(1) "mbarrier.expect_tx.shared.b64 [%m], 1048575;\n"
                          "mbarrier.expect_tx.shared.b64 [%m], 1;");
  check_misuse(e, INIT(1) "mbarrier.complete_tx.shared.b64 [%m], 1048576;");
  // The next phase's arrival while bytes of this one are outstanding.
  check_misuse(
      e, INIT(1) "mbarrier.arrive.expect_tx.shared.b64 _, [%m], 16;\n" ARRIVE);
  // A state of the phase before the last.
  check_misuse(e, INIT(1) ARRIVE
               "mbarrier.arrive.shared.b64 _, [%m];\n"
               "mbarrier.test_wait.shared.b64 %p0, [%m], %s0;");
  // The object was overwritten, or copied elsewhere.
  check_misuse(e, INIT(1) "mov.b64 %g, 0;\nst.shared.b64 [%m], %g;\n" ARRIVE);
  check_misuse(e, INIT(1) "ld.shared.b64 %g, [%m];\nst.shared.b64 [%m+8], %g;\n"
                          "mbarrier.arrive.shared.b64 %s0, [%m+8];");
}

static void test_addresses(emu *e) {
  uint32_t r[9];
  CHECK(!run_single(e, "mbarrier.init.shared.b64 [%m+4], 1;", r));
  CHECK(emu_found(e, TESSERA_EMU_MISALIGNED));
  CHECK(!run_single(e, "mbarrier.init.shared.b64 [%m+32], 1;", r));
  CHECK(emu_found(e, TESSERA_EMU_OUT_OF_BOUNDS));
  CHECK(!run_single(e, "mbarrier.init.b64 [%out], 1;", r));
  CHECK(emu_found(e, TESSERA_EMU_OUT_OF_BOUNDS));
}

static void check_refused(emu *e, const char *instruction) {
  emu_check_refused(e, "8.7", "sm_90a",
                    ".reg .b64 %s<4>; .reg .b32 %r<4>;\n"
                    ".reg .pred %p<2>;",
                    instruction);
}

static void test_refused(emu *e) {
  check_refused(e, "mbarrier.init.shared [%r1], 1;");
  check_refused(e, "mbarrier.init.shared::cluster.b64 [%r1], 1;");
  check_refused(e, "mbarrier.init.shared.b64 [%r1];");
  check_refused(e, "mbarrier.init.global.b64 [%r1], 1;");
  check_refused(e, "mbarrier.arrive.shared::cluster.b64 %s0, [%r1];");
  check_refused(e, "mbarrier.arrive.noComplete.shared.b64 %s0, [%r1];");
  check_refused(e, "mbarrier.arrive.acquire.cta.shared.b64 %s0, [%r1];");
  check_refused(e, "mbarrier.arrive.release.gpu.shared.b64 %s0, [%r1];");
  check_refused(e, "mbarrier.arrive.expect_tx.shared.b64 %s0, [%r1];");
  check_refused(
      e, "mbarrier.arrive.expect_tx.noComplete.shared.b64 %s0, [%r1], 1;");
  check_refused(e, "mbarrier.test_wait.shared.b64 %p0, [%r1];");
  check_refused(e, "mbarrier.test_wait.shared.b64 %p0, [%r1], %s0, 10;");
  check_refused(e, "mbarrier.test_wait.shared.b64 %p0, [%r1], %r2;");
  check_refused(e, "mbarrier.try_wait.parity.shared.b64 %p0, [%r1], %s0;");
  check_refused(e, "mbarrier.test_wait.shared::cluster.b64 %p0, [%r1], %s0;");
  check_refused(e, "mbarrier.pending_count.b64 %s0, %s1;");
  check_refused(e, "mbarrier.drop.shared.b64 [%r1];");
  check_refused(e, "mbarrier.shared.b64 [%r1];");
}

// --- Producers and consumers ------------------------------------------------

typedef struct ring {
  const char *produced;      // how a producer says that a place is full
  const char *full_parity;   // consumers wait for it, from %k (round)
  const char *empty_parity;  // producers wait for it
  const char *consumed;      // how a consumer says that a place is empty
  const char *full_count;    // arrivals expected on full
} ring;

enum { PLACES = 3, ROUNDS = 29 };

// Warps 0 and 1 write words into a ring of three places, warps 2 and 3 read
// what the other lane of the other warp wrote.
static bool run_ring(emu *e, const ring *r, uint32_t *out_wrong) {
  char text[8192];
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry ring(.param .u64 pout) {\n"
      ".reg .b64 %%out, %%o;\n"
      ".reg .b32 %%t, %%w, %%b, %%f, %%e, %%i, %%k, %%s, %%a, %%v, %%par;\n"
      ".reg .b32 %%sum, %%full, %%empty, %%x;\n.reg .pred %%p, %%q, %%c;\n"
      ".shared .align 16 .b8 buf[768];\n"
      ".shared .align 8 .b64 fullbar[3];\n.shared .align 8 .b64 emptybar[3];\n"
      "ld.param.u64 %%out, [pout];\nmov.u32 %%t, %%tid.x;\n"
      "mov.u32 %%b, buf;\nmov.u32 %%full, fullbar;\n"
      "mov.u32 %%empty, emptybar;\nmov.u32 %%sum, 0;\n"
      "setp.eq.u32 %%p, %%t, 0;\n@!%%p bra ready;\n"
      "mbarrier.init.shared.b64 [%%full], %s;\n"
      "mbarrier.init.shared.b64 [%%full+8], %s;\n"
      "mbarrier.init.shared.b64 [%%full+16], %s;\n"
      "mbarrier.init.shared.b64 [%%empty], 64;\n"
      "mbarrier.init.shared.b64 [%%empty+8], 64;\n"
      "mbarrier.init.shared.b64 [%%empty+16], 64;\n"
      "ready:\nbar.sync 0;\n"
      "mov.u32 %%i, 0;\nmov.u32 %%k, 0;\nmov.u32 %%s, 0;\n"
      "setp.ge.u32 %%c, %%t, 64;\nxor.b32 %%x, %%t, 111;\n"
      "and.b32 %%x, %%x, 63;\n@%%c bra consume;\n"
      "produce:\n"
      "mad.lo.u32 %%e, %%s, 8, %%empty;\nmad.lo.u32 %%f, %%s, 8, %%full;\n"
      "%s\n"  // parity of the wait for empty
      "we:\nmbarrier.try_wait.parity.shared.b64 %%q, [%%e], %%par;\n"
      "@!%%q bra we;\n"
      "mad.lo.u32 %%a, %%s, 256, %%b;\nmad.lo.u32 %%a, %%t, 4, %%a;\n"
      "mad.lo.u32 %%v, %%i, 1000, %%t;\nst.shared.b32 [%%a], %%v;\n"
      "%s\n"
      "add.u32 %%s, %%s, 1;\nsetp.eq.u32 %%q, %%s, 3;\n"
      "@%%q mov.u32 %%s, 0;\n@%%q add.u32 %%k, %%k, 1;\n"
      "add.u32 %%i, %%i, 1;\nsetp.lt.u32 %%q, %%i, %u;\n@%%q bra produce;\n"
      "ret;\n"
      "consume:\n"
      "mad.lo.u32 %%e, %%s, 8, %%empty;\nmad.lo.u32 %%f, %%s, 8, %%full;\n"
      "%s\n"  // parity of the wait for full
      "wf:\nmbarrier.try_wait.parity.shared.b64 %%q, [%%f], %%par;\n"
      "@!%%q bra wf;\n"
      "mad.lo.u32 %%a, %%s, 256, %%b;\nmad.lo.u32 %%a, %%x, 4, %%a;\n"
      "ld.shared.b32 %%v, [%%a];\n"
      "mad.lo.u32 %%sum, %%v, %%i, %%sum;\n"
      "%s\n"
      "add.u32 %%s, %%s, 1;\nsetp.eq.u32 %%q, %%s, 3;\n"
      "@%%q mov.u32 %%s, 0;\n@%%q add.u32 %%k, %%k, 1;\n"
      "add.u32 %%i, %%i, 1;\nsetp.lt.u32 %%q, %%i, %u;\n@%%q bra consume;\n"
      "mul.wide.u32 %%o, %%t, 4;\nadd.u64 %%out, %%out, %%o;\n"
      "st.global.b32 [%%out], %%sum;\nret;\n}\n",
      r->full_count, r->full_count, r->full_count, r->empty_parity, r->produced,
      (unsigned)ROUNDS, r->full_parity, r->consumed, (unsigned)ROUNDS);
  uint32_t out[128];
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t arg = emu_upload(e, NULL, sizeof(out));
  bool clean = emu_launch(e, "ring", (emu_dims){.block = {128}}, &arg, 1);
  emu_download(e, out, arg, sizeof(out));
  (void)tsr_heap_free(e->heap, arg);
  *out_wrong = 0;
  for (uint32_t t = 64; t < 128; ++t) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < ROUNDS; ++i)
      sum += (i * 1000 + ((t ^ 111) & 63)) * i;
    *out_wrong += sum != out[t];
  }
  return clean;
}

#define FULL "mbarrier.arrive.shared::cta.b64 _, [%f];"
#define EMPTY "mbarrier.arrive.shared::cta.b64 _, [%e];"
#define EVEN "and.b32 %par, %k, 1;"
#define ODD "not.b32 %par, %k; and.b32 %par, %par, 1;"

static void test_ring(emu *e) {
  static const ring good = {FULL, EVEN, ODD, EMPTY, "64"};
  // One lane arrives for its warp.
  static const ring elected = {
      "bar.warp.sync 0xffffffff;\n.reg .b32 %l;\nmov.u32 %l, %laneid;\n"
      "setp.eq.u32 %p, %l, 0;\n@%p " FULL,
      EVEN, ODD, EMPTY, "2"};
  static const tessera_emu_time times[] = {
      TESSERA_EMU_TIME_LATE, TESSERA_EMU_TIME_EARLY, TESSERA_EMU_TIME_RANDOM};
  for (uint64_t seed = 0; seed < SEEDS; ++seed) {
    for (size_t t = 0; t < 3; ++t) {
      uint32_t wrong;
      e->config.seed = seed;
      e->config.time = times[t];
      bool clean = run_ring(e, &good, &wrong);
      CHECK(clean);
      if (!clean) fprintf(stderr, "ring: %s", emu_findings(e));
      CHECK_EQ(wrong, 0);
      clean = run_ring(e, &elected, &wrong);
      CHECK(clean);
      if (!clean) fprintf(stderr, "elected ring: %s", emu_findings(e));
      CHECK_EQ(wrong, 0);
    }
  }
}

static void check_ring(emu *e, const char *name, const ring *r,
                       uint32_t kinds) {
  for (uint64_t seed = 0; seed < SEEDS; ++seed) {
    uint32_t wrong;
    e->config.seed = seed;
    e->config.time = TESSERA_EMU_TIME_LATE;
    bool found = !run_ring(e, r, &wrong), expected = false;
    for (uint32_t kind = 1; kind <= TESSERA_EMU_TIMEOUT; ++kind) {
      expected = expected || ((kinds >> kind & 1) != 0 &&
                              emu_found(e, (tessera_emu_finding_kind)kind));
    }
    CHECK(found && expected);
    if (!found || !expected) {
      fprintf(stderr, "%s, seed %u: found: %s\n", name, (unsigned)seed,
              emu_findings(e));
    }
  }
}

static void test_ring_defects(emu *e) {
  static const ring relaxed = {
      "mbarrier.arrive.relaxed.cta.shared::cta.b64 _, [%f];", EVEN, ODD, EMPTY,
      "64"};
  static const ring premature = {FULL, ODD, ODD, EMPTY, "64"};
  static const ring producers_stuck = {FULL, EVEN, EVEN, EMPTY, "64"};
  static const ring too_few = {FULL, EVEN, ODD, EMPTY, "65"};
  static const ring too_many = {FULL "\n" FULL, EVEN, ODD, EMPTY, "64"};
  static const ring no_release = {FULL, EVEN, ODD, "", "64"};
  const uint32_t race = 1u << TESSERA_EMU_RACE;
  const uint32_t stuck = 1u << TESSERA_EMU_DEADLOCK;
  const uint32_t misuse = 1u << TESSERA_EMU_BARRIER;
  check_ring(e, "relaxed arrival", &relaxed, race);
  check_ring(e, "wrong parity of full", &premature, race | stuck);
  check_ring(e, "wrong parity of empty", &producers_stuck, stuck);
  check_ring(e, "too few arrivals", &too_few, stuck);
  check_ring(e, "too many arrivals", &too_many, misuse | race | stuck);
  check_ring(e, "places never given back", &no_release, stuck);
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_counts(&e);
  test_forms(&e);
  test_late_expectation(&e);
  test_phases(&e);
  test_misuse(&e);
  test_addresses(&e);
  test_refused(&e);
  test_ring(&e);
  test_ring_defects(&e);
  emu_fini(&e);
  return test_finish();
}
