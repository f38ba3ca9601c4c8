// SPDX-License-Identifier: Apache-2.0
// The skeleton of a CUDA kernel: parameters and launch bounds, which worker and
// which tokens a block has, the loop over the worker's segments. Steps are
// walk.c's, the end of a segment finish.c's.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "walk.h"

// LLVM's CallingConv::PTX_Kernel; the C API has no name for it.
enum { NV_KERNEL_CONVENTION = 71 };

// ---- Words ----

LLVMBasicBlockRef nv_block(nv_kernel *k, const char *name) {
  return LLVMAppendBasicBlockInContext(k->e.context, k->e.function, name);
}

void nv_branch(nv_kernel *k, LLVMBasicBlockRef to) {
  (void)LLVMBuildBr(k->e.builder, to);
  LLVMPositionBuilderAtEnd(k->e.builder, to);
}

LLVMValueRef nv_get(nv_kernel *k, LLVMTypeRef type, LLVMValueRef variable) {
  return LLVMBuildLoad2(k->e.builder, type, variable, "");
}

void nv_set(nv_kernel *k, LLVMValueRef variable, LLVMValueRef value) {
  (void)LLVMBuildStore(k->e.builder, value, variable);
}

static void call_attribute(nv_kernel *k, LLVMValueRef call, const char *name) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  LLVMAddCallSiteAttribute(call, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                           LLVMCreateEnumAttribute(k->e.context, kind, 0));
}

LLVMValueRef nv_assembly(nv_kernel *k, LLVMTypeRef result, const char *text,
                         const char *constraints, LLVMValueRef *arguments,
                         uint32_t count) {
  LLVMTypeRef types[8];
  for (uint32_t i = 0; i < count; ++i) types[i] = LLVMTypeOf(arguments[i]);
  if (result == NULL) result = LLVMVoidTypeInContext(k->e.context);
  LLVMTypeRef type = LLVMFunctionType(result, types, count, 0);
  LLVMValueRef callee =
      LLVMGetInlineAsm(type, text, strlen(text), constraints,
                       strlen(constraints), 1, 0, LLVMInlineAsmDialectATT, 0);
  LLVMValueRef call =
      LLVMBuildCall2(k->e.builder, type, callee, arguments, count, "");
  // Many are of a whole warp: they must not move into a branch.
  call_attribute(k, call, "convergent");
  call_attribute(k, call, "nounwind");
  return call;
}

void nv_comment(nv_kernel *k, const char *format, ...) {
  char text[200] = "// ";
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text + 3, sizeof(text) - 3, format, arguments);
  va_end(arguments);
  (void)nv_assembly(k, NULL, text, "", NULL, 0);
}

// ---- Parameters ----

typedef struct parameter {
  const char *name;
  char type;          // 'p' global pointer, 'l' i64, 'i' i32
  uint8_t alignment;  // of a pointer
  bool is_constant;   // nothing that the kernel writes aliases it
} parameter;

// In the order of base/nvidia_abi.h. The residual may be the output.
static const parameter parameters[TSR_NVIDIA_PARAMETERS] = {
    {"stream", 'p', 128, true},
    {"steps", 'p', 8, true},
    {"workers", 'p', 8, true},
    {"segments", 'p', 8, true},
    {"input", 'p', 2, true},
    {"residual", 'p', 2, false},
    {"bias", 'p', 4, true},
    {"output", 'p', 2, false},
    {"workspace", 'p', 128, false},
    {"input_stride", 'l', 0, false},
    {"residual_stride", 'l', 0, false},
    {"output_stride", 'l', 0, false},
    {"tokens", 'i', 0, false},
    {"token_tiles", 'i', 0, false},
    {"raster", 'i', 0, false},
    {"worker_count", 'i', 0, false},
    {"partial_count", 'i', 0, false},
    {"reduction_count", 'i', 0, false},
};

static void parameter_attribute(nv_kernel *k, uint32_t index, const char *name,
                                uint64_t value) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  LLVMAddAttributeAtIndex(k->e.function, index + 1u,
                          LLVMCreateEnumAttribute(k->e.context, kind, value));
}

