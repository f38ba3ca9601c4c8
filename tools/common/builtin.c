// SPDX-License-Identifier: Apache-2.0
// The commands that every tool has: help and completions.
#include <string.h>

#include "common/cli_internal.h"
#include "common/terminal.h"

static int print(const tsr_cli *cli, tsr_buffer *text) {
  tsr_error error = {0};
  tsr_status status = tsr_buffer_status(text, &error);
  if (status == TSR_OK) (void)fwrite(text->data, 1, text->size, cli->out);
  tsr_buffer_fini(text);
  return status == TSR_OK ? TSR_EXIT_OK : tsr_cli_fail(cli, &error);
}

static int run_help(tsr_cli *cli) {
  const tsr_command *command = NULL;
  if (cli->positional_count != 0) {
    const char *word = cli->positionals[0];
    command = tsr_tool_find(cli->tool, word);
    if (command == NULL) {
      const char *names[TSR_COMMAND_LIMIT + 1];
      tsr_tool_command_names(cli->tool, names);
      const char *meant = tsr_suggest_word(word, names);
      return tsr_cli_usage_error(cli, "unknown command '%s'%s%s%s", word,
                                 meant == NULL ? "" : "; did you mean '",
                                 meant == NULL ? "" : meant,
                                 meant == NULL ? "" : "'?");
    }
  }
  tsr_buffer text = {0};
  unsigned width = tsr_terminal_width(cli->out);
  if (tsr_cli_given(cli, "man")) {
    tsr_help_man(cli->tool, command, &text);
  } else if (tsr_cli_given(cli, "markdown")) {
    tsr_help_markdown(cli->tool, &text);
  } else if (tsr_cli_given(cli, "names")) {
    for (size_t i = 0; cli->tool->commands[i] != NULL; ++i) {
      tsr_buffer_printf(&text, "%s\n", cli->tool->commands[i]->name);
    }
  } else {
    tsr_help_text(cli->tool, command, cli->out_color, width > 100 ? 100 : width,
                  &text);
  }
  return print(cli, &text);
}

static const tsr_option help_options[] = {
    {.name = "man",
     .help = "write the manual page (roff), to read with `man -l -`",
     .group = "form"},
    {.name = "markdown",
     .help = "write the reference of all commands, as in docs/cli.md",
     .group = "form"},
    {.name = "names",
     .help = "print the names of the commands, one a line",
     .group = "form"},
    {0}};

static const tsr_positional help_positionals[] = {
    {.name = "COMMAND",
     .help = "the command to explain; without one: the tool",
     .type = TSR_OPTION_STRING,
     .maximum = 1},
    {0}};

const tsr_command tsr_command_help = {
    .name = "help",
    .summary = "explain a command",
    .description = "Shows what a command does, its options and its arguments.",
    .options = help_options,
    .positionals = help_positionals,
    .run = run_help,
};

static int run_completions(tsr_cli *cli) {
  tsr_buffer text = {0};
  const char *shell = cli->positionals[0];
  if (strcmp(shell, "bash") == 0) {
    tsr_completions_bash(cli->tool, &text);
  } else if (strcmp(shell, "zsh") == 0) {
    tsr_completions_zsh(cli->tool, &text);
  } else {
    tsr_completions_fish(cli->tool, &text);
  }
  return print(cli, &text);
}

static const char *const shells[] = {"bash", "zsh", "fish", NULL};

static const tsr_positional completions_positionals[] = {
    {.name = "SHELL",
     .help = "bash, zsh or fish",
     .type = TSR_OPTION_CHOICE,
     .choices = shells,
     .minimum = 1,
     .maximum = 1},
    {0}};

const tsr_command tsr_command_completions = {
    .name = "completions",
    .summary = "write a shell's completion script",
    .description =
        "Writes the script that makes a shell complete commands, options and "
        "their values.\n\n"
        "For bash, put it into ~/.local/share/bash-completion/completions "
        "under the name of the tool; for zsh, into a folder of $fpath with an "
        "underscore before the name; for fish, into "
        "~/.config/fish/completions with the suffix .fish.",
    .positionals = completions_positionals,
    .run = run_completions,
};
