// SPDX-License-Identifier: Apache-2.0
// The schedule section of a layer for CUDA (base/nvidia_abi.h). The kernels
// index with what it says and check nothing, so this proves all of it: the
// steps are those of the grid in the order of the stream, and each cut gives
// each step to one worker, writes each panel once, and numbers its slots and
// counters as the kernels need them.
#include <string.h>

#include "base/memory.h"
#include "bundle.h"
#include "fail.h"

enum { CUT_LIMIT = 1024 };  // classes are compared with each other

typedef struct checker {
  tessera_layer *layer;
  tsr_cuda_layer *cuda;
  uint32_t *panel_ends;  // owned; per panel: the step after its last
  tessera_error *error;
} checker;

#define CORRUPT(c, ...) tsr_fail((c)->error, TESSERA_CORRUPT, __VA_ARGS__)

static uint32_t extent(uint32_t index, uint32_t tile, uint32_t total) {
  uint32_t left = total - index * tile;
  return left < tile ? left : tile;
}

// ---- Header -----------------------------------------------------------------

static tessera_status check_header(checker *c, const tsr_nvidia_schedule *s) {
  uint64_t expected = sizeof(*s) +
                      s->step_count * (uint64_t)sizeof(tsr_nvidia_step) +
                      s->cut_count * (uint64_t)sizeof(tsr_nvidia_cut) +
                      s->worker_count * (uint64_t)sizeof(tsr_nvidia_worker) +
                      s->segment_count * (uint64_t)sizeof(tsr_nvidia_segment);
  if (s->step_count != c->cuda->step_count) {
    return CORRUPT(c, "%u steps, cuda.steps says %u", s->step_count,
                   c->cuda->step_count);
  }
  for (int i = 0; i < 4; ++i) {
    if (s->reserved[i] != 0) return CORRUPT(c, "reserved is not zero");
  }
  if (c->cuda->section_size != expected) {
    return CORRUPT(c, "%llu bytes, its counts need %llu",
                   (unsigned long long)c->cuda->section_size,
                   (unsigned long long)expected);
  }
  if (s->cut_count == 0 || s->cut_count > CUT_LIMIT) {
    return CORRUPT(c, "%u cuts, expected 1 to %d", s->cut_count, CUT_LIMIT);
  }
  return TESSERA_OK;
}

static void interpret(tsr_cuda_layer *cuda, const tsr_nvidia_schedule *s) {
  const void *at = s + 1;
  cuda->cut_count = s->cut_count;
  cuda->worker_count = s->worker_count;
  cuda->segment_count = s->segment_count;
  cuda->steps = at;
  at = cuda->steps + cuda->step_count;
  cuda->cuts = at;
  at = cuda->cuts + cuda->cut_count;
  cuda->workers = at;
  at = cuda->workers + cuda->worker_count;
  cuda->segments = at;
}

// ---- Steps ------------------------------------------------------------------

// One k-chunk of a tile: |columns| columns from |column| on, at |offset|.
static tessera_status check_step(checker *c, uint32_t index, uint64_t offset,
                                 uint32_t column, uint32_t columns,
                                 tsr_kind kind) {
  if (index >= c->cuda->step_count) {
    return CORRUPT(c, "%u steps, the grid has more", c->cuda->step_count);
  }
  const tsr_nvidia_step *step = &c->cuda->steps[index];
  uint64_t units = offset / TSR_FRAGMENT_ALIGNMENT;
  if (step->offset != units) {
    return CORRUPT(c, "step %u: offset %u, expected %llu", index, step->offset,
                   (unsigned long long)units);
  }
  uint32_t code = tsr_nvidia_step_code(column, kind, columns);
  if (step->code == code) return TESSERA_OK;
  if (tsr_nvidia_step_column(step->code) != column) {
    return CORRUPT(c, "step %u: column %u, expected %u", index,
                   tsr_nvidia_step_column(step->code), column);
  }
  if (tsr_nvidia_step_kind(step->code) != kind) {
    return CORRUPT(c, "step %u: kind %u, the grid says %u", index,
                   (unsigned)tsr_nvidia_step_kind(step->code), (unsigned)kind);
  }
  return CORRUPT(c, "step %u: code 0x%x, expected 0x%x", index, step->code,
                 code);
}

