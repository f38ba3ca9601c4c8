// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_fast64_t allocation_count;
static atomic_uint_fast64_t failing_allocation;

static bool must_fail(void) {
  uint64_t failing =
      atomic_load_explicit(&failing_allocation, memory_order_relaxed);
  uint64_t index =
      atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed) + 1;
  return failing != 0 && index == failing;
}

void *tsr_malloc(size_t size) {
  return must_fail() ? NULL : malloc(size == 0 ? 1 : size);
}

void *tsr_calloc(size_t count, size_t size) {
  if (must_fail()) return NULL;
  return count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);
}

void *tsr_realloc(void *pointer, size_t size) {
  return must_fail() ? NULL : realloc(pointer, size == 0 ? 1 : size);
}

void *tsr_aligned_alloc(size_t alignment, size_t size) {
  if (must_fail() || size > SIZE_MAX - alignment) return NULL;
  size_t rounded = (size + alignment - 1) / alignment * alignment;
  return aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
}

char *tsr_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = tsr_malloc(size);
  if (copy != NULL) memcpy(copy, text, size);
  return copy;
}

void tsr_free(void *pointer) {
  free(pointer);
}

uint64_t tsr_memory_fail_at(uint64_t nth) {
  uint64_t seen = atomic_exchange(&allocation_count, 0);
  atomic_store(&failing_allocation, nth);
  return seen;
}
