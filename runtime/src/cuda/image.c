// SPDX-License-Identifier: Apache-2.0
// Which of a bundle's images a device gets: code that is compiled already where
// there is some, else PTX, which the driver compiles. An image that the driver
// refuses gives way to the next.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cuda/program.h"

enum {
  LOG_SIZE = 4096,
  REFUSALS = 320,  // characters about images that did not load
  LINE = 72,       // of the compiler's log, of each
};

// ---- Choice -----------------------------------------------------------------

// "sm_90a": number 90, 'a': for that compute capability alone; 'f' (sm_100 and
// later): for its family, those of the same major number (CUDA C++ Programming
// Guide, "Feature Set Compiler Targets"). False when it is none.
static bool parse_architecture(const char *name, uint32_t *out_number,
                               char *out_suffix) {
  uint32_t number = 0;
  if (strncmp(name, "sm_", 3) != 0) return false;
  const char *at = name + 3;
  for (; *at >= '0' && *at <= '9' && number < 10000; ++at) {
    number = number * 10 + (uint32_t)(*at - '0');
  }
  *out_suffix = *at;
  *out_number = number;
  if (*at == 'a' || *at == 'f') ++at;
  return number != 0 && *at == '\0';
}

// How well |image| suits a device of |capability|; 0: not at all. Cubins first,
// exact ones before those for a smaller minor number (binary compatibility:
// same guide, "Binary Compatibility"), then PTX for the largest target.
static uint32_t rate(const tsr_image *image, uint32_t capability) {
  uint32_t number = 0;
  char suffix = 0;
  if (strcmp(image->family, "cuda") != 0 ||
      image->abi != TSR_NVIDIA_ABI_VERSION ||
      !parse_architecture(image->architecture, &number, &suffix)) {
    return 0;
  }
  bool is_same_major = number / 10 == capability / 10;
  if (number > capability || (suffix == 'a' && number != capability) ||
      (suffix == 'f' && !is_same_major)) {
    return 0;
  }
  uint32_t specific = suffix == 'a' ? 2 : suffix == 'f' ? 1 : 0;
  uint32_t rating = 1 + 4 * number + specific;
  if (image->format != TSR_IMAGE_CUBIN) return rating;
  return is_same_major ? rating + (1u << 20) : 0;
}

// The best with a rating below |limit|.
static const tsr_image *find_next(const tessera_bundle *bundle,
                                  uint32_t capability, uint32_t limit,
                                  uint32_t *out_rating) {
  const tsr_image *best = NULL;
  *out_rating = 0;
  for (uint32_t i = 0; i < bundle->image_count; ++i) {
    uint32_t rating = rate(&bundle->images[i], capability);
    if (rating <= *out_rating || rating >= limit) continue;
    *out_rating = rating;
    best = &bundle->images[i];
  }
  return best;
}

// ---- Loading ----------------------------------------------------------------

static const char *format_name(const tsr_image *image) {
  return image->format == TSR_IMAGE_CUBIN ? "cubin" : "ptx";
}

// Results that speak of the image, not of the device: another may do.
static bool is_refusal(CUresult result) {
  return result == CUDA_ERROR_INVALID_IMAGE ||
         result == CUDA_ERROR_NO_BINARY_FOR_GPU ||
         result == CUDA_ERROR_INVALID_PTX ||
         result == CUDA_ERROR_JIT_COMPILER_NOT_FOUND ||
         result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ||
         result == CUDA_ERROR_JIT_COMPILATION_DISABLED ||
         result == CUDA_ERROR_INVALID_SOURCE ||
         result == CUDA_ERROR_NOT_SUPPORTED;
}

