// SPDX-License-Identifier: Apache-2.0
// Rows of option and positional tables that several commands share, so that
// what is named alike means the same and is explained in the same words.
#ifndef COMMON_ROWS_H_
#define COMMON_ROWS_H_

#include "base/parallel.h"
#include "common/cli.h"

// Whole tables, for .positionals: one plan; one bundle.
extern const tsr_positional tsr_positionals_plan[];
extern const tsr_positional tsr_positionals_bundle[];

#define TSR_OPTION_JOBS                                                    \
  {                                                                        \
    .name = "jobs", .letters = "j", .type = TSR_OPTION_UINT, .value = "N", \
    .help = "use N threads; 0: one per processor", .default_text = "0",    \
    .maximum = TSR_PARALLEL_MAX                                            \
  }

// How many threads --jobs asks for; never 0.
uint32_t tsr_cli_jobs(const tsr_cli *cli);

#endif  // COMMON_ROWS_H_
