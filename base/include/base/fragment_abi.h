// SPDX-License-Identifier: Apache-2.0
// The contract of the NVIDIA family between compiler/fragment_pack (lays the
// bytes out), kernels (read them) and the runtime (uploads them). One copy of
// the weights serves every kernel of every NVIDIA target. docs/bundle.md tells
// the same in prose. All values are little-endian; sizes are in bytes.
//
// Words. A row block is 16 rows; a row group is up to 4 row blocks (64 rows, a
// warpgroup's share); a k-chunk is 64 columns; a unit is one k-chunk of one row
// group. A tile of r x c weights is padded with zeros to R x C: R is r rounded
// up to 16, C is c rounded up to 16 (dense) or 32 (sparse24). So its last row
// group may have 1 to 3 row blocks, and its last k-chunk fewer columns.
//
// Tile: k-chunks ascending; in a k-chunk its units, row groups ascending.
//
// Fragment: 512 bytes, the A operand of one mma.m16n8k16. Lane l = 4 g + t has
// the 16 bytes from 16 l on, registers 0 to 3 of 2 elements each (the lower
// column in the low half), columns counted from the fragment's first:
//   0: row g,     columns 2t, 2t + 1        1: row g + 8, columns 2t, 2t + 1
//   2: row g,     columns 2t + 8, 2t + 9    3: row g + 8, columns 2t + 8, 2t +
//   9
//
// dense unit: for each 16 columns, for each row block of the group: a fragment.
//
// sparse24 unit: metadata; then for each 32 columns, for each row block: a
// fragment of the 16 kept elements of each row, in the order of their columns:
// the A operand of mma.sp::ordered_metadata.m16n8k32.
//
// Metadata: for each lane w 32-bit words side by side, word b for row block b
// of the group; w = 1, 2, 4, 4 for 1, 2, 3, 4 row blocks. Lane (g, t) covers
// columns 16t to 16t + 15 of the k-chunk, whether the tile has them or not:
// bits 15:0 row g, bits 31:16 row g + 8, 4 bits for each quad (4 columns), the
// first quad lowest. The low two bits of a quad are the column of its first
// kept element, the high two that of its second. The first always precedes the
// second, which leaves 0x4, 0x8, 0x9, 0xc, 0xd and 0xe. So lanes t = 0, 1 have
// what sparsity selector 0 asks for (the k-chunk's columns 0 to 31), lanes
// t = 2, 3 what selector 1 does (32 to 63), and one word does for both.
//
// A quad that keeps fewer than 2 gets further positions with value zero, the
// lowest free ones first; so rows and columns of padding, columns that the last
// k-chunk lacks and the fourth word of 3 row blocks have 0x4 everywhere.
//
// wgmma and wgmma.sp with A in registers take the same words: warp i of the
// warpgroup those of row block i.
//
// Stream of a layer: its tiles that are not zero, panel after panel, in a panel
// ascending by column, without gaps. It starts at a multiple of
// TSR_FRAGMENT_ALIGNMENT, of which every size here is a multiple.
#ifndef BASE_FRAGMENT_ABI_H_
#define BASE_FRAGMENT_ABI_H_

#include "base/types.h"

enum {
  TSR_FRAGMENT_ABI_VERSION = 1,
  TSR_FRAGMENT_ALIGNMENT = 128,
  TSR_FRAGMENT_ROWS = 16,         // of a row block
  TSR_FRAGMENT_GROUP_BLOCKS = 4,  // row blocks of a row group, at most
  TSR_FRAGMENT_GROUP_ROWS = 64,
  TSR_FRAGMENT_CHUNK = 64,  // columns of a k-chunk
  TSR_FRAGMENT_SIZE = 512,  // 32 lanes x 16 bytes
  TSR_FRAGMENT_LANE = 16,   // bytes of a lane's part of a fragment
};

// Row blocks of |rows| rows.
static inline uint32_t tsr_fragment_blocks(uint32_t rows) {
  return (rows + 15u) / 16u;
}

// Row groups of |rows| rows.
static inline uint32_t tsr_fragment_groups(uint32_t rows) {
  return (rows + 63u) / 64u;
}

// Row blocks of row group |group|.
static inline uint32_t tsr_fragment_group_blocks(uint32_t rows,
                                                 uint32_t group) {
  uint32_t left = tsr_fragment_blocks(rows) - 4u * group;
  return left < 4u ? left : 4u;
}

// k-chunks of |columns| columns.
static inline uint32_t tsr_fragment_chunks(uint32_t columns) {
  return (columns + 63u) / 64u;
}

// Columns that one fragment covers: the K of the instruction it is for.
static inline uint32_t tsr_fragment_step_columns(tsr_kind kind) {
  return kind == TSR_KIND_SPARSE24 ? 32u : 16u;
}

// Fragments that |columns| columns of one row block take; what it multiplies
// with 8 tokens is as many instructions of the tensor core, of equal time for
// both kinds.
static inline uint32_t tsr_fragment_steps(uint32_t columns, tsr_kind kind) {
  uint32_t step = tsr_fragment_step_columns(kind);
  return kind == TSR_KIND_ZERO ? 0 : (columns + step - 1u) / step;
}

