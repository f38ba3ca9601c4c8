// SPDX-License-Identifier: Apache-2.0
// What the tests of tensor-core instructions share: element values by their
// definition, random elements, and warp fragments by the formulas of PTX ISA
// 9.7.14.5 ("row = groupID for ai where ..."). Nothing here comes from the
// emulator.
#ifndef TESTS_EMULATOR_MATRIX_H_
#define TESTS_EMULATOR_MATRIX_H_

#include <math.h>

#include "harness.h"

typedef enum mat_type {
  MAT_F16,
  MAT_BF16,
  MAT_TF32,
  MAT_E4M3,
  MAT_E5M2,
  MAT_S8,
  MAT_U8,
  MAT_F32,
  MAT_S32,
} mat_type;

static const struct mat_format {
  const char *name;
  uint32_t bits, exponent, fraction;
} mat_formats[] = {
    {"f16", 16, 5, 10}, {"bf16", 16, 8, 7}, {"tf32", 32, 8, 10},
    {"e4m3", 8, 4, 3},  {"e5m2", 8, 5, 2},  {"s8", 8, 0, 7},
    {"u8", 8, 0, 8},    {"f32", 32, 8, 23}, {"s32", 32, 0, 31},
};

static inline bool mat_integer(mat_type type) {
  return mat_formats[type].exponent == 0;
}

// Elements in a 32-bit register.
static inline uint32_t mat_packed(mat_type type) {
  return 32 / mat_formats[type].bits;
}

static inline double mat_value(mat_type type, uint32_t bits) {
  const struct mat_format *f = &mat_formats[type];
  if (type == MAT_S8) return bits < 128 ? (double)bits : (double)bits - 256;
  if (type == MAT_U8) return bits;
  if (type == MAT_S32) return (int32_t)bits;
  if (type == MAT_TF32) bits >>= 13;
  uint32_t fraction = bits & ((1u << f->fraction) - 1);
  int top = (1 << f->exponent) - 1;
  int exponent = (int)(bits >> f->fraction) & top;
  double sign = (bits >> (f->exponent + f->fraction) & 1) != 0 ? -1.0 : 1.0;
  if (exponent == top && type != MAT_E4M3) {
    return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
  }
  if (type == MAT_E4M3 && (bits & 0x7f) == 0x7f) return (double)NAN;
  if (exponent == 0) {
    return sign * ldexp(fraction, 1 - top / 2 - (int)f->fraction);
  }
  return sign * ldexp((double)fraction + ldexp(1, (int)f->fraction),
                      exponent - top / 2 - (int)f->fraction);
}

// Any bits for integers; for the rest finite, and of such sizes that sums of
// products are exact in double.
static inline uint32_t mat_random(mat_type type, uint64_t *state) {
  const struct mat_format *f = &mat_formats[type];
  uint64_t random = random_next(state);
  uint32_t bits = (uint32_t)random;
  if (f->bits < 32) bits &= (1u << f->bits) - 1;
  if (mat_integer(type)) return bits;
  uint32_t place = f->fraction + (type == MAT_TF32 ? 13 : 0);
  uint32_t top = (1u << f->exponent) - 1;
  if (f->bits == 8) {
    while (!isfinite(mat_value(type, bits))) bits ^= 1u << place;
    return bits;
  }
  bits &= ~(top << place);
  bits |= (top / 2 - 4 + (uint32_t)(random >> 40) % 8) << place;
  return random >> 60 == 0 ? 0 : bits;
}

// |value| rounded to nearest even, as f16.
static inline uint32_t mat_half(double value) {
  if (value != value) return 0x7fff;
  uint32_t sign = signbit(value) ? 0x8000 : 0;
  value = fabs(value);
  if (value >= 65520) return sign | 0x7c00;
  if (value < 0x1p-14) return sign | (uint32_t)rint(ldexp(value, 24));
  int exponent = ilogb(value);
  uint32_t steps = (uint32_t)rint(ldexp(value, 10 - exponent));  // 1024..2048
  return sign | (((uint32_t)(exponent + 15) << 10) + steps - 1024);
}

// The bits of an accumulator of |type| for an exact |value|.
static inline uint32_t mat_accumulator(mat_type type, double value,
                                       bool saturate) {
  if (type == MAT_F16) return mat_half(value);
  if (type == MAT_S32) {
    int64_t whole = (int64_t)value;
    if (saturate && whole > INT32_MAX) whole = INT32_MAX;
    if (saturate && whole < INT32_MIN) whole = INT32_MIN;
    return (uint32_t)whole;
  }
  if (value != value) return 0x7fffffff;
  float rounded = (float)value;
  uint32_t bits;
  memcpy(&bits, &rounded, 4);
  return bits;
}

// --- Fragments --------------------------------------------------------------

