// SPDX-License-Identifier: Apache-2.0
// See layer.h.
#include "layer.h"

#include <stdio.h>
#include <string.h>

#include "support/grid.h"
#include "support/pruned.h"
#include "support/random.h"

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

static void pack(layer *l, const pruned *p) {
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
      tsr_fragment_pack_tile(p->weights + row * grid->columns + column,
                             grid->columns, p->keep + row * p->keep_stride,
                             p->keep_stride, column, rows, columns, kind,
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

static bool make_grid(layer *l) {
  const tsr_kernel_spec *spec = &l->spec;
  l->grid = grid_of(spec->rows, spec->columns, spec->tile, NULL);
  l->grid.kinds = tsr_arena_alloc_array(&l->arena, l->grid.panel_count,
                                        l->grid.column_count);
  return l->grid.kinds != NULL;
}

static bool make_stream(layer *l, const pruned *p) {
  l->stream = tsr_arena_alloc(&l->arena, l->tables.stream_size + 1);
  if (l->stream == NULL) return false;
  pack(l, p);
  return true;
}

static bool build(const layer_options *options, layer *l) {
  tsr_kernel_spec *spec = &l->spec;
  uint64_t state = options->seed;
  pruned p;
  if (!make_grid(l)) return false;
  choose_kinds(l, options->mix, &state);
  if (!pruned_create(&l->arena, &l->grid, spec->weight_type, &state, &p) ||
      !make_tables(options, l) || !make_stream(l, &p)) {
    return false;
  }
  l->weights = p.weights;
  l->bias = p.bias;
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
