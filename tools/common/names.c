// SPDX-License-Identifier: Apache-2.0
// A name is a row of words with dots between them, a pattern a row of sets of
// words: it stands for all names that take one word of each set. Two patterns
// that differ in one set only become one, until there are no such two; so no
// pattern stands for a name that was not there.
#include "common/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

// What a line or two can hold.
enum { PATTERN_LIMIT = 6, PIECE_LIMIT = 12, DIGIT_LIMIT = 9 };

typedef struct set {
  const char **words;
  uint32_t count, capacity;
} set;

typedef struct pattern {
  set *sets;
  uint32_t count;
} pattern;

// ---- Patterns --------------------------------------------------------------

static bool add_word(tsr_arena *arena, set *s, const char *word) {
  if (s->count == s->capacity) {
    uint32_t capacity = s->capacity == 0 ? 1 : 2 * s->capacity;
    const char **words = tsr_arena_alloc_array(arena, capacity, sizeof(*words));
    if (words == NULL) return false;
    for (uint32_t i = 0; i < s->count; ++i) words[i] = s->words[i];
    s->words = words;
    s->capacity = capacity;
  }
  s->words[s->count++] = word;
  return true;
}

static bool split(tsr_arena *arena, const char *name, pattern *out) {
  uint32_t count = 1;
  for (const char *at = name; *at != '\0'; ++at) count += *at == '.';
  *out = (pattern){tsr_arena_alloc_array(arena, count, sizeof(set)), count};
  if (out->sets == NULL) return false;
  for (uint32_t i = 0; i < count; ++i) {
    size_t size = strcspn(name, ".");
    const char *word = tsr_arena_strndup(arena, name, size);
    out->sets[i] = (set){NULL, 0, 0};
    if (word == NULL || !add_word(arena, &out->sets[i], word)) return false;
    name += size + (name[size] == '.');
  }
  return true;
}

static bool same_set(const set *a, const set *b) {
  if (a->count != b->count) return false;
  for (uint32_t i = 0; i < a->count; ++i) {
    if (strcmp(a->words[i], b->words[i]) != 0) return false;
  }
  return true;
}

static bool same_but_at(const pattern *a, const pattern *b, uint32_t position) {
  if (a->count != b->count) return false;
  for (uint32_t i = 0; i < a->count; ++i) {
    if (i != position && !same_set(&a->sets[i], &b->sets[i])) return false;
  }
  return true;
}

// Merges what differs in set |position| only.
static bool merge_at(tsr_arena *arena, pattern *patterns, uint32_t *io_count,
                     uint32_t position) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < *io_count; ++i) {
    const pattern *from = &patterns[i];
    uint32_t k = 0;
    while (k < kept && (position >= from->count ||
                        !same_but_at(&patterns[k], from, position))) {
      ++k;
    }
    if (k == kept) {
      patterns[kept++] = *from;
      continue;
    }
    const set *more = &from->sets[position];
    for (uint32_t w = 0; w < more->count; ++w) {
      set *to = &patterns[k].sets[position];
      if (!add_word(arena, to, more->words[w])) return false;
    }
  }
  *io_count = kept;
  return true;
}

static bool merge(tsr_arena *arena, pattern *patterns, uint32_t *io_count) {
  uint32_t longest = 0;
  for (uint32_t i = 0; i < *io_count; ++i) {
    if (patterns[i].count > longest) longest = patterns[i].count;
  }
  for (uint32_t before = 0; before != *io_count;) {
    before = *io_count;
    for (uint32_t at = 0; at < longest; ++at) {
      if (!merge_at(arena, patterns, io_count, at)) return false;
    }
  }
  return true;
}

// ---- Text ------------------------------------------------------------------

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Bytes beyond ASCII are parts of letters.
static bool is_mark(char c) {
  bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return !is_letter && !is_digit(c) && (unsigned char)c < 0x80;
}

static size_t shortest(const set *s) {
  size_t size = strlen(s->words[0]);
  for (uint32_t i = 1; i < s->count; ++i) {
    size_t here = strlen(s->words[i]);
    if (here < size) size = here;
  }
  return size;
}

// Whether all words begin (end) with the same |size| bytes, and none is torn
// apart there: "q_proj" between q and _, "layer12" before its number.
static bool is_head(const set *s, size_t size) {
  for (uint32_t i = 0; i < s->count; ++i) {
    const char *word = s->words[i];
    if (memcmp(word, s->words[0], size) != 0) return false;
    if (is_mark(word[size - 1])) continue;
    if (is_digit(word[size - 1]) || !is_digit(word[size])) return false;
  }
  return true;
}

