// SPDX-License-Identifier: Apache-2.0
// A bundle opened for looking at: what libtessera's API tells, and the manifest
// for what it does not.
#ifndef TESSERAC_INSPECTION_H_
#define TESSERAC_INSPECTION_H_

#include <jansson.h>

#include "common/cli.h"
#include "common/table.h"
#include "compiler/bundle.h"
#include "tessera/tessera.h"
#include "tesserac/tile_map.h"

typedef struct tsr_inspection {
  const tsr_cli *cli;
  tessera_bundle *bundle;
  json_t *manifest;
  tsr_previous *members;  // the same once more, for schedule sections
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

// Layer |index|'s part for CUDA; NULL without.
const json_t *tsr_inspection_cuda(const tsr_inspection *inspection,
                                  uint32_t index);
// Its schedule, in |arena|, which borrows |out_grid|; false where there is none
// or it is damaged.
bool tsr_inspection_schedule(const tsr_inspection *inspection, uint32_t index,
                             tsr_arena *arena, tsr_tile_grid *out_grid,
                             tsr_nvidia_tables *out_tables);

double tsr_layer_sparsity(const tessera_layer_info *info);

// Pieces of the forms.
void tsr_inspection_title(const tsr_inspection *inspection, const char *text,
                          tsr_buffer *out);
// Prints and destroys |table|.
void tsr_inspection_render(const tsr_inspection *inspection, tsr_table *table,
                           tsr_buffer *out);
enum { TSR_RANGE_LIMIT = 48 };
// "1", "2..16", "17..".
void tsr_format_range(uint64_t first, uint64_t last,
                      char text[TSR_RANGE_LIMIT]);

// One strategy's kernels together.
typedef struct tsr_strategy_use {
  const char *name;
  uint32_t kernels;
  uint64_t first, last;  // tokens
  uint64_t most[2];      // of what |measure| gives of each kernel
} tsr_strategy_use;
enum { TSR_STRATEGY_LIMIT = 16 };
// Of the manifest's list |key| of kernels, in order of first use; the count.
uint32_t tsr_inspection_strategies(
    const tsr_inspection *inspection, const char *key,
    void (*measure)(const json_t *kernel, uint64_t out[2]),
    tsr_strategy_use out_uses[TSR_STRATEGY_LIMIT]);
// The cells that all such tables begin with: name, kernels, tokens.
void tsr_inspection_strategy_cells(const tsr_strategy_use *use,
                                   tsr_table *table);

// Layers of the inspection whose part |family| ("host", "cuda") has |kernel|.
uint32_t tsr_inspection_users(const tsr_inspection *inspection,
                              const char *family, size_t kernel);

// What there is for CUDA; nothing without.
void tsr_inspection_cuda_layers(const tsr_inspection *inspection,
                                tsr_buffer *out);
void tsr_inspection_cuda_strategies(const tsr_inspection *inspection,
                                    tsr_buffer *out);
void tsr_inspection_cuda_kernels(const tsr_inspection *inspection,
                                 tsr_buffer *out);
void tsr_inspection_cuda_details(const tsr_inspection *inspection,
                                 tsr_buffer *out);
// In few rows, how a layer's steps are divided between thread blocks.
void tsr_inspection_cut_summary(const tsr_inspection *inspection,
                                uint32_t index, tsr_buffer *out);

// The forms. They append to |out|.
void tsr_inspection_tables(const tsr_inspection *inspection, tsr_buffer *out);
void tsr_inspection_kernels(const tsr_inspection *inspection, tsr_buffer *out);
void tsr_inspection_details(const tsr_inspection *inspection, tsr_buffer *out);
// --cuts: all of them. Fails where no layer has any.
TSR_MUST_USE tsr_status tsr_inspection_cuts(const tsr_inspection *inspection,
                                            tsr_buffer *out, tsr_error *error);
void tsr_inspection_write_json(const tsr_inspection *inspection, bool tiles,
                               tsr_buffer *out);

#endif  // TESSERAC_INSPECTION_H_
