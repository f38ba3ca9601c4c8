// SPDX-License-Identifier: Apache-2.0
// Running layers: right against a float64 reference, the same bits whatever the
// threads, the strides and the callers, no allocation, and every misuse of the
// arguments named.
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "support/activation.h"
#include "support/number.h"
#include "synthetic.h"
#include "tessera/tessera.h"
#include "test.h"

typedef struct setup {
  synthetic synthetic;
  tessera_bundle *bundle;
  tessera_device *device;
  tessera_program *program;
  tessera_error error;
} setup;

static tessera_weights weights_kind;  // of the next device

static void open_setup(setup *s, uint32_t workers, uint32_t threads) {
  memset(s, 0, sizeof(*s));
  synthetic_init(&s->synthetic, KERNEL_IMAGE, workers);
  tsr_buffer container;
  char path[CONTAINER_PATH];
  synthetic_container(&s->synthetic, &container);
  int file = container_file(container.data, container.size, path);
  tsr_buffer_fini(&container);
  CHECK_EQ(tessera_bundle_open(path, NULL, &s->bundle, &s->error), TESSERA_OK);
  CHECK_STR(s->error.message, "");
  (void)close(file);
  tessera_device_options options = {.size = sizeof(options),
                                    .thread_count = threads,
                                    .weights = weights_kind};
  CHECK_EQ(tessera_device_open("host", &options, &s->device, &s->error),
           TESSERA_OK);
  CHECK_EQ(
      tessera_program_prepare(s->bundle, s->device, &s->program, &s->error),
      TESSERA_OK);
  CHECK_STR(s->error.message, "");
}

static void close_setup(setup *s) {
  tessera_program_destroy(s->program);
  tessera_device_close(s->device);
  tessera_bundle_close(s->bundle);
  synthetic_fini(&s->synthetic);
}

// ---- Matrices ---------------------------------------------------------------

static size_t size_of(tsr_dtype type) {
  return tsr_dtype_size(type);
}

typedef struct job {
  const synthetic_layer *layer;
  const tessera_layer *handle;
  uint32_t tokens;
  tessera_run_args args;
  void *input, *residual, *output;
  size_t output_size;
} job;

// Outputs are poisoned: what a kernel forgets shows.
static void make_io(const setup *s, uint32_t index, uint32_t tokens, job *out) {
  const synthetic_layer *l = &s->synthetic.layers[index];
  *out = (job){.layer = l,
               .handle = tessera_bundle_layer(s->bundle, index),
               .tokens = tokens};
  size_t inputs = (size_t)tokens * l->columns;
  size_t outputs = (size_t)tokens * l->output_columns;
  out->output_size = outputs * size_of(l->output_type);
  out->input = calloc(inputs, size_of(l->weight_type));
  out->residual = calloc(outputs, size_of(l->output_type));
  out->output = malloc(out->output_size);
  memset(out->output, 0xff, out->output_size);
  for (size_t i = 0; i < inputs; ++i) {
    number_store(out->input, i, l->weight_type, synthetic_number(77, i));
  }
  for (size_t i = 0; i < outputs; ++i) {
    number_store(out->residual, i, l->output_type, synthetic_number(78, i));
  }
  out->args =
      (tessera_run_args){.size = sizeof(out->args),
                         .token_count = tokens,
                         .input = out->input,
                         .residual = l->has_residual ? out->residual : NULL,
                         .output = out->output};
}

static void add_workspace(job *io, size_t size) {
  io->args.workspace =
      size == 0 ? NULL : aligned_alloc(64, (size + 63) / 64 * 64);
  io->args.workspace_size = size;
  if (size != 0) memset(io->args.workspace, 0xff, size);
}

static void free_io(job *io) {
  free(io->input);
  free(io->residual);
  free(io->output);
  free(io->args.workspace);
}

static void run_io(setup *s, job *io) {
  size_t size = 0;
  CHECK_EQ(tessera_layer_workspace(s->program, io->handle, io->tokens, &size,
                                   &s->error),
           TESSERA_OK);
  add_workspace(io, size);
  CHECK_EQ(tessera_linear_run(s->program, io->handle, &io->args, &s->error),
           TESSERA_OK);
  CHECK_STR(s->error.message, "");
}

// ---- The reference ----------------------------------------------------------

static double dot(const job *io, uint32_t token, uint32_t row) {
  const synthetic_layer *l = io->layer;
  double sum = l->has_bias ? (double)l->bias[row] : 0;
  for (uint32_t c = 0; c < l->columns; ++c) {
    sum += (double)l->weights[(size_t)row * l->columns + c] *
           (double)number_load(io->input, (size_t)token * l->columns + c,
                               l->weight_type);
  }
  return sum;
}

