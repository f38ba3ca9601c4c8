// SPDX-License-Identifier: Apache-2.0
// Native code of a bundle: which image suits this machine, and its functions.
#ifndef RUNTIME_HOST_IMAGE_H_
#define RUNTIME_HOST_IMAGE_H_

#include "bundle.h"

// A loaded image. A zeroed one, with descriptor -1, is valid and empty.
typedef struct tsr_loaded_image {
  void *handle;
  int descriptor;  // names the file while it is loaded
} tsr_loaded_image;

// Among the host images for this machine the one of highest rank, or the one
// called |variant| if that is not NULL. Borrowed from |bundle|.
TESSERA_MUST_USE tessera_status tsr_image_choose(const tessera_bundle *bundle,
                                                 const char *variant,
                                                 const tsr_image **out_image,
                                                 tessera_error *error);

// Maps the very bytes that were checked, in a folder and in a single file.
TESSERA_MUST_USE tessera_status tsr_image_load(const tsr_image *image,
                                               tsr_loaded_image *out_loaded,
                                               tessera_error *error);
void tsr_image_unload(tsr_loaded_image *loaded);

TESSERA_MUST_USE tessera_status tsr_image_find(const tsr_loaded_image *loaded,
                                               const char *symbol,
                                               tsr_host_function *out_function,
                                               tessera_error *error);

#endif  // RUNTIME_HOST_IMAGE_H_
