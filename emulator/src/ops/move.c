// SPDX-License-Identifier: Apache-2.0
// mov (PTX ISA 9.7.9.3, 9.7.9.4): values, special registers, addresses, and
// between a register and the parts of it, "{a, b}".
#include "ops/integer.h"

// --- Whole values -----------------------------------------------------------

static tsr_flow mov_pred(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_set_pred(warp, op->dst[0], mask, tsr_pred(warp, op->src[0]));
  return TSR_FLOW_NEXT;
}

static tsr_flow mov_32(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  if (op->dst[0] == op->src[0]) return TSR_FLOW_NEXT;
  tsr_put32(warp, op->dst[0], mask, tsr_src32(warp, op->src[0]));
  return TSR_FLOW_NEXT;
}

static tsr_flow mov_64(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  if (op->dst[0] == op->src[0]) return TSR_FLOW_NEXT;
  tsr_put64(warp, op->dst[0], mask, tsr_src64(warp, op->src[0]));
  return TSR_FLOW_NEXT;
}

// Two uint64_t per lane.
static tsr_flow mov_128(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint64_t *from = tsr_src64(warp, op->src[0]);
  uint64_t *to = tsr_dst64(warp, op->dst[0]);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    to[2 * i] = from[2 * i];
    to[2 * i + 1] = from[2 * i + 1];
  }
  return TSR_FLOW_NEXT;
}

static bool decode_whole(tsr_decoder *d, tsr_ptx_type type) {
  tsr_handler handler = mov_32;
  switch (tsr_ptx_type_bits(type)) {
    case 1:
      handler = mov_pred;
      break;
    case 64:
      handler = mov_64;
      break;
    case 128:
      handler = mov_128;
      break;
    default:
      break;
  }
  return tsr_integer_emit_same(d, handler, type, 1);
}

// --- Parts ------------------------------------------------------------------

enum { MAX_PARTS = 4 };

// Common cases: two halves.
TSR_BINARY(TSR_CLONES, pack_2x16, 32, 32, uint32_t, a | b << 16)
TSR_BINARY(TSR_CLONES, pack_2x32, 32, 64, uint32_t, a | (uint64_t)b << 32)

static tsr_flow unpack_2x16(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint32_t *from = tsr_src32(warp, op->src[0]);
  uint32_t low[TSR_LANES], high[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    low[i] = from[i] & 0xffff;
    high[i] = from[i] >> 16;
  }
  tsr_put32(warp, op->dst[0], mask, low);
  tsr_put32(warp, op->dst[1], mask, high);
  return TSR_FLOW_NEXT;
}

static tsr_flow unpack_2x32(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint64_t *from = tsr_src64(warp, op->src[0]);
  uint32_t low[TSR_LANES], high[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    low[i] = (uint32_t)from[i];
    high[i] = (uint32_t)(from[i] >> 32);
  }
  tsr_put32(warp, op->dst[0], mask, low);
  tsr_put32(warp, op->dst[1], mask, high);
  return TSR_FLOW_NEXT;
}

// A lane's value of |bits|, as two words.
static void get_lane(const tsr_warp *warp, tsr_ref ref, uint32_t bits,
                     uint32_t lane, uint64_t out[2]) {
  out[1] = 0;
  if (bits <= 32) {
    out[0] = tsr_src32(warp, ref)[lane];
  } else if (bits == 64) {
    out[0] = tsr_src64(warp, ref)[lane];
  } else {
    out[0] = tsr_src64(warp, ref)[2 * lane];
    out[1] = tsr_src64(warp, ref)[2 * lane + 1];
  }
}

static void put_lane(const tsr_warp *warp, tsr_ref ref, uint32_t bits,
                     uint32_t lane, const uint64_t value[2]) {
  if (ref == TSR_REF_NONE) return;
  if (bits <= 32) {
    tsr_dst32(warp, ref)[lane] = (uint32_t)value[0];
  } else if (bits == 64) {
    tsr_dst64(warp, ref)[lane] = value[0];
  } else {
    tsr_dst64(warp, ref)[2 * lane] = value[0];
    tsr_dst64(warp, ref)[2 * lane + 1] = value[1];
  }
}

