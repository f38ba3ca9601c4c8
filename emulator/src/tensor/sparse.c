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

// The four bits of |group| of |row|, and the lane that has them.
static uint32_t group_code(const tsr_sparse *sparse, const uint32_t *metadata,
                           uint32_t row, uint32_t group, uint32_t *out_lane) {
  uint32_t g = row & 7, upper = row >> 3, t, shift;
  if (tsr_element_bytes(sparse->type) == 1) {
    t = upper + 2 * (sparse->k == 64 ? group / 8 : sparse->selector);
    shift = 4 * (group % 8);
  } else {
    bool pair = tsr_sparse_selectors(sparse->type, sparse->k) == 2;
    t = pair ? 2 * sparse->selector + group / 4 : sparse->selector;
    shift = 16 * upper + 4 * (group % 4);
  }
  *out_lane = 4 * g + t;
  return metadata[*out_lane] >> shift & 15;
}

static bool code_valid(const tsr_sparse *sparse, uint32_t code) {
  uint32_t first = code & 3, second = code >> 2;
  if (sparse->type == TSR_ELEMENT_TF32) return code == 0x4 || code == 0xe;
  return sparse->ordered ? first < second : first != second;
}

void tsr_sparse_index(tsr_warp *warp, const tsr_op *op,
                      const tsr_sparse *sparse, const uint32_t *metadata,
                      tsr_tile_a *a) {
  bool check =
      (warp->block->launch->config.checks & TESSERA_EMU_CHECK_NUMERIC) != 0;
  bool single = sparse->type == TSR_ELEMENT_TF32;
  uint32_t size = single ? 2 : 4;
  a->repeated = false;
  for (uint32_t row = 0; row < TSR_TILE_M; ++row) {
    for (uint32_t group = 0; group < sparse->k / size; ++group) {
      uint32_t lane, first = group * size;
      uint32_t code = group_code(sparse, metadata, row, group, &lane);
      if (check && !code_valid(sparse, code)) {
        tsr_find(warp, op, lane, TESSERA_EMU_METADATA, false, TSR_NO_ADDRESS,
                 "metadata 0x%08x names the invalid pattern 0x%x for columns "
                 "%u..%u of row %u",
                 metadata[lane], code, first, first + size - 1, row);
        check = false;  // one per instruction
      }
      if (single) {
        a->index[row][group] = (uint8_t)(first + (code & 3) / 2);
        continue;
      }
      a->index[row][2 * group] = (uint8_t)(first + (code & 3));
      a->index[row][2 * group + 1] = (uint8_t)(first + (code >> 2));
      a->repeated = a->repeated || (code & 3) == code >> 2;
    }
  }
}
