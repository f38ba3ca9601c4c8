// SPDX-License-Identifier: Apache-2.0
// Boxes of tensors (PTX ISA 5.5): which bytes of a box lie where in global
// memory, which are outside of the tensor, and how a box lies in shared memory.
#include <string.h>

#include "async/state.h"

tsr_tensor_run tsr_tensor_row(const tsr_tensor_map *map,
                              const int32_t at[TSR_TENSOR_RANK], uint32_t row) {
  tsr_tensor_run run = {.address = map->address, .offset = row * map->row_size};
  for (uint32_t i = 1; i < map->rank; ++i) {
    int64_t index =
        (int64_t)at[i] + (int64_t)(row % map->box[i]) * map->steps[i];
    row /= map->box[i];
    if (index < 0 || (uint64_t)index >= map->dims[i]) return run;
    run.address += (uint64_t)index * map->strides[i];
  }
  int64_t first = at[0], end = first + map->box[0];
  if (end > (int64_t)map->dims[0]) end = (int64_t)map->dims[0];
  if (first < 0) {
    run.offset +=
        (uint32_t)((first < -256 ? 256 : -first) * (int64_t)map->element_size);
    first = 0;
  }
  if (end <= first) return run;
  run.address += (uint64_t)first * map->element_size;
  run.size = (uint32_t)(end - first) * map->element_size;
  return run;
}

// What an element outside of the tensor reads as (5.5.2). The NaN is the one
// with all bits of the significand set; in 16 bits it is the one that asks
// fma.oob for zero (CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA).
static void fill(const tsr_tensor_map *map, unsigned char *dense,
                 uint32_t size) {
  memset(dense, map->nan_fill ? 0xff : 0, size);
  if (!map->nan_fill) return;
  for (uint32_t i = map->element_size - 1; i < size; i += map->element_size) {
    dense[i] = 0x7f;
    if (map->element_size == 2) dense[i - 1] = 0xf7;
  }
}

void tsr_tensor_gather(const tsr_bulk *bulk, unsigned char *dense) {
  const tsr_tensor_map *map = &bulk->map;
  fill(map, dense, bulk->size);
  for (uint32_t row = 0; row < map->rows; ++row) {
    tsr_tensor_run run = tsr_tensor_row(map, bulk->at, row);
    if (run.size == 0) continue;
    memcpy(dense + run.offset, (const void *)(uintptr_t)run.address, run.size);
  }
}

void tsr_tensor_scatter(const tsr_bulk *bulk, const unsigned char *dense) {
  for (uint32_t row = 0; row < bulk->map.rows; ++row) {
    tsr_tensor_run run = tsr_tensor_row(&bulk->map, bulk->at, row);
    if (run.size == 0) continue;
    tsr_reduce_bytes(bulk->reduction, bulk->type,
                     (unsigned char *)(uintptr_t)run.address,
                     dense + run.offset, run.size);
  }
}

void tsr_tensor_from_shared(const tsr_bulk *bulk, const unsigned char *shared,
                            unsigned char *dense) {
  for (uint32_t at = 0; at < bulk->size; at += 16) {
    uint32_t place = tsr_tensor_swizzled(&bulk->map, bulk->shared, at);
    memcpy(dense + at, shared + (place - bulk->shared), 16);
  }
}

void tsr_tensor_to_shared(const tsr_bulk *bulk, unsigned char *shared,
                          const unsigned char *dense) {
  for (uint32_t at = 0; at < bulk->size; at += 16) {
    uint32_t place = tsr_tensor_swizzled(&bulk->map, bulk->shared, at);
    memcpy(shared + (place - bulk->shared), dense + at, 16);
  }
}
