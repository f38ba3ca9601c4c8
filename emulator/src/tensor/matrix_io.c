// SPDX-License-Identifier: Apache-2.0
// ldmatrix, stmatrix, movmatrix (PTX ISA 9.7.14.5.15 to .17): 8x8 matrices of
// 16-bit elements. Matrix i's row r is the 16 bytes at the address of lane
// 8i + r; register i of lane l holds elements 2 (l % 4) and + 1 of row l / 4,
// or of column l / 4 with .trans. An access of 16 bytes per lane is served 8
// lanes at a time, one matrix, and counted so.
#include "check/report.h"
#include "memory/access.h"
#include "tensor/decode_tensor.h"

extern const tsr_opcode tsr_opcodes_matrix_io[];

typedef struct io_form {
  const tsr_address *address;
  tsr_ptx_space space;
  uint32_t count;
  bool transposed;
} io_form;

typedef uint16_t matrix[8][8];

// Generic addresses must lie in shared memory (9.7.14.5.15).
static bool check_shared(tsr_warp *warp, const tsr_op *op,
                         const tsr_access *access) {
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint64_t offset;
    if ((access->mask >> i & 1) == 0 ||
        tsr_generic_space(access->address[i], &offset) ==
            TSR_PTX_SPACE_SHARED) {
      continue;
    }
    tsr_find(warp, op, i, TESSERA_EMU_ILLEGAL, true, access->address[i],
             "the row of a matrix is not in shared memory");
    return false;
  }
  return true;
}

// The lanes of |mask| that hold the addresses of |form|'s rows.
static bool resolve_rows(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                         tsr_access_kind kind, tsr_access *access) {
  const io_form *form = op->data;
  uint32_t rows =
      form->count == 4 ? TSR_ALL_LANES : (1u << (8 * form->count)) - 1;
  *access = (tsr_access){.space = form->space,
                         .kind = kind,
                         .proxy = TSR_PROXY_GENERIC,
                         .size = 16,
                         .align = 16,
                         .mask = mask & rows};
  if (access->mask == 0) return true;
  tsr_address_lanes(warp, form->address, access->address);
  if (form->space == TSR_PTX_SPACE_NONE && !check_shared(warp, op, access)) {
    return false;
  }
  return tsr_access_resolve(warp, op, access);
}

// Element |e| (0, 1) of the register of |lane|.
static uint16_t *matrix_element(matrix m, uint32_t lane, uint32_t e,
                                bool transposed) {
  uint32_t row = lane >> 2, column = 2 * (lane & 3) + e;
  return transposed ? &m[column][row] : &m[row][column];
}

static void matrix_to_lanes(matrix m, bool transposed,
                            uint32_t lanes[TSR_LANES]) {
  for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
    lanes[lane] = *matrix_element(m, lane, 0, transposed) |
                  (uint32_t)*matrix_element(m, lane, 1, transposed) << 16;
  }
}

static void matrix_from_lanes(matrix m, bool transposed,
                              const uint32_t lanes[TSR_LANES]) {
  for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
    *matrix_element(m, lane, 0, transposed) = (uint16_t)lanes[lane];
    *matrix_element(m, lane, 1, transposed) = (uint16_t)(lanes[lane] >> 16);
  }
}

