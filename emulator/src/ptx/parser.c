// SPDX-License-Identifier: Apache-2.0
// The parser's core and a module's top level (PTX ISA 4.2, 11.1). Recursive
// descent with one token of look-ahead; every list is bounded (parser.h), and
// after a mistake parsing goes on at the next statement until the log is full.
#include "ptx/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { MAX_MISTAKES = 20, SHOWN_TOKEN = 40, MAX_ALIASES = 1024 };

// --- Tokens -----------------------------------------------------------------

void tsr_ptx_advance(tsr_ptx_parser *p) {
  const tsr_ptx_token *token = &p->token;
  p->previous = token->text;
  p->previous_end = (tsr_ptx_pos){
      p->lexer.line, (uint32_t)(p->lexer.cursor - p->lexer.line_start) + 1};
  if (token->kind == TSR_PTX_TOKEN_DOTTED) {
    --p->previous.data;
    ++p->previous.size;
  }
  p->token = tsr_ptx_lexer_next(&p->lexer);
}

bool tsr_ptx_at_mark(const tsr_ptx_parser *p, uint16_t mark) {
  return p->token.kind == TSR_PTX_TOKEN_MARK && p->token.mark == mark;
}

bool tsr_ptx_at_dotted(const tsr_ptx_parser *p, const char *name) {
  return p->token.kind == TSR_PTX_TOKEN_DOTTED &&
         tsr_ptx_str_equal(p->token.text, name);
}

bool tsr_ptx_at_name(const tsr_ptx_parser *p, const char *name) {
  return p->token.kind == TSR_PTX_TOKEN_NAME &&
         tsr_ptx_str_equal(p->token.text, name);
}

bool tsr_ptx_take_mark(tsr_ptx_parser *p, uint16_t mark) {
  if (!tsr_ptx_at_mark(p, mark)) return false;
  tsr_ptx_advance(p);
  return true;
}

bool tsr_ptx_take_dotted(tsr_ptx_parser *p, const char *name) {
  if (!tsr_ptx_at_dotted(p, name)) return false;
  tsr_ptx_advance(p);
  return true;
}

bool tsr_ptx_take_open(tsr_ptx_parser *p) {
  if (!tsr_ptx_take_mark(p, '{')) return false;
  ++p->open_braces;
  return true;
}

bool tsr_ptx_expect_close(tsr_ptx_parser *p) {
  if (!tsr_ptx_expect_mark(p, '}')) return false;
  --p->open_braces;
  return true;
}

// --- Mistakes ---------------------------------------------------------------

bool tsr_ptx_stopped(const tsr_ptx_parser *p) {
  return p->out_of_memory || p->log->error_count >= MAX_MISTAKES;
}

bool tsr_ptx_no_memory(tsr_ptx_parser *p) {
  p->out_of_memory = true;
  return false;
}

bool tsr_ptx_fail(tsr_ptx_parser *p, tsr_ptx_pos pos, const char *format, ...) {
  char message[256];
  va_list args;
  va_start(args, format);
  int size = vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  if (!p->out_of_memory) {
    tsr_ptx_log_error(p->log, pos, "%s", size < 0 ? format : message);
  }
  return false;
}

// "'add'", "'.u32'", "the end of the text", cut to a readable length. Bytes
// that do not print become '?'.
static void describe(const tsr_ptx_token *token, char out[SHOWN_TOKEN + 16]) {
  if (token->kind == TSR_PTX_TOKEN_END) {
    strcpy(out, "the end of the text");
    return;
  }
  bool dotted = token->kind == TSR_PTX_TOKEN_DOTTED;
  bool string = token->kind == TSR_PTX_TOKEN_STRING;
  uint32_t size = token->text.size;
  bool cut = size > SHOWN_TOKEN;
  if (cut) size = SHOWN_TOKEN;
  int used = snprintf(out, SHOWN_TOKEN + 16, "%s'%s%.*s%s'",
                      string ? "string " : "", dotted ? "." : "", (int)size,
                      token->text.data, cut ? "..." : "");
  for (int i = 0; i < used; ++i) {
    if (out[i] < ' ' || out[i] > '~') out[i] = '?';
  }
}

