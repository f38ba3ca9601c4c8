// SPDX-License-Identifier: Apache-2.0
// See device.h: the driver, and kernels compiled and loaded once.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "device_internal.h"

enum {
  JIT_ERROR_LOG_BUFFER = 5,  // CU_JIT_ERROR_LOG_BUFFER
  JIT_ERROR_LOG_SIZE = 6,    // CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
  KEPT_KERNELS = 64,
  MAX_DYNAMIC_SHARED = 8,  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
};

static bool start(device *dev) {
  if (driver_is_emulated(&dev->d)) {
    tessera_emu_config config = {.struct_size = sizeof(config)};
    dev->d.tessera_emu_get_config(&config);
    config.checks = TESSERA_EMU_CHECK_ALL;
    config.findings_fail = 0;
    config.threads = 1;
    config.watchdog = (uint64_t)1 << 30;
    if (dev->d.tessera_emu_set_config(&config) != 0) return false;
    if (dev->d.tessera_emu_set_devices(dev->emulated) != 0) return false;
  }
  return driver_start(&dev->d);
}

bool device_open(device *out, const char *path, const char *emulated) {
  memset(out, 0, sizeof(*out));
  out->emulated = emulated;
  const char *named = getenv("TESSERA_CUDA_DRIVER");
  if (named != NULL && named[0] != '\0') path = named;
  return driver_open(&out->d, path) && start(out);
}

static void forget_kernels(device *dev) {
  while (dev->loaded != NULL) {
    loaded_kernel *next = dev->loaded->next;
    free(dev->loaded);
    dev->loaded = next;
  }
}

bool device_restart(device *dev) {
  forget_kernels(dev);
  if (!driver_is_emulated(&dev->d)) return false;
  dev->d.tessera_emu_reset();
  return start(dev);
}

void device_close(device *dev) {
  forget_kernels(dev);
  if (driver_is_emulated(&dev->d)) dev->d.tessera_emu_reset();
}

// ---- Kernels ---------------------------------------------------------------

static bool load(device *dev, const tsr_cuda_kernel *kernel, const char *ptx,
                 loaded_kernel *out) {
  const driver *d = &dev->d;
  char log[4096] = "";
  int names[] = {JIT_ERROR_LOG_BUFFER, JIT_ERROR_LOG_SIZE};
  void *values[] = {log, (void *)(uintptr_t)sizeof(log)};
  CUresult result = d->cuModuleLoadDataEx(&out->module, ptx, 2, names, values);
  if (result == CUDA_SUCCESS) {
    result = d->cuModuleGetFunction(&out->function, out->module, kernel->name);
  }
  if (result == CUDA_SUCCESS) {
    result = d->cuFuncSetAttribute(out->function, MAX_DYNAMIC_SHARED,
                                   (int)kernel->shared_size);
  }
  if (result == CUDA_SUCCESS) return true;
  fprintf(stderr, "%s: %s\n%s\n", kernel->name, driver_error(d, result), log);
  return false;
}

// |text| with dev->to in place of dev->from, which it must have.
static bool load_edited(device *dev, const tsr_cuda_kernel *kernel,
                        const char *text, loaded_kernel *out) {
  tsr_buffer edited;
  tsr_buffer_init(&edited);
  const char *found = strstr(text, dev->from);
  bool ok = found != NULL;
  if (!ok) fprintf(stderr, "%s: no '%s'\n", kernel->name, dev->from);
  for (; found != NULL; found = strstr(text, dev->from)) {
    tsr_buffer_append(&edited, text, (size_t)(found - text));
    tsr_buffer_append(&edited, dev->to, strlen(dev->to));
    text = found + strlen(dev->from);
  }
  tsr_buffer_append(&edited, text, strlen(text));
  ok = ok && load(dev, kernel, tsr_buffer_text(&edited), out);
  tsr_buffer_fini(&edited);
  return ok;
}

static bool compile(device *dev, const tsr_cuda_kernel *kernel,
                    const tsr_cuda_target *target, loaded_kernel *out) {
  tsr_cuda_emitted emitted = {0};
  tsr_error error = {0};
  if (tsr_cuda_compile(kernel, target, false, &emitted, &error) != TSR_OK) {
    fprintf(stderr, "%s: %s\n", kernel->name, error.message);
    return false;
  }
  ++dev->compiled;
  const char *keep = getenv("TESSERA_TEST_PTX");  // a folder, to look at them
  if (keep != NULL) {
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s.ptx", keep, kernel->name);
    FILE *file = fopen(path, "w");
    if (file != NULL) (void)fputs(tsr_buffer_text(&emitted.ptx), file);
    if (file != NULL) (void)fclose(file);
  }
  const char *text = tsr_buffer_text(&emitted.ptx);
  bool ok = dev->from != NULL ? load_edited(dev, kernel, text, out)
                              : load(dev, kernel, text, out);
  tsr_cuda_emitted_fini(&emitted);
  return ok;
}

// Decoded kernels are large: all but the |kept| newest are unloaded.
static void evict(device *dev, uint32_t kept) {
  loaded_kernel **at = &dev->loaded;
  for (uint32_t i = 0; *at != NULL && i < kept; ++i) at = &(*at)->next;
  while (*at != NULL) {
    loaded_kernel *old = *at;
    *at = old->next;
    (void)dev->d.cuModuleUnload(old->module);
    free(old);
  }
}

void device_edit(device *dev, const char *from, const char *to) {
  evict(dev, 0);
  dev->from = from;
  dev->to = to;
}

CUfunction device_kernel(device *dev, const tsr_cuda_kernel *kernel,
                         const char *target_name) {
  const tsr_cuda_target *target = tsr_cuda_target_find(target_name);
  if (target == NULL) {
    fprintf(stderr, "no target '%s'\n", target_name);
    return NULL;
  }
  tsr_hash key = tsr_cuda_key(kernel, target);
  for (loaded_kernel *at = dev->loaded; at != NULL; at = at->next) {
    if (tsr_hash_equal(at->key, key)) return at->function;
  }
  loaded_kernel *made = calloc(1, sizeof(*made));
  if (made == NULL || !compile(dev, kernel, target, made)) {
    free(made);
    return NULL;
  }
  made->key = key;
  made->next = dev->loaded;
  dev->loaded = made;
  evict(dev, KEPT_KERNELS);
  return made->function;
}
