// SPDX-License-Identifier: Apache-2.0
// The one message of the parser, made readable.
#ifndef FRONTEND_SYNTAX_ERROR_H_
#define FRONTEND_SYNTAX_ERROR_H_

#include "frontend/parse.h"

// Reports that |found| (a token's name) at |span| is none of |expected|.
void tsr_syntax_error(tsr_parser *parse, tsr_span span, const char *found,
                      const char *const *expected, uint32_t expected_count);

#endif  // FRONTEND_SYNTAX_ERROR_H_
