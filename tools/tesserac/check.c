// SPDX-License-Identifier: Apache-2.0
// tesserac check: everything that can be wrong with a plan, without compiling.
#include <string.h>

#include "common/diagnostics.h"
#include "common/rows.h"
#include "common/terminal.h"
#include "compiler/import.h"
#include "tesserac/commands.h"

// Binds every layer to its tensors; mistakes are diagnostics.
static tsr_status check_inputs(tsr_compilation *compilation,
                               const tsr_plan *plan, tsr_error *error) {
  tsr_diags *diags = tsr_compilation_diags(compilation);
  tsr_inputs *inputs = NULL;
  tsr_status status = tsr_inputs_open(plan, NULL, diags, &inputs, error);
  if (status != TSR_OK || inputs == NULL) return status;
  for (uint32_t i = 0; i < plan->layer_count && status == TSR_OK; ++i) {
    tsr_matrix *matrix = NULL;
    status = tsr_matrix_open(inputs, &plan->layers[i], diags, &matrix, error);
    tsr_matrix_close(matrix);
  }
  tsr_inputs_close(inputs);
  return status;
}

static tsr_status check(const tsr_cli *cli, tsr_compilation *compilation,
                        const tsr_plan **out_plan, tsr_error *error) {
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  tsr_status status =
      tsr_parse_file(compilation, cli->positionals[0], &ast, error);
  // After syntax errors too: what could be recovered is checked, and nothing
  // is said to be missing.
  if (status == TSR_OK && ast != NULL) {
    status = tsr_check(compilation, ast, &plan, error);
  }
  if (status == TSR_OK && plan != NULL && !tsr_cli_given(cli, "no-inputs")) {
    status = check_inputs(compilation, plan, error);
  }
  *out_plan = plan;
  return status;
}

static int run(tsr_cli *cli) {
  tsr_error error = {0};
  const tsr_plan *plan = NULL;
  tsr_compilation *compilation = tsr_compilation_create();
  tsr_status status = compilation == NULL
                          ? tsr_error_out_of_memory(&error)
                          : check(cli, compilation, &plan, &error);
  int code =
      compilation == NULL ? TSR_EXIT_FAILURE : tsr_cli_report(cli, compilation);
  if (status != TSR_OK) {
    code = tsr_cli_fail(cli, &error);
  } else if (code == TSR_EXIT_OK && plan != NULL &&
             !tsr_cli_json_diagnostics(cli)) {
    const char *path = cli->positionals[0];
    tsr_cli_note(cli, "%s: correct, %s",
                 strcmp(path, "-") == 0 ? "<stdin>" : path,
                 tsr_format_plural(plan->layer_count, "layer").text);
  }
  tsr_compilation_destroy(compilation);
  return code;
}

static const tsr_option options[] = {
    {.name = "no-inputs",
     .help = "do not open weights and masks; check the text alone"},
    TSR_OPTIONS_DIAGNOSTICS,
    {0}};

static const tsr_example examples[] = {
    {"tesserac check model.tess",
     "report every mistake in the plan and in "
     "the files that it names"},
    {"tesserac check --no-inputs --diagnostics=json -",
     "for an editor: the text from standard input, the reports as JSON on "
     "standard error"},
    {0}};

const tsr_command tsr_command_check = {
    .name = "check",
    .summary = "report the mistakes in a plan",
    .description =
        "Reads the plan with everything that it includes, checks its meaning, "
        "opens the weights and masks that it names, finds every layer's "
        "tensors and checks their shapes and the plan's rules about kinds of "
        "tiles. All mistakes are reported, each with its place and a code "
        "that `tesserac explain` knows.",
    .options = options,
    .positionals = tsr_positionals_plan,
    .examples = examples,
    .run = run,
};
