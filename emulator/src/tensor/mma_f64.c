// SPDX-License-Identifier: Apache-2.0
// mma with double precision (PTX ISA 9.7.14.5.14): m8n8k4 and, from sm_90 on,
// m16n8k4, k8 and k16. One fused multiply-add after the other, k ascending, in
// every accumulation model: that is what MMA-Sim found on hardware, and the ISA
// asks for the precision of fma. Fragments: A, register i: row g + 8 (i % 2),
// column t + 4 (i / 2); for 8 rows one register per 4 columns. B, register i:
// row t + 4i, column g. C: row g + 8 (i / 2), column 2t + i % 2.
#include <fenv.h>
#include <math.h>

#include "memory/access.h"
#include "tensor/decode_tensor.h"

typedef struct f64_form {
  const char *shape;
  uint32_t rows, k;
  const char *name;
  int rounding;  // of fesetround
} f64_form;

static double lane_value(const tsr_warp *warp, tsr_ref ref, uint32_t lane) {
  double value;
  memcpy(&value, &tsr_src64(warp, ref)[lane], sizeof(value));
  return value;
}

// The sum of row |row| and column |column|, from |c|.
static double sum_products(const tsr_warp *warp, const tsr_op *op, uint32_t row,
                           uint32_t column, double c) {
  const f64_form *form = op->data;
  uint32_t halves = form->rows / 8;
  const tsr_ref *b = op->src + form->k / 4 * halves;
  for (uint32_t k = 0; k < form->k; ++k) {
    uint32_t t = k & 3;
    tsr_ref a = op->src[k / 4 * halves + row / 8];
    c = fma(lane_value(warp, a, 4 * (row & 7) + t),
            lane_value(warp, b[k / 4], 4 * column + t), c);
  }
  return c;
}

static tsr_flow run_mma_f64(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const f64_form *form = op->data;
  tsr_tensor_check_lanes(warp, op, mask);
  const tsr_ref *c = op->src + form->k / 4 * (form->rows / 8 + 1);
  uint64_t out[4][TSR_LANES];
  int rounding = fegetround();
  (void)fesetround(form->rounding);
  for (uint32_t i = 0; i < op->dst_count; ++i) {
    for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
      uint32_t row = (lane >> 2) + 8 * (i >> 1);
      uint32_t column = 2 * (lane & 3) + (i & 1);
      double sum =
          sum_products(warp, op, row, column, lane_value(warp, c[i], lane));
      memcpy(&out[i][lane], &sum, sizeof(sum));
    }
  }
  (void)fesetround(rounding);
  for (uint32_t i = 0; i < op->dst_count; ++i) {
    tsr_put64(warp, op->dst[i], mask, out[i]);
  }
  tsr_count_matrix(warp->profile, form->name);
  return TSR_FLOW_NEXT;
}

static const f64_form f64_forms[] = {
    {"m8n8k4", 8, 4, "mma.m8n8k4.f64", 0},
    {"m16n8k4", 16, 4, "mma.m16n8k4.f64", 0},
    {"m16n8k8", 16, 8, "mma.m16n8k8.f64", 0},
    {"m16n8k16", 16, 16, "mma.m16n8k16.f64", 0},
};

bool tsr_decode_mma_f64(tsr_decoder *d) {
  static const char *const shapes[] = {"m8n8k4", "m16n8k4", "m16n8k8",
                                       "m16n8k16", NULL};
  static const char *const roundings[] = {"rn", "rz", "rm", "rp", NULL};
  static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD,
                              FE_UPWARD};
  for (int i = 0; i < 3; ++i) {
    tsr_ptx_type type;
    if (!tsr_mod_need_type(d, &type)) return false;
    if (type != TSR_PTX_F64) {
      return tsr_decode_error(d, "all types of a .f64 mma must be .f64");
    }
  }
  int shape = tsr_mod_need(d, shapes, "a shape of .f64");
  if (shape < 0) return false;
  if (!tsr_tensor_need_row_col(d)) return false;
  int mode = tsr_mod_one_of(d, roundings);
  if (!tsr_decode_require(d, shape == 0 ? 70 : 78, shape == 0 ? 80 : 90, 0) ||
      !tsr_need_operands(d, 4, 4)) {
    return false;
  }
  f64_form *form = tsr_arena_alloc(tsr_decode_arena(d), sizeof(*form));
  if (form == NULL) return tsr_decode_error(d, "out of memory");
  *form = f64_forms[shape];
  form->rounding = modes[mode < 0 ? 0 : mode];
  uint32_t halves = form->rows / 8, parts = form->k / 4;
  tsr_op *op = tsr_emit(d, run_mma_f64, TESSERA_EMU_CLASS_MATRIX, 2 * halves,
                        parts * (halves + 1) + 2 * halves);
  if (op == NULL) return false;
  op->flags |= TSR_OP_CONVERGED;
  op->data = form;
  tsr_ref *b = op->src + parts * halves;
  return tsr_tensor_destinations(d, 0, 2 * halves, TSR_PTX_F64, op->dst) &&
         tsr_tensor_sources(d, 1, parts * halves, TSR_PTX_F64, op->src) &&
         tsr_tensor_sources(d, 2, parts, TSR_PTX_F64, b) &&
         tsr_tensor_sources(d, 3, 2 * halves, TSR_PTX_F64, b + parts);
}
