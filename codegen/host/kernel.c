// SPDX-License-Identifier: Apache-2.0
// The skeleton of every kernel: segments of a worker, chunks of tokens, tiles
// of a segment, micro-panels of a tile. What a micro-panel does is the
// strategy's; which kinds, ragged edges and short micro-panels get code is
// decided here from the shape: what cannot occur is not emitted.
#include <stdio.h>

#include "host.h"

uint64_t tsr_host_micro_size(const host_micro *micro) {
  return tsr_host_tile_size(micro->units * TSR_HOST_UNIT_ROWS,
                            micro->quads * TSR_HOST_QUAD, micro->kind);
}

uint64_t host_mask_offset(uint32_t index) {
  return (uint64_t)index / TSR_HOST_BLOCK_UNITS * TSR_HOST_BLOCK_SIZE +
         index % TSR_HOST_BLOCK_UNITS * 4u;
}

uint64_t host_values_offset(uint32_t index) {
  return (uint64_t)index / TSR_HOST_BLOCK_UNITS * TSR_HOST_BLOCK_SIZE +
         TSR_HOST_ALIGNMENT + index % TSR_HOST_BLOCK_UNITS * 32u;
}

uint32_t host_block_quads(uint32_t units) {
  return units == 3 ? TSR_HOST_BLOCK_UNITS : TSR_HOST_BLOCK_UNITS / units;
}

LLVMValueRef host_argument(host_kernel *k, LLVMTypeRef type, uint64_t offset,
                           const char *name) {
  uint32_t alignment = type == k->e.i32 ? 4 : 8;
  return cg_load(&k->e, type, cg_at(&k->e, k->args, offset), alignment, name);
}

void host_function_begin(host_kernel *k, const char *name) {
  cg_emit *e = &k->e;
  k->args = cg_function_begin(e, name);
  if (k->isa.lanes == 16) {
    // Without these, vectors of 512 bits are cut in two.
    cg_function_attribute(e, "prefer-vector-width", "512");
    cg_function_attribute(e, "min-legal-vector-width", "512");
  }
  if (k->tune != NULL) cg_function_attribute(e, "tune-cpu", k->tune);
  k->scratch = HOST_ARGUMENT(k, e->pointer, scratch);
  k->token_count = HOST_ARGUMENT(k, e->i64, token_count);
  k->input = HOST_ARGUMENT(k, e->pointer, input);
  k->input_stride =
      cg_mul_constant(e, HOST_ARGUMENT(k, e->i64, input_stride), 2);
  k->packed = HOST_ARGUMENT(k, e->pointer, packed_input);
}

// ---- one tile ----

static void emit_micro(host_kernel *k, host_micro *micro, uint32_t units,
                       LLVMValueRef index) {
  cg_emit *e = &k->e;
  micro->units = units;
  micro->index = index;
  micro->stream = cg_load(e, e->pointer, k->stream, 8, "stream");
  if (k->strategy == HOST_GEMV) {
    host_gemv_micro(k, micro);
  } else {
    host_block_micro(k, micro);
  }
  cg_store(e, cg_at(e, micro->stream, tsr_host_micro_size(micro)), k->stream,
           8);
}

typedef void (*micro_function)(host_kernel *k, void *context, uint32_t units,
                               LLVMValueRef index);

// Full micro-panels in a loop, then the short one that this panel has.
static void for_each_micro(host_kernel *k, micro_function function,
                           void *context, const char *name) {
  cg_emit *e = &k->e;
  const host_shape *shape = &k->shape;
  cg_loop loop;
  if (shape->micros != 0) {
    cg_loop_begin(e, name, k->micro_count, &loop);
    function(k, context, 4, loop.index);
    cg_loop_end(e, &loop);
  }
  cg_branch branch;
  if (shape->tail_units != 0) {
    LLVMValueRef is_full = k->is_last == NULL
                               ? LLVMConstInt(e->i1, 1, 0)
                               : LLVMBuildNot(e->builder, k->is_last, "");
    cg_if(e, is_full, "short", &branch);
    function(k, context, shape->tail_units, cg_i64(e, shape->micros));
    cg_endif(e, &branch);
  }
  if (shape->last_rows != 0 && shape->last_tail_units != 0) {
    cg_if(e, k->is_last, "last", &branch);
    function(k, context, shape->last_tail_units, cg_i64(e, shape->last_micros));
    cg_endif(e, &branch);
  }
}

