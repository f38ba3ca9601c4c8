// SPDX-License-Identifier: Apache-2.0
// Progress of long work on standard error: a bar with a truthful fraction and
// remaining time on a terminal; plain lines, one per step but at most one
// every two seconds, elsewhere; nothing with -q. Thread-safe.
#ifndef COMMON_PROGRESS_H_
#define COMMON_PROGRESS_H_

#include "common/cli.h"

typedef struct tsr_progress tsr_progress;

// |verb| is "compiling"; |noun| counts steps: "layers". |step_count| steps of
// |cost| units in all (bytes, weights: what time is proportional to; 0: every
// step costs the same). NULL when out of memory, which all calls accept.
tsr_progress *tsr_progress_begin(const tsr_cli *cli, const char *verb,
                                 const char *noun, uint64_t step_count,
                                 uint64_t cost);
// The work turns to |label| (copied); shown beside the bar.
void tsr_progress_label(tsr_progress *progress, const char *label);
// Part of the cost is done, within a step.
void tsr_progress_advance(tsr_progress *progress, uint64_t cost);
// One step is done, and |cost| with it. |label| names it on plain lines.
void tsr_progress_step(tsr_progress *progress, uint64_t cost,
                       const char *label);
// Clears the bar and frees. Call it before anything else is printed.
void tsr_progress_end(tsr_progress *progress);

#endif  // COMMON_PROGRESS_H_
