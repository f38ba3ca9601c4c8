// SPDX-License-Identifier: Apache-2.0
// The help command, the same in every tool.
#include "common/cli_internal.h"
#include "common/terminal.h"

static int run_help(tsr_cli *cli) {
  const tsr_command *command = NULL;
  if (cli->positional_count != 0) {
    command = tsr_tool_find(cli->tool, cli->positionals[0]);
    if (command == NULL) {
      return tsr_cli_usage_error(cli, "unknown command '%s'",
                                 cli->positionals[0]);
    }
  }
  tsr_buffer text = {0};
  unsigned width = tsr_terminal_width(cli->out);
  tsr_help_text(cli->tool, command, cli->out_color, width > 100 ? 100 : width,
                &text);
  (void)fputs(tsr_buffer_text(&text), cli->out);
  tsr_error error = {0};
  tsr_status status = tsr_buffer_status(&text, &error);
  tsr_buffer_fini(&text);
  return status == TSR_OK ? TSR_EXIT_OK : tsr_cli_fail(cli, &error);
}

static const tsr_positional help_positionals[] = {
    {.name = "COMMAND",
     .help = "the command to explain; none: the tool",
     .type = TSR_OPTION_STRING,
     .maximum = 1},
    {0}};

const tsr_command tsr_command_help = {
    .name = "help",
    .summary = "explain a command",
    .description = "Shows what a command does, its options and its arguments.",
    .positionals = help_positionals,
    .run = run_help,
};
