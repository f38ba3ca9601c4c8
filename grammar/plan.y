// SPDX-License-Identifier: Apache-2.0
// The grammar of plans (docs/language.md tells it in prose). Productions only:
// an action is one builder call. Semantic values live in the compilation's
// arena, so nothing is freed here and recovery cannot leak.
//
// Recovery: ';' and '}' are the only places to go on from, with one error rule
// per level of statements; what was lost becomes an ERROR node.
%require "3.8"
%define api.pure full
%define api.prefix {tsr_plan_}
%define api.token.prefix {TSR_TOK_}
%define api.value.type union
%define api.location.type {struct tsr_span}
%define parse.error custom
%define parse.lac full
%define parse.trace
%locations
%param { yyscan_t scanner }
%parse-param { struct tsr_parser *parse }
%expect 0

%code requires {
#include "frontend/parse.h"

#ifndef YY_TYPEDEF_YY_SCANNER_T
#define YY_TYPEDEF_YY_SCANNER_T
typedef void *yyscan_t;
#endif

// An empty right-hand side is zero-width, after what stands before it.
#define YYLLOC_DEFAULT(Current, Rhs, N)                      \
  do {                                                       \
    if (N) {                                                 \
      (Current) = YYRHSLOC(Rhs, 1);                          \
      (Current).end = YYRHSLOC(Rhs, N).end;                  \
    } else {                                                 \
      (Current) = YYRHSLOC(Rhs, 0);                          \
      (Current).begin = (Current).end = YYRHSLOC(Rhs, 0).end; \
    }                                                        \
  } while (0)
}

%code provides {
// One token; wraps the generated scanner so that its fatal errors come back as
// the end of the file with parse->out_of_memory set.
int tsr_plan_lex(TSR_PLAN_STYPE *value, TSR_PLAN_LTYPE *location,
                 yyscan_t scanner);
}

