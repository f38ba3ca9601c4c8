// SPDX-License-Identifier: Apache-2.0
// The engine: blocks and their places, calls, communication between blocks,
// the same results however blocks are spread, the watchdog, virtual time.
#include "base/memory.h"
#include "exec/devices.h"
#include "harness.h"

#define IN (const uint64_t(*)[32]) in

#define HEAD ".version 8.7\n.target sm_90a\n.address_size 64\n"

// out[linear thread] = a number made of every coordinate.
static const char places[] = HEAD
    ".visible .entry places(.param .u64 pout) {\n"
    ".reg .b32 %t<9>, %c<9>, %n<4>, %m<4>, %r<9>;\n.reg .b64 %o, %a;\n"
    "ld.param.u64 %o, [pout];\n"
    "mov.u32 %t0, %tid.x;\nmov.u32 %t1, %tid.y;\nmov.u32 %t2, %tid.z;\n"
    "mov.u32 %c0, %ctaid.x;\nmov.u32 %c1, %ctaid.y;\nmov.u32 %c2, %ctaid.z;\n"
    "mov.u32 %n0, %ntid.x;\nmov.u32 %n1, %ntid.y;\nmov.u32 %n2, %ntid.z;\n"
    "mov.u32 %m0, %nctaid.x;\nmov.u32 %m1, %nctaid.y;\n"
    "mad.lo.u32 %r0, %t2, %n1, %t1;\nmad.lo.u32 %r0, %r0, %n0, %t0;\n"
    "mad.lo.u32 %r1, %c2, %m1, %c1;\nmad.lo.u32 %r1, %r1, %m0, %c0;\n"
    "mul.lo.u32 %r2, %n0, %n1;\nmul.lo.u32 %r2, %r2, %n2;\n"
    "mad.lo.u32 %r3, %r1, %r2, %r0;\n"
    "mul.wide.u32 %a, %r3, 4;\nadd.u64 %o, %o, %a;\n"
    "mad.lo.u32 %r4, %r1, 1000, %r0;\n"
    "st.global.u32 [%o], %r4;\nret;\n}\n";

static void check_places(tessera_emu_parallel parallel, uint32_t threads) {
  enum { BLOCKS = 5 * 3 * 2, THREADS = 7 * 5 * 2 };
  static uint32_t out[BLOCKS * THREADS];
  emu e;
  emu_init(&e, "h100");
  e.config.parallel = parallel;
  e.config.threads = threads;
  emu_must_load(&e, places);
  uint64_t args[1] = {emu_upload(&e, NULL, sizeof(out))};
  emu_dims dims = {.grid = {5, 3, 2}, .block = {7, 5, 2}};
  CHECK(emu_launch(&e, "places", dims, args, 1));
  emu_download(&e, out, args[0], sizeof(out));
  for (uint32_t i = 0; i < BLOCKS * THREADS; ++i) {
    CHECK_EQ(out[i], i / THREADS * 1000 + i % THREADS);
  }
  const tessera_emu_profile *p = &e.launch.profile;
  CHECK_EQ(p->blocks, BLOCKS);
  CHECK_EQ(p->grid[1], 3);
  CHECK_EQ(p->block[2], 2);
  CHECK_STR(p->kernel, "places");
  CHECK_EQ(p->thread_instructions % (BLOCKS * THREADS), 0);
  CHECK_EQ(p->warp_instructions % (BLOCKS * 3), 0);
  CHECK_EQ(p->warp_instructions / (BLOCKS * 3),
           p->thread_instructions / (BLOCKS * THREADS));
  uint64_t sum = 0;
  for (int i = 0; i < TESSERA_EMU_CLASS_COUNT; ++i) sum += p->by_class[i];
  CHECK_EQ(sum, p->warp_instructions);
  CHECK_EQ(p->by_class[TESSERA_EMU_CLASS_STORE], BLOCKS * 3);
  CHECK(p->host_seconds > 0);
  CHECK(p->modelled_seconds >= 2e-6 && p->modelled_seconds < 1e-4);
  emu_fini(&e);
}

