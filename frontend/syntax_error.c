// SPDX-License-Identifier: Apache-2.0
#include "frontend/syntax_error.h"

#include <string.h>

#include "base/buffer.h"
#include "base/suggest.h"

enum { EXPECTED_SHOWN_MAX = 6 };

// Tokens that stand for many texts, and how to speak of them. All others are
// quoted.
typedef struct token_class {
  const char *name;
  const char *text;
} token_class;

static const token_class classes[] = {
    {"string", "a string"},         {"word", "a word"},
    {"number", "a number"},         {"decimal number", "a decimal number"},
    {"shape", "a shape (128x128)"}, {"end of file", "the end of the file"},
};

static const token_class *find_class(const char *name) {
  for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); ++i) {
    if (strcmp(name, classes[i].name) == 0) return &classes[i];
  }
  return NULL;
}

static void append_name(tsr_buffer *out, const char *name) {
  const token_class *class = find_class(name);
  tsr_buffer_printf(out, class == NULL ? "'%s'" : "%s",
                    class == NULL ? name : class->text);
}

static bool expects(const char *const *expected, uint32_t count,
                    const char *name) {
  for (uint32_t i = 0; i < count; ++i) {
    if (strcmp(expected[i], name) == 0) return true;
  }
  return false;
}

static void append_found(tsr_parser *parse, tsr_buffer *out, tsr_span span,
                         const char *found) {
  tsr_slice text = tsr_parse_slice(parse, span);
  if (find_class(found) == NULL) {
    append_name(out, found);
  } else if (text.size == 0 || text.size > 40) {
    tsr_buffer_append_string(out, found);
  } else if (strcmp(found, "string") == 0) {
    tsr_buffer_printf(out, "string %.*s", (int)text.size, text.data);
  } else {
    tsr_buffer_printf(out, "'%.*s'", (int)text.size, text.data);
  }
}

static void append_expected(tsr_buffer *out, const char *const *expected,
                            uint32_t count) {
  if (count == 0 || count > EXPECTED_SHOWN_MAX) return;
  tsr_buffer_append_string(out, ", expected ");
  for (uint32_t i = 0; i < count; ++i) {
    if (i != 0) tsr_buffer_append_string(out, i + 1 == count ? " or " : ", ");
    append_name(out, expected[i]);
  }
}

// What could stand instead of ';', if that is one thing.
static void append_other(tsr_buffer *out, const char *const *expected,
                         uint32_t count) {
  if (count != 2) return;
  tsr_buffer_append_string(out, " or ");
  append_name(out, expected[strcmp(expected[0], ";") == 0]);
}

// A word that is none of the expected ones, but near one of them.
static const char *suggestion(tsr_parser *parse, tsr_span span,
                              const char *const *expected, uint32_t count) {
  tsr_slice text = tsr_parse_slice(parse, span);
  bool wordy = text.size != 0 && ((text.data[0] | 32) >= 'a') &&
               ((text.data[0] | 32) <= 'z');
  if (!wordy) return NULL;
  const char *best = tsr_suggest(text.data, text.size, expected, count);
  return best == NULL || find_class(best) != NULL ? NULL : best;
}

void tsr_syntax_error(tsr_parser *parse, tsr_span span, const char *found,
                      const char *const *expected, uint32_t expected_count) {
  if (parse->stopped || parse->out_of_memory) return;
  // The scanner has said what is wrong with those.
  if (strncmp(found, "malformed", 9) == 0) return;
  tsr_diags *diags = parse->compilation->diags;
  const char *near = suggestion(parse, span, expected, expected_count);
  tsr_buffer message;
  tsr_buffer_init(&message);
  // A forgotten ';' is best shown where it belongs.
  bool forgotten = near == NULL && expects(expected, expected_count, ";") &&
                   parse->previous.end != 0;
  if (forgotten) {
    span = (tsr_span){parse->source_index, parse->previous.end,
                      parse->previous.end};
    tsr_buffer_append_string(&message, "expected ';'");
    append_other(&message, expected, expected_count);
    tsr_buffer_append_string(&message, " here");
  } else {
    bool keyword = found[0] >= 'a' && found[0] <= 'z' &&
                   find_class(found) == NULL &&
                   expects(expected, expected_count, "word");
    tsr_buffer_append_string(&message,
                             keyword ? "unexpected keyword " : "unexpected ");
    append_found(parse, &message, span, found);
    if (near != NULL) {
      tsr_buffer_printf(&message, "; did you mean '%s'?", near);
    } else {
      append_expected(&message, expected, expected_count);
    }
  }
  if (message.failed) parse->out_of_memory = true;
  tsr_diag_report(diags, TSR_DIAG_SYNTAX, span, "%s",
                  tsr_buffer_text(&message));
  if (strcmp(found, "end of file") == 0 && parse->depth != 0 &&
      parse->depth <= TSR_BLOCK_DEPTH_MAX) {
    tsr_diag_note(diags, parse->open[parse->depth - 1],
                  "this '{' is not closed");
  }
  tsr_buffer_fini(&message);
}
