// SPDX-License-Identifier: Apache-2.0
// Programmatic dependent launch: what a kernel reads before its
// griddepcontrol.wait is as it was before the kernel it depends on.
#include "harness.h"

static const char text[] =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".visible .entry first(.param .u64 p) {\n"
    ".reg .b64 %d<3>;\n.reg .b32 %r<4>;\n"
    "ld.param.u64 %d0, [p];\nmov.u32 %r0, %ctaid.x;\n"
    "mul.wide.u32 %d1, %r0, 4;\nadd.u64 %d0, %d0, %d1;\n"
    "add.u32 %r0, %r0, 100;\ngriddepcontrol.launch_dependents;\n"
    "st.global.u32 [%d0], %r0;\nret;\n}\n"
    // out[2b], out[2b+1]: the word of block b before and behind the wait.
    ".visible .entry second(.param .u64 p, .param .u64 q) {\n"
    ".reg .b64 %d<4>;\n.reg .b32 %r<4>;\n"
    "ld.param.u64 %d0, [p];\nld.param.u64 %d2, [q];\nmov.u32 %r0, %ctaid.x;\n"
    "mul.wide.u32 %d1, %r0, 4;\nadd.u64 %d0, %d0, %d1;\n"
    "mul.wide.u32 %d1, %r0, 8;\nadd.u64 %d2, %d2, %d1;\n"
    "ld.global.u32 %r1, [%d0];\nst.global.u32 [%d2], %r1;\n"
    "bar.sync 0;\ngriddepcontrol.wait;\n"
    "ld.global.u32 %r1, [%d0];\nst.global.u32 [%d2+4], %r1;\nret;\n}\n"
    // Polls for what the first kernel writes.
    ".visible .entry poll(.param .u64 p, .param .u64 q) {\n"
    ".reg .b64 %d<4>;\n.reg .b32 %r<4>;\n.reg .pred %p;\n"
    "ld.param.u64 %d0, [p];\nld.param.u64 %d2, [q];\n"
    "A: ld.volatile.global.u32 %r1, [%d0];\nsetp.ne.u32 %p, %r1, 100;\n"
    "@%p bra A;\nst.global.u32 [%d2], %r1;\nret;\n}\n"
    ".visible .entry bad(.param .u64 p) {\ntrap;\n}\n";

static void fill(emu *e, tsr_launch *launch, const char *kernel,
                 const uint64_t *params, uint32_t blocks) {
  memset(launch, 0, sizeof(*launch));
  launch->kernel = tsr_program_kernel(e->program, kernel);
  launch->device = e->device;
  launch->config = e->config;
  launch->number = ++e->launches;
  launch->grid[0] = blocks;
  launch->grid[1] = launch->grid[2] = 1;
  launch->block[0] = launch->threads = 64;
  launch->block[1] = launch->block[2] = 1;
  launch->warps = 2;
  launch->dynamic_shared = 100 * 1024;  // two to a multiprocessor
  launch->params = (const unsigned char *)params;
  launch->params_size = launch->kernel->params_size;
  launch->heap = e->heap;
  launch->report = e->report;
}

static bool run(emu *e, const char *one, const char *two,
                const uint64_t params[2], uint32_t blocks) {
  tsr_launch first;
  tsr_launch second;
  tsr_error error = {0};
  fill(e, &first, one, params, blocks);
  fill(e, &second, two, params, blocks);
  second.depends_on = &first;
  CHECK_EQ(tsr_engine_run_dependent(&first, &second, &error), TSR_OK);
  CHECK_EQ(first.profile.blocks, blocks);
  CHECK_STR(first.profile.kernel, one);
  return !tsr_launch_failed(&first) && !tsr_launch_failed(&second);
}

int main(void) {
  enum { BLOCKS = 400, RESIDENT = 2 * 132 };
  static uint32_t before[BLOCKS];
  static uint32_t out[2 * BLOCKS];
  emu e;
  emu_init(&e, "h100");
  emu_must_load(&e, text);
  uint64_t params[2] = {emu_upload(&e, before, sizeof(before)),
                        emu_upload(&e, NULL, sizeof(out))};
  CHECK(run(&e, "first", "second", params, BLOCKS));
  emu_download(&e, out, params[1], sizeof(out));
  uint32_t early = 0;
  for (uint32_t b = 0; b < BLOCKS; ++b) {
    // Blocks that find no room run behind the first kernel.
    CHECK(out[2 * b] == 0 || out[2 * b] == b + 100);
    early += out[2 * b] == 0;
    CHECK_EQ(out[2 * b + 1], b + 100);
  }
  CHECK_EQ(early, RESIDENT);
  memset((void *)(uintptr_t)params[0], 0, sizeof(before));
  CHECK(run(&e, "first", "poll", params, 3));
  CHECK_EQ(tsr_report_count(e.report), 0);
  CHECK(!run(&e, "bad", "second", params, 1));
  emu_fini(&e);
  return test_finish();
}
