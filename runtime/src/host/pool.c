// SPDX-License-Identifier: Apache-2.0
// One word, the epoch, starts a job; one word, pending, ends it. Threads are
// not pinned: the process's affinity mask holds, and the scheduler may move
// them. But a thread that finds itself on its caller's core moves away: a job
// of some microseconds is over before the scheduler would notice, and the next
// one starts the same way (measured: 100 to 200 us for a layer of 20).
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // sched_getaffinity, CPU_COUNT
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "fail.h"

// 40 to 100 microseconds, as long as PAUSE takes 65 to 140 cycles: longer than
// the gap between the layers of a model, short enough not to be seen in a
// process's CPU time.
enum { SPINS = 1500, CACHE_LINE = 64 };

typedef struct thread_argument {
  tsr_pool *pool;
  uint32_t index;
} thread_argument;

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): it is the point.
struct tsr_pool {
  // Written by callers, read by threads.
  _Alignas(CACHE_LINE) tsr_word epoch;
  tsr_job job;  // NULL: leave
  const void *argument;
  int caller_core;  // -1: not known
  // Written by threads.
  _Alignas(CACHE_LINE) tsr_word pending;
  _Alignas(CACHE_LINE) tsr_barrier barrier;
  _Alignas(CACHE_LINE) pthread_mutex_t lock;  // one job at a time
  uint32_t thread_count;                      // the caller's included
  uint32_t started;
  uint32_t spins;
  pthread_t *threads;
  thread_argument *arguments;
};

uint32_t tsr_available_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    return (uint32_t)CPU_COUNT(&set);
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);  // more than 1024 CPUs
  return online < 1 ? 1 : (uint32_t)online;
}

uint32_t tsr_pool_spins(uint32_t thread_count, uint32_t cores) {
  // With fewer cores than threads, a spinning thread keeps the one that it
  // waits for from running.
  return thread_count <= cores ? SPINS : 0;
}

// The mask is given back at once; where the thread is by then, it stays.
static void move_off(int core) {
  cpu_set_t all;
  if (core < 0 || core >= CPU_SETSIZE) return;
  if (sched_getaffinity(0, sizeof(all), &all) != 0) return;
  cpu_set_t others = all;
  CPU_CLR((size_t)core, &others);
  if (CPU_COUNT(&others) == 0) return;
  if (sched_setaffinity(0, sizeof(others), &others) != 0) return;
  (void)sched_setaffinity(0, sizeof(all), &all);
}

static void *thread_main(void *opaque) {
  const thread_argument *argument = opaque;
  tsr_pool *pool = argument->pool;
  tsr_team_place place = {&pool->barrier, argument->index, pool->thread_count,
                          pool->spins};
  uint32_t seen = 0;
  for (;;) {
    seen = tsr_word_wait(&pool->epoch, seen, pool->spins);
    tsr_job job = pool->job;
    if (job == NULL) return NULL;
    int core = pool->caller_core;
    if (pool->spins != 0 && sched_getcpu() == core) move_off(core);
    job(pool->argument, &place);
    tsr_word_decrement(&pool->pending);
  }
}

// Signals are for the application's threads.
static int start_threads(tsr_pool *pool) {
  sigset_t all;
  sigset_t before;
  int native = 0;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool->started + 1 < pool->thread_count && native == 0) {
    uint32_t index = pool->started;
    pool->arguments[index] = (thread_argument){pool, index + 1};
    native = pthread_create(&pool->threads[index], NULL, thread_main,
                            &pool->arguments[index]);
    if (native == 0) ++pool->started;
  }
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return native;
}

tessera_status tsr_pool_create(uint32_t thread_count, tsr_pool **out_pool,
                               tessera_error *error) {
  *out_pool = NULL;
  tsr_pool *pool = tsr_aligned_alloc(CACHE_LINE, sizeof(*pool));
  if (pool == NULL) return tsr_fail_out_of_memory(error);
  memset(pool, 0, sizeof(*pool));
  pool->thread_count = thread_count;
  pool->spins = tsr_pool_spins(thread_count, tsr_available_cores());
  (void)pthread_mutex_init(&pool->lock, NULL);
  pool->threads = tsr_calloc(thread_count, sizeof(*pool->threads));
  pool->arguments = tsr_calloc(thread_count, sizeof(*pool->arguments));
  tessera_status status = TESSERA_OK;
  if (pool->threads == NULL || pool->arguments == NULL) {
    status = tsr_fail_out_of_memory(error);
  } else {
    int native = start_threads(pool);
    if (native != 0) {
      status = tsr_fail_errno(error, TESSERA_IO, native,
                              "cannot start thread %u of %u", pool->started + 2,
                              thread_count);
    }
  }
  if (status == TESSERA_OK) {
    *out_pool = pool;
  } else {
    tsr_pool_destroy(pool);
  }
  return status;
}

// Under the lock (or before anyone else has the pool).
static void post(tsr_pool *pool, tsr_job job, const void *argument) {
  pool->job = job;
  pool->argument = argument;
  pool->caller_core = sched_getcpu();
  __atomic_store_n(&pool->pending.value, pool->started, __ATOMIC_RELAXED);
  tsr_word_store(&pool->epoch, tsr_word_load(&pool->epoch) + 1);
}

void tsr_pool_destroy(tsr_pool *pool) {
  if (pool == NULL) return;
  if (pool->started != 0) post(pool, NULL, NULL);
  for (uint32_t i = 0; i < pool->started; ++i) {
    (void)pthread_join(pool->threads[i], NULL);
  }
  (void)pthread_mutex_destroy(&pool->lock);
  tsr_free(pool->arguments);
  tsr_free(pool->threads);
  tsr_free(pool);
}

uint32_t tsr_pool_thread_count(const tsr_pool *pool) {
  return pool->thread_count;
}

void tsr_pool_run(tsr_pool *pool, tsr_job job, const void *argument) {
  if (pool->thread_count == 1) {
    tsr_team_place alone = {NULL, 0, 1, 0};
    job(argument, &alone);
    return;
  }
  tsr_team_place place = {&pool->barrier, 0, pool->thread_count, pool->spins};
  (void)pthread_mutex_lock(&pool->lock);
  post(pool, job, argument);
  job(argument, &place);
  uint32_t left = tsr_word_load(&pool->pending);
  while (left != 0) left = tsr_word_wait(&pool->pending, left, pool->spins);
  (void)pthread_mutex_unlock(&pool->lock);
}
