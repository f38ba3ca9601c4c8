// SPDX-License-Identifier: Apache-2.0
// The schedule section of a layer (base/host_abi.h). The kernels index with
// what it says and check nothing, so this proves all of it: every tile of the
// grid is in one segment, every byte of the stream belongs to one tile, every
// panel of Y is written once, every partial slot is written once and added
// once.
#include <string.h>

#include "base/memory.h"
#include "bundle.h"
#include "fail.h"

typedef struct checker {
  tessera_layer *layer;
  tsr_host_layer *host;
  uint8_t *seen;         // per tile of the grid
  uint8_t *done;         // per panel: its output has a writer
  uint32_t *slot_panel;  // per partial slot: panel + 1, or 0
  uint32_t tile_next;    // first tile that no segment has had
  tessera_error *error;
} checker;

#define CORRUPT(c, ...) tsr_fail((c)->error, TESSERA_CORRUPT, __VA_ARGS__)

// ---- Counts -----------------------------------------------------------------

static tessera_status check_header(checker *c, const tsr_host_schedule *s) {
  const tsr_host_layer *host = c->host;
  if (s->worker_count != host->worker_count) {
    return CORRUPT(c, "%u workers, host.workers says %u", s->worker_count,
                   host->worker_count);
  }
  if (s->partial_count != host->partial_count) {
    return CORRUPT(c, "%u partials, host.partials says %u", s->partial_count,
                   host->partial_count);
  }
  if ((s->reserved[0] | s->reserved[1] | s->reserved[2]) != 0) {
    return CORRUPT(c, "reserved is not zero");
  }
  uint64_t expected =
      sizeof(*s) + s->worker_count * (uint64_t)sizeof(tsr_host_worker) +
      s->segment_count * (uint64_t)sizeof(tsr_host_segment) +
      s->reduction_count * (uint64_t)sizeof(tsr_host_reduction) +
      s->tile_count * (uint64_t)sizeof(tsr_host_tile);
  if (host->section_size != expected) {
    return CORRUPT(c, "%llu bytes, its counts need %llu",
                   (unsigned long long)host->section_size,
                   (unsigned long long)expected);
  }
  // A partial slot is one segment's, so this also bounds the allocation below.
  if (s->partial_count > s->segment_count) {
    return CORRUPT(c, "%u partials for %u segments", s->partial_count,
                   s->segment_count);
  }
  uint64_t tiles = c->layer->info.sparse24_tiles + c->layer->info.dense_tiles;
  if (s->tile_count != tiles) {
    return CORRUPT(c, "%u tiles, the grid has %llu", s->tile_count,
                   (unsigned long long)tiles);
  }
  return TESSERA_OK;
}

static void interpret(tsr_host_layer *host, const tsr_host_schedule *s) {
  const void *at = s + 1;
  host->segment_count = s->segment_count;
  host->reduction_count = s->reduction_count;
  host->tile_count = s->tile_count;
  host->workers = at;
  at = host->workers + host->worker_count;
  host->segments = at;
  at = host->segments + host->segment_count;
  host->reductions = at;
  at = host->reductions + host->reduction_count;
  host->tiles = at;
}

// ---- Tiles and segments -----------------------------------------------------

static uint32_t extent(uint32_t index, uint32_t tile, uint32_t total) {
  uint32_t left = total - index * tile;
  return left < tile ? left : tile;
}

static tessera_status check_tile(checker *c, uint32_t index, uint32_t panel,
                                 uint64_t *stream_size) {
  const tessera_layer *layer = c->layer;
  uint32_t column = c->host->tiles[index] & 0xffffffu;
  uint32_t kind = c->host->tiles[index] >> 24;
  if (column >= layer->tile_columns) {
    return CORRUPT(c, "tile %u: column %u of %u", index, column,
                   layer->tile_columns);
  }
  size_t cell = (size_t)panel * layer->tile_columns + column;
  if (kind == TSR_KIND_ZERO || kind != layer->grid[cell]) {
    return CORRUPT(c, "tile %u: kind %u, the grid says %u at [%u, %u]", index,
                   kind, layer->grid[cell], panel, column);
  }
  if (c->seen[cell]) {
    return CORRUPT(c, "tile %u: [%u, %u] is scheduled twice", index, panel,
                   column);
  }
  c->seen[cell] = 1;
  *stream_size += tsr_host_tile_size(
      extent(panel, layer->info.tile_rows, layer->info.rows),
      extent(column, layer->info.tile_columns, layer->info.columns),
      (tsr_kind)kind);
  return TESSERA_OK;
}

