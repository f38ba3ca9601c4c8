// SPDX-License-Identifier: Apache-2.0
// --help: the tables as text for a terminal.
#include <string.h>

#include "common/cli_internal.h"
#include "common/terminal.h"

enum { HELP_COLUMN = 28, INDENT = 2 };

static void spaces(tsr_buffer *out, size_t count) {
  for (size_t i = 0; i < count; ++i) tsr_buffer_append_char(out, ' ');
}

// Words of [text, text + size) in lines up to |width|, each line after the
// first indented; |column| is where the first starts.
static void fill(const char *text, size_t size, size_t indent, size_t column,
                 unsigned width, tsr_buffer *out) {
  bool first = true;
  for (size_t i = 0; i < size;) {
    size_t word = strcspn(text + i, " \n");
    if (word > size - i) word = size - i;
    size_t cells = tsr_text_width(text + i, word);
    if (word != 0 && !first && column + 1 + cells > width) {
      tsr_buffer_append_char(out, '\n');
      spaces(out, indent);
      column = indent;
    } else if (word != 0 && !first) {
      tsr_buffer_append_char(out, ' ');
      ++column;
    }
    tsr_buffer_append(out, text + i, word);
    column += cells;
    if (word != 0) first = false;
    i += word + 1;
  }
  tsr_buffer_append_char(out, '\n');
}

bool tsr_prose_next(const char **text, tsr_prose *out_piece) {
  const char *begin = *text;
  while (*begin == '\n') ++begin;
  if (*begin == '\0') return false;
  const char *end = begin;
  out_piece->kept = begin[0] == ' ';
  while (*end != '\0' && *end != '\n' && (*end == ' ') == out_piece->kept) {
    end += strcspn(end, "\n");
    if (*end == '\n') ++end;
  }
  *text = end;
  while (end > begin && end[-1] == '\n') --end;
  out_piece->text = begin;
  out_piece->size = (size_t)(end - begin);
  return true;
}

static void prose(const char *text, unsigned width, tsr_buffer *out) {
  tsr_prose piece;
  bool first = true;
  while (tsr_prose_next(&text, &piece)) {
    if (!first) tsr_buffer_append_char(out, '\n');
    first = false;
    if (piece.kept) {
      tsr_buffer_append(out, piece.text, piece.size);
      tsr_buffer_append_char(out, '\n');
    } else {
      fill(piece.text, piece.size, 0, 0, width, out);
    }
  }
}

static void heading(const char *text, bool color, tsr_buffer *out) {
  tsr_buffer_printf(out, "\n%s%s%s\n", tsr_style_code(color, TSR_STYLE_BOLD),
                    text, tsr_style_code(color, TSR_STYLE_NONE));
}

// Two columns; a long |left| takes a line of its own.
static void row(const char *left, const char *right, size_t column,
                unsigned width, tsr_buffer *out) {
  size_t cells = INDENT + tsr_text_width(left, strlen(left));
  spaces(out, INDENT);
  tsr_buffer_append_string(out, left);
  if (cells + 2 > column) {
    tsr_buffer_append_char(out, '\n');
    cells = 0;
  }
  spaces(out, column - cells);
  fill(right, strlen(right), column, column, width, out);
}

void tsr_option_spelling(const tsr_option *option, tsr_buffer *out) {
  bool single = option->letters != NULL && strlen(option->letters) == 1;
  if (option->letters != NULL) {
    tsr_buffer_printf(out, "-%s, ", option->letters);
  }
  tsr_buffer_printf(out, "%s--%s", single || option->letters ? "" : "    ",
                    option->name);
  if (!tsr_option_takes_value(option)) return;
  if (option->implied != NULL) {
    tsr_buffer_printf(out, "[=%s]", option->value);
  } else {
    tsr_buffer_printf(out, " %s", option->value);
  }
}

