// SPDX-License-Identifier: Apache-2.0
// Arithmetic on f32 and f64: add, sub, mul, fma, mad, div, abs, neg, min, max,
// testp, copysign (PTX ISA 9.7.3); the decode side of the 16-bit formats'
// (half.c) begins here too, since they share opcodes.
//
// .rn is the machine's own arithmetic, in vector code. The directed modes of
// f32 compute in f64, exactly or rounded to odd, and round once more; those of
// f64 compute on integers (number.h). Nothing depends on the mode of the
// process but .rn, and launches run in the default mode.
//
// NaNs: f32 results are the canonical one; f64 results are the first NaN
// operand made quiet, or TSR_NAN_F64.
#include "ops/float.h"

// --- f32 --------------------------------------------------------------------

#define F32(X) tsr_float(tsr_f32_flush((X), ftz))
#define WIDE(X) ((double)F32(X))

// The four of round-to-nearest differ in constants, the fifth reads them.
#define F32_HANDLERS(NAME, COUNT, NEAREST, DIRECTED)                          \
  TSR_LANE uint32_t NAME##_lane(uint32_t x, uint32_t y, uint32_t z, bool ftz, \
                                bool sat) {                                   \
    (void)z;                                                                  \
    return tsr_f32_finish(tsr_float_bits(NEAREST), ftz, sat);                 \
  }                                                                           \
  TSR_LANE uint32_t NAME##_directed_lane(uint32_t x, uint32_t y, uint32_t z,  \
                                         uint32_t flags, tsr_round round) {   \
    bool ftz = (flags & TSR_FLOAT_FTZ) != 0;                                  \
    bool sat = (flags & TSR_FLOAT_SAT) != 0;                                  \
    (void)z;                                                                  \
    return tsr_f32_finish(DIRECTED, ftz, sat);                                \
  }                                                                           \
  TSR_HANDLER_32(NAME##_rn, COUNT,                                            \
                 NAME##_lane(a[i], b[i], c[i], false, false))                 \
  TSR_HANDLER_32(NAME##_rn_ftz, COUNT,                                        \
                 NAME##_lane(a[i], b[i], c[i], true, false))                  \
  TSR_HANDLER_32(NAME##_rn_sat, COUNT,                                        \
                 NAME##_lane(a[i], b[i], c[i], false, true))                  \
  TSR_HANDLER_32(NAME##_rn_ftz_sat, COUNT,                                    \
                 NAME##_lane(a[i], b[i], c[i], true, true))                   \
  TSR_HANDLER_32(NAME##_directed, COUNT,                                      \
                 NAME##_directed_lane(a[i], b[i], c[i], op->aux[0],           \
                                      (tsr_round)op->aux[1]))

F32_HANDLERS(f32_add, 2, F32(x) + F32(y),
             tsr_f32_directed_sum(WIDE(x), WIDE(y), round))
F32_HANDLERS(f32_sub, 2, F32(x) - F32(y),
             tsr_f32_directed_sum(WIDE(x), -WIDE(y), round))
F32_HANDLERS(f32_mul, 2, F32(x) * F32(y),
             tsr_f32_from_double(WIDE(x) * WIDE(y), round))
F32_HANDLERS(f32_fma, 3, fmaf(F32(x), F32(y), F32(z)),
             tsr_f32_directed_sum(WIDE(x) * WIDE(y), WIDE(z), round))
// A quotient of f32 numbers that is not one itself is further from every f32
// number than f64's rounding error, so the f64 quotient is on the right side.
F32_HANDLERS(f32_div, 2, F32(x) / F32(y),
             tsr_f32_from_double(WIDE(x) / WIDE(y), round))

#define F32_TABLE(NAME)                                         \
  {                                                             \
    NAME##_rn, NAME##_rn_ftz, NAME##_rn_sat, NAME##_rn_ftz_sat, \
        NAME##_directed                                         \
  }
enum { F32_DIVIDE = TSR_FLOAT_FMA + 1 };
static tsr_handler f32_handler(uint32_t what, const tsr_float_form *form) {
  static const tsr_handler table[][5] = {F32_TABLE(f32_add), F32_TABLE(f32_sub),
                                         F32_TABLE(f32_mul), F32_TABLE(f32_fma),
                                         F32_TABLE(f32_div)};
  _Static_assert(TSR_FLOAT_FTZ == 1 && TSR_FLOAT_SAT == 2, "index of table");
  if (form->round != TSR_ROUND_EVEN) return table[what][4];
  return table[what][form->flags & (TSR_FLOAT_FTZ | TSR_FLOAT_SAT)];
}

// div.approx is a * (1 / b), where a reciprocal that would be subnormal is 0
// (PTX ISA 9.7.3.8: |b| above 2^126).
TSR_LANE uint32_t f32_div_approx_lane(uint32_t x, uint32_t y, bool ftz) {
  float quotient = F32(x) / F32(y);
  uint32_t size = y & ~TSR_SIGN32;
  bool huge = size > 0x7e800000u && size < 0x7f800000u;
  uint32_t zero = (x ^ y) & TSR_SIGN32;
  bool infinite = (x & ~TSR_SIGN32) >= 0x7f800000u;
  uint32_t bits =
      huge ? (infinite ? TSR_NAN_F32 : zero) : tsr_float_bits(quotient);
  return tsr_f32_finish(bits, ftz, false);
}
TSR_HANDLER_32(f32_div_approx, 2, f32_div_approx_lane(a[i], b[i], false))
TSR_HANDLER_32(f32_div_approx_ftz, 2, f32_div_approx_lane(a[i], b[i], true))

// Signed integers in the order of the numbers, -0 below +0.
TSR_LANE int32_t f32_key(uint32_t bits) {
  return (int32_t)(bits ^ ((0u - (bits >> 31)) & 0x7fffffffu));
}
TSR_LANE uint32_t f32_least(uint32_t x, uint32_t y, uint32_t flags,
                            bool greatest) {
  bool x_nan = tsr_f32_is_nan(x), y_nan = tsr_f32_is_nan(y);
  bool first = greatest ? f32_key(x) > f32_key(y) : f32_key(x) < f32_key(y);
  uint32_t result = ((first | y_nan) & !x_nan) ? x : y;
  bool nan = (flags & TSR_FLOAT_NAN) != 0 ? x_nan | y_nan : x_nan & y_nan;
  return nan ? TSR_NAN_F32 : result;
}
TSR_LANE uint32_t f32_least_lane(uint32_t x, uint32_t y, uint32_t flags,
                                 bool greatest) {
  bool ftz = (flags & TSR_FLOAT_FTZ) != 0;
  bool xorsign = (flags & TSR_FLOAT_XORSIGN) != 0;
  uint32_t keep = xorsign ? ~TSR_SIGN32 : 0xffffffffu;
  uint32_t sign = (x ^ y) & ~keep;
  uint32_t result = f32_least(tsr_f32_flush(x, ftz) & keep,
                              tsr_f32_flush(y, ftz) & keep, flags, greatest);
  return tsr_f32_is_nan(result) ? result : result | sign;
}
TSR_LANE uint32_t f32_least3_lane(uint32_t x, uint32_t y, uint32_t z,
                                  uint32_t flags, bool greatest) {
  bool ftz = (flags & TSR_FLOAT_FTZ) != 0;
  uint32_t keep = (flags & TSR_FLOAT_ABS) != 0 ? ~TSR_SIGN32 : 0xffffffffu;
  x = tsr_f32_flush(x, ftz) & keep;
  y = tsr_f32_flush(y, ftz) & keep;
  z = tsr_f32_flush(z, ftz) & keep;
  return f32_least(f32_least(x, y, flags, greatest), z, flags, greatest);
}
TSR_HANDLER_FLAGS_32(f32_min, 2, f32_least_lane(a[i], b[i], flags, false))
TSR_HANDLER_FLAGS_32(f32_max, 2, f32_least_lane(a[i], b[i], flags, true))
TSR_HANDLER_FLAGS_32(f32_min3, 3,
                     f32_least3_lane(a[i], b[i], c[i], flags, false))
TSR_HANDLER_FLAGS_32(f32_max3, 3,
                     f32_least3_lane(a[i], b[i], c[i], flags, true))
TSR_HANDLER_FLAGS_32(f32_abs, 1,
                     tsr_f32_finish(a[i] & ~TSR_SIGN32,
                                    (flags & TSR_FLOAT_FTZ) != 0, false))
TSR_HANDLER_FLAGS_32(f32_neg, 1,
                     tsr_f32_finish(a[i] ^ TSR_SIGN32,
                                    (flags & TSR_FLOAT_FTZ) != 0, false))
TSR_HANDLER_32(f32_copysign, 2, (a[i] & TSR_SIGN32) | (b[i] & ~TSR_SIGN32))

// --- f64 --------------------------------------------------------------------

#define F64(X) tsr_double(X)
#define NUMBER(X) tsr_number_unpack((X), TSR_FORMAT_F64)

static uint64_t f64_directed(uint32_t what, tsr_round round, uint64_t x,
                             uint64_t y, uint64_t z) {
  tsr_number result;
  switch (what) {
    case TSR_FLOAT_ADD:
      result = tsr_number_add(NUMBER(x), NUMBER(y), round);
      break;
    case TSR_FLOAT_SUB:
      result = tsr_number_add(NUMBER(x), NUMBER(y ^ TSR_SIGN64), round);
      break;
    case TSR_FLOAT_MUL:
      result = tsr_number_multiply(NUMBER(x), NUMBER(y));
      break;
    case TSR_FLOAT_FMA:
      result = tsr_number_fma(NUMBER(x), NUMBER(y), NUMBER(z), round);
      break;
    default:
      result = tsr_number_divide(NUMBER(x), NUMBER(y));
      break;
  }
  return tsr_number_pack(result, TSR_FORMAT_F64, round, false);
}

#define F64_HANDLERS(NAME, COUNT, WHAT, NEAREST)                          \
  TSR_LANE uint64_t NAME##_lane(uint64_t x, uint64_t y, uint64_t z) {     \
    return tsr_f64_finish(tsr_double_bits(NEAREST), x, y,                 \
                          (COUNT) > 2 ? z : x);                           \
  }                                                                       \
  TSR_HANDLER_64(NAME##_rn, COUNT, NAME##_lane(a[i], b[i], c[i]))         \
  TSR_HANDLER_64(NAME##_directed, COUNT,                                  \
                 tsr_f64_finish(f64_directed(WHAT, (tsr_round)op->aux[1], \
                                             a[i], b[i], c[i]),           \
                                a[i], b[i], (COUNT) > 2 ? c[i] : a[i]))

F64_HANDLERS(f64_add, 2, TSR_FLOAT_ADD, F64(x) + F64(y))
F64_HANDLERS(f64_sub, 2, TSR_FLOAT_SUB, F64(x) - F64(y))
F64_HANDLERS(f64_mul, 2, TSR_FLOAT_MUL, F64(x) * F64(y))
F64_HANDLERS(f64_fma, 3, TSR_FLOAT_FMA, fma(F64(x), F64(y), F64(z)))
F64_HANDLERS(f64_div, 2, F32_DIVIDE, F64(x) / F64(y))

static tsr_handler f64_handler(uint32_t what, const tsr_float_form *form) {
  static const tsr_handler table[][2] = {{f64_add_rn, f64_add_directed},
                                         {f64_sub_rn, f64_sub_directed},
                                         {f64_mul_rn, f64_mul_directed},
                                         {f64_fma_rn, f64_fma_directed},
                                         {f64_div_rn, f64_div_directed}};
  return table[what][form->round != TSR_ROUND_EVEN];
}

TSR_LANE int64_t f64_key(uint64_t bits) {
  return (int64_t)(bits ^ ((0u - (bits >> 63)) & ~TSR_SIGN64));
}
TSR_LANE uint64_t f64_least(uint64_t x, uint64_t y, bool greatest) {
  bool x_nan = tsr_f64_is_nan(x), y_nan = tsr_f64_is_nan(y);
  bool first = greatest ? f64_key(x) > f64_key(y) : f64_key(x) < f64_key(y);
  uint64_t result = ((first | y_nan) & !x_nan) ? x : y;
  return tsr_f64_finish(result, x, y, x);
}
TSR_HANDLER_64(f64_min, 2, f64_least(a[i], b[i], false))
TSR_HANDLER_64(f64_max, 2, f64_least(a[i], b[i], true))
TSR_HANDLER_64(f64_abs, 1, a[i] & ~TSR_SIGN64)
TSR_HANDLER_64(f64_neg, 1, a[i] ^ TSR_SIGN64)
TSR_HANDLER_64(f64_copysign, 2, (a[i] & TSR_SIGN64) | (b[i] & ~TSR_SIGN64))

// --- testp ------------------------------------------------------------------

static const char *const test_names[] = {
    "finite", "infinite", "number", "notanumber", "normal", "subnormal", NULL};

// Of exponents and fractions; zeros count as normal (PTX ISA 9.7.3.1).
TSR_LANE bool testp_lane(uint32_t test, bool top, bool bottom, bool fraction) {
  switch (test) {
    case 0:
      return !top;
    case 1:
      return top && !fraction;
    case 2:
      return !(top && fraction);
    case 3:
      return top && fraction;
    case 4:
      return !top && !(bottom && fraction);
    default:
      return bottom && fraction;
  }
}
static tsr_flow testp_f32(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint32_t *a = tsr_src32(warp, op->src[0]);
  uint32_t result = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t exponent = a[i] >> 23 & 0xff;
    bool is = testp_lane(op->aux[0], exponent == 0xff, exponent == 0,
                         (a[i] & 0x7fffffu) != 0);
    result |= (uint32_t)is << i;
  }
  tsr_set_pred(warp, op->dst[0], mask, result);
  return TSR_FLOW_NEXT;
}
static tsr_flow testp_f64(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const uint64_t *a = tsr_src64(warp, op->src[0]);
  uint32_t result = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t exponent = (uint32_t)(a[i] >> 52) & 0x7ff;
    bool is = testp_lane(op->aux[0], exponent == 0x7ff, exponent == 0,
                         (a[i] & UINT64_C(0xfffffffffffff)) != 0);
    result |= (uint32_t)is << i;
  }
  tsr_set_pred(warp, op->dst[0], mask, result);
  return TSR_FLOW_NEXT;
}

// --- Decoding ---------------------------------------------------------------

bool tsr_float_modifiers(tsr_decoder *d, uint32_t allowed,
                         tsr_float_form *out_form) {
  static const char *const rounds[] = {"rn", "rz", "rm", "rp", NULL};
  static const struct {
    const char *name;
    uint32_t flag;
  } flags[] = {{"ftz", TSR_FLOAT_FTZ},   {"sat", TSR_FLOAT_SAT},
               {"relu", TSR_FLOAT_RELU}, {"oob", TSR_FLOAT_OOB},
               {"NaN", TSR_FLOAT_NAN},   {"satfinite", TSR_FLOAT_SATFINITE}};
  memset(out_form, 0, sizeof(*out_form));
  int round = tsr_mod_one_of(d, rounds);
  out_form->rounded = round >= 0;
  out_form->round = round > 0 ? (tsr_round)round : TSR_ROUND_EVEN;
  for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); ++i) {
    if ((allowed & flags[i].flag) != 0 && tsr_mod(d, flags[i].name)) {
      out_form->flags |= flags[i].flag;
    }
  }
  return tsr_mod_need_type(d, &out_form->type);
}

