// SPDX-License-Identifier: Apache-2.0
// The tables as manual pages (man(7) macros) and as Markdown (docs/cli.md).
// No date is written: the same build gives the same bytes.
#include <ctype.h>
#include <string.h>

#include "common/cli_internal.h"

// ---- Manual pages -----------------------------------------------------------

// Text that roff must not interpret, for the inside of a line.
static void roff(const char *text, size_t size, bool line_start,
                 tsr_buffer *out) {
  for (size_t i = 0; i < size; ++i) {
    char c = text[i];
    if (line_start && (c == '.' || c == '\'')) {
      tsr_buffer_append_string(out, "\\&");
    }
    line_start = c == '\n';
    if (c == '\\') {
      tsr_buffer_append_string(out, "\\e");
    } else if (c == '-') {
      tsr_buffer_append_string(out, "\\-");
    } else if (c == '\'') {
      tsr_buffer_append_string(out, "\\(aq");
    } else if (c == '"') {
      tsr_buffer_append_string(out, "\\(dq");
    } else {
      tsr_buffer_append_char(out, c);
    }
  }
}

static void roff_line(const char *text, tsr_buffer *out) {
  roff(text, strlen(text), true, out);
  tsr_buffer_append_char(out, '\n');
}

static void section(const char *name, tsr_buffer *out) {
  tsr_buffer_printf(out, ".SH %s\n", name);
}

static void page_name(const tsr_tool *tool, const tsr_command *command,
                      tsr_buffer *out) {
  tsr_buffer_append_string(out, tool->name);
  if (command != NULL) tsr_buffer_printf(out, "-%s", command->name);
}

static void man_title(const tsr_tool *tool, const tsr_command *command,
                      tsr_buffer *out) {
  tsr_buffer name = {0};
  page_name(tool, command, &name);
  tsr_buffer_append_string(out, ".TH \"");
  for (size_t i = 0; i < name.size; ++i) {
    tsr_buffer_append_char(out, (char)toupper((unsigned char)name.data[i]));
  }
  tsr_buffer_printf(out, "\" \"1\" \"\" \"Tessera %s\" \"Tessera manual\"\n",
                    tsr_version());
  section("NAME", out);
  roff(tsr_buffer_text(&name), name.size, true, out);
  tsr_buffer_append_string(out, " \\- ");
  roff_line(command == NULL ? tool->summary : command->summary, out);
  section("SYNOPSIS", out);
  tsr_buffer_clear(&name);
  tsr_help_usage(tool, command, &name);
  tsr_buffer_append_string(out, ".B ");
  roff_line(tsr_buffer_text(&name), out);
  if (name.failed) out->failed = true;
  tsr_buffer_fini(&name);
}

static void man_prose(const char *text, tsr_buffer *out) {
  tsr_prose piece;
  section("DESCRIPTION", out);
  for (bool first = true; tsr_prose_next(&text, &piece); first = false) {
    if (!first) tsr_buffer_append_string(out, ".PP\n");
    if (piece.kept) tsr_buffer_append_string(out, ".nf\n");
    roff(piece.text, piece.size, true, out);
    tsr_buffer_append_char(out, '\n');
    if (piece.kept) tsr_buffer_append_string(out, ".fi\n");
  }
}

static void man_item(const char *term, const char *text, tsr_buffer *out) {
  tsr_buffer_append_string(out, ".TP\n.B ");
  roff_line(term + strspn(term, " "), out);
  roff_line(text, out);
}

static void man_options(const tsr_option *options, tsr_buffer *out) {
  tsr_buffer term = {0};
  tsr_buffer text = {0};
  for (size_t i = 0; options != NULL && options[i].name != NULL; ++i) {
    tsr_buffer_clear(&term);
    tsr_buffer_clear(&text);
    tsr_option_spelling(&options[i], &term);
    tsr_option_help(&options[i], &text);
    man_item(tsr_buffer_text(&term), tsr_buffer_text(&text), out);
  }
  if (term.failed || text.failed) out->failed = true;
  tsr_buffer_fini(&term);
  tsr_buffer_fini(&text);
}

static void man_command(const tsr_command *command, tsr_buffer *out) {
  const tsr_positional *rows = command->positionals;
  if (rows != NULL && rows[0].name != NULL) section("ARGUMENTS", out);
  for (size_t i = 0; rows != NULL && rows[i].name != NULL; ++i) {
    man_item(rows[i].name, rows[i].help, out);
  }
  section("OPTIONS", out);
  man_options(command->options, out);
  man_options(tsr_common_options, out);
  const tsr_example *examples = command->examples;
  if (examples != NULL) section("EXAMPLES", out);
  for (size_t i = 0; examples != NULL && examples[i].line != NULL; ++i) {
    man_item(examples[i].line, examples[i].what, out);
  }
}

static void man_tool(const tsr_tool *tool, tsr_buffer *out) {
  section("COMMANDS", out);
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    man_item(tool->commands[i]->name, tool->commands[i]->summary, out);
  }
  section("ENVIRONMENT", out);
  man_item("NO_COLOR", "set and not empty: no colours unless asked for", out);
  man_item("COLUMNS, LINES", "size of the screen where it is no terminal", out);
}

