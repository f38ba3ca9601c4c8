// SPDX-License-Identifier: Apache-2.0
// wgmma in flight: operands in shared memory and registers are read, and the
// accumulators written, when the program waits for the group (or earlier, as
// tessera_emu_time says).
#ifndef TENSOR_WGMMA_H_
#define TENSOR_WGMMA_H_

#include "exec/machine.h"

void tsr_wgmma_reset(tsr_warp *warp);    // a new block begins
void tsr_wgmma_destroy(tsr_warp *warp);  // frees warp->wgmma
// The warp's lanes have ended. What is in flight is a finding LEAK.
void tsr_wgmma_finish(tsr_warp *warp);
// Whether an operation may not touch its registers now: asked before each
// operation of a warp that has wgmma in flight, with checks on.
void tsr_wgmma_check_registers(tsr_warp *warp, const tsr_op *op);

#endif  // TENSOR_WGMMA_H_
