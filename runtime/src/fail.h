// SPDX-License-Identifier: Apache-2.0
// How the library reports failure: into the caller's tessera_error, one line,
// the first failure winning. Every public function clears the error when it
// begins; everything below only adds.
#ifndef RUNTIME_FAIL_H_
#define RUNTIME_FAIL_H_

#include <stdint.h>

#include "base/status.h"
#include "tessera/tessera.h"

// Forgets an earlier failure. NULL is ignored, here and below.
void tsr_fail_clear(tessera_error *error);
// tsr_fail(error, status, format, ...): records |status| and the message,
// unless a failure is recorded already; the value is |status|. A macro, so that
// static analysis sees that a failure does not look like success.
#define tsr_fail(error, status, ...) \
  (tsr_fail_record((error), (status), __VA_ARGS__), (status))
void tsr_fail_record(tessera_error *error, tessera_status status,
                     const char *format, ...) TSR_PRINTF(3, 4);
// As above, with |native| (an errno) and its description appended.
#define tsr_fail_errno(error, status, native, ...) \
  (tsr_fail_record_errno((error), (status), (native), __VA_ARGS__), (status))
void tsr_fail_record_errno(tessera_error *error, tessera_status status,
                           int native, const char *format, ...)
    TSR_PRINTF(4, 5);
static inline tessera_status tsr_fail_out_of_memory(tessera_error *error) {
  return tsr_fail(error, TESSERA_OUT_OF_MEMORY, "out of memory");
}
// Puts "|prefix|: " in front of the recorded message (its tail may be lost).
void tsr_fail_prefix(tessera_error *error, const char *format, ...)
    TSR_PRINTF(2, 3);

#endif  // RUNTIME_FAIL_H_
