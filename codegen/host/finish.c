// SPDX-License-Identifier: Apache-2.0
// From accumulators to one fp32 sum per row. An accumulator vector holds for
// each of its rows 2 partial sums (dot) or 4 (fp32): neighbours are added, then
// neighbours of those; sums of 2:4 tiles that were multiplied by table come
// last. This order is fixed, and docs/numerics.md states it.
#include "host.h"

enum { MAX_VECTORS = 32 };

typedef struct rows {
  LLVMValueRef vectors[MAX_VECTORS];
  uint32_t count;
} rows;

// Lanes 0,2,4.. of (a, b) plus lanes 1,3,5..
static LLVMValueRef add_neighbours(host_kernel *k, LLVMValueRef a,
                                   LLVMValueRef b) {
  cg_emit *e = &k->e;
  uint32_t even[16];
  uint32_t odd[16];
  for (uint32_t i = 0; i < k->isa.lanes; ++i) {
    even[i] = 2 * i;
    odd[i] = 2 * i + 1;
  }
  return LLVMBuildFAdd(e->builder, cg_shuffle(e, a, b, even, k->isa.lanes),
                       cg_shuffle(e, a, b, odd, k->isa.lanes), "");
}

static void add_partials(host_kernel *k, rows *r) {
  uint32_t partials = k->dot ? 2 : 4;
  for (; partials > 1; partials /= 2) {
    uint32_t out = 0;
    for (uint32_t i = 0; i < r->count; i += 2) {
      LLVMValueRef b =
          i + 1 < r->count ? r->vectors[i + 1] : cg_zero(host_acc_type(k));
      r->vectors[out++] = add_neighbours(k, r->vectors[i], b);
    }
    r->count = out;
  }
}

static void store_rows(host_kernel *k, const rows *r, uint32_t row_count,
                       LLVMValueRef out) {
  uint32_t lanes = k->isa.lanes;
  for (uint32_t i = 0; i < r->count && i * lanes < row_count; ++i) {
    uint32_t left = row_count - i * lanes;
    LLVMValueRef part =
        cg_slice(&k->e, r->vectors[i], 0, left < lanes ? left : lanes);
    cg_store(&k->e, part, cg_at(&k->e, out, (uint64_t)i * lanes * 4), 16);
  }
}

static LLVMValueRef in_row_order(host_kernel *k, LLVMValueRef sums,
                                 uint32_t count) {
  uint32_t lanes[16];
  for (uint32_t i = 0; i < 8 * count; ++i) {
    lanes[host_group_row(k, count, i)] = i;
  }
  return cg_shuffle(&k->e, sums, NULL, lanes, 8 * count);
}

// Adds the sums of groups to those of units; both in order of rows.
static void add_groups(host_kernel *k, uint32_t units, LLVMValueRef base,
                       rows *r) {
  cg_emit *e = &k->e;
  bool dense = r->count != 0;
  uint32_t n = 0;
  for (uint32_t u = 0; u < units; ++n) {
    uint32_t count = host_group_size(k, units, u);
    LLVMValueRef sums =
        cg_load(e, cg_vector(e->f32, 8 * count),
                cg_at(e, base, HOST_GEMV_DENSE_SIZE + u * 32u), 16, "");
    sums = in_row_order(k, sums, count);
    uint32_t wide[16];
    for (uint32_t i = 0; i < 16; ++i) wide[i] = i < 8 * count ? i : 0;
    if (8 * count < k->isa.lanes) {
      sums = cg_shuffle(e, sums, NULL, wide, k->isa.lanes);
    }
    if (dense) sums = LLVMBuildFAdd(e->builder, r->vectors[n], sums, "");
    r->vectors[n] = sums;
    u += count;
  }
  r->count = n;
}

static bool has_kind(const host_kernel *k, tsr_kind kind) {
  return (k->spec->kinds & 1u << kind) != 0;
}

static void finish_gemv(host_kernel *k, LLVMValueRef micro_index,
                        uint32_t units, LLVMValueRef destination) {
  cg_emit *e = &k->e;
  bool grouped = k->table && has_kind(k, TSR_KIND_SPARSE24);
  for (uint32_t t = 0; t < k->tokens; ++t) {
    LLVMValueRef base = host_gemv_accumulators(k, micro_index, cg_i64(e, t));
    rows r = {.count = 0};
    if (!grouped || has_kind(k, TSR_KIND_DENSE)) {
      r.count = units * k->vectors;
      for (uint32_t i = 0; i < r.count; ++i) {
        r.vectors[i] = cg_load(e, host_acc_type(k),
                               cg_at(e, base, i * host_acc_size(k)), 16, "");
      }
      add_partials(k, &r);
    }
    if (grouped) add_groups(k, units, base, &r);
    store_rows(k, &r, units * 8,
               cg_at(e, destination, (uint64_t)t * k->spec->tile.rows * 4));
  }
}

static void finish_token(host_kernel *k, LLVMValueRef micro_index,
                         LLVMValueRef block, uint32_t t, uint32_t units,
                         LLVMValueRef destination) {
  cg_emit *e = &k->e;
  LLVMValueRef token = cg_mul_constant(e, block, k->tokens);
  token = cg_add(e, token, cg_i64(e, t));
  cg_branch branch;
  cg_if(e, LLVMBuildICmp(e->builder, LLVMIntULT, token, k->chunk_count, ""),
        "finish.token", &branch);
  rows r = {.count = units * k->vectors};
  for (uint32_t i = 0; i < r.count; ++i) {
    r.vectors[i] = host_block_accumulator(k, micro_index, block, i, t);
  }
  add_partials(k, &r);
  store_rows(
      k, &r, units * 8,
      cg_at_index(e, destination, token, (uint64_t)k->spec->tile.rows * 4));
  cg_endif(e, &branch);
}

void host_finish_micro(host_kernel *k, LLVMValueRef micro_index, uint32_t units,
                       LLVMValueRef destination) {
  cg_emit *e = &k->e;
  destination = cg_at_index(e, destination, micro_index,
                            TSR_HOST_MICRO_ROWS * sizeof(float));
  if (k->strategy == HOST_GEMV) {
    finish_gemv(k, micro_index, units, destination);
    return;
  }
  cg_loop loop;
  cg_loop_begin(e, "finish.blocks", k->chunk_blocks, &loop);
  for (uint32_t t = 0; t < k->tokens; ++t) {
    finish_token(k, micro_index, loop.index, t, units, destination);
  }
  cg_loop_end(e, &loop);
}
