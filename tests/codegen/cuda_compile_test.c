// SPDX-License-Identifier: Apache-2.0
// One kernel to PTX for every target: the same bytes however often and from
// however many threads, nothing that makes cubins differ, joined modules that a
// real assembler takes. What the code computes: tests/cuda.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cuda.h"
#include "test.h"

static const tsr_kernel_spec spec = {
    .rows = 256,
    .columns = 192,
    .tile = {128, 64},
    .weight_type = TSR_DTYPE_BF16,
    .output_type = TSR_DTYPE_BF16,
    .kinds = 1u << TSR_KIND_SPARSE24 | 1u << TSR_KIND_DENSE,
    .token_first = 1,
    .token_last = 16,
};

enum { KERNELS = 2, THREADS = 3 };
static tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];

typedef struct job {
  const char *target;
  tsr_status status;
  tsr_error error;
  tsr_cuda_emitted emitted[KERNELS];
} job;

static void *compile(void *argument) {
  job *j = argument;
  for (uint32_t i = 0; i < KERNELS && j->status == TSR_OK; ++i) {
    j->status = tsr_cuda_compile(&kernels[i], tsr_cuda_target_find(j->target),
                                 i == 0, &j->emitted[i], &j->error);
  }
  return NULL;
}

static void job_fini(job *j) {
  for (uint32_t i = 0; i < KERNELS; ++i) {
    tsr_cuda_emitted_fini(&j->emitted[i]);
  }
}

static bool is_equal(const tsr_buffer *a, const tsr_buffer *b) {
  if (a->size != b->size) return false;
  return a->size == 0 || memcmp(a->data, b->data, a->size) == 0;
}

static void check_ptx(const job *j, uint32_t i) {
  const char *ptx = tsr_buffer_text(&j->emitted[i].ptx);
  char line[200];
  (void)snprintf(line, sizeof(line), "\n.target %s\n", j->target);
  CHECK(strstr(ptx, line) != NULL);
  (void)snprintf(line, sizeof(line), "\n.visible .entry %s(", kernels[i].name);
  CHECK(strstr(ptx, line) != NULL);
  (void)snprintf(line, sizeof(line), ".maxntid %u", kernels[i].threads);
  CHECK(strstr(ptx, line) != NULL);
  // These would put a file's time into a cubin.
  CHECK(strstr(ptx, "\t.file") == NULL && strstr(ptx, "\n.file") == NULL);
  CHECK(strstr(ptx, ".loc\t") == NULL && strstr(ptx, ".loc ") == NULL);
  CHECK(strlen(ptx) == j->emitted[i].ptx.size);
  CHECK((j->emitted[i].ll.size != 0) == (i == 0));
}

// ---- Modules ---------------------------------------------------------------

static void check_assembled(const char *ptxas, const job *j,
                            const tsr_buffer *module) {
  tsr_buffer cubins[2];
  tsr_cuda_resources resources[KERNELS];
  for (int i = 0; i < 2; ++i) {
    tsr_error error = {0};
    tsr_buffer_init(&cubins[i]);
    CHECK_EQ(tsr_ptxas_assemble(ptxas, j->target, module, kernels, KERNELS,
                                &cubins[i], resources, &error),
             TSR_OK);
    CHECK_STR(error.message, "");
  }
  CHECK(cubins[0].size != 0 && is_equal(&cubins[0], &cubins[1]));
  for (uint32_t i = 0; i < KERNELS; ++i) {
    CHECK_EQ(resources[i].spill_stores + resources[i].spill_loads, 0);
    CHECK(resources[i].blocks >= 1);
  }
  tsr_buffer_fini(&cubins[0]);
  tsr_buffer_fini(&cubins[1]);
}

static void check_module(const char *ptxas, const job *j) {
  tsr_object texts[KERNELS];
  for (uint32_t i = 0; i < KERNELS; ++i) {
    const tsr_buffer *ptx = &j->emitted[i].ptx;
    texts[i] = (tsr_object){kernels[i].name, ptx->data, ptx->size};
  }
  tsr_buffer module;
  tsr_buffer_init(&module);
  tsr_error error = {0};
  CHECK_EQ(tsr_cuda_join(tsr_cuda_target_find(j->target), "a test", texts,
                         KERNELS, &module, &error),
           TSR_OK);
  CHECK_STR(error.message, "");
  CHECK(strncmp(tsr_buffer_text(&module), "// a test\n", 10) == 0);
  if (ptxas[0] != '\0') check_assembled(ptxas, j, &module);
  tsr_buffer_fini(&module);
}

static void check_target(const char *target, const char *ptxas) {
  job jobs[THREADS] = {
      {.target = target}, {.target = target}, {.target = target}};
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    CHECK_EQ(pthread_create(&threads[i], NULL, compile, &jobs[i]), 0);
  }
  for (int i = 0; i < THREADS; ++i) {
    CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(jobs[i].status, TSR_OK);
    CHECK_STR(jobs[i].error.message, "");
  }
  if (test_failures != 0) exit(test_finish());
  for (uint32_t k = 0; k < KERNELS; ++k) {
    check_ptx(&jobs[0], k);
    for (int i = 1; i < THREADS; ++i) {
      CHECK(is_equal(&jobs[0].emitted[k].ptx, &jobs[i].emitted[k].ptx));
      CHECK(is_equal(&jobs[0].emitted[k].ll, &jobs[i].emitted[k].ll));
    }
  }
  check_module(ptxas, &jobs[0]);
  for (int i = 0; i < THREADS; ++i) job_fini(&jobs[i]);
}

// A target that only looks like one never reaches LLVM.
static void test_made_up(void) {
  tsr_cuda_target copy = *tsr_cuda_target_find("sm_80");
  tsr_cuda_emitted emitted;
  tsr_error error = {0};
  CHECK_EQ(tsr_cuda_compile(&kernels[0], &copy, false, &emitted, &error),
           TSR_INVALID_ARGUMENT);
  copy.name = "sm_999";
  error = (tsr_error){0};
  CHECK_EQ(tsr_cuda_compile(&kernels[0], &copy, false, &emitted, &error),
           TSR_INVALID_ARGUMENT);
  CHECK(strstr(error.message, "sm_999") != NULL);
  tsr_cuda_kernel odd = kernels[0];
  odd.strategy = "nonsense";
  error = (tsr_error){0};
  CHECK_EQ(tsr_cuda_compile(&odd, tsr_cuda_target_find("sm_80"), false,
                            &emitted, &error),
           TSR_INTERNAL);
  CHECK(strstr(error.message, "strategy nonsense") != NULL);
  CHECK_EQ(emitted.ptx.size, 0);
}

int main(void) {
  tsr_buffer ptxas;
  tsr_buffer_init(&ptxas);
  tsr_error error = {0};
  CHECK_EQ(tsr_ptxas_find(NULL, &ptxas, &error), TSR_OK);
  if (ptxas.size == 0) printf("SKIPPED: ptxas (none on this machine)\n");
  CHECK_EQ(tsr_cuda_plan(&spec, tsr_cuda_target_find("sm_80"), kernels),
           KERNELS);
  for (uint32_t i = 0; tsr_cuda_target_names[i] != NULL; ++i) {
    check_target(tsr_cuda_target_names[i], tsr_buffer_text(&ptxas));
  }
  test_made_up();
  tsr_buffer_fini(&ptxas);
  return test_finish();
}
