// SPDX-License-Identifier: Apache-2.0
// libtessera's errors on the command line.
#ifndef COMMON_RUNTIME_H_
#define COMMON_RUNTIME_H_

#include "common/cli.h"
#include "tessera/tessera.h"

// Prints the error and returns its exit code.
int tsr_cli_fail_runtime(const tsr_cli *cli, const tessera_error *error);
// "no layer 'qkw' in BUNDLE; did you mean 'qkv'?". Returns
// TSR_EXIT_DIAGNOSED.
int tsr_cli_no_layer(const tsr_cli *cli, const tessera_bundle *bundle,
                     const char *name);

#endif  // COMMON_RUNTIME_H_
