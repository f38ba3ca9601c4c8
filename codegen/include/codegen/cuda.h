// SPDX-License-Identifier: Apache-2.0
// The NVIDIA family of the code generator: kernels as PTX. No LLVM type crosses
// this header. What a kernel is called with: base/nvidia_abi.h; how the code is
// built and why: docs/cuda-kernels.md.
#ifndef CODEGEN_CUDA_H_
#define CODEGEN_CUDA_H_

#include "base/nvidia_abi.h"
#include "codegen/codegen.h"

// ---- Targets ---------------------------------------------------------------

// What the cost model knows of the GPU that stands for a target. Sources are
// stated beside the table (codegen/nvptx/target.c).
typedef struct tsr_cuda_gpu {
  const char *name;          // "A100-SXM4-80GB"
  uint32_t multiprocessors;  // 108
  double clock;              // Hz, boost
  double bandwidth;          // bytes per second, nominal
  double dense_flops;        // fp16/bf16 with fp32 accumulation, mma.sync
  double sparse_flops;       // likewise, counting the zeros
  double latency;            // seconds from a load to its data, memory idle
  double launch;             // seconds that an empty launch in a graph takes
} tsr_cuda_gpu;

typedef struct tsr_cuda_target {
  const char *name;       // "sm_80"
  uint32_t sm;            // 80
  bool is_exact;          // "sm_90a": runs on that compute capability only
  uint32_t ptx;           // 85: the .version that is emitted
  const char *features;   // LLVM's, "+ptx85"
  uint32_t shared_block;  // bytes of shared memory a block may have (opt-in)
  uint32_t shared_total;  // of a multiprocessor
  uint32_t threads_total;
  uint32_t blocks_total;
  uint32_t registers_total;
  tsr_cuda_gpu gpu;
} tsr_cuda_target;

// NULL when unknown. Only what this table has reaches LLVM.
const tsr_cuda_target *tsr_cuda_target_find(const char *name);
extern const char *const tsr_cuda_target_names[];  // NULL-terminated

// ---- Kernels ---------------------------------------------------------------

// How the warps of a block divide the work; docs/cuda-kernels.md.
typedef struct tsr_cuda_geometry {
  uint32_t groups;        // row groups of a panel: warps side by side in rows
  uint32_t k_slices;      // warps that take turns at a segment's steps
  uint32_t token_slices;  // warps side by side in tokens
  uint32_t warp_tokens;   // tokens of a warp: 8, 16, 32 or 64
  uint32_t depth;         // k16 steps of dense weights in registers ahead: 2, 4
  uint32_t stages;        // of X in shared memory, >= 2
} tsr_cuda_geometry;

typedef struct tsr_cuda_kernel {
  tsr_kernel_spec spec;  // its token range is the kernel's own
  char name[128];        // its .entry: tsr_decode_bf16_4096x4096_t128x128_...
  const char *strategy;  // "decode", "prefill"; static storage
  tsr_nvidia_mode mode;  // which cuts it takes
  tsr_cuda_geometry geometry;
  uint32_t threads;       // of a block
  uint32_t shared_size;   // dynamic shared memory, bytes
  uint32_t block_tokens;  // of a token tile
} tsr_cuda_kernel;

// As tsr_codegen_plan: kernels whose ranges partition |spec|'s token range (its
// end may be open). Targets may differ in their kernels, those of equal names
// are equal. No LLVM work.
uint32_t tsr_cuda_plan(const tsr_kernel_spec *spec,
                       const tsr_cuda_target *target,
                       tsr_cuda_kernel out_kernels[TSR_KERNEL_LIMIT]);

typedef struct tsr_cuda_emitted {
  tsr_buffer ptx;  // a whole module, NUL-terminated text
  tsr_buffer ll;   // LLVM IR after optimisation
} tsr_cuda_emitted;

void tsr_cuda_emitted_fini(tsr_cuda_emitted *emitted);

// Compiles one kernel. |want_ll|: the IR too. Thread-safe, deterministic.
TSR_MUST_USE tsr_status tsr_cuda_compile(const tsr_cuda_kernel *kernel,
                                         const tsr_cuda_target *target,
                                         bool want_ll,
                                         tsr_cuda_emitted *out_emitted,
                                         tsr_error *error);

