// SPDX-License-Identifier: Apache-2.0
// Handlers of bulk operations: every address is checked at issue, so that a
// mistake is found at its line; then the operation goes to bulk.c.
#include "async/bulk_run.h"

#include <string.h>

// Sizes and addresses are multiples of this (9.7.9.25.4.1); the box of a tensor
// in shared memory lies at a multiple of 128 (5.5.6, table of alignments).
enum { UNIT = 16, BOX_ALIGN = 128, MAP_ALIGN = 64, SECTOR = 32 };

static void count(tessera_emu_traffic *traffic, uint64_t address,
                  uint64_t size) {
  if (size == 0) return;
  traffic->bytes += size;
  traffic->transactions += (address + size - 1) / SECTOR - address / SECTOR + 1;
  traffic->ideal += (size + SECTOR - 1) / SECTOR;
}

static tessera_emu_traffic *traffic_of(tsr_warp *warp, tsr_bulk_kind kind) {
  return kind == TSR_BULK_LOAD ? &warp->profile->bulk_load
                               : &warp->profile->bulk_store;
}

static tsr_access_kind access_of(const tsr_bulk *bulk) {
  if (bulk->kind == TSR_BULK_LOAD) return TSR_ACCESS_LOAD;
  return bulk->reduction == TSR_REDUCE_NONE ? TSR_ACCESS_STORE
                                            : TSR_ACCESS_ATOMIC;
}

// The parts that all operations have.
static bool begin(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                  tsr_bulk *bulk) {
  const tsr_bulk_data *data = op->data;
  memset(bulk, 0, sizeof(*bulk));
  bulk->kind = data->kind;
  bulk->warp = warp;
  bulk->op = op;
  bulk->lane = lane;
  bulk->reduction = data->reduction;
  bulk->type = data->type;
  bulk->mbarrier = TSR_NO_MBARRIER;
  if (!data->multicast) return true;
  uint32_t ctas = tsr_src32(warp, op->src[TSR_BULK_SRC_CTAS])[lane];
  if (ctas == 1) return true;
  tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
           "multicast to blocks 0x%x of a cluster of one", ctas);
  return false;
}

static uint64_t lane_address(const tsr_warp *warp, const tsr_address *address,
                             uint32_t lane) {
  uint64_t lanes[TSR_LANES];
  tsr_address_lanes(warp, address, lanes);
  return lanes[lane];
}

static bool find_mbarrier(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                          tsr_bulk *bulk) {
  const tsr_bulk_data *data = op->data;
  uint32_t offset;
  if (data->mbarrier == NULL) return true;
  if (!tsr_shared_range(warp, op, lane, data->mbarrier->space,
                        lane_address(warp, data->mbarrier, lane), 8, 8,
                        &offset)) {
    return false;
  }
  tsr_shared_mbarrier_access(warp, op, lane, offset);
  const tsr_mbarrier *m = tsr_mbarrier_at(warp, op, lane, offset);
  if (m == NULL) return false;
  bulk->mbarrier = (uint32_t)(m - warp->block->async->mbarriers);
  return true;
}

static bool find_shared(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                        uint32_t align, tsr_bulk *bulk) {
  const tsr_bulk_data *data = op->data;
  return tsr_shared_range(warp, op, lane, data->shared->space,
                          lane_address(warp, data->shared, lane), bulk->size,
                          align, &bulk->shared);
}

static bool check_unit(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                       uint64_t address, uint32_t size) {
  if (address % UNIT != 0) {
    tsr_find(warp, op, lane, TESSERA_EMU_MISALIGNED, true, address,
             "a bulk copy's global address is not a multiple of %u",
             (unsigned)UNIT);
    return false;
  }
  if (size % UNIT == 0) return true;
  tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
           "a bulk copy of %u bytes: not a multiple of %u", size,
           (unsigned)UNIT);
  return false;
}

static bool find_other(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                       tsr_bulk *bulk) {
  const tsr_bulk_data *data = op->data;
  uint64_t address = lane_address(warp, data->other, lane);
  if (bulk->kind == TSR_BULK_SHARED) {
    return tsr_shared_range(warp, op, lane, data->other->space, address,
                            bulk->size, UNIT, &bulk->source);
  }
  bulk->global = tsr_access_range(warp, op, lane, TSR_PTX_SPACE_GLOBAL, address,
                                  bulk->size, access_of(bulk), TSR_PROXY_ASYNC);
  if (bulk->global == NULL) return false;
  count(traffic_of(warp, bulk->kind), address, bulk->size);
  return true;
}

