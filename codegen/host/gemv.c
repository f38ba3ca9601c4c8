// SPDX-License-Identifier: Apache-2.0
// A few tokens: the time is that of reading the weights once. They are
// multiplied as they come from the stream; the sums of a panel stay in the
// first cache between tiles.
#include "host.h"

// Instructions of straight-line code that one loop body may have, about.
enum { BODY_BUDGET = 320, MAX_CHUNK = 8 };

// One pass over a micro-panel, for some of its units and some tokens.
typedef struct gemv {
  const host_micro *micro;
  LLVMValueRef unit_first, token_first;  // i64
  uint32_t unit_count, token_count;
  uint32_t unit_base;          // of a pass that is straight-line code
  uint32_t weights, masks, x;  // cursors at the first unit; x: first token
} gemv;

LLVMValueRef host_gemv_accumulators(host_kernel *k, LLVMValueRef micro_index,
                                    LLVMValueRef token) {
  LLVMValueRef base = cg_at_index(&k->e, k->scratch, micro_index,
                                  (uint64_t)k->tokens * HOST_GEMV_TOKEN_SIZE);
  return cg_at_index(&k->e, base, token, HOST_GEMV_TOKEN_SIZE);
}

static LLVMValueRef load_x(host_kernel *k, const gemv *g,
                           const LLVMValueRef *cursors, uint32_t token,
                           uint32_t quad, bool is_last) {
  uint32_t valid = is_last ? g->micro->valid : TSR_HOST_QUAD;
  LLVMValueRef address = cg_at(&k->e, cursors[g->x + token], quad * 8u);
  LLVMValueRef bits = host_quad_load(k, address, valid);
  return k->dot ? bits : host_quad_convert(k, bits);
}

static LLVMValueRef load_unit(host_kernel *k, const gemv *g,
                              const LLVMValueRef *cursors, uint32_t unit) {
  cg_emit *e = &k->e;
  if (g->micro->kind == TSR_KIND_SPARSE24) {
    return host_expand_unit(
        k, cg_at(e, cursors[g->masks], host_mask_offset(unit)),
        cg_at(e, cursors[g->weights], host_values_offset(unit)));
  }
  return cg_load(e, cg_vector(e->i16, 32),
                 cg_at(e, cursors[g->weights], unit * 64u), 64, "w");
}

// Dense units, and 2:4 ones that this machine expands.
static void step_units(host_kernel *k, void *context, host_walk *walk,
                       const LLVMValueRef *cursors, uint32_t quad,
                       bool is_last) {
  const gemv *g = context;
  LLVMValueRef x[HOST_GEMV_TOKENS];
  cg_keep_order(&k->e);
  for (uint32_t t = 0; t < g->token_count; ++t) {
    x[t] = host_quad_broadcast(k, load_x(k, g, cursors, t, quad, is_last));
  }
  LLVMValueRef *acc = walk->accumulators;
  for (uint32_t u = 0; u < g->unit_count; ++u) {
    uint32_t unit = quad * g->micro->units + g->unit_base + u;
    LLVMValueRef w = load_unit(k, g, cursors, unit);
    for (uint32_t v = 0; v < k->vectors; ++v) {
      for (uint32_t t = 0; t < g->token_count; ++t, ++acc) {
        *acc = host_multiply_unit(k, w, v, x[t], *acc);
      }
    }
  }
}

uint32_t host_group_size(const host_kernel *k, uint32_t units, uint32_t unit) {
  return k->isa.lanes == 16 && units % 2 == 0 && unit + 2 <= units ? 2 : 1;
}

static void step_groups(host_kernel *k, void *context, host_walk *walk,
                        const LLVMValueRef *cursors, uint32_t quad,
                        bool is_last) {
  const gemv *g = context;
  cg_emit *e = &k->e;
  host_table tables[HOST_GEMV_TOKENS];
  cg_keep_order(e);
  for (uint32_t t = 0; t < g->token_count; ++t) {
    tables[t] = host_quad_table(k, load_x(k, g, cursors, t, quad, is_last));
  }
  LLVMValueRef *acc = walk->accumulators;
  uint32_t units = g->micro->units;
  for (uint32_t u = 0; u < units;) {
    uint32_t count = host_group_size(k, units, u);
    uint32_t unit = quad * units + u;
    host_group group = host_group_load(
        k, count, cg_at(e, cursors[g->masks], host_mask_offset(unit)),
        cg_at(e, cursors[g->weights], host_values_offset(unit)));
    for (uint32_t t = 0; t < g->token_count; ++t, ++acc) {
      *acc = host_group_multiply(k, &group, &tables[t], *acc);
    }
    u += count;
    if (k->isa.registers == 16) cg_keep_order(e);  // or it spills
  }
}

