// SPDX-License-Identifier: Apache-2.0
// The command line as data. A tool is a table of commands; a command is a
// table of options and positionals and one function. From these tables come
// parsing with exact errors, --help, man pages, shell completions and
// docs/cli.md, so that none of them can disagree with another.
//
// A command of one's own, in its own file:
//
//   static const tsr_option options[] = {
//       {.name = "output", .letters = "o", .type = TSR_OPTION_FILE,
//        .value = "FILE", .help = "write to FILE", .required = true},
//       {.name = "jobs", .letters = "j", .type = TSR_OPTION_UINT, .value = "N",
//        .help = "work on N layers at a time", .default_text = "1",
//        .minimum = 1, .maximum = 1024},
//       {0}};
//   static const tsr_positional positionals[] = {
//       {.name = "PLAN", .help = "the plan, or - for standard input",
//        .type = TSR_OPTION_FILE, .minimum = 1, .maximum = 1}, {0}};
//   static int run(tsr_cli *cli) {
//     const char *output = tsr_cli_string(cli, "output");
//     ...
//     return status == TSR_OK ? TSR_EXIT_OK : tsr_cli_fail(cli, &error);
//   }
//   const tsr_command tsr_command_pack = {
//       .name = "pack", .summary = "pack a plan", .description = "...",
//       .options = options, .positionals = positionals, .run = run};
//
// then `extern const tsr_command tsr_command_pack;` and a line in the tool's
// commands.c. Every command also has --help, --version, --color and --quiet.
#ifndef COMMON_CLI_H_
#define COMMON_CLI_H_

#include <stdio.h>

#include "base/buffer.h"
#include "base/status.h"

// Exit codes of both tools. An interrupted command ends by the signal itself,
// which a shell shows as 128 + its number.
typedef enum tsr_exit {
  TSR_EXIT_OK = 0,
  TSR_EXIT_DIAGNOSED = 1,  // an input is missing or wrong
  TSR_EXIT_USAGE = 2,      // the command line makes no sense
  TSR_EXIT_FAILURE = 3,    // the machine: files, memory, missing features
} tsr_exit;

typedef enum tsr_option_type {
  TSR_OPTION_FLAG,         // no value
  TSR_OPTION_STRING,       // any text
  TSR_OPTION_FILE,         // a path; completed as one
  TSR_OPTION_DIRECTORY,    // likewise, folders only
  TSR_OPTION_UINT,         // decimal, minimum..maximum
  TSR_OPTION_REAL,         // decimal fraction, minimum..maximum; '.' always
  TSR_OPTION_CHOICE,       // one of |choices|
  TSR_OPTION_UINT_LIST,    // comma-separated; may be given several times
  TSR_OPTION_CHOICE_LIST,  // likewise
} tsr_option_type;

typedef struct tsr_option {
  const char *name;     // long name without dashes; a NULL ends the table
  const char *letters;  // "o" for -o; "MD" for -MD (one dash, not clustered)
  tsr_option_type type;
  const char *value;           // name of the value in help: "FILE"
  const char *help;            // lower case, no full stop
  const char *default_text;    // as if given so; NULL: none
  const char *const *choices;  // NULL-terminated
  double minimum, maximum;     // numbers; both 0: no limit
  // Given without "=VALUE", the option means this and takes no further word.
  const char *implied;
  const char *group;  // options with equal groups exclude each other
  bool required;
  bool repeatable;  // keep every occurrence (lists always do)
} tsr_option;

typedef struct tsr_positional {
  const char *name;  // "PLAN"; a NULL ends the table
  const char *help;
  tsr_option_type type;        // FILE, DIRECTORY, STRING or CHOICE
  const char *const *choices;  // NULL-terminated, CHOICE only
  uint32_t minimum;            // 0 or more
  uint32_t maximum;            // UINT32_MAX: any number; the last row only
} tsr_positional;

typedef struct tsr_example {
  const char *line;  // "tesserac check model.tess"; a NULL ends the table
  const char *what;
} tsr_example;

