// SPDX-License-Identifier: Apache-2.0
// Glue between the generated scanner and the generated parser: the only file
// that sees the types of both, and the place where flex's jumps end.
#include "frontend/parse.h"
#include "plan_parser.h"
#define YYSTYPE TSR_PLAN_STYPE
#define YYLTYPE TSR_PLAN_LTYPE
#include "plan_scanner.h"

int tsr_scan_token(TSR_PLAN_STYPE *value, TSR_PLAN_LTYPE *location,
                   yyscan_t scanner);

// The jump crosses frames of flex only, so Bison's stacks are never lost.
int tsr_plan_lex(TSR_PLAN_STYPE *value, TSR_PLAN_LTYPE *location,
                 yyscan_t scanner) {
  tsr_parser *parse = tsr_flex_get_extra(scanner);
  if (setjmp(parse->jump) != 0) {
    *location = parse->current;
    return TSR_TOK_END;
  }
  if (parse->stopped || parse->out_of_memory) {
    *location = parse->current;
    return TSR_TOK_END;
  }
  return tsr_scan_token(value, location, scanner);
}

// False when out of memory. The scanner's memory is the arena's.
static bool start(tsr_parser *parse, yyscan_t *out_scanner) {
  if (setjmp(parse->jump) != 0) return false;
  if (tsr_flex_lex_init_extra(parse, out_scanner) != 0) return false;
  const tsr_source *source = parse->source;
  parse->offset = source->bom_size;
  // Flex writes into what it scans; it gets a copy, for carets show the text.
  return tsr_flex__scan_bytes(source->text + source->bom_size,
                              (int)(source->size - source->bom_size),
                              *out_scanner) != NULL;
}

tsr_status tsr_parse_run(tsr_parser *parse, tsr_error *error) {
  yyscan_t scanner;
  if (!start(parse, &scanner)) return tsr_error_out_of_memory(error);
  // The result says little: after recovery it is 0, and whether there were
  // mistakes is the diagnostics' to say.
  (void)tsr_plan_parse(scanner, parse);
  if (parse->out_of_memory) return tsr_error_out_of_memory(error);
  return TSR_OK;
}

tsr_status tsr_scan_run(tsr_parser *parse, tsr_error *error) {
  yyscan_t scanner;
  if (!start(parse, &scanner)) return tsr_error_out_of_memory(error);
  TSR_PLAN_STYPE value;
  TSR_PLAN_LTYPE location;
  while (tsr_plan_lex(&value, &location, scanner) != TSR_TOK_END) {
  }
  if (parse->out_of_memory) return tsr_error_out_of_memory(error);
  return TSR_OK;
}