static void take_parameters(nv_kernel *k) {
  LLVMValueRef *const members[TSR_NVIDIA_PARAMETERS] = {
      &k->stream,       &k->steps,           &k->workers,
      &k->segments,     &k->input,           &k->residual,
      &k->bias,         &k->output,          &k->workspace,
      &k->input_stride, &k->residual_stride, &k->output_stride,
      &k->tokens,       &k->token_tiles,     &k->raster,
      &k->worker_count, &k->partial_count,   &k->reduction_count};
  for (uint32_t i = 0; i < TSR_NVIDIA_PARAMETERS; ++i) {
    const parameter *p = &parameters[i];
    *members[i] = LLVMGetParam(k->e.function, i);
    LLVMSetValueName2(*members[i], p->name, strlen(p->name));
    if (p->type != 'p') continue;
    parameter_attribute(k, i, "align", p->alignment);
    if (!p->is_constant) continue;
    parameter_attribute(k, i, "noalias", 0);
    parameter_attribute(k, i, "readonly", 0);
  }
}

static void begin_function(nv_kernel *k) {
  cg_emit *e = &k->e;
  LLVMTypeRef types[TSR_NVIDIA_PARAMETERS];
  for (uint32_t i = 0; i < TSR_NVIDIA_PARAMETERS; ++i) {
    char type = parameters[i].type;
    types[i] = type == 'p' ? k->global : type == 'l' ? e->i64 : e->i32;
  }
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), types,
                                      TSR_NVIDIA_PARAMETERS, 0);
  e->function = LLVMAddFunction(e->module, k->kernel->name, type);
  LLVMSetFunctionCallConv(e->function, NV_KERNEL_CONVENTION);
  char threads[32];
  (void)snprintf(threads, sizeof(threads), "%u,1,1", k->kernel->threads);
  cg_function_attribute(e, "nvvm.maxntid", threads);
  cg_function_attribute(e, "nvvm.minctasm", "1");
  cg_function_attribute(e, "no-jump-tables", "true");
  e->entry = nv_block(k, "entry");
  LLVMBasicBlockRef start = nv_block(k, "start");
  LLVMPositionBuilderAtEnd(e->builder, e->entry);
  nv_branch(k, start);
  take_parameters(k);
}

// The dynamic shared memory. Its name has the kernel's, so that modules can be
// joined.
static void declare_shared(nv_kernel *k) {
  char name[160];
  (void)snprintf(name, sizeof(name), "%s_shared", k->kernel->name);
  LLVMTypeRef type = LLVMArrayType2(k->e.i8, 0);
  k->shared = LLVMAddGlobalInAddressSpace(k->e.module, type, name, 3);
  LLVMSetLinkage(k->shared, LLVMExternalLinkage);
  LLVMSetAlignment(k->shared, 128);
}

// ---- Where we are ----

LLVMValueRef nv_special(nv_kernel *k, const char *name) {
  char text[128];
  (void)snprintf(text, sizeof(text),
                 "mov.u32 $0, %%%s;\n\t"
                 "shfl.sync.bfly.b32 $0, $0, 0, 31, 0xffffffff;",
                 name);
  return nv_assembly(k, k->e.i32, text, "=r", NULL, 0);
}

LLVMValueRef nv_opaque(nv_kernel *k, LLVMValueRef value) {
  LLVMTypeRef type = LLVMTypeOf(value);
  bool is_word = type == k->e.i32;
  return nv_assembly(k, type, is_word ? "mov.b32 $0, $1;" : "mov.b64 $0, $1;",
                     is_word ? "=r,r" : "=l,l", &value, 1);
}

static LLVMValueRef divide(nv_kernel *k, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildUDiv(k->e.builder, a, b, "");
}

static LLVMValueRef modulo(nv_kernel *k, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildURem(k->e.builder, a, b, "");
}

