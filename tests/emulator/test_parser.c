// SPDX-License-Identifier: Apache-2.0
// The PTX parser: what it makes of valid text, what it says about each
// mistake, and that damaged text and failing allocations do it no harm.
#include <stdlib.h>

#include "base/memory.h"
#include "ptx/ast.h"
#include "test.h"

#define HEAD ".version 8.5\n.target sm_90a\n.address_size 64\n"

typedef struct parsed {
  tsr_arena arena;
  tsr_ptx_log log;
  tsr_error error;
  const tsr_ptx_module *module;
  tsr_status status;
} parsed;

static void parse_bytes(parsed *p, const char *text, size_t size) {
  memset(p, 0, sizeof(*p));
  // A copy of exact size, so that a sanitizer sees reads behind it.
  char *copy = malloc(size + (size == 0));
  if (copy == NULL) exit(1);
  memcpy(copy, text, size);
  p->status =
      tsr_ptx_parse(copy, size, &p->arena, &p->log, &p->module, &p->error);
  free(copy);
}

static void parse(parsed *p, const char *text) {
  parse_bytes(p, text, strlen(text));
}

static void fini(parsed *p) {
  tsr_arena_fini(&p->arena);
  tsr_ptx_log_fini(&p->log);
}

static const char *errors(parsed *p) {
  return tsr_buffer_text(&p->log.errors);
}

static bool named(tsr_ptx_str string, const char *text) {
  return tsr_ptx_str_equal(string, text);
}

static const tsr_ptx_variable *variable(const parsed *p, uint32_t index) {
  static const tsr_ptx_variable none;
  bool there = p->module != NULL && index < p->module->variable_count;
  CHECK(there);
  return there ? &p->module->variables[index] : &none;
}

// --- What is understood -----------------------------------------------------

static void check_head(void) {
  static const struct {
    const char *text;
    uint32_t major, minor, target;
    char variant;
  } heads[] = {
      {".version 8.0 .target sm_80", 8, 0, 80, 0},
      {".version 9.0\n.target sm_90a, debug\n.address_size 64", 9, 0, 90, 'a'},
      {".version 8.8\n.target sm_120f .address_size 64", 8, 8, 120, 'f'},
      {"/* a\n comment */ .version 8.7 // b\n.target sm_100a", 8, 7, 100, 'a'},
      {".version 8.1\n.target sm_89, texmode_independent", 8, 1, 89, 0},
  };
  for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); ++i) {
    parsed p;
    parse(&p, heads[i].text);
    CHECK_STR(errors(&p), "");
    if (p.module != NULL) {
      CHECK_EQ(p.module->version_major, heads[i].major);
      CHECK_EQ(p.module->version_minor, heads[i].minor);
      CHECK_EQ(p.module->target, heads[i].target);
      CHECK_EQ(p.module->target_variant, heads[i].variant);
      CHECK_EQ(p.module->address_size, 64);
    }
    fini(&p);
  }
}

static void check_variables(void) {
  parsed p;
  parse(&p, HEAD
        ".extern .shared .align 1024 .b8 dynamic[];\n"
        ".visible .const .u32 table[2][3], other;\n"
        ".weak .global .v4 .f32 vector[5];\n"
        ".common .global .attribute(.managed) .align 64 .s64 common;\n"
        ".shared .b128 wide[2];\n");
  CHECK_STR(errors(&p), "");
  const tsr_ptx_variable *v = variable(&p, 0);
  CHECK(named(v->name, "dynamic") && v->space == TSR_PTX_SPACE_SHARED);
  CHECK(v->is_extern && v->is_array && v->is_unsized && v->count == 0);
  CHECK(v->type == TSR_PTX_B8 && v->align == 1024);
  CHECK_EQ(v->pos.line, 4);
  CHECK_EQ(v->pos.column, 33);
  v = variable(&p, 1);
  CHECK(v->is_visible && v->is_array && v->count == 6 && v->align == 4);
  v = variable(&p, 2);
  CHECK(named(v->name, "other") && !v->is_array && v->count == 1);
  v = variable(&p, 3);
  CHECK(v->is_weak && v->vector == 4 && v->count == 5 && v->align == 16);
  v = variable(&p, 4);
  CHECK(v->is_common && v->align == 64 && v->type == TSR_PTX_S64);
  v = variable(&p, 5);
  CHECK(v->type == TSR_PTX_B128 && v->align == 16 && v->count == 2);
  fini(&p);
}

typedef struct initial_case {
  const char *declaration;
  uint64_t count;   // of elements
  uint64_t values;  // written
  uint64_t bits[6];
} initial_case;

