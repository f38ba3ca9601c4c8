// SPDX-License-Identifier: Apache-2.0
// D = A * B + C of one tile. The usual case is a plain loop in double, taken
// where a bound shows that no addition can round: every term is a multiple of
// some q and all partial sums stay below 2^53 q. Outputs without that proof are
// summed one by one in exact.c.
#include "tensor/tile.h"

#include <math.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

uint32_t tsr_element_bytes(tsr_element type) {
  switch (type) {
    case TSR_ELEMENT_F16:
    case TSR_ELEMENT_BF16:
      return 2;
    case TSR_ELEMENT_TF32:
      return 4;
    default:
      return 1;
  }
}

uint32_t tsr_element_bits(tsr_element type, const unsigned char *raw,
                          uint32_t index) {
  uint32_t word;
  uint16_t half;
  switch (tsr_element_bytes(type)) {
    case 1:
      return raw[index];
    case 2:
      memcpy(&half, raw + 2 * (size_t)index, 2);
      return half;
    default:
      memcpy(&word, raw + 4 * (size_t)index, 4);
      return word;
  }
}

// --- Values -----------------------------------------------------------------

// A row of |n| values. |out_high|: none is larger; infinite when one is not
// finite. |out_low|: all are multiples of a power of two that is not smaller;
// infinite when all are zero. Formats narrower than f32 are shifted under its
// fields and scaled by the difference of the biases (what is not finite then
// comes out as some finite number). The smallest size is found less one, so
// that zeros do not count. |unit|: half a unit of the last place of 1.
#define DECODE_ROW(name, word, sign, shift, scale, special, unit)            \
  ALWAYS_INLINE double name##_value(uint32_t bits) {                         \
    uint32_t wide = (bits & ((sign)-1u)) << (shift);                         \
    wide |= (bits & (sign)) * (0x80000000u / (sign));                        \
    float value;                                                             \
    memcpy(&value, &wide, sizeof(value));                                    \
    return (double)value * (scale);                                          \
  }                                                                          \
  ALWAYS_INLINE void name(const unsigned char *raw, uint32_t n, double *out, \
                          double *out_high, double *out_low) {               \
    word bits[TSR_TILE_B_BYTES / sizeof(word)];                              \
    memcpy(bits, raw, sizeof(word) * n);                                     \
    word most = 0, least = (word)~0u;                                        \
    for (uint32_t i = 0; i < n; ++i) {                                       \
      word size = (word)(bits[i] & ((sign)-1u)), less = (word)(size - 1u);   \
      most = size > most ? size : most;                                      \
      least = less < least ? less : least;                                   \
    }                                                                        \
    for (uint32_t i = 0; i < n; ++i) out[i] = name##_value(bits[i]);         \
    *out_high = most >= (special) ? (double)INFINITY : name##_value(most);   \
    *out_low = least == (word)~0u ? (double)INFINITY                         \
                                  : name##_value(least + 1u) * (unit);       \
  }
DECODE_ROW(decode_f16, uint16_t, 0x8000u, 13, 0x1p112, 0x7c00, 0x1p-11)
DECODE_ROW(decode_bf16, uint16_t, 0x8000u, 16, 1.0, 0x7f80, 0x1p-8)
DECODE_ROW(decode_word, uint32_t, 0x80000000u, 0, 1.0, 0x7f800000, 0x1p-11)
DECODE_ROW(decode_e4m3, uint8_t, 0x80u, 20, 0x1p120, 0x7f, 0x1p-4)
DECODE_ROW(decode_e5m2, uint8_t, 0x80u, 21, 0x1p112, 0x7c, 0x1p-3)

ALWAYS_INLINE void decode_tf32(const unsigned char *raw, uint32_t n,
                               double *out, double *out_high, double *out_low) {
  uint32_t bits[TSR_TILE_B_BYTES / 4];
  memcpy(bits, raw, 4 * (size_t)n);
  for (uint32_t i = 0; i < n; ++i) bits[i] &= 0xffffe000u;
  decode_word((const unsigned char *)bits, n, out, out_high, out_low);
}

