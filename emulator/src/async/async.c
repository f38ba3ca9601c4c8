// SPDX-License-Identifier: Apache-2.0
// Life of a block's asynchronous state, and what the engine asks of it.
#include "async/async.h"

#include <string.h>

#include "async/mbarrier.h"
#include "async/state.h"
#include "base/memory.h"
#include "memory/bits.h"

static bool allocate(tsr_async *async, tsr_block *block) {
  tsr_launch *launch = block->launch;
  async->warp_count = launch->warps;
  async->queues = tsr_calloc(launch->warps, sizeof(*async->queues));
  async->bulk_committed = tsr_calloc((size_t)launch->warps * TSR_LANES,
                                     sizeof(*async->bulk_committed));
  async->by_offset_count = (block->shared_size + TSR_SHARED_BASE) / 8 + 1;
  async->by_offset =
      tsr_calloc(async->by_offset_count, sizeof(*async->by_offset));
  return async->queues != NULL && async->bulk_committed != NULL &&
         async->by_offset != NULL;
}

tsr_async *tsr_async_create(tsr_block *block) {
  tsr_async *async = tsr_calloc(1, sizeof(*async));
  if (async == NULL) return NULL;
  async->block = block;
  if (allocate(async, block)) return async;
  tsr_async_destroy(async);
  return NULL;
}

void tsr_async_reset(tsr_async *async, tsr_block *block) {
  async->block = block;
  tsr_bulk_clear(async);
  tsr_mbarrier_clear(async);
  for (uint32_t w = 0; w < async->warp_count; ++w) {
    tsr_copy_queue *queue = &async->queues[w];
    queue->head = queue->count = 0;
    memset(queue->committed, 0, sizeof(queue->committed));
    memset(queue->arrived, 0, sizeof(queue->arrived));
  }
  memset(
      async->bulk_committed, 0,
      (size_t)async->warp_count * TSR_LANES * sizeof(*async->bulk_committed));
}

void tsr_async_destroy(tsr_async *async) {
  if (async == NULL) return;
  tsr_bulk_clear(async);
  tsr_free(async->bulks);
  for (uint32_t w = 0; async->queues != NULL && w < async->warp_count; ++w) {
    tsr_free(async->queues[w].records);
  }
  tsr_free(async->queues);
  tsr_free(async->bulk_committed);
  tsr_free(async->mbarriers);
  tsr_free(async->by_offset);
  tsr_free(async);
}

// What lands first is what somebody polls for; then, so that nothing that could
// have let a warp go on stays behind, everything else that an mbarrier knows.
bool tsr_async_progress(tsr_block *block) {
  tsr_async *async = block->async;
  uint32_t count = async->mbarrier_count;
  uint32_t start = count > 0 ? (uint32_t)(tsr_random(block) % count) : 0;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t index = (start + i) % count;
    const tsr_mbarrier *mbarrier = &async->mbarriers[index];
    if (!mbarrier->live || mbarrier->polls == 0 || mbarrier->in_flight == 0) {
      continue;
    }
    if (tsr_bulk_land_on(block, index)) return true;
    if (tsr_copy_land_on(block, index)) return true;
  }
  return tsr_bulk_land_any(block) || tsr_copy_land_any(block);
}

void tsr_async_finish(tsr_block *block) {
  tsr_async *async = block->async;
  if (async == NULL) return;
  tsr_bulk_finish(async);
  // What is left of cp.async would go to shared memory that nobody can read
  // any more.
  for (uint32_t w = 0; w < async->warp_count; ++w) {
    async->queues[w].head = async->queues[w].count = 0;
  }
}

bool tsr_async_moves_now(tsr_block *block) {
  switch (block->launch->config.time) {
    case TESSERA_EMU_TIME_EARLY:
      return true;
    case TESSERA_EMU_TIME_RANDOM:
      return (tsr_random(block) & 3) == 0;
    case TESSERA_EMU_TIME_LATE:
    default:
      return false;
  }
}

void tsr_async_no_memory(tsr_warp *warp, const tsr_op *op) {
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
           "the emulator is out of memory for asynchronous operations");
}

bool tsr_shared_range(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                      tsr_ptx_space space, uint64_t address, uint64_t size,
                      uint32_t align, uint32_t *out_offset) {
  uint64_t offset = address;
  if (space == TSR_PTX_SPACE_NONE &&
      tsr_generic_space(address, &offset) != TSR_PTX_SPACE_SHARED) {
    tsr_find(warp, op, lane, TESSERA_EMU_OUT_OF_BOUNDS, true, address,
             "the address is not in shared memory");
    return false;
  }
  uint64_t end = (uint64_t)TSR_SHARED_BASE + warp->block->shared_size;
  if (offset < TSR_SHARED_BASE || offset > end || size > end - offset) {
    tsr_find(warp, op, lane, TESSERA_EMU_OUT_OF_BOUNDS, true, address,
             "%llu bytes do not lie in the block's %u bytes of shared memory",
             (unsigned long long)size, warp->block->shared_size);
    return false;
  }
  if (offset % align != 0) {
    tsr_find(warp, op, lane, TESSERA_EMU_MISALIGNED, true, address,
             "the shared address is not a multiple of %u", align);
    return false;
  }
  *out_offset = (uint32_t)offset;
  return true;
}

void tsr_shared_mark_written(tsr_block *block, uint32_t offset, uint32_t size) {
  if (block->shared_written == NULL || size == 0) return;
  tsr_bits_set(block->shared_written, offset - TSR_SHARED_BASE, size);
}

void tsr_shared_mbarrier_access(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                                uint32_t offset) {
  if (warp->block->race == NULL) return;
  tsr_access access = {.space = TSR_PTX_SPACE_SHARED,
                       .kind = TSR_ACCESS_ATOMIC,
                       .proxy = TSR_PROXY_GENERIC,
                       .size = 8,
                       .align = 8,
                       .mask = 1u << lane};
  access.address[lane] = offset;
  tsr_race_access(warp->block->race, warp, op, &access);
}

bool tsr_async_send(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                    uint64_t target, const void *value, uint32_t size,
                    uint32_t align, tsr_async_reduction reduction,
                    tsr_ptx_type type, uint64_t mbarrier) {
  tsr_bulk bulk = {.kind = TSR_BULK_VALUE,
                   .warp = warp,
                   .op = op,
                   .lane = lane,
                   .size = size,
                   .reduction = (tsr_reduction)reduction,
                   .type = type};
  uint32_t offset = 0;
  if (!tsr_shared_range(warp, op, lane, TSR_PTX_SPACE_SHARED, target, size,
                        align, &bulk.shared) ||
      !tsr_shared_range(warp, op, lane, TSR_PTX_SPACE_SHARED, mbarrier, 8, 8,
                        &offset)) {
    return false;
  }
  tsr_shared_mbarrier_access(warp, op, lane, offset);
  const tsr_mbarrier *object = tsr_mbarrier_at(warp, op, lane, offset);
  if (object == NULL) return false;
  bulk.mbarrier = (uint32_t)(object - warp->block->async->mbarriers);
  memcpy(bulk.value, value, size);
  return tsr_bulk_post(&bulk);
}
