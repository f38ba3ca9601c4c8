// SPDX-License-Identifier: Apache-2.0
// The header is JSON from strangers: sizes and offsets are checked with
// overflow in mind before anything points into the data.
#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "json.h"

enum {
  PREFIX_SIZE = 8,
  MAX_HEADER = 100000000,  // the reference implementation's limit
};

typedef struct element_row {
  const char *name;
  uint32_t size;  // bytes; 0: not checked against the shape
  tsr_element element;
} element_row;

static const element_row element_rows[] = {
    {"F32", 4, TSR_ELEMENT_F32},       {"F16", 2, TSR_ELEMENT_F16},
    {"BF16", 2, TSR_ELEMENT_BF16},     {"U8", 1, TSR_ELEMENT_U8},
    {"I64", 8, TSR_ELEMENT_I64},       {"BOOL", 1, TSR_ELEMENT_OTHER},
    {"I8", 1, TSR_ELEMENT_OTHER},      {"I16", 2, TSR_ELEMENT_OTHER},
    {"U16", 2, TSR_ELEMENT_OTHER},     {"I32", 4, TSR_ELEMENT_OTHER},
    {"U32", 4, TSR_ELEMENT_OTHER},     {"U64", 8, TSR_ELEMENT_OTHER},
    {"F64", 8, TSR_ELEMENT_OTHER},     {"C64", 8, TSR_ELEMENT_OTHER},
    {"F8_E5M2", 1, TSR_ELEMENT_OTHER}, {"F8_E4M3", 1, TSR_ELEMENT_OTHER},
    {"F8_E8M0", 1, TSR_ELEMENT_OTHER}, {"F4", 0, TSR_ELEMENT_OTHER},
    {"F6_E2M3", 0, TSR_ELEMENT_OTHER}, {"F6_E3M2", 0, TSR_ELEMENT_OTHER},
};

static const element_row *find_element(const char *name) {
  for (size_t i = 0; i < sizeof(element_rows) / sizeof(*element_rows); ++i) {
    if (strcmp(element_rows[i].name, name) == 0) return &element_rows[i];
  }
  return NULL;
}

// Where the JSON header is.
static tsr_status find_header(const tsr_map *map, size_t *out_size,
                              tsr_error *error) {
  if (map->size < PREFIX_SIZE) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "%zu bytes are too few for a safetensors file",
                         map->size);
  }
  uint64_t size = 0;
  for (int i = PREFIX_SIZE; i-- > 0;) size = size << 8 | map->data[i];
  if (size > MAX_HEADER) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "the header claims %llu bytes (at most %d); is this a "
                         "safetensors file?",
                         (unsigned long long)size, MAX_HEADER);
  }
  if (size > map->size - PREFIX_SIZE) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "truncated: the header claims %llu bytes, the file "
                         "has %zu",
                         (unsigned long long)size, map->size - PREFIX_SIZE);
  }
  *out_size = (size_t)size;
  return TSR_OK;
}

static bool read_size(const json_t *value, uint64_t *out_size) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out_size = (uint64_t)json_integer_value(value);
  return true;
}

static tsr_status misdeclared(const char *name, const char *what,
                              tsr_error *error) {
  return tsr_error_set(error, TSR_CORRUPT, "tensor '%s': %s", name, what);
}

static tsr_status read_shape(const json_t *shape, tsr_tensor *tensor,
                             tsr_error *error) {
  if (!json_is_array(shape)) {
    return misdeclared(tensor->name, "its shape is not an array", error);
  }
  if (json_array_size(shape) > TSR_TENSOR_MAX_RANK) {
    return misdeclared(tensor->name, "it has more than 8 dimensions", error);
  }
  tensor->rank = (uint32_t)json_array_size(shape);
  tensor->count = 1;
  for (uint32_t i = 0; i < tensor->rank; ++i) {
    uint64_t *extent = &tensor->shape[i];
    if (!read_size(json_array_get(shape, i), extent)) {
      return misdeclared(tensor->name,
                         "its shape holds something that is not a size", error);
    }
    if (*extent != 0 && tensor->count > (uint64_t)INT64_MAX / *extent) {
      return misdeclared(tensor->name, "its shape's product overflows", error);
    }
    tensor->count *= *extent;
  }
  return TSR_OK;
}

