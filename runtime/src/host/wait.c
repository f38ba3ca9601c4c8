// SPDX-License-Identifier: Apache-2.0
// A sleeper announces itself before it looks at the word for the last time; a
// writer changes the word before it looks for sleepers. Both are sequentially
// consistent, so one of the two sees the other and no wake-up is lost.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // syscall
#include "wait.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void wake_all(tsr_word *word) {
  if (__atomic_load_n(&word->sleepers, __ATOMIC_SEQ_CST) == 0) return;
  (void)syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
                NULL, 0);
}

uint32_t tsr_word_load(const tsr_word *word) {
  return __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
}

void tsr_word_store(tsr_word *word, uint32_t value) {
  __atomic_store_n(&word->value, value, __ATOMIC_SEQ_CST);
  wake_all(word);
}

void tsr_word_decrement(tsr_word *word) {
  if (__atomic_sub_fetch(&word->value, 1, __ATOMIC_SEQ_CST) == 0) {
    wake_all(word);
  }
}

uint32_t tsr_word_wait(tsr_word *word, uint32_t old, uint32_t spins) {
  for (uint32_t i = 0; i < spins; ++i) {
    uint32_t value = tsr_word_load(word);
    if (value != old) return value;
    relax();
  }
  for (;;) {
    __atomic_fetch_add(&word->sleepers, 1, __ATOMIC_SEQ_CST);
    uint32_t value = __atomic_load_n(&word->value, __ATOMIC_SEQ_CST);
    if (value == old) {
      // Returns at once when the word is no longer |old|.
      (void)syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, old, NULL,
                    NULL, 0);
    }
    __atomic_fetch_sub(&word->sleepers, 1, __ATOMIC_SEQ_CST);
    value = tsr_word_load(word);
    if (value != old) return value;
  }
}

void tsr_barrier_wait(tsr_barrier *barrier, uint32_t count, uint32_t spins) {
  // Cannot advance before this thread arrives.
  uint32_t generation = tsr_word_load(&barrier->generation);
  uint32_t arrived = __atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL);
  if (arrived == count) {
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
    tsr_word_store(&barrier->generation, generation + 1);
  } else {
    (void)tsr_word_wait(&barrier->generation, generation, spins);
  }
}
