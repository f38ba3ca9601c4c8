// SPDX-License-Identifier: Apache-2.0
// Names, widths and kinds of PTX types, all from one table (ptx/types.def).
#include <string.h>

#include "ptx/ast.h"

typedef struct type_row {
  const char *name;
  uint8_t name_size;
  uint8_t bits;
  uint8_t kind;
} type_row;

static const type_row rows[TSR_PTX_TYPE_COUNT] = {
    [TSR_PTX_NO_TYPE] = {"none", 4, 0, TSR_PTX_KIND_NONE},
#define TSR_PTX_TYPE(id, name, bits, kind) \
  [TSR_PTX_##id] = {name, sizeof(name) - 1, bits, TSR_PTX_KIND_##kind},
#include "ptx/types.def"
};

static const type_row *row_of(tsr_ptx_type type) {
  uint32_t index = (uint32_t)type;
  return &rows[index < TSR_PTX_TYPE_COUNT ? index : TSR_PTX_NO_TYPE];
}

const char *tsr_ptx_type_name(tsr_ptx_type type) {
  return row_of(type)->name;
}

uint32_t tsr_ptx_type_bits(tsr_ptx_type type) {
  return row_of(type)->bits;
}

tsr_ptx_type_kind tsr_ptx_type_class(tsr_ptx_type type) {
  return (tsr_ptx_type_kind)row_of(type)->kind;
}

tsr_ptx_type tsr_ptx_type_from_name(tsr_ptx_str name) {
  for (uint32_t i = TSR_PTX_NO_TYPE + 1; i < TSR_PTX_TYPE_COUNT; ++i) {
    if (name.size == rows[i].name_size &&
        memcmp(name.data, rows[i].name, name.size) == 0) {
      return (tsr_ptx_type)i;
    }
  }
  return TSR_PTX_NO_TYPE;
}
