// SPDX-License-Identifier: Apache-2.0
// The way from main to a command and back: finding the command, --help and
// --version, messages, exit codes, and that what was printed has arrived.
#include "common/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/suggest.h"
#include "common/cli_internal.h"
#include "common/interrupt.h"
#include "common/terminal.h"

const char *tsr_version(void) {
  return TESSERA_VERSION;
}

const tsr_command *tsr_tool_find(const tsr_tool *tool, const char *name) {
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    if (strcmp(tool->commands[i]->name, name) == 0) return tool->commands[i];
  }
  return NULL;
}

void tsr_tool_command_names(const tsr_tool *tool,
                            const char *out_names[TSR_COMMAND_LIMIT + 1]) {
  size_t count = 0;
  while (count < TSR_COMMAND_LIMIT && tool->commands[count] != NULL) {
    out_names[count] = tool->commands[count]->name;
    ++count;
  }
  out_names[count] = NULL;
}

const char *tsr_suggest_word(const char *word, const char *const *words) {
  uint32_t count = 0;
  while (words[count] != NULL) ++count;
  return tsr_suggest(word, (uint32_t)strlen(word), words, count);
}

const char *const tsr_exit_texts[4] = {
    "success",
    "an input is missing or wrong; the messages say what",
    "the command line makes no sense",
    "the machine failed: files, memory, or something that is missing here",
};

// ---- Messages ---------------------------------------------------------------

static void say(const tsr_cli *cli, tsr_style style, const char *word,
                const char *format, va_list args) TSR_PRINTF(4, 0);

static void say(const tsr_cli *cli, tsr_style style, const char *word,
                const char *format, va_list args) {
  (void)fprintf(cli->err, "%s: %s%s%s", cli->tool->name,
                tsr_style_code(cli->err_color, style), word,
                tsr_style_code(cli->err_color, TSR_STYLE_NONE));
  (void)vfprintf(cli->err, format, args);
  (void)fputc('\n', cli->err);
}

void tsr_cli_error(const tsr_cli *cli, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(cli, TSR_STYLE_ERROR, "error: ", format, args);
  va_end(args);
}

void tsr_cli_warning(const tsr_cli *cli, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(cli, TSR_STYLE_WARNING, "warning: ", format, args);
  va_end(args);
}

void tsr_cli_note(const tsr_cli *cli, const char *format, ...) {
  if (cli->quiet) return;
  va_list args;
  va_start(args, format);
  (void)vfprintf(cli->err, format, args);
  (void)fputc('\n', cli->err);
  va_end(args);
}

int tsr_cli_usage_error(const tsr_cli *cli, const char *format, ...) {
  const char *space = cli->command == NULL ? "" : " ";
  const char *command = cli->command == NULL ? "" : cli->command->name;
  va_list args;
  va_start(args, format);
  (void)fprintf(cli->err, "%s%s%s: ", cli->tool->name, space, command);
  (void)vfprintf(cli->err, format, args);
  (void)fprintf(cli->err, "\nTry '%s%s%s --help'.\n", cli->tool->name, space,
                command);
  va_end(args);
  return TSR_EXIT_USAGE;
}

int tsr_cli_fail(const tsr_cli *cli, const tsr_error *error) {
  tsr_status status = error->status;
  if (status == TSR_CANCELLED) return TSR_EXIT_FAILURE;
  tsr_cli_error(
      cli, "%s",
      error->message[0] != '\0' ? error->message : tsr_status_name(status));
  switch (status) {
    case TSR_INVALID_ARGUMENT:
    case TSR_NOT_FOUND:
    case TSR_CORRUPT:
    case TSR_MISMATCH:
      return TSR_EXIT_DIAGNOSED;
    case TSR_OK:
    case TSR_OUT_OF_MEMORY:
    case TSR_IO:
    case TSR_UNSUPPORTED:
    case TSR_CANCELLED:
    case TSR_INTERNAL:
      break;
  }
  return TSR_EXIT_FAILURE;
}

tsr_status tsr_cli_print(const tsr_cli *cli, tsr_status status,
                         tsr_buffer *text, tsr_error *error) {
  if (status == TSR_OK) status = tsr_buffer_status(text, error);
  if (status == TSR_OK) (void)fputs(tsr_buffer_text(text), cli->out);
  tsr_buffer_fini(text);
  return status;
}

// ---- Running ----------------------------------------------------------------

