// SPDX-License-Identifier: Apache-2.0
// See contest.h. Each party owns its input, output and copies of the weights;
// every run takes the next copy, so that weights come from memory while code
// and schedules stay in the caches. On the host one run is timed by the clock.
// On a CUDA device a row of runs is, by its events, and what is counted is the
// mean: the work between two events starts as soon as it can, which hides what
// it takes to launch it, as in a program that keeps its device busy.
#include "contest.h"

#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "launch.h"

enum {
  COPY_LIMIT = 4096,
  COPY_SIZE = 128 << 20,  // bytes, twice: more than any cache of a device
  COPY_ROW_MAX = 4,       // a copy is long beside what an event takes
  PIECE_SIZE = 4 << 20,
  ROUND_CALLS_MAX = 64,
  ROUNDS_MIN = 5,
  PARTY_LIMIT = 4,
  ROW_MAX = 256,  // runs between two events: fewer than a stream holds
};

static const double round_seconds = 2e-3;

typedef struct party party;
struct party {
  // One run, and how long it took.
  tsr_status (*run)(party *self, double *out_seconds, tsr_error *error);
  tsr_samples samples;  // seconds of one run
  tsr_samples ratios;   // this party's round over the first party's
  double round_median;
  uint32_t calls;  // per round
  uint32_t copies;
  uint32_t next;  // copy

  // A bundle's layer.
  const tsr_session *session;
  tessera_program **programs;  // owned copies; NULL: the session's own
  tsr_launch launch;
  void *input, *residual, *output;  // owned

  // CUDA: |row| runs, or copies from |source| to |target|, between two events.
  tessera_timer *timer;
  uint32_t row;
  void *source, *target;  // owned, the device's, COPY_SIZE bytes

  // The peer.
  const tsr_peer *peer;
  tsr_peer_product product;
  float *weights;  // owned, |copies| matrices

  tsr_bandwidth *bandwidth;
};

static void party_fini(party *p) {
  tessera_timer_destroy(p->timer);
  tsr_launch_fini(&p->launch);
  if (p->session != NULL) {
    tessera_device_free(p->session->device, p->source);
    tessera_device_free(p->session->device, p->target);
  }
  for (uint32_t i = 0; p->programs != NULL && i < p->copies; ++i) {
    tessera_program_destroy(p->programs[i]);
  }
  tsr_free(p->programs);
  tsr_free(p->input);
  tsr_free(p->residual);
  tsr_free(p->output);
  tsr_free(p->weights);
  tsr_samples_fini(&p->samples);
  tsr_samples_fini(&p->ratios);
}

static uint32_t copies_for(size_t working_set, uint64_t bytes) {
  if (working_set == 0) return 1;
  uint64_t copies = working_set / (bytes == 0 ? 1 : bytes) + 2;
  return copies > COPY_LIMIT ? COPY_LIMIT : (uint32_t)copies;
}

// ---- A bundle's layer ------------------------------------------------------

static const tessera_program *next_program(party *p) {
  const tessera_program *program =
      p->programs == NULL ? p->session->program : p->programs[p->next];
  p->next = p->next + 1 < p->copies ? p->next + 1 : 0;
  return program;
}

static tsr_status run_layer(party *p, double *out_seconds, tsr_error *error) {
  const tessera_program *program = next_program(p);
  tessera_error failure = {0};
  double begin = tsr_clock_now();
  tessera_status status =
      tessera_linear_run(program, p->launch.layer, &p->launch.args, &failure);
  *out_seconds = tsr_clock_now() - begin;
  return tsr_session_status(status, &failure, error);
}

// A row of what |enqueue| enqueues, by the device's clock.
static tsr_status time_row(party *p,
                           tessera_status (*enqueue)(party *, tessera_error *),
                           double *out_seconds, tsr_error *error) {
  tessera_error failure = {0};
  tessera_status status = tessera_timer_start(p->timer, NULL, &failure);
  for (uint32_t i = 0; status == TESSERA_OK && i < p->row; ++i) {
    status = enqueue(p, &failure);
  }
  if (status == TESSERA_OK) {
    status = tessera_timer_stop(p->timer, NULL, &failure);
  }
  if (status == TESSERA_OK) {
    status = tessera_timer_read(p->timer, out_seconds, &failure);
    *out_seconds /= p->row;
  }
  return tsr_session_status(status, &failure, error);
}

static tessera_status enqueue_layer(party *p, tessera_error *failure) {
  return tessera_linear_run(next_program(p), p->launch.layer, &p->launch.args,
                            failure);
}

