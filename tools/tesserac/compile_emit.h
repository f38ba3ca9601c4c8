// SPDX-License-Identifier: Apache-2.0
// Writing what --emit and --save-temps asked for: what its files share.
#ifndef TESSERAC_COMPILE_EMIT_H_
#define TESSERAC_COMPILE_EMIT_H_

#include "tesserac/compile.h"

// Writes |data| to |folder|/|name|, making the folders on the way.
TSR_MUST_USE tsr_status tsr_emit_file(const char *folder, const char *name,
                                      const void *data, size_t size,
                                      tsr_error *error);
// To |name| in the folder of -o, or to standard output.
TSR_MUST_USE tsr_status tsr_emit_text(const tsr_compile *c, const char *name,
                                      const tsr_buffer *text, tsr_error *error);
// What is emitted of CUDA kernels.
TSR_MUST_USE tsr_status tsr_emit_cuda(const tsr_compile *c, tsr_error *error);

#endif  // TESSERAC_COMPILE_EMIT_H_
