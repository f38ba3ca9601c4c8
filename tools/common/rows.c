// SPDX-License-Identifier: Apache-2.0
#include "common/rows.h"

const tsr_positional tsr_positionals_plan[] = {
    {.name = "PLAN",
     .help = "the plan, or - for standard input",
     .type = TSR_OPTION_FILE,
     .minimum = 1,
     .maximum = 1},
    {0}};

const tsr_positional tsr_positionals_bundle[] = {
    {.name = "BUNDLE",
     .help = "what tesserac compile wrote: a folder or a single file",
     .type = TSR_OPTION_FILE,
     .minimum = 1,
     .maximum = 1},
    {0}};

uint32_t tsr_cli_jobs(const tsr_cli *cli) {
  uint32_t jobs = (uint32_t)tsr_cli_uint(cli, "jobs");
  return jobs == 0 ? tsr_processor_count() : jobs;
}
