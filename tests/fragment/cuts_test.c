// SPDX-License-Identifier: Apache-2.0
// Cuts of a stream: every step belongs to one worker, shares are equal to
// within one step, split panels have slots in order; the same tiles as in the
// host's schedule.
#include <stdlib.h>

#include "base/memory.h"
#include "compiler/fragment_pack.h"
#include "grid.h"

enum { PANELS = 24, GRID_COLUMNS = 40 };

// What a walk over the segments has seen so far.
typedef struct walk {
  const tsr_fragment_cuts *cuts;
  tsr_balance balance;
  uint32_t panel, tile, chunk;  // of the next step
  uint32_t step;
  uint64_t offset, cost, share, largest;
} walk;

// The kind of |tile| and how many k-chunks it has.
static uint32_t chunks_of(const walk *w, uint32_t tile) {
  return tsr_fragment_chunks(
      tsr_grid_tile_columns(w->cuts->grid, w->cuts->tiles[tile].column));
}

static void take_step(walk *w) {
  const tsr_tile_grid *grid = w->cuts->grid;
  const tsr_scheduled_tile *tile = &w->cuts->tiles[w->tile];
  uint32_t rows = tsr_grid_panel_rows(grid, w->panel);
  uint32_t columns = tsr_grid_tile_columns(grid, tile->column);
  uint64_t begin =
      tsr_fragment_unit_offset(rows, columns, tile->kind, w->chunk, 0);
  uint64_t end =
      tsr_fragment_unit_offset(rows, columns, tile->kind, w->chunk + 1, 0);
  uint64_t left = columns - 64 * w->chunk;
  if (left > 64) left = 64;
  uint64_t k = tile->kind == TSR_KIND_DENSE ? 16 : 32;
  uint64_t cost = w->balance == TSR_BALANCE_BYTES ? end - begin
                  : w->balance == TSR_BALANCE_TIME
                      ? (rows + 15) / 16 * ((left + k - 1) / k)
                      : 1;
  CHECK_EQ(tile->kind, tsr_grid_kind(grid, w->panel, tile->column));
  w->offset += end - begin;
  w->share += cost;
  w->cost += cost;
  if (cost > w->largest) w->largest = cost;
  ++w->step;
  if (++w->chunk == chunks_of(w, w->tile)) {
    w->chunk = 0;
    ++w->tile;
  }
}

static void walk_segment(walk *w, const tsr_fragment_segment *segment) {
  w->panel = segment->panel;
  CHECK_EQ(segment->tile_first, w->tile);
  if (segment->tile_count == 0) return;
  CHECK_EQ(segment->chunk_first, w->chunk);
  uint32_t last = segment->tile_first + segment->tile_count - 1;
  CHECK(segment->chunk_end >= 1 && segment->chunk_end <= chunks_of(w, last));
  while (w->tile < last || (w->tile == last && w->chunk < segment->chunk_end)) {
    take_step(w);
  }
  CHECK_EQ(w->tile, w->chunk == 0 ? last + 1 : last);
}

// Segments of all workers in order cover all steps, without gap or overlap.
static void check_cover(walk *w, uint64_t *shares) {
  const tsr_fragment_cuts *cuts = w->cuts;
  uint32_t segment = 0;
  for (uint32_t i = 0; i < cuts->worker_count; ++i) {
    const tsr_fragment_worker *worker = &cuts->workers[i];
    CHECK_EQ(worker->segment_first, segment);
    CHECK_EQ(worker->step_first, w->step);
    CHECK_EQ(worker->stream_offset, w->offset);
    w->share = 0;
    for (uint32_t j = 0; j < worker->segment_count; ++j) {
      walk_segment(w, &cuts->segments[segment++]);
    }
    shares[i] = w->share;
    CHECK_EQ(worker->step_count, w->step - worker->step_first);
    CHECK_EQ(worker->stream_size, w->offset - worker->stream_offset);
    if (w->balance == TSR_BALANCE_TIME) CHECK_EQ(worker->time, w->share);
  }
  CHECK_EQ(segment, cuts->segment_count);
  CHECK_EQ(w->tile, cuts->tile_count);
  CHECK_EQ(w->chunk, 0);
  CHECK_EQ(w->step, cuts->step_count);
  CHECK_EQ(w->offset, cuts->stream_size);
}

// |share| and total / workers differ by one step at most, each cut and its
// ideal place by half a step.
static void check_balance(const walk *w, const uint64_t *shares) {
  uint64_t workers = w->cuts->worker_count, before = 0;
  for (uint64_t i = 0; i < workers; ++i) {
    uint64_t mine = shares[i] * workers;
    uint64_t off = mine > w->cost ? mine - w->cost : w->cost - mine;
    CHECK(off <= w->largest * workers);
    before += mine;
    uint64_t ideal = w->cost * (i + 1);
    off = before > ideal ? before - ideal : ideal - before;
    CHECK(2 * off <= w->largest * workers);
  }
}

