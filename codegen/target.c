// SPDX-License-Identifier: Apache-2.0
// Kernel -> IR -> passes -> object, assembly or IR text. The LLVM C API is
// treacherous where it matters: the default diagnostic handler ends the
// process, emission reports success after an error, and code generation
// changes the module. So errors are counted by a handler of ours and looked at
// after every step, each call has its own context and machine, and each output
// is generated from its own clone. Only processors and features of variant.c's
// table reach LLVM.
#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "isa.h"

// Chosen by measurement (docs/host-kernels.md): strategies unroll and order
// the code themselves; the passes only promote variables and tidy addresses.
static const char pipeline[] =
    "function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg)";

typedef struct error_sink {
  unsigned error_count;
  char first[320];
} error_sink;

typedef struct compilation {
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMTargetMachineRef machine;
  const tsr_variant *variant;
  const tsr_kernel *kernel;
  error_sink sink;
} compilation;

static pthread_once_t targets_once = PTHREAD_ONCE_INIT;

static void initialize_targets(void) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeAArch64TargetInfo();
  LLVMInitializeAArch64Target();
  LLVMInitializeAArch64TargetMC();
  LLVMInitializeAArch64AsmPrinter();
}

void tsr_codegen_on_fatal(void (*handler)(const char *reason)) {
  LLVMResetFatalErrorHandler();
  if (handler != NULL) LLVMInstallFatalErrorHandler(handler);
}

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user_data) {
  error_sink *sink = user_data;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError) return;
  char *text = LLVMGetDiagInfoDescription(info);
  if (sink->error_count++ == 0) {
    (void)snprintf(sink->first, sizeof(sink->first), "%s", text);
  }
  LLVMDisposeMessage(text);
}

static tsr_status fail(const compilation *c, const char *step, const char *text,
                       tsr_error *error) {
  return tsr_error_set(error, TSR_INTERNAL, "kernel %s for %s: %s: %s",
                       c->kernel->name, c->variant->name, step, text);
}

static tsr_status check_sink(const compilation *c, const char *step,
                             tsr_error *error) {
  if (c->sink.error_count == 0) return TSR_OK;
  return fail(c, step, c->sink.first, error);
}

static tsr_status machine_create(compilation *c, tsr_error *error) {
  LLVMTargetRef target = NULL;
  char *message = NULL;
  if (LLVMGetTargetFromTriple(c->variant->triple, &target, &message)) {
    tsr_status status = fail(c, "target", message, error);
    LLVMDisposeMessage(message);
    return status;
  }
  c->machine = LLVMCreateTargetMachine(
      target, c->variant->triple, c->variant->cpu, c->variant->features,
      LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
  if (c->machine == NULL) return fail(c, "target", "no machine", error);
  return TSR_OK;
}

static void module_create(compilation *c) {
  c->module = LLVMModuleCreateWithNameInContext(c->kernel->name, c->context);
  LLVMSetTarget(c->module, c->variant->triple);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(c->machine);
  LLVMSetModuleDataLayout(c->module, layout);
  LLVMDisposeTargetData(layout);
}

static tsr_status module_verify(compilation *c, tsr_error *error) {
  char *message = NULL;
  tsr_status status = TSR_OK;
  if (LLVMVerifyModule(c->module, LLVMReturnStatusAction, &message)) {
    status = fail(c, "verify", message, error);
  }
  LLVMDisposeMessage(message);
  return status;
}

static tsr_status module_optimize(compilation *c, tsr_error *error) {
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef failed = LLVMRunPasses(c->module, pipeline, c->machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (failed != NULL) {
    char *message = LLVMGetErrorMessage(failed);
    tsr_status status = fail(c, "passes", message, error);
    LLVMDisposeErrorMessage(message);
    return status;
  }
  return check_sink(c, "passes", error);
}

// Generates from a clone: code generation changes its module.
static tsr_status module_emit(compilation *c, LLVMCodeGenFileType type,
                              tsr_buffer *out, tsr_error *error) {
  LLVMModuleRef clone = LLVMCloneModule(c->module);
  LLVMMemoryBufferRef code = NULL;
  char *message = NULL;
  tsr_status status = TSR_OK;
  if (LLVMTargetMachineEmitToMemoryBuffer(c->machine, clone, type, &message,
                                          &code)) {
    status = fail(c, "emit", message != NULL ? message : "failed", error);
  }
  if (message != NULL) LLVMDisposeMessage(message);
  if (status == TSR_OK) status = check_sink(c, "emit", error);
  if (status == TSR_OK) {
    tsr_buffer_append(out, LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    status = tsr_buffer_status(out, error);
  }
  if (code != NULL) LLVMDisposeMemoryBuffer(code);
  LLVMDisposeModule(clone);
  return status;
}

static tsr_status module_print(compilation *c, tsr_buffer *out,
                               tsr_error *error) {
  char *text = LLVMPrintModuleToString(c->module);
  tsr_buffer_append_string(out, text);
  LLVMDisposeMessage(text);
  return tsr_buffer_status(out, error);
}

static tsr_status compile(compilation *c, unsigned emit, tsr_emitted *out,
                          tsr_error *error) {
  tsr_status status = machine_create(c, error);
  if (status != TSR_OK) return status;
  module_create(c);
  char failure[120] = "";
  if (!tsr_host_emit(c->kernel, c->variant, c->context, c->module, failure,
                     sizeof(failure))) {
    return fail(c, "unknown intrinsic", failure, error);
  }
  status = module_verify(c, error);
  if (status == TSR_OK) status = module_optimize(c, error);
  if (status == TSR_OK && (emit & TSR_EMIT_LL) != 0) {
    status = module_print(c, &out->ll, error);
  }
  if (status == TSR_OK && (emit & TSR_EMIT_ASSEMBLY) != 0) {
    LLVMSetTargetMachineAsmVerbosity(c->machine, 1);
    status = module_emit(c, LLVMAssemblyFile, &out->assembly, error);
  }
  if (status == TSR_OK && (emit & TSR_EMIT_OBJECT) != 0) {
    status = module_emit(c, LLVMObjectFile, &out->object, error);
  }
  return status;
}

tsr_status tsr_codegen_compile(const tsr_kernel *kernel,
                               const tsr_variant *variant, unsigned emit,
                               tsr_emitted *out_emitted, tsr_error *error) {
  memset(out_emitted, 0, sizeof(*out_emitted));
  (void)pthread_once(&targets_once, initialize_targets);
  compilation c = {.variant = variant, .kernel = kernel};
  c.context = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(c.context, on_diagnostic, &c.sink);
  tsr_status status = compile(&c, emit, out_emitted, error);
  if (c.module != NULL) LLVMDisposeModule(c.module);
  if (c.machine != NULL) LLVMDisposeTargetMachine(c.machine);
  LLVMContextDispose(c.context);
  if (status != TSR_OK) tsr_emitted_fini(out_emitted);
  return status;
}

void tsr_emitted_fini(tsr_emitted *emitted) {
  tsr_buffer_fini(&emitted->object);
  tsr_buffer_fini(&emitted->ll);
  tsr_buffer_fini(&emitted->assembly);
}
