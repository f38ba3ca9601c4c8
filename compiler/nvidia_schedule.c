// SPDX-License-Identifier: Apache-2.0
// The tables of a layer: its steps in stream order, and for every class of
// device the cuts that tsr_fragment_cuts makes of them. Everything is a
// function of grid and options alone. Prefill has few workers and many token
// tiles: whatever the number of token tiles T is, a cut for floor(C / T)
// workers fills C multiprocessors best, so these are the cuts that there are.
#include "compiler/nvidia_schedule.h"

#include "base/nvidia_cut.h"

enum {
  // Bits of a step's code that its column has (base/nvidia_abi.h).
  COLUMN_LIMIT = 1 << 24,
  CLASS_COUNT = 4,
  // One worker more than splits that the counters serve, at most.
  SAFE_WORKERS = TSR_NVIDIA_COUNTERS + 1,
};

// Ascending: a device without a class of its own takes the next lower one.
static const uint32_t device_classes[CLASS_COUNT] = {
    TSR_NVIDIA_CLASS_A6000, TSR_NVIDIA_CLASS_A100, TSR_NVIDIA_CLASS_4090,
    TSR_NVIDIA_CLASS_H100};

typedef struct builder {
  tsr_arena *arena;
  const tsr_plan_schedule *options;
  tsr_nvidia_tables *tables;
  const uint32_t *classes;
  uint32_t class_count;
  uint32_t *panel_ends;  // [panel_count]: steps up to the end of each panel
} builder;

// ---- Steps -----------------------------------------------------------------

static tsr_status count_steps(const tsr_tile_grid *grid, uint32_t *out_count,
                              tsr_error *error) {
  uint64_t steps = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      if (tsr_grid_kind(grid, panel, column) == TSR_KIND_ZERO) continue;
      steps += tsr_fragment_chunks(tsr_grid_tile_columns(grid, column));
    }
  }
  // 2^31 steps would be a stream of more than 2^32 * 128 bytes long before.
  if (steps >= INT32_MAX || grid->columns > COLUMN_LIMIT) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "a matrix of %u x %u has more than a CUDA target's "
                         "schedule can say (2^24 columns, 2^31 k-chunks)",
                         grid->rows, grid->columns);
  }
  *out_count = (uint32_t)steps;
  return TSR_OK;
}

// The steps of one tile at |offset| of the stream; returns the tile's end.
static uint64_t add_tile(builder *b, uint32_t panel, uint32_t column,
                         tsr_kind kind, uint64_t offset) {
  const tsr_tile_grid *grid = b->tables->grid;
  uint32_t rows = tsr_grid_panel_rows(grid, panel);
  uint32_t columns = tsr_grid_tile_columns(grid, column);
  uint32_t first = column * grid->tile.columns;
  for (uint32_t i = 0; i < tsr_fragment_chunks(columns); ++i) {
    uint32_t here = columns - TSR_FRAGMENT_CHUNK * i;
    if (here > TSR_FRAGMENT_CHUNK) here = TSR_FRAGMENT_CHUNK;
    b->tables->steps[b->tables->step_count++] =
        (tsr_nvidia_step){.offset = (uint32_t)(offset / TSR_FRAGMENT_ALIGNMENT),
                          .code = tsr_nvidia_step_code(
                              first + TSR_FRAGMENT_CHUNK * i, kind, here)};
    offset += tsr_fragment_chunk_size(rows, columns, kind, i);
  }
  return offset;
}

static tsr_status add_steps(builder *b, tsr_error *error) {
  tsr_nvidia_tables *tables = b->tables;
  const tsr_tile_grid *grid = tables->grid;
  uint64_t offset = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      tsr_kind kind = tsr_grid_kind(grid, panel, column);
      if (kind == TSR_KIND_ZERO) continue;
      offset = add_tile(b, panel, column, kind, offset);
    }
    b->panel_ends[panel] = tables->step_count;
  }
  tables->stream_size = offset;
  if (offset / TSR_FRAGMENT_ALIGNMENT <= UINT32_MAX) return TSR_OK;
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "a layer of %llu packed bytes is too large for a CUDA "
                       "target",
                       (unsigned long long)offset);
}

// ---- Cuts ------------------------------------------------------------------

// A panel's segments of one cut carry its reduction; |*reduction| is the first
// that may be of this panel.
static void add_segment(builder *b, const tsr_fragment_cuts *cuts,
                        const tsr_fragment_segment *from, uint32_t worker_end,
                        uint32_t *reduction) {
  uint32_t end = b->panel_ends[from->panel];
  tsr_nvidia_segment *to = &b->tables->segments[b->tables->segment_count++];
  *to = (tsr_nvidia_segment){.panel = from->panel,
                             .step_end = end < worker_end ? end : worker_end,
                             .partial = TSR_NVIDIA_NO_PARTIAL};
  if (from->partial == TSR_NO_PARTIAL) return;
  while (cuts->reductions[*reduction].panel != from->panel) ++*reduction;
  to->partial = from->partial;
  to->reduction = *reduction;
  to->partial_first = cuts->reductions[*reduction].partial_first;
  to->partial_count = cuts->reductions[*reduction].partial_count;
}

static void add_workers(builder *b, const tsr_fragment_cuts *cuts) {
  uint32_t reduction = 0;
  for (uint32_t i = 0; i < cuts->worker_count; ++i) {
    const tsr_fragment_worker *from = &cuts->workers[i];
    uint32_t end = from->step_first + from->step_count;
    b->tables->workers[b->tables->worker_count++] = (tsr_nvidia_worker){
        .step_first = from->step_first,
        .step_end = end,
        .segment_first = from->segment_first,
        .segment_end = from->segment_first + from->segment_count};
    for (uint32_t s = 0; s < from->segment_count; ++s) {
      add_segment(b, cuts, &cuts->segments[from->segment_first + s], end,
                  &reduction);
    }
  }
}

