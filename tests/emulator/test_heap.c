// SPDX-License-Identifier: Apache-2.0
// The emulated device's heap: where allocations lie, what they hold, what is
// said of addresses outside of them, and what several threads may do at once.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "memory/bits.h"
#include "memory/heap.h"
#include "test.h"

#define GIB (UINT64_C(1) << 30)

static tsr_heap *make(uint64_t size, bool track) {
  tsr_heap *heap = NULL;
  tsr_error error = {0};
  CHECK(tsr_heap_create(size, track, &heap, &error) == TSR_OK);
  return heap;
}

static uint64_t allocate(tsr_heap *heap, uint64_t size) {
  uint64_t address = 0;
  tsr_error error = {0};
  CHECK(tsr_heap_allocate(heap, size, TSR_HEAP_DATA, &address, &error) ==
        TSR_OK);
  return address;
}

static unsigned char *bytes_at(uint64_t address) {
  return (unsigned char *)(uintptr_t)address;
}

static void test_layout(void) {
  tsr_heap *heap = make(GIB, true);
  static const uint64_t sizes[] = {1, 255, 256, 257, 511, 512, 513, 4096, 100};
  enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
  uint64_t at[COUNT];
  for (uint32_t i = 0; i < COUNT; ++i) {
    at[i] = allocate(heap, sizes[i]);
    CHECK_EQ(at[i] % 512, 0);
    CHECK(at[i] >= UINT64_C(1) << 40);
    for (uint64_t k = 0; k < sizes[i]; ++k) CHECK(bytes_at(at[i])[k] == 0xff);
    if (i > 0) CHECK(at[i] - (at[i - 1] + sizes[i - 1]) >= 256);
  }
  for (uint32_t i = 0; i < COUNT; ++i) {
    tsr_allocation in;
    CHECK(tsr_heap_find(heap, at[i], &in) && in.address == at[i]);
    CHECK(tsr_heap_find(heap, at[i] + sizes[i] - 1, &in) &&
          in.address == at[i] && in.size == sizes[i]);
    CHECK(!tsr_heap_find(heap, at[i] + sizes[i], &in));
    CHECK(!tsr_heap_find(heap, at[i] - 1, &in));
    CHECK(in.serial == i + 1);
  }
  CHECK(!tsr_heap_free(heap, at[3] + 1));
  CHECK(tsr_heap_free(heap, at[3]));
  CHECK(!tsr_heap_free(heap, at[3]));
  tsr_allocation in;
  CHECK(!tsr_heap_find(heap, at[3], &in));  // not from a remembered hit either
  // The first gap that is large enough is used again, filled afresh.
  memset(bytes_at(at[5]), 0, 512);
  CHECK(tsr_heap_free(heap, at[5]));
  CHECK_EQ(allocate(heap, 257), at[3]);
  CHECK_EQ(allocate(heap, 512), at[5]);
  CHECK(bytes_at(at[5])[0] == 0xff && bytes_at(at[5])[511] == 0xff);
  tsr_heap_destroy(heap);
}

static void test_same_addresses(void) {
  tsr_heap *heap = make(GIB, false);
  uint64_t first = allocate(heap, 100);
  tsr_heap_destroy(heap);
  heap = make(GIB, false);
  CHECK_EQ(allocate(heap, 100), first);
  tsr_heap *other = make(80 * GIB, true);
  uint64_t elsewhere = allocate(other, 100);
  tsr_allocation in;
  CHECK(!tsr_heap_find(heap, elsewhere, &in));
  CHECK(!tsr_heap_find(other, first, &in));
  tsr_heap_destroy(other);
  tsr_heap_destroy(heap);
}

static void test_full(void) {
  tsr_heap *heap = make(1 << 20, false);
  tsr_error error = {0};
  uint64_t address = 1;
  CHECK(tsr_heap_allocate(heap, (1 << 20) + 1, TSR_HEAP_DATA, &address,
                          &error) == TSR_OUT_OF_MEMORY);
  CHECK_EQ(address, 0);
  CHECK(tsr_heap_allocate(heap, UINT64_MAX - 100, TSR_HEAP_DATA, &address,
                          &error) == TSR_OUT_OF_MEMORY);
  CHECK(tsr_heap_allocate(heap, 0, TSR_HEAP_DATA, &address, &error) ==
        TSR_INVALID_ARGUMENT);
  uint64_t all = allocate(heap, 1 << 20);
  CHECK_EQ(tsr_heap_used(heap), 1 << 20);
  CHECK_EQ(tsr_heap_size(heap), 1 << 20);
  CHECK(tsr_heap_allocate(heap, 1, TSR_HEAP_DATA, &address, &error) ==
        TSR_OUT_OF_MEMORY);
  CHECK(tsr_heap_free(heap, all));
  CHECK_EQ(tsr_heap_used(heap), 0);
  // Guards do not count: 2048 allocations of 512 bytes fit.
  for (int i = 0; i < 2048; ++i) (void)allocate(heap, 512);
  CHECK(tsr_heap_allocate(heap, 1, TSR_HEAP_DATA, &address, &error) ==
        TSR_OUT_OF_MEMORY);
  tsr_heap_destroy(heap);
}

