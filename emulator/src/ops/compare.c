// SPDX-License-Identifier: Apache-2.0
// setp, set, selp, slct for integers and every float type (PTX ISA 9.7.6,
// 9.7.7). A pair of values is less, equal, greater or unordered; an operator
// is the set of those that it accepts. Floats are compared as integers: a
// magnitude with its sign, so that subnormals and zeros need no care.
#include "ops/integer.h"

enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8 };

typedef struct order {
  uint32_t less, equal, unordered;  // lanes
} order;

typedef order (*order_function)(const tsr_warp *warp, const tsr_op *op);

#define DEFINE_ORDER(S, W, T)                                                 \
  TSR_CLONES static order order_##S(const tsr_warp *warp, const tsr_op *op) { \
    const uint##W##_t *a = tsr_src##W(warp, op->src[0]);                      \
    const uint##W##_t *b = tsr_src##W(warp, op->src[1]);                      \
    uint32_t less = 0, equal = 0;                                             \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                                \
      less |= ((T)a[i] < (T)b[i] ? 1u : 0u) << i;                             \
      equal |= (a[i] == b[i] ? 1u : 0u) << i;                                 \
    }                                                                         \
    return (order){less, equal, 0};                                           \
  }
DEFINE_ORDER(u32, 32, uint32_t)
DEFINE_ORDER(s16, 32, int16_t)
DEFINE_ORDER(s32, 32, int32_t)
DEFINE_ORDER(u64, 64, uint64_t)
DEFINE_ORDER(s64, 64, int64_t)

// SHIFT: where the value lies in the lane. INFINITE: the magnitude above which
// all are NaN. TINY: magnitudes below are flushed to zero with .ftz.
#define DEFINE_FLOAT_ORDER(S, W, BITS, SHIFT, INFINITE, TINY)                 \
  TSR_CLONES static order order_##S(const tsr_warp *warp, const tsr_op *op) { \
    const uint##W##_t *first = tsr_src##W(warp, op->src[0]);                  \
    const uint##W##_t *second = tsr_src##W(warp, op->src[1]);                 \
    const uint##W##_t sign = (uint##W##_t)1 << (BITS - 1);                    \
    const uint##W##_t tiny = op->aux[3] != 0 ? TINY : 0;                      \
    uint32_t less = 0, equal = 0, unordered = 0;                              \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                                \
      const uint##W##_t a = first[i] >> SHIFT, b = second[i] >> SHIFT;        \
      uint##W##_t p = a & (sign - 1), q = b & (sign - 1);                     \
      unordered |= (p > INFINITE || q > INFINITE ? 1u : 0u) << i;             \
      p = p < tiny ? 0 : p;                                                   \
      q = q < tiny ? 0 : q;                                                   \
      const int##W##_t x = (int##W##_t)((a & sign) != 0 ? 0 - p : p);         \
      const int##W##_t y = (int##W##_t)((b & sign) != 0 ? 0 - q : q);         \
      less |= (x < y ? 1u : 0u) << i;                                         \
      equal |= (x == y ? 1u : 0u) << i;                                       \
    }                                                                         \
    return (order){less & ~unordered, equal & ~unordered, unordered};         \
  }
DEFINE_FLOAT_ORDER(f16, 32, 16, 0, 0x7c00u, 0x400u)
DEFINE_FLOAT_ORDER(f16_high, 32, 16, 16, 0x7c00u, 0x400u)
DEFINE_FLOAT_ORDER(bf16, 32, 16, 0, 0x7f80u, 0u)
DEFINE_FLOAT_ORDER(bf16_high, 32, 16, 16, 0x7f80u, 0u)
DEFINE_FLOAT_ORDER(f32, 32, 32, 0, 0x7f800000u, 0x00800000u)
DEFINE_FLOAT_ORDER(f64, 64, 64, 0, UINT64_C(0x7ff0000000000000), 0u)

typedef struct compared_type {
  tsr_ptx_type type;
  order_function low, high;  // high: the upper half of a packed pair
} compared_type;

