// SPDX-License-Identifier: Apache-2.0
// Every command of tessera, each defined in its own file.
#ifndef TESSERA_TOOL_COMMANDS_H_
#define TESSERA_TOOL_COMMANDS_H_

#include "common/cli.h"

extern const tsr_command tsr_command_bench;
extern const tsr_command tsr_command_info;
extern const tsr_command tsr_command_profile;
extern const tsr_command tsr_command_run;
extern const tsr_command tsr_command_verify;

extern const tsr_tool tsr_tool_tessera;

#endif  // TESSERA_TOOL_COMMANDS_H_
