// SPDX-License-Identifier: Apache-2.0
// Programs on a CUDA device: everything that can fail for want of resources is
// done when they are prepared; a run is one launch.
#include "cuda/program.h"

#include <string.h>

#include "base/memory.h"

enum {
  // What a kernel may have without asking (CUDA C++ Programming Guide,
  // "Shared Memory" of compute capability 8.x and 9.0).
  SHARED_UNASKED = 48 << 10,
  MEMORY_ALIGNMENT = 256,
  WORKSPACE_ALIGNMENT = 128,
};

static tsr_cuda_device *device_of(const tessera_program *program) {
  return tsr_cuda_device_of(program->device);
}

// ---- Prepare ----------------------------------------------------------------

// Half-built ones are legal.
static void destroy(tessera_program *base) {
  tsr_cuda_program *program = (tsr_cuda_program *)(void *)base;
  const tsr_cuda_device *device = device_of(base);
  const tsr_cuda_driver *driver = device->driver;
  bool has_module = program->module != NULL && !program->is_copy;
  if ((has_module || program->owns_memory) &&
      tsr_cuda_enter(device, NULL) == TESSERA_OK) {
    if (program->owns_memory) (void)driver->cuMemFree(program->memory);
    if (has_module) (void)driver->cuModuleUnload(program->module);
    tsr_cuda_leave(device);
  }
  if (!program->is_copy) {
    tsr_free(program->functions);
    tsr_free(program->kernels);
  }
  tsr_free(program->layers);
  tsr_free(program);
}

static tessera_status check_limits(const tsr_cuda_device *device,
                                   const tsr_bundle_cuda_kernel *kernel,
                                   CUfunction function, tessera_error *error) {
  const tsr_cuda_driver *driver = device->driver;
  int threads = 0;  // fewer than the device's where it has many registers
  tessera_status status = tsr_cuda_check(
      driver,
      driver->cuFuncGetAttribute(
          &threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function),
      error, "cuFuncGetAttribute");
  if (status != TESSERA_OK) return status;
  if (kernel->threads > device->thread_limit || threads < 0 ||
      kernel->threads > (uint32_t)threads) {
    return tsr_fail(error, TESSERA_UNSUPPORTED,
                    "it has blocks of %u threads, this device can have %d",
                    kernel->threads, threads);
  }
  if (kernel->shared_size > device->shared_limit) {
    return tsr_fail(error, TESSERA_UNSUPPORTED,
                    "it needs %u bytes of shared memory, a block of this "
                    "device may have %u",
                    kernel->shared_size, device->shared_limit);
  }
  if (kernel->shared_size <= SHARED_UNASKED) return TESSERA_OK;
  return tsr_cuda_check(
      driver,
      driver->cuFuncSetAttribute(
          function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
          (int)kernel->shared_size),
      error, "cuFuncSetAttribute of %u bytes of shared memory",
      kernel->shared_size);
}

// Also loads the function, where the driver does that lazily: not in a run
// (CUDA C++ Programming Guide 12.2, "Lazy Loading").
static tessera_status find_function(tsr_cuda_program *program, uint32_t index,
                                    tessera_error *error) {
  const tsr_cuda_device *device = device_of(&program->base);
  const tsr_bundle_cuda_kernel *kernel =
      &program->base.bundle->cuda_kernels[index];
  CUfunction *function = &program->functions[index];
  if (*function != NULL) return TESSERA_OK;  // shared by layers
  CUresult result = device->driver->cuModuleGetFunction(
      function, program->module, kernel->name);
  if (result == CUDA_ERROR_NOT_FOUND) {
    return tsr_fail(error, TESSERA_CORRUPT,
                    "image '%s' does not define '%.112s'", program->variant,
                    kernel->name);
  }
  tessera_status status =
      tsr_cuda_check(device->driver, result, error,
                     "cuModuleGetFunction of '%.112s'", kernel->name);
  if (status != TESSERA_OK) return status;
  status = check_limits(device, kernel, *function, error);
  if (status != TESSERA_OK) {
    tsr_fail_prefix(error, "kernel '%.112s'", kernel->name);
  }
  return status;
}