// Every thread counts the arrivals of its block in shared memory, then the
// last block to finish (by a global counter) adds up all results.
static const char last_block[] = HEAD
    ".global .u32 done;\n.shared .u32 count;\n"
    ".visible .entry last(.param .u64 pin, .param .u64 pout) {\n"
    ".reg .b32 %r<12>;\n.reg .b64 %d<8>;\n.reg .pred %p<4>;\n"
    "ld.param.u64 %d0, [pin];\nld.param.u64 %d1, [pout];\n"
    "mov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %nctaid.x;\n"
    "setp.ne.u32 %p0, %r0, 0;\n"
    "@!%p0 st.shared.u32 [count], 0;\nbar.sync 0;\n"
    "atom.shared.add.u32 %r3, [count], 1;\nbar.sync 0;\n"
    "@%p0 bra END;\n"
    "ld.shared.u32 %r4, [count];\n"
    "mul.wide.u32 %d2, %r1, 4;\nadd.u64 %d2, %d0, %d2;\n"
    "mad.lo.u32 %r4, %r1, 1000, %r4;\n"
    "st.global.u32 [%d2], %r4;\n"
    "membar.gl;\n"
    "atom.global.add.u32 %r5, [done], 1;\n"
    "sub.u32 %r6, %r2, 1;\nsetp.ne.u32 %p1, %r5, %r6;\n"
    "@%p1 bra END;\n"
    "membar.gl;\n"
    "mov.u32 %r7, 0;\nmov.u32 %r8, 0;\n"
    "SUM:\n"
    "ld.global.u32 %r9, [%d0];\nadd.u32 %r8, %r8, %r9;\n"
    "add.u64 %d0, %d0, 4;\nadd.u32 %r7, %r7, 1;\n"
    "setp.lt.u32 %p2, %r7, %r2;\n@%p2 bra SUM;\n"
    "st.global.u32 [%d1], %r8;\n"
    "st.global.u32 [%d1+4], %r1;\n"
    "END:\nret;\n}\n";

// Returns which block was the last.
static uint32_t run_last_block(uint64_t seed, uint64_t *instructions) {
  enum { BLOCKS = 40, THREADS = 96 };
  emu e;
  emu_init(&e, "a100");
  e.config.seed = seed;
  const char *at = strstr(last_block, "sm_90a");
  CHECK(at != NULL);
  char text[sizeof(last_block)];
  memcpy(text, last_block, sizeof(text));
  memcpy(text + (at - last_block), "sm_80 ", 6);
  emu_must_load(&e, text);
  uint64_t args[2] = {emu_upload(&e, NULL, BLOCKS * 4),
                      emu_upload(&e, NULL, 8)};
  emu_dims dims = {.grid = {BLOCKS, 1, 1}, .block = {THREADS, 1, 1}};
  bool clean = emu_launch(&e, "last", dims, args, 2);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(&e));
  uint32_t out[2];
  emu_download(&e, out, args[1], 8);
  CHECK_EQ(out[0], BLOCKS * (BLOCKS - 1) / 2 * 1000 + BLOCKS * THREADS);
  *instructions = e.launch.profile.warp_instructions;
  emu_fini(&e);
  return out[1];
}

static void check_seeds(void) {
  uint32_t first = 0;
  uint32_t different = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    uint64_t a = 0;
    uint64_t b = 0;
    uint32_t last = run_last_block(seed, &a);
    CHECK_EQ(run_last_block(seed, &b), last);
    CHECK_EQ(a, b);
    if (seed == 0) first = last;
    different += last != first;
  }
  CHECK(different > 0);  // seeds are different interleavings
}

// Block 0 waits for a flag that the last block sets.
static void check_spin_across_blocks(void) {
  emu e;
  emu_init(&e, "h100");
  emu_must_load(&e, HEAD
                ".global .u32 flag;\n"
                ".visible .entry spin(.param .u64 pout) {\n"
                ".reg .b32 %r<4>;\n.reg .b64 %d;\n.reg .pred %p;\n"
                "ld.param.u64 %d, [pout];\nmov.u32 %r0, %ctaid.x;\n"
                "mov.u32 %r3, %nctaid.x;\nsub.u32 %r3, %r3, 1;\n"
                "setp.eq.u32 %p, %r0, %r3;\n@%p bra SET;\n"
                "AGAIN: ld.acquire.gpu.global.u32 %r1, [flag];\n"
                "setp.eq.u32 %p, %r1, 0;\n@%p bra AGAIN;\n"
                "st.global.u32 [%d], %r1;\nret;\n"
                "SET: st.release.gpu.global.u32 [flag], 7;\nret;\n}\n");
  uint64_t args[1] = {emu_upload(&e, NULL, 4)};
  emu_dims dims = {.grid = {20, 1, 1}, .block = {32, 1, 1}};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    e.config.seed = seed;
    CHECK(emu_launch(&e, "spin", dims, args, 1));
    uint32_t out = 0;
    emu_download(&e, &out, args[0], 4);
    CHECK_EQ(out, 7);
  }
  emu_fini(&e);
}

