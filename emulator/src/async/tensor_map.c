// SPDX-License-Identifier: Apache-2.0
// The checks are those of cuda.h's comment on cuTensorMapEncodeTiled, in its
// order. What is stored was checked, so decoding needs the checksum only.
#include "async/tensor_map.h"

#include <string.h>

#define MAGIC UINT64_C(0x70616d5f72737431)

typedef struct packed_map {
  uint64_t magic;
  uint64_t address;
  uint8_t type, rank, swizzle, promotion, fill, unused;
  uint16_t box[TSR_TENSOR_RANK];
  uint32_t last[TSR_TENSOR_RANK];  // dims - 1: 2^32 elements are allowed
  uint8_t steps[TSR_TENSOR_RANK], unused_too[7];
  uint64_t strides[TSR_TENSOR_RANK - 1];
  uint64_t checksum;
} packed_map;
_Static_assert(sizeof(packed_map) <= TSR_TENSOR_MAP_SIZE, "too large");

static const uint8_t element_sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
enum { TYPE_COUNT = TSR_TENSOR_U6_ALIGN16 + 1, SWIZZLE_COUNT = 7 };

static uint64_t checksum_of(const packed_map *packed) {
  packed_map copy = *packed;
  copy.checksum = 0;
  unsigned char bytes[sizeof(copy)];
  memcpy(bytes, &copy, sizeof(copy));
  uint64_t hash = UINT64_C(0xcbf29ce484222325);  // FNV-1a
  for (uint32_t i = 0; i < sizeof(bytes); ++i) {
    hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  }
  return hash;
}

static bool is_float(uint32_t type) {
  return type >= TSR_TENSOR_FLOAT16 && type <= TSR_TENSOR_TFLOAT32_FTZ;
}

static tsr_status check_enumerations(uint32_t type, uint32_t rank,
                                     uint32_t interleave, uint32_t swizzle,
                                     uint32_t promotion, uint32_t fill,
                                     tsr_error *error) {
  const char *what = NULL;
  if (type >= TYPE_COUNT) what = "no such data type";
  if (rank < 1 || rank > TSR_TENSOR_RANK) what = "rank not between 1 and 5";
  if (interleave > 2) what = "no such interleave";
  if (interleave != 0 && rank < 3) what = "interleaved maps need rank 3";
  if (swizzle >= SWIZZLE_COUNT) what = "no such swizzle";
  if (interleave == 2 && swizzle != TSR_TENSOR_SWIZZLE_32) {
    what = "interleave 32B needs swizzle 32B";
  }
  if (promotion > 3) what = "no such L2 promotion";
  if (fill > 1) what = "no such fill";
  if (fill == 1 && !is_float(type)) {
    what = "NaN fill of a type that is not floating-point";
  }
  if (what == NULL) return TSR_OK;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT, "tensor map: %s", what);
}

static tsr_status check_supported(uint32_t type, uint32_t interleave,
                                  uint32_t swizzle, tsr_error *error) {
  const char *what = NULL;
  if (type >= TSR_TENSOR_FLOAT32_FTZ) what = "ftz, tf32 and packed types";
  if (interleave != 0) what = "interleaved layouts";
  if (swizzle > TSR_TENSOR_SWIZZLE_128) what = "swizzle atoms above 16 bytes";
  if (what == NULL) return TSR_OK;
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "tensor map: %s are not emulated", what);
}

static tsr_status check_shape(uint32_t rank, uint64_t address,
                              const uint64_t *dims, const uint64_t *strides,
                              uint32_t interleave, tsr_error *error) {
  uint32_t unit = interleave == 2 ? 32 : 16;
  if (address % unit != 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "tensor map: address not a multiple of %u", unit);
  }
  for (uint32_t i = 0; i < rank; ++i) {
    if (dims[i] == 0 || dims[i] > UINT64_C(1) << 32) {
      return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                           "tensor map: dimension %u has %llu elements", i,
                           (unsigned long long)dims[i]);
    }
  }
  for (uint32_t i = 0; i + 1 < rank; ++i) {
    if (strides[i] % unit != 0 || strides[i] >= UINT64_C(1) << 40) {
      return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                           "tensor map: stride %llu of dimension %u is not a "
                           "multiple of %u below 2^40",
                           (unsigned long long)strides[i], i + 1, unit);
    }
  }
  return TSR_OK;
}

static tsr_status check_box(uint32_t type, uint32_t rank, const uint32_t *box,
                            const uint32_t *steps, uint32_t swizzle,
                            tsr_error *error) {
  for (uint32_t i = 0; i < rank; ++i) {
    if (box[i] == 0 || box[i] > 256) {
      return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                           "tensor map: box has %u elements in dimension %u, "
                           "not 1 to 256",
                           box[i], i);
    }
    if (steps[i] == 0 || steps[i] > 8) {
      return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                           "tensor map: element stride %u of dimension %u is "
                           "not 1 to 8",
                           steps[i], i);
    }
  }
  uint32_t row = box[0] * element_sizes[type];
  if (row % 16 != 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "tensor map: the box's rows of %u bytes are not a "
                         "multiple of 16",
                         row);
  }
  uint32_t span = swizzle == 0 ? 0 : 16u << swizzle;
  if (span != 0 && row > span) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "tensor map: the box's rows of %u bytes exceed the "
                         "swizzle's %u",
                         row, span);
  }
  if (span != 0 && row < span) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "tensor map: the box's rows of %u bytes are narrower "
                         "than the swizzle's %u, which is not emulated",
                         row, span);
  }
  return TSR_OK;
}

