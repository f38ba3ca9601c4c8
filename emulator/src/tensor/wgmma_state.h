// SPDX-License-Identifier: Apache-2.0
// A warp's share of wgmma in flight; tensor/ alone looks at it. wgmma.c decodes
// and multiplies, wgmma_queue.c says when, wgmma_check.c watches the registers.
#ifndef TENSOR_WGMMA_STATE_H_
#define TENSOR_WGMMA_STATE_H_

#include "tensor/descriptor.h"
#include "tensor/fragment.h"
#include "tensor/wgmma.h"

enum {
  TSR_WGMMA_WATCHED = 16,  // groups of registers watched at a time
};

typedef struct tsr_wgmma_form {  // of one instruction
  const char *name;              // for the profile
  tsr_element a_type, b_type;
  uint32_t n, k;
  uint32_t d_count;
  bool half, saturate, is_sparse;
  bool a_shared, a_across, b_across, negate;
  tsr_sparse sparse;
} tsr_wgmma_form;

// Where what lies in src; D's registers are sources from TSR_WGMMA_SRC_D on.
enum {
  TSR_WGMMA_SRC_A = 0,  // 4 registers, or the descriptor first
  TSR_WGMMA_SRC_B = 4,
  TSR_WGMMA_SRC_META = 5,
  TSR_WGMMA_SRC_SCALE = 6,
  TSR_WGMMA_SRC_D = 7,
};

typedef struct tsr_wgmma_run {  // bytes of shared memory that are read
  uint32_t offset, size;
} tsr_wgmma_run;

typedef struct tsr_wgmma_pending {
  const tsr_op *op;
  unsigned char *base[2];  // the frame it was issued in
  tsr_matrix_layout a, b;
  uint32_t metadata[TSR_LANES];
  uint32_t mask;
  bool scale_d;  // false: D = A * B
  bool done;     // multiplied; still in flight for the program
  uint64_t group;
  tsr_wgmma_run *runs;  // what the race detector was told; may be NULL
  uint32_t run_count;
} tsr_wgmma_pending;

// Registers that nobody may change without a wgmma.fence: D or A of one
// instruction, and a digest of them.
typedef struct tsr_wgmma_watched {
  unsigned char *base[2];
  const tsr_ref *refs;
  uint32_t count;
  uint64_t digest;
} tsr_wgmma_watched;

struct tsr_wgmma {
  tsr_wgmma_pending *pending;  // oldest first
  uint32_t count, capacity;
  uint64_t committed;  // groups closed so far
  bool fenced;         // a wgmma.fence was executed in this block
  uint64_t sequence;   // digest of the instructions issued so far
  uint64_t *busy;      // a bit per register unit of the warp that is in flight
  uint32_t busy_words;
  tsr_wgmma_watched watched[TSR_WGMMA_WATCHED];
  uint32_t watched_count;
};

// Multiplies (wgmma.c).
void tsr_wgmma_execute(tsr_warp *warp, const tsr_wgmma_pending *pending);
bool tsr_wgmma_is_mma(const tsr_op *op);
bool tsr_wgmma_is_commit(const tsr_op *op);

// The queue (wgmma_queue.c). NULL when out of memory, after a finding.
tsr_wgmma *tsr_wgmma_of(tsr_warp *warp, const tsr_op *op);
// Copies |pending|, which was just issued; false after a fatal finding.
bool tsr_wgmma_push(tsr_warp *warp, const tsr_wgmma_pending *pending);
// Completes all but the newest |left| groups.
void tsr_wgmma_wait(tsr_warp *warp, uint64_t left);
// The random time model's chance to run what is pending.
void tsr_wgmma_maybe(tsr_warp *warp);
// Checks the shared memory that |pending| reads and tells the race detector;
// false after a fatal finding.
bool tsr_wgmma_read_issue(tsr_warp *warp, tsr_wgmma_pending *pending);

// Registers (wgmma_check.c).
void tsr_wgmma_check_issue(tsr_warp *warp, const tsr_wgmma_pending *pending);
void tsr_wgmma_watch_fence(tsr_warp *warp, const tsr_op *fence);
void tsr_wgmma_watch_done(tsr_warp *warp, const tsr_wgmma_pending *pending);
// |busy| says what is pending. False when out of memory.
bool tsr_wgmma_mark_busy(tsr_warp *warp);

#endif  // TENSOR_WGMMA_STATE_H_
