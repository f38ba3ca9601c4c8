// SPDX-License-Identifier: Apache-2.0
// cvta, isspacep, mapa, getctarank: windows of generic addresses, and a cluster
// of one block.
#include "harness.h"
#include "memory/access.h"

#define LANES(lanes) ((const uint64_t(*)[32])(lanes))

static const char *const windows_text =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".const .align 4 .b32 table[4] = {1, 2, 3, 4};\n"
    ".global .align 4 .b32 cell;\n"
    ".visible .entry windows(.param .u64 out) {\n"
    ".reg .b64 %rd<12>; .reg .b32 %r<12>; .reg .pred %p<9>;\n"
    ".shared .align 16 .b8 sh[128];\n.local .align 16 .b8 lo[64];\n"
    "ld.param.u64 %rd1, [out];\n"
    "mov.u64 %rd2, sh; cvta.shared.u64 %rd3, %rd2;\n"
    "cvta.to.shared.u64 %rd4, %rd3; st.global.u64 [%rd1], %rd4;\n"
    "st.global.u64 [%rd1+8], %rd3;\n"
    "mov.u64 %rd2, lo; cvta.local.u64 %rd5, %rd2;\n"
    "cvta.to.local.u64 %rd4, %rd5; sub.u64 %rd4, %rd4, %rd2;\n"
    "st.global.u64 [%rd1+16], %rd4;\n"
    "mov.u64 %rd2, table; cvta.const.u64 %rd6, %rd2;\n"
    "cvta.to.const.u64 %rd4, %rd6; sub.u64 %rd4, %rd4, %rd2;\n"
    "st.global.u64 [%rd1+24], %rd4;\n"
    "mov.b64 %rd2, out; cvta.param.u64 %rd7, %rd2;\n"
    "cvta.to.param.u64 %rd4, %rd7; ld.param.u64 %rd4, [%rd4];\n"
    "sub.u64 %rd4, %rd4, %rd1; st.global.u64 [%rd1+32], %rd4;\n"
    "cvta.shared::cta.u64 %rd4, sh; sub.u64 %rd4, %rd4, %rd3;\n"
    "st.global.u64 [%rd1+40], %rd4;\n"
    "mov.u64 %rd2, cell; cvta.global.u64 %rd8, %rd2;\n"
    "sub.u64 %rd4, %rd8, %rd2; st.global.u64 [%rd1+48], %rd4;\n"
    // A row of answers for each generic address: which spaces say yes.
    "mov.u64 %rd9, 0;\n"
    "$TABLE\n"
    "ret;\n}\n";

static const char *const space_names[] = {
    "global", "shared",          "local",       "const",
    "param",  "shared::cluster", "param::entry"};

static void test_windows(emu *e) {
  // Registers that hold a generic address of each space, and null.
  static const struct {
    const char *reg;
    uint32_t yes;  // bits of space_names
  } rows[] = {{"%rd8", 1},
              {"%rd3", 2 | 32},
              {"%rd5", 4},
              {"%rd6", 8},
              {"%rd7", 16 | 64}};
  char table[4000] = "";
  size_t used = 0;
  for (uint32_t i = 0; i < 5; ++i) {
    used += (size_t)snprintf(table + used, sizeof(table) - used,
                             "mov.u32 %%r5, 0;\n");
    for (uint32_t k = 0; k < 7; ++k) {
      used += (size_t)snprintf(
          table + used, sizeof(table) - used,
          "isspacep.%s %%p1, %s; @%%p1 or.b32 %%r5, %%r5, %u;\n",
          space_names[k], rows[i].reg, 1u << k);
    }
    used += (size_t)snprintf(table + used, sizeof(table) - used,
                             "st.global.u32 [%%rd1+%u], %%r5;\n", 56 + i * 4);
  }
  char text[8000];
  const char *mark = strstr(windows_text, "$TABLE");
  (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark - windows_text),
                 windows_text, table, mark + 6);
  emu_must_load(e, text);
  uint64_t out = emu_upload(e, NULL, 128);
  emu_dims dims = {.block = {1, 1, 1}};
  bool clean = emu_launch(e, "windows", dims, &out, 1);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(e));
  uint64_t got[16];
  emu_download(e, got, out, sizeof(got));
  CHECK_EQ(got[0], TSR_SHARED_BASE);
  CHECK_EQ(got[1], TSR_SHARED_WINDOW + TSR_SHARED_BASE);
  for (uint32_t i = 2; i < 7; ++i) CHECK_EQ(got[i], 0);
  uint32_t answers[5];
  memcpy(answers, got + 7, sizeof(answers));
  for (uint32_t i = 0; i < 5; ++i) CHECK_EQ(answers[i], rows[i].yes);
}

