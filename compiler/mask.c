// SPDX-License-Identifier: Apache-2.0
// Scores tiles, chooses which stay dense, and emits mask bits. The unit of
// parallel work is a panel (one row of tiles): its sums are made by one thread
// in a fixed order, so that they do not depend on -j.
#include "compiler/mask.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

enum {
  GROUP = 4,       // the 4 of 2:4
  CHUNK_ROWS = 8,  // read at once; divides every tile's rows
};

// What 2:4 costs and dense costs more, per weight (compiler/kind.h).
static const double DENSE_EXTRA_BYTES = 2.0 - 1.125;

// One tensor with its place in the tables of all tensors.
typedef struct entry {
  tsr_mask_tensor tensor;
  uint32_t panel_count;
  uint32_t column_count;  // tiles per panel
  uint64_t tile_first;    // into mask.tiles
  uint64_t panel_first;   // among the panels of all tensors
} entry;

typedef struct tile {
  double error;   // sum of squared scores lost when 2:4
  double energy;  // sum of all squared scores
  bool dense;
} tile;

struct tsr_mask {
  tsr_mask_options options;
  entry *entries;
  uint32_t entry_count;
  uint32_t columns_max;
  tile *tiles;
  uint64_t tile_count;
  uint64_t panel_count;
};

// ---------------------------------------------------------------------------
// Shapes

static uint32_t tile_rows(const entry *e, uint32_t panel) {
  uint32_t left = e->tensor.rows - panel * e->tensor.tile.rows;
  return left < e->tensor.tile.rows ? left : e->tensor.tile.rows;
}

static uint32_t tile_columns(const entry *e, uint32_t column) {
  uint32_t left = e->tensor.columns - column * e->tensor.tile.columns;
  return left < e->tensor.tile.columns ? left : e->tensor.tile.columns;
}

static uint64_t tile_weights(const entry *e, uint64_t index) {
  uint32_t panel = (uint32_t)(index / e->column_count);
  uint32_t column = (uint32_t)(index % e->column_count);
  return (uint64_t)tile_rows(e, panel) * tile_columns(e, column);
}

// Weights that the tile loses when it is 2:4: 2 of every whole group, and of
// the last, narrower one what exceeds 2.
static uint64_t tile_pruned(const entry *e, uint64_t index) {
  uint32_t panel = (uint32_t)(index / e->column_count);
  uint32_t columns = tile_columns(e, (uint32_t)(index % e->column_count));
  uint64_t per_row = columns / GROUP * 2 + (columns % GROUP == 3 ? 1 : 0);
  return tile_rows(e, panel) * per_row;
}

static uint64_t entry_tile_count(const entry *e) {
  return (uint64_t)e->panel_count * e->column_count;
}

// ---------------------------------------------------------------------------
// Scores

// Bit i is set when scores[i] is among the 2 largest; the lower index wins a
// tie. Absent columns have score -1 and lose to all.
static inline unsigned keep_two(const double s[GROUP]) {
  unsigned b01 = s[0] >= s[1], b02 = s[0] >= s[2], b03 = s[0] >= s[3];
  unsigned b12 = s[1] >= s[2], b13 = s[1] >= s[3], b23 = s[2] >= s[3];
  unsigned keep0 = b01 + b02 + b03 >= 2;
  unsigned keep1 = (1 - b01) + b12 + b13 >= 2;
  unsigned keep2 = (1 - b02) + (1 - b12) + b23 >= 2;
  unsigned keep3 = (1 - b03) + (1 - b13) + (1 - b23) >= 2;
  return keep0 | keep1 << 1 | keep2 << 2 | keep3 << 3;
}

static void score_group(const float *values, const float *norms, uint32_t width,
                        double out_scores[GROUP]) {
  for (uint32_t i = 0; i < GROUP; ++i) {
    out_scores[i] = -1.0;
    if (i >= width) continue;
    out_scores[i] = fabs((double)values[i]);
    if (norms != NULL) out_scores[i] *= (double)norms[i];
  }
}

