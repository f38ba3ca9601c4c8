// SPDX-License-Identifier: Apache-2.0
// wgmma.mma_async, fence, commit_group, wait_group (PTX ISA 9.7.15) for one of
// the four warps: its 16 rows of the 64, all columns. The warps issue and wait
// each for itself.
#include <stdio.h>

#include "check/report.h"
#include "memory/access.h"
#include "tensor/decode_tensor.h"
#include "tensor/wgmma_state.h"

extern const tsr_opcode tsr_opcodes_wgmma[];

// --- Multiplying ------------------------------------------------------------

static void flip_signs(tsr_tile_a *a) {
  uint32_t size = tsr_element_bytes(a->type);
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    for (uint32_t i = 0; i < a->kept; ++i) {
      a->raw[m][size * i + size - 1] ^= 0x80;  // little-endian
    }
  }
}

static void load_a(tsr_warp *warp, const tsr_wgmma_pending *pending,
                   const tsr_wgmma_form *form, tsr_tile_a *a) {
  a->type = form->a_type;
  a->k = form->k;
  a->kept = form->is_sparse ? form->k / 2 : form->k;
  if (form->a_shared) {
    tsr_matrix_gather(&pending->a, warp->block->shared, 16 * (warp->index % 4),
                      TSR_TILE_M, TSR_TILE_A_BYTES, a->raw[0],
                      TSR_TILE_A_BYTES);
  } else {
    const uint32_t *registers[4];
    for (uint32_t i = 0; i < 4; ++i) {
      tsr_ref ref = pending->op->src[TSR_WGMMA_SRC_A + i];
      registers[i] =
          (const uint32_t *)(const void *)tsr_unit(pending->base, ref);
    }
    tsr_fragment_a(registers, 4, a);
  }
  if (form->negate) flip_signs(a);
  if (form->is_sparse) {
    tsr_sparse_index(warp, pending->op, &form->sparse, pending->metadata, a);
  }
  tsr_tile_prepare_a(a);
}

static void store_d(const tsr_wgmma_pending *pending, tsr_ref ref,
                    const uint32_t lanes[TSR_LANES]) {
  if (ref == TSR_REF_NONE) return;
  uint32_t *out = (uint32_t *)(void *)tsr_unit(pending->base, ref);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    out[i] = (pending->mask >> i & 1) != 0 ? lanes[i] : out[i];
  }
}

void tsr_wgmma_execute(tsr_warp *warp, const tsr_wgmma_pending *pending) {
  const tsr_op *op = pending->op;
  const tsr_wgmma_form *form = op->data;
  const tsr_launch *launch = warp->block->launch;
  tsr_accumulation model = {.half = form->half, .saturate = form->saturate};
  model.hardware = launch->config.accumulate == TESSERA_EMU_ACCUMULATE_HARDWARE;
  tsr_accumulation_hardware(launch->device, form->a_type, true, &model);
  tsr_tile_a a;
  tsr_tile_b b;
  load_a(warp, pending, form, &a);
  b.type = form->b_type;
  b.k = form->k;
  uint32_t per_tile = form->half ? 2 : 4;
  for (uint32_t tile = 0; tile < form->n / TSR_TILE_N; ++tile) {
    tsr_matrix_gather(&pending->b, warp->block->shared, 8 * tile, TSR_TILE_N,
                      b.k * tsr_element_bytes(b.type), b.raw[0],
                      TSR_TILE_B_BYTES);
    tsr_tile_prepare_b(&b);
    tsr_tile_c c = {{0}};
    const tsr_ref *refs = op->src + TSR_WGMMA_SRC_D + (size_t)tile * per_tile;
    const uint32_t *registers[4];
    for (uint32_t i = 0; i < per_tile; ++i) {
      registers[i] =
          (const uint32_t *)(const void *)tsr_unit(pending->base, refs[i]);
    }
    if (pending->scale_d) tsr_fragment_c(registers, form->half, c);
    tsr_tile_multiply(&a, &b, &model, c);
    uint32_t out[4][TSR_LANES];
    tsr_fragment_d(c, form->half, out);
    for (uint32_t i = 0; i < per_tile; ++i) store_d(pending, refs[i], out[i]);
  }
}

// --- Instructions -----------------------------------------------------------

