// SPDX-License-Identifier: Apache-2.0
// Instructions and their operands (PTX ISA 4.3.2, 6). Operands are built on a
// stack and moved to the arena innermost first, so nesting copies nothing
// twice.
#include <string.h>

#include "ptx/parser.h"

static bool operand(tsr_ptx_parser *p, uint32_t depth, bool tuples);

static tsr_ptx_operand *push_operand(tsr_ptx_parser *p,
                                     tsr_ptx_operand_kind kind,
                                     tsr_ptx_pos pos) {
  tsr_ptx_operand *place = tsr_ptx_push(p, &p->operands);
  if (place != NULL) {
    place->kind = kind;
    place->pos = pos;
  }
  return place;
}

static tsr_ptx_operand *operand_at(tsr_ptx_parser *p, size_t index) {
  return (tsr_ptx_operand *)(void *)p->operands.data + index;
}

// The operands from |first| on become the items of operand |first - 1|.
static bool adopt(tsr_ptx_parser *p, size_t first) {
  const void *items;
  uint32_t count;
  if (!tsr_ptx_pop(p, &p->operands, first, &items, &count)) return false;
  tsr_ptx_operand *parent = operand_at(p, first - 1);
  parent->items = items;
  parent->item_count = count;
  return true;
}

// "a, b" up to |close|, which is not taken.
static bool operand_list(tsr_ptx_parser *p, uint16_t close, uint32_t depth,
                         bool tuples) {
  size_t first = p->operands.count;
  if (tsr_ptx_at_mark(p, close)) return true;
  do {
    if (p->operands.count - first >= TSR_PTX_MAX_ITEMS) {
      return tsr_ptx_fail(p, p->token.pos, "more than %d operands",
                          TSR_PTX_MAX_ITEMS);
    }
    if (!operand(p, depth, tuples)) return false;
  } while (tsr_ptx_take_mark(p, ','));
  return true;
}

static bool vector(tsr_ptx_parser *p, uint32_t depth) {
  if (push_operand(p, TSR_PTX_VECTOR, p->token.pos) == NULL) return false;
  size_t first = p->operands.count;
  (void)tsr_ptx_take_open(p);
  return operand_list(p, '}', depth + 1, false) && tsr_ptx_expect_close(p) &&
         adopt(p, first);
}

static bool tuple(tsr_ptx_parser *p, uint32_t depth) {
  if (push_operand(p, TSR_PTX_TUPLE, p->token.pos) == NULL) return false;
  size_t first = p->operands.count;
  tsr_ptx_advance(p);
  return operand_list(p, ')', depth + 1, false) &&
         tsr_ptx_expect_mark(p, ')') && adopt(p, first);
}

static bool integer_constant(tsr_ptx_parser *p, uint64_t *out) {
  tsr_ptx_pos pos = p->token.pos;
  tsr_ptx_value value;
  if (!tsr_ptx_constant(p, &value)) return false;
  if (value.kind != TSR_PTX_VALUE_INTEGER) {
    return tsr_ptx_fail(p, pos, "an address needs integers");
  }
  *out = value.bits;
  return true;
}

// "+4", "-4", "+-4" behind a name: part of the sum that |*out| becomes.
static bool offset(tsr_ptx_parser *p, uint64_t *out) {
  if (tsr_ptx_at_mark(p, '-')) return integer_constant(p, out);
  return !tsr_ptx_take_mark(p, '+') || integer_constant(p, out);
}

static bool address(tsr_ptx_parser *p, uint32_t depth) {
  tsr_ptx_operand *place = push_operand(p, TSR_PTX_ADDRESS, p->token.pos);
  if (place == NULL) return false;
  size_t first = p->operands.count;
  tsr_ptx_advance(p);
  if (tsr_ptx_at_constant(p)) {
    if (!integer_constant(p, &place->integer)) return false;
  } else if (!tsr_ptx_expect_name(p, "an address", &place->name) ||
             !offset(p, &place->integer)) {
    return false;
  }
  if (tsr_ptx_take_mark(p, ',') && !operand_list(p, ']', depth + 1, false)) {
    return false;
  }
  return tsr_ptx_expect_mark(p, ']') && adopt(p, first);
}

static bool immediate(tsr_ptx_parser *p) {
  tsr_ptx_operand *place = push_operand(p, TSR_PTX_INTEGER, p->token.pos);
  tsr_ptx_value value;
  if (place == NULL || !tsr_ptx_constant(p, &value)) return false;
  place->integer = value.bits;
  if (value.kind == TSR_PTX_VALUE_INTEGER) {
    place->is_signed = !value.is_unsigned;
  } else {
    place->kind =
        value.kind == TSR_PTX_VALUE_FLOAT32 ? TSR_PTX_FLOAT32 : TSR_PTX_FLOAT64;
  }
  return true;
}

// ".x" right behind a name; r, g, b, a are x, y, z, w (6.4.3).
static void component(tsr_ptx_parser *p, tsr_ptx_operand *place) {
  static const char letters[] = "xyzwrgba";
  const tsr_ptx_token *token = &p->token;
  if (token->kind != TSR_PTX_TOKEN_DOTTED || token->text.size != 1) return;
  const char *found = strchr(letters, *token->text.data);
  if (found == NULL) return;
  place->component = letters[(found - letters) % 4];
  tsr_ptx_advance(p);
}

