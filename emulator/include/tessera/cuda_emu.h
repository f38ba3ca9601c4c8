// SPDX-License-Identifier: Apache-2.0
// The emulated CUDA driver beyond what libcuda.so.1 offers: how kernels are
// executed, what is checked, what was found and counted. A program that knows
// nothing of it sets the environment variables instead (docs/emulator.md);
// they are read once, by the first call of cuInit or of a function below.
//
// All functions are thread-safe. None prints; none ends the process. Structs
// grow at their end only: the caller sets |struct_size| to sizeof of what it
// was compiled with.
#ifndef TESSERA_CUDA_EMU_H_
#define TESSERA_CUDA_EMU_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TESSERA_EMU_API __attribute__((visibility("default")))

// What is checked, as bits. Bounds, alignment and read-only memory are always
// checked, as hardware does.
enum {
  TESSERA_EMU_CHECK_INIT = 1u << 0,   // reads of memory never written
  TESSERA_EMU_CHECK_RACE = 1u << 1,   // accesses without order: shared memory,
                                      // global memory within a launch
  TESSERA_EMU_CHECK_SYNC = 1u << 2,   // divergent barriers, .aligned, leaks
  TESSERA_EMU_CHECK_ASYNC = 1u << 3,  // use of what is still in flight
  TESSERA_EMU_CHECK_NUMERIC = 1u << 4,  // 2:4 metadata that is not valid
  TESSERA_EMU_CHECK_ALL = (1u << 5) - 1,
};

typedef enum tessera_emu_time {
  TESSERA_EMU_TIME_LATE,    // asynchronous work lands at the last moment
  TESSERA_EMU_TIME_EARLY,   // as soon as it is issued
  TESSERA_EMU_TIME_RANDOM,  // anywhere in between, drawn from the seed
} tessera_emu_time;

// How tensor cores add products (docs/emulator.md, "Tensor cores").
typedef enum tessera_emu_accumulate {
  TESSERA_EMU_ACCUMULATE_EXACT,     // exact sum, rounded once
  TESSERA_EMU_ACCUMULATE_HARDWARE,  // aligned and truncated, per architecture
} tessera_emu_accumulate;

typedef enum tessera_emu_parallel {
  TESSERA_EMU_PARALLEL_AUTO,    // blocks side by side unless they communicate
  TESSERA_EMU_PARALLEL_NEVER,   // one thread, resident blocks interleaved
  TESSERA_EMU_PARALLEL_ALWAYS,  // results of communicating blocks may vary
} tessera_emu_parallel;

typedef struct tessera_emu_config {
  size_t struct_size;
  uint64_t seed;    // TESSERA_EMU_SEED, default 0
  uint32_t checks;  // TESSERA_EMU_CHECK=init,race,sync,async,numeric,all,none
  tessera_emu_time time;              // TESSERA_EMU_TIME=late,early,random
  tessera_emu_accumulate accumulate;  // TESSERA_EMU_ACCUMULATE=exact,hardware
  tessera_emu_parallel parallel;      // TESSERA_EMU_PARALLEL=auto,never,always
  uint32_t threads;                   // TESSERA_EMU_THREADS; 0: all processors
  // A launch with findings fails as a crashed one does
  // (CUDA_ERROR_LAUNCH_FAILED, sticky). TESSERA_EMU_FINDINGS=fail,report;
  // default fail.
  uint32_t findings_fail;
  uint32_t profile;  // TESSERA_EMU_PROFILE=0,1: count per launch; default 1
  // Warp instructions after which a launch is ended with
  // CUDA_ERROR_LAUNCH_TIMEOUT. TESSERA_EMU_WATCHDOG, default 2^40.
  uint64_t watchdog;
  // Asynchronous work of streams runs when the program waits for it (1, the
  // default: a missing synchronisation shows) or when it is enqueued (0).
  uint32_t lazy_streams;  // TESSERA_EMU_STREAMS=lazy,eager
  // How often each byte of |watch_size| bytes of global memory from
  // |watch_address| on is read, by ld and cp.async: added to the |watch_size|
  // counters at |watch_reads|, which stop at 255. NULL: nothing is watched.
  // Only reads of |watch_width| bytes per lane and more count.
  uint64_t watch_address, watch_size;
  uint8_t *watch_reads;
  uint32_t watch_width;
} tessera_emu_config;

