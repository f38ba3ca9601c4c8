// SPDX-License-Identifier: Apache-2.0
// Helpers of the tensor-core decoders, one behaviour for all of them.
#include "tensor/decode_tensor.h"

#include "check/report.h"

bool tsr_tensor_need_aligned(tsr_decoder *d) {
  if (!tsr_mod(d, "sync")) return tsr_decode_error(d, "'.sync' expected");
  if (!tsr_mod(d, "aligned")) {
    return tsr_decode_error(d, "'.aligned' expected");
  }
  return true;
}

bool tsr_tensor_need_row_col(tsr_decoder *d) {
  const tsr_ptx_instruction *instruction = tsr_decode_instruction(d);
  uint32_t row = UINT32_MAX, col = UINT32_MAX;
  for (uint32_t i = 0; i < instruction->modifier_count; ++i) {
    tsr_ptx_str name = instruction->modifiers[i].name;
    if (tsr_ptx_str_equal(name, "row")) row = i;
    if (tsr_ptx_str_equal(name, "col")) col = i;
  }
  if (row < col && tsr_mod(d, "row") && tsr_mod(d, "col")) return true;
  return tsr_decode_error(d, "'.row.col' expected: A by rows, B by columns");
}

bool tsr_tensor_element(tsr_ptx_type type, tsr_element *out_element) {
  static const struct {
    tsr_ptx_type type;
    tsr_element element;
  } elements[] = {
      {TSR_PTX_F16, TSR_ELEMENT_F16},   {TSR_PTX_BF16, TSR_ELEMENT_BF16},
      {TSR_PTX_TF32, TSR_ELEMENT_TF32}, {TSR_PTX_E4M3, TSR_ELEMENT_E4M3},
      {TSR_PTX_E5M2, TSR_ELEMENT_E5M2}, {TSR_PTX_S8, TSR_ELEMENT_S8},
      {TSR_PTX_U8, TSR_ELEMENT_U8},
  };
  for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); ++i) {
    if (elements[i].type == type) {
      *out_element = elements[i].element;
      return true;
    }
  }
  return false;
}

static bool need_vector(tsr_decoder *d, uint32_t index, uint32_t count) {
  const tsr_ptx_operand *operand = tsr_operand(d, index);
  if (operand->kind != TSR_PTX_VECTOR || operand->item_count != count) {
    return tsr_decode_error_at(d, operand, "a vector of %u register%s expected",
                               count, count == 1 ? "" : "s");
  }
  return true;
}

// Packed elements lie in registers of bits or of pairs, never in .f32 ones or
// in immediates.
static bool need_packed(tsr_decoder *d, const tsr_ptx_operand *item,
                        tsr_ptx_type type) {
  if (type != TSR_PTX_B32 || item->kind == TSR_PTX_SINK) return true;
  switch (tsr_register_type(d, item)) {
    case TSR_PTX_B32:
    case TSR_PTX_U32:
    case TSR_PTX_S32:
    case TSR_PTX_F16X2:
    case TSR_PTX_BF16X2:
      return true;
    default:
      return tsr_decode_error_at(d, item, "a .b32 register expected");
  }
}

bool tsr_tensor_sources(tsr_decoder *d, uint32_t index, uint32_t count,
                        tsr_ptx_type type, tsr_ref *refs) {
  if (!need_vector(d, index, count)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_ptx_operand *item = &tsr_operand(d, index)->items[i];
    if (!need_packed(d, item, type) || !tsr_source(d, item, type, &refs[i])) {
      return false;
    }
  }
  return true;
}

bool tsr_tensor_destinations(tsr_decoder *d, uint32_t index, uint32_t count,
                             tsr_ptx_type type, tsr_ref *refs) {
  if (!need_vector(d, index, count)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_ptx_operand *item = &tsr_operand(d, index)->items[i];
    if (!need_packed(d, item, type) ||
        !tsr_destination(d, item, type, true, &refs[i])) {
      return false;
    }
  }
  return true;
}

const char *tsr_tensor_name(tsr_decoder *d, const char *prefix,
                            const char *shape, tsr_ptx_type a, tsr_ptx_type b) {
  return tsr_arena_printf(tsr_decode_arena(d), "%s.%s.%s%s%s", prefix, shape,
                          tsr_ptx_type_name(a), a == b ? "" : ".",
                          a == b ? "" : tsr_ptx_type_name(b));
}

void tsr_tensor_check_lanes(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  if (mask == TSR_ALL_LANES ||
      (warp->block->launch->config.checks & TESSERA_EMU_CHECK_SYNC) == 0) {
    return;
  }
  tsr_find(warp, op, (uint32_t)__builtin_ctz(~mask), TESSERA_EMU_DIVERGENCE,
           false, TSR_NO_ADDRESS,
           "a matrix instruction needs all 32 lanes of the warp; lanes 0x%08x "
           "do not take part",
           ~mask);
}