static double now(void) {
  struct timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// Tens of gigabytes cost addresses, not memory, and read as 0xff throughout.
static void test_large(void) {
  tsr_heap *heap = make(80 * GIB, true);
  double start = now();
  uint64_t address = allocate(heap, 40 * GIB);
  CHECK(now() - start < 5);
  for (uint64_t at = 0; at < 40 * GIB; at += GIB / 2 + 12345) {
    CHECK(bytes_at(address)[at] == 0xff);
  }
  CHECK(bytes_at(address)[40 * GIB - 1] == 0xff);
  tsr_allocation in;
  CHECK(tsr_heap_find(heap, address + 20 * GIB, &in));
  CHECK(!tsr_bits_all(in.written, 20 * GIB, 1));
  bytes_at(address)[20 * GIB] = 5;
  tsr_heap_mark_written(heap, address + 20 * GIB, 100);
  CHECK(tsr_bits_all(in.written, 20 * GIB, 100));
  CHECK(tsr_heap_free(heap, address));
  address = allocate(heap, 40 * GIB);
  CHECK(bytes_at(address)[20 * GIB] == 0xff);
  CHECK(tsr_heap_find(heap, address, &in));
  CHECK(!tsr_bits_all(in.written, 20 * GIB, 1));
  tsr_heap_destroy(heap);
}

static void test_written(void) {
  tsr_heap *heap = make(GIB, true);
  uint64_t address = allocate(heap, 1000);
  tsr_allocation in;
  CHECK(tsr_heap_find(heap, address, &in));
  bool model[1000] = {false};
  uint64_t state = 1;
  for (int round = 0; round < 200; ++round) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t first = (state >> 33) % 1000;
    uint64_t count = (state >> 20) % 9 * ((state >> 11) % 23);
    tsr_heap_mark_written(heap, address + first, count);
    for (uint64_t i = first; i < first + count && i < 1000; ++i) {
      model[i] = true;
    }
    for (uint64_t i = 0; i < 1000; ++i) {
      CHECK(tsr_bits_all(in.written, i, 1) == model[i]);
    }
    uint64_t clear = 0;
    while (first + clear < 1000 && model[first + clear]) ++clear;
    CHECK_EQ(tsr_bits_first_clear(in.written, first, 1000 - first), clear);
    CHECK(tsr_bits_all(in.written, first, 1000 - first) ==
          (clear == 1000 - first));
  }
  // A new allocation at the same place begins anew; what goes over its end or
  // lies outside of all is ignored.
  CHECK(tsr_heap_free(heap, address));
  CHECK_EQ(allocate(heap, 1000), address);
  CHECK(tsr_heap_find(heap, address, &in));
  for (uint64_t i = 0; i < 1000; ++i) CHECK(!tsr_bits_all(in.written, i, 1));
  tsr_heap_mark_written(heap, address + 990, UINT64_MAX);
  CHECK(tsr_bits_all(in.written, 990, 10));
  tsr_heap_mark_written(heap, address + 1000, 8);
  tsr_heap_mark_written(heap, 12, 8);
  tsr_heap_destroy(heap);
}

static void test_register(void) {
  tsr_heap *heap = make(GIB, true);
  tsr_error error = {0};
  unsigned char *memory = malloc(1000);
  CHECK(tsr_heap_register(heap, memory, 1000, &error) == TSR_OK);
  tsr_allocation in;
  uint64_t address = (uint64_t)(uintptr_t)memory;
  CHECK(tsr_heap_find(heap, address + 999, &in));
  CHECK(in.use == TSR_HEAP_HOST && in.written == NULL && in.size == 1000);
  CHECK(!tsr_heap_find(heap, address + 1000, &in));
  CHECK_EQ(tsr_heap_used(heap), 0);
  tsr_error again = {0};
  CHECK(tsr_heap_register(heap, memory + 10, 10, &again) ==
        TSR_INVALID_ARGUMENT);
  CHECK(tsr_heap_register(heap, memory - 10, 11, &again) ==
        TSR_INVALID_ARGUMENT);
  CHECK(tsr_heap_register(heap, NULL, 11, &again) == TSR_INVALID_ARGUMENT);
  CHECK(tsr_heap_register(heap, memory, 0, &again) == TSR_INVALID_ARGUMENT);
  uint64_t device = allocate(heap, 100);
  CHECK(tsr_heap_register(heap, bytes_at(device) + 200, 1, &again) ==
        TSR_INVALID_ARGUMENT);
  CHECK(tsr_heap_free(heap, address));
  CHECK(!tsr_heap_find(heap, address, &in));
  free(memory);
  tsr_heap_destroy(heap);
}

