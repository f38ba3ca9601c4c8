// SPDX-License-Identifier: Apache-2.0
// The race detector's bytes: for each word of shared memory (each byte, once a
// word has been accessed in parts) the last write, the reads since, and what
// asynchronous work still has to do with it. The rules are those of FastTrack
// (Flanagan, Freund, PLDI 2009): a read is kept as one clock while reads are
// ordered, as a vector of clocks when they are not.
#include "check/race.h"

#include <stdio.h>

#include "base/memory.h"
#include "check/race_global_state.h"
#include "check/report.h"

// --- Life -------------------------------------------------------------------

tsr_race *tsr_race_create(tsr_block *block) {
  tsr_race *race = tsr_calloc(1, sizeof(*race));
  if (race == NULL) return NULL;
  uint32_t warps = block->warp_count;
  uint32_t words = (block->shared_size + 3) / 4;
  race->warps = warps;
  race->words = words;
  race->cells = tsr_calloc(words + 1, sizeof(*race->cells));
  race->sync_index = tsr_calloc(words + 1, sizeof(*race->sync_index));
  race->views = tsr_calloc(warps, sizeof(*race->views));
  race->released = tsr_calloc(warps, sizeof(*race->released));
  race->acquired = tsr_calloc(warps, sizeof(*race->acquired));
  race->lane_sync = tsr_calloc(warps, sizeof(*race->lane_sync));
  race->barriers = tsr_calloc(TSR_RACE_BARRIERS, sizeof(*race->barriers));
  race->mbarriers = tsr_calloc(TSR_RACE_MBARRIERS, sizeof(*race->mbarriers));
  if (race->cells == NULL || race->sync_index == NULL || race->views == NULL ||
      race->released == NULL || race->acquired == NULL ||
      race->lane_sync == NULL || race->barriers == NULL ||
      race->mbarriers == NULL) {
    tsr_race_destroy(race);
    return NULL;
  }
  tsr_race_reset(race, block);
  return race;
}

void tsr_race_reset(tsr_race *race, tsr_block *block) {
  if (race == NULL) return;
  race->block = block;
  race->gave_up = false;
  race->part_count = race->part_free = 0;
  race->reader_count = race->reader_free = 0;
  race->sync_count = 0;
  race->stamps = 0;
  memset(race->release, 0, sizeof(race->release));
  memset(race->cells, 0, race->words * sizeof(*race->cells));
  memset(race->sync_index, 0, race->words * sizeof(*race->sync_index));
  memset(race->views, 0, race->warps * sizeof(*race->views));
  memset(race->released, 0, race->warps * sizeof(*race->released));
  memset(race->acquired, 0, race->warps * sizeof(*race->acquired));
  memset(race->lane_sync, 0, race->warps * sizeof(*race->lane_sync));
  memset(race->barriers, 0, TSR_RACE_BARRIERS * sizeof(*race->barriers));
  memset(race->mbarriers, 0, race->mbarriers_used * sizeof(*race->mbarriers));
  race->mbarriers_used = 0;
  if (race->owns_global) tsr_race_global_reset(race->global);
  if (race->global != NULL) {
    memset(race->peers, 0, race->warps * sizeof(*race->peers));
  }
  for (uint32_t w = 0; w < race->warps; ++w) (void)tsr_race_tick(race, w);
}

void tsr_race_destroy(tsr_race *race) {
  if (race == NULL) return;
  tsr_race_leave_global(race);
  tsr_free(race->cells);
  tsr_free(race->parts);
  tsr_free(race->readers);
  tsr_free(race->sync_index);
  tsr_free(race->syncs);
  tsr_free(race->views);
  tsr_free(race->released);
  tsr_free(race->acquired);
  tsr_free(race->lane_sync);
  tsr_free(race->barriers);
  tsr_free(race->mbarriers);
  tsr_free(race);
}

// --- Pools
// --------------------------------------------------------------------

static uint32_t take_readers(tsr_race *race) {
  uint32_t index = race->reader_free;
  if (index != 0) {
    race->reader_free = race->readers[(size_t)index * race->warps];
  } else {
    if (race->reader_count + 1 >= race->reader_capacity) {
      uint32_t capacity = race->reader_capacity * 2 + 256;
      uint32_t *grown = tsr_realloc(
          race->readers, (size_t)capacity * race->warps * sizeof(*grown));
      if (grown == NULL) {
        tsr_race_give_up(race);
        return 0;
      }
      race->readers = grown;
      race->reader_capacity = capacity;
    }
    index = ++race->reader_count;
  }
  memset(&race->readers[(size_t)index * race->warps], 0,
         race->warps * sizeof(*race->readers));
  return index;
}

