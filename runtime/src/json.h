// SPDX-License-Identifier: Apache-2.0
// A strict JSON reader (RFC 8259) for the manifest of a bundle, which is
// untrusted: nesting is limited, a key may occur once per object, text must be
// UTF-8, and a string may not contain NUL, so that strings are C strings.
// libtessera links no JSON library.
#ifndef RUNTIME_JSON_H_
#define RUNTIME_JSON_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "tessera/tessera.h"

enum {
  TSR_JSON_DEPTH_LIMIT = 32,
  TSR_JSON_KEY_LIMIT = 1024,  // per object: duplicates are found by comparing
};

typedef enum tsr_json_type {
  TSR_JSON_NULL,
  TSR_JSON_BOOLEAN,
  TSR_JSON_INTEGER,   // fits int64_t or uint64_t
  TSR_JSON_FRACTION,  // any other number: kept as text, no field of ours is one
  TSR_JSON_STRING,
  TSR_JSON_ARRAY,
  TSR_JSON_OBJECT,
} tsr_json_type;

typedef struct tsr_json {
  tsr_json_type type;
  bool boolean;
  bool negative;       // integer: the value is -magnitude
  uint64_t magnitude;  // integer
  const char *string;  // string: its text; fraction: its digits
  const char *key;     // in an object: the member's name; else NULL
  uint32_t index;      // in an array or object: the position
  uint32_t count;      // array, object: the elements
  const struct tsr_json *parent;
  struct tsr_json *first;
  struct tsr_json *next;
} tsr_json;

// Parses |size| bytes of |text|, which must be one value and white space. All
// memory comes from |arena| and lives as long. A mistake is TESSERA_CORRUPT
// with a message that starts with line and column; |*out_root| is then NULL.
TESSERA_MUST_USE tessera_status tsr_json_parse(tsr_arena *arena,
                                               const char *text, size_t size,
                                               const tsr_json **out_root,
                                               tessera_error *error);

// The member |key| of |object|, or NULL; NULL also when it is no object.
const tsr_json *tsr_json_find(const tsr_json *object, const char *key);

#endif  // RUNTIME_JSON_H_
