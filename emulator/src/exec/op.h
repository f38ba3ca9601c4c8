// SPDX-License-Identifier: Apache-2.0
// The internal form of a kernel: what decode/ makes once and exec/ runs many
// times. An operation works on a warp: arrays of 32 lanes.
//
// Registers. A warp's register file is memory in units of 128 bytes. A
// register of up to 32 bits is one unit: 32 lanes of uint32_t, bits above the
// register's width zero. A 64-bit register is two units: 32 lanes of uint64_t;
// a 128-bit one four: 32 lanes of two uint64_t. A predicate is one unit whose
// first word is a mask of lanes. Constants (immediates, addresses of symbols)
// lie in a pool of the same form, splatted, so an operation never asks which.
#ifndef EXEC_OP_H_
#define EXEC_OP_H_

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TSR_LANES = 32, TSR_REGISTER_UNIT = 128 };
#define TSR_ALL_LANES 0xffffffffu

typedef struct tsr_warp tsr_warp;
typedef struct tsr_op tsr_op;

// Unit index times two, plus one when it counts in the constant pool.
typedef uint32_t tsr_ref;
#define TSR_REF_NONE 0xffffffffu  // the sink '_', or an operand left out

typedef enum tsr_flow {
  TSR_FLOW_NEXT,   // go on with the next operation
  TSR_FLOW_JUMP,   // warp->pc was set (or the warp was split)
  TSR_FLOW_YIELD,  // as NEXT, but let another warp run first
  TSR_FLOW_WAIT,   // blocked in warp->wait; resumes after this operation
  TSR_FLOW_RETRY,  // could not be done now; do it again later
  TSR_FLOW_EXIT,   // the lanes of |mask| have ended
  TSR_FLOW_FAULT,  // the launch is over; a finding says why
} tsr_flow;

// Executes |op| for the lanes of |mask| (never 0; the guard is applied). Must
// not write destinations of other lanes.
typedef tsr_flow (*tsr_handler)(tsr_warp *warp, const tsr_op *op,
                                uint32_t mask);

enum {  // tsr_op.flags
  // All lanes that have not ended must arrive together (.aligned, mma,
  // ldmatrix). The engine waits for them before it calls the handler.
  TSR_OP_CONVERGED = 1 << 0,
  // The lanes named by the mask in src[membermask] arrive together.
  TSR_OP_MEMBERMASK = 1 << 1,
  // Runs even when its guard leaves no lane (jumps, labels).
  TSR_OP_ALWAYS = 1 << 2,
  // Reads or writes memory in a way by which blocks may communicate: the
  // launch interleaves blocks in one thread (atomics, volatile, acquire...
  // on global memory).
  TSR_OP_COMMUNICATES = 1 << 3,
  // Its register operands are read or written after it was issued (wgmma):
  // they get registers of their own, never shared with others.
  TSR_OP_DEFERRED = 1 << 4,
};

struct tsr_op {
  tsr_handler run;
  tsr_ref *dst, *src;  // owned by the kernel's arena
  uint16_t dst_count, src_count;
  tsr_ref guard;  // predicate, or TSR_REF_NONE
  uint8_t guard_negated;
  uint8_t flags;
  uint8_t op_class;    // tessera_emu_class
  uint8_t membermask;  // index in src
  uint32_t line;       // of the text
  // What the family of instructions makes of them:
  uint32_t aux[4];
  uint64_t imm;
  const void *data;  // in the kernel's arena
};

// Where |ref| lies. base[0]: the current frame's registers; base[1]: constants.
static inline unsigned char *tsr_unit(unsigned char *const base[2],
                                      tsr_ref ref) {
  return base[ref & 1] + (size_t)(ref >> 1) * TSR_REGISTER_UNIT;
}

#endif  // EXEC_OP_H_
