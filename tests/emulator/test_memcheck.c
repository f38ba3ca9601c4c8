// SPDX-License-Identifier: Apache-2.0
// The memory checker: each kind of bad access is found once, with its line, its
// thread and its address, and says what is wrong; good programs are left alone.
// The line of the defect is the one that ends in "// HERE".
#include "harness.h"

typedef struct bad {
  const char *body;
  tessera_emu_finding_kind kind;
  uint32_t thread;       // the one to be named
  const char *relative;  // to what |offset| counts: "a", "b": buffers; "0"
  int64_t offset;
  bool fatal;
  const char *says;  // a part of the message
} bad;

// %rd1: 4096 bytes, written; %rd2: 1024 bytes, never written; %rd3: freed
// (2048 bytes). %r1: thread; %rd10: 4 * thread.
static const bad bads[] = {
    {"add.u64 %rd4, %rd1, %rd10; ld.global.u32 %r2, [%rd4+4000];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 24, "a", 4096, true,
     "load of 4 bytes in global memory: 0 bytes behind the end of the "
     "allocation of 4096 bytes"},
    {"add.u64 %rd4, %rd1, %rd10;\nst.global.u32 [%rd4+-40], %r1;  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "a", -40, true, "store of 4 bytes"},
    {"ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1+4096];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "a", 4096, true, "load of 16 bytes"},
    {"ld.global.v2.u32 {%r2, %r3}, [%rd2+1016];\n"
     "setp.eq.u32 %p1, %r1, 7;\n"
     "@%p1 ld.global.v2.u32 {%r2, %r3}, [%rd5+96];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 7, "c", 96, true,
     "4 bytes beyond the end of the allocation of 100 bytes"},
    {"ld.global.u32 %r2, [%rd3+8];  // HERE\n", TESSERA_EMU_OUT_OF_BOUNDS, 0,
     "f", 8, true, "2048 bytes at"},
    {"ld.global.u32 %r2, [%rd3+8];  // HERE\n", TESSERA_EMU_OUT_OF_BOUNDS, 0,
     "f", 8, true, "which was freed"},
    {"mov.u64 %rd4, 0; ld.u32 %r2, [%rd4];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "0", 0, true, "load of 4 bytes"},
    {"mov.u64 %rd4, 16; st.global.u32 [%rd4], %r1;  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "0", 16, true, "store of 4 bytes"},
    {"add.u64 %rd4, %rd1, %rd10;\n"
     "atom.global.add.u32 %r2, [%rd4+4092], 1;  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 1, "a", 4096, true, "atomic operation of 4"},
    {"add.u64 %rd4, %rd1, %rd10; ld.global.u32 %r2, [%rd4+2];  // HERE\n",
     TESSERA_EMU_MISALIGNED, 0, "a", 2, true, "multiple of 4"},
    {"add.u64 %rd4, %rd1, %rd10; setp.lt.u32 %p1, %r1, 1;\n"
     "@!%p1 ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd4];  // HERE\n",
     TESSERA_EMU_MISALIGNED, 1, "a", 4, true, "multiple of 16"},
    {"mov.u32 %r2, sh; st.shared.u64 [%r2+4], %rd1;  // HERE\n",
     TESSERA_EMU_MISALIGNED, 0, "0", 1028, true, "shared memory"},
    {"mov.u32 %r2, sh; shl.b32 %r3, %r1, 3; add.u32 %r2, %r2, %r3;\n"
     "st.shared.u32 [%r2], %r1;  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 16, "0", 1024 + 128, true,
     "which has 128 bytes from 1024 on"},
    {"mov.u32 %r2, 0; ld.shared.u32 %r3, [%r2];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "0", 0, true, "shared memory"},
    {"mov.u64 %rd4, sh; cvta.shared.u64 %rd4, %rd4;\n"
     "ld.u32 %r3, [%rd4+128];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "0", 1024 + 128, true, "shared memory"},
    {"mov.u32 %r2, sh; ld.shared.u8 %r3, [%r2+129];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "0", 1024 + 129, true, "shared memory"},
    {"mov.u32 %r2, sh; ld.shared.u32 %r3, [%r2+8];  // HERE\n",
     TESSERA_EMU_UNINITIALISED, 0, "0", 1032, false, "never written"},
    {"mov.u32 %r2, sh; st.shared.u8 [%r2+8], %r1; bar.warp.sync -1;\n"
     "ld.shared.u32 %r3, [%r2+8];  // HERE\n",
     TESSERA_EMU_UNINITIALISED, 0, "0", 1032, false, "byte 1 was never"},
    {"add.u64 %rd4, %rd2, %rd10; ld.global.u32 %r2, [%rd4+100];  // HERE\n",
     TESSERA_EMU_UNINITIALISED, 0, "b", 100, false, "never written"},
    {"add.u64 %rd4, %rd2, %rd10; setp.ne.u32 %p1, %r1, 9;\n"
     "@%p1 st.global.u32 [%rd4], %r1;\n"
     "ld.global.u32 %r2, [%rd4];  // HERE\n",
     TESSERA_EMU_UNINITIALISED, 9, "b", 36, false, "never written"},
    {"atom.global.add.u32 %r2, [%rd2], 1;  // HERE\n",
     TESSERA_EMU_UNINITIALISED, 0, "b", 0, false, "never written"},
    {"mov.u64 %rd4, table; st.global.u32 [%rd4], %r1;  // HERE\n",
     TESSERA_EMU_READ_ONLY, 0, "t", 0, true, "constant"},
    {"mov.u64 %rd4, table; atom.global.add.u32 %r2, [%rd4], 1;  // HERE\n",
     TESSERA_EMU_READ_ONLY, 0, "t", 0, true, "constant"},
    {"mov.b64 %rd4, a; cvta.param.u64 %rd4, %rd4;\n"
     "st.u32 [%rd4], %r1;  // HERE\n",
     TESSERA_EMU_READ_ONLY, 0, "0", 0, true, "parameter"},
    {"mov.b64 %rd4, a; cvta.param.u64 %rd4, %rd4;\n"
     "ld.u32 %r2, [%rd4+64];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "0", 64, true, "parameter"},
    {"mov.u64 %rd4, lo; add.u64 %rd4, %rd4, 1048576;\n"
     "ld.local.u32 %r2, [%rd4];  // HERE\n",
     TESSERA_EMU_OUT_OF_BOUNDS, 0, "0", -1, true, "local memory"},
    {"ld.const.u32 %r2, [%rd1];  // HERE\n", TESSERA_EMU_OUT_OF_BOUNDS, 0, "a",
     0, true, "outside of constant memory"},
    {"and.b64 %rd4, %rd2, -128;\ndiscard.global.L2 [%rd4+128], 128;\n"
     "ld.global.u32 %r2, [%rd4+132];  // HERE\n",
     TESSERA_EMU_UNINITIALISED, 0, "b", 132, false, "never written"},
    {"discard.global.L2 [%rd1+64], 128;  // HERE\n", TESSERA_EMU_MISALIGNED, 0,
     "a", 64, true, "multiple of 128"},
};

static void write_text(char *out, size_t size, const char *body) {
  (void)snprintf(
      out, size,
      ".version 8.7\n.target sm_90a\n.address_size 64\n"
      ".const .align 4 .b32 table[4] = {1, 2, 3, 4};\n"
      ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 f, "
      ".param .u64 c) {\n"
      ".reg .b64 %%rd<12>; .reg .b32 %%r<12>; .reg .f32 %%f<6>;\n"
      ".reg .pred %%p<3>;\n"
      ".shared .align 16 .b8 sh[128];\n.local .align 16 .b8 lo[64];\n"
      "ld.param.u64 %%rd1, [a]; ld.param.u64 %%rd2, [b];\n"
      "ld.param.u64 %%rd3, [f]; ld.param.u64 %%rd5, [c];\n"
      "mov.u32 %%r1, %%tid.x; mul.wide.u32 %%rd10, %%r1, 4;\n%s\nret;\n}\n",
      body);
}

static uint32_t line_of(const char *text) {
  uint32_t line = 1;
  const char *end = strstr(text, "// HERE");
  for (; text < end; ++text) line += *text == '\n';
  return line;
}

typedef struct buffers {
  uint64_t a, b, f, c;
} buffers;

static buffers make_buffers(emu *e) {
  static unsigned char bytes[4096];
  buffers at;
  at.a = emu_upload(e, bytes, 4096);
  at.b = emu_upload(e, NULL, 1024);
  at.f = emu_upload(e, bytes, 2048);
  at.c = emu_upload(e, bytes, 100);
  (void)tsr_heap_free(e->heap, at.f);
  return at;
}

static uint64_t expected_address(emu *e, const bad *b, const buffers *at) {
  uint64_t base = 0;
  if (b->relative[0] == 'a') base = at->a;
  if (b->relative[0] == 'b') base = at->b;
  if (b->relative[0] == 'f') base = at->f;
  if (b->relative[0] == 'c') base = at->c;
  if (b->relative[0] == 't') {
    const tsr_global *table = tsr_program_global(e->program, "table");
    CHECK(table != NULL);
    if (table != NULL) base = table->address;
  }
  return base + (uint64_t)b->offset;
}

static void test_bad(emu *e, const bad *b) {
  char text[2000];
  write_text(text, sizeof(text), b->body);
  emu_must_load(e, text);
  tsr_report_clear(e->report);
  buffers at = make_buffers(e);
  uint64_t args[] = {at.a, at.b, at.f, at.c};
  emu_dims dims = {.block = {32, 1, 1}};
  CHECK(!emu_launch(e, "k", dims, args, 4));
  CHECK_EQ(e->launch.fault, b->fatal ? (int)b->kind : 0);
  tessera_emu_finding found = {.struct_size = sizeof(found)};
  bool seen = false;
  for (size_t i = 0; tsr_report_get(e->report, i, &found); ++i) {
    if (found.line != line_of(text)) continue;
    seen = true;
    CHECK_EQ(found.kind, b->kind);
    CHECK_EQ(found.thread[0], b->thread);
    if (b->offset != -1) CHECK_EQ(found.address, expected_address(e, b, &at));
    CHECK(strstr(found.message, b->says) != NULL);
    break;
  }
  CHECK(seen);
  if (!seen || strstr(found.message, b->says) == NULL) {
    fprintf(stderr, "%sfound:\n%s", b->body, emu_findings(e));
  }
  (void)tsr_heap_free(e->heap, at.a);
  (void)tsr_heap_free(e->heap, at.b);
  (void)tsr_heap_free(e->heap, at.c);
}

// Up to the last byte and no further; masked lanes may hold bad addresses;
// partly written words in parts; memory that another launch wrote.
static const char *const good[] = {
    "add.u64 %rd4, %rd1, %rd10; ld.global.u32 %r2, [%rd4+3968];\n"
    "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1+4080];\n"
    "ld.global.u8 %r2, [%rd1+4095];\n",
    "ld.global.u32 %r2, [%rd5+96];\n",
    "setp.eq.u32 %p1, %r1, 3; mul.wide.u32 %rd4, %r1, 1000000;\n"
    "add.u64 %rd4, %rd4, %rd1; sub.u64 %rd4, %rd4, 3000000;\n"
    "@%p1 ld.global.u32 %r2, [%rd4]; @%p1 st.global.u32 [%rd4], %r2;\n",
    "setp.eq.u32 %p1, %r1, 3; @!%p1 ret; mov.u64 %rd4, 0;\n"
    "@!%p1 ld.u32 %r2, [%rd4];\n",
    "add.u64 %rd4, %rd2, %rd10; st.global.u16 [%rd4], %r1;\n"
    "ld.global.u16 %r2, [%rd4]; st.global.u16 [%rd4+2], %r1;\n"
    "ld.global.u32 %r2, [%rd4];\n",
    "shl.b64 %rd4, %rd10, 3; add.u64 %rd4, %rd4, %rd2;\n"
    "st.global.u32 [%rd4], %r1; ld.global.u32 %r2, [%rd4];\n",
    "shl.b32 %r2, %r1, 2; mov.u32 %r3, sh; add.u32 %r3, %r3, %r2;\n"
    "st.shared.u32 [%r3], %r1; bar.sync 0; ld.shared.u32 %r4, [%r3];\n"
    "ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [sh+112];\n",
    "st.local.u32 [lo+60], %r1; ld.local.u32 %r2, [lo+60];\n"
    "mov.u64 %rd4, table; ld.const.u32 %r2, [%rd4+12];\n"
    "ld.global.u32 %r2, [%rd4+12]; ld.u32 %r2, [%rd4+12];\n",
};

static void test_good(emu *e) {
  for (size_t k = 0; k < sizeof(good) / sizeof(good[0]); ++k) {
    char text[2000];
    write_text(text, sizeof(text), good[k]);
    emu_must_load(e, text);
    buffers at = make_buffers(e);
    uint64_t args[] = {at.a, at.b, at.f, at.c};
    emu_dims dims = {.block = {32, 1, 1}};
    bool clean = emu_launch(e, "k", dims, args, 4);
    CHECK(clean);
    if (!clean) fprintf(stderr, "%s%s", good[k], emu_findings(e));
  }
}

// Bytes written by one launch, or by one with the check off, are known to the
// next; a new allocation in the same place is not.
static void test_across_launches(emu *e) {
  char text[2000];
  write_text(text, sizeof(text),
             "add.u64 %rd4, %rd2, %rd10; st.global.u32 [%rd4], %r1;\n");
  emu_must_load(e, text);
  buffers at = make_buffers(e);
  uint64_t args[] = {at.a, at.b, at.f, at.c};
  emu_dims dims = {.block = {32, 1, 1}};
  e->config.checks = 0;
  CHECK(emu_launch(e, "k", dims, args, 4));
  e->config.checks = TESSERA_EMU_CHECK_ALL;
  write_text(text, sizeof(text),
             "add.u64 %rd4, %rd2, %rd10; ld.global.u32 %r1, [%rd4];\n");
  emu_must_load(e, text);
  CHECK(emu_launch(e, "k", dims, args, 4));
  CHECK(tsr_heap_free(e->heap, at.b));
  args[1] = emu_upload(e, NULL, 1024);
  CHECK_EQ(args[1], at.b);
  CHECK(!emu_launch(e, "k", dims, args, 4));
  CHECK(emu_found(e, TESSERA_EMU_UNINITIALISED));
  CHECK_EQ(e->launch.fault, 0);
  // Reading did not count as writing.
  CHECK(!emu_launch(e, "k", dims, args, 4));
  CHECK(emu_found(e, TESSERA_EMU_UNINITIALISED));
  e->config.checks = 0;
  CHECK(emu_launch(e, "k", dims, args, 4));
  // Bounds are checked always.
  args[1] = at.a + (1 << 20);
  CHECK(!emu_launch(e, "k", dims, args, 4));
  CHECK_EQ(e->launch.fault, TESSERA_EMU_OUT_OF_BOUNDS);
  e->config.checks = TESSERA_EMU_CHECK_ALL;
}

// Blocks on two threads mark neighbouring bytes of the same words.
static void test_parallel(emu *e) {
  char text[2000];
  write_text(text, sizeof(text),
             "mov.u32 %r2, %ctaid.x; cvt.u64.u32 %rd4, %r2;\n"
             "add.u64 %rd4, %rd4, %rd2; shl.b64 %rd6, %rd10, 3;\n"
             "add.u64 %rd4, %rd4, %rd6; st.global.u8 [%rd4], %r1;\n"
             "ld.global.u8 %r3, [%rd4];\n");
  emu_must_load(e, text);
  e->config.threads = 2;
  for (int round = 0; round < 20; ++round) {
    buffers at = make_buffers(e);
    uint64_t args[] = {at.a, at.b, at.f, at.c};
    emu_dims dims = {.grid = {32, 1, 1}, .block = {32, 1, 1}};
    bool clean = emu_launch(e, "k", dims, args, 4);
    CHECK(clean);
    if (!clean) fprintf(stderr, "%s", emu_findings(e));
  }
}

// Host memory that was registered; not a byte more of it.
static void test_host(emu *e) {
  static uint32_t memory[64];
  tsr_error error = {0};
  CHECK(tsr_heap_register(e->heap, memory, 32 * sizeof(*memory), &error) ==
        TSR_OK);
  char text[2000];
  write_text(text, sizeof(text),
             "add.u64 %rd4, %rd1, %rd10; ld.global.u32 %r2, [%rd4];\n"
             "add.u32 %r2, %r2, %r1; st.global.u32 [%rd4], %r2;\n");
  emu_must_load(e, text);
  for (uint32_t i = 0; i < 64; ++i) memory[i] = 100;
  uint64_t args[4] = {(uint64_t)(uintptr_t)memory, 0, 0, 0};
  emu_dims dims = {.block = {32, 1, 1}};
  CHECK(emu_launch(e, "k", dims, args, 4));
  for (uint32_t i = 0; i < 32; ++i) CHECK_EQ(memory[i], 100 + i);
  args[0] += 4;
  CHECK(!emu_launch(e, "k", dims, args, 4));
  CHECK_EQ(e->launch.fault, TESSERA_EMU_OUT_OF_BOUNDS);
  CHECK_EQ(memory[32], 100);
  CHECK(tsr_heap_free(e->heap, (uint64_t)(uintptr_t)memory));
  args[0] -= 4;
  CHECK(!emu_launch(e, "k", dims, args, 4));
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  for (size_t k = 0; k < sizeof(bads) / sizeof(bads[0]); ++k) {
    test_bad(&e, &bads[k]);
  }
  test_good(&e);
  test_across_launches(&e);
  test_parallel(&e);
  test_host(&e);
  emu_fini(&e);
  return test_finish();
}