// The lower halves of a packed pair are compared as the plain type is: what
// lies above the type is masked off.
static const compared_type compared[] = {
    {TSR_PTX_B16, order_u32, NULL},
    {TSR_PTX_B32, order_u32, NULL},
    {TSR_PTX_B64, order_u64, NULL},
    {TSR_PTX_U16, order_u32, NULL},
    {TSR_PTX_U32, order_u32, NULL},
    {TSR_PTX_U64, order_u64, NULL},
    {TSR_PTX_S16, order_s16, NULL},
    {TSR_PTX_S32, order_s32, NULL},
    {TSR_PTX_S64, order_s64, NULL},
    {TSR_PTX_F16, order_f16, NULL},
    {TSR_PTX_BF16, order_bf16, NULL},
    {TSR_PTX_F32, order_f32, NULL},
    {TSR_PTX_F64, order_f64, NULL},
    {TSR_PTX_F16X2, order_f16, order_f16_high},
    {TSR_PTX_BF16X2, order_bf16, order_bf16_high},
};

// --- The comparison itself --------------------------------------------------

enum { NO_COMBINE, COMBINE_AND, COMBINE_OR, COMBINE_XOR };

// aux[0]: index in |compared|; aux[1]: the operator's set; aux[2]: how src[2]
// is combined; aux[3]: .ftz.
static uint32_t accepted(const tsr_op *op, order o) {
  uint32_t set = op->aux[1];
  uint32_t greater = ~(o.less | o.equal | o.unordered);
  return ((set & LESS) != 0 ? o.less : 0) | ((set & EQUAL) != 0 ? o.equal : 0) |
         ((set & GREATER) != 0 ? greater : 0) |
         ((set & UNORDERED) != 0 ? o.unordered : 0);
}

static uint32_t combined(const tsr_warp *warp, const tsr_op *op,
                         uint32_t value) {
  switch (op->aux[2]) {
    case COMBINE_AND:
      return value & tsr_pred(warp, op->src[2]);
    case COMBINE_OR:
      return value | tsr_pred(warp, op->src[2]);
    case COMBINE_XOR:
      return value ^ tsr_pred(warp, op->src[2]);
    default:
      return value;
  }
}

static tsr_flow run_setp(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const compared_type *type = &compared[op->aux[0]];
  uint32_t low = accepted(op, type->low(warp, op));
  uint32_t other =
      type->high == NULL ? ~low : accepted(op, type->high(warp, op));
  uint32_t p = combined(warp, op, low), q = combined(warp, op, other);
  tsr_set_pred(warp, op->dst[0], mask, p);
  tsr_set_pred(warp, op->dst[1], mask, q);
  return TSR_FLOW_NEXT;
}