// Adds one group of one row to a tile's sums, by index.
static inline void add_group(const float *values, const float *norms,
                             uint32_t width, tile *out_tile) {
  double scores[GROUP];
  double lost = 0;
  double all = 0;
  score_group(values, norms, width, scores);
  unsigned keep = keep_two(scores);
  for (uint32_t i = 0; i < width; ++i) {
    double square = scores[i] * scores[i];
    all += square;
    lost += keep >> i & 1 ? 0.0 : square;
  }
  out_tile->error += lost;
  out_tile->energy += all;
}

// Adds one row of a tile to its sums, group by group: the order is part of the
// definition.
static bool add_row(const float *values, const float *norms, uint32_t columns,
                    tile *out_tile) {
  tile sums = *out_tile;
  uint32_t whole = columns - columns % GROUP;
  if (norms == NULL) {
    for (uint32_t c = 0; c < whole; c += GROUP) {
      add_group(values + c, NULL, GROUP, &sums);
    }
  } else {
    for (uint32_t c = 0; c < whole; c += GROUP) {
      add_group(values + c, norms + c, GROUP, &sums);
    }
  }
  if (whole != columns) {
    add_group(values + whole, norms == NULL ? NULL : norms + whole,
              columns - whole, &sums);
  }
  // Squares of floats cannot overflow a double: only the input can do this.
  bool finite = isfinite(sums.energy - out_tile->energy);
  *out_tile = sums;
  return finite;
}

static tsr_status report_not_finite(const entry *e, uint32_t row,
                                    const float *values, tsr_error *error) {
  uint32_t column = 0;
  while (column + 1 < e->tensor.columns && isfinite(values[column])) ++column;
  return tsr_error_set(error, TSR_CORRUPT,
                       "tensor '%s': weight [%u, %u] is not a finite number",
                       e->tensor.name, row, column);
}

// ---------------------------------------------------------------------------
// Both passes: panels in parallel, a few rows at a time

typedef struct pass pass;

// Does rows [row, row + count) of |e|, in |panel|.
typedef tsr_status (*chunk_body)(const pass *p, const entry *e, uint32_t panel,
                                 uint32_t row, uint32_t count,
                                 const float *values, tsr_error *error);

struct pass {
  const tsr_mask *mask;
  chunk_body body;
  tile *tiles;            // scoring: where sums go
  uint8_t *bits;          // emitting: of the only tensor
  float *scratch;         // CHUNK_ROWS * columns_max per worker
  uint64_t panel_offset;  // number of the first panel
};

static const entry *entry_of_panel(const tsr_mask *mask, uint64_t panel) {
  uint32_t low = 0;
  uint32_t high = mask->entry_count;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (mask->entries[middle].panel_first <= panel) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return &mask->entries[low];
}

static tsr_status do_panel(void *context, uint32_t worker, uint64_t index,
                           tsr_error *error) {
  const pass *p = context;
  const tsr_mask *mask = p->mask;
  const entry *e = entry_of_panel(mask, p->panel_offset + index);
  uint32_t panel = (uint32_t)(p->panel_offset + index - e->panel_first);
  uint32_t first = panel * e->tensor.tile.rows;
  uint32_t end = first + tile_rows(e, panel);
  float *values = p->scratch + (size_t)worker * CHUNK_ROWS * mask->columns_max;
  tsr_status status = TSR_OK;
  for (uint32_t row = first; status == TSR_OK && row < end;) {
    uint32_t count = end - row < CHUNK_ROWS ? end - row : CHUNK_ROWS;
    status = e->tensor.read(e->tensor.context, row, count, values, error);
    if (status == TSR_OK) {
      status = p->body(p, e, panel, row, count, values, error);
    }
    if (status == TSR_OK && mask->options.progress != NULL &&
        !mask->options.progress(mask->options.progress_context,
                                (uint64_t)count * e->tensor.columns)) {
      status = tsr_error_set(error, TSR_CANCELLED, "interrupted");
    }
    row += count;
  }
  return status;
}