static tessera_status check_tile(checker *c, uint32_t panel, uint32_t cell,
                                 uint32_t *step, uint64_t *offset) {
  const tessera_layer_info *info = &c->layer->info;
  tsr_kind kind =
      (tsr_kind)c->layer->grid[(size_t)panel * c->layer->tile_columns + cell];
  uint32_t rows = extent(panel, info->tile_rows, info->rows);
  uint32_t columns = extent(cell, info->tile_columns, info->columns);
  uint32_t chunks = kind == TSR_KIND_ZERO ? 0 : tsr_fragment_chunks(columns);
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < chunks && status == TESSERA_OK; ++i) {
    uint32_t first = i * TSR_FRAGMENT_CHUNK;
    status =
        check_step(c, *step, *offset, cell * info->tile_columns + first,
                   columns - first < TSR_FRAGMENT_CHUNK ? columns - first
                                                        : TSR_FRAGMENT_CHUNK,
                   kind);
    *offset += tsr_fragment_chunk_size(rows, columns, kind, i);
    ++*step;
  }
  return status;
}

static tessera_status check_steps(checker *c) {
  tessera_status status = TESSERA_OK;
  uint32_t step = 0;
  uint64_t offset = 0;
  for (uint32_t panel = 0; panel < c->layer->panels; ++panel) {
    for (uint32_t i = 0; i < c->layer->tile_columns; ++i) {
      if (status != TESSERA_OK) return status;
      status = check_tile(c, panel, i, &step, &offset);
    }
    c->panel_ends[panel] = step;
  }
  if (status != TESSERA_OK) return status;
  if (step != c->cuda->step_count) {
    return CORRUPT(c, "%u steps, the grid has %u", c->cuda->step_count, step);
  }
  if (offset != c->cuda->stream_size) {
    return CORRUPT(c, "steps of %llu bytes, cuda.stream has %llu",
                   (unsigned long long)offset,
                   (unsigned long long)c->cuda->stream_size);
  }
  return TESSERA_OK;
}

// ---- Segments ---------------------------------------------------------------

// Where a walk through a cut has got to.
typedef struct walk {
  uint32_t cut;  // its number
  const tsr_nvidia_cut *head;
  const tsr_nvidia_segment *segments;
  uint32_t step;           // the first that no segment has had
  uint32_t panel;          // the first that is not finished
  uint32_t partial;        // the first slot that no panel has
  uint32_t reduction;      // the first counter that no panel has
  uint32_t parts;          // segments of the panel
  uint32_t partial_first;  // slots of the panel
} walk;

// |index| is the first segment of its panel: how many has it?
static uint32_t count_parts(const walk *w, uint32_t index) {
  uint32_t end = index;
  while (end < w->head->segment_count &&
         w->segments[end].panel == w->segments[index].panel) {
    ++end;
  }
  return end - index;
}

static tessera_status check_slots(checker *c, const walk *w, uint32_t index) {
  const tsr_nvidia_segment *s = &w->segments[index];
  bool is_split = w->parts > 1;
  uint32_t partial = is_split ? w->partial : TSR_NVIDIA_NO_PARTIAL;
  if (s->partial != partial) {
    return CORRUPT(c, "cut %u: segment %u: partial %u, expected %u", w->cut,
                   index, s->partial, partial);
  }
  if (s->reduction != (is_split ? w->reduction : 0)) {
    return CORRUPT(c, "cut %u: segment %u: reduction %u, expected %u", w->cut,
                   index, s->reduction, is_split ? w->reduction : 0);
  }
  uint32_t first = is_split ? w->partial_first : 0;
  uint32_t count = is_split ? w->parts : 0;
  if (s->partial_first != first || s->partial_count != count) {
    return CORRUPT(c, "cut %u: segment %u: partials %u + %u, expected %u + %u",
                   w->cut, index, s->partial_first, s->partial_count, first,
                   count);
  }
  if ((s->reserved[0] | s->reserved[1]) != 0) {
    return CORRUPT(c, "cut %u: segment %u: reserved is not zero", w->cut,
                   index);
  }
  return TESSERA_OK;
}

static tessera_status check_segment(checker *c, walk *w, uint32_t index,
                                    uint32_t step_limit) {
  const tsr_nvidia_segment *s = &w->segments[index];
  if (s->panel != w->panel || s->panel >= c->layer->panels) {
    return CORRUPT(c, "cut %u: segment %u: panel %u, expected %u of %u", w->cut,
                   index, s->panel, w->panel, c->layer->panels);
  }
  uint32_t panel_end = c->panel_ends[s->panel];
  uint32_t end = panel_end < step_limit ? panel_end : step_limit;
  uint32_t begin = s->panel == 0 ? 0 : c->panel_ends[s->panel - 1];
  // Without steps only if the panel has none.
  if (s->step_end != end || (end == w->step && begin != panel_end)) {
    return CORRUPT(c, "cut %u: segment %u: steps %u to %u, expected %u to %u",
                   w->cut, index, w->step, s->step_end, w->step, end);
  }
  if (w->step == begin) {  // the panel's first
    w->parts = count_parts(w, index);
    w->partial_first = w->partial;
  }
  tessera_status status = check_slots(c, w, index);
  w->step = end;
  if (w->parts > 1) ++w->partial;
  if (end == panel_end) {
    ++w->panel;
    if (w->parts > 1) ++w->reduction;
  }
  return status;
}

