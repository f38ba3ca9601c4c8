// SPDX-License-Identifier: Apache-2.0
// Operations that lanes must reach together: all of the warp (.aligned, mma,
// ldmatrix: PTX ISA 9.7.13.1, 9.7.14), or those that a membermask names
// (shfl.sync and its like, 9.7.9.6). The lanes that come first wait, in
// splits, until the others stand at the same operation. Lanes that have ended
// count as arrived.
#include "check/report.h"
#include "exec/internal.h"

static bool checked(const tsr_warp *warp) {
  return (warp->block->launch->config.checks & TESSERA_EMU_CHECK_SYNC) != 0;
}

static uint32_t first_lane(uint32_t mask) {
  return (uint32_t)__builtin_ctz(mask);
}

static void find(tsr_warp *warp, const tsr_op *op, uint32_t lanes,
                 const char *what, uint32_t others) {
  if (!checked(warp)) return;
  tsr_find(warp, op, first_lane(lanes), TESSERA_EMU_DIVERGENCE, false,
           TSR_NO_ADDRESS, "%s: lanes 0x%08x are here, lanes 0x%08x are not",
           what, lanes, others);
}

static bool wait_here(tsr_warp *warp, uint32_t mask) {
  tsr_split_park(warp, mask, warp->pc, TSR_WAIT_CONVERGE, 0);
  return false;
}

// --- All lanes of the warp --------------------------------------------------

static bool is_matrix(const tsr_op *op) {
  return op->op_class == TESSERA_EMU_CLASS_MATRIX ||
         op->op_class == TESSERA_EMU_CLASS_MATRIX_IO;
}

static bool converge_all(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  if (mask == warp->lanes) {
    if (mask != TSR_ALL_LANES && is_matrix(op)) {
      find(warp, op, mask, "needs all 32 lanes of the warp", ~mask);
    }
    return true;
  }
  if (mask != warp->active) {
    find(warp, op, mask, "its predicate differs within the warp",
         warp->active & ~mask);
    return true;
  }
  if (warp->current->forced) {
    warp->current->forced = false;
    return true;
  }
  return wait_here(warp, mask);
}

// --- The lanes of a membermask ----------------------------------------------

// The lanes of |mask| that name the same members as |lane| does.
static uint32_t group_of(const uint32_t *members, uint32_t mask,
                         uint32_t lane) {
  uint32_t group = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    group |= (uint32_t)(members[i] == members[lane]) << i;
  }
  return group & mask;
}

// All who must come to |group|'s operation are in it.
static bool complete(const tsr_warp *warp, uint32_t members, uint32_t group) {
  return ((members & warp->lanes) | group) == group;
}

static void check_members(tsr_warp *warp, const tsr_op *op, uint32_t members,
                          uint32_t group) {
  if ((group & ~members) == 0 || !checked(warp)) return;
  tsr_find(warp, op, first_lane(group & ~members), TESSERA_EMU_DIVERGENCE,
           false, TSR_NO_ADDRESS,
           "a lane executes it that its membermask 0x%08x does not name",
           members);
}

// Several groups, or not all have come: runs the complete ones here and parks
// the others. Collectives always go on with the next operation.
static bool converge_groups(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                            const uint32_t *members) {
  uint32_t done = 0;
  bool forced = warp->current->forced;
  warp->current->forced = false;
  for (uint32_t todo = mask; todo != 0;) {
    uint32_t lane = first_lane(todo);
    uint32_t group = group_of(members, mask, lane);
    todo &= ~group;
    if (!forced && !complete(warp, members[lane], group)) continue;
    check_members(warp, op, members[lane], group);
    done |= group;
    ++warp->block->clock;
    ++warp->profile->by_class[op->op_class];
    (void)op->run(warp, op, group);
  }
  uint32_t waiting = mask & ~done;
  if (waiting != 0) return wait_here(warp, waiting);
  ++warp->pc;
  warp->limit = 0;
  return false;
}

static bool converge_members(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_ref ref = op->src[op->membermask];
  const uint32_t *members = tsr_src32(warp, ref);
  uint32_t lane = first_lane(mask);
  uint32_t group = (ref & 1u) != 0 ? mask : group_of(members, mask, lane);
  if (group == mask && complete(warp, members[lane], group)) {
    check_members(warp, op, members[lane], group);
    warp->current->forced = false;
    return true;
  }
  return converge_groups(warp, op, mask, members);
}

bool tsr_converge(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  if (mask == 0) return true;
  if ((op->flags & TSR_OP_MEMBERMASK) != 0) {
    return converge_members(warp, op, mask);
  }
  return converge_all(warp, op, mask);
}

void tsr_converge_again(tsr_warp *warp) {
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    if (warp->splits[i].wait == TSR_WAIT_CONVERGE) {
      warp->splits[i].wait = TSR_WAIT_NONE;
    }
  }
}

// Where the lanes are that |split| waits for, for the message.
static void report_missing(tsr_warp *warp, const tsr_split *split) {
  if (!checked(warp)) return;
  const tsr_op *op = &split->code[split->pc];
  uint32_t line = 0;
  uint32_t lanes = warp->lanes & ~split->lanes;
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    const tsr_split *other = &warp->splits[i];
    if (other == split) continue;
    // What waits at a barrier stands behind its operation.
    uint32_t back = other->wait != TSR_WAIT_NONE &&
                    other->wait != TSR_WAIT_CONVERGE &&
                    other->wait != TSR_WAIT_RETRY && other->pc > 0;
    line = other->code[other->pc - back].line;
    lanes = other->lanes;
    break;
  }
  tsr_find(warp, op, first_lane(split->lanes), TESSERA_EMU_DIVERGENCE, false,
           TSR_NO_ADDRESS,
           "the warp does not come together: lanes 0x%08x are here, lanes "
           "0x%08x at line %u",
           split->lanes, lanes, line);
}

bool tsr_converge_give_up(tsr_context *context, tsr_warp *warp) {
  for (uint32_t i = 0; i < warp->split_count; ++i) {
    tsr_split *split = &warp->splits[i];
    if (split->wait != TSR_WAIT_CONVERGE) continue;
    report_missing(warp, split);
    split->wait = TSR_WAIT_NONE;
    split->forced = true;
    tsr_context_refresh(context, warp);
    return true;
  }
  return false;
}
