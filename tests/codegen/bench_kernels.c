// SPDX-License-Identifier: Apache-2.0
// Speed of generated kernels: hot code, cold weights (copies that together
// exceed the last-level cache, taken in turn), against a loop that only reads
// the same bytes and against OpenBLAS, all interleaved in one process; medians.
//   bench_kernels VARIANT TYPE ROWS COLUMNS THREADS TOKENS[,TOKENS...]
//   [SPARSE...]
// SPARSE are shares of 2:4 tiles; default 0 0.5 0.9. Not run by ctest.
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "layer.h"
#include "support/random.h"

#ifdef HAVE_CBLAS
#include <cblas.h>
void openblas_set_num_threads(int threads);
#endif

enum { MAX_CASES = 8, MAX_THREADS = 16, MAX_REPEATS = 400 };
static size_t COLD_BYTES = (size_t)96 << 20;

typedef void (*task)(void *context, uint32_t thread, uint32_t threads);

static uint32_t thread_count;
static atomic_uint generation, finished;
static task current_task;
static void *current_context;

static void *helper(void *context) {
  uint32_t thread = (uint32_t)(uintptr_t)context;
  for (unsigned seen = 0;;) {
    while (atomic_load_explicit(&generation, memory_order_acquire) == seen) {
    }
    seen = atomic_load(&generation);
    if (current_task == NULL) return NULL;
    current_task(current_context, thread, thread_count);
    (void)atomic_fetch_add(&finished, 1);
  }
}

static void everywhere(task t, void *context) {
  current_task = t;
  current_context = context;
  atomic_store(&finished, 0);
  (void)atomic_fetch_add(&generation, 1);
  if (t == NULL) return;
  t(context, 0, thread_count);
  while (atomic_load(&finished) != thread_count - 1) {
  }
}

// Alone, processor time of the thread: what others take of it does not count.
static double now(void) {
  struct timespec time;
  (void)clock_gettime(
      thread_count == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

typedef struct subject {
  char name[64];
  layer layer;
  image image;
  uint8_t **streams;  // copies
  uint32_t stream_count, next;
  tsr_host_args args;
  uint32_t kernel;
  double seconds[MAX_REPEATS];
  void (*run)(struct subject *s);
  const uint8_t *bytes;  // reader
  size_t size;
  uint32_t m, n, k;  // blas
  float *a, *b, *c;
} subject;

static uint32_t tokens;
static uint8_t *scratch[MAX_THREADS];

static void run_part(void *context, uint32_t thread, uint32_t threads) {
  const subject *s = context;
  tsr_host_args args = s->args;
  args.scratch = scratch[thread];
  uint32_t workers = s->layer.schedule->worker_count;
  uint32_t share = (workers + threads - 1) / threads;
  for (uint32_t w = thread * share; w < workers && w < (thread + 1) * share;
       ++w) {
    const tsr_host_worker *worker = &s->layer.workers[w];
    args.stream = s->streams[s->next] + worker->stream_offset;
    args.segments = s->layer.segments + worker->segment_first;
    args.segment_count = worker->segment_count;
    s->image.run[s->kernel](&args);
  }
}

static void pack_part(void *context, uint32_t thread, uint32_t threads) {
  const subject *s = context;
  tsr_host_args args = s->args;
  args.scratch = scratch[thread];
  uint32_t share = (tokens + threads - 1) / threads;
  args.first = thread * share < tokens ? thread * share : tokens;
  args.count = tokens - args.first < share ? tokens - args.first : share;
  s->image.pack[s->kernel](&args);
}

static void reduce_part(void *context, uint32_t thread, uint32_t threads) {
  const subject *s = context;
  tsr_host_args args = s->args;
  args.scratch = scratch[thread];
  uint32_t all = s->layer.schedule->reduction_count;
  uint32_t share = (all + threads - 1) / threads;
  args.first = thread * share < all ? thread * share : all;
  args.count = all - args.first < share ? all - args.first : share;
  s->image.reduce[s->kernel](&args);
}

static void run_kernel(subject *s) {
  if (s->image.pack[s->kernel] != NULL) everywhere(pack_part, s);
  everywhere(run_part, s);
  everywhere(reduce_part, s);
  s->next = (s->next + 1) % s->stream_count;
}

typedef uint64_t block __attribute__((vector_size(32)));
static volatile uint64_t black_hole;

#if defined(__x86_64__)
__attribute__((target("avx2")))
#endif
static void
read_part(void *context, uint32_t thread, uint32_t threads) {
  const subject *s = context;
  size_t share = s->size / threads / 256 * 256;
  const uint8_t *at = s->bytes + s->next * s->size + thread * share;
  block a = {0};
  block b = {0};
  block c = {0};
  block d = {0};
  for (size_t i = 0; i < share; i += 256) {
    const block *from = (const void *)(at + i);
    a ^= from[0] ^ from[1];
    b ^= from[2] ^ from[3];
    c ^= from[4] ^ from[5];
    d ^= from[6] ^ from[7];
  }
  a ^= b ^ c ^ d;
  black_hole = a[0] ^ a[1] ^ a[2] ^ a[3];
}

static void run_reader(subject *s) {
  everywhere(read_part, s);
  s->next = (s->next + 1) % s->stream_count;
}

#ifdef HAVE_CBLAS
static void run_blas(subject *s) {
  int m = (int)s->m;
  int n = (int)s->n;
  int k = (int)s->k;
  const float *a = s->a + (size_t)s->next * s->m * s->k;
  if (n == 1) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, m, k, 1, a, k, s->b, 1, 0, s->c,
                1);
  } else {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, m, k, 1, s->b, k, a,
                k, 0, s->c, m);
  }
  s->next = (s->next + 1) % s->stream_count;
}
#endif

