// SPDX-License-Identifier: Apache-2.0
// The host as a device: a pool of threads, and programs that are an image of
// native code beside the bundle's own mapped weights.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "device.h"
#include "fail.h"
#include "host/cpu.h"
#include "host/image.h"
#include "host/pool.h"
#include "host/run.h"
#include "host/streams.h"

enum { VARIANT_SIZE = 64 };

typedef struct host_device {
  tessera_device base;
  tsr_pool *pool;
  uint32_t cores;
  tessera_weights weights;
  char variant[VARIANT_SIZE];  // "" for the best
} host_device;

typedef struct host_program {
  tessera_program base;
  tsr_loaded_image image;
  tsr_host_functions *functions;  // per kernel of the bundle
  tsr_streams streams;
  bool is_copy;  // borrows image and functions
} host_program;

// The structures above start with their base.
static host_device *as_host_device(tessera_device *device) {
  return (host_device *)(void *)device;
}

static const host_program *as_host_program(const tessera_program *program) {
  return (const host_program *)(const void *)program;
}

// ---- Device -----------------------------------------------------------------

static void host_close(tessera_device *device) {
  host_device *host = as_host_device(device);
  tsr_pool_destroy(host->pool);
  tsr_free(host);
}

static void describe(host_device *host) {
  char brand[64];
  tsr_cpu_brand(brand, sizeof(brand));
  uint32_t threads = host->base.thread_count;
  (void)snprintf(host->base.description, sizeof(host->base.description),
                 "host (%s, %u thread%s, %s)", brand, threads,
                 threads == 1 ? "" : "s",
                 host->variant[0] != '\0' ? host->variant : tsr_cpu_level());
}

static tessera_status host_open(uint32_t index,
                                const tessera_device_options *options,
                                tessera_device **out_device,
                                tessera_error *error) {
  if (index != 0) {
    return tsr_fail(error, TESSERA_NOT_FOUND, "there is one host");
  }
  const char *variant = options->variant == NULL ? "" : options->variant;
  if (strlen(variant) >= VARIANT_SIZE) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "variant has more than %d characters", VARIANT_SIZE - 1);
  }
  host_device *host = tsr_calloc(1, sizeof(*host));
  if (host == NULL) return tsr_fail_out_of_memory(error);
  uint32_t threads = options->thread_count;
  host->cores = tsr_available_cores();
  if (threads == 0) threads = host->cores;
  host->base.ops = &tsr_host_device_ops;
  host->base.thread_count = threads;
  host->weights = options->weights;
  memcpy(host->variant, variant, strlen(variant));
  tessera_status status = tsr_pool_create(threads, &host->pool, error);
  if (status != TESSERA_OK) {
    host_close(&host->base);
    return status;
  }
  describe(host);
  *out_device = &host->base;
  return TESSERA_OK;
}

// ---- Program ----------------------------------------------------------------

static void host_destroy(tessera_program *program) {
  host_program *host = (host_program *)(void *)program;
  if (!host->is_copy) {
    tsr_image_unload(&host->image);
    tsr_free(host->functions);
  }
  tsr_streams_fini(&host->streams);
  tsr_free(host);
}

static tessera_status find_functions(host_program *program, uint32_t index,
                                     tessera_error *error) {
  const tsr_bundle_kernel *kernel = &program->base.bundle->kernels[index];
  tsr_host_functions *functions = &program->functions[index];
  if (functions->run != NULL) return TESSERA_OK;  // shared by layers
  tessera_status status =
      tsr_image_find(&program->image, kernel->run, &functions->run, error);
  if (status == TESSERA_OK && kernel->reduce[0] != '\0') {
    status = tsr_image_find(&program->image, kernel->reduce, &functions->reduce,
                            error);
  }
  if (status == TESSERA_OK && kernel->pack[0] != '\0') {
    status =
        tsr_image_find(&program->image, kernel->pack, &functions->pack, error);
  }
  return status;
}

static tessera_status find_all_functions(host_program *program,
                                         tessera_error *error) {
  const tessera_bundle *bundle = program->base.bundle;
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    const tsr_host_layer *host = &bundle->layers[i].host;
    for (uint32_t k = 0; k < host->kernel_count; ++k) {
      if (status != TESSERA_OK) return status;
      status = find_functions(program, host->kernels[k], error);
    }
  }
  return status;
}

static tessera_status host_prepare(const tessera_bundle *bundle,
                                   tessera_device *device,
                                   tessera_program **out_program,
                                   tessera_error *error) {
  const host_device *host = as_host_device(device);
  const tsr_image *image = NULL;
  host_program *program = tsr_calloc(1, sizeof(*program));
  if (program == NULL) return tsr_fail_out_of_memory(error);
  program->base = (tessera_program){.bundle = bundle, .device = device};
  program->image.descriptor = -1;
  tessera_status status = tsr_image_choose(
      bundle, host->variant[0] == '\0' ? NULL : host->variant, &image, error);
  if (status == TESSERA_OK) {
    program->base.variant = image->variant;
    status = tsr_image_load(image, &program->image, error);
  }
  if (status == TESSERA_OK) {
    program->functions =
        tsr_calloc(bundle->kernel_count, sizeof(*program->functions));
    status = program->functions == NULL ? tsr_fail_out_of_memory(error)
                                        : find_all_functions(program, error);
    if (status != TESSERA_OK) {
      tsr_fail_prefix(error, "image '%.64s'", image->variant);
    }
  }
  if (status == TESSERA_OK) {
    status = tsr_streams_init(bundle, host->weights, &program->streams, error);
  }
  if (status == TESSERA_OK) {
    *out_program = &program->base;
  } else {
    host_destroy(&program->base);
  }
  return status;
}

