// SPDX-License-Identifier: Apache-2.0
// PTX -> cubin by NVIDIA's assembler, where there is one: found, run without a
// shell, and its report of registers and spills read. Reproducible: our PTX
// names no file (.file, .loc), of which ptxas would write size and time into
// the cubin, and debug information is suppressed.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "nv.h"
#include "process.h"

static const char usual[] = "/usr/local/cuda/bin/ptxas";

// ---- Finding ---------------------------------------------------------------

static bool is_program(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
         access(path, X_OK) == 0;
}

// |name| in the folders of PATH, as execvp looks for it.
static bool find_in_path(const char *name, tsr_buffer *out) {
  const char *at = getenv("PATH");
  while (at != NULL && *at != '\0') {
    size_t size = strcspn(at, ":");
    tsr_buffer_clear(out);
    if (size == 0) tsr_buffer_append_char(out, '.');
    tsr_buffer_append(out, at, size);
    tsr_buffer_printf(out, "/%s", name);
    if (!out->failed && is_program(tsr_buffer_text(out))) return true;
    at += size;
    if (*at == ':') ++at;
  }
  tsr_buffer_clear(out);
  return false;
}

static tsr_status find_named(const char *named, const char *by, tsr_buffer *out,
                             tsr_error *error) {
  if (strcmp(named, "none") == 0) return TSR_OK;
  bool found = false;
  if (strchr(named, '/') == NULL) {
    found = find_in_path(named, out);
  } else if (is_program(named)) {
    tsr_buffer_append_string(out, named);
    found = true;
  }
  tsr_status status = tsr_buffer_status(out, error);
  if (status != TSR_OK || found) return status;
  return tsr_error_set(error, TSR_NOT_FOUND, "%s names no program: %s", by,
                       named);
}

tsr_status tsr_ptxas_find(const char *named, tsr_buffer *out_path,
                          tsr_error *error) {
  tsr_buffer_clear(out_path);
  if (named != NULL && named[0] != '\0') {
    return find_named(named, "--ptxas", out_path, error);
  }
  named = getenv("TESSERA_PTXAS");
  if (named != NULL && named[0] != '\0') {
    return find_named(named, "TESSERA_PTXAS", out_path, error);
  }
  if (!find_in_path("ptxas", out_path) && is_program(usual)) {
    tsr_buffer_append_string(out_path, usual);
  }
  return tsr_buffer_status(out_path, error);
}

// ---- Running ---------------------------------------------------------------

static tsr_status read_all(const char *path, tsr_buffer *out,
                           tsr_error *error) {
  tsr_map map = {0};
  tsr_status status = tsr_map_open(path, &map, error);
  if (status != TSR_OK) return status;
  tsr_buffer_append(out, map.data, map.size);
  tsr_map_close(&map);
  return tsr_buffer_status(out, error);
}

// The next line of |*io_at|, whose end is cut off; false at the end.
static bool next_line(char **io_at, char **out_line) {
  if (**io_at == '\0') return false;
  *out_line = *io_at;
  size_t size = strcspn(*io_at, "\n");
  *io_at += size + ((*io_at)[size] == '\n');
  (*out_line)[size] = '\0';
  return true;
}

// Takes the name of our folder out of |text|: it differs from run to run.
static void drop_folder(char *text, const char *folder) {
  size_t size = strlen(folder);
  for (char *at; (at = strstr(text, folder)) != NULL;) {
    memmove(at, at + size + 1, strlen(at + size + 1) + 1);
  }
}

// The first line of |log| that is a complaint; else its first line.
static void first_complaint(char *log, const char *folder, char *out,
                            size_t size) {
  (void)snprintf(out, size, "it says nothing");
  bool any = false;
  for (char *line; next_line(&log, &line);) {
    bool is_complaint =
        strstr(line, "error") != NULL || strstr(line, "fatal") != NULL;
    if (line[0] == '\0' || (any && !is_complaint)) continue;
    drop_folder(line, folder);
    (void)snprintf(out, size, "%s", line);
    any = true;
    if (is_complaint) return;
  }
}