ALWAYS_INLINE void decode_row(tsr_element type, const unsigned char *raw,
                              uint32_t n, double *out, double *high,
                              double *low) {
  switch (type) {
    case TSR_ELEMENT_F16:
      decode_f16(raw, n, out, high, low);
      break;
    case TSR_ELEMENT_BF16:
      decode_bf16(raw, n, out, high, low);
      break;
    case TSR_ELEMENT_TF32:
      decode_tf32(raw, n, out, high, low);
      break;
    case TSR_ELEMENT_E4M3:
      decode_e4m3(raw, n, out, high, low);
      break;
    default:
      decode_e5m2(raw, n, out, high, low);
      break;
  }
}

// The element of the k that kept element |i| of row |m| stands for.
static uint32_t kept_index(const tsr_tile_a *a, uint32_t m, uint32_t i) {
  return a->kept == a->k ? i : a->index[m][i];
}

ALWAYS_INLINE void decode_integers(tsr_element type, const unsigned char *raw,
                                   uint32_t n, int32_t *out) {
  for (uint32_t i = 0; i < n; ++i) {
    out[i] = type == TSR_ELEMENT_S8 ? (int8_t)raw[i] : raw[i];
  }
}

TSR_CLONES void tsr_tile_prepare_a(tsr_tile_a *a) {
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    if (tsr_element_is_integer(a->type)) {
      decode_integers(a->type, a->raw[m], a->kept, a->as.integer[m]);
    } else {
      decode_row(a->type, a->raw[m], a->kept, a->as.value[m], &a->high[m],
                 &a->low[m]);
    }
  }
}

TSR_CLONES void tsr_tile_prepare_b(tsr_tile_b *b) {
  for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
    if (tsr_element_is_integer(b->type)) {
      int32_t whole[TSR_TILE_K];
      decode_integers(b->type, b->raw[n], b->k, whole);
      for (uint32_t i = 0; i < b->k; ++i) b->as.integer[i][n] = whole[i];
    } else {
      double value[TSR_TILE_K];
      decode_row(b->type, b->raw[n], b->k, value, &b->high[n], &b->low[n]);
      for (uint32_t i = 0; i < b->k; ++i) b->as.value[i][n] = value[i];
    }
  }
}

// --- Products ---------------------------------------------------------------

typedef struct sums {
  double c[TSR_TILE_M][TSR_TILE_N], d[TSR_TILE_M][TSR_TILE_N];
  uint32_t f32[TSR_TILE_M][TSR_TILE_N];    // d rounded
  uint32_t doubt[TSR_TILE_M][TSR_TILE_N];  // not 0: d may be inexact
} sums;

// Whether double is enough, for each output. With an infinite low, high is 0
// and may meet another infinity: then the comparison is false, as for NaN in C.
ALWAYS_INLINE void bound_sums(const tsr_tile_a *a, const tsr_tile_b *b,
                              sums *s) {
  double terms = a->kept;
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    double high = a->high[m] * terms, low = a->low[m];
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
      double size = fabs(s->c[m][n]), unit = low * b->low[n];
      double c_unit = size == 0 ? unit : size * 0x1p-24;
      unit = c_unit < unit ? c_unit : unit;
      s->doubt[m][n] = high * b->high[n] + size < unit * 0x1p53 ? 0u : 1u;
    }
  }
}

// A row of outputs. As a vector type, because the compiler otherwise shuffles
// between rows.
typedef double output_row
    __attribute__((vector_size(TSR_TILE_N * sizeof(double))));

// Four rows at a time, so that additions overlap.
ALWAYS_INLINE void sum_dense(const tsr_tile_a *a, const tsr_tile_b *b,
                             uint32_t m, output_row sum[4]) {
  for (uint32_t k = 0; k < a->k; ++k) {
    output_row row;
    memcpy(&row, b->as.value[k], sizeof(row));
    for (uint32_t i = 0; i < 4; ++i) sum[i] += a->as.value[m + i][k] * row;
  }
}

