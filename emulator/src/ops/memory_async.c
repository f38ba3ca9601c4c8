// SPDX-License-Identifier: Apache-2.0
// st.async and red.async (PTX ISA 9.0, 9.7.9.13, 9.7.13.7): they reach shared
// memory of the cluster, here of the own block, at a time of their choosing,
// and complete their bytes on an mbarrier there. async/ does that. Listed
// before the families of st and red, which do not know .async.
#include "async/mbarrier.h"
#include "ops/memory_modifiers.h"

enum { MOST_ELEMENTS = 4 };

typedef struct send_data {
  const tsr_address *target, *mbarrier;
  tsr_async_reduction reduction;
  tsr_ptx_type type;
  uint32_t size, count;  // bytes of an element, elements
} send_data;

// src[0], src[1]: bases of the addresses; then the elements.
static tsr_flow run_send(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const send_data *data = op->data;
  uint64_t target[TSR_LANES];
  uint64_t mbarrier[TSR_LANES];
  tsr_address_lanes(warp, data->target, target);
  tsr_address_lanes(warp, data->mbarrier, mbarrier);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    unsigned char value[16];
    for (uint32_t k = 0; k < data->count; ++k) {
      const unsigned char *lanes = tsr_unit(warp->base, op->src[2 + k]);
      memcpy(value + (size_t)k * data->size, lanes + (size_t)i * data->size,
             data->size);
    }
    uint32_t bytes = data->size * data->count;
    if (!tsr_async_send(warp, op, i, target[i], value, bytes, bytes,
                        data->reduction, data->type, mbarrier[i])) {
      return TSR_FLOW_FAULT;
    }
  }
  return TSR_FLOW_NEXT;
}

static bool has_async(const tsr_decoder *d) {
  const tsr_ptx_instruction *instruction = tsr_decode_instruction(d);
  for (uint32_t i = 0; i < instruction->modifier_count; ++i) {
    if (tsr_ptx_str_equal(instruction->modifiers[i].name, "async")) return true;
  }
  return false;
}

static bool take_places(tsr_decoder *d) {
  (void)tsr_mod(d, "shared::cluster");
  if (!tsr_mod(d, "mbarrier::complete_tx::bytes")) {
    return tsr_decode_error(d, "'.mbarrier::complete_tx::bytes' expected");
  }
  return tsr_decode_require(d, 81, 90, 0);
}

static bool emit_send(tsr_decoder *d, tsr_async_reduction reduction,
                      tsr_ptx_type type, uint32_t count) {
  tsr_address target;
  tsr_address mbarrier;
  tsr_ref refs[MOST_ELEMENTS];
  if (!tsr_need_operands(d, 3, 3) ||
      !tsr_address_operand(d, tsr_operand(d, 0), TSR_PTX_SPACE_SHARED,
                           &target) ||
      !tsr_address_operand(d, tsr_operand(d, 2), TSR_PTX_SPACE_SHARED,
                           &mbarrier)) {
    return false;
  }
  const tsr_ptx_operand *value = tsr_operand(d, 1);
  if (count > 1 &&
      (value->kind != TSR_PTX_VECTOR || value->item_count != count)) {
    return tsr_decode_error_at(d, value, "a vector of %u elements expected",
                               count);
  }
  for (uint32_t k = 0; k < count; ++k) {
    if (!tsr_source(d, count == 1 ? value : &value->items[k], type, &refs[k])) {
      return false;
    }
  }
  send_data *data = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*data));
  tsr_op *op = tsr_emit(d, run_send, TESSERA_EMU_CLASS_ASYNC, 0, 2 + count);
  if (data == NULL || op == NULL) return false;
  op->data = data;
  data->target = tsr_emit_address(d, op, 0, &target);
  data->mbarrier = tsr_emit_address(d, op, 1, &mbarrier);
  data->reduction = reduction;
  data->type = type;
  data->size = tsr_ptx_type_bits(type) / 8;
  data->count = count;
  memcpy(op->src + 2, refs, count * sizeof(*refs));
  return data->target != NULL && data->mbarrier != NULL;
}

static bool decode_st_async(tsr_decoder *d) {
  if (!has_async(d)) return tsr_decode_pass(d);
  (void)tsr_mod(d, "async");
  (void)tsr_mod(d, "weak");
  if (!take_places(d)) return false;
  uint32_t count = tsr_mod_vector(d);
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  uint32_t bits = tsr_ptx_type_bits(type);
  if ((bits != 32 && bits != 64) || count > 4 || bits * count > 128 ||
      tsr_ptx_type_class(type) == TSR_PTX_KIND_PRED) {
    return tsr_decode_error(d, "no 'st.async' of %u '.%s'", count,
                            tsr_ptx_type_name(type));
  }
  return emit_send(d, TSR_ASYNC_STORE, type, count);
}

static bool red_type_fits(tsr_async_reduction reduction, tsr_ptx_type type) {
  switch (reduction) {
    case TSR_ASYNC_INC:
    case TSR_ASYNC_DEC:
      return type == TSR_PTX_U32;
    case TSR_ASYNC_MIN:
    case TSR_ASYNC_MAX:
      return type == TSR_PTX_U32 || type == TSR_PTX_S32;
    case TSR_ASYNC_ADD:
      return type == TSR_PTX_U32 || type == TSR_PTX_S32 || type == TSR_PTX_U64;
    default:
      return type == TSR_PTX_B32;
  }
}

static bool decode_red_async(tsr_decoder *d) {
  static const char *const names[] = {"add", "min", "max", "inc", "dec",
                                      "and", "or",  "xor", NULL};
  if (!has_async(d)) return tsr_decode_pass(d);
  (void)tsr_mod(d, "async");
  if (!tsr_mod(d, "relaxed") || !tsr_mod(d, "cluster")) {
    return tsr_decode_error(d, "'red.async' needs '.relaxed.cluster'");
  }
  if (!take_places(d)) return false;
  int verb = tsr_mod_need(d, names, "an operation");
  tsr_ptx_type type;
  if (verb < 0 || !tsr_mod_need_type(d, &type)) return false;
  tsr_async_reduction reduction =
      (tsr_async_reduction)((int)TSR_ASYNC_ADD + verb);
  if (!red_type_fits(reduction, type)) {
    return tsr_decode_error(d, "no 'red.async.%s' of '.%s'", names[verb],
                            tsr_ptx_type_name(type));
  }
  return emit_send(d, reduction, type, 1);
}

const tsr_opcode tsr_opcodes_memory_async[] = {
    {"st", decode_st_async}, {"red", decode_red_async}, {0}};
