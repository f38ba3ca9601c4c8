// SPDX-License-Identifier: Apache-2.0
// A sample of a product of dimensions in which every value of each dimension
// meets every value of each other (a covering array of strength 2): most
// mistakes need no more than two features to meet.
#ifndef TESTS_CUDA_PAIRS_H_
#define TESTS_CUDA_PAIRS_H_

#include <stdbool.h>
#include <stdint.h>

enum { PAIRS_DIMENSIONS = 24, PAIRS_VALUES = 128 };

typedef struct pairs_row {
  uint8_t at[PAIRS_DIMENSIONS];
} pairs_row;

// Fills |rows| for |dimension_count| dimensions of sizes[i] values each; the
// same rows for the same sizes. Returns how many; more than |limit| means that
// there was no room.
uint32_t pairs_generate(const uint32_t *sizes, uint32_t dimension_count,
                        pairs_row *rows, uint32_t limit);

// Whether every pair is in |rows|: counted anew.
bool pairs_complete(const uint32_t *sizes, uint32_t dimension_count,
                    const pairs_row *rows, uint32_t count);

#endif  // TESTS_CUDA_PAIRS_H_
