// SPDX-License-Identifier: Apache-2.0
// Weak definitions of what is not written yet, so that everything links while
// the rooms are being built. Goes away with the last of them.
#include "async/async.h"
#include "check/report.h"
#include "decode/decode.h"
#include "exec/engine.h"
#include "memory/access.h"
#include "tensor/wgmma.h"

#define WEAK __attribute__((weak))

struct tsr_async {
  int nothing;
};
static struct tsr_async no_async;
WEAK tsr_async *tsr_async_create(tsr_block *block) {
  (void)block;
  return &no_async;
}
WEAK void tsr_async_reset(tsr_async *async, tsr_block *block) {
  (void)async, (void)block;
}
WEAK void tsr_async_destroy(tsr_async *async) {
  (void)async;
}
WEAK bool tsr_async_progress(tsr_block *block) {
  (void)block;
  return false;
}
WEAK void tsr_async_finish(tsr_block *block) {
  (void)block;
}

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

