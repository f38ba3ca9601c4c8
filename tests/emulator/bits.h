// SPDX-License-Identifier: Apache-2.0
// What a register's bits are worth, for references.
#ifndef TESTS_EMULATOR_BITS_H_
#define TESTS_EMULATOR_BITS_H_

#include <stdint.h>
#include <string.h>

static inline float as_float(uint64_t bits) {  // of the lower half
  uint32_t word = (uint32_t)bits;
  float value;
  memcpy(&value, &word, sizeof(value));
  return value;
}
static inline uint32_t float_bits(float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof(word));
  return word;
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
