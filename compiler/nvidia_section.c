// SPDX-License-Identifier: Apache-2.0
// The tables of a layer as a section of a bundle, there and back, and as text.
// What is read is not trusted: a bundle may be damaged.
#include <string.h>

#include "compiler/nvidia_schedule.h"

// ---- The section -----------------------------------------------------------

void tsr_nvidia_tables_write(const tsr_nvidia_tables *tables, tsr_buffer *out) {
  tsr_nvidia_schedule header = {.step_count = tables->step_count,
                                .cut_count = tables->cut_count,
                                .worker_count = tables->worker_count,
                                .segment_count = tables->segment_count};
  tsr_buffer_append(out, &header, sizeof(header));
  tsr_buffer_append(out, tables->steps,
                    tables->step_count * sizeof(*tables->steps));
  tsr_buffer_append(out, tables->cuts,
                    tables->cut_count * sizeof(*tables->cuts));
  tsr_buffer_append(out, tables->workers,
                    tables->worker_count * sizeof(*tables->workers));
  tsr_buffer_append(out, tables->segments,
                    tables->segment_count * sizeof(*tables->segments));
}

static bool check_steps(const tsr_nvidia_tables *tables) {
  uint64_t blocks = tables->stream_size / TSR_FRAGMENT_ALIGNMENT;
  for (uint32_t i = 0; i < tables->step_count; ++i) {
    const tsr_nvidia_step *step = &tables->steps[i];
    uint32_t sixteenths = tsr_nvidia_step_sixteenths(step->code);
    tsr_kind kind = tsr_nvidia_step_kind(step->code);
    bool is_kind = kind == TSR_KIND_DENSE || kind == TSR_KIND_SPARSE24;
    if (!is_kind || sixteenths < 1 || sixteenths > 4 || step->code >> 30 != 0 ||
        tsr_nvidia_step_column(step->code) >= tables->grid->columns ||
        step->offset >= blocks || (i != 0 && step->offset <= step[-1].offset)) {
      return false;
    }
  }
  return true;
}

static bool check_worker(const tsr_nvidia_tables *tables,
                         const tsr_nvidia_cut *cut,
                         const tsr_nvidia_worker *worker) {
  uint32_t step = worker->step_first;
  if (worker->step_end > tables->step_count || step > worker->step_end ||
      worker->segment_first > worker->segment_end ||
      worker->segment_end > cut->segment_count) {
    return false;
  }
  for (uint32_t i = worker->segment_first; i < worker->segment_end; ++i) {
    const tsr_nvidia_segment *at = &tables->segments[cut->segment_first + i];
    if (at->panel >= tables->grid->panel_count || at->step_end < step ||
        at->step_end > worker->step_end) {
      return false;
    }
    step = at->step_end;
  }
  return true;
}

static bool check_cut(const tsr_nvidia_tables *tables,
                      const tsr_nvidia_cut *cut) {
  if (cut->mode > TSR_NVIDIA_PREFILL ||
      cut->worker_first > tables->worker_count ||
      cut->worker_count > tables->worker_count - cut->worker_first ||
      cut->segment_first > tables->segment_count ||
      cut->segment_count > tables->segment_count - cut->segment_first) {
    return false;
  }
  for (uint32_t i = 0; i < cut->worker_count; ++i) {
    const tsr_nvidia_worker *worker = &tables->workers[cut->worker_first + i];
    if (!check_worker(tables, cut, worker)) return false;
  }
  return true;
}

// The sizes that |section| says; false when they are not its size.
static bool read_header(const void *section, size_t size,
                        tsr_nvidia_tables *out) {
  tsr_nvidia_schedule header;
  if (size < sizeof(header)) return false;
  memcpy(&header, section, sizeof(header));
  out->step_count = header.step_count;
  out->cut_count = header.cut_count;
  out->worker_count = header.worker_count;
  out->segment_count = header.segment_count;
  return sizeof(header) + (uint64_t)header.step_count * sizeof(*out->steps) +
             (uint64_t)header.cut_count * sizeof(*out->cuts) +
             (uint64_t)header.worker_count * sizeof(*out->workers) +
             (uint64_t)header.segment_count * sizeof(*out->segments) ==
         size;
}

// A copy of the next |count| elements of |*io_at|; NULL when out of memory.
static void *take(tsr_arena *arena, const uint8_t **io_at, uint32_t count,
                  size_t size) {
  void *copy = tsr_arena_alloc_array(arena, count, size);
  if (copy != NULL) memcpy(copy, *io_at, count * size);
  *io_at += count * size;
  return copy;
}

