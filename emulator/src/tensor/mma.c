// SPDX-License-Identifier: Apache-2.0
// mma.sync and mma.sp (PTX ISA 9.7.14.5, 9.7.14.6) for 16 rows and 8 columns.
// Every supported form takes 16 or 32 bytes of each dense row at a time, so one
// handler serves all of them; only the table of shapes and what may be combined
// knows the types.
#include "check/report.h"
#include "memory/access.h"
#include "tensor/decode_tensor.h"
#include "tensor/fragment.h"

extern const tsr_opcode tsr_opcodes_mma[];

typedef struct mma_form {
  const char *name;  // for the profile
  tsr_element a_type, b_type;
  uint32_t k;
  uint32_t a_count, b_count, c_count;  // registers; C's are D's too
  bool half, saturate, is_sparse;
  tsr_sparse sparse;
} mma_form;

// Sources: A, B, C, metadata.
static tsr_flow run_mma(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const mma_form *form = op->data;
  tsr_tensor_check_lanes(warp, op, mask);
  const uint32_t *registers[16];
  for (uint32_t i = 0; i < op->src_count; ++i) {
    registers[i] = tsr_src32(warp, op->src[i]);
  }
  const uint32_t *const *b_registers = registers + form->a_count;
  const uint32_t *const *c_registers = b_registers + form->b_count;
  tsr_tile_a a;
  tsr_tile_b b;
  tsr_tile_c c;
  a.type = form->a_type;
  b.type = form->b_type;
  a.k = b.k = form->k;
  a.kept = form->is_sparse ? form->k / 2 : form->k;
  tsr_fragment_a(registers, form->a_count, &a);
  tsr_fragment_b(b_registers, form->b_count, &b);
  tsr_fragment_c(c_registers, form->half, c);
  if (form->is_sparse) {
    tsr_sparse_index(warp, op, &form->sparse, c_registers[form->c_count], &a);
  }
  tsr_accumulation model = {.half = form->half, .saturate = form->saturate};
  const tsr_launch *launch = warp->block->launch;
  model.hardware = launch->config.accumulate == TESSERA_EMU_ACCUMULATE_HARDWARE;
  tsr_accumulation_hardware(launch->device, form->a_type, false, &model);
  if (!model.hardware || tsr_element_is_integer(a.type)) {
    tsr_tile_prepare_a(&a);
    tsr_tile_prepare_b(&b);
  }
  tsr_tile_multiply(&a, &b, &model, c);
  uint32_t out[4][TSR_LANES];
  tsr_fragment_d(c, form->half, out);
  for (uint32_t i = 0; i < form->c_count; ++i) {
    tsr_put32(warp, op->dst[i], mask, out[i]);
  }
  tsr_count_matrix(warp->profile, form->name);
  return TSR_FLOW_NEXT;
}

// --- Decoding ---------------------------------------------------------------

typedef struct mma_shape {
  const char *name;
  uint32_t k;
} mma_shape;

static const mma_shape mma_shapes[] = {
    {"m16n8k4", 4},   {"m16n8k8", 8},   {"m16n8k16", 16},
    {"m16n8k32", 32}, {"m16n8k64", 64},
};

static const char *const shape_names[] = {"m16n8k4",  "m16n8k8",  "m16n8k16",
                                          "m16n8k32", "m16n8k64", NULL};

typedef struct mma_types {
  tsr_ptx_type d, a, b, c;
} mma_types;

// What may be combined (the tables of 9.7.14.5.14 and 9.7.14.6.3).
static bool check_types(tsr_decoder *d, const mma_types *types,
                        mma_form *form) {
  if (!tsr_tensor_element(types->a, &form->a_type) ||
      !tsr_tensor_element(types->b, &form->b_type)) {
    return tsr_decode_error(d, "mma with elements of type .%s, .%s",
                            tsr_ptx_type_name(types->a),
                            tsr_ptx_type_name(types->b));
  }
  bool integer = tsr_element_is_integer(form->a_type);
  bool alike = tsr_elements_multiply(form->a_type, form->b_type);
  if (!alike) {
    return tsr_decode_error(d, "mma cannot multiply .%s with .%s",
                            tsr_ptx_type_name(types->a),
                            tsr_ptx_type_name(types->b));
  }
  bool may_half = types->a == TSR_PTX_F16 ||
                  (tsr_element_is_fp8(form->a_type) && !form->is_sparse);
  form->half = types->d == TSR_PTX_F16 && may_half;
  bool fits = types->c == types->d &&
              (form->half || types->d == (integer ? TSR_PTX_S32 : TSR_PTX_F32));
  if (!fits) {
    return tsr_decode_error(
        d, "mma of .%s cannot add .%s to give .%s", tsr_ptx_type_name(types->a),
        tsr_ptx_type_name(types->c), tsr_ptx_type_name(types->d));
  }
  if (form->saturate && !integer) {
    return tsr_decode_error(d, "'.satfinite' is for integers");
  }
  return true;
}

