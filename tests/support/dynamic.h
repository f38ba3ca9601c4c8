// SPDX-License-Identifier: Apache-2.0
// Libraries opened at run time, as whoever loads an image or a driver does.
#ifndef TESTS_SUPPORT_DYNAMIC_H_
#define TESTS_SUPPORT_DYNAMIC_H_

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// NULL, with a message on stderr, when it cannot be opened.
static inline void *dynamic_open(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  return library;
}

// Stores |symbol|'s address in the function pointer |out_function|. False, and
// NULL there, where the library has none, or |symbol| is "". ISO C has no
// conversion from dlsym's result to a function's address.
static inline bool dynamic_find(void *library, const char *symbol,
                                void *out_function) {
  void *address = symbol[0] == '\0' ? NULL : dlsym(library, symbol);
  memcpy(out_function, &address, sizeof(address));
  return address != NULL;
}

#endif  // TESTS_SUPPORT_DYNAMIC_H_