static void check_reference(const job *io) {
  const synthetic_layer *l = io->layer;
  bool gated = tsr_activation_is_gated(l->activation);
  // One rounding of the output dominates the float32 sums of at most 128
  // products that are exact.
  double unit = l->output_type == TSR_DTYPE_F32   ? 1e-5
                : l->output_type == TSR_DTYPE_F16 ? 1e-3
                                                  : 8e-3;
  for (uint32_t n = 0; n < io->tokens; ++n) {
    for (uint32_t m = 0; m < l->output_columns; ++m) {
      size_t index = (size_t)n * l->output_columns + m;
      double y = activation_exact(l->activation, dot(io, n, gated ? 2 * m : m));
      if (gated) y *= dot(io, n, 2 * m + 1);
      if (l->has_residual) {
        y += (double)number_load(io->residual, index, l->output_type);
      }
      double got = (double)number_load(io->output, index, l->output_type);
      CHECK(fabs(got - y) <= unit * (1 + fabs(y)));
    }
  }
}

// ---- Tests ------------------------------------------------------------------

static const uint32_t token_counts[] = {1, 2, 4, 6, 9};
enum { TOKEN_COUNTS = 5 };

static void test_reference(void) {
  static const uint32_t workers[] = {1, 3, 12};
  for (int w = 0; w < 3; ++w) {
    setup s;
    open_setup(&s, workers[w], 2);
    for (uint32_t i = 0; i < SYNTHETIC_LAYERS * TOKEN_COUNTS; ++i) {
      job io;
      make_io(&s, i / TOKEN_COUNTS, token_counts[i % TOKEN_COUNTS], &io);
      run_io(&s, &io);
      check_reference(&io);
      free_io(&io);
    }
    close_setup(&s);
  }
}

// A copied program computes the same, also while its original runs.
static void test_copy(void) {
  setup s;
  open_setup(&s, 5, 2);
  tessera_program *original = s.program;
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    tessera_program *copy = NULL;
    CHECK_EQ(tessera_program_copy(original, tessera_bundle_layer(s.bundle, i),
                                  &copy, &s.error),
             TESSERA_OK);
    for (uint32_t k = 0; k < SYNTHETIC_LAYERS; ++k) {
      job io;
      s.program = copy;
      make_io(&s, k, 6, &io);
      run_io(&s, &io);
      check_reference(&io);
      free_io(&io);
    }
    s.program = original;
    tessera_program_destroy(copy);
  }
  close_setup(&s);
}

static void test_thread_counts(void) {
  static const uint32_t threads[] = {1, 2, 3, 5, 8, 16};
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS * TOKEN_COUNTS; ++i) {
    void *first = NULL;
    for (int t = 0; t < 6; ++t) {
      setup s;
      job io;
      open_setup(&s, 12, threads[t]);
      CHECK_EQ(tessera_device_thread_count(s.device), threads[t]);
      make_io(&s, i / TOKEN_COUNTS, token_counts[i % TOKEN_COUNTS], &io);
      run_io(&s, &io);
      if (first == NULL) {
        first = malloc(io.output_size);
        memcpy(first, io.output, io.output_size);
      }
      CHECK(memcmp(first, io.output, io.output_size) == 0);
      free_io(&io);
      close_setup(&s);
    }
    free(first);
  }
}

// The caller's rounding neither reaches the kernels nor is lost, with one
// thread (the caller's own) as with several.
static void test_rounding_mode(void) {
  for (uint32_t threads = 1; threads <= 2; ++threads) {
    setup s;
    job plain;
    job rounded;
    open_setup(&s, 5, threads);
    make_io(&s, 3, 3, &plain);  // gelu of the bias: not exact
    make_io(&s, 3, 3, &rounded);
    run_io(&s, &plain);
    CHECK_EQ(fesetround(FE_UPWARD), 0);
    run_io(&s, &rounded);
    CHECK_EQ(fegetround(), FE_UPWARD);
    // The register that vector code obeys, too.
    volatile float one = 1.0f, tiny = 0x1p-40f;
    CHECK(one + tiny > one);
    CHECK_EQ(fesetround(FE_TONEAREST), 0);
    CHECK(memcmp(plain.output, rounded.output, plain.output_size) == 0);
    free_io(&plain);
    free_io(&rounded);
    close_setup(&s);
  }
}

