// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic (PTX ISA 9.7.1). Overflow wraps unless .sat says
// otherwise. What the ISA leaves open follows the hardware: a division by zero
// gives all ones, quotient and remainder, and INT_MIN / -1 wraps.
#include "ops/integer.h"

// --- Decoding ---------------------------------------------------------------

bool tsr_integer_bad_type(tsr_decoder *d, tsr_ptx_type type) {
  tsr_ptx_str opcode = tsr_decode_instruction(d)->opcode;
  return tsr_decode_error(d, "no form of '%.*s' for type '.%s'",
                          (int)opcode.size, opcode.data,
                          tsr_ptx_type_name(type));
}

bool tsr_integer_emit(tsr_decoder *d, tsr_handler handler, tsr_ptx_type dst,
                      const tsr_ptx_type *types, uint32_t count) {
  tsr_ref to, from[4];
  if (!tsr_need_operands(d, count + 1, count + 1)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    if (!tsr_source(d, tsr_operand(d, i + 1), types[i], &from[i])) return false;
  }
  if (!tsr_destination(d, tsr_operand(d, 0), dst, false, &to)) return false;
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_INTEGER, 1, count);
  if (op == NULL) return false;
  op->dst[0] = to;
  for (uint32_t i = 0; i < count; ++i) op->src[i] = from[i];
  return true;
}

bool tsr_integer_emit_same(tsr_decoder *d, tsr_handler handler,
                           tsr_ptx_type type, uint32_t count) {
  const tsr_ptx_type types[4] = {type, type, type, type};
  return tsr_integer_emit(d, handler, type, types, count);
}

static bool is_float(const tsr_decoder *d) {
  return tsr_instruction_kind(d) == TSR_PTX_KIND_FLOAT;
}

// The next type's handler in |table| (see TSR_INTEGER_TABLE).
static bool need_handler(tsr_decoder *d, const tsr_handler table[6],
                         tsr_ptx_type *out_type, tsr_handler *out) {
  if (!tsr_mod_need_type(d, out_type)) return false;
  int index = tsr_integer_index(*out_type);
  *out = index < 0 ? NULL : table[index];
  return *out != NULL || tsr_integer_bad_type(d, *out_type);
}

static bool decode_table(tsr_decoder *d, const tsr_handler table[6],
                         uint32_t count) {
  tsr_ptx_type type;
  tsr_handler handler;
  return need_handler(d, table, &type, &handler) &&
         tsr_integer_emit_same(d, handler, type, count);
}

// --- Sums -------------------------------------------------------------------

static inline uint32_t clamp32(int64_t value) {
  return value > INT32_MAX   ? (uint32_t)INT32_MAX
         : value < INT32_MIN ? UINT32_C(0x80000000)
                             : (uint32_t)value;
}

TSR_BINARY(TSR_CLONES, add_16, 32, 32, uint16_t, (uint16_t)(a + b))
TSR_BINARY(TSR_CLONES, add_32, 32, 32, uint32_t, a + b)
TSR_BINARY(TSR_CLONES, add_64, 64, 64, uint64_t, a + b)
TSR_BINARY(TSR_CLONES, sub_16, 32, 32, uint16_t, (uint16_t)(a - b))
TSR_BINARY(TSR_CLONES, sub_32, 32, 32, uint32_t, a - b)
TSR_BINARY(TSR_CLONES, sub_64, 64, 64, uint64_t, a - b)
TSR_BINARY(, add_sat, 32, 32, int32_t, clamp32((int64_t)x + y))
TSR_BINARY(, sub_sat, 32, 32, int32_t, clamp32((int64_t)x - y))
TSR_BINARY(, add_x2, 32, 32, uint32_t,
           ((a + b) & 0xffff) | ((a & 0xffff0000u) + (b & 0xffff0000u)))

static const tsr_handler adds[6] = {add_16, add_16, add_32,
                                    add_32, add_64, add_64};
static const tsr_handler subs[6] = {sub_16, sub_16, sub_32,
                                    sub_32, sub_64, sub_64};

static bool decode_saturating(tsr_decoder *d, tsr_handler handler) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_S32) {
    return tsr_decode_error(d, "'.sat' needs type '.s32'");
  }
  return tsr_integer_emit_same(d, handler, type, 2);
}

