// SPDX-License-Identifier: Apache-2.0
// mbarrier.* (PTX ISA 9.7.13.15): from text to operations, and their handlers.
#include "async/mbarrier_ops.h"

enum {  // op->aux[0]
  SHARED_SPACE = 1 << 0,
  RELAXED = 1 << 1,
  PARITY = 1 << 2,
  DROP = 1 << 3,
  NO_COMPLETE = 1 << 4,
  EXPECT = 1 << 5,
  BLOCKING = 1 << 6,  // try_wait
};

// --- Handlers

static tsr_mbarrier *object_of(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                               const uint64_t address[TSR_LANES]) {
  const tsr_address *where = op->data;
  uint32_t offset;
  if (!tsr_shared_range(warp, op, lane, where->space, address[lane], 8, 8,
                        &offset)) {
    return NULL;
  }
  return tsr_mbarrier_at(warp, op, lane, offset);
}

// Lanes of a warp mostly name the same object: it is enough to tell the race
// detector of the first and the last of them.
static void tell_race(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                      uint32_t mask, const tsr_mbarrier *m,
                      const tsr_mbarrier *last) {
  if (m != last || mask >> lane == 1) {
    tsr_shared_mbarrier_access(warp, op, lane, m->offset);
  }
}

static tsr_flow run_init(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const tsr_address *where = op->data;
  uint64_t address[TSR_LANES];
  tsr_address_lanes(warp, op->data, address);
  const uint32_t *count = tsr_src32(warp, op->src[1]);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t offset;
    if ((mask >> i & 1u) == 0) continue;
    if (!tsr_shared_range(warp, op, i, where->space, address[i], 8, 8,
                          &offset)) {
      return TSR_FLOW_FAULT;
    }
    tsr_race_range(warp->block->race, warp, op, i, offset, 8, TSR_ACCESS_STORE,
                   TSR_PROXY_GENERIC);
    if (!tsr_mbarrier_init(warp, op, i, offset, count[i])) {
      return TSR_FLOW_FAULT;
    }
    tsr_shared_mark_written(warp->block, offset, 8);
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_inval(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t address[TSR_LANES];
  tsr_address_lanes(warp, op->data, address);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    tsr_mbarrier *m = object_of(warp, op, i, address);
    if (m == NULL) return TSR_FLOW_FAULT;
    // Whoever comes too late is told; those who came before need no order.
    tell_race(warp, op, i, mask, m, NULL);
    if (!tsr_mbarrier_invalidate(warp, op, i, m)) return TSR_FLOW_FAULT;
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_arrive(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t address[TSR_LANES], states[TSR_LANES] = {0};
  tsr_address_lanes(warp, op->data, address);
  const uint32_t *operand = tsr_src32(warp, op->src[1]);
  uint32_t flags = op->aux[0];
  tsr_mbarrier_arrival arrival = {.count = 1,
                                  .drop = (flags & DROP) != 0,
                                  .no_complete = (flags & NO_COMPLETE) != 0,
                                  .release = (flags & RELAXED) == 0};
  const tsr_mbarrier *last = NULL;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    if ((flags & EXPECT) != 0) {
      arrival.expect = operand[i];
    } else {
      arrival.count = operand[i];
    }
    tsr_mbarrier *m = object_of(warp, op, i, address);
    if (m == NULL) return TSR_FLOW_FAULT;
    tell_race(warp, op, i, mask, m, last);
    last = m;
    if (!tsr_mbarrier_arrive(warp, op, i, m, &arrival, &states[i])) {
      return TSR_FLOW_FAULT;
    }
  }
  tsr_put64(warp, op->dst[0], mask, states);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_transactions(tsr_warp *warp, const tsr_op *op,
                                 uint32_t mask) {
  uint64_t address[TSR_LANES];
  tsr_address_lanes(warp, op->data, address);
  const uint32_t *bytes = tsr_src32(warp, op->src[1]);
  bool expect = (op->aux[0] & EXPECT) != 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    tsr_mbarrier *m = object_of(warp, op, i, address);
    if (m == NULL) return TSR_FLOW_FAULT;
    tell_race(warp, op, i, mask, m, NULL);
    if (!(expect ? tsr_mbarrier_expect(warp, op, i, m, bytes[i])
                 : tsr_mbarrier_complete_bytes(warp, op, i, m, bytes[i]))) {
      return TSR_FLOW_FAULT;
    }
  }
  return TSR_FLOW_NEXT;
}

// A warp's lanes mostly ask for the same phase of the same object: one poll.
static tsr_flow run_wait(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t address[TSR_LANES];
  tsr_address_lanes(warp, op->data, address);
  bool parity = (op->aux[0] & PARITY) != 0, complete = false;
  tsr_mbarrier *last = NULL;
  uint64_t last_token = 0;
  uint32_t completed = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    uint64_t token = parity ? tsr_src32(warp, op->src[1])[i]
                            : tsr_src64(warp, op->src[1])[i];
    tsr_mbarrier *m = object_of(warp, op, i, address);
    if (m == NULL) return TSR_FLOW_FAULT;
    if (m != last || token != last_token) {
      if (!tsr_mbarrier_test(warp, op, i, m, parity, token, &complete)) {
        return TSR_FLOW_FAULT;
      }
      if (complete) {  // before it orders anything
        tell_race(warp, op, i, mask, m, NULL);
        tsr_mbarrier_observe(warp, m, (op->aux[0] & RELAXED) == 0);
      }
      last = m;
      last_token = token;
    }
    if (complete) completed |= 1u << i;
  }
  tsr_set_pred(warp, op->dst[0], mask, completed);
  if (completed == mask) return TSR_FLOW_NEXT;
  warp->profile->mbarrier_waits += 1;
  return TSR_FLOW_YIELD;
}

