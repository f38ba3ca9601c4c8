// SPDX-License-Identifier: Apache-2.0
// Calls (PTX ISA 7.1, 9.7.12.4). Arguments and results travel in the callee's
// frame of local memory, which begins where the caller's ends: operations in
// front of the call copy arguments there (from .param variables, registers or
// constants), operations behind it copy results back. A call through a
// register may lead every lane elsewhere: it is a loop that calls one function
// at a time with the lanes that want it.
#include "check/report.h"
#include "decode/internal.h"
#include "exec/engine.h"
#include "ops/system.h"

// --- Moving arguments. aux: offset in the area, bytes, offset in the own
// frame; imm: 1 when the area is the callee's; data: the running function.

enum { AREA_OWN, AREA_CALLEE };

static unsigned char *frame_bytes(const tsr_warp *warp, uint32_t lane) {
  const tsr_block *block = warp->block;
  size_t thread = (size_t)warp->index * TSR_LANES + lane;
  return block->local + thread * block->local_stride + warp->local;
}

static uint32_t area_offset(const tsr_op *op) {
  const tsr_function *function = op->data;
  return op->aux[0] + (op->imm == AREA_CALLEE ? function->local_bytes : 0);
}

static bool fits(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                 uint64_t end) {
  if (warp->local + end <= warp->block->local_stride) return true;
  tsr_find(warp, op, (uint32_t)__builtin_ctz(mask), TESSERA_EMU_OUT_OF_BOUNDS,
           true, TSR_NO_ADDRESS, "calls need more stack than the thread has");
  return false;
}

