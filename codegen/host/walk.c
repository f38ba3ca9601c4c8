// SPDX-License-Identifier: Apache-2.0
// The loop over the quads of a micro-panel: |chunk| quads of straight-line
// code, accumulators in registers, every offset inside a chunk an immediate.
// What does not fill a chunk follows the loop as straight-line code of its own.
#include <string.h>

#include "host.h"

uint32_t host_cursor(host_walk *walk, LLVMValueRef base, uint32_t stride) {
  walk->cursors[walk->cursor_count] = base;
  walk->strides[walk->cursor_count] = stride;
  return walk->cursor_count++;
}

void host_prefetch_quad(host_kernel *k, LLVMValueRef cursor, uint32_t quad,
                        uint32_t size) {
  uint32_t line = (quad * size + 63) / 64;
  for (; line * 64 < (quad + 1) * size; ++line) {
    cg_prefetch(&k->e, cg_at(&k->e, cursor, line * 64));
  }
}

static void run_chunk(host_kernel *k, host_walk *walk, host_step step,
                      void *context, LLVMValueRef first_quad, uint32_t count,
                      bool at_end) {
  LLVMValueRef cursors[HOST_MAX_CURSORS];
  for (uint32_t i = 0; i < walk->cursor_count; ++i) {
    cursors[i] =
        cg_at_index(&k->e, walk->cursors[i], first_quad, walk->strides[i]);
  }
  for (uint32_t j = 0; j < count; ++j) {
    step(k, context, walk, cursors, j, at_end && j + 1 == count);
  }
}

static void run_loop(host_kernel *k, host_walk *walk, host_step step,
                     void *context, uint32_t trips) {
  cg_emit *e = &k->e;
  LLVMValueRef phis[HOST_MAX_ACCUMULATORS];
  cg_loop loop;
  cg_loop_begin(e, walk->name, cg_i64(e, trips), &loop);
  for (uint32_t i = 0; i < walk->accumulator_count; ++i) {
    LLVMValueRef start = walk->accumulators[i];
    phis[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(start), "acc");
    LLVMAddIncoming(phis[i], &start, &loop.before, 1);
    walk->accumulators[i] = phis[i];
  }
  LLVMValueRef first = cg_mul_constant(e, loop.index, walk->chunk);
  run_chunk(k, walk, step, context, first, walk->chunk, false);
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->builder);
  for (uint32_t i = 0; i < walk->accumulator_count; ++i) {
    LLVMAddIncoming(phis[i], &walk->accumulators[i], &latch, 1);
  }
  cg_loop_end(e, &loop);
}

void host_walk_quads(host_kernel *k, host_walk *walk, host_step step,
                     void *context) {
  uint32_t whole = walk->quads - (walk->short_last ? 1 : 0);
  uint32_t trips = whole / walk->chunk;
  if (trips == 1 && walk->quads == walk->chunk) trips = 0;
  if (trips != 0) run_loop(k, walk, step, context, trips);
  uint32_t done = trips * walk->chunk;
  if (done == walk->quads) return;
  run_chunk(k, walk, step, context, cg_i64(&k->e, done), walk->quads - done,
            true);
}
