// SPDX-License-Identifier: Apache-2.0
// Declarations of registers, variables and parameters (PTX ISA 5.1 to 5.4).
#include "ptx/parser.h"

tsr_ptx_space tsr_ptx_declared_space(tsr_ptx_str name) {
  static const struct {
    const char *name;
    tsr_ptx_space space;
  } spaces[] = {
      {"reg", TSR_PTX_SPACE_REG},       {"const", TSR_PTX_SPACE_CONST},
      {"global", TSR_PTX_SPACE_GLOBAL}, {"local", TSR_PTX_SPACE_LOCAL},
      {"param", TSR_PTX_SPACE_PARAM},   {"shared", TSR_PTX_SPACE_SHARED},
  };
  for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); ++i) {
    if (tsr_ptx_str_equal(name, spaces[i].name)) return spaces[i].space;
  }
  return TSR_PTX_SPACE_NONE;
}

// --- What stands between the space and the name -----------------------------

static bool parse_align(tsr_ptx_parser *p, uint32_t *out) {
  uint64_t align;
  tsr_ptx_pos pos = p->token.pos;
  if (!tsr_ptx_bounded(p, "an alignment", 1, 1 << 16, &align)) return false;
  if ((align & (align - 1)) != 0) {
    return tsr_ptx_fail(p, pos, "an alignment must be a power of two");
  }
  *out = (uint32_t)align;
  return true;
}

// .attribute(.managed), .attribute(.unified(a, b)): where memory lies is all
// the same here (5.4.8).
static bool parse_attribute(tsr_ptx_parser *p) {
  if (!tsr_ptx_expect_mark(p, '(')) return false;
  do {
    if (tsr_ptx_take_dotted(p, "managed")) continue;
    if (!tsr_ptx_take_dotted(p, "unified")) {
      return tsr_ptx_expected(p, "'.managed' or '.unified'");
    }
    uint64_t half;
    if (!tsr_ptx_expect_mark(p, '(') ||
        !tsr_ptx_bounded(p, "a number", 0, UINT64_MAX, &half) ||
        !tsr_ptx_expect_mark(p, ',') ||
        !tsr_ptx_bounded(p, "a number", 0, UINT64_MAX, &half) ||
        !tsr_ptx_expect_mark(p, ')')) {
      return false;
    }
  } while (tsr_ptx_take_mark(p, ','));
  return tsr_ptx_expect_mark(p, ')');
}

// .ptr .space .align n: what a pointer points to, a hint (5.1.6.2).
static bool parse_pointer(tsr_ptx_parser *p) {
  uint32_t ignored;
  if (!tsr_ptx_take_dotted(p, "const") && !tsr_ptx_take_dotted(p, "global") &&
      !tsr_ptx_take_dotted(p, "local")) {
    (void)tsr_ptx_take_dotted(p, "shared");
  }
  return !tsr_ptx_take_dotted(p, "align") || parse_align(p, &ignored);
}

// Types that instructions know but no register or variable has (5.2.3).
static bool can_declare(tsr_ptx_type type) {
  switch (type) {
    case TSR_PTX_NO_TYPE:
    case TSR_PTX_U16X2:
    case TSR_PTX_S16X2:
    case TSR_PTX_BF16:
    case TSR_PTX_BF16X2:
    case TSR_PTX_TF32:
    case TSR_PTX_E4M3:
    case TSR_PTX_E5M2:
    case TSR_PTX_E4M3X2:
    case TSR_PTX_E5M2X2:
      return false;
    default:
      return true;
  }
}

static bool parse_type(tsr_ptx_parser *p, tsr_ptx_variable *variable) {
  tsr_ptx_str text = p->token.text;
  tsr_ptx_type type = tsr_ptx_type_from_name(text);
  if (!can_declare(type)) return tsr_ptx_expected(p, "a type");
  if (variable->type != TSR_PTX_NO_TYPE) {
    return tsr_ptx_fail(p, p->token.pos, "a second type '.%.*s'",
                        (int)text.size, text.data);
  }
  if (type == TSR_PTX_PRED && variable->space != TSR_PTX_SPACE_REG) {
    return tsr_ptx_fail(p, p->token.pos, "only registers can be '.pred'");
  }
  variable->type = type;
  tsr_ptx_advance(p);
  return true;
}

