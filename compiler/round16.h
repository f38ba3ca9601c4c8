// SPDX-License-Identifier: Apache-2.0
// Rows of floats to 16-bit patterns, the inner loop of every packer.
#ifndef COMPILER_ROUND16_H_
#define COMPILER_ROUND16_H_

#include <stdbool.h>

#include "base/float16.h"
#include "base/types.h"

// The two below say what base/float16.h says, without branches, so that
// compilers turn them into vector code; tests hold them to it.
static inline void tsr_round_bf16(const float *restrict from,
                                  uint16_t *restrict to, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t bits = tsr_float_bits(from[i]);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    bool is_nan = (int32_t)(bits & 0x7fffffffu) > 0x7f800000;
    to[i] = (uint16_t)(is_nan ? (bits >> 16 | 0x40u) : rounded);
  }
}

static inline void tsr_round_fp16(const float *restrict from,
                                  uint16_t *restrict to, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t bits = tsr_float_bits(from[i]);
    int32_t rest = (int32_t)(bits & 0x7fffffffu);
    uint32_t unsigned_rest = (uint32_t)rest;
    uint32_t normal =
        (unsigned_rest + 0xfffu + (unsigned_rest >> 13 & 1u) - 0x38000000u) >>
        13;
    float magnitude = tsr_float_from_bits(unsigned_rest) + 0.5f;
    uint32_t small = tsr_float_bits(magnitude) - 0x3f000000u;
    uint32_t half = rest < 0x38800000 ? small : normal;
    half = rest >= 0x477ff000 ? 0x7c00u : half;  // from 65520 on
    half = rest > 0x7f800000 ? 0x7e00u : half;   // NaN
    to[i] = (uint16_t)(half | (bits >> 16 & 0x8000u));
  }
}

// |type|: bf16 or f16.
static inline void tsr_round_row(const float *restrict from,
                                 uint16_t *restrict to, uint32_t count,
                                 tsr_dtype type) {
  if (type == TSR_DTYPE_BF16) {
    tsr_round_bf16(from, to, count);
  } else {
    tsr_round_fp16(from, to, count);
  }
}

#endif  // COMPILER_ROUND16_H_