%code {
#include "base/memory.h"
#include "frontend/syntax_error.h"

#define YYMALLOC tsr_malloc
#define YYFREE tsr_free

static void yyerror(const struct tsr_span *location, yyscan_t scanner,
                    struct tsr_parser *parse, const char *message);

#define NEW(kind, span) tsr_node_new(parse, TSR_NODE_##kind, (span))
#define WORD(kind, span) \
  tsr_node_text(parse, TSR_NODE_##kind, (span), tsr_parse_slice(parse, (span)))
}

%token
  END 0       "end of file"
  STRING      "string"
  WORD        "word"
  NUMBER      "number"
  DECIMAL     "decimal number"
  SHAPE       "shape"
  BAD_NUMBER  "malformed number"
  BAD_STRING  "malformed string"
  SEMICOLON   ";"
  COMMA       ","
  LBRACE      "{"
  RBRACE      "}"
  LBRACKET    "["
  RBRACKET    "]"
  DOTDOT      ".."
  PERCENT     "%"
  MODEL       "model"
  INCLUDE     "include"
  WEIGHTS     "weights"
  MASKS       "masks"
  TARGET      "target"
  TOKENS      "tokens"
  TILE        "tile"
  TYPE        "type"
  OUTPUT      "output"
  FOR         "for"
  IN          "in"
  STEP        "step"
  LAYER       "layer"
  MATCH       "match"
  WEIGHT      "weight"
  CONCAT      "concat"
  INTERLEAVE  "interleave"
  BIAS        "bias"
  ACTIVATION  "activation"
  RESIDUAL    "residual"
  REQUIRE     "require"
  DENSE       "dense"
  SPARSE24    "sparse24"
  ZERO        "zero"
  ROWS        "rows"
  COLUMNS     "columns"
  SCHEDULE    "schedule"
  WORKERS     "workers"
  BALANCE     "balance"
  SPLIT       "split"
  FROM        "from"
  AS          "as"
  SEED        "seed"
;

%type <struct tsr_node *>
  statements statement lost close setting
  source source_clauses source_clause percent
  for loop_values loop_items loop_item step loop_list loop_value
  layer layer_items layer_item match match_items match_item rule extent
  tensors tensor tensor_clauses tensor_clause biases bias
  token_ranges token_range range open_range words
  schedule schedule_items schedule_item
  string word number shape kind

%%

plan:
  statements { parse->root = tsr_node_set_body(NEW(ROOT, @$), $1); }
;

statements:
  %empty                { $$ = NEW(LIST, @$); }
| statements statement  { $$ = tsr_node_add($1, $2); }
;

statement:
  MODEL string ";"      { $$ = tsr_node_add(NEW(MODEL, @$), $2); }
| INCLUDE string ";"    { $$ = tsr_node_add(NEW(INCLUDE, @$), $2); }
| TARGET word ";"       { $$ = tsr_node_add(NEW(TARGET, @$), $2); }
| TARGET word words ";"
    { $$ = tsr_node_add_all(tsr_node_add(NEW(TARGET, @$), $2), $3); }
| setting
| for
| layer
| match
| lost
| error "}"             { $$ = NEW(ERROR, @$); yyerrok; }
;

// What could not be read, to the ';' or the block that ends it.
lost:
  error ";"             { $$ = NEW(ERROR, @$); yyerrok; }
| error "{" junk "}"    { $$ = NEW(ERROR, @$); yyerrok; }
;

close:
  "}"                   { $$ = NULL; }
| error "}"             { $$ = NEW(ERROR, @$); yyerrok; }
;

junk:
  %empty
| junk junk_item
;

junk_item:
  "{" junk "}"
| STRING | WORD | NUMBER | DECIMAL | SHAPE | BAD_NUMBER | BAD_STRING
| SEMICOLON | COMMA | LBRACKET | RBRACKET | DOTDOT | PERCENT | MODEL
| INCLUDE | WEIGHTS | MASKS | TARGET | TOKENS | TILE | TYPE | OUTPUT | FOR
| IN | STEP | LAYER | MATCH | WEIGHT | CONCAT | INTERLEAVE | BIAS
| ACTIVATION | RESIDUAL | REQUIRE | DENSE | SPARSE24 | ZERO | ROWS | COLUMNS
| SCHEDULE | WORKERS | BALANCE | SPLIT | FROM | AS | SEED
;

words:
  word                  { $$ = tsr_node_add(NEW(LIST, @$), $1); }
| words "," word        { $$ = tsr_node_add($1, $3); }
;

// What a plan sets for all layers, a match for some, and a layer for itself.
setting:
  source
| TOKENS token_ranges ";"
    { $$ = tsr_node_add_all(NEW(TOKENS, @$), $2); }
| TILE shape ";"        { $$ = tsr_node_add(NEW(TILE, @$), $2); }
| TYPE word ";"         { $$ = tsr_node_add(NEW(TYPE, @$), $2); }
| OUTPUT word ";"       { $$ = tsr_node_add(NEW(OUTPUT, @$), $2); }
| schedule
;

source:
  WEIGHTS source_clauses ";"
    { $$ = tsr_node_add_all(NEW(WEIGHTS, @$), $2); }
| MASKS source_clauses ";"
    { $$ = tsr_node_add_all(NEW(MASKS, @$), $2); }
;

source_clauses:
  source_clause         { $$ = tsr_node_add(NEW(LIST, @$), $1); }
| source_clauses source_clause  { $$ = tsr_node_add($1, $2); }
;

source_clause:
  word
| string
| FROM string           { $$ = tsr_node_add(NEW(FROM, @$), $2); }
| AS string             { $$ = tsr_node_add(NEW(AS, @$), $2); }
| SEED number           { $$ = tsr_node_add(NEW(SEED, @$), $2); }
| SPARSE24 percent      { $$ = tsr_node_add(NEW(SPARSE24, @$), $2); }
| ZERO percent          { $$ = tsr_node_add(NEW(ZERO, @$), $2); }
;

percent:
  NUMBER "%"            { $$ = tsr_node_percent(parse, @1); }
| DECIMAL "%"           { $$ = tsr_node_percent(parse, @1); }
;

for:
  FOR { tsr_parse_enter_loop(parse, @1); }
  word IN loop_values "{" loop_items close
    {
      $$ = tsr_node_set_body(
          tsr_node_add(tsr_node_add(NEW(FOR, @$), $word), $loop_values),
          tsr_node_add($loop_items, $close));
      tsr_parse_leave_loop(parse);
    }
;

loop_values:
  range                 { $$ = tsr_node_add(NEW(LIST, @$), $1); }
| range step
    { $$ = tsr_node_add(NEW(LIST, @$), tsr_node_add($1, $2)); }
| "[" loop_list "]"     { $$ = $2; if ($$ != NULL) $$->span = @$; }
;

step:
  STEP number           { $$ = tsr_node_add(NEW(STEP, @$), $2); }
;

loop_list:
  loop_value            { $$ = tsr_node_add(NEW(LIST, @$), $1); }
| loop_list "," loop_value  { $$ = tsr_node_add($1, $3); }
;

loop_value:
  number
| string
| range
| range step            { $$ = tsr_node_add($1, $2); }
;

loop_items:
  %empty                { $$ = NEW(LIST, @$); }
| loop_items loop_item  { $$ = tsr_node_add($1, $2); }
| loop_items lost       { $$ = tsr_node_add($1, $2); }
;

loop_item:
  layer
| match
| for
;

layer:
  LAYER string "{" layer_items close
    {
      $$ = tsr_node_set_body(tsr_node_add(NEW(LAYER, @$), $2),
                             tsr_node_add($4, $5));
    }
| LAYER error "{" junk "}"  { $$ = NEW(ERROR, @$); yyerrok; }
;

layer_items:
  %empty                { $$ = NEW(LIST, @$); }
| layer_items layer_item  { $$ = tsr_node_add($1, $2); }
| layer_items lost       { $$ = tsr_node_add($1, $2); }
;

layer_item:
  WEIGHT tensors ";"    { $$ = tsr_node_add_all(NEW(WEIGHT, @$), $2); }
| CONCAT tensors ";"    { $$ = tsr_node_add_all(NEW(CONCAT, @$), $2); }
| INTERLEAVE tensors ";"
    { $$ = tsr_node_add_all(NEW(INTERLEAVE, @$), $2); }
| BIAS ";"              { $$ = NEW(BIAS, @$); }
| BIAS biases ";"       { $$ = tsr_node_add_all(NEW(BIAS, @$), $2); }
| ACTIVATION word ";"   { $$ = tsr_node_add(NEW(ACTIVATION, @$), $2); }
| RESIDUAL ";"          { $$ = NEW(RESIDUAL, @$); }
| match_item
;

match:
  MATCH string "{" match_items close
    {
      $$ = tsr_node_set_body(tsr_node_add(NEW(MATCH, @$), $2),
                             tsr_node_add($4, $5));
    }
| MATCH error "{" junk "}"  { $$ = NEW(ERROR, @$); yyerrok; }
;

match_items:
  %empty                { $$ = NEW(LIST, @$); }
| match_items match_item  { $$ = tsr_node_add($1, $2); }
| match_items lost       { $$ = tsr_node_add($1, $2); }
;

match_item:
  setting
| rule ";"              { $$ = $1; if ($$ != NULL) $$->span = @$; }
;

rule:
  kind                  { $$ = tsr_node_add(NEW(RULE, @$), $1); }
| REQUIRE kind
    { $$ = tsr_node_add(tsr_node_add(NEW(RULE, @$), NEW(REQUIRE, @1)), $2); }
| rule ROWS extent
    { $$ = tsr_node_add($1, tsr_node_add(NEW(ROWS, @3), $3)); }
| rule COLUMNS extent
    { $$ = tsr_node_add($1, tsr_node_add(NEW(COLUMNS, @3), $3)); }
;

kind:
  DENSE                 { $$ = WORD(WORD, @1); }
| SPARSE24              { $$ = WORD(WORD, @1); }
| ZERO                  { $$ = WORD(WORD, @1); }
;

extent:
  number                { $$ = tsr_node_range(parse, @$, $1, $1); }
| range
| open_range
;

tensors:
  tensor                { $$ = tsr_node_add(NEW(LIST, @$), $1); }
| tensors "," tensor    { $$ = tsr_node_add($1, $3); }
;

tensor:
  string tensor_clauses
    { $$ = tsr_node_add_all(tsr_node_add(NEW(TENSOR, @$), $1), $2); }
| word shape tensor_clauses
    {
      $$ = tsr_node_add(tsr_node_add(NEW(TENSOR, @$), $1), $2);
      tsr_node_add_all($$, $3);
    }
;

tensor_clauses:
  %empty                { $$ = NEW(LIST, @$); }
| tensor_clauses tensor_clause  { $$ = tsr_node_add($1, $2); }
;

tensor_clause:
  shape
| FROM string           { $$ = tsr_node_add(NEW(FROM, @$), $2); }
| MASKS FROM string     { $$ = tsr_node_add(NEW(MASKS, @$), $3); }
;

biases:
  bias                  { $$ = tsr_node_add(NEW(LIST, @$), $1); }
| biases "," bias       { $$ = tsr_node_add($1, $3); }
;

bias:
  string
| word
;

token_ranges:
  token_range           { $$ = tsr_node_add(NEW(LIST, @$), $1); }
| token_ranges "," token_range  { $$ = tsr_node_add($1, $3); }
;

token_range:
  number                { $$ = tsr_node_range(parse, @$, $1, $1); }
| range
| open_range
;

range:
  number DOTDOT number  { $$ = tsr_node_range(parse, @$, $1, $3); }
;

open_range:
  number DOTDOT         { $$ = tsr_node_range(parse, @$, $1, NULL); }
;

schedule:
  SCHEDULE "{" schedule_items close
    { $$ = tsr_node_set_body(NEW(SCHEDULE, @$), tsr_node_add($3, $4)); }
;

schedule_items:
  %empty                { $$ = NEW(LIST, @$); }
| schedule_items schedule_item  { $$ = tsr_node_add($1, $2); }
| schedule_items lost       { $$ = tsr_node_add($1, $2); }
;

schedule_item:
  WORKERS number ";"    { $$ = tsr_node_add(NEW(WORKERS, @$), $2); }
| WORKERS word ";"      { $$ = tsr_node_add(NEW(WORKERS, @$), $2); }
| BALANCE word ";"      { $$ = tsr_node_add(NEW(BALANCE, @$), $2); }
| SPLIT word ";"        { $$ = tsr_node_add(NEW(SPLIT, @$), $2); }
;

string:
  STRING
    {
      tsr_span inside = {@1.source, @1.begin + 1, @1.end - 1};
      $$ = tsr_node_text(parse, TSR_NODE_STRING, @1,
                         tsr_parse_slice(parse, inside));
    }
;
word:   WORD            { $$ = WORD(WORD, @1); } ;
number: NUMBER          { $$ = tsr_node_number(parse, @1); } ;
shape:  SHAPE           { $$ = tsr_node_shape(parse, @1); } ;

%%

static int yyreport_syntax_error(const yypcontext_t *context, yyscan_t scanner,
                                 struct tsr_parser *parse) {
  (void)scanner;
  yysymbol_kind_t kinds[YYNTOKENS];
  int count = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
  if (count == YYENOMEM) {
    parse->out_of_memory = true;
    return 0;
  }
  const char *names[YYNTOKENS];
  for (int i = 0; i < count; ++i) names[i] = yysymbol_name(kinds[i]);
  yysymbol_kind_t found = yypcontext_token(context);
  tsr_syntax_error(parse, *yypcontext_location(context),
                   found == YYSYMBOL_YYEMPTY ? "" : yysymbol_name(found),
                   names, (uint32_t)(count < 0 ? 0 : count));
  return 0;
}

// Called for one thing only: the parser's stack could not grow.
static void yyerror(const struct tsr_span *location, yyscan_t scanner,
                    struct tsr_parser *parse, const char *message) {
  (void)location;
  (void)scanner;
  (void)message;
  parse->out_of_memory = true;
}

const char *tsr_token_name(int kind) {
  if (kind == TSR_TOKEN_COMMENT) return "comment";
  return yysymbol_name(YYTRANSLATE(kind));
}
