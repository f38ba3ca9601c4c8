// SPDX-License-Identifier: Apache-2.0
// Schedules: every tile in exactly one segment, shares equal within one tile,
// fixed order of reduction, and the packed stream, read once from front to
// back as the schedule section says, multiplies as the matrix does.
#include "compiler/schedule.h"

#include <math.h>
#include <stdlib.h>

#include "base/float16.h"
#include "base/memory.h"
#include "compiler/host_pack.h"
#include "support/grid.h"
#include "support/random.h"
#include "test.h"

typedef struct problem {
  tsr_arena arena;
  tsr_tile_grid grid;
  tsr_plan_schedule options;
  tsr_schedule schedule;
} problem;

static void grid_init(problem *p, uint32_t rows, uint32_t columns,
                      tsr_tile_shape tile) {
  p->grid = grid_of(rows, columns, tile, NULL);
  size_t cells = (size_t)p->grid.panel_count * p->grid.column_count;
  p->grid.kinds = tsr_arena_alloc(&p->arena, cells);
}

static void grid_randomize(problem *p, uint64_t *random) {
  size_t cells = (size_t)p->grid.panel_count * p->grid.column_count;
  uint32_t zeros = random_below(random, 4);
  for (size_t i = 0; i < cells; ++i) {
    uint32_t dice = random_below(random, 4);
    p->grid.kinds[i] = dice < zeros              ? TSR_KIND_ZERO
                       : random_below(random, 2) ? TSR_KIND_DENSE
                                                 : TSR_KIND_SPARSE24;
  }
}

static void build(problem *p) {
  tsr_error error = {0};
  CHECK_EQ(tsr_schedule_build(&p->arena, &p->grid, &p->options,
                              tsr_host_tile_cost, &p->schedule, &error),
           TSR_OK);
}

static uint64_t tile_cost(const problem *p, uint32_t panel,
                          const tsr_scheduled_tile *tile) {
  if (p->options.balance == TSR_BALANCE_TILES) return 1;
  if (p->options.balance == TSR_BALANCE_BYTES) {
    return tsr_host_tile_cost(&p->grid, panel, tile->column, tile->kind);
  }
  return (uint64_t)tsr_grid_panel_rows(&p->grid, panel) *
         tsr_grid_tile_columns(&p->grid, tile->column) *
         (tile->kind == TSR_KIND_DENSE ? 2 : 1);
}

// Walks the schedule and holds it against the grid.
static void check_cover(const problem *p) {
  const tsr_schedule *s = &p->schedule;
  uint32_t tile = 0, segment = 0, partial = 0, panels_seen = 0;
  for (uint32_t w = 0; w < s->worker_count; ++w) {
    const tsr_worker *worker = &s->workers[w];
    CHECK_EQ(worker->segment_first, segment);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < worker->segment_count; ++i, ++segment) {
      const tsr_segment *at = &s->segments[segment];
      CHECK_EQ(at->tile_first, tile);
      bool begins = segment == 0 || at->panel != s->segments[segment - 1].panel;
      if (begins) CHECK_EQ(at->panel, panels_seen++);
      bool shared = !begins || (segment + 1 < s->segment_count &&
                                s->segments[segment + 1].panel == at->panel);
      CHECK_EQ(at->partial, shared ? partial++ : TSR_NO_PARTIAL);
      if (shared) CHECK(at->tile_count != 0);
      for (uint32_t t = 0; t < at->tile_count; ++t, ++tile) {
        const tsr_scheduled_tile *here = &s->tiles[tile];
        CHECK_EQ(here->kind, tsr_grid_kind(&p->grid, at->panel, here->column));
        bytes +=
            tsr_host_tile_cost(&p->grid, at->panel, here->column, here->kind);
        if (t != 0) CHECK(here->column > s->tiles[tile - 1].column);
      }
    }
    CHECK_EQ(worker->cost_bytes, bytes);
  }
  size_t nonzero = 0;
  size_t cells = (size_t)p->grid.panel_count * p->grid.column_count;
  for (size_t i = 0; i < cells; ++i) nonzero += p->grid.kinds[i] != 0;
  CHECK_EQ(tile, nonzero);
  CHECK_EQ(s->tile_count, nonzero);
  CHECK_EQ(segment, s->segment_count);
  CHECK_EQ(panels_seen, p->grid.panel_count);
  CHECK_EQ(partial, s->partial_count);
}

