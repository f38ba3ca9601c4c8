// SPDX-License-Identifier: Apache-2.0
// How fast the emulator is: warp instructions per second of a few loops, and
// the decode kernel that its targets are stated for, with checks off and on.
// Not a test: it prints times. Usage: emulator_bench [threads]
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float16.h"
#include "base/memory.h"
#include "check/report.h"
#include "decode.h"
#include "exec/devices.h"
#include "exec/engine.h"

typedef struct bench {
  const tsr_device_model *device;
  tsr_heap *heap;
  tsr_report *report;
  tsr_program *program;
  tsr_launch launch;
  uint32_t threads;
} bench;

static void must(tsr_status status, const tsr_error *error) {
  if (status == TSR_OK) return;
  fprintf(stderr, "emulator_bench: %s\n", error->message);
  exit(1);
}

static void load(bench *b, const char *text) {
  tsr_error error = {0};
  tsr_ptx_log log = {0};
  tsr_program_destroy(b->program);
  b->program = NULL;
  tsr_status status = tsr_program_load(text, strlen(text), b->device, b->heap,
                                       &log, &b->program, &error);
  if (log.error_count > 0) {
    fprintf(stderr, "%s", tsr_buffer_text(&log.errors));
  }
  tsr_ptx_log_fini(&log);
  must(status, &error);
}

static double run(bench *b, const char *kernel, uint32_t blocks,
                  uint32_t threads, uint32_t checks, const uint64_t *params,
                  uint32_t count) {
  tsr_error error = {0};
  tsr_launch *launch = &b->launch;
  memset(launch, 0, sizeof(*launch));
  launch->kernel = tsr_program_kernel(b->program, kernel);
  launch->device = b->device;
  tsr_config_defaults(&launch->config);
  launch->config.checks = checks;
  launch->config.threads = b->threads;
  launch->number = 1;
  launch->grid[0] = blocks;
  launch->grid[1] = launch->grid[2] = 1;
  launch->block[0] = launch->threads = threads;
  launch->block[1] = launch->block[2] = 1;
  launch->warps = (threads + 31) / 32;
  launch->params = (const unsigned char *)params;
  launch->params_size = count * 8;
  launch->heap = b->heap;
  launch->report = b->report;
  must(tsr_engine_run(launch, &error), &error);
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  if (tsr_report_get(b->report, 0, &finding)) {
    fprintf(stderr, "emulator_bench: %s\n", finding.message);
    exit(1);
  }
  return launch->profile.host_seconds;
}

static uint64_t allocate(bench *b, uint64_t size) {
  tsr_error error = {0};
  uint64_t address = 0;
  must(tsr_heap_allocate(b->heap, size, TSR_HEAP_DATA, &address, &error),
       &error);
  tsr_heap_mark_written(b->heap, address, size);
  return address;
}

// --- Loops ------------------------------------------------------------------

typedef struct loop {
  const char *name, *body;
} loop;

static const loop loops[] = {
    {"integer",
     "add.u32 %r1, %r1, %r2;\nxor.b32 %r2, %r2, %r1;\n"
     "mad.lo.u32 %r3, %r1, %r2, %r3;\nshl.b32 %r4, %r3, 3;\n"},
    {"float",
     "fma.rn.f32 %f1, %f1, %f2, %f3;\nadd.f32 %f2, %f2, %f1;\n"
     "mul.f32 %f3, %f3, %f2;\nmax.f32 %f4, %f4, %f3;\n"},
    {"load",
     "ld.global.u32 %r1, [%d0];\nld.global.v4.u32 {%r1, %r2, %r3, "
     "%r4}, [%d0];\n"},
    {"max", "max.f32 %f4, %f4, %f3;\nmin.ftz.f32 %f3, %f4, %f1;\n"},
    {"f16x2", "fma.rn.f16x2 %r1, %r2, %r3, %r1;\nadd.f16x2 %r3, %r3, %r1;\n"},
    {"bf16x2",
     "fma.rn.bf16x2 %r1, %r2, %r3, %r1;\nmax.bf16x2 %r3, %r3, %r1;\n"},
    {"ex2", "ex2.approx.ftz.f32 %f2, %f1;\nlg2.approx.f32 %f3, %f1;\n"},
    {"convert", "cvt.rn.bf16x2.f32 %r1, %f1, %f2;\n"},
    {"atomic",
     "st.shared.u32 [%r6], %r2;\natom.shared.add.u32 %r1, [%r6], %r2;\n"},
    {"reduce", "red.global.add.f32 [%d0], %f1;\n"},
    {"scattered", "ld.global.u32 %r1, [%d0+8];\n"},
    {"shared", "st.shared.u32 [%r6], %r1;\nld.shared.u32 %r2, [%r6];\n"},
    {"shfl", "shfl.sync.bfly.b32 %r1, %r1, 1, 31, -1;\n"},
    {"barrier", "bar.sync 0;\n"},
    {"mma",
     "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
     "{%f1, %f2, %f3, %f4}, {%r1, %r2, %r3, %r4}, {%r1, %r2}, "
     "{%f1, %f2, %f3, %f4};\n"},
};

