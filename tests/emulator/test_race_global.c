// SPDX-License-Identifier: Apache-2.0
// Races in global memory, on kernels: each rule of the memory consistency model
// with a kernel that keeps it, silent for every seed, and kernels that break
// it, found for every seed: an access that is not ordered is a race even where
// the run happened to do everything in the right order.
#include <stdlib.h>

#include "base/memory.h"
#include "harness.h"

enum { SEEDS = 10 };

#define HEAD                                                      \
  ".version 8.7\n.target sm_90a\n.address_size 64\n"              \
  ".global .align 512 .b32 data[4096];\n.global .u32 flag = 0;\n" \
  ".global .u32 next = 0;\n.global .u32 count = 0;\n"             \
  ".global .align 4 .u32 table[4] = {1, 2, 3, 4};\n"              \
  ".shared .u32 last;\n"
// %r0: thread, %r1: block, %p0: thread 0, %d0: the thread's word of |data|.
#define KERNEL                                                              \
  ".visible .entry k() {\n.reg .b64 %d<8>; .reg .b32 %r<16>; .reg .b16 "    \
  "%h<4>; .reg .pred %p<8>;\nmov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x;\n" \
  "setp.eq.u32 %p0, %r0, 0; mov.u64 %d1, data;\n"                           \
  "mad.wide.u32 %d0, %r0, 4, %d1;\n"

// What one body does in all seeds: |says| NULL: no finding in any of them;
// else a race with these words in each.
static bool holds(emu *e, const char *body, uint32_t blocks, uint32_t threads,
                  const char *says) {
  char text[8192];
  int size =
      snprintf(text, sizeof(text), "%s%s%s\nret;\n}\n", HEAD, KERNEL, body);
  if (size < 0 || (size_t)size >= sizeof(text)) return false;
  emu_dims dims = {.grid = {blocks, 1, 1}, .block = {threads, 1, 1}};
  for (uint64_t seed = 0; seed < SEEDS; ++seed) {
    e->config.seed = seed * 7919;
    emu_must_load(e, text);
    bool silent = emu_launch(e, "k", dims, NULL, 0);
    const char *found = emu_findings(e);
    bool fine = says == NULL ? silent : strstr(found, says) != NULL;
    fine = fine && (says == NULL || e->launch.fault == 0);
    if (!fine) {
      fprintf(stderr, "seed %u: expected \"%s\", found:\n%s\n%s\n",
              (unsigned)seed, says == NULL ? "nothing" : says, found, body);
      return false;
    }
    tsr_report_clear(e->report);
  }
  return true;
}

// What is said of the body's last read of |data| (its "ld.global.u32 %r4").
static const char *of_data(const char *body) {
  static char says[128];
  uint32_t line = 15;  // the body's first
  const char *read = strstr(body, "ld.global.u32 %r4");
  for (const char *c = body; read != NULL && c < read; ++c) line += *c == '\n';
  (void)snprintf(says, sizeof(says),
                 "line %u: race: read of global memory not ordered after the "
                 "write by ",
                 line);
  return says;
}

// --- A flag -----------------------------------------------------------------

typedef struct side {
  const char *text;
  bool is_enough;
} side;