static tsr_status run_layer_row(party *p, double *out_seconds,
                                tsr_error *error) {
  return time_row(p, enqueue_layer, out_seconds, error);
}

// How many runs make a row of a round's length, |most| at most.
static tsr_status init_row(party *p, uint32_t most, tsr_error *error) {
  double seconds = 0.0;
  tessera_error failure = {0};
  tsr_status status = tsr_session_status(
      tessera_timer_create(p->session->device, &p->timer, &failure), &failure,
      error);
  p->row = 1;
  if (p->session->emulated) return status;  // no clock, and it is slow
  if (status == TSR_OK) status = p->run(p, &seconds, error);
  // The first run has loaded the code.
  if (status == TSR_OK) status = p->run(p, &seconds, error);
  double fit = round_seconds / seconds;
  p->row = fit >= most ? most : fit < 1.0 ? 1 : (uint32_t)fit;
  return status;
}

static tsr_status copy_programs(party *p, const tessera_layer *layer,
                                const tsr_contest_options *options,
                                const tessera_layer_info *info,
                                tsr_error *error) {
  p->copies = 1;
  if (options->working_set == 0) return TSR_OK;
  uint32_t count = copies_for(options->working_set, info->packed_bytes);
  p->programs = tsr_calloc(count, sizeof(*p->programs));
  if (p->programs == NULL) return tsr_error_out_of_memory(error);
  p->copies = count;
  tessera_error failure = {0};
  tessera_status status = TESSERA_OK;
  for (uint32_t i = 0; status == TESSERA_OK && i < count; ++i) {
    status = tessera_program_copy(p->session->program, layer, &p->programs[i],
                                  &failure);
  }
  return tsr_session_status(status, &failure, error);
}

static tsr_status allocate_layer(party *p, uint32_t layer,
                                 const tessera_layer_info *info,
                                 uint32_t tokens, uint64_t seed,
                                 tsr_error *error) {
  uint64_t state = seed;
  size_t outputs = (size_t)tokens * info->output_columns;
  tsr_dtype output_type = (tsr_dtype)info->output_type;
  p->input = tsr_random_array((size_t)tokens * info->columns,
                              (tsr_dtype)info->input_type, &state);
  p->output = tsr_aligned_alloc(64, outputs * tsr_dtype_size(output_type));
  if (info->has_residual) {
    p->residual = tsr_random_array(outputs, output_type, &state);
  }
  if (p->input == NULL || p->output == NULL ||
      (p->residual == NULL && info->has_residual)) {
    return tsr_error_out_of_memory(error);
  }
  const tessera_run_args args = {.size = sizeof(args),
                                 .token_count = tokens,
                                 .input = p->input,
                                 .residual = p->residual,
                                 .output = p->output};
  return tsr_launch_init(p->session, layer, &args, 0, &p->launch, error);
}

static tsr_status init_layer(party *p, const tsr_contest_options *options,
                             const tsr_session *session, uint32_t layer,
                             uint32_t tokens, tsr_error *error) {
  tessera_layer_info info;
  const tessera_layer *self = tessera_bundle_layer(session->bundle, layer);
  p->run = run_layer;
  p->session = session;
  tsr_status status = tsr_session_query(session, layer, &info, error);
  if (status == TSR_OK) {
    status = allocate_layer(p, layer, &info, tokens, options->seed, error);
  }
  if (status == TSR_OK) status = copy_programs(p, self, options, &info, error);
  if (status == TSR_OK && session->is_cuda) {
    p->run = run_layer_row;
    status = init_row(p, ROW_MAX, error);
  }
  return status;
}

// ---- The peer --------------------------------------------------------------

static tsr_status run_peer(party *p, double *out_seconds, tsr_error *error) {
  (void)error;
  tsr_peer_product product = p->product;
  product.weights =
      p->weights + (size_t)p->next * product.rows * product.columns;
  p->next = p->next + 1 < p->copies ? p->next + 1 : 0;
  double begin = tsr_clock_now();
  tsr_peer_run(p->peer, &product);
  *out_seconds = tsr_clock_now() - begin;
  return TSR_OK;
}

