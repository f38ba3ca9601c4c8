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
// What else to do when a signal comes: |stop| is called by the thread that
// waits for signals; at the first one of a command that polls with false, so
// that programs that long work waits for end too, and before the process ends
// by one with true. Set it before tsr_cli_main.
void tsr_interrupt_on(void (*stop)(bool at_once));
// True once a signal has come. Any thread.
bool tsr_interrupted(void);
// If interrupted: removes temporary files and ends the process by the signal,
// so that the parent sees why. Returns otherwise.
void tsr_interrupt_finish(void);

#endif  // COMMON_INTERRUPT_H_
