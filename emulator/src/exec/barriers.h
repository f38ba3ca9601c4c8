// SPDX-License-Identifier: Apache-2.0
// Barriers of a block, for the handlers of bar, barrier and barrier.cluster
// (PTX ISA 9.7.13.1 to 9.7.13.4).
#ifndef EXEC_BARRIERS_H_
#define EXEC_BARRIERS_H_

#include "exec/machine.h"

typedef enum tsr_barrier_kind {
  TSR_BARRIER_SYNC,
  TSR_BARRIER_ARRIVE,
  TSR_BARRIER_POPC,  // bar.red: destination 0 of the operation
  TSR_BARRIER_AND,
  TSR_BARRIER_OR,
} tsr_barrier_kind;

// The lanes of |mask| come to barrier |id|; |threads|: how many threads take
// part, 0 for all of the block; |votes|: bar.red's predicate. The operation's
// aux[0] is its kind.
tsr_flow tsr_barrier_arrive(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                            uint32_t id, uint32_t threads, uint32_t votes);
tsr_flow tsr_barrier_cluster_arrive(tsr_warp *warp, const tsr_op *op,
                                    uint32_t mask);
tsr_flow tsr_barrier_cluster_wait(tsr_warp *warp, const tsr_op *op,
                                  uint32_t mask);
// bar.warp.sync: |members| is lane by lane.
tsr_flow tsr_barrier_warp(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                          const uint32_t *members);

#endif  // EXEC_BARRIERS_H_
