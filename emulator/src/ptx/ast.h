// SPDX-License-Identifier: Apache-2.0
// A PTX module as its text says it: nothing resolved, nothing checked against
// an instruction's meaning. Everything lives in the arena given to the parser;
// strings are slices of the parser's copy of the text. Section numbers below
// are those of the PTX ISA 9.0.
#ifndef PTX_AST_H_
#define PTX_AST_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"

typedef struct tsr_ptx_pos {
  uint32_t line;    // 1-based; 0 means nowhere
  uint32_t column;  // 1-based, in bytes
} tsr_ptx_pos;

typedef struct tsr_ptx_str {
  const char *data;  // not terminated
  uint32_t size;
} tsr_ptx_str;

// Fundamental types (5.2.1) and those that only instructions name (5.2.3,
// 5.2.5). The names come from ptx/types.def: TYPE(id, "name", bits).
typedef enum tsr_ptx_type {
  TSR_PTX_NO_TYPE = 0,
#define TSR_PTX_TYPE(id, name, bits, kind) TSR_PTX_##id,
#include "ptx/types.def"
  TSR_PTX_TYPE_COUNT
} tsr_ptx_type;

typedef enum tsr_ptx_type_kind {
  TSR_PTX_KIND_NONE,
  TSR_PTX_KIND_BITS,
  TSR_PTX_KIND_UNSIGNED,
  TSR_PTX_KIND_SIGNED,
  TSR_PTX_KIND_FLOAT,
  TSR_PTX_KIND_PRED,
} tsr_ptx_type_kind;

const char *tsr_ptx_type_name(tsr_ptx_type type);  // "f16x2", without a dot
uint32_t tsr_ptx_type_bits(tsr_ptx_type type);     // 1 for pred
tsr_ptx_type_kind tsr_ptx_type_class(tsr_ptx_type type);
// The type called |name| (without a dot), or TSR_PTX_NO_TYPE.
tsr_ptx_type tsr_ptx_type_from_name(tsr_ptx_str name);

typedef enum tsr_ptx_space {
  TSR_PTX_SPACE_NONE,  // generic
  TSR_PTX_SPACE_REG,
  TSR_PTX_SPACE_CONST,
  TSR_PTX_SPACE_GLOBAL,
  TSR_PTX_SPACE_LOCAL,
  TSR_PTX_SPACE_PARAM,
  TSR_PTX_SPACE_SHARED,
} tsr_ptx_space;

typedef enum tsr_ptx_operand_kind {
  TSR_PTX_NAME,     // a register, special register, label, variable, function
  TSR_PTX_INTEGER,  // integer: 64 bits, two's complement
  TSR_PTX_FLOAT32,  // 0fXXXXXXXX: bits in |integer|
  TSR_PTX_FLOAT64,  // 0dX..., or a decimal literal: bits in |integer|
  TSR_PTX_ADDRESS,  // [name+integer], [integer]; items: coordinates and such
  TSR_PTX_VECTOR,   // {a, b, ...}: items
  TSR_PTX_PAIR,     // a|b: items
  TSR_PTX_TUPLE,    // (a, b): items, of a call
  TSR_PTX_SINK,     // _
} tsr_ptx_operand_kind;

typedef struct tsr_ptx_operand {
  tsr_ptx_operand_kind kind;
  tsr_ptx_pos pos;
  bool negated;      // !p; also -%r where a call or vector allows it: no
  bool is_signed;    // INTEGER written without U suffix
  char component;    // 'x', 'y', 'z', 'w' of %tid.x or %v.x; else 0
  tsr_ptx_str name;  // NAME; ADDRESS: its base, empty when absolute
  // INTEGER, FLOATs: the value. ADDRESS, NAME: the offset ("mov.u64 d, a+4").
  uint64_t integer;
  // VECTOR, PAIR, TUPLE: the parts. ADDRESS: what follows the base after a
  // comma ("[map, {x, y}]": one VECTOR).
  const struct tsr_ptx_operand *items;
  uint32_t item_count;
} tsr_ptx_operand;

// "ld.global.L1::no_allocate.v4.u32": opcode "ld", modifiers "global",
// "L1::no_allocate", "v4", "u32". "mma.sp::ordered_metadata" gives the one
// modifier "sp::ordered_metadata".
typedef struct tsr_ptx_modifier {
  tsr_ptx_str name;
  tsr_ptx_pos pos;
} tsr_ptx_modifier;

typedef struct tsr_ptx_instruction {
  tsr_ptx_pos pos;
  tsr_ptx_str opcode;
  const tsr_ptx_modifier *modifiers;
  uint32_t modifier_count;
  tsr_ptx_str guard;  // predicate's name with its '%'; empty when none
  tsr_ptx_pos guard_pos;
  bool guard_negated;
  const tsr_ptx_operand *operands;
  uint32_t operand_count;
} tsr_ptx_instruction;

