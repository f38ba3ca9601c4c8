// SPDX-License-Identifier: Apache-2.0
// Directives that do not change what a kernel does: debugging information and
// pragmas (PTX ISA 11.5, 11.3). They are read so that damaged text is still
// found, and then forgotten.
#include "ptx/parser.h"

static bool integers(tsr_ptx_parser *p, uint32_t count) {
  uint64_t value;
  for (uint32_t i = 0; i < count; ++i) {
    if (!tsr_ptx_bounded(p, "a number", 0, UINT32_MAX, &value)) return false;
  }
  return true;
}

// .file 1 "name" {, time, size}
static bool skip_file(tsr_ptx_parser *p) {
  uint64_t value;
  if (!integers(p, 1) || !tsr_ptx_expect_string(p, "a file's name")) {
    return false;
  }
  while (tsr_ptx_take_mark(p, ',')) {
    if (!tsr_ptx_bounded(p, "a number", 0, UINT64_MAX, &value)) return false;
  }
  return true;
}

// .loc file line column {, function_name label {+ n}, inlined_at f l c}
static bool skip_loc(tsr_ptx_parser *p) {
  if (!integers(p, 3)) return false;
  while (tsr_ptx_take_mark(p, ',')) {
    tsr_ptx_str label;
    if (tsr_ptx_at_name(p, "function_name")) {
      tsr_ptx_advance(p);
      if (!tsr_ptx_expect_name(p, "a label", &label)) return false;
      if (tsr_ptx_take_mark(p, '+') && !integers(p, 1)) return false;
    } else if (tsr_ptx_at_name(p, "inlined_at")) {
      tsr_ptx_advance(p);
      if (!integers(p, 3)) return false;
    } else {
      return tsr_ptx_expected(p, "'function_name' or 'inlined_at'");
    }
  }
  return true;
}

// .section .debug_info { ... }
static bool skip_section(tsr_ptx_parser *p) {
  if (p->token.kind != TSR_PTX_TOKEN_DOTTED) {
    return tsr_ptx_expected(p, "a section's name");
  }
  tsr_ptx_advance(p);
  uint64_t depth = 0;
  do {
    if (tsr_ptx_at_mark(p, '{')) ++depth;
    if (depth == 0) return tsr_ptx_expect_mark(p, '{');
    if (tsr_ptx_at_mark(p, '}')) --depth;
    if (p->token.kind == TSR_PTX_TOKEN_END) {
      return tsr_ptx_expected(p, "the section's '}'");
    }
    tsr_ptx_advance(p);
  } while (depth > 0);
  return true;
}

static bool skip_pragma(tsr_ptx_parser *p) {
  do {
    if (!tsr_ptx_expect_string(p, "a string")) return false;
  } while (tsr_ptx_take_mark(p, ','));
  return tsr_ptx_expect_end(p);
}

bool tsr_ptx_skip_directive(tsr_ptx_parser *p, bool *out_known) {
  *out_known = true;
  if (tsr_ptx_take_dotted(p, "loc")) return skip_loc(p);
  if (tsr_ptx_take_dotted(p, "file")) return skip_file(p);
  if (tsr_ptx_take_dotted(p, "section")) return skip_section(p);
  if (tsr_ptx_take_dotted(p, "pragma")) return skip_pragma(p);
  *out_known = false;
  return true;
}
