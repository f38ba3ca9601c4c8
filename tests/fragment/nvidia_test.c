// SPDX-License-Identifier: Apache-2.0
// The tables of a layer for the NVIDIA family: steps say where bytes and
// columns are, each cut does every step once and every panel, shares are equal
// to within one step, counters suffice, and the section is what it says.
#include <stdlib.h>

#include "base/memory.h"
#include "compiler/nvidia_schedule.h"
#include "grid.h"

// ---- Steps -----------------------------------------------------------------

// What a step costs, by the layout's offsets; filled while steps are checked.
typedef struct step_fact {
  uint32_t panel;
  uint64_t bytes, time;
} step_fact;

static void check_step(const tsr_nvidia_tables *tables, uint32_t panel,
                       uint32_t column, uint32_t chunk, uint64_t tile_offset,
                       uint32_t step, step_fact *fact) {
  const tsr_tile_grid *grid = tables->grid;
  uint32_t rows = tsr_grid_panel_rows(grid, panel);
  uint32_t columns = tsr_grid_tile_columns(grid, column);
  tsr_kind kind = tsr_grid_kind(grid, panel, column);
  const tsr_nvidia_step *at = &tables->steps[step];
  uint64_t begin = tsr_fragment_unit_offset(rows, columns, kind, chunk, 0);
  uint64_t end = tsr_fragment_unit_offset(rows, columns, kind, chunk + 1, 0);
  uint32_t left = columns - 64 * chunk > 64 ? 64 : columns - 64 * chunk;
  uint32_t k = kind == TSR_KIND_DENSE ? 16 : 32;
  CHECK_EQ((uint64_t)at->offset * 128, tile_offset + begin);
  CHECK_EQ(tsr_nvidia_step_column(at->code),
           column * grid->tile.columns + 64 * chunk);
  CHECK_EQ(tsr_nvidia_step_kind(at->code), kind);
  CHECK_EQ(tsr_nvidia_step_sixteenths(at->code), (left + 15) / 16);
  CHECK_EQ(at->code >> 30, 0);
  *fact = (step_fact){panel, end - begin,
                      (uint64_t)((rows + 15) / 16) * ((left + k - 1) / k)};
}

// Returns facts of all steps; the caller frees.
static step_fact *check_steps(const tsr_nvidia_tables *tables) {
  const tsr_tile_grid *grid = tables->grid;
  step_fact *facts = tsr_calloc(tables->step_count + 1u, sizeof(*facts));
  uint32_t step = 0;
  uint64_t offset = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      tsr_kind kind = tsr_grid_kind(grid, panel, column);
      if (kind == TSR_KIND_ZERO) continue;
      uint32_t columns = tsr_grid_tile_columns(grid, column);
      for (uint32_t i = 0; i < (columns + 63) / 64; ++i, ++step) {
        if (step >= tables->step_count) break;
        check_step(tables, panel, column, i, offset, step, &facts[step]);
      }
      offset += tsr_fragment_tile_size(tsr_grid_panel_rows(grid, panel),
                                       columns, kind);
    }
  }
  CHECK_EQ(step, tables->step_count);
  CHECK_EQ(offset, tables->stream_size);
  return facts;
}

// ---- Cuts ------------------------------------------------------------------

// What a walk over a cut's workers in order has seen.
typedef struct walk {
  const tsr_nvidia_tables *tables;
  const tsr_nvidia_cut *cut;
  const step_fact *facts;
  uint32_t step, segment, partial, reduction;
  uint32_t panel;          // of the last segment; UINT32_MAX: none yet
  uint32_t panel_partial;  // slots that the panel has left, counted down
} walk;

static void check_slots(walk *w, const tsr_nvidia_segment *at, bool begins) {
  if (at->partial == TSR_NVIDIA_NO_PARTIAL) {
    CHECK(begins && w->panel_partial == 0);
    CHECK_EQ(at->reduction, 0);
    CHECK_EQ(at->partial_first, 0);
    CHECK_EQ(at->partial_count, 0);
    return;
  }
  if (begins) {
    CHECK_EQ(w->panel_partial, 0);
    CHECK(at->partial_count >= 2);
    CHECK_EQ(at->partial_first, w->partial);
    w->panel_partial = at->partial_count;
    ++w->reduction;
  }
  CHECK_EQ(at->reduction, w->reduction - 1);
  CHECK_EQ(at->partial, w->partial++);
  CHECK_EQ(at->partial - at->partial_first + w->panel_partial--,
           at->partial_count);
}

