// SPDX-License-Identifier: Apache-2.0
// The race detector of a block's shared memory: happens-before by vector
// clocks. Each byte knows its last write and the reads since; an access that
// is not ordered after a conflicting one is a race. Who is ordered with whom:
//
// - warps have a clock each; a component per warp, then one per mbarrier, for
//   the asynchronous writes that complete on it;
// - bar/barrier joins the clocks of the warps that take part; an mbarrier
//   passes the clocks of those who arrived to those who saw the phase complete;
// - lanes of one warp are ordered by bar.warp.sync (and by every instruction
//   that joins lanes with memory ordering), or by being the same lane; arriving
//   at an mbarrier releases what the whole warp did before;
// - the async proxy sees generic writes only behind a fence.proxy.async
//   (executed by the writer, or by the issuer after it has seen the write).
//
// Global memory has a detector of its own (race_global.h), which shares these
// clocks.
//
// All functions accept a NULL race and do nothing then.
#ifndef CHECK_RACE_H_
#define CHECK_RACE_H_

#include "memory/access.h"

// |block| has its shared memory. NULL when out of memory.
tsr_race *tsr_race_create(tsr_block *block);
// For the next block of the same launch.
void tsr_race_reset(tsr_race *race, tsr_block *block);
void tsr_race_destroy(tsr_race *race);

// Of generic accesses: shared offsets access->address (already found valid).
void tsr_race_access(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                     const tsr_access *access);
// One range on behalf of a lane, in either proxy, at the time of the call.
void tsr_race_range(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                    uint32_t lane, uint32_t offset, uint32_t size,
                    tsr_access_kind kind, tsr_access_proxy proxy);

// bar.arrive: |warp| releases what it did so far into barrier |id|; call it
// when it arrives.
void tsr_race_barrier_arrive(tsr_race *race, tsr_warp *warp, uint32_t id);
// bar/barrier |id| completes: the waiting warps |warps| (a bit each) met, and
// learn what those who only arrived had done. Called once, by the last.
void tsr_race_barrier(tsr_race *race, uint32_t id, uint32_t warps);
// membar, fence: orders strong accesses (atomic, volatile, relaxed, ...) of
// |warp| with its others. |order|: TSR_ORDER_ACQUIRE, _RELEASE or both, and
// _DEVICE if the scope has other blocks.
void tsr_race_fence(tsr_race *race, tsr_warp *warp, uint32_t order);
// bar.warp.sync and the like among |lanes|.
void tsr_race_warp_sync(tsr_race *race, tsr_warp *warp, uint32_t lanes);
// fence.proxy.async by |lanes|.
void tsr_race_proxy_fence(tsr_race *race, tsr_warp *warp, uint32_t lanes);

// A slot per mbarrier, given at init; slots < TSR_RACE_MBARRIERS. More
// mbarriers than that share the last slot.
enum { TSR_RACE_MBARRIERS = 96 };
void tsr_race_mbarrier_init(tsr_race *race, uint32_t slot);
// |warp| arrived: its clock is released into the phase in progress.
void tsr_race_mbarrier_arrive(tsr_race *race, tsr_warp *warp, uint32_t slot);
// The phase in progress completed: what was released into it can be acquired.
void tsr_race_mbarrier_complete(tsr_race *race, uint32_t slot);
// The phase in progress of |to| carries what copies completed on |from| so far:
// cp.async.mbarrier.arrive tracks all earlier copies of its thread.
void tsr_race_mbarrier_follow(tsr_race *race, uint32_t from, uint32_t to);
// |warp| saw a completed phase.
void tsr_race_mbarrier_observe(tsr_race *race, tsr_warp *warp, uint32_t slot);

// Asynchronous operations on shared memory. A copy into shared memory is in
// flight from issue to landing; any access to its bytes by others meanwhile is
// a finding IN_FLIGHT. |slot|: the mbarrier it completes on, or
// TSR_RACE_NO_SLOT for what the issuing thread itself waits for (cp.async,
// bulk groups). At issue the destination counts as written (earlier unordered
// reads of it are races).
#define TSR_RACE_NO_SLOT 0xffffffffu
void tsr_race_copy_issue(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                         uint32_t lane, uint32_t offset, uint32_t size,
                         uint32_t slot, tsr_access_proxy proxy);
void tsr_race_copy_land(tsr_race *race, tsr_warp *warp, uint32_t lane,
                        uint32_t offset, uint32_t size, uint32_t slot,
                        tsr_access_proxy proxy);
// Reads that last: bulk copies out of shared memory, wgmma operands. Writes to
// the bytes between issue and done are findings.
void tsr_race_read_issue(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                         uint32_t lane, uint32_t offset, uint32_t size);
void tsr_race_read_done(tsr_race *race, tsr_warp *warp, uint32_t lane,
                        uint32_t offset, uint32_t size);

#endif  // CHECK_RACE_H_
