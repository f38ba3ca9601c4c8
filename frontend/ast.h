// SPDX-License-Identifier: Apache-2.0
// The syntax tree: one node type for everything, because the language is small
// and printing, dumping and checking all walk it. Nodes live in the
// compilation's arena and hold slices of the source text, so the parser frees
// nothing and cannot leak when it recovers from an error.
//
// Building never fails loudly: with memory short a builder sets the parse's
// |out_of_memory| and returns NULL, and every builder takes NULL.
#ifndef FRONTEND_AST_H_
#define FRONTEND_AST_H_

#include "frontend/frontend.h"

typedef enum tsr_node_kind {
#define TSR_NODE(name, word) TSR_NODE_##name,
#include "frontend/nodes.def"
#undef TSR_NODE
  TSR_NODE_COUNT
} tsr_node_kind;

// A piece of source text; not NUL-terminated.
typedef struct tsr_slice {
  const char *data;
  uint32_t size;
} tsr_slice;

typedef struct tsr_node {
  tsr_node_kind kind;
  bool erroneous;  // reported already: checks are silent about it
  tsr_span span;
  tsr_slice text;   // STRING: between the quotes, as written; WORD: itself
  uint64_t number;  // NUMBER; RANGE, SHAPE: first; PERCENT: billionths of 1 %
  uint64_t second;  // RANGE, SHAPE: second
  struct tsr_node *next;   // sibling
  struct tsr_node *first;  // operands and clauses
  struct tsr_node *last;
  struct tsr_node *body;  // statements between braces
  struct tsr_node *body_last;
  struct tsr_ast *included;  // INCLUDE: what it stands for, or NULL
} tsr_node;

// A lexical token as the scanner saw it, kept for printing and dumping.
typedef struct tsr_token {
  int kind;  // TSR_TOK_..., or TSR_TOKEN_COMMENT
  tsr_span span;
} tsr_token;

enum { TSR_TOKEN_COMMENT = -1 };

struct tsr_ast {
  tsr_compilation *compilation;
  uint32_t source;
  tsr_node *root;  // never NULL
  tsr_token *tokens;
  uint32_t token_count;
};

struct tsr_parser;

const char *tsr_node_kind_name(tsr_node_kind kind);

tsr_node *tsr_node_new(struct tsr_parser *parse, tsr_node_kind kind,
                       tsr_span span);
tsr_node *tsr_node_text(struct tsr_parser *parse, tsr_node_kind kind,
                        tsr_span span, tsr_slice text);
// Numbers from their digits; too large ones are reported and marked.
tsr_node *tsr_node_number(struct tsr_parser *parse, tsr_span span);
tsr_node *tsr_node_percent(struct tsr_parser *parse, tsr_span span);
tsr_node *tsr_node_shape(struct tsr_parser *parse, tsr_span span);
tsr_node *tsr_node_range(struct tsr_parser *parse, tsr_span span,
                         const tsr_node *first, const tsr_node *second);
// Make |child| (and its siblings, where it is a LIST: its children) the last
// operand or the last statement of |node|; both may be NULL. Return |node|.
tsr_node *tsr_node_add(tsr_node *node, tsr_node *child);
tsr_node *tsr_node_add_all(tsr_node *node, const tsr_node *list);
tsr_node *tsr_node_set_body(tsr_node *node, const tsr_node *list);
// The first operand of that kind, or NULL.
const tsr_node *tsr_node_find(const tsr_node *node, tsr_node_kind kind);

#endif  // FRONTEND_AST_H_
