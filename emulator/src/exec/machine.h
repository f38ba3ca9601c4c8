// SPDX-License-Identifier: Apache-2.0
// What is alive while a kernel runs: launch > block > warp > split. A split is
// a set of lanes of a warp that are at the same place; a warp that has not
// diverged is one split.
#ifndef EXEC_MACHINE_H_
#define EXEC_MACHINE_H_

#include "base/arena.h"
#include "exec/op.h"
#include "tessera/cuda_emu.h"

// Generic addresses: global memory has its host addresses (far above these
// windows); the others are windows onto the accessing block's or thread's own.
#define TSR_SHARED_WINDOW UINT64_C(0x01000000)
#define TSR_LOCAL_WINDOW UINT64_C(0x02000000)
#define TSR_PARAM_WINDOW UINT64_C(0x03000000)
#define TSR_WINDOW_SIZE UINT64_C(0x01000000)
// The first bytes of shared memory belong to the system from sm_90 on (1 KiB
// per block: CUDA C Programming Guide, compute capability 9.0); here they do
// so on every device, so that offset 0 is never valid.
#define TSR_SHARED_BASE 1024u

typedef struct tsr_program tsr_program;  // decode/program.h
typedef struct tsr_kernel tsr_kernel;
typedef struct tsr_heap tsr_heap;      // memory/heap.h
typedef struct tsr_race tsr_race;      // check/race.h
typedef struct tsr_async tsr_async;    // async/async.h
typedef struct tsr_wgmma tsr_wgmma;    // tensor/wgmma.h
typedef struct tsr_report tsr_report;  // check/report.h
typedef struct tsr_block tsr_block;

// Of docs/emulator.md's table of devices; sources there.
typedef struct tsr_device_model {
  const char *key;   // "h100"
  const char *name;  // "NVIDIA H100 80GB HBM3"
  uint32_t sm_major, sm_minor;
  uint32_t multiprocessors;
  uint32_t shared_per_multiprocessor, shared_per_block,
      shared_per_block_optin;  // bytes
  uint32_t registers_per_multiprocessor;
  uint32_t threads_per_multiprocessor, blocks_per_multiprocessor;
  uint64_t memory_bytes;
  uint32_t l2_bytes;
  uint32_t clock_khz, memory_clock_khz, bus_bits;
  double bandwidth;  // bytes per second
  double mma_flops;  // dense fp16, flop per second
} tsr_device_model;

typedef struct tsr_launch {
  const tsr_kernel *kernel;
  const tsr_device_model *device;
  tessera_emu_config config;
  uint64_t number;  // from 1
  uint32_t grid[3], block[3];
  uint32_t threads, warps;      // of a block
  uint32_t dynamic_shared;      // bytes
  const unsigned char *params;  // the kernel's parameter buffer; borrowed
  uint32_t params_size;
  uint64_t grid_workspace;      // of a cooperative launch: %envreg1, %envreg2
  tsr_heap *heap;               // borrowed
  tsr_report *report;           // borrowed; findings go here
  tessera_emu_profile profile;  // the sum, when done
  // Programmatic dependent launch: until griddepcontrol.wait, memory as it was
  // before the kernel this one depends on. NULL: nothing to wait for.
  struct tsr_launch *depends_on;
  uint64_t findings;  // atomic: made so far
  // Atomic. 0, or what tsr_launch_fail stored: ~(block << 8 | kind) of the
  // lowest-numbered block with a fault. That block stops, and those behind it;
  // those before it go on, so that findings do not depend on threads.
  uint64_t failure;
  bool together;  // all blocks stop at a fault (interleaved ones)
  int fault;      // tessera_emu_finding_kind of that fault, when done
} tsr_launch;

