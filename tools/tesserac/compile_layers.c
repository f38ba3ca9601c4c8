// SPDX-License-Identifier: Apache-2.0
// tesserac compile: import, schedule, pack. As many layers as there are threads
// are bound side by side; packing then goes layer by layer, in the plan's
// order, each on all threads. So memory does not grow with the model, and the
// archive is the same whatever the number of threads.
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "common/interrupt.h"
#include "tesserac/compile.h"

// One layer of the window that is being worked on.
typedef struct slot {
  tsr_arena arena;
  tsr_matrix *matrix;
  tsr_schedule host;
  tsr_nvidia_tables cuda;
  tsr_layer_schedule schedule;  // points at those that there are
  tsr_layer_key key;
} slot;

typedef struct window {
  tsr_compile *c;
  uint32_t first;
  slot *slots;
} window;

static tsr_status hash_layer(slot *s, const tsr_plan_layer *layer,
                             tsr_error *error) {
  tsr_layer_key_init(layer, &s->schedule, &s->key);
  return tsr_matrix_hash(s->matrix, &s->key.parts[TSR_KEY_WEIGHTS],
                         &s->key.parts[TSR_KEY_MASK], error);
}

static tsr_status schedule_layer(const tsr_compile *c, slot *s,
                                 const tsr_plan_layer *layer,
                                 tsr_error *error) {
  const tsr_tile_grid *grid = tsr_matrix_grid(s->matrix);
  tsr_status status = TSR_OK;
  s->schedule.grid = grid;
  if (c->cuda_target_count != 0) {
    s->schedule.cuda = &s->cuda;
    status = tsr_nvidia_tables_build(&s->arena, grid, &layer->schedule,
                                     &s->cuda, error);
  }
  if (status != TSR_OK || c->variant_count == 0) return status;
  tsr_plan_schedule options = layer->schedule;
  if (options.workers == 0) options.workers = TSR_HOST_DEFAULT_WORKERS;
  s->schedule.host = &s->host;
  return tsr_schedule_build(&s->arena, grid, &options, tsr_host_tile_cost,
                            &s->host, error);
}

// Task |index| of the window: bind, schedule, hash.
static tsr_status bind_layer(void *context, uint32_t worker, uint64_t index,
                             tsr_error *error) {
  (void)worker;
  window *w = context;
  tsr_compile *c = w->c;
  slot *s = &w->slots[index];
  const tsr_plan_layer *layer = &c->plan->layers[w->first + index];
  if (tsr_interrupted())
    return tsr_error_set(error, TSR_CANCELLED, "interrupted");
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status =
      tsr_matrix_open(c->inputs, layer, tsr_compilation_diags(c->compilation),
                      &s->matrix, error);
  tsr_trace_add(c->trace, "bind", layer->name, start);
  if (status == TSR_OK && s->matrix != NULL && c->last >= TSR_STAGE_SCHEDULE) {
    status = schedule_layer(c, s, layer, error);
  }
  if (status == TSR_OK && s->matrix != NULL && c->last >= TSR_STAGE_PACK &&
      c->archive != NULL && !tsr_compile_is_wrong(c)) {
    start = tsr_trace_now(c->trace);
    status = hash_layer(s, layer, error);
    tsr_trace_add(c->trace, "hash", layer->name, start);
  }
  if (status != TSR_OK) tsr_error_prefix(error, "%s", layer->name);
  return status;
}

static tsr_status check_interrupt(void *context, uint64_t weights,
                                  tsr_error *error) {
  (void)context;
  (void)weights;
  return tsr_interrupted() ? tsr_error_set(error, TSR_CANCELLED, "interrupted")
                           : TSR_OK;
}

static tsr_status pack_layer(tsr_compile *c, uint32_t index, const slot *s,
                             tsr_error *error) {
  const tsr_plan_layer *layer = &c->plan->layers[index];
  tsr_layer_report *report = &c->reports[index];
  report->reuse =
      tsr_previous_compare(c->previous, layer->name, &s->key, &report->changed);
  bool hit = report->reuse == TSR_REUSE_HIT;
  tsr_pack_options options = {.threads = c->threads,
                              .progress = check_interrupt,
                              .previous = hit ? c->previous : NULL};
  uint64_t start = tsr_trace_now(c->trace);
  tsr_packed_layer *packed = &c->layers[index].packed;
  tsr_status status = tsr_packing_layer(c->archive, layer, s->matrix,
                                        &s->schedule, &options, packed, error);
  packed->key = s->key;
  tsr_trace_add(c->trace, "pack", layer->name, start);
  if (status != TSR_OK) tsr_error_prefix(error, "%s", layer->name);
  return status;
}

static void dump_schedule(const tsr_layer_schedule *schedule, const char *name,
                          tsr_buffer *out) {
  if (schedule->host != NULL) {
    tsr_buffer_printf(out, "layer %s\n", name);
    tsr_schedule_dump(schedule->host, out);
  }
  if (schedule->cuda != NULL) {
    tsr_buffer_printf(out, "layer %s for cuda\n", name);
    tsr_nvidia_tables_dump(schedule->cuda, out);
  }
}

