// SPDX-License-Identifier: Apache-2.0
// Loading of modules: for which devices, where variables lie and what they
// hold, the layouts of shared memory and parameters, and every mistake with
// its exact message.
#include <stdlib.h>

#include "base/memory.h"
#include "decode/program.h"
#include "harness.h"

#define HEAD ".version 8.7\n.target sm_80\n.address_size 64\n"
#define BODY(text) HEAD ".visible .entry k() {\n" text "\nret;\n}\n"

static emu e;

static const tsr_kernel *load(const char *text) {
  emu_must_load(&e, text);
  return tsr_program_kernel(e.program, "k");
}

// The log of a module that must be refused.
static const char *log_of(const char *text) {
  if (emu_load(&e, text)) return "(loaded)";
  return tsr_buffer_text(&e.log.errors);
}

static void refused(const char *text, const char *message) {
  char expected[512];
  (void)snprintf(expected, sizeof(expected), "ptx%s\n", message);
  CHECK_STR(log_of(text), expected);
}

// --- Targets

static tsr_status target_status(const char *device, const char *target) {
  emu other;
  emu_init(&other, device);
  char text[256];
  (void)snprintf(text, sizeof(text),
                 ".version 8.8\n.target %s\n.address_size 64\n"
                 ".visible .entry k() {\nret;\n}\n",
                 target);
  tsr_error error = {0};
  tsr_program *program = NULL;
  tsr_ptx_log log = {0};
  tsr_status status = tsr_program_load(text, strlen(text), other.device,
                                       other.heap, &log, &program, &error);
  CHECK((program != NULL) == (status == TSR_OK));
  if (status == TSR_MISMATCH) {
    char expected[128];
    (void)snprintf(expected, sizeof(expected),
                   "the module is for %s, the device is sm_%u%u", target,
                   other.device->sm_major, other.device->sm_minor);
    CHECK_STR(error.message, expected);
  }
  tsr_program_destroy(program);
  tsr_ptx_log_fini(&log);
  emu_fini(&other);
  return status;
}

static void targets(void) {
  CHECK_EQ(target_status("h100", "sm_80"), TSR_OK);
  CHECK_EQ(target_status("h100", "sm_90"), TSR_OK);
  CHECK_EQ(target_status("h100", "sm_90a"), TSR_OK);
  CHECK_EQ(target_status("h100", "sm_100"), TSR_MISMATCH);
  CHECK_EQ(target_status("h100", "sm_100a"), TSR_MISMATCH);
  CHECK_EQ(target_status("h100", "sm_100f"), TSR_MISMATCH);
  CHECK_EQ(target_status("h100", "sm_88"), TSR_OK);
  CHECK_EQ(target_status("a100", "sm_80"), TSR_OK);
  CHECK_EQ(target_status("a100", "sm_86"), TSR_MISMATCH);
  CHECK_EQ(target_status("a100", "sm_90a"), TSR_MISMATCH);
  CHECK_EQ(target_status("rtx4090", "sm_86"), TSR_OK);
  CHECK_EQ(target_status("rtx4090", "sm_89"), TSR_OK);
  CHECK_EQ(target_status("rtx4090", "sm_90"), TSR_MISMATCH);
}

// --- Variables

static const void *bytes_of(const char *name, uint64_t size) {
  const tsr_global *global = tsr_program_global(e.program, name);
  CHECK(global != NULL);
  if (global == NULL) exit(1);
  CHECK_EQ(global->size, size);
  return (const void *)(uintptr_t)global->address;
}

static uint64_t address_of(const char *name) {
  const tsr_global *global = tsr_program_global(e.program, name);
  return global == NULL ? 0 : global->address;
}

