// SPDX-License-Identifier: Apache-2.0
// Host kernels -> IR -> passes -> object, assembly or IR text. What every
// family does with LLVM, and what is treacherous about it, is in llvm.c. Only
// processors and features of variant.c's table reach LLVM.
#include <string.h>

#include "host/host.h"
#include "isa.h"
#include "llvm.h"

// Chosen by measurement (docs/host-kernels.md): strategies unroll and order
// the code themselves; the passes only promote variables and tidy addresses.
static const char pipeline[] =
    "function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg)";

static tsr_status emit_outputs(cg_compilation *c, unsigned emit,
                               tsr_emitted *out, tsr_error *error) {
  tsr_status status = TSR_OK;
  if ((emit & TSR_EMIT_LL) != 0) status = cg_module_print(c, &out->ll, error);
  if (status == TSR_OK && (emit & TSR_EMIT_ASSEMBLY) != 0) {
    LLVMSetTargetMachineAsmVerbosity(c->machine, 1);
    status = cg_module_emit(c, LLVMAssemblyFile, &out->assembly, error);
  }
  if (status == TSR_OK && (emit & TSR_EMIT_OBJECT) != 0) {
    status = cg_module_emit(c, LLVMObjectFile, &out->object, error);
  }
  return status;
}

static tsr_status compile(cg_compilation *c, const tsr_kernel *kernel,
                          const tsr_variant *variant, unsigned emit,
                          tsr_emitted *out, tsr_error *error) {
  cg_machine machine = {variant->triple, variant->cpu, variant->features,
                        LLVMRelocPIC};
  tsr_status status = cg_compilation_begin(c, &machine, error);
  if (status != TSR_OK) return status;
  char failure[120] = "";
  if (!tsr_host_emit(kernel, variant, c->context, c->module, failure,
                     sizeof(failure))) {
    return cg_fail(c, "unknown intrinsic", failure, error);
  }
  status = cg_module_verify(c, error);
  if (status == TSR_OK) status = cg_module_optimize(c, pipeline, error);
  if (status == TSR_OK) status = emit_outputs(c, emit, out, error);
  return status;
}

tsr_status tsr_codegen_compile(const tsr_kernel *kernel,
                               const tsr_variant *variant, unsigned emit,
                               tsr_emitted *out_emitted, tsr_error *error) {
  memset(out_emitted, 0, sizeof(*out_emitted));
  cg_compilation c = {.kernel = kernel->name, .target = variant->name};
  tsr_status status = compile(&c, kernel, variant, emit, out_emitted, error);
  cg_compilation_end(&c);
  if (status != TSR_OK) tsr_emitted_fini(out_emitted);
  return status;
}

void tsr_emitted_fini(tsr_emitted *emitted) {
  tsr_buffer_fini(&emitted->object);
  tsr_buffer_fini(&emitted->ll);
  tsr_buffer_fini(&emitted->assembly);
}
