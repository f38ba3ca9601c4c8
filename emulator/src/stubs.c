// SPDX-License-Identifier: Apache-2.0
// Weak definitions of what is not written yet, so that everything links while
// the rooms are being built. Goes away with the last of them.
#include "async/async.h"
#include "check/race.h"
#include "check/report.h"
#include "decode/decode.h"
#include "exec/engine.h"
#include "memory/access.h"
#include "tensor/wgmma.h"

#define WEAK __attribute__((weak))

WEAK tsr_status tsr_ptx_parse(const char *text, uint64_t size, tsr_arena *arena,
                              tsr_ptx_log *log,
                              const tsr_ptx_module **out_module,
                              tsr_error *error) {
  (void)text, (void)size, (void)arena, (void)log;
  *out_module = NULL;
  return tsr_error_set(error, TSR_UNSUPPORTED, "parser: not written yet");
}
WEAK tsr_status tsr_program_load(const char *text, uint64_t size,
                                 const tsr_device_model *device, tsr_heap *heap,
                                 tsr_ptx_log *log, tsr_program **out_program,
                                 tsr_error *error) {
  (void)text, (void)size, (void)device, (void)heap, (void)log;
  *out_program = NULL;
  return tsr_error_set(error, TSR_UNSUPPORTED, "loader: not written yet");
}
WEAK tsr_race *tsr_race_create(tsr_block *block) {
  (void)block;
  return NULL;
}
WEAK void tsr_race_reset(tsr_race *race, tsr_block *block) {
  (void)race, (void)block;
}
WEAK void tsr_race_destroy(tsr_race *race) {
  (void)race;
}
WEAK void tsr_race_access(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                          const tsr_access *access) {
  (void)race, (void)warp, (void)op, (void)access;
}
WEAK void tsr_race_range(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                         uint32_t lane, uint32_t offset, uint32_t size,
                         tsr_access_kind kind, tsr_access_proxy proxy) {
  (void)race, (void)warp, (void)op, (void)lane, (void)offset, (void)size;
  (void)kind, (void)proxy;
}
WEAK void tsr_race_barrier_arrive(tsr_race *race, tsr_warp *warp, uint32_t id) {
  (void)race, (void)warp, (void)id;
}
WEAK void tsr_race_barrier(tsr_race *race, uint32_t id, uint32_t warps) {
  (void)race, (void)id, (void)warps;
}
WEAK void tsr_race_fence(tsr_race *race, tsr_warp *warp) {
  (void)race, (void)warp;
}
WEAK void tsr_race_warp_sync(tsr_race *race, tsr_warp *warp, uint32_t lanes) {
  (void)race, (void)warp, (void)lanes;
}
WEAK void tsr_race_proxy_fence(tsr_race *race, tsr_warp *warp, uint32_t lanes) {
  (void)race, (void)warp, (void)lanes;
}
WEAK void tsr_race_mbarrier_init(tsr_race *race, uint32_t slot) {
  (void)race, (void)slot;
}
WEAK void tsr_race_mbarrier_arrive(tsr_race *race, tsr_warp *warp,
                                   uint32_t slot) {
  (void)race, (void)warp, (void)slot;
}
WEAK void tsr_race_mbarrier_complete(tsr_race *race, uint32_t slot) {
  (void)race, (void)slot;
}
WEAK void tsr_race_mbarrier_observe(tsr_race *race, tsr_warp *warp,
                                    uint32_t slot) {
  (void)race, (void)warp, (void)slot;
}
WEAK void tsr_race_copy_issue(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                              uint32_t lane, uint32_t offset, uint32_t size,
                              uint32_t slot, tsr_access_proxy proxy) {
  (void)race, (void)warp, (void)op, (void)lane, (void)offset, (void)size;
  (void)slot, (void)proxy;
}
WEAK void tsr_race_copy_land(tsr_race *race, tsr_warp *warp, uint32_t lane,
                             uint32_t offset, uint32_t size, uint32_t slot,
                             tsr_access_proxy proxy) {
  (void)race, (void)warp, (void)lane, (void)offset, (void)size, (void)slot;
  (void)proxy;
}
WEAK void tsr_race_read_issue(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                              uint32_t lane, uint32_t offset, uint32_t size) {
  (void)race, (void)warp, (void)op, (void)lane, (void)offset, (void)size;
}
WEAK void tsr_race_read_done(tsr_race *race, tsr_warp *warp, uint32_t lane,
                             uint32_t offset, uint32_t size) {
  (void)race, (void)warp, (void)lane, (void)offset, (void)size;
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

WEAK tsr_status tsr_engine_run(tsr_launch *launch, tsr_error *error) {
  (void)launch;
  return tsr_error_set(error, TSR_UNSUPPORTED, "engine: not written yet");
}
WEAK tsr_status tsr_engine_run_dependent(tsr_launch *first, tsr_launch *second,
                                         tsr_error *error) {
  (void)first, (void)second;
  return tsr_error_set(error, TSR_UNSUPPORTED, "engine: not written yet");
}