static void check_initials(void) {
  static const initial_case cases[] = {
      {".global .u32 x = 0x10;", 1, 1, {16}},
      {".global .s32 x = -1;", 1, 1, {0xffffffff}},
      {".global .u8 x[3] = {300, 010, 0b101};", 3, 3, {44, 8, 5}},
      {".global .s64 x[] = {1, -2U, 0xFFFFFFFFFFFFFFFF};",
       3,
       3,
       {1, UINT64_MAX - 1, UINT64_MAX}},
      {".const .u32 x[2][3] = {{1, 2}, {3}};", 6, 4, {1, 2, 0, 3}},
      {".const .u32 x[][2] = {{1}, {}, {2, 3}};", 6, 6, {1, 0, 0, 0, 2, 3}},
      {".global .v2 .u16 x[2] = {{1}, {2, 3}};", 2, 4, {1, 0, 2, 3}},
      {".global .f32 x[4] = {1, 1.5, 0f7FC12345, -0d4000000000000000};",
       4,
       4,
       {0x3f800000, 0x3fc00000, 0x7fc12345, 0xc0000000}},
      {".global .f64 x[2] = {0f3F800000, 3e2};",
       2,
       2,
       {UINT64_C(0x3ff0000000000000), UINT64_C(0x4072c00000000000)}},
      {".global .b32 x = 0f3F800000;", 1, 1, {0x3f800000}},
      {".global .u32 x = (1 + 2) * 3 - 4 / 2;", 1, 1, {7}},
      {".global .u32 x = 1 << 4 | 2 & 3 ^ 1;", 1, 1, {19}},
      {".global .u32 x = 5 > 3 && !0 ? WARP_SZ : 7 % 0x0;", 0, 0, {0}},
      {".global .u32 x = 5 > 3 && !0 ? WARP_SZ : 7;", 1, 1, {32}},
      {".global .s64 x = -8 >> 1;", 1, 1, {(uint64_t)-4}},
      {".global .u64 x = ~0 >> 1;", 1, 1, {INT64_MAX}},
      {".global .s64 x = (.s64)0xFFFFFFFFFFFFFFFF / 2;", 1, 1, {0}},
      {".global .s64 x = -1 < 0U;", 1, 1, {0}},
      {".global .s64 x = -1 < 0;", 1, 1, {1}},
      {".global .u64 x = 1 << 64;", 1, 1, {0}},
      {".global .f64 x = 1.0 / 4 + 1;", 1, 1, {UINT64_C(0x3ff4000000000000)}},
      {".global .u8 x[2] = {0xFF00(0x1234), 255(0x1234)};", 2, 2, {0x12, 0x34}},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    char text[256];
    parsed p;
    (void)snprintf(text, sizeof(text), HEAD "%s", cases[i].declaration);
    parse(&p, text);
    if (cases[i].count == 0) {
      CHECK(p.module == NULL);
      fini(&p);
      continue;
    }
    CHECK_STR(errors(&p), "");
    const tsr_ptx_variable *v = variable(&p, 0);
    CHECK_EQ(v->count, cases[i].count);
    CHECK_EQ(v->initial_count, cases[i].values);
    for (uint64_t k = 0; k < v->initial_count && k < 6; ++k) {
      CHECK_EQ(v->initials[k].bits, cases[i].bits[k]);
    }
    fini(&p);
  }
}

static void check_addresses(void) {
  parsed p;
  parse(&p, HEAD
        ".global .u32 a[4];\n"
        ".global .u64 p[] = {a, a+4, generic(a), generic(a)+8, a-4, f};\n"
        ".global .u8 b[] = {0xFF(a), 0xFF0000(generic(a)+1)};\n");
  CHECK_STR(errors(&p), "");
  const tsr_ptx_variable *v = variable(&p, 1);
  CHECK_EQ(v->count, 6);
  static const int64_t offsets[] = {0, 4, 0, 8, -4, 0};
  for (uint32_t i = 0; i < v->initial_count && i < 6; ++i) {
    CHECK(named(v->initials[i].symbol, i == 5 ? "f" : "a"));
    CHECK_EQ(v->initials[i].bits, offsets[i]);
    CHECK_EQ(v->initials[i].generic, i == 2 || i == 3);
    CHECK_EQ(v->initials[i].mask_bits, 0);
  }
  v = variable(&p, 2);
  CHECK_EQ(v->initial_count, 2);
  if (v->initial_count == 2) {
    CHECK(v->initials[0].mask_bits == 8 && v->initials[0].mask_shift == 0);
    CHECK(v->initials[1].mask_bits == 8 && v->initials[1].mask_shift == 16);
    CHECK(v->initials[1].generic && v->initials[1].bits == 1);
  }
  fini(&p);
}

