// SPDX-License-Identifier: Apache-2.0
// A single-file bundle of any bytes, opened without checksums so that the
// fuzzer gets behind them. What opens is asked everything, and its stream is
// walked as a kernel would: a schedule that was accepted must not lead outside.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE  // memfd_create
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/src/bundle.h"
#include "tessera/tessera.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void walk_stream(const tessera_layer *layer) {
  const tsr_host_layer *host = &layer->host;
  uint64_t sum = 0;
  for (uint32_t w = 0; w < host->worker_count; ++w) {
    const tsr_host_worker *worker = &host->workers[w];
    const uint8_t *stream = host->stream + worker->stream_offset;
    for (uint64_t i = 0; i < worker->stream_size; i += 64) sum += stream[i];
    for (uint32_t i = 0; i < worker->segment_count; ++i) {
      const tsr_host_segment *s = &host->segments[worker->segment_first + i];
      for (uint32_t t = 0; t < s->tile_count; ++t) {
        sum += host->tiles[s->tile_first + t];
      }
    }
    sum += stream[worker->stream_size + TSR_HOST_STREAM_SLACK - 1];
  }
  for (uint32_t i = 0; i < layer->info.rows && host->bias != NULL; ++i) {
    sum += host->bias[i] > 0;
  }
  sink = sum;
}

static void ask(const tessera_bundle *bundle) {
  for (uint32_t i = 0; i < tessera_bundle_layer_count(bundle); ++i) {
    const tessera_layer *layer = tessera_bundle_layer(bundle, i);
    tessera_layer_info info = {.size = sizeof(info)};
    uint32_t panels = 0;
    uint32_t columns = 0;
    if (tessera_layer_query(layer, &info, NULL) != TESSERA_OK ||
        tessera_bundle_find_layer(bundle, info.name) != layer ||
        tessera_layer_tiles(layer, &panels, &columns) == NULL) {
      __builtin_trap();
    }
    if (layer->has_host) walk_stream(layer);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int file = memfd_create("bundle", MFD_CLOEXEC);
  if (file < 0 || write(file, data, size) != (ssize_t)size) __builtin_trap();
  char path[40];
  (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
  tessera_bundle_options options = {.size = sizeof(options),
                                    .verify_checksums = 0};
  tessera_bundle *bundle = NULL;
  tessera_error error = {0};
  tessera_status status = tessera_bundle_open(path, &options, &bundle, &error);
  if ((status == TESSERA_OK) != (bundle != NULL)) __builtin_trap();
  if ((status == TESSERA_OK) != (error.message[0] == '\0')) __builtin_trap();
  if (bundle != NULL) ask(bundle);
  tessera_bundle_close(bundle);
  (void)close(file);
  return 0;
}
