// SPDX-License-Identifier: Apache-2.0
#include "frontend/ast.h"

#include "frontend/parse.h"

static const char *const kind_names[TSR_NODE_COUNT] = {
#define TSR_NODE(name, word) word,
#include "frontend/nodes.def"
#undef TSR_NODE
};

const char *tsr_node_kind_name(tsr_node_kind kind) {
  return kind_names[kind];
}

tsr_node *tsr_node_new(tsr_parser *parse, tsr_node_kind kind, tsr_span span) {
  tsr_node *node = tsr_arena_alloc(&parse->compilation->arena, sizeof(*node));
  if (node == NULL) {
    parse->out_of_memory = true;
    return NULL;
  }
  node->kind = kind;
  node->span = span;
  return node;
}

tsr_node *tsr_node_text(tsr_parser *parse, tsr_node_kind kind, tsr_span span,
                        tsr_slice text) {
  tsr_node *node = tsr_node_new(parse, kind, span);
  if (node != NULL) node->text = text;
  return node;
}

// Reads decimal digits; false on overflow. No locale, no errno.
static bool read_digits(tsr_slice text, uint64_t *out_value) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < text.size; ++i) {
    uint64_t digit = (uint64_t)(text.data[i] - '0');
    if (value > (UINT64_MAX - digit) / 10) {
      *out_value = 0;
      return false;
    }
    value = value * 10 + digit;
  }
  *out_value = value;
  return true;
}

static void report_large(tsr_parser *parse, tsr_node *node, tsr_slice text) {
  node->erroneous = true;
  tsr_diag_report(parse->compilation->diags, TSR_DIAG_NUMBER_TOO_LARGE,
                  node->span, "%.*s is too large a number",
                  (int)(text.size > 60 ? 60 : text.size), text.data);
}

tsr_node *tsr_node_number(tsr_parser *parse, tsr_span span) {
  tsr_slice text = tsr_parse_slice(parse, span);
  tsr_node *node = tsr_node_text(parse, TSR_NODE_NUMBER, span, text);
  if (node != NULL && !read_digits(text, &node->number)) {
    report_large(parse, node, text);
  }
  return node;
}

// |span| covers the digits, perhaps with a fraction, without the sign.
tsr_node *tsr_node_percent(tsr_parser *parse, tsr_span span) {
  tsr_slice text = tsr_parse_slice(parse, span);
  tsr_node *node = tsr_node_text(parse, TSR_NODE_PERCENT, span, text);
  if (node == NULL) return NULL;
  tsr_slice whole = {text.data, 0};
  while (whole.size < text.size && text.data[whole.size] != '.') ++whole.size;
  tsr_slice fraction = {text.data, 0};
  if (whole.size < text.size) {
    fraction.data = text.data + whole.size + 1;
    fraction.size = text.size - whole.size - 1;
  }
  uint64_t above = 0;
  uint64_t below = 0;
  if (fraction.size > 9 || !read_digits(whole, &above) || above > 1000) {
    report_large(parse, node, text);
    return node;
  }
  (void)read_digits(fraction, &below);
  for (uint32_t i = fraction.size; i < 9; ++i) below *= 10;
  node->number = above * 1000000000u + below;
  return node;
}

tsr_node *tsr_node_shape(tsr_parser *parse, tsr_span span) {
  tsr_slice text = tsr_parse_slice(parse, span);
  tsr_node *node = tsr_node_text(parse, TSR_NODE_SHAPE, span, text);
  if (node == NULL) return NULL;
  tsr_slice rows = {text.data, 0};
  while (text.data[rows.size] != 'x') ++rows.size;
  tsr_slice columns = {text.data + rows.size + 1, text.size - rows.size - 1};
  if (!read_digits(rows, &node->number) ||
      !read_digits(columns, &node->second)) {
    report_large(parse, node, text);
  }
  return node;
}

tsr_node *tsr_node_range(tsr_parser *parse, tsr_span span,
                         const tsr_node *first, const tsr_node *second) {
  tsr_node_kind kind = second == NULL ? TSR_NODE_OPEN_RANGE : TSR_NODE_RANGE;
  tsr_node *node = tsr_node_new(parse, kind, span);
  if (node == NULL || first == NULL) return node;
  node->number = first->number;
  node->second = second == NULL ? UINT32_MAX : second->number;
  node->erroneous = first->erroneous || (second != NULL && second->erroneous);
  return node;
}

static void append(tsr_node **first, tsr_node **last, tsr_node *head,
                   tsr_node *tail) {
  if (*first == NULL) {
    *first = head;
  } else {
    (*last)->next = head;
  }
  *last = tail;
}

tsr_node *tsr_node_add(tsr_node *node, tsr_node *child) {
  if (node != NULL && child != NULL) {
    append(&node->first, &node->last, child, child);
  }
  return node;
}

tsr_node *tsr_node_add_all(tsr_node *node, const tsr_node *list) {
  if (node != NULL && list != NULL && list->first != NULL) {
    append(&node->first, &node->last, list->first, list->last);
  }
  return node;
}

tsr_node *tsr_node_set_body(tsr_node *node, const tsr_node *list) {
  if (node != NULL && list != NULL) {
    node->body = list->first;
    node->body_last = list->last;
  }
  return node;
}

const tsr_node *tsr_node_find(const tsr_node *node, tsr_node_kind kind) {
  const tsr_node *child = node->first;
  while (child != NULL && child->kind != kind) child = child->next;
  return child;
}
