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

typedef struct parts {
  int64_t significand;  // with sign; 0 for zero
  int32_t exponent;     // of the bit before the point
  int32_t fraction;     // bits behind the point
} parts;

// |width| exponent bits, |fraction| fraction bits; finite.
static parts parts_of(uint32_t bits, uint32_t width, uint32_t fraction) {
  uint32_t mask = (1u << fraction) - 1;
  uint32_t exponent = bits >> fraction & ((1u << width) - 1);
  int32_t bias = (1 << (width - 1)) - 1;
  parts out = {.significand = bits & mask,
               .exponent = 1 - bias,
               .fraction = (int32_t)fraction};
  if (exponent != 0) {
    out.significand |= INT64_C(1) << fraction;
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

// |significand| with |from| bits behind the point at |exponent|, cut toward
// zero to |to| bits behind the point at |top|.
static int64_t align(const parts *term, int32_t top, int32_t to) {
  int32_t right = top - term->exponent + term->fraction - to;
  uint64_t size = (uint64_t)(term->significand < 0 ? -term->significand
                                                   : term->significand);
  if (right >= 64) return 0;
  size = right >= 0 ? size >> right : size << -right;
  return term->significand < 0 ? -(int64_t)size : (int64_t)size;
}

// |value| cut toward zero to |mantissa| bits, with the exponents of f32.
static uint32_t cut_f32(double value, uint32_t mantissa) {
  if (fabs(value) >= 0x1p128) return value < 0 ? 0xff800000u : 0x7f800000u;
  int exponent = 0;
  (void)frexp(value, &exponent);  // value = [0.5, 1) * 2^exponent
  int weight = (exponent - 1 < -126 ? -126 : exponent - 1) - (int)mantissa;
  return tsr_round_f32(ldexp(trunc(ldexp(value, -weight)), weight));
}

// One block: |count| products and |c|.
static uint32_t sum_block(const tsr_accumulation *model, tsr_element a_type,
                          const uint32_t *a, tsr_element b_type,
                          const uint32_t *b, uint32_t count, uint32_t c) {
  double total = model->half ? tsr_value_f16(c) : tsr_value_f32(c);
  for (uint32_t i = 0; i < count; ++i) {
    total += tsr_element_value(a_type, a[i]) * tsr_element_value(b_type, b[i]);
  }
  if (!isfinite(total)) {  // products and f32 are far from double's limits
    return model->half ? tsr_round_f16(total) : tsr_round_f32(total);
  }
  parts terms[TSR_SUM_TERMS];
  terms[0] = model->half ? parts_of(c, 5, 10) : parts_of(c, 8, 23);
  int32_t top = terms[0].exponent;
  for (uint32_t i = 0; i < count; ++i) {
    parts x = element_parts(a_type, a[i]), y = element_parts(b_type, b[i]);
    terms[i + 1] = (parts){.significand = x.significand * y.significand,
                           .exponent = x.exponent + y.exponent,
                           .fraction = x.fraction + y.fraction};
    if (terms[i + 1].exponent > top) top = terms[i + 1].exponent;
  }
  int64_t sum = 0;
  for (uint32_t i = 0; i <= count; ++i) {
    sum += align(&terms[i], top, (int32_t)model->fraction);
  }
  double value = ldexp((double)sum, top - (int32_t)model->fraction);
  return model->half ? tsr_round_f16(value) : cut_f32(value, model->mantissa);
}

uint32_t tsr_sum_hardware(const tsr_accumulation *model, tsr_element a_type,
                          const uint32_t *a, tsr_element b_type,
                          const uint32_t *b, uint32_t count, uint32_t c) {
  uint32_t block = model->block == 0 || model->block > TSR_TILE_K
                       ? TSR_TILE_K
                       : model->block;
  for (uint32_t i = 0; i < count; i += block) {
    uint32_t n = count - i < block ? count - i : block;
    c = sum_block(model, a_type, a + i, b_type, b + i, n, c);
  }
  return c;
}
