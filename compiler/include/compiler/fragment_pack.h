// SPDX-License-Identifier: Apache-2.0
// Packs and unpacks tiles of the NVIDIA family (layout: base/fragment_abi.h)
// and cuts a layer's stream between workers. The host's schedule
// (compiler/schedule.h) cuts between tiles; here a cut may go between any two
// k-chunks, because a hundred thread blocks share a layer that may have few
// tiles for each of them. The stream is the same for any number of workers.
#ifndef COMPILER_FRAGMENT_PACK_H_
#define COMPILER_FRAGMENT_PACK_H_

#include "base/fragment_abi.h"
#include "compiler/schedule.h"

// tsr_tile_cost of the NVIDIA family, in bytes and in tensor-core time
// (instructions per 8 tokens).
uint64_t tsr_fragment_byte_cost(const tsr_tile_grid *grid, uint32_t panel,
                                uint32_t column, tsr_kind kind);
uint64_t tsr_fragment_time_cost(const tsr_tile_grid *grid, uint32_t panel,
                                uint32_t column, tsr_kind kind);

// Packs one tile; parameters as tsr_host_pack_tile's. |out| takes
// tsr_fragment_tile_size bytes, 16-byte aligned.
void tsr_fragment_pack_tile(const float *values, size_t value_stride,
                            const uint8_t *keep, size_t keep_stride,
                            uint32_t column, uint32_t rows, uint32_t columns,
                            tsr_kind kind, tsr_dtype type, void *out);

// The inverse: |values| [rows, columns] of 16-bit patterns, |keep| one byte per
// weight (0 or 1; for dense all 1). Written separately from pack, by index
// formula, so that one does not hide the other's mistake. Values and metadata
// of padding are checked, and that every metadata code is an ordered one:
// TSR_CORRUPT otherwise.
TSR_MUST_USE tsr_status tsr_fragment_unpack_tile(
    const void *packed, uint32_t rows, uint32_t columns, tsr_kind kind,
    uint16_t *values, uint8_t *keep, tsr_error *error);

// ---- Cuts ------------------------------------------------------------------

// A step is one k-chunk of one tile: what all its row groups multiply with 64
// columns of X. A share is a run of steps.

// The part of one panel that one worker does.
typedef struct tsr_fragment_segment {
  uint32_t panel;
  uint32_t tile_first;   // into tsr_fragment_cuts.tiles
  uint32_t tile_count;   // that it touches; 0: a panel without tiles
  uint32_t chunk_first;  // of the first tile: where it begins
  uint32_t chunk_end;    // of the last tile: where it ends (exclusive)
  uint32_t partial;      // slot, or TSR_NO_PARTIAL: finish and write Y
} tsr_fragment_segment;

// The bytes of a worker's segments are one range of the stream.
typedef struct tsr_fragment_worker {
  uint32_t segment_first;
  uint32_t segment_count;
  uint32_t step_first;  // of the layer's steps
  uint32_t step_count;
  uint64_t stream_offset;  // from the start of the layer's stream
  uint64_t stream_size;
  uint64_t time;  // tensor-core time
} tsr_fragment_worker;

typedef struct tsr_fragment_cuts {
  const tsr_tile_grid *grid;
  tsr_fragment_worker *workers;
  uint32_t worker_count;
  tsr_fragment_segment *segments;  // ascending by panel, then by worker
  uint32_t segment_count;
  tsr_scheduled_tile *tiles;
  uint32_t tile_count;
  uint32_t step_count;
  tsr_reduction *reductions;  // of split panels, ascending; slots likewise
  uint32_t reduction_count;
  uint32_t partial_count;
  uint64_t stream_size;
} tsr_fragment_cuts;

// |options.workers|: 1 to 65536; fewer are used when there are fewer steps.
// |options.balance| says what shares are equal in: bytes, tensor-core time, or
// (TILES) steps. Every cut goes to the step boundary nearest to its ideal
// place, so a share differs from the ideal by at most one step; without
// |options.split_panels| to the nearest end of a panel. All memory comes from
// |arena|.
TSR_MUST_USE tsr_status
tsr_fragment_cuts_build(tsr_arena *arena, const tsr_tile_grid *grid,
                        const tsr_plan_schedule *options,
                        tsr_fragment_cuts *out_cuts, tsr_error *error);

#endif  // COMPILER_FRAGMENT_PACK_H_
