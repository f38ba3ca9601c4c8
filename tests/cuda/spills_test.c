// SPDX-License-Identifier: Apache-2.0
// Looks for kernels that spill registers: a sample of everything that a spec
// can say, every pair of values, and once more with only what takes most
// registers, 64 tokens per warp of matrices that are ragged both ways. Goldens
// are few and mostly even; which kernels spill is up to ptxas, so that only
// looking tells.
//
//   cuda_spills SHARD SHARDS [TARGET]   every SHARDSth of the sample; for
//                                       sm_80 and sm_90, or for TARGET
//   cuda_spills random SEED COUNT       COUNT others, tight ones alone
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "pairs.h"
#include "test.h"

enum {
  TILE,
  ROWS,
  COLUMNS,
  KINDS,
  ACTIVATION,
  EXTRAS,  // bias and residual
  WEIGHTS,
  OUTPUT,
  TOKENS,
  DIMENSIONS,
  LIMIT = 256,
};

static const tsr_tile_shape tiles[] = {{16, 32},   {32, 64},   {64, 64},
                                       {96, 96},   {128, 64},  {128, 128},
                                       {192, 160}, {256, 512}, {512, 64}};
static const uint32_t kinds[] = {
    1u << TSR_KIND_DENSE,
    1u << TSR_KIND_SPARSE24,
    1u << TSR_KIND_DENSE | 1u << TSR_KIND_SPARSE24,
};
static const tsr_dtype weights[] = {TSR_DTYPE_BF16, TSR_DTYPE_F16};
static const tsr_dtype outputs[] = {TSR_DTYPE_BF16, TSR_DTYPE_F16,
                                    TSR_DTYPE_F32};
// The ends of the buckets; from TIGHT on a warp has 64 tokens.
static const uint32_t tokens[] = {8, 16, 32, 64, 128, 4096};
enum { TIGHT = 3, BUCKETS = 6 };

// Rows and columns beyond whole tiles; 0: none. 58 rows are 4 row blocks, the
// last one short; 10 columns end within 16 bytes.
static const uint32_t more_rows[] = {0, 16, 58};
static const uint32_t more_columns[] = {0, 16, 10};

static const uint32_t all_sizes[DIMENSIONS] = {
    9, 3, 3, 3, TSR_ACTIVATION_COUNT, 4, 2, 3, BUCKETS};
static const uint32_t tight_sizes[DIMENSIONS] = {
    9, 2, 2, 3, TSR_ACTIVATION_COUNT, 4, 2, 3, BUCKETS - TIGHT};

static uint32_t spilling, measured, near_limit;

static golden layer_of(const pairs_row *row, bool is_tight) {
  const uint8_t *at = row->at;
  tsr_tile_shape tile = tiles[at[TILE]];
  golden g = {.name = "sweep", .tile = tile};
  uint32_t skip = is_tight ? 1 : 0;
  g.rows = 3 * tile.rows + more_rows[at[ROWS] + skip] % tile.rows;
  g.columns = 5 * tile.columns + more_columns[at[COLUMNS] + skip];
  g.kinds = kinds[at[KINDS]];
  g.activation = (tsr_activation)at[ACTIVATION];
  g.bias = (at[EXTRAS] & 1u) != 0;
  g.residual = (at[EXTRAS] & 2u) != 0;
  g.type = weights[at[WEIGHTS]];
  g.output = outputs[at[OUTPUT]];
  g.tokens = tokens[at[TOKENS] + (is_tight ? TIGHT : 0)];
  return g;
}

static void look(const char *ptxas, const golden *g, const char *target) {
  tsr_cuda_kernel kernel;
  tsr_buffer ptx, cubin;
  tsr_cuda_resources resources = {0};
  tsr_error error = {0};
  bool ok = golden_kernel(g, &kernel) && golden_compile(&kernel, target, &ptx);
  CHECK(ok);
  if (!ok) return;
  tsr_buffer_init(&cubin);
  ok = tsr_ptxas_assemble(ptxas, target, &ptx, &kernel, 1, &cubin, &resources,
                          &error) == TSR_OK;
  if (!ok) fprintf(stderr, "%s %s: %s\n", kernel.name, target, error.message);
  CHECK(ok && resources.is_known);
  ++measured;
  if (resources.registers > 250) ++near_limit;
  uint32_t spilled = resources.spill_stores + resources.spill_loads;
  CHECK_EQ(spilled, 0);
  if (spilled != 0) {
    ++spilling;
    fprintf(stderr, "%s for %s, kinds %x: %u registers, %u + %u spilled\n",
            kernel.name, target, g->kinds, resources.registers,
            resources.spill_stores, resources.spill_loads);
  }
  tsr_buffer_fini(&cubin);
  tsr_buffer_fini(&ptx);
}

static void look_all(const char *ptxas, const golden *g, const char *target) {
  if (target != NULL) {
    look(ptxas, g, target);
    return;
  }
  look(ptxas, g, "sm_80");
  look(ptxas, g, "sm_90");
}

// Returns where the next sample's shards go on.
static uint32_t look_sample(const char *ptxas, bool is_tight, uint32_t shard,
                            uint32_t shards, const char *target) {
  static pairs_row rows[LIMIT];
  const uint32_t *sizes = is_tight ? tight_sizes : all_sizes;
  uint32_t count = pairs_generate(sizes, DIMENSIONS, rows, LIMIT);
  CHECK(count <= LIMIT && pairs_complete(sizes, DIMENSIONS, rows, count));
  if (count > LIMIT) return shard;
  for (; shard < count; shard += shards) {
    golden g = layer_of(&rows[shard], is_tight);
    look_all(ptxas, &g, target);
  }
  return shard - count;
}

static uint32_t draw(uint64_t *state, uint32_t below) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33) % below;
}

static void look_random(const char *ptxas, uint64_t seed, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    pairs_row row = {{0}};
    for (uint32_t d = 0; d < DIMENSIONS; ++d) {
      row.at[d] = (uint8_t)draw(&seed, tight_sizes[d]);
    }
    golden g = layer_of(&row, true);
    g.columns += 8 * draw(&seed, 9);
    g.rows += 2 * draw(&seed, 20);
    look_all(ptxas, &g, NULL);
  }
}

int main(int argc, char **argv) {
  tsr_buffer found;
  tsr_error error = {0};
  tsr_buffer_init(&found);
  if (argc < 3) return 2;
  if (tsr_ptxas_find(NULL, &found, &error) != TSR_OK || found.size == 0) {
    fprintf(stderr, "SKIPPED: no ptxas here: nothing was assembled\n");
    return 77;
  }
  const char *ptxas = tsr_buffer_text(&found);
  if (strcmp(argv[1], "random") == 0) {
    look_random(ptxas, strtoull(argv[2], NULL, 10),
                argc > 3 ? (uint32_t)atoi(argv[3]) : 10);
  } else {
    uint32_t shards = (uint32_t)atoi(argv[2]);
    const char *target = argc > 3 ? argv[3] : NULL;
    uint32_t shard =
        look_sample(ptxas, false, (uint32_t)atoi(argv[1]), shards, target);
    (void)look_sample(ptxas, true, shard % shards, shards, target);
  }
  fprintf(stderr, "%u kernels, %u spill, %u take more than 250 registers\n",
          measured, spilling, near_limit);
  tsr_buffer_fini(&found);
  return test_finish();
}