static void variables(void) {
  (void)load(HEAD
             ".global .align 64 .u32 zero[5];\n"
             ".global .u16 half[4] = {1, 0xfffe};\n"
             ".const .f32 one = 1.0;\n"
             ".const .f64 two[2][2] = {{1.5, 2.5}, {0d4008000000000000}};\n"
             ".global .b8 text[] = {104, 105, 0};\n"
             ".global .v2 .u32 pair = {7, 9};\n"
             ".global .u64 to[3] = {zero, zero+8, generic(half)+2};\n"
             ".global .b8 split[2] = {0xFF(half), 0xFF00(half)};\n"
             ".global .u64 code[2] = {f, g};\n"
             ".visible .func f() { ret; }\n.func g() { ret; }\n"
             ".visible .entry k() { ret; }\n");
  const uint32_t *zero = bytes_of("zero", 20);
  for (int i = 0; i < 5; ++i) CHECK_EQ(zero[i], 0);
  CHECK_EQ(address_of("zero") % 64, 0);
  const uint16_t *half = bytes_of("half", 8);
  CHECK(half[0] == 1 && half[1] == 0xfffe && half[2] == 0 && half[3] == 0);
  CHECK(((const float *)bytes_of("one", 4))[0] == 1.0f);
  const double *two = bytes_of("two", 32);
  CHECK(two[0] == 1.5 && two[1] == 2.5 && two[2] == 3.0 && two[3] == 0.0);
  CHECK(memcmp(bytes_of("text", 3), "hi", 3) == 0);
  const uint32_t *pair = bytes_of("pair", 8);
  CHECK(pair[0] == 7 && pair[1] == 9);
  const uint64_t *to = bytes_of("to", 24);
  CHECK_EQ(to[0], address_of("zero"));
  CHECK_EQ(to[1], address_of("zero") + 8);
  CHECK_EQ(to[2], address_of("half") + 2);
  const uint8_t *split = bytes_of("split", 2);
  CHECK_EQ(split[0], address_of("half") & 0xff);
  CHECK_EQ(split[1], address_of("half") >> 8 & 0xff);
  const uint64_t *code = bytes_of("code", 16);
  CHECK(code[0] != code[1]);
  CHECK_STR(e.program->functions[code[0] - TSR_FUNCTION_BASE]->name, "f");
  CHECK_STR(e.program->functions[code[1] - TSR_FUNCTION_BASE]->name, "g");
  tsr_allocation allocation;
  CHECK(tsr_heap_find(e.heap, address_of("one"), &allocation));
  CHECK(allocation.use == TSR_HEAP_CONSTANT);
  CHECK(tsr_program_global(e.program, "one")->is_constant);
  CHECK(!tsr_program_global(e.program, "zero")->is_constant);
  CHECK(tsr_program_global(e.program, "nosuch") == NULL);
  CHECK(tsr_program_kernel(e.program, "f") == NULL);
}

// A refused or destroyed module leaves nothing in the heap.
static void frees_variables(void) {
  tsr_program_destroy(e.program);
  e.program = NULL;
  uint64_t before = tsr_heap_used(e.heap);
  (void)load(HEAD ".global .u32 x[1000];\n.visible .entry k() { ret; }\n");
  CHECK(tsr_heap_used(e.heap) > before);
  (void)log_of(HEAD ".global .u32 x[1000];\n.visible .entry k() { nosuch; }\n");
  CHECK_EQ(tsr_heap_used(e.heap), before);
}

static void linkage(void) {
  // A declaration in front of its definition, and a weak one behind a strong.
  (void)load(HEAD
             ".extern .global .u32 x;\n.global .u32 x = 5;\n"
             ".weak .global .u32 w = 1;\n.visible .global .u32 w = 2;\n"
             ".func f(.param .b32 a);\n"
             ".visible .entry k() { call f, (1); ret; }\n"
             ".func f(.param .b32 a) { ret; }\n");
  CHECK_EQ(((const uint32_t *)bytes_of("x", 4))[0], 5);
  CHECK_EQ(((const uint32_t *)bytes_of("w", 4))[0], 2);
  // What is not defined is no mistake until somebody names it.
  (void)load(HEAD
             ".extern .global .u32 x;\n.extern .func f();\n"
             ".visible .entry k() { ret; }\n");
}

// --- Layouts

static void shared_layout(void) {
  const tsr_kernel *k = load(BODY(""));
  CHECK_EQ(k->static_shared, 0);
  k = load(HEAD
           ".shared .u8 a;\n.shared .align 16 .b8 b[40];\n"
           ".shared .u32 other[100];\n"
           ".visible .entry k() {\n.reg .b32 %r<4>;\n"
           ".shared .align 8 .b8 own[9];\n"
           "ld.shared.u8 %r1, [a];\nld.shared.u32 %r2, [b+4];\nret;\n}\n"
           ".visible .entry j() {\n.reg .b32 %r<4>;\n"
           "ld.shared.u32 %r2, [other];\nret;\n}\n");
  // a at 0, b at 16 to 56, own at 56 to 65.
  CHECK_EQ(k->static_shared, 65);
  CHECK_EQ(tsr_program_kernel(e.program, "j")->static_shared, 400);
  // Dynamic memory begins at its own alignment.
  k = load(HEAD
           ".extern .shared .align 128 .b8 dynamic[];\n"
           ".visible .entry k() {\n.reg .b32 %r<4>;\n"
           ".shared .u32 own[3];\nld.shared.u32 %r1, [dynamic];\nret;\n}\n");
  CHECK_EQ(k->static_shared, 128);
  CHECK_EQ(k->static_shared_align, 128);
}

