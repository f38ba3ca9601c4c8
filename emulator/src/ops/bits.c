// SPDX-License-Identifier: Apache-2.0
// Bit fields, bit counts and dot products (PTX ISA 9.7.1.12 to 9.7.1.24).
#include "ops/integer.h"

// --- Counting and reversing -------------------------------------------------

static inline uint32_t leading_zeros(uint64_t value, uint32_t bits) {
  if (value == 0) return bits;
  return (uint32_t)__builtin_clzll(value) - (64 - bits);
}

static inline uint64_t reverse(uint64_t v) {
  v = (v >> 1 & UINT64_C(0x5555555555555555)) |
      (v & UINT64_C(0x5555555555555555)) << 1;
  v = (v >> 2 & UINT64_C(0x3333333333333333)) |
      (v & UINT64_C(0x3333333333333333)) << 2;
  v = (v >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) |
      (v & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
  return __builtin_bswap64(v);
}

TSR_UNARY(, popc_32, 32, 32, uint32_t, __builtin_popcount(a))
TSR_UNARY(, popc_64, 64, 32, uint64_t, __builtin_popcountll(a))
TSR_UNARY(, clz_32, 32, 32, uint32_t, leading_zeros(a, 32))
TSR_UNARY(, clz_64, 64, 32, uint64_t, leading_zeros(a, 64))
TSR_UNARY(, brev_32, 32, 32, uint32_t, reverse(a) >> 32)
TSR_UNARY(, brev_64, 64, 64, uint64_t, reverse(a))

static bool decode_32_64(tsr_decoder *d, tsr_handler narrow, tsr_handler wide,
                         bool counts) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32 && type != TSR_PTX_B64) {
    return tsr_integer_bad_type(d, type);
  }
  return tsr_integer_emit(d, type == TSR_PTX_B32 ? narrow : wide,
                          counts ? TSR_PTX_U32 : type, &type, 1);
}

static bool decode_popc(tsr_decoder *d) {
  return decode_32_64(d, popc_32, popc_64, true);
}
static bool decode_clz(tsr_decoder *d) {
  return decode_32_64(d, clz_32, clz_64, true);
}
static bool decode_brev(tsr_decoder *d) {
  return decode_32_64(d, brev_32, brev_64, false);
}

// The highest bit that is not the sign; all ones when there is none.
static inline uint32_t highest(uint64_t value, uint32_t bits) {
  return bits - 1 - leading_zeros(value, bits);
}
// As the left shift that brings it to the top.
static inline uint32_t to_top(uint64_t value, uint32_t bits) {
  return value == 0 ? UINT32_MAX : leading_zeros(value, bits);
}
#define DEFINE_BFIND(S, W, T, VALUE)                  \
  TSR_UNARY(, bfind_##S, W, 32, T, highest(VALUE, W)) \
  TSR_UNARY(, bfind_shift_##S, W, 32, T, to_top(VALUE, W))
DEFINE_BFIND(u32, 32, uint32_t, a)
DEFINE_BFIND(u64, 64, uint64_t, a)
DEFINE_BFIND(s32, 32, int32_t, x < 0 ? ~a : a)
DEFINE_BFIND(s64, 64, int64_t, x < 0 ? ~a : a)

static bool decode_bfind(tsr_decoder *d) {
  static const tsr_handler table[2][4] = {
      {bfind_u32, bfind_s32, bfind_u64, bfind_s64},
      {bfind_shift_u32, bfind_shift_s32, bfind_shift_u64, bfind_shift_s64}};
  bool shift = tsr_mod(d, "shiftamt");
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  int index = tsr_integer_index(type) - 2;
  if (index < 0) return tsr_integer_bad_type(d, type);
  return tsr_integer_emit(d, table[shift][index], TSR_PTX_U32, &type, 1);
}

// The |offset|-th set bit from |base| on, upwards or downwards (9.7.1.17).
static inline uint32_t nth_set(uint32_t mask, uint32_t base, uint32_t offset) {
  int64_t left = (int32_t)offset, pos = base;
  if (base > 31) return UINT32_MAX;
  if (left == 0) return (mask >> base & 1u) != 0 ? base : UINT32_MAX;
  int64_t step = left > 0 ? 1 : -1;
  if (left < 0) left = -left;
  for (; pos >= 0 && pos < 32; pos += step) {
    if ((mask >> pos & 1u) != 0 && --left == 0) return (uint32_t)pos;
  }
  return UINT32_MAX;
}
TSR_TERNARY(, run_fns, 32, 32, uint32_t, nth_set(a, b, c))

static bool decode_fns(tsr_decoder *d) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32) return tsr_integer_bad_type(d, type);
  return tsr_integer_emit_same(d, run_fns, type, 3);
}

