// SPDX-License-Identifier: Apache-2.0
// For instructions of other families that complete transactions of an mbarrier
// in shared memory (st.async, red.async).
#ifndef ASYNC_MBARRIER_H_
#define ASYNC_MBARRIER_H_

#include "memory/access.h"

typedef enum tsr_async_reduction {
  TSR_ASYNC_STORE,
  TSR_ASYNC_ADD,
  TSR_ASYNC_MIN,
  TSR_ASYNC_MAX,
  TSR_ASYNC_INC,
  TSR_ASYNC_DEC,
  TSR_ASYNC_AND,
  TSR_ASYNC_OR,
  TSR_ASYNC_XOR,
} tsr_async_reduction;

// |lane| sends |size| bytes (up to 16) at |value| to shared memory at |target|,
// stored or reduced as |type|, and completes as many bytes on the mbarrier at
// |mbarrier|; both are shared addresses (as mapa.shared::cluster gives them in
// a cluster of one). False after a finding: return TSR_FLOW_FAULT.
bool tsr_async_send(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                    uint64_t target, const void *value, uint32_t size,
                    uint32_t align, tsr_async_reduction reduction,
                    tsr_ptx_type type, uint64_t mbarrier);

#endif  // ASYNC_MBARRIER_H_
