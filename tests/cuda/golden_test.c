// SPDX-License-Identifier: Apache-2.0
// The text of the golden kernels.
//
//   cuda_golden list                  their names
//   cuda_golden emit NAME TARGET      one as PTX, for FileCheck
//   cuda_golden same                  the same bytes in any thread, and for all
//                                     targets that have the same instructions
//                                     (but for the line that names them)
#include "golden.h"

#include <pthread.h>
#include <stdlib.h>

#include "test.h"

static int emit(const char *name, const char *target) {
  const golden *g = golden_find(name);
  tsr_cuda_kernel kernel;
  tsr_buffer text;
  if (g == NULL || !golden_kernel(g, &kernel)) return 1;
  if (!golden_compile(&kernel, target, &text)) return 1;
  (void)fputs(tsr_buffer_text(&text), stdout);
  tsr_buffer_fini(&text);
  return 0;
}

// ---- The same bytes --------------------------------------------------------

enum { SAME_KERNELS = 5 };
static const char *const same_names[SAME_KERNELS] = {
    "decode_n8", "decode_n64", "prefill_sparse", "ragged", "zero"};

typedef struct job {
  uint32_t first, step;  // order of the kernels: every thread another
  bool ok;
  tsr_buffer texts[SAME_KERNELS];
} job;

static void *compile_all(void *context) {
  job *j = context;
  j->ok = true;
  for (uint32_t i = 0; i < SAME_KERNELS; ++i) {
    uint32_t at = (j->first + i * j->step) % SAME_KERNELS;
    const golden *g = golden_find(same_names[at]);
    tsr_cuda_kernel kernel;
    j->ok = j->ok && g != NULL && golden_kernel(g, &kernel) &&
            golden_compile(&kernel, "sm_80", &j->texts[at]);
  }
  return NULL;
}

static void check_threads(void) {
  static job jobs[3] = {{.first = 0, .step = 1},
                        {.first = 2, .step = 2},
                        {.first = 4, .step = 3}};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    CHECK_EQ(pthread_create(&threads[i], NULL, compile_all, &jobs[i]), 0);
  }
  for (int i = 0; i < 2; ++i) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  (void)compile_all(&jobs[2]);
  for (int i = 0; i < 3; ++i) CHECK(jobs[i].ok);
  for (uint32_t k = 0; k < SAME_KERNELS; ++k) {
    for (int i = 1; i < 3; ++i) {
      CHECK_STR(tsr_buffer_text(&jobs[i].texts[k]),
                tsr_buffer_text(&jobs[0].texts[k]));
    }
  }
  for (int i = 0; i < 3; ++i) {
    for (uint32_t k = 0; k < SAME_KERNELS; ++k) {
      tsr_buffer_fini(&jobs[i].texts[k]);
    }
  }
}

// Behind the lines .version and .target.
static const char *body(const tsr_buffer *text) {
  const char *at = strstr(tsr_buffer_text(text), ".address_size");
  return at == NULL ? "" : at;
}

static void check_targets(void) {
  const golden *g = golden_find("decode_n8");
  tsr_cuda_kernel kernel;
  tsr_buffer first, other;
  CHECK(g != NULL && golden_kernel(g, &kernel));
  CHECK(golden_compile(&kernel, "sm_80", &first));
  static const char *const names[] = {"sm_86", "sm_89", "sm_90"};
  for (int i = 0; i < 3; ++i) {
    CHECK(golden_compile(&kernel, names[i], &other));
    CHECK(strlen(body(&other)) > 1000);
    CHECK(strcmp(body(&first), body(&other)) == 0);
    char line[32];
    (void)snprintf(line, sizeof(line), ".target %s\n", names[i]);
    CHECK(strstr(tsr_buffer_text(&other), line) != NULL);
    tsr_buffer_fini(&other);
  }
  tsr_buffer_fini(&first);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "list") == 0) {
    for (uint32_t i = 0; i < golden_count; ++i) puts(goldens[i].name);
    return 0;
  }
  if (argc == 4 && strcmp(argv[1], "emit") == 0) return emit(argv[2], argv[3]);
  if (argc != 2 || strcmp(argv[1], "same") != 0) return 2;
  check_threads();
  check_targets();
  return test_finish();
}