static bool parse_qualifier(tsr_ptx_parser *p, tsr_ptx_variable *variable) {
  if (tsr_ptx_take_dotted(p, "align")) return parse_align(p, &variable->align);
  if (tsr_ptx_take_dotted(p, "attribute")) return parse_attribute(p);
  if (variable->space == TSR_PTX_SPACE_PARAM && tsr_ptx_take_dotted(p, "ptr")) {
    return parse_pointer(p);
  }
  uint32_t vector = tsr_ptx_at_dotted(p, "v2")   ? 2
                    : tsr_ptx_at_dotted(p, "v4") ? 4
                                                 : 0;
  if (vector == 0) return parse_type(p, variable);
  variable->vector = vector;
  tsr_ptx_advance(p);
  return true;
}

// At the space: up to the name.
static bool parse_qualifiers(tsr_ptx_parser *p, tsr_ptx_variable *variable) {
  variable->space = tsr_ptx_declared_space(p->token.text);
  variable->vector = 1;
  tsr_ptx_advance(p);
  while (p->token.kind == TSR_PTX_TOKEN_DOTTED) {
    if (!parse_qualifier(p, variable)) return false;
  }
  if (variable->type == TSR_PTX_NO_TYPE) return tsr_ptx_expected(p, "a type");
  uint32_t bits = tsr_ptx_type_bits(variable->type) * variable->vector;
  if (bits > 128 || (variable->vector > 1 && bits < 8)) {
    return tsr_ptx_fail(p, p->token.pos, "no vector '.v%u .%s'",
                        variable->vector, tsr_ptx_type_name(variable->type));
  }
  if (variable->align == 0) variable->align = bits < 8 ? 1 : bits / 8;
  return true;
}

// --- Names ------------------------------------------------------------------

static bool parse_dimensions(tsr_ptx_parser *p, uint64_t *dimensions,
                             uint32_t *out_rank) {
  uint32_t rank = 0;
  while (tsr_ptx_take_mark(p, '[')) {
    if (rank == TSR_PTX_MAX_DIMENSIONS) {
      return tsr_ptx_fail(p, p->token.pos, "more than %d dimensions",
                          TSR_PTX_MAX_DIMENSIONS);
    }
    dimensions[rank] = 0;
    bool sized = rank > 0 || !tsr_ptx_at_mark(p, ']');
    if (sized && !tsr_ptx_bounded(p, "a dimension", 1, TSR_PTX_MAX_OBJECT,
                                  &dimensions[rank])) {
      return false;
    }
    if (!tsr_ptx_expect_mark(p, ']')) return false;
    ++rank;
  }
  *out_rank = rank;
  return true;
}

static bool count_elements(tsr_ptx_parser *p, tsr_ptx_variable *variable,
                           const uint64_t *dimensions, uint32_t rank) {
  uint64_t bytes = (tsr_ptx_type_bits(variable->type) + 7) / 8;
  uint64_t limit = TSR_PTX_MAX_OBJECT / (bytes * variable->vector);
  variable->count = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    if (dimensions[i] > limit / variable->count) {
      return tsr_ptx_fail(p, variable->pos, "'%.*s' is larger than 1 TiB",
                          (int)variable->name.size, variable->name.data);
    }
    variable->count *= dimensions[i];
    if (dimensions[i] == 0) break;  // only ever the first
  }
  variable->is_array = rank > 0;
  variable->is_unsized = rank > 0 && dimensions[0] == 0;
  return true;
}

static bool parse_range(tsr_ptx_parser *p, tsr_ptx_variable *variable) {
  uint64_t range;
  if (variable->space != TSR_PTX_SPACE_REG) {
    return tsr_ptx_fail(p, p->token.pos, "only registers have a range '<n>'");
  }
  tsr_ptx_advance(p);
  // Not a whole expression: the '>' ends it.
  if (p->token.kind != TSR_PTX_TOKEN_INTEGER) {
    return tsr_ptx_expected(p, "a number of registers");
  }
  range = p->token.value;
  if (range < 1 || range > TSR_PTX_MAX_RANGE) {
    return tsr_ptx_fail(p, p->token.pos,
                        "a range of registers must be from 1 to %d",
                        TSR_PTX_MAX_RANGE);
  }
  variable->range = (uint32_t)range;
  tsr_ptx_advance(p);
  return tsr_ptx_expect_mark(p, '>');
}

