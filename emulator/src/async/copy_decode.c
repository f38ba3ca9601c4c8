// SPDX-License-Identifier: Apache-2.0
// cp.async without .bulk (PTX ISA 9.7.9.25.3): from text to operations, and
// their handlers. cp.async.bulk and cp.reduce are passed on to bulk_decode.c.
#include <string.h>

#include "async/bulk_ops.h"
#include "async/mbarrier_ops.h"

typedef struct copy_data {
  const tsr_address *target, *source;
  uint32_t size;                        // cp-size
  uint32_t read_source, ignore_source;  // index into op->src, 0 for none
} copy_data;

// --- Handlers

// Bytes each lane reads: src-size, nothing where ignore-src says so.
static void read_sizes(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                       uint32_t read[TSR_LANES]) {
  const copy_data *data = op->data;
  for (uint32_t i = 0; i < TSR_LANES; ++i) read[i] = data->size;
  if (data->read_source != 0) {
    const uint32_t *sizes = tsr_src32(warp, op->src[data->read_source]);
    memcpy(read, sizes, TSR_LANES * sizeof(*read));
  }
  if (data->ignore_source != 0) {
    uint32_t ignore = tsr_pred(warp, op->src[data->ignore_source]);
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((ignore >> i & 1u) != 0) read[i] = 0;
    }
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0 || read[i] <= data->size) continue;
    // "src-size ... larger than cp-size ... is undefined".
    tsr_find(warp, op, i, TESSERA_EMU_ILLEGAL, false, TSR_NO_ADDRESS,
             "cp.async: src-size %u is above cp-size %u", read[i], data->size);
    read[i] = data->size;
  }
}

// Checks the sources of |mask| and says where they are. Lanes that read less
// than a whole element are checked one by one, lanes that read nothing not at
// all: nobody uses their address.
static bool find_sources(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                         tsr_copy_record *record) {
  const copy_data *data = op->data;
  tsr_access access = {.space = data->source->space,
                       .kind = TSR_ACCESS_LOAD,
                       .proxy = TSR_PROXY_GENERIC,
                       .size = data->size,
                       .align = data->size,
                       .uncounted = true};
  tsr_address_lanes(warp, data->source, access.address);
  uint32_t partial = 0;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    if (record->read[i] == data->size) access.mask |= 1u << i;
    if (record->read[i] != data->size && record->read[i] > 0) {
      partial |= 1u << i;
    }
  }
  if (access.mask != 0) {
    if (!tsr_access_resolve(warp, op, &access)) return false;
    const tessera_emu_config *config = &warp->block->launch->config;
    if (config->profile != 0) {
      tsr_count_global(&warp->profile->copy, &access);
      if (config->watch_reads != NULL) tsr_count_watched(config, &access);
    }
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    record->source[i] = access.host[i];
    if ((partial >> i & 1u) == 0) continue;
    if (access.address[i] % data->size != 0) {
      tsr_find(warp, op, i, TESSERA_EMU_MISALIGNED, true, access.address[i],
               "cp.async: the source is not a multiple of %u", data->size);
      return false;
    }
    record->source[i] =
        tsr_access_range(warp, op, i, access.space, access.address[i],
                         record->read[i], TSR_ACCESS_LOAD, TSR_PROXY_GENERIC);
    if (record->source[i] == NULL) return false;
    warp->profile->copy.bytes += record->read[i];
  }
  return true;
}

static bool find_targets(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                         tsr_copy_record *record) {
  const copy_data *data = op->data;
  uint64_t address[TSR_LANES];
  tsr_address_lanes(warp, data->target, address);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    record->target[i] = 0;
    if ((mask >> i & 1u) == 0) continue;
    if (!tsr_shared_range(warp, op, i, data->target->space, address[i],
                          data->size, data->size, &record->target[i])) {
      return false;
    }
    tsr_race_copy_issue(warp->block->race, warp, op, i, record->target[i],
                        data->size, TSR_RACE_NO_SLOT, TSR_PROXY_GENERIC);
  }
  if (warp->block->launch->config.profile != 0) {
    tsr_access written = {.size = data->size, .mask = mask};
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      written.address[i] = record->target[i];
    }
    tsr_count_shared(&warp->profile->copy_shared, &written);
  }
  return true;
}

// In late time bytes stay behind until they are waited for; in random time any
// of this warp's earlier ones may move at each cp.async.
static void let_move(tsr_warp *warp, tsr_copy_record *newest) {
  tsr_block *block = warp->block;
  if (tsr_async_moves_now(block)) {
    tsr_copy_move(block, newest, TSR_ALL_LANES);
  }
  tsr_copy_queue *queue = &block->async->queues[warp->index];
  if (block->launch->config.time != TESSERA_EMU_TIME_RANDOM) return;
  uint32_t index = (uint32_t)(tsr_random(block) % queue->count);
  tsr_copy_record *any =
      &queue->records[(queue->head + index) % queue->capacity];
  if (!any->arrive) tsr_copy_move(block, any, (uint32_t)tsr_random(block));
}

