// SPDX-License-Identifier: Apache-2.0
// The canonical form of a plan, from its tokens, so that every comment stays
// where it was. The rules (docs/language.md, "Canonical form"):
//  - two spaces for each block; a statement to a line; a blank line between
//    statements is kept, more than one become one;
//  - one space between words, none before ';' ',' '%' and around '..';
//  - a statement that does not fit 80 columns, or that has a comment inside,
//    breaks after its commas and goes on under its first operand: names stand
//    one to a line, numbers as many as fit;
//  - a comment behind code stays behind it, two spaces away.
// They depend on nothing but the tokens and on which of them began a line, and
// the output preserves both: a second run changes nothing.
#include <string.h>

#include "base/utf8.h"
#include "frontend/parse.h"
#include "plan_parser.h"

enum { LINE_MAX = 80, INDENT = 2 };

typedef struct formatter {
  const tsr_ast *ast;
  const tsr_source *source;
  tsr_buffer *out;
  bool flatten;
  const tsr_node *statement;  // at the top level; see include_at
  uint32_t depth;             // of blocks
  uint32_t next;              // token
  bool line_empty;  // nothing stands on the current line of the output
  bool opened;      // nothing was printed since '{' or the start
} formatter;

static void format_source(formatter *f);

static const tsr_token *token_at(const formatter *f, uint32_t index) {
  return index < f->ast->token_count ? &f->ast->tokens[index] : NULL;
}

static tsr_slice token_text(const formatter *f, const tsr_token *token) {
  return (tsr_slice){f->source->text + token->span.begin,
                     token->span.end - token->span.begin};
}

// Line ends between the token before |index| and it.
static uint32_t breaks_before(const formatter *f, uint32_t index) {
  uint32_t from = index == 0 ? 0 : f->ast->tokens[index - 1].span.end;
  uint32_t to = f->ast->tokens[index].span.begin;
  uint32_t count = 0;
  for (uint32_t i = from; i < to; ++i) count += f->source->text[i] == '\n';
  return count;
}

static void new_line(formatter *f) {
  if (f->line_empty) return;
  tsr_buffer_append_char(f->out, '\n');
  f->line_empty = true;
}

static void put_spaces(formatter *f, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) tsr_buffer_append_char(f->out, ' ');
}

// Starts a line, after a blank one where the author left one.
static void begin_line(formatter *f, uint32_t index) {
  new_line(f);
  if (!f->opened && breaks_before(f, index) > 1) {
    tsr_buffer_append_char(f->out, '\n');
  }
  f->opened = false;
}

static bool is_word(int kind) {
  return kind != TSR_TOK_SEMICOLON && kind != TSR_TOK_COMMA &&
         kind != TSR_TOK_LBRACE && kind != TSR_TOK_RBRACE &&
         kind != TSR_TOK_LBRACKET && kind != TSR_TOK_RBRACKET &&
         kind != TSR_TOK_DOTDOT && kind != TSR_TOK_PERCENT;
}

// Is there a space between two tokens of one line?
static bool spaced(int left, int right) {
  if (right == TSR_TOK_LBRACE) return true;
  if (right == TSR_TOK_SEMICOLON || right == TSR_TOK_COMMA ||
      right == TSR_TOK_PERCENT || right == TSR_TOK_RBRACKET ||
      right == TSR_TOK_DOTDOT) {
    return false;
  }
  if (left == TSR_TOK_LBRACKET) return false;
  return left != TSR_TOK_DOTDOT || !is_word(right);
}

static uint32_t width(tsr_slice text) {
  return tsr_utf8_advance(text.data, text.size, 0);
}

// A statement's tokens: [first, last], last being its ';' or '{'.
typedef struct statement {
  uint32_t first;
  uint32_t last;
  bool has_comment;  // inside
  bool has_string;
  uint32_t width;  // on one line
} statement;