static tsr_status read_offsets(const json_t *offsets, const uint8_t *data,
                               uint64_t data_size, tsr_tensor *tensor,
                               tsr_error *error) {
  uint64_t begin = 0;
  uint64_t end = 0;
  if (json_array_size(offsets) != 2 ||
      !read_size(json_array_get(offsets, 0), &begin) ||
      !read_size(json_array_get(offsets, 1), &end) || begin > end) {
    return misdeclared(tensor->name, "its data_offsets are not a range", error);
  }
  if (end > data_size) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "tensor '%s': its data ends at byte %llu, the file "
                         "has %llu bytes of data (truncated?)",
                         tensor->name, (unsigned long long)end,
                         (unsigned long long)data_size);
  }
  tensor->data = data + begin;
  tensor->size = end - begin;
  return TSR_OK;
}

static tsr_status check_size(const element_row *row, const tsr_tensor *tensor,
                             tsr_error *error) {
  if (row->size == 0) return TSR_OK;
  if (tensor->size % row->size == 0 &&
      tensor->size / row->size == tensor->count) {
    return TSR_OK;
  }
  return tsr_error_set(error, TSR_CORRUPT,
                       "tensor '%s': %llu bytes of data where %llu elements of "
                       "%s take %u each",
                       tensor->name, (unsigned long long)tensor->size,
                       (unsigned long long)tensor->count, row->name, row->size);
}

static tsr_status read_tensor(const json_t *entry, const uint8_t *data,
                              uint64_t data_size, tsr_tensor *tensor,
                              tsr_error *error) {
  if (!json_is_object(entry)) {
    return misdeclared(tensor->name, "its entry is not an object", error);
  }
  const char *type = json_string_value(json_object_get(entry, "dtype"));
  const element_row *row = type == NULL ? NULL : find_element(type);
  if (row == NULL) {
    return tsr_error_set(error, TSR_CORRUPT, "tensor '%s': unknown dtype '%s'",
                         tensor->name, type == NULL ? "" : type);
  }
  tensor->type_name = row->name;
  tensor->element = row->element;
  tsr_status status =
      read_shape(json_object_get(entry, "shape"), tensor, error);
  if (status == TSR_OK) {
    status = read_offsets(json_object_get(entry, "data_offsets"), data,
                          data_size, tensor, error);
  }
  if (status == TSR_OK) status = check_size(row, tensor, error);
  return status;
}

static size_t measure_names(json_t *header) {
  size_t size = 0;
  const char *name;
  json_t *entry;
  json_object_foreach(header, name, entry) size += strlen(name) + 1;
  return size;
}

static bool is_metadata(const char *name) {
  return strcmp(name, "__metadata__") == 0;
}

// Everything of the header, in its order.
static tsr_status read_tensors(json_t *header, const uint8_t *data,
                               uint64_t data_size, tsr_safetensors *file,
                               tsr_error *error) {
  file->tensors = tsr_calloc(json_object_size(header), sizeof(*file->tensors));
  file->texts = tsr_malloc(measure_names(header));
  if (file->tensors == NULL || file->texts == NULL) {
    return tsr_error_out_of_memory(error);
  }
  char *text = file->texts;
  tsr_status status = TSR_OK;
  const char *name;
  json_t *entry;
  json_object_foreach(header, name, entry) {
    if (is_metadata(name)) {
      if (!json_is_object(entry)) {
        return tsr_error_set(error, TSR_CORRUPT,
                             "__metadata__ is not an object");
      }
      continue;
    }
    tsr_tensor *tensor = &file->tensors[file->count++];
    size_t size = strlen(name) + 1;
    tensor->name = memcpy(text, name, size);
    tensor->map = &file->map;
    text += size;
    status = read_tensor(entry, data, data_size, tensor, error);
    if (status != TSR_OK) return status;
  }
  return TSR_OK;
}

