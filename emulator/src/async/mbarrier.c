// SPDX-License-Identifier: Apache-2.0
// mbarrier objects (PTX ISA 9.7.13.15). The 64-bit object in shared memory is
//
//   bits 0-19 pending arrivals, 20-39 expected arrivals, 40-60 tx-count plus
//   2^20, 61-63 the low bits of the phase's number,
//
// and a state token is the object as it was before the arrival. What is true is
// the table here; the object is written from it and compared with it, so that a
// program that copies or overwrites an object is told.
#include "async/mbarrier.h"

#include <string.h>

#include "async/mbarrier_ops.h"
#include "async/state.h"
#include "base/memory.h"

#define TX_BIAS (INT32_C(1) << 20)

static uint64_t word_of(const tsr_mbarrier *m) {
  return (uint64_t)m->pending | (uint64_t)m->expected << 20 |
         (uint64_t)(uint32_t)(m->transactions + TX_BIAS) << 40 |
         (m->phase & 7) << 61;
}

static void write_back(tsr_block *block, tsr_mbarrier *m) {
  m->word = word_of(m);
  memcpy(tsr_shared_at(block, m->offset), &m->word, sizeof(m->word));
}

static uint64_t in_memory(tsr_block *block, uint32_t offset) {
  uint64_t word;
  memcpy(&word, tsr_shared_at(block, offset), sizeof(word));
  return word;
}

static bool misuse(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                   const tsr_mbarrier *m, const char *what) {
  tsr_find(warp, op, lane, TESSERA_EMU_BARRIER, true, m->offset,
           "%s (mbarrier in phase %llu: %u of %u arrivals and %d bytes "
           "pending)",
           what, (unsigned long long)m->phase, m->pending, m->expected,
           m->transactions);
  return false;
}

static uint32_t take_slot(tsr_async *async) {
  for (uint32_t i = 0; i + 1 < TSR_RACE_MBARRIERS; ++i) {
    if ((async->slots_used[i / 32] >> i % 32 & 1) != 0) continue;
    async->slots_used[i / 32] |= 1u << i % 32;
    return i;
  }
  return TSR_RACE_MBARRIERS - 1;
}

static void give_slot(tsr_async *async, uint32_t slot) {
  async->slots_used[slot / 32] &= ~(1u << slot % 32);
}

static tsr_mbarrier *entry_of(tsr_async *async, uint32_t offset) {
  uint32_t index = async->by_offset[offset / 8];
  return index == 0 ? NULL : &async->mbarriers[index - 1];
}

// A new entry for |offset|; entries are never reused within a block, so that
// what is in flight on an invalidated object finds it dead.
static tsr_mbarrier *add_entry(tsr_async *async, uint32_t offset) {
  if (async->mbarrier_count == async->mbarrier_capacity) {
    uint32_t capacity = async->mbarrier_capacity * 2 + 16;
    tsr_mbarrier *grown =
        tsr_realloc(async->mbarriers, capacity * sizeof(*grown));
    if (grown == NULL) return NULL;
    async->mbarriers = grown;
    async->mbarrier_capacity = capacity;
  }
  tsr_mbarrier *m = &async->mbarriers[async->mbarrier_count++];
  memset(m, 0, sizeof(*m));
  m->live = true;
  m->offset = offset;
  async->by_offset[offset / 8] = async->mbarrier_count;
  return m;
}

void tsr_mbarrier_clear(tsr_async *async) {
  for (uint32_t i = 0; i < async->mbarrier_count; ++i) {
    async->by_offset[async->mbarriers[i].offset / 8] = 0;
  }
  async->mbarrier_count = 0;
  memset(async->slots_used, 0, sizeof(async->slots_used));
}

tsr_mbarrier *tsr_mbarrier_at(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                              uint32_t offset) {
  tsr_mbarrier *m = entry_of(warp->block->async, offset);
  if (m == NULL || !m->live) {
    tsr_find(warp, op, lane, TESSERA_EMU_BARRIER, true, offset,
             m == NULL ? "no mbarrier was initialised here"
                       : "the mbarrier here was invalidated");
    return NULL;
  }
  if (in_memory(warp->block, offset) != m->word) {
    (void)misuse(warp, op, lane, m,
                 "the mbarrier was overwritten by something that is not an "
                 "mbarrier operation");
    return NULL;
  }
  return m;
}

