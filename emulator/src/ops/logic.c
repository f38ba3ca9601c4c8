// SPDX-License-Identifier: Apache-2.0
// Logic and shifts (PTX ISA 9.7.8): of predicates (a word holds a warp's) and
// of 16, 32 and 64 bits; lop3, shf and prmt.
#include "ops/integer.h"

// The index of a table {pred, b16, b32, b64}; -1: none of these.
static int bits_index(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_PRED:
      return 0;
    case TSR_PTX_B16:
      return 1;
    case TSR_PTX_B32:
      return 2;
    case TSR_PTX_B64:
      return 3;
    default:
      return -1;
  }
}

static bool decode_bits(tsr_decoder *d, const tsr_handler table[4],
                        uint32_t count) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  int index = bits_index(type);
  if (index < 0 || table[index] == NULL) return tsr_integer_bad_type(d, type);
  return tsr_integer_emit_same(d, table[index], type, count);
}

// --- and, or, xor, not, cnot ------------------------------------------------

#define DEFINE_LOGIC(NAME, OPERATOR)                                        \
  static tsr_flow NAME##_pred(tsr_warp *warp, const tsr_op *op,             \
                              uint32_t mask) {                              \
    uint32_t a = tsr_pred(warp, op->src[0]);                                \
    uint32_t b = tsr_pred(warp, op->src[1]);                                \
    tsr_set_pred(warp, op->dst[0], mask, a OPERATOR b);                     \
    return TSR_FLOW_NEXT;                                                   \
  }                                                                         \
  TSR_BINARY(TSR_CLONES, NAME##_32, 32, 32, uint32_t, a OPERATOR b)         \
  TSR_BINARY(TSR_CLONES, NAME##_64, 64, 64, uint64_t, a OPERATOR b)         \
  static bool decode_##NAME(tsr_decoder *d) {                               \
    static const tsr_handler table[4] = {NAME##_pred, NAME##_32, NAME##_32, \
                                         NAME##_64};                        \
    return decode_bits(d, table, 2);                                        \
  }
DEFINE_LOGIC(and, &)
DEFINE_LOGIC(or, |)
DEFINE_LOGIC(xor, ^)

static tsr_flow not_pred(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_set_pred(warp, op->dst[0], mask, ~tsr_pred(warp, op->src[0]));
  return TSR_FLOW_NEXT;
}
TSR_UNARY(, not_16, 32, 32, uint16_t, (uint16_t)~a)
TSR_UNARY(TSR_CLONES, not_32, 32, 32, uint32_t, ~a)
TSR_UNARY(TSR_CLONES, not_64, 64, 64, uint64_t, ~a)
TSR_UNARY(, cnot_32, 32, 32, uint32_t, a == 0 ? 1 : 0)
TSR_UNARY(, cnot_64, 64, 64, uint64_t, a == 0 ? 1 : 0)

static bool decode_not(tsr_decoder *d) {
  static const tsr_handler table[4] = {not_pred, not_16, not_32, not_64};
  return decode_bits(d, table, 1);
}

static bool decode_cnot(tsr_decoder *d) {
  static const tsr_handler table[4] = {NULL, cnot_32, cnot_32, cnot_64};
  return decode_bits(d, table, 1);
}

// --- lop3 -------------------------------------------------------------------

// All ones where bit |bit| of the table is set.
static inline uint32_t spread(uint32_t table, uint32_t bit) {
  return 0u - (table >> bit & 1u);
}

// The table's bit a*4 + b*2 + c says what a, b, c give. |p|, where it is
// wanted, is "result != 0", combined with src[3].
TSR_CLONES static tsr_flow run_lop3(tsr_warp *warp, const tsr_op *op,
                                    uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  const uint32_t *b = tsr_src32(warp, op->src[1]);
  const uint32_t *c = tsr_src32(warp, op->src[2]);
  uint32_t m[8], out[TSR_LANES], set = 0;
  for (uint32_t bit = 0; bit < 8; ++bit) m[bit] = spread(op->aux[0], bit);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t low = (~b[i] & ((~c[i] & m[0]) | (c[i] & m[1]))) |
                   (b[i] & ((~c[i] & m[2]) | (c[i] & m[3])));
    uint32_t high = (~b[i] & ((~c[i] & m[4]) | (c[i] & m[5]))) |
                    (b[i] & ((~c[i] & m[6]) | (c[i] & m[7])));
    out[i] = (~a[i] & low) | (a[i] & high);
  }
  if (op->dst[1] != TSR_REF_NONE) {
    for (uint32_t i = 0; i < TSR_LANES; ++i) set |= (out[i] != 0 ? 1u : 0) << i;
    uint32_t q = tsr_pred(warp, op->src[3]);
    set = op->aux[1] != 0 ? set & q : set | q;
  }
  tsr_put32(warp, op->dst[0], mask, out);
  tsr_set_pred(warp, op->dst[1], mask, set);
  return TSR_FLOW_NEXT;
}

// d, or d|p with a BoolOp.
static bool lop3_destinations(tsr_decoder *d, bool boolean, tsr_ref out[2]) {
  const tsr_ptx_operand *to = tsr_operand(d, 0);
  out[1] = TSR_REF_NONE;
  if (!boolean) return tsr_destination(d, to, TSR_PTX_B32, false, &out[0]);
  if (to->kind != TSR_PTX_PAIR || to->item_count != 2) {
    return tsr_decode_error_at(d, to, "expected 'd|p'");
  }
  return tsr_destination(d, &to->items[0], TSR_PTX_B32, true, &out[0]) &&
         tsr_destination(d, &to->items[1], TSR_PTX_PRED, false, &out[1]);
}

static bool decode_lop3(tsr_decoder *d) {
  static const char *const operators[] = {"or", "and", NULL};
  int boolean = tsr_mod_one_of(d, operators);
  if (boolean >= 0 && !tsr_decode_require(d, 82, 70, 0)) return false;
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32) return tsr_integer_bad_type(d, type);
  uint32_t count = boolean >= 0 ? 6 : 5;
  tsr_ref to[2],
      from[4] = {TSR_REF_NONE, TSR_REF_NONE, TSR_REF_NONE, TSR_REF_NONE};
  uint64_t table;
  if (!tsr_need_operands(d, count, count)) return false;
  for (uint32_t i = 0; i < 3; ++i) {
    if (!tsr_source(d, tsr_operand(d, i + 1), type, &from[i])) return false;
  }
  if (!tsr_immediate(d, tsr_operand(d, 4), &table)) return false;
  if (table > 0xff) {
    return tsr_decode_error_at(d, tsr_operand(d, 4),
                               "a look-up table must be from 0 to 255");
  }
  if (boolean >= 0 &&
      !tsr_source(d, tsr_operand(d, 5), TSR_PTX_PRED, &from[3])) {
    return false;
  }
  if (!lop3_destinations(d, boolean >= 0, to)) return false;
  tsr_op *op = tsr_emit(d, run_lop3, TESSERA_EMU_CLASS_INTEGER, 2, 4);
  if (op == NULL) return false;
  for (uint32_t i = 0; i < 2; ++i) op->dst[i] = to[i];
  for (uint32_t i = 0; i < 4; ++i) op->src[i] = from[i];
  op->aux[0] = (uint32_t)table;
  op->aux[1] = boolean == 1;
  return true;
}