static void check_watchdog(void) {
  emu e;
  emu_init(&e, "h100");
  e.config.watchdog = 100000;
  emu_must_load(&e, HEAD
                ".visible .entry loop() {\n.reg .b64 %d;\n"
                "AGAIN: add.u64 %d, %d, 1;\nbra AGAIN;\n}\n");
  emu_dims dims = {.grid = {2, 1, 1}, .block = {32, 1, 1}};
  CHECK(!emu_launch(&e, "loop", dims, NULL, 0));
  CHECK(emu_found(&e, TESSERA_EMU_TIMEOUT));
  CHECK_EQ(e.launch.fault, TESSERA_EMU_TIMEOUT);
  CHECK(e.launch.profile.warp_instructions < 400000);
  // Many small blocks count together.
  emu_must_load(&e, HEAD
                ".visible .entry small() {\n.reg .b64 %d;\n"
                "add.u64 %d, %d, 1;\nret;\n}\n");
  dims.grid[0] = 100000;
  CHECK(!emu_launch(&e, "small", dims, NULL, 0));
  CHECK_EQ(e.launch.fault, TESSERA_EMU_TIMEOUT);
  CHECK(e.launch.profile.blocks < 60000);
  dims.grid[0] = 40000;
  CHECK(emu_launch(&e, "small", dims, NULL, 0));
  CHECK_EQ(e.launch.profile.blocks, 40000);
  emu_fini(&e);
}

// A long computation without stores is no deadlock; nor is waiting for time.
static void check_patience(void) {
  emu e;
  emu_init(&e, "h100");
  emu_must_load(&e, HEAD
                ".visible .entry long(.param .u64 pout) {\n"
                ".reg .b32 %r<4>;\n.reg .b64 %d<6>;\n.reg .pred %p;\n"
                "ld.param.u64 %d0, [pout];\nmov.u32 %r0, 0;\n"
                "AGAIN: add.u32 %r0, %r0, 1;\n"
                "setp.lt.u32 %p, %r0, 300000;\n@%p bra AGAIN;\n"
                "mov.u64 %d1, %globaltimer;\n"
                "WAIT: nanosleep.u32 100;\nmov.u64 %d2, %globaltimer;\n"
                "sub.u64 %d3, %d2, %d1;\nsetp.lt.u64 %p, %d3, 5000000;\n"
                "@%p bra WAIT;\n"
                "mov.u64 %d4, %clock64;\nmov.u32 %r1, %tid.x;\n"
                "setp.ne.u32 %p, %r1, 0;\n@%p exit;\n"
                "st.global.u64 [%d0], %d3;\nst.global.u64 [%d0+8], %d4;\n"
                "ret;\n}\n");
  uint64_t args[1] = {emu_upload(&e, NULL, 16)};
  emu_dims dims = {.block = {64, 1, 1}};
  CHECK(emu_launch(&e, "long", dims, args, 1));
  uint64_t out[2];
  emu_download(&e, out, args[0], 16);
  CHECK(out[0] >= 5000000 && out[0] < 5100000);
  // At h100's clock, 5 ms are some 10^7 cycles, most of them slept.
  CHECK(out[1] > 5000000 && out[1] > e.launch.profile.warp_instructions);
  emu_fini(&e);
}

// Findings, their messages, counts and order are the seed's alone.
static void check_same_findings(void) {
  char first[4096] = "";
  uint64_t counts[4] = {0};
  for (int round = 0; round < 6; ++round) {
    emu e;
    emu_init(&e, "h100");
    e.config.threads = round == 0 ? 1 : 4;
    e.config.seed = 5;
    emu_must_load(
        &e, HEAD
        ".shared .align 4 .b32 s[32];\n"
        ".visible .entry racy(.param .u64 p) {\n"
        ".reg .b32 %r<6>;\n.reg .b64 %d<3>;\n"
        "ld.param.u64 %d0, [p];\nmov.u32 %r0, %tid.x;\n"
        "and.b32 %r1, %r0, 31;\nshl.b32 %r1, %r1, 2;\nmov.u32 %r2, s;\n"
        "add.u32 %r1, %r1, %r2;\n"
        "ld.shared.u32 %r3, [%r1];\n"  // of nobody, or of the other warp
        "st.shared.u32 [%r1], %r0;\n"
        "ld.global.u32 %r4, [%d0];\n"  // never written
        "ret;\n}\n");
    uint64_t args[1] = {emu_upload(&e, NULL, 4)};
    emu_dims dims = {.grid = {50, 1, 1}, .block = {96, 1, 1}};
    CHECK(!emu_launch(&e, "racy", dims, args, 1));
    tessera_emu_finding finding = {.struct_size = sizeof(finding)};
    for (size_t i = 0; i < 4 && tsr_report_get(e.report, i, &finding); ++i) {
      if (round == 0) counts[i] = finding.count;
      CHECK_EQ(finding.count, counts[i]);
    }
    if (round == 0)
      (void)snprintf(first, sizeof(first), "%s", emu_findings(&e));
    CHECK_STR(emu_findings(&e), first);
    emu_fini(&e);
  }
  CHECK(strstr(first, "race") != NULL);
}

