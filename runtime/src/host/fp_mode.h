// SPDX-License-Identifier: Apache-2.0
// Kernels compute in the default floating-point mode (round to nearest,
// subnormals kept, no traps), whatever the calling thread has set; else results
// would depend on which thread does what.
#ifndef RUNTIME_HOST_FP_MODE_H_
#define RUNTIME_HOST_FP_MODE_H_

#include <stdint.h>

#if defined(__x86_64__)

static inline uint64_t tsr_fp_mode_enter(void) {
  uint32_t mode = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(
      0x1f80);  // Intel SDM volume 1, 10.2.3: its reset value
  return mode;
}

static inline void tsr_fp_mode_leave(uint64_t mode) {
  __builtin_ia32_ldmxcsr((uint32_t)mode);
}

#elif defined(__aarch64__)

static inline uint64_t tsr_fp_mode_enter(void) {
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
  return mode;
}

static inline void tsr_fp_mode_leave(uint64_t mode) {
  __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}

#else

static inline uint64_t tsr_fp_mode_enter(void) {
  return 0;
}

static inline void tsr_fp_mode_leave(uint64_t mode) {
  (void)mode;
}

#endif

#endif  // RUNTIME_HOST_FP_MODE_H_