static void check_functions(void) {
  parsed p;
  parse(&p, HEAD
        ".extern .func (.param .b32 r) printf\n(\n  .param .b64 a,\n"
        "  .param .align 8 .b8 c[16]\n)\n;\n"
        ".weak .func helper() .noreturn { trap; }\n"
        ".visible .entry k(.param .u64 .ptr .global .align 16 a,\n"
        "  .param .align 64 .b8 map[128])\n"
        ".maxntid 256, 2\n.minnctapersm 3 .maxnreg 64 .reqnctapercluster 1\n"
        ".explicitcluster .maxclusterrank 8 .pragma \"nounroll\";\n"
        "{ ret; }\n"
        ".entry r .reqntid 32, 4, 2 { exit; }\n"
        ".func twin();\n.alias twin, helper;\n");
  CHECK_STR(errors(&p), "");
  bool five = p.module != NULL && p.module->function_count == 5;
  CHECK(five);
  if (!five) {
    fini(&p);
    return;
  }
  const tsr_ptx_function *f = p.module->functions;
  CHECK(named(f[0].name, "printf") && f[0].is_extern && !f[0].has_body);
  CHECK(f[0].result_count == 1 && f[0].param_count == 2);
  CHECK(f[0].params[1].align == 8 && f[0].params[1].count == 16);
  CHECK(f[1].is_weak && f[1].is_noreturn && f[1].has_body && !f[1].is_entry);
  CHECK(f[2].is_entry && f[2].is_visible && f[2].params[0].align == 8);
  CHECK(f[2].params[1].align == 64 && f[2].params[1].is_array);
  CHECK(f[2].max_threads[0] == 256 && f[2].max_threads[1] == 2);
  CHECK(f[2].max_threads[2] == 1 && f[2].required_threads[0] == 0);
  CHECK(f[2].min_blocks == 3 && f[2].max_registers == 64);
  CHECK(f[2].required_cluster[0] == 1 && f[2].required_cluster[2] == 1);
  CHECK(f[3].param_count == 0 && f[3].required_threads[2] == 2);
  CHECK(named(f[4].name, "twin") && f[4].has_body);
  CHECK(f[4].statements == f[1].statements);
  CHECK_EQ(f[3].end.line, 17);
  fini(&p);
}

// The statements of "entry k() { |body| }".
static const tsr_ptx_statement *body(parsed *p, const char *text,
                                     uint32_t count) {
  static const tsr_ptx_statement none[16];
  char whole[2048];
  (void)snprintf(whole, sizeof(whole), HEAD ".entry k() {\n%s\n}\n", text);
  parse(p, whole);
  CHECK_STR(errors(p), "");
  if (p->module == NULL) return none;
  CHECK_EQ(p->module->functions[0].statement_count, count);
  return p->module->functions[0].statement_count == count
             ? p->module->functions[0].statements
             : none;
}

static void check_statements(void) {
  parsed p;
  const tsr_ptx_statement *s = body(
      &p,
      ".reg .pred %p<4>; .reg .f32 a, b<2>, c;\n"
      ".pragma \"nounroll\";\n.loc 1 2 3, function_name $L__x+4, "
      "inlined_at 1 5 6\n"
      "$L_1:\n"
      "{ .local .align 8 .b8 depot[16]; }\n"
      "ts: .branchtargets $L_1, end;\n"
      "proto: .callprototype (.param .b32 _) _ (.param .b64 _) .noreturn;\n"
      "end: ret;",
      12);
  CHECK(s[0].kind == TSR_PTX_STATEMENT_VARIABLE);
  CHECK(s[0].as.variable.range == 4 && s[0].as.variable.type == TSR_PTX_PRED);
  CHECK(s[2].as.variable.range == 2 && named(s[2].as.variable.name, "b"));
  CHECK(s[3].as.variable.range == 0 && named(s[3].as.variable.name, "c"));
  CHECK(s[4].kind == TSR_PTX_STATEMENT_LABEL && named(s[4].as.label, "$L_1"));
  CHECK(s[5].kind == TSR_PTX_STATEMENT_OPEN);
  CHECK(s[6].as.variable.space == TSR_PTX_SPACE_LOCAL);
  CHECK(s[7].kind == TSR_PTX_STATEMENT_CLOSE);
  CHECK(s[8].kind == TSR_PTX_STATEMENT_TARGETS && s[8].as.targets.count == 2);
  CHECK(named(s[8].as.targets.names[1], "end"));
  CHECK(s[9].kind == TSR_PTX_STATEMENT_PROTOTYPE);
  CHECK(s[9].as.prototype->result_count == 1);
  CHECK(s[9].as.prototype->param_count == 1);
  CHECK(s[10].kind == TSR_PTX_STATEMENT_LABEL);
  CHECK(named(s[11].as.instruction.opcode, "ret"));
  CHECK_EQ(s[11].pos.line, 12);
  CHECK_EQ(s[11].pos.column, 6);
  fini(&p);
}

static void check_modifiers(void) {
  parsed p;
  const tsr_ptx_statement *s =
      body(&p,
           "@!%p1 ld.global.L1::no_allocate.L2::128B.v4.u32 {a,b,c,_}, [x+16];"
           "cp.async.bulk.tensor.1d.shared::cluster.global [s], [m, {x}], [b];",
           2);
  const tsr_ptx_instruction *i = &s[0].as.instruction;
  CHECK(named(i->guard, "%p1") && i->guard_negated);
  CHECK(named(i->opcode, "ld"));
  CHECK_EQ(i->modifier_count, 5);
  if (i->modifier_count == 5) {
    CHECK(named(i->modifiers[1].name, "L1::no_allocate"));
    CHECK(named(i->modifiers[2].name, "L2::128B"));
    CHECK(named(i->modifiers[4].name, "u32"));
    CHECK_EQ(i->modifiers[4].pos.column, 44);
  }
  i = &s[1].as.instruction;
  CHECK_EQ(i->modifier_count, 6);
  if (i->modifier_count == 6) CHECK(named(i->modifiers[3].name, "1d"));
  fini(&p);
}