static void check_reductions(const problem *p) {
  const tsr_schedule *s = &p->schedule;
  uint32_t partial = 0, previous = 0;
  for (uint32_t i = 0; i < s->reduction_count; ++i) {
    const tsr_reduction *at = &s->reductions[i];
    CHECK(at->partial_count >= 2);
    CHECK(i == 0 || at->panel > previous);
    previous = at->panel;
    CHECK_EQ(at->partial_first, partial);
    for (uint32_t k = 0; k < s->segment_count; ++k) {
      if (s->segments[k].partial == TSR_NO_PARTIAL) continue;
      bool ours = s->segments[k].panel == at->panel;
      bool slot =
          s->segments[k].partial >= at->partial_first &&
          s->segments[k].partial < at->partial_first + at->partial_count;
      CHECK_EQ(ours, slot);
    }
    partial += at->partial_count;
  }
  CHECK_EQ(partial, s->partial_count);
}

// With panels split, every share is within one tile of the ideal.
static void check_balance(const problem *p) {
  const tsr_schedule *s = &p->schedule;
  uint64_t total = 0, largest = 0;
  uint64_t *shares = calloc(s->worker_count, sizeof(*shares));
  for (uint32_t w = 0; w < s->worker_count; ++w) {
    for (uint32_t i = 0; i < s->workers[w].segment_count; ++i) {
      const tsr_segment *at = &s->segments[s->workers[w].segment_first + i];
      for (uint32_t t = 0; t < at->tile_count; ++t) {
        uint64_t cost = tile_cost(p, at->panel, &s->tiles[at->tile_first + t]);
        shares[w] += cost;
        total += cost;
        if (cost > largest) largest = cost;
      }
    }
  }
  for (uint32_t w = 0; w < s->worker_count; ++w) {
    double ideal = (double)total / s->worker_count;
    CHECK(fabs((double)shares[w] - ideal) <= (double)largest + 1.0);
  }
  free(shares);
}

// ---- Execution -------------------------------------------------------------

typedef struct matrix {
  uint32_t rows, columns;
  size_t keep_stride;
  float *values;  // bf16-representable small integers: sums are exact
  uint8_t *keep;
} matrix;

// Values that fit the kinds: nothing in zero tiles, 2 of 4 in sparse ones.
static void matrix_init(matrix *m, const tsr_tile_grid *grid,
                        uint64_t *random) {
  m->rows = grid->rows;
  m->columns = grid->columns;
  m->keep_stride = (m->columns + 7u) / 8u;
  m->values = calloc((size_t)m->rows * m->columns, sizeof(float));
  m->keep = calloc(m->rows, m->keep_stride);
  for (uint32_t row = 0; row < m->rows; ++row) {
    uint32_t group_kept = 0;
    for (uint32_t column = 0; column < m->columns; ++column) {
      tsr_kind kind = tsr_grid_kind(grid, row / grid->tile.rows,
                                    column / grid->tile.columns);
      if (column % 4 == 0) group_kept = 0;
      if (kind == TSR_KIND_ZERO || random_below(random, 3) == 0) continue;
      if (kind == TSR_KIND_SPARSE24 && group_kept++ >= 2) continue;
      m->values[(size_t)row * m->columns + column] =
          (float)random_below(random, 9) - 4.0f;
      m->keep[row * m->keep_stride + column / 8] |= (uint8_t)(1u << column % 8);
    }
  }
}

static void matrix_fini(matrix *m) {
  free(m->values);
  free(m->keep);
}