// --- Phases

static void set_patience(tsr_block *block, tsr_mbarrier *m) {
  m->polls = 0;
  // The engine asks for progress when all poll in vain; this is for warps that
  // poll while others compute without end.
  m->patience = 32 + (uint32_t)(tsr_random(block) % 32);
}

static void settle(tsr_block *block, tsr_mbarrier *m) {
  if (m->pending == 0 && m->transactions == 0) {
    m->phase += 1;
    m->pending = m->expected;
    set_patience(block, m);
    tsr_race_mbarrier_complete(block->race, m->slot);
    block->progress += 1;
  }
  write_back(block, m);
}

bool tsr_mbarrier_init(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                       uint32_t offset, uint32_t count) {
  tsr_block *block = warp->block;
  tsr_mbarrier *m = entry_of(block->async, offset);
  if (count == 0 || count > TSR_MBARRIER_COUNT_MAX) {
    tsr_find(warp, op, lane, TESSERA_EMU_BARRIER, true, offset,
             "an mbarrier expects 1 to %u arrivals, not %u",
             TSR_MBARRIER_COUNT_MAX, count);
    return false;
  }
  if (m != NULL && m->live) {
    // "Performing mbarrier.init on a location with a valid mbarrier object is
    // undefined" (9.7.13.15.9); one that was overwritten is none.
    if (in_memory(block, offset) == m->word) {
      return misuse(warp, op, lane, m,
                    "mbarrier.init of an mbarrier that is in use; "
                    "mbarrier.inval comes first");
    }
    m->live = false;
    give_slot(block->async, m->slot);
  }
  m = add_entry(block->async, offset);
  if (m == NULL) {
    tsr_async_no_memory(warp, op);
    return false;
  }
  m->expected = m->pending = count;
  m->slot = take_slot(block->async);
  set_patience(block, m);
  write_back(block, m);
  tsr_race_mbarrier_init(block->race, m->slot);
  return true;
}

bool tsr_mbarrier_invalidate(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                             tsr_mbarrier *m) {
  if (m->in_flight > 0) {
    return misuse(warp, op, lane, m,
                  "mbarrier.inval while asynchronous operations are to "
                  "complete on it");
  }
  m->live = false;
  give_slot(warp->block->async, m->slot);
  warp->block->progress += 1;
  return true;
}

bool tsr_mbarrier_arrive(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                         tsr_mbarrier *m, const tsr_mbarrier_arrival *arrival,
                         uint64_t *out_state) {
  tsr_block *block = warp->block;
  *out_state = m->word;
  if (!tsr_mbarrier_expect(warp, op, lane, m, arrival->expect)) return false;
  if (arrival->count == 0 || arrival->count > m->pending) {
    return misuse(warp, op, lane, m,
                  arrival->count == 0 ? "an arrival with count 0"
                                      : "more arrivals than the phase expects");
  }
  if (arrival->drop) {
    if (arrival->count > m->expected) {
      return misuse(warp, op, lane, m, "more dropped than are expected");
    }
    m->expected -= arrival->count;
  }
  if (arrival->release) tsr_race_mbarrier_arrive(block->race, warp, m->slot);
  m->pending -= arrival->count;
  if (arrival->no_complete && m->pending == 0 && m->transactions == 0) {
    m->pending = arrival->count;  // as it was, for the message
    return misuse(warp, op, lane, m,
                  "an arrival with .noComplete completes the phase");
  }
  settle(block, m);
  return true;
}

bool tsr_mbarrier_expect(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                         tsr_mbarrier *m, uint32_t bytes) {
  int64_t sum = (int64_t)m->transactions + bytes;
  if (sum > (int64_t)TSR_MBARRIER_COUNT_MAX) {
    return misuse(warp, op, lane, m, "tx-count above 2^20 - 1");
  }
  m->transactions = (int32_t)sum;
  // Bytes may have come before they were expected, and everyone arrived.
  if (bytes != 0) settle(warp->block, m);
  return true;
}

bool tsr_mbarrier_complete_bytes(tsr_warp *warp, const tsr_op *op,
                                 uint32_t lane, tsr_mbarrier *m,
                                 uint32_t bytes) {
  int64_t left = (int64_t)m->transactions - bytes;
  if (left < -(int64_t)TSR_MBARRIER_COUNT_MAX) {
    return misuse(warp, op, lane, m, "tx-count below -(2^20 - 1)");
  }
  m->transactions = (int32_t)left;
  settle(warp->block, m);
  return true;
}