static const tsr_ptx_operand *operand(parsed *p, const char *text) {
  static const tsr_ptx_operand none;
  char line[256];
  (void)snprintf(line, sizeof(line), "op.b32 %s;", text);
  const tsr_ptx_statement *s = body(p, line, 1);
  CHECK_EQ(s[0].as.instruction.operand_count, 1);
  return s[0].as.instruction.operand_count == 1 ? s[0].as.instruction.operands
                                                : &none;
}

typedef struct operand_case {
  const char *text;
  tsr_ptx_operand_kind kind;
  const char *name;
  uint64_t integer;
  char component;
  bool flag;  // negated, or of an integer: signed
  uint32_t items;
} operand_case;

static void check_operands(void) {
  static const operand_case cases[] = {
      {"%r1", TSR_PTX_NAME, "%r1", 0, 0, false, 0},
      {"%tid.x", TSR_PTX_NAME, "%tid", 0, 'x', false, 0},
      {"v.a", TSR_PTX_NAME, "v", 0, 'w', false, 0},
      {"!%p1", TSR_PTX_NAME, "%p1", 0, 0, true, 0},
      {"table+8", TSR_PTX_NAME, "table", 8, 0, false, 0},
      {"_", TSR_PTX_SINK, "", 0, 0, false, 0},
      {"42", TSR_PTX_INTEGER, "", 42, 0, true, 0},
      {"-42", TSR_PTX_INTEGER, "", (uint64_t)-42, 0, true, 0},
      {"42U", TSR_PTX_INTEGER, "", 42, 0, false, 0},
      {"0xFFFFFFFFFFFFFFFF", TSR_PTX_INTEGER, "", UINT64_MAX, 0, false, 0},
      {"0b101", TSR_PTX_INTEGER, "", 5, 0, true, 0},
      {"017", TSR_PTX_INTEGER, "", 15, 0, true, 0},
      {"WARP_SZ-1", TSR_PTX_INTEGER, "", 31, 0, true, 0},
      {"!0", TSR_PTX_INTEGER, "", 1, 0, true, 0},
      {"!WARP_SZ", TSR_PTX_INTEGER, "", 0, 0, true, 0},
      {"(1 + 2) * 3", TSR_PTX_INTEGER, "", 9, 0, true, 0},
      {"0f3F800000", TSR_PTX_FLOAT32, "", 0x3f800000, 0, false, 0},
      {"-0F3F800000", TSR_PTX_FLOAT32, "", 0xbf800000, 0, false, 0},
      {"0d3FF0000000000000", TSR_PTX_FLOAT64, "", UINT64_C(0x3ff0000000000000),
       0, false, 0},
      {"-2.5e-1", TSR_PTX_FLOAT64, "", UINT64_C(0xbfd0000000000000), 0, false,
       0},
      {".5", TSR_PTX_FLOAT64, "", UINT64_C(0x3fe0000000000000), 0, false, 0},
      {"5.", TSR_PTX_FLOAT64, "", UINT64_C(0x4014000000000000), 0, false, 0},
      {"1.e2", TSR_PTX_FLOAT64, "", UINT64_C(0x4059000000000000), 0, false, 0},
      {"1E2", TSR_PTX_FLOAT64, "", UINT64_C(0x4059000000000000), 0, false, 0},
      {".25e+2", TSR_PTX_FLOAT64, "", UINT64_C(0x4039000000000000), 0, false,
       0},
      {"[a]", TSR_PTX_ADDRESS, "a", 0, 0, false, 0},
      {"[%rd1+-8]", TSR_PTX_ADDRESS, "%rd1", (uint64_t)-8, 0, false, 0},
      {"[a-8]", TSR_PTX_ADDRESS, "a", (uint64_t)-8, 0, false, 0},
      {"[a+4*2]", TSR_PTX_ADDRESS, "a", 8, 0, false, 0},
      {"[1024]", TSR_PTX_ADDRESS, "", 1024, 0, false, 0},
      {"[map, {%r1, 2}]", TSR_PTX_ADDRESS, "map", 0, 0, false, 1},
      {"[map, {%r1, 2, 3}, {%h1}]", TSR_PTX_ADDRESS, "map", 0, 0, false, 2},
      {"{a, _, 3, b}", TSR_PTX_VECTOR, "", 0, 0, false, 4},
      {"p|q", TSR_PTX_PAIR, "", 0, 0, false, 2},
      {"_|q", TSR_PTX_PAIR, "", 0, 0, false, 2},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    parsed p;
    const tsr_ptx_operand *o = operand(&p, cases[i].text);
    bool flag = o->kind == TSR_PTX_INTEGER ? o->is_signed : o->negated;
    bool good = o->kind == cases[i].kind && named(o->name, cases[i].name) &&
                o->integer == cases[i].integer &&
                o->component == cases[i].component && flag == cases[i].flag &&
                o->item_count == cases[i].items;
    CHECK(good);
    if (!good) fprintf(stderr, "  operand '%s'\n", cases[i].text);
    fini(&p);
  }
}

