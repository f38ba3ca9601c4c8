// SPDX-License-Identifier: Apache-2.0
// A sorted index over borrowed names: members of archives, tensors of
// checkpoints. Finds a name, the first duplicate, and the nearest name for
// "did you mean".
#ifndef COMPILER_IMPORT_NAMES_H_
#define COMPILER_IMPORT_NAMES_H_

#include "base/status.h"

typedef struct tsr_name {
  const char *text;  // borrowed
  uint32_t index;    // the owner's
} tsr_name;

typedef struct tsr_names {
  tsr_name *items;  // owned; sorted after tsr_names_sort
  uint32_t count;
  uint32_t capacity;
} tsr_names;

// A zeroed table is empty. |capacity| is the most that add will see.
TSR_MUST_USE tsr_status tsr_names_init(tsr_names *names, uint32_t capacity,
                                       tsr_error *error);
void tsr_names_fini(tsr_names *names);
void tsr_names_add(tsr_names *names, const char *text, uint32_t index);
// Sorts, and returns a text that occurs twice, or NULL.
const char *tsr_names_sort(tsr_names *names);
TSR_MUST_USE bool tsr_names_find(const tsr_names *names, const char *text,
                                 uint32_t *out_index);
// The text with the smallest edit distance to |text|, NULL when all are
// farther than a third of its length.
const char *tsr_names_nearest(const tsr_names *names, const char *text);

#endif  // COMPILER_IMPORT_NAMES_H_
