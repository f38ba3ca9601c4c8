// SPDX-License-Identifier: Apache-2.0
// What a family of instructions (ops/, tensor/, async/) needs to turn an
// instruction into operations. A family is one file with one table:
//
//   const tsr_opcode tsr_opcodes_shift[] = {{"shl", decode_shl}, ..., {0}};
//
// listed once in decode/families.def. A decode function takes the modifiers it
// knows (what is left over is reported as unknown), then operands, then emits
// one operation or several.
#ifndef DECODE_DECODE_H_
#define DECODE_DECODE_H_

#include "decode/program.h"

typedef struct tsr_decoder tsr_decoder;  // the instruction being decoded

// False: a mistake was reported (tsr_decode_error) and nothing is emitted.
typedef bool (*tsr_decode_function)(tsr_decoder *d);

typedef struct tsr_opcode {
  const char *name;
  tsr_decode_function decode;
} tsr_opcode;

// For names that several families list ("add": integers and floats). The family
// looks at the instruction (tsr_instruction_kind) before it takes anything and
// passes with `return tsr_decode_pass(d);`; the next family of families.def
// that lists the name is asked. Only when all have passed is the instruction an
// error ("no form of 'add' with these types"). Always returns false.
bool tsr_decode_pass(tsr_decoder *d);
// The kind of the first type among all modifiers: FLOAT for "add.rn.f32". NONE
// when there is none.
tsr_ptx_type_kind tsr_instruction_kind(const tsr_decoder *d);

// Reports at the instruction; _at: at an operand (index into the instruction's
// operands) or a modifier's place. Always returns false.
bool tsr_decode_error(tsr_decoder *d, const char *format, ...) TSR_PRINTF(2, 3);
bool tsr_decode_error_at(tsr_decoder *d, const tsr_ptx_operand *operand,
                         const char *format, ...) TSR_PRINTF(3, 4);

const tsr_ptx_instruction *tsr_decode_instruction(const tsr_decoder *d);
tsr_arena *tsr_decode_arena(tsr_decoder *d);            // the program's
uint32_t tsr_decode_ptx_version(const tsr_decoder *d);  // 85 for 8.5
uint32_t tsr_decode_target(const tsr_decoder *d);       // 90 for sm_90a
// Reports and returns false unless .version and .target are at least these.
// |variant| 'a': the instruction needs exactly sm_|target|a.
bool tsr_decode_require(tsr_decoder *d, uint32_t ptx_version, uint32_t target,
                        char variant);

// --- Modifiers
// ---------------------------------------------------------------- Taken in any
// order; each at most once.

bool tsr_mod(tsr_decoder *d, const char *name);  // taken when there
// The index in |names| (NULL-terminated) of the first that is there, taken;
// -1 when none is.
int tsr_mod_one_of(tsr_decoder *d, const char *const *names);
// As above, and an error "|what| expected" when none is.
int tsr_mod_need(tsr_decoder *d, const char *const *names, const char *what);
// The next modifier not taken that is a type, in the order of writing (so the
// first call gives cvt's destination type). TSR_PTX_NO_TYPE when none is left.
tsr_ptx_type tsr_mod_type(tsr_decoder *d);
// As above; an error when there is none.
bool tsr_mod_need_type(tsr_decoder *d, tsr_ptx_type *out_type);
// .v2, .v4, .v8 -> 2, 4, 8; 1 when there is none.
uint32_t tsr_mod_vector(tsr_decoder *d);
// The next modifier not taken, without taking it; {NULL, 0} when none is left.
// For families with free-form modifiers ("m16n8k16"); tsr_mod takes it.
tsr_ptx_str tsr_mod_peek(const tsr_decoder *d);

// --- Operands
// -----------------------------------------------------------------

uint32_t tsr_operand_count(const tsr_decoder *d);
// An error unless there are between |least| and |most|.
bool tsr_need_operands(tsr_decoder *d, uint32_t least, uint32_t most);
const tsr_ptx_operand *tsr_operand(const tsr_decoder *d, uint32_t index);

