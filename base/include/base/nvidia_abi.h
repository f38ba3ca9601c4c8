// SPDX-License-Identifier: Apache-2.0
// The contract of a CUDA launch between three parties that never meet:
// compiler/nvidia_schedule (lays the tables out), codegen/nvptx (emits kernels
// that read them) and the runtime (checks, uploads and passes them). How the
// packed weights lie: base/fragment_abi.h. docs/cuda-kernels.md tells the same
// in prose. All values are little-endian.
//
// A step is one k-chunk (64 columns, or what a tile has left) of one tile that
// is not zero: what all row groups of a panel multiply with the same columns of
// X. A layer's steps are numbered in stream order: panel after panel, columns
// ascending. A worker is a thread block; its share is a run of steps.
//
// A cut divides a layer's steps between workers. A bundle has several: for each
// class of device (number of multiprocessors) one for decode, whose shares are
// equal in bytes, and some for prefill, whose shares are equal in tensor-core
// time, with fewer workers, because there thread blocks divide the tokens too.
#ifndef BASE_NVIDIA_ABI_H_
#define BASE_NVIDIA_ABI_H_

#include "base/fragment_abi.h"

enum {
  TSR_NVIDIA_ABI_VERSION = 1,
  // Device classes of a plan that does not name a worker count: A100, RTX
  // A6000, RTX 4090, H100 SXM and H200 (multiprocessors; CUDA C++ Programming
  // Guide does not list them, NVIDIA's architecture whitepapers do: GA100
  // section "A100", GA102 appendix A, Ada appendix A, GH100 table 1).
  TSR_NVIDIA_CLASS_A100 = 108,
  TSR_NVIDIA_CLASS_A6000 = 84,
  TSR_NVIDIA_CLASS_4090 = 128,
  TSR_NVIDIA_CLASS_H100 = 132,
};

#define TSR_NVIDIA_NO_PARTIAL UINT32_MAX

// ---- Schedule section ------------------------------------------------------

// This header, then steps, cuts, workers, segments, in this order, no gaps.
typedef struct tsr_nvidia_schedule {
  uint32_t step_count;
  uint32_t cut_count;
  uint32_t worker_count;   // of all cuts together
  uint32_t segment_count;  // of all cuts together
  uint32_t reserved[4];    // zero
} tsr_nvidia_schedule;

typedef struct tsr_nvidia_step {
  uint32_t offset;  // of its first unit in the layer's stream, in 128 bytes
  // Bits 23:0 its first column of X; bits 25:24 the kind (TSR_KIND_SPARSE24 or
  // TSR_KIND_DENSE); bits 29:26 its columns in units of 16, rounded up: 1 to 4;
  // bits 31:30 zero.
  uint32_t code;
} tsr_nvidia_step;

static inline uint32_t tsr_nvidia_step_code(uint32_t column, tsr_kind kind,
                                            uint32_t columns) {
  return column | (uint32_t)kind << 24 | (columns + 15u) / 16u << 26;
}
static inline uint32_t tsr_nvidia_step_column(uint32_t code) {
  return code & 0xffffffu;
}
static inline tsr_kind tsr_nvidia_step_kind(uint32_t code) {
  return (tsr_kind)(code >> 24 & 3u);
}
static inline uint32_t tsr_nvidia_step_sixteenths(uint32_t code) {
  return code >> 26 & 15u;
}

typedef enum tsr_nvidia_mode {
  TSR_NVIDIA_DECODE = 0,   // one token tile; shares equal in bytes
  TSR_NVIDIA_PREFILL = 1,  // any number; shares equal in tensor-core time
} tsr_nvidia_mode;

typedef struct tsr_nvidia_cut {
  uint32_t multiprocessors;  // the class of device that it is for
  uint32_t mode;             // tsr_nvidia_mode
  uint32_t worker_first;     // into the section's workers
  uint32_t worker_count;     // thread blocks of one token tile
  uint32_t segment_first;    // into the section's segments
  uint32_t segment_count;
  uint32_t partial_count;    // slots of one token tile
  uint32_t reduction_count;  // split panels: counters of one token tile
} tsr_nvidia_cut;

