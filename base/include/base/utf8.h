// SPDX-License-Identifier: Apache-2.0
// UTF-8 for people who look at carets: decoding and display width, without the
// C locale (a plan prints the same everywhere).
#ifndef BASE_UTF8_H_
#define BASE_UTF8_H_

#include <stddef.h>
#include <stdint.h>

enum { TSR_TAB_STOP = 8 };

// Decodes the character at |text|. Returns its length in bytes, or 0 when the
// bytes are not UTF-8 (overlong forms and surrogates included).
uint32_t tsr_utf8_decode(const char *text, size_t size, uint32_t *out_code);

// Offset of the first byte that is not UTF-8; |size| when all is well.
size_t tsr_utf8_find_invalid(const char *text, size_t size);

// Cells that a character takes: 0 (combining), 1 or 2 (East Asian wide).
uint32_t tsr_utf8_width(uint32_t code);

// The column (0-based) after showing |text| from |column| on.
uint32_t tsr_utf8_advance(const char *text, size_t size, uint32_t column);

#endif  // BASE_UTF8_H_
