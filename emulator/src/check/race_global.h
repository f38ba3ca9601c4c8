// SPDX-License-Identifier: Apache-2.0
// The race detector of global memory, within one launch. Blocks that are
// interleaved share one; a block that runs beside others, whose kernel has
// nothing to communicate with, has its own, which sees the races within it.
// Who is ordered with whom (PTX ISA 9.0, 8: the memory consistency model):
//
// - within a block as race.h says;
// - blocks through words: what was released into one by a release operation,
//   or a fence and then a strong write, is acquired by an acquire operation, or
//   a strong read and then a fence, if the scopes of both include both blocks.
//   Read-modify-writes pass on what the word held; other writes do not;
// - what one lane of a warp releases or acquires counts for the whole warp.
//
// A word's last write and the reads since are remembered from its first write
// in the launch on: reads of memory that nobody has written yet leave no trace,
// because nearly all reads are of such memory.
//
// Who calls it: race.c for clocks, memory/ for accesses. A race without a
// global detector is accepted everywhere, and nothing is done then.
#ifndef CHECK_RACE_GLOBAL_H_
#define CHECK_RACE_GLOBAL_H_

#include "memory/access.h"

typedef struct tsr_race_global tsr_race_global;

// For blocks of |warps| warps. NULL when out of memory.
tsr_race_global *tsr_race_global_create(uint32_t warps);
// After all races that watch it.
void tsr_race_global_destroy(tsr_race_global *global);
// Forgets everything: for the next block of one that is watched alone.
void tsr_race_global_reset(tsr_race_global *global);

// |race| watches global memory from now on: with |global|, or, where that is
// NULL, for its block alone. False when out of memory.
bool tsr_race_watch_global(tsr_race *race, tsr_race_global *global);

// Of accesses to global memory, found valid; |low|, |high|: the lowest and the
// highest of the lanes' addresses.
void tsr_race_global_access(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                            const tsr_access *access, uint64_t low,
                            uint64_t high);
// One range on behalf of a lane: copies, at the time of their issue.
void tsr_race_global_range(tsr_race *race, tsr_warp *warp, const tsr_op *op,
                           uint32_t lane, uint64_t address, uint64_t size,
                           tsr_access_kind kind);

#endif  // CHECK_RACE_GLOBAL_H_
