// SPDX-License-Identifier: Apache-2.0
// Arithmetic on f16, f16x2, bf16 and bf16x2 (PTX ISA 9.7.4; abs, neg, min and
// max too). Only round-to-nearest-even exists. f32 holds sums and products of
// 16-bit numbers well enough that rounding twice is rounding once: exactly, or
// with more than twice the bits and two (Figueroa, 1995); for fma the
// intermediate result is rounded to odd.
#include "ops/float.h"

// --- One 16-bit lane --------------------------------------------------------

typedef struct half_mode {
  bool brain;
  uint32_t flags;
} half_mode;

TSR_LANE float half_in(uint32_t half, half_mode mode) {
  bool ftz = (mode.flags & TSR_FLOAT_FTZ) != 0;
  return tsr_float(
      tsr_half_to_f32(tsr_half_flush(half, mode.brain, ftz), mode.brain));
}
TSR_LANE uint32_t half_out(uint32_t bits, half_mode mode) {
  bool ftz = (mode.flags & TSR_FLOAT_FTZ) != 0;
  uint32_t half =
      tsr_half_flush(tsr_f32_to_half(bits, mode.brain), mode.brain, ftz);
  return tsr_half_finish(half, mode.brain, mode.flags);
}

TSR_LANE uint32_t half_add(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  (void)z;
  return half_out(tsr_float_bits(half_in(x, mode) + half_in(y, mode)), mode);
}
TSR_LANE uint32_t half_sub(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  (void)z;
  return half_out(tsr_float_bits(half_in(x, mode) - half_in(y, mode)), mode);
}
TSR_LANE uint32_t half_mul(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  (void)z;
  return half_out(tsr_float_bits(half_in(x, mode) * half_in(y, mode)), mode);
}

// f32's a + b rounded to odd; a and b far from overflow.
TSR_LANE uint32_t odd_sum_f32(float a, float b) {
  float sum = a + b;
  float b_part = sum - a;
  float error = (a - (sum - b_part)) + (b - b_part);
  uint32_t bits = tsr_float_bits(sum);
  uint32_t step = (bits ^ tsr_float_bits(error)) >> 31 != 0 ? 0xffffffffu : 1u;
  step = (bits & 1) == 0 ? step : 0;
  return bits + (fabsf(error) > 0 ? step : 0);  // as in tsr_odd_sum
}
TSR_LANE uint32_t half_fma(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  float a = half_in(x, mode), b = half_in(y, mode), c = half_in(z, mode);
  uint32_t bits;
  if (mode.brain) {  // f32 could overflow or underflow on the way
    bits =
        tsr_f32_odd_from_double(tsr_odd_sum((double)a * (double)b, (double)c));
  } else {
    bits = odd_sum_f32(a * b, c);  // the product is exact
  }
  bool oob =
      ((x & 0x7fffu) == TSR_NAN_OOB16) | ((y & 0x7fffu) == TSR_NAN_OOB16);
  bool clear = oob & ((mode.flags & TSR_FLOAT_OOB) != 0);
  return clear ? 0 : half_out(bits, mode);
}

// Signed integers in the order of the numbers, -0 below +0.
TSR_LANE int32_t half_key(uint32_t half) {
  uint32_t bits = half << 16;
  return (int32_t)(bits ^ ((0u - (bits >> 31)) & 0x7fffffffu));
}
TSR_LANE uint32_t half_least(uint32_t x, uint32_t y, half_mode mode,
                             bool greatest) {
  bool ftz = (mode.flags & TSR_FLOAT_FTZ) != 0;
  bool xorsign = (mode.flags & TSR_FLOAT_XORSIGN) != 0;
  uint32_t keep = xorsign ? 0x7fffu : 0xffffu;
  uint32_t sign = (x ^ y) & ~keep & 0xffffu;
  x = tsr_half_flush(x, mode.brain, ftz) & keep;
  y = tsr_half_flush(y, mode.brain, ftz) & keep;
  bool x_nan = tsr_half_is_nan(x, mode.brain);
  bool y_nan = tsr_half_is_nan(y, mode.brain);
  bool first = greatest ? half_key(x) > half_key(y) : half_key(x) < half_key(y);
  uint32_t result = ((first | y_nan) & !x_nan) ? x : y;
  bool nan =
      (x_nan & y_nan) | ((x_nan | y_nan) & ((mode.flags & TSR_FLOAT_NAN) != 0));
  return nan ? TSR_NAN_F16 : result | sign;
}
TSR_LANE uint32_t half_min(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  (void)z;
  return half_least(x, y, mode, false);
}
TSR_LANE uint32_t half_max(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  (void)z;
  return half_least(x, y, mode, true);
}
TSR_LANE uint32_t half_sign(uint32_t half, half_mode mode) {
  bool ftz = (mode.flags & TSR_FLOAT_FTZ) != 0;
  return tsr_half_finish(tsr_half_flush(half, mode.brain, ftz), mode.brain, 0);
}
TSR_LANE uint32_t half_abs(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  (void)y, (void)z;
  return half_sign(x & 0x7fffu, mode);
}
TSR_LANE uint32_t half_neg(uint32_t x, uint32_t y, uint32_t z, half_mode mode) {
  (void)y, (void)z;
  return half_sign(x ^ 0x8000u, mode);
}

// --- Handlers ---------------------------------------------------------------

#define LOW(X) ((X)&0xffffu)
#define HIGH(X) ((X) >> 16)
#define MODE(BRAIN) ((half_mode){(BRAIN), flags})
#define PAIR(NAME, BRAIN)                               \
  (NAME(LOW(a[i]), LOW(b[i]), LOW(c[i]), MODE(BRAIN)) | \
   NAME(HIGH(a[i]), HIGH(b[i]), HIGH(c[i]), MODE(BRAIN)) << 16)