// Block 0 writes, meets, and thread 0 signals; block 1's thread 0 waits, the
// block meets, and reads the neighbours' words.
static const side signals[] = {
    {"st.release.gpu.global.u32 [flag], 1;", true},
    {"st.release.sys.global.u32 [flag], 1;", true},
    {"fence.acq_rel.gpu; st.relaxed.gpu.global.u32 [flag], 1;", true},
    {"fence.sc.sys; st.volatile.global.u32 [flag], 1;", true},
    {"fence.release.gpu; st.relaxed.sys.global.u32 [flag], 1;", true},
    {"membar.gl; atom.global.exch.b32 %r9, [flag], 1;", true},
    {"membar.sys; red.global.add.u32 [flag], 1;", true},
    {"red.release.gpu.global.add.u32 [flag], 1;", true},
    {"atom.acq_rel.gpu.global.add.u32 %r9, [flag], 1;", true},
    // A release, and then a strong write of the same thread.
    {"st.release.gpu.global.u32 [flag], 2;"
     "st.relaxed.gpu.global.u32 [flag], 1;",
     true},
    {"st.relaxed.gpu.global.u32 [flag], 1;", false},
    {"st.volatile.global.u32 [flag], 1;", false},
    {"red.global.add.u32 [flag], 1;", false},
    {"st.release.cta.global.u32 [flag], 1;", false},
    {"st.release.cluster.global.u32 [flag], 1;", false},
    {"fence.acq_rel.gpu; st.relaxed.cta.global.u32 [flag], 1;", false},
    {"fence.acq_rel.cta; st.relaxed.gpu.global.u32 [flag], 1;", false},
    {"membar.cta; st.volatile.global.u32 [flag], 1;", false},
    {"fence.acquire.gpu; st.volatile.global.u32 [flag], 1;", false},
    {"fence.acq_rel.gpu; st.global.u32 [flag], 1;", false},  // weak
    {"st.relaxed.gpu.global.u32 [flag], 1; fence.acq_rel.gpu;", false},
    // Released through another word.
    {"st.release.gpu.global.u32 [next], 1;"
     "st.relaxed.gpu.global.u32 [flag], 1;",
     false},
};
static const side waits[] = {
    {"W: ld.acquire.gpu.global.u32 %r2, [flag];", true},
    {"W: ld.relaxed.gpu.global.u32 %r2, [flag]; fence.acq_rel.gpu;", true},
    {"W: ld.volatile.global.u32 %r2, [flag]; membar.gl;", true},
    {"W: ld.relaxed.sys.global.u32 %r2, [flag]; fence.acquire.gpu;", true},
    {"W: atom.acquire.gpu.global.add.u32 %r2, [flag], 0;", true},
    {"W: atom.global.or.b32 %r2, [flag], 0; fence.sc.gpu;", true},
    {"W: ld.relaxed.gpu.global.u32 %r2, [flag];", false},
    {"W: ld.volatile.global.u32 %r2, [flag];", false},
    {"W: atom.global.add.u32 %r2, [flag], 0;", false},
    {"W: ld.acquire.cta.global.u32 %r2, [flag];", false},
    {"W: ld.relaxed.gpu.global.u32 %r2, [flag]; fence.acq_rel.cta;", false},
    {"W: ld.relaxed.cta.global.u32 %r2, [flag]; fence.acq_rel.gpu;", false},
    {"W: ld.relaxed.gpu.global.u32 %r2, [flag]; fence.release.gpu;", false},
    {"W: ld.global.u32 %r2, [flag]; fence.acq_rel.gpu;", false},  // weak
};

static void message(char *text, size_t size, const char *before,
                    const char *signal, const char *wait, const char *after,
                    const char *early) {
  (void)snprintf(text, size,
                 "setp.ne.u32 %%p1, %%r1, 0;\n@%%p1 bra R;\n"
                 "st.global.u32 [%%d0], %%r0;\n%s\nbar.sync 0;\n"
                 "@!%%p0 bra E;\n%s\nbra E;\n"
                 "R: %s\n@!%%p0 bra M;\n%s\nsetp.ne.u32 %%p2, %%r2, 1;\n"
                 "@%%p2 bra W;\nM: %s\nxor.b32 %%r3, %%r0, 33;\n"
                 "mad.wide.u32 %%d2, %%r3, 4, %%d1;\n"
                 "ld.global.u32 %%r4, [%%d2];\nE:",
                 before, signal, early, wait, after);
}

static void test_flag(emu *e) {
  char body[2048];
  size_t signal_count = sizeof(signals) / sizeof(signals[0]);
  size_t wait_count = sizeof(waits) / sizeof(waits[0]);
  for (size_t s = 0; s < signal_count; ++s) {
    for (size_t w = 0; w < wait_count; ++w) {
      // Every wrong side once with a right one is enough.
      if (!signals[s].is_enough && !waits[w].is_enough) continue;
      if (!signals[s].is_enough && w > 1) continue;
      if (!waits[w].is_enough && s > 2) continue;
      message(body, sizeof(body), "", signals[s].text, waits[w].text,
              "bar.sync 0;", "");
      bool fine = signals[s].is_enough && waits[w].is_enough;
      CHECK(holds(e, body, 2, 64, fine ? NULL : of_data(body)));
    }
  }
}

static void test_barriers(emu *e) {
  char body[2048];
  const char *signal = signals[0].text, *wait = waits[0].text;
  // The reader's second warp does not wait for the first. It may come too early
  // as well; then its read is known, for the page has been written to.
  message(body, sizeof(body), "", signal, wait, "",
          "st.global.u32 [%d0+256], %r0;");
  CHECK(holds(e, body, 2, 64, "of global memory not ordered after the "));
  // Fences in front of the writer's barrier: thread 0's release is of what its
  // own warp wrote.
  message(body, sizeof(body), "fence.acq_rel.gpu;", signals[10].text, wait,
          "bar.sync 0;", "");
  CHECK(holds(e, body, 2, 64, "not ordered after the write by block (0,0,0)"));
  // One warp: what one lane says, the others may rely on.
  message(body, sizeof(body), "", signal, wait, "bar.warp.sync -1;", "");
  CHECK(holds(e, body, 2, 32, NULL));
}

