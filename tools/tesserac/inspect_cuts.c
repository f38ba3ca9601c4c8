// SPDX-License-Identifier: Apache-2.0
// tesserac inspect for people: how a layer's steps are divided between CUDA
// thread blocks. A bundle has some twenty cuts for each of four classes of
// device; of those that prefill has, a launch takes one by its token count. So
// one layer in detail shows what launches get, by range of tokens; --cuts lists
// what there is.
#include <string.h>

#include "base/memory.h"
#include "base/nvidia_cut.h"
#include "common/terminal.h"
#include "tesserac/inspection.h"

// Beyond so many tokens there are waves enough for any cut to do.
enum { TOKEN_LIMIT = 8192 };

// A layer's cuts and kernels, for the time of showing them.
typedef struct view {
  const tsr_inspection *inspection;
  const json_t *kernels;  // the layer's, as indices
  tsr_arena arena;
  tsr_tile_grid grid;
  tsr_nvidia_tables tables;
} view;

static bool view_open(const tsr_inspection *inspection, uint32_t index,
                      view *out) {
  const json_t *cuda = tsr_inspection_cuda(inspection, index);
  *out = (view){.inspection = inspection,
                .kernels = json_object_get(cuda, "kernels")};
  return cuda != NULL && tsr_inspection_schedule(inspection, index, &out->arena,
                                                 &out->grid, &out->tables);
}

static void view_close(view *v) {
  tsr_arena_fini(&v->arena);
}

// The cut after the last of the class that begins with |first|.
static uint32_t class_end(const tsr_nvidia_tables *tables, uint32_t first) {
  uint32_t end = first;
  while (end < tables->cut_count && tables->cuts[end].multiprocessors ==
                                        tables->cuts[first].multiprocessors) {
    ++end;
  }
  return end;
}

// ---- Kernels ---------------------------------------------------------------

typedef struct kernel {
  uint64_t first, last;  // tokens
  uint64_t tile;         // tokens of a token tile
} kernel;

// The layer's kernel |index| if its mode is |mode| and none before it is alike:
// targets may have kernels of their own.
static bool read_kernel(const view *v, size_t index, const char *mode,
                        kernel *out) {
  const json_t *all = json_object_get(v->inspection->manifest, "cuda_kernels");
  json_int_t number = json_integer_value(json_array_get(v->kernels, index));
  const json_t *json = number < 0 ? NULL : json_array_get(all, (size_t)number);
  *out = (kernel){tsr_json_uint_at(json, "tokens", 0),
                  tsr_json_uint_at(json, "tokens", 1),
                  tsr_json_uint(json, "block_tokens")};
  return strcmp(tsr_json_string(json, "mode"), mode) == 0 && out->tile != 0;
}

static bool is_new(const view *v, size_t index, const char *mode,
                   const kernel *k) {
  for (size_t i = 0; i < index; ++i) {
    kernel before;
    if (read_kernel(v, i, mode, &before) && before.first == k->first &&
        before.last == k->last && before.tile == k->tile) {
      return false;
    }
  }
  return true;
}

// Bytes of |tiles| token tiles of |tile| tokens; no header where nothing is
// split.
static uint64_t workspace(const view *v, const tsr_nvidia_cut *cut,
                          uint64_t tiles, uint64_t tile) {
  uint64_t slots = tiles * cut->partial_count;
  if (slots == 0) return 0;
  return TSR_NVIDIA_WORKSPACE_HEADER +
         slots * tile * v->grid.tile.rows * sizeof(float);
}

static void put_bytes(tsr_table *table, uint64_t bytes) {
  tsr_table_cell(table, "%s", tsr_format_bytes(bytes).text);
}

// ---- Decode ----------------------------------------------------------------

// Tokens of the largest token tile that decode kernels have; 0: there are none.
static uint64_t decode_tile(const view *v) {
  uint64_t most = 0;
  for (size_t i = 0; i < json_array_size(v->kernels); ++i) {
    kernel k;
    if (read_kernel(v, i, "decode", &k) && k.tile > most) most = k.tile;
  }
  return most;
}

