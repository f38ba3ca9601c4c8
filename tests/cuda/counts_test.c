// SPDX-License-Identifier: Apache-2.0
// What kernels do, counted by the emulated driver and compared with what the
// design says that they have to: times are for real devices, counts for every
// machine. The formulas here are the tests' own, from tiles and tokens.
#include <stdlib.h>

#include "device.h"
#include "test.h"

typedef struct count_case {
  const char *label;
  layer_mix mix;
  uint32_t rows, columns, tile_rows, tile_columns, workers, tokens;
  tsr_dtype type;
  uint32_t cut_pick;
} count_case;

#define BF16 TSR_DTYPE_BF16
#define F16 TSR_DTYPE_F16

static const count_case cases[] = {
    {"dense N=1", LAYER_DENSE, 512, 1024, 128, 128, 7, 1, BF16, 0},
    {"2:4 N=1", LAYER_SPARSE, 512, 1024, 128, 128, 7, 1, F16, 0},
    {"zero N=8", LAYER_ZERO, 512, 1024, 128, 128, 7, 8, BF16, 0},
    {"mixed N=8", LAYER_RANDOM_50, 512, 1024, 128, 128, 108, 8, BF16, 0},
    {"mixed N=16", LAYER_RANDOM_30, 512, 1024, 128, 128, 7, 16, F16, 0},
    {"mixed N=32", LAYER_RANDOM_70, 512, 1024, 64, 64, 7, 32, BF16, 0},
    {"mixed N=64", LAYER_RANDOM_50, 512, 1024, 128, 128, 7, 64, F16, 0},
    {"large tiles N=32", LAYER_RANDOM_50, 512, 1024, 256, 512, 7, 32, BF16, 0},
    {"one worker N=16", LAYER_RANDOM_90, 256, 512, 128, 128, 1, 16, BF16, 0},
    {"narrow tiles N=16", LAYER_RANDOM_50, 192, 256, 64, 32, 7, 16, F16, 0},
    {"48 rows N=8", LAYER_RANDOM_50, 192, 640, 48, 160, 7, 8, BF16, 0},
    {"prefill N=128", LAYER_RANDOM_50, 512, 1024, 128, 128, 7, 128, BF16, 0},
    {"prefill N=200", LAYER_RANDOM_50, 256, 512, 128, 128, 7, 200, F16, 1},
    {"prefill N=150", LAYER_RANDOM_50, 256, 512, 128, 128, 7, 150, F16, 1},
    {"prefill N=300", LAYER_RANDOM_50, 256, 512, 64, 64, 7, 300, BF16, 1},
    {"prefill N=65", LAYER_RANDOM_30, 256, 512, 64, 64, 7, 65, BF16, 2},
    {"prefill 256 rows", LAYER_RANDOM_50, 512, 512, 256, 128, 1, 256, F16, 0},
};

static bool make_layer(const count_case *c, layer *out) {
  layer_options options = {.spec = {.rows = c->rows,
                                    .columns = c->columns,
                                    .tile = {c->tile_rows, c->tile_columns},
                                    .weight_type = c->type,
                                    .output_type = c->type},
                           .mix = c->mix,
                           .workers = c->workers,
                           .split = true,
                           .seed = 99};
  return layer_create(&options, out);
}

static bool launch(device *dev, const layer *l, const count_case *c,
                   uint8_t *reads, uint32_t width, run_result *out) {
  run_options run = {.label = c->label,
                     .target = "sm_80",
                     .tokens = c->tokens,
                     .cut_pick = c->cut_pick,
                     .data_seed = 5,
                     .watch_reads = reads,
                     .watch_width = width};
  return run_layer(dev, l, &run, out);
}

// ---- Weights ---------------------------------------------------------------

// Warps side by side in tokens, of all token tiles, that have tokens: a warp
// reads what it multiplies, and one without tokens does neither.
static uint32_t warps_in_tokens(const count_case *c, const run_result *r) {
  uint32_t block = r->kernel->block_tokens;
  uint32_t warp = r->kernel->geometry.warp_tokens;
  return c->tokens / block * r->kernel->geometry.token_slices +
         (c->tokens % block + warp - 1) / warp;
}

