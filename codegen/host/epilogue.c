// SPDX-License-Identifier: Apache-2.0
// fp32 sums -> Y: bias, activation (gated forms on neighbouring rows),
// residual, conversion, store. Y is N-major: the rows of a panel are contiguous
// in it, so everything works on vectors of rows of one token; the ragged end of
// the last panel is cut into powers of two, and nothing outside Y, bias or
// residual is touched. Also the kernels' reduce function: partial sums of split
// panels are added in ascending order of their slots and then take the same
// way.
#include "host.h"

typedef struct output {
  LLVMValueRef bias, residual, out;             // at the panel's first row
  LLVMValueRef residual_stride, output_stride;  // bytes
  LLVMValueRef first, token;                    // first token; token from it
  host_source source;
  void *context;
} output;

static LLVMValueRef even_lanes(host_kernel *k, LLVMValueRef v, uint32_t odd) {
  uint32_t n = LLVMGetVectorSize(LLVMTypeOf(v)) / 2;
  uint32_t lanes[16];
  for (uint32_t i = 0; i < n; ++i) lanes[i] = 2 * i + odd;
  return cg_shuffle(&k->e, v, NULL, lanes, n);
}

static LLVMValueRef activate(host_kernel *k, LLVMValueRef v) {
  tsr_activation activation = k->spec->activation;
  if (!tsr_activation_is_gated(activation)) {
    return host_activation(k, activation, v);
  }
  LLVMValueRef gate = host_activation(k, activation, even_lanes(k, v, 0));
  return LLVMBuildFMul(k->e.builder, gate, even_lanes(k, v, 1), "gated");
}

// The residual has the output's type, which need not be the weights'.
static LLVMValueRef load_typed(host_kernel *k, LLVMValueRef address,
                               uint32_t width) {
  cg_emit *e = &k->e;
  if (k->spec->output_type == TSR_DTYPE_F32) {
    return cg_load(e, cg_vector(e->f32, width), address, 4, "residual");
  }
  LLVMValueRef bits =
      cg_load(e, cg_vector(e->i16, width), address, 2, "residual");
  return host_to_f32(k, bits, k->spec->output_type);
}

static void store_rows(host_kernel *k, const output *o, LLVMValueRef row,
                       uint32_t width) {
  cg_emit *e = &k->e;
  LLVMValueRef v = o->source(k, o->context, o->token, row, width);
  if (k->spec->has_bias) {
    LLVMValueRef bias = cg_load(e, cg_vector(e->f32, width),
                                cg_at_index(e, o->bias, row, 4), 4, "bias");
    v = LLVMBuildFAdd(e->builder, v, bias, "");
  }
  v = activate(k, v);
  uint64_t scale = tsr_dtype_size(k->spec->output_type);
  LLVMValueRef column = row;
  if (tsr_activation_is_gated(k->spec->activation)) {
    width /= 2;
    column = LLVMBuildLShr(e->builder, row, cg_i64(e, 1), "");
  }
  LLVMValueRef token = cg_add(e, o->first, o->token);
  if (k->spec->has_residual) {
    LLVMValueRef at =
        cg_at_value(e, o->residual, cg_mul(e, token, o->residual_stride));
    at = cg_at_index(e, at, column, scale);
    v = LLVMBuildFAdd(e->builder, v, load_typed(k, at, width), "");
  }
  LLVMValueRef at = cg_at_value(e, o->out, cg_mul(e, token, o->output_stride));
  at = cg_at_index(e, at, column, scale);
  cg_store(e, host_from_f32(k, v, k->spec->output_type), at, (uint32_t)scale);
}

// The last panel's rows beyond its full vectors.
static void store_tail(host_kernel *k, const output *o) {
  uint32_t lanes = k->isa.lanes;
  uint32_t row = k->shape.last_rows / lanes * lanes;
  for (uint32_t width = lanes / 2; width != 0; width /= 2) {
    if ((k->shape.last_rows & width) == 0) continue;
    store_rows(k, o, cg_i64(&k->e, row), width);
    row += width;
  }
}

static void load_pointers(host_kernel *k, LLVMValueRef panel, output *o) {
  cg_emit *e = &k->e;
  uint64_t size = tsr_dtype_size(k->spec->output_type);
  uint64_t rows = k->spec->tile.rows;
  uint64_t columns =
      tsr_activation_is_gated(k->spec->activation) ? rows / 2 : rows;
  o->out = cg_at_index(e, HOST_ARGUMENT(k, e->pointer, output), panel,
                       columns * size);
  o->output_stride =
      cg_mul_constant(e, HOST_ARGUMENT(k, e->i64, output_stride), size);
  if (k->spec->has_bias) {
    o->bias =
        cg_at_index(e, HOST_ARGUMENT(k, e->pointer, bias), panel, rows * 4);
  }
  if (!k->spec->has_residual) return;
  o->residual = cg_at_index(e, HOST_ARGUMENT(k, e->pointer, residual), panel,
                            columns * size);
  o->residual_stride =
      cg_mul_constant(e, HOST_ARGUMENT(k, e->i64, residual_stride), size);
}

