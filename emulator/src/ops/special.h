// SPDX-License-Identifier: Apache-2.0
// Special registers (PTX ISA 10). decode/ turns each use into an operation in
// front that reads the register into a temporary; what is read is ops/'s.
#ifndef OPS_SPECIAL_H_
#define OPS_SPECIAL_H_

#include "exec/op.h"
#include "ptx/ast.h"

// The handler that reads |name| ("%tid" with |component| 'x', "%laneid" with
// 0, "%envreg3", "%clock64"): dst[0] gets the lanes of a register of
// |*out_type| (U32, U64; PRED for %is_explicit_cluster), op->aux[0] is
// |*out_selector|. NULL when there is no such special register.
tsr_handler tsr_special_handler(tsr_ptx_str name, char component,
                                tsr_ptx_type *out_type, uint32_t *out_selector);

#endif  // OPS_SPECIAL_H_
