// SPDX-License-Identifier: Apache-2.0
// Functions: headers with their launch bounds (PTX ISA 11.2 to 11.4) and the
// statements of their bodies.
#include "ptx/parser.h"

// --- Headers ----------------------------------------------------------------

// n {, n {, n}}; what is left out is 1.
static bool three(tsr_ptx_parser *p, uint32_t out[3]) {
  uint32_t values[3] = {1, 1, 1};
  for (int i = 0; i < 3; ++i) {
    uint64_t value;
    if (!tsr_ptx_bounded(p, "a size", 1, INT32_MAX, &value)) return false;
    values[i] = (uint32_t)value;
    if (!tsr_ptx_take_mark(p, ',')) break;
  }
  for (int i = 0; i < 3; ++i) out[i] = values[i];
  return true;
}

static bool one(tsr_ptx_parser *p, uint32_t *out) {
  uint64_t value;
  if (!tsr_ptx_bounded(p, "a number", 0, INT32_MAX, &value)) return false;
  *out = (uint32_t)value;
  return true;
}

// One directive between a header and its body.
static bool header_directive(tsr_ptx_parser *p, tsr_ptx_function *function) {
  uint32_t hint;
  bool known;
  bool good = tsr_ptx_skip_directive(p, &known);
  if (known) return good;
  if (tsr_ptx_take_dotted(p, "maxntid")) return three(p, function->max_threads);
  if (tsr_ptx_take_dotted(p, "reqntid")) {
    return three(p, function->required_threads);
  }
  if (tsr_ptx_take_dotted(p, "reqnctapercluster")) {
    return three(p, function->required_cluster);
  }
  if (tsr_ptx_take_dotted(p, "minnctapersm")) {
    return one(p, &function->min_blocks);
  }
  if (tsr_ptx_take_dotted(p, "maxnreg")) {
    return one(p, &function->max_registers);
  }
  // Limits and hints that ask nothing of an execution without registers and
  // clusters to allocate.
  if (tsr_ptx_take_dotted(p, "maxnctapersm") ||
      tsr_ptx_take_dotted(p, "maxclusterrank") ||
      tsr_ptx_take_dotted(p, "abi_preserve") ||
      tsr_ptx_take_dotted(p, "abi_preserve_control")) {
    return one(p, &hint);
  }
  if (tsr_ptx_take_dotted(p, "noreturn")) return function->is_noreturn = true;
  if (tsr_ptx_take_dotted(p, "explicitcluster") ||
      tsr_ptx_take_dotted(p, "blocksareclusters")) {
    return true;
  }
  return tsr_ptx_expected(p, "'{', ';' or a launch bound");
}

// .attribute(.unified(a, b)) of a function.
static bool skip_attribute(tsr_ptx_parser *p) {
  if (!tsr_ptx_take_dotted(p, "attribute")) return true;
  uint32_t half;
  if (!tsr_ptx_expect_mark(p, '(')) return false;
  if (!tsr_ptx_take_dotted(p, "unified")) {
    return tsr_ptx_expected(p, "'.unified'");
  }
  return tsr_ptx_expect_mark(p, '(') && one(p, &half) &&
         tsr_ptx_expect_mark(p, ',') && one(p, &half) &&
         tsr_ptx_expect_mark(p, ')') && tsr_ptx_expect_mark(p, ')');
}

static bool results(tsr_ptx_parser *p, const tsr_ptx_variable **out,
                    uint32_t *out_count) {
  if (!tsr_ptx_at_mark(p, '(')) return true;
  tsr_ptx_pos pos = p->token.pos;
  if (!tsr_ptx_parameters(p, out, out_count)) return false;
  if (*out_count <= 1) return true;
  return tsr_ptx_fail(p, pos, "a function returns at most one value");
}