static void test_strides(void) {
  setup s;
  open_setup(&s, 5, 2);
  for (uint32_t index = 0; index < SYNTHETIC_LAYERS; ++index) {
    job plain;
    job wide;
    make_io(&s, index, 7, &plain);
    run_io(&s, &plain);
    make_io(&s, index, 7, &wide);
    const synthetic_layer *l = wide.layer;
    // Input and output are columns of the same rows, 3 elements apart, when
    // their elements are of one size; a residual is updated in place.
    size_t in = size_of(l->weight_type);
    size_t out = size_of(l->output_type);
    size_t stride = (l->columns + l->output_columns + 6) * 4;
    char *both = malloc(7 * stride);
    memset(both, 0xee, 7 * stride);
    char *output = both + (l->columns + 3) * 4;
    for (uint32_t n = 0; n < 7; ++n) {
      memcpy(both + n * stride, (char *)wide.input + n * l->columns * in,
             l->columns * in);
      memcpy(output + n * stride,
             (char *)wide.residual + n * l->output_columns * out,
             l->output_columns * out);
    }
    wide.args.input = both;
    wide.args.input_stride = (int64_t)(stride / in);
    wide.args.output = output;
    wide.args.output_stride = (int64_t)(stride / out);
    if (l->has_residual) {
      wide.args.residual = output;
      wide.args.residual_stride = wide.args.output_stride;
    }
    run_io(&s, &wide);
    for (uint32_t n = 0; n < 7; ++n) {
      char *row = output + n * stride;
      CHECK(memcmp(row, (char *)plain.output + n * l->output_columns * out,
                   l->output_columns * out) == 0);
      // Nothing beside it was touched.
      CHECK_EQ((unsigned char)row[-1], 0xee);
      CHECK_EQ((unsigned char)row[l->output_columns * out], 0xee);
      CHECK(memcmp(both + n * stride, (char *)wide.input + n * l->columns * in,
                   l->columns * in) == 0);
    }
    free(both);
    free_io(&plain);
    free_io(&wide);
  }
  close_setup(&s);
}

// ---- Teams and callers ------------------------------------------------------

typedef struct member {
  const setup *s;
  const job *io;
  tessera_team *team;
  uint32_t index, count;
  tessera_status status;
} member;

static void *team_main(void *opaque) {
  member *m = opaque;
  for (int i = 0; i < 3; ++i) {
    m->status =
        tessera_linear_run_thread(m->s->program, m->io->handle, &m->io->args,
                                  m->team, m->index, m->count, NULL);
  }
  return NULL;
}

static void test_teams(void) {
  setup s;
  open_setup(&s, 12, 1);
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS * 3; ++i) {
    uint32_t count = 1 + i % 5;
    job pool;
    job team;
    make_io(&s, i / 3, token_counts[i % 3 + 2], &pool);
    run_io(&s, &pool);
    make_io(&s, i / 3, token_counts[i % 3 + 2], &team);
    size_t size = 0;
    CHECK_EQ(tessera_layer_team_workspace(s.program, team.handle, team.tokens,
                                          count, &size, &s.error),
             TESSERA_OK);
    add_workspace(&team, size);
    tessera_team sync = {{0}};
    pthread_t threads[5];
    member members[5];
    for (uint32_t t = 0; t < count; ++t) {
      members[t] = (member){&s, &team, &sync, t, count, TESSERA_INTERNAL};
      CHECK_EQ(pthread_create(&threads[t], NULL, team_main, &members[t]), 0);
    }
    for (uint32_t t = 0; t < count; ++t) {
      (void)pthread_join(threads[t], NULL);
      CHECK_EQ(members[t].status, TESSERA_OK);
    }
    CHECK(memcmp(pool.output, team.output, pool.output_size) == 0);
    free_io(&pool);
    free_io(&team);
  }
  close_setup(&s);
}

typedef struct caller {
  setup *s;
  uint32_t index;
  const void *expected;
  int wrong;
} caller;

static void *caller_main(void *opaque) {
  caller *c = opaque;
  for (uint32_t i = 0; i < 40; ++i) {
    job io;
    make_io(c->s, c->index, 6, &io);
    size_t size = 0;
    tessera_error error = {0};
    c->wrong += tessera_layer_workspace(c->s->program, io.handle, 6, &size,
                                        &error) != TESSERA_OK;
    add_workspace(&io, size);
    c->wrong += tessera_linear_run(c->s->program, io.handle, &io.args,
                                   &error) != TESSERA_OK;
    c->wrong += memcmp(io.output, c->expected, io.output_size) != 0;
    free_io(&io);
  }
  return NULL;
}

