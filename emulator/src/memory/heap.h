// SPDX-License-Identifier: Apache-2.0
// Device memory of one emulated device. Device addresses are host addresses of
// one large reserved range, so a pointer of a kernel is used as it is once it
// is known to lie in an allocation. New memory is filled with 0xff bytes (NaN
// as bf16, f16, f32 and f64) and counts as never written. Guard bytes between
// allocations make an overrun an error. Thread-safe but for contents.
#ifndef MEMORY_HEAP_H_
#define MEMORY_HEAP_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct tsr_heap tsr_heap;

typedef enum tsr_heap_use {
  TSR_HEAP_DATA,
  TSR_HEAP_CONSTANT,  // kernels may not write it
  TSR_HEAP_HOST,      // host memory that kernels may access (pinned, managed)
} tsr_heap_use;

typedef struct tsr_allocation {
  uint64_t address, size;
  tsr_heap_use use;
  uint64_t serial;         // in order of allocation, never reused
  unsigned char *written;  // a bit per byte; NULL: all counts as written
} tsr_allocation;

// |size|: how much can be allocated at once (the device's memory); reserved,
// not committed. Addresses are the same in every process where the system
// allows.
TSR_MUST_USE tsr_status tsr_heap_create(uint64_t size, bool track_written,
                                        tsr_heap **out_heap, tsr_error *error);
void tsr_heap_destroy(tsr_heap *heap);
// Aligned to 512 bytes, as cuMemAlloc's (to at least 256 bytes: CUDA C
// Programming Guide, "Device Memory Accesses"). TSR_OUT_OF_MEMORY when the
// device is full.
TSR_MUST_USE tsr_status tsr_heap_allocate(tsr_heap *heap, uint64_t size,
                                          tsr_heap_use use,
                                          uint64_t *out_address,
                                          tsr_error *error);
// Makes the caller's |size| bytes at |address| known (cuMemHostRegister, pinned
// memory); all of it counts as written.
TSR_MUST_USE tsr_status tsr_heap_register(tsr_heap *heap, void *address,
                                          uint64_t size, tsr_error *error);
// False when |address| does not start an allocation.
bool tsr_heap_free(tsr_heap *heap, uint64_t address);
// The allocation that |address| lies in; false when there is none. The last
// allocation freed near it, for messages, goes to |out_freed| (may be NULL).
bool tsr_heap_find(tsr_heap *heap, uint64_t address,
                   tsr_allocation *out_allocation);
// "12 bytes behind the allocation of 4096 bytes at 0x...", for a message.
void tsr_heap_describe(tsr_heap *heap, uint64_t address, char *out_text,
                       uint64_t text_size);
// Host side writes (copies, memset): marks the bytes written. Host reads.
void tsr_heap_mark_written(tsr_heap *heap, uint64_t address, uint64_t size);
uint64_t tsr_heap_used(const tsr_heap *heap);
uint64_t tsr_heap_size(const tsr_heap *heap);

#endif  // MEMORY_HEAP_H_
