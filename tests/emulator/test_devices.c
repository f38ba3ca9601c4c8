// SPDX-License-Identifier: Apache-2.0
// The table of devices is consistent with itself.
#include "exec/devices.h"
#include "test.h"

int main(void) {
  const tsr_device_model *model;
  uint32_t count = 0;
  for (; (model = tsr_device_at(count)) != NULL; ++count) {
    CHECK(tsr_device_find(model->key) == model);
    CHECK(model->shared_per_block <= model->shared_per_block_optin);
    // A block leaves 1 KiB of a multiprocessor's shared memory to the system.
    CHECK_EQ(model->shared_per_block_optin + 1024,
             model->shared_per_multiprocessor);
    // Bandwidth is two transfers per clock over the bus; data sheets round.
    double bus = 2e3 * model->memory_clock_khz * (model->bus_bits / 8);
    CHECK(bus / model->bandwidth > 0.99 && bus / model->bandwidth < 1.03);
  }
  CHECK_EQ(count, 5);
  CHECK(tsr_device_find("nosuch") == NULL);
  return test_finish();
}
