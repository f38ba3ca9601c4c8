// SPDX-License-Identifier: Apache-2.0
// What an object depends on, as text and as a hash: our version, the revision
// of the generator, LLVM's version, the kernel's spec, the variant.
#include <llvm-c/Core.h>
#include <string.h>

#include "codegen/codegen.h"
#include "generator_revision.h"

void tsr_codegen_fingerprint(tsr_buffer *out) {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  tsr_buffer_printf(out, "tessera %s host-%08x llvm %u.%u.%u", TESSERA_VERSION,
                    TSR_GENERATOR_REVISION, major, minor, patch);
}

tsr_hash tsr_codegen_key(const tsr_kernel *kernel, const tsr_variant *variant) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_codegen_fingerprint(&text);
  // The name spells out every field of the spec.
  tsr_buffer_printf(&text, "|%s|%s|%s|%s|%s|%s", kernel->name, variant->name,
                    variant->triple, variant->cpu, variant->features,
                    variant->required);
  tsr_hash hash = tsr_hash_bytes(tsr_buffer_text(&text), text.size);
  // Without memory there is no key: a value that no cache entry matches.
  if (text.failed) hash = (tsr_hash){0, 0};
  tsr_buffer_fini(&text);
  return hash;
}
