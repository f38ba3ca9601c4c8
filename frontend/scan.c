// SPDX-License-Identifier: Apache-2.0
#include "frontend/scan.h"

#include <string.h>

#include "plan_parser.h"

void tsr_scan_advance(tsr_parser *parse, size_t size, tsr_span *location) {
  location->source = parse->source_index;
  location->begin = parse->offset;
  parse->offset += (uint32_t)size;
  location->end = parse->offset;
}

void tsr_parse_push_token(tsr_parser *parse, int kind, tsr_span span) {
  if (parse->token_count == parse->token_capacity) {
    uint32_t capacity =
        parse->token_capacity == 0 ? 256 : parse->token_capacity * 2;
    tsr_token *tokens = tsr_arena_alloc_array(&parse->compilation->arena,
                                              capacity, sizeof(*tokens));
    if (tokens == NULL) {
      parse->out_of_memory = true;
      return;
    }
    if (parse->token_count != 0) {
      memcpy(tokens, parse->tokens, parse->token_count * sizeof(*tokens));
    }
    parse->tokens = tokens;
    parse->token_capacity = capacity;
  }
  parse->tokens[parse->token_count++] = (tsr_token){kind, span};
}

int tsr_scan_accept(tsr_parser *parse, int kind, const tsr_span *location) {
  parse->previous = parse->current;
  parse->current = *location;
  tsr_parse_push_token(parse, kind, *location);
  return parse->out_of_memory ? TSR_TOK_END : kind;
}

int tsr_scan_end(tsr_parser *parse, tsr_span *location) {
  *location = (tsr_span){parse->source_index, parse->offset, parse->offset};
  parse->previous = parse->current;
  parse->current = *location;
  return TSR_TOK_END;
}

int tsr_scan_open(tsr_parser *parse, const tsr_span *location) {
  if (parse->depth == TSR_BLOCK_DEPTH_MAX) {
    tsr_diag_report(parse->compilation->diags, TSR_DIAG_TOO_DEEP, *location,
                    "blocks nested more than %d deep", TSR_BLOCK_DEPTH_MAX);
    parse->stopped = true;
    return TSR_TOK_END;
  }
  parse->open[parse->depth++] = *location;
  return tsr_scan_accept(parse, TSR_TOK_LBRACE, location);
}

void tsr_parse_close(tsr_parser *parse) {
  if (parse->depth != 0) --parse->depth;
}

void tsr_parse_enter_loop(tsr_parser *parse, tsr_span span) {
  if (++parse->loop_depth == TSR_LOOP_DEPTH_MAX + 1) {
    tsr_diag_report(parse->compilation->diags, TSR_DIAG_TOO_DEEP, span,
                    "loops nested more than %d deep", TSR_LOOP_DEPTH_MAX);
    parse->stopped = true;
  }
}

void tsr_parse_leave_loop(tsr_parser *parse) {
  --parse->loop_depth;
}

tsr_slice tsr_parse_slice(const tsr_parser *parse, tsr_span span) {
  return (tsr_slice){parse->source->text + span.begin, span.end - span.begin};
}

typedef struct keyword {
  const char *text;
  int kind;
} keyword;

static const keyword keywords[] = {
    {"activation", TSR_TOK_ACTIVATION},
    {"as", TSR_TOK_AS},
    {"balance", TSR_TOK_BALANCE},
    {"bias", TSR_TOK_BIAS},
    {"columns", TSR_TOK_COLUMNS},
    {"concat", TSR_TOK_CONCAT},
    {"dense", TSR_TOK_DENSE},
    {"for", TSR_TOK_FOR},
    {"from", TSR_TOK_FROM},
    {"in", TSR_TOK_IN},
    {"include", TSR_TOK_INCLUDE},
    {"interleave", TSR_TOK_INTERLEAVE},
    {"layer", TSR_TOK_LAYER},
    {"masks", TSR_TOK_MASKS},
    {"match", TSR_TOK_MATCH},
    {"model", TSR_TOK_MODEL},
    {"output", TSR_TOK_OUTPUT},
    {"require", TSR_TOK_REQUIRE},
    {"residual", TSR_TOK_RESIDUAL},
    {"rows", TSR_TOK_ROWS},
    {"schedule", TSR_TOK_SCHEDULE},
    {"seed", TSR_TOK_SEED},
    {"sparse24", TSR_TOK_SPARSE24},
    {"split", TSR_TOK_SPLIT},
    {"step", TSR_TOK_STEP},
    {"target", TSR_TOK_TARGET},
    {"tile", TSR_TOK_TILE},
    {"tokens", TSR_TOK_TOKENS},
    {"type", TSR_TOK_TYPE},
    {"weight", TSR_TOK_WEIGHT},
    {"weights", TSR_TOK_WEIGHTS},
    {"workers", TSR_TOK_WORKERS},
    {"zero", TSR_TOK_ZERO},
};

