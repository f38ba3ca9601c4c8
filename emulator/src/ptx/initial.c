// SPDX-License-Identifier: Apache-2.0
// Initial values of .global and .const variables (PTX ISA 5.4.4, 5.4.5):
// numbers, addresses, and bytes of addresses, flattened row by row.
#include <string.h>

#include "ptx/parser.h"

// --- One value --------------------------------------------------------------

static bool offset(tsr_ptx_parser *p, uint64_t *sum) {
  tsr_ptx_pos pos = p->token.pos;
  if (!tsr_ptx_at_mark(p, '+') && !tsr_ptx_at_mark(p, '-')) return true;
  tsr_ptx_value value;
  if (!tsr_ptx_constant(p, &value)) return false;
  if (value.kind != TSR_PTX_VALUE_INTEGER) {
    return tsr_ptx_fail(p, pos, "an address needs integers");
  }
  *sum += value.bits;
  return true;
}

// symbol, symbol+4, generic(symbol)+4, generic(symbol+4)
static bool symbol(tsr_ptx_parser *p, tsr_ptx_initial *out) {
  bool generic = tsr_ptx_at_name(p, "generic");
  if (!tsr_ptx_expect_name(p, "a value", &out->symbol)) return false;
  out->generic = generic && tsr_ptx_take_mark(p, '(');
  if (out->generic) {
    if (!tsr_ptx_expect_name(p, "a variable", &out->symbol) ||
        !offset(p, &out->bits) || !tsr_ptx_expect_mark(p, ')')) {
      return false;
    }
  }
  return offset(p, &out->bits);
}

static bool at_symbol(const tsr_ptx_parser *p) {
  return p->token.kind == TSR_PTX_TOKEN_NAME && !tsr_ptx_at_constant(p);
}

static uint64_t low_bits(uint64_t value, uint32_t bits) {
  return bits >= 64 ? value : value & ((UINT64_C(1) << bits) - 1);
}

// 0xFF00(symbol): the byte that the mask selects.
static bool masked(tsr_ptx_parser *p, tsr_ptx_pos pos, uint64_t mask,
                   tsr_ptx_initial *out) {
  uint8_t shift = 0;
  while (shift < 56 && mask >> shift != 0xff) shift = (uint8_t)(shift + 8);
  if (mask != UINT64_C(0xff) << shift) {
    return tsr_ptx_fail(p, pos, "a mask must be 0xFF, 0xFF00, ...");
  }
  tsr_ptx_advance(p);  // '('
  if (at_symbol(p)) {
    out->mask_shift = shift;
    out->mask_bits = 8;
    if (!symbol(p, out)) return false;
  } else {
    tsr_ptx_value value;
    if (!tsr_ptx_constant(p, &value)) return false;
    if (value.kind != TSR_PTX_VALUE_INTEGER) {
      return tsr_ptx_fail(p, pos, "a mask needs an integer or an address");
    }
    out->bits = value.bits >> shift & 0xff;
  }
  return tsr_ptx_expect_mark(p, ')');
}

static double double_of(tsr_ptx_value value) {
  double result;
  float narrow;
  uint32_t bits = (uint32_t)value.bits;
  switch (value.kind) {
    case TSR_PTX_VALUE_FLOAT32:
      memcpy(&narrow, &bits, sizeof(narrow));
      return (double)narrow;
    case TSR_PTX_VALUE_FLOAT64:
      memcpy(&result, &value.bits, sizeof(result));
      return result;
    default:
      return value.is_unsigned ? (double)value.bits
                               : (double)(int64_t)value.bits;
  }
}

// The bits of |value| as an element of |type|.
static bool convert(tsr_ptx_parser *p, tsr_ptx_pos pos, tsr_ptx_type type,
                    tsr_ptx_value value, uint64_t *out) {
  uint32_t bits = tsr_ptx_type_bits(type);
  if (type == TSR_PTX_F64) {
    double wide = double_of(value);
    memcpy(out, &wide, sizeof(wide));
    return true;
  }
  if (type == TSR_PTX_F32) {
    // A literal 0f keeps its bits, NaN's payload too.
    float narrow = (float)double_of(value);
    uint32_t narrow_bits;
    memcpy(&narrow_bits, &narrow, sizeof(narrow_bits));
    *out = value.kind == TSR_PTX_VALUE_FLOAT32 ? value.bits : narrow_bits;
    return true;
  }
  if (tsr_ptx_type_class(type) == TSR_PTX_KIND_FLOAT) {
    return tsr_ptx_fail(p, pos, "no initial value is allowed for type '.%s'",
                        tsr_ptx_type_name(type));
  }
  // Bits take a float of their width.
  bool same = (type == TSR_PTX_B32 && value.kind == TSR_PTX_VALUE_FLOAT32) ||
              (type == TSR_PTX_B64 && value.kind == TSR_PTX_VALUE_FLOAT64);
  if (value.kind != TSR_PTX_VALUE_INTEGER && !same) {
    return tsr_ptx_fail(p, pos, "type '.%s' needs an integer",
                        tsr_ptx_type_name(type));
  }
  *out = low_bits(value.bits, bits);
  return true;
}