static statement measure(const formatter *f) {
  statement s = {f->next, f->next, false, false, 0};
  int before = 0;
  for (uint32_t i = f->next;; ++i) {
    const tsr_token *token = token_at(f, i);
    if (token == NULL) break;
    if (token->kind == TSR_TOKEN_COMMENT) {
      s.has_comment = true;
      continue;
    }
    s.width += width(token_text(f, token)) +
               (i != s.first && spaced(before, token->kind));
    before = token->kind;
    s.has_string = s.has_string || before == TSR_TOK_STRING;
    s.last = i;
    if (token->kind == TSR_TOK_SEMICOLON || token->kind == TSR_TOK_LBRACE) {
      break;
    }
  }
  return s;
}

// The file's prefix goes in front of relative paths when it is put in place
// of its include. |string| has its quotes.
static void put_path(formatter *f, tsr_slice string) {
  tsr_buffer_append_char(f->out, '"');
  if (string.size > 1 && string.data[1] != '/') {
    for (const char *c = f->source->prefix; *c != '\0'; ++c) {
      if (strchr("\"\\{}", *c) != NULL) tsr_buffer_append_char(f->out, '\\');
      tsr_buffer_append_char(f->out, *c);
    }
    tsr_buffer_append_char(f->out, '/');
  }
  tsr_buffer_append(f->out, string.data + 1, string.size - 1);
}

// Is token |index| of |s| the path of a weights or masks declaration?
static bool is_path(const formatter *f, const statement *s, uint32_t index) {
  if (!f->flatten || f->source->prefix[0] == '\0' || f->depth != 0) {
    return false;
  }
  const tsr_token *tokens = f->ast->tokens;
  int keyword = tokens[s->first].kind;
  if (keyword != TSR_TOK_WEIGHTS && keyword != TSR_TOK_MASKS) return false;
  if (tokens[index].kind != TSR_TOK_STRING) return false;
  for (uint32_t i = s->first; i <= s->last; ++i) {
    tsr_slice text = token_text(f, &tokens[i]);
    // A string of synthetic data is its name.
    if (text.size == 9 && memcmp(text.data, "synthetic", 9) == 0) return false;
  }
  int before = tokens[index - 1].kind;
  return before != TSR_TOK_AS && before != TSR_TOK_FROM;
}

static void put_token(formatter *f, const statement *s, uint32_t index) {
  tsr_slice text = token_text(f, &f->ast->tokens[index]);
  if (is_path(f, s, index)) {
    put_path(f, text);
  } else {
    tsr_buffer_append(f->out, text.data, text.size);
  }
  f->line_empty = false;
}

// What separates the next token of a statement from the one before.
typedef enum gap { GAP_NONE, GAP_SPACE, GAP_TWO_SPACES, GAP_BREAK } gap;

// The width of what follows token |index| to the next comma or the end.
static uint32_t element_width(const formatter *f, const statement *s,
                              uint32_t index) {
  uint32_t sum = 0;
  int before = 0;
  for (uint32_t i = index; i <= s->last; ++i) {
    const tsr_token *token = &f->ast->tokens[i];
    if (token->kind == TSR_TOKEN_COMMENT) break;
    sum += width(token_text(f, token)) +
           (i != index && spaced(before, token->kind));
    before = token->kind;
    if (before == TSR_TOK_COMMA) break;
  }
  return sum;
}

static gap gap_before(const formatter *f, const statement *s, bool broken,
                      uint32_t index, uint32_t column) {
  int before = f->ast->tokens[index - 1].kind;
  int kind = f->ast->tokens[index].kind;
  if (before == TSR_TOKEN_COMMENT) return GAP_BREAK;
  if (kind == TSR_TOKEN_COMMENT) {
    return breaks_before(f, index) == 0 ? GAP_TWO_SPACES : GAP_BREAK;
  }
  if (broken && before == TSR_TOK_COMMA &&
      (s->has_string || column + 1 + element_width(f, s, index) > LINE_MAX)) {
    return GAP_BREAK;
  }
  return spaced(before, kind) ? GAP_SPACE : GAP_NONE;
}

