// SPDX-License-Identifier: Apache-2.0
// cvt among scalars (PTX ISA 9.7.9.21). Every pair, mode and modifier goes
// through tsr_convert_value, which is exact; the pairs that kernels use all the
// time have vector code as well.
#include "ops/convert.h"

static bool is_float(tsr_ptx_type type) {
  return tsr_ptx_type_class(type) == TSR_PTX_KIND_FLOAT;
}
static bool is_signed(tsr_ptx_type type) {
  return tsr_ptx_type_class(type) == TSR_PTX_KIND_SIGNED;
}
static tsr_format format_of(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_F16:
      return TSR_FORMAT_F16;
    case TSR_PTX_BF16:
      return TSR_FORMAT_BF16;
    case TSR_PTX_TF32:
      return TSR_FORMAT_TF32;
    case TSR_PTX_E4M3:
      return TSR_FORMAT_E4M3;
    case TSR_PTX_E5M2:
      return TSR_FORMAT_E5M2;
    case TSR_PTX_F64:
      return TSR_FORMAT_F64;
    default:
      return TSR_FORMAT_F32;
  }
}

// --- Any value --------------------------------------------------------------

static uint64_t low_bits(uint32_t bits) {
  return UINT64_MAX >> (64 - bits);
}
static uint64_t sign_extend(uint64_t value, uint32_t bits) {
  uint64_t sign = UINT64_C(1) << (bits - 1);
  return (value ^ sign) - sign;
}

static tsr_number load_number(uint64_t bits, const tsr_convert *convert) {
  tsr_ptx_type from = convert->from;
  if (is_float(from)) {
    bool ftz = (convert->flags & TSR_FLOAT_FTZ) != 0 && from == TSR_PTX_F32;
    if (ftz) bits = tsr_f32_flush((uint32_t)bits, true);
    return tsr_number_unpack(bits, format_of(from));
  }
  if (!is_signed(from)) return tsr_number_from_integer(bits, false);
  uint64_t value = sign_extend(bits, tsr_ptx_type_bits(from));
  bool negative = value >> 63 != 0;
  return tsr_number_from_integer(negative ? 0 - value : value, negative);
}

static uint64_t store_integer(tsr_number number, const tsr_convert *convert) {
  uint32_t bits = tsr_ptx_type_bits(convert->to);
  // Zero from f32 and shorter to 32 bits and fewer; else the top bit alone.
  if (number.kind == TSR_NUMBER_NAN) {
    bool zero = convert->from != TSR_PTX_F64 && bits < 64;
    return zero ? 0 : UINT64_C(1) << (bits - 1);
  }
  return tsr_number_to_integer(number, bits, is_signed(convert->to),
                               convert->round) &
         low_bits(bits);
}

static uint64_t store_float(tsr_number number, const tsr_convert *convert) {
  tsr_format format = format_of(convert->to);
  const tsr_number zero = {TSR_NUMBER_ZERO, false, 0, 0};
  if (convert->integral) {
    number = tsr_number_integral(number, convert->round);
  }
  bool nan = number.kind == TSR_NUMBER_NAN;
  if ((convert->flags & TSR_FLOAT_RELU) != 0 && !nan && number.negative) {
    number = zero;
  }
  if ((convert->flags & TSR_FLOAT_SAT) != 0) {
    tsr_number one = tsr_number_from_integer(1, false);
    tsr_number less = one;
    less.negative = true;
    if (nan || number.negative) return 0;
    // Above one exactly where number - 1 is positive.
    tsr_number over = number.kind == TSR_NUMBER_FINITE
                          ? tsr_number_add(number, less, TSR_ROUND_EVEN)
                          : number;
    if (over.kind != TSR_NUMBER_ZERO && !over.negative) number = one;
  }
  uint64_t bits = tsr_number_pack(number, format, convert->round,
                                  (convert->flags & TSR_FLOAT_SATFINITE) != 0);
  if ((convert->flags & TSR_FLOAT_FTZ) != 0 && convert->to == TSR_PTX_F32) {
    bits = tsr_f32_flush((uint32_t)bits, true);
  }
  return bits;
}