// Instructions of a vector of a unit, before it is multiplied.
static uint32_t convert_cost(const host_kernel *k) {
  if (k->dot) return 0;
  if (k->spec->weight_type == TSR_DTYPE_BF16) return 3;
  return k->isa.f16_convert ? 2 : 14;
}

// Largest power of two of quads whose code stays within the budget.
static uint32_t choose_chunk(const host_kernel *k, const gemv *g, bool table) {
  uint32_t per_vector = convert_cost(k) + 1 + g->token_count;
  uint32_t per_unit =
      table ? 3 + 2 * g->token_count : k->vectors * per_vector + 1;
  if (!table && g->micro->kind == TSR_KIND_SPARSE24) {
    per_unit += 128 / k->isa.lanes;
  }
  uint32_t per_quad =
      per_unit * g->unit_count + g->token_count * (2 + convert_cost(k));
  uint32_t chunk = MAX_CHUNK;
  while (chunk > 1 && chunk * per_quad > BODY_BUDGET) chunk /= 2;
  uint32_t whole = host_block_quads(g->micro->units);
  bool sparse = g->micro->kind == TSR_KIND_SPARSE24;
  return sparse && chunk < whole ? whole : chunk;
}

static void set_cursors(host_kernel *k, gemv *g, host_walk *walk) {
  cg_emit *e = &k->e;
  const host_micro *micro = g->micro;
  bool sparse = micro->kind == TSR_KIND_SPARSE24;
  uint32_t size = sparse ? 32 : 64;
  // Chunks of 2:4 units begin with a block, so that this stride is exact.
  uint32_t stride = micro->units * (sparse ? 36 : 64);
  LLVMValueRef first = micro->stream;
  LLVMValueRef masks = micro->stream;
  if (g->unit_base == 0) {
    first = cg_at_index(e, first, g->unit_first, size);
    masks = cg_at_index(e, masks, g->unit_first, 4);
  }
  g->weights = host_cursor(walk, first, stride);
  g->masks = host_cursor(walk, masks, stride);
  LLVMValueRef x = cg_at_index(e, k->input, micro->column,
                               (uint64_t)k->spec->tile.columns * 2);
  x = cg_at_value(e, x, cg_mul(e, k->input_stride, g->token_first));
  g->x = walk->cursor_count;
  for (uint32_t t = 0; t < g->token_count; ++t) {
    LLVMValueRef row = cg_mul_constant(e, k->input_stride, t);
    (void)host_cursor(walk, cg_at_value(e, x, row), 8);
  }
}

// Addresses of the accumulators of this pass, in the order of the steps.
static void accumulator_addresses(host_kernel *k, const gemv *g, bool table,
                                  host_walk *walk, LLVMValueRef *out,
                                  LLVMTypeRef *out_types) {
  cg_emit *e = &k->e;
  uint32_t n = 0;
  uint32_t size = host_acc_size(k);
  uint32_t units = g->unit_count;
  LLVMValueRef base =
      host_gemv_accumulators(k, g->micro->index, g->token_first);
  base = table
             ? cg_at(e, base, HOST_GEMV_DENSE_SIZE)
             : cg_at_index(e, base, g->unit_first, (uint64_t)k->vectors * size);
  for (uint32_t u = 0; u < units;) {
    uint32_t count = table ? host_group_size(k, units, u) : 1;
    for (uint32_t v = 0; v < (table ? 1 : k->vectors); ++v) {
      for (uint32_t t = 0; t < g->token_count; ++t, ++n) {
        uint32_t offset = table ? u * 32 : (u * k->vectors + v) * size;
        out[n] = cg_at(e, base, t * HOST_GEMV_TOKEN_SIZE + offset);
        out_types[n] = table ? cg_vector(e->f32, 8 * count) : host_acc_type(k);
      }
    }
    u += count;
  }
  walk->accumulator_count = n;
}

