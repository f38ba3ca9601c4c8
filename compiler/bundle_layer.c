// SPDX-License-Identifier: Apache-2.0
// One layer into weights.bin. Workers' shares are contiguous in panel order, so
// the stream is simply the panels one after the other: a window of panels is
// read and packed in parallel, each into its own memory, then written in order.
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "compiler/bundle.h"
#include "packer_revision.h"

enum { WINDOW_PER_THREAD = 2 };

// One panel's tiles: [tile_first, tile_first + tile_count) of the schedule.
typedef struct panel {
  uint32_t tile_first;
  uint32_t tile_count;
  uint64_t size;  // packed
} panel;

// What one thread reads a panel into.
typedef struct scratch {
  float *values;
  uint8_t *keep;
} scratch;

typedef struct packer {
  tsr_packing *archive;
  const tsr_plan_layer *layer;
  const tsr_matrix *matrix;
  const tsr_tile_grid *grid;
  const tsr_schedule *schedule;
  const tsr_pack_options *options;
  panel *panels;
  uint32_t threads;
  scratch *scratches;  // [threads]
  uint8_t **outputs;   // [window]
  uint64_t *kept;      // [window]
  uint32_t window;     // panels at a time
  uint32_t window_first;
} packer;

static size_t keep_stride(const packer *p) {
  return (p->grid->columns + 7u) / 8u;
}

// Sizes each panel from the schedule.
static void measure_panels(packer *p) {
  const tsr_schedule *schedule = p->schedule;
  for (uint32_t i = 0; i < schedule->segment_count; ++i) {
    const tsr_segment *segment = &schedule->segments[i];
    panel *to = &p->panels[segment->panel];
    if (to->tile_count == 0) to->tile_first = segment->tile_first;
    to->tile_count += segment->tile_count;
    for (uint32_t t = 0; t < segment->tile_count; ++t) {
      const tsr_scheduled_tile *tile =
          &schedule->tiles[segment->tile_first + t];
      to->size +=
          tsr_host_tile_cost(p->grid, segment->panel, tile->column, tile->kind);
    }
  }
}

static bool allocate_scratch(packer *p) {
  uint32_t rows =
      p->grid->tile.rows < p->grid->rows ? p->grid->tile.rows : p->grid->rows;
  for (uint32_t i = 0; i < p->threads; ++i) {
    size_t values = (size_t)rows * p->grid->columns * sizeof(float);
    p->scratches[i].values = tsr_malloc(values);
    p->scratches[i].keep = tsr_malloc(rows * keep_stride(p));
    if (p->scratches[i].values == NULL || p->scratches[i].keep == NULL) {
      return false;
    }
  }
  return true;
}

static bool allocate_outputs(packer *p, uint64_t largest) {
  for (uint32_t i = 0; i < p->window; ++i) {
    p->outputs[i] = tsr_aligned_alloc(TSR_HOST_ALIGNMENT, (size_t)largest);
    if (p->outputs[i] == NULL) return false;
  }
  return true;
}

static tsr_status packer_init(packer *p, tsr_error *error) {
  uint32_t panels = p->grid->panel_count;
  uint32_t threads = p->options->threads == 0 ? 1 : p->options->threads;
  if (threads > TSR_PARALLEL_MAX) threads = TSR_PARALLEL_MAX;
  p->threads = threads < panels ? threads : panels;
  p->window = p->threads * WINDOW_PER_THREAD;
  if (p->window > panels) p->window = panels;
  p->panels = tsr_calloc(panels, sizeof(*p->panels));
  p->scratches = tsr_calloc(p->threads, sizeof(*p->scratches));
  p->outputs = tsr_calloc(p->window, sizeof(*p->outputs));
  p->kept = tsr_calloc(p->window, sizeof(*p->kept));
  if (p->panels == NULL || p->scratches == NULL || p->outputs == NULL ||
      p->kept == NULL) {
    return tsr_error_out_of_memory(error);
  }
  measure_panels(p);
  return TSR_OK;
}

static void packer_fini(packer *p) {
  for (uint32_t i = 0; p->scratches != NULL && i < p->threads; ++i) {
    tsr_free(p->scratches[i].values);
    tsr_free(p->scratches[i].keep);
  }
  for (uint32_t i = 0; p->outputs != NULL && i < p->window; ++i) {
    tsr_free(p->outputs[i]);
  }
  tsr_free(p->panels);
  tsr_free(p->scratches);
  tsr_free(p->outputs);
  tsr_free(p->kept);
}

static uint64_t count_bits(const uint8_t *bytes, size_t size) {
  uint64_t count = 0;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    count += (uint64_t)__builtin_popcountll(word);
  }
  for (; size != 0; --size) count += (uint64_t)__builtin_popcount(*bytes++);
  return count;
}

