// SPDX-License-Identifier: Apache-2.0
// Reads the rows of one tensor, however it is stored.
#include <string.h>

#include "base/memory.h"
#include "convert.h"
#include "inputs.h"
#include "synthetic.h"

enum { WORD_BITS = 64, HASH_CHUNK = 4 << 20 };

static uint64_t read_int64(const tsr_tensor *tensor, uint64_t index) {
  uint64_t value;
  memcpy(&value, tensor->data + 8 * index, sizeof(value));
  return value;
}

static const uint8_t *bitmask_row(const tsr_part *part, uint32_t row) {
  return part->bitmask->data + row * (uint64_t)tsr_bits_size(part->columns);
}

// Index of the first stored value of |row|. tsr_part_check proved it.
static uint64_t first_value(const tsr_part *part, uint32_t row) {
  if (part->storage == TSR_PART_BITMASK24) {
    return (uint64_t)row * (part->columns / 2);
  }
  return read_int64(part->offsets, row);
}

// Up to 64 columns: the values of the set bits, zeros between them.
static void expand_word(const tsr_part *part, uint64_t bits, uint32_t count,
                        uint64_t *next, float *values) {
  float kept[WORD_BITS];
  size_t size = tsr_dtype_size(part->type);
  size_t kept_count = (size_t)__builtin_popcountll(bits);
  tsr_convert_to_float(part->type, part->values->data + *next * size,
                       kept_count, kept);
  *next += kept_count;
  memset(values, 0, count * sizeof(*values));
  for (size_t i = 0; bits != 0; ++i, bits &= bits - 1) {
    values[__builtin_ctzll(bits)] = kept[i];
  }
}

static void read_compressed(const tsr_part *part, uint32_t row, float *values) {
  const uint8_t *mask = bitmask_row(part, row);
  uint64_t next = first_value(part, row);
  for (uint32_t i = 0; i < part->columns; i += WORD_BITS) {
    uint32_t left = part->columns - i;
    uint32_t count = left < WORD_BITS ? left : WORD_BITS;
    uint64_t bits = 0;
    memcpy(&bits, mask + i / 8, tsr_bits_size(count));
    expand_word(part, bits, count, &next, values + i);
  }
}

void tsr_part_read_row(const tsr_part *part, uint32_t row, float *values) {
  switch (part->storage) {
    case TSR_PART_PLAIN:
      tsr_tensor_read(part->values, (uint64_t)row * part->columns,
                      part->columns, values);
      break;
    case TSR_PART_SYNTHETIC:
      tsr_synthetic_row(part->key, row, part->columns, values);
      break;
    default:
      read_compressed(part, row, values);
      break;
  }
}

void tsr_part_drop(const tsr_part *part, uint32_t row, uint32_t count) {
  size_t size = tsr_dtype_size(part->type);
  if (part->storage == TSR_PART_SYNTHETIC || count == 0) return;
  if (part->storage == TSR_PART_PLAIN) {
    uint64_t row_size = part->columns * size;
    tsr_tensor_drop(part->values, row * row_size, count * row_size);
    return;
  }
  uint64_t begin = first_value(part, row);
  uint64_t end = row + count < part->rows ? first_value(part, row + count)
                                          : part->values->count;
  tsr_tensor_drop(part->values, begin * size, (end - begin) * size);
  uint64_t mask_size = tsr_bits_size(part->columns);
  tsr_tensor_drop(part->bitmask, row * mask_size, count * mask_size);
}

void tsr_part_read_bias(const tsr_part *part, uint32_t step, float *values) {
  bool is_synthetic =
      part->storage == TSR_PART_SYNTHETIC && part->tensor->bias_name[0] != '\0';
  for (uint32_t i = 0; i < part->rows; ++i) {
    float *value = values + (size_t)i * step;
    *value = 0.0f;
    if (part->bias != NULL) {
      tsr_tensor_read(part->bias, i, 1, value);
    } else if (is_synthetic) {
      tsr_synthetic_row(part->bias_key, i, 1, value);
    }
  }
}

