// SPDX-License-Identifier: Apache-2.0
// The header of a .npy is a Python dictionary literal. numpy's own writer is
// the only one that matters, so the grammar read here is what numpy accepts
// from it: three keys in any order, blanks anywhere, one trailing comma.
// Source: numpy.lib.format, "NPY format" (NEP 1), versions 1.0, 2.0, 3.0.
#include "compiler/npy.h"

#include <string.h>

typedef struct type_row {
  const char *descr;
  const char *name;
  uint32_t size;
} type_row;

// In the order of tsr_npy_type. Unicode's size depends on its length.
static const type_row type_rows[] = {
    {"|b1", "bool", 1},    {"|u1", "uint8", 1},   {"<u2", "uint16", 2},
    {"<i4", "int32", 4},   {"<i8", "int64", 8},   {"<f2", "float16", 2},
    {"<f4", "float32", 4}, {"<f8", "float64", 8}, {"<U", "unicode", 0},
};

enum {
  MAGIC_SIZE = 8,
  // numpy refuses to parse longer ones as well (max_header_size).
  MAX_HEADER = 65536,
  MAX_UNICODE = 1 << 20,
};

const char *tsr_npy_type_name(tsr_npy_type type) {
  return type_rows[type].name;
}

void tsr_npy_format_shape(const tsr_npy *array, tsr_buffer *out) {
  tsr_buffer_append_char(out, '(');
  for (uint32_t i = 0; i < array->rank; ++i) {
    tsr_buffer_printf(out, i == 0 ? "%llu" : ", %llu",
                      (unsigned long long)array->shape[i]);
  }
  tsr_buffer_append_string(out, array->rank == 1 ? ",)" : ")");
}

// What is left of the dictionary's text.
typedef struct cursor {
  const char *at;
  const char *end;
} cursor;

static void skip_blanks(cursor *c) {
  while (c->at < c->end &&
         (*c->at == ' ' || *c->at == '\n' || *c->at == '\t')) {
    ++c->at;
  }
}

static bool take(cursor *c, char wanted) {
  skip_blanks(c);
  if (c->at == c->end || *c->at != wanted) return false;
  ++c->at;
  return true;
}

static bool take_word(cursor *c, const char *word) {
  skip_blanks(c);
  size_t size = strlen(word);
  if ((size_t)(c->end - c->at) < size || memcmp(c->at, word, size) != 0) {
    return false;
  }
  c->at += size;
  return true;
}

// A quoted string without escapes, copied to |out|.
static bool take_string(cursor *c, char *out, size_t capacity) {
  skip_blanks(c);
  if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
  char quote = *c->at++;
  size_t size = 0;
  while (c->at < c->end && *c->at != quote) {
    if (*c->at == '\\' || *c->at == '\0' || size + 1 >= capacity) return false;
    out[size++] = *c->at++;
  }
  if (c->at == c->end) return false;
  ++c->at;
  out[size] = '\0';
  return true;
}

static bool take_number(cursor *c, uint64_t *out_value) {
  skip_blanks(c);
  const char *begin = c->at;
  uint64_t value = 0;
  while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
    uint64_t digit = (uint64_t)(*c->at - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
    ++c->at;
  }
  *out_value = value;
  return c->at != begin;
}

static bool take_shape(cursor *c, tsr_npy *array) {
  if (!take(c, '(')) return false;
  array->rank = 0;
  bool comma = true;
  while (!take(c, ')')) {
    if (!comma || array->rank == TSR_NPY_MAX_RANK) return false;
    if (!take_number(c, &array->shape[array->rank])) return false;
    ++array->rank;
    comma = take(c, ',');
  }
  return array->rank != 1 || comma;  // "(3)" is a number, not a tuple
}

// The three values as text and numbers.
typedef struct header_fields {
  char descr[32];
  bool has_descr;
  bool has_order;
  bool has_shape;
  bool is_fortran;
} header_fields;

static bool take_field(cursor *c, header_fields *fields, tsr_npy *array) {
  char key[16];
  if (!take_string(c, key, sizeof(key)) || !take(c, ':')) return false;
  if (strcmp(key, "descr") == 0 && !fields->has_descr) {
    fields->has_descr = true;
    return take_string(c, fields->descr, sizeof(fields->descr));
  }
  if (strcmp(key, "fortran_order") == 0 && !fields->has_order) {
    fields->has_order = true;
    fields->is_fortran = take_word(c, "True");
    return fields->is_fortran || take_word(c, "False");
  }
  if (strcmp(key, "shape") == 0 && !fields->has_shape) {
    fields->has_shape = true;
    return take_shape(c, array);
  }
  return false;
}

