// SPDX-License-Identifier: Apache-2.0
// Cuts the non-zero tiles of a grid, in panel order, into contiguous shares of
// equal cost. A cut goes to the tile boundary nearest to its ideal place, so a
// share differs from the ideal by at most one tile (half a tile at each end).
// Panels that a cut goes through become partial sums and one reduction.
#include "compiler/schedule.h"

#include <string.h>

// Everything that building needs; the arrays in |schedule| are sized first.
typedef struct builder {
  tsr_arena *arena;
  const tsr_tile_grid *grid;
  const tsr_plan_schedule *options;
  tsr_tile_cost cost;
  tsr_schedule *schedule;
  uint32_t *panel_ends;  // [panel_count]: tiles up to the end of each panel
  uint64_t *costs;       // [tile_count + 1]: cost of all tiles before
  uint32_t *cuts;        // [worker_count + 1]: first tile of each worker
} builder;

// Unit of work that shares are balanced by.
static uint64_t balance_cost(const builder *b, uint32_t panel, uint32_t column,
                             tsr_kind kind) {
  const tsr_tile_grid *grid = b->grid;
  switch (b->options->balance) {
    case TSR_BALANCE_BYTES:
      return b->cost(grid, panel, column, kind);
    case TSR_BALANCE_TIME: {
      uint64_t area = (uint64_t)tsr_grid_panel_rows(grid, panel) *
                      tsr_grid_tile_columns(grid, column);
      double time = tsr_kind_describe(kind)->time_per_weight;
      return (uint64_t)(time * 16.0) * area;
    }
    case TSR_BALANCE_TILES:
      return 1;
  }
  return 1;
}

static void collect_tiles(builder *b) {
  const tsr_tile_grid *grid = b->grid;
  uint32_t count = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      tsr_kind kind = tsr_grid_kind(grid, panel, column);
      if (kind == TSR_KIND_ZERO) continue;
      b->schedule->tiles[count] = (tsr_scheduled_tile){column, kind};
      b->costs[count + 1] =
          b->costs[count] + balance_cost(b, panel, column, kind);
      ++count;
    }
    b->panel_ends[panel] = count;
  }
}

static bool count_tiles(const tsr_tile_grid *grid, uint32_t *out_count) {
  uint64_t cells = (uint64_t)grid->panel_count * grid->column_count;
  uint64_t count = 0;
  for (uint64_t i = 0; i < cells; ++i) {
    count += grid->kinds[i] != TSR_KIND_ZERO;
  }
  *out_count = (uint32_t)count;
  return cells <= UINT32_MAX / 2;
}

// Of two neighbouring boundaries the one nearer to |ideal|; the lower on a tie.
static uint32_t nearer(const uint64_t *costs, uint32_t low, uint32_t high,
                       uint64_t ideal) {
  return ideal - costs[low] <= costs[high] - ideal ? low : high;
}

// The tile boundary nearest to |ideal|, not before |from|.
static uint32_t nearest_tile(const builder *b, uint32_t from, uint64_t ideal) {
  uint32_t low = from, high = b->schedule->tile_count;
  if (b->costs[low] >= ideal) return low;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (b->costs[middle] <= ideal) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return nearer(b->costs, low, high, ideal);
}

// As above among the ends of panels.
static uint32_t nearest_panel_end(const builder *b, uint32_t from,
                                  uint64_t ideal) {
  uint32_t low = from;
  for (uint32_t panel = 0; panel < b->grid->panel_count; ++panel) {
    uint32_t end = b->panel_ends[panel];
    if (end <= low) continue;
    if (b->costs[end] >= ideal) {
      return b->costs[low] >= ideal ? low : nearer(b->costs, low, end, ideal);
    }
    low = end;
  }
  return low;
}

