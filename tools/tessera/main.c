// SPDX-License-Identifier: Apache-2.0
#include "tessera/commands.h"

int main(int argc, char **argv) {
  return tsr_cli_main(&tsr_tool_tessera, argc, argv);
}