static bool take_dictionary(cursor *c, header_fields *fields, tsr_npy *array) {
  if (!take(c, '{')) return false;
  bool comma = true;
  while (!take(c, '}')) {
    if (!comma || !take_field(c, fields, array)) return false;
    comma = take(c, ',');
  }
  skip_blanks(c);
  return c->at == c->end && fields->has_descr && fields->has_order &&
         fields->has_shape;
}

static bool set_unicode(const char *descr, tsr_npy *array) {
  cursor c = {descr + 2, descr + strlen(descr)};
  uint64_t length = 0;
  if (strncmp(descr, "<U", 2) != 0 || !take_number(&c, &length) ||
      c.at != c.end || length > MAX_UNICODE) {
    return false;
  }
  array->type = TSR_NPY_UNICODE;
  array->item_size = (uint32_t)length * 4;
  return true;
}

static bool set_type(const char *descr, tsr_npy *array) {
  for (size_t i = 0; i < TSR_NPY_UNICODE; ++i) {
    if (strcmp(descr, type_rows[i].descr) == 0) {
      array->type = (tsr_npy_type)i;
      array->item_size = type_rows[i].size;
      return true;
    }
  }
  return set_unicode(descr, array);
}

static tsr_status set_sizes(tsr_npy *array, tsr_error *error) {
  uint64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (uint32_t i = 0; i < array->rank; ++i) {
    if (array->shape[i] == 0) empty = true;
    if (array->shape[i] != 0 && count > UINT64_MAX / array->shape[i]) {
      overflow = true;
    }
    count *= array->shape[i];
  }
  if (empty) count = 0;
  // Half the range, so that sums with headers cannot wrap.
  uint64_t limit = (uint64_t)INT64_MAX / 2;
  if ((overflow && !empty) ||
      (array->item_size != 0 && count > limit / array->item_size)) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "npy header: the shape's product overflows");
  }
  array->count = count;
  array->data_size = count * array->item_size;
  return TSR_OK;
}

// Fortran order is the same as C order when at most one dimension counts.
static bool order_matters(const tsr_npy *array) {
  uint32_t wide = 0;
  for (uint32_t i = 0; i < array->rank; ++i) wide += array->shape[i] > 1;
  return wide > 1;
}

static tsr_status parse_dictionary(const char *text, size_t size,
                                   tsr_npy *array, tsr_error *error) {
  cursor c = {text, text + size};
  header_fields fields = {.has_descr = false};
  if (!take_dictionary(&c, &fields, array)) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "npy header: not the dictionary that numpy writes "
                         "(descr, fortran_order, shape)");
  }
  if (!set_type(fields.descr, array)) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "npy type '%s' is not supported (little-endian "
                         "bool, uint8, uint16, int32, int64, float16, float32, "
                         "float64 and text are)",
                         fields.descr);
  }
  if (fields.is_fortran && order_matters(array)) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "the array is in Fortran order; save "
                         "numpy.ascontiguousarray(a) instead");
  }
  return set_sizes(array, error);
}

static uint32_t read_little(const uint8_t *bytes, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= (uint32_t)bytes[i] << (8 * i);
  return value;
}

static tsr_status find_dictionary(const uint8_t *bytes, size_t size,
                                  size_t *out_begin, size_t *out_size,
                                  tsr_error *error) {
  static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
  if (size < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "not an npy array (no \\x93NUMPY at its start)");
  }
  if (size < MAGIC_SIZE + 4) {
    return tsr_error_set(error, TSR_CORRUPT, "npy header: truncated");
  }
  uint32_t major = bytes[6];
  if (major < 1 || major > 3 || bytes[7] != 0) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "npy format version %u.%u is not supported (1.0 to "
                         "3.0 are)",
                         major, bytes[7]);
  }
  size_t length_size = major == 1 ? 2 : 4;
  uint32_t length = read_little(bytes + MAGIC_SIZE, length_size);
  if (length > MAX_HEADER) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "npy header: %u bytes long (at most %d)", length,
                         MAX_HEADER);
  }
  *out_begin = MAGIC_SIZE + length_size;
  *out_size = length;
  if (length > size - *out_begin) {
    return tsr_error_set(error, TSR_CORRUPT, "npy header: truncated");
  }
  return TSR_OK;
}