static tessera_status host_copy(const tessera_program *program,
                                const tessera_layer *layer,
                                tessera_program **out_program,
                                tessera_error *error) {
  const host_program *original = as_host_program(program);
  host_program *copy = tsr_calloc(1, sizeof(*copy));
  if (copy == NULL) return tsr_fail_out_of_memory(error);
  *copy = *original;
  copy->is_copy = true;
  tessera_status status =
      tsr_streams_init_copy(&original->streams, layer, &copy->streams, error);
  if (status == TESSERA_OK) {
    *out_program = &copy->base;
  } else {
    host_destroy(&copy->base);
  }
  return status;
}

// ---- Running ----------------------------------------------------------------

static tessera_status fail_tokens(const tessera_layer *layer,
                                  uint32_t token_count, tessera_error *error) {
  const tsr_host_layer *host = &layer->host;
  tsr_token_range ranges[TSR_KERNELS_PER_LAYER];
  if (!layer->has_host) {
    return tsr_fail(error, TESSERA_UNSUPPORTED,
                    "it was not compiled for the host target");
  }
  for (uint32_t i = 0; i < host->kernel_count; ++i) {
    const tsr_bundle_kernel *kernel = &layer->bundle->kernels[host->kernels[i]];
    ranges[i] = (tsr_token_range){kernel->token_first, kernel->token_last};
  }
  return tsr_fail_tokens(token_count, ranges, host->kernel_count, error);
}

// The largest need among the kernels that take |token_count| tokens or fewer.
static bool measure_largest(const tessera_layer *layer, uint32_t token_count,
                            uint32_t thread_count, uint64_t *out_size) {
  const tsr_host_layer *host = &layer->host;
  *out_size = 0;
  for (uint32_t i = 0; i < host->kernel_count; ++i) {
    const tsr_bundle_kernel *kernel = &layer->bundle->kernels[host->kernels[i]];
    if (kernel->token_first > token_count) continue;
    uint32_t most =
        kernel->token_last < token_count ? kernel->token_last : token_count;
    tsr_host_workspace size;
    if (!tsr_host_workspace_measure(layer, kernel, most, thread_count, &size)) {
      return false;
    }
    if (size.total > *out_size) *out_size = size.total;
  }
  return true;
}

static tessera_status host_workspace(const tessera_program *program,
                                     const tessera_layer *layer,
                                     uint32_t token_count, bool or_fewer,
                                     uint32_t thread_count, size_t *out_size,
                                     tessera_error *error) {
  (void)program;
  uint32_t index = 0;
  const tsr_bundle_kernel *kernel =
      tsr_host_pick_kernel(layer, token_count, &index);
  if (kernel == NULL) return fail_tokens(layer, token_count, error);
  tsr_host_workspace size = {0};
  bool fits =
      or_fewer ? measure_largest(layer, token_count, thread_count, &size.total)
               : tsr_host_workspace_measure(layer, kernel, token_count,
                                            thread_count, &size);
  if (!fits) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "%u tokens need more workspace than memory can hold",
                    token_count);
  }
  *out_size = (size_t)size.total;
  return TESSERA_OK;
}

static void init_launch(const tessera_program *program, const tsr_run *run,
                        uint32_t thread_count, tsr_host_launch *out_launch) {
  uint32_t index = 0;
  const tsr_bundle_kernel *kernel =
      tsr_host_pick_kernel(run->layer, run->token_count, &index);
  const host_program *host = as_host_program(program);
  tsr_host_launch_init(run, kernel, &host->functions[index], thread_count,
                       out_launch);
  out_launch->stream = host->streams.of_layer[run->layer->index];
}

static tessera_status check_stream(const tsr_run *run, tessera_error *error) {
  if (run->stream == NULL) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "stream is not NULL, but the device is the host");
}

static tessera_status host_run(const tessera_program *program,
                               const tsr_run *run, tessera_error *error) {
  tessera_status status = check_stream(run, error);
  if (status != TESSERA_OK) return status;
  tsr_pool *pool = as_host_device(program->device)->pool;
  tsr_host_launch launch;
  init_launch(program, run, program->device->thread_count, &launch);
  tsr_pool_run(pool, tsr_host_launch_thread, &launch);
  return TESSERA_OK;
}

static tessera_status host_run_thread(const tessera_program *program,
                                      const tsr_run *run, tessera_team *team,
                                      uint32_t thread_index,
                                      uint32_t thread_count,
                                      tessera_error *error) {
  tessera_status status = check_stream(run, error);
  if (status != TESSERA_OK) return status;
  _Static_assert(sizeof(tsr_barrier) <= sizeof(*team), "a team is a barrier");
  tsr_barrier *barrier = (tsr_barrier *)(void *)team;
  tsr_team_place place = {
      barrier, thread_index, thread_count,
      tsr_pool_spins(thread_count, as_host_device(program->device)->cores)};
  tsr_host_launch launch;
  init_launch(program, run, thread_count, &launch);
  tsr_host_launch_thread(&launch, &place);
  if (thread_count > 1) {
    tsr_barrier_wait(barrier, thread_count, place.spins);
  }
  return TESSERA_OK;
}

const tsr_device_ops tsr_host_device_ops = {
    .kind = "host",
    .open = host_open,
    .close = host_close,
    .prepare = host_prepare,
    .copy = host_copy,
    .destroy = host_destroy,
    .workspace = host_workspace,
    .run = host_run,
    .run_thread = host_run_thread,
};