static tsr_flow run_pending_count(tsr_warp *warp, const tsr_op *op,
                                  uint32_t mask) {
  const uint64_t *states = tsr_src64(warp, op->src[0]);
  uint32_t counts[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    counts[i] = tsr_mbarrier_pending_count(states[i]);
  }
  tsr_put32(warp, op->dst[0], mask, counts);
  return TSR_FLOW_NEXT;
}

// --- Decoding

static const char *const spaces[] = {"shared::cta", "shared::cluster", "shared",
                                     NULL};
static const char *const scopes[] = {"cta", "cluster", NULL};

static bool finish_modifiers(tsr_decoder *d) {
  if (tsr_mod(d, "b64")) return true;
  return tsr_decode_error(d, "mbarrier: .b64 expected");
}

// Takes the space; |cluster|: whether shared::cluster is allowed.
static bool take_space(tsr_decoder *d, bool cluster, int *out_space) {
  *out_space = tsr_mod_one_of(d, spaces);
  if (*out_space == 0 && !tsr_decode_require(d, 78, 80, 0)) return false;
  if (*out_space != 1) return true;
  if (!cluster) {
    return tsr_decode_error(d, "mbarrier: .shared::cluster is not allowed");
  }
  return tsr_decode_require(d, 78, 90, 0);
}

// Emits an operation with the object's address as source 0.
static tsr_op *emit_on(tsr_decoder *d, tsr_handler handler,
                       const tsr_ptx_operand *operand, int space,
                       uint32_t flags, uint32_t dst_count, uint32_t src_count) {
  tsr_address address;
  if (!tsr_address_operand(
          d, operand, space >= 0 ? TSR_PTX_SPACE_SHARED : TSR_PTX_SPACE_NONE,
          &address)) {
    return NULL;
  }
  if (address.space != TSR_PTX_SPACE_SHARED &&
      address.space != TSR_PTX_SPACE_NONE) {
    (void)tsr_decode_error_at(d, operand, "an mbarrier is in shared memory");
    return NULL;
  }
  tsr_op *op =
      tsr_emit(d, handler, TESSERA_EMU_CLASS_ASYNC, dst_count, src_count);
  if (op == NULL) return NULL;
  op->aux[0] = flags;
  return tsr_emit_address(d, op, 0, &address) == NULL ? NULL : op;
}

