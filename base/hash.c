// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop

struct tsr_hasher {
  XXH3_state_t state;  // 64-byte aligned, hence the aligned allocation
};

static tsr_hash from_xxh(XXH128_hash_t hash) {
  return (tsr_hash){.low = hash.low64, .high = hash.high64};
}

tsr_hash tsr_hash_bytes(const void *data, size_t size) {
  return from_xxh(XXH3_128bits(data, size));
}

bool tsr_hash_equal(tsr_hash a, tsr_hash b) {
  return a.low == b.low && a.high == b.high;
}

void tsr_hash_format(tsr_hash hash, char out_text[33]) {
  (void)snprintf(out_text, 33, "%016llx%016llx", (unsigned long long)hash.high,
                 (unsigned long long)hash.low);
}

static bool parse_half(const char *text, uint64_t *out_half) {
  uint64_t half = 0;
  for (int i = 0; i < 16; ++i) {
    char c = text[i];
    uint64_t digit;
    if (c >= '0' && c <= '9') {
      digit = (uint64_t)(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = (uint64_t)(c - 'a') + 10;
    } else {
      return false;
    }
    half = half << 4 | digit;
  }
  *out_half = half;
  return true;
}

bool tsr_hash_parse(const char *text, tsr_hash *out_hash) {
  return strlen(text) == 32 && parse_half(text, &out_hash->high) &&
         parse_half(text + 16, &out_hash->low);
}

tsr_hasher *tsr_hasher_create(void) {
  tsr_hasher *hasher = tsr_aligned_alloc(64, sizeof(*hasher));
  if (hasher != NULL) tsr_hasher_reset(hasher);
  return hasher;
}

void tsr_hasher_destroy(tsr_hasher *hasher) {
  tsr_free(hasher);
}

void tsr_hasher_reset(tsr_hasher *hasher) {
  (void)XXH3_128bits_reset(&hasher->state);
}

void tsr_hasher_update(tsr_hasher *hasher, const void *data, size_t size) {
  (void)XXH3_128bits_update(&hasher->state, data, size);
}

tsr_hash tsr_hasher_digest(const tsr_hasher *hasher) {
  return from_xxh(XXH3_128bits_digest(&hasher->state));
}