static tsr_status run_pass(pass *p, uint64_t panel_count, tsr_error *error) {
  uint32_t threads = p->mask->options.threads;
  if (threads > TSR_PARALLEL_MAX) threads = TSR_PARALLEL_MAX;
  if (threads > panel_count) threads = (uint32_t)panel_count;
  if (threads == 0) threads = 1;
  p->scratch = tsr_calloc((size_t)threads * CHUNK_ROWS,
                          (size_t)p->mask->columns_max * sizeof(float));
  if (p->scratch == NULL) return tsr_error_out_of_memory(error);
  tsr_status status =
      tsr_parallel_for(threads, panel_count, do_panel, p, error);
  tsr_free(p->scratch);
  return status;
}

static tsr_status score_chunk(const pass *p, const entry *e, uint32_t panel,
                              uint32_t row, uint32_t count, const float *values,
                              tsr_error *error) {
  tile *tiles = p->tiles + e->tile_first + (size_t)panel * e->column_count;
  for (uint32_t r = 0; r < count; ++r) {
    const float *line = values + (size_t)r * e->tensor.columns;
    for (uint32_t t = 0; t < e->column_count; ++t) {
      size_t first = (size_t)t * e->tensor.tile.columns;
      const float *norms =
          e->tensor.norms == NULL ? NULL : e->tensor.norms + first;
      if (!add_row(line + first, norms, tile_columns(e, t), &tiles[t])) {
        return report_not_finite(e, row + r, line, error);
      }
    }
  }
  return TSR_OK;
}

// ---------------------------------------------------------------------------
// Choosing

// Tiles that are chosen together: one, or one of each of two partners.
typedef struct unit {
  double ratio;  // error saved per byte
  uint64_t pruned;
  uint64_t tile;          // into mask.tiles: the order of ties
  uint64_t partner_tile;  // or UINT64_MAX
} unit;

static int compare_units(const void *left, const void *right) {
  const unit *a = left;
  const unit *b = right;
  if (a->ratio != b->ratio) return a->ratio > b->ratio ? -1 : 1;
  return a->tile < b->tile ? -1 : a->tile > b->tile;
}

static void make_dense(tsr_mask *mask, const unit *u) {
  mask->tiles[u->tile].dense = true;
  if (u->partner_tile != UINT64_MAX) {
    mask->tiles[u->partner_tile].dense = true;
  }
}

// Makes units dense, best first, where that does not take the pruned weights
// below |goal|; at the end one more where that comes closer.
static void choose(tsr_mask *mask, unit *units, uint64_t count,
                   uint64_t weights) {
  uint64_t pruned = 0;
  uint64_t goal = (uint64_t)llround(mask->options.sparsity * (double)weights);
  const unit *last = NULL;
  qsort(units, (size_t)count, sizeof(*units), compare_units);
  for (uint64_t i = 0; i < count; ++i) pruned += units[i].pruned;
  for (uint64_t i = 0; i < count; ++i) {
    const unit *u = &units[i];
    if (pruned >= goal + u->pruned) {
      make_dense(mask, u);
      pruned -= u->pruned;
    } else if (last == NULL || u->pruned < last->pruned) {
      last = u;
    }
  }
  // The smallest of those left over overshoots; by less than what is missing?
  if (last != NULL && pruned > goal &&
      last->pruned - (pruned - goal) < pruned - goal) {
    make_dense(mask, last);
  }
}

static double entry_energy(const tsr_mask *mask, const entry *e) {
  double energy = 0;
  for (uint64_t i = 0; i < entry_tile_count(e); ++i) {
    energy += mask->tiles[e->tile_first + i].energy;
  }
  return energy;
}

static double tile_gain(const tsr_mask *mask, const entry *e, uint64_t index,
                        double energy) {
  double error = mask->tiles[e->tile_first + index].error;
  if (mask->options.criterion == TSR_MASK_ABSOLUTE) return error;
  return energy > 0 ? error / energy : 0;
}

static uint32_t find_partner(const tsr_mask *mask, uint32_t index) {
  for (uint32_t i = index + 1; i < mask->entry_count; ++i) {
    if (mask->entries[i].tensor.partner == index) return i;
  }
  return TSR_MASK_NO_PARTNER;
}

