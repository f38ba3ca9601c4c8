// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

typedef struct range {
  uint32_t first;
  uint32_t last;
} range;

// Unicode 15.0, coarse: the blocks of combining marks, and of characters that
// UAX 11 calls wide. A caret under a rare script may be a cell off.
static const range zero_width[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489},   {0x0591, 0x05bd}, {0x0610, 0x061a},
    {0x064b, 0x065f}, {0x0e31, 0x0e31},   {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},
    {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},   {0x200b, 0x200f}, {0x202a, 0x202e},
    {0x2060, 0x2064}, {0x20d0, 0x20ff},   {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    {0xfeff, 0xfeff}, {0xe0100, 0xe01ef},
};
static const range double_width[] = {
    {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
    {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},
    {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
    {0x20000, 0x3fffd},
};

static int in_ranges(uint32_t code, const range *ranges, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (code >= ranges[i].first && code <= ranges[i].last) return 1;
  }
  return 0;
}

uint32_t tsr_utf8_width(uint32_t code) {
  if (code < 0x300) return 1;
  if (in_ranges(code, zero_width, sizeof(zero_width) / sizeof(range))) return 0;
  if (in_ranges(code, double_width, sizeof(double_width) / sizeof(range))) {
    return 2;
  }
  return 1;
}

uint32_t tsr_utf8_decode(const char *text, size_t size, uint32_t *out_code) {
  static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  *out_code = 0xfffd;
  if (size == 0) return 0;
  uint32_t lead = (unsigned char)text[0];
  if (lead < 0x80) {
    *out_code = lead;
    return 1;
  }
  uint32_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || length > size) return 0;
  uint32_t code = lead & (0x7fu >> length);
  for (uint32_t i = 1; i < length; ++i) {
    uint32_t next = (unsigned char)text[i];
    if ((next & 0xc0) != 0x80) return 0;
    code = code << 6 | (next & 0x3f);
  }
  if (code < smallest[length] || code > 0x10ffff ||
      (code >= 0xd800 && code <= 0xdfff)) {
    return 0;
  }
  *out_code = code;
  return length;
}

size_t tsr_utf8_find_invalid(const char *text, size_t size) {
  size_t offset = 0;
  while (offset < size) {
    uint32_t code;
    uint32_t length = tsr_utf8_decode(text + offset, size - offset, &code);
    if (length == 0) break;
    offset += length;
  }
  return offset;
}

uint32_t tsr_utf8_advance(const char *text, size_t size, uint32_t column) {
  for (size_t offset = 0; offset < size;) {
    uint32_t code;
    uint32_t length = tsr_utf8_decode(text + offset, size - offset, &code);
    if (code == '\t') {
      column += TSR_TAB_STOP - column % TSR_TAB_STOP;
    } else {
      column += tsr_utf8_width(code);
    }
    offset += length == 0 ? 1 : length;
  }
  return column;
}