uint64_t tsr_convert_value(uint64_t bits, const tsr_convert *convert) {
  if (!is_float(convert->from) && !is_float(convert->to)) {
    uint32_t width = tsr_ptx_type_bits(convert->to);
    if ((convert->flags & TSR_FLOAT_SAT) == 0) {
      uint32_t from = tsr_ptx_type_bits(convert->from);
      uint64_t value =
          is_signed(convert->from) ? sign_extend(bits, from) : bits;
      return value & low_bits(width);
    }
  }
  tsr_number number = load_number(bits, convert);
  if (!is_float(convert->to)) return store_integer(number, convert);
  uint64_t result = store_float(number, convert);
  bool kept = number.kind == TSR_NUMBER_NAN && convert->to == TSR_PTX_F64 &&
              convert->from == TSR_PTX_F64 &&
              (convert->flags & TSR_FLOAT_SAT) == 0;
  return kept ? tsr_f64_finish(bits, bits, bits, bits) : result;
}

static tsr_convert convert_of(const tsr_op *op) {
  tsr_convert convert = {.to = (tsr_ptx_type)op->aux[3],
                         .from = (tsr_ptx_type)op->aux[2],
                         .round = (tsr_round)(op->aux[1] & 0xff),
                         .integral = op->aux[1] >> 8 != 0,
                         .flags = op->aux[0]};
  return convert;
}
static tsr_flow convert_any(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_convert convert = convert_of(op);
  bool wide_from = tsr_ptx_type_bits(convert.from) == 64;
  bool wide_to = tsr_ptx_type_bits(convert.to) == 64;
  uint64_t wide[TSR_LANES];
  uint32_t narrow[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint64_t bits = wide_from ? tsr_src64(warp, op->src[0])[i]
                              : tsr_src32(warp, op->src[0])[i];
    wide[i] = tsr_convert_value(bits, &convert);
    narrow[i] = (uint32_t)wide[i];
  }
  if (wide_to) {
    tsr_put64(warp, op->dst[0], mask, wide);
  } else {
    tsr_put32(warp, op->dst[0], mask, narrow);
  }
  return TSR_FLOW_NEXT;
}

// --- Integers to integers ---------------------------------------------------

