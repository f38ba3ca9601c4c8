// SPDX-License-Identifier: Apache-2.0
// libtessera's errors, and the names of layers, on the command line.
#ifndef COMMON_RUNTIME_H_
#define COMMON_RUNTIME_H_

#include "common/cli.h"
#include "tessera/tessera.h"

// Prints the error and returns its exit code.
int tsr_cli_fail_runtime(const tsr_cli *cli, const tessera_error *error);

// The layers that --layer selects: all for NULL, else the one of that name.
// Where there is none: "no layer 'qkw' in bundle 'b'; did you mean 'qkv'?".
TSR_MUST_USE tsr_status tsr_layers_select(const tessera_bundle *bundle,
                                          const char *name, uint32_t *out_first,
                                          uint32_t *out_count,
                                          tsr_error *error);

#endif  // COMMON_RUNTIME_H_
