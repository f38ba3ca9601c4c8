// SPDX-License-Identifier: Apache-2.0
// A small generator, the same everywhere, so that a failing case can be named
// by its seed.
#ifndef TESTS_SUPPORT_RANDOM_H_
#define TESTS_SUPPORT_RANDOM_H_

#include <stdint.h>

// SplitMix64 (Steele, Lea, Flood 2014).
static inline uint64_t random_next(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit) {
  return (uint32_t)(random_next(state) >> 32) % limit;
}

static inline float random_uniform(uint64_t *state) {  // [-1, 1)
  return (float)((double)(random_next(state) >> 11) * 0x1p-52 - 1.0);
}

#endif  // TESTS_SUPPORT_RANDOM_H_