static void pass(host_kernel *k, gemv *g, bool table) {
  host_walk walk = {.name = table ? "gemv.sparse24.table" : "gemv.sparse24"};
  if (g->micro->kind == TSR_KIND_DENSE) walk.name = "gemv.dense";
  walk.quads = g->micro->quads;
  walk.short_last = g->micro->valid != TSR_HOST_QUAD;
  walk.chunk = choose_chunk(k, g, table);
  set_cursors(k, g, &walk);
  LLVMValueRef addresses[HOST_MAX_ACCUMULATORS];
  LLVMTypeRef types[HOST_MAX_ACCUMULATORS];
  accumulator_addresses(k, g, table, &walk, addresses, types);
  for (uint32_t i = 0; i < walk.accumulator_count; ++i) {
    walk.accumulators[i] = cg_load(&k->e, types[i], addresses[i], 16, "acc");
  }
  host_walk_quads(k, &walk, table ? step_groups : step_units, g);
  for (uint32_t i = 0; i < walk.accumulator_count; ++i) {
    cg_store(&k->e, walk.accumulators[i], addresses[i], 16);
  }
}

// Units and tokens of a pass: what the registers hold.
static void choose_pass(const host_kernel *k, const host_micro *micro,
                        bool table, gemv *out) {
  uint32_t budget = k->isa.registers == 32 ? 24 : 8;
  out->micro = micro;
  out->unit_count = micro->units;
  out->token_count = k->tokens;
  if (table) {
    uint32_t groups = k->isa.lanes == 16 ? 2 : 4;
    while (out->token_count * groups > budget) --out->token_count;
    return;
  }
  while (out->unit_count > 1 &&
         out->unit_count * k->vectors * out->token_count > budget) {
    --out->unit_count;
  }
  while (micro->units % out->unit_count != 0) --out->unit_count;
  while (out->token_count > 1 && k->vectors * out->token_count > budget) {
    --out->token_count;
  }
}

// Passes over |g->unit_count| units each, for the tokens that |g| names.
static void unit_passes(host_kernel *k, gemv *g, bool table) {
  cg_emit *e = &k->e;
  uint32_t passes = g->micro->units / g->unit_count;
  g->unit_first = cg_i64(e, 0);
  if (passes == 1) {
    pass(k, g, table);
    return;
  }
  if (g->micro->units == 3 && g->micro->kind == TSR_KIND_SPARSE24) {
    // Where these units lie in their blocks differs from quad to quad.
    for (uint32_t i = 0; i < passes; ++i) {
      g->unit_base = i * g->unit_count;
      g->unit_first = cg_i64(e, g->unit_base);
      pass(k, g, table);
    }
    g->unit_base = 0;
    return;
  }
  cg_loop loop;
  cg_loop_begin(e, "gemv.units", cg_i64(e, passes), &loop);
  g->unit_first = cg_mul_constant(e, loop.index, g->unit_count);
  pass(k, g, table);
  cg_loop_end(e, &loop);
}

// With few registers the micro-panel, by then in the first cache, is gone
// through several times, for some of its units and tokens each.
void host_gemv_micro(host_kernel *k, const host_micro *micro) {
  cg_emit *e = &k->e;
  bool table = k->table && micro->kind == TSR_KIND_SPARSE24;
  gemv g = {0};
  choose_pass(k, micro, table, &g);
  uint32_t passes = k->tokens / g.token_count;
  cg_loop loop;
  cg_loop_begin(e, "gemv.tokens", cg_i64(e, passes), &loop);
  g.token_first = cg_mul_constant(e, loop.index, g.token_count);
  unit_passes(k, &g, table);
  cg_loop_end(e, &loop);
  uint32_t rest = k->tokens % g.token_count;
  if (rest == 0) return;
  g.token_first = cg_i64(e, k->tokens - rest);
  g.token_count = rest;
  unit_passes(k, &g, table);
}
