// SPDX-License-Identifier: Apache-2.0
// The words with which strategies write LLVM IR: typed constants, byte-offset
// addresses with stated alignment, counted loops, conditions, intrinsics by
// name. They exist because the C API says little in many lines, and because
// each trap of that API (silent id 0, ABI alignment, folded constants) is
// handled here once. A missing intrinsic sets |failed|, checked at the end.
#ifndef CODEGEN_EMIT_H_
#define CODEGEN_EMIT_H_

#include <llvm-c/Core.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct cg_emit {
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMBuilderRef builder;
  LLVMValueRef function;    // being emitted
  LLVMBasicBlockRef entry;  // its first block: home of variables
  LLVMTypeRef i1, i8, i16, i32, i64, f32, f16, bf16, pointer;
  bool failed;
  char failure[120];  // the first missing intrinsic
} cg_emit;

void cg_emit_init(cg_emit *e, LLVMContextRef context, LLVMModuleRef module);
void cg_emit_fini(cg_emit *e);

// Starts void |name|(ptr) with external linkage; returns its parameter.
LLVMValueRef cg_function_begin(cg_emit *e, const char *name);
void cg_function_end(cg_emit *e);
void cg_function_attribute(cg_emit *e, const char *key, const char *value);

// Constants.
LLVMValueRef cg_i32(cg_emit *e, uint32_t value);
LLVMValueRef cg_i64(cg_emit *e, uint64_t value);
LLVMValueRef cg_f32(cg_emit *e, double value);
LLVMValueRef cg_f32_bits(cg_emit *e, uint32_t bits);
LLVMTypeRef cg_vector(LLVMTypeRef element, uint32_t count);
// All lanes |value|; a scalar type gives the scalar (|count| 1 is a vector).
LLVMValueRef cg_splat_constant(LLVMValueRef value, uint32_t count);
LLVMValueRef cg_vector_constant(LLVMTypeRef element, const uint64_t *values,
                                uint32_t count);
LLVMValueRef cg_zero(LLVMTypeRef type);

// Addresses and memory. Offsets are bytes.
LLVMValueRef cg_at(cg_emit *e, LLVMValueRef base, uint64_t offset);
LLVMValueRef cg_at_value(cg_emit *e, LLVMValueRef base, LLVMValueRef offset);
// base + index * scale.
LLVMValueRef cg_at_index(cg_emit *e, LLVMValueRef base, LLVMValueRef index,
                         uint64_t scale);
LLVMValueRef cg_load(cg_emit *e, LLVMTypeRef type, LLVMValueRef address,
                     uint32_t alignment, const char *name);
void cg_store(cg_emit *e, LLVMValueRef value, LLVMValueRef address,
              uint32_t alignment);
void cg_prefetch(cg_emit *e, LLVMValueRef address);
// Loads, stores and prefetches stay on their side of this point; no code.
void cg_keep_order(cg_emit *e);
// A variable of the function (promoted to registers by the passes).
LLVMValueRef cg_variable(cg_emit *e, LLVMTypeRef type, const char *name);

// Integer arithmetic that strategies use by the hundred.
LLVMValueRef cg_add(cg_emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_sub(cg_emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_mul(cg_emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_mul_constant(cg_emit *e, LLVMValueRef a, uint64_t b);
LLVMValueRef cg_minimum(cg_emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_widen(cg_emit *e, LLVMValueRef value);  // to i64, unsigned

// Vectors.
LLVMValueRef cg_bitcast(cg_emit *e, LLVMValueRef value, LLVMTypeRef type);
LLVMValueRef cg_shuffle(cg_emit *e, LLVMValueRef a, LLVMValueRef b,
                        const uint32_t *lanes, uint32_t count);
LLVMValueRef cg_splat(cg_emit *e, LLVMValueRef scalar, uint32_t count);
// Lanes [first, first + count).
LLVMValueRef cg_slice(cg_emit *e, LLVMValueRef vector, uint32_t first,
                      uint32_t count);
// a * b + c, fused where the machine can.
LLVMValueRef cg_multiply_add(cg_emit *e, LLVMValueRef a, LLVMValueRef b,
                             LLVMValueRef c);

// Calls intrinsic |name|; |overload| is the overloaded type or NULL.
LLVMValueRef cg_intrinsic(cg_emit *e, const char *name, LLVMTypeRef overload,
                          LLVMValueRef *arguments, uint32_t count);

// for (index = 0; index < count; ++index), of |count|'s type; a count of zero
// runs nothing.
typedef struct cg_loop {
  LLVMBasicBlockRef before, body, after;
  LLVMValueRef index, count;
} cg_loop;
void cg_loop_begin(cg_emit *e, const char *name, LLVMValueRef count,
                   cg_loop *out_loop);
void cg_loop_end(cg_emit *e, cg_loop *loop);

typedef struct cg_branch {
  LLVMBasicBlockRef otherwise, after;
  bool has_else;
} cg_branch;
void cg_if(cg_emit *e, LLVMValueRef condition, const char *name,
           cg_branch *out_branch);
void cg_else(cg_emit *e, cg_branch *branch);
void cg_endif(cg_emit *e, cg_branch *branch);

#endif  // CODEGEN_EMIT_H_
