// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer, always NUL-terminated. Failure is sticky: after an
// allocation fails, appends do nothing and |failed| is true, so a writer checks
// once at its end.
#ifndef BASE_BUFFER_H_
#define BASE_BUFFER_H_

#include <stddef.h>

#include "base/status.h"

typedef struct tsr_buffer {
  char *data;  // owned; NULL while empty
  size_t size;
  size_t capacity;
  bool failed;
} tsr_buffer;

void tsr_buffer_init(tsr_buffer *buffer);
void tsr_buffer_fini(tsr_buffer *buffer);
// Keeps the memory.
void tsr_buffer_clear(tsr_buffer *buffer);
void tsr_buffer_append(tsr_buffer *buffer, const void *data, size_t size);
void tsr_buffer_append_string(tsr_buffer *buffer, const char *text);
void tsr_buffer_append_char(tsr_buffer *buffer, char c);
void tsr_buffer_printf(tsr_buffer *buffer, const char *format, ...)
    TSR_PRINTF(2, 3);
// Appends |text| as a JSON string, quotes included (RFC 8259, section 7).
// Bytes that are not UTF-8 become U+FFFD.
void tsr_buffer_append_json(tsr_buffer *buffer, const char *text, size_t size);
// The text, "" while empty. Borrowed; valid until the next append.
const char *tsr_buffer_text(const tsr_buffer *buffer);
// TSR_OK, or TSR_OUT_OF_MEMORY when an append failed.
TSR_MUST_USE tsr_status tsr_buffer_status(const tsr_buffer *buffer,
                                          tsr_error *error);

#endif  // BASE_BUFFER_H_
