// SPDX-License-Identifier: Apache-2.0
#include "tesserac/trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"

struct tsr_trace {
  uint64_t origin;
  pthread_mutex_t mutex;
  tsr_buffer events;  // guarded by |mutex|
};

static uint64_t microseconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

// Small numbers in order of first use, as the viewers like them.
static unsigned thread_number(void) {
  static atomic_uint count;
  static _Thread_local unsigned number;
  if (number == 0) number = atomic_fetch_add(&count, 1) + 1;
  return number;
}

tsr_trace *tsr_trace_create(void) {
  tsr_trace *trace = tsr_calloc(1, sizeof(*trace));
  if (trace == NULL) return NULL;
  if (pthread_mutex_init(&trace->mutex, NULL) != 0) {
    tsr_free(trace);
    return NULL;
  }
  trace->origin = microseconds();
  return trace;
}

void tsr_trace_destroy(tsr_trace *trace) {
  if (trace == NULL) return;
  (void)pthread_mutex_destroy(&trace->mutex);
  tsr_buffer_fini(&trace->events);
  tsr_free(trace);
}

uint64_t tsr_trace_now(const tsr_trace *trace) {
  return trace == NULL ? 0 : microseconds() - trace->origin;
}

void tsr_trace_add(tsr_trace *trace, const char *category, const char *name,
                   uint64_t start) {
  if (trace == NULL) return;
  uint64_t end = tsr_trace_now(trace);
  (void)pthread_mutex_lock(&trace->mutex);
  tsr_buffer *out = &trace->events;
  tsr_buffer_append_string(out, out->size == 0 ? "\n" : ",\n");
  tsr_buffer_append_string(out, "{\"name\": ");
  tsr_buffer_append_json(out, name, strlen(name));
  tsr_buffer_printf(out,
                    ", \"cat\": \"%s\", \"ph\": \"X\", \"ts\": %llu, "
                    "\"dur\": %llu, \"pid\": 1, \"tid\": %u}",
                    category, (unsigned long long)start,
                    (unsigned long long)(end - start), thread_number());
  (void)pthread_mutex_unlock(&trace->mutex);
}

tsr_status tsr_trace_write(tsr_trace *trace, const char *path,
                           tsr_error *error) {
  if (trace == NULL) return TSR_OK;
  tsr_buffer text = {0};
  tsr_buffer_append_string(&text, "{\"traceEvents\": [");
  tsr_buffer_append(&text, tsr_buffer_text(&trace->events), trace->events.size);
  tsr_buffer_append_string(&text, "\n], \"displayTimeUnit\": \"ms\"}\n");
  text.failed = text.failed || trace->events.failed;
  tsr_status status = tsr_buffer_status(&text, error);
  if (status == TSR_OK) {
    status = tsr_file_write(path, text.data, text.size, error);
  }
  tsr_buffer_fini(&text);
  return status;
}