void tsr_option_help(const tsr_option *option, tsr_buffer *out) {
  tsr_buffer_append_string(out, option->help);
  if (option->choices != NULL) {
    tsr_buffer_append_string(out, ": ");
    for (size_t i = 0; option->choices[i] != NULL; ++i) {
      tsr_buffer_printf(out, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
    }
  }
  if (option->default_text != NULL && option->default_text[0] != '\0') {
    tsr_buffer_printf(out, " (default: %s)", option->default_text);
  } else if (option->required) {
    tsr_buffer_append_string(out, " (required)");
  }
}

static void positional_usage(const tsr_positional *row_, tsr_buffer *out) {
  const char *dots = row_->maximum > 1 ? "..." : "";
  if (row_->minimum == 0) {
    tsr_buffer_printf(out, " [%s%s]", row_->name, dots);
  } else {
    tsr_buffer_printf(out, " %s%s", row_->name, dots);
  }
}

void tsr_help_usage(const tsr_tool *tool, const tsr_command *command,
                    tsr_buffer *out) {
  tsr_buffer_append_string(out, tool->name);
  if (command == NULL) {
    tsr_buffer_append_string(out, " COMMAND [OPTIONS] [ARGUMENTS]");
    return;
  }
  tsr_buffer_printf(out, " %s [OPTIONS]", command->name);
  const tsr_option *options = command->options;
  for (size_t i = 0; options != NULL && options[i].name != NULL; ++i) {
    if (!options[i].required) continue;
    tsr_buffer_printf(out, " --%s %s", options[i].name, options[i].value);
  }
  const tsr_positional *rows = command->positionals;
  for (size_t i = 0; rows != NULL && rows[i].name != NULL; ++i) {
    positional_usage(&rows[i], out);
  }
}

static void option_rows(const tsr_option *options, unsigned width,
                        tsr_buffer *out) {
  tsr_buffer left = {0};
  tsr_buffer right = {0};
  for (size_t i = 0; options[i].name != NULL; ++i) {
    tsr_buffer_clear(&left);
    tsr_buffer_clear(&right);
    tsr_option_spelling(&options[i], &left);
    tsr_option_help(&options[i], &right);
    row(tsr_buffer_text(&left), tsr_buffer_text(&right), HELP_COLUMN, width,
        out);
  }
  if (left.failed || right.failed) out->failed = true;
  tsr_buffer_fini(&left);
  tsr_buffer_fini(&right);
}

static void command_sections(const tsr_command *command, bool color,
                             unsigned width, tsr_buffer *out) {
  const tsr_positional *rows = command->positionals;
  if (rows != NULL && rows[0].name != NULL) heading("Arguments:", color, out);
  for (size_t i = 0; rows != NULL && rows[i].name != NULL; ++i) {
    row(rows[i].name, rows[i].help, HELP_COLUMN, width, out);
  }
  if (command->options != NULL && command->options[0].name != NULL) {
    heading("Options:", color, out);
    option_rows(command->options, width, out);
  }
  heading("Common options:", color, out);
  option_rows(tsr_common_options, width, out);
  const tsr_example *examples = command->examples;
  if (examples != NULL) heading("Examples:", color, out);
  for (size_t i = 0; examples != NULL && examples[i].line != NULL; ++i) {
    tsr_buffer_printf(out, "  %s\n", examples[i].line);
    spaces(out, 6);
    fill(examples[i].what, strlen(examples[i].what), 6, 6, width, out);
  }
}

static void tool_sections(const tsr_tool *tool, bool color, unsigned width,
                          tsr_buffer *out) {
  heading("Commands:", color, out);
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    row(tool->commands[i]->name, tool->commands[i]->summary, 16, width, out);
  }
  heading("Options:", color, out);
  row("-h, --help", "show this help and exit", 16, width, out);
  row("--version", "show the version and exit", 16, width, out);
  tsr_buffer_printf(out,
                    "\nExit codes: 0 success, 1 the input is wrong, 2 the "
                    "command line is wrong,\n3 the machine failed. See '%s "
                    "COMMAND --help' for one command.\n",
                    tool->name);
}

void tsr_help_text(const tsr_tool *tool, const tsr_command *command, bool color,
                   unsigned width, tsr_buffer *out) {
  const char *name = command == NULL ? "" : command->name;
  tsr_buffer_printf(out, "%s%s%s - %s\n\n%sUsage:%s ", tool->name,
                    command == NULL ? "" : " ", name,
                    command == NULL ? tool->summary : command->summary,
                    tsr_style_code(color, TSR_STYLE_BOLD),
                    tsr_style_code(color, TSR_STYLE_NONE));
  tsr_help_usage(tool, command, out);
  tsr_buffer_append_string(out, "\n\n");
  prose(command == NULL ? tool->description : command->description, width, out);
  if (command == NULL) {
    tool_sections(tool, color, width, out);
  } else {
    command_sections(command, color, width, out);
  }
}