#define HALF_HANDLERS(NAME, COUNT)                                             \
  TSR_HANDLER_FLAGS_32(NAME##_f16, COUNT, NAME(a[i], b[i], c[i], MODE(false))) \
  TSR_HANDLER_FLAGS_32(NAME##_bf16, COUNT, NAME(a[i], b[i], c[i], MODE(true))) \
  TSR_HANDLER_FLAGS_32(NAME##_f16x2, COUNT, PAIR(NAME, false))                 \
  TSR_HANDLER_FLAGS_32(NAME##_bf16x2, COUNT, PAIR(NAME, true))

HALF_HANDLERS(half_add, 2)
HALF_HANDLERS(half_sub, 2)
HALF_HANDLERS(half_mul, 2)
HALF_HANDLERS(half_fma, 3)
HALF_HANDLERS(half_min, 2)
HALF_HANDLERS(half_max, 2)
HALF_HANDLERS(half_abs, 1)
HALF_HANDLERS(half_neg, 1)

TSR_HANDLER_32(widen_f16, 1, tsr_f16_to_f32(a[i]))
TSR_HANDLER_32(widen_bf16, 1, tsr_bf16_to_f32(a[i]))

// --- Decoding ---------------------------------------------------------------

bool tsr_is_half(tsr_ptx_type type) {
  return type == TSR_PTX_F16 || type == TSR_PTX_F16X2 || type == TSR_PTX_BF16 ||
         type == TSR_PTX_BF16X2;
}

#define HALF_TABLE(NAME) \
  { NAME##_f16, NAME##_f16x2, NAME##_bf16, NAME##_bf16x2 }
static const tsr_handler handlers[][4] = {
    [TSR_FLOAT_ADD] = HALF_TABLE(half_add),
    [TSR_FLOAT_SUB] = HALF_TABLE(half_sub),
    [TSR_FLOAT_MUL] = HALF_TABLE(half_mul),
    [TSR_FLOAT_FMA] = HALF_TABLE(half_fma),
    [TSR_FLOAT_MIN] = HALF_TABLE(half_min),
    [TSR_FLOAT_MAX] = HALF_TABLE(half_max),
    [TSR_FLOAT_ABS_OP] = HALF_TABLE(half_abs),
    [TSR_FLOAT_NEG] = HALF_TABLE(half_neg),
};

static bool check_combination(tsr_decoder *d, const tsr_float_form *form,
                              bool brain) {
  uint32_t flags = form->flags;
  if (form->round != TSR_ROUND_EVEN) {
    return tsr_decode_error(d, "only .rn rounds 16-bit types");
  }
  if (brain && (flags & (TSR_FLOAT_FTZ | TSR_FLOAT_SAT)) != 0) {
    return tsr_decode_error(d, ".ftz and .sat do not apply to bf16");
  }
  if ((flags & TSR_FLOAT_RELU) != 0 && (flags & TSR_FLOAT_SAT) != 0) {
    return tsr_decode_error(d, ".relu and .sat exclude each other");
  }
  if ((flags & TSR_FLOAT_OOB) != 0 &&
      (flags & (TSR_FLOAT_FTZ | TSR_FLOAT_SAT)) != 0) {
    return tsr_decode_error(d, ".oob excludes .ftz and .sat");
  }
  return true;
}
// Versions as in "PTX ISA Notes" and "Target ISA Notes" of each instruction.
static bool check_target(tsr_decoder *d, tsr_float_op what,
                         const tsr_float_form *form, bool brain) {
  if ((form->flags & TSR_FLOAT_OOB) != 0) {
    return tsr_decode_require(d, 81, 90, 0);
  }
  switch (what) {
    case TSR_FLOAT_ADD:
    case TSR_FLOAT_SUB:
    case TSR_FLOAT_MUL:
      return !brain || tsr_decode_require(d, 78, 90, 0);
    case TSR_FLOAT_FMA:
      return !(brain || (form->flags & TSR_FLOAT_RELU) != 0) ||
             tsr_decode_require(d, 70, 80, 0);
    case TSR_FLOAT_MIN:
    case TSR_FLOAT_MAX:
    case TSR_FLOAT_ABS_OP:
    case TSR_FLOAT_NEG:
      return tsr_decode_require(d, 70, 80, 0);
  }
  return true;
}

bool tsr_half_decode(tsr_decoder *d, tsr_float_op what, tsr_float_form form) {
  bool brain = form.type == TSR_PTX_BF16 || form.type == TSR_PTX_BF16X2;
  bool packed = form.type == TSR_PTX_F16X2 || form.type == TSR_PTX_BF16X2;
  uint32_t count = what == TSR_FLOAT_FMA                               ? 3
                   : what == TSR_FLOAT_ABS_OP || what == TSR_FLOAT_NEG ? 1
                                                                       : 2;
  return check_combination(d, &form, brain) &&
         check_target(d, what, &form, brain) &&
         tsr_float_emit(d, handlers[what][(brain ? 2 : 0) + (packed ? 1 : 0)],
                        &form, count);
}

bool tsr_half_widen(tsr_decoder *d, const tsr_ptx_operand *operand,
                    tsr_ptx_type type, tsr_ref *out_ref) {
  tsr_ref src;
  if (!tsr_source(d, operand, type, &src)) return false;
  *out_ref = tsr_temporary(d, TSR_PTX_F32);
  tsr_op *op = tsr_emit(d, type == TSR_PTX_F16 ? widen_f16 : widen_bf16,
                        TESSERA_EMU_CLASS_CONVERT, 1, 1);
  if (op == NULL) return false;
  op->dst[0] = *out_ref;
  op->src[0] = src;
  return true;
}
