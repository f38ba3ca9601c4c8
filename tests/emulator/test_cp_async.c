// SPDX-License-Identifier: Apache-2.0
// cp.async: what it copies in every form, pipelines that wait as they must
// under many schedules and all times, and pipelines that do not, which must be
// found whatever the schedule and the time.
#include <stdlib.h>

#include "harness.h"

#define HEADER ".version 8.7\n.target sm_90a\n.address_size 64\n"

enum { SEEDS = 20 };

static const tessera_emu_time times[] = {
    TESSERA_EMU_TIME_LATE, TESSERA_EMU_TIME_EARLY, TESSERA_EMU_TIME_RANDOM};

// --- Forms ------------------------------------------------------------------

// One warp copies into shared memory and gives back 16 bytes per lane.
static bool run_form(emu *e, const char *copies, uint32_t out[32][4]) {
  char text[4096];
  (void)snprintf(text, sizeof(text),
                 HEADER
                 ".visible .entry form(.param .u64 pin, .param .u64 pout) {\n"
                 ".reg .b64 %%in, %%out, %%o, %%pol;\n"
                 ".reg .b32 %%t, %%d, %%r<4>, %%n;\n.reg .pred %%p, %%q;\n"
                 ".shared .align 16 .b8 buf[512];\n"
                 "ld.param.u64 %%in, [pin];\nld.param.u64 %%out, [pout];\n"
                 "mov.u32 %%t, %%tid.x;\nmul.wide.u32 %%o, %%t, 16;\n"
                 "add.u64 %%in, %%in, %%o;\nadd.u64 %%out, %%out, %%o;\n"
                 "mov.u32 %%d, buf;\nmad.lo.u32 %%d, %%t, 16, %%d;\n"
                 "mov.u32 %%r0, 0x11111111;\n"
                 "st.shared.v4.b32 [%%d], {%%r0, %%r0, %%r0, %%r0};\n"
                 "and.b32 %%n, %%t, 15;\nsetp.gt.u32 %%p, %%t, 20;\n"
                 "createpolicy.fractional.L2::evict_last.b64 %%pol, 1.0;\n"
                 "%s\n"
                 "cp.async.wait_all;\n"
                 "ld.shared.v4.b32 {%%r0, %%r1, %%r2, %%r3}, [%%d];\n"
                 "st.global.v4.b32 [%%out], {%%r0, %%r1, %%r2, %%r3};\n"
                 "ret;\n}\n",
                 copies);
  unsigned char in[512];
  for (uint32_t i = 0; i < sizeof(in); ++i) in[i] = (unsigned char)(i * 7 + 3);
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t args[2] = {emu_upload(e, in, sizeof(in)), emu_upload(e, NULL, 512)};
  bool clean = emu_launch(e, "form", (emu_dims){.block = {32}}, args, 2);
  emu_download(e, out, args[1], 512);
  (void)tsr_heap_free(e->heap, args[0]);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

// Byte |at| of lane |lane| after copying |read| of |size| bytes.
static unsigned char expected(uint32_t lane, uint32_t at, uint32_t size,
                              uint32_t read) {
  if (at >= size) return 0x11;
  if (at >= read) return 0;
  return (unsigned char)((lane * 16 + at) * 7 + 3);
}

static void check_form(emu *e, const char *copies, uint32_t size,
                       uint32_t (*read)(uint32_t lane, uint32_t size)) {
  uint32_t out[32][4];
  for (size_t t = 0; t < 3; ++t) {
    e->config.time = times[t];
    CHECK(run_form(e, copies, out));
    if (e->launch.fault != 0) fprintf(stderr, "%s", emu_findings(e));
    bool equal = true;
    for (uint32_t lane = 0; lane < 32; ++lane) {
      unsigned char bytes[16];
      memcpy(bytes, out[lane], 16);
      for (uint32_t i = 0; i < 16; ++i) {
        equal = equal && bytes[i] == expected(lane, i, size, read(lane, size));
      }
    }
    CHECK(equal);
    if (!equal) fprintf(stderr, "form: %s\n", copies);
  }
}

static uint32_t read_all(uint32_t lane, uint32_t size) {
  (void)lane;
  return size;
}
static uint32_t read_lane(uint32_t lane, uint32_t size) {
  return (lane & 15) < size ? (lane & 15) : size;
}
static uint32_t read_three(uint32_t lane, uint32_t size) {
  (void)lane, (void)size;
  return 3;
}
static uint32_t read_unless_above_20(uint32_t lane, uint32_t size) {
  return lane > 20 ? 0 : size;
}

static void test_forms(emu *e) {
  check_form(e, "cp.async.ca.shared.global [%d], [%in], 4;", 4, read_all);
  check_form(e, "cp.async.ca.shared.global [%d], [%in], 8;", 8, read_all);
  check_form(e, "cp.async.ca.shared.global [%d], [%in], 16;", 16, read_all);
  check_form(e, "cp.async.cg.shared::cta.global [%d], [%in], 16;", 16,
             read_all);
  check_form(e, "cp.async.cg.shared.global.L2::128B [%d], [%in], 16;", 16,
             read_all);
  check_form(
      e,
      "cp.async.cg.shared.global.L2::cache_hint.L2::256B [%d], [%in], 16, "
      "%pol;",
      16, read_all);
  check_form(e, "cp.async.cg.shared.global [%d], [%in], 16, %n;", 16,
             read_lane);
  check_form(e,
             "cp.async.cg.shared.global.L2::cache_hint [%d], [%in], 16, %n, "
             "%pol;",
             16, read_lane);
  check_form(e, "cp.async.ca.shared.global [%d], [%in], 8, 3;", 8, read_three);
  check_form(e, "cp.async.ca.shared.global [%d], [%in], 8, %p;", 8,
             read_unless_above_20);
  // With nothing to read the address need not be valid.
  check_form(e,
             "selp.b64 %in, 0, %in, %p; selp.b32 %n, 0, 16, %p;\n"
             "cp.async.cg.shared.global [%d], [%in], 16, %n;",
             16, read_unless_above_20);
  CHECK_EQ(e->launch.profile.copy.instructions, 1);
  CHECK_EQ(e->launch.profile.copy.bytes, 21 * 16);
  CHECK_EQ(e->launch.profile.copy_shared.bytes, 32 * 16);
  CHECK_EQ(e->launch.profile.copy_shared.transactions, 4);
  CHECK_EQ(e->launch.profile.copy_shared.ideal, 4);
}

static void check_refused(emu *e, const char *instruction) {
  emu_check_refused(e, "8.7", "sm_90a",
                    ".reg .b64 %rd<4>; .reg .b32 %r<4>;\n"
                    ".shared .align 16 .b8 buf[64];",
                    instruction);
}

static void test_refused(emu *e) {
  check_refused(e, "cp.async.cg.shared.global [%r1], [%rd1], 8;");
  check_refused(e, "cp.async.ca.shared.global [%r1], [%rd1], 12;");
  check_refused(e, "cp.async.ca.shared.global [%r1], [%rd1], %r2;");
  check_refused(e, "cp.async.shared.global [%r1], [%rd1], 4;");
  check_refused(e, "cp.async.ca.global [%r1], [%rd1], 4;");
  check_refused(e, "cp.async.ca.shared [%r1], [%rd1], 4;");
  check_refused(e, "cp.async.ca.shared.global.L2::64 [%r1], [%rd1], 4;");
  check_refused(e,
                "cp.async.ca.shared.global.L2::cache_hint [%r1], [%rd1], 4;");
  check_refused(e, "cp.async.ca.shared.global [%r1], [%rd1];");
  check_refused(e, "cp.async.wait_group %r1;");
  check_refused(e, "cp.async.wait_group;");
  check_refused(e, "cp.async.commit_group 1;");
  check_refused(e, "cp.async.mbarrier.arrive.shared [%r1];");
  check_refused(e, "cp.ca.shared.global [%r1], [%rd1], 4;");
}

static void check_found(emu *e, const char *copies,
                        tessera_emu_finding_kind kind, bool faults) {
  uint32_t out[32][4];
  for (size_t t = 0; t < 3; ++t) {
    e->config.time = times[t];
    CHECK(!run_form(e, copies, out));
    bool found = emu_found(e, kind);
    CHECK(found);
    if (!found) fprintf(stderr, "%s: found: %s\n", copies, emu_findings(e));
    CHECK((e->launch.fault != 0) == faults);
  }
}

static void test_faults(emu *e) {
  check_found(e, "cp.async.ca.shared.global [%d], [%in], 8, 9;",
              TESSERA_EMU_ILLEGAL, false);
  check_found(e, "cp.async.ca.shared.global [%d], [%in+2], 4;",
              TESSERA_EMU_MISALIGNED, true);
  check_found(e, "cp.async.ca.shared.global [%d], [%in+2], 4, 1;",
              TESSERA_EMU_MISALIGNED, true);
  check_found(e, "cp.async.ca.shared.global [%d+4], [%in], 8;",
              TESSERA_EMU_MISALIGNED, true);
  check_found(e, "cp.async.ca.shared.global [%d+512], [%in], 4;",
              TESSERA_EMU_OUT_OF_BOUNDS, true);
  check_found(e, "cp.async.ca.shared.global [%d], [%in+4096], 4;",
              TESSERA_EMU_OUT_OF_BOUNDS, true);
  check_found(e, "cp.async.ca.shared.global [%d], [%out], 4;",
              TESSERA_EMU_UNINITIALISED, false);
}

// --- Pipelines --------------------------------------------------------------

typedef struct pipeline {
  const char *wait;     // before a tile is read
  const char *barrier;  // behind it
  uint32_t ahead;       // tiles in flight; the ring has four places
  const char *extra;    // behind the loop's copies
} pipeline;

enum { TILES = 11, THREADS = 128 };

// Every thread copies 16 bytes of each tile and reads those of another one.
static bool run_pipeline(emu *e, const pipeline *p, uint64_t *out_sum) {
  char text[4096];
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry ring(.param .u64 pin, .param .u64 pout) {\n"
      ".reg .b64 %%in, %%out, %%o, %%a;\n.reg .b32 %%t, %%b, %%d, %%x, %%i;\n"
      ".reg .b32 %%j, %%s, %%sum, %%r<4>;\n.reg .pred %%p, %%q;\n"
      ".shared .align 16 .b8 buf[8192];\n"
      "ld.param.u64 %%in, [pin];\nld.param.u64 %%out, [pout];\n"
      "mov.u32 %%t, %%tid.x;\nmul.wide.u32 %%o, %%t, 16;\n"
      "add.u64 %%in, %%in, %%o;\nmul.wide.u32 %%o, %%t, 4;\n"
      "add.u64 %%out, %%out, %%o;\nmov.u32 %%b, buf;\n"
      "mad.lo.u32 %%d, %%t, 16, %%b;\nadd.u32 %%x, %%t, 37;\n"
      "and.b32 %%x, %%x, 127;\nmad.lo.u32 %%x, %%x, 16, %%b;\n"
      "mov.u32 %%sum, 0;\nmov.u32 %%j, 0;\n"
      "first:\n"
      "shl.b32 %%s, %%j, 11;\nadd.u32 %%s, %%s, %%d;\n"
      "mul.wide.u32 %%o, %%j, 2048;\nadd.u64 %%a, %%in, %%o;\n"
      "cp.async.cg.shared.global [%%s], [%%a], 16;\n"
      "cp.async.commit_group;\n"
      "add.u32 %%j, %%j, 1;\nsetp.lt.u32 %%p, %%j, %u;\n@%%p bra first;\n"
      "mov.u32 %%i, 0;\n"
      "next:\n%s\n%s\n"
      "and.b32 %%s, %%i, 3;\nshl.b32 %%s, %%s, 11;\nadd.u32 %%s, %%s, %%x;\n"
      "ld.shared.v4.b32 {%%r0, %%r1, %%r2, %%r3}, [%%s];\n"
      "add.u32 %%sum, %%sum, %%r0;\nmad.lo.u32 %%sum, %%r1, 3, %%sum;\n"
      "mad.lo.u32 %%sum, %%r2, 5, %%sum;\nmad.lo.u32 %%sum, %%r3, %%i, "
      "%%sum;\n"
      "add.u32 %%j, %%i, %u;\nsetp.lt.u32 %%p, %%j, %u;\n"
      "and.b32 %%s, %%j, 3;\nshl.b32 %%s, %%s, 11;\nadd.u32 %%s, %%s, %%d;\n"
      "mul.wide.u32 %%o, %%j, 2048;\nadd.u64 %%a, %%in, %%o;\n"
      "@%%p cp.async.cg.shared.global [%%s], [%%a], 16;\n%s\n"
      "cp.async.commit_group;\n"
      "add.u32 %%i, %%i, 1;\nsetp.lt.u32 %%q, %%i, %u;\n@%%q bra next;\n"
      "st.global.b32 [%%out], %%sum;\nret;\n}\n",
      p->ahead, p->wait, p->barrier, p->ahead, (unsigned)TILES, p->extra,
      (unsigned)TILES);
  static uint32_t in[TILES * THREADS * 4], out[THREADS];
  for (uint32_t i = 0; i < TILES * THREADS * 4; ++i) in[i] = i * 2654435761u;
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t args[2] = {emu_upload(e, in, sizeof(in)),
                      emu_upload(e, NULL, sizeof(out))};
  emu_dims dims = {.block = {THREADS}};
  bool clean = emu_launch(e, "ring", dims, args, 2);
  emu_download(e, out, args[1], sizeof(out));
  uint64_t wrong = 0;
  for (uint32_t t = 0; t < THREADS; ++t) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < TILES; ++i) {
      const uint32_t *r = &in[(i * THREADS + (t + 37) % THREADS) * 4];
      sum += r[0] + r[1] * 3 + r[2] * 5 + r[3] * i;
    }
    wrong += sum != out[t];
  }
  *out_sum = wrong;
  (void)tsr_heap_free(e->heap, args[0]);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

