// SPDX-License-Identifier: Apache-2.0
#include "common/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"

void tsr_locale_init(void) {
  (void)setlocale(LC_CTYPE, "");
}

bool tsr_terminal_utf8(void) {
  return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

bool tsr_terminal_is_tty(FILE *stream) {
  return isatty(fileno(stream)) == 1;
}

bool tsr_terminal_can_draw(FILE *stream) {
  const char *term = getenv("TERM");
  return term != NULL && strcmp(term, "dumb") != 0 &&
         tsr_terminal_is_tty(stream);
}

bool tsr_terminal_color(FILE *stream, tsr_color_when when) {
  if (when != TSR_COLOR_AUTO) return when == TSR_COLOR_ALWAYS;
  const char *no_color = getenv("NO_COLOR");
  if (no_color != NULL && no_color[0] != '\0') return false;
  return tsr_terminal_can_draw(stream);
}

static unsigned from_environment(const char *name, unsigned fallback) {
  const char *text = getenv(name);
  if (text == NULL) return fallback;
  unsigned long value = strtoul(text, NULL, 10);
  return value == 0 || value > 10000 ? fallback : (unsigned)value;
}

static bool window(FILE *stream, struct winsize *out_size) {
  memset(out_size, 0, sizeof(*out_size));
  return ioctl(fileno(stream), TIOCGWINSZ, out_size) == 0 &&
         out_size->ws_col != 0;
}

unsigned tsr_terminal_width(FILE *stream) {
  struct winsize size;
  unsigned width =
      window(stream, &size) ? size.ws_col : from_environment("COLUMNS", 80);
  return width < 20 ? 20 : width;
}

unsigned tsr_terminal_height(FILE *stream) {
  struct winsize size;
  unsigned height = window(stream, &size) && size.ws_row != 0
                        ? size.ws_row
                        : from_environment("LINES", 24);
  return height < 5 ? 5 : height;
}

const char *tsr_style_code(bool color, tsr_style style) {
  static const char *const codes[] = {
      "\033[0m",    "\033[1m",  "\033[2m",  "\033[1;31m",
      "\033[1;35m", "\033[32m", "\033[36m",
  };
  return color ? codes[style] : "";
}

size_t tsr_text_fit(const char *text, size_t size, size_t cells) {
  size_t used = 0;
  size_t i = 0;
  while (i < size) {
    uint32_t code;
    size_t length = tsr_utf8_decode(text + i, size - i, &code);
    size_t here = tsr_utf8_width(code);
    if (used + here > cells) break;
    used += here;
    i += length == 0 ? 1 : length;
  }
  return i;
}

size_t tsr_text_width(const char *text, size_t size) {
  size_t width = 0;
  for (size_t i = 0; i < size;) {
    uint32_t code;
    size_t length = tsr_utf8_decode(text + i, size - i, &code);
    width += tsr_utf8_width(code);
    i += length == 0 ? 1 : length;
  }
  return width;
}

// ---- Numbers ----------------------------------------------------------------

// Three significant digits.
static void scaled(double value, const char *unit, tsr_number *out) {
  int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  (void)snprintf(out->text, sizeof(out->text), "%.*f %s", digits, value, unit);
}

static tsr_number decimal(double value, const char *const *units) {
  tsr_number number;
  size_t unit = 0;
  while (value >= 999.5 && unit < 4) {
    value /= 1000;
    ++unit;
  }
  scaled(value, units[unit], &number);
  return number;
}

tsr_number tsr_format_bytes(uint64_t bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  tsr_number number;
  if (bytes >= 1000) return decimal((double)bytes, units);
  (void)snprintf(number.text, sizeof(number.text), "%u B", (unsigned)bytes);
  return number;
}

tsr_number tsr_format_rate(double bytes_per_s) {
  static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
  return decimal(bytes_per_s, units);
}

tsr_number tsr_format_seconds(double seconds) {
  tsr_number number;
  if (seconds >= 99.95) {
    unsigned long long whole = (unsigned long long)(seconds + 0.5);
    if (whole < 3600) {
      (void)snprintf(number.text, sizeof(number.text), "%llum%02llus",
                     whole / 60, whole % 60);
    } else {
      (void)snprintf(number.text, sizeof(number.text), "%lluh%02llum",
                     whole / 3600, whole % 3600 / 60);
    }
  } else if (seconds >= 0.9995) {
    scaled(seconds, "s", &number);
  } else if (seconds >= 0.9995e-3) {
    scaled(seconds * 1e3, "ms", &number);
  } else if (seconds >= 0.9995e-6) {
    scaled(seconds * 1e6, "us", &number);
  } else {
    scaled(seconds * 1e9, "ns", &number);
  }
  return number;
}

tsr_number tsr_format_count(uint64_t count) {
  char digits[24];
  tsr_number number;
  size_t size = (size_t)snprintf(digits, sizeof(digits), "%llu",
                                 (unsigned long long)count);
  size_t used = 0;
  for (size_t i = 0; i < size; ++i) {
    if (i != 0 && (size - i) % 3 == 0) number.text[used++] = ',';
    number.text[used++] = digits[i];
  }
  number.text[used] = '\0';
  return number;
}

tsr_number tsr_format_plural(uint64_t count, const char *noun) {
  tsr_number number;
  (void)snprintf(number.text, sizeof(number.text), "%llu %s%s",
                 (unsigned long long)count, noun, count == 1 ? "" : "s");
  return number;
}