static uint8_t *pack_stream(const problem *p, const matrix *m, uint64_t size) {
  const tsr_schedule *s = &p->schedule;
  uint8_t *stream = tsr_aligned_alloc(64, size + 64);
  uint64_t offset = 0;
  for (uint32_t k = 0; k < s->segment_count; ++k) {
    const tsr_segment *at = &s->segments[k];
    uint32_t row = at->panel * p->grid.tile.rows;
    for (uint32_t t = 0; t < at->tile_count; ++t) {
      const tsr_scheduled_tile *tile = &s->tiles[at->tile_first + t];
      uint32_t column = tile->column * p->grid.tile.columns;
      tsr_host_pack_tile(m->values + (size_t)row * m->columns + column,
                         m->columns, m->keep + row * m->keep_stride,
                         m->keep_stride, column,
                         tsr_grid_panel_rows(&p->grid, at->panel),
                         tsr_grid_tile_columns(&p->grid, tile->column),
                         tile->kind, TSR_DTYPE_BF16, stream + offset);
      offset +=
          tsr_host_tile_cost(&p->grid, at->panel, tile->column, tile->kind);
    }
  }
  CHECK_EQ(offset, size);
  return stream;
}

// What is read of the schedule section and the stream, as a kernel would.
typedef struct reader {
  const tsr_host_schedule *header;
  const tsr_host_worker *workers;
  const tsr_host_segment *segments;
  const tsr_host_reduction *reductions;
  const tsr_host_tile *tiles;
  const tsr_tile_grid *grid;
  const uint8_t *stream;
  uint8_t *read_count;  // per byte of the stream
  const float *input;
  float *output;
  float *partials;  // [partial_count, tile rows]
} reader;

static void reader_init(reader *r, const tsr_buffer *section) {
  r->header = (const void *)section->data;
  r->workers = (const void *)(r->header + 1);
  r->segments = (const void *)(r->workers + r->header->worker_count);
  r->reductions = (const void *)(r->segments + r->header->segment_count);
  r->tiles = (const void *)(r->reductions + r->header->reduction_count);
  CHECK_EQ((const char *)(r->tiles + r->header->tile_count) - section->data,
           section->size);
}

// Adds tile times input to |sums|; returns the tile's bytes.
static uint64_t run_tile(reader *r, const uint8_t *packed, uint32_t panel,
                         tsr_host_tile tile, float *sums) {
  static uint16_t values[256 * 512];
  static uint8_t keep[256 * 512];
  tsr_kind kind = (tsr_kind)(tile >> 24);
  uint32_t column = tile & 0xffffffu;
  uint32_t rows = tsr_grid_panel_rows(r->grid, panel);
  uint32_t columns = tsr_grid_tile_columns(r->grid, column);
  CHECK_EQ(
      tsr_host_unpack_tile(packed, rows, columns, kind, values, keep, NULL),
      TSR_OK);
  const float *input = r->input + (size_t)column * r->grid->tile.columns;
  for (uint32_t i = 0; i < rows; ++i) {
    for (uint32_t j = 0; j < columns; ++j) {
      sums[i] += tsr_bf16_to_float(values[i * columns + j]) * input[j];
    }
  }
  uint64_t size = tsr_host_tile_size(rows, columns, kind);
  uint8_t *count = r->read_count + (packed - r->stream);
  for (uint64_t i = 0; i < size; ++i) ++count[i];
  return size;
}

static void run_worker(reader *r, const tsr_host_worker *worker) {
  uint64_t offset = worker->stream_offset;
  for (uint32_t i = 0; i < worker->segment_count; ++i) {
    const tsr_host_segment *at = &r->segments[worker->segment_first + i];
    float sums[256] = {0};
    for (uint32_t t = 0; t < at->tile_count; ++t) {
      offset += run_tile(r, r->stream + offset, at->panel,
                         r->tiles[at->tile_first + t], sums);
    }
    uint32_t rows = tsr_grid_panel_rows(r->grid, at->panel);
    float *to = at->partial == TSR_HOST_NO_PARTIAL
                    ? r->output + at->panel * r->grid->tile.rows
                    : r->partials + at->partial * r->grid->tile.rows;
    memcpy(to, sums, rows * sizeof(float));
  }
  CHECK_EQ(offset, worker->stream_offset + worker->stream_size);
}