// --- Waiting

// Lets time pass for a waiter that found the phase in progress.
static void poll_in_vain(tsr_block *block, uint32_t index) {
  tsr_mbarrier *m = &block->async->mbarriers[index];
  // Somebody who executes has to arrive first: no need to hurry.
  m->polls = m->pending > m->arrivals ? 1 : m->polls + 1;
  if (m->in_flight == 0 || m->polls < m->patience) {
    if (block->launch->config.time == TESSERA_EMU_TIME_RANDOM &&
        m->in_flight > 0 && tsr_async_moves_now(block)) {
      if (!tsr_bulk_land_on(block, index)) tsr_copy_land_on(block, index);
    }
    return;
  }
  if (!tsr_bulk_land_on(block, index)) tsr_copy_land_on(block, index);
}

static bool completed(tsr_mbarrier *m, bool parity, uint64_t token) {
  if (parity) return (m->phase & 1) != (token & 1);
  return (m->phase & 7) != token >> 61;
}

bool tsr_mbarrier_test(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                       tsr_mbarrier *m, bool parity, uint64_t token,
                       bool *out_complete) {
  if (!parity && (m->phase & 7) != token >> 61 &&
      ((m->phase - 1) & 7) != token >> 61) {
    return misuse(warp, op, lane, m,
                  "the state waited for is neither of the current phase nor "
                  "of the one before");
  }
  if (!completed(m, parity, token)) {
    poll_in_vain(warp->block, (uint32_t)(m - warp->block->async->mbarriers));
  }
  *out_complete = completed(m, parity, token);
  return true;
}

void tsr_mbarrier_observe(tsr_warp *warp, tsr_mbarrier *m, bool acquire) {
  m->seen = m->phase;
  if (acquire) tsr_race_mbarrier_observe(warp->block->race, warp, m->slot);
}

uint32_t tsr_mbarrier_pending_count(uint64_t state) {
  return (uint32_t)(state & TSR_MBARRIER_COUNT_MAX);
}

// --- Asynchronous completions

static tsr_mbarrier *alive(tsr_block *block, tsr_warp *warp, const tsr_op *op,
                           uint32_t lane, uint32_t index) {
  tsr_mbarrier *m = &block->async->mbarriers[index];
  m->in_flight -= 1;
  if (!m->live) return NULL;  // its misuse was reported
  if (in_memory(block, m->offset) == m->word) return m;
  (void)misuse(warp, op, lane, m,
               "the mbarrier was overwritten before the operation completed");
  return NULL;
}

void tsr_mbarrier_announce(tsr_block *block, uint32_t mbarrier) {
  block->async->mbarriers[mbarrier].in_flight += 1;
}

void tsr_mbarrier_complete(tsr_block *block, tsr_warp *warp, const tsr_op *op,
                           uint32_t lane, uint32_t mbarrier, uint32_t bytes) {
  tsr_mbarrier *m = alive(block, warp, op, lane, mbarrier);
  if (m == NULL) return;
  m->filled = m->phase + 1;
  m->filled_line = op == NULL ? 0 : op->line;
  (void)tsr_mbarrier_complete_bytes(warp, op, lane, m, bytes);
}

void tsr_mbarrier_async_arrive(tsr_block *block, tsr_warp *warp,
                               const tsr_op *op, uint32_t lane,
                               uint32_t mbarrier) {
  block->async->mbarriers[mbarrier].arrivals -= 1;
  tsr_mbarrier *m = alive(block, warp, op, lane, mbarrier);
  if (m == NULL) return;
  if (m->pending == 0) {
    (void)misuse(warp, op, lane, m, "more arrivals than the phase expects");
    return;
  }
  m->pending -= 1;
  settle(block, m);
}

bool tsr_mbarrier_track(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                        tsr_mbarrier *m, bool increment) {
  m->in_flight += 1;
  m->arrivals += 1;
  if (!increment) return true;
  if (m->pending == TSR_MBARRIER_COUNT_MAX) {
    return misuse(warp, op, lane, m, "more pending arrivals than 2^20 - 1");
  }
  m->pending += 1;
  write_back(warp->block, m);
  return true;
}
