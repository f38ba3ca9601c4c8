// SPDX-License-Identifier: Apache-2.0
// Between the registers of a warp and tiles, by the formulas of PTX ISA
// 9.7.14.5 and 9.7.14.6.2. With g = lane / 4, t = lane % 4, in bytes:
//
//   A, register i: row g + 8 (i % 2), bytes 16 (i / 2) + 4t .. + 3 of the row
//   B, register i: column g, bytes 16 i + 4t .. + 3 of the column
//   C and D of 32 bits, register i: row g + 8 (i / 2), column 2t + i % 2
//   C and D of f16, register i: row g + 8i, columns 2t (low half), 2t + 1
//
// which holds for every element type; a sparse A is laid out as a dense one of
// its kept elements. wgmma's are the same for each warp's 16 rows, C and D
// repeated for every 8 columns (9.7.15.5.1).
#ifndef TENSOR_FRAGMENT_H_
#define TENSOR_FRAGMENT_H_

#include "tensor/tile.h"

// |registers|: a->kept elements' worth (2 or 4 of them).
static inline void tsr_fragment_a(const uint32_t *const *registers,
                                  uint32_t count, tsr_tile_a *a) {
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t g = 0; g < 8; ++g) {
      memcpy(a->raw[g + 8 * (i & 1)] + 16 * (size_t)(i >> 1),
             &registers[i][4 * g], 16);
    }
  }
}

static inline void tsr_fragment_b(const uint32_t *const *registers,
                                  uint32_t count, tsr_tile_b *b) {
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t g = 0; g < 8; ++g) {
      memcpy(b->raw[g] + 16 * (size_t)i, &registers[i][4 * g], 16);
    }
  }
}

// Accumulators: 4 registers of 32 bits, or 2 with two f16 each.
static inline void tsr_fragment_c(const uint32_t *const *registers, bool half,
                                  tsr_tile_c c) {
  for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
    uint32_t g = lane >> 2, t = lane & 3;
    for (uint32_t h = 0; h < 2; ++h) {
      uint32_t *at = &c[g + 8 * h][2 * t];
      at[0] = half ? registers[h][lane] & 0xffff : registers[2 * h][lane];
      at[1] = half ? registers[h][lane] >> 16 : registers[2 * h + 1][lane];
    }
  }
}

// |registers|: arrays of 32 lanes to fill.
static inline void tsr_fragment_d(tsr_tile_c d, bool half,
                                  uint32_t registers[4][TSR_LANES]) {
  for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
    uint32_t g = lane >> 2, t = lane & 3;
    for (uint32_t h = 0; h < 2; ++h) {
      const uint32_t *at = &d[g + 8 * h][2 * t];
      if (half) {
        registers[h][lane] = at[0] | at[1] << 16;
      } else {
        registers[2 * h][lane] = at[0];
        registers[2 * h + 1][lane] = at[1];
      }
    }
  }
}

// --- Sparse metadata (sparse.c)
// -------------------------------------------------

// How kept elements are named by 4 bits of metadata: two 2-bit indices of a
// group of four; for tf32 one of the two elements of a pair, counted in halves
// of 16 bits, so that 0b0100 is the first and 0b1110 the second.
typedef struct tsr_sparse {
  tsr_element type;
  uint32_t k;         // logical
  uint32_t selector;  // which lanes of each four supply the metadata
  bool ordered;       // ::ordered_metadata
} tsr_sparse;

// How many selectors there are for this type and k: 4 when one lane of four
// supplies the metadata, 2 when two do, 1 when all do.
uint32_t tsr_sparse_selectors(tsr_element type, uint32_t k);

// Fills a->index from the 32 lanes of the metadata operand. Codes that the ISA
// calls invalid are a finding when CHECK_NUMERIC is on.
void tsr_sparse_index(tsr_warp *warp, const tsr_op *op,
                      const tsr_sparse *sparse, const uint32_t *metadata,
                      tsr_tile_a *a);

#endif  // TENSOR_FRAGMENT_H_
