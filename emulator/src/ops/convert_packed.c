// SPDX-License-Identifier: Apache-2.0
// cvt of packed and of tensor-core types (f16x2, bf16x2, e4m3x2, e5m2x2, tf32;
// PTX ISA 9.7.9.21) and cvt.pack (9.7.9.22).
#include "ops/convert.h"

// --- Handlers ---------------------------------------------------------------

#define FLAGS (op->aux[0])
// The first operand goes to the upper half.
TSR_HANDLER_32(f32_to_f16x2, 2,
               tsr_half_finish(tsr_f32_to_f16(b[i]), false, FLAGS) |
                   tsr_half_finish(tsr_f32_to_f16(a[i]), false, FLAGS) << 16)
TSR_HANDLER_32(f32_to_bf16x2, 2,
               tsr_half_finish(tsr_f32_to_bf16(b[i]), true, FLAGS) |
                   tsr_half_finish(tsr_f32_to_bf16(a[i]), true, FLAGS) << 16)

// Of the elements.
static tsr_ptx_type element_of(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_F16X2:
      return TSR_PTX_F16;
    case TSR_PTX_BF16X2:
      return TSR_PTX_BF16;
    case TSR_PTX_E4M3X2:
      return TSR_PTX_E4M3;
    case TSR_PTX_E5M2X2:
      return TSR_PTX_E5M2;
    default:
      return type;
  }
}
static bool is_pair(tsr_ptx_type type) {
  return element_of(type) != type;
}

