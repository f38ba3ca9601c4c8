// SPDX-License-Identifier: Apache-2.0
// bar, barrier and barrier.cluster (PTX ISA 9.7.13.1 to 9.7.13.4). A barrier
// counts warps: a warp arrives once all its lanes that have not ended are
// there; without a thread count all warps that have not ended take part (CUDA
// C Programming Guide 7.1: a barrier "will not succeed until reached by all
// non-exited threads in the block").
#include "exec/barriers.h"

#include "check/race.h"
#include "check/report.h"
#include "exec/internal.h"

static bool checked(const tsr_context *context) {
  return (context->block.launch->config.checks & TESSERA_EMU_CHECK_SYNC) != 0;
}

// bar.red's result for the lanes of a split that waited.
static void write_result(const tsr_named_barrier *barrier, tsr_warp *warp,
                         const tsr_split *split) {
  const tsr_op *op = &split->code[split->pc - 1];
  uint32_t kind = op->aux[0];
  if (kind < TSR_BARRIER_POPC || op->dst_count == 0) return;
  unsigned char *base[2] = {
      warp->registers + (size_t)split->registers * TSR_REGISTER_UNIT,
      split->constants};
  tsr_ref ref = op->dst[0];
  if (ref == TSR_REF_NONE) return;
  uint32_t *out = (uint32_t *)(void *)tsr_unit(base, ref);
  if (kind == TSR_BARRIER_POPC) {
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((split->lanes >> i & 1u) != 0) out[i] = barrier->trues;
    }
    return;
  }
  bool value = kind == TSR_BARRIER_AND ? barrier->trues == barrier->lanes
                                       : barrier->trues > 0;
  out[0] = (out[0] & ~split->lanes) | (value ? split->lanes : 0);
}

// Those who wait for |id| in |wait| go on.
static void wake(tsr_context *context, tsr_wait_kind wait, uint32_t id,
                 const tsr_named_barrier *barrier) {
  for (uint32_t w = 0; w < context->block.warp_count; ++w) {
    tsr_warp *warp = &context->warps[w];
    bool woken = false;
    for (uint32_t i = 0; i < warp->split_count; ++i) {
      tsr_split *split = &warp->splits[i];
      if (split->wait != wait || split->wait_id != id) continue;
      if (barrier != NULL) write_result(barrier, warp, split);
      if (wait == TSR_WAIT_CLUSTER) {
        context->states[w].cluster_waiting &= ~split->lanes;
      }
      split->wait = TSR_WAIT_NONE;
      woken = true;
    }
    if (woken) tsr_context_refresh(context, warp);
  }
}

static bool is_complete(const tsr_context *context,
                        const tsr_named_barrier *barrier) {
  if (barrier->arrived == 0) return false;
  if (barrier->expected != 0) return barrier->arrived >= barrier->expected;
  uint32_t missing = 0;
  for (uint32_t w = 0; w < context->block.warp_count; ++w) {
    if (context->warps[w].lanes != 0) missing |= 1u << w;
  }
  return (missing & ~barrier->warps) == 0;
}

// Opens barrier |id| when everyone has come.
static bool try_open(tsr_context *context, uint32_t id) {
  tsr_named_barrier *barrier = &context->barriers[id];
  if (!is_complete(context, barrier)) return false;
  tsr_race_barrier(context->block.race, id, barrier->waiting);
  tsr_named_barrier done = *barrier;
  *barrier = (tsr_named_barrier){0};
  ++context->block.progress;
  wake(context, TSR_WAIT_BARRIER, id, &done);
  return true;
}

// All lanes of |warp| are at barrier |id|: it counts.
static void count_warp(tsr_context *context, tsr_warp *warp, uint32_t id,
                       bool arrive_only) {
  tsr_named_barrier *barrier = &context->barriers[id];
  tsr_warp_state *state = &context->states[warp->index];
  uint32_t bit = 1u << warp->index;
  uint32_t there = state->pending[id];
  barrier->warps |= bit;
  if (arrive_only) {
    tsr_race_barrier_arrive(context->block.race, warp, id);
  } else {
    barrier->waiting |= bit;
  }
  ++barrier->arrived;
  barrier->lanes += (uint32_t)__builtin_popcount(there);
  barrier->trues += (uint32_t)__builtin_popcount(state->votes[id] & there);
  state->pending[id] = 0;
  state->votes[id] = 0;
  wake(context, TSR_WAIT_ARRIVE, id | warp->index << 8, NULL);
}