// A source of |type|: a register of that size (or, |wider|, of at least that
// size: ld, st, cvt), an immediate converted to it, a special register, a
// symbol's address. Predicates only for PRED; a negated one (!p) is inverted
// by an operation emitted in front. What |wider| gives is already cut to
// |type| (by an operation in front where needed), bits above it zero.
bool tsr_source(tsr_decoder *d, const tsr_ptx_operand *operand,
                tsr_ptx_type type, tsr_ref *out_ref);
bool tsr_source_wider(tsr_decoder *d, const tsr_ptx_operand *operand,
                      tsr_ptx_type type, tsr_ref *out_ref);
// A register to write; '_' gives TSR_REF_NONE where |sink| is true. |wider|:
// the handler writes |type|, bits above it zero; where the register is wider,
// an operation that the framework puts behind extends it (signed: by its sign).
bool tsr_destination(tsr_decoder *d, const tsr_ptx_operand *operand,
                     tsr_ptx_type type, bool sink, tsr_ref *out_ref);
bool tsr_destination_wider(tsr_decoder *d, const tsr_ptx_operand *operand,
                           tsr_ptx_type type, bool sink, tsr_ref *out_ref);
// The declared type of a register operand; NO_TYPE for anything else.
tsr_ptx_type tsr_register_type(const tsr_decoder *d,
                               const tsr_ptx_operand *operand);
// An immediate's value; an error when it is none. |out_value| is two's
// complement.
bool tsr_immediate(tsr_decoder *d, const tsr_ptx_operand *operand,
                   uint64_t *out_value);
// A register that no name stands for.
tsr_ref tsr_temporary(tsr_decoder *d, tsr_ptx_type type);
// The condition code CC.CF: one predicate per function. TSR_REF_NONE when out
// of memory.
tsr_ref tsr_carry_flag(tsr_decoder *d);
// The pool's unit(s) with |bits| in every lane; 32- or 64-bit by |type|.
tsr_ref tsr_constant(tsr_decoder *d, tsr_ptx_type type, uint64_t bits);

// Where an address operand points. Address of lane i: base lane i + offset,
// cut to 64 bits (32 when the base is a 32-bit register), within |space|.
typedef struct tsr_address {
  tsr_ref base;  // register or constant; absolute addresses: a constant 0
  bool wide;     // base is 64-bit
  bool frame;    // relative to the thread's local frame (warp->local)
  tsr_ptx_space space;  // NONE: generic. A kernel's .param stays PARAM; .param
                        // variables of calls are LOCAL with |frame|
  int64_t offset;
} tsr_address;
// |space|: what the instruction names (NONE when it names none).
bool tsr_address_operand(tsr_decoder *d, const tsr_ptx_operand *operand,
                         tsr_ptx_space space, tsr_address *out_address);

// --- Operations
// ---------------------------------------------------------------
//
// Registers are renamed when the function has been decoded (compaction.h), and
// only those in dst, src and guard are: no ref may be kept in aux, imm or data.
// An address's base goes to src, and tsr_emit_address keeps the copy in
// op->data or elsewhere true.

// Puts |address|'s base into op->src[src_index] and returns a copy of |address|
// in the program's arena whose base will be the renamed one. NULL when out of
// memory. op->data is set to the copy when it is NULL.
const tsr_address *tsr_emit_address(tsr_decoder *d, tsr_op *op,
                                    uint32_t src_index,
                                    const tsr_address *address);

// Appends an operation of |op_class| guarded as the instruction is; refs are
// TSR_REF_NONE until set. Pointers stay valid until the function is decoded.
// NULL when out of memory (reported later: return false).
tsr_op *tsr_emit(tsr_decoder *d, tsr_handler handler,
                 tessera_emu_class op_class, uint32_t dst_count,
                 uint32_t src_count);
// Operand |index| of a jump: the operation's aux[0] becomes the target's index
// once all labels are known. The operand must be a label of this function.
bool tsr_emit_label(tsr_decoder *d, tsr_op *op, const tsr_ptx_operand *operand);

#endif  // DECODE_DECODE_H_
