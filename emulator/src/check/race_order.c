// SPDX-License-Identifier: Apache-2.0
// Who has seen what: vector clocks of warps, barriers, mbarriers and words
// used for synchronisation. PTX ISA 8 (memory consistency model), 8.6
// (proxies).
#include "base/memory.h"
#include "check/race_global_state.h"
#include "check/report.h"

void tsr_race_join(tsr_race *race, tsr_race_view *into,
                   const tsr_race_view *from) {
  for (uint32_t i = 0; i < TSR_RACE_COMPONENTS; ++i) {
    uint32_t seen = from->seen[i], fenced = from->fenced[i];
    into->seen[i] = into->seen[i] > seen ? into->seen[i] : seen;
    into->fenced[i] = into->fenced[i] > fenced ? into->fenced[i] : fenced;
  }
  if (from->outside == into->outside) return;
  into->outside = tsr_known_join(race->global, into->outside, from->outside, 0);
}

uint32_t tsr_race_tick(tsr_race *race, uint32_t warp) {
  return ++race->views[warp].seen[warp];
}

void tsr_race_join_lanes(tsr_race *race, uint32_t warp, uint32_t lanes,
                         uint32_t until) {
  for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
    uint32_t *sync = &race->lane_sync[warp][lane];
    if ((lanes >> lane & 1u) != 0 && *sync < until) *sync = until;
  }
}

void tsr_race_warp_sync(tsr_race *race, tsr_warp *warp, uint32_t lanes) {
  if (race == NULL) return;
  uint32_t now = race->views[warp->index].seen[warp->index];
  tsr_race_join_lanes(race, warp->index, lanes, now);
  (void)tsr_race_tick(race, warp->index);
}

void tsr_race_barrier_arrive(tsr_race *race, tsr_warp *warp, uint32_t id) {
  if (race == NULL || id >= TSR_RACE_BARRIERS) return;
  tsr_race_join(race, &race->barriers[id], &race->views[warp->index]);
  (void)tsr_race_tick(race, warp->index);
}

void tsr_race_barrier(tsr_race *race, uint32_t id, uint32_t warps) {
  if (race == NULL || id >= TSR_RACE_BARRIERS) return;
  tsr_race_view *joined = &race->barriers[id];
  for (uint32_t w = 0; w < race->warps; ++w) {
    if ((warps >> w & 1u) != 0) tsr_race_join(race, joined, &race->views[w]);
  }
  for (uint32_t w = 0; w < race->warps; ++w) {
    if ((warps >> w & 1u) == 0) continue;
    tsr_race_join_lanes(race, w, TSR_ALL_LANES, race->views[w].seen[w]);
    race->views[w] = *joined;
    race->released[w] = *joined;  // a barrier is a fence, too
    ++race->release[w];
    (void)tsr_race_tick(race, w);
  }
  memset(joined, 0, sizeof(*joined));
}

void tsr_race_fence_shared(tsr_race *race, uint32_t warp, uint32_t order) {
  uint32_t w = warp;
  if ((order & TSR_ORDER_ACQUIRE) != 0) {
    tsr_race_join(race, &race->views[w], &race->acquired[w]);
    // A lane that saw what its own warp released is ordered after it.
    tsr_race_join_lanes(race, w, TSR_ALL_LANES, race->acquired[w].seen[w]);
    memset(&race->acquired[w], 0, sizeof(race->acquired[w]));
  }
  if ((order & TSR_ORDER_RELEASE) != 0) {
    race->released[w] = race->views[w];
    ++race->release[w];
  }
}

void tsr_race_fence(tsr_race *race, tsr_warp *warp, uint32_t order) {
  if (race == NULL) return;
  // What either kind of word gives may be released through the other.
  if ((order & TSR_ORDER_ACQUIRE) != 0) {
    tsr_race_fence_shared(race, warp->index, TSR_ORDER_ACQUIRE);
  }
  tsr_known_fence(race, warp->index, order);
  if ((order & TSR_ORDER_RELEASE) != 0) {
    tsr_race_fence_shared(race, warp->index, TSR_ORDER_RELEASE);
  }
  (void)tsr_race_tick(race, warp->index);
}

void tsr_race_proxy_fence(tsr_race *race, tsr_warp *warp, uint32_t lanes) {
  (void)lanes;
  if (race == NULL) return;
  tsr_race_view *view = &race->views[warp->index];
  memcpy(view->fenced, view->seen, sizeof(view->fenced));
  (void)tsr_race_tick(race, warp->index);
}