static bool post_linear(tsr_warp *warp, const tsr_op *op, uint32_t lane) {
  const tsr_bulk_data *data = op->data;
  tsr_bulk bulk;
  if (!begin(warp, op, lane, &bulk)) return false;
  bulk.size = tsr_src32(warp, op->src[TSR_BULK_SRC_SIZE])[lane];
  uint64_t other = lane_address(warp, data->other, lane);
  if (!check_unit(warp, op, lane, data->kind == TSR_BULK_SHARED ? 0 : other,
                  bulk.size) ||
      !find_shared(warp, op, lane, UNIT, &bulk) ||
      !find_other(warp, op, lane, &bulk) ||
      !find_mbarrier(warp, op, lane, &bulk)) {
    return false;
  }
  return tsr_bulk_post(&bulk);
}

typedef bool (*lane_action)(tsr_warp *warp, const tsr_op *op, uint32_t lane);

static tsr_flow each_lane(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                          lane_action act) {
  for (; mask != 0; mask &= mask - 1) {
    if (!act(warp, op, (uint32_t)__builtin_ctz(mask))) return TSR_FLOW_FAULT;
  }
  return TSR_FLOW_NEXT;
}

static void count_instruction(tsr_warp *warp, tsr_bulk_kind kind) {
  if (kind == TSR_BULK_SHARED) return;
  traffic_of(warp, kind)->instructions += 1;
  traffic_of(warp, kind)->width[4] += 1;
}

tsr_flow tsr_run_bulk(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const tsr_bulk_data *data = op->data;
  count_instruction(warp, data->kind);
  return each_lane(warp, op, mask, post_linear);
}

// --- Tensors

static bool find_map(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                     tsr_bulk *bulk) {
  const tsr_bulk_data *data = op->data;
  uint64_t address = lane_address(warp, data->map, lane);
  if (address % MAP_ALIGN != 0) {
    tsr_find(warp, op, lane, TESSERA_EMU_MISALIGNED, true, address,
             "the tensor map is not aligned to %u bytes", (unsigned)MAP_ALIGN);
    return false;
  }
  const unsigned char *bytes =
      tsr_access_range(warp, op, lane, data->map->space, address,
                       TSR_TENSOR_MAP_SIZE, TSR_ACCESS_LOAD, TSR_PROXY_NONE);
  if (bytes == NULL) return false;
  const char *why = tsr_tensor_map_decode(bytes, &bulk->map);
  if (why == NULL && bulk->map.rank == data->dims) return true;
  if (why != NULL) {
    tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, address,
             "what lies here is %s", why);
  } else {
    tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, address,
             "a tensor map of rank %u in a .%ud instruction", bulk->map.rank,
             data->dims);
  }
  return false;
}

static tsr_ptx_type element_type(const tsr_tensor_map *map,
                                 tsr_reduction reduction) {
  static const tsr_ptx_type types[] = {
      TSR_PTX_U8,  TSR_PTX_U16, TSR_PTX_U32, TSR_PTX_S32, TSR_PTX_U64,
      TSR_PTX_S64, TSR_PTX_F16, TSR_PTX_F32, TSR_PTX_F64, TSR_PTX_BF16};
  tsr_ptx_type type = types[map->type];
  bool bitwise = reduction >= TSR_REDUCE_AND;
  bool integer = tsr_ptx_type_class(type) != TSR_PTX_KIND_FLOAT;
  if (bitwise && integer && map->element_size == 4) return TSR_PTX_B32;
  if (bitwise && integer && map->element_size == 8) return TSR_PTX_B64;
  return type;
}

static bool check_reduction(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                            tsr_bulk *bulk) {
  if (bulk->reduction == TSR_REDUCE_NONE) return true;
  bulk->type = element_type(&bulk->map, bulk->reduction);
  if (tsr_reduce_allowed(bulk->reduction, bulk->type, false)) return true;
  tsr_find(warp, op, lane, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
           "this reduction is not for the tensor's elements (.%s)",
           tsr_ptx_type_name(bulk->type));
  return false;
}

