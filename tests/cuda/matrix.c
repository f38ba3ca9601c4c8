// SPDX-License-Identifier: Apache-2.0
// See matrix.h.
#include "matrix.h"

#include <stdio.h>
#include <string.h>

static const tsr_tile_shape tiles[] = {
    {16, 32},  {16, 512},  {32, 64},  {48, 160},  {64, 64},  {96, 96},
    {128, 64}, {128, 128}, {208, 32}, {256, 128}, {256, 512}};
static const uint32_t tokens[] = {1,  2,  7,  8,  9,   16,  17,
                                  32, 33, 64, 65, 128, 200, 300};
static const tsr_dtype types[] = {TSR_DTYPE_BF16, TSR_DTYPE_F16};
static const uint32_t workers[] = {1, 7, 108, 132};
static const uint32_t panels[] = {1, 2, 3};
static const uint32_t tile_counts[] = {1, 2, 5};
static const tsr_dtype outputs[] = {TSR_DTYPE_BF16, TSR_DTYPE_F16,
                                    TSR_DTYPE_F32};
static const char *const targets[] = {"sm_80", "sm_86", "sm_89", "sm_90"};
static const uint32_t rasters[] = {8, 1, 2};

enum {
  EDGES = 6,
  LAYOUTS = 8,
  RESIDUALS = 3,
  CUTS = 4,
};

#define SIZE(array) (uint32_t)(sizeof(array) / sizeof((array)[0]))

const uint32_t matrix_sizes[DIM_COUNT] = {
    [DIM_MIX] = LAYER_MIX_COUNT,
    [DIM_TILE] = SIZE(tiles),
    [DIM_TOKENS] = SIZE(tokens),
    [DIM_TYPE] = SIZE(types),
    [DIM_WORKERS] = SIZE(workers),
    [DIM_SPLIT] = 2,
    [DIM_PANELS] = SIZE(panels),
    [DIM_M_EDGE] = EDGES,
    [DIM_TILES] = SIZE(tile_counts),
    [DIM_K_EDGE] = EDGES,
    [DIM_OUTPUT] = SIZE(outputs),
    [DIM_ACTIVATION] = TSR_ACTIVATION_COUNT,
    [DIM_BIAS] = 2,
    [DIM_RESIDUAL] = RESIDUALS,
    [DIM_LAYOUT] = LAYOUTS,
    [DIM_CUT] = CUTS,
    [DIM_RASTER] = SIZE(rasters),
    [DIM_ACCUMULATE] = 2,
    [DIM_TARGET] = SIZE(targets),
    [DIM_BALANCE] = 2,
};

// What is left of a tile's |size| at the edge of the matrix.
static uint32_t edge(uint32_t size, uint32_t pick) {
  switch (pick) {
    case 1:
      return 1;
    case 2:
      return size - 1;
    case 3:
      return 8 < size ? 8 : size;
    case 4:
      return size / 2 + 3;  // neither a multiple of 8 nor of 16
    case 5:
      return size / 2;
    default:
      return size;
  }
}

static void make_shape(const pairs_row *row, tsr_kernel_spec *spec) {
  uint32_t tile_count = tile_counts[row->at[DIM_TILES]];
  uint32_t panel_count = panels[row->at[DIM_PANELS]];
  spec->tile = tiles[row->at[DIM_TILE]];
  // Large tiles are many steps already; small ones are few, and a worker should
  // have several panels, of which it shares the first and the last.
  if (spec->tile.columns >= 512 && tile_count > 2) tile_count = 2;
  if (spec->tile.columns <= 64 && tile_count > 2) tile_count = 23;
  if (spec->tile.rows >= 256 && panel_count > 2) panel_count = 2;
  if (spec->tile.rows <= 32 && panel_count > 2) panel_count = 12;
  spec->rows = (panel_count - 1) * spec->tile.rows +
               edge(spec->tile.rows, row->at[DIM_M_EDGE]);
  spec->columns = (tile_count - 1) * spec->tile.columns +
                  edge(spec->tile.columns, row->at[DIM_K_EDGE]);
  if (tsr_activation_is_gated(spec->activation)) spec->rows += spec->rows % 2;
}

