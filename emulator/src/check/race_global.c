// SPDX-License-Identifier: Apache-2.0
// The global race detector's rules: what an access is compared with, and what
// is remembered of it. As in race.c the way is FastTrack's (Flanagan, Freund,
// PLDI 2009); "strong" and "weak" are the words of the PTX ISA 9.0, 8.4.
#include "check/race_global.h"

#include <stdio.h>

#include "base/memory.h"
#include "check/race_global_state.h"
#include "check/report.h"

// --- Life -------------------------------------------------------------------

tsr_race_global *tsr_race_global_create(uint32_t warps) {
  tsr_race_global *g = tsr_calloc(1, sizeof(*g));
  if (g == NULL) return NULL;
  g->warps = warps;
  tsr_race_global_reset(g);
  return g;
}

void tsr_race_global_reset(tsr_race_global *global) {
  global->gave_up = global->said_so = false;
  tsr_shadow_reset(global);
  tsr_known_reset(global);
}

void tsr_race_global_destroy(tsr_race_global *global) {
  if (global == NULL) return;
  tsr_shadow_destroy(global);
  tsr_known_destroy(global);
  tsr_free(global);
}

bool tsr_race_watch_global(tsr_race *race, tsr_race_global *global) {
  race->peers = tsr_calloc(race->warps, sizeof(*race->peers));
  if (race->peers == NULL) return false;
  if (global == NULL) {
    global = tsr_race_global_create(race->warps);
    if (global == NULL) return false;
    race->owns_global = true;
  }
  race->global = global;
  race->sibling = global->races;
  global->races = race;
  return true;
}

void tsr_race_leave_global(tsr_race *race) {
  tsr_race_global *g = race->global;
  tsr_free(race->peers);
  if (g == NULL) return;
  tsr_race **at = &g->races;
  while (*at != NULL && *at != race) at = &(*at)->sibling;
  if (*at != NULL) *at = race->sibling;
  if (race->owns_global) tsr_race_global_destroy(g);
}

void tsr_race_global_give_up(tsr_race *race) {
  tsr_race_global *g = race->global;
  g->gave_up = true;
  if (g->said_so) return;
  g->said_so = true;
  tsr_find_block(race->block, 0, TESSERA_EMU_RACE, false,
                 "out of memory: races in global memory are no longer looked "
                 "for");
}

// --- One access -------------------------------------------------------------

// Who accesses, and how.
typedef struct visit {
  tsr_race *race;
  tsr_race_global *g;
  tsr_warp *warp;
  const tsr_op *op;
  const tsr_race_view *view;
  uint32_t id, w;  // block and warp
  uint32_t now;    // its clock
  uint32_t lane;
  uint32_t line;
  uint32_t order;  // TSR_ORDER_*
  bool reads, writes;
  bool strong, narrow;
  bool converged;            // all lanes of the warp take part at once
  const tsr_access *access;  // NULL: one range
} visit;

static uint32_t warp_of(uint16_t by) {
  return (uint32_t)by >> 6 & (TSR_RACE_WARPS - 1);
}

static uint32_t lane_of(uint16_t by) {
  return by & TSR_SHADOW_WARP;
}

// Whether what |mark| says comes before this access.
static bool ordered(const visit *v, const tsr_shadow_mark *mark, uint16_t by) {
  uint32_t w = warp_of(by);
  if (mark->block != v->id) {
    const uint32_t *clocks = tsr_known_row(v->g, v->view->outside, mark->block);
    return clocks != NULL && mark->clock <= clocks[w];
  }
  if (w != v->w) return mark->clock <= v->view->seen[w];
  uint32_t lane = lane_of(by);
  if (lane == v->lane || mark->clock == v->now) return true;
  const uint32_t *sync = v->race->lane_sync[w];
  uint32_t until = sync[v->lane];
  if (lane < TSR_LANES && sync[lane] < until) until = sync[lane];
  return mark->clock <= until;
}

// Strong accesses do not race if either's scope has the other's block.
static bool both_strong(const visit *v, const tsr_shadow_mark *mark,
                        uint16_t by) {
  if (!v->strong || (by & TSR_SHADOW_STRONG) == 0) return false;
  return mark->block == v->id || (!v->narrow && (by & TSR_SHADOW_NARROW) == 0);
}