static int show_help(const tsr_cli *cli) {
  tsr_buffer text = {0};
  unsigned width = tsr_terminal_width(cli->out);
  tsr_help_text(cli->tool, cli->command, cli->out_color,
                width > 100 ? 100 : width, &text);
  (void)fputs(tsr_buffer_text(&text), cli->out);
  bool failed = text.failed;
  tsr_buffer_fini(&text);
  if (!failed) return TSR_EXIT_OK;
  tsr_cli_error(cli, "out of memory");
  return TSR_EXIT_FAILURE;
}

static int show_version(const tsr_cli *cli) {
  (void)fprintf(cli->out, "%s %s\n", cli->tool->name, tsr_version());
  return TSR_EXIT_OK;
}

static void set_colors(tsr_cli *cli) {
  static const char *const words[] = {"auto", "always", "never"};
  const char *word =
      cli->command == NULL ? "auto" : tsr_cli_string(cli, "color");
  tsr_color_when when = TSR_COLOR_AUTO;
  for (int i = 0; i < 3; ++i) {
    if (strcmp(word, words[i]) == 0) when = (tsr_color_when)i;
  }
  cli->out_color = tsr_terminal_color(cli->out, when);
  cli->err_color = tsr_terminal_color(cli->err, when);
}

static int run_command(tsr_cli *cli, int argc, char **argv) {
  int code = tsr_cli_parse(cli, argc, argv);
  if (code != TSR_EXIT_OK) return code;
  set_colors(cli);
  cli->quiet = tsr_cli_given(cli, "quiet");
  if (tsr_cli_given(cli, "help")) return show_help(cli);
  if (tsr_cli_given(cli, "version")) return show_version(cli);
  tsr_interrupt_install(cli->command->polls_interrupt);
  return cli->command->run(cli);
}

static int unknown_command(const tsr_cli *cli, const char *word) {
  const char *names[TSR_COMMAND_LIMIT + 1];
  tsr_tool_command_names(cli->tool, names);
  const char *what = word[0] == '-' ? "option" : "command";
  const char *meant = word[0] == '-' ? NULL : tsr_suggest_word(word, names);
  if (meant != NULL) {
    return tsr_cli_usage_error(cli, "unknown command '%s'; did you mean '%s'?",
                               word, meant);
  }
  return tsr_cli_usage_error(cli, "unknown %s '%s'", what, word);
}

static int dispatch(tsr_cli *cli, int argc, char **argv) {
  const char *word = argc > 1 ? argv[1] : NULL;
  if (word == NULL) {
    tsr_buffer usage = {0};
    tsr_help_text(cli->tool, NULL, false, 80, &usage);
    (void)fputs(tsr_buffer_text(&usage), cli->err);
    tsr_buffer_fini(&usage);
    return TSR_EXIT_USAGE;
  }
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
    return show_help(cli);
  }
  if (strcmp(word, "--version") == 0) return show_version(cli);
  cli->command = tsr_tool_find(cli->tool, word);
  if (cli->command == NULL) return unknown_command(cli, word);
  return run_command(cli, argc - 2, argv + 2);
}

// errno is long gone when a command wrote on after the failure; a pipe without
// a reader can still be told.
static bool reader_is_gone(FILE *file) {
  struct pollfd state = {.fd = fileno(file), .events = POLLOUT};
  return poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

// What was printed must have arrived: a full disk is an error, a reader who
// has gone (`| head`) is not worth a word.
static int finish_output(const tsr_cli *cli, int code) {
  errno = 0;
  bool failed = fflush(cli->out) != 0 || ferror(cli->out) != 0;
  if (!failed) return code;
  int number = errno;
  if (number == EPIPE || reader_is_gone(cli->out)) {
    (void)signal(SIGPIPE, SIG_DFL);
    (void)raise(SIGPIPE);
  }
  // A command that failed for the same reason has said so.
  if (code == TSR_EXIT_FAILURE) return code;
  tsr_cli_error(cli, "cannot write the output: %s",
                number == 0 ? "write error" : strerror(number));
  return code == TSR_EXIT_OK ? TSR_EXIT_FAILURE : code;
}

int tsr_cli_main(const tsr_tool *tool, int argc, char **argv) {
  tsr_locale_init();
  (void)signal(SIGPIPE, SIG_IGN);  // so that clean-up runs; see finish_output
  tsr_cli cli = {.tool = tool, .out = stdout, .err = stderr};
  cli.utf8 = tsr_terminal_utf8();
  set_colors(&cli);
  int code = dispatch(&cli, argc, argv);
  code = finish_output(&cli, code);
  tsr_cli_fini(&cli);
  tsr_interrupt_finish();
  return code;
}
