// SPDX-License-Identifier: Apache-2.0
// Deadlocks are found, quickly, and told with every warp's line; what only
// takes long is none.
#include "harness.h"

#define HEAD                                         \
  ".version 8.7\n.target sm_90a\n.address_size 64\n" \
  ".global .u32 flag;\n.global .u32 lock;\n.shared .align 8 .b64 bar;\n"
// Line 8 is the first of the body.
#define KERNEL                                                    \
  ".visible .entry k() { .reg .b64 %d<4>; .reg .b32 %r<8>; .reg " \
  ".pred %p<4>; mov.u32 %r0, %tid.x; shr.u32 %r1, %r0, 5;\n"

static bool run(emu *e, const char *body, uint32_t blocks, uint32_t threads) {
  char text[4096];
  (void)snprintf(text, sizeof(text), "%s%s%s\nret;\n}\n", HEAD, KERNEL, body);
  emu_must_load(e, text);
  emu_dims dims = {.grid = {blocks, 1, 1}, .block = {threads, 1, 1}};
  return emu_launch(e, "k", dims, NULL, 0);
}

static bool says(emu *e, const char *text) {
  bool found = strstr(emu_findings(e), text) != NULL;
  if (!found) fprintf(stderr, "no \"%s\" in: %s\n", text, emu_findings(e));
  return found;
}

static void check_deadlocks(emu *e) {
  static const struct {
    const char *body;
    uint32_t blocks;
    const char *says[3];
  } bad[] = {
      // Warps at different barriers.
      {"setp.eq.u32 %p0, %r1, 0;\n@%p0 bra A;\nbar.sync 1, 96;\nret;\n"
       "A: bar.sync 2, 64;\n",
       1,
       {"line 10 (barrier 1, 1 of 3 warps arrived)",
        "line 12 (barrier 2, 1 of 2 warps arrived)", "warp 0"}},
      // A thread count that ended warps leave unreached.
      {"setp.eq.u32 %p0, %r1, 0;\n@%p0 exit;\nbar.sync 1, 64;\n",
       1,
       {"line 10 (barrier 1, 1 of 2 warps arrived): warp 1", NULL, NULL}},
      // A flag that nobody sets, polled in different ways.
      {"A: ld.volatile.global.u32 %r2, [flag];\nsetp.eq.u32 %p0, %r2, 0;\n"
       "@%p0 bra A;\n",
       3,
       {"polls for ever", "warp 0", NULL}},
      {"A: nanosleep.u32 50;\nld.acquire.gpu.global.u32 %r2, [flag];\n"
       "setp.eq.u32 %p0, %r2, 0;\n@%p0 bra A;\n",
       1,
       {"for ever", NULL, NULL}},
      // A lock taken twice.
      {"setp.ne.u32 %p1, %r0, 0;\n@%p1 exit;\n"
       "A: atom.global.cas.b32 %r2, [lock], 0, 1;\n"
       "setp.ne.u32 %p0, %r2, 0;\n@%p0 bra A;\n"
       "B: atom.global.cas.b32 %r2, [lock], 0, 1;\n"
       "setp.ne.u32 %p0, %r2, 0;\n@%p0 bra B;\n",
       1,
       {"polls for ever", "warp 0", NULL}},
      // An mbarrier that expects one arrival more than there are.
      {"mov.u32 %r3, bar;\nsetp.eq.u32 %p1, %r0, 0;\n"
       "@%p1 mbarrier.init.shared.b64 [%r3], 65;\nbar.sync 0;\n"
       "mbarrier.arrive.shared.b64 %d0, [%r3];\n"
       "A: mbarrier.try_wait.shared.b64 %p0, [%r3], %d0;\n@!%p0 bra A;\n",
       1,
       {"deadlock", "warp 0", NULL}},
      {"mov.u32 %r3, bar;\nsetp.eq.u32 %p1, %r0, 0;\n"
       "@%p1 mbarrier.init.shared.b64 [%r3], 65;\nbar.sync 0;\n"
       "mbarrier.arrive.shared.b64 %d0, [%r3];\n"
       "A: mbarrier.test_wait.shared.b64 %p0, [%r3], %d0;\n@!%p0 bra A;\n",
       1,
       {"deadlock", "polls for ever", NULL}},
      // The lanes of a warp wait for each other in two places.
      {"setp.eq.u32 %p0, %r0, 0;\n@%p0 bra A;\nbar.warp.sync -1;\n"
       "A: bar.warp.sync 1;\n"
       "W: ld.volatile.global.u32 %r2, [flag];\nsetp.eq.u32 %p1, %r2, 0;\n"
       "@%p1 bra W;\n",
       1,
       {"bar.warp.sync of lanes 0xffffffff", "polls for ever", NULL}},
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      e->config.seed = seed;
      CHECK(!run(e, bad[i].body, bad[i].blocks, 64));
      CHECK(emu_found(e, TESSERA_EMU_DEADLOCK));
      CHECK_EQ(e->launch.fault, TESSERA_EMU_DEADLOCK);
      for (int k = 0; k < 3 && bad[i].says[k] != NULL; ++k) {
        CHECK(says(e, bad[i].says[k]));
      }
      CHECK(e->launch.profile.warp_instructions < 5000000);
    }
  }
}

// Polling that ends: someone else comes late, or the poller gives up.
static void check_no_deadlock(emu *e) {
  static const char *const good[] = {
      // A poller that counts and gives up.
      "mov.u32 %r3, 0;\nA: ld.volatile.global.u32 %r2, [flag];\n"
      "add.u32 %r3, %r3, 1;\nsetp.lt.u32 %p0, %r3, 100000;\n@%p0 bra A;\n",
      // One warp computes for long while the other waits for it.
      "setp.eq.u32 %p0, %r1, 0;\n@%p0 bra SLOW;\n"
      "A: ld.volatile.global.u32 %r2, [lock];\nsetp.eq.u32 %p1, %r2, 0;\n"
      "@%p1 bra A;\nbra OUT;\nSLOW: mov.u32 %r3, 0;\n"
      "B: add.u32 %r3, %r3, 1;\nsetp.lt.u32 %p2, %r3, 200000;\n@%p2 bra B;\n"
      "st.volatile.global.u32 [lock], 1;\nOUT: bar.sync 0;\n",
      // The lanes of one warp wait for each other through memory.
      "setp.eq.u32 %p0, %r0, 40;\n@%p0 bra SET;\n"
      "A: ld.volatile.global.u32 %r2, [flag];\nsetp.eq.u32 %p1, %r2, 0;\n"
      "@%p1 bra A;\nbra OUT;\nSET: st.volatile.global.u32 [flag], 1;\n"
      "OUT: bar.warp.sync -1;\n",
  };
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); ++i) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      e->config.seed = seed;
      bool clean = run(e, good[i], 1, 64);
      CHECK(clean);
      if (!clean) fprintf(stderr, "%s\n%s\n", good[i], emu_findings(e));
    }
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  check_deadlocks(&e);
  check_no_deadlock(&e);
  emu_fini(&e);
  return test_finish();
}
