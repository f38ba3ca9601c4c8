// SPDX-License-Identifier: Apache-2.0
// Clocks, order statistics and the read bandwidth of this machine: what
// bench's figures are made of and compared with.
#ifndef TOOLS_TESSERA_MEASURE_H_
#define TOOLS_TESSERA_MEASURE_H_

#include <stddef.h>

#include "base/status.h"

// Seconds of a clock that only goes forward.
double tsr_clock_now(void);

// A growing list of samples. A zeroed one is valid and empty.
typedef struct tsr_samples {
  double *values;  // owned
  size_t count;
  size_t capacity;
} tsr_samples;

void tsr_samples_fini(tsr_samples *samples);
TSR_MUST_USE tsr_status tsr_samples_add(tsr_samples *samples, double value,
                                        tsr_error *error);

typedef struct tsr_spread {
  double median, p10, p90;
  size_t count;
} tsr_spread;

// Of samples [first, count). Sorts them. All 0 when there is none.
tsr_spread tsr_samples_spread(tsr_samples *samples, size_t first);

// Bytes of the last-level cache, as the system tells; 32 MiB if it does not.
size_t tsr_cache_size(void);

// Memory in large pages where the system has them, as all parties get it; for
// tsr_free. NULL when out of memory.
void *tsr_large_alloc(size_t size);

// Threads that read a buffer larger than the cache from front to back, piece
// after piece. They sleep between samples. Thread-compatible.
typedef struct tsr_bandwidth tsr_bandwidth;

TSR_MUST_USE tsr_status tsr_bandwidth_create(uint32_t thread_count,
                                             size_t buffer_size,
                                             tsr_bandwidth **out_bandwidth,
                                             tsr_error *error);
void tsr_bandwidth_destroy(tsr_bandwidth *bandwidth);  // NULL is legal
// Bytes per second over the next piece.
double tsr_bandwidth_sample(tsr_bandwidth *bandwidth);

#endif  // TOOLS_TESSERA_MEASURE_H_
