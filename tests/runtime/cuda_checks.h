// SPDX-License-Identifier: Apache-2.0
// Checks that several tests of the CUDA runtime make. In a header, because
// test.h counts what failed in the file that it is included in.
#ifndef TESTS_RUNTIME_CUDA_CHECKS_H_
#define TESTS_RUNTIME_CUDA_CHECKS_H_

#include "cuda_session.h"
#include "test.h"

// |name| cannot be opened, and |message| says why.
static inline void check_device_fails(const char *name, tessera_status status,
                                      const char *message) {
  tessera_device *device = NULL;
  tessera_error error;
  CHECK_EQ(tessera_device_open(name, NULL, &device, &error), status);
  CHECK(device == NULL);
  CHECK_STR(error.message, message);
}

// No primary context of the first |count| devices is left.
static inline void check_inactive(const emu *e, int count) {
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0;
    int active = 1;
    CHECK_EQ(e->primary_state(i, &flags, &active), CUDA_SUCCESS);
    CHECK_EQ(active, 0);
  }
}

#endif  // TESTS_RUNTIME_CUDA_CHECKS_H_
