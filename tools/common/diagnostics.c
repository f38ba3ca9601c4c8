// SPDX-License-Identifier: Apache-2.0
#include "common/diagnostics.h"

#include <string.h>

const char *const tsr_diagnostics_forms[] = {"text", "json", NULL};

bool tsr_cli_json_diagnostics(const tsr_cli *cli) {
  return strcmp(tsr_cli_string(cli, "diagnostics"), "json") == 0;
}

int tsr_cli_report(const tsr_cli *cli, tsr_compilation *compilation) {
  return tsr_cli_report_as(cli, compilation, tsr_cli_json_diagnostics(cli),
                           (uint32_t)tsr_cli_uint(cli, "error-limit"));
}

int tsr_cli_report_as(const tsr_cli *cli, tsr_compilation *compilation,
                      bool json, uint32_t error_limit) {
  const tsr_diags *diags = tsr_compilation_diags(compilation);
  const tsr_diag_print_options options = {
      .color = cli->err_color,
      .json = json,
      .error_limit = error_limit,
  };
  tsr_buffer text = {0};
  tsr_error error = {0};
  tsr_diag_print(diags, tsr_compilation_sources(compilation), &options, &text);
  tsr_status status = tsr_buffer_status(&text, &error);
  if (status == TSR_OK) {
    (void)fputs(tsr_buffer_text(&text), cli->err);
    (void)fflush(cli->err);
  }
  tsr_buffer_fini(&text);
  if (status != TSR_OK) return tsr_cli_fail(cli, &error);
  return tsr_diag_error_count(diags) == 0 ? TSR_EXIT_OK : TSR_EXIT_DIAGNOSED;
}