// Where element i of a lane's fragment lies; |e| elements in a register.
static inline uint32_t mat_a_row(uint32_t lane, uint32_t i, uint32_t e) {
  uint32_t group = lane >> 2;
  bool first = i < e || (2 * e <= i && i < 3 * e);
  return first ? group : group + 8;
}
static inline uint32_t mat_a_column(uint32_t lane, uint32_t i, uint32_t e) {
  uint32_t thread = lane % 4;
  return i < 2 * e ? thread * e + i % e : thread * e + i % e + 4 * e;
}
static inline uint32_t mat_b_row(uint32_t lane, uint32_t i, uint32_t e) {
  return lane % 4 * e + i % e + i / e * 4 * e;
}
static inline uint32_t mat_b_column(uint32_t lane) {
  return lane >> 2;
}
static inline uint32_t mat_c_row(uint32_t lane, uint32_t i) {
  return i < 2 ? lane >> 2 : (lane >> 2) + 8;
}
static inline uint32_t mat_c_column(uint32_t lane, uint32_t i) {
  return lane % 4 * 2 + (i & 1);
}

// ORs |bits| into element i of a lane's registers.
static inline void mat_put(uint64_t (*registers)[32], uint32_t lane, uint32_t i,
                           mat_type type, uint32_t bits) {
  uint32_t e = mat_packed(type), width = mat_formats[type].bits;
  registers[i / e][lane] |= (uint64_t)bits << (i % e * width);
}
static inline uint32_t mat_get(uint64_t (*registers)[32], uint32_t lane,
                               uint32_t i, mat_type type) {
  uint32_t e = mat_packed(type), width = mat_formats[type].bits;
  uint64_t word = registers[i / e][lane] >> (i % e * width);
  return (uint32_t)(word & ((UINT64_C(1) << width) - 1));
}

// One warp's D = A * B + C as matrices of bits. A sparse A is kept[][] with the
// columns at[][].
typedef struct mat_case {
  mat_type a_type, b_type, c_type;
  uint32_t k, kept;
  bool saturate;
  uint32_t a[16][64], at[16][64], b[64][8], c[16][8], d[16][8];
} mat_case;

static inline void mat_fill(mat_case *m, uint64_t *state) {
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t i = 0; i < m->kept; ++i) {
      m->a[row][i] = mat_random(m->a_type, state);
      m->at[row][i] = i;
    }
    for (uint32_t n = 0; n < 8; ++n) {
      m->c[row][n] = mat_random(m->c_type, state);
    }
  }
  for (uint32_t k = 0; k < m->k; ++k) {
    for (uint32_t n = 0; n < 8; ++n) m->b[k][n] = mat_random(m->b_type, state);
  }
}

static inline void mat_reference(mat_case *m) {
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t n = 0; n < 8; ++n) {
      double sum = mat_value(m->c_type, m->c[row][n]);
      for (uint32_t i = 0; i < m->kept; ++i) {
        sum += mat_value(m->a_type, m->a[row][i]) *
               mat_value(m->b_type, m->b[m->at[row][i]][n]);
      }
      m->d[row][n] = mat_accumulator(m->c_type, sum, m->saturate);
    }
  }
}

// Registers of A, B and C, zeroed before; returns how many.
static inline uint32_t mat_fragments(const mat_case *m, uint64_t (*in)[32]) {
  uint32_t e = mat_packed(m->a_type), a_count = m->kept / 4 / e * 2;
  uint32_t b_count = m->k / 4 / e;
  uint32_t c_count = 4 / mat_packed(m->c_type);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t i = 0; i < a_count * e; ++i) {
      mat_put(in, lane, i, m->a_type,
              m->a[mat_a_row(lane, i, e)][mat_a_column(lane, i, e)]);
    }
    for (uint32_t i = 0; i < b_count * e; ++i) {
      mat_put(in + a_count, lane, i, m->b_type,
              m->b[mat_b_row(lane, i, e)][mat_b_column(lane)]);
    }
    for (uint32_t i = 0; i < 4; ++i) {
      mat_put(in + a_count + b_count, lane, i, m->c_type,
              m->c[mat_c_row(lane, i)][mat_c_column(lane, i)]);
    }
  }
  return a_count + b_count + c_count;
}

// Compares the registers of D; prints the first difference.
static inline bool mat_same(const mat_case *m, uint64_t (*out)[32],
                            const char *what) {
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t i = 0; i < 4; ++i) {
      uint32_t row = mat_c_row(lane, i), column = mat_c_column(lane, i);
      uint32_t got = mat_get(out, lane, i, m->c_type);
      if (got == m->d[row][column]) continue;
      fprintf(stderr, "%s: D[%u][%u] is 0x%x (%g), not 0x%x (%g)\n", what, row,
              column, got, mat_value(m->c_type, got), m->d[row][column],
              mat_value(m->c_type, m->d[row][column]));
      return false;
    }
  }
  return true;
}

// "{%i0,%i1}"; moves |at|.
static inline void mat_vector(tsr_buffer *text, char letter, uint32_t *at,
                              uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    tsr_buffer_printf(text, "%s%%%c%u", i == 0 ? "{" : ",", letter, (*at)++);
  }
  tsr_buffer_append_string(text, "}");
}

#endif  // TESTS_EMULATOR_MATRIX_H_