// ---- Workers and cuts -------------------------------------------------------

static tessera_status check_worker(checker *c, walk *w, uint32_t index,
                                   uint32_t *segment_next) {
  const tsr_nvidia_worker *worker =
      &c->cuda->workers[w->head->worker_first + index];
  if (worker->step_first != w->step || worker->step_end < worker->step_first ||
      worker->step_end > c->cuda->step_count) {
    return CORRUPT(c, "cut %u: worker %u: steps %u to %u, expected %u of %u",
                   w->cut, index, worker->step_first, worker->step_end, w->step,
                   c->cuda->step_count);
  }
  if (worker->segment_first != *segment_next ||
      worker->segment_end < worker->segment_first ||
      worker->segment_end > w->head->segment_count) {
    return CORRUPT(c, "cut %u: worker %u: segments %u to %u, expected %u of %u",
                   w->cut, index, worker->segment_first, worker->segment_end,
                   *segment_next, w->head->segment_count);
  }
  tessera_status status = TESSERA_OK;
  for (uint32_t i = worker->segment_first;
       i < worker->segment_end && status == TESSERA_OK; ++i) {
    status = check_segment(c, w, i, worker->step_end);
  }
  if (status != TESSERA_OK) return status;
  *segment_next = worker->segment_end;
  if (w->step == worker->step_end) return TESSERA_OK;
  return CORRUPT(c, "cut %u: worker %u: steps to %u, its segments have %u",
                 w->cut, index, worker->step_end, w->step);
}

static tessera_status check_whole(checker *c, const walk *w,
                                  uint32_t segments) {
  const tsr_nvidia_cut *head = w->head;
  if (segments != head->segment_count) {
    return CORRUPT(c, "cut %u: %u segments, the workers have %u", w->cut,
                   head->segment_count, segments);
  }
  if (w->step != c->cuda->step_count || w->panel != c->layer->panels) {
    return CORRUPT(c, "cut %u: it ends at panel %u of %u, step %u of %u",
                   w->cut, w->panel, c->layer->panels, w->step,
                   c->cuda->step_count);
  }
  if (w->partial != head->partial_count) {
    return CORRUPT(c, "cut %u: %u partials, the segments have %u", w->cut,
                   head->partial_count, w->partial);
  }
  if (w->reduction != head->reduction_count) {
    return CORRUPT(c, "cut %u: %u reductions, the segments have %u", w->cut,
                   head->reduction_count, w->reduction);
  }
  return TESSERA_OK;
}

// |workers| and |segments|: of the cuts before.
static tessera_status check_cut(checker *c, uint32_t index, uint32_t workers,
                                uint32_t segments) {
  const tsr_nvidia_cut *cut = &c->cuda->cuts[index];
  if (cut->multiprocessors == 0 || cut->mode > TSR_NVIDIA_PREFILL) {
    return CORRUPT(c, "cut %u: mode %u for %u multiprocessors", index,
                   cut->mode, cut->multiprocessors);
  }
  if (cut->worker_first != workers || cut->worker_count == 0 ||
      cut->worker_count > c->cuda->worker_count - workers) {
    return CORRUPT(c, "cut %u: workers %u + %u, expected %u of %u", index,
                   cut->worker_first, cut->worker_count, workers,
                   c->cuda->worker_count);
  }
  if (cut->segment_first != segments ||
      cut->segment_count > c->cuda->segment_count - segments) {
    return CORRUPT(c, "cut %u: segments %u + %u, expected %u of %u", index,
                   cut->segment_first, cut->segment_count, segments,
                   c->cuda->segment_count);
  }
  if (cut->reduction_count > TSR_NVIDIA_COUNTERS) {
    return CORRUPT(c, "cut %u: %u reductions, a workspace has %d counters",
                   index, cut->reduction_count, TSR_NVIDIA_COUNTERS);
  }
  walk w = {
      .cut = index, .head = cut, .segments = c->cuda->segments + segments};
  uint32_t segment_next = 0;
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; i < cut->worker_count && status == TESSERA_OK; ++i) {
    status = check_worker(c, &w, i, &segment_next);
  }
  return status == TESSERA_OK ? check_whole(c, &w, segment_next) : status;
}