// Appends the units of entry |index| (and its later partner) to |units| and
// returns how many; adds up their weights.
static uint64_t make_units(const tsr_mask *mask, uint32_t index, unit *units,
                           uint64_t *weights) {
  const entry *e = &mask->entries[index];
  uint32_t partner = find_partner(mask, index);
  const entry *other =
      partner == TSR_MASK_NO_PARTNER ? NULL : &mask->entries[partner];
  double energy = entry_energy(mask, e);
  double other_energy = other == NULL ? 0 : entry_energy(mask, other);
  uint64_t count = 0;
  for (uint64_t i = 0; i < entry_tile_count(e); ++i) {
    uint64_t members = other == NULL ? 1 : 2;
    uint64_t size = tile_weights(e, i) * members;
    double gain = tile_gain(mask, e, i, energy);
    if (other != NULL) gain += tile_gain(mask, other, i, other_energy);
    *weights += size;
    // A tile of one or two columns loses nothing: it is 2:4 as it stands.
    if (tile_pruned(e, i) == 0) continue;
    units[count++] = (unit){
        .ratio = gain / (DENSE_EXTRA_BYTES * (double)size),
        .pruned = tile_pruned(e, i) * members,
        .tile = e->tile_first + i,
        .partner_tile = other == NULL ? UINT64_MAX : other->tile_first + i,
    };
  }
  return count;
}

static tsr_status choose_all(tsr_mask *mask, tsr_error *error) {
  unit *units = tsr_calloc((size_t)mask->tile_count, sizeof(*units));
  uint64_t count = 0;
  uint64_t weights = 0;
  if (units == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < mask->entry_count; ++i) {
    if (mask->entries[i].tensor.partner != TSR_MASK_NO_PARTNER) continue;
    count += make_units(mask, i, units + count, &weights);
    if (!mask->options.per_tensor) continue;
    choose(mask, units, count, weights);
    count = 0;
    weights = 0;
  }
  if (!mask->options.per_tensor) choose(mask, units, count, weights);
  tsr_free(units);
  return TSR_OK;
}

// ---------------------------------------------------------------------------
// Emitting

// ORs the |width| <= 4 low bits of |keep|, bit 0 first, into |bits| at |at|.
static void put_bits(uint8_t *bits, uint64_t at, unsigned keep,
                     uint32_t width) {
  for (uint32_t i = 0; i < width; ++i, ++at) {
    bits[at / 8] |= (uint8_t)((keep >> i & 1) << (7 - at % 8));
  }
}

static void emit_tile_row(const float *values, const float *norms,
                          uint32_t columns, bool dense, uint64_t at,
                          uint8_t *bits) {
  for (uint32_t c = 0; c < columns; c += GROUP) {
    uint32_t width = columns - c < GROUP ? columns - c : GROUP;
    unsigned keep = 0xf;
    if (!dense) {
      double scores[GROUP];
      score_group(values + c, norms == NULL ? NULL : norms + c, width, scores);
      keep = keep_two(scores);
    }
    put_bits(bits, at + c, keep, width);
  }
}

// A panel starts at a whole byte, because its rows are a multiple of 8: no two
// threads write one byte.
static tsr_status emit_chunk(const pass *p, const entry *e, uint32_t panel,
                             uint32_t row, uint32_t count, const float *values,
                             tsr_error *error) {
  const tile *tiles =
      p->mask->tiles + e->tile_first + (size_t)panel * e->column_count;
  (void)error;
  for (uint32_t r = 0; r < count; ++r) {
    const float *line = values + (size_t)r * e->tensor.columns;
    uint64_t at = (uint64_t)(row + r) * e->tensor.columns;
    for (uint32_t t = 0; t < e->column_count; ++t) {
      size_t first = (size_t)t * e->tensor.tile.columns;
      const float *norms =
          e->tensor.norms == NULL ? NULL : e->tensor.norms + first;
      emit_tile_row(line + first, norms, tile_columns(e, t), tiles[t].dense,
                    at + first, p->bits);
    }
  }
  return TSR_OK;
}

