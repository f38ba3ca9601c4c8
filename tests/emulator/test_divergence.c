// SPDX-License-Identifier: Apache-2.0
// Lanes that go different ways: results, reconvergence, progress of lanes that
// wait for each other, and findings where lanes should have come together.
#include "harness.h"

#define IN (const uint64_t(*)[32]) in

static void lanes_index(uint64_t in[32]) {
  for (uint32_t i = 0; i < 32; ++i) in[i] = i;
}

static void check_if_else(emu *e) {
  uint64_t in[1][32];
  uint64_t out[2][32];
  lanes_index(in[0]);
  CHECK(emu_lanes(e, NULL,
                  ".reg .pred %p, %q; .reg .b32 %a;\n"
                  "and.b32 %a, %i0, 1;\nsetp.eq.u32 %p, %a, 0;\n"
                  "@%p bra EVEN;\n"
                  "and.b32 %a, %i0, 2;\nsetp.eq.u32 %q, %a, 0;\n"
                  "@%q bra ONE;\nmov.u32 %o0, 300;\nbra OUT;\n"
                  "ONE: mov.u32 %o0, 100;\nbra OUT;\n"
                  "EVEN: mov.u32 %o0, 200;\n"
                  "OUT: add.u32 %o0, %o0, %i0;\nactivemask.b32 %o1;\n",
                  "r", IN, "rr", out));
  for (uint32_t i = 0; i < 32; ++i) {
    CHECK_EQ(out[0][i], (i % 2 == 0 ? 200u : i % 4 == 1 ? 100u : 300u) + i);
    CHECK_EQ(out[1][i], 0xffffffffu);  // together again
  }
}

// Lanes leave a loop after as many rounds as their number.
static void check_loop(emu *e) {
  uint64_t in[1][32];
  uint64_t out[2][32];
  lanes_index(in[0]);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    e->config.seed = seed;
    CHECK(emu_lanes(e, NULL,
                    ".reg .pred %p; .reg .b32 %n;\n"
                    "mov.u32 %o0, 0;\nmov.u32 %n, 0;\n"
                    "NEXT: add.u32 %o0, %o0, %n;\nadd.u32 %n, %n, 1;\n"
                    "setp.le.u32 %p, %n, %i0;\n@%p bra NEXT;\n"
                    "shfl.sync.bfly.b32 %o1, %o0, 1, 31, -1;\n",
                    "r", IN, "rr", out));
    for (uint32_t i = 0; i < 32; ++i) {
      uint32_t k = i ^ 1u;
      CHECK_EQ(out[0][i], i * (i + 1) / 2);
      CHECK_EQ(out[1][i], k * (k + 1) / 2);
    }
  }
}

// A lock that the lanes of a warp take one after another: the holder must make
// progress while the others spin.
static void check_lock(emu *e) {
  emu_must_load(e,
                ".version 8.7\n.target sm_90a\n.address_size 64\n"
                ".global .u32 lock;\n"
                ".visible .entry k(.param .u64 pout) {\n"
                ".reg .b64 %d;\n.reg .b32 %r<4>;\n.reg .pred %p;\n"
                "ld.param.u64 %d, [pout];\n"
                "TRY: atom.acquire.gpu.global.cas.b32 %r0, [lock], 0, 1;\n"
                "setp.ne.u32 %p, %r0, 0;\n@%p bra TRY;\n"
                "ld.volatile.global.u32 %r1, [%d];\n"
                "add.u32 %r1, %r1, 1;\n"
                "st.volatile.global.u32 [%d], %r1;\n"
                "atom.release.gpu.global.exch.b32 %r2, [lock], 0;\nret;\n}\n");
  for (uint64_t seed = 0; seed < 10; ++seed) {
    e->config.seed = seed;
    uint32_t zero = 0;
    uint64_t args[1] = {emu_upload(e, &zero, 4)};
    emu_dims dims = {.grid = {3, 1, 1}, .block = {64, 1, 1}};
    CHECK(emu_launch(e, "k", dims, args, 1));
    uint32_t count = 0;
    emu_download(e, &count, args[0], 4);
    CHECK_EQ(count, 3 * 64);
    CHECK(tsr_heap_free(e->heap, args[0]));
  }
}

// Lanes that ended count as arrived.
static void check_ended(emu *e) {
  uint64_t in[1][32];
  uint64_t out[1][32];
  lanes_index(in[0]);
  CHECK(emu_lanes(e, NULL,
                  ".reg .pred %p;\nsetp.ge.u32 %p, %i0, 20;\n@%p exit;\n"
                  "bar.sync 0;\n"
                  "shfl.sync.down.b32 %o0, %i0, 1, 31, -1;\n",
                  "r", IN, "r", out));
  for (uint32_t i = 0; i < 19; ++i) CHECK_EQ(out[0][i], i + 1);
}

static bool names(emu *e, const char *text) {
  bool found = strstr(emu_findings(e), text) != NULL;
  if (!found) fprintf(stderr, "no \"%s\" in: %s", text, emu_findings(e));
  return found;
}

