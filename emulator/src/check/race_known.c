// SPDX-License-Identifier: Apache-2.0
// What blocks know of each other: vectors of clocks by block, made when blocks
// communicate and shared by all who know the same, and the words of global
// memory that carry them. PTX ISA 9.0, 8.7 to 8.10: release and acquire
// patterns, observation order, causality order.
#include "base/memory.h"
#include "check/race_global_state.h"

enum {
  COLLECT_FROM = 32 << 20,  // bytes: less is not worth a look at all views
  WORDS = 64,
};
// A grid of 4,096 blocks of 8 warps that all know of each other through words
// of their own has 600 MB.
#define KNOWN_MAX (UINT64_C(1) << 30)

static size_t row_words(const tsr_race_global *g) {
  return 1 + (size_t)g->warps;
}

static size_t bytes_of(const tsr_race_global *g, uint32_t count) {
  return sizeof(tsr_race_known) + count * row_words(g) * sizeof(uint32_t);
}

void tsr_known_reset(tsr_race_global *g) {
  while (g->known != NULL) {
    tsr_race_known *known = g->known;
    g->known = known->next;
    tsr_free(known);
  }
  g->known_bytes = 0;
  g->known_limit = COLLECT_FROM;
  if (g->word_count > 0) {
    memset(g->words, 0, g->word_capacity * sizeof(*g->words));
  }
  g->word_count = 0;
}

void tsr_known_destroy(tsr_race_global *g) {
  tsr_known_reset(g);
  tsr_free(g->words);
}

// --- Sets of rows -----------------------------------------------------------

typedef struct rows {
  const uint32_t *first;
  uint32_t count;
} rows;

static rows rows_of(const tsr_race_known *known) {
  static const uint32_t none[1] = {0};
  return known == NULL ? (rows){none, 0} : (rows){known->rows, known->count};
}

