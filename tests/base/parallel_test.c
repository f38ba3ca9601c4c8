// SPDX-License-Identifier: Apache-2.0
// tsr_parallel_for: every index once, the lowest failure wins.
#include "base/parallel.h"

#include "test.h"

enum { COUNT = 1000 };

static unsigned char seen[COUNT];
static uint32_t highest_worker[TSR_PARALLEL_MAX];

static tsr_status mark(void *context, uint32_t worker, uint64_t index,
                       tsr_error *error) {
  (void)context;
  (void)error;
  ++seen[index];
  highest_worker[worker] = 1;
  return TSR_OK;
}

static tsr_status fail_from(void *context, uint32_t worker, uint64_t index,
                            tsr_error *error) {
  const uint64_t *first = context;
  (void)worker;
  if (index < *first) return TSR_OK;
  return tsr_error_set(error, TSR_CORRUPT, "index %d", (int)index);
}

static void test_every_index_once(uint32_t threads, uint64_t count) {
  memset(seen, 0, sizeof(seen));
  memset(highest_worker, 0, sizeof(highest_worker));
  CHECK_EQ(tsr_parallel_for(threads, count, mark, NULL, NULL), TSR_OK);
  for (uint64_t i = 0; i < COUNT; ++i) CHECK_EQ(seen[i], i < count);
  uint32_t limit = threads == 0 ? 1 : threads;
  for (uint32_t i = limit; i < TSR_PARALLEL_MAX; ++i) {
    CHECK_EQ(highest_worker[i], 0);
  }
}

int main(void) {
  static const uint32_t threads[] = {0, 1, 2, 7, 100000};
  for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); ++i) {
    test_every_index_once(threads[i], 0);
    test_every_index_once(threads[i], 1);
    test_every_index_once(threads[i], COUNT);
    for (uint64_t first = 0; first < 40; first += 13) {
      tsr_error error = {0};
      CHECK_EQ(tsr_parallel_for(threads[i], COUNT, fail_from, &first, &error),
               TSR_CORRUPT);
      char expected[32];
      snprintf(expected, sizeof(expected), "index %d", (int)first);
      CHECK_STR(error.message, expected);
    }
  }
  CHECK(tsr_processor_count() >= 1);
  return test_finish();
}
