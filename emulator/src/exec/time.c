// SPDX-License-Identifier: Apache-2.0
// Virtual time (docs/emulator.md, "Time"): a block's clock counts the warp
// instructions executed in it, plus what passed in nanosleep. Host clocks never
// reach a kernel.
#include "exec/internal.h"
#include "memory/access.h"

uint64_t tsr_engine_clock(const tsr_warp *warp) {
  return warp->block->clock;
}

// Launches begin a virtual second apart, so that time goes on between them.
uint64_t tsr_engine_nanoseconds(const tsr_warp *warp) {
  const tsr_launch *launch = warp->block->launch;
  uint64_t khz = launch->device->clock_khz;
  if (khz == 0) khz = 1000000;
  uint64_t clock = warp->block->clock;
  return launch->number * UINT64_C(1000000000) + clock / khz * 1000000 +
         clock % khz * 1000000 / khz;
}

// Dense operations: 2 * m * n * k, from the name's "m16n8k16".
static double flops_of(const tessera_emu_matrix_count *entry) {
  static const char letters[] = "mnk";
  double product = 2;
  const char *p = entry->name;
  uint32_t next = 0;
  while (*p != '\0' && next < 3) {
    if (*p++ != letters[next] || *p < '0' || *p > '9') continue;
    double value = 0;
    for (; *p >= '0' && *p <= '9'; ++p) value = value * 10 + (*p - '0');
    product *= value;
    ++next;
  }
  return next == 3 ? product * (double)entry->count : 0;
}

double tsr_modelled_seconds(const tsr_device_model *device,
                            const tessera_emu_profile *profile) {
  enum { SECTOR = 32, SCHEDULERS = 4 };
  double sectors = (double)profile->global_load.transactions +
                   (double)profile->global_store.transactions +
                   (double)profile->global_atomic.transactions +
                   (double)profile->copy.transactions;
  double bytes = sectors * SECTOR + (double)profile->bulk_load.bytes +
                 (double)profile->bulk_store.bytes;
  double flops = 0;
  for (uint32_t i = 0; i < profile->matrix_count && i < 24; ++i) {
    flops += flops_of(&profile->matrix[i]);
  }
  double slots = (double)device->multiprocessors * SCHEDULERS *
                 (double)device->clock_khz * 1e3;
  double longest = 0;
  if (device->bandwidth > 0) longest = bytes / device->bandwidth;
  if (device->mma_flops > 0 && flops / device->mma_flops > longest) {
    longest = flops / device->mma_flops;
  }
  if (slots > 0 && (double)profile->warp_instructions / slots > longest) {
    longest = (double)profile->warp_instructions / slots;
  }
  return longest + 2e-6;  // to launch it
}
