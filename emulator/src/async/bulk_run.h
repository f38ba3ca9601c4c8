// SPDX-License-Identifier: Apache-2.0
// Between bulk_decode.c and bulk_run.c: what an operation carries, and the
// handlers.
#ifndef ASYNC_BULK_RUN_H_
#define ASYNC_BULK_RUN_H_

#include "async/state.h"

enum {  // op->src of every bulk operation; what is not used is TSR_REF_NONE
  TSR_BULK_SRC_SHARED,
  TSR_BULK_SRC_OTHER,
  TSR_BULK_SRC_MBARRIER,
  TSR_BULK_SRC_SIZE,
  TSR_BULK_SRC_CTAS,
  TSR_BULK_SRC_MAP,
  TSR_BULK_SRC_COORDINATES,
  TSR_BULK_SRC_COUNT = TSR_BULK_SRC_COORDINATES + TSR_TENSOR_RANK,
};

typedef struct tsr_bulk_data {
  tsr_bulk_kind kind;
  tsr_reduction reduction;
  tsr_ptx_type type;
  uint32_t dims;  // 0: a linear copy
  bool multicast;
  const tsr_address *shared;    // as tsr_bulk.shared
  const tsr_address *other;     // the other side: global, or SHARED's source
  const tsr_address *mbarrier;  // NULL: bulk group
  const tsr_address *map;       // of tensors
} tsr_bulk_data;

tsr_flow tsr_run_bulk(tsr_warp *warp, const tsr_op *op, uint32_t mask);
tsr_flow tsr_run_tensor(tsr_warp *warp, const tsr_op *op, uint32_t mask);
tsr_flow tsr_run_prefetch(tsr_warp *warp, const tsr_op *op, uint32_t mask);
tsr_flow tsr_run_prefetch_tensor(tsr_warp *warp, const tsr_op *op,
                                 uint32_t mask);
tsr_flow tsr_run_bulk_commit(tsr_warp *warp, const tsr_op *op, uint32_t mask);
tsr_flow tsr_run_bulk_wait(tsr_warp *warp, const tsr_op *op, uint32_t mask);

#endif  // ASYNC_BULK_RUN_H_