static void give_readers(tsr_race *race, uint32_t index) {
  race->readers[(size_t)index * race->warps] = race->reader_free;
  race->reader_free = index;
}

static void forget_reads(tsr_race *race, tsr_race_cell *cell) {
  if (cell->read_who == TSR_RACE_MANY) give_readers(race, cell->read_clock);
  cell->read_who = 0;
}

// Four cells in place of one; what was known of the word holds for each byte.
static bool split(tsr_race *race, tsr_race_cell *word) {
  uint32_t index = race->part_free;
  if (index != 0) {
    race->part_free = race->parts[(size_t)index * 4].parts;
  } else {
    if (race->part_count + 1 >= race->part_capacity) {
      uint32_t capacity = race->part_capacity * 2 + 64;
      tsr_race_cell *grown =
          tsr_realloc(race->parts, (size_t)capacity * 4 * sizeof(*grown));
      if (grown == NULL) {
        tsr_race_give_up(race);
        return false;
      }
      race->parts = grown;
      race->part_capacity = capacity;
    }
    index = ++race->part_count;
  }
  for (uint32_t i = 0; i < 4; ++i) {
    tsr_race_cell *part = &race->parts[(size_t)index * 4 + i];
    *part = *word;
    if (word->read_who == TSR_RACE_MANY && i > 0) {
      uint32_t readers = take_readers(race);
      if (readers == 0) return false;
      memcpy(&race->readers[(size_t)readers * race->warps],
             &race->readers[(size_t)word->read_clock * race->warps],
             race->warps * sizeof(*race->readers));
      part->read_clock = readers;
    }
  }
  word->parts = index;
  return true;
}

// A whole word was written: its bytes are one again.
static void unite(tsr_race *race, tsr_race_cell *word) {
  uint32_t index = word->parts;
  tsr_race_cell *parts = &race->parts[(size_t)index * 4];
  *word = parts[0];
  for (uint32_t i = 1; i < 4; ++i) forget_reads(race, &parts[i]);
  word->parts = 0;
  parts[0].parts = race->part_free;
  race->part_free = index;
}

// --- One access
// -----------------------------------------------------------------

// Who accesses, and how.
typedef struct visit {
  tsr_race *race;
  tsr_warp *warp;
  const tsr_op *op;
  const tsr_race_view *view;
  uint32_t w;    // warp->index
  uint32_t now;  // its clock
  uint32_t lane;
  uint32_t line;
  bool writes;
  bool relaxed;              // atomic, volatile, relaxed
  bool asynchronous;         // through the async proxy
  bool converged;            // all lanes of the warp take part at once
  const tsr_access *access;  // NULL: one range
} visit;

// A lane beyond TSR_LANES stands for the whole warp acting as one.
static bool same_warp_ordered(const visit *v, uint32_t lane, uint32_t clock) {
  if (lane == v->lane || clock == v->now) return true;
  const uint32_t *sync = v->race->lane_sync[v->w];
  uint32_t until = UINT32_MAX;
  if (v->lane < TSR_LANES) until = sync[v->lane];
  if (lane < TSR_LANES && sync[lane] < until) until = sync[lane];
  return clock <= until;
}

// Whether what component |who| - 1 did at |clock| comes before this access.
static bool ordered(const visit *v, uint32_t who, uint32_t lane,
                    uint32_t clock) {
  if (who - 1 == v->w) return same_warp_ordered(v, lane, clock);
  return clock <= v->view->seen[who - 1];
}

static void describe(char *text, size_t size, const visit *v, uint32_t who,
                     uint32_t lane, uint32_t line) {
  if (who == TSR_RACE_MANY || who == 0) {
    (void)snprintf(text, size, "several warps");
  } else if (who > TSR_RACE_WARPS) {
    (void)snprintf(text, size, "the copy issued at line %u", line);
  } else if (lane < TSR_LANES) {
    const tsr_warp *other = &v->race->block->warps[who - 1];
    (void)snprintf(text, size, "thread (%u,%u,%u) at line %u",
                   other->tid[0][lane], other->tid[1][lane],
                   other->tid[2][lane], line);
  } else {
    (void)snprintf(text, size, "warp %u at line %u", who - 1, line);
  }
}

