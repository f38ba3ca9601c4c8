// SPDX-License-Identifier: Apache-2.0
// See layer.h.
#include "layer.h"

#include <stdio.h>
#include <string.h>

#include "base/float16.h"

uint64_t random_next(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

float random_uniform(uint64_t *state) {
  return (float)((double)(random_next(state) >> 11) * 0x1p-52 - 1.0);
}

uint16_t value_bits(float value, tsr_dtype type) {
  return type == TSR_DTYPE_BF16 ? tsr_bf16_from_float(value)
                                : tsr_fp16_from_float(value);
}

float value_of(uint16_t bits, tsr_dtype type) {
  return type == TSR_DTYPE_BF16 ? tsr_bf16_to_float(bits)
                                : tsr_fp16_to_float(bits);
}

const char *layer_mix_name(layer_mix mix) {
  static const char *const names[LAYER_MIX_COUNT] = {
      "dense",      "sparse",      "zero",         "random10",
      "random30",   "random50",    "random70",     "random90",
      "lone_dense", "lone_sparse", "empty_panels", "sparsity45"};
  return names[mix];
}

// ---- Kinds -----------------------------------------------------------------

static tsr_kind random_kind(uint32_t dense_percent, uint64_t *state) {
  if (random_next(state) % 100 < dense_percent) return TSR_KIND_DENSE;
  return random_next(state) % 8 == 0 ? TSR_KIND_ZERO : TSR_KIND_SPARSE24;
}

// |index| is the tile's number in the grid.
static tsr_kind choose_kind(layer_mix mix, uint32_t panel, uint32_t index,
                            bool is_lone, uint64_t *state) {
  switch (mix) {
    case LAYER_DENSE:
      return TSR_KIND_DENSE;
    case LAYER_SPARSE:
      return TSR_KIND_SPARSE24;
    case LAYER_ZERO:
      return TSR_KIND_ZERO;
    case LAYER_RANDOM_10:
      return random_kind(10, state);
    case LAYER_RANDOM_30:
      return random_kind(30, state);
    case LAYER_RANDOM_70:
      return random_kind(70, state);
    case LAYER_RANDOM_90:
      return random_kind(90, state);
    case LAYER_LONE_DENSE:
      return is_lone ? TSR_KIND_DENSE : TSR_KIND_SPARSE24;
    case LAYER_LONE_SPARSE:
      return is_lone ? TSR_KIND_SPARSE24 : TSR_KIND_DENSE;
    case LAYER_SPARSITY_45:
      return index % 10 == 7 ? TSR_KIND_DENSE : TSR_KIND_SPARSE24;
    case LAYER_EMPTY_PANELS:
      return panel % 2 == 0 ? TSR_KIND_ZERO : random_kind(50, state);
    default:
      return random_kind(50, state);
  }
}

static void choose_kinds(layer *l, layer_mix mix, uint64_t *state) {
  tsr_tile_grid *grid = &l->grid;
  l->spec.kinds = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    uint32_t lone = (uint32_t)(random_next(state) % grid->column_count);
    for (uint32_t i = 0; i < grid->column_count; ++i) {
      uint32_t index = panel * grid->column_count + i;
      tsr_kind kind = choose_kind(mix, panel, index, i == lone, state);
      grid->kinds[index] = (uint8_t)kind;
      l->spec.kinds |= 1u << kind;
    }
  }
}

// ---- Weights ---------------------------------------------------------------

// A row's keep bytes in one tile: dense keeps most, 2:4 keeps 0, 1 or (mostly)
// 2 of 4.
static void keep_row(tsr_kind kind, uint32_t columns, uint64_t *state,
                     uint8_t *keep) {
  for (uint32_t c = 0; c < columns; ++c) {
    keep[c] = kind == TSR_KIND_DENSE && random_next(state) % 16 != 0;
  }
  if (kind != TSR_KIND_SPARSE24) return;
  for (uint32_t c = 0; c < columns; c += 4) {
    uint32_t left = columns - c < 4 ? columns - c : 4;
    uint64_t dice = random_next(state);
    uint32_t first = (uint32_t)(dice % left);
    if ((dice >> 8) % 32 != 0) keep[c + first] = 1;
    if (left < 2 || (dice >> 16) % 16 == 0) continue;
    keep[c + (first + 1 + (dice >> 24) % (left - 1)) % left] = 1;
  }
}

static void fill_row(layer *l, uint32_t row, uint64_t *state, uint8_t *bits) {
  uint8_t keep[512];
  const tsr_tile_grid *grid = &l->grid;
  float *to = l->weights + (size_t)row * grid->columns;
  for (uint32_t t = 0; t < grid->column_count; ++t) {
    tsr_kind kind = tsr_grid_kind(grid, row / grid->tile.rows, t);
    uint32_t columns = tsr_grid_tile_columns(grid, t);
    keep_row(kind, columns, state, keep);
    for (uint32_t c = 0; c < columns; ++c) {
      if (keep[c] == 0) continue;
      uint32_t column = t * grid->tile.columns + c;
      tsr_dtype type = l->spec.weight_type;
      to[column] = value_of(value_bits(random_uniform(state), type), type);
      bits[column / 8] |= (uint8_t)(1u << column % 8);
    }
  }
  l->bias[row] = random_uniform(state);
}

