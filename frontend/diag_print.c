// SPDX-License-Identifier: Apache-2.0
// Reports as text with carets, or as JSON. The order is by place, then code,
// then message, so that threads do not change it; a mistake repeated at one
// place (a loop's body) is shown once and counted.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "frontend/diag_list.h"
#include "frontend/source_list.h"

enum { LINE_SHOWN_MAX = 160 };  // bytes

typedef struct printer {
  const tsr_sources *sources;
  const tsr_diag_print_options *options;
  tsr_buffer *out;
} printer;

static const char *const severity_names[] = {"note", "warning", "error"};
// Cyan, magenta, red; bold.
static const char *const severity_colors[] = {"\033[1;36m", "\033[1;35m",
                                              "\033[1;31m"};

static int compare_u32(uint32_t a, uint32_t b) {
  return (a > b) - (a < b);
}

static int compare_place(const tsr_diag_item *a, const tsr_diag_item *b) {
  int order = compare_u32(a->span.source, b->span.source);
  if (order == 0) order = compare_u32(a->span.begin, b->span.begin);
  if (order == 0) order = compare_u32(a->span.end, b->span.end);
  if (order == 0) order = compare_u32((uint32_t)a->code, (uint32_t)b->code);
  return order;
}

static int compare_items(const void *left, const void *right) {
  const tsr_diag_item *const *a = left;
  const tsr_diag_item *const *b = right;
  int order = compare_place(*a, *b);
  return order != 0 ? order : strcmp((*a)->message, (*b)->message);
}

static void color(printer *p, const char *sequence) {
  if (p->options->color) tsr_buffer_append_string(p->out, sequence);
}

static void pad(tsr_buffer *out, char c, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) tsr_buffer_append_char(out, c);
}

// The line with tabs expanded, and control characters (which could move a
// terminal's cursor) as '?'.
static void append_line(tsr_buffer *out, const char *text, uint32_t size) {
  uint32_t column = 0;
  for (uint32_t i = 0; i < size;) {
    uint32_t code;
    uint32_t length = tsr_utf8_decode(text + i, size - i, &code);
    uint32_t used = length == 0 ? 1 : length;
    uint32_t next = tsr_utf8_advance(text + i, used, column);
    if (code == '\t') {
      pad(out, ' ', next - column);
    } else if (length == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
      tsr_buffer_append_char(out, '?');
    } else {
      tsr_buffer_append(out, text + i, used);
    }
    column = next;
    i += used;
  }
}

// The part of a source that is shown: a line, or a piece of a long one.
typedef struct window {
  uint32_t begin;
  uint32_t end;
  bool cut_before;
  bool cut_after;
} window;

// Not into the middle of a character.
static uint32_t align_back(const tsr_source *source, uint32_t offset,
                           uint32_t limit) {
  while (offset > limit &&
         ((unsigned char)source->text[offset] & 0xc0) == 0x80) {
    --offset;
  }
  return offset;
}

static window choose_window(const tsr_source *source, uint32_t focus) {
  window w = {0, 0, false, false};
  tsr_source_line(source, focus, &w.begin, &w.end);
  uint32_t line_begin = w.begin;
  if (w.end - w.begin <= LINE_SHOWN_MAX) return w;
  if (focus > w.end) focus = w.end;
  if (focus - w.begin > LINE_SHOWN_MAX / 2) {
    w.begin = align_back(source, focus - LINE_SHOWN_MAX / 2, line_begin);
    w.cut_before = true;
  }
  if (w.end - w.begin > LINE_SHOWN_MAX) {
    w.end = align_back(source, w.begin + LINE_SHOWN_MAX, w.begin);
    w.cut_after = true;
  }
  return w;
}

static void print_caret(printer *p, const tsr_source *source, tsr_span span,
                        tsr_severity severity) {
  window w = choose_window(source, span.begin);
  uint32_t first = span.begin < w.begin ? w.begin : span.begin;
  if (first > w.end) first = w.end;
  // A span over several lines is marked to the end of its first.
  uint32_t last = span.end < w.end ? span.end : w.end;
  if (last < first) last = first;
  tsr_location place = tsr_source_locate(p->sources, span.source, first);
  const char *dots = w.cut_before ? "..." : "";
  tsr_buffer_printf(p->out, "%5u | %s", place.line, dots);
  append_line(p->out, source->text + w.begin, w.end - w.begin);
  tsr_buffer_printf(p->out, "%s\n      | ", w.cut_after ? "..." : "");
  uint32_t column =
      tsr_utf8_advance(source->text + w.begin, first - w.begin, 0);
  uint32_t after = tsr_utf8_advance(source->text + first, last - first, column);
  pad(p->out, ' ', column + (w.cut_before ? 3 : 0));
  color(p, severity_colors[severity]);
  tsr_buffer_append_char(p->out, '^');
  if (after > column + 1) pad(p->out, '~', after - column - 1);
  color(p, "\033[0m");
  tsr_buffer_append_char(p->out, '\n');
}

static void print_message(printer *p, tsr_span span, tsr_severity severity,
                          const char *message, const char *code) {
  const tsr_source *source = tsr_sources_get(p->sources, span.source);
  color(p, "\033[1m");
  if (source != NULL) {
    tsr_location place = tsr_source_locate(p->sources, span.source, span.begin);
    tsr_buffer_printf(p->out, "%s:%u:%u: ", place.path, place.line,
                      place.column);
  }
  color(p, severity_colors[severity]);
  tsr_buffer_printf(p->out, "%s: ", severity_names[severity]);
  color(p, "\033[0m");
  tsr_buffer_append_string(p->out, message);
  if (code != NULL) tsr_buffer_printf(p->out, " [%s]", code);
  tsr_buffer_append_char(p->out, '\n');
  if (source != NULL) print_caret(p, source, span, severity);
}

