// SPDX-License-Identifier: Apache-2.0
// Takes typed fields out of the manifest, checking type and range. The first
// mistake is kept and names the layer (or kernel, image, file) and the field;
// after it every reading gives a harmless value, so that a reader of many
// fields asks once, at its end.
#ifndef RUNTIME_READER_H_
#define RUNTIME_READER_H_

#include "base/hash.h"
#include "json.h"
#include "tessera/tessera.h"

typedef struct tsr_reader {
  tsr_arena *arena;  // for strings that outlive the document
  tessera_error *error;
  tessera_status status;
  tessera_bundle *bundle;  // being filled; not used here
  // Where we are: fields are named relative to |scope|, after |label|.
  const tsr_json *scope;
  char label[200];
} tsr_reader;

// Fails with "|label|: |path of node|: |message|". |node| may be NULL.
void tsr_reader_fail(tsr_reader *reader, const tsr_json *node,
                     const char *format, ...) TSR_PRINTF(3, 4);
// As above about the member |key| of |object|, which may be absent.
void tsr_reader_fail_key(tsr_reader *reader, const tsr_json *object,
                         const char *key, const char *format, ...)
    TSR_PRINTF(4, 5);

// Puts label and path in front of a failure recorded by another.
void tsr_reader_prefix_key(tsr_reader *reader, const tsr_json *object,
                           const char *key);

// Each wants |object|.|key| to be there and of its type.
uint64_t tsr_read_uint(tsr_reader *reader, const tsr_json *object,
                       const char *key, uint64_t minimum, uint64_t maximum);
uint32_t tsr_read_u32(tsr_reader *reader, const tsr_json *object,
                      const char *key, uint32_t minimum, uint32_t maximum);
bool tsr_read_bool(tsr_reader *reader, const tsr_json *object, const char *key);
// A copy in the arena; never NULL unless out of memory.
const char *tsr_read_string(tsr_reader *reader, const tsr_json *object,
                            const char *key);
// A C identifier, or "" where |may_be_empty|.
const char *tsr_read_identifier(tsr_reader *reader, const tsr_json *object,
                                const char *key, bool may_be_empty);
tsr_hash tsr_read_hash(tsr_reader *reader, const tsr_json *object,
                       const char *key);
// The position of the string in |words|, of |count|; |what| for the message.
uint32_t tsr_read_word(tsr_reader *reader, const tsr_json *object,
                       const char *key, const char *(*word)(uint32_t),
                       uint32_t count);
const tsr_json *tsr_read_object(tsr_reader *reader, const tsr_json *object,
                                const char *key);
const tsr_json *tsr_read_array(tsr_reader *reader, const tsr_json *object,
                               const char *key);
// Two integers from |minimum| to |maximum|.
void tsr_read_pair(tsr_reader *reader, const tsr_json *object, const char *key,
                   uint64_t minimum, uint64_t maximum, uint64_t out_pair[2]);

#endif  // RUNTIME_READER_H_
