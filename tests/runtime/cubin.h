// SPDX-License-Identifier: Apache-2.0
// Cubins for tests. Nothing here executes machine code, so a cubin of ours is
// an ELF file that is marked like a real one and has PTX of the same kernels as
// one more section, planted for the driver of cubin_driver.c to run in the
// place of the code. A real cubin may get such a section too.
#ifndef TESTS_RUNTIME_CUBIN_H_
#define TESTS_RUNTIME_CUBIN_H_

#include "base/buffer.h"

// How ptxas says which architecture a cubin is for. Up to CUDA 12 for sm_90 and
// older; of CUDA 12 for newer ones; since CUDA 13, with "a" in a section.
typedef enum cubin_encoding { CUBIN_V1, CUBIN_V2, CUBIN_V3 } cubin_encoding;

// A cubin without code for |architecture| ("sm_90a").
void cubin_write(tsr_buffer *out, const char *architecture,
                 cubin_encoding encoding);
// Adds a section with |text|.
void cubin_plant(tsr_buffer *cubin, const char *text);

// What it says that it is for, "sm_90a"; "?": nothing that is known. Code for
// "sm_100f" is marked like that for sm_100.
void cubin_architecture(const void *image, char out[16]);
// The planted text, or NULL. |image| is a well-formed cubin.
const char *cubin_text(const void *image);
// Whether a device of |capability| (90: 9.0) executes code for |architecture|:
// that of its own generation up to its own number; of "sm_90a" for that number
// alone (CUDA C++ Programming Guide, "Binary Compatibility" and "Feature Set
// Compiler Targets").
bool cubin_fits(const char *architecture, unsigned capability);

#endif  // TESTS_RUNTIME_CUBIN_H_
