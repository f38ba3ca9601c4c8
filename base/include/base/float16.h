// SPDX-License-Identifier: Apache-2.0
// bfloat16 and IEEE 754 binary16, as bit patterns in uint16_t. Rounding is to
// nearest, ties to even; NaN stays NaN (quiet); no flush of subnormals.
#ifndef BASE_FLOAT16_H_
#define BASE_FLOAT16_H_

#include <stdint.h>
#include <string.h>

static inline float tsr_float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static inline uint32_t tsr_float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static inline float tsr_bf16_to_float(uint16_t bits) {
  return tsr_float_from_bits((uint32_t)bits << 16);
}

static inline uint16_t tsr_bf16_from_float(float value) {
  uint32_t bits = tsr_float_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (uint16_t)(bits >> 16 | 0x40u);
  }
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float tsr_fp16_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
  uint32_t rest = half & 0x7fffu;
  if (rest >= 0x7c00u) {  // infinity, NaN
    return tsr_float_from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  }
  // Moving the 15 bits into place leaves the exponent 112 too small; the
  // multiplication mends it and normalises subnormals exactly.
  float magnitude = tsr_float_from_bits(rest << 13) *
                    tsr_float_from_bits(0x77800000u);  // 2^112
  return tsr_float_from_bits(sign | tsr_float_bits(magnitude));
}

static inline uint16_t tsr_fp16_from_float(float value) {
  uint32_t bits = tsr_float_bits(value);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
  uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
  if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);  // >= 65520
  if (rest < 0x38800000u) {  // below 2^-14: subnormal or zero
    // Adding 0.5 aligns the unit of 2^-24 with the last bit of the mantissa
    // and rounds to nearest even.
    float shifted = tsr_float_from_bits(rest) + 0.5f;
    return (uint16_t)(sign | (tsr_float_bits(shifted) - 0x3f000000u));
  }
  rest += 0xfffu + (rest >> 13 & 1u);
  return (uint16_t)(sign | (rest - 0x38000000u) >> 13);
}

#endif  // BASE_FLOAT16_H_
