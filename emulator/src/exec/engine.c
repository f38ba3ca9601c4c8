// SPDX-License-Identifier: Apache-2.0
// A launch from beginning to end: contexts are made, blocks handed out, counts
// added up.
#include "exec/engine.h"

#include <fenv.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "check/report.h"
#include "exec/internal.h"
#include "memory/access.h"

uint32_t tsr_engine_residency(const tsr_device_model *device, uint32_t threads,
                              uint32_t shared, uint32_t registers) {
  uint32_t warps = (threads + TSR_LANES - 1) / TSR_LANES;
  if (warps == 0) return 0;
  uint32_t blocks = device->blocks_per_multiprocessor;
  uint32_t by_threads =
      device->threads_per_multiprocessor / (warps * TSR_LANES);
  if (by_threads < blocks) blocks = by_threads;
  // From sm_80 on the system keeps 1 KiB of each block's shared memory (CUDA C
  // Programming Guide, compute capability 8.x).
  uint32_t by_shared =
      device->shared_per_multiprocessor / (shared + TSR_SHARED_BASE);
  if (by_shared < blocks) blocks = by_shared;
  if (registers > 0) {
    // Handed out per warp in units of 256 registers.
    uint32_t per_warp = (registers * TSR_LANES + 255u) & ~255u;
    uint32_t by_registers =
        device->registers_per_multiprocessor / (per_warp * warps);
    if (by_registers < blocks) blocks = by_registers;
  }
  return blocks;
}