// The configuration in force. Launches take it when they begin to execute.
TESSERA_EMU_API void tessera_emu_get_config(tessera_emu_config *out_config);
// 0, or -1 when a field has no meaning; then nothing changes.
TESSERA_EMU_API int tessera_emu_set_config(const tessera_emu_config *config);

// Which devices cuDeviceGetCount finds: names of docs/emulator.md's table,
// separated by commas ("h100", "a100,rtx4090"). TESSERA_EMU_DEVICE; default
// "h100". Only before cuInit or after tessera_emu_reset. 0, or -1 for an
// unknown name or a driver already in use.
TESSERA_EMU_API int tessera_emu_set_devices(const char *names);

// Forgets every context, module, allocation, finding and counter, as if the
// library had just been loaded; handles given out before become invalid. No
// other call may be in progress. The configuration stays.
TESSERA_EMU_API void tessera_emu_reset(void);

// --- Findings ---------------------------------------------------------------

typedef enum tessera_emu_finding_kind {
  TESSERA_EMU_OUT_OF_BOUNDS = 1,  // an address outside of everything allocated
  TESSERA_EMU_MISALIGNED,
  TESSERA_EMU_READ_ONLY,      // a store to constant or parameter memory
  TESSERA_EMU_UNINITIALISED,  // a read of what nobody wrote
  TESSERA_EMU_RACE,
  TESSERA_EMU_IN_FLIGHT,   // memory or registers of unfinished async work
  TESSERA_EMU_PROXY,       // async proxy without fence.proxy.async
  TESSERA_EMU_DIVERGENCE,  // a barrier or .aligned not reached by all
  TESSERA_EMU_DEADLOCK,
  TESSERA_EMU_BARRIER,   // misuse of an mbarrier or named barrier
  TESSERA_EMU_METADATA,  // 2:4 metadata words that name no valid pattern
  TESSERA_EMU_LEAK,      // async work never waited for when the block ends
  TESSERA_EMU_ILLEGAL,   // operands an instruction does not allow
  TESSERA_EMU_TRAP,      // trap, brkpt, a failed assertion
  TESSERA_EMU_TIMEOUT,
} tessera_emu_finding_kind;

typedef struct tessera_emu_finding {
  size_t struct_size;
  tessera_emu_finding_kind kind;
  uint32_t line;  // of the PTX text; 0 when it has none
  uint32_t block[3], thread[3];
  uint64_t address;  // as the program has it; for shared memory its offset
  uint64_t launch;   // number of the launch, from 1
  uint64_t count;    // how often this happened at this line in this launch
  char kernel[128];
  char message[512];  // whole: names kernel, line, block, thread, address
} tessera_emu_finding;

// Findings since the start or the last clear; at most 256 are kept, one per
// launch, kind and line.
TESSERA_EMU_API size_t tessera_emu_finding_count(void);
// 0, or -1 when there is no such finding.
TESSERA_EMU_API int tessera_emu_get_finding(size_t index,
                                            tessera_emu_finding *out_finding);
TESSERA_EMU_API void tessera_emu_clear_findings(void);

// --- Profiles ---------------------------------------------------------------

