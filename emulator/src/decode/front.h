// SPDX-License-Identifier: Apache-2.0
// Operations that stand for no instruction: what the decoder puts in front of
// or behind one to bring operands into form.
#ifndef DECODE_FRONT_H_
#define DECODE_FRONT_H_

#include "decode/internal.h"

// New references, or TSR_REF_NONE when out of memory.
tsr_ref tsr_front_not(tsr_decoder *d, tsr_ref predicate);
// |from|, of |from_bits|, cut to |type|: upper bits zero.
tsr_ref tsr_front_cut(tsr_decoder *d, tsr_ref from, uint32_t from_bits,
                      tsr_ptx_type type);
// The frame's address plus |offset|, as a register of |type| (32 or 64 bits).
tsr_ref tsr_front_frame(tsr_decoder *d, tsr_ptx_type type, uint64_t offset);
// Where the running kernel's dynamic shared memory begins, plus |offset|.
tsr_ref tsr_front_dynamic(tsr_decoder *d, tsr_ptx_type type, uint64_t offset);
tsr_ref tsr_front_special(tsr_decoder *d, tsr_handler handler,
                          tsr_ptx_type type, uint32_t selector);

#endif  // DECODE_FRONT_H_
