// SPDX-License-Identifier: Apache-2.0
// What the parser's files share: the current token, the arena, the log and
// growing lists. A function that returns false has reported a mistake (or is
// out of memory); its caller returns too, up to the statement or directive,
// which goes on behind the next ';' or '}'.
#ifndef PTX_PARSER_H_
#define PTX_PARSER_H_

#include "ptx/lexer.h"

enum {
  TSR_PTX_MAX_DEPTH = 64,         // of scopes, and of expressions
  TSR_PTX_MAX_OPERAND_DEPTH = 8,  // {a, {b, ...}}
  TSR_PTX_MAX_ITEMS = 4096,       // operands of one vector, tuple, instruction
  TSR_PTX_MAX_MODIFIERS = 32,     // of one instruction
  TSR_PTX_MAX_RANGE = 1 << 20,    // %r<n>
  TSR_PTX_MAX_DIMENSIONS = 8,
  TSR_PTX_MAX_INITIALS = 1 << 22,  // values of all initialisers of a module
};
#define TSR_PTX_MAX_OBJECT (UINT64_C(1) << 40)  // bytes of one variable
#define TSR_PTX_MAX_TEXT (UINT64_C(1) << 30)    // bytes

// A growing array; owned by the parser, emptied into the arena when complete.
typedef struct tsr_ptx_list {
  unsigned char *data;
  size_t count, capacity, element;
} tsr_ptx_list;

typedef struct tsr_ptx_parser {
  tsr_ptx_lexer lexer;
  tsr_ptx_token token;       // the current one, not taken yet
  tsr_ptx_str previous;      // the text of the one taken last
  tsr_ptx_pos previous_end;  // right behind it
  tsr_arena *arena;
  tsr_ptx_log *log;
  bool out_of_memory;
  uint32_t depth;           // of expressions
  uint32_t open_braces;     // of vectors and initialisers in this statement
  uint64_t initial_budget;  // TSR_PTX_MAX_INITIALS less what was used
  tsr_ptx_module *module;
  tsr_ptx_list operands;  // a stack: tsr_ptx_operand
  tsr_ptx_list modifiers, statements, variables, functions, initials, names;
  tsr_ptx_list params;  // of the header being parsed
  tsr_ptx_list aliases;
} tsr_ptx_parser;

// What stands in front of a declaration or function.
typedef struct tsr_ptx_linkage {
  bool is_extern, is_visible, is_weak, is_common;
} tsr_ptx_linkage;

// A constant expression's value (4.5).
typedef struct tsr_ptx_value {
  enum {
    TSR_PTX_VALUE_INTEGER,
    TSR_PTX_VALUE_FLOAT32,  // bits of a binary32: a literal 0f only
    TSR_PTX_VALUE_FLOAT64,  // bits of a binary64
  } kind;
  bool is_unsigned;
  uint64_t bits;
} tsr_ptx_value;

// --- parser.c: tokens, lists, mistakes ---

void tsr_ptx_advance(tsr_ptx_parser *p);
bool tsr_ptx_at_mark(const tsr_ptx_parser *p, uint16_t mark);
// At the directive or modifier .|name|.
bool tsr_ptx_at_dotted(const tsr_ptx_parser *p, const char *name);
bool tsr_ptx_at_name(const tsr_ptx_parser *p, const char *name);
bool tsr_ptx_take_mark(tsr_ptx_parser *p, uint16_t mark);
bool tsr_ptx_take_dotted(tsr_ptx_parser *p, const char *name);
// '{' and '}' of vectors and initialisers, counted for tsr_ptx_recover.
bool tsr_ptx_take_open(tsr_ptx_parser *p);
bool tsr_ptx_expect_close(tsr_ptx_parser *p);
// Takes ';'. When it is missing at the end of a line, says so and goes on as
// if it were there.
bool tsr_ptx_expect_end(tsr_ptx_parser *p);
// Takes |mark|, or reports "expected ';' after 'ret', found ...".
bool tsr_ptx_expect_mark(tsr_ptx_parser *p, uint16_t mark);
// A name that is not '_'; |what| for "expected |what|".
bool tsr_ptx_expect_name(tsr_ptx_parser *p, const char *what,
                         tsr_ptx_str *out_name);
bool tsr_ptx_expect_string(tsr_ptx_parser *p, const char *what);
// All false.
bool tsr_ptx_fail(tsr_ptx_parser *p, tsr_ptx_pos pos, const char *format, ...)
    TSR_PRINTF(3, 4);
bool tsr_ptx_expected(tsr_ptx_parser *p, const char *what);
bool tsr_ptx_no_memory(tsr_ptx_parser *p);
// True when parsing must end: out of memory, or too many mistakes.
bool tsr_ptx_stopped(const tsr_ptx_parser *p);
// After a mistake in a statement: goes behind its ';', or to the '}' that
// closes what is around it.
void tsr_ptx_recover(tsr_ptx_parser *p);

// A zeroed element at the end of |list|; NULL when out of memory.
void *tsr_ptx_push(tsr_ptx_parser *p, tsr_ptx_list *list);
// Moves the elements from |first| on into the arena (NULL when there are
// none).
bool tsr_ptx_pop(tsr_ptx_parser *p, tsr_ptx_list *list, size_t first,
                 const void **out_elements, uint32_t *out_count);

// --- constant.c ---

bool tsr_ptx_constant(tsr_ptx_parser *p, tsr_ptx_value *out_value);
bool tsr_ptx_at_constant(const tsr_ptx_parser *p);
// An integer in [|least|, |most|]; |what| names it in messages.
bool tsr_ptx_bounded(tsr_ptx_parser *p, const char *what, uint64_t least,
                     uint64_t most, uint64_t *out_value);

// --- operand.c ---

bool tsr_ptx_instruction_parse(tsr_ptx_parser *p, tsr_ptx_instruction *out);

// --- declaration.c ---

// The space that directive .|name| declares; NONE when it declares none.
tsr_ptx_space tsr_ptx_declared_space(tsr_ptx_str name);
// ".space ... ;" at its directive; every name is pushed on |list|, whose
// elements are tsr_ptx_variable, or tsr_ptx_statement when |as_statements|.
bool tsr_ptx_declaration(tsr_ptx_parser *p, tsr_ptx_linkage linkage,
                         tsr_ptx_list *list, bool as_statements);
// "(.param .b32 a, ...)", pushed on p->params and moved to the arena.
bool tsr_ptx_parameters(tsr_ptx_parser *p, const tsr_ptx_variable **out,
                        uint32_t *out_count);

// --- initial.c ---

// "{...}" or one value behind the '='. |variable|'s type is known;
// |dimensions| are the array's |rank| sizes, the first 0 when to be found.
bool tsr_ptx_initialiser(tsr_ptx_parser *p, tsr_ptx_variable *variable,
                         uint64_t *dimensions, uint32_t rank);

// --- directive.c: what is read over ---

// .file, .loc, .section, .pragma at their name; *|out_known| is false when the
// token is none of these.
bool tsr_ptx_skip_directive(tsr_ptx_parser *p, bool *out_known);

// --- function.c ---

// At .entry or .func.
bool tsr_ptx_function_parse(tsr_ptx_parser *p, tsr_ptx_linkage linkage);

#endif  // PTX_PARSER_H_
