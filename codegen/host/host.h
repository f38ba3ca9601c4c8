// SPDX-License-Identifier: Apache-2.0
// What the files of the host family share. Layout and calling contract:
// base/host_abi.h. How the code is built, and why: docs/host-kernels.md.
#ifndef CODEGEN_HOST_HOST_H_
#define CODEGEN_HOST_HOST_H_

#include "base/host_abi.h"
#include "codegen/codegen.h"
#include "emit.h"
#include "isa.h"

// How a matrix falls into tiles, micro-panels and quads.
typedef struct host_shape {
  uint32_t panel_count;
  uint32_t tile_count;   // tiles of one panel, zero ones included
  uint32_t quads;        // of a row of W, the last padded
  uint32_t tile_quads;   // of a full tile
  uint32_t last_quads;   // of a narrower last tile column; 0: none
  uint32_t last_valid;   // columns of the last quad of a row: 1..4
  uint32_t micros;       // full micro-panels of a full panel
  uint32_t tail_units;   // units of its short one: 0..3
  uint32_t last_rows;    // of a shorter last panel; 0: none
  uint32_t last_micros;  // its full micro-panels
  uint32_t last_tail_units;
  uint32_t micro_slots;  // micro-panels of a full panel, short one included
} host_shape;

typedef enum host_strategy {
  HOST_GEMV,   // token count fixed; weights straight from the stream
  HOST_BATCH,  // up to 16 tokens; X packed into blocks of tokens
  HOST_GEMM,   // any number; as batch, in chunks that fit the second cache
} host_strategy;

// Numbers of one kernel that hold for all variants.
typedef struct host_sizes {
  uint32_t chunk;         // tokens accumulated at a time
  uint64_t accumulators;  // scratch: bytes, from offset 0
  uint64_t sums;          // scratch: offset of fp32 sums [chunk, tile rows]
  uint64_t expanded;      // scratch: offset of one expanded micro-panel
  uint64_t total;
} host_sizes;

host_shape tsr_host_shape(const tsr_kernel_spec *spec);
host_strategy tsr_host_strategy(const tsr_kernel_spec *spec);
host_sizes tsr_host_sizes(const tsr_kernel_spec *spec);

// Sizes fixed by the widest case, so that all variants share them.
enum {
  HOST_UNIT_SIZE = 64,          // of a dense unit in the stream
  HOST_UNIT_F32_SIZE = 128,     // of 32 floats
  HOST_GEMV_DENSE_SIZE = 512,   // accumulators of 4 units of one token
  HOST_GEMV_TOKEN_SIZE = 640,   // the same plus 32 rows of 2:4 sums
  HOST_BLOCK_TOKEN_SIZE = 512,  // accumulators of 4 units of one token
  HOST_GEMV_TOKENS = 6,         // the most that gemv serves
  HOST_MAX_BLOCK = 6,           // tokens of a register block
};

// Everything that emission needs; one per compilation.
typedef struct host_kernel {
  cg_emit e;
  const tsr_kernel *kernel;
  const tsr_kernel_spec *spec;
  cg_isa isa;
  const char *tune;
  host_shape shape;
  host_strategy strategy;
  host_sizes sizes;
  bool dot;          // bf16 pairs multiplied as such; else fp32 arithmetic
  bool table;        // 2:4 by permuting X instead of expanding W (gemv)
  uint32_t tokens;   // gemv: N; else tokens of a register block
  uint32_t vectors;  // accumulator vectors of a unit and a token
  // The function being emitted:
  LLVMValueRef args, scratch, token_count;
  LLVMValueRef input, input_stride;  // stride in bytes
  LLVMValueRef packed;
  LLVMValueRef stream;  // variable: next tile
  // The current segment:
  LLVMValueRef panel, is_last, micro_count;
  // The current chunk of tokens (batch, gemm):
  LLVMValueRef chunk_first, chunk_count, chunk_blocks;
} host_kernel;

// Emits all functions of |kernel| into |module|. False: an intrinsic that this
// LLVM does not have, named in |failure|.
bool tsr_host_emit(const tsr_kernel *kernel, const tsr_variant *variant,
                   LLVMContextRef context, LLVMModuleRef module, char *failure,
                   size_t failure_size);

// One micro-panel of one tile, as strategies see it.
typedef struct host_micro {
  tsr_kind kind;
  uint32_t units;  // 1..4
  uint32_t quads;
  uint32_t valid;       // columns of the last quad
  LLVMValueRef stream;  // its first byte
  LLVMValueRef index;   // micro-panel of the panel, i64
  LLVMValueRef column;  // tile column, i64
} host_micro;

uint64_t tsr_host_micro_size(const host_micro *micro);
// Where unit |index| of a 2:4 micro-panel (quad by quad) has its mask and its
// values, from the start of the micro-panel or of any block of it.
uint64_t host_mask_offset(uint32_t index);
uint64_t host_values_offset(uint32_t index);
// The fewest quads of |units| units that fill whole blocks: only from multiples
// of them are offsets inside straight-line code constants.
uint32_t host_block_quads(uint32_t units);
// Units of a table group from unit |unit| on: 2 where vectors hold as many, and
// pairs never straddle blocks.
uint32_t host_group_size(const host_kernel *k, uint32_t units, uint32_t unit);

// unit.c: operands in registers.
// A quad of X as 64 bits; columns from |valid| on are zero and are not read.
LLVMValueRef host_quad_load(host_kernel *k, LLVMValueRef address,
                            uint32_t valid);
