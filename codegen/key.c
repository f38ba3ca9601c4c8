// SPDX-License-Identifier: Apache-2.0
// What an object depends on, as text and as a hash: our version, the revision
// of the generator, LLVM's version, the kernel's spec, the variant.
#include "codegen/codegen.h"
#include "generator_revision.h"
#include "llvm.h"

void tsr_codegen_fingerprint(tsr_buffer *out) {
  cg_fingerprint(out, "host", TSR_GENERATOR_REVISION);
}

tsr_hash tsr_codegen_key(const tsr_kernel *kernel, const tsr_variant *variant) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_codegen_fingerprint(&text);
  // The name spells out every field of the spec.
  tsr_buffer_printf(&text, "|%s|%s|%s|%s|%s|%s", kernel->name, variant->name,
                    variant->triple, variant->cpu, variant->features,
                    variant->required);
  return cg_key(&text);
}
