// SPDX-License-Identifier: Apache-2.0
// The sums of real tensor cores, as far as they are known: MMA-Sim (Xie et al.,
// arXiv 2511.10909) derived them by tests on hardware and found them equal bit
// by bit. The products of a block and the accumulator are written as
// significand times power of two (products are not normalised), cut toward zero
// to a fixed number of bits below the largest exponent, and added exactly.
// docs/emulator.md, "Tensor cores", says what is assumed beyond the paper.
#include <math.h>

#include "tensor/tile.h"

void tsr_accumulation_hardware(const tsr_device_model *device, tsr_element type,
                               bool warpgroup, tsr_accumulation *model) {
  uint32_t arch = device->sm_major * 10 + device->sm_minor;
  bool byte = tsr_element_bytes(type) == 1;
  model->fraction = arch < 90 ? 24 : 25;
  model->mantissa = 23;
  // fp8: Ada and Hopper's wgmma keep 13 bits; Hopper's mma converts to f16.
  if (byte && (arch == 89 || (arch == 90 && warpgroup))) {
    model->fraction = 13;
    model->mantissa = 13;
  }
  // Ampere and Ada add 16 bytes of each row at a time.
  model->block = arch < 90 ? 16 / tsr_element_bytes(type) : TSR_TILE_A_BYTES;
}

// A finite value: significand times 2^(exponent - bits behind the point of the
// format), the significand with sign and not normalised.
typedef struct parts {
  int32_t significand, exponent;
} parts;

// |width| exponent bits, |fraction| fraction bits.
static parts parts_of(uint32_t bits, uint32_t width, uint32_t fraction) {
  uint32_t mask = (1u << fraction) - 1;
  uint32_t exponent = bits >> fraction & ((1u << width) - 1);
  int32_t bias = (1 << (width - 1)) - 1;
  parts out = {(int32_t)(bits & mask), 1 - bias};
  if (exponent != 0) {
    out.significand |= INT32_C(1) << fraction;
    out.exponent = (int32_t)exponent - bias;
  }
  if (out.significand == 0) out.exponent = -126;
  if ((bits >> (width + fraction) & 1) != 0) out.significand = -out.significand;
  return out;
}

static parts element_parts(tsr_element type, uint32_t bits) {
  switch (type) {
    case TSR_ELEMENT_F16:
      return parts_of(bits, 5, 10);
    case TSR_ELEMENT_BF16:
      return parts_of(bits, 8, 7);
    case TSR_ELEMENT_TF32:
      return parts_of(bits >> 13, 8, 10);
    case TSR_ELEMENT_E4M3:
      return parts_of(bits, 4, 3);
    default:
      return parts_of(bits, 5, 2);
  }
}

static int32_t element_fraction(tsr_element type) {
  switch (type) {
    case TSR_ELEMENT_BF16:
      return 7;
    case TSR_ELEMENT_E4M3:
      return 3;
    case TSR_ELEMENT_E5M2:
      return 2;
    default:
      return 10;
  }
}

static double power_of_two(int32_t exponent) {  // of a normal double
  uint64_t bits = (uint64_t)(exponent + 1023) << 52;
  double value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// sum * 2^unit, cut toward zero to |mantissa| bits with the exponents of f32.
static uint32_t cut_f32(int64_t sum, int32_t unit, uint32_t mantissa) {
  uint64_t size = (uint64_t)(sum < 0 ? -sum : sum);
  if (size == 0) return 0;
  int32_t top = 63 - __builtin_clzll(size);  // of the highest bit
  if (top + unit > 127) return sum < 0 ? 0xff800000u : 0x7f800000u;
  int32_t lowest = (top + unit < -126 ? -126 : top + unit) - (int32_t)mantissa;
  int32_t drop = lowest - unit;  // bits of |size| below the last one kept
  if (drop > 0) size = drop > 63 ? 0 : size >> drop << drop;
  double value = (double)size * power_of_two(unit);
  return tsr_round_f32(sum < 0 ? -value : value);
}

// A row of elements, taken apart; |special|: one is not finite.
typedef struct row_parts {
  int32_t significand[TSR_TILE_K], exponent[TSR_TILE_K];
  bool special;
} row_parts;

static void row_set(row_parts *row, uint32_t i, tsr_element type,
                    uint32_t bits) {
  parts p = element_parts(type, bits);
  row->significand[i] = p.significand;
  row->exponent[i] = p.exponent;
  row->special = row->special || !isfinite(tsr_element_value(type, bits));
}

// One block of finite values: |count| products and |c|. |behind|: bits behind
// the point of a product; at most 22, and 27 bits in all when aligned.
static uint32_t sum_block(const tsr_accumulation *model, const int32_t *a,
                          const int32_t *a_exponent, const int32_t *b,
                          const int32_t *b_exponent, uint32_t count,
                          int32_t behind, uint32_t c) {
  int32_t fraction = (int32_t)model->fraction;
  parts last = model->half ? parts_of(c, 5, 10) : parts_of(c, 8, 23);
  int32_t top = last.exponent;
  for (uint32_t i = 0; i < count; ++i) {
    int32_t exponent = a_exponent[i] + b_exponent[i];
    top = exponent > top ? exponent : top;
  }
  int32_t left = fraction > behind ? fraction - behind : 0;
  int32_t right = behind > fraction ? behind - fraction : 0;
  int64_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    int32_t product = a[i] * b[i];
    int32_t shift = top - a_exponent[i] - b_exponent[i] + right;
    uint32_t size = (uint32_t)(product < 0 ? -product : product) << left;
    int32_t cut = (int32_t)(size >> (shift > 31 ? 31 : shift));
    sum += product < 0 ? -cut : cut;
  }
  int32_t shift = top - last.exponent + (model->half ? 10 : 23) - fraction;
  uint64_t size =
      (uint64_t)(last.significand < 0 ? -last.significand : last.significand);
  size = shift >= 0 ? size >> (shift > 63 ? 63 : shift) : size << -shift;
  sum += last.significand < 0 ? -(int64_t)size : (int64_t)size;
  if (!model->half) return cut_f32(sum, top - fraction, model->mantissa);
  return tsr_round_f16((double)sum * power_of_two(top - fraction));
}