static uint64_t block_count(const tsr_launch *launch) {
  return (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Arithmetic is in the default mode (to nearest, subnormals kept, no traps),
// whatever the program has set for its thread.
static bool run_turns(tsr_context *context, uint64_t turns) {
  fenv_t caller;
  (void)fegetenv(&caller);
  (void)fesetenv(FE_DFL_ENV);
  bool ended = tsr_context_run(context, turns);
  (void)fesetenv(&caller);
  return ended;
}

// --- Blocks side by side ----------------------------------------------------

// As many turns as a block may need: it ends by itself, stuck or failed.
#define TO_THE_END UINT64_MAX

static tsr_status run_block(void *data, uint32_t worker, uint64_t index,
                            tsr_error *error) {
  tsr_engine *engine = data;
  if (tsr_launch_stops(engine->launch, index)) return TSR_OK;
  tsr_context *context = engine->contexts[worker];
  if (context == NULL) {
    context = engine->contexts[worker] = tsr_context_create(engine);
    if (context == NULL) return tsr_error_out_of_memory(error);
  }
  context->grid_open = true;
  tsr_context_begin(context, index);
  if (!run_turns(context, TO_THE_END) && context->stuck) {
    tsr_context_deadlock(context);
  }
  tsr_context_end(context);
  return TSR_OK;
}

static tsr_status run_parallel(tsr_engine *engine, tsr_error *error) {
  return tsr_parallel_for(engine->context_count, engine->blocks, run_block,
                          engine, error);
}

// --- Resident blocks interleaved in one thread ------------------------------

// The first |live| contexts have a block; the others are free, or NULL. Starts
// blocks while there is room. Fewer than fit when memory is short.
static tsr_status start_blocks(tsr_engine *engine, tsr_error *error) {
  while (engine->live < engine->context_count &&
         engine->next_block < engine->blocks) {
    tsr_context **context = &engine->contexts[engine->live];
    if (*context == NULL) *context = tsr_context_create(engine);
    if (*context == NULL && engine->live == 0) {
      return tsr_error_out_of_memory(error);
    }
    if (*context == NULL) {
      engine->context_count = engine->live;
      return TSR_OK;
    }
    (*context)->grid_open = engine->grid_open;
    tsr_context_begin(*context, engine->next_block++);
    ++engine->live;
  }
  return TSR_OK;
}

static uint64_t draw(tsr_engine *engine) {
  uint64_t z = (engine->random += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

// A block that may go on, from a drawn place on; |live|: none does.
static uint32_t draw_block(tsr_engine *engine) {
  uint32_t count = engine->live;
  if (count == 0) return 0;
  uint32_t at = (uint32_t)(draw(engine) % count);
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_context *context = engine->contexts[at];
    // Stuck until another block has changed memory.
    if (!context->stuck || context->foreign != engine->changes) return at;
    if (++at == count) at = 0;
  }
  return count;
}

static void end_block(tsr_engine *engine, uint32_t index) {
  tsr_context *context = engine->contexts[index];
  tsr_context_end(context);
  ++engine->changes;
  engine->contexts[index] = engine->contexts[--engine->live];
  engine->contexts[engine->live] = context;
}

// One block runs for a while; what it changed, others may look at.
static void run_slice(tsr_engine *engine, tsr_context *context) {
  context->foreign = engine->changes;
  context->stuck = false;
  uint64_t before = tsr_context_changes(context);
  uint64_t turns = 1 + (draw(engine) & 15u);
  (void)run_turns(context, turns);
  if (tsr_context_changes(context) != before) {
    ++engine->changes;
    if (!context->stuck) return;
    context->foreign = engine->changes;
  }
}

// Runs until all blocks have ended (or failed, or none can go on).
static tsr_status run_resident(tsr_engine *engine, tsr_error *error) {
  while (!tsr_launch_failed(engine->launch)) {
    tsr_status status = start_blocks(engine, error);
    if (status != TSR_OK) return status;
    uint32_t index = draw_block(engine);
    if (index == engine->live) break;
    run_slice(engine, engine->contexts[index]);
    if (engine->contexts[index]->block.live_warps == 0) {
      end_block(engine, index);
    }
  }
  return TSR_OK;
}

// Of the blocks that wait the first is told of.
static void report_deadlock(tsr_engine *engine) {
  if (tsr_launch_failed(engine->launch) || engine->live == 0) return;
  tsr_context *first = engine->contexts[0];
  for (uint32_t i = 1; i < engine->live; ++i) {
    tsr_context *context = engine->contexts[i];
    if (context->block.linear < first->block.linear) first = context;
  }
  tsr_context_deadlock(first);
}

static void end_all(tsr_engine *engine) {
  for (uint32_t i = 0; i < engine->context_count; ++i) {
    tsr_context *context = engine->contexts[i];
    if (context != NULL && context->live) tsr_context_end(context);
  }
}

static tsr_status run_interleaved(tsr_engine *engine, tsr_error *error) {
  tsr_status status = run_resident(engine, error);
  if (status == TSR_OK) report_deadlock(engine);
  end_all(engine);
  return status;
}

// --- The launch -------------------------------------------------------------

static tsr_status check_launch(const tsr_launch *launch, tsr_error *error) {
  uint64_t threads = (uint64_t)launch->block[0] * launch->block[1];
  if (launch->block[0] > 1024 || launch->block[1] > 1024 ||
      launch->block[2] > 64 || threads > 1024 ||
      threads * launch->block[2] > 1024 || launch->threads == 0 ||
      launch->threads != threads * launch->block[2] ||
      launch->warps != (launch->threads + TSR_LANES - 1) / TSR_LANES) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "a block has 1 to 1024 threads");
  }
  uint64_t plane = (uint64_t)launch->grid[0] * launch->grid[1];
  if (plane == 0 || launch->grid[2] == 0 ||
      plane > UINT64_MAX / launch->grid[2]) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "a grid has at least one block");
  }
  return TSR_OK;
}

static bool interleaves(const tsr_launch *launch) {
  switch (launch->config.parallel) {
    case TESSERA_EMU_PARALLEL_NEVER:
      return true;
    case TESSERA_EMU_PARALLEL_ALWAYS:
      return false;
    case TESSERA_EMU_PARALLEL_AUTO:
      break;
  }
  return launch->kernel->communicates;
}

static uint64_t resident_blocks(const tsr_launch *launch) {
  uint32_t shared = launch->kernel->static_shared + launch->dynamic_shared;
  uint64_t fit =
      tsr_engine_residency(launch->device, launch->threads, shared, 0);
  fit *= launch->device->multiprocessors;
  if (fit == 0) fit = 1;
  return fit < TSR_RESIDENT_MAX ? fit : TSR_RESIDENT_MAX;
}