static void parameter_layout(void) {
  const tsr_kernel *k =
      load(HEAD
           ".visible .entry k(.param .u8 a, .param .u32 b, .param .u16 c,\n"
           ".param .u64 d, .param .align 16 .b8 e[20], .param .f32 f)\n"
           ".maxntid 256, 2, 1\n.minnctapersm 3\n.maxnreg 64\n{\nret;\n}\n"
           ".entry r() .reqntid 128\n{ ret; }\n");
  uint32_t offsets[6] = {0, 4, 8, 16, 32, 52};
  uint32_t sizes[6] = {1, 4, 2, 8, 20, 4};
  CHECK_EQ(k->param_count, 6);
  for (uint32_t i = 0; i < 6; ++i) {
    CHECK_EQ(k->params[i].offset, offsets[i]);
    CHECK_EQ(k->params[i].size, sizes[i]);
  }
  CHECK_EQ(k->params[4].align, 16);
  CHECK_STR(k->params[4].name, "e");
  CHECK_EQ(k->params_size, 56);
  CHECK(k->max_threads[0] == 256 && k->max_threads[1] == 2);
  CHECK_EQ(k->min_blocks, 3);
  CHECK_EQ(k->max_registers, 64);
  CHECK_EQ(tsr_program_kernel(e.program, "r")->required_threads[0], 128);
  CHECK_EQ(k->ptx_version, 87);
}

// Frames, and what only the call graph tells.
static void stacks(void) {
  const tsr_kernel *k =
      load(HEAD
           ".func leaf() {\n.local .b8 x[300];\nret;\n}\n"
           ".func mid() {\n.local .b8 y[10];\ncall leaf;\nret;\n}\n"
           ".visible .entry k() {\n.local .b8 z[1];\ncall mid;\nret;\n}\n");
  CHECK_EQ(k->local_bytes, 304 + 16 + 16);
  CHECK(!k->communicates);
  k = load(HEAD
           ".func self() {\n.local .b8 x[100];\ncall self;\nret;\n}\n"
           ".visible .entry k() {\ncall self;\nret;\n}\n");
  CHECK_EQ(k->local_bytes, (TSR_CALL_DEPTH + 1) * 112 + 256);
  k = load(BODY(""));
  CHECK_EQ(k->local_bytes, 0);
}

// --- Mistakes