// |log| gets what the driver's compiler says.
static tessera_status load(const tsr_cuda_device *device,
                           const tsr_image *image, char log[LOG_SIZE],
                           CUmodule *out_module, CUresult *out_result,
                           tessera_error *error) {
  int names[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the API's way to pass a number.
  void *values[] = {log, (void *)(uintptr_t)LOG_SIZE};
  size_t size = (size_t)image->member->size;
  char *text = NULL;
  const void *data = image->member->data;
  log[0] = '\0';
  if (image->format == TSR_IMAGE_PTX) {  // a string; the file may lack its end
    text = tsr_malloc(size + 1);
    if (text == NULL) return tsr_fail_out_of_memory(error);
    memcpy(text, data, size);
    text[size] = '\0';
    data = text;
  }
  *out_result = device->driver->cuModuleLoadDataEx(
      out_module, data, sizeof(names) / sizeof(names[0]), names, values);
  log[LOG_SIZE - 1] = '\0';
  tsr_free(text);
  return TESSERA_OK;
}

// "'sm_80' ptx: CUDA_ERROR_INVALID_PTX: first line of the log".
static void note_refusal(const tsr_cuda_device *device, const tsr_image *image,
                         CUresult result, const char *log,
                         char refusals[REFUSALS]) {
  size_t used = strlen(refusals);
  int line = (int)strcspn(log, "\r\n");
  if (line > LINE) line = LINE;
  (void)snprintf(refusals + used, REFUSALS - used, "%s%.16s %s: %s%s%.*s",
                 used == 0 ? "" : "; ", image->variant, format_name(image),
                 tsr_cuda_result_name(device->driver, result),
                 line == 0 ? "" : ": ", line, log);
}

// "host x86-64-v3, cuda sm_90 ptx": what the bundle has instead.
static tessera_status fail_none(const tsr_cuda_device *device,
                                const tessera_bundle *bundle,
                                tessera_error *error) {
  char list[REFUSALS] = "";
  for (uint32_t i = 0; i < bundle->image_count; ++i) {
    const tsr_image *image = &bundle->images[i];
    size_t used = strlen(list);
    bool is_cuda = image->format != TSR_IMAGE_NATIVE;
    if (used + 1 >= sizeof(list)) break;
    (void)snprintf(list + used, sizeof(list) - used, "%s%.16s %.24s%s%s",
                   used == 0 ? "" : ", ", image->family, image->variant,
                   is_cuda ? " " : "", is_cuda ? format_name(image) : "");
  }
  return tsr_fail(error, TESSERA_UNSUPPORTED,
                  "no image is for compute capability %u.%u; it has %s",
                  device->capability / 10, device->capability % 10,
                  list[0] == '\0' ? "none" : list);
}

tessera_status tsr_cuda_image_load(const tsr_cuda_device *device,
                                   const tessera_bundle *bundle,
                                   CUmodule *out_module,
                                   const tsr_image **out_image,
                                   char *out_variant, size_t variant_size,
                                   tessera_error *error) {
  char refusals[REFUSALS] = "";
  char log[LOG_SIZE];
  CUresult result = CUDA_SUCCESS;
  uint32_t rating = UINT32_MAX;
  for (;;) {
    const tsr_image *image =
        find_next(bundle, device->capability, rating, &rating);
    if (image == NULL) break;
    tessera_status status =
        load(device, image, log, out_module, &result, error);
    if (status != TESSERA_OK) return status;
    if (result == CUDA_SUCCESS) {
      *out_image = image;
      (void)snprintf(out_variant, variant_size, "%.32s %s", image->variant,
                     format_name(image));
      return TESSERA_OK;
    }
    if (!is_refusal(result)) {
      return tsr_cuda_check(device->driver, result, error,
                            "cuModuleLoadDataEx of '%.100s'",
                            image->member->path);
    }
    note_refusal(device, image, result, log, refusals);
  }
  if (refusals[0] == '\0') return fail_none(device, bundle, error);
  tsr_fail_record(error, TESSERA_UNSUPPORTED,
                  "the driver takes none of its images: %s", refusals);
  if (error != NULL) error->native = result;
  return TESSERA_UNSUPPORTED;
}