// The token itself may be the mistake.
static bool fail_at_token(tsr_ptx_parser *p) {
  const tsr_ptx_token *token = &p->token;
  if (token->kind != TSR_PTX_TOKEN_ERROR) return true;
  char found[SHOWN_TOKEN + 16];
  describe(token, found);
  if (token->text.size == 0 || *token->text.data == '\0') {
    tsr_ptx_fail(p, token->pos, "%s", token->message);
  } else {
    tsr_ptx_fail(p, token->pos, "%s: %s", token->message, found);
  }
  return false;
}

bool tsr_ptx_expected(tsr_ptx_parser *p, const char *what) {
  if (!fail_at_token(p)) return false;
  char found[SHOWN_TOKEN + 16];
  describe(&p->token, found);
  return tsr_ptx_fail(p, p->token.pos, "expected %s, found %s", what, found);
}

static bool expected_after(tsr_ptx_parser *p, const char *what) {
  if (!fail_at_token(p)) return false;
  tsr_ptx_token before = {.kind = TSR_PTX_TOKEN_NAME, .text = p->previous};
  char found[SHOWN_TOKEN + 16], after[SHOWN_TOKEN + 16];
  describe(&p->token, found);
  describe(&before, after);
  // Where it is missing, not where the next line begins.
  tsr_ptx_pos pos = p->token.pos;
  if (pos.line != p->previous_end.line && p->previous_end.line != 0) {
    pos = p->previous_end;
  }
  return tsr_ptx_fail(p, pos, "expected %s after %s, found %s", what, after,
                      found);
}

bool tsr_ptx_expect_mark(tsr_ptx_parser *p, uint16_t mark) {
  if (tsr_ptx_take_mark(p, mark)) return true;
  char what[4] = {'\'', (char)mark, '\'', '\0'};
  return expected_after(p, what);
}

bool tsr_ptx_expect_end(tsr_ptx_parser *p) {
  if (tsr_ptx_take_mark(p, ';')) return true;
  bool next_line = p->token.pos.line != p->previous_end.line &&
                   p->token.kind != TSR_PTX_TOKEN_ERROR;
  expected_after(p, "';'");
  return next_line;
}

bool tsr_ptx_expect_name(tsr_ptx_parser *p, const char *what,
                         tsr_ptx_str *out_name) {
  if (p->token.kind != TSR_PTX_TOKEN_NAME || tsr_ptx_at_name(p, "_")) {
    return tsr_ptx_expected(p, what);
  }
  *out_name = p->token.text;
  tsr_ptx_advance(p);
  return true;
}

bool tsr_ptx_expect_string(tsr_ptx_parser *p, const char *what) {
  if (p->token.kind != TSR_PTX_TOKEN_STRING) return tsr_ptx_expected(p, what);
  tsr_ptx_advance(p);
  return true;
}

void tsr_ptx_recover(tsr_ptx_parser *p) {
  if (tsr_ptx_stopped(p)) return;
  while (p->token.kind != TSR_PTX_TOKEN_END) {
    if (tsr_ptx_take_mark(p, ';')) break;
    if (tsr_ptx_at_mark(p, '{')) {
      ++p->open_braces;
    } else if (tsr_ptx_at_mark(p, '}')) {
      if (p->open_braces == 0) break;
      --p->open_braces;
    }
    tsr_ptx_advance(p);
  }
  p->open_braces = 0;
}

// --- Lists ------------------------------------------------------------------

void *tsr_ptx_push(tsr_ptx_parser *p, tsr_ptx_list *list) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
    unsigned char *data =
        capacity > SIZE_MAX / list->element
            ? NULL
            : tsr_realloc(list->data, capacity * list->element);
    if (data == NULL) {
      tsr_ptx_no_memory(p);
      return NULL;
    }
    list->data = data;
    list->capacity = capacity;
  }
  void *element = list->data + list->count++ * list->element;
  return memset(element, 0, list->element);
}

bool tsr_ptx_pop(tsr_ptx_parser *p, tsr_ptx_list *list, size_t first,
                 const void **out_elements, uint32_t *out_count) {
  size_t count = list->count - first;
  *out_elements = NULL;
  *out_count = (uint32_t)count;
  list->count = first;
  if (count == 0) return true;
  void *copy = tsr_arena_alloc_array(p->arena, count, list->element);
  if (copy == NULL) return tsr_ptx_no_memory(p);
  memcpy(copy, list->data + first * list->element, count * list->element);
  *out_elements = copy;
  return true;
}