static void check_warpgroup(tsr_warp *warp, const tsr_op *op) {
  if (warp->index / 4 * 4 + 4 > warp->block->warp_count &&
      (warp->block->launch->config.checks & TESSERA_EMU_CHECK_SYNC) != 0) {
    tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_DIVERGENCE, false,
             TSR_NO_ADDRESS,
             "wgmma needs the four warps of a warpgroup; the block has %u "
             "warps",
             warp->block->warp_count);
  }
}

// A descriptor is the same in all threads (9.7.15.5.2): the first lane's.
static bool read_descriptor(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                            uint32_t src, uint64_t *out) {
  const uint64_t *lanes = tsr_src64(warp, op->src[src]);
  *out = lanes[__builtin_ctz(mask)];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1) != 0 && lanes[i] != *out) {
      tsr_find(warp, op, i, TESSERA_EMU_ILLEGAL, true, TSR_NO_ADDRESS,
               "a matrix descriptor differs between threads of a warp");
      return false;
    }
  }
  return true;
}

// A row of B of a sparse instruction has 64 bytes, more than a pattern of 32.
static bool check_layout(tsr_warp *warp, const tsr_op *op,
                         const tsr_matrix_layout *layout, uint32_t bytes) {
  if (layout->across || layout->width == 1 || bytes <= 16 * layout->width) {
    return true;
  }
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_ILLEGAL, true, layout->start,
           "%u bytes along K do not fit the 32-byte swizzle of the descriptor",
           bytes);
  return false;
}

