// SPDX-License-Identifier: Apache-2.0
// Bitmaps of written bytes: a bit per byte of memory, in 64-bit words. Blocks
// that run side by side mark the same words, so words change atomically;
// without order, because only presence matters.
#ifndef MEMORY_BITS_H_
#define MEMORY_BITS_H_

#include <stdbool.h>
#include <stdint.h>

// The bits of word |word| that lie in [first, first + count); count > 0.
static inline uint64_t tsr_bits_of_word(uint64_t word, uint64_t first,
                                        uint64_t count) {
  uint64_t low = word == first / 64 ? first % 64 : 0;
  uint64_t end = first + count;
  uint64_t high = word == (end - 1) / 64 ? (end - 1) % 64 : 63;
  return (~UINT64_C(0) << low) & (~UINT64_C(0) >> (63 - high));
}

// |bits| is aligned to 8 bytes and reaches to the end of its last word.
static inline void tsr_bits_set(unsigned char *bits, uint64_t first,
                                uint64_t count) {
  uint64_t *words = (uint64_t *)(void *)bits;
  for (uint64_t w = first / 64; w <= (first + count - 1) / 64; ++w) {
    uint64_t set = tsr_bits_of_word(w, first, count);
    if (set == ~UINT64_C(0)) {
      __atomic_store_n(&words[w], set, __ATOMIC_RELAXED);
      continue;
    }
    // Mostly there already; not writing keeps the line shared.
    if ((__atomic_load_n(&words[w], __ATOMIC_RELAXED) & set) != set) {
      (void)__atomic_fetch_or(&words[w], set, __ATOMIC_RELAXED);
    }
  }
}

static inline void tsr_bits_clear(unsigned char *bits, uint64_t first,
                                  uint64_t count) {
  uint64_t *words = (uint64_t *)(void *)bits;
  for (uint64_t w = first / 64; w <= (first + count - 1) / 64; ++w) {
    (void)__atomic_fetch_and(&words[w], ~tsr_bits_of_word(w, first, count),
                             __ATOMIC_RELAXED);
  }
}

// True when all are set.
static inline bool tsr_bits_all(const unsigned char *bits, uint64_t first,
                                uint64_t count) {
  const uint64_t *words = (const uint64_t *)(const void *)bits;
  for (uint64_t w = first / 64; w <= (first + count - 1) / 64; ++w) {
    uint64_t asked = tsr_bits_of_word(w, first, count);
    if ((__atomic_load_n(&words[w], __ATOMIC_RELAXED) & asked) != asked) {
      return false;
    }
  }
  return true;
}

// The first that is not set; count when all are.
static inline uint64_t tsr_bits_first_clear(const unsigned char *bits,
                                            uint64_t first, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    if (!tsr_bits_all(bits, first + i, 1)) return i;
  }
  return count;
}

#endif  // MEMORY_BITS_H_