static void check_segment(walk *w, const tsr_nvidia_worker *worker) {
  const tsr_nvidia_segment *at =
      &w->tables->segments[w->cut->segment_first + w->segment++];
  bool begins = at->panel != w->panel;
  if (begins) {  // every panel is there
    CHECK_EQ(at->panel, w->panel + 1);
    CHECK_EQ(w->panel_partial, 0);
  }
  w->panel = at->panel;
  check_slots(w, at, begins);
  CHECK(at->step_end >= w->step && at->step_end <= worker->step_end);
  if (at->partial != TSR_NVIDIA_NO_PARTIAL) CHECK(at->step_end > w->step);
  CHECK_EQ(at->reserved[0] | at->reserved[1], 0);
  for (; w->step < at->step_end; ++w->step) {
    CHECK_EQ(w->facts[w->step].panel, at->panel);
  }
}

static uint64_t step_cost(const step_fact *fact, tsr_balance balance) {
  return balance == TSR_BALANCE_BYTES  ? fact->bytes
         : balance == TSR_BALANCE_TIME ? fact->time
                                       : 1;
}

// Shares of |cut| are within one step of equal; and tsr_nvidia_imbalance says
// what they are.
static void check_shares(const tsr_nvidia_tables *tables, uint32_t index,
                         const step_fact *facts, tsr_balance balance,
                         bool is_split) {
  const tsr_nvidia_cut *cut = &tables->cuts[index];
  uint64_t total = 0, step_largest = 0, largest = 0;
  for (uint32_t i = 0; i < tables->step_count; ++i) {
    uint64_t cost = step_cost(&facts[i], balance);
    total += cost;
    if (cost > step_largest) step_largest = cost;
  }
  for (uint32_t i = 0; i < cut->worker_count; ++i) {
    const tsr_nvidia_worker *worker = &tables->workers[cut->worker_first + i];
    uint64_t share = 0;
    for (uint32_t s = worker->step_first; s < worker->step_end; ++s) {
      share += step_cost(&facts[s], balance);
    }
    if (share > largest) largest = share;
    uint64_t mine = share * cut->worker_count;
    uint64_t off = mine > total ? mine - total : total - mine;
    if (is_split) CHECK(off <= step_largest * cut->worker_count);
  }
  double expected =
      total == 0 ? 1.0 : (double)largest * cut->worker_count / (double)total;
  double off = tsr_nvidia_imbalance(tables, index, balance) - expected;
  CHECK(off < 1e-12 && off > -1e-12);
}

static void check_cut(const tsr_nvidia_tables *tables, uint32_t index,
                      const step_fact *facts) {
  const tsr_nvidia_cut *cut = &tables->cuts[index];
  walk w = {.tables = tables, .cut = cut, .facts = facts, .panel = UINT32_MAX};
  for (uint32_t i = 0; i < cut->worker_count; ++i) {
    const tsr_nvidia_worker *worker = &tables->workers[cut->worker_first + i];
    CHECK_EQ(worker->step_first, w.step);
    CHECK_EQ(worker->segment_first, w.segment);
    CHECK(worker->segment_end >= w.segment);
    while (w.segment < worker->segment_end) check_segment(&w, worker);
    CHECK_EQ(worker->step_end, w.step);
  }
  CHECK_EQ(w.step, tables->step_count);
  CHECK_EQ(w.segment, cut->segment_count);
  CHECK_EQ(w.panel + 1, tables->grid->panel_count);
  CHECK_EQ(w.panel_partial, 0);
  CHECK_EQ(w.partial, cut->partial_count);
  CHECK_EQ(w.reduction, cut->reduction_count);
  CHECK(cut->reduction_count <= TSR_NVIDIA_COUNTERS);
}

// ---- Classes ---------------------------------------------------------------

