// SPDX-License-Identifier: Apache-2.0
// Metadata of sparse matrices (PTX ISA 9.7.14.6.1, 9.7.14.6.2): which lane has
// the bits of which row and columns, and which codes are valid.
//
// With g = lane / 4, t = lane % 4, selector f, four bits per group (of four
// elements; of two for tf32), lowest bits first:
//
//   row of 16 kept bytes (m16n8k16 f16/bf16, m16n8k8 tf32): lane t = f has all
//     columns, row g in bits 15:0, row g + 8 in bits 31:16
//   row of 32 kept bytes (m16n8k32, tf32 m16n8k16, wgmma): lanes t = 2f and
//     2f + 1 have the first and the second half of the columns, rows likewise
//   8-bit types have twice as many groups, so a lane has one row only: lanes
//     with t even row g, odd row g + 8; m16n8k32: t / 2 = f; m16n8k64, wgmma:
//     t / 2 is the half of the columns
#include "check/report.h"
#include "tensor/fragment.h"

uint32_t tsr_sparse_selectors(tsr_element type, uint32_t k) {
  // A row's groups of four bits, for two rows, spread over lanes of 32 bits.
  uint32_t groups = type == TSR_ELEMENT_TF32 ? k / 2 : k / 4;
  return 4 / (2 * groups * 4 / 32);
}

// The codes of a row, the first group's lowest.
static uint64_t row_codes(const tsr_sparse *sparse, const uint32_t *metadata,
                          uint32_t row) {
  const uint32_t *group = metadata + 4 * (size_t)(row & 7);
  uint32_t upper = row >> 3, f = sparse->selector;
  switch (tsr_sparse_selectors(sparse->type, sparse->k)) {
    case 4:
      return group[f] >> (16 * upper) & 0xffff;
    case 2:
      if (tsr_element_bytes(sparse->type) == 1) return group[2 * f + upper];
      return (group[2 * f] >> (16 * upper) & 0xffff) |
             (group[2 * f + 1] >> (16 * upper) & 0xffff) << 16;
    default:
      return group[upper] | (uint64_t)group[upper + 2] << 32;
  }
}

// Which lane has the code of |group| of |row|.
static uint32_t code_lane(const tsr_sparse *sparse, uint32_t row,
                          uint32_t group) {
  uint32_t first = 4 * (row & 7), upper = row >> 3, f = sparse->selector;
  switch (tsr_sparse_selectors(sparse->type, sparse->k)) {
    case 4:
      return first + f;
    case 2:
      return first + 2 * f +
             (tsr_element_bytes(sparse->type) == 1 ? upper : group / 4);
    default:
      return first + upper + 2 * (group / 8);
  }
}

static bool code_valid(const tsr_sparse *sparse, uint32_t code) {
  uint32_t first = code & 3, second = code >> 2;
  if (sparse->type == TSR_ELEMENT_TF32) return code == 0x4 || code == 0xe;
  return sparse->ordered ? first < second : first != second;
}

// The first code that is not valid, as a finding.
static void check_codes(tsr_warp *warp, const tsr_op *op,
                        const tsr_sparse *sparse, const uint32_t *metadata) {
  uint32_t size = sparse->type == TSR_ELEMENT_TF32 ? 2 : 4;
  for (uint32_t row = 0; row < TSR_TILE_M; ++row) {
    uint64_t codes = row_codes(sparse, metadata, row);
    for (uint32_t group = 0; group < sparse->k / size; ++group) {
      uint32_t code = codes >> (4 * group) & 15, first = group * size;
      if (code_valid(sparse, code)) continue;
      uint32_t lane = code_lane(sparse, row, group);
      tsr_find(warp, op, lane, TESSERA_EMU_METADATA, false, TSR_NO_ADDRESS,
               "metadata 0x%08x names the invalid pattern 0x%x for columns "
               "%u..%u of row %u",
               metadata[lane], code, first, first + size - 1, row);
      return;
    }
  }
}

void tsr_sparse_index(tsr_warp *warp, const tsr_op *op,
                      const tsr_sparse *sparse, const uint32_t *metadata,
                      tsr_tile_a *a) {
  if ((warp->block->launch->config.checks & TESSERA_EMU_CHECK_NUMERIC) != 0) {
    check_codes(warp, op, sparse, metadata);
  }
  for (uint32_t row = 0; row < TSR_TILE_M; ++row) {
    uint64_t codes = row_codes(sparse, metadata, row);
    uint8_t *index = a->index[row];
    if (sparse->type == TSR_ELEMENT_TF32) {
      for (uint32_t i = 0; i < sparse->k / 2; ++i) {
        index[i] = (uint8_t)(2 * i + (codes >> (4 * i + 1) & 1));
      }
      continue;
    }
    for (uint32_t i = 0; i < sparse->k / 2; ++i) {
      index[i] = (uint8_t)(i / 2 * 4 + (codes >> (2 * i) & 3));
    }
  }
}
