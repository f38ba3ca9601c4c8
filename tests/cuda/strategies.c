// SPDX-License-Identifier: Apache-2.0
// The list of strategies of the compiler that strategies_test.py uses: ours,
// and one that only sm_90a can execute. It is here to prove that a strategy for
// one target is one more descriptor, from its choice to its launch; it computes
// what decode computes, after an instruction that no other target has.
#include <string.h>

#include "cost.h"
#include "nv.h"

// Between decode's 16 and 32: targets without it have other token ranges. Its
// second bucket serves the same tokens in tiles of twice the size.
enum { LAST = 24, WARP_TOKENS = 32, LAST_WIDE = 40, WIDE_TOKENS = 64 };

static const char *refuse(const tsr_kernel_spec *spec,
                          const tsr_cuda_target *target) {
  if (strcmp(target->name, "sm_90a") != 0) return "only on sm_90a";
  if (spec->token_last > LAST) return "more than 24 tokens";
  return nv_refuse_shape(spec);
}

static uint32_t buckets(uint32_t out_last[TSR_KERNEL_LIMIT]) {
  out_last[0] = LAST;
  out_last[1] = LAST_WIDE;
  return 2;
}

static tsr_cuda_geometry geometry(const tsr_kernel_spec *spec,
                                  uint32_t bucket_last) {
  return nv_decode.geometry(spec,
                            bucket_last == LAST ? WARP_TOKENS : WIDE_TOKENS);
}

// Half of decode's, so that it is chosen wherever it can be; for more than 16
// tokens its second bucket, though its first would do.
static void cost(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
                 const tsr_cuda_target *target, uint32_t tokens,
                 tsr_cuda_candidate *out) {
  nv_decode.cost(spec, facts, target, tokens, out);
  out->seconds /= 2;
  if (tokens > 16 && out->kernel.block_tokens == WIDE_TOKENS) out->seconds /= 2;
}

// wgmma.fence is for sm_90a alone (PTX ISA 9.7.15.7.1).
static void emit(nv_kernel *k) {
  static const char text[] = "wgmma.fence.sync.aligned;";
  nv_emit_kernel(k);
  LLVMTypeRef type =
      LLVMFunctionType(LLVMVoidTypeInContext(k->e.context), NULL, 0, 0);
  LLVMValueRef fence = LLVMGetInlineAsm(type, text, strlen(text), "", 0, 1, 0,
                                        LLVMInlineAsmDialectATT, 0);
  LLVMPositionBuilderBefore(
      k->e.builder,
      LLVMGetFirstInstruction(LLVMGetEntryBasicBlock(k->e.function)));
  (void)LLVMBuildCall2(k->e.builder, type, fence, NULL, 0, "");
}

static const nv_strategy exact = {
    .name = "exact90a",
    .mode = TSR_NVIDIA_DECODE,
    .refuse = refuse,
    .buckets = buckets,
    .geometry = geometry,
    .cost = cost,
    .emit = emit,
};

const nv_strategy *const nv_strategies[] = {&nv_decode, &nv_prefill, &exact,
                                            NULL};