static void make_layer(const pairs_row *row, uint64_t seed,
                       layer_options *out) {
  tsr_kernel_spec *spec = &out->spec;
  spec->weight_type = types[row->at[DIM_TYPE]];
  spec->output_type = outputs[row->at[DIM_OUTPUT]];
  spec->activation = (tsr_activation)row->at[DIM_ACTIVATION];
  spec->has_bias = row->at[DIM_BIAS] != 0;
  spec->has_residual = row->at[DIM_RESIDUAL] != 0;
  make_shape(row, spec);
  out->mix = (layer_mix)row->at[DIM_MIX];
  out->workers = workers[row->at[DIM_WORKERS]];
  out->split = row->at[DIM_SPLIT] != 0;
  out->balance =
      row->at[DIM_BALANCE] == 0 ? TSR_BALANCE_BYTES : TSR_BALANCE_TILES;
  out->seed = seed;
}

// 0: all begins at multiples of 16 bytes if rows are as long; 1: as 0, and so
// do all rows of X; 2: rows of X are at odd multiples of 2 bytes; 3, 4: X
// begins at an odd multiple of 2 or of 8 bytes; 5: rows of Y and the residual
// are apart; 6: these begin anywhere; 7: nothing is where it should be.
static void make_layout(uint32_t layout, uint32_t columns, run_options *out) {
  uint32_t to_eight = (8 - columns % 8) % 8;
  out->input_gap = layout == 1                  ? to_eight + 8
                   : layout == 2                ? 1 + columns % 2
                   : layout == 3 || layout == 4 ? to_eight
                   : layout == 7                ? 3
                                                : 0;
  out->input_shift = layout == 3 || layout == 7 ? 1 : layout == 4 ? 4 : 0;
  out->output_gap = layout == 5 ? 8 : layout == 6 || layout == 7 ? 3 : 0;
  out->residual_gap = layout == 5 ? 16 : layout == 7 ? 1 : 0;
  out->output_shift = layout >= 6 ? 1 : 0;
  out->residual_shift = layout == 6 ? 3 : layout == 7 ? 2 : 0;
}

static uint64_t cost_of(const tsr_kernel_spec *spec, uint32_t token_count) {
  return (uint64_t)((spec->rows + 15) / 16) * ((spec->columns + 15) / 16) *
         ((token_count + 7) / 8);
}

void matrix_make(const pairs_row *row, uint64_t seed, matrix_case *out) {
  memset(out, 0, sizeof(*out));
  make_layer(row, seed, &out->layer);
  const tsr_kernel_spec *s = &out->layer.spec;
  run_options *run = &out->run;
  run->label = out->label;
  run->target = targets[row->at[DIM_TARGET]];
  run->tokens = tokens[row->at[DIM_TOKENS]];
  run->cut_pick = row->at[DIM_CUT];
  run->raster = rasters[row->at[DIM_RASTER]];
  run->residual_is_output = row->at[DIM_RESIDUAL] == 2;
  run->is_hardware = row->at[DIM_ACCUMULATE] != 0;
  run->data_seed = seed;
  make_layout(row->at[DIM_LAYOUT], s->columns, run);
  out->cost = cost_of(s, run->tokens);
  static const char *const residuals[] = {"", " residual", " residual=Y"};
  (void)snprintf(
      out->label, sizeof(out->label),
      "%s %ux%u t%ux%u %s->%s %s%s%s N=%u workers=%u cut %u raster %u%s%s "
      "layout %u %s%s seed %llu",
      layer_mix_name(out->layer.mix), s->rows, s->columns, s->tile.rows,
      s->tile.columns, tsr_dtype_name(s->weight_type),
      tsr_dtype_name(s->output_type), tsr_activation_name(s->activation),
      s->has_bias ? " bias" : "", residuals[row->at[DIM_RESIDUAL]], run->tokens,
      out->layer.workers, run->cut_pick, run->raster,
      out->layer.split ? " split" : "",
      out->layer.balance == TSR_BALANCE_TILES ? " by tiles" : "",
      row->at[DIM_LAYOUT], run->target, run->is_hardware ? " hardware" : "",
      (unsigned long long)seed);
}
