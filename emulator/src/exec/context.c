// SPDX-License-Identifier: Apache-2.0
// A block and the memory it runs in, made once per worker (or per resident
// block) and filled anew for each block. Memory begins with patterns that do
// not pass for sensible values: shared and local memory with 0xff bytes,
// registers with 0x000000ff in every word (no wider than the narrowest
// register, as handlers may rely on).
#include <string.h>

#include "async/async.h"
#include "base/memory.h"
#include "check/race.h"
#include "check/race_global.h"
#include "exec/internal.h"
#include "tensor/wgmma.h"

enum { CALL_ROOM = 4 };  // diverged calls side by side (calls.c)

static size_t register_units(const tsr_kernel *kernel) {
  size_t own = kernel->function.register_units;
  size_t deepest = kernel->stack_units;
  return own + (deepest > own ? (deepest - own) * CALL_ROOM : 0) + 1;
}

static bool allocate_memory(tsr_context *context) {
  const tsr_launch *launch = context->engine->launch;
  const tsr_kernel *kernel = launch->kernel;
  tsr_block *block = &context->block;
  size_t warps = launch->warps;
  context->register_bytes = register_units(kernel) * TSR_REGISTER_UNIT;
  context->registers = tsr_aligned_alloc(64, context->register_bytes * warps);
  block->shared_size = kernel->static_shared + launch->dynamic_shared;
  block->shared = tsr_aligned_alloc(1024, (size_t)block->shared_size + 1024);
  if (context->registers == NULL || block->shared == NULL) return false;
  if ((launch->config.checks & TESSERA_EMU_CHECK_INIT) != 0) {
    // Whole words: memory/bits.h.
    block->shared_written = tsr_calloc(block->shared_size / 64 + 1, 8);
    if (block->shared_written == NULL) return false;
  }
  block->local_stride = (kernel->local_bytes + 15u) & ~15u;
  if (block->local_stride > 0) {
    size_t size = (size_t)block->local_stride * launch->threads;
    block->local = tsr_aligned_alloc(64, size);
    if (block->local == NULL) return false;
  }
  return true;
}

static bool allocate_warps(tsr_context *context) {
  const tsr_launch *launch = context->engine->launch;
  size_t warps = launch->warps;
  context->warps = tsr_calloc(warps, sizeof(*context->warps));
  context->states = tsr_calloc(warps, sizeof(*context->states));
  context->splits = tsr_calloc(warps * TSR_LANES, sizeof(*context->splits));
  if (context->warps == NULL || context->states == NULL ||
      context->splits == NULL) {
    return false;
  }
  for (uint32_t i = 0; i < launch->warps; ++i) {
    tsr_warp *warp = &context->warps[i];
    warp->block = &context->block;
    warp->index = i;
    warp->splits = context->splits + (size_t)i * TSR_LANES;
    warp->registers = context->registers + i * context->register_bytes;
    warp->profile = &context->profile;
    for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
      uint32_t thread = i * TSR_LANES + lane;
      warp->tid[0][lane] = thread % launch->block[0];
      warp->tid[1][lane] = thread / launch->block[0] % launch->block[1];
      warp->tid[2][lane] = thread / launch->block[0] / launch->block[1];
      if (thread < launch->threads) warp->exists |= 1u << lane;
    }
  }
  return true;
}

static bool allocate_checks(tsr_context *context) {
  tsr_block *block = &context->block;
  const tsr_launch *launch = block->launch;
  if ((launch->config.checks & TESSERA_EMU_CHECK_RACE) != 0) {
    block->race = tsr_race_create(block);
    if (block->race == NULL) return false;
  }
  // Blocks that communicate on several threads (TESSERA_EMU_PARALLEL=always)
  // order each other in ways that nobody follows.
  tsr_race_global *global = context->engine->race;
  if (block->race != NULL &&
      (global != NULL || !launch->kernel->communicates) &&
      !tsr_race_watch_global(block->race, global)) {
    return false;
  }
  block->async = tsr_async_create(block);
  return block->async != NULL;
}

tsr_context *tsr_context_create(tsr_engine *engine) {
  tsr_context *context = tsr_calloc(1, sizeof(*context));
  if (context == NULL) return NULL;
  context->engine = engine;
  context->block.launch = engine->launch;
  context->block.engine = context;
  context->block.warp_count = engine->launch->warps;
  bool made = allocate_memory(context) && allocate_warps(context);
  context->block.warps = context->warps;
  if (!made || !allocate_checks(context)) {
    tsr_context_destroy(context);
    return NULL;
  }
  return context;
}

