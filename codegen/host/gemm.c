// SPDX-License-Identifier: Apache-2.0
// More tokens than gemv serves. X is packed once (quads of a block of tokens
// side by side); a micro-panel is brought into the form that the arithmetic
// wants, once per chunk of tokens, in the first cache; then it is multiplied
// with block after block of tokens, sums in registers.
#include "host.h"

// As in gemv.c.
enum { PREFETCH_DISTANCE = 8192 };
enum { NEXT_LINES = 8 };  // of the next micro-panel, asked for per block

uint32_t host_block_tokens(const cg_isa *isa, bool dot,
                           host_strategy strategy) {
  if (dot) return strategy == HOST_BATCH ? 4 : 6;
  if (isa->lanes == 4 && isa->registers == 16) return 1;
  return 3;
}

// Units of a register block: 24 (or 12 of 16) accumulators.
static uint32_t block_units(const host_kernel *k) {
  uint32_t budget = k->isa.registers == 32 ? 24 : 12;
  uint32_t units = 4;
  while (units > 1 && units * k->vectors * k->tokens > budget) units /= 2;
  return units;
}

static uint32_t x_quad_size(const host_kernel *k) {
  return k->dot ? 8 : 16;
}

static uint64_t x_block_size(const host_kernel *k) {
  return (uint64_t)k->shape.quads * k->tokens * x_quad_size(k);
}

static uint32_t expanded_unit_size(const host_kernel *k) {
  return k->dot ? HOST_UNIT_SIZE : HOST_UNIT_F32_SIZE;
}

static uint32_t blocks_limit(const host_kernel *k) {
  return (k->sizes.chunk + 11) / 12 * 12 / k->tokens;
}

// ---- bringing a micro-panel into form ----

// Unit |i| of those whose weights start at |from|, dense ones or those of a
// block of 2:4 ones, into the place of unit |index|.
static void expand_one(host_kernel *k, const host_micro *micro,
                       LLVMValueRef from, uint32_t i, LLVMValueRef index) {
  cg_emit *e = &k->e;
  LLVMValueRef out = cg_at(e, k->scratch, k->sizes.expanded);
  out = cg_at_index(e, out, index, expanded_unit_size(k));
  LLVMValueRef unit;
  if (micro->kind == TSR_KIND_SPARSE24) {
    unit = host_expand_unit(k, cg_at(e, from, host_mask_offset(i)),
                            cg_at(e, from, host_values_offset(i)));
  } else {
    unit = cg_load(e, cg_vector(e->i16, 32), cg_at(e, from, i * 64u), 64, "w");
  }
  if (k->dot) {
    cg_store(e, unit, out, 64);
    return;
  }
  for (uint32_t v = 0; v < k->vectors; ++v) {
    LLVMValueRef part = cg_slice(e, unit, v * k->isa.lanes, k->isa.lanes);
    cg_store(e, host_weight_to_f32(k, part),
             cg_at(e, out, v * host_acc_size(k)), host_acc_size(k));
  }
}

static void expand_micro(host_kernel *k, const host_micro *micro) {
  cg_emit *e = &k->e;
  enum { TOGETHER = TSR_HOST_BLOCK_UNITS };
  bool dense = micro->kind == TSR_KIND_DENSE;
  uint32_t size = dense ? TOGETHER * 64 : TSR_HOST_BLOCK_SIZE;
  uint32_t units = micro->units * micro->quads;
  uint32_t blocks = units / TOGETHER;
  cg_loop loop;
  cg_loop_begin(e, dense ? "expand.dense" : "expand.sparse24",
                cg_i64(e, blocks), &loop);
  LLVMValueRef from = cg_at_index(e, micro->stream, loop.index, size);
  LLVMValueRef first = cg_mul_constant(e, loop.index, TOGETHER);
  for (uint32_t i = 0; i < TOGETHER; ++i) {
    expand_one(k, micro, from, i, cg_add(e, first, cg_i64(e, i)));
  }
  cg_loop_end(e, &loop);
  from = cg_at(e, micro->stream, (uint64_t)blocks * size);
  for (uint32_t i = 0; i < units % TOGETHER; ++i) {
    expand_one(k, micro, from, i, cg_i64(e, blocks * TOGETHER + i));
  }
}

// ---- multiplying ----

