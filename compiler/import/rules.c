// SPDX-License-Identifier: Apache-2.0
// Tile kinds: derived from the mask, then changed and checked by the plan's
// rules.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "convert.h"
#include "inputs.h"

// ---- derivation ------------------------------------------------------------

static bool any_bit(const uint8_t *bits, size_t begin, size_t end) {
  // Tiles start at multiples of 32 columns, rows end with clear bits.
  for (size_t i = begin / 8; i < tsr_bits_size(end); ++i) {
    if (bits[i] != 0) return true;
  }
  return false;
}

static tsr_kind kind_of_row(const uint8_t *bits, size_t begin, size_t end) {
  if (!any_bit(bits, begin, end)) return TSR_KIND_ZERO;
  size_t groups = end / 4 + (end % 4 != 0);
  return tsr_bits_find_group(bits, begin, end, 2) == groups ? TSR_KIND_SPARSE24
                                                            : TSR_KIND_DENSE;
}

static void derive_row(const tsr_tile_grid *grid, const uint8_t *bits,
                       uint8_t *kinds) {
  for (uint32_t i = 0; i < grid->column_count; ++i) {
    if (kinds[i] == TSR_KIND_DENSE) continue;
    size_t begin = (size_t)i * grid->tile.columns;
    size_t end = begin + tsr_grid_tile_columns(grid, i);
    tsr_kind kind = kind_of_row(bits, begin, end);
    if (kind > kinds[i]) kinds[i] = (uint8_t)kind;
  }
}

void tsr_grid_derive(tsr_tile_grid *grid, const uint8_t *keep, size_t stride) {
  memset(grid->kinds, TSR_KIND_ZERO,
         (size_t)grid->panel_count * grid->column_count);
  for (uint32_t row = 0; row < grid->rows; ++row) {
    uint32_t panel = row / grid->tile.rows;
    derive_row(grid, keep + row * stride,
               grid->kinds + (size_t)panel * grid->column_count);
  }
}

// ---- rules -----------------------------------------------------------------

// The tiles that a rule touches.
typedef struct area {
  uint32_t panel_begin, panel_end;
  uint32_t column_begin, column_end;
} area;

typedef struct application {
  const tsr_plan_layer *layer;
  const tsr_matrix *matrix;
  tsr_tile_grid *grid;
  uint8_t *keep;
  size_t stride;
  tsr_diags *diags;
  uint32_t *owners;  // per tile: the last override that matches
  area *areas;       // per rule
  bool valid;
} application;

#define NO_RULE UINT32_MAX

static bool check_range(application *a, const tsr_plan_rule *rule,
                        const char *what, uint32_t begin, uint32_t end,
                        uint32_t extent) {
  bool is_open = end == UINT32_MAX;
  if (begin < extent && (is_open || (end > begin && end <= extent))) {
    return true;
  }
  char last[16] = "";
  if (!is_open) snprintf(last, sizeof(last), "%u", end == 0 ? 0 : end - 1);
  a->valid = false;
  tsr_diag_report(a->diags, TSR_DIAG_RULE_OUTSIDE, rule->span,
                  "layer '%s' has %s 0..%u, the rule names %u..%s",
                  a->layer->name, what, extent - 1, begin, last);
  return false;
}

static bool find_area(application *a, const tsr_plan_rule *rule, area *out) {
  const tsr_tile_grid *grid = a->grid;
  if (!check_range(a, rule, "rows", rule->row_begin, rule->row_end,
                   grid->rows) ||
      !check_range(a, rule, "columns", rule->column_begin, rule->column_end,
                   grid->columns)) {
    *out = (area){0, 0, 0, 0};
    return false;
  }
  uint32_t row_end = rule->row_end < grid->rows ? rule->row_end : grid->rows;
  uint32_t column_end =
      rule->column_end < grid->columns ? rule->column_end : grid->columns;
  *out = (area){rule->row_begin / grid->tile.rows,
                (row_end - 1) / grid->tile.rows + 1,
                rule->column_begin / grid->tile.columns,
                (column_end - 1) / grid->tile.columns + 1};
  return true;
}

static size_t tile_index(const application *a, uint32_t panel,
                         uint32_t column) {
  return (size_t)panel * a->grid->column_count + column;
}

