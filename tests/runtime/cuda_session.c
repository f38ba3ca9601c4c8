// SPDX-License-Identifier: Apache-2.0
// See cuda_session.h.
#include "cuda_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "container.h"
#include "support/dynamic.h"

emu emu_open(const char *path, const char *devices) {
  emu e;
  void *library = dynamic_open(path);
  if (library == NULL) abort();
#define FIND(name, symbol, result, parameters)         \
  if (!dynamic_find(library, symbol, &e.name)) {       \
    fprintf(stderr, "the driver has no %s\n", symbol); \
    abort();                                           \
  }
  EMU_FUNCTIONS(FIND)
#undef FIND
  if (e.set_devices(devices) != 0) abort();
  if (setenv("TESSERA_CUDA_DRIVER", path, 1) != 0) abort();
  return e;
}

tessera_bundle *cuda_open_bytes(const tsr_buffer *bytes, bool verify,
                                tessera_error *error) {
  char path[CONTAINER_PATH];
  int file = container_file(bytes->data, bytes->size, path);
  tessera_bundle_options options = {.size = sizeof(options),
                                    .verify_checksums = verify};
  tessera_bundle *bundle = NULL;
  tessera_status status = tessera_bundle_open(path, &options, &bundle, error);
  if ((status == TESSERA_OK) != (bundle != NULL)) abort();
  (void)close(file);
  return bundle;
}

tessera_bundle *cuda_open_bundle(const cuda_bundle *bundle, bool verify,
                                 tessera_error *error) {
  tsr_buffer container;
  cuda_bundle_container(bundle, &container);
  tessera_bundle *opened = cuda_open_bytes(&container, verify, error);
  tsr_buffer_fini(&container);
  return opened;
}
