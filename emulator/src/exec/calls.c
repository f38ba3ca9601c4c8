// SPDX-License-Identifier: Apache-2.0
// Calls and returns (PTX ISA 9.7.12.3, 9.7.12.4). A frame is a stretch of the
// warp's register file and of each thread's local memory. Lanes that diverged
// into different functions must not share a stretch, as registers of different
// widths lie differently in it.
#include <string.h>

#include "base/memory.h"
#include "check/report.h"
#include "exec/internal.h"

static tsr_flow fault(tsr_warp *warp, const tsr_op *op, const char *what) {
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
           "%s", what);
  return TSR_FLOW_FAULT;
}

// Raises |*start| above |units| registers at |at| that are in the way, unless
// they are the same function's frame at the same place.
static void step_over(uint32_t *start, const tsr_function *callee, uint32_t at,
                      const tsr_function *function) {
  uint32_t end = at + function->register_units;
  bool apart = *start + callee->register_units <= at || end <= *start;
  if (!apart && !(function == callee && at == *start)) *start = end;
}

// Where the callee's registers can lie: behind the caller's, and beside those
// of other splits.
static uint32_t place_registers(const tsr_warp *warp, const tsr_split *split,
                                const tsr_function *callee) {
  uint32_t start = split->registers + split->function->register_units;
  for (uint32_t rounds = 0; rounds < TSR_LANES; ++rounds) {
    uint32_t before = start;
    for (uint32_t i = 0; i < warp->split_count; ++i) {
      const tsr_split *other = &warp->splits[i];
      if (other == split || other->depth == 0) continue;
      step_over(&start, callee, other->registers, other->function);
      for (uint32_t d = 1; d < other->depth; ++d) {
        const tsr_frame *frame = &other->frames[d];
        step_over(&start, callee, frame->registers, frame->function);
      }
    }
    if (start == before) break;
  }
  return start;
}

static bool push(tsr_split *split, uint32_t return_pc) {
  if (split->frames == NULL) {
    split->frames = tsr_calloc(TSR_CALL_DEPTH, sizeof(*split->frames));
    if (split->frames == NULL) return false;
  }
  tsr_frame *frame = &split->frames[split->depth++];
  memset(frame, 0, sizeof(*frame));  // frames are compared as bytes
  frame->code = split->code;
  frame->pc = return_pc;
  frame->registers = split->registers;
  frame->local = split->local;
  frame->constants = split->constants;
  frame->function = split->function;
  return true;
}

static void enter(tsr_split *split, const tsr_function *function,
                  uint32_t registers, uint32_t local) {
  split->code = function->code;
  split->pc = 0;
  split->registers = registers;
  split->local = local;
  split->constants = function->constants;
  split->function = function;
}

tsr_flow tsr_engine_call(tsr_warp *warp, const tsr_op *op, uint32_t lanes,
                         const tsr_function *function) {
  tsr_context *context = tsr_context_of(warp);
  if (lanes == 0) return TSR_FLOW_NEXT;
  uint32_t pc = warp->pc;
  tsr_split *split = warp->current;
  if (split->depth >= TSR_CALL_DEPTH) {
    return fault(warp, op, "calls nest deeper than 64");
  }
  uint32_t local = split->local + split->function->local_bytes;
  uint32_t registers = place_registers(warp, split, function);
  size_t end = (size_t)registers + function->register_units;
  bool room = end * TSR_REGISTER_UNIT <= context->register_bytes;
  uint32_t behind = split->registers + split->function->register_units;
  if (!room && registers != behind) return TSR_FLOW_RETRY;
  if (!room ||
      (size_t)local + function->local_bytes > context->block.local_stride) {
    return fault(warp, op, "the stack overflows: calls nest too deeply");
  }
  if (lanes != warp->active) {
    split = tsr_split_fork(warp, lanes, pc);
    ++warp->pc;
    tsr_split_save(warp);
  }
  if (!push(split, pc + 1)) return fault(warp, op, "out of memory for a call");
  enter(split, function, registers, local);
  if (split == warp->current) tsr_split_load(warp, split);
  warp->limit = 0;
  return TSR_FLOW_JUMP;
}

tsr_flow tsr_engine_return(tsr_warp *warp, uint32_t lanes) {
  tsr_split *split = warp->current;
  if (split->depth == 0) return TSR_FLOW_EXIT;
  if (lanes == 0) {
    ++warp->pc;
    return TSR_FLOW_JUMP;
  }
  if (lanes != warp->active) {
    split = tsr_split_fork(warp, lanes, warp->pc);
    ++warp->pc;
    tsr_split_save(warp);
  }
  const tsr_frame *frame = &split->frames[--split->depth];
  // Another split's call may find room now.
  if (warp->split_count > 1) ++warp->block->progress;
  split->code = frame->code;
  split->pc = frame->pc;
  split->registers = frame->registers;
  split->local = frame->local;
  split->constants = frame->constants;
  split->function = frame->function;
  if (split == warp->current) tsr_split_load(warp, split);
  warp->limit = 0;
  return TSR_FLOW_JUMP;
}
