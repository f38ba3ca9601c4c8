// SPDX-License-Identifier: Apache-2.0
// Instructions by which lanes of a warp talk to each other: shfl.sync,
// vote.sync, match.sync, redux.sync, activemask, elect.sync (PTX ISA 9.7.9.6,
// 9.7.13.7 to 9.7.13.11, 9.7.13.16). The engine brings together the lanes that
// the membermask names; |mask| is then all of them that have not ended.
#include "decode/decode.h"
#include "exec/machine.h"

static bool in(uint32_t mask, uint32_t lane) {
  return (mask >> lane & 1u) != 0;
}

// --- shfl -------------------------------------------------------------------

enum { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };

// The lane that |lane| reads (PTX ISA 9.7.9.6, "Description"); false when it
// is outside of the segment.
static bool shfl_source(uint32_t mode, int32_t lane, int32_t b, int32_t c,
                        int32_t *out_lane) {
  int32_t clamp = c & 31;
  int32_t segment = c >> 8 & 31;
  int32_t most = (lane & segment) | (clamp & ~segment);
  int32_t least = lane & segment;
  int32_t from = 0;
  b &= 31;
  switch (mode) {
    case SHFL_UP:
      *out_lane = lane - b;
      return *out_lane >= most;
    case SHFL_DOWN:
      from = lane + b;
      break;
    case SHFL_BFLY:
      from = lane ^ b;
      break;
    default:
      from = least | (b & ~segment);
      break;
  }
  *out_lane = from;
  return from <= most;
}

static tsr_flow run_shfl(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  const uint32_t *b = tsr_src32(warp, op->src[1]);
  const uint32_t *c = tsr_src32(warp, op->src[2]);
  uint32_t out[TSR_LANES];
  uint32_t valid = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    int32_t from = 0;
    bool inside = shfl_source(op->aux[0], (int32_t)i, (int32_t)(b[i] & 0x1f1f),
                              (int32_t)(c[i] & 0x1f1f), &from);
    if (!inside) from = (int32_t)i;
    valid |= (uint32_t)inside << i;
    out[i] = a[from & 31];
    // What a lane that does not take part holds is not defined.
    if (in(mask, i) && !in(mask, (uint32_t)from & 31u)) {
      out[i] = (uint32_t)tsr_random(warp->block);
    }
  }
  tsr_put32(warp, op->dst[0], mask, out);
  tsr_set_pred(warp, op->dst[1], mask, valid);
  return TSR_FLOW_NEXT;
}

// --- vote, activemask, elect ------------------------------------------------

enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };

static tsr_flow run_vote(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t votes = tsr_pred(warp, op->src[0]) & mask;
  bool value = false;
  switch (op->aux[0]) {
    case VOTE_ALL:
      value = votes == mask;
      break;
    case VOTE_ANY:
      value = votes != 0;
      break;
    default:
      value = votes == 0 || votes == mask;
      break;
  }
  tsr_set_pred(warp, op->dst[0], mask, value ? TSR_ALL_LANES : 0);
  return TSR_FLOW_NEXT;
}

