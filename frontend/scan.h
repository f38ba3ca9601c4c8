// SPDX-License-Identifier: Apache-2.0
// What the rules of grammar/plan.l call: positions, records of tokens and
// comments, reports of bad text, memory.
#ifndef FRONTEND_SCAN_H_
#define FRONTEND_SCAN_H_

#include <stddef.h>

#include "frontend/parse.h"

// Sets |*location| to the next |size| bytes.
void tsr_scan_advance(tsr_parser *parse, size_t size, tsr_span *location);
// Records a token and returns its kind.
int tsr_scan_accept(tsr_parser *parse, int kind, const tsr_span *location);
int tsr_scan_open(tsr_parser *parse, const tsr_span *location);
int tsr_scan_end(tsr_parser *parse, tsr_span *location);
int tsr_scan_keyword(const char *text, size_t size);
void tsr_scan_comment(tsr_parser *parse, tsr_span *location);
int tsr_scan_unterminated(tsr_parser *parse, const tsr_span *location);
int tsr_scan_curly_quote(tsr_parser *parse, const tsr_span *location);
int tsr_scan_bad_number(tsr_parser *parse, const tsr_span *location);
void tsr_scan_bad_character(tsr_parser *parse, const tsr_span *location);

void *tsr_scan_allocate(tsr_parser *parse, size_t size);
void *tsr_scan_reallocate(tsr_parser *parse, void *block, size_t size);
_Noreturn void tsr_scan_fatal(tsr_parser *parse, const char *message);

#endif  // FRONTEND_SCAN_H_
