// SPDX-License-Identifier: Apache-2.0
// The loops that every weight passes through: element types to float, and rows
// of keep bits (bit c % 8, LSB first, of byte c / 8; bits behind the last
// column are clear). Written with GCC's vector extension, which gcc and clang
// lower to whatever the machine has.
#ifndef COMPILER_IMPORT_CONVERT_H_
#define COMPILER_IMPORT_CONVERT_H_

#include <stdbool.h>

#include "base/types.h"

// |count| elements of |type| at |data| (any alignment) as floats, exactly.
void tsr_convert_to_float(tsr_dtype type, const uint8_t *data, size_t count,
                          float *values);

// Bytes of a row of |count| bits.
static inline size_t tsr_bits_size(size_t count) {
  return count / 8 + (count % 8 != 0);
}

static inline bool tsr_bits_get(const uint8_t *bits, size_t index) {
  return (bits[index / 8] >> (index % 8) & 1) != 0;
}

// Sets all |count| bits.
void tsr_bits_fill(uint8_t *bits, size_t count);
// Clears bits [begin, end).
void tsr_bits_clear(uint8_t *bits, size_t begin, size_t end);
uint64_t tsr_bits_count(const uint8_t *bits, size_t size);
// Bit i of |out_bits| is bit |first| + i of |flat|, which is MSB first
// (numpy.packbits). |flat_size| bytes may be read.
void tsr_bits_from_msb(const uint8_t *flat, size_t flat_size, uint64_t first,
                       size_t count, uint8_t *out_bits);
// Bit i tells that |values[i]| is not zero (NaN is not, -0 is).
void tsr_bits_from_nonzero(const float *values, size_t count,
                           uint8_t *out_bits);
// Bits of the 2 largest magnitudes of every aligned group of 4 (of equals the
// first; NaN counts as largest).
void tsr_bits_from_largest(const float *values, size_t count,
                           uint8_t *out_bits);
// Sets |values[i]| to +0 where bit i is clear.
void tsr_mask_floats(const uint8_t *bits, size_t count, float *values);
// The first aligned group of 4 in [begin, end) (multiples of 4, but for the
// row's end) that keeps more than |most|; |end| / 4 rounded up when there is
// none.
size_t tsr_bits_find_group(const uint8_t *bits, size_t begin, size_t end,
                           unsigned most);

#endif  // COMPILER_IMPORT_CONVERT_H_
