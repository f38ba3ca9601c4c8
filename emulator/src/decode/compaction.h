// SPDX-License-Identifier: Apache-2.0
// Registers of a function onto units of the register file. Front ends write
// thousands of virtual registers of which few are alive at once; a warp's file
// must stay in the cache.
//
// Why liveness over the control-flow graph is right although a warp diverges:
// a register is 32 columns, one per lane, and an operation reads and writes
// the columns of the lanes that execute it, no others (exec/op.h asks that of
// every handler). So each lane is a sequential program of its own that follows
// the control-flow graph over its own columns. Two registers may share units
// when no point of the graph has both alive: a lane is at one point at a time,
// and what other lanes, split off and waiting elsewhere, keep in those units
// lies in their columns. That needs columns to lie alike: registers share units
// only with those of the same class, for a 64-bit register's column of one lane
// covers 32-bit columns of two others, and a predicate's columns are the bits
// of one word. Handlers that read other lanes' columns (shfl, mma) read those
// of lanes that stand at the same operation, where the same registers are
// alive.
//
// What follows from it:
// - an operation with a guard does not end its destination's earlier life, for
//   a lane whose guard is false keeps the old value;
// - an operation's destinations never share a unit with its sources, nor with
//   each other: handlers may write one before they have read all;
// - registers of TSR_OP_DEFERRED operations are touched at times that the
//   graph does not show: they get units of their own;
// - a callee's frame lies behind its caller's, so calls disturb nothing.
#ifndef DECODE_COMPACTION_H_
#define DECODE_COMPACTION_H_

#include "exec/op.h"

typedef enum tsr_register_class {
  TSR_CLASS_PREDICATE,
  TSR_CLASS_32,  // and narrower
  TSR_CLASS_64,
  TSR_CLASS_128,
  TSR_CLASSES
} tsr_register_class;

typedef struct tsr_jump {
  uint32_t from, to;  // operations
} tsr_jump;

typedef struct tsr_compaction {
  tsr_op *code;
  uint32_t count;
  const uint8_t *ends;    // per operation: the next one does not follow it
  const tsr_jump *jumps;  // sorted by |from|
  uint32_t jump_count;
  const uint8_t *classes;  // of each register, a tsr_register_class
  uint32_t register_count;
} tsr_compaction;

// Replaces tsr_virtual_ref references by units, in place. False when out of
// memory.
bool tsr_compact(const tsr_compaction *work, uint32_t *out_units);

// For tests: false gives every register units of its own. Not for use while
// another thread loads a module.
extern bool tsr_compaction_enabled;

#endif  // DECODE_COMPACTION_H_