// Each byte of the stream is read once by each of these warps.
static void check_reads(device *dev, const layer *l, const count_case *c,
                        uint32_t width, run_result *out) {
  size_t size = l->tables.stream_size;
  uint8_t *reads = calloc(size + 1, 1);
  if (reads == NULL) abort();
  CHECK(launch(dev, l, c, reads, width, out));
  uint32_t times = warps_in_tokens(c, out);
  if (out->kernel->mode == TSR_NVIDIA_DECODE) CHECK_EQ(times, 1);
  size_t wrong = 0, first = 0;
  for (size_t i = 0; i < size; ++i) {
    if (reads[i] == times) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong != 0) {
    fprintf(stderr,
            "%s: %zu of %zu bytes of weights are not read %u times %u bytes "
            "wide; byte %zu is read %u times\n",
            c->label, wrong, size, times, width, first, reads[first]);
  }
  CHECK_EQ(wrong, 0);
  free(reads);
}

// ---- Instructions ----------------------------------------------------------

static uint64_t matrix_count(const tessera_emu_profile *p, bool is_sparse) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->matrix_count; ++i) {
    bool sparse = strncmp(p->matrix[i].name, "mma.sp", 6) == 0;
    if (sparse == is_sparse) sum += p->matrix[i].count;
  }
  return sum;
}

// Row blocks times k16 or k32 steps of all tiles of |kind|: what one n8 tile
// takes at least.
static uint64_t least_mma(const layer *l, tsr_kind kind) {
  uint64_t sum = 0;
  uint32_t k = kind == TSR_KIND_DENSE ? 16 : 32;
  for (uint32_t panel = 0; panel < l->grid.panel_count; ++panel) {
    for (uint32_t t = 0; t < l->grid.column_count; ++t) {
      if (tsr_grid_kind(&l->grid, panel, t) != kind) continue;
      sum += (uint64_t)((tsr_grid_panel_rows(&l->grid, panel) + 15) / 16) *
             ((tsr_grid_tile_columns(&l->grid, t) + k - 1) / k);
    }
  }
  return sum;
}

static void check_mma(const layer *l, const count_case *c,
                      const run_result *r) {
  uint64_t n_tiles =
      (uint64_t)(r->kernel->geometry.warp_tokens / 8) * warps_in_tokens(c, r);
  CHECK_EQ(matrix_count(&r->profile, false),
           least_mma(l, TSR_KIND_DENSE) * n_tiles);
  CHECK_EQ(matrix_count(&r->profile, true),
           least_mma(l, TSR_KIND_SPARSE24) * n_tiles);
}

static void check_shared(const count_case *c, const tessera_emu_profile *p) {
  const tessera_emu_traffic *all[] = {&p->shared_load, &p->shared_store,
                                      &p->copy_shared};
  static const char *const names[] = {"loads", "stores", "cp.async"};
  for (int i = 0; i < 3; ++i) {
    if (all[i]->transactions != all[i]->ideal) {
      fprintf(stderr, "%s: bank conflicts of %s\n", c->label, names[i]);
    }
    CHECK_EQ(all[i]->transactions, all[i]->ideal);
  }
  CHECK(p->shared_load.instructions != 0);
  CHECK_EQ(p->local_load.instructions + p->local_store.instructions, 0);
}

// ---- X and Y ---------------------------------------------------------------

// A block copies 64 columns of X, or 32 where its step has no more, or what X
// has left, once for each of its steps and tokens, 16 bytes at a time; all
// token tiles together: for all tokens.
static void check_input(const layer *l, const count_case *c,
                        const tessera_emu_profile *p) {
  uint64_t columns = 0;
  for (uint32_t i = 0; i < l->tables.step_count; ++i) {
    uint32_t code = l->tables.steps[i].code;
    uint32_t left = c->columns - tsr_nvidia_step_column(code);
    uint32_t own = tsr_nvidia_step_sixteenths(code) > 2 ? 64 : 32;
    columns += left < own ? left : own;
  }
  CHECK_EQ(p->copy.bytes, columns * 2 * c->tokens);
  CHECK_EQ(p->copy.width[4], p->copy.instructions);
}

// Y once, and each slot of partial sums once.
static void check_output(const layer *l, const count_case *c,
                         const run_result *r) {
  uint64_t partial_rows = 0;
  const tsr_nvidia_segment *segments =
      l->tables.segments + r->cut->segment_first;
  for (uint32_t i = 0; i < r->cut->segment_count; ++i) {
    if (segments[i].partial == TSR_NVIDIA_NO_PARTIAL) continue;
    partial_rows += tsr_grid_panel_rows(&l->grid, segments[i].panel);
  }
  uint64_t least = 2ull * c->tokens * l->spec.rows;
  uint64_t most = least + 4ull * partial_rows * r->kernel->block_tokens *
                              ((c->tokens - 1) / r->kernel->block_tokens + 1);
  const tessera_emu_traffic *store = &r->profile.global_store;
  CHECK(store->bytes >= least + 4ull * partial_rows * c->tokens);
  // Counters that are set back are 4 bytes each.
  uint64_t tiles = (c->tokens - 1) / r->kernel->block_tokens + 1;
  CHECK(store->bytes <= most + 4ull * r->cut->reduction_count * tiles);
  CHECK(store->transactions <=
        store->ideal + (uint64_t)r->cut->reduction_count * tiles);
}