bool tsr_float_emit(tsr_decoder *d, tsr_handler handler,
                    const tsr_float_form *form, uint32_t count) {
  tsr_ref dst, src[3];
  if (!tsr_need_operands(d, count + 1, count + 1) ||
      !tsr_destination(d, tsr_operand(d, 0), form->type, false, &dst)) {
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (!tsr_source(d, tsr_operand(d, i + 1), form->type, &src[i])) {
      return false;
    }
  }
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_FLOAT, 1, count);
  if (op == NULL) return false;
  op->dst[0] = dst;
  memcpy(op->src, src, count * sizeof(*src));
  op->aux[0] = form->flags;
  op->aux[1] = (uint32_t)form->round;
  return true;
}

bool tsr_float_no_form(tsr_decoder *d, tsr_ptx_type type) {
  return tsr_decode_error(d, "no such instruction for type .%s",
                          tsr_ptx_type_name(type));
}
static bool refuse_flags(tsr_decoder *d, const tsr_float_form *form,
                         uint32_t refused) {
  if ((form->flags & refused) == 0) return true;
  return tsr_decode_error(d, "modifier not allowed with type .%s",
                          tsr_ptx_type_name(form->type));
}

// add, sub, fma of f32 with 16-bit operands (PTX ISA 9.7.5): the operands are
// made f32 by operations in front, which is exact.
static bool decode_mixed(tsr_decoder *d, tsr_float_op what,
                         const tsr_float_form *form, tsr_ptx_type narrow) {
  uint32_t count = what == TSR_FLOAT_FMA ? 3 : 2;
  tsr_ref dst, src[3];
  if (!tsr_decode_require(d, 86, 100, 0)) return false;
  if ((form->flags & ~(uint32_t)TSR_FLOAT_SAT) != 0) {
    return tsr_decode_error(d, "modifier not allowed with mixed precision");
  }
  if (!tsr_need_operands(d, count + 1, count + 1) ||
      !tsr_destination(d, tsr_operand(d, 0), TSR_PTX_F32, false, &dst) ||
      !tsr_source(d, tsr_operand(d, count), TSR_PTX_F32, &src[count - 1])) {
    return false;
  }
  for (uint32_t i = 0; i + 1 < count; ++i) {
    if (!tsr_half_widen(d, tsr_operand(d, i + 1), narrow, &src[i])) {
      return false;
    }
  }
  tsr_op *op =
      tsr_emit(d, f32_handler(what, form), TESSERA_EMU_CLASS_FLOAT, 1, count);
  if (op == NULL) return false;
  op->dst[0] = dst;
  memcpy(op->src, src, count * sizeof(*src));
  op->aux[0] = form->flags;
  op->aux[1] = (uint32_t)form->round;
  return true;
}

