// SPDX-License-Identifier: Apache-2.0
#include "tessera/commands.h"

static const tsr_command *const commands[] = {
    &tsr_command_run,   &tsr_command_verify,
    &tsr_command_bench, &tsr_command_profile,
    &tsr_command_info,  &tsr_command_completions,
    &tsr_command_help,  NULL,
};

const tsr_tool tsr_tool_tessera = {
    .name = "tessera",
    .summary = "run, check and measure bundles made by tesserac",
    .description =
        "tessera opens a bundle, shows what it holds, runs its layers on this "
        "machine, proves their results against the original weights and "
        "measures them. It needs neither the compiler nor the checkpoint to "
        "run a layer.",
    .commands = commands,
};
