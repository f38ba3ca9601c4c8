// SPDX-License-Identifier: Apache-2.0
// Arenas: aligned zeroed memory of any size, gone in one call.
#include "base/arena.h"

#include "base/memory.h"
#include "test.h"

static void test_memory(void) {
  tsr_arena arena;
  tsr_arena_init(&arena);
  unsigned char *previous = NULL;
  for (size_t size = 0; size < 300000; size = size * 3 + 1) {
    unsigned char *memory = tsr_arena_alloc(&arena, size);
    CHECK(memory != NULL && memory != previous);
    CHECK_EQ((uintptr_t)memory % 16, 0);
    size_t set = 0;
    for (size_t i = 0; i < size; ++i) set += memory[i] != 0;
    CHECK_EQ(set, 0);
    memset(memory, 0xff, size);
    previous = memory;
  }
  tsr_arena_fini(&arena);
  CHECK(arena.blocks == NULL && arena.total_size == 0);
  CHECK(tsr_arena_alloc(&arena, 1) != NULL);
  tsr_arena_fini(&arena);
  tsr_arena_fini(NULL);
}

static void test_limits(void) {
  tsr_arena arena = {0};
  CHECK(tsr_arena_alloc(&arena, SIZE_MAX) == NULL);
  CHECK(tsr_arena_alloc_array(&arena, SIZE_MAX / 2, 3) == NULL);
  CHECK(tsr_arena_alloc_array(&arena, 0, 8) != NULL);
  CHECK(tsr_arena_strndup(&arena, "", SIZE_MAX) == NULL);
  tsr_arena_fini(&arena);
  (void)tsr_memory_fail_at(1);
  CHECK(tsr_arena_alloc(&arena, 1) == NULL);
  (void)tsr_memory_fail_at(0);
  CHECK(tsr_arena_alloc(&arena, 1) != NULL);
  tsr_arena_fini(&arena);
}

static void test_text(void) {
  tsr_arena arena = {0};
  CHECK_STR(tsr_arena_strndup(&arena, "hello", 4), "hell");
  CHECK_STR(tsr_arena_strndup(&arena, NULL, 0), "");
  CHECK_STR(tsr_arena_printf(&arena, "%s-%d", "x", 7), "x-7");
  char *wide = tsr_arena_printf(&arena, "%0100000d", 7);
  CHECK(wide != NULL && strlen(wide) == 100000);
  tsr_arena_fini(&arena);
}

int main(void) {
  test_memory();
  test_limits();
  test_text();
  return test_finish();
}
