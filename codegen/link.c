// SPDX-License-Identifier: Apache-2.0
// Objects -> shared image, by the system's linker, without a shell. What comes
// out depends on the objects alone: no build id, no path, one version script
// that exports what the objects export. Temporary files live in a private
// folder and are removed on every way out.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "codegen/codegen.h"
#include "process.h"

enum { FIXED_ARGUMENTS = 24 };

typedef struct link_job {
  cg_folder folder;
  char **arguments;
  uint32_t argument_count;
  char script[192];
} link_job;

static void object_path(const link_job *job, uint32_t index, char *out,
                        size_t size) {
  (void)snprintf(out, size, "%s/%u.o", job->folder.path, index);
}

static tsr_status push(link_job *job, const char *text, tsr_error *error) {
  char *copy = tsr_strdup(text);
  if (copy == NULL) return tsr_error_out_of_memory(error);
  job->arguments[job->argument_count++] = copy;
  return TSR_OK;
}

static tsr_status write_inputs(link_job *job, const tsr_object *objects,
                               uint32_t object_count, tsr_error *error) {
  static const char script[] =
      "TESSERA_1 { global: tsr_*_run; tsr_*_reduce; tsr_*_pack; local: *; };\n";
  (void)snprintf(job->script, sizeof(job->script), "%s/exports",
                 job->folder.path);
  tsr_status status =
      cg_file_create(job->script, script, sizeof(script) - 1, error);
  for (uint32_t i = 0; i < object_count && status == TSR_OK; ++i) {
    char path[192];
    object_path(job, i, path, sizeof(path));
    status = cg_file_create(path, objects[i].data, objects[i].size, error);
    if (status == TSR_OK) status = push(job, path, error);
  }
  return status;
}

static tsr_status make_arguments(link_job *job, const tsr_variant *variant,
                                 const char *linker, const char *path,
                                 uint32_t object_count, tsr_error *error) {
  bool arm = strcmp(variant->architecture, "aarch64") == 0;
  const char *fixed[] = {linker,
                         "-m",
                         arm ? "aarch64linux" : "elf_x86_64",
                         "-shared",
                         "--build-id=none",
                         "--hash-style=gnu",
                         "-z",
                         "now",
                         "-z",
                         "relro",
                         "-z",
                         "noexecstack",
                         "-z",
                         "defs",
                         "-soname",
                         variant->name,
                         "-o",
                         path,
                         "--version-script"};
  size_t count = sizeof(fixed) / sizeof(fixed[0]);
  job->arguments = tsr_calloc(object_count + FIXED_ARGUMENTS, sizeof(char *));
  if (job->arguments == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = TSR_OK;
  for (size_t i = 0; i < count && status == TSR_OK; ++i) {
    status = push(job, fixed[i], error);
  }
  char script[192];
  (void)snprintf(script, sizeof(script), "%s/exports", job->folder.path);
  if (status == TSR_OK) status = push(job, script, error);
  return status;
}

// What the linker said, on one line.
static void read_log(const char *path, char *out, size_t size) {
  size_t used = 0;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t got = read(file, out, size - 1);
    if (got > 0) used = (size_t)got;
    (void)close(file);
  }
  while (used != 0 && out[used - 1] == '\n') --used;
  out[used] = '\0';
  for (char *at = out; *at != '\0'; ++at) {
    if ((unsigned char)*at < ' ') *at = ' ';
  }
}

// Linkers write through a mapping of their output: where the disk is full they
// die of SIGBUS with a stack trace that does not say so. This does: 0, or why
// |path| cannot have about the size of all |objects|.
static int probe_space(const char *path, const tsr_object *objects,
                       uint32_t object_count) {
  uint64_t size = 32768;  // headers, and segments rounded up to pages
  for (uint32_t i = 0; i < object_count; ++i) size += objects[i].size;
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return errno;
  int native = posix_fallocate(file, 0, (off_t)size);
  (void)close(file);
  return native;
}

// |*out_missing|: there is no such program.
static tsr_status run_linker(link_job *job, bool *out_missing,
                             tsr_error *error) {
  char log[192];
  (void)snprintf(log, sizeof(log), "%s/log", job->folder.path);
  const char *name = job->arguments[0];
  int result = 0;
  int native = cg_process_run(job->arguments, log, &result);
  *out_missing = native == ENOENT;
  if (native == ECANCELED) {
    return tsr_error_set(error, TSR_CANCELLED, "interrupted");
  }
  if (native != 0) {
    return tsr_error_set_errno(error, native, "cannot start the linker %s",
                               name);
  }
  if (WIFEXITED(result) && WEXITSTATUS(result) == 0) return TSR_OK;
  char text[360];
  read_log(log, text, sizeof(text));
  return tsr_error_set(error, TSR_INTERNAL, "linker %s failed: %s", name,
                       text[0] != '\0' ? text : "it says nothing");
}

static bool is_this_machine(const tsr_variant *variant) {
  struct utsname machine;
  return uname(&machine) == 0 &&
         strcmp(machine.machine, variant->architecture) == 0;
}

// Tries the candidates in order; only a missing program leads to the next.
static tsr_status run_candidates(link_job *job, const tsr_variant *variant,
                                 const char *linker, tsr_error *error) {
  static const char *const defaults[] = {"ld.lld-22", "ld.lld", "ld"};
  uint32_t count = is_this_machine(variant) ? 3 : 2;
  bool missing = true;
  if (linker != NULL) return run_linker(job, &missing, error);
  for (uint32_t i = 0; i < count; ++i) {
    char *name = tsr_strdup(defaults[i]);
    if (name == NULL) return tsr_error_out_of_memory(error);
    tsr_free(job->arguments[0]);
    job->arguments[0] = name;
    tsr_error attempt = {0};
    tsr_status status = run_linker(job, &missing, &attempt);
    if (!missing) {
      if (status != TSR_OK && error != NULL) *error = attempt;
      return status;
    }
  }
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "no linker found (ld.lld-22, ld.lld%s); install lld-22 "
                       "or name one with TESSERA_LINKER",
                       count == 3 ? ", ld" : "");
}

tsr_status tsr_codegen_link(const tsr_variant *variant,
                            const tsr_object *objects, uint32_t object_count,
                            const char *linker, const char *path,
                            tsr_error *error) {
  link_job job = {0};
  if (linker == NULL || linker[0] == '\0') linker = getenv("TESSERA_LINKER");
  if (linker != NULL && linker[0] == '\0') linker = NULL;
  tsr_status status = cg_folder_create(&job.folder, "link", error);
  if (status == TSR_OK) {
    status = make_arguments(&job, variant, linker != NULL ? linker : "", path,
                            object_count, error);
  }
  if (status == TSR_OK) {
    status = write_inputs(&job, objects, object_count, error);
  }
  if (status == TSR_OK) {
    status = run_candidates(&job, variant, linker, error);
    int native =
        status == TSR_INTERNAL ? probe_space(path, objects, object_count) : 0;
    if (native != 0) {
      if (error != NULL) *error = (tsr_error){0};  // the first one would stay
      status = tsr_error_set_errno(error, native, "cannot write %s", path);
    }
  }
  if (status != TSR_OK) (void)unlink(path);
  cg_folder_remove(&job.folder);
  for (uint32_t i = 0; i < job.argument_count; ++i) tsr_free(job.arguments[i]);
  tsr_free(job.arguments);
  return status;
}
