// SPDX-License-Identifier: Apache-2.0
// The manifest's entries for CUDA (docs/bundle.md): images, cuda_kernels, and
// the part "cuda" of a layer.
#include "manifest.h"

#include <stdlib.h>
#include <string.h>

#include "fail.h"

enum {
  WARP = 32,
  THREAD_LIMIT = 1024,           // of a block, on every device (CUDA C++
                                 // Programming Guide, "Compute Capabilities")
  SHARED_LIMIT = 1 << 20,        // bytes; the device's own is checked later
  BLOCK_TOKENS_LIMIT = 1 << 12,  // of a token tile
  STREAM_ALIGNMENT = 4096,
  ELF_HEADER = 64,
  ELF_SECTION = 64,
  ELF_SEGMENT = 56,
  ELF_MACHINE_CUDA = 190,  // EM_CUDA of elf.h
  ELF_NO_BITS = 8,         // SHT_NOBITS
};

// ---- Images -----------------------------------------------------------------

static const char *format_word(uint32_t index) {
  static const char *const words[] = {"ptx", "cubin"};
  return words[index];
}

void tsr_manifest_cuda_image(tsr_reader *r, const tsr_json *node,
                             tsr_image *image) {
  static const tsr_image_format formats[] = {TSR_IMAGE_PTX, TSR_IMAGE_CUBIN};
  image->format = formats[tsr_read_word(r, node, "format", format_word, 2)];
  const uint32_t *list = NULL;
  uint32_t count = tsr_manifest_kernels(r, node, TSR_KERNEL_COUNT_LIMIT,
                                        r->bundle->cuda_kernel_count, &list);
  if (count == 0 || list == NULL) return;
  for (uint32_t i = 1; i < count; ++i) {
    if (list[i] > list[i - 1]) continue;
    tsr_reader_fail_key(r, node, "kernels", "%u after %u: they do not ascend",
                        list[i], list[i - 1]);
    return;
  }
  image->kernels = list;
  image->kernel_count = count;
}

bool tsr_image_holds(const tsr_image *image, uint32_t index) {
  uint32_t low = 0, high = image->kernel_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (image->kernels[middle] == index) return true;
    if (image->kernels[middle] < index) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

static uint64_t number(const uint8_t *at, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = size; i != 0; --i) value = value << 8 | at[i - 1];
  return value;
}

// Whether |count| entries of |entry_size| bytes from |offset| on are inside of
// |size| bytes, and what each spans too. Where an entry has its range's offset
// and size, and its type: |layout|.
typedef struct elf_table {
  uint64_t offset, count, entry_size;
  unsigned range_offset, range_size, type;
  uint64_t skipped_type;
} elf_table;

static bool table_is_inside(const uint8_t *data, uint64_t size,
                            const elf_table *table) {
  if (table->count == 0) return true;
  if (table->offset > size ||
      table->count > (size - table->offset) / table->entry_size) {
    return false;
  }
  for (uint64_t i = 0; i < table->count; ++i) {
    const uint8_t *entry = data + table->offset + i * table->entry_size;
    uint64_t start = number(entry + table->range_offset, 8);
    uint64_t length = number(entry + table->range_size, 8);
    if (number(entry + table->type, 4) == table->skipped_type) continue;
    if (start > size || length > size - start) return false;
  }
  return true;
}

// The driver is given no size: it believes what the file says of itself
// (System V ABI, chapters 4 and 5: Elf64_Ehdr, Elf64_Shdr, Elf64_Phdr).
static const char *check_cubin(const uint8_t *data, uint64_t size) {
  if (size < ELF_HEADER || memcmp(data, "\177ELF\2\1", 6) != 0) {
    return "is no 64-bit little-endian ELF file";
  }
  if (number(data + 18, 2) != ELF_MACHINE_CUDA) return "is no CUDA code";
  const elf_table sections = {.offset = number(data + 40, 8),
                              .count = number(data + 60, 2),
                              .entry_size = number(data + 58, 2),
                              .range_offset = 24,
                              .range_size = 32,
                              .type = 4,
                              .skipped_type = ELF_NO_BITS};
  const elf_table segments = {.offset = number(data + 32, 8),
                              .count = number(data + 56, 2),
                              .entry_size = number(data + 54, 2),
                              .range_offset = 8,
                              .range_size = 32,
                              .type = 0,
                              .skipped_type = 0};
  if ((sections.count != 0 && sections.entry_size != ELF_SECTION) ||
      (segments.count != 0 && segments.entry_size != ELF_SEGMENT) ||
      !table_is_inside(data, size, &sections) ||
      !table_is_inside(data, size, &segments)) {
    return "is cut short or damaged";
  }
  return NULL;
}