static tsr_flow put_all(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                        uint32_t value) {
  uint32_t out[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = value;
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_ballot(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  return put_all(warp, op, mask, tsr_pred(warp, op->src[0]) & mask);
}

static tsr_flow run_activemask(tsr_warp *warp, const tsr_op *op,
                               uint32_t mask) {
  return put_all(warp, op, mask, mask);
}

// The leader is the same for the same membermask every time (PTX ISA
// 9.7.13.16): the lowest lane.
static tsr_flow run_elect(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t leader = (uint32_t)__builtin_ctz(mask);
  tsr_set_pred(warp, op->dst[1], mask, 1u << leader);
  return put_all(warp, op, mask, leader);
}

// --- match ------------------------------------------------------------------

static uint64_t lane_value(const tsr_warp *warp, const tsr_op *op,
                           uint32_t lane) {
  return op->aux[1] != 0 ? tsr_src64(warp, op->src[0])[lane]
                         : tsr_src32(warp, op->src[0])[lane];
}

// The lanes of |mask| whose value is that of |lane|.
static uint32_t equals(const tsr_warp *warp, const tsr_op *op, uint32_t mask,
                       uint32_t lane) {
  uint64_t value = lane_value(warp, op, lane);
  uint32_t same = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    same |= (uint32_t)(lane_value(warp, op, i) == value) << i;
  }
  return same & mask;
}

static tsr_flow run_match_any(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t out[TSR_LANES] = {0};
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if (in(mask, i)) out[i] = equals(warp, op, mask, i);
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_match_all(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  bool all = equals(warp, op, mask, (uint32_t)__builtin_ctz(mask)) == mask;
  tsr_set_pred(warp, op->dst[1], mask, all ? TSR_ALL_LANES : 0);
  return put_all(warp, op, mask, all ? mask : 0);
}

// --- redux ------------------------------------------------------------------

enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };

static uint32_t redux_step(uint32_t operation, bool is_signed, uint32_t a,
                           uint32_t b) {
  // Signed order is unsigned order with the sign bit flipped.
  uint32_t flip = is_signed ? 0x80000000u : 0;
  bool less = (a ^ flip) < (b ^ flip);
  switch (operation) {
    case REDUX_ADD:
      return a + b;
    case REDUX_MIN:
      return less ? a : b;
    case REDUX_MAX:
      return less ? b : a;
    case REDUX_AND:
      return a & b;
    case REDUX_OR:
      return a | b;
    default:
      return a ^ b;
  }
}

static tsr_flow run_redux(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  uint32_t first = (uint32_t)__builtin_ctz(mask);
  uint32_t value = a[first];
  for (uint32_t i = first + 1; i < TSR_LANES; ++i) {
    if (in(mask, i)) {
      value = redux_step(op->aux[0], op->aux[1] != 0, value, a[i]);
    }
  }
  return put_all(warp, op, mask, value);
}

// f32: +0 > -0; NaN only when all are (or, .NaN, when one is), canonical (PTX
// ISA 9.7.13.10).
enum { F32_ABS = 1, F32_NAN = 2, F32_MAX = 4 };

static bool is_nan32(uint32_t bits) {
  return (bits & 0x7fffffffu) > 0x7f800000u;
}

// Orders the bits of floats as integers.
static uint32_t order32(uint32_t bits) {
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

static tsr_flow run_redux_float(tsr_warp *warp, const tsr_op *op,
                                uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  uint32_t how = op->aux[0];
  uint32_t value = 0x7fffffffu;  // canonical NaN
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if (!in(mask, i)) continue;
    uint32_t bits = (how & F32_ABS) != 0 ? a[i] & 0x7fffffffu : a[i];
    if (is_nan32(bits)) {
      if ((how & F32_NAN) == 0) continue;
      value = 0x7fffffffu;
      break;
    }
    bool less = order32(bits) < order32(value);
    bool takes = (how & F32_MAX) != 0 ? !less : less;
    if (is_nan32(value) || takes) value = bits;
  }
  return put_all(warp, op, mask, value);
}

// --- Decoding ---------------------------------------------------------------

static bool need_sync(tsr_decoder *d) {
  if (tsr_mod(d, "sync")) return true;
  return tsr_decode_error(d,
                          "the form without .sync is not supported from "
                          "sm_70 on");
}

// The membermask is the operation's last source.
static tsr_op *emit(tsr_decoder *d, tsr_handler run, uint32_t dst_count,
                    uint32_t src_count) {
  tsr_op *op =
      tsr_emit(d, run, TESSERA_EMU_CLASS_COLLECTIVE, dst_count, src_count);
  if (op == NULL) return NULL;
  op->flags |= TSR_OP_MEMBERMASK;
  op->membermask = (uint8_t)(src_count - 1);
  return op;
}

// "d" or "d|p".
static bool read_pair(tsr_decoder *d, tsr_ptx_type type, bool sink,
                      tsr_ref *out_value, tsr_ref *out_pred) {
  const tsr_ptx_operand *operand = tsr_operand(d, 0);
  *out_pred = TSR_REF_NONE;
  if (operand->kind != TSR_PTX_PAIR) {
    return tsr_destination(d, operand, type, false, out_value);
  }
  if (operand->item_count != 2) {
    return tsr_decode_error_at(d, operand, "d|p expected");
  }
  return tsr_destination(d, &operand->items[0], type, sink, out_value) &&
         tsr_destination(d, &operand->items[1], TSR_PTX_PRED, true, out_pred);
}

static bool need_type(tsr_decoder *d, tsr_ptx_type needed) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type == needed) return true;
  return tsr_decode_error(d, ".%s expected", tsr_ptx_type_name(needed));
}