static tsr_status open_engine(tsr_engine *engine, tsr_launch *launch,
                              bool interleaved, tsr_error *error) {
  memset(engine, 0, sizeof(*engine));
  tsr_status status = check_launch(launch, error);
  if (status != TSR_OK) return status;
  engine->launch = launch;
  engine->blocks = block_count(launch);
  engine->interleaved = interleaved;
  engine->grid_open = true;
  // Blocks that wait for each other may wait for the one that failed.
  launch->together = interleaved || launch->kernel->communicates;
  engine->random = launch->config.seed ^ UINT64_C(0x5851f42d4c957f2d);
  uint64_t contexts = launch->config.threads;
  if (contexts == 0) contexts = tsr_processor_count();
  if (contexts > TSR_PARALLEL_MAX) contexts = TSR_PARALLEL_MAX;
  if (interleaved) contexts = resident_blocks(launch);
  if (contexts > engine->blocks) contexts = engine->blocks;
  engine->context_count = (uint32_t)contexts;
  engine->contexts = tsr_calloc(contexts, sizeof(tsr_context *));
  engine->allocated = (uint32_t)contexts;
  if (engine->contexts == NULL) return tsr_error_out_of_memory(error);
  if (!interleaved || (launch->config.checks & TESSERA_EMU_CHECK_RACE) == 0) {
    return TSR_OK;
  }
  engine->race = tsr_race_global_create(launch->warps);
  return engine->race != NULL ? TSR_OK : tsr_error_out_of_memory(error);
}

// Sums up what the contexts counted into launch->profile and frees them.
static void close_engine(tsr_engine *engine, double seconds) {
  tsr_launch *launch = engine->launch;
  launch->fault = tsr_launch_fault(launch);
  if (launch->report != NULL) tsr_report_settle(launch);
  tessera_emu_profile *sum = &launch->profile;
  memset(sum, 0, sizeof(*sum));
  sum->struct_size = sizeof(*sum);
  for (uint32_t i = 0; engine->contexts != NULL && i < engine->allocated; ++i) {
    if (engine->contexts[i] == NULL) continue;
    tsr_profile_merge(sum, &engine->contexts[i]->profile);
    tsr_context_destroy(engine->contexts[i]);
  }
  tsr_free(engine->contexts);
  tsr_race_global_destroy(engine->race);
  const char *name = launch->kernel->function.name;
  (void)snprintf(sum->kernel, sizeof(sum->kernel), "%s",
                 name != NULL ? name : "");
  sum->launch = launch->number;
  memcpy(sum->grid, launch->grid, sizeof(sum->grid));
  memcpy(sum->block, launch->block, sizeof(sum->block));
  sum->shared_bytes = launch->kernel->static_shared + launch->dynamic_shared;
  sum->host_seconds = seconds;
  sum->modelled_seconds = tsr_modelled_seconds(launch->device, sum);
}

tsr_status tsr_engine_run(tsr_launch *launch, tsr_error *error) {
  tsr_engine engine;
  double start = now();
  tsr_status status = open_engine(&engine, launch, interleaves(launch), error);
  if (status == TSR_OK) {
    status = engine.interleaved ? run_interleaved(&engine, error)
                                : run_parallel(&engine, error);
  }
  if (engine.launch != NULL) close_engine(&engine, now() - start);
  return status;
}

// The second kernel's blocks run as far as they can without the first: up to
// griddepcontrol.wait, or to their end. Then the first runs, then the rest.
tsr_status tsr_engine_run_dependent(tsr_launch *first, tsr_launch *second,
                                    tsr_error *error) {
  tsr_engine engine;
  double start = now();
  tsr_status status = open_engine(&engine, second, true, error);
  engine.grid_open = false;
  if (status == TSR_OK) status = run_resident(&engine, error);
  double ran = now() - start;
  if (status == TSR_OK) status = tsr_engine_run(first, error);
  bool goes_on = status == TSR_OK && !tsr_launch_failed(first) &&
                 !tsr_launch_failed(second);
  start = now();
  if (goes_on) {
    engine.grid_open = true;
    ++engine.changes;
    for (uint32_t i = 0; i < engine.context_count; ++i) {
      if (engine.contexts[i] != NULL) tsr_context_open(engine.contexts[i]);
    }
    status = run_interleaved(&engine, error);
  } else if (engine.launch != NULL) {
    if (tsr_launch_failed(first)) tsr_launch_fail(second, 0, 0);
    end_all(&engine);
  }
  if (engine.launch != NULL) close_engine(&engine, ran + now() - start);
  return status;
}
