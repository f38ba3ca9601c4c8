// SPDX-License-Identifier: Apache-2.0
// 2:4 units, in two ways.
//
// By table (machines that permute by a register of indices): the two kept
// columns of a row are one of six patterns, told apart by the low three bits of
// the row's mask. So a quad of X is turned once into a table "pattern -> the
// x that meet the kept weights", a row's mask is its index, and the kept
// weights are multiplied as they lie in the stream. Nothing is expanded.
//
// By expansion (batch and gemm, where one expansion serves many tokens, and
// machines without such permutes): the unit is brought back to 8 x 4.
#include "host.h"

enum { UNIT = TSR_HOST_UNIT_ROWS * TSR_HOST_QUAD };

// Kept columns by the low three bits of a row's mask; 0 and 7 do not occur.
static const uint8_t kept_first[8] = {0, 0, 1, 0, 2, 0, 1, 0};
static const uint8_t kept_second[8] = {1, 3, 3, 1, 3, 2, 2, 1};

// Dword lanes: for pattern p the bf16 pair (x[first], x[second]).
static LLVMValueRef pair_table(host_kernel *k, LLVMValueRef quad) {
  cg_emit *e = &k->e;
  LLVMValueRef words =
      cg_bitcast(e, cg_splat(e, quad, 8), cg_vector(e->i16, UNIT));
  uint32_t lanes[UNIT];
  for (uint32_t p = 0; p < 16; ++p) {
    uint32_t base = p / 4 * 8;  // within 128 bits: one vpshufb
    lanes[2 * p] = base + kept_first[p % 8];
    lanes[2 * p + 1] = base + kept_second[p % 8];
  }
  words = cg_shuffle(e, words, NULL, lanes, UNIT);
  return cg_bitcast(e, words, cg_vector(e->i32, 16));
}

host_table host_quad_table(host_kernel *k, LLVMValueRef quad) {
  cg_emit *e = &k->e;
  host_table table = {NULL, NULL};
  if (k->dot) {
    table.first = pair_table(k, quad);
    return table;
  }
  uint32_t first[16];
  uint32_t second[16];
  for (uint32_t p = 0; p < k->isa.lanes; ++p) {
    first[p] = kept_first[p % 8];
    second[p] = kept_second[p % 8];
  }
  table.first = cg_shuffle(e, quad, NULL, first, k->isa.lanes);
  table.second = cg_shuffle(e, quad, NULL, second, k->isa.lanes);
  return table;
}

// fp16 values are converted in stream order and parted into first and second
// within 128-bit lanes (one shuffle each), which leaves the rows in this order.
uint32_t host_group_row(const host_kernel *k, uint32_t count, uint32_t lane) {
  static const uint8_t single[8] = {0, 1, 4, 5, 2, 3, 6, 7};
  if (k->spec->weight_type == TSR_DTYPE_BF16) return lane;
  if (count == 1) return single[lane];
  return lane % 4 / 2 * 8 + lane / 4 * 2 + lane % 2;
}

static LLVMValueRef multishift(host_kernel *k, LLVMValueRef control,
                               LLVMValueRef data) {
  LLVMTypeRef bytes = cg_vector(k->e.i8, 64);
  LLVMValueRef arguments[] = {cg_bitcast(&k->e, control, bytes),
                              cg_bitcast(&k->e, data, bytes)};
  return cg_intrinsic(&k->e, "llvm.x86.avx512.pmultishift.qb.512", NULL,
                      arguments, 2);
}

// One instruction: each dword takes the byte that starts at its row's mask.
static LLVMValueRef indices_by_multishift(host_kernel *k,
                                          LLVMValueRef address) {
  cg_emit *e = &k->e;
  uint64_t control[16];
  for (uint32_t i = 0; i < 16; ++i) control[i] = 4 * host_group_row(k, 2, i);
  LLVMValueRef masks = cg_load(e, e->i64, address, 4, "masks");
  LLVMValueRef out = multishift(k, cg_vector_constant(e->i32, control, 16),
                                cg_splat(e, masks, 8));
  return cg_bitcast(e, out, cg_vector(e->i32, 16));
}

