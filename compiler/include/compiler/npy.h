// SPDX-License-Identifier: Apache-2.0
// numpy's .npy format (versions 1 to 3, little-endian, row-major): the header
// is read strictly, the data is used where it lies. NPY files are how users
// hand us activations, tile grids and results.
//
// bfloat16 has no npy type: by convention its bit patterns are stored as '<u2'
// (in numpy: array.view(np.uint16)).
#ifndef COMPILER_NPY_H_
#define COMPILER_NPY_H_

#include "base/buffer.h"
#include "base/file.h"

typedef enum tsr_npy_type {
  TSR_NPY_BOOL,     // '|b1': one byte, 0 or 1
  TSR_NPY_UINT8,    // '|u1'
  TSR_NPY_UINT16,   // '<u2'; by convention also bfloat16
  TSR_NPY_INT32,    // '<i4'
  TSR_NPY_INT64,    // '<i8'
  TSR_NPY_FLOAT16,  // '<f2'
  TSR_NPY_FLOAT32,  // '<f4'
  TSR_NPY_FLOAT64,  // '<f8'
  TSR_NPY_UNICODE,  // '<U<n>': n UTF-32LE code units, padded with zeros
} tsr_npy_type;

enum { TSR_NPY_MAX_RANK = 8 };

// An array and where its bytes are. A zeroed one is empty.
typedef struct tsr_npy {
  tsr_npy_type type;
  uint32_t item_size;  // bytes of one element
  uint32_t rank;       // 0: a scalar
  uint64_t shape[TSR_NPY_MAX_RANK];
  uint64_t count;        // product of the shape
  uint64_t header_size;  // bytes before the data
  uint64_t data_size;    // count * item_size
  const void *data;      // borrowed; aligned to the element; NULL: header only
} tsr_npy;

// "float32", "uint8", ...: numpy's words.
const char *tsr_npy_type_name(tsr_npy_type type);

// Appends "(3, 4)", as numpy prints a shape.
void tsr_npy_format_shape(const tsr_npy *array, tsr_buffer *out);

// Reads the header at |bytes|; |out_array->data| stays NULL and |size| need not
// include the data. TSR_CORRUPT when it contradicts the format,
// TSR_UNSUPPORTED for what numpy may write and we do not read (big-endian,
// Fortran order, objects, structures).
TSR_MUST_USE tsr_status tsr_npy_parse_header(const uint8_t *bytes, size_t size,
                                             tsr_npy *out_array,
                                             tsr_error *error);

// A whole .npy in memory: |size| must be exactly that of header and data.
// |out_array->data| points into |bytes|.
TSR_MUST_USE tsr_status tsr_npy_parse(const uint8_t *bytes, size_t size,
                                      tsr_npy *out_array, tsr_error *error);

// Maps |path| and parses it. Messages name the path. The caller closes
// |*out_map| (empty on failure) after its last use of |out_array->data|.
TSR_MUST_USE tsr_status tsr_npy_open(const char *path, tsr_map *out_map,
                                     tsr_npy *out_array, tsr_error *error);

// Appends a version 1 header exactly as numpy writes it: padded with spaces so
// that the data starts at a multiple of 64. |type| is not TSR_NPY_UNICODE.
void tsr_npy_write_header(tsr_npy_type type, uint32_t rank,
                          const uint64_t *shape, tsr_buffer *out);

// Writes a whole file (whole or absent). |data| holds the product of |shape|
// elements, row-major.
TSR_MUST_USE tsr_status tsr_npy_write(const char *path, tsr_npy_type type,
                                      uint32_t rank, const uint64_t *shape,
                                      const void *data, tsr_error *error);

#endif  // COMPILER_NPY_H_