static bool header(tsr_ptx_parser *p, tsr_ptx_function *function) {
  tsr_ptx_advance(p);  // .entry or .func
  if (!skip_attribute(p)) return false;
  if (!function->is_entry &&
      !results(p, &function->results, &function->result_count)) {
    return false;
  }
  function->pos = p->token.pos;
  if (!tsr_ptx_expect_name(p, "a function's name", &function->name)) {
    return false;
  }
  if (tsr_ptx_at_mark(p, '(') &&
      !tsr_ptx_parameters(p, &function->params, &function->param_count)) {
    return false;
  }
  while (!tsr_ptx_at_mark(p, ';') && !tsr_ptx_at_mark(p, '{')) {
    if (!header_directive(p, function)) return false;
  }
  return true;
}

// --- Statements -------------------------------------------------------------

static tsr_ptx_statement *push(tsr_ptx_parser *p, tsr_ptx_statement_kind kind,
                               tsr_ptx_pos pos) {
  tsr_ptx_statement *statement = tsr_ptx_push(p, &p->statements);
  if (statement != NULL) {
    statement->kind = kind;
    statement->pos = pos;
  }
  return statement;
}

static bool names(tsr_ptx_parser *p, tsr_ptx_str name, tsr_ptx_pos pos) {
  p->names.count = 0;
  do {
    tsr_ptx_str one_name;
    if (!tsr_ptx_expect_name(p, "a name", &one_name)) return false;
    tsr_ptx_str *place = tsr_ptx_push(p, &p->names);
    if (place == NULL) return false;
    *place = one_name;
  } while (tsr_ptx_take_mark(p, ','));
  tsr_ptx_statement *statement = push(p, TSR_PTX_STATEMENT_TARGETS, pos);
  const void *all;
  uint32_t count;
  if (statement == NULL || !tsr_ptx_pop(p, &p->names, 0, &all, &count)) {
    return false;
  }
  statement->as.targets.name = name;
  statement->as.targets.names = all;
  statement->as.targets.count = count;
  return tsr_ptx_expect_end(p);
}

// (results) _ (params) {.noreturn}, behind .callprototype.
static bool prototype(tsr_ptx_parser *p, tsr_ptx_str name, tsr_ptx_pos pos) {
  tsr_ptx_prototype *made = tsr_arena_alloc(p->arena, sizeof(*made));
  if (made == NULL) return tsr_ptx_no_memory(p);
  made->name = name;
  if (!results(p, &made->results, &made->result_count)) return false;
  if (p->token.kind != TSR_PTX_TOKEN_NAME) return tsr_ptx_expected(p, "'_'");
  tsr_ptx_advance(p);
  if (tsr_ptx_at_mark(p, '(') &&
      !tsr_ptx_parameters(p, &made->params, &made->param_count)) {
    return false;
  }
  tsr_ptx_function bounds = {0};
  while (p->token.kind == TSR_PTX_TOKEN_DOTTED) {
    if (!header_directive(p, &bounds)) return false;
  }
  tsr_ptx_statement *statement = push(p, TSR_PTX_STATEMENT_PROTOTYPE, pos);
  if (statement == NULL) return false;
  statement->as.prototype = made;
  return tsr_ptx_expect_end(p);
}

// At a name with ':' behind it.
static bool label(tsr_ptx_parser *p) {
  tsr_ptx_pos pos = p->token.pos;
  tsr_ptx_str name;
  if (!tsr_ptx_expect_name(p, "a label", &name)) return false;
  tsr_ptx_advance(p);
  if (tsr_ptx_take_dotted(p, "branchtargets") ||
      tsr_ptx_take_dotted(p, "calltargets")) {
    return names(p, name, pos);
  }
  if (tsr_ptx_take_dotted(p, "callprototype")) return prototype(p, name, pos);
  tsr_ptx_statement *statement = push(p, TSR_PTX_STATEMENT_LABEL, pos);
  if (statement == NULL) return false;
  statement->as.label = name;
  return true;
}