// imm: the value of "true", for a packed pair that of each half.
static tsr_flow run_set(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const compared_type *type = &compared[op->aux[0]];
  uint32_t p = combined(warp, op, accepted(op, type->low(warp, op)));
  uint32_t q = 0, out[TSR_LANES];
  if (type->high != NULL) {
    q = combined(warp, op, accepted(op, type->high(warp, op)));
  }
  uint32_t yes = (uint32_t)op->imm, high = (uint32_t)(op->imm << 16);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    out[i] = ((p >> i & 1u) != 0 ? yes : 0) | ((q >> i & 1u) != 0 ? high : 0);
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

// --- Decoding ---------------------------------------------------------------

typedef struct comparison {
  uint32_t index, set, combine;
  bool ftz;
  tsr_ref src[3];
} comparison;

static const struct {
  const char *name;
  uint32_t set;
  bool integers, floats;
} operators[] = {
    {"eq", EQUAL, true, true},
    {"ne", LESS | GREATER, true, true},
    {"lt", LESS, true, true},
    {"le", LESS | EQUAL, true, true},
    {"gt", GREATER, true, true},
    {"ge", GREATER | EQUAL, true, true},
    {"lo", LESS, true, false},
    {"ls", LESS | EQUAL, true, false},
    {"hi", GREATER, true, false},
    {"hs", GREATER | EQUAL, true, false},
    {"equ", EQUAL | UNORDERED, false, true},
    {"neu", LESS | GREATER | UNORDERED, false, true},
    {"ltu", LESS | UNORDERED, false, true},
    {"leu", LESS | EQUAL | UNORDERED, false, true},
    {"gtu", GREATER | UNORDERED, false, true},
    {"geu", GREATER | EQUAL | UNORDERED, false, true},
    {"num", LESS | EQUAL | GREATER, false, true},
    {"nan", UNORDERED, false, true},
};
enum {
  OPERATOR_COUNT = sizeof(operators) / sizeof(operators[0]),
  FIRST_UNSIGNED = 6,
  FIRST_FLOAT = 10,
  COMPARED_COUNT = sizeof(compared) / sizeof(compared[0]),
};

// The operators that |kind| has: 9.3.1.
static bool operator_fits(uint32_t index, tsr_ptx_type_kind kind) {
  switch (kind) {
    case TSR_PTX_KIND_FLOAT:
      return operators[index].floats;
    case TSR_PTX_KIND_UNSIGNED:
      return operators[index].integers;
    case TSR_PTX_KIND_SIGNED:
      return index < FIRST_UNSIGNED;
    default:
      return index < 2;
  }
}

static uint32_t compared_index(tsr_ptx_type type) {
  uint32_t index = 0;
  while (index < COMPARED_COUNT && compared[index].type != type) ++index;
  return index;
}

static bool takes_ftz(tsr_ptx_type type) {
  return type == TSR_PTX_F32 || type == TSR_PTX_F16 || type == TSR_PTX_F16X2;
}

// The modifiers that stand in front of the types.
static bool take_operator(tsr_decoder *d, comparison *c, uint32_t *out_index) {
  static const char *const combines[] = {"and", "or", "xor", NULL};
  uint32_t index = 0;
  while (index < OPERATOR_COUNT && !tsr_mod(d, operators[index].name)) ++index;
  if (index == OPERATOR_COUNT) {
    return tsr_decode_error(d, "a comparison such as '.lt' expected");
  }
  c->set = operators[index].set;
  c->combine = (uint32_t)(tsr_mod_one_of(d, combines) + 1);
  c->ftz = tsr_mod(d, "ftz");
  *out_index = index;
  return true;
}

// Behind the operator: the compared type.
static bool take_type(tsr_decoder *d, comparison *c, uint32_t operator_index,
                      tsr_ptx_type *out_type) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  c->index = compared_index(type);
  if (c->index == COMPARED_COUNT) return tsr_integer_bad_type(d, type);
  if (!operator_fits(operator_index, tsr_ptx_type_class(type))) {
    return tsr_decode_error(d, "no comparison '.%s' of type '.%s'",
                            operators[operator_index].name,
                            tsr_ptx_type_name(type));
  }
  if (c->ftz && !takes_ftz(type)) {
    return tsr_decode_error(d, "no '.ftz' for type '.%s'",
                            tsr_ptx_type_name(type));
  }
  *out_type = type;
  return true;
}

static bool take_sources(tsr_decoder *d, comparison *c, tsr_ptx_type type) {
  uint32_t count = c->combine == NO_COMBINE ? 3 : 4;
  c->src[2] = TSR_REF_NONE;
  return tsr_need_operands(d, count, count) &&
         tsr_source(d, tsr_operand(d, 1), type, &c->src[0]) &&
         tsr_source(d, tsr_operand(d, 2), type, &c->src[1]) &&
         (count == 3 ||
          tsr_source(d, tsr_operand(d, 3), TSR_PTX_PRED, &c->src[2]));
}

static tsr_op *emit_comparison(tsr_decoder *d, tsr_handler handler,
                               const comparison *c, uint32_t dst_count) {
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_INTEGER, dst_count, 3);
  if (op == NULL) return NULL;
  for (uint32_t i = 0; i < 3; ++i) op->src[i] = c->src[i];
  op->aux[0] = c->index;
  op->aux[1] = c->set;
  op->aux[2] = c->combine;
  op->aux[3] = c->ftz;
  return op;
}

