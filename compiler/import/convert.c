// SPDX-License-Identifier: Apache-2.0
#include "convert.h"

#include <string.h>

#include "base/float16.h"
#include "clones.h"

enum { LANES = 8 };

typedef uint16_t half_vector __attribute__((vector_size(16)));
typedef uint32_t word_vector __attribute__((vector_size(32)));
typedef int32_t int_vector __attribute__((vector_size(32)));
typedef float float_vector __attribute__((vector_size(32)));

TSR_CLONES
static void from_bf16(const uint8_t *data, size_t count, float *values) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    half_vector raw;
    memcpy(&raw, data + 2 * i, sizeof(raw));
    word_vector bits = __builtin_convertvector(raw, word_vector) << 16;
    memcpy(values + i, &bits, sizeof(bits));
  }
  for (; i < count; ++i) {
    uint16_t raw;
    memcpy(&raw, data + 2 * i, sizeof(raw));
    values[i] = tsr_bf16_to_float(raw);
  }
}

// |mask| ? a : b, lane by lane.
#define SELECT(mask, a, b) (((mask) & (a)) | (~(mask) & (b)))

// As tsr_fp16_to_float, without operands that are subnormal floats (which cost
// a trap on some machines): 0x38800000 is 2^-14, the smallest normal half.
TSR_CLONES
static void from_fp16(const uint8_t *data, size_t count, float *values) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    half_vector raw;
    memcpy(&raw, data + 2 * i, sizeof(raw));
    word_vector wide = __builtin_convertvector(raw, word_vector);
    word_vector rest = (wide & 0x7fff) << 13;
    word_vector normal = rest + 0x38000000;
    word_vector shifted = rest + 0x38800000;
    word_vector origin = {0x38800000, 0x38800000, 0x38800000, 0x38800000,
                          0x38800000, 0x38800000, 0x38800000, 0x38800000};
    float_vector small = (float_vector)shifted - (float_vector)origin;
    word_vector is_small = (word_vector)(rest < 0x00800000);
    word_vector is_special = (word_vector)(rest >= 0x0f800000);
    word_vector bits = SELECT(is_small, (word_vector)small, normal);
    bits = SELECT(is_special, rest | 0x7f800000, bits);
    bits |= (wide & 0x8000) << 16;
    memcpy(values + i, &bits, sizeof(bits));
  }
  for (; i < count; ++i) {
    uint16_t raw;
    memcpy(&raw, data + 2 * i, sizeof(raw));
    values[i] = tsr_fp16_to_float(raw);
  }
}

void tsr_convert_to_float(tsr_dtype type, const uint8_t *data, size_t count,
                          float *values) {
  if (count == 0) return;
  switch (type) {
    case TSR_DTYPE_F32:
      memcpy(values, data, count * sizeof(float));
      break;
    case TSR_DTYPE_F16:
      from_fp16(data, count, values);
      break;
    case TSR_DTYPE_BF16:
      from_bf16(data, count, values);
      break;
  }
}

static void clear_tail(uint8_t *bits, size_t count) {
  if (count % 8 != 0) {
    bits[count / 8] &= (uint8_t)((1u << (count % 8)) - 1);
  }
}

void tsr_bits_fill(uint8_t *bits, size_t count) {
  memset(bits, 0xff, tsr_bits_size(count));
  clear_tail(bits, count);
}

void tsr_bits_clear(uint8_t *bits, size_t begin, size_t end) {
  for (; begin < end && begin % 8 != 0; ++begin) {
    bits[begin / 8] &= (uint8_t) ~(1u << (begin % 8));
  }
  if (end > begin) memset(bits + begin / 8, 0, (end - begin) / 8);
  for (size_t i = begin + (end - begin) / 8 * 8; i < end; ++i) {
    bits[i / 8] &= (uint8_t) ~(1u << (i % 8));
  }
}

uint64_t tsr_bits_count(const uint8_t *bits, size_t size) {
  uint64_t count = 0;
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word;
    memcpy(&word, bits + i, sizeof(word));
    count += (unsigned)__builtin_popcountll(word);
  }
  for (; i < size; ++i) count += (unsigned)__builtin_popcount(bits[i]);
  return count;
}

// Mirrors the bits of each byte.
static uint64_t mirror_bytes(uint64_t x) {
  x = (x >> 1 & 0x5555555555555555u) | (x & 0x5555555555555555u) << 1;
  x = (x >> 2 & 0x3333333333333333u) | (x & 0x3333333333333333u) << 2;
  return (x >> 4 & 0x0f0f0f0f0f0f0f0fu) | (x & 0x0f0f0f0f0f0f0f0fu) << 4;
}