// --- Chains -----------------------------------------------------------------

// Block 0 -> block 1 -> block 2, which reads what block 0 wrote. |pass| is
// block 1's, between its wait for 1 and its end, and writes |next| or |flag|.
static void chain(char *text, size_t size, const char *wait, const char *pass,
                  const char *last) {
  (void)snprintf(text, size,
                 "setp.eq.u32 %%p1, %%r1, 1;\nsetp.eq.u32 %%p2, %%r1, 2;\n"
                 "@%%p1 bra B;\n@%%p2 bra C;\n"
                 "st.global.u32 [%%d0], %%r0;\nbar.sync 0;\n"
                 "@!%%p0 bra E;\nst.release.gpu.global.u32 [flag], 1;\nbra E;\n"
                 "B: @!%%p0 bra E;\nV: %s\nsetp.ne.u32 %%p3, %%r2, 1;\n"
                 "@%%p3 bra V;\n%s\nbra E;\n"
                 "C: @!%%p0 bra M;\nW: %s\nsetp.ne.u32 %%p3, %%r2, 2;\n"
                 "@%%p3 bra W;\nM: bar.sync 0;\n"
                 "ld.global.u32 %%r4, [%%d0];\nE:",
                 wait, pass, last);
}

// Acquires from |flag| once |next| says that it has its last value.
#define LATER                                                       \
  "ld.relaxed.gpu.global.u32 %r2, [next]; setp.eq.u32 %p4, %r2, 2;" \
  "@%p4 ld.acquire.gpu.global.u32 %r3, [flag];"

static void test_chains(emu *e) {
  static const struct {
    const char *wait, *pass, *last;
    bool is_ordered;
  } cases[] = {
      {"ld.acquire.gpu.global.u32 %r2, [flag];",
       "st.release.gpu.global.u32 [next], 2;",
       "ld.acquire.gpu.global.u32 %r2, [next];", true},
      // The one in the middle has not acquired, or not released.
      {"ld.relaxed.gpu.global.u32 %r2, [flag];",
       "st.release.gpu.global.u32 [next], 2;",
       "ld.acquire.gpu.global.u32 %r2, [next];", false},
      {"ld.acquire.gpu.global.u32 %r2, [flag];",
       "st.relaxed.gpu.global.u32 [next], 2;",
       "ld.acquire.gpu.global.u32 %r2, [next];", false},
      // Atomics pass on what they find; stores do not.
      {"ld.relaxed.gpu.global.u32 %r2, [flag];",
       "red.relaxed.gpu.global.add.u32 [flag], 1;",
       "ld.acquire.gpu.global.u32 %r2, [flag];", true},
      {"ld.relaxed.gpu.global.u32 %r2, [flag];",
       "st.relaxed.gpu.global.u32 [flag], 2;"
       "st.relaxed.gpu.global.u32 [next], 2;",
       LATER, false},
      {"ld.relaxed.gpu.global.u32 %r2, [flag];",
       "st.release.gpu.global.u32 [flag], 2;"
       "st.relaxed.gpu.global.u32 [next], 2;",
       LATER, false},
      {"ld.relaxed.gpu.global.u32 %r2, [flag];",
       "red.relaxed.gpu.global.add.u32 [flag], 1;"
       "st.relaxed.gpu.global.u32 [next], 2;",
       LATER, true},
      // Weak writes end it as well.
      {"ld.relaxed.gpu.global.u32 %r2, [flag];",
       "st.global.u32 [flag], 2; st.relaxed.gpu.global.u32 [next], 2;", LATER,
       false},
      {"ld.acquire.gpu.global.u32 %r2, [flag];",
       "st.release.gpu.global.u32 [flag], 2;",
       "ld.acquire.gpu.global.u32 %r2, [flag];", true},
  };
  char body[2048];
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    chain(body, sizeof(body), cases[i].wait, cases[i].pass, cases[i].last);
    CHECK(holds(e, body, 3, 64, cases[i].is_ordered ? NULL : of_data(body)));
  }
}

