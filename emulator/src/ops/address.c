// SPDX-License-Identifier: Apache-2.0
// cvta, isspacep, mapa, getctarank (PTX ISA 9.0, 9.7.9.20 to 9.7.9.25).
// Windows of generic addresses: exec/machine.h. A cluster here is one block.
#include "check/report.h"
#include "memory/access.h"
#include "memory/heap.h"
#include "ops/memory_modifiers.h"

static const char *const address_spaces[] = {
    "global",          "shared",       "shared::cta",
    "shared::cluster", "local",        "const",
    "param",           "param::entry", NULL};

// --- cvta -------------------------------------------------------------------

// imm: what is added.
static tsr_flow run_add_window(tsr_warp *warp, const tsr_op *op,
                               uint32_t mask) {
  uint64_t lanes[TSR_LANES];
  const uint64_t *from = tsr_src64(warp, op->src[0]);
  for (uint32_t i = 0; i < TSR_LANES; ++i) lanes[i] = from[i] + op->imm;
  tsr_put64(warp, op->dst[0], mask, lanes);
  return TSR_FLOW_NEXT;
}

// "cvta.to.space p, a" and "cvta.space p, a".
static bool decode_cvta(tsr_decoder *d) {
  bool to = tsr_mod(d, "to");
  tsr_ptx_space space = tsr_take_space(d, address_spaces);
  tsr_ptx_type type;
  if (space == TSR_PTX_SPACE_NONE) {
    return tsr_decode_error(d, "a state space expected");
  }
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_U64) {
    return tsr_decode_error(d, "addresses are '.u64'");
  }
  tsr_ref from;
  tsr_ref dst;
  if (!tsr_need_operands(d, 2, 2) ||
      !tsr_source(d, tsr_operand(d, 1), type, &from) ||
      !tsr_destination(d, tsr_operand(d, 0), type, false, &dst)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_add_window, TESSERA_EMU_CLASS_INTEGER, 1, 1);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->src[0] = from;
  op->imm = to ? 0 - tsr_window(space) : tsr_window(space);
  return true;
}

// --- isspacep ---------------------------------------------------------------

static bool lies_in(const tsr_warp *warp, tsr_ptx_space space,
                    uint64_t address) {
  uint64_t offset = 0;
  tsr_ptx_space found = tsr_generic_space(address, &offset);
  if (found == TSR_PTX_SPACE_GLOBAL) {
    tsr_allocation in;
    if (tsr_heap_find(warp->block->launch->heap, address, &in) &&
        in.use == TSR_HEAP_CONSTANT) {
      found = TSR_PTX_SPACE_CONST;
    }
  }
  return found == space;
}

// aux[0]: the space; aux[1]: addresses are 64-bit.
static tsr_flow run_isspacep(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t result = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    uint64_t address = op->aux[1] != 0 ? tsr_src64(warp, op->src[0])[i]
                                       : tsr_src32(warp, op->src[0])[i];
    if (lies_in(warp, (tsr_ptx_space)op->aux[0], address)) result |= 1u << i;
  }
  tsr_set_pred(warp, op->dst[0], mask, result);
  return TSR_FLOW_NEXT;
}

// The type of a register that holds an address; 64 bits for all else.
static tsr_ptx_type address_type(const tsr_decoder *d,
                                 const tsr_ptx_operand *operand) {
  return tsr_ptx_type_bits(tsr_register_type(d, operand)) == 32 ? TSR_PTX_B32
                                                                : TSR_PTX_B64;
}

static bool decode_isspacep(tsr_decoder *d) {
  tsr_ptx_space space = tsr_take_space(d, address_spaces);
  if (space == TSR_PTX_SPACE_NONE) {
    return tsr_decode_error(d, "a state space expected");
  }
  tsr_ref from;
  tsr_ref dst;
  if (!tsr_need_operands(d, 2, 2)) return false;
  tsr_ptx_type type = address_type(d, tsr_operand(d, 1));
  if (!tsr_source(d, tsr_operand(d, 1), type, &from) ||
      !tsr_destination(d, tsr_operand(d, 0), TSR_PTX_PRED, false, &dst)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_isspacep, TESSERA_EMU_CLASS_INTEGER, 1, 1);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->src[0] = from;
  op->aux[0] = (uint32_t)space;
  op->aux[1] = type == TSR_PTX_B64;
  return true;
}