// ---- Shares ----------------------------------------------------------------

static uint64_t step_cost(const layer *l, uint32_t panel, uint32_t step,
                          bool in_bytes) {
  uint32_t code = l->tables.steps[step].code;
  tsr_kind kind = tsr_nvidia_step_kind(code);
  uint32_t columns = 16 * tsr_nvidia_step_sixteenths(code);
  uint32_t blocks = (tsr_grid_panel_rows(&l->grid, panel) + 15) / 16;
  uint32_t steps = kind == TSR_KIND_DENSE ? columns / 16 : (columns + 31) / 32;
  uint64_t metadata = 0;  // a lane has 1, 2, 4 or 4 words of a row group
  if (kind == TSR_KIND_SPARSE24) {
    static const uint32_t words[] = {0, 1, 2, 4};
    metadata = 128ull * (blocks / 4 * 4 + words[blocks % 4]);
  }
  return in_bytes ? metadata + 512ull * blocks * steps
                  : (uint64_t)blocks * steps;
}

// No share is further from the mean than the largest step.
static void check_balance(const layer *l, const tsr_nvidia_cut *cut) {
  bool in_bytes = cut->mode == TSR_NVIDIA_DECODE;
  uint64_t total = 0, largest_step = 0, most = 0, least = UINT64_MAX;
  uint32_t covered = 0;
  for (uint32_t w = 0; w < cut->worker_count; ++w) {
    const tsr_nvidia_worker *worker = &l->tables.workers[cut->worker_first + w];
    uint64_t share = 0;
    uint32_t segment = worker->segment_first;
    CHECK_EQ(worker->step_first, covered);
    covered = worker->step_end;
    for (uint32_t s = worker->step_first; s < worker->step_end; ++s) {
      while (l->tables.segments[cut->segment_first + segment].step_end <= s) {
        ++segment;
      }
      uint32_t panel = l->tables.segments[cut->segment_first + segment].panel;
      uint64_t cost = step_cost(l, panel, s, in_bytes);
      if (cost > largest_step) largest_step = cost;
      share += cost;
    }
    total += share;
    if (share > most) most = share;
    if (share < least) least = share;
  }
  CHECK_EQ(covered, l->tables.step_count);
  double mean = (double)total / cut->worker_count;
  CHECK((double)most <= mean + (double)largest_step);
  CHECK((double)least >= mean - (double)largest_step);
}

static void run_count(device *dev, const count_case *c) {
  layer l;
  run_result r;
  if (!make_layer(c, &l)) {
    CHECK(false);  // no layer
    return;
  }
  int before = test_failures;
  check_reads(dev, &l, c, 0, &r);
  check_mma(&l, c, &r);
  check_shared(c, &r.profile);
  check_input(&l, c, &r.profile);
  check_output(&l, c, &r);
  // Row groups of fewer than 3 row blocks have narrower metadata.
  if (c->tile_rows % 64 == 0) check_reads(dev, &l, c, 16, &r);
  for (uint32_t i = 0; i < l.tables.cut_count; ++i) {
    check_balance(&l, &l.tables.cuts[i]);
  }
  if (test_failures != before) fprintf(stderr, "in: %s\n", c->label);
  layer_destroy(&l);
}

// ---- Raster ----------------------------------------------------------------

// Which worker and token tile block |number| is: base/nvidia_abi.h, step by
// step instead of by its formula.
static void find_block(uint32_t number, uint32_t workers, uint32_t token_tiles,
                       uint32_t raster, uint32_t *worker, uint32_t *tile) {
  for (uint32_t first = 0; first < token_tiles; first += raster) {
    for (*worker = 0; *worker < workers; ++*worker) {
      for (*tile = first; *tile < first + raster && *tile < token_tiles;
           ++*tile) {
        if (number-- == 0) return;
      }
    }
  }
}

enum { RASTER_WORKERS = 4, RASTER_ROWS = 128 };  // of each worker

