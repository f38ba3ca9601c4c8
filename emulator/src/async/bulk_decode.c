// SPDX-License-Identifier: Apache-2.0
// cp.async.bulk, cp.reduce.async.bulk and their tensor forms (PTX ISA
// 9.7.9.25.4, 9.7.9.25.5): from text to operations. The handlers are in
// bulk_run.c.
#include <string.h>

#include "async/bulk_ops.h"
#include "async/bulk_run.h"

static const char *const dims[] = {"1d", "2d", "3d", "4d", "5d", NULL};
static const char *const reductions[] = {"add", "min", "max", "inc", "dec",
                                         "and", "or",  "xor", NULL};

// --- Modifiers

typedef enum bulk_space {
  NO_SPACE,
  GLOBAL,
  SHARED_CTA,
  SHARED_CLUSTER
} bulk_space;

static bulk_space space_named(tsr_ptx_str name) {
  if (tsr_ptx_str_equal(name, "global")) return GLOBAL;
  if (tsr_ptx_str_equal(name, "shared::cta")) return SHARED_CTA;
  if (tsr_ptx_str_equal(name, "shared::cluster")) return SHARED_CLUSTER;
  return NO_SPACE;
}

// The destination's space is written first, then the source's.
static bool take_spaces(tsr_decoder *d, bulk_space out[2]) {
  const tsr_ptx_instruction *instruction = tsr_decode_instruction(d);
  uint32_t count = 0;
  for (uint32_t i = 0; i < instruction->modifier_count; ++i) {
    bulk_space space = space_named(instruction->modifiers[i].name);
    if (space != NO_SPACE && count < 2) out[count++] = space;
  }
  if (count < 2 || out[0] == out[1]) {
    return tsr_decode_error(
        d, "bulk copy: the spaces of destination and source expected");
  }
  (void)tsr_mod(d, "global");
  (void)tsr_mod(d, "shared::cta");
  (void)tsr_mod(d, "shared::cluster");
  return true;
}

// Which way, from the spaces and the completion mechanism.
static bool take_direction(tsr_decoder *d, tsr_bulk_data *data) {
  bulk_space spaces[2];
  if (!take_spaces(d, spaces)) return false;
  bool group = tsr_mod(d, "bulk_group");
  bool mbarrier = tsr_mod(d, "mbarrier::complete_tx::bytes");
  if (group == mbarrier) {
    return tsr_decode_error(d,
                            "bulk copy: .bulk_group or "
                            ".mbarrier::complete_tx::bytes expected");
  }
  if (spaces[0] == GLOBAL && spaces[1] == SHARED_CTA && group) {
    data->kind = TSR_BULK_STORE;
    return true;
  }
  if (spaces[1] == GLOBAL && mbarrier) {
    data->kind = TSR_BULK_LOAD;
    return spaces[0] == SHARED_CLUSTER || tsr_decode_require(d, 86, 90, 0);
  }
  if (spaces[0] == SHARED_CLUSTER && spaces[1] == SHARED_CTA && mbarrier) {
    data->kind = TSR_BULK_SHARED;
    return true;
  }
  return tsr_decode_error(
      d, "bulk copy: no such combination of spaces and completion");
}

static bool take_reduction(tsr_decoder *d, tsr_bulk_data *data) {
  int op = tsr_mod_need(d, reductions, "bulk reduction: operation");
  if (op < 0) return false;
  data->reduction = (tsr_reduction)(TSR_REDUCE_ADD + op);
  if (data->dims != 0) return true;  // the type is the tensor map's
  bool noftz = tsr_mod(d, "noftz");
  if (!tsr_mod_need_type(d, &data->type)) return false;
  bool shared = data->kind != TSR_BULK_STORE;
  if (!tsr_reduce_allowed(data->reduction, data->type, shared)) {
    return tsr_decode_error(d, "bulk reduction: .%s is not for .%s here",
                            reductions[op], tsr_ptx_type_name(data->type));
  }
  bool small = data->type == TSR_PTX_F16 || data->type == TSR_PTX_BF16;
  bool needed = small && data->reduction == TSR_REDUCE_ADD;
  if (noftz != needed) {
    return tsr_decode_error(d, needed ? "bulk reduction: .noftz expected"
                                      : "bulk reduction: .noftz is only for "
                                        ".add of .f16 and .bf16");
  }
  return true;
}

static bool take_load_mode(tsr_decoder *d) {
  static const char *const others[] = {
      "im2col",        "im2col_no_offs", "im2col::w", "im2col::w::128",
      "tile::gather4", "tile::scatter4", NULL};
  int other = tsr_mod_one_of(d, others);
  if (other >= 0) {
    return tsr_decode_error(
        d, "tensor copy: mode .%s is not emulated, only .tile", others[other]);
  }
  (void)tsr_mod(d, "tile");
  return true;
}

// --- Operands

static bool source(tsr_decoder *d, tsr_op *op, uint32_t operand,
                   tsr_ptx_type type, uint32_t index) {
  tsr_ref ref;
  if (!tsr_source(d, tsr_operand(d, operand), type, &ref)) return false;
  op->src[index] = ref;
  return true;
}