// Eight bits from bit |first| of |flat|, MSB first; zeros behind its end.
static uint8_t take_byte(const uint8_t *flat, size_t flat_size,
                         uint64_t first) {
  size_t at = (size_t)(first / 8);
  unsigned shift = (unsigned)(first % 8);
  unsigned high = at < flat_size ? flat[at] : 0;
  unsigned low = at + 1 < flat_size ? flat[at + 1] : 0;
  return (uint8_t)((high << 8 | low) >> (8 - shift));
}

void tsr_bits_from_msb(const uint8_t *flat, size_t flat_size, uint64_t first,
                       size_t count, uint8_t *out_bits) {
  size_t size = tsr_bits_size(count);
  size_t i = 0;
  if (first % 8 == 0) {
    const uint8_t *source = flat + first / 8;
    for (; i + 8 <= size; i += 8) {
      uint64_t word;
      memcpy(&word, source + i, sizeof(word));
      word = mirror_bytes(word);
      memcpy(out_bits + i, &word, sizeof(word));
    }
  }
  for (; i < size; ++i) {
    out_bits[i] =
        (uint8_t)mirror_bytes(take_byte(flat, flat_size, first + 8 * i));
  }
  clear_tail(out_bits, count);
}

TSR_CLONES
void tsr_bits_from_nonzero(const float *values, size_t count,
                           uint8_t *out_bits) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    unsigned byte = 0;
    for (unsigned j = 0; j < LANES; ++j) {
      byte |= (unsigned)(values[i + j] != 0.0f) << j;
    }
    out_bits[i / 8] = (uint8_t)byte;
  }
  if (i < count) out_bits[i / 8] = 0;
  for (; i < count; ++i) {
    out_bits[i / 8] |= (uint8_t)((unsigned)(values[i] != 0.0f) << (i % 8));
  }
}

// The order of magnitudes is that of the bits without sign.
static unsigned largest_two(const uint32_t magnitude[4]) {
  unsigned bits = 0;
  for (unsigned i = 0; i < 4; ++i) {
    unsigned ahead = 0;  // elements that go before this one
    for (unsigned j = 0; j < 4; ++j) {
      ahead +=
          j < i ? magnitude[j] >= magnitude[i] : magnitude[j] > magnitude[i];
    }
    bits |= (unsigned)(ahead < 2) << i;
  }
  return bits;
}

void tsr_bits_from_largest(const float *values, size_t count,
                           uint8_t *out_bits) {
  memset(out_bits, 0, tsr_bits_size(count));
  for (size_t i = 0; i < count; i += 4) {
    uint32_t magnitude[4] = {0, 0, 0, 0};
    for (size_t j = 0; j < 4 && i + j < count; ++j) {
      magnitude[j] = tsr_float_bits(values[i + j]) & 0x7fffffffu;
    }
    out_bits[i / 8] |= (uint8_t)(largest_two(magnitude) << (i % 8));
  }
  clear_tail(out_bits, count);
}

TSR_CLONES
void tsr_mask_floats(const uint8_t *bits, size_t count, float *values) {
  const word_vector lane_bits = {1, 2, 4, 8, 16, 32, 64, 128};
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    uint32_t byte = bits[i / 8];
    word_vector data;
    word_vector all = {byte, byte, byte, byte, byte, byte, byte, byte};
    memcpy(&data, values + i, sizeof(data));
    data &= (word_vector)((all & lane_bits) != 0);
    memcpy(values + i, &data, sizeof(data));
  }
  for (; i < count; ++i) {
    if (!tsr_bits_get(bits, i)) values[i] = 0.0f;
  }
}

static unsigned group_bits(const uint8_t *bits, size_t group) {
  return bits[group / 2] >> (group % 2 * 4) & 15u;
}

size_t tsr_bits_find_group(const uint8_t *bits, size_t begin, size_t end,
                           unsigned most) {
  size_t group = begin / 4;
  size_t last = end / 4 + (end % 4 != 0);
  // 16 groups at a time: counts per nibble (0..4), plus what lifts a count
  // above |most| into the nibble's top bit.
  uint64_t lift = (7u - most) * 0x1111111111111111u;
  for (; group % 2 == 0 && group + 16 <= last; group += 16) {
    uint64_t word;
    memcpy(&word, bits + group / 2, sizeof(word));
    word -= word >> 1 & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
    if (((word + lift) & 0x8888888888888888u) != 0) break;
  }
  for (; group < last; ++group) {
    if ((unsigned)__builtin_popcount(group_bits(bits, group)) > most) {
      return group;
    }
  }
  return last;
}
