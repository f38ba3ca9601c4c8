// SPDX-License-Identifier: Apache-2.0
// pack, run, reduce, with a barrier only between two that are there. Which
// thread does what never changes a result: a worker's sums are its own, and
// split panels are added in the order of their slots.
#include "host/run.h"

#include "host/fp_mode.h"

// ---- Workspace --------------------------------------------------------------

const tsr_bundle_kernel *tsr_host_pick_kernel(const tessera_layer *layer,
                                              uint32_t token_count,
                                              uint32_t *out_index) {
  const tsr_host_layer *host = &layer->host;
  for (uint32_t i = 0; i < host->kernel_count; ++i) {
    const tsr_bundle_kernel *kernel = &layer->bundle->kernels[host->kernels[i]];
    if (token_count > kernel->token_last) continue;
    if (token_count < kernel->token_first) return NULL;
    *out_index = host->kernels[i];
    return kernel;
  }
  return NULL;
}

// base + per_token * tokens, rounded up to 64; false on overflow.
static bool measure(const uint64_t rule[2], uint32_t tokens,
                    uint64_t *out_size) {
  uint64_t size = 0;
  if (__builtin_mul_overflow(rule[1], tokens, &size) ||
      __builtin_add_overflow(size, rule[0], &size) ||
      __builtin_add_overflow(size, TSR_HOST_ALIGNMENT - 1, &size)) {
    return false;
  }
  *out_size = size / TSR_HOST_ALIGNMENT * TSR_HOST_ALIGNMENT;
  return true;
}

bool tsr_host_workspace_measure(const tessera_layer *layer,
                                const tsr_bundle_kernel *kernel,
                                uint32_t token_count, uint32_t thread_count,
                                tsr_host_workspace *out_workspace) {
  // A tile has a multiple of 16 rows: every slot is a multiple of 64 bytes.
  uint64_t slots = (uint64_t)layer->host.partial_count * layer->info.tile_rows *
                   sizeof(float);
  uint64_t scratch = 0;
  tsr_host_workspace *w = out_workspace;
  *w = (tsr_host_workspace){0};
  return !__builtin_mul_overflow(slots, token_count, &w->partials) &&
         measure(kernel->packed, token_count, &w->packed) &&
         measure(kernel->scratch, token_count, &w->scratch) &&
         !__builtin_mul_overflow(w->scratch, thread_count, &scratch) &&
         !__builtin_add_overflow(w->partials, w->packed, &w->total) &&
         !__builtin_add_overflow(w->total, scratch, &w->total) &&
         w->total <= PTRDIFF_MAX;
}

void tsr_host_launch_init(const tsr_run *run, const tsr_bundle_kernel *kernel,
                          const tsr_host_functions *functions,
                          uint32_t thread_count, tsr_host_launch *out_launch) {
  const tsr_host_layer *layer = &run->layer->host;
  tsr_host_workspace size;
  bool fits = tsr_host_workspace_measure(run->layer, kernel, run->token_count,
                                         thread_count, &size);
  (void)fits;  // tsr_run_check asked already
  // Nothing is written there; it spares the kernels a case.
  static _Alignas(TSR_HOST_ALIGNMENT) uint8_t nothing[TSR_HOST_ALIGNMENT];
  uint8_t *workspace = run->workspace == NULL ? nothing : run->workspace;
  uint8_t *packed = workspace + size.partials;
  *out_launch = (tsr_host_launch){
      .layer = layer,
      .stream = layer->stream,
      .functions = functions,
      .args = {.tiles = layer->tiles,
               .reductions = layer->reductions,
               .input = run->input,
               .residual = run->residual,
               .bias = layer->bias,
               .output = run->output,
               .input_stride = run->input_stride,
               .residual_stride = run->residual_stride,
               .output_stride = run->output_stride,
               .partials = (float *)(void *)workspace,
               .packed_input = functions->pack == NULL ? NULL : packed,
               .token_count = run->token_count},
      .scratch = packed + size.packed,
      .scratch_size = size.scratch,
  };
}

// ---- Threads ----------------------------------------------------------------

static uint64_t share(uint64_t total, uint32_t index, uint32_t count) {
  return total / count * index + total % count * index / count;
}

static uint64_t stream_start(const tsr_host_layer *layer, uint32_t worker) {
  return worker == layer->worker_count ? layer->stream_size
                                       : layer->workers[worker].stream_offset;
}

// The first worker of thread |index|: where its equal share of the stream's
// bytes starts, to the nearest worker.
static uint32_t cut(const tsr_host_layer *layer, uint32_t index,
                    uint32_t count) {
  if (index == 0) return 0;
  if (index == count) return layer->worker_count;
  if (layer->stream_size == 0) {
    return (uint32_t)share(layer->worker_count, index, count);
  }
  uint64_t target = share(layer->stream_size, index, count);
  uint32_t low = 0;
  uint32_t high = layer->worker_count;
  while (low < high) {  // the first that starts at |target| or later
    uint32_t middle = low + (high - low) / 2;
    if (stream_start(layer, middle) < target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low != 0 && target - stream_start(layer, low - 1) <
                      stream_start(layer, low) - target) {
    --low;
  }
  return low;
}

static void pack(const tsr_host_launch *launch, const tsr_team_place *place,
                 tsr_host_args *args) {
  uint64_t tokens = args->token_count;
  args->first = (uint32_t)share(tokens, place->index, place->count);
  args->count =
      (uint32_t)share(tokens, place->index + 1, place->count) - args->first;
  if (args->count != 0) launch->functions->pack(args);
}

static void run(const tsr_host_launch *launch, const tsr_team_place *place,
                tsr_host_args *args) {
  const tsr_host_layer *layer = launch->layer;
  uint32_t end = cut(layer, place->index + 1, place->count);
  for (uint32_t i = cut(layer, place->index, place->count); i < end; ++i) {
    const tsr_host_worker *worker = &layer->workers[i];
    args->stream = launch->stream + worker->stream_offset;
    args->segments = layer->segments + worker->segment_first;
    args->segment_count = worker->segment_count;
    if (worker->segment_count != 0) launch->functions->run(args);
  }
}

static void reduce(const tsr_host_launch *launch, const tsr_team_place *place,
                   tsr_host_args *args) {
  uint32_t total = launch->layer->reduction_count;
  args->first = (uint32_t)share(total, place->index, place->count);
  args->count =
      (uint32_t)share(total, place->index + 1, place->count) - args->first;
  if (args->count != 0) launch->functions->reduce(args);
}

static void meet(const tsr_team_place *place) {
  if (place->count == 1) return;
  tsr_barrier_wait(place->barrier, place->count, place->spins);
}

void tsr_host_launch_thread(const void *opaque, const tsr_team_place *place) {
  const tsr_host_launch *launch = opaque;
  tsr_host_args args = launch->args;
  args.scratch = launch->scratch + place->index * launch->scratch_size;
  uint64_t mode = tsr_fp_mode_enter();
  if (launch->functions->pack != NULL) {
    pack(launch, place, &args);
    meet(place);
  }
  run(launch, place, &args);
  if (launch->layer->reduction_count != 0) {
    meet(place);
    reduce(launch, place, &args);
  }
  tsr_fp_mode_leave(mode);
}