int tsr_scan_keyword(const char *text, size_t size) {
  for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); ++i) {
    const char *word = keywords[i].text;
    if (strlen(word) == size && memcmp(word, text, size) == 0) {
      return keywords[i].kind;
    }
  }
  return TSR_TOK_WORD;
}

void tsr_scan_comment(tsr_parser *parse, tsr_span *location) {
  tsr_slice text = tsr_parse_slice(parse, *location);
  // The end of a line is not part of its comment.
  while (text.size > 1 &&
         (text.data[text.size - 1] == '\r' || text.data[text.size - 1] == ' ' ||
          text.data[text.size - 1] == '\t')) {
    --text.size;
  }
  location->end = location->begin + text.size;
  tsr_parse_push_token(parse, TSR_TOKEN_COMMENT, *location);
}

int tsr_scan_unterminated(tsr_parser *parse, const tsr_span *location) {
  tsr_diag_report(parse->compilation->diags, TSR_DIAG_UNTERMINATED_STRING,
                  *location, "string does not end on this line");
  return tsr_scan_accept(parse, TSR_TOK_BAD_STRING, location);
}

int tsr_scan_curly_quote(tsr_parser *parse, const tsr_span *location) {
  tsr_diag_report(parse->compilation->diags, TSR_DIAG_BAD_CHARACTER, *location,
                  "curly quotes; strings stand between straight ones: \"");
  return tsr_scan_accept(parse, TSR_TOK_BAD_STRING, location);
}

int tsr_scan_bad_number(tsr_parser *parse, const tsr_span *location) {
  tsr_slice text = tsr_parse_slice(parse, *location);
  tsr_diag_report(parse->compilation->diags, TSR_DIAG_BAD_NUMBER, *location,
                  "'%.*s' is neither a number nor a shape",
                  (int)(text.size > 40 ? 40 : text.size), text.data);
  return tsr_scan_accept(parse, TSR_TOK_BAD_NUMBER, location);
}

void tsr_scan_bad_character(tsr_parser *parse, const tsr_span *location) {
  tsr_slice text = tsr_parse_slice(parse, *location);
  tsr_diags *diags = parse->compilation->diags;
  unsigned first = (unsigned char)text.data[0];
  if (first < 0x20 || first == 0x7f) {
    tsr_diag_report(diags, TSR_DIAG_BAD_CHARACTER, *location,
                    "unexpected control character 0x%02x", first);
    return;
  }
  tsr_diag_report(diags, TSR_DIAG_BAD_CHARACTER, *location,
                  "unexpected character '%.*s'",
                  (int)(text.size > 40 ? 40 : text.size), text.data);
}

// Blocks remember their size in 16 bytes before them, which keeps the arena's
// alignment.
void *tsr_scan_allocate(tsr_parser *parse, size_t size) {
  if (parse == NULL || size > TSR_SOURCE_SIZE_MAX * (size_t)4) return NULL;
  size_t *block = tsr_arena_alloc(&parse->compilation->arena, size + 16);
  if (block == NULL) {
    parse->out_of_memory = true;
    return NULL;
  }
  block[0] = size;
  return (char *)block + 16;
}

void *tsr_scan_reallocate(tsr_parser *parse, void *block, size_t size) {
  void *grown = tsr_scan_allocate(parse, size);
  if (grown == NULL || block == NULL) return grown;
  size_t old_size;
  memcpy(&old_size, (const char *)block - 16, sizeof(old_size));
  return memcpy(grown, block, old_size < size ? old_size : size);
}

void tsr_scan_fatal(tsr_parser *parse, const char *message) {
  (void)message;
  parse->out_of_memory = true;
  longjmp(parse->jump, 1);
}
