// SPDX-License-Identifier: Apache-2.0
// Where a bundle's weights and tables lie in device memory, and how they get
// there. All of it is one run of bytes, so it goes up in one pass through two
// pinned buffers: while the device takes one, the other is filled from the
// mapped file. (A copy straight from the mapping would be staged by the driver
// just so, but with the reading of the file between its copies, not beside
// them; and pinning the mapping would keep all of it in memory.)
#include <string.h>

#include "cuda/program.h"

enum {
  PLACE = 256,  // alignment of each part: that of an allocation
  PARTS = 5,
};

size_t tsr_cuda_upload_buffer = 8 << 20;

typedef struct part {
  const void *data;
  uint64_t size;
} part;

static uint64_t round_up(uint64_t size) {
  return (size + PLACE - 1) / PLACE * PLACE;
}

// ---- Places -----------------------------------------------------------------

// The class for exactly |multiprocessors|, else the largest below, else the
// smallest.
static bool is_better(uint32_t candidate, uint32_t best,
                      uint32_t multiprocessors) {
  if (best > multiprocessors) return candidate < best;
  return candidate > best && candidate <= multiprocessors;
}

static void choose_class(const tsr_cuda_layer *cuda, uint32_t multiprocessors,
                         tsr_cuda_tables *tables) {
  const tsr_nvidia_cut *best = cuda->cuts;
  for (uint32_t i = 1; i < cuda->cut_count; ++i) {
    const tsr_nvidia_cut *cut = &cuda->cuts[i];
    if (is_better(cut->multiprocessors, best->multiprocessors,
                  multiprocessors)) {
      best = cut;
    }
  }
  const tsr_nvidia_cut *end = best;
  while (end < cuda->cuts + cuda->cut_count &&
         end->multiprocessors == best->multiprocessors) {
    ++end;
  }
  tables->cuts = best;
  tables->cut_count = (uint32_t)(end - best);
}

// In the order of tsr_cuda_tables' addresses.
static void list_parts(const tessera_layer *layer,
                       const tsr_cuda_tables *tables, part out[PARTS]) {
  const tsr_cuda_layer *cuda = &layer->cuda;
  const tsr_nvidia_cut *first = tables->cuts;
  const tsr_nvidia_cut *last = first + tables->cut_count - 1;
  uint64_t workers =
      last->worker_first + last->worker_count - first->worker_first;
  uint64_t segments =
      last->segment_first + last->segment_count - first->segment_first;
  out[0] = (part){cuda->stream, cuda->stream_size};
  out[1] =
      (part){cuda->steps, cuda->step_count * (uint64_t)sizeof(tsr_nvidia_step)};
  out[2] = (part){cuda->workers + first->worker_first,
                  workers * sizeof(tsr_nvidia_worker)};
  out[3] = (part){cuda->segments + first->segment_first,
                  segments * sizeof(tsr_nvidia_segment)};
  out[4] = (part){cuda->bias,
                  cuda->bias == NULL ? 0 : layer->info.rows * (uint64_t)4};
}

uint64_t tsr_cuda_place(const tessera_bundle *bundle, uint32_t multiprocessors,
                        CUdeviceptr memory, tsr_cuda_tables *tables) {
  uint64_t size = 0;
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    const tessera_layer *layer = &bundle->layers[i];
    tsr_cuda_tables here = {0};
    if (tables != NULL) {
      here.kernels = tables[i].kernels;
      here.kernel_count = tables[i].kernel_count;
    }
    if (layer->has_cuda) {
      part parts[PARTS];
      CUdeviceptr *const to[PARTS] = {&here.stream, &here.steps, &here.workers,
                                      &here.segments, &here.bias};
      choose_class(&layer->cuda, multiprocessors, &here);
      list_parts(layer, &here, parts);
      for (int p = 0; p < PARTS; ++p) {
        *to[p] = parts[p].size == 0 ? 0 : memory + size;
        size += round_up(parts[p].size);
      }
    }
    if (tables != NULL) tables[i] = here;
  }
  return size;
}

// ---- Upload -----------------------------------------------------------------

typedef struct upload {
  const tsr_cuda_driver *driver;
  CUstream stream;
  bool owns_stream;
  uint8_t *buffers[2];
  CUevent events[2];  // recorded when a buffer was given to the device
  bool is_given[2];
  int current;
  size_t used, capacity;
  CUdeviceptr to;
  tessera_error *error;
} upload;