static void place_thread(nv_kernel *k) {
  cg_emit *e = &k->e;
  const tsr_cuda_geometry *g = &k->geometry;
  k->thread = nv_special(k, "tid.x");
  k->lane = LLVMBuildAnd(e->builder, k->thread, cg_i32(e, 31), "lane");
  LLVMValueRef warp = LLVMBuildLShr(e->builder, k->thread, cg_i32(e, 5), "");
  // What all lanes have from lane 0 is known to ptxas to be uniform.
  LLVMValueRef arguments[] = {cg_i32(e, UINT32_MAX), warp, cg_i32(e, 0),
                              cg_i32(e, 31)};
  k->warp = cg_intrinsic(e, "llvm.nvvm.shfl.sync.idx.i32", NULL, arguments, 4);
  k->group = modulo(k, k->warp, cg_i32(e, g->groups));
  LLVMValueRef rest = divide(k, k->warp, cg_i32(e, g->groups));
  k->k_slice = modulo(k, rest, cg_i32(e, g->k_slices));
  k->token_slice = divide(k, rest, cg_i32(e, g->k_slices));
  k->lane_row = LLVMBuildLShr(e->builder, k->lane, cg_i32(e, 2), "lane_row");
  k->lane_pair = LLVMBuildAnd(e->builder, k->lane, cg_i32(e, 3), "lane_pair");
}

// Grouped raster: the formula of base/nvidia_abi.h.
static void place_block(nv_kernel *k) {
  cg_emit *e = &k->e;
  LLVMValueRef block = nv_special(k, "ctaid.x");
  k->worker = block;
  k->token_tile = k->token_first = cg_i32(e, 0);
  if (k->kernel->mode == TSR_NVIDIA_DECODE) return;
  LLVMValueRef full = cg_mul(e, k->worker_count, k->raster);
  LLVMValueRef first = cg_mul(e, divide(k, block, full), k->raster);
  LLVMValueRef rest = modulo(k, block, full);
  LLVMValueRef here =
      cg_minimum(e, k->raster, cg_sub(e, k->token_tiles, first));
  k->worker = divide(k, rest, here);
  k->token_tile = cg_add(e, first, modulo(k, rest, here));
  k->token_first = cg_mul_constant(e, k->token_tile, k->kernel->block_tokens);
}

// ---- Segments ----

typedef struct share {
  LLVMValueRef step_first, step_end, segment_first, segment_end;
} share;

static LLVMValueRef record(nv_kernel *k, LLVMValueRef base, LLVMValueRef index,
                           uint32_t size) {
  return cg_at_index(&k->e, base, cg_widen(&k->e, index), size);
}

static LLVMValueRef word(nv_kernel *k, LLVMValueRef base, uint32_t offset,
                         const char *name) {
  return cg_load(&k->e, k->e.i32, cg_at(&k->e, base, offset), 4, name);
}

