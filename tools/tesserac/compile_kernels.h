// SPDX-License-Identifier: Apache-2.0
// What families of targets differ in when kernels are chosen and compiled: one
// table each. An object is one kernel for one target of the family.
#ifndef TESSERAC_COMPILE_KERNELS_H_
#define TESSERAC_COMPILE_KERNELS_H_

#include "tesserac/compile.h"

enum { TSR_KERNEL_LABEL_LIMIT = 192 };

typedef struct tsr_kernel_family {
  tsr_target_family family;
  // Targets of the family that this compile is for; 0: nothing to do.
  uint32_t (*target_count)(const tsr_compile *c);
  // Plans the kernels for |spec| and finds or puts each in the table: those of
  // all targets, ascending by token range. At most TSR_KERNEL_LIMIT a target.
  tsr_status (*choose)(tsr_compile *c, const tsr_kernel_spec *spec,
                       uint32_t *out_indices, uint32_t *out_count,
                       tsr_error *error);
  // Makes room for the reports of all objects; their number.
  tsr_status (*begin)(tsr_compile *c, uint64_t *out_objects, tsr_error *error);
  // "tsr_gemv_... for x86-64-v3".
  void (*label)(const tsr_compile *c, uint64_t object,
                char out[TSR_KERNEL_LABEL_LIMIT]);
  // Compiles it or takes it from the cache. Thread-safe for distinct objects.
  tsr_status (*make)(const tsr_compile *c, uint64_t object, tsr_error *error);
} tsr_kernel_family;

extern const tsr_kernel_family tsr_host_family, tsr_cuda_family;

#endif  // TESSERAC_COMPILE_KERNELS_H_
