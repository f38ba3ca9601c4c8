// SPDX-License-Identifier: Apache-2.0
// Constant expressions (PTX ISA 4.5): C's operators over 64-bit integers and
// doubles, by precedence climbing. Overflow wraps; what has no value (division
// by zero, a shift of a float) is a mistake.
#include <math.h>
#include <string.h>

#include "ptx/parser.h"

enum { WARP_SIZE = 32, TERNARY_LEVEL = 1, UNARY_LEVEL = 12 };

static double as_double(tsr_ptx_value value) {
  double result;
  if (value.kind == TSR_PTX_VALUE_FLOAT32) {
    float narrow;
    uint32_t bits = (uint32_t)value.bits;
    memcpy(&narrow, &bits, sizeof(narrow));
    return (double)narrow;
  }
  if (value.kind == TSR_PTX_VALUE_INTEGER) {
    return value.is_unsigned ? (double)value.bits : (double)(int64_t)value.bits;
  }
  memcpy(&result, &value.bits, sizeof(result));
  return result;
}

static tsr_ptx_value from_double(double number) {
  tsr_ptx_value value = {.kind = TSR_PTX_VALUE_FLOAT64};
  memcpy(&value.bits, &number, sizeof(number));
  return value;
}

static tsr_ptx_value from_integer(uint64_t bits, bool is_unsigned) {
  return (tsr_ptx_value){TSR_PTX_VALUE_INTEGER, is_unsigned, bits};
}

static bool is_true(tsr_ptx_value value) {
  if (value.kind == TSR_PTX_VALUE_INTEGER) return value.bits != 0;
  return fpclassify(as_double(value)) != FP_ZERO;
}

// --- Binary operators -------------------------------------------------------

// C's levels; 0: not a binary operator.
static uint32_t level_of(const tsr_ptx_token *token) {
  if (token->kind != TSR_PTX_TOKEN_MARK) return 0;
  switch (token->mark) {
    case '?':
      return TERNARY_LEVEL;
    case TSR_PTX_MARK2('|', '|'):
      return 2;
    case TSR_PTX_MARK2('&', '&'):
      return 3;
    case '|':
      return 4;
    case '^':
      return 5;
    case '&':
      return 6;
    case TSR_PTX_MARK2('=', '='):
    case TSR_PTX_MARK2('!', '='):
      return 7;
    case '<':
    case '>':
    case TSR_PTX_MARK2('<', '='):
    case TSR_PTX_MARK2('>', '='):
      return 8;
    case TSR_PTX_MARK2('<', '<'):
    case TSR_PTX_MARK2('>', '>'):
      return 9;
    case '+':
    case '-':
      return 10;
    case '*':
    case '/':
    case '%':
      return 11;
    default:
      return 0;
  }
}

static bool divide(tsr_ptx_parser *p, tsr_ptx_pos pos, bool remainder,
                   bool is_unsigned, uint64_t a, uint64_t b, uint64_t *out) {
  if (b == 0) return tsr_ptx_fail(p, pos, "a division by zero");
  if (is_unsigned) {
    *out = remainder ? a % b : a / b;
  } else if (b == UINT64_MAX) {  // INT64_MIN / -1 wraps
    *out = remainder ? 0 : 0 - a;
  } else {
    int64_t x = (int64_t)a, y = (int64_t)b;
    *out = (uint64_t)(remainder ? x % y : x / y);
  }
  return true;
}

// The count is taken as unsigned; 64 and more shift everything out.
static uint64_t shift(uint16_t mark, bool is_unsigned, uint64_t a, uint64_t b) {
  bool left = mark == TSR_PTX_MARK2('<', '<');
  uint64_t fill = !left && !is_unsigned && (a >> 63) != 0 ? UINT64_MAX : 0;
  if (b >= 64) return fill;
  if (left) return a << b;
  return b == 0 ? a : (a >> b) | (fill << (64 - b));
}

static bool compare(uint16_t mark, int order) {
  switch (mark) {
    case '<':
      return order < 0;
    case '>':
      return order > 0;
    case TSR_PTX_MARK2('<', '='):
      return order <= 0;
    case TSR_PTX_MARK2('>', '='):
      return order >= 0;
    case TSR_PTX_MARK2('=', '='):
      return order == 0;
    default:
      return order != 0;
  }
}

static int order_of(bool is_unsigned, uint64_t a, uint64_t b) {
  if (is_unsigned) return (a > b) - (a < b);
  return ((int64_t)a > (int64_t)b) - ((int64_t)a < (int64_t)b);
}