static bool decode_add(tsr_decoder *d) {
  if (is_float(d)) return tsr_decode_pass(d);
  if (tsr_mod(d, "cc")) return tsr_carry_emit(d, TSR_CARRY_ADD, false, true);
  if (tsr_mod(d, "sat")) return decode_saturating(d, add_sat);
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type == TSR_PTX_U16X2 || type == TSR_PTX_S16X2) {
    return tsr_decode_require(d, 80, 90, 0) &&
           tsr_integer_emit_same(d, add_x2, type, 2);
  }
  int index = tsr_integer_index(type);
  if (index < 0) return tsr_integer_bad_type(d, type);
  return tsr_integer_emit_same(d, adds[index], type, 2);
}

static bool decode_sub(tsr_decoder *d) {
  if (is_float(d)) return tsr_decode_pass(d);
  if (tsr_mod(d, "cc")) return tsr_carry_emit(d, TSR_CARRY_SUB, false, true);
  if (tsr_mod(d, "sat")) return decode_saturating(d, sub_sat);
  return decode_table(d, subs, 2);
}

// --- Products ---------------------------------------------------------------

#define DEFINE_HIGH(S, W, T, U, L, BITS, ...)                   \
  TSR_BINARY(, mul_hi_##S, W, W, T, (U)(((L)x * (L)y) >> BITS)) \
  TSR_TERNARY(, mad_hi_##S, W, W, T, (U)((U)(((L)x * (L)y) >> BITS) + c))
TSR_FOR_INTEGERS(DEFINE_HIGH, )
static const tsr_handler mul_hi[6] = TSR_INTEGER_TABLE(mul_hi);
static const tsr_handler mad_hi[6] = TSR_INTEGER_TABLE(mad_hi);

TSR_BINARY(TSR_CLONES, mul_lo_16, 32, 32, uint16_t, (uint16_t)(a *b))
TSR_BINARY(TSR_CLONES, mul_lo_32, 32, 32, uint32_t, a *b)
TSR_BINARY(TSR_CLONES, mul_lo_64, 64, 64, uint64_t, a *b)
TSR_TERNARY(TSR_CLONES, mad_lo_16, 32, 32, uint16_t, (uint16_t)(a *b + c))
TSR_TERNARY(TSR_CLONES, mad_lo_32, 32, 32, uint32_t, a *b + c)
TSR_TERNARY(TSR_CLONES, mad_lo_64, 64, 64, uint64_t, a *b + c)
static const tsr_handler mul_lo[6] = {mul_lo_16, mul_lo_16, mul_lo_32,
                                      mul_lo_32, mul_lo_64, mul_lo_64};
static const tsr_handler mad_lo[6] = {mad_lo_16, mad_lo_16, mad_lo_32,
                                      mad_lo_32, mad_lo_64, mad_lo_64};

TSR_BINARY(TSR_CLONES, mul_wide_u16, 32, 32, uint16_t, (uint32_t)x *y)
TSR_BINARY(TSR_CLONES, mul_wide_s16, 32, 32, int16_t, (int32_t)x *y)
TSR_BINARY(TSR_CLONES, mul_wide_u32, 32, 64, uint32_t, (uint64_t)x *y)
TSR_BINARY(TSR_CLONES, mul_wide_s32, 32, 64, int32_t, (int64_t)x *y)
TSR_TERNARY(TSR_CLONES, mad_wide_u16, 32, 32, uint16_t, (uint32_t)x *y + c)
TSR_TERNARY(TSR_CLONES, mad_wide_s16, 32, 32, int16_t,
            (uint32_t)((int32_t)x *y) + c)
TSR_TERNARY(TSR_CLONES, mad_wide_u32, 32, 64, uint32_t, (uint64_t)x *y + c)
TSR_TERNARY(TSR_CLONES, mad_wide_s32, 32, 64, int32_t,
            (uint64_t)((int64_t)x *y) + c)
static const tsr_handler mul_wide[6] = {mul_wide_u16, mul_wide_s16,
                                        mul_wide_u32, mul_wide_s32};
static const tsr_handler mad_wide[6] = {mad_wide_u16, mad_wide_s16,
                                        mad_wide_u32, mad_wide_s32};
TSR_TERNARY(, mad_hi_sat, 32, 32, int32_t,
            clamp32(((int64_t)x * y >> 32) + (int32_t)c))

static const char *const halves[] = {"lo", "hi", "wide", NULL};

static tsr_ptx_type twice(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_U16:
      return TSR_PTX_U32;
    case TSR_PTX_S16:
      return TSR_PTX_S32;
    case TSR_PTX_U32:
      return TSR_PTX_U64;
    default:
      return TSR_PTX_S64;
  }
}

static bool decode_mul(tsr_decoder *d) {
  if (is_float(d)) return tsr_decode_pass(d);
  tsr_ptx_type type;
  tsr_handler handler;
  int half = tsr_mod_need(d, halves, "'.lo', '.hi' or '.wide'");
  if (half < 0) return false;
  if (half < 2) return decode_table(d, half == 0 ? mul_lo : mul_hi, 2);
  if (!need_handler(d, mul_wide, &type, &handler)) return false;
  const tsr_ptx_type types[] = {type, type};
  return tsr_integer_emit(d, handler, twice(type), types, 2);
}

static bool decode_mad_hi_sat(tsr_decoder *d) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_S32) {
    return tsr_decode_error(d, "'.sat' needs type '.s32'");
  }
  return tsr_integer_emit_same(d, mad_hi_sat, type, 3);
}