static void print_text(printer *p, const tsr_diag_item *item) {
  print_message(p, item->span, tsr_diag_severity(item->code), item->message,
                tsr_diag_code_name(item->code));
  for (const tsr_diag_note_item *note = item->notes; note != NULL;
       note = note->next) {
    print_message(p, note->span, TSR_SEVERITY_NOTE, note->message, NULL);
  }
  if (item->repeats != 0) {
    tsr_buffer_printf(p->out, "      = and %u more like it at this place\n",
                      item->repeats);
  }
}

static void json_place(printer *p, tsr_span span) {
  tsr_location begin = tsr_source_locate(p->sources, span.source, span.begin);
  tsr_location end = tsr_source_locate(p->sources, span.source, span.end);
  if (begin.line == 0) {
    tsr_buffer_append_string(p->out, "null");
    return;
  }
  tsr_buffer_append_string(p->out, "{\"path\": ");
  tsr_buffer_append_json(p->out, begin.path, strlen(begin.path));
  tsr_buffer_printf(p->out,
                    ", \"begin\": {\"offset\": %u, \"line\": %u, \"column\": "
                    "%u}, \"end\": {\"offset\": %u, \"line\": %u, "
                    "\"column\": %u}}",
                    span.begin, begin.line, begin.column, span.end, end.line,
                    end.column);
}

static void json_message(printer *p, const char *message, tsr_span span) {
  tsr_buffer_append_string(p->out, "\"message\": ");
  tsr_buffer_append_json(p->out, message, strlen(message));
  tsr_buffer_append_string(p->out, ", \"place\": ");
  json_place(p, span);
}

static void print_json(printer *p, const tsr_diag_item *item, bool first) {
  tsr_buffer_printf(p->out, "%s\n  {\"code\": \"%s\", \"severity\": \"%s\", ",
                    first ? "" : ",", tsr_diag_code_name(item->code),
                    severity_names[tsr_diag_severity(item->code)]);
  json_message(p, item->message, item->span);
  tsr_buffer_printf(p->out, ", \"repeats\": %u, \"notes\": [", item->repeats);
  for (const tsr_diag_note_item *note = item->notes; note != NULL;
       note = note->next) {
    tsr_buffer_append_string(p->out, note == item->notes ? "{" : ", {");
    json_message(p, note->message, note->span);
    tsr_buffer_append_char(p->out, '}');
  }
  tsr_buffer_append_string(p->out, "]}");
}

// The sorted reports without repetitions; NULL when there are none or memory
// is short.
static tsr_diag_item **sort_items(const tsr_diags *diags, uint32_t *out_count) {
  *out_count = 0;
  if (diags->item_count == 0) return NULL;
  tsr_diag_item **items = tsr_malloc(diags->item_count * sizeof(*items));
  if (items == NULL) return NULL;
  uint32_t total = 0;
  for (tsr_diag_item *item = diags->items; item != NULL; item = item->next) {
    item->repeats = 0;
    items[total++] = item;
  }
  qsort(items, total, sizeof(*items), compare_items);
  uint32_t count = 0;
  for (uint32_t i = 0; i < total; ++i) {
    bool placed = items[i]->span.source != UINT32_MAX;
    if (placed && count != 0 &&
        compare_place(items[count - 1], items[i]) == 0) {
      ++items[count - 1]->repeats;
    } else {
      items[count++] = items[i];
    }
  }
  *out_count = count;
  return items;
}

static void print_items(printer *p, tsr_diag_item **items, uint32_t count) {
  uint32_t limit = p->options->error_limit;
  uint32_t errors = 0;
  uint32_t hidden = 0;
  bool first = true;
  for (uint32_t i = 0; i < count; ++i) {
    bool is_error = tsr_diag_severity(items[i]->code) == TSR_SEVERITY_ERROR;
    if (is_error && limit != 0 && errors == limit) {
      ++hidden;
      continue;
    }
    errors += is_error;
    if (p->options->json) {
      print_json(p, items[i], first);
    } else {
      print_text(p, items[i]);
    }
    first = false;
  }
  if (hidden != 0 && !p->options->json) {
    tsr_buffer_printf(p->out, "%u more error%s not shown (--error-limit=%u)\n",
                      hidden, hidden == 1 ? "" : "s", limit);
  }
}

void tsr_diag_print(const tsr_diags *diags, const tsr_sources *sources,
                    const tsr_diag_print_options *options, tsr_buffer *out) {
  printer p = {sources, options, out};
  pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&diags->mutex;
  (void)pthread_mutex_lock(mutex);
  uint32_t count;
  tsr_diag_item **items = sort_items(diags, &count);
  bool incomplete =
      diags->incomplete || (items == NULL && diags->item_count != 0);
  if (options->json) tsr_buffer_append_char(out, '[');
  if (items != NULL) print_items(&p, items, count);
  if (options->json)
    tsr_buffer_append_string(out, count == 0 ? "]\n" : "\n]\n");
  if (incomplete && !options->json) {
    tsr_buffer_append_string(
        out, "the list is incomplete: too many reports or too little memory\n");
  }
  tsr_free(items);
  (void)pthread_mutex_unlock(mutex);
}
