// SPDX-License-Identifier: Apache-2.0
// Instructions that speak to the scheduler: nanosleep, setmaxnreg,
// griddepcontrol, pmevent (PTX ISA 9.7.19.1 to 9.7.19.5, 9.7.13.14).
#include "check/report.h"
#include "decode/decode.h"
#include "exec/engine.h"

// Sleeps between nothing and twice |t| nanoseconds, as the ISA allows; lanes
// that ask for different times wake together. At most 1 ms.
static tsr_flow run_nanosleep(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint32_t *t = tsr_src32(warp, op->src[0]);
  uint64_t longest = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) != 0 && t[i] > longest) longest = t[i];
  }
  if (longest > 1000000) longest = 1000000;
  uint64_t khz = warp->block->launch->device->clock_khz;
  uint64_t cycles = longest * khz / 1000000;
  uint64_t drawn = tsr_random(warp->block) % (2 * cycles + 1);
  warp->wait = TSR_WAIT_SLEEP;
  warp->wait_id = 0;
  warp->wake = warp->block->clock + drawn;
  return TSR_FLOW_WAIT;
}

static bool decode_nanosleep(tsr_decoder *d) {
  tsr_ptx_type type;
  tsr_ref time;
  if (!tsr_decode_require(d, 63, 70, 0) || !tsr_mod_need_type(d, &type)) {
    return false;
  }
  if (type != TSR_PTX_U32) return tsr_decode_error(d, ".u32 expected");
  if (!tsr_need_operands(d, 1, 1) ||
      !tsr_source(d, tsr_operand(d, 0), TSR_PTX_U32, &time)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_nanosleep, TESSERA_EMU_CLASS_CONTROL, 0, 1);
  if (op == NULL) return false;
  op->src[0] = time;
  return true;
}

static tsr_flow run_nothing(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)warp, (void)op, (void)mask;
  return TSR_FLOW_NEXT;
}

static bool emit_nothing(tsr_decoder *d, uint8_t flags) {
  tsr_op *op = tsr_emit(d, run_nothing, TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL) return false;
  op->flags |= flags;
  return true;
}

// Registers are not a limit here, so the count changes nothing.
static bool decode_setmaxnreg(tsr_decoder *d) {
  static const char *const actions[] = {"inc", "dec", NULL};
  tsr_ptx_type type;
  uint64_t count = 0;
  if (!tsr_decode_require(d, 80, 90, 'a') ||
      tsr_mod_need(d, actions, ".inc or .dec") < 0) {
    return false;
  }
  if (!tsr_mod(d, "sync") || !tsr_mod(d, "aligned")) {
    return tsr_decode_error(d, ".sync.aligned expected");
  }
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_U32) return tsr_decode_error(d, ".u32 expected");
  if (!tsr_need_operands(d, 1, 1) ||
      !tsr_immediate(d, tsr_operand(d, 0), &count)) {
    return false;
  }
  if (count < 24 || count > 256 || count % 8 != 0) {
    return tsr_decode_error_at(d, tsr_operand(d, 0),
                               "a register count is a multiple of 8 from 24 "
                               "to 256");
  }
  return emit_nothing(d, TSR_OP_CONVERGED);
}

static bool decode_pmevent(tsr_decoder *d) {
  uint64_t event = 0;
  bool mask = tsr_mod(d, "mask");
  if (!tsr_need_operands(d, 1, 1) ||
      !tsr_immediate(d, tsr_operand(d, 0), &event)) {
    return false;
  }
  if (event > (mask ? 0xffffu : 15u)) {
    return tsr_decode_error_at(d, tsr_operand(d, 0),
                               "there are events 0 to 15");
  }
  return emit_nothing(d, 0);
}

static tsr_flow run_grid_wait(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)op, (void)mask;
  if (tsr_engine_grid_open(warp)) return TSR_FLOW_NEXT;
  warp->wait = TSR_WAIT_GRID;
  warp->wait_id = 0;
  warp->wake = 0;
  return TSR_FLOW_WAIT;
}

static tsr_flow run_launch_dependents(tsr_warp *warp, const tsr_op *op,
                                      uint32_t mask) {
  (void)op, (void)mask;
  warp->block->launched_dependents = true;
  return TSR_FLOW_NEXT;
}

static bool decode_griddepcontrol(tsr_decoder *d) {
  static const char *const actions[] = {"wait", "launch_dependents", NULL};
  if (!tsr_decode_require(d, 78, 90, 0)) return false;
  int action = tsr_mod_need(d, actions, ".wait or .launch_dependents");
  if (action < 0 || !tsr_need_operands(d, 0, 0)) return false;
  return tsr_emit(d, action == 0 ? run_grid_wait : run_launch_dependents,
                  TESSERA_EMU_CLASS_CONTROL, 0, 0) != NULL;
}

extern const tsr_opcode tsr_opcodes_schedule[];
const tsr_opcode tsr_opcodes_schedule[] = {
    {"nanosleep", decode_nanosleep},
    {"setmaxnreg", decode_setmaxnreg},
    {"pmevent", decode_pmevent},
    {"griddepcontrol", decode_griddepcontrol},
    {0}};
