// SPDX-License-Identifier: Apache-2.0
// Bump allocation with one free at the end. One arena per compilation owns the
// source copies, tokens, AST, plan and schedule. Thread-compatible: one thread
// at a time.
#ifndef BASE_ARENA_H_
#define BASE_ARENA_H_

#include <stddef.h>

#include "base/status.h"

struct tsr_arena_block;

typedef struct tsr_arena {
  struct tsr_arena_block *blocks;  // newest first; owned
  char *cursor;
  char *limit;
  size_t total_size;  // bytes asked of the system
} tsr_arena;

// A zeroed arena is valid and empty; init only zeroes.
void tsr_arena_init(tsr_arena *arena);
// Frees everything; the arena is empty and usable again. NULL is ignored.
void tsr_arena_fini(tsr_arena *arena);

// Zeroed memory aligned to 16 bytes, or NULL when out of memory.
void *tsr_arena_alloc(tsr_arena *arena, size_t size);
// As above for |count| * |size| bytes; NULL also on overflow.
void *tsr_arena_alloc_array(tsr_arena *arena, size_t count, size_t size);
// A NUL-terminated copy of |size| bytes of |text|; NULL when out of memory.
char *tsr_arena_strndup(tsr_arena *arena, const char *text, size_t size);
// printf into the arena; NULL when out of memory.
char *tsr_arena_printf(tsr_arena *arena, const char *format, ...)
    TSR_PRINTF(2, 3);

#endif  // BASE_ARENA_H_