static const char *verb(const visit *v) {
  return v->writes ? "write of" : "read of";
}

static void conflict(const visit *v, uint32_t offset, const char *what,
                     uint32_t who, uint32_t lane, uint32_t line) {
  if (tsr_find_again(v->warp, v->op, TESSERA_EMU_RACE)) return;
  char other[96];
  describe(other, sizeof(other), v, who, lane, line);
  tsr_find(v->warp, v->op, v->lane < TSR_LANES ? v->lane : TSR_NO_LANE,
           TESSERA_EMU_RACE, false, offset,
           "%s shared memory not ordered after %s %s", verb(v), what, other);
}

static void check_flight(const visit *v, const tsr_race_cell *cell,
                         uint32_t offset) {
  uint32_t lane = v->lane < TSR_LANES ? v->lane : TSR_NO_LANE;
  if (cell->copying != 0) {
    tsr_find(v->warp, v->op, lane, TESSERA_EMU_IN_FLIGHT, false, offset,
             "%s shared memory that the copy issued at line %u has not "
             "written yet",
             verb(v), cell->write_line);
  } else if (v->writes && cell->reads_pending != 0) {
    tsr_find(v->warp, v->op, lane, TESSERA_EMU_IN_FLIGHT, false, offset,
             "write of shared memory that asynchronous work issued at line %u "
             "may still read",
             cell->read_line);
  }
}

bool tsr_race_changes_nothing(const tsr_warp *warp, const tsr_access *access,
                              uint32_t lane) {
  if (access == NULL || access->elements == NULL) return false;
  size_t size = access->element_size, stride = size < 4 ? 4 : size;
  const unsigned char *host = access->host[lane];
  for (uint32_t k = 0; k * size < access->size; ++k) {
    const unsigned char *from = tsr_unit(warp->base, access->elements[k]);
    if (memcmp(host + k * size, from + lane * stride, size) != 0) {
      return false;
    }
  }
  return true;
}

// Against the last write.
static void check_write(const visit *v, const tsr_race_cell *cell,
                        uint32_t offset) {
  uint32_t who = cell->write_who;
  if (who == 0 || cell->copying != 0) return;
  if (v->relaxed && (cell->write_flags & TSR_RACE_ATOMIC) != 0) return;
  if (!ordered(v, who, cell->write_lane, cell->write_clock)) {
    bool same = (cell->write_flags & TSR_RACE_ASYNC) == 0 &&
                tsr_race_changes_nothing(v->warp, v->access, v->lane);
    if (same) return;
    conflict(v, offset, "the write by", who, cell->write_lane,
             cell->write_line);
    return;
  }
  if (v->asynchronous && (cell->write_flags & TSR_RACE_ASYNC) == 0 &&
      cell->write_clock > v->view->fenced[who - 1]) {
    char other[96];
    describe(other, sizeof(other), v, who, cell->write_lane, cell->write_line);
    tsr_find(v->warp, v->op, v->lane < TSR_LANES ? v->lane : TSR_NO_LANE,
             TESSERA_EMU_PROXY, false, offset,
             "asynchronous %s shared memory without fence.proxy.async after "
             "the write by %s",
             verb(v), other);
  }
}

// A write against the reads since the last write.
static void check_reads(const visit *v, const tsr_race_cell *cell,
                        uint32_t offset) {
  uint32_t who = cell->read_who;
  if (who == 0) return;
  if (who != TSR_RACE_MANY) {
    if (!ordered(v, who, cell->read_lane, cell->read_clock)) {
      conflict(v, offset, "the read by", who, cell->read_lane, cell->read_line);
    }
    return;
  }
  const uint32_t *clocks =
      &v->race->readers[(size_t)cell->read_clock * v->race->warps];
  for (uint32_t w = 0; w < v->race->warps; ++w) {
    if (clocks[w] != 0 && !ordered(v, w + 1, TSR_RACE_MANY, clocks[w])) {
      conflict(v, offset, "the read by", w + 1, TSR_RACE_MANY, cell->read_line);
      return;
    }
  }
}

