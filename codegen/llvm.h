// SPDX-License-Identifier: Apache-2.0
// IR -> passes -> text or object, for every family. The LLVM C API is
// treacherous where it matters: the default diagnostic handler ends the
// process, emission reports success after an error, and code generation
// changes the module. So errors are counted by a handler of ours and looked at
// after every step, each compilation has its own context and machine, and each
// output is generated from its own clone. What reaches LLVM as a processor or
// a feature comes from our own tables.
#ifndef CODEGEN_LLVM_H_
#define CODEGEN_LLVM_H_

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "base/buffer.h"
#include "base/hash.h"

typedef struct cg_sink {
  unsigned error_count;
  char first[320];
} cg_sink;

typedef struct cg_machine {
  const char *triple, *cpu, *features;
  LLVMRelocMode relocation;
} cg_machine;

typedef struct cg_compilation {
  const char *kernel;  // names, for messages
  const char *target;
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMTargetMachineRef machine;
  cg_sink sink;
} cg_compilation;

// Context, machine and an empty module with the machine's data layout. The
// names are set before; cg_compilation_end after, whatever came out.
TSR_MUST_USE tsr_status cg_compilation_begin(cg_compilation *c,
                                             const cg_machine *machine,
                                             tsr_error *error);
void cg_compilation_end(cg_compilation *c);

// "kernel K for T: |step|: |text|", TSR_INTERNAL.
tsr_status cg_fail(const cg_compilation *c, const char *step, const char *text,
                   tsr_error *error);

TSR_MUST_USE tsr_status cg_module_verify(cg_compilation *c, tsr_error *error);
TSR_MUST_USE tsr_status cg_module_optimize(cg_compilation *c,
                                           const char *pipeline,
                                           tsr_error *error);
TSR_MUST_USE tsr_status cg_module_emit(cg_compilation *c,
                                       LLVMCodeGenFileType type,
                                       tsr_buffer *out, tsr_error *error);
// The module as text.
TSR_MUST_USE tsr_status cg_module_print(cg_compilation *c, tsr_buffer *out,
                                        tsr_error *error);

// "tessera 0.1.0 |family|-|revision| llvm 22.1.8": what generated code of a
// family depends on.
void cg_fingerprint(tsr_buffer *out, const char *family, uint32_t revision);
// The hash of |text|, which is freed. Without memory there is no key: zero,
// which no cache entry matches.
tsr_hash cg_key(tsr_buffer *text);

#endif  // CODEGEN_LLVM_H_
