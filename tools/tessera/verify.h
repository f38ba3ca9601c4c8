// SPDX-License-Identifier: Apache-2.0
// What verify found out, and how it is told.
#ifndef TOOLS_TESSERA_VERIFY_H_
#define TOOLS_TESSERA_VERIFY_H_

#include "common/cli.h"
#include "session.h"

enum { TSR_VERIFY_TOKENS = 64 };

// What one layer's comparison found.
typedef struct tsr_finding {
  tessera_layer_info info;
  uint32_t tokens[TSR_VERIFY_TOKENS];
  uint32_t token_count;
  uint32_t columns_compared;
  double rounded_fraction;  // worst |Y - expected| / bound
  double original_fraction;
  double error;  // worst |Y - expected|, rounded weights
  bool failed;
  char message[240];  // the first thing that is wrong
} tsr_finding;

typedef struct tsr_verify_report {
  const tsr_session *session;
  const tsr_finding *findings;
  uint32_t count;
  uint64_t seed;
  bool ok;
} tsr_verify_report;

TSR_MUST_USE tsr_status tsr_verify_print_table(const tsr_verify_report *report,
                                               const tsr_cli *cli,
                                               tsr_buffer *out,
                                               tsr_error *error);
void tsr_verify_print_json(const tsr_verify_report *report, tsr_buffer *out);

#endif  // TOOLS_TESSERA_VERIFY_H_
