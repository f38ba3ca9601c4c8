// SPDX-License-Identifier: Apache-2.0
// Order statistics and the bandwidth reader.
#include "measure.h"

#include "base/memory.h"
#include "test.h"

static void test_spread(void) {
  tsr_samples samples = {0};
  tsr_spread none = tsr_samples_spread(&samples, 0);
  CHECK_EQ(none.count, 0);
  for (int i = 10; i >= 0; --i) {
    CHECK_EQ(tsr_samples_add(&samples, (double)i, NULL), TSR_OK);
  }
  tsr_spread spread = tsr_samples_spread(&samples, 0);
  CHECK_EQ(spread.count, 11);
  CHECK(spread.median == 5.0);
  CHECK(spread.p10 == 1.0);
  CHECK(spread.p90 == 9.0);
  // Of a tail only, and between two values.
  CHECK_EQ(tsr_samples_add(&samples, 100.0, NULL), TSR_OK);
  CHECK_EQ(tsr_samples_add(&samples, 200.0, NULL), TSR_OK);
  CHECK(tsr_samples_spread(&samples, 11).median == 150.0);
  tsr_samples_fini(&samples);
  CHECK(samples.values == NULL);
}

static void test_out_of_memory(void) {
  for (uint64_t n = 1;; ++n) {
    tsr_bandwidth *bandwidth;
    tsr_error error = {0};
    (void)tsr_memory_fail_at(n);
    tsr_status status = tsr_bandwidth_create(1, 1, &bandwidth, &error);
    (void)tsr_memory_fail_at(0);
    if (status == TSR_OK) {
      tsr_bandwidth_destroy(bandwidth);
      CHECK(n > 1);
      return;
    }
    CHECK_EQ(status, TSR_OUT_OF_MEMORY);
    CHECK(bandwidth == NULL);
  }
}

static void test_bandwidth(void) {
  tsr_bandwidth *bandwidth;
  tsr_error error = {0};
  CHECK_EQ(tsr_bandwidth_create(2, (size_t)64 << 20, &bandwidth, &error),
           TSR_OK);
  for (int i = 0; i < 5; ++i) {
    double rate = tsr_bandwidth_sample(bandwidth);
    // Between a slow disk and no machine there is.
    CHECK(rate > 1e8 && rate < 1e13);
  }
  tsr_bandwidth_destroy(bandwidth);
  tsr_bandwidth_destroy(NULL);
  CHECK(tsr_cache_size() >= (size_t)64 << 10);
}

int main(void) {
  test_spread();
  test_out_of_memory();
  test_bandwidth();
  return test_finish();
}