static bool decode_init(tsr_decoder *d) {
  int space;
  tsr_ref count;
  if (!take_space(d, false, &space) || !finish_modifiers(d) ||
      !tsr_need_operands(d, 2, 2) ||
      !tsr_source(d, tsr_operand(d, 1), TSR_PTX_U32, &count)) {
    return false;
  }
  tsr_op *op = emit_on(d, run_init, tsr_operand(d, 0), space, 0, 0, 2);
  if (op == NULL) return false;
  op->src[1] = count;
  return true;
}

static bool decode_inval(tsr_decoder *d) {
  int space;
  if (!take_space(d, false, &space) || !finish_modifiers(d) ||
      !tsr_need_operands(d, 1, 1)) {
    return false;
  }
  return emit_on(d, run_inval, tsr_operand(d, 0), space, 0, 0, 1) != NULL;
}

// .sem and .scope of an instruction whose default is |strong|.
static bool take_order(tsr_decoder *d, const char *strong, uint32_t *flags) {
  bool relaxed = tsr_mod(d, "relaxed");
  bool named = tsr_mod(d, strong);
  if (relaxed && named) {
    return tsr_decode_error(d, "mbarrier: .%s and .relaxed", strong);
  }
  int scope = tsr_mod_one_of(d, scopes);
  if ((relaxed || named) && scope < 0) {
    return tsr_decode_error(d, "mbarrier: scope (.cta, .cluster) expected");
  }
  if (relaxed) *flags |= RELAXED;
  if (!relaxed && scope != 1) return true;
  return tsr_decode_require(d, 80, 90, 0);
}

// mbarrier.arrive and .arrive_drop, with .expect_tx or .noComplete.
static bool decode_arrive(tsr_decoder *d, uint32_t flags) {
  int space;
  if (tsr_mod(d, "noComplete")) flags |= NO_COMPLETE;
  if (tsr_mod(d, "expect_tx")) flags |= EXPECT;
  if ((flags & EXPECT) != 0 && (flags & NO_COMPLETE) != 0) {
    return tsr_decode_error(d, "mbarrier: .expect_tx and .noComplete");
  }
  bool operand_needed = (flags & (EXPECT | NO_COMPLETE)) != 0;
  if (!take_order(d, "release", &flags) ||
      !take_space(d, (flags & NO_COMPLETE) == 0, &space) ||
      !finish_modifiers(d) ||
      !tsr_need_operands(d, operand_needed ? 3 : 2, 3)) {
    return false;
  }
  if ((flags & EXPECT) != 0 && !tsr_decode_require(d, 80, 90, 0)) return false;
  bool counted = tsr_operand_count(d) == 3;
  if (counted && (flags & NO_COMPLETE) == 0 &&
      !tsr_decode_require(d, 78, 90, 0)) {
    return false;
  }
  tsr_ref state, operand = tsr_constant(d, TSR_PTX_U32, 1);
  if (space == 1 && tsr_operand(d, 0)->kind != TSR_PTX_SINK) {
    return tsr_decode_error_at(d, tsr_operand(d, 0),
                               "with .shared::cluster there is no state: '_'");
  }
  if (!tsr_destination(d, tsr_operand(d, 0), TSR_PTX_B64, true, &state) ||
      (counted && !tsr_source(d, tsr_operand(d, 2), TSR_PTX_U32, &operand))) {
    return false;
  }
  tsr_op *op = emit_on(d, run_arrive, tsr_operand(d, 1), space, flags, 1, 2);
  if (op == NULL) return false;
  op->dst[0] = state;
  op->src[1] = operand;
  return true;
}