// --- The module's head ------------------------------------------------------

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// "8.5" and "10.0": the digits are a version's, not a number's.
static bool split_version(tsr_ptx_str text, uint32_t *out_major,
                          uint32_t *out_minor) {
  uint32_t dot = text.size == 4 ? 2 : 1;
  if ((text.size != 3 && text.size != 4) || text.data[dot] != '.' ||
      !is_digit(text.data[0]) || !is_digit(text.data[dot - 1]) ||
      !is_digit(text.data[dot + 1])) {
    return false;
  }
  *out_major = (uint32_t)(text.data[0] - '0');
  if (dot == 2) *out_major = *out_major * 10 + (uint32_t)(text.data[1] - '0');
  *out_minor = (uint32_t)(text.data[dot + 1] - '0');
  return true;
}

static bool parse_version(tsr_ptx_parser *p) {
  if (!tsr_ptx_at_dotted(p, "version")) {
    return tsr_ptx_expected(p, "'.version' at the beginning");
  }
  tsr_ptx_advance(p);
  uint32_t major = 0, minor = 0;
  if (p->token.kind != TSR_PTX_TOKEN_FLOAT64 ||
      !split_version(p->token.text, &major, &minor)) {
    return tsr_ptx_expected(p, "a version such as '8.5'");
  }
  if (major * 10 + minor < 80 || major * 10 + minor > 90) {
    tsr_ptx_fail(p, p->token.pos,
                 "PTX version %u.%u is not supported; 8.0 to 9.0 are", major,
                 minor);
  }
  p->module->version_major = major;
  p->module->version_minor = minor;
  tsr_ptx_advance(p);
  return true;
}

// sm_90a: 90, 'a'. False when |name| does not look like that.
static bool split_target(tsr_ptx_str name, uint32_t *out_number,
                         char *out_variant) {
  uint32_t i = 3, number = 0;
  if (name.size < 4 || memcmp(name.data, "sm_", 3) != 0) return false;
  for (; i < name.size && name.data[i] >= '0' && name.data[i] <= '9'; ++i) {
    if (number > 999) return false;
    number = number * 10 + (uint32_t)(name.data[i] - '0');
  }
  *out_number = number;
  *out_variant = i < name.size ? name.data[i++] : '\0';
  return i == name.size &&
         (*out_variant == '\0' || *out_variant == 'a' || *out_variant == 'f');
}

static bool known_target(uint32_t number, char variant) {
  static const uint8_t known[] = {80,  86,  87,  88,  89, 90,
                                  100, 101, 103, 110, 120};
  bool found = false;
  for (size_t i = 0; i < sizeof(known); ++i) found |= known[i] == number;
  // 'a' came with sm_90, 'f' with sm_100 (11.1.2).
  return found && (variant != 'a' || number >= 90) &&
         (variant != 'f' || number >= 100);
}

static bool parse_target(tsr_ptx_parser *p) {
  if (!tsr_ptx_at_dotted(p, "target")) {
    return tsr_ptx_expected(p, "'.target' after '.version'");
  }
  tsr_ptx_advance(p);
  tsr_ptx_pos pos = p->token.pos;
  tsr_ptx_str name;
  if (!tsr_ptx_expect_name(p, "a target such as 'sm_90a'", &name)) return false;
  tsr_ptx_module *module = p->module;
  module->target_name = name;
  if (!split_target(name, &module->target, &module->target_variant) ||
      !known_target(module->target, module->target_variant)) {
    tsr_ptx_fail(p, pos,
                 "target '%.*s' is not supported; sm_80 to sm_120 are, with "
                 "'a' from sm_90 and 'f' from sm_100 on",
                 (int)(name.size < SHOWN_TOKEN ? name.size : SHOWN_TOKEN),
                 name.data);
  }
  while (tsr_ptx_take_mark(p, ',')) {
    bool known = tsr_ptx_at_name(p, "debug") ||
                 tsr_ptx_at_name(p, "texmode_independent") ||
                 tsr_ptx_at_name(p, "texmode_unified");
    if (!known) return tsr_ptx_expected(p, "an option of '.target'");
    tsr_ptx_advance(p);
  }
  return true;
}

