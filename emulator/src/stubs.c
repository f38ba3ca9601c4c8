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

WEAK tsr_status tsr_program_load(const char *text, uint64_t size,
                                 const tsr_device_model *device, tsr_heap *heap,
                                 tsr_ptx_log *log, tsr_program **out_program,
                                 tsr_error *error) {
  (void)text, (void)size, (void)device, (void)heap, (void)log;
  *out_program = NULL;
  return tsr_error_set(error, TSR_UNSUPPORTED, "loader: not written yet");
}
#include "ops/special.h"
WEAK tsr_handler tsr_special_handler(tsr_ptx_str name, char component,
                                     tsr_ptx_type *out_type,
                                     uint32_t *out_selector) {
  (void)name, (void)component, (void)out_type, (void)out_selector;
  return NULL;
}
WEAK tsr_flow tsr_engine_branch(tsr_warp *warp, uint32_t lanes,
                                uint32_t target) {
  (void)warp, (void)lanes, (void)target;
  return TSR_FLOW_FAULT;
}
WEAK tsr_flow tsr_engine_call(tsr_warp *warp, const tsr_op *op, uint32_t lanes,
                              const tsr_function *function) {
  (void)warp, (void)op, (void)lanes, (void)function;
  return TSR_FLOW_FAULT;
}
WEAK tsr_flow tsr_engine_return(tsr_warp *warp, uint32_t lanes) {
  (void)warp, (void)lanes;
  return TSR_FLOW_FAULT;
}

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