// Leaves each layer with those of its kernels that |image| holds.
static tessera_status take_kernels(tsr_cuda_program *program,
                                   const tsr_image *image,
                                   tessera_error *error) {
  const tessera_bundle *bundle = program->base.bundle;
  size_t count = 0;
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    count += bundle->layers[i].cuda.kernel_count;
  }
  program->kernels = tsr_calloc(count, sizeof(*program->kernels));
  if (program->kernels == NULL) return tsr_fail_out_of_memory(error);
  uint32_t *next = program->kernels;
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    const tsr_cuda_layer *cuda = &bundle->layers[i].cuda;
    tsr_cuda_tables *tables = &program->layers[i];
    tables->kernels = next;
    for (uint32_t k = 0; k < cuda->kernel_count; ++k) {
      if (tsr_image_holds(image, cuda->kernels[k])) *next++ = cuda->kernels[k];
    }
    tables->kernel_count = (uint32_t)(next - tables->kernels);
  }
  return TESSERA_OK;
}

static tessera_status find_functions(tsr_cuda_program *program,
                                     tessera_error *error) {
  const tessera_bundle *bundle = program->base.bundle;
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    const tsr_cuda_tables *tables = &program->layers[i];
    for (uint32_t k = 0; k < tables->kernel_count; ++k) {
      if (status != TESSERA_OK) return status;
      status = find_function(program, tables->kernels[k], error);
    }
  }
  return status;
}

static tessera_status take_memory(tsr_cuda_program *program, uint64_t size,
                                  const tessera_prepare_options *options,
                                  tessera_error *error) {
  const tsr_cuda_driver *driver = device_of(&program->base)->driver;
  if (options->device_memory == NULL) {
    tessera_status status = tsr_cuda_check(
        driver, driver->cuMemAlloc(&program->memory, size), error,
        "cuMemAlloc of %llu bytes for the weights", (unsigned long long)size);
    program->owns_memory = status == TESSERA_OK;
    return status;
  }
  program->memory = tsr_cuda_address(options->device_memory);
  if (options->device_memory_size < size) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "device_memory has %zu bytes, the program needs %llu",
                    options->device_memory_size, (unsigned long long)size);
  }
  if (program->memory % MEMORY_ALIGNMENT != 0) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "device_memory is not aligned to %d bytes",
                    MEMORY_ALIGNMENT);
  }
  return TESSERA_OK;
}

// With the device's context current.
static tessera_status build(tsr_cuda_program *program,
                            const tessera_prepare_options *options,
                            tessera_error *error) {
  const tessera_bundle *bundle = program->base.bundle;
  const tsr_cuda_device *device = device_of(&program->base);
  const tsr_image *image = NULL;
  uint64_t size = tsr_cuda_place(bundle, device->multiprocessors, 0, NULL);
  tessera_status status =
      tsr_cuda_image_load(device, bundle, &program->module, &image,
                          program->variant, sizeof(program->variant), error);
  if (status == TESSERA_OK) status = take_kernels(program, image, error);
  if (status == TESSERA_OK) status = find_functions(program, error);
  if (status == TESSERA_OK) {
    status = take_memory(program, size, options, error);
  }
  if (status != TESSERA_OK) return status;
  (void)tsr_cuda_place(bundle, device->multiprocessors, program->memory,
                       program->layers);
  return tsr_cuda_upload(device, bundle, program->layers, program->memory, size,
                         tsr_cuda_stream(options->stream), error);
}

