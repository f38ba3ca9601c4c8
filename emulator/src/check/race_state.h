// SPDX-License-Identifier: Apache-2.0
// What race.c (bytes) and race_order.c (clocks) share.
#ifndef CHECK_RACE_STATE_H_
#define CHECK_RACE_STATE_H_

#include "check/race.h"
#include "check/race_global.h"

enum {
  TSR_RACE_WARPS = 32,  // 1,024 threads: the most a block has
  TSR_RACE_COMPONENTS = TSR_RACE_WARPS + TSR_RACE_MBARRIERS,
  TSR_RACE_BARRIERS = 17,  // the last: barrier.cluster
};

typedef struct tsr_race_known tsr_race_known;  // race_global_state.h
typedef struct tsr_race_peer tsr_race_peer;

// What someone has seen of everyone, and what of that is behind a
// fence.proxy.async.
typedef struct tsr_race_view {
  uint32_t seen[TSR_RACE_COMPONENTS];
  uint32_t fenced[TSR_RACE_COMPONENTS];
  const tsr_race_known *outside;  // of other blocks
} tsr_race_view;

typedef struct tsr_race_mbarrier {
  tsr_race_view pending;   // released into the phase in progress
  tsr_race_view complete;  // what the completed phases carry
  uint32_t clock;          // completed phases
} tsr_race_mbarrier;

// One word of shared memory (4 bytes), or one byte of a word that was accessed
// in parts. "who": a component + 1, 0 for nobody.
typedef struct tsr_race_cell {
  uint32_t write_clock, write_line;
  uint32_t read_clock, read_line;  // read_clock: a vector's index if several
  uint8_t write_who, write_lane, write_flags;
  uint8_t read_who, read_lane;
  uint8_t copying;         // a copy into it has not landed
  uint16_t reads_pending;  // copies out of it, wgmma
  uint32_t parts;          // index of four byte cells, 0: whole
} tsr_race_cell;

enum {
  TSR_RACE_MANY = 0xff,      // read_who: a vector; lanes: several
  TSR_RACE_ATOMIC = 1 << 0,  // write_flags: atomic, volatile, relaxed
  TSR_RACE_ASYNC = 1 << 1,   // write_flags: through the async proxy
};

// What passes through a word used for synchronisation. Joining costs: it is
// left out where nothing can have changed since this warp did it last.
typedef struct tsr_race_sync {
  tsr_race_view view;
  uint32_t stamp;                  // changes with |view|
  uint32_t taken[TSR_RACE_WARPS];  // stamp when the warp last took the view
  uint32_t given[TSR_RACE_WARPS];  // the warp's release when it last gave it
} tsr_race_sync;

struct tsr_race {
  tsr_block *block;
  uint32_t warps;
  uint32_t words;        // of shared memory
  tsr_race_cell *cells;  // one per word
  // Growing pools; index 0 is not used. Freed ones are chained through their
  // first member.
  tsr_race_cell *parts;  // four per index
  uint32_t part_count, part_capacity, part_free;
  uint32_t *readers;  // |warps| clocks per index
  uint32_t reader_count, reader_capacity, reader_free;
  // Relaxed synchronisation through a word: what was released into it.
  uint32_t *sync_index;  // per word; 0: none
  tsr_race_sync *syncs;
  uint32_t sync_count, sync_capacity;
  tsr_race_view *views;     // per warp
  tsr_race_view *released;  // per warp: as of its last fence
  tsr_race_view *acquired;  // per warp: read by relaxed accesses, unfenced
  uint32_t release[TSR_RACE_WARPS];  // changes with |released|
  uint32_t stamps;                   // given to syncs
  uint32_t (*lane_sync)[TSR_LANES];  // per warp
  tsr_race_view *barriers;  // TSR_RACE_BARRIERS: released by bar.arrive
  tsr_race_mbarrier *mbarriers;
  uint32_t mbarriers_used;  // those behind are still zero
  bool gave_up;             // out of memory: nothing more is checked
  // Global memory: NULL where it is not watched.
  tsr_race_global *global;
  bool owns_global;
  tsr_race *sibling;     // the next that watches it
  tsr_race_peer *peers;  // per warp
};

void tsr_race_join(tsr_race *race, tsr_race_view *into,
                   const tsr_race_view *from);
// Everything the lanes of |warp| did until now is ordered before what they do
// from now on.
void tsr_race_join_lanes(tsr_race *race, uint32_t warp, uint32_t lanes,
                         uint32_t until);
// The next instant of |warp|; every access is one.
uint32_t tsr_race_tick(tsr_race *race, uint32_t warp);
// Whether a store leaves all of the lane's bytes as they are. Many threads
// writing one value to one place is common, and harmless in whatever order.
// False where |access| is NULL or does not say what is stored.
bool tsr_race_changes_nothing(const tsr_warp *warp, const tsr_access *access,
                              uint32_t lane);
// Stops checking and says so, once.
void tsr_race_give_up(tsr_race *race);
// A fence of |order| (TSR_ORDER_*), for words of shared memory.
void tsr_race_fence_shared(tsr_race *race, uint32_t warp, uint32_t order);
// A relaxed or atomic access to |word|: takes what was released there, and
// when |writes|, leaves what the warp had released by its last fence.
void tsr_race_relaxed(tsr_race *race, uint32_t warp, uint32_t word,
                      bool writes);

// tsr_race_destroy: |race| no longer watches global memory.
void tsr_race_leave_global(tsr_race *race);

#endif  // CHECK_RACE_STATE_H_
