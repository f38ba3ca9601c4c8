// SPDX-License-Identifier: Apache-2.0
// See emulator.h. A library stays open: the runtime, too, never closes one.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // RTLD_NOLOAD
#endif
#include "emulator.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char variable[] = "TESSERA_CUDA_DRIVER";
// What the runtime opens without that variable (tessera/tessera.h).
static const char standard_name[] = "libcuda.so.1";

// Beside the program: as installed, then as built.
static const char *const places[] = {TESSERA_EMULATOR_INSTALLED,
                                     TESSERA_EMULATOR_BUILT};

static bool find_beside(char *out, size_t size) {
  char program[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
  if (length <= 0) return false;
  program[length] = '\0';
  char *slash = strrchr(program, '/');
  if (slash == NULL) return false;
  *slash = '\0';
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); ++i) {
    int used = snprintf(out, size, "%s/%s", program, places[i]);
    if (used > 0 && (size_t)used < size && access(out, R_OK) == 0) return true;
  }
  return false;
}

// ISO C has no conversion from an object's pointer to a function's.
static bool look_up(void *library, tsr_emulator *out) {
  bool ok = true;
  void *symbol;
#define LOOKUP(name, result, parameters)          \
  symbol = dlsym(library, "tessera_emu_" #name);  \
  memcpy(&out->name, &symbol, sizeof(out->name)); \
  ok = ok && symbol != NULL;
  TSR_EMULATOR_FUNCTIONS(LOOKUP)
#undef LOOKUP
  return ok;
}

static tsr_status open_library(const char *name, bool given,
                               tsr_emulator *out_emulator, tsr_error *error) {
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    const char *why = dlerror();
    return tsr_error_set(error, TSR_UNSUPPORTED, "no emulated CUDA driver: %s",
                         why == NULL ? name : why);
  }
  if (look_up(library, out_emulator)) return TSR_OK;
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "'%s'%s is not the emulated CUDA driver", name,
                       given ? ", which TESSERA_CUDA_DRIVER names," : "");
}

tsr_status tsr_emulator_choose(tsr_emulator *out_emulator, tsr_error *error) {
  char path[PATH_MAX + 64];
  const char *given = getenv(variable);
  memset(out_emulator, 0, sizeof(*out_emulator));
  if (given != NULL && given[0] != '\0') {
    return open_library(given, true, out_emulator, error);
  }
  if (!find_beside(path, sizeof(path))) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "no emulated CUDA driver beside this program; "
                         "TESSERA_CUDA_DRIVER names one elsewhere");
  }
  tsr_status status = open_library(path, false, out_emulator, error);
  if (status == TSR_OK && setenv(variable, path, 1) != 0) {
    status = tsr_error_out_of_memory(error);
  }
  return status;
}

static bool find_in_use(tsr_emulator *out) {
  const char *name = getenv(variable);
  if (name == NULL || name[0] == '\0') name = standard_name;
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (library == NULL) return false;
  bool emulated = look_up(library, out);
  (void)dlclose(library);  // the runtime keeps it open
  return emulated;
}

bool tsr_emulator_in_use(void) {
  tsr_emulator emulator;
  return find_in_use(&emulator);
}

bool tsr_emulator_is_exact(void) {
  tsr_emulator emulator;
  tessera_emu_config config = {.struct_size = sizeof(config)};
  if (!find_in_use(&emulator)) return false;
  emulator.get_config(&config);
  return config.accumulate == TESSERA_EMU_ACCUMULATE_EXACT;
}

bool tsr_emulator_first_finding(char *out, size_t size) {
  tsr_emulator emulator;
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  if (!find_in_use(&emulator) || emulator.finding_count() == 0 ||
      emulator.get_finding(0, &finding) != 0) {
    return false;
  }
  (void)snprintf(out, size, "%s", finding.message);
  return true;
}
