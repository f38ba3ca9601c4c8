// SPDX-License-Identifier: Apache-2.0
// bar, barrier, barrier.cluster and bar.warp.sync (PTX ISA 9.7.13.1 to
// 9.7.13.4): what the text may say, and operands; exec/barriers.c does them.
#include "check/report.h"
#include "decode/decode.h"
#include "exec/barriers.h"

enum { SRC_ID, SRC_COUNT, SRC_VOTE, SRC_TOTAL };

// A value that must be the same in all lanes of |mask|.
static bool uniform(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                    uint32_t index, const char *what, uint32_t *out_value) {
  const uint32_t *lanes = tsr_src32(warp, op->src[index]);
  uint32_t value = lanes[__builtin_ctz(mask)];
  *out_value = value;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0 || lanes[i] == value) continue;
    tsr_find(warp, op, i, TESSERA_EMU_DIVERGENCE, true, TSR_NO_ADDRESS,
             "the %s differs within the warp: %u and %u", what, value,
             lanes[i]);
    return false;
  }
  return true;
}

static tsr_flow run_barrier(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t id = 0;
  uint32_t threads = 0;
  uint32_t votes = 0;
  if (!uniform(warp, op, mask, SRC_ID, "barrier", &id)) return TSR_FLOW_FAULT;
  if (op->src[SRC_COUNT] != TSR_REF_NONE) {
    if (!uniform(warp, op, mask, SRC_COUNT, "thread count", &threads)) {
      return TSR_FLOW_FAULT;
    }
    if (threads == 0) {
      tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_BARRIER, true, TSR_NO_ADDRESS,
               "barrier %u: a thread count of 0", id);
      return TSR_FLOW_FAULT;
    }
  }
  if (op->src[SRC_VOTE] != TSR_REF_NONE) {
    votes = tsr_pred(warp, op->src[SRC_VOTE]);
  }
  return tsr_barrier_arrive(warp, op, mask, id, threads, votes);
}

static tsr_flow run_cluster_arrive(tsr_warp *warp, const tsr_op *op,
                                   uint32_t mask) {
  return tsr_barrier_cluster_arrive(warp, op, mask);
}
static tsr_flow run_cluster_wait(tsr_warp *warp, const tsr_op *op,
                                 uint32_t mask) {
  return tsr_barrier_cluster_wait(warp, op, mask);
}
static tsr_flow run_warp_sync(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  return tsr_barrier_warp(warp, op, mask, tsr_src32(warp, op->src[0]));
}

// --- Decoding ---------------------------------------------------------------

static bool decode_warp_sync(tsr_decoder *d) {
  tsr_ref members;
  if (!tsr_mod(d, "sync")) return tsr_decode_error(d, ".sync expected");
  if (!tsr_need_operands(d, 1, 1) ||
      !tsr_source(d, tsr_operand(d, 0), TSR_PTX_B32, &members)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_warp_sync, TESSERA_EMU_CLASS_BARRIER, 0, 1);
  if (op == NULL) return false;
  op->src[0] = members;
  return true;
}

// barrier.cluster.arrive{.release, .relaxed}{.aligned},
// barrier.cluster.wait{.acquire}{.aligned}.
static bool decode_cluster(tsr_decoder *d) {
  static const char *const actions[] = {"arrive", "wait", NULL};
  static const char *const of_arrive[] = {"release", "relaxed", NULL};
  if (!tsr_decode_require(d, 78, 90, 0)) return false;
  int wait = tsr_mod_need(d, actions, ".arrive or .wait");
  if (wait < 0) return false;
  if (wait == 0) {
    (void)tsr_mod_one_of(d, of_arrive);
  } else {
    (void)tsr_mod(d, "acquire");
  }
  bool aligned = tsr_mod(d, "aligned");
  if (!tsr_need_operands(d, 0, 0)) return false;
  tsr_op *op = tsr_emit(d, wait ? run_cluster_wait : run_cluster_arrive,
                        TESSERA_EMU_CLASS_BARRIER, 0, 0);
  if (op == NULL) return false;
  if (aligned) op->flags |= TSR_OP_CONVERGED;
  return true;
}

// The number of a barrier or of threads, checked where the text has it.
static bool check_numbers(tsr_decoder *d, const tsr_ptx_operand *operand,
                          bool is_count) {
  if (operand->kind != TSR_PTX_INTEGER) return true;
  if (is_count && (operand->integer % TSR_LANES != 0 || operand->integer == 0 ||
                   operand->integer > 1024)) {
    return tsr_decode_error_at(d, operand,
                               "the thread count must be a multiple of the "
                               "warp size, from 32 to 1024");
  }
  if (!is_count && operand->integer > 15) {
    return tsr_decode_error_at(d, operand, "a barrier is one of 0 to 15");
  }
  return true;
}

