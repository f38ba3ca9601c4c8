// SPDX-License-Identifier: Apache-2.0
// What all tensor-core instructions come down to: D = A * B + C for 16 rows and
// 8 columns. Who calls it has put A and B into tiles by rows (A) and columns
// (B) of bytes, which is how the fragments lie in registers: 16 bytes of a row
// in the same register of four neighbouring lanes (PTX ISA 9.7.14.5).
#ifndef TENSOR_TILE_H_
#define TENSOR_TILE_H_

#include "exec/machine.h"

enum {
  TSR_TILE_M = 16,
  TSR_TILE_N = 8,
  TSR_TILE_A_BYTES = 32,  // of a row: what a dense instruction takes at once
  TSR_TILE_B_BYTES = 64,  // of a column: twice as much for sparse ones
  TSR_TILE_K = 64,        // elements of TSR_TILE_B_BYTES at most
};

typedef enum tsr_element {
  TSR_ELEMENT_F16,
  TSR_ELEMENT_BF16,
  TSR_ELEMENT_TF32,
  TSR_ELEMENT_E4M3,
  TSR_ELEMENT_E5M2,
  TSR_ELEMENT_S8,
  TSR_ELEMENT_U8,
} tsr_element;

uint32_t tsr_element_bytes(tsr_element type);
static inline bool tsr_element_is_integer(tsr_element type) {
  return type == TSR_ELEMENT_S8 || type == TSR_ELEMENT_U8;
}
static inline bool tsr_element_is_fp8(tsr_element type) {
  return type == TSR_ELEMENT_E4M3 || type == TSR_ELEMENT_E5M2;
}
// Whether one product may have operands of these types: the same, both
// integers, both of 8-bit floats (PTX ISA 9.7.14.5.14, 9.7.15.5).
static inline bool tsr_elements_multiply(tsr_element a, tsr_element b) {
  return a == b || (tsr_element_is_integer(a) && tsr_element_is_integer(b)) ||
         (tsr_element_is_fp8(a) && tsr_element_is_fp8(b));
}

// How a sum becomes an accumulator.
typedef struct tsr_accumulation {
  bool half;      // accumulators are f16, else f32 (or s32)
  bool saturate;  // .satfinite of integers
  bool hardware;  // else exact, rounded once to nearest even
  // hardware: products of |block| kept elements and the accumulator are aligned
  // to the largest exponent and cut to |fraction| bits behind the point; blocks
  // follow each other. An f32 result is cut to |mantissa| bits.
  uint32_t block, fraction, mantissa;
} tsr_accumulation;

// The accumulation of |device|'s tensor cores for elements of |type|.
// |warpgroup|: wgmma. Sets block, fraction and mantissa.
void tsr_accumulation_hardware(const tsr_device_model *device, tsr_element type,
                               bool warpgroup, tsr_accumulation *model);

typedef struct tsr_tile_a {
  // Set by the caller.
  tsr_element type;
  uint32_t kept;  // elements of a row in |raw|
  uint32_t k;     // elements that they stand for: |kept|, or twice as many
  unsigned char raw[TSR_TILE_M][TSR_TILE_A_BYTES];
  // Sparse (kept < k): which of the k each kept element is.
  uint8_t index[TSR_TILE_M][TSR_TILE_A_BYTES];
  // Made by tsr_tile_prepare_a: the kept values, and what bounds them.
  union {
    double value[TSR_TILE_M][TSR_TILE_A_BYTES];
    int32_t integer[TSR_TILE_M][TSR_TILE_A_BYTES];
  } as;
  double high[TSR_TILE_M], low[TSR_TILE_M];
} tsr_tile_a;

typedef struct tsr_tile_b {
  tsr_element type;
  uint32_t k;
  unsigned char raw[TSR_TILE_N][TSR_TILE_B_BYTES];
  union {
    double value[TSR_TILE_K][TSR_TILE_N];
    int32_t integer[TSR_TILE_K][TSR_TILE_N];
  } as;
  double high[TSR_TILE_N], low[TSR_TILE_N];
} tsr_tile_b;

void tsr_tile_prepare_a(tsr_tile_a *a);
void tsr_tile_prepare_b(tsr_tile_b *b);

// Accumulators as their bits (f16: the low half of each word).
typedef uint32_t tsr_tile_c[TSR_TILE_M][TSR_TILE_N];

// acc = a * b + acc.
void tsr_tile_multiply(const tsr_tile_a *a, const tsr_tile_b *b,
                       const tsr_accumulation *model, tsr_tile_c acc);

// --- One sum (exact.c, hardware.c)
// ----------------------------------------------

// What tsr_sum_exact sums at most: a row of products and the accumulator.
enum { TSR_SUM_TERMS = TSR_TILE_K + 1 };

// The exact sum of |terms| (each zero, or of a size from 2^-290 to 2^258, or
// not finite), as a double that rounds to f32 and f16 as the sum itself would:
// exact where it fits, else rounded to odd.
double tsr_sum_exact(const double *terms, uint32_t count);
// Rounds once, to nearest even. NaN becomes the canonical 0x7fffffff, 0x7fff
// (PTX ISA 9.7.14.5: what mma gives for NaN).
uint32_t tsr_round_f32(double value);
uint32_t tsr_round_f16(double value);
double tsr_value_f16(uint32_t bits);
double tsr_value_f32(uint32_t bits);
// An element's value, from its bits.
double tsr_element_value(tsr_element type, uint32_t bits);
// Its bits: element |index| of a row of raw bytes.
uint32_t tsr_element_bits(tsr_element type, const unsigned char *raw,
                          uint32_t index);

// One output as the hardware makes it: bits of |count| elements each, and of
// the accumulator.
uint32_t tsr_sum_hardware(const tsr_accumulation *model, tsr_element a_type,
                          const uint32_t *a, tsr_element b_type,
                          const uint32_t *b, uint32_t count, uint32_t c);

// All outputs of a tile; looks at |raw| alone, no tsr_tile_prepare needed.
void tsr_tile_multiply_hardware(const tsr_tile_a *a, const tsr_tile_b *b,
                                const tsr_accumulation *model, tsr_tile_c acc);

#endif  // TENSOR_TILE_H_