static void pack(layer *l, const uint8_t *keep, size_t keep_stride) {
  const tsr_tile_grid *grid = &l->grid;
  uint8_t *at = l->stream;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    size_t row = (size_t)panel * grid->tile.rows;
    uint32_t rows = tsr_grid_panel_rows(grid, panel);
    for (uint32_t t = 0; t < grid->column_count; ++t) {
      tsr_kind kind = tsr_grid_kind(grid, panel, t);
      if (kind == TSR_KIND_ZERO) continue;
      uint32_t column = t * grid->tile.columns;
      uint32_t columns = tsr_grid_tile_columns(grid, t);
      tsr_fragment_pack_tile(l->weights + row * grid->columns + column,
                             grid->columns, keep + row * keep_stride,
                             keep_stride, column, rows, columns, kind,
                             l->spec.weight_type, at);
      at += tsr_fragment_tile_size(rows, columns, kind);
    }
  }
}

// ---- The layer -------------------------------------------------------------

static bool make_tables(const layer_options *options, layer *l) {
  tsr_plan_schedule knobs = {.workers = options->workers,
                             .balance = options->balance,
                             .split_panels = options->split};
  tsr_error error = {0};
  tsr_status status =
      tsr_nvidia_tables_build(&l->arena, &l->grid, &knobs, &l->tables, &error);
  if (status != TSR_OK) fprintf(stderr, "tables: %s\n", error.message);
  return status == TSR_OK;
}

static bool build(const layer_options *options, layer *l) {
  tsr_kernel_spec *spec = &l->spec;
  tsr_tile_grid *grid = &l->grid;
  uint64_t state = options->seed;
  size_t keep_stride = (spec->columns + 7) / 8;
  *grid = (tsr_tile_grid){
      .tile = spec->tile, .rows = spec->rows, .columns = spec->columns};
  grid->panel_count = (spec->rows - 1) / spec->tile.rows + 1;
  grid->column_count = (spec->columns - 1) / spec->tile.columns + 1;
  grid->kinds =
      tsr_arena_alloc_array(&l->arena, grid->panel_count, grid->column_count);
  l->weights = tsr_arena_alloc_array(&l->arena, spec->rows,
                                     spec->columns * sizeof(float));
  l->bias = tsr_arena_alloc_array(&l->arena, spec->rows, sizeof(float));
  uint8_t *keep = tsr_arena_alloc_array(&l->arena, spec->rows, keep_stride);
  if (!grid->kinds || !l->weights || !l->bias || !keep) return false;
  choose_kinds(l, options->mix, &state);
  for (uint32_t row = 0; row < spec->rows; ++row) {
    fill_row(l, row, &state, keep + row * keep_stride);
  }
  if (!make_tables(options, l)) return false;
  l->stream = tsr_arena_alloc(&l->arena, l->tables.stream_size + 1);
  if (l->stream == NULL) return false;
  pack(l, keep, keep_stride);
  spec->token_first = 1;
  spec->token_last = UINT32_MAX;
  const char *target = options->target == NULL ? "sm_80" : options->target;
  l->kernel_count =
      tsr_cuda_plan(spec, tsr_cuda_target_find(target), l->kernels);
  return true;
}

bool layer_create(const layer_options *options, layer *out_layer) {
  memset(out_layer, 0, sizeof(*out_layer));
  out_layer->spec = options->spec;
  if (build(options, out_layer)) return true;
  fprintf(stderr, "cannot build the layer\n");
  layer_destroy(out_layer);
  return false;
}

void layer_destroy(layer *l) {
  tsr_arena_fini(&l->arena);
}

const tsr_cuda_kernel *layer_kernel(const layer *l, uint32_t tokens) {
  for (uint32_t i = 0; i < l->kernel_count; ++i) {
    const tsr_kernel_spec *spec = &l->kernels[i].spec;
    if (tokens >= spec->token_first && tokens <= spec->token_last) {
      return &l->kernels[i];
    }
  }
  fprintf(stderr, "no kernel for %u tokens\n", tokens);
  return NULL;
}

uint32_t layer_cut(const layer *l, tsr_nvidia_mode mode, uint32_t pick) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < l->tables.cut_count; ++i) {
    if (l->tables.cuts[i].mode == (uint32_t)mode) ++count;
  }
  if (count == 0) return UINT32_MAX;
  pick %= count;
  for (uint32_t i = 0;; ++i) {
    if (l->tables.cuts[i].mode == (uint32_t)mode && pick-- == 0) return i;
  }
}

uint32_t layer_outputs(const layer *l) {
  return tsr_activation_is_gated(l->spec.activation) ? l->spec.rows / 2
                                                     : l->spec.rows;
}
