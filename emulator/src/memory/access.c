// SPDX-License-Identifier: Apache-2.0
// Where an access goes and whether it may. The common case, a warp whose lanes
// all fall into one allocation, costs one pass over the addresses (lowest,
// highest, alignment) and one look-up; only when that pass finds something odd
// are lanes looked at one by one, so that the first bad lane is named.
#include "memory/access.h"

#include <inttypes.h>
#include <stdio.h>

#include "check/race.h"
#include "check/race_global.h"
#include "check/report.h"
#include "memory/bits.h"
#include "memory/heap.h"

// What the lanes of a warp access have in common.
typedef struct access_extent {
  uint64_t low, high;   // lowest and highest address
  uint64_t misaligned;  // bits below the alignment that are set in any lane
  // The lanes' bytes lie side by side in lane order, without a gap: the range
  // from |low| on is theirs alone.
  bool dense;
} access_extent;

// --- Spaces -----------------------------------------------------------------

tsr_ptx_space tsr_generic_space(uint64_t address, uint64_t *out_offset) {
  uint64_t window = address & ~(TSR_WINDOW_SIZE - 1);
  *out_offset = address & (TSR_WINDOW_SIZE - 1);
  if (window == TSR_SHARED_WINDOW) return TSR_PTX_SPACE_SHARED;
  if (window == TSR_LOCAL_WINDOW) return TSR_PTX_SPACE_LOCAL;
  if (window == TSR_PARAM_WINDOW) return TSR_PTX_SPACE_PARAM;
  *out_offset = address;
  return TSR_PTX_SPACE_GLOBAL;
}

uint64_t tsr_window(tsr_ptx_space space) {
  switch (space) {
    case TSR_PTX_SPACE_SHARED:
      return TSR_SHARED_WINDOW;
    case TSR_PTX_SPACE_LOCAL:
      return TSR_LOCAL_WINDOW;
    case TSR_PTX_SPACE_PARAM:
      return TSR_PARAM_WINDOW;
    default:
      return 0;
  }
}

TSR_CLONES void tsr_address_lanes(const tsr_warp *warp,
                                  const tsr_address *address,
                                  uint64_t out[TSR_LANES]) {
  uint64_t offset = (uint64_t)address->offset;
  uint64_t frame = address->frame ? warp->local : 0;
  if (address->wide) {
    const uint64_t *base = tsr_src64(warp, address->base);
    for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = base[i] + offset + frame;
    return;
  }
  const uint32_t *base = tsr_src32(warp, address->base);
  uint32_t cut = (uint32_t)offset + (uint32_t)frame;
  for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = (uint32_t)(base[i] + cut);
}

// --- Messages ---------------------------------------------------------------

static const char *kind_name(tsr_access_kind kind) {
  return kind == TSR_ACCESS_LOAD    ? "load"
         : kind == TSR_ACCESS_STORE ? "store"
                                    : "atomic operation";
}

static const char *space_name(tsr_ptx_space space) {
  switch (space) {
    case TSR_PTX_SPACE_SHARED:
      return "shared";
    case TSR_PTX_SPACE_LOCAL:
      return "local";
    case TSR_PTX_SPACE_PARAM:
      return "parameter";
    case TSR_PTX_SPACE_CONST:
      return "constant";
    default:
      return "global";
  }
}

// One access to judge: a lane's, or a range.
typedef struct access_item {
  tsr_warp *warp;
  const tsr_op *op;
  uint32_t lane;
  tsr_ptx_space space;  // not NONE
  tsr_access_kind kind;
  uint64_t address, size;
} access_item;

static void find_bounds(const access_item *a, uint64_t limit) {
  tsr_find(a->warp, a->op, a->lane, TESSERA_EMU_OUT_OF_BOUNDS, true, a->address,
           "%s of %" PRIu64 " bytes outside of %s memory, which has %" PRIu64
           " bytes from %" PRIu64 " on",
           kind_name(a->kind), a->size, space_name(a->space), limit,
           a->space == TSR_PTX_SPACE_SHARED ? (uint64_t)TSR_SHARED_BASE : 0);
}

