// SPDX-License-Identifier: Apache-2.0
// Status names, the version, and the caller-owned error record.
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

const char *tessera_version(void) {
  return TESSERA_VERSION;
}

const char *tessera_status_name(tessera_status status) {
  switch (status) {
    case TESSERA_OK:
      return "ok";
    case TESSERA_INVALID_ARGUMENT:
      return "invalid argument";
    case TESSERA_OUT_OF_MEMORY:
      return "out of memory";
    case TESSERA_IO:
      return "input/output error";
    case TESSERA_NOT_FOUND:
      return "not found";
    case TESSERA_CORRUPT:
      return "corrupt bundle";
    case TESSERA_UNSUPPORTED:
      return "unsupported";
    case TESSERA_UNAVAILABLE:
      return "unavailable";
    case TESSERA_DEVICE:
      return "device failure";
    case TESSERA_INTERNAL:
      return "internal error";
  }
  return "unknown status";
}

void tsr_fail_clear(tessera_error *error) {
  if (error == NULL) return;
  error->status = TESSERA_OK;
  error->native = 0;
  error->message[0] = '\0';
}

static bool take(tessera_error *error, tessera_status status, int native) {
  if (error == NULL || error->status != TESSERA_OK) return false;
  error->status = status;
  error->native = native;
  return true;
}

// A message is one line, whatever names an untrusted bundle has in it.
static void make_one_line(tessera_error *error) {
  for (char *c = error->message; *c != '\0'; ++c) {
    if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
  }
}

void tsr_fail_record(tessera_error *error, tessera_status status,
                     const char *format, ...) {
  if (take(error, status, 0)) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    make_one_line(error);
  }
}

static void append_description(tessera_error *error) {
  size_t used = strlen(error->message);
  char text[128];
  if (strerror_r(error->native, text, sizeof(text)) != 0) {
    (void)snprintf(text, sizeof(text), "error %d", error->native);
  }
  (void)snprintf(error->message + used, sizeof(error->message) - used, ": %s",
                 text);
}

void tsr_fail_record_errno(tessera_error *error, tessera_status status,
                           int native, const char *format, ...) {
  if (take(error, status, native)) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    append_description(error);
    make_one_line(error);
  }
}

void tsr_fail_prefix(tessera_error *error, const char *format, ...) {
  if (error == NULL || error->status == TESSERA_OK) return;
  char tail[sizeof(error->message)];
  memcpy(tail, error->message, sizeof(tail));
  va_list args;
  va_start(args, format);
  (void)vsnprintf(error->message, sizeof(error->message), format, args);
  va_end(args);
  size_t used = strlen(error->message);
  (void)snprintf(error->message + used, sizeof(error->message) - used, ": %s",
                 tail);
  make_one_line(error);
}