static void test_callers(uint32_t threads) {
  setup s;
  open_setup(&s, 12, threads);
  job expected[SYNTHETIC_LAYERS];
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    make_io(&s, i, 6, &expected[i]);
    run_io(&s, &expected[i]);
  }
  pthread_t callers[6];
  caller arguments[6];
  for (uint32_t i = 0; i < 6; ++i) {
    uint32_t layer = i % SYNTHETIC_LAYERS;
    arguments[i] = (caller){&s, layer, expected[layer].output, 0};
    CHECK_EQ(pthread_create(&callers[i], NULL, caller_main, &arguments[i]), 0);
  }
  for (uint32_t i = 0; i < 6; ++i) {
    (void)pthread_join(callers[i], NULL);
    CHECK_EQ(arguments[i].wrong, 0);
  }
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) free_io(&expected[i]);
  close_setup(&s);
}

// ---- Refusals ---------------------------------------------------------------

static void refuse(setup *s, job *io, const char *message) {
  CHECK_EQ(tessera_linear_run(s->program, io->handle, &io->args, &s->error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(s->error.message, message);
  CHECK_EQ(s->error.status, TESSERA_INVALID_ARGUMENT);
}

#define REFUSE(field, value, message) \
  do {                                \
    tessera_run_args kept = io.args;  \
    io.args.field = (value);          \
    refuse(&s, &io, message);         \
    io.args = kept;                   \
  } while (0)

static void test_refusals(void) {
  setup s;
  job io;
  open_setup(&s, 3, 2);
  make_io(&s, 1, 2, &io);  // f16 [2, 70] -> f16 [2, 40], with a residual
  run_io(&s, &io);
  char *in = io.input;
  char *out = io.output;
  REFUSE(size, 8,
         "layer 'layer.ragged': tessera_run_args.size is 8, expected 88");
  REFUSE(token_count, 0,
         "layer 'layer.ragged': no kernel for 0 tokens; it takes 1..4, 6..");
  REFUSE(token_count, 5,
         "layer 'layer.ragged': no kernel for 5 tokens; it takes 1..4, 6..");
  REFUSE(input, NULL, "layer 'layer.ragged': input is NULL");
  REFUSE(output, NULL, "layer 'layer.ragged': output is NULL");
  REFUSE(residual, NULL, "layer 'layer.ragged': residual is NULL");
  REFUSE(input, in + 1,
         "layer 'layer.ragged': input is not aligned to its elements of 2 "
         "bytes");
  REFUSE(output, out + 1,
         "layer 'layer.ragged': output is not aligned to its elements of 2 "
         "bytes");
  REFUSE(input_stride, 69,
         "layer 'layer.ragged': input_stride is 69, a token has 70 elements");
  REFUSE(input_stride, -70,
         "layer 'layer.ragged': input_stride is -70, a token has 70 elements");
  REFUSE(output_stride, 39,
         "layer 'layer.ragged': output_stride is 39, a token has 40 elements");
  REFUSE(residual_stride, 39,
         "layer 'layer.ragged': residual_stride is 39, a token has 40 "
         "elements");
  REFUSE(input_stride, INT64_MAX,
         "layer 'layer.ragged': input of 2 tokens with input_stride "
         "9223372036854775807 exceeds memory");
  REFUSE(output_stride, INT64_MAX / 2,
         "layer 'layer.ragged': output of 2 tokens with output_stride "
         "4611686018427387903 exceeds memory");
  REFUSE(output, in, "layer 'layer.ragged': output overlaps input");
  REFUSE(output, in + 2 * 70 - 2,
         "layer 'layer.ragged': output overlaps input");
  REFUSE(residual, out + 2, "layer 'layer.ragged': output overlaps residual");
  REFUSE(stream, &s,
         "layer 'layer.ragged': stream is not NULL, but the device is the "
         "host");
  REFUSE(workspace, NULL,
         "layer 'layer.ragged': workspace has 0 bytes, 2 tokens need 1408");
  REFUSE(workspace_size, 1407,
         "layer 'layer.ragged': workspace has 1407 bytes, 2 tokens need 1408");
  REFUSE(workspace, (char *)io.args.workspace + 32,
         "layer 'layer.ragged': workspace is not aligned to 64 bytes");
  REFUSE(input, io.args.workspace,
         "layer 'layer.ragged': workspace overlaps input");
  REFUSE(residual, io.args.workspace,
         "layer 'layer.ragged': workspace overlaps residual");
  REFUSE(output, io.args.workspace,
         "layer 'layer.ragged': workspace overlaps output");
  io.handle = tessera_bundle_layer(s.bundle, 0);
  refuse(&s, &io,
         "layer 'layer.plain': residual given, but the layer has none");
  free_io(&io);
  close_setup(&s);
}

static void test_bad_calls(void) {
  setup s;
  setup other;
  open_setup(&s, 3, 1);
  open_setup(&other, 3, 1);
  tessera_error *error = &s.error;
  const tessera_layer *layer = tessera_bundle_layer(s.bundle, 0);
  const tessera_layer *foreign = tessera_bundle_layer(other.bundle, 0);
  tessera_run_args args = {.size = sizeof(args), .token_count = 1};
  tessera_team team = {{0}};
  size_t size = 1;
  CHECK_EQ(tessera_linear_run(NULL, layer, &args, error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message, "layer 'layer.plain': program is NULL");
  CHECK_EQ(tessera_linear_run(s.program, NULL, &args, error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message, "layer is NULL");
  CHECK_EQ(tessera_linear_run(s.program, layer, NULL, error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message, "layer 'layer.plain': args is NULL");
  CHECK_EQ(tessera_linear_run(s.program, foreign, &args, NULL),
           TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_layer_workspace(s.program, foreign, 1, &size, error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message,
            "layer 'layer.plain': the layer is of another bundle than the "
            "program");
  CHECK_EQ(size, 0);
  CHECK_EQ(tessera_layer_workspace(s.program, layer, 1, NULL, error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_layer_team_workspace(s.program, layer, 1, 0, &size, error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message,
            "layer 'layer.plain': thread_count is 0, expected 1 to 1024");
  CHECK_EQ(
      tessera_linear_run_thread(s.program, layer, &args, &team, 2, 2, error),
      TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message,
            "layer 'layer.plain': thread 2 of 2, expected at most 1024");
  CHECK_EQ(
      tessera_linear_run_thread(s.program, layer, &args, NULL, 0, 1, error),
      TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message, "layer 'layer.plain': sync is NULL");
  close_setup(&s);
  close_setup(&other);
}

static void test_workspace(void) {
  setup s;
  open_setup(&s, 12, 3);
  const tessera_layer *layer = tessera_bundle_layer(s.bundle, 0);
  const synthetic_layer *l = &s.synthetic.layers[0];
  size_t size = 0;
  // partials, packed input, three times scratch; see the manifest.
  CHECK_EQ(tessera_layer_workspace(s.program, layer, 4, &size, NULL), 0);
  CHECK_EQ(size, l->partials * 4u * 16 * 4 + 3 * (64 + 4 * 64));
  CHECK_EQ(tessera_layer_workspace(s.program, layer, 8, &size, NULL), 0);
  CHECK_EQ(size, l->partials * 8u * 16 * 4 + (64 + 8 * 96 * 4) + 3 * 8 * 64);
  // Enough for fewer tokens too.
  size_t before = 0;
  for (uint32_t n = 1; n < 40; ++n) {
    if (n == 5) continue;
    CHECK_EQ(tessera_layer_workspace(s.program, layer, n, &size, NULL), 0);
    CHECK(size >= before);
    before = size;
  }
  CHECK_EQ(tessera_layer_workspace(s.program, layer, 5, &size, &s.error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(size, 0);
  CHECK_EQ(
      tessera_layer_workspace(s.program, layer, UINT32_MAX, &size, &s.error),
      TESSERA_OK);
  close_setup(&s);
}

static void test_no_allocation(void) {
  setup s;
  job io;
  open_setup(&s, 12, 2);
  make_io(&s, 2, 9, &io);
  run_io(&s, &io);
  tessera_team team = {{0}};
  (void)tsr_memory_fail_at(0);
  for (int i = 0; i < 10; ++i) {
    CHECK_EQ(tessera_linear_run(s.program, io.handle, &io.args, &s.error),
             TESSERA_OK);
    CHECK_EQ(tessera_linear_run_thread(s.program, io.handle, &io.args, &team, 0,
                                       1, &s.error),
             TESSERA_OK);
  }
  CHECK_EQ(tsr_memory_fail_at(0), 0);
  free_io(&io);
  close_setup(&s);
}

int main(void) {
  test_reference();
  weights_kind = TESSERA_WEIGHTS_COPIED;
  test_reference();
  weights_kind = TESSERA_WEIGHTS_MAPPED;
  test_copy();
  test_thread_counts();
  test_rounding_mode();
  test_strides();
  test_teams();
  test_callers(1);
  test_callers(2);
  test_callers(7);
  test_refusals();
  test_bad_calls();
  test_workspace();
  test_no_allocation();
  return test_finish();
}