static tsr_flow run_register_out(tsr_warp *warp, const tsr_op *op,
                                 uint32_t mask) {
  uint32_t offset = area_offset(op), size = op->aux[1];
  if (!fits(warp, op, mask, offset + size)) return TSR_FLOW_FAULT;
  const unsigned char *from = tsr_unit(warp->base, op->src[0]);
  uint32_t step = size <= 4 ? 4 : size;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    memcpy(frame_bytes(warp, i) + offset, from + (size_t)i * step, size);
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_register_in(tsr_warp *warp, const tsr_op *op,
                                uint32_t mask) {
  uint32_t offset = area_offset(op), size = op->aux[1];
  if (!fits(warp, op, mask, offset + size)) return TSR_FLOW_FAULT;
  unsigned char *to = tsr_unit(warp->base, op->dst[0]);
  uint32_t step = size <= 4 ? 4 : size;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    memset(to + (size_t)i * step, 0, step);
    memcpy(to + (size_t)i * step, frame_bytes(warp, i) + offset, size);
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_frame_out(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t offset = area_offset(op), size = op->aux[1];
  if (!fits(warp, op, mask, offset + size)) return TSR_FLOW_FAULT;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    unsigned char *frame = frame_bytes(warp, i);
    memcpy(frame + offset, frame + op->aux[2], size);
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_frame_in(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t offset = area_offset(op), size = op->aux[1];
  if (!fits(warp, op, mask, offset + size)) return TSR_FLOW_FAULT;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    unsigned char *frame = frame_bytes(warp, i);
    memcpy(frame + op->aux[2], frame + offset, size);
  }
  return TSR_FLOW_NEXT;
}

static tsr_op *emit_move(tsr_decoder *d, tsr_handler handler, uint32_t offset,
                         uint32_t size, uint32_t area) {
  bool in = handler == run_register_in, out = handler == run_register_out;
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_CONTROL, in, out);
  if (op == NULL) return NULL;
  op->aux[0] = offset;
  op->aux[1] = size;
  op->imm = area;
  op->data = d->function;
  return op;
}

// .reg parameters and results of the function itself.
static bool move_own(tsr_decoder *d, uint32_t first, uint32_t count,
                     tsr_handler handler) {
  for (uint32_t i = first; i < first + count; ++i) {
    uint32_t reg = d->argument_registers[i];
    if (reg == UINT32_MAX) continue;
    tsr_op *op = emit_move(d, handler, d->signature->offsets[i],
                           d->signature->sizes[i], AREA_OWN);
    if (op == NULL) return false;
    if (handler == run_register_in) {
      op->dst[0] = tsr_virtual_ref(reg);
    } else {
      op->src[0] = tsr_virtual_ref(reg);
    }
  }
  return true;
}

bool tsr_call_frame_to_params(tsr_decoder *d) {
  return move_own(d, d->signature->result_count, d->signature->param_count,
                  run_register_in);
}

bool tsr_call_results_to_frame(tsr_decoder *d) {
  return move_own(d, 0, d->signature->result_count, run_register_out);
}

// --- The call's parts

typedef struct call_parts {
  const tsr_ptx_operand *results, *target, *params, *list;
  const tsr_signature *signature;
} call_parts;

static bool take_parts(tsr_decoder *d, call_parts *parts) {
  memset(parts, 0, sizeof(*parts));
  uint32_t count = tsr_operand_count(d), at = 0;
  if (at < count && tsr_operand(d, at)->kind == TSR_PTX_TUPLE) {
    parts->results = tsr_operand(d, at++);
  }
  if (at < count && tsr_operand(d, at)->kind == TSR_PTX_NAME) {
    parts->target = tsr_operand(d, at++);
  }
  if (at < count && tsr_operand(d, at)->kind == TSR_PTX_TUPLE) {
    parts->params = tsr_operand(d, at++);
  }
  if (at < count && tsr_operand(d, at)->kind == TSR_PTX_NAME) {
    parts->list = tsr_operand(d, at++);
  }
  if (parts->target == NULL || at != count) {
    return tsr_decode_error(
        d, "call takes (results), function, (arguments), targets");
  }
  return true;
}

static uint32_t item_count(const tsr_ptx_operand *tuple) {
  return tuple == NULL ? 0 : tuple->item_count;
}

static tsr_ptx_type bits_type(uint32_t size) {
  switch (size) {
    case 1:
      return TSR_PTX_B8;
    case 2:
      return TSR_PTX_B16;
    case 4:
      return TSR_PTX_B32;
    case 8:
      return TSR_PTX_B64;
    case 16:
      return TSR_PTX_B128;
    default:
      return TSR_PTX_NO_TYPE;
  }
}

static const tsr_variable *param_variable(const tsr_decoder *d,
                                          const tsr_ptx_operand *operand) {
  if (operand->kind != TSR_PTX_NAME) return NULL;
  const tsr_symbol *symbol = tsr_lookup(d, operand->name);
  if (symbol == NULL || symbol->kind != TSR_SYMBOL_VARIABLE) return NULL;
  const tsr_variable *variable = tsr_lookup_variable(d, symbol);
  if (variable->ast->space != TSR_PTX_SPACE_PARAM) return NULL;
  return d->kernel != NULL && variable->is_argument ? NULL : variable;
}

static bool move_variable(tsr_decoder *d, const tsr_ptx_operand *operand,
                          const tsr_variable *variable, uint32_t offset,
                          uint32_t size, bool out) {
  if (variable->size != size) {
    return tsr_decode_error_at(d, operand,
                               "'%.*s' has %u bytes where %u are expected",
                               (int)operand->name.size, operand->name.data,
                               (uint32_t)variable->size, size);
  }
  tsr_op *op = emit_move(d, out ? run_frame_out : run_frame_in, offset, size,
                         AREA_CALLEE);
  if (op != NULL) op->aux[2] = (uint32_t)variable->address;
  return op != NULL;
}

static bool move_argument(tsr_decoder *d, const tsr_ptx_operand *operand,
                          uint32_t offset, uint32_t size) {
  const tsr_variable *variable = param_variable(d, operand);
  if (variable != NULL) {
    return move_variable(d, operand, variable, offset, size, true);
  }
  tsr_ref ref;
  tsr_ptx_type type = bits_type(size);
  // A float literal means the bytes of its own type.
  if (operand->kind == TSR_PTX_FLOAT64 && size == 4) type = TSR_PTX_F32;
  if (type == TSR_PTX_NO_TYPE) {
    return tsr_decode_error_at(d, operand, ".param variable expected");
  }
  if (!tsr_source(d, operand, type, &ref)) return false;
  tsr_op *op = emit_move(d, run_register_out, offset, size, AREA_CALLEE);
  if (op != NULL) op->src[0] = ref;
  return op != NULL;
}

static bool move_result(tsr_decoder *d, const tsr_ptx_operand *operand,
                        uint32_t offset, uint32_t size) {
  if (operand->kind == TSR_PTX_SINK) return true;
  const tsr_variable *variable = param_variable(d, operand);
  if (variable != NULL) {
    return move_variable(d, operand, variable, offset, size, false);
  }
  tsr_ref ref;
  tsr_ptx_type type = bits_type(size);
  if (type == TSR_PTX_NO_TYPE) {
    return tsr_decode_error_at(d, operand, ".param variable expected");
  }
  if (!tsr_destination(d, operand, type, false, &ref)) return false;
  tsr_op *op = emit_move(d, run_register_in, offset, size, AREA_CALLEE);
  if (op != NULL) op->dst[0] = ref;
  return op != NULL;
}

static bool move_arguments(tsr_decoder *d, const call_parts *parts) {
  const tsr_signature *signature = parts->signature;
  if (item_count(parts->results) != signature->result_count ||
      item_count(parts->params) != signature->param_count) {
    return tsr_decode_error(
        d,
        "call with %u results and %u arguments where the function has %u "
        "and %u",
        item_count(parts->results), item_count(parts->params),
        signature->result_count, signature->param_count);
  }
  uint32_t first = signature->result_count;
  for (uint32_t i = 0; i < signature->param_count; ++i) {
    if (!move_argument(d, &parts->params->items[i],
                       signature->offsets[first + i],
                       signature->sizes[first + i])) {
      return false;
    }
  }
  return true;
}

static bool move_results(tsr_decoder *d, const call_parts *parts) {
  for (uint32_t i = 0; i < parts->signature->result_count; ++i) {
    if (!move_result(d, &parts->results->items[i], parts->signature->offsets[i],
                     parts->signature->sizes[i])) {
      return false;
    }
  }
  return true;
}

// --- Direct calls

typedef struct call_data {
  const tsr_function *caller, *callee;
  const tsr_program *program;
  const tsr_signature *signature;
} call_data;

static tsr_flow enter(tsr_warp *warp, const tsr_op *op, uint32_t lanes,
                      const tsr_function *callee) {
  const call_data *data = op->data;
  if (!fits(warp, op, lanes,
            (uint64_t)data->caller->local_bytes + callee->local_bytes)) {
    return TSR_FLOW_FAULT;
  }
  return tsr_engine_call(warp, op, lanes, callee);
}

static tsr_flow run_call(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const call_data *data = op->data;
  return enter(warp, op, mask, data->callee);
}

static call_data *new_data(tsr_decoder *d) {
  call_data *data = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*data));
  if (data == NULL) {
    (void)tsr_decode_out_of_memory(d);
    return NULL;
  }
  data->caller = d->function;
  data->program = d->loader->program;
  return data;
}

