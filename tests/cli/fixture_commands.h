// SPDX-License-Identifier: Apache-2.0
// A tool with one option of every type, and commands that work, hang and leave
// files under way.
#ifndef TESTS_CLI_FIXTURE_COMMANDS_H_
#define TESTS_CLI_FIXTURE_COMMANDS_H_

#include "common/cli.h"

extern const tsr_tool fixture_tool;
extern const tsr_command fixture_every;

#endif  // TESTS_CLI_FIXTURE_COMMANDS_H_
