// SPDX-License-Identifier: Apache-2.0
// Tile grid -> schedule: which worker does which tiles, in which order. Fixed
// at compile time. The non-zero tiles, panel by panel and left to right, are
// cut into contiguous shares of equal cost; a panel that a cut goes through is
// "split": its workers leave fp32 partial sums which are added in the order of
// the workers, so results never depend on timing or on the number of threads.
#ifndef COMPILER_SCHEDULE_H_
#define COMPILER_SCHEDULE_H_

#include "base/arena.h"
#include "base/buffer.h"
#include "compiler/kind.h"
#include "frontend/plan.h"

#define TSR_NO_PARTIAL UINT32_MAX

// A run of tiles of one panel done by one worker.
typedef struct tsr_segment {
  uint32_t panel;
  uint32_t tile_first;  // into tsr_schedule.tiles
  uint32_t tile_count;  // 0: a panel without tiles, which still gets its bias
  uint32_t partial;     // slot of the partial sums, or TSR_NO_PARTIAL: direct
} tsr_segment;

typedef struct tsr_scheduled_tile {
  uint32_t column;  // tile column: starts at in_feature column * tile.columns
  tsr_kind kind;    // never TSR_KIND_ZERO
} tsr_scheduled_tile;

typedef struct tsr_worker {
  uint32_t segment_first;
  uint32_t segment_count;
  uint64_t cost_bytes;  // sum over its tiles of the target's tile size
} tsr_worker;

// A split panel: partials [partial_first, partial_first + partial_count) are
// added in ascending order, then the epilogue runs.
typedef struct tsr_reduction {
  uint32_t panel;
  uint32_t partial_first;
  uint32_t partial_count;  // >= 2
} tsr_reduction;

typedef struct tsr_schedule {
  const tsr_tile_grid *grid;
  tsr_worker *workers;
  uint32_t worker_count;
  tsr_segment *segments;
  uint32_t segment_count;
  tsr_scheduled_tile *tiles;
  uint32_t tile_count;
  tsr_reduction *reductions;
  uint32_t reduction_count;
  uint32_t partial_count;
} tsr_schedule;

// Bytes (or time units) of one tile as this target stores it.
typedef uint64_t (*tsr_tile_cost)(const tsr_tile_grid *grid, uint32_t panel,
                                  uint32_t column, tsr_kind kind);

// |options.workers| must be >= 1 here (the target's default filled in). All
// memory comes from |arena|.
TSR_MUST_USE tsr_status tsr_schedule_build(tsr_arena *arena,
                                           const tsr_tile_grid *grid,
                                           const tsr_plan_schedule *options,
                                           tsr_tile_cost cost,
                                           tsr_schedule *out_schedule,
                                           tsr_error *error);

// --emit=schedule.
void tsr_schedule_dump(const tsr_schedule *schedule, tsr_buffer *out);

#endif  // COMPILER_SCHEDULE_H_
