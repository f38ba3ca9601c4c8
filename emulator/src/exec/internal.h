// SPDX-License-Identifier: Apache-2.0
// What the engine's files share: a context is a block together with the memory
// it runs in; a worker reuses one for block after block, an interleaved launch
// has one for each resident block.
#ifndef EXEC_INTERNAL_H_
#define EXEC_INTERNAL_H_

#include "check/race_global.h"
#include "exec/engine.h"

enum {
  TSR_BARRIERS = 16,
  TSR_BLOCK_WARPS = 32,  // 1,024 threads
  TSR_RESIDENT_MAX = 4096,
};

// A bar/barrier of a block (PTX ISA 9.7.13.1). It counts warps; a warp counts
// when all its lanes that have not ended are there.
typedef struct tsr_named_barrier {
  uint32_t expected;      // warps; 0: all that have not ended
  uint32_t arrived;       // warps, each as often as it came
  uint32_t warps;         // which
  uint32_t waiting;       // of them, who did not only arrive
  uint32_t trues, lanes;  // of bar.red: predicates that were true, of how many
  uint32_t line;          // of the first arrival
} tsr_named_barrier;

// What the engine keeps of each warp.
typedef struct tsr_warp_state {
  uint32_t pending[TSR_BARRIERS];  // lanes that wait for the rest of the warp
  uint32_t votes[TSR_BARRIERS];    // their predicates (bar.red)
  uint32_t cluster_arrived;        // lanes, in this phase of barrier.cluster
  uint32_t cluster_waiting;        // lanes that may wait for that phase
  // A warp that comes back to the state it was in, while nobody has changed
  // any memory, spins: it will do so for ever.
  unsigned char *snapshot;  // register file; NULL until needed
  tsr_split snapshot_splits[TSR_LANES];
  uint32_t snapshot_count;
  uint64_t snapshot_changes;  // of memory, when it was taken
  uint64_t quiet;             // warp instructions since memory changed
  uint64_t quiet_changes;
  uint64_t next_snapshot;  // taken anew when |quiet| gets there
  uint32_t polls;          // in vain, since memory changed
  uint64_t polls_changes;
  uint32_t run_since;  // splits (by position) that ran since
  uint32_t alone;      // instructions since another split of the warp ran
} tsr_warp_state;

typedef struct tsr_context {
  tsr_block block;
  tessera_emu_profile profile;
  tsr_warp *warps;
  tsr_warp_state *states;
  tsr_split *splits;  // TSR_LANES of each warp
  unsigned char *registers;
  size_t register_bytes;  // of a warp
  tsr_named_barrier barriers[TSR_BARRIERS];
  uint32_t ready;     // warps with a split that can run
  uint32_t sleeping;  // warps with a split in nanosleep
  uint32_t parked;    // warps with a split in TSR_WAIT_RETRY
  uint32_t spinning;  // warps proven to spin at |changes|
  uint32_t vain;      // warps that polled in vain at |changes|
  uint64_t changes;   // last seen of tsr_context_changes
  uint64_t retried;   // |changes| at which everything parked was tried again
  uint64_t foreign;   // changes made by other blocks of an interleaved launch
  uint64_t charged;   // instructions already told to the watchdog
  uint64_t slept;     // part of block.clock that passed in nanosleep
  bool grid_open;     // griddepcontrol.wait lets pass
  bool live, stuck;
  struct tsr_engine *engine;
} tsr_context;

typedef struct tsr_engine {
  tsr_launch *launch;
  uint64_t blocks;
  bool interleaved;
  uint64_t instructions;  // atomic: for the watchdog
  tsr_context **contexts;
  uint32_t context_count;
  uint32_t live;          // interleaved: contexts in use, the first ones
  uint64_t next_block;    // interleaved: the next to start
  uint64_t random;        // interleaved: who runs
  uint64_t changes;       // interleaved: slices that changed memory
  uint32_t allocated;     // of |contexts|
  bool grid_open;         // for blocks that start
  tsr_race_global *race;  // interleaved: of all blocks; NULL: not checked
} tsr_engine;

static inline tsr_context *tsr_context_of(const tsr_warp *warp) {
  return warp->block->engine;
}
static inline tsr_warp_state *tsr_state_of(const tsr_warp *warp) {
  return &tsr_context_of(warp)->states[warp->index];
}

// context.c
tsr_context *tsr_context_create(tsr_engine *engine);  // NULL: out of memory
void tsr_context_destroy(tsr_context *context);
void tsr_context_begin(tsr_context *context, uint64_t linear);
void tsr_context_end(tsr_context *context);

// schedule.c: runs up to |slices| turns of warps. False when nothing can go on
// by itself (context->stuck) or the launch failed.
bool tsr_context_run(tsr_context *context, uint64_t slices);
// A number that changes when memory that a poll may look at has changed.
uint64_t tsr_context_changes(const tsr_context *context);
// Tells the launch's watchdog what was executed; |warp| is who is blamed.
void tsr_context_charge(tsr_context *context, tsr_warp *warp);
// Recomputes |ready|, |sleeping| and |parked| of |warp|.
void tsr_context_refresh(tsr_context *context, const tsr_warp *warp);

// warp.c: runs |warp| for up to |quantum| operations. Returns why it stopped.
tsr_flow tsr_warp_run(tsr_context *context, tsr_warp *warp, uint32_t quantum);

// splits.c
void tsr_split_load(tsr_warp *warp, tsr_split *split);
void tsr_split_save(tsr_warp *warp);
// Takes |lanes| out of the running split into one of their own at |pc|.
tsr_split *tsr_split_fork(tsr_warp *warp, uint32_t lanes, uint32_t pc);
void tsr_split_remove(tsr_warp *warp, tsr_split *split);
// Joins the splits that are at the same place. Not while one is loaded.
void tsr_split_merge(tsr_warp *warp);
// Joins splits that met and loads the one to run; false when all wait.
bool tsr_split_choose(tsr_warp *warp);
// The lanes of |mask| wait (RETRY: at this operation; else behind it).
void tsr_split_park(tsr_warp *warp, uint32_t mask, uint32_t pc,
                    tsr_wait_kind wait, uint32_t id);
// Whether |op| can run now for |mask|. False: the split was parked, or has run.
bool tsr_converge(tsr_warp *warp, const tsr_op *op, uint32_t mask);
// After lanes have ended: who waited for them looks again.
void tsr_converge_again(tsr_warp *warp);
// Gives up waiting: a finding, and the lanes that are there go on. False when
// no split of |warp| waits so.
bool tsr_converge_give_up(tsr_context *context, tsr_warp *warp);

// barriers.c
void tsr_barriers_lanes_ended(tsr_context *context, tsr_warp *warp);

// stuck.c: nothing in |context| can go on. True when something could be done
// about it (time passed, copies landed, a divergent warp was let go).
bool tsr_context_unstick(tsr_context *context);
// Reports the deadlock; fatal.
void tsr_context_deadlock(tsr_context *context);
// At a turn's end: notes whether |warp| spins.
void tsr_context_watch(tsr_context *context, tsr_warp *warp, uint64_t ran);

// The kernel before has ended: griddepcontrol.wait lets pass.
void tsr_context_open(tsr_context *context);

// time.c
double tsr_modelled_seconds(const tsr_device_model *device,
                            const tessera_emu_profile *profile);

#endif  // EXEC_INTERNAL_H_