static void tile_micro(host_kernel *k, void *context, uint32_t units,
                       LLVMValueRef index) {
  emit_micro(k, context, units, index);
}

static void emit_tile_body(host_kernel *k, tsr_kind kind, bool narrow,
                           LLVMValueRef column) {
  host_micro micro = {.kind = kind, .column = column};
  micro.quads = narrow ? k->shape.last_quads : k->shape.tile_quads;
  micro.valid = narrow ? k->shape.last_valid : TSR_HOST_QUAD;
  for_each_micro(k, tile_micro, &micro,
                 kind == TSR_KIND_DENSE ? "tile.dense" : "tile.sparse24");
}

static void emit_tile_kind(host_kernel *k, tsr_kind kind, LLVMValueRef column) {
  cg_emit *e = &k->e;
  if (k->shape.last_quads == 0) {
    emit_tile_body(k, kind, false, column);
    return;
  }
  LLVMValueRef narrow =
      LLVMBuildICmp(e->builder, LLVMIntEQ, column,
                    cg_i64(e, k->shape.tile_count - 1), "is_narrow");
  cg_branch branch;
  cg_if(e, narrow, "narrow", &branch);
  emit_tile_body(k, kind, true, column);
  cg_else(e, &branch);
  if (k->shape.tile_count > 1) emit_tile_body(k, kind, false, column);
  cg_endif(e, &branch);
}

static void emit_tile(host_kernel *k, LLVMValueRef tile) {
  cg_emit *e = &k->e;
  bool sparse = (k->spec->kinds & 1u << TSR_KIND_SPARSE24) != 0;
  bool dense = (k->spec->kinds & 1u << TSR_KIND_DENSE) != 0;
  LLVMValueRef column = cg_widen(
      e, LLVMBuildAnd(e->builder, tile, cg_i32(e, 0xffffffu), "column"));
  if (sparse && dense) {
    LLVMValueRef is_dense =
        LLVMBuildICmp(e->builder, LLVMIntUGE, tile,
                      cg_i32(e, (uint32_t)TSR_KIND_DENSE << 24), "is_dense");
    cg_branch branch;
    cg_if(e, is_dense, "dense", &branch);
    emit_tile_kind(k, TSR_KIND_DENSE, column);
    cg_else(e, &branch);
    emit_tile_kind(k, TSR_KIND_SPARSE24, column);
    cg_endif(e, &branch);
  } else if (sparse || dense) {
    emit_tile_kind(k, dense ? TSR_KIND_DENSE : TSR_KIND_SPARSE24, column);
  }
}

// ---- one segment ----

typedef struct segment {
  LLVMValueRef tiles, tile_count;  // first tile word; number
  LLVMValueRef partial;            // slot or none
  LLVMValueRef destination;        // of finished sums, per chunk
} segment;

// Only of the blocks that this chunk has: few tokens must not pay for many.
static void clear_accumulators(host_kernel *k) {
  cg_emit *e = &k->e;
  LLVMTypeRef type = host_acc_type(k);
  uint64_t size = host_acc_size(k);
  uint32_t slots = k->shape.micro_slots;
  uint64_t slot_size = k->sizes.accumulators / slots;
  LLVMValueRef count = cg_i64(e, slot_size / size);
  if (k->strategy != HOST_GEMV) {
    count = cg_mul_constant(e, k->chunk_blocks,
                            k->tokens * HOST_BLOCK_TOKEN_SIZE / size);
  }
  cg_loop micros;
  cg_loop_begin(e, "clear.micros", cg_i64(e, slots), &micros);
  LLVMValueRef base = cg_at_index(e, k->scratch, micros.index, slot_size);
  cg_loop loop;
  cg_loop_begin(e, "clear", count, &loop);
  cg_store(e, cg_zero(type), cg_at_index(e, base, loop.index, size), 16);
  cg_loop_end(e, &loop);
  cg_loop_end(e, &micros);
}

