// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

// A test that makes every allocation fail in turn wants tiny blocks.
#ifndef TSR_ARENA_BLOCK_SIZE
#define TSR_ARENA_BLOCK_SIZE (64 * 1024)
#endif

enum { ALIGNMENT = 16, BLOCK_SIZE = TSR_ARENA_BLOCK_SIZE };

struct tsr_arena_block {
  struct tsr_arena_block *next;
  size_t padding;  // keeps the payload 16-byte aligned
};

void tsr_arena_init(tsr_arena *arena) {
  memset(arena, 0, sizeof(*arena));
}

void tsr_arena_fini(tsr_arena *arena) {
  if (arena == NULL) return;
  struct tsr_arena_block *block = arena->blocks;
  while (block != NULL) {
    struct tsr_arena_block *next = block->next;
    tsr_free(block);
    block = next;
  }
  tsr_arena_init(arena);
}

static bool add_block(tsr_arena *arena, size_t payload) {
  size_t size = payload < BLOCK_SIZE ? BLOCK_SIZE : payload;
  struct tsr_arena_block *block = tsr_malloc(sizeof(*block) + size);
  if (block == NULL) return false;
  block->next = arena->blocks;
  arena->blocks = block;
  arena->cursor = (char *)(block + 1);
  arena->limit = arena->cursor + size;
  arena->total_size += size;
  return true;
}

void *tsr_arena_alloc(tsr_arena *arena, size_t size) {
  if (size > SIZE_MAX - (size_t)2 * BLOCK_SIZE) return NULL;
  size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (rounded == 0) rounded = ALIGNMENT;
  if ((size_t)(arena->limit - arena->cursor) < rounded &&
      !add_block(arena, rounded)) {
    return NULL;
  }
  void *memory = arena->cursor;
  arena->cursor += rounded;
  return memset(memory, 0, rounded);
}

void *tsr_arena_alloc_array(tsr_arena *arena, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  return tsr_arena_alloc(arena, count * size);
}

char *tsr_arena_strndup(tsr_arena *arena, const char *text, size_t size) {
  if (size == SIZE_MAX) return NULL;
  char *copy = tsr_arena_alloc(arena, size + 1);
  if (copy != NULL && size != 0) memcpy(copy, text, size);
  return copy;
}

char *tsr_arena_printf(tsr_arena *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  va_list again;
  va_copy(again, args);
  int size = vsnprintf(NULL, 0, format, args);
  char *text = size < 0 ? NULL : tsr_arena_alloc(arena, (size_t)size + 1);
  if (text != NULL) (void)vsnprintf(text, (size_t)size + 1, format, again);
  va_end(again);
  va_end(args);
  return text;
}
