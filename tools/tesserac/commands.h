// SPDX-License-Identifier: Apache-2.0
// Every command of tesserac, each defined in its own file.
#ifndef TESSERAC_COMMANDS_H_
#define TESSERAC_COMMANDS_H_

#include "common/cli.h"

extern const tsr_command tsr_command_check;
extern const tsr_command tsr_command_compile;
extern const tsr_command tsr_command_explain;
extern const tsr_command tsr_command_fmt;
extern const tsr_command tsr_command_init;
extern const tsr_command tsr_command_inspect;
extern const tsr_command tsr_command_mask;

extern const tsr_tool tsr_tool_tesserac;

#endif  // TESSERAC_COMMANDS_H_