typedef struct barrier_form {
  int action;  // sync, arrive, red
  tsr_barrier_kind kind;
  uint32_t first;  // operand that names the barrier
  bool count;      // a thread count follows
} barrier_form;

static bool read_reduction(tsr_decoder *d, barrier_form *form) {
  static const char *const operations[] = {"popc", "and", "or", NULL};
  int operation = tsr_mod_need(d, operations, ".popc, .and or .or");
  if (operation < 0) return false;
  form->kind = (tsr_barrier_kind)(TSR_BARRIER_POPC + operation);
  form->first = 1;
  return true;
}

static bool read_form(tsr_decoder *d, barrier_form *form) {
  static const char *const actions[] = {"sync", "arrive", "red", NULL};
  form->action = tsr_mod_need(d, actions, ".sync, .arrive or .red");
  if (form->action < 0) return false;
  form->kind = form->action == 1 ? TSR_BARRIER_ARRIVE : TSR_BARRIER_SYNC;
  if (form->action == 2 && !read_reduction(d, form)) return false;
  uint32_t least = form->action == 0 ? 1 : form->action == 1 ? 2 : 3;
  uint32_t most = form->action == 2 ? 4 : 2;
  if (!tsr_need_operands(d, least, most)) return false;
  form->count = form->action == 1 || tsr_operand_count(d) == most;
  return true;
}

static bool read_result(tsr_decoder *d, const barrier_form *form,
                        tsr_ref *out_dst, tsr_ref *out_vote) {
  *out_dst = *out_vote = TSR_REF_NONE;
  if (form->action != 2) return true;
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  tsr_ptx_type needed =
      form->kind == TSR_BARRIER_POPC ? TSR_PTX_U32 : TSR_PTX_PRED;
  if (type != needed) {
    return tsr_decode_error(d, ".%s expected", tsr_ptx_type_name(needed));
  }
  return tsr_destination(d, tsr_operand(d, 0), type, false, out_dst) &&
         tsr_source(d, tsr_operand(d, tsr_operand_count(d) - 1), TSR_PTX_PRED,
                    out_vote);
}

static bool decode_barrier(tsr_decoder *d, bool aligned) {
  barrier_form form = {0};
  tsr_ref id, dst, vote;
  tsr_ref count = TSR_REF_NONE;
  if (!read_form(d, &form)) return false;
  const tsr_ptx_operand *id_operand = tsr_operand(d, form.first);
  if (!check_numbers(d, id_operand, false) ||
      !tsr_source(d, id_operand, TSR_PTX_U32, &id)) {
    return false;
  }
  if (form.count) {
    const tsr_ptx_operand *operand = tsr_operand(d, form.first + 1);
    if (!check_numbers(d, operand, true) ||
        !tsr_source(d, operand, TSR_PTX_U32, &count)) {
      return false;
    }
  }
  if (!read_result(d, &form, &dst, &vote)) return false;
  tsr_op *op = tsr_emit(d, run_barrier, TESSERA_EMU_CLASS_BARRIER,
                        form.action == 2 ? 1 : 0, SRC_TOTAL);
  if (op == NULL) return false;
  if (form.action == 2) op->dst[0] = dst;
  op->src[SRC_ID] = id;
  op->src[SRC_COUNT] = count;
  op->src[SRC_VOTE] = vote;
  op->aux[0] = (uint32_t)form.kind;
  if (aligned) op->flags |= TSR_OP_CONVERGED;
  return true;
}

// bar{.cta}.X is barrier{.cta}.X.aligned.
static bool decode_bar(tsr_decoder *d) {
  if (tsr_mod(d, "warp")) return decode_warp_sync(d);
  (void)tsr_mod(d, "cta");
  return decode_barrier(d, true);
}

static bool decode_barrier_any(tsr_decoder *d) {
  if (tsr_mod(d, "cluster")) return decode_cluster(d);
  (void)tsr_mod(d, "cta");
  return decode_barrier(d, tsr_mod(d, "aligned"));
}

extern const tsr_opcode tsr_opcodes_barrier[];
const tsr_opcode tsr_opcodes_barrier[] = {
    {"bar", decode_bar}, {"barrier", decode_barrier_any}, {0}};