static void find_heap_bounds(const access_item *a, const tsr_allocation *in) {
  char text[200];
  if (in != NULL) {
    (void)snprintf(text, sizeof(text),
                   "%" PRIu64
                   " bytes beyond the end of the allocation of "
                   "%" PRIu64 " bytes at 0x%" PRIx64,
                   a->address + a->size - (in->address + in->size), in->size,
                   in->address);
  } else {
    tsr_heap_describe(a->warp->block->launch->heap, a->address, text,
                      sizeof(text));
  }
  tsr_find(a->warp, a->op, a->lane, TESSERA_EMU_OUT_OF_BOUNDS, true, a->address,
           "%s of %" PRIu64 " bytes in %s memory: %s", kind_name(a->kind),
           a->size, space_name(a->space), text);
}

static void find_read_only(const access_item *a) {
  tsr_find(a->warp, a->op, a->lane, TESSERA_EMU_READ_ONLY, true, a->address,
           "%s of %" PRIu64 " bytes to %s memory, which kernels only read",
           kind_name(a->kind), a->size,
           a->space == TSR_PTX_SPACE_PARAM ? "parameter" : "constant");
}

static void find_unwritten(const access_item *a, uint64_t at) {
  char text[200] = "";
  if (a->space != TSR_PTX_SPACE_SHARED) {
    (void)snprintf(text, sizeof(text), ", ");
    tsr_heap_describe(a->warp->block->launch->heap, a->address, text + 2,
                      sizeof(text) - 2);
  }
  tsr_find(a->warp, a->op, a->lane, TESSERA_EMU_UNINITIALISED, false,
           a->address,
           "%s of %" PRIu64 " bytes of %s memory; byte %" PRIu64
           " was never written%s",
           kind_name(a->kind), a->size, space_name(a->space), at, text);
}

// --- One range --------------------------------------------------------------

static bool checks_init(const tsr_warp *warp) {
  return (warp->block->launch->config.checks & TESSERA_EMU_CHECK_INIT) != 0;
}

// Checks and marks |size| bytes from |first| on in |bits|.
static void visit_bits(const access_item *a, unsigned char *bits,
                       uint64_t first) {
  if (bits == NULL) return;
  if (a->kind != TSR_ACCESS_STORE && checks_init(a->warp) &&
      !tsr_bits_all(bits, first, a->size)) {
    find_unwritten(a, tsr_bits_first_clear(bits, first, a->size));
  }
  if (a->kind != TSR_ACCESS_LOAD) tsr_bits_set(bits, first, a->size);
}

static unsigned char *heap_range(const access_item *a) {
  tsr_allocation in;
  if (!tsr_heap_find(a->warp->block->launch->heap, a->address, &in)) {
    find_heap_bounds(a, NULL);
    return NULL;
  }
  if (a->size > in.size - (a->address - in.address)) {
    find_heap_bounds(a, &in);
    return NULL;
  }
  if (a->space == TSR_PTX_SPACE_CONST && in.use != TSR_HEAP_CONSTANT) {
    char text[200];
    tsr_heap_describe(a->warp->block->launch->heap, a->address, text,
                      sizeof(text));
    tsr_find(a->warp, a->op, a->lane, TESSERA_EMU_OUT_OF_BOUNDS, true,
             a->address,
             "%s of %" PRIu64 " bytes outside of constant memory: %s",
             kind_name(a->kind), a->size, text);
    return NULL;
  }
  if (in.use == TSR_HEAP_CONSTANT && a->kind != TSR_ACCESS_LOAD) {
    find_read_only(a);
    return NULL;
  }
  visit_bits(a, in.written, a->address - in.address);
  return (unsigned char *)(uintptr_t)a->address;
}

static unsigned char *shared_range(const access_item *a) {
  const tsr_block *block = a->warp->block;
  uint64_t first = a->address - TSR_SHARED_BASE;
  if (a->address < TSR_SHARED_BASE || first > block->shared_size ||
      a->size > block->shared_size - first) {
    find_bounds(a, block->shared_size);
    return NULL;
  }
  visit_bits(a, block->shared_written, first);
  return block->shared + first;
}

static unsigned char *local_range(const access_item *a) {
  const tsr_block *block = a->warp->block;
  if (a->address > block->local_stride ||
      a->size > block->local_stride - a->address) {
    find_bounds(a, block->local_stride);
    return NULL;
  }
  uint64_t thread = (uint64_t)a->warp->index * TSR_LANES + a->lane;
  return block->local + thread * block->local_stride + a->address;
}

