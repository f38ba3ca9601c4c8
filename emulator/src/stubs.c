// SPDX-License-Identifier: Apache-2.0
// Weak definitions of what is not written yet, so that everything links while
// the rooms are being built. Goes away with the last of them.
#include "check/report.h"
#include "decode/decode.h"
#include "exec/engine.h"
#include "memory/access.h"
#include "tensor/wgmma.h"

#define WEAK __attribute__((weak))

WEAK void tsr_wgmma_reset(tsr_warp *warp) {
  (void)warp;
}
WEAK void tsr_wgmma_destroy(tsr_warp *warp) {
  (void)warp;
}
WEAK void tsr_wgmma_finish(tsr_warp *warp) {
  (void)warp;
}
WEAK void tsr_wgmma_check_registers(tsr_warp *warp, const tsr_op *op) {
  (void)warp, (void)op;
}

