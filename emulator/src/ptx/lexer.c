// SPDX-License-Identifier: Apache-2.0
#include "ptx/lexer.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT_DIGITS = 64 };  // of a decimal literal; more are a mistake

void tsr_ptx_lexer_init(tsr_ptx_lexer *lexer, const char *text, size_t size) {
  lexer->cursor = lexer->line_start = text;
  lexer->end = text + size;
  lexer->line = 1;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

// -1 when |c| is no digit of |base|.
static int digit_of(char c, uint32_t base) {
  int digit = is_digit(c)              ? c - '0'
              : (c >= 'a' && c <= 'f') ? c - 'a' + 10
              : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                       : 99;
  return digit < (int)base ? digit : -1;
}

static tsr_ptx_pos pos_at(const tsr_ptx_lexer *lexer, const char *place) {
  return (tsr_ptx_pos){lexer->line, (uint32_t)(place - lexer->line_start) + 1};
}

static void new_line(tsr_ptx_lexer *lexer, const char *start) {
  ++lexer->line;
  lexer->line_start = start;
}

// Skips "/* */" at the cursor; false when it has no end.
static bool skip_block_comment(tsr_ptx_lexer *lexer) {
  const char *p = lexer->cursor + 2;
  for (; p + 1 < lexer->end; ++p) {
    if (p[0] == '*' && p[1] == '/') {
      lexer->cursor = p + 2;
      return true;
    }
    if (*p == '\n') new_line(lexer, p + 1);
  }
  lexer->cursor = lexer->end;
  return false;
}

// Goes to the next token. False at an unfinished comment, whose place is put
// in |out_pos|.
static bool skip_space(tsr_ptx_lexer *lexer, tsr_ptx_pos *out_pos) {
  while (lexer->cursor < lexer->end) {
    const char *p = lexer->cursor;
    if (*p == '\n') {
      new_line(lexer, p + 1);
      ++lexer->cursor;
    } else if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\f' ||
               *p == '\v') {
      ++lexer->cursor;
    } else if (p[0] == '/' && p[1] == '/') {
      const char *end = memchr(p, '\n', (size_t)(lexer->end - p));
      lexer->cursor = end == NULL ? lexer->end : end;
    } else if (p[0] == '/' && p[1] == '*') {
      *out_pos = pos_at(lexer, p);
      if (!skip_block_comment(lexer)) return false;
    } else {
      break;
    }
  }
  return true;
}

static void fail(tsr_ptx_token *token, const char *message) {
  token->kind = TSR_PTX_TOKEN_ERROR;
  token->message = message;
}

static const char *word_end(const char *p, const char *end) {
  while (p < end && is_word(*p)) ++p;
  return p;
}

// Behind the digits comes what belongs to no number: "12abc".
static void finish_number(tsr_ptx_token *token, const char *p,
                          const tsr_ptx_lexer *lexer, const char *message) {
  if (p < lexer->end && is_word(*p)) fail(token, message);
}

// Digits of |base| and perhaps a U.
static const char *lex_integer(const tsr_ptx_lexer *lexer, const char *p,
                               uint32_t base, tsr_ptx_token *token) {
  const char *start = p;
  uint64_t value = 0;
  bool overflow = false;
  for (int digit; p < lexer->end && (digit = digit_of(*p, base)) >= 0; ++p) {
    overflow |= value > (UINT64_MAX - (uint64_t)digit) / base;
    value = value * base + (uint64_t)digit;
  }
  token->kind = TSR_PTX_TOKEN_INTEGER;
  token->value = value;
  token->is_unsigned = value > INT64_MAX;
  if (p == start) fail(token, "a number without digits");
  if (p < lexer->end && *p == 'U') {
    token->is_unsigned = true;
    ++p;
  }
  finish_number(token, p, lexer, "not a number");
  if (overflow) fail(token, "an integer of more than 64 bits");
  return word_end(p, lexer->end);
}

// 0f and 0d: exactly 8 or 16 hexadecimal digits (4.5.2).
static const char *lex_float_bits(const tsr_ptx_lexer *lexer, const char *p,
                                  uint32_t digits, tsr_ptx_token *token) {
  const char *start = p;
  for (int digit; p < lexer->end && (digit = digit_of(*p, 16)) >= 0; ++p) {
    token->value = token->value << 4 | (uint64_t)digit;
  }
  token->kind = digits == 8 ? TSR_PTX_TOKEN_FLOAT32 : TSR_PTX_TOKEN_FLOAT64;
  if (p - start != (ptrdiff_t)digits || (p < lexer->end && is_word(*p))) {
    fail(token, digits == 8
                    ? "a float of 0f needs exactly 8 hexadecimal digits"
                    : "a float of 0d needs exactly 16 hexadecimal digits");
  }
  return word_end(p, lexer->end);
}

// The end of "e+10"; |p| when there is no exponent.
static const char *exponent_end(const char *p, const char *end) {
  const char *q = p + 1;
  if (p >= end || (*p != 'e' && *p != 'E')) return p;
  if (q < end && (*q == '+' || *q == '-')) ++q;
  if (q >= end || !is_digit(*q)) return p;
  while (q < end && is_digit(*q)) ++q;
  return q;
}

// The end of a decimal literal with a point or an exponent; |start| when what
// is there is an integer or no number.
static const char *decimal_float_end(const char *start, const char *end) {
  const char *p = start;
  bool is_float = false;
  while (p < end && is_digit(*p)) ++p;
  bool point = p < end && *p == '.';
  // "1.x" is no float, but "1.e5" is one.
  if (point &&
      (p + 1 == end || !is_letter(p[1]) || exponent_end(p + 1, end) != p + 1)) {
    is_float = p > start || (p + 1 < end && is_digit(p[1]));
    for (++p; p < end && is_digit(*p);) ++p;
  }
  const char *behind = exponent_end(p, end);
  is_float |= behind != p && p > start;
  return is_float ? behind : start;
}

