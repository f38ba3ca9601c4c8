// SPDX-License-Identifier: Apache-2.0
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // madvise
#include "host/streams.h"

#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"
#include "fail.h"

enum {
  STREAM_ALIGNMENT = 4096,
  LARGE_PAGE = 2 << 20,
  // Less is not worth a large page: the second-level TLB of any processor that
  // we know holds 1024 pages and more.
  LARGE_PAGE_MINIMUM = 128 << 10,
};

static uint64_t round_up(uint64_t size, uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

static uint8_t *allocate(uint64_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  bool is_large = size >= LARGE_PAGE_MINIMUM;
  size_t rounded = (size_t)(is_large ? round_up(size, LARGE_PAGE) : size);
  uint8_t *memory =
      tsr_aligned_alloc(is_large ? LARGE_PAGE : STREAM_ALIGNMENT, rounded);
  if (memory != NULL && is_large) {
    (void)madvise(memory, rounded, MADV_HUGEPAGE);  // refused: only slower
  }
  return memory;
}

// The slack after the last byte is zeroed; it is read but never used.
static void copy_stream(const tessera_layer *layer, uint8_t *to) {
  size_t size = (size_t)layer->host.stream_size;
  if (size != 0) memcpy(to, layer->host.stream, size);
  memset(to + size, 0, TSR_HOST_STREAM_SLACK);
}

static uint64_t copied_size(const tessera_layer *layer) {
  if (!layer->has_host) return 0;
  return round_up(layer->host.stream_size + TSR_HOST_STREAM_SLACK,
                  STREAM_ALIGNMENT);
}

static void copy_all(const tessera_bundle *bundle, tsr_streams *streams) {
  uint64_t at = 0;
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    const tessera_layer *layer = &bundle->layers[i];
    if (!layer->has_host) continue;
    copy_stream(layer, streams->memory + at);
    streams->of_layer[i] = streams->memory + at;
    at += copied_size(layer);
  }
}

// Advice about the file's mapping; refused, it costs only time or memory.
static void advise(const tessera_bundle *bundle, int advice) {
  uintptr_t start = (uintptr_t)bundle->weights->data;
  uintptr_t page = start / 4096 * 4096;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a page, not an object.
  (void)madvise((void *)page, (size_t)bundle->weights->size + (start - page),
                advice);
}

tessera_status tsr_streams_init(const tessera_bundle *bundle,
                                tessera_weights weights,
                                tsr_streams *out_streams,
                                tessera_error *error) {
  uint64_t size = 0;
  *out_streams = (tsr_streams){0};
  out_streams->of_layer =
      tsr_calloc(bundle->layer_count, sizeof(*out_streams->of_layer));
  if (out_streams->of_layer == NULL) return tsr_fail_out_of_memory(error);
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    out_streams->of_layer[i] = bundle->layers[i].host.stream;
    size += copied_size(&bundle->layers[i]);
  }
  if (weights == TESSERA_WEIGHTS_COPIED) {
    out_streams->memory = allocate(size);
    if (out_streams->memory == NULL) {
      tsr_streams_fini(out_streams);
      return tsr_fail_out_of_memory(error);
    }
  }
  if (out_streams->memory == NULL) {
    advise(bundle, MADV_WILLNEED);
  } else {
    copy_all(bundle, out_streams);
    advise(bundle, MADV_DONTNEED);  // of this mapping: the file stays cached
  }
  return TESSERA_OK;
}

tessera_status tsr_streams_init_copy(const tsr_streams *original,
                                     const tessera_layer *layer,
                                     tsr_streams *out_streams,
                                     tessera_error *error) {
  uint32_t count = layer->bundle->layer_count;
  *out_streams = (tsr_streams){0};
  out_streams->of_layer = tsr_calloc(count, sizeof(*out_streams->of_layer));
  out_streams->memory = allocate(copied_size(layer));
  if (out_streams->of_layer == NULL || out_streams->memory == NULL) {
    tsr_streams_fini(out_streams);
    return tsr_fail_out_of_memory(error);
  }
  memcpy(out_streams->of_layer, original->of_layer,
         count * sizeof(*out_streams->of_layer));
  if (layer->has_host) copy_stream(layer, out_streams->memory);
  out_streams->of_layer[layer->index] = out_streams->memory;
  return TESSERA_OK;
}

void tsr_streams_fini(tsr_streams *streams) {
  tsr_free(streams->of_layer);
  tsr_free(streams->memory);
  *streams = (tsr_streams){0};
}