// The general case: aux[0] bits of the whole, aux[1] of a part. A part never
// lies across the middle of 128 bits.
static tsr_flow run_pack(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t whole[TSR_LANES][2];
  memset(whole, 0, sizeof(whole));
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    for (uint32_t k = 0; k < op->src_count; ++k) {
      uint64_t part[2];
      get_lane(warp, op->src[k], op->aux[1], i, part);
      uint32_t at = k * op->aux[1];
      whole[i][at / 64] |= part[0] << at % 64;
    }
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    put_lane(warp, op->dst[0], op->aux[0], i, whole[i]);
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_unpack(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t whole[TSR_LANES][2];
  uint64_t ones =
      op->aux[1] == 64 ? UINT64_MAX : (UINT64_C(1) << op->aux[1]) - 1;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    get_lane(warp, op->src[0], op->aux[0], i, whole[i]);
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    for (uint32_t k = 0; k < op->dst_count; ++k) {
      uint32_t at = k * op->aux[1];
      uint64_t part[2] = {whole[i][at / 64] >> at % 64 & ones, 0};
      put_lane(warp, op->dst[k], op->aux[1], i, part);
    }
  }
  return TSR_FLOW_NEXT;
}

// The type of one of |count| parts of |type|; NO_TYPE: cannot be cut so.
static tsr_ptx_type part_type(tsr_ptx_type type, uint32_t count) {
  if (count != 2 && count != 4) return TSR_PTX_NO_TYPE;
  if (tsr_ptx_type_class(type) != TSR_PTX_KIND_BITS) return TSR_PTX_NO_TYPE;
  switch (tsr_ptx_type_bits(type) / count) {
    case 8:
      return TSR_PTX_B8;
    case 16:
      return TSR_PTX_B16;
    case 32:
      return TSR_PTX_B32;
    case 64:
      return TSR_PTX_B64;
    default:
      return TSR_PTX_NO_TYPE;
  }
}

static bool decode_pack(tsr_decoder *d, tsr_ptx_type type) {
  const tsr_ptx_operand *vector = tsr_operand(d, 1);
  tsr_ptx_type part = part_type(type, vector->item_count);
  tsr_ref to, from[MAX_PARTS];
  if (part == TSR_PTX_NO_TYPE) {
    return tsr_decode_error_at(d, vector, "no %u parts form a '.%s'",
                               vector->item_count, tsr_ptx_type_name(type));
  }
  for (uint32_t i = 0; i < vector->item_count; ++i) {
    if (!tsr_source(d, &vector->items[i], part, &from[i])) return false;
  }
  if (!tsr_destination(d, tsr_operand(d, 0), type, false, &to)) return false;
  tsr_handler handler = run_pack;
  if (vector->item_count == 2 && type == TSR_PTX_B32) handler = pack_2x16;
  if (vector->item_count == 2 && type == TSR_PTX_B64) handler = pack_2x32;
  tsr_op *op =
      tsr_emit(d, handler, TESSERA_EMU_CLASS_INTEGER, 1, vector->item_count);
  if (op == NULL) return false;
  op->dst[0] = to;
  for (uint32_t i = 0; i < vector->item_count; ++i) op->src[i] = from[i];
  op->aux[0] = tsr_ptx_type_bits(type);
  op->aux[1] = tsr_ptx_type_bits(part);
  return true;
}

static bool decode_unpack(tsr_decoder *d, tsr_ptx_type type) {
  const tsr_ptx_operand *vector = tsr_operand(d, 0);
  tsr_ptx_type part = part_type(type, vector->item_count);
  tsr_ref to[MAX_PARTS], from;
  if (part == TSR_PTX_NO_TYPE) {
    return tsr_decode_error_at(d, vector, "a '.%s' has no %u parts",
                               tsr_ptx_type_name(type), vector->item_count);
  }
  if (!tsr_source(d, tsr_operand(d, 1), type, &from)) return false;
  for (uint32_t i = 0; i < vector->item_count; ++i) {
    if (!tsr_destination(d, &vector->items[i], part, true, &to[i])) {
      return false;
    }
  }
  tsr_handler handler = run_unpack;
  if (vector->item_count == 2 && type == TSR_PTX_B32) handler = unpack_2x16;
  if (vector->item_count == 2 && type == TSR_PTX_B64) handler = unpack_2x32;
  tsr_op *op =
      tsr_emit(d, handler, TESSERA_EMU_CLASS_INTEGER, vector->item_count, 1);
  if (op == NULL) return false;
  op->src[0] = from;
  for (uint32_t i = 0; i < vector->item_count; ++i) op->dst[i] = to[i];
  op->aux[0] = tsr_ptx_type_bits(type);
  op->aux[1] = tsr_ptx_type_bits(part);
  return true;
}

