// SPDX-License-Identifier: Apache-2.0
// A bundle opened for looking at: what libtessera's API tells, and the manifest
// for what it does not.
#ifndef TESSERAC_INSPECTION_H_
#define TESSERAC_INSPECTION_H_

#include <jansson.h>

#include "common/cli.h"
#include "tessera/tessera.h"
#include "tesserac/tile_map.h"

typedef struct tsr_inspection {
  const tsr_cli *cli;
  tessera_bundle *bundle;
  json_t *manifest;
  // What --layer chose, or all.
  uint32_t first;
  uint32_t count;
} tsr_inspection;

// Of the layer at |index| in the bundle.
tessera_layer_info tsr_inspection_layer(const tsr_inspection *inspection,
                                        uint32_t index);
tsr_tile_map tsr_inspection_map(const tsr_inspection *inspection,
                                uint32_t index);
// Its entry in the manifest; NULL never (an empty object then).
const json_t *tsr_inspection_json(const tsr_inspection *inspection,
                                  uint32_t index);
// Members of a JSON object; 0, "" or NULL when absent or of another type.
uint64_t tsr_json_uint(const json_t *object, const char *key);
const char *tsr_json_string(const json_t *object, const char *key);
uint64_t tsr_json_uint_at(const json_t *object, const char *key, size_t index);

double tsr_layer_sparsity(const tessera_layer_info *info);

// The forms. They append to |out|.
void tsr_inspection_tables(const tsr_inspection *inspection, tsr_buffer *out);
void tsr_inspection_kernels(const tsr_inspection *inspection, tsr_buffer *out);
void tsr_inspection_details(const tsr_inspection *inspection, tsr_buffer *out);
void tsr_inspection_write_json(const tsr_inspection *inspection, bool tiles,
                               tsr_buffer *out);

#endif  // TESSERAC_INSPECTION_H_
