// SPDX-License-Identifier: Apache-2.0
// Weak definitions of what is not written yet, so that everything links while
// the rooms are being built. Goes away with the last of them.
#include "check/report.h"
#include "decode/decode.h"
#include "exec/engine.h"
#include "memory/access.h"

#define WEAK __attribute__((weak))