static void run_reductions(reader *r) {
  for (uint32_t i = 0; i < r->header->reduction_count; ++i) {
    const tsr_host_reduction *at = &r->reductions[i];
    uint32_t rows = tsr_grid_panel_rows(r->grid, at->panel);
    for (uint32_t row = 0; row < rows; ++row) {
      float sum = 0;
      for (uint32_t k = 0; k < at->partial_count; ++k) {
        sum += r->partials[(at->partial_first + k) * r->grid->tile.rows + row];
      }
      r->output[at->panel * r->grid->tile.rows + row] = sum;
    }
  }
}

static void check_output(const matrix *m, const float *input,
                         const float *output) {
  uint32_t wrong = 0;
  for (uint32_t row = 0; row < m->rows; ++row) {
    float sum = 0;
    for (uint32_t column = 0; column < m->columns; ++column) {
      sum += m->values[(size_t)row * m->columns + column] * input[column];
    }
    wrong += sum != output[row];
  }
  CHECK_EQ(wrong, 0);
}

static void check_execution(problem *p, uint64_t *random) {
  matrix m;
  matrix_init(&m, &p->grid, random);
  tsr_buffer section;
  tsr_buffer_init(&section);
  uint64_t size;
  tsr_host_write_schedule(&p->schedule, &section, &size);
  uint8_t *stream = pack_stream(p, &m, size);
  float *input = calloc(m.columns, sizeof(float));
  for (uint32_t i = 0; i < m.columns; ++i) {
    input[i] = (float)random_below(random, 9) - 4.0f;
  }
  size_t partials = (size_t)p->schedule.partial_count * p->grid.tile.rows;
  reader r = {.grid = &p->grid,
              .stream = stream,
              .read_count = calloc(size + 1, 1),
              .input = input,
              .output = calloc(m.rows, sizeof(float)),
              .partials = calloc(partials + 1, sizeof(float))};
  for (uint32_t i = 0; i < m.rows; ++i) r.output[i] = 1e30f;
  reader_init(&r, &section);
  // In any order: the result may not depend on it.
  for (uint32_t w = r.header->worker_count; w-- != 0;) {
    run_worker(&r, &r.workers[w]);
  }
  run_reductions(&r);
  uint64_t not_once = 0;
  for (uint64_t i = 0; i < size; ++i) not_once += r.read_count[i] != 1;
  CHECK_EQ(not_once, 0);
  check_output(&m, input, r.output);
  free(r.read_count);
  free(r.output);
  free(r.partials);
  free(input);
  tsr_free(stream);
  tsr_buffer_fini(&section);
  matrix_fini(&m);
}

static void test_random(uint64_t seed) {
  uint64_t random = seed;
  problem p = {0};
  // One at a time: the order of arguments is the compiler's choice.
  tsr_tile_shape tile;
  tile.rows = 16 * (1 + random_below(&random, 16));
  tile.columns = 32 * (1 + random_below(&random, 16));
  uint32_t rows = 1 + random_below(&random, 500);
  uint32_t columns = 1 + random_below(&random, 900);
  grid_init(&p, rows, columns, tile);
  grid_randomize(&p, &random);
  p.options.workers = 1 + random_below(&random, 20);
  p.options.balance = (tsr_balance)random_below(&random, 3);
  p.options.split_panels = random_below(&random, 4) != 0;
  build(&p);
  check_cover(&p);
  check_reductions(&p);
  if (p.options.split_panels) check_balance(&p);
  if (!p.options.split_panels) CHECK_EQ(p.schedule.partial_count, 0);
  check_execution(&p, &random);
  tsr_arena_fini(&p.arena);
}