static bool accumulator_finite(const tsr_accumulation *model, uint32_t c) {
  uint32_t top = model->half ? 0x7c00 : 0x7f800000;
  return (c & top) != top;
}

// All blocks. The accumulator may become infinite on the way; then the rest is
// added in double, where only what is not finite matters.
static uint32_t sum_rows(const tsr_accumulation *model, const row_parts *a,
                         const row_parts *b, uint32_t count, int32_t behind,
                         uint32_t c) {
  uint32_t step = model->block == 0 ? count : model->block;
  for (uint32_t i = 0; i < count; i += step) {
    uint32_t n = count - i < step ? count - i : step;
    if (!accumulator_finite(model, c)) return c;
    c = sum_block(model, a->significand + i, a->exponent + i,
                  b->significand + i, b->exponent + i, n, behind, c);
  }
  return c;
}

// What is not finite: as IEEE 754 has it; the size of the rest is of no matter.
static uint32_t sum_special(const tsr_accumulation *model, tsr_element a_type,
                            const uint32_t *a, tsr_element b_type,
                            const uint32_t *b, uint32_t count, uint32_t c) {
  double total = model->half ? tsr_value_f16(c) : tsr_value_f32(c);
  for (uint32_t i = 0; i < count; ++i) {
    total += tsr_element_value(a_type, a[i]) * tsr_element_value(b_type, b[i]);
  }
  return model->half ? tsr_round_f16(total) : tsr_round_f32(total);
}

uint32_t tsr_sum_hardware(const tsr_accumulation *model, tsr_element a_type,
                          const uint32_t *a, tsr_element b_type,
                          const uint32_t *b, uint32_t count, uint32_t c) {
  row_parts x = {.special = false}, y = {.special = false};
  for (uint32_t i = 0; i < count; ++i) {
    row_set(&x, i, a_type, a[i]);
    row_set(&y, i, b_type, b[i]);
  }
  if (x.special || y.special || !accumulator_finite(model, c)) {
    return sum_special(model, a_type, a, b_type, b, count, c);
  }
  int32_t behind = element_fraction(a_type) + element_fraction(b_type);
  return sum_rows(model, &x, &y, count, behind, c);
}

static uint32_t kept_index(const tsr_tile_a *a, uint32_t m, uint32_t i) {
  return a->kept == a->k ? i : a->index[m][i];
}

// One output whose row, column or accumulator is not finite.
static uint32_t multiply_special(const tsr_accumulation *model,
                                 const tsr_tile_a *a, const tsr_tile_b *b,
                                 uint32_t m, uint32_t n, uint32_t c) {
  uint32_t x[TSR_TILE_K], y[TSR_TILE_K];
  for (uint32_t i = 0; i < a->kept; ++i) {
    x[i] = tsr_element_bits(a->type, a->raw[m], i);
    y[i] = tsr_element_bits(b->type, b->raw[n], kept_index(a, m, i));
  }
  return tsr_sum_hardware(model, a->type, x, b->type, y, a->kept, c);
}

void tsr_tile_multiply_hardware(const tsr_tile_a *a, const tsr_tile_b *b,
                                const tsr_accumulation *model, tsr_tile_c acc) {
  row_parts columns[TSR_TILE_N];
  int32_t behind = element_fraction(a->type) + element_fraction(b->type);
  for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
    columns[n].special = false;
    for (uint32_t i = 0; i < b->k; ++i) {
      row_set(&columns[n], i, b->type, tsr_element_bits(b->type, b->raw[n], i));
    }
  }
  for (uint32_t m = 0; m < TSR_TILE_M; ++m) {
    row_parts row, met;
    row.special = false;
    for (uint32_t i = 0; i < a->kept; ++i) {
      row_set(&row, i, a->type, tsr_element_bits(a->type, a->raw[m], i));
    }
    for (uint32_t n = 0; n < TSR_TILE_N; ++n) {
      if (row.special || columns[n].special ||
          !accumulator_finite(model, acc[m][n])) {
        acc[m][n] = multiply_special(model, a, b, m, n, acc[m][n]);
        continue;
      }
      for (uint32_t i = 0; i < a->kept && a->kept != a->k; ++i) {
        met.significand[i] = columns[n].significand[a->index[m][i]];
        met.exponent[i] = columns[n].exponent[a->index[m][i]];
      }
      acc[m][n] = sum_rows(model, &row, a->kept == a->k ? &columns[n] : &met,
                           a->kept, behind, acc[m][n]);
    }
  }
}
