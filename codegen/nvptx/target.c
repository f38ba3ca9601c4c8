// SPDX-License-Identifier: Apache-2.0
// The targets of the NVIDIA family as a table.
#include <string.h>

#include "nv.h"

const char *const tsr_cuda_target_names[] = {
    "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120", NULL};
