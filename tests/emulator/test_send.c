// SPDX-License-Identifier: Apache-2.0
// st.async and red.async: the bytes are in shared memory, and counted on the
// mbarrier, when its phase completes; forms that ptxas refuses are refused.
#include "harness.h"

// One warp: thread 0 makes the mbarrier and expects the bytes, all send, all
// wait and store what they see.
static const char *const frame =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .u64 out) {\n"
    ".reg .b64 %%rd<8>; .reg .b32 %%r<16>; .reg .pred %%p<4>;\n"
    ".shared .align 16 .b8 data[1024];\n.shared .align 8 .b64 bar;\n"
    "ld.param.u64 %%rd1, [out];\n"
    "mov.u32 %%r1, %%tid.x; mov.u32 %%r2, data; mov.u32 %%r3, bar;\n"
    "shl.b32 %%r4, %%r1, 4; add.u32 %%r5, %%r2, %%r4;\n"
    "mov.u32 %%r6, 100; st.shared.v4.u32 [%%r5], {%%r6, %%r6, %%r6, %%r6};\n"
    "setp.ne.u32 %%p1, %%r1, 0; @%%p1 bra READY;\n"
    "mbarrier.init.shared::cta.b64 [%%r3], 1;\n"
    "fence.mbarrier_init.release.cluster;\n"
    "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%%r3], %u;\n"
    "READY:\nbar.sync 0;\n"
    "add.u32 %%r7, %%r1, 7; cvt.u64.u32 %%rd3, %%r7;\n"
    "%s\n"
    "WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %%p2, [%%r3], 0;\n"
    "@!%%p2 bra WAIT;\n"
    "ld.shared.v4.u32 {%%r8, %%r9, %%r10, %%r11}, [%%r5];\n"
    "cvt.u64.u32 %%rd2, %%r4; add.u64 %%rd1, %%rd1, %%rd2;\n"
    "st.global.v4.u32 [%%rd1], {%%r8, %%r9, %%r10, %%r11};\nret;\n}\n";

typedef struct send_case {
  const char *body;
  uint32_t bytes;        // of each lane
  uint32_t expected[4];  // of lane 5, whose %r7 is 12
} send_case;

#define TO ".shared::cluster.mbarrier::complete_tx::bytes"
#define RED "red.async.relaxed.cluster" TO

static const send_case cases[] = {
    {"st.async.weak" TO ".u32 [%r5], %r7, [%r3];", 4, {12, 100, 100, 100}},
    {"st.async" TO ".b64 [%r5+8], %rd3, [%r3];", 8, {100, 100, 12, 0}},
    {"st.async" TO ".v2.b32 [%r5], {%r7, %r1}, [%r3];", 8, {12, 5, 100, 100}},
    {"st.async" TO ".v4.b32 [%r5], {%r7, %r1, %r6, %r7}, [%r3];",
     16,
     {12, 5, 100, 12}},
    {"st.async" TO ".v2.u64 [%r5], {%rd3, %rd3}, [%r3];", 16, {12, 0, 12, 0}},
    {RED ".add.u32 [%r5], %r7, [%r3];", 4, {112, 100, 100, 100}},
    {RED ".add.u64 [%r5], %rd3, [%r3];", 8, {112, 100, 100, 100}},
    {RED ".min.u32 [%r5], %r7, [%r3];", 4, {12, 100, 100, 100}},
    {RED ".max.s32 [%r5+4], %r7, [%r3];", 4, {100, 100, 100, 100}},
    {RED ".and.b32 [%r5], %r7, [%r3];", 4, {100 & 12, 100, 100, 100}},
    {RED ".xor.b32 [%r5], %r7, [%r3];", 4, {100 ^ 12, 100, 100, 100}},
    {RED ".inc.u32 [%r5], %r7, [%r3];", 4, {0, 100, 100, 100}},
    {RED ".dec.u32 [%r5], %r6, [%r3];", 4, {99, 100, 100, 100}},
};

static void test_cases(emu *e) {
  for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); ++k) {
    for (int time = 0; time < 3; ++time) {
      char text[3000];
      (void)snprintf(text, sizeof(text), frame, cases[k].bytes * 32,
                     cases[k].body);
      emu_must_load(e, text);
      e->config.time = (tessera_emu_time)time;
      uint64_t out = emu_upload(e, NULL, 512);
      emu_dims dims = {.block = {32, 1, 1}};
      bool clean = emu_launch(e, "k", dims, &out, 1);
      CHECK(clean);
      if (!clean) fprintf(stderr, "%s: %s", cases[k].body, emu_findings(e));
      uint32_t got[32][4];
      emu_download(e, got, out, sizeof(got));
      for (uint32_t i = 0; i < 4; ++i) {
        CHECK_EQ(got[5][i], cases[k].expected[i]);
      }
    }
  }
}

static const char *const refused[] = {
    "st.async" TO ".b16 [%r5], %h1, [%r3];",
    "st.async" TO ".v4.b64 [%r5], {%rd1, %rd1, %rd1, %rd1}, [%r3];",
    "st.async" TO ".b32 [%r5], %r7;",
    "st.async.shared::cluster.b32 [%r5], %r7, [%r3];",
    "st.async" TO ".v2.b32 [%r5], %r7, [%r3];",
    "red.async" TO ".add.u32 [%r5], %r7, [%r3];",
    RED ".add.s64 [%r5], %rd1, [%r3];",
    RED ".inc.s32 [%r5], %r7, [%r3];",
    RED ".exch.b32 [%r5], %r7, [%r3];",
    RED ".add.f32 [%r5], %r7, [%r3];",
};

static void test_refused(emu *e) {
  for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); ++k) {
    CHECK(emu_refuses(e, refused[k]));
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_cases(&e);
  test_refused(&e);
  emu_fini(&e);
  return test_finish();
}