// Rows of 16 or 32 bytes, dense or kept.
static bool check_shape(tsr_decoder *d, const mma_shape *shape,
                        mma_form *form) {
  form->k = shape->k;
  uint32_t bytes = form->k * tsr_element_bytes(form->a_type);
  uint32_t kept = form->is_sparse ? bytes / 2 : bytes;
  bool fits = kept == 16 || kept == 32;
  if (form->is_sparse && tsr_element_is_fp8(form->a_type)) fits = kept == 32;
  if (!fits) {
    return tsr_decode_error(d, "mma%s of this type has no shape .%s",
                            form->is_sparse ? ".sp" : "", shape->name);
  }
  form->a_count = kept / 8;
  form->b_count = bytes / 16;
  form->c_count = form->half ? 2 : 4;
  return true;
}

static bool check_versions(tsr_decoder *d, const mma_form *form) {
  if (tsr_element_is_fp8(form->a_type)) {
    bool late = form->half || (!form->is_sparse && form->k == 16);
    return tsr_decode_require(d, late ? 87 : 84, 89, 0);
  }
  if (form->sparse.ordered) return tsr_decode_require(d, 85, 80, 0);
  return tsr_decode_require(d, form->is_sparse ? 71 : 70, 80, 0);
}

static bool decode_selector(tsr_decoder *d, mma_form *form) {
  uint64_t value;
  if (!tsr_immediate(d, tsr_operand(d, 5), &value)) return false;
  uint32_t count = tsr_sparse_selectors(form->a_type, form->k);
  if (value >= count) {
    return tsr_decode_error_at(d, tsr_operand(d, 5),
                               "sparsity selector out of range 0..%u",
                               count - 1);
  }
  form->sparse.type = form->a_type;
  form->sparse.k = form->k;
  form->sparse.selector = (uint32_t)value;
  return true;
}

static bool decode_operands(tsr_decoder *d, mma_form *form,
                            const mma_types *types) {
  uint32_t count = form->is_sparse ? 6 : 4;
  if (!tsr_need_operands(d, count, count)) return false;
  tsr_op *op = tsr_emit(d, run_mma, TESSERA_EMU_CLASS_MATRIX, form->c_count,
                        form->a_count + form->b_count + form->c_count +
                            (form->is_sparse ? 1 : 0));
  if (op == NULL) return false;
  op->flags |= TSR_OP_CONVERGED;
  op->data = form;
  tsr_ptx_type c_type = form->half ? TSR_PTX_B32 : types->c;
  tsr_ref *b = op->src + form->a_count, *c = b + form->b_count;
  if (!tsr_tensor_destinations(d, 0, form->c_count, c_type, op->dst) ||
      !tsr_tensor_sources(d, 1, form->a_count, TSR_PTX_B32, op->src) ||
      !tsr_tensor_sources(d, 2, form->b_count, TSR_PTX_B32, b) ||
      !tsr_tensor_sources(d, 3, form->c_count, c_type, c)) {
    return false;
  }
  if (!form->is_sparse) return true;
  return decode_selector(d, form) &&
         tsr_source(d, tsr_operand(d, 4), TSR_PTX_B32, c + form->c_count);
}

static bool decode_mma(tsr_decoder *d) {
  mma_form *form = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*form));
  if (form == NULL) return tsr_decode_error(d, "out of memory");
  form->sparse.ordered = tsr_mod(d, "sp::ordered_metadata");
  form->is_sparse = form->sparse.ordered || tsr_mod(d, "sp");
  if (!tsr_tensor_need_aligned(d)) return false;
  mma_types types;
  if (!tsr_mod_need_type(d, &types.d)) return false;
  if (types.d == TSR_PTX_F64 && !form->is_sparse) return tsr_decode_mma_f64(d);
  if (!tsr_mod_need_type(d, &types.a) || !tsr_mod_need_type(d, &types.b) ||
      !tsr_mod_need_type(d, &types.c)) {
    return false;
  }
  int shape = tsr_mod_need(d, shape_names, "a shape of 16 rows and 8 columns");
  if (shape < 0) return false;
  if (!tsr_tensor_need_row_col(d)) return false;
  form->saturate = tsr_mod(d, "satfinite");
  if (!check_types(d, &types, form) ||
      !check_shape(d, &mma_shapes[shape], form) || !check_versions(d, form)) {
    return false;
  }
  form->name = tsr_tensor_name(d, form->is_sparse ? "mma.sp" : "mma",
                               mma_shapes[shape].name, types.a, types.b);
  if (form->name == NULL) return tsr_decode_error(d, "out of memory");
  return decode_operands(d, form, &types);
}

const tsr_opcode tsr_opcodes_mma[] = {{"mma", decode_mma}, {0}};
