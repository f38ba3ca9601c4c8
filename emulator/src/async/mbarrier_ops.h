// SPDX-License-Identifier: Apache-2.0
// The operations on an mbarrier object (PTX ISA 9.7.13.15), each for one
// thread; internal to async/. All return false after a finding that ends the
// launch.
#ifndef ASYNC_MBARRIER_OPS_H_
#define ASYNC_MBARRIER_OPS_H_

#include "async/state.h"

typedef struct tsr_mbarrier_arrival {
  uint32_t count;
  uint32_t expect;  // bytes, of .expect_tx
  bool drop;        // arrive_drop
  bool no_complete;
  bool release;
} tsr_mbarrier_arrival;

bool tsr_mbarrier_init(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                       uint32_t offset, uint32_t count);
bool tsr_mbarrier_invalidate(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                             tsr_mbarrier *m);
bool tsr_mbarrier_arrive(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                         tsr_mbarrier *m, const tsr_mbarrier_arrival *arrival,
                         uint64_t *out_state);
bool tsr_mbarrier_expect(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                         tsr_mbarrier *m, uint32_t bytes);
bool tsr_mbarrier_complete_bytes(tsr_warp *warp, const tsr_op *op,
                                 uint32_t lane, tsr_mbarrier *m,
                                 uint32_t bytes);
// |token|: a state, or (|parity|) a phase's parity in bit 0. A poll in vain may
// let what is in flight land.
bool tsr_mbarrier_test(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                       tsr_mbarrier *m, bool parity, uint64_t token,
                       bool *out_complete);
// |warp| acts on a completed phase.
void tsr_mbarrier_observe(tsr_warp *warp, tsr_mbarrier *m, bool acquire);
uint32_t tsr_mbarrier_pending_count(uint64_t state);
// cp.async.mbarrier.arrive was issued; |increment|: without .noinc.
bool tsr_mbarrier_track(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                        tsr_mbarrier *m, bool increment);

#endif  // ASYNC_MBARRIER_OPS_H_