// --- Fields -----------------------------------------------------------------

static inline uint64_t low_mask(uint32_t count) {
  return count > 63 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

// |length| bits of |value| from |start| on (both 8 bits wide). Bits beyond
// the top and above the field are the field's sign, for signed types.
static inline uint64_t extract(uint64_t value, uint32_t start, uint32_t length,
                               uint32_t bits, bool is_signed) {
  start &= 0xff;
  length &= 0xff;
  uint32_t top = start + length - 1 < bits - 1 ? start + length - 1 : bits - 1;
  bool sign = is_signed && length > 0 && (value >> top & 1u) != 0;
  uint32_t there = start >= bits           ? 0
                   : length < bits - start ? length
                                           : bits - start;
  uint64_t field = there == 0 ? 0 : value >> start & low_mask(there);
  return sign ? field | ~low_mask(there) : field;
}

static inline uint64_t insert(uint64_t field, uint64_t value, uint32_t start,
                              uint32_t length, uint32_t bits) {
  start &= 0xff;
  length &= 0xff;
  if (start >= bits) return value;
  uint64_t mask = low_mask(length) << start;
  return (value & ~mask) | (field << start & mask);
}

// src: value, start, length; for bfi the field in front.
#define DEFINE_BFE(S, W, IS_SIGNED)                                           \
  static tsr_flow bfe_##S(tsr_warp *warp, const tsr_op *op, uint32_t mask) {  \
    const uint##W##_t *a = tsr_src##W(warp, op->src[0]);                      \
    const uint32_t *start = tsr_src32(warp, op->src[1]);                      \
    const uint32_t *length = tsr_src32(warp, op->src[2]);                     \
    uint##W##_t out[TSR_LANES];                                               \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                                \
      out[i] = (uint##W##_t)extract(a[i], start[i], length[i], W, IS_SIGNED); \
    }                                                                         \
    tsr_put##W(warp, op->dst[0], mask, out);                                  \
    return TSR_FLOW_NEXT;                                                     \
  }
#define DEFINE_BFI(W)                                                        \
  static tsr_flow bfi_##W(tsr_warp *warp, const tsr_op *op, uint32_t mask) { \
    const uint##W##_t *a = tsr_src##W(warp, op->src[0]);                     \
    const uint##W##_t *b = tsr_src##W(warp, op->src[1]);                     \
    const uint32_t *start = tsr_src32(warp, op->src[2]);                     \
    const uint32_t *length = tsr_src32(warp, op->src[3]);                    \
    uint##W##_t out[TSR_LANES];                                              \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                               \
      out[i] = (uint##W##_t)insert(a[i], b[i], start[i], length[i], W);      \
    }                                                                        \
    tsr_put##W(warp, op->dst[0], mask, out);                                 \
    return TSR_FLOW_NEXT;                                                    \
  }
// The most common one, short enough to vectorise.
static inline uint32_t extract_u32(uint32_t value, uint32_t start,
                                   uint32_t length) {
  start &= 0xff;
  length &= 0xff;
  uint32_t field = start > 31 ? 0 : value >> (start & 31);
  return field & (length > 31 ? UINT32_MAX : (1u << (length & 31)) - 1);
}
TSR_TERNARY(TSR_CLONES, bfe_u32, 32, 32, uint32_t, extract_u32(a, b, c))
DEFINE_BFE(s32, 32, true)
DEFINE_BFE(u64, 64, false)
DEFINE_BFE(s64, 64, true)
DEFINE_BFI(32)
DEFINE_BFI(64)

static bool decode_bfe(tsr_decoder *d) {
  static const tsr_handler table[4] = {bfe_u32, bfe_s32, bfe_u64, bfe_s64};
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  int index = tsr_integer_index(type) - 2;
  if (index < 0) return tsr_integer_bad_type(d, type);
  const tsr_ptx_type types[] = {type, TSR_PTX_U32, TSR_PTX_U32};
  return tsr_integer_emit(d, table[index], type, types, 3);
}