static tessera_status init(upload *u, uint64_t size) {
  const tsr_cuda_driver *driver = u->driver;
  tessera_status status = TESSERA_OK;
  u->capacity =
      size < tsr_cuda_upload_buffer ? (size_t)size : tsr_cuda_upload_buffer;
  if (u->stream == NULL) {
    status = tsr_cuda_check(
        driver, driver->cuStreamCreate(&u->stream, CU_STREAM_NON_BLOCKING),
        u->error, "cuStreamCreate");
    u->owns_stream = status == TESSERA_OK;
  }
  for (int i = 0; i < 2 && status == TESSERA_OK; ++i) {
    void *buffer = NULL;
    status =
        tsr_cuda_check(driver, driver->cuMemHostAlloc(&buffer, u->capacity, 0),
                       u->error, "cuMemHostAlloc of %zu bytes", u->capacity);
    u->buffers[i] = buffer;
    if (status != TESSERA_OK) break;
    status = tsr_cuda_check(
        driver, driver->cuEventCreate(&u->events[i], CU_EVENT_DISABLE_TIMING),
        u->error, "cuEventCreate");
  }
  return status;
}

// Gives the current buffer to the device and waits for the other to be free.
static tessera_status flush(upload *u) {
  const tsr_cuda_driver *driver = u->driver;
  if (u->used == 0) return TESSERA_OK;
  tessera_status status =
      tsr_cuda_check(driver,
                     driver->cuMemcpyHtoDAsync(u->to, u->buffers[u->current],
                                               u->used, u->stream),
                     u->error, "cuMemcpyHtoDAsync of %zu bytes", u->used);
  if (status == TESSERA_OK) {
    status = tsr_cuda_check(
        driver, driver->cuEventRecord(u->events[u->current], u->stream),
        u->error, "cuEventRecord");
  }
  if (status != TESSERA_OK) return status;
  u->is_given[u->current] = true;
  u->to += u->used;
  u->used = 0;
  u->current ^= 1;
  if (!u->is_given[u->current]) return TESSERA_OK;
  return tsr_cuda_check(driver,
                        driver->cuEventSynchronize(u->events[u->current]),
                        u->error, "cuEventSynchronize");
}

// |data| NULL: zeros.
static tessera_status put(upload *u, const uint8_t *data, uint64_t size) {
  tessera_status status = TESSERA_OK;
  while (size != 0 && status == TESSERA_OK) {
    size_t room = u->capacity - u->used;
    size_t here = (size_t)(size < room ? size : room);
    uint8_t *to = u->buffers[u->current] + u->used;
    if (data == NULL) {
      memset(to, 0, here);
    } else {
      memcpy(to, data, here);
      data += here;
    }
    u->used += here;
    size -= here;
    if (u->used == u->capacity) status = flush(u);
  }
  return status;
}

static tessera_status put_layer(upload *u, const tessera_layer *layer,
                                const tsr_cuda_tables *tables) {
  part parts[PARTS];
  tessera_status status = TESSERA_OK;
  list_parts(layer, tables, parts);
  for (int i = 0; i < PARTS && status == TESSERA_OK; ++i) {
    uint64_t size = parts[i].size;
    status = put(u, parts[i].data, size);
    if (status == TESSERA_OK) status = put(u, NULL, round_up(size) - size);
  }
  return status;
}

// Copies may be under way, also after a failure: the buffers stay until they
// are done.
static tessera_status finish(upload *u, tessera_status status) {
  const tsr_cuda_driver *driver = u->driver;
  if (status == TESSERA_OK) status = flush(u);
  if (u->is_given[0] || u->is_given[1] || u->used != 0) {
    CUresult result = driver->cuStreamSynchronize(u->stream);
    if (status == TESSERA_OK) {
      status = tsr_cuda_check(driver, result, u->error, "cuStreamSynchronize");
    }
  }
  for (int i = 0; i < 2; ++i) {
    if (u->events[i] != NULL) (void)driver->cuEventDestroy(u->events[i]);
    if (u->buffers[i] != NULL) (void)driver->cuMemFreeHost(u->buffers[i]);
  }
  if (u->owns_stream) (void)driver->cuStreamDestroy(u->stream);
  return status;
}

tessera_status tsr_cuda_upload(const tsr_cuda_device *device,
                               const tessera_bundle *bundle,
                               const tsr_cuda_tables *tables,
                               CUdeviceptr memory, uint64_t size,
                               CUstream stream, tessera_error *error) {
  upload u = {
      .driver = device->driver, .stream = stream, .to = memory, .error = error};
  tessera_status status = init(&u, size);
  for (uint32_t i = 0; i < bundle->layer_count && status == TESSERA_OK; ++i) {
    const tessera_layer *layer = &bundle->layers[i];
    if (layer->has_cuda) status = put_layer(&u, layer, &tables[i]);
  }
  return finish(&u, status);
}
