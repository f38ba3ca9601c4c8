// SPDX-License-Identifier: Apache-2.0
#include "frontend/literal.h"

#include <string.h>

#include "base/buffer.h"
#include "base/suggest.h"
#include "frontend/compilation.h"

typedef struct expansion {
  tsr_compilation *compilation;
  tsr_node *node;
  const tsr_binding *bindings;
  tsr_buffer out;
  uint32_t at;  // offset in the node's text
  bool good;
  bool mark;  // the mistake is in the text itself
} expansion;

enum { SUGGESTED_MAX = 16 };

// The place of [begin, end) of the node's text; +1 for the quote.
static tsr_span place(const expansion *e, uint32_t begin, uint32_t end) {
  uint32_t base = e->node->span.begin + 1;
  return (tsr_span){e->node->span.source, base + begin, base + end};
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static char peek(const expansion *e) {
  return e->at < e->node->text.size ? e->node->text.data[e->at] : '\0';
}

static void malformed(expansion *e, uint32_t begin) {
  e->good = false;
  e->mark = true;
  const char *data = e->node->text.data;
  uint32_t end = begin;
  while (end < e->node->text.size && data[end] != '}') ++end;
  if (end < e->node->text.size) ++end;
  e->at = end;
  tsr_diag_report(e->compilation->diags, TSR_DIAG_BAD_SUBSTITUTION,
                  place(e, begin, end), "malformed substitution '%.*s'",
                  (int)(end - begin > 40 ? 40 : end - begin), data + begin);
}

static const tsr_binding *find(const expansion *e, tsr_slice name) {
  const tsr_binding *binding = e->bindings;
  while (binding != NULL &&
         (binding->name.size != name.size ||
          memcmp(binding->name.data, name.data, name.size) != 0)) {
    binding = binding->outer;
  }
  return binding;
}

static void unknown(expansion *e, tsr_slice name, uint32_t begin) {
  e->good = false;
  e->mark = true;
  char names[SUGGESTED_MAX][64];
  const char *candidates[SUGGESTED_MAX] = {NULL};
  uint32_t count = 0;
  for (const tsr_binding *b = e->bindings; b != NULL; b = b->outer) {
    if (count == SUGGESTED_MAX || b->name.size >= sizeof(names[0])) continue;
    memcpy(names[count], b->name.data, b->name.size);
    names[count][b->name.size] = '\0';
    candidates[count] = names[count];
    ++count;
  }
  const char *near = tsr_suggest(name.data, name.size, candidates, count);
  if (near == NULL && count == 1) near = candidates[0];
  tsr_diag_report(e->compilation->diags, TSR_DIAG_UNKNOWN_VARIABLE,
                  place(e, begin, begin + name.size),
                  near == NULL ? "no loop variable '%.*s' here%s%s"
                               : "no loop variable '%.*s' here; did you mean "
                                 "'%s'%s",
                  (int)(name.size > 40 ? 40 : name.size), name.data,
                  near == NULL ? "" : near, near == NULL ? "" : "?");
}

static bool apply(char operation, uint64_t left, uint64_t right,
                  uint64_t *out_value) {
  bool fits = left <= UINT32_MAX && right <= UINT32_MAX;
  if (!fits) return false;
  switch (operation) {
    case '+':
      *out_value = left + right;
      break;
    case '-':
      if (left < right) return false;
      *out_value = left - right;
      break;
    case '*':
      *out_value = left * right;
      break;
    default:
      if (right == 0) return false;
      *out_value = operation == '/' ? left / right : left % right;
      break;
  }
  return *out_value < UINT32_MAX;
}

static uint64_t read_number(expansion *e) {
  uint64_t value = 0;
  while (is_digit(peek(e))) {
    if (value <= UINT32_MAX) value = value * 10 + (uint64_t)(peek(e) - '0');
    ++e->at;
  }
  return value;
}

static void skip_spaces(expansion *e) {
  while (peek(e) == ' ') ++e->at;
}

static void put_value(expansion *e, const tsr_binding *binding, char operation,
                      uint64_t operand, uint32_t begin) {
  uint64_t value = binding->number;
  if (!binding->is_number && operation == '\0') {
    tsr_buffer_append_string(&e->out, binding->text);
    return;
  }
  if (!binding->is_number ||
      (operation != '\0' && !apply(operation, value, operand, &value))) {
    e->good = false;
    tsr_diag_report(
        e->compilation->diags, TSR_DIAG_VARIABLE_VALUE, place(e, begin, e->at),
        binding->is_number ? "impossible arithmetic where %.*s is %llu"
                           : "'%.*s' is a string: no arithmetic%.0llu",
        (int)(binding->name.size > 40 ? 40 : binding->name.size),
        binding->name.data, (unsigned long long)binding->number);
    return;
  }
  tsr_buffer_printf(&e->out, "%llu", (unsigned long long)value);
}

// At '{'.
static void substitute(expansion *e) {
  uint32_t begin = e->at++;
  skip_spaces(e);
  uint32_t name_begin = e->at;
  while (is_letter(peek(e)) || (e->at > name_begin && is_digit(peek(e)))) {
    ++e->at;
  }
  tsr_slice name = {e->node->text.data + name_begin, e->at - name_begin};
  skip_spaces(e);
  char operation = '\0';
  uint64_t operand = 0;
  if (name.size != 0 && peek(e) != '\0' && strchr("+-*/%", peek(e)) != NULL) {
    operation = peek(e);
    ++e->at;
    skip_spaces(e);
    if (!is_digit(peek(e))) name.size = 0;
    operand = read_number(e);
    skip_spaces(e);
  }
  if (name.size == 0 || peek(e) != '}') {
    malformed(e, begin);
    return;
  }
  ++e->at;
  const tsr_binding *binding = find(e, name);
  if (binding == NULL) {
    unknown(e, name, name_begin);
  } else {
    put_value(e, binding, operation, operand, begin);
  }
}

// At '\\'; the scanner saw to it that something follows.
static void escape(expansion *e) {
  uint32_t begin = e->at++;
  char c = peek(e);
  ++e->at;
  if (c == '"' || c == '\\' || c == '{' || c == '}') {
    tsr_buffer_append_char(&e->out, c);
    return;
  }
  e->good = false;
  e->mark = true;
  while ((peek(e) & 0xc0) == 0x80) ++e->at;
  tsr_diag_report(e->compilation->diags, TSR_DIAG_BAD_ESCAPE,
                  place(e, begin, e->at), "unknown escape '%.*s'",
                  (int)(e->at - begin), e->node->text.data + begin);
}

static void expand_next(expansion *e) {
  char c = peek(e);
  if (c == '{') {
    substitute(e);
  } else if (c == '\\') {
    escape(e);
  } else if (c == '}') {
    malformed(e, e->at);
  } else {
    tsr_buffer_append_char(&e->out, c);
    ++e->at;
  }
}

bool tsr_literal_expand(tsr_compilation *compilation, tsr_node *node,
                        const tsr_binding *bindings, const char **out_text,
                        bool *out_good) {
  *out_text = "";
  *out_good = false;
  if (node->erroneous) return true;
  expansion e = {compilation, node, bindings, {0}, 0, true, false};
  tsr_buffer_init(&e.out);
  while (e.at < node->text.size && !e.out.failed) expand_next(&e);
  char *text = NULL;
  if (!e.out.failed) {
    text = tsr_arena_strndup(&compilation->arena, tsr_buffer_text(&e.out),
                             e.out.size);
  }
  tsr_buffer_fini(&e.out);
  if (text == NULL) return false;
  *out_good = e.good;
  node->erroneous = e.mark;
  if (e.good) *out_text = text;
  return true;
}

bool tsr_literal_plain(tsr_compilation *compilation, tsr_node *node,
                       const char **out_text, bool *out_good) {
  if (!tsr_literal_expand(compilation, node, NULL, out_text, out_good)) {
    return false;
  }
  if (*out_good && (*out_text)[0] == '\0') {
    *out_good = false;
    tsr_diag_report(compilation->diags, TSR_DIAG_EMPTY_STRING, node->span,
                    "this may not be empty");
  }
  return true;
}
