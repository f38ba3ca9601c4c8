// SPDX-License-Identifier: Apache-2.0
// What the families of integer instructions share: macros that make a handler
// from an expression, and the plain way to decode "op.type d, a, b, c".
//
// In an expression |x|, |y|, |z| are the operands as the type's values and
// |a|, |b|, |c| the lanes as they lie (unsigned, bits above the type zero); the
// result is cut to the type.
#ifndef OPS_INTEGER_H_
#define OPS_INTEGER_H_

#include "decode/decode.h"

__extension__ typedef __int128 tsr_int128;
__extension__ typedef unsigned __int128 tsr_uint128;

// DEFINE(suffix, lane width, type, unsigned type, type of twice the width,
//        bits, ...)
#define TSR_FOR_INTEGERS(DEFINE, ...)                               \
  DEFINE(u16, 32, uint16_t, uint16_t, uint32_t, 16, __VA_ARGS__)    \
  DEFINE(s16, 32, int16_t, uint16_t, int32_t, 16, __VA_ARGS__)      \
  DEFINE(u32, 32, uint32_t, uint32_t, uint64_t, 32, __VA_ARGS__)    \
  DEFINE(s32, 32, int32_t, uint32_t, int64_t, 32, __VA_ARGS__)      \
  DEFINE(u64, 64, uint64_t, uint64_t, tsr_uint128, 64, __VA_ARGS__) \
  DEFINE(s64, 64, int64_t, uint64_t, tsr_int128, 64, __VA_ARGS__)
// The order of a table made of them; -1: none of these types.
static inline int tsr_integer_index(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_U16:
      return 0;
    case TSR_PTX_S16:
      return 1;
    case TSR_PTX_U32:
      return 2;
    case TSR_PTX_S32:
      return 3;
    case TSR_PTX_U64:
      return 4;
    case TSR_PTX_S64:
      return 5;
    default:
      return -1;
  }
}
#define TSR_INTEGER_TABLE(name) \
  { name##_u16, name##_s16, name##_u32, name##_s32, name##_u64, name##_s64 }

// Handlers of one type. CLONES: TSR_CLONES for hot ones, else nothing.
#define TSR_UNARY(CLONES, NAME, IN, OUT, TYPE, EXPRESSION)      \
  CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op, \
                              uint32_t mask) {                  \
    const uint##IN##_t *first = tsr_src##IN(warp, op->src[0]);  \
    uint##OUT##_t out[TSR_LANES];                               \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                  \
      const uint##IN##_t a = first[i];                          \
      const TYPE x = (TYPE)a;                                   \
      (void)x;                                                  \
      out[i] = (uint##OUT##_t)(EXPRESSION);                     \
    }                                                           \
    tsr_put##OUT(warp, op->dst[0], mask, out);                  \
    return TSR_FLOW_NEXT;                                       \
  }
#define TSR_BINARY(CLONES, NAME, IN, OUT, TYPE, EXPRESSION)     \
  CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op, \
                              uint32_t mask) {                  \
    const uint##IN##_t *first = tsr_src##IN(warp, op->src[0]);  \
    const uint##IN##_t *second = tsr_src##IN(warp, op->src[1]); \
    uint##OUT##_t out[TSR_LANES];                               \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                  \
      const uint##IN##_t a = first[i], b = second[i];           \
      const TYPE x = (TYPE)a, y = (TYPE)b;                      \
      (void)x, (void)y;                                         \
      out[i] = (uint##OUT##_t)(EXPRESSION);                     \
    }                                                           \
    tsr_put##OUT(warp, op->dst[0], mask, out);                  \
    return TSR_FLOW_NEXT;                                       \
  }
// The third operand has lanes as wide as the result's.
#define TSR_TERNARY(CLONES, NAME, IN, OUT, TYPE, EXPRESSION)     \
  CLONES static tsr_flow NAME(tsr_warp *warp, const tsr_op *op,  \
                              uint32_t mask) {                   \
    const uint##IN##_t *first = tsr_src##IN(warp, op->src[0]);   \
    const uint##IN##_t *second = tsr_src##IN(warp, op->src[1]);  \
    const uint##OUT##_t *third = tsr_src##OUT(warp, op->src[2]); \
    uint##OUT##_t out[TSR_LANES];                                \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                   \
      const uint##IN##_t a = first[i], b = second[i];            \
      const uint##OUT##_t c = third[i];                          \
      const TYPE x = (TYPE)a, y = (TYPE)b;                       \
      (void)x, (void)y;                                          \
      out[i] = (uint##OUT##_t)(EXPRESSION);                      \
    }                                                            \
    tsr_put##OUT(warp, op->dst[0], mask, out);                   \
    return TSR_FLOW_NEXT;                                        \
  }

// "no form of 'add' for type '.f16'"; always false.
bool tsr_integer_bad_type(tsr_decoder *d, tsr_ptx_type type);
// Decodes operands d, then |count| sources of |types|, and emits |handler|.
bool tsr_integer_emit(tsr_decoder *d, tsr_handler handler, tsr_ptx_type dst,
                      const tsr_ptx_type *types, uint32_t count);
// As above with |count| sources of one |type|, which the destination has too.
bool tsr_integer_emit_same(tsr_decoder *d, tsr_handler handler,
                           tsr_ptx_type type, uint32_t count);

// carry.c: what is behind ".cc" of add, sub and mad; the modifier was taken.
typedef enum tsr_carry_kind {
  TSR_CARRY_ADD,
  TSR_CARRY_SUB,
  TSR_CARRY_MAD_LO,
  TSR_CARRY_MAD_HI,
} tsr_carry_kind;
bool tsr_carry_emit(tsr_decoder *d, tsr_carry_kind kind, bool carry_in,
                    bool carry_out);

#endif  // OPS_INTEGER_H_