// One value of an initialiser (5.4.4). Flattened, row by row; elements that are
// not written are zero.
typedef struct tsr_ptx_initial {
  tsr_ptx_pos pos;
  uint64_t bits;       // the element's value, or what is added to |symbol|
  tsr_ptx_str symbol;  // a variable's or function's address; empty when none
  bool generic;        // generic(symbol)
  uint8_t mask_shift;  // mask(0xFF00): shift 8; only with |mask_bits|
  uint8_t mask_bits;   // 0: the whole address
} tsr_ptx_initial;

// A variable, register or parameter declaration.
typedef struct tsr_ptx_variable {
  tsr_ptx_pos pos;
  tsr_ptx_space space;
  tsr_ptx_type type;
  uint32_t vector;  // 1, 2, 4 (.v2, .v4)
  uint32_t align;   // bytes; natural when not written
  tsr_ptx_str name;
  uint32_t range;  // %r<range> declares %r0 .. %r(range-1); 0: plain
  uint64_t count;  // elements of all array dimensions; 1 for a scalar
  bool is_array;
  bool is_unsized;  // [] : dynamic shared, or extern
  bool is_extern, is_visible, is_weak, is_common;
  const tsr_ptx_initial *initials;  // NULL when not initialised
  uint64_t initial_count;           // counts a vector's elements one by one
} tsr_ptx_variable;

typedef enum tsr_ptx_statement_kind {
  TSR_PTX_STATEMENT_INSTRUCTION,
  TSR_PTX_STATEMENT_LABEL,
  TSR_PTX_STATEMENT_VARIABLE,
  TSR_PTX_STATEMENT_OPEN,       // {
  TSR_PTX_STATEMENT_CLOSE,      // }
  TSR_PTX_STATEMENT_TARGETS,    // name: .branchtargets / .calltargets a, b;
  TSR_PTX_STATEMENT_PROTOTYPE,  // name: .callprototype ...
} tsr_ptx_statement_kind;

typedef struct tsr_ptx_statement {
  tsr_ptx_statement_kind kind;
  tsr_ptx_pos pos;
  union {
    tsr_ptx_instruction instruction;
    tsr_ptx_str label;
    tsr_ptx_variable variable;
    struct {
      tsr_ptx_str name;
      const tsr_ptx_str *names;
      uint32_t count;
    } targets;
    struct tsr_ptx_prototype *prototype;
  } as;
} tsr_ptx_statement;

typedef struct tsr_ptx_prototype {
  tsr_ptx_str name;
  const tsr_ptx_variable *results, *params;
  uint32_t result_count, param_count;
} tsr_ptx_prototype;

typedef struct tsr_ptx_function {
  tsr_ptx_pos pos;
  tsr_ptx_pos end;  // of the closing brace
  tsr_ptx_str name;
  bool is_entry, is_extern, is_visible, is_weak, is_noreturn;
  bool has_body;
  const tsr_ptx_variable *results;  // .func's, at most one
  const tsr_ptx_variable *params;
  uint32_t result_count, param_count;
  uint32_t max_threads[3];       // .maxntid; 0 when not given
  uint32_t required_threads[3];  // .reqntid
  uint32_t min_blocks;           // .minnctapersm
  uint32_t max_registers;        // .maxnreg
  uint32_t required_cluster[3];  // .reqnctapercluster
  const tsr_ptx_statement *statements;
  uint32_t statement_count;
} tsr_ptx_function;

typedef struct tsr_ptx_module {
  uint32_t version_major, version_minor;  // .version 8.5
  uint32_t target;                        // .target sm_90a: 90
  char target_variant;                    // 'a', 'f' or 0
  tsr_ptx_str target_name;                // "sm_90a"
  uint32_t address_size;                  // 64
  const tsr_ptx_variable *variables;
  uint32_t variable_count;
  const tsr_ptx_function *functions;
  uint32_t function_count;
} tsr_ptx_module;

// What the JIT error log shows. Zeroed is valid; fini frees the text.
typedef struct tsr_ptx_log {
  tsr_buffer errors;  // lines "ptx(12,5): error: unknown instruction 'foo'"
  tsr_buffer infos;
  uint32_t error_count;
  uint32_t error_limit;  // after this many, nothing more is appended; 0: 20
} tsr_ptx_log;

void tsr_ptx_log_fini(tsr_ptx_log *log);
void tsr_ptx_log_error(tsr_ptx_log *log, tsr_ptx_pos pos, const char *format,
                       ...) TSR_PRINTF(3, 4);

// Parses |size| bytes of |text| (copied; need not be terminated; trailing NULs
// are ignored). Mistakes in the text are collected in |log| and give
// TSR_CORRUPT; after one, parsing goes on at the next statement. Nesting,
// sizes and counts are bounded (ptx/parser.c says how).
TSR_MUST_USE tsr_status tsr_ptx_parse(const char *text, uint64_t size,
                                      tsr_arena *arena, tsr_ptx_log *log,
                                      const tsr_ptx_module **out_module,
                                      tsr_error *error);

static inline bool tsr_ptx_str_equal(tsr_ptx_str string, const char *text) {
  uint32_t i = 0;
  for (; i < string.size; ++i) {
    if (text[i] == '\0' || text[i] != string.data[i]) return false;
  }
  return text[i] == '\0';
}

#endif  // PTX_AST_H_