static const char *lex_decimal_float(const tsr_ptx_lexer *lexer,
                                     const char *start, const char *end,
                                     tsr_ptx_token *token) {
  char copy[FLOAT_DIGITS + 1];
  size_t size = (size_t)(end - start);
  token->kind = TSR_PTX_TOKEN_FLOAT64;
  if (size > FLOAT_DIGITS) {
    fail(token, "a decimal literal of more than 64 characters");
    return word_end(end, lexer->end);
  }
  memcpy(copy, start, size);
  copy[size] = '\0';
  char *point = memchr(copy, '.', size);
  if (point != NULL) *point = *localeconv()->decimal_point;
  double value = strtod(copy, NULL);
  memcpy(&token->value, &value, sizeof(value));
  finish_number(token, end, lexer, "not a number");
  return word_end(end, lexer->end);
}

static const char *lex_number(const tsr_ptx_lexer *lexer, const char *p,
                              tsr_ptx_token *token) {
  if (p[0] == '0') {
    switch (p[1]) {
      case 'x':
      case 'X':
        return lex_integer(lexer, p + 2, 16, token);
      case 'b':
      case 'B':
        return lex_integer(lexer, p + 2, 2, token);
      case 'f':
      case 'F':
        return lex_float_bits(lexer, p + 2, 8, token);
      case 'd':
      case 'D':
        return lex_float_bits(lexer, p + 2, 16, token);
      default:
        break;
    }
  }
  const char *end = decimal_float_end(p, lexer->end);
  if (end != p) return lex_decimal_float(lexer, p, end, token);
  return lex_integer(lexer, p, p[0] == '0' ? 8 : 10, token);
}

// A dot and a word; words joined by "::" are one ("L2::cache_hint").
static const char *lex_dotted(const tsr_ptx_lexer *lexer, const char *p,
                              tsr_ptx_token *token) {
  p = word_end(p + 1, lexer->end);
  while (p + 2 < lexer->end && p[0] == ':' && p[1] == ':' && is_word(p[2])) {
    p = word_end(p + 2, lexer->end);
  }
  token->kind = TSR_PTX_TOKEN_DOTTED;
  return p;
}

static const char *lex_string(const tsr_ptx_lexer *lexer, const char *p,
                              tsr_ptx_token *token) {
  token->kind = TSR_PTX_TOKEN_STRING;
  for (++p; p < lexer->end && *p != '\n'; ++p) {
    if (*p == '"') return p + 1;
    if (*p == '\\' && p + 1 < lexer->end && p[1] != '\n') ++p;
  }
  fail(token, "a string that is not closed");
  return p;
}

static const char *lex_mark(const tsr_ptx_lexer *lexer, const char *p,
                            tsr_ptx_token *token) {
  static const char pairs[][3] = {
      "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "::"};
  token->kind = TSR_PTX_TOKEN_MARK;
  for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); ++i) {
    if (p + 1 < lexer->end && p[0] == pairs[i][0] && p[1] == pairs[i][1]) {
      token->mark = TSR_PTX_MARK2(p[0], p[1]);
      return p + 2;
    }
  }
  token->mark = (unsigned char)*p;
  if (*p == '\0' || strchr(";,:{}[]()<>@!|+-*/%~&^?=", *p) == NULL) {
    fail(token, *p == '\0' ? "a NUL byte" : "a character that is not PTX");
  }
  return p + 1;
}

static const char *lex_token(const tsr_ptx_lexer *lexer, const char *p,
                             tsr_ptx_token *token) {
  bool more = p + 1 < lexer->end;
  if (is_letter(*p) || *p == '_' || *p == '$' ||
      (*p == '%' && more && is_word(p[1]))) {
    token->kind = TSR_PTX_TOKEN_NAME;
    return word_end(p + 1, lexer->end);
  }
  if (is_digit(*p)) return lex_number(lexer, p, token);
  if (*p == '.' && more && is_digit(p[1])) {  // .5, but not .1d
    const char *end = decimal_float_end(p, lexer->end);
    bool is_float = end == lexer->end || !is_word(*end);
    if (is_float) return lex_decimal_float(lexer, p, end, token);
  }
  if (*p == '.' && more && is_word(p[1])) return lex_dotted(lexer, p, token);
  if (*p == '"') return lex_string(lexer, p, token);
  return lex_mark(lexer, p, token);
}

tsr_ptx_token tsr_ptx_lexer_next(tsr_ptx_lexer *lexer) {
  tsr_ptx_token token = {.kind = TSR_PTX_TOKEN_END};
  const char *before = lexer->cursor;
  if (!skip_space(lexer, &token.pos)) {
    fail(&token, "a comment that is not closed");
    return token;
  }
  const char *start = lexer->cursor;
  token.glued = start == before;
  token.pos = pos_at(lexer, start);
  token.text = (tsr_ptx_str){start, 0};
  if (start == lexer->end) return token;
  lexer->cursor = lex_token(lexer, start, &token);
  token.text.size = (uint32_t)(lexer->cursor - start);
  if (token.kind == TSR_PTX_TOKEN_DOTTED) {
    ++token.text.data;
    --token.text.size;
  } else if (token.kind == TSR_PTX_TOKEN_STRING) {
    ++token.text.data;
    token.text.size -= 2;
  }
  return token;
}