void tsr_context_destroy(tsr_context *context) {
  if (context == NULL) return;
  tsr_block *block = &context->block;
  tsr_race_destroy(block->race);
  if (block->async != NULL) tsr_async_destroy(block->async);
  size_t warps = block->warp_count;
  for (size_t i = 0; context->warps != NULL && i < warps; ++i) {
    if (context->warps[i].wgmma != NULL) tsr_wgmma_destroy(&context->warps[i]);
  }
  for (size_t i = 0; context->states != NULL && i < warps; ++i) {
    tsr_free(context->states[i].snapshot);
  }
  for (size_t i = 0; context->splits != NULL && i < warps * TSR_LANES; ++i) {
    tsr_free(context->splits[i].frames);
  }
  tsr_free(context->warps);
  tsr_free(context->states);
  tsr_free(context->splits);
  tsr_free(context->registers);
  tsr_free(block->shared);
  tsr_free(block->shared_written);
  tsr_free(block->local);
  tsr_free(context);
}

static void fill_registers(tsr_context *context) {
  size_t words =
      context->register_bytes * context->block.warp_count / sizeof(uint32_t);
  uint32_t *word = (uint32_t *)(void *)context->registers;
  for (size_t i = 0; i < words; ++i) word[i] = 0xff;
}

static void begin_warp(tsr_context *context, tsr_warp *warp) {
  const tsr_function *function = &context->block.launch->kernel->function;
  warp->lanes = warp->exists;
  warp->instructions = 0;
  warp->current = NULL;
  warp->split_count = 1;
  tsr_split *split = &warp->splits[0];
  tsr_frame *frames = split->frames;
  memset(split, 0, sizeof(*split));
  split->frames = frames;
  split->lanes = warp->exists;
  split->code = function->code;
  split->function = function;
  split->constants = function->constants;
  tsr_warp_state *state = &context->states[warp->index];
  unsigned char *snapshot = state->snapshot;
  memset(state, 0, sizeof(*state));
  state->snapshot = snapshot;
  if (warp->wgmma != NULL) tsr_wgmma_reset(warp);
}

static void begin_block(tsr_block *block, uint64_t linear) {
  const tsr_launch *launch = block->launch;
  const uint32_t *grid = launch->grid;
  block->linear = linear;
  block->index[0] = (uint32_t)(linear % grid[0]);
  block->index[1] = (uint32_t)(linear / grid[0] % grid[1]);
  block->index[2] = (uint32_t)(linear / grid[0] / grid[1]);
  block->sm = (uint32_t)(linear % launch->device->multiprocessors);
  block->random = launch->config.seed;
  block->random = tsr_random(block) ^ (linear * UINT64_C(0xd1342543de82ef95));
  block->clock = 0;
  block->progress = 0;
  block->live_warps = block->warp_count;
  block->launched_dependents = false;
  memset(block->shared, 0xff, block->shared_size);
  if (block->shared_written != NULL) {
    memset(block->shared_written, 0, (block->shared_size / 64 + 1) * 8);
  }
  if (block->local != NULL) {
    memset(block->local, 0xff, (size_t)block->local_stride * launch->threads);
  }
}

void tsr_context_begin(tsr_context *context, uint64_t linear) {
  tsr_block *block = &context->block;
  begin_block(block, linear);
  fill_registers(context);
  memset(context->barriers, 0, sizeof(context->barriers));
  context->sleeping = context->parked = context->spinning = 0;
  context->vain = 0;
  context->changes = tsr_context_changes(context);
  context->retried = UINT64_MAX;
  context->charged = 0;
  context->slept = 0;
  context->live = true;
  context->stuck = false;
  for (uint32_t i = 0; i < block->warp_count; ++i) {
    begin_warp(context, &context->warps[i]);
  }
  context->ready = TSR_ALL_LANES >> (TSR_BLOCK_WARPS - block->warp_count);
  tsr_async_reset(block->async, block);
  if (block->race != NULL) tsr_race_reset(block->race, block);
}

void tsr_context_end(tsr_context *context) {
  tsr_block *block = &context->block;
  if (!tsr_launch_stops(block->launch, block->linear)) {
    tsr_async_finish(block);
  }
  tsr_context_charge(context, &context->warps[0]);
  context->live = false;
  context->profile.warp_instructions += block->clock - context->slept;
  ++context->profile.blocks;
}