static int compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

static bool make_kernel(subject *s, const tsr_kernel_spec *spec, double sparse,
                        const char *variant) {
  layer_options options = {.spec = *spec,
                           .sparse_share = sparse,
                           .workers = 12,
                           .split = true,
                           .seed = 1};
  options.spec.token_first = tokens;
  options.spec.token_last = tokens;
  if (tokens > 4) options.spec.token_first = tokens <= 16 ? 5 : 17;
  if (tokens > 4) options.spec.token_last = tokens <= 16 ? 16 : UINT32_MAX;
  if (!layer_create(&options, &s->layer)) return false;
  if (!image_create(&s->layer.spec, variant, &s->image)) return false;
  (void)snprintf(s->name, sizeof(s->name), "%s 2:4 %.2f",
                 s->image.kernels[0].strategy, sparse);
  s->run = run_kernel;
  size_t size = (s->layer.stream_size + 8191) / 4096 * 4096;
  s->size = s->layer.stream_size;
  s->stream_count = (uint32_t)(COLD_BYTES / size + 1);
  s->streams = calloc(s->stream_count, sizeof(uint8_t *));
  for (uint32_t i = 0; i < s->stream_count; ++i) {
    s->streams[i] = aligned_alloc(4096, size);
    memcpy(s->streams[i], s->layer.stream, s->layer.stream_size);
  }
  const tsr_kernel *kernel = &s->image.kernels[0];
  s->args = (tsr_host_args){
      .tiles = s->layer.tiles,
      .reductions = s->layer.reductions,
      .bias = s->layer.bias,
      .input_stride = spec->columns,
      .output_stride = spec->rows,
      .token_count = tokens,
  };
  uint16_t *input = calloc((size_t)tokens * spec->columns, 2);
  uint64_t state = 5;
  for (size_t i = 0; i < (size_t)tokens * spec->columns; ++i) {
    input[i] = (uint16_t)(0x3800 + random_next(&state) % 0x600);
  }
  s->args.input = input;
  s->args.output = calloc((size_t)tokens * spec->rows, 4);
  s->args.partials =
      aligned_alloc(64, ((size_t)s->layer.schedule->partial_count + 1) *
                            tokens * 4 * spec->tile.rows);
  s->args.packed_input = aligned_alloc(
      64,
      (kernel->packed_base + kernel->packed_per_token * tokens) / 64 * 64 + 64);
  for (uint32_t t = 0; t < thread_count; ++t) {
    scratch[t] = realloc(scratch[t], 0);
    scratch[t] = aligned_alloc(4096, (size_t)8 << 20);
  }
  return true;
}

static void make_reader(subject *s, size_t size) {
  (void)snprintf(s->name, sizeof(s->name), "read only");
  s->run = run_reader;
  s->size = size;
  s->stream_count = (uint32_t)(COLD_BYTES / size + 1);
  uint8_t *bytes =
      aligned_alloc(4096, (size * s->stream_count + 8191) / 4096 * 4096);
  memset(bytes, 1, size * s->stream_count);
  s->bytes = bytes;
}