static void emit_tiles(host_kernel *k, const segment *s) {
  cg_emit *e = &k->e;
  if (k->spec->kinds == 0) return;
  cg_loop loop;
  cg_loop_begin(e, "tiles", s->tile_count, &loop);
  emit_tile(k, cg_load(e, e->i32, cg_at_index(e, s->tiles, loop.index, 4), 4,
                       "tile"));
  cg_loop_end(e, &loop);
}

static void finish(host_kernel *k, void *context, uint32_t units,
                   LLVMValueRef index) {
  const segment *s = context;
  host_finish_micro(k, index, units, s->destination);
}

static LLVMValueRef read_sums(host_kernel *k, void *context, LLVMValueRef token,
                              LLVMValueRef row, uint32_t width) {
  cg_emit *e = &k->e;
  const segment *s = context;
  LLVMValueRef at =
      cg_at_index(e, s->destination, token, (uint64_t)k->spec->tile.rows * 4);
  return cg_load(e, cg_vector(e->f32, width), cg_at_index(e, at, row, 4), 4,
                 "sums");
}

// Partial sums go to their slot, others to scratch and on to Y.
static void emit_finish(host_kernel *k, segment *s) {
  cg_emit *e = &k->e;
  LLVMValueRef token_size = cg_i64(e, (uint64_t)k->spec->tile.rows * 4);
  LLVMValueRef partials = HOST_ARGUMENT(k, e->pointer, partials);
  LLVMValueRef direct =
      LLVMBuildICmp(e->builder, LLVMIntEQ, s->partial,
                    cg_i32(e, TSR_HOST_NO_PARTIAL), "is_direct");
  LLVMValueRef slot =
      cg_mul(e, cg_widen(e, s->partial), cg_mul(e, k->token_count, token_size));
  slot = cg_add(e, slot, cg_mul(e, k->chunk_first, token_size));
  LLVMValueRef zero = cg_i64(e, 0);
  slot = LLVMBuildSelect(e->builder, direct, zero, slot, "");
  s->destination =
      LLVMBuildSelect(e->builder, direct, cg_at(e, k->scratch, k->sizes.sums),
                      cg_at_value(e, partials, slot), "sums");
  for_each_micro(k, finish, s, "finish");
  cg_branch branch;
  cg_if(e, direct, "direct", &branch);
  host_emit_epilogue(k, k->panel, k->is_last, k->chunk_first, k->chunk_count,
                     read_sums, s);
  cg_endif(e, &branch);
}

// The segment for one chunk of tokens; a gemv kernel has exactly one.
static void emit_chunk(host_kernel *k, segment *s) {
  clear_accumulators(k);
  emit_tiles(k, s);
  emit_finish(k, s);
}

static void emit_chunks(host_kernel *k, segment *s) {
  cg_emit *e = &k->e;
  LLVMValueRef size = cg_i64(e, k->sizes.chunk);
  LLVMValueRef start = cg_load(e, e->pointer, k->stream, 8, "segment.stream");
  LLVMValueRef chunks =
      cg_add(e, k->token_count, cg_i64(e, k->sizes.chunk - 1));
  chunks = LLVMBuildUDiv(e->builder, chunks, size, "chunks");
  cg_loop loop;
  cg_loop_begin(e, "chunks", chunks, &loop);
  cg_store(e, start, k->stream, 8);
  k->chunk_first = cg_mul(e, loop.index, size);
  k->chunk_count =
      cg_minimum(e, size, cg_sub(e, k->token_count, k->chunk_first));
  LLVMValueRef blocks = cg_add(e, k->chunk_count, cg_i64(e, k->tokens - 1));
  k->chunk_blocks =
      LLVMBuildUDiv(e->builder, blocks, cg_i64(e, k->tokens), "blocks");
  emit_chunk(k, s);
  cg_loop_end(e, &loop);
}

static LLVMValueRef segment_field(host_kernel *k, LLVMValueRef at,
                                  uint64_t offset, const char *name) {
  return cg_load(&k->e, k->e.i32, cg_at(&k->e, at, offset), 4, name);
}

