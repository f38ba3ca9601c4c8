// SPDX-License-Identifier: Apache-2.0
// The tables of a layer for the NVIDIA family: its steps and all cuts that a
// bundle carries (base/nvidia_abi.h says what each means and how it is stored).
#ifndef COMPILER_NVIDIA_SCHEDULE_H_
#define COMPILER_NVIDIA_SCHEDULE_H_

#include "base/buffer.h"
#include "base/nvidia_abi.h"
#include "compiler/fragment_pack.h"

typedef struct tsr_nvidia_tables {
  const tsr_tile_grid *grid;
  tsr_nvidia_step *steps;
  uint32_t step_count;
  tsr_nvidia_cut *cuts;  // by class, decode first, then prefill by workers
  uint32_t cut_count;
  tsr_nvidia_worker *workers;
  uint32_t worker_count;
  tsr_nvidia_segment *segments;
  uint32_t segment_count;
  uint64_t stream_size;
} tsr_nvidia_tables;

// For each class: the decode cut for its multiprocessors (balanced as
// |options.balance| says) and prefill cuts (balanced in time unless the plan
// says tiles) for the distinct floor(multiprocessors / i), i = 1, 2, ..., down
// to one worker. Classes are |options.workers| alone, or the device classes of
// base/nvidia_abi.h. A cut has at most TSR_NVIDIA_COUNTERS reductions. All
// memory comes from |arena|.
TSR_MUST_USE tsr_status
tsr_nvidia_tables_build(tsr_arena *arena, const tsr_tile_grid *grid,
                        const tsr_plan_schedule *options,
                        tsr_nvidia_tables *out_tables, tsr_error *error);

// The schedule section.
void tsr_nvidia_tables_write(const tsr_nvidia_tables *tables, tsr_buffer *out);

// The inverse, for looking at a bundle: the tables are copied into |arena| and
// borrow |grid|, of which kinds are not read. Every number is checked that an
// index depends on: TSR_CORRUPT otherwise.
TSR_MUST_USE tsr_status tsr_nvidia_tables_read(tsr_arena *arena,
                                               const void *section, size_t size,
                                               const tsr_tile_grid *grid,
                                               uint64_t stream_size,
                                               tsr_nvidia_tables *out_tables,
                                               tsr_error *error);

// For --emit=schedule: every cut, worker by worker, as tile runs.
void tsr_nvidia_tables_dump(const tsr_nvidia_tables *tables, tsr_buffer *out);
// The cuts of one class of device alone.
void tsr_nvidia_class_dump(const tsr_nvidia_tables *tables,
                           uint32_t multiprocessors, tsr_buffer *out);

// What the workers of a cut have to do.
typedef struct tsr_nvidia_shares {
  uint64_t least, most;
  uint64_t total;
} tsr_nvidia_shares;

// Of cut |cut|, in bytes or in tensor-core time.
tsr_nvidia_shares tsr_nvidia_shares_of(const tsr_nvidia_tables *tables,
                                       uint32_t cut, tsr_balance balance);

// Largest share over the mean share of cut |cut|, in bytes or in tensor-core
// time.
double tsr_nvidia_imbalance(const tsr_nvidia_tables *tables, uint32_t cut,
                            tsr_balance balance);

#endif  // COMPILER_NVIDIA_SCHEDULE_H_
