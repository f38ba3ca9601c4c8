// SPDX-License-Identifier: Apache-2.0
// When wgmma happens. An instruction is pending from its issue until a
// wait_group covers its group; somewhere in between, as the configuration says,
// it reads its operands and writes its accumulators. The order of issue is
// kept.
#include "base/memory.h"
#include "check/race.h"
#include "check/report.h"
#include "memory/access.h"
#include "tensor/wgmma_state.h"

static bool out_of_memory(tsr_warp *warp, const tsr_op *op) {
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
           "the emulator is out of memory for wgmma in flight");
  return false;
}

tsr_wgmma *tsr_wgmma_of(tsr_warp *warp, const tsr_op *op) {
  if (warp->wgmma == NULL) {
    warp->wgmma = tsr_calloc(1, sizeof(*warp->wgmma));
    if (warp->wgmma == NULL) (void)out_of_memory(warp, op);
  }
  return warp->wgmma;
}

// --- Shared memory ----------------------------------------------------------

enum { CHUNKS = 1 << 14 };  // of 16 bytes, all that a descriptor can name

typedef struct chunk_set {
  uint64_t words[CHUNKS / 64];
} chunk_set;

static void chunks_add(chunk_set *set, const tsr_matrix_layout *layout,
                       uint32_t first, uint32_t rows, uint32_t bytes) {
  uint32_t lines = layout->across ? rows / 8 : rows;
  uint32_t steps = layout->across ? bytes / layout->element : bytes / 16;
  uint32_t from = layout->across ? first / 8 : first;
  for (uint32_t line = 0; line < lines; ++line) {
    for (uint32_t step = 0; step < steps; ++step) {
      uint32_t chunk = tsr_matrix_chunk(layout, from + line, step) / 16;
      set->words[chunk / 64] |= UINT64_C(1) << (chunk % 64);
    }
  }
}

static bool chunks_has(const chunk_set *set, uint32_t chunk) {
  return (set->words[chunk / 64] >> (chunk % 64) & 1) != 0;
}

// The next run from |*at| on; false when there is none. Moves |*at| behind it.
static bool chunks_next(const chunk_set *set, uint32_t *at,
                        tsr_wgmma_run *run) {
  uint32_t i = *at;
  while (i < CHUNKS && !chunks_has(set, i)) {
    i = set->words[i / 64] == 0 ? (i / 64 + 1) * 64 : i + 1;
  }
  if (i >= CHUNKS) return false;
  uint32_t end = i;
  while (end < CHUNKS && chunks_has(set, end)) ++end;
  *run = (tsr_wgmma_run){.offset = 16 * i, .size = 16 * (end - i)};
  *at = end;
  return true;
}

static bool read_run(tsr_warp *warp, const tsr_wgmma_pending *pending,
                     tsr_wgmma_run run) {
  uint32_t lane = (uint32_t)__builtin_ctz(pending->mask);
  return tsr_access_range(warp, pending->op, lane, TSR_PTX_SPACE_SHARED,
                          run.offset, run.size, TSR_ACCESS_LOAD,
                          TSR_PROXY_ASYNC) != NULL;
}

// Tells the race detector of every run, and remembers them.
static bool read_runs(tsr_warp *warp, tsr_wgmma_pending *pending,
                      const chunk_set *set, uint32_t count) {
  tsr_race *race = warp->block->race;
  uint32_t lane = (uint32_t)__builtin_ctz(pending->mask);
  pending->runs = tsr_malloc(sizeof(*pending->runs) * count);
  if (pending->runs == NULL) return out_of_memory(warp, pending->op);
  uint32_t at = 0;
  tsr_wgmma_run run;
  while (chunks_next(set, &at, &run)) {
    if (!read_run(warp, pending, run)) {
      tsr_free(pending->runs);
      return false;
    }
    tsr_race_read_issue(race, warp, pending->op, lane, run.offset, run.size);
    pending->runs[pending->run_count++] = run;
  }
  return true;
}

bool tsr_wgmma_read_issue(tsr_warp *warp, tsr_wgmma_pending *pending) {
  const tsr_wgmma_form *form = pending->op->data;
  chunk_set set = {{0}};
  if (form->a_shared) {
    chunks_add(&set, &pending->a, 16 * (warp->index % 4), TSR_TILE_M,
               TSR_TILE_A_BYTES);
  }
  chunks_add(&set, &pending->b, 0, form->n,
             form->k * tsr_element_bytes(form->b_type));
  uint32_t at = 0, count = 0;
  tsr_wgmma_run run, all = {0, 0};
  while (chunks_next(&set, &at, &run)) {
    if (count++ == 0) all = run;
    all.size = run.offset + run.size - all.offset;
  }
  if (warp->block->race == NULL && warp->block->shared_written == NULL) {
    return read_run(warp, pending, all);  // bounds alone
  }
  return read_runs(warp, pending, &set, count);
}

static void read_done(tsr_warp *warp, tsr_wgmma_pending *pending) {
  uint32_t lane = (uint32_t)__builtin_ctz(pending->mask);
  for (uint32_t i = 0; i < pending->run_count; ++i) {
    tsr_race_read_done(warp->block->race, warp, lane, pending->runs[i].offset,
                       pending->runs[i].size);
  }
  tsr_free(pending->runs);
}