static bool name(tsr_ptx_parser *p, bool negated) {
  tsr_ptx_operand *place = push_operand(p, TSR_PTX_NAME, p->token.pos);
  if (place == NULL) return false;
  place->negated = negated;
  if (!tsr_ptx_expect_name(p, "an operand", &place->name)) return false;
  component(p, place);
  return negated || offset(p, &place->integer);
}

static bool sink(tsr_ptx_parser *p) {
  if (push_operand(p, TSR_PTX_SINK, p->token.pos) == NULL) return false;
  tsr_ptx_advance(p);
  return true;
}

// '!' in front of a name negates a predicate; else it is C's operator.
static bool negation(tsr_ptx_parser *p) {
  tsr_ptx_parser before = *p;
  tsr_ptx_advance(p);
  bool is_name = p->token.kind == TSR_PTX_TOKEN_NAME && !tsr_ptx_at_constant(p);
  if (is_name) return name(p, true);
  p->lexer = before.lexer;
  p->token = before.token;
  p->previous = before.previous;
  p->previous_end = before.previous_end;
  return immediate(p);
}

static bool single(tsr_ptx_parser *p, uint32_t depth, bool tuples) {
  if (tsr_ptx_at_mark(p, '{')) return vector(p, depth);
  if (tsr_ptx_at_mark(p, '[')) return address(p, depth);
  if (tuples && tsr_ptx_at_mark(p, '(')) return tuple(p, depth);
  if (tsr_ptx_at_mark(p, '!')) return negation(p);
  if (tsr_ptx_at_name(p, "_")) return sink(p);
  if (tsr_ptx_at_constant(p)) return immediate(p);
  if (p->token.kind == TSR_PTX_TOKEN_NAME) return name(p, false);
  return tsr_ptx_expected(p, "an operand");
}

// "a|b": the first was pushed already.
static bool pair(tsr_ptx_parser *p, uint32_t depth) {
  tsr_ptx_operand left = *operand_at(p, p->operands.count - 1);
  --p->operands.count;
  if (push_operand(p, TSR_PTX_PAIR, left.pos) == NULL) return false;
  size_t first = p->operands.count;
  tsr_ptx_operand *place = tsr_ptx_push(p, &p->operands);
  if (place == NULL) return false;
  *place = left;
  return single(p, depth + 1, false) && adopt(p, first);
}

// Pushes one operand.
static bool operand(tsr_ptx_parser *p, uint32_t depth, bool tuples) {
  if (depth >= TSR_PTX_MAX_OPERAND_DEPTH) {
    return tsr_ptx_fail(p, p->token.pos, "operands nested too deeply");
  }
  if (!single(p, depth, tuples)) return false;
  return !tsr_ptx_take_mark(p, '|') || pair(p, depth);
}

// --- Instructions -----------------------------------------------------------

// "@p", "@!p".
static bool guard(tsr_ptx_parser *p, tsr_ptx_instruction *out) {
  if (!tsr_ptx_take_mark(p, '@')) return true;
  out->guard_negated = tsr_ptx_take_mark(p, '!');
  out->guard_pos = p->token.pos;
  return tsr_ptx_expect_name(p, "a predicate", &out->guard);
}

static bool modifiers(tsr_ptx_parser *p, tsr_ptx_instruction *out) {
  while (p->token.kind == TSR_PTX_TOKEN_DOTTED) {
    if (p->modifiers.count >= TSR_PTX_MAX_MODIFIERS) {
      return tsr_ptx_fail(p, p->token.pos, "more than %d modifiers",
                          TSR_PTX_MAX_MODIFIERS);
    }
    tsr_ptx_modifier *place = tsr_ptx_push(p, &p->modifiers);
    if (place == NULL) return false;
    *place = (tsr_ptx_modifier){p->token.text, p->token.pos};
    tsr_ptx_advance(p);
  }
  const void *all;
  if (!tsr_ptx_pop(p, &p->modifiers, 0, &all, &out->modifier_count)) {
    return false;
  }
  out->modifiers = all;
  return true;
}

bool tsr_ptx_instruction_parse(tsr_ptx_parser *p, tsr_ptx_instruction *out) {
  *out = (tsr_ptx_instruction){.pos = p->token.pos};
  p->operands.count = p->modifiers.count = 0;
  if (!guard(p, out)) return false;
  out->pos = p->token.pos;
  if (!tsr_ptx_expect_name(p, "an instruction", &out->opcode) ||
      !modifiers(p, out)) {
    return false;
  }
  bool call = tsr_ptx_str_equal(out->opcode, "call");
  bool bare = tsr_ptx_at_mark(p, ';') || tsr_ptx_at_mark(p, '}') ||
              p->token.kind == TSR_PTX_TOKEN_END;
  if (!bare && !operand_list(p, ';', 0, call)) return false;
  const void *operands;
  if (!tsr_ptx_pop(p, &p->operands, 0, &operands, &out->operand_count)) {
    return false;
  }
  out->operands = operands;
  return tsr_ptx_expect_end(p);
}