// From warp to warp of one block, by way of global memory.
static void test_warps(emu *e) {
  char body[2048];
  static const char *const warps[][2] = {
      {"st.release.cta.global.u32 [flag], 1;",
       "ld.acquire.cta.global.u32 %r2, [flag];"},
      {"membar.cta; st.volatile.global.u32 [flag], 1;",
       "ld.volatile.global.u32 %r2, [flag]; membar.cta;"},
      {"st.release.gpu.global.u32 [flag], 1;",
       "ld.acquire.cta.global.u32 %r2, [flag];"},
      {"st.release.cta.global.u32 [flag], 1;",
       "ld.relaxed.cta.global.u32 %r2, [flag];"},
      {"st.relaxed.cta.global.u32 [flag], 1;",
       "ld.acquire.cta.global.u32 %r2, [flag];"},
  };
  for (size_t i = 0; i < sizeof(warps) / sizeof(warps[0]); ++i) {
    (void)snprintf(body, sizeof(body),
                   "setp.ge.u32 %%p1, %%r0, 32;\n@%%p1 bra R;\n"
                   "st.global.u32 [%%d0], %%r0;\nbar.warp.sync -1;\n"
                   "@!%%p0 bra E;\n%s\nbra E;\n"
                   "R: %s\nsetp.ne.u32 %%p2, %%r2, 1;\n@%%p2 bra R;\n"
                   "ld.global.u32 %%r4, [%%d0+-128];\nE:",
                   warps[i][0], warps[i][1]);
    CHECK(holds(e, body, 1, 64, i < 3 ? NULL : of_data(body)));
  }
}

// The same by way of shared memory, and what is passed on is in global memory,
// or in shared memory.
static void test_shared_flag(emu *e) {
  static const char *const flags[][2] = {
      {"st.release.cta.shared.u32 [last], 1;",
       "ld.acquire.cta.shared.u32 %r2, [last];"},
      {"membar.cta; st.volatile.shared.u32 [last], 1;",
       "ld.volatile.shared.u32 %r2, [last]; membar.cta;"},
      {"st.volatile.shared.u32 [last], 1;",
       "ld.volatile.shared.u32 %r2, [last]; membar.cta;"},
      {"membar.cta; st.volatile.shared.u32 [last], 1;",
       "ld.volatile.shared.u32 %r2, [last];"},
  };
  char body[2048];
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); ++i) {
    (void)snprintf(body, sizeof(body),
                   ".shared .u32 room[64];\nmov.u32 %%r3, room;\n"
                   "mad.lo.u32 %%r3, %%r0, 4, %%r3;\n"
                   "@%%p0 st.shared.u32 [last], 0;\nbar.sync 0;\n"
                   "setp.ge.u32 %%p1, %%r0, 32;\n@%%p1 bra R;\n"
                   "st.global.u32 [%%d0], %%r0;\n"
                   "st.shared.u32 [%%r3], %%r0;\nbar.warp.sync -1;\n"
                   "@!%%p0 bra E;\n%s\nbra E;\n"
                   "R: %s\nsetp.ne.u32 %%p2, %%r2, 1;\n@%%p2 bra R;\n"
                   "ld.shared.u32 %%r4, [%%r3+-128];\n"
                   "ld.global.u32 %%r4, [%%d0+-128];\nE:",
                   flags[i][0], flags[i][1]);
    CHECK(holds(e, body, 1, 64, i < 2 ? NULL : of_data(body)));
    CHECK(holds(e, body, 1, 64,
                i < 2 ? NULL : "read of shared memory not ordered after"));
  }
}

// Three warps of a block, in the block's scope: what the second writes over the
// first one's release ends it, unless it is an atomic.
static void test_warp_chains(emu *e) {
  char body[2048];
  static const char *const between[] = {"red.relaxed.cta.global.add.u32",
                                        "st.relaxed.cta.global.u32",
                                        "st.release.cta.global.u32"};
  for (size_t i = 0; i < 3; ++i) {
    (void)snprintf(body, sizeof(body),
                   "setp.ge.u32 %%p1, %%r0, 64;\n@%%p1 bra C;\n"
                   "setp.ge.u32 %%p1, %%r0, 32;\n@%%p1 bra B;\n"
                   "@!%%p0 bra E;\nst.global.u32 [data], 7;\n"
                   "st.release.cta.global.u32 [flag], 1;\nbra E;\n"
                   "B: setp.ne.u32 %%p1, %%r0, 32;\n@%%p1 bra E;\n"
                   "V: ld.relaxed.cta.global.u32 %%r2, [flag];\n"
                   "setp.ne.u32 %%p2, %%r2, 1;\n@%%p2 bra V;\n"
                   "%s [flag], 1;\nmembar.cta;\n"
                   "st.relaxed.cta.global.u32 [next], 1;\nbra E;\n"
                   "C: setp.ne.u32 %%p1, %%r0, 64;\n@%%p1 bra E;\n"
                   "W: ld.relaxed.cta.global.u32 %%r2, [next];\n"
                   "setp.ne.u32 %%p2, %%r2, 1;\n@%%p2 bra W;\n"
                   "ld.acquire.cta.global.u32 %%r2, [flag];\n"
                   "ld.global.u32 %%r4, [data];\nE:",
                   between[i]);
    CHECK(holds(e, body, 1, 96, i == 0 ? NULL : of_data(body)));
  }
}

