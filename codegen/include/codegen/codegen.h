// SPDX-License-Identifier: Apache-2.0
// The only door to LLVM: no LLVM type crosses it. Emits host kernels as
// relocatable objects and links them into one shared image per variant.
#ifndef CODEGEN_CODEGEN_H_
#define CODEGEN_CODEGEN_H_

#include "base/buffer.h"
#include "base/hash.h"
#include "base/types.h"

// What a kernel depends on; two layers with equal specs share code. The
// traversal is not part of it: it is data (base/host_abi.h).
typedef struct tsr_kernel_spec {
  uint32_t rows;     // M
  uint32_t columns;  // K
  tsr_tile_shape tile;
  tsr_dtype weight_type;  // F16 or BF16; also the input type
  tsr_dtype output_type;
  tsr_activation activation;
  bool has_bias;
  bool has_residual;
  uint32_t kinds;  // bit tsr_kind set: such tiles occur in the layer
  uint32_t token_first;
  uint32_t token_last;  // inclusive; UINT32_MAX: open
} tsr_kernel_spec;

// A kernel that tsr_codegen_plan chose for a spec.
typedef struct tsr_kernel {
  tsr_kernel_spec spec;  // its token range is the kernel's own
  char name[96];         // readable: tsr_gemv_bf16_4096x4096_t128x128_gelu_n1
  const char *strategy;  // "gemv", "batch", "gemm"; static storage
  char run_symbol[112];
  char reduce_symbol[112];
  char pack_symbol[112];  // "" when the kernel reads X as it is
  // Bytes needed, the largest over all variants: base + per_token * tokens.
  uint64_t scratch_base, scratch_per_token;  // of each thread
  uint64_t packed_base, packed_per_token;    // of packed_input
} tsr_kernel;

enum { TSR_KERNEL_LIMIT = 16 };

// Chooses kernels whose ranges partition |spec|'s token range. No LLVM work.
// Returns the count, at most TSR_KERNEL_LIMIT.
uint32_t tsr_codegen_plan(const tsr_kernel_spec *spec,
                          tsr_kernel out_kernels[TSR_KERNEL_LIMIT]);

typedef struct tsr_variant {
  const char *name;          // "x86-64-v3"
  const char *triple;        // "x86_64-unknown-linux-gnu"
  const char *architecture;  // "x86_64", "aarch64": uname -m
  const char *cpu;           // LLVM's name
  const char *features;      // LLVM's list, "+avx512vbmi2,..."
  // What the runtime must find, space-separated, in its own words (the flags
  // of /proc/cpuinfo): "avx2 fma f16c bmi1 bmi2".
  const char *required;
  int rank;  // among variants that fit, the highest rank is chosen
} tsr_variant;

// NULL when unknown. "native" describes this machine.
const tsr_variant *tsr_variant_find(const char *name);
// The names, for diagnostics and completions; NULL-terminated.
extern const char *const tsr_variant_names[];

typedef enum tsr_emit {
  TSR_EMIT_OBJECT = 1,    // relocatable ELF
  TSR_EMIT_LL = 2,        // LLVM IR text, after optimisation
  TSR_EMIT_ASSEMBLY = 4,  // target assembly
} tsr_emit;

typedef struct tsr_emitted {
  tsr_buffer object;
  tsr_buffer ll;
  tsr_buffer assembly;
} tsr_emitted;

void tsr_emitted_fini(tsr_emitted *emitted);

// Compiles one kernel for one variant. |emit| is a set of tsr_emit.
// Thread-safe: every call has its own LLVM context. Output is deterministic.
TSR_MUST_USE tsr_status tsr_codegen_compile(const tsr_kernel *kernel,
                                            const tsr_variant *variant,
                                            unsigned emit,
                                            tsr_emitted *out_emitted,
                                            tsr_error *error);

// LLVM ends the process on some defects ("Cannot select"). |handler| is called
// first, with LLVM's reason, and must not return. For a main; NULL takes it
// back.
void tsr_codegen_on_fatal(void (*handler)(const char *reason));

// Ends the programs that run for us (linker, ptxas) and lets no other start:
// for a command that is interrupted. What waits for them returns TSR_CANCELLED
// with nothing left behind. |at_once|: nothing is left when this returns, for a
// process that is about to end. Any thread, not a signal handler; for good.
void tsr_codegen_stop(bool at_once);

typedef struct tsr_object {
  const char *name;  // for messages
  const void *data;
  size_t size;
} tsr_object;

// Links objects into a shared image at |path| with the linker that
// |linker| names, or TESSERA_LINKER, or ld.lld-22, ld.lld, ld (the last only
// for this machine's architecture). Deterministic; exports the kernels' symbols
// only; fails on any undefined symbol.
TSR_MUST_USE tsr_status tsr_codegen_link(const tsr_variant *variant,
                                         const tsr_object *objects,
                                         uint32_t object_count,
                                         const char *linker, const char *path,
                                         tsr_error *error);

// Changes whenever generated code may change: our version, a hash of the
// generator's own revision number, LLVM's version.
void tsr_codegen_fingerprint(tsr_buffer *out);

// Content key of one object: spec, variant, fingerprint. Zero, which is no key,
// when out of memory.
tsr_hash tsr_codegen_key(const tsr_kernel *kernel, const tsr_variant *variant);

#endif  // CODEGEN_CODEGEN_H_