typedef enum tessera_emu_class {
  TESSERA_EMU_CLASS_INTEGER,  // arithmetic, logic, moves, comparisons
  TESSERA_EMU_CLASS_FLOAT,
  TESSERA_EMU_CLASS_CONVERT,
  TESSERA_EMU_CLASS_LOAD,
  TESSERA_EMU_CLASS_STORE,
  TESSERA_EMU_CLASS_ATOMIC,
  TESSERA_EMU_CLASS_MATRIX,      // mma, wgmma
  TESSERA_EMU_CLASS_MATRIX_IO,   // ldmatrix, stmatrix, movmatrix
  TESSERA_EMU_CLASS_ASYNC,       // cp.async, bulk, mbarrier
  TESSERA_EMU_CLASS_BARRIER,     // bar, barrier, fences
  TESSERA_EMU_CLASS_COLLECTIVE,  // shfl, vote, match, redux
  TESSERA_EMU_CLASS_CONTROL,     // bra, call, ret, exit
  TESSERA_EMU_CLASS_COUNT
} tessera_emu_class;

// Tensor-core instructions by shape; an entry of tessera_emu_profile.matrix.
typedef struct tessera_emu_matrix_count {
  char name[48];   // "mma.m16n8k16.bf16", "mma.sp.m16n8k32.f16"
  uint64_t count;  // warp instructions (wgmma: one for each of its four warps)
} tessera_emu_matrix_count;

// Memory of one kind, seen from the instructions.
typedef struct tessera_emu_traffic {
  uint64_t instructions;  // warp instructions
  uint64_t bytes;         // asked for by the active lanes
  // Warp instructions by bytes per lane: 1, 2, 4, 8, 16.
  uint64_t width[5];
  // Global: 32-byte sectors touched, per warp instruction (caches not
  // modelled). Shared: wavefronts, the passes through 32 banks of 4 bytes.
  uint64_t transactions;
  // Global: sectors that the bytes would need if they lay together. Shared:
  // wavefronts needed at least. transactions == ideal: coalesced,
  // conflict-free.
  uint64_t ideal;
} tessera_emu_traffic;

typedef struct tessera_emu_profile {
  size_t struct_size;
  char kernel[128];
  uint64_t launch;  // from 1
  uint32_t grid[3], block[3];
  uint32_t shared_bytes;       // static and dynamic
  uint32_t blocks;             // executed
  uint64_t warp_instructions;  // all classes
  uint64_t thread_instructions;
  uint64_t by_class[TESSERA_EMU_CLASS_COUNT];
  tessera_emu_traffic global_load, global_store, global_atomic;
  tessera_emu_traffic shared_load, shared_store, shared_atomic;
  tessera_emu_traffic local_load, local_store;
  tessera_emu_traffic copy;       // cp.async: global side
  tessera_emu_traffic bulk_load;  // cp.async.bulk and tensor: to shared memory
  tessera_emu_traffic bulk_store;
  uint64_t barrier_waits;   // warps that had to wait at bar/barrier
  uint64_t mbarrier_waits;  // test_wait/try_wait that returned false
  uint32_t matrix_count;    // entries of |matrix| in use
  tessera_emu_matrix_count matrix[24];
  double host_seconds;              // the emulator's own time
  double modelled_seconds;          // docs/emulator.md, "Time"
  tessera_emu_traffic copy_shared;  // cp.async: shared side
} tessera_emu_profile;

// Launches that have finished since the start or the last clear; the last
// 4096 are kept.
TESSERA_EMU_API size_t tessera_emu_profile_count(void);
TESSERA_EMU_API int tessera_emu_get_profile(size_t index,
                                            tessera_emu_profile *out_profile);
TESSERA_EMU_API void tessera_emu_clear_profiles(void);

// --- Calls ------------------------------------------------------------------

// How often the driver function |name| ("cuMemAlloc", suffixes such as _v2
// and _ptsz do not count) was called since the start or the last clear.
TESSERA_EMU_API uint64_t tessera_emu_call_count(const char *name);
TESSERA_EMU_API void tessera_emu_clear_calls(void);
// Lets the |nth| call from now (1-based) of |name| return |result| (a
// CUresult) and do nothing else; 0 removes it. TESSERA_EMU_FAIL=name:nth:result
// (several separated by commas). 0, or -1 for a function that does not exist.
TESSERA_EMU_API int tessera_emu_fail(const char *name, uint64_t nth,
                                     int result);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_CUDA_EMU_H_