static bool copy_tables(tsr_arena *arena, const void *section,
                        tsr_nvidia_tables *out) {
  const uint8_t *at = (const uint8_t *)section + sizeof(tsr_nvidia_schedule);
  out->steps = take(arena, &at, out->step_count, sizeof(*out->steps));
  out->cuts = take(arena, &at, out->cut_count, sizeof(*out->cuts));
  out->workers = take(arena, &at, out->worker_count, sizeof(*out->workers));
  out->segments = take(arena, &at, out->segment_count, sizeof(*out->segments));
  return out->steps != NULL && out->cuts != NULL && out->workers != NULL &&
         out->segments != NULL;
}

static tsr_status read(tsr_arena *arena, const void *section, size_t size,
                       tsr_nvidia_tables *out, tsr_error *error) {
  bool is_sound = read_header(section, size, out);
  if (is_sound && !copy_tables(arena, section, out)) {
    return tsr_error_out_of_memory(error);
  }
  is_sound = is_sound && check_steps(out);
  for (uint32_t i = 0; is_sound && i < out->cut_count; ++i) {
    is_sound = check_cut(out, &out->cuts[i]);
  }
  return is_sound ? TSR_OK
                  : tsr_error_set(error, TSR_CORRUPT,
                                  "a CUDA schedule contradicts itself");
}

tsr_status tsr_nvidia_tables_read(tsr_arena *arena, const void *section,
                                  size_t size, const tsr_tile_grid *grid,
                                  uint64_t stream_size,
                                  tsr_nvidia_tables *out_tables,
                                  tsr_error *error) {
  *out_tables = (tsr_nvidia_tables){.grid = grid, .stream_size = stream_size};
  tsr_status status = read(arena, section, size, out_tables, error);
  if (status != TSR_OK) *out_tables = (tsr_nvidia_tables){0};
  return status;
}

// ---- Shares ----------------------------------------------------------------

// Cost of the steps [first, end) of |panel|.
static uint64_t run_cost(const tsr_nvidia_tables *tables, uint32_t panel,
                         uint32_t first, uint32_t end, tsr_balance balance) {
  if (balance == TSR_BALANCE_TILES) return end - first;
  if (balance == TSR_BALANCE_BYTES) {
    uint64_t stop = end < tables->step_count
                        ? (uint64_t)tables->steps[end].offset
                        : tables->stream_size / TSR_FRAGMENT_ALIGNMENT;
    if (first == end) return 0;
    return (stop - tables->steps[first].offset) * TSR_FRAGMENT_ALIGNMENT;
  }
  uint32_t blocks =
      tsr_fragment_blocks(tsr_grid_panel_rows(tables->grid, panel));
  uint64_t time = 0;
  for (uint32_t i = first; i < end; ++i) {
    uint32_t code = tables->steps[i].code;
    time += tsr_fragment_steps(16 * tsr_nvidia_step_sixteenths(code),
                               tsr_nvidia_step_kind(code));
  }
  return time * blocks;
}

static uint64_t worker_cost(const tsr_nvidia_tables *tables,
                            const tsr_nvidia_cut *cut, uint32_t index,
                            tsr_balance balance) {
  const tsr_nvidia_worker *worker = &tables->workers[cut->worker_first + index];
  uint32_t step = worker->step_first;
  uint64_t cost = 0;
  for (uint32_t i = worker->segment_first; i < worker->segment_end; ++i) {
    const tsr_nvidia_segment *segment =
        &tables->segments[cut->segment_first + i];
    cost += run_cost(tables, segment->panel, step, segment->step_end, balance);
    step = segment->step_end;
  }
  return cost;
}

tsr_nvidia_shares tsr_nvidia_shares_of(const tsr_nvidia_tables *tables,
                                       uint32_t cut, tsr_balance balance) {
  const tsr_nvidia_cut *at = &tables->cuts[cut];
  tsr_nvidia_shares shares = {.least = UINT64_MAX};
  for (uint32_t i = 0; i < at->worker_count; ++i) {
    uint64_t cost = worker_cost(tables, at, i, balance);
    shares.total += cost;
    if (cost < shares.least) shares.least = cost;
    if (cost > shares.most) shares.most = cost;
  }
  if (at->worker_count == 0) shares.least = 0;
  return shares;
}

double tsr_nvidia_imbalance(const tsr_nvidia_tables *tables, uint32_t cut,
                            tsr_balance balance) {
  tsr_nvidia_shares shares = tsr_nvidia_shares_of(tables, cut, balance);
  if (shares.total == 0) return 1.0;
  return (double)shares.most * tables->cuts[cut].worker_count /
         (double)shares.total;
}

