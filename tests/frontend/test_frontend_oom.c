// SPDX-License-Identifier: Apache-2.0
// Walks every allocation of parse, check, print, dump and format and makes it
// fail once. Expected: a status or an incomplete list, never a crash or a leak
// (run under ASan), and never a success that hides the failure.
#include <stdlib.h>

#include "base/memory.h"
#include "frontend/frontend.h"
#include "test.h"

static const char *const files[] = {
    TEST_DIRECTORY "/golden/minilm.tess",
    TEST_DIRECTORY "/golden/sources.tess",
    TEST_DIRECTORY "/golden/include.tess",
    TEST_DIRECTORY "/golden/loops.tess",
    TEST_DIRECTORY "/bad/e001-several.tess",
    TEST_DIRECTORY "/bad/e136-unknown.tess",
    TEST_DIRECTORY "/bad/e124-loop.tess",
};

typedef struct outcome {
  tsr_status status;
  bool has_plan;
  uint32_t errors;
  bool text_failed;
} outcome;

static outcome run(const char *path) {
  outcome result = {TSR_OUT_OF_MEMORY, false, 0, false};
  tsr_compilation *compilation = tsr_compilation_create();
  if (compilation == NULL) return result;
  tsr_error error = {0};
  tsr_ast *ast;
  tsr_plan *plan = NULL;
  tsr_buffer out;
  tsr_buffer_init(&out);
  result.status = tsr_parse_file(compilation, path, &ast, &error);
  if (result.status == TSR_OK) {
    result.status = tsr_check(compilation, ast, &plan, &error);
  }
  if (result.status == TSR_OK) {
    tsr_ast_dump(ast, &out);
    tsr_ast_format(ast, &out);
    tsr_ast_flatten(ast, &out);
    if (plan != NULL) tsr_plan_dump(plan, &out);
  }
  tsr_diag_print_options options = {false, false, 0};
  tsr_diags *diags = tsr_compilation_diags(compilation);
  tsr_diag_print(diags, tsr_compilation_sources(compilation), &options, &out);
  CHECK(result.status == TSR_OK || error.message[0] != '\0');
  result.has_plan = plan != NULL;
  result.errors = tsr_diag_error_count(diags);
  result.text_failed = out.failed;
  tsr_buffer_fini(&out);
  tsr_compilation_destroy(compilation);
  return result;
}

static void walk(const char *path) {
  outcome good = run(path);
  CHECK_EQ(good.status, TSR_OK);
  CHECK(good.has_plan == (good.errors == 0));
  (void)tsr_memory_fail_at(0);
  run(path);
  uint64_t total = tsr_memory_fail_at(0);
  CHECK(total > 3);
  uint64_t failures = 0;
  for (uint64_t n = 1; n <= total; ++n) {
    (void)tsr_memory_fail_at(n);
    outcome bad = run(path);
    (void)tsr_memory_fail_at(0);
    CHECK(bad.status == TSR_OK || bad.status == TSR_OUT_OF_MEMORY);
    CHECK(!bad.has_plan || good.has_plan);
    CHECK_EQ(bad.status != TSR_OK || bad.errors == good.errors, 1);
    failures += bad.status != TSR_OK;
  }
  CHECK(failures > 0);
  printf("%s: %llu allocations, %llu became a status\n", path,
         (unsigned long long)total, (unsigned long long)failures);
}

// The tokens of a file, scanned alone.
static void walk_tokens(void) {
  for (uint64_t n = 1; n < 64; ++n) {
    (void)tsr_memory_fail_at(n);
    tsr_compilation *compilation = tsr_compilation_create();
    tsr_buffer out;
    tsr_buffer_init(&out);
    tsr_error error = {0};
    if (compilation != NULL) {
      tsr_status status = tsr_dump_tokens(compilation, files[0], &out, &error);
      CHECK(status == TSR_OK || status == TSR_OUT_OF_MEMORY);
    }
    (void)tsr_memory_fail_at(0);
    tsr_buffer_fini(&out);
    tsr_compilation_destroy(compilation);
  }
}

int main(void) {
  for (size_t i = 0; i < sizeof(files) / sizeof(*files); ++i) walk(files[i]);
  walk_tokens();
  return test_finish();
}
