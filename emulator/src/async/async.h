// SPDX-License-Identifier: Apache-2.0
// Work that goes on behind the program's back: cp.async groups, bulk and
// tensor copies, mbarriers. When it lands is the configuration's decision
// (tessera_emu_time): late means when the program waits for it and could not
// go on otherwise.
#ifndef ASYNC_ASYNC_H_
#define ASYNC_ASYNC_H_

#include "exec/machine.h"

// State of one block; reset for each further block of a worker.
tsr_async *tsr_async_create(tsr_block *block);  // NULL: out of memory
void tsr_async_reset(tsr_async *async, tsr_block *block);
void tsr_async_destroy(tsr_async *async);

// The engine calls it when every warp of |block| waits or polls in vain: lands
// something that is pending. False when nothing is.
bool tsr_async_progress(tsr_block *block);
// The block's last warp has ended: what is pending lands; what hardware leaves
// undefined (copies never waited for) is a finding LEAK.
void tsr_async_finish(tsr_block *block);

#endif  // ASYNC_ASYNC_H_