// Cuts of one class from |index| on: decode, then prefill for each floor(n / i)
// as far as there are steps. Returns the cut after them.
static uint32_t check_class(const tsr_nvidia_tables *tables, uint32_t index,
                            uint32_t n) {
  uint32_t useful = tables->step_count == 0 ? 1 : tables->step_count;
  CHECK_EQ(tables->cuts[index].mode, TSR_NVIDIA_DECODE);
  CHECK_EQ(tables->cuts[index].multiprocessors, n);
  CHECK_EQ(tables->cuts[index++].worker_count, n < useful ? n : useful);
  uint32_t last = UINT32_MAX;
  for (uint32_t i = 1; i <= n; ++i) {
    uint32_t wanted = n / i < useful ? n / i : useful;
    if (wanted == last) continue;
    last = wanted;
    CHECK(index < tables->cut_count);
    if (index >= tables->cut_count) return index;
    CHECK_EQ(tables->cuts[index].mode, TSR_NVIDIA_PREFILL);
    CHECK_EQ(tables->cuts[index].multiprocessors, n);
    CHECK_EQ(tables->cuts[index++].worker_count, wanted);
  }
  CHECK_EQ(last, 1);
  return index;
}

static void check_classes(const tsr_nvidia_tables *tables, uint32_t workers) {
  static const uint32_t classes[] = {84, 108, 128, 132};
  uint32_t index = 0;
  if (workers != 0) {
    index = check_class(tables, index, workers);
  } else {
    for (int i = 0; i < 4; ++i) index = check_class(tables, index, classes[i]);
  }
  CHECK_EQ(index, tables->cut_count);
}

// ---- The section -----------------------------------------------------------

// Whatever is changed in it: either it is refused, or what it says can be
// walked (sanitizers watch).
static void check_damage(const tsr_nvidia_tables *tables, tsr_buffer *section) {
  static uint64_t random = 5;
  tsr_arena arena = {0};
  tsr_nvidia_tables again;
  tsr_error error = {0};
  uint32_t words = (uint32_t)(section->size / 4), refused = 0;
  for (int i = 0; i < 40; ++i) {
    uint32_t at = random_below(&random, i % 2 == 0 ? 8 : words), saved;
    uint32_t value = random_below(&random, 3) == 0
                         ? (uint32_t)random_next(&random)
                         : random_below(&random, 40);
    memcpy(&saved, section->data + 4 * (size_t)at, 4);
    memcpy(section->data + 4 * (size_t)at, &value, 4);
    tsr_status status = tsr_nvidia_tables_read(
        &arena, section->data, section->size, tables->grid, tables->stream_size,
        &again, &error);
    CHECK(status == TSR_OK || status == TSR_CORRUPT);
    if (status == TSR_OK) {
      tsr_buffer text = {0};
      tsr_nvidia_tables_dump(&again, &text);
      tsr_buffer_fini(&text);
    }
    refused += status != TSR_OK;
    memcpy(section->data + 4 * (size_t)at, &saved, 4);
  }
  CHECK(refused > 5);
  CHECK_EQ(
      tsr_nvidia_tables_read(&arena, section->data, section->size - 4,
                             tables->grid, tables->stream_size, &again, &error),
      TSR_CORRUPT);
  CHECK_EQ(tsr_nvidia_tables_read(&arena, section->data, 12, tables->grid,
                                  tables->stream_size, &again, &error),
           TSR_CORRUPT);
  tsr_arena_fini(&arena);
}

// Read back it gives the same text.
static void check_read(const tsr_nvidia_tables *tables,
                       const tsr_buffer *section) {
  tsr_arena arena = {0};
  tsr_nvidia_tables again;
  tsr_error error = {0};
  tsr_buffer expected = {0}, text = {0};
  CHECK_EQ(
      tsr_nvidia_tables_read(&arena, section->data, section->size, tables->grid,
                             tables->stream_size, &again, &error),
      TSR_OK);
  tsr_nvidia_tables_dump(tables, &expected);
  tsr_nvidia_tables_dump(&again, &text);
  CHECK(strcmp(tsr_buffer_text(&text), tsr_buffer_text(&expected)) == 0);
  tsr_buffer_fini(&expected);
  tsr_buffer_fini(&text);
  tsr_arena_fini(&arena);
}

