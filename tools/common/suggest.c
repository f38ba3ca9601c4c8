// SPDX-License-Identifier: Apache-2.0
// "Did you mean": optimal string alignment distance (insertions, deletions,
// substitutions, swaps of neighbours), at most a third of the word.
#include <string.h>

#include "common/cli.h"

enum { WORD_LIMIT = 48 };

static unsigned minimum(unsigned a, unsigned b) {
  return a < b ? a : b;
}

static unsigned distance(const char *a, const char *b) {
  size_t rows = strlen(a);
  size_t columns = strlen(b);
  if (rows > WORD_LIMIT || columns > WORD_LIMIT) return WORD_LIMIT;
  unsigned table[3][WORD_LIMIT + 1];
  for (size_t j = 0; j <= columns; ++j) table[0][j] = (unsigned)j;
  for (size_t i = 1; i <= rows; ++i) {
    unsigned *row = table[i % 3];
    const unsigned *above = table[(i + 2) % 3];
    const unsigned *second = table[(i + 1) % 3];
    row[0] = (unsigned)i;
    for (size_t j = 1; j <= columns; ++j) {
      unsigned change = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = minimum(change, minimum(above[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = minimum(row[j], second[j - 2] + 1);
      }
    }
  }
  return table[rows % 3][columns];
}

const char *tsr_suggest(const char *word, const char *const *words) {
  const char *best = NULL;
  unsigned limit = (unsigned)strlen(word) / 3;
  unsigned best_distance = (limit == 0 ? 1 : limit) + 1;
  for (size_t i = 0; words[i] != NULL; ++i) {
    unsigned here = distance(word, words[i]);
    if (here < best_distance) {
      best_distance = here;
      best = words[i];
    }
  }
  return best;
}
