// SPDX-License-Identifier: Apache-2.0
// CUtensorMap: 128 bytes that a program gets from cuTensorMapEncodeTiled and
// gives back untouched. The layout is this emulator's own (the driver's is not
// documented); a magic number and a checksum tell a map from anything else, so
// that a descriptor that was never encoded, or was damaged on its way to the
// kernel, is a finding and not a wild copy.
#ifndef ASYNC_TENSOR_MAP_H_
#define ASYNC_TENSOR_MAP_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { TSR_TENSOR_MAP_SIZE = 128, TSR_TENSOR_RANK = 5 };

// Values of CUtensorMapDataType, CUtensorMapSwizzle (cuda.h, CUDA 13.0).
typedef enum tsr_tensor_type {
  TSR_TENSOR_UINT8 = 0,
  TSR_TENSOR_UINT16,
  TSR_TENSOR_UINT32,
  TSR_TENSOR_INT32,
  TSR_TENSOR_UINT64,
  TSR_TENSOR_INT64,
  TSR_TENSOR_FLOAT16,
  TSR_TENSOR_FLOAT32,
  TSR_TENSOR_FLOAT64,
  TSR_TENSOR_BFLOAT16,
  TSR_TENSOR_FLOAT32_FTZ,
  TSR_TENSOR_TFLOAT32,
  TSR_TENSOR_TFLOAT32_FTZ,
  TSR_TENSOR_U4_ALIGN8,
  TSR_TENSOR_U4_ALIGN16,
  TSR_TENSOR_U6_ALIGN16,
} tsr_tensor_type;

typedef enum tsr_tensor_swizzle {
  TSR_TENSOR_SWIZZLE_NONE = 0,
  TSR_TENSOR_SWIZZLE_32,
  TSR_TENSOR_SWIZZLE_64,
  TSR_TENSOR_SWIZZLE_128,
} tsr_tensor_swizzle;

// A map, unpacked.
typedef struct tsr_tensor_map {
  uint64_t address;
  tsr_tensor_type type;
  tsr_tensor_swizzle swizzle;
  uint32_t rank;
  uint32_t element_size;              // bytes
  bool nan_fill;                      // else what lies outside reads as zero
  uint64_t dims[TSR_TENSOR_RANK];     // elements; 1 from |rank| on
  uint64_t strides[TSR_TENSOR_RANK];  // bytes; strides[0] = element_size
  uint32_t box[TSR_TENSOR_RANK];      // elements copied; 1 from |rank| on
  uint32_t steps[TSR_TENSOR_RANK];    // elements between those copied
  uint32_t row_size;                  // bytes of the box's innermost dimension
  uint32_t rows;                      // of the box
} tsr_tensor_map;

// What cuTensorMapEncodeTiled does: arguments in its order, enumerations by
// their values. Writes TSR_TENSOR_MAP_SIZE bytes at |out_map|, which must be
// aligned to 64. TSR_INVALID_ARGUMENT names what the driver would refuse;
// TSR_UNSUPPORTED is for what it accepts and this emulator does not execute
// (interleaved layouts, tf32 and packed types, swizzles of sm_100).
TSR_MUST_USE tsr_status tsr_tensor_map_encode(
    void *out_map, uint32_t type, uint32_t rank, uint64_t address,
    const uint64_t *dims, const uint64_t *strides, const uint32_t *box,
    const uint32_t *element_strides, uint32_t interleave, uint32_t swizzle,
    uint32_t promotion, uint32_t fill, tsr_error *error);
// What cuTensorMapReplaceAddress does.
TSR_MUST_USE tsr_status tsr_tensor_map_replace_address(void *map,
                                                       uint64_t address,
                                                       tsr_error *error);
// NULL, or why |bytes| are not a map.
const char *tsr_tensor_map_decode(const void *bytes, tsr_tensor_map *out_map);

// The shared memory address at which byte |offset| of a box at |base| lies.
uint32_t tsr_tensor_swizzled(const tsr_tensor_map *map, uint32_t base,
                             uint32_t offset);

#endif  // ASYNC_TENSOR_MAP_H_
