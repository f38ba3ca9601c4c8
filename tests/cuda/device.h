// SPDX-License-Identifier: Apache-2.0
// Runs layers (layer.h) on a CUDA driver as base/nvidia_abi.h says, and
// compares what comes out with reference.h. The driver is the emulated one with
// every check on; TESSERA_CUDA_DRIVER names another, a real one too.
#ifndef TESTS_CUDA_DEVICE_H_
#define TESTS_CUDA_DEVICE_H_

#include "driver.h"
#include "layer.h"

// A kernel that was compiled and loaded; the newest are kept.
typedef struct loaded_kernel {
  tsr_hash key;
  CUmodule module;
  CUfunction function;
  struct loaded_kernel *next;
} loaded_kernel;

typedef struct device {
  driver d;
  const char *emulated;   // "h100"
  loaded_kernel *loaded;  // owned
  uint32_t compiled;
  const char *from, *to;  // device_edit
} device;

// |path|: the library to open unless TESSERA_CUDA_DRIVER names one; |emulated|:
// the device of the emulated driver (docs/emulator.md), static storage.
bool device_open(device *out, const char *path, const char *emulated);
void device_close(device *dev);
// Kernels are loaded with |to| wherever their text has |from|, from now on; one
// that does not have it is not loaded. NULL: as they are.
void device_edit(device *dev, const char *from, const char *to);

typedef struct run_options {
  const char *label;   // for messages
  const char *target;  // "sm_80"
  uint32_t tokens;
  uint32_t cut_pick;  // which of the cuts for the kernel's mode (layer_cut)
  uint32_t raster;    // 0: TSR_NVIDIA_RASTER
  // In elements: how far behind an aligned address the array begins, and what
  // lies between its rows.
  uint32_t input_shift, input_gap;
  uint32_t residual_shift, residual_gap;
  uint32_t output_shift, output_gap;
  bool residual_is_output;  // they share memory
  // The steps say that the stream lies so many units of 128 bytes behind the
  // address that the kernel is given: as in a layer of that size.
  uint32_t stream_ahead;
  uint64_t data_seed;  // of X and the residual
  // Launches, each with another order of warps and another time at which
  // copies land: as late as may be, as early, then by chance. All have to give
  // the same bits. 0 counts as 1.
  uint32_t launches;
  bool is_hardware;      // tensor cores add as hardware's do, not exactly
  bool without_compare;  // counts and findings only: for large layers
  uint32_t blocks;       // 0: all; else so many of the grid, and no comparison
  uint8_t *output;       // or NULL: gets Y's bytes
  // tables.stream_size counters to which the reads of each byte of the packed
  // weights are added, if as wide as |watch_width|; or NULL.
  uint8_t *watch_reads;
  uint32_t watch_width;
} run_options;

typedef struct run_result {
  uint32_t findings;  // of all launches
  uint64_t wrong;     // values out of the bound, bytes that nobody may write
  double worst;       // the largest error as a share of its bound
  const tsr_cuda_kernel *kernel;  // of the layer
  const tsr_nvidia_cut *cut;      // likewise
  tessera_emu_profile profile;    // of the last launch; zero on a real driver
} run_result;

// True when all launches ran, nothing was found, every value is within its
// bound and every launch gave the same bits; messages on stderr otherwise.
bool run_layer(device *dev, const layer *l, const run_options *options,
               run_result *out);

#endif  // TESTS_CUDA_DEVICE_H_
