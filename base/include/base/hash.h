// SPDX-License-Identifier: Apache-2.0
// Checksums and content keys: XXH3, 128 bits (xxhash, BSD-2-Clause, used as a
// header). Not cryptographic: it finds damage, not malice.
#ifndef BASE_HASH_H_
#define BASE_HASH_H_

#include <stddef.h>

#include "base/status.h"

typedef struct tsr_hash {
  uint64_t low;
  uint64_t high;
} tsr_hash;

typedef struct tsr_hasher tsr_hasher;

tsr_hash tsr_hash_bytes(const void *data, size_t size);
bool tsr_hash_equal(tsr_hash a, tsr_hash b);
// 32 lower-case hexadecimal digits, high half first, and a NUL.
void tsr_hash_format(tsr_hash hash, char out_text[33]);
// False unless |text| is exactly 32 lower-case hexadecimal digits.
TSR_MUST_USE bool tsr_hash_parse(const char *text, tsr_hash *out_hash);

// Streaming. create returns NULL when out of memory; destroy(NULL) is legal.
tsr_hasher *tsr_hasher_create(void);
void tsr_hasher_destroy(tsr_hasher *hasher);
void tsr_hasher_reset(tsr_hasher *hasher);
void tsr_hasher_update(tsr_hasher *hasher, const void *data, size_t size);
tsr_hash tsr_hasher_digest(const tsr_hasher *hasher);

#endif  // BASE_HASH_H_