// Name, array dimensions, initialiser. |anonymous|: '_' is a name.
static bool parse_declarator(tsr_ptx_parser *p, tsr_ptx_variable *variable,
                             bool anonymous) {
  uint64_t dimensions[TSR_PTX_MAX_DIMENSIONS + 1];
  uint32_t rank = 0;
  variable->pos = p->token.pos;
  if (anonymous && tsr_ptx_at_name(p, "_")) {
    variable->name = p->token.text;
    tsr_ptx_advance(p);
  } else if (!tsr_ptx_expect_name(p, "a name", &variable->name)) {
    return false;
  }
  variable->count = 1;
  if (tsr_ptx_at_mark(p, '<')) return parse_range(p, variable);
  if (!parse_dimensions(p, dimensions, &rank)) return false;
  if (rank > 0 && variable->space == TSR_PTX_SPACE_REG) {
    return tsr_ptx_fail(p, variable->pos, "registers form no arrays");
  }
  if (!count_elements(p, variable, dimensions, rank)) return false;
  if (!tsr_ptx_at_mark(p, '=')) return true;
  if (variable->space != TSR_PTX_SPACE_GLOBAL &&
      variable->space != TSR_PTX_SPACE_CONST) {
    return tsr_ptx_fail(p, p->token.pos,
                        "only '.global' and '.const' can be initialised");
  }
  tsr_ptx_advance(p);
  return tsr_ptx_initialiser(p, variable, dimensions, rank) &&
         count_elements(p, variable, dimensions, rank);
}

// --- Declarations -----------------------------------------------------------

static bool keep(tsr_ptx_parser *p, const tsr_ptx_variable *variable,
                 tsr_ptx_list *list, bool as_statement) {
  if (!as_statement) {
    tsr_ptx_variable *place = tsr_ptx_push(p, list);
    if (place == NULL) return false;
    *place = *variable;
    return true;
  }
  tsr_ptx_statement *place = tsr_ptx_push(p, list);
  if (place == NULL) return false;
  place->kind = TSR_PTX_STATEMENT_VARIABLE;
  place->pos = variable->pos;
  place->as.variable = *variable;
  return true;
}

bool tsr_ptx_declaration(tsr_ptx_parser *p, tsr_ptx_linkage linkage,
                         tsr_ptx_list *list, bool as_statements) {
  tsr_ptx_variable common = {.is_extern = linkage.is_extern,
                             .is_visible = linkage.is_visible,
                             .is_weak = linkage.is_weak,
                             .is_common = linkage.is_common};
  if (!parse_qualifiers(p, &common)) return false;
  do {
    tsr_ptx_variable variable = common;
    if (!parse_declarator(p, &variable, false)) return false;
    if (variable.is_unsized &&
        !(variable.is_extern && variable.space != TSR_PTX_SPACE_LOCAL)) {
      return tsr_ptx_fail(p, variable.pos,
                          "'%.*s' has no size; only '.extern' and initialised "
                          "arrays may leave it out",
                          (int)variable.name.size, variable.name.data);
    }
    if (!keep(p, &variable, list, as_statements)) return false;
  } while (tsr_ptx_take_mark(p, ','));
  return tsr_ptx_expect_end(p);
}

static bool parse_parameter(tsr_ptx_parser *p) {
  if (!tsr_ptx_at_dotted(p, "param") && !tsr_ptx_at_dotted(p, "reg")) {
    return tsr_ptx_expected(p, "'.param'");
  }
  tsr_ptx_variable variable = {0};
  return parse_qualifiers(p, &variable) &&
         parse_declarator(p, &variable, true) &&
         keep(p, &variable, &p->params, false);
}

bool tsr_ptx_parameters(tsr_ptx_parser *p, const tsr_ptx_variable **out,
                        uint32_t *out_count) {
  const void *params;
  p->params.count = 0;
  if (!tsr_ptx_expect_mark(p, '(')) return false;
  if (!tsr_ptx_at_mark(p, ')')) {
    do {
      if (p->params.count >= TSR_PTX_MAX_ITEMS) {
        return tsr_ptx_fail(p, p->token.pos, "more than %d parameters",
                            TSR_PTX_MAX_ITEMS);
      }
      if (!parse_parameter(p)) return false;
    } while (tsr_ptx_take_mark(p, ','));
  }
  if (!tsr_ptx_expect_mark(p, ')') ||
      !tsr_ptx_pop(p, &p->params, 0, &params, out_count)) {
    return false;
  }
  *out = params;
  return true;
}
