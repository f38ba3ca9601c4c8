// SPDX-License-Identifier: Apache-2.0
// When nothing goes on by itself: time passes for sleepers, asynchronous work
// gets its last moment, a divergent warp is let go with a finding; and if none
// of that helps, it is a deadlock. A warp that polls counts as waiting only
// once it has come back to exactly the state it was in while no memory
// changed: then it polls for ever.
#include <stdio.h>
#include <string.h>

#include "async/async.h"
#include "base/memory.h"
#include "check/report.h"
#include "exec/internal.h"

// Lets virtual time pass until the next sleeper that may matter wakes.
static bool pass_time(tsr_context *context) {
  uint64_t next = UINT64_MAX;
  uint32_t warps = context->sleeping & ~context->spinning;
  for (; warps != 0; warps &= warps - 1) {
    const tsr_warp *warp = &context->warps[__builtin_ctz(warps)];
    for (uint32_t i = 0; i < warp->split_count; ++i) {
      const tsr_split *split = &warp->splits[i];
      if (split->wait == TSR_WAIT_SLEEP && split->wake < next) {
        next = split->wake;
      }
    }
  }
  if (next == UINT64_MAX) return false;
  tsr_block *block = &context->block;
  if (next > block->clock) {
    context->slept += next - block->clock;
    block->clock = next;
  }
  return true;
}

// Tries everything parked once more for each state of memory.
static bool retry(tsr_context *context) {
  if (context->parked == 0 || context->retried == context->changes) {
    return false;
  }
  context->retried = context->changes;
  for (uint32_t w = 0; w < context->block.warp_count; ++w) {
    tsr_warp *warp = &context->warps[w];
    for (uint32_t i = 0; i < warp->split_count; ++i) {
      if (warp->splits[i].wait == TSR_WAIT_RETRY) {
        warp->splits[i].wait = TSR_WAIT_NONE;
      }
    }
    tsr_context_refresh(context, warp);
  }
  return true;
}

bool tsr_context_unstick(tsr_context *context) {
  if (pass_time(context) || retry(context)) return true;
  if (tsr_async_progress(&context->block)) {
    ++context->block.progress;
    return true;
  }
  for (uint32_t i = 0; i < context->block.warp_count; ++i) {
    if (tsr_converge_give_up(context, &context->warps[i])) {
      context->spinning = 0;
      return true;
    }
  }
  return false;
}

// --- Spinning ---------------------------------------------------------------

static bool same_splits(const tsr_warp *warp, const tsr_warp_state *state) {
  if (state->snapshot_count != warp->split_count) return false;
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    const tsr_split *now = &warp->splits[i];
    const tsr_split *then = &state->snapshot_splits[i];
    bool ran = (state->run_since >> i & 1u) != 0;
    bool runs = now->wait == TSR_WAIT_NONE || now->wait == TSR_WAIT_SLEEP;
    if (now->pc != then->pc || now->lanes != then->lanes ||
        now->code != then->code || now->depth != then->depth ||
        now->wait != then->wait || (runs && !ran)) {
      return false;
    }
  }
  return true;
}

static void take_snapshot(tsr_context *context, const tsr_warp *warp,
                          tsr_warp_state *state) {
  if (state->snapshot == NULL) {
    state->snapshot = tsr_malloc(context->register_bytes);
    if (state->snapshot == NULL) return;  // the watchdog is still there
  }
  memcpy(state->snapshot, warp->registers, context->register_bytes);
  memcpy(state->snapshot_splits, warp->splits,
         warp->split_count * sizeof(*warp->splits));
  state->snapshot_count = warp->split_count;
  state->snapshot_changes = context->changes;
  state->run_since = 0;
}

enum { SUSPICIOUS = 1 << 12 };  // instructions without a change of memory

void tsr_context_watch(tsr_context *context, tsr_warp *warp, uint64_t ran) {
  tsr_warp_state *state = &context->states[warp->index];
  const tsr_engine *engine = context->engine;
  // Blocks on other threads may change memory unnoticed.
  if (!engine->interleaved && engine->launch->kernel->communicates) return;
  if (state->quiet_changes != context->changes) {
    state->quiet_changes = context->changes;
    state->quiet = 0;
    state->next_snapshot = 0;
    state->snapshot_count = 0;
    return;
  }
  state->quiet += ran;
  if (state->quiet < SUSPICIOUS || warp->lanes == 0) return;
  if (state->snapshot_count > 0 && same_splits(warp, state) &&
      memcmp(state->snapshot, warp->registers, context->register_bytes) == 0) {
    context->spinning |= 1u << warp->index;
    return;
  }
  if (state->quiet >= state->next_snapshot) {
    take_snapshot(context, warp, state);
    state->next_snapshot = state->quiet + state->quiet / 2;
  }
}

