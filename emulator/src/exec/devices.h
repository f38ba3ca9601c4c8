// SPDX-License-Identifier: Apache-2.0
// The devices that can be pretended to be. Sources of the figures:
// docs/emulator.md, "Devices".
#ifndef EXEC_DEVICES_H_
#define EXEC_DEVICES_H_

#include "exec/machine.h"

// The model called |key| ("h100"), or NULL.
const tsr_device_model *tsr_device_find(const char *key);
// The |index|th of the table; NULL behind its end.
const tsr_device_model *tsr_device_at(uint32_t index);

#endif  // EXEC_DEVICES_H_