static void set_panel(host_kernel *k, LLVMValueRef panel) {
  cg_emit *e = &k->e;
  k->panel = cg_widen(e, panel);
  k->is_last = NULL;
  k->micro_count = cg_i64(e, k->shape.micros);
  if (k->shape.last_rows == 0) return;
  k->is_last = LLVMBuildICmp(e->builder, LLVMIntEQ, k->panel,
                             cg_i64(e, k->shape.panel_count - 1), "is_last");
  k->micro_count =
      LLVMBuildSelect(e->builder, k->is_last, cg_i64(e, k->shape.last_micros),
                      k->micro_count, "micros");
}

static void emit_segment(host_kernel *k, LLVMValueRef at, LLVMValueRef tiles) {
  cg_emit *e = &k->e;
  set_panel(k,
            segment_field(k, at, offsetof(tsr_host_segment, panel), "panel"));
  LLVMValueRef first = segment_field(
      k, at, offsetof(tsr_host_segment, tile_first), "tile_first");
  segment s = {0};
  s.tiles = cg_at_index(e, tiles, cg_widen(e, first), sizeof(tsr_host_tile));
  s.tile_count =
      cg_widen(e, segment_field(k, at, offsetof(tsr_host_segment, tile_count),
                                "tile_count"));
  s.partial =
      segment_field(k, at, offsetof(tsr_host_segment, partial), "partial");
  if (k->strategy != HOST_GEMV) {
    emit_chunks(k, &s);
    return;
  }
  k->chunk_first = cg_i64(e, 0);
  k->chunk_count = cg_i64(e, k->tokens);
  emit_chunk(k, &s);
}

static void emit_run(host_kernel *k) {
  cg_emit *e = &k->e;
  host_function_begin(k, k->kernel->run_symbol);
  k->stream = cg_variable(e, e->pointer, "stream");
  cg_store(e, HOST_ARGUMENT(k, e->pointer, stream), k->stream, 8);
  LLVMValueRef segments = HOST_ARGUMENT(k, e->pointer, segments);
  LLVMValueRef tiles = HOST_ARGUMENT(k, e->pointer, tiles);
  LLVMValueRef count = cg_widen(e, HOST_ARGUMENT(k, e->i32, segment_count));
  cg_loop loop;
  cg_loop_begin(e, "segments", count, &loop);
  emit_segment(
      k, cg_at_index(e, segments, loop.index, sizeof(tsr_host_segment)), tiles);
  cg_loop_end(e, &loop);
  cg_function_end(e);
}

static void describe(host_kernel *k, const tsr_kernel *kernel,
                     const tsr_variant *variant) {
  k->kernel = kernel;
  k->spec = &kernel->spec;
  k->isa = tsr_variant_isa(variant);
  k->shape = tsr_host_shape(k->spec);
  k->strategy = tsr_host_strategy(k->spec);
  k->sizes = tsr_host_sizes(k->spec);
  k->dot = k->isa.bf16_dot && k->spec->weight_type == TSR_DTYPE_BF16;
  k->table = k->isa.permute;
  k->vectors = k->dot ? 1 : 32 / k->isa.lanes;
  k->tokens = k->strategy == HOST_GEMV
                  ? k->spec->token_last
                  : host_block_tokens(&k->isa, k->dot, k->strategy);
  if (k->isa.bf16_dot) k->tune = "znver4";
}

bool tsr_host_emit(const tsr_kernel *kernel, const tsr_variant *variant,
                   LLVMContextRef context, LLVMModuleRef module, char *failure,
                   size_t failure_size) {
  host_kernel k = {0};
  cg_emit_init(&k.e, context, module);
  describe(&k, kernel, variant);
  emit_run(&k);
  host_emit_reduce(&k);
  if (k.strategy != HOST_GEMV) host_emit_pack(&k);
  (void)snprintf(failure, failure_size, "%s", k.e.failure);
  bool ok = !k.e.failed;
  cg_emit_fini(&k.e);
  return ok;
}
