// SPDX-License-Identifier: Apache-2.0
// Printing of a compilation's diagnostics, alike in every command that reads a
// plan: to standard error, as text or (--diagnostics=json) as one JSON array.
#ifndef COMMON_DIAGNOSTICS_H_
#define COMMON_DIAGNOSTICS_H_

#include "common/cli.h"
#include "frontend/frontend.h"

extern const char *const tsr_diagnostics_forms[];

// Two rows for the option table of such a command.
#define TSR_OPTIONS_DIAGNOSTICS                                      \
  {.name = "diagnostics",                                            \
   .type = TSR_OPTION_CHOICE,                                        \
   .value = "FORM",                                                  \
   .help = "how to report mistakes",                                 \
   .default_text = "text",                                           \
   .choices = tsr_diagnostics_forms},                                \
  {                                                                  \
    .name = "error-limit", .type = TSR_OPTION_UINT, .value = "N",    \
    .help = "report at most N errors; 0: all", .default_text = "20", \
    .maximum = 1000000                                               \
  }

// Prints what was reported. TSR_EXIT_DIAGNOSED when there is an error, else
// TSR_EXIT_OK. In JSON form an array is printed even when it is empty, so call
// it exactly once.
int tsr_cli_report(const tsr_cli *cli, tsr_compilation *compilation);
// As above for a command without those two options.
int tsr_cli_report_as(const tsr_cli *cli, tsr_compilation *compilation,
                      bool json, uint32_t error_limit);
// True for --diagnostics=json: standard error then holds nothing else.
bool tsr_cli_json_diagnostics(const tsr_cli *cli);

#endif  // COMMON_DIAGNOSTICS_H_