#ifdef HAVE_CBLAS
static void make_blas(subject *s, const tsr_kernel_spec *spec) {
  (void)snprintf(s->name, sizeof(s->name), "OpenBLAS %s",
                 tokens == 1 ? "sgemv" : "sgemm");
  s->run = run_blas;
  s->m = spec->rows;
  s->k = spec->columns;
  s->n = tokens;
  s->size = (size_t)s->m * s->k * 4;
  s->stream_count = (uint32_t)(COLD_BYTES / s->size + 1);
  size_t count = (size_t)s->m * s->k * s->stream_count;
  s->a = malloc(count * 4);
  for (size_t i = 0; i < count; ++i) s->a[i] = (float)(i % 251) * 0.01f - 1;
  s->b = malloc((size_t)s->n * s->k * 4);
  for (size_t i = 0; i < (size_t)s->n * s->k; ++i) s->b[i] = (float)(i % 97);
  s->c = calloc((size_t)s->n * s->m, 4);
}
#endif

static void measure(subject *subjects, uint32_t count, double work) {
  double budget = now() + 3;
  uint32_t repeats = 0;
  for (; repeats < MAX_REPEATS && (repeats < 5 || now() < budget); ++repeats) {
    for (uint32_t i = 0; i < count; ++i) {
      subjects[i].run(&subjects[i]);  // code hot, data still cold
      double start = now();
      subjects[i].run(&subjects[i]);
      subjects[i].seconds[repeats] = now() - start;
    }
  }
  double first = 0;
  for (uint32_t i = 0; i < count; ++i) {
    subject *s = &subjects[i];
    qsort(s->seconds, repeats, sizeof(double), compare);
    double median = s->seconds[repeats / 2];
    if (i == 1) first = median;
    printf("  %-20s %9.1f us  (%.1f .. %.1f)  %6.2f GB/s  %7.1f GMAC/s",
           s->name, median * 1e6, s->seconds[repeats / 10] * 1e6,
           s->seconds[repeats * 9 / 10] * 1e6, (double)s->size / median * 1e-9,
           work / median * 1e-9);
    if (i >= 1) printf("  x%.3f", first / median);
    printf("\n");
  }
}

int main(int argc, char **argv) {
  if (argc < 7) return 2;
  if (getenv("BENCH_HOT") != NULL) COLD_BYTES = 0;
  tsr_kernel_spec spec = {.tile = {128, 128}, .output_type = TSR_DTYPE_F32};
  spec.weight_type =
      strcmp(argv[2], "f16") == 0 ? TSR_DTYPE_F16 : TSR_DTYPE_BF16;
  spec.rows = (uint32_t)atoi(argv[3]);
  spec.columns = (uint32_t)atoi(argv[4]);
  spec.has_bias = true;
  thread_count = (uint32_t)atoi(argv[5]);
  pthread_t helpers[MAX_THREADS];
  for (uintptr_t t = 1; t < thread_count; ++t) {
    (void)pthread_create(&helpers[t], NULL, helper, (void *)t);
  }
  static subject subjects[MAX_CASES];
  for (char *at = strtok(argv[6], ","); at != NULL; at = strtok(NULL, ",")) {
    tokens = (uint32_t)atoi(at);
    memset(subjects, 0, sizeof(subjects));
    uint32_t count = 0;
    make_reader(&subjects[count++], (size_t)spec.rows * spec.columns * 2);
    static const double shares[] = {0, 0.5, 0.9};
    uint32_t share_count = argc > 7 ? (uint32_t)argc - 7 : 3;
    for (uint32_t i = 0; i < share_count; ++i) {
      double share = argc > 7 ? atof(argv[7 + i]) : shares[i];
      if (!make_kernel(&subjects[count++], &spec, share, argv[1])) return 1;
    }
#ifdef HAVE_CBLAS
    openblas_set_num_threads((int)thread_count);
    make_blas(&subjects[count++], &spec);
#endif
    printf("%s %s %ux%u, N = %u, %u threads\n", argv[1], argv[2], spec.rows,
           spec.columns, tokens, thread_count);
    measure(subjects, count, (double)spec.rows * spec.columns * tokens);
  }
  everywhere(NULL, NULL);
  return 0;
}