// Who writes the panel's output, or which slot takes its partial sums.
static tessera_status check_target(checker *c, uint32_t index,
                                   const tsr_host_segment *segment) {
  if (segment->partial == TSR_HOST_NO_PARTIAL) {
    if (c->done[segment->panel]) {
      return CORRUPT(c, "segment %u: panel %u is written twice", index,
                     segment->panel);
    }
    c->done[segment->panel] = 1;
    return TESSERA_OK;
  }
  if (segment->partial >= c->host->partial_count) {
    return CORRUPT(c, "segment %u: partial %u of %u", index, segment->partial,
                   c->host->partial_count);
  }
  if (c->slot_panel[segment->partial] != 0) {
    return CORRUPT(c, "segment %u: partial %u is used twice", index,
                   segment->partial);
  }
  c->slot_panel[segment->partial] = segment->panel + 1;
  return TESSERA_OK;
}

static tessera_status check_segment(checker *c, uint32_t index,
                                    uint64_t *stream_size) {
  const tsr_host_segment *segment = &c->host->segments[index];
  if (segment->panel >= c->layer->panels) {
    return CORRUPT(c, "segment %u: panel %u of %u", index, segment->panel,
                   c->layer->panels);
  }
  if (segment->tile_first > c->host->tile_count ||
      segment->tile_count > c->host->tile_count - segment->tile_first) {
    return CORRUPT(c, "segment %u: tiles %u + %u of %u", index,
                   segment->tile_first, segment->tile_count,
                   c->host->tile_count);
  }
  if (segment->tile_count != 0 && segment->tile_first != c->tile_next) {
    return CORRUPT(c, "segment %u: tiles from %u, expected %u", index,
                   segment->tile_first, c->tile_next);
  }
  tessera_status status = check_target(c, index, segment);
  uint32_t end = segment->tile_first + segment->tile_count;
  c->tile_next += segment->tile_count;
  for (uint32_t i = segment->tile_first; i < end && status == TESSERA_OK; ++i) {
    status = check_tile(c, i, segment->panel, stream_size);
  }
  return status;
}

// ---- Workers ----------------------------------------------------------------

static tessera_status check_worker(checker *c, uint32_t index,
                                   uint32_t *segment_next,
                                   uint64_t *stream_next) {
  const tsr_host_worker *worker = &c->host->workers[index];
  if (worker->segment_first != *segment_next ||
      worker->segment_count > c->host->segment_count - *segment_next) {
    return CORRUPT(c, "worker %u: segments %u + %u, expected %u of %u", index,
                   worker->segment_first, worker->segment_count, *segment_next,
                   c->host->segment_count);
  }
  if (worker->stream_offset != *stream_next) {
    return CORRUPT(c, "worker %u: stream starts at %llu, expected %llu", index,
                   (unsigned long long)worker->stream_offset,
                   (unsigned long long)*stream_next);
  }
  uint64_t size = 0;
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < worker->segment_count && status == TESSERA_OK; ++i) {
    status = check_segment(c, worker->segment_first + i, &size);
  }
  if (status != TESSERA_OK) return status;
  if (worker->stream_size != size) {
    return CORRUPT(c, "worker %u: stream of %llu bytes, its tiles have %llu",
                   index, (unsigned long long)worker->stream_size,
                   (unsigned long long)size);
  }
  *segment_next += worker->segment_count;
  *stream_next += size;  // tiles are multiples of 64 bytes
  return TESSERA_OK;
}

static tessera_status check_workers(checker *c) {
  uint32_t segments = 0;
  uint64_t stream = 0;
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < c->host->worker_count && status == TESSERA_OK; ++i) {
    status = check_worker(c, i, &segments, &stream);
  }
  if (status != TESSERA_OK) return status;
  if (segments != c->host->segment_count) {
    return CORRUPT(c, "%u segments, the workers have %u",
                   c->host->segment_count, segments);
  }
  if (stream != c->host->stream_size) {
    return CORRUPT(c, "streams of %llu bytes, host.stream has %llu",
                   (unsigned long long)stream,
                   (unsigned long long)c->host->stream_size);
  }
  // Each tile of the list was a distinct cell of the grid, and the counts are
  // equal; so all are there, provided the whole list was walked.
  return c->tile_next == c->host->tile_count
             ? TESSERA_OK
             : CORRUPT(c, "%u tiles, the segments have %u", c->host->tile_count,
                       c->tile_next);
}