static void test_messages(void) {
  tsr_heap *heap = make(GIB, true);
  char text[200];
  tsr_heap_describe(heap, 1234, text, sizeof(text));
  CHECK_STR(text, "nothing is allocated");
  uint64_t address = allocate(heap, 4096);
  char expected[200];
  tsr_heap_describe(heap, address + 4096 + 12, text, sizeof(text));
  snprintf(expected, sizeof(expected),
           "12 bytes behind the end of the allocation of 4096 bytes at 0x%llx",
           (unsigned long long)address);
  CHECK_STR(text, expected);
  tsr_heap_describe(heap, address - 8, text, sizeof(text));
  snprintf(expected, sizeof(expected),
           "8 bytes before the allocation of 4096 bytes at 0x%llx",
           (unsigned long long)address);
  CHECK_STR(text, expected);
  tsr_heap_describe(heap, address + 8, text, sizeof(text));
  snprintf(expected, sizeof(expected),
           "8 bytes into the allocation of 4096 bytes at 0x%llx",
           (unsigned long long)address);
  CHECK_STR(text, expected);
  CHECK(tsr_heap_free(heap, address));
  tsr_heap_describe(heap, address + 100, text, sizeof(text));
  snprintf(expected, sizeof(expected),
           "in the allocation of 4096 bytes at 0x%llx, which was freed",
           (unsigned long long)address);
  CHECK_STR(text, expected);
  tsr_heap_describe(heap, address, text, 10);
  CHECK_EQ(strlen(text), 9);
  tsr_heap_destroy(heap);
}

typedef struct worker {
  pthread_t thread;
  tsr_heap *heap;
  uint64_t shared;  // an allocation all write marks to
  uint64_t number;
  uint64_t wrong;
} worker;

static void *work(void *argument) {
  worker *w = argument;
  tsr_error error = {0};
  for (uint64_t i = 0; i < 500; ++i) {
    uint64_t at = 0;
    uint64_t size = 1 + (i * 37 + w->number * 101) % 3000;
    tsr_allocation in;
    if (tsr_heap_allocate(w->heap, size, TSR_HEAP_DATA, &at, &error) !=
        TSR_OK) {
      ++w->wrong;
      continue;
    }
    memset(bytes_at(at), (int)w->number, size);
    if (!tsr_heap_find(w->heap, at + size - 1, &in) || in.address != at ||
        tsr_heap_find(w->heap, at + size, &in) ||
        bytes_at(at)[0] != w->number || bytes_at(at)[size - 1] != w->number) {
      ++w->wrong;
    }
    // Neighbouring bytes of other threads share the bitmap's words.
    tsr_heap_mark_written(w->heap, w->shared + i * 4 + w->number, 1);
    if (!tsr_heap_free(w->heap, at)) ++w->wrong;
  }
  return NULL;
}

static void test_threads(void) {
  tsr_heap *heap = make(GIB, true);
  worker workers[4];
  uint64_t shared = allocate(heap, 2000);
  for (uint64_t i = 0; i < 4; ++i) {
    workers[i] = (worker){.heap = heap, .shared = shared, .number = i};
    CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
  }
  for (uint64_t i = 0; i < 4; ++i) {
    (void)pthread_join(workers[i].thread, NULL);
    CHECK_EQ(workers[i].wrong, 0);
  }
  tsr_allocation in;
  CHECK(tsr_heap_find(heap, shared, &in));
  CHECK(tsr_bits_all(in.written, 0, 2000));
  tsr_heap_destroy(heap);
}

// Each allocation of the host in turn fails: nothing is lost, nothing leaks.
static void test_no_memory(void) {
  tsr_error error = {0};
  tsr_heap *heap = NULL;
  (void)tsr_memory_fail_at(1);
  CHECK(tsr_heap_create(GIB, true, &heap, &error) == TSR_OUT_OF_MEMORY);
  CHECK(heap == NULL);
  heap = make(GIB, true);
  uint64_t address = 0;
  (void)tsr_memory_fail_at(1);
  CHECK(tsr_heap_allocate(heap, 100, TSR_HEAP_DATA, &address, &error) ==
        TSR_OUT_OF_MEMORY);
  CHECK_EQ(address, 0);
  CHECK_EQ(tsr_heap_used(heap), 0);
  address = allocate(heap, 100);
  (void)tsr_memory_fail_at(0);
  CHECK(tsr_heap_free(heap, address));
  tsr_heap_destroy(heap);
  tsr_heap_destroy(NULL);
  CHECK(tsr_heap_create(0, true, &heap, &error) == TSR_INVALID_ARGUMENT);
  CHECK(tsr_heap_create(UINT64_MAX, true, &heap, &error) ==
        TSR_INVALID_ARGUMENT);
}

int main(void) {
  test_layout();
  test_same_addresses();
  test_full();
  test_large();
  test_written();
  test_register();
  test_messages();
  test_threads();
  test_no_memory();
  return test_finish();
}