static void hash_tensor(const tsr_tensor *tensor, tsr_hasher *hasher) {
  if (tensor == NULL) return;
  tsr_hasher_update(hasher, tensor->type_name, strlen(tensor->type_name) + 1);
  tsr_hasher_update(hasher, &tensor->size, sizeof(tensor->size));
  for (uint64_t at = 0; at < tensor->size; at += HASH_CHUNK) {
    uint64_t left = tensor->size - at;
    uint64_t here = left < HASH_CHUNK ? left : HASH_CHUNK;
    tsr_hasher_update(hasher, tensor->data + at, (size_t)here);
    tsr_tensor_drop(tensor, at, here);
  }
}

void tsr_part_hash(const tsr_part *part, tsr_hasher *hasher) {
  const uint64_t head[8] = {(uint64_t)part->storage,
                            (uint64_t)part->type,
                            part->rows,
                            part->columns,
                            part->key,
                            part->bias_key,
                            part->bias != NULL,
                            TSR_SYNTHETIC_VERSION};
  tsr_hasher_update(hasher, head, sizeof(head));
  // Made from the key: hashing that is enough, and fast.
  if (part->storage == TSR_PART_SYNTHETIC) {
    const uint8_t has_bias = part->tensor->bias_name[0] != '\0';
    tsr_hasher_update(hasher, &has_bias, sizeof(has_bias));
  }
  hash_tensor(part->values, hasher);
  hash_tensor(part->bitmask, hasher);
  hash_tensor(part->offsets, hasher);
  hash_tensor(part->bias, hasher);
}

// ---- checks of compressed data ---------------------------------------------

static void report(const tsr_part *part, tsr_diags *diags, uint32_t row,
                   const char *what) {
  tsr_diag_report(diags, TSR_DIAG_INPUT_DAMAGED, part->tensor->span,
                  "tensor '%s': row %u of its bitmask %s", part->tensor->name,
                  row, what);
}

static bool check_row24(const tsr_part *part, uint32_t row, tsr_diags *diags) {
  const uint8_t *mask = bitmask_row(part, row);
  size_t size = tsr_bits_size(part->columns);
  size_t groups = part->columns / 4;
  if (tsr_bits_find_group(mask, 0, part->columns, 2) == groups &&
      tsr_bits_count(mask, size) == part->columns / 2) {
    return true;
  }
  report(part, diags, row, "does not have exactly 2 bits in each group of 4");
  return false;
}

static bool check_row(const tsr_part *part, uint32_t row, uint64_t *next,
                      tsr_diags *diags) {
  const uint8_t *mask = bitmask_row(part, row);
  if (read_int64(part->offsets, row) != *next) {
    report(part, diags, row, "does not begin where row_offsets says");
    return false;
  }
  *next += tsr_bits_count(mask, tsr_bits_size(part->columns));
  if (*next > part->values->count) {
    report(part, diags, row, "has more bits than there are values left");
    return false;
  }
  return true;
}

static bool check_padding(const tsr_part *part, uint32_t row,
                          tsr_diags *diags) {
  unsigned used = part->columns % 8;
  const uint8_t *mask = bitmask_row(part, row);
  if (used == 0 || mask[part->columns / 8] >> used == 0) return true;
  report(part, diags, row, "has padding bits set");
  return false;
}

tsr_status tsr_part_check(const tsr_part *part, tsr_diags *diags,
                          bool *out_is_valid, tsr_error *error) {
  (void)error;
  *out_is_valid = true;
  if (part->bitmask == NULL) return TSR_OK;
  bool valid = true;
  bool is_24 = part->storage == TSR_PART_BITMASK24;
  uint64_t next = 0;
  for (uint32_t row = 0; row < part->rows && valid; ++row) {
    valid = check_padding(part, row, diags) &&
            (is_24 ? check_row24(part, row, diags)
                   : check_row(part, row, &next, diags));
  }
  if (valid && !is_24 && next != part->values->count) {
    valid = false;
    tsr_diag_report(diags, TSR_DIAG_INPUT_DAMAGED, part->tensor->span,
                    "tensor '%s': %llu values, but its bitmask has %llu bits",
                    part->tensor->name, (unsigned long long)part->values->count,
                    (unsigned long long)next);
  }
  *out_is_valid = valid;
  return TSR_OK;
}
