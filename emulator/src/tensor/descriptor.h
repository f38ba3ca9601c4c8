// SPDX-License-Identifier: Apache-2.0
// Matrices in shared memory as wgmma's descriptors name them (PTX ISA
// 9.7.15.5.1, "Shared Memory Matrix Layout").
#ifndef TENSOR_DESCRIPTOR_H_
#define TENSOR_DESCRIPTOR_H_

#include "tensor/tile.h"

typedef struct tsr_matrix_layout {
  uint32_t start, leading, stride;  // bytes; start: a shared address
  uint32_t base;                    // base offset, 0..7
  uint32_t width;    // of a swizzled row in 16-byte chunks: 1 (none), 2, 4, 8
  bool across;       // MN-major ("transposed"): chunks run along M or N
  uint32_t element;  // bytes
} tsr_matrix_layout;

void tsr_matrix_layout_decode(uint64_t descriptor, bool across,
                              uint32_t element, tsr_matrix_layout *out);

// Shared address of a 16-byte chunk. K-major: chunk |chunk| of row |line| of A
// (column of B). MN-major: elements 8 |line| .. + 7 along M or N at K =
// |chunk| (elements of 16 bits only).
uint32_t tsr_matrix_chunk(const tsr_matrix_layout *layout, uint32_t line,
                          uint32_t chunk);

// Copies |rows| rows (columns of B) from |first| on (multiples of 8), |bytes|
// of each, to |out|, rows |pitch| apart. |shared|: where address
// TSR_SHARED_BASE lies.
void tsr_matrix_gather(const tsr_matrix_layout *layout,
                       const unsigned char *shared, uint32_t first,
                       uint32_t rows, uint32_t bytes, unsigned char *out,
                       size_t pitch);

#endif  // TENSOR_DESCRIPTOR_H_