static void claim_tiles(application *a, uint32_t rule) {
  const area *where = &a->areas[rule];
  for (uint32_t p = where->panel_begin; p < where->panel_end; ++p) {
    for (uint32_t c = where->column_begin; c < where->column_end; ++c) {
      a->owners[tile_index(a, p, c)] = rule;
    }
  }
}

// Clears the tile's bits; returns how many were set.
static uint64_t drop_tile(application *a, uint32_t panel, uint32_t column) {
  size_t begin = (size_t)column * a->grid->tile.columns;
  size_t end = begin + tsr_grid_tile_columns(a->grid, column);
  uint32_t first = panel * a->grid->tile.rows;
  uint64_t dropped = 0;
  for (uint32_t i = 0; i < tsr_grid_panel_rows(a->grid, panel); ++i) {
    uint8_t *bits = a->keep + (first + i) * a->stride;
    dropped += tsr_bits_count(bits + begin / 8, tsr_bits_size(end) - begin / 8);
    tsr_bits_clear(bits, begin, end);
  }
  a->grid->kinds[tile_index(a, panel, column)] = TSR_KIND_ZERO;
  return dropped;
}

// Keeps every weight of a tile, whatever the mask says.
static void keep_tile(application *a, uint32_t panel, uint32_t column) {
  size_t begin = (size_t)column * a->grid->tile.columns;
  size_t end = begin + tsr_grid_tile_columns(a->grid, column);
  uint32_t first = panel * a->grid->tile.rows;
  for (uint32_t i = 0; i < tsr_grid_panel_rows(a->grid, panel); ++i) {
    uint8_t *bits = a->keep + (first + i) * a->stride;
    // Tiles start at multiples of 32 columns; only a row's end is ragged.
    memset(bits + begin / 8, 0xff, end / 8 - begin / 8);
    if (end % 8 != 0) bits[end / 8] |= (uint8_t)((1u << end % 8) - 1);
  }
  a->grid->kinds[tile_index(a, panel, column)] = TSR_KIND_DENSE;
}

// Names the first group of a dense tile that keeps more than 2.
static void report_not_sparse24(application *a, const tsr_plan_rule *rule,
                                uint32_t panel, uint32_t column) {
  size_t begin = (size_t)column * a->grid->tile.columns;
  size_t end = begin + tsr_grid_tile_columns(a->grid, column);
  uint32_t first = panel * a->grid->tile.rows;
  size_t groups = end / 4 + (end % 4 != 0);
  for (uint32_t i = 0; i < tsr_grid_panel_rows(a->grid, panel); ++i) {
    const uint8_t *bits = a->keep + (first + i) * a->stride;
    size_t group = tsr_bits_find_group(bits, begin, end, 2);
    if (group == groups) continue;
    tsr_row_owner owner = tsr_matrix_row_owner(a->matrix, first + i);
    unsigned kept =
        (unsigned)__builtin_popcount(bits[group / 2] >> (group % 2 * 4) & 15u);
    tsr_diag_report(a->diags, TSR_DIAG_NOT_SPARSE24, rule->span,
                    "layer '%s', tensor '%s': tile (%u, %u) is not 2:4: row "
                    "%u, group %zu (in_features %zu..%zu) keeps %u of 4",
                    a->layer->name, owner.tensor, panel, column, owner.row,
                    group, 4 * group, 4 * group + 3, kept);
    return;
  }
}

// What became of the tiles of one rule.
typedef struct tally {
  uint64_t tiles;
  uint64_t failed;
  uint64_t dropped;        // kept weights
  uint32_t panel, column;  // of the first failed one
} tally;

static void fail_tile(tally *t, uint32_t panel, uint32_t column) {
  if (t->failed++ == 0) {
    t->panel = panel;
    t->column = column;
  }
}

static void override_tile(application *a, const tsr_plan_rule *rule,
                          uint32_t panel, uint32_t column, tally *t) {
  uint8_t *kind = &a->grid->kinds[tile_index(a, panel, column)];
  ++t->tiles;
  if (rule->kind == TSR_KIND_DENSE) {
    keep_tile(a, panel, column);
  } else if (rule->kind == TSR_KIND_ZERO) {
    t->dropped += drop_tile(a, panel, column);
  } else if (*kind == TSR_KIND_DENSE) {
    fail_tile(t, panel, column);  // zero tiles are 2:4 and stay zero
  }
}