static void describe(char *text, size_t size, const visit *v,
                     const tsr_shadow_mark *mark, uint16_t by) {
  char block[64] = "";
  if (mark->block != v->id) {
    const uint32_t *grid = v->race->block->launch->grid;
    uint32_t linear = mark->block - 1;
    (void)snprintf(block, sizeof(block), "block (%u,%u,%u), ", linear % grid[0],
                   linear / grid[0] % grid[1], linear / grid[0] / grid[1]);
  }
  uint32_t lane = lane_of(by);
  const tsr_warp *other = &v->race->block->warps[warp_of(by)];
  if (lane < TSR_LANES) {
    (void)snprintf(text, size, "%sthread (%u,%u,%u) at line %u", block,
                   other->tid[0][lane], other->tid[1][lane],
                   other->tid[2][lane], mark->line);
  } else {
    (void)snprintf(text, size, "%swarp %u at line %u", block, warp_of(by),
                   mark->line);
  }
}

static void conflict(const visit *v, uint64_t address, const char *what,
                     const tsr_shadow_mark *mark, uint16_t by) {
  if (tsr_find_again(v->warp, v->op, TESSERA_EMU_RACE)) return;
  char other[160];
  describe(other, sizeof(other), v, mark, by);
  bool scopes = v->strong && (by & TSR_SHADOW_STRONG) != 0;
  tsr_find(v->warp, v->op, v->lane, TESSERA_EMU_RACE, false, address,
           "%s of global memory not ordered after %s %s%s",
           v->writes ? "write" : "read", what, other,
           scopes ? "; their scopes do not include each other" : "");
}

// ld.global.nc, ldu: PTX ISA 9.0, 9.7.9.9.
static void check_read_only(const visit *v, const tsr_shadow_cell *cell,
                            uint64_t address) {
  if ((v->order & TSR_ORDER_READ_ONLY) == 0 || cell->write.block == 0) return;
  if (tsr_find_again(v->warp, v->op, TESSERA_EMU_RACE)) return;
  char other[160];
  describe(other, sizeof(other), v, &cell->write, cell->write_by);
  tsr_find(v->warp, v->op, v->lane, TESSERA_EMU_RACE, false, address,
           "read-only load of global memory that this launch has written, by "
           "%s: it must stay as it is while the kernel runs",
           other);
}

// Against the last write. Whoever comes after a strong read of a strong write
// comes after that write, too (8.10.6: observation order).
static void check_write(const visit *v, const tsr_shadow_cell *cell,
                        uint64_t address) {
  uint16_t by = cell->write_by;
  if (cell->write.block == 0 || both_strong(v, &cell->write, by) ||
      ordered(v, &cell->write, by)) {
    return;
  }
  bool seen = (by & TSR_SHADOW_STRONG) != 0 && cell->read.block != 0 &&
              (cell->read_by & TSR_SHADOW_STRONG) != 0 &&
              ordered(v, &cell->read, cell->read_by);
  if (seen) return;
  if (v->writes && tsr_race_changes_nothing(v->warp, v->access, v->lane)) {
    return;
  }
  conflict(v, address, "the write by", &cell->write, by);
}

// A write against the reads since the last write.
static void check_reads(const visit *v, const tsr_shadow_cell *cell,
                        uint64_t address) {
  const tsr_shadow_mark *mark = &cell->read;
  uint16_t by = cell->read_by;
  if (mark->block == 0) return;
  if ((by & TSR_SHADOW_MANY) == 0) {
    if (!both_strong(v, mark, by) && !ordered(v, mark, by)) {
      conflict(v, address, "the read by", mark, by);
    }
    return;
  }
  const tsr_shadow_readers *readers = &v->g->readers[mark->clock];
  for (uint32_t i = 0; i < readers->count; ++i) {
    if (ordered(v, &readers->marks[i], readers->by[i])) continue;
    conflict(v, address, "the read by", &readers->marks[i], readers->by[i]);
    return;
  }
}

static tsr_shadow_mark mark_of(const visit *v) {
  return (tsr_shadow_mark){v->id, v->now, v->line};
}

