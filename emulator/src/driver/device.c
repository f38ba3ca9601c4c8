// SPDX-License-Identifier: Apache-2.0
// Start, versions, names of errors, devices and their attributes. What no
// emulation has (textures, interprocess memory, coprocessors) counts as absent.
#include <stdio.h>
#include <stdlib.h>

#include "driver/driver.h"

CUresult tsr_cuInit(unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return tsr_driver_start();
}

CUresult tsr_cuDriverGetVersion(int *version) {
  if (version == NULL) return CUDA_ERROR_INVALID_VALUE;
  *version = TSR_CUDA_VERSION;
  return CUDA_SUCCESS;
}

static const struct {
  CUresult value;
  const char *name, *text;
} results[] = {
#define TSR_RESULT(name, value, text) {name, #name, text},
#include "driver/results.def"
#undef TSR_RESULT
};

static CUresult result_text(CUresult error, const char **out, bool name) {
  if (out == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out = NULL;
  for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); ++i) {
    if (results[i].value != error) continue;
    *out = name ? results[i].name : results[i].text;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult tsr_cuGetErrorName(CUresult error, const char **out_name) {
  return result_text(error, out_name, true);
}

CUresult tsr_cuGetErrorString(CUresult error, const char **out_text) {
  return result_text(error, out_text, false);
}

// Private tables of the vendor's libraries.
CUresult tsr_cuGetExportTable(const void **table, const CUuuid *id) {
  (void)id;
  if (table == NULL) return CUDA_ERROR_INVALID_VALUE;
  *table = NULL;
  return CUDA_ERROR_NOT_SUPPORTED;
}

// --- Devices ----------------------------------------------------------------

tsr_device *tsr_device_get(CUdevice ordinal) {
  if (ordinal < 0 || (uint32_t)ordinal >= tsr_the.device_count) return NULL;
  return &tsr_the.devices[ordinal];
}

CUresult tsr_cuDeviceGet(CUdevice *out_device, int ordinal) {
  if (out_device == NULL) return CUDA_ERROR_INVALID_VALUE;
  if (tsr_device_get(ordinal) == NULL) return CUDA_ERROR_INVALID_DEVICE;
  *out_device = ordinal;
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetCount(int *out_count) {
  if (out_count == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_count = (int)tsr_the.device_count;
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetName(char *out_name, int size, CUdevice ordinal) {
  if (out_name == NULL || size <= 0) return CUDA_ERROR_INVALID_VALUE;
  const tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  (void)snprintf(out_name, (size_t)size, "%s", device->model->name);
  return CUDA_SUCCESS;
}

// Stable: of the model's name and the device's number.
CUresult tsr_cuDeviceGetUuid(CUuuid *out_id, CUdevice ordinal) {
  if (out_id == NULL) return CUDA_ERROR_INVALID_VALUE;
  const tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  uint64_t hash = UINT64_C(0xcbf29ce484222325) + (uint64_t)ordinal;
  for (const char *at = device->model->key; *at != '\0'; ++at) {
    hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
  }
  memcpy(out_id->bytes, "TESSERA", 8);
  memcpy(out_id->bytes + 8, &hash, 8);
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetUuid_v2(CUuuid *out_id, CUdevice ordinal) {
  return tsr_cuDeviceGetUuid(out_id, ordinal);
}

CUresult tsr_cuDeviceTotalMem_v2(size_t *out_size, CUdevice ordinal) {
  if (out_size == NULL) return CUDA_ERROR_INVALID_VALUE;
  const tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  *out_size = device->model->memory_bytes;
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceComputeCapability(int *out_major, int *out_minor,
                                       CUdevice ordinal) {
  if (out_major == NULL || out_minor == NULL) return CUDA_ERROR_INVALID_VALUE;
  const tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  *out_major = (int)device->model->sm_major;
  *out_minor = (int)device->model->sm_minor;
  return CUDA_SUCCESS;
}

// Bus identifiers: domain 0, bus 1 + number, device 0, function 0.
CUresult tsr_cuDeviceGetPCIBusId(char *out_id, int size, CUdevice ordinal) {
  if (out_id == NULL || size < 13) return CUDA_ERROR_INVALID_VALUE;
  if (tsr_device_get(ordinal) == NULL) return CUDA_ERROR_INVALID_DEVICE;
  (void)snprintf(out_id, (size_t)size, "0000:%02X:00.0", ordinal + 1);
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetByPCIBusId(CUdevice *out_device, const char *id) {
  if (out_device == NULL || id == NULL) return CUDA_ERROR_INVALID_VALUE;
  const char *bus = strchr(id, ':');
  if (bus == NULL) return CUDA_ERROR_INVALID_VALUE;
  const char *second = strchr(bus + 1, ':');
  long number = strtol(second == NULL ? id : bus + 1, NULL, 16) - 1;
  if (number < 0 || number >= (long)tsr_the.device_count) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  *out_device = (CUdevice)number;
  return CUDA_SUCCESS;
}

// --- Attributes -------------------------------------------------------------

// Limits of the compute capability and of the device.
static bool limit_attribute(const tsr_device_model *m, CUdevice_attribute name,
                            int *out) {
  switch (name) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
      return *out = 1024, true;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
      return *out = 64, true;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
      return *out = INT32_MAX, true;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      return *out = 65535, true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      return *out = (int)m->shared_per_block, true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return *out = (int)m->shared_per_block_optin, true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return *out = (int)m->shared_per_multiprocessor, true;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
      return *out = TSR_SHARED_BASE, true;
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY:
      return *out = 65536, true;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      return *out = 32, true;
    case CU_DEVICE_ATTRIBUTE_MAX_PITCH:
      return *out = INT32_MAX, true;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
      return *out = 65536, true;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return *out = (int)m->registers_per_multiprocessor, true;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return *out = (int)m->multiprocessors, true;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      return *out = (int)m->threads_per_multiprocessor, true;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
      return *out = (int)m->blocks_per_multiprocessor, true;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
    case CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT:
      return *out = 512, true;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT:
      return *out = 32, true;
    default:
      return false;
  }
}

// Clocks, sizes, places.
static bool figure_attribute(const tsr_device_model *m, CUdevice ordinal,
                             CUdevice_attribute name, int *out) {
  switch (name) {
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
      return *out = (int)m->clock_khz, true;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      return *out = (int)m->memory_clock_khz, true;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      return *out = (int)m->bus_bits, true;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return *out = (int)m->l2_bytes, true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return *out = (int)m->sm_major, true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return *out = (int)m->sm_minor, true;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
      return *out = ordinal + 1, true;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      return *out = 3, true;
    case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO:
      return *out = m->sm_minor == 0 ? 2 : m->sm_minor == 6 ? 32 : 64, true;
    case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID:
      return *out = ordinal, true;
    case CU_DEVICE_ATTRIBUTE_NUMA_ID:
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID:
      return *out = -1, true;
    case CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT:
      return *out = m->sm_major >= 9 ? 4 : 1, true;
    default:
      return false;
  }
}

// What can be done: 1; everything else is 0.
static int ability_attribute(const tsr_device_model *m,
                             CUdevice_attribute name) {
  switch (name) {
    case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS_V1:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_MEM_OPS_V1:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR_V1:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
      return 1;
    case CU_DEVICE_ATTRIBUTE_ECC_ENABLED:
      return m->sm_minor == 0;  // the data centre's
    case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
      return 0;  // clusters of one block only
    case CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS:
      return m->sm_major >= 9;
    default:
      return 0;
  }
}

CUresult tsr_cuDeviceGetAttribute(int *out_value, CUdevice_attribute name,
                                  CUdevice ordinal) {
  const tsr_device *device = tsr_device_get(ordinal);
  if (out_value == NULL || (int)name <= 0 || name >= TSR_DEVICE_ATTRIBUTE_END) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  if (!limit_attribute(device->model, name, out_value) &&
      !figure_attribute(device->model, ordinal, name, out_value)) {
    *out_value = ability_attribute(device->model, name);
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetProperties(CUdevprop *out, CUdevice ordinal) {
  const tsr_device *device = tsr_device_get(ordinal);
  if (out == NULL) return CUDA_ERROR_INVALID_VALUE;
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  *out = (CUdevprop){.maxThreadsPerBlock = 1024,
                     .maxThreadsDim = {1024, 1024, 64},
                     .maxGridSize = {INT32_MAX, 65535, 65535},
                     .sharedMemPerBlock = (int)device->model->shared_per_block,
                     .totalConstantMemory = 65536,
                     .SIMDWidth = 32,
                     .memPitch = INT32_MAX,
                     .regsPerBlock = 65536,
                     .clockRate = (int)device->model->clock_khz,
                     .textureAlign = 512};
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetExecAffinitySupport(int *out, CUexecAffinityType type,
                                            CUdevice ordinal) {
  (void)type;
  if (out == NULL) return CUDA_ERROR_INVALID_VALUE;
  if (tsr_device_get(ordinal) == NULL) return CUDA_ERROR_INVALID_DEVICE;
  *out = 0;
  return CUDA_SUCCESS;
}

// --- Peers: none reaches another's memory -----------------------------------

CUresult tsr_cuDeviceCanAccessPeer(int *out, CUdevice a, CUdevice b) {
  if (out == NULL) return CUDA_ERROR_INVALID_VALUE;
  if (tsr_device_get(a) == NULL || tsr_device_get(b) == NULL) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  *out = 0;
  return CUDA_SUCCESS;
}

CUresult tsr_cuDeviceGetP2PAttribute(int *out, CUdevice_P2PAttribute name,
                                     CUdevice a, CUdevice b) {
  if (name == 0 || name > 5) return CUDA_ERROR_INVALID_VALUE;
  if (a == b) return CUDA_ERROR_INVALID_DEVICE;
  return tsr_cuDeviceCanAccessPeer(out, a, b);
}

CUresult tsr_cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (tsr_object_get(peer, TSR_OBJECT_CONTEXT) == NULL) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
}

CUresult tsr_cuCtxDisablePeerAccess(CUcontext peer) {
  if (tsr_object_get(peer, TSR_OBJECT_CONTEXT) == NULL) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}
