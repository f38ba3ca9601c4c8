// SPDX-License-Identifier: Apache-2.0
// An image is opened through /proc/self/fd, by the descriptor of the file that
// was checked (a folder's member) or of a copy in memory (a single file's), so
// that nobody can put another file in its place. The dynamic loader remembers
// objects by name, hence the descriptor stays open until it is unloaded.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // memfd_create
#include "image.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu.h"
#include "fail.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3
#endif

// ---- Choice -----------------------------------------------------------------

// Why |image| cannot run here, or false.
static bool find_obstacle(const tsr_image *image, char *out_why, size_t size) {
  char word[64];
  if (image->abi != TSR_HOST_ABI_VERSION) {
    (void)snprintf(out_why, size, "has ABI %u, this library speaks %d",
                   image->abi, TSR_HOST_ABI_VERSION);
    return true;
  }
  if (strcmp(image->architecture, tsr_cpu_architecture()) != 0) {
    (void)snprintf(out_why, size, "is for %.32s, this machine is %s",
                   image->architecture, tsr_cpu_architecture());
    return true;
  }
  if (!tsr_cpu_find_missing(image->required, word, sizeof(word))) return false;
  (void)snprintf(out_why, size, "needs %s, which this machine lacks", word);
  return true;
}

// A bundle without kernels for the host: names its CUDA targets, once each, as
// those are then what the caller wants.
static tessera_status fail_family(const tessera_bundle *bundle,
                                  tessera_error *error) {
  char list[160] = "";
  size_t used = 0;
  for (uint32_t i = 0; i < bundle->image_count; ++i) {
    const tsr_image *image = &bundle->images[i];
    bool again = strcmp(image->family, "cuda") != 0;
    for (uint32_t k = 0; k < i && !again; ++k) {
      again = strcmp(bundle->images[k].family, "cuda") == 0 &&
              strcmp(bundle->images[k].variant, image->variant) == 0;
    }
    size_t length = strlen(image->variant);
    if (again || used + length + 3 > sizeof(list)) continue;
    used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
                             used == 0 ? "" : ", ", image->variant);
  }
  if (used == 0) {
    return tsr_fail(error, TESSERA_UNSUPPORTED,
                    "it was not compiled for the host target");
  }
  return tsr_fail(error, TESSERA_UNSUPPORTED,
                  "it was not compiled for the host target, but for %s: run it "
                  "on a device cuda:N",
                  list);
}

static tessera_status fail_choice(const tessera_bundle *bundle,
                                  const char *variant, const char *why,
                                  tessera_error *error) {
  if (variant != NULL) {
    return tsr_fail(error, TESSERA_NOT_FOUND, "it has no image for '%.64s'",
                    variant);
  }
  if (bundle->image_count == 0 || why[0] == '\0') {
    return fail_family(bundle, error);
  }
  return tsr_fail(error, TESSERA_UNSUPPORTED, "no image suits this machine: %s",
                  why);
}

tessera_status tsr_image_choose(const tessera_bundle *bundle,
                                const char *variant,
                                const tsr_image **out_image,
                                tessera_error *error) {
  const tsr_image *best = NULL;
  char why[160];
  char last[300] = "";
  *out_image = NULL;
  for (uint32_t i = 0; i < bundle->image_count; ++i) {
    const tsr_image *image = &bundle->images[i];
    if (strcmp(image->family, "host") != 0) continue;
    if (variant != NULL && strcmp(image->variant, variant) != 0) continue;
    if (!find_obstacle(image, why, sizeof(why))) {
      if (best == NULL || image->rank > best->rank) best = image;
      continue;
    }
    if (variant != NULL) {
      return tsr_fail(error, TESSERA_UNSUPPORTED, "image '%.64s' %s",
                      image->variant, why);
    }
    (void)snprintf(last, sizeof(last), "'%.64s' %s", image->variant, why);
  }
  if (best == NULL) return fail_choice(bundle, variant, last, error);
  *out_image = best;
  return TESSERA_OK;
}

// ---- Loading ----------------------------------------------------------------

static int create_memory_file(void) {
  static const char name[] = "tessera-kernels";
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
  // An older kernel does not know the flag and needs none.
  if (descriptor < 0 && errno == EINVAL) {
    descriptor = memfd_create(name, MFD_CLOEXEC);
  }
  return descriptor;
}

static int write_all(int descriptor, const uint8_t *data, uint64_t size) {
  while (size != 0) {
    ssize_t written = write(descriptor, data, (size_t)size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    data += written;
    size -= (uint64_t)written;
  }
  return 0;
}

static tessera_status get_descriptor(const tsr_member *member,
                                     int *out_descriptor,
                                     tessera_error *error) {
  if (member->descriptor >= 0) {
    *out_descriptor = fcntl(member->descriptor, F_DUPFD_CLOEXEC, 3);
  } else {
    *out_descriptor = create_memory_file();
  }
  int native = *out_descriptor < 0 ? errno : 0;
  if (native == 0 && member->descriptor < 0) {
    native = write_all(*out_descriptor, member->data, member->size);
  }
  if (native == 0) return TESSERA_OK;
  return tsr_fail_errno(error, TESSERA_IO, native, "cannot load '%.200s'",
                        member->path);
}

tessera_status tsr_image_load(const tsr_image *image,
                              tsr_loaded_image *out_loaded,
                              tessera_error *error) {
  *out_loaded = (tsr_loaded_image){.descriptor = -1};
  tessera_status status =
      get_descriptor(image->member, &out_loaded->descriptor, error);
  if (status == TESSERA_OK) {
    char path[40];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d",
                   out_loaded->descriptor);
    out_loaded->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (out_loaded->handle == NULL) {
      const char *why = dlerror();
      status = tsr_fail(error, TESSERA_CORRUPT, "cannot load '%.160s': %.200s",
                        image->member->path, why == NULL ? "dlopen" : why);
    }
  }
  if (status != TESSERA_OK) tsr_image_unload(out_loaded);
  return status;
}

void tsr_image_unload(tsr_loaded_image *loaded) {
  if (loaded->handle != NULL) (void)dlclose(loaded->handle);
  if (loaded->descriptor >= 0) (void)close(loaded->descriptor);
  *loaded = (tsr_loaded_image){.descriptor = -1};
}

tessera_status tsr_image_find(const tsr_loaded_image *loaded,
                              const char *symbol,
                              tsr_host_function *out_function,
                              tessera_error *error) {
  void *address = dlsym(loaded->handle, symbol);
  _Static_assert(sizeof(address) == sizeof(*out_function),
                 "POSIX: dlsym returns functions as objects");
  memcpy(out_function, &address, sizeof(address));
  return address != NULL ? TESSERA_OK
                         : tsr_fail(error, TESSERA_CORRUPT,
                                    "it does not define '%.112s'", symbol);
}
