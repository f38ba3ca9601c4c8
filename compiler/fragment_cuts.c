// SPDX-License-Identifier: Apache-2.0
// Cuts a layer's stream between workers, at boundaries of k-chunks. Each cut
// goes to the boundary nearest to its ideal place, compared without rounding,
// so that it misses by half a step at most and a share by one. Segments, and
// with them slots of partial sums, are numbered by panel, then by worker:
// a function of grid and options alone.
#include "compiler/fragment_pack.h"

enum { WORKER_LIMIT = 65536 };

typedef struct builder {
  tsr_arena *arena;
  const tsr_plan_schedule *options;
  tsr_fragment_cuts *cuts;
  uint32_t *panel_tiles;  // [panel_count]: tiles up to the end of each panel
  uint32_t *tile_steps;   // [tile_count + 1]: steps before each tile
  uint64_t *costs;        // [step_count + 1]: of all steps before, balanced
  uint64_t *offsets;      // [step_count + 1]: where each step begins
  uint64_t *times;        // [step_count + 1]: tensor-core time before it
  uint32_t *firsts;       // [worker_count + 1]: first step of each worker
} builder;

static tsr_status count_steps(const tsr_tile_grid *grid,
                              tsr_fragment_cuts *cuts, tsr_error *error) {
  uint64_t tiles = 0, steps = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      if (tsr_grid_kind(grid, panel, column) == TSR_KIND_ZERO) continue;
      ++tiles;
      steps += tsr_fragment_chunks(tsr_grid_tile_columns(grid, column));
    }
  }
  if (steps >= UINT32_MAX / 2) {
    return tsr_error_set(error, TSR_UNSUPPORTED, "too many tiles");
  }
  cuts->tile_count = (uint32_t)tiles;
  cuts->step_count = (uint32_t)steps;
  return TSR_OK;
}

static void *allocate_array(builder *b, size_t count, size_t size,
                            bool *is_ok) {
  void *memory = tsr_arena_alloc_array(b->arena, count, size);
  if (memory == NULL) *is_ok = false;
  return memory;
}

static bool allocate(builder *b) {
  tsr_fragment_cuts *cuts = b->cuts;
  size_t workers = cuts->worker_count, panels = cuts->grid->panel_count;
  size_t steps = (size_t)cuts->step_count + 1;
  bool is_ok = true;
  cuts->workers =
      allocate_array(b, workers, sizeof(tsr_fragment_worker), &is_ok);
  cuts->segments =  // each cut adds at most one
      allocate_array(b, panels + workers, sizeof(tsr_fragment_segment), &is_ok);
  cuts->tiles =
      allocate_array(b, cuts->tile_count, sizeof(tsr_scheduled_tile), &is_ok);
  cuts->reductions = allocate_array(b, workers, sizeof(tsr_reduction), &is_ok);
  b->panel_tiles = allocate_array(b, panels, sizeof(uint32_t), &is_ok);
  b->tile_steps =
      allocate_array(b, (size_t)cuts->tile_count + 1, sizeof(uint32_t), &is_ok);
  b->costs = allocate_array(b, steps, sizeof(uint64_t), &is_ok);
  b->offsets = allocate_array(b, steps, sizeof(uint64_t), &is_ok);
  b->times = allocate_array(b, steps, sizeof(uint64_t), &is_ok);
  b->firsts = allocate_array(b, workers + 1, sizeof(uint32_t), &is_ok);
  return is_ok;
}

static uint64_t balance_cost(const builder *b, uint64_t bytes, uint64_t time) {
  switch (b->options->balance) {
    case TSR_BALANCE_BYTES:
      return bytes;
    case TSR_BALANCE_TIME:
      return time;
    case TSR_BALANCE_TILES:
      return 1;
  }
  return 1;
}

