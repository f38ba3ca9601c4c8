// SPDX-License-Identifier: Apache-2.0
// See process.h.
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "codegen/codegen.h"

extern char **environ;

// ---- What there is ---------------------------------------------------------

typedef struct child {
  pid_t process;
  struct child *next;
} child;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;  // of all this:
static child *children;
static cg_folder *folders;
static bool is_stopped;

static void end_children(int number) {
  for (const child *c = children; c != NULL; c = c->next) {
    (void)kill(-c->process, number);
  }
}

// Until |process| has ended; it stays a zombie, so that its number is its own.
static int await(pid_t process) {
  siginfo_t info;
  while (waitid(P_PID, (id_t)process, &info, WEXITED | WNOWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

static void remove_folder(cg_folder *folder) {
  // What is left in a folder for temporary files is no failure of ours.
  tsr_status status = tsr_path_remove(folder->path, NULL);
  (void)status;
  folder->path[0] = '\0';
}

void tsr_codegen_stop(bool at_once) {
  (void)pthread_mutex_lock(&mutex);
  is_stopped = true;
  end_children(at_once ? SIGKILL : SIGTERM);
  for (const child *c = children; at_once && c != NULL; c = c->next) {
    (void)await(c->process);
  }
  for (cg_folder *f = folders; at_once && f != NULL; f = f->next) {
    remove_folder(f);
  }
  (void)pthread_mutex_unlock(&mutex);
}

// ---- Files -----------------------------------------------------------------

tsr_status cg_folder_create(cg_folder *folder, const char *purpose,
                            tsr_error *error) {
  const char *base = getenv("TMPDIR");
  if (base == NULL || base[0] == '\0' || strlen(base) > 100) base = "/tmp";
  (void)snprintf(folder->path, sizeof(folder->path), "%s/tessera-%s-XXXXXX",
                 base, purpose);
  (void)pthread_mutex_lock(&mutex);
  int native = is_stopped                      ? ECANCELED
               : mkdtemp(folder->path) == NULL ? errno
                                               : 0;
  if (native == 0) {
    folder->next = folders;
    folders = folder;
  } else {
    folder->path[0] = '\0';
  }
  (void)pthread_mutex_unlock(&mutex);
  if (native == 0) return TSR_OK;
  if (native == ECANCELED) {
    return tsr_error_set(error, TSR_CANCELLED, "interrupted");
  }
  return tsr_error_set_errno(error, native, "cannot make a folder in %s", base);
}

void cg_folder_remove(cg_folder *folder) {
  (void)pthread_mutex_lock(&mutex);
  cg_folder **link = &folders;
  while (*link != NULL && *link != folder) link = &(*link)->next;
  if (*link != NULL) *link = folder->next;
  if (folder->path[0] != '\0') remove_folder(folder);
  (void)pthread_mutex_unlock(&mutex);
}

tsr_status cg_file_create(const char *path, const void *data, size_t size,
                          tsr_error *error) {
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0)
    return tsr_error_set_errno(error, errno, "cannot create %s", path);
  tsr_status status = TSR_OK;
  const char *at = data;
  while (size != 0 && status == TSR_OK) {
    ssize_t done = write(file, at, size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      status = tsr_error_set_errno(error, errno, "cannot write %s", path);
      break;
    }
    at += done;
    size -= (size_t)done;
  }
  if (close(file) != 0 && status == TSR_OK) {
    status = tsr_error_set_errno(error, errno, "cannot write %s", path);
  }
  return status;
}

// ---- Programs --------------------------------------------------------------

static int open_streams(posix_spawn_file_actions_t *actions, const char *log) {
  int native =
      posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
  if (native == 0) {
    native = posix_spawn_file_actions_addopen(
        actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  }
  if (native == 0) native = posix_spawn_file_actions_adddup2(actions, 1, 2);
  return native;
}

// A process group of its own, and no signals blocked that we block for a thread
// that waits for them.
static int set_attributes(posix_spawnattr_t *attributes) {
  sigset_t mask;
  int native = pthread_sigmask(SIG_BLOCK, NULL, &mask);
  (void)sigdelset(&mask, SIGINT);
  (void)sigdelset(&mask, SIGTERM);
  (void)sigdelset(&mask, SIGHUP);
  if (native == 0) native = posix_spawnattr_setsigmask(attributes, &mask);
  if (native == 0) native = posix_spawnattr_setpgroup(attributes, 0);
  if (native != 0) return native;
  return posix_spawnattr_setflags(
      attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
}

static int spawn(char *const *arguments, const char *log, pid_t *out_process) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int native = posix_spawn_file_actions_init(&actions);
  if (native != 0) return native;
  native = posix_spawnattr_init(&attributes);
  if (native == 0) {
    native = set_attributes(&attributes);
    if (native == 0) native = open_streams(&actions, log);
    if (native == 0) {
      native = posix_spawnp(out_process, arguments[0], &actions, &attributes,
                            arguments, environ);
    }
    (void)posix_spawnattr_destroy(&attributes);
  }
  (void)posix_spawn_file_actions_destroy(&actions);
  return native;
}

static int begin(char *const *arguments, const char *log, child *out) {
  (void)pthread_mutex_lock(&mutex);
  int native = is_stopped ? ECANCELED : spawn(arguments, log, &out->process);
  if (native == 0) {
    out->next = children;
    children = out;
  }
  (void)pthread_mutex_unlock(&mutex);
  return native;
}

// Takes a program that has ended off the list before its number may be
// another's.
static int finish(child *ended, int *out_result) {
  (void)pthread_mutex_lock(&mutex);
  child **link = &children;
  while (*link != NULL && *link != ended) link = &(*link)->next;
  if (*link != NULL) *link = ended->next;
  int native = waitpid(ended->process, out_result, 0) < 0 ? errno : 0;
  if (is_stopped) native = ECANCELED;
  (void)pthread_mutex_unlock(&mutex);
  return native;
}

int cg_process_run(char *const *arguments, const char *log, int *out_result) {
  child self = {0};
  int native = begin(arguments, log, &self);
  if (native != 0) return native;
  native = await(self.process);
  int finished = finish(&self, out_result);
  return native != 0 ? native : finished;
}