static uint16_t by_of(const visit *v, uint32_t lane) {
  return (uint16_t)(lane | v->w << 6 | (v->strong ? TSR_SHADOW_STRONG : 0) |
                    (v->narrow ? TSR_SHADOW_NARROW : 0));
}

// One more weak read, not ordered after all of the others.
static void add_reader(const visit *v, tsr_shadow_readers *readers,
                       uint16_t by) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < readers->count; ++i) {
    if (ordered(v, &readers->marks[i], readers->by[i])) continue;
    readers->marks[kept] = readers->marks[i];
    readers->by[kept++] = readers->by[i];
  }
  if (kept == TSR_SHADOW_READERS) {
    kept = readers->next++ % TSR_SHADOW_READERS;
    readers->count = TSR_SHADOW_READERS;
  } else {
    readers->count = kept + 1;
  }
  readers->marks[kept] = mark_of(v);
  readers->by[kept] = by;
}

// A second reader that the first does not come before.
static void begin_list(const visit *v, tsr_shadow_cell *cell, uint16_t by) {
  uint32_t index = tsr_shadow_take_readers(v->g);
  if (index == 0) {
    tsr_race_global_give_up(v->race);
    return;
  }
  tsr_shadow_readers *readers = &v->g->readers[index];
  readers->marks[0] = cell->read;
  readers->by[0] = cell->read_by;
  readers->marks[1] = mark_of(v);
  readers->by[1] = by;
  readers->count = 2;
  cell->read.clock = index;
  cell->read_by = TSR_SHADOW_MANY;
}

// Weak reads displace strong ones, which only weak writes could race with; of
// strong ones the last is kept.
static void note_read(const visit *v, tsr_shadow_cell *cell) {
  uint32_t lane = v->converged ? TSR_SHADOW_WARP : v->lane;
  uint16_t by = by_of(v, lane);
  bool any = cell->read.block != 0;
  bool is_weak = any && (cell->read_by & TSR_SHADOW_STRONG) == 0;
  if (is_weak && (cell->read_by & TSR_SHADOW_MANY) != 0) {
    if (!v->strong) add_reader(v, &v->g->readers[cell->read.clock], by);
    return;
  }
  if (is_weak && cell->read.block == v->id && cell->read.clock == v->now &&
      warp_of(cell->read_by) == v->w && lane_of(cell->read_by) != lane) {
    by |= TSR_SHADOW_WARP;  // lanes of one instruction share the word
  } else if (is_weak && !ordered(v, &cell->read, cell->read_by)) {
    if (!v->strong) begin_list(v, cell, by);
    return;
  } else if (is_weak && v->strong) {
    return;
  }
  cell->read = mark_of(v);
  cell->read_by = by;
}

static void note_write(const visit *v, tsr_shadow_cell *cell) {
  tsr_shadow_forget_reads(v->g, cell);
  cell->write = mark_of(v);
  cell->write_by =
      (uint16_t)(by_of(v, v->lane) | (cell->write_by & TSR_SHADOW_SYNC));
}

static void touch(const visit *v, tsr_shadow_cell *cell, uint64_t address) {
  check_read_only(v, cell, address);
  check_write(v, cell, address);
  if (v->writes) {
    check_reads(v, cell, address);
    note_write(v, cell);
  } else {
    note_read(v, cell);
  }
}

// --- Ranges -----------------------------------------------------------------

// What the word carries.
static void synchronise(const visit *v, tsr_shadow_cell *cell, uint64_t word,
                        const tsr_race_told *told) {
  bool carries = (cell->write_by & TSR_SHADOW_SYNC) != 0;
  if (!v->strong) {
    if (carries && v->writes) tsr_known_cut(v->g, word);
    return;
  }
  if (carries && v->reads) tsr_known_take(v->race, v->w, word, v->order);
  if (v->writes &&
      tsr_known_give(v->race, v->w, word, v->reads, v->order, told)) {
    cell->write_by |= TSR_SHADOW_SYNC;
  }
}