static void test_generic_space(void) {
  uint64_t offset = 0;
  CHECK(tsr_generic_space(TSR_SHARED_WINDOW, &offset) == TSR_PTX_SPACE_SHARED);
  CHECK_EQ(offset, 0);
  CHECK(tsr_generic_space(TSR_LOCAL_WINDOW - 1, &offset) ==
        TSR_PTX_SPACE_SHARED);
  CHECK_EQ(offset, TSR_WINDOW_SIZE - 1);
  CHECK(tsr_generic_space(TSR_LOCAL_WINDOW + 5, &offset) ==
        TSR_PTX_SPACE_LOCAL);
  CHECK_EQ(offset, 5);
  CHECK(tsr_generic_space(TSR_PARAM_WINDOW + 8, &offset) ==
        TSR_PTX_SPACE_PARAM);
  CHECK(tsr_generic_space(TSR_PARAM_WINDOW + TSR_WINDOW_SIZE, &offset) ==
        TSR_PTX_SPACE_GLOBAL);
  CHECK_EQ(offset, TSR_PARAM_WINDOW + TSR_WINDOW_SIZE);
  CHECK(tsr_generic_space(8, &offset) == TSR_PTX_SPACE_GLOBAL);
  CHECK_EQ(tsr_window(TSR_PTX_SPACE_GLOBAL), 0);
  CHECK_EQ(tsr_window(TSR_PTX_SPACE_CONST), 0);
}

static void test_cluster(emu *e) {
  static uint64_t in[2][32];
  static uint64_t out[4][32];
  for (uint32_t i = 0; i < 32; ++i) in[0][i] = TSR_SHARED_BASE + i;
  CHECK(emu_lanes(e, "",
                  ".shared .align 8 .b8 sh[64];\n.reg .b64 %g;\n"
                  "mapa.shared::cluster.u32 %o0, %i0, %i1;\n"
                  "getctarank.shared::cluster.u32 %o1, %o0;\n"
                  "mov.u64 %g, sh; cvta.shared.u64 %g, %g;\n"
                  "mapa.u64 %o2, %g, 0; sub.u64 %o2, %o2, %g;\n"
                  "getctarank.u64 %o3, %g;",
                  "rr", LANES(in), "rrdr", out));
  for (uint32_t i = 0; i < 32; ++i) {
    CHECK_EQ(out[0][i], TSR_SHARED_BASE + i);
    CHECK_EQ(out[1][i], 0);
    CHECK_EQ(out[2][i], 0);
    CHECK_EQ(out[3][i], 0);
  }
  in[1][12] = 1;  // there is no second block
  CHECK(!emu_lanes(e, "", "mapa.shared::cluster.u32 %o0, %i0, %i1;", "rr",
                   LANES(in), "r", out));
  CHECK_EQ(e->launch.fault, TESSERA_EMU_ILLEGAL);
  in[1][12] = 0;
  // A generic address outside of shared memory.
  CHECK(!emu_lanes(e, "", "mapa.u64 %o0, %hin, 0;", "", LANES(in), "d", out));
  CHECK_EQ(e->launch.fault, TESSERA_EMU_ILLEGAL);
}

static const char *const refused[] = {
    "cvta.u64 %rd1, %rd2;",
    "cvta.shared.u32 %r1, %r2;",
    "cvta.shared.u64 %r1, %rd2;",
    "cvta.reg.u64 %rd1, %rd2;",
    "cvta.to.shared.s64 %rd1, %rd2;",
    "isspacep.shared %r1, %rd2;",
    "isspacep %p1, %rd2;",
    "isspacep.shared %p1;",
    "mapa.shared::cta.u32 %r1, %r2, 0;",
    "mapa.u64 %rd1, %rd2;",
    "mapa.u16 %r1, %r2, 0;",
    "getctarank.u64 %rd1, %rd2;",
};

static void test_refused(emu *e) {
  for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); ++k) {
    CHECK(emu_refuses(e, refused[k]));
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_generic_space();
  test_windows(&e);
  test_cluster(&e);
  test_refused(&e);
  emu_fini(&e);
  return test_finish();
}
