// SPDX-License-Identifier: Apache-2.0
// Functions, how many of their blocks fit, and the checks of a launch.
#include "base/memory.h"
#include "driver/driver.h"

static uint32_t product(const uint32_t dims[3]) {
  return dims[0] * dims[1] * dims[2];
}

static uint32_t or_one(uint32_t value) {
  return value == 0 ? 1 : value;
}

// The most threads a block of |kernel| may have.
static uint32_t max_threads(const tsr_kernel *kernel) {
  const uint32_t *dims = kernel->required_threads[0] != 0
                             ? kernel->required_threads
                             : kernel->max_threads;
  if (dims[0] == 0) return 1024;
  uint64_t threads =
      (uint64_t)dims[0] * or_one(dims[1]) * (uint64_t)or_one(dims[2]);
  return threads > 1024 ? 1024 : (uint32_t)threads;
}

// There is no assembler: registers are those of the decoded kernel, as many as
// a compiler would need that never lets two values share one.
static int register_count(const tsr_kernel *kernel) {
  uint32_t count = kernel->stack_units < 16 ? 16 : kernel->stack_units;
  if (kernel->max_registers != 0 && count > kernel->max_registers) {
    count = kernel->max_registers;
  }
  return count > 255 ? 255 : (int)count;
}

static int constant_size(const tsr_program *program) {
  uint64_t size = 0;
  for (uint32_t i = 0; i < program->global_count; ++i) {
    if (program->globals[i].is_constant) size += program->globals[i].size;
  }
  return size > INT32_MAX ? INT32_MAX : (int)size;
}

static const tsr_device_model *model_of(CUfunction function) {
  return function->module->context->device->model;
}

