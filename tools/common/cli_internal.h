// SPDX-License-Identifier: Apache-2.0
// Shared by the files that read command tables; not for commands.
#ifndef COMMON_CLI_INTERNAL_H_
#define COMMON_CLI_INTERNAL_H_

#include "common/cli.h"

// One occurrence of an option, or one element of its list.
typedef struct tsr_arg {
  const tsr_option *option;
  const char *text;  // NULL for flags; borrowed from argv or the table
  uint64_t number;
  double real;
} tsr_arg;

// Options that every command has; ends with a NULL name.
extern const tsr_option tsr_common_options[];

typedef struct tsr_option_visit {
  const tsr_command *command;
  uint32_t index;
  bool common;
} tsr_option_visit;

// The command's own options, then the common ones; NULL at the end.
const tsr_option *tsr_option_next(tsr_option_visit *visit);
const tsr_option *tsr_option_find(const tsr_command *command, const char *name);
bool tsr_option_takes_value(const tsr_option *option);
bool tsr_option_is_list(const tsr_option *option);
const tsr_command *tsr_tool_find(const tsr_tool *tool, const char *name);

// Reads the words after the command. The strings of |argv| must outlive |cli|.
// Returns TSR_EXIT_OK or what the tool ends with, after saying why.
int tsr_cli_parse(tsr_cli *cli, int argc, char **argv);
void tsr_cli_fini(tsr_cli *cli);

// The texts made from the tables. |command| NULL: the tool itself.
void tsr_help_text(const tsr_tool *tool, const tsr_command *command, bool color,
                   unsigned width, tsr_buffer *out);
void tsr_help_usage(const tsr_tool *tool, const tsr_command *command,
                    tsr_buffer *out);
void tsr_help_man(const tsr_tool *tool, const tsr_command *command,
                  tsr_buffer *out);
void tsr_help_markdown(const tsr_tool *tool, tsr_buffer *out);
// Names of the tool's commands, NULL-terminated, for suggestions.
enum { TSR_COMMAND_LIMIT = 32 };
void tsr_tool_command_names(const tsr_tool *tool,
                            const char *out_names[TSR_COMMAND_LIMIT + 1]);
void tsr_completions_bash(const tsr_tool *tool, tsr_buffer *out);
void tsr_completions_zsh(const tsr_tool *tool, tsr_buffer *out);
void tsr_completions_fish(const tsr_tool *tool, tsr_buffer *out);

// A description in pieces: paragraphs to fill, and runs of lines that start
// with a space, to keep. False at the end.
typedef struct tsr_prose {
  const char *text;
  size_t size;
  bool kept;
} tsr_prose;

bool tsr_prose_next(const char **text, tsr_prose *out_piece);

// What the exit codes mean, one text per code; static storage.
extern const char *const tsr_exit_texts[4];

// Help pieces, as plain text: "-o, --output FILE" and the help with its range,
// choices and default.
void tsr_option_spelling(const tsr_option *option, tsr_buffer *out);
void tsr_option_help(const tsr_option *option, tsr_buffer *out);

const char *tsr_version(void);

#endif  // COMMON_CLI_INTERNAL_H_
