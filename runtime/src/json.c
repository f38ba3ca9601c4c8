// SPDX-License-Identifier: Apache-2.0
// Recursive descent, at most TSR_JSON_DEPTH_LIMIT deep. Strings are decoded in
// place in one private copy of the text: decoding never makes them longer.
#include "json.h"

#include <string.h>

#include "fail.h"

typedef struct parser {
  tsr_arena *arena;
  const char *original;  // undecoded, for positions
  char *start;
  char *at;
  char *end;
  tessera_error *error;
} parser;

static tessera_status parse_value(parser *p, uint32_t depth,
                                  tsr_json *out_value);

static tessera_status mistake(parser *p, const char *what) {
  uint64_t line = 1;
  const char *at = p->original + (p->at - p->start);
  const char *line_start = p->original;
  for (const char *c = p->original; c < at; ++c) {
    if (*c != '\n') continue;
    ++line;
    line_start = c + 1;
  }
  return tsr_fail(p->error, TESSERA_CORRUPT, "%llu:%llu: %s",
                  (unsigned long long)line,
                  (unsigned long long)(at - line_start) + 1, what);
}

static void skip_space(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' ||
                            *p->at == '\r')) {
    ++p->at;
  }
}

static bool take(parser *p, char c) {
  if (p->at >= p->end || *p->at != c) return false;
  ++p->at;
  return true;
}

static bool is_digit(const parser *p, const char *at) {
  return at < p->end && *at >= '0' && *at <= '9';
}

// ---- Strings ----------------------------------------------------------------