// Of a launch that faults, findings, their counts and the fault are those of
// the blocks up to the first that faults, whatever the threads did.
static void check_faults_are_stable(void) {
  char first[4096] = "";
  emu e;
  emu_init(&e, "h100");
  emu_must_load(&e,
                HEAD
                ".visible .entry faulty(.param .u64 p) {\n"
                ".reg .b32 %r<6>;\n.reg .b64 %d<3>;\n.reg .pred %p<4>;\n"
                "ld.param.u64 %d0, [p];\nmov.u32 %r0, %ctaid.x;\n"
                "mov.u32 %r2, 0;\nsetp.eq.u32 %p0, %r0, 5;\n"
                "setp.ge.u32 %p1, %r0, 5;\nsetp.eq.u32 %p2, %r0, 6;\n"
                "ld.global.u32 %r1, [%d0];\n"         // never written
                "@%p2 ld.global.u32 %r1, [%d0+4];\n"  // behind the fault
                "NEXT:\n"                             // the fault comes late
                "add.u32 %r2, %r2, 1;\n"
                "setp.lt.and.u32 %p3, %r2, 3000, %p0;\n@%p3 bra NEXT;\n"
                "@%p0 trap;\n@%p1 st.global.u32 [%d0+1], %r1;\nret;\n}\n");
  uint64_t args[1] = {emu_upload(&e, NULL, 8)};
  for (int round = 0; round < 60; ++round) {
    e.config.threads = round % 3 == 0 ? 1 : round % 3 == 1 ? 2 : 8;
    tsr_report_clear(e.report);
    emu_dims dims = {.grid = {40, 1, 1}, .block = {64, 1, 1}};
    CHECK(!emu_launch(&e, "faulty", dims, args, 1));
    CHECK_EQ(e.launch.fault, TESSERA_EMU_TRAP);
    CHECK_EQ(tsr_report_count(e.report), 2);
    tessera_emu_finding finding = {.struct_size = sizeof(finding)};
    CHECK(tsr_report_get(e.report, 0, &finding));
    CHECK_EQ(finding.block[0], 0);
    CHECK_EQ(finding.count, 2);  // of block 0: two warps
    if (round == 0)
      (void)snprintf(first, sizeof(first), "%s", emu_findings(&e));
    CHECK_STR(emu_findings(&e), first);
  }
  emu_fini(&e);
}

static void check_calls(void) {
  emu e;
  emu_init(&e, "h100");
  uint64_t in[1][32];
  uint64_t out[1][32];
  for (uint32_t i = 0; i < 32; ++i) in[0][i] = i % 9;
  // fib by recursion: lanes diverge within calls.
  CHECK(emu_lanes(
      &e,
      ".func (.param .u32 res) fib(.param .u32 n) {\n"
      ".reg .b32 %r<6>;\n.reg .pred %p;\n"
      "ld.param.u32 %r0, [n];\nsetp.lt.u32 %p, %r0, 2;\n@%p bra BASE;\n"
      "sub.u32 %r1, %r0, 1;\nsub.u32 %r2, %r0, 2;\n"
      "{ .param .u32 a0; .param .u32 v0; st.param.u32 [a0], %r1;\n"
      "call (v0), fib, (a0);\nld.param.u32 %r3, [v0]; }\n"
      "{ .param .u32 a1; .param .u32 v1; st.param.u32 [a1], %r2;\n"
      "call (v1), fib, (a1);\nld.param.u32 %r4, [v1]; }\n"
      "add.u32 %r5, %r3, %r4;\nst.param.u32 [res], %r5;\nret;\n"
      "BASE: st.param.u32 [res], %r0;\nret;\n}\n",
      "{ .param .u32 a; .param .u32 v; st.param.u32 [a], %i0;\n"
      "call (v), fib, (a);\nld.param.u32 %o0, [v]; }\n",
      "r", IN, "r", out));
  static const uint32_t fib[] = {0, 1, 1, 2, 3, 5, 8, 13, 21};
  for (uint32_t i = 0; i < 32; ++i) CHECK_EQ(out[0][i], fib[i % 9]);
  // Calls without an end are a fault, not a crash.
  CHECK(!emu_lanes(&e,
                   ".func down(.param .u32 n) {\n.reg .b32 %r;\n"
                   "ld.param.u32 %r, [n];\nadd.u32 %r, %r, 1;\n"
                   "{ .param .u32 a; st.param.u32 [a], %r;\n"
                   "call down, (a); }\nret;\n}\n",
                   "{ .param .u32 a; st.param.u32 [a], %i0;\n"
                   "call down, (a); }\nmov.u32 %o0, %i0;\n",
                   "r", IN, "r", out));
  CHECK(e.launch.fault == TESSERA_EMU_ILLEGAL ||
        e.launch.fault == TESSERA_EMU_OUT_OF_BOUNDS);
  emu_fini(&e);
}

