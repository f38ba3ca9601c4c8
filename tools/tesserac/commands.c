// SPDX-License-Identifier: Apache-2.0
#include "tesserac/commands.h"

// In the order of the work: make a plan, check it, compile it, look at it.
static const tsr_command *const commands[] = {
    &tsr_command_init,    &tsr_command_mask,
    &tsr_command_check,   &tsr_command_fmt,
    &tsr_command_compile, &tsr_command_inspect,
    &tsr_command_explain, &tsr_command_completions,
    &tsr_command_help,    NULL,
};

const tsr_tool tsr_tool_tesserac = {
    .name = "tesserac",
    .summary = "compiler for the linear layers of pruned language models",
    .description =
        "tesserac turns a plan (weights, masks, layers, targets) into a "
        "bundle: packed weights and the kernels that read them. The bundle "
        "runs with tessera or with libtessera.",
    .commands = commands,
};