static void run_loop(bench *b, const loop *l) {
  char text[2048];
  uint32_t rounds = strcmp(l->name, "mma") == 0 ? 1000 : 20000;
  (void)snprintf(
      text, sizeof(text),
      ".version 8.0\n.target sm_80\n.address_size 64\n"
      ".visible .entry k(.param .u64 p) {\n.shared .align 16 .b8 s[2048];\n"
      ".reg .b32 %%r<9>;\n.reg .f32 %%f<9>;\n.reg .b64 %%d<3>;\n.reg .pred "
      "%%p;\nld.param.u64 %%d0, [p];\nmov.u32 %%r7, %%tid.x;\n"
      "mul.wide.u32 %%d1, %%r7, 16;\nadd.u64 %%d0, %%d0, %%d1;\n"
      "mov.u32 %%r6, s;\nshl.b32 %%r7, %%r7, 2;\nadd.u32 %%r6, %%r6, %%r7;\n"
      "mov.u32 %%r1, 1;\nmov.u32 %%r2, 2;\nmov.u32 %%r3, 3;\n"
      "mov.u32 %%r4, 4;\nmov.f32 %%f1, 0f3F800000;\nmov.f32 %%f2, 0f0;\n"
      "mov.f32 %%f3, 0f0;\nmov.f32 %%f4, 0f0;\nmov.u32 %%r8, 0;\n"
      "NEXT: %s add.u32 %%r8, %%r8, 1;\nsetp.lt.u32 %%p, %%r8, %u;\n"
      "@%%p bra NEXT;\nret;\n}\n",
      l->body, rounds);
  for (char *at = text; (at = strstr(at, "0f0;")) != NULL;) {
    memmove(at + 10, at + 3, strlen(at + 3) + 1);
    memcpy(at, "0f00000000", 10);
  }
  load(b, text);
  uint64_t params[1] = {allocate(b, 4096)};
  double off = run(b, "k", 16, 128, 0, params, 1);
  double rate = (double)b->launch.profile.warp_instructions / off / 1e6;
  double on = run(b, "k", 16, 128, TESSERA_EMU_CHECK_ALL, params, 1);
  printf("%-10s %8.1f M warp instructions/s, with checks %8.1f\n", l->name,
         rate, (double)b->launch.profile.warp_instructions / on / 1e6);
  (void)tsr_heap_free(b->heap, params[0]);
}

// --- The decode kernel ------------------------------------------------------

static uint16_t weight(uint32_t row, uint32_t k) {
  int32_t v = (int32_t)((row * 31 + k * 17) % 61) - 30;
  return tsr_bf16_from_float((float)v / 16);
}
static uint16_t activation(uint32_t k, uint32_t column) {
  int32_t v = (int32_t)((k * 7 + column * 13) % 29) - 14;
  return tsr_bf16_from_float((float)v / 8);
}

// PTX ISA 9.7.14.5.8: rows and columns of the fragments of m16n8k16.
static void fill_decode(uint16_t *w, uint16_t *x) {
  for (uint32_t tile = 0; tile < DECODE_BLOCKS * 256; ++tile) {
    for (uint32_t e = 0; e < 256; ++e) {
      uint32_t lane = e / 8, i = e % 8;
      uint32_t row = lane / 4 + (i / 2 % 2) * 8;
      uint32_t k = lane % 4 * 2 + i % 2 + (i / 4) * 8;
      w[(size_t)tile * 256 + e] =
          weight(tile / 256 * 16 + row, tile % 256 * 16 + k);
    }
  }
  for (uint32_t tile = 0; tile < 256; ++tile) {
    for (uint32_t e = 0; e < 128; ++e) {
      uint32_t lane = e / 4, i = e % 4;
      uint32_t k = lane % 4 * 2 + i % 2 + (i / 2) * 8;
      x[tile * 128 + e] = activation(tile * 16 + k, lane / 4);
    }
  }
}

static void check_decode(const float *y) {
  for (uint32_t row = 0; row < DECODE_ROWS; row += 37) {
    for (uint32_t column = 0; column < DECODE_COLUMNS; ++column) {
      double sum = 0, size = 0;
      for (uint32_t k = 0; k < DECODE_DEPTH; ++k) {
        double p = (double)tsr_bf16_to_float(weight(row, k)) *
                   (double)tsr_bf16_to_float(activation(k, column));
        sum += p;
        size += fabs(p);
      }
      double got = (double)y[row * DECODE_COLUMNS + column];
      if (fabs(got - sum) <= size * 1e-5) continue;
      fprintf(stderr, "emulator_bench: row %u column %u: %g, expected %g\n",
              row, column, got, sum);
      exit(1);
    }
  }
}

static void run_decode(bench *b, uint32_t checks, const char *name,
                       double target) {
  uint64_t weights = (uint64_t)DECODE_ROWS * DECODE_DEPTH * 2;
  uint64_t params[3] = {allocate(b, weights), allocate(b, DECODE_DEPTH * 16),
                        allocate(b, DECODE_ROWS * 32)};
  fill_decode((uint16_t *)(uintptr_t)params[0],
              (uint16_t *)(uintptr_t)params[1]);
  load(b, decode_text);
  double seconds =
      run(b, "decode", DECODE_BLOCKS, DECODE_WARPS * 32, checks, params, 3);
  check_decode((const float *)(uintptr_t)params[2]);
  const tessera_emu_profile *p = &b->launch.profile;
  printf("decode, %s: %.3f s (target %.0f s), %.1f M warp instructions/s\n",
         name, seconds, target, (double)p->warp_instructions / seconds / 1e6);
  for (int i = 0; i < 3; ++i) (void)tsr_heap_free(b->heap, params[i]);
}

int main(int argc, char **argv) {
  bench b = {.device = tsr_device_find("a100"),
             .threads = argc > 1 ? (uint32_t)atoi(argv[1]) : 0};
  tsr_error error = {0};
  must(tsr_heap_create(UINT64_C(1) << 30, true, &b.heap, &error), &error);
  must(tsr_report_create(&b.report, &error), &error);
  for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); ++i) {
    run_loop(&b, &loops[i]);
  }
  run_decode(&b, 0, "checks off", 1);
  run_decode(&b, TESSERA_EMU_CHECK_ALL, "all checks", 6);
  tsr_program_destroy(b.program);
  tsr_report_destroy(b.report);
  tsr_heap_destroy(b.heap);
  return 0;
}
