// SPDX-License-Identifier: Apache-2.0
// The internal threads of a host device. A job is done by all of them and by
// the caller; between jobs they spin for a short while, then sleep.
// Thread-safe: jobs of several callers follow one another. A pool of one thread
// has no threads of its own and runs each job at once in its caller, without a
// lock.
#ifndef RUNTIME_HOST_POOL_H_
#define RUNTIME_HOST_POOL_H_

#include "tessera/tessera.h"
#include "wait.h"

typedef struct tsr_pool tsr_pool;

// What each thread is told: it is number |index| of |count|, and they may meet
// at |barrier|.
typedef struct tsr_team_place {
  tsr_barrier *barrier;
  uint32_t index;
  uint32_t count;
  uint32_t spins;  // before sleeping
} tsr_team_place;

typedef void (*tsr_job)(const void *argument, const tsr_team_place *place);

// Cores that this process may use, at least 1.
uint32_t tsr_available_cores(void);

// Starts |thread_count| - 1 threads.
TESSERA_MUST_USE tessera_status tsr_pool_create(uint32_t thread_count,
                                                tsr_pool **out_pool,
                                                tessera_error *error);
// Joins them. NULL is legal.
void tsr_pool_destroy(tsr_pool *pool);
uint32_t tsr_pool_thread_count(const tsr_pool *pool);
// Returns when every thread has returned from |job|.
void tsr_pool_run(tsr_pool *pool, tsr_job job, const void *argument);
// Spins that suit |thread_count| threads on |cores| cores.
uint32_t tsr_pool_spins(uint32_t thread_count, uint32_t cores);

#endif  // RUNTIME_HOST_POOL_H_