static unsigned char *param_range(const access_item *a) {
  const tsr_launch *launch = a->warp->block->launch;
  if (a->kind != TSR_ACCESS_LOAD) {
    find_read_only(a);
    return NULL;
  }
  if (a->address > launch->params_size ||
      a->size > launch->params_size - a->address) {
    find_bounds(a, launch->params_size);
    return NULL;
  }
  // Nobody writes through it: stores were refused above.
  return (unsigned char *)(uintptr_t)launch->params + a->address;
}

// |a->space| is not generic.
static unsigned char *item_range(const access_item *a) {
  switch (a->space) {
    case TSR_PTX_SPACE_SHARED:
      return shared_range(a);
    case TSR_PTX_SPACE_LOCAL:
      return local_range(a);
    case TSR_PTX_SPACE_PARAM:
      return param_range(a);
    default:
      return heap_range(a);
  }
}

unsigned char *tsr_access_range(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                                tsr_ptx_space space, uint64_t address,
                                uint64_t size, tsr_access_kind kind,
                                tsr_access_proxy proxy) {
  access_item item = {warp, op, lane, space, kind, address, size};
  if (space == TSR_PTX_SPACE_NONE) {
    item.space = tsr_generic_space(address, &item.address);
  }
  if (size == 0) item.size = 1;  // the address itself must be valid
  unsigned char *host = item_range(&item);
  if (host != NULL && item.space == TSR_PTX_SPACE_SHARED &&
      proxy != TSR_PROXY_NONE && warp->block->race != NULL && size != 0) {
    tsr_race_range(warp->block->race, warp, op, lane, (uint32_t)item.address,
                   (uint32_t)size, kind, proxy);
  }
  if (host != NULL && item.space == TSR_PTX_SPACE_GLOBAL &&
      proxy != TSR_PROXY_NONE && size != 0) {
    tsr_race_global_range(warp->block->race, warp, op, lane, item.address, size,
                          kind);
  }
  return host;
}

// --- A warp's lanes ---------------------------------------------------------

// Lanes that take no part count as the first one that does.
TSR_CLONES static access_extent measure(const tsr_access *access) {
  uint64_t lanes[TSR_LANES];
  uint64_t first = access->address[__builtin_ctz(access->mask)];
  uint64_t low = first;
  uint64_t high = first;
  uint64_t bits = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    lanes[i] = (access->mask >> i & 1u) != 0 ? access->address[i] : first;
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    low = lanes[i] < low ? lanes[i] : low;
    high = lanes[i] > high ? lanes[i] : high;
    bits |= lanes[i];
  }
  uint64_t gaps = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    gaps |=
        access->address[i] ^ (access->address[0] + (uint64_t)access->size * i);
  }
  return (access_extent){
      .low = low,
      .high = high,
      .misaligned = bits & (access->align - 1),
      .dense = gaps == 0 && access->mask == TSR_ALL_LANES,
  };
}

static bool find_misaligned(tsr_warp *warp, const tsr_op *op,
                            const tsr_access *access) {
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0 ||
        (access->address[i] & (access->align - 1)) == 0) {
      continue;
    }
    tsr_find(warp, op, i, TESSERA_EMU_MISALIGNED, true, access->address[i],
             "%s of %" PRIu32
             " bytes in %s memory at an address that is not a "
             "multiple of %" PRIu32,
             kind_name(access->kind), access->size, space_name(access->space),
             access->align);
    break;
  }
  return false;
}

// Lane by lane: for what the fast ways below do not cover.
static bool resolve_slowly(tsr_warp *warp, const tsr_op *op,
                           tsr_access *access) {
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    access_item item = {warp,          op,           i,
                        access->space, access->kind, access->address[i],
                        access->size};
    access->host[i] = item_range(&item);
    if (access->host[i] == NULL) return false;
  }
  return true;
}