static void pack(packed_map *packed, uint32_t type, uint32_t rank,
                 uint64_t address, const uint64_t *dims,
                 const uint64_t *strides, const uint32_t *box,
                 const uint32_t *steps) {
  memset(packed, 0, sizeof(*packed));
  packed->magic = MAGIC;
  packed->address = address;
  packed->type = (uint8_t)type;
  packed->rank = (uint8_t)rank;
  for (uint32_t i = 0; i < rank; ++i) {
    packed->last[i] = (uint32_t)(dims[i] - 1);
    packed->box[i] = (uint16_t)box[i];
    // Without interleaving the innermost element stride is ignored.
    packed->steps[i] = i == 0 ? 1 : (uint8_t)steps[i];
  }
  for (uint32_t i = 0; i + 1 < rank; ++i) packed->strides[i] = strides[i];
}

static void store(void *out_map, packed_map *packed) {
  packed->checksum = checksum_of(packed);
  memset(out_map, 0, TSR_TENSOR_MAP_SIZE);
  memcpy(out_map, packed, sizeof(*packed));
}

tsr_status tsr_tensor_map_encode(void *out_map, uint32_t type, uint32_t rank,
                                 uint64_t address, const uint64_t *dims,
                                 const uint64_t *strides, const uint32_t *box,
                                 const uint32_t *element_strides,
                                 uint32_t interleave, uint32_t swizzle,
                                 uint32_t promotion, uint32_t fill,
                                 tsr_error *error) {
  if (out_map == NULL || (uintptr_t)out_map % 64 != 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "tensor map: not aligned to 64 bytes");
  }
  tsr_status status = check_enumerations(type, rank, interleave, swizzle,
                                         promotion, fill, error);
  if (status == TSR_OK &&
      (dims == NULL || box == NULL || element_strides == NULL ||
       (rank > 1 && strides == NULL))) {
    status = tsr_error_set(error, TSR_INVALID_ARGUMENT,
                           "tensor map: an array is missing");
  }
  if (status == TSR_OK) {
    status = check_shape(rank, address, dims, strides, interleave, error);
  }
  if (status == TSR_OK) {
    status = check_supported(type, interleave, swizzle, error);
  }
  if (status == TSR_OK) {
    status = check_box(type, rank, box, element_strides, swizzle, error);
  }
  if (status != TSR_OK) return status;
  packed_map packed;
  pack(&packed, type, rank, address, dims, strides, box, element_strides);
  packed.swizzle = (uint8_t)swizzle;
  packed.promotion = (uint8_t)promotion;
  packed.fill = (uint8_t)fill;
  store(out_map, &packed);
  return TSR_OK;
}

static const char *unpack(const void *bytes, packed_map *out_packed) {
  memcpy(out_packed, bytes, sizeof(*out_packed));
  if (out_packed->magic != MAGIC) {
    return "no tensor map (cuTensorMapEncodeTiled makes them)";
  }
  if (out_packed->checksum != checksum_of(out_packed)) {
    return "a tensor map whose bytes were changed";
  }
  return NULL;
}

tsr_status tsr_tensor_map_replace_address(void *map, uint64_t address,
                                          tsr_error *error) {
  packed_map packed;
  if (map == NULL || (uintptr_t)map % 64 != 0 || address % 16 != 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "tensor map: not aligned");
  }
  const char *why = unpack(map, &packed);
  if (why != NULL) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT, "tensor map: %s", why);
  }
  packed.address = address;
  store(map, &packed);
  return TSR_OK;
}

const char *tsr_tensor_map_decode(const void *bytes, tsr_tensor_map *out_map) {
  packed_map packed;
  const char *why = unpack(bytes, &packed);
  if (why != NULL) return why;
  memset(out_map, 0, sizeof(*out_map));
  out_map->address = packed.address;
  out_map->type = (tsr_tensor_type)packed.type;
  out_map->swizzle = (tsr_tensor_swizzle)packed.swizzle;
  out_map->rank = packed.rank;
  out_map->element_size = element_sizes[packed.type];
  out_map->nan_fill = packed.fill != 0;
  out_map->rows = 1;
  for (uint32_t i = 0; i < TSR_TENSOR_RANK; ++i) {
    bool used = i < packed.rank;
    uint32_t step = used ? packed.steps[i] : 1;
    out_map->dims[i] = used ? (uint64_t)packed.last[i] + 1 : 1;
    out_map->steps[i] = step;
    // "TMA loads ceil(boxDim[i] / elementStrides[i]) elements" (cuda.h).
    out_map->box[i] = used ? (packed.box[i] + step - 1) / step : 1;
    if (i > 0) {
      out_map->strides[i] = used ? packed.strides[i - 1] : 0;
      out_map->rows *= out_map->box[i];
    }
  }
  out_map->strides[0] = out_map->element_size;
  out_map->row_size = out_map->box[0] * out_map->element_size;
  return NULL;
}

uint32_t tsr_tensor_swizzled(const tsr_tensor_map *map, uint32_t base,
                             uint32_t offset) {
  uint32_t address = base + offset;
  // The number of the 16-byte chunk (bits 4 on) is xored with that of the
  // 128-byte line (bits 7 on), by one, two or three bits: PTX ISA 5.5.6.
  uint32_t mask = (1u << map->swizzle) - 1;
  return address ^ ((address >> 7 & mask) << 4);
}