static void test_pipeline(emu *e) {
  static const pipeline good = {"cp.async.wait_group 2;", "bar.sync 0;", 3, ""};
  for (size_t t = 0; t < 3; ++t) {
    for (uint64_t seed = 0; seed < SEEDS; ++seed) {
      uint64_t wrong = 0;
      e->config.time = times[t];
      e->config.seed = seed;
      bool clean = run_pipeline(e, &good, &wrong);
      CHECK(clean);
      if (!clean) fprintf(stderr, "%s", emu_findings(e));
      CHECK_EQ(wrong, 0);
    }
  }
}

static void check_defect(emu *e, const char *name, const pipeline *p,
                         tessera_emu_finding_kind kind) {
  for (size_t t = 0; t < 3; ++t) {
    for (uint64_t seed = 0; seed < SEEDS; ++seed) {
      uint64_t wrong = 0;
      e->config.time = times[t];
      e->config.seed = seed;
      (void)run_pipeline(e, p, &wrong);
      bool found = emu_found(e, kind);
      CHECK(found);
      if (!found) {
        fprintf(stderr, "%s, time %zu, seed %u: %s\n", name, t, (unsigned)seed,
                emu_findings(e));
      }
    }
  }
}

static void test_defects(emu *e) {
  static const pipeline no_wait = {"", "bar.sync 0;", 3, ""};
  static const pipeline late_wait = {"cp.async.wait_group 3;", "bar.sync 0;", 3,
                                     ""};
  static const pipeline no_barrier = {"cp.async.wait_group 2;", "", 3, ""};
  static const pipeline far_ahead = {"cp.async.wait_group 3;", "bar.sync 0;", 4,
                                     ""};
  static const pipeline overwrites = {"cp.async.wait_group 2;", "bar.sync 0;",
                                      3, "st.shared.b32 [%s], %sum;"};
  check_defect(e, "no wait", &no_wait, TESSERA_EMU_IN_FLIGHT);
  check_defect(e, "wait for too few", &late_wait, TESSERA_EMU_IN_FLIGHT);
  check_defect(e, "no barrier", &no_barrier, TESSERA_EMU_RACE);
  check_defect(e, "copies into what is read", &far_ahead, TESSERA_EMU_RACE);
  check_defect(e, "writes what is in flight", &overwrites,
               TESSERA_EMU_IN_FLIGHT);
  // Without any check, late time alone makes a missing wait give wrong sums.
  uint64_t wrong = 0;
  e->config.checks = 0;
  e->config.time = TESSERA_EMU_TIME_LATE;
  CHECK(run_pipeline(e, &no_wait, &wrong));
  CHECK_EQ(wrong, THREADS);
  e->config.checks = TESSERA_EMU_CHECK_ALL;
}