static void add_cut(builder *b, const tsr_fragment_cuts *cuts,
                    uint32_t multiprocessors, tsr_nvidia_mode mode) {
  tsr_nvidia_tables *tables = b->tables;
  tables->cuts[tables->cut_count++] =
      (tsr_nvidia_cut){.multiprocessors = multiprocessors,
                       .mode = (uint32_t)mode,
                       .worker_first = tables->worker_count,
                       .worker_count = cuts->worker_count,
                       .segment_first = tables->segment_count,
                       .segment_count = cuts->segment_count,
                       .partial_count = cuts->partial_count,
                       .reduction_count = cuts->reduction_count};
  add_workers(b, cuts);
}

static tsr_balance balance_of(const builder *b, tsr_nvidia_mode mode) {
  tsr_balance asked = b->options->balance;
  bool is_time = mode == TSR_NVIDIA_PREFILL && asked != TSR_BALANCE_TILES;
  return is_time ? TSR_BALANCE_TIME : asked;
}

// |*io_workers|: as many as asked for, then as many as there are.
static tsr_status make_cut(builder *b, uint32_t multiprocessors,
                           tsr_nvidia_mode mode, uint32_t *io_workers,
                           tsr_error *error) {
  tsr_arena scratch = {0};
  tsr_fragment_cuts cuts;
  tsr_plan_schedule options = {*io_workers, balance_of(b, mode),
                               b->options->split_panels};
  tsr_status status = tsr_fragment_cuts_build(&scratch, b->tables->grid,
                                              &options, &cuts, error);
  if (status == TSR_OK && cuts.reduction_count > TSR_NVIDIA_COUNTERS) {
    options.workers = SAFE_WORKERS;
    tsr_arena_fini(&scratch);
    status = tsr_fragment_cuts_build(&scratch, b->tables->grid, &options, &cuts,
                                     error);
  }
  if (status == TSR_OK) {
    *io_workers = cuts.worker_count;
    add_cut(b, &cuts, multiprocessors, mode);
  }
  tsr_arena_fini(&scratch);
  return status;
}

static tsr_status make_class(builder *b, uint32_t multiprocessors,
                             tsr_error *error) {
  uint32_t workers = multiprocessors;
  tsr_status status =
      make_cut(b, multiprocessors, TSR_NVIDIA_DECODE, &workers, error);
  // Layers with few steps have the same cut for several: one will do.
  uint32_t last = UINT32_MAX;
  for (uint32_t n = multiprocessors; status == TSR_OK && n != 0;
       n = tsr_nvidia_fewer_workers(multiprocessors, n)) {
    if (n >= last) continue;
    last = n;
    status = make_cut(b, multiprocessors, TSR_NVIDIA_PREFILL, &last, error);
  }
  return status;
}

// ---- All -------------------------------------------------------------------

static bool allocate(builder *b, uint32_t step_count) {
  tsr_nvidia_tables *tables = b->tables;
  size_t panels = tables->grid->panel_count, cuts = 0, workers = 0;
  for (uint32_t i = 0; i < b->class_count; ++i) {
    cuts += 1;
    workers += b->classes[i];
    for (uint32_t n = b->classes[i]; n != 0;
         n = tsr_nvidia_fewer_workers(b->classes[i], n)) {
      cuts += 1;
      workers += n;
    }
  }
  tables->steps =
      tsr_arena_alloc_array(b->arena, step_count, sizeof(*tables->steps));
  tables->cuts = tsr_arena_alloc_array(b->arena, cuts, sizeof(*tables->cuts));
  tables->workers =
      tsr_arena_alloc_array(b->arena, workers, sizeof(*tables->workers));
  tables->segments = tsr_arena_alloc_array(b->arena, cuts * panels + workers,
                                           sizeof(*tables->segments));
  b->panel_ends = tsr_arena_alloc_array(b->arena, panels, sizeof(uint32_t));
  return tables->steps != NULL && tables->cuts != NULL &&
         tables->workers != NULL && tables->segments != NULL &&
         b->panel_ends != NULL;
}

static tsr_status build(builder *b, tsr_error *error) {
  uint32_t step_count = 0;
  tsr_status status = count_steps(b->tables->grid, &step_count, error);
  if (status != TSR_OK) return status;
  if (!allocate(b, step_count)) return tsr_error_out_of_memory(error);
  status = add_steps(b, error);
  for (uint32_t i = 0; status == TSR_OK && i < b->class_count; ++i) {
    status = make_class(b, b->classes[i], error);
  }
  return status;
}

tsr_status tsr_nvidia_tables_build(tsr_arena *arena, const tsr_tile_grid *grid,
                                   const tsr_plan_schedule *options,
                                   tsr_nvidia_tables *out_tables,
                                   tsr_error *error) {
  *out_tables = (tsr_nvidia_tables){.grid = grid};
  bool is_named = options->workers != 0;
  builder b = {.arena = arena,
               .options = options,
               .tables = out_tables,
               .classes = is_named ? &options->workers : device_classes,
               .class_count = is_named ? 1 : CLASS_COUNT};
  tsr_status status = build(&b, error);
  if (status != TSR_OK) *out_tables = (tsr_nvidia_tables){0};
  return status;
}
