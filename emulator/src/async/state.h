// SPDX-License-Identifier: Apache-2.0
// What a block has going on asynchronously; internal to async/. Three kinds of
// things are pending: records of cp.async (one for a warp's instruction, lane
// by lane), bulk operations (one for a thread's instruction), and the mbarriers
// that some of both report to.
//
// "Moved" means that bytes were copied, "landed" that the program may know it.
// Time decides when bytes move, from issue (early) to the moment somebody who
// waits could not go on otherwise (late); a copy lands only through a wait. So
// the race detector finds the same whatever the time.
#ifndef ASYNC_STATE_H_
#define ASYNC_STATE_H_

#include "async/async.h"
#include "async/tensor_map.h"
#include "check/race.h"
#include "check/report.h"
#include "memory/access.h"

// PTX ISA 9.7.13.15.2: ranges of an mbarrier's counts.
#define TSR_MBARRIER_COUNT_MAX 0xfffffu
#define TSR_NO_MBARRIER 0xffffffffu

typedef struct tsr_mbarrier {
  bool live;
  uint32_t offset;  // in shared memory, as a shared address
  uint32_t slot;    // of the race detector
  uint32_t expected, pending;
  int32_t transactions;  // bytes expected and not yet completed
  uint64_t phase;        // phases completed since init
  uint64_t word;         // what must lie in shared memory
  uint32_t in_flight;    // asynchronous operations that will report to it
  uint32_t arrivals;     // those of them that will arrive
  uint64_t filled;       // phases that asynchronous bytes went to end here
  uint64_t seen;         // phases whose completion somebody saw end here
  uint32_t filled_line;
  uint32_t polls;     // in vain since the phase began
  uint32_t patience;  // polls in vain before what is in flight lands
} tsr_mbarrier;

typedef enum tsr_reduction {
  TSR_REDUCE_NONE,  // a copy
  TSR_REDUCE_ADD,
  TSR_REDUCE_MIN,
  TSR_REDUCE_MAX,
  TSR_REDUCE_INC,
  TSR_REDUCE_DEC,
  TSR_REDUCE_AND,
  TSR_REDUCE_OR,
  TSR_REDUCE_XOR,
} tsr_reduction;

// Applies |reduction| of |type| to |size| bytes at |target|.
void tsr_reduce_bytes(tsr_reduction reduction, tsr_ptx_type type,
                      unsigned char *target, const unsigned char *source,
                      uint32_t size);

// --- cp.async (9.7.9.25.3)

typedef struct tsr_copy_record {
  const tsr_op *op;
  bool arrive;       // cp.async.mbarrier.arrive
  uint32_t waiting;  // lanes that have not landed
  uint32_t unmoved;  // lanes whose bytes are still to be copied
  uint32_t size;     // bytes written; of these |read| from |source|
  uint32_t group[TSR_LANES];
  uint32_t target[TSR_LANES];  // shared address; arrive: index of mbarrier
  uint32_t read[TSR_LANES];
  const unsigned char *source[TSR_LANES];
} tsr_copy_record;

typedef struct tsr_copy_queue {  // of a warp; in order of issue
  tsr_copy_record *records;      // a ring
  uint32_t capacity, head, count;
  uint32_t committed[TSR_LANES];  // groups
  uint32_t arrived[TSR_LANES];    // slot + 1 of the last arrival; 0: none
} tsr_copy_queue;

// --- Bulk operations (9.7.9.25.4)

typedef enum tsr_bulk_kind {
  TSR_BULK_LOAD,    // global to shared
  TSR_BULK_STORE,   // shared to global
  TSR_BULK_SHARED,  // shared to shared
  TSR_BULK_VALUE,   // registers to shared: st.async, red.async
} tsr_bulk_kind;

enum { TSR_BULK_VALUE_SIZE = 16 };

typedef struct tsr_bulk {
  tsr_bulk_kind kind;
  tsr_warp *warp;
  const tsr_op *op;
  uint32_t lane;
  unsigned char *global;  // of a linear copy
  uint32_t shared;        // shared address: LOAD's and SHARED's destination,
                          // STORE's source
  uint32_t source;        // SHARED: shared address read
  uint32_t size;          // bytes, of the whole box for tensors
  tsr_reduction reduction;
  tsr_ptx_type type;  // of the reduction
  bool tensor;
  tsr_tensor_map map;
  int32_t at[TSR_TENSOR_RANK];  // coordinates
  uint32_t mbarrier;            // index, or TSR_NO_MBARRIER: a bulk group
  uint32_t group;
  unsigned char value[TSR_BULK_VALUE_SIZE];
  bool fetched;            // the source was read into |staging|
  bool moved;              // the destination was written
  bool released;           // .read was waited for
  unsigned char *staging;  // |size| bytes; owned
} tsr_bulk;

struct tsr_async {
  tsr_block *block;
  tsr_copy_queue *queues;  // a warp each
  uint32_t warp_count;
  tsr_bulk **bulks;  // in order of issue; owned
  uint32_t bulk_count, bulk_capacity;
  uint32_t *bulk_committed;  // groups, a thread each
  tsr_mbarrier *mbarriers;
  uint32_t mbarrier_count, mbarrier_capacity;
  uint32_t *by_offset;  // index + 1 for each 8 bytes of shared memory
  uint32_t by_offset_count;
  uint32_t slots_used[(TSR_RACE_MBARRIERS + 31) / 32];
};