static bool decode_bfi(tsr_decoder *d) {
  tsr_ptx_type type;
  if (!tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32 && type != TSR_PTX_B64) {
    return tsr_integer_bad_type(d, type);
  }
  const tsr_ptx_type types[] = {type, type, TSR_PTX_U32, TSR_PTX_U32};
  return tsr_integer_emit(d, type == TSR_PTX_B32 ? bfi_32 : bfi_64, type, types,
                          4);
}

// --- bmsk, szext (9.7.1.20, 9.7.1.18) ---------------------------------------

static inline uint32_t ones_from(uint32_t bit) {
  return bit > 31 ? 0 : UINT32_MAX << bit;
}
#define MASK_WRAP(from, count) \
  (ones_from((from)&31) & ~ones_from(((from)&31) + ((count)&31)))
static inline uint32_t mask_clamp(uint32_t from, uint32_t count) {
  if (from > 31) return 0;
  if (count > 31) return ones_from(from);
  return MASK_WRAP(from, count);
}
TSR_BINARY(, bmsk_wrap, 32, 32, uint32_t, MASK_WRAP(a, b))
TSR_BINARY(, bmsk_clamp, 32, 32, uint32_t, mask_clamp(a, b))

// The low |count| bits, extended.
static inline uint32_t extend(uint32_t value, uint32_t count, bool is_signed) {
  if (count == 0) return 0;
  uint32_t upper = ones_from(count);
  bool sign = is_signed && (value >> (count - 1) & 1u) != 0;
  return (value & ~upper) | (sign ? upper : 0);
}
TSR_BINARY(, szext_wrap_u, 32, 32, uint32_t, extend(a, b & 31, false))
TSR_BINARY(, szext_wrap_s, 32, 32, uint32_t, extend(a, b & 31, true))
TSR_BINARY(, szext_clamp_u, 32, 32, uint32_t, b > 31 ? a : extend(a, b, false))
TSR_BINARY(, szext_clamp_s, 32, 32, uint32_t, b > 31 ? a : extend(a, b, true))

static const char *const modes[] = {"wrap", "clamp", NULL};

static bool decode_bmsk(tsr_decoder *d) {
  int mode = tsr_mod_need(d, modes, "'.wrap' or '.clamp'");
  tsr_ptx_type type;
  if (mode < 0 || !tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_B32) return tsr_integer_bad_type(d, type);
  return tsr_integer_emit_same(d, mode == 0 ? bmsk_wrap : bmsk_clamp, type, 2);
}

static bool decode_szext(tsr_decoder *d) {
  static const tsr_handler table[2][2] = {{szext_wrap_u, szext_wrap_s},
                                          {szext_clamp_u, szext_clamp_s}};
  int mode = tsr_mod_need(d, modes, "'.wrap' or '.clamp'");
  tsr_ptx_type type;
  if (mode < 0 || !tsr_mod_need_type(d, &type)) return false;
  if (type != TSR_PTX_U32 && type != TSR_PTX_S32) {
    return tsr_integer_bad_type(d, type);
  }
  const tsr_ptx_type types[] = {type, TSR_PTX_U32};
  return tsr_integer_emit(d, table[mode][type == TSR_PTX_S32], type, types, 2);
}

// --- Dot products (9.7.1.22, 9.7.1.23) --------------------------------------

// Bytes of |b| from |first| on with |count| parts of |a|; |A|, |B|: their
// types. Sums wrap at 32 bits.
#define DOT4(A, B)                                                       \
  (c + (uint32_t)((A)a * (B)b) + (uint32_t)((A)(a >> 8) * (B)(b >> 8)) + \
   (uint32_t)((A)(a >> 16) * (B)(b >> 16)) +                             \
   (uint32_t)((A)(a >> 24) * (B)(b >> 24)))
#define DOT2(A, B, FIRST)                   \
  (c + (uint32_t)((A)a * (B)(b >> FIRST)) + \
   (uint32_t)((A)(a >> 16) * (B)(b >> (FIRST + 8))))