static void check_calls(void) {
  parsed p;
  const tsr_ptx_statement *s = body(
      &p, "call.uni (r), \nf, \n(\na,\nb\n);\ncall f;\ncall (), %d, ();", 3);
  const tsr_ptx_instruction *i = &s[0].as.instruction;
  CHECK_EQ(i->operand_count, 3);
  if (i->operand_count == 3) {
    CHECK(i->operands[0].kind == TSR_PTX_TUPLE);
    CHECK(i->operands[2].item_count == 2);
    CHECK(named(i->operands[2].items[1].name, "b"));
  }
  CHECK_EQ(s[1].as.instruction.operand_count, 1);
  CHECK_EQ(s[2].as.instruction.operand_count, 3);
  fini(&p);
}

static void check_sections(void) {
  parsed p;
  parse(&p, HEAD
        ".file 1 \"a \\\"b\\\".cu\", 123, 45\n"
        ".section .debug_info\n{\n.b32 1, 2\n$L__s:\n.b64 $L__s+4\n"
        "{ .b8 'nothing of this is read' }\n}\n"
        ".entry k() { ret; }\n");
  CHECK_STR(errors(&p), "");
  fini(&p);
}

// --- What is refused --------------------------------------------------------

typedef struct mistake {
  const char *text;
  const char *message;
} mistake;

#define BODY(text) HEAD ".entry k() {\n" text "\n}\n"