static LLVMValueRef indices_load(host_kernel *k, uint32_t count,
                                 LLVMValueRef address) {
  cg_emit *e = &k->e;
  if (count == 2 && k->isa.multishift) {
    return indices_by_multishift(k, address);
  }
  uint64_t shifts[16];
  uint32_t units[16];
  for (uint32_t i = 0; i < 8 * count; ++i) {
    uint32_t row = host_group_row(k, count, i);
    shifts[i] = row % 8 * 4;
    units[i] = row / 8;
  }
  LLVMValueRef masks =
      cg_load(e, cg_vector(e->i32, count), address, 4, "masks");
  masks = cg_shuffle(e, masks, NULL, units, 8 * count);
  return LLVMBuildLShr(e->builder, masks,
                       cg_vector_constant(e->i32, shifts, 8 * count),
                       "indices");
}

static LLVMValueRef values_f16(host_kernel *k, uint32_t count,
                               LLVMValueRef address, uint32_t which) {
  cg_emit *e = &k->e;
  uint32_t n = 8 * count;
  LLVMTypeRef type = cg_vector(e->i16, n);
  LLVMValueRef a = host_weight_to_f32(k, cg_load(e, type, address, 32, "w"));
  LLVMValueRef b = host_weight_to_f32(
      k, cg_load(e, type, cg_at(e, address, 2 * n), 16, "w"));
  uint32_t lanes[16];
  for (uint32_t i = 0; i < n; ++i) {
    lanes[i] = i / 4 * 4 + i % 2 * 2 + i % 4 / 2 * n + which;
  }
  return cg_shuffle(e, a, b, lanes, n);
}

host_group host_group_load(host_kernel *k, uint32_t count,
                           LLVMValueRef mask_address,
                           LLVMValueRef values_address) {
  cg_emit *e = &k->e;
  host_group group = {.count = count};
  uint32_t n = 8 * count;
  group.indices = indices_load(k, count, mask_address);
  if (k->spec->weight_type == TSR_DTYPE_F16) {
    group.first = values_f16(k, count, values_address, 0);
    group.second = values_f16(k, count, values_address, 1);
    return group;
  }
  LLVMTypeRef ints = cg_vector(e->i32, n);
  LLVMTypeRef floats = cg_vector(e->f32, n);
  LLVMValueRef pairs = cg_load(e, ints, values_address, 32, "w");
  group.first = pairs;
  if (k->dot) return group;
  LLVMValueRef low = cg_splat_constant(cg_i32(e, 16), n);
  LLVMValueRef high = cg_splat_constant(cg_i32(e, 0xffff0000u), n);
  group.first = cg_bitcast(e, LLVMBuildShl(e->builder, pairs, low, ""), floats);
  group.second =
      cg_bitcast(e, LLVMBuildAnd(e->builder, pairs, high, ""), floats);
  return group;
}

// table[indices]; a table of 16 entries repeats after 8, so its lower half
// serves groups of one unit.
static LLVMValueRef permute(host_kernel *k, LLVMValueRef table,
                            LLVMValueRef indices, uint32_t n) {
  cg_emit *e = &k->e;
  table = cg_slice(e, table, 0, n);
  if (k->dot) {
    LLVMValueRef arguments[] = {table, indices};
    return cg_intrinsic(
        e, n == 16 ? "llvm.x86.avx512.permvar.si.512" : "llvm.x86.avx2.permd",
        NULL, arguments, 2);
  }
  LLVMValueRef arguments[] = {table, indices};
  return cg_intrinsic(
      e, n == 16 ? "llvm.x86.avx512.permvar.sf.512" : "llvm.x86.avx2.permps",
      NULL, arguments, 2);
}

LLVMValueRef host_group_multiply(host_kernel *k, const host_group *group,
                                 const host_table *table, LLVMValueRef acc) {
  cg_emit *e = &k->e;
  uint32_t n = 8 * group->count;
  LLVMValueRef x = permute(k, table->first, group->indices, n);
  if (k->dot) {
    LLVMTypeRef pairs = cg_vector(e->bf16, 2 * n);
    LLVMValueRef arguments[] = {acc, cg_bitcast(e, group->first, pairs),
                                cg_bitcast(e, x, pairs)};
    return cg_intrinsic(e,
                        n == 16 ? "llvm.x86.avx512bf16.dpbf16ps.512"
                                : "llvm.x86.avx512bf16.dpbf16ps.256",
                        NULL, arguments, 3);
  }
  acc = cg_multiply_add(e, group->first, x, acc);
  x = permute(k, table->second, group->indices, n);
  return cg_multiply_add(e, group->second, x, acc);
}