static tsr_flow run_copy(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const copy_data *data = op->data;
  tsr_copy_record *record = tsr_copy_push(warp, op);
  if (record == NULL) return TSR_FLOW_FAULT;
  record->size = data->size;
  read_sizes(warp, op, mask, record->read);
  if (!find_sources(warp, op, mask, record) ||
      !find_targets(warp, op, mask, record)) {
    return TSR_FLOW_FAULT;
  }
  record->waiting = record->unmoved = mask;
  let_move(warp, record);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_commit(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)op;
  uint32_t *committed = warp->block->async->queues[warp->index].committed;
  for (uint32_t i = 0; i < TSR_LANES; ++i) committed[i] += mask >> i & 1u;
  return TSR_FLOW_NEXT;
}

static tsr_flow run_wait_group(tsr_warp *warp, const tsr_op *op,
                               uint32_t mask) {
  const uint32_t *committed = warp->block->async->queues[warp->index].committed;
  uint32_t limit[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    limit[i] = committed[i] > op->aux[0] ? committed[i] - op->aux[0] : 0;
  }
  tsr_copy_wait(warp, mask, limit);
  return TSR_FLOW_NEXT;
}

// "cp.async.wait_all is equivalent to cp.async.commit_group and
// cp.async.wait_group 0".
static tsr_flow run_wait_all(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)run_commit(warp, op, mask);
  return run_wait_group(warp, op, mask);
}

static tsr_flow run_arrive(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const tsr_address *where = op->data;
  tsr_block *block = warp->block;
  uint64_t address[TSR_LANES];
  tsr_address_lanes(warp, where, address);
  tsr_copy_record *record = tsr_copy_push(warp, op);
  if (record == NULL) return TSR_FLOW_FAULT;
  record->arrive = true;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t offset;
    record->target[i] = TSR_NO_MBARRIER;
    if ((mask >> i & 1u) == 0) continue;
    if (!tsr_shared_range(warp, op, i, where->space, address[i], 8, 8,
                          &offset)) {
      return TSR_FLOW_FAULT;
    }
    tsr_shared_mbarrier_access(warp, op, i, offset);
    tsr_mbarrier *m = tsr_mbarrier_at(warp, op, i, offset);
    if (m == NULL || !tsr_mbarrier_track(warp, op, i, m, op->aux[0] == 0)) {
      return TSR_FLOW_FAULT;
    }
    record->target[i] = (uint32_t)(m - block->async->mbarriers);
    record->waiting |= 1u << i;
  }
  tsr_copy_arrived(warp, record);
  if (!tsr_async_moves_now(block)) return TSR_FLOW_NEXT;
  uint32_t first = (uint32_t)__builtin_ctz(mask);
  (void)tsr_copy_land_on(block, record->target[first]);
  return TSR_FLOW_NEXT;
}

// --- Decoding

static bool decode_size(tsr_decoder *d, bool cg, uint32_t *out_size) {
  uint64_t size;
  if (!tsr_immediate(d, tsr_operand(d, 2), &size)) return false;
  if (size == 16 || (!cg && (size == 4 || size == 8))) {
    *out_size = (uint32_t)size;
    return true;
  }
  return tsr_decode_error_at(d, tsr_operand(d, 2),
                             "cp.async: cp-size must be %s",
                             cg ? "16 with .cg" : "4, 8 or 16");
}

// Optional operands: src-size or ignore-src, then the cache policy.
static bool decode_optional(tsr_decoder *d, bool hint, copy_data *data,
                            tsr_ref *out_third) {
  uint32_t count = tsr_operand_count(d), next = 3;
  uint32_t plain = count - (hint ? 1 : 0);
  *out_third = TSR_REF_NONE;
  if (hint && count < 4) {
    return tsr_decode_error(d, "cp.async: the cache policy is missing");
  }
  if (plain == 4) {
    const tsr_ptx_operand *operand = tsr_operand(d, next++);
    bool ignore = tsr_register_type(d, operand) == TSR_PTX_PRED;
    if (!tsr_source(d, operand, ignore ? TSR_PTX_PRED : TSR_PTX_U32,
                    out_third)) {
      return false;
    }
    if (ignore) {
      data->ignore_source = 2;
    } else {
      data->read_source = 2;
    }
  } else if (plain != 3) {
    return tsr_decode_error(d, "cp.async: too many operands");
  }
  tsr_ref policy;
  return !hint || tsr_source(d, tsr_operand(d, next), TSR_PTX_B64, &policy);
}