static tessera_status check_targets(const tessera_bundle *bundle,
                                    tessera_error *error) {
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    if (bundle->layers[i].has_cuda) return TESSERA_OK;
  }
  char list[200] = "";
  size_t used = 0;
  bool has_host = false;
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    has_host = has_host || bundle->layers[i].has_host;
  }
  for (uint32_t i = 0; i < bundle->image_count; ++i) {
    const char *variant = bundle->images[i].variant;
    size_t length = strlen(variant);
    if (used + length + 3 > sizeof(list)) break;
    memcpy(list + used, used == 0 ? "" : ", ", used == 0 ? 0 : 2);
    used += used == 0 ? 0 : 2;
    memcpy(list + used, variant, length + 1);
    used += length;
  }
  return tsr_fail(error, TESSERA_UNSUPPORTED,
                  "it was not compiled for a CUDA target; it has %s%s",
                  used == 0 ? "no images" : list,
                  has_host ? ": run it on the device host" : "");
}

static tessera_status prepare_with(const tessera_bundle *bundle,
                                   tessera_device *device,
                                   const tessera_prepare_options *options,
                                   tessera_program **out_program,
                                   tessera_error *error) {
  const tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  tessera_status status = check_targets(bundle, error);
  if (status != TESSERA_OK) return status;
  tsr_cuda_program *program = tsr_calloc(1, sizeof(*program));
  if (program == NULL) return tsr_fail_out_of_memory(error);
  program->base = (tessera_program){
      .bundle = bundle, .device = device, .variant = program->variant};
  program->functions =
      tsr_calloc(bundle->cuda_kernel_count, sizeof(*program->functions));
  program->layers = tsr_calloc(bundle->layer_count, sizeof(*program->layers));
  if (program->functions == NULL || program->layers == NULL) {
    status = tsr_fail_out_of_memory(error);
  }
  if (status == TESSERA_OK) status = tsr_cuda_enter(cuda, error);
  if (status == TESSERA_OK) {
    status = build(program, options, error);
    tsr_cuda_leave(cuda);
  }
  if (status == TESSERA_OK) {
    *out_program = &program->base;
  } else {
    destroy(&program->base);
  }
  return status;
}

static tessera_status prepare(const tessera_bundle *bundle,
                              tessera_device *device,
                              tessera_program **out_program,
                              tessera_error *error) {
  const tessera_prepare_options options = {.size = sizeof(options)};
  return prepare_with(bundle, device, &options, out_program, error);
}

static tessera_status program_size(const tessera_bundle *bundle,
                                   tessera_device *device, size_t *out_size,
                                   tessera_error *error) {
  const tsr_cuda_device *cuda = tsr_cuda_device_of(device);
  tessera_status status = check_targets(bundle, error);
  if (status != TESSERA_OK) return status;
  *out_size = (size_t)tsr_cuda_place(bundle, cuda->multiprocessors, 0, NULL);
  return TESSERA_OK;
}

// ---- Copy -------------------------------------------------------------------

static tessera_status copy_stream(tsr_cuda_program *copy,
                                  const tessera_layer *layer,
                                  tessera_error *error) {
  const tsr_cuda_driver *driver = device_of(&copy->base)->driver;
  tsr_cuda_tables *tables = &copy->layers[layer->index];
  size_t size = (size_t)layer->cuda.stream_size;
  tessera_status status =
      tsr_cuda_check(driver, driver->cuMemAlloc(&copy->memory, size), error,
                     "cuMemAlloc of %zu bytes", size);
  copy->owns_memory = status == TESSERA_OK;
  if (status == TESSERA_OK) {
    status = tsr_cuda_check(
        driver,
        driver->cuMemcpyDtoDAsync(copy->memory, tables->stream, size, NULL),
        error, "cuMemcpyDtoDAsync of %zu bytes", size);
  }
  if (status == TESSERA_OK) {
    status = tsr_cuda_check(driver, driver->cuStreamSynchronize(NULL), error,
                            "cuStreamSynchronize");
  }
  tables->stream = copy->memory;
  return status;
}

