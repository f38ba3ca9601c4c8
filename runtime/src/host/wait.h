// SPDX-License-Identifier: Apache-2.0
// Waiting for a word to change: spin a little, then let others run, then sleep
// in the kernel. Words are plain uint32_t used with the compiler's atomic
// builtins, because some live in the caller's tessera_team, which is only
// zeroed. A word that is zero needs no set-up.
#ifndef RUNTIME_HOST_WAIT_H_
#define RUNTIME_HOST_WAIT_H_

#include <stdint.h>

// A word that threads may sleep on.
typedef struct tsr_word {
  uint32_t value;
  uint32_t sleepers;
} tsr_word;

uint32_t tsr_word_load(const tsr_word *word);
// Stores |value| and wakes every sleeper. One writer at a time.
void tsr_word_store(tsr_word *word, uint32_t value);
// Subtracts 1; wakes every sleeper when that makes it 0.
void tsr_word_decrement(tsr_word *word);
// Returns the word's value once it differs from |old|; everything written
// before the store is then visible. Spins |spins| times before it sleeps.
uint32_t tsr_word_wait(tsr_word *word, uint32_t old, uint32_t spins);

// All of |count| threads arrive before any leaves. Zero it before first use.
typedef struct tsr_barrier {
  uint32_t arrived;
  uint32_t reserved;
  tsr_word generation;
} tsr_barrier;

void tsr_barrier_wait(tsr_barrier *barrier, uint32_t count, uint32_t spins);

#endif  // RUNTIME_HOST_WAIT_H_
