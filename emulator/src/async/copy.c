// SPDX-License-Identifier: Apache-2.0
// cp.async (PTX ISA 9.7.9.25.3): each warp has a queue of what its threads
// issued, each thread its own numbering of groups. A thread's copies land when
// it waits for their group, or when an mbarrier that its
// cp.async.mbarrier.arrive named is waited for.
#include <string.h>

#include "async/state.h"
#include "base/memory.h"

static tsr_copy_record *record_at(tsr_copy_queue *queue, uint32_t index) {
  return &queue->records[(queue->head + index) % queue->capacity];
}

static bool grow(tsr_copy_queue *queue) {
  uint32_t capacity = queue->capacity * 2 + 8;
  tsr_copy_record *records = tsr_malloc(capacity * sizeof(*records));
  if (records == NULL) return false;
  for (uint32_t i = 0; i < queue->count; ++i) {
    records[i] = *record_at(queue, i);
  }
  tsr_free(queue->records);
  queue->records = records;
  queue->capacity = capacity;
  queue->head = 0;
  return true;
}

tsr_copy_record *tsr_copy_push(tsr_warp *warp, const tsr_op *op) {
  tsr_copy_queue *queue = &warp->block->async->queues[warp->index];
  if (queue->count == queue->capacity && !grow(queue)) {
    tsr_async_no_memory(warp, op);
    return NULL;
  }
  tsr_copy_record *record = record_at(queue, queue->count++);
  record->op = op;
  record->arrive = false;
  record->waiting = record->unmoved = 0;
  memcpy(record->group, queue->committed, sizeof(record->group));
  return record;
}

static void drop_landed(tsr_copy_queue *queue) {
  while (queue->count > 0 && record_at(queue, 0)->waiting == 0) {
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count -= 1;
  }
}

// --- Bytes

static void move_lane(tsr_block *block, const tsr_copy_record *record,
                      uint32_t lane) {
  unsigned char *out = tsr_shared_at(block, record->target[lane]);
  uint32_t read = record->read[lane];
  if (read == 16) {
    memcpy(out, record->source[lane], 16);
    return;
  }
  if (read > 0) memcpy(out, record->source[lane], read);
  memset(out + read, 0, record->size - read);
}

void tsr_copy_move(tsr_block *block, tsr_copy_record *record, uint32_t lanes) {
  lanes &= record->unmoved;
  record->unmoved &= ~lanes;
  for (; lanes != 0; lanes &= lanes - 1) {
    uint32_t lane = (uint32_t)__builtin_ctz(lanes);
    move_lane(block, record, lane);
    tsr_shared_mark_written(block, record->target[lane], record->size);
  }
}

// |slot|: the mbarrier that told the program, if one did.
static void land(tsr_warp *warp, tsr_copy_record *record, uint32_t lanes,
                 uint32_t slot) {
  tsr_block *block = warp->block;
  lanes &= record->waiting;
  record->waiting &= ~lanes;
  tsr_copy_move(block, record, lanes);
  if (block->race == NULL) return;
  for (; lanes != 0; lanes &= lanes - 1) {
    uint32_t lane = (uint32_t)__builtin_ctz(lanes);
    tsr_race_copy_land(block->race, warp, lane, record->target[lane],
                       record->size, slot, TSR_PROXY_GENERIC);
  }
}

// --- Arrivals (cp.async.mbarrier.arrive)

// Record |index| is an arrival of |lane|: what the lane issued before lands,
// each copy on the first mbarrier that tracks it; then the lane arrives. Its
// earlier arrivals have nothing more to wait for, so they come first.
static void arrive_lane(tsr_warp *warp, tsr_copy_queue *queue, uint32_t index,
                        uint32_t lane) {
  tsr_block *block = warp->block;
  uint32_t bit = 1u << lane;
  for (uint32_t i = 0; i <= index; ++i) {
    tsr_copy_record *record = record_at(queue, i);
    if (!record->arrive || (record->waiting & bit) == 0) continue;
    uint32_t mbarrier = record->target[lane];
    uint32_t slot = block->async->mbarriers[mbarrier].slot;
    for (uint32_t k = 0; k < i; ++k) {
      tsr_copy_record *before = record_at(queue, k);
      if (!before->arrive) land(warp, before, bit, slot);
    }
    record->waiting &= ~bit;
    uint32_t last = queue->arrived[lane];
    if (last != 0 && last != slot + 1) {
      tsr_race_mbarrier_follow(block->race, last - 1, slot);
    }
    queue->arrived[lane] = slot + 1;
    tsr_mbarrier_async_arrive(block, warp, record->op, lane, mbarrier);
  }
}

