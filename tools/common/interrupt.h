// SPDX-License-Identifier: Apache-2.0
// SIGINT, SIGTERM and SIGHUP. One thread waits for them, so that their code
// never runs inside a signal handler and clean-up may allocate. The first
// signal raises a flag that long work polls; the second (or the first, in a
// command that does not poll) removes temporary files and ends the process.
// Also SIGBUS, which a mapped file raises that somebody truncates: explained on
// standard error before it ends the process.
#ifndef COMMON_INTERRUPT_H_
#define COMMON_INTERRUPT_H_

#include <stdbool.h>

// Call once, before any thread is started. Without a thread to spare, the
// signals keep their default action.
void tsr_interrupt_install(bool polls);
// True once a signal has come. Any thread.
bool tsr_interrupted(void);
// If interrupted: removes temporary files and ends the process by the signal,
// so that the parent sees why. Returns otherwise.
void tsr_interrupt_finish(void);

#endif  // COMMON_INTERRUPT_H_