static const mistake mistakes[] = {
    {"",
     "ptx(1,1): error: expected '.version' at the beginning, found the end of "
     "the text\n"},
    {".target sm_90",
     "ptx(1,1): error: expected '.version' at the beginning, found "
     "'.target'\n"},
    {".version 7.8\n.target sm_90",
     "ptx(1,10): error: PTX version 7.8 is not supported; 8.0 to 9.0 are\n"},
    {".version 9.1\n.target sm_90",
     "ptx(1,10): error: PTX version 9.1 is not supported; 8.0 to 9.0 are\n"},
    {".version 10.0\n.target sm_90",
     "ptx(1,10): error: PTX version 10.0 is not supported; 8.0 to 9.0 are\n"},
    {".version 8.10\n.target sm_90",
     "ptx(1,10): error: expected a version such as '8.5', found '8.10'\n"},
    {".version 8\n.target sm_90",
     "ptx(1,10): error: expected a version such as '8.5', found '8'\n"},
    {".version 9e1\n.target sm_90",
     "ptx(1,10): error: expected a version such as '8.5', found '9e1'\n"},
    {".version 8.0",
     "ptx(1,13): error: expected '.target' after '.version', found the end of "
     "the text\n"},
    {".version 8.0\n.target sm_75",
     "ptx(2,9): error: target 'sm_75' is not supported; sm_80 to sm_120 are, "
     "with 'a' from sm_90 and 'f' from sm_100 on\n"},
    {".version 8.0\n.target sm_80a",
     "ptx(2,9): error: target 'sm_80a' is not supported; sm_80 to sm_120 are, "
     "with 'a' from sm_90 and 'f' from sm_100 on\n"},
    {".version 8.0\n.target sm_90f",
     "ptx(2,9): error: target 'sm_90f' is not supported; sm_80 to sm_120 are, "
     "with 'a' from sm_90 and 'f' from sm_100 on\n"},
    {".version 8.0\n.target compute_90",
     "ptx(2,9): error: target 'compute_90' is not supported; sm_80 to sm_120 "
     "are, with 'a' from sm_90 and 'f' from sm_100 on\n"},
    {".version 8.0\n.target sm_90, map_f64_to_f32",
     "ptx(2,16): error: expected an option of '.target', found "
     "'map_f64_to_f32'\n"},
    {".version 8.0\n.target sm_90\n.address_size 32",
     "ptx(3,15): error: address size 32 is not supported; 64 is\n"},
    {HEAD "nonsense",
     "ptx(4,1): error: expected a directive, found 'nonsense'\n"},
    {HEAD ".nonsense;",
     "ptx(4,1): error: expected a directive, found '.nonsense'\n"},
    {HEAD ".visible .nonsense;",
     "ptx(4,10): error: expected '.entry', '.func' or a variable, found "
     "'.nonsense'\n"},
    {HEAD ".global x;", "ptx(4,9): error: expected a type, found 'x'\n"},
    {HEAD ".global .u33 x;",
     "ptx(4,9): error: expected a type, found '.u33'\n"},
    {HEAD ".global .bf16 x;",
     "ptx(4,9): error: expected a type, found '.bf16'\n"},
    {HEAD ".global .u32 .u32 x;", "ptx(4,14): error: a second type '.u32'\n"},
    {HEAD ".global .pred x;",
     "ptx(4,9): error: only registers can be '.pred'\n"},
    {HEAD ".global .v4 .f64 x;", "ptx(4,18): error: no vector '.v4 .f64'\n"},
    {HEAD ".global .align 3 .u32 x;",
     "ptx(4,16): error: an alignment must be a power of two\n"},
    {HEAD ".global .u32 x[];",
     "ptx(4,14): error: 'x' has no size; only '.extern' and initialised arrays "
     "may leave it out\n"},
    {HEAD ".global .u32 x[0];",
     "ptx(4,16): error: a dimension must be an integer from 1 to "
     "1099511627776\n"},
    {HEAD ".global .u32 x[2][];",
     "ptx(4,19): error: expected a dimension, found ']'\n"},
    {HEAD ".global .u32 x<4>;",
     "ptx(4,15): error: only registers have a range '<n>'\n"},
    {HEAD ".global .u32 x[1 << 20][1 << 20][1 << 20];",
     "ptx(4,14): error: 'x' is larger than 1 TiB\n"},
    {HEAD ".global .u32 x",
     "ptx(4,15): error: expected ';' after 'x', found the end of the text\n"},
    {HEAD ".global .u32 x = ;",
     "ptx(4,18): error: expected a constant, found ';'\n"},
    {HEAD ".global .u32 x = 1.5;",
     "ptx(4,18): error: type '.u32' needs an integer\n"},
    {HEAD ".global .f16 x = 1.5;",
     "ptx(4,18): error: no initial value is allowed for type '.f16'\n"},
    {HEAD ".global .u32 x = y;",
     "ptx(4,18): error: an address does not fit in type '.u32'\n"},
    {HEAD ".global .f64 x = y;",
     "ptx(4,18): error: an address does not fit in type '.f64'\n"},
    {HEAD ".global .u32 x = 0xF0F(y);",
     "ptx(4,18): error: a mask must be 0xFF, 0xFF00, ...\n"},
    {HEAD ".global .u32 x[2] = {1, 2, 3};",
     "ptx(4,28): error: more values than elements\n"},
    {HEAD ".global .u32 x[2] = {1, {2}};",
     "ptx(4,25): error: expected a constant, found '{'\n"},
    {HEAD ".global .u32 x[2][2] = {1, 2};",
     "ptx(4,25): error: expected '{', found '1'\n"},
    {HEAD ".global .u32 x[2] = 1;",
     "ptx(4,21): error: expected '{', found '1'\n"},
    {HEAD ".shared .u32 x = 1;",
     "ptx(4,16): error: only '.global' and '.const' can be initialised\n"},
    {HEAD ".global .u32 x = 1 / 0;", "ptx(4,20): error: a division by zero\n"},
    {HEAD ".global .u32 x = 1.0 << 2;",
     "ptx(4,22): error: operator '<<' needs integers\n"},
    {HEAD ".global .u32 x = ~1.0;",
     "ptx(4,18): error: operator '~' needs an integer\n"},
    {HEAD ".entry k(.param .u32) { ret; }",
     "ptx(4,21): error: expected a name, found ')'\n"},
    {HEAD ".entry k(.u32 a) { ret; }",
     "ptx(4,10): error: expected '.param', found '.u32'\n"},
    {HEAD ".entry k() .maxntid 0 { ret; }",
     "ptx(4,21): error: a size must be an integer from 1 to 2147483647\n"},
    {HEAD ".entry k() .nonsense { ret; }",
     "ptx(4,12): error: expected '{', ';' or a launch bound, found "
     "'.nonsense'\n"},
    {HEAD ".func (.param .b32 a, .param .b32 b) f() { ret; }",
     "ptx(4,7): error: a function returns at most one value\n"},
    {HEAD ".alias a, b;",
     "ptx(4,1): error: '.alias' needs a declared '.func' and a defined one\n"},
    {HEAD ".entry k() { ret;",
     "ptx(4,18): error: the body opened at line 4 is not closed\n"},
    {HEAD ".section .debug_info { .b8 1",
     "ptx(4,29): error: expected the section's '}', found the end of the "
     "text\n"},
    {HEAD ".file \"x\"",
     "ptx(4,7): error: expected a number, found string 'x'\n"},
    {HEAD "/* open", "ptx(4,1): error: a comment that is not closed\n"},
    {HEAD ".file 1 \"open",
     "ptx(4,9): error: a string that is not closed: '\"open'\n"},
    {BODY("ret"), "ptx(5,4): error: expected ';' after 'ret', found '}'\n"},
    {BODY("add.s32 %r1, %r2\nret;"),
     "ptx(5,17): error: expected ';' after '%r2', found 'ret'\n"},
    {BODY("add.s32 %r1 %r2, %r3;"),
     "ptx(5,13): error: expected ';' after '%r1', found '%r2'\n"},
    {BODY("add.s32 %r1, , %r3;"),
     "ptx(5,14): error: expected an operand, found ','\n"},
    {BODY("ld.u32 %r1, [%r2;"),
     "ptx(5,17): error: expected ']' after '%r2', found ';'\n"},
    {BODY("ld.u32 %r1, [];"),
     "ptx(5,14): error: expected an address, found ']'\n"},
    {BODY("ld.u32 %r1, [a+1.5];"),
     "ptx(5,16): error: an address needs integers\n"},
    {BODY("mov.b64 %d1, {%r1, %r2;"),
     "ptx(5,23): error: expected '}' after '%r2', found ';'\n"},
    {BODY("mov.u32 %r1, 08;"), "ptx(5,14): error: not a number: '08'\n"},
    {BODY("mov.u32 %r1, 7u;"), "ptx(5,14): error: not a number: '7u'\n"},
    {BODY("mov.f32 %f1, 1.e;"),
     "ptx(5,15): error: expected ';' after '1', found '.e'\n"},
    {BODY("mov.f32 %f1, .5x;"),
     "ptx(5,14): error: expected an operand, found '.5x'\n"},
    {BODY("mov.u32 %r1, a[1];"),
     "ptx(5,15): error: expected ';' after 'a', found '['\n"},
    {BODY("mov.u32 %r1, 0x;"),
     "ptx(5,14): error: a number without digits: '0x'\n"},
    {BODY("mov.u32 %r1, 12ab;"), "ptx(5,14): error: not a number: '12ab'\n"},
    {BODY("mov.u32 %r1, 0x10000000000000000;"),
     "ptx(5,14): error: an integer of more than 64 bits: "
     "'0x10000000000000000'\n"},
    {BODY("mov.f32 %f1, 0f3F80;"),
     "ptx(5,14): error: a float of 0f needs exactly 8 hexadecimal digits: "
     "'0f3F80'\n"},
    {BODY("mov.f64 %f1, 0d3FF00000000000000;"),
     "ptx(5,14): error: a float of 0d needs exactly 16 hexadecimal digits: "
     "'0d3FF00000000000000'\n"},
    {BODY("mov.u32 %r1, `;"),
     "ptx(5,14): error: a character that is not PTX: '`'\n"},
    {BODY("@ ret;"), "ptx(5,6): error: expected an instruction, found ';'\n"},
    {BODY("@!%p1;"), "ptx(5,6): error: expected an instruction, found ';'\n"},
    {BODY(".reg .b32 %r<0>;"),
     "ptx(5,14): error: a range of registers must be from 1 to 1048576\n"},
    {BODY(".reg .b32 %r<9999999>;"),
     "ptx(5,14): error: a range of registers must be from 1 to 1048576\n"},
    {BODY(".reg .b32 %r[4];"), "ptx(5,11): error: registers form no arrays\n"},
    {BODY(".nonsense 4;"),
     "ptx(5,1): error: expected a directive, found '.nonsense'\n"},
    {BODY("ts: .branchtargets ;"),
     "ptx(5,20): error: expected a name, found ';'\n"},
    {BODY(".loc 1 2"), "ptx(6,1): error: expected a number, found '}'\n"},
    {BODY("call (a, b, f, (c);"),
     "ptx(5,17): error: expected a constant, found 'c'\n"},
    {BODY("mov.u32 %r1, a|;"),
     "ptx(5,16): error: expected an operand, found ';'\n"},
    {BODY("mov.u32 %r1, _.x;"),
     "ptx(5,15): error: expected ';' after '_', found '.x'\n"},
    {BODY("mov.u32 %r1, a b c;\nmov %r2;\nret ret;"),
     "ptx(5,16): error: expected ';' after 'a', found 'b'\n"},
};

