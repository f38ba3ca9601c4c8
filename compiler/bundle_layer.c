// SPDX-License-Identifier: Apache-2.0
// One layer into weights.bin, family after family. Workers' shares are
// contiguous in panel order, so a stream is simply the panels one after the
// other: a window of panels is read and packed in parallel, each into its own
// memory, then written in order. What families differ in is one table.
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "compiler/bundle.h"

enum { WINDOW_PER_THREAD = 2 };

// What one thread reads a panel into.
typedef struct scratch {
  float *values;
  uint8_t *keep;
} scratch;

struct packer;

// How a family stores a layer.
typedef struct family {
  tsr_tile_cost tile_size;  // bytes
  void (*pack_tile)(const float *values, size_t value_stride,
                    const uint8_t *keep, size_t keep_stride, uint32_t column,
                    uint32_t rows, uint32_t columns, tsr_kind kind,
                    tsr_dtype type, void *out);
  // Appends the schedule section; |*out_stream_size| is what it says of the
  // stream.
  void (*write_schedule)(const tsr_layer_schedule *schedule, tsr_buffer *out,
                         uint64_t *out_stream_size);
} family;

// One family of one layer.
typedef struct packer {
  tsr_packing *archive;
  const tsr_plan_layer *layer;
  const tsr_matrix *matrix;
  const tsr_tile_grid *grid;
  const tsr_layer_schedule *schedule;
  const tsr_pack_options *options;
  tsr_target_family which;
  const family *family;
  uint64_t *sizes;  // [panel_count]: packed bytes
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

static void write_host_schedule(const tsr_layer_schedule *schedule,
                                tsr_buffer *out, uint64_t *out_stream_size) {
  tsr_host_write_schedule(schedule->host, out, out_stream_size);
}

static void write_cuda_schedule(const tsr_layer_schedule *schedule,
                                tsr_buffer *out, uint64_t *out_stream_size) {
  tsr_nvidia_tables_write(schedule->cuda, out);
  *out_stream_size = schedule->cuda->stream_size;
}

static const family families[TSR_FAMILY_COUNT] = {
    [TSR_TARGET_HOST] = {tsr_host_tile_cost, tsr_host_pack_tile,
                         write_host_schedule},
    [TSR_TARGET_CUDA] = {tsr_fragment_byte_cost, tsr_fragment_pack_tile,
                         write_cuda_schedule},
};

static void measure_panels(packer *p) {
  const tsr_tile_grid *grid = p->grid;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      tsr_kind kind = tsr_grid_kind(grid, panel, column);
      if (kind == TSR_KIND_ZERO) continue;
      p->sizes[panel] += p->family->tile_size(grid, panel, column, kind);
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
    p->outputs[i] = tsr_aligned_alloc(TSR_FRAGMENT_ALIGNMENT, (size_t)largest);
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
  p->sizes = tsr_calloc(panels, sizeof(*p->sizes));
  p->scratches = tsr_calloc(p->threads, sizeof(*p->scratches));
  p->outputs = tsr_calloc(p->window, sizeof(*p->outputs));
  p->kept = tsr_calloc(p->window, sizeof(*p->kept));
  if (p->sizes == NULL || p->scratches == NULL || p->outputs == NULL ||
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
  tsr_free(p->sizes);
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

static void pack_tiles(const packer *p, uint32_t panel, const scratch *from,
                       uint8_t *out) {
  const tsr_tile_grid *grid = p->grid;
  uint32_t rows = tsr_grid_panel_rows(grid, panel);
  for (uint32_t i = 0; i < grid->column_count; ++i) {
    tsr_kind kind = tsr_grid_kind(grid, panel, i);
    uint32_t column = i * grid->tile.columns;
    if (kind == TSR_KIND_ZERO) continue;
    p->family->pack_tile(from->values + column, grid->columns, from->keep,
                         keep_stride(p), column, rows,
                         tsr_grid_tile_columns(grid, i), kind,
                         p->layer->weight_type, out);
    out += p->family->tile_size(grid, panel, i, kind);
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
  if (p->sizes[index] == 0) return TSR_OK;
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
                                (size_t)p->sizes[index], error);
    *kept += p->kept[i];
    weights += (uint64_t)tsr_grid_panel_rows(p->grid, index) * p->grid->columns;
  }
  if (status == TSR_OK && p->options->progress != NULL) {
    status = p->options->progress(p->options->context, weights, error);
  }
  return status;
}

static tsr_status pack_panels(packer *p, uint64_t *out_kept, tsr_error *error) {
  uint64_t largest = 0;
  for (uint32_t i = 0; i < p->grid->panel_count; ++i) {
    if (p->sizes[i] > largest) largest = p->sizes[i];
  }
  if (!allocate_scratch(p) || !allocate_outputs(p, largest)) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status = TSR_OK;
  while (status == TSR_OK && p->window_first < p->grid->panel_count) {
    uint32_t left = p->grid->panel_count - p->window_first;
    uint32_t count = left < p->window ? left : p->window;
    status = pack_window(p, count, out_kept, error);
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

static tsr_status write_stream(packer *p, tsr_packed_part *part,
                               uint64_t *out_kept, tsr_error *error) {
  uint64_t size = 0;
  for (uint32_t i = 0; i < p->grid->panel_count; ++i) size += p->sizes[i];
  const uint8_t *old = NULL;
  *out_kept = 0;
  if (p->options->previous != NULL) {
    old = tsr_previous_stream(p->options->previous, p->layer->name, p->which,
                              size, out_kept);
  }
  tsr_status status =
      tsr_packing_begin(p->archive, TSR_STREAM_ALIGNMENT, error);
  if (status != TSR_OK) return status;
  part->is_reused = old != NULL;
  status = old != NULL ? copy_stream(p, old, size, error)
                       : pack_panels(p, out_kept, error);
  if (status == TSR_OK) tsr_packing_end(p->archive, &part->stream);
  return status;
}

static tsr_status write_schedule(packer *p, tsr_packed_part *part,
                                 tsr_error *error) {
  tsr_buffer section;
  tsr_buffer_init(&section);
  uint64_t stream_size;
  p->family->write_schedule(p->schedule, &section, &stream_size);
  tsr_status status = tsr_buffer_status(&section, error);
  if (status == TSR_OK && stream_size != part->stream.size) {
    status = tsr_error_set(error, TSR_INTERNAL,
                           "schedule and stream disagree about their size");
  }
  if (status == TSR_OK) {
    status =
        tsr_packing_section(p->archive, TSR_SECTION_ALIGNMENT, section.data,
                            section.size, &part->schedule, error);
  }
  tsr_buffer_fini(&section);
  return status;
}

// Stream and schedule of one family.
static tsr_status write_part(packer *p, tsr_packed_layer *out,
                             tsr_error *error) {
  tsr_packed_part *part = &out->parts[p->which];
  p->family = &families[p->which];
  tsr_status status = packer_init(p, error);
  if (status == TSR_OK) {
    status = write_stream(p, part, &out->kept_weights, error);
  }
  if (status == TSR_OK) status = write_schedule(p, part, error);
  packer_fini(p);
  return status;
}

static tsr_status write_bias(const packer *p, tsr_packed_layer *out,
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

static tsr_status write_grid(const packer *p, tsr_packed_layer *out,
                             tsr_error *error) {
  size_t cells = (size_t)p->grid->panel_count * p->grid->column_count;
  return tsr_packing_section(p->archive, TSR_SECTION_ALIGNMENT, p->grid->kinds,
                             cells, &out->grid, error);
}

tsr_status tsr_packing_layer(tsr_packing *archive, const tsr_plan_layer *layer,
                             const tsr_matrix *matrix,
                             const tsr_layer_schedule *schedule,
                             const tsr_pack_options *options,
                             tsr_packed_layer *out_layer, tsr_error *error) {
  const packer fresh = {.archive = archive,
                        .layer = layer,
                        .matrix = matrix,
                        .grid = schedule->grid,
                        .schedule = schedule,
                        .options = options};
  tsr_packed_layer_init(schedule, out_layer);
  tsr_status status = TSR_OK;
  for (int i = 0; status == TSR_OK && i < TSR_FAMILY_COUNT; ++i) {
    packer p = fresh;
    p.which = (tsr_target_family)i;
    if (!tsr_layer_has(schedule, p.which)) continue;
    status = write_part(&p, out_layer, error);
  }
  if (status == TSR_OK) status = write_bias(&fresh, out_layer, error);
  if (status == TSR_OK) status = write_grid(&fresh, out_layer, error);
  return status;
}
