// SPDX-License-Identifier: Apache-2.0
// What the terminal can show: size, colours, widths of text; and numbers with
// units for people. Printing never depends on LC_NUMERIC.
#ifndef COMMON_TERMINAL_H_
#define COMMON_TERMINAL_H_

#include <stdio.h>

#include "base/buffer.h"

typedef enum tsr_color_when {
  TSR_COLOR_AUTO,
  TSR_COLOR_ALWAYS,
  TSR_COLOR_NEVER,
} tsr_color_when;

// AUTO: |stream| is a terminal, TERM is not "dumb", NO_COLOR is unset or empty.
bool tsr_terminal_color(FILE *stream, tsr_color_when when);
bool tsr_terminal_is_tty(FILE *stream);
// A terminal that understands cursor movements (not TERM=dumb).
bool tsr_terminal_can_draw(FILE *stream);
// Columns of the terminal; COLUMNS, or 80, where there is none. At least 20.
unsigned tsr_terminal_width(FILE *stream);
unsigned tsr_terminal_height(FILE *stream);  // LINES or 24; at least 5
// Whether the locale's character set is UTF-8 (after tsr_locale_init).
bool tsr_terminal_utf8(void);
// LC_CTYPE from the environment; numbers, dates and messages stay "C".
void tsr_locale_init(void);

typedef enum tsr_style {
  TSR_STYLE_NONE,
  TSR_STYLE_BOLD,
  TSR_STYLE_DIM,
  TSR_STYLE_ERROR,    // bold red
  TSR_STYLE_WARNING,  // bold magenta
  TSR_STYLE_GOOD,     // green
  TSR_STYLE_ACCENT,   // cyan
} tsr_style;

// The escape sequence, "" when |color| is false. NONE ends every style.
const char *tsr_style_code(bool color, tsr_style style);

// Cells that |size| bytes of UTF-8 take: combining 0, wide 2; a byte that is
// not UTF-8 takes 1.
size_t tsr_text_width(const char *text, size_t size);
// The longest prefix (bytes) of |text| that takes at most |cells| cells.
size_t tsr_text_fit(const char *text, size_t size, size_t cells);

// ---- Numbers for people; each returns |buffer|.
// ------------------------------

typedef struct tsr_number {
  char text[32];
} tsr_number;

tsr_number tsr_format_bytes(uint64_t bytes);     // "812 B", "1.75 MB" (10^6)
tsr_number tsr_format_rate(double bytes_per_s);  // "38.2 GB/s"
tsr_number tsr_format_seconds(double seconds);   // "1.25 ms", "3.4 s", "2m05s"
tsr_number tsr_format_count(uint64_t count);     // "12,345,678"
// "1 layer", "2 layers": nouns that take an s; at most 20 characters.
tsr_number tsr_format_plural(uint64_t count, const char *noun);

#endif  // COMMON_TERMINAL_H_
