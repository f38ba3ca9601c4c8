// SPDX-License-Identifier: Apache-2.0
// Matrix descriptors. With T = 16 / bytes per element, the canonical layouts of
// the ISA, which are those of CUTLASS (cute/atom/mma_traits_sm90_gmma.hpp),
// give the byte offset of row r (of A; column of B) and K byte x:
//
//   K-major, no swizzle: 16 (r % 8) + SBO (r / 8) + x % 16 + LBO (x / 16)
//   K-major, width W:    16 W (r % 8) + SBO (r / 8) + x
//
// and of element r along M or N (q = r / T its chunk) at K element k:
//
//   MN-major, no swizzle: SBO q + 16 (k % 8) + LBO (k / 8)
//   MN-major, width W: 16 (q % W) + LBO (q / W) + 16 W (k % 8) + SBO (k / 8)
//
// to which the start address is added; then bits 4.. of the address are
// combined by exclusive or with bits 7.. (as many as W has), counted from the
// base offset where the pattern does not begin at a multiple of 128 W bytes.
#include "tensor/descriptor.h"

void tsr_matrix_layout_decode(uint64_t descriptor, bool across,
                              uint32_t element, tsr_matrix_layout *out) {
  static const uint32_t widths[] = {1, 8, 4, 2};
  *out = (tsr_matrix_layout){
      .start = (uint32_t)(descriptor & 0x3fff) << 4,
      .leading = (uint32_t)(descriptor >> 16 & 0x3fff) << 4,
      .stride = (uint32_t)(descriptor >> 32 & 0x3fff) << 4,
      .base = (uint32_t)(descriptor >> 49 & 7),
      .width = widths[descriptor >> 62],
      .across = across,
      .element = element,
  };
}

uint32_t tsr_matrix_chunk(const tsr_matrix_layout *layout, uint32_t line,
                          uint32_t chunk) {
  uint32_t w = layout->width, offset;
  if (layout->across) {
    offset = 16 * w * (chunk % 8);
    offset += w == 1 ? line * layout->stride + chunk / 8 * layout->leading
                     : line % w * 16 + line / w * layout->leading +
                           chunk / 8 * layout->stride;
  } else {
    offset = 16 * w * (line % 8) + line / 8 * layout->stride;
    offset += chunk * (w == 1 ? layout->leading : 16);
  }
  uint32_t address = (layout->start + offset) & 0x3ffff;
  return address ^ (((address >> 7) - layout->base) & (w - 1)) << 4;
}

void tsr_matrix_gather(const tsr_matrix_layout *layout,
                       const unsigned char *shared, uint32_t first,
                       uint32_t rows, uint32_t bytes, unsigned char *out,
                       size_t pitch) {
  if (!layout->across) {
    for (uint32_t row = 0; row < rows; ++row) {
      for (uint32_t chunk = 0; chunk < bytes / 16; ++chunk) {
        uint32_t at = tsr_matrix_chunk(layout, first + row, chunk);
        memcpy(out + row * pitch + 16 * (size_t)chunk,
               shared + (at - TSR_SHARED_BASE), 16);
      }
    }
    return;
  }
  for (uint32_t row = 0; row < rows; row += 8) {
    for (uint32_t k = 0; k < bytes / 2; ++k) {
      uint32_t at = tsr_matrix_chunk(layout, (first + row) / 8, k);
      const unsigned char *from = shared + (at - TSR_SHARED_BASE);
      for (uint32_t i = 0; i < 8; ++i) {
        memcpy(out + (row + i) * pitch + 2 * (size_t)k, from + 2 * (size_t)i,
               2);
      }
    }
  }
}