typedef struct tsr_cli tsr_cli;

typedef struct tsr_command {
  const char *name;
  const char *summary;  // one line, lower case, no full stop
  // Paragraphs parted by blank lines; a line that starts with a space is kept
  // as it is, others are filled.
  const char *description;
  const tsr_option *options;          // NULL: none
  const tsr_positional *positionals;  // NULL: none
  const tsr_example *examples;        // NULL: none
  // The command asks tsr_interrupted() between steps and cleans up itself. The
  // others end at the first signal, temporary files removed.
  bool polls_interrupt;
  int (*run)(tsr_cli *cli);  // returns a tsr_exit
} tsr_command;

typedef struct tsr_tool {
  const char *name;
  const char *summary;
  const char *description;
  const tsr_command *const *commands;  // NULL-terminated, in order of help
} tsr_tool;

struct tsr_arg;

// One invocation. The fields are for reading.
struct tsr_cli {
  const tsr_tool *tool;
  const tsr_command *command;
  FILE *out;  // results
  FILE *err;  // diagnostics, progress
  bool out_color;
  bool err_color;
  bool utf8;   // the locale's character set; else ASCII only
  bool quiet;  // -q
  const char *const *positionals;
  uint32_t positional_count;
  struct tsr_arg *args;  // private
  uint32_t arg_count;
};

// The whole of main: parses, runs, cleans up. Returns the exit code.
int tsr_cli_main(const tsr_tool *tool, int argc, char **argv);

// ---- What the user asked for. |name| must be in the command's table. --------

// True when the option stands on the command line (defaults do not count).
bool tsr_cli_given(const tsr_cli *cli, const char *name);
// The last value, or the default, or NULL. Also for choices.
const char *tsr_cli_string(const tsr_cli *cli, const char *name);
// The last value, or the default, or 0.
uint64_t tsr_cli_uint(const tsr_cli *cli, const char *name);
double tsr_cli_real(const tsr_cli *cli, const char *name);
// Lists and repeatable options: how many values (of the default, when none was
// given), and each of them.
uint32_t tsr_cli_count(const tsr_cli *cli, const char *name);
const char *tsr_cli_string_at(const tsr_cli *cli, const char *name,
                              uint32_t index);
uint64_t tsr_cli_uint_at(const tsr_cli *cli, const char *name, uint32_t index);
// True when the list holds |value|.
bool tsr_cli_has(const tsr_cli *cli, const char *name, const char *value);

// ---- Saying what went wrong -------------------------------------------------

// "tesserac: error: MESSAGE" on standard error.
void tsr_cli_error(const tsr_cli *cli, const char *format, ...)
    TSR_PRINTF(2, 3);
void tsr_cli_warning(const tsr_cli *cli, const char *format, ...)
    TSR_PRINTF(2, 3);
// Unless -q: a plain line on standard error.
void tsr_cli_note(const tsr_cli *cli, const char *format, ...) TSR_PRINTF(2, 3);
// "tesserac check: MESSAGE" and where to find help. Returns TSR_EXIT_USAGE.
int tsr_cli_usage_error(const tsr_cli *cli, const char *format, ...)
    TSR_PRINTF(2, 3);
// Prints the error (nothing for TSR_CANCELLED) and returns its exit code.
int tsr_cli_fail(const tsr_cli *cli, const tsr_error *error);

// Ends a text for standard output: prints it when |status|, what became of its
// making, and the buffer are sound. Frees |text|; returns the first failure.
TSR_MUST_USE tsr_status tsr_cli_print(const tsr_cli *cli, tsr_status status,
                                      tsr_buffer *text, tsr_error *error);

// The word of |words| (NULL-terminated) that |word| was meant to be, or NULL.
const char *tsr_suggest_word(const char *word, const char *const *words);

// ---- Commands that every tool has -------------------------------------------

extern const tsr_command tsr_command_help;
extern const tsr_command tsr_command_completions;

#endif  // COMMON_CLI_H_
