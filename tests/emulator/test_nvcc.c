// SPDX-License-Identifier: Apache-2.0
// Calls as nvcc writes them (kernels/calls.cu), optimised and not, against
// the same computation on the host; with compacted registers and without.
#include <stdlib.h>
#include <unistd.h>

#include "decode/compaction.h"
#include "harness.h"

enum { BLOCK = 64, COUNT = 5 * BLOCK };

static int32_t factorial(int32_t n) {
  return n < 2 ? 1 : n * factorial(n - 1);
}

static int32_t choose(int32_t x) {
  uint32_t bits = (uint32_t)x;
  switch (x % 9) {
    case 0:
      return x * 3;
    case 1:
      return x ^ 5;
    case 2:
      return x - 7;
    case 3:
      return factorial(x % 8);
    case 4:
      return x * 4;
    case 5:
      return __builtin_popcount(bits);
    case 6:
      return bits == 0 ? 32 : __builtin_clz(bits);
    case 7:
      return x / 3;
    default:
      return -1;
  }
}

// In front of the barrier.
static int32_t first_part(int32_t x) {
  static const int32_t numbers[4] = {10, 20, 30, 40};
  int32_t r = choose(x);
  r += x % 3 == 0 ? r + x : x % 3 == 1 ? r - x : r * x;
  r += x * (x >> 3 & 15);
  r += x * (r & 15);
  r += 2 * (x + x % 5) + x + 1;
  return r + ((x & 1) != 0 ? x * 2 : x + 1) + numbers[x & 3];
}

static int32_t second_part(int32_t x, int32_t r) {
  for (int32_t j = 0; j < (x & 7); ++j) {
    if ((x >> j & 1) != 0) continue;
    r += j * x;
    if (r > 1000000) break;
  }
  return r;
}

static void load_file(emu *e, const char *name) {
  char path[1024];
  (void)snprintf(path, sizeof(path), "%s/%s", TEST_PTX_FOLDER, name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(1);
  }
  static char text[1 << 20];
  size_t size = fread(text, 1, sizeof(text) - 1, file);
  (void)fclose(file);
  text[size] = '\0';
  emu_must_load(e, text);
}

static void run_calls(emu *e) {
  int32_t in[COUNT], out[COUNT], part[COUNT];
  for (int32_t i = 0; i < COUNT; ++i) {
    in[i] = i * 7919 % 4096;
    part[i] = first_part(in[i]);
  }
  uint64_t args[2] = {emu_upload(e, NULL, sizeof(out)),
                      emu_upload(e, in, sizeof(in))};
  emu_dims dims = {
      .grid = {COUNT / BLOCK}, .block = {BLOCK}, .shared = BLOCK * 4};
  bool clean = emu_launch(e, "calls", dims, args, 2);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(e));
  emu_download(e, out, args[0], sizeof(out));
  for (int32_t i = 0; i < COUNT; ++i) {
    CHECK_EQ(out[i], second_part(in[i], part[i] + part[i ^ 1]));
  }
}

static void run_asserts(emu *e) {
  int32_t values[32];
  for (int32_t i = 0; i < 32; ++i) values[i] = i == 3 ? 4 : i * 10;
  uint64_t args[1] = {emu_upload(e, values, sizeof(values))};
  emu_dims dims = {.block = {32}};
  CHECK(emu_launch(e, "asserts", dims, args, 1));
  emu_download(e, values, args[0], sizeof(values));
  CHECK(values[3] == 5 && values[31] == 311);
  CHECK(!emu_launch(e, "asserts", dims, args, 1));
  CHECK(emu_found(e, TESSERA_EMU_TRAP));
  CHECK(strstr(emu_findings(e), "assertion failed: p[threadIdx.x] != 5") !=
        NULL);
  CHECK(strstr(emu_findings(e), "thread (3,0,0)") != NULL);
}

// Blocks in their order, lanes in theirs; the host's printf is the reference.
static void run_prints(emu *e) {
  char path[] = "/tmp/emulator_nvccXXXXXX";
  int file = mkstemp(path);
  CHECK(file >= 0);
  tsr_report_set_output(e->report, path);
  uint64_t args[1] = {3};
  emu_dims dims = {.grid = {20}, .block = {4}};
  bool clean = emu_launch(e, "say", dims, args, 1);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(e));
  tsr_report_set_output(e->report, NULL);
  CHECK(emu_launch(e, "say", dims, args, 1));  // goes nowhere
  static char expected[1 << 16], text[1 << 16];
  size_t size = 0;
  for (int block = 0; block < 20; ++block) {
    for (int t = 0; t < 3; ++t) {
      size += (size_t)snprintf(
          expected + size, sizeof(expected) - size,
          "block %d thread %2d: text %5.2f %c %lld %p%%|%-4d|%*d\n", block, t,
          1.5 * t, 'a' + t, -5000000000LL, (void *)16, 7, 4, t);
    }
    for (int t = 0; t < 4; ++t) {
      size += (size_t)snprintf(expected + size, sizeof(expected) - size,
                               "no arguments\n");
    }
  }
  ssize_t got = read(file, text, sizeof(text) - 1);
  CHECK_EQ(got, size);
  CHECK_STR(text, expected);
  (void)close(file);
  (void)unlink(path);
}

int main(void) {
  static const char *const files[] = {"calls.ptx", "calls_plain.ptx"};
  for (int i = 0; i < 4; ++i) {
    emu e;
    emu_init(&e, "h100");
    tsr_compaction_enabled = i < 2;
    e.config.seed = (uint64_t)i;
    load_file(&e, files[i % 2]);
    run_calls(&e);
    run_asserts(&e);
    load_file(&e, "print.ptx");
    run_prints(&e);
    emu_fini(&e);
  }
  return test_finish();
}
