// SPDX-License-Identifier: Apache-2.0
// A peer to be measured beside us: OpenBLAS, if the system has it, doing the
// same product on the dense matrix in fp32. Opened at run time, so that nothing
// of ours depends on it.
#ifndef TOOLS_TESSERA_PEER_H_
#define TOOLS_TESSERA_PEER_H_

#include "base/status.h"

typedef struct tsr_peer tsr_peer;

// TSR_UNSUPPORTED when the library is not there. It is told to use
// |thread_count| threads and to let them sleep when idle.
TSR_MUST_USE tsr_status tsr_peer_open(uint32_t thread_count,
                                      tsr_peer **out_peer, tsr_error *error);
void tsr_peer_close(tsr_peer *peer);  // NULL is legal
// "OpenBLAS 0.3.21 ... Zen": its own words.
const char *tsr_peer_description(const tsr_peer *peer);

// Y [tokens, rows] = X [tokens, columns] W^T, W [rows, columns]; all dense.
typedef struct tsr_peer_product {
  uint32_t rows;
  uint32_t columns;
  uint32_t tokens;
  const float *weights;
  const float *input;
  float *output;
} tsr_peer_product;

void tsr_peer_run(const tsr_peer *peer, const tsr_peer_product *product);

#endif  // TOOLS_TESSERA_PEER_H_
