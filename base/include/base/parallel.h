// SPDX-License-Identifier: Apache-2.0
// A loop spread over threads. Which thread runs which index is left to chance,
// so a body must write only what belongs to its index (or to its worker);
// results are then the same whatever the number of threads.
#ifndef BASE_PARALLEL_H_
#define BASE_PARALLEL_H_

#include "base/status.h"

enum { TSR_PARALLEL_MAX = 256 };

// Does index |index|. |worker| < the thread count names the thread, for
// scratch memory. Errors are returned and described in |error|.
typedef tsr_status (*tsr_parallel_body)(void *context, uint32_t worker,
                                        uint64_t index, tsr_error *error);

// Processors this process may run on, at least 1: the default of -j.
uint32_t tsr_processor_count(void);

// Runs |body| for every index below |count| on up to |threads| threads (0
// counts as 1, more than TSR_PARALLEL_MAX as that; the caller's thread is one
// of them) in ascending order of starting. After a failure no further index is
// started; of several failures that of the lowest index is returned, which is
// the one a single thread would meet first. A thread that cannot be created is
// done without.
TSR_MUST_USE tsr_status tsr_parallel_for(uint32_t threads, uint64_t count,
                                         tsr_parallel_body body, void *context,
                                         tsr_error *error);

#endif  // BASE_PARALLEL_H_