static bool decode_setp(tsr_decoder *d) {
  comparison c = {0};
  uint32_t index = 0;
  tsr_ptx_type type;
  if (!take_operator(d, &c, &index) || !take_type(d, &c, index, &type) ||
      !take_sources(d, &c, type)) {
    return false;
  }
  const tsr_ptx_operand *to = tsr_operand(d, 0);
  bool pair = to->kind == TSR_PTX_PAIR && to->item_count == 2;
  bool half = type == TSR_PTX_F16 || type == TSR_PTX_BF16;
  if (half && pair) {
    return tsr_decode_error_at(d, to, "expected one predicate");
  }
  tsr_ref p, q = TSR_REF_NONE;
  if (!tsr_destination(d, pair ? &to->items[0] : to, TSR_PTX_PRED, pair, &p)) {
    return false;
  }
  if (pair && !tsr_destination(d, &to->items[1], TSR_PTX_PRED, true, &q)) {
    return false;
  }
  tsr_op *op = emit_comparison(d, run_setp, &c, 2);
  if (op == NULL) return false;
  op->dst[0] = p;
  op->dst[1] = q;
  return true;
}

// What |type| calls true where |compared_as| is compared; 0: no such form.
static uint32_t true_value(tsr_ptx_type type, tsr_ptx_type compared_as) {
  bool half = compared_as == TSR_PTX_F16 || compared_as == TSR_PTX_BF16;
  bool packed = compared_as == TSR_PTX_F16X2 || compared_as == TSR_PTX_BF16X2;
  switch (type) {
    case TSR_PTX_U32:
    case TSR_PTX_S32:
      return packed ? 0xffff : UINT32_MAX;
    case TSR_PTX_U16:
    case TSR_PTX_S16:
      return half ? 0xffff : 0;
    case TSR_PTX_F32:
      return half || packed ? 0 : 0x3f800000;
    case TSR_PTX_F16:
      return packed || compared_as == TSR_PTX_BF16 ? 0 : 0x3c00;
    case TSR_PTX_BF16:
      return packed ? 0 : 0x3f80;
    case TSR_PTX_F16X2:
      return compared_as == TSR_PTX_F16X2 ? 0x3c00 : 0;
    case TSR_PTX_BF16X2:
      return compared_as == TSR_PTX_BF16X2 ? 0x3f80 : 0;
    default:
      return 0;
  }
}

static bool decode_set(tsr_decoder *d) {
  comparison c = {0};
  uint32_t index = 0;
  tsr_ptx_type result, type;
  tsr_ref to;
  if (!take_operator(d, &c, &index) || !tsr_mod_need_type(d, &result) ||
      !take_type(d, &c, index, &type)) {
    return false;
  }
  uint32_t yes = true_value(result, type);
  if (yes == 0) {
    return tsr_decode_error(d, "no form of 'set' from '.%s' to '.%s'",
                            tsr_ptx_type_name(type), tsr_ptx_type_name(result));
  }
  if (!take_sources(d, &c, type) ||
      !tsr_destination(d, tsr_operand(d, 0), result, false, &to)) {
    return false;
  }
  tsr_op *op = emit_comparison(d, run_set, &c, 1);
  if (op == NULL) return false;
  op->dst[0] = to;
  op->imm = yes;
  return true;
}

// --- Choosing ---------------------------------------------------------------

#define DEFINE_SELP(W)                                                  \
  TSR_CLONES static tsr_flow selp_##W(tsr_warp *warp, const tsr_op *op, \
                                      uint32_t mask) {                  \
    const uint##W##_t *a = tsr_src##W(warp, op->src[0]);                \
    const uint##W##_t *b = tsr_src##W(warp, op->src[1]);                \
    uint32_t p = tsr_pred(warp, op->src[2]);                            \
    uint##W##_t out[TSR_LANES];                                         \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                          \
      out[i] = (p >> i & 1u) != 0 ? a[i] : b[i];                        \
    }                                                                   \
    tsr_put##W(warp, op->dst[0], mask, out);                            \
    return TSR_FLOW_NEXT;                                               \
  }