// One module with the entries of all |texts| (modules that tsr_cuda_compile
// made for |target|), for kernels/cuda-sm_80.ptx. |comment| (may be NULL) goes
// on top, every line with "// " in front.
TSR_MUST_USE tsr_status tsr_cuda_join(const tsr_cuda_target *target,
                                      const char *comment,
                                      const tsr_object *texts,
                                      uint32_t text_count, tsr_buffer *out,
                                      tsr_error *error);

void tsr_cuda_fingerprint(tsr_buffer *out);
tsr_hash tsr_cuda_key(const tsr_cuda_kernel *kernel,
                      const tsr_cuda_target *target);

// ---- Cubins and resources --------------------------------------------------

typedef struct tsr_cuda_resources {
  bool is_known;           // by ptxas; else only shared memory is
  uint32_t registers;      // of a thread
  uint32_t spill_stores;   // bytes
  uint32_t spill_loads;    // bytes
  uint32_t stack;          // bytes
  uint32_t shared_static;  // bytes
  uint32_t blocks;         // resident on a multiprocessor; 0: unknown
  const char *limiter;     // "registers", "shared memory", "threads", "blocks"
} tsr_cuda_resources;

// Resident blocks and what limits them, from |io|'s registers and the kernel.
void tsr_cuda_occupancy(const tsr_cuda_kernel *kernel,
                        const tsr_cuda_target *target, tsr_cuda_resources *io);

// The assembler: |named| (--ptxas), else TESSERA_PTXAS, else ptxas in PATH,
// else in CUDA's usual folder. "none" for none. An empty |out_path| and TSR_OK:
// there is none and none was asked for; one that was and is not there fails.
TSR_MUST_USE tsr_status tsr_ptxas_find(const char *named, tsr_buffer *out_path,
                                       tsr_error *error);
// "13.0.88", for fingerprints.
TSR_MUST_USE tsr_status tsr_ptxas_version(const char *ptxas, tsr_buffer *out,
                                          tsr_error *error);
// Assembles a module for |architecture| ("sm_90"); reproducible. |resources|
// (may be NULL) is filled for |kernels| by name. A complaint of ptxas fails
// with its first line.
TSR_MUST_USE tsr_status tsr_ptxas_assemble(
    const char *ptxas, const char *architecture, const tsr_buffer *ptx,
    const tsr_cuda_kernel *kernels, uint32_t kernel_count, tsr_buffer *cubin,
    tsr_cuda_resources *resources, tsr_error *error);

// ---- Costs -----------------------------------------------------------------

// A layer in numbers, for predictions.
typedef struct tsr_cuda_facts {
  uint64_t stream_bytes;  // packed weights
  uint64_t time;          // mma instructions per 8 tokens
  uint64_t steps;
  // Of the share that is largest, over the mean: 1.0 is balanced.
  double byte_imbalance;
  double time_imbalance;
  uint64_t partials;  // slots of one token tile in the decode cut
} tsr_cuda_facts;

typedef struct tsr_cuda_candidate {
  const char *strategy;
  bool is_applicable;
  const char *reason;      // why not; NULL otherwise
  bool is_chosen;          // by tsr_cuda_plan for target and token count
  tsr_cuda_kernel kernel;  // if applicable
  uint64_t bytes;          // that the launch moves: weights, X, Y, partials
  uint64_t flops;          // 2 * useful multiplications
  uint64_t mma;            // instructions
  double seconds;          // predicted
  const char *bound;       // "bandwidth", "cache", "tensor cores", "latency"
} tsr_cuda_candidate;

enum { TSR_CUDA_CANDIDATE_LIMIT = 16, TSR_CUDA_OPEN_TOKENS = 2048 };

// The token count for which a range of tokens is judged: its last, or where it
// is open one that makes many token tiles.
static inline uint32_t tsr_cuda_judged(uint32_t first, uint32_t last) {
  if (last != UINT32_MAX) return last;
  return first > TSR_CUDA_OPEN_TOKENS ? first : (uint32_t)TSR_CUDA_OPEN_TOKENS;
}

// All strategies for |tokens| tokens of a layer, the chosen one first, then by
// predicted time.
uint32_t tsr_cuda_explain(const tsr_kernel_spec *spec,
                          const tsr_cuda_facts *facts,
                          const tsr_cuda_target *target, uint32_t tokens,
                          tsr_cuda_candidate out[TSR_CUDA_CANDIDATE_LIMIT]);

#endif  // CODEGEN_CUDA_H_