// --- Vectors ----------------------------------------------------------------

// aux[0]: bits of an element. All are read before one is written: "{a, b},
// {b, a}" exchanges.
static tsr_flow run_vector(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t values[MAX_PARTS][TSR_LANES][2];
  for (uint32_t k = 0; k < op->src_count; ++k) {
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      get_lane(warp, op->src[k], op->aux[0], i, values[k][i]);
    }
  }
  for (uint32_t k = 0; k < op->dst_count; ++k) {
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((mask >> i & 1u) == 0) continue;
      put_lane(warp, op->dst[k], op->aux[0], i, values[k][i]);
    }
  }
  return TSR_FLOW_NEXT;
}

// "mov.v2.u32 {a, b}, {c, d}": element by element.
static bool decode_vector(tsr_decoder *d, tsr_ptx_type type, uint32_t count) {
  tsr_ref to[MAX_PARTS], from[MAX_PARTS];
  uint32_t bits = tsr_ptx_type_bits(type);
  if (count > MAX_PARTS || bits == 1 || count * bits > 128) {
    return tsr_decode_error(d, "no vector of %u '.%s'", count,
                            tsr_ptx_type_name(type));
  }
  for (uint32_t i = 0; i < 2; ++i) {
    const tsr_ptx_operand *operand = tsr_operand(d, i);
    if (operand->kind != TSR_PTX_VECTOR || operand->item_count != count) {
      return tsr_decode_error_at(d, operand, "a vector of %u elements expected",
                                 count);
    }
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (!tsr_destination(d, &tsr_operand(d, 0)->items[i], type, true, &to[i]) ||
        !tsr_source(d, &tsr_operand(d, 1)->items[i], type, &from[i])) {
      return false;
    }
  }
  tsr_op *op = tsr_emit(d, run_vector, TESSERA_EMU_CLASS_INTEGER, count, count);
  if (op == NULL) return false;
  memcpy(op->dst, to, count * sizeof(*to));
  memcpy(op->src, from, count * sizeof(*from));
  op->aux[0] = bits;
  return true;
}

// --- mov --------------------------------------------------------------------

static bool decode_mov(tsr_decoder *d) {
  tsr_ptx_type type;
  uint32_t count = tsr_mod_vector(d);
  if (!tsr_mod_need_type(d, &type)) return false;
  switch (type) {
    case TSR_PTX_PRED:
    case TSR_PTX_B16:
    case TSR_PTX_B32:
    case TSR_PTX_B64:
    case TSR_PTX_B128:
    case TSR_PTX_U16:
    case TSR_PTX_U32:
    case TSR_PTX_U64:
    case TSR_PTX_S16:
    case TSR_PTX_S32:
    case TSR_PTX_S64:
    case TSR_PTX_F32:
    case TSR_PTX_F64:
      break;
    default:
      return tsr_integer_bad_type(d, type);
  }
  if (!tsr_need_operands(d, 2, 2)) return false;
  if (count > 1) return decode_vector(d, type, count);
  bool from_parts = tsr_operand(d, 1)->kind == TSR_PTX_VECTOR;
  if (tsr_operand(d, 0)->kind == TSR_PTX_VECTOR) {
    return from_parts ? tsr_decode_error(d, "parts on both sides of 'mov'")
                      : decode_unpack(d, type);
  }
  return from_parts ? decode_pack(d, type) : decode_whole(d, type);
}

const tsr_opcode tsr_opcodes_move[] = {{"mov", decode_mov}, {0}};
