// SPDX-License-Identifier: Apache-2.0
// Control flow within a function and its end: bra, brx.idx, ret, exit, trap,
// brkpt (PTX ISA 9.7.12, 9.7.19). Calls are in ops/call.c.
#include "check/report.h"
#include "decode/internal.h"
#include "exec/engine.h"

static tsr_flow run_branch(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  return tsr_engine_branch(warp, mask, op->aux[0]);
}

// bra.uni promises that the active lanes go one way.
static tsr_flow run_branch_uniform(tsr_warp *warp, const tsr_op *op,
                                   uint32_t mask) {
  if (mask != warp->active &&
      (warp->block->launch->config.checks & TESSERA_EMU_CHECK_SYNC) != 0) {
    tsr_find(warp, op, (uint32_t)__builtin_ctz(mask), TESSERA_EMU_DIVERGENCE,
             false, TSR_NO_ADDRESS,
             "branch marked .uni is taken by some lanes only");
  }
  return tsr_engine_branch(warp, mask, op->aux[0]);
}

static bool decode_bra(tsr_decoder *d) {
  bool uniform = tsr_mod(d, "uni");
  if (!tsr_need_operands(d, 1, 1)) return false;
  tsr_op *op = tsr_emit(d, uniform ? run_branch_uniform : run_branch,
                        TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL) return false;
  if (op->guard == TSR_REF_NONE) tsr_emit_ends(d, op);
  return tsr_emit_label(d, op, tsr_operand(d, 0));
}

// --- brx.idx: first the case that all lanes agree, then one operation per
// target that takes its lanes away, then one for the lanes left.

typedef struct brx_table {
  uint32_t count;
  uint32_t *targets;
} brx_table;

static tsr_flow run_brx(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const brx_table *table = op->data;
  const uint32_t *index = tsr_src32(warp, op->src[0]);
  uint32_t first = index[__builtin_ctz(mask)];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) != 0 && index[i] != first) return TSR_FLOW_NEXT;
  }
  if (first >= table->count) return TSR_FLOW_NEXT;
  return tsr_engine_branch(warp, mask, table->targets[first]);
}

static tsr_flow run_brx_case(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint32_t *index = tsr_src32(warp, op->src[0]);
  uint32_t lanes = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    lanes |= (uint32_t)(index[i] == op->aux[1]) << i;
  }
  lanes &= mask;
  if (lanes == 0) return TSR_FLOW_NEXT;
  return tsr_engine_branch(warp, lanes, op->aux[0]);
}

static tsr_flow run_brx_bad(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t lane = (uint32_t)__builtin_ctz(mask);
  tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
           "brx.idx with index %u of %u targets",
           tsr_src32(warp, op->src[0])[lane], op->aux[1]);
  return TSR_FLOW_FAULT;
}

static tsr_op *emit_brx(tsr_decoder *d, tsr_handler handler, tsr_ref index,
                        uint32_t number) {
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_CONTROL, 0, 1);
  if (op == NULL) return NULL;
  op->src[0] = index;
  op->aux[1] = number;
  return op;
}

static bool emit_brx_all(tsr_decoder *d, tsr_ref index,
                         const tsr_ptx_statement *list) {
  uint32_t count = list->as.targets.count;
  brx_table *table = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*table));
  tsr_op *op = emit_brx(d, run_brx, index, count);
  if (table == NULL || op == NULL) return tsr_decode_out_of_memory(d);
  table->count = count;
  table->targets = tsr_arena_alloc_array(tsr_decode_arena(d), count + 1,
                                         sizeof(*table->targets));
  if (table->targets == NULL) return tsr_decode_out_of_memory(d);
  op->data = table;
  for (uint32_t i = 0; i < count; ++i) {
    if (!tsr_emit_target(d, op, list->as.targets.names[i], list->pos,
                         &table->targets[i])) {
      return false;
    }
  }
  for (uint32_t i = 0; i < count; ++i) {
    op = emit_brx(d, run_brx_case, index, i);
    if (op == NULL ||
        !tsr_emit_target(d, op, list->as.targets.names[i], list->pos, NULL)) {
      return false;
    }
  }
  op = emit_brx(d, run_brx_bad, index, count);
  if (op == NULL) return false;
  if (op->guard == TSR_REF_NONE) tsr_emit_ends(d, op);
  return true;
}