// What was said is appended to |log|, which then is never empty.
static tsr_status run(char *const *arguments, const cg_folder *folder,
                      tsr_buffer *log, tsr_error *error) {
  char path[192];
  (void)snprintf(path, sizeof(path), "%s/log", folder->path);
  int result = 0;
  int native = cg_process_run(arguments, path, &result);
  if (native == ECANCELED) {
    return tsr_error_set(error, TSR_CANCELLED, "interrupted");
  }
  if (native != 0) {
    return tsr_error_set_errno(error, native, "cannot start %s", arguments[0]);
  }
  tsr_status status = read_all(path, log, error);
  tsr_buffer_append_char(log, '\n');
  if (status == TSR_OK) status = tsr_buffer_status(log, error);
  if (status != TSR_OK) return status;
  if (WIFEXITED(result) && WEXITSTATUS(result) == 0) return TSR_OK;
  if (WIFSIGNALED(result)) {
    return tsr_error_set(error, TSR_INTERNAL, "%s: ended by signal %d",
                         arguments[0], WTERMSIG(result));
  }
  char complaint[360];
  first_complaint(log->data, folder->path, complaint, sizeof(complaint));
  return tsr_error_set(error, TSR_INTERNAL, "%s: %s", arguments[0], complaint);
}

// posix_spawn takes arguments that it does not change as if it might.
static char *unconst(const char *text) {
  union {
    const char *in;
    char *out;
  } both = {text};
  return both.out;
}

// ---- Version ---------------------------------------------------------------

// "... release 13.0, V13.0.88" -> "13.0.88".
static bool parse_version(const char *text, tsr_buffer *out) {
  const char *at = strstr(text, ", V");
  if (at == NULL) return false;
  size_t size = strspn(at + 3, "0123456789.");
  tsr_buffer_append(out, at + 3, size);
  return size != 0;
}

tsr_status tsr_ptxas_version(const char *ptxas, tsr_buffer *out,
                             tsr_error *error) {
  cg_folder folder = {.path = ""};
  tsr_buffer log;
  tsr_buffer_init(&log);
  tsr_status status = cg_folder_create(&folder, "ptxas", error);
  char *arguments[] = {unconst(ptxas), unconst("--version"), NULL};
  if (status == TSR_OK) status = run(arguments, &folder, &log, error);
  if (status == TSR_OK && !parse_version(tsr_buffer_text(&log), out)) {
    status = tsr_error_set(error, TSR_UNSUPPORTED,
                           "%s: --version does not look like ptxas's", ptxas);
  }
  if (status == TSR_OK) status = tsr_buffer_status(out, error);
  cg_folder_remove(&folder);
  tsr_buffer_fini(&log);
  return status;
}

// ---- Assembling ------------------------------------------------------------

// The number in front of |words|; false where there is none.
static bool number_before(const char *line, const char *words, uint32_t *out) {
  const char *at = strstr(line, words);
  if (at == NULL) return false;
  const char *digits = at;
  while (digits > line && digits[-1] >= '0' && digits[-1] <= '9') --digits;
  if (digits == at) return false;
  *out = (uint32_t)strtoul(digits, NULL, 10);
  return true;
}

// The resources of the kernel that |line| names between quotes.
static tsr_cuda_resources *find_kernel(const char *line,
                                       const tsr_cuda_kernel *kernels,
                                       uint32_t kernel_count,
                                       tsr_cuda_resources *resources) {
  const char *name = strchr(line, '\'');
  if (name == NULL) return NULL;
  size_t size = strcspn(++name, "'");
  for (uint32_t i = 0; i < kernel_count; ++i) {
    if (strlen(kernels[i].name) == size &&
        memcmp(kernels[i].name, name, size) == 0) {
      return &resources[i];
    }
  }
  return NULL;
}