static tessera_status copy(const tessera_program *program,
                           const tessera_layer *layer,
                           tessera_program **out_program,
                           tessera_error *error) {
  const tsr_cuda_program *original = tsr_cuda_program_of(program);
  const tsr_cuda_device *device = device_of(program);
  uint32_t count = program->bundle->layer_count;
  tsr_cuda_program *made = tsr_calloc(1, sizeof(*made));
  if (made == NULL) return tsr_fail_out_of_memory(error);
  *made = *original;
  made->base.variant = made->variant;
  made->is_copy = true;
  made->owns_memory = false;
  made->memory = 0;
  made->layers = tsr_calloc(count, sizeof(*made->layers));
  tessera_status status = TESSERA_OK;
  if (made->layers == NULL) {
    status = tsr_fail_out_of_memory(error);
  } else {
    memcpy(made->layers, original->layers, count * sizeof(*made->layers));
  }
  if (status == TESSERA_OK && layer->cuda.stream_size != 0) {
    status = tsr_cuda_enter(device, error);
    if (status == TESSERA_OK) {
      status = copy_stream(made, layer, error);
      tsr_cuda_leave(device);
    }
  }
  if (status == TESSERA_OK) {
    *out_program = &made->base;
  } else {
    destroy(&made->base);
  }
  return status;
}

// ---- Run --------------------------------------------------------------------

static tessera_status workspace(const tessera_program *program,
                                const tessera_layer *layer,
                                uint32_t token_count, bool or_fewer,
                                uint32_t thread_count, size_t *out_size,
                                tessera_error *error) {
  (void)thread_count;
  const tsr_cuda_device *device = device_of(program);
  const tsr_cuda_tables *tables =
      &tsr_cuda_program_of(program)->layers[layer->index];
  tsr_cuda_choice choice;
  uint64_t size = 0;
  tessera_status status =
      tsr_cuda_choose(device, layer, tables, token_count, &choice, error);
  if (status != TESSERA_OK) return status;
  bool is_possible = or_fewer
                         ? tsr_cuda_largest_workspace(device, layer, tables,
                                                      token_count, &size)
                         : tsr_cuda_choice_workspace(layer, &choice, &size);
  if (!is_possible) {
    return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                    "%u tokens need more workspace than memory can hold",
                    token_count);
  }
  *out_size = (size_t)size;
  return TESSERA_OK;
}

static tessera_status check_workspace(const void *memory,
                                      tessera_error *error) {
  if (tsr_cuda_address(memory) % WORKSPACE_ALIGNMENT == 0) return TESSERA_OK;
  return tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                  "workspace is not aligned to %d bytes", WORKSPACE_ALIGNMENT);
}

static tessera_status workspace_init(const tessera_program *program,
                                     void *memory, size_t size, void *stream,
                                     tessera_error *error) {
  const tsr_cuda_device *device = device_of(program);
  const tsr_cuda_driver *driver = device->driver;
  CUdeviceptr to = tsr_cuda_address(memory);
  tessera_status status = check_workspace(memory, error);
  if (status == TESSERA_OK && size < TSR_NVIDIA_WORKSPACE_HEADER) {
    status = tsr_fail(error, TESSERA_INVALID_ARGUMENT,
                      "workspace has %zu bytes, its header alone needs %d",
                      size, TSR_NVIDIA_WORKSPACE_HEADER);
  }
  if (status == TESSERA_OK) status = tsr_cuda_enter(device, error);
  if (status != TESSERA_OK) return status;
  status =
      tsr_cuda_check(driver,
                     driver->cuMemsetD32Async(to, TSR_NVIDIA_WORKSPACE_MAGIC, 1,
                                              tsr_cuda_stream(stream)),
                     error, "cuMemsetD32Async");
  if (status == TESSERA_OK) {
    status = tsr_cuda_check(
        driver,
        driver->cuMemsetD32Async(to + sizeof(uint32_t), 0,
                                 TSR_NVIDIA_WORKSPACE_HEADER / 4 - 1,
                                 tsr_cuda_stream(stream)),
        error, "cuMemsetD32Async");
  }
  tsr_cuda_leave(device);
  return status;
}