uint64_t tsr_mask_bits_size(const tsr_mask *mask, uint32_t tensor) {
  const tsr_mask_tensor *t = &mask->entries[tensor].tensor;
  return ((uint64_t)t->rows * t->columns + 7) / 8;
}

tsr_status tsr_mask_emit(const tsr_mask *mask, uint32_t tensor,
                         uint8_t *out_bits, tsr_error *error) {
  const entry *e = &mask->entries[tensor];
  pass p = {.mask = mask,
            .body = emit_chunk,
            .bits = out_bits,
            .panel_offset = e->panel_first};
  memset(out_bits, 0, (size_t)tsr_mask_bits_size(mask, tensor));
  return run_pass(&p, e->panel_count, error);
}

// ---------------------------------------------------------------------------
// Creation

static tsr_status check_norms(const tsr_mask_tensor *t, tsr_error *error) {
  if (t->norms == NULL) return TSR_OK;
  for (uint32_t c = 0; c < t->columns; ++c) {
    if (isfinite(t->norms[c]) && t->norms[c] >= 0) continue;
    return tsr_error_set(error, TSR_CORRUPT,
                         "tensor '%s': norm %u is not a finite number >= 0",
                         t->name, c);
  }
  return TSR_OK;
}

static tsr_status check_partner(const tsr_mask_tensor *tensors, uint32_t index,
                                tsr_error *error) {
  const tsr_mask_tensor *t = &tensors[index];
  if (t->partner == TSR_MASK_NO_PARTNER) return TSR_OK;
  const tsr_mask_tensor *other =
      t->partner < index ? &tensors[t->partner] : NULL;
  bool fits = other != NULL && other->partner == TSR_MASK_NO_PARTNER &&
              other->rows == t->rows && other->columns == t->columns &&
              other->tile.rows == t->tile.rows &&
              other->tile.columns == t->tile.columns;
  for (uint32_t i = 0; fits && i < index; ++i) {
    fits = tensors[i].partner != t->partner;
  }
  if (fits) return TSR_OK;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "tensor '%s' cannot be interleaved with tensor %u",
                       t->name, t->partner);
}

static tsr_status check_tensor(const tsr_mask_tensor *tensors, uint32_t index,
                               tsr_error *error) {
  const tsr_mask_tensor *t = &tensors[index];
  if (t->rows == 0 || t->columns == 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT, "tensor '%s' is empty",
                         t->name);
  }
  if (t->tile.rows == 0 || t->tile.rows % CHUNK_ROWS != 0 ||
      t->tile.columns == 0 || t->tile.columns % GROUP != 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "tensor '%s': tiles of %ux%u are not possible",
                         t->name, t->tile.rows, t->tile.columns);
  }
  tsr_status status = check_norms(t, error);
  if (status == TSR_OK) status = check_partner(tensors, index, error);
  return status;
}

static tsr_status check_all(const tsr_mask_tensor *tensors, uint32_t count,
                            const tsr_mask_options *options, tsr_error *error) {
  tsr_status status = TSR_OK;
  if (!(options->sparsity >= 0 && options->sparsity <= 0.5)) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "sparsity %g is not between 0 and 0.5",
                         options->sparsity);
  }
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    status = check_tensor(tensors, i, error);
  }
  return status;
}

static void place_entries(tsr_mask *mask, const tsr_mask_tensor *tensors) {
  for (uint32_t i = 0; i < mask->entry_count; ++i) {
    entry *e = &mask->entries[i];
    const tsr_mask_tensor *t = &tensors[i];
    e->tensor = *t;
    e->panel_count = (t->rows - 1) / t->tile.rows + 1;
    e->column_count = (t->columns - 1) / t->tile.columns + 1;
    e->tile_first = mask->tile_count;
    e->panel_first = mask->panel_count;
    mask->tile_count += entry_tile_count(e);
    mask->panel_count += e->panel_count;
    if (t->columns > mask->columns_max) mask->columns_max = t->columns;
  }
}