static bool directive(tsr_ptx_parser *p) {
  bool known;
  bool good = tsr_ptx_skip_directive(p, &known);
  if (known) return good;
  tsr_ptx_linkage linkage = {0};
  linkage.is_extern = tsr_ptx_take_dotted(p, "extern");
  tsr_ptx_space space = TSR_PTX_SPACE_NONE;
  if (p->token.kind == TSR_PTX_TOKEN_DOTTED) {
    space = tsr_ptx_declared_space(p->token.text);
  }
  if (space == TSR_PTX_SPACE_NONE) return tsr_ptx_expected(p, "a directive");
  return tsr_ptx_declaration(p, linkage, &p->statements, true);
}

static bool instruction(tsr_ptx_parser *p) {
  tsr_ptx_statement *statement =
      push(p, TSR_PTX_STATEMENT_INSTRUCTION, p->token.pos);
  return statement != NULL &&
         tsr_ptx_instruction_parse(p, &statement->as.instruction);
}

static bool at_label(const tsr_ptx_parser *p) {
  if (p->token.kind != TSR_PTX_TOKEN_NAME) return false;
  tsr_ptx_lexer ahead = p->lexer;
  tsr_ptx_token next = tsr_ptx_lexer_next(&ahead);
  return next.kind == TSR_PTX_TOKEN_MARK && next.mark == ':';
}

static bool statement(tsr_ptx_parser *p) {
  if (p->token.kind == TSR_PTX_TOKEN_DOTTED) return directive(p);
  if (at_label(p)) return label(p);
  return instruction(p);
}

// Opens or closes a scope. False for anything else.
static bool scope(tsr_ptx_parser *p, uint32_t *depth, bool *out_good) {
  bool open = tsr_ptx_at_mark(p, '{');
  if (!open && !tsr_ptx_at_mark(p, '}')) return false;
  *out_good = true;
  if (open && *depth == TSR_PTX_MAX_DEPTH) {
    *out_good = tsr_ptx_fail(p, p->token.pos, "scopes nested too deeply");
    return true;
  }
  if (push(p, open ? TSR_PTX_STATEMENT_OPEN : TSR_PTX_STATEMENT_CLOSE,
           p->token.pos) == NULL) {
    *out_good = false;
  }
  *depth = open ? *depth + 1 : *depth - 1;
  tsr_ptx_advance(p);
  return true;
}

// At the body's '{'. Ends behind its '}', also after mistakes.
static bool body(tsr_ptx_parser *p, tsr_ptx_function *function) {
  uint32_t depth = 0;
  p->statements.count = 0;
  tsr_ptx_pos open = p->token.pos;
  tsr_ptx_advance(p);
  for (;;) {
    bool good = true;
    if (tsr_ptx_stopped(p)) return false;
    p->open_braces = 0;
    if (p->token.kind == TSR_PTX_TOKEN_END) {
      return tsr_ptx_fail(p, p->token.pos,
                          "the body opened at line %u is not closed",
                          open.line);
    }
    if (depth == 0 && tsr_ptx_at_mark(p, '}')) break;
    if (tsr_ptx_take_mark(p, ';')) continue;
    if (!scope(p, &depth, &good)) good = statement(p);
    if (!good) tsr_ptx_recover(p);
  }
  function->end = p->token.pos;
  tsr_ptx_advance(p);
  const void *statements;
  if (!tsr_ptx_pop(p, &p->statements, 0, &statements,
                   &function->statement_count)) {
    return false;
  }
  function->statements = statements;
  return true;
}

bool tsr_ptx_function_parse(tsr_ptx_parser *p, tsr_ptx_linkage linkage) {
  tsr_ptx_function function = {.is_entry = tsr_ptx_at_dotted(p, "entry"),
                               .is_extern = linkage.is_extern,
                               .is_visible = linkage.is_visible,
                               .is_weak = linkage.is_weak};
  if (!header(p, &function)) return false;
  function.has_body = tsr_ptx_at_mark(p, '{');
  if (!function.has_body) {
    tsr_ptx_advance(p);
  } else if (!body(p, &function)) {
    return false;
  }
  tsr_ptx_function *place = tsr_ptx_push(p, &p->functions);
  if (place == NULL) return false;
  *place = function;
  return true;
}
