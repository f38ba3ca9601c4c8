// SPDX-License-Identifier: Apache-2.0
// printf of device code (CUDA C++ Programming Guide, "Formatted Output").
#ifndef OPS_PRINT_H_
#define OPS_PRINT_H_

#include "base/buffer.h"
#include "exec/machine.h"

// Appends what |lane| prints by vprintf(|format|, |arguments|), generic
// addresses. Returns vprintf's result, the number of arguments (-1: the format
// is NULL); false when an address is wrong, which was reported.
bool tsr_print(tsr_warp *warp, const tsr_op *op, uint32_t lane, uint64_t format,
               uint64_t arguments, tsr_buffer *out, int32_t *out_result);

#endif  // OPS_PRINT_H_
