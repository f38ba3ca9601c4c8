// SPDX-License-Identifier: Apache-2.0
// The emulated CUDA driver beyond the CUDA API: where it is, and its counters
// (tessera/cuda_emu.h). It is opened at run time, as the runtime opens drivers;
// nothing is linked.
#ifndef TOOLS_TESSERA_EMULATOR_H_
#define TOOLS_TESSERA_EMULATOR_H_

#include "base/status.h"
#include "tessera/cuda_emu.h"

#define TSR_EMULATOR_FUNCTIONS(X)                      \
  X(get_config, void, (tessera_emu_config *))          \
  X(set_config, int, (const tessera_emu_config *))     \
  X(set_devices, int, (const char *))                  \
  X(finding_count, size_t, (void))                     \
  X(get_finding, int, (size_t, tessera_emu_finding *)) \
  X(clear_findings, void, (void))                      \
  X(profile_count, size_t, (void))                     \
  X(get_profile, int, (size_t, tessera_emu_profile *)) \
  X(clear_profiles, void, (void))

typedef struct tsr_emulator {
#define TSR_EMULATOR_MEMBER(name, result, parameters) result(*name) parameters;
  TSR_EMULATOR_FUNCTIONS(TSR_EMULATOR_MEMBER)
#undef TSR_EMULATOR_MEMBER
} tsr_emulator;

// Makes the runtime use the emulated driver, if no CUDA device was opened yet:
// the library that TESSERA_CUDA_DRIVER names, else the one that is installed or
// built beside this program. Fails when there is none, or when
// TESSERA_CUDA_DRIVER names another driver.
TSR_MUST_USE tsr_status tsr_emulator_choose(tsr_emulator *out_emulator,
                                            tsr_error *error);

// True when the driver that the runtime has opened is the emulated one.
bool tsr_emulator_in_use(void);

// Of that driver: true when its tensor cores round each sum once.
bool tsr_emulator_is_exact(void);

// Of that driver: the message of its first finding, cut to |size|. False when
// there is none or the driver is another.
bool tsr_emulator_first_finding(char *out, size_t size);

#endif  // TOOLS_TESSERA_EMULATOR_H_
