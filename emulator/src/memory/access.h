// SPDX-License-Identifier: Apache-2.0
// The one way to memory: every load, store, atomic, copy and matrix operand
// passes here, is checked, counted and told to the race detector.
#ifndef MEMORY_ACCESS_H_
#define MEMORY_ACCESS_H_

#include "decode/decode.h"
#include "exec/machine.h"

typedef enum tsr_access_kind {
  TSR_ACCESS_LOAD,
  TSR_ACCESS_STORE,
  TSR_ACCESS_ATOMIC,  // reads and writes; atomics do not race with each other
} tsr_access_kind;

typedef enum tsr_access_proxy {
  TSR_PROXY_GENERIC,
  TSR_PROXY_ASYNC,  // cp.async.bulk, wgmma (PTX ISA 8.6)
  TSR_PROXY_NONE,   // the caller tells the race detector itself
} tsr_access_proxy;

// How an access, or a fence, is ordered with others (PTX ISA 9.0, 8.4 to 8.8).
enum {
  TSR_ORDER_STRONG = 1 << 0,  // volatile, relaxed and what follows
  TSR_ORDER_ACQUIRE = 1 << 1,
  TSR_ORDER_RELEASE = 1 << 2,
  TSR_ORDER_DEVICE = 1 << 3,     // .gpu or .sys: the scope has other blocks
  TSR_ORDER_READ_ONLY = 1 << 4,  // ld.global.nc, ldu
};

// How the lanes that take part lie to each other: for quick ways.
typedef enum tsr_access_shape {
  TSR_SHAPE_ANY,
  TSR_SHAPE_DENSE,    // all lanes, side by side in lane order, from host[0] on
  TSR_SHAPE_UNIFORM,  // all the same bytes
} tsr_access_shape;

typedef struct tsr_access {
  tsr_ptx_space space;  // NONE: generic
  tsr_access_kind kind;
  tsr_access_proxy proxy;
  uint32_t size;   // bytes of each lane: 1, 2, 4, 8, 16 (32: 256-bit loads)
  uint32_t align;  // what the address must be a multiple of; mostly |size|
  bool ordered;    // volatile, acquire, release, relaxed: never a data race
  uint32_t order;  // TSR_ORDER_*; |ordered| is its STRONG
  bool uncounted;  // the caller counts traffic itself
  uint32_t mask;   // lanes that take part
  uint64_t address[TSR_LANES];  // as the program has them, in |space|
  // Of st: the registers of what is stored, |element_size| bytes of each; NULL
  // for all others. Writing what is there already does not race with writes.
  const tsr_ref *elements;
  uint32_t element_size;
  unsigned char *host[TSR_LANES];  // out: where the bytes are
  tsr_access_shape shape;          // out
} tsr_access;

// Fills |host|, for the lanes of |mask|. False when a lane's access is not
// allowed: a finding was reported and the caller returns TSR_FLOW_FAULT.
// Findings that hardware does not see (uninitialised, races) are reported and
// do not stop it.
bool tsr_access_resolve(tsr_warp *warp, const tsr_op *op, tsr_access *access);

// Lane addresses of |address| for the running split into |out|.
void tsr_address_lanes(const tsr_warp *warp, const tsr_address *address,
                       uint64_t out[TSR_LANES]);

// One range, on behalf of |lane|: bulk copies, tensor tiles, descriptors.
// Returns where it lies, or NULL after a finding. |space| SHARED: |address| is
// an offset in the shared window (as a 32-bit shared address); NONE: generic.
unsigned char *tsr_access_range(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                                tsr_ptx_space space, uint64_t address,
                                uint64_t size, tsr_access_kind kind,
                                tsr_access_proxy proxy);

// Splits a generic address. Addresses in a window give its space and the
// offset in it (SHARED: as a shared address; LOCAL: within the thread's local
// memory; PARAM: in the buffer); all others are GLOBAL and come back as they
// are.
tsr_ptx_space tsr_generic_space(uint64_t address, uint64_t *out_offset);
// The window's start: 0 for GLOBAL and CONST.
uint64_t tsr_window(tsr_ptx_space space);

// --- Counting (profile.c)
// -----------------------------------------------------

// Adds one warp instruction to |traffic|. Global: 32-byte sectors of distinct
// addresses. Shared: 32 banks of 4 bytes; accesses wider than 4 bytes are
// served in groups of lanes (8 bytes: halves, 16 bytes: quarters), equal words
// are broadcast.
void tsr_count_global(tessera_emu_traffic *traffic, const tsr_access *access);
void tsr_count_shared(tessera_emu_traffic *traffic, const tsr_access *access);
// Local memory lies interleaved on hardware, so that lanes that use the same
// offsets are coalesced: counts as if they did.
void tsr_count_local(tessera_emu_traffic *traffic, const tsr_access *access);
// Adds a load's lanes to the counters of the bytes that |config| watches.
void tsr_count_watched(const tessera_emu_config *config,
                       const tsr_access *access);
// Adds what one worker counted to the launch's sum.
void tsr_profile_merge(tessera_emu_profile *sum,
                       const tessera_emu_profile *part);
// Counts one tensor-core instruction of |name|, made at decode time.
void tsr_count_matrix(tessera_emu_profile *profile, const char *name);

#endif  // MEMORY_ACCESS_H_