typedef struct block {
  uint32_t units, unit_count;  // of the micro-panel, of this register block
  uint32_t weights, x, ahead;  // cursors
  LLVMValueRef next;           // accumulators of the next block of tokens
  uint32_t ahead_size;         // bytes of the stream per quad
} block;

static LLVMValueRef load_x(host_kernel *k, LLVMValueRef address) {
  cg_emit *e = &k->e;
  if (k->dot) {
    return host_quad_broadcast(k, cg_load(e, e->i64, address, 8, "x"));
  }
  return host_quad_broadcast(k,
                             cg_load(e, cg_vector(e->f32, 4), address, 8, "x"));
}

// The next block's X and accumulators come from the second cache: asked for one
// line at a time during this block (measured: 6..9 % of the gemm's speed).
static void prefetch_next_block(host_kernel *k, const host_walk *walk,
                                const block *b, const LLVMValueRef *cursors,
                                uint32_t quad) {
  cg_emit *e = &k->e;
  if (quad * 64 < walk->accumulator_count * host_acc_size(k)) {
    cg_prefetch(e, cg_at(e, b->next, quad * 64u));
  }
  host_prefetch_quad(k, cg_at(e, cursors[b->x], x_block_size(k)), quad,
                     k->tokens * x_quad_size(k));
  cg_keep_order(e);
}

static void step(host_kernel *k, void *context, host_walk *walk,
                 const LLVMValueRef *cursors, uint32_t quad, bool is_last) {
  const block *b = context;
  cg_emit *e = &k->e;
  (void)is_last;                    // packed X is padded
  if (k->strategy == HOST_BATCH) {  // asks for the stream all the time
    host_prefetch_quad(k, cursors[b->ahead], quad, b->ahead_size);
    cg_keep_order(e);
  }
  if (k->strategy == HOST_GEMM && k->isa.lanes == 16) {
    prefetch_next_block(k, walk, b, cursors, quad);
  }
  LLVMValueRef x[HOST_MAX_BLOCK];
  for (uint32_t t = 0; t < k->tokens; ++t) {
    x[t] = load_x(
        k, cg_at(e, cursors[b->x], (quad * k->tokens + t) * x_quad_size(k)));
  }
  LLVMValueRef *acc = walk->accumulators;
  LLVMValueRef base = cg_at(e, cursors[b->weights],
                            (uint64_t)quad * b->units * expanded_unit_size(k));
  for (uint32_t i = 0; i < b->unit_count * k->vectors; ++i) {
    LLVMValueRef address = cg_at(e, base, i * (k->dot ? 64 : host_acc_size(k)));
    LLVMTypeRef type = k->dot ? cg_vector(e->i16, 32) : host_acc_type(k);
    LLVMValueRef w =
        cg_load(e, type, address, k->dot ? 64 : host_acc_size(k), "w");
    for (uint32_t t = 0; t < k->tokens; ++t, ++acc) {
      *acc = k->dot ? host_multiply_unit(k, w, 0, x[t], *acc)
                    : cg_multiply_add(e, w, x[t], *acc);
    }
  }
}

static LLVMValueRef block_accumulators(host_kernel *k, LLVMValueRef micro_index,
                                       LLVMValueRef block_index) {
  cg_emit *e = &k->e;
  LLVMValueRef slot = cg_mul_constant(e, micro_index, blocks_limit(k));
  slot = cg_add(e, slot, block_index);
  return cg_at_index(e, k->scratch, slot,
                     (uint64_t)k->tokens * HOST_BLOCK_TOKEN_SIZE);
}

static void multiply(host_kernel *k, const host_micro *micro,
                     LLVMValueRef weights, LLVMValueRef x,
                     LLVMValueRef accumulators, uint32_t unit_count) {
  cg_emit *e = &k->e;
  block b = {.units = micro->units, .unit_count = unit_count};
  b.next = cg_at(e, accumulators, (uint64_t)k->tokens * HOST_BLOCK_TOKEN_SIZE);
  host_walk walk = {.name = "block.multiply", .quads = micro->quads};
  uint32_t size = host_acc_size(k);
  // Measured; more quads of dot products make the register allocator spill.
  walk.chunk = k->isa.lanes == 16 ? (k->dot ? 8 : 32) : 4;
  walk.accumulator_count = unit_count * k->vectors * k->tokens;
  b.weights = host_cursor(&walk, weights, micro->units * expanded_unit_size(k));
  b.x = host_cursor(&walk, x, k->tokens * x_quad_size(k));
  b.ahead_size = (uint32_t)(tsr_host_micro_size(micro) / micro->quads);
  b.ahead = host_cursor(&walk, cg_at(e, micro->stream, PREFETCH_DISTANCE),
                        b.ahead_size);
  for (uint32_t i = 0; i < walk.accumulator_count; ++i) {
    walk.accumulators[i] = cg_load(
        e, host_acc_type(k), cg_at(e, accumulators, i * size), size, "acc");
  }
  host_walk_quads(k, &walk, step, &b);
  for (uint32_t i = 0; i < walk.accumulator_count; ++i) {
    cg_store(e, walk.accumulators[i], cg_at(e, accumulators, i * size), size);
  }
}

