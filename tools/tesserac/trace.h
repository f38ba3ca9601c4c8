// SPDX-License-Identifier: Apache-2.0
// --time-trace: what took how long on which thread, as the JSON that
// chrome://tracing and Perfetto read. Thread-safe. Every function accepts a
// NULL trace, which records nothing.
#ifndef TESSERAC_TRACE_H_
#define TESSERAC_TRACE_H_

#include "base/status.h"

typedef struct tsr_trace tsr_trace;

// NULL when out of memory.
tsr_trace *tsr_trace_create(void);
void tsr_trace_destroy(tsr_trace *trace);
// Microseconds since the trace began; 0 without one.
uint64_t tsr_trace_now(const tsr_trace *trace);
// Records what began at |start| and ends now. |category| is a literal; |name|
// is copied.
void tsr_trace_add(tsr_trace *trace, const char *category, const char *name,
                   uint64_t start);
TSR_MUST_USE tsr_status tsr_trace_write(tsr_trace *trace, const char *path,
                                        tsr_error *error);

#endif  // TESSERAC_TRACE_H_