static void put_decode(const view *v, uint32_t index, uint64_t tile,
                       tsr_table *table) {
  const tsr_nvidia_cut *cut = &v->tables.cuts[index];
  tsr_nvidia_shares shares =
      tsr_nvidia_shares_of(&v->tables, index, TSR_BALANCE_BYTES);
  uint32_t workers = cut->worker_count == 0 ? 1 : cut->worker_count;
  tsr_table_cell(table, "%u", cut->multiprocessors);
  tsr_table_cell(table, "%u", cut->worker_count);
  put_bytes(table, shares.least);
  put_bytes(table, shares.total / workers);
  put_bytes(table, shares.most);
  tsr_table_cell(table, "%u", cut->reduction_count);
  put_bytes(table, workspace(v, cut, 1, tile));
}

static void decode(const view *v, tsr_buffer *out) {
  static const char *const headers[] = {
      ">multiprocessors", ">blocks",    ">least", ">mean", ">most",
      ">split panels",    ">workspace", NULL};
  uint64_t tile = decode_tile(v);
  if (tile == 0) return;
  tsr_inspection_title(v->inspection,
                       "CUDA decode: bytes of weights of a thread block", out);
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < v->tables.cut_count; ++i) {
    if (v->tables.cuts[i].mode == TSR_NVIDIA_DECODE) {
      put_decode(v, i, tile, table);
    }
  }
  tsr_inspection_render(v->inspection, table, out);
}

// ---- Prefill ---------------------------------------------------------------

// What the launches of a range of tokens take.
typedef struct launches {
  uint32_t blocks[2];  // of a token tile: fewest, most
  uint32_t panels[2];  // that are split
  double imbalance;    // the worst: largest share over the mean, in time
  uint64_t workspace;  // the largest
} launches;

static void widen(uint32_t range[2], uint32_t value) {
  if (value < range[0]) range[0] = value;
  if (value > range[1]) range[1] = value;
}

// Of the class whose cuts begin with |first|. False: there is no launch.
static bool gather(const view *v, uint32_t first, const kernel *k,
                   launches *out) {
  const tsr_nvidia_cut *cuts = &v->tables.cuts[first];
  uint32_t count = class_end(&v->tables, first) - first;
  *out = (launches){{UINT32_MAX, 0}, {UINT32_MAX, 0}, 1, 0};
  uint64_t last = (k->last - 1) / k->tile + 1;
  for (uint64_t tiles = (k->first - 1) / k->tile + 1; tiles <= last; ++tiles) {
    tsr_nvidia_launch launch = {.mode = TSR_NVIDIA_PREFILL,
                                .token_tiles = (uint32_t)tiles,
                                .multiprocessors = cuts->multiprocessors,
                                .tile_rows = v->grid.tile.rows,
                                .stream_bytes = v->tables.stream_size};
    const tsr_nvidia_cut *cut = tsr_nvidia_cut_pick(cuts, count, &launch);
    if (cut == NULL) continue;
    widen(out->blocks, cut->worker_count);
    widen(out->panels, cut->reduction_count);
    double imbalance = tsr_nvidia_imbalance(
        &v->tables, first + (uint32_t)(cut - cuts), TSR_BALANCE_TIME);
    if (imbalance > out->imbalance) out->imbalance = imbalance;
    uint64_t size = workspace(v, cut, tiles, k->tile);
    if (size > out->workspace) out->workspace = size;
  }
  return out->blocks[1] != 0;
}

static void put_range(tsr_table *table, const uint32_t range[2]) {
  char text[TSR_RANGE_LIMIT];
  tsr_format_range(range[0], range[1], text);
  tsr_table_cell(table, "%s", text);
}

// |k|: a kernel, with a part of its tokens.
static bool put_prefill(const view *v, uint32_t first, bool is_first,
                        const kernel *k, tsr_table *table) {
  launches found;
  char tokens[TSR_RANGE_LIMIT];
  if (!gather(v, first, k, &found)) return false;
  tsr_format_range(k->first, k->last, tokens);
  if (is_first) {
    tsr_table_cell(table, "%u", v->tables.cuts[first].multiprocessors);
  } else {
    tsr_table_cell(table, "%s", "");
  }
  tsr_table_cell(table, "%s", tokens);
  tsr_table_cell(table, "%llu", (unsigned long long)k->tile);
  put_range(table, found.blocks);
  put_range(table, found.panels);
  tsr_table_cell(table, "%.3f", found.imbalance);
  put_bytes(table, found.workspace);
  return true;
}

