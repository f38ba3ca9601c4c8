// SPDX-License-Identifier: Apache-2.0
// What a register's bits are worth, for references; registers have 64.
#ifndef TESTS_EMULATOR_BITS_H_
#define TESTS_EMULATOR_BITS_H_

#include <stdint.h>
#include <string.h>

#include "base/float16.h"

static inline float as_float(uint64_t bits) {  // of the lower half
  return tsr_float_from_bits((uint32_t)bits);
}
static inline double as_double(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
static inline uint64_t double_bits(double value) {
  uint64_t word;
  memcpy(&word, &value, sizeof(word));
  return word;
}

#endif  // TESTS_EMULATOR_BITS_H_
