// SPDX-License-Identifier: Apache-2.0
#include "tessera/activations.h"

#include <string.h>

#include "base/float16.h"
#include "base/memory.h"

enum { ALIGNMENT = 64 };

static float from_half(uint16_t bits, tsr_dtype type) {
  return type == TSR_DTYPE_BF16 ? tsr_bf16_to_float(bits)
                                : tsr_fp16_to_float(bits);
}

static uint16_t to_half(float value, tsr_dtype type) {
  return type == TSR_DTYPE_BF16 ? tsr_bf16_from_float(value)
                                : tsr_fp16_from_float(value);
}

// Element |index| of a file's array as float. float64 is rounded twice; an
// activation that needs more than float32 is not one.
static float load(const tsr_npy *array, uint64_t index) {
  const char *at = (const char *)array->data + index * array->item_size;
  uint16_t half;
  float single;
  double wide;
  switch (array->type) {
    case TSR_NPY_UINT16:
      memcpy(&half, at, sizeof(half));
      return tsr_bf16_to_float(half);
    case TSR_NPY_FLOAT16:
      memcpy(&half, at, sizeof(half));
      return tsr_fp16_to_float(half);
    case TSR_NPY_FLOAT64:
      memcpy(&wide, at, sizeof(wide));
      return (float)wide;
    default:
      memcpy(&single, at, sizeof(single));
      return single;
  }
}

static void convert(const tsr_npy *array, tsr_activations *out) {
  bool same = (array->type == TSR_NPY_UINT16 && out->type == TSR_DTYPE_BF16) ||
              (array->type == TSR_NPY_FLOAT16 && out->type == TSR_DTYPE_F16) ||
              (array->type == TSR_NPY_FLOAT32 && out->type == TSR_DTYPE_F32);
  if (same && array->data_size != 0) {
    memcpy(out->data, array->data, array->data_size);
    return;
  }
  for (uint64_t i = 0; i < array->count; ++i) {
    float value = load(array, i);
    if (out->type == TSR_DTYPE_F32) {
      ((float *)out->data)[i] = value;
    } else {
      ((uint16_t *)out->data)[i] = to_half(value, out->type);
    }
  }
}

static tsr_status check_type(const tsr_npy *array, const char *path,
                             const char *what, tsr_error *error) {
  switch (array->type) {
    case TSR_NPY_UINT16:
    case TSR_NPY_FLOAT16:
    case TSR_NPY_FLOAT32:
    case TSR_NPY_FLOAT64:
      return TSR_OK;
    default:
      return tsr_error_set(error, TSR_MISMATCH,
                           "%s: the %s is %s; it can be float16, float32, "
                           "float64, or uint16 with the bits of bfloat16",
                           path, what, tsr_npy_type_name(array->type));
  }
}

static tsr_status check_shape(const tsr_npy *array, const char *path,
                              const char *what, uint64_t columns,
                              tsr_error *error) {
  if (array->rank != 0 && array->shape[array->rank - 1] == columns &&
      array->count != 0) {
    return TSR_OK;
  }
  tsr_buffer shape = {0};
  tsr_npy_format_shape(array, &shape);
  tsr_status status = tsr_error_set(
      error, TSR_MISMATCH,
      "%s: the %s has shape %s; the layer needs (tokens, %llu)", path, what,
      tsr_buffer_text(&shape), (unsigned long long)columns);
  tsr_buffer_fini(&shape);
  return status;
}

// Takes the memory for what |out|'s fields describe.
static tsr_status allocate(tsr_activations *out, tsr_error *error) {
  uint64_t item = tsr_dtype_size(out->type);
  if (out->columns != 0 &&
      out->tokens > (SIZE_MAX - ALIGNMENT) / item / out->columns) {
    return tsr_error_out_of_memory(error);
  }
  size_t size = (size_t)(out->tokens * out->columns * item);
  out->data = tsr_aligned_alloc(ALIGNMENT, size);
  if (out->data == NULL) return tsr_error_out_of_memory(error);
  memset(out->data, 0, size);
  return TSR_OK;
}

tsr_status tsr_activations_read(const char *path, const char *what,
                                uint64_t columns, tsr_dtype type,
                                tsr_activations *out, tsr_error *error) {
  tsr_map map;
  tsr_npy array;
  memset(out, 0, sizeof(*out));
  tsr_status status = tsr_npy_open(path, &map, &array, error);
  if (status != TSR_OK) return status;
  status = check_type(&array, path, what, error);
  if (status == TSR_OK) {
    status = check_shape(&array, path, what, columns, error);
  }
  if (status == TSR_OK) {
    out->type = type;
    out->columns = columns;
    out->tokens = array.count / columns;
    out->rank = array.rank;
    memcpy(out->shape, array.shape, sizeof(out->shape));
    status = allocate(out, error);
  }
  if (status == TSR_OK) convert(&array, out);
  tsr_map_close(&map);
  return status;
}

tsr_status tsr_activations_create(const tsr_activations *like, uint64_t columns,
                                  tsr_dtype type, tsr_activations *out,
                                  tsr_error *error) {
  *out = *like;
  out->type = type;
  out->columns = columns;
  out->data = NULL;
  if (out->rank != 0) out->shape[out->rank - 1] = columns;
  return allocate(out, error);
}

tsr_status tsr_activations_write(const tsr_activations *array, const char *path,
                                 bool raw, tsr_error *error) {
  static const tsr_npy_type own[TSR_DTYPE_COUNT] = {
      TSR_NPY_FLOAT32, TSR_NPY_FLOAT16, TSR_NPY_UINT16};
  if (raw || array->type == TSR_DTYPE_F32) {
    return tsr_npy_write(path, own[array->type], array->rank, array->shape,
                         array->data, error);
  }
  uint64_t count = array->tokens * array->columns;
  float *values = tsr_calloc(count, sizeof(*values));
  if (values == NULL) return tsr_error_out_of_memory(error);
  for (uint64_t i = 0; i < count; ++i) {
    values[i] = from_half(((const uint16_t *)array->data)[i], array->type);
  }
  tsr_status status = tsr_npy_write(path, TSR_NPY_FLOAT32, array->rank,
                                    array->shape, values, error);
  tsr_free(values);
  return status;
}

void tsr_activations_fini(tsr_activations *array) {
  tsr_free(array->data);
  memset(array, 0, sizeof(*array));
}