// Two elements: from two registers, or from the halves of one.
static tsr_flow convert_pair(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_ptx_type from = (tsr_ptx_type)op->aux[2], to = (tsr_ptx_type)op->aux[3];
  tsr_convert convert = {.to = element_of(to),
                         .from = element_of(from),
                         .round = (tsr_round)op->aux[1],
                         .flags = op->aux[0]};
  uint32_t from_bits = tsr_ptx_type_bits(convert.from);
  uint32_t to_bits = tsr_ptx_type_bits(convert.to);
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  const uint32_t *b = is_pair(from) ? a : tsr_src32(warp, op->src[1]);
  uint32_t out[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t high = a[i], low = b[i];
    if (is_pair(from)) {
      high >>= from_bits;
      low &= (1u << from_bits) - 1;
    }
    out[i] = (uint32_t)tsr_convert_value(low, &convert) |
             (uint32_t)tsr_convert_value(high, &convert) << to_bits;
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}
// f32 with its last 13 bits rounded away; carries into the exponent are right,
// up to infinity.
TSR_LANE uint32_t tf32_lane(uint32_t bits, tsr_round round, uint32_t flags) {
  uint32_t sign = bits & TSR_SIGN32, size = bits & ~TSR_SIGN32;
  uint32_t even = 0xfffu + (size >> 13 & 1);
  uint32_t up = round == TSR_ROUND_AWAY ? 0x1000u : even;
  uint32_t kept = (size + (round == TSR_ROUND_ZERO ? 0 : up)) & ~0x1fffu;
  bool most = (kept >= 0x7f800000u) & ((flags & TSR_FLOAT_SATFINITE) != 0);
  bool clear = (sign != 0) & ((flags & TSR_FLOAT_RELU) != 0);
  uint32_t result = clear ? 0 : sign | (most ? 0x7f7fe000u : kept);
  return size > 0x7f800000u ? TSR_NAN_F32 : result;
}
TSR_HANDLER_32(convert_tf32, 1,
               tf32_lane(a[i], (tsr_round)op->aux[1], op->aux[0]))

// --- Decoding ---------------------------------------------------------------

bool tsr_convert_is_packed(const tsr_convert *convert) {
  return is_pair(convert->to) || is_pair(convert->from) ||
         convert->to == TSR_PTX_TF32 || convert->from == TSR_PTX_TF32;
}

static bool is_byte_pair(tsr_ptx_type type) {
  return type == TSR_PTX_E4M3X2 || type == TSR_PTX_E5M2X2;
}
static bool no_conversion(tsr_decoder *d, const tsr_convert *convert) {
  return tsr_decode_error(d, "no conversion from .%s to .%s",
                          tsr_ptx_type_name(convert->from),
                          tsr_ptx_type_name(convert->to));
}
static bool require_bytes(tsr_decoder *d) {
  if (tsr_decode_target(d) >= 90) return tsr_decode_require(d, 78, 90, 0);
  return tsr_decode_require(d, 81, 89, 0);
}

static bool decode_tf32(tsr_decoder *d, const tsr_convert *convert) {
  bool away = convert->round == TSR_ROUND_AWAY;
  bool relu = (convert->flags & TSR_FLOAT_RELU) != 0;
  bool satfinite = (convert->flags & TSR_FLOAT_SATFINITE) != 0;
  if (convert->from != TSR_PTX_F32) return no_conversion(d, convert);
  if (!convert->rounded || convert->integral ||
      (!away && convert->round != TSR_ROUND_EVEN &&
       convert->round != TSR_ROUND_ZERO)) {
    return tsr_decode_error(d, "one of .rna, .rn, .rz expected");
  }
  if (away && relu) return tsr_decode_error(d, ".rna excludes .relu");
  if (away ? !tsr_decode_require(d, satfinite ? 81 : 70, 80, 0)
           : !tsr_decode_require(d, satfinite ? 86 : 78, satfinite ? 100 : 90,
                                 0)) {
    return false;
  }
  return tsr_convert_emit(d, convert_tf32, convert, 1, false);
}

static bool decode_half_pair(tsr_decoder *d, const tsr_convert *convert) {
  if (!convert->rounded || convert->integral ||
      (convert->round != TSR_ROUND_EVEN && convert->round != TSR_ROUND_ZERO)) {
    return tsr_decode_error(d, ".rn or .rz expected");
  }
  bool satfinite = (convert->flags & TSR_FLOAT_SATFINITE) != 0;
  tsr_handler handler =
      convert->to == TSR_PTX_F16X2 ? f32_to_f16x2 : f32_to_bf16x2;
  if (satfinite || convert->round != TSR_ROUND_EVEN) handler = convert_pair;
  return tsr_decode_require(d, satfinite ? 81 : 70, 80, 0) &&
         tsr_convert_emit(d, handler, convert, 2, convert->to == TSR_PTX_F16X2);
}

bool tsr_convert_packed(tsr_decoder *d, const tsr_convert *convert) {
  bool satfinite = (convert->flags & TSR_FLOAT_SATFINITE) != 0;
  if ((convert->flags & (TSR_FLOAT_FTZ | TSR_FLOAT_SAT)) != 0) {
    return tsr_decode_error(d, ".ftz and .sat do not apply to these types");
  }
  if (convert->to == TSR_PTX_TF32) return decode_tf32(d, convert);
  if (convert->from == TSR_PTX_F32 &&
      (convert->to == TSR_PTX_F16X2 || convert->to == TSR_PTX_BF16X2)) {
    return decode_half_pair(d, convert);
  }
  bool to_bytes = is_byte_pair(convert->to) && (convert->from == TSR_PTX_F32 ||
                                                convert->from == TSR_PTX_F16X2);
  bool from_bytes = is_byte_pair(convert->from) && convert->to == TSR_PTX_F16X2;
  if (!to_bytes && !from_bytes) return no_conversion(d, convert);
  if (!convert->rounded || convert->integral ||
      convert->round != TSR_ROUND_EVEN) {
    return tsr_decode_error(d, ".rn expected");
  }
  if (to_bytes != satfinite) {
    return tsr_decode_error(
        d, to_bytes ? ".satfinite expected" : ".satfinite does not apply");
  }
  return require_bytes(d) &&
         tsr_convert_emit(d, convert_pair, convert,
                          convert->from == TSR_PTX_F32 ? 2 : 1, false);
}

// --- cvt.pack ---------------------------------------------------------------

// aux[0]: bits of an element; aux[1]: signed.
static tsr_flow pack(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t bits = op->aux[0];
  bool is_signed = op->aux[1] != 0;
  int32_t most = (int32_t)((1u << (is_signed ? bits - 1 : bits)) - 1);
  int32_t least = is_signed ? -most - 1 : 0;
  uint32_t keep = (1u << bits) - 1;
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  const uint32_t *b = tsr_src32(warp, op->src[1]);
  const uint32_t *c = op->src_count > 2 ? tsr_src32(warp, op->src[2]) : NULL;
  uint32_t out[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    int32_t x = (int32_t)a[i], y = (int32_t)b[i];
    x = x < least ? least : x > most ? most : x;
    y = y < least ? least : y > most ? most : y;
    out[i] = ((uint32_t)x & keep) << bits | ((uint32_t)y & keep);
    if (c != NULL) out[i] |= c[i] << (2 * bits);
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

// The element's type: .u4, .s4, .u2 and .s2 are types of this instruction only.
static bool take_element(tsr_decoder *d, uint32_t *out_bits, bool *out_signed) {
  static const char *const small[] = {"u2", "s2", "u4", "s4", NULL};
  int index = tsr_mod_one_of(d, small);
  if (index >= 0) {
    *out_bits = index < 2 ? 2 : 4;
    *out_signed = index % 2 != 0;
    return true;
  }
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  *out_bits = tsr_ptx_type_bits(type);
  *out_signed = tsr_ptx_type_class(type) == TSR_PTX_KIND_SIGNED;
  if (type == TSR_PTX_U8 || type == TSR_PTX_S8 || type == TSR_PTX_U16 ||
      type == TSR_PTX_S16) {
    return true;
  }
  return tsr_decode_error(d, "cvt.pack does not convert to .%s",
                          tsr_ptx_type_name(type));
}

bool tsr_convert_pack(tsr_decoder *d) {
  uint32_t bits;
  bool is_signed;
  tsr_ptx_type from, rest;
  if (!tsr_mod(d, "sat")) return tsr_decode_error(d, ".sat expected");
  if (!take_element(d, &bits, &is_signed) || !tsr_mod_need_type(d, &from)) {
    return false;
  }
  rest = tsr_mod_type(d);
  if (from != TSR_PTX_S32 ||
      rest != (bits == 16 ? TSR_PTX_NO_TYPE : TSR_PTX_B32)) {
    return tsr_decode_error(d,
                            bits == 16 ? ".s32 expected" : ".s32.b32 expected");
  }
  uint32_t count = bits == 16 ? 2 : 3;
  tsr_ref dst, src[3];
  if (!tsr_need_operands(d, count + 1, count + 1) ||
      !tsr_destination(d, tsr_operand(d, 0), TSR_PTX_B32, false, &dst)) {
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (!tsr_source(d, tsr_operand(d, i + 1), i < 2 ? TSR_PTX_S32 : TSR_PTX_B32,
                    &src[i])) {
      return false;
    }
  }
  tsr_op *op = tsr_emit(d, pack, TESSERA_EMU_CLASS_CONVERT, 1, count);
  if (op == NULL) return false;
  op->dst[0] = dst;
  memcpy(op->src, src, count * sizeof(*src));
  op->aux[0] = bits;
  op->aux[1] = is_signed;
  return true;
}