static bool decode_transactions(tsr_decoder *d, uint32_t flags) {
  int space;
  tsr_ref bytes;
  (void)tsr_mod(d, "relaxed");  // the only one there is
  (void)tsr_mod_one_of(d, scopes);
  if (!take_space(d, true, &space) || !finish_modifiers(d) ||
      !tsr_decode_require(d, 80, 90, 0) || !tsr_need_operands(d, 2, 2) ||
      !tsr_source(d, tsr_operand(d, 1), TSR_PTX_U32, &bytes)) {
    return false;
  }
  tsr_op *op =
      emit_on(d, run_transactions, tsr_operand(d, 0), space, flags, 0, 2);
  if (op == NULL) return false;
  op->src[1] = bytes;
  return true;
}

// mbarrier.test_wait and .try_wait; the time limit of the latter is a hint that
// is not needed here: the thread is not suspended, others run first.
static bool decode_wait(tsr_decoder *d, uint32_t flags) {
  int space;
  if (tsr_mod(d, "parity")) flags |= PARITY;
  bool blocking = (flags & BLOCKING) != 0, parity = (flags & PARITY) != 0;
  if (!take_order(d, "acquire", &flags) || !take_space(d, false, &space) ||
      !finish_modifiers(d) || !tsr_need_operands(d, 3, blocking ? 4 : 3)) {
    return false;
  }
  if (blocking && !tsr_decode_require(d, 78, 90, 0)) return false;
  if (parity && !tsr_decode_require(d, 71, 80, 0)) return false;
  tsr_ref complete, token, hint;
  if (!tsr_destination(d, tsr_operand(d, 0), TSR_PTX_PRED, false, &complete) ||
      !tsr_source(d, tsr_operand(d, 2), parity ? TSR_PTX_U32 : TSR_PTX_B64,
                  &token) ||
      (tsr_operand_count(d) == 4 &&
       !tsr_source(d, tsr_operand(d, 3), TSR_PTX_U32, &hint))) {
    return false;
  }
  tsr_op *op = emit_on(d, run_wait, tsr_operand(d, 1), space, flags, 1, 2);
  if (op == NULL) return false;
  op->dst[0] = complete;
  op->src[1] = token;
  return true;
}

static bool decode_pending_count(tsr_decoder *d) {
  tsr_ref count, state;
  if (!finish_modifiers(d) || !tsr_need_operands(d, 2, 2) ||
      !tsr_destination(d, tsr_operand(d, 0), TSR_PTX_U32, false, &count) ||
      !tsr_source(d, tsr_operand(d, 1), TSR_PTX_B64, &state)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_pending_count, TESSERA_EMU_CLASS_ASYNC, 1, 1);
  if (op == NULL) return false;
  op->dst[0] = count;
  op->src[0] = state;
  return true;
}

static bool decode_mbarrier(tsr_decoder *d) {
  if (!tsr_decode_require(d, 70, 80, 0)) return false;
  if (tsr_mod(d, "init")) return decode_init(d);
  if (tsr_mod(d, "inval")) return decode_inval(d);
  if (tsr_mod(d, "arrive")) return decode_arrive(d, 0);
  if (tsr_mod(d, "arrive_drop")) return decode_arrive(d, DROP);
  if (tsr_mod(d, "test_wait")) return decode_wait(d, 0);
  if (tsr_mod(d, "try_wait")) return decode_wait(d, BLOCKING);
  if (tsr_mod(d, "expect_tx")) return decode_transactions(d, EXPECT);
  if (tsr_mod(d, "complete_tx")) return decode_transactions(d, 0);
  if (tsr_mod(d, "pending_count")) return decode_pending_count(d);
  return tsr_decode_error(d, "mbarrier: an operation expected");
}

const tsr_opcode tsr_opcodes_mbarrier[] = {{"mbarrier", decode_mbarrier}, {0}};
