// SPDX-License-Identifier: Apache-2.0
// Values, sizes and offsets of driver/cuda_abi.h are those of a real cuda.h.
// Without one (or an older one) there is nothing to compare with: skipped.
#include <stddef.h>

#include "driver/cuda_abi.h"
#include "driver_abi_facts.h"
#include "test.h"

static const abi_fact ours[] = {
#include "driver_abi.def"
};

int main(void) {
  unsigned count = sizeof(ours) / sizeof(ours[0]);
  if (abi_theirs_count == 0) {
    fprintf(stderr, "skipped: no cuda.h of CUDA 13.0 or newer was found\n");
    return 77;
  }
  CHECK_EQ(abi_theirs_count, count);
  for (unsigned i = 0; i < count && i < abi_theirs_count; ++i) {
    CHECK_STR(ours[i].name, abi_theirs[i].name);
    if (ours[i].value != abi_theirs[i].value) {
      fprintf(stderr, "%s: ", ours[i].name);
    }
    CHECK_EQ(ours[i].value, abi_theirs[i].value);
  }
  return test_finish();
}