// --- Arrivals on an mbarrier ------------------------------------------------

// Each of 64 threads copies its 16 bytes and lets the mbarrier know.
static bool run_arrivals(emu *e, const char *count, const char *arrive,
                         const char *wait, uint64_t *out_wrong) {
  char text[4096];
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry arrivals(.param .u64 pin, .param .u64 pout) {\n"
      ".reg .b64 %%in, %%out, %%o;\n.reg .b32 %%t, %%b, %%d, %%x, %%m, %%i;\n"
      ".reg .b32 %%r<4>, %%phase;\n.reg .pred %%p, %%q;\n"
      ".shared .align 16 .b8 buf[1024];\n.shared .align 8 .b64 bar;\n"
      "ld.param.u64 %%in, [pin];\nld.param.u64 %%out, [pout];\n"
      "mov.u32 %%t, %%tid.x;\nmul.wide.u32 %%o, %%t, 16;\n"
      "add.u64 %%in, %%in, %%o;\nadd.u64 %%out, %%out, %%o;\n"
      "mov.u32 %%b, buf;\nmov.u32 %%m, bar;\nmad.lo.u32 %%d, %%t, 16, %%b;\n"
      "xor.b32 %%x, %%t, 45;\nmad.lo.u32 %%x, %%x, 16, %%b;\n"
      "setp.eq.u32 %%p, %%t, 0;\n@%%p mbarrier.init.shared.b64 [%%m], %s;\n"
      "bar.sync 0;\nmov.u32 %%i, 0;\n"
      "next:\n"
      "cp.async.ca.shared.global [%%d], [%%in], 16;\n%s\n"
      "and.b32 %%phase, %%i, 1;\nwait:\n%s\n"
      "ld.shared.v4.b32 {%%r0, %%r1, %%r2, %%r3}, [%%x];\n"
      "st.global.v4.b32 [%%out], {%%r0, %%r1, %%r2, %%r3};\n"
      "add.u64 %%in, %%in, 1024;\nadd.u64 %%out, %%out, 1024;\n"
      "bar.sync 0;\n"
      "add.u32 %%i, %%i, 1;\nsetp.lt.u32 %%q, %%i, 5;\n@%%q bra next;\n"
      "ret;\n}\n",
      count, arrive, wait);
  static uint32_t in[5 * 256], out[5 * 256];
  for (uint32_t i = 0; i < 5 * 256; ++i) in[i] = i * 2654435761u + 1;
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t args[2] = {emu_upload(e, in, sizeof(in)),
                      emu_upload(e, NULL, sizeof(out))};
  bool clean = emu_launch(e, "arrivals", (emu_dims){.block = {64}}, args, 2);
  emu_download(e, out, args[1], sizeof(out));
  *out_wrong = 0;
  for (uint32_t i = 0; i < 5 * 256; ++i) {
    *out_wrong += out[i] != in[i ^ 45 * 4];
  }
  (void)tsr_heap_free(e->heap, args[0]);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

#define WAIT                                                 \
  "mbarrier.test_wait.parity.shared.b64 %q, [%m], %phase;\n" \
  "@!%q bra wait;"

#define NOINC "cp.async.mbarrier.arrive.noinc.shared.b64 [%m];\n"
#define WAITED_THEN_ARRIVED "cp.async.wait_all;\n" NOINC
#define ARRIVED_THEN_WAITED NOINC "cp.async.wait_all;\n"

static void test_arrivals(emu *e) {
  static const char noinc[] = "cp.async.mbarrier.arrive.noinc.shared.b64 [%m];";
  static const char inc[] =
      "cp.async.mbarrier.arrive.shared::cta.b64 [%m];\n"
      "mbarrier.arrive.shared.b64 _, [%m];";
  for (size_t t = 0; t < 3; ++t) {
    for (uint64_t seed = 0; seed < SEEDS; ++seed) {
      uint64_t wrong = 0;
      e->config.time = times[t];
      e->config.seed = seed;
      bool clean = run_arrivals(e, "64", noinc, WAIT, &wrong);
      CHECK(clean);
      if (!clean) fprintf(stderr, "noinc: %s", emu_findings(e));
      CHECK_EQ(wrong, 0);
      clean = run_arrivals(e, "64", inc, WAIT, &wrong);
      CHECK(clean);
      if (!clean) fprintf(stderr, "inc: %s", emu_findings(e));
      CHECK_EQ(wrong, 0);
      // The thread may wait as well, before it arrives or after it.
      clean = run_arrivals(e, "64", WAITED_THEN_ARRIVED, WAIT, &wrong);
      CHECK(clean && wrong == 0);
      if (!clean) fprintf(stderr, "waited: %s", emu_findings(e));
      clean = run_arrivals(e, "64", ARRIVED_THEN_WAITED, WAIT, &wrong);
      CHECK(clean && wrong == 0);
      if (!clean) fprintf(stderr, "arrived: %s", emu_findings(e));
      // Nobody waits; or one arrival more is expected than comes.
      CHECK(!run_arrivals(e, "64", noinc, "", &wrong));
      CHECK(emu_found(e, TESSERA_EMU_IN_FLIGHT) ||
            emu_found(e, TESSERA_EMU_RACE));
      CHECK(!run_arrivals(e, "65", noinc, WAIT, &wrong));
      CHECK(emu_found(e, TESSERA_EMU_DEADLOCK));
      CHECK(!run_arrivals(e, "63", noinc, WAIT, &wrong));
    }
  }
}

// Two stages with an mbarrier each, then |waits|, then the neighbour's bytes of
// both are added.
static bool run_stages(emu *e, const char *waits, uint32_t *out_wrong) {
  char text[4096];
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry stages(.param .u64 pin, .param .u64 pout) {\n"
      ".reg .b64 %%in, %%out, %%o;\n.reg .b32 %%t, %%d, %%x, %%m, %%v, %%w;\n"
      ".reg .pred %%p, %%q;\n"
      ".shared .align 16 .b8 buf[512];\n.shared .align 8 .b64 bar[2];\n"
      "ld.param.u64 %%in, [pin];\nld.param.u64 %%out, [pout];\n"
      "mov.u32 %%t, %%tid.x;\nmul.wide.u32 %%o, %%t, 4;\n"
      "add.u64 %%in, %%in, %%o;\nadd.u64 %%out, %%out, %%o;\n"
      "mov.u32 %%d, buf;\nmov.u32 %%m, bar;\nxor.b32 %%x, %%t, 45;\n"
      "mad.lo.u32 %%x, %%x, 4, %%d;\nmad.lo.u32 %%d, %%t, 4, %%d;\n"
      "setp.eq.u32 %%p, %%t, 0;\n"
      "@%%p mbarrier.init.shared.b64 [%%m], 64;\n"
      "@%%p mbarrier.init.shared.b64 [%%m+8], 64;\nbar.sync 0;\n"
      "cp.async.ca.shared.global [%%d], [%%in], 4;\n"
      "cp.async.mbarrier.arrive.noinc.shared.b64 [%%m];\n"
      "cp.async.ca.shared.global [%%d+256], [%%in+256], 4;\n"
      "cp.async.mbarrier.arrive.noinc.shared.b64 [%%m+8];\n%s\n"
      "ld.shared.u32 %%v, [%%x];\nld.shared.u32 %%w, [%%x+256];\n"
      "mad.lo.u32 %%v, %%w, 3, %%v;\nst.global.u32 [%%out], %%v;\nret;\n}\n",
      waits);
  uint32_t in[128], out[64];
  for (uint32_t i = 0; i < 128; ++i) in[i] = i * 2654435761u + 1;
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t args[2] = {emu_upload(e, in, sizeof(in)),
                      emu_upload(e, NULL, sizeof(out))};
  bool clean = emu_launch(e, "stages", (emu_dims){.block = {64}}, args, 2);
  emu_download(e, out, args[1], sizeof(out));
  *out_wrong = 0;
  for (uint32_t t = 0; t < 64; ++t) {
    *out_wrong += out[t] != in[t ^ 45] + in[64 + (t ^ 45)] * 3;
  }
  (void)tsr_heap_free(e->heap, args[0]);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

#define FIRST                                                \
  "w0:\nmbarrier.test_wait.parity.shared.b64 %q, [%m], 0;\n" \
  "@!%q bra w0;\n"
#define SECOND                                                 \
  "w1:\nmbarrier.test_wait.parity.shared.b64 %q, [%m+8], 0;\n" \
  "@!%q bra w1;\n"

static void test_stages(emu *e) {
  // The second tracks the copies of the first as well, not the other way.
  static const char *const enough[] = {FIRST SECOND, SECOND FIRST, SECOND};
  for (uint64_t seed = 0; seed < SEEDS; ++seed) {
    for (size_t t = 0; t < 3; ++t) {
      uint32_t wrong;
      e->config.seed = seed;
      e->config.time = times[t];
      for (size_t k = 0; k < 3; ++k) {
        bool clean = run_stages(e, enough[k], &wrong);
        CHECK(clean && wrong == 0);
        if (!clean) fprintf(stderr, "stages %zu: %s", k, emu_findings(e));
      }
      CHECK(!run_stages(e, FIRST, &wrong));
      CHECK(emu_found(e, TESSERA_EMU_IN_FLIGHT) ||
            emu_found(e, TESSERA_EMU_RACE));
    }
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_forms(&e);
  test_refused(&e);
  test_faults(&e);
  test_pipeline(&e);
  test_defects(&e);
  test_arrivals(&e);
  test_stages(&e);
  emu_fini(&e);
  return test_finish();
}
