// SPDX-License-Identifier: Apache-2.0
// tesserac explain: what a diagnostic's code means and what to do about it.
#include <ctype.h>

#include "common/table.h"
#include "frontend/frontend.h"
#include "tesserac/commands.h"

typedef struct code_row {
  const char *code;
  const char *title;
} code_row;

static const code_row rows[] = {
#define TSR_DIAG(name, severity, code, title, explanation) {code, title},
#include "frontend/diag_codes.def"
#undef TSR_DIAG
};

static const char *const codes[] = {
#define TSR_DIAG(name, severity, code, title, explanation) code,
#include "frontend/diag_codes.def"
#undef TSR_DIAG
    NULL};

static int print(const tsr_cli *cli, tsr_buffer *text, tsr_status status,
                 tsr_error *error) {
  status = tsr_cli_print(cli, status, text, error);
  return status == TSR_OK ? TSR_EXIT_OK : tsr_cli_fail(cli, error);
}

static int list(const tsr_cli *cli) {
  static const char *const headers[] = {"<code", "<meaning", NULL};
  tsr_buffer text = {0};
  tsr_error error = {0};
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
    tsr_table_cell(table, "%s", rows[i].code);
    tsr_table_cell(table, "%s", rows[i].title);
  }
  tsr_status status =
      tsr_table_render(table, cli->utf8, cli->out_color, &text, &error);
  tsr_table_destroy(table);
  return print(cli, &text, status, &error);
}

static int explain(const tsr_cli *cli, const char *code) {
  tsr_buffer text = {0};
  tsr_error error = {0};
  if (tsr_diag_explain(code, &text)) {
    return print(cli, &text, TSR_OK, &error);
  }
  tsr_buffer_fini(&text);
  char upper[16] = "";
  for (size_t i = 0; code[i] != '\0' && i < sizeof(upper) - 1; ++i) {
    upper[i] = (char)toupper((unsigned char)code[i]);
  }
  const char *meant = tsr_suggest_word(upper, codes);
  if (meant != NULL) {
    return tsr_cli_usage_error(cli, "no code '%s'; did you mean '%s'?", code,
                               meant);
  }
  return tsr_cli_usage_error(cli, "no code '%s'; see --list", code);
}

static int run(tsr_cli *cli) {
  if (tsr_cli_given(cli, "list")) return list(cli);
  if (tsr_cli_given(cli, "markdown")) {
    tsr_buffer text = {0};
    tsr_error error = {0};
    tsr_diag_list_markdown(&text);
    return print(cli, &text, TSR_OK, &error);
  }
  if (cli->positional_count == 0) {
    return tsr_cli_usage_error(cli, "CODE is missing");
  }
  return explain(cli, cli->positionals[0]);
}

static const tsr_option options[] = {
    {.name = "list", .help = "print all codes", .group = "what"},
    {.name = "markdown",
     .help = "write all explanations, as in docs/errors.md",
     .group = "what"},
    {0}};

static const tsr_positional positionals[] = {
    {.name = "CODE",
     .help = "the code in brackets of a message: TSR-E001",
     .type = TSR_OPTION_STRING,
     .choices = codes,
     .maximum = 1},
    {0}};

static const tsr_example examples[] = {
    {"tesserac explain TSR-E001", "what a syntax error is"}, {0}};

const tsr_command tsr_command_explain = {
    .name = "explain",
    .summary = "explain a message's code",
    .description =
        "Every mistake that tesserac reports has a code that never changes its "
        "meaning. This prints the meaning, and what to do.",
    .options = options,
    .positionals = positionals,
    .examples = examples,
    .run = run,
};
