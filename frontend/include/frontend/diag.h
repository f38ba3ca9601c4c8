// SPDX-License-Identifier: Apache-2.0
// Mistakes in a plan (and in the files it names): collected, sorted by
// position, printed with caret and notes, or as JSON. Codes are stable and
// never reused; frontend/diag_codes.def is their one list, docs/errors.md is
// generated from it.
#ifndef FRONTEND_DIAG_H_
#define FRONTEND_DIAG_H_

#include <stdio.h>

#include "base/buffer.h"
#include "frontend/source.h"

typedef enum tsr_severity {
  TSR_SEVERITY_NOTE,
  TSR_SEVERITY_WARNING,
  TSR_SEVERITY_ERROR,
} tsr_severity;

// One enumerator per line of diag_codes.def, for example
// TSR_DIAG_TENSOR_NOT_FOUND = "TSR-E041".
typedef enum tsr_diag_code {
#define TSR_DIAG(name, severity, code, title, explanation) TSR_DIAG_##name,
#include "frontend/diag_codes.def"
#undef TSR_DIAG
  TSR_DIAG_COUNT
} tsr_diag_code;

typedef struct tsr_diags tsr_diags;

// Reports |code| at |span|. Never fails: when memory is short the count still
// rises and the list says that it is incomplete. Thread-safe, so that layers
// can be imported in parallel; the order of printing does not depend on it.
void tsr_diag_report(tsr_diags *diags, tsr_diag_code code, tsr_span span,
                     const char *format, ...) TSR_PRINTF(4, 5);
// Adds a note to the last report of this thread.
void tsr_diag_note(tsr_diags *diags, tsr_span span, const char *format, ...)
    TSR_PRINTF(3, 4);
uint32_t tsr_diag_error_count(const tsr_diags *diags);
uint32_t tsr_diag_warning_count(const tsr_diags *diags);

enum { TSR_ERROR_LIMIT_DEFAULT = 20 };

typedef struct tsr_diag_print_options {
  bool color;
  bool json;             // one JSON array instead of text
  uint32_t error_limit;  // 0: no limit; further errors are counted
} tsr_diag_print_options;

// Appends the sorted reports to |out|.
void tsr_diag_print(const tsr_diags *diags, const tsr_sources *sources,
                    const tsr_diag_print_options *options, tsr_buffer *out);

#endif  // FRONTEND_DIAG_H_