static bool decode_shfl(tsr_decoder *d) {
  static const char *const modes[] = {"up", "down", "bfly", "idx", NULL};
  tsr_ref dst, pred, src[4];
  if (!need_sync(d)) return false;
  int mode = tsr_mod_need(d, modes, ".up, .down, .bfly or .idx");
  if (mode < 0 || !need_type(d, TSR_PTX_B32) || !tsr_need_operands(d, 5, 5) ||
      !read_pair(d, TSR_PTX_B32, false, &dst, &pred)) {
    return false;
  }
  for (uint32_t i = 0; i < 4; ++i) {
    if (!tsr_source(d, tsr_operand(d, i + 1), TSR_PTX_B32, &src[i])) {
      return false;
    }
  }
  tsr_op *op = emit(d, run_shfl, 2, 4);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->dst[1] = pred;
  for (uint32_t i = 0; i < 4; ++i) op->src[i] = src[i];
  op->aux[0] = (uint32_t)mode;
  return true;
}

static bool decode_vote(tsr_decoder *d) {
  static const char *const modes[] = {"all", "any", "uni", "ballot", NULL};
  tsr_ref dst, vote, members;
  if (!need_sync(d)) return false;
  int mode = tsr_mod_need(d, modes, ".all, .any, .uni or .ballot");
  if (mode < 0) return false;
  tsr_ptx_type type = mode == VOTE_BALLOT ? TSR_PTX_B32 : TSR_PTX_PRED;
  if (!need_type(d, type) || !tsr_need_operands(d, 3, 3) ||
      !tsr_destination(d, tsr_operand(d, 0), type, false, &dst) ||
      !tsr_source(d, tsr_operand(d, 1), TSR_PTX_PRED, &vote) ||
      !tsr_source(d, tsr_operand(d, 2), TSR_PTX_B32, &members)) {
    return false;
  }
  tsr_op *op = emit(d, mode == VOTE_BALLOT ? run_ballot : run_vote, 1, 2);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->src[0] = vote;
  op->src[1] = members;
  op->aux[0] = (uint32_t)mode;
  return true;
}

static bool decode_match(tsr_decoder *d) {
  static const char *const modes[] = {"any", "all", NULL};
  tsr_ptx_type type;
  tsr_ref dst, value, members;
  tsr_ref pred = TSR_REF_NONE;
  int mode = tsr_mod_need(d, modes, ".any or .all");
  if (mode < 0 || !need_sync(d) || !tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32 && type != TSR_PTX_B64) {
    return tsr_decode_error(d, ".b32 or .b64 expected");
  }
  if (!tsr_need_operands(d, 3, 3)) return false;
  bool read = mode == 1 ? read_pair(d, TSR_PTX_B32, true, &dst, &pred)
                        : tsr_destination(d, tsr_operand(d, 0), TSR_PTX_B32,
                                          false, &dst);
  if (!read || !tsr_source(d, tsr_operand(d, 1), type, &value) ||
      !tsr_source(d, tsr_operand(d, 2), TSR_PTX_B32, &members)) {
    return false;
  }
  tsr_op *op = emit(d, mode == 1 ? run_match_all : run_match_any, 2, 2);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->dst[1] = pred;
  op->src[0] = value;
  op->src[1] = members;
  op->aux[1] = type == TSR_PTX_B64;
  return true;
}

