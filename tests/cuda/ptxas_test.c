// SPDX-License-Identifier: Apache-2.0
// Golden kernels through ptxas, for the targets that we name and for newer
// ones: accepted without a complaint, without spills where the register budget
// was planned, and with the resources of a table in the tree.
//
//   cuda_ptxas TABLE SHARD SHARDS   every SHARDSth golden kernel
//   cuda_ptxas TABLE write          the table anew, to be reviewed
//
// A line of the table: kernel, target, registers, bytes of stack, of spills,
// of shared memory. A kernel may take REGISTERS_APART registers more, which is
// what scheduling makes of a release of ptxas or LLVM; shared memory may not
// change. Spills that the table has are known defects: none may join them.
#include <stdlib.h>

#include "golden.h"
#include "test.h"

enum { REGISTERS_APART = 12 };

static const char *const targets[] = {"sm_80", "sm_86",  "sm_89",
                                      "sm_90", "sm_100", "sm_120"};
enum { TARGETS = sizeof(targets) / sizeof(targets[0]) };

typedef struct entry {
  char kernel[64], target[16];
  unsigned registers, stack, spills, shared;
} entry;

static entry table[256];
static uint32_t table_size;

static bool read_table(const char *path) {
  FILE *file = fopen(path, "r");
  char line[256];
  if (file == NULL) return false;
  while (fgets(line, sizeof(line), file) != NULL && table_size < 256) {
    entry *e = &table[table_size];
    if (line[0] == '#') continue;
    if (sscanf(line, "%63s %15s %u %u %u %u", e->kernel, e->target,
               &e->registers, &e->stack, &e->spills, &e->shared) == 6) {
      ++table_size;
    }
  }
  (void)fclose(file);
  return true;
}

static const entry *find(const char *kernel, const char *target) {
  for (uint32_t i = 0; i < table_size; ++i) {
    if (strcmp(table[i].kernel, kernel) == 0 &&
        strcmp(table[i].target, target) == 0) {
      return &table[i];
    }
  }
  return NULL;
}

static bool measure(const char *ptxas, const golden *g, const char *target,
                    entry *out) {
  tsr_cuda_kernel kernel;
  tsr_buffer ptx, cubin;
  tsr_cuda_resources resources = {0};
  tsr_error error = {0};
  if (!golden_kernel(g, &kernel)) return false;
  if (!golden_compile(&kernel, target, &ptx)) return false;
  tsr_buffer_init(&cubin);
  bool ok = tsr_ptxas_assemble(ptxas, target, &ptx, &kernel, 1, &cubin,
                               &resources, &error) == TSR_OK;
  if (!ok) fprintf(stderr, "%s %s: %s\n", g->name, target, error.message);
  (void)snprintf(out->kernel, sizeof(out->kernel), "%s", g->name);
  (void)snprintf(out->target, sizeof(out->target), "%s", target);
  out->registers = resources.registers;
  out->stack = resources.stack;
  out->spills = resources.spill_stores + resources.spill_loads;
  out->shared = kernel.shared_size + resources.shared_static;
  ok = ok && resources.is_known && cubin.size > 1000;
  tsr_buffer_fini(&cubin);
  tsr_buffer_fini(&ptx);
  return ok;
}

static void check(const char *ptxas, const golden *g, const char *target) {
  entry got = {0};
  bool ok = measure(ptxas, g, target, &got);
  CHECK(ok);
  if (!ok) return;
  const entry *expected = find(g->name, target);
  int before = test_failures;
  CHECK(expected != NULL);
  if (expected != NULL) {
    int apart = (int)got.registers - (int)expected->registers;
    CHECK(apart <= REGISTERS_APART);
    CHECK_EQ(got.shared, expected->shared);
    CHECK(got.stack <= expected->stack);
    CHECK(got.spills <= expected->spills);
  }
  if (test_failures != before) {
    fprintf(stderr, "%s for %s: %u registers, %u spilled\n", g->name, target,
            got.registers, got.spills);
  }
}

static int write_table(const char *ptxas, const char *version,
                       const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return 1;
  fprintf(file,
          "# By ptxas %s: kernel, target, registers, bytes of stack, spilled, "
          "shared.\n"
          "# Rewritten with: cuda_ptxas resources.txt write\n",
          version);
  for (uint32_t i = 0; i < golden_count; ++i) {
    for (uint32_t t = 0; t < TARGETS; ++t) {
      entry e = {0};
      if (!measure(ptxas, &goldens[i], targets[t], &e)) continue;
      fprintf(file, "%-21s %-6s %3u %u %u %u\n", e.kernel, e.target,
              e.registers, e.stack, e.spills, e.shared);
    }
  }
  return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
  tsr_buffer ptxas, version;
  tsr_error error = {0};
  tsr_buffer_init(&ptxas);
  tsr_buffer_init(&version);
  if (argc < 3) return 2;
  if (tsr_ptxas_find(NULL, &ptxas, &error) != TSR_OK || ptxas.size == 0 ||
      tsr_ptxas_version(tsr_buffer_text(&ptxas), &version, &error) != TSR_OK) {
    fprintf(stderr, "SKIPPED: no ptxas here: nothing was assembled\n");
    return 77;
  }
  if (strcmp(argv[2], "write") == 0) {
    return write_table(tsr_buffer_text(&ptxas), tsr_buffer_text(&version),
                       argv[1]);
  }
  CHECK(argc == 4 && read_table(argv[1]));
  uint32_t step = argc == 4 ? (uint32_t)atoi(argv[3]) : 1;
  for (uint32_t i = (uint32_t)atoi(argv[2]); i < golden_count; i += step) {
    for (uint32_t t = 0; t < TARGETS; ++t) {
      check(tsr_buffer_text(&ptxas), &goldens[i], targets[t]);
    }
  }
  tsr_buffer_fini(&ptxas);
  tsr_buffer_fini(&version);
  return test_finish();
}