static bool decode_mad(tsr_decoder *d) {
  if (is_float(d)) return tsr_decode_pass(d);
  tsr_ptx_type type;
  tsr_handler handler;
  int half = tsr_mod_need(d, halves, "'.lo', '.hi' or '.wide'");
  if (half < 0) return false;
  if (half == 2) {
    if (!need_handler(d, mad_wide, &type, &handler)) return false;
    const tsr_ptx_type types[] = {type, type, twice(type)};
    return tsr_integer_emit(d, handler, twice(type), types, 3);
  }
  if (tsr_mod(d, "cc")) {
    return tsr_carry_emit(d, half == 0 ? TSR_CARRY_MAD_LO : TSR_CARRY_MAD_HI,
                          false, true);
  }
  if (half == 1 && tsr_mod(d, "sat")) return decode_mad_hi_sat(d);
  return decode_table(d, half == 0 ? mad_lo : mad_hi, 3);
}

// 24-bit operands (9.7.1.5, 9.7.1.6): the 48-bit product's low or high 32.
static inline int64_t product24s(uint32_t a, uint32_t b) {
  return (int64_t)((int32_t)(a << 8) >> 8) * ((int32_t)(b << 8) >> 8);
}
static inline uint64_t product24u(uint32_t a, uint32_t b) {
  return (uint64_t)(a & 0xffffff) * (b & 0xffffff);
}
TSR_BINARY(, mul24_lo_u, 32, 32, uint32_t, product24u(a, b))
TSR_BINARY(, mul24_lo_s, 32, 32, int32_t, product24s(a, b))
TSR_BINARY(, mul24_hi_u, 32, 32, uint32_t, product24u(a, b) >> 16)
TSR_BINARY(, mul24_hi_s, 32, 32, int32_t, product24s(a, b) >> 16)
TSR_TERNARY(, mad24_lo_u, 32, 32, uint32_t, product24u(a, b) + c)
TSR_TERNARY(, mad24_lo_s, 32, 32, int32_t, (uint32_t)product24s(a, b) + c)
TSR_TERNARY(, mad24_hi_u, 32, 32, uint32_t, (product24u(a, b) >> 16) + c)
TSR_TERNARY(, mad24_hi_s, 32, 32, int32_t,
            (uint32_t)(product24s(a, b) >> 16) + c)
TSR_TERNARY(, mad24_hi_sat, 32, 32, int32_t,
            clamp32((product24s(a, b) >> 16) + (int32_t)c))