// Checks and marks the lanes' bytes, which are known to be in bounds. |start|
// is bit 0's address. All at once where what lies between them is theirs, or
// does not matter because it is all written.
static void visit_lanes(tsr_warp *warp, const tsr_op *op,
                        const tsr_access *access, const access_extent *extent,
                        unsigned char *bits, uint64_t start) {
  if (bits == NULL) return;
  bool loads = access->kind != TSR_ACCESS_STORE && checks_init(warp);
  bool stores = access->kind != TSR_ACCESS_LOAD;
  if (!loads && !stores) return;
  uint64_t first = extent->low - start;
  uint64_t count = extent->high - extent->low + access->size;
  if (extent->dense && !loads) {
    tsr_bits_set(bits, first, count);
    return;
  }
  bool small = count <= UINT64_C(64) * TSR_LANES;
  if (small && tsr_bits_all(bits, first, count)) return;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    uint64_t at = access->address[i] - start;
    if (loads && !tsr_bits_all(bits, at, access->size)) {
      access_item item = {warp,          op,           i,
                          access->space, access->kind, access->address[i],
                          access->size};
      find_unwritten(&item, tsr_bits_first_clear(bits, at, access->size));
      loads = false;  // one lane is named
    }
    if (stores) tsr_bits_set(bits, at, access->size);
  }
}

// As integers: lanes that take no part may hold anything.
static void set_hosts(tsr_access *access, unsigned char *at, uint64_t start) {
  uint64_t from = (uint64_t)(uintptr_t)at - start;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    access->host[i] = (unsigned char *)(uintptr_t)(from + access->address[i]);
  }
}

static bool resolve_heap(tsr_warp *warp, const tsr_op *op, tsr_access *access,
                         const access_extent *extent) {
  tsr_allocation in;
  if (!tsr_heap_find(warp->block->launch->heap, extent->low, &in) ||
      extent->high - in.address > in.size - access->size ||
      in.size < access->size ||
      (in.use == TSR_HEAP_CONSTANT && access->kind != TSR_ACCESS_LOAD) ||
      (access->space == TSR_PTX_SPACE_CONST && in.use != TSR_HEAP_CONSTANT)) {
    return resolve_slowly(warp, op, access);
  }
  visit_lanes(warp, op, access, extent, in.written, in.address);
  memcpy(access->host, access->address, sizeof(access->host));
  return true;
}

static bool resolve_shared(tsr_warp *warp, const tsr_op *op, tsr_access *access,
                           const access_extent *extent) {
  const tsr_block *block = warp->block;
  if (extent->low < TSR_SHARED_BASE || block->shared_size < access->size ||
      extent->high - TSR_SHARED_BASE > block->shared_size - access->size) {
    return resolve_slowly(warp, op, access);
  }
  visit_lanes(warp, op, access, extent, block->shared_written, TSR_SHARED_BASE);
  set_hosts(access, block->shared, TSR_SHARED_BASE);
  return true;
}

static bool resolve_local(tsr_warp *warp, const tsr_op *op, tsr_access *access,
                          const access_extent *extent) {
  const tsr_block *block = warp->block;
  if (block->local_stride < access->size ||
      extent->high > block->local_stride - access->size) {
    return resolve_slowly(warp, op, access);
  }
  uint64_t at = (uint64_t)(uintptr_t)block->local +
                (uint64_t)warp->index * TSR_LANES * block->local_stride;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    access->host[i] = (unsigned char *)(uintptr_t)(at + access->address[i]);
    at += block->local_stride;
  }
  return true;
}

static bool resolve_param(tsr_warp *warp, const tsr_op *op, tsr_access *access,
                          const access_extent *extent) {
  const tsr_launch *launch = warp->block->launch;
  if (access->kind != TSR_ACCESS_LOAD || launch->params_size < access->size ||
      extent->high > launch->params_size - access->size) {
    return resolve_slowly(warp, op, access);
  }
  set_hosts(access, (unsigned char *)(uintptr_t)launch->params, 0);
  return true;
}

static tessera_emu_traffic *traffic_of(tessera_emu_profile *profile,
                                       const tsr_access *access) {
  bool load = access->kind == TSR_ACCESS_LOAD;
  bool store = access->kind == TSR_ACCESS_STORE;
  switch (access->space) {
    case TSR_PTX_SPACE_GLOBAL:
      return load    ? &profile->global_load
             : store ? &profile->global_store
                     : &profile->global_atomic;
    case TSR_PTX_SPACE_SHARED:
      return load    ? &profile->shared_load
             : store ? &profile->shared_store
                     : &profile->shared_atomic;
    case TSR_PTX_SPACE_LOCAL:
      return load ? &profile->local_load : &profile->local_store;
    default:
      return NULL;
  }
}

