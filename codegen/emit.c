// SPDX-License-Identifier: Apache-2.0
// See emit.h.
#include "emit.h"

#include <stdio.h>
#include <string.h>

enum { CG_MAX_LANES = 64 };

void cg_emit_init(cg_emit *e, LLVMContextRef context, LLVMModuleRef module) {
  memset(e, 0, sizeof(*e));
  e->context = context;
  e->module = module;
  e->builder = LLVMCreateBuilderInContext(context);
  e->i1 = LLVMInt1TypeInContext(context);
  e->i8 = LLVMInt8TypeInContext(context);
  e->i16 = LLVMInt16TypeInContext(context);
  e->i32 = LLVMInt32TypeInContext(context);
  e->i64 = LLVMInt64TypeInContext(context);
  e->f32 = LLVMFloatTypeInContext(context);
  e->f16 = LLVMHalfTypeInContext(context);
  e->bf16 = LLVMBFloatTypeInContext(context);
  e->pointer = LLVMPointerTypeInContext(context, 0);
}

void cg_emit_fini(cg_emit *e) {
  if (e->builder != NULL) LLVMDisposeBuilder(e->builder);
  e->builder = NULL;
}

static LLVMBasicBlockRef block(cg_emit *e, const char *name) {
  return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

LLVMValueRef cg_function_begin(cg_emit *e, const char *name) {
  LLVMTypeRef type =
      LLVMFunctionType(LLVMVoidTypeInContext(e->context), &e->pointer, 1, 0);
  e->function = LLVMAddFunction(e->module, name, type);
  unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", 8);
  LLVMAddAttributeAtIndex(e->function, (LLVMAttributeIndex)-1,
                          LLVMCreateEnumAttribute(e->context, kind, 0));
  e->entry = block(e, "entry");
  LLVMBasicBlockRef start = block(e, "start");
  LLVMPositionBuilderAtEnd(e->builder, e->entry);
  (void)LLVMBuildBr(e->builder, start);
  LLVMPositionBuilderAtEnd(e->builder, start);
  LLVMValueRef parameter = LLVMGetParam(e->function, 0);
  LLVMSetValueName2(parameter, "args", 4);
  return parameter;
}

void cg_function_end(cg_emit *e) {
  (void)LLVMBuildRetVoid(e->builder);
}

void cg_function_attribute(cg_emit *e, const char *key, const char *value) {
  LLVMAddAttributeAtIndex(
      e->function, (LLVMAttributeIndex)-1,
      LLVMCreateStringAttribute(e->context, key, (unsigned)strlen(key), value,
                                (unsigned)strlen(value)));
}

LLVMValueRef cg_i32(cg_emit *e, uint32_t value) {
  return LLVMConstInt(e->i32, value, 0);
}

LLVMValueRef cg_i64(cg_emit *e, uint64_t value) {
  return LLVMConstInt(e->i64, value, 0);
}

LLVMValueRef cg_f32(cg_emit *e, double value) {
  return LLVMConstReal(e->f32, value);
}

LLVMValueRef cg_f32_bits(cg_emit *e, uint32_t bits) {
  return LLVMConstBitCast(cg_i32(e, bits), e->f32);
}

LLVMTypeRef cg_vector(LLVMTypeRef element, uint32_t count) {
  return LLVMVectorType(element, count);
}

LLVMValueRef cg_splat_constant(LLVMValueRef value, uint32_t count) {
  LLVMValueRef lanes[CG_MAX_LANES];
  for (uint32_t i = 0; i < count; ++i) lanes[i] = value;
  return LLVMConstVector(lanes, count);
}

LLVMValueRef cg_vector_constant(LLVMTypeRef element, const uint64_t *values,
                                uint32_t count) {
  LLVMValueRef lanes[CG_MAX_LANES];
  for (uint32_t i = 0; i < count; ++i) {
    lanes[i] = LLVMConstInt(element, values[i], 0);
  }
  return LLVMConstVector(lanes, count);
}

LLVMValueRef cg_zero(LLVMTypeRef type) {
  return LLVMConstNull(type);
}

LLVMValueRef cg_at_value(cg_emit *e, LLVMValueRef base, LLVMValueRef offset) {
  return LLVMBuildGEP2(e->builder, e->i8, base, &offset, 1, "");
}

LLVMValueRef cg_at(cg_emit *e, LLVMValueRef base, uint64_t offset) {
  return offset == 0 ? base : cg_at_value(e, base, cg_i64(e, offset));
}

LLVMValueRef cg_at_index(cg_emit *e, LLVMValueRef base, LLVMValueRef index,
                         uint64_t scale) {
  return cg_at_value(e, base, cg_mul_constant(e, index, scale));
}

LLVMValueRef cg_load(cg_emit *e, LLVMTypeRef type, LLVMValueRef address,
                     uint32_t alignment, const char *name) {
  LLVMValueRef value = LLVMBuildLoad2(e->builder, type, address, name);
  LLVMSetAlignment(value, alignment);
  return value;
}

void cg_store(cg_emit *e, LLVMValueRef value, LLVMValueRef address,
              uint32_t alignment) {
  LLVMSetAlignment(LLVMBuildStore(e->builder, value, address), alignment);
}

void cg_prefetch(cg_emit *e, LLVMValueRef address) {
  LLVMValueRef arguments[] = {address, cg_i32(e, 0), cg_i32(e, 3),
                              cg_i32(e, 1)};
  (void)cg_intrinsic(e, "llvm.prefetch", e->pointer, arguments, 4);
}

void cg_keep_order(cg_emit *e) {
  (void)LLVMBuildFence(e->builder, LLVMAtomicOrderingAcquireRelease, 1, "");
}

LLVMValueRef cg_variable(cg_emit *e, LLVMTypeRef type, const char *name) {
  LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
  LLVMPositionBuilderBefore(e->builder, LLVMGetBasicBlockTerminator(e->entry));
  LLVMValueRef variable = LLVMBuildAlloca(e->builder, type, name);
  LLVMPositionBuilderAtEnd(e->builder, here);
  return variable;
}

LLVMValueRef cg_add(cg_emit *e, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildAdd(e->builder, a, b, "");
}

LLVMValueRef cg_sub(cg_emit *e, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildSub(e->builder, a, b, "");
}

LLVMValueRef cg_mul(cg_emit *e, LLVMValueRef a, LLVMValueRef b) {
  return LLVMBuildMul(e->builder, a, b, "");
}

LLVMValueRef cg_mul_constant(cg_emit *e, LLVMValueRef a, uint64_t b) {
  return cg_mul(e, a, LLVMConstInt(LLVMTypeOf(a), b, 0));
}

LLVMValueRef cg_minimum(cg_emit *e, LLVMValueRef a, LLVMValueRef b) {
  LLVMValueRef less = LLVMBuildICmp(e->builder, LLVMIntULT, a, b, "");
  return LLVMBuildSelect(e->builder, less, a, b, "");
}

LLVMValueRef cg_widen(cg_emit *e, LLVMValueRef value) {
  return LLVMBuildZExt(e->builder, value, e->i64, "");
}

LLVMValueRef cg_bitcast(cg_emit *e, LLVMValueRef value, LLVMTypeRef type) {
  return LLVMBuildBitCast(e->builder, value, type, "");
}

LLVMValueRef cg_shuffle(cg_emit *e, LLVMValueRef a, LLVMValueRef b,
                        const uint32_t *lanes, uint32_t count) {
  LLVMValueRef mask[CG_MAX_LANES];
  for (uint32_t i = 0; i < count; ++i) mask[i] = cg_i32(e, lanes[i]);
  if (b == NULL) b = LLVMGetPoison(LLVMTypeOf(a));
  return LLVMBuildShuffleVector(e->builder, a, b, LLVMConstVector(mask, count),
                                "");
}

LLVMValueRef cg_splat(cg_emit *e, LLVMValueRef scalar, uint32_t count) {
  if (LLVMIsConstant(scalar)) return cg_splat_constant(scalar, count);
  LLVMValueRef one = LLVMGetPoison(cg_vector(LLVMTypeOf(scalar), count));
  one = LLVMBuildInsertElement(e->builder, one, scalar, cg_i32(e, 0), "");
  uint32_t lanes[CG_MAX_LANES] = {0};
  return cg_shuffle(e, one, NULL, lanes, count);
}

LLVMValueRef cg_slice(cg_emit *e, LLVMValueRef vector, uint32_t first,
                      uint32_t count) {
  uint32_t lanes[CG_MAX_LANES];
  if (LLVMGetVectorSize(LLVMTypeOf(vector)) == count) return vector;
  for (uint32_t i = 0; i < count; ++i) lanes[i] = first + i;
  return cg_shuffle(e, vector, NULL, lanes, count);
}

LLVMValueRef cg_multiply_add(cg_emit *e, LLVMValueRef a, LLVMValueRef b,
                             LLVMValueRef c) {
  LLVMValueRef arguments[] = {a, b, c};
  return cg_intrinsic(e, "llvm.fmuladd", LLVMTypeOf(a), arguments, 3);
}

LLVMValueRef cg_intrinsic(cg_emit *e, const char *name, LLVMTypeRef overload,
                          LLVMValueRef *arguments, uint32_t count) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  if (id == 0) {
    if (!e->failed) (void)snprintf(e->failure, sizeof(e->failure), "%s", name);
    e->failed = true;
    return arguments[0];
  }
  size_t overloads = overload == NULL ? 0 : 1;
  LLVMValueRef callee =
      LLVMGetIntrinsicDeclaration(e->module, id, &overload, overloads);
  return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(callee), callee,
                        arguments, count, "");
}

