// SPDX-License-Identifier: Apache-2.0
// Bulk operations in flight (PTX ISA 9.7.9.25.4, 9.7.9.25.5): those that report
// to an mbarrier land when its phase is waited for, those of a thread's bulk
// groups when the thread waits for the group. Reading the source and writing
// the destination are two moments: cp.async.bulk.wait_group.read asks for the
// first alone.
#include <string.h>

#include "async/state.h"
#include "base/memory.h"

static uint32_t *committed_of(const tsr_warp *warp, uint32_t lane) {
  return &warp->block->async
              ->bulk_committed[(size_t)warp->index * TSR_LANES + lane];
}

static uint32_t slot_of(const tsr_async *async, const tsr_bulk *bulk) {
  if (bulk->mbarrier == TSR_NO_MBARRIER) return TSR_RACE_NO_SLOT;
  return async->mbarriers[bulk->mbarrier].slot;
}

static tsr_access_proxy proxy_of(const tsr_bulk *bulk) {
  return bulk->kind == TSR_BULK_VALUE ? TSR_PROXY_GENERIC : TSR_PROXY_ASYNC;
}

static void discard(tsr_async *async, uint32_t index) {
  tsr_free(async->bulks[index]->staging);
  tsr_free(async->bulks[index]);
  async->bulk_count -= 1;
  memmove(&async->bulks[index], &async->bulks[index + 1],
          (async->bulk_count - index) * sizeof(*async->bulks));
}

void tsr_bulk_clear(tsr_async *async) {
  while (async->bulk_count > 0) discard(async, async->bulk_count - 1);
}

// --- Bytes

static void fetch(tsr_block *block, tsr_bulk *bulk) {
  if (bulk->fetched) return;
  bulk->fetched = true;
  switch (bulk->kind) {
    case TSR_BULK_LOAD:
      if (bulk->tensor) {
        tsr_tensor_gather(bulk, bulk->staging);
      } else {
        memcpy(bulk->staging, bulk->global, bulk->size);
      }
      break;
    case TSR_BULK_STORE:
      if (bulk->tensor) {
        tsr_tensor_from_shared(bulk, tsr_shared_at(block, bulk->shared),
                               bulk->staging);
      } else {
        memcpy(bulk->staging, tsr_shared_at(block, bulk->shared), bulk->size);
      }
      break;
    case TSR_BULK_SHARED:
      memcpy(bulk->staging, tsr_shared_at(block, bulk->source), bulk->size);
      break;
    case TSR_BULK_VALUE:
    default:
      memcpy(bulk->staging, bulk->value, bulk->size);
      break;
  }
}

static void move(tsr_block *block, tsr_bulk *bulk) {
  fetch(block, bulk);
  if (bulk->moved) return;
  bulk->moved = true;
  if (bulk->kind == TSR_BULK_STORE) {
    if (bulk->tensor) {
      tsr_tensor_scatter(bulk, bulk->staging);
    } else {
      tsr_reduce_bytes(bulk->reduction, bulk->type, bulk->global, bulk->staging,
                       bulk->size);
    }
    return;
  }
  unsigned char *shared = tsr_shared_at(block, bulk->shared);
  if (bulk->tensor) {
    tsr_tensor_to_shared(bulk, shared, bulk->staging);
  } else {
    tsr_reduce_bytes(bulk->reduction, bulk->type, shared, bulk->staging,
                     bulk->size);
  }
  tsr_shared_mark_written(block, bulk->shared, bulk->size);
}

// --- Landing

// An operation that reports to an mbarrier.
static void land(tsr_async *async, uint32_t index) {
  tsr_block *block = async->block;
  tsr_bulk *bulk = async->bulks[index];
  move(block, bulk);
  if (bulk->kind == TSR_BULK_SHARED) {
    tsr_race_read_done(block->race, bulk->warp, bulk->lane, bulk->source,
                       bulk->size);
  }
  tsr_race_copy_land(block->race, bulk->warp, bulk->lane, bulk->shared,
                     bulk->size, slot_of(async, bulk), proxy_of(bulk));
  tsr_mbarrier_complete(block, bulk->warp, bulk->op, bulk->lane, bulk->mbarrier,
                        bulk->size);
  block->progress += 1;
  discard(async, index);
}

bool tsr_bulk_land_on(tsr_block *block, uint32_t mbarrier) {
  tsr_async *async = block->async;
  uint64_t phase = async->mbarriers[mbarrier].phase;
  bool any = false;
  for (uint32_t i = 0; i < async->bulk_count;) {
    if (async->mbarriers[mbarrier].phase != phase) break;
    if (async->bulks[i]->mbarrier != mbarrier) {
      ++i;
      continue;
    }
    land(async, i);
    any = true;
  }
  return any;
}

static bool move_one(tsr_async *async, uint32_t index) {
  tsr_bulk *bulk = async->bulks[index];
  if (bulk->moved) return false;
  if (bulk->mbarrier != TSR_NO_MBARRIER) {
    land(async, index);
  } else {
    move(async->block, bulk);
  }
  return true;
}

bool tsr_bulk_land_any(tsr_block *block) {
  tsr_async *async = block->async;
  for (uint32_t i = 0; i < async->bulk_count; ++i) {
    if (move_one(async, i)) return true;
  }
  return false;
}

// --- Issue