// From those 64 bits: <4 x float>.
LLVMValueRef host_quad_convert(host_kernel *k, LLVMValueRef bits);
// The operand that meets a dense unit: dot: 64 bits repeated; else 4 floats.
LLVMValueRef host_quad_broadcast(host_kernel *k, LLVMValueRef quad);
// <n x i16> -> <n x float>; the second form for the type of W and X.
LLVMValueRef host_to_f32(host_kernel *k, LLVMValueRef bits, tsr_dtype type);
LLVMValueRef host_weight_to_f32(host_kernel *k, LLVMValueRef bits);
LLVMValueRef host_from_f32(host_kernel *k, LLVMValueRef values, tsr_dtype type);
// acc + unit . x for vector |v| of a unit given as <32 x i16>.
LLVMValueRef host_multiply_unit(host_kernel *k, LLVMValueRef unit, uint32_t v,
                                LLVMValueRef x, LLVMValueRef acc);
LLVMTypeRef host_acc_type(host_kernel *k);
uint32_t host_acc_size(const host_kernel *k);  // bytes of one vector

// expand.c: 2:4 units.
// The unit as <32 x i16>, pruned weights zero.
LLVMValueRef host_expand_unit(host_kernel *k, LLVMValueRef mask_address,
                              LLVMValueRef values_address);
// Selection tables of a quad: for each pattern of two kept columns, the x that
// belong to them.
typedef struct host_table {
  LLVMValueRef first, second;  // second: NULL with |dot|
} host_table;
host_table host_quad_table(host_kernel *k, LLVMValueRef quad);
// |count| (1 or 2) adjacent units of a 2:4 micro-panel.
typedef struct host_group {
  uint32_t count;
  LLVMValueRef indices;        // table index of each row
  LLVMValueRef first, second;  // values; second: NULL with |dot|
} host_group;
host_group host_group_load(host_kernel *k, uint32_t count,
                           LLVMValueRef mask_address,
                           LLVMValueRef values_address);
LLVMValueRef host_group_multiply(host_kernel *k, const host_group *group,
                                 const host_table *table, LLVMValueRef acc);
// Row (0..8 * count) of lane |lane|.
uint32_t host_group_row(const host_kernel *k, uint32_t count, uint32_t lane);

// walk.c: the loop over the quads of a micro-panel. Cursors advance by a fixed
// number of bytes per quad; |chunk| quads are straight-line code.
enum { HOST_MAX_CURSORS = 16, HOST_MAX_ACCUMULATORS = 32 };
typedef struct host_walk {
  const char *name;  // of the block, for readers of the assembly
  LLVMValueRef cursors[HOST_MAX_CURSORS];
  uint32_t strides[HOST_MAX_CURSORS];
  uint32_t cursor_count;
  LLVMValueRef accumulators[HOST_MAX_ACCUMULATORS];
  uint32_t accumulator_count;
  uint32_t quads;
  uint32_t chunk;
  bool short_last;  // the last quad has fewer columns: never in the loop
} host_walk;
// |cursors|: at the chunk's first quad; |quad|: within the chunk.
typedef void (*host_step)(host_kernel *k, void *context, host_walk *walk,
                          const LLVMValueRef *cursors, uint32_t quad,
                          bool is_last);
void host_walk_quads(host_kernel *k, host_walk *walk, host_step step,
                     void *context);
uint32_t host_cursor(host_walk *walk, LLVMValueRef base, uint32_t stride);
// The stream lines that belong to quad |quad| of the chunk, of |size| bytes per
// quad, from |cursor|.
void host_prefetch_quad(host_kernel *k, LLVMValueRef cursor, uint32_t quad,
                        uint32_t size);

// gemv.c, gemm.c
void host_gemv_micro(host_kernel *k, const host_micro *micro);
void host_block_micro(host_kernel *k, const host_micro *micro);
void host_emit_pack(host_kernel *k);
// Accumulator |vector| (of a micro-panel's) of token |token| of a block.
LLVMValueRef host_block_accumulator(host_kernel *k, LLVMValueRef micro_index,
                                    LLVMValueRef block_index, uint32_t vector,
                                    uint32_t token);
uint32_t host_block_tokens(const cg_isa *isa, bool dot, host_strategy strategy);

// finish.c: accumulators -> fp32 sums of one micro-panel, rows contiguous,
// |token_stride| bytes from token to token.
void host_finish_micro(host_kernel *k, LLVMValueRef micro_index, uint32_t units,
                       LLVMValueRef destination);
// Loads an accumulator row block of a gemv token.
LLVMValueRef host_gemv_accumulators(host_kernel *k, LLVMValueRef micro_index,
                                    LLVMValueRef token);

// epilogue.c
typedef LLVMValueRef (*host_source)(host_kernel *k, void *context,
                                    LLVMValueRef token, LLVMValueRef row,
                                    uint32_t width);
// For tokens [first, first + count): y = epilogue(source(token, row)). |token|
// that the source sees counts from 0.
void host_emit_epilogue(host_kernel *k, LLVMValueRef panel,
                        LLVMValueRef is_last, LLVMValueRef first,
                        LLVMValueRef count, host_source source, void *context);
void host_emit_reduce(host_kernel *k);

// math.c: elementwise on vectors of floats.
LLVMValueRef host_activation(host_kernel *k, tsr_activation activation,
                             LLVMValueRef v);

// Field of tsr_host_args at |offset|.
LLVMValueRef host_argument(host_kernel *k, LLVMTypeRef type, uint64_t offset,
                           const char *name);
#define HOST_ARGUMENT(k, type, field) \
  host_argument((k), (type), offsetof(tsr_host_args, field), #field)
// Starts an exported function and reads the arguments that most need.
void host_function_begin(host_kernel *k, const char *name);

#endif  // CODEGEN_HOST_HOST_H_
