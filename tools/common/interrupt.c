// SPDX-License-Identifier: Apache-2.0
#include "common/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "base/file.h"

static atomic_int first_signal;
static atomic_bool polling;
static void (*on_signal)(bool at_once);  // set before there are threads

static void watched(sigset_t *out_set) {
  (void)sigemptyset(out_set);
  (void)sigaddset(out_set, SIGINT);
  (void)sigaddset(out_set, SIGTERM);
  (void)sigaddset(out_set, SIGHUP);
}

// The default action, as if the signal had never been caught. The signals are
// unblocked in this thread only, which is enough for the process to end.
static void end_by(int number) {
  sigset_t set;
  watched(&set);
  if (on_signal != NULL) on_signal(true);
  tsr_file_remove_temporaries();
  (void)signal(number, SIG_DFL);
  (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  (void)raise(number);
}

static void *wait_for_signals(void *unused) {
  (void)unused;
  sigset_t set;
  watched(&set);
  for (;;) {
    int number = 0;
    if (sigwait(&set, &number) != 0) continue;
    int expected = 0;
    bool first =
        atomic_compare_exchange_strong(&first_signal, &expected, number);
    if (!first || !atomic_load(&polling)) end_by(number);
    if (first && on_signal != NULL) on_signal(false);
  }
  return NULL;
}

// Weights are mapped: where a file of them gets shorter while it is read, or
// its disk fails, the system has no other way to say so. The one thing that is
// done inside a handler: say it, and end as without it.
static void on_bus_error(int number) {
  static const char text[] =
      "fatal: a file that was being read was cut short, or its disk failed\n";
  ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
  (void)ignored;
  (void)raise(number);  // after the return, with the default action
}

static void explain_bus_errors(void) {
  struct sigaction action;
  if (sigaction(SIGBUS, NULL, &action) != 0) return;
  if (action.sa_handler != SIG_DFL) return;  // a sanitizer's
  action.sa_handler = on_bus_error;
  action.sa_flags = (int)SA_RESETHAND;
  (void)sigaction(SIGBUS, &action, NULL);
}

void tsr_interrupt_install(bool polls) {
  explain_bus_errors();
  sigset_t set;
  sigset_t before;
  pthread_t thread;
  watched(&set);
  // A signal that our parent told us to ignore (nohup) stays ignored.
  const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i) {
    struct sigaction action;
    if (sigaction(numbers[i], NULL, &action) == 0 &&
        action.sa_handler == SIG_IGN) {
      (void)sigdelset(&set, numbers[i]);
    }
  }
  atomic_store(&polling, polls);
  (void)pthread_sigmask(SIG_BLOCK, &set, &before);
  if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0) {
    (void)pthread_detach(thread);
  } else {
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
}

void tsr_interrupt_on(void (*stop)(bool at_once)) {
  on_signal = stop;
}

bool tsr_interrupted(void) {
  return atomic_load_explicit(&first_signal, memory_order_relaxed) != 0;
}

void tsr_interrupt_finish(void) {
  int number = atomic_load(&first_signal);
  if (number != 0) end_by(number);
}