DEFINE_SELP(32)
DEFINE_SELP(64)

// c >= 0, as an integer or a float; NaN is not, a flushed -1e-40 is.
static inline bool not_negative(uint32_t c, bool is_float, bool ftz) {
  uint32_t magnitude = c & 0x7fffffff;
  if (!is_float) return (int32_t)c >= 0;
  if (magnitude > 0x7f800000) return false;
  if (ftz && magnitude < 0x00800000) return true;
  return c == magnitude || magnitude == 0;
}
#define DEFINE_SLCT(W)                                                        \
  static tsr_flow slct_##W(tsr_warp *warp, const tsr_op *op, uint32_t mask) { \
    const uint##W##_t *a = tsr_src##W(warp, op->src[0]);                      \
    const uint##W##_t *b = tsr_src##W(warp, op->src[1]);                      \
    const uint32_t *c = tsr_src32(warp, op->src[2]);                          \
    uint##W##_t out[TSR_LANES];                                               \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                                \
      bool first = not_negative(c[i], op->aux[0] != 0, op->aux[1] != 0);      \
      out[i] = first ? a[i] : b[i];                                           \
    }                                                                         \
    tsr_put##W(warp, op->dst[0], mask, out);                                  \
    return TSR_FLOW_NEXT;                                                     \
  }
DEFINE_SLCT(32)
DEFINE_SLCT(64)

// 16, 32 and 64 bits of any kind but the halves' (9.7.6.3, 9.7.6.4).
static bool can_choose(tsr_decoder *d, tsr_ptx_type type) {
  bool plain = compared_index(type) < COMPARED_COUNT && type != TSR_PTX_F16 &&
               type != TSR_PTX_BF16 && type != TSR_PTX_F16X2 &&
               type != TSR_PTX_BF16X2;
  return plain || tsr_integer_bad_type(d, type);
}

static bool decode_selp(tsr_decoder *d) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type) || !can_choose(d, type)) return false;
  const tsr_ptx_type types[] = {type, type, TSR_PTX_PRED};
  return tsr_integer_emit(d, tsr_ptx_type_bits(type) == 64 ? selp_64 : selp_32,
                          type, types, 3);
}

static bool decode_slct(tsr_decoder *d) {
  bool ftz = tsr_mod(d, "ftz");
  tsr_ptx_type type, by;
  tsr_ref to, from[3];
  if (!tsr_mod_need_type(d, &type) || !can_choose(d, type) ||
      !tsr_mod_need_type(d, &by)) {
    return false;
  }
  bool is_float = by == TSR_PTX_F32;
  if ((!is_float && by != TSR_PTX_S32) || (ftz && !is_float)) {
    return tsr_decode_error(d, "no form of 'slct%s' by type '.%s'",
                            ftz ? ".ftz" : "", tsr_ptx_type_name(by));
  }
  if (!tsr_need_operands(d, 4, 4) ||
      !tsr_source(d, tsr_operand(d, 1), type, &from[0]) ||
      !tsr_source(d, tsr_operand(d, 2), type, &from[1]) ||
      !tsr_source(d, tsr_operand(d, 3), by, &from[2]) ||
      !tsr_destination(d, tsr_operand(d, 0), type, false, &to)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, tsr_ptx_type_bits(type) == 64 ? slct_64 : slct_32,
                        TESSERA_EMU_CLASS_INTEGER, 1, 3);
  if (op == NULL) return false;
  op->dst[0] = to;
  for (uint32_t i = 0; i < 3; ++i) op->src[i] = from[i];
  op->aux[0] = is_float;
  op->aux[1] = ftz;
  return true;
}

const tsr_opcode tsr_opcodes_compare[] = {{"setp", decode_setp},
                                          {"set", decode_set},
                                          {"selp", decode_selp},
                                          {"slct", decode_slct},
                                          {0}};
