// SPDX-License-Identifier: Apache-2.0
// bar, barrier and barrier.cluster in all forms: they hold warps as long as
// they should, results of reductions, misuse found, forms refused.
#include "harness.h"

#define HEAD                                         \
  ".version 8.7\n.target sm_90a\n.address_size 64\n" \
  ".shared .align 8 .b32 s[64];\n"
#define KERNEL                                                          \
  ".visible .entry k(.param .u64 pout) {\n"                             \
  ".reg .b64 %d<4>;\n.reg .b32 %r<12>;\n.reg .pred %p<6>;\n"            \
  "ld.param.u64 %d0, [pout];\nmov.u32 %r0, %tid.x;\n"                   \
  "shr.u32 %r1, %r0, 5;\nmul.wide.u32 %d1, %r0, 4;\nadd.u64 %d1, %d0, " \
  "%d1;\nmov.u32 %r2, s;\nmov.u32 %r11, 0;\n"

enum { THREADS = 128 };

static bool run(emu *e, const char *body, uint32_t threads, uint32_t *out) {
  char text[4096];
  (void)snprintf(text, sizeof(text), "%s%s%s\nret;\n}\n", HEAD, KERNEL, body);
  emu_must_load(e, text);
  uint64_t args[1] = {emu_upload(e, NULL, (uint64_t)threads * 4)};
  emu_dims dims = {.block = {threads, 1, 1}};
  bool clean = emu_launch(e, "k", dims, args, 1);
  if (out != NULL) emu_download(e, out, args[0], (uint64_t)threads * 4);
  CHECK(tsr_heap_free(e->heap, args[0]));
  return clean;
}

// Warp w writes s[w]; behind the barrier every warp adds all four up.
static void check_holds(emu *e, const char *barrier) {
  char body[1024];
  uint32_t out[THREADS];
  (void)snprintf(body, sizeof(body),
                 "mov.u32 %%r9, 3;\nmov.u32 %%r10, 128;\n"
                 "setp.lt.u32 %%p0, %%r0, 96;\n"
                 "shl.b32 %%r3, %%r1, 2;\nadd.u32 %%r3, %%r2, %%r3;\n"
                 "add.u32 %%r4, %%r1, 1;\nand.b32 %%r5, %%r0, 31;\n"
                 "setp.ne.u32 %%p1, %%r5, 0;\n"
                 "@%%p1 bra SKIP;\nst.shared.u32 [%%r3], %%r4;\n"
                 "SKIP:\n%s\n"
                 "ld.shared.v4.u32 {%%r4, %%r5, %%r6, %%r7}, [%%r2];\n"
                 "add.u32 %%r4, %%r4, %%r5;\nadd.u32 %%r4, %%r4, %%r6;\n"
                 "add.u32 %%r4, %%r4, %%r7;\nadd.u32 %%r4, %%r4, %%r11;\n"
                 "st.global.u32 [%%d1], %%r4;\n",
                 barrier);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    e->config.seed = seed;
    bool clean = run(e, body, THREADS, out);
    CHECK(clean);
    if (!clean) fprintf(stderr, "%s: %s", barrier, emu_findings(e));
    for (uint32_t i = 0; i < THREADS; ++i) CHECK_EQ(out[i], 10);
  }
  CHECK(e->launch.profile.barrier_waits > 0);
}

