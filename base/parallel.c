// SPDX-License-Identifier: Apache-2.0
// CPU_COUNT and sched_getaffinity are not in POSIX.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct loop {
  tsr_parallel_body body;
  void *context;
  uint64_t count;
  atomic_uint_fast64_t next;
  atomic_bool stop;
  pthread_mutex_t lock;  // of what follows
  uint64_t failed_index;
  tsr_status status;
  tsr_error error;
} loop;

typedef struct worker {
  loop *loop;
  pthread_t thread;
  uint32_t index;
} worker;

uint32_t tsr_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    int count = CPU_COUNT(&set);
    if (count > 0) return (uint32_t)count;
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (uint32_t)online : 1;
}

static void record(loop *state, uint64_t index, tsr_status status,
                   const tsr_error *error) {
  pthread_mutex_lock(&state->lock);
  if (state->status == TSR_OK || index < state->failed_index) {
    state->status = status;
    state->failed_index = index;
    state->error = *error;
  }
  pthread_mutex_unlock(&state->lock);
  atomic_store(&state->stop, true);
}

// Indices are taken in ascending order and a taken one is always done, so every
// index below a failing one gets its turn: the lowest failure is found.
static void work(loop *state, uint32_t worker_index) {
  while (!atomic_load(&state->stop)) {
    uint64_t index = atomic_fetch_add(&state->next, 1);
    if (index >= state->count) return;
    tsr_error error = {0};
    tsr_status status =
        state->body(state->context, worker_index, index, &error);
    if (status != TSR_OK) record(state, index, status, &error);
  }
}

static void *run(void *argument) {
  worker *self = argument;
  work(self->loop, self->index);
  return NULL;
}

tsr_status tsr_parallel_for(uint32_t threads, uint64_t count,
                            tsr_parallel_body body, void *context,
                            tsr_error *error) {
  loop state = {.body = body, .context = context, .count = count};
  worker workers[TSR_PARALLEL_MAX];
  uint32_t started = 1;
  if (threads > TSR_PARALLEL_MAX) threads = TSR_PARALLEL_MAX;
  if (threads > count) threads = (uint32_t)count;
  if (pthread_mutex_init(&state.lock, NULL) != 0) {
    return tsr_error_out_of_memory(error);
  }
  for (; started < threads; ++started) {
    workers[started] = (worker){.loop = &state, .index = started};
    if (pthread_create(&workers[started].thread, NULL, run,
                       &workers[started]) != 0) {
      break;
    }
  }
  work(&state, 0);
  for (uint32_t i = 1; i < started; ++i) pthread_join(workers[i].thread, NULL);
  pthread_mutex_destroy(&state.lock);
  if (state.status == TSR_OK) return TSR_OK;
  return tsr_error_set(error, state.status, "%s", state.error.message);
}