static void check_findings(emu *e) {
  uint64_t in[1][32];
  uint64_t out[1][32];
  lanes_index(in[0]);
  static const struct {
    const char *body, *says;
  } bad[] = {
      // Half of the lanes at one barrier, half at another.
      {".reg .pred %p;\nsetp.lt.u32 %p, %i0, 16;\n@%p bra LOW;\n"
       "bar.sync 0;\nbra OUT;\nLOW: bar.sync 0;\nOUT: mov.u32 %o0, 1;\n",
       "lanes 0xffff0000 are here, lanes 0x0000ffff at line"},
      // A predicate that differs within the warp.
      {".reg .pred %p;\nsetp.lt.u32 %p, %i0, 16;\n@%p bar.sync 0;\n"
       "@!%p bar.sync 0;\nmov.u32 %o0, 1;\n",
       "its predicate differs within the warp"},
      // Lanes that shfl names are elsewhere.
      {".reg .pred %p;\nsetp.lt.u32 %p, %i0, 16;\n@%p bra LOW;\n"
       "bar.warp.sync 0xffff0000;\nWAIT: bar.warp.sync -1;\nbra OUT;\n"
       "LOW: shfl.sync.idx.b32 %o0, %i0, 0, 31, -1;\n"
       "bar.warp.sync -1;\nOUT: mov.u32 %o0, 1;\n",
       "the warp does not come together"},
      // A lane that its own membermask leaves out.
      {"vote.sync.ballot.b32 %o0, 1, 0x7fffffff;\n",
       "its membermask 0x7fffffff does not name"},
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    e->config.checks = TESSERA_EMU_CHECK_ALL;
    CHECK(!emu_lanes(e, NULL, bad[i].body, "r", IN, "r", out));
    CHECK(emu_found(e, TESSERA_EMU_DIVERGENCE));
    CHECK(names(e, bad[i].says));
    CHECK_EQ(e->launch.fault, 0);
    // Unchecked, it goes on with the lanes that there are.
    e->config.checks = 0;
    CHECK(emu_lanes(e, NULL, bad[i].body, "r", IN, "r", out));
  }
  e->config.checks = TESSERA_EMU_CHECK_ALL;
}

// Matrix instructions need a whole warp.
static void check_short_warp(emu *e) {
  emu_must_load(e,
                ".version 8.7\n.target sm_90a\n.address_size 64\n"
                ".shared .align 16 .b8 s[512];\n"
                ".visible .entry k() {\n.reg .b32 %r<6>;\n"
                "mov.u32 %r0, %tid.x;\nshl.b32 %r1, %r0, 4;\n"
                "mov.u32 %r2, s;\nadd.u32 %r2, %r2, %r1;\n"
                "st.shared.v4.b32 [%r2], {%r0, %r0, %r0, %r0};\n"
                "bar.warp.sync -1;\n"
                "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r3}, [%r2];\n"
                "ret;\n}\n");
  emu_dims dims = {.block = {32, 1, 1}};
  CHECK(emu_launch(e, "k", dims, NULL, 0));
  dims.block[0] = 24;
  CHECK(!emu_launch(e, "k", dims, NULL, 0));
  CHECK(emu_found(e, TESSERA_EMU_DIVERGENCE));
}

// Lanes in different functions do not disturb each other's registers.
static void check_diverged_calls(emu *e) {
  uint64_t in[1][32];
  uint64_t out[1][32];
  lanes_index(in[0]);
  static const char functions[] =
      ".func (.param .u32 res) wide(.param .u32 n) {\n"
      ".reg .b64 %d<4>;\n.reg .b32 %r<3>;\n.reg .pred %p;\n"
      "ld.param.u32 %r0, [n];\ncvt.u64.u32 %d0, %r0;\nmov.u64 %d1, 0;\n"
      "NEXT: add.u64 %d1, %d1, 3;\nsub.u64 %d0, %d0, 1;\n"
      "setp.ne.u64 %p, %d0, 0;\n@%p bra NEXT;\n"
      "cvt.u32.u64 %r1, %d1;\nst.param.u32 [res], %r1;\nret;\n}\n"
      ".func (.param .u32 res) thin(.param .u32 n) {\n"
      ".reg .b32 %r<4>;\n.reg .pred %p;\n"
      "ld.param.u32 %r0, [n];\nmov.u32 %r1, 0;\n"
      "NEXT: add.u32 %r1, %r1, 5;\nsub.u32 %r0, %r0, 1;\n"
      "setp.ne.u32 %p, %r0, 0;\n@%p bra NEXT;\n"
      "st.param.u32 [res], %r1;\nret;\n}\n";
  for (uint64_t seed = 0; seed < 40; ++seed) {
    e->config.seed = seed;
    CHECK(emu_lanes(e, functions,
                    ".reg .pred %p; .reg .b32 %a, %n;\n"
                    "add.u32 %n, %i0, 40;\n"
                    "{ .param .u32 a; .param .u32 v; st.param.u32 [a], %n;\n"
                    "and.b32 %a, %i0, 1;\nsetp.eq.u32 %p, %a, 0;\n"
                    "@%p call (v), wide, (a);\n"
                    "@!%p call (v), thin, (a);\n"
                    "ld.param.u32 %o0, [v]; }\n",
                    "r", IN, "r", out));
    for (uint32_t i = 0; i < 32; ++i) {
      CHECK_EQ(out[0][i], (i + 40) * (i % 2 == 0 ? 3 : 5));
    }
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  check_if_else(&e);
  check_loop(&e);
  check_lock(&e);
  check_ended(&e);
  check_findings(&e);
  check_short_warp(&e);
  check_diverged_calls(&e);
  emu_fini(&e);
  return test_finish();
}
