// SPDX-License-Identifier: Apache-2.0
// Which warp of a block runs next and for how long: drawn from the block's own
// sequence, so that a seed names one interleaving. Short turns find orders that
// matter, long ones keep it fast; both are drawn.
#include "async/async.h"
#include "check/report.h"
#include "exec/internal.h"

uint64_t tsr_context_changes(const tsr_context *context) {
  const uint64_t *classes = context->profile.by_class;
  return context->block.progress + classes[TESSERA_EMU_CLASS_STORE] +
         classes[TESSERA_EMU_CLASS_MATRIX_IO] + context->foreign;
}

void tsr_context_refresh(tsr_context *context, const tsr_warp *warp) {
  uint32_t bit = 1u << warp->index;
  context->ready &= ~bit;
  context->sleeping &= ~bit;
  context->parked &= ~bit;
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    tsr_wait_kind wait = warp->splits[i].wait;
    if (wait == TSR_WAIT_NONE) context->ready |= bit;
    if (wait == TSR_WAIT_SLEEP) context->sleeping |= bit;
    if (wait == TSR_WAIT_RETRY) context->parked |= bit;
  }
}

static void wake(tsr_context *context, uint32_t warps, tsr_wait_kind kind,
                 uint64_t clock) {
  for (; warps != 0; warps &= warps - 1) {
    tsr_warp *warp = &context->warps[__builtin_ctz(warps)];
    for (uint32_t i = 0; i < warp->split_count; ++i) {
      tsr_split *split = &warp->splits[i];
      if (split->wait == kind && split->wake <= clock) {
        split->wait = TSR_WAIT_NONE;
      }
    }
    tsr_context_refresh(context, warp);
  }
}

// Memory has changed: whatever polled in vain looks again.
static void notice_changes(tsr_context *context) {
  uint64_t changes = tsr_context_changes(context);
  if (changes == context->changes) return;
  context->changes = changes;
  context->spinning = 0;
  context->vain = 0;
  wake(context, context->parked, TSR_WAIT_RETRY, UINT64_MAX);
}

void tsr_context_charge(tsr_context *context, tsr_warp *warp) {
  tsr_launch *launch = context->block.launch;
  uint64_t executed = context->block.clock - context->slept;
  uint64_t more = executed - context->charged;
  context->charged = executed;
  uint64_t all = __atomic_add_fetch(&context->engine->instructions, more,
                                    __ATOMIC_RELAXED);
  uint64_t linear = context->block.linear;
  if (all <= launch->config.watchdog || tsr_launch_stops(launch, linear)) {
    return;
  }
  const tsr_op *op =
      warp->split_count > 0 ? &warp->splits[0].code[warp->splits[0].pc] : NULL;
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_TIMEOUT, true, TSR_NO_ADDRESS,
           "the watchdog ended the launch after %llu warp instructions",
           (unsigned long long)all);
}

enum { CHARGE_EVERY = 1 << 14, LONGEST_TURN = 256 };

// 1 to 256 operations; turns of all magnitudes are equally likely.
static uint32_t draw_quantum(uint64_t random) {
  uint32_t magnitude = (uint32_t)(random >> 8) % 9;
  return 1 + ((uint32_t)(random >> 16) & ((1u << magnitude) - 1));
}

static tsr_warp *draw_warp(tsr_context *context, uint32_t warps,
                           uint64_t random) {
  uint32_t skip =
      (uint32_t)(((random >> 32) * (uint64_t)__builtin_popcount(warps)) >> 32);
  while (skip-- > 0) warps &= warps - 1;
  return &context->warps[__builtin_ctz(warps)];
}

// Everyone who could run has asked for something that does not come: work in
// flight gets its last moment now.
static void land_for_polls(tsr_context *context) {
  if ((context->ready & ~context->vain) != 0) return;
  context->vain = 0;
  if (tsr_async_progress(&context->block)) ++context->block.progress;
}

// A warp polls in vain once it has polled so often without a change of memory
// in between. A few polls prove nothing: a volatile load may be a plain one.
enum { VAIN_POLLS = 64, COMPUTES = 64 };

static void note_polls(tsr_context *context, const tsr_warp *warp, uint64_t ran,
                       bool polled) {
  tsr_warp_state *state = &context->states[warp->index];
  uint32_t bit = 1u << warp->index;
  if (state->polls_changes != context->changes || ran > COMPUTES) {
    state->polls_changes = context->changes;
    state->polls = 0;
    context->vain &= ~bit;
  }
  if (polled && ++state->polls >= VAIN_POLLS) context->vain |= bit;
}

static void turn(tsr_context *context, uint32_t warps) {
  tsr_block *block = &context->block;
  uint64_t random = tsr_random(block);
  tsr_warp *warp = draw_warp(context, warps, random);
  bool alone = (warps & (warps - 1)) == 0;
  uint32_t quantum = alone ? LONGEST_TURN : draw_quantum(random);
  uint64_t before = block->clock;
  uint64_t polls = context->profile.mbarrier_waits;
  tsr_flow flow = tsr_warp_run(context, warp, quantum);
  tsr_context_refresh(context, warp);
  note_polls(context, warp, block->clock - before,
             flow == TSR_FLOW_YIELD || flow == TSR_FLOW_RETRY ||
                 polls != context->profile.mbarrier_waits);
  notice_changes(context);
  if (context->vain != 0) land_for_polls(context);
  tsr_context_watch(context, warp, block->clock - before);
  if (block->clock - context->slept - context->charged >= CHARGE_EVERY) {
    tsr_context_charge(context, warp);
  }
}

bool tsr_context_run(tsr_context *context, uint64_t slices) {
  tsr_block *block = &context->block;
  notice_changes(context);
  while (slices-- > 0 && block->live_warps > 0) {
    if (tsr_launch_stops(block->launch, block->linear)) return false;
    if (context->sleeping != 0) {
      wake(context, context->sleeping, TSR_WAIT_SLEEP, block->clock);
    }
    uint32_t warps = context->ready & ~context->spinning;
    if (warps != 0) {
      turn(context, warps);
    } else if (!tsr_context_unstick(context)) {
      context->stuck = true;
      return false;
    } else {
      notice_changes(context);
    }
  }
  return !tsr_launch_stops(block->launch, block->linear);
}

void tsr_context_open(tsr_context *context) {
  context->grid_open = true;
  if (!context->live) return;
  wake(context, TSR_ALL_LANES >> (TSR_BLOCK_WARPS - context->block.warp_count),
       TSR_WAIT_GRID, UINT64_MAX);
}

bool tsr_engine_grid_open(const tsr_warp *warp) {
  return tsr_context_of(warp)->grid_open;
}