static void put_statement(formatter *f, const statement *s) {
  uint32_t indent = f->depth * INDENT;
  bool broken = s->has_comment || indent + s->width > LINE_MAX;
  uint32_t first_width = width(token_text(f, &f->ast->tokens[s->first]));
  uint32_t align = indent + first_width + 1;
  uint32_t column = indent + first_width;
  begin_line(f, s->first);
  put_spaces(f, indent);
  put_token(f, s, s->first);
  for (uint32_t i = s->first + 1; i <= s->last; ++i) {
    gap kind = gap_before(f, s, broken, i, column);
    if (kind == GAP_BREAK) {
      tsr_buffer_append_char(f->out, '\n');
      column = 0;
    }
    uint32_t spaces = kind == GAP_BREAK ? align : (uint32_t)kind;
    put_spaces(f, spaces);
    put_token(f, s, i);
    column += spaces + width(token_text(f, &f->ast->tokens[i]));
  }
}

static void put_comment(formatter *f) {
  uint32_t index = f->next++;
  if (index != 0 && breaks_before(f, index) == 0 && !f->line_empty) {
    tsr_buffer_append_string(f->out, "  ");
  } else {
    begin_line(f, index);
    put_spaces(f, f->depth * INDENT);
  }
  tsr_slice text = token_text(f, &f->ast->tokens[index]);
  tsr_buffer_append(f->out, text.data, text.size);
  f->line_empty = false;
}

// The include that begins at |offset|. Asked in ascending order, so the list of
// statements is walked once.
static const tsr_node *include_at(formatter *f, uint32_t offset) {
  if (!f->flatten) return NULL;
  while (f->statement != NULL && f->statement->span.begin < offset) {
    f->statement = f->statement->next;
  }
  const tsr_node *n = f->statement;
  return n != NULL && n->included != NULL && n->span.begin == offset ? n : NULL;
}

// Recursion is bounded by the limit on nested includes.
static void put_included(formatter *f, const tsr_ast *ast) {
  new_line(f);
  formatter inner = *f;
  inner.ast = ast;
  inner.source = tsr_sources_get(&ast->compilation->sources, ast->source);
  inner.statement = ast->root->body;
  inner.next = 0;
  inner.opened = true;
  format_source(&inner);
  f->line_empty = inner.line_empty;
  f->opened = false;
}

static void format_source(formatter *f) {
  for (const tsr_token *token; (token = token_at(f, f->next)) != NULL;) {
    if (token->kind == TSR_TOKEN_COMMENT) {
      put_comment(f);
    } else if (token->kind == TSR_TOK_RBRACE) {
      new_line(f);
      if (f->depth != 0) --f->depth;
      put_spaces(f, f->depth * INDENT);
      tsr_buffer_append_char(f->out, '}');
      f->line_empty = false;
      f->opened = false;
      ++f->next;
    } else {
      statement s = measure(f);
      const tsr_node *include =
          f->depth == 0 ? include_at(f, token->span.begin) : NULL;
      f->next = s.last + 1;
      if (include != NULL) {
        put_included(f, include->included);
        continue;
      }
      put_statement(f, &s);
      if (f->ast->tokens[s.last].kind == TSR_TOK_LBRACE) {
        ++f->depth;
        f->opened = true;
      }
    }
  }
  new_line(f);
}

static void format(const tsr_ast *ast, bool flatten, tsr_buffer *out) {
  formatter f = {0};
  f.ast = ast;
  f.source = tsr_sources_get(&ast->compilation->sources, ast->source);
  f.statement = ast->root->body;
  f.out = out;
  f.flatten = flatten;
  f.line_empty = true;
  f.opened = true;
  format_source(&f);
}

void tsr_ast_format(const tsr_ast *ast, tsr_buffer *out) {
  format(ast, false, out);
}

void tsr_ast_flatten(const tsr_ast *ast, tsr_buffer *out) {
  format(ast, true, out);
}
