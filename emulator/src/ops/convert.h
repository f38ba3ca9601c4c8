// SPDX-License-Identifier: Apache-2.0
// The two files of cvt: scalars (convert.c) and packed types
// (convert_packed.c).
#ifndef OPS_CONVERT_H_
#define OPS_CONVERT_H_

#include "ops/float.h"

// A conversion; in tsr_op: aux[0] flags, aux[1] round, aux[2] from, aux[3] to.
typedef struct tsr_convert {
  tsr_ptx_type to, from;
  bool rounded;   // a rounding mode was written,
  bool integral;  // one of .rni, .rzi, .rmi, .rpi
  tsr_round round;
  uint32_t flags;  // FTZ, SAT, RELU, SATFINITE
} tsr_convert;

// One value by exact arithmetic: any type to any other, with all modifiers.
// |bits| and the result are zero-extended.
uint64_t tsr_convert_value(uint64_t bits, const tsr_convert *convert);

// Of convert_packed.c. False after an error.
bool tsr_convert_is_packed(const tsr_convert *convert);
bool tsr_convert_packed(tsr_decoder *d, const tsr_convert *convert);
bool tsr_convert_pack(tsr_decoder *d);  // cvt.pack
// Emits with |count| sources of type |from|; |wider|: registers may be wider.
bool tsr_convert_emit(tsr_decoder *d, tsr_handler handler,
                      const tsr_convert *convert, uint32_t count, bool wider);

#endif  // OPS_CONVERT_H_