// --- Shifts -----------------------------------------------------------------

// |a| of width W, the count always 32 bits; counts beyond the width shift
// everything out (9.7.8.8, 9.7.8.9).
#define DEFINE_SHIFT(NAME, W, EXPRESSION)                           \
  TSR_CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op, \
                                  uint32_t mask) {                  \
    const uint##W##_t *first = tsr_src##W(warp, op->src[0]);        \
    const uint32_t *counts = tsr_src32(warp, op->src[1]);           \
    uint##W##_t out[TSR_LANES];                                     \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                      \
      const uint##W##_t a = first[i];                               \
      const uint32_t n = counts[i];                                 \
      out[i] = (EXPRESSION);                                        \
    }                                                               \
    tsr_put##W(warp, op->dst[0], mask, out);                        \
    return TSR_FLOW_NEXT;                                           \
  }
#define CLAMPED(limit) (n > (limit) ? (limit) : n)
DEFINE_SHIFT(shl_16, 32, (uint16_t)(n > 15 ? 0 : a << (n & 15)))
DEFINE_SHIFT(shl_32, 32, n > 31 ? 0 : a << (n & 31))
DEFINE_SHIFT(shl_64, 64, n > 63 ? 0 : a << (n & 63))
DEFINE_SHIFT(shr_u32, 32, n > 31 ? 0 : a >> (n & 31))
DEFINE_SHIFT(shr_u64, 64, n > 63 ? 0 : a >> (n & 63))
DEFINE_SHIFT(shr_s16, 32, (uint16_t)((int16_t)a >> CLAMPED(15)))
DEFINE_SHIFT(shr_s32, 32, (uint32_t)((int32_t)a >> CLAMPED(31)))
DEFINE_SHIFT(shr_s64, 64, (uint64_t)((int64_t)a >> CLAMPED(63)))

static bool emit_shift(tsr_decoder *d, tsr_handler handler, tsr_ptx_type type) {
  const tsr_ptx_type types[] = {type, TSR_PTX_U32};
  return tsr_integer_emit(d, handler, type, types, 2);
}

static bool decode_shl(tsr_decoder *d) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  switch (type) {
    case TSR_PTX_B16:
      return emit_shift(d, shl_16, type);
    case TSR_PTX_B32:
      return emit_shift(d, shl_32, type);
    case TSR_PTX_B64:
      return emit_shift(d, shl_64, type);
    default:
      return tsr_integer_bad_type(d, type);
  }
}

