// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

void tsr_buffer_init(tsr_buffer *buffer) {
  memset(buffer, 0, sizeof(*buffer));
}

void tsr_buffer_fini(tsr_buffer *buffer) {
  if (buffer == NULL) return;
  tsr_free(buffer->data);
  tsr_buffer_init(buffer);
}

void tsr_buffer_clear(tsr_buffer *buffer) {
  buffer->size = 0;
  if (buffer->data != NULL) buffer->data[0] = '\0';
}

static bool reserve(tsr_buffer *buffer, size_t extra) {
  if (buffer->failed) return false;
  if (extra > SIZE_MAX / 4 || buffer->size > SIZE_MAX / 4) {
    buffer->failed = true;
    return false;
  }
  size_t needed = buffer->size + extra + 1;
  if (needed <= buffer->capacity) return true;
  size_t capacity = buffer->capacity == 0 ? 256 : buffer->capacity;
  while (capacity < needed) capacity *= 2;
  char *data = tsr_realloc(buffer->data, capacity);
  if (data == NULL) {
    buffer->failed = true;
    return false;
  }
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

void tsr_buffer_append(tsr_buffer *buffer, const void *data, size_t size) {
  if (!reserve(buffer, size)) return;
  if (size != 0) memcpy(buffer->data + buffer->size, data, size);
  buffer->size += size;
  buffer->data[buffer->size] = '\0';
}

void tsr_buffer_append_string(tsr_buffer *buffer, const char *text) {
  tsr_buffer_append(buffer, text, strlen(text));
}

void tsr_buffer_append_char(tsr_buffer *buffer, char c) {
  tsr_buffer_append(buffer, &c, 1);
}

void tsr_buffer_printf(tsr_buffer *buffer, const char *format, ...) {
  va_list args;
  va_start(args, format);
  va_list again;
  va_copy(again, args);
  int size = vsnprintf(NULL, 0, format, args);
  if (size < 0) {
    buffer->failed = true;
  } else if (reserve(buffer, (size_t)size)) {
    (void)vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format,
                    again);
    buffer->size += (size_t)size;
  }
  va_end(again);
  va_end(args);
}

void tsr_buffer_append_json(tsr_buffer *buffer, const char *text, size_t size) {
  tsr_buffer_append_char(buffer, '"');
  for (size_t i = 0; i < size;) {
    unsigned char c = (unsigned char)text[i];
    uint32_t code;
    size_t length = tsr_utf8_decode(text + i, size - i, &code);
    if (length == 0) {
      tsr_buffer_append_string(buffer, "\\ufffd");
      length = 1;
    } else if (c == '"' || c == '\\') {
      tsr_buffer_append_char(buffer, '\\');
      tsr_buffer_append_char(buffer, (char)c);
    } else if (c == '\n') {
      tsr_buffer_append_string(buffer, "\\n");
    } else if (c == '\t') {
      tsr_buffer_append_string(buffer, "\\t");
    } else if (c < 0x20) {
      tsr_buffer_printf(buffer, "\\u%04x", c);
    } else {
      tsr_buffer_append(buffer, text + i, length);
    }
    i += length;
  }
  tsr_buffer_append_char(buffer, '"');
}

const char *tsr_buffer_text(const tsr_buffer *buffer) {
  return buffer->data == NULL ? "" : buffer->data;
}

tsr_status tsr_buffer_status(const tsr_buffer *buffer, tsr_error *error) {
  return buffer->failed ? tsr_error_out_of_memory(error) : TSR_OK;
}