// Whether the operands make sense; what hardware stops at is fatal.
static bool check(tsr_context *context, tsr_warp *warp, const tsr_op *op,
                  uint32_t id, uint32_t threads) {
  if (id >= TSR_BARRIERS) {
    tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
             "barrier %u: there are 16, from 0 on", id);
    return false;
  }
  if (threads % TSR_LANES != 0) {
    tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_BARRIER, true, TSR_NO_ADDRESS,
             "barrier %u: the thread count %u is no multiple of the warp size",
             id, threads);
    return false;
  }
  const tsr_named_barrier *barrier = &context->barriers[id];
  if (!checked(context)) return true;
  if (threads / TSR_LANES > context->block.warp_count) {
    tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_BARRIER, false, TSR_NO_ADDRESS,
             "barrier %u: expects %u threads and the block has %u", id, threads,
             context->block.launch->threads);
  }
  if (barrier->arrived > 0 && barrier->expected != threads / TSR_LANES) {
    tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_BARRIER, false, TSR_NO_ADDRESS,
             "barrier %u: expects %u warps here and %u at line %u", id,
             threads / TSR_LANES, barrier->expected, barrier->line);
  }
  return true;
}

// A warp that comes a second time before the barrier has opened counts twice.
static void check_twice(tsr_context *context, tsr_warp *warp, const tsr_op *op,
                        uint32_t id) {
  const tsr_named_barrier *barrier = &context->barriers[id];
  if (!checked(context) || (barrier->warps >> warp->index & 1u) == 0) return;
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_BARRIER, false, TSR_NO_ADDRESS,
           "barrier %u: this warp has arrived already (barrier of line %u)", id,
           barrier->line);
}

tsr_flow tsr_barrier_arrive(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                            uint32_t id, uint32_t threads, uint32_t votes) {
  tsr_context *context = tsr_context_of(warp);
  if (!check(context, warp, op, id, threads)) return TSR_FLOW_FAULT;
  tsr_named_barrier *barrier = &context->barriers[id];
  tsr_warp_state *state = &context->states[warp->index];
  bool arrive_only = op->aux[0] == TSR_BARRIER_ARRIVE;
  if (state->pending[id] == 0) check_twice(context, warp, op, id);
  if (barrier->arrived == 0) {
    barrier->expected = threads / TSR_LANES;
    barrier->line = op->line;
  }
  state->pending[id] |= mask;
  state->votes[id] |= votes & mask;
  warp->wait = TSR_WAIT_BARRIER;
  warp->wait_id = id;
  if ((warp->lanes & ~state->pending[id]) != 0) {  // the rest of the warp
    if (arrive_only) {
      warp->wait = TSR_WAIT_ARRIVE;
      warp->wait_id = id | warp->index << 8;
    }
    return TSR_FLOW_WAIT;
  }
  count_warp(context, warp, id, arrive_only);
  if (arrive_only) {
    (void)try_open(context, id);
    return TSR_FLOW_NEXT;
  }
  if (!is_complete(context, barrier)) ++warp->profile->barrier_waits;
  // Waits even when it is the last: opening then writes bar.red's result.
  tsr_split_park(warp, mask, warp->pc + 1, TSR_WAIT_BARRIER, id);
  (void)try_open(context, id);
  warp->limit = 0;
  return TSR_FLOW_JUMP;
}

// --- barrier.cluster, for a cluster of one block ----------------------------

static void try_open_cluster(tsr_context *context) {
  uint32_t warps = 0;
  for (uint32_t w = 0; w < context->block.warp_count; ++w) {
    uint32_t lanes = context->warps[w].lanes;
    if ((lanes & ~context->states[w].cluster_arrived) != 0) return;
    warps |= (uint32_t)(lanes != 0) << w;
  }
  if (warps == 0) return;
  for (uint32_t w = 0; w < context->block.warp_count; ++w) {
    context->states[w].cluster_waiting = context->states[w].cluster_arrived;
    context->states[w].cluster_arrived = 0;
  }
  tsr_race_barrier(context->block.race, TSR_BARRIERS, warps);
  ++context->block.progress;
  wake(context, TSR_WAIT_CLUSTER, 0, NULL);
}

tsr_flow tsr_barrier_cluster_arrive(tsr_warp *warp, const tsr_op *op,
                                    uint32_t mask) {
  tsr_context *context = tsr_context_of(warp);
  tsr_warp_state *state = &context->states[warp->index];
  uint32_t twice = (state->cluster_arrived | state->cluster_waiting) & mask;
  if (twice != 0 && checked(context)) {
    tsr_find(warp, op, (uint32_t)__builtin_ctz(twice), TESSERA_EMU_BARRIER,
             false, TSR_NO_ADDRESS,
             "barrier.cluster.arrive again without barrier.cluster.wait");
  }
  state->cluster_waiting &= ~mask;
  state->cluster_arrived |= mask;
  try_open_cluster(context);
  return TSR_FLOW_NEXT;
}

