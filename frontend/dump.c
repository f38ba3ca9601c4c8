// SPDX-License-Identifier: Apache-2.0
// --emit=tokens, ast, plan: stable text for people and for golden tests.
#include <string.h>

#include "frontend/parse.h"

static void dump_place(tsr_buffer *out, const tsr_sources *sources,
                       tsr_span span) {
  tsr_location begin = tsr_source_locate(sources, span.source, span.begin);
  tsr_location end = tsr_source_locate(sources, span.source, span.end);
  if (begin.line == end.line) {
    tsr_buffer_printf(out, "%u:%u-%u", begin.line, begin.column, end.column);
  } else {
    tsr_buffer_printf(out, "%u:%u-%u:%u", begin.line, begin.column, end.line,
                      end.column);
  }
}

// --- tokens ------------------------------------------------------------------

static void dump_scanned(const tsr_parser *parser, tsr_buffer *out) {
  const tsr_sources *sources = &parser->compilation->sources;
  for (uint32_t i = 0; i < parser->token_count; ++i) {
    const tsr_token *token = &parser->tokens[i];
    tsr_slice text = tsr_parse_slice(parser, token->span);
    dump_place(out, sources, token->span);
    tsr_buffer_printf(out, " %s ", tsr_token_name(token->kind));
    tsr_buffer_append_json(out, text.data, text.size);
    tsr_buffer_append_char(out, '\n');
  }
}

tsr_status tsr_dump_tokens(tsr_compilation *compilation, const char *path,
                           tsr_buffer *out, tsr_error *error) {
  tsr_parser parser = {0};
  tsr_status status = tsr_parser_open(compilation, path, &parser, error);
  // Text that may not be scanned has been reported and has no tokens.
  if (status == TSR_OK && parser.source != NULL) {
    status = tsr_scan_run(&parser, error);
  }
  if (status == TSR_OK && parser.source != NULL) dump_scanned(&parser, out);
  return status;
}

// --- ast ---------------------------------------------------------------------

static void dump_value(const tsr_node *node, tsr_buffer *out) {
  switch (node->kind) {
    case TSR_NODE_STRING:
    case TSR_NODE_WORD:
      tsr_buffer_append_char(out, ' ');
      tsr_buffer_append_json(out, node->text.data, node->text.size);
      break;
    case TSR_NODE_NUMBER:
      tsr_buffer_printf(out, " %llu", (unsigned long long)node->number);
      break;
    case TSR_NODE_PERCENT:
      tsr_buffer_printf(out, " %.*s%%", (int)node->text.size, node->text.data);
      break;
    case TSR_NODE_RANGE:
      tsr_buffer_printf(out, " %llu..%llu", (unsigned long long)node->number,
                        (unsigned long long)node->second);
      break;
    case TSR_NODE_OPEN_RANGE:
      tsr_buffer_printf(out, " %llu..", (unsigned long long)node->number);
      break;
    case TSR_NODE_SHAPE:
      tsr_buffer_printf(out, " %llux%llu", (unsigned long long)node->number,
                        (unsigned long long)node->second);
      break;
    default:
      break;
  }
}

// Recursion is bounded: the parser limits blocks, includes nest 16 deep.
static void dump_node(const tsr_ast *ast, const tsr_node *node, int depth,
                      tsr_buffer *out) {
  tsr_buffer_printf(out, "%*s%s", 2 * depth, "",
                    tsr_node_kind_name(node->kind));
  dump_value(node, out);
  tsr_buffer_append_string(out, " @");
  dump_place(out, &ast->compilation->sources, node->span);
  tsr_buffer_append_char(out, '\n');
  for (const tsr_node *n = node->first; n != NULL; n = n->next) {
    dump_node(ast, n, depth + 1, out);
  }
  for (const tsr_node *n = node->body; n != NULL; n = n->next) {
    dump_node(ast, n, depth + 1, out);
  }
  if (node->included != NULL) {
    dump_node(node->included, node->included->root, depth + 1, out);
  }
}

void tsr_ast_dump(const tsr_ast *ast, tsr_buffer *out) {
  dump_node(ast, ast->root, 0, out);
}
