// SPDX-License-Identifier: Apache-2.0
// Compiled kernels, kept between compilations by content key. A cache may be
// shared by processes, deleted at any time, damaged or unwritable: then work is
// done again, never wrong. Thread-safe.
#ifndef TESSERAC_CACHE_H_
#define TESSERAC_CACHE_H_

#include "base/buffer.h"
#include "base/hash.h"

typedef struct tsr_cache {
  char *directory;  // owned; NULL: no cache
} tsr_cache;

// |directory|, or $TESSERA_CACHE, or $XDG_CACHE_HOME/tessera, or
// ~/.cache/tessera. Without any of them the cache is empty for ever.
TSR_MUST_USE tsr_status tsr_cache_open(const char *directory,
                                       tsr_cache *out_cache, tsr_error *error);
void tsr_cache_close(tsr_cache *cache);

typedef enum tsr_cache_result {
  TSR_CACHE_HIT,
  TSR_CACHE_ABSENT,   // never compiled, or deleted
  TSR_CACHE_DAMAGED,  // there, but not what was written
  TSR_CACHE_OFF,
} tsr_cache_result;

// Appends the object of |key| to |out|.
tsr_cache_result tsr_cache_load(const tsr_cache *cache, tsr_hash key,
                                tsr_buffer *out);
// Keeps |data| for |key|. A failure only means that it is not kept; false.
bool tsr_cache_store(const tsr_cache *cache, tsr_hash key, const void *data,
                     size_t size);

#endif  // TESSERAC_CACHE_H_