static bool decode_shr(tsr_decoder *d) {
  static const tsr_handler table[6] = {shr_u32, shr_s16, shr_u32,
                                       shr_s32, shr_u64, shr_s64};
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  int bits = bits_index(type), index = tsr_integer_index(type);
  if (bits > 0) {
    return emit_shift(d, bits == 3 ? shr_u64 : shr_u32, type);
  }
  return index < 0 ? tsr_integer_bad_type(d, type)
                   : emit_shift(d, table[index], type);
}

// A window of 32 bits onto b:a (9.7.8.7). |c| is the count.
static inline uint64_t joined(uint32_t a, uint32_t b) {
  return (uint64_t)b << 32 | a;
}
#define AT_MOST_32(n) ((n) > 32 ? 32 : (n))
TSR_TERNARY(TSR_CLONES, shf_l_wrap, 32, 32, uint32_t,
            joined(a, b) << (c & 31) >> 32)
TSR_TERNARY(TSR_CLONES, shf_r_wrap, 32, 32, uint32_t, joined(a, b) >> (c & 31))
TSR_TERNARY(TSR_CLONES, shf_l_clamp, 32, 32, uint32_t,
            joined(a, b) << AT_MOST_32(c) >> 32)
TSR_TERNARY(TSR_CLONES, shf_r_clamp, 32, 32, uint32_t,
            joined(a, b) >> AT_MOST_32(c))

static bool decode_shf(tsr_decoder *d) {
  static const char *const directions[] = {"l", "r", NULL};
  static const char *const modes[] = {"wrap", "clamp", NULL};
  static const tsr_handler table[2][2] = {{shf_l_wrap, shf_l_clamp},
                                          {shf_r_wrap, shf_r_clamp}};
  int direction = tsr_mod_need(d, directions, "'.l' or '.r'");
  if (direction < 0) return false;
  int mode = tsr_mod_need(d, modes, "'.wrap' or '.clamp'");
  tsr_ptx_type type;
  if (mode < 0 || !tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32) return tsr_integer_bad_type(d, type);
  const tsr_ptx_type types[] = {type, type, TSR_PTX_U32};
  return tsr_integer_emit(d, table[direction][mode], type, types, 3);
}

// --- prmt (9.7.9.7) ---------------------------------------------------------

// Each nibble of |selector| names a byte of b:a; its top bit asks for that
// byte's sign in all eight bits. Without branches, so that it vectorises.
static inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = joined(a, b);
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t nibble = selector >> (4 * i);
    uint32_t byte = (uint32_t)(bytes >> (8 * (nibble & 7))) & 0xff;
    uint32_t sign = (0u - (byte >> 7)) & 0xff;
    result |= ((nibble & 8) != 0 ? sign : byte) << (8 * i);
  }
  return result;
}
TSR_TERNARY(TSR_CLONES, prmt, 32, 32, uint32_t, permute(a, b, c))

// The selectors for c = 0, 1, 2, 3 are imm's four parts.
static tsr_flow prmt_mode(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  const uint32_t *b = tsr_src32(warp, op->src[1]);
  const uint32_t *c = tsr_src32(warp, op->src[2]);
  uint32_t out[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    out[i] = permute(a[i], b[i], (uint32_t)(op->imm >> (16 * (c[i] & 3))));
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

static bool decode_prmt(tsr_decoder *d) {
  static const char *const modes[] = {"f4e", "b4e",  "rc8", "ecl",
                                      "ecr", "rc16", NULL};
  // For c = 3, 2, 1, 0, from the top.
  static const uint64_t selectors[] = {
      UINT64_C(0x6543543243213210), UINT64_C(0x0123701267015670),
      UINT64_C(0x3333222211110000), UINT64_C(0x3333322232113210),
      UINT64_C(0x3210221011100000), UINT64_C(0x3232101032321010)};
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32) return tsr_integer_bad_type(d, type);
  int mode = tsr_mod_one_of(d, modes);
  tsr_ref to, from[3];
  if (!tsr_need_operands(d, 4, 4)) return false;
  for (uint32_t i = 0; i < 3; ++i) {
    if (!tsr_source(d, tsr_operand(d, i + 1), type, &from[i])) return false;
  }
  if (!tsr_destination(d, tsr_operand(d, 0), type, false, &to)) return false;
  tsr_op *op =
      tsr_emit(d, mode < 0 ? prmt : prmt_mode, TESSERA_EMU_CLASS_INTEGER, 1, 3);
  if (op == NULL) return false;
  op->dst[0] = to;
  for (uint32_t i = 0; i < 3; ++i) op->src[i] = from[i];
  if (mode >= 0) op->imm = selectors[mode];
  return true;
}

const tsr_opcode tsr_opcodes_logic[] = {{"and", decode_and},
                                        {"or", decode_or},
                                        {"xor", decode_xor},
                                        {"not", decode_not},
                                        {"cnot", decode_cnot},
                                        {"lop3", decode_lop3},
                                        {"shl", decode_shl},
                                        {"shr", decode_shr},
                                        {"shf", decode_shf},
                                        {"prmt", decode_prmt},
                                        {0}};
