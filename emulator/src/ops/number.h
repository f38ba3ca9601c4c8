// SPDX-License-Identifier: Apache-2.0
// Exact arithmetic on the formats of PTX by integers alone: the same for every
// rounding mode of the process, every optimisation level and every compiler.
// It serves whatever is not hot (directed rounding of f64, conversions among
// all pairs of types, 8-bit formats); hot paths use the machine's arithmetic
// and are tested against this and against MPFR.
#ifndef OPS_NUMBER_H_
#define OPS_NUMBER_H_

#include <stdbool.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 tsr_uint128;

typedef enum tsr_round {
  TSR_ROUND_EVEN,  // .rn, .rni
  TSR_ROUND_ZERO,  // .rz, .rzi
  TSR_ROUND_DOWN,  // .rm, .rmi
  TSR_ROUND_UP,    // .rp, .rpi
  TSR_ROUND_AWAY,  // .rna: to nearest, ties away from zero
} tsr_round;

typedef enum tsr_format {
  TSR_FORMAT_F16,
  TSR_FORMAT_BF16,
  TSR_FORMAT_TF32,  // in a 32-bit word, low 13 bits zero (PTX ISA 5.2.3)
  TSR_FORMAT_F32,
  TSR_FORMAT_F64,
  TSR_FORMAT_E4M3,  // no infinity; 0x7f and 0xff are NaN
  TSR_FORMAT_E5M2,
} tsr_format;

// What a NaN result of a narrow format is (PTX ISA 9.7.3, 9.7.4, 9.7.9.21).
#define TSR_NAN_F16 0x7fffu  // bf16 too
#define TSR_NAN_F32 0x7fffffffu
// What an invalid operation on f64 gives.
#define TSR_NAN_F64 UINT64_C(0xfff8000000000000)
// The NaN that tensor copies fill with where a tensor map asks for it, and that
// fma.oob takes as zero (the sign does not count). The ISA names it without its
// bits; these are what simulators found on hardware.
#define TSR_NAN_OOB16 0x7ff7u

typedef enum tsr_number_kind {
  TSR_NUMBER_ZERO,
  TSR_NUMBER_FINITE,
  TSR_NUMBER_INFINITE,
  TSR_NUMBER_NAN,
} tsr_number_kind;

// mantissa * 2^exponent. Bit 0 may stand for everything below it ("sticky"):
// only in results, with at least 60 bits above it.
typedef struct tsr_number {
  tsr_number_kind kind;
  bool negative;
  int32_t exponent;
  tsr_uint128 mantissa;
} tsr_number;

tsr_number tsr_number_unpack(uint64_t bits, tsr_format format);
tsr_number tsr_number_from_integer(uint64_t magnitude, bool negative);
// Rounds once. NaN gives the format's canonical one. |satfinite|: what exceeds
// the largest finite value, infinity too, becomes that with its sign; without
// it E4M3 gives NaN there.
uint64_t tsr_number_pack(tsr_number number, tsr_format format, tsr_round round,
                         bool satfinite);
// The nearest integers, as numbers; signs of zeros are kept.
tsr_number tsr_number_integral(tsr_number number, tsr_round round);
// To an integer of |bits| bits, clamped to its range; NaN gives 0. Two's
// complement, upper bits extended with the sign.
uint64_t tsr_number_to_integer(tsr_number number, uint32_t bits, bool is_signed,
                               tsr_round round);

// Operands must be exact (unpacked). |round| decides the sign of an exact zero
// sum. Infinities and NaNs as in IEEE 754.
tsr_number tsr_number_add(tsr_number a, tsr_number b, tsr_round round);
tsr_number tsr_number_multiply(tsr_number a, tsr_number b);
tsr_number tsr_number_fma(tsr_number a, tsr_number b, tsr_number c,
                          tsr_round round);
tsr_number tsr_number_divide(tsr_number a, tsr_number b);
tsr_number tsr_number_sqrt(tsr_number a);

#endif  // OPS_NUMBER_H_