// The bytes of the box that lie inside the tensor must be memory.
static bool check_box(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                      const tsr_bulk *bulk) {
  tessera_emu_traffic *traffic = traffic_of(warp, bulk->kind);
  for (uint32_t row = 0; row < bulk->map.rows; ++row) {
    tsr_tensor_run run = tsr_tensor_row(&bulk->map, bulk->at, row);
    if (run.size == 0) continue;
    if (tsr_access_range(warp, op, lane, TSR_PTX_SPACE_GLOBAL, run.address,
                         run.size, access_of(bulk), TSR_PROXY_ASYNC) == NULL) {
      return false;
    }
    count(traffic, run.address, run.size);
  }
  return true;
}

static bool find_box(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                     tsr_bulk *bulk) {
  const tsr_bulk_data *data = op->data;
  if (!find_map(warp, op, lane, bulk)) return false;
  for (uint32_t i = 0; i < data->dims; ++i) {
    uint32_t at = tsr_src32(warp, op->src[TSR_BULK_SRC_COORDINATES + i])[lane];
    memcpy(&bulk->at[i], &at, sizeof(at));
  }
  bulk->tensor = true;
  // At most 256^5 bytes and more: checked against shared memory in 64 bits.
  uint64_t size = (uint64_t)bulk->map.row_size * bulk->map.rows;
  if (size > warp->block->shared_size) {
    tsr_find(warp, op, lane, TESSERA_EMU_OUT_OF_BOUNDS, true, TSR_NO_ADDRESS,
             "the tensor's box of %llu bytes is larger than the block's shared "
             "memory",
             (unsigned long long)size);
    return false;
  }
  bulk->size = (uint32_t)size;
  return true;
}

static bool post_tensor(tsr_warp *warp, const tsr_op *op, uint32_t lane) {
  tsr_bulk bulk;
  return begin(warp, op, lane, &bulk) && find_box(warp, op, lane, &bulk) &&
         check_reduction(warp, op, lane, &bulk) &&
         find_shared(warp, op, lane, BOX_ALIGN, &bulk) &&
         check_box(warp, op, lane, &bulk) &&
         find_mbarrier(warp, op, lane, &bulk) && tsr_bulk_post(&bulk);
}

tsr_flow tsr_run_tensor(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const tsr_bulk_data *data = op->data;
  count_instruction(warp, data->kind);
  return each_lane(warp, op, mask, post_tensor);
}

// --- Prefetches

// A prefetch brings nothing into sight, so what it names need not be written;
// it must be memory.
static bool check_prefetch(tsr_warp *warp, const tsr_op *op, uint32_t lane) {
  const tsr_bulk_data *data = op->data;
  uint64_t address = lane_address(warp, data->other, lane);
  uint32_t size = tsr_src32(warp, op->src[TSR_BULK_SRC_SIZE])[lane];
  if (!check_unit(warp, op, lane, address, size)) return false;
  return tsr_access_range(warp, op, lane, TSR_PTX_SPACE_GLOBAL, address, size,
                          TSR_ACCESS_LOAD, TSR_PROXY_NONE) != NULL;
}

static bool check_prefetch_tensor(tsr_warp *warp, const tsr_op *op,
                                  uint32_t lane) {
  tsr_bulk bulk;
  return begin(warp, op, lane, &bulk) && find_map(warp, op, lane, &bulk);
}

tsr_flow tsr_run_prefetch(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  return each_lane(warp, op, mask, check_prefetch);
}

tsr_flow tsr_run_prefetch_tensor(tsr_warp *warp, const tsr_op *op,
                                 uint32_t mask) {
  return each_lane(warp, op, mask, check_prefetch_tensor);
}

// --- Groups

tsr_flow tsr_run_bulk_commit(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)op;
  tsr_bulk_commit(warp, mask);
  return TSR_FLOW_NEXT;
}

tsr_flow tsr_run_bulk_wait(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    tsr_bulk_wait(warp, (uint32_t)__builtin_ctz(mask), op->aux[0],
                  op->aux[1] != 0);
  }
  return TSR_FLOW_NEXT;
}
