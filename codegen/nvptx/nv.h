// SPDX-License-Identifier: Apache-2.0
// What the files of the NVIDIA family share. Launch contract:
// base/nvidia_abi.h; packed weights: base/fragment_abi.h; how the code is built
// and why: docs/cuda-kernels.md.
#ifndef CODEGEN_NVPTX_NV_H_
#define CODEGEN_NVPTX_NV_H_

#include "base/nvidia_abi.h"
#include "codegen/cuda.h"
#include "emit.h"

enum {
  NV_LANES = 32,
  NV_GROUP_BLOCKS = 4,       // row blocks (m16) of a warp
  NV_N_TILES = 8,            // n8 tiles of a warp, at most
  NV_SLOTS = 4,              // k16 steps of weights in registers, at most
  NV_CHUNK_BYTES = 128,      // of X: 64 columns of one token
  NV_SHARED_LIMIT = 101376,  // 99 KiB: the least that sm_80 and later offer
                             // (sm_86, sm_89, sm_120; CUDA C++ Programming
                             // Guide, compute capabilities)
  NV_FINISH_TOKENS = 8,      // tokens that are summed over k-slices at a time
  NV_FINISH_STRIDE = 68,     // floats from token to token there: 64 rows and 4,
                             // so that the accumulators' 4-token, 8-row pattern
                             // meets 32 banks
};

// ---- Strategies: one file, one descriptor each -----------------------------

struct nv_kernel;

typedef struct nv_strategy {
  const char *name;
  tsr_nvidia_mode mode;
  // Why it cannot serve |spec|'s token range on |target|, or NULL.
  const char *(*refuse)(const tsr_kernel_spec *spec,
                        const tsr_cuda_target *target);
  // The ends of its token buckets, ascending, UINT32_MAX for an open one.
  uint32_t (*buckets)(uint32_t out_last[TSR_KERNEL_LIMIT]);
  // How the warps divide a bucket (resources follow: nv_resources); the same
  // for all targets, as the kernel's name is.
  tsr_cuda_geometry (*geometry)(const tsr_kernel_spec *spec,
                                uint32_t bucket_last);
  // Predicted seconds, bytes, mma and bound of |out->kernel| for |tokens|.
  void (*cost)(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
               const tsr_cuda_target *target, uint32_t tokens,
               tsr_cuda_candidate *out);
  // Emits the kernel's function. |k| has module and builder.
  void (*emit)(struct nv_kernel *k);
} nv_strategy;

extern const nv_strategy nv_decode, nv_prefill;
extern const nv_strategy *const nv_strategies[];  // strategies.c; ends: NULL

// ---- Numbers of one kernel -------------------------------------------------

// How a matrix falls into panels and groups.
typedef struct nv_shape {
  uint32_t panels;
  uint32_t tile_rows;     // of a full panel
  uint32_t last_rows;     // of the last panel (may be full)
  uint32_t blocks;        // row blocks of a full panel
  uint32_t last_blocks;   // of the last
  uint32_t main_blocks;   // of a warp with straight-line code: 1..4
  uint32_t main_columns;  // of a step with straight-line code, in 16s: 1..4
} nv_shape;

nv_shape nv_shape_of(const tsr_kernel_spec *spec);

// Dynamic shared memory. X: for each k-slice, |stages| stages of
// token_slices * warp_tokens rows of 128 bytes; piece p (16 bytes) of row r
// lies at piece p ^ (r & 7), so that ldmatrix and cp.async meet no bank twice.
// Finish: for each warp NV_FINISH_TOKENS * NV_FINISH_STRIDE floats. Then 16
// bytes in which thread 0 tells the block what its counter said.
typedef struct nv_layout {
  uint32_t stage_size;  // of one k-slice
  uint32_t x_size;      // all stages of all k-slices, from offset 0
  uint32_t finish_offset;
  uint32_t finish_warp;  // bytes of one warp
  uint32_t flag_offset;
  uint32_t size;
} nv_layout;

nv_layout nv_layout_of(const tsr_cuda_geometry *geometry);

// ---- Emission --------------------------------------------------------------

typedef struct nv_kernel {
  cg_emit e;
  const tsr_cuda_kernel *kernel;
  const tsr_kernel_spec *spec;
  const tsr_cuda_target *target;
  tsr_cuda_geometry geometry;
  nv_shape shape;
  nv_layout layout;
  LLVMTypeRef global;  // ptr addrspace(1)
  LLVMTypeRef local;   // ptr addrspace(3): shared memory
  // Parameters, by their names in base/nvidia_abi.h.
  LLVMValueRef stream, steps, workers, segments, input, residual, bias, output,
      workspace, input_stride, residual_stride, output_stride, tokens,
      token_tiles, raster, worker_count, partial_count, reduction_count;
  LLVMValueRef shared;  // addrspace(3), 128-byte aligned
  // Where we are; all i32, uniform in a warp but thread and lane.
  LLVMValueRef thread, lane, warp;
  // Of the warp, whose index is
  // group + groups * (k_slice + k_slices * token_slice).
  LLVMValueRef group, k_slice, token_slice;
  LLVMValueRef lane_row, lane_pair;  // lane / 4, lane % 4: g and t of the ISA
  LLVMValueRef worker, token_tile;
  LLVMValueRef token_first;  // of the token tile: token_tile * block_tokens
} nv_kernel;

// The segment being finished; i32 values, uniform in the block.
typedef struct nv_segment {
  LLVMValueRef panel, step_end, partial, reduction, partial_first,
      partial_count;
} nv_segment;

// kernel.c: the skeleton. Function with parameters, launch bounds, block index
// -> worker and token tile, loop over segments: walk, then finish.
void nv_emit_kernel(nv_kernel *k);

// Accumulators are variables (cg_variable of float), [block][n tile][4] in the
// order of mma's c registers. Row blocks beyond the tile's rows stay zero.
typedef struct nv_accumulators {
  LLVMValueRef at[NV_GROUP_BLOCKS][NV_N_TILES][4];
} nv_accumulators;

// finish.c: emits what happens when a segment's steps are done; every thread of
// the block comes here. Sums the k-slices through shared memory in the order of
// k_slice, then writes Y (epilogue) or the slot of partial sums; the last block
// of a split panel sums its slots in their order and writes Y. Leaves the
// accumulators undefined. Ends with shared memory free for the next call.
void nv_emit_finish(nv_kernel *k, const nv_segment *segment,
                    const nv_accumulators *acc);

// math.c: one value.
LLVMValueRef nv_activation(nv_kernel *k, tsr_activation activation,
                           LLVMValueRef v);

// A comment line in the PTX: empty inline assembly that stays where it is.
void nv_comment(nv_kernel *k, const char *format, ...) TSR_PRINTF(2, 3);

// Whole kernel into a module; false: a missing intrinsic, named in |failure|.
bool nv_emit(const tsr_cuda_kernel *kernel, const tsr_cuda_target *target,
             LLVMContextRef context, LLVMModuleRef module, char *failure,
             size_t failure_size);

// Fills threads, shared_size, block_tokens, name and mode from the rest.
void nv_resources(const nv_strategy *strategy, tsr_cuda_kernel *kernel);

#endif  // CODEGEN_NVPTX_NV_H_