// ---- Golden ----------------------------------------------------------------

static void check_text(const char *name, const tsr_schedule *schedule) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_schedule_dump(schedule, &text);
  char path[512];
  snprintf(path, sizeof(path), "%s/%s", TEST_GOLDEN, name);
  if (getenv("TESSERA_UPDATE_GOLDEN") != NULL) {
    FILE *file = fopen(path, "wb");
    if (file != NULL) {
      fputs(tsr_buffer_text(&text), file);
      fclose(file);
    }
  }
  static char expected[65536];
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  size_t size =
      file == NULL ? 0 : fread(expected, 1, sizeof(expected) - 1, file);
  expected[size] = '\0';
  if (file != NULL) fclose(file);
  CHECK_STR(tsr_buffer_text(&text), expected);
  tsr_buffer_fini(&text);
}

static void golden(const char *name, uint32_t rows, uint32_t columns,
                   const char *kinds, tsr_plan_schedule options) {
  problem p = {.options = options};
  grid_init(&p, rows, columns, (tsr_tile_shape){128, 128});
  CHECK_EQ(strlen(kinds), p.grid.panel_count * p.grid.column_count);
  for (size_t i = 0; kinds[i] != '\0'; ++i) {
    p.grid.kinds[i] = kinds[i] == 'D'   ? TSR_KIND_DENSE
                      : kinds[i] == 's' ? TSR_KIND_SPARSE24
                                        : TSR_KIND_ZERO;
  }
  build(&p);
  check_cover(&p);
  check_text(name, &p.schedule);
  tsr_arena_fini(&p.arena);
}

static void test_golden(void) {
  static const char kinds[] =
      "sssD"
      "...."
      "D..s"
      "ssss"
      "sDD.";
  golden("split.schedule", 600, 500, kinds,
         (tsr_plan_schedule){4, TSR_BALANCE_BYTES, true});
  golden("whole.schedule", 600, 500, kinds,
         (tsr_plan_schedule){4, TSR_BALANCE_BYTES, false});
  golden("time.schedule", 600, 500, kinds,
         (tsr_plan_schedule){4, TSR_BALANCE_TIME, true});
  golden("tiles.schedule", 600, 500, kinds,
         (tsr_plan_schedule){4, TSR_BALANCE_TILES, true});
  golden("empty.schedule", 200, 200, "....",
         (tsr_plan_schedule){12, TSR_BALANCE_BYTES, true});
  golden("one.schedule", 100, 1000, "sDsDsDsD",
         (tsr_plan_schedule){12, TSR_BALANCE_BYTES, true});
}

static void test_errors(void) {
  problem p = {0};
  grid_init(&p, 300, 300, (tsr_tile_shape){64, 64});
  memset(p.grid.kinds, TSR_KIND_DENSE, 25);
  tsr_error error = {0};
  CHECK_EQ(tsr_schedule_build(&p.arena, &p.grid, &p.options, tsr_host_tile_cost,
                              &p.schedule, &error),
           TSR_INVALID_ARGUMENT);
  p.options.workers = 3;
  for (uint64_t nth = 1; nth < 3; ++nth) {
    tsr_arena arena = {0};
    (void)tsr_memory_fail_at(nth);
    tsr_status status = tsr_schedule_build(
        &arena, &p.grid, &p.options, tsr_host_tile_cost, &p.schedule, NULL);
    (void)tsr_memory_fail_at(0);
    CHECK_EQ(status, nth == 1 ? TSR_OUT_OF_MEMORY : TSR_OK);
    tsr_arena_fini(&arena);
  }
  tsr_arena_fini(&p.arena);
}

int main(void) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    int before = test_failures;
    test_random(seed);
    if (test_failures != before) {
      fprintf(stderr, "seed %d failed\n", (int)seed);
      break;
    }
  }
  test_golden();
  test_errors();
  return test_finish();
}