static void pack_tiles(const packer *p, uint32_t index, const scratch *from,
                       uint8_t *out) {
  const panel *here = &p->panels[index];
  uint32_t rows = tsr_grid_panel_rows(p->grid, index);
  for (uint32_t t = 0; t < here->tile_count; ++t) {
    const tsr_scheduled_tile *tile = &p->schedule->tiles[here->tile_first + t];
    uint32_t column = tile->column * p->grid->tile.columns;
    tsr_host_pack_tile(from->values + column, p->grid->columns, from->keep,
                       keep_stride(p), column, rows,
                       tsr_grid_tile_columns(p->grid, tile->column), tile->kind,
                       p->layer->weight_type, out);
    out += tsr_host_tile_cost(p->grid, index, tile->column, tile->kind);
  }
}

// Task |slot| of the window.
static tsr_status pack_panel(void *context, uint32_t worker, uint64_t slot,
                             tsr_error *error) {
  const packer *p = context;
  const scratch *mine = &p->scratches[worker];
  uint32_t index = p->window_first + (uint32_t)slot;
  uint32_t rows = tsr_grid_panel_rows(p->grid, index);
  p->kept[slot] = 0;
  if (p->panels[index].tile_count == 0) return TSR_OK;
  tsr_status status = tsr_matrix_read(p->matrix, index * p->grid->tile.rows,
                                      rows, mine->values, mine->keep, error);
  if (status != TSR_OK) return status;
  p->kept[slot] = count_bits(mine->keep, rows * keep_stride(p));
  pack_tiles(p, index, mine, p->outputs[slot]);
  return TSR_OK;
}

static tsr_status pack_window(packer *p, uint32_t count, uint64_t *kept,
                              tsr_error *error) {
  tsr_status status = tsr_parallel_for(p->threads, count, pack_panel, p, error);
  uint64_t weights = 0;
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    uint32_t index = p->window_first + i;
    status = tsr_packing_append(p->archive, p->outputs[i],
                                (size_t)p->panels[index].size, error);
    *kept += p->kept[i];
    weights += (uint64_t)tsr_grid_panel_rows(p->grid, index) * p->grid->columns;
  }
  if (status == TSR_OK && p->options->progress != NULL) {
    status = p->options->progress(p->options->context, weights, error);
  }
  return status;
}

static tsr_status pack_panels(packer *p, tsr_packed_layer *out,
                              tsr_error *error) {
  uint64_t largest = 0;
  for (uint32_t i = 0; i < p->grid->panel_count; ++i) {
    if (p->panels[i].size > largest) largest = p->panels[i].size;
  }
  if (!allocate_scratch(p) || !allocate_outputs(p, largest)) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status = TSR_OK;
  while (status == TSR_OK && p->window_first < p->grid->panel_count) {
    uint32_t left = p->grid->panel_count - p->window_first;
    uint32_t count = left < p->window ? left : p->window;
    status = pack_window(p, count, &out->kept_weights, error);
    p->window_first += count;
  }
  return status;
}

// An unchanged layer's stream, in pieces, so that little of it is in memory.
static tsr_status copy_stream(packer *p, const uint8_t *data, uint64_t size,
                              tsr_error *error) {
  const uint64_t piece = (uint64_t)8 << 20;
  tsr_status status = TSR_OK;
  for (uint64_t done = 0; status == TSR_OK && done < size;) {
    uint64_t here = size - done < piece ? size - done : piece;
    status = tsr_packing_append(p->archive, data + done, (size_t)here, error);
    tsr_previous_drop(p->options->previous, data + done, here);
    done += here;
  }
  if (status == TSR_OK && p->options->progress != NULL) {
    uint64_t weights = (uint64_t)p->grid->rows * p->grid->columns;
    status = p->options->progress(p->options->context, weights, error);
  }
  return status;
}

static tsr_status write_stream(packer *p, tsr_packed_layer *out,
                               tsr_error *error) {
  uint64_t size = 0;
  for (uint32_t i = 0; i < p->grid->panel_count; ++i) size += p->panels[i].size;
  const uint8_t *old = NULL;
  if (p->options->previous != NULL) {
    old = tsr_previous_stream(p->options->previous, p->layer->name, size,
                              &out->kept_weights);
  }
  tsr_status status =
      tsr_packing_begin(p->archive, TSR_STREAM_ALIGNMENT, error);
  if (status != TSR_OK) return status;
  out->reused = old != NULL;
  status = old != NULL ? copy_stream(p, old, size, error)
                       : pack_panels(p, out, error);
  if (status == TSR_OK) tsr_packing_end(p->archive, &out->stream);
  return status;
}

