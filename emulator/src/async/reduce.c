// SPDX-License-Identifier: Apache-2.0
// What cp.reduce.async.bulk and red.async do to each element (PTX ISA
// 9.7.9.25.4.2). Sums of f16 and bf16 are made in f32 and rounded once more:
// f32 has more than twice their bits and two, so that is exact rounding.
#include <math.h>
#include <string.h>

#include "async/state.h"
#include "base/float16.h"

// NaN is the canonical one of the ISA, not the one base/float16.h keeps.
static uint16_t half_from_float(float value) {
  return isnan(value) ? 0x7fff : tsr_fp16_from_float(value);
}

static uint16_t bfloat_from_float(float value) {
  return isnan(value) ? 0x7fff : tsr_bf16_from_float(value);
}

// min and max return the operand that is not NaN; -0 is below +0.
static float float_min_max(float a, float b, bool max) {
  if (isnan(a)) return b;
  if (isnan(b)) return a;
  if (a == b) return (signbit(a) != 0) == max ? b : a;
  return (a < b) == max ? b : a;
}

static float reduce_float(tsr_reduction reduction, float a, float b) {
  if (reduction == TSR_REDUCE_ADD) return a + b;
  return float_min_max(a, b, reduction == TSR_REDUCE_MAX);
}

static uint64_t reduce_unsigned(tsr_reduction reduction, uint64_t a,
                                uint64_t b) {
  switch (reduction) {
    case TSR_REDUCE_ADD:
      return a + b;
    case TSR_REDUCE_MIN:
      return a < b ? a : b;
    case TSR_REDUCE_MAX:
      return a > b ? a : b;
    case TSR_REDUCE_INC:
      return a >= b ? 0 : a + 1;
    case TSR_REDUCE_DEC:
      return a == 0 || a > b ? b : a - 1;
    case TSR_REDUCE_AND:
      return a & b;
    case TSR_REDUCE_OR:
      return a | b;
    case TSR_REDUCE_XOR:
      return a ^ b;
    case TSR_REDUCE_NONE:
    default:
      return b;
  }
}

static uint64_t reduce_signed(tsr_reduction reduction, int64_t a, int64_t b) {
  if (reduction == TSR_REDUCE_MIN) return (uint64_t)(a < b ? a : b);
  if (reduction == TSR_REDUCE_MAX) return (uint64_t)(a > b ? a : b);
  return reduce_unsigned(reduction, (uint64_t)a, (uint64_t)b);
}

static uint64_t reduce_element(tsr_reduction reduction, tsr_ptx_type type,
                               uint64_t a, uint64_t b) {
  switch (type) {
    case TSR_PTX_F16:
      return half_from_float(reduce_float(reduction,
                                          tsr_fp16_to_float((uint16_t)a),
                                          tsr_fp16_to_float((uint16_t)b)));
    case TSR_PTX_BF16:
      return bfloat_from_float(reduce_float(reduction,
                                            tsr_bf16_to_float((uint16_t)a),
                                            tsr_bf16_to_float((uint16_t)b)));
    case TSR_PTX_F32:
      return tsr_float_bits(reduce_float(reduction,
                                         tsr_float_from_bits((uint32_t)a),
                                         tsr_float_from_bits((uint32_t)b)));
    case TSR_PTX_F64: {
      double x, y;
      memcpy(&x, &a, sizeof(x));
      memcpy(&y, &b, sizeof(y));
      x += y;  // the only one there is
      memcpy(&a, &x, sizeof(x));
      return a;
    }
    case TSR_PTX_S32:
      return reduce_signed(reduction, (int32_t)a, (int32_t)b);
    case TSR_PTX_S64:
      return reduce_signed(reduction, (int64_t)a, (int64_t)b);
    default:
      return reduce_unsigned(reduction, a, b);
  }
}

// Each element changes at once: other blocks may work on it side by side.
#define REDUCE_ELEMENT(bits)                                                  \
  static void reduce_##bits(tsr_reduction reduction, tsr_ptx_type type,       \
                            unsigned char *target,                            \
                            const unsigned char *source) {                    \
    uint##bits##_t *place = (uint##bits##_t *)(void *)target;                 \
    uint##bits##_t operand, old = __atomic_load_n(place, __ATOMIC_RELAXED);   \
    uint##bits##_t result;                                                    \
    memcpy(&operand, source, sizeof(operand));                                \
    do {                                                                      \
      result = (uint##bits##_t)reduce_element(reduction, type, old, operand); \
    } while (!__atomic_compare_exchange_n(                                    \
        place, &old, result, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));     \
  }
REDUCE_ELEMENT(16)
REDUCE_ELEMENT(32)
REDUCE_ELEMENT(64)

void tsr_reduce_bytes(tsr_reduction reduction, tsr_ptx_type type,
                      unsigned char *target, const unsigned char *source,
                      uint32_t size) {
  if (reduction == TSR_REDUCE_NONE) {
    memcpy(target, source, size);
    return;
  }
  uint32_t element = tsr_ptx_type_bits(type) / 8;
  for (uint32_t at = 0; at + element <= size; at += element) {
    switch (element) {
      case 2:
        reduce_16(reduction, type, target + at, source + at);
        break;
      case 4:
        reduce_32(reduction, type, target + at, source + at);
        break;
      default:
        reduce_64(reduction, type, target + at, source + at);
        break;
    }
  }
}

// The table of 9.7.9.25.4.2, as ptxas 13.0 accepts it.
bool tsr_reduce_allowed(tsr_reduction reduction, tsr_ptx_type type,
                        bool shared) {
  bool word = type == TSR_PTX_U32 || type == TSR_PTX_S32;
  bool small_float = type == TSR_PTX_F16 || type == TSR_PTX_BF16;
  switch (reduction) {
    case TSR_REDUCE_ADD:
      return word || type == TSR_PTX_U64 ||
             (!shared &&
              (small_float || type == TSR_PTX_F32 || type == TSR_PTX_F64));
    case TSR_REDUCE_MIN:
    case TSR_REDUCE_MAX:
      return word || (!shared && (small_float || type == TSR_PTX_U64 ||
                                  type == TSR_PTX_S64));
    case TSR_REDUCE_INC:
    case TSR_REDUCE_DEC:
      return type == TSR_PTX_U32;
    case TSR_REDUCE_AND:
    case TSR_REDUCE_OR:
    case TSR_REDUCE_XOR:
      return type == TSR_PTX_B32 || (!shared && type == TSR_PTX_B64);
    case TSR_REDUCE_NONE:
    default:
      return false;
  }
}