// Panels come in order, each with one direct segment or several with slots.
static void check_partials(const tsr_fragment_cuts *cuts, bool is_split) {
  uint32_t segment = 0, partial = 0, reduction = 0;
  for (uint32_t panel = 0; panel < cuts->grid->panel_count; ++panel) {
    uint32_t first = segment;
    while (segment < cuts->segment_count &&
           cuts->segments[segment].panel == panel) {
      ++segment;
    }
    CHECK(segment > first);
    if (segment == first + 1) {
      CHECK_EQ(cuts->segments[first].partial, TSR_NO_PARTIAL);
      continue;
    }
    CHECK(is_split);
    CHECK(reduction < cuts->reduction_count);
    CHECK_EQ(cuts->reductions[reduction].panel, panel);
    CHECK_EQ(cuts->reductions[reduction].partial_first, partial);
    CHECK_EQ(cuts->reductions[reduction].partial_count, segment - first);
    ++reduction;
    for (; first < segment; ++first) {
      CHECK_EQ(cuts->segments[first].partial, partial++);
      CHECK(cuts->segments[first].tile_count != 0);
    }
  }
  CHECK_EQ(segment, cuts->segment_count);
  CHECK_EQ(partial, cuts->partial_count);
  CHECK_EQ(reduction, cuts->reduction_count);
}

// The same tiles as the host's schedule has, and costs that add up.
static void check_tiles(tsr_arena *arena, const tsr_fragment_cuts *cuts,
                        const tsr_plan_schedule *options) {
  tsr_schedule schedule;
  tsr_error error = {0};
  CHECK_EQ(tsr_schedule_build(arena, cuts->grid, options,
                              tsr_fragment_byte_cost, &schedule, &error),
           TSR_OK);
  CHECK_EQ(schedule.tile_count, cuts->tile_count);
  uint64_t size = 0;
  for (uint32_t i = 0; i < schedule.worker_count; ++i) {
    size += schedule.workers[i].cost_bytes;
  }
  CHECK_EQ(size, cuts->stream_size);
  for (uint32_t i = 0; i < cuts->tile_count; ++i) {
    CHECK_EQ(schedule.tiles[i].column, cuts->tiles[i].column);
    CHECK_EQ(schedule.tiles[i].kind, cuts->tiles[i].kind);
  }
}

static void check_grid(const tsr_tile_grid *grid, uint32_t workers,
                       tsr_balance balance, bool is_split) {
  static uint64_t shares[65536];
  tsr_arena arena = {0};
  tsr_fragment_cuts cuts;
  tsr_error error = {0};
  tsr_plan_schedule options = {workers, balance, is_split};
  CHECK_EQ(tsr_fragment_cuts_build(&arena, grid, &options, &cuts, &error),
           TSR_OK);
  CHECK(cuts.worker_count <= workers);
  CHECK(cuts.worker_count == workers || cuts.worker_count == 1 ||
        cuts.worker_count == cuts.step_count);
  walk w = {.cuts = &cuts, .balance = balance};
  check_cover(&w, shares);
  if (is_split) check_balance(&w, shares);
  check_partials(&cuts, is_split);
  check_tiles(&arena, &cuts, &options);
  tsr_arena_fini(&arena);
}

static void test_grids(uint64_t *random) {
  static const uint32_t workers[] = {1, 7, 84, 108, 128, 132};
  static const tsr_tile_shape shapes[] = {
      {128, 128}, {64, 64}, {16, 32}, {256, 512}, {48, 96}};
  for (int i = 0; i < 5 * 5 * 6; ++i) {
    tsr_tile_shape shape = shapes[i % 5];
    tsr_tile_grid grid = make_grid(
        1 + random_below(random, PANELS * shape.rows),
        1 + random_below(random, GRID_COLUMNS * shape.columns), shape);
    fill_kinds(random, &grid, i / 5 % 5);
    for (int balance = 0; balance < 3; ++balance) {
      check_grid(&grid, workers[i / 25], (tsr_balance)balance, true);
      check_grid(&grid, workers[i / 25], (tsr_balance)balance, false);
    }
  }
}

// A small case by hand: one panel, a dense and a 2:4 tile of two k-chunks each,
// three workers. Of 51200 bytes a third is 17066.7, so the first cut is after
// the first k-chunk (16384), the second after the dense tile (32768 is nearer
// to 34133.3 than 41984).
static void test_small(void) {
  tsr_tile_grid grid = make_grid(128, 384, (tsr_tile_shape){128, 128});
  grid_kinds[0] = TSR_KIND_DENSE;
  grid_kinds[1] = TSR_KIND_ZERO;
  grid_kinds[2] = TSR_KIND_SPARSE24;
  tsr_arena arena = {0};
  tsr_fragment_cuts cuts;
  tsr_error error = {0};
  tsr_plan_schedule options = {3, TSR_BALANCE_BYTES, true};
  CHECK_EQ(tsr_fragment_cuts_build(&arena, &grid, &options, &cuts, &error),
           TSR_OK);
  static const tsr_fragment_segment expected[3] = {
      {0, 0, 1, 0, 1, 0}, {0, 0, 1, 1, 2, 1}, {0, 1, 1, 0, 2, 2}};
  CHECK_EQ(cuts.segment_count, 3);
  CHECK(memcmp(cuts.segments, expected, sizeof(expected)) == 0);
  CHECK_EQ(cuts.workers[2].stream_offset, 32768);
  CHECK_EQ(cuts.workers[2].stream_size, 18432);
  CHECK_EQ(cuts.workers[2].time, 32);
  options.workers = 0;
  CHECK_EQ(tsr_fragment_cuts_build(&arena, &grid, &options, &cuts, &error),
           TSR_INVALID_ARGUMENT);
  options.workers = 65537;
  CHECK_EQ(tsr_fragment_cuts_build(&arena, &grid, &options, &cuts, &error),
           TSR_INVALID_ARGUMENT);
  CHECK(cuts.workers == NULL);
  tsr_arena_fini(&arena);
}

int main(void) {
  uint64_t random = 11;
  test_small();
  test_grids(&random);
  return test_finish();
}