static int compare_data(const void *a, const void *b) {
  const tsr_tensor *x = *(const tsr_tensor *const *)a;
  const tsr_tensor *y = *(const tsr_tensor *const *)b;
  if (x->data != y->data) return (x->data > y->data) - (x->data < y->data);
  return (x->size > y->size) - (x->size < y->size);
}

// No two tensors share bytes, and the last ends where the file does.
static tsr_status check_layout(const tsr_safetensors *file, const uint8_t *data,
                               uint64_t data_size, tsr_error *error) {
  const tsr_tensor **order = tsr_calloc(file->count, sizeof(*order));
  if (order == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < file->count; ++i) order[i] = &file->tensors[i];
  if (file->count != 0) {
    qsort(order, file->count, sizeof(*order), compare_data);
  }
  tsr_status status = TSR_OK;
  uint64_t end = 0;
  for (uint32_t i = 0; i < file->count && status == TSR_OK; ++i) {
    uint64_t begin = (uint64_t)(order[i]->data - data);
    if (begin < end && order[i]->size != 0) {
      status =
          tsr_error_set(error, TSR_CORRUPT, "tensors '%s' and '%s' overlap",
                        order[i - 1]->name, order[i]->name);
    }
    if (begin + order[i]->size > end) end = begin + order[i]->size;
  }
  tsr_free(order);
  if (status == TSR_OK && end != data_size) {
    status = tsr_error_set(error, TSR_CORRUPT,
                           "%llu bytes follow the last tensor's data",
                           (unsigned long long)(data_size - end));
  }
  return status;
}

static tsr_status index_names(tsr_safetensors *file, tsr_error *error) {
  tsr_status status = tsr_names_init(&file->names, file->count, error);
  if (status != TSR_OK) return status;
  for (uint32_t i = 0; i < file->count; ++i) {
    tsr_names_add(&file->names, file->tensors[i].name, i);
  }
  // Duplicate keys were refused by the JSON parser.
  (void)tsr_names_sort(&file->names);
  return TSR_OK;
}

static tsr_status read_file(tsr_safetensors *file, tsr_error *error) {
  size_t header_size = 0;
  tsr_status status = find_header(&file->map, &header_size, error);
  if (status != TSR_OK) return status;
  json_t *header = NULL;
  const uint8_t *text = file->map.data + PREFIX_SIZE;
  const uint8_t *data = text + header_size;
  uint64_t data_size = file->map.size - PREFIX_SIZE - header_size;
  status = tsr_json_parse_object("header", (const char *)text, header_size,
                                 &header, error);
  if (status == TSR_OK) {
    status = read_tensors(header, data, data_size, file, error);
  }
  json_decref(header);
  if (status == TSR_OK) status = check_layout(file, data, data_size, error);
  if (status == TSR_OK) status = index_names(file, error);
  return status;
}

tsr_status tsr_safetensors_open(const char *path, tsr_map map,
                                tsr_safetensors *out_file, tsr_error *error) {
  *out_file = (tsr_safetensors){.map = map};
  out_file->path = tsr_strdup(path);
  tsr_status status = out_file->path == NULL ? tsr_error_out_of_memory(error)
                                             : read_file(out_file, error);
  if (status != TSR_OK) {
    if (status != TSR_OUT_OF_MEMORY) tsr_error_prefix(error, "%s", path);
    tsr_safetensors_close(out_file);
  }
  return status;
}

void tsr_safetensors_close(tsr_safetensors *file) {
  tsr_names_fini(&file->names);
  tsr_free(file->tensors);
  tsr_free(file->texts);
  tsr_free(file->path);
  *file = (tsr_safetensors){.path = NULL};
}