static bool append(tsr_async *async, tsr_bulk *bulk) {
  if (async->bulk_count == async->bulk_capacity) {
    uint32_t capacity = async->bulk_capacity * 2 + 16;
    tsr_bulk **grown =
        tsr_realloc(async->bulks, capacity * sizeof(*async->bulks));
    if (grown == NULL) return false;
    async->bulks = grown;
    async->bulk_capacity = capacity;
  }
  async->bulks[async->bulk_count++] = bulk;
  return true;
}

static void tell_race(const tsr_bulk *bulk) {
  tsr_block *block = bulk->warp->block;
  if (block->race == NULL) return;
  if (bulk->kind == TSR_BULK_STORE || bulk->kind == TSR_BULK_SHARED) {
    tsr_race_read_issue(
        block->race, bulk->warp, bulk->op, bulk->lane,
        bulk->kind == TSR_BULK_STORE ? bulk->shared : bulk->source, bulk->size);
  }
  // Reductions into shared memory do not conflict with each other.
  if (bulk->kind == TSR_BULK_STORE || bulk->reduction != TSR_REDUCE_NONE) {
    return;
  }
  tsr_race_copy_issue(block->race, bulk->warp, bulk->op, bulk->lane,
                      bulk->shared, bulk->size, slot_of(block->async, bulk),
                      proxy_of(bulk));
}

bool tsr_bulk_post(const tsr_bulk *bulk) {
  tsr_block *block = bulk->warp->block;
  tsr_async *async = block->async;
  tsr_bulk *copy = tsr_malloc(sizeof(*copy));
  unsigned char *staging = tsr_malloc(bulk->size + 1);
  if (copy == NULL || staging == NULL || !append(async, copy)) {
    tsr_free(copy);
    tsr_free(staging);
    tsr_async_no_memory(bulk->warp, bulk->op);
    return false;
  }
  *copy = *bulk;
  copy->staging = staging;
  copy->fetched = copy->moved = copy->released = false;
  copy->group = *committed_of(bulk->warp, bulk->lane);
  tell_race(copy);
  if (copy->mbarrier != TSR_NO_MBARRIER) {
    tsr_mbarrier_announce(block, copy->mbarrier);
  }
  if (tsr_async_moves_now(block)) (void)move_one(async, async->bulk_count - 1);
  if (block->launch->config.time == TESSERA_EMU_TIME_RANDOM &&
      async->bulk_count > 0 && tsr_async_moves_now(block)) {
    (void)move_one(async, (uint32_t)(tsr_random(block) % async->bulk_count));
  }
  return true;
}

// --- Bulk groups

void tsr_bulk_commit(tsr_warp *warp, uint32_t lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    *committed_of(warp, (uint32_t)__builtin_ctz(lanes)) += 1;
  }
}

static void release(tsr_block *block, tsr_bulk *bulk) {
  fetch(block, bulk);
  if (bulk->released) return;
  bulk->released = true;
  tsr_race_read_done(block->race, bulk->warp, bulk->lane, bulk->shared,
                     bulk->size);
}

void tsr_bulk_wait(tsr_warp *warp, uint32_t lane, uint32_t left, bool read) {
  tsr_async *async = warp->block->async;
  uint32_t committed = *committed_of(warp, lane);
  uint32_t limit = committed > left ? committed - left : 0;
  for (uint32_t i = 0; i < async->bulk_count;) {
    tsr_bulk *bulk = async->bulks[i];
    if (bulk->mbarrier != TSR_NO_MBARRIER || bulk->warp != warp ||
        bulk->lane != lane || bulk->group >= limit) {
      ++i;
      continue;
    }
    release(warp->block, bulk);
    if (read) {
      ++i;
      continue;
    }
    move(warp->block, bulk);
    discard(async, i);
  }
}

// --- The end

static void leak(const tsr_bulk *bulk) {
  bool store = bulk->kind == TSR_BULK_STORE;
  if (store && bulk->released) return;
  tsr_find(bulk->warp, bulk->op, bulk->lane, TESSERA_EMU_LEAK, false,
           bulk->shared,
           store ? "the block ended while a bulk copy may still read its "
                   "shared memory (cp.async.bulk.wait_group.read is missing)"
                 : "the block ended while a bulk copy may still write its "
                   "shared memory (nobody waited for the mbarrier)");
}

void tsr_bulk_finish(tsr_async *async) {
  tsr_block *block = async->block;
  bool check = !tsr_launch_stops(block->launch, block->linear) &&
               (block->launch->config.checks & TESSERA_EMU_CHECK_SYNC) != 0;
  for (uint32_t i = 0; i < async->bulk_count; ++i) {
    tsr_bulk *bulk = async->bulks[i];
    if (check) leak(bulk);
    if (bulk->kind == TSR_BULK_STORE) move(block, bulk);
  }
  for (uint32_t i = 0; check && i < async->mbarrier_count; ++i) {
    const tsr_mbarrier *m = &async->mbarriers[i];
    if (!m->live || m->filled <= m->seen || m->in_flight > 0) continue;
    tsr_find_block(block, m->filled_line, TESSERA_EMU_LEAK, false,
                   "the block ended without having waited for phase %llu of "
                   "the mbarrier at %u, which a bulk copy completes on",
                   (unsigned long long)(m->filled - 1), m->offset);
  }
  tsr_bulk_clear(async);
}