// --- Counters ---------------------------------------------------------------

// Every block writes its slots and counts itself in; the last one reads them
// all, and puts the counter back.
static void counter(char *text, size_t size, const char *before,
                    const char *count, const char *after, const char *meet) {
  (void)snprintf(text, size,
                 "mad.lo.u32 %%r3, %%r1, 64, %%r0;\n"
                 "mad.wide.u32 %%d2, %%r3, 4, %%d1;\n"
                 "st.global.u32 [%%d2], %%r3;\n%s\nbar.sync 0;\n"
                 "@!%%p0 bra M;\n%s\nsetp.eq.u32 %%p1, %%r2, 7;\n"
                 "selp.u32 %%r4, 1, 0, %%p1;\nst.shared.u32 [last], %%r4;\n"
                 "@%%p1 st.global.u32 [count], 0;\n%s\n"
                 "M: %s\nld.volatile.shared.u32 %%r4, [last];\n"
                 "setp.eq.u32 %%p2, %%r4, 0;\n@%%p2 bra E;\n"
                 "mov.u32 %%r5, 0;\nL: ld.relaxed.gpu.global.u32 %%r6, "
                 "[%%d0];\nadd.u64 %%d0, %%d0, 256;\nadd.u32 %%r5, %%r5, 1;\n"
                 "setp.lt.u32 %%p3, %%r5, 8;\n@%%p3 bra L;\nE:",
                 before, count, after, meet);
}

static void test_counters(emu *e) {
  static const char race[] =
      "read of global memory not ordered after the write";
  static const struct {
    const char *before, *count, *after, *meet;
    const char *says;
  } cases[] = {
      {"", "atom.acq_rel.gpu.global.add.u32 %r2, [count], 1;", "",
       "bar.sync 0;", NULL},
      {"", "fence.acq_rel.gpu; atom.global.add.u32 %r2, [count], 1;",
       "fence.acq_rel.gpu;", "bar.sync 0;", NULL},
      {"", "membar.gl; atom.global.inc.u32 %r2, [count], 9;", "membar.gl;",
       "bar.sync 0;", NULL},
      // No side, one side, too narrow, by the wrong threads.
      {"", "atom.global.add.u32 %r2, [count], 1;", "", "bar.sync 0;", race},
      {"", "fence.acq_rel.gpu; atom.global.add.u32 %r2, [count], 1;", "",
       "bar.sync 0;", race},
      {"", "atom.release.gpu.global.add.u32 %r2, [count], 1;", "",
       "bar.sync 0;", race},
      {"", "atom.acquire.gpu.global.add.u32 %r2, [count], 1;", "",
       "bar.sync 0;", race},
      {"", "atom.global.add.u32 %r2, [count], 1;", "fence.acq_rel.gpu;",
       "bar.sync 0;", race},
      {"", "atom.acq_rel.cta.global.add.u32 %r2, [count], 1;", "",
       "bar.sync 0;", race},
      {"", "fence.acq_rel.cta; atom.global.add.u32 %r2, [count], 1;",
       "fence.acq_rel.gpu;", "bar.sync 0;", race},
      {"fence.acq_rel.gpu;", "atom.global.add.u32 %r2, [count], 1;",
       "fence.acq_rel.gpu;", "bar.sync 0;", race},
  };
  char body[2048];
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    counter(body, sizeof(body), cases[i].before, cases[i].count, cases[i].after,
            cases[i].meet);
    CHECK(holds(e, body, 8, 64, cases[i].says));
  }
}

// --- Grid barriers -----------------------------------------------------------

// Rounds in which each block writes its word and reads its neighbour's, with a
// barrier of the grid behind each of the two. So many that what blocks know of
// each other has to be cleared away in between.
static void rounds(char *text, size_t size, uint32_t count,
                   const char *second) {
  static const char meet[] =
      "@%p0 atom.acq_rel.gpu.global.add.u32 %r2, [count], 1;\n"
      "add.u32 %r7, %r7, %r9;\n";
  (void)snprintf(text, size,
                 "mov.u32 %%r6, 0;\nmov.u32 %%r7, 0;\n"
                 "mad.wide.u32 %%d2, %%r1, 4, %%d1;\n"
                 "add.u32 %%r8, %%r1, 1;\nmov.u32 %%r9, %%nctaid.x;\n"
                 "rem.u32 %%r8, %%r8, %%r9;\n"
                 "mad.wide.u32 %%d3, %%r8, 4, %%d1;\n"
                 "@!%%p0 exit;\nL: st.global.u32 [%%d2], %%r6;\n%s"
                 "W: ld.acquire.gpu.global.u32 %%r2, [count];\n"
                 "setp.lt.u32 %%p1, %%r2, %%r7;\n@%%p1 bra W;\n"
                 "ld.global.u32 %%r4, [%%d3];\n"
                 "setp.ne.u32 %%p1, %%r4, %%r6;\n@%%p1 trap;\n%s%s"
                 "add.u32 %%r6, %%r6, 1;\nsetp.lt.u32 %%p1, %%r6, %u;\n"
                 "@%%p1 bra L;",
                 meet, second[0] != '\0' ? meet : "", second, count);
}

