// SPDX-License-Identifier: Apache-2.0
#include "fixture_commands.h"

int main(int argc, char **argv) {
  return tsr_cli_main(&fixture_tool, argc, argv);
}