static bool decode_brx(tsr_decoder *d) {
  tsr_ref index;
  if (!tsr_mod(d, "idx")) return tsr_decode_error(d, ".idx expected");
  (void)tsr_mod(d, "uni");
  if (!tsr_need_operands(d, 2, 2) ||
      !tsr_source(d, tsr_operand(d, 0), TSR_PTX_U32, &index)) {
    return false;
  }
  const tsr_ptx_operand *targets = tsr_operand(d, 1);
  const tsr_symbol *symbol =
      targets->kind == TSR_PTX_NAME ? tsr_lookup(d, targets->name) : NULL;
  if (symbol == NULL || symbol->kind != TSR_SYMBOL_TARGETS) {
    return tsr_decode_error_at(d, targets, "list of branch targets expected");
  }
  const tsr_ptx_statement *list = &d->ast->statements[symbol->index];
  if (list->as.targets.count > 4096) {
    return tsr_decode_error_at(d, targets, "more than 4096 branch targets");
  }
  return emit_brx_all(d, index, list);
}

// --- The end of a thread

static tsr_flow run_exit(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)warp, (void)op, (void)mask;
  return TSR_FLOW_EXIT;
}

static bool emit_exit(tsr_decoder *d) {
  tsr_op *op = tsr_emit(d, run_exit, TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL) return false;
  if (op->guard == TSR_REF_NONE) tsr_emit_ends(d, op);
  return true;
}

static bool decode_exit(tsr_decoder *d) {
  return tsr_need_operands(d, 0, 0) && emit_exit(d);
}

static tsr_flow run_trap(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_find(warp, op, (uint32_t)__builtin_ctz(mask), TESSERA_EMU_TRAP, true,
           TSR_NO_ADDRESS, "%s", (const char *)op->data);
  return TSR_FLOW_FAULT;
}

static bool emit_trap(tsr_decoder *d, const char *what) {
  if (!tsr_need_operands(d, 0, 0)) return false;
  tsr_op *op = tsr_emit(d, run_trap, TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL) return false;
  op->data = what;
  if (op->guard == TSR_REF_NONE) tsr_emit_ends(d, op);
  return true;
}

static bool decode_trap(tsr_decoder *d) {
  return emit_trap(d, "trap");
}

static bool decode_brkpt(tsr_decoder *d) {
  return emit_trap(d, "brkpt");
}

// --- ret

static tsr_flow run_return(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)op;
  return tsr_engine_return(warp, mask);
}

static bool emit_return(tsr_decoder *d) {
  if (d->kernel != NULL) return emit_exit(d);
  if (!tsr_call_results_to_frame(d)) return false;
  tsr_op *op = tsr_emit(d, run_return, TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL) return false;
  if (op->guard == TSR_REF_NONE) tsr_emit_ends(d, op);
  return true;
}

static bool decode_ret(tsr_decoder *d) {
  (void)tsr_mod(d, "uni");
  return tsr_need_operands(d, 0, 0) && emit_return(d);
}

bool tsr_decode_entry(tsr_decoder *d) {
  return d->kernel != NULL || tsr_call_frame_to_params(d);
}

bool tsr_decode_leave(tsr_decoder *d) {
  // Text may end in "bra" backwards, but a label may stand behind it.
  if (!emit_return(d)) return false;
  tsr_decode_op(d, d->op_count - 1)->line = d->ast->end.line;
  return true;
}

const tsr_opcode tsr_opcodes_control[] = {{"bra", decode_bra},
                                          {"brx", decode_brx},
                                          {"ret", decode_ret},
                                          {"exit", decode_exit},
                                          {"trap", decode_trap},
                                          {"brkpt", decode_brkpt},
                                          {0}};