// Adds the steps of one tile; |step| is the first. Returns the next.
static uint32_t add_tile(builder *b, uint32_t panel, uint32_t column,
                         tsr_kind kind, uint32_t step) {
  const tsr_tile_grid *grid = b->cuts->grid;
  uint32_t rows = tsr_grid_panel_rows(grid, panel);
  uint32_t columns = tsr_grid_tile_columns(grid, column);
  for (uint32_t i = 0; i < tsr_fragment_chunks(columns); ++i, ++step) {
    uint64_t bytes = tsr_fragment_chunk_size(rows, columns, kind, i);
    uint64_t time = tsr_fragment_chunk_time(rows, columns, kind, i);
    b->offsets[step + 1] = b->offsets[step] + bytes;
    b->times[step + 1] = b->times[step] + time;
    b->costs[step + 1] = b->costs[step] + balance_cost(b, bytes, time);
  }
  return step;
}

static void collect_steps(builder *b) {
  const tsr_tile_grid *grid = b->cuts->grid;
  uint32_t tile = 0, step = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      tsr_kind kind = tsr_grid_kind(grid, panel, column);
      if (kind == TSR_KIND_ZERO) continue;
      step = add_tile(b, panel, column, kind, step);
      b->cuts->tiles[tile++] = (tsr_scheduled_tile){column, kind};
      b->tile_steps[tile] = step;
    }
    b->panel_tiles[panel] = tile;
  }
  b->cuts->stream_size = b->offsets[step];
}

// Steps up to the end of |panel|.
static uint32_t panel_steps(const builder *b, uint32_t panel) {
  return b->tile_steps[b->panel_tiles[panel]];
}

// Whether boundary |low| is nearer to |ideal| / |workers| than |high|, or as
// near.
static bool is_nearer(const builder *b, uint32_t low, uint32_t high,
                      uint64_t ideal) {
  uint64_t workers = b->cuts->worker_count;
  return 2 * ideal <= (b->costs[low] + b->costs[high]) * workers;
}

// The step boundary nearest to |ideal| / |workers|.
static uint32_t nearest_step(const builder *b, uint64_t ideal) {
  uint64_t workers = b->cuts->worker_count;
  uint32_t low = 0, high = b->cuts->step_count;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (b->costs[middle] * workers <= ideal) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return is_nearer(b, low, high, ideal) ? low : high;
}

// As above among the ends of panels.
static uint32_t nearest_panel_end(const builder *b, uint64_t ideal) {
  uint32_t low = 0;
  for (uint32_t panel = 0; panel < b->cuts->grid->panel_count; ++panel) {
    uint32_t high = panel_steps(b, panel);
    if (b->costs[high] * b->cuts->worker_count > ideal) {
      return is_nearer(b, low, high, ideal) ? low : high;
    }
    low = high;
  }
  return low;
}

static tsr_status choose_cuts(builder *b, tsr_error *error) {
  uint32_t workers = b->cuts->worker_count;
  uint64_t total = b->costs[b->cuts->step_count];
  if (total > UINT64_MAX / 2 / workers) {
    return tsr_error_set(error, TSR_UNSUPPORTED, "a layer is too large");
  }
  for (uint32_t i = 1; i < workers; ++i) {
    uint64_t ideal = total * i;
    b->firsts[i] = b->options->split_panels ? nearest_step(b, ideal)
                                            : nearest_panel_end(b, ideal);
  }
  b->firsts[workers] = b->cuts->step_count;
  return TSR_OK;
}

// The segment of steps [first, end) of |panel|; |*tile| is the tile that
// |first| lies in, and becomes that of |end|.
static void append_segment(builder *b, uint32_t worker, uint32_t panel,
                           uint32_t first, uint32_t end, uint32_t *tile) {
  tsr_fragment_cuts *cuts = b->cuts;
  tsr_fragment_segment *segment = &cuts->segments[cuts->segment_count];
  tsr_fragment_worker *share = &cuts->workers[worker];
  if (share->segment_count++ == 0) share->segment_first = cuts->segment_count;
  ++cuts->segment_count;
  *segment = (tsr_fragment_segment){
      .panel = panel, .tile_first = *tile, .partial = TSR_NO_PARTIAL};
  if (first == end) return;
  uint32_t last = *tile;
  while (b->tile_steps[last + 1] < end) ++last;
  segment->tile_count = last + 1 - *tile;
  segment->chunk_first = first - b->tile_steps[*tile];
  segment->chunk_end = end - b->tile_steps[last];
  *tile = b->tile_steps[last + 1] == end ? last + 1 : last;
}