#define WORD(k, base, type, member) \
  word((k), (base), (uint32_t)offsetof(type, member), #member)

static share load_share(nv_kernel *k) {
  LLVMValueRef at = record(k, k->workers, k->worker, sizeof(tsr_nvidia_worker));
  return (share){WORD(k, at, tsr_nvidia_worker, step_first),
                 WORD(k, at, tsr_nvidia_worker, step_end),
                 WORD(k, at, tsr_nvidia_worker, segment_first),
                 WORD(k, at, tsr_nvidia_worker, segment_end)};
}

static LLVMValueRef segment_at(nv_kernel *k, LLVMValueRef index) {
  return record(k, k->segments, index, sizeof(tsr_nvidia_segment));
}

// Where the last panel begins in this share, for shapes whose last panel has
// fewer rows: segments ascend by panel, so it is the last segment's or none.
static LLVMValueRef last_panel_first(nv_kernel *k, const share *s) {
  cg_emit *e = &k->e;
  if (k->shape.panels == 1 || k->shape.last_blocks == k->shape.blocks) {
    return NULL;
  }
  LLVMValueRef last = cg_sub(e, s->segment_end, cg_i32(e, 1));
  LLVMValueRef at = segment_at(k, last);
  LLVMValueRef panel = WORD(k, at, tsr_nvidia_segment, panel);
  LLVMValueRef before =
      LLVMBuildICmp(e->builder, LLVMIntUGT, last, s->segment_first, "");
  LLVMValueRef index =
      cg_sub(e, last, LLVMBuildZExt(e->builder, before, e->i32, ""));
  LLVMValueRef end =
      WORD(k, segment_at(k, index), tsr_nvidia_segment, step_end);
  LLVMValueRef first =
      LLVMBuildSelect(e->builder, before, end, s->step_first, "");
  LLVMValueRef is_last = LLVMBuildICmp(e->builder, LLVMIntEQ, panel,
                                       cg_i32(e, k->shape.panels - 1u), "");
  return LLVMBuildSelect(e->builder, is_last, first, cg_i32(e, UINT32_MAX),
                         "last_panel_first");
}

// Steps, then the end of segment |index|. Where the next one ends is fetched
// before the steps, so that the walk goes on at once; what only the end uses
// after them, so that they need no registers for it.
static void emit_segment(nv_kernel *k, nv_walk *w, const share *s,
                         LLVMValueRef index, LLVMValueRef end) {
  cg_emit *e = &k->e;
  LLVMValueRef next = cg_add(e, nv_get(k, e->i32, index), cg_i32(e, 1));
  LLVMValueRef last = cg_sub(e, s->segment_end, cg_i32(e, 1));
  LLVMValueRef next_end = WORD(k, segment_at(k, cg_minimum(e, next, last)),
                               tsr_nvidia_segment, step_end);
  nv_segment segment = {.step_end = nv_get(k, e->i32, end)};
  nv_walk_segment(w, segment.step_end);
  nv_comment(k, "end of a segment");
  place_thread(k);
  place_block(k);
  LLVMValueRef at = segment_at(k, nv_get(k, e->i32, index));
  segment.panel = WORD(k, at, tsr_nvidia_segment, panel);
  segment.partial = WORD(k, at, tsr_nvidia_segment, partial);
  segment.reduction = WORD(k, at, tsr_nvidia_segment, reduction);
  segment.partial_first = WORD(k, at, tsr_nvidia_segment, partial_first);
  segment.partial_count = WORD(k, at, tsr_nvidia_segment, partial_count);
  nv_emit_finish(k, &segment, &w->acc);
  nv_walk_clear(w);
  nv_set(k, index, cg_add(e, nv_get(k, e->i32, index), cg_i32(e, 1)));
  nv_set(k, end, next_end);
}

static void emit_segments(nv_kernel *k, const share *s) {
  cg_emit *e = &k->e;
  nv_walk walk = {.k = k};
  LLVMBasicBlockRef begin = nv_block(k, "share");
  LLVMBasicBlockRef body = nv_block(k, "segment");
  LLVMBasicBlockRef done = nv_block(k, "done");
  LLVMValueRef any = LLVMBuildICmp(e->builder, LLVMIntULT, s->segment_first,
                                   s->segment_end, "");
  (void)LLVMBuildCondBr(e->builder, any, begin, done);
  LLVMPositionBuilderAtEnd(e->builder, begin);
  LLVMValueRef index = cg_variable(e, e->i32, "segment");
  LLVMValueRef end = cg_variable(e, e->i32, "segment_end");
  nv_set(k, index, s->segment_first);
  nv_set(
      k, end,
      WORD(k, segment_at(k, s->segment_first), tsr_nvidia_segment, step_end));
  nv_walk_start(&walk, s->step_first, s->step_end, last_panel_first(k, s));
  nv_branch(k, body);
  emit_segment(k, &walk, s, index, end);
  LLVMValueRef more = LLVMBuildICmp(
      e->builder, LLVMIntULT, nv_get(k, e->i32, index), s->segment_end, "");
  (void)LLVMBuildCondBr(e->builder, more, body, done);
  LLVMMoveBasicBlockAfter(done, LLVMGetInsertBlock(e->builder));
  LLVMPositionBuilderAtEnd(e->builder, done);
}

void nv_emit_kernel(nv_kernel *k) {
  begin_function(k);
  declare_shared(k);
  place_thread(k);
  place_block(k);
  nv_comment(k,
             "%s kernel: %u x %u x %u warps (row groups, k-slices, token "
             "slices) of %u tokens",
             k->kernel->strategy, k->geometry.groups, k->geometry.k_slices,
             k->geometry.token_slices, k->geometry.warp_tokens);
  share s = load_share(k);
  emit_segments(k, &s);
  cg_function_end(&k->e);
}
