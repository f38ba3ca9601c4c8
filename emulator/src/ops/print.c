// SPDX-License-Identifier: Apache-2.0
// Formats what device code prints. The compiler puts the arguments into a
// buffer, each at the alignment of its promoted type, and passes its address;
// each conversion is done by the host's printf with a format made of parts
// that were looked at, never with the kernel's own.
#include "ops/print.h"

#include <stdio.h>

#include "memory/access.h"

// More than that of a format or a string is cut off.
enum { TEXT_MAX = 4096, FIELD_MAX = 512 };

typedef struct printer {
  tsr_warp *warp;
  const tsr_op *op;
  uint32_t lane;
  uint64_t arguments;  // where the next one is looked for
  int32_t count;
  tsr_buffer *out;
  bool failed;
} printer;

static const unsigned char *look(printer *p, uint64_t address, uint32_t size) {
  const unsigned char *host =
      tsr_access_range(p->warp, p->op, p->lane, TSR_PTX_SPACE_NONE, address,
                       size, TSR_ACCESS_LOAD, TSR_PROXY_GENERIC);
  p->failed |= host == NULL;
  return host;
}

// A string of device memory into |text|.
static void read_text(printer *p, uint64_t address, char *text, size_t size) {
  size_t length = 0;
  const unsigned char *at;
  while (length + 1 < size && (at = look(p, address + length, 1)) != NULL &&
         *at != '\0') {
    text[length++] = (char)*at;
  }
  text[length] = '\0';
}

static uint64_t next_argument(printer *p, uint32_t size) {
  uint64_t value = 0;
  p->arguments = (p->arguments + size - 1) & ~(uint64_t)(size - 1);
  const unsigned char *at = look(p, p->arguments, size);
  if (at != NULL) memcpy(&value, at, size);
  p->arguments += size;
  ++p->count;
  return value;
}

// A conversion: "%-5.2lld" and where it ends.
typedef struct conversion {
  bool left, zero, plus, space, alternative;
  int width, precision;  // precision -1: none
  uint32_t size;         // of an integer: 1, 2, 4, 8
  char letter;
} conversion;

static int number(printer *p, const char **text) {
  if (**text == '*') {
    ++*text;
    int32_t value = (int32_t)(uint32_t)next_argument(p, 4);
    return value < -FIELD_MAX  ? -FIELD_MAX
           : value > FIELD_MAX ? FIELD_MAX
                               : value;
  }
  int value = 0;
  for (; **text >= '0' && **text <= '9'; ++*text) {
    value = value * 10 + (**text - '0');
    if (value > FIELD_MAX) value = FIELD_MAX;
  }
  return value;
}

static const char *read_flags(const char *text, conversion *c) {
  for (;; ++text) {
    switch (*text) {
      case '-':
        c->left = true;
        break;
      case '0':
        c->zero = true;
        break;
      case '+':
        c->plus = true;
        break;
      case ' ':
        c->space = true;
        break;
      case '#':
        c->alternative = true;
        break;
      default:
        return text;
    }
  }
}

static const char *read_conversion(printer *p, const char *text,
                                   conversion *c) {
  *c = (conversion){.precision = -1, .size = 4};
  text = read_flags(text, c);
  c->width = number(p, &text);
  if (c->width < 0) {
    c->left = true;
    c->width = -c->width;
  }
  if (*text == '.') {
    ++text;
    c->precision = number(p, &text);
  }
  for (; *text != '\0' && strchr("hljzt", *text) != NULL; ++text) {
    c->size = *text == 'h' ? c->size / 2 : 8;
  }
  if (c->size == 0) c->size = 1;
  c->letter = *text;
  return *text != '\0' ? text + 1 : text;
}

static void make_format(const conversion *c, const char *length, char *format,
                        size_t size) {
  char precision[16] = "";
  if (c->precision >= 0) {
    (void)snprintf(precision, sizeof(precision), ".%d", c->precision);
  }
  (void)snprintf(format, size, "%%%s%s%s%s%s%.0d%s%s%c", c->left ? "-" : "",
                 c->zero ? "0" : "", c->plus ? "+" : "", c->space ? " " : "",
                 c->alternative ? "#" : "", c->width, precision, length,
                 c->letter);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void print_integer(printer *p, const conversion *c, const char *format) {
  uint64_t value = next_argument(p, c->size == 8 ? 8 : 4);
  bool is_signed = c->letter == 'd' || c->letter == 'i';
  uint32_t shift = 64 - 8 * c->size;
  value <<= shift;
  value = is_signed ? (uint64_t)((int64_t)value >> shift) : value >> shift;
  tsr_buffer_printf(p->out, format, (unsigned long long)value);
}

static void print(printer *p, const conversion *c) {
  char format[64], text[TEXT_MAX];
  switch (c->letter) {
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      make_format(c, "ll", format, sizeof(format));
      print_integer(p, c, format);
      return;
    case 'c':
      make_format(c, "", format, sizeof(format));
      tsr_buffer_printf(p->out, format, (int)(next_argument(p, 4) & 0xff));
      return;
    case 'p':
      make_format(c, "", format, sizeof(format));
      tsr_buffer_printf(p->out, format, (void *)(uintptr_t)next_argument(p, 8));
      return;
    case 's':
      make_format(c, "", format, sizeof(format));
      read_text(p, next_argument(p, 8), text, sizeof(text));
      tsr_buffer_printf(p->out, format, text);
      return;
    default: {
      uint64_t bits = next_argument(p, 8);
      double value;
      memcpy(&value, &bits, sizeof(value));
      make_format(c, "", format, sizeof(format));
      tsr_buffer_printf(p->out, format, value);
    }
  }
}
#pragma GCC diagnostic pop

bool tsr_print(tsr_warp *warp, const tsr_op *op, uint32_t lane, uint64_t format,
               uint64_t arguments, tsr_buffer *out, int32_t *out_result) {
  printer p = {
      .warp = warp, .op = op, .lane = lane, .arguments = arguments, .out = out};
  *out_result = -1;
  if (format == 0) return true;
  char text[TEXT_MAX];
  read_text(&p, format, text, sizeof(text));
  for (const char *at = text; *at != '\0' && !p.failed;) {
    if (*at != '%') {
      tsr_buffer_append_char(out, *at++);
      continue;
    }
    conversion c;
    const char *start = at;
    at = read_conversion(&p, at + 1, &c);
    if (c.letter != '\0' && strchr("diuoxXcpsfFeEgGaA", c.letter) != NULL) {
      print(&p, &c);
    } else if (c.letter == '%') {
      tsr_buffer_append_char(out, '%');
    } else {  // as it stands
      tsr_buffer_append(out, start, (size_t)(at - start));
    }
  }
  *out_result = p.count;
  return !p.failed;
}
