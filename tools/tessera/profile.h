// SPDX-License-Identifier: Apache-2.0
// What `tessera profile` counts of one layer at one token count on the emulated
// CUDA driver, and how it is told.
#ifndef TOOLS_TESSERA_PROFILE_H_
#define TOOLS_TESSERA_PROFILE_H_

#include "common/cli.h"
#include "emulator.h"
#include "session.h"

typedef struct tsr_profile_point {
  tessera_layer_info info;
  uint32_t tokens;
  char strategy[16];
  uint32_t launches;
  // Sums of all launches; kernel, grid and block are the first one's.
  tessera_emu_profile counts;
  // Of what was read, packed weights.
  uint64_t weight_bytes;
  bool weight_bytes_more;  // some were read more often than is counted
  size_t finding_count;
  char finding[512];  // the first one
} tsr_profile_point;

typedef struct tsr_profile_report {
  const tsr_session *session;
  const tsr_profile_point *points;
  uint32_t count;
  uint32_t checks;  // TESSERA_EMU_CHECK_*
} tsr_profile_report;

TSR_MUST_USE tsr_status
tsr_profile_print_tables(const tsr_profile_report *report, const tsr_cli *cli,
                         tsr_buffer *out, tsr_error *error);
void tsr_profile_print_json(const tsr_profile_report *report, tsr_buffer *out);

// The names of --check, NULL-terminated; bit i is 1u << i, the last means all.
extern const char *const tsr_profile_checks[];

#endif  // TOOLS_TESSERA_PROFILE_H_