// Four instructions for a unit: a row's mask selects eight bit offsets, by
// which the row's 64 bits are gathered from (first, second, 0, 0).
static LLVMValueRef expand_by_multishift(host_kernel *k, LLVMValueRef mask,
                                         LLVMValueRef values) {
  cg_emit *e = &k->e;
  LLVMTypeRef quads = cg_vector(e->i64, 8);
  uint64_t rows[8];
  uint64_t offsets[8];
  for (uint32_t p = 0; p < 8; ++p) {
    rows[p] = 4 * p;
    offsets[p] = 0;
    for (uint32_t c = 0; c < 4; ++c) {
      uint64_t from = c == kept_first[p] ? 0 : c == kept_second[p] ? 16 : 32;
      offsets[p] |= (from | (from + 8) << 8) << (16 * c);
    }
  }
  LLVMValueRef indices =
      multishift(k, cg_vector_constant(e->i64, rows, 8), cg_splat(e, mask, 16));
  LLVMValueRef arguments[] = {cg_vector_constant(e->i64, offsets, 8),
                              cg_bitcast(e, indices, quads)};
  LLVMValueRef control =
      cg_intrinsic(e, "llvm.x86.avx512.permvar.di.512", NULL, arguments, 2);
  values = cg_bitcast(e, values, cg_vector(e->i32, 8));
  values = LLVMBuildZExt(e->builder, values, quads, "");
  return cg_bitcast(e, multishift(k, control, values), cg_vector(e->i16, UNIT));
}

// Bits of |mask| as a condition per element.
static LLVMValueRef conditions(host_kernel *k, LLVMValueRef mask) {
  cg_emit *e = &k->e;
  if (k->isa.lanes == 16) return cg_bitcast(e, mask, cg_vector(e->i1, UNIT));
  uint64_t bits[UNIT];
  uint32_t halves[UNIT];
  for (uint32_t i = 0; i < UNIT; ++i) {
    bits[i] = 1u << i % 16;
    halves[i] = i / 16;
  }
  LLVMValueRef words = cg_bitcast(e, mask, cg_vector(e->i16, 2));
  words = cg_shuffle(e, words, NULL, halves, UNIT);
  words = LLVMBuildAnd(e->builder, words,
                       cg_vector_constant(e->i16, bits, UNIT), "");
  return LLVMBuildICmp(e->builder, LLVMIntNE, words,
                       cg_zero(cg_vector(e->i16, UNIT)), "");
}

// Elements that have a kept one before them in their group.
static LLVMValueRef later_elements(host_kernel *k, LLVMValueRef mask) {
  static const uint32_t room[3] = {0xeeeeeeeeu, 0xccccccccu, 0x88888888u};
  cg_emit *e = &k->e;
  LLVMValueRef later = cg_i32(e, 0);
  for (uint32_t i = 0; i < 3; ++i) {
    LLVMValueRef moved = LLVMBuildShl(e->builder, mask, cg_i32(e, i + 1), "");
    moved = LLVMBuildAnd(e->builder, moved, cg_i32(e, room[i]), "");
    later = LLVMBuildOr(e->builder, later, moved, "later");
  }
  return later;
}

LLVMValueRef host_expand_unit(host_kernel *k, LLVMValueRef mask_address,
                              LLVMValueRef values_address) {
  cg_emit *e = &k->e;
  LLVMValueRef mask = cg_load(e, e->i32, mask_address, 4, "mask");
  LLVMValueRef values =
      cg_load(e, cg_vector(e->i16, 16), values_address, 32, "w");
  if (k->isa.multishift) return expand_by_multishift(k, mask, values);
  uint32_t lanes[UNIT];
  for (uint32_t i = 0; i < UNIT; ++i) lanes[i] = i / 4 * 2;
  LLVMValueRef first = cg_shuffle(e, values, NULL, lanes, UNIT);
  for (uint32_t i = 0; i < UNIT; ++i) lanes[i] = i / 4 * 2 + 1;
  LLVMValueRef second = cg_shuffle(e, values, NULL, lanes, UNIT);
  LLVMValueRef later = conditions(k, later_elements(k, mask));
  LLVMValueRef unit = LLVMBuildSelect(e->builder, later, second, first, "");
  return LLVMBuildSelect(e->builder, conditions(k, mask), unit,
                         cg_zero(cg_vector(e->i16, UNIT)), "unit");
}