void host_emit_epilogue(host_kernel *k, LLVMValueRef panel,
                        LLVMValueRef is_last, LLVMValueRef first,
                        LLVMValueRef count, host_source source, void *context) {
  cg_emit *e = &k->e;
  uint32_t lanes = k->isa.lanes;
  output o = {.first = first, .source = source, .context = context};
  load_pointers(k, panel, &o);
  LLVMValueRef vectors = cg_i64(e, k->spec->tile.rows / lanes);
  if (is_last != NULL) {
    vectors =
        LLVMBuildSelect(e->builder, is_last,
                        cg_i64(e, k->shape.last_rows / lanes), vectors, "");
  }
  cg_loop tokens;
  cg_loop_begin(e, "epilogue.tokens", count, &tokens);
  o.token = tokens.index;
  cg_loop loop;
  cg_loop_begin(e, "epilogue.rows", vectors, &loop);
  store_rows(k, &o, cg_mul_constant(e, loop.index, lanes), lanes);
  cg_loop_end(e, &loop);
  if (is_last != NULL && k->shape.last_rows % lanes != 0) {
    cg_branch branch;
    cg_if(e, is_last, "epilogue.tail", &branch);
    store_tail(k, &o);
    cg_endif(e, &branch);
  }
  cg_loop_end(e, &tokens);
}

// ---- reduce ----

typedef struct slots {
  LLVMValueRef base, count, size;  // first slot, slots, bytes of one
} slots;

static LLVMValueRef sum_slots(host_kernel *k, void *context, LLVMValueRef token,
                              LLVMValueRef row, uint32_t width) {
  cg_emit *e = &k->e;
  const slots *s = context;
  LLVMTypeRef type = cg_vector(e->f32, width);
  LLVMValueRef at =
      cg_at_index(e, s->base, token, (uint64_t)k->spec->tile.rows * 4);
  at = cg_at_index(e, at, row, 4);
  LLVMValueRef start = cg_load(e, type, at, 4, "partial");
  cg_loop loop;
  cg_loop_begin(e, "reduce.slots", cg_sub(e, s->count, cg_i64(e, 1)), &loop);
  LLVMValueRef sum = LLVMBuildPhi(e->builder, type, "sum");
  LLVMAddIncoming(sum, &start, &loop.before, 1);
  LLVMValueRef slot = cg_add(e, loop.index, cg_i64(e, 1));
  LLVMValueRef from = cg_at_value(e, at, cg_mul(e, slot, s->size));
  LLVMValueRef next =
      LLVMBuildFAdd(e->builder, sum, cg_load(e, type, from, 4, "partial"), "");
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->builder);
  LLVMAddIncoming(sum, &next, &latch, 1);
  cg_loop_end(e, &loop);
  LLVMValueRef out = LLVMBuildPhi(e->builder, type, "sums");
  LLVMAddIncoming(out, &next, &latch, 1);
  LLVMAddIncoming(out, &start, &loop.before, 1);
  return out;
}

void host_emit_reduce(host_kernel *k) {
  cg_emit *e = &k->e;
  host_function_begin(k, k->kernel->reduce_symbol);
  LLVMValueRef partials = HOST_ARGUMENT(k, e->pointer, partials);
  LLVMValueRef reductions = HOST_ARGUMENT(k, e->pointer, reductions);
  LLVMValueRef first = cg_widen(e, HOST_ARGUMENT(k, e->i32, first));
  LLVMValueRef count = cg_widen(e, HOST_ARGUMENT(k, e->i32, count));
  slots s = {.size = cg_mul_constant(e, k->token_count,
                                     (uint64_t)k->spec->tile.rows * 4)};
  cg_loop loop;
  cg_loop_begin(e, "reduce.panels", count, &loop);
  LLVMValueRef at = cg_at_index(e, reductions, cg_add(e, first, loop.index),
                                sizeof(tsr_host_reduction));
  LLVMValueRef panel = cg_widen(e, cg_load(e, e->i32, at, 4, "panel"));
  LLVMValueRef slot = cg_load(
      e, e->i32, cg_at(e, at, offsetof(tsr_host_reduction, partial_first)), 4,
      "slot");
  s.base = cg_at_value(e, partials, cg_mul(e, cg_widen(e, slot), s.size));
  s.count = cg_widen(
      e, cg_load(e, e->i32,
                 cg_at(e, at, offsetof(tsr_host_reduction, partial_count)), 4,
                 "slots"));
  LLVMValueRef is_last = NULL;
  if (k->shape.last_rows != 0) {
    is_last = LLVMBuildICmp(e->builder, LLVMIntEQ, panel,
                            cg_i64(e, k->shape.panel_count - 1), "is_last");
  }
  host_emit_epilogue(k, panel, is_last, cg_i64(e, 0), k->token_count, sum_slots,
                     &s);
  cg_loop_end(e, &loop);
  cg_function_end(e);
}