static tsr_status finish_layer(tsr_compile *c, uint32_t index, const slot *s,
                               tsr_error *error) {
  const tsr_plan_layer *layer = &c->plan->layers[index];
  c->layers[index].plan = layer;
  if (s->matrix == NULL || s->schedule.grid == NULL) return TSR_OK;
  tsr_packed_layer_init(&s->schedule, &c->layers[index].packed);
  if (s->schedule.cuda != NULL) {
    tsr_compile_cuda_layer(c, s->schedule.cuda, &c->cuda_layers[index]);
  }
  if ((c->emit & TSR_EMISSION_SCHEDULE) != 0) {
    dump_schedule(&s->schedule, layer->name, &c->schedules);
  }
  // After a mistake the other layers are still bound, to report theirs.
  if (c->archive == NULL || tsr_compile_is_wrong(c)) return TSR_OK;
  return pack_layer(c, index, s, error);
}

static void clear_slots(slot *slots, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    tsr_matrix_close(slots[i].matrix);
    tsr_arena_fini(&slots[i].arena);
    slots[i] = (slot){0};
  }
}

static tsr_status run_window(window *w, uint32_t count, tsr_progress *progress,
                             tsr_error *error) {
  tsr_compile *c = w->c;
  tsr_progress_label(progress, c->plan->layers[w->first].name);
  tsr_status status = tsr_parallel_for(c->threads, count, bind_layer, w, error);
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    const char *name = c->plan->layers[w->first + i].name;
    tsr_progress_label(progress, name);
    status = finish_layer(c, w->first + i, &w->slots[i], error);
    if (status == TSR_OK) tsr_progress_step(progress, 0, name);
  }
  clear_slots(w->slots, count);
  return status;
}

static tsr_status run_windows(tsr_compile *c, tsr_progress *progress,
                              tsr_error *error) {
  uint32_t layers = c->plan->layer_count;
  uint32_t size = c->threads < layers ? c->threads : layers;
  window w = {.c = c, .slots = tsr_calloc(size, sizeof(slot))};
  if (w.slots == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = TSR_OK;
  while (status == TSR_OK && w.first < layers) {
    uint32_t left = layers - w.first;
    uint32_t count = left < size ? left : size;
    status = run_window(&w, count, progress, error);
    w.first += count;
  }
  tsr_free(w.slots);
  return status;
}

// ---- The archive -----------------------------------------------------------

static char *weights_path(const tsr_compile *c) {
  return tsr_path_join(c->staging.temporary_path, "weights.bin");
}

static bool wants_archive(const tsr_compile *c) {
  return c->emit == 0 ? c->last >= TSR_STAGE_PACK
                      : (c->emit & TSR_EMISSION_WEIGHTS) != 0;
}

// Where nothing is to stay (--stop-after=pack), packing still happens, into a
// staging folder that is thrown away.
static tsr_status open_archive(tsr_compile *c, tsr_error *error) {
  if (!wants_archive(c)) return TSR_OK;
  const char *place = c->output == NULL ? c->plan_path : c->output;
  tsr_status status = TSR_OK;
  if (c->emit == 0 && !c->no_cache && c->output != NULL) {
    status = tsr_previous_open(c->output, &c->previous, error);
  }
  if (status == TSR_OK) status = tsr_staging_begin(place, &c->staging, error);
  if (status != TSR_OK) return status;
  char *path = weights_path(c);
  if (path == NULL) return tsr_error_out_of_memory(error);
  status = tsr_packing_create(path, &c->archive, error);
  tsr_free(path);
  return status;
}

static tsr_status close_archive(tsr_compile *c, tsr_error *error) {
  if (c->archive == NULL) return TSR_OK;
  tsr_packing *archive = c->archive;
  c->archive = NULL;
  if (tsr_compile_is_wrong(c)) {
    tsr_packing_close(archive);
    return TSR_OK;
  }
  c->weights.path = "weights.bin";
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status =
      tsr_packing_finish(archive, &c->weights.size, &c->weights.hash, error);
  tsr_trace_add(c->trace, "pack", "sync weights.bin", start);
  return status;
}

tsr_status tsr_compile_layers(tsr_compile *c, tsr_error *error) {
  tsr_arena *arena = tsr_compilation_arena(c->compilation);
  uint32_t count = c->plan->layer_count;
  c->layers = tsr_arena_alloc_array(arena, count, sizeof(*c->layers));
  c->reports = tsr_arena_alloc_array(arena, count, sizeof(*c->reports));
  if (c->cuda_target_count != 0) {
    c->cuda_layers = tsr_calloc(count, sizeof(*c->cuda_layers));
  }
  if (c->layers == NULL || c->reports == NULL ||
      (c->cuda_target_count != 0 && c->cuda_layers == NULL)) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status = open_archive(c, error);
  if (status != TSR_OK) return status;
  bool packs = c->archive != NULL;
  tsr_progress *progress = tsr_progress_begin(
      c->cli, packs ? "packing" : "reading", "layers", count, 0);
  status = run_windows(c, progress, error);
  tsr_progress_end(progress);
  if (status == TSR_OK) status = close_archive(c, error);
  return status;
}
