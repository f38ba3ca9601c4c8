// SPDX-License-Identifier: Apache-2.0
// What scanner and parser share while one source is read: no statics, all
// state hangs here (flex's yyextra, Bison's parse-param).
#ifndef FRONTEND_PARSE_H_
#define FRONTEND_PARSE_H_

#include <setjmp.h>

#include "frontend/ast.h"
#include "frontend/compilation.h"
#include "frontend/source_list.h"

enum {
  TSR_BLOCK_DEPTH_MAX = 64,
  TSR_LOOP_DEPTH_MAX = 8,
  TSR_INCLUDE_DEPTH_MAX = 16,
};

typedef struct tsr_parser {
  tsr_compilation *compilation;
  const tsr_source *source;
  uint32_t source_index;
  tsr_node *root;
  bool out_of_memory;
  bool stopped;    // a limit was hit: the rest is not looked at
  uint32_t depth;  // of open braces
  tsr_span open[TSR_BLOCK_DEPTH_MAX];
  uint32_t loop_depth;
  tsr_span previous;  // the token before the last: a forgotten ';' was
  tsr_span current;   //   due at its end
  uint32_t offset;    // scanner: end of the last token
  tsr_token *tokens;  // in the arena, grown by doubling
  uint32_t token_count;
  uint32_t token_capacity;
  jmp_buf jump;  // flex's fatal errors end here; crosses flex code only
} tsr_parser;

// Scanner's helpers.
void tsr_parse_push_token(tsr_parser *parse, int kind, tsr_span span);
// Counts a brace; false when the limit is hit (reported).
bool tsr_parse_open(tsr_parser *parse, tsr_span span);
void tsr_parse_close(tsr_parser *parse);
// Same for `for`; always pairs with leave.
void tsr_parse_enter_loop(tsr_parser *parse, tsr_span span);
void tsr_parse_leave_loop(tsr_parser *parse);
tsr_slice tsr_parse_slice(const tsr_parser *parse, tsr_span span);

// Reads the file at |path| for scanning. parser->source is NULL when the text
// is not fit for that (reported).
TSR_MUST_USE tsr_status tsr_parser_open(tsr_compilation *compilation,
                                        const char *path,
                                        tsr_parser *out_parser,
                                        tsr_error *error);
// Scans and parses parse->source. Generated code and its glue.
TSR_MUST_USE tsr_status tsr_parse_run(tsr_parser *parse, tsr_error *error);
// Scans only, filling parse->tokens.
TSR_MUST_USE tsr_status tsr_scan_run(tsr_parser *parse, tsr_error *error);
// "STRING", "'{'", "layer": as dumps and messages say it.
const char *tsr_token_name(int kind);

#endif  // FRONTEND_PARSE_H_