static void man_end(const tsr_tool *tool, const tsr_command *command,
                    tsr_buffer *out) {
  section("EXIT STATUS", out);
  for (int i = 0; i < 4; ++i) {
    char code[2] = {(char)('0' + i), '\0'};
    man_item(code, tsr_exit_texts[i], out);
  }
  section("SEE ALSO", out);
  if (command != NULL) {
    tsr_buffer_printf(out, ".BR %s (1)\n", tool->name);
    return;
  }
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    tsr_buffer_printf(out, ".BR %s\\-%s (1)%s\n", tool->name,
                      tool->commands[i]->name,
                      tool->commands[i + 1] == NULL ? "" : ",");
  }
}

void tsr_help_man(const tsr_tool *tool, const tsr_command *command,
                  tsr_buffer *out) {
  man_title(tool, command, out);
  man_prose(command == NULL ? tool->description : command->description, out);
  if (command == NULL) {
    man_tool(tool, out);
  } else {
    man_command(command, out);
  }
  man_end(tool, command, out);
}

// ---- Markdown ---------------------------------------------------------------

// Inside a table cell.
static void cell(const char *text, tsr_buffer *out) {
  for (; *text != '\0'; ++text) {
    if (*text == '|' || *text == '<' || *text == '*') {
      tsr_buffer_append_char(out, '\\');
    }
    tsr_buffer_append_char(out, *text);
  }
}

static void markdown_prose(const char *text, tsr_buffer *out) {
  tsr_prose piece;
  while (tsr_prose_next(&text, &piece)) {
    if (piece.kept) tsr_buffer_append_string(out, "```\n");
    tsr_buffer_append(out, piece.text, piece.size);
    tsr_buffer_append_string(out, piece.kept ? "\n```\n\n" : "\n\n");
  }
}

static void markdown_row(const char *left, const char *right, tsr_buffer *out) {
  tsr_buffer_append_string(out, "| `");
  cell(left + strspn(left, " "), out);
  tsr_buffer_append_string(out, "` | ");
  cell(right, out);
  tsr_buffer_append_string(out, " |\n");
}

static void markdown_options(const tsr_option *options, tsr_buffer *out) {
  tsr_buffer left = {0};
  tsr_buffer right = {0};
  tsr_buffer_append_string(out, "| option | |\n|---|---|\n");
  for (size_t i = 0; options[i].name != NULL; ++i) {
    tsr_buffer_clear(&left);
    tsr_buffer_clear(&right);
    tsr_option_spelling(&options[i], &left);
    tsr_option_help(&options[i], &right);
    markdown_row(tsr_buffer_text(&left), tsr_buffer_text(&right), out);
  }
  tsr_buffer_append_char(out, '\n');
  if (left.failed || right.failed) out->failed = true;
  tsr_buffer_fini(&left);
  tsr_buffer_fini(&right);
}

static void markdown_command(const tsr_tool *tool, const tsr_command *command,
                             tsr_buffer *out) {
  tsr_buffer_printf(out, "### %s %s\n\n%c%s.\n\n```\n", tool->name,
                    command->name, toupper((unsigned char)command->summary[0]),
                    command->summary + 1);
  tsr_help_usage(tool, command, out);
  tsr_buffer_append_string(out, "\n```\n\n");
  markdown_prose(command->description, out);
  const tsr_positional *rows = command->positionals;
  if (rows != NULL && rows[0].name != NULL) {
    tsr_buffer_append_string(out, "| argument | |\n|---|---|\n");
    for (size_t i = 0; rows[i].name != NULL; ++i) {
      markdown_row(rows[i].name, rows[i].help, out);
    }
    tsr_buffer_append_char(out, '\n');
  }
  if (command->options != NULL && command->options[0].name != NULL) {
    markdown_options(command->options, out);
  }
  const tsr_example *examples = command->examples;
  for (size_t i = 0; examples != NULL && examples[i].line != NULL; ++i) {
    tsr_buffer_printf(out, "- `%s`: %s\n", examples[i].line, examples[i].what);
    if (examples[i + 1].line == NULL) tsr_buffer_append_char(out, '\n');
  }
}

void tsr_help_markdown(const tsr_tool *tool, tsr_buffer *out) {
  tsr_buffer_printf(out, "## %s\n\n", tool->name);
  markdown_prose(tool->description, out);
  tsr_buffer_append_string(out, "Every command has these options too:\n\n");
  markdown_options(tsr_common_options, out);
  tsr_buffer_append_string(out, "| exit code | |\n|---|---|\n");
  for (int i = 0; i < 4; ++i) {
    tsr_buffer_printf(out, "| %d | %s |\n", i, tsr_exit_texts[i]);
  }
  tsr_buffer_append_char(out, '\n');
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    markdown_command(tool, tool->commands[i], out);
  }
}
