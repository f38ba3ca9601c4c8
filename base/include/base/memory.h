// SPDX-License-Identifier: Apache-2.0
// The only way our code allocates. One switch makes the Nth allocation fail,
// so tests can walk every out-of-memory path.
#ifndef BASE_MEMORY_H_
#define BASE_MEMORY_H_

#include <stddef.h>
#include <stdint.h>

// As the C library's; NULL on failure or when |count| * |size| overflows.
void *tsr_malloc(size_t size);
void *tsr_calloc(size_t count, size_t size);
void *tsr_realloc(void *pointer, size_t size);
void *tsr_aligned_alloc(size_t alignment, size_t size);  // size is rounded up
char *tsr_strdup(const char *text);
void tsr_free(void *pointer);

// Test hook, process-wide: the |nth| allocation from now (1-based) fails, once.
// 0 switches it off. Returns how many allocations happened since the last call.
// Not for use while other threads allocate, except to let one of theirs fail.
uint64_t tsr_memory_fail_at(uint64_t nth);

#endif  // BASE_MEMORY_H_