void cg_loop_begin(cg_emit *e, const char *name, LLVMValueRef count,
                   cg_loop *out_loop) {
  cg_loop *loop = out_loop;
  LLVMTypeRef type = LLVMTypeOf(count);
  loop->count = count;
  loop->before = LLVMGetInsertBlock(e->builder);
  loop->body = block(e, name);
  loop->after = block(e, "after");
  if (LLVMIsAConstantInt(count) && LLVMConstIntGetZExtValue(count) != 0) {
    (void)LLVMBuildBr(e->builder, loop->body);
  } else {
    LLVMValueRef any =
        LLVMBuildICmp(e->builder, LLVMIntNE, count, LLVMConstNull(type), "");
    (void)LLVMBuildCondBr(e->builder, any, loop->body, loop->after);
  }
  LLVMPositionBuilderAtEnd(e->builder, loop->body);
  loop->index = LLVMBuildPhi(e->builder, type, "index");
  LLVMValueRef zero = LLVMConstNull(type);
  LLVMAddIncoming(loop->index, &zero, &loop->before, 1);
}

void cg_loop_end(cg_emit *e, cg_loop *loop) {
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->builder);
  LLVMValueRef one = LLVMConstInt(LLVMTypeOf(loop->index), 1, 0);
  LLVMValueRef next = LLVMBuildNUWAdd(e->builder, loop->index, one, "next");
  LLVMAddIncoming(loop->index, &next, &latch, 1);
  LLVMValueRef more =
      LLVMBuildICmp(e->builder, LLVMIntULT, next, loop->count, "more");
  (void)LLVMBuildCondBr(e->builder, more, loop->body, loop->after);
  LLVMMoveBasicBlockAfter(loop->after, latch);
  LLVMPositionBuilderAtEnd(e->builder, loop->after);
}

void cg_if(cg_emit *e, LLVMValueRef condition, const char *name,
           cg_branch *out_branch) {
  LLVMBasicBlockRef then = block(e, name);
  out_branch->otherwise = block(e, "else");
  out_branch->after = block(e, "endif");
  out_branch->has_else = false;
  (void)LLVMBuildCondBr(e->builder, condition, then, out_branch->otherwise);
  LLVMPositionBuilderAtEnd(e->builder, then);
}

void cg_else(cg_emit *e, cg_branch *branch) {
  (void)LLVMBuildBr(e->builder, branch->after);
  LLVMMoveBasicBlockAfter(branch->otherwise, LLVMGetInsertBlock(e->builder));
  LLVMPositionBuilderAtEnd(e->builder, branch->otherwise);
  branch->has_else = true;
}

void cg_endif(cg_emit *e, cg_branch *branch) {
  if (!branch->has_else) cg_else(e, branch);
  (void)LLVMBuildBr(e->builder, branch->after);
  LLVMMoveBasicBlockAfter(branch->after, LLVMGetInsertBlock(e->builder));
  LLVMPositionBuilderAtEnd(e->builder, branch->after);
}