static bool decode_arithmetic(tsr_decoder *d, tsr_float_op what) {
  if (tsr_instruction_kind(d) != TSR_PTX_KIND_FLOAT) return tsr_decode_pass(d);
  uint32_t allowed = TSR_FLOAT_FTZ | TSR_FLOAT_SAT;
  if (what == TSR_FLOAT_FMA) allowed |= TSR_FLOAT_RELU | TSR_FLOAT_OOB;
  tsr_float_form form;
  if (!tsr_float_modifiers(d, allowed, &form)) return false;
  if (what == TSR_FLOAT_FMA && !form.rounded) {
    return tsr_decode_error(d, "rounding modifier expected");
  }
  if (tsr_is_half(form.type)) return tsr_half_decode(d, what, form);
  if (!refuse_flags(d, &form, TSR_FLOAT_RELU | TSR_FLOAT_OOB)) return false;
  uint32_t count = what == TSR_FLOAT_FMA ? 3 : 2;
  if (form.type == TSR_PTX_F64) {
    return refuse_flags(d, &form, TSR_FLOAT_FTZ | TSR_FLOAT_SAT) &&
           tsr_float_emit(d, f64_handler(what, &form), &form, count);
  }
  if (form.type != TSR_PTX_F32) return tsr_float_no_form(d, form.type);
  tsr_ptx_type narrow = tsr_mod_type(d);
  if (narrow != TSR_PTX_NO_TYPE) {
    if (what == TSR_FLOAT_MUL ||
        (narrow != TSR_PTX_F16 && narrow != TSR_PTX_BF16)) {
      return tsr_float_no_form(d, narrow);
    }
    return decode_mixed(d, what, &form, narrow);
  }
  return tsr_float_emit(d, f32_handler(what, &form), &form, count);
}
static bool decode_add(tsr_decoder *d) {
  return decode_arithmetic(d, TSR_FLOAT_ADD);
}
static bool decode_sub(tsr_decoder *d) {
  return decode_arithmetic(d, TSR_FLOAT_SUB);
}
static bool decode_mul(tsr_decoder *d) {
  return decode_arithmetic(d, TSR_FLOAT_MUL);
}
static bool decode_fma(tsr_decoder *d) {
  return decode_arithmetic(d, TSR_FLOAT_FMA);
}