static bool combine_integers(tsr_ptx_parser *p, const tsr_ptx_token *op,
                             tsr_ptx_value a, tsr_ptx_value b,
                             tsr_ptx_value *out) {
  bool is_unsigned = a.is_unsigned || b.is_unsigned;
  uint64_t x = a.bits, y = b.bits;
  uint64_t result = 0;
  switch (op->mark) {
    case '+':
      result = x + y;
      break;
    case '-':
      result = x - y;
      break;
    case '*':
      result = x * y;
      break;
    case '/':
    case '%':
      if (!divide(p, op->pos, op->mark == '%', is_unsigned, x, y, &result)) {
        return false;
      }
      break;
    case '&':
    case '|':
    case '^':
      result = op->mark == '&' ? x & y : op->mark == '|' ? x | y : x ^ y;
      break;
    case TSR_PTX_MARK2('<', '<'):
    case TSR_PTX_MARK2('>', '>'):
      is_unsigned = a.is_unsigned;
      result = shift(op->mark, is_unsigned, x, y);
      break;
    default:
      result = compare(op->mark, order_of(is_unsigned, x, y));
      is_unsigned = false;
      break;
  }
  *out = from_integer(result, is_unsigned);
  return true;
}

static bool combine_floats(tsr_ptx_parser *p, const tsr_ptx_token *op, double x,
                           double y, tsr_ptx_value *out) {
  switch (op->mark) {
    case '+':
      *out = from_double(x + y);
      return true;
    case '-':
      *out = from_double(x - y);
      return true;
    case '*':
      *out = from_double(x * y);
      return true;
    case '/':
      *out = from_double(x / y);
      return true;
    default:
      break;
  }
  uint32_t level = level_of(op);
  if (level != 7 && level != 8) {
    return tsr_ptx_fail(p, op->pos, "operator '%.*s' needs integers",
                        (int)op->text.size, op->text.data);
  }
  bool unordered = isnan(x) || isnan(y);
  int order = (x > y) - (x < y);
  bool result = unordered ? op->mark == TSR_PTX_MARK2('!', '=')
                          : compare(op->mark, order);
  *out = from_integer(result, false);
  return true;
}

static bool combine(tsr_ptx_parser *p, const tsr_ptx_token *op, tsr_ptx_value a,
                    tsr_ptx_value b, tsr_ptx_value *out) {
  if (op->mark == TSR_PTX_MARK2('&', '&') ||
      op->mark == TSR_PTX_MARK2('|', '|')) {
    bool x = is_true(a), y = is_true(b);
    bool both = op->mark == TSR_PTX_MARK2('&', '&');
    *out = from_integer(both ? x && y : x || y, false);
    return true;
  }
  if (a.kind == TSR_PTX_VALUE_INTEGER && b.kind == TSR_PTX_VALUE_INTEGER) {
    return combine_integers(p, op, a, b, out);
  }
  return combine_floats(p, op, as_double(a), as_double(b), out);
}

// --- Operands ---------------------------------------------------------------

static bool expression(tsr_ptx_parser *p, uint32_t least, tsr_ptx_value *out);

static bool negate(tsr_ptx_value *value) {
  if (value->kind == TSR_PTX_VALUE_INTEGER) {
    value->bits = 0 - value->bits;
  } else if (value->kind == TSR_PTX_VALUE_FLOAT32) {
    value->bits ^= UINT64_C(1) << 31;
  } else {
    value->bits ^= UINT64_C(1) << 63;
  }
  return true;
}

static bool apply_unary(tsr_ptx_parser *p, const tsr_ptx_token *op,
                        tsr_ptx_value *value) {
  if (op->mark == '+') return true;
  if (op->mark == '-') return negate(value);
  if (op->mark == '!') {
    *value = from_integer(!is_true(*value), false);
    return true;
  }
  if (value->kind != TSR_PTX_VALUE_INTEGER) {
    return tsr_ptx_fail(p, op->pos, "operator '~' needs an integer");
  }
  *value = from_integer(~value->bits, true);
  return true;
}

// Behind '(': a cast's type and operand, or an expression; both with ')'.
static bool parenthesised(tsr_ptx_parser *p, tsr_ptx_value *out) {
  bool to_signed = tsr_ptx_at_dotted(p, "s64");
  if (!to_signed && !tsr_ptx_at_dotted(p, "u64")) {
    return expression(p, TERNARY_LEVEL, out) && tsr_ptx_expect_mark(p, ')');
  }
  tsr_ptx_pos pos = p->token.pos;
  tsr_ptx_advance(p);
  if (!tsr_ptx_expect_mark(p, ')') || !expression(p, UNARY_LEVEL, out)) {
    return false;
  }
  if (out->kind != TSR_PTX_VALUE_INTEGER) {
    return tsr_ptx_fail(p, pos, "a cast needs an integer");
  }
  out->is_unsigned = !to_signed;
  return true;
}