const char *tsr_manifest_cuda_mistake(const tsr_image *image) {
  const uint8_t *data = image->member->data;
  uint64_t size = image->member->size;
  if (image->format == TSR_IMAGE_CUBIN) return check_cubin(data, size);
  // The driver tells what a text is by its start.
  if (size == 0 || memchr(data, '\0', (size_t)size - 1) != NULL) {
    return "is no text";
  }
  return NULL;
}

// ---- Kernels ----------------------------------------------------------------

static const char *mode_word(uint32_t index) {
  static const char *const words[] = {
      [TSR_NVIDIA_DECODE] = "decode", [TSR_NVIDIA_PREFILL] = "prefill"};
  return words[index];
}

static void read_kernel(tsr_reader *r, const tsr_json *node,
                        tsr_bundle_cuda_kernel *kernel) {
  uint64_t tokens[2];
  kernel->name = tsr_read_identifier(r, node, "name", false);
  if (r->status != TESSERA_OK) return;
  tsr_manifest_scope(r, node, "kernel", kernel->name);
  (void)tsr_read_string(r, node, "strategy");
  kernel->mode = (tsr_nvidia_mode)tsr_read_word(r, node, "mode", mode_word, 2);
  tsr_read_pair(r, node, "tokens", 1, UINT32_MAX, tokens);
  kernel->token_first = (uint32_t)tokens[0];
  kernel->token_last = (uint32_t)tokens[1];
  kernel->threads = tsr_read_u32(r, node, "threads", WARP, THREAD_LIMIT);
  kernel->shared_size = tsr_read_u32(r, node, "shared_size", 0, SHARED_LIMIT);
  kernel->block_tokens =
      tsr_read_u32(r, node, "block_tokens", 1, BLOCK_TOKENS_LIMIT);
  if (tokens[0] > tokens[1]) {
    tsr_reader_fail_key(r, node, "tokens", "%u to %u is empty",
                        kernel->token_first, kernel->token_last);
  } else if (kernel->threads % WARP != 0) {
    tsr_reader_fail_key(r, node, "threads", "%u is not a multiple of 32",
                        kernel->threads);
  } else if (kernel->mode == TSR_NVIDIA_DECODE &&
             kernel->token_last > kernel->block_tokens) {
    tsr_reader_fail_key(r, node, "tokens", "up to %u, a decode kernel takes %u",
                        kernel->token_last, kernel->block_tokens);
  }
}

void tsr_manifest_cuda_kernels(tsr_reader *r, tessera_bundle *bundle,
                               const tsr_json *root) {
  if (tsr_json_find(root, "cuda_kernels") == NULL) return;
  const tsr_json *kernels =
      tsr_manifest_list(r, root, "cuda_kernels", TSR_KERNEL_COUNT_LIMIT);
  if (kernels == NULL) return;
  bundle->cuda_kernels =
      tsr_manifest_allocate(r, kernels->count, sizeof(*bundle->cuda_kernels));
  for (const tsr_json *node = kernels->first;
       node != NULL && r->status == TESSERA_OK; node = node->next) {
    read_kernel(r, node, &bundle->cuda_kernels[bundle->cuda_kernel_count++]);
    tsr_manifest_no_scope(r);
  }
}

// ---- Layers -----------------------------------------------------------------