static bool note_callee(tsr_decoder *d, uint32_t index) {
  tsr_body *body = d->body;
  if (!tsr_decode_grow(d, (void **)&body->callees, body->callee_count,
                       &body->callee_capacity, sizeof(*body->callees))) {
    return false;
  }
  body->callees[body->callee_count++] = index;
  return true;
}

static bool decode_system(tsr_decoder *d, call_parts *parts,
                          const tsr_callee *callee, tsr_handler handler) {
  parts->signature = &callee->signature;
  if (!move_arguments(d, parts)) return false;
  tsr_arena *arena = tsr_decode_arena(d);
  tsr_system_call *call = tsr_arena_alloc(arena, sizeof(*call));
  tsr_signature *signature = tsr_arena_alloc(arena, sizeof(*signature));
  if (call == NULL || signature == NULL) return tsr_decode_out_of_memory(d);
  *signature = callee->signature;
  call->caller = d->function;
  call->signature = signature;
  call->name =
      tsr_arena_strndup(arena, callee->ast->name.data, callee->ast->name.size);
  if (call->name == NULL) return tsr_decode_out_of_memory(d);
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL) return false;
  op->data = call;
  d->body->calls_system = true;
  return move_results(d, parts);
}

static bool decode_direct(tsr_decoder *d, call_parts *parts, uint32_t index) {
  const tsr_callee *callee = &d->loader->callees[index];
  const tsr_ptx_operand *target = parts->target;
  tsr_handler handler =
      callee->ast->has_body ? NULL : tsr_system_handler(target->name);
  if (handler != NULL) return decode_system(d, parts, callee, handler);
  if (callee->ast->is_entry || callee->function == NULL) {
    return tsr_decode_error_at(d, target,
                               callee->ast->is_entry
                                   ? "call of the kernel '%.*s'"
                                   : "undefined function '%.*s'",
                               (int)target->name.size, target->name.data);
  }
  parts->signature = &callee->signature;
  if (!note_callee(d, index) || !move_arguments(d, parts)) return false;
  call_data *data = new_data(d);
  tsr_op *op = tsr_emit(d, run_call, TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL || data == NULL) return false;
  data->callee = callee->function;
  op->data = data;
  return move_results(d, parts);
}

// --- Calls through a register

static bool same_signature(const tsr_signature *a, const tsr_signature *b) {
  if (a->result_count != b->result_count || a->param_count != b->param_count) {
    return false;
  }
  for (uint32_t i = 0; i < a->result_count + a->param_count; ++i) {
    if (a->sizes[i] != b->sizes[i] || a->offsets[i] != b->offsets[i]) {
      return false;
    }
  }
  return true;
}

