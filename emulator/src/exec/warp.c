// SPDX-License-Identifier: Apache-2.0
// The inner loop: operations of one split of one warp, one after another.
#include "exec/internal.h"
#include "tensor/wgmma.h"

static uint32_t count_lanes(uint32_t mask) {
  return mask == TSR_ALL_LANES ? 32u : (uint32_t)__builtin_popcount(mask);
}

// Lanes of |mask| have ended.
static void end_lanes(tsr_context *context, tsr_warp *warp, uint32_t mask) {
  warp->lanes &= ~mask;
  warp->active &= ~mask;
  if (warp->active == 0) {
    tsr_split_remove(warp, warp->current);
    warp->current = NULL;
  } else {
    ++warp->pc;
    tsr_split_save(warp);
  }
  if (warp->lanes == 0) {
    tsr_wgmma_finish(warp);
    --context->block.live_warps;
  }
  tsr_converge_again(warp);
  tsr_barriers_lanes_ended(context, warp);
}

// What follows from |flow|; the split that ran is saved. False: the warp gives
// its turn away.
static bool settle(tsr_context *context, tsr_warp *warp, uint32_t mask,
                   tsr_flow flow) {
  switch (flow) {
    case TSR_FLOW_NEXT:
      ++warp->pc;
      tsr_split_save(warp);
      return true;
    case TSR_FLOW_JUMP:
      tsr_split_save(warp);
      return true;
    case TSR_FLOW_YIELD:
      ++warp->pc;
      tsr_split_save(warp);
      return false;
    case TSR_FLOW_WAIT:
      tsr_split_park(warp, mask, warp->pc + 1, warp->wait, warp->wait_id);
      return false;
    case TSR_FLOW_RETRY:
      tsr_split_park(warp, mask, warp->pc, TSR_WAIT_RETRY, 0);
      return false;
    case TSR_FLOW_EXIT:
      end_lanes(context, warp, mask);
      return warp->lanes != 0;
    case TSR_FLOW_FAULT:
      tsr_split_save(warp);
      tsr_launch_fail(context->block.launch, context->block.linear,
                      TESSERA_EMU_ILLEGAL);
      return false;
  }
  return false;
}

typedef struct run_state {
  tsr_context *context;
  uint32_t quantum;
  bool check_wgmma;
  uint64_t threads;
} run_state;

// Runs the loaded split until something other than the next operation or a
// jump is due. |out_mask|: the lanes of the operation that stopped it.
static tsr_flow run_split(run_state *run, tsr_warp *warp, uint32_t *out_mask) {
  tsr_block *block = warp->block;
  uint64_t *classes = warp->profile->by_class;
  const tsr_op *code = warp->current->code;
  uint32_t pc = warp->pc;
  uint32_t active = warp->active;
  while (run->quantum > 0 && pc < warp->limit) {
    const tsr_op *op = &code[pc];
    uint32_t mask = active;
    --run->quantum;
    if (op->guard != TSR_REF_NONE) {
      mask &= tsr_pred(warp, op->guard) ^ (0u - (uint32_t)op->guard_negated);
      if (mask == 0 && (op->flags & TSR_OP_ALWAYS) == 0) {
        ++block->clock;
        ++classes[op->op_class];
        ++pc;
        continue;
      }
    }
    warp->pc = pc;
    if ((op->flags & (TSR_OP_CONVERGED | TSR_OP_MEMBERMASK)) != 0 &&
        !tsr_converge(warp, op, mask)) {
      *out_mask = mask;
      return TSR_FLOW_JUMP;  // placed already
    }
    ++block->clock;
    ++classes[op->op_class];
    run->threads += count_lanes(mask);
    if (run->check_wgmma && warp->wgmma != NULL) {
      tsr_wgmma_check_registers(warp, op);
    }
    tsr_flow flow = op->run(warp, op, mask);
    if (flow == TSR_FLOW_NEXT) {
      ++pc;
    } else if (flow == TSR_FLOW_JUMP && warp->limit != 0) {
      code = warp->current->code;
      pc = warp->pc;
      active = warp->active;
    } else {
      *out_mask = mask;
      return flow;
    }
  }
  warp->pc = pc;
  *out_mask = 0;
  return TSR_FLOW_JUMP;
}

tsr_flow tsr_warp_run(tsr_context *context, tsr_warp *warp, uint32_t quantum) {
  const tsr_launch *launch = context->block.launch;
  run_state run = {
      .context = context,
      .quantum = quantum,
      .check_wgmma = (launch->config.checks & TESSERA_EMU_CHECK_ASYNC) != 0,
  };
  uint64_t before = context->block.clock;
  tsr_flow flow = TSR_FLOW_NEXT;
  bool on = true;
  while (on && run.quantum > 0 && tsr_split_choose(warp)) {
    uint32_t mask = 0;
    uint32_t budget = run.quantum;
    flow = run_split(&run, warp, &mask);
    on = settle(context, warp, mask, flow);
    context->states[warp->index].alone += budget - run.quantum;
    if (tsr_launch_stops(launch, context->block.linear)) break;
  }
  warp->current = NULL;
  // Splits that now wait for each other at one place must not wait on: with
  // none of them ready the warp would not be looked at again.
  if (warp->split_count > 1) tsr_split_merge(warp);
  warp->instructions += context->block.clock - before;
  context->profile.thread_instructions += run.threads;
  return flow;
}