static bool parse_head(tsr_ptx_parser *p) {
  p->module->address_size = 64;
  if (!parse_version(p) || !parse_target(p)) return false;
  if (!tsr_ptx_take_dotted(p, "address_size")) return true;
  tsr_ptx_pos pos = p->token.pos;
  uint64_t size;
  if (!tsr_ptx_bounded(p, "an address size", 1, 64, &size)) return false;
  if (size != 64) {
    tsr_ptx_fail(p, pos, "address size %u is not supported; 64 is",
                 (unsigned)size);
  }
  return true;
}

// --- The module's items -----------------------------------------------------

typedef struct alias_entry {
  tsr_ptx_pos pos;
  tsr_ptx_str alias, target;
} alias_entry;

static bool parse_alias(tsr_ptx_parser *p) {
  alias_entry entry = {.pos = p->token.pos};
  tsr_ptx_advance(p);
  if (!tsr_ptx_expect_name(p, "the alias's name", &entry.alias) ||
      !tsr_ptx_expect_mark(p, ',') ||
      !tsr_ptx_expect_name(p, "a function's name", &entry.target)) {
    return false;
  }
  if (p->aliases.count == MAX_ALIASES) {
    return tsr_ptx_fail(p, entry.pos, "more than %d aliases", MAX_ALIASES);
  }
  alias_entry *place = tsr_ptx_push(p, &p->aliases);
  if (place == NULL) return false;
  *place = entry;
  return tsr_ptx_expect_end(p);
}

static bool same(tsr_ptx_str a, tsr_ptx_str b) {
  return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static tsr_ptx_function *find_function(const tsr_ptx_parser *p,
                                       tsr_ptx_str name, bool body) {
  tsr_ptx_function *all = (tsr_ptx_function *)(void *)p->functions.data;
  for (size_t i = 0; i < p->functions.count; ++i) {
    if (all[i].has_body == body && !all[i].is_entry &&
        same(all[i].name, name)) {
      return &all[i];
    }
  }
  return NULL;
}

// .alias (11.6): the alias, declared without a body, gets the other's.
static void resolve_aliases(tsr_ptx_parser *p) {
  const alias_entry *entries = (const alias_entry *)(void *)p->aliases.data;
  for (size_t i = 0; i < p->aliases.count && !tsr_ptx_stopped(p); ++i) {
    tsr_ptx_function *alias = find_function(p, entries[i].alias, false);
    const tsr_ptx_function *target = find_function(p, entries[i].target, true);
    if (alias == NULL || target == NULL) {
      tsr_ptx_fail(p, entries[i].pos,
                   "'.alias' needs a declared '.func' and a defined one");
      continue;
    }
    tsr_ptx_str name = alias->name;
    bool visible = alias->is_visible, weak = alias->is_weak;
    *alias = *target;
    alias->name = name;
    alias->is_visible = visible;
    alias->is_weak = weak;
  }
}

static bool take_linkage(tsr_ptx_parser *p, tsr_ptx_linkage *linkage) {
  bool *flag = tsr_ptx_at_dotted(p, "extern")    ? &linkage->is_extern
               : tsr_ptx_at_dotted(p, "visible") ? &linkage->is_visible
               : tsr_ptx_at_dotted(p, "weak")    ? &linkage->is_weak
               : tsr_ptx_at_dotted(p, "common")  ? &linkage->is_common
                                                 : NULL;
  if (flag == NULL) return false;
  *flag = true;
  tsr_ptx_advance(p);
  return true;
}

static bool parse_item(tsr_ptx_parser *p) {
  bool known;
  bool good = tsr_ptx_skip_directive(p, &known);
  if (known) return good;
  if (tsr_ptx_at_dotted(p, "alias")) return parse_alias(p);
  tsr_ptx_linkage linkage = {0};
  bool linked = false;
  for (int i = 0; i < 4 && take_linkage(p, &linkage); ++i) linked = true;
  if (tsr_ptx_at_dotted(p, "entry") || tsr_ptx_at_dotted(p, "func")) {
    return tsr_ptx_function_parse(p, linkage);
  }
  tsr_ptx_space space = TSR_PTX_SPACE_NONE;
  if (p->token.kind == TSR_PTX_TOKEN_DOTTED) {
    space = tsr_ptx_declared_space(p->token.text);
  }
  if (space == TSR_PTX_SPACE_GLOBAL || space == TSR_PTX_SPACE_CONST ||
      space == TSR_PTX_SPACE_SHARED) {
    return tsr_ptx_declaration(p, linkage, &p->variables, false);
  }
  return tsr_ptx_expected(
      p, linked ? "'.entry', '.func' or a variable" : "a directive");
}

// After a mistake outside of functions: behind the next ';' or '}', with
// blocks in between skipped whole.
static void recover_item(tsr_ptx_parser *p) {
  uint64_t depth = p->open_braces;
  p->open_braces = 0;
  while (p->token.kind != TSR_PTX_TOKEN_END && !tsr_ptx_stopped(p)) {
    bool end = tsr_ptx_at_mark(p, ';') && depth == 0;
    if (tsr_ptx_at_mark(p, '{')) ++depth;
    if (tsr_ptx_at_mark(p, '}')) {
      end = depth <= 1;
      if (depth > 0) --depth;
    }
    tsr_ptx_advance(p);
    if (end) break;
  }
  (void)tsr_ptx_take_mark(p, ';');
}

static void parse_module(tsr_ptx_parser *p) {
  tsr_ptx_advance(p);
  if (!parse_head(p)) return;
  while (p->token.kind != TSR_PTX_TOKEN_END && !tsr_ptx_stopped(p)) {
    if (tsr_ptx_take_mark(p, ';')) continue;
    if (!parse_item(p)) recover_item(p);
    p->depth = 0;
    p->operands.count = p->modifiers.count = p->statements.count = 0;
    p->initials.count = p->names.count = p->params.count = 0;
  }
  if (p->log->error_count == 0) resolve_aliases(p);
}

static void fini(tsr_ptx_parser *p) {
  tsr_ptx_list *lists[] = {&p->operands,  &p->modifiers, &p->statements,
                           &p->variables, &p->functions, &p->initials,
                           &p->names,     &p->params,    &p->aliases};
  for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); ++i) {
    tsr_free(lists[i]->data);
  }
}