tsr_status tsr_npy_parse_header(const uint8_t *bytes, size_t size,
                                tsr_npy *out_array, tsr_error *error) {
  tsr_npy array = {.rank = 0};
  size_t begin = 0;
  size_t length = 0;
  memset(out_array, 0, sizeof(*out_array));
  tsr_status status = find_dictionary(bytes, size, &begin, &length, error);
  if (status == TSR_OK) {
    array.header_size = begin + length;
    status =
        parse_dictionary((const char *)bytes + begin, length, &array, error);
  }
  if (status == TSR_OK) *out_array = array;
  return status;
}

tsr_status tsr_npy_parse(const uint8_t *bytes, size_t size, tsr_npy *out_array,
                         tsr_error *error) {
  tsr_status status = tsr_npy_parse_header(bytes, size, out_array, error);
  if (status != TSR_OK) return status;
  tsr_npy array = *out_array;
  memset(out_array, 0, sizeof(*out_array));
  uint64_t have = size - array.header_size;
  if (have != array.data_size) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "npy data: %llu bytes where the header declares %llu",
                         (unsigned long long)have,
                         (unsigned long long)array.data_size);
  }
  const uint8_t *data = bytes + array.header_size;
  uint32_t alignment = array.type == TSR_NPY_UNICODE ? 4 : array.item_size;
  if (alignment > 1 && (uintptr_t)data % alignment != 0) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "npy data starts at byte %llu, which is not aligned "
                         "to its elements; save the array again with numpy",
                         (unsigned long long)array.header_size);
  }
  array.data = data;
  *out_array = array;
  return TSR_OK;
}

tsr_status tsr_npy_open(const char *path, tsr_map *out_map, tsr_npy *out_array,
                        tsr_error *error) {
  memset(out_array, 0, sizeof(*out_array));
  tsr_status status = tsr_map_open(path, out_map, error);
  if (status != TSR_OK) return status;
  status = tsr_npy_parse(out_map->data, out_map->size, out_array, error);
  if (status != TSR_OK) {
    tsr_error_prefix(error, "%s", path);
    tsr_map_close(out_map);
    memset(out_map, 0, sizeof(*out_map));
  }
  return status;
}

void tsr_npy_write_header(tsr_npy_type type, uint32_t rank,
                          const uint64_t *shape, tsr_buffer *out) {
  tsr_npy array = {.type = type, .rank = rank};
  for (uint32_t i = 0; i < rank; ++i) array.shape[i] = shape[i];
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_buffer_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': ",
                    type_rows[type].descr);
  tsr_npy_format_shape(&array, &text);
  tsr_buffer_append_string(&text, ", }");
  size_t unpadded = MAGIC_SIZE + 2 + text.size + 1;
  size_t padded = (unpadded + 63) / 64 * 64;
  for (size_t i = unpadded; i < padded; ++i) tsr_buffer_append_char(&text, ' ');
  tsr_buffer_append_char(&text, '\n');
  // 8 dimensions of 20 digits keep this far below 65536.
  const uint8_t length[2] = {(uint8_t)text.size, (uint8_t)(text.size >> 8)};
  tsr_buffer_append(out, "\x93NUMPY\x01\x00", MAGIC_SIZE);
  tsr_buffer_append(out, length, sizeof(length));
  tsr_buffer_append(out, tsr_buffer_text(&text), text.size);
  if (text.failed) out->failed = true;
  tsr_buffer_fini(&text);
}

tsr_status tsr_npy_write(const char *path, tsr_npy_type type, uint32_t rank,
                         const uint64_t *shape, const void *data,
                         tsr_error *error) {
  tsr_buffer header;
  tsr_buffer_init(&header);
  tsr_npy array = {.type = type, .item_size = type_rows[type].size};
  array.rank = rank;
  for (uint32_t i = 0; i < rank; ++i) array.shape[i] = shape[i];
  tsr_status status = set_sizes(&array, error);
  tsr_npy_write_header(type, rank, shape, &header);
  if (status == TSR_OK) status = tsr_buffer_status(&header, error);
  tsr_output *output = NULL;
  if (status == TSR_OK) status = tsr_output_create(path, &output, error);
  if (status == TSR_OK) {
    status = tsr_output_write(output, header.data, header.size, error);
  }
  if (status == TSR_OK) {
    status = tsr_output_write(output, data, array.data_size, error);
  }
  if (status == TSR_OK) {
    status = tsr_output_commit(output, error);
  } else {
    tsr_output_close(output);
  }
  tsr_buffer_fini(&header);
  return status;
}