// The order of a layer's list.
static bool comes_before(const tsr_bundle_cuda_kernel *all, uint32_t a,
                         uint32_t b) {
  const tsr_bundle_cuda_kernel *x = &all[a], *y = &all[b];
  if (x->token_first != y->token_first) return x->token_first < y->token_first;
  if (x->token_last != y->token_last) return x->token_last < y->token_last;
  return a < b;
}

// What |image| holds of a layer's kernels is a list of disjoint ranges, with
// the ends that all images have: what a layer takes does not depend on the
// device.
static void check_held(tsr_reader *r, const tsr_json *object,
                       const tessera_layer *layer, const tsr_image *image) {
  const tsr_bundle_cuda_kernel *all = r->bundle->cuda_kernels;
  const tsr_bundle_cuda_kernel *last = NULL;
  uint32_t count = 0, token_first = 0;
  for (uint32_t i = 0; i < layer->cuda.kernel_count; ++i) {
    uint32_t index = layer->cuda.kernels[i];
    if (!tsr_image_holds(image, index)) continue;
    if (last == NULL) {
      token_first = all[index].token_first;
    } else {
      tsr_manifest_ascend(r, object, i, last->token_last,
                          all[index].token_first);
    }
    last = &all[index];
    ++count;
  }
  if (r->status != TESSERA_OK) return;
  if (count == 0 || count > TSR_KERNELS_PER_LAYER) {
    tsr_reader_fail_key(r, object, "kernels",
                        "image '%.32s' holds %u of them, expected 1 to %d",
                        image->variant, count, TSR_KERNELS_PER_LAYER);
  } else if (token_first != layer->info.token_first ||
             last->token_last != layer->info.token_last) {
    tsr_reader_fail_key(
        r, object, "kernels",
        "image '%.32s' serves %u to %u tokens, all together %u to %u",
        image->variant, token_first, last->token_last, layer->info.token_first,
        layer->info.token_last);
  }
}

static void read_kernel_list(tsr_reader *r, const tsr_json *object,
                             tessera_layer *layer) {
  const tsr_bundle_cuda_kernel *all = r->bundle->cuda_kernels;
  const uint32_t *list = NULL;
  uint32_t count = tsr_manifest_kernels(r, object, TSR_KERNELS_ALL_IMAGES,
                                        r->bundle->cuda_kernel_count, &list);
  if (count == 0 || list == NULL) return;
  layer->cuda.kernels = list;
  layer->cuda.kernel_count = count;
  layer->info.token_first = all[list[0]].token_first;
  layer->info.token_last = all[list[0]].token_last;
  for (uint32_t i = 1; i < count; ++i) {
    bool ascends = comes_before(all, list[i - 1], list[i]);
    tsr_manifest_ascend(r, object, i, 1, ascends ? 2 : 1);
    if (all[list[i]].token_last > layer->info.token_last) {
      layer->info.token_last = all[list[i]].token_last;
    }
  }
  for (uint32_t i = 0; i < r->bundle->image_count; ++i) {
    const tsr_image *image = &r->bundle->images[i];
    if (r->status != TESSERA_OK) return;
    if (image->kernels != NULL) check_held(r, object, layer, image);
  }
}

void tsr_manifest_cuda_layer(tsr_reader *r, const tsr_json *node,
                             tessera_layer *layer) {
  tsr_cuda_layer *cuda = &layer->cuda;
  const tsr_json *object = tsr_read_object(r, node, "cuda");
  cuda->step_count = tsr_read_u32(r, object, "steps", 0, UINT32_MAX);
  cuda->stream =
      tsr_manifest_section(r, object, "stream", "cuda.stream", STREAM_ALIGNMENT,
                           layer, &cuda->stream_size);
  if (tsr_json_find(node, "host") == NULL) {
    tsr_manifest_expect_size(r, object, "stream", cuda->stream_size,
                             layer->info.packed_bytes);
  }
  cuda->section =
      tsr_manifest_section(r, object, "schedule", "cuda.schedule",
                           TSR_HOST_ALIGNMENT, layer, &cuda->section_size);
  cuda->bias = tsr_manifest_bias(r, object, "cuda.bias", layer);
  read_kernel_list(r, object, layer);
  layer->has_cuda = true;
}