static void check_section(const tsr_nvidia_tables *tables) {
  tsr_buffer out = {0};
  tsr_nvidia_tables_write(tables, &out);
  size_t steps = 8ul * tables->step_count, cuts = 32ul * tables->cut_count;
  size_t workers = 16ul * tables->worker_count;
  size_t segments = 32ul * tables->segment_count;
  CHECK_EQ(out.size, 32 + steps + cuts + workers + segments);
  uint32_t header[8] = {tables->step_count, tables->cut_count,
                        tables->worker_count, tables->segment_count};
  CHECK(memcmp(out.data, header, 32) == 0);
  const char *at = out.data + 32;
  CHECK(steps == 0 || memcmp(at, tables->steps, steps) == 0);
  CHECK(memcmp(at += steps, tables->cuts, cuts) == 0);
  CHECK(memcmp(at += cuts, tables->workers, workers) == 0);
  CHECK(memcmp(at + workers, tables->segments, segments) == 0);
  uint32_t worker = 0, segment = 0;
  for (uint32_t i = 0; i < tables->cut_count; ++i) {
    CHECK_EQ(tables->cuts[i].worker_first, worker);
    CHECK_EQ(tables->cuts[i].segment_first, segment);
    worker += tables->cuts[i].worker_count;
    segment += tables->cuts[i].segment_count;
  }
  CHECK_EQ(worker, tables->worker_count);
  CHECK_EQ(segment, tables->segment_count);
  if (tables->worker_count < 2000 && tables->segment_count < 2000) {
    check_read(tables, &out);
    check_damage(tables, &out);
  }
  tsr_buffer_fini(&out);
}

static void check_grid(const tsr_tile_grid *grid, uint32_t workers,
                       tsr_balance balance, bool is_split) {
  tsr_arena arena = {0};
  tsr_nvidia_tables tables;
  tsr_error error = {0};
  tsr_plan_schedule options = {workers, balance, is_split};
  CHECK_EQ(tsr_nvidia_tables_build(&arena, grid, &options, &tables, &error),
           TSR_OK);
  step_fact *facts = check_steps(&tables);
  for (uint32_t i = 0; i < tables.cut_count; ++i) {
    bool decode = tables.cuts[i].mode == TSR_NVIDIA_DECODE;
    tsr_balance equal =
        decode || balance == TSR_BALANCE_TILES ? balance : TSR_BALANCE_TIME;
    check_cut(&tables, i, facts);
    check_shares(&tables, i, facts, equal, is_split);
    if (!is_split) CHECK_EQ(tables.cuts[i].partial_count, 0);
  }
  check_classes(&tables, workers);
  check_section(&tables);
  tsr_free(facts);
  tsr_arena_fini(&arena);
}

static void test_grids(uint64_t *random) {
  static const uint32_t workers[] = {0, 1, 7, 132, 1000};
  static const tsr_tile_shape shapes[] = {
      {128, 128}, {64, 64}, {16, 32}, {256, 512}, {48, 96}};
  for (int i = 0; i < 5 * 5 * 5; ++i) {
    tsr_tile_shape shape = shapes[i % 5];
    tsr_tile_grid grid =
        make_grid(1 + random_below(random, 20 * shape.rows),
                  1 + random_below(random, 20 * shape.columns), shape);
    fill_kinds(random, &grid, i / 5 % 5);
    check_grid(&grid, workers[i / 25], (tsr_balance)(i % 3), true);
    check_grid(&grid, workers[i / 25], TSR_BALANCE_BYTES, false);
  }
}

// As many split panels as counters, and more where they are not enough: a
// worker and a half for each panel splits all of them.
static void test_counters(void) {
  tsr_tile_grid grid = make_grid(16 * 1300, 32 * 3, (tsr_tile_shape){16, 32});
  memset(grid_kinds, TSR_KIND_DENSE, sizeof(grid_kinds));
  tsr_arena arena = {0};
  tsr_nvidia_tables tables;
  tsr_error error = {0};
  tsr_plan_schedule options = {1950, TSR_BALANCE_BYTES, true};
  CHECK_EQ(tsr_nvidia_tables_build(&arena, &grid, &options, &tables, &error),
           TSR_OK);
  CHECK_EQ(tables.cuts[0].worker_count, TSR_NVIDIA_COUNTERS + 1);
  CHECK(tables.cuts[0].reduction_count <= TSR_NVIDIA_COUNTERS);
  CHECK(tables.cuts[0].reduction_count > TSR_NVIDIA_COUNTERS / 2);
  CHECK_EQ(tables.cuts[0].multiprocessors, 1950);
  CHECK_EQ(tables.cuts[1].worker_count, TSR_NVIDIA_COUNTERS + 1);
  CHECK_EQ(tables.cuts[2].worker_count, 975);
  options.split_panels = false;  // no reductions: as many as asked for
  CHECK_EQ(tsr_nvidia_tables_build(&arena, &grid, &options, &tables, &error),
           TSR_OK);
  CHECK_EQ(tables.cuts[0].worker_count, 1950);
  options.workers = 65537;
  CHECK_EQ(tsr_nvidia_tables_build(&arena, &grid, &options, &tables, &error),
           TSR_INVALID_ARGUMENT);
  CHECK(tables.steps == NULL);
  grid.columns = (1u << 24) + 1;
  grid.column_count = 1;  // never looked at
  CHECK_EQ(tsr_nvidia_tables_build(&arena, &grid, &options, &tables, &error),
           TSR_UNSUPPORTED);
  tsr_arena_fini(&arena);
}

