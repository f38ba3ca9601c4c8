// SPDX-License-Identifier: Apache-2.0
// Decoding that the float families share.
#ifndef OPS_FLOAT_H_
#define OPS_FLOAT_H_

#include "decode/decode.h"
#include "ops/lanes.h"

// What an instruction says of rounding and range; taken by tsr_float_modifiers.
typedef struct tsr_float_form {
  bool rounded;  // a rounding mode was written
  tsr_round round;
  uint32_t flags;  // TSR_FLOAT_*
  tsr_ptx_type type;
} tsr_float_form;

// Takes .rn/.rz/.rm/.rp, those of |allowed| (FTZ, SAT, RELU, OOB, NAN, XORSIGN)
// and the type. False after an error.
bool tsr_float_modifiers(tsr_decoder *d, uint32_t allowed,
                         tsr_float_form *out_form);

// Operands d and |count| sources, all of form->type; emits |handler| with
// aux[0] = flags, aux[1] = round.
bool tsr_float_emit(tsr_decoder *d, tsr_handler handler,
                    const tsr_float_form *form, uint32_t count);

// The error of a type that an instruction does not have.
bool tsr_float_no_form(tsr_decoder *d, tsr_ptx_type type);

typedef enum tsr_float_op {
  TSR_FLOAT_ADD,
  TSR_FLOAT_SUB,
  TSR_FLOAT_MUL,
  TSR_FLOAT_FMA,
  TSR_FLOAT_MIN,
  TSR_FLOAT_MAX,
  TSR_FLOAT_ABS_OP,
  TSR_FLOAT_NEG,
} tsr_float_op;

// Of the types f16, f16x2, bf16, bf16x2 (half.c); the form is checked there.
bool tsr_half_decode(tsr_decoder *d, tsr_float_op what, tsr_float_form form);
bool tsr_is_half(tsr_ptx_type type);
// Emits the conversion of a 16-bit source into an f32 temporary.
bool tsr_half_widen(tsr_decoder *d, const tsr_ptx_operand *operand,
                    tsr_ptx_type type, tsr_ref *out_ref);

#endif  // OPS_FLOAT_H_
