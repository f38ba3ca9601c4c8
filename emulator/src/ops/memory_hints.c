// SPDX-License-Identifier: Apache-2.0
// What only speaks to caches: prefetch, prefetchu, applypriority, createpolicy
// (PTX ISA 9.0, 9.7.9.15 to 9.7.9.18, 9.7.9.22); and discard, which lets go of
// memory's contents (9.7.9.17).
#include "check/report.h"
#include "memory/access.h"
#include "memory/bits.h"
#include "memory/heap.h"
#include "ops/memory_modifiers.h"

enum { LINE_BYTES = 128 };

static tsr_flow run_nothing(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  (void)warp, (void)op, (void)mask;
  return TSR_FLOW_NEXT;
}

// An operation on the address of operand |index|.
static bool emit_address(tsr_decoder *d, tsr_handler handler, uint32_t index,
                         tsr_ptx_space space) {
  tsr_address address;
  if (!tsr_address_operand(d, tsr_operand(d, index), space, &address)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, handler, TESSERA_EMU_CLASS_LOAD, 0, 1);
  return op != NULL && tsr_emit_address(d, op, 0, &address) != NULL;
}

static bool decode_prefetch(tsr_decoder *d) {
  static const char *const spaces[] = {"global", "local", "param", "const",
                                       NULL};
  static const char *const levels[] = {
      "L1", "L2", "L2::evict_last", "L2::evict_normal", "tensormap", NULL};
  tsr_ptx_space space = tsr_take_space(d, spaces);
  int level = tsr_mod_need(d, levels, "a cache level");
  if (level < 0 || !tsr_need_operands(d, 1, 1)) return false;
  bool map_space = space == TSR_PTX_SPACE_PARAM || space == TSR_PTX_SPACE_CONST;
  bool fits = level < 2    ? !map_space
              : level == 4 ? map_space || space == TSR_PTX_SPACE_NONE
                           : space == TSR_PTX_SPACE_GLOBAL;
  if (!fits) return tsr_decode_error(d, "no such prefetch in this space");
  if (level == 4 && !tsr_decode_require(d, 80, 90, 0)) return false;
  return emit_address(d, run_nothing, 0, space);
}

static bool decode_prefetchu(tsr_decoder *d) {
  if (!tsr_mod(d, "L1")) return tsr_decode_error(d, "'.L1' expected");
  return tsr_need_operands(d, 1, 1) &&
         emit_address(d, run_nothing, 0, TSR_PTX_SPACE_NONE);
}

// The 128 bytes of each lane, checked as a store; NULL after a finding.
static unsigned char *line_of(tsr_warp *warp, const tsr_op *op, uint32_t lane,
                              uint64_t address, tsr_access_kind kind) {
  const tsr_address *operand = op->data;
  if (address % LINE_BYTES != 0) {
    tsr_find(warp, op, lane, TESSERA_EMU_MISALIGNED, true, address,
             "an address that is not a multiple of %d", LINE_BYTES);
    return NULL;
  }
  return tsr_access_range(warp, op, lane, operand->space, address, LINE_BYTES,
                          kind, TSR_PROXY_GENERIC);
}

// What was there is no longer defined: it reads as memory never written.
static tsr_flow run_discard(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t lanes[TSR_LANES];
  tsr_address_lanes(warp, op->data, lanes);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    unsigned char *host = line_of(warp, op, i, lanes[i], TSR_ACCESS_STORE);
    if (host == NULL) return TSR_FLOW_FAULT;
    memset(host, 0xff, LINE_BYTES);
    tsr_allocation in;
    if (tsr_heap_find(warp->block->launch->heap, lanes[i], &in) &&
        in.written != NULL) {
      tsr_bits_clear(in.written, lanes[i] - in.address, LINE_BYTES);
    }
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_applypriority(tsr_warp *warp, const tsr_op *op,
                                  uint32_t mask) {
  uint64_t lanes[TSR_LANES];
  tsr_address_lanes(warp, op->data, lanes);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0 || lanes[i] % LINE_BYTES == 0) continue;
    tsr_find(warp, op, i, TESSERA_EMU_MISALIGNED, true, lanes[i],
             "an address that is not a multiple of %d", LINE_BYTES);
    return TSR_FLOW_FAULT;
  }
  return TSR_FLOW_NEXT;
}