static tessera_status check_cuts(checker *c) {
  uint32_t workers = 0;
  uint32_t segments = 0;
  for (uint32_t i = 0; i < c->cuda->cut_count; ++i) {
    tessera_status status = check_cut(c, i, workers, segments);
    if (status != TESSERA_OK) return status;
    workers += c->cuda->cuts[i].worker_count;
    segments += c->cuda->cuts[i].segment_count;
  }
  if (workers == c->cuda->worker_count && segments == c->cuda->segment_count) {
    return TESSERA_OK;
  }
  return CORRUPT(c, "%u workers, %u segments; the cuts have %u, %u",
                 c->cuda->worker_count, c->cuda->segment_count, workers,
                 segments);
}

// ---- Classes ----------------------------------------------------------------

// What a class must have so that every token count finds a cut: one for decode
// if a kernel needs it, and for prefill one that splits no panel, which any
// number of token tiles may use.
static tessera_status check_class(checker *c, uint32_t first, uint32_t end) {
  const tsr_nvidia_cut *cuts = c->cuda->cuts;
  uint32_t decode = 0, whole = 0;
  for (uint32_t i = first; i < end; ++i) {
    bool is_decode = cuts[i].mode == TSR_NVIDIA_DECODE;
    decode += is_decode;
    whole += !is_decode && cuts[i].reduction_count == 0;
  }
  for (uint32_t i = 0; i < c->cuda->kernel_count; ++i) {
    const tsr_bundle_cuda_kernel *kernel =
        &c->layer->bundle->cuda_kernels[c->cuda->kernels[i]];
    bool is_decode = kernel->mode == TSR_NVIDIA_DECODE;
    if (is_decode ? decode == 1 : whole != 0) continue;
    return CORRUPT(c,
                   "%u multiprocessors: %u %s cuts, kernel '%.80s' needs one",
                   cuts[first].multiprocessors, is_decode ? decode : whole,
                   is_decode ? "decode" : "unsplit prefill", kernel->name);
  }
  return TESSERA_OK;
}

static tessera_status check_classes(checker *c) {
  const tsr_nvidia_cut *cuts = c->cuda->cuts;
  uint32_t first = 0;
  for (uint32_t i = 1; i <= c->cuda->cut_count; ++i) {
    if (i < c->cuda->cut_count &&
        cuts[i].multiprocessors == cuts[first].multiprocessors) {
      continue;
    }
    for (uint32_t other = 0; other < first; ++other) {
      if (cuts[other].multiprocessors != cuts[first].multiprocessors) continue;
      return CORRUPT(c, "cut %u: those for %u multiprocessors are apart", first,
                     cuts[first].multiprocessors);
    }
    tessera_status status = check_class(c, first, i);
    if (status != TESSERA_OK) return status;
    first = i;
  }
  return TESSERA_OK;
}

// What is said of a layer without a host part: the thread blocks of the first
// class's decode cut, or of its first cut where nothing decodes.
static uint32_t first_workers(const tsr_cuda_layer *cuda) {
  for (uint32_t i = 0; i < cuda->cut_count; ++i) {
    if (cuda->cuts[i].multiprocessors != cuda->cuts[0].multiprocessors) break;
    if (cuda->cuts[i].mode == TSR_NVIDIA_DECODE) {
      return cuda->cuts[i].worker_count;
    }
  }
  return cuda->cut_count == 0 ? 0 : cuda->cuts[0].worker_count;
}

tessera_status tsr_cuda_section_check(tessera_layer *layer,
                                      tessera_error *error) {
  checker c = {.layer = layer, .cuda = &layer->cuda, .error = error};
  const tsr_nvidia_schedule *schedule = (const void *)layer->cuda.section;
  if (layer->cuda.section_size < sizeof(*schedule)) {
    return CORRUPT(&c, "%llu bytes are too few for its header",
                   (unsigned long long)layer->cuda.section_size);
  }
  tessera_status status = check_header(&c, schedule);
  if (status != TESSERA_OK) return status;
  interpret(&layer->cuda, schedule);
  c.panel_ends = tsr_calloc(layer->panels, sizeof(*c.panel_ends));
  if (c.panel_ends == NULL) return tsr_fail_out_of_memory(error);
  status = check_steps(&c);
  if (status == TESSERA_OK) status = check_cuts(&c);
  if (status == TESSERA_OK) status = check_classes(&c);
  tsr_free(c.panel_ends);
  if (status == TESSERA_OK && !layer->has_host) {
    layer->info.worker_count = first_workers(&layer->cuda);
  }
  return status;
}