static bool check_spaces(tsr_decoder *d) {
  static const char *const shared[] = {"shared", "shared::cta", NULL};
  if (tsr_mod_need(d, shared, "cp.async: .shared") < 0) return false;
  return tsr_mod(d, "global") ||
         tsr_decode_error(d, "cp.async: .global expected");
}

static bool decode_copy(tsr_decoder *d) {
  static const char *const caches[] = {"ca", "cg", NULL};
  static const char *const prefetches[] = {"L2::64B", "L2::128B", "L2::256B",
                                           NULL};
  int cache = tsr_mod_need(d, caches, "cp.async: .ca or .cg");
  if (cache < 0 || !check_spaces(d)) return false;
  bool hint = tsr_mod(d, "L2::cache_hint");
  (void)tsr_mod_one_of(d, prefetches);
  copy_data *data = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*data));
  if (data == NULL) return false;
  tsr_address target, source;
  tsr_ref third;
  if (!tsr_need_operands(d, 3, 5) || !decode_size(d, cache == 1, &data->size) ||
      !tsr_address_operand(d, tsr_operand(d, 0), TSR_PTX_SPACE_SHARED,
                           &target) ||
      !tsr_address_operand(d, tsr_operand(d, 1), TSR_PTX_SPACE_GLOBAL,
                           &source) ||
      !decode_optional(d, hint, data, &third)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_copy, TESSERA_EMU_CLASS_ASYNC, 0, 3);
  if (op == NULL) return false;
  op->data = data;
  op->src[2] = third;
  data->target = tsr_emit_address(d, op, 0, &target);
  data->source = tsr_emit_address(d, op, 1, &source);
  return data->target != NULL && data->source != NULL;
}

static bool decode_arrive(tsr_decoder *d) {
  static const char *const spaces[] = {"shared", "shared::cta", NULL};
  bool noinc = tsr_mod(d, "noinc");
  int space = tsr_mod_one_of(d, spaces);
  tsr_address address;
  if (!tsr_mod(d, "b64")) {
    return tsr_decode_error(d, "cp.async.mbarrier.arrive: .b64 expected");
  }
  if (!tsr_need_operands(d, 1, 1) ||
      !tsr_address_operand(
          d, tsr_operand(d, 0),
          space >= 0 ? TSR_PTX_SPACE_SHARED : TSR_PTX_SPACE_NONE, &address)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_arrive, TESSERA_EMU_CLASS_ASYNC, 0, 1);
  if (op == NULL) return false;
  op->aux[0] = noinc ? 1 : 0;
  return tsr_emit_address(d, op, 0, &address) != NULL;
}

static bool decode_plain(tsr_decoder *d, tsr_handler handler) {
  return tsr_need_operands(d, 0, 0) &&
         tsr_emit(d, handler, TESSERA_EMU_CLASS_ASYNC, 0, 0) != NULL;
}

static bool decode_wait_group(tsr_decoder *d) {
  uint64_t groups;
  if (!tsr_need_operands(d, 1, 1) ||
      !tsr_immediate(d, tsr_operand(d, 0), &groups)) {
    return false;
  }
  if (groups > UINT32_MAX) {
    return tsr_decode_error_at(d, tsr_operand(d, 0),
                               "cp.async.wait_group: too many groups");
  }
  tsr_op *op = tsr_emit(d, run_wait_group, TESSERA_EMU_CLASS_ASYNC, 0, 0);
  if (op == NULL) return false;
  op->aux[0] = (uint32_t)groups;
  return true;
}

static bool decode_cp(tsr_decoder *d) {
  bool reduce = tsr_mod(d, "reduce");
  if (!tsr_mod(d, "async")) {
    return tsr_decode_error(d, "cp: .async expected");
  }
  if (tsr_mod(d, "bulk")) return tsr_decode_bulk(d, reduce);
  if (reduce) return tsr_decode_error(d, "cp.reduce.async: .bulk expected");
  if (!tsr_decode_require(d, 70, 80, 0)) return false;
  if (tsr_mod(d, "commit_group")) return decode_plain(d, run_commit);
  if (tsr_mod(d, "wait_all")) return decode_plain(d, run_wait_all);
  if (tsr_mod(d, "wait_group")) return decode_wait_group(d);
  if (tsr_mod(d, "mbarrier")) {
    if (tsr_mod(d, "arrive")) return decode_arrive(d);
    return tsr_decode_error(d, "cp.async.mbarrier: .arrive expected");
  }
  return decode_copy(d);
}

const tsr_opcode tsr_opcodes_copy[] = {{"cp", decode_cp}, {0}};