static void test_grid(emu *e) {
  static const char wait[] =
      "V: ld.relaxed.gpu.global.u32 %r2, [count];\n"
      "setp.lt.u32 %p1, %r2, %r7;\n@%p1 bra V;\nfence.acq_rel.gpu;\n";
  char body[2048];
  rounds(body, sizeof(body), 3, wait);
  CHECK(holds(e, body, 8, 32, NULL));
  rounds(body, sizeof(body), 3,
         "V: ld.relaxed.gpu.global.u32 %r2, [count];\n"
         "setp.lt.u32 %p1, %r2, %r7;\n@%p1 bra V;\n");
  CHECK(holds(e, body, 8, 32, "of global memory not ordered after the "));
  rounds(body, sizeof(body), 100, wait);
  char text[4096];
  (void)snprintf(text, sizeof(text), "%s%s%s\nret;\n}\n", HEAD, KERNEL, body);
  emu_dims dims = {.grid = {100, 1, 1}, .block = {32, 1, 1}};
  emu_must_load(e, text);
  CHECK(emu_launch(e, "k", dims, NULL, 0));
}

// --- What conflicts ---------------------------------------------------------

static void test_conflicts(emu *e) {
  static const struct {
    const char *body;
    uint32_t blocks;
    const char *says;
  } cases[] = {
      // All write one value: the first may change something.
      {"st.global.u32 [next], 7;\nred.global.add.u32 [count], 1;", 6, NULL},
      {"st.global.u32 [next], %r1;\nred.global.add.u32 [count], 1;", 6,
       "write of global memory not ordered after the write by block"},
      // Strong with strong, and with too narrow a scope, and with weak.
      {"red.global.add.u32 [count], 1;\nst.volatile.global.u32 [count], %r1;\n"
       "ld.relaxed.gpu.global.u32 %r2, [count];",
       4, NULL},
      {"red.relaxed.cta.global.add.u32 [count], 1;", 4,
       "their scopes do not include each other"},
      {"red.relaxed.cluster.global.add.u32 [count], 1;", 4,
       "their scopes do not include each other"},
      {"red.relaxed.cta.global.add.u32 [count], 1;", 1, NULL},
      {"red.global.add.u32 [count], 1;\nld.global.u32 %r2, [count];", 4,
       "of global memory not ordered after the "},
      // Who has read a strong write, or comes after who has, comes after it.
      {"setp.eq.u32 %p1, %r1, 0;\n@!%p1 bra W;\n"
       "@%p0 st.relaxed.gpu.global.u32 [flag], 1;\nbra E;\n"
       "W: ld.relaxed.gpu.global.u32 %r2, [flag];\nsetp.ne.u32 %p2, %r2, 1;\n"
       "@%p2 bra W;\nbar.sync 0;\n@%p0 st.global.u32 [flag], 3;\nE:",
       2, NULL},
      {"setp.eq.u32 %p1, %r1, 0;\n@!%p1 bra W;\n"
       "@%p0 st.relaxed.gpu.global.u32 [flag], 1;\nbra E;\n"
       "W: @%p0 st.global.u32 [flag], 3;\nE:",
       2, "write of global memory not ordered after the write by block"},
      {"@%p0 red.global.add.u32 [count], 1;\n"
       "@%p0 st.global.u32 [count], 99;",
       4, "of global memory not ordered after the write by block"},
      // Bytes of a word are blocks' own.
      {"cvt.u64.u32 %d2, %r1;\nadd.u64 %d2, %d2, %d1;\ncvt.u16.u32 %h0, %r1;\n"
       "@%p0 st.global.u8 [%d2], %h0;\n@%p0 ld.global.u8 %h1, [%d2];\n"
       "red.global.add.u32 [count], 1;",
       4, NULL},
      {"cvt.u64.u32 %d2, %r1;\nadd.u64 %d2, %d2, %d1;\ncvt.u16.u32 %h0, %r1;\n"
       "add.u16 %h0, %h0, 1;\n@%p0 st.global.u8 [%d2], %h0;\n"
       "@%p0 atom.acq_rel.gpu.global.add.u32 %r2, [count], 1;\n"
       "@%p0 st.global.u16 [data], %h0;",
       4, "write of global memory not ordered after the write by block"},
      // Written after somebody has read it.
      {"setp.eq.u32 %p1, %r1, 0;\n@!%p0 bra E;\n@!%p1 bra R;\n"
       "st.global.u32 [data], 1;\nst.release.gpu.global.u32 [flag], 1;\n"
       "P: ld.relaxed.gpu.global.u32 %r2, [next];\nsetp.ne.u32 %p2, %r2, 3;\n"
       "@%p2 bra P;\nst.global.u32 [data], 2;\nbra E;\n"
       "R: ld.acquire.gpu.global.u32 %r2, [flag];\nsetp.ne.u32 %p2, %r2, 1;\n"
       "@%p2 bra R;\nld.global.u32 %r3, [data];\n"
       "red.relaxed.gpu.global.add.u32 [next], 1;\nE:",
       4, "write of global memory not ordered after the read by block"},
      {"setp.eq.u32 %p1, %r1, 0;\n@!%p0 bra E;\n@!%p1 bra R;\n"
       "st.global.u32 [data], 1;\nst.release.gpu.global.u32 [flag], 1;\n"
       "P: ld.acquire.gpu.global.u32 %r2, [next];\nsetp.ne.u32 %p2, %r2, 3;\n"
       "@%p2 bra P;\nst.global.u32 [data], 2;\nbra E;\n"
       "R: ld.acquire.gpu.global.u32 %r2, [flag];\nsetp.ne.u32 %p2, %r2, 1;\n"
       "@%p2 bra R;\nld.global.u32 %r3, [data];\n"
       "red.release.gpu.global.add.u32 [next], 1;\nE:",
       4, NULL},
      // Read-only loads of what the launch has written, in whatever order.
      {"st.global.u32 [%d0], %r0;\nbar.sync 0;\nld.global.nc.u32 %r2, [%d0];",
       1,
       "line 17: race: read-only load of global memory that this launch has "
       "written, by thread (0,0,0) at line 15: it must stay as it is"},
      {"st.global.u32 [%d0], %r0;\nbar.sync 0;\nldu.global.u32 %r2, [%d0];", 1,
       "read-only load"},
      {"st.global.u32 [%d0], %r0;\nbar.sync 0;\nld.global.nc.u32 %r2, [table];"
       "\nld.global.nc.u32 %r2, [%d0+4096];\nld.global.u32 %r2, [%d0];",
       1, NULL},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    CHECK(holds(e, cases[i].body, cases[i].blocks, 32, cases[i].says));
  }
}