static const tsr_address *address(tsr_decoder *d, tsr_op *op, uint32_t operand,
                                  tsr_ptx_space space, uint32_t index) {
  tsr_address parsed;
  if (!tsr_address_operand(d, tsr_operand(d, operand), space, &parsed)) {
    return NULL;
  }
  return tsr_emit_address(d, op, index, &parsed);
}

// The tensor map and coordinates: "[map, {c0, c1}]".
static bool tensor_operand(tsr_decoder *d, tsr_op *op, tsr_bulk_data *data,
                           uint32_t operand) {
  const tsr_ptx_operand *map = tsr_operand(d, operand);
  if (map->kind != TSR_PTX_ADDRESS || map->item_count != 1 ||
      map->items[0].kind != TSR_PTX_VECTOR) {
    return tsr_decode_error_at(d, map,
                               "tensor copy: [map, {coordinates}] expected");
  }
  const tsr_ptx_operand *at = &map->items[0];
  if (at->item_count != data->dims) {
    return tsr_decode_error_at(d, at, "tensor copy: %u coordinates expected",
                               data->dims);
  }
  for (uint32_t i = 0; i < data->dims; ++i) {
    tsr_ref ref;
    if (!tsr_source(d, &at->items[i], TSR_PTX_S32, &ref)) return false;
    op->src[TSR_BULK_SRC_COORDINATES + i] = ref;
  }
  tsr_ptx_operand base = *map;
  base.items = NULL;
  base.item_count = 0;
  tsr_address parsed;
  if (!tsr_address_operand(d, &base, TSR_PTX_SPACE_NONE, &parsed)) return false;
  data->map = tsr_emit_address(d, op, TSR_BULK_SRC_MAP, &parsed);
  return data->map != NULL;
}

// ctaMask and cache policy, the last operands, from |next| on.
static bool last_operands(tsr_decoder *d, tsr_op *op, tsr_bulk_data *data,
                          uint32_t next, bool multicast, bool hint) {
  uint32_t wanted = next + (multicast ? 1 : 0) + (hint ? 1 : 0);
  if (!tsr_need_operands(d, wanted, wanted)) return false;
  data->multicast = multicast;
  if (multicast && !source(d, op, next++, TSR_PTX_U16, TSR_BULK_SRC_CTAS)) {
    return false;
  }
  tsr_ref policy;
  return !hint || tsr_source(d, tsr_operand(d, next), TSR_PTX_B64, &policy);
}

static tsr_op *emit(tsr_decoder *d, tsr_handler handler,
                    const tsr_bulk_data *data) {
  tsr_op *op =
      tsr_emit(d, handler, TESSERA_EMU_CLASS_ASYNC, 0, TSR_BULK_SRC_COUNT);
  if (op == NULL) return NULL;
  op->data = data;
  if (data->reduction != TSR_REDUCE_NONE && data->kind == TSR_BULK_STORE) {
    op->flags |= TSR_OP_COMMUNICATES;
  }
  return op;
}

static tsr_bulk_data *new_data(tsr_decoder *d) {
  return tsr_arena_alloc(tsr_decode_arena(d), sizeof(tsr_bulk_data));
}

// A copy to several blocks goes to .shared::cluster.
static bool take_multicast(tsr_decoder *d, bool *out_multicast) {
  const tsr_ptx_instruction *instruction = tsr_decode_instruction(d);
  *out_multicast = tsr_mod(d, "multicast::cluster");
  for (uint32_t i = 0; *out_multicast && i < instruction->modifier_count; ++i) {
    if (tsr_ptx_str_equal(instruction->modifiers[i].name, "shared::cta")) {
      return tsr_decode_error(d,
                              "'.multicast::cluster' copies to "
                              "'.shared::cluster', not to '.shared::cta'");
    }
  }
  return true;
}

// --- Linear copies

static bool decode_linear(tsr_decoder *d, bool reduce) {
  tsr_bulk_data *data = new_data(d);
  if (data == NULL || !take_direction(d, data) ||
      (reduce && !take_reduction(d, data))) {
    return false;
  }
  if (reduce && data->kind == TSR_BULK_LOAD) {
    return tsr_decode_error(d, "bulk reduction: not from global memory");
  }
  bool hint = tsr_mod(d, "L2::cache_hint");
  bool multicast = false;
  if (!take_multicast(d, &multicast)) return false;
  if ((multicast && data->kind != TSR_BULK_LOAD) ||
      (hint && data->kind == TSR_BULK_SHARED)) {
    return tsr_decode_error(d, "bulk copy: modifier of another form");
  }
  bool store = data->kind == TSR_BULK_STORE;
  if (!tsr_need_operands(d, store ? 3 : 4, 6)) return false;
  tsr_op *op = emit(d, tsr_run_bulk, data);
  if (op == NULL) return false;
  data->shared =
      address(d, op, store ? 1 : 0, TSR_PTX_SPACE_SHARED, TSR_BULK_SRC_SHARED);
  data->other = address(d, op, store ? 0 : 1,
                        data->kind == TSR_BULK_SHARED ? TSR_PTX_SPACE_SHARED
                                                      : TSR_PTX_SPACE_GLOBAL,
                        TSR_BULK_SRC_OTHER);
  if (data->shared == NULL || data->other == NULL ||
      !source(d, op, 2, TSR_PTX_U32, TSR_BULK_SRC_SIZE)) {
    return false;
  }
  if (store) return last_operands(d, op, data, 3, false, hint);
  data->mbarrier =
      address(d, op, 3, TSR_PTX_SPACE_SHARED, TSR_BULK_SRC_MBARRIER);
  return data->mbarrier != NULL &&
         last_operands(d, op, data, 4, multicast, hint);
}