static bool start(tsr_ptx_parser *p, const char *text, uint64_t size) {
  p->operands.element = sizeof(tsr_ptx_operand);
  p->modifiers.element = sizeof(tsr_ptx_modifier);
  p->statements.element = sizeof(tsr_ptx_statement);
  p->variables.element = sizeof(tsr_ptx_variable);
  p->params.element = sizeof(tsr_ptx_variable);
  p->functions.element = sizeof(tsr_ptx_function);
  p->initials.element = sizeof(tsr_ptx_initial);
  p->names.element = sizeof(tsr_ptx_str);
  p->aliases.element = sizeof(alias_entry);
  p->initial_budget = TSR_PTX_MAX_INITIALS;
  p->module = tsr_arena_alloc(p->arena, sizeof(*p->module));
  char *copy = tsr_arena_strndup(p->arena, text, (size_t)size);
  if (p->module == NULL || copy == NULL) return tsr_ptx_no_memory(p);
  tsr_ptx_lexer_init(&p->lexer, copy, (size_t)size);
  return true;
}

static void finish(tsr_ptx_parser *p) {
  const void *data;
  if (tsr_ptx_pop(p, &p->variables, 0, &data, &p->module->variable_count)) {
    p->module->variables = data;
  }
  if (tsr_ptx_pop(p, &p->functions, 0, &data, &p->module->function_count)) {
    p->module->functions = data;
  }
}

tsr_status tsr_ptx_parse(const char *text, uint64_t size, tsr_arena *arena,
                         tsr_ptx_log *log, const tsr_ptx_module **out_module,
                         tsr_error *error) {
  *out_module = NULL;
  while (size > 0 && text[size - 1] == '\0') --size;
  tsr_ptx_parser parser = {.arena = arena, .log = log};
  uint32_t before = log->error_count;
  if (size > TSR_PTX_MAX_TEXT) {
    tsr_ptx_log_error(log, (tsr_ptx_pos){0}, "a text of more than 1 GiB");
  } else if (start(&parser, text, size)) {
    parse_module(&parser);
    finish(&parser);
  }
  fini(&parser);
  if (parser.out_of_memory || log->errors.failed) {
    return tsr_error_out_of_memory(error);
  }
  uint32_t mistakes = log->error_count - before;
  if (mistakes > 0) {
    return tsr_error_set(error, TSR_CORRUPT, "PTX: %u mistake%s", mistakes,
                         mistakes == 1 ? "" : "s");
  }
  *out_module = parser.module;
  return TSR_OK;
}