static void check_forms(emu *e) {
  static const char *const forms[] = {
      "bar.sync 0;",
      "bar.sync 15;",
      "bar.sync %r9;",
      "bar.sync 1, 128;",
      "bar.sync %r9, %r10;",
      "bar.cta.sync 2;",
      "barrier.sync 0;",
      "barrier.sync.aligned 0;",
      "barrier.cta.sync 4, 128;",
      "barrier.cta.sync.aligned %r9, %r10;",
      "barrier.cluster.arrive;\nbarrier.cluster.wait;",
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;",
      // Reductions: 96 of 128 are true; added to the sum, taken off again.
      "bar.red.popc.u32 %r11, 1, %p0;\nsub.u32 %r11, %r11, 96;",
      "bar.red.popc.u32 %r11, 1, 128, !%p0;\nsub.u32 %r11, %r11, 32;",
      "barrier.cta.red.popc.aligned.u32 %r11, %r9, %r10, %p0;\n"
      "sub.u32 %r11, %r11, 96;",
      "barrier.red.popc.u32 %r11, 1, %p0;\nsub.u32 %r11, %r11, 96;",
      "bar.red.and.pred %p2, 1, %p0;\n@%p2 mov.u32 %r11, 1;",
      "bar.red.or.pred %p2, 1, %p0;\n@!%p2 mov.u32 %r11, 1;",
      "setp.le.u32 %p0, %r0, 999;\n"
      "bar.red.and.pred %p2, 1, %p0;\n@!%p2 mov.u32 %r11, 1;",
      "bar.red.or.pred %p2, 1, 128, !%p0;\n@!%p2 mov.u32 %r11, 1;",
      // Not aligned: the lanes of a warp come from different places.
      "and.b32 %r8, %r0, 1;\nsetp.eq.u32 %p3, %r8, 0;\n@%p3 bra EVEN;\n"
      "barrier.sync 5;\nbra BOTH;\nEVEN: barrier.sync 5;\nBOTH:",
      // Warps 0 and 1 bring, 2 and 3 fetch, then the other way round.
      "setp.ge.u32 %p3, %r1, 2;\n@%p3 bra FETCH;\n"
      "bar.arrive 6, 128;\nbar.sync 7, 128;\nbra MET;\n"
      "FETCH: bar.sync 6, 128;\nbar.arrive 7, 128;\nMET: bar.sync 0;",
      // Votes do not outlive their barrier.
      "bar.red.popc.u32 %r11, 1, %p0;\nbar.red.popc.u32 %r11, 1, !%p0;\n"
      "sub.u32 %r11, %r11, 32;",
      "barrier.cluster.arrive;\nbarrier.cluster.wait;\n"
      "barrier.cluster.arrive;\nbarrier.cluster.wait;",
      // Many rounds of the same barrier.
      "mov.u32 %r8, 0;\nNEXT: bar.sync 0;\nadd.u32 %r8, %r8, 1;\n"
      "setp.lt.u32 %p3, %r8, 50;\n@%p3 bra NEXT;",
  };
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); ++i) {
    check_holds(e, forms[i]);
  }
}

// Without a barrier the race is found, and some seed shows it in the result.
static void check_missing(emu *e) {
  uint32_t wrong = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    uint32_t out[THREADS];
    e->config.seed = seed;
    CHECK(!run(e,
               "shl.b32 %r3, %r1, 2;\nadd.u32 %r3, %r2, %r3;\n"
               "st.shared.u32 [%r3], 1;\nbar.warp.sync -1;\n"
               "ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2];\n"
               "add.u32 %r4, %r4, %r5;\nadd.u32 %r4, %r4, %r6;\n"
               "add.u32 %r4, %r4, %r7;\nst.global.u32 [%d1], %r4;\n",
               THREADS, out));
    CHECK(emu_found(e, TESSERA_EMU_RACE) ||
          emu_found(e, TESSERA_EMU_UNINITIALISED));
    for (uint32_t i = 0; i < THREADS; ++i) wrong += out[i] != 4;
  }
  CHECK(wrong > 0);
}

// Warps that have ended are not waited for; short last warps count whole.
static void check_ended(emu *e) {
  CHECK(run(e,
            "setp.eq.u32 %p0, %r1, 2;\n@%p0 exit;\nbar.sync 0;\n"
            "bar.red.popc.u32 %r4, 0, %p0;\nbarrier.cluster.arrive;\n"
            "barrier.cluster.wait;\n",
            THREADS, NULL));
  CHECK(run(e, "bar.sync 0;\nbar.sync 1, 64;\n", 50, NULL));
}

static bool says(emu *e, const char *text) {
  bool found = strstr(emu_findings(e), text) != NULL;
  if (!found) fprintf(stderr, "no \"%s\" in: %s\n", text, emu_findings(e));
  return found;
}