// The end of the part of a range of tokens that begins with |first|: parts are
// four times as long as what is before them.
static uint64_t part_end(uint64_t first, uint64_t last) {
  uint64_t end = 128;
  while (end < first) end *= 4;
  return end < last ? end : last;
}

static void prefill_class(const view *v, uint32_t first, tsr_table *table) {
  bool is_first = true;
  for (size_t i = 0; i < json_array_size(v->kernels); ++i) {
    kernel k;
    if (!read_kernel(v, i, "prefill", &k) || !is_new(v, i, "prefill", &k)) {
      continue;
    }
    uint64_t last = k.last < TOKEN_LIMIT ? k.last : TOKEN_LIMIT;
    // A range that begins beyond is shown by its first token.
    if (k.first > last) last = k.first;
    for (uint64_t at = k.first; at != 0 && at <= last;) {
      kernel part = {at, part_end(at, last), k.tile};
      if (put_prefill(v, first, is_first, &part, table)) is_first = false;
      at = part.last + 1;
    }
  }
}

static bool has_prefill(const view *v) {
  kernel k;
  for (size_t i = 0; i < json_array_size(v->kernels); ++i) {
    if (read_kernel(v, i, "prefill", &k)) return true;
  }
  return false;
}

static void prefill(const view *v, tsr_buffer *out) {
  static const char *const headers[] = {
      ">multiprocessors", ">tokens",    ">tile",      ">blocks",
      ">split panels",    ">most time", ">workspace", NULL};
  if (!has_prefill(v)) return;
  tsr_inspection_title(
      v->inspection,
      "CUDA prefill: thread blocks of a token tile (most: over the mean)", out);
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < v->tables.cut_count; i = class_end(&v->tables, i)) {
    prefill_class(v, i, table);
  }
  tsr_inspection_render(v->inspection, table, out);
}

void tsr_inspection_cut_summary(const tsr_inspection *inspection,
                                uint32_t index, tsr_buffer *out) {
  view v;
  if (view_open(inspection, index, &v)) {
    decode(&v, out);
    prefill(&v, out);
  }
  view_close(&v);
}

// ---- All of them -----------------------------------------------------------

static void list(const view *v, tsr_buffer *out) {
  static const char *const modes[] = {"decode", "prefill"};
  static const char *const headers[] = {
      ">multiprocessors", "<for",        ">thread blocks", ">partial sums",
      ">split panels",    ">most bytes", ">most time",     NULL};
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < v->tables.cut_count; ++i) {
    const tsr_nvidia_cut *cut = &v->tables.cuts[i];
    tsr_table_cell(table, "%u", cut->multiprocessors);
    tsr_table_cell(table, "%s", modes[cut->mode]);
    tsr_table_cell(table, "%u", cut->worker_count);
    tsr_table_cell(table, "%u", cut->partial_count);
    tsr_table_cell(table, "%u", cut->reduction_count);
    tsr_table_cell(table, "%.3f",
                   tsr_nvidia_imbalance(&v->tables, i, TSR_BALANCE_BYTES));
    tsr_table_cell(table, "%.3f",
                   tsr_nvidia_imbalance(&v->tables, i, TSR_BALANCE_TIME));
  }
  tsr_inspection_render(v->inspection, table, out);
}

tsr_status tsr_inspection_cuts(const tsr_inspection *inspection,
                               tsr_buffer *out, tsr_error *error) {
  bool any = false;
  for (uint32_t i = 0; i < inspection->count; ++i) {
    uint32_t index = inspection->first + i;
    view v;
    if (view_open(inspection, index, &v)) {
      tsr_buffer_printf(out, "%s%s: %s (most: largest share over the mean)\n",
                        any ? "\n" : "",
                        tsr_inspection_layer(inspection, index).name,
                        tsr_format_plural(v.tables.cut_count, "cut").text);
      list(&v, out);
      any = true;
    }
    view_close(&v);
  }
  if (any) return TSR_OK;
  return tsr_error_set(error, TSR_NOT_FOUND,
                       "--cuts: nothing here is compiled for a cuda target");
}