static void count(const tsr_warp *warp, const tsr_access *access) {
  if (access->uncounted || warp->block->launch->config.profile == 0) return;
  tessera_emu_traffic *traffic = traffic_of(warp->profile, access);
  if (traffic == NULL) return;
  if (access->space == TSR_PTX_SPACE_GLOBAL) {
    const tessera_emu_config *config = &warp->block->launch->config;
    tsr_count_global(traffic, access);
    if (config->watch_reads != NULL && access->kind == TSR_ACCESS_LOAD) {
      tsr_count_watched(config, access);
    }
  } else if (access->space == TSR_PTX_SPACE_SHARED) {
    tsr_count_shared(traffic, access);
  } else {
    tsr_count_local(traffic, access);
  }
}

// All lanes are in one space, which is not generic.
static bool resolve_space(tsr_warp *warp, const tsr_op *op,
                          tsr_access *access) {
  access_extent extent = measure(access);
  if (extent.misaligned != 0) return find_misaligned(warp, op, access);
  access->shape = extent.dense                ? TSR_SHAPE_DENSE
                  : extent.low == extent.high ? TSR_SHAPE_UNIFORM
                                              : TSR_SHAPE_ANY;
  bool fine = false;
  switch (access->space) {
    case TSR_PTX_SPACE_SHARED:
      fine = resolve_shared(warp, op, access, &extent);
      if (fine && warp->block->race != NULL &&
          access->proxy != TSR_PROXY_NONE) {
        tsr_race_access(warp->block->race, warp, op, access);
      }
      break;
    case TSR_PTX_SPACE_LOCAL:
      access->shape = TSR_SHAPE_ANY;  // each lane has memory of its own
      fine = resolve_local(warp, op, access, &extent);
      break;
    case TSR_PTX_SPACE_PARAM:
      fine = resolve_param(warp, op, access, &extent);
      break;
    default:
      fine = resolve_heap(warp, op, access, &extent);
      if (fine && warp->block->race != NULL &&
          access->space == TSR_PTX_SPACE_GLOBAL) {
        tsr_race_global_access(warp->block->race, warp, op, access, extent.low,
                               extent.high);
      }
      break;
  }
  if (fine) count(warp, access);
  return fine;
}

// Lanes of a generic access whose addresses lie below this may be in a window.
#define WINDOWS_END (TSR_PARAM_WINDOW + TSR_WINDOW_SIZE)

static bool any_in_window(const tsr_access *access) {
  uint32_t below = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    below |= (uint32_t)(access->address[i] < WINDOWS_END) << i;
  }
  return (below & access->mask) != 0;
}

// Each space that the lanes point to in turn.
static bool resolve_generic(tsr_warp *warp, const tsr_op *op,
                            tsr_access *access) {
  uint32_t left = access->mask;
  while (left != 0) {
    uint64_t offset = 0;
    tsr_access part = *access;
    part.mask = 0;
    part.space =
        tsr_generic_space(access->address[__builtin_ctz(left)], &offset);
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((left >> i & 1u) == 0) continue;
      if (tsr_generic_space(access->address[i], &offset) != part.space) {
        continue;
      }
      part.mask |= 1u << i;
      part.address[i] = offset;
    }
    if (!resolve_space(warp, op, &part)) return false;
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((part.mask >> i & 1u) != 0) access->host[i] = part.host[i];
    }
    access->shape = part.mask == access->mask ? part.shape : TSR_SHAPE_ANY;
    left &= ~part.mask;
  }
  return true;
}

bool tsr_access_resolve(tsr_warp *warp, const tsr_op *op, tsr_access *access) {
  if (access->space != TSR_PTX_SPACE_NONE) {
    return resolve_space(warp, op, access);
  }
  if (any_in_window(access)) return resolve_generic(warp, op, access);
  access->space = TSR_PTX_SPACE_GLOBAL;
  bool fine = resolve_space(warp, op, access);
  access->space = TSR_PTX_SPACE_NONE;
  return fine;
}