// How many outputs are written that are not of the first |blocks| blocks, or
// are not although they are.
static uint32_t count_misplaced(const count_case *c, const run_result *r,
                                uint32_t raster, uint32_t blocks,
                                const uint16_t *output) {
  uint32_t tile_tokens = r->kernel->block_tokens, wrong = 0;
  uint32_t tiles = (c->tokens - 1) / tile_tokens + 1;
  CHECK(tiles >= 3);
  static bool expected[64][RASTER_WORKERS];
  memset(expected, 0, sizeof(expected));
  for (uint32_t b = 0; b < blocks; ++b) {
    uint32_t worker = 0, tile = 0;
    find_block(b, RASTER_WORKERS, tiles, raster, &worker, &tile);
    expected[tile][worker] = true;
  }
  for (uint32_t i = 0; i < c->tokens * c->rows; ++i) {
    uint32_t tile = i / c->rows / tile_tokens;
    uint32_t worker = i % c->rows / RASTER_ROWS;
    // 0xffff: what the harness fills Y with.
    if ((output[i] != 0xffff) != expected[tile][worker]) ++wrong;
  }
  return wrong;
}

// The first |blocks| blocks of a grid write the outputs that are theirs. No
// panel is split, so each is a worker's own.
static void check_raster(device *dev, uint32_t raster, uint32_t blocks) {
  static const count_case c = {
      "raster", LAYER_RANDOM_50, 512, 256, 128, 128, 4, 600, F16, 0};
  static uint16_t output[600 * 512];
  layer_options options = {.spec = {.rows = c.rows,
                                    .columns = c.columns,
                                    .tile = {c.tile_rows, c.tile_columns},
                                    .weight_type = c.type,
                                    .output_type = c.type},
                           .mix = LAYER_DENSE,
                           .workers = c.workers,
                           .seed = 3};
  layer l;
  run_result r;
  CHECK(layer_create(&options, &l));
  run_options run = {.label = c.label,
                     .target = "sm_80",
                     .tokens = c.tokens,
                     .raster = raster,
                     .blocks = blocks,
                     .output = (uint8_t *)output};
  CHECK(run_layer(dev, &l, &run, &r));
  CHECK_EQ(r.cut->worker_count, RASTER_WORKERS);
  CHECK_EQ(count_misplaced(&c, &r, raster, blocks, output), 0);
  layer_destroy(&l);
}

// ---- Bytes per weight ------------------------------------------------------

// Weights, tables, X and Y each once are what memory has to move; partial sums
// and the further readings of X stay in L2.
static double bytes_once(const count_case *c, const layer *l,
                         const tsr_nvidia_cut *cut) {
  return (double)(l->tables.stream_size +
                  l->tables.step_count * sizeof(tsr_nvidia_step) +
                  cut->worker_count * sizeof(tsr_nvidia_worker) +
                  cut->segment_count * sizeof(tsr_nvidia_segment) +
                  2 * c->columns + 2 * c->rows);
}

// In sectors of 32 bytes.
static double bytes_asked(const tessera_emu_profile *p) {
  return 32.0 *
         (double)(p->global_load.transactions + p->global_store.transactions +
                  p->global_atomic.transactions + p->copy.transactions);
}

// A matrix of LLaMA-2 7B (4096 x 4096) at sparsity 0.45 on an A100: 9 of 10
// tiles 2:4.
static void check_bytes_per_weight(device *dev) {
  static const count_case c = {"4096x4096 sparsity 0.45",
                               LAYER_SPARSITY_45,
                               4096,
                               4096,
                               128,
                               128,
                               108,
                               1,
                               BF16,
                               0};
  layer l;
  run_result r;
  if (!make_layer(&c, &l)) abort();
  run_options run = {
      .label = c.label, .target = "sm_80", .tokens = c.tokens, .data_seed = 5};
  CHECK(run_layer(dev, &l, &run, &r));
  double weights = (double)c.rows * c.columns;
  double once = bytes_once(&c, &l, r.cut), asked = bytes_asked(&r.profile);
  printf("%s: %.4f bytes per weight from memory, %.4f asked of L2\n", c.label,
         once / weights, asked / weights);
  CHECK(once <= 1.25 * weights);
  CHECK(asked <= 1.35 * weights);
  for (uint32_t i = 0; i < l.tables.cut_count; ++i) {
    check_balance(&l, &l.tables.cuts[i]);
  }
  layer_destroy(&l);
}

int main(int argc, char **argv) {
  device dev;
  if (argc < 2 || !device_open(&dev, argv[1], "a100")) return 1;
  if (!driver_is_emulated(&dev.d)) {
    fprintf(stderr, "a real driver counts nothing\n");
    return 77;
  }
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    if (argc == 2 || (size_t)atoi(argv[2]) == i) run_count(&dev, &cases[i]);
  }
  if (argc == 2) {
    check_raster(&dev, 2, 3);
    check_raster(&dev, 2, 9);
    check_raster(&dev, 8, 5);
    check_bytes_per_weight(&dev);
  }
  device_close(&dev);
  return test_finish();
}