#define DEFINE_DOT(S, SIGN_A, SIGN_B)                                       \
  TSR_TERNARY(, dp4a_##S, 32, 32, uint32_t, DOT4(SIGN_A##8_t, SIGN_B##8_t)) \
  TSR_TERNARY(, dp2a_lo_##S, 32, 32, uint32_t,                              \
              DOT2(SIGN_A##16_t, SIGN_B##8_t, 0))                           \
  TSR_TERNARY(, dp2a_hi_##S, 32, 32, uint32_t,                              \
              DOT2(SIGN_A##16_t, SIGN_B##8_t, 16))
DEFINE_DOT(uu, uint, uint)
DEFINE_DOT(us, uint, int)
DEFINE_DOT(su, int, uint)
DEFINE_DOT(ss, int, int)

static bool decode_dot(tsr_decoder *d, const tsr_handler table[4]) {
  tsr_ptx_type a, b;
  if (!tsr_mod_need_type(d, &a) || !tsr_mod_need_type(d, &b)) return false;
  if (a != TSR_PTX_U32 && a != TSR_PTX_S32) return tsr_integer_bad_type(d, a);
  if (b != TSR_PTX_U32 && b != TSR_PTX_S32) return tsr_integer_bad_type(d, b);
  bool first = a == TSR_PTX_S32, second = b == TSR_PTX_S32;
  tsr_ptx_type sum = first || second ? TSR_PTX_S32 : TSR_PTX_U32;
  const tsr_ptx_type types[] = {a, b, sum};
  return tsr_integer_emit(d, table[first * 2 + second], sum, types, 3);
}

static bool decode_dp4a(tsr_decoder *d) {
  static const tsr_handler table[4] = {dp4a_uu, dp4a_us, dp4a_su, dp4a_ss};
  return decode_dot(d, table);
}

static bool decode_dp2a(tsr_decoder *d) {
  static const char *const halves[] = {"lo", "hi", NULL};
  static const tsr_handler table[2][4] = {
      {dp2a_lo_uu, dp2a_lo_us, dp2a_lo_su, dp2a_lo_ss},
      {dp2a_hi_uu, dp2a_hi_us, dp2a_hi_su, dp2a_hi_ss}};
  int half = tsr_mod_need(d, halves, "'.lo' or '.hi'");
  return half >= 0 && decode_dot(d, table[half]);
}

// --- Differences of bytes (9.7.17) ------------------------------------------

// Of the video instructions the one that nvcc makes of its intrinsics
// (__vabsdiffu4, __vsadu4 and others), in the forms that it uses: of all bytes,
// so that the third operand counts with .add only.
static uint32_t byte_difference(uint32_t a, uint32_t b, uint32_t shift) {
  uint32_t x = a >> shift & 0xffu, y = b >> shift & 0xffu;
  return x < y ? y - x : x - y;
}
#define DIFFERENCE(BYTE) (byte_difference(a, b, 8 * (BYTE)) << 8 * (BYTE))
TSR_BINARY(, vabsdiff4, 32, 32, uint32_t,
           DIFFERENCE(0) | DIFFERENCE(1) | DIFFERENCE(2) | DIFFERENCE(3))
TSR_TERNARY(, vabsdiff4_add, 32, 32, uint32_t,
            c + byte_difference(a, b, 0) + byte_difference(a, b, 8) +
                byte_difference(a, b, 16) + byte_difference(a, b, 24))

static bool decode_vabsdiff4(tsr_decoder *d) {
  for (int i = 0; i < 3; ++i) {
    tsr_ptx_type type;
    if (!tsr_mod_need_type(d, &type)) return false;
    if (type != TSR_PTX_U32) return tsr_integer_bad_type(d, type);
  }
  tsr_handler handler = tsr_mod(d, "add") ? vabsdiff4_add : vabsdiff4;
  return tsr_integer_emit_same(d, handler, TSR_PTX_U32, 3);
}

const tsr_opcode tsr_opcodes_bits[] = {{"popc", decode_popc},
                                       {"clz", decode_clz},
                                       {"brev", decode_brev},
                                       {"bfind", decode_bfind},
                                       {"fns", decode_fns},
                                       {"bfe", decode_bfe},
                                       {"bfi", decode_bfi},
                                       {"bmsk", decode_bmsk},
                                       {"szext", decode_szext},
                                       {"dp4a", decode_dp4a},
                                       {"dp2a", decode_dp2a},
                                       {"vabsdiff4", decode_vabsdiff4},
                                       {0}};