static void note_read(const visit *v, tsr_race_cell *cell) {
  tsr_race *race = v->race;
  cell->read_line = v->line;
  if (cell->read_who == TSR_RACE_MANY) {
    race->readers[(size_t)cell->read_clock * race->warps + v->w] = v->now;
    return;
  }
  uint32_t lane = v->converged ? TSR_RACE_MANY : v->lane;
  if (cell->read_who == v->w + 1) {
    if (cell->read_clock == v->now && cell->read_lane != lane) {
      lane = TSR_RACE_MANY;  // lanes of one instruction share the byte
    } else if (cell->read_lane != lane &&
               !same_warp_ordered(v, cell->read_lane, cell->read_clock)) {
      lane = TSR_RACE_MANY;
    }
  } else if (cell->read_who != 0 &&
             cell->read_clock > v->view->seen[cell->read_who - 1]) {
    uint32_t index = take_readers(race);
    if (index == 0) return;
    uint32_t *clocks = &race->readers[(size_t)index * race->warps];
    clocks[cell->read_who - 1] = cell->read_clock;
    clocks[v->w] = v->now;
    cell->read_who = TSR_RACE_MANY;
    cell->read_clock = index;
    return;
  }
  cell->read_who = (uint8_t)(v->w + 1);
  cell->read_lane = (uint8_t)lane;
  cell->read_clock = v->now;
}

static void note_write(const visit *v, tsr_race_cell *cell) {
  forget_reads(v->race, cell);
  cell->write_who = (uint8_t)(v->w + 1);
  cell->write_lane = (uint8_t)v->lane;
  cell->write_clock = v->now;
  cell->write_line = v->line;
  cell->write_flags = (uint8_t)((v->relaxed ? TSR_RACE_ATOMIC : 0) |
                                (v->asynchronous ? TSR_RACE_ASYNC : 0));
}

static void touch(const visit *v, tsr_race_cell *cell, uint32_t offset) {
  if (cell->copying != 0 || cell->reads_pending != 0) {
    check_flight(v, cell, offset);
  }
  check_write(v, cell, offset);
  if (v->writes) {
    check_reads(v, cell, offset);
    note_write(v, cell);
  } else if (!v->relaxed) {
    note_read(v, cell);
  }
}

// Calls |act| for the cells of [offset, offset + size), words where they are
// whole. |offset| counts from the start of shared memory's window.
typedef void (*cell_action)(const visit *v, tsr_race_cell *cell,
                            uint32_t offset);
static void each_cell(const visit *v, uint32_t offset, uint32_t size,
                      cell_action act) {
  tsr_race *race = v->race;
  uint32_t at = offset - TSR_SHARED_BASE;
  uint32_t end = at + size;
  while (at < end && !race->gave_up) {
    uint32_t word = at / 4;
    if (word >= race->words) return;
    tsr_race_cell *cell = &race->cells[word];
    bool whole = at % 4 == 0 && end - at >= 4;
    if (whole && cell->parts == 0) {
      act(v, cell, at + TSR_SHARED_BASE);
      at += 4;
      continue;
    }
    if (cell->parts == 0 && !split(race, cell)) return;
    uint32_t stop = word * 4 + 4 < end ? word * 4 + 4 : end;
    for (; at < stop; ++at) {
      act(v, &race->parts[(size_t)cell->parts * 4 + at % 4],
          at + TSR_SHARED_BASE);
    }
    if (whole && v->writes) unite(race, cell);
  }
}

static visit visit_of(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                      uint32_t lane, bool writes, tsr_access_proxy proxy) {
  return (visit){
      .race = race,
      .warp = warp,
      .op = op,
      .view = &race->views[warp->index],
      .w = warp->index,
      .now = tsr_race_tick(race, warp->index),
      .lane = lane,
      .line = op == NULL ? 0 : op->line,
      .writes = writes,
      .asynchronous = proxy == TSR_PROXY_ASYNC,
  };
}