static void check_misuse(emu *e) {
  static const struct {
    const char *body;
    tessera_emu_finding_kind kind;
    const char *says;
  } bad[] = {
      {"mov.u32 %r3, 16;\nbar.sync %r3;\n", TESSERA_EMU_ILLEGAL,
       "barrier 16: there are 16"},
      {"mov.u32 %r3, 48;\nbar.sync 0, %r3;\n", TESSERA_EMU_BARRIER,
       "the thread count 48 is no multiple"},
      {"mov.u32 %r3, 0;\nbar.sync 0, %r3;\n", TESSERA_EMU_BARRIER,
       "a thread count of 0"},
      {"bar.sync %r0;\n", TESSERA_EMU_DIVERGENCE,
       "the barrier differs within the warp"},
      {"bar.sync 0, 256;\n", TESSERA_EMU_BARRIER,
       "expects 256 threads and the block has 128"},
      {"setp.eq.u32 %p0, %r1, 0;\n@%p0 bra A;\nbar.sync 0, 128;\nret;\n"
       "A: bar.sync 0, 96;\n",
       TESSERA_EMU_BARRIER, "warps here and"},
      {"bar.arrive 1, 128;\nsetp.eq.u32 %p0, %r1, 0;\n"
       "@%p0 bar.arrive 1, 128;\n",
       TESSERA_EMU_BARRIER, NULL},
      {"barrier.cluster.wait;\n", TESSERA_EMU_BARRIER,
       "without barrier.cluster.arrive"},
      {"barrier.cluster.arrive;\nbarrier.cluster.wait;\n"
       "barrier.cluster.wait;\n",
       TESSERA_EMU_BARRIER, "without barrier.cluster.arrive"},
      {"setp.eq.u32 %p0, %r1, 0;\n@!%p0 bra B;\nbarrier.cluster.arrive;\n"
       "barrier.cluster.arrive;\nB: barrier.cluster.arrive;\n"
       "barrier.cluster.wait;\n",
       TESSERA_EMU_BARRIER, "again without barrier.cluster.wait"},
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    bool clean = true;
    // Some of it depends on who comes first.
    for (uint64_t seed = 0; seed < 20 && clean; ++seed) {
      e->config.seed = seed;
      clean = run(e, bad[i].body, THREADS, NULL);
    }
    CHECK(!clean);
    if (clean) fprintf(stderr, "not found: %s", bad[i].body);
    CHECK(emu_found(e, bad[i].kind));
    if (bad[i].says != NULL) CHECK(says(e, bad[i].says));
  }
}

static void check_refused(emu *e) {
  static const char *const bad[] = {
      "bar.sync 16;",
      "bar.sync 0, 33;",
      "bar.sync 0, 0;",
      "bar.arrive 1;",
      "bar.sync;",
      "bar.sync.aligned 0;",
      "bar.red.and.u32 %r1, 0, %p0;",
      "bar.red.popc.pred %p1, 0, %p0;",
      "bar.red.popc.s32 %r1, 0, %p0;",
      "bar.red.popc.u32 %r1, 0;",
      "bar.warp.sync;",
      "bar.warp -1;",
      "barrier.cluster.sync;",
      "barrier.cluster.wait.release;",
      "barrier.cluster.arrive 0;",
      "bar.sync 0, 32, 1;",
      "barrier.foo.sync 0;",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    char text[2048];
    (void)snprintf(text, sizeof(text), "%s%s%s\nret;\n}\n", HEAD, KERNEL,
                   bad[i]);
    bool refused = !emu_load(e, text);
    CHECK(refused);
    if (!refused) fprintf(stderr, "accepted: %s\n", bad[i]);
    CHECK(strstr(tsr_buffer_text(&e->log.errors), "error") != NULL);
  }
}

// The last warp to come does not wait.
static void check_counts(emu *e) {
  CHECK(run(e, "bar.sync 0;\n", THREADS, NULL));
  CHECK_EQ(e->launch.profile.barrier_waits, THREADS / 32 - 1);
}

// Without checks a block reads the pattern, not what the last block left.
static void check_fresh(emu *e) {
  uint32_t out[40];
  emu_must_load(e, HEAD KERNEL
                "mov.u32 %r3, %ctaid.x;\nmul.wide.u32 %d1, %r3, 4;\n"
                "add.u64 %d1, %d0, %d1;\nld.shared.u32 %r4, [s];\n"
                "st.shared.u32 [s], %r3;\nst.global.u32 [%d1], %r4;\n"
                "ret;\n}\n");
  uint64_t args[1] = {emu_upload(e, NULL, sizeof(out))};
  emu_dims dims = {.grid = {40}, .block = {1}};
  uint32_t checks = e->config.checks;
  e->config.checks = 0;
  CHECK(emu_launch(e, "k", dims, args, 1));
  emu_download(e, out, args[0], sizeof(out));
  for (int i = 0; i < 40; ++i) CHECK_EQ(out[i], UINT32_MAX);
  e->config.checks = checks;
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  check_forms(&e);
  check_missing(&e);
  check_ended(&e);
  check_misuse(&e);
  check_refused(&e);
  check_counts(&e);
  check_fresh(&e);
  emu_fini(&e);
  return test_finish();
}