// ---- Text ------------------------------------------------------------------

// "k 64..384 columns 0..2 sDs": zero tiles in between are shown, at the ends
// not.
static void dump_run(const tsr_nvidia_tables *tables, uint32_t first,
                     uint32_t end, tsr_buffer *out) {
  const tsr_tile_grid *grid = tables->grid;
  if (first == end) {
    tsr_buffer_append_string(out, " no tiles");
    return;
  }
  uint32_t last_code = tables->steps[end - 1].code;
  uint32_t k_first = tsr_nvidia_step_column(tables->steps[first].code);
  uint32_t k_end = tsr_nvidia_step_column(last_code) +
                   16 * tsr_nvidia_step_sixteenths(last_code);
  uint32_t column = k_first / grid->tile.columns;
  uint32_t last = tsr_nvidia_step_column(last_code) / grid->tile.columns;
  tsr_buffer_printf(out, " k %u..%u columns %u..%u ", k_first,
                    k_end < grid->columns ? k_end : grid->columns, column,
                    last);
  for (uint32_t step = first; column <= last; ++column) {
    tsr_kind kind = TSR_KIND_ZERO;
    while (step < end && tsr_nvidia_step_column(tables->steps[step].code) /
                                 grid->tile.columns ==
                             column) {
      kind = tsr_nvidia_step_kind(tables->steps[step++].code);
    }
    tsr_buffer_append_char(out, tsr_kind_describe(kind)->symbol);
  }
}

static void dump_worker(const tsr_nvidia_tables *tables,
                        const tsr_nvidia_cut *cut, uint32_t index,
                        tsr_buffer *out) {
  const tsr_nvidia_worker *worker = &tables->workers[cut->worker_first + index];
  tsr_buffer_printf(
      out, "  worker %u: steps %u..%u, %llu bytes, time %llu\n", index,
      worker->step_first, worker->step_end,
      (unsigned long long)worker_cost(tables, cut, index, TSR_BALANCE_BYTES),
      (unsigned long long)worker_cost(tables, cut, index, TSR_BALANCE_TIME));
  uint32_t step = worker->step_first;
  for (uint32_t i = worker->segment_first; i < worker->segment_end; ++i) {
    const tsr_nvidia_segment *segment =
        &tables->segments[cut->segment_first + i];
    tsr_buffer_printf(out, "    panel %u", segment->panel);
    dump_run(tables, step, segment->step_end, out);
    if (segment->partial != TSR_NVIDIA_NO_PARTIAL) {
      tsr_buffer_printf(out, " -> partial %u of %u..%u, counter %u",
                        segment->partial, segment->partial_first,
                        segment->partial_first + segment->partial_count - 1,
                        segment->reduction);
    }
    tsr_buffer_append_char(out, '\n');
    step = segment->step_end;
  }
}

static void dump_cut(const tsr_nvidia_tables *tables, uint32_t index,
                     tsr_buffer *out) {
  static const char *const modes[] = {"decode", "prefill"};
  const tsr_nvidia_cut *cut = &tables->cuts[index];
  tsr_buffer_printf(out,
                    "cut %u: %s, %u multiprocessors, workers %u, partials %u, "
                    "reductions %u\n",
                    index, modes[cut->mode], cut->multiprocessors,
                    cut->worker_count, cut->partial_count,
                    cut->reduction_count);
  for (uint32_t w = 0; w < cut->worker_count; ++w) {
    dump_worker(tables, cut, w, out);
  }
}

void tsr_nvidia_class_dump(const tsr_nvidia_tables *tables,
                           uint32_t multiprocessors, tsr_buffer *out) {
  for (uint32_t i = 0; i < tables->cut_count; ++i) {
    if (tables->cuts[i].multiprocessors == multiprocessors) {
      dump_cut(tables, i, out);
    }
  }
}

void tsr_nvidia_tables_dump(const tsr_nvidia_tables *tables, tsr_buffer *out) {
  const tsr_tile_grid *grid = tables->grid;
  tsr_buffer_printf(out, "matrix %ux%u tile %ux%u steps %u bytes %llu\n",
                    grid->rows, grid->columns, grid->tile.rows,
                    grid->tile.columns, tables->step_count,
                    (unsigned long long)tables->stream_size);
  for (uint32_t i = 0; i < tables->cut_count; ++i) dump_cut(tables, i, out);
}
