// SPDX-License-Identifier: Apache-2.0
// Splits: the parts of a warp that are at different places (independent thread
// scheduling, PTX ISA 3.1 and CUDA C Programming Guide 7.1). The split that is
// least far in the deepest call runs first, so that splits meet where the code
// joins; now and then another one runs, so that lanes which wait for each
// other make progress.
#include <string.h>

#include "base/memory.h"
#include "check/report.h"
#include "exec/internal.h"

void tsr_split_load(tsr_warp *warp, tsr_split *split) {
  warp->current = split;
  warp->pc = split->pc;
  warp->active = split->lanes;
  warp->local = split->local;
  warp->base[0] =
      warp->registers + (size_t)split->registers * TSR_REGISTER_UNIT;
  warp->base[1] = split->constants;
}

void tsr_split_save(tsr_warp *warp) {
  if (warp->current == NULL) return;
  warp->current->pc = warp->pc;
  warp->current->lanes = warp->active;
}

tsr_split *tsr_split_fork(tsr_warp *warp, uint32_t lanes, uint32_t pc) {
  tsr_split *from = warp->current;
  tsr_split *split = &warp->splits[warp->split_count++];
  tsr_frame *frames = split->frames;
  *split = *from;
  split->frames = frames;
  if (from->depth > 0) {
    if (frames == NULL) {
      split->frames = tsr_calloc(TSR_CALL_DEPTH, sizeof(*split->frames));
    }
    if (split->frames == NULL) {  // a launch that fails, not a crash
      tsr_find(warp, &from->code[warp->pc], TSR_NO_LANE, TESSERA_EMU_ILLEGAL,
               true, TSR_NO_ADDRESS, "out of memory for a diverged call");
      split->depth = 0;
    } else {
      memcpy(split->frames, from->frames, from->depth * sizeof(*from->frames));
    }
  }
  split->lanes = lanes;
  split->pc = pc;
  split->wait = TSR_WAIT_NONE;
  split->forced = false;
  warp->active &= ~lanes;
  from->lanes = warp->active;
  warp->limit = 0;  // the running split stops and is chosen anew
  return split;
}

void tsr_split_remove(tsr_warp *warp, tsr_split *split) {
  tsr_split *last = &warp->splits[--warp->split_count];
  if (split == last) return;
  tsr_frame *frames = split->frames;
  *split = *last;
  last->frames = frames;  // memory for calls stays with the place
}

static bool same_place(const tsr_split *a, const tsr_split *b) {
  return a->pc == b->pc && a->code == b->code && a->depth == b->depth &&
         a->registers == b->registers && a->local == b->local &&
         (a->depth == 0 ||
          memcmp(a->frames, b->frames, a->depth * sizeof(*a->frames)) == 0);
}

// Splits that run or wait for each other; not those that wait for others.
static bool joins(const tsr_split *split) {
  return split->wait == TSR_WAIT_NONE || split->wait == TSR_WAIT_CONVERGE;
}

void tsr_split_merge(tsr_warp *warp) {
  for (uint32_t i = 0; i + 1 < warp->split_count; ++i) {
    tsr_split *a = &warp->splits[i];
    if (!joins(a)) continue;
    for (uint32_t k = i + 1; k < warp->split_count;) {
      tsr_split *b = &warp->splits[k];
      if (!joins(b) || !same_place(a, b)) {
        ++k;
        continue;
      }
      a->lanes |= b->lanes;
      a->wait = TSR_WAIT_NONE;  // together they may be all
      a->forced = false;
      tsr_split_remove(warp, b);
    }
  }
}

// Where the split that starts at |from| has to stop and look for others.
static uint32_t limit_of(const tsr_warp *warp, const tsr_split *from) {
  uint32_t limit = UINT32_MAX;
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    const tsr_split *s = &warp->splits[i];
    if (s != from && joins(s) && s->code == from->code &&
        s->depth == from->depth && s->pc > from->pc && s->pc < limit) {
      limit = s->pc;
    }
  }
  return limit;
}

static bool runs_before(const tsr_split *a, const tsr_split *b) {
  if (a->depth != b->depth) return a->depth > b->depth;
  return a->pc < b->pc;
}

enum {
  PATIENCE = 2048,  // instructions until another split of the warp must run
  NOW_AND_THEN = 64,
};

bool tsr_split_choose(tsr_warp *warp) {
  warp->current = NULL;
  if (warp->split_count > 1) tsr_split_merge(warp);
  tsr_split *first = NULL;
  uint32_t runnable = 0;
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    tsr_split *s = &warp->splits[i];
    if (s->wait != TSR_WAIT_NONE) continue;
    ++runnable;
    if (first == NULL || runs_before(s, first)) first = s;
  }
  if (first == NULL) return false;
  tsr_warp_state *state = tsr_state_of(warp);
  if (runnable > 1 && (state->alone > PATIENCE ||
                       tsr_random(warp->block) % NOW_AND_THEN == 0)) {
    uint32_t skip = (uint32_t)(tsr_random(warp->block) % runnable);
    state->alone = 0;
    for (uint32_t i = 0; i < warp->split_count; ++i) {
      tsr_split *s = &warp->splits[i];
      if (s->wait == TSR_WAIT_NONE && skip-- == 0) first = s;
    }
  }
  warp->limit = limit_of(warp, first);
  state->run_since |= 1u << (first - warp->splits);
  tsr_split_load(warp, first);
  return true;
}

void tsr_split_park(tsr_warp *warp, uint32_t mask, uint32_t pc,
                    tsr_wait_kind wait, uint32_t id) {
  tsr_split *split = warp->current;
  if (mask == warp->active) {
    warp->pc = pc;
    tsr_split_save(warp);
  } else {  // lanes whose guard was false go on
    split = tsr_split_fork(warp, mask, pc);
    ++warp->pc;
    tsr_split_save(warp);
  }
  split->wait = wait;
  split->wait_id = id;
  split->wake = wait == TSR_WAIT_SLEEP ? warp->wake : 0;
}

tsr_flow tsr_engine_branch(tsr_warp *warp, uint32_t lanes, uint32_t target) {
  if (lanes == warp->active) {
    warp->pc = target;
  } else if (lanes == 0) {
    ++warp->pc;
  } else {
    tsr_split_fork(warp, lanes, target);
    ++warp->pc;
  }
  return TSR_FLOW_JUMP;
}
