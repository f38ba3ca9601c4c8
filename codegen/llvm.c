// SPDX-License-Identifier: Apache-2.0
// See llvm.h.
#include "llvm.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdio.h>

#include "codegen/codegen.h"

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
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
}

void tsr_codegen_on_fatal(void (*handler)(const char *reason)) {
  LLVMResetFatalErrorHandler();
  if (handler != NULL) LLVMInstallFatalErrorHandler(handler);
}

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user_data) {
  cg_sink *sink = user_data;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError) return;
  char *text = LLVMGetDiagInfoDescription(info);
  if (sink->error_count++ == 0) {
    (void)snprintf(sink->first, sizeof(sink->first), "%s", text);
  }
  LLVMDisposeMessage(text);
}

tsr_status cg_fail(const cg_compilation *c, const char *step, const char *text,
                   tsr_error *error) {
  return tsr_error_set(error, TSR_INTERNAL, "kernel %s for %s: %s: %s",
                       c->kernel, c->target, step, text);
}

static tsr_status check_sink(const cg_compilation *c, const char *step,
                             tsr_error *error) {
  if (c->sink.error_count == 0) return TSR_OK;
  return cg_fail(c, step, c->sink.first, error);
}

static tsr_status machine_create(cg_compilation *c, const cg_machine *machine,
                                 tsr_error *error) {
  LLVMTargetRef target = NULL;
  char *message = NULL;
  if (LLVMGetTargetFromTriple(machine->triple, &target, &message)) {
    tsr_status status = cg_fail(c, "target", message, error);
    LLVMDisposeMessage(message);
    return status;
  }
  c->machine = LLVMCreateTargetMachine(
      target, machine->triple, machine->cpu, machine->features,
      LLVMCodeGenLevelDefault, machine->relocation, LLVMCodeModelDefault);
  if (c->machine == NULL) return cg_fail(c, "target", "no machine", error);
  return TSR_OK;
}

static void module_create(cg_compilation *c, const char *triple) {
  c->module = LLVMModuleCreateWithNameInContext(c->kernel, c->context);
  LLVMSetTarget(c->module, triple);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(c->machine);
  LLVMSetModuleDataLayout(c->module, layout);
  LLVMDisposeTargetData(layout);
}

tsr_status cg_compilation_begin(cg_compilation *c, const cg_machine *machine,
                                tsr_error *error) {
  (void)pthread_once(&targets_once, initialize_targets);
  c->context = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(c->context, on_diagnostic, &c->sink);
  tsr_status status = machine_create(c, machine, error);
  if (status == TSR_OK) module_create(c, machine->triple);
  return status;
}

void cg_compilation_end(cg_compilation *c) {
  if (c->module != NULL) LLVMDisposeModule(c->module);
  if (c->machine != NULL) LLVMDisposeTargetMachine(c->machine);
  if (c->context != NULL) LLVMContextDispose(c->context);
  c->module = NULL;
  c->machine = NULL;
  c->context = NULL;
}

tsr_status cg_module_verify(cg_compilation *c, tsr_error *error) {
  char *message = NULL;
  tsr_status status = TSR_OK;
  if (LLVMVerifyModule(c->module, LLVMReturnStatusAction, &message)) {
    status = cg_fail(c, "verify", message, error);
  }
  LLVMDisposeMessage(message);
  return status;
}

tsr_status cg_module_optimize(cg_compilation *c, const char *pipeline,
                              tsr_error *error) {
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef failed = LLVMRunPasses(c->module, pipeline, c->machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (failed != NULL) {
    char *message = LLVMGetErrorMessage(failed);
    tsr_status status = cg_fail(c, "passes", message, error);
    LLVMDisposeErrorMessage(message);
    return status;
  }
  return check_sink(c, "passes", error);
}

// Generates from a clone: code generation changes its module.
tsr_status cg_module_emit(cg_compilation *c, LLVMCodeGenFileType type,
                          tsr_buffer *out, tsr_error *error) {
  LLVMModuleRef clone = LLVMCloneModule(c->module);
  LLVMMemoryBufferRef code = NULL;
  char *message = NULL;
  tsr_status status = TSR_OK;
  if (LLVMTargetMachineEmitToMemoryBuffer(c->machine, clone, type, &message,
                                          &code)) {
    status = cg_fail(c, "emit", message != NULL ? message : "failed", error);
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

tsr_status cg_module_print(cg_compilation *c, tsr_buffer *out,
                           tsr_error *error) {
  char *text = LLVMPrintModuleToString(c->module);
  tsr_buffer_append_string(out, text);
  LLVMDisposeMessage(text);
  return tsr_buffer_status(out, error);
}

void cg_fingerprint(tsr_buffer *out, const char *family, uint32_t revision) {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  tsr_buffer_printf(out, "tessera %s %s-%08x llvm %u.%u.%u", TESSERA_VERSION,
                    family, revision, major, minor, patch);
}

tsr_hash cg_key(tsr_buffer *text) {
  tsr_hash hash = tsr_hash_bytes(tsr_buffer_text(text), text->size);
  if (text->failed) hash = (tsr_hash){0, 0};
  tsr_buffer_fini(text);
  return hash;
}
