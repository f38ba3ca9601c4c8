// SPDX-License-Identifier: Apache-2.0
// Kernels of the NVIDIA family -> IR -> passes -> PTX text, with the checks
// that LLVM leaves out: that the module is for the target that was asked for,
// that the function became an entry, and that nothing was put into local
// memory, which for this code means that a variable was indexed at run time.
#include <stdio.h>
#include <string.h>

#include "llvm.h"
#include "nv.h"
#include "nvptx_revision.h"

static const char triple[] = "nvptx64-nvidia-cuda";

// The code is written unrolled and in its order (docs/cuda-kernels.md): the
// passes promote variables and tidy addresses. Not more: a pass that moves
// loads or unrolls loops undoes the distances that registers were counted for.
static const char pipeline[] =
    "function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg)";

static const nv_strategy *find_strategy(const char *name) {
  for (uint32_t i = 0; nv_strategies[i] != NULL; ++i) {
    if (strcmp(nv_strategies[i]->name, name) == 0) return nv_strategies[i];
  }
  return NULL;
}

bool nv_emit(const tsr_cuda_kernel *kernel, const tsr_cuda_target *target,
             LLVMContextRef context, LLVMModuleRef module, char *failure,
             size_t failure_size) {
  const nv_strategy *strategy = find_strategy(kernel->strategy);
  if (strategy == NULL) {
    (void)snprintf(failure, failure_size, "strategy %s", kernel->strategy);
    return false;
  }
  nv_kernel k = {0};
  cg_emit_init(&k.e, context, module);
  k.kernel = kernel;
  k.spec = &kernel->spec;
  k.target = target;
  k.geometry = kernel->geometry;
  k.shape = nv_shape_of(&kernel->spec);
  k.layout = nv_layout_of(&kernel->geometry);
  k.global = LLVMPointerTypeInContext(context, 1);
  k.local = LLVMPointerTypeInContext(context, 3);
  strategy->emit(&k);
  if (k.e.failed) (void)snprintf(failure, failure_size, "%s", k.e.failure);
  bool ok = !k.e.failed;
  cg_emit_fini(&k.e);
  return ok;
}

// Whether a line of |text| is |line|, or begins with it if |is_prefix|. Leading
// blanks do not count.
static bool has_line(const char *text, const char *line, bool is_prefix) {
  size_t size = strlen(line);
  for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
    at += strspn(at, " \t\n");
    if (strncmp(at, line, size) != 0) continue;
    if (is_prefix || at[size] == '\n' || at[size] == '\0') return true;
  }
  return false;
}

static tsr_status check_ptx(const cg_compilation *c,
                            const tsr_cuda_target *target, const char *ptx,
                            tsr_error *error) {
  char line[200];
  (void)snprintf(line, sizeof(line), ".version %u.%u", target->ptx / 10,
                 target->ptx % 10);
  if (!has_line(ptx, line, false)) return cg_fail(c, "no line", line, error);
  (void)snprintf(line, sizeof(line), ".target %s", target->name);
  if (!has_line(ptx, line, false)) return cg_fail(c, "no line", line, error);
  (void)snprintf(line, sizeof(line), ".visible .entry %s(", c->kernel);
  if (!has_line(ptx, line, true)) return cg_fail(c, "no line", line, error);
  if (has_line(ptx, ".local", true)) {
    return cg_fail(c, "local memory", "a variable is not in registers", error);
  }
  return TSR_OK;
}

static tsr_status compile(cg_compilation *c, const tsr_cuda_kernel *kernel,
                          const tsr_cuda_target *target, bool want_ll,
                          tsr_cuda_emitted *out, tsr_error *error) {
  cg_machine machine = {triple, target->name, target->features,
                        LLVMRelocDefault};
  tsr_status status = cg_compilation_begin(c, &machine, error);
  if (status != TSR_OK) return status;
  char failure[120] = "";
  if (!nv_emit(kernel, target, c->context, c->module, failure,
               sizeof(failure))) {
    return cg_fail(c, "unknown intrinsic", failure, error);
  }
  status = cg_module_verify(c, error);
  if (status == TSR_OK) status = cg_module_optimize(c, pipeline, error);
  if (status == TSR_OK && want_ll) status = cg_module_print(c, &out->ll, error);
  if (status == TSR_OK) {
    status = cg_module_emit(c, LLVMAssemblyFile, &out->ptx, error);
  }
  if (status == TSR_OK) {
    status = check_ptx(c, target, tsr_buffer_text(&out->ptx), error);
  }
  return status;
}

tsr_status tsr_cuda_compile(const tsr_cuda_kernel *kernel,
                            const tsr_cuda_target *target, bool want_ll,
                            tsr_cuda_emitted *out_emitted, tsr_error *error) {
  memset(out_emitted, 0, sizeof(*out_emitted));
  // A target that somebody made up would reach LLVM, which takes anything.
  if (tsr_cuda_target_find(target->name) != target) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "kernel %s: %s is no target of the table",
                         kernel->name, target->name);
  }
  cg_compilation c = {.kernel = kernel->name, .target = target->name};
  tsr_status status = compile(&c, kernel, target, want_ll, out_emitted, error);
  cg_compilation_end(&c);
  if (status != TSR_OK) tsr_cuda_emitted_fini(out_emitted);
  return status;
}

void tsr_cuda_emitted_fini(tsr_cuda_emitted *emitted) {
  tsr_buffer_fini(&emitted->ptx);
  tsr_buffer_fini(&emitted->ll);
}

void tsr_cuda_fingerprint(tsr_buffer *out) {
  cg_fingerprint(out, "cuda", TSR_NVPTX_REVISION);
}

tsr_hash tsr_cuda_key(const tsr_cuda_kernel *kernel,
                      const tsr_cuda_target *target) {
  const tsr_cuda_geometry *g = &kernel->geometry;
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_cuda_fingerprint(&text);
  // The name spells out every field of the spec; the target's every field of
  // the target.
  tsr_buffer_printf(&text, "|%s|%u %u %u %u %u %u|%s|%s", kernel->name,
                    g->groups, g->k_slices, g->token_slices, g->warp_tokens,
                    g->depth, g->stages, target->name, target->features);
  return cg_key(&text);
}