// --- Tensor copies

static bool decode_tensor(tsr_decoder *d, bool reduce) {
  tsr_bulk_data *data = new_data(d);
  if (data == NULL) return false;
  int rank = tsr_mod_need(d, dims, "tensor copy: .1d to .5d");
  if (rank < 0) return false;
  data->dims = (uint32_t)rank + 1;
  if (!take_load_mode(d) || !take_direction(d, data) ||
      (reduce && !take_reduction(d, data))) {
    return false;
  }
  bool store = data->kind == TSR_BULK_STORE;
  if (data->kind == TSR_BULK_SHARED || (reduce && !store)) {
    return tsr_decode_error(d, "tensor copy: no such combination of spaces");
  }
  bool hint = tsr_mod(d, "L2::cache_hint");
  bool multicast = false;
  if (!store && !take_multicast(d, &multicast)) return false;
  if (!tsr_need_operands(d, store ? 2 : 3, 5)) return false;
  tsr_op *op = emit(d, tsr_run_tensor, data);
  if (op == NULL) return false;
  data->shared =
      address(d, op, store ? 1 : 0, TSR_PTX_SPACE_SHARED, TSR_BULK_SRC_SHARED);
  if (data->shared == NULL || !tensor_operand(d, op, data, store ? 0 : 1)) {
    return false;
  }
  if (store) return last_operands(d, op, data, 2, false, hint);
  data->mbarrier =
      address(d, op, 2, TSR_PTX_SPACE_SHARED, TSR_BULK_SRC_MBARRIER);
  return data->mbarrier != NULL &&
         last_operands(d, op, data, 3, multicast, hint);
}

// --- Prefetches: their addresses are checked, nothing else happens

static bool decode_prefetch(tsr_decoder *d) {
  tsr_bulk_data *data = new_data(d);
  if (data == NULL) return false;
  bool tensor = tsr_mod(d, "tensor");
  if (tensor) {
    int rank = tsr_mod_need(d, dims, "tensor prefetch: .1d to .5d");
    if (rank < 0 || !take_load_mode(d)) return false;
    data->dims = (uint32_t)rank + 1;
  }
  if (!tsr_mod(d, "L2") || !tsr_mod(d, "global")) {
    return tsr_decode_error(d, "bulk prefetch: .L2.global expected");
  }
  bool hint = tsr_mod(d, "L2::cache_hint");
  if (!tsr_need_operands(d, tensor ? 1 : 2, 3)) return false;
  tsr_op *op =
      emit(d, tensor ? tsr_run_prefetch_tensor : tsr_run_prefetch, data);
  if (op == NULL) return false;
  if (tensor) {
    return tensor_operand(d, op, data, 0) &&
           last_operands(d, op, data, 1, false, hint);
  }
  data->other = address(d, op, 0, TSR_PTX_SPACE_GLOBAL, TSR_BULK_SRC_OTHER);
  return data->other != NULL &&
         source(d, op, 1, TSR_PTX_U32, TSR_BULK_SRC_SIZE) &&
         last_operands(d, op, data, 2, false, hint);
}

// --- Groups

static bool decode_wait(tsr_decoder *d) {
  uint64_t groups;
  bool read = tsr_mod(d, "read");
  if (!tsr_need_operands(d, 1, 1) ||
      !tsr_immediate(d, tsr_operand(d, 0), &groups)) {
    return false;
  }
  if (groups > UINT32_MAX) {
    return tsr_decode_error_at(d, tsr_operand(d, 0),
                               "cp.async.bulk.wait_group: too many groups");
  }
  tsr_op *op = tsr_emit(d, tsr_run_bulk_wait, TESSERA_EMU_CLASS_ASYNC, 0, 0);
  if (op == NULL) return false;
  op->aux[0] = (uint32_t)groups;
  op->aux[1] = read ? 1 : 0;
  return true;
}

bool tsr_decode_bulk(tsr_decoder *d, bool reduce) {
  if (!tsr_decode_require(d, 80, 90, 0)) return false;
  if (!reduce && tsr_mod(d, "commit_group")) {
    return tsr_need_operands(d, 0, 0) &&
           tsr_emit(d, tsr_run_bulk_commit, TESSERA_EMU_CLASS_ASYNC, 0, 0) !=
               NULL;
  }
  if (!reduce && tsr_mod(d, "wait_group")) return decode_wait(d);
  if (!reduce && tsr_mod(d, "prefetch")) return decode_prefetch(d);
  if (tsr_mod(d, "tensor")) return decode_tensor(d, reduce);
  return decode_linear(d, reduce);
}
