// SPDX-License-Identifier: Apache-2.0
// cp.async.bulk and cp.reduce.async.bulk share the opcode "cp" with cp.async;
// internal to async/.
#ifndef ASYNC_BULK_OPS_H_
#define ASYNC_BULK_OPS_H_

#include "async/state.h"

// The rest of the instruction, after .async.bulk was taken.
bool tsr_decode_bulk(tsr_decoder *d, bool reduce);

#endif  // ASYNC_BULK_OPS_H_
