// SPDX-License-Identifier: Apache-2.0
// Operations in front of and behind instructions. Those in front only read and
// are never guarded: a temporary that is always written ends its predecessor's
// life, which a guarded one would not (compaction.h).
#include "decode/front.h"

static tsr_flow run_not(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_set_pred(warp, op->dst[0], mask, ~tsr_pred(warp, op->src[0]));
  return TSR_FLOW_NEXT;
}

tsr_ref tsr_front_not(tsr_decoder *d, tsr_ref predicate) {
  tsr_ref to = tsr_temporary(d, TSR_PTX_PRED);
  tsr_op *op = tsr_emit_front(d, run_not, 1, 1);
  if (op == NULL || to == TSR_REF_NONE) return TSR_REF_NONE;
  op->src[0] = predicate;
  op->dst[0] = to;
  return to;
}

// imm: the bits that stay.
static tsr_flow run_cut(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t out[TSR_LANES];
  uint32_t keep = (uint32_t)op->imm;
  if (op->aux[0] > 32) {
    const uint64_t *from = tsr_src64(warp, op->src[0]);
    for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = (uint32_t)from[i] & keep;
  } else {
    const uint32_t *from = tsr_src32(warp, op->src[0]);
    for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = from[i] & keep;
  }
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

// The low half of a 128-bit register.
static tsr_flow run_cut128(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t out[TSR_LANES];
  const uint64_t *from = tsr_src64(warp, op->src[0]);
  for (size_t i = 0; i < TSR_LANES; ++i) out[i] = from[2 * i] & op->imm;
  if (op->aux[0] == 64) {
    tsr_put64(warp, op->dst[0], mask, out);
    return TSR_FLOW_NEXT;
  }
  uint32_t low[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) low[i] = (uint32_t)out[i];
  tsr_put32(warp, op->dst[0], mask, low);
  return TSR_FLOW_NEXT;
}

tsr_ref tsr_front_cut(tsr_decoder *d, tsr_ref from, uint32_t from_bits,
                      tsr_ptx_type type) {
  uint32_t bits = tsr_ptx_type_bits(type);
  tsr_ref to = tsr_temporary(d, type);
  tsr_op *op = tsr_emit_front(d, from_bits > 64 ? run_cut128 : run_cut, 1, 1);
  if (op == NULL || to == TSR_REF_NONE) return TSR_REF_NONE;
  op->src[0] = from;
  op->dst[0] = to;
  op->aux[0] = from_bits > 64 ? bits : from_bits;
  op->imm = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
  return to;
}

// aux[0]: bits of the source, aux[1]: of the destination, aux[2]: signed.
static tsr_flow run_extend(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t out[TSR_LANES];
  const uint32_t *from = tsr_src32(warp, op->src[0]);
  uint32_t shift = 64 - op->aux[0];
  uint64_t keep = op->imm;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint64_t value = (uint64_t)from[i] << shift;
    value =
        op->aux[2] != 0 ? (uint64_t)((int64_t)value >> shift) : value >> shift;
    out[i] = value & keep;
  }
  if (op->aux[1] == 64) {
    tsr_put64(warp, op->dst[0], mask, out);
    return TSR_FLOW_NEXT;
  }
  uint32_t low[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) low[i] = (uint32_t)out[i];
  tsr_put32(warp, op->dst[0], mask, low);
  return TSR_FLOW_NEXT;
}

void tsr_emit_pending(tsr_decoder *d) {
  for (uint32_t i = 0; i < d->pending_count; ++i) {
    const tsr_pending *pending = &d->pending[i];
    tsr_op *op = tsr_emit(d, run_extend, TESSERA_EMU_CLASS_INTEGER, 1, 1);
    if (op == NULL) return;
    uint32_t bits = tsr_ptx_type_bits(pending->to_type);
    op->src[0] = pending->from;
    op->dst[0] = pending->to;
    op->aux[0] = tsr_ptx_type_bits(pending->type);
    op->aux[1] = bits;
    op->aux[2] = tsr_ptx_type_class(pending->type) == TSR_PTX_KIND_SIGNED;
    op->imm = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
  }
  d->pending_count = 0;
}

static void fill(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                 uint64_t value) {
  if (op->aux[0] == 64) {
    uint64_t out[TSR_LANES];
    for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = value;
    tsr_put64(warp, op->dst[0], mask, out);
  } else {
    uint32_t out[TSR_LANES];
    for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = (uint32_t)value;
    tsr_put32(warp, op->dst[0], mask, out);
  }
}

static tsr_flow run_frame(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  fill(warp, op, mask, warp->local + op->imm);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_dynamic(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const tsr_kernel *kernel = warp->block->launch->kernel;
  fill(warp, op, mask, TSR_SHARED_BASE + kernel->static_shared + op->imm);
  return TSR_FLOW_NEXT;
}

static tsr_ref emit_address(tsr_decoder *d, tsr_handler handler,
                            tsr_ptx_type type, uint64_t offset) {
  tsr_ref to = tsr_temporary(d, type);
  tsr_op *op = tsr_emit_front(d, handler, 1, 0);
  if (op == NULL || to == TSR_REF_NONE) return TSR_REF_NONE;
  op->dst[0] = to;
  op->aux[0] = tsr_ptx_type_bits(type) > 32 ? 64 : 32;
  op->imm = offset;
  return to;
}

tsr_ref tsr_front_frame(tsr_decoder *d, tsr_ptx_type type, uint64_t offset) {
  return emit_address(d, run_frame, type, offset);
}

tsr_ref tsr_front_dynamic(tsr_decoder *d, tsr_ptx_type type, uint64_t offset) {
  return emit_address(d, run_dynamic, type, offset);
}

tsr_ref tsr_front_special(tsr_decoder *d, tsr_handler handler,
                          tsr_ptx_type type, uint32_t selector) {
  tsr_ref to = tsr_temporary(d, type);
  tsr_op *op = tsr_emit_front(d, handler, 1, 0);
  if (op == NULL || to == TSR_REF_NONE) return TSR_REF_NONE;
  op->dst[0] = to;
  op->aux[0] = selector;
  return to;
}
