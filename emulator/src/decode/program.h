// SPDX-License-Identifier: Apache-2.0
// A loaded module: its text decoded, its variables placed in device memory.
// Immutable after loading but for the variables' contents.
#ifndef DECODE_PROGRAM_H_
#define DECODE_PROGRAM_H_

#include "exec/machine.h"
#include "memory/heap.h"
#include "ptx/ast.h"

typedef struct tsr_param {
  const char *name;
  uint32_t offset, size, align;  // bytes, in the parameter buffer
} tsr_param;

// A .func or the code of an .entry.
typedef struct tsr_function {
  const char *name;
  const tsr_op *code;
  uint32_t op_count;
  unsigned char *constants;  // the pool, 64-byte aligned
  uint32_t constant_units;
  uint32_t register_units;  // of one frame, after compaction
  // Of one frame: its arguments, .local and .param variables. A callee's frame
  // (local and registers) begins right behind its caller's.
  uint32_t local_bytes;
  // What an indirect call's prototype must agree with; internal to decode/.
  const struct tsr_signature *signature;
  uint32_t line, end_line;
} tsr_function;

struct tsr_kernel {
  tsr_function function;
  const tsr_program *program;
  const tsr_param *params;
  uint32_t param_count, params_size;
  uint32_t max_threads[3], required_threads[3], min_blocks, max_registers;
  uint32_t required_cluster[3];
  uint32_t static_shared;  // bytes, from TSR_SHARED_BASE on; dynamic follows
  uint32_t static_shared_align;  // of dynamic shared memory's start
  uint32_t local_bytes;          // deepest call chain, or a bound for recursion
  uint32_t stack_units;       // register units of the deepest chain, likewise
  uint32_t ptx_version;       // 85 for 8.5
  bool communicates;          // an operation with TSR_OP_COMMUNICATES
  bool uses_dependents_wait;  // griddepcontrol.wait
  bool launches_dependents;   // griddepcontrol.launch_dependents
};

typedef struct tsr_global {
  const char *name;
  uint64_t address, size;
  bool is_constant;
} tsr_global;

struct tsr_program {
  tsr_arena arena;  // owns all below
  uint32_t ptx_version, target;
  char target_variant;
  const tsr_kernel *kernels;
  uint32_t kernel_count;
  // Functions that can be called through a register: the value is
  // TSR_FUNCTION_BASE + index.
  const tsr_function *const *functions;
  uint32_t function_count;
  const tsr_global *globals;
  uint32_t global_count;
  tsr_heap *heap;  // where the variables lie; borrowed
};

#define TSR_FUNCTION_BASE UINT64_C(0x00f00000)

// Parses, checks and decodes |text| for |device| and places its variables in
// |heap|. What is wrong with the text goes to |log| and gives TSR_CORRUPT; a
// module for another architecture (.target above the device's, or another
// variant) gives TSR_MISMATCH.
TSR_MUST_USE tsr_status tsr_program_load(const char *text, uint64_t size,
                                         const tsr_device_model *device,
                                         tsr_heap *heap, tsr_ptx_log *log,
                                         tsr_program **out_program,
                                         tsr_error *error);
// Frees its variables too. NULL is ignored.
void tsr_program_destroy(tsr_program *program);
// NULL when there is none.
const tsr_kernel *tsr_program_kernel(const tsr_program *program,
                                     const char *name);
const tsr_global *tsr_program_global(const tsr_program *program,
                                     const char *name);

#endif  // DECODE_PROGRAM_H_
