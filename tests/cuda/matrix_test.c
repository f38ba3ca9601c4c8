// SPDX-License-Identifier: Apache-2.0
// Kernels against float64 over the matrix of matrix.h, with every check of the
// emulated driver on.
//
//   cuda_matrix DRIVER sample|full SHARD SHARDS    every SHARDSth case
//   cuda_matrix DRIVER sample|full CASE            that one, by its number
//   cuda_matrix - list                             the sample's cases
//
// sample: a covering sample of all pairs. full: the product of the first six
// dimensions; the others are drawn for each of its cases, so all their values
// meet all of the six's. 29,568 cases at 0.2 s each: about two hours of one
// processor, which is why it is cut into shards (ctest -L long).
#include "matrix.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/random.h"
#include "test.h"

enum {
  SAMPLE_LIMIT = 400,
  FAILURES = 8,  // after which a run ends
  LAUNCHES = 10,
  // Of which large cases get fewer, by what one launch costs, but three at
  // least: late, early and by chance.
  LAUNCHES_FEWEST = 3,
};
// Tensor-core instructions of all launches of a case.
#define COST_LIMIT 40000u

static pairs_row rows[SAMPLE_LIMIT];

static uint32_t sample(void) {
  return pairs_generate(matrix_sizes, DIM_COUNT, rows, SAMPLE_LIMIT);
}

static uint64_t full_count(void) {
  uint64_t count = 1;
  for (uint32_t i = 0; i < DIM_MAIN_COUNT; ++i) count *= matrix_sizes[i];
  return count;
}

static pairs_row full_row(uint64_t number) {
  pairs_row row = {{0}};
  uint64_t random = number;
  for (uint32_t i = 0; i < DIM_MAIN_COUNT; ++i) {
    row.at[i] = (uint8_t)(number % matrix_sizes[i]);
    number /= matrix_sizes[i];
  }
  for (uint32_t i = DIM_MAIN_COUNT; i < DIM_COUNT; ++i) {
    row.at[i] = (uint8_t)(random_next(&random) % matrix_sizes[i]);
  }
  return row;
}

static bool run_case(device *dev, const pairs_row *row, uint64_t number) {
  matrix_case c;
  matrix_make(row, number + 1, &c);
  uint64_t launches = COST_LIMIT / (c.cost + 1);
  if (launches > LAUNCHES) launches = LAUNCHES;
  if (launches < LAUNCHES_FEWEST) launches = LAUNCHES_FEWEST;
  c.run.launches = (uint32_t)launches;
  layer l;
  run_result result;
  bool ok = layer_create(&c.layer, &l);
  if (ok) {
    ok = run_layer(dev, &l, &c.run, &result);
    layer_destroy(&l);
  }
  if (!ok) fprintf(stderr, "case %" PRIu64 ": %s\n", number, c.label);
  return ok;
}

static void list(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    matrix_case c;
    matrix_make(&rows[i], i + 1, &c);
    printf("%u: %s\n", i, c.label);
  }
}

static double now(void) {
  struct timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void run_range(device *dev, bool full, uint64_t first, uint64_t count,
                      uint64_t step) {
  bool is_timed = getenv("TESSERA_TEST_TIMES") != NULL;
  for (uint64_t i = first; i < count; i += step) {
    pairs_row row = full ? full_row(i) : rows[i];
    double start = now();
    CHECK(run_case(dev, &row, i));
    if (is_timed) printf("case %" PRIu64 ": %.3f s\n", i, now() - start);
    if (test_failures >= FAILURES) {
      fprintf(stderr, "that is enough; the cases behind %" PRIu64 " wait\n", i);
      break;
    }
  }
}

int main(int argc, char **argv) {
  uint32_t count = sample();
  if (argc == 3 && strcmp(argv[2], "list") == 0) {
    list(count);
    return 0;
  }
  if (argc < 4) return 2;
  bool full = strcmp(argv[2], "full") == 0;
  uint64_t first = strtoull(argv[3], NULL, 10);
  CHECK(count <= SAMPLE_LIMIT);
  CHECK(pairs_complete(matrix_sizes, DIM_COUNT, rows, count));
  uint64_t cases = full ? full_count() : count;
  device dev;
  if (!device_open(&dev, argv[1], "h100")) return 1;
  if (argc == 4) {
    run_range(&dev, full, first, first < cases ? first + 1 : 0, 1);
  } else {
    run_range(&dev, full, first, cases, strtoull(argv[4], NULL, 10));
  }
  printf("%u kernels compiled\n", dev.compiled);
  device_close(&dev);
  return test_finish();
}