static void check_mistakes(void) {
  for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); ++i) {
    parsed p;
    parse(&p, mistakes[i].text);
    CHECK_EQ(p.status, TSR_CORRUPT);
    CHECK(p.module == NULL);
    CHECK_STR(errors(&p), mistakes[i].message);
    fini(&p);
  }
}

static void check_limits(void) {
  // Twenty mistakes, then silence.
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_buffer_append_string(&text, HEAD ".entry k() {\n");
  for (int i = 0; i < 100; ++i) tsr_buffer_append_string(&text, "ret ,;\n");
  parsed p;
  parse(&p, tsr_buffer_text(&text));
  CHECK_EQ(p.log.error_count, 20);
  fini(&p);
  // Nesting.
  for (size_t k = 0; k < 2; ++k) {
    tsr_buffer_clear(&text);
    tsr_buffer_append_string(&text, HEAD ".entry k() {\n");
    if (k == 1) tsr_buffer_append_string(&text, "mov.u32 a, ");
    for (int i = 0; i < 100000; ++i) {
      tsr_buffer_append_char(&text, k == 0 ? '{' : '(');
    }
    parse(&p, tsr_buffer_text(&text));
    CHECK_EQ(p.status, TSR_CORRUPT);
    CHECK(strstr(errors(&p), "nested too deeply") != NULL);
    fini(&p);
  }
  tsr_buffer_fini(&text);
}