// --- The report -------------------------------------------------------------

static void describe_wait(const tsr_context *context, const tsr_split *split,
                          char *text, size_t size) {
  const tsr_named_barrier *b = NULL;
  switch (split->wait) {
    case TSR_WAIT_NONE:
      (void)snprintf(text, size, "polls for ever");
      return;
    case TSR_WAIT_BARRIER:
    case TSR_WAIT_ARRIVE:
      b = &context->barriers[split->wait_id % TSR_BARRIERS];
      (void)snprintf(
          text, size, "barrier %u, %u of %u warps arrived", split->wait_id,
          b->arrived,
          b->expected != 0 ? b->expected : context->block.live_warps);
      return;
    case TSR_WAIT_CLUSTER:
      (void)snprintf(text, size, "barrier.cluster");
      return;
    case TSR_WAIT_WARP:
      (void)snprintf(text, size, "bar.warp.sync of lanes 0x%08x",
                     split->wait_id);
      return;
    case TSR_WAIT_CONVERGE:
      (void)snprintf(text, size, "the rest of its warp");
      return;
    case TSR_WAIT_SLEEP:
      (void)snprintf(text, size, "sleeps and polls for ever");
      return;
    case TSR_WAIT_GRID:
      (void)snprintf(text, size, "the kernel before");
      return;
    case TSR_WAIT_RETRY:
      (void)snprintf(text, size, "an operation that cannot be done");
      return;
  }
}

// The line of the operation that |split| waits in.
static uint32_t line_of(const tsr_split *split) {
  bool behind = split->wait != TSR_WAIT_NONE &&
                split->wait != TSR_WAIT_CONVERGE &&
                split->wait != TSR_WAIT_RETRY;
  return split->code[split->pc - (behind && split->pc > 0 ? 1 : 0)].line;
}

// "line 12 (barrier 0, 3 of 4 warps arrived)".
static void describe_place(const tsr_context *context, const tsr_split *split,
                           char *text, size_t size) {
  char what[64] = "";
  describe_wait(context, split, what, sizeof(what));
  (void)snprintf(text, size, "line %u (%s)", line_of(split), what);
}

static bool waits_there(const tsr_context *context, uint32_t w,
                        const char *place) {
  const tsr_warp *warp = &context->warps[w];
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    char other[96];
    describe_place(context, &warp->splits[i], other, sizeof(other));
    if (strcmp(other, place) == 0) return true;
  }
  return false;
}

// Appends "; line 12 (...): warps 0-3,5". False: no room.
static bool append_place(const tsr_context *context, const char *place,
                         char *text, size_t size) {
  size_t used = strlen(text), start = used;
  int n = snprintf(text + used, size - used, "; %s: warp", place);
  const char *before = " ";
  for (uint32_t w = 0; w < context->block.warp_count; ++w) {
    if (n < 0 || (size_t)n >= size - used) {
      text[start] = '\0';
      return false;
    }
    used += (size_t)n;
    n = 0;
    if (!waits_there(context, w, place)) continue;
    uint32_t last = w;
    while (last + 1 < context->block.warp_count &&
           waits_there(context, last + 1, place)) {
      ++last;
    }
    n = w == last
            ? snprintf(text + used, size - used, "%s%u", before, w)
            : snprintf(text + used, size - used, "%s%u-%u", before, w, last);
    before = ",";
    w = last;
  }
  if (n < 0 || (size_t)n >= size - used) text[start] = '\0';
  return text[start] != '\0';
}

// Whether a split before split |at| of warp |warp| waits at |place|.
static bool told_before(const tsr_context *context, uint32_t warp, uint32_t at,
                        const char *place) {
  for (uint32_t w = 0; w < warp; ++w) {
    if (waits_there(context, w, place)) return true;
  }
  for (uint32_t i = 0; i < at; ++i) {
    char other[96];
    describe_place(context, &context->warps[warp].splits[i], other,
                   sizeof(other));
    if (strcmp(other, place) == 0) return true;
  }
  return false;
}

void tsr_context_deadlock(tsr_context *context) {
  char text[400] = "";
  uint32_t line = 0;
  bool room = true;
  for (uint32_t w = 0; room && w < context->block.warp_count; ++w) {
    const tsr_warp *warp = &context->warps[w];
    for (uint32_t i = 0; room && i < warp->split_count; ++i) {
      char place[96];
      describe_place(context, &warp->splits[i], place, sizeof(place));
      if (line == 0) line = line_of(&warp->splits[i]);
      if (told_before(context, w, i, place)) continue;
      room = append_place(context, place, text, sizeof(text));
    }
  }
  tsr_find_block(&context->block, line, TESSERA_EMU_DEADLOCK, true,
                 "every warp waits%s%s", text, room ? "" : "; and others");
}
