// SPDX-License-Identifier: Apache-2.0
// Failures of the machine (files, memory, damaged input). Mistakes in a plan
// are diagnostics (frontend/diag.h); bugs are assert. No function returns two
// of the three.
#ifndef BASE_STATUS_H_
#define BASE_STATUS_H_

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define TSR_MUST_USE __attribute__((warn_unused_result))
#define TSR_PRINTF(text, first) __attribute__((format(printf, text, first)))

typedef enum tsr_status {
  TSR_OK = 0,
  TSR_INVALID_ARGUMENT,  // the caller asked for something that makes no sense
  TSR_OUT_OF_MEMORY,     // an allocation failed
  TSR_IO,                // the operating system refused; native holds errno
  TSR_NOT_FOUND,         // a named file, tensor or layer does not exist
  TSR_CORRUPT,           // a file's content contradicts its format
  TSR_MISMATCH,          // two inputs contradict each other (shape, checksum)
  TSR_UNSUPPORTED,       // valid, but this build or machine cannot do it
  TSR_CANCELLED,         // interrupted by the user
  TSR_INTERNAL,          // a defect of ours that was caught
} tsr_status;

// Caller-owned; needs no allocation. A zeroed one is valid.
typedef struct tsr_error {
  tsr_status status;
  int32_t native;     // errno, or 0
  char message[480];  // one line, no trailing newline, always terminated
} tsr_error;

// "invalid argument", "out of memory", ...; static storage.
const char *tsr_status_name(tsr_status status);

// Records |status| and the message in |error| (which may be NULL) and returns
// |status|. The first error wins: an error already set is not overwritten.
tsr_status tsr_error_set(tsr_error *error, tsr_status status,
                         const char *format, ...) TSR_PRINTF(3, 4);

// As tsr_error_set with TSR_IO; appends strerror(|native|).
tsr_status tsr_error_set_errno(tsr_error *error, int native, const char *format,
                               ...) TSR_PRINTF(3, 4);

// Sets TSR_OUT_OF_MEMORY with the standard message and returns it.
tsr_status tsr_error_out_of_memory(tsr_error *error);

// Puts "|prefix|: " in front of the recorded message (truncating its tail).
void tsr_error_prefix(tsr_error *error, const char *format, ...)
    TSR_PRINTF(2, 3);

#ifdef __clang_analyzer__
// Static analysis does not look into other files: this tells it that what
// failed does not look like success.
#define tsr_error_set(error, status, ...) \
  ((void)tsr_error_set((error), (status), __VA_ARGS__), (status))
#define tsr_error_set_errno(error, native, ...) \
  ((void)tsr_error_set_errno((error), (native), __VA_ARGS__), TSR_IO)
#define tsr_error_out_of_memory(error) \
  ((void)tsr_error_out_of_memory(error), TSR_OUT_OF_MEMORY)
#endif

#endif  // BASE_STATUS_H_