// 2^21 dense tiles of 256 KiB: the stream ends where the offset of a step does
// not reach, 2^32 units of 128 bytes from its beginning.
static void test_stream_limit(void) {
  tsr_tile_grid grid =
      make_grid(1u << 24, 1u << 14, (tsr_tile_shape){256, 512});
  size_t tiles = (size_t)grid.panel_count * grid.column_count;
  uint8_t *dense = tsr_calloc(tiles, 1);
  CHECK_EQ(tiles, 1u << 21);
  memset(dense, TSR_KIND_DENSE, tiles);
  grid.kinds = dense;
  tsr_arena arena = {0};
  tsr_nvidia_tables tables;
  tsr_error error = {0};
  tsr_plan_schedule options = {4, TSR_BALANCE_BYTES, true};
  CHECK_EQ(tsr_nvidia_tables_build(&arena, &grid, &options, &tables, &error),
           TSR_UNSUPPORTED);
  CHECK(strstr(error.message, "549755813888 packed bytes") != NULL);
  CHECK(tables.steps == NULL);
  tsr_arena_fini(&arena);
  tsr_free(dense);
}

// By hand: one panel, a dense, a zero and a 2:4 tile of two steps each, the
// last one ragged; two workers. Bytes 16384, 16384, 9216, 5120 (32 columns: 512
// of metadata and 4 fragments for each of 2 groups), so the cut is after the
// first step: half of 47104 is 23552, and 16384 is nearer than 32768.
static void test_small(void) {
  static const char expected[] =
      "matrix 128x352 tile 128x128 steps 4 bytes 47104\n"
      "cut 0: decode, 2 multiprocessors, workers 2, partials 2, reductions 1\n"
      "  worker 0: steps 0..1, 16384 bytes, time 32\n"
      "    panel 0 k 0..64 columns 0..0 D -> partial 0 of 0..1, counter 0\n"
      "  worker 1: steps 1..4, 30720 bytes, time 56\n"
      "    panel 0 k 64..352 columns 0..2 D.s -> partial 1 of 0..1, counter 0\n"
      "cut 1: prefill, 2 multiprocessors, workers 2, partials 2, reductions 1\n"
      "  worker 0: steps 0..1, 16384 bytes, time 32\n"
      "    panel 0 k 0..64 columns 0..0 D -> partial 0 of 0..1, counter 0\n"
      "  worker 1: steps 1..4, 30720 bytes, time 56\n"
      "    panel 0 k 64..352 columns 0..2 D.s -> partial 1 of 0..1, counter 0\n"
      "cut 2: prefill, 2 multiprocessors, workers 1, partials 0, reductions 0\n"
      "  worker 0: steps 0..4, 47104 bytes, time 88\n"
      "    panel 0 k 0..352 columns 0..2 D.s\n";
  tsr_tile_grid grid = make_grid(128, 352, (tsr_tile_shape){128, 128});
  grid_kinds[0] = TSR_KIND_DENSE;
  grid_kinds[1] = TSR_KIND_ZERO;
  grid_kinds[2] = TSR_KIND_SPARSE24;
  tsr_arena arena = {0};
  tsr_nvidia_tables tables;
  tsr_error error = {0};
  tsr_plan_schedule options = {2, TSR_BALANCE_BYTES, true};
  CHECK_EQ(tsr_nvidia_tables_build(&arena, &grid, &options, &tables, &error),
           TSR_OK);
  tsr_buffer text = {0};
  tsr_nvidia_tables_dump(&tables, &text);
  CHECK_STR(tsr_buffer_text(&text), expected);
  tsr_buffer_fini(&text);
  tsr_arena_fini(&arena);
}

int main(void) {
  uint64_t random = 12;
  test_small();
  test_grids(&random);
  test_counters();
  test_stream_limit();
  return test_finish();
}