CUresult tsr_cuFuncGetAttribute(int *out_value, CUfunction_attribute name,
                                CUfunction handle) {
  CUfunction function = NULL;
  if (out_value == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  const tsr_kernel *kernel = function->kernel;
  const tsr_device_model *model = model_of(function);
  switch (name) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *out_value = (int)max_threads(kernel);
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *out_value = (int)kernel->static_shared;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
      *out_value = constant_size(kernel->program);
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *out_value = (int)kernel->local_bytes;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      *out_value = register_count(kernel);
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
      *out_value = (int)kernel->ptx_version;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      *out_value = (int)(model->sm_major * 10 + model->sm_minor);
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *out_value = (int)function->max_dynamic_shared;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      *out_value = function->carveout;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
      *out_value =
          (int)kernel
              ->required_cluster[name -
                                 CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH];
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      *out_value = 0;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult tsr_cuFuncSetAttribute(CUfunction handle, CUfunction_attribute name,
                                int value) {
  CUfunction function = NULL;
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  uint32_t most = model_of(function)->shared_per_block_optin;
  uint32_t used = function->kernel->static_shared;
  switch (name) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      if (value < 0 || used > most || (uint32_t)value > most - used) {
        return CUDA_ERROR_INVALID_VALUE;
      }
      function->max_dynamic_shared = (uint32_t)value;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      if (value < -1 || value > 100) return CUDA_ERROR_INVALID_VALUE;
      function->carveout = value;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      return CUDA_SUCCESS;  // clusters have one block
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult tsr_cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache cache) {
  CUfunction function = NULL;
  if (cache > CU_FUNC_CACHE_PREFER_EQUAL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result == CUDA_SUCCESS) function->cache = cache;
  return result;
}

CUresult tsr_cuFuncSetSharedMemConfig(CUfunction handle, CUsharedconfig banks) {
  CUfunction function = NULL;
  if (banks > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return tsr_function_get(handle, &function);
}

CUresult tsr_cuFuncGetModule(CUmodule *out_module, CUfunction handle) {
  CUfunction function = NULL;
  if (out_module == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result == CUDA_SUCCESS) *out_module = function->module;
  return result;
}

CUresult tsr_cuFuncGetName(const char **out_name, CUfunction handle) {
  CUfunction function = NULL;
  if (out_name == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result == CUDA_SUCCESS) *out_name = function->kernel->function.name;
  return result;
}

CUresult tsr_cuFuncGetParamInfo(CUfunction handle, size_t index,
                                size_t *out_offset, size_t *out_size) {
  CUfunction function = NULL;
  if (out_offset == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  if (index >= function->kernel->param_count) return CUDA_ERROR_INVALID_VALUE;
  *out_offset = function->kernel->params[index].offset;
  if (out_size != NULL) *out_size = function->kernel->params[index].size;
  return CUDA_SUCCESS;
}

CUresult tsr_cuFuncIsLoaded(CUfunctionLoadingState *out_state,
                            CUfunction handle) {
  CUfunction function = NULL;
  if (out_state == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result == CUDA_SUCCESS) *out_state = CU_FUNCTION_LOADING_STATE_LOADED;
  return result;
}

CUresult tsr_cuFuncLoad(CUfunction handle) {
  CUfunction function = NULL;
  return tsr_function_get(handle, &function);
}

// --- Occupancy --------------------------------------------------------------

// Blocks on one multiprocessor.
static uint32_t residency(CUfunction function, uint32_t threads,
                          size_t dynamic) {
  const tsr_device_model *model = model_of(function);
  uint32_t fixed = function->kernel->static_shared;
  if (threads == 0 || threads > max_threads(function->kernel) ||
      fixed > model->shared_per_block_optin ||
      dynamic > model->shared_per_block_optin - fixed) {
    return 0;
  }
  return tsr_engine_residency(model, threads, fixed + (uint32_t)dynamic, 0);
}

CUresult tsr_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *out_blocks, CUfunction handle, int threads, size_t dynamic,
    unsigned flags) {
  CUfunction function = NULL;
  if (out_blocks == NULL || threads <= 0 || flags > 1) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  *out_blocks = (int)residency(function, (uint32_t)threads, dynamic);
  return CUDA_SUCCESS;
}

CUresult tsr_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *out_blocks,
                                                         CUfunction function,
                                                         int threads,
                                                         size_t dynamic) {
  return tsr_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
      out_blocks, function, threads, dynamic, 0);
}

CUresult tsr_cuOccupancyMaxPotentialBlockSizeWithFlags(
    int *out_grid, int *out_block, CUfunction handle, CUoccupancyB2DSize size,
    size_t dynamic, int limit, unsigned flags) {
  CUfunction function = NULL;
  if (out_grid == NULL || out_block == NULL || flags > 1) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  uint32_t most = max_threads(function->kernel);
  if (limit > 0 && (uint32_t)limit < most) most = (uint32_t)limit;
  uint32_t best = 0, best_threads = 0, best_blocks = 0;
  // From the largest block down; only a gain in resident threads counts.
  for (uint32_t threads = most; threads > 0;
       threads = (threads - 1) / TSR_LANES * TSR_LANES) {
    size_t need = size == NULL ? dynamic : size((int)threads);
    uint32_t blocks = residency(function, threads, need);
    if (blocks * threads <= best) continue;
    best = blocks * threads;
    best_threads = threads;
    best_blocks = blocks;
  }
  if (best == 0) return CUDA_ERROR_INVALID_VALUE;
  *out_block = (int)best_threads;
  *out_grid = (int)(best_blocks * model_of(function)->multiprocessors);
  return CUDA_SUCCESS;
}

CUresult tsr_cuOccupancyMaxPotentialBlockSize(int *out_grid, int *out_block,
                                              CUfunction function,
                                              CUoccupancyB2DSize size,
                                              size_t dynamic, int limit) {
  return tsr_cuOccupancyMaxPotentialBlockSizeWithFlags(
      out_grid, out_block, function, size, dynamic, limit, 0);
}

CUresult tsr_cuOccupancyAvailableDynamicSMemPerBlock(size_t *out_size,
                                                     CUfunction handle,
                                                     int blocks, int threads) {
  CUfunction function = NULL;
  if (out_size == NULL || blocks <= 0 || threads <= 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  if (residency(function, (uint32_t)threads, 0) < (uint32_t)blocks) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // The largest size at which they still fit: residency falls with it.
  const tsr_device_model *model = model_of(function);
  uint32_t low = 0;
  uint32_t high =
      model->shared_per_block_optin - function->kernel->static_shared;
  while (low < high) {
    uint32_t middle = low + (high - low + 1) / 2;
    if (residency(function, (uint32_t)threads, middle) >= (uint32_t)blocks) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  *out_size = low;
  return CUDA_SUCCESS;
}

CUresult tsr_cuOccupancyMaxPotentialClusterSize(int *out_size,
                                                CUfunction handle,
                                                const CUlaunchConfig *config) {
  CUfunction function = NULL;
  if (out_size == NULL || config == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result == CUDA_SUCCESS) *out_size = 1;
  return result;
}

CUresult tsr_cuOccupancyMaxActiveClusters(int *out_count, CUfunction handle,
                                          const CUlaunchConfig *config) {
  CUfunction function = NULL;
  if (out_count == NULL || config == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  uint64_t threads = (uint64_t)config->blockDimX * config->blockDimY *
                     (uint64_t)config->blockDimZ;
  if (threads > 1024) return CUDA_ERROR_INVALID_VALUE;
  *out_count =
      (int)(residency(function, (uint32_t)threads, config->sharedMemBytes) *
            model_of(function)->multiprocessors);
  return CUDA_SUCCESS;
}

// --- Checks of a launch -----------------------------------------------------

static CUresult read_attribute(const CUlaunchAttribute *attribute,
                               tsr_work *work) {
  switch (attribute->id) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
      work->as.kernel.cooperative = attribute->value.cooperative != 0;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
      work->as.kernel.programmatic =
          attribute->value.programmaticStreamSerializationAllowed != 0;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
      if (attribute->value.clusterDim.x == 0 ||
          attribute->value.clusterDim.y == 0 ||
          attribute->value.clusterDim.z == 0) {
        return CUDA_ERROR_INVALID_VALUE;
      }
      if (attribute->value.clusterDim.x != 1 ||
          attribute->value.clusterDim.y != 1 ||
          attribute->value.clusterDim.z != 1) {
        tsr_driver_log("launch refused: clusters of more than one block");
        return CUDA_ERROR_NOT_SUPPORTED;
      }
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
      return CUDA_ERROR_NOT_SUPPORTED;
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      return CUDA_SUCCESS;  // of speed only
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

static bool dims_allowed(const CUlaunchConfig *config,
                         const tsr_kernel *kernel) {
  uint64_t threads = (uint64_t)config->blockDimX * config->blockDimY *
                     (uint64_t)config->blockDimZ;
  if (config->gridDimX == 0 || config->gridDimX > INT32_MAX ||
      config->gridDimY == 0 || config->gridDimY > 65535 ||
      config->gridDimZ == 0 || config->gridDimZ > 65535 ||
      config->blockDimX > 1024 || config->blockDimY > 1024 ||
      config->blockDimZ > 64 || threads == 0 || threads > max_threads(kernel)) {
    return false;
  }
  const uint32_t *required = kernel->required_threads;
  return required[0] == 0 || (config->blockDimX == required[0] &&
                              config->blockDimY == or_one(required[1]) &&
                              config->blockDimZ == or_one(required[2]));
}

static CUresult check(const tsr_work *work, const CUlaunchConfig *config) {
  CUfunction function = work->as.kernel.function;
  const tsr_kernel *kernel = function->kernel;
  if (!dims_allowed(config, kernel) ||
      config->sharedMemBytes > function->max_dynamic_shared) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (kernel->required_cluster[0] != 0 &&
      (uint64_t)kernel->required_cluster[0] *
              or_one(kernel->required_cluster[1]) *
              or_one(kernel->required_cluster[2]) >
          1) {
    tsr_driver_log("launch of %s refused: clusters of more than one block",
                   kernel->function.name);
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  uint32_t fits = residency(function, product(work->as.kernel.block),
                            config->sharedMemBytes);
  if (fits == 0) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  uint64_t blocks = (uint64_t)config->gridDimX * config->gridDimY *
                    (uint64_t)config->gridDimZ;
  if (work->as.kernel.cooperative &&
      blocks > (uint64_t)fits * model_of(function)->multiprocessors) {
    return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  }
  return CUDA_SUCCESS;
}

// Parameters in one buffer: CU_LAUNCH_PARAM_BUFFER_POINTER and _SIZE.
static CUresult copy_extra(const tsr_kernel *kernel, void **extra,
                           unsigned char *params) {
  const void *buffer = NULL;
  const size_t *size = NULL;
  for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
    if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) {
      buffer = extra[1];
    } else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) {
      size = extra[1];
    } else {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  if (buffer == NULL || size == NULL || *size < kernel->params_size) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  memcpy(params, buffer, kernel->params_size);
  return CUDA_SUCCESS;
}

static CUresult copy_params(const tsr_kernel *kernel, void **params,
                            void **extra, unsigned char *out) {
  if (params != NULL && extra != NULL) return CUDA_ERROR_INVALID_VALUE;
  if (extra != NULL) return copy_extra(kernel, extra, out);
  if (kernel->param_count > 0 && params == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (uint32_t i = 0; i < kernel->param_count; ++i) {
    if (params[i] == NULL) return CUDA_ERROR_INVALID_VALUE;
    memcpy(out + kernel->params[i].offset, params[i], kernel->params[i].size);
  }
  return CUDA_SUCCESS;
}

static CUresult fill(tsr_work *work, const CUlaunchConfig *config,
                     void **params, void **extra) {
  work->as.kernel.grid[0] = config->gridDimX;
  work->as.kernel.grid[1] = config->gridDimY;
  work->as.kernel.grid[2] = config->gridDimZ;
  work->as.kernel.block[0] = config->blockDimX;
  work->as.kernel.block[1] = config->blockDimY;
  work->as.kernel.block[2] = config->blockDimZ;
  work->as.kernel.dynamic_shared = config->sharedMemBytes;
  if (config->numAttrs > 0 && config->attrs == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    CUresult result = read_attribute(&config->attrs[i], work);
    if (result != CUDA_SUCCESS) return result;
  }
  CUresult result = check(work, config);
  if (result != CUDA_SUCCESS) return result;
  const tsr_kernel *kernel = work->as.kernel.function->kernel;
  // As long as any access of the kernel's may reach: parameters are read in
  // units of up to 16 bytes.
  work->as.kernel.params = tsr_calloc(1, (size_t)kernel->params_size + 16);
  if (work->as.kernel.params == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  return copy_params(kernel, params, extra, work->as.kernel.params);
}

CUresult tsr_launch_make(CUcontext context, CUfunction handle,
                         const CUlaunchConfig *config, void **params,
                         void **extra, tsr_work **out_work) {
  CUfunction function = NULL;
  CUresult result = tsr_function_get(handle, &function);
  if (result != CUDA_SUCCESS) return result;
  if (function->module->context != context) return CUDA_ERROR_INVALID_HANDLE;
  tsr_work *work = tsr_work_create(TSR_WORK_KERNEL, context);
  if (work == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  work->as.kernel.function = function;
  ++function->module->references;
  result = fill(work, config, params, extra);
  if (result != CUDA_SUCCESS) {
    tsr_work_release(work);
    return result;
  }
  *out_work = work;
  return CUDA_SUCCESS;
}

// --- Launches ---------------------------------------------------------------

CUresult tsr_cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function,
                              void **params, void **extra) {
  if (config == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUstream stream;
  CUresult result = tsr_stream_get(config->hStream, &stream);
  if (result != CUDA_SUCCESS) return result;
  tsr_work *work = NULL;
  result =
      tsr_launch_make(stream->context, function, config, params, extra, &work);
  if (result != CUDA_SUCCESS) return result;
  return tsr_stream_enqueue(stream, work, NULL);
}

static CUlaunchConfig config_of(unsigned grid_x, unsigned grid_y,
                                unsigned grid_z, unsigned block_x,
                                unsigned block_y, unsigned block_z,
                                unsigned shared, CUstream stream) {
  return (CUlaunchConfig){
      .gridDimX = grid_x,
      .gridDimY = grid_y,
      .gridDimZ = grid_z,
      .blockDimX = block_x,
      .blockDimY = block_y,
      .blockDimZ = block_z,
      .sharedMemBytes = shared,
      .hStream = stream,
  };
}

CUresult tsr_cuLaunchKernel(CUfunction function, unsigned grid_x,
                            unsigned grid_y, unsigned grid_z, unsigned block_x,
                            unsigned block_y, unsigned block_z, unsigned shared,
                            CUstream stream, void **params, void **extra) {
  CUlaunchConfig config = config_of(grid_x, grid_y, grid_z, block_x, block_y,
                                    block_z, shared, stream);
  return tsr_cuLaunchKernelEx(&config, function, params, extra);
}

CUresult tsr_cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x,
                                       unsigned grid_y, unsigned grid_z,
                                       unsigned block_x, unsigned block_y,
                                       unsigned block_z, unsigned shared,
                                       CUstream stream, void **params) {
  CUlaunchAttribute cooperative = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE,
                                   .value = {.cooperative = 1}};
  CUlaunchConfig config = config_of(grid_x, grid_y, grid_z, block_x, block_y,
                                    block_z, shared, stream);
  config.attrs = &cooperative;
  config.numAttrs = 1;
  return tsr_cuLaunchKernelEx(&config, function, params, NULL);
}
