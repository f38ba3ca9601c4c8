// SPDX-License-Identifier: Apache-2.0
// Numbers of any type that tensors have, in arrays of any alignment.
#ifndef TESTS_SUPPORT_NUMBER_H_
#define TESTS_SUPPORT_NUMBER_H_

#include <string.h>

#include "base/float16.h"
#include "base/types.h"

// The 16-bit pattern nearest to |value|, and the value of a pattern.
static inline uint16_t number_bits(float value, tsr_dtype type) {
  return type == TSR_DTYPE_BF16 ? tsr_bf16_from_float(value)
                                : tsr_fp16_from_float(value);
}

static inline float number_value(uint16_t bits, tsr_dtype type) {
  return type == TSR_DTYPE_BF16 ? tsr_bf16_to_float(bits)
                                : tsr_fp16_to_float(bits);
}

static inline float number_load(const void *array, size_t index,
                                tsr_dtype type) {
  const char *at = (const char *)array + index * tsr_dtype_size(type);
  float value;
  uint16_t bits;
  if (type == TSR_DTYPE_F32) {
    memcpy(&value, at, sizeof(value));
    return value;
  }
  memcpy(&bits, at, sizeof(bits));
  return number_value(bits, type);
}

static inline void number_store(void *array, size_t index, tsr_dtype type,
                                float value) {
  char *at = (char *)array + index * tsr_dtype_size(type);
  uint16_t bits = number_bits(value, type);
  if (type == TSR_DTYPE_F32) {
    memcpy(at, &value, sizeof(value));
  } else {
    memcpy(at, &bits, sizeof(bits));
  }
}

#endif  // TESTS_SUPPORT_NUMBER_H_
