// SPDX-License-Identifier: Apache-2.0
#include "base/suggest.h"

#include <string.h>

enum { LENGTH_MAX = 63 };

static uint32_t least(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

// Optimal string alignment distance, three rows at a time.
static uint32_t distance(const char *a, uint32_t a_size, const char *b,
                         uint32_t b_size) {
  uint32_t rows[3][LENGTH_MAX + 1];
  for (uint32_t j = 0; j <= b_size; ++j) rows[0][j] = j;
  for (uint32_t i = 1; i <= a_size; ++i) {
    uint32_t *row = rows[i % 3];
    const uint32_t *above = rows[(i + 2) % 3];
    const uint32_t *above2 = rows[(i + 1) % 3];
    row[0] = i;
    for (uint32_t j = 1; j <= b_size; ++j) {
      uint32_t cost = above[j - 1] + (a[i - 1] != b[j - 1]);
      cost = least(cost, least(above[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost = least(cost, above2[j - 2] + 1);
      }
      row[j] = cost;
    }
  }
  return rows[a_size % 3][b_size];
}

static uint32_t common_prefix(const char *text, uint32_t size,
                              const char *word) {
  uint32_t i = 0;
  while (i < size && text[i] == word[i]) ++i;
  return i;
}

// Less is nearer. An abbreviation ("gelu" for "gelu_erf") counts as no slip;
// between equals the longer common beginning decides.
static uint32_t score(const char *text, uint32_t size, const char *word) {
  uint32_t common = common_prefix(text, size, word);
  uint32_t length = (uint32_t)strlen(word);
  uint32_t slips =
      common == size && size >= 3 ? 0 : distance(text, size, word, length);
  return slips * 256 + 128 - common;
}

const char *tsr_suggest(const char *text, uint32_t size,
                        const char *const *candidates, uint32_t count) {
  if (size == 0 || size > LENGTH_MAX) return NULL;
  // A third of the word may be wrong, of short words one letter.
  uint32_t slips_max = size < 3 ? 1 : size / 3;
  uint32_t best_score = slips_max * 256 + 129;
  const char *best = NULL;
  for (uint32_t i = 0; i < count; ++i) {
    if (candidates[i] == NULL || strlen(candidates[i]) > LENGTH_MAX) continue;
    uint32_t s = score(text, size, candidates[i]);
    if (s < best_score) {
      best_score = s;
      best = candidates[i];
    }
  }
  return best;
}