// --- The queue --------------------------------------------------------------

static void run_pending(tsr_warp *warp, tsr_wgmma_pending *pending) {
  if (!pending->done) tsr_wgmma_execute(warp, pending);
  pending->done = true;
}

void tsr_wgmma_maybe(tsr_warp *warp) {
  tessera_emu_time time = warp->block->launch->config.time;
  if (time == TESSERA_EMU_TIME_LATE) return;
  if (time == TESSERA_EMU_TIME_RANDOM && (tsr_random(warp->block) & 1) != 0) {
    return;
  }
  for (uint32_t i = 0; i < warp->wgmma->count; ++i) {
    run_pending(warp, &warp->wgmma->pending[i]);
  }
}

bool tsr_wgmma_push(tsr_warp *warp, const tsr_wgmma_pending *pending) {
  tsr_wgmma *state = warp->wgmma;
  if (state->count == state->capacity) {
    uint32_t capacity = state->capacity == 0 ? 8 : 2 * state->capacity;
    tsr_wgmma_pending *grown =
        tsr_realloc(state->pending, sizeof(*grown) * capacity);
    if (grown == NULL) {
      tsr_free(pending->runs);
      return out_of_memory(warp, pending->op);
    }
    state->pending = grown;
    state->capacity = capacity;
  }
  tsr_wgmma_pending *last = &state->pending[state->count++];
  *last = *pending;
  last->group = state->committed;
  state->sequence =
      (state->sequence ^ (uintptr_t)pending->op) * UINT64_C(0x100000001b3) + 1;
  if (!tsr_wgmma_mark_busy(warp)) return out_of_memory(warp, pending->op);
  tsr_wgmma_maybe(warp);
  return true;
}

void tsr_wgmma_wait(tsr_warp *warp, uint64_t left) {
  tsr_wgmma *state = warp->wgmma;
  uint32_t done = 0;
  while (done < state->count && left < state->committed &&
         state->pending[done].group < state->committed - left) {
    run_pending(warp, &state->pending[done]);
    tsr_wgmma_watch_done(warp, &state->pending[done]);
    read_done(warp, &state->pending[done]);
    ++done;
  }
  if (done == 0) return;
  state->count -= done;
  memmove(state->pending, state->pending + done,
          sizeof(*state->pending) * state->count);
  (void)tsr_wgmma_mark_busy(warp);  // fewer than before: room is there
}

// --- A warp's life ----------------------------------------------------------

void tsr_wgmma_reset(tsr_warp *warp) {
  tsr_wgmma *state = warp->wgmma;
  if (state == NULL) return;
  for (uint32_t i = 0; i < state->count; ++i) {
    tsr_free(state->pending[i].runs);
  }
  state->count = 0;
  state->committed = 0;
  state->fenced = false;
  state->sequence = 0;
  state->watched_count = 0;
  (void)tsr_wgmma_mark_busy(warp);
}

void tsr_wgmma_destroy(tsr_warp *warp) {
  if (warp->wgmma == NULL) return;
  tsr_wgmma_reset(warp);
  tsr_free(warp->wgmma->pending);
  tsr_free(warp->wgmma->busy);
  tsr_free(warp->wgmma);
  warp->wgmma = NULL;
}

static uint64_t sequence_of(const tsr_warp *warp) {
  return warp->wgmma == NULL ? 0 : warp->wgmma->sequence;
}

// The last warp of a warpgroup to end looks whether all did the same.
static void check_sequence(tsr_warp *warp) {
  tsr_block *block = warp->block;
  uint32_t first = warp->index / 4 * 4;
  if (first + 4 > block->warp_count) return;  // reported at each instruction
  for (uint32_t i = first; i < first + 4; ++i) {
    if (i != warp->index && block->warps[i].lanes != 0) return;
  }
  for (uint32_t i = first + 1; i < first + 4; ++i) {
    if (sequence_of(&block->warps[i]) == sequence_of(&block->warps[first])) {
      continue;
    }
    tsr_find(warp, NULL, TSR_NO_LANE, TESSERA_EMU_DIVERGENCE, false,
             TSR_NO_ADDRESS,
             "warps %u and %u of a warpgroup executed different sequences of "
             "wgmma.mma_async",
             first, i);
    return;
  }
}

void tsr_wgmma_finish(tsr_warp *warp) {
  tsr_wgmma *state = warp->wgmma;
  bool check =
      (warp->block->launch->config.checks & TESSERA_EMU_CHECK_SYNC) != 0;
  if (check) check_sequence(warp);
  if (state == NULL || state->count == 0) return;
  if (check) {
    tsr_find(warp, state->pending[0].op, TSR_NO_LANE, TESSERA_EMU_LEAK, false,
             TSR_NO_ADDRESS,
             "the warp ends with %u wgmma in flight that nobody waited for",
             state->count);
  }
  for (uint32_t i = 0; i < state->count; ++i) {
    read_done(warp, &state->pending[i]);
  }
  state->count = 0;
}
