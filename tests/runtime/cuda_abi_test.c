// SPDX-License-Identifier: Apache-2.0
// The runtime's declarations of the CUDA driver are those of the driver.
#include "cuda/abi.h"
#include "cuda_abi_facts.h"
#include "test.h"

static const cuda_abi_fact ours[] = CUDA_ABI_FACTS;

int main(void) {
  for (int i = 0; ours[i].name != NULL; ++i) {
    CHECK_STR(cuda_abi_theirs[i].name, ours[i].name);
    CHECK_EQ(cuda_abi_theirs[i].value, ours[i].value);
  }
  return test_finish();
}