// All unit groups of one block of tokens.
static void multiply_block(host_kernel *k, const host_micro *micro,
                           LLVMValueRef weights, LLVMValueRef block_index) {
  cg_emit *e = &k->e;
  LLVMValueRef first =
      LLVMBuildUDiv(e->builder, k->chunk_first, cg_i64(e, k->tokens), "");
  LLVMValueRef x =
      cg_at_index(e, k->packed, cg_add(e, first, block_index), x_block_size(k));
  x = cg_at_index(e, x, micro->column,
                  (uint64_t)k->shape.tile_quads * k->tokens * x_quad_size(k));
  LLVMValueRef acc = block_accumulators(k, micro->index, block_index);
  uint32_t step_units = block_units(k);
  uint32_t unit_acc = k->vectors * k->tokens * host_acc_size(k);
  uint32_t groups = micro->units / step_units;
  cg_loop loop;
  cg_loop_begin(e, "block.units", cg_i64(e, groups), &loop);
  multiply(k, micro,
           cg_at_index(e, weights, loop.index,
                       (uint64_t)step_units * expanded_unit_size(k)),
           x, cg_at_index(e, acc, loop.index, (uint64_t)step_units * unit_acc),
           step_units);
  cg_loop_end(e, &loop);
  uint32_t rest = micro->units - groups * step_units;
  if (rest == 0) return;
  uint64_t done = groups * step_units;
  multiply(k, micro, cg_at(e, weights, done * expanded_unit_size(k)), x,
           cg_at(e, acc, done * unit_acc), rest);
}

void host_block_micro(host_kernel *k, const host_micro *micro) {
  cg_emit *e = &k->e;
  bool in_place = k->dot && micro->kind == TSR_KIND_DENSE;
  LLVMValueRef weights = micro->stream;
  if (!in_place) {
    expand_micro(k, micro);
    weights = cg_at(e, k->scratch, k->sizes.expanded);
  }
  cg_loop loop;
  cg_loop_begin(e, "block.tokens", k->chunk_blocks, &loop);
  if (k->strategy == HOST_GEMM) {
    LLVMValueRef next = cg_at(e, micro->stream, tsr_host_micro_size(micro));
    next = cg_at_index(e, next, loop.index, NEXT_LINES * 64);
    for (uint32_t i = 0; i < NEXT_LINES; ++i) {
      cg_prefetch(e, cg_at(e, next, i * 64));
    }
  }
  multiply_block(k, micro, weights, loop.index);
  cg_loop_end(e, &loop);
}

LLVMValueRef host_block_accumulator(host_kernel *k, LLVMValueRef micro_index,
                                    LLVMValueRef block_index, uint32_t vector,
                                    uint32_t token) {
  LLVMValueRef base = block_accumulators(k, micro_index, block_index);
  uint32_t i = vector * k->tokens + token;
  return cg_load(&k->e, host_acc_type(k),
                 cg_at(&k->e, base, i * host_acc_size(k)), host_acc_size(k),
                 "acc");
}

// ---- packing X ----

// |count| quads from |source| to the token's places from |out|.
static void pack_quads(host_kernel *k, LLVMValueRef source, LLVMValueRef out,
                       uint32_t count) {
  cg_emit *e = &k->e;
  LLVMValueRef wide = cg_load(e, cg_vector(e->i16, 4 * count), source, 2, "x");
  if (!k->dot) wide = host_weight_to_f32(k, wide);
  for (uint32_t i = 0; i < count; ++i) {
    cg_store(e, cg_slice(e, wide, 4 * i, 4),
             cg_at(e, out, (uint64_t)i * k->tokens * x_quad_size(k)), 8);
  }
}