static void arrive(tsr_warp *warp, tsr_copy_queue *queue, uint32_t index,
                   uint32_t lanes) {
  lanes &= record_at(queue, index)->waiting;
  for (; lanes != 0; lanes &= lanes - 1) {
    arrive_lane(warp, queue, index, (uint32_t)__builtin_ctz(lanes));
  }
}

static uint32_t lanes_on(const tsr_copy_record *record, uint32_t mbarrier) {
  uint32_t lanes = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if (record->target[i] == mbarrier) lanes |= 1u << i;
  }
  return lanes & record->waiting;
}

bool tsr_copy_land_on(tsr_block *block, uint32_t mbarrier) {
  tsr_async *async = block->async;
  bool any = false;
  uint64_t phase = async->mbarriers[mbarrier].phase;
  for (uint32_t w = 0; w < async->warp_count; ++w) {
    tsr_copy_queue *queue = &async->queues[w];
    for (uint32_t i = 0; i < queue->count; ++i) {
      tsr_copy_record *record = record_at(queue, i);
      if (!record->arrive) continue;
      for (uint32_t lanes = lanes_on(record, mbarrier);
           lanes != 0 && async->mbarriers[mbarrier].phase == phase;
           lanes &= lanes - 1) {
        arrive(&block->warps[w], queue, i, lanes & (0u - lanes));
        any = true;
      }
    }
    drop_landed(queue);
  }
  return any;
}

bool tsr_copy_land_any(tsr_block *block) {
  tsr_async *async = block->async;
  for (uint32_t w = 0; w < async->warp_count; ++w) {
    tsr_copy_queue *queue = &async->queues[w];
    for (uint32_t i = 0; i < queue->count; ++i) {
      if (!record_at(queue, i)->arrive) continue;
      arrive(&block->warps[w], queue, i, record_at(queue, i)->waiting);
      drop_landed(queue);
      return true;
    }
  }
  return false;
}

// --- Waits

// |lanes| know that their copies are done; an arrival of theirs that is still
// to come carries that on.
static void release_arrivals(tsr_warp *warp, const tsr_copy_record *record,
                             uint32_t lanes) {
  tsr_block *block = warp->block;
  uint32_t last = TSR_NO_MBARRIER;
  for (lanes &= record->waiting; lanes != 0; lanes &= lanes - 1) {
    uint32_t mbarrier = record->target[__builtin_ctz(lanes)];
    if (mbarrier == last) continue;
    tsr_race_mbarrier_arrive(block->race, warp,
                             block->async->mbarriers[mbarrier].slot);
    last = mbarrier;
  }
}

uint32_t tsr_copy_pending(tsr_warp *warp) {
  tsr_copy_queue *queue = &warp->block->async->queues[warp->index];
  uint32_t lanes = 0;
  for (uint32_t i = 0; i < queue->count; ++i) {
    if (!record_at(queue, i)->arrive) lanes |= record_at(queue, i)->waiting;
  }
  return lanes;
}

void tsr_copy_arrived(tsr_warp *warp, const tsr_copy_record *record) {
  release_arrivals(warp, record, ~tsr_copy_pending(warp));
}

void tsr_copy_wait(tsr_warp *warp, uint32_t lanes,
                   const uint32_t limit[TSR_LANES]) {
  tsr_copy_queue *queue = &warp->block->async->queues[warp->index];
  for (uint32_t i = 0; i < queue->count; ++i) {
    tsr_copy_record *record = record_at(queue, i);
    if ((record->waiting & lanes) == 0) continue;
    if (record->arrive) {
      release_arrivals(warp, record, lanes & ~tsr_copy_pending(warp));
      continue;
    }
    uint32_t demanded = 0;
    for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
      demanded |= (uint32_t)(record->group[lane] < limit[lane]) << lane;
    }
    land(warp, record, demanded & lanes, TSR_RACE_NO_SLOT);
  }
  drop_landed(queue);
}
