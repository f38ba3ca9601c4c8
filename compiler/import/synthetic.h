// SPDX-License-Identifier: Apache-2.0
// Weights and masks from a seed, for benchmarks without a checkpoint. Counter
// based: any row can be made at any time, on any thread, with the same result
// on every machine.
#ifndef COMPILER_IMPORT_SYNTHETIC_H_
#define COMPILER_IMPORT_SYNTHETIC_H_

#include "base/status.h"
#include "compiler/kind.h"

// Changes whenever the numbers below would: part of content hashes.
enum { TSR_SYNTHETIC_VERSION = 1 };

// The stream of numbers of |seed| that belongs to |name|.
uint64_t tsr_synthetic_key(uint64_t seed, const char *name);

// One row of a matrix of |columns| in_features: odd integers of roughly normal
// distribution (a sum of 4 bytes, standard deviation about 37, at most 127)
// times the power of two nearest to 1 / (37 sqrt(columns)). Never zero; exact
// in bfloat16 and in binary16.
void tsr_synthetic_row(uint64_t key, uint32_t row, uint32_t columns,
                       float *values);

// A random keep mask over |rows| rows, |stride| bytes from one to the next
// (tsr_matrix_read's bits; overwritten). Of the tiles of |tile| exactly
// round(|sparse24_fraction| * tiles) keep 2 random of each group of 4 and
// round(|zero_fraction| * tiles) keep nothing; the rest keep everything.
TSR_MUST_USE tsr_status tsr_synthetic_mask(uint64_t key, tsr_tile_shape tile,
                                           double sparse24_fraction,
                                           double zero_fraction, uint32_t rows,
                                           uint32_t columns, size_t stride,
                                           uint8_t *keep, tsr_error *error);

#endif  // COMPILER_IMPORT_SYNTHETIC_H_
