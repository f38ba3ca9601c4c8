// SPDX-License-Identifier: Apache-2.0
// One layer at one token count, measured: the bundle itself, a bundle to
// compare with, a peer and plain reading, taking turns in short rounds, so that
// whatever disturbs the machine disturbs all of them. Ratios are formed round
// by round. On the emulated CUDA driver each runs once: its times are those of
// a model.
#ifndef TOOLS_TESSERA_CONTEST_H_
#define TOOLS_TESSERA_CONTEST_H_

#include "measure.h"
#include "peer.h"
#include "session.h"

typedef struct tsr_contest_options {
  double seconds;      // to spend on each party
  size_t working_set;  // bytes of weights to rotate over; 0: one copy (hot)
  uint64_t seed;
  tsr_bandwidth *bandwidth;    // NULL: not the host
  tsr_peer *peer;              // NULL: none
  const tsr_session *against;  // NULL: none
} tsr_contest_options;

typedef struct tsr_contest_result {
  tsr_spread seconds;  // of one run
  // Bytes per second of plain reading; on a CUDA device of copying, bytes read
  // and written. Count 0: emulated.
  tsr_spread memory_rate;
  tsr_spread against_seconds;  // count 0: not measured
  tsr_spread against_ratio;    // against / ours: above 1, ours is faster
  tsr_spread peer_seconds;
  tsr_spread peer_ratio;
  uint32_t copies;  // of the weights that took turns
} tsr_contest_result;

// |against_layer| is the layer's index in |options.against|.
TSR_MUST_USE tsr_status tsr_contest_run(const tsr_contest_options *options,
                                        const tsr_session *session,
                                        uint32_t layer, uint32_t against_layer,
                                        uint32_t token_count,
                                        tsr_contest_result *out_result,
                                        tsr_error *error);

#endif  // TOOLS_TESSERA_CONTEST_H_