// As above of k-chunk |chunk| alone.
static inline uint32_t tsr_fragment_chunk_steps(uint32_t columns, tsr_kind kind,
                                                uint32_t chunk) {
  uint32_t left = columns - 64u * chunk;
  return tsr_fragment_steps(left < 64u ? left : 64u, kind);
}

// Metadata words of each lane for a row group of |blocks| row blocks.
static inline uint32_t tsr_fragment_metadata_words(uint32_t blocks) {
  return blocks == 3u ? 4u : blocks;
}

// Bytes of metadata in front of a unit's fragments; 0 unless sparse24.
static inline uint32_t tsr_fragment_metadata_size(uint32_t blocks,
                                                  tsr_kind kind) {
  if (kind != TSR_KIND_SPARSE24) return 0;
  return 32u * 4u * tsr_fragment_metadata_words(blocks);
}

// Bytes of a unit with |steps| fragments for each of |blocks| row blocks.
static inline uint32_t tsr_fragment_unit_size(uint32_t blocks, uint32_t steps,
                                              tsr_kind kind) {
  return tsr_fragment_metadata_size(blocks, kind) +
         blocks * steps * (uint32_t)TSR_FRAGMENT_SIZE;
}

// Bytes of k-chunk |chunk|: the units of all row groups.
static inline uint32_t tsr_fragment_chunk_size(uint32_t rows, uint32_t columns,
                                               tsr_kind kind, uint32_t chunk) {
  uint32_t blocks = tsr_fragment_blocks(rows);
  uint32_t steps = tsr_fragment_chunk_steps(columns, kind, chunk);
  uint32_t rest = blocks % 4u;
  return blocks / 4u * tsr_fragment_unit_size(4, steps, kind) +
         (rest == 0 ? 0 : tsr_fragment_unit_size(rest, steps, kind));
}

// Where the unit of (|chunk|, |group|) starts in its tile. |chunk| may be one
// past the last with |group| 0: the tile's end.
static inline uint64_t tsr_fragment_unit_offset(uint32_t rows, uint32_t columns,
                                                tsr_kind kind, uint32_t chunk,
                                                uint32_t group) {
  uint32_t chunks = tsr_fragment_chunks(columns);
  if (kind == TSR_KIND_ZERO) return 0;
  uint64_t offset = chunk == 0
                        ? 0
                        : (uint64_t)(chunk - 1u) *
                              tsr_fragment_chunk_size(rows, columns, kind, 0);
  if (chunk != 0) {  // only the last may be smaller than the first
    offset += tsr_fragment_chunk_size(rows, columns, kind, chunk - 1u);
  }
  if (chunk == chunks) return offset;
  uint32_t steps = tsr_fragment_chunk_steps(columns, kind, chunk);
  return offset + (uint64_t)group * tsr_fragment_unit_size(4, steps, kind);
}

// Where the fragment of (|step|, |block|) starts in its unit of |blocks| row
// blocks.
static inline uint32_t tsr_fragment_offset(uint32_t blocks, tsr_kind kind,
                                           uint32_t step, uint32_t block) {
  return tsr_fragment_metadata_size(blocks, kind) +
         (step * blocks + block) * (uint32_t)TSR_FRAGMENT_SIZE;
}

// Bytes of one packed tile.
static inline uint64_t tsr_fragment_tile_size(uint32_t rows, uint32_t columns,
                                              tsr_kind kind) {
  return tsr_fragment_unit_offset(rows, columns, kind,
                                  tsr_fragment_chunks(columns), 0);
}

// The same in two parts. Payload is what the format promises: 2 bytes of each
// dense weight, 4.5 of each quad (begun or whole) of a 2:4 row; padding is what
// whole fragments and whole metadata words cost beyond it.
typedef struct tsr_fragment_bytes {
  uint64_t payload;
  uint64_t padding;
} tsr_fragment_bytes;

static inline tsr_fragment_bytes tsr_fragment_tile_bytes(uint32_t rows,
                                                         uint32_t columns,
                                                         tsr_kind kind) {
  tsr_fragment_bytes bytes = {0, 0};
  uint64_t quads = (uint64_t)rows * ((columns + 3u) / 4u);
  if (kind == TSR_KIND_ZERO) return bytes;
  bytes.payload = kind == TSR_KIND_DENSE ? 2u * (uint64_t)rows * columns
                                         : (9u * quads + 1u) / 2u;
  bytes.padding = tsr_fragment_tile_size(rows, columns, kind) - bytes.payload;
  return bytes;
}

// Tensor-core time of one tile or one k-chunk of it, in instructions per 8
// tokens: a 2:4 tile takes half a dense one's.
static inline uint32_t tsr_fragment_tile_time(uint32_t rows, uint32_t columns,
                                              tsr_kind kind) {
  return tsr_fragment_blocks(rows) * tsr_fragment_steps(columns, kind);
}

static inline uint32_t tsr_fragment_chunk_time(uint32_t rows, uint32_t columns,
                                               tsr_kind kind, uint32_t chunk) {
  return tsr_fragment_blocks(rows) *
         tsr_fragment_chunk_steps(columns, kind, chunk);
}

#endif  // BASE_FRAGMENT_ABI_H_