static void mistakes(void) {
  refused(".version 8.5\n.target sm_90a\n.address_size 64\nnosuch\n",
          "(4,1): error: expected a directive, found 'nosuch'");
  refused(HEAD ".global .u32 x;\n.global .u32 x;\n",
          "(5,14): error: duplicate definition of 'x' (first at line 4)");
  refused(HEAD ".func f() { ret; }\n.func f() { ret; }\n",
          "(5,7): error: duplicate definition of 'f' (first at line 4)");
  refused(HEAD ".global .u32 f;\n.func f() { ret; }\n",
          "(5,7): error: duplicate definition of 'f' (first at line 4)");
  refused(HEAD ".func f(.param .u32 a);\n.func f(.param .u64 a) { ret; }\n",
          "(5,7): error: 'f' was declared otherwise at line 4");
  refused(HEAD ".extern .global .u32 x;\n.global .f32 x;\n",
          "(5,14): error: 'x' was declared otherwise at line 4");
  refused(HEAD ".global .u64 p = nosuch;\n",
          "(4,18): error: undefined symbol 'nosuch'");
  refused(HEAD ".shared .u32 s;\n.global .u64 p = s;\n",
          "(5,18): error: no constant address: 's'");
  refused(HEAD ".extern .global .u32 x;\n.global .u64 p = x;\n",
          "(5,18): error: undefined symbol 'x'");
  refused(HEAD ".extern .func f();\n.visible .entry k() {\ncall f;\nret;\n}\n",
          "(6,6): error: undefined function 'f'");
  refused(BODY("call nosuch;"), "(5,6): error: undefined function 'nosuch'");
  refused(HEAD
          ".extern .global .u32 x;\n.visible .entry k() {\n"
          ".reg .b32 %r;\nld.global.u32 %r, [x];\nret;\n}\n",
          "(7,19): error: undefined variable 'x'");
  refused(BODY("call k;"), "(5,6): error: call of the kernel 'k'");
  refused(HEAD
          ".func f(.param .b32 a) { ret; }\n"
          ".visible .entry k() {\ncall f;\nret;\n}\n",
          "(6,1): error: call with 0 results and 0 arguments where the "
          "function has 0 and 1");
  refused(HEAD
          ".func f(.param .b64 a) { ret; }\n.visible .entry k() {\n"
          ".param .b32 x;\ncall f, (x);\nret;\n}\n",
          "(7,10): error: 'x' has 4 bytes where 8 are expected");
  refused(HEAD ".visible .entry k() {\n.shared .b8 big[49153];\nret;\n}\n",
          "(4,17): error: entry 'k' uses too much shared data (49153 bytes, "
          "49152 at most)");
  refused(HEAD ".entry k(.param .b8 big[32765]) { ret; }\n",
          "(4,21): error: parameters of 'k' take more than 32764 bytes");
  refused(BODY("frobnicate.u32 %r1;"),
          "(5,1): error: unknown instruction 'frobnicate'");
  refused(BODY("exit.now;"),
          "(5,5): error: modifier '.now' is not allowed for 'exit'");
  refused(BODY("bra nowhere;"), "(5,5): error: undefined label 'nowhere'");
  refused(BODY("bra L; { L: }"), "(5,5): error: undefined label 'L'");
  refused(BODY("L: L:"),
          "(5,4): error: duplicate definition of 'L' (first at "
          "line 5)");
  refused(BODY(".reg .b32 %r<3>;\n.reg .b32 %r2;"),
          "(6,11): error: duplicate definition of '%r2' (first at line 5)");
  refused(BODY(".reg .b32 %r9;\n.reg .b32 %r<12>;"),
          "(6,11): error: duplicate definition of '%r9' (first at line 5)");
  refused(BODY(".reg .b32 %p;\n@%p exit;"),
          "(6,2): error: '%p' is not a predicate");
  refused(BODY("@%p exit;"), "(5,2): error: '%p' is not a predicate");
  refused(BODY("exit 5;"), "(5,1): error: 'exit' takes 0 operands, not 1");
}

// Every allocation of a load fails once: an error, and nothing is left behind.
static void out_of_memory(void) {
  static const char text[] = HEAD
      ".global .u32 x[4] = {1, 2};\n.shared .u32 s;\n"
      ".func (.param .b32 r) f(.param .b32 a) {\n.local .u32 l;\n"
      ".reg .b32 %r<4>; ld.param.u32 %r1, [a]; st.param.u32 [r], %r1; ret; }\n"
      ".visible .entry k(.param .u64 p) {\n.reg .b32 %r<9>; .reg .b64 %t;\n"
      ".reg .pred %p;\n{ L: mov.u32 %r1, %tid.x; add.u32 %r2, %r1, 17;\n"
      "setp.lt.u32 %p, %r2, %r1; @%p bra L; }\n"
      "list: .branchtargets A, B; brx.idx %r1, list; A:\n"
      "proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
      "mov.u64 %t, f; call (%r3), %t, (%r2), proto; call (%r3), f, (3);\n"
      "B: st.shared.u32 [s], %r3; ret;\n}\n";
  tsr_program_destroy(e.program);
  e.program = NULL;
  tsr_ptx_log_fini(&e.log);
  memset(&e.log, 0, sizeof(e.log));
  uint64_t used = tsr_heap_used(e.heap), failures = 0;
  for (uint64_t nth = 1; nth < 2000; ++nth) {
    tsr_error error = {0};
    tsr_program *program = NULL;
    tsr_ptx_log log = {0};
    (void)tsr_memory_fail_at(nth);
    tsr_status status = tsr_program_load(text, strlen(text), e.device, e.heap,
                                         &log, &program, &error);
    bool reached = tsr_memory_fail_at(0) >= nth;
    if (status != TSR_OK) {
      ++failures;
      CHECK_EQ(status, TSR_OUT_OF_MEMORY);
      CHECK(program == NULL);
    }
    tsr_program_destroy(program);
    tsr_ptx_log_fini(&log);
    CHECK_EQ(tsr_heap_used(e.heap), used);
    if (!reached) break;
  }
  CHECK(failures > 20);
}

int main(void) {
  emu_init(&e, "h100");
  targets();
  variables();
  frees_variables();
  linkage();
  shared_layout();
  parameter_layout();
  stacks();
  mistakes();
  out_of_memory();
  emu_fini(&e);
  return test_finish();
}