// ---- Reductions -------------------------------------------------------------

static tessera_status check_reduction(checker *c, uint32_t index) {
  const tsr_host_reduction *r = &c->host->reductions[index];
  if (r->panel >= c->layer->panels || r->reserved != 0) {
    return CORRUPT(c, "reduction %u: panel %u of %u, reserved %u", index,
                   r->panel, c->layer->panels, r->reserved);
  }
  if (r->partial_count < 2 || r->partial_first > c->host->partial_count ||
      r->partial_count > c->host->partial_count - r->partial_first) {
    return CORRUPT(c, "reduction %u: partials %u + %u of %u", index,
                   r->partial_first, r->partial_count, c->host->partial_count);
  }
  if (c->done[r->panel]) {
    return CORRUPT(c, "reduction %u: panel %u is written twice", index,
                   r->panel);
  }
  c->done[r->panel] = 1;
  for (uint32_t i = 0; i < r->partial_count; ++i) {
    uint32_t slot = r->partial_first + i;
    if (c->slot_panel[slot] != r->panel + 1) {
      return CORRUPT(c, "reduction %u: partial %u is not of panel %u", index,
                     slot, r->panel);
    }
    c->slot_panel[slot] = 0;  // taken
  }
  return TESSERA_OK;
}

static tessera_status check_outputs(checker *c) {
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < c->host->reduction_count && status == TESSERA_OK;
       ++i) {
    status = check_reduction(c, i);
  }
  for (uint32_t i = 0; i < c->host->partial_count && status == TESSERA_OK;
       ++i) {
    if (c->slot_panel[i] != 0) {
      status = CORRUPT(c, "partial %u is not reduced", i);
    }
  }
  for (uint32_t i = 0; i < c->layer->panels && status == TESSERA_OK; ++i) {
    if (!c->done[i]) status = CORRUPT(c, "panel %u is never written", i);
  }
  return status;
}

// A layer with reductions needs a reduce in each of its kernels.
static tessera_status check_kernels(checker *c) {
  for (uint32_t i = 0; i < c->host->kernel_count; ++i) {
    const tsr_bundle_kernel *kernel =
        &c->layer->bundle->kernels[c->host->kernels[i]];
    if (c->host->reduction_count != 0 && kernel->reduce[0] == '\0') {
      return CORRUPT(c, "%u reductions, but kernel '%.100s' has no reduce",
                     c->host->reduction_count, kernel->name);
    }
  }
  return TESSERA_OK;
}

tessera_status tsr_host_section_check(tessera_layer *layer,
                                      tessera_error *error) {
  checker c = {.layer = layer, .host = &layer->host, .error = error};
  const tsr_host_schedule *schedule = (const void *)layer->host.section;
  if (layer->host.section_size < sizeof(*schedule)) {
    return CORRUPT(&c, "%llu bytes are too few for its header",
                   (unsigned long long)layer->host.section_size);
  }
  tessera_status status = check_header(&c, schedule);
  if (status != TESSERA_OK) return status;
  interpret(&layer->host, schedule);
  size_t cells = (size_t)layer->panels * layer->tile_columns;
  c.seen = tsr_calloc(cells, 1);
  c.done = tsr_calloc(layer->panels, 1);
  c.slot_panel = tsr_calloc(layer->host.partial_count, sizeof(*c.slot_panel));
  if (c.seen == NULL || c.done == NULL || c.slot_panel == NULL) {
    status = tsr_fail_out_of_memory(error);
  }
  if (status == TESSERA_OK) status = check_workers(&c);
  if (status == TESSERA_OK) status = check_outputs(&c);
  if (status == TESSERA_OK) status = check_kernels(&c);
  tsr_free(c.slot_panel);
  tsr_free(c.done);
  tsr_free(c.seen);
  return status;
}