// Parameters in the order of base/nvidia_abi.h. The driver copies them before
// the launch returns.
static CUresult launch(const tsr_cuda_device *device, CUfunction function,
                       const tsr_cuda_tables *tables,
                       const tsr_cuda_choice *choice, const tsr_run *run) {
  const tsr_nvidia_cut *cut = choice->cut;
  const tsr_nvidia_cut *first = tables->cuts;
  CUdeviceptr stream = tables->stream, steps = tables->steps;
  CUdeviceptr workers =
      tables->workers + (uint64_t)(cut->worker_first - first->worker_first) *
                            sizeof(tsr_nvidia_worker);
  CUdeviceptr segments =
      tables->segments + (uint64_t)(cut->segment_first - first->segment_first) *
                             sizeof(tsr_nvidia_segment);
  CUdeviceptr input = tsr_cuda_address(run->input);
  CUdeviceptr residual = tsr_cuda_address(run->residual);
  CUdeviceptr bias = tables->bias;
  CUdeviceptr output = tsr_cuda_address(run->output);
  CUdeviceptr scratch = tsr_cuda_address(run->workspace);
  int64_t strides[] = {run->input_stride, run->residual_stride,
                       run->output_stride};
  uint32_t tokens = run->token_count, token_tiles = choice->token_tiles;
  uint32_t raster = TSR_NVIDIA_RASTER, worker_count = cut->worker_count;
  uint32_t partials = cut->partial_count, reductions = cut->reduction_count;
  void *parameters[TSR_NVIDIA_PARAMETERS] = {
      &stream, &steps,       &workers, &segments,     &input,      &residual,
      &bias,   &output,      &scratch, &strides[0],   &strides[1], &strides[2],
      &tokens, &token_tiles, &raster,  &worker_count, &partials,   &reductions};
  return device->driver->cuLaunchKernel(
      function, worker_count * token_tiles, 1, 1, choice->kernel->threads, 1, 1,
      choice->kernel->shared_size, tsr_cuda_stream(run->stream), parameters,
      NULL);
}

static tessera_status run(const tessera_program *program, const tsr_run *run,
                          tessera_error *error) {
  const tsr_cuda_program *cuda = tsr_cuda_program_of(program);
  const tsr_cuda_device *device = device_of(program);
  const tsr_cuda_tables *tables = &cuda->layers[run->layer->index];
  tsr_cuda_choice choice;
  tessera_status status = check_workspace(run->workspace, error);
  if (status == TESSERA_OK) {
    status = tsr_cuda_choose(device, run->layer, tables, run->token_count,
                             &choice, error);
  }
  if (status == TESSERA_OK) status = tsr_cuda_enter(device, error);
  if (status != TESSERA_OK) return status;
  CUfunction function = cuda->functions[choice.kernel_index];
  status = tsr_cuda_check(device->driver,
                          launch(device, function, tables, &choice, run), error,
                          "cuLaunchKernel of '%.112s'", choice.kernel->name);
  tsr_cuda_leave(device);
  return status;
}

static const tsr_device_memory_ops memory_ops = {
    .allocate = tsr_cuda_allocate,
    .release = tsr_cuda_release,
    .transfer = tsr_cuda_transfer,
    .synchronize = tsr_cuda_synchronize,
    .timer_create = tsr_cuda_timer_create,
    .timer_destroy = tsr_cuda_timer_destroy,
    .timer_mark = tsr_cuda_timer_mark,
    .timer_read = tsr_cuda_timer_read,
    .program_size = program_size,
    .prepare = prepare_with,
    .workspace_init = workspace_init,
};

const tsr_device_ops tsr_cuda_device_ops = {
    .kind = "cuda",
    .open = tsr_cuda_open,
    .close = tsr_cuda_close,
    .prepare = prepare,
    .copy = copy,
    .destroy = destroy,
    .workspace = workspace,
    .run = run,
    .memory = &memory_ops,
};