static void check_residency(void) {
  const emu e = {.device = tsr_device_find("h100")};
  CHECK_EQ(tsr_engine_residency(e.device, 1024, 0, 0), 2);
  CHECK_EQ(tsr_engine_residency(e.device, 32, 0, 0), 32);
  CHECK_EQ(tsr_engine_residency(e.device, 256, 100 * 1024, 0), 2);
  CHECK_EQ(tsr_engine_residency(e.device, 256, 227 * 1024, 0), 1);
  CHECK_EQ(tsr_engine_residency(e.device, 256, 0, 128), 2);
  CHECK_EQ(tsr_engine_residency(e.device, 1024, 0, 65), 0);
  CHECK_EQ(tsr_engine_residency(e.device, 0, 0, 0), 0);
}

static void check_refusals(void) {
  emu e;
  emu_init(&e, "h100");
  emu_must_load(&e, places);
  tsr_launch launch = {.kernel = tsr_program_kernel(e.program, "places"),
                       .device = e.device,
                       .config = e.config,
                       .grid = {1, 1, 1},
                       .block = {1024, 2, 1},
                       .threads = 2048,
                       .warps = 64};
  tsr_error error = {0};
  CHECK_EQ(tsr_engine_run(&launch, &error), TSR_INVALID_ARGUMENT);
  emu_fini(&e);
}

// Every allocation of a launch fails once: an error, and all is given back.
static void check_memory(tessera_emu_parallel parallel) {
  emu e;
  emu_init(&e, "h100");
  emu_must_load(&e, places);
  uint64_t args[1] = {emu_upload(&e, NULL, 4 * 64)};
  uint32_t refused = 0;
  tsr_status status = TSR_OUT_OF_MEMORY;
  for (uint64_t nth = 1; nth < 200 && status != TSR_OK; ++nth) {
    tsr_launch launch = {.kernel = tsr_program_kernel(e.program, "places"),
                         .device = e.device,
                         .config = e.config,
                         .number = nth,
                         .grid = {1, 1, 1},
                         .block = {64, 1, 1},
                         .threads = 64,
                         .warps = 2,
                         .params = (const unsigned char *)args,
                         .params_size = 8,
                         .heap = e.heap,
                         .report = e.report};
    launch.config.parallel = parallel;
    launch.config.threads = 1;
    tsr_error error = {0};
    (void)tsr_memory_fail_at(nth);
    status = tsr_engine_run(&launch, &error);
    (void)tsr_memory_fail_at(0);
    CHECK(status == TSR_OK || status == TSR_OUT_OF_MEMORY);
    refused += status != TSR_OK;
  }
  CHECK_EQ(status, TSR_OK);
  CHECK(refused > 10);
  emu_fini(&e);
}

int main(void) {
  check_memory(TESSERA_EMU_PARALLEL_AUTO);
  check_memory(TESSERA_EMU_PARALLEL_NEVER);
  check_places(TESSERA_EMU_PARALLEL_AUTO, 1);
  check_places(TESSERA_EMU_PARALLEL_AUTO, 4);
  check_places(TESSERA_EMU_PARALLEL_NEVER, 1);
  check_seeds();
  check_spin_across_blocks();
  check_watchdog();
  check_patience();
  check_same_findings();
  check_faults_are_stable();
  check_calls();
  check_residency();
  check_refusals();
  return test_finish();
}