// Gives the panel's segments, from |segment_first| on, slots when there are
// several.
static void append_reduction(tsr_fragment_cuts *cuts, uint32_t panel,
                             uint32_t segment_first) {
  uint32_t count = cuts->segment_count - segment_first;
  if (count < 2) return;
  cuts->reductions[cuts->reduction_count++] =
      (tsr_reduction){panel, cuts->partial_count, count};
  for (uint32_t i = 0; i < count; ++i) {
    cuts->segments[segment_first + i].partial = cuts->partial_count++;
  }
}

// Panels in order, workers in order: one walk over both.
static void append_segments(builder *b) {
  tsr_fragment_cuts *cuts = b->cuts;
  uint32_t worker = 0, step = 0, tile = 0;
  for (uint32_t panel = 0; panel < cuts->grid->panel_count; ++panel) {
    uint32_t segment_first = cuts->segment_count;
    uint32_t panel_end = panel_steps(b, panel);
    do {
      while (worker + 1 < cuts->worker_count && b->firsts[worker + 1] <= step) {
        ++worker;
      }
      uint32_t end = b->firsts[worker + 1];
      if (end > panel_end) end = panel_end;
      append_segment(b, worker, panel, step, end, &tile);
      step = end;
    } while (step < panel_end);
    append_reduction(cuts, panel, segment_first);
  }
}

// Also workers that got nothing say where their (empty) ranges lie.
static void place_workers(builder *b) {
  uint32_t next = 0;
  for (uint32_t i = 0; i < b->cuts->worker_count; ++i) {
    tsr_fragment_worker *worker = &b->cuts->workers[i];
    uint32_t first = b->firsts[i], end = b->firsts[i + 1];
    if (worker->segment_count == 0) worker->segment_first = next;
    next = worker->segment_first + worker->segment_count;
    worker->step_first = first;
    worker->step_count = end - first;
    worker->stream_offset = b->offsets[first];
    worker->stream_size = b->offsets[end] - b->offsets[first];
    worker->time = b->times[end] - b->times[first];
  }
}

static tsr_status build(builder *b, tsr_error *error) {
  tsr_fragment_cuts *cuts = b->cuts;
  if (b->options->workers == 0 || b->options->workers > WORKER_LIMIT) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "%u workers; 1 to %d are possible",
                         b->options->workers, WORKER_LIMIT);
  }
  tsr_status status = count_steps(cuts->grid, cuts, error);
  if (status != TSR_OK) return status;
  uint32_t useful = cuts->step_count == 0 ? 1 : cuts->step_count;
  cuts->worker_count =
      b->options->workers < useful ? b->options->workers : useful;
  if (!allocate(b)) return tsr_error_out_of_memory(error);
  collect_steps(b);
  status = choose_cuts(b, error);
  if (status != TSR_OK) return status;
  append_segments(b);
  place_workers(b);
  return TSR_OK;
}

tsr_status tsr_fragment_cuts_build(tsr_arena *arena, const tsr_tile_grid *grid,
                                   const tsr_plan_schedule *options,
                                   tsr_fragment_cuts *out_cuts,
                                   tsr_error *error) {
  *out_cuts = (tsr_fragment_cuts){.grid = grid};
  builder b = {.arena = arena, .options = options, .cuts = out_cuts};
  tsr_status status = build(&b, error);
  if (status != TSR_OK) *out_cuts = (tsr_fragment_cuts){0};
  return status;
}