// The detector's mbarrier for |slot|, which has to be cleared for the next
// block.
static uint32_t used_slot(tsr_race *race, uint32_t slot) {
  if (slot >= TSR_RACE_MBARRIERS) slot = TSR_RACE_MBARRIERS - 1;
  if (race->mbarriers_used <= slot) race->mbarriers_used = slot + 1;
  return slot;
}

void tsr_race_mbarrier_init(tsr_race *race, uint32_t slot) {
  if (race == NULL) return;
  tsr_race_mbarrier *barrier = &race->mbarriers[used_slot(race, slot)];
  // The clock goes on: writes that completed on a former use stay ordered.
  memset(&barrier->pending, 0, sizeof(barrier->pending));
  memset(&barrier->complete, 0, sizeof(barrier->complete));
}

void tsr_race_mbarrier_arrive(tsr_race *race, tsr_warp *warp, uint32_t slot) {
  if (race == NULL) return;
  tsr_race_join(race, &race->mbarriers[used_slot(race, slot)].pending,
                &race->views[warp->index]);
  (void)tsr_race_tick(race, warp->index);
}

void tsr_race_mbarrier_follow(tsr_race *race, uint32_t from, uint32_t to) {
  if (race == NULL) return;
  from = used_slot(race, from);
  const tsr_race_mbarrier *source = &race->mbarriers[from];
  uint32_t *seen = race->mbarriers[used_slot(race, to)].pending.seen;
  for (uint32_t i = TSR_RACE_WARPS; i < TSR_RACE_COMPONENTS; ++i) {
    if (seen[i] < source->pending.seen[i]) seen[i] = source->pending.seen[i];
    if (seen[i] < source->complete.seen[i]) seen[i] = source->complete.seen[i];
  }
  // Also those of its phase in progress.
  uint32_t *own = &seen[TSR_RACE_WARPS + from];
  if (*own < source->clock + 1) *own = source->clock + 1;
}

void tsr_race_mbarrier_complete(tsr_race *race, uint32_t slot) {
  if (race == NULL) return;
  slot = used_slot(race, slot);
  tsr_race_mbarrier *barrier = &race->mbarriers[slot];
  barrier->pending.seen[TSR_RACE_WARPS + slot] = ++barrier->clock;
  // Those who waited may lag behind by a phase: they get no less.
  tsr_race_join(race, &barrier->complete, &barrier->pending);
  memset(&barrier->pending, 0, sizeof(barrier->pending));
}

void tsr_race_mbarrier_observe(tsr_race *race, tsr_warp *warp, uint32_t slot) {
  if (race == NULL) return;
  uint32_t w = warp->index;
  const tsr_race_view *complete =
      &race->mbarriers[used_slot(race, slot)].complete;
  tsr_race_join(race, &race->views[w], complete);
  tsr_race_join_lanes(race, w, TSR_ALL_LANES, complete->seen[w]);
  (void)tsr_race_tick(race, w);
}

void tsr_race_give_up(tsr_race *race) {
  if (race->gave_up) return;
  race->gave_up = true;
  tsr_find_block(race->block, 0, TESSERA_EMU_RACE, false,
                 "out of memory: races are no longer looked for");
}

static tsr_race_sync *sync_of(tsr_race *race, uint32_t word, bool make) {
  uint32_t index = race->sync_index[word];
  if (index != 0 || !make) return index == 0 ? NULL : &race->syncs[index];
  if (race->sync_count + 1 >= race->sync_capacity) {
    uint32_t capacity = race->sync_capacity * 2 + 64;
    tsr_race_sync *syncs = tsr_realloc(race->syncs, capacity * sizeof(*syncs));
    if (syncs == NULL) {
      tsr_race_give_up(race);
      return NULL;
    }
    race->syncs = syncs;
    race->sync_capacity = capacity;
  }
  index = ++race->sync_count;
  memset(&race->syncs[index], 0, sizeof(*race->syncs));
  race->sync_index[word] = index;
  return &race->syncs[index];
}

void tsr_race_relaxed(tsr_race *race, uint32_t warp, uint32_t word,
                      bool writes) {
  tsr_race_sync *sync = sync_of(race, word, writes);
  if (sync == NULL) return;
  if (sync->taken[warp] != sync->stamp) {
    tsr_race_join(race, &race->acquired[warp], &sync->view);
    sync->taken[warp] = sync->stamp;
  }
  if (writes && sync->given[warp] != race->release[warp]) {
    tsr_race_join(race, &sync->view, &race->released[warp]);
    sync->given[warp] = race->release[warp];
    sync->stamp = ++race->stamps;
  }
}