static tsr_status init_peer(party *p, const tsr_contest_options *options,
                            const tessera_layer_info *info, uint32_t tokens,
                            tsr_error *error) {
  uint64_t state = options->seed;
  size_t weights = (size_t)info->rows * info->columns;
  p->run = run_peer;
  p->peer = options->peer;
  p->copies = copies_for(options->working_set, weights * sizeof(float));
  float *first = tsr_random_array(weights, TSR_DTYPE_F32, &state);
  p->weights = tsr_large_alloc(p->copies * weights * sizeof(float));
  p->input =
      tsr_random_array((size_t)tokens * info->columns, TSR_DTYPE_F32, &state);
  p->output =
      tsr_aligned_alloc(64, (size_t)tokens * info->rows * sizeof(float));
  bool ok = first != NULL && p->weights != NULL && p->input != NULL &&
            p->output != NULL;
  for (uint32_t i = 0; ok && i < p->copies; ++i) {
    memcpy(p->weights + i * weights, first, weights * sizeof(float));
  }
  tsr_free(first);
  p->product = (tsr_peer_product){.rows = info->rows,
                                  .columns = info->columns,
                                  .tokens = tokens,
                                  .input = p->input,
                                  .output = p->output};
  return ok ? TSR_OK : tsr_error_out_of_memory(error);
}

// ---- Plain reading: the "time" is that of one byte. ------------------------

static tsr_status run_read(party *p, double *out_seconds, tsr_error *error) {
  (void)error;
  *out_seconds = 1.0 / tsr_bandwidth_sample(p->bandwidth);
  return TSR_OK;
}

// The same on a CUDA device, which reads and writes what it copies.
static tessera_status enqueue_copy(party *p, tessera_error *failure) {
  return tessera_device_copy(p->session->device, p->target, p->source,
                             COPY_SIZE, NULL, failure);
}

static tsr_status run_copy(party *p, double *out_seconds, tsr_error *error) {
  tsr_status status = time_row(p, enqueue_copy, out_seconds, error);
  *out_seconds /= 2.0 * COPY_SIZE;
  return status;
}

// Memory that holds something: what was never written may cost less to read.
static tessera_status fill_source(party *p, uint8_t *piece,
                                  tessera_error *failure) {
  uint64_t state = 1;
  tessera_status status = TESSERA_OK;
  for (size_t i = 0; i < PIECE_SIZE; i += sizeof(state)) {
    uint64_t word = tsr_random_next(&state);
    memcpy(piece + i, &word, sizeof(word));
  }
  for (size_t i = 0; status == TESSERA_OK && i < COPY_SIZE; i += PIECE_SIZE) {
    status = tessera_device_write(p->session->device, (uint8_t *)p->source + i,
                                  piece, PIECE_SIZE, NULL, failure);
  }
  return status;
}

static tsr_status init_copy(party *p, const tsr_session *session,
                            tsr_error *error) {
  tessera_error failure = {0};
  p->run = run_copy;
  p->session = session;
  uint8_t *piece = tsr_malloc(PIECE_SIZE);
  if (piece == NULL) return tsr_error_out_of_memory(error);
  tessera_status status =
      tessera_device_allocate(session->device, COPY_SIZE, &p->source, &failure);
  if (status == TESSERA_OK) {
    status = tessera_device_allocate(session->device, COPY_SIZE, &p->target,
                                     &failure);
  }
  if (status == TESSERA_OK) status = fill_source(p, piece, &failure);
  tsr_free(piece);
  return status == TESSERA_OK ? init_row(p, COPY_ROW_MAX, error)
                              : tsr_session_status(status, &failure, error);
}

// ---- Rounds ----------------------------------------------------------------

typedef struct contest {
  party parties[PARTY_LIMIT];
  uint32_t count;
} contest;

// Lets threads of the party before fall asleep.
static void pause_between(void) {
  const struct timespec pause = {0, 200000};
  (void)nanosleep(&pause, NULL);
}

// Warms up code and page tables, and finds how many runs make a round.
static tsr_status warm_up(party *p, tsr_error *error) {
  double begin = tsr_clock_now();
  double seconds = 0.0;
  uint32_t calls = 0;
  tsr_status status = TSR_OK;
  do {
    status = p->run(p, &seconds, error);
    ++calls;
  } while (status == TSR_OK &&
           (calls < 3 || tsr_clock_now() - begin < round_seconds));
  double each = (tsr_clock_now() - begin) / calls;
  double fit = round_seconds / each;
  p->calls = fit >= ROUND_CALLS_MAX ? ROUND_CALLS_MAX
             : fit < 1.0            ? 1
                                    : (uint32_t)fit;
  return status;
}

