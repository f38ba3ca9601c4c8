// SPDX-License-Identifier: Apache-2.0
// A driver library that is of no use: of CUDA 11.4, without what later ones
// have, or (WITHOUT_FUNCTIONS) a newer one that lacks the rest.
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int cuDriverGetVersion(int *version);
EXPORT int cuDriverGetVersion(int *version) {
  *version = 11040;
  return 0;
}

#ifdef WITHOUT_FUNCTIONS
EXPORT int cuGetProcAddress_v2(const char *symbol, void **out_function,
                               int version, uint64_t flags, int *out_status);
EXPORT int cuGetProcAddress_v2(const char *symbol, void **out_function,
                               int version, uint64_t flags, int *out_status) {
  (void)symbol, (void)version, (void)flags;
  *out_function = NULL;
  *out_status = 1;
  return 500;
}
#endif