// The bytes [at, stop) of |cell|, which lie in one word.
static bool touch_word(const visit *v, tsr_shadow_cell *cell, uint64_t at,
                       uint64_t stop) {
  bool whole = stop - at == 4;
  if (whole && cell->parts == 0) {
    touch(v, cell, at);
    return true;
  }
  if (cell->parts == 0 && !tsr_shadow_split(v->g, cell)) return false;
  for (uint64_t byte = at; byte < stop; ++byte) {
    touch(v, &v->g->parts[(size_t)cell->parts * 4 + byte % 4], byte);
  }
  if (whole && v->writes) tsr_shadow_unite(v->g, cell);
  return true;
}

static void touch_range(const visit *v, uint64_t at, uint64_t size,
                        const tsr_race_told *told) {
  uint64_t end = at + size;
  while (at < end && !v->g->gave_up) {
    uint64_t page_end = (at | (TSR_SHADOW_PAGE - 1)) + 1;
    if (page_end > end) page_end = end;
    tsr_shadow_page *page = tsr_shadow_page_of(v->g, at, v->writes);
    if (page == NULL && v->writes) {
      tsr_race_global_give_up(v->race);
      return;
    }
    if (page == NULL) {
      at = page_end;
      continue;
    }
    while (at < page_end) {
      uint64_t stop = (at | 3u) + 1 < page_end ? (at | 3u) + 1 : page_end;
      tsr_shadow_cell *cell = &page->u.cells[at % TSR_SHADOW_PAGE / 4];
      if (!touch_word(v, cell, at, stop)) {
        tsr_race_global_give_up(v->race);
        return;
      }
      synchronise(v, cell, at / 4, told);
      at = stop;
    }
  }
}

static visit visit_of(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                      tsr_access_kind kind, uint32_t order) {
  bool atomic = kind == TSR_ACCESS_ATOMIC;
  bool strong = atomic || (order & TSR_ORDER_STRONG) != 0;
  return (visit){
      .race = race,
      .g = race->global,
      .warp = warp,
      .op = op,
      .view = &race->views[warp->index],
      .id = tsr_race_block_id(race),
      .w = warp->index,
      .now = tsr_race_tick(race, warp->index),
      .line = op == NULL ? 0 : op->line,
      .order = order,
      .reads = kind != TSR_ACCESS_STORE,
      .writes = kind != TSR_ACCESS_LOAD,
      .strong = strong,
      .narrow = strong && (order & TSR_ORDER_DEVICE) == 0,
  };
}

// Where nothing is watched; or no longer, which is said.
static bool is_blind(tsr_race *race) {
  if (race == NULL || race->global == NULL) return true;
  if (race->global->gave_up) tsr_race_global_give_up(race);
  return race->global->gave_up;
}

void tsr_race_global_access(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                            const tsr_access *access, uint64_t low,
                            uint64_t high) {
  if (is_blind(race)) return;
  tsr_race_global *g = race->global;
  if (access->kind == TSR_ACCESS_LOAD &&
      tsr_shadow_untouched(g, low, high + access->size)) {
    return;
  }
  tsr_known_collect(g);
  visit v = visit_of(race, warp, op, access->kind, access->order);
  v.access = access;
  v.converged = op != NULL && (op->flags & TSR_OP_CONVERGED) != 0;
  tsr_race_told told;
  bool releases = v.writes && (access->order & TSR_ORDER_RELEASE) != 0;
  if (releases) tsr_known_tell(race, v.w, &told);
  for (uint32_t rest = access->mask; rest != 0; rest &= rest - 1) {
    v.lane = (uint32_t)__builtin_ctz(rest);
    touch_range(&v, access->address[v.lane], access->size,
                releases ? &told : NULL);
  }
}

void tsr_race_global_range(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                           uint32_t lane, uint64_t address, uint64_t size,
                           tsr_access_kind kind) {
  if (is_blind(race)) return;
  tsr_race_global *g = race->global;
  if (kind == TSR_ACCESS_LOAD &&
      tsr_shadow_untouched(g, address, address + size)) {
    return;
  }
  // Reductions of bulk copies are relaxed, of scope .gpu (9.7.9.25.5).
  visit v = visit_of(race, warp, op, kind,
                     kind == TSR_ACCESS_ATOMIC ? TSR_ORDER_DEVICE : 0);
  v.lane = lane;
  touch_range(&v, address, size, NULL);
}