// redux.sync.op{.abs}{.NaN}.f32: min and max, sm_100 and their like.
static bool check_float_redux(tsr_decoder *d, int operation, uint32_t *out) {
  if (operation != REDUX_MIN && operation != REDUX_MAX) {
    return tsr_decode_error(d, ".f32 has .min and .max only");
  }
  if (!tsr_decode_require(d, 86, 100, 'a')) return false;
  *out = operation == REDUX_MAX ? F32_MAX : 0;
  if (tsr_mod(d, "abs")) *out |= F32_ABS;
  if (tsr_mod(d, "NaN")) *out |= F32_NAN;
  return true;
}

static bool check_redux(tsr_decoder *d, int operation, tsr_ptx_type type) {
  bool bits = operation >= REDUX_AND;
  bool fits =
      bits ? type == TSR_PTX_B32 : type == TSR_PTX_U32 || type == TSR_PTX_S32;
  if (fits) return true;
  return tsr_decode_error(
      d, bits ? ".b32 expected" : ".u32, .s32 or .f32 expected");
}

static bool decode_redux(tsr_decoder *d) {
  static const char *const operations[] = {"add", "min", "max", "and",
                                           "or",  "xor", NULL};
  tsr_ptx_type type;
  tsr_ref dst, value, members;
  uint32_t how = 0;
  if (!tsr_decode_require(d, 70, 80, 0) || !need_sync(d)) return false;
  int operation = tsr_mod_need(d, operations, "an operation");
  if (operation < 0 || !tsr_mod_need_type(d, &type)) return false;
  bool is_float = type == TSR_PTX_F32;
  if (is_float ? !check_float_redux(d, operation, &how)
               : !check_redux(d, operation, type)) {
    return false;
  }
  if (!tsr_need_operands(d, 3, 3) ||
      !tsr_destination(d, tsr_operand(d, 0), type, false, &dst) ||
      !tsr_source(d, tsr_operand(d, 1), type, &value) ||
      !tsr_source(d, tsr_operand(d, 2), TSR_PTX_B32, &members)) {
    return false;
  }
  tsr_op *op = emit(d, is_float ? run_redux_float : run_redux, 1, 2);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->src[0] = value;
  op->src[1] = members;
  op->aux[0] = is_float ? how : (uint32_t)operation;
  op->aux[1] = type == TSR_PTX_S32;
  return true;
}

static bool decode_activemask(tsr_decoder *d) {
  tsr_ref dst;
  if (!need_type(d, TSR_PTX_B32) || !tsr_need_operands(d, 1, 1) ||
      !tsr_destination(d, tsr_operand(d, 0), TSR_PTX_B32, false, &dst)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_activemask, TESSERA_EMU_CLASS_COLLECTIVE, 1, 0);
  if (op == NULL) return false;
  op->dst[0] = dst;
  return true;
}

static bool decode_elect(tsr_decoder *d) {
  tsr_ref dst, pred, members;
  if (!tsr_decode_require(d, 80, 90, 0) || !need_sync(d) ||
      !tsr_need_operands(d, 2, 2)) {
    return false;
  }
  if (tsr_operand(d, 0)->kind != TSR_PTX_PAIR) {
    return tsr_decode_error_at(d, tsr_operand(d, 0), "d|p expected");
  }
  if (!read_pair(d, TSR_PTX_B32, true, &dst, &pred) ||
      !tsr_source(d, tsr_operand(d, 1), TSR_PTX_B32, &members)) {
    return false;
  }
  tsr_op *op = emit(d, run_elect, 2, 1);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->dst[1] = pred;
  op->src[0] = members;
  return true;
}

extern const tsr_opcode tsr_opcodes_collective[];
const tsr_opcode tsr_opcodes_collective[] = {{"shfl", decode_shfl},
                                             {"vote", decode_vote},
                                             {"match", decode_match},
                                             {"redux", decode_redux},
                                             {"elect", decode_elect},
                                             {"activemask", decode_activemask},
                                             {0}};