// From sm_20 on the same as fma (PTX ISA 9.7.3.7).
static bool decode_mad(tsr_decoder *d) {
  if (tsr_instruction_kind(d) != TSR_PTX_KIND_FLOAT) return tsr_decode_pass(d);
  tsr_float_form form;
  if (!tsr_float_modifiers(d, TSR_FLOAT_FTZ | TSR_FLOAT_SAT, &form)) {
    return false;
  }
  if (!form.rounded) return tsr_decode_error(d, "rounding modifier expected");
  if (form.type == TSR_PTX_F32) {
    return tsr_float_emit(d, f32_handler(TSR_FLOAT_FMA, &form), &form, 3);
  }
  if (form.type != TSR_PTX_F64) return tsr_float_no_form(d, form.type);
  return refuse_flags(d, &form, TSR_FLOAT_FTZ | TSR_FLOAT_SAT) &&
         tsr_float_emit(d, f64_handler(TSR_FLOAT_FMA, &form), &form, 3);
}

static bool decode_div(tsr_decoder *d) {
  if (tsr_instruction_kind(d) != TSR_PTX_KIND_FLOAT) return tsr_decode_pass(d);
  bool approx = tsr_mod(d, "approx"), full = tsr_mod(d, "full");
  tsr_float_form form;
  if (!tsr_float_modifiers(d, TSR_FLOAT_FTZ, &form)) return false;
  if ((int)approx + (int)full + (int)form.rounded != 1) {
    return tsr_decode_error(d,
                            "one of .approx, .full, .rn, .rz, .rm, .rp "
                            "expected");
  }
  if (form.type == TSR_PTX_F64) {
    if (!form.rounded || form.flags != 0) {
      return tsr_decode_error(d, "rounding modifier alone expected with .f64");
    }
    return tsr_float_emit(d, f64_handler(F32_DIVIDE, &form), &form, 2);
  }
  if (form.type != TSR_PTX_F32) return tsr_float_no_form(d, form.type);
  tsr_handler handler = f32_handler(F32_DIVIDE, &form);  // .full: within 2 ulp
  if (approx) {
    handler = form.flags != 0 ? f32_div_approx_ftz : f32_div_approx;
  }
  return tsr_float_emit(d, handler, &form, 2);
}