static bool meets(tsr_kind have, tsr_kind wanted) {
  return wanted == TSR_KIND_SPARSE24 ? have != TSR_KIND_DENSE : have == wanted;
}

static void assert_tile(application *a, const tsr_plan_rule *rule,
                        uint32_t panel, uint32_t column, tally *t) {
  ++t->tiles;
  if (!meets(tsr_grid_kind(a->grid, panel, column), rule->kind)) {
    fail_tile(t, panel, column);
  }
}

static void report_tally(application *a, const tsr_plan_rule *rule,
                         const tally *t) {
  if (t->dropped != 0) {
    tsr_diag_report(a->diags, TSR_DIAG_ZERO_DROPS_WEIGHTS, rule->span,
                    "layer '%s': this rule drops %llu kept weights",
                    a->layer->name, (unsigned long long)t->dropped);
  }
  if (t->failed == 0) return;
  a->valid = false;
  tsr_kind have = tsr_grid_kind(a->grid, t->panel, t->column);
  if (rule->kind == TSR_KIND_SPARSE24) {
    report_not_sparse24(a, rule, t->panel, t->column);
  } else {
    tsr_diag_report(a->diags, TSR_DIAG_REQUIRE_FAILED, rule->span,
                    "layer '%s': tile (%u, %u) is %s, not %s", a->layer->name,
                    t->panel, t->column, tsr_kind_describe(have)->name,
                    tsr_kind_describe(rule->kind)->name);
  }
  if (t->failed > 1) {
    tsr_diag_note(a->diags, rule->span, "so are %llu more of %llu tiles",
                  (unsigned long long)(t->failed - 1),
                  (unsigned long long)t->tiles);
  }
}

static void run_rule(application *a, uint32_t index) {
  const tsr_plan_rule *rule = &a->layer->rules[index];
  const area *where = &a->areas[index];
  tally t = {.tiles = 0};
  for (uint32_t p = where->panel_begin; p < where->panel_end; ++p) {
    for (uint32_t c = where->column_begin; c < where->column_end; ++c) {
      if (rule->is_assertion) {
        assert_tile(a, rule, p, c, &t);
      } else if (a->owners[tile_index(a, p, c)] == index) {
        override_tile(a, rule, p, c, &t);
      }
    }
  }
  report_tally(a, rule, &t);
}

static void run_rules(application *a) {
  uint32_t count = a->layer->rule_count;
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_plan_rule *rule = &a->layer->rules[i];
    if (find_area(a, rule, &a->areas[i]) && !rule->is_assertion) {
      claim_tiles(a, i);
    }
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (!a->layer->rules[i].is_assertion) run_rule(a, i);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (a->layer->rules[i].is_assertion) run_rule(a, i);
  }
}

tsr_status tsr_rules_apply(const tsr_plan_layer *layer,
                           const tsr_matrix *matrix, tsr_tile_grid *grid,
                           uint8_t *keep, size_t stride, tsr_diags *diags,
                           bool *out_is_valid, tsr_error *error) {
  *out_is_valid = true;
  if (layer->rule_count == 0) return TSR_OK;
  size_t tiles = (size_t)grid->panel_count * grid->column_count;
  application a = {.layer = layer,
                   .matrix = matrix,
                   .grid = grid,
                   .keep = keep,
                   .stride = stride,
                   .diags = diags,
                   .owners = tsr_calloc(tiles, sizeof(uint32_t)),
                   .areas = tsr_calloc(layer->rule_count, sizeof(area)),
                   .valid = true};
  tsr_status status = TSR_OK;
  if (a.owners == NULL || a.areas == NULL) {
    status = tsr_error_out_of_memory(error);
  } else {
    memset(a.owners, 0xff, tiles * sizeof(uint32_t));  // NO_RULE
    run_rules(&a);
  }
  tsr_free(a.owners);
  tsr_free(a.areas);
  *out_is_valid = a.valid;
  return status;
}