typedef struct tsr_nvidia_worker {
  uint32_t step_first;
  uint32_t step_end;
  uint32_t segment_first;  // of the cut's segments
  uint32_t segment_end;
} tsr_nvidia_worker;

// The part of one panel that one worker does. Its first step is its worker's
// first, or where the segment before it ends. A panel without tiles is a
// segment without steps; each panel is in each cut.
typedef struct tsr_nvidia_segment {
  uint32_t panel;
  uint32_t step_end;
  uint32_t partial;  // slot, or TSR_NVIDIA_NO_PARTIAL: finish and write Y
  // Of a split panel (else 0): its counter, its slots.
  uint32_t reduction;
  uint32_t partial_first;
  uint32_t partial_count;  // >= 2
  uint32_t reserved[2];    // zero
} tsr_nvidia_segment;

// ---- Workspace -------------------------------------------------------------

// Header, then fp32 partial sums: slot s of token tile t is [tokens of a token
// tile][tile rows] floats, rows contiguous, and starts at
//   TSR_NVIDIA_WORKSPACE_HEADER + (t * partial_count + s) * size of a slot.
//
// Header: word 0 is TSR_NVIDIA_WORKSPACE_MAGIC, words 1 to 3 zero, then
// TSR_NVIDIA_COUNTERS counters: that of reduction r of token tile t is number
// t * reduction_count + r. A counter counts the blocks that have written their
// slot; the last one sums the slots in their order, finishes the panel and sets
// the counter back to zero. So a workspace is initialised once, and each run
// leaves it as it found it. A kernel that finds no magic traps.
enum {
  TSR_NVIDIA_WORKSPACE_HEADER = 4096,
  TSR_NVIDIA_WORKSPACE_MAGIC = 0x54535257,  // "WRST"
  TSR_NVIDIA_WORKSPACE_COUNTERS = 16,       // offset of the first
  TSR_NVIDIA_COUNTERS = (4096 - 16) / 4,
};

// ---- Launch ----------------------------------------------------------------

// Parameters of every kernel, in this order (all 8-byte values first):
//   0 stream       global pointer, weights of the layer, 128-byte aligned
//   1 steps        global pointer, tsr_nvidia_step[]
//   2 workers      global pointer, tsr_nvidia_worker[] of the cut
//   3 segments     global pointer, tsr_nvidia_segment[] of the cut
//   4 input        global pointer, X [tokens, columns], input type
//   5 residual     global pointer or 0, [tokens, output columns], output type
//   6 bias         global pointer or 0, float [rows]
//   7 output       global pointer, Y [tokens, output columns]
//   8 workspace    global pointer or 0; 128-byte aligned
//   9 input_stride     int64, elements from one token to the next
//  10 residual_stride  likewise
//  11 output_stride    likewise
//  12 tokens           uint32, N >= 1
//  13 token_tiles      uint32, ceil(N / tokens of a token tile); decode: 1
//  14 raster           uint32, token tiles of a raster group, >= 1
//  15 worker_count     uint32, of the cut
//  16 partial_count    uint32, of the cut
//  17 reduction_count  uint32, of the cut
// Input, residual and output need the alignment of their element only; where
// pointers and strides are multiples of 16 bytes the kernels are faster.
//
// grid = worker_count * token_tiles blocks in x. Grouped raster: groups of
// |raster| token tiles (the last may have fewer); in a group, worker after
// worker, and for each worker the group's token tiles side by side, so that the
// blocks that run at one time share weights in L2:
//   group = block / (worker_count * raster); rest = block % (...)
//   here = min(raster, token_tiles - group * raster)
//   worker = rest / here; token tile = group * raster + rest % here
enum { TSR_NVIDIA_PARAMETERS = 18, TSR_NVIDIA_RASTER = 8 };

#endif  // BASE_NVIDIA_ABI_H_
