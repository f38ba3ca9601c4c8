// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
  // Names are compared in full up to here; longer ones have no neighbours.
  MAX_COMPARED = 255,
  // Bounds the work of one suggestion in an adversarial archive.
  MAX_CANDIDATES = 20000,
};

tsr_status tsr_names_init(tsr_names *names, uint32_t capacity,
                          tsr_error *error) {
  *names = (tsr_names){.capacity = capacity};
  names->items = tsr_calloc(capacity, sizeof(*names->items));
  return names->items == NULL ? tsr_error_out_of_memory(error) : TSR_OK;
}

void tsr_names_fini(tsr_names *names) {
  tsr_free(names->items);
  *names = (tsr_names){.items = NULL};
}

void tsr_names_add(tsr_names *names, const char *text, uint32_t index) {
  names->items[names->count++] = (tsr_name){text, index};
}

static int compare(const void *a, const void *b) {
  const tsr_name *x = a;
  const tsr_name *y = b;
  int order = strcmp(x->text, y->text);
  if (order != 0) return order;
  return (x->index > y->index) - (x->index < y->index);
}

const char *tsr_names_sort(tsr_names *names) {
  if (names->count == 0) return NULL;
  qsort(names->items, names->count, sizeof(*names->items), compare);
  for (uint32_t i = 1; i < names->count; ++i) {
    if (strcmp(names->items[i - 1].text, names->items[i].text) == 0) {
      return names->items[i].text;
    }
  }
  return NULL;
}

bool tsr_names_find(const tsr_names *names, const char *text,
                    uint32_t *out_index) {
  uint32_t low = 0;
  uint32_t high = names->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = strcmp(names->items[middle].text, text);
    if (order == 0) {
      *out_index = names->items[middle].index;
      return true;
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

static size_t smallest(size_t a, size_t b, size_t c) {
  size_t least = a < b ? a : b;
  return least < c ? least : c;
}

static int lower(char c) {
  return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

// What writing |b| for |a| counts, in halves of a slip.
static size_t replacing(char a, char b) {
  return a == b ? 0 : lower(a) == lower(b) ? 1 : 2;
}

// Levenshtein distance in halves; both at most MAX_COMPARED long.
static size_t distance(const char *a, size_t a_size, const char *b,
                       size_t b_size) {
  size_t row[MAX_COMPARED + 1];
  for (size_t j = 0; j <= b_size; ++j) row[j] = 2 * j;
  for (size_t i = 1; i <= a_size; ++i) {
    size_t diagonal = row[0];
    row[0] = 2 * i;
    for (size_t j = 1; j <= b_size; ++j) {
      size_t above = row[j];
      row[j] = smallest(above + 2, row[j - 1] + 2,
                        diagonal + replacing(a[i - 1], b[j - 1]));
      diagonal = above;
    }
  }
  return row[b_size];
}

const char *tsr_names_nearest(const tsr_names *names, const char *text) {
  size_t size = strlen(text);
  if (size > MAX_COMPARED) return NULL;
  const char *nearest = NULL;
  size_t best = 2 * (size / 3 + 1);  // strictly less is near
  for (uint32_t i = 0; i < names->count && i < MAX_CANDIDATES; ++i) {
    const char *candidate = names->items[i].text;
    size_t candidate_size = strlen(candidate);
    size_t gap =
        size > candidate_size ? size - candidate_size : candidate_size - size;
    if (candidate_size > MAX_COMPARED || 2 * gap >= best) continue;
    size_t here = distance(text, size, candidate, candidate_size);
    if (here < best) {
      best = here;
      nearest = candidate;
    }
  }
  return nearest;
}