static bool decode_line(tsr_decoder *d, const char *level,
                        tsr_handler handler) {
  static const char *const spaces[] = {"global", NULL};
  uint64_t size = 0;
  tsr_ptx_space space = tsr_take_space(d, spaces);
  if (!tsr_mod(d, level)) return tsr_decode_error(d, "'.%s' expected", level);
  if (!tsr_need_operands(d, 2, 2) ||
      !tsr_immediate(d, tsr_operand(d, 1), &size)) {
    return false;
  }
  if (size != LINE_BYTES) {
    return tsr_decode_error_at(d, tsr_operand(d, 1), "the size must be %d",
                               LINE_BYTES);
  }
  return tsr_decode_require(d, 74, 80, 0) && emit_address(d, handler, 0, space);
}

static bool decode_discard(tsr_decoder *d) {
  return decode_line(d, "L2", run_discard);
}

static bool decode_applypriority(tsr_decoder *d) {
  return decode_line(d, "L2::evict_normal", run_applypriority);
}

// --- createpolicy -----------------------------------------------------------

// A policy means nothing here; imm is a number that no program should expect.
static tsr_flow run_policy(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t lanes[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) lanes[i] = op->imm;
  tsr_put64(warp, op->dst[0], mask, lanes);
  return TSR_FLOW_NEXT;
}

static bool emit_policy(tsr_decoder *d, const tsr_ref *src, uint32_t count) {
  tsr_ref dst;
  if (!tsr_destination(d, tsr_operand(d, 0), TSR_PTX_B64, false, &dst)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_policy, TESSERA_EMU_CLASS_INTEGER, 1, count);
  if (op == NULL) return false;
  op->dst[0] = dst;
  op->imm = UINT64_C(0x7e55e2a000000000);
  memcpy(op->src, src, count * sizeof(*src));
  return true;
}

static bool take_priorities(tsr_decoder *d) {
  static const char *const primary[] = {"L2::evict_last", "L2::evict_normal",
                                        "L2::evict_first",
                                        "L2::evict_unchanged", NULL};
  static const char *const secondary[] = {"L2::evict_first",
                                          "L2::evict_unchanged", NULL};
  if (tsr_mod_need(d, primary, "an eviction priority") < 0) return false;
  (void)tsr_mod_one_of(d, secondary);
  return true;
}

static bool decode_createpolicy(tsr_decoder *d) {
  static const char *const kinds[] = {"fractional", "range", "cvt", NULL};
  static const char *const spaces[] = {"global", NULL};
  int kind = tsr_mod_need(d, kinds, "'.fractional', '.range' or '.cvt'");
  if (kind < 0 || !tsr_decode_require(d, 74, 80, 0)) return false;
  if (kind == 1) (void)tsr_take_space(d, spaces);
  if (kind == 2) {
    if (!tsr_mod(d, "L2")) return tsr_decode_error(d, "'.L2' expected");
  } else if (!take_priorities(d)) {
    return false;
  }
  if (!tsr_mod(d, "b64")) return tsr_decode_error(d, "'.b64' expected");
  tsr_ref src[3] = {TSR_REF_NONE, TSR_REF_NONE, TSR_REF_NONE};
  tsr_address address;
  switch (kind) {
    case 0:
      if (!tsr_need_operands(d, 1, 2)) return false;
      if (tsr_operand_count(d) == 2 &&
          !tsr_source(d, tsr_operand(d, 1), TSR_PTX_F32, &src[0])) {
        return false;
      }
      return emit_policy(d, src, 1);
    case 1:
      if (!tsr_need_operands(d, 4, 4) ||
          !tsr_address_operand(d, tsr_operand(d, 1), TSR_PTX_SPACE_GLOBAL,
                               &address) ||
          !tsr_source(d, tsr_operand(d, 2), TSR_PTX_B32, &src[1]) ||
          !tsr_source(d, tsr_operand(d, 3), TSR_PTX_B32, &src[2])) {
        return false;
      }
      src[0] = address.base;
      return emit_policy(d, src, 3);
    default:
      return tsr_need_operands(d, 2, 2) &&
             tsr_source(d, tsr_operand(d, 1), TSR_PTX_B64, &src[0]) &&
             emit_policy(d, src, 1);
  }
}

const tsr_opcode tsr_opcodes_memory_hints[] = {
    {"prefetch", decode_prefetch},
    {"prefetchu", decode_prefetchu},
    {"discard", decode_discard},
    {"applypriority", decode_applypriority},
    {"createpolicy", decode_createpolicy},
    {0}};
