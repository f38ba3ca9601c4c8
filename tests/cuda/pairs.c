// SPDX-License-Identifier: Apache-2.0
// See pairs.h. Greedy, in the way of AETG (Cohen, Dalal, Fredman, Patton,
// 1997): each row begins with a pair that is not covered yet; the other
// dimensions, in random order, take the value that covers most; of some such
// rows the best one is kept.
#include "pairs.h"

#include <string.h>

enum { CANDIDATES = 40 };

typedef struct pairs_state {
  const uint32_t *sizes;
  uint32_t count;                    // of dimensions
  uint32_t first[PAIRS_DIMENSIONS];  // number of each dimension's first value
  uint32_t left;                     // pairs to be covered
  bool covered[PAIRS_VALUES][PAIRS_VALUES];
  uint64_t random;
} pairs_state;

static uint32_t draw(pairs_state *s, uint32_t below) {
  s->random = s->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((s->random >> 33) % below);
}

static bool is_covered(const pairs_state *s, uint32_t i, uint32_t a, uint32_t j,
                       uint32_t b) {
  return s->covered[s->first[i] + a][s->first[j] + b];
}

// What value |a| of dimension |i| would cover beside what |row| has.
static uint32_t gain(const pairs_state *s, const pairs_row *row,
                     const bool *is_set, uint32_t i, uint32_t a) {
  uint32_t sum = 0;
  for (uint32_t j = 0; j < s->count; ++j) {
    if (j != i && is_set[j] && !is_covered(s, i, a, j, row->at[j])) ++sum;
  }
  return sum;
}

// The |number|th pair that is not covered, into |row|.
static void begin(const pairs_state *s, uint32_t number, pairs_row *row,
                  bool *is_set) {
  for (uint32_t i = 0; i < s->count; ++i) {
    for (uint32_t j = i + 1; j < s->count; ++j) {
      for (uint32_t ab = 0; ab < s->sizes[i] * s->sizes[j]; ++ab) {
        uint32_t a = ab / s->sizes[j], b = ab % s->sizes[j];
        if (is_covered(s, i, a, j, b) || number-- != 0) continue;
        row->at[i] = (uint8_t)a;
        row->at[j] = (uint8_t)b;
        is_set[i] = is_set[j] = true;
        return;
      }
    }
  }
}

static void choose(pairs_state *s, pairs_row *row, bool *is_set, uint32_t i) {
  uint32_t best = 0, best_gain = 0, equals = 0;
  for (uint32_t a = 0; a < s->sizes[i]; ++a) {
    uint32_t here = gain(s, row, is_set, i, a);
    if (here > best_gain || a == 0) {
      best = a;
      best_gain = here;
      equals = 1;
    } else if (here == best_gain && draw(s, ++equals) == 0) {
      best = a;
    }
  }
  row->at[i] = (uint8_t)best;
  is_set[i] = true;
}

static uint32_t make_row(pairs_state *s, pairs_row *row) {
  bool is_set[PAIRS_DIMENSIONS] = {false};
  memset(row, 0, sizeof(*row));
  begin(s, draw(s, s->left), row, is_set);
  uint32_t order[PAIRS_DIMENSIONS];
  for (uint32_t i = 0; i < s->count; ++i) {
    uint32_t at = draw(s, i + 1);
    order[i] = order[at];
    order[at] = i;
  }
  for (uint32_t i = 0; i < s->count; ++i) {
    if (!is_set[order[i]]) choose(s, row, is_set, order[i]);
  }
  uint32_t sum = 0;
  for (uint32_t i = 0; i < s->count; ++i) {
    sum += gain(s, row, is_set, i, row->at[i]);
  }
  return sum / 2;
}

static uint32_t cover(pairs_state *s, const pairs_row *row) {
  uint32_t fresh = 0;
  for (uint32_t i = 0; i < s->count; ++i) {
    for (uint32_t j = 0; j < s->count; ++j) {
      if (i == j) continue;
      bool *at =
          &s->covered[s->first[i] + row->at[i]][s->first[j] + row->at[j]];
      fresh += *at ? 0 : 1;
      *at = true;
    }
  }
  return fresh / 2;
}

static void init(pairs_state *s, const uint32_t *sizes, uint32_t count) {
  memset(s, 0, sizeof(*s));
  s->sizes = sizes;
  s->count = count;
  uint32_t values = 0;
  for (uint32_t i = 0; i < count; ++i) {
    s->first[i] = values;
    s->left += values * sizes[i];
    values += sizes[i];
  }
}

uint32_t pairs_generate(const uint32_t *sizes, uint32_t dimension_count,
                        pairs_row *rows, uint32_t limit) {
  pairs_state s;
  init(&s, sizes, dimension_count);
  uint32_t count = 0;
  for (; s.left != 0 && count < limit; ++count) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < CANDIDATES; ++i) {
      pairs_row row;
      uint32_t here = make_row(&s, &row);
      if (here <= best) continue;
      best = here;
      rows[count] = row;
    }
    s.left -= cover(&s, &rows[count]);
  }
  return s.left == 0 ? count : limit + 1;
}

bool pairs_complete(const uint32_t *sizes, uint32_t dimension_count,
                    const pairs_row *rows, uint32_t count) {
  for (uint32_t i = 0; i < dimension_count; ++i) {
    for (uint32_t j = i + 1; j < dimension_count; ++j) {
      for (uint32_t ab = 0; ab < sizes[i] * sizes[j]; ++ab) {
        bool found = false;
        for (uint32_t r = 0; r < count && !found; ++r) {
          found =
              rows[r].at[i] == ab / sizes[j] && rows[r].at[j] == ab % sizes[j];
        }
        if (!found) return false;
      }
    }
  }
  return true;
}