static tsr_status write_schedule(packer *p, tsr_packed_layer *out,
                                 tsr_error *error) {
  tsr_buffer section;
  tsr_buffer_init(&section);
  uint64_t stream_size;
  tsr_host_write_schedule(p->schedule, &section, &stream_size);
  tsr_status status = tsr_buffer_status(&section, error);
  if (status == TSR_OK && stream_size != out->stream.size) {
    status = tsr_error_set(error, TSR_INTERNAL,
                           "schedule and stream disagree about their size");
  }
  if (status == TSR_OK) {
    status =
        tsr_packing_section(p->archive, TSR_SECTION_ALIGNMENT, section.data,
                            section.size, &out->schedule, error);
  }
  tsr_buffer_fini(&section);
  return status;
}

static tsr_status write_bias(packer *p, tsr_packed_layer *out,
                             tsr_error *error) {
  if (!p->layer->has_bias) return TSR_OK;
  size_t size = (size_t)p->grid->rows * sizeof(float);
  float *bias = tsr_malloc(size);
  if (bias == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = tsr_matrix_read_bias(p->matrix, bias, error);
  if (status == TSR_OK) {
    status = tsr_packing_section(p->archive, TSR_SECTION_ALIGNMENT, bias, size,
                                 &out->bias, error);
  }
  tsr_free(bias);
  return status;
}

static tsr_status write_grid(packer *p, tsr_packed_layer *out,
                             tsr_error *error) {
  size_t cells = (size_t)p->grid->panel_count * p->grid->column_count;
  for (size_t i = 0; i < cells; ++i) ++out->tiles[p->grid->kinds[i]];
  return tsr_packing_section(p->archive, TSR_SECTION_ALIGNMENT, p->grid->kinds,
                             cells, &out->grid, error);
}

tsr_status tsr_packing_layer(tsr_packing *archive, const tsr_plan_layer *layer,
                             const tsr_matrix *matrix,
                             const tsr_schedule *schedule,
                             const tsr_pack_options *options,
                             tsr_packed_layer *out_layer, tsr_error *error) {
  packer p = {.archive = archive,
              .layer = layer,
              .matrix = matrix,
              .grid = schedule->grid,
              .schedule = schedule,
              .options = options};
  *out_layer = (tsr_packed_layer){.rows = p.grid->rows,
                                  .columns = p.grid->columns,
                                  .workers = schedule->worker_count,
                                  .partials = schedule->partial_count};
  tsr_status status = packer_init(&p, error);
  if (status == TSR_OK) status = write_stream(&p, out_layer, error);
  if (status == TSR_OK) status = write_schedule(&p, out_layer, error);
  if (status == TSR_OK) status = write_bias(&p, out_layer, error);
  if (status == TSR_OK) status = write_grid(&p, out_layer, error);
  packer_fini(&p);
  return status;
}

// ---- Keys ------------------------------------------------------------------

const char *tsr_key_part_name(tsr_key_part part) {
  static const char *const names[TSR_KEY_PART_COUNT] = {"weights", "mask",
                                                        "options", "compiler"};
  return names[part];
}

// Numbers are hashed one by one: padding in structs has no value.
static void hash_number(tsr_hash *state, uint64_t number) {
  uint64_t words[3] = {state->low, state->high, number};
  *state = tsr_hash_bytes(words, sizeof(words));
}

static tsr_hash hash_options(const tsr_plan_layer *layer, uint32_t workers) {
  tsr_hash hash = {0};
  hash_number(&hash, layer->combine);
  hash_number(&hash, layer->tensor_count);
  hash_number(&hash, layer->tile.rows);
  hash_number(&hash, layer->tile.columns);
  hash_number(&hash, layer->weight_type);
  hash_number(&hash, layer->has_bias);
  hash_number(&hash, workers);
  hash_number(&hash, layer->schedule.balance);
  hash_number(&hash, layer->schedule.split_panels);
  hash_number(&hash, layer->rule_count);
  for (uint32_t i = 0; i < layer->rule_count; ++i) {
    const tsr_plan_rule *rule = &layer->rules[i];
    hash_number(&hash, rule->kind);
    hash_number(&hash, rule->row_begin);
    hash_number(&hash, rule->row_end);
    hash_number(&hash, rule->column_begin);
    hash_number(&hash, rule->column_end);
    hash_number(&hash, rule->is_assertion);
  }
  return hash;
}

void tsr_layer_key_init(const tsr_plan_layer *layer, uint32_t workers,
                        tsr_layer_key *out_key) {
  *out_key = (tsr_layer_key){0};
  out_key->parts[TSR_KEY_OPTIONS] = hash_options(layer, workers);
  tsr_hash *compiler = &out_key->parts[TSR_KEY_COMPILER];
  hash_number(compiler, TSR_BUNDLE_VERSION);
  hash_number(compiler, TSR_HOST_ABI_VERSION);
  hash_number(compiler, TSR_PACKER_REVISION);
}