static tsr_flow run_ldmatrix(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const io_form *form = op->data;
  tsr_tensor_check_lanes(warp, op, mask);
  tsr_access access;
  if (!resolve_rows(warp, op, mask, TSR_ACCESS_LOAD, &access)) {
    return TSR_FLOW_FAULT;
  }
  uint32_t out[4][TSR_LANES];
  for (uint32_t i = 0; i < form->count; ++i) {
    matrix m = {{0}};
    for (uint32_t row = 0; row < 8; ++row) {
      uint32_t lane = 8 * i + row;
      if ((access.mask >> lane & 1) != 0) memcpy(m[row], access.host[lane], 16);
    }
    matrix_to_lanes(m, form->transposed, out[i]);
  }
  for (uint32_t i = 0; i < form->count; ++i) {
    tsr_put32(warp, op->dst[i], mask, out[i]);
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_stmatrix(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const io_form *form = op->data;
  tsr_tensor_check_lanes(warp, op, mask);
  tsr_access access;
  if (!resolve_rows(warp, op, mask, TSR_ACCESS_STORE, &access)) {
    return TSR_FLOW_FAULT;
  }
  for (uint32_t i = 0; i < form->count; ++i) {
    matrix m;
    matrix_from_lanes(m, form->transposed, tsr_src32(warp, op->src[1 + i]));
    for (uint32_t row = 0; row < 8; ++row) {
      uint32_t lane = 8 * i + row;
      if ((access.mask >> lane & 1) != 0) memcpy(access.host[lane], m[row], 16);
    }
  }
  return TSR_FLOW_NEXT;
}

static tsr_flow run_movmatrix(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_tensor_check_lanes(warp, op, mask);
  matrix m;
  uint32_t out[TSR_LANES];
  matrix_from_lanes(m, false, tsr_src32(warp, op->src[0]));
  matrix_to_lanes(m, true, out);
  tsr_put32(warp, op->dst[0], mask, out);
  return TSR_FLOW_NEXT;
}

// --- Decoding ---------------------------------------------------------------

// Modifiers of ldmatrix and stmatrix.
static bool decode_form(tsr_decoder *d, io_form *form) {
  static const char *const shapes[] = {"m8n8", NULL};
  static const char *const counts[] = {"x1", "x2", "x4", NULL};
  if (!tsr_tensor_need_aligned(d) ||
      tsr_mod_need(d, shapes, "shape .m8n8 (others are not executed)") < 0) {
    return false;
  }
  int count = tsr_mod_need(d, counts, ".x1, .x2 or .x4");
  if (count < 0) return false;
  form->count = 1u << count;
  form->transposed = tsr_mod(d, "trans");
  bool shared = tsr_mod(d, "shared") || tsr_mod(d, "shared::cta");
  form->space = shared ? TSR_PTX_SPACE_SHARED : TSR_PTX_SPACE_NONE;
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B16) return tsr_decode_error(d, "type .b16 expected");
  return tsr_need_operands(d, 2, 2);
}

// Source 0 of |op| is the base of the address operand |index|.
static bool decode_address(tsr_decoder *d, uint32_t index, tsr_op *op,
                           io_form *form) {
  tsr_address address;
  if (!tsr_address_operand(d, tsr_operand(d, index), form->space, &address)) {
    return false;
  }
  op->flags |= TSR_OP_CONVERGED;
  op->data = form;
  form->space = address.space;
  form->address = tsr_emit_address(d, op, 0, &address);
  return form->address != NULL;
}

static bool decode_ldmatrix(tsr_decoder *d) {
  io_form *form = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*form));
  if (form == NULL) return tsr_decode_error(d, "out of memory");
  if (!decode_form(d, form) || !tsr_decode_require(d, 65, 75, 0)) return false;
  tsr_op *op =
      tsr_emit(d, run_ldmatrix, TESSERA_EMU_CLASS_MATRIX_IO, form->count, 1);
  return op != NULL && decode_address(d, 1, op, form) &&
         tsr_tensor_destinations(d, 0, form->count, TSR_PTX_B32, op->dst);
}

static bool decode_stmatrix(tsr_decoder *d) {
  io_form *form = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*form));
  if (form == NULL) return tsr_decode_error(d, "out of memory");
  if (!decode_form(d, form) || !tsr_decode_require(d, 78, 90, 0)) return false;
  tsr_op *op = tsr_emit(d, run_stmatrix, TESSERA_EMU_CLASS_MATRIX_IO, 0,
                        1 + form->count);
  return op != NULL && decode_address(d, 0, op, form) &&
         tsr_tensor_sources(d, 1, form->count, TSR_PTX_B32, op->src + 1);
}

static bool decode_movmatrix(tsr_decoder *d) {
  if (!tsr_tensor_need_aligned(d)) return false;
  if (!tsr_mod(d, "m8n8") || !tsr_mod(d, "trans") || !tsr_mod(d, "b16")) {
    return tsr_decode_error(d, "'.m8n8.trans.b16' expected");
  }
  if (!tsr_decode_require(d, 78, 75, 0) || !tsr_need_operands(d, 2, 2)) {
    return false;
  }
  tsr_op *op = tsr_emit(d, run_movmatrix, TESSERA_EMU_CLASS_MATRIX_IO, 1, 1);
  if (op == NULL) return false;
  op->flags |= TSR_OP_CONVERGED;
  return tsr_destination(d, tsr_operand(d, 0), TSR_PTX_B32, false,
                         &op->dst[0]) &&
         tsr_source(d, tsr_operand(d, 1), TSR_PTX_B32, &op->src[0]);
}

const tsr_opcode tsr_opcodes_matrix_io[] = {{"ldmatrix", decode_ldmatrix},
                                            {"stmatrix", decode_stmatrix},
                                            {"movmatrix", decode_movmatrix},
                                            {0}};
