// SPDX-License-Identifier: Apache-2.0
// membar and fence (PTX ISA 9.0, 9.7.13.4). Memory is sequentially consistent
// here, so a fence orders what is ordered already; all are told to the race
// detector, which looks for missing ones.
#include "check/race.h"
#include "memory/access.h"
#include "ops/memory_modifiers.h"

// Of a kind that orders nothing that is checked here.
static tsr_flow run_other_fence(tsr_warp *warp, const tsr_op *op,
                                uint32_t mask) {
  (void)warp, (void)op, (void)mask;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return TSR_FLOW_NEXT;
}

// aux[0]: TSR_ORDER_*.
static tsr_flow run_fence(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_race_fence(warp->block->race, warp, op->aux[0]);
  return run_other_fence(warp, op, mask);
}

static tsr_flow run_proxy_fence(tsr_warp *warp, const tsr_op *op,
                                uint32_t mask) {
  (void)op;
  tsr_race_proxy_fence(warp->block->race, warp, mask);
  return TSR_FLOW_NEXT;
}

// fence.proxy.tensormap::generic.acquire [addr], 128: the map must be there.
static tsr_flow run_map_fence(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t lanes[TSR_LANES];
  const tsr_address *address = op->data;
  tsr_address_lanes(warp, address, lanes);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    if (tsr_access_range(warp, op, i, address->space, lanes[i], 128,
                         TSR_ACCESS_LOAD, TSR_PROXY_NONE) == NULL) {
      return TSR_FLOW_FAULT;
    }
  }
  return TSR_FLOW_NEXT;
}

static bool emit(tsr_decoder *d, tsr_handler handler) {
  return tsr_need_operands(d, 0, 0) &&
         tsr_emit(d, handler, TESSERA_EMU_CLASS_BARRIER, 0, 0) != NULL;
}

static bool emit_fence(tsr_decoder *d, uint32_t order) {
  if (!tsr_need_operands(d, 0, 0)) return false;
  tsr_op *op = tsr_emit(d, run_fence, TESSERA_EMU_CLASS_BARRIER, 0, 0);
  if (op != NULL) op->aux[0] = order;
  return op != NULL;
}

static bool decode_map_fence(tsr_decoder *d) {
  static const char *const semantics[] = {"release", "acquire", NULL};
  int found = tsr_mod_need(d, semantics, "'.release' or '.acquire'");
  uint32_t order = 0;
  if (found < 0 || !tsr_take_scope(d, &order) ||
      !tsr_decode_require(d, 83, 90, 0)) {
    return false;
  }
  if (found == 0) return emit(d, run_other_fence);
  tsr_address address;
  uint64_t size = 0;
  if (!tsr_need_operands(d, 2, 2) ||
      !tsr_address_operand(d, tsr_operand(d, 0), TSR_PTX_SPACE_NONE,
                           &address) ||
      !tsr_immediate(d, tsr_operand(d, 1), &size)) {
    return false;
  }
  if (size != 128) {
    return tsr_decode_error_at(d, tsr_operand(d, 1),
                               "a tensor map is 128 "
                               "bytes");
  }
  tsr_op *op = tsr_emit(d, run_map_fence, TESSERA_EMU_CLASS_BARRIER, 0, 1);
  return op != NULL && tsr_emit_address(d, op, 0, &address) != NULL;
}

// .acquire or .release with .sync_restrict, which narrows it (to clusters).
static bool decode_restricted(tsr_decoder *d) {
  static const char *const forms[] = {"sync_restrict::shared::cluster",
                                      "sync_restrict::shared::cta", NULL};
  static const char *const semantics[] = {"acquire", "release", NULL};
  int form = tsr_mod_need(d, forms, "'.sync_restrict'");
  int semantic = tsr_mod_need(d, semantics, "'.acquire' or '.release'");
  if (form < 0 || semantic < 0) return false;
  if (form != semantic || !tsr_mod(d, "cluster")) {
    return tsr_decode_error(
        d,
        "'.sync_restrict' is '.acquire' with '::shared::cluster' or "
        "'.release' with '::shared::cta', of scope '.cluster'");
  }
  return tsr_decode_require(d, 86, 90, 0);
}

static bool decode_proxy(tsr_decoder *d) {
  static const char *const kinds[] = {"alias", "async", "tensormap::generic",
                                      "async::generic", NULL};
  static const char *const spaces[] = {"global", "shared::cta",
                                       "shared::cluster", NULL};
  int kind = tsr_mod_need(d, kinds, "a proxy");
  switch (kind) {
    case 0:
      return emit(d, run_other_fence);
    case 1: {
      // Of .global alone it orders nothing that is checked here.
      int space = tsr_mod_one_of(d, spaces);
      return tsr_decode_require(d, 80, 90, 0) &&
             emit(d, space == 0 ? run_other_fence : run_proxy_fence);
    }
    case 2:
      return decode_map_fence(d);
    case 3:
      return decode_restricted(d) && emit(d, run_proxy_fence);
    default:
      return false;
  }
}

static bool decode_membar(tsr_decoder *d) {
  static const char *const levels[] = {"cta", "gl", "sys", NULL};
  if (tsr_mod(d, "proxy")) return decode_proxy(d);
  int level = tsr_mod_need(d, levels, "'.cta', '.gl' or '.sys'");
  uint32_t order = TSR_ORDER_ACQUIRE | TSR_ORDER_RELEASE;
  if (level > 0) order |= TSR_ORDER_DEVICE;
  return level >= 0 && emit_fence(d, order);
}

static bool is_restricted(const tsr_decoder *d) {
  const tsr_ptx_instruction *instruction = tsr_decode_instruction(d);
  for (uint32_t i = 0; i < instruction->modifier_count; ++i) {
    tsr_ptx_str name = instruction->modifiers[i].name;
    if (name.size > 13 && memcmp(name.data, "sync_restrict", 13) == 0) {
      return true;
    }
  }
  return false;
}

static bool decode_fence(tsr_decoder *d) {
  static const char *const semantics[] = {"sc", "acq_rel", "acquire", "release",
                                          NULL};
  if (tsr_mod(d, "proxy")) return decode_proxy(d);
  if (tsr_mod(d, "mbarrier_init")) {
    if (!tsr_mod(d, "release") || !tsr_mod(d, "cluster")) {
      return tsr_decode_error(d, "'.mbarrier_init' needs '.release.cluster'");
    }
    return tsr_decode_require(d, 80, 90, 0) && emit(d, run_other_fence);
  }
  if (is_restricted(d)) return decode_restricted(d) && emit(d, run_other_fence);
  int semantic = tsr_mod_one_of(d, semantics);
  if (semantic >= 2 && !tsr_decode_require(d, 86, 90, 0)) return false;
  // Without: ".acq_rel".
  uint32_t order = tsr_order_of(semantic < 0 ? "acq_rel" : semantics[semantic]);
  return tsr_take_scope(d, &order) && emit_fence(d, order);
}

const tsr_opcode tsr_opcodes_fence[] = {
    {"membar", decode_membar}, {"fence", decode_fence}, {0}};
