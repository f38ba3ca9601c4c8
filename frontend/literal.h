// SPDX-License-Identifier: Apache-2.0
// What is written between quotes: escapes and {variable} substitution.
#ifndef FRONTEND_LITERAL_H_
#define FRONTEND_LITERAL_H_

#include "frontend/ast.h"

// One loop variable; the innermost first.
typedef struct tsr_binding {
  const struct tsr_binding *outer;
  tsr_slice name;
  bool is_number;
  uint64_t number;
  const char *text;  // when it is no number
} tsr_binding;

// Expands STRING |node| under |bindings| (NULL: none in scope) into the arena.
// Returns false when out of memory. |*out_good| is false when a mistake was
// reported, now or before; |*out_text| is "" then. A mistake that does not
// depend on the variables' values marks |node| erroneous: a loop reports it
// once.
bool tsr_literal_expand(tsr_compilation *compilation, tsr_node *node,
                        const tsr_binding *bindings, const char **out_text,
                        bool *out_good);

// As above for a string that stands outside loops and may not be empty.
bool tsr_literal_plain(tsr_compilation *compilation, tsr_node *node,
                       const char **out_text, bool *out_good);

#endif  // FRONTEND_LITERAL_H_