tsr_status tsr_mask_create(const tsr_mask_tensor *tensors,
                           uint32_t tensor_count,
                           const tsr_mask_options *options, tsr_mask **out_mask,
                           tsr_error *error) {
  *out_mask = NULL;
  tsr_status status = check_all(tensors, tensor_count, options, error);
  if (status != TSR_OK) return status;
  tsr_mask *mask = tsr_calloc(1, sizeof(*mask));
  if (mask == NULL) return tsr_error_out_of_memory(error);
  mask->options = *options;
  mask->entry_count = tensor_count;
  mask->entries = tsr_calloc(tensor_count, sizeof(*mask->entries));
  if (mask->entries != NULL) {
    place_entries(mask, tensors);
    mask->tiles = tsr_calloc((size_t)mask->tile_count, sizeof(*mask->tiles));
  }
  if (mask->tiles == NULL) status = tsr_error_out_of_memory(error);
  if (status == TSR_OK) {
    pass p = {.mask = mask, .body = score_chunk, .tiles = mask->tiles};
    status = run_pass(&p, mask->panel_count, error);
  }
  if (status == TSR_OK) status = choose_all(mask, error);
  if (status == TSR_OK) {
    *out_mask = mask;
  } else {
    tsr_mask_destroy(mask);
  }
  return status;
}

void tsr_mask_destroy(tsr_mask *mask) {
  if (mask == NULL) return;
  tsr_free(mask->entries);
  tsr_free(mask->tiles);
  tsr_free(mask);
}

// ---------------------------------------------------------------------------
// Reports

double tsr_mask_target(const tsr_mask *mask) {
  return mask->options.sparsity;
}

uint32_t tsr_mask_tensor_count(const tsr_mask *mask) {
  return mask->entry_count;
}

const tsr_mask_tensor *tsr_mask_get_tensor(const tsr_mask *mask,
                                           uint32_t tensor) {
  return &mask->entries[tensor].tensor;
}

tsr_kind tsr_mask_tile_kind(const tsr_mask *mask, uint32_t tensor,
                            uint64_t tile_index) {
  const entry *e = &mask->entries[tensor];
  assert(tile_index < entry_tile_count(e));
  return mask->tiles[e->tile_first + tile_index].dense ? TSR_KIND_DENSE
                                                       : TSR_KIND_SPARSE24;
}

tsr_mask_report tsr_mask_report_tensor(const tsr_mask *mask, uint32_t tensor) {
  const entry *e = &mask->entries[tensor];
  tsr_mask_report report = {.energy = entry_energy(mask, e)};
  for (uint64_t i = 0; i < entry_tile_count(e); ++i) {
    const tile *t = &mask->tiles[e->tile_first + i];
    ++report.tiles[tsr_mask_tile_kind(mask, tensor, i)];
    report.weights += tile_weights(e, i);
    report.kept_weights += tile_weights(e, i);
    if (t->dense) continue;
    report.kept_weights -= tile_pruned(e, i);
    report.lost_energy += t->error;
  }
  return report;
}

tsr_mask_report tsr_mask_report_total(const tsr_mask *mask) {
  tsr_mask_report total = {0};
  for (uint32_t i = 0; i < mask->entry_count; ++i) {
    tsr_mask_report report = tsr_mask_report_tensor(mask, i);
    for (int kind = 0; kind < TSR_KIND_COUNT; ++kind) {
      total.tiles[kind] += report.tiles[kind];
    }
    total.weights += report.weights;
    total.kept_weights += report.kept_weights;
    total.energy += report.energy;
    total.lost_energy += report.lost_energy;
  }
  return total;
}

double tsr_mask_report_sparsity(const tsr_mask_report *report) {
  if (report->weights == 0) return 0;
  return (double)(report->weights - report->kept_weights) /
         (double)report->weights;
}

double tsr_mask_report_error(const tsr_mask_report *report) {
  return report->energy > 0 ? sqrt(report->lost_energy / report->energy) : 0;
}
