// SPDX-License-Identifier: Apache-2.0
// Extended precision (PTX ISA 9.7.2): add.cc, addc, sub.cc, subc, mad.cc,
// madc. The condition code CC.CF is a predicate of its own, one per function;
// a call does not preserve it. The ISA calls what sub.cc leaves a borrow, but
// ptxas makes a - b of a + ~b + 1, so that the flag is the carry of that: 1
// where nothing was borrowed. Chains of one kind do not show it; addc after
// sub.cc does, and nvcc's 128-bit division relies on it.
#include "ops/integer.h"

// Lanes of one width. The operation is in aux[0]; the carry comes from src[3]
// (none: 0, or 1
// for sub.cc) and goes to dst[1] (none: nowhere).
#define DEFINE_CARRY(W, WIDE)                                                \
  static inline uint##W##_t step_##W(uint32_t kind, uint##W##_t a,           \
                                     uint##W##_t b, uint##W##_t c,           \
                                     bool is_signed, uint32_t *carry) {      \
    WIDE product = (WIDE)a * b, sum;                                         \
    uint##W##_t high = (uint##W##_t)(product >> W);                          \
    switch (kind) {                                                          \
      case TSR_CARRY_ADD:                                                    \
        sum = (WIDE)a + b + *carry;                                          \
        break;                                                               \
      case TSR_CARRY_SUB:                                                    \
        sum = (WIDE)a + (uint##W##_t) ~b + *carry;                           \
        break;                                                               \
      case TSR_CARRY_MAD_LO:                                                 \
        sum = (WIDE)(uint##W##_t)product + c + *carry;                       \
        break;                                                               \
      default: /* a signed product's high half differs */                    \
        if (is_signed && a >> (W - 1) != 0) high -= b;                       \
        if (is_signed && b >> (W - 1) != 0) high -= a;                       \
        sum = (WIDE)high + c + *carry;                                       \
        break;                                                               \
    }                                                                        \
    *carry = (uint32_t)(sum >> W) & 1u;                                      \
    return (uint##W##_t)sum;                                                 \
  }                                                                          \
  static tsr_flow run_##W(tsr_warp *warp, const tsr_op *op, uint32_t mask) { \
    const uint##W##_t *a = tsr_src##W(warp, op->src[0]);                     \
    const uint##W##_t *b = tsr_src##W(warp, op->src[1]);                     \
    const uint##W##_t *c =                                                   \
        op->src[2] == TSR_REF_NONE ? a : tsr_src##W(warp, op->src[2]);       \
    uint32_t in = op->aux[0] == TSR_CARRY_SUB ? UINT32_MAX : 0;              \
    if (op->src[3] != TSR_REF_NONE) in = tsr_pred(warp, op->src[3]);         \
    uint32_t carries = 0;                                                    \
    uint##W##_t out[TSR_LANES];                                              \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                               \
      uint32_t carry = in >> i & 1u;                                         \
      out[i] =                                                               \
          step_##W(op->aux[0], a[i], b[i], c[i], op->aux[1] != 0, &carry);   \
      carries |= carry << i;                                                 \
    }                                                                        \
    tsr_put##W(warp, op->dst[0], mask, out);                                 \
    tsr_set_pred(warp, op->dst[1], mask, carries);                           \
    return TSR_FLOW_NEXT;                                                    \
  }
DEFINE_CARRY(32, uint64_t)
DEFINE_CARRY(64, tsr_uint128)

bool tsr_carry_emit(tsr_decoder *d, tsr_carry_kind kind, bool carry_in,
                    bool carry_out) {
  tsr_ptx_type type;
  tsr_ref to, from[3] = {TSR_REF_NONE, TSR_REF_NONE, TSR_REF_NONE};
  uint32_t count = kind == TSR_CARRY_ADD || kind == TSR_CARRY_SUB ? 2 : 3;
  if (!tsr_mod_need_type(d, &type)) return false;
  int index = tsr_integer_index(type);
  if (index < 2) return tsr_integer_bad_type(d, type);
  if (!tsr_need_operands(d, count + 1, count + 1)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    if (!tsr_source(d, tsr_operand(d, i + 1), type, &from[i])) return false;
  }
  if (!tsr_destination(d, tsr_operand(d, 0), type, false, &to)) return false;
  tsr_ref flag = tsr_carry_flag(d);
  if (flag == TSR_REF_NONE) return false;
  bool wide = tsr_ptx_type_bits(type) == 64;
  tsr_op *op =
      tsr_emit(d, wide ? run_64 : run_32, TESSERA_EMU_CLASS_INTEGER, 2, 4);
  if (op == NULL) return false;
  op->dst[0] = to;
  if (carry_out) op->dst[1] = flag;
  for (uint32_t i = 0; i < count; ++i) op->src[i] = from[i];
  if (carry_in) op->src[3] = flag;
  op->aux[0] = (uint32_t)kind;
  op->aux[1] = tsr_ptx_type_class(type) == TSR_PTX_KIND_SIGNED;
  return true;
}

static bool decode_addc(tsr_decoder *d) {
  return tsr_carry_emit(d, TSR_CARRY_ADD, true, tsr_mod(d, "cc"));
}

static bool decode_subc(tsr_decoder *d) {
  return tsr_carry_emit(d, TSR_CARRY_SUB, true, tsr_mod(d, "cc"));
}

static bool decode_madc(tsr_decoder *d) {
  static const char *const halves[] = {"lo", "hi", NULL};
  int half = tsr_mod_need(d, halves, "'.lo' or '.hi'");
  if (half < 0) return false;
  return tsr_carry_emit(d, half == 0 ? TSR_CARRY_MAD_LO : TSR_CARRY_MAD_HI,
                        true, tsr_mod(d, "cc"));
}

const tsr_opcode tsr_opcodes_carry[] = {
    {"addc", decode_addc}, {"subc", decode_subc}, {"madc", decode_madc}, {0}};
