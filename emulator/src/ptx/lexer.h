// SPDX-License-Identifier: Apache-2.0
// Cuts PTX text into tokens (PTX ISA 4.1 to 4.5), one at a time. Never fails
// for good: what is no token comes as TSR_PTX_TOKEN_ERROR with a message, and
// the next call goes on behind it.
#ifndef PTX_LEXER_H_
#define PTX_LEXER_H_

#include "ptx/ast.h"

typedef enum tsr_ptx_token_kind {
  TSR_PTX_TOKEN_END,
  TSR_PTX_TOKEN_ERROR,    // |message| says what
  TSR_PTX_TOKEN_NAME,     // ld, %r1, $L__BB0_1, _
  TSR_PTX_TOKEN_DOTTED,   // .u32, .L1::no_allocate; |text| without the dot
  TSR_PTX_TOKEN_INTEGER,  // |value|, |is_unsigned|
  TSR_PTX_TOKEN_FLOAT32,  // 0f3F800000; bits in |value|
  TSR_PTX_TOKEN_FLOAT64,  // 0d..., 1.5, 1e9; bits in |value|
  TSR_PTX_TOKEN_STRING,   // |text| without the quotes, escapes as written
  TSR_PTX_TOKEN_MARK,     // punctuation or an operator: |mark|
} tsr_ptx_token_kind;

// A mark of two characters: TSR_PTX_MARK2('<', '<').
#define TSR_PTX_MARK2(a, b) ((uint16_t)((a) << 8 | (b)))

typedef struct tsr_ptx_token {
  tsr_ptx_token_kind kind;
  tsr_ptx_pos pos;
  tsr_ptx_str text;
  uint64_t value;
  const char *message;
  uint16_t mark;
  bool is_unsigned;  // INTEGER: has the suffix U, or needs all 64 bits
  bool glued;        // no space in front
} tsr_ptx_token;

typedef struct tsr_ptx_lexer {
  const char *cursor, *end;
  const char *line_start;
  uint32_t line;
} tsr_ptx_lexer;

// |text| must be terminated by a NUL at text[size] and outlive the tokens.
void tsr_ptx_lexer_init(tsr_ptx_lexer *lexer, const char *text, size_t size);
tsr_ptx_token tsr_ptx_lexer_next(tsr_ptx_lexer *lexer);

#endif  // PTX_LEXER_H_