static bool decode_24(tsr_decoder *d, uint32_t sources) {
  static const tsr_handler handlers[2][2][2] = {
      {{mul24_lo_u, mul24_lo_s}, {mul24_hi_u, mul24_hi_s}},
      {{mad24_lo_u, mad24_lo_s}, {mad24_hi_u, mad24_hi_s}}};
  static const char *const names[] = {"lo", "hi", NULL};
  int half = tsr_mod_need(d, names, "'.lo' or '.hi'");
  bool saturate = half == 1 && sources == 3 && tsr_mod(d, "sat");
  tsr_ptx_type type;
  if (half < 0 || !tsr_mod_need_type(d, &type)) return false;
  bool is_signed = type == TSR_PTX_S32;
  if ((!is_signed && type != TSR_PTX_U32) || (saturate && !is_signed)) {
    return tsr_integer_bad_type(d, type);
  }
  tsr_handler handler =
      saturate ? mad24_hi_sat : handlers[sources - 2][half][is_signed];
  return tsr_integer_emit_same(d, handler, type, sources);
}

static bool decode_mul24(tsr_decoder *d) {
  return decode_24(d, 2);
}
static bool decode_mad24(tsr_decoder *d) {
  return decode_24(d, 3);
}

// --- Quotients and differences ----------------------------------------------

