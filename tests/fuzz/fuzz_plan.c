// SPDX-License-Identifier: Apache-2.0
// Any bytes as a plan: parse, check, print. Beyond not crashing:
//  - a plan without errors has a checked plan, one with errors has none;
//  - the canonical form of a good plan is good, and formats to itself.
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "fuzz.h"

static void require(bool condition) {
  if (!condition) abort();
}

static void check_format(const tsr_buffer *text) {
  tsr_compilation *compilation = tsr_compilation_create();
  require(compilation != NULL);
  tsr_error error = {0};
  tsr_ast *ast;
  tsr_buffer again;
  tsr_buffer_init(&again);
  require(tsr_parse_text(compilation, "again.tess", "/nonexistent",
                         tsr_buffer_text(text), text->size, &ast,
                         &error) == TSR_OK);
  require(tsr_diag_error_count(tsr_compilation_diags(compilation)) == 0);
  tsr_ast_format(ast, &again);
  require(again.size == text->size &&
          memcmp(tsr_buffer_text(&again), tsr_buffer_text(text), again.size) ==
              0);
  tsr_buffer_fini(&again);
  tsr_compilation_destroy(compilation);
}

static void print_diags(tsr_compilation *compilation, bool json) {
  tsr_diag_print_options options = {!json, json, 20};
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_diag_print(tsr_compilation_diags(compilation),
                 tsr_compilation_sources(compilation), &options, &out);
  tsr_buffer_fini(&out);
}

static void exercise(tsr_compilation *compilation, const uint8_t *data,
                     size_t size) {
  tsr_error error = {0};
  tsr_ast *ast;
  tsr_plan *plan;
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_diags *diags = tsr_compilation_diags(compilation);
  require(tsr_parse_text(compilation, "fuzz.tess", "/nonexistent",
                         (const char *)data, size, &ast, &error) == TSR_OK);
  bool parsed = tsr_diag_error_count(diags) == 0;
  require(tsr_check(compilation, ast, &plan, &error) == TSR_OK);
  require((plan != NULL) == (tsr_diag_error_count(diags) == 0));
  tsr_ast_dump(ast, &out);
  tsr_ast_flatten(ast, &out);
  if (plan != NULL) tsr_plan_dump(plan, &out);
  tsr_buffer_clear(&out);
  tsr_ast_format(ast, &out);
  if (parsed) check_format(&out);
  tsr_buffer_fini(&out);
  print_diags(compilation, false);
  print_diags(compilation, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 1 << 16) return 0;
  tsr_compilation *compilation = tsr_compilation_create();
  require(compilation != NULL);
  exercise(compilation, data, size);
  tsr_compilation_destroy(compilation);
  return 0;
}