static tsr_flow run_mma_async(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const tsr_wgmma_form *form = op->data;
  tsr_wgmma *state = tsr_wgmma_of(warp, op);
  if (state == NULL) return TSR_FLOW_FAULT;
  tsr_tensor_check_lanes(warp, op, mask);
  check_warpgroup(warp, op);
  tsr_wgmma_pending pending = {.op = op, .mask = mask};
  memcpy(pending.base, warp->base, sizeof(pending.base));
  uint64_t descriptor;
  uint32_t a_size = tsr_element_bytes(form->a_type);
  if (form->a_shared) {
    if (!read_descriptor(warp, op, mask, TSR_WGMMA_SRC_A, &descriptor)) {
      return TSR_FLOW_FAULT;
    }
    tsr_matrix_layout_decode(descriptor, form->a_across, a_size, &pending.a);
  }
  if (!read_descriptor(warp, op, mask, TSR_WGMMA_SRC_B, &descriptor)) {
    return TSR_FLOW_FAULT;
  }
  tsr_matrix_layout_decode(descriptor, form->b_across, a_size, &pending.b);
  if (!check_layout(warp, op, &pending.b, form->k * a_size)) {
    return TSR_FLOW_FAULT;
  }
  pending.scale_d = (tsr_pred(warp, op->src[TSR_WGMMA_SRC_SCALE]) & mask) != 0;
  if (form->is_sparse) {
    memcpy(pending.metadata, tsr_src32(warp, op->src[TSR_WGMMA_SRC_META]),
           sizeof(pending.metadata));
  }
  tsr_wgmma_check_issue(warp, &pending);
  if (!tsr_wgmma_read_issue(warp, &pending)) return TSR_FLOW_FAULT;
  if (!tsr_wgmma_push(warp, &pending)) return TSR_FLOW_FAULT;
  tsr_count_matrix(warp->profile, form->name);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_fence(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_wgmma *state = tsr_wgmma_of(warp, op);
  if (state == NULL) return TSR_FLOW_FAULT;
  tsr_tensor_check_lanes(warp, op, mask);
  state->fenced = true;
  tsr_wgmma_watch_fence(warp, op);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_commit(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_wgmma *state = tsr_wgmma_of(warp, op);
  if (state == NULL) return TSR_FLOW_FAULT;
  tsr_tensor_check_lanes(warp, op, mask);
  ++state->committed;
  tsr_wgmma_maybe(warp);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_wait(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  if (tsr_wgmma_of(warp, op) == NULL) return TSR_FLOW_FAULT;
  tsr_tensor_check_lanes(warp, op, mask);
  tsr_wgmma_wait(warp, op->imm);
  return TSR_FLOW_NEXT;
}

bool tsr_wgmma_is_mma(const tsr_op *op) {
  return op->run == run_mma_async;
}

bool tsr_wgmma_is_commit(const tsr_op *op) {
  return op->run == run_commit;
}

// --- Decoding ---------------------------------------------------------------

typedef struct wgmma_types {
  tsr_ptx_type d, a, b;
} wgmma_types;

// "m64n128k16"; |name| has room for it.
static bool decode_shape(tsr_decoder *d, tsr_wgmma_form *form, char name[32]) {
  tsr_ptx_str text = tsr_mod_peek(d);
  unsigned n = 0, k = 0;
  int end = 0;
  if (text.size < 32) {
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    if (sscanf(name, "m64n%3uk%2u%n", &n, &k, &end) != 2 || name[end] != '\0') {
      n = 0;
    }
  }
  if (n == 0 || n > 256 || n % 8 != 0 || !tsr_mod(d, name)) {
    return tsr_decode_error(d,
                            "a shape .m64nNkK with N = 8, 16 .. 256 "
                            "expected");
  }
  form->n = n;
  form->k = k;
  return true;
}

static bool check_types(tsr_decoder *d, const wgmma_types *types,
                        tsr_wgmma_form *form) {
  if (!tsr_tensor_element(types->a, &form->a_type) ||
      !tsr_tensor_element(types->b, &form->b_type)) {
    return tsr_decode_error(d, "wgmma with elements of type .%s, .%s",
                            tsr_ptx_type_name(types->a),
                            tsr_ptx_type_name(types->b));
  }
  bool integer = tsr_element_is_integer(form->a_type);
  bool alike = tsr_elements_multiply(form->a_type, form->b_type);
  form->half = types->d == TSR_PTX_F16 &&
               (types->a == TSR_PTX_F16 || tsr_element_is_fp8(form->a_type));
  bool fits = form->half || types->d == (integer ? TSR_PTX_S32 : TSR_PTX_F32);
  if (!alike || !fits) {
    return tsr_decode_error(
        d, "wgmma cannot make .%s of .%s and .%s", tsr_ptx_type_name(types->d),
        tsr_ptx_type_name(types->a), tsr_ptx_type_name(types->b));
  }
  uint32_t k = (form->is_sparse ? 64 : 32) / tsr_element_bytes(form->a_type);
  if (form->k != k) {
    return tsr_decode_error(d, "wgmma%s of this type has k%u",
                            form->is_sparse ? ".sp" : "", k);
  }
  if (integer && form->n % 16 != 0 && form->n != 8 && form->n != 24) {
    return tsr_decode_error(d, "no shape m64n%u for integers", form->n);
  }
  if (form->saturate && !integer) {
    return tsr_decode_error(d, "'.satfinite' is for integers");
  }
  bool mixed = integer && types->a != types->b;
  return tsr_decode_require(d, mixed ? 84 : form->is_sparse ? 82 : 80, 90, 'a');
}

// An immediate that is |low| or |high|.
static bool decode_choice(tsr_decoder *d, uint32_t index, int64_t low,
                          int64_t high, const char *what, bool *out_low) {
  uint64_t value;
  if (!tsr_immediate(d, tsr_operand(d, index), &value)) return false;
  if ((int64_t)value != low && (int64_t)value != high) {
    return tsr_decode_error_at(d, tsr_operand(d, index), "%s must be %d or %d",
                               what, (int)low, (int)high);
  }
  *out_low = (int64_t)value == low;
  return true;
}

// What follows scale-d, from operand |at| on.
static bool decode_immediates(tsr_decoder *d, uint32_t at,
                              tsr_wgmma_form *form) {
  uint32_t count = tsr_element_is_integer(form->a_type) ? 0 : 2;
  bool transposes = tsr_element_bytes(form->a_type) == 2;
  if (transposes) count += form->a_shared ? 2 : 1;
  if (!tsr_need_operands(d, at + count, at + count)) return false;
  if (count == 0) return true;
  bool minus_a = false, minus_b = false, plain = true;
  if (!decode_choice(d, at, -1, 1, "imm-scale-a", &minus_a) ||
      !decode_choice(d, at + 1, -1, 1, "imm-scale-b", &minus_b)) {
    return false;
  }
  form->negate = minus_a != minus_b;
  at += 2;
  if (!transposes) return true;
  if (form->a_shared) {
    if (!decode_choice(d, at++, 0, 1, "imm-trans-a", &plain)) return false;
    form->a_across = !plain;
  }
  if (!decode_choice(d, at, 0, 1, "imm-trans-b", &plain)) return false;
  form->b_across = !plain;
  return true;
}

static bool decode_selector(tsr_decoder *d, tsr_wgmma_form *form) {
  uint64_t value;
  if (!tsr_immediate(d, tsr_operand(d, 4), &value)) return false;
  uint32_t count = tsr_sparse_selectors(form->a_type, form->k);
  if (value >= count) {
    return tsr_decode_error_at(d, tsr_operand(d, 4),
                               "sparsity selector out of range 0..%u",
                               count - 1);
  }
  form->sparse = (tsr_sparse){
      .type = form->a_type, .k = form->k, .selector = (uint32_t)value};
  return true;
}

static bool decode_operands(tsr_decoder *d, const wgmma_types *types,
                            tsr_wgmma_form *form) {
  uint32_t scale = form->is_sparse ? 5 : 3;
  if (!tsr_need_operands(d, scale + 1, scale + 5)) return false;
  form->a_shared = tsr_operand(d, 1)->kind != TSR_PTX_VECTOR;
  form->d_count = form->half ? form->n / 4 : form->n / 2;
  if (!decode_immediates(d, scale + 1, form)) return false;
  tsr_op *op = tsr_emit(d, NULL, TESSERA_EMU_CLASS_MATRIX, form->d_count,
                        TSR_WGMMA_SRC_D + form->d_count);
  if (op == NULL) return false;
  op->run = run_mma_async;
  op->flags |= TSR_OP_CONVERGED | TSR_OP_DEFERRED;
  op->data = form;
  tsr_ptx_type d_type = form->half ? TSR_PTX_B32 : types->d;
  tsr_ref *src = op->src;
  if (!tsr_tensor_destinations(d, 0, form->d_count, d_type, op->dst) ||
      !tsr_tensor_sources(d, 0, form->d_count, d_type, src + TSR_WGMMA_SRC_D) ||
      !tsr_source(d, tsr_operand(d, 2), TSR_PTX_B64, src + TSR_WGMMA_SRC_B) ||
      !tsr_source(d, tsr_operand(d, scale), TSR_PTX_PRED,
                  src + TSR_WGMMA_SRC_SCALE)) {
    return false;
  }
  if (form->a_shared ? !tsr_source(d, tsr_operand(d, 1), TSR_PTX_B64, src)
                     : !tsr_tensor_sources(d, 1, 4, TSR_PTX_B32, src)) {
    return false;
  }
  return !form->is_sparse || (decode_selector(d, form) &&
                              tsr_source(d, tsr_operand(d, 3), TSR_PTX_B32,
                                         src + TSR_WGMMA_SRC_META));
}

static bool decode_mma_async(tsr_decoder *d) {
  tsr_wgmma_form *form = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*form));
  if (form == NULL) return tsr_decode_error(d, "out of memory");
  form->is_sparse = tsr_mod(d, "sp");
  if (!tsr_tensor_need_aligned(d)) return false;
  form->saturate = tsr_mod(d, "satfinite");
  char shape[32];
  wgmma_types types;
  if (!decode_shape(d, form, shape) || !tsr_mod_need_type(d, &types.d) ||
      !tsr_mod_need_type(d, &types.a) || !tsr_mod_need_type(d, &types.b) ||
      !check_types(d, &types, form)) {
    return false;
  }
  form->name = tsr_tensor_name(d, form->is_sparse ? "wgmma.sp" : "wgmma", shape,
                               types.a, types.b);
  if (form->name == NULL) return tsr_decode_error(d, "out of memory");
  return decode_operands(d, &types, form);
}

static bool decode_wgmma(tsr_decoder *d) {
  static const char *const names[] = {"mma_async", "fence", "commit_group",
                                      "wait_group", NULL};
  static const tsr_handler handlers[] = {NULL, run_fence, run_commit, run_wait};
  int which = tsr_mod_need(d, names,
                           ".mma_async, .fence, .commit_group or .wait_group");
  if (which < 0) return false;
  if (which == 0) return decode_mma_async(d);
  uint32_t count = which == 3 ? 1 : 0;
  if (!tsr_tensor_need_aligned(d) || !tsr_need_operands(d, count, count) ||
      !tsr_decode_require(d, 80, 90, 'a')) {
    return false;
  }
  uint64_t left = 0;
  if (which == 3 && !tsr_immediate(d, tsr_operand(d, 0), &left)) return false;
  tsr_op *op = tsr_emit(d, handlers[which], TESSERA_EMU_CLASS_MATRIX, 0, 0);
  if (op == NULL) return false;
  op->flags |= TSR_OP_CONVERGED;
  op->imm = left;
  return true;
}

const tsr_opcode tsr_opcodes_wgmma[] = {{"wgmma", decode_wgmma}, {0}};