static bool decode_sign(tsr_decoder *d, tsr_float_op what) {
  if (tsr_instruction_kind(d) != TSR_PTX_KIND_FLOAT) return tsr_decode_pass(d);
  tsr_float_form form = {0};
  if (tsr_mod(d, "ftz")) form.flags |= TSR_FLOAT_FTZ;
  if (!tsr_mod_need_type(d, &form.type)) return false;
  if (tsr_is_half(form.type)) return tsr_half_decode(d, what, form);
  bool negate = what == TSR_FLOAT_NEG;
  if (form.type == TSR_PTX_F64) {
    return refuse_flags(d, &form, TSR_FLOAT_FTZ) &&
           tsr_float_emit(d, negate ? f64_neg : f64_abs, &form, 1);
  }
  if (form.type != TSR_PTX_F32) return tsr_float_no_form(d, form.type);
  return tsr_float_emit(d, negate ? f32_neg : f32_abs, &form, 1);
}
static bool decode_abs(tsr_decoder *d) {
  return decode_sign(d, TSR_FLOAT_ABS_OP);
}
static bool decode_neg(tsr_decoder *d) {
  return decode_sign(d, TSR_FLOAT_NEG);
}

static bool take_least(tsr_decoder *d, tsr_float_form *out_form) {
  memset(out_form, 0, sizeof(*out_form));
  if (tsr_mod(d, "ftz")) out_form->flags |= TSR_FLOAT_FTZ;
  if (tsr_mod(d, "NaN")) out_form->flags |= TSR_FLOAT_NAN;
  if (tsr_mod(d, "xorsign")) out_form->flags |= TSR_FLOAT_XORSIGN;
  if (tsr_mod(d, "abs")) out_form->flags |= TSR_FLOAT_ABS;
  return tsr_mod_need_type(d, &out_form->type);
}
static bool decode_least(tsr_decoder *d, tsr_float_op what) {
  if (tsr_instruction_kind(d) != TSR_PTX_KIND_FLOAT) return tsr_decode_pass(d);
  bool greatest = what == TSR_FLOAT_MAX;
  tsr_float_form form;
  if (!take_least(d, &form)) return false;
  bool xorsign = (form.flags & TSR_FLOAT_XORSIGN) != 0;
  bool abs = (form.flags & TSR_FLOAT_ABS) != 0;
  if (form.type == TSR_PTX_F32 && tsr_operand_count(d) == 4) {
    if (!tsr_decode_require(d, 88, 100, 0) ||
        !refuse_flags(d, &form, TSR_FLOAT_XORSIGN)) {
      return false;
    }
    return tsr_float_emit(d, greatest ? f32_max3 : f32_min3, &form, 3);
  }
  if (xorsign != abs) {
    return tsr_decode_error(d, ".xorsign and .abs go together");
  }
  if (xorsign && !tsr_decode_require(d, 72, 86, 0)) return false;
  if (tsr_is_half(form.type)) return tsr_half_decode(d, what, form);
  if (form.type == TSR_PTX_F64) {
    return refuse_flags(d, &form, UINT32_MAX) &&
           tsr_float_emit(d, greatest ? f64_max : f64_min, &form, 2);
  }
  if (form.type != TSR_PTX_F32) return tsr_float_no_form(d, form.type);
  if ((form.flags & TSR_FLOAT_NAN) != 0 && !tsr_decode_require(d, 70, 80, 0)) {
    return false;
  }
  return tsr_float_emit(d, greatest ? f32_max : f32_min, &form, 2);
}
static bool decode_min(tsr_decoder *d) {
  return decode_least(d, TSR_FLOAT_MIN);
}
static bool decode_max(tsr_decoder *d) {
  return decode_least(d, TSR_FLOAT_MAX);
}