static void pack_last_quad(host_kernel *k, LLVMValueRef source,
                           LLVMValueRef out) {
  cg_emit *e = &k->e;
  LLVMValueRef bits = host_quad_load(k, source, k->shape.last_valid);
  LLVMValueRef quad = k->dot ? cg_bitcast(e, bits, cg_vector(e->i16, 4))
                             : host_quad_convert(k, bits);
  cg_store(e, quad, out, 8);
}

static void pack_token(host_kernel *k, LLVMValueRef source, LLVMValueRef out) {
  cg_emit *e = &k->e;
  enum { TOGETHER = 4 };
  uint32_t whole = k->spec->columns / TSR_HOST_QUAD;
  uint64_t stride = (uint64_t)k->tokens * x_quad_size(k);
  cg_loop loop;
  cg_loop_begin(e, "pack.quads", cg_i64(e, whole / TOGETHER), &loop);
  pack_quads(k, cg_at_index(e, source, loop.index, TOGETHER * 8),
             cg_at_index(e, out, loop.index, TOGETHER * stride), TOGETHER);
  cg_loop_end(e, &loop);
  for (uint32_t q = whole / TOGETHER * TOGETHER; q < whole; ++q) {
    pack_quads(k, cg_at(e, source, q * 8u), cg_at(e, out, q * stride), 1);
  }
  if (whole == k->shape.quads) return;
  pack_last_quad(k, cg_at(e, source, whole * 8u),
                 cg_at(e, out, whole * stride));
}

static LLVMValueRef token_place(host_kernel *k, LLVMValueRef token) {
  cg_emit *e = &k->e;
  LLVMValueRef size = cg_i64(e, k->tokens);
  LLVMValueRef which = LLVMBuildUDiv(e->builder, token, size, "block");
  LLVMValueRef place = LLVMBuildURem(e->builder, token, size, "place");
  LLVMValueRef out = cg_at_index(e, k->packed, which, x_block_size(k));
  return cg_at_index(e, out, place, x_quad_size(k));
}

static void clear_token(host_kernel *k, LLVMValueRef token) {
  cg_emit *e = &k->e;
  LLVMTypeRef type =
      k->dot ? cg_vector(e->i16, 4) : cg_vector(e->f32, TSR_HOST_QUAD);
  LLVMValueRef out = token_place(k, token);
  cg_loop loop;
  cg_loop_begin(e, "pack.clear", cg_i64(e, k->shape.quads), &loop);
  cg_store(
      e, cg_zero(type),
      cg_at_index(e, out, loop.index, (uint64_t)k->tokens * x_quad_size(k)), 8);
  cg_loop_end(e, &loop);
}

// The last block is filled up with zeros by whoever packs the last token.
static void clear_rest(host_kernel *k, LLVMValueRef token) {
  cg_emit *e = &k->e;
  LLVMValueRef next = cg_add(e, token, cg_i64(e, 1));
  LLVMValueRef is_last =
      LLVMBuildICmp(e->builder, LLVMIntEQ, next, k->token_count, "");
  cg_branch branch;
  cg_if(e, is_last, "pack.rest", &branch);
  LLVMValueRef place =
      LLVMBuildURem(e->builder, token, cg_i64(e, k->tokens), "");
  LLVMValueRef left = cg_sub(e, cg_i64(e, k->tokens - 1), place);
  cg_loop loop;
  cg_loop_begin(e, "pack.rest.tokens", left, &loop);
  clear_token(k, cg_add(e, next, loop.index));
  cg_loop_end(e, &loop);
  cg_endif(e, &branch);
}

void host_emit_pack(host_kernel *k) {
  cg_emit *e = &k->e;
  host_function_begin(k, k->kernel->pack_symbol);
  LLVMValueRef first = cg_widen(e, HOST_ARGUMENT(k, e->i32, first));
  LLVMValueRef count = cg_widen(e, HOST_ARGUMENT(k, e->i32, count));
  cg_loop loop;
  cg_loop_begin(e, "pack.tokens", count, &loop);
  LLVMValueRef token = cg_add(e, first, loop.index);
  LLVMValueRef row = cg_mul(e, token, k->input_stride);
  pack_token(k, cg_at_value(e, k->input, row), token_place(k, token));
  clear_rest(k, token);
  cg_loop_end(e, &loop);
  cg_function_end(e);
}