static bool is_tail(const set *s, size_t size) {
  const char *first = s->words[0] + strlen(s->words[0]) - size;
  for (uint32_t i = 0; i < s->count; ++i) {
    const char *tail = s->words[i] + strlen(s->words[i]) - size;
    if (memcmp(tail, first, size) != 0) return false;
    if (is_mark(tail[0])) continue;
    if (is_digit(tail[0]) || !is_digit(tail[-1])) return false;
  }
  return true;
}

// |text| of |size| bytes as a number; -1: as "007" or "q" it is none.
static long number(const char *text, size_t size) {
  if (size == 0 || size > DIGIT_LIMIT || (size > 1 && text[0] == '0'))
    return -1;
  for (size_t i = 0; i < size; ++i) {
    if (!is_digit(text[i])) return -1;
  }
  return strtol(text, NULL, 10);
}

// What lies between |head| and |tail| bytes of word |index|.
static const char *middle(const set *s, uint32_t index, size_t head,
                          size_t tail, size_t *out_size) {
  *out_size = strlen(s->words[index]) - head - tail;
  return s->words[index] + head;
}

// The words from |first| on that count up by one; at least 1.
static uint32_t run_of(const set *s, uint32_t first, size_t head, size_t tail) {
  size_t size = 0;
  const char *text = middle(s, first, head, tail, &size);
  long at = number(text, size);
  uint32_t end = first + 1;
  for (; at >= 0 && end < s->count; ++end) {
    text = middle(s, end, head, tail, &size);
    if (number(text, size) != ++at) break;
  }
  return end - first;
}

static void put_pieces(const set *s, size_t head, size_t tail,
                       tsr_buffer *out) {
  uint32_t pieces = 0;
  for (uint32_t i = 0; i < s->count; ++pieces) {
    size_t size = 0;
    const char *text = middle(s, i, head, tail, &size);
    uint32_t run = run_of(s, i, head, tail);
    if (pieces != 0) tsr_buffer_append_char(out, ',');
    if (pieces == PIECE_LIMIT) {
      tsr_buffer_append_string(out, "...");
      return;
    }
    tsr_buffer_append(out, text, size);
    if (run > 2) {
      text = middle(s, i + run - 1, head, tail, &size);
      tsr_buffer_append_string(out, "..");
      tsr_buffer_append(out, text, size);
    }
    i += run > 2 ? run : 1;
  }
}

static void put_set(const set *s, tsr_buffer *out) {
  if (s->count == 1) {
    tsr_buffer_append_string(out, s->words[0]);
    return;
  }
  // At least a byte of each word stays in the braces.
  size_t least = shortest(s);
  size_t head = least == 0 ? 0 : least - 1;
  while (head != 0 && !is_head(s, head)) --head;
  size_t tail = least == 0 ? 0 : least - head - 1;
  while (tail != 0 && !is_tail(s, tail)) --tail;
  tsr_buffer_append(out, s->words[0], head);
  tsr_buffer_append_char(out, '{');
  put_pieces(s, head, tail, out);
  tsr_buffer_append_char(out, '}');
  tsr_buffer_append_string(out, s->words[0] + strlen(s->words[0]) - tail);
}

static void put_patterns(const pattern *patterns, uint32_t count,
                         tsr_buffer *out) {
  for (uint32_t i = 0; i < count; ++i) {
    if (i != 0) tsr_buffer_append_string(out, ", ");
    if (i == PATTERN_LIMIT) {
      tsr_buffer_append_string(out, "...");
      return;
    }
    for (uint32_t k = 0; k < patterns[i].count; ++k) {
      if (k != 0) tsr_buffer_append_char(out, '.');
      put_set(&patterns[i].sets[k], out);
    }
  }
}

void tsr_names_fold(const char *const *names, uint32_t count, tsr_buffer *out) {
  tsr_arena arena = {0};
  pattern *patterns = tsr_arena_alloc_array(&arena, count, sizeof(*patterns));
  bool is_done = patterns != NULL;
  for (uint32_t i = 0; is_done && i < count; ++i) {
    is_done = split(&arena, names[i], &patterns[i]);
  }
  if (is_done) is_done = merge(&arena, patterns, &count);
  if (is_done) {
    put_patterns(patterns, count, out);
  } else {
    out->failed = true;
  }
  tsr_arena_fini(&arena);
}