ALWAYS_INLINE void sum_sparse(const tsr_tile_a *a, const tsr_tile_b *b,
                              uint32_t m, output_row sum[4]) {
  for (uint32_t j = 0; j < a->kept; ++j) {
    for (uint32_t i = 0; i < 4; ++i) {
      output_row row;
      memcpy(&row, b->as.value[a->index[m + i][j]], sizeof(row));
      sum[i] += a->as.value[m + i][j] * row;
    }
  }
}

TSR_CLONES static void sum_in_double(const tsr_tile_a *a, const tsr_tile_b *b,
                                     sums *s) {
  bound_sums(a, b, s);
  for (uint32_t m = 0; m < TSR_TILE_M; m += 4) {
    output_row sum[4];
    memcpy(sum, s->c[m], sizeof(sum));
    if (a->kept == a->k) {
      sum_dense(a, b, m, sum);
    } else {
      sum_sparse(a, b, m, sum);
    }
    memcpy(s->d[m], sum, sizeof(sum));
  }
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    float rounded[TSR_TILE_N];
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) rounded[n] = (float)s->d[m][n];
    memcpy(s->f32[m], rounded, sizeof(rounded));
  }
}

// One output from the kept elements and what they meet, without a bound.
static double sum_one(const tsr_tile_a *a, const tsr_tile_b *b, uint32_t m,
                      uint32_t n, double c) {
  double terms[TSR_SUM_TERMS];
  bool decoded = isfinite(a->high[m]) && isfinite(b->high[n]);
  terms[0] = c;
  for (uint32_t i = 0; i < a->kept; ++i) {
    uint32_t k = kept_index(a, m, i);
    if (decoded) {
      terms[i + 1] = a->as.value[m][i] * b->as.value[k][n];
      continue;
    }
    uint32_t x = tsr_element_bits(a->type, a->raw[m], i);
    uint32_t y = tsr_element_bits(b->type, b->raw[n], k);
    terms[i + 1] =
        tsr_element_value(a->type, x) * tsr_element_value(b->type, y);
  }
  return tsr_sum_exact(terms, a->kept + 1);
}

static void multiply_exact(const tsr_tile_a *a, const tsr_tile_b *b, bool half,
                           tsr_tile_c acc) {
  sums s;
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    float c[TSR_TILE_N];
    memcpy(c, acc[m], sizeof(c));
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
      s.c[m][n] = half ? tsr_value_f16(acc[m][n]) : (double)c[n];
    }
  }
  sum_in_double(a, b, &s);
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
      if (s.doubt[m][n] == 0) {
        acc[m][n] = half ? tsr_round_f16(s.d[m][n]) : s.f32[m][n];
        continue;
      }
      double sum = sum_one(a, b, m, n, s.c[m][n]);
      acc[m][n] = half ? tsr_round_f16(sum) : tsr_round_f32(sum);
    }
  }
}

// Without .satfinite the sum wraps around (PTX ISA 9.7.14.5.14).
TSR_CLONES static void multiply_integer(const tsr_tile_a *a,
                                        const tsr_tile_b *b, bool saturate,
                                        tsr_tile_c acc) {
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    int32_t sum[TSR_TILE_N] = {0};  // at most 64 * 255 * 255
    for (uint32_t i = 0; i < a->kept; ++i) {
      const int32_t *row = b->as.integer[kept_index(a, m, i)];
      for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
        sum[n] += a->as.integer[m][i] * row[n];
      }
    }
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
      int64_t total = (int64_t)(int32_t)acc[m][n] + sum[n];
      if (saturate) {
        total = total > INT32_MAX ? INT32_MAX : total;
        total = total < INT32_MIN ? INT32_MIN : total;
      }
      acc[m][n] = (uint32_t)total;
    }
  }
}

void tsr_tile_multiply(const tsr_tile_a *a, const tsr_tile_b *b,
                       const tsr_accumulation *model, tsr_tile_c acc) {
  if (tsr_element_is_integer(a->type)) {
    multiply_integer(a, b, model->saturate, acc);
  } else if (model->hardware) {
    tsr_tile_multiply_hardware(a, b, model, acc);
  } else {
    multiply_exact(a, b, model->half, acc);
  }
}