static tsr_status run_round(party *p, tsr_error *error) {
  double seconds;
  size_t first = p->samples.count;
  pause_between();
  // The first run wakes the threads and is not counted.
  tsr_status status = p->calls > 1 ? p->run(p, &seconds, error) : TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < p->calls; ++i) {
    status = p->run(p, &seconds, error);
    if (status == TSR_OK) {
      status = tsr_samples_add(&p->samples, seconds, error);
    }
  }
  if (status == TSR_OK) {
    p->round_median = tsr_samples_spread(&p->samples, first).median;
  }
  return status;
}

// One run of each party: on the emulated driver all are alike.
static tsr_status run_once(contest *c, tsr_error *error) {
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < c->count; ++i) {
    double seconds = 0.0;
    status = c->parties[i].run(&c->parties[i], &seconds, error);
    if (status == TSR_OK) {
      status = tsr_samples_add(&c->parties[i].samples, seconds, error);
    }
  }
  return status;
}

static tsr_status run_rounds(contest *c, double seconds, tsr_error *error) {
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < c->count; ++i) {
    status = warm_up(&c->parties[i], error);
  }
  double begin = tsr_clock_now();
  double budget = seconds * c->count;
  for (uint32_t round = 0; status == TSR_OK; ++round) {
    if (round >= ROUNDS_MIN && tsr_clock_now() - begin >= budget) break;
    // A different party opens each round.
    for (uint32_t i = 0; status == TSR_OK && i < c->count; ++i) {
      status = run_round(&c->parties[(i + round) % c->count], error);
    }
    for (uint32_t i = 1; status == TSR_OK && i < c->count; ++i) {
      party *p = &c->parties[i];
      status = tsr_samples_add(
          &p->ratios, p->round_median / c->parties[0].round_median, error);
    }
  }
  return status;
}

static tsr_status enter(contest *c, const tsr_contest_options *options,
                        const tsr_session *session, uint32_t layer,
                        uint32_t against_layer, uint32_t tokens,
                        tsr_error *error) {
  tessera_layer_info info;
  tsr_status status = tsr_session_query(session, layer, &info, error);
  if (status == TSR_OK) {
    status = init_layer(&c->parties[c->count++], options, session, layer,
                        tokens, error);
  }
  if (status == TSR_OK && options->bandwidth != NULL) {
    party *read = &c->parties[c->count++];
    read->run = run_read;
    read->bandwidth = options->bandwidth;
  } else if (status == TSR_OK && !session->emulated) {
    status = init_copy(&c->parties[c->count++], session, error);
  }
  if (status == TSR_OK && options->against != NULL) {
    status = init_layer(&c->parties[c->count++], options, options->against,
                        against_layer, tokens, error);
  }
  if (status == TSR_OK && options->peer != NULL) {
    status = init_peer(&c->parties[c->count++], options, &info, tokens, error);
  }
  return status;
}

static void conclude(contest *c, const tsr_contest_options *options,
                     bool emulated, tsr_contest_result *out) {
  party *next = &c->parties[1];
  out->seconds = tsr_samples_spread(&c->parties[0].samples, 0);
  out->copies = c->parties[0].copies;
  if (!emulated) {
    tsr_spread byte = tsr_samples_spread(&next->samples, 0);
    // The slow tenth of times is the slow tenth of rates.
    out->memory_rate = (tsr_spread){.median = 1.0 / byte.median,
                                    .p10 = 1.0 / byte.p90,
                                    .p90 = 1.0 / byte.p10,
                                    .count = byte.count};
    ++next;
  }
  if (options->against != NULL) {
    out->against_seconds = tsr_samples_spread(&next->samples, 0);
    out->against_ratio = tsr_samples_spread(&next->ratios, 0);
    ++next;
  }
  if (options->peer != NULL) {
    out->peer_seconds = tsr_samples_spread(&next->samples, 0);
    out->peer_ratio = tsr_samples_spread(&next->ratios, 0);
  }
}

tsr_status tsr_contest_run(const tsr_contest_options *options,
                           const tsr_session *session, uint32_t layer,
                           uint32_t against_layer, uint32_t token_count,
                           tsr_contest_result *out_result, tsr_error *error) {
  contest c = {.count = 0};
  memset(out_result, 0, sizeof(*out_result));
  tsr_status status =
      enter(&c, options, session, layer, against_layer, token_count, error);
  if (status == TSR_OK) {
    status = session->emulated ? run_once(&c, error)
                               : run_rounds(&c, options->seconds, error);
  }
  if (status == TSR_OK) conclude(&c, options, session->emulated, out_result);
  for (uint32_t i = 0; i < c.count; ++i) party_fini(&c.parties[i]);
  return status;
}