static bool value(tsr_ptx_parser *p, tsr_ptx_type type, tsr_ptx_initial *out) {
  tsr_ptx_pos pos = out->pos = p->token.pos;
  tsr_ptx_value number;
  if (at_symbol(p)) {
    if (!symbol(p, out)) return false;
  } else {
    if (!tsr_ptx_constant(p, &number)) return false;
    bool mask = number.kind == TSR_PTX_VALUE_INTEGER && tsr_ptx_at_mark(p, '(');
    if (!mask) return convert(p, pos, type, number, &out->bits);
    if (!masked(p, pos, number.bits, out)) return false;
  }
  tsr_ptx_type_kind kind = tsr_ptx_type_class(type);
  bool fits = kind != TSR_PTX_KIND_FLOAT &&
              (out->symbol.size == 0 || out->mask_bits != 0 ||
               tsr_ptx_type_bits(type) >= 64);
  if (fits) return true;
  return tsr_ptx_fail(p, pos, "an address does not fit in type '.%s'",
                      tsr_ptx_type_name(type));
}

// --- Braces -----------------------------------------------------------------

// Sizes of the array's dimensions and, innermost, of the vector.
typedef struct shape {
  uint64_t size[TSR_PTX_MAX_DIMENSIONS + 1];
  uint64_t inner[TSR_PTX_MAX_DIMENSIONS + 1];  // elements of one entry
  uint32_t rank;
  tsr_ptx_type type;
} shape;

// Element |index|; those skipped are zero.
static bool place(tsr_ptx_parser *p, uint64_t index, tsr_ptx_type type) {
  while (p->initials.count <= index) {
    if (p->initial_budget == 0) {
      return tsr_ptx_fail(p, p->token.pos,
                          "initialisers hold more than %d values",
                          TSR_PTX_MAX_INITIALS);
    }
    --p->initial_budget;
    tsr_ptx_initial *zero = tsr_ptx_push(p, &p->initials);
    if (zero == NULL) return false;
    zero->pos = p->token.pos;
  }
  tsr_ptx_initial one = {0};
  if (!value(p, type, &one)) return false;
  ((tsr_ptx_initial *)(void *)p->initials.data)[index] = one;
  return true;
}

// "{...}" of dimension |level|, whose elements begin at |base|. Each dimension
// has its own braces, unlike in C. |*out_rows|: entries written.
static bool braces(tsr_ptx_parser *p, const shape *s, uint32_t level,
                   uint64_t base, uint64_t *out_rows) {
  uint64_t room = s->size[level] == 0 ? UINT64_MAX : s->size[level];
  uint64_t row = 0, ignored;
  bool innermost = level + 1 == s->rank;
  if (!tsr_ptx_take_open(p)) return tsr_ptx_expected(p, "'{'");
  if (tsr_ptx_at_mark(p, '}')) return tsr_ptx_expect_close(p);
  do {
    if (row == room) {
      return tsr_ptx_fail(p, p->token.pos, "more values than elements");
    }
    uint64_t at = base + row * s->inner[level];
    if (innermost ? !place(p, at, s->type)
                  : !braces(p, s, level + 1, at, &ignored)) {
      return false;
    }
    ++row;
  } while (tsr_ptx_take_mark(p, ','));
  *out_rows = row;
  return tsr_ptx_expect_close(p);
}

bool tsr_ptx_initialiser(tsr_ptx_parser *p, tsr_ptx_variable *variable,
                         uint64_t *dimensions, uint32_t rank) {
  shape s = {.type = variable->type};
  for (; s.rank < rank; ++s.rank) s.size[s.rank] = dimensions[s.rank];
  if (variable->vector > 1) s.size[s.rank++] = variable->vector;
  if (s.rank > 0) s.inner[s.rank - 1] = 1;
  for (uint32_t i = s.rank; i-- > 1;) {
    if (s.size[i] > TSR_PTX_MAX_OBJECT / s.inner[i]) {
      return tsr_ptx_fail(p, variable->pos, "'%.*s' is larger than 1 TiB",
                          (int)variable->name.size, variable->name.data);
    }
    s.inner[i - 1] = s.inner[i] * s.size[i];
  }
  p->initials.count = 0;
  uint64_t rows = 0;
  if (s.rank == 0 ? !place(p, 0, s.type) : !braces(p, &s, 0, 0, &rows)) {
    return false;
  }
  if (rank > 0 && dimensions[0] == 0) {
    if (rows == 0) return tsr_ptx_fail(p, variable->pos, "no values");
    dimensions[0] = rows;
  }
  const void *values;
  uint32_t count;
  if (!tsr_ptx_pop(p, &p->initials, 0, &values, &count)) return false;
  variable->initials = values;
  variable->initial_count = count;
  return true;
}