// What `ptxas -v` says of each entry:
//   ptxas info    : Compiling entry function 'NAME' for 'sm_80'
//       0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
//   ptxas info    : Used 40 registers, used 1 barriers, 16 bytes smem, ...
static void parse_report(char *log, const tsr_cuda_kernel *kernels,
                         uint32_t kernel_count, tsr_cuda_resources *resources) {
  tsr_cuda_resources *r = NULL;
  for (char *line; next_line(&log, &line);) {
    if (strstr(line, "Compiling entry function") != NULL) {
      r = find_kernel(line, kernels, kernel_count, resources);
    }
    if (r == NULL) continue;
    (void)number_before(line, " bytes stack frame", &r->stack);
    (void)number_before(line, " bytes spill stores", &r->spill_stores);
    (void)number_before(line, " bytes spill loads", &r->spill_loads);
    (void)number_before(line, " bytes smem", &r->shared_static);
    if (number_before(line, " registers", &r->registers)) r->is_known = true;
  }
}

static tsr_status check_report(const char *ptxas,
                               const tsr_cuda_kernel *kernels,
                               uint32_t kernel_count,
                               const tsr_cuda_resources *resources,
                               tsr_error *error) {
  for (uint32_t i = 0; i < kernel_count; ++i) {
    if (resources[i].is_known) continue;
    return tsr_error_set(error, TSR_INTERNAL,
                         "%s does not say what kernel %s uses", ptxas,
                         kernels[i].name);
  }
  return TSR_OK;
}

static tsr_status assemble(const cg_folder *folder, const char *ptxas,
                           const char *architecture, const tsr_buffer *ptx,
                           tsr_buffer *log, tsr_buffer *cubin,
                           tsr_error *error) {
  char in[192];
  char out[192];
  char option[48];
  (void)snprintf(in, sizeof(in), "%s/module.ptx", folder->path);
  (void)snprintf(out, sizeof(out), "%s/module.cubin", folder->path);
  (void)snprintf(option, sizeof(option), "-arch=%s", architecture);
  const char *arguments[] = {
      ptxas, "-v", "-suppress-debug-info", option, in, "-o", out, NULL};
  char *copies[sizeof(arguments) / sizeof(arguments[0])];
  for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); ++i) {
    copies[i] = unconst(arguments[i]);
  }
  tsr_status status =
      cg_file_create(in, tsr_buffer_text(ptx), ptx->size, error);
  if (status == TSR_OK) status = run(copies, folder, log, error);
  if (status == TSR_OK) status = read_all(out, cubin, error);
  return status;
}

tsr_status tsr_ptxas_assemble(const char *ptxas, const char *architecture,
                              const tsr_buffer *ptx,
                              const tsr_cuda_kernel *kernels,
                              uint32_t kernel_count, tsr_buffer *cubin,
                              tsr_cuda_resources *resources, tsr_error *error) {
  const tsr_cuda_target *target = tsr_cuda_target_find(architecture);
  if (target == NULL) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "no architecture %s to assemble for", architecture);
  }
  cg_folder folder = {.path = ""};
  tsr_buffer log;
  tsr_buffer_init(&log);
  tsr_status status = cg_folder_create(&folder, "ptxas", error);
  if (status == TSR_OK) {
    status = assemble(&folder, ptxas, architecture, ptx, &log, cubin, error);
  }
  if (status == TSR_OK && resources != NULL) {
    memset(resources, 0, kernel_count * sizeof(*resources));
    parse_report(log.data, kernels, kernel_count, resources);
    status = check_report(ptxas, kernels, kernel_count, resources, error);
    for (uint32_t i = 0; i < kernel_count; ++i) {
      tsr_cuda_occupancy(&kernels[i], target, &resources[i]);
    }
  }
  cg_folder_remove(&folder);
  tsr_buffer_fini(&log);
  return status;
}
