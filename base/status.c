// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <stdio.h>
#include <string.h>

const char *tsr_status_name(tsr_status status) {
  switch (status) {
    case TSR_OK:
      return "ok";
    case TSR_INVALID_ARGUMENT:
      return "invalid argument";
    case TSR_OUT_OF_MEMORY:
      return "out of memory";
    case TSR_IO:
      return "input/output error";
    case TSR_NOT_FOUND:
      return "not found";
    case TSR_CORRUPT:
      return "corrupt input";
    case TSR_MISMATCH:
      return "mismatch";
    case TSR_UNSUPPORTED:
      return "unsupported";
    case TSR_CANCELLED:
      return "cancelled";
    case TSR_INTERNAL:
      return "internal error";
  }
  return "unknown status";
}

static bool take(tsr_error *error, tsr_status status, int native) {
  if (error == NULL || error->status != TSR_OK) return false;
  error->status = status;
  error->native = native;
  return true;
}

// In parentheses: not the macros that static analysis is shown.
tsr_status(tsr_error_set)(tsr_error *error, tsr_status status,
                          const char *format, ...) {
  if (take(error, status, 0)) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
  }
  return status;
}

tsr_status(tsr_error_set_errno)(tsr_error *error, int native,
                                const char *format, ...) {
  if (take(error, TSR_IO, native)) {
    va_list args;
    va_start(args, format);
    int used = vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof(error->message)) {
      (void)snprintf(error->message + used,
                     sizeof(error->message) - (size_t)used, ": %s",
                     strerror(native));
    }
  }
  return TSR_IO;
}

tsr_status(tsr_error_out_of_memory)(tsr_error *error) {
  return tsr_error_set(error, TSR_OUT_OF_MEMORY, "out of memory");
}

void tsr_error_prefix(tsr_error *error, const char *format, ...) {
  if (error == NULL || error->status == TSR_OK) return;
  char tail[sizeof(error->message)];
  memcpy(tail, error->message, sizeof(tail));
  va_list args;
  va_start(args, format);
  int used = vsnprintf(error->message, sizeof(error->message), format, args);
  va_end(args);
  if (used >= 0 && (size_t)used < sizeof(error->message)) {
    size_t room = sizeof(error->message) - (size_t)used;
    // A tail that does not fit is cut: the prefix says more.
    int wanted = snprintf(error->message + used, room, ": %s", tail);
    if (wanted < 0) error->message[used] = '\0';
  }
}