static inline uint64_t tsr_launch_failure(const tsr_launch *launch) {
  return __atomic_load_n(&launch->failure, __ATOMIC_RELAXED);
}
// Whether any block has failed.
static inline bool tsr_launch_failed(const tsr_launch *launch) {
  return tsr_launch_failure(launch) != 0;
}
// The lowest-numbered block that failed, of a launch that did.
static inline uint64_t tsr_launch_failed_block(const tsr_launch *launch) {
  return ~tsr_launch_failure(launch) >> 8;
}
// tessera_emu_finding_kind of that block's fault; 0 when there is none.
static inline int tsr_launch_fault(const tsr_launch *launch) {
  uint64_t failure = tsr_launch_failure(launch);
  return failure != 0 ? (int)(~failure & 0xff) : 0;
}
// Whether block |linear| has to stop.
static inline bool tsr_launch_stops(const tsr_launch *launch, uint64_t linear) {
  uint64_t failure = tsr_launch_failure(launch);
  return failure != 0 && (launch->together || linear >= ~failure >> 8);
}
// Block |linear| has a fault of |kind| (tessera_emu_finding_kind).
static inline void tsr_launch_fail(tsr_launch *launch, uint64_t linear,
                                   int kind) {
  uint64_t ours = ~(linear << 8 | (uint64_t)kind);
  uint64_t seen = tsr_launch_failure(launch);
  // Of one block the first fault counts.
  while ((seen == 0 || linear < ~seen >> 8) &&
         !__atomic_compare_exchange_n(&launch->failure, &seen, ours, false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

typedef enum tsr_wait_kind {
  TSR_WAIT_NONE,
  TSR_WAIT_BARRIER,   // bar/barrier |id|
  TSR_WAIT_ARRIVE,    // the rest of the warp at barrier.arrive |id|
  TSR_WAIT_CLUSTER,   // barrier.cluster.wait
  TSR_WAIT_WARP,      // bar.warp.sync of the lanes |id|
  TSR_WAIT_CONVERGE,  // the rest of the lanes of an operation
  TSR_WAIT_SLEEP,     // nanosleep, until the block's clock is |wake|
  TSR_WAIT_GRID,      // griddepcontrol.wait
  TSR_WAIT_RETRY,     // an operation that could not be done (exec/ only)
} tsr_wait_kind;

typedef struct tsr_frame {   // a call's caller
  const tsr_op *code;        // the caller's code
  uint32_t pc;               // to return to
  uint32_t registers;        // the caller's frame: units into warp->registers
  uint32_t local;            // the caller's local frame, bytes
  unsigned char *constants;  // the caller's pool
  const struct tsr_function *function;
} tsr_frame;

enum { TSR_CALL_DEPTH = 64 };

typedef struct tsr_split {
  uint32_t lanes;  // not ended
  uint32_t pc;
  const tsr_op *code;
  const struct tsr_function *function;
  uint32_t registers;  // frame, in units
  uint32_t local;      // frame, bytes
  unsigned char *constants;
  uint32_t depth;
  tsr_wait_kind wait;
  uint32_t wait_id;
  uint64_t wake;      // SLEEP
  bool forced;        // CONVERGE was given up: goes on with the lanes it has
  tsr_frame *frames;  // TSR_CALL_DEPTH; NULL until the first call
} tsr_split;

struct tsr_warp {
  unsigned char *base[2];  // of the running split: registers, constants
  tsr_block *block;
  uint32_t index;  // in the block
  uint32_t lanes;  // that exist (the last warp may be short) and have not ended
  // The running split's place; written back when another one runs.
  uint32_t pc;
  uint32_t active;
  uint32_t local;  // local frame of the running split, bytes
  tsr_split *current;
  tsr_split *splits;  // split_count of them
  uint32_t split_count;
  tsr_wait_kind wait;  // set by a handler that returns TSR_FLOW_WAIT
  uint32_t wait_id;
  uint64_t wake;                 // with TSR_WAIT_SLEEP: block->clock to wake at
  uint32_t limit;                // the running split stops before this pc
  uint32_t exists;               // lanes that the block has given this warp
  unsigned char *registers;      // the file
  uint64_t instructions;         // executed by this warp
  tessera_emu_profile *profile;  // the worker's; never NULL
  uint32_t tid[3][TSR_LANES];
  tsr_wgmma *wgmma;  // what is in flight; NULL until used
};

struct tsr_block {
  tsr_launch *launch;
  uint32_t index[3];
  uint64_t linear;
  uint32_t sm;                    // %smid
  unsigned char *shared;          // offset TSR_SHARED_BASE lies at shared[0]
  uint32_t shared_size;           // static and dynamic
  unsigned char *shared_written;  // a bit per byte; NULL: not checked
  unsigned char *local;           // thread t: local + t * local_stride
  uint32_t local_stride;          // bytes
  tsr_warp *warps;
  uint32_t warp_count;
  uint32_t live_warps;
  uint64_t random;  // state of this block's generator
  uint64_t clock;   // warp instructions executed in this block
  // Bumped by whatever may let a waiting warp go on: arrivals, landings,
  // atomics that change memory. (Stores need not: their class tells.)
  uint64_t progress;
  tsr_race *race;    // NULL: not checked
  tsr_async *async;  // never NULL while the block runs
  void *engine;      // exec/'s own: barriers, run queue
  bool launched_dependents;
};

// A number of the block's own sequence; equal seeds give equal sequences.
static inline uint64_t tsr_random(tsr_block *block) {
  uint64_t z = (block->random += UINT64_C(0x9e3779b97f4a7c15));  // splitmix64
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

// --- Lanes
// --------------------------------------------------------------------

static inline const uint32_t *tsr_src32(const tsr_warp *warp, tsr_ref ref) {
  return (const uint32_t *)(const void *)tsr_unit(warp->base, ref);
}
static inline const uint64_t *tsr_src64(const tsr_warp *warp, tsr_ref ref) {
  return (const uint64_t *)(const void *)tsr_unit(warp->base, ref);
}
static inline uint32_t *tsr_dst32(const tsr_warp *warp, tsr_ref ref) {
  return (uint32_t *)(void *)tsr_unit(warp->base, ref);
}
static inline uint64_t *tsr_dst64(const tsr_warp *warp, tsr_ref ref) {
  return (uint64_t *)(void *)tsr_unit(warp->base, ref);
}
// A predicate as a mask of lanes.
static inline uint32_t tsr_pred(const tsr_warp *warp, tsr_ref ref) {
  return tsr_src32(warp, ref)[0];
}
// Writes |value|'s bits of |mask|; nothing for TSR_REF_NONE.
static inline void tsr_set_pred(tsr_warp *warp, tsr_ref ref, uint32_t mask,
                                uint32_t value) {
  if (ref == TSR_REF_NONE) return;
  uint32_t *word = tsr_dst32(warp, ref);
  word[0] = (word[0] & ~mask) | (value & mask);
}
// Copies the lanes of |mask|; nothing for TSR_REF_NONE. |lanes| must not
// overlap the destination.
static inline void tsr_put32(tsr_warp *warp, tsr_ref ref, uint32_t mask,
                             const uint32_t lanes[TSR_LANES]) {
  if (ref == TSR_REF_NONE) return;
  uint32_t *out = tsr_dst32(warp, ref);
  if (mask == TSR_ALL_LANES) {
    memcpy(out, lanes, TSR_LANES * sizeof(*lanes));
    return;
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    out[i] = (mask >> i & 1u) != 0 ? lanes[i] : out[i];
  }
}
static inline void tsr_put64(tsr_warp *warp, tsr_ref ref, uint32_t mask,
                             const uint64_t lanes[TSR_LANES]) {
  if (ref == TSR_REF_NONE) return;
  uint64_t *out = tsr_dst64(warp, ref);
  if (mask == TSR_ALL_LANES) {
    memcpy(out, lanes, TSR_LANES * sizeof(*lanes));
    return;
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    out[i] = (mask >> i & 1u) != 0 ? lanes[i] : out[i];
  }
}

// Hot handlers are compiled for several instruction sets and chosen when the
// library is loaded. Not under sanitizers: their start-up comes after the
// choice. Not by clang: release 14 calls the chooser NAME.ifunc, which other
// files do not find.
#if defined(TSR_EMU_SANITIZED) || !defined(__x86_64__) || defined(__clang__)
#define TSR_CLONES
#else
// Levels, not makes of processors: "arch=haswell" would mean that one alone.
#define TSR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif

#endif  // EXEC_MACHINE_H_
