// SPDX-License-Identifier: Apache-2.0
// The front end behind a command line, for the scripts of this suite:
//   plan_tool MODE FILE
// MODE: tokens, ast, plan, fmt, flatten, check, json, markdown. Diagnostics go
// to standard error, as tesserac prints them. Exit code 1: the plan has errors;
// 2: the machine failed.
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "frontend/frontend.h"

static void print_diags(tsr_compilation *compilation, bool json) {
  tsr_diag_print_options options = {false, json, TSR_ERROR_LIMIT_DEFAULT};
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_diag_print(tsr_compilation_diags(compilation),
                 tsr_compilation_sources(compilation), &options, &text);
  fputs(tsr_buffer_text(&text), json ? stdout : stderr);
  tsr_buffer_fini(&text);
}

static tsr_status emit(tsr_compilation *compilation, const char *mode,
                       const char *path, tsr_buffer *out, tsr_error *error) {
  tsr_ast *ast;
  tsr_plan *plan = NULL;
  if (strcmp(mode, "tokens") == 0) {
    return tsr_dump_tokens(compilation, path, out, error);
  }
  tsr_status status = tsr_parse_file(compilation, path, &ast, error);
  if (status != TSR_OK) return status;
  bool good = tsr_diag_error_count(tsr_compilation_diags(compilation)) == 0;
  if (strcmp(mode, "ast") == 0) tsr_ast_dump(ast, out);
  if (strcmp(mode, "fmt") == 0 && good) tsr_ast_format(ast, out);
  if (strcmp(mode, "flatten") == 0 && good) tsr_ast_flatten(ast, out);
  if (strcmp(mode, "plan") == 0 || strcmp(mode, "check") == 0 ||
      strcmp(mode, "json") == 0) {
    status = tsr_check(compilation, ast, &plan, error);
  }
  if (plan != NULL && strcmp(mode, "plan") == 0) tsr_plan_dump(plan, out);
  return status;
}

static int run(const char *mode, const char *path) {
  tsr_compilation *compilation = tsr_compilation_create();
  if (compilation == NULL) return 2;
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_error error = {0};
  tsr_status status = emit(compilation, mode, path, &out, &error);
  if (status != TSR_OK) fprintf(stderr, "%s\n", error.message);
  print_diags(compilation, strcmp(mode, "json") == 0);
  fwrite(tsr_buffer_text(&out), 1, out.size, stdout);
  bool bad = tsr_diag_error_count(tsr_compilation_diags(compilation)) != 0;
  tsr_buffer_fini(&out);
  tsr_compilation_destroy(compilation);
  return status != TSR_OK ? 2 : bad ? 1 : 0;
}

int main(int argc, char **argv) {
  // An application may do so; the front end must not care.
  (void)setlocale(LC_ALL, "");
  if (argc == 2 && strcmp(argv[1], "markdown") == 0) {
    tsr_buffer out;
    tsr_buffer_init(&out);
    tsr_diag_list_markdown(&out);
    fwrite(tsr_buffer_text(&out), 1, out.size, stdout);
    tsr_buffer_fini(&out);
    return 0;
  }
  if (argc != 3) {
    fprintf(stderr, "usage: plan_tool MODE FILE | plan_tool markdown\n");
    return 2;
  }
  return run(argv[1], argv[2]);
}
