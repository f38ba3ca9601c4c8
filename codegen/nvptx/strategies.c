// SPDX-License-Identifier: Apache-2.0
// The strategies that there are; of equals, plan.c takes the first. In a file
// of its own so that a test can link another list in its place
// (tests/cuda/strategies.c) and prove that a strategy is one more file.
#include "nv.h"

const nv_strategy *const nv_strategies[] = {&nv_decode, &nv_prefill, NULL};