// --- Clusters ---------------------------------------------------------------

// aux[0]: 64-bit; aux[1]: addresses are of shared memory, not generic.
static uint64_t shared_address(const tsr_warp *warp, const tsr_op *op,
                               uint32_t lane) {
  return op->aux[0] != 0 ? tsr_src64(warp, op->src[0])[lane]
                         : tsr_src32(warp, op->src[0])[lane];
}

// Generic addresses must be of shared memory (9.7.9.24).
static bool check_shared(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                         const char *what) {
  uint64_t address = shared_address(warp, op, lane);
  uint64_t offset = 0;
  if (op->aux[1] != 0 ||
      tsr_generic_space(address, &offset) == TSR_PTX_SPACE_SHARED) {
    return true;
  }
  tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, address,
           "%s of an address that is not in shared memory", what);
  return false;
}

static tsr_flow run_mapa(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t lanes[TSR_LANES];
  uint32_t narrow[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    lanes[i] = shared_address(warp, op, i);
    narrow[i] = (uint32_t)lanes[i];
    if ((mask >> i & 1u) == 0) continue;
    uint32_t rank = tsr_src32(warp, op->src[1])[i];
    if (!check_shared(warp, op, i, "mapa")) return TSR_FLOW_FAULT;
    if (rank != 0) {
      tsr_find(warp, op, i, TESSERA_EMU_ILLEGAL, true, lanes[i],
               "mapa names block %u of a cluster of one", rank);
      return TSR_FLOW_FAULT;
    }
  }
  if (op->aux[0] != 0) {
    tsr_put64(warp, op->dst[0], mask, lanes);
  } else {
    tsr_put32(warp, op->dst[0], mask, narrow);
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_getctarank(tsr_warp *warp, const tsr_op *op,
                               uint32_t mask) {
  static const uint32_t zero[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    if (!check_shared(warp, op, i, "getctarank")) return TSR_FLOW_FAULT;
  }
  tsr_put32(warp, op->dst[0], mask, zero);
  return TSR_FLOW_NEXT;
}

static bool decode_cluster(tsr_decoder *d, tsr_handler handler, bool mapa) {
  bool shared = tsr_mod(d, "shared::cluster");
  tsr_ptx_type type;
  tsr_ref refs[3] = {TSR_REF_NONE, TSR_REF_NONE, TSR_REF_NONE};
  uint32_t count = mapa ? 3 : 2;
  if (!tsr_mod_need_type(d, &type) || !tsr_decode_require(d, 78, 90, 0)) {
    return false;
  }
  if (type != TSR_PTX_U32 && type != TSR_PTX_U64) {
    return tsr_decode_error(d, "addresses are '.u32' or '.u64'");
  }
  if (!tsr_need_operands(d, count, count) ||
      !tsr_source(d, tsr_operand(d, 1), type, &refs[1]) ||
      (mapa && !tsr_source(d, tsr_operand(d, 2), TSR_PTX_U32, &refs[2])) ||
      !tsr_destination(d, tsr_operand(d, 0), mapa ? type : TSR_PTX_U32, false,
                       &refs[0])) {
    return false;
  }
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_INTEGER, 1, count - 1);
  if (op == NULL) return false;
  op->dst[0] = refs[0];
  memcpy(op->src, refs + 1, (count - 1) * sizeof(*refs));
  op->aux[0] = type == TSR_PTX_U64;
  op->aux[1] = shared;
  return true;
}

static bool decode_mapa(tsr_decoder *d) {
  return decode_cluster(d, run_mapa, true);
}

static bool decode_getctarank(tsr_decoder *d) {
  return decode_cluster(d, run_getctarank, false);
}

const tsr_opcode tsr_opcodes_address[] = {{"cvta", decode_cvta},
                                          {"isspacep", decode_isspacep},
                                          {"mapa", decode_mapa},
                                          {"getctarank", decode_getctarank},
                                          {0}};