// Bytes of the UTF-8 sequence at |at|, or 0 (RFC 3629: no overlong form, no
// surrogate, nothing above U+10FFFF).
static size_t utf8_size(const unsigned char *at, const unsigned char *end) {
  size_t left = (size_t)(end - at);
  unsigned char a = at[0];
  if (a < 0x80) return 1;
  size_t size = a >= 0xf0 ? 4 : a >= 0xe0 ? 3 : 2;
  if (a < 0xc2 || a > 0xf4 || left < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  if ((a == 0xe0 && at[1] < 0xa0) || (a == 0xed && at[1] > 0x9f) ||
      (a == 0xf0 && at[1] < 0x90) || (a == 0xf4 && at[1] > 0x8f)) {
    return 0;
  }
  return size;
}

static char *put_utf8(char *to, uint32_t code) {
  if (code < 0x80) {
    *to++ = (char)code;
    return to;
  }
  if (code < 0x800) {
    *to++ = (char)(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    *to++ = (char)(0xe0 | code >> 12);
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
  } else {
    *to++ = (char)(0xf0 | code >> 18);
    *to++ = (char)(0x80 | (code >> 12 & 0x3f));
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
  }
  *to++ = (char)(0x80 | (code & 0x3f));
  return to;
}

static tessera_status parse_hex(parser *p, uint32_t *out_code) {
  uint32_t code = 0;
  for (int i = 0; i < 4; ++i) {
    char c = p->at < p->end ? *p->at : '\0';
    uint32_t digit;
    if (c >= '0' && c <= '9') {
      digit = (uint32_t)(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = (uint32_t)(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = (uint32_t)(c - 'A') + 10;
    } else {
      return mistake(p, "expected four hexadecimal digits after \\u");
    }
    code = code << 4 | digit;
    ++p->at;
  }
  *out_code = code;
  return TESSERA_OK;
}

static tessera_status parse_unicode(parser *p, char **to) {
  uint32_t code = 0;
  tessera_status status = parse_hex(p, &code);
  if (status != TESSERA_OK) return status;
  if (code == 0) return mistake(p, "a string contains NUL");
  if (code >= 0xdc00 && code < 0xe000) {
    return mistake(p, "a low surrogate without a high one");
  }
  if (code >= 0xd800 && code < 0xdc00) {
    uint32_t low = 0;
    if (!take(p, '\\') || !take(p, 'u')) {
      return mistake(p, "a high surrogate without a low one");
    }
    status = parse_hex(p, &low);
    if (status != TESSERA_OK) return status;
    if (low < 0xdc00 || low >= 0xe000) {
      return mistake(p, "a high surrogate without a low one");
    }
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  *to = put_utf8(*to, code);
  return TESSERA_OK;
}

static tessera_status parse_escape(parser *p, char **to) {
  static const char names[] = "\"\\/bfnrt";
  static const char values[] = "\"\\/\b\f\n\r\t";
  char c = p->at < p->end ? *p->at : '\0';
  if (c == 'u') {
    ++p->at;
    return parse_unicode(p, to);
  }
  const char *found = c == '\0' ? NULL : strchr(names, c);
  if (found == NULL) return mistake(p, "unknown escape in a string");
  ++p->at;
  *(*to)++ = values[found - names];
  return TESSERA_OK;
}

static tessera_status parse_plain(parser *p, char **to) {
  size_t size =
      utf8_size((const unsigned char *)p->at, (const unsigned char *)p->end);
  if (size == 0) return mistake(p, "not UTF-8");
  if ((unsigned char)*p->at < 0x20) {
    return mistake(p, "a control character in a string");
  }
  memmove(*to, p->at, size);
  *to += size;
  p->at += size;
  return TESSERA_OK;
}

static tessera_status parse_string(parser *p, const char **out_text) {
  if (!take(p, '"')) return mistake(p, "expected a string");
  char *text = p->at;
  char *to = text;
  tessera_status status = TESSERA_OK;
  while (status == TESSERA_OK) {
    if (p->at >= p->end) return mistake(p, "unterminated string");
    if (take(p, '"')) break;
    status = take(p, '\\') ? parse_escape(p, &to) : parse_plain(p, &to);
  }
  *to = '\0';  // at worst the closing quote's place
  *out_text = text;
  return status;
}

// ---- Numbers and words ------------------------------------------------------

static void skip_digits(parser *p) {
  while (is_digit(p, p->at)) ++p->at;
}

// False when the digits do not fit.
static bool read_magnitude(const char *from, const char *to,
                           uint64_t *out_magnitude) {
  uint64_t value = 0;
  for (const char *c = from; c < to; ++c) {
    uint64_t digit = (uint64_t)(*c - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out_magnitude = value;
  return true;
}

static tessera_status parse_fraction(parser *p, const char *start,
                                     tsr_json *out_value) {
  if (take(p, '.')) {
    if (!is_digit(p, p->at)) return mistake(p, "expected a digit");
    skip_digits(p);
  }
  if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
    ++p->at;
    if (!take(p, '+')) (void)take(p, '-');
    if (!is_digit(p, p->at)) return mistake(p, "expected a digit");
    skip_digits(p);
  }
  out_value->type = TSR_JSON_FRACTION;
  out_value->string =
      tsr_arena_strndup(p->arena, start, (size_t)(p->at - start));
  return out_value->string == NULL ? tsr_fail_out_of_memory(p->error)
                                   : TESSERA_OK;
}

static tessera_status parse_number(parser *p, tsr_json *out_value) {
  const char *start = p->at;
  bool negative = take(p, '-');
  const char *digits = p->at;
  if (!is_digit(p, digits)) return mistake(p, "expected a value");
  skip_digits(p);
  if (*digits == '0' && p->at - digits > 1) {
    return mistake(p, "a number starts with a superfluous zero");
  }
  bool fraction =
      p->at < p->end && (*p->at == '.' || *p->at == 'e' || *p->at == 'E');
  uint64_t limit = (uint64_t)INT64_MAX + 1;
  if (fraction || !read_magnitude(digits, p->at, &out_value->magnitude) ||
      (negative && out_value->magnitude > limit)) {
    return parse_fraction(p, start, out_value);
  }
  out_value->type = TSR_JSON_INTEGER;
  out_value->negative = negative && out_value->magnitude != 0;
  return TESSERA_OK;
}

static bool take_word(parser *p, const char *word) {
  size_t size = strlen(word);
  if ((size_t)(p->end - p->at) < size || memcmp(p->at, word, size) != 0) {
    return false;
  }
  p->at += size;
  return true;
}

static tessera_status parse_scalar(parser *p, tsr_json *out_value) {
  if (take_word(p, "null")) return TESSERA_OK;  // zeroed: TSR_JSON_NULL
  bool is_true = take_word(p, "true");
  if (!is_true && !take_word(p, "false")) return parse_number(p, out_value);
  out_value->type = TSR_JSON_BOOLEAN;
  out_value->boolean = is_true;
  return TESSERA_OK;
}

// ---- Arrays and objects -----------------------------------------------------

static tessera_status append(parser *p, tsr_json *parent, tsr_json **last,
                             tsr_json **out_child) {
  tsr_json *child = tsr_arena_alloc(p->arena, sizeof(*child));
  if (child == NULL) return tsr_fail_out_of_memory(p->error);
  child->parent = parent;
  child->index = parent->count++;
  if (*last == NULL) {
    parent->first = child;
  } else {
    (*last)->next = child;
  }
  *last = child;
  *out_child = child;
  return TESSERA_OK;
}

static tessera_status parse_key(parser *p, tsr_json *object, tsr_json *child) {
  const char *key = "";
  char *at = p->at;
  tessera_status status = parse_string(p, &key);
  if (status != TESSERA_OK) return status;
  for (const tsr_json *other = object->first; other != child;
       other = other->next) {
    if (strcmp(other->key, key) != 0) continue;
    p->at = at;
    return mistake(p, "a key occurs twice in one object");
  }
  if (object->count > TSR_JSON_KEY_LIMIT) {
    return mistake(p, "an object with more than 1024 keys");
  }
  child->key = key;
  skip_space(p);
  if (!take(p, ':')) return mistake(p, "expected ':'");
  skip_space(p);
  return TESSERA_OK;
}

static tessera_status parse_members(parser *p, uint32_t depth, char close,
                                    tsr_json *out_value) {
  tsr_json *last = NULL;
  skip_space(p);
  if (take(p, close)) return TESSERA_OK;
  for (;;) {
    tsr_json *child = NULL;
    skip_space(p);
    tessera_status status = append(p, out_value, &last, &child);
    if (status == TESSERA_OK && close == '}') {
      status = parse_key(p, out_value, child);
    }
    if (status == TESSERA_OK) status = parse_value(p, depth + 1, child);
    if (status != TESSERA_OK) return status;
    skip_space(p);
    if (take(p, close)) return TESSERA_OK;
    if (!take(p, ',')) {
      return mistake(
          p, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
    }
  }
}

static tessera_status parse_value(parser *p, uint32_t depth,
                                  tsr_json *out_value) {
  if (depth > TSR_JSON_DEPTH_LIMIT) {
    return mistake(p, "nested more than 32 levels deep");
  }
  if (p->at >= p->end) return mistake(p, "expected a value");
  if (*p->at == '"') {
    out_value->type = TSR_JSON_STRING;
    return parse_string(p, &out_value->string);
  }
  if (take(p, '{')) {
    out_value->type = TSR_JSON_OBJECT;
    return parse_members(p, depth, '}', out_value);
  }
  if (take(p, '[')) {
    out_value->type = TSR_JSON_ARRAY;
    return parse_members(p, depth, ']', out_value);
  }
  return parse_scalar(p, out_value);
}

tessera_status tsr_json_parse(tsr_arena *arena, const char *text, size_t size,
                              const tsr_json **out_root, tessera_error *error) {
  *out_root = NULL;
  char *copy = tsr_arena_strndup(arena, text, size);
  tsr_json *root = tsr_arena_alloc(arena, sizeof(*root));
  if (copy == NULL || root == NULL) return tsr_fail_out_of_memory(error);
  parser p = {arena, text, copy, copy, copy + size, error};
  skip_space(&p);
  tessera_status status = parse_value(&p, 1, root);
  if (status != TESSERA_OK) return status;
  skip_space(&p);
  if (p.at != p.end) return mistake(&p, "text after the end of the value");
  *out_root = root;
  return TESSERA_OK;
}

const tsr_json *tsr_json_find(const tsr_json *object, const char *key) {
  if (object == NULL || object->type != TSR_JSON_OBJECT) return NULL;
  for (const tsr_json *child = object->first; child != NULL;
       child = child->next) {
    if (strcmp(child->key, key) == 0) return child;
  }
  return NULL;
}