#define DEFINE_UNSIGNED_DIVISION(S, W, T)                         \
  TSR_BINARY(, div_##S, W, W, T, y == 0 ? (T) ~(T)0 : (T)(x / y)) \
  TSR_BINARY(, rem_##S, W, W, T, y == 0 ? (T) ~(T)0 : (T)(x % y))
DEFINE_UNSIGNED_DIVISION(u16, 32, uint16_t)
DEFINE_UNSIGNED_DIVISION(u32, 32, uint32_t)
DEFINE_UNSIGNED_DIVISION(u64, 64, uint64_t)
// -1 as a divisor is taken apart: the most negative number has no opposite.
#define DEFINE_SIGNED_DIVISION(S, W, T, U) \
  TSR_BINARY(, div_##S, W, W, T,           \
             y == 0    ? (U) ~(U)0         \
             : y == -1 ? (U)(0u - (U)x)    \
                       : (U)(x / y))       \
  TSR_BINARY(, rem_##S, W, W, T,           \
             y == 0    ? (U) ~(U)0         \
             : y == -1 ? (U)0              \
                       : (U)(x % y))
DEFINE_SIGNED_DIVISION(s16, 32, int16_t, uint16_t)
DEFINE_SIGNED_DIVISION(s32, 32, int32_t, uint32_t)
DEFINE_SIGNED_DIVISION(s64, 64, int64_t, uint64_t)
static const tsr_handler divs[6] = TSR_INTEGER_TABLE(div);
static const tsr_handler rems[6] = TSR_INTEGER_TABLE(rem);

#define DEFINE_SAD(S, W, T, U, ...) \
  TSR_TERNARY(, sad_##S, W, W, T, (U)(c + (x < y ? b - a : a - b)))
TSR_FOR_INTEGERS(DEFINE_SAD, )
static const tsr_handler sads[6] = TSR_INTEGER_TABLE(sad);

#define DEFINE_SIGN(S, W, T, U)                         \
  TSR_UNARY(, abs_##S, W, W, T, (U)(x < 0 ? 0 - a : a)) \
  TSR_UNARY(, neg_##S, W, W, T, (U)(0 - a))
DEFINE_SIGN(s16, 32, int16_t, uint16_t)
DEFINE_SIGN(s32, 32, int32_t, uint32_t)
DEFINE_SIGN(s64, 64, int64_t, uint64_t)
static const tsr_handler abss[6] = {NULL,    abs_s16, NULL,
                                    abs_s32, NULL,    abs_s64};
static const tsr_handler negs[6] = {NULL,    neg_s16, NULL,
                                    neg_s32, NULL,    neg_s64};

static bool decode_div(tsr_decoder *d) {
  return is_float(d) ? tsr_decode_pass(d) : decode_table(d, divs, 2);
}
static bool decode_rem(tsr_decoder *d) {
  return decode_table(d, rems, 2);
}
static bool decode_sad(tsr_decoder *d) {
  return decode_table(d, sads, 3);
}
static bool decode_abs(tsr_decoder *d) {
  return is_float(d) ? tsr_decode_pass(d) : decode_table(d, abss, 1);
}
static bool decode_neg(tsr_decoder *d) {
  return is_float(d) ? tsr_decode_pass(d) : decode_table(d, negs, 1);
}

// --- Minimum and maximum ----------------------------------------------------

#define DEFINE_MIN_MAX(S, W, T, U, ...)                        \
  TSR_BINARY(TSR_CLONES, min_##S, W, W, T, (U)(x < y ? x : y)) \
  TSR_BINARY(TSR_CLONES, max_##S, W, W, T, (U)(x > y ? x : y))
TSR_FOR_INTEGERS(DEFINE_MIN_MAX, )
static const tsr_handler mins[6] = TSR_INTEGER_TABLE(min);
static const tsr_handler maxs[6] = TSR_INTEGER_TABLE(max);

static inline int32_t relu(int32_t value) {
  return value < 0 ? 0 : value;
}
TSR_BINARY(, min_relu, 32, 32, int32_t, relu(x < y ? x : y))
TSR_BINARY(, max_relu, 32, 32, int32_t, relu(x > y ? x : y))

// Both halves of a word, each as |T|.
#define HALVES(T, PICK)                     \
  ((uint32_t)(uint16_t)(PICK((T)a, (T)b)) | \
   (uint32_t)(uint16_t)(PICK((T)(a >> 16), (T)(b >> 16))) << 16)
#define LESS(p, q) ((p) < (q) ? (p) : (q))
#define MORE(p, q) ((p) > (q) ? (p) : (q))
#define RELU_LESS(p, q) relu(LESS(p, q))
#define RELU_MORE(p, q) relu(MORE(p, q))
TSR_BINARY(, min_u16x2, 32, 32, uint32_t, HALVES(uint16_t, LESS))
TSR_BINARY(, max_u16x2, 32, 32, uint32_t, HALVES(uint16_t, MORE))
TSR_BINARY(, min_s16x2, 32, 32, uint32_t, HALVES(int16_t, LESS))
TSR_BINARY(, max_s16x2, 32, 32, uint32_t, HALVES(int16_t, MORE))
TSR_BINARY(, min_relu_x2, 32, 32, uint32_t, HALVES(int16_t, RELU_LESS))
TSR_BINARY(, max_relu_x2, 32, 32, uint32_t, HALVES(int16_t, RELU_MORE))

static bool decode_extreme(tsr_decoder *d, bool most) {
  if (is_float(d)) return tsr_decode_pass(d);
  bool clamp = tsr_mod(d, "relu");
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  tsr_handler handler = NULL;
  int index = tsr_integer_index(type);
  if (type == TSR_PTX_S16X2) {
    handler = clamp ? (most ? max_relu_x2 : min_relu_x2)
                    : (most ? max_s16x2 : min_s16x2);
  } else if (clamp) {
    handler = type != TSR_PTX_S32 ? NULL : most ? max_relu : min_relu;
  } else if (type == TSR_PTX_U16X2) {
    handler = most ? max_u16x2 : min_u16x2;
  } else if (index >= 0) {
    handler = most ? maxs[index] : mins[index];
  }
  if (handler == NULL && clamp) {
    return tsr_decode_error(d, "no '.relu' for type '.%s'",
                            tsr_ptx_type_name(type));
  }
  if (handler == NULL) return tsr_integer_bad_type(d, type);
  if ((clamp || index < 0) && !tsr_decode_require(d, 80, 90, 0)) return false;
  return tsr_integer_emit_same(d, handler, type, 2);
}

static bool decode_min(tsr_decoder *d) {
  return decode_extreme(d, false);
}
static bool decode_max(tsr_decoder *d) {
  return decode_extreme(d, true);
}

const tsr_opcode tsr_opcodes_integer[] = {
    {"add", decode_add},     {"sub", decode_sub},
    {"mul", decode_mul},     {"mad", decode_mad},
    {"mul24", decode_mul24}, {"mad24", decode_mad24},
    {"div", decode_div},     {"rem", decode_rem},
    {"sad", decode_sad},     {"abs", decode_abs},
    {"neg", decode_neg},     {"min", decode_min},
    {"max", decode_max},     {0}};