static bool literal(tsr_ptx_parser *p, tsr_ptx_value *out) {
  const tsr_ptx_token *token = &p->token;
  switch (token->kind) {
    case TSR_PTX_TOKEN_INTEGER:
      *out = from_integer(token->value, token->is_unsigned);
      break;
    case TSR_PTX_TOKEN_FLOAT32:
      *out = (tsr_ptx_value){TSR_PTX_VALUE_FLOAT32, false, token->value};
      break;
    case TSR_PTX_TOKEN_FLOAT64:
      *out = (tsr_ptx_value){TSR_PTX_VALUE_FLOAT64, false, token->value};
      break;
    default:
      if (!tsr_ptx_at_name(p, "WARP_SZ")) {
        return tsr_ptx_expected(p, "a constant");
      }
      *out = from_integer(WARP_SIZE, false);
      break;
  }
  tsr_ptx_advance(p);
  return true;
}

static bool unary(tsr_ptx_parser *p, tsr_ptx_value *out) {
  tsr_ptx_token op = p->token;
  if (op.kind != TSR_PTX_TOKEN_MARK) return literal(p, out);
  switch (op.mark) {
    case '+':
    case '-':
    case '~':
    case '!':
      tsr_ptx_advance(p);
      return expression(p, UNARY_LEVEL, out) && apply_unary(p, &op, out);
    case '(':
      tsr_ptx_advance(p);
      return parenthesised(p, out);
    default:
      return tsr_ptx_expected(p, "a constant");
  }
}

// Behind "a ?".
static bool ternary(tsr_ptx_parser *p, tsr_ptx_value *value) {
  tsr_ptx_value yes, no;
  if (!expression(p, TERNARY_LEVEL, &yes) || !tsr_ptx_expect_mark(p, ':') ||
      !expression(p, TERNARY_LEVEL, &no)) {
    return false;
  }
  bool choose = is_true(*value);
  bool integers =
      yes.kind == TSR_PTX_VALUE_INTEGER && no.kind == TSR_PTX_VALUE_INTEGER;
  bool is_unsigned = integers && (yes.is_unsigned || no.is_unsigned);
  *value = choose ? yes : no;
  value->is_unsigned = is_unsigned;
  return true;
}

static bool operators(tsr_ptx_parser *p, uint32_t least, tsr_ptx_value *out) {
  if (!unary(p, out)) return false;
  for (;;) {
    tsr_ptx_token op = p->token;
    uint32_t level = level_of(&op);
    if (level == 0 || level < least) return true;
    tsr_ptx_advance(p);
    if (level == TERNARY_LEVEL) return ternary(p, out);
    tsr_ptx_value right;
    if (!expression(p, level + 1, &right) ||
        !combine(p, &op, *out, right, out)) {
      return false;
    }
  }
}

static bool expression(tsr_ptx_parser *p, uint32_t least, tsr_ptx_value *out) {
  if (p->depth >= TSR_PTX_MAX_DEPTH) {
    return tsr_ptx_fail(p, p->token.pos, "an expression nested too deeply");
  }
  ++p->depth;
  bool good = operators(p, least, out);
  --p->depth;
  return good;
}

bool tsr_ptx_constant(tsr_ptx_parser *p, tsr_ptx_value *out_value) {
  return expression(p, TERNARY_LEVEL, out_value);
}

bool tsr_ptx_at_constant(const tsr_ptx_parser *p) {
  switch (p->token.kind) {
    case TSR_PTX_TOKEN_INTEGER:
    case TSR_PTX_TOKEN_FLOAT32:
    case TSR_PTX_TOKEN_FLOAT64:
      return true;
    case TSR_PTX_TOKEN_MARK:
      return p->token.mark == '-' || p->token.mark == '+' ||
             p->token.mark == '~' || p->token.mark == '(';
    default:
      return tsr_ptx_at_name(p, "WARP_SZ");
  }
}

bool tsr_ptx_bounded(tsr_ptx_parser *p, const char *what, uint64_t least,
                     uint64_t most, uint64_t *out_value) {
  tsr_ptx_pos pos = p->token.pos;
  tsr_ptx_value value;
  if (!tsr_ptx_at_constant(p)) return tsr_ptx_expected(p, what);
  if (!tsr_ptx_constant(p, &value)) return false;
  bool negative = !value.is_unsigned && (int64_t)value.bits < 0;
  if (value.kind != TSR_PTX_VALUE_INTEGER || negative || value.bits < least ||
      value.bits > most) {
    return tsr_ptx_fail(p, pos, "%s must be an integer from %llu to %llu", what,
                        (unsigned long long)least, (unsigned long long)most);
  }
  *out_value = value.bits;
  return true;
}
