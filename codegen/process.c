// SPDX-License-Identifier: Apache-2.0
// See process.h.
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

extern char **environ;

tsr_status cg_folder_create(cg_folder *folder, const char *purpose,
                            tsr_error *error) {
  const char *base = getenv("TMPDIR");
  if (base == NULL || base[0] == '\0' || strlen(base) > 100) base = "/tmp";
  (void)snprintf(folder->path, sizeof(folder->path), "%s/tessera-%s-XXXXXX",
                 base, purpose);
  if (mkdtemp(folder->path) != NULL) return TSR_OK;
  int native = errno;
  folder->path[0] = '\0';
  return tsr_error_set_errno(error, native, "cannot make a folder in %s", base);
}

void cg_folder_remove(cg_folder *folder) {
  if (folder->path[0] == '\0') return;
  // What is left in a folder for temporary files is no failure of ours.
  tsr_status status = tsr_path_remove(folder->path, NULL);
  (void)status;
  folder->path[0] = '\0';
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

static int spawn(char *const *arguments, const char *log, pid_t *out_child) {
  posix_spawn_file_actions_t actions;
  int native = posix_spawn_file_actions_init(&actions);
  if (native != 0) return native;
  native = posix_spawn_file_actions_addopen(&actions, 1, log,
                                            O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (native == 0) native = posix_spawn_file_actions_adddup2(&actions, 1, 2);
  if (native == 0) {
    native = posix_spawnp(out_child, arguments[0], &actions, NULL, arguments,
                          environ);
  }
  (void)posix_spawn_file_actions_destroy(&actions);
  return native;
}

int cg_process_run(char *const *arguments, const char *log, int *out_result) {
  pid_t child = 0;
  int native = spawn(arguments, log, &child);
  if (native != 0) return native;
  while (waitpid(child, out_result, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}