// --- Copies -----------------------------------------------------------------

static void test_copies(emu *e) {
  static const struct {
    const char *before, *after;
  } cases[] = {
      // cp.async reads what another thread wrote.
      {"st.global.u32 [%d0], %r0;\n",
       "mov.u32 %r2, room;\nxor.b32 %r3, %r0, 33;\n"
       "mad.wide.u32 %d2, %r3, 4, %d1;\nmad.lo.u32 %r2, %r3, 4, %r2;\n"
       "cp.async.ca.shared.global [%r2], [%d2], 4;\ncp.async.wait_all;"},
      // A bulk store is its issuer's write.
      {"mov.u32 %r2, room;\nmad.lo.u32 %r3, %r0, 4, %r2;\n"
       "st.shared.u32 [%r3], %r0;\nfence.proxy.async.shared::cta;\n"
       "bar.sync 0;\n@!%p0 bra M;\n"
       "cp.async.bulk.global.shared::cta.bulk_group [data], [%r2], 256;\n"
       "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nM: ",
       "ld.global.u32 %r4, [%d0];"},
  };
  char body[2048];
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    for (int meets = 0; meets < 2; ++meets) {
      (void)snprintf(
          body, sizeof(body), ".shared .align 128 .b8 room[256];\n%s%s%s",
          cases[i].before, meets != 0 ? "bar.sync 0;\n" : "", cases[i].after);
      CHECK(holds(e, body, 1, 64,
                  meets != 0 ? NULL
                             : "read of global memory not ordered after the "
                               "write by thread ("));
    }
  }
}

// --- Blocks side by side ----------------------------------------------------