// Where shared address |offset| lies in this process.
static inline unsigned char *tsr_shared_at(tsr_block *block, uint32_t offset) {
  return block->shared + (offset - TSR_SHARED_BASE);
}
// Checks that |address| of |space| (SHARED, or NONE for generic) names |size|
// bytes of shared memory, aligned; false after a finding, and the launch is
// over.
bool tsr_shared_range(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                      tsr_ptx_space space, uint64_t address, uint64_t size,
                      uint32_t align, uint32_t *out_offset);
void tsr_shared_mark_written(tsr_block *block, uint32_t offset, uint32_t size);
// Tells the race detector that |lane| works on the mbarrier at |offset|, which
// is atomic.
void tsr_shared_mbarrier_access(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                                uint32_t offset);
// A finding that memory ran out; ends the launch.
void tsr_async_no_memory(tsr_warp *warp, const tsr_op *op);
// Whether, in this configuration, pending work moves at this opportunity.
bool tsr_async_moves_now(tsr_block *block);

// --- copy.c: cp.async

// Makes the bytes of |record|'s lanes be in shared memory.
void tsr_copy_move(tsr_block *block, tsr_copy_record *record, uint32_t lanes);
// A free record at the end of |warp|'s queue; NULL after a finding.
tsr_copy_record *tsr_copy_push(tsr_warp *warp, const tsr_op *op);
// Lanes with copies that have not landed.
uint32_t tsr_copy_pending(tsr_warp *warp);
// |record|, an arrival, was issued: lanes that have waited for all their copies
// let whoever waits for the mbarrier know.
void tsr_copy_arrived(tsr_warp *warp, const tsr_copy_record *record);
// Lands what the lanes issued in groups before |limit|.
void tsr_copy_wait(tsr_warp *warp, uint32_t lanes,
                   const uint32_t limit[TSR_LANES]);
// Lets arrivals of cp.async.mbarrier.arrive on |mbarrier| happen. True when
// there was one.
bool tsr_copy_land_on(tsr_block *block, uint32_t mbarrier);
// The same for any mbarrier: one record.
bool tsr_copy_land_any(tsr_block *block);

// Whether |reduction| of |type| is one that cp.reduce.async.bulk knows, into
// shared or global memory.
bool tsr_reduce_allowed(tsr_reduction reduction, tsr_ptx_type type,
                        bool shared);

// --- bulk.c

// Takes over a copy of |bulk|, whose addresses are valid: tells the race
// detector, moves it when time says so. False after a finding.
bool tsr_bulk_post(const tsr_bulk *bulk);
// Lets bulk operations on |mbarrier| complete until its phase does. True when
// there was one.
bool tsr_bulk_land_on(tsr_block *block, uint32_t mbarrier);
// One operation that has not moved.
bool tsr_bulk_land_any(tsr_block *block);
void tsr_bulk_commit(tsr_warp *warp, uint32_t lanes);
// |lane| waits for all but its last |left| groups; |read|: only until their
// sources have been read.
void tsr_bulk_wait(tsr_warp *warp, uint32_t lane, uint32_t left, bool read);
// The block has ended.
void tsr_bulk_finish(tsr_async *async);
void tsr_bulk_clear(tsr_async *async);

// --- tensor_copy.c

// A run of bytes of a box that lies inside the tensor.
typedef struct tsr_tensor_run {
  uint64_t address;  // in global memory
  uint32_t offset;   // in the box, rows side by side
  uint32_t size;     // bytes; 0: the whole row is outside
} tsr_tensor_run;
// Row |row| of the box at coordinates |at|.
tsr_tensor_run tsr_tensor_row(const tsr_tensor_map *map,
                              const int32_t at[TSR_TENSOR_RANK], uint32_t row);
// Between a box in the tensor's memory and |dense|, its bytes row by row.
void tsr_tensor_gather(const tsr_bulk *bulk, unsigned char *dense);
void tsr_tensor_scatter(const tsr_bulk *bulk, const unsigned char *dense);
// Between a box in shared memory at |shared| and |dense|.
void tsr_tensor_from_shared(const tsr_bulk *bulk, const unsigned char *shared,
                            unsigned char *dense);
void tsr_tensor_to_shared(const tsr_bulk *bulk, unsigned char *shared,
                          const unsigned char *dense);

// --- mbarrier.c

// The object at |offset| as the program may use it; NULL after a finding.
tsr_mbarrier *tsr_mbarrier_at(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                              uint32_t offset);
// Announces an operation that will complete bytes on |mbarrier|, an index.
void tsr_mbarrier_announce(tsr_block *block, uint32_t mbarrier);
// |bytes| that were announced arrived.
void tsr_mbarrier_complete(tsr_block *block, tsr_warp *warp, const tsr_op *op,
                           uint32_t lane, uint32_t mbarrier, uint32_t bytes);
// The arrival of cp.async.mbarrier.arrive.
void tsr_mbarrier_async_arrive(tsr_block *block, tsr_warp *warp,
                               const tsr_op *op, uint32_t lane,
                               uint32_t mbarrier);
void tsr_mbarrier_clear(tsr_async *async);

#endif  // ASYNC_STATE_H_