const uint32_t *tsr_known_row(const tsr_race_global *g,
                              const tsr_race_known *known, uint32_t block) {
  rows all = rows_of(known);
  size_t words = row_words(g);
  uint32_t low = 0, high = all.count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    uint32_t at = all.first[middle * words];
    if (at == block) return &all.first[middle * words + 1];
    if (at < block) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

// Whether |a| knows all that |b| does, but for |skip|.
static bool covers(const tsr_race_global *g, rows a, rows b, uint32_t skip) {
  size_t words = row_words(g);
  const uint32_t *p = a.first, *p_end = p + a.count * words;
  const uint32_t *q = b.first;
  for (uint32_t i = 0; i < b.count; ++i, q += words) {
    if (q[0] == skip) continue;
    while (p < p_end && p[0] < q[0]) p += words;
    if (p == p_end || p[0] != q[0]) return false;
    for (size_t w = 1; w < words; ++w) {
      if (p[w] < q[w]) return false;
    }
  }
  return true;
}

// Copies a row and gives the next place.
static uint32_t *put_row(uint32_t *out, const uint32_t *row, size_t words) {
  memcpy(out, row, words * sizeof(*out));
  return out + words;
}

// Both into |out|, which has room; returns how many rows they make.
static uint32_t merge(const tsr_race_global *g, rows a, rows b, uint32_t skip,
                      uint32_t *out) {
  size_t words = row_words(g);
  const uint32_t *start = out;
  const uint32_t *p = a.first, *p_end = p + a.count * words;
  const uint32_t *q = b.first, *q_end = q + b.count * words;
  while (p < p_end || q < q_end) {
    if (q < q_end && q[0] == skip) {
      q += words;
    } else if (q == q_end || (p < p_end && p[0] < q[0])) {
      out = put_row(out, p, words);
      p += words;
    } else if (p == p_end || q[0] < p[0]) {
      out = put_row(out, q, words);
      q += words;
    } else {
      for (size_t w = 0; w < words; ++w) out[w] = p[w] > q[w] ? p[w] : q[w];
      out += words, p += words, q += words;
    }
  }
  return (uint32_t)((size_t)(out - start) / words);
}

// |known| with |more|. When memory is short it is |known| and the detector
// gives up.
static const tsr_race_known *join(tsr_race_global *g,
                                  const tsr_race_known *known, rows more,
                                  uint32_t skip) {
  rows all = rows_of(known);
  if (covers(g, all, more, skip)) return known;
  size_t size = bytes_of(g, all.count + more.count);
  tsr_race_known *made =
      g->known_bytes + size > KNOWN_MAX ? NULL : tsr_malloc(size);
  if (made == NULL) {
    g->gave_up = true;
    return known;
  }
  made->count = merge(g, all, more, skip, made->rows);
  made->marked = false;
  made->next = g->known;
  g->known = made;
  g->known_bytes += bytes_of(g, made->count);
  return made;
}

const tsr_race_known *tsr_known_join(tsr_race_global *g,
                                     const tsr_race_known *a,
                                     const tsr_race_known *b, uint32_t skip) {
  if (b == NULL || a == b) return a;
  bool skips = skip != 0 && tsr_known_row(g, b, skip) != NULL;
  if (!skips && covers(g, rows_of(b), rows_of(a), 0)) return b;
  return join(g, a, rows_of(b), skip);
}

// --- What is in use ---------------------------------------------------------

static void mark(const tsr_race_known *known) {
  // Made by join(): the mark is no part of what it says.
  if (known != NULL) ((tsr_race_known *)(uintptr_t)known)->marked = true;
}

static void mark_view(const tsr_race_view *view) {
  mark(view->outside);
}

static void mark_warp(const tsr_race *race, uint32_t w) {
  mark_view(&race->views[w]);
  mark_view(&race->released[w]);
  mark_view(&race->acquired[w]);
  const tsr_race_peer *peer = &race->peers[w];
  mark(peer->last);
  for (uint32_t i = 0; i < TSR_RACE_LEVELS; ++i) {
    mark(peer->told[i].outside);
    mark(peer->heard[i]);
  }
}

static void mark_race(const tsr_race *race) {
  for (uint32_t w = 0; w < race->warps; ++w) mark_warp(race, w);
  for (uint32_t i = 0; i < TSR_RACE_BARRIERS; ++i) {
    mark_view(&race->barriers[i]);
  }
  for (uint32_t i = 0; i < race->mbarriers_used; ++i) {
    mark_view(&race->mbarriers[i].pending);
    mark_view(&race->mbarriers[i].complete);
  }
  for (uint32_t i = 1; i <= race->sync_count; ++i) {
    mark_view(&race->syncs[i].view);
  }
}

static void sweep(tsr_race_global *g) {
  tsr_race_known **at = &g->known;
  while (*at != NULL) {
    tsr_race_known *known = *at;
    if (known->marked) {
      known->marked = false;
      at = &known->next;
      continue;
    }
    *at = known->next;
    g->known_bytes -= bytes_of(g, known->count);
    tsr_free(known);
  }
}

void tsr_known_collect(tsr_race_global *g) {
  if (g->known_bytes < g->known_limit) return;
  for (const tsr_race *r = g->races; r != NULL; r = r->sibling) mark_race(r);
  for (uint32_t i = 0; i < g->word_capacity; ++i) mark(g->words[i].known);
  sweep(g);
  g->known_limit = g->known_bytes * 2;
  if (g->known_limit < COLLECT_FROM) g->known_limit = COLLECT_FROM;
}

// --- Words ------------------------------------------------------------------

// Where |word| of |block| is, or could be.
static tsr_race_word *place_of(const tsr_race_global *g, uint64_t word,
                               uint32_t block) {
  uint64_t hash = (word ^ (uint64_t)block << 44) * UINT64_C(0x9e3779b97f4a7c15);
  uint32_t mask = g->word_capacity - 1;
  for (uint32_t at = (uint32_t)(hash >> 32) & mask;; at = (at + 1) & mask) {
    tsr_race_word *place = &g->words[at];
    if (place->word == 0) return place;
    if (place->word == word && place->block == block) return place;
  }
}

static tsr_race_word *find_word(const tsr_race_global *g, uint64_t word,
                                uint32_t block) {
  if (g->word_capacity == 0) return NULL;
  tsr_race_word *found = place_of(g, word, block);
  return found->word == 0 ? NULL : found;
}

static bool grow_words(tsr_race_global *g) {
  if (g->word_count * 2 < g->word_capacity) return true;
  uint32_t before = g->word_capacity;
  uint32_t capacity = before == 0 ? WORDS : before * 2;
  tsr_race_word *all = tsr_calloc(capacity, sizeof(*all));
  if (all == NULL) return false;
  tsr_race_word *old = g->words;
  g->words = all;
  g->word_capacity = capacity;
  for (uint32_t i = 0; i < before; ++i) {
    if (old[i].word != 0) *place_of(g, old[i].word, old[i].block) = old[i];
  }
  tsr_free(old);
  return true;
}

// NULL when out of memory: the detector gives up.
static tsr_race_word *make_word(tsr_race_global *g, uint64_t word,
                                uint32_t block) {
  tsr_race_word *found = find_word(g, word, block);
  if (found != NULL) return found;
  if (!grow_words(g)) {
    g->gave_up = true;
    return NULL;
  }
  found = place_of(g, word, block);
  *found = (tsr_race_word){.word = word, .block = block};
  ++g->word_count;
  return found;
}

void tsr_known_cut(tsr_race_global *g, uint64_t word) {
  tsr_race_word *all = find_word(g, word, 0);
  if (all == NULL) return;
  all->known = NULL;
  all->by_block = 0;
  ++all->stores;
}

// --- Release ----------------------------------------------------------------

void tsr_known_tell(const tsr_race *race, uint32_t w, tsr_race_told *out_told) {
  const tsr_race_view *view = &race->views[w];
  out_told->any = true;
  out_told->outside = view->outside;
  memcpy(out_told->clocks, view->seen, sizeof(out_told->clocks));
}

// |known| and what was told by |block|.
static const tsr_race_known *add_told(tsr_race_global *g,
                                      const tsr_race_known *known,
                                      uint32_t block,
                                      const tsr_race_told *told) {
  uint32_t row[1 + TSR_RACE_WARPS];
  row[0] = block;
  memcpy(row + 1, told->clocks, sizeof(told->clocks));
  known = tsr_known_join(g, known, told->outside, block);
  return join(g, known, (rows){row, 1}, 0);
}

bool tsr_known_give(tsr_race *race, uint32_t w, uint64_t word, bool adds,
                    uint32_t order, const tsr_race_told *told) {
  tsr_race_global *g = race->global;
  uint32_t id = tsr_race_block_id(race);
  const tsr_race_peer *peer = &race->peers[w];
  const tsr_race_told *here = told != NULL ? told : &peer->told[TSR_RACE_BLOCK];
  const tsr_race_told *far = told != NULL ? told : &peer->told[TSR_RACE_DEVICE];
  if (!here->any && find_word(g, word, 0) == NULL) return false;
  tsr_race_word *all = make_word(g, word, 0);
  if (all == NULL) return false;
  if (!adds && (all->by_block != id || all->by_warp != w)) {
    all->known = NULL;
    ++all->stores;
  }
  all->by_block = id;
  all->by_warp = w;
  uint32_t stores = all->stores;
  if ((order & TSR_ORDER_DEVICE) != 0 && far->any) {
    all->known = add_told(g, all->known, id, far);
  }
  if (!here->any) return true;
  tsr_race_word *own = make_word(g, word, id);
  if (own == NULL) return false;
  if (own->stores != stores) own->known = NULL;
  own->stores = stores;
  own->known = add_told(g, own->known, id, here);
  return true;
}

// --- Acquire ----------------------------------------------------------------

void tsr_known_acquire(tsr_race *race, uint32_t w,
                       const tsr_race_known *known) {
  tsr_race_peer *peer = &race->peers[w];
  if (known == NULL || known == peer->last) return;
  peer->last = known;
  tsr_race_global *g = race->global;
  uint32_t id = tsr_race_block_id(race);
  tsr_race_view *view = &race->views[w];
  const uint32_t *own = tsr_known_row(g, known, id);
  for (uint32_t i = 0; own != NULL && i < g->warps; ++i) {
    if (view->seen[i] < own[i]) view->seen[i] = own[i];
  }
  // A lane that saw what its own warp released is ordered after it.
  if (own != NULL) tsr_race_join_lanes(race, w, TSR_ALL_LANES, own[w]);
  view->outside = tsr_known_join(g, view->outside, known, id);
}

static void hear(tsr_race *race, uint32_t w, const tsr_race_known *known,
                 uint32_t level, bool acquires) {
  if (known == NULL) return;
  if (acquires) {
    tsr_known_acquire(race, w, known);
    return;
  }
  const tsr_race_known **heard = &race->peers[w].heard[level];
  *heard = tsr_known_join(race->global, *heard, known, 0);
}

void tsr_known_take(tsr_race *race, uint32_t w, uint64_t word, uint32_t order) {
  const tsr_race_global *g = race->global;
  const tsr_race_word *all = find_word(g, word, 0);
  if (all == NULL) return;
  bool acquires = (order & TSR_ORDER_ACQUIRE) != 0;
  const tsr_race_word *own = find_word(g, word, tsr_race_block_id(race));
  if (own != NULL && own->stores == all->stores) {
    hear(race, w, own->known, TSR_RACE_BLOCK, acquires);
  }
  if ((order & TSR_ORDER_DEVICE) != 0) {
    hear(race, w, all->known, TSR_RACE_DEVICE, acquires);
  }
}

void tsr_known_fence(tsr_race *race, uint32_t w, uint32_t order) {
  if (race->global == NULL || race->global->gave_up) return;
  tsr_known_collect(race->global);
  tsr_race_peer *peer = &race->peers[w];
  bool device = (order & TSR_ORDER_DEVICE) != 0;
  if ((order & TSR_ORDER_ACQUIRE) != 0) {
    tsr_known_acquire(race, w, peer->heard[TSR_RACE_BLOCK]);
    peer->heard[TSR_RACE_BLOCK] = NULL;
    if (device) {
      tsr_known_acquire(race, w, peer->heard[TSR_RACE_DEVICE]);
      peer->heard[TSR_RACE_DEVICE] = NULL;
    }
  }
  if ((order & TSR_ORDER_RELEASE) == 0) return;
  tsr_known_tell(race, w, &peer->told[TSR_RACE_BLOCK]);
  if (device) peer->told[TSR_RACE_DEVICE] = peer->told[TSR_RACE_BLOCK];
}
