// SPDX-License-Identifier: Apache-2.0
// Tensor maps: what cuTensorMapEncodeTiled writes is async/tensor_map.h's.
#include "async/tensor_map.h"
#include "driver/driver.h"

CUresult tsr_cuTensorMapEncodeTiled(
    CUtensorMap *out_map, CUtensorMapDataType type, uint32_t rank,
    void *address, const uint64_t *dims, const uint64_t *strides,
    const uint32_t *box, const uint32_t *element_strides,
    CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
    CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  if (context->device->model->sm_major < 9) return CUDA_ERROR_NOT_SUPPORTED;
  tsr_error error = {0};
  tsr_status status = tsr_tensor_map_encode(
      out_map, type, rank, (uint64_t)(uintptr_t)address, dims, strides, box,
      element_strides, interleave, swizzle, promotion, fill, &error);
  if (status != TSR_OK) tsr_driver_log("tensor map: %s", error.message);
  return tsr_result_of(status);
}

CUresult tsr_cuTensorMapReplaceAddress(CUtensorMap *map, void *address) {
  tsr_error error = {0};
  tsr_status status =
      tsr_tensor_map_replace_address(map, (uint64_t)(uintptr_t)address, &error);
  if (status != TSR_OK) tsr_driver_log("tensor map: %s", error.message);
  return tsr_result_of(status);
}