static void choose_cuts(builder *b) {
  uint32_t workers = b->schedule->worker_count;
  uint32_t tiles = b->schedule->tile_count;
  uint64_t total = b->costs[tiles];
  b->cuts[0] = 0;
  for (uint32_t i = 1; i < workers; ++i) {
    uint64_t ideal = total / workers * i + total % workers * i / workers;
    b->cuts[i] = b->options->split_panels
                     ? nearest_tile(b, b->cuts[i - 1], ideal)
                     : nearest_panel_end(b, b->cuts[i - 1], ideal);
  }
  b->cuts[workers] = tiles;
}

static void append_segment(builder *b, uint32_t worker, uint32_t panel,
                           uint32_t first, uint32_t end) {
  tsr_schedule *schedule = b->schedule;
  tsr_worker *share = &schedule->workers[worker];
  if (share->segment_count == 0) share->segment_first = schedule->segment_count;
  ++share->segment_count;
  for (uint32_t i = first; i < end; ++i) {
    share->cost_bytes += b->cost(b->grid, panel, schedule->tiles[i].column,
                                 schedule->tiles[i].kind);
  }
  schedule->segments[schedule->segment_count++] =
      (tsr_segment){panel, first, end - first, TSR_NO_PARTIAL};
}

// Gives the panel's segments, from |segment_first| on, slots when there are
// several.
static void append_reduction(builder *b, uint32_t panel,
                             uint32_t segment_first) {
  tsr_schedule *schedule = b->schedule;
  uint32_t count = schedule->segment_count - segment_first;
  if (count < 2) return;
  schedule->reductions[schedule->reduction_count++] =
      (tsr_reduction){panel, schedule->partial_count, count};
  for (uint32_t i = 0; i < count; ++i) {
    schedule->segments[segment_first + i].partial = schedule->partial_count++;
  }
}

// Panels in order, workers in order: one walk over both.
static void append_segments(builder *b) {
  tsr_schedule *schedule = b->schedule;
  uint32_t worker = 0, tile = 0;
  for (uint32_t panel = 0; panel < b->grid->panel_count; ++panel) {
    uint32_t segment_first = schedule->segment_count;
    uint32_t panel_end = b->panel_ends[panel];
    do {
      while (worker + 1 < schedule->worker_count &&
             b->cuts[worker + 1] <= tile) {
        ++worker;
      }
      uint32_t end =
          b->cuts[worker + 1] < panel_end ? b->cuts[worker + 1] : panel_end;
      append_segment(b, worker, panel, tile, end);
      tile = end;
    } while (tile < panel_end);
    append_reduction(b, panel, segment_first);
  }
}

// Workers that got nothing still say where their (empty) range lies.
static void place_empty_workers(tsr_schedule *schedule) {
  uint32_t next = 0;
  for (uint32_t i = 0; i < schedule->worker_count; ++i) {
    tsr_worker *worker = &schedule->workers[i];
    if (worker->segment_count == 0) worker->segment_first = next;
    next = worker->segment_first + worker->segment_count;
  }
}

static bool allocate(builder *b) {
  tsr_schedule *schedule = b->schedule;
  size_t workers = schedule->worker_count;
  size_t tiles = schedule->tile_count;
  size_t panels = b->grid->panel_count;
  size_t segments = panels + workers;  // each cut adds at most one
  schedule->workers =
      tsr_arena_alloc_array(b->arena, workers, sizeof(tsr_worker));
  schedule->segments =
      tsr_arena_alloc_array(b->arena, segments, sizeof(tsr_segment));
  schedule->tiles =
      tsr_arena_alloc_array(b->arena, tiles, sizeof(tsr_scheduled_tile));
  schedule->reductions =
      tsr_arena_alloc_array(b->arena, workers, sizeof(tsr_reduction));
  b->panel_ends = tsr_arena_alloc_array(b->arena, panels, sizeof(uint32_t));
  b->costs = tsr_arena_alloc_array(b->arena, tiles + 1, sizeof(uint64_t));
  b->cuts = tsr_arena_alloc_array(b->arena, workers + 1, sizeof(uint32_t));
  return schedule->workers != NULL && schedule->segments != NULL &&
         schedule->tiles != NULL && schedule->reductions != NULL &&
         b->panel_ends != NULL && b->costs != NULL && b->cuts != NULL;
}

