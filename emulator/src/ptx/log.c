// SPDX-License-Identifier: Apache-2.0
// The mistakes found in a text, as lines for the JIT error log. Every mistake
// is counted; only the first ones are written, so that a text that is not PTX
// at all does not fill the caller's buffer.
#include <stdarg.h>
#include <stdio.h>

#include "ptx/ast.h"

enum { DEFAULT_LIMIT = 20 };

void tsr_ptx_log_fini(tsr_ptx_log *log) {
  if (log == NULL) return;
  tsr_buffer_fini(&log->errors);
  tsr_buffer_fini(&log->infos);
  log->error_count = 0;
}

void tsr_ptx_log_error(tsr_ptx_log *log, tsr_ptx_pos pos, const char *format,
                       ...) {
  uint32_t limit = log->error_limit == 0 ? DEFAULT_LIMIT : log->error_limit;
  if (log->error_count < UINT32_MAX) ++log->error_count;
  if (log->error_count > limit) return;
  char message[512];
  va_list args;
  va_start(args, format);
  int size = vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  if (size < 0) message[0] = '\0';
  if (pos.line == 0) {
    tsr_buffer_printf(&log->errors, "ptx: error: %s\n", message);
  } else {
    tsr_buffer_printf(&log->errors, "ptx(%u,%u): error: %s\n", pos.line,
                      pos.column, message);
  }
}
