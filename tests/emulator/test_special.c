// SPDX-License-Identifier: Apache-2.0
// Special registers (PTX ISA 10) of a launch of known shape.
#include "harness.h"

static void check_lanes(emu *e) {
  uint64_t out[8][32];
  CHECK(emu_lanes(e, NULL,
                  "mov.u32 %o0, %laneid;\nmov.u32 %o1, %lanemask_eq;\n"
                  "mov.u32 %o2, %lanemask_lt;\nmov.u32 %o3, %lanemask_le;\n"
                  "mov.u32 %o4, %lanemask_gt;\nmov.u32 %o5, %lanemask_ge;\n"
                  "mov.u32 %o6, %warpid;\nmov.u64 %o7, %gridid;\n",
                  "", NULL, "rrrrrrrd", out));
  for (uint32_t i = 0; i < 32; ++i) {
    uint32_t bit = 1u << i;
    CHECK_EQ(out[0][i], i);
    CHECK_EQ(out[1][i], bit);
    CHECK_EQ(out[2][i], bit - 1);
    CHECK_EQ(out[3][i], bit - 1 + bit);
    CHECK_EQ(out[4][i], i == 31 ? 0u : 0xffffffffu << (i + 1));
    CHECK_EQ(out[5][i], 0xffffffffu << i);
    CHECK_EQ(out[6][i], 0);
    CHECK_EQ(out[7][i], e->launch.number);
  }
}

static const struct {
  const char *name;
  uint32_t value;  // of the last thread of block (2, 1, 0)
} values[] = {
    {"%tid.x", 19},
    {"%tid.y", 1},
    {"%tid.z", 1},
    {"%ntid.x", 20},
    {"%ntid.y", 2},
    {"%ntid.z", 2},
    {"%ctaid.x", 2},
    {"%ctaid.y", 1},
    {"%ctaid.z", 0},
    {"%nctaid.x", 3},
    {"%nctaid.y", 2},
    {"%nctaid.z", 1},
    {"%warpid", 2},
    {"%nwarpid", 64},
    {"%laneid", 15},
    {"%nsmid", 132},
    {"%smid", 5},
    {"%clusterid.x", 2},
    {"%nclusterid.y", 2},
    {"%cluster_ctaid.x", 0},
    {"%cluster_nctaid.z", 1},
    {"%cluster_ctarank", 0},
    {"%cluster_nctarank", 1},
    {"%dynamic_smem_size", 1000},
    {"%total_smem_size", 1152},  // 100 + 12 for alignment + 1000, by 128
    {"%envreg3", 0},
    {"%reserved_smem_offset_begin", 0},
};
enum { COUNT = sizeof(values) / sizeof(values[0]) };

static void check_block(emu *e) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_buffer_append_string(
      &text,
      ".version 8.7\n.target sm_90a\n.address_size 64\n"
      ".shared .align 16 .b8 s[112];\n"
      ".visible .entry k(.param .u64 p) {\n"
      ".reg .b64 %d;\n.reg .b32 %r, %s;\n.reg .pred %p;\n"
      "ld.param.u64 %d, [p];\nmov.u32 %s, s;\n"
      // All but the last thread of the last block leave.
      "mov.u32 %r, %tid.x;\nmov.u32 %s, %tid.y;\nmad.lo.u32 %r, %s, 100, "
      "%r;\nmov.u32 %s, %tid.z;\nmad.lo.u32 %r, %s, 1000, %r;\n"
      "mov.u32 %s, %ctaid.x;\nmad.lo.u32 %r, %s, 10000, %r;\n"
      "mov.u32 %s, %ctaid.y;\nmad.lo.u32 %r, %s, 100000, %r;\n"
      "setp.ne.u32 %p, %r, 121119;\n@%p exit;\n");
  for (size_t i = 0; i < COUNT; ++i) {
    tsr_buffer_printf(&text,
                      "mov.u32 %%r, %s;\nst.global.u32 [%%d+%zu], %%r;\n",
                      values[i].name, i * 4);
  }
  tsr_buffer_append_string(&text, "ret;\n}\n");
  emu_must_load(e, tsr_buffer_text(&text));
  tsr_buffer_fini(&text);
  uint64_t args[1] = {emu_upload(e, NULL, COUNT * 4)};
  emu_dims dims = {.grid = {3, 2, 1}, .block = {20, 2, 2}, .shared = 1000};
  CHECK(emu_launch(e, "k", dims, args, 1));
  uint32_t out[COUNT];
  emu_download(e, out, args[0], sizeof(out));
  for (size_t i = 0; i < COUNT; ++i) {
    CHECK_EQ(out[i], values[i].value);
    if (out[i] != values[i].value) fprintf(stderr, "%s\n", values[i].name);
  }
}

// %clock64 grows, %globaltimer too, also from launch to launch.
static void check_clocks(emu *e) {
  uint64_t out[4][32];
  uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    CHECK(emu_lanes(e, NULL,
                    "mov.u64 %o0, %clock64;\nmov.u64 %o1, %globaltimer;\n"
                    "nanosleep.u32 10000;\nmov.u64 %o2, %clock64;\n"
                    "mov.u64 %o3, %globaltimer;\n",
                    "", NULL, "dddd", out));
    CHECK(out[2][0] > out[0][0]);
    CHECK(out[3][0] >= out[1][0]);
    CHECK(out[3][0] - out[1][0] <= 20100);
    CHECK(out[1][0] > last);
    last = out[3][0];
  }
}

static void check_refused(emu *e) {
  static const char *const bad[] = {"%tid.q", "%laneid.x", "%envreg32",
                                    "%cluster_ctaid", "%nothing"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    char text[512];
    (void)snprintf(text, sizeof(text),
                   ".version 8.7\n.target sm_90a\n.address_size 64\n"
                   ".visible .entry k() {\n.reg .b32 %%r;\n"
                   "mov.u32 %%r, %s;\nret;\n}\n",
                   bad[i]);
    CHECK(!emu_load(e, text));
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  check_lanes(&e);
  check_block(&e);
  check_clocks(&e);
  check_refused(&e);
  emu_fini(&e);
  return test_finish();
}