// --- Damage -----------------------------------------------------------------

static const char whole[] = HEAD
    ".global .u64 x[2] = {x, generic(x)+4};\n"
    ".visible .func (.param .b32 r) f(.param .b64 a) { ret; }\n"
    ".entry k(.param .u64 a) .maxntid 32 {\n"
    ".reg .b32 %r<4>; .local .b8 d[8];\n"
    "L: @!p ld.global.v2.u32 {%r1, %r2}, [a+(4*2)]; // comment\n"
    "call (r), f, (a); setp.lt.s32 p|q, %r1, -0x10;\n"
    "t: .branchtargets L; { bra L; } ret; }\n";

static void check_damage(void) {
  size_t size = sizeof(whole) - 1;
  parsed p;
  parse(&p, whole);
  CHECK_STR(errors(&p), "");
  fini(&p);
  // Trailing NULs are no damage; others are.
  parse_bytes(&p, whole, size + 1);
  CHECK_EQ(p.status, TSR_OK);
  fini(&p);
  parse_bytes(&p, HEAD "\0.entry k() { ret; }", sizeof(HEAD) + 19);
  CHECK_STR(errors(&p), "ptx(4,1): error: a NUL byte\n");
  fini(&p);
  for (size_t i = 0; i < size; ++i) {
    parse_bytes(&p, whole, i);
    CHECK((p.status == TSR_OK) == (p.log.error_count == 0));
    fini(&p);
  }
  char copy[sizeof(whole)];
  static const char bytes[] = {'\0', ';', '{', '}', '"', '(', (char)0xff};
  for (size_t i = 0; i < size; ++i) {
    for (size_t k = 0; k < sizeof(bytes); ++k) {
      memcpy(copy, whole, sizeof(whole));
      copy[i] = bytes[k];
      parse_bytes(&p, copy, size);
      CHECK((p.status == TSR_OK) == (p.module != NULL));
      fini(&p);
    }
  }
}

static void check_out_of_memory(void) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_buffer_append_string(&text, whole);
  // Enough for lists to grow.
  tsr_buffer_append_string(&text, ".entry l() {\n");
  for (int i = 0; i < 2000; ++i) {
    tsr_buffer_append_string(&text, "add.s32 %r1, {%r2, %r3}, a|b;\n");
  }
  tsr_buffer_append_string(&text, "}\n");
  bool done = false;
  uint64_t nth = 1;
  for (; !done && nth < 1000; ++nth) {
    parsed p;
    memset(&p, 0, sizeof(p));
    (void)tsr_memory_fail_at(nth);
    p.status = tsr_ptx_parse(tsr_buffer_text(&text), text.size, &p.arena,
                             &p.log, &p.module, &p.error);
    (void)tsr_memory_fail_at(0);
    done = p.status == TSR_OK;
    if (!done) CHECK_EQ(p.status, TSR_OUT_OF_MEMORY);
    CHECK((p.module != NULL) == done);
    fini(&p);
  }
  CHECK(done && nth > 20);
  // The log's own memory counts too.
  parsed p;
  memset(&p, 0, sizeof(p));
  done = false;
  for (nth = 1; !done && nth < 100; ++nth) {
    memset(&p, 0, sizeof(p));
    (void)tsr_memory_fail_at(nth);
    p.status =
        tsr_ptx_parse("nonsense", 8, &p.arena, &p.log, &p.module, &p.error);
    (void)tsr_memory_fail_at(0);
    done = p.status == TSR_CORRUPT;
    if (!done) CHECK_EQ(p.status, TSR_OUT_OF_MEMORY);
    fini(&p);
  }
  CHECK(done && nth > 3);
  tsr_buffer_fini(&text);
}

static void check_types(void) {
  for (int i = TSR_PTX_NO_TYPE + 1; i < TSR_PTX_TYPE_COUNT; ++i) {
    const char *name = tsr_ptx_type_name((tsr_ptx_type)i);
    tsr_ptx_str string = {name, (uint32_t)strlen(name)};
    CHECK_EQ(tsr_ptx_type_from_name(string), i);
    CHECK(tsr_ptx_type_bits((tsr_ptx_type)i) > 0);
    CHECK(tsr_ptx_type_class((tsr_ptx_type)i) != TSR_PTX_KIND_NONE);
  }
  CHECK_EQ(tsr_ptx_type_from_name((tsr_ptx_str){"u3", 2}), TSR_PTX_NO_TYPE);
  CHECK_EQ(tsr_ptx_type_from_name((tsr_ptx_str){"u322", 4}), TSR_PTX_NO_TYPE);
  CHECK_EQ(tsr_ptx_type_bits((tsr_ptx_type)999), 0);
}

int main(void) {
  check_types();
  check_head();
  check_variables();
  check_initials();
  check_addresses();
  check_functions();
  check_statements();
  check_modifiers();
  check_operands();
  check_calls();
  check_sections();
  check_mistakes();
  check_limits();
  check_damage();
  check_out_of_memory();
  return test_finish();
}