// imm: the sign bit of the source, 0 when it has none. Without .sat.
#define EXTEND(NAME, FROM, TO)                                               \
  TSR_CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op,          \
                                  uint32_t mask) {                           \
    const uint##FROM##_t *a = tsr_src##FROM(warp, op->src[0]);               \
    uint##TO##_t out[TSR_LANES];                                             \
    uint##TO##_t sign = (uint##TO##_t)op->imm;                               \
    uint##TO##_t keep =                                                      \
        (uint##TO##_t)low_bits(tsr_ptx_type_bits((tsr_ptx_type)op->aux[3])); \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                               \
      out[i] = (((uint##TO##_t)a[i] ^ sign) - sign) & keep;                  \
    }                                                                        \
    tsr_put##TO(warp, op->dst[0], mask, out);                                \
    return TSR_FLOW_NEXT;                                                    \
  }
EXTEND(extend_32_32, 32, 32)
EXTEND(extend_32_64, 32, 64)
EXTEND(extend_64_32, 64, 32)
EXTEND(extend_64_64, 64, 64)

static tsr_handler extend_handler(const tsr_convert *convert) {
  static const tsr_handler table[2][2] = {{extend_32_32, extend_32_64},
                                          {extend_64_32, extend_64_64}};
  return table[tsr_ptx_type_bits(convert->from) == 64]
              [tsr_ptx_type_bits(convert->to) == 64];
}

// --- Floats to integers of up to 32 bits ------------------------------------

// Adding it leaves an integer in the low bits.
#define TO_INTEGER 0x1.8p52

typedef struct integer_range {
  double least, most;
  uint32_t nan, keep;
} integer_range;

static integer_range range_of(const tsr_op *op) {
  tsr_ptx_type to = (tsr_ptx_type)op->aux[3];
  uint32_t bits = tsr_ptx_type_bits(to);
  bool negative = is_signed(to);
  integer_range range;
  range.keep = (uint32_t)low_bits(bits);
  range.most = (double)(negative ? range.keep >> 1 : range.keep);
  range.least = negative ? -range.most - 1 : 0;
  range.nan = op->aux[2] == TSR_PTX_F64 ? 1u << (bits - 1) : 0;
  return range;
}

TSR_LANE double round_even(double value) {
  return (value + TO_INTEGER) - TO_INTEGER;
}
TSR_LANE uint32_t to_integer_lane(double value, double rounded,
                                  integer_range range) {
  rounded = rounded < range.least ? range.least : rounded;
  rounded = rounded > range.most ? range.most : rounded;
  uint32_t bits = (uint32_t)tsr_double_bits(rounded + TO_INTEGER);
  bool nan = value != value;
  return nan ? range.nan : bits & range.keep;
}
TSR_LANE double bounded(double value) {  // for round_even; NaN stays
  value = value < -0x1p40 ? -0x1p40 : value;
  return value > 0x1p40 ? 0x1p40 : value;
}
#define TO_INTEGER_HANDLER(NAME, BITS, VALUE, ROUND)                \
  TSR_CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op, \
                                  uint32_t mask) {                  \
    const uint##BITS##_t *a = tsr_src##BITS(warp, op->src[0]);      \
    bool ftz = (op->aux[0] & TSR_FLOAT_FTZ) != 0;                   \
    integer_range range = range_of(op);                             \
    uint32_t out[TSR_LANES];                                        \
    (void)ftz;                                                      \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                      \
      double value = bounded(VALUE);                                \
      out[i] = to_integer_lane(value, ROUND(value), range);         \
    }                                                               \
    tsr_put32(warp, op->dst[0], mask, out);                         \
    return TSR_FLOW_NEXT;                                           \
  }
#define TO_INTEGER_HANDLERS(NAME, BITS, VALUE)            \
  TO_INTEGER_HANDLER(NAME##_rni, BITS, VALUE, round_even) \
  TO_INTEGER_HANDLER(NAME##_rzi, BITS, VALUE, trunc)      \
  TO_INTEGER_HANDLER(NAME##_rmi, BITS, VALUE, floor)      \
  TO_INTEGER_HANDLER(NAME##_rpi, BITS, VALUE, ceil)

#define F32_VALUE ((double)tsr_float(tsr_f32_flush(a[i], ftz)))
#define F16_VALUE ((double)tsr_float(tsr_f16_to_f32(a[i])))
#define BF16_VALUE ((double)tsr_float(tsr_bf16_to_f32(a[i])))
TO_INTEGER_HANDLERS(f32_to_int, 32, F32_VALUE)
TO_INTEGER_HANDLERS(f64_to_int, 64, tsr_double(a[i]))
TO_INTEGER_HANDLERS(f16_to_int, 32, F16_VALUE)
TO_INTEGER_HANDLERS(bf16_to_int, 32, BF16_VALUE)

static tsr_handler to_integer_handler(const tsr_convert *convert) {
  static const tsr_handler f32[] = {f32_to_int_rni, f32_to_int_rzi,
                                    f32_to_int_rmi, f32_to_int_rpi};
  static const tsr_handler f64[] = {f64_to_int_rni, f64_to_int_rzi,
                                    f64_to_int_rmi, f64_to_int_rpi};
  static const tsr_handler f16[] = {f16_to_int_rni, f16_to_int_rzi,
                                    f16_to_int_rmi, f16_to_int_rpi};
  static const tsr_handler bf16[] = {bf16_to_int_rni, bf16_to_int_rzi,
                                     bf16_to_int_rmi, bf16_to_int_rpi};
  if (tsr_ptx_type_bits(convert->to) > 32) return convert_any;
  switch (convert->from) {
    case TSR_PTX_F32:
      return f32[convert->round];
    case TSR_PTX_F64:
      return f64[convert->round];
    case TSR_PTX_F16:
      return f16[convert->round];
    default:
      return bf16[convert->round];
  }
}

// --- Integers of up to 32 bits to floats ------------------------------------

// imm as in EXTEND. f64 holds them exactly.
#define SIGNED_VALUE ((double)(int32_t)((a[i] ^ sign) - sign))
#define UNSIGNED_VALUE ((double)a[i])
#define FROM_INTEGER_HANDLER(NAME, BITS, VALUE, RESULT)             \
  TSR_CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op, \
                                  uint32_t mask) {                  \
    const uint32_t *a = tsr_src32(warp, op->src[0]);                \
    uint32_t sign = (uint32_t)op->imm;                              \
    tsr_round round = (tsr_round)op->aux[1];                        \
    uint##BITS##_t out[TSR_LANES];                                  \
    (void)sign, (void)round;                                        \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                      \
      double value = VALUE;                                         \
      out[i] = (RESULT);                                            \
    }                                                               \
    tsr_put##BITS(warp, op->dst[0], mask, out);                     \
    return TSR_FLOW_NEXT;                                           \
  }
FROM_INTEGER_HANDLER(signed_to_f32_rn, 32, SIGNED_VALUE,
                     tsr_float_bits((float)value))
FROM_INTEGER_HANDLER(unsigned_to_f32_rn, 32, UNSIGNED_VALUE,
                     tsr_float_bits((float)value))
FROM_INTEGER_HANDLER(signed_to_f32, 32, SIGNED_VALUE,
                     tsr_f32_from_double(value, round))
FROM_INTEGER_HANDLER(unsigned_to_f32, 32, UNSIGNED_VALUE,
                     tsr_f32_from_double(value, round))
FROM_INTEGER_HANDLER(signed_to_f64, 64, SIGNED_VALUE, tsr_double_bits(value))
FROM_INTEGER_HANDLER(unsigned_to_f64, 64, UNSIGNED_VALUE,
                     tsr_double_bits(value))

static tsr_handler from_integer_handler(const tsr_convert *convert) {
  bool negative = is_signed(convert->from);
  if (tsr_ptx_type_bits(convert->from) > 32 ||
      (convert->flags & TSR_FLOAT_SAT) != 0) {
    return convert_any;
  }
  if (convert->to == TSR_PTX_F64) {
    return negative ? signed_to_f64 : unsigned_to_f64;
  }
  if (convert->to != TSR_PTX_F32) return convert_any;
  if (convert->round == TSR_ROUND_EVEN) {
    return negative ? signed_to_f32_rn : unsigned_to_f32_rn;
  }
  return negative ? signed_to_f32 : unsigned_to_f32;
}

// --- Floats to floats -------------------------------------------------------

#define FTZ ((op->aux[0] & TSR_FLOAT_FTZ) != 0)
#define SAT ((op->aux[0] & TSR_FLOAT_SAT) != 0)
TSR_HANDLER_32(f32_to_f16, 1,
               tsr_half_finish(tsr_f32_to_f16(tsr_f32_flush(a[i], FTZ)), false,
                               op->aux[0]))
TSR_HANDLER_32(f32_to_bf16, 1,
               tsr_half_finish(tsr_f32_to_bf16(tsr_f32_flush(a[i], FTZ)), true,
                               op->aux[0]))
TSR_HANDLER_32(f16_to_f32, 1, tsr_f32_finish(tsr_f16_to_f32(a[i]), FTZ, SAT))
TSR_HANDLER_32(bf16_to_f32, 1, tsr_f32_finish(tsr_bf16_to_f32(a[i]), FTZ, SAT))
TSR_HANDLER_32(f32_to_f32, 1, tsr_f32_finish(a[i], FTZ, SAT))

// To integers of the same type; the sign of zero stays.
TSR_LANE uint32_t integral_lane(uint32_t bits, tsr_round round) {
  double value = bounded((double)tsr_float(bits)), rounded = round_even(value);
  rounded = round == TSR_ROUND_ZERO ? trunc(value) : rounded;
  rounded = round == TSR_ROUND_DOWN ? floor(value) : rounded;
  rounded = round == TSR_ROUND_UP ? ceil(value) : rounded;
  uint32_t result = tsr_float_bits((float)rounded);
  bool large = (bits & ~TSR_SIGN32) >= 0x4b000000u;  // 2^23
  return large ? bits : (result & ~TSR_SIGN32) | (bits & TSR_SIGN32);
}
TSR_HANDLER_32(f32_integral, 1,
               tsr_f32_finish(integral_lane(tsr_f32_flush(a[i], FTZ),
                                            (tsr_round)(op->aux[1] & 0xff)),
                              FTZ, SAT))

TSR_CLONES static tsr_flow f64_to_f32(tsr_warp *warp, const tsr_op *op,
                                      uint32_t mask) {
  const uint64_t *a = tsr_src64(warp, op->src[0]);
  uint32_t out[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t bits =
        tsr_f32_from_double(tsr_double(a[i]), (tsr_round)op->aux[1]);
    out[i] = tsr_f32_finish(bits, FTZ, SAT);
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}
TSR_CLONES static tsr_flow f32_to_f64(tsr_warp *warp, const tsr_op *op,
                                      uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  uint64_t out[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    out[i] = tsr_double_bits((double)tsr_float(tsr_f32_flush(a[i], FTZ)));
  }
  tsr_put64(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

static tsr_handler float_handler(const tsr_convert *convert) {
  bool sat = (convert->flags & TSR_FLOAT_SAT) != 0;
  bool satfinite = (convert->flags & TSR_FLOAT_SATFINITE) != 0;
  bool nearest = convert->round == TSR_ROUND_EVEN && !satfinite;
  switch (convert->from) {
    case TSR_PTX_F32:
      if (convert->to == TSR_PTX_F16 && nearest) return f32_to_f16;
      if (convert->to == TSR_PTX_BF16 && nearest) return f32_to_bf16;
      if (convert->to == TSR_PTX_F64 && !sat) return f32_to_f64;
      if (convert->to == TSR_PTX_F32) {
        return convert->integral ? f32_integral : f32_to_f32;
      }
      return convert_any;
    case TSR_PTX_F64:
      return convert->to == TSR_PTX_F32 ? f64_to_f32 : convert_any;
    case TSR_PTX_F16:
      return convert->to == TSR_PTX_F32 ? f16_to_f32 : convert_any;
    case TSR_PTX_BF16:
      return convert->to == TSR_PTX_F32 ? bf16_to_f32 : convert_any;
    default:
      return convert_any;
  }
}

// --- Decoding ---------------------------------------------------------------

bool tsr_convert_emit(tsr_decoder *d, tsr_handler handler,
                      const tsr_convert *convert, uint32_t count, bool wider) {
  tsr_ref dst, src[2];
  if (!tsr_need_operands(d, count + 1, count + 1)) return false;
  if (!(wider ? tsr_destination_wider : tsr_destination)(
          d, tsr_operand(d, 0), convert->to, false, &dst)) {
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (!(wider ? tsr_source_wider : tsr_source)(d, tsr_operand(d, i + 1),
                                                 convert->from, &src[i])) {
      return false;
    }
  }
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_CONVERT, 1, count);
  if (op == NULL) return false;
  op->dst[0] = dst;
  memcpy(op->src, src, count * sizeof(*src));
  op->aux[0] = convert->flags;
  op->aux[1] = (uint32_t)convert->round | (convert->integral ? 1u << 8 : 0);
  op->aux[2] = (uint32_t)convert->from;
  op->aux[3] = (uint32_t)convert->to;
  if (is_signed(convert->from)) {
    op->imm = UINT64_C(1) << (tsr_ptx_type_bits(convert->from) - 1);
  }
  return true;
}

static bool is_scalar(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_U8:
    case TSR_PTX_U16:
    case TSR_PTX_U32:
    case TSR_PTX_U64:
    case TSR_PTX_S8:
    case TSR_PTX_S16:
    case TSR_PTX_S32:
    case TSR_PTX_S64:
    case TSR_PTX_F16:
    case TSR_PTX_BF16:
    case TSR_PTX_F32:
    case TSR_PTX_F64:
      return true;
    default:
      return false;
  }
}

static bool take_modifiers(tsr_decoder *d, tsr_convert *convert) {
  static const char *const narrow[] = {"e2m1x2", "e2m3x2", "e3m2x2", "ue8m0x2",
                                       "e2m1x4", "e2m3x4", "e3m2x4", "e4m3x4",
                                       "e5m2x4", "s2f6x2", NULL};
  static const char *const rounds[] = {"rn",  "rz",  "rm",  "rp",  "rna",
                                       "rni", "rzi", "rmi", "rpi", NULL};
  memset(convert, 0, sizeof(*convert));
  int found = tsr_mod_one_of(d, narrow);
  if (found >= 0) {
    return tsr_decode_error(d, "conversions of .%s are not executed",
                            narrow[found]);
  }
  if (tsr_mod(d, "rs")) {
    return tsr_decode_error(d, "stochastic rounding (.rs) is not executed");
  }
  int round = tsr_mod_one_of(d, rounds);
  convert->rounded = round >= 0;
  convert->integral = round >= 5;
  convert->round = round < 0 ? TSR_ROUND_EVEN : (tsr_round)(round % 5);
  if (tsr_mod(d, "ftz")) convert->flags |= TSR_FLOAT_FTZ;
  if (tsr_mod(d, "sat")) convert->flags |= TSR_FLOAT_SAT;
  if (tsr_mod(d, "relu")) convert->flags |= TSR_FLOAT_RELU;
  if (tsr_mod(d, "satfinite")) convert->flags |= TSR_FLOAT_SATFINITE;
  return tsr_mod_need_type(d, &convert->to) &&
         tsr_mod_need_type(d, &convert->from);
}

static bool needs_rounding(tsr_decoder *d, bool needed, bool integral) {
  return tsr_decode_error(
      d, !needed    ? "rounding modifier not allowed for these types"
         : integral ? "one of .rni, .rzi, .rmi, .rpi expected"
                    : "one of .rn, .rz, .rm, .rp expected");
}
// Which rounding goes with which types: "Rounding modifiers" of cvt.
static bool check_rounding(tsr_decoder *d, const tsr_convert *c) {
  bool brain = c->to == TSR_PTX_BF16 || c->from == TSR_PTX_BF16;
  if (c->round == TSR_ROUND_AWAY) {
    return tsr_decode_error(d, ".rna rounds to .tf32 only");
  }
  if (!is_float(c->to)) {
    bool needed = is_float(c->from);
    bool right = needed ? c->integral : !c->rounded;
    return right || needs_rounding(d, needed, true);
  }
  if (!is_float(c->from)) {
    return (c->rounded && !c->integral) || needs_rounding(d, true, false);
  }
  if (c->to == c->from) {
    return !c->rounded || c->integral || needs_rounding(d, false, false);
  }
  bool narrower = tsr_ptx_type_bits(c->to) < tsr_ptx_type_bits(c->from);
  if (c->integral) return needs_rounding(d, narrower, false);
  if (narrower) return c->rounded || needs_rounding(d, true, false);
  // Exact ones take none, but bf16's are allowed one.
  return !c->rounded || brain || needs_rounding(d, false, false);
}

// .sat makes sense only where values may be out of range.
static bool can_saturate(const tsr_convert *c) {
  if (is_float(c->to) || is_float(c->from)) {
    return c->to != TSR_PTX_BF16 && c->from != TSR_PTX_BF16;
  }
  uint32_t to = tsr_ptx_type_bits(c->to), from = tsr_ptx_type_bits(c->from);
  if (is_signed(c->to) == is_signed(c->from)) return to < from;
  return is_signed(c->from) || to <= from;
}
static bool check_flags(tsr_decoder *d, const tsr_convert *c) {
  bool single = c->to == TSR_PTX_F32 || c->from == TSR_PTX_F32;
  if ((c->flags & TSR_FLOAT_FTZ) != 0 && !single) {
    return tsr_decode_error(d, ".ftz applies to f32 only");
  }
  if ((c->flags & TSR_FLOAT_SAT) != 0 && !can_saturate(c)) {
    return tsr_decode_error(d, ".sat does not apply to these types");
  }
  uint32_t half = c->flags & (TSR_FLOAT_RELU | TSR_FLOAT_SATFINITE);
  if (half == 0) return true;
  if (c->from != TSR_PTX_F32 ||
      (c->to != TSR_PTX_F16 && c->to != TSR_PTX_BF16)) {
    return tsr_decode_error(d,
                            ".relu and .satfinite do not apply to these "
                            "types");
  }
  if (c->round != TSR_ROUND_EVEN && c->round != TSR_ROUND_ZERO) {
    return tsr_decode_error(d, ".rn or .rz expected");
  }
  if ((c->flags & (TSR_FLOAT_SAT | TSR_FLOAT_FTZ)) != 0) {
    return tsr_decode_error(d, ".relu and .satfinite exclude .sat and .ftz");
  }
  return tsr_decode_require(d, (half & TSR_FLOAT_SATFINITE) != 0 ? 81 : 70, 80,
                            0);
}

static bool check_target(tsr_decoder *d, const tsr_convert *c) {
  if (c->to != TSR_PTX_BF16 && c->from != TSR_PTX_BF16) return true;
  if (c->from == TSR_PTX_F32) return tsr_decode_require(d, 70, 80, 0);
  if (c->to == TSR_PTX_F32) return tsr_decode_require(d, 71, 80, 0);
  return tsr_decode_require(d, 78, 90, 0);
}

static bool decode_cvt(tsr_decoder *d) {
  if (tsr_mod(d, "pack")) return tsr_convert_pack(d);
  tsr_convert convert;
  if (!take_modifiers(d, &convert)) return false;
  if (tsr_convert_is_packed(&convert)) return tsr_convert_packed(d, &convert);
  if (!is_scalar(convert.to) || !is_scalar(convert.from)) {
    return tsr_decode_error(d, "no conversion from .%s to .%s",
                            tsr_ptx_type_name(convert.from),
                            tsr_ptx_type_name(convert.to));
  }
  if (!check_rounding(d, &convert) || !check_flags(d, &convert) ||
      !check_target(d, &convert)) {
    return false;
  }
  tsr_handler handler;
  if (is_float(convert.to)) {
    handler = is_float(convert.from) ? float_handler(&convert)
                                     : from_integer_handler(&convert);
  } else if (is_float(convert.from)) {
    handler = to_integer_handler(&convert);
  } else {
    handler = (convert.flags & TSR_FLOAT_SAT) != 0 ? convert_any
                                                   : extend_handler(&convert);
  }
  bool brain = convert.to == TSR_PTX_BF16 || convert.from == TSR_PTX_BF16;
  return tsr_convert_emit(d, handler, &convert, 1, !brain);
}

extern const tsr_opcode tsr_opcodes_convert[];
const tsr_opcode tsr_opcodes_convert[] = {{"cvt", decode_cvt}, {0}};