void tsr_race_access(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                     const tsr_access *access) {
  if (race == NULL || race->gave_up) return;
  bool atomic = access->kind == TSR_ACCESS_ATOMIC;
  visit v = visit_of(race, warp, op, 0, access->kind != TSR_ACCESS_LOAD,
                     access->proxy);
  v.access = access;
  v.relaxed = atomic || access->ordered;
  v.converged = op != NULL && (op->flags & TSR_OP_CONVERGED) != 0;
  if (v.writes && (access->order & TSR_ORDER_RELEASE) != 0) {
    tsr_race_fence_shared(race, v.w, TSR_ORDER_RELEASE);
  }
  for (uint32_t rest = access->mask; rest != 0; rest &= rest - 1) {
    v.lane = (uint32_t)__builtin_ctz(rest);
    uint32_t offset = (uint32_t)access->address[v.lane];
    if (v.relaxed) {
      tsr_race_relaxed(race, v.w, (offset - TSR_SHARED_BASE) / 4, v.writes);
    }
    each_cell(&v, offset, access->size, touch);
  }
  if ((access->order & TSR_ORDER_ACQUIRE) != 0) {
    tsr_race_fence_shared(race, v.w, TSR_ORDER_ACQUIRE);
  }
}

void tsr_race_range(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                    uint32_t lane, uint32_t offset, uint32_t size,
                    tsr_access_kind kind, tsr_access_proxy proxy) {
  if (race == NULL || race->gave_up) return;
  visit v = visit_of(race, warp, op, lane, kind != TSR_ACCESS_LOAD, proxy);
  each_cell(&v, offset, size, touch);
}

// --- Work in flight
// -----------------------------------------------------------

static void begin_copy(const visit *v, tsr_race_cell *cell, uint32_t offset) {
  touch(v, cell, offset);
  cell->copying = 1;
}

void tsr_race_copy_issue(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                         uint32_t lane, uint32_t offset, uint32_t size,
                         uint32_t slot, tsr_access_proxy proxy) {
  (void)slot;
  if (race == NULL || race->gave_up) return;
  visit v = visit_of(race, warp, op, lane, true, proxy);
  each_cell(&v, offset, size, begin_copy);
}

static void end_copy(const visit *v, tsr_race_cell *cell, uint32_t offset) {
  (void)offset;
  forget_reads(v->race, cell);
  cell->copying = 0;
  // |lane| is a slot's component here, when it is beyond the lanes.
  if (v->lane >= TSR_LANES) {
    uint32_t slot = v->lane - TSR_LANES;
    cell->write_who = (uint8_t)(TSR_RACE_WARPS + slot + 1);
    cell->write_clock = v->race->mbarriers[slot].clock + 1;
  } else {
    cell->write_who = (uint8_t)(v->w + 1);
    cell->write_clock = v->now;
    cell->write_lane = (uint8_t)v->lane;
  }
  cell->write_flags = v->asynchronous ? TSR_RACE_ASYNC : 0;
}

void tsr_race_copy_land(tsr_race *race, tsr_warp *warp, uint32_t lane,
                        uint32_t offset, uint32_t size, uint32_t slot,
                        tsr_access_proxy proxy) {
  if (race == NULL || race->gave_up) return;
  visit v = visit_of(race, warp, NULL, lane, true, proxy);
  if (slot != TSR_RACE_NO_SLOT) {
    if (slot >= TSR_RACE_MBARRIERS) slot = TSR_RACE_MBARRIERS - 1;
    v.lane = TSR_LANES + slot;
  }
  each_cell(&v, offset, size, end_copy);
}

static void begin_read(const visit *v, tsr_race_cell *cell, uint32_t offset) {
  touch(v, cell, offset);
  if (cell->reads_pending < UINT16_MAX) ++cell->reads_pending;
}

void tsr_race_read_issue(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                         uint32_t lane, uint32_t offset, uint32_t size) {
  if (race == NULL || race->gave_up) return;
  visit v = visit_of(race, warp, op, lane, false, TSR_PROXY_ASYNC);
  each_cell(&v, offset, size, begin_read);
}

static void end_read(const visit *v, tsr_race_cell *cell, uint32_t offset) {
  (void)offset;
  if (cell->reads_pending > 0) --cell->reads_pending;
  uint32_t line = cell->read_line;
  note_read(v, cell);
  cell->read_line = line;
}

void tsr_race_read_done(tsr_race *race, tsr_warp *warp, uint32_t lane,
                        uint32_t offset, uint32_t size) {
  if (race == NULL || race->gave_up) return;
  visit v = visit_of(race, warp, NULL, lane, false, TSR_PROXY_ASYNC);
  each_cell(&v, offset, size, end_read);
}