tsr_flow tsr_barrier_cluster_wait(tsr_warp *warp, const tsr_op *op,
                                  uint32_t mask) {
  tsr_context *context = tsr_context_of(warp);
  tsr_warp_state *state = &context->states[warp->index];
  uint32_t never = mask & ~(state->cluster_arrived | state->cluster_waiting);
  if (never != 0 && checked(context)) {
    tsr_find(warp, op, (uint32_t)__builtin_ctz(never), TESSERA_EMU_BARRIER,
             false, TSR_NO_ADDRESS,
             "barrier.cluster.wait without barrier.cluster.arrive");
  }
  if ((state->cluster_arrived & mask) == 0) {
    state->cluster_waiting &= ~mask;
    return TSR_FLOW_NEXT;
  }
  ++warp->profile->barrier_waits;
  warp->wait = TSR_WAIT_CLUSTER;
  warp->wait_id = 0;
  return TSR_FLOW_WAIT;
}

// --- bar.warp.sync ----------------------------------------------------------

// Lanes of |warp| that wait for each other in |members|.
static uint32_t waiting_for(const tsr_warp *warp, uint32_t members) {
  uint32_t lanes = 0;
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    const tsr_split *split = &warp->splits[i];
    if (split->wait == TSR_WAIT_WARP && split->wait_id == members) {
      lanes |= split->lanes;
    }
  }
  return lanes;
}

static void open_warp(tsr_warp *warp, uint32_t members, uint32_t lanes) {
  tsr_context *context = tsr_context_of(warp);
  tsr_race_warp_sync(context->block.race, warp, lanes);
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    tsr_split *split = &warp->splits[i];
    if (split->wait == TSR_WAIT_WARP && split->wait_id == members) {
      split->wait = TSR_WAIT_NONE;
    }
  }
}

tsr_flow tsr_barrier_warp(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                          const uint32_t *members) {
  tsr_context *context = tsr_context_of(warp);
  for (uint32_t todo = mask; todo != 0;) {
    uint32_t named = members[__builtin_ctz(todo)];
    uint32_t group = 0;
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      group |= (uint32_t)(members[i] == named) << i;
    }
    group &= mask;
    todo &= ~group;
    if ((group & ~named) != 0 && checked(context)) {
      tsr_find(warp, op, (uint32_t)__builtin_ctz(group & ~named),
               TESSERA_EMU_DIVERGENCE, false, TSR_NO_ADDRESS,
               "a lane executes it that its membermask 0x%08x does not name",
               named);
    }
    uint32_t all = group | waiting_for(warp, named);
    if ((named & warp->lanes & ~all) == 0) {
      open_warp(warp, named, all);
      continue;
    }
    // Others of the split, if any, go on or wait in their own group.
    bool rest = group != warp->active;
    uint32_t pc = warp->pc;
    tsr_split_park(warp, group, pc + 1, TSR_WAIT_WARP, named);
    if (!rest) {
      warp->limit = 0;  // the split waits: it must not run on
      return TSR_FLOW_JUMP;
    }
    warp->pc = pc;
    warp->limit = 0;
  }
  if (warp->limit != 0 && warp->split_count == 1) return TSR_FLOW_NEXT;
  ++warp->pc;
  warp->limit = 0;
  return TSR_FLOW_JUMP;
}

void tsr_barriers_lanes_ended(tsr_context *context, tsr_warp *warp) {
  tsr_warp_state *state = &context->states[warp->index];
  for (uint32_t id = 0; id < TSR_BARRIERS; ++id) {
    if (warp->lanes == 0) {
      state->pending[id] = 0;
    } else if (state->pending[id] != 0 &&
               (warp->lanes & ~state->pending[id]) == 0) {
      bool waits = false;
      for (uint32_t i = 0; i < warp->split_count; ++i) {
        const tsr_split *split = &warp->splits[i];
        waits |= split->wait == TSR_WAIT_BARRIER && split->wait_id == id;
      }
      count_warp(context, warp, id, !waits);
    }
    (void)try_open(context, id);
  }
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    const tsr_split *split = &warp->splits[i];
    if (split->wait != TSR_WAIT_WARP) continue;
    uint32_t lanes = waiting_for(warp, split->wait_id);
    if ((split->wait_id & warp->lanes & ~lanes) == 0) {
      open_warp(warp, split->wait_id, lanes);
    }
  }
  try_open_cluster(context);
}
