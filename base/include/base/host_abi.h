// SPDX-License-Identifier: Apache-2.0
// The contract between three parties that never meet: compiler/host_pack (lays
// the bytes out), codegen/host (emits code that reads them) and runtime (checks
// them and calls the code). docs/bundle.md tells the same in prose. All values
// are little-endian; the host target exists on little-endian machines only.
//
// Packed tile (host family). A tile of r x c weights is padded to R = r rounded
// up to 8 rows and C = c rounded up to 4 columns with zeros, and cut into
// micro-panels of 32 rows (the last may hold 8, 16 or 24). Inside a micro-panel
// the order is: for each quad of 4 columns, for each unit of 8 rows.
//
// unit: 8 rows x 4 columns = 32 elements, row-major: element 4 * row + column.
//
// dense: units one after the other, 64 bytes each.
//
// sparse24: blocks of 16 units (the last may have fewer). A block is first a
// uint32 mask per unit (bit 4 * row + column set: kept; exactly 2 bits per
// row), padded with zeros to 64 bytes; then the 16 kept elements of each unit
// in mask order, 32 bytes per unit, padded with zeros to 64 bytes. So a stream
// is read strictly upwards, which is what hardware prefetchers follow.
//
// A group that keeps fewer than 2 gets further bits with value zero, the lowest
// free positions first. Every tile starts at a multiple of 64 bytes. A worker's
// stream is its tiles in schedule order; it starts at a multiple of 64 bytes
// and is followed by at least TSR_HOST_STREAM_SLACK readable bytes.
#ifndef BASE_HOST_ABI_H_
#define BASE_HOST_ABI_H_

#include "base/types.h"

enum {
  TSR_HOST_ABI_VERSION = 1,
  TSR_HOST_UNIT_ROWS = 8,
  TSR_HOST_QUAD = 4,
  TSR_HOST_MICRO_ROWS = 32,
  TSR_HOST_ALIGNMENT = 64,
  TSR_HOST_BLOCK_UNITS = 16,  // of a 2:4 block: its masks fill a line
  TSR_HOST_BLOCK_SIZE = 64 + 16 * 32,
  TSR_HOST_STREAM_SLACK = 4096,   // prefetch may run past the end by this much
  TSR_HOST_DEFAULT_WORKERS = 12,  // divides evenly over 1, 2, 3, 4, 6, 12
};

#define TSR_HOST_NO_PARTIAL UINT32_MAX

// Schedule section of a layer: this header, then workers, segments, reductions
// and tiles, in this order, without gaps.
typedef struct tsr_host_schedule {
  uint32_t worker_count;
  uint32_t segment_count;
  uint32_t reduction_count;
  uint32_t tile_count;
  uint32_t partial_count;
  uint32_t reserved[3];  // zero
} tsr_host_schedule;

typedef struct tsr_host_worker {
  uint64_t stream_offset;  // from the start of the layer's stream
  uint64_t stream_size;    // sum of its tiles, padding included
  uint32_t segment_first;
  uint32_t segment_count;
} tsr_host_worker;

typedef struct tsr_host_segment {
  uint32_t panel;
  uint32_t tile_first;
  uint32_t tile_count;
  uint32_t partial;  // slot, or TSR_HOST_NO_PARTIAL: finish and write Y
} tsr_host_segment;

typedef struct tsr_host_reduction {
  uint32_t panel;
  uint32_t partial_first;
  uint32_t partial_count;  // >= 2
  uint32_t reserved;       // zero
} tsr_host_reduction;

// kind << 24 | tile column. Kind is TSR_KIND_SPARSE24 or TSR_KIND_DENSE.
typedef uint32_t tsr_host_tile;

// What a kernel is called with. Every pointer is valid for the whole call; the
// kernel writes only Y, |partials|, |packed_input| and |scratch|.
typedef struct tsr_host_args {
  const uint8_t *stream;             // of this worker; 64-byte aligned
  const tsr_host_segment *segments;  // first of this worker
  const tsr_host_tile *tiles;        // of the layer (segments index into it)
  const tsr_host_reduction *reductions;  // of the layer
  const void *input;                     // X [tokens, columns], input type
  const void *residual;  // [tokens, output columns], output type, or NULL
  const float *bias;     // [rows] or NULL
  void *output;          // Y [tokens, output columns], output type
  int64_t input_stride;  // elements from one token to the next
  int64_t residual_stride;
  int64_t output_stride;
  float *partials;       // slot s: [tokens, tile rows] floats from
                         //   s * tokens * tile_rows; 64-byte aligned
  void *packed_input;    // shared by all workers, or NULL (kernel has no pack)
  void *scratch;         // of this thread alone; 64-byte aligned
  uint64_t token_count;  // >= 1, within the kernel's range
  uint32_t segment_count;  // run: of this worker
  uint32_t first;          // pack: first token; reduce: first reduction
  uint32_t count;          // pack: tokens; reduce: reductions
  uint32_t reserved;
} tsr_host_args;

// Exported by the image under the kernel's symbols. The runtime calls pack (if
// there is one) over all tokens, in any division; then, after a barrier, run
// once per worker; then, after a barrier, reduce over all reductions, in any
// division. Pure functions of their arguments; no calls, no global state.
typedef void (*tsr_host_function)(const tsr_host_args *args);

// Bytes of one packed tile.
static inline uint64_t tsr_host_tile_size(uint32_t rows, uint32_t columns,
                                          tsr_kind kind) {
  uint64_t units = (rows + 7u) / 8u;
  uint64_t quads = (columns + 3u) / 4u;
  if (kind == TSR_KIND_ZERO) return 0;
  if (kind == TSR_KIND_DENSE) return units * quads * 64u;
  uint64_t size = 0;
  for (uint64_t left = units; left != 0;) {
    uint64_t here = left < 4 ? left : 4;
    uint64_t rest = here * quads % TSR_HOST_BLOCK_UNITS;
    size += here * quads / TSR_HOST_BLOCK_UNITS * TSR_HOST_BLOCK_SIZE;
    if (rest != 0) size += 64u + (rest * 32u + 63u) / 64u * 64u;
    left -= here;
  }
  return size;
}

#endif  // BASE_HOST_ABI_H_