tsr_status tsr_schedule_build(tsr_arena *arena, const tsr_tile_grid *grid,
                              const tsr_plan_schedule *options,
                              tsr_tile_cost cost, tsr_schedule *out_schedule,
                              tsr_error *error) {
  *out_schedule = (tsr_schedule){.grid = grid};
  builder b = {.arena = arena,
               .grid = grid,
               .options = options,
               .cost = cost,
               .schedule = out_schedule};
  if (options->workers == 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "a schedule needs at least one worker");
  }
  if (!count_tiles(grid, &out_schedule->tile_count)) {
    *out_schedule = (tsr_schedule){0};
    return tsr_error_set(error, TSR_UNSUPPORTED, "too many tiles");
  }
  // More workers than tiles would only be idle.
  uint32_t useful =
      out_schedule->tile_count == 0 ? 1 : out_schedule->tile_count;
  out_schedule->worker_count =
      options->workers < useful ? options->workers : useful;
  if (!allocate(&b)) {
    *out_schedule = (tsr_schedule){0};
    return tsr_error_out_of_memory(error);
  }
  collect_tiles(&b);
  choose_cuts(&b);
  append_segments(&b);
  place_empty_workers(out_schedule);
  return TSR_OK;
}

// ---- Text ------------------------------------------------------------------

// "columns 3..7 ssD.s": zero tiles in between are shown, at the ends not.
static void dump_tiles(const tsr_schedule *schedule, const tsr_segment *segment,
                       tsr_buffer *out) {
  if (segment->tile_count == 0) {
    tsr_buffer_append_string(out, " no tiles");
    return;
  }
  const tsr_scheduled_tile *tiles = schedule->tiles + segment->tile_first;
  uint32_t last = tiles[segment->tile_count - 1].column;
  tsr_buffer_printf(out, " columns %u..%u ", tiles[0].column, last);
  for (uint32_t column = tiles[0].column; column <= last; ++column) {
    bool here = tiles->column == column;
    tsr_kind kind = here ? tiles->kind : TSR_KIND_ZERO;
    tsr_buffer_append_char(out, tsr_kind_describe(kind)->symbol);
    tiles += here;
  }
}

static void dump_worker(const tsr_schedule *schedule, uint32_t index,
                        tsr_buffer *out) {
  const tsr_worker *worker = &schedule->workers[index];
  tsr_buffer_printf(out, "worker %u: %llu bytes\n", index,
                    (unsigned long long)worker->cost_bytes);
  for (uint32_t i = 0; i < worker->segment_count; ++i) {
    const tsr_segment *segment = &schedule->segments[worker->segment_first + i];
    tsr_buffer_printf(out, "  panel %u", segment->panel);
    dump_tiles(schedule, segment, out);
    if (segment->partial != TSR_NO_PARTIAL) {
      tsr_buffer_printf(out, " -> partial %u", segment->partial);
    }
    tsr_buffer_append_char(out, '\n');
  }
}

void tsr_schedule_dump(const tsr_schedule *schedule, tsr_buffer *out) {
  const tsr_tile_grid *grid = schedule->grid;
  tsr_buffer_printf(
      out, "matrix %ux%u tile %ux%u workers %u tiles %u partials %u\n",
      grid->rows, grid->columns, grid->tile.rows, grid->tile.columns,
      schedule->worker_count, schedule->tile_count, schedule->partial_count);
  for (uint32_t i = 0; i < schedule->worker_count; ++i) {
    dump_worker(schedule, i, out);
  }
  for (uint32_t i = 0; i < schedule->reduction_count; ++i) {
    const tsr_reduction *reduction = &schedule->reductions[i];
    tsr_buffer_printf(out, "reduce panel %u: partials %u..%u\n",
                      reduction->panel, reduction->partial_first,
                      reduction->partial_first + reduction->partial_count - 1);
  }
}