static tsr_flow run_todo(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t lanes = TSR_ALL_LANES;
  if (op->src[0] != TSR_REF_NONE) {
    lanes = tsr_pred(warp, op->src[0]);
    if (op->aux[0] != 0) lanes = ~lanes;
  }
  tsr_set_pred(warp, op->dst[0], mask, lanes);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_call_one(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const call_data *data = op->data;
  const uint64_t *targets = tsr_src64(warp, op->src[0]);
  uint32_t lane = (uint32_t)__builtin_ctz(mask), lanes = 0;
  uint64_t target = targets[lane];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    lanes |= (uint32_t)(targets[i] == target) << i;
  }
  lanes &= mask;
  uint64_t index = target - TSR_FUNCTION_BASE;
  const tsr_function *callee = index < data->program->function_count
                                   ? data->program->functions[index]
                                   : NULL;
  if (callee == NULL || !same_signature(callee->signature, data->signature)) {
    tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, target,
             callee == NULL
                 ? "call of what is no function"
                 : "call with another prototype than the function's");
    return TSR_FLOW_FAULT;
  }
  tsr_set_pred(warp, op->dst[0], lanes, 0);
  return enter(warp, op, lanes, callee);
}

static tsr_flow run_again(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  return tsr_engine_branch(warp, mask, op->aux[0]);
}

static bool indirect_signature(tsr_decoder *d, call_parts *parts) {
  const tsr_symbol *symbol =
      parts->list == NULL ? NULL : tsr_lookup(d, parts->list->name);
  tsr_signature *made = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*made));
  if (made == NULL) return tsr_decode_out_of_memory(d);
  if (symbol != NULL && symbol->kind == TSR_SYMBOL_PROTOTYPE) {
    const tsr_ptx_prototype *prototype =
        d->ast->statements[symbol->index].as.prototype;
    parts->signature = made;
    return tsr_signature_make(d->loader, prototype->results,
                              prototype->result_count, prototype->params,
                              prototype->param_count, made);
  }
  if (symbol != NULL && symbol->kind == TSR_SYMBOL_TARGETS) {
    const tsr_ptx_statement *list = &d->ast->statements[symbol->index];
    for (uint32_t i = 0; i < list->as.targets.count; ++i) {
      const tsr_symbol *one = tsr_lookup(d, list->as.targets.names[i]);
      if (one == NULL || one->kind != TSR_SYMBOL_FUNCTION) break;
      const tsr_callee *callee = &d->loader->callees[one->index];
      if (callee->ast->is_entry) break;
      *made = callee->signature;
      parts->signature = made;
      return true;
    }
  }
  return tsr_decode_error(d,
                          "a call through a register needs a prototype or "
                          "a list of targets");
}

// todo = guard; again: call some of todo; @todo bra again.
static bool emit_indirect(tsr_decoder *d, const call_parts *parts,
                          tsr_ref target) {
  tsr_ref todo = tsr_temporary(d, TSR_PTX_PRED);
  tsr_op *op = tsr_emit_front(d, run_todo, 1, 1);
  call_data *data = new_data(d);
  if (op == NULL || data == NULL || todo == TSR_REF_NONE) return false;
  op->src[0] = d->guard;
  op->dst[0] = todo;
  op->aux[0] = d->instruction->guard_negated;
  data->signature = parts->signature;
  uint32_t again = d->op_count;
  op = tsr_emit(d, run_call_one, TESSERA_EMU_CLASS_CONTROL, 1, 1);
  if (op == NULL) return false;
  op->data = data;
  op->src[0] = target;
  op->dst[0] = op->guard = todo;
  op->guard_negated = 0;
  op = tsr_emit(d, run_again, TESSERA_EMU_CLASS_CONTROL, 0, 0);
  if (op == NULL) return false;
  op->guard = todo;
  op->guard_negated = 0;
  return tsr_emit_jump(d, op, again);
}

static bool decode_indirect(tsr_decoder *d, call_parts *parts) {
  tsr_ref target;
  if (!tsr_source(d, parts->target, TSR_PTX_B64, &target) ||
      !indirect_signature(d, parts)) {
    return false;
  }
  d->body->calls_indirectly = true;
  return move_arguments(d, parts) && emit_indirect(d, parts, target) &&
         move_results(d, parts);
}

static bool decode_call(tsr_decoder *d) {
  call_parts parts;
  (void)tsr_mod(d, "uni");
  if (!take_parts(d, &parts)) return false;
  const tsr_symbol *symbol = tsr_lookup(d, parts.target->name);
  if (symbol != NULL && symbol->kind == TSR_SYMBOL_FUNCTION) {
    return decode_direct(d, &parts, symbol->index);
  }
  if (tsr_register_type(d, parts.target) == TSR_PTX_NO_TYPE) {
    return tsr_decode_error_at(d, parts.target, "undefined function '%.*s'",
                               (int)parts.target->name.size,
                               parts.target->name.data);
  }
  return decode_indirect(d, &parts);
}

const tsr_opcode tsr_opcodes_call[] = {{"call", decode_call}, {0}};
