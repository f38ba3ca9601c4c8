// SPDX-License-Identifier: Apache-2.0
// TSR_CLONES before a function's definition compiles it for AVX2 as well; the
// loader picks. Results are the same: no clone may contract or reorder.
#ifndef COMPILER_IMPORT_CLONES_H_
#define COMPILER_IMPORT_CLONES_H_

#include <limits.h>  // __GLIBC__

// gcc only: clang 14 names the resolver otherwise than callers expect. Not
// under sanitizers, whose runtimes are not up yet when the loader picks.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TSR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TSR_CLONES
#endif

#endif  // COMPILER_IMPORT_CLONES_H_