static void test_parallel(emu *e) {
  // No block communicates: each is watched by itself.
  static const char *const bodies[] = {
      "mad.lo.u32 %r3, %r1, 64, %r0;\nmad.wide.u32 %d2, %r3, 4, %d1;\n"
      "st.global.u32 [%d2], %r3;\nbar.sync 0;\nxor.b32 %r3, %r3, 33;\n"
      "mad.wide.u32 %d2, %r3, 4, %d1;\nld.global.u32 %r4, [%d2];",
      "mad.lo.u32 %r3, %r1, 64, %r0;\nmad.wide.u32 %d2, %r3, 4, %d1;\n"
      "st.global.u32 [%d2], %r3;\nxor.b32 %r3, %r3, 33;\n"
      "mad.wide.u32 %d2, %r3, 4, %d1;\nld.global.u32 %r4, [%d2];"};
  e->config.threads = 4;
  CHECK(holds(e, bodies[0], 32, 64, NULL));
  CHECK(holds(e, bodies[1], 32, 64,
              "read of global memory not ordered after the write by thread ("));
  // In one thread they are watched together.
  e->config.parallel = TESSERA_EMU_PARALLEL_NEVER;
  CHECK(holds(e, bodies[0], 32, 64, NULL));
  CHECK(holds(e, "st.global.u32 [%d0], %r1;", 4, 64,
              "write of global memory not ordered after the write by block"));
  e->config.parallel = TESSERA_EMU_PARALLEL_AUTO;
  e->config.threads = 0;
}

// The same seed, the same findings; another check, none.
static void test_seeds(emu *e) {
  char body[2048], text[4096];
  counter(body, sizeof(body), "", "atom.global.add.u32 %r2, [count], 1;", "",
          "bar.sync 0;");
  (void)snprintf(text, sizeof(text), "%s%s%s\nret;\n}\n", HEAD, KERNEL, body);
  emu_dims dims = {.grid = {8, 1, 1}, .block = {64, 1, 1}};
  for (uint64_t seed = 0; seed < SEEDS; ++seed) {
    e->config.seed = seed;
    emu_must_load(e, text);
    CHECK(!emu_launch(e, "k", dims, NULL, 0));
    char *first = tsr_strdup(emu_findings(e));
    emu_must_load(e, text);
    CHECK(!emu_launch(e, "k", dims, NULL, 0));
    CHECK_STR(emu_findings(e), first);
    tsr_free(first);
    tsr_report_clear(e->report);
  }
  e->config.checks &= ~(uint32_t)TESSERA_EMU_CHECK_RACE;
  emu_must_load(e, text);
  CHECK(emu_launch(e, "k", dims, NULL, 0));
  e->config.checks = TESSERA_EMU_CHECK_ALL;
}

// --- Memory -----------------------------------------------------------------

// Whatever allocation fails, the launch ends: by an error, or with what was
// found until then and a word that there is no more.
static void test_memory(emu *e) {
  char body[2048], text[4096];
  counter(body, sizeof(body), "",
          "atom.acq_rel.gpu.global.add.u32 %r2, [count], 1;", "",
          "bar.sync 0;");
  (void)snprintf(text, sizeof(text), "%s%s%s\nret;\n}\n", HEAD, KERNEL, body);
  emu_dims dims = {.grid = {8, 1, 1}, .block = {64, 1, 1}};
  e->config.seed = 1;
  emu_must_load(e, text);
  (void)tsr_memory_fail_at(0);
  CHECK(emu_launch(e, "k", dims, NULL, 0));
  uint64_t allocations = tsr_memory_fail_at(0);
  CHECK(allocations > 50);
  uint32_t refused = 0, told = 0;
  for (uint64_t nth = 1; nth <= allocations; ++nth) {
    tsr_error error = {0};
    emu_must_load(e, text);
    e->launch.kernel = tsr_program_kernel(e->program, "k");
    e->launch.number = ++e->launches;
    e->launch.findings = e->launch.failure = 0;
    (void)tsr_memory_fail_at(nth);
    tsr_status status = tsr_engine_run(&e->launch, &error);
    (void)tsr_memory_fail_at(0);
    refused += status == TSR_OUT_OF_MEMORY ? 1 : 0;
    if (strstr(emu_findings(e),
               "out of memory: races in global memory are no "
               "longer looked for") != NULL) {
      ++told;
      CHECK(strstr(emu_findings(e), "not ordered") == NULL);
    } else {
      CHECK_STR(emu_findings(e), "");
    }
    tsr_report_clear(e->report);
  }
  CHECK(refused > 0);
  CHECK(told > 3);
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_flag(&e);
  test_barriers(&e);
  test_chains(&e);
  test_warps(&e);
  test_shared_flag(&e);
  test_warp_chains(&e);
  test_counters(&e);
  test_grid(&e);
  test_conflicts(&e);
  test_copies(&e);
  test_parallel(&e);
  test_seeds(&e);
  test_memory(&e);
  emu_fini(&e);
  return test_finish();
}