static bool decode_copysign(tsr_decoder *d) {
  tsr_float_form form = {0};
  if (!tsr_mod_need_type(d, &form.type)) return false;
  if (form.type != TSR_PTX_F32 && form.type != TSR_PTX_F64) {
    return tsr_float_no_form(d, form.type);
  }
  return tsr_float_emit(
      d, form.type == TSR_PTX_F32 ? f32_copysign : f64_copysign, &form, 2);
}

static bool decode_testp(tsr_decoder *d) {
  tsr_ptx_type type;
  tsr_ref dst, src;
  int test = tsr_mod_need(d, test_names, "property");
  if (test < 0 || !tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_F32 && type != TSR_PTX_F64)
    return tsr_float_no_form(d, type);
  if (!tsr_need_operands(d, 2, 2) ||
      !tsr_destination(d, tsr_operand(d, 0), TSR_PTX_PRED, false, &dst) ||
      !tsr_source(d, tsr_operand(d, 1), type, &src)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, type == TSR_PTX_F32 ? testp_f32 : testp_f64,
                        TESSERA_EMU_CLASS_FLOAT, 1, 1);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->src[0] = src;
  op->aux[0] = (uint32_t)test;
  return true;
}

extern const tsr_opcode tsr_opcodes_float[];
const tsr_opcode tsr_opcodes_float[] = {{"add", decode_add},
                                        {"sub", decode_sub},
                                        {"mul", decode_mul},
                                        {"fma", decode_fma},
                                        {"mad", decode_mad},
                                        {"div", decode_div},
                                        {"abs", decode_abs},
                                        {"neg", decode_neg},
                                        {"min", decode_min},
                                        {"max", decode_max},
                                        {"copysign", decode_copysign},
                                        {"testp", decode_testp},
                                        {0}};
