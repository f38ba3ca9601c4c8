// SPDX-License-Identifier: Apache-2.0
// The one list of codes, as tables: explain, docs/errors.md, severities.
#include <string.h>

#include "frontend/diag_list.h"
#include "frontend/frontend.h"

typedef struct code_entry {
  tsr_severity severity;
  const char *name;  // "TSR-E001"
  const char *title;
  const char *explanation;
} code_entry;

static const code_entry codes[TSR_DIAG_COUNT] = {
#define TSR_DIAG(name, severity, code, title, explanation) \
  [TSR_DIAG_##name] = {TSR_SEVERITY_##severity, code, title, explanation},
#include "frontend/diag_codes.def"
#undef TSR_DIAG
};

tsr_severity tsr_diag_severity(tsr_diag_code code) {
  return codes[code].severity;
}

const char *tsr_diag_code_name(tsr_diag_code code) {
  return codes[code].name;
}

// ASCII only, whatever the locale. "E041" and "041" stand for "TSR-E041" too.
static bool same_code(const char *name, const char *text) {
  size_t name_size = strlen(name);
  size_t text_size = strlen(text);
  if (text_size < 3 || text_size > name_size) return false;
  const char *tail = name + (name_size - text_size);
  if (text_size != name_size && text_size != 3 && text_size != 4) return false;
  for (size_t i = 0; i < text_size; ++i) {
    char c = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : text[i];
    if (c != tail[i]) return false;
  }
  return true;
}

// Breaks |text| at spaces so that no line exceeds 78 columns.
static void append_wrapped(tsr_buffer *out, const char *text) {
  size_t column = 0;
  while (*text != '\0') {
    size_t word = strcspn(text, " ");
    if (column != 0 && column + 1 + word > 78) {
      tsr_buffer_append_char(out, '\n');
      column = 0;
    }
    if (column != 0) {
      tsr_buffer_append_char(out, ' ');
      ++column;
    }
    tsr_buffer_append(out, text, word);
    column += word;
    text += word;
    while (*text == ' ') ++text;
  }
  tsr_buffer_append_char(out, '\n');
}

bool tsr_diag_explain(const char *code, tsr_buffer *out) {
  for (size_t i = 0; i < TSR_DIAG_COUNT; ++i) {
    if (!same_code(codes[i].name, code)) continue;
    tsr_buffer_printf(out, "%s: %s\n\n", codes[i].name, codes[i].title);
    append_wrapped(out, codes[i].explanation);
    return true;
  }
  return false;
}

static const char *const markdown_head =
    "# Errors and warnings\n\n"
    "What the compiler says about a plan and the files it names, by code.\n"
    "`tesserac explain CODE` prints the same. Codes are stable: a message may\n"
    "be reworded, its code stays.\n\n"
    "This file is generated from `frontend/include/frontend/diag_codes.def`;\n"
    "a test compares it.\n";

static const char *section_of(const char *name) {
  switch (name[5]) {
    case '0':
      return "Text and syntax";
    case '1':
      return "Meaning of the plan";
    case '2':
      return "Weights and masks";
    case '3':
      return "Compiling";
    default:
      return "Hints";
  }
}

void tsr_diag_list_markdown(tsr_buffer *out) {
  tsr_buffer_append_string(out, markdown_head);
  const char *section = "";
  for (size_t i = 0; i < TSR_DIAG_COUNT; ++i) {
    const char *next = section_of(codes[i].name);
    if (strcmp(next, section) != 0) tsr_buffer_printf(out, "\n## %s\n", next);
    section = next;
    tsr_buffer_printf(out, "\n### %s: %s\n\n", codes[i].name, codes[i].title);
    append_wrapped(out, codes[i].explanation);
  }
}
